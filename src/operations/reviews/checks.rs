//! Statuses of commits, which builds and outside systems set and policies read.

use super::super::OpContext;
use super::super::lockgate::Lockgate;
use super::{MAX_TRIES, ReviewFailure, person_of};
use crate::identity::RepositoryRecord;
use crate::names::ObjectId;
use crate::review::checks::{Check, CheckState, MAX_CHECKS};
use crate::review::shelf::Kept;

/// What is said of a commit.
#[derive(Debug, Clone, Copy)]
pub struct NewCheck<'a> {
    /// The name, `build`.
    pub name: &'a str,
    /// How it stands.
    pub state: CheckState,
    /// A few words.
    pub description: Option<&'a str>,
    /// Where more is to be read.
    pub url: Option<&'a str>,
}

impl Lockgate {
    /// Says something of a commit, over what was said under that name. Blocks.
    pub fn put_check(
        &self,
        ctx: &OpContext,
        record: &RepositoryRecord,
        commit: &ObjectId,
        new: &NewCheck<'_>,
    ) -> Result<Check, ReviewFailure> {
        let repository = self.repository(record)?;
        if self.commit(record, commit)?.is_none() {
            return Err(ReviewFailure::NoCommit(commit.to_string()));
        }
        let reviews = self.reviews(&repository);
        for _ in 0..MAX_TRIES {
            let before = reviews.check(commit, new.name)?;
            if before.is_none() && reviews.checks(commit)?.len() >= MAX_CHECKS {
                return Err(ReviewFailure::TooManyChecks);
            }
            let check = Check {
                name: new.name.to_owned(),
                state: new.state,
                description: new.description.map(str::to_owned),
                url: new.url.map(str::to_owned),
                by: person_of(&ctx.principal),
                at_ms: self.store().clock().now_ms(),
            };
            let kept = Kept { value: check, version: before.map_or(0, |before| before.version) };
            let event = self.check_event(record, commit, &kept.value);
            if self.store().write_documents(&[reviews.put_check(commit, &kept)?, event])? {
                return Ok(kept.value);
            }
        }
        Err(ReviewFailure::Busy)
    }

    /// What is said of a commit, by name. Blocks.
    pub fn checks(&self, record: &RepositoryRecord, commit: &ObjectId) -> Result<Vec<Check>, ReviewFailure> {
        let repository = self.repository(record)?;
        let mut checks: Vec<Check> =
            self.reviews(&repository).checks(commit)?.into_iter().map(|kept| kept.value).collect();
        checks.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(checks)
    }
}
