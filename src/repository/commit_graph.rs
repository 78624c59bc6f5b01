//! The commits of a repository as a graph in memory: parents, trees, times, generation numbers. Built from the packs'
//! indexes, so that history is walked without inflating a commit.
//!
//! Negotiation, shallow boundaries, merge bases and "is this a fast-forward" are questions to this graph. Commits are
//! numbered by `Node`; a parent that is not stored (a shallow edge) is left out of `parents` and noted.
//!
//! A commit does not change, so a graph grows: a push adds its commits to a small part beside the large one that the graphs of
//! all snapshots share, and now and then the two become one.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};
use std::sync::Arc;

use super::objects::Objects;
use super::pack::oid_hash::{IdMap, IdSet, RawId};
use crate::store::file::FileId;

/// A commit of a [`CommitGraph`].
pub type Node = u32;

/// All stored commits.
#[derive(Clone, Default)]
pub struct CommitGraph {
    /// The first ones.
    base: Arc<Part>,
    /// Those after; few.
    recent: Part,
    /// The packs whose commits are in it.
    covered: HashSet<FileId>,
    /// Parents that are named and not stored.
    absent: IdSet,
}

/// Commits with consecutive numbers.
#[derive(Clone, Default)]
struct Part {
    first: Node,
    commits: Vec<Commit>,
    by_id: IdMap<Node>,
    parents: Vec<Node>,
}

#[derive(Clone)]
struct Commit {
    id: RawId,
    tree: RawId,
    time: i64,
    /// One more than the largest of its parents'; a walk from one commit never needs to look below another's.
    generation: u32,
    parents: std::ops::Range<u32>,
    lacks_parents: bool,
}

/// With so many commits beside it, and an eighth of its own, the large part takes them in.
const MIN_TAKEN_IN: usize = 1024;

impl CommitGraph {
    /// The graph of all commits in these packs, whose files are `ids`, in the same order. What `before` knows is taken from
    /// there.
    pub fn build(objects: &Objects, ids: &[FileId], before: Option<&CommitGraph>) -> CommitGraph {
        let mut graph = before.cloned().unwrap_or_default();
        if graph.add(objects, ids).is_none() {
            // A parent has come that was absent: generations above it change.
            graph = CommitGraph::default();
            graph.add(objects, ids);
        }
        graph
    }

    /// Adds the commits of the packs that are not covered; nothing comes of it if one of them is a parent that was absent.
    fn add(&mut self, objects: &Objects, ids: &[FileId]) -> Option<()> {
        let from = self.recent.commits.len();
        let mut parent_ids: Vec<RawId> = Vec::new();
        let mut parent_ranges = Vec::new();
        for (pack, _) in objects.packs().iter().zip(ids).filter(|(_, id)| !self.covered.contains(*id)) {
            for commit in pack.index.commits() {
                let id = pack.index.id(commit.position);
                if self.find(&id).is_some() {
                    continue;
                }
                if self.absent.contains(&id) {
                    return None;
                }
                let node = self.len() as Node;
                self.recent.by_id.insert(id, node);
                let first_parent = parent_ids.len();
                parent_ids.extend_from_slice(&commit.parents);
                parent_ranges.push(first_parent..parent_ids.len());
                self.recent.commits.push(Commit {
                    id,
                    tree: commit.tree,
                    time: commit.time,
                    generation: 0,
                    parents: 0..0,
                    lacks_parents: false,
                });
            }
        }
        for (at, range) in (from..).zip(parent_ranges) {
            let begins = self.recent.parents.len() as u32;
            let mut lacks_parents = false;
            for id in &parent_ids[range] {
                match self.find(id) {
                    Some(parent) => self.recent.parents.push(parent),
                    None => {
                        lacks_parents = true;
                        self.absent.insert(*id);
                    }
                }
            }
            let commit = &mut self.recent.commits[at];
            commit.parents = begins..self.recent.parents.len() as u32;
            commit.lacks_parents = lacks_parents;
        }
        self.number_generations(from);
        self.covered = ids.iter().copied().collect();
        if self.recent.commits.len() >= MIN_TAKEN_IN.max(self.base.commits.len() / 8) {
            self.take_in();
        }
        Some(())
    }

