//! Writing a pack, for a client or to join several: stored entries are copied as they are, with a new header where their
//! base moved.
//!
//! Entries go out in the order in which they are stored, pack by pack, so that a base comes before its offset deltas and
//! files are read forwards. A stored delta is reused if its base goes out too, or, in a thin pack, if the client has the
//! base. Otherwise the object is sent whole. Objects that occur in several packs are sent once.
//!
//! INVARIANT: a delta leans on the entry that it was stored against, or on a copy of that base from a pack earlier in the
//! list. Following bases therefore goes down a chain within one pack or on to an earlier pack, and never in a circle, as
//! two copies that were stored against each other's object would.

use std::collections::HashMap;
use std::io::{self, Write};

use sha1::Digest;

use super::entry::{EntryHeader, EntryKind};
use super::index::Storage;
use super::oid_hash::IdSet;
use super::read::{PackBytes, Place};
use crate::repository::objects::{Objects, PlaceSet};

/// How a pack is to be written.
pub struct WriteOptions<'a> {
    /// The client understands deltas whose base is named by distance.
    pub ofs_delta: bool,
    /// Objects that the client has, which a thin pack may lean on.
    pub thin_bases: Option<&'a dyn Fn(Place) -> bool>,
}

/// What was written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Written {
    /// Objects.
    pub n_objects: u32,
    /// Deltas copied as stored.
    pub n_reused_deltas: u32,
    /// Objects that had to be made and compressed anew.
    pub n_recompressed: u32,
    /// Bytes, header and trailer included.
    pub bytes: u64,
}

/// One entry that was written.
#[derive(Debug, Clone, Copy)]
pub struct WrittenEntry {
    /// Where it was stored.
    pub place: Place,
    /// Where it begins in what was written, header included.
    pub offset: u64,
    /// For a delta whose base was written, too: where that was stored.
    pub base: Option<Place>,
}

/// Length of the header before the entries.
pub const HEADER_LEN: u64 = 12;

/// Bytes read at once while entries are copied in order.
const WINDOW_BYTES: usize = 1 << 20;

/// Longest chain that a delta may be put on when its base is another pack's copy: without a bound, joining a file's versions
/// from one push after another would chain them all.
const MAX_JOINED_CHAIN: usize = 50;

/// Writes the selected objects as a pack of version 2. `progress` is told how many objects are out.
pub fn write_pack(
    objects: &Objects,
    selected: &PlaceSet,
    options: &WriteOptions<'_>,
    out: &mut dyn Write,
    progress: &mut dyn FnMut(u32) -> io::Result<()>,
) -> io::Result<Written> {
    write_entries(objects, selected, options, out, progress, &mut |_| {}).map(|(written, _)| written)
}

/// [`write_pack`] that tells of each entry, and gives the checksum that ended the pack.
pub fn write_entries(
    objects: &Objects,
    selected: &PlaceSet,
    options: &WriteOptions<'_>,
    out: &mut dyn Write,
    progress: &mut dyn FnMut(u32) -> io::Result<()>,
    wrote: &mut dyn FnMut(WrittenEntry),
) -> io::Result<(Written, [u8; 20])> {
    let chosen = Chosen::among(objects, selected);
    let n_objects =
        u32::try_from(chosen.places.len()).map_err(|_| io::Error::other("too many objects for one pack"))?;
    let mut out = Hashed { out, hasher: sha1::Sha1::new(), bytes: 0 };
    let mut header = *b"PACK\0\0\0\x02\0\0\0\0";
    header[8..].copy_from_slice(&n_objects.to_be_bytes());
    out.write_all(&header)?;

    let mut written = Written { n_objects, ..Written::default() };
    // Where each sent entry that others lean on begins in the new pack.
    let bases = chosen.bases_in_use();
    let mut offsets: HashMap<Place, u64> = HashMap::new();
    let mut made_whole = objects.place_set();
    let mut reader = objects.reader(16 << 20);
    let mut window = Window::default();
    let mut scratch = Vec::new();
    let mut current_pack = u32::MAX;
    for (i, place) in chosen.places.iter().enumerate() {
        if place.pack != current_pack {
            current_pack = place.pack;
            window.forget();
        }
        let pack = &objects.packs()[place.pack as usize];
        let begins = out.bytes;
        if bases.contains(*place) {
            offsets.insert(*place, begins);
        }
        let range = pack.index.range(place.position);
        scratch.clear();
        let mut base = None;
        match pack.index.storage(place.position) {
            Storage::Whole => {
                let entry = window.get(&pack.bytes, range, pack.index.end())?;
                out.write_all(entry)?;
            }
            Storage::Delta(position) => {
                let stored_base = Place { pack: place.pack, position };
                base = chosen
                    .base_of(stored_base)
                    .filter(|base| base.pack == place.pack || chosen.chain_is_short(*base, &made_whole));
                let client_has = base.is_none() && options.thin_bases.is_some_and(|has| has(stored_base));
                if base.is_some() || client_has {
                    let entry = window.get(&pack.bytes, range, pack.index.end())?;
                    let stored = EntryHeader::parse(entry).map_err(io::Error::other)?;
                    let begins_at = base.and_then(|base| offsets.get(&base));
                    let kind = match begins_at {
                        Some(base_begins) if options.ofs_delta => EntryKind::OffsetDelta(begins - base_begins),
                        _ => EntryKind::RefDelta(pack.index.id(position)),
                    };
                    if kind == stored.kind {
                        out.write_all(entry)?;
                    } else {
                        EntryHeader::write(&kind, stored.size, &mut scratch);
                        out.write_all(&scratch)?;
                        out.write_all(&entry[stored.len..])?;
                    }
                    written.n_reused_deltas += 1;
                } else {
                    let kind = reader.kind(*place);
                    let data = reader.read(*place)?;
                    EntryHeader::write(&EntryKind::Whole(kind), data.len() as u64, &mut scratch);
                    let mut encoder = flate2::write::ZlibEncoder::new(&mut scratch, flate2::Compression::default());
                    encoder.write_all(&data)?;
                    encoder.finish()?;
                    out.write_all(&scratch)?;
                    made_whole.insert(*place);
                    written.n_recompressed += 1;
                }
            }
        }
        wrote(WrittenEntry { place: *place, offset: begins, base });
        if i % 1024 == 0 {
            progress(i as u32)?;
        }
    }
    progress(n_objects)?;
    let Hashed { out, hasher, bytes } = out;
    let trailer: [u8; 20] = hasher.finalize().into();
    out.write_all(&trailer)?;
    written.bytes = bytes + 20;
    Ok((written, trailer))
}

