//! `lockgate key`

use clap::{Args, Subcommand};

use super::repository;
use crate::names::RepositoryName;
use crate::operations::admin::{KeyCommand, KeyName};

#[derive(Debug, Subcommand)]
pub(super) enum Key {
    /// List the root key, and the keys of accounts and repositories
    List,
    /// Make a new key; what is under the old one is wrapped or sealed anew while the server goes on
    Rotate {
        #[command(subcommand)]
        key: AnyKey,
    },
    /// Let nobody use a key until it is enabled
    Disable {
        #[command(subcommand)]
        key: OwnedKey,
    },
    /// Undo `disable`
    Enable {
        #[command(subcommand)]
        key: OwnedKey,
    },
    /// Disable a key now, and destroy it later: nothing that is under it is ever read again
    ScheduleDestruction {
        #[command(flatten)]
        when: When,
        #[command(subcommand)]
        key: OwnedKey,
    },
    /// Undo `schedule-destruction`; the key stays disabled
    CancelDestruction {
        #[command(subcommand)]
        key: OwnedKey,
    },
}

#[derive(Debug, Args)]
pub(super) struct When {
    /// After how many days, 7 to 30
    #[arg(long, value_name = "DAYS", default_value_t = 30, global = true)]
    after_days: u16,
}

#[derive(Debug, Subcommand)]
pub(super) enum AnyKey {
    /// The server's root key; it moves to the keeper that is configured
    Root,
    /// The account's key
    Account,
    /// A repository's keys
    Repo {
        #[arg(value_parser = repository)]
        name: RepositoryName,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum OwnedKey {
    /// The account's key, and so all of its repositories
    Account,
    /// A repository's keys
    Repo {
        #[arg(value_parser = repository)]
        name: RepositoryName,
    },
}

impl From<OwnedKey> for KeyName {
    fn from(key: OwnedKey) -> KeyName {
        match key {
            OwnedKey::Account => KeyName::Account,
            OwnedKey::Repo { name } => KeyName::Repository(name),
        }
    }
}

impl Key {
    pub(super) fn request(self) -> KeyCommand {
        match self {
            Key::List => KeyCommand::List,
            Key::Rotate { key } => KeyCommand::Rotate {
                key: match key {
                    AnyKey::Root => KeyName::Root,
                    AnyKey::Account => KeyName::Account,
                    AnyKey::Repo { name } => KeyName::Repository(name),
                },
            },
            Key::Disable { key } => KeyCommand::Disable { key: key.into() },
            Key::Enable { key } => KeyCommand::Enable { key: key.into() },
            Key::ScheduleDestruction { key, when } => {
                KeyCommand::ScheduleDestruction { key: key.into(), after_days: when.after_days }
            }
            Key::CancelDestruction { key } => KeyCommand::CancelDestruction { key: key.into() },
        }
    }
}
