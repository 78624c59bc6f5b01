//! Everything that identity knows, as of one moment, in memory.
//!
//! Names are looked up folded: what differs only in case is the same name. So the name that was asked for may not be
//! the name of what was found, and policies must be asked with the latter (attack checklist B14).

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use russh::keys::PublicKey;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::names::{AccountId, PolicyName, PrincipalName, RepositoryName};
use crate::store::catalog::Record;

use super::credential::{Credential, CredentialKind, SigningKeyInfo, StoredCredential, StoredMfaDevice, fingerprint};
use super::entries::{
    Account, Group, HeldPolicies, ManagedPolicy, MfaDevice, NameKind, OidcProvider, RepositoryRecord, Role, User,
};
use super::error::IdentityError;
use super::principal::{Principal, UserPrincipal};
use super::records::{self, Entry, RevokedSession};
use super::session::access_key_id_of;

/// An immutable view of all accounts and what is in them.
#[derive(Default)]
pub struct Directory {
    counter: i64,
    accounts: BTreeMap<AccountId, AccountEntries>,
    /// `KIND/ACCOUNT/FOLDED-NAME` of names that were used once.
    tombstones: HashSet<String>,
    deleted_repositories: HashSet<Uuid>,
    /// Account and folded name of each user.
    users_by_id: HashMap<Uuid, (AccountId, String)>,
    /// Account and folded name of each repository.
    repositories_by_id: HashMap<Uuid, (AccountId, String)>,
    /// By user id, in the order of their making.
    credentials: HashMap<Uuid, Vec<Arc<StoredCredential>>>,
    by_git_name: HashMap<String, Arc<StoredCredential>>,
    by_fingerprint: HashMap<String, Arc<StoredCredential>>,
    by_access_key: HashMap<String, Arc<StoredCredential>>,
    /// By each name that a signature may give; anybody can make a key with the short id of another.
    by_signing_key: HashMap<String, Vec<Arc<StoredCredential>>>,
    /// Account and mail address, in lower case, of users who are not disabled.
    addresses: HashSet<(AccountId, String)>,
    attached_digest: [u8; 32],
    /// Users with a device for one-time codes.
    with_mfa: HashSet<Uuid>,
    /// By access key id.
    revoked_sessions: HashMap<String, RevokedSession>,
}

/// A user, group or role that policies can be attached to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// User, group or role.
    pub kind: NameKind,
    /// Its name.
    pub name: PrincipalName,
}

/// What is in an account, by folded names.
struct AccountEntries {
    account: Account,
    users: BTreeMap<String, User>,
    groups: BTreeMap<String, Group>,
    roles: BTreeMap<String, Role>,
    managed_policies: BTreeMap<String, ManagedPolicy>,
    mfa_devices: BTreeMap<String, StoredMfaDevice>,
    oidc_providers: BTreeMap<String, OidcProvider>,
    repositories: BTreeMap<String, RepositoryRecord>,
}

impl Directory {
    /// The catalog's counter that this view belongs to.
    pub fn counter(&self) -> i64 {
        self.counter
    }

    /// The account of that number.
    pub fn account(&self, id: &AccountId) -> Option<&Account> {
        self.accounts.get(id).map(|entries| &entries.account)
    }

    /// All accounts, by number.
    pub fn accounts(&self) -> impl Iterator<Item = &Account> {
        self.accounts.values().map(|entries| &entries.account)
    }

    /// The users of an account, by folded name; none where there is no such account.
    pub fn users(&self, account: &AccountId) -> impl Iterator<Item = &User> {
        self.accounts.get(account).into_iter().flat_map(|entries| entries.users.values())
    }

    /// The user of that name.
    pub fn user(&self, account: &AccountId, name: &PrincipalName) -> Option<&User> {
        self.accounts.get(account)?.users.get(&name.folded())
    }

    /// The groups of an account, by folded name.
    pub fn groups(&self, account: &AccountId) -> impl Iterator<Item = &Group> {
        self.accounts.get(account).into_iter().flat_map(|entries| entries.groups.values())
    }

