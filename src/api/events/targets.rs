//! The targets of rules.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::super::codec::Entries;
use super::super::error::ApiError;
use super::super::operation::{AskedOf, Call, NotRegistered, Operations};
use super::super::service::Service::Events;
use super::{invalid, name_of, of_account, of_failure, own_bus, page, rule_facts};
use crate::events::bus::{HttpParameters, Input, MAX_AGE_SECONDS, MAX_ATTEMPTS, Subscriber, Target};
use crate::names::escape_for_people;
use crate::operations::authorize::Weight::{Read, Write};
use crate::policy::{ContextFacts, ResourceFacts};

/// Most targets that one call puts or removes.
const MAX_AT_ONCE: usize = 100;

pub(super) fn register(all: &mut Operations) -> Result<(), NotRegistered> {
    all.add(Events, "PutTargets", "events:PutTargets", Write, of_put, put)?;
    all.add(Events, "RemoveTargets", "events:RemoveTargets", Write, of_remove, remove)?;
    all.add(Events, "ListTargetsByRule", "events:ListTargetsByRule", Read, of_list, list)?;
    all.add(Events, "ListRuleNamesByTarget", "events:ListRuleNamesByTarget", Read, of_account, rules_by_target)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Put {
    rule: Option<String>,
    event_bus_name: Option<String>,
    #[serde(default)]
    targets: Vec<TargetIn>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TargetIn {
    #[serde(default)]
    id: String,
    #[serde(default)]
    arn: String,
    role_arn: Option<String>,
    input: Option<String>,
    input_path: Option<String>,
    input_transformer: Option<TransformerIn>,
    dead_letter_config: Option<DeadLetter>,
    retry_policy: Option<Retry>,
    http_parameters: Option<HttpParameters>,
    sqs_parameters: Option<SqsParameters>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TransformerIn {
    #[serde(default)]
    input_paths_map: BTreeMap<String, String>,
    #[serde(default)]
    input_template: String,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct DeadLetter {
    arn: Option<String>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Retry {
    maximum_retry_attempts: Option<u32>,
    maximum_event_age_in_seconds: Option<u32>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct SqsParameters {
    message_group_id: Option<String>,
}

fn of_put(call: &Call<'_>, input: &Put) -> Result<AskedOf, ApiError> {
    let bus = own_bus(call, input.event_bus_name.as_deref())?;
    let rule = name_of("Rule", input.rule.as_deref(), 64, false)?;
    let arns: BTreeSet<String> = input.targets.iter().map(|target| target.arn.clone()).collect();
    Ok(AskedOf { resource: rule_facts(call, &bus, &rule), context: ContextFacts::PutTargets(arns) })
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Failed {
    target_id: String,
    error_code: &'static str,
    error_message: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Outcome {
    failed_entry_count: usize,
    failed_entries: Vec<Failed>,
}

impl Outcome {
    fn of(failed: Vec<(String, String)>) -> Outcome {
        let one = |(target_id, error_message)| Failed { target_id, error_code: "ValidationException", error_message };
        let failed_entries: Vec<Failed> = failed.into_iter().map(one).collect();
        Outcome { failed_entry_count: failed_entries.len(), failed_entries }
    }
}

fn target_of(given: TargetIn) -> Result<Target, (String, String)> {
    let id = given.id.clone();
    let bad = |why: &str| (id.clone(), why.to_owned());
    let input = match (given.input, given.input_path, given.input_transformer) {
        (None, None, None) => Input::Event,
        (Some(text), None, None) => Input::Constant(text),
        (None, Some(path), None) => Input::Path(path),
        (None, None, Some(transformer)) => {
            Input::Transformer { paths: transformer.input_paths_map, template: transformer.input_template }
        }
        _ => return Err(bad("Only one of Input, InputPath, or InputTransformer must be provided.")),
    };
    let retry =
        given.retry_policy.unwrap_or(Retry { maximum_retry_attempts: None, maximum_event_age_in_seconds: None });
    let attempts = retry.maximum_retry_attempts.unwrap_or(MAX_ATTEMPTS);
    let age_seconds = retry.maximum_event_age_in_seconds.unwrap_or(MAX_AGE_SECONDS);
    if attempts > MAX_ATTEMPTS || !(60..=MAX_AGE_SECONDS).contains(&age_seconds) {
        return Err(bad("RetryPolicy takes up to 185 attempts, and an age of 60 to 86400 seconds."));
    }
    Ok(Target {
        id: given.id,
        arn: given.arn,
        role_arn: given.role_arn,
        input,
        dead_letter: given.dead_letter_config.and_then(|config| config.arn),
        attempts,
        age_seconds,
        http: given.http_parameters,
        message_group: given.sqs_parameters.and_then(|parameters| parameters.message_group_id),
        // Whoever calls; set where the target is kept.
        subscriber: Subscriber::User(Uuid::nil()),
    })
}

fn put(call: &Call<'_>, input: Put) -> Result<Outcome, ApiError> {
    let bus = own_bus(call, input.event_bus_name.as_deref())?;
    let rule = name_of("Rule", input.rule.as_deref(), 64, false)?;
    if input.targets.is_empty() || input.targets.len() > MAX_AT_ONCE {
        return Err(invalid(format!(
            "Parameter Targets is not valid. Reason: 1 to {MAX_AT_ONCE} targets are put at once."
        )));
    }
    let mut failed = Vec::new();
    let mut targets: Vec<Target> = Vec::new();
    for given in input.targets {
        name_of("Targets.Id", Some(&given.id), 64, false)?;
        match target_of(given) {
            Ok(target) if targets.iter().any(|other| other.id == target.id) => {
                return Err(invalid(format!("Parameter Targets is not valid. Reason: `{}` stands twice.", target.id)));
            }
            Ok(target) => targets.push(target),
            Err(why) => failed.push(why),
        }
    }
    let put = call.host.put_event_targets(call.ctx, call.account(), &bus, &rule, &targets);
    failed.extend(put.map_err(of_failure)?);
    Ok(Outcome::of(failed))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Remove {
    rule: Option<String>,
    event_bus_name: Option<String>,
    #[serde(default)]
    ids: Vec<String>,
}

fn of_remove(call: &Call<'_>, input: &Remove) -> Result<ResourceFacts, ApiError> {
    let bus = own_bus(call, input.event_bus_name.as_deref())?;
    Ok(rule_facts(call, &bus, &name_of("Rule", input.rule.as_deref(), 64, false)?))
}

fn remove(call: &Call<'_>, input: Remove) -> Result<Outcome, ApiError> {
    let bus = own_bus(call, input.event_bus_name.as_deref())?;
    let rule = name_of("Rule", input.rule.as_deref(), 64, false)?;
    let there = call.host.event_rule(call.account(), &bus, &rule).map_err(of_failure)?.targets;
    let removed = call.host.edit_event_rule(call.account(), &bus, &rule, &|rule| {
        rule.targets.retain(|id, _| !input.ids.contains(id));
        Ok(())
    });
    removed.map_err(of_failure)?;
    let missing = input.ids.iter().filter(|id| !there.contains_key(*id));
    let failed = missing.map(|id| Failed {
        target_id: id.clone(),
        error_code: "ResourceNotFoundException",
        error_message: format!("Rule {rule} does not have target {}.", escape_for_people(id.as_bytes(), 64)),
    });
    let failed_entries: Vec<Failed> = failed.collect();
    Ok(Outcome { failed_entry_count: failed_entries.len(), failed_entries })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct List {
    rule: Option<String>,
    event_bus_name: Option<String>,
    next_token: Option<String>,
    limit: Option<u32>,
}

fn of_list(call: &Call<'_>, input: &List) -> Result<ResourceFacts, ApiError> {
    let bus = own_bus(call, input.event_bus_name.as_deref())?;
    Ok(rule_facts(call, &bus, &name_of("Rule", input.rule.as_deref(), 64, false)?))
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct TransformerOut {
    #[serde(skip_serializing_if = "Option::is_none")]
    input_paths_map: Option<Entries<String>>,
    input_template: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct HttpOut {
    path_parameter_values: Vec<String>,
    header_parameters: Entries<String>,
    query_string_parameters: Entries<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct TargetOut {
    id: String,
    arn: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    role_arn: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    input_path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    input_transformer: Option<TransformerOut>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dead_letter_config: Option<DeadLetter>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_policy: Option<Retry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    http_parameters: Option<HttpOut>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sqs_parameters: Option<SqsParameters>,
}

fn target_out(target: Target) -> TargetOut {
    let (mut input, mut input_path, mut input_transformer) = (None, None, None);
    match target.input {
        Input::Event => {}
        Input::Constant(text) => input = Some(text),
        Input::Path(path) => input_path = Some(path),
        Input::Transformer { paths, template } => {
            let input_paths_map = Some(Entries(paths)).filter(|paths| !paths.0.is_empty());
            input_transformer = Some(TransformerOut { input_paths_map, input_template: template });
        }
    }
    let is_default = target.attempts == MAX_ATTEMPTS && target.age_seconds == MAX_AGE_SECONDS;
    TargetOut {
        id: target.id,
        arn: target.arn,
        role_arn: target.role_arn,
        input,
        input_path,
        input_transformer,
        dead_letter_config: target.dead_letter.map(|arn| DeadLetter { arn: Some(arn) }),
        retry_policy: (!is_default).then_some(Retry {
            maximum_retry_attempts: Some(target.attempts),
            maximum_event_age_in_seconds: Some(target.age_seconds),
        }),
        http_parameters: target.http.map(|http| HttpOut {
            path_parameter_values: http.path_parameter_values,
            header_parameters: Entries(http.header_parameters),
            query_string_parameters: Entries(http.query_string_parameters),
        }),
        sqs_parameters: target.message_group.map(|group| SqsParameters { message_group_id: Some(group) }),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    targets: Vec<TargetOut>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

fn list(call: &Call<'_>, input: List) -> Result<Listed, ApiError> {
    let bus = own_bus(call, input.event_bus_name.as_deref())?;
    let rule = name_of("Rule", input.rule.as_deref(), 64, false)?;
    let rule = call.host.event_rule(call.account(), &bus, &rule).map_err(of_failure)?;
    let all: Vec<Target> = rule.targets.into_values().collect();
    let (targets, next_token) = page(all, |target| target.id.clone(), None, input.next_token.as_deref(), input.limit)?;
    Ok(Listed { targets: targets.into_iter().map(target_out).collect(), next_token })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ByTarget {
    target_arn: Option<String>,
    event_bus_name: Option<String>,
    next_token: Option<String>,
    limit: Option<u32>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct RuleNames {
    rule_names: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

fn rules_by_target(call: &Call<'_>, input: ByTarget) -> Result<RuleNames, ApiError> {
    let bus = own_bus(call, input.event_bus_name.as_deref())?;
    let arn = input.target_arn.unwrap_or_default();
    let rules = call.host.event_rules(call.account(), &bus).map_err(of_failure)?;
    let has = rules.into_iter().filter(|rule| rule.targets.values().any(|target| target.arn == arn));
    let names: Vec<String> = has.map(|rule| rule.name).collect();
    let (rule_names, next_token) = page(names, String::clone, None, input.next_token.as_deref(), input.limit)?;
    Ok(RuleNames { rule_names, next_token })
}
