//! Pull requests: opened, looked at, changed, closed; and what happened to them.

use serde::{Deserialize, Serialize};

use super::super::codec::Timestamp;
use super::super::error::ApiError;
use super::super::operation::{Call, NotRegistered, Operations};
use super::super::service::Service::CodeCommit;
use super::approvals::{Rule, rules_of};
use super::reviews::{Page, found, names_pull_request, of_pull_request, of_review, page, token_of};
use super::{find, names_repository, of_repository};
use crate::names::{RefName, escape_for_people};
use crate::operations::authorize::Weight::{Read, Write};
use crate::operations::reviews::{NewPullRequest, PullRequestFilter, Shown};
use crate::policy::ResourceFacts;
use crate::review::pull_request::{
    Event, Happening, MAX_DESCRIPTION_CHARS, MAX_TITLE_CHARS, MergeOption, Merged, RuleEvent,
};
use crate::review::text_of;

pub(super) fn register(all: &mut Operations) -> Result<(), NotRegistered> {
    all.add(CodeCommit, "CreatePullRequest", "codecommit:CreatePullRequest", Write, of_create, create)?;
    all.add(CodeCommit, "ListPullRequests", "codecommit:ListPullRequests", Read, of_repository, list)?;
    all.add_hidden(CodeCommit, "GetPullRequest", "codecommit:GetPullRequest", Read, of_pull_request, get)?;
    let action = "codecommit:UpdatePullRequestTitle";
    all.add_hidden(CodeCommit, "UpdatePullRequestTitle", action, Write, of_pull_request, retitle)?;
    let action = "codecommit:UpdatePullRequestDescription";
    all.add_hidden(CodeCommit, "UpdatePullRequestDescription", action, Write, of_pull_request, describe)?;
    let action = "codecommit:UpdatePullRequestStatus";
    all.add_hidden(CodeCommit, "UpdatePullRequestStatus", action, Write, of_pull_request, set_status)?;
    let action = "codecommit:DescribePullRequestEvents";
    all.add_hidden(CodeCommit, "DescribePullRequestEvents", action, Read, of_pull_request, events)
}

