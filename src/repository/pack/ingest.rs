//! Taking a pack in: parsed while it streams, every object inflated, hashed with collision detection and checked, deltas
//! resolved only against the pack itself and objects that the pusher may read.
//!
//! First pass, on the thread that receives: entry by entry, inflate, hash and check whole objects, keep small deltas'
//! instructions, hand the raw bytes on to be sealed. Second pass, on all cores: walk down each base's tree of deltas.
//! A chain without branches holds one object at a time; branches hold their fork. At the end each id that an object
//! names is looked up, so that a pack whose links all end in itself or in served objects is connected without a walk.
//!
//! INVARIANT: no size or count from the pack is believed before it is compared with its limit.

use std::io::{self, Read, Write};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use sha1::Digest;

use super::delta::{self, DeltaError};
use super::entry::{EntryHeader, EntryKind, HeaderError, MAX_HEADER_LEN};
use super::index::{CommitEntry, IndexEntry, Storage};
use super::inflate::{InflateError, Inflater};
use super::oid_hash::{IdMap, RawId, raw};
use super::read::PackBytes;
use crate::names::ObjectId;
use crate::repository::fsck::MessageId;
use crate::repository::inspection::Inspection;
use crate::repository::object::{ObjectKind, checked_object_id};

/// What a pack may be at most.
#[derive(Debug, Clone)]
pub struct IngestLimits {
    /// Bytes of the pack as sent.
    pub max_pack_bytes: u64,
    /// Objects in the pack.
    pub max_objects: u32,
    /// Bytes of one object, inflated.
    pub max_object_bytes: u64,
    /// Bytes of all entries together, inflated.
    pub max_inflated_bytes: u64,
    /// Inflated bytes for each byte sent, counted from 16 MiB inflated on.
    pub max_ratio: u64,
    /// Deltas on deltas.
    pub max_delta_depth: u32,
    /// Bytes held at once while deltas are resolved, per thread.
    pub max_resolve_bytes: u64,
}

impl Default for IngestLimits {
    fn default() -> Self {
        IngestLimits {
            max_pack_bytes: 16 << 30,
            max_objects: 20_000_000,
            max_object_bytes: 512 << 20,
            max_inflated_bytes: 512 << 30,
            max_ratio: 2000,
            max_delta_depth: 4095,
            max_resolve_bytes: 1 << 30,
        }
    }
}

