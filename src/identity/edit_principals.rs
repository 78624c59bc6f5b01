//! Changes of accounts, users, groups and roles, and the first start.

use std::collections::BTreeMap;
use std::sync::Arc;

use secrecy::SecretString;
use uuid::Uuid;

use crate::names::{AccountId, PrincipalName};
use crate::store::catalog::{Record, RecordBatch};
use crate::store::seal::random;

use super::Identity;
use super::directory::Directory;
use super::edit_credentials::{new_access_key, new_git_credential, new_git_password};
use super::entries::{Account, Group, HeldPolicies, NameKind, Role, User};
use super::error::IdentityError;
use super::principal::SERVICES_ACCOUNT;
use super::records::{self, Tombstone, tombstone_name};

/// What the first start makes for the administrator. Shown once.
#[derive(Debug)]
pub struct AdminCredentials {
    /// The first account.
    pub account: AccountId,
    /// `admin`.
    pub user: PrincipalName,
    /// For signed requests.
    pub access_key_id: String,
    /// Its secret.
    pub secret_access_key: SecretString,
    /// For Git over HTTPS.
    pub git_user_name: String,
    /// Its password.
    pub git_password: SecretString,
}

/// What of a role is to be changed; none leaves a thing as it is.
#[derive(Debug, Clone, Default)]
pub struct RoleChange {
    /// The longest a session may last.
    pub max_session_seconds: Option<u32>,
    /// A line for people; an empty one takes it away.
    pub description: Option<String>,
    /// The document that says who may assume it.
    pub trust: Option<Arc<str>>,
    /// Tags, all of them.
    pub tags: Option<BTreeMap<String, String>>,
}

impl RoleChange {
    fn apply(&self, role: &mut Role) {
        if let Some(seconds) = self.max_session_seconds {
            role.max_session_seconds = seconds;
        }
        if let Some(text) = &self.description {
            role.description = (!text.is_empty()).then(|| text.clone());
        }
        if let Some(document) = &self.trust {
            role.trust = Some(document.clone());
        }
        if let Some(tags) = &self.tags {
            role.tags = tags.clone();
        }
    }
}

/// What an account's starter policies name.
const STARTER_GROUPS: [&str; 3] = [ADMINISTRATORS, "developers", "senior-developers"];
const ADMINISTRATORS: &str = "administrators";
/// As in IAM, where a role says nothing else.
const MAX_SESSION_SECONDS: u32 = 3600;

impl Identity {
    /// Makes the first account with the starter policies' groups and the user `admin`, an ordinary user in
    /// `administrators`, with an access key and a Git credential; all of it, or nothing. None where there is an account.
    pub async fn first_start(&self, account: &AccountId) -> Result<Option<AdminCredentials>, IdentityError> {
        self.refresh().await?;
        if self.directory().accounts().next().is_some() {
            return Ok(None);
        }
        self.inner.store.create_account_keys(account)?;
        let (password, hash) = new_git_password().await;
        let now_ms = self.now_ms();
        self.change(|directory| {
            if directory.accounts().next().is_some() {
                return Ok((RecordBatch::default(), None));
            }
            let name = PrincipalName::parse("main")?;
            let new = Account { id: account.clone(), record_id: Uuid::now_v7(), name, created_ms: now_ms };
            check_account_free(directory, &new)?;
            let mut puts = vec![records::of_account(&new)];
            for group in STARTER_GROUPS {
                puts.push(records::of_group(&new_group(account, &PrincipalName::parse(group)?, now_ms)));
            }
            let groups = vec![PrincipalName::parse(ADMINISTRATORS)?];
            let user = new_user(account, &PrincipalName::parse("admin")?, groups, now_ms);
            puts.push(records::of_user(&user));
            let (access_key, record) = new_access_key(directory, &user, now_ms)?;
            puts.push(record);
            let (git, record) = new_git_credential(directory, &user, &password, &hash, now_ms)?;
            puts.push(record);
            let credentials = AdminCredentials {
                account: account.clone(),
                user: user.name,
                access_key_id: access_key.id,
                secret_access_key: access_key.secret,
                git_user_name: git.user_name,
                git_password: git.password,
            };
            Ok((put(puts), Some(credentials)))
        })
        .await
    }