    /// Numbers the recent commits from the one at `from` on.
    fn number_generations(&mut self, from: usize) {
        let mut stack = Vec::new();
        for start in from..self.recent.commits.len() {
            stack.push(self.recent.first + start as Node);
            while let Some(node) = stack.last().copied() {
                if self.commit(node).generation != 0 {
                    stack.pop();
                    continue;
                }
                let mut highest = 0;
                let before = stack.len();
                for parent in self.parents(node) {
                    let generation = self.commit(*parent).generation;
                    if generation == 0 {
                        stack.push(*parent);
                    }
                    highest = highest.max(generation);
                }
                if stack.len() == before {
                    self.recent.commits[(node - self.recent.first) as usize].generation = highest + 1;
                    stack.pop();
                }
            }
        }
    }

    /// Makes the two parts one.
    fn take_in(&mut self) {
        let base = Arc::make_mut(&mut self.base);
        let recent = std::mem::take(&mut self.recent);
        let shift = base.parents.len() as u32;
        base.parents.extend(recent.parents);
        base.by_id.extend(recent.by_id);
        base.commits.extend(recent.commits.into_iter().map(|mut commit| {
            commit.parents = commit.parents.start + shift..commit.parents.end + shift;
            commit
        }));
        self.recent.first = base.commits.len() as Node;
    }

    #[inline]
    fn part(&self, node: Node) -> &Part {
        if node < self.recent.first { &self.base } else { &self.recent }
    }

    #[inline]
    fn commit(&self, node: Node) -> &Commit {
        let part = self.part(node);
        &part.commits[(node - part.first) as usize]
    }

    /// How many commits there are.
    pub fn len(&self) -> usize {
        self.base.commits.len() + self.recent.commits.len()
    }

    /// Whether there is no commit.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The commit of this id.
    pub fn find(&self, id: &RawId) -> Option<Node> {
        self.base.by_id.get(id).or_else(|| self.recent.by_id.get(id)).copied()
    }

    /// A commit's id.
    pub fn id(&self, node: Node) -> &RawId {
        &self.commit(node).id
    }

    /// The id of a commit's tree.
    pub fn tree(&self, node: Node) -> &RawId {
        &self.commit(node).tree
    }

    /// A commit's committer time in seconds since the Unix epoch.
    pub fn time(&self, node: Node) -> i64 {
        self.commit(node).time
    }

    /// A commit's stored parents in order.
    pub fn parents(&self, node: Node) -> &[Node] {
        let part = self.part(node);
        let range = &part.commits[(node - part.first) as usize].parents;
        &part.parents[range.start as usize..range.end as usize]
    }

    /// Whether a commit names parents that are not stored.
    pub fn lacks_parents(&self, node: Node) -> bool {
        self.commit(node).lacks_parents
    }

    /// Whether `ancestor` can be reached from `descendant`; a commit is its own ancestor.
    pub fn is_ancestor(&self, ancestor: Node, descendant: Node) -> bool {
        self.reaches_any(descendant, |node| node == ancestor, self.commit(ancestor).generation)
    }