/// Which copies are sent, in the order in which they are.
struct Chosen<'a> {
    objects: &'a Objects,
    places: Vec<Place>,
    is_sent: PlaceSet,
}

impl Chosen<'_> {
    /// An object may lie in several packs, and twice in one that was pushed so: it is sent once. Ids decide across packs, the
    /// first position within one.
    fn among<'a>(objects: &'a Objects, selected: &PlaceSet) -> Chosen<'a> {
        let n_packs = objects.packs().len();
        let mut places: Vec<Place> = Vec::with_capacity(selected.len());
        let mut is_sent = objects.place_set();
        let mut seen = IdSet::default();
        for place in selected.iter() {
            let id = objects.id(place);
            let is_new = match n_packs {
                1 => objects.packs()[0].index.find(&id) == Some(place.position),
                _ => seen.insert(id),
            };
            if is_new {
                places.push(place);
                is_sent.insert(place);
            }
        }
        Chosen { objects, places, is_sent }
    }

    /// The sent entry that holds the object of `stored_base`: that itself, or a copy from an earlier pack.
    fn base_of(&self, stored_base: Place) -> Option<Place> {
        if self.is_sent.contains(stored_base) {
            return Some(stored_base);
        }
        let id = self.objects.id(stored_base);
        self.objects
            .copies(&id)
            .take_while(|copy| copy.pack < stored_base.pack)
            .find(|copy| self.is_sent.contains(*copy))
    }

    /// Whether the chain below an entry leaves room for one more delta.
    fn chain_is_short(&self, entry: Place, made_whole: &PlaceSet) -> bool {
        let mut at = entry;
        for _ in 0..MAX_JOINED_CHAIN {
            if made_whole.contains(at) {
                return true;
            }
            let index = &self.objects.packs()[at.pack as usize].index;
            let Storage::Delta(position) = index.storage(at.position) else { return true };
            match self.base_of(Place { pack: at.pack, position }) {
                Some(base) => at = base,
                None => return true,
            }
        }
        false
    }

    /// The sent entries that some sent delta has for a base: only their offsets need to be remembered.
    fn bases_in_use(&self) -> PlaceSet {
        let mut bases = self.objects.place_set();
        for place in &self.places {
            if let Storage::Delta(position) = self.objects.packs()[place.pack as usize].index.storage(place.position)
                && let Some(base) = self.base_of(Place { pack: place.pack, position })
            {
                bases.insert(base);
            }
        }
        bases
    }
}

/// A stretch of a pack's bytes, read ahead while entries are taken in order.
#[derive(Default)]
struct Window {
    bytes: Vec<u8>,
    from: u64,
    /// Where the last entry ended: the next one beginning close behind it means that reading ahead pays.
    last_end: u64,
}

impl Window {
    fn forget(&mut self) {
        self.bytes.clear();
        self.from = 0;
        self.last_end = 0;
    }

    fn get(&mut self, pack: &PackBytes, range: std::ops::Range<u64>, end: u64) -> io::Result<&[u8]> {
        let len = (range.end - range.start) as usize;
        let is_inside = range.start >= self.from && range.end <= self.from + self.bytes.len() as u64;
        if !is_inside {
            let is_near = range.start.saturating_sub(self.last_end) < 32 << 10;
            let ahead = if is_near { WINDOW_BYTES } else { 0 };
            let take = (len.max(ahead) as u64).min(end - range.start) as usize;
            self.bytes.resize(take, 0);
            self.from = range.start;
            pack.read_at(range.start, &mut self.bytes)?;
        }
        self.last_end = range.end;
        let at = (range.start - self.from) as usize;
        Ok(&self.bytes[at..at + len])
    }
}

struct Hashed<'a> {
    out: &'a mut dyn Write,
    hasher: sha1::Sha1,
    bytes: u64,
}

impl Write for Hashed<'_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.out.write_all(data)?;
        self.hasher.update(data);
        self.bytes += data.len() as u64;
        Ok(data.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
