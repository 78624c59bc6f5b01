//! Which commit each line of a file comes from, as `git blame` finds it: lines that a parent has, too, are the parent's.
//!
//! A file that a parent lacks is looked for there under the name it was renamed from; lines that moved within a file or came from
//! another one are those of the commit that put them there. Work is bounded by the number of versions that are compared, and by their bytes.

use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::sync::Arc;

use super::browse::{BrowseError, Side};
use super::commit_graph::Node;
use super::history::{PathNumber, Tracker, ordered_times};
use super::line_diff::{self, Replaced};
use super::object::EntryKind;
use super::path_filters::PathFilters;
use super::snapshot::Snapshot;
use crate::names::ObjectId;

/// Most pairs of versions that are compared. What is not settled then is the commit's at which it stopped.
pub const MAX_COMPARED: usize = 20_000;

/// Most bytes that are compared, both sides counted; beyond, it is the same.
const MAX_COMPARED_BYTES: u64 = 1 << 30;

/// Lines of a file that come from one commit and stood there one after the other. Counted from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blamed {
    /// The first line in the file that was asked for.
    pub line: u32,
    /// How many lines.
    pub count: u32,
    /// The commit that they come from.
    pub commit: ObjectId,
    /// The file's path there.
    pub path: Vec<u8>,
    /// The first line there.
    pub original_line: u32,
    /// Whether they may be older: the history ends there, or was looked through no further.
    pub is_boundary: bool,
}

