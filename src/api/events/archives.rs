//! Archives of events, and replays of them.

use serde::{Deserialize, Serialize};

use super::super::codec::Timestamp;
use super::super::error::ApiError;
use super::super::operation::{Call, NotRegistered, Operations};
use super::super::service::Service::Events;
use super::{Nothing, arn, bus_arn, invalid, ms_of, name_of, of_account, of_failure, own_bus, page, store_facts, time};
use crate::events::bus::{Archive, Replay};
use crate::names::escape_for_people;
use crate::operations::authorize::Weight::{Read, Write};
use crate::policy::ResourceFacts;

pub(super) fn register(all: &mut Operations) -> Result<(), NotRegistered> {
    all.add(Events, "CreateArchive", "events:CreateArchive", Write, of_archive, create)?;
    all.add(Events, "UpdateArchive", "events:UpdateArchive", Write, of_archive, update)?;
    all.add(Events, "DeleteArchive", "events:DeleteArchive", Write, of_archive, delete)?;
    all.add(Events, "DescribeArchive", "events:DescribeArchive", Read, of_archive, describe)?;
    all.add(Events, "ListArchives", "events:ListArchives", Read, of_account, list)?;
    all.add(Events, "StartReplay", "events:StartReplay", Write, of_replay, start)?;
    all.add(Events, "CancelReplay", "events:CancelReplay", Write, of_replay, cancel)?;
    all.add(Events, "DescribeReplay", "events:DescribeReplay", Read, of_replay, describe_replay)?;
    all.add(Events, "ListReplays", "events:ListReplays", Read, of_account, list_replays)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ArchiveIn {
    archive_name: Option<String>,
    event_source_arn: Option<String>,
    description: Option<String>,
    event_pattern: Option<String>,
    retention_days: Option<u32>,
}

impl ArchiveIn {
    fn name(&self) -> Result<String, ApiError> {
        name_of("ArchiveName", self.archive_name.as_deref(), 48, false)
    }
}

fn of_archive(call: &Call<'_>, input: &ArchiveIn) -> Result<ResourceFacts, ApiError> {
    Ok(store_facts(call, "archive", &input.name()?))
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ArchiveState {
    archive_arn: String,
    state: &'static str,
    creation_time: Timestamp,
}

fn state_of(call: &Call<'_>, archive: &Archive) -> ArchiveState {
    let archive_arn = arn(call, &format!("archive/{}", archive.name));
    ArchiveState { archive_arn, state: "ENABLED", creation_time: time(archive.created_ms) }
}

fn filled(text: &Option<String>) -> Option<&str> {
    text.as_deref().filter(|text| !text.is_empty())
}

fn create(call: &Call<'_>, input: ArchiveIn) -> Result<ArchiveState, ApiError> {
    let Some(source) = filled(&input.event_source_arn) else {
        return Err(invalid("Parameter EventSourceArn is not valid. Reason: it is required."));
    };
    let bus = own_bus(call, Some(source))?;
    let what = (filled(&input.description), filled(&input.event_pattern), input.retention_days.unwrap_or(0));
    let made = call.host.create_event_archive(call.account(), &input.name()?, &bus, what);
    Ok(state_of(call, &made.map_err(of_failure)?))
}

fn update(call: &Call<'_>, input: ArchiveIn) -> Result<ArchiveState, ApiError> {
    let what = (filled(&input.description), filled(&input.event_pattern), input.retention_days);
    let changed = call.host.update_event_archive(call.account(), &input.name()?, what);
    Ok(state_of(call, &changed.map_err(of_failure)?))
}

fn delete(call: &Call<'_>, input: ArchiveIn) -> Result<Nothing, ApiError> {
    call.host.delete_event_archive(call.account(), &input.name()?).map_err(of_failure)?;
    Ok(Nothing {})
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ArchiveOut {
    #[serde(skip_serializing_if = "Option::is_none")]
    archive_arn: Option<String>,
    archive_name: String,
    event_source_arn: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_pattern: Option<String>,
    state: &'static str,
    retention_days: u32,
    size_bytes: i64,
    event_count: i64,
    creation_time: Timestamp,
}

fn archive_out(call: &Call<'_>, archive: Archive) -> Result<ArchiveOut, ApiError> {
    let (event_count, size_bytes) = call.host.count_archive(&archive).map_err(of_failure)?;
    Ok(ArchiveOut {
        archive_arn: Some(arn(call, &format!("archive/{}", archive.name))),
        archive_name: archive.name,
        event_source_arn: bus_arn(call, call.account(), &archive.bus),
        description: archive.description,
        event_pattern: archive.pattern,
        state: "ENABLED",
        retention_days: archive.retention_days,
        size_bytes,
        event_count,
        creation_time: time(archive.created_ms),
    })
}

fn describe(call: &Call<'_>, input: ArchiveIn) -> Result<ArchiveOut, ApiError> {
    archive_out(call, call.host.event_archive(call.account(), &input.name()?).map_err(of_failure)?)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct List {
    name_prefix: Option<String>,
    event_source_arn: Option<String>,
    state: Option<String>,
    next_token: Option<String>,
    limit: Option<u32>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    archives: Vec<ArchiveOut>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

fn list(call: &Call<'_>, input: List) -> Result<Listed, ApiError> {
    let bus = match filled(&input.event_source_arn) {
        Some(source) => Some(own_bus(call, Some(source))?),
        None => None,
    };
    let mut all = call.host.event_archives(call.account()).map_err(of_failure)?;
    all.retain(|archive| bus.as_ref().is_none_or(|bus| archive.bus == *bus));
    if input.state.as_deref().is_some_and(|state| state != "ENABLED") {
        all.clear();
    }
    let (prefix, token) = (input.name_prefix.as_deref(), input.next_token.as_deref());
    let (archives, next_token) = page(all, |archive| archive.name.clone(), prefix, token, input.limit)?;
    let out = |archive| {
        Ok(ArchiveOut { archive_arn: None, description: None, event_pattern: None, ..archive_out(call, archive)? })
    };
    Ok(Listed { archives: archives.into_iter().map(out).collect::<Result<_, ApiError>>()?, next_token })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ReplayIn {
    replay_name: Option<String>,
    description: Option<String>,
    event_source_arn: Option<String>,
    event_start_time: Option<f64>,
    event_end_time: Option<f64>,
    destination: Option<Destination>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Destination {
    arn: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    filter_arns: Option<Vec<String>>,
}

impl ReplayIn {
    fn name(&self) -> Result<String, ApiError> {
        name_of("ReplayName", self.replay_name.as_deref(), 64, false)
    }
}

fn of_replay(call: &Call<'_>, input: &ReplayIn) -> Result<ResourceFacts, ApiError> {
    Ok(store_facts(call, "replay", &input.name()?))
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ReplayStateOut {
    replay_arn: String,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    replay_start_time: Option<Timestamp>,
}

fn start(call: &Call<'_>, input: ReplayIn) -> Result<ReplayStateOut, ApiError> {
    let name = input.name()?;
    let required = |what: &str| invalid(format!("Parameter {what} is not valid. Reason: it is required."));
    let source = filled(&input.event_source_arn).ok_or_else(|| required("EventSourceArn"))?;
    let shown = escape_for_people(source.as_bytes(), 200);
    let archive = source.strip_prefix(&arn(call, "archive/")).ok_or_else(|| {
        invalid(format!(
            "Parameter EventSourceArn is not valid. Reason: `{shown}` is the ARN of no archive of this account."
        ))
    })?;
    let (from, to) = (input.event_start_time, input.event_end_time);
    let from = from.ok_or_else(|| required("EventStartTime"))?;
    let to = to.ok_or_else(|| required("EventEndTime"))?;
    let destination = input.destination.ok_or_else(|| required("Destination"))?;
    let bus = own_bus(call, Some(destination.arn.as_deref().ok_or_else(|| required("Destination.Arn"))?))?;
    let rule = |rule: &String| {
        let name = rule.rsplit('/').next().unwrap_or_default();
        name_of("Destination.FilterArns", Some(name), 64, false)
    };
    let rules: Vec<String> = destination.filter_arns.iter().flatten().map(rule).collect::<Result<_, ApiError>>()?;
    let times = (ms_of(from), ms_of(to));
    let description = filled(&input.description);
    let begun = call.host.start_event_replay(call.account(), &name, archive, description, (&bus, &rules), times);
    let begun = begun.map_err(of_failure)?;
    Ok(ReplayStateOut {
        replay_arn: arn(call, &format!("replay/{name}")),
        state: begun.state.as_str(),
        replay_start_time: Some(time(begun.started_ms)),
    })
}

fn cancel(call: &Call<'_>, input: ReplayIn) -> Result<ReplayStateOut, ApiError> {
    let name = input.name()?;
    let replay = call.host.cancel_event_replay(call.account(), &name).map_err(of_failure)?;
    let replay_arn = arn(call, &format!("replay/{name}"));
    Ok(ReplayStateOut { replay_arn, state: replay.state.as_str(), replay_start_time: None })
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ReplayOut {
    replay_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    replay_arn: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    state_reason: Option<String>,
    event_source_arn: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    destination: Option<Destination>,
    event_start_time: Timestamp,
    event_end_time: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_last_replayed_time: Option<Timestamp>,
    replay_start_time: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    replay_end_time: Option<Timestamp>,
}

fn replay_out(call: &Call<'_>, replay: Replay) -> ReplayOut {
    let region = call.host.identity().region();
    let rule_arn =
        |rule: &String| crate::operations::events::routing::rule_arn(region, call.account(), &replay.bus, rule);
    let filter_arns: Vec<String> = replay.rules.iter().map(rule_arn).collect();
    ReplayOut {
        replay_arn: Some(arn(call, &format!("replay/{}", replay.name))),
        replay_name: replay.name,
        description: replay.description,
        state: replay.state.as_str(),
        state_reason: replay.reason,
        event_source_arn: arn(call, &format!("archive/{}", replay.archive)),
        destination: Some(Destination {
            arn: Some(bus_arn(call, call.account(), &replay.bus)),
            filter_arns: Some(filter_arns).filter(|arns| !arns.is_empty()),
        }),
        event_start_time: time(replay.from_ms),
        event_end_time: time(replay.to_ms),
        event_last_replayed_time: replay.last_event_ms.map(time),
        replay_start_time: time(replay.started_ms),
        replay_end_time: replay.ended_ms.map(time),
    }
}

fn describe_replay(call: &Call<'_>, input: ReplayIn) -> Result<ReplayOut, ApiError> {
    Ok(replay_out(call, call.host.event_replay(call.account(), &input.name()?).map_err(of_failure)?))
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ListedReplays {
    replays: Vec<ReplayOut>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

fn list_replays(call: &Call<'_>, input: List) -> Result<ListedReplays, ApiError> {
    let mut all = call.host.event_replays(call.account()).map_err(of_failure)?;
    all.retain(|replay| input.state.as_deref().is_none_or(|state| state == replay.state.as_str()));
    if let Some(source) = filled(&input.event_source_arn) {
        all.retain(|replay| arn(call, &format!("archive/{}", replay.archive)) == source);
    }
    let (prefix, token) = (input.name_prefix.as_deref(), input.next_token.as_deref());
    let (replays, next_token) = page(all, |replay| replay.name.clone(), prefix, token, input.limit)?;
    let out = |replay| ReplayOut { replay_arn: None, destination: None, ..replay_out(call, replay) };
    Ok(ListedReplays { replays: replays.into_iter().map(out).collect(), next_token })
}
