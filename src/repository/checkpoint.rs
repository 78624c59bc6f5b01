//! A repository's state at one generation, in one sealed file, so that opening a repository reads this and the entries after
//! it in place of the whole log.
//!
//! It holds nothing that the log does not say: a checkpoint that cannot be read costs time and no data. It does bind the
//! log's past: the entry of its generation has to be there and to have the hash that the checkpoint knows, so that entries
//! cut off the log below it are noticed. The bytes are `store/FORMAT.md`, "Checkpoint".

use std::io::{self, Write};

use super::handle::{Repository, RepositoryError, State};
use super::log::{DamagedEntry, Decoder, Encoder, PackManifest};
use super::refs::{RefValue, Refs};
use super::snapshot::Snapshot;
use crate::names::RefName;
use crate::store::Store;
use crate::store::catalog::NewCheckpoint;
use crate::store::file::{FileId, FileKind, FileMeta};
use crate::store::keyring::RepositoryKeys;

/// A checkpoint is written when so many entries follow the last one.
pub const CHECKPOINT_EVERY: i64 = 512;

/// How long a replaced checkpoint's file stays, in milliseconds: somebody may be reading it.
const KEEP_REPLACED_MS: i64 = 24 * 60 * 60 * 1000;

const MAGIC: &[u8; 4] = b"LGCP";
const VERSION: u8 = 1;

/// The checkpoint that the catalog names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckpointRow {
    /// The state's generation.
    pub generation: i64,
    /// The file.
    pub file: FileMeta,
}

/// Where a sealed checkpoint row belongs.
fn row_place(generation: &[u8; 8]) -> [&[u8]; 2] {
    [b"checkpoint", generation]
}

/// The row of a repository's checkpoint; nothing if it has none.
pub fn row(store: &Store, keys: &RepositoryKeys) -> Result<Option<CheckpointRow>, RepositoryError> {
    let Some((generation, sealed)) = store.wait(store.catalog().checkpoint(keys.repository()))? else {
        return Ok(None);
    };
    let plain = store
        .open_value(keys, &row_place(&generation.to_be_bytes()), &sealed)
        .map_err(|error| RepositoryError::of_value(generation, error))?;
    let file = FileMeta::decode(&plain).map_err(|_| damaged(generation, DamagedEntry::BAD_FILE))?;
    Ok(Some(CheckpointRow { generation, file }))
}

/// The state that a checkpoint holds.
pub(super) fn read(store: &Store, keys: &RepositoryKeys, row: &CheckpointRow) -> Result<State, RepositoryError> {
    let bytes = store.open_file(keys, &row.file)?.read_all()?;
    let state = decode(&bytes).map_err(|source| damaged(row.generation, source))?;
    if state.generation != row.generation {
        return Err(RepositoryError::BrokenChain { generation: row.generation });
    }
    Ok(state)
}

fn damaged(generation: i64, source: DamagedEntry) -> RepositoryError {
    RepositoryError::DamagedEntry { generation, source }
}

fn encode(generation: i64, last_hash: &[u8; 32], refs: &Refs, manifests: &[PackManifest]) -> Vec<u8> {
    let mut out = Encoder(MAGIC.to_vec());
    out.0.push(VERSION);
    out.0.extend_from_slice(&generation.to_be_bytes());
    out.0.extend_from_slice(last_hash);
    out.bytes(refs.head.as_bytes());
    out.number(refs.len() as u64);
    for (name, value) in refs.iter() {
        out.bytes(name.as_bytes());
        out.id(Some(&value.id));
        out.id(value.peeled.as_ref());
    }
    out.number(manifests.len() as u64);
    for manifest in manifests {
        out.pack(manifest);
    }
    out.0
}

fn decode(bytes: &[u8]) -> Result<State, DamagedEntry> {
    let mut from = Decoder(bytes);
    if from.take(4)? != MAGIC || from.byte()? != VERSION {
        return Err(DamagedEntry::UNKNOWN_VERSION);
    }
    let generation = i64::from_be_bytes(*from.take(8)?.first_chunk().expect("eight bytes were taken"));
    let last_hash = *from.take(32)?.first_chunk().expect("thirty-two bytes were taken");
    let name = |bytes: &[u8]| RefName::parse(bytes).map_err(|_| DamagedEntry::BAD_REF_NAME);
    let mut refs = Refs::new(name(from.bytes()?)?);
    for _ in 0..from.number()? {
        let name = name(from.bytes()?)?;
        let id = from.id()?.ok_or(DamagedEntry::BAD_ID)?;
        refs.insert(name, RefValue { id, peeled: from.id()? });
    }
    let mut manifests = Vec::new();
    for _ in 0..from.number()? {
        manifests.push(from.pack()?);
    }
    if from.is_empty() { Ok(State { generation, last_hash, refs, manifests }) } else { Err(DamagedEntry::BYTES_FOLLOW) }
}

