//! Joining packs: every push adds one, and a look-up goes through all of them, so that their number has to stay small.
//!
//! Packs are kept in a geometric progression of sizes: each at least as large as [`GROWTH`] times all smaller ones together.
//! What breaks the progression is joined, so that an object is written again a number of times that grows with the logarithm
//! of the repository, and there are never more than about that many packs. Joining copies entries as they are stored and
//! inflates nothing but the few whose chains would grow too long; every object stays, served or not.
//!
//! It holds nobody up: the new pack is written beside, and published like any change under the condition that the old ones
//! are still listed. What is served is then taken from the newest state. Readers of earlier states keep reading the old
//! files, which go only when no transfer can be that old.

use std::io::{self, Write};
use std::sync::Arc;

use roaring::RoaringBitmap;

use super::handle::{PublishWith, Repository, RepositoryError};
use super::log::{LogEntry, PackManifest, PackSource, ServedFile};
use super::objects::{Objects, Served};
use super::pack::index::{self, CommitEntry, IndexEntry, PackIndex, Storage};
use super::pack::read::{Pack, Place};
use super::pack::write::{HEADER_LEN, WriteOptions, WrittenEntry, write_entries};
use super::snapshot::Snapshot;
use crate::store::file::{FileId, FileKind};

/// How much larger a pack is than all smaller ones together, at least.
const GROWTH: u64 = 2;

/// With so many packs nothing is joined yet: joining after each push would write more than it saves.
const MAX_LOOSE_PACKS: usize = 16;

/// How long the joined packs' files stay, in milliseconds: longer than any transfer that began before.
pub(super) const KEEP_JOINED_MS: i64 = 24 * 60 * 60 * 1000;

/// What was joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compacted {
    /// Packs that were joined.
    pub n_packs: usize,
    /// Objects in the new one.
    pub n_objects: u32,
    /// Its bytes.
    pub bytes: u64,
}

/// The packs to join: of these sizes in bytes, in the order of the log, their numbers in that order. Empty if none are.
fn due(sizes: &[u64]) -> Vec<usize> {
    if sizes.len() <= MAX_LOOSE_PACKS {
        return Vec::new();
    }
    let mut by_size: Vec<usize> = (0..sizes.len()).collect();
    by_size.sort_by_key(|i| sizes[*i]);
    let (mut sum, mut n_joined) = (0u64, 0);
    for (n, i) in by_size.iter().enumerate() {
        if sizes[*i] < sum.saturating_mul(GROWTH) {
            n_joined = n + 1;
        }
        sum = sum.saturating_add(sizes[*i]);
    }
    by_size.truncate(n_joined);
    by_size.sort_unstable();
    by_size
}

impl Repository {
    /// Whether [`Repository::compact`] would do something.
    pub fn is_compaction_due(&self) -> bool {
        !due(&sizes(&self.snapshot())).is_empty()
    }

    /// Joins the packs that break the progression of sizes. Nothing if none do, or if somebody else joined or dropped one of
    /// them meanwhile. `should_stop` is asked now and then. Blocks.
    pub fn compact(&self, should_stop: &dyn Fn() -> bool) -> Result<Option<Compacted>, RepositoryError> {
        let snapshot = self.snapshot();
        let chosen = due(&sizes(&snapshot));
        if chosen.is_empty() {
            return Ok(None);
        }
        let mut files = Vec::new();
        let result = self.join(&snapshot, &chosen, should_stop, &mut files);
        if !matches!(result, Ok(Some(_))) {
            for file in &files {
                // A file that was published after all stays; what cannot be taken away now is swept.
                let _ = self.store().discard_file(file);
            }
        }
        match result {
            Err(RepositoryError::Io(error)) if error.kind() == io::ErrorKind::Interrupted => Ok(None),
            result => result,
        }
    }

