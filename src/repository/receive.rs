//! Quarantine: a pack that has come in and belongs to nobody yet. It is sealed and checked, and becomes part of the
//! repository only by a log entry; until then nothing of it can be seen, and if none comes its files are swept.

use std::io::{self, Read, Write};
use std::sync::Arc;

use roaring::RoaringBitmap;

use super::fsck::MessageId;
use super::log::{PackManifest, PackSource, ServedFile};
use super::object::{ObjectKind, for_each_link};
use super::objects::Served;
use super::pack::index::{self, CommitEntry, PackIndex};
use super::pack::ingest::{IngestError, IngestLimits, Progress, ServedObjects, ingest};
use super::pack::oid_hash::{IdMap, RawId, raw};
use super::pack::read::{ObjectReader, Pack, PackBytes, Place};
use crate::names::ObjectId;
use crate::store::file::{FileKind, SealedWriter};
use crate::store::keyring::RepositoryKeys;
use crate::store::{Store, StoreError};

/// Packs up to this size are held in memory while they are in use.
pub const HELD_WHOLE_BYTES: u64 = 16 << 20;

/// A pack in quarantine.
pub struct Quarantine {
    /// What the log will say of it; served whole until [`Quarantine::served_by`] says otherwise.
    pub manifest: PackManifest,
    /// The pack, open for reading.
    pub pack: Arc<Pack>,
    /// Its commits.
    pub commits: IdMap<CommitEntry>,
    /// What its objects name outside of it, with the kind that is wanted; all of it was served when it came in.
    pub external: Vec<(RawId, ObjectKind)>,
    /// Bytes received.
    pub received_bytes: u64,
    store: Store,
    is_published: bool,
}

/// Takes a pack in. Gives nothing for a pack without objects. Blocks until the pack has come, is checked and sealed.
pub fn receive(
    store: &Store,
    keys: &RepositoryKeys,
    objects: &dyn ServedObjects,
    input: &mut dyn Read,
    limits: &IngestLimits,
    tolerated: &'static [MessageId],
    expect_end: bool,
    progress: &mut dyn FnMut(Progress),
) -> Result<Option<Quarantine>, IngestError> {
    let writer = store.create_file(keys, FileKind::Pack).map_err(unavailable)?;
    let file = *writer.id();
    let result = take_in(store, keys, objects, input, limits, tolerated, expect_end, progress, writer);
    if !matches!(result, Ok(Some(_))) {
        // Nothing names the file; should taking it away fail, too, the sweep does it later.
        let _ = store.discard_file(&file);
    }
    result
}