    /// Makes an empty account under the number given, or a free one.
    pub async fn create_account(&self, name: &str, id: Option<AccountId>) -> Result<Account, IdentityError> {
        let name = PrincipalName::parse(name)?;
        self.refresh().await?;
        let id = match id {
            Some(id) => id,
            None => free_account_id(&self.directory()),
        };
        let created_ms = self.now_ms();
        let account = Account { id, record_id: Uuid::now_v7(), name, created_ms };
        check_account_free(&self.directory(), &account)?;
        // The key is made first: an account without a key could not be used. One without an account does no harm.
        self.inner.store.create_account_keys(&account.id)?;
        self.change(|directory| {
            check_account_free(directory, &account)?;
            Ok((put(vec![records::of_account(&account)]), account.clone()))
        })
        .await
    }

    /// Makes a user, a member of the groups given, each of which must exist.
    pub async fn create_user(
        &self,
        account: &AccountId,
        name: &PrincipalName,
        groups: &[PrincipalName],
    ) -> Result<User, IdentityError> {
        self.create_tagged_user(account, name, groups, BTreeMap::new()).await
    }

    /// Makes many users in one change, all or none, in no group: for bringing in a whole directory.
    pub async fn create_users(&self, account: &AccountId, names: &[PrincipalName]) -> Result<(), IdentityError> {
        let now_ms = self.now_ms();
        self.change(|directory| {
            let mut puts = Vec::with_capacity(names.len());
            for name in names {
                check_name_free(directory, NameKind::User, account, name)?;
                puts.push(records::of_user(&new_user(account, name, Vec::new(), now_ms)));
            }
            Ok((put(puts), ()))
        })
        .await
    }

    /// [`Identity::create_user`] with tags.
    pub async fn create_tagged_user(
        &self,
        account: &AccountId,
        name: &PrincipalName,
        groups: &[PrincipalName],
        tags: BTreeMap<String, String>,
    ) -> Result<User, IdentityError> {
        let now_ms = self.now_ms();
        self.change(|directory| {
            check_name_free(directory, NameKind::User, account, name)?;
            let mut joined = Vec::new();
            for group in groups {
                joined.push(find_group(directory, account, group)?.name.clone());
            }
            joined.sort();
            joined.dedup();
            let user = User { tags: tags.clone(), ..new_user(account, name, joined, now_ms) };
            Ok((put(vec![records::of_user(&user)]), user))
        })
        .await
    }

    /// Takes no credential of a user any more, or takes them again.
    pub async fn set_user_disabled(
        &self,
        account: &AccountId,
        name: &PrincipalName,
        disabled: bool,
    ) -> Result<(), IdentityError> {
        self.change_user(account, name, |user| user.disabled = disabled).await
    }

    /// Sets the mail addresses that the user's commits may carry.
    pub async fn set_user_addresses(
        &self,
        account: &AccountId,
        name: &PrincipalName,
        addresses: Vec<String>,
    ) -> Result<(), IdentityError> {
        if let Some(bad) = addresses.iter().find(|address| !is_address(address)) {
            return Err(IdentityError::NotAnAddress(crate::names::escape_for_people(bad.as_bytes(), 100)));
        }
        self.change_user(account, name, |user| user.addresses = addresses.clone()).await
    }

    /// Sets a user's tags, all of them.
    pub async fn set_user_tags(
        &self,
        account: &AccountId,
        name: &PrincipalName,
        tags: BTreeMap<String, String>,
    ) -> Result<(), IdentityError> {
        self.change_user(account, name, |user| user.tags = tags.clone()).await
    }

