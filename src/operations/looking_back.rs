//! What became of files and lines, and which commits did it, for doors that do not speak Git. Whether the caller may look has been
//! decided before.

use std::sync::Arc;

use super::browsing::Browsed;
use super::lockgate::Lockgate;
use super::repositories::RepositoryFailure;
use crate::identity::RepositoryRecord;
use crate::names::ObjectId;
pub use crate::repository::blame::Blamed;
use crate::repository::blame::{self, BlameError};
use crate::repository::browse::{BrowseError, Browser};
use crate::repository::handle::RepositoryError;
pub use crate::repository::history::Version;
use crate::repository::history::path_history;
pub use crate::repository::line_diff;
use crate::repository::path_filters::PathFilters;
pub use crate::repository::search::{Found, Wanted};
use crate::repository::snapshot::Snapshot;

/// What came of asking whose lines a file has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BlameLooked {
    /// The lines, in order.
    Lines(Vec<Blamed>),
    /// There is no file.
    NoFile,
    /// It is binary.
    Binary,
    /// It is larger than what is looked at.
    TooLarge,
}

impl Lockgate {
    /// A repository as it stands, and the changed-path filters that it has; more of them are made in the background.
    fn looking_back(&self, record: &RepositoryRecord) -> Result<(Arc<Snapshot>, Arc<PathFilters>), RepositoryFailure> {
        let repository = self.repository(record)?;
        let snapshot = repository.snapshot();
        // Asked for here, the graph is there when it is asked how many commits there are.
        snapshot.graph();
        let filters = repository.path_filters()?;
        repository.wants_path_filters();
        self.upkeep().look_at(&repository);
        Ok((snapshot, filters))
    }

    /// The versions of what stands at a path, as of a commit; renames of files are followed. The first `skip` are passed over, and at
    /// most `most` given, each with its commit. Blocks.
    pub fn path_history(
        &self,
        record: &RepositoryRecord,
        commit: &ObjectId,
        path: &[u8],
        page: (usize, usize),
    ) -> Result<Vec<(Version, Browsed)>, RepositoryFailure> {
        let (snapshot, filters) = self.looking_back(record)?;
        let versions = path_history(&snapshot, &filters, commit, path, true, page).map_err(of_browsing)?;
        let mut browser = Browser::new(&snapshot);
        let mut with_commit = |version: Version| {
            let commit = browser.commit(&version.commit)?;
            Ok((version, commit))
        };
        versions.into_iter().map(&mut with_commit).collect::<Result<_, _>>().map_err(of_browsing)
    }

    /// Where each line of a file of at most `limit` bytes comes from. Blocks.
    pub fn blame(
        &self,
        record: &RepositoryRecord,
        commit: &ObjectId,
        path: &[u8],
        limit: u64,
    ) -> Result<BlameLooked, RepositoryFailure> {
        let (snapshot, filters) = self.looking_back(record)?;
        match blame::blame(&snapshot, &filters, commit, path, limit) {
            Ok(lines) => Ok(BlameLooked::Lines(lines)),
            Err(BlameError::NoFile) => Ok(BlameLooked::NoFile),
            Err(BlameError::Binary) => Ok(BlameLooked::Binary),
            Err(BlameError::TooManyLines(_) | BlameError::Browse(BrowseError::TooLarge { .. })) => {
                Ok(BlameLooked::TooLarge)
            }
            Err(BlameError::Browse(error)) => Err(of_browsing(error)),
        }
    }

    /// A page of the commits that a commit reaches and that are as `wanted`. Blocks.
    pub fn search_commits(
        &self,
        record: &RepositoryRecord,
        commit: &ObjectId,
        wanted: &Wanted,
        page: (usize, usize),
    ) -> Result<Found, RepositoryFailure> {
        let (snapshot, filters) = self.looking_back(record)?;
        crate::repository::search::search(&snapshot, &filters, commit, wanted, page).map_err(of_browsing)
    }
}

/// The commit was found before: what is missing now is damage.
fn of_browsing(error: BrowseError) -> RepositoryFailure {
    RepositoryError::Io(std::io::Error::other(error)).into()
}
