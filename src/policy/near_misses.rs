//! Policies that speak of requests like one that was decided, and whose conditions did not hold: which part of them did not.
//!
//! Cedar evaluates each part on the record's own facts; nothing is guessed from text.

use std::sync::Arc;

use cedar_policy::{Authorizer, Decision as Answer, Policy, PolicySet};
use serde_json::{Value, json};

use super::compile::{CompiledPolicies, PolicyText};
use super::decide::{Effect, Question, speaking};
use super::record::DecisionRecord;

/// A policy whose scope fits the request and whose conditions do not hold.
#[derive(Debug, Clone)]
pub(super) struct NearMiss {
    pub(super) text: Arc<PolicyText>,
    /// `when { context.request.mfa } does not hold`; none where that cannot be said.
    pub(super) why: Option<String>,
}

/// The policies that speak of the recorded request and did not match: of one that was refused the permits of the layers that were to
/// permit, of one that was allowed the forbids. None where the request cannot be judged again.
pub(super) fn near_misses(record: &DecisionRecord, policies: &CompiledPolicies) -> Vec<NearMiss> {
    let Ok(question) = record.question() else { return Vec::new() };
    let matched = |id: &str| record.layers.iter().flat_map(|layer| &layer.matches).any(|found| found.id == id);
    let mut found: Vec<NearMiss> = Vec::new();
    for (layer, permit_needed) in question.layers() {
        for text in speaking(policies, &question, &layer) {
            let counts = match text.effect {
                Effect::Permit => permit_needed && !record.allowed,
                Effect::Forbid => record.allowed,
            };
            if counts && !matched(&text.id) && !found.iter().any(|known| known.text.id == text.id) {
                found.push(NearMiss { why: first_that_fails(&text, &question), text });
            }
        }
    }
    found.truncate(MAX_TOLD);
    found
}

/// The part of a policy's conditions that keeps it from matching.
fn first_that_fails(text: &PolicyText, question: &Question) -> Option<String> {
    let policy = Policy::parse(None, &text.text).ok()?.to_json().ok()?;
    for condition in policy["conditions"].as_array()? {
        let is_when = condition["kind"] == "when";
        let mut parts = Vec::new();
        flatten(&condition["body"], if is_when { "&&" } else { "||" }, &mut parts);
        for part in parts {
            let (holds, shown) = evaluate(part, question)?;
            match (is_when, holds) {
                (true, Some(false)) => return Some(format!("`{shown}` does not hold")),
                (false, Some(true)) => return Some(format!("`{shown}` holds, which it makes an exception of")),
                (_, None) => return Some(format!("`{shown}` could not be evaluated")),
                _ => {}
            }
        }
    }
    None
}

/// The operands of a chain of one operator.
fn flatten<'a>(body: &'a Value, operator: &str, parts: &mut Vec<&'a Value>) {
    match body.get(operator) {
        Some(operands) => {
            flatten(&operands["left"], operator, parts);
            flatten(&operands["right"], operator, parts);
        }
        None => parts.push(body),
    }
}

/// Whether an expression holds for the question, and how Cedar writes it; an expression that fails is neither true nor false.
fn evaluate(expression: &Value, question: &Question) -> Option<(Option<bool>, String)> {
    let any = json!({ "op": "All" });
    let policy = json!({
        "effect": "permit", "principal": any, "action": any, "resource": any,
        "conditions": [{ "kind": "when", "body": expression }],
    });
    let policy = Policy::from_json(None, policy).ok()?;
    let written = policy.to_cedar()?;
    let shown = written.split_once("when {").and_then(|(_, rest)| rest.rsplit_once('}'));
    let shown = shown.map_or(written.as_str(), |(condition, _)| condition).split_whitespace().collect::<Vec<_>>();
    let set = PolicySet::from_policies([policy]).ok()?;
    let response = Authorizer::new().is_authorized(&question.request, &set, &question.entities);
    let failed = response.diagnostics().errors().next().is_some();
    Some(((!failed).then(|| response.decision() == Answer::Allow), shown.join(" ")))
}

/// Most policies told.
const MAX_TOLD: usize = 20;
