//! Sealing a repository's files anew after its keys were rotated: what lies under the key of an old epoch is read and
//! written under the newest, pack by pack, so that the old key can be destroyed.
//!
//! It holds nobody up, as joining packs does not: the new files are written beside, and published under the condition that
//! the old ones are still listed. Who reads the old files goes on reading them, until no transfer can be that old. Rows of
//! the log stay as they are: they have keys of their own, which outlive those for files.

use std::collections::BTreeSet;
use std::io::{self, Write};

use super::checkpoint;
use super::compaction::KEEP_JOINED_MS;
use super::handle::{PublishWith, Repository, RepositoryError};
use super::log::{LogEntry, PackManifest, ServedFile};
use super::snapshot::Snapshot;
use crate::store::file::{FileId, FileMeta};

/// How long after the last file under an old key went out of use the key is kept, in milliseconds: as long as a reader may
/// hold such a file, and a writer who began before the rotation may publish one.
pub const EPOCH_GRACE_MS: i64 = KEEP_JOINED_MS;

/// What was sealed anew.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Resealed {
    /// Packs.
    pub n_packs: usize,
    /// Their bytes, indexes included.
    pub bytes: u64,
}

impl Repository {
    /// The epochs under which files that live are sealed. Blocks.
    pub fn epochs_in_use(&self) -> Result<BTreeSet<u32>, RepositoryError> {
        let snapshot = self.catch_up()?;
        let mut epochs: BTreeSet<u32> = snapshot.manifests.iter().flat_map(files_of).map(|file| file.epoch).collect();
        epochs.extend(checkpoint::row(self.store(), self.keys())?.map(|row| row.file.epoch));
        Ok(epochs)
    }

    /// Seals under the newest key what lies under older ones. `should_stop` is asked now and then; what was done stays
    /// done. Blocks.
    pub fn reseal(&self, should_stop: &dyn Fn() -> bool) -> Result<Resealed, RepositoryError> {
        let (newest, _) = self.keys().current()?;
        let mut done = Resealed::default();
        loop {
            let snapshot = self.catch_up()?;
            let is_old = |manifest: &&PackManifest| files_of(manifest).any(|file| file.epoch < newest);
            let Some(old) = snapshot.manifests.iter().find(is_old) else { break };
            let mut files = Vec::new();
            let result = self.reseal_pack(old, newest, should_stop, &mut files);
            if !matches!(result, Ok(true)) {
                for file in &files {
                    // What was published after all stays; what cannot be taken away now is swept.
                    let _ = self.store().discard_file(file);
                }
            }
            match result {
                Ok(true) => {
                    done.n_packs += 1;
                    done.bytes += old.pack.plain_len + old.index.plain_len;
                }
                // Joined with others meanwhile, under the newest key.
                Ok(false) => {}
                Err(RepositoryError::Io(error)) if error.kind() == io::ErrorKind::Interrupted => return Ok(done),
                Err(error) => return Err(error),
            }
        }
        if checkpoint::row(self.store(), self.keys())?.is_some_and(|row| row.file.epoch < newest) {
            self.replace_checkpoint()?;
        }
        Ok(done)
    }

    /// Says whether the pack was still there.
    fn reseal_pack(
        &self,
        old: &PackManifest,
        newest: u32,
        should_stop: &dyn Fn() -> bool,
        files: &mut Vec<FileId>,
    ) -> Result<bool, RepositoryError> {
        // Both or neither: a pack goes by the id of its file, and with the old id both of its files go.
        let moved = match old.pack.epoch.min(old.index.epoch) < newest {
            true => {
                let pack = self.copy(&old.pack, should_stop, files)?;
                Some((pack, self.copy(&old.index, should_stop, files)?))
            }
            false => None,
        };
        self.store().faults().reach("reseal:after-files");
        let mut was_there = false;
        self.publish(&mut |snapshot: &Snapshot| -> Result<_, RepositoryError> {
            was_there = false;
            let found = snapshot.manifests.iter().position(|manifest| manifest.pack.id == old.pack.id);
            let Some(i) = found else { return Ok(None) };
            let manifest = &snapshot.manifests[i];
            let is_exact = !matches!(manifest.served, ServedFile::Bitmap { is_exact: false, .. });
            let served = self.write_served(snapshot.objects.served(i), is_exact)?;
            let mut entry = LogEntry::new(self.store().clock().now_ms(), "lockgate".into());
            match moved {
                Some((pack, index)) => {
                    entry.drop_packs.push(manifest.pack.id);
                    entry.add_packs.push(PackManifest { pack, index, served, ..manifest.clone() });
                }
                None => entry.reserve.push((manifest.pack.id, served)),
            }
            was_there = true;
            self.store().faults().reach("reseal:before-publish");
            let with = PublishWith { retire_after_ms: Some(KEEP_JOINED_MS), ..PublishWith::default() };
            Ok(Some((entry, with)))
        })?;
        self.store().faults().reach("reseal:after-publish");
        Ok(was_there)
    }

    /// The same bytes in a new file, under the newest key.
    fn copy(
        &self,
        from: &FileMeta,
        should_stop: &dyn Fn() -> bool,
        files: &mut Vec<FileId>,
    ) -> Result<FileMeta, RepositoryError> {
        let source = self.store().open_file(self.keys(), from)?;
        let mut writer = self.store().create_file(self.keys(), from.kind)?;
        files.push(*writer.id());
        source.stream(0..source.len(), &mut |bytes| {
            if should_stop() {
                return Err(io::ErrorKind::Interrupted.into());
            }
            writer.write_all(bytes)
        })?;
        Ok(writer.finish()?)
    }
}

fn files_of(manifest: &PackManifest) -> impl Iterator<Item = &FileMeta> {
    let served = match &manifest.served {
        ServedFile::All => None,
        ServedFile::Bitmap { file, .. } => Some(file),
    };
    [&manifest.pack, &manifest.index].into_iter().chain(served)
}
