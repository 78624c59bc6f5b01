//! A recorded decision, told to people.

use super::compile::{CompiledPolicies, SessionPolicy};
use super::differs::differences;
use super::near_misses::near_misses;
use super::record::{DecisionRecord, LayerRecord};
use crate::names::escape_for_people;

/// A decision explained: as text, and as JSON with the same content.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// Lines for a terminal.
    pub text: String,
    /// The record, and the texts of the policies where those were given.
    pub json: serde_json::Value,
}

/// Explains a decision: the request, each layer's verdict, the policies that matched or failed, the context and the entities.
///
/// `policies` are those of the record's generation, given only if the one who asks may read policies: their texts are shown.
pub fn explain(record: &DecisionRecord, policies: Option<&CompiledPolicies>) -> Explanation {
    let session = record.session_policy.as_deref().and_then(|source| SessionPolicy::compile(source).ok());
    let policy_text = |layer: &str, id: &str| {
        let policies = policies?;
        match layer {
            "session" => session.as_ref()?.texts.get(id),
            _ => policies.text(id),
        }
    };
    let mut out = String::new();
    let mut line = |text: String| {
        // What came from outside cannot make a second line, or talk to the terminal.
        out.push_str(&escape_for_people(text.as_bytes(), 4000));
        out.push('\n');
    };
    line(format!("decision   {}", record.id));
    line(format!("answer     {}: {}", if record.allowed { "allowed" } else { "refused" }, record.reason));
    line(format!("policies   generation {}", record.generation));
    let attached_now = policies.map(|policies| policies.attached().fingerprint());
    let is_stale = attached_now.is_some_and(|now| now != record.attached.as_deref());
    if is_stale {
        line("           what is attached through IAM has changed since: of that, below, today's is meant".to_owned());
    }
    let time = jiff::Timestamp::from_millisecond(record.time_ms).map(|time| time.to_string());
    line(format!("time       {}", time.unwrap_or_else(|_| format!("{} ms", record.time_ms))));
    if record.count > 1 {
        let last = record.last_ms.and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
        let until = last.map(|last| format!(", the last at {last}")).unwrap_or_default();
        line(format!("asked      {} times{until}", record.count));
    }
    line(format!("principal  {}", record.principal));
    line(format!("action     {}", record.action));
    line(format!("resource   {}", record.resource));
    line(String::new());
    for layer in &record.layers {
        line(format!("{}: {}", layer_name(layer), verdict(layer)));
        for found in &layer.matches {
            let what = match (found.is_forbid(), found.errored) {
                (true, false) => "forbids",
                (true, true) => "could not be evaluated, so it forbids",
                (false, false) => "permits",
                (false, true) => "could not be evaluated, so it does not permit",
            };
            line(format!("  {} {what}", found.id));
            if let Some(advice) = &found.advice {
                line(format!("    advice: {advice}"));
            }
            if let Some(text) = policy_text(&layer.layer, &found.id) {
                line(format!("    at {}:{}", text.file, text.line));
                text.text.lines().for_each(|text| line(format!("    | {text}")));
            }
        }
    }
    let missed = policies.map(|policies| near_misses(record, policies)).unwrap_or_default();
    if !missed.is_empty() {
        line(String::new());
        line("policies that speak of this and did not match".to_owned());
        for missed in &missed {
            let why = missed.why.as_deref().unwrap_or("its conditions do not hold");
            line(format!("  {} ({}): {why}", missed.text.id, missed.text.effect.as_str()));
            line(format!("    at {}:{}", missed.text.file, missed.text.line));
        }
    }
    // They name policies' groups and conditions, so they are for those who may read policies.
    let differences = policies.map(|policies| differences(record, policies)).unwrap_or_default();
    if !differences.is_empty() {
        line(String::new());
        line("what would have to differ".to_owned());
        differences.iter().for_each(|difference| line(format!("  {}", difference.words())));
    }
    if let Some(facts) = &record.facts {
        line(String::new());
        line("context".to_owned());
        pretty(&facts.context).lines().for_each(|text| line(format!("  {text}")));
        line("entities".to_owned());
        for entity in facts.entities.as_array().into_iter().flatten() {
            line(format!("  {}", entity_line(entity)));
        }
    }
    let mut json = serde_json::to_value(record).unwrap_or_default();
    if policies.is_some() {
        let texts: serde_json::Map<String, serde_json::Value> = record
            .layers
            .iter()
            .flat_map(|layer| layer.matches.iter().map(move |found| (layer, found)))
            .filter_map(|(layer, found)| {
                let text = policy_text(&layer.layer, &found.id)?;
                let shown = serde_json::json!({ "file": text.file, "line": text.line, "text": text.text });
                Some((found.id.clone(), shown))
            })
            .collect();
        json["policies"] = texts.into();
        let told = missed.iter().map(|missed| {
            let text = &missed.text;
            serde_json::json!({
                "id": text.id, "effect": text.effect.as_str(), "file": text.file, "line": text.line, "why": missed.why,
            })
        });
        json["attachedHasChanged"] = is_stale.into();
        json["notMatched"] = told.collect();
        json["differences"] = differences.iter().map(|difference| difference.json()).collect();
    }
    Explanation { text: out, json }
}

fn layer_name(layer: &LayerRecord) -> String {
    match (layer.layer.as_str(), &layer.account) {
        ("account", Some(account)) => format!("policies of account {account}"),
        ("trust", Some(account)) => format!("trust policies of account {account}"),
        ("session", _) => "the session's own policy".to_owned(),
        (name, _) => format!("policies of the {name}"),
    }
}

fn verdict(layer: &LayerRecord) -> &'static str {
    let forbids = layer.matches.iter().any(|found| found.is_forbid());
    let permits = layer.matches.iter().any(|found| !found.is_forbid() && !found.errored);
    match (forbids, permits, layer.permit_needed) {
        (true, _, _) => "refused",
        (false, true, true) => "permitted",
        (false, false, true) => "nothing here permits it, and a permit is needed",
        (false, _, false) => "no objection",
    }
}

fn entity_line(entity: &serde_json::Value) -> String {
    let id = |uid: &serde_json::Value| {
        let part = |name: &str| uid.get(name).and_then(|part| part.as_str()).unwrap_or("?").to_owned();
        format!("{}::{:?}", part("type"), part("id"))
    };
    let mut text = id(&entity["uid"]);
    let parents: Vec<String> = entity["parents"].as_array().into_iter().flatten().map(id).collect();
    if !parents.is_empty() {
        text.push_str(&format!(" in [{}]", parents.join(", ")));
    }
    for part in ["attrs", "tags"] {
        if entity[part].as_object().is_some_and(|fields| !fields.is_empty()) {
            text.push_str(&format!(" {part} {}", entity[part]));
        }
    }
    text
}

fn pretty(json: &serde_json::Value) -> String {
    serde_json::to_string_pretty(json).unwrap_or_default()
}
