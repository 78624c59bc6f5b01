//! Who there is and how they prove it: accounts, users, groups, roles, credentials, and the names of repositories.
//!
//! Everything lies in sealed records of the catalog. The whole of it is held in memory besides, as an immutable
//! [`Directory`] that is swapped when the catalog's counter moved: looking someone up asks no database, and whoever
//! holds a directory sees one moment. A change is planned on a directory, committed on the condition that the counter
//! still is that directory's, and planned anew where someone else was faster; so the rules (names are never given
//! twice, a key belongs to one user, at most so many credentials) hold whatever happens at the same time.
//!
//! Policies speak of names, therefore a name is never given again: deleting or renaming leaves a tombstone, in the
//! commit that frees the name (attack checklist D7, D9).
//!
//! INVARIANT: this module decides who someone is, never what they may do; it knows no policy and no request. Secrets
//! are in types that do not print.

mod credential;
mod directory;
mod edit_credentials;
mod edit_policies;
mod edit_principals;
mod edit_repositories;
mod edit_sessions;
mod entries;
mod error;
mod login;
mod login_guard;
mod password;
mod principal;
mod records;
mod session;
mod ssh_certificates;
mod totp;

use std::sync::Arc;

use parking_lot::RwLock;

use crate::store::Store;
use crate::store::catalog::{CatalogError, RecordBatch};

pub use credential::{AccessKey, Credential, CredentialKind, NewAccessKey, NewGitCredential, SigningKeyInfo};
pub use directory::{Directory, Holder};
pub use edit_policies::MAX_POLICY_VERSIONS;
pub use edit_principals::{AdminCredentials, RoleChange};
pub use edit_sessions::{NewMfaDevice, OidcProviderChange};
pub use entries::{
    Account, Group, HeldPolicies, ManagedPolicy, MfaDevice, NameKind, OidcProvider, PolicyVersion, RepositoryRecord,
    Role, User,
};
pub use error::IdentityError;
pub use login::LoginFailure;
pub use principal::{Principal, SessionPrincipal, UserPrincipal, UserSession};
pub use session::{LONGEST_SESSION_SECONDS, MAX_TOKEN_CHARS, TemporaryCredentials, TemporaryKey, TokenFailure};
pub use ssh_certificates::{CertificateRefusal, SSH_USER_NAME, SigningFailure, SshCertificate};

/// The directory of one server, its changes, and the check of credentials. Cloning is cheap and gives the same one.
#[derive(Clone)]
pub struct Identity {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    region: String,
    directory: RwLock<Arc<Directory>>,
    /// Changes from this process wait for each other here rather than in the catalog's retry.
    editing: tokio::sync::Mutex<()>,
    logins: login::Logins,
    authorities: ssh_certificates::Authorities,
}

impl Identity {
    /// Loads the directory. `region` stands in ARNs. Finishes what a stop between a repository's deletion and the
    /// destruction of its keys has left.
    pub async fn open(store: Store, region: String) -> Result<Identity, IdentityError> {
        let directory = load(&store).await?;
        for repository in store.keyed_repositories()? {
            if directory.is_deleted_repository(&repository) {
                store.destroy_repository_keys(&repository)?;
            }
        }
        let inner = Inner {
            authorities: ssh_certificates::Authorities::of(&store),
            store,
            region,
            directory: RwLock::new(Arc::new(directory)),
            editing: tokio::sync::Mutex::new(()),
            logins: login::Logins::new(),
        };
        Ok(Identity { inner: Arc::new(inner) })
    }

    /// The directory as it is now. It does not change in the holder's hands.
    pub fn directory(&self) -> Arc<Directory> {
        self.inner.directory.read().clone()
    }

    /// The region that stands in ARNs, such as `us-east-1`.
    pub fn region(&self) -> &str {
        &self.inner.region
    }

    /// Loads the directory again where the catalog's counter moved: another node or process changed something.
    pub async fn refresh(&self) -> Result<(), IdentityError> {
        if self.inner.store.catalog().counter().await? != self.directory().counter() {
            let fresh = load(&self.inner.store).await?;
            let mut current = self.inner.directory.write();
            // Another refresh may have been faster and seen more.
            if fresh.counter() > current.counter() {
                *current = Arc::new(fresh);
            }
        }
        Ok(())
    }

    /// Plans a change on the directory and commits it if nothing changed meanwhile; plans anew where something did.
    /// When it returns, [`Identity::directory`] has the change.
    async fn change<T>(
        &self,
        plan: impl Fn(&Directory) -> Result<(RecordBatch, T), IdentityError> + Send,
    ) -> Result<T, IdentityError> {
        let _editing = self.inner.editing.lock().await;
        for _ in 0..MAX_TRIES {
            self.refresh().await?;
            let directory = self.directory();
            let (mut batch, answer) = plan(&directory)?;
            batch.expect_counter = Some(directory.counter());
            match self.inner.store.catalog().commit(&batch).await {
                Ok(_) => {
                    self.refresh().await?;
                    return Ok(answer);
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
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Identity(counter {})", self.directory().counter())
    }
}

/// How often a change is planned anew, or a load repeated, because the records changed under it.
const MAX_TRIES: usize = 16;

/// Reads all kinds between two equal readings of the counter, so that they are of one moment.
async fn load(store: &Store) -> Result<Directory, IdentityError> {
    let catalog = store.catalog();
    for _ in 0..MAX_TRIES {
        let counter = catalog.counter().await?;
        let mut all = Vec::new();
        for kind in records::KINDS {
            all.extend(catalog.load(kind).await?);
        }
        if catalog.counter().await? == counter {
            return Directory::build(counter, &all);
        }
    }
    Err(IdentityError::Busy)
}

#[cfg(test)]
mod tests;
