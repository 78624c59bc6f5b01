//! What is looked at in each object that comes in, while its bytes are at hand: Git's rules for objects, and what it names.
//!
//! One inspection belongs to one thread; they are joined at the end. The names are looked up once, when all ids of the
//! pack are known: a pack whose every link ends in itself or in a served object is connected, and no walk is needed.

use std::io;

use super::fsck::{Asked, Fsck, MessageId};
use super::object::{ObjectKind, for_each_link};
use super::pack::index::IndexEntry;
use super::pack::ingest::{IngestError, ServedObjects};
use super::pack::oid_hash::{IdMap, RawId, raw};
use crate::names::ObjectId;

/// What was learned of the objects of a pack.
#[derive(Default)]
pub struct Inspection {
    /// Ids that are named, each with the kinds that it is named as, one bit a kind.
    links: IdMap<u8>,
    fsck: Fsck,
}

/// How a pack hangs together, by its links.
pub struct Connectivity {
    /// Positions of objects that no other object of the pack names.
    pub roots: Vec<u32>,
    /// Whether every link ends within the pack.
    pub is_closed: bool,
    /// Links that end outside the pack, with the kind that is wanted.
    pub external: Vec<(RawId, ObjectKind)>,
    /// Links that end neither in the pack nor in a served object, with the kind that is wanted.
    pub missing: Vec<(ObjectId, ObjectKind)>,
    /// Whether the pack holds some object twice.
    pub has_duplicates: bool,
}

impl Inspection {
    /// An inspection that lets pass what old history is known for.
    pub fn tolerating(tolerated: &'static [MessageId]) -> Inspection {
        Inspection { links: IdMap::default(), fsck: Fsck::tolerating(tolerated) }
    }

    /// Looks at one object; an error is a sentence for the pusher that names the object and the rule.
    pub fn object(&mut self, id: &RawId, kind: ObjectKind, data: &[u8]) -> Result<(), String> {
        self.fsck.check_object(&ObjectId::from(*id), kind, data);
        if let Some(finding) = self.fsck.report().first_error() {
            return Err(finding.to_string());
        }
        let links = &mut self.links;
        for_each_link(kind, data, |link, target| {
            *links.entry(raw(target)).or_default() |= 1 << link.target_kind() as u8;
        })
        .map_err(|error| format!("{kind} {}: {error}", ObjectId::from(*id)))
    }

    /// Adds what another thread has learned.
    pub fn join(&mut self, mut other: Inspection) {
        if self.links.len() < other.links.len() {
            std::mem::swap(&mut self.links, &mut other.links);
        }
        for (id, kinds) in other.links {
            *self.links.entry(id).or_default() |= kinds;
        }
        self.fsck.absorb(other.fsck);
    }

    /// Ends the rules that need two objects, such as a `.gitmodules` that came before the tree that names it.
    pub fn finish_fsck(
        &mut self,
        mut read: impl FnMut(&RawId) -> io::Result<Option<(ObjectKind, Vec<u8>)>>,
    ) -> Result<(), IngestError> {
        self.fsck
            .finish(|id| match read(&raw(id))? {
                Some((kind, data)) => Ok(Asked::Object(kind, data.into())),
                None => Ok(Asked::Missing),
            })
            .map_err(IngestError::Store)?;
        match self.fsck.report().first_error() {
            Some(finding) => Err(IngestError::BadObject(finding.to_string())),
            None => Ok(()),
        }
    }

    /// Looks every link up: first in the pack, then among the served objects.
    pub fn connect(&self, entries: &[IndexEntry], served: &dyn ServedObjects) -> Result<Connectivity, IngestError> {
        let mut places: IdMap<u32> = IdMap::with_capacity_and_hasher(entries.len(), Default::default());
        let mut has_duplicates = false;
        for (position, entry) in entries.iter().enumerate() {
            has_duplicates |= places.insert(entry.id, position as u32).is_some();
        }
        let mut is_named = vec![false; entries.len()];
        let (mut missing, mut external) = (Vec::new(), Vec::new());
        let mut is_closed = true;
        for (id, kinds) in &self.links {
            let actual = match places.get(id) {
                Some(position) => {
                    is_named[*position as usize] = true;
                    Some(entries[*position as usize].kind)
                }
                None => {
                    is_closed = false;
                    served.kind(id).map_err(IngestError::Store)?
                }
            };
            for kind in [ObjectKind::Commit, ObjectKind::Tree, ObjectKind::Blob, ObjectKind::Tag] {
                if kinds >> kind as u8 & 1 == 0 {
                    continue;
                }
                match actual {
                    Some(actual) if actual != kind => {
                        return Err(IngestError::WrongKind { id: ObjectId::from(*id), actual, stated: kind });
                    }
                    Some(_) if places.contains_key(id) => {}
                    Some(_) => external.push((*id, kind)),
                    None => missing.push((ObjectId::from(*id), kind)),
                }
            }
        }
        // Of an object that is there twice only one copy is marked; the other is named all the same.
        let roots = (0..entries.len() as u32)
            .filter(|position| !is_named[places[&entries[*position as usize].id] as usize])
            .filter(|position| places[&entries[*position as usize].id] == *position)
            .collect();
        missing.sort_unstable();
        Ok(Connectivity { roots, is_closed, external, missing, has_duplicates })
    }
}