    /// The group of that name.
    pub fn group(&self, account: &AccountId, name: &PrincipalName) -> Option<&Group> {
        self.accounts.get(account)?.groups.get(&name.folded())
    }

    /// The users in a group, by folded name.
    pub fn members(&self, account: &AccountId, group: &PrincipalName) -> impl Iterator<Item = &User> {
        self.users(account).filter(move |user| user.groups.contains(group))
    }

    /// The groups that a user is in, sorted; none where there is no such user.
    pub fn groups_of(&self, account: &AccountId, user: &PrincipalName) -> Vec<PrincipalName> {
        self.user(account, user).map(|user| user.groups.clone()).unwrap_or_default()
    }

    /// The roles of an account, by folded name.
    pub fn roles(&self, account: &AccountId) -> impl Iterator<Item = &Role> {
        self.accounts.get(account).into_iter().flat_map(|entries| entries.roles.values())
    }

    /// The role of that name.
    pub fn role(&self, account: &AccountId, name: &PrincipalName) -> Option<&Role> {
        self.accounts.get(account)?.roles.get(&name.folded())
    }

    /// The managed policies of an account, by folded name.
    pub fn managed_policies(&self, account: &AccountId) -> impl Iterator<Item = &ManagedPolicy> {
        self.accounts.get(account).into_iter().flat_map(|entries| entries.managed_policies.values())
    }

    /// The managed policy of that name.
    pub fn managed_policy(&self, account: &AccountId, name: &PolicyName) -> Option<&ManagedPolicy> {
        self.accounts.get(account)?.managed_policies.get(&name.folded())
    }

    /// The devices for one-time codes of an account, by folded name.
    pub fn mfa_devices(&self, account: &AccountId) -> impl Iterator<Item = &MfaDevice> {
        self.stored_mfa_devices(account).map(|device| &device.public)
    }

    pub(super) fn stored_mfa_devices(&self, account: &AccountId) -> impl Iterator<Item = &StoredMfaDevice> {
        self.accounts.get(account).into_iter().flat_map(|entries| entries.mfa_devices.values())
    }

    /// Whether a user has a device for one-time codes.
    pub fn has_mfa(&self, user: Uuid) -> bool {
        self.with_mfa.contains(&user)
    }

    /// The identity providers of an account, by issuer.
    pub fn oidc_providers(&self, account: &AccountId) -> impl Iterator<Item = &OidcProvider> {
        self.accounts.get(account).into_iter().flat_map(|entries| entries.oidc_providers.values())
    }

    /// The identity provider of that issuer, given without `https://`.
    pub fn oidc_provider(&self, account: &AccountId, issuer: &str) -> Option<&OidcProvider> {
        self.accounts.get(account)?.oidc_providers.get(issuer)
    }

    /// The user of that id.
    pub fn user_by_id(&self, id: Uuid) -> Option<&User> {
        let (account, folded) = self.users_by_id.get(&id)?;
        self.accounts.get(account)?.users.get(folded)
    }

    /// The account of a long-term access key; none where there is no such key.
    pub fn account_of_access_key(&self, id: &str) -> Option<&AccountId> {
        self.by_access_key.get(id).map(|credential| &credential.public.account)
    }

    /// Sessions that were revoked one by one.
    pub(super) fn revoked_sessions(&self) -> impl Iterator<Item = &RevokedSession> {
        self.revoked_sessions.values()
    }

    /// Everyone to whom a managed policy is attached.
    pub fn holders(&self, account: &AccountId, policy: &PolicyName) -> Vec<Holder> {
        let holds = |held: &HeldPolicies| held.managed.contains(policy);
        let users = self.users(account).filter(|user| holds(&user.policies)).map(|user| (NameKind::User, &user.name));
        let groups =
            self.groups(account).filter(|group| holds(&group.policies)).map(|group| (NameKind::Group, &group.name));
        let roles = self.roles(account).filter(|role| holds(&role.policies)).map(|role| (NameKind::Role, &role.name));
        users.chain(groups).chain(roles).map(|(kind, name)| Holder { kind, name: name.clone() }).collect()
    }

