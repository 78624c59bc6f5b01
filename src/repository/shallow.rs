//! Shallow histories: which commits a client's history ends at, before and after a fetch.
//!
//! The rules are those of git's `upload-pack` and `shallow.c`. A commit without parents is never reported as shallow:
//! its history does not end early, it begins there.

use std::collections::{HashSet, VecDeque};

use super::commit_graph::{CommitGraph, Node, NodeSet};

/// How far a client wants its history to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Depth {
    /// So many commits from the wanted tips.
    Commits(u32),
    /// So many commits beyond where the client's history ends now.
    Beyond(u32),
    /// Only commits that are not older than this time (seconds since the Unix epoch) and that `not` do not reach.
    History {
        /// The time, if there is one.
        since: Option<i64>,
        /// The commits whose history is left out.
        not: Vec<Node>,
    },
}

/// The depth that means "all of it".
pub const INFINITE_DEPTH: u32 = 0x7fff_ffff;

/// A client's boundary after a fetch.
#[derive(Debug, Default, Clone)]
pub struct Boundary {
    /// Commits that become shallow.
    pub shallow: Vec<Node>,
    /// Commits that were shallow, and whose parents are sent now.
    pub unshallow: Vec<Node>,
    /// All commits at which the client's history ends afterwards.
    pub edges: HashSet<Node>,
}

/// No commit is left when those that are too old or excluded are taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no commits selected for shallow requests")]
pub struct NothingSelected;

/// Where the client's history will end when it fetches `tips` to `depth`; `client` is where it ends now.
pub fn boundary(
    graph: &CommitGraph,
    tips: &[Node],
    client: &HashSet<Node>,
    depth: &Depth,
) -> Result<Boundary, NothingSelected> {
    let (ends, inner) = match depth {
        Depth::Commits(depth) => by_depth(graph, tips.iter().copied(), *depth),
        Depth::Beyond(depth) => {
            let reached = graph.closure(tips.iter().copied());
            let starts = client.iter().copied().filter(|node| reached.contains(*node));
            by_depth(graph, starts, depth.saturating_add(1))
        }
        Depth::History { since, not } => by_history(graph, tips, *since, not)?,
    };
    let mut out = Boundary::default();
    for node in &ends {
        if !client.contains(node) {
            out.shallow.push(*node);
        }
        out.edges.insert(*node);
    }
    for node in client {
        if ends.contains(node) {
            continue;
        }
        if inner.contains(*node) {
            out.unshallow.push(*node);
        } else {
            out.edges.insert(*node);
        }
    }
    out.shallow.sort_unstable();
    out.unshallow.sort_unstable();
    Ok(out)
}

/// The commits at `depth` that have parents, and those above them. Commits are taken at their smallest depth.
fn by_depth(graph: &CommitGraph, starts: impl Iterator<Item = Node>, depth: u32) -> (HashSet<Node>, NodeSet) {
    let mut seen = NodeSet::new(graph);
    let mut inner = NodeSet::new(graph);
    let mut ends = HashSet::new();
    let mut queue: VecDeque<(Node, u32)> = VecDeque::new();
    for node in starts {
        if seen.insert(node) {
            queue.push_back((node, 1));
        }
    }
    while let Some((node, at)) = queue.pop_front() {
        if depth != INFINITE_DEPTH && at >= depth {
            if !graph.parents(node).is_empty() || graph.lacks_parents(node) {
                ends.insert(node);
            }
            continue;
        }
        inner.insert(node);
        for parent in graph.parents(node) {
            if seen.insert(*parent) {
                queue.push_back((*parent, at + 1));
            }
        }
    }
    (ends, inner)
}

fn by_history(
    graph: &CommitGraph,
    tips: &[Node],
    since: Option<i64>,
    not: &[Node],
) -> Result<(HashSet<Node>, NodeSet), NothingSelected> {
    let hidden = graph.closure(not.iter().copied());
    let is_in = |node: Node| !hidden.contains(node) && since.is_none_or(|since| graph.time(node) >= since);
    let mut inside = NodeSet::new(graph);
    let mut stack: Vec<Node> = tips.iter().copied().filter(|node| is_in(*node)).collect();
    let mut ends = HashSet::new();
    while let Some(node) = stack.pop() {
        if !inside.insert(node) {
            continue;
        }
        for parent in graph.parents(node) {
            if is_in(*parent) {
                stack.push(*parent);
            } else {
                ends.insert(node);
            }
        }
    }
    if inside.is_empty() {
        return Err(NothingSelected);
    }
    let mut inner = inside.clone();
    inner.retain(|node| !ends.contains(&node));
    Ok((ends, inner))
}