    /// Gives a user another name; credentials, devices, groups and what is attached stay its own. What it has begun under the old
    /// name is over, and that name is never given again. Policies that name it are the caller's to look after.
    pub async fn rename_user(
        &self,
        account: &AccountId,
        old: &PrincipalName,
        new: &PrincipalName,
    ) -> Result<User, IdentityError> {
        let now_ms = self.now_ms();
        self.change(|directory| {
            let mut user = find_user(directory, account, old)?.clone();
            let mut puts = Vec::new();
            // In other letters it is the same name, which stays taken.
            if user.name.folded() != new.folded() {
                check_name_free(directory, NameKind::User, account, new)?;
                puts.push(tombstone(NameKind::User, account, user.name.as_str(), now_ms));
            }
            user.name = new.clone();
            puts.push(records::of_user(&user));
            Ok((put(puts), user))
        })
        .await
    }

    /// Gives a group another name; its members and what is attached stay. The old name is never given again. Policies that name it
    /// are the caller's to look after.
    pub async fn rename_group(
        &self,
        account: &AccountId,
        old: &PrincipalName,
        new: &PrincipalName,
    ) -> Result<Group, IdentityError> {
        let now_ms = self.now_ms();
        self.change(|directory| {
            let mut group = find_group(directory, account, old)?.clone();
            let mut puts = Vec::new();
            if group.name.folded() != new.folded() {
                check_name_free(directory, NameKind::Group, account, new)?;
                puts.push(tombstone(NameKind::Group, account, group.name.as_str(), now_ms));
            }
            for user in directory.members(account, &group.name) {
                let mut user = user.clone();
                user.groups.retain(|joined| *joined != group.name);
                user.groups.push(new.clone());
                user.groups.sort();
                puts.push(records::of_user(&user));
            }
            group.name = new.clone();
            puts.push(records::of_group(&group));
            Ok((put(puts), group))
        })
        .await
    }

    /// Deletes a user with all credentials. The name is never given again.
    pub async fn delete_user(&self, account: &AccountId, name: &PrincipalName) -> Result<(), IdentityError> {
        let now_ms = self.now_ms();
        self.change(|directory| {
            let user = find_user(directory, account, name)?;
            let mut batch = put(vec![tombstone(NameKind::User, account, user.name.as_str(), now_ms)]);
            batch.deletes.push(("user".to_string(), user.id.into_bytes()));
            for device in directory.stored_mfa_devices(account).filter(|device| device.public.user == Some(user.id)) {
                batch.deletes.push(("mfa-device".to_string(), device.public.id.into_bytes()));
            }
            for credential in directory.stored_credentials(user.id) {
                batch.deletes.push(("credential".to_string(), credential.record_id.into_bytes()));
            }
            Ok((batch, ()))
        })
        .await
    }

    /// Makes a group without members.
    pub async fn create_group(&self, account: &AccountId, name: &PrincipalName) -> Result<Group, IdentityError> {
        let now_ms = self.now_ms();
        self.change(|directory| {
            check_name_free(directory, NameKind::Group, account, name)?;
            let group = new_group(account, name, now_ms);
            Ok((put(vec![records::of_group(&group)]), group))
        })
        .await
    }

    /// Deletes a group; its members are in it no more. The name is never given again.
    pub async fn delete_group(&self, account: &AccountId, name: &PrincipalName) -> Result<(), IdentityError> {
        let now_ms = self.now_ms();
        self.change(|directory| {
            let group = find_group(directory, account, name)?;
            let mut batch = put(vec![tombstone(NameKind::Group, account, group.name.as_str(), now_ms)]);
            batch.deletes.push(("group".to_string(), group.id.into_bytes()));
            for user in directory.members(account, &group.name) {
                let mut user = user.clone();
                user.groups.retain(|joined| *joined != group.name);
                batch.puts.push(records::of_user(&user));
            }
            Ok((batch, ()))
        })
        .await
    }

    /// Puts a user into a group; it is fine if it is in it.
    pub async fn add_to_group(
        &self,
        account: &AccountId,
        group: &PrincipalName,
        user: &PrincipalName,
    ) -> Result<(), IdentityError> {
        self.change(|directory| {
            let group = find_group(directory, account, group)?;
            let mut user = find_user(directory, account, user)?.clone();
            if !user.groups.contains(&group.name) {
                user.groups.push(group.name.clone());
                user.groups.sort();
            }
            Ok((put(vec![records::of_user(&user)]), ()))
        })
        .await
    }

