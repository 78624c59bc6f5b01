//! The index beside a pack: ids, offsets, kinds, sizes, delta bases, the commits' headers and the pack's roots.
//!
//! The layout is `store/FORMAT.md`, "Pack index": fixed-width little-endian sections, so that a loaded index is its bytes
//! and nothing is parsed entry by entry. Objects are numbered by their place in the pack (`position`), because that is
//! the order in which packs are written and read.
//!
//! The commits section repeats each commit's tree, parents and time: history walks, ancestor tests and shallow
//! computations never inflate a commit. The roots are objects of the pack that together reach all of it, such as
//! those that no other object of the pack names: whether a push sent something that nothing needs is a look at them.

use super::oid_hash::RawId;
use crate::repository::object::ObjectKind;

/// How the bytes at a position are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Storage {
    /// As a whole object.
    Whole,
    /// As a delta against the object at this position of the same pack.
    Delta(u32),
}

/// One object as the builder takes it, in pack order.
#[derive(Debug, Clone, Copy)]
pub struct IndexEntry {
    /// The object's id.
    pub id: RawId,
    /// Where its entry begins, in bytes from the first entry.
    pub offset: u64,
    /// What the object is.
    pub kind: ObjectKind,
    /// Size of the object in bytes.
    pub size: u32,
    /// How it is stored.
    pub storage: Storage,
}

/// What an index keeps of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitEntry {
    /// Position of the commit in the pack.
    pub position: u32,
    /// Committer time in seconds since the Unix epoch.
    pub time: i64,
    /// The commit's tree.
    pub tree: RawId,
    /// Its parents in order.
    pub parents: Vec<RawId>,
}