    fn join(
        &self,
        snapshot: &Snapshot,
        chosen: &[usize],
        should_stop: &dyn Fn() -> bool,
        files: &mut Vec<FileId>,
    ) -> Result<Option<Compacted>, RepositoryError> {
        let inputs: Vec<&PackManifest> = chosen.iter().map(|i| &snapshot.manifests[*i]).collect();
        let objects =
            Objects::new(chosen.iter().map(|i| (snapshot.objects.packs()[*i].clone(), Served::All)).collect());
        let mut writer = self.store().create_file(self.keys(), FileKind::Pack)?;
        files.push(*writer.id());
        let joined = write_joined(&objects, &mut writer, should_stop)?;
        let pack_meta = writer.finish()?;
        let mut writer = self.store().create_file(self.keys(), FileKind::Index)?;
        files.push(*writer.id());
        writer.write_all(&joined.index)?;
        let index_meta = writer.finish()?;
        self.store().faults().reach("compact:after-files");

        let index = PackIndex::parse(joined.index)?;
        let pack = Arc::new(Pack { index, bytes: self.open_entries(&pack_meta)? });
        let joins_all = chosen.len() == snapshot.manifests.len();
        let mut manifest = PackManifest {
            pack: pack_meta,
            index: index_meta,
            n_objects: pack.index.len(),
            trailer: Some(joined.trailer),
            source: PackSource::Compact,
            // A push is taken only if what it names is there: together the packs lack nothing.
            is_closed: joins_all || inputs.iter().all(|input| input.is_closed),
            has_duplicates: false,
            served: ServedFile::All,
        };
        let drop_packs: Vec<FileId> = inputs.iter().map(|input| input.pack.id).collect();
        let mut is_published = false;
        let done = self.publish(&mut |newest: &Snapshot| -> Result<_, RepositoryError> {
            is_published = false;
            let mut served = Vec::with_capacity(drop_packs.len());
            let mut is_exact = true;
            for id in &drop_packs {
                let Some(i) = newest.manifests.iter().position(|manifest| manifest.pack.id == *id) else {
                    return Ok(None);
                };
                is_exact &= !matches!(newest.manifests[i].served, ServedFile::Bitmap { is_exact: false, .. });
                served.push(newest.objects.served(i));
            }
            let served = served_of_joined(&objects, &pack.index, &joined.positions, &served);
            manifest.served = self.write_served(&served, is_exact)?;
            self.remember(&manifest, &pack);
            let mut entry = LogEntry::new(self.store().clock().now_ms(), "lockgate".into());
            entry.add_packs.push(manifest.clone());
            entry.drop_packs.clone_from(&drop_packs);
            is_published = true;
            self.store().faults().reach("compact:before-publish");
            let with = PublishWith { retire_after_ms: Some(KEEP_JOINED_MS), ..PublishWith::default() };
            Ok(Some((entry, with)))
        });
        if done.is_err() || !is_published {
            self.forget(&manifest);
        }
        done?;
        self.store().faults().reach("compact:after-publish");
        let compacted =
            Compacted { n_packs: chosen.len(), n_objects: manifest.n_objects, bytes: manifest.pack.plain_len };
        Ok(is_published.then_some(compacted))
    }
}

fn sizes(snapshot: &Snapshot) -> Vec<u64> {
    snapshot.manifests.iter().map(|manifest| manifest.pack.plain_len).collect()
}

/// A joined pack as it was written.
struct Joined {
    index: Vec<u8>,
    trailer: [u8; 20],
    /// By input pack and position: the position in the joined pack; `NOT_COPIED` for a copy that another stands for.
    positions: Vec<Vec<u32>>,
}

const NOT_COPIED: u32 = u32::MAX;