impl Repository {
    /// Whether [`Repository::write_checkpoint`] would do something.
    pub fn is_checkpoint_due(&self) -> bool {
        self.snapshot().generation - self.checkpoint_generation() >= CHECKPOINT_EVERY
    }

    /// Writes the newest state as a checkpoint if enough entries follow the last one, and gives its generation. Nothing as
    /// well if another node was faster. Blocks.
    pub fn write_checkpoint(&self) -> Result<Option<i64>, RepositoryError> {
        let snapshot = self.snapshot();
        if snapshot.generation - self.checkpoint_generation() < CHECKPOINT_EVERY {
            return Ok(None);
        }
        let before = row(self.store(), self.keys())?;
        self.know_checkpoint(before.map_or(0, |before| before.generation));
        if before.is_some_and(|before| before.generation >= snapshot.generation) {
            return Ok(None);
        }
        self.put_checkpoint(&snapshot, before)
    }

    /// Writes the newest state over the checkpoint that is there, however new that is. Blocks.
    pub(super) fn replace_checkpoint(&self) -> Result<Option<i64>, RepositoryError> {
        let snapshot = self.catch_up()?;
        let before = row(self.store(), self.keys())?;
        self.put_checkpoint(&snapshot, before)
    }

    fn put_checkpoint(
        &self,
        snapshot: &Snapshot,
        before: Option<CheckpointRow>,
    ) -> Result<Option<i64>, RepositoryError> {
        let generation = snapshot.generation;
        let mut writer = self.store().create_file(self.keys(), FileKind::Checkpoint)?;
        let id: FileId = *writer.id();
        let bytes = encode(generation, &snapshot.last_hash, &snapshot.refs, &snapshot.manifests);
        let written = (|| -> io::Result<FileMeta> {
            writer.write_all(&bytes)?;
            Ok(writer.finish()?)
        })();
        let result = written.map_err(RepositoryError::from).and_then(|file| {
            self.store().faults().reach("checkpoint:after-file");
            let now_ms = self.store().clock().now_ms();
            let new = NewCheckpoint {
                repository: *self.id(),
                generation,
                sealed: self.store().seal_value(self.keys(), &row_place(&generation.to_be_bytes()), &file.encode())?,
                file: id,
                replaces: before.map(|before| (before.generation, before.file.id)),
                sweep_replaced_after_ms: now_ms + KEEP_REPLACED_MS,
            };
            Ok(self.store().wait(self.store().catalog().put_checkpoint(&new, now_ms))?)
        });
        if !matches!(result, Ok(true)) {
            // One that was published after all stays; what cannot be taken away now is swept.
            let _ = self.store().discard_file(&id);
        }
        Ok(result?.then(|| {
            self.know_checkpoint(generation);
            generation
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::ObjectId;
    use proptest::prelude::*;

    fn vector(name: &str) -> Vec<u8> {
        let start = format!("vector {name} = ");
        let hex = include_str!("../store/FORMAT.md").lines().find_map(|line| line.strip_prefix(&start)).unwrap();
        (0..hex.len() / 2).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap()).collect()
    }

    fn described() -> State {
        let mut refs = Refs::new(RefName::parse(b"refs/heads/main").unwrap());
        let id = ObjectId::from([1; 20]);
        refs.insert(RefName::parse(b"refs/heads/main").unwrap(), RefValue { id, peeled: None });
        let tag = RefValue { id: ObjectId::from([2; 20]), peeled: Some(id) };
        refs.insert(RefName::parse(b"refs/tags/v1").unwrap(), tag);
        let entry = super::super::log::LogEntry::decode(&vector("log-entry")).unwrap();
        State { generation: 9, last_hash: [6; 32], refs, manifests: entry.add_packs }
    }

    fn encoded(state: &State) -> Vec<u8> {
        encode(state.generation, &state.last_hash, &state.refs, &state.manifests)
    }

    #[test]
    fn format_md_has_this_checkpoint() {
        let bytes = encoded(&described());
        assert_eq!(bytes, vector("checkpoint"));
        assert_eq!(encoded(&decode(&bytes).unwrap()), bytes);
    }

    proptest! {
        #[test]
        fn damaged_bytes_are_refused_without_panic(cut in 0usize..1000, at in 0usize..1000, to: u8) {
            let mut bytes = encoded(&described());
            let n = bytes.len();
            prop_assert!(decode(&bytes[..cut % n]).is_err());
            bytes[at % n] = to;
            let _ = decode(&bytes);
        }
    }
}
