//! Policies that are attached to users, groups and roles: kept as they were given. What they mean is not this module's.

use std::collections::BTreeMap;
use std::sync::Arc;

use uuid::Uuid;

use crate::names::{AccountId, PolicyName};
use crate::store::catalog::{Record, RecordBatch};

use super::Identity;
use super::directory::{Directory, Holder};
use super::edit_principals::{check_account, exists, find_group, find_role, find_user, put, unknown};
use super::entries::{HeldPolicies, ManagedPolicy, NameKind, PolicyVersion};
use super::error::IdentityError;
use super::records;

/// As in IAM.
pub const MAX_POLICY_VERSIONS: usize = 5;
const MAX_MANAGED_HELD: usize = 20;
const MAX_INLINE_HELD: usize = 20;
const MAX_MANAGED_POLICIES: usize = 5000;

impl Identity {
    /// Gives a user, group or role a document of its own, over the one of the same name.
    pub async fn put_inline_policy(
        &self,
        account: &AccountId,
        holder: &Holder,
        name: &PolicyName,
        document: &str,
    ) -> Result<(), IdentityError> {
        let document: Arc<str> = document.into();
        self.change_held(account, holder, |_, held| {
            held.inline.insert(name.clone(), document.clone());
            match held.inline.len() > MAX_INLINE_HELD {
                true => Err(too_many(holder, "policies of its own", MAX_INLINE_HELD)),
                false => Ok(()),
            }
        })
        .await
    }

    /// Takes a document of its own from a user, group or role.
    pub async fn delete_inline_policy(
        &self,
        account: &AccountId,
        holder: &Holder,
        name: &PolicyName,
    ) -> Result<(), IdentityError> {
        self.change_held(account, holder, |_, held| match held.inline.remove(name) {
            Some(_) => Ok(()),
            None => Err(unknown(NameKind::Policy, account, name.as_str())),
        })
        .await
    }

    /// Attaches a managed policy; it is fine if it is attached.
    pub async fn attach_policy(
        &self,
        account: &AccountId,
        holder: &Holder,
        name: &PolicyName,
    ) -> Result<(), IdentityError> {
        self.change_held(account, holder, |directory, held| {
            held.managed.insert(find_policy(directory, account, name)?.name.clone());
            match held.managed.len() > MAX_MANAGED_HELD {
                true => Err(too_many(holder, "attached policies", MAX_MANAGED_HELD)),
                false => Ok(()),
            }
        })
        .await
    }

    /// Takes a managed policy off.
    pub async fn detach_policy(
        &self,
        account: &AccountId,
        holder: &Holder,
        name: &PolicyName,
    ) -> Result<(), IdentityError> {
        self.change_held(account, holder, |directory, held| {
            let name = find_policy(directory, account, name)?.name.clone();
            match held.managed.remove(&name) {
                true => Ok(()),
                false => Err(unknown(NameKind::Policy, account, name.as_str())),
            }
        })
        .await
    }

    /// Makes a managed policy whose first version is `document`.
    pub async fn create_managed_policy(
        &self,
        account: &AccountId,
        name: &PolicyName,
        description: Option<&str>,
        document: &str,
        tags: BTreeMap<String, String>,
    ) -> Result<ManagedPolicy, IdentityError> {
        let created_ms = self.now_ms();
        let version = PolicyVersion { document: document.into(), created_ms };
        self.change(|directory| {
            check_account(directory, account)?;
            if let Some(taken) = directory.managed_policy(account, name) {
                return Err(exists(NameKind::Policy, account, taken.name.as_str()));
            }
            if directory.managed_policies(account).count() >= MAX_MANAGED_POLICIES {
                return Err(IdentityError::Full {
                    account: account.clone(),
                    what: "policies",
                    limit: MAX_MANAGED_POLICIES,
                });
            }
            let policy = ManagedPolicy {
                id: Uuid::now_v7(),
                account: account.clone(),
                name: name.clone(),
                description: description.map(str::to_string),
                versions: BTreeMap::from([(1, version.clone())]),
                default_version: 1,
                next_version: 2,
                tags: tags.clone(),
                created_ms,
                updated_ms: created_ms,
            };
            Ok((put(vec![records::of_managed_policy(&policy)]), policy))
        })
        .await
    }

    /// Changes a managed policy by `edit`, which may refuse.
    async fn change_managed<T>(
        &self,
        account: &AccountId,
        name: &PolicyName,
        edit: impl Fn(&mut ManagedPolicy) -> Result<T, IdentityError> + Send + Sync,
    ) -> Result<T, IdentityError> {
        let updated_ms = self.now_ms();
        self.change(|directory| {
            let mut policy = find_policy(directory, account, name)?.clone();
            let answer = edit(&mut policy)?;
            policy.updated_ms = updated_ms;
            Ok((put(vec![records::of_managed_policy(&policy)]), answer))
        })
        .await
    }

