//! The commits of a repository as a graph in memory: parents, trees, times, generation numbers. Built from the packs'
//! indexes, so that history is walked without inflating a commit.
//!
//! Negotiation, shallow boundaries, merge bases and "is this a fast-forward" are questions to this graph. Commits are
//! numbered by `Node`; a parent that is not stored (a shallow edge) is left out of `parents` and noted.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use super::objects::Objects;
use super::pack::oid_hash::{IdMap, RawId};
use super::pack::read::Place;

/// A commit of a [`CommitGraph`].
pub type Node = u32;

/// All stored commits.
#[derive(Default)]
pub struct CommitGraph {
    nodes: Vec<Commit>,
    by_id: IdMap<Node>,
    parents: Vec<Node>,
}

struct Commit {
    id: RawId,
    place: Place,
    tree: RawId,
    time: i64,
    /// One more than the largest of its parents'; a walk from one commit never needs to look below another's.
    generation: u32,
    parents: std::ops::Range<u32>,
    lacks_parents: bool,
}

impl CommitGraph {
    /// Builds the graph of all commits in these packs.
    pub fn build(objects: &Objects) -> CommitGraph {
        let mut graph = CommitGraph::default();
        let mut parent_ids: Vec<RawId> = Vec::new();
        for (i, pack) in objects.packs().iter().enumerate() {
            for commit in pack.index.commits() {
                let place = Place { pack: i as u32, position: commit.position };
                let id = pack.index.id(commit.position);
                let node = graph.nodes.len() as Node;
                match graph.by_id.entry(id) {
                    std::collections::hash_map::Entry::Occupied(known) => {
                        // Of two copies the served one counts.
                        if objects.is_served(place) {
                            graph.nodes[*known.get() as usize].place = place;
                        }
                        continue;
                    }
                    std::collections::hash_map::Entry::Vacant(slot) => slot.insert(node),
                };
                let from = parent_ids.len() as u32;
                parent_ids.extend_from_slice(&commit.parents);
                graph.nodes.push(Commit {
                    id,
                    place,
                    tree: commit.tree,
                    time: commit.time,
                    generation: 0,
                    parents: from..parent_ids.len() as u32,
                    lacks_parents: false,
                });
            }
        }
        for commit in &mut graph.nodes {
            let from = graph.parents.len() as u32;
            for id in &parent_ids[commit.parents.start as usize..commit.parents.end as usize] {
                match graph.by_id.get(id) {
                    Some(parent) => graph.parents.push(*parent),
                    None => commit.lacks_parents = true,
                }
            }
            commit.parents = from..graph.parents.len() as u32;
        }
        graph.number_generations();
        graph
    }

    fn number_generations(&mut self) {
        let mut stack = Vec::new();
        for start in 0..self.nodes.len() as Node {
            stack.push(start);
            while let Some(node) = stack.last().copied() {
                if self.nodes[node as usize].generation != 0 {
                    stack.pop();
                    continue;
                }
                let range = self.nodes[node as usize].parents.clone();
                let parents = &self.parents[range.start as usize..range.end as usize];
                let mut highest = 0;
                let mut waits = false;
                for parent in parents {
                    let generation = self.nodes[*parent as usize].generation;
                    if generation == 0 {
                        stack.push(*parent);
                        waits = true;
                    }
                    highest = highest.max(generation);
                }
                if !waits {
                    self.nodes[node as usize].generation = highest + 1;
                    stack.pop();
                }
            }
        }
    }

    /// How many commits there are.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is no commit.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The commit of this id.
    pub fn find(&self, id: &RawId) -> Option<Node> {
        self.by_id.get(id).copied()
    }

    /// A commit's id.
    pub fn id(&self, node: Node) -> &RawId {
        &self.nodes[node as usize].id
    }

    /// Where a commit is stored.
    pub fn place(&self, node: Node) -> Place {
        self.nodes[node as usize].place
    }

    /// The id of a commit's tree.
    pub fn tree(&self, node: Node) -> &RawId {
        &self.nodes[node as usize].tree
    }

    /// A commit's committer time in seconds since the Unix epoch.
    pub fn time(&self, node: Node) -> i64 {
        self.nodes[node as usize].time
    }

    /// A commit's stored parents in order.
    pub fn parents(&self, node: Node) -> &[Node] {
        let range = &self.nodes[node as usize].parents;
        &self.parents[range.start as usize..range.end as usize]
    }

    /// Whether a commit names parents that are not stored.
    pub fn lacks_parents(&self, node: Node) -> bool {
        self.nodes[node as usize].lacks_parents
    }

    /// Whether `ancestor` can be reached from `descendant`; a commit is its own ancestor.
    pub fn is_ancestor(&self, ancestor: Node, descendant: Node) -> bool {
        self.reaches_any(descendant, |node| node == ancestor, self.nodes[ancestor as usize].generation)
    }

