//! Every change of the directory: worked out on the snapshot, written in one transaction if nothing else was changed
//! meanwhile, and then shown.

use serde::Serialize;
use uuid::Uuid;

use super::credentials::{
    Credential, GitCredential, NewAccessKey, PasswordHash, fingerprint, new_id, new_secret, new_uuid, parse_ssh_key,
};
use super::directory::{Account, Directory, Group, RepositoryRecord, Role, User, tombstone_name};
use super::records::{self, CredentialBody, CredentialWhat};
use super::{Identity, IdentityError};
use crate::names::{AccountId, PrincipalName, RefName, RepositoryName};
use crate::store::catalog::{CatalogError, Record, RecordBatch};

/// Access keys and Git credentials that a user may have, so that one can be replaced while the other is in use.
const KEYS_PER_USER: usize = 2;
const SSH_KEYS_PER_USER: usize = 50;

impl Identity {
    /// Works a change out on the newest snapshot, writes it, and shows it. Gives what `work` gave.
    async fn change<T>(
        &self,
        work: impl Fn(&Directory) -> Result<(RecordBatch, T), IdentityError>,
    ) -> Result<T, IdentityError> {
        let _one = self.inner.changing.lock().await;
        for _ in 0..8 {
            self.refresh().await?;
            let directory = self.directory();
            let (mut batch, out) = work(&directory)?;
            batch.expect_counter = Some(directory.counter());
            match self.inner.store.catalog().commit(&batch).await {
                Ok(_) => {
                    self.refresh().await?;
                    return Ok(out);
                }
                Err(CatalogError::Changed) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(IdentityError::Busy)
    }

    fn now_ms(&self) -> i64 {
        self.inner.store.clock().now_ms()
    }

    /// Makes an account, under an id of one's choice or a random one.
    pub async fn create_account(&self, name: &str, id: Option<AccountId>) -> Result<Account, IdentityError> {
        PrincipalName::parse(name)?;
        let created_ms = self.now_ms();
        let account = self
            .change(|directory| {
                let id = match &id {
                    Some(id) => id.clone(),
                    None => random_account_id()?,
                };
                if directory.account(&id).is_some() {
                    return Err(IdentityError::Exists { what: "account", name: id.to_string() });
                }
                let body = records::AccountBody { id: id.to_string(), name: name.into(), created_ms };
                let record = record(records::ACCOUNT, new_uuid(), Some(id.to_string()), &body);
                // The key first: an account without one would refuse everything.
                self.inner.store.create_account_keys(&id)?;
                Ok((put(record), Account { id, name: name.into(), created_ms }))
            })
            .await?;
        Ok(account)
    }

    /// Makes a user, as a member of groups that exist.
    pub async fn create_user(
        &self,
        account: &AccountId,
        name: &PrincipalName,
        groups: &[PrincipalName],
    ) -> Result<User, IdentityError> {
        let (id, created_ms) = (new_uuid(), self.now_ms());
        self.change(|directory| {
            let taken = directory.users(account).any(|user| user.name.folded() == name.folded());
            may_create(directory, "user", account, name.as_str(), taken)?;
            let body = records::UserBody {
                account: account.to_string(),
                name: name.to_string(),
                created_ms,
                disabled: false,
                tags: Default::default(),
            };
            let mut batch = put(record(records::USER, id, Some(unique(account, &name.folded())), &body));
            for group in groups {
                let mut group = find_group(directory, account, group)?.clone();
                group.members.push(id);
                batch.puts.push(group_record(&group));
            }
            let user = User {
                id,
                account: account.clone(),
                name: name.clone(),
                disabled: false,
                tags: Default::default(),
                created_ms,
            };
            Ok((batch, user))
        })
        .await
    }

    /// Disables or enables a user.
    pub async fn set_user_disabled(
        &self,
        account: &AccountId,
        name: &PrincipalName,
        disabled: bool,
    ) -> Result<(), IdentityError> {
        self.change(|directory| {
            let user = find_user(directory, account, name)?;
            let body = records::UserBody {
                account: account.to_string(),
                name: name.to_string(),
                created_ms: user.created_ms,
                disabled,
                tags: user.tags.clone(),
            };
            Ok((put(record(records::USER, user.id, Some(unique(account, &name.folded())), &body)), ()))
        })
        .await
    }

    /// Deletes a user with all credentials and memberships. The name is not given again.
    pub async fn delete_user(&self, account: &AccountId, name: &PrincipalName) -> Result<(), IdentityError> {
        let at_ms = self.now_ms();
        self.change(|directory| {
            let user = find_user(directory, account, name)?;
            let mut batch = put(tombstone("user", account, name.as_str(), at_ms));
            batch.deletes.push((records::USER.into(), user.id.into_bytes()));
            for held in directory.credentials.iter().filter(|held| held.user == user.id) {
                batch.deletes.push((records::CREDENTIAL.into(), held.record.into_bytes()));
            }
            for group in directory.groups(account).filter(|group| group.members.contains(&user.id)) {
                let mut group = group.clone();
                group.members.retain(|member| *member != user.id);
                batch.puts.push(group_record(&group));
            }
            Ok((batch, ()))
        })
        .await
    }

    /// Makes a group.
    pub async fn create_group(&self, account: &AccountId, name: &PrincipalName) -> Result<Group, IdentityError> {
        let (id, created_ms) = (new_uuid(), self.now_ms());
        self.change(|directory| {
            let taken = directory.groups(account).any(|group| group.name.folded() == name.folded());
            may_create(directory, "group", account, name.as_str(), taken)?;
            let group = Group { id, account: account.clone(), name: name.clone(), members: Vec::new(), created_ms };
            Ok((put(group_record(&group)), group))
        })
        .await
    }

    /// Puts a user into a group; it is fine if the user is in it.
    pub async fn add_to_group(
        &self,
        account: &AccountId,
        group: &PrincipalName,
        user: &PrincipalName,
    ) -> Result<(), IdentityError> {
        self.change(|directory| {
            let user = find_user(directory, account, user)?;
            let mut group = find_group(directory, account, group)?.clone();
            if !group.members.contains(&user.id) {
                group.members.push(user.id);
            }
            Ok((put(group_record(&group)), ()))
        })
        .await
    }

    /// Takes a user out of a group.
    pub async fn remove_from_group(
        &self,
        account: &AccountId,
        group: &PrincipalName,
        user: &PrincipalName,
    ) -> Result<(), IdentityError> {
        self.change(|directory| {
            let user = find_user(directory, account, user)?;
            let mut group = find_group(directory, account, group)?.clone();
            if !group.members.contains(&user.id) {
                let name = format!("{} in group {}", user.name, group.name);
                return Err(IdentityError::NotFound { what: "user", name });
            }
            group.members.retain(|member| *member != user.id);
            Ok((put(group_record(&group)), ()))
        })
        .await
    }

    /// Makes a role with sessions of up to an hour.
    pub async fn create_role(&self, account: &AccountId, name: &PrincipalName) -> Result<Role, IdentityError> {
        let (id, created_ms) = (new_uuid(), self.now_ms());
        self.change(|directory| {
            let taken = directory.roles(account).any(|role| role.name.folded() == name.folded());
            may_create(directory, "role", account, name.as_str(), taken)?;
            let role = Role {
                id,
                account: account.clone(),
                name: name.clone(),
                max_session_seconds: 3600,
                tags: Default::default(),
                created_ms,
            };
            let body = records::RoleBody {
                account: account.to_string(),
                name: name.to_string(),
                created_ms,
                max_session_seconds: role.max_session_seconds,
                tags: Default::default(),
            };
            Ok((put(record(records::ROLE, id, Some(unique(account, &name.folded())), &body)), role))
        })
        .await
    }

    /// Deletes a role. The name is not given again.
    pub async fn delete_role(&self, account: &AccountId, name: &PrincipalName) -> Result<(), IdentityError> {
        let at_ms = self.now_ms();
        self.change(|directory| {
            let role = directory.role(account, name);
            let role = role.ok_or_else(|| IdentityError::NotFound { what: "role", name: name.to_string() })?;
            let mut batch = put(tombstone("role", account, name.as_str(), at_ms));
            batch.deletes.push((records::ROLE.into(), role.id.into_bytes()));
            Ok((batch, ()))
        })
        .await
    }

    /// Registers an SSH public key. One key belongs to one user (attack checklist C2).
    pub async fn add_ssh_key(
        &self,
        account: &AccountId,
        user: &PrincipalName,
        openssh: &str,
    ) -> Result<Credential, IdentityError> {
        let key = parse_ssh_key(openssh).map_err(IdentityError::SshKey)?;
        let fingerprint = fingerprint(&key);
        let openssh = key.to_openssh().map_err(|error| IdentityError::SshKey(error.to_string()))?;
        let what = CredentialWhat::SshKey { openssh, fingerprint: fingerprint.clone() };
        let unique_name = format!("ssh-key/{fingerprint}");
        if self.directory().has_ssh_key(&fingerprint) {
            return Err(IdentityError::SshKey("it is registered already".into()));
        }
        self.add_credential(account, user, "APKA", unique_name, what, SSH_KEYS_PER_USER, "SSH keys").await
    }

    /// Makes a user name and password for Git over HTTPS.
    pub async fn create_git_credential(
        &self,
        account: &AccountId,
        user: &PrincipalName,
    ) -> Result<GitCredential, IdentityError> {
        let password = new_secret(44);
        let PasswordHash { salt, hash } = PasswordHash::of(&password);
        let directory = self.directory();
        // As AWS names them: `alice-at-111111111111`, then `-1`, `-2`, ...
        let base = format!("{user}-at-{account}");
        let mut user_name = base.clone();
        for n in 1.. {
            let is_dead = directory.is_tombstone("git-credential", account, &user_name);
            if !directory.has_git_user(&user_name) && !is_dead {
                break;
            }
            user_name = format!("{base}-{n}");
        }
        let what = CredentialWhat::Git { user_name: user_name.clone(), salt, hash };
        let unique_name = format!("git/{user_name}");
        let made =
            self.add_credential(account, user, "ACCA", unique_name, what, KEYS_PER_USER, "Git credentials").await?;
        Ok(GitCredential { id: made.id, user_name, password })
    }

    /// Makes an access key.
    pub async fn create_access_key(
        &self,
        account: &AccountId,
        user: &PrincipalName,
    ) -> Result<NewAccessKey, IdentityError> {
        let secret = new_secret(40);
        let what = CredentialWhat::AccessKey { secret: secret.clone() };
        let unique_name = format!("access-key/{}", new_uuid());
        let made = self.add_credential(account, user, "AKIA", unique_name, what, KEYS_PER_USER, "access keys").await?;
        Ok(NewAccessKey { id: made.id, secret })
    }

    async fn add_credential(
        &self,
        account: &AccountId,
        user: &PrincipalName,
        prefix: &str,
        unique_name: String,
        what: CredentialWhat,
        limit: usize,
        plural: &'static str,
    ) -> Result<Credential, IdentityError> {
        let (record_id, created_ms, key) = (new_uuid(), self.now_ms(), new_id(prefix));
        let what = serde_json::to_value(&what).expect("plain strings and bytes");
        self.change(|directory| {
            let user = find_user(directory, account, user)?;
            let held = directory.credentials(user);
            if held.iter().filter(|credential| credential.id.starts_with(prefix)).count() >= limit {
                return Err(IdentityError::TooMany { user: user.name.to_string(), what: plural, limit });
            }
            let what: CredentialWhat = serde_json::from_value(what.clone()).expect("it was just written");
            let body = CredentialBody { user: user.id.to_string(), key: key.clone(), created_ms, what };
            Ok((put(record(records::CREDENTIAL, record_id, Some(unique_name.clone()), &body)), user.clone()))
        })
        .await
        .map_err(|error| match error {
            IdentityError::Store(crate::store::StoreError::Catalog(CatalogError::NameTaken)) => {
                IdentityError::SshKey("it is registered already".into())
            }
            other => other,
        })?;
        let directory = self.directory();
        let made = directory.credentials.iter().find(|held| held.record == record_id);
        made.map(|held| held.shown.clone()).ok_or(IdentityError::Busy)
    }

    /// Revokes a credential of a user; a Git user name is not given again.
    pub async fn revoke_credential(
        &self,
        account: &AccountId,
        user: &PrincipalName,
        id: &str,
    ) -> Result<(), IdentityError> {
        let at_ms = self.now_ms();
        self.change(|directory| {
            let user = find_user(directory, account, user)?;
            let held = directory.credentials.iter().find(|held| held.user == user.id && held.shown.id == id);
            let held = held.ok_or_else(|| IdentityError::NotFound { what: "credential", name: id.to_string() })?;
            let mut batch = RecordBatch::default();
            if let CredentialWhat::Git { user_name, .. } = &held.body.what {
                batch.puts.push(tombstone("git-credential", account, user_name, at_ms));
            }
            batch.deletes.push((records::CREDENTIAL.into(), held.record.into_bytes()));
            Ok((batch, ()))
        })
        .await
    }

    /// Makes a repository with keys of its own.
    pub async fn create_repository(
        &self,
        account: &AccountId,
        name: &RepositoryName,
        default_branch: &RefName,
    ) -> Result<RepositoryRecord, IdentityError> {
        let repository = RepositoryRecord {
            id: new_uuid(),
            account: account.clone(),
            name: name.clone(),
            default_branch: default_branch.clone(),
            tags: Default::default(),
            created_ms: self.now_ms(),
        };
        let id = repository.id.into_bytes();
        let made = self
            .change(|directory| {
                if directory.account(account).is_none() {
                    return Err(IdentityError::NotFound { what: "account", name: account.to_string() });
                }
                let taken = directory.repository(account, name).is_some();
                may_create(directory, "repository", account, name.as_str(), taken)?;
                self.inner.store.create_repository_keys(account, &id)?;
                Ok((put(repository_record(&repository)), ()))
            })
            .await;
        if let Err(error) = made {
            // Keys of a repository that was not made open nothing.
            self.inner.store.destroy_repository_keys(&id)?;
            return Err(error);
        }
        Ok(repository)
    }

    /// Renames a repository. The old name is not given again.
    pub async fn rename_repository(
        &self,
        account: &AccountId,
        old: &RepositoryName,
        new: &RepositoryName,
    ) -> Result<RepositoryRecord, IdentityError> {
        let at_ms = self.now_ms();
        self.change(|directory| {
            let mut repository = find_repository(directory, account, old)?.clone();
            let taken = directory.repository(account, new).is_some_and(|other| other.id != repository.id);
            may_create(directory, "repository", account, new.as_str(), taken)?;
            let mut batch = RecordBatch::default();
            if old.folded() != new.folded() {
                batch.puts.push(tombstone("repository", account, repository.name.as_str(), at_ms));
            }
            repository.name = new.clone();
            batch.puts.push(repository_record(&repository));
            Ok((batch, repository))
        })
        .await
    }

    /// Sets the branch that HEAD names, as the directory shows it.
    pub async fn set_default_branch(
        &self,
        account: &AccountId,
        name: &RepositoryName,
        branch: &RefName,
    ) -> Result<RepositoryRecord, IdentityError> {
        self.change(|directory| {
            let mut repository = find_repository(directory, account, name)?.clone();
            repository.default_branch = branch.clone();
            Ok((put(repository_record(&repository)), repository))
        })
        .await
    }

    /// Deletes a repository and destroys its keys. The name is not given again.
    pub async fn delete_repository(
        &self,
        account: &AccountId,
        name: &RepositoryName,
    ) -> Result<RepositoryRecord, IdentityError> {
        let at_ms = self.now_ms();
        let repository = self
            .change(|directory| {
                let repository = find_repository(directory, account, name)?.clone();
                let mut batch = put(tombstone("repository", account, repository.name.as_str(), at_ms));
                batch.deletes.push((records::REPOSITORY.into(), repository.id.into_bytes()));
                Ok((batch, repository))
            })
            .await?;
        self.inner.store.destroy_repository_keys(&repository.id.into_bytes())?;
        Ok(repository)
    }
}

fn may_create(
    directory: &Directory,
    what: &'static str,
    account: &AccountId,
    name: &str,
    taken: bool,
) -> Result<(), IdentityError> {
    if directory.account(account).is_none() {
        return Err(IdentityError::NotFound { what: "account", name: account.to_string() });
    }
    if taken {
        return Err(IdentityError::Exists { what, name: name.to_string() });
    }
    if directory.is_tombstone(what, account, name) {
        return Err(IdentityError::Tombstone { what, name: name.to_string() });
    }
    Ok(())
}

fn find_user<'a>(directory: &'a Directory, account: &AccountId, name: &PrincipalName) -> Result<&'a User, IdentityError> {
    directory.user(account, name).ok_or_else(|| IdentityError::NotFound { what: "user", name: name.to_string() })
}

