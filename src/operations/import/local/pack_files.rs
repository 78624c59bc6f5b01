//! Packs in a folder and their version 2 indexes (`gitformat-pack`): enough to copy entries and to ask whether an id is in.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::{LocalError, metadata, open_file};
use crate::repository::pack::oid_hash::RawId;

/// One pack by its name.
pub(super) struct PackName {
    /// The path without its ending.
    pub stem: PathBuf,
    /// It came from a server that promised to give what is left out.
    pub is_promisor: bool,
    /// It holds what nothing needed when it was made.
    pub is_cruft: bool,
}

/// Most packs that are read.
const MAX_PACKS: usize = 100_000;

/// The packs of a repository, those with an index, in the order of their names.
pub(super) fn list(folder: &Path) -> Result<Vec<PackName>, LocalError> {
    let path = folder.join("objects/pack");
    match metadata(&path)? {
        Some(found) if found.is_dir() => {}
        Some(_) => return Err(LocalError::damaged(&path, "it is not a folder")),
        None => return Ok(Vec::new()),
    }
    let mut packs = Vec::new();
    for entry in path.read_dir().map_err(|source| LocalError::read(&path, source))? {
        let file = entry.map_err(|source| LocalError::read(&path, source))?.path();
        // A pack without an index is one that is still being written, or was left half written.
        if file.extension().is_none_or(|ending| ending != "pack") || metadata(&file.with_extension("idx"))?.is_none() {
            continue;
        }
        if packs.len() == MAX_PACKS {
            let path = super::shown(&path);
            return Err(LocalError::TooMany { path, what: "packs", limit: MAX_PACKS as u64 });
        }
        packs.push(PackName {
            is_promisor: metadata(&file.with_extension("promisor"))?.is_some(),
            is_cruft: metadata(&file.with_extension("mtimes"))?.is_some(),
            stem: file.with_extension(""),
        });
    }
    packs.sort_by(|one, other| one.stem.cmp(&other.stem));
    Ok(packs)
}

/// A pack and its index, open.
pub(super) struct PackFile {
    path: PathBuf,
    entries: io::Take<BufReader<File>>,
    index: Index,
    /// Objects in it.
    pub n_objects: u32,
}

impl PackFile {
    /// Opens a pack and its index and holds them against each other.
    pub(super) fn open(stem: &Path) -> Result<PackFile, LocalError> {
        let path = stem.with_extension("pack");
        let failed = |source| LocalError::read(&path, source);
        let mut file = open_file(&path)?;
        let n_bytes = file.metadata().map_err(failed)?.len();
        if n_bytes < 32 {
            return Err(LocalError::damaged(&path, "it is too short for a pack"));
        }
        let mut header = [0; 12];
        file.read_exact(&mut header).map_err(failed)?;
        if !matches!(&header[..8], b"PACK\0\0\0\x02" | b"PACK\0\0\0\x03") {
            return Err(LocalError::damaged(&path, "it is not a pack of version 2"));
        }
        let n_objects = word(&header, 8);
        let mut checksum = [0; 20];
        file.read_exact_at(&mut checksum, n_bytes - 20).map_err(failed)?;
        let index = Index::open(&stem.with_extension("idx"))?;
        if index.fanout[255] != n_objects || index.pack_checksum != checksum {
            return Err(LocalError::damaged(&path, "its index belongs to another pack"));
        }
        file.seek(SeekFrom::Start(12)).map_err(failed)?;
        let entries = BufReader::with_capacity(1 << 16, file).take(n_bytes - 32);
        Ok(PackFile { path, entries, index, n_objects })
    }

    /// Whether an object is in it.
    pub(super) fn contains(&self, id: &RawId) -> Result<bool, LocalError> {
        self.index.contains(id)
    }

    /// Appends the next bytes of its entries, at most `max_bytes`; false if there are no more.
    pub(super) fn read_entries(&mut self, out: &mut Vec<u8>, max_bytes: usize) -> Result<bool, LocalError> {
        let failed = |source| LocalError::read(&self.path, source);
        let n = self.entries.by_ref().take(max_bytes as u64).read_to_end(out).map_err(failed)?;
        if n == 0 && self.entries.limit() > 0 {
            return Err(LocalError::damaged(&self.path, "it became shorter while it was read"));
        }
        Ok(n > 0)
    }
}

/// An index, of which only the fan-out table is held.
struct Index {
    path: PathBuf,
    file: File,
    fanout: Box<[u32; 256]>,
    pack_checksum: [u8; 20],
}

const HEADER_BYTES: u64 = 8;
const FANOUT_BYTES: u64 = 1024;

impl Index {
    fn open(path: &Path) -> Result<Index, LocalError> {
        let failed = |source| LocalError::read(path, source);
        let file = open_file(path)?;
        let n_bytes = file.metadata().map_err(failed)?.len();
        let mut head = [0; (HEADER_BYTES + FANOUT_BYTES) as usize];
        if n_bytes < head.len() as u64 + 40 {
            return Err(LocalError::damaged(path, "it is too short for an index"));
        }
        file.read_exact_at(&mut head, 0).map_err(failed)?;
        if head[..8] != *b"\xfftOc\0\0\0\x02" {
            return Err(LocalError::damaged(path, "it is not an index of version 2; `git index-pack` makes one"));
        }
        let mut fanout = Box::new([0; 256]);
        for (i, slot) in fanout.iter_mut().enumerate() {
            *slot = word(&head, 8 + 4 * i);
        }
        // Each object has an id, a checksum and an offset.
        let least = HEADER_BYTES + FANOUT_BYTES + u64::from(fanout[255]) * 28 + 40;
        if !fanout.is_sorted() || n_bytes < least {
            return Err(LocalError::damaged(path, "its table does not fit it"));
        }
        let mut pack_checksum = [0; 20];
        file.read_exact_at(&mut pack_checksum, n_bytes - 40).map_err(failed)?;
        Ok(Index { path: path.to_path_buf(), file, fanout, pack_checksum })
    }

    fn contains(&self, id: &RawId) -> Result<bool, LocalError> {
        let first = usize::from(id[0]);
        let mut low = if first == 0 { 0 } else { self.fanout[first - 1] };
        let mut high = self.fanout[first];
        while low < high {
            let middle = low + (high - low) / 2;
            let mut found = [0; 20];
            self.file
                .read_exact_at(&mut found, HEADER_BYTES + FANOUT_BYTES + u64::from(middle) * 20)
                .map_err(|source| LocalError::read(&self.path, source))?;
            match found.cmp(id) {
                std::cmp::Ordering::Equal => return Ok(true),
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        Ok(false)
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(*bytes[at..].first_chunk().expect("the callers' buffers have four bytes there"))
}