/// Why lines were not told apart.
#[derive(Debug, thiserror::Error)]
pub enum BlameError {
    /// There is no file.
    #[error("there is no file at the path")]
    NoFile,
    /// It has no lines.
    #[error("the file is binary")]
    Binary,
    /// It has more lines than are looked at.
    #[error(transparent)]
    TooManyLines(#[from] line_diff::TooManyLines),
    /// Objects could not be read.
    #[error(transparent)]
    Browse(#[from] BrowseError),
}

/// Lines that are looked for: where in the file that was asked for, where in the version at hand, how many. From 0.
#[derive(Debug, Clone, Copy)]
struct Piece {
    line: u32,
    at: u32,
    count: u32,
}

/// Tells for each line of the file at `path` of a commit where it comes from. Files of more than `limit` bytes are not read: the
/// version before one that is larger does not count.
pub fn blame(
    snapshot: &Snapshot,
    filters: &PathFilters,
    tip: &ObjectId,
    path: &[u8],
    limit: u64,
) -> Result<Vec<Blamed>, BlameError> {
    let mut tracker = Tracker::new(snapshot, filters);
    let graph = tracker.graph;
    let tip = snapshot.commit(tip).ok_or_else(|| BrowseError::NoCommit(tip.to_string()))?;
    let path = tracker.number(path);
    let is_file = |side: &Side| EntryKind::of_mode(side.mode) == EntryKind::File;
    let file = tracker.at(tip, path)?.filter(is_file).ok_or(BlameError::NoFile)?;
    let content = tracker.browser.blob(&file.id, limit)?;
    if line_diff::is_binary(&content) {
        return Err(BlameError::Binary);
    }
    let count = line_diff::lines(&content).len();
    if count > line_diff::MAX_LINES {
        return Err(line_diff::TooManyLines.into());
    }
    let times = ordered_times(graph, tip);
    let mut heap = BinaryHeap::from([(times[tip as usize], tip, path)]);
    let all = Piece { line: 0, at: 0, count: count as u32 };
    let mut pending: HashMap<(Node, PathNumber), Vec<Piece>> = HashMap::from([((tip, path), vec![all])]);
    let mut contents = Contents { latest: BTreeMap::new(), limit };
    let (mut n_compared, mut n_bytes, mut out) = (0, 0, Vec::new());
    while let Some((_, node, path)) = heap.pop() {
        let Some(mut pieces) = pending.remove(&(node, path)) else { continue };
        pieces.retain(|piece| piece.count > 0);
        if pieces.is_empty() {
            continue;
        }
        let mut go_on = |to: (Node, PathNumber), passed: Vec<Piece>| {
            let known = pending.entry(to).or_insert_with(|| {
                heap.push((times[to.0 as usize], to.0, to.1));
                Vec::new()
            });
            known.extend(passed);
        };
        if let Some(parent) = tracker.unchanged_parent(node, path) {
            go_on((parent, path), pieces);
            continue;
        }
        let Some(entry) = tracker.at(node, path)? else { continue };
        let mut origins: Vec<(Node, PathNumber, Side)> = Vec::new();
        for parent in graph.parents(node) {
            if let Some(before) = tracker.at(*parent, path)?.filter(is_file) {
                origins.push((*parent, path, before));
            }
        }
        let mut whole = origins.iter().find(|(.., before)| before.id == entry.id).copied();
        if whole.is_none() && origins.len() < graph.parents(node).len() {
            for parent in graph.parents(node) {
                if origins.iter().any(|(known, ..)| known == parent) {
                    continue;
                }
                if let Some(from) = tracker.renamed_from(*parent, node, path)?
                    && let Some(before) = tracker.at(*parent, from)?
                {
                    origins.push((*parent, from, before));
                }
            }
            // Parents in their order, whichever way the file was found.
            origins.sort_by_key(|(parent, ..)| graph.parents(node).iter().position(|at| at == parent));
            whole = origins.iter().find(|(.., before)| before.id == entry.id).copied();
        }
        if let Some((parent, from, _)) = whole {
            go_on((parent, from), pieces);
            continue;
        }
        let is_cut = n_compared >= MAX_COMPARED || n_bytes >= MAX_COMPARED_BYTES;
        if !is_cut {
            for (parent, from, before) in origins {
                let (Some(old), Some(new)) =
                    (contents.get(&mut tracker, &before.id)?, contents.get(&mut tracker, &entry.id)?)
                else {
                    continue;
                };
                n_compared += 1;
                n_bytes += (old.len() + new.len()) as u64;
                let replaced = line_diff::replaced(&line_diff::lines(&old), &line_diff::lines(&new), false)?;
                let (passed, kept) = passed_on(&pieces, &replaced);
                if !passed.is_empty() {
                    go_on((parent, from), passed);
                }
                pieces = kept;
                if pieces.is_empty() {
                    break;
                }
            }
        }
        let is_boundary = is_cut || graph.lacks_parents(node);
        out.extend(pieces.into_iter().map(|piece| Blamed {
            line: piece.line + 1,
            count: piece.count,
            commit: ObjectId::from(*graph.id(node)),
            path: tracker.path(path).to_vec(),
            original_line: piece.at + 1,
            is_boundary,
        }));
    }
    out.sort_by_key(|blamed| blamed.line);
    // What was taken apart on the way and came together again is one.
    out.dedup_by(|next, last| {
        let is_one = last.commit == next.commit
            && last.path == next.path
            && last.line + last.count == next.line
            && last.original_line + last.count == next.original_line;
        if is_one {
            last.count += next.count;
        }
        is_one
    });
    Ok(out)
}

/// The latest few contents that were compared: a version is the new one first, then the old one.
struct Contents {
    latest: BTreeMap<ObjectId, Arc<[u8]>>,
    limit: u64,
}

impl Contents {
    fn get(&mut self, tracker: &mut Tracker<'_>, id: &ObjectId) -> Result<Option<Arc<[u8]>>, BrowseError> {
        if let Some(found) = self.latest.get(id) {
            return Ok(Some(found.clone()));
        }
        let content = match tracker.browser.blob(id, self.limit) {
            Ok(content) => content,
            Err(BrowseError::TooLarge { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        if self.latest.len() >= 8 {
            self.latest.clear();
        }
        self.latest.insert(*id, content.clone());
        Ok(Some(content))
    }
}

/// What of the pieces lies in lines that stayed, by the numbers they have before, and what does not.
fn passed_on(pieces: &[Piece], replaced: &[Replaced]) -> (Vec<Piece>, Vec<Piece>) {
    let (mut passed, mut kept) = (Vec::new(), Vec::new());
    for piece in pieces {
        let end = piece.at + piece.count;
        let mut at = piece.at;
        let first = replaced.partition_point(|change| change.after.end <= at);
        let mut shift = match first.checked_sub(1) {
            Some(last) => i64::from(replaced[last].before.end) - i64::from(replaced[last].after.end),
            None => 0,
        };
        let mut part = |at: u32, to: u32, shift: Option<i64>| {
            if to > at {
                let line = piece.line + (at - piece.at);
                match shift {
                    // A line that stayed has a number on both sides.
                    Some(shift) => passed.push(Piece { line, at: (i64::from(at) + shift) as u32, count: to - at }),
                    None => kept.push(Piece { line, at, count: to - at }),
                }
            }
        };
        for change in &replaced[first..] {
            if change.after.start >= end {
                break;
            }
            part(at, change.after.start, Some(shift));
            let from = at.max(change.after.start);
            part(from, change.after.end.min(end), None);
            at = from.max(change.after.end.min(end));
            shift = i64::from(change.before.end) - i64::from(change.after.end);
        }
        part(at, end, Some(shift));
    }
    (passed, kept)
}
