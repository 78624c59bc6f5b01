//! The objects of a merge: those of the repository, and those that come of it.

use std::cell::{Cell, RefCell};
use std::io::{self, Read as _};

use gix_error::Error;

use super::{MergeError, MergeLimits};
use crate::names::ObjectId;
use crate::repository::browse::BrowseError;
use crate::repository::new_objects::NewObjects;
use crate::repository::object::{EntryKind, ObjectKind, TreeIter};
use crate::repository::pack::oid_hash::raw;
use crate::repository::pack::read::ObjectReader;
use crate::repository::snapshot::Snapshot;

/// Memory for objects that are met again.
const CACHE_BYTES: u64 = 16 << 20;
/// Most bytes of a tree.
const MAX_TREE_BYTES: u64 = 16 << 20;

pub(super) struct MergeObjects<'a> {
    snapshot: &'a Snapshot,
    reader: RefCell<ObjectReader<'a>>,
    new: RefCell<NewObjects>,
    limits: MergeLimits,
    n_read: Cell<u64>,
    is_over: Cell<bool>,
}

impl<'a> MergeObjects<'a> {
    pub(super) fn new(snapshot: &'a Snapshot, limits: MergeLimits) -> MergeObjects<'a> {
        MergeObjects {
            snapshot,
            reader: RefCell::new(snapshot.objects.reader(CACHE_BYTES)),
            new: RefCell::default(),
            limits,
            n_read: Cell::new(0),
            is_over: Cell::new(false),
        }
    }

    /// Takes a new object in; one that is there already is not new.
    pub(super) fn add(&self, kind: ObjectKind, data: &[u8]) -> ObjectId {
        self.new.borrow_mut().add(kind, data)
    }

    /// Whether more would have had to be read than may be.
    pub(super) fn is_over(&self) -> bool {
        self.is_over.get()
    }

    /// Those new objects that a tree needs and that are not stored.
    pub(super) fn reached_from(&self, tree: &ObjectId) -> Result<NewObjects, MergeError> {
        let all = self.new.borrow();
        let mut out = NewObjects::default();
        let mut stack = vec![*tree];
        while let Some(id) = stack.pop() {
            if out.get(&id).is_some() || self.snapshot.objects.find(&raw(&id)).is_some() {
                continue;
            }
            let Some((kind, data)) = all.get(&id) else { continue };
            out.add(kind, data.clone());
            if kind == ObjectKind::Tree {
                for entry in TreeIter::new(data) {
                    let entry = entry.map_err(BrowseError::Object)?;
                    if entry.kind() != EntryKind::Submodule {
                        stack.push(entry.oid.to_owned());
                    }
                }
            }
        }
        Ok(out)
    }

    fn found(&self, id: &gix_hash::oid) -> Option<(ObjectKind, u64)> {
        if let Some((kind, data)) = self.new.borrow().get(&id.to_owned()) {
            return Some((kind, data.len() as u64));
        }
        let place = self.snapshot.objects.find(&raw(id))?;
        Some((self.snapshot.objects.kind(place), u64::from(self.snapshot.objects.size(place))))
    }

    fn refuse(&self, why: &str) -> Error {
        Error::from_error(io::Error::other(why.to_owned()))
    }
}

fn kind_of(kind: ObjectKind) -> gix_object::Kind {
    match kind {
        ObjectKind::Commit => gix_object::Kind::Commit,
        ObjectKind::Tree => gix_object::Kind::Tree,
        ObjectKind::Blob => gix_object::Kind::Blob,
        ObjectKind::Tag => gix_object::Kind::Tag,
    }
}

impl gix_object::Find for MergeObjects<'_> {
    fn try_find<'b>(
        &self,
        id: &gix_hash::oid,
        buffer: &'b mut Vec<u8>,
    ) -> gix_error::Result<Option<gix_object::Data<'b>>> {
        let Some((kind, size)) = self.found(id) else { return Ok(None) };
        let n_read = self.n_read.get().saturating_add(size);
        if n_read > self.limits.total_bytes || (kind == ObjectKind::Tree && size > MAX_TREE_BYTES) {
            self.is_over.set(true);
            return Err(self.refuse("the merge reads too much"));
        }
        self.n_read.set(n_read);
        buffer.clear();
        if let Some((_, data)) = self.new.borrow().get(&id.to_owned()) {
            buffer.extend_from_slice(data);
        } else if let Some(place) = self.snapshot.objects.find(&raw(id)) {
            let data = self.reader.borrow_mut().read(place).map_err(Error::from_error)?;
            buffer.extend_from_slice(&data);
        }
        Ok(Some(gix_object::Data { kind: kind_of(kind), object_hash: gix_hash::Kind::Sha1, data: buffer }))
    }
}

impl gix_object::FindHeader for MergeObjects<'_> {
    fn try_header(&self, id: &gix_hash::oid) -> gix_error::Result<Option<gix_object::Header>> {
        Ok(self.found(id).map(|(kind, size)| gix_object::Header { kind: kind_of(kind), size }))
    }
}

impl gix_object::Write for MergeObjects<'_> {
    fn write_buf_with_known_id(
        &self,
        kind: gix_object::Kind,
        from: &[u8],
        _id: ObjectId,
    ) -> gix_error::Result<ObjectId> {
        self.write_buf(kind, from)
    }

    fn write_stream(&self, kind: gix_object::Kind, size: u64, from: &mut dyn io::Read) -> gix_error::Result<ObjectId> {
        if size > self.limits.total_bytes {
            self.is_over.set(true);
            return Err(self.refuse("the merge writes too much"));
        }
        let mut data = Vec::new();
        io::Read::take(from, size).read_to_end(&mut data).map_err(Error::from_error)?;
        let kind = match kind {
            gix_object::Kind::Tree => ObjectKind::Tree,
            gix_object::Kind::Blob => ObjectKind::Blob,
            gix_object::Kind::Commit => ObjectKind::Commit,
            gix_object::Kind::Tag => ObjectKind::Tag,
        };
        Ok(self.add(kind, &data))
    }

    fn write_stream_with_known_id(
        &self,
        kind: gix_object::Kind,
        size: u64,
        from: &mut dyn io::Read,
        _id: ObjectId,
    ) -> gix_error::Result<ObjectId> {
        self.write_stream(kind, size, from)
    }
}
