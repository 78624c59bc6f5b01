//! `lockgate account`

use clap::Subcommand;

use super::principal;
use crate::names::{AccountId, PrincipalName};
use crate::operations::admin::AccountCommand;

#[derive(Debug, Subcommand)]
pub(super) enum Account {
    /// Make an account
    Create {
        #[arg(value_parser = principal)]
        name: PrincipalName,
        /// Its number; a free one where left out
        #[arg(long, value_name = "12DIGITS", value_parser = AccountId::parse)]
        id: Option<AccountId>,
    },
    /// List accounts
    List,
    /// Give an account's root new credentials; only while the server is stopped
    Recover {
        #[arg(value_parser = AccountId::parse)]
        id: AccountId,
    },
}

impl Account {
    pub(super) fn request(self) -> AccountCommand {
        match self {
            Account::Create { name, id } => AccountCommand::Create { name, id },
            Account::List => AccountCommand::List,
            Account::Recover { id } => AccountCommand::Recover { id },
        }
    }
}
