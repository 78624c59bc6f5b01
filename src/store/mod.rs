//! Where everything lies: sealed files in a blob store, rows in SQL, keys in the keyring. Knows no refs and no users.
//!
//! `seal` is the cryptography and `FORMAT.md` its specification; `file` streams sealed files in and out; `catalog` holds
//! the rows, `documents` those that people write, `queue` what waits to be told; `keyring` the keys. Plaintext never reaches a disk, temporary files included: there are none.

pub mod catalog;
pub mod documents;
pub mod faults;
pub mod file;
pub mod kept;
pub mod keyring;
pub mod queue;
pub mod seal;

use std::path::PathBuf;
use std::sync::Arc;

use object_store::ObjectStoreExt;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use zeroize::Zeroizing;

use crate::clock::Clock;
use crate::names::AccountId;
use catalog::{Catalog, CatalogError};
use faults::Faults;
use file::{BlockCache, FileAccess, FileError, FileId, FileKind, FileMeta, SealedFile, SealedWriter, SegmentWeight};
use keyring::{KeyRefusal, Keyring, KeyringError, RepositoryKeys, RootKeyProviders};
use seal::Key;

/// Where a store lies and how much memory it may use.
pub struct StoreOptions {
    /// Database and blobs.
    pub data_dir: PathBuf,
    /// Root key and keyring.
    pub keys_dir: PathBuf,
    /// Who keeps the root key.
    pub root_keys: RootKeyProviders,
    /// Budget of the block cache in bytes.
    pub cache_bytes: u64,
    /// The time.
    pub clock: Clock,
    /// Where to die, in tests.
    pub faults: Faults,
}