/// Why a pack was not taken.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// The connection broke or the pack ended too early.
    #[error("the pack is cut off after {received} bytes")]
    Truncated {
        /// Bytes that had come.
        received: u64,
    },
    /// Reading from the peer failed.
    #[error("reading the pack failed")]
    Receive(#[source] io::Error),
    /// Writing the sealed file or reading it back failed.
    #[error("storing the pack failed")]
    Store(#[source] io::Error),
    /// Not a pack of version 2 or 3.
    #[error("this is not a pack of version 2")]
    NotAPack,
    /// A limit was passed.
    #[error("the pack has too much: {what}, at most {limit} allowed")]
    OverLimit {
        /// What there is too much of, with its number.
        what: String,
        /// The limit.
        limit: u64,
    },
    /// An entry's header is wrong.
    #[error("the pack is damaged at byte {offset}")]
    Header {
        /// Where the entry begins.
        offset: u64,
        /// What is wrong.
        source: HeaderError,
    },
    /// An entry's data is wrong.
    #[error("the pack is damaged at byte {offset}")]
    Inflate {
        /// Where the entry begins.
        offset: u64,
        /// What is wrong.
        source: InflateError,
    },
    /// A delta is wrong.
    #[error("the pack has a bad delta at byte {offset}")]
    Delta {
        /// Where the entry begins.
        offset: u64,
        /// What is wrong.
        source: DeltaError,
    },
    /// An offset delta names a place where no entry begins.
    #[error("the delta at byte {offset} of the pack has no base there")]
    NoBaseAtOffset {
        /// Where the entry begins.
        offset: u64,
    },
    /// A delta's base is neither in the pack nor an object that the pusher may lean on (checklist B4).
    #[error("the pack leans on object {base}, which this repository does not have")]
    MissingBase {
        /// The base's id.
        base: ObjectId,
    },
    /// The checksum at the end is not the pack's.
    #[error("the pack's checksum does not match: it was damaged on the way")]
    Checksum,
    /// Bytes follow the checksum.
    #[error("bytes follow the end of the pack")]
    TrailingGarbage,
    /// An object breaks Git's rules.
    #[error("{0}")]
    BadObject(String),
    /// Objects that would be needed are missing.
    #[error("object {id} is missing: {needed_as} needed by what was pushed")]
    MissingObject {
        /// What is missing.
        id: ObjectId,
        /// The kind that something wants it to be.
        needed_as: ObjectKind,
    },
    /// An object is of another kind than something that names it says.
    #[error("object {id} is a {actual}, and is named as a {stated}")]
    WrongKind {
        /// The object.
        id: ObjectId,
        /// What it is.
        actual: ObjectKind,
        /// What it is taken for.
        stated: ObjectKind,
    },
}

impl IngestError {
    /// Whether the pusher's bytes are at fault, rather than the server or the connection.
    pub fn is_peers_fault(&self) -> bool {
        !matches!(self, IngestError::Store(_) | IngestError::Receive(_))
    }
}

/// Objects outside the pack that it may lean on: those that the pusher may read, and no others.
pub trait ServedObjects: Sync {
    /// The kind of a served object; nothing for what is not served, whether or not it exists.
    fn kind(&self, id: &RawId) -> io::Result<Option<ObjectKind>>;
    /// A served object whole.
    fn read(&self, id: &RawId) -> io::Result<Option<(ObjectKind, Vec<u8>)>>;
}

/// Counts while a pack comes in.
#[derive(Debug, Clone, Copy)]
pub enum Progress {
    /// So many of all objects were received.
    Receiving {
        /// Received so far.
        done: u32,
        /// Objects in the pack.
        total: u32,
    },
    /// So many of all deltas were resolved.
    Resolving {
        /// Resolved so far.
        done: u32,
        /// Deltas in the pack.
        total: u32,
    },
}

/// A pack that was taken in: its raw entries are in the sink, this is all that was learned of them.
pub struct Ingested {
    /// Every object, in pack order; bases that completed a thin pack come last.
    pub entries: Vec<IndexEntry>,
    /// Bytes of all entries.
    pub end: u64,
    /// The checksum as sent, where the stored entries are those of the sent pack.
    pub trailer: Option<RawId>,
    /// What the objects name and were found to be.
    pub inspection: Inspection,
    /// The commits.
    pub commits: Vec<CommitEntry>,
    /// How many entries were appended to complete a thin pack.
    pub n_completed: u32,
    /// Bytes received.
    pub received_bytes: u64,
}

/// An entry as the first pass leaves it.
struct Slot {
    offset: u64,
    /// Length of its header.
    header_len: u8,
    kind: SlotKind,
    /// Inflated size of its data.
    size: u32,
}

#[derive(Clone, Copy)]
enum SlotKind {
    Whole,
    /// Base by slot.
    Offset(u32),
    /// Base by place in `ref_bases`.
    Ref(u32),
}

/// Reads a pack from `input`, hands its raw entries to `sink` and resolves it. `finish` closes the sink and gives the
/// bytes back for reading; it is called once, after all entries have been handed over, and again nothing is written but
/// the bases that complete a thin pack, through `sink` before that. `expect_end` says that `input` ends with the pack.
pub fn ingest<W: Write>(
    input: &mut dyn Read,
    mut sink: W,
    finish: impl FnOnce(W) -> io::Result<PackBytes>,
    served: &dyn ServedObjects,
    limits: &IngestLimits,
    tolerated: &'static [MessageId],
    expect_end: bool,
    n_threads: usize,
    progress: &mut dyn FnMut(Progress),
) -> Result<Ingested, IngestError> {
    let mut first = FirstPass::new(input, &mut sink, limits);
    let n_objects = first.header()?;
    let mut inspection = Inspection::tolerating(tolerated);
    first.entries(n_objects, &mut inspection, progress)?;
    let trailer = first.trailer(expect_end)?;
    let FirstPass { mut slots, arena, ref_bases, resolved, mut commits, mut written, received, .. } = first;

    // Bases that the pack leaves out are appended whole (what git calls completing a thin pack), before the sink closes.
    // Which ids are in the pack is not known before deltas are resolved; a base that is in neither place is refused by
    // the resolver, and one that is in both costs a duplicate at most.
    let mut by_base: IdMap<Vec<u32>> = IdMap::default();
    for (slot, entry) in slots.iter().enumerate() {
        if let SlotKind::Ref(base) = entry.kind {
            by_base.entry(ref_bases[base as usize]).or_default().push(slot as u32);
        }
    }
    let mut resolved_ids = resolved;
    let mut appended: Vec<(u32, Vec<u8>)> = Vec::new();
    if !by_base.is_empty() {
        let whole: std::collections::HashSet<RawId> = resolved_ids.iter().map(|found| found.id).collect();
        let mut bases: Vec<&RawId> = by_base.keys().filter(|id| !whole.contains(*id)).collect();
        bases.sort_unstable();
        for id in bases {
            let Some((kind, data)) = served.read(id).map_err(IngestError::Store)? else { continue };
            let size = u32::try_from(data.len())
                .map_err(|_| over("a base object's size", data.len() as u64, u32::MAX.into()))?;
            let mut bytes = Vec::new();
            EntryHeader::write(&EntryKind::Whole(kind), data.len() as u64, &mut bytes);
            let header_len = bytes.len() as u8;
            let mut encoder = flate2::write::ZlibEncoder::new(bytes, flate2::Compression::default());
            encoder.write_all(&data).map_err(IngestError::Store)?;
            let bytes = encoder.finish().map_err(IngestError::Store)?;
            sink.write_all(&bytes).map_err(IngestError::Store)?;
            let slot = slots.len() as u32;
            slots.push(Slot { offset: written, header_len, kind: SlotKind::Whole, size });
            written += bytes.len() as u64;
            resolved_ids.push(Found { slot, id: *id, kind, size, base: None });
            appended.push((slot, data));
        }
    }
    let n_completed = appended.len() as u32;
    let end = written;
    let pack = finish(sink).map_err(IngestError::Store)?;

    let resolver = Resolver::new(&slots, end, &arena, &by_base, &pack, limits, tolerated);
    let n_deltas = resolver.n_deltas;
    let outcome = resolver.run(&resolved_ids, appended, n_threads, progress)?;
    for part in outcome {
        inspection.join(part.inspection);
        commits.extend(part.commits);
        resolved_ids.extend(part.found);
    }
    if n_deltas as usize + resolved_ids.len() < slots.len() || resolved_ids.len() != slots.len() {
        let mut done = vec![false; slots.len()];
        for found in &resolved_ids {
            done[found.slot as usize] = true;
        }
        // What is left leans, perhaps through offset deltas, on a base that nobody has, or on itself in a circle.
        let base = slots.iter().zip(&done).find_map(|(slot, done)| match slot.kind {
            SlotKind::Ref(base) if !done => Some(ref_bases[base as usize]),
            _ => None,
        });
        let base = ObjectId::from(base.unwrap_or_default());
        return Err(IngestError::MissingBase { base });
    }
    let mut entries: Vec<Option<IndexEntry>> = vec![None; slots.len()];
    for found in &resolved_ids {
        let storage = found.base.map_or(Storage::Whole, Storage::Delta);
        entries[found.slot as usize] = Some(IndexEntry {
            id: found.id,
            offset: slots[found.slot as usize].offset,
            kind: found.kind,
            size: found.size,
            storage,
        });
    }
    let entries = entries.into_iter().flatten().collect();
    commits.sort_unstable_by_key(|commit| commit.position);
    Ok(Ingested {
        entries,
        end,
        trailer: (n_completed == 0).then_some(trailer),
        inspection,
        commits,
        n_completed,
        received_bytes: received,
    })
}

/// An object whose id is known.
struct Found {
    slot: u32,
    id: RawId,
    kind: ObjectKind,
    size: u32,
    base: Option<u32>,
}

/// Inflated delta instructions kept from the first pass, so that the second need not read them again.
struct Arena {
    bytes: Vec<u8>,
    /// By slot: where the instructions begin, or `u32::MAX`.
    starts: Vec<u32>,
}

const ARENA_BYTES: usize = 128 << 20;
const NOT_KEPT: u32 = u32::MAX;

struct FirstPass<'a, W> {
    input: &'a mut dyn Read,
    sink: &'a mut W,
    limits: &'a IngestLimits,
    buffer: Vec<u8>,
    start: usize,
    /// Consumed up to here since the last flush; `start` is the same place.
    flushed: usize,
    filled: usize,
    ended: bool,
    hasher: sha1::Sha1,
    received: u64,
    inflated: u64,
    /// Whether consumed bytes are entries, which are handed on, or the pack's header and trailer, which are not.
    in_entries: bool,
    written: u64,
    slots: Vec<Slot>,
    arena: Arena,
    ref_bases: Vec<RawId>,
    resolved: Vec<Found>,
    commits: Vec<CommitEntry>,
}

