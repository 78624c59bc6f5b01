//! Commits that a revision reaches, by who made them, what they say, when, and where.
//!
//! A page looks at no more than [`MAX_LOOKED_AT`] commits, whatever it finds; the next one goes on from there.

use std::collections::BinaryHeap;

use super::browse::{BrowseError, Commit, Signature};
use super::commit_graph::NodeSet;
use super::history::{Tracker, ordered_times};
use super::path_filters::PathFilters;
use super::snapshot::Snapshot;
use crate::names::ObjectId;

/// Most commits that are looked at for one page.
pub const MAX_LOOKED_AT: usize = 10_000;

/// What is looked for; everything that is given has to be so. Texts are parts of what they are looked for in, in any case of letters.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// In `Name <address>` of the author.
    pub author: Option<String>,
    /// In `Name <address>` of the committer.
    pub committer: Option<String>,
    /// In the message.
    pub message: Option<String>,
    /// The file or folder that the commit changed: what stands there is in none of its parents.
    pub path: Option<Vec<u8>>,
    /// Committed at this time or later, in seconds since 1970.
    pub since: Option<i64>,
    /// Committed at this time or earlier.
    pub until: Option<i64>,
}

/// A page of what was found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Found {
    /// The commits, the latest first.
    pub commits: Vec<Commit>,
    /// How many commits have been passed, if there are more: with so many passed over, the next page begins.
    pub next: Option<usize>,
}

/// Looks through the commits that `tip` reaches, but for the first `skip`, until `most` are found or enough was looked at.
pub fn search(
    snapshot: &Snapshot,
    filters: &PathFilters,
    tip: &ObjectId,
    wanted: &Wanted,
    (skip, most): (usize, usize),
) -> Result<Found, BrowseError> {
    let mut tracker = Tracker::new(snapshot, filters);
    let graph = tracker.graph;
    let tip = snapshot.commit(tip).ok_or_else(|| BrowseError::NoCommit(tip.to_string()))?;
    let times = ordered_times(graph, tip);
    let path = wanted.path.as_ref().map(|path| tracker.number(path));
    let lower = |text: &Option<String>| text.as_ref().map(|text| text.to_lowercase());
    let (author, committer, message) = (lower(&wanted.author), lower(&wanted.committer), lower(&wanted.message));
    let mut seen = NodeSet::new(graph);
    seen.insert(tip);
    let mut heap = BinaryHeap::from([(times[tip as usize], tip)]);
    let (mut n_passed, mut n_looked_at, mut found) = (0, 0, Found::default());
    while let Some((_, node)) = heap.pop() {
        if n_looked_at >= MAX_LOOKED_AT || found.commits.len() >= most {
            found.next = Some(n_passed);
            break;
        }
        for parent in graph.parents(node) {
            if seen.insert(*parent) {
                heap.push((times[*parent as usize], *parent));
            }
        }
        n_passed += 1;
        if n_passed <= skip {
            continue;
        }
        let time = graph.time(node);
        if wanted.since.is_some_and(|since| time < since) || wanted.until.is_some_and(|until| time > until) {
            continue;
        }
        n_looked_at += 1;
        if let Some(path) = path {
            if tracker.unchanged_parent(node, path).is_some() {
                continue;
            }
            let entry = tracker.at(node, path)?;
            let mut is_changed = !graph.parents(node).is_empty() || entry.is_some();
            for parent in graph.parents(node) {
                is_changed &= tracker.at(*parent, path)? != entry;
            }
            if !is_changed {
                continue;
            }
        }
        let commit = tracker.browser.commit(&ObjectId::from(*graph.id(node)))?;
        let is_in = |text: &Option<String>, within: &dyn Fn() -> String| {
            text.as_ref().is_none_or(|text| within().to_lowercase().contains(text))
        };
        let who = |who: &Signature| format!("{} <{}>", who.name, who.email);
        if is_in(&author, &|| who(&commit.author))
            && is_in(&committer, &|| who(&commit.committer))
            && is_in(&message, &|| commit.message.clone())
        {
            found.commits.push(commit);
        }
    }
    Ok(found)
}
