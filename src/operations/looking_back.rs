//! What became of files and lines, and which commits did it, for doors that do not speak Git. Whether the caller may look has been
//! decided before.

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
pub use crate::repository::search::{Found, Wanted};

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
    /// The versions of what stands at a path, as of a commit; renames of files are followed. The first `skip` are passed over, and at
    /// most `most` given, each with its commit. Blocks.
    pub fn path_history(
        &self,
        record: &RepositoryRecord,
        commit: &ObjectId,
        path: &[u8],
        page: (usize, usize),
    ) -> Result<Vec<(Version, Browsed)>, RepositoryFailure> {
        let snapshot = self.repository(record)?.snapshot();
        let versions = path_history(&snapshot, commit, path, true, page).map_err(of_browsing)?;
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
        let snapshot = self.repository(record)?.snapshot();
        match blame::blame(&snapshot, commit, path, limit) {
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
        let snapshot = self.repository(record)?.snapshot();
        crate::repository::search::search(&snapshot, commit, wanted, page).map_err(of_browsing)
    }
}

/// The commit was found before: what is missing now is damage.
fn of_browsing(error: BrowseError) -> RepositoryFailure {
    RepositoryError::Io(std::io::Error::other(error)).into()
}
