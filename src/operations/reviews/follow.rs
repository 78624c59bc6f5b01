//! What a change of refs means for pull requests: a branch that moved begins a new revision of those that are to be merged from it,
//! and one that has come to hold a source closes its pull request as merged. Written in the transaction that changes the refs.

use super::person_of;
use crate::names::{ObjectId, RefName};
use crate::operations::OpContext;
use crate::repository::log::RefChange;
use crate::repository::ref_change::Proposed;
use crate::repository::refs::Refs;
use crate::repository::snapshot::Snapshot;
use crate::review::pull_request::{Event, Happening, MergeOption, Merged, PullRequest};
use crate::review::shelf::{Kept, Reviews, ShelfError};
use crate::store::documents::Write;

/// The pull request that a change merges.
#[derive(Debug, Clone)]
pub struct Merging {
    /// Its number.
    pub number: u64,
    /// The source that was looked at: if the branch has moved since, nothing is merged.
    pub source: ObjectId,
    /// How.
    pub option: MergeOption,
    /// Whether conflicts were settled by hand: then it brings what nobody has looked at.
    pub is_edited: bool,
}

/// What follows.
#[derive(Debug, Default)]
pub struct Follows {
    /// Documents that change.
    pub documents: Vec<Write>,
    /// Refs of the server's own that change.
    pub refs: Vec<RefChange>,
    /// Pull requests that something happens to, and what.
    pub pull_requests: Vec<(PullRequest, Vec<Event>)>,
    /// The merge base of the pull request that is merged.
    pub merge_base: Option<ObjectId>,
}

/// What follows from the changes that were let through.
pub fn follows(
    reviews: &Reviews<'_>,
    ctx: &OpContext,
    before: &Snapshot,
    after: &Refs,
    proposed: &Proposed<'_>,
    changes: &[&RefChange],
    merging: Option<&Merging>,
    now_ms: i64,
) -> Result<Follows, ShelfError> {
    let mut out = Follows::default();
    if !changes.iter().any(|change| change.name.as_bytes().starts_with(b"refs/heads/")) {
        return Ok(out);
    }
    let moved = |name: &RefName| changes.iter().find(|change| change.name == *name);
    let actor = person_of(&ctx.principal);
    for mut kept in reviews.open_pull_requests()? {
        let pull_request = &mut kept.value;
        let mut happened = Vec::new();
        if let Some(tip) = moved(&pull_request.source).and_then(|change| change.new)
            && tip != pull_request.source_commit
        {
            let destination = before.refs.get(&pull_request.destination).map(|value| value.id);
            let base = destination.and_then(|destination| proposed.merge_base(&tip, &destination));
            happened.push(Happening::SourceUpdated { before: pull_request.source_commit, after: tip, base });
            let (name, old) =
                (pull_request.head_ref(), before.refs.get(&pull_request.head_ref()).map(|value| value.id));
            out.refs.push(RefChange { name, old, new: Some(tip), peeled: None });
            pull_request.source_commit = tip;
            pull_request.revision += 1;
            pull_request.add_pusher(actor.clone());
        }
        let merged_now = merging.filter(|merging| merging.number == pull_request.number);
        if let Some(change) = moved(&pull_request.destination)
            && let Some(tip) = change.new
            && (merged_now.is_some() || has_come_to_hold(proposed, after, pull_request, change.old.as_ref(), &tip))
        {
            let base = change.old.and_then(|old| proposed.merge_base(&pull_request.source_commit, &old));
            let option = merged_now.map_or(MergeOption::FastForwardMerge, |merging| merging.option);
            let merged = Merged { by: actor.clone(), commit: tip, option };
            happened.push(Happening::Merged { destination: pull_request.destination.clone(), merged: merged.clone() });
            happened.push(Happening::StatusChanged { is_open: false });
            pull_request.merged = Some(merged);
            pull_request.is_open = false;
            pull_request.destination_commit = change.old.unwrap_or(tip);
            pull_request.merge_base = base;
            if merged_now.is_some() {
                out.merge_base = base;
            }
        }
        if !happened.is_empty() {
            let event = |what| Event { at_ms: now_ms, actor: actor.arn.clone(), what };
            let events: Vec<Event> = happened.into_iter().map(event).collect();
            let kept = Kept { value: kept.value, version: kept.version };
            out.documents.extend(reviews.put_pull_request(&kept, true, &events)?);
            out.pull_requests.push((kept.value, events));
        }
    }
    Ok(out)
}

/// Whether the destination at `tip` has all of the source, which it did not have before.
fn has_come_to_hold(
    proposed: &Proposed<'_>,
    after: &Refs,
    pull_request: &PullRequest,
    old: Option<&ObjectId>,
    tip: &ObjectId,
) -> bool {
    // A source that was deleted by the same push was merged all the same.
    let source = after.get(&pull_request.source).map_or(pull_request.source_commit, |value| value.id);
    proposed.descends(tip, &source) && old.is_none_or(|old| !proposed.descends(old, &source))
}
