//! Giving a user, a group or a repository another name.
//!
//! Policies speak of names. One that names the old name would speak of nobody from then on, so that what it forbids could be done;
//! one that names the new name already would speak of somebody whom nobody had in mind. Therefore neither may be (attack checklist
//! D7, D9). What is attached to whoever is renamed goes along, and counts only where it spells the name out.

use super::policies::{Policies, held_documents};
use crate::identity::{Directory, Group, HeldPolicies, Identity, IdentityError, RepositoryRecord, User};
use crate::names::{AccountId, PrincipalName, RepositoryName};
use crate::policy::AttachedTo;

/// Why a name stays.
#[derive(Debug, thiserror::Error)]
pub enum RenameError {
    /// Policies are in the way.
    #[error("policies name `{old}` or `{new}`: {}; change them first, or they would speak of somebody else", .policies.join(", "))]
    Named {
        /// The name that it has.
        old: PrincipalName,
        /// The name that it was to get.
        new: PrincipalName,
        /// The policies' ids, sorted.
        policies: Vec<String>,
    },
    /// Policies are in the way of a repository's new name.
    #[error("policies name `{old}` or `{new}`: {}; change them first, or they would speak about another repository", .policies.join(", "))]
    NamedRepository {
        /// The name that it has.
        old: String,
        /// The name that it was to get.
        new: String,
        /// The policies' ids, sorted.
        policies: Vec<String>,
    },
    /// The directory says no.
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

/// Gives a user another name, unless policies name it.
pub async fn rename_user(
    identity: &Identity,
    policies: &Policies,
    account: &AccountId,
    old: &PrincipalName,
    new: &PrincipalName,
) -> Result<User, RenameError> {
    let directory = identity.directory();
    if let Some(user) = directory.user(account, old) {
        let rename = Rename { account, kind: ("User", "user"), old: &user.name, new, held: &user.policies };
        rename.check(&directory, policies, identity.region(), AttachedTo::User)?;
    }
    Ok(identity.rename_user(account, old, new).await?)
}

/// Gives a group another name, unless policies name it.
pub async fn rename_group(
    identity: &Identity,
    policies: &Policies,
    account: &AccountId,
    old: &PrincipalName,
    new: &PrincipalName,
) -> Result<Group, RenameError> {
    let directory = identity.directory();
    if let Some(group) = directory.group(account, old) {
        let rename = Rename { account, kind: ("Group", "group"), old: &group.name, new, held: &group.policies };
        rename.check(&directory, policies, identity.region(), AttachedTo::Group)?;
    }
    Ok(identity.rename_group(account, old, new).await?)
}

/// Gives a repository another name, unless policies name it.
pub async fn rename_repository(
    identity: &Identity,
    policies: &Policies,
    account: &AccountId,
    old: &RepositoryName,
    new: &RepositoryName,
) -> Result<RepositoryRecord, RenameError> {
    let directory = identity.directory();
    if let Some(record) = directory.repository(account, old) {
        let entities = [&record.name, new].map(|name| format!("{account}/{name}"));
        let mut named = policies.with(&directory, identity.region()).naming(&|kind, id| {
            let is_below = |named: &String| id.strip_prefix(named.as_str()).is_some_and(|rest| rest.starts_with('/'));
            match kind {
                "Repository" => entities.iter().any(|named| named == id),
                "Ref" | "Path" => entities.iter().any(is_below),
                _ => false,
            }
        });
        named.sort();
        if !named.is_empty() {
            let (old, new) = (record.name.to_string(), new.to_string());
            return Err(RenameError::NamedRepository { old, new, policies: named });
        }
    }
    Ok(identity.rename_repository(account, old, new).await?)
}

struct Rename<'a> {
    account: &'a AccountId,
    /// The type of entities, and the word in the ids of attached policies.
    kind: (&'static str, &'static str),
    /// As it is written now.
    old: &'a PrincipalName,
    new: &'a PrincipalName,
    held: &'a HeldPolicies,
}

impl Rename<'_> {
    fn check(
        &self,
        directory: &Directory,
        policies: &Policies,
        region: &str,
        to: fn(PrincipalName) -> AttachedTo,
    ) -> Result<(), RenameError> {
        if self.old == self.new {
            return Ok(());
        }
        // As it would be: what it holds, attached to the new name.
        let moved = held_documents(directory, self.account, self.held, &to(self.new.clone()));
        let policies = policies.with_more(directory, region, moved);
        let naming = |name: &PrincipalName| {
            let (entity, own) =
                (format!("{}/{name}", self.account), format!("{}/{}/{name}/", self.account, self.kind.1));
            let named = policies.naming(&|kind, id| kind == self.kind.0 && id == entity);
            named.into_iter().filter(move |id| !id.starts_with(&own))
        };
        let mut named: Vec<String> = naming(self.old).chain(naming(self.new)).collect();
        named.sort();
        named.dedup();
        match named.is_empty() {
            true => Ok(()),
            false => Err(RenameError::Named { old: self.old.clone(), new: self.new.clone(), policies: named }),
        }
    }
}
