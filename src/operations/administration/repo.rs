//! `lockgate repo`.

use serde_json::json;

use super::{AdminContext, failed, table, time, wait};
use crate::identity::RepositoryRecord;
use crate::names::{AccountId, RefName, RepositoryName};
use crate::operations::admin::{AdminFailure, AdminReply, RepoCommand};
use crate::operations::renaming::rename_repository;
use crate::operations::repositories::point_head;

pub(super) fn run(
    ctx: &AdminContext<'_>,
    account: &AccountId,
    command: &RepoCommand,
    progress: &mut dyn FnMut(&str),
) -> Result<AdminReply, AdminFailure> {
    match command {
        RepoCommand::Create { name, default_branch } => {
            let branch = branch(default_branch.as_deref().unwrap_or("main"))?;
            let made = wait(ctx, ctx.identity.create_repository(account, name, &branch))?;
            let text = format!("repository {name} made: clone it from /v1/repos/{name} of this server");
            Ok(AdminReply::ok(text, shown(&made)))
        }
        RepoCommand::List => {
            let directory = ctx.identity.directory();
            let rows: Vec<Vec<String>> = directory
                .repositories(account)
                .map(|record| vec![record.name.to_string(), record.default_branch.to_string(), time(record.created_ms)])
                .collect();
            let json: Vec<_> = directory.repositories(account).map(shown).collect();
            Ok(AdminReply::ok(table(&["NAME", "DEFAULT BRANCH", "MADE"], &rows), json.into()))
        }
        RepoCommand::Rename { old, new } => {
            let record = find(ctx, account, old)?;
            let renamed = wait(ctx, rename_repository(ctx.identity, ctx.policies, account, old, new))?;
            Ok(AdminReply::ok(
                format!("{} is {new} now; {} is not given again", record.name, record.name),
                shown(&renamed),
            ))
        }
        RepoCommand::SetHead { name, branch: to } => {
            let record = find(ctx, account, name)?;
            let to = branch(to)?;
            let repository = (ctx.open_repository)(&record).map_err(|error| failed(&error))?;
            let snapshot = point_head(&repository, &to, "administrator").map_err(|error| failed(&error))?;
            let record = wait(ctx, ctx.identity.set_default_branch(account, name, &to))?;
            let mut text = format!("HEAD of {} is {to}", record.name);
            if snapshot.refs.get(&to).is_none() {
                text.push_str("; the branch does not exist yet");
            }
            Ok(AdminReply::ok(text, shown(&record)))
        }
        RepoCommand::Delete { name } => {
            let record = find(ctx, account, name)?;
            wait(ctx, ctx.identity.delete_repository(account, name))?;
            (ctx.forget_repository)(record.id.as_bytes());
            wait(ctx, ctx.store.sweep())?;
            let text = format!(
                "{} is deleted and its keys are destroyed: nothing brings it back; the name is not given again",
                record.name
            );
            Ok(AdminReply::ok(text, shown(&record)))
        }
        RepoCommand::Import { source, name } => {
            let existing = ctx.identity.directory().repository(account, name).cloned();
            let (record, is_new) = match existing {
                Some(record) => (record, false),
                None => (wait(ctx, ctx.identity.create_repository(account, name, &branch("main")?))?, true),
            };
            let repository = (ctx.open_repository)(&record).map_err(|error| failed(&error))?;
            match (ctx.import)(&repository, source, progress) {
                Ok((text, json)) => {
                    let head = repository.snapshot().refs.head.clone();
                    wait(ctx, ctx.identity.set_default_branch(account, name, &head))?;
                    Ok(AdminReply::ok(text, json))
                }
                Err(mut failure) => {
                    if is_new {
                        // A name is not given twice, so the repository stays, empty, for another try.
                        failure.causes.push(format!("`{name}` was made and is empty; the import can be tried again"));
                    }
                    Err(failure)
                }
            }
        }
    }
}

pub(super) fn find(
    ctx: &AdminContext<'_>,
    account: &AccountId,
    name: &RepositoryName,
) -> Result<RepositoryRecord, AdminFailure> {
    let found = ctx.identity.directory().repository(account, name).cloned();
    found.ok_or_else(|| AdminFailure::new(format!("there is no repository `{name}`; see: lockgate repo list")))
}

fn branch(name: &str) -> Result<RefName, AdminFailure> {
    let name = name.strip_prefix("refs/heads/").unwrap_or(name);
    RefName::branch(name).map_err(|error| failed(&error))
}

fn shown(record: &RepositoryRecord) -> serde_json::Value {
    json!({
        "name": record.name.as_str(),
        "account": record.account.as_str(),
        "id": record.id.to_string(),
        "defaultBranch": record.default_branch.to_string(),
        "path": format!("/v1/repos/{}", record.name),
    })
}
