//! SimulatePrincipalPolicy: what somebody may do, without doing it.

use serde::{Deserialize, Serialize};

use super::super::error::ApiError;
use super::super::operation::{Call, NotRegistered, Operations};
use super::super::service::Service;
use super::tags::MAX_TAGS;
use super::{PageEnd, Paging};
use crate::names::{RefName, escape_for_people};
use crate::operations::authorize::Weight::Read;
use crate::operations::simulation::{Carried, Simulation, Source};
use crate::policy::{Action, Effect, Layer, PolicyMatch, ResourceFacts};

pub(super) fn register(all: &mut Operations) -> Result<(), NotRegistered> {
    let name = "SimulatePrincipalPolicy";
    all.add(Service::Iam, name, "iam:SimulatePrincipalPolicy", Read, of_source, simulate)
}

/// Most decisions for one call.
const MAX_RESULTS: usize = 1000;
/// Most documents put beside what is attached.
const MAX_DOCUMENTS: usize = 10;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Simulate {
    policy_source_arn: String,
    action_names: Vec<String>,
    #[serde(default)]
    resource_arns: Vec<String>,
    #[serde(default)]
    policy_input_list: Vec<String>,
    #[serde(default)]
    context_entries: Vec<ContextEntry>,
    #[serde(default)]
    permissions_boundary_policy_input_list: Vec<String>,
    resource_policy: Option<String>,
    caller_arn: Option<String>,
    resource_owner: Option<String>,
    resource_handling_option: Option<String>,
    #[serde(flatten)]
    paging: Paging,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ContextEntry {
    context_key_name: String,
    #[serde(default)]
    context_key_values: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Results {
    evaluation_results: Vec<Evaluation>,
    #[serde(flatten)]
    end: PageEnd,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Evaluation {
    eval_action_name: String,
    eval_resource_name: String,
    eval_decision: &'static str,
    matched_statements: Vec<Matched>,
    missing_context_values: Vec<&'static str>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Matched {
    source_policy_id: String,
    source_policy_type: &'static str,
}

impl Matched {
    fn of(found: &PolicyMatch) -> Matched {
        // What is attached is called by what it is attached to, see `AttachedDocument::name`.
        let attached = found.id.split('/').nth(1).filter(|_| found.id.contains('#'));
        let source_policy_type = match (&found.layer, attached) {
            (Layer::Trust(_), _) => "resource",
            (_, Some("user")) => "user",
            (_, Some("group")) => "group",
            (_, Some("role")) => "role",
            _ => "none",
        };
        Matched { source_policy_id: found.id.clone(), source_policy_type }
    }
}

fn source(call: &Call<'_>, input: &Simulate) -> Result<(Source, ResourceFacts), ApiError> {
    let shown = escape_for_people(input.policy_source_arn.as_bytes(), 200);
    let source = Source::parse(&input.policy_source_arn, call.account()).ok_or_else(|| {
        ApiError::validation(format!("`{shown}` is not the ARN of a user, group or role of this account"))
    })?;
    match source.resource(&call.directory, call.account()) {
        Some(resource) => Ok((source, resource)),
        None => Err(ApiError::client("NoSuchEntity", 404, format!("There is no `{shown}`"))),
    }
}

fn of_source(call: &Call<'_>, input: &Simulate) -> Result<ResourceFacts, ApiError> {
    Ok(source(call, input)?.1)
}

fn simulate(call: &Call<'_>, input: Simulate) -> Result<Results, ApiError> {
    let (source, _) = source(call, &input)?;
    let invalid = |message: String| ApiError::client("InvalidInput", 400, message);
    for (is_given, what) in [
        (!input.permissions_boundary_policy_input_list.is_empty(), "PermissionsBoundaryPolicyInputList"),
        (input.resource_policy.is_some(), "ResourcePolicy"),
        (input.caller_arn.as_ref().is_some_and(|arn| *arn != input.policy_source_arn), "CallerArn"),
        (input.resource_owner.is_some(), "ResourceOwner"),
        (input.resource_handling_option.is_some(), "ResourceHandlingOption"),
    ] {
        if is_given {
            return Err(invalid(format!("{what} is not simulated here: leave it out")));
        }
    }
    let everything = ["*".to_owned()];
    let resources = if input.resource_arns.is_empty() { &everything[..] } else { &input.resource_arns };
    if input.action_names.is_empty() || input.action_names.len().saturating_mul(resources.len()) > MAX_RESULTS {
        return Err(invalid(format!("ActionNames times ResourceArns are between 1 and {MAX_RESULTS}")));
    }
    if input.policy_input_list.len() > MAX_DOCUMENTS {
        return Err(invalid(format!("PolicyInputList has at most {MAX_DOCUMENTS} documents")));
    }
    let carried = carried(&input.context_entries)?;
    let simulation = Simulation {
        account: call.account(),
        source: &source,
        documents: &input.policy_input_list,
        carried: &carried,
        directory: &call.directory,
        region: call.host.identity().region(),
        now_ms: call.now_ms,
    };
    let policies = simulation.policies(call.host.policies()).map_err(invalid)?;
    let mut results = Vec::new();
    for name in &input.action_names {
        let action = Action::parse(name).map_err(|unknown| invalid(unknown.to_string()))?;
        for resource in resources {
            let simulated = simulation.decide(&policies, &action, resource).map_err(invalid)?;
            let decision = &simulated.decision;
            let forbidden = decision.determining.iter().any(|found| found.effect == Effect::Forbid);
            results.push(Evaluation {
                eval_action_name: name.clone(),
                eval_resource_name: resource.clone(),
                eval_decision: match (decision.allowed, forbidden) {
                    (true, _) => "allowed",
                    (false, true) => "explicitDeny",
                    (false, false) => "implicitDeny",
                },
                matched_statements: decision.determining.iter().map(Matched::of).collect(),
                missing_context_values: simulated.missing,
            });
        }
    }
    // In the order of the call, by number.
    let numbered = results.into_iter().enumerate();
    let page = input.paging.page(numbered, |(at, _)| format!("{at:04}"))?;
    let (evaluations, end) = page.split();
    Ok(Results { evaluation_results: evaluations.into_iter().map(|(_, evaluation)| evaluation).collect(), end })
}

fn carried(entries: &[ContextEntry]) -> Result<Carried, ApiError> {
    let mut carried = Carried::default();
    for entry in entries {
        let shown = escape_for_people(entry.context_key_name.as_bytes(), 100);
        let bad = |why: &str| ApiError::client("InvalidInput", 400, format!("ContextEntries: `{shown}` {why}"));
        if entry.context_key_name.eq_ignore_ascii_case("aws:TagKeys") {
            carried.tag_keys.extend(entry.context_key_values.iter().cloned());
            continue;
        }
        let [value] = entry.context_key_values.as_slice() else {
            return Err(bad("has one value here, no more and no less"));
        };
        if let Some((prefix, key)) = entry.context_key_name.split_once('/')
            && prefix.eq_ignore_ascii_case("aws:RequestTag")
        {
            carried.request_tags.insert(key.to_owned(), value.clone());
            continue;
        }
        match entry.context_key_name.to_ascii_lowercase().as_str() {
            "aws:sourceip" => carried.source_ip = Some(value.parse().map_err(|_| bad("is no address"))?),
            "aws:currenttime" => {
                let time: jiff::Timestamp =
                    value.parse().map_err(|_| bad("is no time, such as 2026-01-31T00:00:00Z"))?;
                carried.time_ms = Some(time.as_millisecond());
            }
            "aws:multifactorauthpresent" => {
                carried.mfa = value.parse().map_err(|_| bad("is neither `true` nor `false`"))?;
            }
            "codecommit:references" => {
                let name = RefName::parse(value.as_bytes()).map_err(|_| bad("is no ref, such as `refs/heads/main`"))?;
                carried.reference = Some(name);
            }
            "sts:externalid" => carried.external_id = Some(value.clone()),
            "sts:rolesessionname" => carried.session_name = Some(value.clone()),
            "iam:passedtoservice" => carried.passed_to = Some(value.clone()),
            _ => {
                return Err(bad("is no key that a simulation takes here; what principals and resources have is known"));
            }
        }
    }
    if carried.request_tags.len() > MAX_TAGS || carried.tag_keys.len() > MAX_TAGS {
        let message = format!("ContextEntries: a request has at most {MAX_TAGS} tags");
        return Err(ApiError::client("InvalidInput", 400, message));
    }
    Ok(carried)
}
