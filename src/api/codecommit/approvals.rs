//! Approving pull requests: states, rules, evaluation, and setting rules aside.

use serde::{Deserialize, Serialize};

use super::super::codec::Timestamp;
use super::super::error::ApiError;
use super::super::operation::{Call, NotRegistered, Operations};
use super::super::service::Service::CodeCommit;
use super::Done;
use super::reviews::{found, names_pull_request, of_pull_request, of_review};
use crate::names::escape_for_people;
use crate::operations::authorize::Weight::{Read, Write};
use crate::review::rules::{ApprovalRule, Content, MAX_CONTENT_CHARS, MAX_NAME_CHARS, content_digest};

pub(super) fn register(all: &mut Operations) -> Result<(), NotRegistered> {
    let action = "codecommit:UpdatePullRequestApprovalState";
    all.add_hidden(CodeCommit, "UpdatePullRequestApprovalState", action, Write, of_pull_request, set_state)?;
    let action = "codecommit:GetPullRequestApprovalStates";
    all.add_hidden(CodeCommit, "GetPullRequestApprovalStates", action, Read, of_pull_request, states)?;
    let action = "codecommit:EvaluatePullRequestApprovalRules";
    all.add_hidden(CodeCommit, "EvaluatePullRequestApprovalRules", action, Read, of_pull_request, evaluate)?;
    let action = "codecommit:OverridePullRequestApprovalRules";
    all.add_hidden(CodeCommit, "OverridePullRequestApprovalRules", action, Write, of_pull_request, set_override)?;
    let action = "codecommit:GetPullRequestOverrideState";
    all.add_hidden(CodeCommit, "GetPullRequestOverrideState", action, Read, of_pull_request, overridden)?;
    let action = "codecommit:CreatePullRequestApprovalRule";
    all.add_hidden(CodeCommit, "CreatePullRequestApprovalRule", action, Write, of_pull_request, create_rule)?;
    let action = "codecommit:UpdatePullRequestApprovalRuleContent";
    all.add_hidden(CodeCommit, "UpdatePullRequestApprovalRuleContent", action, Write, of_pull_request, update_rule)?;
    let action = "codecommit:DeletePullRequestApprovalRule";
    all.add_hidden(CodeCommit, "DeletePullRequestApprovalRule", action, Write, of_pull_request, delete_rule)
}

