//! The keyring: the root key, and under it the keys of the catalog, of accounts and of repositories, each wrapped by the
//! one above. It lies apart from the database and its backups: destroying a repository's entry here makes every copy of
//! its files and rows unreadable, old backups included.
//!
//! Layout and wrapping are `FORMAT.md`, "Keyring". `entry` is what an entry holds, `shelf` where entries lie, `root` where
//! the root key comes from, `live` the keys that are in use, `rotation` how keys change under way.
//!
//! INVARIANT: after each step of a change every entry opens; whoever reads two entries that belong together holds `roots`
//! for reading, and each step takes it for writing.

pub mod entry;
pub mod live;
pub mod root;
pub mod rotation;
mod shelf;

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use parking_lot::{Mutex, RwLock};
use zeroize::Zeroizing;

use super::faults::Faults;
use super::seal::{Key, SealError, open_value, seal_value};
use crate::clock::Clock;
use crate::names::AccountId;
use entry::{Epoch, KeyEntry};
use live::Live;
pub use live::{KeyOwner, KeyRefusal, RefusalReason, RepositoryKeys};
use root::{Lease, RootKeyError, RootKeyFile, RootKeyProvider};
use shelf::Shelf;
pub use shelf::{create_private_folder, write_private};

/// Why a key could not be had.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// The key file is not there: it was destroyed, or the keys folder is another one's.
    #[error("the key `{name}` does not exist: it was destroyed, or this is another server's keys folder")]
    Missing {
        /// The entry's name.
        name: String,
    },
    /// The key file does not open.
    #[error("the key `{name}` does not open")]
    Damaged {
        /// The entry's name.
        name: String,
        /// Why.
        source: SealError,
    },
    /// The folder could not be read or written.
    #[error("failed to access the key `{name}`")]
    Io {
        /// The entry's name.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// It may not be used.
    #[error(transparent)]
    Refused(#[from] KeyRefusal),
    /// The root key's provider did not give it.
    #[error(transparent)]
    Root(#[from] RootKeyError),
    /// Two root keys lie there, and which one counts cannot be told.
    #[error("the keys folder has two root keys, `{one}` and `{other}`; put the one away that does not belong here")]
    TwoRoots {
        /// One file.
        one: &'static str,
        /// The other file.
        other: &'static str,
    },
    /// The key is not in the state that the change is for.
    #[error("{0}")]
    State(String),
}

/// Who may keep the root key: the first one keeps new ones, the others give back what they keep.
#[derive(Clone)]
pub struct RootKeyProviders(Vec<Arc<dyn RootKeyProvider>>);

impl Default for RootKeyProviders {
    fn default() -> RootKeyProviders {
        RootKeyProviders(vec![Arc::new(RootKeyFile)])
    }
}

impl RootKeyProviders {
    /// `provider` keeps new root keys; a file in the keys folder is read, too.
    pub fn with(provider: Arc<dyn RootKeyProvider>) -> RootKeyProviders {
        RootKeyProviders(vec![provider, Arc::new(RootKeyFile)])
    }

    /// A file in the keys folder keeps new root keys; what `provider` keeps is read, too.
    pub fn file_or(provider: Arc<dyn RootKeyProvider>) -> RootKeyProviders {
        RootKeyProviders(vec![Arc::new(RootKeyFile), provider])
    }

    fn configured(&self) -> &Arc<dyn RootKeyProvider> {
        &self.0[0]
    }
}

/// The root keys that open entries, and who keeps the first of them.
struct Roots {
    /// The one for new entries first; a second one only while the root key is being rotated.
    keys: Vec<Key>,
    provider: Arc<dyn RootKeyProvider>,
    /// What the provider keeps.
    kept: Zeroizing<Vec<u8>>,
}

/// All keys of one server.
pub struct Keyring {
    shelf: Shelf,
    /// Absent in memory.
    keys_dir: Option<PathBuf>,
    providers: RootKeyProviders,
    roots: RwLock<Roots>,
    lease: Arc<Lease>,
    /// Changes of many entries wait for each other here.
    changing: Mutex<()>,
    /// By repository: whose it is, and the handle that its users share.
    live: Mutex<HashMap<[u8; 16], Held>>,
    clock: Clock,
    faults: Faults,
}

type Held = (AccountId, Weak<Live>);

const CATALOG: &str = "catalog";

impl Keyring {
    /// Opens the keyring in `keys`, and makes the root key at the first start. A rotation of the root key that was broken off
    /// is brought to its end.
    pub async fn open(
        keys: &Path,
        providers: RootKeyProviders,
        clock: Clock,
        faults: Faults,
    ) -> Result<Keyring, KeyringError> {
        let folder = keys.join("keyring");
        create_private_folder(keys).map_err(root_failed)?;
        create_private_folder(&folder).map_err(root_failed)?;
        let shelf = Shelf::Folder(folder);
        let found = rotation::find_roots(keys, &providers).await?;
        let (roots, is_rotating) = match found {
            Some(found) => found,
            // A keyring without its root key is a lost key, not a first start.
            None if !shelf.names().map_err(root_failed)?.is_empty() => {
                return Err(KeyringError::Missing { name: "root".into() });
            }
            None => (rotation::make_root(keys, providers.configured()).await?, false),
        };
        let lease = Arc::new(Lease::begin(clock.clone(), roots.provider.lease()));
        let keyring = Keyring {
            shelf,
            keys_dir: Some(keys.to_owned()),
            providers,
            roots: RwLock::new(roots),
            lease,
            changing: Mutex::default(),
            live: Mutex::default(),
            clock,
            faults,
        };
        if is_rotating {
            keyring.finish_root_rotation()?;
        }
        Ok(keyring)
    }

    /// A keyring that lives in memory only.
    pub fn in_memory(clock: Clock) -> Keyring {
        let provider: Arc<dyn RootKeyProvider> = Arc::new(RootKeyFile);
        Keyring {
            shelf: Shelf::Memory(Mutex::default()),
            keys_dir: None,
            providers: RootKeyProviders::default(),
            lease: Arc::new(Lease::begin(clock.clone(), None)),
            roots: RwLock::new(Roots { keys: vec![Key::random()], provider, kept: Zeroizing::default() }),
            changing: Mutex::default(),
            live: Mutex::default(),
            clock,
            faults: Faults::none(),
        }
    }

    /// Whether the root key may be used: whoever keeps it has confirmed it in time.
    pub fn check_root(&self) -> Result<(), KeyRefusal> {
        self.lease.check()
    }

    /// Asks the root key's provider for it again, where it gives it for a time only.
    pub async fn renew_root(&self) -> Result<(), KeyringError> {
        let (provider, kept) = {
            let roots = self.roots.read();
            (roots.provider.clone(), roots.kept.clone())
        };
        if provider.lease().is_none() {
            return Ok(());
        }
        let given = provider.recover(&kept).await;
        if self.roots.read().kept != kept {
            // It was rotated meanwhile, and confirmed with that.
            return Ok(());
        }
        let given = given.and_then(|key| {
            let is_same = self.roots.read().keys.iter().any(|known| known.dangerous_bytes() == key.dangerous_bytes());
            if is_same { Ok(()) } else { Err(RootKeyError::Damaged { file: provider.file_name() }) }
        });
        match given {
            Ok(()) => self.lease.extend(provider.lease()),
            Err(error) => {
                self.lease.note(&error);
                return Err(error.into());
            }
        }
        Ok(())
    }

    /// How long the root key is good for after it was given; none is for good.
    pub fn root_lease(&self) -> Option<std::time::Duration> {
        self.roots.read().provider.lease()
    }

    /// Who keeps the root key, and who should by the configuration.
    pub fn root_providers(&self) -> (&'static str, &'static str) {
        (self.roots.read().provider.name(), self.providers.configured().name())
    }

    /// The catalog's key.
    pub fn catalog_key(&self) -> Result<Key, KeyringError> {
        let roots = self.roots.read();
        let bytes = self.unwrap(&roots.keys, CATALOG)?;
        let bytes: &[u8; 32] = bytes.as_slice().try_into().map_err(|_| damaged(CATALOG, SealError::Truncated))?;
        Ok(Key::from_bytes(bytes))
    }

    /// Makes the catalog's key, unless there is one. Only for a catalog that is new: rows of an old one would not open.
    pub fn create_catalog_key(&self) -> Result<Key, KeyringError> {
        match self.catalog_key() {
            Err(KeyringError::Missing { .. }) => {
                let key = Key::random();
                let roots = self.roots.write();
                self.wrap(&roots.keys[0], CATALOG, CATALOG_PLACE, key.dangerous_bytes())?;
                Ok(key)
            }
            other => other,
        }
    }

    /// Makes an account's key, unless it has one.
    pub fn create_account(&self, account: &AccountId) -> Result<(), KeyringError> {
        let roots = self.roots.write();
        match self.account_entry(&roots, account) {
            Err(KeyringError::Missing { .. }) => {
                let entry = KeyEntry::new(Epoch::of_account(1, self.clock.now_ms()));
                self.put_account(&roots, account, &entry)
            }
            other => other.map(|_| ()),
        }
    }

    /// Makes a repository's first data key.
    pub fn create_repository(
        &self,
        account: &AccountId,
        repository: &[u8; 16],
    ) -> Result<RepositoryKeys, KeyringError> {
        let roots = self.roots.write();
        let above = self.account_entry(&roots, account)?;
        refuse_unless_usable(KeyOwner::Account, &above)?;
        let entry = KeyEntry::new(Epoch::of_repository(1, self.clock.now_ms()));
        self.put_repository(&above, repository, &entry)?;
        Ok(self.enliven(account, repository, &above, &entry))
    }

    /// A repository's data keys. Refused while they may not be used.
    pub fn repository(&self, account: &AccountId, repository: &[u8; 16]) -> Result<RepositoryKeys, KeyringError> {
        self.lease.check()?;
        let roots = self.roots.read();
        let above = self.account_entry(&roots, account)?;
        // Said before the repository's entry is looked for: under a destroyed key none opens.
        refuse_unless_usable(KeyOwner::Account, &above)?;
        let entry = self.repository_entry(&above, repository)?;
        refuse_unless_usable(KeyOwner::Repository, &entry)?;
        Ok(self.enliven(account, repository, &above, &entry))
    }

    /// What is known of an account's key.
    pub fn account_state(&self, account: &AccountId) -> Result<KeyEntry, KeyringError> {
        self.account_entry(&self.roots.read(), account)
    }

    /// What is known of a repository's keys, usable or not.
    pub fn repository_state(&self, account: &AccountId, repository: &[u8; 16]) -> Result<KeyEntry, KeyringError> {
        let roots = self.roots.read();
        let above = self.account_entry(&roots, account)?;
        self.repository_entry(&above, repository)
    }

    /// Destroys a repository's data keys for good: overwritten, unlinked, the folder synced.
    pub fn destroy_repository(&self, repository: &[u8; 16]) -> Result<(), KeyringError> {
        let name = repository_name(repository);
        let _step = self.roots.write();
        self.shelf.destroy(&name).map_err(|source| KeyringError::Io { name, source })?;
        if let Some((_, live)) = self.live.lock().remove(repository)
            && let Some(live) = live.upgrade()
        {
            let reason = RefusalReason::Destroyed { at_ms: self.clock.now_ms() };
            *live.now.write() = Err(KeyRefusal { owner: KeyOwner::Repository, reason });
        }
        Ok(())
    }

    /// The ids of all repositories that have keys.
    pub fn repositories(&self) -> Result<Vec<[u8; 16]>, KeyringError> {
        let names = self.shelf.names().map_err(|source| KeyringError::Io { name: "keyring".into(), source })?;
        Ok(names.iter().filter_map(|name| repository_id(name)).collect())
    }

    /// The shared handle of a repository's keys, as these entries have them.
    fn enliven(
        &self,
        account: &AccountId,
        repository: &[u8; 16],
        above: &KeyEntry,
        entry: &KeyEntry,
    ) -> RepositoryKeys {
        let mut all = self.live.lock();
        let now = usable(above, entry);
        if let Some(live) = all.get(repository).and_then(|(_, live)| live.upgrade()) {
            *live.now.write() = now;
            return RepositoryKeys(live);
        }
        if all.len().is_power_of_two() {
            all.retain(|_, (_, live)| live.strong_count() > 0);
        }
        let live = Arc::new(Live { repository: *repository, lease: self.lease.clone(), now: RwLock::new(now) });
        all.insert(*repository, (account.clone(), Arc::downgrade(&live)));
        RepositoryKeys(live)
    }

    /// Tells those who hold the repository's keys what became of them.
    fn tell(&self, repository: &[u8; 16], above: &KeyEntry, entry: &KeyEntry) {
        let live = self.live.lock().get(repository).and_then(|(_, live)| live.upgrade());
        if let Some(live) = live {
            *live.now.write() = usable(above, entry);
        }
    }

    fn account_entry(&self, roots: &Roots, account: &AccountId) -> Result<KeyEntry, KeyringError> {
        self.entry(&roots.keys, &account_name(account), false)
    }

    fn repository_entry(&self, above: &KeyEntry, repository: &[u8; 16]) -> Result<KeyEntry, KeyringError> {
        let under: Vec<Key> = above.epochs.iter().rev().filter_map(|epoch| epoch.key.clone()).collect();
        self.entry(&under, &repository_name(repository), true)
    }

    fn put_account(&self, roots: &Roots, account: &AccountId, entry: &KeyEntry) -> Result<(), KeyringError> {
        self.wrap(&roots.keys[0], &account_name(account), ENTRY_PLACE, &entry.encode())
    }

    fn put_repository(&self, above: &KeyEntry, repository: &[u8; 16], entry: &KeyEntry) -> Result<(), KeyringError> {
        let name = repository_name(repository);
        let under = above.newest().and_then(|epoch| epoch.key.as_ref());
        let under = under.ok_or_else(|| KeyringError::Missing { name: name.clone() })?;
        self.wrap(under, &name, ENTRY_PLACE, &entry.encode())
    }

    fn entry(&self, under: &[Key], name: &str, is_repository: bool) -> Result<KeyEntry, KeyringError> {
        let sealed = self.sealed(name)?;
        let mut why = SealError::WrongKey;
        for key in under {
            match open_value(key, &[ENTRY_PLACE, name.as_bytes()], &sealed).map(Zeroizing::new) {
                Ok(plain) => return KeyEntry::decode(&plain).ok_or_else(|| damaged(name, SealError::UnknownFormat)),
                Err(error) => why = error,
            }
            if let Ok(plain) = open_value(key, &[CATALOG_PLACE, name.as_bytes()], &sealed).map(Zeroizing::new) {
                let entry = KeyEntry::decode_version_1(&plain, is_repository);
                return entry.ok_or_else(|| damaged(name, SealError::Truncated));
            }
        }
        Err(damaged(name, why))
    }

    fn sealed(&self, name: &str) -> Result<Vec<u8>, KeyringError> {
        let sealed = self.shelf.get(name).map_err(|source| KeyringError::Io { name: name.into(), source })?;
        sealed.ok_or_else(|| KeyringError::Missing { name: name.into() })
    }

    fn wrap(&self, under: &Key, name: &str, place: &[u8], plain: &[u8]) -> Result<(), KeyringError> {
        let sealed = seal_value(under, &[place, name.as_bytes()], plain);
        self.shelf.put(name, &sealed).map_err(|source| KeyringError::Io { name: name.into(), source })
    }

    /// Opens an entry that is bytes alone.
    fn unwrap(&self, under: &[Key], name: &str) -> Result<Zeroizing<Vec<u8>>, KeyringError> {
        let sealed = self.sealed(name)?;
        let mut why = SealError::WrongKey;
        for key in under {
            match open_value(key, &[CATALOG_PLACE, name.as_bytes()], &sealed) {
                Ok(plain) => return Ok(Zeroizing::new(plain)),
                Err(error) => why = error,
            }
        }
        Err(damaged(name, why))
    }
}

/// Where the catalog's key belongs, and where entries did in version 1.
const CATALOG_PLACE: &[u8] = b"keyring";
/// Where entries belong.
const ENTRY_PLACE: &[u8] = b"keyring 2";

fn account_name(account: &AccountId) -> String {
    format!("account-{account}")
}

fn repository_name(repository: &[u8; 16]) -> String {
    format!("repository-{}", uuid::Uuid::from_bytes(*repository).simple())
}

fn repository_id(name: &str) -> Option<[u8; 16]> {
    uuid::Uuid::parse_str(name.strip_prefix("repository-")?).ok().map(uuid::Uuid::into_bytes)
}

fn damaged(name: &str, source: SealError) -> KeyringError {
    KeyringError::Damaged { name: name.into(), source }
}

fn root_failed(source: io::Error) -> KeyringError {
    KeyringError::Io { name: "root".into(), source }
}

fn refuse_unless_usable(owner: KeyOwner, entry: &KeyEntry) -> Result<(), KeyRefusal> {
    KeyRefusal::of(owner, entry).map_or(Ok(()), Err)
}

/// The epochs, if both the account's and the repository's keys may be used.
fn usable(above: &KeyEntry, entry: &KeyEntry) -> Result<Arc<[Epoch]>, KeyRefusal> {
    refuse_unless_usable(KeyOwner::Account, above)?;
    refuse_unless_usable(KeyOwner::Repository, entry)?;
    Ok(entry.epochs.clone().into())
}

#[cfg(test)]
mod tests;
