//! The administrator's commands, one file a noun. Whoever reaches this has the administrator's rights: the socket's mode or
//! the data folder's lock has proven it. A new command is a variant in `admin`, and an arm here.

mod event;
mod fsck;
mod keys;
mod policy;
mod policy_import;
mod principals;
mod question;
mod ref_log;
mod repo;

use std::path::Path;
use std::sync::Arc;

use serde_json::json;

use super::admin::{AccountCommand, AdminCommand, AdminFailure, AdminReply, AdminRequest, ImportSource};
use super::last_used::LastUse;
use super::lockgate::Lockgate;
use super::policies::Policies;
use crate::identity::{Identity, RepositoryRecord};
use crate::names::AccountId;
use crate::repository::handle::{Repository, RepositoryError};
use crate::store::Store;
use crate::store::catalog::CatalogError;

/// Gives a repository of the directory, open.
pub type OpenRepository<'a> = dyn Fn(&RepositoryRecord) -> Result<Arc<Repository>, RepositoryError> + 'a;
/// Imports into a repository that is empty, telling of its progress; gives what it says at the end.
pub type Import<'a> =
    dyn Fn(&Repository, &ImportSource, &mut dyn FnMut(&str)) -> Result<(String, serde_json::Value), AdminFailure> + 'a;

/// What the commands work on.
pub struct AdminContext<'a> {
    /// The inside, for what is asked of refs.
    pub host: &'a Lockgate,
    /// The store.
    pub store: &'a Store,
    /// The directory.
    pub identity: &'a Identity,
    /// The policies.
    pub policies: &'a Policies,
    /// The region that stands in ARNs.
    pub region: &'a str,
    /// Where the policy folder lies, unless a command names another.
    pub policies_dir: &'a Path,
    /// Opens a repository.
    pub open_repository: &'a OpenRepository<'a>,
    /// Lets go of a repository that was deleted.
    pub forget_repository: &'a dyn Fn(&[u8; 16]),
    /// Imports.
    pub import: &'a Import<'a>,
    /// When a credential was used last.
    pub last_use: &'a dyn Fn(&str) -> Result<Option<LastUse>, CatalogError>,
}

/// Runs one command.
pub fn run(
    ctx: &AdminContext<'_>,
    request: AdminRequest,
    progress: &mut dyn FnMut(&str),
) -> Result<AdminReply, AdminFailure> {
    let account = || chosen_account(ctx, request.account.as_ref());
    match &request.command {
        AdminCommand::Account(command) => account_command(ctx, command),
        AdminCommand::User(command) => principals::user(ctx, &account()?, command),
        AdminCommand::Group(command) => principals::group(ctx, &account()?, command),
        AdminCommand::Role(command) => principals::role(ctx, &account()?, command),
        // An access key id is of the whole server, and does not say of which account.
        AdminCommand::Session(command) => principals::session(ctx, command),
        AdminCommand::Credential(command) => principals::credential(ctx, &account()?, command),
        AdminCommand::Repo(command) => repo::run(ctx, &account()?, command, progress),
        AdminCommand::Policy(command) => policy::run(ctx, request.account.as_ref(), command),
        AdminCommand::Key(command) => keys::run(ctx, request.account.as_ref(), command, progress),
        AdminCommand::RefLog(command) => ref_log::run(ctx, &account()?, command),
        AdminCommand::Event(command) => event::run(ctx, &account()?, command),
        AdminCommand::SshAuthorities => ssh_authorities(ctx),
        AdminCommand::Fsck { repository } => {
            let only = match repository {
                Some(name) => Some((account()?, name.clone())),
                None => None,
            };
            fsck::run(ctx, only, progress)
        }
    }
}

/// The line that clients need to know this server, and the key that signs people's certificates.
fn ssh_authorities(ctx: &AdminContext<'_>) -> Result<AdminReply, AdminFailure> {
    let failed = |error: russh::keys::ssh_key::Error| AdminFailure::from_error(&error);
    let known_hosts = ctx.identity.known_hosts_line().map_err(failed)?;
    let users = ctx.identity.ssh_user_authority().to_openssh().map_err(failed)?;
    let text = format!("{known_hosts} lockgate hosts\n{users} lockgate users");
    Ok(AdminReply::ok(text, json!({"knownHosts": known_hosts, "users": users})))
}

/// The account that was named, or the only one.
fn chosen_account(ctx: &AdminContext<'_>, named: Option<&AccountId>) -> Result<AccountId, AdminFailure> {
    let directory = ctx.identity.directory();
    match named {
        Some(id) if directory.account(id).is_some() => Ok(id.clone()),
        Some(id) => Err(AdminFailure::new(format!("there is no account `{id}`; see: lockgate account list"))),
        None => {
            let mut accounts = directory.accounts();
            match (accounts.next(), accounts.next()) {
                (Some(only), None) => Ok(only.id.clone()),
                _ => {
                    let ids: Vec<String> =
                        directory.accounts().take(20).map(|account| account.id.to_string()).collect();
                    let ids = ids.join(", ");
                    Err(AdminFailure::new(format!("there are several accounts ({ids}); name one with --account ID")))
                }
            }
        }
    }
}

fn account_command(ctx: &AdminContext<'_>, command: &AccountCommand) -> Result<AdminReply, AdminFailure> {
    match command {
        AccountCommand::Create { name, id } => {
            let made = wait(ctx, ctx.identity.create_account(name.as_str(), id.clone()))?;
            let text = format!(
                "account {} ({}) made; nobody may do anything in it until policies/{}/ says so",
                made.id, made.name, made.id
            );
            Ok(AdminReply::ok(text, json!({"id": made.id.as_str(), "name": made.name})))
        }
        AccountCommand::List => {
            let directory = ctx.identity.directory();
            let rows: Vec<Vec<String>> =
                directory.accounts().map(|account| vec![account.id.to_string(), account.name.to_string()]).collect();
            let json: Vec<_> = rows.iter().map(|row| json!({"id": row[0], "name": row[1]})).collect();
            Ok(AdminReply::ok(table(&["ID", "NAME"], &rows), json.into()))
        }
        AccountCommand::Recover { id } => principals::recover(ctx, id),
    }
}

/// Waits for a future of the directory, and turns its error into words.
fn wait<T, E: std::error::Error + 'static>(
    ctx: &AdminContext<'_>,
    future: impl Future<Output = Result<T, E>>,
) -> Result<T, AdminFailure> {
    ctx.store.wait(future).map_err(|error| AdminFailure::from_error(&error))
}

fn failed(error: &(dyn std::error::Error + 'static)) -> AdminFailure {
    AdminFailure::from_error(error)
}

/// Rows under headings, in aligned columns.
fn table(headings: &[&str], rows: &[Vec<String>]) -> String {
    if rows.is_empty() {
        return "none".into();
    }
    let heading: Vec<String> = headings.iter().map(ToString::to_string).collect();
    let all: Vec<&Vec<String>> = std::iter::once(&heading).chain(rows).collect();
    let width = |column: usize| all.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..headings.len()).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}", width = *width)).collect();
        cells.join("  ").trim_end().to_string()
    };
    all.into_iter().map(line).collect::<Vec<_>>().join("\n")
}

/// A time for people, in UTC.
fn time(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map(|time| time.strftime("%Y-%m-%d %H:%M").to_string()).unwrap_or_default()
}
