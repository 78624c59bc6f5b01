//! What a change of a ref brings, before it is made: the commits that the ref gains and the tree it is to be compared with.
//! Objects are looked for in the repository and in what was just received.
//!
//! Nothing here decides; it may read objects and no policy.

use std::collections::{BinaryHeap, HashSet};

use super::commit_graph::Node;
use super::merge::merge_bases;
use super::object::ObjectKind;
use super::objects::{Objects, Served};
use super::pack::oid_hash::{RawId, raw};
use super::receive::Quarantine;
use super::snapshot::Snapshot;
use crate::names::ObjectId;

/// A state of a repository together with a pack in quarantine.
pub struct Proposed<'a> {
    snapshot: &'a Snapshot,
    quarantine: Option<&'a Quarantine>,
    objects: Objects,
}

/// The commits that a ref gains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gained {
    /// How many.
    pub n_commits: u64,
    /// Which, none before the others in any order that means something; absent if there are more than were asked for.
    pub commits: Option<Vec<RawId>>,
}

impl<'a> Proposed<'a> {
    /// A state, and what was received on top of it.
    pub fn new(snapshot: &'a Snapshot, quarantine: Option<&'a Quarantine>) -> Proposed<'a> {
        let stored = snapshot.objects.packs().iter().enumerate();
        let mut packs: Vec<_> = stored.map(|(i, pack)| (pack.clone(), snapshot.objects.served(i).clone())).collect();
        packs.extend(quarantine.map(|quarantine| (quarantine.pack.clone(), Served::All)));
        Proposed { snapshot, quarantine, objects: Objects::new(packs) }
    }

    /// The objects of both.
    pub fn objects(&self) -> &Objects {
        &self.objects
    }

    /// The tree that an object stands for, tags followed before: a commit's, or the object itself. Nothing for a blob.
    pub fn tree_of(&self, id: &ObjectId) -> Option<RawId> {
        if let Some((tree, _, _)) = self.commit(&raw(id)) {
            return Some(tree);
        }
        let place = self.objects.find_stored(&raw(id))?;
        (self.objects.kind(place) == ObjectKind::Tree).then(|| raw(id))
    }

    /// A commit's tree, its parents and its time.
    fn commit(&self, id: &RawId) -> Option<(RawId, Vec<RawId>, i64)> {
        let graph = self.snapshot.graph();
        if let Some(node) = graph.find(id) {
            let parents = graph.parents(node).iter().map(|parent| *graph.id(*parent)).collect();
            return Some((*graph.tree(node), parents, graph.time(node)));
        }
        let commit = self.quarantine?.commits.get(id)?;
        Some((commit.tree, commit.parents.clone(), commit.time))
    }

    /// The newest commit in the history of `tip` for which `is_base` holds, and its tree.
    fn nearest(&self, tip: &ObjectId, is_base: impl Fn(&RawId) -> bool) -> Option<(RawId, RawId)> {
        let mut heap: BinaryHeap<(i64, RawId)> = BinaryHeap::new();
        let mut seen: HashSet<RawId> = HashSet::new();
        let push = |heap: &mut BinaryHeap<_>, seen: &mut HashSet<RawId>, id: RawId| {
            if seen.insert(id)
                && let Some((_, _, time)) = self.commit(&id)
            {
                heap.push((time, id));
            }
        };
        push(&mut heap, &mut seen, raw(tip));
        while let Some((_, id)) = heap.pop() {
            let (tree, parents, _) = self.commit(&id)?;
            if is_base(&id) {
                return Some((id, tree));
            }
            parents.into_iter().for_each(|parent| push(&mut heap, &mut seen, parent));
        }
        None
    }

    /// The tree of the newest commit in the history of `tip` that some ref reaches already. Merges that the server keeps do not count:
    /// nobody has been asked whether he may write what they make of two sides (attack checklist D1).
    pub fn nearest_served(&self, tip: &ObjectId) -> Option<RawId> {
        let of_server = self.merges_of_the_server();
        self.nearest(tip, |id| self.snapshot.objects.find(id).is_some() && !of_server.contains(id))
            .map(|(_, tree)| tree)
    }

    /// Merges that the server keeps and no branch or tag has come to reach.
    fn merges_of_the_server(&self) -> HashSet<RawId> {
        let refs = &self.snapshot.refs;
        let mut merges: HashSet<RawId> =
            refs.below(b"refs/lockgate/merges/").map(|(_, value)| raw(&value.id)).collect();
        if !merges.is_empty() {
            let of_people = refs.below(b"refs/heads/").chain(refs.below(b"refs/tags/"));
            let graph = self.snapshot.graph();
            let reached = graph.closure(of_people.filter_map(|(_, value)| self.snapshot.commit(&value.id)));
            merges.retain(|id| !graph.find(id).is_some_and(|node| reached.contains(node)));
        }
        merges
    }

    /// The tree of the newest commit in the history of `tip` that is in the history of `other`, too.
    pub fn nearest_shared(&self, tip: &ObjectId, other: &ObjectId) -> Option<RawId> {
        let graph = self.snapshot.graph();
        let history = graph.closure([self.snapshot.commit(other)?]);
        self.nearest(tip, |id| graph.find(id).is_some_and(|node| history.contains(node))).map(|(_, tree)| tree)
    }

    /// The best merge base of `tip`, which may be new, and `other`, which is stored.
    pub fn merge_base(&self, tip: &ObjectId, other: &ObjectId) -> Option<ObjectId> {
        let other = self.snapshot.commit(other)?;
        let graph = self.snapshot.graph();
        // What both have is stored: what is new of the tip leads down to it.
        let bases = merge_bases(graph, &[other], &self.new_commits(tip).1);
        bases.first().map(|node| ObjectId::from(*graph.id(*node)))
    }

    /// The commits in the history of `tip` that are new, and the stored ones that they build on; a stored one itself.
    fn new_commits(&self, tip: &ObjectId) -> (Vec<RawId>, Vec<Node>) {
        let graph = self.snapshot.graph();
        let (mut commits, mut stored) = (Vec::new(), Vec::new());
        let (mut seen, mut stack) = (HashSet::new(), vec![raw(tip)]);
        // What is new hangs together: below a stored commit there is none that is not.
        while let Some(id) = stack.pop() {
            if !seen.insert(id) {
                continue;
            }
            match graph.find(&id) {
                Some(node) => stored.push(node),
                None => {
                    if let Some((_, parents, _)) = self.commit(&id) {
                        commits.push(id);
                        stack.extend(parents);
                    }
                }
            }
        }
        (commits, stored)
    }

    /// Whether `new`, which may be new, has `old` in its history.
    pub fn descends(&self, new: &ObjectId, old: &ObjectId) -> bool {
        let graph = self.snapshot.graph();
        let old_node = graph.find(&raw(old));
        let mut seen = HashSet::new();
        let mut stack = vec![raw(new)];
        while let Some(id) = stack.pop() {
            if id == raw(old) {
                return true;
            }
            if !seen.insert(id) {
                continue;
            }
            match graph.find(&id) {
                Some(node) => {
                    if old_node.is_some_and(|old| graph.is_ancestor(old, node)) {
                        return true;
                    }
                }
                None => {
                    if let Some((_, parents, _)) = self.commit(&id) {
                        stack.extend(parents);
                    }
                }
            }
        }
        false
    }

    /// The commits in the history of `tip` and not in that of `old`; which they are, if they are no more than `limit`.
    pub fn gained(&self, tip: &ObjectId, old: Option<&ObjectId>, limit: usize) -> Gained {
        let graph = self.snapshot.graph();
        let (mut commits, stored) = self.new_commits(tip);
        let hidden: Vec<Node> = old.and_then(|old| self.snapshot.commit(old)).into_iter().collect();
        let below = graph.difference(&stored, &hidden, &|_| false, &|_| false);
        let n_commits = (commits.len() + below.len()) as u64;
        if n_commits > limit as u64 {
            return Gained { n_commits, commits: None };
        }
        commits.extend(below.iter().map(|node| *graph.id(*node)));
        Gained { n_commits, commits: Some(commits) }
    }
}