impl<'a, W: Write> FirstPass<'a, W> {
    fn new(input: &'a mut dyn Read, sink: &'a mut W, limits: &'a IngestLimits) -> Self {
        FirstPass {
            input,
            sink,
            limits,
            buffer: vec![0; 256 << 10],
            start: 0,
            flushed: 0,
            filled: 0,
            ended: false,
            hasher: sha1::Sha1::new(),
            received: 0,
            inflated: 0,
            in_entries: false,
            written: 0,
            slots: Vec::new(),
            arena: Arena { bytes: Vec::new(), starts: Vec::new() },
            ref_bases: Vec::new(),
            resolved: Vec::new(),
            commits: Vec::new(),
        }
    }

    /// Hashes and hands on what was consumed.
    fn flush(&mut self) -> Result<(), IngestError> {
        let consumed = &self.buffer[self.flushed..self.start];
        self.hasher.update(consumed);
        if self.in_entries {
            self.sink.write_all(consumed).map_err(IngestError::Store)?;
            self.written += consumed.len() as u64;
        }
        self.flushed = self.start;
        Ok(())
    }

    /// Brings more bytes into the buffer; an end of input that leaves nothing more is an error.
    fn refill(&mut self) -> Result<(), IngestError> {
        self.flush()?;
        self.buffer.copy_within(self.start..self.filled, 0);
        self.filled -= self.start;
        self.start = 0;
        self.flushed = 0;
        let n = loop {
            match self.input.read(&mut self.buffer[self.filled..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break 0,
                other => break other.map_err(IngestError::Receive)?,
            }
        };
        if n == 0 {
            self.ended = true;
            return Err(IngestError::Truncated { received: self.received });
        }
        self.filled += n;
        self.received += n as u64;
        if self.received > self.limits.max_pack_bytes {
            return Err(over("bytes", self.received, self.limits.max_pack_bytes));
        }
        Ok(())
    }

    fn need(&mut self, n: usize) -> Result<(), IngestError> {
        while self.filled - self.start < n {
            self.refill()?;
        }
        Ok(())
    }

    fn header(&mut self) -> Result<u32, IngestError> {
        self.need(12)?;
        let header = &self.buffer[self.start..self.start + 12];
        let word = |at: usize| u32::from_be_bytes(*header[at..].first_chunk().expect("twelve bytes are there"));
        if &header[..4] != b"PACK" || !matches!(word(4), 2 | 3) {
            return Err(IngestError::NotAPack);
        }
        let n = word(8);
        if n > self.limits.max_objects {
            return Err(over("objects", n.into(), self.limits.max_objects.into()));
        }
        self.start += 12;
        self.flush()?;
        self.in_entries = true;
        Ok(n)
    }

    fn entries(
        &mut self,
        n_objects: u32,
        inspection: &mut Inspection,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), IngestError> {
        let mut inflater = Inflater::default();
        let mut data = Vec::new();
        // Grows with what arrives, not with what the header states.
        for slot in 0..n_objects {
            let offset = self.written + (self.start - self.flushed) as u64;
            let header = loop {
                let rest = &self.buffer[self.start..self.filled];
                match EntryHeader::parse(&rest[..rest.len().min(MAX_HEADER_LEN)]) {
                    Ok(header) => break header,
                    Err(HeaderError::Incomplete) if rest.len() < MAX_HEADER_LEN => self.refill()?,
                    Err(source) => return Err(IngestError::Header { offset, source }),
                }
            };
            if header.size > self.limits.max_object_bytes.min(u64::from(u32::MAX) - 1) {
                return Err(over("bytes in one object", header.size, self.limits.max_object_bytes));
            }
            self.inflated += header.size;
            if self.inflated > self.limits.max_inflated_bytes {
                return Err(over("inflated bytes", self.inflated, self.limits.max_inflated_bytes));
            }
            self.start += header.len;
            self.inflate(&mut inflater, header.size, &mut data).map_err(|error| match error {
                DataError::Ingest(error) => error,
                DataError::Inflate(source) => IngestError::Inflate { offset, source },
            })?;
            if self.inflated > 16 << 20 && self.inflated / self.limits.max_ratio > self.received {
                return Err(over(
                    "inflated bytes for each byte sent",
                    self.inflated / self.received.max(1),
                    self.limits.max_ratio,
                ));
            }
            let size = header.size as u32;
            let mut kept = NOT_KEPT;
            let kind = match header.kind {
                EntryKind::Whole(kind) => {
                    let id =
                        checked_object_id(kind, &data).map_err(|error| IngestError::BadObject(error.to_string()))?;
                    let id = raw(&id);
                    inspect(inspection, &mut self.commits, slot, &id, kind, &data)?;
                    self.resolved.push(Found { slot, id, kind, size, base: None });
                    SlotKind::Whole
                }
                EntryKind::OffsetDelta(distance) => {
                    let base = offset.checked_sub(distance).ok_or(IngestError::NoBaseAtOffset { offset })?;
                    let base = self
                        .slots
                        .binary_search_by_key(&base, |slot| slot.offset)
                        .map_err(|_| IngestError::NoBaseAtOffset { offset })?;
                    kept = self.arena.keep(&data);
                    SlotKind::Offset(base as u32)
                }
                EntryKind::RefDelta(base) => {
                    kept = self.arena.keep(&data);
                    self.ref_bases.push(base);
                    SlotKind::Ref(self.ref_bases.len() as u32 - 1)
                }
            };
            self.arena.starts.push(kept);
            self.slots.push(Slot { offset, header_len: header.len as u8, kind, size });
            if slot % 4096 == 0 {
                progress(Progress::Receiving { done: slot, total: n_objects });
            }
        }
        progress(Progress::Receiving { done: n_objects, total: n_objects });
        self.flush()
    }

    fn inflate(&mut self, inflater: &mut Inflater, size: u64, data: &mut Vec<u8>) -> Result<(), DataError> {
        inflater.reset();
        data.clear();
        // Memory is taken as the data comes: a stated size of gigabytes with ten bytes behind it costs nothing.
        let mut filled = 0;
        let size = size as usize;
        data.resize(size.min(1 << 20), 0);
        loop {
            if self.start == self.filled {
                self.refill().map_err(DataError::Ingest)?;
            }
            let whole = data.len() == size;
            let input = &self.buffer[self.start..self.filled];
            if whole {
                let (used, ended) = inflater.step(input, data, &mut filled).map_err(DataError::Inflate)?;
                self.start += used;
                if ended {
                    return Ok(());
                }
            } else {
                // One byte of room is kept back, so that a stream which goes on is not taken for one that is too long.
                let (used, ended) = inflater.partial(input, data, &mut filled).map_err(DataError::Inflate)?;
                self.start += used;
                if ended {
                    return Err(DataError::Inflate(InflateError::Truncated));
                }
                if filled == data.len() {
                    data.resize(size.min(data.len() * 4), 0);
                }
            }
        }
    }

    fn trailer(&mut self, expect_end: bool) -> Result<RawId, IngestError> {
        self.in_entries = false;
        let computed: [u8; 20] = self.hasher.clone().finalize().into();
        self.need(20)?;
        let mut stated = [0; 20];
        stated.copy_from_slice(&self.buffer[self.start..self.start + 20]);
        self.start += 20;
        if stated != computed {
            return Err(IngestError::Checksum);
        }
        if self.start < self.filled {
            return Err(IngestError::TrailingGarbage);
        }
        if expect_end {
            match self.refill() {
                Err(IngestError::Truncated { .. }) => {}
                Ok(()) => return Err(IngestError::TrailingGarbage),
                Err(other) => return Err(other),
            }
        }
        Ok(stated)
    }
}

enum DataError {
    Ingest(IngestError),
    Inflate(InflateError),
}

impl Arena {
    fn keep(&mut self, delta: &[u8]) -> u32 {
        if delta.len() > 64 << 10 || self.bytes.len() + delta.len() > ARENA_BYTES {
            return NOT_KEPT;
        }
        let start = self.bytes.len() as u32;
        self.bytes.extend_from_slice(delta);
        start
    }
}

/// What one thread of the second pass found.
struct Part {
    found: Vec<Found>,
    inspection: Inspection,
    commits: Vec<CommitEntry>,
}

struct Resolver<'a> {
    slots: &'a [Slot],
    end: u64,
    arena: &'a Arena,
    by_base: &'a IdMap<Vec<u32>>,
    pack: &'a PackBytes,
    limits: &'a IngestLimits,
    tolerated: &'static [MessageId],
    n_deltas: u32,
    /// Children by offset, flattened: those of slot `i` are `children[child_starts[i]..child_starts[i + 1]]`.
    child_starts: Vec<u32>,
    children: Vec<u32>,
    /// Slots that have been taken by reference to their base's id; an id that occurs twice must not resolve them twice.
    claimed: Mutex<std::collections::HashSet<u32>>,
}

