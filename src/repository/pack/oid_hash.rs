//! Hash tables keyed by object ids. Ids are uniform only when nobody chooses them: a tree may name any twenty bytes, so
//! the hash is keyed per process, or a pushed tree could make every look-up collide.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, Hasher};
use std::sync::OnceLock;

/// Twenty raw bytes of a SHA-1 object id, the key form of the hot tables.
pub type RawId = [u8; 20];

/// A set of object ids.
pub type IdSet = HashSet<RawId, IdState>;
/// A map from object ids.
pub type IdMap<V> = HashMap<RawId, V, IdState>;

/// Builds [`IdHasher`]s with this process's key.
#[derive(Clone, Copy)]
pub struct IdState {
    keys: (u64, u64),
}

impl Default for IdState {
    fn default() -> Self {
        static KEYS: OnceLock<(u64, u64)> = OnceLock::new();
        let keys = *KEYS.get_or_init(|| {
            let random = std::hash::RandomState::new();
            (random.hash_one(1u8), random.hash_one(2u8))
        });
        IdState { keys }
    }
}

impl BuildHasher for IdState {
    type Hasher = IdHasher;
    fn build_hasher(&self) -> IdHasher {
        IdHasher { keys: self.keys, hash: 0 }
    }
}

/// Folds the id's bytes with two keyed 64-bit multiplications.
pub struct IdHasher {
    keys: (u64, u64),
    hash: u64,
}

impl Hasher for IdHasher {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        if let (Some(a), Some(b)) = (bytes.first_chunk::<8>(), bytes.get(8..16).and_then(|b| b.first_chunk::<8>())) {
            let a = u64::from_le_bytes(*a) ^ self.keys.0;
            let b = u64::from_le_bytes(*b) ^ self.keys.1;
            let product = u128::from(a) * u128::from(b);
            let tail = bytes[16..].iter().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
            let second = u128::from(tail ^ self.keys.1) * u128::from(self.keys.0 | 1);
            self.hash ^= (product as u64) ^ (product >> 64) as u64 ^ (second as u64) ^ (second >> 64) as u64;
        } else {
            for byte in bytes {
                self.hash = (self.hash ^ u64::from(*byte)).wrapping_mul(self.keys.0 | 1);
            }
        }
    }
    // The length prefix of an array adds nothing: every key has twenty bytes.
    #[inline]
    fn write_usize(&mut self, _: usize) {}
    #[inline]
    fn finish(&self) -> u64 {
        self.hash
    }
}

/// The raw bytes of an id. Only SHA-1 repositories exist so far.
#[inline]
pub fn raw(id: &gix_hash::oid) -> RawId {
    let mut out = [0; 20];
    out.copy_from_slice(&id.as_bytes()[..20]);
    out
}