/// Why the store failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Rows.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// Keys.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    /// Files.
    #[error(transparent)]
    File(#[from] FileError),
    /// The data folder.
    #[error("failed to access the data folder")]
    DataFolder(#[source] std::io::Error),
    /// The blob store.
    #[error("failed to open the blob store")]
    Blobs(#[source] object_store::Error),
}

/// Why a value of a repository's row did not open.
#[derive(Debug, thiserror::Error)]
pub enum ValueError {
    /// The keys may not be used.
    #[error(transparent)]
    Refused(#[from] KeyRefusal),
    /// It is not what was sealed there.
    #[error(transparent)]
    Seal(#[from] seal::SealError),
}

impl From<StoreError> for std::io::Error {
    fn from(error: StoreError) -> std::io::Error {
        std::io::Error::other(error)
    }
}

/// An announced file that nobody publishes is swept after this long. Transfers have a shorter hard limit.
const INTENT_MS: i64 = 24 * 60 * 60 * 1000;

/// Blobs, rows and keys of one server.
#[derive(Clone)]
pub struct Store {
    files: FileAccess,
    catalog: Catalog,
    keyring: Arc<Keyring>,
    clock: Clock,
    faults: Faults,
    /// Absent in memory.
    disk: Option<Arc<Disk>>,
    /// Seals what is handed out and comes back, such as session tokens.
    token_key: Key,
}

/// Where a store on disk lies.
struct Disk {
    blobs: PathBuf,
    database: PathBuf,
}

impl Disk {
    /// What is open stays readable after its name is gone, and a blob store without a folder is merely empty: only
    /// looking at the names tells.
    fn check(&self) -> std::io::Result<()> {
        std::fs::read_dir(&self.blobs)?;
        std::fs::metadata(&self.database).map(|_| ())
    }

    /// Deletes what a transfer into the blob `id` left when the process died: the blob store writes to `name#1` and the
    /// like, and renames. No path of the blob store names these.
    fn delete_leftovers(&self, id: &FileId) -> std::io::Result<()> {
        let path = self.blobs.join(file::blob_path(id).as_ref());
        let (Some(folder), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
            return Ok(());
        };
        let entries = match std::fs::read_dir(folder) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let is_leftover =
                entry.file_name().to_str().and_then(|other| other.strip_prefix(name)).is_some_and(|end| {
                    end.strip_prefix('#').is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
                });
            if is_leftover {
                match std::fs::remove_file(entry.path()) {
                    Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
        }
        Ok(())
    }
}

impl Store {
    /// Opens a store on disk, and makes it at the first start.
    pub async fn open(options: StoreOptions) -> Result<Store, StoreError> {
        keyring::create_private_folder(&options.data_dir).map_err(StoreError::DataFolder)?;
        let blobs = options.data_dir.join("blobs");
        keyring::create_private_folder(&blobs).map_err(StoreError::DataFolder)?;
        let keyring =
            Keyring::open(&options.keys_dir, options.root_keys, options.clock.clone(), options.faults.clone()).await?;
        let database = options.data_dir.join("catalog.db");
        // A database without its key is a lost key, not a first start.
        let is_old = database.try_exists().map_err(StoreError::DataFolder)?;
        let key = if is_old { keyring.catalog_key()? } else { keyring.create_catalog_key()? };
        let catalog = Catalog::open(Some(&database), &key, options.faults.clone()).await?;
        let token_key = key.derive("tokens");
        let files = LocalFileSystem::new_with_prefix(&blobs).map_err(StoreError::Blobs)?.with_fsync(true);
        let items = (options.cache_bytes / (64 << 10)).max(16) as usize;
        let cache = Arc::new(BlockCache::with_weighter(items, options.cache_bytes, SegmentWeight));
        let files = FileAccess { blobs: Arc::new(files), runtime: tokio::runtime::Handle::current(), cache };
        Ok(Store {
            files,
            catalog,
            keyring: Arc::new(keyring),
            clock: options.clock,
            faults: options.faults,
            disk: Some(Arc::new(Disk { blobs, database })),
            token_key,
        })
    }

    /// A store that lives in memory: a full one, for tests.
    pub async fn in_memory(clock: Clock) -> Result<Store, StoreError> {
        let keyring = Keyring::in_memory(clock.clone());
        let key = keyring.create_catalog_key()?;
        let catalog = Catalog::open(None, &key, Faults::none()).await?;
        let cache = Arc::new(BlockCache::with_weighter(1 << 10, 64 << 20, SegmentWeight));
        let files = FileAccess { blobs: Arc::new(InMemory::new()), runtime: tokio::runtime::Handle::current(), cache };
        Ok(Store {
            files,
            catalog,
            keyring: Arc::new(keyring),
            clock,
            faults: Faults::none(),
            disk: None,
            token_key: key.derive("tokens"),
        })
    }

    /// The rows.
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// The time.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Changes when something was written that is to be routed or delivered.
    pub fn queued(&self) -> tokio::sync::watch::Receiver<u64> {
        self.catalog.queued.subscribe()
    }

    /// Wakes whoever routes and delivers.
    pub fn announce(&self) {
        self.catalog.queued.send_modify(|count| *count += 1);
    }

    /// Where a test may let the process die.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Seals a token that is handed out. `purpose` is what it is for; one for another purpose does not open.
    pub fn seal_token(&self, purpose: &str, plain: &[u8]) -> Vec<u8> {
        seal::seal_value(&self.token_key, &[purpose.as_bytes()], plain)
    }

    /// Opens what [`Store::seal_token`] made; none for anything else.
    pub fn open_token(&self, purpose: &str, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        seal::open_value(&self.token_key, &[purpose.as_bytes()], sealed).ok().map(Zeroizing::new)
    }

    /// What the key of an SSH authority is made from, for `users` or for `hosts`.
    pub fn ssh_authority_seed(&self, of: &str) -> seal::Key {
        self.token_key.derive(&format!("ssh authority {of}"))
    }

    /// Waits for a future from a thread that may block.
    pub fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.files.runtime.block_on(future)
    }

    /// Makes an account's key.
    pub fn create_account_keys(&self, account: &AccountId) -> Result<(), StoreError> {
        Ok(self.keyring.create_account(account)?)
    }

    /// Makes a repository's keys.
    pub fn create_repository_keys(
        &self,
        account: &AccountId,
        repository: &[u8; 16],
    ) -> Result<RepositoryKeys, StoreError> {
        Ok(self.keyring.create_repository(account, repository)?)
    }

    /// A repository's keys. Refused while they may not be used.
    pub fn repository_keys(&self, account: &AccountId, repository: &[u8; 16]) -> Result<RepositoryKeys, StoreError> {
        Ok(self.keyring.repository(account, repository)?)
    }

    /// All keys, and what changes them.
    pub fn keyring(&self) -> &Keyring {
        &self.keyring
    }

    /// Destroys a repository's keys: nothing that was sealed under them opens ever again.
    pub fn destroy_repository_keys(&self, repository: &[u8; 16]) -> Result<(), StoreError> {
        Ok(self.keyring.destroy_repository(repository)?)
    }

    /// Begins a sealed file; announced first, so that it is swept if nobody publishes it. Blocks.
    pub fn create_file(&self, keys: &RepositoryKeys, kind: FileKind) -> Result<SealedWriter, StoreError> {
        let id: FileId = seal::random();
        let expires_ms = self.clock.now_ms() + INTENT_MS;
        self.wait(self.catalog.intend(&id, keys.repository(), expires_ms))?;
        self.faults.reach("file:after-intent");
        Ok(SealedWriter::new(self.files.clone(), keys, id, kind)?)
    }

    /// Opens a sealed file. Blocks.
    pub fn open_file(&self, keys: &RepositoryKeys, meta: &FileMeta) -> Result<SealedFile, StoreError> {
        Ok(SealedFile::open(self.files.clone(), keys, meta)?)
    }

    /// Deletes a file that was written and will not be published. A file that was published, though its publisher may not have
    /// heard of it, stays. Blocks.
    pub fn discard_file(&self, id: &FileId) -> Result<(), StoreError> {
        self.wait(async {
            if self.catalog.withdraw(id).await? {
                self.delete_blob(id).await?;
                self.catalog.swept(id).await?;
            }
            Ok(())
        })
    }

    /// Deletes the files whose time has come. Gives how many. A file that cannot be deleted keeps its row, for the next
    /// sweep, and keeps no other from being swept; the first such error is given at the end.
    pub async fn sweep(&self) -> Result<usize, StoreError> {
        let files = self.catalog.sweepable(self.clock.now_ms()).await?;
        let mut n_swept = 0;
        let mut first_error = None;
        for id in &files {
            match self.delete_blob(id).await {
                Ok(()) => {
                    self.catalog.swept(id).await?;
                    n_swept += 1;
                }
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        first_error.map_or(Ok(n_swept), Err)
    }

    async fn delete_blob(&self, id: &FileId) -> Result<(), StoreError> {
        match self.files.blobs.delete(&file::blob_path(id)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
            Err(source) => {
                let file = uuid::Uuid::from_bytes(*id).simple().to_string();
                return Err(FileError::Blob { file, source }.into());
            }
        }
        match &self.disk {
            Some(disk) => disk.delete_leftovers(id).map_err(StoreError::DataFolder),
            None => Ok(()),
        }
    }

    /// Seals a value of a repository's row. Refused while the keys may not be used.
    pub fn seal_value(&self, keys: &RepositoryKeys, place: &[&[u8]], plain: &[u8]) -> Result<Vec<u8>, StoreError> {
        let (epoch, key) = keys.current_for_rows().map_err(KeyringError::from)?;
        let epoch_bytes = epoch.to_be_bytes();
        let mut full: Vec<&[u8]> = vec![&epoch_bytes];
        full.extend_from_slice(place);
        let mut out = epoch_bytes.to_vec();
        out.extend_from_slice(&seal::seal_value(&key, &full, plain));
        Ok(out)
    }

    /// Opens a value of a repository's row. Refused while the keys may not be used.
    pub fn open_value(&self, keys: &RepositoryKeys, place: &[&[u8]], sealed: &[u8]) -> Result<Vec<u8>, ValueError> {
        let (epoch_bytes, sealed) = sealed.split_first_chunk::<4>().ok_or(seal::SealError::Truncated)?;
        let key = keys.for_rows_of(u32::from_be_bytes(*epoch_bytes))?.ok_or(seal::SealError::WrongKey)?;
        let mut full: Vec<&[u8]> = vec![epoch_bytes];
        full.extend_from_slice(place);
        Ok(seal::open_value(&key, &full, sealed)?)
    }

    /// Asks database, blob store and keyring whether they answer.
    pub async fn health(&self) -> Result<(), StoreError> {
        self.catalog.ping().await?;
        self.keyring.check_root().map_err(KeyringError::from)?;
        self.keyring.catalog_key()?;
        if let Some(disk) = &self.disk {
            disk.check().map_err(StoreError::DataFolder)?;
        }
        match self.files.blobs.head(&object_store::path::Path::from("health")).await {
            Ok(_) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(source) => Err(StoreError::Blobs(source)),
        }
    }

    /// The ids of all repositories that have keys.
    pub fn keyed_repositories(&self) -> Result<Vec<[u8; 16]>, StoreError> {
        Ok(self.keyring.repositories()?)
    }
}

#[cfg(test)]
mod tests;