    /// Adds a version of a managed policy and gives its number. There are at most [`MAX_POLICY_VERSIONS`].
    pub async fn create_policy_version(
        &self,
        account: &AccountId,
        name: &PolicyName,
        document: &str,
        set_default: bool,
    ) -> Result<u32, IdentityError> {
        let version = PolicyVersion { document: document.into(), created_ms: self.now_ms() };
        self.change_managed(account, name, |policy| {
            if policy.versions.len() >= MAX_POLICY_VERSIONS {
                return Err(IdentityError::TooManyVersions { policy: policy.name.clone(), limit: MAX_POLICY_VERSIONS });
            }
            let number = policy.next_version;
            policy.versions.insert(number, version.clone());
            policy.next_version += 1;
            if set_default {
                policy.default_version = number;
            }
            Ok(number)
        })
        .await
    }

    /// Sets a managed policy's tags, all of them. What it says stays as old as it is.
    pub async fn set_policy_tags(
        &self,
        account: &AccountId,
        name: &PolicyName,
        tags: BTreeMap<String, String>,
    ) -> Result<(), IdentityError> {
        self.change(|directory| {
            let mut policy = find_policy(directory, account, name)?.clone();
            policy.tags.clone_from(&tags);
            Ok((put(vec![records::of_managed_policy(&policy)]), ()))
        })
        .await
    }

    /// Makes another version of a managed policy count.
    pub async fn set_default_policy_version(
        &self,
        account: &AccountId,
        name: &PolicyName,
        number: u32,
    ) -> Result<(), IdentityError> {
        self.change_managed(account, name, |policy| {
            if !policy.versions.contains_key(&number) {
                return Err(unknown(NameKind::Policy, account, &format!("{name} v{number}")));
            }
            policy.default_version = number;
            Ok(())
        })
        .await
    }

    /// Deletes a version of a managed policy that does not count.
    pub async fn delete_policy_version(
        &self,
        account: &AccountId,
        name: &PolicyName,
        number: u32,
    ) -> Result<(), IdentityError> {
        self.change_managed(account, name, |policy| {
            if policy.default_version == number {
                let why = "it is the default version; make another one the default first";
                return Err(IdentityError::InUse { what: format!("version v{number} of policy `{name}`"), why });
            }
            match policy.versions.remove(&number) {
                Some(_) => Ok(()),
                None => Err(unknown(NameKind::Policy, account, &format!("{name} v{number}"))),
            }
        })
        .await
    }

    /// Deletes a managed policy that is attached to nothing, with all versions.
    pub async fn delete_managed_policy(&self, account: &AccountId, name: &PolicyName) -> Result<(), IdentityError> {
        self.change(|directory| {
            let policy = find_policy(directory, account, name)?;
            if !directory.holders(account, &policy.name).is_empty() {
                let what = format!("policy `{name}`");
                return Err(IdentityError::InUse { what, why: "it is attached; detach it first" });
            }
            let deletes = vec![("managed-policy".to_string(), policy.id.into_bytes())];
            Ok((RecordBatch { deletes, ..RecordBatch::default() }, ()))
        })
        .await
    }

    async fn change_held(
        &self,
        account: &AccountId,
        holder: &Holder,
        edit: impl Fn(&Directory, &mut HeldPolicies) -> Result<(), IdentityError> + Send + Sync,
    ) -> Result<(), IdentityError> {
        self.change(|directory| {
            let record: Record = match holder.kind {
                NameKind::User => {
                    let mut user = find_user(directory, account, &holder.name)?.clone();
                    edit(directory, &mut user.policies)?;
                    records::of_user(&user)
                }
                NameKind::Group => {
                    let mut group = find_group(directory, account, &holder.name)?.clone();
                    edit(directory, &mut group.policies)?;
                    records::of_group(&group)
                }
                NameKind::Role => {
                    let mut role = find_role(directory, account, &holder.name)?.clone();
                    edit(directory, &mut role.policies)?;
                    records::of_role(&role)
                }
                _ => {
                    return Err(unknown(NameKind::User, account, holder.name.as_str()));
                }
            };
            Ok((put(vec![record]), ()))
        })
        .await
    }
}

fn find_policy<'a>(
    directory: &'a Directory,
    account: &AccountId,
    name: &PolicyName,
) -> Result<&'a ManagedPolicy, IdentityError> {
    check_account(directory, account)?;
    directory.managed_policy(account, name).ok_or_else(|| unknown(NameKind::Policy, account, name.as_str()))
}

fn too_many(holder: &Holder, what: &'static str, limit: usize) -> IdentityError {
    IdentityError::TooMany { user: holder.name.clone(), what, limit }
}
