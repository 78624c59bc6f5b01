//! What would have to differ for a refused request: single facts that, changed, keep a forbid from matching or make a permit match.
//!
//! Nothing is guessed from a policy's text: each fact is changed in the decision's record, and Cedar decides again. Facts that
//! are tried are the groups that policies name, whatever is yes or no, and, for texts, numbers and addresses of the context, what
//! policies compare with. Another resource would be another request.

use std::collections::BTreeSet;
use std::net::IpAddr;

use cedar_policy::{EntityUid, Policy};
use serde_json::{Value, json};

use super::action::Action;
use super::compile::CompiledPolicies;
use super::context;
use super::decide::Decision;
use super::near_misses::near_misses;
use super::record::DecisionRecord;

/// One fact, and what it would change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Difference {
    /// `the principal were in Group::"..."`, `context.allCommitsSigned were true`.
    pub(super) fact: String,
    /// Forbids that would no longer match.
    pub(super) lifted: Vec<String>,
    /// Permits that would match.
    pub(super) permits: Vec<String>,
    /// Whether that alone would permit the request.
    pub(super) alone: bool,
    /// Whether it would together with all others that are marked so.
    pub(super) together: bool,
}

#[derive(Clone)]
enum Change {
    Group {
        group: EntityUid,
        join: bool,
    },
    /// A field of the context, as Cedar JSON.
    Field {
        pointer: String,
        value: Value,
    },
    /// An element more in a set of the context.
    Element {
        pointer: String,
        value: Value,
    },
    /// A yes or no of the one who asks.
    OfPrincipal {
        attribute: String,
        value: bool,
    },
}

/// The facts that would each change what a policy says of a refused request; empty for what is allowed or cannot be judged.
pub(super) fn differences(record: &DecisionRecord, policies: &CompiledPolicies) -> Vec<Difference> {
    let Ok(now) = record.decide_again(policies) else { return Vec::new() };
    if now.allowed {
        return Vec::new();
    }
    let mut found: Vec<(Change, Difference)> = Vec::new();
    for change in changes(record, policies) {
        let Some(then) = with(record, [&change]).and_then(|record| record.decide_again(policies).ok()) else {
            continue;
        };
        let (forbids, permits) = said(&now);
        let (forbids_then, permits_then) = said(&then);
        let lifted: Vec<String> = forbids.difference(&forbids_then).cloned().collect();
        let permits: Vec<String> = permits_then.difference(&permits).cloned().collect();
        // A permit helps only where one is missing.
        let silent = now.verdicts.iter().zip(&then.verdicts);
        let fills = silent.into_iter().any(|(now, then)| now.permit_needed && !now.permits() && then.permits());
        if lifted.is_empty() && !fills {
            continue;
        }
        let permits = if fills { permits } else { Vec::new() };
        let fact = change.words();
        found.push((change, Difference { fact, lifted, permits, alone: then.allowed, together: false }));
        if found.len() == MAX_DIFFERENCES {
            break;
        }
    }
    let all =
        with(record, found.iter().map(|(change, _)| change)).and_then(|record| record.decide_again(policies).ok());
    let together = found.len() > 1 && all.is_some_and(|decision| decision.allowed);
    found.into_iter().map(|(_, difference)| Difference { together, ..difference }).collect()
}

impl Difference {
    /// One line for people.
    pub(super) fn words(&self) -> String {
        let mut effects = Vec::new();
        effects.extend(self.lifted.iter().map(|id| format!("policy {id} would not forbid it")));
        effects.extend(self.permits.iter().map(|id| format!("policy {id} would permit it")));
        let enough = match (self.alone, self.together) {
            (true, _) => "alone enough",
            (false, true) => "enough together with the others",
            (false, false) => "not enough",
        };
        format!("if {}: {} ({enough})", self.fact, effects.join(", "))
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "fact": self.fact, "notForbiddenBy": self.lifted, "permittedBy": self.permits,
            "alone": self.alone, "together": self.together,
        })
    }
}

impl Change {
    fn words(&self) -> String {
        match self {
            Change::Group { group, join: true } => format!("the principal were in {group}"),
            Change::Group { group, join: false } => format!("the principal were not in {group}"),
            Change::Field { pointer, value } => {
                let shown = value.pointer("/__extn/arg").unwrap_or(value);
                format!("context{} were {shown}", pointer.replace('/', "."))
            }
            Change::Element { pointer, value } => format!("context{} held {value}", pointer.replace('/', ".")),
            Change::OfPrincipal { attribute, value } => format!("principal.{attribute} were {value}"),
        }
    }
}

