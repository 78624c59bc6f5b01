//! Changes of repositories as the directory knows them: name, default branch, keys.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::names::{AccountId, RefName, RepositoryName};
use crate::store::catalog::Record;

use super::Identity;
use super::directory::Directory;
use super::edit_principals::{check_account, check_never_used, exists, put, unknown};
use super::entries::{NameKind, RepositoryRecord};
use super::error::IdentityError;
use super::records::{self, Tombstone, tombstone_name};

impl Identity {
    /// Makes a repository: its keys, then its name. A name that differs only in case from another's is taken, one that
    /// was used before is never given again.
    pub async fn create_repository(
        &self,
        account: &AccountId,
        name: &RepositoryName,
        default_branch: &RefName,
    ) -> Result<RepositoryRecord, IdentityError> {
        self.create_repository_with(account, name, default_branch, "", BTreeMap::new()).await
    }

    /// [`Identity::create_repository`] with a description and tags.
    pub async fn create_repository_with(
        &self,
        account: &AccountId,
        name: &RepositoryName,
        default_branch: &RefName,
        description: &str,
        tags: BTreeMap<String, String>,
    ) -> Result<RepositoryRecord, IdentityError> {
        let now_ms = self.now_ms();
        // Asked before keys are made, and again in the change.
        self.refresh().await?;
        check_free(&self.directory(), account, name)?;
        let repository = RepositoryRecord {
            id: Uuid::now_v7(),
            account: account.clone(),
            name: name.clone(),
            default_branch: default_branch.clone(),
            description: description.to_owned(),
            tags,
            created_ms: now_ms,
            modified_ms: now_ms,
        };
        let store = &self.inner.store;
        store.create_repository_keys(account, repository.id.as_bytes())?;
        let made = self.change(|directory| {
            check_free(directory, account, name)?;
            Ok((put(vec![records::of_repository(&repository)]), repository.clone()))
        });
        let made = made.await;
        // Only where it is certain that nothing was committed: keys of a repository that is there must stay.
        if let Err(IdentityError::Exists { .. } | IdentityError::Tombstone { .. } | IdentityError::NoAccount(_)) = &made
        {
            store.destroy_repository_keys(repository.id.as_bytes())?;
        }
        made
    }

    /// Gives a repository another name. The old one leads nowhere from then on and is never given again (attack
    /// checklist D9). A change of case alone keeps the name.
    pub async fn rename_repository(
        &self,
        account: &AccountId,
        old: &RepositoryName,
        new: &RepositoryName,
    ) -> Result<RepositoryRecord, IdentityError> {
        let now_ms = self.now_ms();
        self.change(|directory| {
            let mut repository = find_repository(directory, account, old)?.clone();
            let mut puts = Vec::new();
            if repository.name.folded() != new.folded() {
                check_free(directory, account, new)?;
                puts.push(tombstone(&repository, None, now_ms));
            }
            repository.name = new.clone();
            repository.modified_ms = now_ms;
            puts.push(records::of_repository(&repository));
            Ok((put(puts), repository))
        })
        .await
    }

    /// Points a repository's `HEAD` at another branch.
    pub async fn set_default_branch(
        &self,
        account: &AccountId,
        name: &RepositoryName,
        branch: &RefName,
    ) -> Result<RepositoryRecord, IdentityError> {
        self.change_repository(account, name, |repository| repository.default_branch = branch.clone()).await
    }

    /// Sets a repository's description; empty for none.
    pub async fn set_repository_description(
        &self,
        account: &AccountId,
        name: &RepositoryName,
        description: &str,
    ) -> Result<RepositoryRecord, IdentityError> {
        self.change_repository(account, name, |repository| repository.description = description.to_owned()).await
    }

    /// Sets a repository's tags, all of them.
    pub async fn set_repository_tags(
        &self,
        account: &AccountId,
        name: &RepositoryName,
        tags: BTreeMap<String, String>,
    ) -> Result<RepositoryRecord, IdentityError> {
        self.change_repository(account, name, |repository| repository.tags.clone_from(&tags)).await
    }

    async fn change_repository(
        &self,
        account: &AccountId,
        name: &RepositoryName,
        change: impl Fn(&mut RepositoryRecord) + Send + Sync,
    ) -> Result<RepositoryRecord, IdentityError> {
        let now_ms = self.now_ms();
        self.change(|directory| {
            let before = find_repository(directory, account, name)?;
            let mut repository = before.clone();
            change(&mut repository);
            if repository != *before {
                repository.modified_ms = now_ms;
            }
            Ok((put(vec![records::of_repository(&repository)]), repository))
        })
        .await
    }

    /// Deletes a repository and destroys its keys: nothing of it opens ever again, copies and backups included. The name
    /// is never given again. Gives what was deleted. An error of the keyring means that the repository is gone and its
    /// keys are not yet; the next start destroys them.
    pub async fn delete_repository(
        &self,
        account: &AccountId,
        name: &RepositoryName,
    ) -> Result<RepositoryRecord, IdentityError> {
        let now_ms = self.now_ms();
        let deleted = self
            .change(|directory| {
                let repository = find_repository(directory, account, name)?;
                let mut batch = put(vec![tombstone(repository, Some(repository.id), now_ms)]);
                batch.deletes.push(("repository".to_string(), repository.id.into_bytes()));
                batch.forget_repositories.push(repository.id.into_bytes());
                Ok((batch, repository.clone()))
            })
            .await?;
        self.inner.store.faults().reach("repository:before-keys-destroyed");
        self.inner.store.destroy_repository_keys(deleted.id.as_bytes())?;
        Ok(deleted)
    }
}

fn find_repository<'a>(
    directory: &'a Directory,
    account: &AccountId,
    name: &RepositoryName,
) -> Result<&'a RepositoryRecord, IdentityError> {
    check_account(directory, account)?;
    directory.repository(account, name).ok_or_else(|| unknown(NameKind::Repository, account, name.as_str()))
}

fn check_free(directory: &Directory, account: &AccountId, name: &RepositoryName) -> Result<(), IdentityError> {
    check_account(directory, account)?;
    if let Some(taken) = directory.repository(account, name) {
        return Err(exists(NameKind::Repository, account, taken.name.as_str()));
    }
    check_never_used(directory, NameKind::Repository, account, name.as_str())
}

fn tombstone(repository: &RepositoryRecord, deleted: Option<Uuid>, at_ms: i64) -> Record {
    let name = tombstone_name(NameKind::Repository, &repository.account, repository.name.as_str());
    records::of_tombstone(&Tombstone { name, deleted_repository: deleted }, at_ms)
}