    /// Takes a user out of a group; it is fine if it is not in it.
    pub async fn remove_from_group(
        &self,
        account: &AccountId,
        group: &PrincipalName,
        user: &PrincipalName,
    ) -> Result<(), IdentityError> {
        self.change(|directory| {
            let group = find_group(directory, account, group)?;
            let mut user = find_user(directory, account, user)?.clone();
            user.groups.retain(|joined| *joined != group.name);
            Ok((put(vec![records::of_user(&user)]), ()))
        })
        .await
    }

    /// Makes a role with sessions of at most an hour.
    pub async fn create_role(&self, account: &AccountId, name: &PrincipalName) -> Result<Role, IdentityError> {
        self.create_role_with(account, name, RoleChange::default()).await
    }

    /// Makes a role; what `with` leaves out is as [`Identity::create_role`] makes it.
    pub async fn create_role_with(
        &self,
        account: &AccountId,
        name: &PrincipalName,
        with: RoleChange,
    ) -> Result<Role, IdentityError> {
        let now_ms = self.now_ms();
        self.change(|directory| {
            check_name_free(directory, NameKind::Role, account, name)?;
            let mut role = Role {
                id: Uuid::now_v7(),
                account: account.clone(),
                name: name.clone(),
                max_session_seconds: MAX_SESSION_SECONDS,
                description: None,
                trust: None,
                tags: BTreeMap::new(),
                policies: HeldPolicies::default(),
                sessions_from_ms: 0,
                created_ms: now_ms,
            };
            with.apply(&mut role);
            Ok((put(vec![records::of_role(&role)]), role))
        })
        .await
    }

    /// Changes a role, and gives it as it is then.
    pub async fn change_role(
        &self,
        account: &AccountId,
        name: &PrincipalName,
        change: RoleChange,
    ) -> Result<Role, IdentityError> {
        self.change(|directory| {
            let mut role = find_role(directory, account, name)?.clone();
            change.apply(&mut role);
            Ok((put(vec![records::of_role(&role)]), role))
        })
        .await
    }

    /// Deletes a role; its sessions are over. The name is never given again.
    pub async fn delete_role(&self, account: &AccountId, name: &PrincipalName) -> Result<(), IdentityError> {
        let now_ms = self.now_ms();
        self.change(|directory| {
            let role = find_role(directory, account, name)?;
            let mut batch = put(vec![tombstone(NameKind::Role, account, role.name.as_str(), now_ms)]);
            batch.deletes.push(("role".to_string(), role.id.into_bytes()));
            Ok((batch, ()))
        })
        .await
    }

    async fn change_user(
        &self,
        account: &AccountId,
        name: &PrincipalName,
        edit: impl Fn(&mut User) + Send + Sync,
    ) -> Result<(), IdentityError> {
        self.change(|directory| {
            let mut user = find_user(directory, account, name)?.clone();
            edit(&mut user);
            Ok((put(vec![records::of_user(&user)]), ()))
        })
        .await
    }
}

/// Whether a commit can carry the text as an address: git takes the bytes between `<` and `>`.
fn is_address(text: &str) -> bool {
    let is_plain = |c: char| !c.is_whitespace() && !c.is_control() && c != '<' && c != '>';
    (3..=254).contains(&text.len()) && text.chars().all(is_plain) && text.trim_matches('@').contains('@')
}

/// The user of that name, or the error that says that there is none.
pub(super) fn find_user<'a>(
    directory: &'a Directory,
    account: &AccountId,
    name: &PrincipalName,
) -> Result<&'a User, IdentityError> {
    check_account(directory, account)?;
    directory.user(account, name).ok_or_else(|| unknown(NameKind::User, account, name.as_str()))
}

/// The account must be there.
pub(super) fn check_account(directory: &Directory, account: &AccountId) -> Result<(), IdentityError> {
    directory.account(account).map(|_| ()).ok_or_else(|| IdentityError::NoAccount(account.clone()))
}

