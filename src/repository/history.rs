//! The history of one path: which commits from a tip changed a file or folder, as `git log -- PATH` has it.
//!
//! A commit that has at the path what one of its parents has is passed over, and only that parent looked at, which is Git's
//! simplification. With `follow`, a file that a commit adds while another of the same or much the same content goes is taken
//! for a renamed one, and its history goes on under the earlier name.
//!
//! Only the commit graph, changed-path filters and the trees along the path are read; blobs only where a rename is looked for, within limits.

use std::collections::{BinaryHeap, HashMap};

use super::browse::{BrowseError, Browser, Side};
use super::commit_graph::{CommitGraph, Node};
use super::line_diff;
use super::object::EntryKind;
use super::pack::oid_hash::{RawId, raw};
use super::path_filters::{PathFilters, PathKey};
use super::snapshot::Snapshot;
use crate::names::ObjectId;

/// A commit that changed what stands at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// The commit.
    pub commit: ObjectId,
    /// The path that it changed: another one than was asked for where a rename was followed.
    pub path: Vec<u8>,
    /// What stands there since; none if it is gone.
    pub entry: Option<Side>,
    /// The commits of the next versions, at most [`MAX_CHILDREN`] of them; none for the last one.
    pub children: Vec<ObjectId>,
}

/// Most commits that are named as a version's next ones.
pub const MAX_CHILDREN: usize = 1000;

/// Most differences of a commit that are looked through for a rename.
const MAX_RENAME_DIFFERENCES: usize = 5000;
/// Most files whose content is compared in search of a rename.
const MAX_RENAME_SOURCES: usize = 64;
/// Most bytes of a file whose content is compared.
const MAX_RENAME_BYTES: u64 = 1 << 20;
/// Most bytes that one walk reads in search of renames; beyond, only files with the same content are taken for renamed.
const MAX_RENAME_BYTES_IN_ALL: u64 = 256 << 20;
/// Most answers about trees that are remembered.
const MAX_KNOWN: usize = 1 << 17;

/// A path that a [`Tracker`] knows, by number.
pub(super) type PathNumber = u32;

/// Says what stands at paths of commits, and remembers folders that were looked into.
pub(super) struct Tracker<'a> {
    pub(super) graph: &'a CommitGraph,
    pub(super) browser: Browser<'a>,
    paths: Vec<Vec<u8>>,
    keys: Vec<PathKey>,
    filters: &'a PathFilters,
    known: HashMap<(RawId, PathNumber, u32), Option<Side>>,
    /// Bytes that were read in search of renames.
    n_read: u64,
}

