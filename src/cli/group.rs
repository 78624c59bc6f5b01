//! `lockgate group`

use clap::Subcommand;

use super::principal;
use crate::names::PrincipalName;
use crate::operations::admin::GroupCommand;

#[derive(Debug, Subcommand)]
pub(super) enum Group {
    /// Make a group
    Create {
        #[arg(value_parser = principal)]
        name: PrincipalName,
    },
    /// Put a user into a group
    AddUser {
        #[arg(value_parser = principal)]
        group: PrincipalName,
        #[arg(value_parser = principal)]
        user: PrincipalName,
    },
    /// Take a user out of a group
    RemoveUser {
        #[arg(value_parser = principal)]
        group: PrincipalName,
        #[arg(value_parser = principal)]
        user: PrincipalName,
    },
    /// Give a group another name; refused while a policy names the old or the new one
    Rename {
        #[arg(value_parser = principal)]
        old: PrincipalName,
        #[arg(value_parser = principal)]
        new: PrincipalName,
    },
    /// List groups and their members
    List,
}

impl Group {
    pub(super) fn request(self) -> GroupCommand {
        match self {
            Group::Create { name } => GroupCommand::Create { name },
            Group::AddUser { group, user } => GroupCommand::AddUser { group, user },
            Group::RemoveUser { group, user } => GroupCommand::RemoveUser { group, user },
            Group::Rename { old, new } => GroupCommand::Rename { old, new },
            Group::List => GroupCommand::List,
        }
    }
}