/// Nothing of the kind has the name, and nothing ever had.
pub(super) fn check_never_used(
    directory: &Directory,
    kind: NameKind,
    account: &AccountId,
    name: &str,
) -> Result<(), IdentityError> {
    if directory.is_tombstone(kind, account, name) {
        return Err(IdentityError::Tombstone { kind, name: name.to_string(), account: account.clone() });
    }
    Ok(())
}

pub(super) fn unknown(kind: NameKind, account: &AccountId, name: &str) -> IdentityError {
    IdentityError::Unknown { kind, name: name.to_string(), account: account.clone() }
}

pub(super) fn exists(kind: NameKind, account: &AccountId, name: &str) -> IdentityError {
    IdentityError::Exists { kind, name: name.to_string(), account: account.clone() }
}

pub(super) fn put(puts: Vec<Record>) -> RecordBatch {
    RecordBatch { puts, ..RecordBatch::default() }
}

fn check_name_free(
    directory: &Directory,
    kind: NameKind,
    account: &AccountId,
    name: &PrincipalName,
) -> Result<(), IdentityError> {
    check_account(directory, account)?;
    let taken = match kind {
        NameKind::User => directory.user(account, name).map(|user| &user.name),
        NameKind::Group => directory.group(account, name).map(|group| &group.name),
        NameKind::Role => directory.role(account, name).map(|role| &role.name),
        // These have names of types of their own and are checked where they are made.
        NameKind::Repository | NameKind::Policy | NameKind::MfaDevice | NameKind::OidcProvider => None,
    };
    if let Some(taken) = taken {
        return Err(exists(kind, account, taken.as_str()));
    }
    check_never_used(directory, kind, account, name.as_str())
}

pub(super) fn find_role<'a>(
    directory: &'a Directory,
    account: &AccountId,
    name: &PrincipalName,
) -> Result<&'a Role, IdentityError> {
    check_account(directory, account)?;
    directory.role(account, name).ok_or_else(|| unknown(NameKind::Role, account, name.as_str()))
}

pub(super) fn find_group<'a>(
    directory: &'a Directory,
    account: &AccountId,
    name: &PrincipalName,
) -> Result<&'a Group, IdentityError> {
    check_account(directory, account)?;
    directory.group(account, name).ok_or_else(|| unknown(NameKind::Group, account, name.as_str()))
}

fn check_account_free(directory: &Directory, new: &Account) -> Result<(), IdentityError> {
    if new.id == *SERVICES_ACCOUNT || directory.account(&new.id).is_some() {
        return Err(IdentityError::AccountTaken(new.id.to_string()));
    }
    if directory.accounts().any(|account| account.name.folded() == new.name.folded()) {
        return Err(IdentityError::AccountTaken(new.name.to_string()));
    }
    Ok(())
}

/// A random number, so that numbers say nothing about how many accounts there are.
fn free_account_id(directory: &Directory) -> AccountId {
    loop {
        let number = 100_000_000_000 + u64::from_be_bytes(random()) % 900_000_000_000;
        let id = AccountId::parse(&number.to_string()).expect("a number of twelve digits");
        if directory.account(&id).is_none() {
            return id;
        }
    }
}

fn new_user(account: &AccountId, name: &PrincipalName, groups: Vec<PrincipalName>, created_ms: i64) -> User {
    User {
        id: Uuid::now_v7(),
        account: account.clone(),
        name: name.clone(),
        groups,
        disabled: false,
        addresses: Vec::new(),
        tags: BTreeMap::new(),
        policies: HeldPolicies::default(),
        sessions_from_ms: 0,
        created_ms,
    }
}

fn new_group(account: &AccountId, name: &PrincipalName, created_ms: i64) -> Group {
    Group {
        id: Uuid::now_v7(),
        account: account.clone(),
        name: name.clone(),
        policies: HeldPolicies::default(),
        created_ms,
    }
}

fn tombstone(kind: NameKind, account: &AccountId, name: &str, at_ms: i64) -> Record {
    let tombstone = Tombstone { name: tombstone_name(kind, account, name), deleted_repository: None };
    records::of_tombstone(&tombstone, at_ms)
}