impl<'a> Tracker<'a> {
    pub(super) fn new(snapshot: &'a Snapshot, filters: &'a PathFilters) -> Tracker<'a> {
        let browser = Browser::new(snapshot);
        Tracker {
            graph: snapshot.graph(),
            browser,
            paths: Vec::new(),
            keys: Vec::new(),
            filters,
            known: HashMap::new(),
            n_read: 0,
        }
    }

    /// The number of a path.
    pub(super) fn number(&mut self, path: &[u8]) -> PathNumber {
        let parts: Vec<&[u8]> = path.split(|byte| *byte == b'/').filter(|part| !part.is_empty()).collect();
        let path = parts.join(&b'/');
        let number = self.paths.iter().position(|known| *known == path).unwrap_or_else(|| {
            self.keys.push(PathKey::of(&path));
            self.paths.push(path);
            self.paths.len() - 1
        });
        number as PathNumber
    }

    pub(super) fn path(&self, number: PathNumber) -> &[u8] {
        &self.paths[number as usize]
    }

    /// The first parent of a commit, where it is known without a look at trees that it has the same at a path.
    pub(super) fn unchanged_parent(&self, node: Node, path: PathNumber) -> Option<Node> {
        // The root is a path that no filter has.
        let parent = self.graph.parents(node).first().filter(|_| !self.paths[path as usize].is_empty())?;
        self.filters.is_unchanged(self.graph.id(node), self.keys[path as usize]).then_some(*parent)
    }

    /// What stands at a path of a commit.
    pub(super) fn at(&mut self, node: Node, path: PathNumber) -> Result<Option<Side>, BrowseError> {
        let mut at = Side { mode: 0o040000, id: ObjectId::from(*self.graph.tree(node)) };
        let parts = self.paths[path as usize].split(|byte| *byte == b'/').filter(|part| !part.is_empty());
        for (depth, part) in (0..).zip(parts) {
            if EntryKind::of_mode(at.mode) != EntryKind::Tree {
                return Ok(None);
            }
            let key = (raw(&at.id), path, depth);
            let found = match self.known.get(&key) {
                Some(found) => *found,
                None => {
                    let entry = self.browser.in_tree(&at.id, part)?;
                    let found = entry.map(|entry| Side { mode: entry.mode, id: entry.id });
                    if self.known.len() >= MAX_KNOWN {
                        self.known.clear();
                    }
                    self.known.insert(key, found);
                    found
                }
            };
            match found {
                Some(side) => at = side,
                None => return Ok(None),
            }
        }
        Ok(Some(at))
    }

    /// Where a file that `node` has at a path and `parent` has not stood in `parent`: the path of a file that went with the same
    /// content, or with content at least half of which is the same.
    pub(super) fn renamed_from(
        &mut self,
        parent: Node,
        node: Node,
        path: PathNumber,
    ) -> Result<Option<PathNumber>, BrowseError> {
        let Some(entry) = self.at(node, path)? else { return Ok(None) };
        if EntryKind::of_mode(entry.mode) != EntryKind::File {
            return Ok(None);
        }
        let tree = |node: Node| Some(Side { mode: 0o040000, id: ObjectId::from(*self.graph.tree(node)) });
        let (before, after) = (tree(parent), tree(node));
        let (mut gone, mut n_seen) = (Vec::new(), 0);
        self.browser.differences_of(before, after, &mut |difference| {
            if let (Some(side), None) = (difference.before, difference.after)
                && EntryKind::of_mode(side.mode) == EntryKind::File
            {
                gone.push((difference.path, side));
            }
            n_seen += 1;
            n_seen < MAX_RENAME_DIFFERENCES
        })?;
        let name = |path: &[u8]| path.rsplit(|byte| *byte == b'/').next().map(<[u8]>::to_vec);
        let own_name = name(self.path(path));
        let same = |(_, side): &&(Vec<u8>, Side)| side.id == entry.id;
        let exact = gone.iter().filter(same).find(|(path, _)| name(path) == own_name);
        if let Some((from, _)) = exact.or_else(|| gone.iter().find(same)) {
            let from = from.clone();
            return Ok(Some(self.number(&from)));
        }
        if gone.is_empty() || gone.len() > MAX_RENAME_SOURCES || self.n_read > MAX_RENAME_BYTES_IN_ALL {
            return Ok(None);
        }
        let Some(content) = self.content(&entry.id)? else { return Ok(None) };
        let mut best: Option<(u64, Vec<u8>)> = None;
        for (from, side) in gone {
            let Some(other) = self.content(&side.id)? else { continue };
            let likeness = likeness(&other, &content);
            if likeness >= 50 && best.as_ref().is_none_or(|(most, _)| likeness > *most) {
                best = Some((likeness, from));
            }
        }
        Ok(best.map(|(_, from)| self.number(&from)))
    }

    fn content(&mut self, id: &ObjectId) -> Result<Option<std::sync::Arc<[u8]>>, BrowseError> {
        match self.browser.blob(id, MAX_RENAME_BYTES) {
            Ok(content) => {
                self.n_read += content.len() as u64;
                Ok(Some(content))
            }
            Err(BrowseError::TooLarge { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// How much of two files is the same, in hundredths: the bytes of lines that both have, of the longer one's.
fn likeness(before: &[u8], after: &[u8]) -> u64 {
    let longest = before.len().max(after.len()) as u64;
    if longest == 0 || before.len().min(after.len()) as u64 * 2 < longest {
        return 0;
    }
    let mut counts: HashMap<&[u8], u64> = HashMap::new();
    for line in line_diff::lines(before) {
        *counts.entry(line).or_insert(0) += 1;
    }
    let mut n_same = 0;
    for line in line_diff::lines(after) {
        if let Some(left) = counts.get_mut(line).filter(|left| **left > 0) {
            *left -= 1;
            n_same += line.len() as u64;
        }
    }
    n_same * 100 / longest
}

/// The times of all commits that `tip` reaches, by node, put right so that a parent's is before each child's; by them a walk takes
/// a commit only after all its children, whatever clocks said. Of other commits it is the least of all.
pub(super) fn ordered_times(graph: &CommitGraph, tip: Node) -> Vec<i64> {
    let mut times = vec![i64::MIN; graph.len()];
    let mut stack = vec![tip];
    while let Some(node) = stack.last().copied() {
        if times[node as usize] != i64::MIN {
            stack.pop();
            continue;
        }
        let before = stack.len();
        let mut least = graph.time(node).max(0);
        for parent in graph.parents(node) {
            match times[*parent as usize] {
                i64::MIN => stack.push(*parent),
                time => least = least.max(time.saturating_add(1)),
            }
        }
        if stack.len() == before {
            times[node as usize] = least;
            stack.pop();
        }
    }
    times
}

/// The versions of what stands at `path`, the latest first and each after all that came of it. The first `skip` are passed over, and at
/// most `most` given.
pub fn path_history(
    snapshot: &Snapshot,
    filters: &PathFilters,
    tip: &ObjectId,
    path: &[u8],
    follow: bool,
    (skip, most): (usize, usize),
) -> Result<Vec<Version>, BrowseError> {
    let mut tracker = Tracker::new(snapshot, filters);
    let graph = tracker.graph;
    let tip = snapshot.commit(tip).ok_or_else(|| BrowseError::NoCommit(tip.to_string()))?;
    let times = ordered_times(graph, tip);
    let path = tracker.number(path);
    let mut heap = BinaryHeap::from([(times[tip as usize], tip, path)]);
    // What is in the heap, with the versions that it leads to.
    let mut pending: HashMap<(Node, PathNumber), Vec<Node>> = HashMap::from([((tip, path), Vec::new())]);
    let (mut n_seen, mut out) = (0, Vec::new());
    while let Some((_, node, path)) = heap.pop() {
        let Some(children) = pending.remove(&(node, path)) else { continue };
        let mut go_on = |to: (Node, PathNumber), children: &[Node]| {
            let known = pending.entry(to).or_insert_with(|| {
                heap.push((times[to.0 as usize], to.0, to.1));
                Vec::new()
            });
            for child in children {
                if known.len() < MAX_CHILDREN && !known.contains(child) {
                    known.push(*child);
                }
            }
        };
        if let Some(parent) = tracker.unchanged_parent(node, path) {
            go_on((parent, path), &children);
            continue;
        }
        let entry = tracker.at(node, path)?;
        let parents = graph.parents(node);
        let mut befores = Vec::with_capacity(parents.len());
        let mut same = None;
        for parent in parents {
            let before = tracker.at(*parent, path)?;
            befores.push(before);
            if before == entry {
                same = Some(*parent);
                break;
            }
        }
        if let Some(parent) = same {
            go_on((parent, path), &children);
            continue;
        }
        if parents.is_empty() && entry.is_none() {
            continue;
        }
        n_seen += 1;
        if n_seen > skip {
            let id = |node: &Node| ObjectId::from(*graph.id(*node));
            let children = children.iter().map(id).collect();
            out.push(Version { commit: id(&node), path: tracker.path(path).to_vec(), entry, children });
            if out.len() >= most {
                break;
            }
        }
        let is_added = entry.is_some() && befores.iter().all(Option::is_none);
        for parent in parents {
            let from = if follow && is_added { tracker.renamed_from(*parent, node, path)? } else { None };
            go_on((*parent, from.unwrap_or(path)), &[node]);
        }
    }
    Ok(out)
}
