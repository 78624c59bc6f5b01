//! `lockgate role`

use clap::Subcommand;

use super::principal;
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
    /// End all sessions of a role, at once and on every door
    RevokeSessions {
        #[arg(value_parser = principal)]
        name: PrincipalName,
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
            Role::RevokeSessions { name } => RoleCommand::RevokeSessions { name },
            Role::Delete { name } => RoleCommand::Delete { name },
        }
    }
}