    /// Which documents are attached to what, as a number that is another one where they are others.
    pub fn attached_digest(&self) -> [u8; 32] {
        self.attached_digest
    }

    /// The repository of that id.
    pub fn repository_by_id(&self, id: Uuid) -> Option<&RepositoryRecord> {
        let (account, folded) = self.repositories_by_id.get(&id)?;
        self.accounts.get(account)?.repositories.get(folded)
    }

    /// The repositories of an account, by folded name.
    pub fn repositories(&self, account: &AccountId) -> impl Iterator<Item = &RepositoryRecord> {
        self.accounts.get(account).into_iter().flat_map(|entries| entries.repositories.values())
    }

    /// The repository of that name, in whatever case it was written. Ask policies with the record's name.
    pub fn repository(&self, account: &AccountId, name: &RepositoryName) -> Option<&RepositoryRecord> {
        self.accounts.get(account)?.repositories.get(&name.folded())
    }

    /// Whether something of the kind had the name once and has it no more.
    pub fn is_tombstone(&self, kind: NameKind, account: &AccountId, name: &str) -> bool {
        self.tombstones.contains(&records::tombstone_name(kind, account, name))
    }

    /// A user's credentials without secrets, oldest first.
    pub fn credentials(&self, user: &User) -> impl Iterator<Item = &Credential> {
        self.stored_credentials(user.id).iter().map(|credential| &credential.public)
    }

    /// The signing keys that go by a name, with their users; those of disabled users are none.
    pub fn signing_keys(&self, name: &str) -> impl Iterator<Item = (&User, &SigningKeyInfo)> {
        self.by_signing_key.get(name).into_iter().flatten().filter_map(|credential| {
            let CredentialKind::SigningKey(info) = &credential.public.kind else { return None };
            let (account, folded) = self.users_by_id.get(&credential.public.user)?;
            let user = self.accounts.get(account)?.users.get(folded)?;
            (!user.disabled).then_some((user, info))
        })
    }

    /// Whether a user of the account, who is not disabled, has registered the mail address; case does not matter.
    pub fn has_address(&self, account: &AccountId, address: &str) -> bool {
        self.addresses.contains(&(account.clone(), address.to_ascii_lowercase()))
    }

    /// Whether a principal of a while ago still is one, at `now_ms` since the Unix epoch.
    pub fn is_active(&self, principal: &Principal, now_ms: i64) -> bool {
        match principal {
            Principal::User(user) => self.is_active_user(user, now_ms),
            Principal::Session(session) => {
                let of_role = |role: &Role| role.id == session.role_id && role.sessions_from_ms <= session.issued_ms;
                now_ms < session.expires_ms
                    && !session.chain.iter().chain([&session.id]).any(|id| self.is_revoked(*id))
                    && self.role(&session.account, &session.role).is_some_and(of_role)
                    && [&session.original_user, &session.on_behalf_of].into_iter().flatten().all(|user| {
                        self.is_active_user(user, now_ms) && self.is_after_revocation(user, session.issued_ms)
                    })
            }
            Principal::Service(_) => true,
        }
    }

    fn is_active_user(&self, principal: &UserPrincipal, now_ms: i64) -> bool {
        let found = self.user(&principal.account, &principal.name);
        // Policies go by the name: who has another one now, be it in other letters, has to come anew.
        found.is_some_and(|user| user.id == principal.id && user.name == principal.name && !user.disabled)
            && principal.credential.as_ref().is_none_or(|id| {
                let is_it = |public: &Credential| public.id == *id && public.active;
                self.stored_credentials(principal.id).iter().any(|credential| is_it(&credential.public))
            })
            && principal.session.as_ref().is_none_or(|session| {
                now_ms < session.expires_ms
                    && !self.is_revoked(session.id)
                    && self.is_after_revocation(principal, session.issued_ms)
            })
    }

