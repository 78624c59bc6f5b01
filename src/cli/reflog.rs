//! `lockgate reflog`

use clap::Args;

use super::repository;
use crate::names::RepositoryName;
use crate::operations::admin::{AdminCommand, RefLogCommand};

#[derive(Debug, Args)]
pub(super) struct Reflog {
    #[arg(value_name = "REPO", value_parser = repository)]
    repository: RepositoryName,
    /// A branch, or a ref by its full name, such as refs/tags/v1
    #[arg(value_name = "REF")]
    reference: Option<String>,
    /// At most so many changes, the newest first
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Lead the ref back to where it stood before its last change
    #[arg(long, requires = "reference")]
    undo: bool,
    /// With --undo: before this change of it
    #[arg(long, value_name = "N", requires = "undo", value_parser = clap::value_parser!(i64).range(1..))]
    change: Option<i64>,
}

impl Reflog {
    pub(super) fn request(self) -> AdminCommand {
        let Reflog { repository, reference, limit, undo, change } = self;
        AdminCommand::RefLog(match reference {
            Some(reference) if undo => RefLogCommand::Undo { repository, reference, change },
            reference => RefLogCommand::Show { repository, reference, limit },
        })
    }
}