impl<'a> Resolver<'a> {
    fn new(
        slots: &'a [Slot],
        end: u64,
        arena: &'a Arena,
        by_base: &'a IdMap<Vec<u32>>,
        pack: &'a PackBytes,
        limits: &'a IngestLimits,
        tolerated: &'static [MessageId],
    ) -> Self {
        let mut child_starts = vec![0u32; slots.len() + 1];
        let mut n_deltas = 0;
        for slot in slots {
            match slot.kind {
                SlotKind::Offset(base) => {
                    child_starts[base as usize + 1] += 1;
                    n_deltas += 1;
                }
                SlotKind::Ref(_) => n_deltas += 1,
                SlotKind::Whole => {}
            }
        }
        for i in 0..slots.len() {
            child_starts[i + 1] += child_starts[i];
        }
        let mut next = child_starts.clone();
        let mut children = vec![0u32; child_starts[slots.len()] as usize];
        for (i, slot) in slots.iter().enumerate() {
            if let SlotKind::Offset(base) = slot.kind {
                children[next[base as usize] as usize] = i as u32;
                next[base as usize] += 1;
            }
        }
        let claimed = Mutex::default();
        Resolver { slots, end, arena, by_base, pack, limits, tolerated, n_deltas, child_starts, children, claimed }
    }

