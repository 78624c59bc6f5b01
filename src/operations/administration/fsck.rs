//! `lockgate fsck`: keys, log chain, files and objects of every repository; what is damaged is named, and the rest goes on.

use serde_json::json;

use super::{AdminContext, failed};
use crate::identity::RepositoryRecord;
use crate::names::{AccountId, RepositoryName};
use crate::operations::admin::{AdminFailure, AdminReply};
use crate::repository::check::{Checked, check};

pub(super) fn run(
    ctx: &AdminContext<'_>,
    only: Option<(AccountId, RepositoryName)>,
    progress: &mut dyn FnMut(&str),
) -> Result<AdminReply, AdminFailure> {
    let directory = ctx.identity.directory();
    let records: Vec<RepositoryRecord> = match only {
        Some((account, name)) => {
            let found = directory.repository(&account, &name).cloned();
            vec![found.ok_or_else(|| AdminFailure::new(format!("there is no repository `{name}`")))?]
        }
        None => directory.accounts().flat_map(|account| directory.repositories(&account.id)).cloned().collect(),
    };
    ctx.store.wait(ctx.store.health()).map_err(|error| failed(&error))?;
    let mut lines = Vec::new();
    let mut json = Vec::new();
    let mut n_damaged = 0;
    for record in &records {
        progress(&format!("checking {}", record.name));
        let Checked { n_entries, n_files, n_objects, damage } =
            check(ctx.store, &record.account, &record.id.into_bytes(), &record.default_branch);
        let label = format!("{}/{}", record.account, record.name);
        lines.push(if damage.is_empty() {
            format!("{label}: fine, {n_entries} log entries, {n_files} files, {n_objects} objects")
        } else {
            n_damaged += 1;
            let damage: Vec<String> = damage.iter().map(|line| format!("{label}: {line}")).collect();
            damage.join("\n")
        });
        json.push(json!({
            "repository": label, "logEntries": n_entries, "files": n_files, "objects": n_objects, "damage": damage,
        }));
    }
    if records.is_empty() {
        lines.push("there is no repository".into());
    }
    let text = lines.join("\n");
    if n_damaged == 0 {
        Ok(AdminReply::ok(text, json.into()))
    } else {
        Ok(AdminReply::report_of_failure(text, json.into()))
    }
}
