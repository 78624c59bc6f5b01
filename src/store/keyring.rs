//! The keyring: the root key, and under it the keys of the catalog, of accounts and of repositories, each wrapped by the
//! one above. It lies apart from the database and its backups: destroying a repository's entry here makes every copy of
//! its files and rows unreadable, old backups included.
//!
//! Layout and wrapping are `FORMAT.md`, "Keyring". Files are replaced whole: written beside, synced, renamed, the folder
//! synced. The root key comes from a provider; a file in the keys folder by default.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use zeroize::Zeroizing;

use super::seal::{Key, SealError, open_value, random, seal_value};
use crate::names::AccountId;

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
}

/// Where wrapped keys lie.
enum Shelf {
    Folder(PathBuf),
    Memory(Mutex<HashMap<String, Vec<u8>>>),
}

/// All keys of one server.
pub struct Keyring {
    root: Key,
    shelf: Shelf,
}

/// The data keys of a repository, by epoch; the last one seals what is new.
#[derive(Debug, Clone)]
pub struct DataKeys {
    /// Key and epoch, oldest first; never empty.
    pub epochs: Vec<(u32, Key)>,
}

impl Keyring {
    /// Opens the keyring in `keys`, and makes the root key at the first start.
    pub fn open(keys: &Path) -> Result<Keyring, KeyringError> {
        let folder = keys.join("keyring");
        let failed = |source| KeyringError::Io { name: "root".into(), source };
        create_private_folder(keys).map_err(failed)?;
        create_private_folder(&folder).map_err(failed)?;
        let path = keys.join("root.key");
        let root = match File::open(&path) {
            Ok(file) => {
                // One byte more than a key has: longer files show, and the buffer never moves and leaves a copy.
                let mut bytes = Zeroizing::new(Vec::with_capacity(64));
                file.take(33).read_to_end(&mut bytes).map_err(failed)?;
                let bytes: &[u8; 32] = bytes
                    .as_slice()
                    .try_into()
                    .map_err(|_| KeyringError::Damaged { name: "root".into(), source: SealError::Truncated })?;
                Key::from_bytes(bytes)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // A keyring without its root key is a lost key, not a first start.
                if fs::read_dir(&folder).map_err(failed)?.next().is_some() {
                    return Err(KeyringError::Missing { name: "root".into() });
                }
                let root = Key::random();
                write_private(&path, root.dangerous_bytes()).map_err(failed)?;
                root
            }
            Err(error) => return Err(failed(error)),
        };
        Ok(Keyring { root, shelf: Shelf::Folder(folder) })
    }

    /// A keyring that lives in memory only.
    pub fn in_memory() -> Keyring {
        Keyring { root: Key::random(), shelf: Shelf::Memory(Mutex::default()) }
    }

    /// The catalog's key.
    pub fn catalog_key(&self) -> Result<Key, KeyringError> {
        one_key("catalog", &self.unwrap(&self.root, "catalog")?)
    }

    /// Makes the catalog's key, unless there is one. Only for a catalog that is new: rows of an old one would not open.
    pub fn create_catalog_key(&self) -> Result<Key, KeyringError> {
        match self.catalog_key() {
            Err(KeyringError::Missing { .. }) => {
                let key = Key::random();
                self.wrap(&self.root, "catalog", key.dangerous_bytes())?;
                Ok(key)
            }
            other => other,
        }
    }

    /// Makes an account's key, unless it has one.
    pub fn create_account(&self, account: &AccountId) -> Result<(), KeyringError> {
        let name = account_entry(account);
        match self.unwrap(&self.root, &name) {
            Err(KeyringError::Missing { .. }) => self.wrap(&self.root, &name, Key::random().dangerous_bytes()),
            other => other.map(|_| ()),
        }
    }