/// Writes the entries of all packs into one, each object once.
fn write_joined(objects: &Objects, out: &mut dyn Write, should_stop: &dyn Fn() -> bool) -> io::Result<Joined> {
    let mut all = objects.place_set();
    for (i, pack) in objects.packs().iter().enumerate() {
        for position in 0..pack.index.len() {
            all.insert(Place { pack: i as u32, position });
        }
    }
    let mut written: Vec<WrittenEntry> = Vec::new();
    let options = WriteOptions { ofs_delta: true, thin_bases: None };
    let mut entries_only = EntriesOnly { out, n_seen: 0, tail: Vec::new() };
    let mut progress = |_| if should_stop() { Err(io::ErrorKind::Interrupted.into()) } else { Ok(()) };
    let (totals, trailer) =
        write_entries(objects, &all, &options, &mut entries_only, &mut progress, &mut |entry| written.push(entry))?;

    let mut positions: Vec<Vec<u32>> =
        objects.packs().iter().map(|pack| vec![NOT_COPIED; pack.index.len() as usize]).collect();
    for (position, entry) in written.iter().enumerate() {
        positions[entry.place.pack as usize][entry.place.position as usize] = position as u32;
    }
    let entries: Vec<IndexEntry> = written
        .iter()
        .map(|entry| IndexEntry {
            id: objects.id(entry.place),
            offset: entry.offset - HEADER_LEN,
            kind: objects.kind(entry.place),
            size: objects.size(entry.place),
            storage: match entry.base {
                Some(base) => Storage::Delta(positions[base.pack as usize][base.position as usize]),
                None => Storage::Whole,
            },
        })
        .collect();
    let mut roots = Vec::new();
    let mut commits: Vec<CommitEntry> = Vec::new();
    for (pack, positions) in objects.packs().iter().zip(&positions) {
        let joined = |position: u32| Some(positions[position as usize]).filter(|joined| *joined != NOT_COPIED);
        // A root whose copy was left out is reached from the roots of the pack that has the other copy.
        roots.extend(pack.index.roots().filter_map(joined));
        for mut commit in pack.index.commits() {
            if let Some(position) = joined(commit.position) {
                commit.position = position;
                commits.push(commit);
            }
        }
    }
    let end = totals.bytes - HEADER_LEN - trailer.len() as u64;
    let index = index::build(&entries, end, &roots, &commits);
    Ok(Joined { index, trailer, positions })
}

/// Which objects of the joined pack are served: those of which a copy was.
fn served_of_joined(objects: &Objects, joined: &PackIndex, positions: &[Vec<u32>], served: &[&Served]) -> Served {
    if served.iter().all(|served| **served == Served::All) {
        return Served::All;
    }
    let mut out = RoaringBitmap::new();
    for (i, served) in served.iter().enumerate() {
        let pack = &objects.packs()[i];
        let mut add = |position: u32| {
            let at = match positions[i][position as usize] {
                NOT_COPIED => joined.find(&pack.index.id(position)),
                at => Some(at),
            };
            out.extend(at);
        };
        match served {
            Served::All => (0..pack.index.len()).for_each(&mut add),
            Served::Some(bitmap) => bitmap.iter().for_each(&mut add),
        }
    }
    if out.len() == u64::from(joined.len()) { Served::All } else { Served::Some(Arc::new(out)) }
}

/// Passes on what lies between a pack's header and its checksum.
struct EntriesOnly<'a> {
    out: &'a mut dyn Write,
    n_seen: u64,
    /// The last bytes seen, which may be the checksum.
    tail: Vec<u8>,
}

impl Write for EntriesOnly<'_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let header = (HEADER_LEN.saturating_sub(self.n_seen) as usize).min(data.len());
        self.n_seen += data.len() as u64;
        let rest = &data[header..];
        let n_known = (self.tail.len() + rest.len()).saturating_sub(20);
        let from_tail = n_known.min(self.tail.len());
        self.out.write_all(&self.tail[..from_tail])?;
        self.tail.drain(..from_tail);
        let (known, last) = rest.split_at(n_known - from_tail);
        self.out.write_all(known)?;
        self.tail.extend_from_slice(last);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
