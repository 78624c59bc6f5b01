//! Triggers: whom a repository tells of changes of its refs.

use serde::{Deserialize, Serialize};

use super::super::error::ApiError;
use super::super::operation::{Call, NotRegistered, Operations};
use super::super::service::Service::CodeCommit;
use super::reviews::of_review;
use super::{find, names_repository, of_failure, of_repository};
use crate::identity::RepositoryRecord;
use crate::names::{RefName, escape_for_people};
use crate::operations::authorize::Weight::{Read, Write};
use crate::review::triggers::{MAX_BRANCHES, MAX_DATA_CHARS, MAX_NAME_CHARS, MAX_TRIGGERS, Trigger, TriggerEvent};

pub(super) fn register(all: &mut Operations) -> Result<(), NotRegistered> {
    let action = "codecommit:PutRepositoryTriggers";
    all.add(CodeCommit, "PutRepositoryTriggers", action, Write, of_repository, put)?;
    let action = "codecommit:GetRepositoryTriggers";
    all.add(CodeCommit, "GetRepositoryTriggers", action, Read, of_repository, get)?;
    let action = "codecommit:TestRepositoryTriggers";
    all.add(CodeCommit, "TestRepositoryTriggers", action, Write, of_repository, test)
}

names_repository!(Put, Get);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Put {
    #[serde(default)]
    repository_name: String,
    triggers: Option<Vec<TriggerIn>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TriggerIn {
    #[serde(default)]
    name: String,
    #[serde(default)]
    destination_arn: String,
    custom_data: Option<String>,
    branches: Option<Vec<String>>,
    #[serde(default)]
    events: Vec<String>,
}

fn client(code: &str, message: impl Into<String>) -> ApiError {
    ApiError::client(code, 400, message)
}

/// The triggers that a call gives, checked.
fn triggers_of(
    call: &Call<'_>,
    record: &RepositoryRecord,
    given: Option<Vec<TriggerIn>>,
) -> Result<Vec<Trigger>, ApiError> {
    let Some(given) = given else {
        return Err(client("RepositoryTriggersListRequiredException", "a list of triggers is required"));
    };
    if given.len() > MAX_TRIGGERS {
        let message = format!("a repository has up to {MAX_TRIGGERS} triggers");
        return Err(client("MaximumRepositoryTriggersExceededException", message));
    }
    let mut triggers: Vec<Trigger> = Vec::new();
    for one in given {
        let trigger = trigger_of(call, record, one)?;
        if triggers.iter().any(|other| other.name == trigger.name) {
            let shown = escape_for_people(trigger.name.as_bytes(), 100);
            return Err(client("InvalidRepositoryTriggerNameException", format!("two triggers are called `{shown}`")));
        }
        triggers.push(trigger);
    }
    Ok(triggers)
}

fn trigger_of(call: &Call<'_>, record: &RepositoryRecord, given: TriggerIn) -> Result<Trigger, ApiError> {
    if given.name.is_empty() {
        return Err(client("RepositoryTriggerNameRequiredException", "a trigger's name is required"));
    }
    let is_bad = |c: char| c.is_whitespace() || c == ',' || c.is_control();
    if given.name.chars().count() > MAX_NAME_CHARS || given.name.contains(is_bad) {
        let message = format!("a trigger's name has up to {MAX_NAME_CHARS} characters, no blanks and no commas");
        return Err(client("InvalidRepositoryTriggerNameException", message));
    }
    if given.destination_arn.is_empty() {
        return Err(client("RepositoryTriggerDestinationArnRequiredException", "a trigger's destination is required"));
    }
    if given.destination_arn.len() > 2000 || call.host.webhook_of(&given.destination_arn, &record.account).is_none() {
        let shown = escape_for_people(given.destination_arn.as_bytes(), 200);
        let message = format!(
            "`{shown}` cannot be told: a URL (https://...), or arn:aws:lockgate:REGION:ACCOUNT:webhook/NAME of a webhook in the server's configuration"
        );
        return Err(client("InvalidRepositoryTriggerDestinationArnException", message));
    }
    let custom_data = given.custom_data.filter(|data| !data.is_empty());
    if custom_data.as_ref().is_some_and(|data| data.chars().count() > MAX_DATA_CHARS) {
        let message = format!("a trigger's data has up to {MAX_DATA_CHARS} characters");
        return Err(client("InvalidRepositoryTriggerCustomDataException", message));
    }
    let branches = given.branches.unwrap_or_default();
    if branches.len() > MAX_BRANCHES {
        let message = format!("a trigger names up to {MAX_BRANCHES} branches");
        return Err(client("MaximumBranchesExceededException", message));
    }
    if let Some(bad) = branches.iter().find(|branch| RefName::branch(branch).is_err()) {
        let shown = escape_for_people(bad.as_bytes(), 200);
        return Err(client("InvalidRepositoryTriggerBranchNameException", format!("`{shown}` is no name of a branch")));
    }
    if given.events.is_empty() {
        return Err(client("RepositoryTriggerEventsListRequiredException", "a trigger's events are required"));
    }
    let event = |name: &String| {
        TriggerEvent::from_name(name).ok_or_else(|| {
            let shown = escape_for_people(name.as_bytes(), 100);
            let message =
                format!("`{shown}` is no event of a trigger: all, updateReference, createReference or deleteReference");
            client("InvalidRepositoryTriggerEventsException", message)
        })
    };
    let events = given.events.iter().map(event).collect::<Result<Vec<_>, _>>()?;
    Ok(Trigger { name: given.name, destination: given.destination_arn, custom_data, branches, events })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PutOut {
    configuration_id: String,
}

fn put(call: &Call<'_>, input: Put) -> Result<PutOut, ApiError> {
    let record = find(call, &input.repository_name)?;
    let triggers = triggers_of(call, &record, input.triggers)?;
    let id = call.host.put_triggers(&record, triggers).map_err(of_review)?;
    Ok(PutOut { configuration_id: id.to_string() })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Get {
    #[serde(default)]
    repository_name: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TriggerOut {
    name: String,
    destination_arn: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    custom_data: Option<String>,
    branches: Vec<String>,
    events: Vec<&'static str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GetOut {
    #[serde(skip_serializing_if = "Option::is_none")]
    configuration_id: Option<String>,
    triggers: Vec<TriggerOut>,
}

fn get(call: &Call<'_>, input: Get) -> Result<GetOut, ApiError> {
    let record = find(call, &input.repository_name)?;
    let found = call.host.triggers(&record).map_err(of_review)?;
    let out = |trigger: Trigger| TriggerOut {
        name: trigger.name,
        destination_arn: trigger.destination,
        custom_data: trigger.custom_data,
        branches: trigger.branches,
        events: trigger.events.into_iter().map(TriggerEvent::as_str).collect(),
    };
    Ok(GetOut {
        configuration_id: found.as_ref().map(|found| found.id.to_string()),
        triggers: found.map(|found| found.triggers).unwrap_or_default().into_iter().map(out).collect(),
    })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Failed {
    trigger: String,
    failure_message: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TestOut {
    successful_executions: Vec<String>,
    failed_executions: Vec<Failed>,
}

fn test(call: &Call<'_>, input: Put) -> Result<TestOut, ApiError> {
    let record = find(call, &input.repository_name)?;
    let triggers = triggers_of(call, &record, input.triggers)?;
    let tried = call.host.test_triggers(call.ctx, &record, triggers).map_err(of_failure)?;
    let mut out = TestOut { successful_executions: Vec::new(), failed_executions: Vec::new() };
    for (trigger, told) in tried {
        match told {
            Ok(()) => out.successful_executions.push(trigger),
            Err(failure_message) => out.failed_executions.push(Failed { trigger, failure_message }),
        }
    }
    Ok(out)
}
