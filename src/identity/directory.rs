//! The directory as it stands at one counter of the catalog: immutable, with the indexes that the doors ask.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::IdentityError;
use super::credentials::{Credential, CredentialKind, PasswordHash};
use super::principal::{Principal, UserPrincipal};
use super::records::{self, CredentialBody, CredentialWhat};
use crate::names::{AccountId, PrincipalName, RefName, RepositoryName};
use crate::store::Store;
use crate::store::catalog::Record;

/// An account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its twelve digits.
    pub id: AccountId,
    /// A name for people.
    pub name: String,
    /// When it was made, in milliseconds since the Unix epoch.
    pub created_ms: i64,
}

/// A user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// An id that no other user ever had.
    pub id: Uuid,
    /// The account.
    pub account: AccountId,
    /// The name within the account.
    pub name: PrincipalName,
    /// Disabled users may not do anything.
    pub disabled: bool,
    /// Tags, which policies can read.
    pub tags: BTreeMap<String, String>,
    /// When the user was made, in milliseconds since the Unix epoch.
    pub created_ms: i64,
}

/// A group of users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its id.
    pub id: Uuid,
    /// The account.
    pub account: AccountId,
    /// The name within the account.
    pub name: PrincipalName,
    /// The members' ids.
    pub members: Vec<Uuid>,
    /// When it was made, in milliseconds since the Unix epoch.
    pub created_ms: i64,
}

/// A role that others may assume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// Its id.
    pub id: Uuid,
    /// The account.
    pub account: AccountId,
    /// The name within the account.
    pub name: PrincipalName,
    /// How long a session may be.
    pub max_session_seconds: u32,
    /// Tags, which policies can read.
    pub tags: BTreeMap<String, String>,
    /// When it was made, in milliseconds since the Unix epoch.
    pub created_ms: i64,
}

/// A repository's entry in the directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepositoryRecord {
    /// An id that no other repository ever had; its keys and files go by it.
    pub id: Uuid,
    /// The account.
    pub account: AccountId,
    /// The name within the account.
    pub name: RepositoryName,
    /// The branch that HEAD names.
    pub default_branch: RefName,
    /// Tags, which policies can read.
    pub tags: BTreeMap<String, String>,
    /// When it was made, in milliseconds since the Unix epoch.
    pub created_ms: i64,
}

/// A credential with its owner; the secret part stays inside.
pub(super) struct HeldCredential {
    pub record: Uuid,
    pub user: Uuid,
    pub shown: Credential,
    pub body: CredentialBody,
}

/// Everything, as it stands.
#[derive(Default)]
pub struct Directory {
    counter: i64,
    region: String,
    accounts: BTreeMap<AccountId, (Uuid, Account)>,
    users: BTreeMap<(AccountId, PrincipalName), User>,
    users_by_id: HashMap<Uuid, (AccountId, PrincipalName)>,
    groups: BTreeMap<(AccountId, PrincipalName), Group>,
    groups_of: HashMap<Uuid, Vec<PrincipalName>>,
    roles: BTreeMap<(AccountId, PrincipalName), Role>,
    repositories: BTreeMap<(AccountId, String), RepositoryRecord>,
    pub(super) credentials: Vec<HeldCredential>,
    by_ssh_key: HashMap<String, usize>,
    by_git_user: HashMap<String, usize>,
    tombstones: HashSet<String>,
}

