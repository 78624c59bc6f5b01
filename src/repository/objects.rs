//! The objects of a repository at one generation: its packs in order, and which of their objects are served.
//!
//! Stored is not served. An object is handed out, leaned on by a push or used as a delta base only if it is in the served
//! set: what some ref that the reader may see reaches. The set is one bitmap a pack over positions; most packs are served
//! whole.

use std::io;
use std::sync::Arc;

use roaring::RoaringBitmap;

use super::object::ObjectKind;
use super::pack::ingest::ServedObjects;
use super::pack::oid_hash::RawId;
use super::pack::read::{ObjectReader, Pack, Place};

/// Which objects of a pack refs reach.
#[derive(Debug, Clone, PartialEq)]
pub enum Served {
    /// Every one.
    All,
    /// Those at these positions.
    Some(Arc<RoaringBitmap>),
}

impl Served {
    /// Whether the object at this position is served.
    pub fn contains(&self, position: u32) -> bool {
        match self {
            Served::All => true,
            Served::Some(positions) => positions.contains(position),
        }
    }
}

/// The packs of a repository and what is served of each, in the order of the manifest.
#[derive(Clone, Default)]
pub struct Objects {
    packs: Arc<[Arc<Pack>]>,
    served: Arc<[Served]>,
}

impl Objects {
    /// Of packs and what is served of each.
    pub fn new(packs: Vec<(Arc<Pack>, Served)>) -> Objects {
        let (packs, served): (Vec<_>, Vec<_>) = packs.into_iter().unzip();
        Objects { packs: packs.into(), served: served.into() }
    }

    /// The packs.
    pub fn packs(&self) -> &[Arc<Pack>] {
        &self.packs
    }

    /// What is served of the pack at `i`.
    pub fn served(&self, i: usize) -> &Served {
        &self.served[i]
    }

    /// Where a stored object is, served or not. Of several copies a served one is taken if there is one.
    pub fn find_stored(&self, id: &RawId) -> Option<Place> {
        let mut stored = None;
        // Newest first: what was pushed last is asked for first.
        for (i, pack) in self.packs.iter().enumerate().rev() {
            if let Some(position) = pack.index.find(id) {
                let place = Place { pack: i as u32, position };
                if self.served[i].contains(position) {
                    return Some(place);
                }
                stored = Some(place);
            }
        }
        stored
    }

    /// Every place of a stored object, one a pack.
    pub fn copies(&self, id: &RawId) -> impl Iterator<Item = Place> {
        self.packs
            .iter()
            .enumerate()
            .filter_map(move |(i, pack)| Some(Place { pack: i as u32, position: pack.index.find(id)? }))
    }

    /// Where a served object is.
    pub fn find(&self, id: &RawId) -> Option<Place> {
        self.find_stored(id).filter(|place| self.is_served(*place))
    }

    /// Whether the object at a place is served.
    pub fn is_served(&self, place: Place) -> bool {
        self.served[place.pack as usize].contains(place.position)
    }

    /// What the object at a place is.
    pub fn kind(&self, place: Place) -> ObjectKind {
        self.packs[place.pack as usize].index.kind(place.position)
    }

    /// Size of the object at a place in bytes.
    pub fn size(&self, place: Place) -> u32 {
        self.packs[place.pack as usize].index.size(place.position)
    }

    /// The id of the object at a place.
    pub fn id(&self, place: Place) -> RawId {
        self.packs[place.pack as usize].index.id(place.position)
    }

    /// A reader over these packs that remembers up to `cache_bytes`.
    pub fn reader(&self, cache_bytes: u64) -> ObjectReader<'_> {
        ObjectReader::new(&self.packs, cache_bytes)
    }

    /// An empty set of places of these packs.
    pub fn place_set(&self) -> PlaceSet {
        let mut starts = Vec::with_capacity(self.packs.len());
        let mut n = 0usize;
        for pack in self.packs.iter() {
            starts.push(n);
            n += pack.index.len() as usize;
        }
        PlaceSet { starts, words: vec![0; n.div_ceil(64)] }
    }
}

impl ServedObjects for Objects {
    fn kind(&self, id: &RawId) -> io::Result<Option<ObjectKind>> {
        Ok(self.find(id).map(|place| Objects::kind(self, place)))
    }

    fn read(&self, id: &RawId) -> io::Result<Option<(ObjectKind, Vec<u8>)>> {
        let Some(place) = self.find(id) else { return Ok(None) };
        let mut reader = self.reader(1 << 20);
        Ok(Some((reader.kind(place), reader.read_once(place)?.to_vec())))
    }
}

/// A set of places, one bit each.
pub struct PlaceSet {
    starts: Vec<usize>,
    words: Vec<u64>,
}

impl PlaceSet {
    #[inline]
    fn bit(&self, place: Place) -> usize {
        self.starts[place.pack as usize] + place.position as usize
    }

    /// Puts a place in; says whether it is new.
    #[inline]
    pub fn insert(&mut self, place: Place) -> bool {
        let bit = self.bit(place);
        let (word, mask) = (&mut self.words[bit / 64], 1u64 << (bit % 64));
        let is_new = *word & mask == 0;
        *word |= mask;
        is_new
    }

    /// Takes a place out; says whether it was in.
    pub fn remove(&mut self, place: Place) -> bool {
        let bit = self.bit(place);
        let (word, mask) = (&mut self.words[bit / 64], 1u64 << (bit % 64));
        let was_in = *word & mask != 0;
        *word &= !mask;
        was_in
    }

    /// Whether a place is in.
    #[inline]
    pub fn contains(&self, place: Place) -> bool {
        let bit = self.bit(place);
        self.words[bit / 64] >> (bit % 64) & 1 == 1
    }

    /// How many places are in.
    pub fn len(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether nothing is in.
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }

    /// The places in order: pack by pack, by position.
    pub fn iter(&self) -> impl Iterator<Item = Place> + '_ {
        let mut pack = 0;
        self.words
            .iter()
            .enumerate()
            .flat_map(|(i, word)| {
                let mut rest = *word;
                std::iter::from_fn(move || {
                    (rest != 0).then(|| {
                        let bit = rest.trailing_zeros() as usize;
                        rest &= rest - 1;
                        i * 64 + bit
                    })
                })
            })
            .map(move |bit| {
                while pack + 1 < self.starts.len() && self.starts[pack + 1] <= bit {
                    pack += 1;
                }
                Place { pack: pack as u32, position: (bit - self.starts[pack]) as u32 }
            })
    }

    /// The positions of one pack that are in, as a bitmap.
    pub fn of_pack(&self, pack: u32) -> RoaringBitmap {
        let from = self.starts[pack as usize];
        let to = self.starts.get(pack as usize + 1).copied().unwrap_or(self.words.len() * 64);
        RoaringBitmap::from_sorted_iter(
            (from..to).filter(|bit| self.words[bit / 64] >> (bit % 64) & 1 == 1).map(|bit| (bit - from) as u32),
        )
        .expect("positions ascend")
    }
}