/// An index whose bytes are not one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the pack index is damaged: {0}")]
pub struct DamagedIndex(&'static str);

/// A loaded index.
pub struct PackIndex {
    bytes: Vec<u8>,
    n: u32,
    ids: usize,
    positions: usize,
    offsets: usize,
    kinds: usize,
    bases: usize,
    sizes: usize,
    roots: std::ops::Range<usize>,
    commits: std::ops::Range<usize>,
    /// First sorted place of each prefix of `16 - prefix_shift` bits, and the end.
    fanout: Vec<u32>,
    /// Small packs have few prefixes: there are many of them.
    prefix_shift: u32,
    /// Sorted place by position.
    sorted: Vec<u32>,
}

const MAGIC: &[u8; 4] = b"LGIX";
const VERSION: u32 = 1;
const HEADER_LEN: usize = 32;
const NO_BASE: u32 = u32::MAX;

/// Builds the bytes of an index. `entries` are in pack order, `end` is where the last entry ends, `roots` are positions.
pub fn build(entries: &[IndexEntry], end: u64, roots: &[u32], commits: &[CommitEntry]) -> Vec<u8> {
    let n = entries.len();
    let mut order: Vec<u32> = (0..n as u32).collect();
    order.sort_unstable_by(|a, b| entries[*a as usize].id.cmp(&entries[*b as usize].id).then(a.cmp(b)));
    let mut out = Vec::with_capacity(HEADER_LEN + n * 41 + 8 + roots.len() * 4 + commits.len() * 56);
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(&(n as u32).to_le_bytes());
    out.extend_from_slice(&(roots.len() as u32).to_le_bytes());
    out.extend_from_slice(&(commits.len() as u32).to_le_bytes());
    out.resize(HEADER_LEN, 0);
    for position in &order {
        out.extend_from_slice(&entries[*position as usize].id);
    }
    for position in &order {
        out.extend_from_slice(&position.to_le_bytes());
    }
    for entry in entries {
        out.extend_from_slice(&entry.offset.to_le_bytes());
    }
    out.extend_from_slice(&end.to_le_bytes());
    out.extend(entries.iter().map(|entry| entry.kind as u8));
    for entry in entries {
        let base = match entry.storage {
            Storage::Whole => NO_BASE,
            Storage::Delta(base) => base,
        };
        out.extend_from_slice(&base.to_le_bytes());
    }
    for entry in entries {
        out.extend_from_slice(&entry.size.to_le_bytes());
    }
    for root in roots {
        out.extend_from_slice(&root.to_le_bytes());
    }
    for commit in commits {
        out.extend_from_slice(&commit.position.to_le_bytes());
        out.extend_from_slice(&(commit.parents.len() as u32).to_le_bytes());
        out.extend_from_slice(&commit.time.to_le_bytes());
        out.extend_from_slice(&commit.tree);
        for parent in &commit.parents {
            out.extend_from_slice(parent);
        }
    }
    out
}

impl PackIndex {
    /// Takes the bytes of an index and checks that every number in it stays within the pack.
    pub fn parse(bytes: Vec<u8>) -> Result<PackIndex, DamagedIndex> {
        if bytes.len() < HEADER_LEN || &bytes[..4] != MAGIC {
            return Err(DamagedIndex("it does not begin as one"));
        }
        let word = |at: usize| u32_at(&bytes, at);
        if word(4) != VERSION {
            return Err(DamagedIndex("its version is unknown"));
        }
        let (n, n_roots, n_commits) = (word(8), word(12) as usize, word(16) as usize);
        let count = n as usize;
        let ids = HEADER_LEN;
        let positions = ids + count * 20;
        let offsets = positions + count * 4;
        let kinds = offsets + (count + 1) * 8;
        let bases = kinds + count;
        let sizes = bases + count * 4;
        let roots = sizes + count * 4..sizes + count * 4 + n_roots * 4;
        if bytes.len() < roots.end {
            return Err(DamagedIndex("it is cut off"));
        }
        let prefix_shift = match count {
            0..256 => 12,
            256..16_384 => 8,
            _ => 0,
        };
        let mut fanout = vec![0u32; (65_536 >> prefix_shift) + 1];
        let mut sorted = vec![u32::MAX; count];
        let mut previous: &[u8] = &[];
        for place in 0..count {
            let id = &bytes[ids + place * 20..ids + place * 20 + 20];
            if id < previous {
                return Err(DamagedIndex("its ids are not sorted"));
            }
            previous = id;
            fanout[(usize::from(u16::from_be_bytes([id[0], id[1]])) >> prefix_shift) + 1] += 1;
            let position = word(positions + place * 4) as usize;
            if position >= count || sorted[position] != u32::MAX {
                return Err(DamagedIndex("its positions are not a permutation"));
            }
            sorted[position] = place as u32;
        }
        for i in 0..65_536 >> prefix_shift {
            fanout[i + 1] += fanout[i];
        }
        for position in 0..count {
            let (from, to) = (u64_at(&bytes, offsets + position * 8), u64_at(&bytes, offsets + position * 8 + 8));
            if from >= to {
                return Err(DamagedIndex("its offsets do not ascend"));
            }
            if ObjectKind::from_pack_type(bytes[kinds + position]).is_none() {
                return Err(DamagedIndex("it has an unknown kind of object"));
            }
            let base = word(bases + position * 4);
            if base != NO_BASE && base >= n {
                return Err(DamagedIndex("a delta base is outside the pack"));
            }
        }
        if roots.clone().step_by(4).any(|at| word(at) >= n) {
            return Err(DamagedIndex("a root is outside the pack"));
        }
        let commits = roots.end..bytes.len();
        let mut at = commits.start;
        for _ in 0..n_commits {
            if at + 36 > bytes.len() || word(at) >= n {
                return Err(DamagedIndex("its commits are cut off"));
            }
            at = at.saturating_add(36).saturating_add((word(at + 4) as usize).saturating_mul(20));
        }
        if at != bytes.len() {
            return Err(DamagedIndex("its commits end elsewhere than stated"));
        }
        Ok(PackIndex {
            bytes,
            n,
            ids,
            positions,
            offsets,
            kinds,
            bases,
            sizes,
            roots,
            commits,
            fanout,
            prefix_shift,
            sorted,
        })
    }

    /// How many objects the pack has.
    pub fn len(&self) -> u32 {
        self.n
    }

    /// Whether the pack has no object.
    pub fn is_empty(&self) -> bool {
        self.n == 0
    }

    /// The position of an object; the first one where the pack holds it twice.
    #[inline]
    pub fn find(&self, id: &RawId) -> Option<u32> {
        let prefix = usize::from(u16::from_be_bytes([id[0], id[1]])) >> self.prefix_shift;
        let (mut low, mut high) = (self.fanout[prefix] as usize, self.fanout[prefix + 1] as usize);
        while low < high {
            let middle = (low + high) / 2;
            let at = self.ids + middle * 20;
            if self.bytes[at..at + 20] < id[..] {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        (low < self.fanout[prefix + 1] as usize && self.bytes[self.ids + low * 20..self.ids + low * 20 + 20] == id[..])
            .then(|| u32_at(&self.bytes, self.positions + low * 4))
    }

    /// The id of the object at a position.
    #[inline]
    pub fn id(&self, position: u32) -> RawId {
        let at = self.ids + self.sorted[position as usize] as usize * 20;
        let mut id = [0; 20];
        id.copy_from_slice(&self.bytes[at..at + 20]);
        id
    }

    /// Where the entry at a position lies: from its first byte to the one after its last.
    #[inline]
    pub fn range(&self, position: u32) -> std::ops::Range<u64> {
        let at = self.offsets + position as usize * 8;
        u64_at(&self.bytes, at)..u64_at(&self.bytes, at + 8)
    }

    /// Where the last entry ends.
    pub fn end(&self) -> u64 {
        u64_at(&self.bytes, self.offsets + self.n as usize * 8)
    }

    /// What the object at a position is.
    #[inline]
    pub fn kind(&self, position: u32) -> ObjectKind {
        ObjectKind::from_pack_type(self.bytes[self.kinds + position as usize]).expect("parse has checked every kind")
    }

    /// How the object at a position is stored.
    #[inline]
    pub fn storage(&self, position: u32) -> Storage {
        match u32_at(&self.bytes, self.bases + position as usize * 4) {
            NO_BASE => Storage::Whole,
            base => Storage::Delta(base),
        }
    }

    /// The size of the object at a position in bytes.
    #[inline]
    pub fn size(&self, position: u32) -> u32 {
        u32_at(&self.bytes, self.sizes + position as usize * 4)
    }

    /// Positions of the objects that no other object of the pack names.
    pub fn roots(&self) -> impl Iterator<Item = u32> + '_ {
        self.roots.clone().step_by(4).map(|at| u32_at(&self.bytes, at))
    }

    /// The commits of the pack.
    pub fn commits(&self) -> impl Iterator<Item = CommitEntry> + '_ {
        let mut at = self.commits.start;
        std::iter::from_fn(move || {
            if at >= self.commits.end {
                return None;
            }
            let n_parents = u32_at(&self.bytes, at + 4) as usize;
            let id = |at: usize| -> RawId {
                let mut id = [0; 20];
                id.copy_from_slice(&self.bytes[at..at + 20]);
                id
            };
            let entry = CommitEntry {
                position: u32_at(&self.bytes, at),
                time: u64_at(&self.bytes, at + 8) as i64,
                tree: id(at + 16),
                parents: (0..n_parents).map(|i| id(at + 36 + i * 20)).collect(),
            };
            at += 36 + n_parents * 20;
            Some(entry)
        })
    }

    /// Memory that the loaded index takes, in bytes.
    pub fn memory_bytes(&self) -> usize {
        self.bytes.len() + (self.fanout.len() + self.sorted.len()) * 4
    }
}

#[inline]
fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(*bytes[at..at + 4].first_chunk().expect("four bytes were sliced"))
}

