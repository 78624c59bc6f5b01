//! Who there is: accounts, users, groups, roles, their credentials and sessions, and the directory of repositories.
//!
//! Everything is sealed records in the catalog. The whole directory is held in memory as an immutable snapshot, which is
//! made anew when the catalog's counter has moved; a change is written first and shows in the snapshot after. Names are
//! never given twice: what was deleted or renamed leaves a tombstone in the same transaction.
//!
//! It decides nothing: who may do what is `policy`'s. A new kind of record is a struct in `records`, a map in `directory`,
//! and its operations here.

mod changes;
pub mod credentials;
pub mod directory;
pub mod login_guard;
pub mod principal;
mod records;

use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};

use crate::names::{AccountId, InvalidName};
use crate::store::catalog::CatalogError;
use crate::store::{Store, StoreError};

pub use credentials::{AdminCredentials, Credential, CredentialKind, GitCredential, NewAccessKey};
pub use directory::{Account, Directory, Group, RepositoryRecord, Role, User};
pub use principal::{Principal, SessionPrincipal, UserPrincipal};

use credentials::{PasswordCache, PasswordHash};
use login_guard::LoginGuard;

/// Why a change of the directory was refused or failed.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A record's body cannot be read.
    #[error("a record of kind `{kind}` cannot be read")]
    DamagedRecord {
        /// The kind.
        kind: &'static str,
        /// Why.
        source: serde_json::Error,
    },
    /// There is no such thing.
    #[error("there is no {what} `{name}`")]
    NotFound {
        /// What was looked for.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// The name is in use.
    #[error("the {what} `{name}` exists already")]
    Exists {
        /// What it would be.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// The name was in use once.
    #[error("the name `{name}` belonged to a {what} once and is not given again; choose another one")]
    Tombstone {
        /// What it was.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// A name is not valid.
    #[error(transparent)]
    InvalidName(#[from] InvalidName),
    /// A public key cannot be used.
    #[error("the SSH key was not taken: {0}")]
    SshKey(String),
    /// More than there may be.
    #[error("user `{user}` has {limit} {what} already; revoke one first")]
    TooMany {
        /// Whose.
        user: String,
        /// Of what.
        what: &'static str,
        /// How many there may be.
        limit: usize,
    },
    /// Others kept changing the directory.
    #[error("the directory is being changed too fast; try again")]
    Busy,
}

impl From<CatalogError> for IdentityError {
    fn from(error: CatalogError) -> IdentityError {
        IdentityError::Store(error.into())
    }
}

/// Why a login failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LoginFailure {
    /// Unknown, wrong or disabled: all alike.
    #[error("the user name or password is wrong")]
    Wrong,
    /// Too many failures from this address or for this user.
    #[error("too many attempts")]
    TooMany {
        /// Seconds until the next attempt is looked at.
        retry_after_seconds: u32,
    },
}

/// The directory and its doors.
#[derive(Clone)]
pub struct Identity {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    region: String,
    current: RwLock<Arc<Directory>>,
    /// One change at a time in this process; others are met as a moved counter.
    changing: tokio::sync::Mutex<()>,
    guard: LoginGuard,
    passwords: PasswordCache,
    /// What a password of a user who does not exist is compared with, so that it costs the same.
    nobody: PasswordHash,
    /// Hashing takes memory by design: no more at once than cores.
    hashing: Mutex<()>,
}

impl Identity {
    /// Loads the directory.
    pub async fn open(store: Store, region: String) -> Result<Identity, IdentityError> {
        let directory = Arc::new(Directory::load(&store, &region).await?);
        let guard = LoginGuard::new(store.clock().clone());
        let nobody = PasswordHash::of("nobody has this password");
        let inner = Inner {
            store,
            region,
            current: RwLock::new(directory),
            changing: tokio::sync::Mutex::default(),
            guard,
            passwords: PasswordCache::default(),
            nobody,
            hashing: Mutex::new(()),
        };
        Ok(Identity { inner: Arc::new(inner) })
    }

    /// The directory as it stands.
    pub fn directory(&self) -> Arc<Directory> {
        self.inner.current.read().clone()
    }

    /// Takes over what others have changed.
    pub async fn refresh(&self) -> Result<(), IdentityError> {
        let counter = self.inner.store.catalog().counter().await?;
        if counter != self.directory().counter() {
            let directory = Arc::new(Directory::load(&self.inner.store, &self.inner.region).await?);
            self.replace(directory);
        }
        Ok(())
    }

    fn replace(&self, directory: Arc<Directory>) {
        *self.inner.current.write() = directory;
        self.inner.passwords.forget_all();
    }

    /// Checks Git credentials. Blocks for the time of one password hash, unless they were right a moment ago.
    pub fn authenticate_git(&self, user: &str, password: &str, source: IpAddr) -> Result<Principal, LoginFailure> {
        self.inner
            .guard
            .admit(source, user)
            .map_err(|retry_after_seconds| LoginFailure::TooMany { retry_after_seconds })?;
        let directory = self.directory();
        let found = directory.git_credential(user);
        if let Some((principal, _)) = &found
            && self.inner.passwords.knows(user, password)
        {
            return if directory.is_active(principal) { Ok(principal.clone()) } else { Err(LoginFailure::Wrong) };
        }
        let hash = found.as_ref().map_or(&self.inner.nobody, |(_, hash)| hash);
        let is_right = {
            let _one_at_a_time = self.inner.hashing.lock();
            hash.verify(password)
        };
        match found {
            Some((principal, _)) if is_right && directory.is_active(&principal) => {
                self.inner.passwords.remember(user, password);
                Ok(principal)
            }
            _ => {
                self.inner.guard.failed(source, user);
                Err(LoginFailure::Wrong)
            }
        }
    }

    /// Whom an SSH key belongs to. Says nothing about whether the peer holds it.
    pub fn authenticate_ssh_key(&self, key: &russh::keys::PublicKey) -> Option<Principal> {
        let directory = self.directory();
        let principal = directory.ssh_key(&credentials::fingerprint(key))?;
        directory.is_active(&principal).then_some(principal)
    }

    /// Whether a principal may still do anything: it exists, is not disabled, has not expired.
    pub fn is_active(&self, principal: &Principal) -> bool {
        match principal {
            Principal::Session(session) if session.expires_ms <= self.inner.store.clock().now_ms() => false,
            _ => self.directory().is_active(principal),
        }
    }

    /// Makes the first account with its administrator, if there is no account.
    pub async fn first_start(&self, account: &AccountId) -> Result<Option<AdminCredentials>, IdentityError> {
        if self.directory().accounts().next().is_some() {
            return Ok(None);
        }
        self.create_account("first", Some(account.clone())).await?;
        let name = |name: &str| crate::names::PrincipalName::parse(name);
        for group in ["administrators", "developers", "senior-developers"] {
            self.create_group(account, &name(group)?).await?;
        }
        let admin = name("admin")?;
        self.create_user(account, &admin, &[name("administrators")?]).await?;
        let key = self.create_access_key(account, &admin).await?;
        let git = self.create_git_credential(account, &admin).await?;
        Ok(Some(AdminCredentials {
            account: account.clone(),
            user: admin,
            access_key_id: key.id,
            secret_access_key: key.secret,
            git_user_name: git.user_name,
            git_password: git.password,
        }))
    }
}

#[cfg(test)]
mod tests;