    /// Whether a commit for which `goal` holds can be reached from `from`, looking no lower than `min_generation`.
    pub fn reaches_any(&self, from: Node, goal: impl Fn(Node) -> bool, min_generation: u32) -> bool {
        let mut seen = NodeSet::new(self);
        let mut stack = vec![from];
        while let Some(node) = stack.pop() {
            if self.nodes[node as usize].generation < min_generation || !seen.insert(node) {
                continue;
            }
            if goal(node) {
                return true;
            }
            stack.extend_from_slice(self.parents(node));
        }
        false
    }

    /// Whether each of `wants` reaches some commit for which `is_common` holds (git's "ok to give up").
    pub fn all_reach(&self, wants: &[Node], is_common: &NodeSet, min_time: i64) -> bool {
        wants.iter().all(|want| {
            let mut seen = NodeSet::new(self);
            let mut stack = vec![*want];
            while let Some(node) = stack.pop() {
                if is_common.contains(node) {
                    return true;
                }
                if !seen.insert(node) || self.time(node) < min_time {
                    continue;
                }
                stack.extend_from_slice(self.parents(node));
            }
            false
        })
    }

    /// Marks everything that `tips` reach.
    pub fn closure(&self, tips: impl IntoIterator<Item = Node>) -> NodeSet {
        let mut seen = NodeSet::new(self);
        let mut stack: Vec<Node> = tips.into_iter().collect();
        while let Some(node) = stack.pop() {
            if seen.insert(node) {
                stack.extend_from_slice(self.parents(node));
            }
        }
        seen
    }

    /// What `tips` reach and `hidden` do not, newest first. The parents of commits for which `tip_edge` holds are not
    /// followed from `tips` (the new boundary of a shallow client), those for which `hidden_edge` holds not from `hidden`
    /// (the boundary that the client has).
    pub fn difference(
        &self,
        tips: &[Node],
        hidden: &[Node],
        tip_edge: &dyn Fn(Node) -> bool,
        hidden_edge: &dyn Fn(Node) -> bool,
    ) -> Vec<Node> {
        const TIP: u8 = 1;
        const HIDDEN: u8 = 2;
        // By generation a parent comes after all its children, so that a mark is whole when its commit is taken.
        let mut heap: BinaryHeap<(u32, i64, Reverse<Node>)> = BinaryHeap::new();
        let mut marks: HashMap<Node, u8> = HashMap::new();
        let mut n_open_tips = 0usize;
        let push =
            |marks: &mut HashMap<Node, u8>, heap: &mut BinaryHeap<_>, n_open: &mut usize, node: Node, mark: u8| {
                let entry = marks.entry(node).or_insert(0);
                if *entry == 0 {
                    heap.push((self.nodes[node as usize].generation, self.time(node), Reverse(node)));
                }
                let was_tip = *entry == TIP;
                *entry |= mark;
                let is_tip = *entry == TIP;
                match (was_tip, is_tip) {
                    (false, true) => *n_open += 1,
                    (true, false) => *n_open -= 1,
                    _ => {}
                }
            };
        for node in hidden {
            push(&mut marks, &mut heap, &mut n_open_tips, *node, HIDDEN);
        }
        for node in tips {
            push(&mut marks, &mut heap, &mut n_open_tips, *node, TIP);
        }
        let mut out = Vec::new();
        // When only hidden commits are left in the heap, nothing below can be new.
        while n_open_tips > 0 {
            let Some((_, _, Reverse(node))) = heap.pop() else { break };
            let mark = marks[&node];
            if mark == TIP {
                n_open_tips -= 1;
                out.push(node);
                // Taken: further marks cannot come, since every child has a higher generation.
                marks.insert(node, TIP | 4);
            }
            let mut passed = mark;
            if tip_edge(node) {
                passed &= !TIP;
            }
            if hidden_edge(node) {
                passed &= !HIDDEN;
            }
            if passed != 0 {
                for parent in self.parents(node) {
                    push(&mut marks, &mut heap, &mut n_open_tips, *parent, passed);
                }
            }
        }
        out
    }
}

/// A set of commits, one bit each.
#[derive(Clone)]
pub struct NodeSet {
    words: Vec<u64>,
}

impl NodeSet {
    /// An empty set for commits of `graph`.
    pub fn new(graph: &CommitGraph) -> NodeSet {
        NodeSet { words: vec![0; graph.len().div_ceil(64)] }
    }

    /// Puts a commit in; says whether it is new.
    pub fn insert(&mut self, node: Node) -> bool {
        let (word, mask) = (&mut self.words[node as usize / 64], 1u64 << (node % 64));
        let is_new = *word & mask == 0;
        *word |= mask;
        is_new
    }

    /// Whether a commit is in.
    pub fn contains(&self, node: Node) -> bool {
        self.words[node as usize / 64] >> (node % 64) & 1 == 1
    }

    /// The commits that are in.
    pub fn iter(&self) -> impl Iterator<Item = Node> + '_ {
        (0..self.words.len() as Node * 64).filter(|node| self.contains(*node))
    }

    /// Keeps only the commits for which `keep` holds.
    pub fn retain(&mut self, keep: impl Fn(Node) -> bool) {
        for node in self.iter().collect::<Vec<_>>() {
            if !keep(node) {
                self.words[node as usize / 64] &= !(1 << (node % 64));
            }
        }
    }

    /// Whether nothing is in.
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }
}