    /// Makes a repository's first data key.
    pub fn create_repository(&self, account: &AccountId, repository: &[u8; 16]) -> Result<DataKeys, KeyringError> {
        let keys = DataKeys { epochs: vec![(1, Key::random())] };
        let mut bytes = Zeroizing::new(Vec::with_capacity(36 * keys.epochs.len()));
        for (epoch, key) in &keys.epochs {
            bytes.extend_from_slice(&epoch.to_be_bytes());
            bytes.extend_from_slice(key.dangerous_bytes());
        }
        self.wrap(&self.account_key(account)?, &repository_entry(repository), &bytes)?;
        Ok(keys)
    }

    /// A repository's data keys.
    pub fn repository(&self, account: &AccountId, repository: &[u8; 16]) -> Result<DataKeys, KeyringError> {
        let name = repository_entry(repository);
        let bytes = self.unwrap(&self.account_key(account)?, &name)?;
        if bytes.is_empty() || bytes.len() % 36 != 0 {
            return Err(KeyringError::Damaged { name, source: SealError::Truncated });
        }
        let epochs = bytes
            .chunks_exact(36)
            .map(|part| {
                let (epoch, key) = part.split_at(4);
                let epoch = u32::from_be_bytes(*epoch.first_chunk().expect("four bytes were split off"));
                (epoch, Key::from_bytes(key.first_chunk().expect("32 bytes are left")))
            })
            .collect();
        Ok(DataKeys { epochs })
    }

    /// Destroys a repository's data keys for good: overwritten, unlinked, the folder synced.
    pub fn destroy_repository(&self, repository: &[u8; 16]) -> Result<(), KeyringError> {
        let name = repository_entry(repository);
        let failed = |source| KeyringError::Io { name: name.clone(), source };
        match &self.shelf {
            Shelf::Memory(entries) => {
                entries.lock().remove(&name);
                Ok(())
            }
            Shelf::Folder(folder) => {
                let path = folder.join(&name);
                match OpenOptions::new().write(true).open(&path) {
                    Ok(mut file) => {
                        let len = file.metadata().map_err(failed)?.len();
                        file.write_all(&vec![0; len as usize]).map_err(failed)?;
                        file.sync_all().map_err(failed)?;
                    }
                    Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                    Err(error) => return Err(failed(error)),
                }
                fs::remove_file(&path).map_err(failed)?;
                sync_folder(folder).map_err(failed)
            }
        }
    }

    /// The ids of all repositories that have keys.
    pub fn repositories(&self) -> Result<Vec<[u8; 16]>, KeyringError> {
        let names: Vec<String> = match &self.shelf {
            Shelf::Memory(entries) => entries.lock().keys().cloned().collect(),
            Shelf::Folder(folder) => {
                let failed = |source| KeyringError::Io { name: "keyring".into(), source };
                let entries = fs::read_dir(folder).map_err(failed)?;
                let entries = entries.collect::<Result<Vec<_>, _>>().map_err(failed)?;
                entries.iter().filter_map(|entry| entry.file_name().into_string().ok()).collect()
            }
        };
        Ok(names
            .iter()
            .filter_map(|name| uuid::Uuid::parse_str(name.strip_prefix("repository-")?).ok())
            .map(uuid::Uuid::into_bytes)
            .collect())
    }

    fn account_key(&self, account: &AccountId) -> Result<Key, KeyringError> {
        let name = account_entry(account);
        one_key(&name, &self.unwrap(&self.root, &name)?)
    }

    fn wrap(&self, under: &Key, name: &str, plain: &[u8]) -> Result<(), KeyringError> {
        let sealed = seal_value(under, &[b"keyring", name.as_bytes()], plain);
        match &self.shelf {
            Shelf::Memory(entries) => {
                entries.lock().insert(name.into(), sealed);
                Ok(())
            }
            Shelf::Folder(folder) => write_private(&folder.join(name), &sealed)
                .map_err(|source| KeyringError::Io { name: name.into(), source }),
        }
    }

