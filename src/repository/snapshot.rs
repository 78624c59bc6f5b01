//! A repository at one generation: refs, packs, what is served. Immutable; a transfer holds one from its beginning to its end.

use std::sync::{Arc, OnceLock};

use super::commit_graph::{CommitGraph, Node};
use super::log::PackManifest;
use super::object::{ObjectKind, TagView};
use super::objects::{Objects, PlaceSet, Served};
use super::pack::index::Storage;
use super::pack::oid_hash::{RawId, raw};
use super::pack::read::Place;
use super::refs::Refs;
use crate::names::ObjectId;
use crate::store::file::FileId;

/// One of so many commits may be sent though nobody has asked for it.
const MOST_UNASKED: usize = 8;

/// A repository as it stood after one log entry.
pub struct Snapshot {
    /// The generation of the entry; 0 before the first.
    pub generation: i64,
    /// Hash of the sealed entry, which the next one names.
    pub last_hash: [u8; 32],
    /// The refs.
    pub refs: Refs,
    /// The packs, in the order of `manifests`.
    pub objects: Objects,
    /// What the log says of the packs.
    pub manifests: Vec<PackManifest>,
    /// Whether the served set is exactly what refs reach. It is not after a ref was deleted or rewound: what only that
    /// ref may have reached is left out until a walk has looked.
    pub is_exact: bool,
    graph: OnceLock<Arc<CommitGraph>>,
    /// The graph of an earlier state.
    earlier_graph: Option<Arc<CommitGraph>>,
}

impl Snapshot {
    /// Puts a snapshot together.
    pub fn new(
        generation: i64,
        last_hash: [u8; 32],
        refs: Refs,
        objects: Objects,
        manifests: Vec<PackManifest>,
        is_exact: bool,
    ) -> Snapshot {
        Snapshot {
            generation,
            last_hash,
            refs,
            objects,
            manifests,
            is_exact,
            graph: OnceLock::new(),
            earlier_graph: None,
        }
    }

    /// The same, with what is known of the commits of the state before.
    pub fn after(mut self, before: &Snapshot) -> Snapshot {
        self.earlier_graph = before.graph.get().or(before.earlier_graph.as_ref()).cloned();
        self
    }

    /// The commits, if somebody has asked for them.
    pub fn graph_if_built(&self) -> Option<&CommitGraph> {
        self.graph.get().map(|graph| &**graph)
    }

    /// The commits, built at the first question.
    pub fn graph(&self) -> &CommitGraph {
        self.graph.get_or_init(|| {
            let ids: Vec<FileId> = self.manifests.iter().map(|manifest| manifest.pack.id).collect();
            Arc::new(CommitGraph::build(&self.objects, &ids, self.earlier_graph.as_deref()))
        })
    }

    /// The commit that an id leads to, through tags; nothing for other objects and for what is not served.
    pub fn commit(&self, id: &ObjectId) -> Option<Node> {
        let place = self.peel(*id)?;
        self.graph().find(&self.objects.id(place))
    }

    /// Follows tags from a served object to what is none.
    pub fn peel(&self, id: ObjectId) -> Option<Place> {
        let mut place = self.objects.find(&raw(&id))?;
        if self.objects.kind(place) == ObjectKind::Tag {
            let mut reader = self.objects.reader(1 << 16);
            while self.objects.kind(place) == ObjectKind::Tag {
                let data = reader.read(place).ok()?;
                place = self.objects.find(&raw(&TagView::parse(&data).ok()?.target()))?;
            }
        }
        Some(place)
    }

    /// Every object that is served.
    pub fn all_served(&self) -> PlaceSet {
        let mut all = self.objects.place_set();
        for (i, pack) in self.objects.packs().iter().enumerate() {
            let pack_number = i as u32;
            match self.objects.served(i) {
                Served::All => {
                    for position in 0..pack.index.len() {
                        all.insert(Place { pack: pack_number, position });
                    }
                }
                Served::Some(positions) => {
                    for position in positions.iter() {
                        all.insert(Place { pack: pack_number, position });
                    }
                }
            }
        }
        all
    }

    /// Whether everything that is served may be sent to whoever wants this: each branch and tag is among the wants, and what other refs
    /// reach besides (pull requests, notes), which a clone does not ask for and its reader may read, is little. To select is more work
    /// than to send a little more.
    pub fn wants_everything(&self, wants: &[ObjectId]) -> bool {
        if !self.is_exact || self.refs.is_empty() {
            return false;
        }
        let wanted: std::collections::HashSet<&ObjectId> = wants.iter().collect();
        let mut others = Vec::new();
        for (name, value) in self.refs.iter().filter(|(_, value)| !wanted.contains(&value.id)) {
            let is_cloned =
                [&b"refs/heads/"[..], b"refs/tags/"].iter().any(|prefix| name.as_bytes().starts_with(prefix));
            if is_cloned {
                return false;
            }
            match self.commit(&value.id) {
                Some(node) => others.push(node),
                None => return false,
            }
        }
        if others.is_empty() {
            return true;
        }
        let graph = self.graph();
        let tips: Vec<Node> = wants.iter().filter_map(|id| self.commit(id)).collect();
        graph.difference(&others, &tips, &|_| false, &|_| false).len() <= graph.len() / MOST_UNASKED
    }

    /// The pack that can be sent as it is stored when everything is wanted: the only one, served whole, every object
    /// once, with the checksum that ends it.
    pub fn whole_pack(&self) -> Option<(usize, [u8; 20])> {
        match &self.manifests[..] {
            [only] if !only.has_duplicates && self.objects.served(0) == &Served::All => {
                only.trailer.map(|trailer| (0, trailer))
            }
            _ => None,
        }
    }

    /// How many objects of a pack are stored as deltas.
    pub fn n_deltas(&self, pack: usize) -> u32 {
        let index = &self.objects.packs()[pack].index;
        (0..index.len()).filter(|position| matches!(index.storage(*position), Storage::Delta(_))).count() as u32
    }

    /// The id at a place, as one.
    pub fn id(&self, place: Place) -> ObjectId {
        let raw: RawId = self.objects.id(place);
        ObjectId::from(raw)
    }
}