fn take_in(
    store: &Store,
    keys: &RepositoryKeys,
    objects: &dyn ServedObjects,
    input: &mut dyn Read,
    limits: &IngestLimits,
    tolerated: &'static [MessageId],
    expect_end: bool,
    progress: &mut dyn FnMut(Progress),
    writer: SealedWriter,
) -> Result<Option<Quarantine>, IngestError> {
    let n_threads = std::thread::available_parallelism().map_or(1, |n| n.get());
    let sink = Tee { writer, held: Some(Vec::new()) };
    let mut sealed = None;
    let finish = |sink: Tee| -> io::Result<PackBytes> {
        let meta = sink.writer.finish()?;
        let bytes = match sink.held {
            Some(held) => PackBytes::Memory(held.into()),
            None => PackBytes::Sealed(store.open_file(keys, &meta)?),
        };
        sealed = Some((meta, bytes.clone()));
        Ok(bytes)
    };
    let mut taken = ingest(input, sink, finish, objects, limits, tolerated, expect_end, n_threads, progress)?;
    let Some((pack_meta, bytes)) = sealed else { return Ok(None) };
    if taken.entries.is_empty() {
        return Ok(None);
    }
    let connectivity = taken.inspection.connect(&taken.entries, objects)?;
    if let Some((id, needed_as)) = connectivity.missing.first() {
        return Err(IngestError::MissingObject { id: *id, needed_as: *needed_as });
    }
    let index_bytes = index::build(&taken.entries, taken.end, &connectivity.roots, &taken.commits);
    let n_objects = taken.entries.len() as u32;
    drop(std::mem::take(&mut taken.entries));
    let index = PackIndex::parse(index_bytes.clone()).map_err(|error| IngestError::Store(io::Error::other(error)))?;
    let pack = Arc::new(Pack { index, bytes });
    {
        let packs = [pack.clone()];
        let mut reader = ObjectReader::new(&packs, 1 << 20);
        taken.inspection.finish_fsck(|id| match pack.index.find(id) {
            Some(position) => {
                let place = Place { pack: 0, position };
                Ok(Some((reader.kind(place), reader.read_once(place)?.to_vec())))
            }
            None => objects.read(id),
        })?;
    }
    let mut writer = store.create_file(keys, FileKind::Index).map_err(unavailable)?;
    writer.write_all(&index_bytes).map_err(IngestError::Store)?;
    let index_meta = writer.finish().map_err(|error| IngestError::Store(error.into()))?;
    let commits = pack.index.commits().map(|commit| (pack.index.id(commit.position), commit)).collect();
    Ok(Some(Quarantine {
        manifest: PackManifest {
            pack: pack_meta,
            index: index_meta,
            n_objects,
            trailer: taken.trailer,
            source: PackSource::Receive,
            is_closed: connectivity.is_closed,
            has_duplicates: connectivity.has_duplicates,
            served: ServedFile::All,
        },
        pack,
        commits,
        external: connectivity.external,
        received_bytes: taken.received_bytes,
        store: store.clone(),
        is_published: false,
    }))
}

fn unavailable(error: StoreError) -> IngestError {
    IngestError::Store(error.into())
}

impl Quarantine {
    /// Whether the pack holds an object, and what it is.
    pub fn kind(&self, id: &ObjectId) -> Option<ObjectKind> {
        self.pack.index.find(&raw(id)).map(|position| self.pack.index.kind(position))
    }

    /// Which of its objects `tips` reach. Most pushes send nothing that is not reached.
    pub fn served_by(&self, tips: &[ObjectId]) -> io::Result<Served> {
        let index = &self.pack.index;
        let tips: Vec<u32> = tips.iter().filter_map(|id| index.find(&raw(id))).collect();
        if index.roots().all(|root| tips.contains(&root)) {
            return Ok(Served::All);
        }
        let packs = [self.pack.clone()];
        let mut reader = ObjectReader::new(&packs, 32 << 20);
        let mut reached = RoaringBitmap::new();
        let mut stack = tips;
        while let Some(position) = stack.pop() {
            if !reached.insert(position) {
                continue;
            }
            let kind = index.kind(position);
            if kind == ObjectKind::Blob {
                continue;
            }
            let data = reader.read(Place { pack: 0, position })?;
            for_each_link(kind, &data, |_, id| stack.extend(index.find(&raw(id)))).map_err(io::Error::other)?;
        }
        if reached.len() == u64::from(index.len()) { Ok(Served::All) } else { Ok(Served::Some(Arc::new(reached))) }
    }

    /// The published pack's files stay when this is dropped.
    pub fn published(mut self) {
        self.is_published = true;
    }
}

impl Drop for Quarantine {
    fn drop(&mut self) {
        if !self.is_published {
            for file in [&self.manifest.pack.id, &self.manifest.index.id] {
                if let Err(error) = self.store.discard_file(file) {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "a refused pack's file is left for the sweep"
                    );
                }
            }
        }
    }
}

/// Seals what is written, and holds it in memory as well while it is small.
struct Tee {
    writer: SealedWriter,
    held: Option<Vec<u8>>,
}

impl Write for Tee {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if let Some(held) = &mut self.held {
            if (held.len() + data.len()) as u64 > HELD_WHOLE_BYTES {
                self.held = None;
            } else {
                held.extend_from_slice(data);
            }
        }
        self.writer.write(data)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