names_repository!(List);
names_pull_request!(Get, Retitle, Describe, SetStatus, Events);

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct One {
    pull_request: PullRequest,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PullRequest {
    pull_request_id: String,
    title: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    last_activity_date: Timestamp,
    creation_date: Timestamp,
    pull_request_status: &'static str,
    author_arn: String,
    pull_request_targets: Vec<Target>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_request_token: Option<String>,
    revision_id: String,
    approval_rules: Vec<Rule>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Target {
    repository_name: String,
    source_reference: String,
    destination_reference: String,
    destination_commit: String,
    source_commit: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    merge_base: Option<String>,
    merge_metadata: MergeMetadata,
}

#[derive(Serialize, Default)]
#[serde(rename_all = "camelCase")]
struct MergeMetadata {
    is_merged: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    merged_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    merge_commit_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    merge_option: Option<&'static str>,
}

impl MergeMetadata {
    fn of(merged: Option<&Merged>) -> MergeMetadata {
        let Some(merged) = merged else { return MergeMetadata::default() };
        MergeMetadata {
            is_merged: true,
            merged_by: Some(merged.by.arn.clone()),
            merge_commit_id: Some(merged.commit.to_string()),
            merge_option: Some(merged.option.as_str()),
        }
    }
}

fn status(is_open: bool) -> &'static str {
    if is_open { "OPEN" } else { "CLOSED" }
}

/// A pull request in the model's shape.
pub(super) fn one(shown: Shown) -> One {
    let Shown { pull_request, repository } = shown;
    let target = Target {
        repository_name: repository,
        source_reference: text_of(&pull_request.source),
        destination_reference: text_of(&pull_request.destination),
        destination_commit: pull_request.destination_commit.to_string(),
        source_commit: pull_request.source_commit.to_string(),
        merge_base: pull_request.merge_base.map(|id| id.to_string()),
        merge_metadata: MergeMetadata::of(pull_request.merged.as_ref()),
    };
    One {
        pull_request: PullRequest {
            pull_request_id: pull_request.number.to_string(),
            last_activity_date: Timestamp(pull_request.active_ms),
            creation_date: Timestamp(pull_request.created_ms),
            pull_request_status: status(pull_request.is_open),
            author_arn: pull_request.author.arn.clone(),
            pull_request_targets: vec![target],
            revision_id: pull_request.revision_id(),
            approval_rules: rules_of(&pull_request.rules),
            client_request_token: pull_request.token,
            title: pull_request.title,
            description: pull_request.description,
        },
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Create {
    title: Option<String>,
    description: Option<String>,
    #[serde(default)]
    targets: Vec<TargetIn>,
    client_request_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TargetIn {
    #[serde(default)]
    repository_name: String,
    source_reference: Option<String>,
    destination_reference: Option<String>,
}

fn the_target(input: &Create) -> Result<&TargetIn, ApiError> {
    match &input.targets[..] {
        [] => Err(ApiError::client("TargetsRequiredException", 400, "a target is required")),
        [one] => Ok(one),
        _ => {
            let message = "a pull request has one target: one source and one destination of one repository";
            Err(ApiError::client("MultipleRepositoriesInPullRequestException", 400, message))
        }
    }
}

fn of_create(call: &Call<'_>, input: &Create) -> Result<ResourceFacts, ApiError> {
    super::named(call, &the_target(input)?.repository_name)
}

/// A branch by its short or full name.
fn reference(given: &str) -> Result<RefName, ApiError> {
    let invalid = |why: String| ApiError::client("InvalidReferenceNameException", 400, why);
    if let Some(rest) = given.strip_prefix("refs/")
        && !rest.starts_with("heads/")
    {
        let shown = escape_for_people(given.as_bytes(), 256);
        let message = format!("`{shown}` is no branch: pull requests are between branches");
        return Err(ApiError::client("ReferenceTypeNotSupportedException", 400, message));
    }
    let short = given.strip_prefix("refs/heads/").unwrap_or(given);
    RefName::branch(short).map_err(|bad| invalid(bad.to_string()))
}

fn title_of(given: Option<String>) -> Result<String, ApiError> {
    let title = given.unwrap_or_default();
    if title.trim().is_empty() {
        return Err(ApiError::client("TitleRequiredException", 400, "a title is required"));
    }
    if title.chars().count() > MAX_TITLE_CHARS {
        let message = format!("a title has up to {MAX_TITLE_CHARS} characters");
        return Err(ApiError::client("InvalidTitleException", 400, message));
    }
    Ok(title)
}

fn checked_description(given: &str) -> Result<(), ApiError> {
    if given.chars().count() > MAX_DESCRIPTION_CHARS {
        let message = format!("a description has up to {MAX_DESCRIPTION_CHARS} characters");
        return Err(ApiError::client("InvalidDescriptionException", 400, message));
    }
    Ok(())
}

fn create(call: &Call<'_>, input: Create) -> Result<One, ApiError> {
    let target = the_target(&input)?;
    let record = find(call, &target.repository_name)?;
    let Some(source) = target.source_reference.as_deref().filter(|name| !name.is_empty()) else {
        return Err(ApiError::client("ReferenceNameRequiredException", 400, "a source reference is required"));
    };
    let source = reference(source)?;
    let destination = target.destination_reference.as_deref().filter(|name| !name.is_empty());
    let destination = destination.map(reference).transpose()?;
    let title = title_of(input.title.clone())?;
    let description = input.description.as_deref().filter(|text| !text.is_empty());
    checked_description(description.unwrap_or_default())?;
    let token = token_of(input.client_request_token.as_deref())?;
    let new = NewPullRequest { title: &title, description, source: &source, destination: destination.as_ref(), token };
    call.host.create_pull_request(call.ctx, &record, &new).map(one).map_err(of_review)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct List {
    #[serde(default)]
    repository_name: String,
    author_arn: Option<String>,
    pull_request_status: Option<String>,
    next_token: Option<String>,
    max_results: Option<i64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    pull_request_ids: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

fn status_of(given: &str) -> Result<bool, ApiError> {
    match given {
        "OPEN" => Ok(true),
        "CLOSED" => Ok(false),
        other => {
            let shown = escape_for_people(other.as_bytes(), 40);
            let message = format!("`{shown}` is no status of a pull request: OPEN or CLOSED");
            Err(ApiError::client("InvalidPullRequestStatusException", 400, message))
        }
    }
}

fn list(call: &Call<'_>, input: List) -> Result<Listed, ApiError> {
    let record = find(call, &input.repository_name)?;
    let author = input.author_arn.as_deref().filter(|arn| !arn.is_empty());
    if author.is_some_and(|arn| !arn.starts_with("arn:")) {
        return Err(ApiError::client("InvalidAuthorArnException", 400, "authorArn is no ARN"));
    }
    let Page { from, size } = page(input.next_token.as_deref(), input.max_results, 100, 1000)?;
    let is_open =
        input.pull_request_status.as_deref().filter(|status| !status.is_empty()).map(status_of).transpose()?;
    let filter = PullRequestFilter { is_open, author, before: from, limit: size + 1 };
    let mut numbers = call.host.pull_request_numbers(&record, &filter).map_err(of_review)?;
    let has_more = numbers.len() > size;
    numbers.truncate(size);
    let next_token = numbers.last().filter(|_| has_more).map(u64::to_string);
    Ok(Listed { pull_request_ids: numbers.iter().map(u64::to_string).collect(), next_token })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Get {
    #[serde(default)]
    pull_request_id: String,
}

fn get(call: &Call<'_>, input: Get) -> Result<One, ApiError> {
    let (record, number) = found(call, &input.pull_request_id)?;
    call.host.pull_request(&record, number).map(one).map_err(of_review)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Retitle {
    #[serde(default)]
    pull_request_id: String,
    title: Option<String>,
}

fn retitle(call: &Call<'_>, input: Retitle) -> Result<One, ApiError> {
    let (record, number) = found(call, &input.pull_request_id)?;
    let title = title_of(input.title)?;
    call.host.retitle_pull_request(call.ctx, &record, number, &title).map(one).map_err(of_review)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Describe {
    #[serde(default)]
    pull_request_id: String,
    #[serde(default)]
    description: String,
}

fn describe(call: &Call<'_>, input: Describe) -> Result<One, ApiError> {
    let (record, number) = found(call, &input.pull_request_id)?;
    checked_description(&input.description)?;
    call.host.describe_pull_request(call.ctx, &record, number, &input.description).map(one).map_err(of_review)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SetStatus {
    #[serde(default)]
    pull_request_id: String,
    #[serde(default)]
    pull_request_status: String,
}

fn set_status(call: &Call<'_>, input: SetStatus) -> Result<One, ApiError> {
    let (record, number) = found(call, &input.pull_request_id)?;
    if input.pull_request_status.is_empty() {
        return Err(ApiError::client("PullRequestStatusRequiredException", 400, "a status is required"));
    }
    let is_open = status_of(&input.pull_request_status)?;
    call.host.set_pull_request_open(call.ctx, &record, number, is_open).map(one).map_err(of_review)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Events {
    #[serde(default)]
    pull_request_id: String,
    pull_request_event_type: Option<String>,
    actor_arn: Option<String>,
    next_token: Option<String>,
    max_results: Option<i64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Happened {
    pull_request_events: Vec<EventOut>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EventOut {
    pull_request_id: String,
    event_date: Timestamp,
    pull_request_event_type: &'static str,
    actor_arn: String,
    #[serde(flatten)]
    metadata: serde_json::Map<String, serde_json::Value>,
}

/// The member that says more, in the model's shape.
fn metadata(what: &Happening, repository: &str) -> serde_json::Value {
    use serde_json::json;
    let hex = |id: &Option<crate::names::ObjectId>| id.map(|id| id.to_string());
    let of_rule = |rule: &RuleEvent| {
        json!({"approvalRuleEventMetadata": {"approvalRuleName": rule.name, "approvalRuleId": rule.id.to_string(),
            "approvalRuleContent": rule.content}})
    };
    let mut value = match what {
        Happening::Created { source, destination, base } => json!({"pullRequestCreatedEventMetadata": {
            "repositoryName": repository, "sourceCommitId": source.to_string(),
            "destinationCommitId": destination.to_string(), "mergeBase": hex(base)}}),
        Happening::StatusChanged { is_open } => {
            json!({"pullRequestStatusChangedEventMetadata": {"pullRequestStatus": status(*is_open)}})
        }
        Happening::SourceUpdated { before, after, base } => json!({"pullRequestSourceReferenceUpdatedEventMetadata": {
            "repositoryName": repository, "beforeCommitId": before.to_string(), "afterCommitId": after.to_string(),
            "mergeBase": hex(base)}}),
        Happening::Merged { destination, merged } => json!({"pullRequestMergedStateChangedEventMetadata": {
            "repositoryName": repository, "destinationReference": text_of(destination),
            "mergeMetadata": {"isMerged": true, "mergedBy": merged.by.arn, "mergeCommitId": merged.commit.to_string(),
                "mergeOption": merged.option.as_str()}}}),
        Happening::RuleCreated(rule) | Happening::RuleUpdated(rule) | Happening::RuleDeleted(rule) => of_rule(rule),
        Happening::Overridden { revision_id, is_set } => json!({"approvalRuleOverriddenEventMetadata": {
            "revisionId": revision_id, "overrideStatus": if *is_set { "OVERRIDE" } else { "REVOKE" }}}),
        Happening::ApprovalChanged { revision_id, is_approved } => json!({"approvalStateChangedEventMetadata": {
            "revisionId": revision_id, "approvalStatus": if *is_approved { "APPROVE" } else { "REVOKE" }}}),
    };
    // A merge base that is not there is left out.
    if let Some(members) =
        value.as_object_mut().and_then(|one| one.values_mut().next()).and_then(|one| one.as_object_mut())
    {
        members.retain(|_, value| !value.is_null());
    }
    value
}

/// How many events are read at once while some are passed over.
const EVENTS_AT_ONCE: usize = 200;

fn events(call: &Call<'_>, input: Events) -> Result<Happened, ApiError> {
    let (record, number) = found(call, &input.pull_request_id)?;
    let kind = input.pull_request_event_type.as_deref().filter(|kind| !kind.is_empty());
    if let Some(kind) = kind
        && !Happening::KINDS.contains(&kind)
    {
        let shown = escape_for_people(kind.as_bytes(), 80);
        let message = format!("`{shown}` is no type of event");
        return Err(ApiError::client("InvalidPullRequestEventTypeException", 400, message));
    }
    let actor = input.actor_arn.as_deref().filter(|arn| !arn.is_empty());
    if actor.is_some_and(|arn| !arn.starts_with("arn:")) {
        return Err(ApiError::client("InvalidActorArnException", 400, "actorArn is no ARN"));
    }
    let Page { from, size } = page(input.next_token.as_deref(), input.max_results, 100, 100)?;
    let mut at = u32::try_from(from.unwrap_or(0)).unwrap_or(u32::MAX);
    let mut out = Happened { pull_request_events: Vec::new(), next_token: None };
    loop {
        let read = call.host.pull_request_events(&record, number, at, EVENTS_AT_ONCE).map_err(of_review)?;
        let n_read = read.len();
        for event in read {
            if out.pull_request_events.len() == size {
                out.next_token = Some(at.to_string());
                return Ok(out);
            }
            at += 1;
            let is_asked =
                kind.is_none_or(|kind| kind == event.what.kind()) && actor.is_none_or(|actor| actor == event.actor);
            if is_asked {
                out.pull_request_events.push(event_out(event, number, record.name.as_str()));
            }
        }
        if n_read < EVENTS_AT_ONCE {
            return Ok(out);
        }
    }
}

fn event_out(event: Event, number: u64, repository: &str) -> EventOut {
    let metadata = match metadata(&event.what, repository) {
        serde_json::Value::Object(members) => members,
        _ => serde_json::Map::new(),
    };
    EventOut {
        pull_request_id: number.to_string(),
        event_date: Timestamp(event.at_ms),
        pull_request_event_type: event.what.kind(),
        actor_arn: event.actor,
        metadata,
    }
}

/// A merge option in the model's words.
pub(super) fn merge_option(given: &str) -> Result<MergeOption, ApiError> {
    let all = [MergeOption::FastForwardMerge, MergeOption::SquashMerge, MergeOption::ThreeWayMerge];
    all.into_iter().find(|option| option.as_str() == given).ok_or_else(|| {
        let shown = escape_for_people(given.as_bytes(), 40);
        let message = format!("`{shown}` is no merge option: FAST_FORWARD_MERGE, SQUASH_MERGE or THREE_WAY_MERGE");
        ApiError::client("InvalidMergeOptionException", 400, message)
    })
}
