//! The data folder belongs to one process at a time. The lock is the kernel's (`flock`), so that it never outlives its
//! process.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

/// The data folder, held by this process until dropped.
#[derive(Debug)]
pub struct DataLock {
    _file: File,
}

/// Why the folder is not ours.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another server or command has it.
    #[error("the data folder `{folder}` is in use by another process")]
    #[allow(missing_docs)]
    InUse { folder: PathBuf },
    /// The lock file cannot be opened.
    #[error("failed to lock the data folder `{folder}`")]
    #[allow(missing_docs)]
    File { folder: PathBuf, source: io::Error },
}

impl DataLock {
    /// Takes the folder or says who prevents it; does not wait.
    pub fn take(folder: &Path) -> Result<DataLock, LockError> {
        let failed = |source| LockError::File { folder: folder.to_owned(), source };
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(folder.join("lock"))
            .map_err(failed)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(DataLock { _file: file }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(LockError::InUse { folder: folder.to_owned() }),
            Err(errno) => Err(failed(errno.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let lock = DataLock::take(folder.path()).unwrap();
        assert!(matches!(DataLock::take(folder.path()), Err(LockError::InUse { .. })));
        drop(lock);
        DataLock::take(folder.path()).unwrap();
    }
}
