//! The log of deliveries of events, which EventBridge's API does not have: list, look, tell once more.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::codec::Timestamp;
use super::error::ApiError;
use super::operation::{Call, NotRegistered, Operations};
use super::service::Service::Lockgate;
use crate::names::escape_for_people;
use crate::operations::authorize::Weight::{Read, Write};
use crate::operations::events::deliveries::LoggedDelivery;
use crate::policy::ResourceFacts;
use crate::store::queue::DeliveryState;

/// Most deliveries of a page.
const MAX_PAGE: u32 = 100;

/// Adds the operations.
pub fn register(all: &mut Operations) -> Result<(), NotRegistered> {
    all.add(Lockgate, "ListDeliveries", "lockgate:ListDeliveries", Read, of_account, list)?;
    all.add(Lockgate, "GetDelivery", "lockgate:GetDelivery", Read, of_account, get)?;
    all.add(Lockgate, "Redeliver", "lockgate:Redeliver", Write, of_account, redeliver)
}

fn of_account<I>(call: &Call<'_>, _: &I) -> Result<ResourceFacts, ApiError> {
    Ok(ResourceFacts::Account(call.account().clone()))
}

/// A state in a word.
pub fn state_word(state: DeliveryState) -> &'static str {
    match state {
        DeliveryState::Waiting => "WAITING",
        DeliveryState::Made => "DELIVERED",
        DeliveryState::GivenUp => "FAILED",
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct List {
    next_token: Option<String>,
    max_results: Option<u32>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DeliveryOut {
    delivery_id: String,
    state: &'static str,
    creation_time: Timestamp,
    event_id: String,
    event_type: String,
    source_arn: String,
    target_id: String,
    destination: String,
    attempts: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error: Option<String>,
}

fn out(logged: &LoggedDelivery) -> DeliveryOut {
    let delivery = &logged.delivery;
    DeliveryOut {
        delivery_id: logged.id.to_string(),
        state: state_word(logged.state),
        creation_time: Timestamp(logged.at_ms),
        event_id: delivery.event.clone(),
        event_type: delivery.kind.clone(),
        source_arn: delivery.because.clone(),
        target_id: delivery.target.clone(),
        destination: delivery.destination.clone(),
        attempts: delivery.n_tries,
        last_error: delivery.attempts.last().and_then(|attempt| attempt.error.clone()),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    deliveries: Vec<DeliveryOut>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

fn list(call: &Call<'_>, input: List) -> Result<Listed, ApiError> {
    let bad = |why: &str| ApiError::client("ValidationException", 400, why);
    let limit = match input.max_results.unwrap_or(MAX_PAGE) {
        limit @ 1..=MAX_PAGE => limit as usize,
        _ => return Err(bad("maxResults is 1 to 100")),
    };
    let before = match input.next_token {
        Some(token) => Some(token.parse::<i64>().map_err(|_| bad("nextToken is none of this list's"))?),
        None => None,
    };
    let found = call.host.logged_deliveries(call.account(), before, limit);
    let found = found.map_err(|error| ApiError::internal(&error))?;
    let next_token = found.last().filter(|_| found.len() == limit).map(|last| last.n.to_string());
    Ok(Listed { deliveries: found.iter().map(out).collect(), next_token })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct One {
    delivery_id: Option<String>,
}

impl One {
    fn id(&self) -> Result<Uuid, ApiError> {
        let given = self.delivery_id.as_deref().unwrap_or_default();
        let shown = escape_for_people(given.as_bytes(), 100);
        Uuid::parse_str(given)
            .map_err(|_| ApiError::client("ValidationException", 400, format!("`{shown}` is the id of no delivery")))
    }
}

fn no_delivery(id: Uuid) -> ApiError {
    ApiError::client("ResourceNotFoundException", 400, format!("there is no delivery {id}, or it is forgotten already"))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AttemptOut {
    time: Timestamp,
    milliseconds: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Got {
    delivery: DeliveryOut,
    attempts: Vec<AttemptOut>,
    body: String,
}

fn get(call: &Call<'_>, input: One) -> Result<Got, ApiError> {
    let id = input.id()?;
    let found = call.host.logged_delivery(call.account(), id).map_err(|error| ApiError::internal(&error))?;
    let found = found.ok_or_else(|| no_delivery(id))?;
    let attempts = found.delivery.attempts.iter().map(|attempt| AttemptOut {
        time: Timestamp(attempt.at_ms),
        milliseconds: attempt.took_ms,
        error: attempt.error.clone(),
    });
    Ok(Got { delivery: out(&found), attempts: attempts.collect(), body: found.delivery.body.clone() })
}

#[derive(Serialize)]
struct Nothing {}

fn redeliver(call: &Call<'_>, input: One) -> Result<Nothing, ApiError> {
    let id = input.id()?;
    match call.host.redeliver(call.account(), id).map_err(|error| ApiError::internal(&error))? {
        true => Ok(Nothing {}),
        false => Err(no_delivery(id)),
    }
}