names_pull_request!(SetState, OfRevision, SetOverride, CreateRule, UpdateRule, DeleteRule);

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Rule {
    approval_rule_id: String,
    approval_rule_name: String,
    approval_rule_content: String,
    rule_content_sha256: String,
    last_modified_date: Timestamp,
    creation_date: Timestamp,
    last_modified_user: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    origin_approval_rule_template: Option<OriginOut>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OriginOut {
    approval_rule_template_id: String,
    approval_rule_template_name: String,
}

fn rule_out(rule: &ApprovalRule) -> Rule {
    Rule {
        approval_rule_id: rule.id.to_string(),
        approval_rule_name: rule.name.clone(),
        approval_rule_content: rule.content.clone(),
        rule_content_sha256: content_digest(&rule.content),
        last_modified_date: Timestamp(rule.changed_ms),
        creation_date: Timestamp(rule.created_ms),
        last_modified_user: rule.changed_by.clone(),
        origin_approval_rule_template: rule.template.as_ref().map(|origin| OriginOut {
            approval_rule_template_id: origin.id.to_string(),
            approval_rule_template_name: origin.name.clone(),
        }),
    }
}

/// Rules in the model's shape.
pub(super) fn rules_of(rules: &[ApprovalRule]) -> Vec<Rule> {
    rules.iter().map(rule_out).collect()
}

fn revision_id(given: Option<&str>) -> Result<&str, ApiError> {
    match given {
        None | Some("") => Err(ApiError::client("RevisionIdRequiredException", 400, "a revision id is required")),
        Some(id) => Ok(id),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SetState {
    #[serde(default)]
    pull_request_id: String,
    revision_id: Option<String>,
    approval_state: Option<String>,
}

fn set_state(call: &Call<'_>, input: SetState) -> Result<Done, ApiError> {
    let (record, number) = found(call, &input.pull_request_id)?;
    let revision = revision_id(input.revision_id.as_deref())?;
    let is_approved = match input.approval_state.as_deref() {
        Some("APPROVE") => true,
        Some("REVOKE") => false,
        None | Some("") => {
            return Err(ApiError::client("ApprovalStateRequiredException", 400, "an approval state is required"));
        }
        Some(other) => {
            let shown = escape_for_people(other.as_bytes(), 40);
            let message = format!("`{shown}` is no approval state: APPROVE or REVOKE");
            return Err(ApiError::client("InvalidApprovalStateException", 400, message));
        }
    };
    call.host.set_approval(call.ctx, &record, number, revision, is_approved).map_err(of_review)?;
    Ok(Done {})
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OfRevision {
    #[serde(default)]
    pull_request_id: String,
    revision_id: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ApprovalOut {
    user_arn: String,
    approval_state: &'static str,
}

#[derive(Serialize)]
struct States {
    approvals: Vec<ApprovalOut>,
}

fn states(call: &Call<'_>, input: OfRevision) -> Result<States, ApiError> {
    let (record, number) = found(call, &input.pull_request_id)?;
    let revision = revision_id(input.revision_id.as_deref())?;
    let approvals = call.host.approvals(&record, number, revision).map_err(of_review)?;
    let out = |(user_arn, is_approved)| ApprovalOut {
        user_arn,
        approval_state: if is_approved { "APPROVE" } else { "REVOKE" },
    };
    Ok(States { approvals: approvals.into_iter().map(out).collect() })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EvaluationOut {
    approved: bool,
    overridden: bool,
    approval_rules_satisfied: Vec<String>,
    approval_rules_not_satisfied: Vec<String>,
}

#[derive(Serialize)]
struct Evaluated {
    evaluation: EvaluationOut,
}

fn evaluate(call: &Call<'_>, input: OfRevision) -> Result<Evaluated, ApiError> {
    let (record, number) = found(call, &input.pull_request_id)?;
    let revision = revision_id(input.revision_id.as_deref())?;
    let evaluation = call.host.evaluate_rules(&record, number, revision).map_err(of_review)?;
    Ok(Evaluated {
        evaluation: EvaluationOut {
            approved: evaluation.is_approved,
            overridden: evaluation.is_overridden,
            approval_rules_satisfied: evaluation.satisfied,
            approval_rules_not_satisfied: evaluation.unsatisfied,
        },
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SetOverride {
    #[serde(default)]
    pull_request_id: String,
    revision_id: Option<String>,
    override_status: Option<String>,
}

fn set_override(call: &Call<'_>, input: SetOverride) -> Result<Done, ApiError> {
    let (record, number) = found(call, &input.pull_request_id)?;
    let revision = revision_id(input.revision_id.as_deref())?;
    let is_set = match input.override_status.as_deref() {
        Some("OVERRIDE") => true,
        Some("REVOKE") => false,
        None | Some("") => {
            return Err(ApiError::client("OverrideStatusRequiredException", 400, "an override status is required"));
        }
        Some(other) => {
            let shown = escape_for_people(other.as_bytes(), 40);
            let message = format!("`{shown}` is no override status: OVERRIDE or REVOKE");
            return Err(ApiError::client("InvalidOverrideStatusException", 400, message));
        }
    };
    call.host.override_rules(call.ctx, &record, number, revision, is_set).map_err(of_review)?;
    Ok(Done {})
}

#[derive(Serialize)]
struct Overridden {
    overridden: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    overrider: Option<String>,
}

fn overridden(call: &Call<'_>, input: OfRevision) -> Result<Overridden, ApiError> {
    let (record, number) = found(call, &input.pull_request_id)?;
    let revision = revision_id(input.revision_id.as_deref())?;
    let by = call.host.rules_overridden_by(&record, number, revision).map_err(of_review)?;
    Ok(Overridden { overridden: by.is_some(), overrider: by.map(|person| person.arn) })
}

/// A rule's name, within the model's bounds. `what` is `ApprovalRule` or `ApprovalRuleTemplate`.
pub(super) fn rule_name<'a>(given: Option<&'a str>, what: &str) -> Result<&'a str, ApiError> {
    match given {
        None | Some("") => Err(ApiError::client(&format!("{what}NameRequiredException"), 400, "a name is required")),
        Some(name) if name.chars().count() > MAX_NAME_CHARS || name.chars().any(char::is_control) => {
            let message = format!("a name has up to {MAX_NAME_CHARS} characters of printable text");
            Err(ApiError::client(&format!("Invalid{what}NameException"), 400, message))
        }
        Some(name) => Ok(name),
    }
}

/// A rule's document, read.
pub(super) fn rule_content<'a>(given: Option<&'a str>, what: &str) -> Result<&'a str, ApiError> {
    let invalid = |why: String| ApiError::client(&format!("Invalid{what}ContentException"), 400, why);
    match given {
        None | Some("") => {
            Err(ApiError::client(&format!("{what}ContentRequiredException"), 400, "a content is required"))
        }
        Some(text) if text.chars().count() > MAX_CONTENT_CHARS => {
            Err(invalid(format!("a content has up to {MAX_CONTENT_CHARS} characters")))
        }
        Some(text) => {
            let content = Content::parse(text).map_err(|bad| invalid(bad.to_string()))?;
            if what == "ApprovalRule" && content.references.is_some() {
                return Err(invalid("DestinationReferences belong to templates".to_owned()));
            }
            Ok(text)
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CreateRule {
    #[serde(default)]
    pull_request_id: String,
    approval_rule_name: Option<String>,
    approval_rule_content: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OneRule {
    approval_rule: Rule,
}

fn create_rule(call: &Call<'_>, input: CreateRule) -> Result<OneRule, ApiError> {
    let (record, number) = found(call, &input.pull_request_id)?;
    let name = rule_name(input.approval_rule_name.as_deref(), "ApprovalRule")?;
    let content = rule_content(input.approval_rule_content.as_deref(), "ApprovalRule")?;
    let rule = call.host.create_rule(call.ctx, &record, number, name, content).map_err(of_review)?;
    Ok(OneRule { approval_rule: rule_out(&rule) })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct UpdateRule {
    #[serde(default)]
    pull_request_id: String,
    approval_rule_name: Option<String>,
    existing_rule_content_sha256: Option<String>,
    new_rule_content: Option<String>,
}

fn update_rule(call: &Call<'_>, input: UpdateRule) -> Result<OneRule, ApiError> {
    let (record, number) = found(call, &input.pull_request_id)?;
    let name = rule_name(input.approval_rule_name.as_deref(), "ApprovalRule")?;
    let content = rule_content(input.new_rule_content.as_deref(), "ApprovalRule")?;
    let expected = input.existing_rule_content_sha256.as_deref().filter(|digest| !digest.is_empty());
    let rule = call.host.update_rule(call.ctx, &record, number, name, content, expected).map_err(of_review)?;
    Ok(OneRule { approval_rule: rule_out(&rule) })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DeleteRule {
    #[serde(default)]
    pull_request_id: String,
    approval_rule_name: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RuleDeleted {
    #[serde(skip_serializing_if = "Option::is_none")]
    approval_rule_id: Option<String>,
}

fn delete_rule(call: &Call<'_>, input: DeleteRule) -> Result<RuleDeleted, ApiError> {
    let (record, number) = found(call, &input.pull_request_id)?;
    let name = rule_name(input.approval_rule_name.as_deref(), "ApprovalRule")?;
    let id = call.host.delete_rule(call.ctx, &record, number, name).map_err(of_review)?;
    Ok(RuleDeleted { approval_rule_id: id.map(|id| id.to_string()) })
}
