//! The keys of one repository, in use: one handle that everybody shares, so that what happens to the keys happens at once
//! to all who hold them.

use std::sync::Arc;

use parking_lot::RwLock;

use super::entry::{Epoch, KeyEntry, KeyState};
use super::root::Lease;
use crate::store::file::FileError;
use crate::store::seal::Key;

/// Whose key it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyOwner {
    /// The server's.
    Root,
    /// An account's.
    Account,
    /// A repository's.
    Repository,
}

/// Why a key may not be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefusalReason {
    /// An administrator has disabled it.
    Disabled,
    /// It is to be destroyed at this time, in milliseconds since the Unix epoch.
    Doomed {
        /// When.
        at_ms: i64,
    },
    /// It was destroyed at this time, in milliseconds since the Unix epoch.
    Destroyed {
        /// When.
        at_ms: i64,
    },
    /// The root key's provider has not given it again in time.
    NotConfirmed {
        /// What it said; for the server's log, not for clients.
        trouble: String,
    },
}

/// A key that may not be used now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRefusal {
    /// Whose key.
    pub owner: KeyOwner,
    /// Why not.
    pub reason: RefusalReason,
}

impl std::fmt::Display for KeyRefusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let owner = match self.owner {
            KeyOwner::Root => "the server's root key",
            KeyOwner::Account => "the account's key",
            KeyOwner::Repository => "the repository's key",
        };
        let time = |ms: i64| match jiff::Timestamp::from_millisecond(ms) {
            Ok(time) => time.strftime("%Y-%m-%d %H:%M UTC").to_string(),
            Err(_) => "an unknown time".to_string(),
        };
        match &self.reason {
            RefusalReason::Disabled => write!(f, "{owner} is disabled; an administrator can enable it"),
            RefusalReason::Doomed { at_ms } => {
                write!(f, "{owner} will be destroyed at {}; until then an administrator can cancel that", time(*at_ms))
            }
            RefusalReason::Destroyed { at_ms } => {
                write!(f, "{owner} was destroyed at {}; nothing brings it back", time(*at_ms))
            }
            RefusalReason::NotConfirmed { .. } => {
                write!(f, "{owner} has not been confirmed by the service that keeps it; try again later")
            }
        }
    }
}

impl std::error::Error for KeyRefusal {}

impl KeyRefusal {
    /// Why keys of this entry may not be used; none if they may.
    pub(super) fn of(owner: KeyOwner, entry: &KeyEntry) -> Option<KeyRefusal> {
        let reason = match entry.state {
            KeyState::Enabled => return None,
            KeyState::Disabled => RefusalReason::Disabled,
            KeyState::Doomed { at_ms } => RefusalReason::Doomed { at_ms },
            KeyState::Destroyed => RefusalReason::Destroyed { at_ms: entry.since_ms },
        };
        Some(KeyRefusal { owner, reason })
    }
}

/// The keys of one repository, in use. Clones are the same ones.
#[derive(Clone)]
pub struct RepositoryKeys(pub(super) Arc<Live>);

/// What the clones share.
pub(super) struct Live {
    pub(super) repository: [u8; 16],
    pub(super) lease: Arc<Lease>,
    pub(super) now: RwLock<Result<Arc<[Epoch]>, KeyRefusal>>,
}

impl RepositoryKeys {
    /// The repository whose keys these are.
    pub fn repository(&self) -> &[u8; 16] {
        &self.0.repository
    }

    /// Whether they may be used now.
    pub fn check(&self) -> Result<(), KeyRefusal> {
        self.epochs().map(|_| ())
    }

    /// The key for files that are sealed now, with its epoch.
    pub fn current(&self) -> Result<(u32, Key), KeyRefusal> {
        let epochs = self.epochs()?;
        let newest = epochs.iter().rev().find_map(|epoch| Some((epoch.number, epoch.key.clone()?)));
        Ok(newest.expect("an entry in use has a newest epoch with a key"))
    }

    /// The key for rows that are sealed now, with its epoch.
    pub fn current_for_rows(&self) -> Result<(u32, Key), KeyRefusal> {
        let epochs = self.epochs()?;
        let newest = epochs.last().expect("an entry in use has an epoch");
        Ok((newest.number, row_key(newest).expect("an epoch has a key for rows").clone()))
    }

    /// The key for the files of an epoch.
    pub(crate) fn of_epoch(&self, number: u32) -> Result<Key, FileError> {
        let epochs = self.epochs()?;
        let found = epochs.iter().find(|epoch| epoch.number == number).and_then(|epoch| epoch.key.clone());
        found.ok_or(FileError::NoSuchEpoch { epoch: number })
    }

    /// The key for the rows of an epoch.
    pub(crate) fn for_rows_of(&self, number: u32) -> Result<Option<Key>, KeyRefusal> {
        let epochs = self.epochs()?;
        Ok(epochs.iter().find(|epoch| epoch.number == number).and_then(row_key).cloned())
    }

    /// The epochs that have a key for files, but for the newest: what is sealed under them is to be sealed anew.
    pub fn old_epochs(&self) -> Result<Vec<u32>, KeyRefusal> {
        let epochs = self.epochs()?;
        let with_key = epochs.iter().filter(|epoch| epoch.key.is_some()).map(|epoch| epoch.number);
        let mut old: Vec<u32> = with_key.collect();
        old.pop();
        Ok(old)
    }

    fn epochs(&self) -> Result<Arc<[Epoch]>, KeyRefusal> {
        self.0.lease.check()?;
        self.0.now.read().clone()
    }
}

/// In an epoch without a key of their own, rows are sealed under the key for files.
fn row_key(epoch: &Epoch) -> Option<&Key> {
    epoch.row_key.as_ref().or(epoch.key.as_ref())
}
