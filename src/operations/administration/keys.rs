//! `lockgate key`: what keys there are, and what is done with them.

use serde_json::json;

use super::{AdminContext, chosen_account, failed, table, time};
use crate::identity::RepositoryRecord;
use crate::names::AccountId;
use crate::operations::admin::{AdminFailure, AdminReply, KeyCommand, KeyName};
use crate::operations::key_upkeep;
use crate::store::keyring::entry::{KeyEntry, KeyState};
use crate::store::keyring::rotation::StateChange;

/// A destruction waits for so many days, so that a mistake is noticed (those that AWS KMS allows).
const WAITING_DAYS: std::ops::RangeInclusive<u16> = 7..=30;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

pub(super) fn run(
    ctx: &AdminContext<'_>,
    account: Option<&AccountId>,
    command: &KeyCommand,
    progress: &mut dyn FnMut(&str),
) -> Result<AdminReply, AdminFailure> {
    match command {
        KeyCommand::List => list(ctx, account),
        KeyCommand::Rotate { key: KeyName::Root } => rotate_root(ctx),
        KeyCommand::Rotate { key } => match subject(ctx, account, key)? {
            Subject::Account(account) => rotate_account(ctx, &account),
            Subject::Repository(record) => rotate_repository(ctx, &record, progress),
        },
        KeyCommand::Disable { key } => change(ctx, &subject(ctx, account, key)?, StateChange::Disable),
        KeyCommand::Enable { key } => change(ctx, &subject(ctx, account, key)?, StateChange::Enable),
        KeyCommand::CancelDestruction { key } => change(ctx, &subject(ctx, account, key)?, StateChange::Cancel),
        KeyCommand::ScheduleDestruction { key, after_days } => {
            if !WAITING_DAYS.contains(after_days) {
                let (from, to) = (WAITING_DAYS.start(), WAITING_DAYS.end());
                return Err(AdminFailure::new(format!("a destruction waits for {from} to {to} days")));
            }
            let at_ms = ctx.store.clock().now_ms() + i64::from(*after_days) * DAY_MS;
            change(ctx, &subject(ctx, account, key)?, StateChange::Doom { at_ms })
        }
    }
}

/// Whose key.
enum Subject {
    Account(AccountId),
    Repository(RepositoryRecord),
}

impl Subject {
    /// As the command line has it.
    fn words(&self) -> String {
        match self {
            Subject::Account(account) => format!("account --account {account}"),
            Subject::Repository(record) => format!("repo {} --account {}", record.name, record.account),
        }
    }
}

impl std::fmt::Display for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Subject::Account(account) => write!(f, "the key of account {account}"),
            Subject::Repository(record) => write!(f, "the key of repository {}", record.name),
        }
    }
}

fn subject(ctx: &AdminContext<'_>, account: Option<&AccountId>, key: &KeyName) -> Result<Subject, AdminFailure> {
    match key {
        KeyName::Root => Err(AdminFailure::new(
            "the root key can be rotated only: what is under it is the whole server; \
             to end all access, stop the server, or disable the key in the service that keeps it",
        )),
        KeyName::Account => Ok(Subject::Account(chosen_account(ctx, account)?)),
        KeyName::Repository(name) => {
            let account = chosen_account(ctx, account)?;
            let directory = ctx.identity.directory();
            let record = directory.repository(&account, name).cloned();
            record
                .map(Subject::Repository)
                .ok_or_else(|| AdminFailure::new(format!("there is no repository `{name}`; see: lockgate repo list")))
        }
    }
}

fn rotate_root(ctx: &AdminContext<'_>) -> Result<AdminReply, AdminFailure> {
    let keyring = ctx.store.keyring();
    let (before, _) = keyring.root_providers();
    ctx.store.wait(keyring.rotate_root()).map_err(|error| failed(&error))?;
    let (after, _) = keyring.root_providers();
    tracing::info!(keeper = after, "rotated the root key");
    let moved = if before == after { String::new() } else { format!(", and is kept by {after} instead of {before}") };
    let text = format!("the root key is a new one{moved}; the old one is destroyed");
    Ok(AdminReply::ok(text, json!({"key": "root", "keeper": after})))
}

fn rotate_account(ctx: &AdminContext<'_>, account: &AccountId) -> Result<AdminReply, AdminFailure> {
    let directory = ctx.identity.directory();
    let repositories: Vec<[u8; 16]> = directory.repositories(account).map(|record| record.id.into_bytes()).collect();
    let epoch = ctx.store.keyring().rotate_account(account, &repositories).map_err(|error| failed(&error))?;
    tracing::info!(%account, epoch, "rotated the key of an account");
    let text = format!(
        "the key of account {account} is a new one, of epoch {epoch}; the keys of its repositories ({}) are under it, \
         and the old one is destroyed",
        repositories.len()
    );
    Ok(AdminReply::ok(text, json!({"key": "account", "account": account.as_str(), "epoch": epoch})))
}

fn rotate_repository(
    ctx: &AdminContext<'_>,
    record: &RepositoryRecord,
    progress: &mut dyn FnMut(&str),
) -> Result<AdminReply, AdminFailure> {
    let repository = (ctx.open_repository)(record).map_err(|error| failed(&error))?;
    let epoch =
        ctx.store.keyring().rotate_repository(&record.account, record.id.as_bytes()).map_err(|error| failed(&error))?;
    tracing::info!(repository.name = %record.name, epoch, "rotated the keys of a repository");
    progress(&format!("epoch {epoch} has begun: what is written from now on is sealed under it"));
    progress("sealing anew what is there");
    let done = repository.reseal(&|| false).map_err(|error| failed(&error))?;
    key_upkeep::note_epochs(ctx.store, record, &repository).map_err(|error| failed(&error))?;
    let text = format!(
        "the keys of repository {} are new ones, of epoch {epoch}; sealed {} packs anew, {} bytes; \
         the old key is destroyed a day from now, when nobody can be reading the old files",
        record.name, done.n_packs, done.bytes
    );
    let json = json!({
        "key": "repository", "repository": record.name.as_str(), "epoch": epoch, "packs": done.n_packs,
        "bytes": done.bytes,
    });
    Ok(AdminReply::ok(text, json))
}

