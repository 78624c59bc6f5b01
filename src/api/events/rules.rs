//! Rules: what they take, when the clock tells them, whether they are in force; and their tags.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::super::error::ApiError;
use super::super::operation::{Call, NotRegistered, Operations};
use super::super::service::Service::Events;
use super::super::sts::{Tag, tags_of};
use super::{Nothing, invalid, name_of, of_account, of_failure, own_bus, own_bus_facts, page, rule_facts};
use crate::events::bus::Rule;
use crate::events::pattern::Pattern;
use crate::names::{AccountId, escape_for_people};
use crate::operations::authorize::Weight::{Read, Write};
use crate::operations::events::routing::rule_arn;
use crate::operations::events::settings::{EventFailure, NewRule};
use crate::policy::ResourceFacts;

/// Most tags of one thing.
const MAX_TAGS: usize = 50;

pub(super) fn register(all: &mut Operations) -> Result<(), NotRegistered> {
    all.add(Events, "PutRule", "events:PutRule", Write, of_put, put)?;
    all.add(Events, "DescribeRule", "events:DescribeRule", Read, of_named, describe)?;
    all.add(Events, "EnableRule", "events:EnableRule", Write, of_named, enable)?;
    all.add(Events, "DisableRule", "events:DisableRule", Write, of_named, disable)?;
    all.add(Events, "DeleteRule", "events:DeleteRule", Write, of_named, delete)?;
    all.add(Events, "ListRules", "events:ListRules", Read, of_account, list)?;
    all.add(Events, "TestEventPattern", "events:TestEventPattern", Read, of_account, test_pattern)?;
    all.add(Events, "TagResource", "events:TagResource", Write, of_tagged, tag)?;
    all.add(Events, "UntagResource", "events:UntagResource", Write, of_tagged, untag)?;
    all.add(Events, "ListTagsForResource", "events:ListTagsForResource", Read, of_tagged, list_tags)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Put {
    name: Option<String>,
    schedule_expression: Option<String>,
    event_pattern: Option<String>,
    state: Option<String>,
    description: Option<String>,
    role_arn: Option<String>,
    tags: Option<Vec<Tag>>,
    event_bus_name: Option<String>,
}

fn of_put(call: &Call<'_>, input: &Put) -> Result<ResourceFacts, ApiError> {
    let bus = own_bus(call, input.event_bus_name.as_deref())?;
    Ok(rule_facts(call, &bus, &name_of("Name", input.name.as_deref(), 64, false)?))
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct PutOut {
    rule_arn: String,
}

fn put(call: &Call<'_>, input: Put) -> Result<PutOut, ApiError> {
    let is_enabled = match input.state.as_deref() {
        None | Some("ENABLED" | "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS") => true,
        Some("DISABLED") => false,
        Some(_) => return Err(invalid("Parameter State is not valid. Reason: it is ENABLED or DISABLED.")),
    };
    if input.description.as_ref().is_some_and(|text| text.chars().count() > 512) {
        return Err(invalid("Parameter Description is not valid. Reason: it has up to 512 characters."));
    }
    let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
    let new = NewRule {
        name: name_of("Name", input.name.as_deref(), 64, false)?,
        bus: own_bus(call, input.event_bus_name.as_deref())?,
        pattern: filled(input.event_pattern),
        schedule: filled(input.schedule_expression),
        is_enabled,
        description: filled(input.description),
        role_arn: filled(input.role_arn),
        tags: tags_of(input.tags.unwrap_or_default())?,
    };
    let rule_arn = call.host.put_event_rule(call.ctx, call.account(), &new).map_err(of_failure)?;
    Ok(PutOut { rule_arn })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct NamedRule {
    name: Option<String>,
    event_bus_name: Option<String>,
}

impl NamedRule {
    fn names(&self, call: &Call<'_>) -> Result<(String, String), ApiError> {
        let bus = own_bus(call, self.event_bus_name.as_deref())?;
        Ok((bus, name_of("Name", self.name.as_deref(), 64, false)?))
    }
}

fn of_named(call: &Call<'_>, input: &NamedRule) -> Result<ResourceFacts, ApiError> {
    let (bus, name) = input.names(call)?;
    Ok(rule_facts(call, &bus, &name))
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Described {
    name: String,
    arn: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_pattern: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    schedule_expression: Option<String>,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    role_arn: Option<String>,
    event_bus_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_by: Option<String>,
}

fn described(call: &Call<'_>, account: &AccountId, rule: Rule) -> Described {
    Described {
        arn: rule_arn(call.host.identity().region(), account, &rule.bus, &rule.name),
        name: rule.name,
        event_pattern: rule.pattern,
        schedule_expression: rule.schedule,
        state: if rule.is_enabled { "ENABLED" } else { "DISABLED" },
        description: rule.description,
        role_arn: rule.role_arn,
        event_bus_name: rule.bus,
        created_by: None,
    }
}

fn describe(call: &Call<'_>, input: NamedRule) -> Result<Described, ApiError> {
    let (bus, name) = input.names(call)?;
    let rule = call.host.event_rule(call.account(), &bus, &name).map_err(of_failure)?;
    let created_by = Some(call.account().to_string());
    Ok(Described { created_by, ..described(call, call.account(), rule) })
}

fn set_enabled(call: &Call<'_>, input: &NamedRule, is_enabled: bool) -> Result<Nothing, ApiError> {
    let (bus, name) = input.names(call)?;
    let edited = call.host.edit_event_rule(call.account(), &bus, &name, &|rule| {
        rule.is_enabled = is_enabled;
        Ok(())
    });
    edited.map_err(of_failure)?;
    Ok(Nothing {})
}

fn enable(call: &Call<'_>, input: NamedRule) -> Result<Nothing, ApiError> {
    set_enabled(call, &input, true)
}

fn disable(call: &Call<'_>, input: NamedRule) -> Result<Nothing, ApiError> {
    set_enabled(call, &input, false)
}

fn delete(call: &Call<'_>, input: NamedRule) -> Result<Nothing, ApiError> {
    let (bus, name) = input.names(call)?;
    call.host.delete_event_rule(call.account(), &bus, &name).map_err(of_failure)?;
    Ok(Nothing {})
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct List {
    name_prefix: Option<String>,
    event_bus_name: Option<String>,
    next_token: Option<String>,
    limit: Option<u32>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    rules: Vec<Described>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

fn list(call: &Call<'_>, input: List) -> Result<Listed, ApiError> {
    let bus = own_bus(call, input.event_bus_name.as_deref())?;
    let all = call.host.event_rules(call.account(), &bus).map_err(of_failure)?;
    let (prefix, token) = (input.name_prefix.as_deref(), input.next_token.as_deref());
    let (rules, next_token) = page(all, |rule| rule.name.clone(), prefix, token, input.limit)?;
    Ok(Listed { rules: rules.into_iter().map(|rule| described(call, call.account(), rule)).collect(), next_token })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TestPattern {
    event_pattern: Option<String>,
    event: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Tested {
    result: bool,
}

fn test_pattern(_: &Call<'_>, input: TestPattern) -> Result<Tested, ApiError> {
    let pattern = Pattern::parse(&input.event_pattern.unwrap_or_default());
    let pattern = pattern.map_err(|error| of_failure(EventFailure::Pattern(error.to_string())))?;
    let event: serde_json::Value = serde_json::from_str(&input.event.unwrap_or_default())
        .map_err(|_| invalid("Parameter Event is not valid. Reason: it is no JSON."))?;
    for member in ["id", "account", "source", "time", "region", "resources", "detail-type"] {
        if event.get(member).is_none() {
            return Err(invalid(format!("Parameter Event is not valid. Reason: it has no `{member}`.")));
        }
    }
    Ok(Tested { result: pattern.matches(&event) })
}

/// What has tags.
enum Tagged {
    Bus(String),
    Rule(String, String),
}

/// The bus or rule of an ARN.
fn tagged(call: &Call<'_>, arn: Option<&str>) -> Result<Tagged, ApiError> {
    let arn = arn.unwrap_or_default();
    let shown = escape_for_people(arn.as_bytes(), 200);
    let bad = || {
        invalid(format!(
            "Parameter ResourceARN is not valid. Reason: `{shown}` is the ARN of no event bus and no rule of this account."
        ))
    };
    let prefix = format!("arn:aws:events:{}:{}:", call.host.identity().region(), call.account());
    let rest = arn.strip_prefix(&prefix).ok_or_else(bad)?;
    match (rest.strip_prefix("event-bus/"), rest.strip_prefix("rule/")) {
        (Some(bus), _) => Ok(Tagged::Bus(bus.to_owned())),
        (_, Some(rule)) => Ok(match rule.rsplit_once('/') {
            Some((bus, rule)) => Tagged::Rule(bus.to_owned(), rule.to_owned()),
            None => Tagged::Rule(crate::events::DEFAULT_BUS.to_owned(), rule.to_owned()),
        }),
        _ => Err(bad()),
    }
}

#[derive(Deserialize)]
struct TagInput {
    #[serde(rename = "ResourceARN")]
    arn: Option<String>,
    #[serde(rename = "Tags")]
    tags: Option<Vec<Tag>>,
    #[serde(rename = "TagKeys")]
    keys: Option<Vec<String>>,
}

fn of_tagged(call: &Call<'_>, input: &TagInput) -> Result<ResourceFacts, ApiError> {
    Ok(match tagged(call, input.arn.as_deref())? {
        Tagged::Bus(bus) => own_bus_facts(call, &bus),
        Tagged::Rule(bus, rule) => rule_facts(call, &bus, &rule),
    })
}

fn change_tags(
    call: &Call<'_>,
    input: &TagInput,
    change: &dyn Fn(&mut BTreeMap<String, String>),
) -> Result<Nothing, ApiError> {
    let changed = |tags: &mut BTreeMap<String, String>| {
        change(tags);
        match tags.len() > MAX_TAGS {
            true => Err(EventFailure::TooMany(format!("there are at most {MAX_TAGS} tags"))),
            false => Ok(()),
        }
    };
    match tagged(call, input.arn.as_deref())? {
        Tagged::Bus(bus) => call.host.edit_event_bus(call.account(), &bus, &|bus| changed(&mut bus.tags)),
        Tagged::Rule(bus, rule) => {
            call.host.edit_event_rule(call.account(), &bus, &rule, &|rule| changed(&mut rule.tags))
        }
    }
    .map_err(of_failure)?;
    Ok(Nothing {})
}

fn tag(call: &Call<'_>, mut input: TagInput) -> Result<Nothing, ApiError> {
    let new = tags_of(input.tags.take().unwrap_or_default())?;
    change_tags(call, &input, &|tags| tags.extend(new.clone()))
}

fn untag(call: &Call<'_>, mut input: TagInput) -> Result<Nothing, ApiError> {
    let keys = input.keys.take().unwrap_or_default();
    change_tags(call, &input, &|tags| tags.retain(|key, _| !keys.contains(key)))
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct TagsOut {
    tags: Vec<Tag>,
}

fn list_tags(call: &Call<'_>, input: TagInput) -> Result<TagsOut, ApiError> {
    let tags = match tagged(call, input.arn.as_deref())? {
        Tagged::Bus(bus) => call.host.event_bus(call.account(), &bus).map_err(of_failure)?.tags,
        Tagged::Rule(bus, rule) => call.host.event_rule(call.account(), &bus, &rule).map_err(of_failure)?.tags,
    };
    Ok(TagsOut { tags: tags.into_iter().map(|(key, value)| Tag { key, value }).collect() })
}