    /// Whether a commit for which `goal` holds can be reached from `from`, looking no lower than `min_generation`.
    pub fn reaches_any(&self, from: Node, goal: impl Fn(Node) -> bool, min_generation: u32) -> bool {
        let mut seen = NodeSet::new(self);
        let mut stack = vec![from];
        while let Some(node) = stack.pop() {
            if self.commit(node).generation < min_generation || !seen.insert(node) {
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
                    heap.push((self.commit(node).generation, self.time(node), Reverse(node)));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::object::ObjectKind;
    use crate::repository::objects::Served;
    use crate::repository::pack::index::{CommitEntry, IndexEntry, PackIndex, Storage, build};
    use crate::repository::pack::read::{Pack, PackBytes};

    fn id(n: u16) -> RawId {
        let mut id = [9; 20];
        id[..2].copy_from_slice(&n.to_be_bytes());
        id
    }

    /// A pack of nothing but commits, by number, with their parents'.
    fn pack(commits: &[(u16, Vec<u16>)]) -> Arc<Pack> {
        let mut entries: Vec<(RawId, Vec<RawId>)> =
            commits.iter().map(|(n, parents)| (id(*n), parents.iter().map(|n| id(*n)).collect())).collect();
        entries.sort();
        let index: Vec<IndexEntry> = (0..)
            .zip(&entries)
            .map(|(i, (id, _))| IndexEntry {
                id: *id,
                offset: i * 10,
                kind: ObjectKind::Commit,
                size: 1,
                storage: Storage::Whole,
            })
            .collect();
        let commits: Vec<CommitEntry> = (0..)
            .zip(entries)
            .map(|(position, (id, parents))| CommitEntry { position, time: 0, tree: id, parents })
            .collect();
        let bytes = build(&index, index.len() as u64 * 10, &[], &commits);
        Arc::new(Pack { index: PackIndex::parse(bytes).unwrap(), bytes: PackBytes::Memory(Arc::from(&[][..])) })
    }

    #[test]
    fn a_graph_that_grew_is_the_one_built_at_once() {
        let mut seed = 3u32;
        let mut dice = |sides: u32| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 16) % sides
        };
        let mut packs: Vec<(Arc<Pack>, Served)> = Vec::new();
        let mut ids: Vec<FileId> = Vec::new();
        let mut grown = CommitGraph::default();
        let mut next = 0u16;
        for round in 0..40u8 {
            let n = 1 + dice(120) as u16;
            let commits: Vec<(u16, Vec<u16>)> = (next..next + n)
                .map(|i| (i, (0..dice(3)).filter(|_| i > 0).map(|_| dice(u32::from(i)) as u16).collect()))
                .collect();
            next += n;
            packs.push((pack(&commits), Served::All));
            ids.push([round; 16]);
            grown = CommitGraph::build(&Objects::new(packs.clone()), &ids, Some(&grown));
            if dice(6) == 0 {
                // Joined: other packs, the same commits.
                let all: Vec<(u16, Vec<u16>)> = (0..next)
                    .map(|i| {
                        let node = grown.find(&id(i)).unwrap();
                        let parents = grown.parents(node).iter().map(|parent| grown.id(*parent));
                        (i, parents.map(|id| u16::from_be_bytes([id[0], id[1]])).collect())
                    })
                    .collect();
                packs = vec![(pack(&all), Served::All)];
                ids = vec![[100 + round; 16]];
                grown = CommitGraph::build(&Objects::new(packs.clone()), &ids, Some(&grown));
            }
            let at_once = CommitGraph::build(&Objects::new(packs.clone()), &ids, None);
            assert_eq!(grown.len(), usize::from(next));
            for i in 0..next {
                let (a, b) = (grown.find(&id(i)).unwrap(), at_once.find(&id(i)).unwrap());
                assert_eq!(grown.commit(a).generation, at_once.commit(b).generation, "{i}");
                let parents = |graph: &CommitGraph, node| -> Vec<RawId> {
                    graph.parents(node).iter().map(|parent| *graph.id(*parent)).collect()
                };
                assert_eq!(parents(&grown, a), parents(&at_once, b));
                assert!(!grown.lacks_parents(a));
            }
        }
        assert!(!grown.base.commits.is_empty() && next > 2000);
    }

    #[test]
    fn a_parent_that_comes_late_is_found() {
        let child = (pack(&[(2, vec![1]), (3, vec![2])]), Served::All);
        let shallow = CommitGraph::build(&Objects::new(vec![child.clone()]), &[[1; 16]], None);
        assert!(shallow.lacks_parents(shallow.find(&id(2)).unwrap()));
        let parent = (pack(&[(1, vec![])]), Served::All);
        let whole = CommitGraph::build(&Objects::new(vec![child, parent]), &[[1; 16], [2; 16]], Some(&shallow));
        let (first, last) = (whole.find(&id(1)).unwrap(), whole.find(&id(3)).unwrap());
        assert!(whole.is_ancestor(first, last));
        assert_eq!((whole.commit(first).generation, whole.commit(last).generation), (1, 3));
        assert!(!whole.lacks_parents(whole.find(&id(2)).unwrap()));
    }
}