fn change(ctx: &AdminContext<'_>, subject: &Subject, change: StateChange) -> Result<AdminReply, AdminFailure> {
    let keyring = ctx.store.keyring();
    let entry = match subject {
        Subject::Account(account) => keyring.change_account_state(account, change),
        Subject::Repository(record) => keyring.change_repository_state(&record.account, record.id.as_bytes(), change),
    };
    let entry =
        entry.map_err(|error| AdminFailure { message: format!("{subject} stays as it is"), ..of_one_cause(&error) })?;
    // What was decrypted and is held in memory goes, too, as soon as nobody reads it.
    if entry.state != KeyState::Enabled {
        let directory = ctx.identity.directory();
        match subject {
            Subject::Account(account) => {
                directory.repositories(account).for_each(|record| (ctx.forget_repository)(record.id.as_bytes()));
            }
            Subject::Repository(record) => (ctx.forget_repository)(record.id.as_bytes()),
        }
    }
    let (state, destroyed_at) = state_of(&entry);
    tracing::info!(key = %subject, state, "changed what may be done with a key");
    let text = match entry.state {
        KeyState::Enabled => format!("{subject} is enabled"),
        KeyState::Disabled => {
            format!("{subject} is disabled: nobody reads or writes what is under it until it is enabled")
        }
        KeyState::Doomed { at_ms } => format!(
            "{subject} will be destroyed at {} UTC, and nobody reads or writes what is under it; \
             until then: lockgate key cancel-destruction {}",
            time(at_ms),
            subject.words()
        ),
        KeyState::Destroyed => format!("{subject} is destroyed"),
    };
    Ok(AdminReply::ok(text, json!({"key": subject.words(), "state": state, "destroyedAt": destroyed_at})))
}

fn of_one_cause(error: &(dyn std::error::Error + 'static)) -> AdminFailure {
    let mut failure = failed(error);
    failure.causes.insert(0, failure.message.clone());
    failure
}

/// For scripts: the word, and when the key will be destroyed.
fn state_of(entry: &KeyEntry) -> (&'static str, Option<String>) {
    match entry.state {
        KeyState::Enabled => ("enabled", None),
        KeyState::Disabled => ("disabled", None),
        KeyState::Doomed { at_ms } => ("pending-destruction", Some(time(at_ms))),
        KeyState::Destroyed => ("destroyed", None),
    }
}

/// For people.
fn shown_state(entry: &KeyEntry) -> String {
    match state_of(entry) {
        (_, Some(at)) => format!("to be destroyed at {at}"),
        (state, None) => state.to_owned(),
    }
}

fn list(ctx: &AdminContext<'_>, only: Option<&AccountId>) -> Result<AdminReply, AdminFailure> {
    let keyring = ctx.store.keyring();
    let directory = ctx.identity.directory();
    let (keeper, configured) = keyring.root_providers();
    let root_state = if keyring.check_root().is_ok() { "enabled" } else { "not confirmed" };
    let mut rows = vec![vec!["root".to_string(), root_state.into(), keeper.into(), String::new(), String::new()]];
    let mut json = vec![json!({"key": "root", "state": root_state, "keeper": keeper, "configuredKeeper": configured})];
    let mut add = |name: String, entry: Result<KeyEntry, _>| {
        let entry: KeyEntry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                let error: crate::store::keyring::KeyringError = error;
                rows.push(vec![name.clone(), "unreadable".into(), String::new(), String::new(), error.to_string()]);
                json.push(json!({"key": name, "state": "unreadable", "error": error.to_string()}));
                return;
            }
        };
        let (state, destroyed_at) = state_of(&entry);
        let newest = entry.newest();
        let made = newest.map(|epoch| epoch.made_ms).filter(|made_ms| *made_ms != 0).map(time).unwrap_or_default();
        let with_key: Vec<u32> =
            entry.epochs.iter().filter(|epoch| epoch.key.is_some()).map(|epoch| epoch.number).collect();
        let epoch = newest.map(|epoch| format!("epoch {}", epoch.number)).unwrap_or_default();
        let older = match with_key.split_last() {
            Some((_, older)) if !older.is_empty() => {
                let older: Vec<String> = older.iter().map(ToString::to_string).collect();
                format!("older epochs that are not destroyed yet: {}", older.join(", "))
            }
            _ => String::new(),
        };
        json.push(json!({
            "key": name, "state": state, "destroyedAt": destroyed_at, "epoch": newest.map(|epoch| epoch.number), "made": made,
            "epochsWithKeys": with_key,
        }));
        rows.push(vec![name, shown_state(&entry), epoch, made, older]);
    };
    let accounts = directory.accounts().filter(|account| only.is_none_or(|only| *only == account.id));
    for account in accounts {
        add(format!("account {}", account.id), keyring.account_state(&account.id));
        for record in directory.repositories(&account.id) {
            let name = format!("repo {}/{}", account.id, record.name);
            add(name, keyring.repository_state(&account.id, record.id.as_bytes()));
        }
    }
    let mut text = table(&["KEY", "STATE", "KEPT BY, OR EPOCH", "MADE", ""], &rows);
    if keeper != configured {
        text.push_str(&format!(
            "\nthe root key is kept by {keeper}, and the configuration says {configured}: lockgate key rotate root"
        ));
    }
    Ok(AdminReply::ok(text, json.into()))
}