/// The forbids and the permits that matched.
fn said(decision: &Decision) -> (BTreeSet<String>, BTreeSet<String>) {
    let matches = || decision.verdicts.iter().flat_map(|verdict| &verdict.matches);
    let forbids = matches().filter(|found| found.effect == super::Effect::Forbid);
    let permits = matches().filter(|found| found.effect == super::Effect::Permit && !found.errored);
    (forbids.map(|found| found.id.clone()).collect(), permits.map(|found| found.id.clone()).collect())
}

/// Facts worth trying: those that a policy of a layer that was heard could look at.
fn changes(record: &DecisionRecord, policies: &CompiledPolicies) -> Vec<Change> {
    let Some(facts) = &record.facts else { return Vec::new() };
    let mut out = Vec::new();
    // Only users are in groups, those of their own account.
    if let (true, Some(account)) = (record.principal.starts_with("User::"), &facts.caller) {
        let parents = principal_of(record, &facts.entities).map(|entity| entity["parents"].clone());
        let parents = parents.unwrap_or_default();
        let own = format!("{account}/");
        let mut matched: BTreeSet<&str> = BTreeSet::new();
        matched.extend(record.layers.iter().flat_map(|layer| &layer.matches).map(|found| found.id.as_str()));
        let (first, rest): (Vec<_>, Vec<_>) = policies.texts().partition(|text| matched.contains(text.id.as_str()));
        let mut groups: Vec<EntityUid> = Vec::new();
        for text in first.into_iter().chain(rest).take(MAX_POLICIES) {
            let Ok(policy) = Policy::parse(None, &text.text) else { continue };
            for uid in policy.entity_literals() {
                let is_own = uid.type_name().basename() == "Group" && uid.id().unescaped().starts_with(&own);
                if is_own && !groups.contains(&uid) {
                    groups.push(uid);
                }
            }
        }
        for group in groups.into_iter().take(MAX_TRIED) {
            let join = !parents.as_array().is_some_and(|parents| parents.contains(&uid_json(&group)));
            out.push(Change::Group { group, join });
        }
    }
    if let Some(attributes) = principal_of(record, &facts.entities).and_then(|entity| entity["attrs"].as_object()) {
        let flags = attributes.iter().filter_map(|(name, value)| Some((name, value.as_bool()?)));
        out.extend(flags.map(|(name, now)| Change::OfPrincipal { attribute: name.clone(), value: !now }));
    }
    let spoken = literals(record, policies);
    let Ok(action) = Action::parse(&record.action) else { return out };
    // What is there, and what could be: each with the type that it has.
    for shape in [Some(facts.context.clone()), context::fullest(&action)].into_iter().flatten() {
        fields(&shape, String::new(), &spoken, &mut out);
    }
    let mut seen = BTreeSet::new();
    out.retain(|change| {
        let is_now =
            matches!(change, Change::Field { pointer, value } if facts.context.pointer(pointer) == Some(value));
        !is_now && seen.insert(change.words())
    });
    out.truncate(MAX_DECISIONS);
    out
}

/// Other values for each field of a context of that shape.
fn fields(value: &Value, pointer: String, spoken: &Literals, out: &mut Vec<Change>) {
    let field = |value: Value| Change::Field { pointer: pointer.clone(), value };
    match value {
        Value::Bool(now) => out.extend([field(json!(!now)), field(json!(now))]),
        Value::String(_) => out.extend(spoken.texts.iter().map(|text| field(json!(text)))),
        Value::Number(_) => out.extend(spoken.numbers.iter().map(|number| field(json!(number)))),
        Value::Array(elements) if elements.iter().all(Value::is_string) => {
            let element = |text: &String| Change::Element { pointer: pointer.clone(), value: json!(text) };
            out.extend(spoken.texts.iter().map(element));
        }
        // An address; no other extension values are tried.
        Value::Object(extension) if extension.get("__extn").is_some_and(|call| call["fn"] == "ip") => {
            let address = |text: &String| text.split('/').next()?.parse::<IpAddr>().ok();
            let addresses = spoken.texts.iter().filter_map(address);
            out.extend(addresses.map(|ip| field(json!({ "__extn": { "fn": "ip", "arg": ip.to_string() } }))));
        }
        Value::Object(members) if !members.contains_key("__entity") && !members.contains_key("__extn") => {
            members.iter().for_each(|(name, value)| fields(value, format!("{pointer}/{name}"), spoken, out));
        }
        _ => {}
    }
}

