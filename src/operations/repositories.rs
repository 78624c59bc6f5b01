//! Repositories as a whole, and what is asked of their refs, for doors that speak of them by name: no object is read here.

use std::sync::Arc;

use super::lockgate::Lockgate;
use crate::identity::{IdentityError, RepositoryRecord};
use crate::names::{ObjectId, RefName};
use crate::repository::handle::{PublishWith, Repository, RepositoryError};
use crate::repository::log::LogEntry;
use crate::repository::snapshot::Snapshot;
use crate::store::StoreError;
use crate::store::keyring::{KeyRefusal, KeyringError};

/// Why a repository was not read or changed.
#[derive(Debug, thiserror::Error)]
pub enum RepositoryFailure {
    /// The directory says no.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The repository could not be read or changed.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// What is out of use could not be swept.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no such branch.
    #[error("there is no branch `{0}`")]
    NoBranch(RefName),
}

impl RepositoryFailure {
    /// The key that may not be used, where that is why.
    pub fn key_refusal(&self) -> Option<&KeyRefusal> {
        match self {
            RepositoryFailure::Repository(error) => error.key_refusal(),
            RepositoryFailure::Identity(IdentityError::Store(StoreError::Keyring(KeyringError::Refused(refusal)))) => {
                Some(refusal)
            }
            _ => None,
        }
    }
}

impl Lockgate {
    /// Where a branch stands; none if there is no such branch. Blocks.
    pub fn branch_tip(
        &self,
        record: &RepositoryRecord,
        branch: &RefName,
    ) -> Result<Option<ObjectId>, RepositoryFailure> {
        Ok(self.repository(record)?.snapshot().refs.get(branch).map(|value| value.id))
    }

    /// The names of all branches, without `refs/heads/`, in their order; those that are no UTF-8 are left out. Blocks.
    pub fn branch_names(&self, record: &RepositoryRecord) -> Result<Vec<String>, RepositoryFailure> {
        let snapshot = self.repository(record)?.snapshot();
        let names = snapshot.refs.iter().filter_map(|(name, _)| name.as_bytes().strip_prefix(b"refs/heads/"));
        Ok(names.filter_map(|name| std::str::from_utf8(name).ok().map(str::to_owned)).collect())
    }

    /// Points `HEAD` at a branch that exists. Blocks.
    pub fn set_default_branch(
        &self,
        record: &RepositoryRecord,
        branch: &RefName,
        actor: &str,
    ) -> Result<(), RepositoryFailure> {
        let repository = self.repository(record)?;
        if repository.snapshot().refs.get(branch).is_none() {
            return Err(RepositoryFailure::NoBranch(branch.clone()));
        }
        point_head(&repository, branch, actor)?;
        let changed = self.identity().set_default_branch(&record.account, &record.name, branch);
        self.store().wait(changed)?;
        Ok(())
    }

    /// Deletes a repository and destroys its keys. Blocks.
    pub fn delete_repository(&self, record: &RepositoryRecord) -> Result<(), RepositoryFailure> {
        self.store().wait(self.identity().delete_repository(&record.account, &record.name))?;
        self.forget_repository(record.id.as_bytes());
        self.store().wait(self.store().sweep())?;
        Ok(())
    }
}

/// Makes `HEAD` name a branch, whether or not it exists. Blocks.
pub fn point_head(repository: &Repository, to: &RefName, actor: &str) -> Result<Arc<Snapshot>, RepositoryError> {
    repository.publish(&mut |snapshot| -> Result<_, RepositoryError> {
        if snapshot.refs.head == *to {
            return Ok(None);
        }
        let mut entry = LogEntry::new(repository.store().clock().now_ms(), actor.to_owned());
        entry.head = Some(to.clone());
        Ok(Some((entry, PublishWith::default())))
    })
}
