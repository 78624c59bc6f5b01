//! `refs/pull/N/merge`: what merging an open pull request would give now. Made when somebody asks for the ref and a side has moved
//! since: nobody waits for it at a push, and what nobody fetches is not made.
//!
//! The commit is a function of its two sides alone. Each is kept by a ref of the server's own as well, so that taking this one away,
//! or leading it elsewhere, leaves nothing behind that has to be looked for.

use quick_cache::sync::Cache;
use uuid::Uuid;

use super::super::commits::{Author, NewObjects, Workplace, holder_of, short_name};
use super::super::lockgate::Lockgate;
use super::super::merging::MergeFailure;
use super::super::{OpContext, Transport};
use crate::identity::{Principal, RepositoryRecord};
use crate::names::{ObjectId, RefName};
use crate::repository::browse::Browser;
use crate::repository::handle::Repository;
use crate::repository::log::RefChange;
use crate::repository::merge::{ConflictDetail, MergeError, MergeLimits, MergeOptions, merge};
use crate::repository::new_objects::commit_bytes;
use crate::repository::object::ObjectKind;
use crate::repository::snapshot::Snapshot;
use crate::review::pull_request::{PullRequest, merge_ref};

/// Most pull requests that one question is about, the newest ones.
const MAX_ASKED: usize = 64;
/// Most merges that one question has made.
const MAX_MADE: usize = 16;
/// Most bytes that such a merge reads.
const MAX_BYTES: u64 = 64 << 20;
/// Who does it.
const ACTOR: &str = "reviews.lockgate";

/// Which merges are as they are for both sides as they stand: made, or in conflict.
pub struct MergesTried(Cache<(Uuid, u64), (ObjectId, ObjectId)>);

impl Default for MergesTried {
    fn default() -> MergesTried {
        MergesTried(Cache::new(10_000))
    }
}

impl Lockgate {
    /// Brings the merge refs up to date for which `asks` holds. What fails is logged: a ref stays as it was, or away. Blocks.
    pub(in super::super) fn freshen_merges(
        &self,
        record: &RepositoryRecord,
        repository: &Repository,
        asks: &dyn Fn(&[u8]) -> bool,
    ) {
        let mut numbers: Vec<u64> =
            repository.snapshot().refs.below(b"refs/pull/").filter_map(|(name, _)| number_of(name)).collect();
        numbers.sort_unstable_by(|a, b| b.cmp(a));
        numbers.dedup();
        let asked = numbers.into_iter().filter(|number| asks(merge_ref(*number).as_bytes())).take(MAX_ASKED);
        let mut n_made = 0;
        for number in asked {
            match self.freshen_merge(record, repository, number) {
                Ok(is_made) => n_made += usize::from(is_made),
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, pull_request = number, "the merge of a pull request could not be made");
                }
            }
            if n_made >= MAX_MADE {
                break;
            }
        }
    }

    /// Gives whether a merge was tried.
    fn freshen_merge(
        &self,
        record: &RepositoryRecord,
        repository: &Repository,
        number: u64,
    ) -> Result<bool, MergeFailure> {
        let snapshot = repository.snapshot();
        let name = merge_ref(number);
        let now = snapshot.refs.get(&name).map(|value| value.id);
        let kept = self.reviews(repository).pull_request(number).map_err(super::ReviewFailure::from)?;
        let pull_request = kept.map(|kept| kept.value).filter(|pull_request| pull_request.is_open);
        let sides = pull_request.as_ref().and_then(|pull_request| {
            let at = |name| snapshot.refs.get(name).map(|value| value.id);
            Some((at(&pull_request.destination)?, at(&pull_request.source)?))
        });
        let ctx = OpContext {
            principal: Principal::Service(ACTOR.to_owned()),
            request_id: Uuid::now_v7(),
            source: None,
            transport: Transport::Api,
        };
        let workplace = Workplace { host: self, ctx: &ctx, record, repository };
        let lead_to = |new: Option<ObjectId>| RefChange { name: name.clone(), old: now, new, peeled: None };
        let (Some(pull_request), Some((destination, source))) = (pull_request, sides) else {
            if now.is_some() {
                workplace.keep(vec![lead_to(None)], None, &[])?;
            }
            return Ok(false);
        };
        let key = (record.id, number);
        if self.merges_tried().0.get(&key) == Some((destination, source)) {
            return Ok(false);
        }
        let mut browser = Browser::new(&snapshot);
        let is_of_both = match now {
            Some(now) => browser.commit(&now)?.parents == [destination, source],
            None => false,
        };
        if is_of_both {
            self.merges_tried().0.insert(key, (destination, source));
            return Ok(false);
        }
        let words = message(&pull_request);
        let (changes, quarantine) = match merged_of(&snapshot, (&destination, &source), &words)? {
            Some((commit, objects)) => {
                let holder = holder_of(&commit)?;
                let (mut changes, mut quarantine) = (vec![lead_to(Some(commit))], None);
                if snapshot.refs.get(&holder).is_none() {
                    quarantine = workplace.take_in(&snapshot, &objects)?;
                    changes.push(RefChange { name: holder, old: None, new: Some(commit), peeled: None });
                }
                (changes, quarantine)
            }
            None => (now.map(|_| lead_to(None)).into_iter().collect(), None),
        };
        // Whoever was faster may have had other sides: then it is tried again.
        if changes.is_empty() || workplace.keep(changes, quarantine, &[])? {
            self.merges_tried().0.insert(key, (destination, source));
        }
        Ok(true)
    }
}

/// The commit that merges two, and what it brings; none if they cannot be merged, or nothing is left to be.
fn merged_of(
    snapshot: &Snapshot,
    (destination, source): (&ObjectId, &ObjectId),
    words: &str,
) -> Result<Option<(ObjectId, NewObjects)>, MergeFailure> {
    let limits = MergeLimits { total_bytes: MAX_BYTES, ..MergeLimits::default() };
    let options = MergeOptions { detail: ConflictDetail::Line, limits, ..MergeOptions::default() };
    let merged = match merge(snapshot, destination, source, &options) {
        Ok(merged) => merged,
        Err(
            MergeError::Unrelated
            | MergeError::TooMuchContent { .. }
            | MergeError::TooManyBases
            | MergeError::Unmergeable,
        ) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let Some(tree) = merged.tree.filter(|_| merged.bases != [*source]) else { return Ok(None) };
    let time = |id| snapshot.commit(id).map_or(0, |node| snapshot.graph().time(node));
    let author =
        Author { name: "Lockgate".to_owned(), email: String::new(), seconds: time(destination).max(time(source)) };
    let mut objects = merged.objects;
    let bytes = commit_bytes(&tree, &[*destination, *source], &author, words);
    let commit = objects.add(ObjectKind::Commit, bytes);
    Ok(Some((commit, objects)))
}

fn message(pull_request: &PullRequest) -> String {
    format!("Merge {} into {}\n", short_name(&pull_request.source), short_name(&pull_request.destination))
}

/// The number of the pull request that a ref is of.
fn number_of(name: &RefName) -> Option<u64> {
    let rest = name.as_bytes().strip_prefix(b"refs/pull/")?;
    let digits = rest.strip_suffix(b"/head").or_else(|| rest.strip_suffix(b"/merge"))?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}
