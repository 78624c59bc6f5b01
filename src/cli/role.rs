//! `lockgate role`

use clap::Subcommand;

use super::{principal, time};
use crate::names::PrincipalName;
use crate::operations::admin::RoleCommand;

#[derive(Debug, Subcommand)]
pub(super) enum Role {
    /// Make a role
    Create {
        #[arg(value_parser = principal)]
        name: PrincipalName,
    },
    /// List roles
    List,
    /// End the sessions of a role, at once and on every door
    RevokeSessions {
        #[arg(value_parser = principal)]
        name: PrincipalName,
        /// Only those from before, such as 2026-01-31T00:00:00Z; not a time to come [default: now]
        #[arg(long, value_name = "TIME", value_parser = time)]
        before: Option<i64>,
    },
    /// Delete a role; the name is never given again
    Delete {
        #[arg(value_parser = principal)]
        name: PrincipalName,
    },
}

impl Role {
    pub(super) fn request(self) -> RoleCommand {
        match self {
            Role::Create { name } => RoleCommand::Create { name },
            Role::List => RoleCommand::List,
            Role::RevokeSessions { name, before } => RoleCommand::RevokeSessions { name, before_ms: before },
            Role::Delete { name } => RoleCommand::Delete { name },
        }
    }
}
