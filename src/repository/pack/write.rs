//! Writing a pack for a client: stored entries are copied as they are, with a new header where their base moved.
//!
//! Entries go out in the order in which they are stored, pack by pack, so that a base comes before its offset deltas and
//! files are read forwards. A stored delta is reused if its base goes out too, from the same pack (two copies from
//! different packs could lean on each other in a circle), or, in a thin pack, if the client has the base. Otherwise the
//! object is sent whole. Objects that occur in several packs are sent once.

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

/// Bytes read at once while entries are copied in order.
const WINDOW_BYTES: usize = 1 << 20;

/// Writes the selected objects as a pack of version 2. `progress` is told how many objects are out.
pub fn write_pack(
    objects: &Objects,
    selected: &PlaceSet,
    options: &WriteOptions<'_>,
    out: &mut dyn Write,
    progress: &mut dyn FnMut(u32) -> io::Result<()>,
) -> io::Result<Written> {
    let n_packs = objects.packs().len();
    // An object may lie in several packs, and twice in one that was pushed so: it is sent once. Ids decide across packs, the
    // first position within one.
    let mut places: Vec<Place> = Vec::with_capacity(selected.len());
    let mut is_sent = objects.place_set();
    {
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
    }
    let n_objects = u32::try_from(places.len()).map_err(|_| io::Error::other("too many objects for one pack"))?;
    let mut out = Hashed { out, hasher: sha1::Sha1::new(), bytes: 0 };
    let mut header = *b"PACK\0\0\0\x02\0\0\0\0";
    header[8..].copy_from_slice(&n_objects.to_be_bytes());
    out.write_all(&header)?;

    let mut written = Written { n_objects, ..Written::default() };
    // Where each sent entry begins in the new pack; kept for the pack being written, since bases stay within it.
    let mut offsets: HashMap<u32, u64> = HashMap::new();
    let mut reader = objects.reader(16 << 20);
    let mut window = Window::default();
    let mut scratch = Vec::new();
    let mut current_pack = u32::MAX;
    let bases = bases_in_use(objects, &places);
    for (i, place) in places.iter().enumerate() {
        if place.pack != current_pack {
            current_pack = place.pack;
            offsets.clear();
            window.forget();
        }
        let pack = &objects.packs()[place.pack as usize];
        let begins = out.bytes;
        if bases.contains(*place) {
            offsets.insert(place.position, begins);
        }
        let range = pack.index.range(place.position);
        scratch.clear();
        match pack.index.storage(place.position) {
            Storage::Whole => {
                let entry = window.get(&pack.bytes, range, pack.index.end())?;
                out.write_all(entry)?;
            }
            Storage::Delta(base) => {
                let base_place = Place { pack: place.pack, position: base };
                let goes_out = is_sent.contains(base_place);
                let client_has = !goes_out && options.thin_bases.is_some_and(|has| has(base_place));
                if goes_out || client_has {
                    let entry = window.get(&pack.bytes, range, pack.index.end())?;
                    let stored = EntryHeader::parse(entry).map_err(io::Error::other)?;
                    let kind = match offsets.get(&base) {
                        Some(base_begins) if options.ofs_delta && goes_out => {
                            EntryKind::OffsetDelta(begins - base_begins)
                        }
                        _ => EntryKind::RefDelta(pack.index.id(base)),
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
                    written.n_recompressed += 1;
                }
            }
        }
        if i % 1024 == 0 {
            progress(i as u32)?;
        }
    }
    progress(n_objects)?;
    let Hashed { out, hasher, bytes } = out;
    let trailer: [u8; 20] = hasher.finalize().into();
    out.write_all(&trailer)?;
    written.bytes = bytes + 20;
    Ok(written)
}

/// The sent entries that some sent delta has for a base: only their offsets need to be remembered.
fn bases_in_use(objects: &Objects, places: &[Place]) -> PlaceSet {
    let mut bases = objects.place_set();
    for place in places {
        if let Storage::Delta(base) = objects.packs()[place.pack as usize].index.storage(place.position) {
            bases.insert(Place { pack: place.pack, position: base });
        }
    }
    bases
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