    /// Whether the session was ended by its access key id.
    fn is_revoked(&self, session: Uuid) -> bool {
        // Mostly there is none, and nothing to compute.
        !self.revoked_sessions.is_empty() && self.revoked_sessions.contains_key(&access_key_id_of(session))
    }

    /// Whether what the user began at `issued_ms` has not been ended since.
    fn is_after_revocation(&self, principal: &UserPrincipal, issued_ms: i64) -> bool {
        self.user(&principal.account, &principal.name).is_some_and(|user| user.sessions_from_ms <= issued_ms)
    }

    /// Whom a credential proves; none where it or the user is disabled.
    pub(super) fn principal_of(&self, credential: &Credential) -> Option<Principal> {
        let (account, folded) = self.users_by_id.get(&credential.user)?;
        let user = self.accounts.get(account)?.users.get(folded)?;
        (!user.disabled && credential.active)
            .then(|| Principal::User(UserPrincipal::new(user, Some(credential.id.clone()))))
    }

    pub(super) fn stored_credentials(&self, user: Uuid) -> &[Arc<StoredCredential>] {
        self.credentials.get(&user).map(Vec::as_slice).unwrap_or_default()
    }

    pub(super) fn git_credential(&self, user_name: &str) -> Option<&StoredCredential> {
        self.by_git_name.get(user_name).map(Arc::as_ref)
    }

    pub(super) fn ssh_credential(&self, key: &PublicKey) -> Option<&StoredCredential> {
        self.ssh_credential_by_fingerprint(&fingerprint(key))
    }

    pub(super) fn ssh_credential_by_fingerprint(&self, fingerprint: &str) -> Option<&StoredCredential> {
        self.by_fingerprint.get(fingerprint).map(Arc::as_ref)
    }

    pub(super) fn has_signing_key(&self, fingerprint: &str) -> bool {
        self.by_signing_key.get(fingerprint).into_iter().flatten().any(|credential| {
            matches!(&credential.public.kind, CredentialKind::SigningKey(info) if info.fingerprint == fingerprint)
        })
    }

    pub(super) fn access_key_credential(&self, id: &str) -> Option<&StoredCredential> {
        self.by_access_key.get(id).map(Arc::as_ref)
    }

    pub(super) fn is_deleted_repository(&self, id: &[u8; 16]) -> bool {
        self.deleted_repositories.contains(&Uuid::from_bytes(*id))
    }

    /// Puts the records together; those of `Account` may stand anywhere among them.
    pub(super) fn build(counter: i64, all: &[Record]) -> Result<Directory, IdentityError> {
        let mut directory = Directory { counter, ..Directory::default() };
        let mut others = Vec::new();
        for record in all {
            match records::read(record)? {
                Entry::Account(account) => {
                    let entries = AccountEntries {
                        account,
                        users: BTreeMap::new(),
                        groups: BTreeMap::new(),
                        roles: BTreeMap::new(),
                        managed_policies: BTreeMap::new(),
                        mfa_devices: BTreeMap::new(),
                        oidc_providers: BTreeMap::new(),
                        repositories: BTreeMap::new(),
                    };
                    directory.accounts.insert(entries.account.id.clone(), entries);
                }
                other => others.push((record, other)),
            }
        }
        for (record, entry) in others {
            directory.add(record, entry)?;
        }
        for credentials in directory.credentials.values_mut() {
            credentials.sort_by_key(|credential| (credential.public.created_ms, credential.record_id));
        }
        directory.attached_digest = directory.digest_attached();
        Ok(directory)
    }

