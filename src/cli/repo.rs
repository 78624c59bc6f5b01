//! `lockgate repo`

use clap::Subcommand;

use super::{absolute, repository};
use crate::names::RepositoryName;
use crate::operations::admin::{AdminFailure, ImportSource, RepoCommand};

#[derive(Debug, Subcommand)]
pub(super) enum Repo {
    /// Make an empty repository
    Create {
        #[arg(value_parser = repository)]
        name: RepositoryName,
        /// The branch that HEAD names [default: main]
        #[arg(long, value_name = "B")]
        default_branch: Option<String>,
    },
    /// List repositories
    List,
    /// Rename a repository
    Rename {
        #[arg(value_parser = repository)]
        old: RepositoryName,
        #[arg(value_parser = repository)]
        new: RepositoryName,
    },
    /// Point HEAD at a branch
    SetHead {
        #[arg(value_parser = repository)]
        name: RepositoryName,
        branch: String,
    },
    /// Delete a repository and destroy its keys
    Delete {
        #[arg(value_parser = repository)]
        name: RepositoryName,
    },
    /// Make a repository from another one
    Import {
        /// A URL, or a path on this machine
        source: String,
        #[arg(value_parser = repository)]
        name: RepositoryName,
    },
}

impl Repo {
    pub(super) fn request(self) -> Result<RepoCommand, AdminFailure> {
        Ok(match self {
            Repo::Create { name, default_branch } => RepoCommand::Create { name, default_branch },
            Repo::List => RepoCommand::List,
            Repo::Rename { old, new } => RepoCommand::Rename { old, new },
            Repo::SetHead { name, branch } => RepoCommand::SetHead { name, branch },
            Repo::Delete { name } => RepoCommand::Delete { name },
            Repo::Import { source, name } => {
                let source = match source.contains("://") {
                    true => ImportSource::Url(source),
                    false => ImportSource::Path(absolute(source.into())?),
                };
                RepoCommand::Import { source, name }
            }
        })
    }
}