/// What policies that could speak about the request compare with.
#[derive(Default)]
struct Literals {
    texts: BTreeSet<String>,
    numbers: BTreeSet<i64>,
}

fn literals(record: &DecisionRecord, policies: &CompiledPolicies) -> Literals {
    let mut found = Literals::default();
    let matched = record.layers.iter().flat_map(|layer| &layer.matches).filter_map(|found| policies.text(&found.id));
    let missed = near_misses(record, policies);
    let texts = matched.map(|text| text.text.as_str()).chain(missed.iter().map(|missed| missed.text.text.as_str()));
    for text in texts.take(MAX_POLICIES) {
        let Ok(policy) = Policy::parse(None, text) else { continue };
        if let Ok(json) = policy.to_json() {
            found.of_expression(&json["conditions"]);
        }
    }
    found
}

impl Literals {
    fn of_expression(&mut self, json: &Value) {
        match json {
            Value::Object(members) => match members.get("Value") {
                Some(Value::String(text)) if self.texts.len() < MAX_LITERALS => drop(self.texts.insert(text.clone())),
                Some(Value::Number(number)) if self.numbers.len() < MAX_LITERALS => {
                    self.numbers.extend(number.as_i64());
                }
                _ => members.values().for_each(|value| self.of_expression(value)),
            },
            Value::Array(elements) => elements.iter().for_each(|value| self.of_expression(value)),
            _ => {}
        }
    }
}

/// The record with other facts; none if it has not the place that is to change.
fn with<'a>(record: &DecisionRecord, changes: impl IntoIterator<Item = &'a Change>) -> Option<DecisionRecord> {
    let mut record = record.clone();
    for change in changes {
        let mut facts = record.facts.take()?;
        match change {
            Change::Field { pointer, value } => {
                let (parent, field) = pointer.rsplit_once('/')?;
                let parent = facts.context.pointer_mut(parent)?.as_object_mut()?;
                parent.insert(field.to_owned(), value.clone());
            }
            Change::Element { pointer, value } => {
                let (parent, field) = pointer.rsplit_once('/')?;
                let parent = facts.context.pointer_mut(parent)?.as_object_mut()?;
                parent.entry(field).or_insert_with(|| json!([])).as_array_mut()?.push(value.clone());
            }
            Change::OfPrincipal { attribute, value } => {
                let wanted = record.principal.as_str();
                let entities = facts.entities.as_array_mut()?;
                let principal = entities.iter_mut().find(|entity| uid_text(&entity["uid"]) == wanted)?;
                principal["attrs"][attribute] = json!(value);
            }
            Change::Group { group, join } => {
                let wanted = record.principal.as_str();
                let entities = facts.entities.as_array_mut()?;
                let account = group.id().unescaped().split('/').next()?.to_owned();
                let uid = uid_json(group);
                if !entities.iter().any(|entity| entity["uid"] == uid) {
                    let parents = json!([{ "type": "Account", "id": account }]);
                    entities.push(json!({ "uid": uid, "attrs": {}, "parents": parents }));
                }
                let principal = entities.iter_mut().find(|entity| uid_text(&entity["uid"]) == wanted)?;
                let parents = principal["parents"].as_array_mut()?;
                parents.retain(|parent| *parent != uid);
                if *join {
                    parents.push(uid);
                }
            }
        }
        record.facts = Some(facts);
    }
    Some(record)
}

fn principal_of<'a>(record: &DecisionRecord, entities: &'a Value) -> Option<&'a Value> {
    entities.as_array()?.iter().find(|entity| uid_text(&entity["uid"]) == record.principal)
}

fn uid_json(uid: &EntityUid) -> Value {
    json!({ "type": uid.type_name().to_string(), "id": uid.id().unescaped() })
}

/// An entity's id as Cedar writes it.
fn uid_text(uid: &Value) -> String {
    EntityUid::from_json(uid.clone()).map(|uid| uid.to_string()).unwrap_or_default()
}

/// Most differences told.
const MAX_DIFFERENCES: usize = 10;
/// Most policies looked at.
const MAX_POLICIES: usize = 200;
/// Most groups tried; each is one more decision.
const MAX_TRIED: usize = 50;
/// Most literals of policies tried, of each kind.
const MAX_LITERALS: usize = 20;
/// Most decisions made to answer one question.
const MAX_DECISIONS: usize = 400;