impl Directory {
    pub(super) async fn load(store: &Store, region: &str) -> Result<Directory, IdentityError> {
        // The counter is read first: a change in between is noticed at the next refresh.
        let counter = store.catalog().counter().await?;
        let mut out = Directory { counter, region: region.to_string(), ..Directory::default() };
        for record in store.catalog().load(records::ACCOUNT).await? {
            let body: records::AccountBody = parse(records::ACCOUNT, &record)?;
            let id = AccountId::parse(&body.id)?;
            let account = Account { id: id.clone(), name: body.name, created_ms: body.created_ms };
            out.accounts.insert(id, (Uuid::from_bytes(record.id), account));
        }
        for record in store.catalog().load(records::USER).await? {
            let body: records::UserBody = parse(records::USER, &record)?;
            let (account, name) = (AccountId::parse(&body.account)?, PrincipalName::parse(&body.name)?);
            let id = Uuid::from_bytes(record.id);
            out.users_by_id.insert(id, (account.clone(), name.clone()));
            let user = User {
                id,
                account: account.clone(),
                name: name.clone(),
                disabled: body.disabled,
                tags: body.tags,
                created_ms: body.created_ms,
            };
            out.users.insert((account, name), user);
        }
        for record in store.catalog().load(records::GROUP).await? {
            let body: records::GroupBody = parse(records::GROUP, &record)?;
            let (account, name) = (AccountId::parse(&body.account)?, PrincipalName::parse(&body.name)?);
            let members: Vec<Uuid> = body.members.iter().filter_map(|id| Uuid::parse_str(id).ok()).collect();
            for member in &members {
                out.groups_of.entry(*member).or_default().push(name.clone());
            }
            let id = Uuid::from_bytes(record.id);
            let group =
                Group { id, account: account.clone(), name: name.clone(), members, created_ms: body.created_ms };
            out.groups.insert((account, name), group);
        }
        for record in store.catalog().load(records::ROLE).await? {
            let body: records::RoleBody = parse(records::ROLE, &record)?;
            let (account, name) = (AccountId::parse(&body.account)?, PrincipalName::parse(&body.name)?);
            let role = Role {
                id: Uuid::from_bytes(record.id),
                account: account.clone(),
                name: name.clone(),
                max_session_seconds: body.max_session_seconds,
                tags: body.tags,
                created_ms: body.created_ms,
            };
            out.roles.insert((account, name), role);
        }
        for record in store.catalog().load(records::REPOSITORY).await? {
            let repository = repository_of(&record)?;
            out.repositories.insert((repository.account.clone(), repository.name.folded()), repository);
        }
        for record in store.catalog().load(records::TOMBSTONE).await? {
            out.tombstones.extend(record.name);
        }
        for record in store.catalog().load(records::CREDENTIAL).await? {
            let body: CredentialBody = parse(records::CREDENTIAL, &record)?;
            let place = out.credentials.len();
            let kind = match &body.what {
                CredentialWhat::SshKey { fingerprint, .. } => {
                    out.by_ssh_key.insert(fingerprint.clone(), place);
                    CredentialKind::SshKey { fingerprint: fingerprint.clone() }
                }
                CredentialWhat::Git { user_name, .. } => {
                    out.by_git_user.insert(user_name.clone(), place);
                    CredentialKind::Git { user_name: user_name.clone() }
                }
                CredentialWhat::AccessKey { .. } => CredentialKind::AccessKey,
            };
            let shown = Credential { id: body.key.clone(), kind, created_ms: body.created_ms };
            let user = Uuid::parse_str(&body.user).unwrap_or_default();
            out.credentials.push(HeldCredential { record: Uuid::from_bytes(record.id), user, shown, body });
        }
        Ok(out)
    }

    /// The catalog's counter that this belongs to.
    pub fn counter(&self) -> i64 {
        self.counter
    }

    /// The region that stands in ARNs.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// An account.
    pub fn account(&self, id: &AccountId) -> Option<&Account> {
        self.accounts.get(id).map(|(_, account)| account)
    }

    /// All accounts.
    pub fn accounts(&self) -> impl Iterator<Item = &Account> {
        self.accounts.values().map(|(_, account)| account)
    }

    /// A user, by the exact name.
    pub fn user(&self, account: &AccountId, name: &PrincipalName) -> Option<&User> {
        self.users.get(&(account.clone(), name.clone()))
    }