    fn children(&self, slot: u32, id: &RawId) -> Vec<u32> {
        let by_offset = self.child_starts[slot as usize] as usize..self.child_starts[slot as usize + 1] as usize;
        let mut children = self.children[by_offset].to_vec();
        if !self.by_base.is_empty()
            && let Some(by_id) = self.by_base.get(id)
        {
            let mut claimed = self.claimed.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            children.extend(by_id.iter().filter(|child| claimed.insert(**child)));
        }
        children
    }

    fn run(
        &self,
        roots: &[Found],
        appended: Vec<(u32, Vec<u8>)>,
        n_threads: usize,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Vec<Part>, IngestError> {
        if self.n_deltas == 0 {
            return Ok(Vec::new());
        }
        let mut given: std::collections::HashMap<u32, Vec<u8>> = appended.into_iter().collect();
        let given = Mutex::new(std::mem::take(&mut given));
        let next = AtomicUsize::new(0);
        let n_done = AtomicUsize::new(0);
        let failed = std::sync::atomic::AtomicBool::new(false);
        let work = |report: &mut dyn FnMut(u32)| -> Result<Part, IngestError> {
            let mut worker = Worker {
                resolver: self,
                inflater: Inflater::default(),
                raw: Vec::new(),
                delta: Vec::new(),
                spare: Vec::new(),
                part: Part {
                    found: Vec::new(),
                    inspection: Inspection::tolerating(self.tolerated),
                    commits: Vec::new(),
                },
                n_done: &n_done,
            };
            loop {
                if failed.load(Ordering::Relaxed) {
                    return Ok(worker.part);
                }
                let i = next.fetch_add(1, Ordering::Relaxed);
                let Some(root) = roots.get(i) else { return Ok(worker.part) };
                let given = given.lock().unwrap_or_else(std::sync::PoisonError::into_inner).remove(&root.slot);
                if let Err(error) = worker.tree(root, given) {
                    failed.store(true, Ordering::Relaxed);
                    return Err(error);
                }
                if i.is_multiple_of(256) {
                    report(n_done.load(Ordering::Relaxed) as u32);
                }
            }
        };
        let n_threads = if self.n_deltas < 64 { 1 } else { n_threads.max(1) };
        let mut results = Vec::new();
        std::thread::scope(|scope| {
            let others: Vec<_> = (1..n_threads).map(|_| scope.spawn(|| work(&mut |_| {}))).collect();
            results.push(work(&mut |done| progress(Progress::Resolving { done, total: self.n_deltas })));
            for other in others {
                results.push(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            }
        });
        progress(Progress::Resolving { done: self.n_deltas, total: self.n_deltas });
        results.into_iter().collect()
    }

    fn entry_end(&self, slot: u32) -> u64 {
        self.slots.get(slot as usize + 1).map_or(self.end, |next| next.offset)
    }
}

struct Frame {
    slot: u32,
    data: Vec<u8>,
    children: Vec<u32>,
    depth: u32,
}

struct Worker<'a> {
    resolver: &'a Resolver<'a>,
    inflater: Inflater,
    raw: Vec<u8>,
    delta: Vec<u8>,
    /// Buffers for reuse.
    spare: Vec<Vec<u8>>,
    part: Part,
    n_done: &'a AtomicUsize,
}

impl Worker<'_> {
    /// Resolves everything that leans on `root`, directly or through other deltas.
    fn tree(&mut self, root: &Found, given: Option<Vec<u8>>) -> Result<(), IngestError> {
        let children = self.resolver.children(root.slot, &root.id);
        if children.is_empty() {
            return Ok(());
        }
        let kind = root.kind;
        let data = match given {
            Some(data) => data,
            None => {
                let mut data = self.spare.pop().unwrap_or_default();
                self.inflate(root.slot, &mut data)?;
                data
            }
        };
        let mut held = data.len() as u64;
        let mut stack = vec![Frame { slot: root.slot, data, children, depth: 0 }];
        while let Some(top) = stack.last_mut() {
            let Some(child) = top.children.pop() else {
                if let Some(frame) = stack.pop() {
                    held -= frame.data.len() as u64;
                    self.recycle(frame.data);
                }
                continue;
            };
            let (base_slot, depth) = (top.slot, top.depth + 1);
            let offset = self.resolver.slots[child as usize].offset;
            if depth > self.resolver.limits.max_delta_depth {
                return Err(over("deltas on deltas", depth.into(), self.resolver.limits.max_delta_depth.into()));
            }
            let mut out = self.spare.pop().unwrap_or_default();
            let arena = self.resolver.arena;
            let start = arena.starts.get(child as usize).copied().unwrap_or(NOT_KEPT);
            if start == NOT_KEPT {
                let mut delta = std::mem::take(&mut self.delta);
                self.inflate(child, &mut delta)?;
                self.delta = delta;
            }
            let top = stack.last().expect("the frame whose child this is");
            let instructions = if start == NOT_KEPT {
                &self.delta[..]
            } else {
                &arena.bytes[start as usize..start as usize + self.resolver.slots[child as usize].size as usize]
            };
            delta::apply(&top.data, instructions, self.resolver.limits.max_object_bytes, &mut out)
                .map_err(|source| IngestError::Delta { offset, source })?;
            let id = checked_object_id(kind, &out).map_err(|error| IngestError::BadObject(error.to_string()))?;
            let id = raw(&id);
            inspect(&mut self.part.inspection, &mut self.part.commits, child, &id, kind, &out)?;
            self.part.found.push(Found { slot: child, id, kind, size: out.len() as u32, base: Some(base_slot) });
            self.n_done.fetch_add(1, Ordering::Relaxed);
            let children = self.resolver.children(child, &id);
            if children.is_empty() {
                self.recycle(out);
                continue;
            }
            // The last child of a base takes its place: a chain without branches holds one object.
            if stack.last().is_some_and(|top| top.children.is_empty())
                && let Some(frame) = stack.pop()
            {
                held -= frame.data.len() as u64;
                self.recycle(frame.data);
            }
            held += out.len() as u64;
            if held > self.resolver.limits.max_resolve_bytes {
                return Err(over("bytes held while resolving deltas", held, self.resolver.limits.max_resolve_bytes));
            }
            stack.push(Frame { slot: child, data: out, children, depth });
        }
        Ok(())
    }