    fn digest_attached(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        let mut add = |part: &str| {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        };
        for (account, entries) in &self.accounts {
            let mut held: Vec<(&str, &PrincipalName, &HeldPolicies, Option<&str>)> = Vec::new();
            held.extend(entries.users.values().map(|user| ("user", &user.name, &user.policies, None)));
            held.extend(entries.groups.values().map(|group| ("group", &group.name, &group.policies, None)));
            held.extend(entries.roles.values().map(|role| ("role", &role.name, &role.policies, role.trust.as_deref())));
            for (kind, name, held, trust) in held {
                if held.is_empty() && trust.is_none() {
                    continue;
                }
                [account.as_str(), kind, name.as_str(), trust.unwrap_or_default()].into_iter().for_each(&mut add);
                add(&format!("{} {}", held.managed.len(), held.inline.len()));
                held.managed.iter().for_each(|policy| add(policy.as_str()));
                for (name, text) in &held.inline {
                    add(name.as_str());
                    add(text);
                }
            }
            for policy in entries.managed_policies.values() {
                add(policy.name.as_str());
                add(policy.document().map_or("", |text| text));
            }
        }
        hash.finalize().into()
    }

    fn add(&mut self, record: &Record, entry: Entry) -> Result<(), IdentityError> {
        match entry {
            Entry::Account(_) => {}
            Entry::User(user) => {
                self.users_by_id.insert(user.id, (user.account.clone(), user.name.folded()));
                if !user.disabled {
                    let folded = user.addresses.iter().map(|address| address.to_ascii_lowercase());
                    self.addresses.extend(folded.map(|address| (user.account.clone(), address)));
                }
                self.entries_of(record, &user.account)?.users.insert(user.name.folded(), user);
            }
            Entry::Group(group) => {
                self.entries_of(record, &group.account)?.groups.insert(group.name.folded(), group);
            }
            Entry::Role(role) => {
                self.entries_of(record, &role.account)?.roles.insert(role.name.folded(), role);
            }
            Entry::ManagedPolicy(policy) => {
                self.entries_of(record, &policy.account)?.managed_policies.insert(policy.name.folded(), policy);
            }
            Entry::MfaDevice(device) => {
                self.with_mfa.extend(device.public.user);
                let entries = self.entries_of(record, &device.public.account)?;
                entries.mfa_devices.insert(device.public.name.folded(), device);
            }
            Entry::OidcProvider(provider) => {
                let entries = self.entries_of(record, &provider.account)?;
                entries.oidc_providers.insert(provider.issuer.clone(), provider);
            }
            Entry::RevokedSession(session) => {
                self.revoked_sessions.insert(session.access_key_id.clone(), session);
            }
            Entry::Repository(repository) => {
                let at = (repository.account.clone(), repository.name.folded());
                self.repositories_by_id.insert(repository.id, at);
                self.entries_of(record, &repository.account)?.repositories.insert(repository.name.folded(), repository);
            }
            Entry::Credential(credential) => {
                self.entries_of(record, &credential.public.account)?;
                let credential = Arc::new(credential);
                match &credential.public.kind {
                    CredentialKind::SshKey { fingerprint, .. } => {
                        self.by_fingerprint.insert(fingerprint.clone(), credential.clone());
                    }
                    CredentialKind::Git { user_name } => {
                        self.by_git_name.insert(user_name.clone(), credential.clone());
                    }
                    CredentialKind::AccessKey => {
                        self.by_access_key.insert(credential.public.id.clone(), credential.clone());
                    }
                    CredentialKind::SigningKey(info) => {
                        for name in &info.names {
                            self.by_signing_key.entry(name.clone()).or_default().push(credential.clone());
                        }
                    }
                }
                self.credentials.entry(credential.public.user).or_default().push(credential);
            }
            Entry::Tombstone(tombstone) => {
                self.tombstones.insert(tombstone.name);
                if let Some(id) = tombstone.deleted_repository {
                    self.deleted_repositories.insert(id);
                }
            }
        }
        Ok(())
    }

    fn entries_of(&mut self, record: &Record, account: &AccountId) -> Result<&mut AccountEntries, IdentityError> {
        let entries = self.accounts.get_mut(account);
        entries.ok_or_else(|| records::damaged(record, format!("there is no account `{account}`")))
    }
}

impl std::fmt::Debug for Directory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Directory(counter {}, {} accounts)", self.counter, self.accounts.len())
    }
}
