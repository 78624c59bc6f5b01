//! EventBridge, its API of 2015-10-07: buses, rules and targets, archives and replays, connections and API destinations. Global
//! endpoints and partner event sources are AWS's own and have no operations here.

mod archives;
mod buses;
mod destinations;
mod rules;
mod targets;

use serde::Serialize;

use super::codec::Timestamp;
use super::error::ApiError;
use super::operation::{Call, NotRegistered, Operations};
use crate::events::DEFAULT_BUS;
use crate::names::{AccountId, escape_for_people};
use crate::operations::events::settings::EventFailure;
use crate::policy::{NamedFacts, NamedKind, ResourceFacts, Tags};

/// Adds the operations.
pub fn register(all: &mut Operations) -> Result<(), NotRegistered> {
    buses::register(all)?;
    rules::register(all)?;
    targets::register(all)?;
    archives::register(all)?;
    destinations::register(all)
}

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::client("ValidationException", 400, message)
}

fn of_failure(failure: EventFailure) -> ApiError {
    let text = failure.to_string();
    match failure {
        EventFailure::Shelf(error) => ApiError::internal(&error),
        EventFailure::Busy => ApiError::client("ConcurrentModificationException", 400, text),
        EventFailure::NotFound { .. } => ApiError::client("ResourceNotFoundException", 400, text),
        EventFailure::Exists { .. } => ApiError::client("ResourceAlreadyExistsException", 400, text),
        EventFailure::TooMany(_) => ApiError::client("LimitExceededException", 400, text),
        EventFailure::Invalid(_) => invalid(text),
        EventFailure::Pattern(_) => ApiError::client("InvalidEventPatternException", 400, text),
        EventFailure::State(_) => ApiError::client("IllegalStatusException", 400, text),
    }
}

/// A name of letters, digits, `.`, `-` and `_`, of up to so many characters; a bus's may have `/`.
fn name_of(what: &str, name: Option<&str>, max_chars: usize, is_bus: bool) -> Result<String, ApiError> {
    let name = name.unwrap_or_default();
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c) || (is_bus && c == '/');
    if name.is_empty() || name.chars().count() > max_chars || !name.chars().all(is_of_name) {
        let shown = escape_for_people(name.as_bytes(), 100);
        return Err(invalid(format!(
            "Parameter {what} is not valid. Reason: `{shown}` is not 1 to {max_chars} of letters, digits, `.`, `-` and `_`."
        )));
    }
    Ok(name.to_owned())
}

/// A bus by its name or ARN; the account's own default bus if none is said.
fn bus_of(call: &Call<'_>, given: Option<&str>) -> Result<(AccountId, String), ApiError> {
    let own = call.account().clone();
    let Some(given) = given else { return Ok((own, DEFAULT_BUS.to_owned())) };
    let Some(rest) = given.strip_prefix("arn:aws:events:") else {
        return Ok((own, name_of("EventBusName", Some(given), 256, true)?));
    };
    let shown = escape_for_people(given.as_bytes(), 200);
    let bad =
        || invalid(format!("Parameter EventBusName is not valid. Reason: `{shown}` is the ARN of no event bus here."));
    let (region, rest) = rest.split_once(':').ok_or_else(bad)?;
    let (account, name) = rest.split_once(":event-bus/").ok_or_else(bad)?;
    let account = AccountId::parse(account).map_err(|_| bad())?;
    if region != call.host.identity().region() {
        return Err(bad());
    }
    Ok((account, name_of("EventBusName", Some(name), 256, true)?))
}

/// A bus of the caller's own account: nobody changes another's.
fn own_bus(call: &Call<'_>, given: Option<&str>) -> Result<String, ApiError> {
    let (account, name) = bus_of(call, given)?;
    match account == *call.account() {
        true => Ok(name),
        false => Err(ApiError::client("ResourceNotFoundException", 400, format!("Event bus {name} does not exist."))),
    }
}

fn bus_arn(call: &Call<'_>, account: &AccountId, name: &str) -> String {
    format!("arn:aws:events:{}:{account}:event-bus/{name}", call.host.identity().region())
}

fn arn(call: &Call<'_>, resource: &str) -> String {
    format!("arn:aws:events:{}:{}:{resource}", call.host.identity().region(), call.account())
}

/// A rule, as policies see it.
fn rule_facts(call: &Call<'_>, bus: &str, rule: &str) -> ResourceFacts {
    let account = call.account().clone();
    let tags = match call.host.event_rule(&account, bus, rule) {
        Ok(rule) => rule.tags,
        Err(_) => Tags::new(),
    };
    let name = vec![bus.to_owned(), rule.to_owned()];
    ResourceFacts::Named(NamedFacts { kind: NamedKind::EventRule, account, name, tags })
}

/// A bus of the caller's account, as policies see it.
fn own_bus_facts(call: &Call<'_>, bus: &str) -> ResourceFacts {
    let tags = call.host.event_bus(call.account(), bus).map(|bus| bus.tags).unwrap_or_default();
    crate::operations::events::bus_facts(call.account(), bus, tags)
}

/// An archive, a replay, a connection or an API destination, as policies see it.
fn store_facts(call: &Call<'_>, what: &str, name: &str) -> ResourceFacts {
    let name = vec![what.to_owned(), name.to_owned()];
    let account = call.account().clone();
    ResourceFacts::Named(NamedFacts { kind: NamedKind::EventStore, account, name, tags: Tags::new() })
}

/// The caller's account, for lists of what it has.
fn of_account<I>(call: &Call<'_>, _: &I) -> Result<ResourceFacts, ApiError> {
    Ok(ResourceFacts::Account(call.account().clone()))
}

/// A page of a list that is sorted by name: those that begin with the prefix, behind the token.
fn page<T>(
    all: Vec<T>,
    name: impl Fn(&T) -> String,
    prefix: Option<&str>,
    token: Option<&str>,
    limit: Option<u32>,
) -> Result<(Vec<T>, Option<String>), ApiError> {
    let limit = match limit {
        None => 100,
        Some(limit @ 1..=100) => limit as usize,
        Some(_) => return Err(invalid("Parameter Limit is not valid. Reason: it is 1 to 100.")),
    };
    let after = match token {
        None => None,
        Some(token) => {
            let after = token.strip_prefix("after:");
            Some(after.ok_or_else(|| invalid("Parameter NextToken is not valid. Reason: it is none of this list's."))?)
        }
    };
    let mut rest: Vec<T> = all
        .into_iter()
        .filter(|one| prefix.is_none_or(|prefix| name(one).starts_with(prefix)))
        .filter(|one| after.is_none_or(|after| name(one).as_str() > after))
        .collect();
    let has_more = rest.len() > limit;
    rest.truncate(limit);
    let next = rest.last().filter(|_| has_more).map(|last| format!("after:{}", name(last)));
    Ok((rest, next))
}

/// An answer without members.
#[derive(Serialize)]
struct Nothing {}

fn time(ms: i64) -> Timestamp {
    Timestamp(ms)
}

/// A time as clients write it: seconds since the Unix epoch.
fn ms_of(seconds: f64) -> i64 {
    (seconds * 1000.0) as i64
}
