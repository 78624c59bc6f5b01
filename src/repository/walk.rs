//! Which objects a fetch sends: what the wants reach and the client does not have.
//!
//! Commits come from the commit graph. For each of them its tree is compared with its parents' trees, all at once: an
//! entry that some parent has at the same place is sent with that parent or known to the client. So the cost is that of
//! what changed, and unchanged folders are never opened; they are told apart by their ids alone.
//!
//! `tree:depth` filters need an entry's depth, so they walk whole trees instead.

use std::io;
use std::sync::Arc;

use super::commit_graph::{CommitGraph, Node};
use super::object::{EntryKind, ObjectKind, TagView, TreeIter};
use super::objects::{Objects, PlaceSet};
use super::pack::oid_hash::{IdMap, RawId, raw};
use super::pack::read::{ObjectReader, Place};
use super::tree_diff::new_entries;

/// What of the reached objects is left out (partial clone). Objects that are wanted by id are sent all the same.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObjectFilter {
    /// Blobs of this size in bytes and larger are left out; 0 leaves out all.
    pub blob_limit: Option<u64>,
    /// Trees and blobs at this depth and deeper are left out; the root tree has depth 0.
    pub tree_depth: Option<u64>,
    /// Only objects of this kind are sent.
    pub only: Option<ObjectKind>,
    /// Nothing is sent: two kinds were asked for at once.
    pub nothing: bool,
}

impl ObjectFilter {
    fn keeps_blob(&self, size: u32) -> bool {
        self.blob_limit.is_none_or(|limit| u64::from(size) < limit)
    }

    /// Whether nothing is left out.
    pub fn is_empty(&self) -> bool {
        *self == ObjectFilter::default()
    }
}

/// What a walk starts from.
pub struct Start<'a> {
    /// Wanted objects: commits, tags, trees or blobs.
    pub wants: &'a [Place],
    /// Commits that the client has, with all that they reach.
    pub haves: &'a [Node],
    /// Commits where the client's history will end: their parents are not sent.
    pub new_edges: &'a dyn Fn(Node) -> bool,
    /// Commits where the client's history ends now: it lacks their parents.
    pub old_edges: &'a dyn Fn(Node) -> bool,
    /// What is left out.
    pub filter: &'a ObjectFilter,
}

/// An object that the walk needs is not stored: the repository is damaged.
fn missing(id: &RawId) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("object {} is missing", crate::names::ObjectId::from(*id)))
}

/// What a walk found.
pub struct Selection {
    /// The objects to send.
    pub places: PlaceSet,
    /// Objects that the client will have and that changed into some that are sent: the bases of a thin pack.
    pub known: PlaceSet,
}

/// Memory for trees that a walk remembers.
const WALK_CACHE_BYTES: u64 = 64 << 20;

/// Selects the objects to send. `progress` is told how many have been found so far.
pub fn select(
    objects: &Objects,
    graph: &CommitGraph,
    start: &Start<'_>,
    progress: &mut dyn FnMut(usize) -> io::Result<()>,
) -> io::Result<Selection> {
    let mut walk = Walk {
        objects,
        reader: objects.reader(WALK_CACHE_BYTES),
        selected: objects.place_set(),
        known: objects.place_set(),
        opened: objects.place_set(),
        filter: start.filter,
        n_selected: 0,
        depths: IdMap::default(),
    };
    let mut tips = Vec::new();
    let mut explicit = objects.place_set();
    for want in start.wants {
        explicit.insert(*want);
        let mut place = *want;
        // A tag is sent, then what it names, through chains of tags.
        while objects.kind(place) == ObjectKind::Tag {
            walk.add(place);
            let data = walk.reader.read(place)?;
            let target = TagView::parse(&data).map_err(io::Error::other)?.target();
            place = objects.find_stored(&raw(&target)).ok_or_else(|| missing(&raw(&target)))?;
        }
        match objects.kind(place) {
            ObjectKind::Commit => {
                let id = objects.id(place);
                tips.push(graph.find(&id).ok_or_else(|| missing(&id))?);
            }
            ObjectKind::Tree => {
                walk.whole_tree(place, 0)?;
            }
            ObjectKind::Blob | ObjectKind::Tag => walk.add(place),
        }
    }
    let commits = graph.difference(&tips, start.haves, start.new_edges, start.old_edges);
    let wants_trees = start.filter.only.is_none_or(|kind| kind != ObjectKind::Commit && kind != ObjectKind::Tag)
        && start.filter.tree_depth != Some(0);
    // Parents before children: what a parent has at the same place is then known to be complete. The other way round two
    // trees that follow each other in turns, as a change and its revert do, would each rely on the other.
    for (i, node) in commits.iter().rev().enumerate() {
        let id = graph.id(*node);
        walk.add(objects.find_stored(id).ok_or_else(|| missing(id))?);
        if wants_trees {
            let tree = graph.tree(*node);
            let parents: Vec<&RawId> = if (start.new_edges)(*node) {
                Vec::new()
            } else {
                graph.parents(*node).iter().map(|parent| graph.tree(*parent)).collect()
            };
            if start.filter.tree_depth.is_some() {
                let place = objects.find_stored(tree).ok_or_else(|| missing(tree))?;
                walk.whole_tree(place, 0)?;
            } else if !parents.contains(&tree) {
                let place = objects.find_stored(tree).ok_or_else(|| missing(tree))?;
                let parents = parents.iter().filter_map(|id| objects.find_stored(id)).collect::<Vec<_>>();
                for parent in &parents {
                    walk.known.insert(*parent);
                }
                walk.changed_tree(&parents, place)?;
            }
        }
        if i % 1024 == 0 {
            progress(walk.n_selected)?;
        }
    }
    let mut selected = walk.selected;
    if start.filter.nothing {
        selected = objects.place_set();
    } else if let Some(only) = start.filter.only {
        let mut kept = objects.place_set();
        for place in selected.iter().filter(|place| objects.kind(*place) == only || explicit.contains(*place)) {
            kept.insert(place);
        }
        selected = kept;
    }
    for place in explicit.iter() {
        selected.insert(place);
    }
    progress(walk.n_selected)?;
    Ok(Selection { places: selected, known: walk.known })
}

