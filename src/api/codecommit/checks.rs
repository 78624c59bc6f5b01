//! Statuses of commits. AWS has no such operations: these are of the service `lockgate`, beside those of CodeCommit because they are
//! about its repositories.

use serde::{Deserialize, Serialize};

use super::super::codec::Timestamp;
use super::super::error::ApiError;
use super::super::operation::{AskedOf, Call, NotRegistered, Operations};
use super::super::service::Service::Lockgate;
use super::content::object_id;
use super::reviews::of_review;
use super::{find, named};
use crate::names::escape_for_people;
use crate::operations::authorize::Weight::{Read, Write};
use crate::operations::reviews::checks::NewCheck;
use crate::policy::{ContextFacts, ResourceFacts};
use crate::review::checks::{Check, CheckState, MAX_DESCRIPTION_CHARS, MAX_NAME_CHARS, MAX_URL_CHARS};

pub(in super::super) fn register(all: &mut Operations) -> Result<(), NotRegistered> {
    all.add(Lockgate, "PutCommitStatus", "codecommit:PutCommitStatus", Write, of_put, put)?;
    all.add(Lockgate, "ListCommitStatuses", "codecommit:ListCommitStatuses", Read, of_list, list)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Put {
    #[serde(default)]
    repository_name: String,
    #[serde(default)]
    commit_id: String,
    #[serde(default)]
    context: String,
    #[serde(default)]
    state: String,
    description: Option<String>,
    target_url: Option<String>,
}

/// Policies see which check it is, so that the one who builds may say `build` and nobody else.
fn of_put(call: &Call<'_>, input: &Put) -> Result<AskedOf, ApiError> {
    let context = ContextFacts::PutStatus { check: input.context.clone(), state: input.state.clone() };
    Ok(AskedOf { resource: named(call, &input.repository_name)?, context })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    context: String,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target_url: Option<String>,
    set_by: String,
    set_at: Timestamp,
}

fn status(check: Check) -> Status {
    Status {
        context: check.name,
        state: check.state.as_str(),
        description: check.description,
        target_url: check.url,
        set_by: check.by.arn,
        set_at: Timestamp(check.at_ms),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct One {
    status: Status,
}

fn within<'a>(given: Option<&'a str>, most: usize, what: &str) -> Result<Option<&'a str>, ApiError> {
    match given.filter(|text| !text.is_empty()) {
        Some(text) if text.chars().count() > most => {
            Err(ApiError::validation(format!("{what} has up to {most} characters")))
        }
        text => Ok(text),
    }
}

fn put(call: &Call<'_>, input: Put) -> Result<One, ApiError> {
    let record = find(call, &input.repository_name)?;
    let commit = object_id(&input.commit_id, "Commit")?;
    let is_bad = |c: char| c.is_control() || c.is_whitespace();
    if input.context.is_empty() || input.context.chars().count() > MAX_NAME_CHARS || input.context.contains(is_bad) {
        let message = format!("context is the name of the check: up to {MAX_NAME_CHARS} characters without blanks");
        return Err(ApiError::validation(message));
    }
    let Some(state) = CheckState::from_name(&input.state) else {
        let shown = escape_for_people(input.state.as_bytes(), 40);
        let message = format!("`{shown}` is no state of a check: PENDING, SUCCESS, FAILURE or ERROR");
        return Err(ApiError::validation(message));
    };
    let url = within(input.target_url.as_deref(), MAX_URL_CHARS, "targetUrl")?;
    if url.is_some_and(|url| !url.starts_with("https://") && !url.starts_with("http://")) {
        return Err(ApiError::validation("targetUrl begins with https://"));
    }
    let description = within(input.description.as_deref(), MAX_DESCRIPTION_CHARS, "description")?;
    let new = NewCheck { name: &input.context, state, description, url };
    let check = call.host.put_check(call.ctx, &record, &commit, &new).map_err(of_review)?;
    Ok(One { status: status(check) })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct List {
    #[serde(default)]
    repository_name: String,
    #[serde(default)]
    commit_id: String,
}

fn of_list(call: &Call<'_>, input: &List) -> Result<ResourceFacts, ApiError> {
    named(call, &input.repository_name)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    statuses: Vec<Status>,
}

fn list(call: &Call<'_>, input: List) -> Result<Listed, ApiError> {
    let record = find(call, &input.repository_name)?;
    let commit = object_id(&input.commit_id, "Commit")?;
    let checks = call.host.checks(&record, &commit).map_err(of_review)?;
    Ok(Listed { statuses: checks.into_iter().map(status).collect() })
}