    /// An account's users, by name.
    pub fn users<'a>(&'a self, account: &'a AccountId) -> impl Iterator<Item = &'a User> + 'a {
        self.users.values().filter(move |user| user.account == *account)
    }

    /// The user of an id.
    pub fn user_by_id(&self, id: &Uuid) -> Option<&User> {
        self.users.get(self.users_by_id.get(id)?)
    }

    /// A group, by the exact name.
    pub fn group(&self, account: &AccountId, name: &PrincipalName) -> Option<&Group> {
        self.groups.get(&(account.clone(), name.clone()))
    }

    /// An account's groups, by name.
    pub fn groups<'a>(&'a self, account: &'a AccountId) -> impl Iterator<Item = &'a Group> + 'a {
        self.groups.values().filter(move |group| group.account == *account)
    }

    /// The groups that a user is in.
    pub fn groups_of(&self, account: &AccountId, name: &PrincipalName) -> Vec<PrincipalName> {
        self.user(account, name).and_then(|user| self.groups_of.get(&user.id)).cloned().unwrap_or_default()
    }

    /// A role, by the exact name.
    pub fn role(&self, account: &AccountId, name: &PrincipalName) -> Option<&Role> {
        self.roles.get(&(account.clone(), name.clone()))
    }

    /// An account's roles, by name.
    pub fn roles<'a>(&'a self, account: &'a AccountId) -> impl Iterator<Item = &'a Role> + 'a {
        self.roles.values().filter(move |role| role.account == *account)
    }

    /// A repository; case does not matter, since names are unique without it.
    pub fn repository(&self, account: &AccountId, name: &RepositoryName) -> Option<&RepositoryRecord> {
        self.repositories.get(&(account.clone(), name.folded()))
    }

    /// An account's repositories, by name.
    pub fn repositories<'a>(&'a self, account: &'a AccountId) -> impl Iterator<Item = &'a RepositoryRecord> + 'a {
        self.repositories.values().filter(move |repository| repository.account == *account)
    }

    /// A user's credentials, oldest first.
    pub fn credentials(&self, user: &User) -> Vec<Credential> {
        let mut out: Vec<Credential> =
            self.credentials.iter().filter(|held| held.user == user.id).map(|held| held.shown.clone()).collect();
        out.sort_by_key(|credential| credential.created_ms);
        out
    }

    /// Whether a name belonged once to something of this kind (`user`, `group`, `role`, `repository`).
    pub fn is_tombstone(&self, kind: &str, account: &AccountId, name: &str) -> bool {
        self.tombstones.contains(&tombstone_name(kind, account, name))
    }

    pub(super) fn has_ssh_key(&self, fingerprint: &str) -> bool {
        self.by_ssh_key.contains_key(fingerprint)
    }

    pub(super) fn ssh_key(&self, fingerprint: &str) -> Option<Principal> {
        self.owner(&self.credentials[*self.by_ssh_key.get(fingerprint)?])
    }

    pub(super) fn has_git_user(&self, user_name: &str) -> bool {
        self.by_git_user.contains_key(user_name)
    }

    pub(super) fn git_credential(&self, user_name: &str) -> Option<(Principal, PasswordHash)> {
        let held = &self.credentials[*self.by_git_user.get(user_name)?];
        let CredentialWhat::Git { salt, hash, .. } = &held.body.what else { return None };
        Some((self.owner(held)?, PasswordHash { salt: salt.clone(), hash: hash.clone() }))
    }

    fn owner(&self, held: &HeldCredential) -> Option<Principal> {
        let user = self.user_by_id(&held.user)?;
        Some(Principal::User(UserPrincipal { account: user.account.clone(), id: user.id, name: user.name.clone() }))
    }

    /// Whether a principal is there and not disabled.
    pub(super) fn is_active(&self, principal: &Principal) -> bool {
        match principal {
            Principal::User(user) => self.user_by_id(&user.id).is_some_and(|user| !user.disabled),
            Principal::Session(session) => {
                self.role(&session.account, &session.role).is_some_and(|role| role.id == session.role_id)
            }
            Principal::Service(_) => true,
        }
    }
}

pub(super) fn repository_of(record: &Record) -> Result<RepositoryRecord, IdentityError> {
    let body: records::RepositoryBody = parse(records::REPOSITORY, record)?;
    Ok(RepositoryRecord {
        id: Uuid::from_bytes(record.id),
        account: AccountId::parse(&body.account)?,
        name: RepositoryName::parse(&body.name)?,
        default_branch: RefName::parse(&body.default_branch)?,
        tags: body.tags,
        created_ms: body.created_ms,
    })
}

/// The unique name of a tombstone.
pub(super) fn tombstone_name(kind: &str, account: &AccountId, name: &str) -> String {
    format!("{kind}/{account}/{}", name.to_ascii_lowercase())
}

fn parse<T: DeserializeOwned>(kind: &'static str, record: &Record) -> Result<T, IdentityError> {
    serde_json::from_slice(&record.body).map_err(|source| IdentityError::DamagedRecord { kind, source })
}