    fn recycle(&mut self, buffer: Vec<u8>) {
        if self.spare.len() < 16 && buffer.capacity() < 4 << 20 {
            self.spare.push(buffer);
        }
    }

    fn inflate(&mut self, slot: u32, out: &mut Vec<u8>) -> Result<(), IngestError> {
        let entry = &self.resolver.slots[slot as usize];
        let from = entry.offset + u64::from(entry.header_len);
        let len = (self.resolver.entry_end(slot) - from) as usize;
        self.raw.resize(len, 0);
        self.resolver.pack.read_at(from, &mut self.raw).map_err(IngestError::Store)?;
        self.inflater
            .all(&self.raw, entry.size as usize, out)
            .map_err(|source| IngestError::Inflate { offset: entry.offset, source })?;
        Ok(())
    }
}

fn inspect(
    inspection: &mut Inspection,
    commits: &mut Vec<CommitEntry>,
    slot: u32,
    id: &RawId,
    kind: ObjectKind,
    data: &[u8],
) -> Result<(), IngestError> {
    inspection.object(id, kind, data).map_err(IngestError::BadObject)?;
    if kind == ObjectKind::Commit {
        commits.push(commit_entry(slot, data).map_err(IngestError::BadObject)?);
    }
    Ok(())
}

/// What the index keeps of a commit.
pub fn commit_entry(position: u32, data: &[u8]) -> Result<CommitEntry, String> {
    let commit = crate::repository::object::CommitView::parse(data).map_err(|error| error.to_string())?;
    Ok(CommitEntry {
        position,
        time: i64::try_from(commit.committer_time()).unwrap_or(i64::MAX),
        tree: raw(&commit.tree()),
        parents: commit.parents().map(|parent| raw(&parent)).collect(),
    })
}

fn over(what: &str, number: u64, limit: u64) -> IngestError {
    IngestError::OverLimit { what: format!("{number} {what}"), limit }
}
