//! `lockgate fsck`

use clap::Args;

use super::repository;
use crate::names::RepositoryName;
use crate::operations::admin::AdminCommand;

#[derive(Debug, Args)]
pub(super) struct Fsck {
    /// The one repository to look at
    #[arg(value_name = "REPO", value_parser = repository)]
    repository: Option<RepositoryName>,
}

impl Fsck {
    pub(super) fn request(self) -> AdminCommand {
        AdminCommand::Fsck { repository: self.repository }
    }
}
