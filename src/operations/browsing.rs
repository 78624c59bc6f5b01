//! What a repository holds, looked at by revision and path, for doors that do not speak Git. Whether the caller may look has been
//! decided before.

use std::sync::Arc;

use super::lockgate::Lockgate;
use super::repositories::RepositoryFailure;
use crate::identity::RepositoryRecord;
use crate::names::ObjectId;
use crate::repository::browse::{BrowseError, Browser};
pub use crate::repository::browse::{Commit as Browsed, Difference, Entry, Side};
use crate::repository::handle::RepositoryError;
use crate::repository::object::EntryKind;

/// What came of looking for something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Looked<T> {
    /// It is there.
    Found(T),
    /// It is there, and larger than what is given.
    TooLarge,
    /// It is not there.
    Nothing,
}

impl<T> Looked<Option<T>> {
    fn flatten(self) -> Looked<T> {
        match self {
            Looked::Found(Some(value)) => Looked::Found(value),
            Looked::Found(None) | Looked::Nothing => Looked::Nothing,
            Looked::TooLarge => Looked::TooLarge,
        }
    }
}

/// A file's bytes.
type Content = Arc<[u8]>;

impl Lockgate {
    /// The commit that a branch, a tag, `HEAD`, a full ref or a full commit id names; none if nothing does. Blocks.
    pub fn resolve_commit(
        &self,
        record: &RepositoryRecord,
        revision: &str,
    ) -> Result<Option<ObjectId>, RepositoryFailure> {
        found(self.look(record, |browser| browser.resolve(revision)))
    }

    /// A commit by its id; none if there is no such commit. Blocks.
    pub fn commit(&self, record: &RepositoryRecord, id: &ObjectId) -> Result<Option<Browsed>, RepositoryFailure> {
        found(self.look(record, |browser| browser.commit(id)))
    }

    /// A blob by its id, of at most `limit` bytes. Blocks.
    pub fn blob(
        &self,
        record: &RepositoryRecord,
        id: &ObjectId,
        limit: u64,
    ) -> Result<Looked<Content>, RepositoryFailure> {
        looked(self.look(record, |browser| browser.blob(id, limit)))
    }

    /// A file or symbolic link at a path of a commit, of at most `limit` bytes. Blocks.
    pub fn file_at(
        &self,
        record: &RepositoryRecord,
        commit: &ObjectId,
        path: &[u8],
        limit: u64,
    ) -> Result<Looked<(Entry, Content)>, RepositoryFailure> {
        let read = self.look(record, |browser| {
            let entry = browser.at_path(commit, path)?;
            let file = entry.filter(|entry| matches!(entry.kind(), EntryKind::File | EntryKind::Link));
            file.map(|entry| Ok((entry.clone(), browser.blob(&entry.id, limit)?))).transpose()
        });
        Ok(looked(read)?.flatten())
    }

    /// A folder at a path of a commit: its id, and what is in it. Blocks.
    pub fn folder_at(
        &self,
        record: &RepositoryRecord,
        commit: &ObjectId,
        path: &[u8],
    ) -> Result<Looked<(ObjectId, Vec<Entry>)>, RepositoryFailure> {
        let read = self.look(record, |browser| {
            let entry = browser.at_path(commit, path)?;
            let folder = entry.filter(|entry| entry.kind() == EntryKind::Tree);
            folder.map(|entry| Ok((entry.id, browser.folder(&entry.id)?))).transpose()
        });
        Ok(looked(read)?.flatten())
    }

    /// What differs between two commits, below a path of each, in Git's order of paths. The first `skip` differences are passed
    /// over, and at most `most` given. None if neither commit has anything at its path. Without a commit before, everything is
    /// new. Blocks.
    pub fn differences(
        &self,
        record: &RepositoryRecord,
        before: Option<(&ObjectId, &[u8])>,
        after: (&ObjectId, &[u8]),
        (skip, most): (usize, usize),
    ) -> Result<Option<Vec<Difference>>, RepositoryFailure> {
        let read = self.look(record, |browser| {
            let before = match before {
                Some((commit, path)) => browser.at_path(commit, path)?,
                None => None,
            };
            let after = browser.at_path(after.0, after.1)?;
            if before.is_none() && after.is_none() {
                return Ok(None);
            }
            let side = |entry: &Entry| Side { mode: entry.mode, id: entry.id };
            let (before, after) = (before.as_ref().map(side), after.as_ref().map(side));
            let (mut n_seen, mut out) = (0, Vec::new());
            browser.differences_of(before, after, &mut |difference| {
                n_seen += 1;
                if n_seen > skip {
                    out.push(difference);
                }
                out.len() < most
            })?;
            Ok(Some(out))
        });
        Ok(found(read)?.flatten())
    }

    fn look<T>(
        &self,
        record: &RepositoryRecord,
        at: impl FnOnce(&mut Browser<'_>) -> Result<T, BrowseError>,
    ) -> Result<Result<T, BrowseError>, RepositoryFailure> {
        let snapshot = self.repository(record)?.snapshot();
        let mut browser = Browser::new(&snapshot);
        Ok(at(&mut browser))
    }
}

/// Where it can only be there or not.
fn found<T>(read: Result<Result<T, BrowseError>, RepositoryFailure>) -> Result<Option<T>, RepositoryFailure> {
    Ok(match looked(read)? {
        Looked::Found(value) => Some(value),
        Looked::TooLarge | Looked::Nothing => None,
    })
}

fn looked<T>(read: Result<Result<T, BrowseError>, RepositoryFailure>) -> Result<Looked<T>, RepositoryFailure> {
    match read? {
        Ok(value) => Ok(Looked::Found(value)),
        Err(BrowseError::NoCommit(_) | BrowseError::NoObject { .. }) => Ok(Looked::Nothing),
        Err(BrowseError::TooLarge { .. }) => Ok(Looked::TooLarge),
        Err(BrowseError::Io(error)) => Err(RepositoryError::Io(error).into()),
        Err(error @ BrowseError::Object(_)) => Err(RepositoryError::Io(std::io::Error::other(error)).into()),
    }
}