fn find_group<'a>(directory: &'a Directory, account: &AccountId, name: &PrincipalName) -> Result<&'a Group, IdentityError> {
    directory.group(account, name).ok_or_else(|| IdentityError::NotFound { what: "group", name: name.to_string() })
}

fn find_repository<'a>(
    directory: &'a Directory,
    account: &AccountId,
    name: &RepositoryName,
) -> Result<&'a RepositoryRecord, IdentityError> {
    let found = directory.repository(account, name);
    found.ok_or_else(|| IdentityError::NotFound { what: "repository", name: name.to_string() })
}

fn record<T: Serialize>(kind: &str, id: Uuid, name: Option<String>, body: &T) -> Record {
    let body = serde_json::to_vec(body).expect("bodies are plain strings and numbers");
    Record { kind: kind.into(), id: id.into_bytes(), name, body }
}

fn put(record: Record) -> RecordBatch {
    RecordBatch { puts: vec![record], ..RecordBatch::default() }
}

fn unique(account: &AccountId, folded: &str) -> String {
    format!("{account}/{folded}")
}

fn group_record(group: &Group) -> Record {
    let body = records::GroupBody {
        account: group.account.to_string(),
        name: group.name.to_string(),
        created_ms: group.created_ms,
        members: group.members.iter().map(Uuid::to_string).collect(),
    };
    record(records::GROUP, group.id, Some(unique(&group.account, &group.name.folded())), &body)
}

fn repository_record(repository: &RepositoryRecord) -> Record {
    let body = records::RepositoryBody {
        account: repository.account.to_string(),
        name: repository.name.to_string(),
        default_branch: repository.default_branch.as_bytes().to_vec(),
        created_ms: repository.created_ms,
        tags: repository.tags.clone(),
    };
    let name = unique(&repository.account, &repository.name.folded());
    record(records::REPOSITORY, repository.id, Some(name), &body)
}

fn tombstone(what: &str, account: &AccountId, name: &str, at_ms: i64) -> Record {
    let body = records::TombstoneBody { what: what.into(), account: account.to_string(), name: name.into(), at_ms };
    record(records::TOMBSTONE, new_uuid(), Some(tombstone_name(what, account, name)), &body)
}

fn random_account_id() -> Result<AccountId, IdentityError> {
    let number = u64::from_be_bytes(crate::store::seal::random()) % 900_000_000_000 + 100_000_000_000;
    Ok(AccountId::parse(&number.to_string())?)
}
