//! Reading one object out of sealed packs: the entry, the chain of deltas under it, the object.
//!
//! A reader belongs to one walk or one transfer. It keeps one decoder and two buffers that swap places along a chain, and
//! remembers the objects it has made up to a budget, because walks ask for versions of the same tree one after another
//! and the last answer is the next one's base.

use std::io;
use std::sync::Arc;

use super::delta;
use super::entry::EntryHeader;
use super::index::{PackIndex, Storage};
use super::inflate::Inflater;
use crate::repository::object::ObjectKind;
use crate::store::file::SealedFile;

/// The raw entries of a pack: in memory while small or just received, sealed otherwise.
#[derive(Clone)]
pub enum PackBytes {
    /// All of it, in memory.
    Memory(Arc<[u8]>),
    /// In a sealed file, read through the block cache.
    Sealed(SealedFile),
}

impl PackBytes {
    /// Fills `buffer` from `offset`; reading beyond the end is an error.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        match self {
            PackBytes::Memory(bytes) => {
                let from = usize::try_from(offset).map_err(|_| damaged(offset, "an offset is too large"))?;
                let part = from.checked_add(buffer.len()).and_then(|to| bytes.get(from..to));
                buffer.copy_from_slice(part.ok_or_else(|| damaged(offset, "the pack ends too early"))?);
                Ok(())
            }
            PackBytes::Sealed(file) => file.read_at(offset, buffer).map_err(io::Error::other),
        }
    }
}

impl PackBytes {
    /// Gives the bytes of `range` in order, in parts of up to a megabyte, without filling the block cache.
    pub fn stream(&self, range: std::ops::Range<u64>, give: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        match self {
            PackBytes::Memory(bytes) => {
                let part = bytes.get(range.start as usize..range.end as usize);
                part.ok_or_else(|| damaged(range.start, "the pack ends too early"))?.chunks(1 << 20).try_for_each(give)
            }
            PackBytes::Sealed(file) => file.stream(range, give),
        }
    }
}

/// A pack that is open for reading.
pub struct Pack {
    /// What is in it.
    pub index: PackIndex,
    /// Its raw entries.
    pub bytes: PackBytes,
}

/// Where an object is: a pack of the repository's list, and the position in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Which pack of the list.
    pub pack: u32,
    /// Position in that pack.
    pub position: u32,
}

/// Reads objects of a list of packs.
pub struct ObjectReader<'a> {
    packs: &'a [Arc<Pack>],
    inflater: Inflater,
    raw: Vec<u8>,
    delta: Vec<u8>,
    ping: Vec<u8>,
    pong: Vec<u8>,
    cache: quick_cache::unsync::Cache<Place, Arc<[u8]>, ByBytes>,
    /// Largest object that is remembered.
    remember_up_to: usize,
}

#[derive(Clone)]
struct ByBytes;

impl quick_cache::Weighter<Place, Arc<[u8]>> for ByBytes {
    fn weight(&self, _: &Place, data: &Arc<[u8]>) -> u64 {
        data.len() as u64 + 64
    }
}

/// Longest chain of deltas that is followed. Packs that came in are held to less.
const MAX_CHAIN: usize = 10_000;