    fn unwrap(&self, under: &Key, name: &str) -> Result<Zeroizing<Vec<u8>>, KeyringError> {
        let sealed = match &self.shelf {
            Shelf::Memory(entries) => entries.lock().get(name).cloned(),
            Shelf::Folder(folder) => match fs::read(folder.join(name)) {
                Ok(sealed) => Some(sealed),
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                Err(source) => return Err(KeyringError::Io { name: name.into(), source }),
            },
        };
        let sealed = sealed.ok_or_else(|| KeyringError::Missing { name: name.into() })?;
        open_value(under, &[b"keyring", name.as_bytes()], &sealed)
            .map(Zeroizing::new)
            .map_err(|source| KeyringError::Damaged { name: name.into(), source })
    }
}

fn account_entry(account: &AccountId) -> String {
    format!("account-{account}")
}

fn repository_entry(repository: &[u8; 16]) -> String {
    format!("repository-{}", uuid::Uuid::from_bytes(*repository).simple())
}

fn one_key(name: &str, bytes: &[u8]) -> Result<Key, KeyringError> {
    let bytes: &[u8; 32] =
        bytes.try_into().map_err(|_| KeyringError::Damaged { name: name.into(), source: SealError::Truncated })?;
    Ok(Key::from_bytes(bytes))
}

/// Makes a folder that only this user may look into, and the folders above it where they are missing. When it returns,
/// a power cut does not take away those that were made.
pub fn create_private_folder(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
    // A relative path ends in an empty one, which names the working folder.
    let missing = path.ancestors().take_while(|folder| !folder.as_os_str().is_empty() && !folder.exists());
    let changed: Vec<&Path> = missing.filter_map(Path::parent).collect();
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o700))?;
    for folder in changed {
        sync_folder(if folder.as_os_str().is_empty() { Path::new(".") } else { folder })?;
    }
    Ok(())
}

/// Writes a file that only this user may read, so that after a crash it is there whole or not at all.
pub fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = path.with_file_name(format!(
        ".{}.{}",
        path.file_name().and_then(|name| name.to_str()).unwrap_or("new"),
        uuid::Uuid::from_bytes(random()).simple()
    ));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    path.parent().map_or(Ok(()), sync_folder)
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    // J5
    #[test]
    fn destroyed_keys_are_gone_and_lost_roots_are_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let account = AccountId::parse("111111111111").unwrap();
        let keyring = Keyring::open(folder.path()).unwrap();
        keyring.create_account(&account).unwrap();
        let made = keyring.create_repository(&account, &[5; 16]).unwrap();
        let again = Keyring::open(folder.path()).unwrap();
        let read = again.repository(&account, &[5; 16]).unwrap();
        assert_eq!(made.epochs[0].1.dangerous_bytes(), read.epochs[0].1.dangerous_bytes());
        assert_eq!(again.repositories().unwrap(), [[5; 16]]);
        again.destroy_repository(&[5; 16]).unwrap();
        assert!(matches!(keyring.repository(&account, &[5; 16]), Err(KeyringError::Missing { .. })));
        fs::remove_file(folder.path().join("root.key")).unwrap();
        assert!(matches!(Keyring::open(folder.path()), Err(KeyringError::Missing { .. })));
    }

    // J1
    #[test]
    fn swapped_entries_do_not_open() {
        let folder = tempfile::tempdir().unwrap();
        let account = AccountId::parse("111111111111").unwrap();
        let keyring = Keyring::open(folder.path()).unwrap();
        keyring.create_account(&account).unwrap();
        keyring.create_repository(&account, &[5; 16]).unwrap();
        keyring.create_repository(&account, &[6; 16]).unwrap();
        let path = |id: u8| folder.path().join("keyring").join(repository_entry(&[id; 16]));
        fs::copy(path(5), path(6)).unwrap();
        assert!(matches!(keyring.repository(&account, &[6; 16]), Err(KeyringError::Damaged { .. })));
    }
}
