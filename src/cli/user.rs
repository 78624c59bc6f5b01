//! `lockgate user`

use clap::Subcommand;

use super::{principal, time};
use crate::names::PrincipalName;
use crate::operations::admin::UserCommand;

#[derive(Debug, Subcommand)]
pub(super) enum User {
    /// Make a user
    Create {
        #[arg(value_parser = principal)]
        name: PrincipalName,
        /// A group to join; may stand more than once
        #[arg(long = "group", value_name = "G", value_parser = principal)]
        groups: Vec<PrincipalName>,
    },
    /// List users
    List,
    /// Take no credential of the user any more
    Disable {
        #[arg(value_parser = principal)]
        name: PrincipalName,
    },
    /// End what a user has begun with temporary credentials or roles, at once and on every door
    RevokeSessions {
        #[arg(value_parser = principal)]
        name: PrincipalName,
        /// Only those from before, such as 2026-01-31T00:00:00Z; not a time to come [default: now]
        #[arg(long, value_name = "TIME", value_parser = time)]
        before: Option<i64>,
    },
    /// Set the mail addresses that the user's commits carry; without any, take all away
    Address {
        #[arg(value_parser = principal)]
        name: PrincipalName,
        addresses: Vec<String>,
    },
    /// Give a user another name; refused while a policy names the old or the new one
    Rename {
        #[arg(value_parser = principal)]
        old: PrincipalName,
        #[arg(value_parser = principal)]
        new: PrincipalName,
    },
    /// Undo `disable`
    Enable {
        #[arg(value_parser = principal)]
        name: PrincipalName,
    },
    /// Delete a user; the name is never given again
    Delete {
        #[arg(value_parser = principal)]
        name: PrincipalName,
    },
}

impl User {
    pub(super) fn request(self) -> UserCommand {
        match self {
            User::Create { name, groups } => UserCommand::Create { name, groups },
            User::List => UserCommand::List,
            User::Disable { name } => UserCommand::Disable { name },
            User::RevokeSessions { name, before } => UserCommand::RevokeSessions { name, before_ms: before },
            User::Address { name, addresses } => UserCommand::Address { name, addresses },
            User::Enable { name } => UserCommand::Enable { name },
            User::Rename { old, new } => UserCommand::Rename { old, new },
            User::Delete { name } => UserCommand::Delete { name },
        }
    }
}