struct Walk<'a> {
    objects: &'a Objects,
    reader: ObjectReader<'a>,
    selected: PlaceSet,
    known: PlaceSet,
    /// Trees whose entries have been looked at.
    opened: PlaceSet,
    filter: &'a ObjectFilter,
    n_selected: usize,
    /// With a depth filter: the smallest depth at which a tree was opened.
    depths: IdMap<u64>,
}

impl Walk<'_> {
    fn add(&mut self, place: Place) {
        if self.selected.insert(place) {
            self.n_selected += 1;
        }
    }

    fn add_blob(&mut self, id: &RawId) -> io::Result<()> {
        if self.filter.blob_limit == Some(0) || self.filter.only.is_some_and(|kind| kind != ObjectKind::Blob) {
            return Ok(());
        }
        let place = self.objects.find_stored(id).ok_or_else(|| missing(id))?;
        if self.filter.keeps_blob(self.objects.size(place)) {
            self.add(place);
        }
        Ok(())
    }

    /// Adds a tree and everything below it.
    fn whole_tree(&mut self, place: Place, depth: u64) -> io::Result<()> {
        let mut stack = vec![(place, depth)];
        while let Some((place, depth)) = stack.pop() {
            let limit = self.filter.tree_depth;
            if limit.is_some_and(|limit| depth >= limit) {
                continue;
            }
            let is_new = self.opened.insert(place);
            if limit.is_some() {
                let known = self.depths.entry(self.objects.id(place)).or_insert(u64::MAX);
                if *known <= depth {
                    continue;
                }
                *known = depth;
            } else if !is_new {
                continue;
            }
            self.add(place);
            let data = self.reader.read(place)?;
            for entry in TreeIter::new(&data) {
                let entry = entry.map_err(io::Error::other)?;
                let id = raw(entry.oid);
                match entry.kind() {
                    EntryKind::Tree => {
                        let child = self.objects.find_stored(&id).ok_or_else(|| missing(&id))?;
                        stack.push((child, depth + 1));
                    }
                    EntryKind::File | EntryKind::Link => {
                        if limit.is_none_or(|limit| depth + 1 < limit) {
                            self.add_blob(&id)?;
                        }
                    }
                    EntryKind::Submodule => {}
                }
            }
        }
        Ok(())
    }

    /// Adds a tree, and what lies below it that no parent has at the same place.
    fn changed_tree(&mut self, parents: &[Place], place: Place) -> io::Result<()> {
        let mut stack: Vec<(Vec<Place>, Place)> = vec![(parents.to_vec(), place)];
        while let Some((parents, place)) = stack.pop() {
            if !self.opened.insert(place) {
                continue;
            }
            self.add(place);
            if parents.is_empty() {
                // Opened by this walk already; look at its entries one level at a time below.
                self.opened_whole(place, &mut stack)?;
                continue;
            }
            let data = self.reader.read(place)?;
            let mut others = Vec::with_capacity(parents.len());
            for parent in &parents {
                others.push(self.reader.read(*parent)?);
            }
            let sides: Vec<&[u8]> = others.iter().map(|other| &**other).collect();
            let mut found: Vec<(EntryKind, RawId, Vec<RawId>)> = Vec::new();
            new_entries(&sides, &data, |entry, same_name| {
                if entry.kind() != EntryKind::Submodule {
                    let theirs = same_name.iter().flatten().map(|id| raw(id)).collect();
                    found.push((entry.kind(), raw(entry.oid), theirs));
                }
            })
            .map_err(io::Error::other)?;
            for (kind, id, theirs) in found {
                let theirs: Vec<Place> = theirs.iter().filter_map(|id| self.objects.find_stored(id)).collect();
                for place in &theirs {
                    self.known.insert(*place);
                }
                if kind == EntryKind::Tree {
                    stack.push((theirs, self.objects.find_stored(&id).ok_or_else(|| missing(&id))?));
                } else {
                    self.add_blob(&id)?;
                }
            }
        }
        Ok(())
    }

    fn opened_whole(&mut self, place: Place, stack: &mut Vec<(Vec<Place>, Place)>) -> io::Result<()> {
        let data: Arc<[u8]> = self.reader.read(place)?;
        for entry in TreeIter::new(&data) {
            let entry = entry.map_err(io::Error::other)?;
            let id = raw(entry.oid);
            match entry.kind() {
                EntryKind::Tree => {
                    stack.push((Vec::new(), self.objects.find_stored(&id).ok_or_else(|| missing(&id))?));
                }
                EntryKind::File | EntryKind::Link => self.add_blob(&id)?,
                EntryKind::Submodule => {}
            }
        }
        Ok(())
    }
}
