//! Merge bases: the best commits that two histories share.

use crate::repository::commit_graph::{CommitGraph, Node};

/// The commits in the history of some of `a` and of some of `b` of which no other such commit is a descendant, the newest first.
pub fn merge_bases(graph: &CommitGraph, a: &[Node], b: &[Node]) -> Vec<Node> {
    if let ([a], [b]) = (a, b) {
        // The usual case, which needs no look at all of the history.
        if graph.is_ancestor(*a, *b) {
            return vec![*a];
        }
        if graph.is_ancestor(*b, *a) {
            return vec![*b];
        }
    }
    let of_a = graph.closure(a.iter().copied());
    // Downwards from `b`: what is in both is not followed further, all below it is in both, too.
    let mut seen = std::collections::HashSet::new();
    let mut stack = b.to_vec();
    let mut shared = Vec::new();
    while let Some(node) = stack.pop() {
        if !seen.insert(node) {
            continue;
        }
        if of_a.contains(node) {
            shared.push(node);
        } else {
            stack.extend_from_slice(graph.parents(node));
        }
    }
    let mut best: Vec<Node> = shared
        .iter()
        .copied()
        .filter(|node| !shared.iter().any(|other| other != node && graph.is_ancestor(*node, *other)))
        .collect();
    best.sort_by_key(|node| (std::cmp::Reverse(graph.time(*node)), *node));
    best
}
