//! Where wrapped keys lie: a folder of small files, or memory.
//!
//! A file is replaced whole: written beside, synced, renamed, the folder synced; then the bytes of the old one are
//! overwritten, so that a key that was taken out of an entry is not left in a free block.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;

use crate::store::seal::random;

/// Where wrapped keys lie.
pub(super) enum Shelf {
    Folder(PathBuf),
    Memory(Mutex<HashMap<String, Vec<u8>>>),
}

/// No file of the shelf is longer.
const MAX_FILE_BYTES: u64 = 1 << 20;

impl Shelf {
    pub(super) fn get(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        match self {
            Shelf::Memory(entries) => Ok(entries.lock().get(name).cloned()),
            Shelf::Folder(folder) => read_short(&folder.join(name)),
        }
    }

    pub(super) fn put(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        match self {
            Shelf::Memory(entries) => {
                entries.lock().insert(name.into(), bytes.to_vec());
                Ok(())
            }
            Shelf::Folder(folder) => replace(&folder.join(name), bytes),
        }
    }

    /// Takes an entry away for good. Fine if there is none.
    pub(super) fn destroy(&self, name: &str) -> io::Result<()> {
        match self {
            Shelf::Memory(entries) => {
                entries.lock().remove(name);
                Ok(())
            }
            Shelf::Folder(folder) => shred(&folder.join(name)),
        }
    }

    /// The names of all entries, those excepted that a crash left half-written.
    pub(super) fn names(&self) -> io::Result<Vec<String>> {
        match self {
            Shelf::Memory(entries) => Ok(entries.lock().keys().cloned().collect()),
            Shelf::Folder(folder) => {
                let entries = fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
                let names = entries.iter().filter_map(|entry| entry.file_name().into_string().ok());
                Ok(names.filter(|name| !name.starts_with('.')).collect())
            }
        }
    }
}

/// A file's bytes; none if there is no such file.
pub(super) fn read_short(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match File::open(path) {
        Ok(file) => {
            use std::io::Read;
            let mut bytes = Vec::new();
            file.take(MAX_FILE_BYTES).read_to_end(&mut bytes)?;
            Ok(Some(bytes))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes a file over the one that is there, and overwrites what that one held.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let old = match OpenOptions::new().write(true).open(path) {
        Ok(file) => Some(file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    write_private(path, bytes)?;
    // It has no name any more: nothing can be lost here.
    old.map_or(Ok(()), |mut old| overwrite(&mut old))
}

/// Overwrites a file, unlinks it, syncs the folder. Fine if there is none.
pub(super) fn shred(path: &Path) -> io::Result<()> {
    match OpenOptions::new().write(true).open(path) {
        Ok(mut file) => overwrite(&mut file)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    }
    fs::remove_file(path)?;
    path.parent().map_or(Ok(()), sync_folder)
}

fn overwrite(file: &mut File) -> io::Result<()> {
    let len = file.metadata()?.len();
    file.write_all(&vec![0; len as usize])?;
    file.sync_all()
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

pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
