//! Buses, what may be put on them, and events that are put there.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::super::codec::Timestamp;
use super::super::error::ApiError;
use super::super::operation::{AskedOf, Call, NotRegistered, Operations};
use super::super::service::Service::Events;
use super::super::sts::{Tag, tags_of};
use super::{
    Nothing, bus_arn, bus_of, invalid, ms_of, name_of, of_account, of_failure, own_bus, own_bus_facts, page, time,
};
use crate::events::Envelope;
use crate::events::bus::Bus;
use crate::operations::authorize::{NotAllowed, Weight};
use crate::operations::events::bus_facts;
use crate::operations::events::settings::NewEvent;
use crate::policy::{Action, ContextFacts, ResourceFacts};

/// Most entries of one PutEvents.
const MAX_ENTRIES: usize = 10;
/// Most bytes of all entries of one PutEvents.
const MAX_ENTRIES_BYTES: usize = 256 << 10;

pub(super) fn register(all: &mut Operations) -> Result<(), NotRegistered> {
    use Weight::{Read, Write};
    all.add(Events, "CreateEventBus", "events:CreateEventBus", Write, of_new, create)?;
    all.add(Events, "UpdateEventBus", "events:UpdateEventBus", Write, of_named, update)?;
    all.add(Events, "DeleteEventBus", "events:DeleteEventBus", Write, of_named, delete)?;
    all.add(Events, "DescribeEventBus", "events:DescribeEventBus", Read, of_named, describe)?;
    all.add(Events, "ListEventBuses", "events:ListEventBuses", Read, of_account, list)?;
    all.add(Events, "PutPermission", "events:PutPermission", Write, of_permission, put_permission)?;
    all.add(Events, "RemovePermission", "events:RemovePermission", Write, of_permission, remove_permission)?;
    all.add_deciding(Events, "PutEvents", "each event is decided by itself, on its bus", put_events)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Create {
    name: Option<String>,
    description: Option<String>,
    tags: Option<Vec<Tag>>,
}

fn of_new(call: &Call<'_>, input: &Create) -> Result<AskedOf, ApiError> {
    let name = name_of("Name", input.name.as_deref(), 256, true)?;
    Ok(own_bus_facts(call, &name).into())
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Created {
    event_bus_arn: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
}

fn create(call: &Call<'_>, input: Create) -> Result<Created, ApiError> {
    let name = name_of("Name", input.name.as_deref(), 256, true)?;
    let tags = tags_of(input.tags.unwrap_or_default())?;
    let made = call.host.create_event_bus(call.account(), &name, input.description.as_deref(), &tags);
    made.map_err(of_failure)?;
    Ok(Created { event_bus_arn: bus_arn(call, call.account(), &name), description: input.description })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct NamedBus {
    name: Option<String>,
    description: Option<String>,
}

fn of_named(call: &Call<'_>, input: &NamedBus) -> Result<ResourceFacts, ApiError> {
    Ok(own_bus_facts(call, &own_bus(call, input.name.as_deref())?))
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Described {
    name: String,
    arn: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    creation_time: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_modified_time: Option<Timestamp>,
}

fn described(call: &Call<'_>, bus: Bus) -> Described {
    Described {
        arn: bus_arn(call, call.account(), &bus.name),
        name: bus.name,
        description: bus.description,
        creation_time: Some(bus.created_ms).filter(|ms| *ms > 0).map(time),
        last_modified_time: Some(bus.changed_ms).filter(|ms| *ms > 0).map(time),
    }
}

fn update(call: &Call<'_>, input: NamedBus) -> Result<Described, ApiError> {
    let name = own_bus(call, input.name.as_deref())?;
    let edited = call.host.edit_event_bus(call.account(), &name, &|bus| {
        bus.description = input.description.clone().or(bus.description.take());
        Ok(())
    });
    edited.map_err(of_failure)?;
    let bus = call.host.event_bus(call.account(), &name).map_err(of_failure)?;
    Ok(Described { creation_time: None, last_modified_time: None, ..described(call, bus) })
}

fn delete(call: &Call<'_>, input: NamedBus) -> Result<Nothing, ApiError> {
    let name = own_bus(call, input.name.as_deref())?;
    call.host.delete_event_bus(call.account(), &name).map_err(of_failure)?;
    Ok(Nothing {})
}

fn describe(call: &Call<'_>, input: NamedBus) -> Result<Described, ApiError> {
    let name = own_bus(call, input.name.as_deref())?;
    Ok(described(call, call.host.event_bus(call.account(), &name).map_err(of_failure)?))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct List {
    name_prefix: Option<String>,
    next_token: Option<String>,
    limit: Option<u32>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    event_buses: Vec<Described>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

fn list(call: &Call<'_>, input: List) -> Result<Listed, ApiError> {
    let all = call.host.event_buses(call.account()).map_err(of_failure)?;
    let (prefix, token) = (input.name_prefix.as_deref(), input.next_token.as_deref());
    let (buses, next_token) = page(all, |bus| bus.name.clone(), prefix, token, input.limit)?;
    Ok(Listed { event_buses: buses.into_iter().map(|bus| described(call, bus)).collect(), next_token })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Permission {
    event_bus_name: Option<String>,
}

fn of_permission(call: &Call<'_>, input: &Permission) -> Result<ResourceFacts, ApiError> {
    Ok(own_bus_facts(call, &own_bus(call, input.event_bus_name.as_deref())?))
}

/// Who of other accounts may put events on a bus is said where everything is: in the trust policies of the bus's account.
fn put_permission(call: &Call<'_>, input: Permission) -> Result<Nothing, ApiError> {
    let name = own_bus(call, input.event_bus_name.as_deref())?;
    call.host.event_bus(call.account(), &name).map_err(of_failure)?;
    let account = call.account();
    let message = format!(
        "Buses have no policies of their own here: let other accounts in by a Cedar policy in policies/{account}/trust, with action events:PutEvents and resource EventBus::\"{account}/{name}\"."
    );
    Err(ApiError::client("OperationDisabledException", 400, message))
}

fn remove_permission(call: &Call<'_>, input: Permission) -> Result<Nothing, ApiError> {
    let name = own_bus(call, input.event_bus_name.as_deref())?;
    call.host.event_bus(call.account(), &name).map_err(of_failure)?;
    Err(ApiError::client("ResourceNotFoundException", 400, format!("Event bus {name} does not have a policy.")))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PutEvents {
    #[serde(default)]
    entries: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    time: Option<f64>,
    source: Option<String>,
    resources: Option<Vec<String>>,
    detail_type: Option<String>,
    detail: Option<String>,
    event_bus_name: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct PutOut {
    failed_entry_count: usize,
    entries: Vec<BTreeMap<&'static str, String>>,
}

fn put_events(call: &Call<'_>, input: PutEvents) -> Result<PutOut, ApiError> {
    if input.entries.is_empty() || input.entries.len() > MAX_ENTRIES {
        return Err(invalid(format!(
            "Parameter Entries is not valid. Reason: 1 to {MAX_ENTRIES} entries are put at once."
        )));
    }
    let size = |entry: &Entry| {
        let texts = [&entry.source, &entry.detail_type, &entry.detail];
        texts.iter().map(|text| text.as_ref().map_or(0, String::len)).sum::<usize>()
            + entry.resources.iter().flatten().map(String::len).sum::<usize>()
            + if entry.time.is_some() { 14 } else { 0 }
    };
    if input.entries.iter().map(size).sum::<usize>() > MAX_ENTRIES_BYTES {
        return Err(invalid(format!(
            "Total size of the entries in the request is over the limit of {MAX_ENTRIES_BYTES} bytes."
        )));
    }
    let mut good = Vec::new();
    let mut entries = Vec::new();
    for entry in input.entries {
        match put_one(call, entry) {
            Ok(new) => {
                entries.push(BTreeMap::from([("EventId", new.id.to_string())]));
                good.push(new);
            }
            Err(error) => {
                entries.push(BTreeMap::from([("ErrorCode", error.code), ("ErrorMessage", error.message)]));
            }
        }
    }
    call.host.put_events(&good).map_err(of_failure)?;
    Ok(PutOut { failed_entry_count: entries.len() - good.len(), entries })
}

fn put_one(call: &Call<'_>, entry: Entry) -> Result<NewEvent, ApiError> {
    let refused = |why: &str| ApiError::client("InvalidArgument", 400, why);
    let (account, bus) = bus_of(call, entry.event_bus_name.as_deref())?;
    let text = |text: Option<String>, what: &str| {
        text.filter(|text| !text.is_empty())
            .ok_or_else(|| refused(&format!("Parameter {what} is not valid. Reason: {what} is a required argument.")))
    };
    let source = text(entry.source, "Source")?;
    let detail_type = text(entry.detail_type, "DetailType")?;
    let detail = text(entry.detail, "Detail")?;
    let detail: Value = match serde_json::from_str(&detail) {
        Ok(detail @ Value::Object(_)) => detail,
        _ => return Err(ApiError::client("MalformedDetail", 400, "Detail is malformed.")),
    };
    let is_of_services = ["aws.", "lockgate"].iter().any(|prefix| source.to_ascii_lowercase().starts_with(prefix));
    if is_of_services {
        let message = "Not authorized for the source.";
        return Err(ApiError::client("NotAuthorizedForSourceException", 403, message));
    }
    let action = Action::put_events();
    let context = ContextFacts::PutEvent { source: source.clone(), detail_type: detail_type.clone() };
    let tags = match account == *call.account() {
        true => call.host.event_bus(&account, &bus).map(|bus| bus.tags).unwrap_or_default(),
        false => BTreeMap::new(),
    };
    let resource = bus_facts(&account, &bus, tags);
    let allowed = call.host.authorize(call.ctx, &action, &resource, &context, Weight::Write);
    allowed.map_err(|refused: NotAllowed| call.denied(&refused))?;
    call.host.event_bus(&account, &bus).map_err(of_failure)?;
    let id = Uuid::new_v4();
    let envelope = Envelope {
        id,
        detail_type,
        source,
        account: call.account().clone(),
        time_ms: entry.time.map_or(call.now_ms, ms_of),
        region: call.host.identity().region().to_owned(),
        resources: entry.resources.unwrap_or_default(),
        detail,
    };
    Ok(NewEvent { account, bus, event: envelope.to_json(), id })
}