#[inline]
fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(*bytes[at..at + 8].first_chunk().expect("eight bytes were sliced"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample(n: u32) -> (Vec<IndexEntry>, Vec<u8>) {
        let entries: Vec<IndexEntry> = (0..n)
            .map(|i| {
                let mut id = [0; 20];
                id[..4].copy_from_slice(&i.wrapping_mul(2_654_435_761).to_be_bytes());
                IndexEntry {
                    id,
                    offset: u64::from(i) * 10,
                    kind: if i == 0 { ObjectKind::Commit } else { ObjectKind::Blob },
                    size: i,
                    storage: if i % 3 == 2 { Storage::Delta(i - 1) } else { Storage::Whole },
                }
            })
            .collect();
        let commits = [CommitEntry { position: 0, time: -5, tree: [3; 20], parents: vec![[1; 20], [2; 20]] }];
        let bytes = build(&entries, u64::from(n) * 10, &[0], if n > 0 { &commits } else { &[] });
        (entries, bytes)
    }

    #[test]
    fn finds_what_was_built() {
        for n in [1u32, 2, 300, 20_000] {
            let (entries, bytes) = sample(n);
            let index = PackIndex::parse(bytes).unwrap();
            for (i, entry) in entries.iter().enumerate() {
                let position = index.find(&entry.id).unwrap();
                assert_eq!(position, i as u32);
                assert_eq!(index.id(position), entry.id);
                assert_eq!(index.range(position), entry.offset..entry.offset + 10);
                assert_eq!((index.kind(position), index.size(position)), (entry.kind, entry.size));
                assert_eq!(index.storage(position), entry.storage);
            }
            assert_eq!(index.find(&[9; 20]), None);
            assert_eq!(index.roots().collect::<Vec<_>>(), [0]);
            let commit = index.commits().next().unwrap();
            assert_eq!((commit.time, commit.parents.len()), (-5, 2));
        }
    }

    proptest! {
        // B5
        #[test]
        fn damaged_bytes_are_refused_without_panic(at in 0usize..2000, to: u8, cut in 0usize..2000) {
            let (_, mut bytes) = sample(20);
            let at = at % bytes.len();
            bytes[at] = to;
            bytes.truncate(bytes.len() - cut % bytes.len());
            if let Ok(index) = PackIndex::parse(bytes) {
                for position in 0..index.len() {
                    let _ = (index.id(position), index.range(position), index.storage(position));
                }
                let _ = index.commits().count();
            }
        }
    }
}
