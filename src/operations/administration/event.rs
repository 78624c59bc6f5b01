//! `lockgate event`.

use serde_json::json;
use uuid::Uuid;

use super::{AdminContext, failed, table, time};
use crate::names::{AccountId, escape_for_people};
use crate::operations::admin::{AdminFailure, AdminReply, EventCommand};
use crate::operations::events::deliveries::LoggedDelivery;
use crate::store::queue::DeliveryState;

pub(super) fn run(
    ctx: &AdminContext<'_>,
    account: &AccountId,
    command: &EventCommand,
) -> Result<AdminReply, AdminFailure> {
    match command {
        EventCommand::Log { limit } => {
            let found = ctx.host.logged_deliveries(account, None, *limit as usize).map_err(|error| failed(&error))?;
            let rows: Vec<Vec<String>> = found.iter().map(row).collect();
            let headings = ["DELIVERY", "WHEN", "STATE", "TRIES", "EVENT", "TO", "LAST ERROR"];
            Ok(AdminReply::ok(table(&headings, &rows), found.iter().map(shown).collect()))
        }
        EventCommand::Show { id } => {
            let found = ctx.host.logged_delivery(account, *id).map_err(|error| failed(&error))?;
            let found = found.ok_or_else(|| none(*id))?;
            let mut text = format!("{}\n", row(&found).join("  "));
            for attempt in &found.delivery.attempts {
                let how = attempt.error.as_deref().map_or_else(|| "taken".to_owned(), shown_text);
                text.push_str(&format!("  {}  {} ms  {how}\n", time(attempt.at_ms), attempt.took_ms));
            }
            text.push_str(&found.delivery.body);
            let mut json = shown(&found);
            json["body"] = found.delivery.body.clone().into();
            Ok(AdminReply::ok(text, json))
        }
        EventCommand::Redeliver { id } => match ctx.host.redeliver(account, *id).map_err(|error| failed(&error))? {
            true => Ok(AdminReply::ok(format!("{id} is being told once more"), json!({ "delivery": id }))),
            false => Err(none(*id)),
        },
    }
}

fn none(id: Uuid) -> AdminFailure {
    AdminFailure::new(format!("there is no delivery {id} in this account: `lockgate event log` lists them"))
}

fn shown_text(text: &str) -> String {
    escape_for_people(text.as_bytes(), 200)
}

fn state(logged: &LoggedDelivery) -> &'static str {
    match logged.state {
        DeliveryState::Waiting => "waiting",
        DeliveryState::Made => "delivered",
        DeliveryState::GivenUp => "failed",
    }
}

fn row(logged: &LoggedDelivery) -> Vec<String> {
    let error = logged.delivery.attempts.last().and_then(|attempt| attempt.error.as_deref());
    vec![
        logged.id.to_string(),
        time(logged.at_ms),
        state(logged).to_owned(),
        logged.delivery.n_tries.to_string(),
        shown_text(&logged.delivery.kind),
        shown_text(&logged.delivery.destination),
        error.map_or_else(|| "-".to_owned(), shown_text),
    ]
}

fn shown(logged: &LoggedDelivery) -> serde_json::Value {
    json!({
        "delivery": logged.id.to_string(),
        "at": jiff::Timestamp::from_millisecond(logged.at_ms).map(|at| at.to_string()).unwrap_or_default(),
        "state": state(logged),
        "event": logged.delivery.event,
        "kind": logged.delivery.kind,
        "because": logged.delivery.because,
        "destination": logged.delivery.destination,
        "tries": logged.delivery.n_tries,
        "lastError": logged.delivery.attempts.last().and_then(|attempt| attempt.error.clone()),
    })
}
