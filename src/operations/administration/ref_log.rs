//! `lockgate reflog`.

use serde_json::json;

use super::{AdminContext, failed, repo, table, time};
use crate::names::{AccountId, ObjectId, RefName, escape_for_people};
use crate::operations::admin::{AdminFailure, AdminReply, RefLogCommand};
use crate::operations::ref_log::LoggedChange;

/// Digits of an id that people are shown.
const SHORT: usize = 10;

pub(super) fn run(
    ctx: &AdminContext<'_>,
    account: &AccountId,
    command: &RefLogCommand,
) -> Result<AdminReply, AdminFailure> {
    match command {
        RefLogCommand::Show { repository, reference, limit } => {
            let record = repo::find(ctx, account, repository)?;
            let name = reference.as_deref().map(full_name).transpose()?;
            let changes = ctx.host.ref_log(&record, name.as_ref(), *limit as usize).map_err(|error| failed(&error))?;
            let rows: Vec<Vec<String>> = changes.iter().map(row).collect();
            let headings = ["CHANGE", "WHEN", "REF", "WHAT", "FROM", "TO", "WHO", "DECISION"];
            Ok(AdminReply::ok(table(&headings, &rows), changes.iter().map(shown).collect()))
        }
        RefLogCommand::Undo { repository, reference, change } => {
            let record = repo::find(ctx, account, repository)?;
            let name = full_name(reference)?;
            let made = ctx.host.undo_ref_change(&record, &name, *change).map_err(|error| failed(&error))?;
            let (old, new) = (made.old.map(|id| id.to_string()), made.new.map(|id| id.to_string()));
            let from = match &old {
                Some(old) => format!("; it stood at {old}"),
                None => "; it was not there".to_owned(),
            };
            let text = format!("{} stands at {} again{from}", shown_name(&name), new.as_deref().unwrap_or_default());
            Ok(AdminReply::ok(text, json!({ "ref": shown_name(&name), "old": old, "new": new })))
        }
    }
}

/// A branch's name, or the full name of any ref.
fn full_name(text: &str) -> Result<RefName, AdminFailure> {
    let full = if text.starts_with("refs/") { text.to_owned() } else { format!("refs/heads/{text}") };
    RefName::parse(full.as_bytes()).map_err(|error| failed(&error))
}

fn shown_name(name: &RefName) -> String {
    escape_for_people(name.as_bytes(), 300)
}

fn row(logged: &LoggedChange) -> Vec<String> {
    let id = |id: &Option<ObjectId>| id.map_or_else(|| "-".to_owned(), |id| id.to_string()[..SHORT].to_owned());
    vec![
        logged.change.to_string(),
        time(logged.at_ms),
        shown_name(&logged.name),
        logged.what.as_str().to_owned(),
        id(&logged.old),
        id(&logged.new),
        escape_for_people(logged.actor.as_bytes(), 200),
        logged.decision.map_or_else(|| "-".to_owned(), |id| id.to_string()),
    ]
}

fn shown(logged: &LoggedChange) -> serde_json::Value {
    json!({
        "change": logged.change,
        "at": jiff::Timestamp::from_millisecond(logged.at_ms).map(|at| at.to_string()).unwrap_or_default(),
        "ref": shown_name(&logged.name),
        "what": logged.what.as_str(),
        "old": logged.old.map(|id| id.to_string()),
        "new": logged.new.map(|id| id.to_string()),
        "actor": logged.actor,
        "decision": logged.decision.map(|id| id.to_string()),
    })
}