impl<'a> ObjectReader<'a> {
    /// A reader that remembers up to `cache_bytes` of objects.
    pub fn new(packs: &'a [Arc<Pack>], cache_bytes: u64) -> ObjectReader<'a> {
        ObjectReader {
            packs,
            inflater: Inflater::default(),
            raw: Vec::new(),
            delta: Vec::new(),
            ping: Vec::new(),
            pong: Vec::new(),
            cache: quick_cache::unsync::Cache::with_weighter((cache_bytes / 2048) as usize, cache_bytes, ByBytes),
            remember_up_to: (cache_bytes / 16) as usize,
        }
    }

    /// What the object at a place is.
    pub fn kind(&self, place: Place) -> ObjectKind {
        self.packs[place.pack as usize].index.kind(place.position)
    }

    /// The object at a place, remembered for the walk's next question.
    pub fn read(&mut self, place: Place) -> io::Result<Arc<[u8]>> {
        if let Some(found) = self.cache.get(&place) {
            return Ok(found.clone());
        }
        // Walks go from old trees to new ones, and old ones are stored as deltas on newer: what is made on the way down a
        // chain is what will be asked for next.
        self.make(place, self.kind(place) == ObjectKind::Tree)?;
        let data: Arc<[u8]> = Arc::from(&self.ping[..]);
        if data.len() <= self.remember_up_to {
            self.cache.insert(place, data.clone());
        }
        Ok(data)
    }

    /// The object at a place, in a buffer that the next call overwrites; it is not remembered.
    pub fn read_once(&mut self, place: Place) -> io::Result<&[u8]> {
        if let Some(found) = self.cache.get(&place) {
            self.ping.clear();
            self.ping.extend_from_slice(found);
        } else {
            self.make(place, false)?;
        }
        Ok(&self.ping)
    }

    /// Leaves the object at `place` in `self.ping`. What is made on the way is remembered if `remember`.
    fn make(&mut self, place: Place, remember: bool) -> io::Result<()> {
        let pack = &self.packs[place.pack as usize];
        let mut chain = Vec::new();
        let mut at = place.position;
        let mut base: Option<Arc<[u8]>> = None;
        while let Storage::Delta(next) = pack.index.storage(at) {
            chain.push(at);
            if chain.len() > MAX_CHAIN {
                return Err(damaged(pack.index.range(place.position).start, "a chain of deltas does not end"));
            }
            at = next;
            if let Some(found) = self.cache.get(&Place { pack: place.pack, position: at }) {
                base = Some(found.clone());
                break;
            }
        }
        match base {
            Some(base) => {
                // The first delta is applied to the remembered bytes in place of a copy.
                if let Some(first) = chain.pop() {
                    self.inflate_delta(pack, first)?;
                    delta::apply(&base, &self.delta, u64::from(u32::MAX), &mut self.ping).map_err(io::Error::other)?;
                    at = first;
                }
            }
            None => {
                let mut out = std::mem::take(&mut self.ping);
                self.inflate_entry(pack, at, &mut out)?;
                self.ping = out;
            }
        }
        while let Some(next) = chain.pop() {
            if remember && self.ping.len() <= self.remember_up_to {
                self.cache.insert(Place { pack: place.pack, position: at }, Arc::from(&self.ping[..]));
            }
            at = next;
            self.inflate_delta(pack, next)?;
            delta::apply(&self.ping, &self.delta, u64::from(u32::MAX), &mut self.pong).map_err(io::Error::other)?;
            std::mem::swap(&mut self.ping, &mut self.pong);
        }
        Ok(())
    }

    fn inflate_delta(&mut self, pack: &Pack, position: u32) -> io::Result<()> {
        let mut out = std::mem::take(&mut self.delta);
        let result = self.inflate_entry(pack, position, &mut out);
        self.delta = out;
        result
    }

    fn inflate_entry(&mut self, pack: &Pack, position: u32, out: &mut Vec<u8>) -> io::Result<()> {
        let range = pack.index.range(position);
        let len = usize::try_from(range.end - range.start).map_err(|_| damaged(range.start, "an entry is too long"))?;
        self.raw.resize(len, 0);
        pack.bytes.read_at(range.start, &mut self.raw)?;
        let header = EntryHeader::parse(&self.raw).map_err(io::Error::other)?;
        let size = usize::try_from(header.size).map_err(|_| damaged(range.start, "an entry is too large"))?;
        self.inflater.all(&self.raw[header.len..], size, out).map_err(io::Error::other)?;
        Ok(())
    }
}

fn damaged(offset: u64, what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the pack is damaged at byte {offset}: {what}"))
}
