//! A repository in use: its log read into a [`Snapshot`], and the one way to change it.
//!
//! Everything that changes refs or packs goes through [`Repository::publish`]: the change is built against the newest
//! snapshot, appended to the log by compare-and-swap, and only then becomes the snapshot that readers get. Publishes of one
//! repository queue here; those of other nodes are met as a lost swap.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use parking_lot::{Mutex, RwLock};
use roaring::RoaringBitmap;
use sha2::{Digest, Sha256};

use super::checkpoint;
use super::log::{DamagedEntry, LogEntry, PackManifest, RefChange, ServedFile};
use super::object::ObjectKind;
use super::objects::{Objects, PlaceSet, Served};
use super::pack::index::{DamagedIndex, PackIndex};
use super::pack::oid_hash::{RawId, raw};
use super::pack::read::{Pack, PackBytes, Place};
use super::path_filters::PathFilters;
use super::receive::HELD_WHOLE_BYTES;
use super::refs::Refs;
use super::snapshot::Snapshot;
use super::walk::{ObjectFilter, Start, select};
use crate::names::{AccountId, ObjectId, RefName};
use crate::store::catalog::{Append, AppendOutcome, CatalogError, DecidedUnder, NewDecision, StoredEntry};
use crate::store::documents::Write;
use crate::store::file::{FileError, FileId, FileKind, FileMeta};
use crate::store::keyring::{KeyRefusal, KeyringError, RepositoryKeys};
use crate::store::seal::SealError;
use crate::store::{Store, StoreError, ValueError};

/// Why a repository could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum RepositoryError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Reading or writing objects failed.
    #[error("failed to read or write objects")]
    Io(#[from] io::Error),
    /// A log entry does not follow the one before.
    #[error("the log is broken at generation {generation}")]
    BrokenChain {
        /// Where.
        generation: i64,
    },
    /// A log entry does not open.
    #[error("the log entry of generation {generation} failed authentication")]
    Unauthentic {
        /// Where.
        generation: i64,
        /// Why.
        source: SealError,
    },
    /// A log entry does not parse.
    #[error("the log entry of generation {generation} cannot be read")]
    DamagedEntry {
        /// Where.
        generation: i64,
        /// Why.
        source: DamagedEntry,
    },
    /// An index does not parse.
    #[error("an index cannot be read")]
    DamagedIndex(#[from] DamagedIndex),
    /// The repository was deleted.
    #[error("the repository was deleted")]
    Gone,
    /// The policies were changed since the decision.
    #[error("the policies were changed meanwhile; try again")]
    PolicyChanged,
    /// Others kept being faster.
    #[error("the repository is being changed too fast; try again")]
    Busy,
}

impl RepositoryError {
    /// Why the value sealed in the row of a generation did not open.
    pub(super) fn of_value(generation: i64, error: ValueError) -> RepositoryError {
        match error {
            ValueError::Refused(refusal) => refusal.into(),
            ValueError::Seal(source) => RepositoryError::Unauthentic { generation, source },
        }
    }

    /// The key that may not be used, where that is why.
    pub fn key_refusal(&self) -> Option<&KeyRefusal> {
        match self {
            RepositoryError::Store(
                StoreError::Keyring(KeyringError::Refused(refusal)) | StoreError::File(FileError::Refused(refusal)),
            ) => Some(refusal),
            _ => None,
        }
    }
}

impl From<KeyRefusal> for RepositoryError {
    fn from(refusal: KeyRefusal) -> RepositoryError {
        RepositoryError::Store(KeyringError::from(refusal).into())
    }
}

impl From<CatalogError> for RepositoryError {
    fn from(error: CatalogError) -> RepositoryError {
        RepositoryError::Store(error.into())
    }
}

impl From<FileError> for RepositoryError {
    fn from(error: FileError) -> RepositoryError {
        RepositoryError::Store(error.into())
    }
}

/// What a publish puts beside the log entry.
#[derive(Debug, Default)]
pub struct PublishWith {
    /// Decisions, recorded in the same transaction.
    pub decisions: Vec<NewDecision>,
    /// What decided.
    pub decided_under: Option<DecidedUnder>,
    /// How long files stay that the change takes out of use, in milliseconds; [`RETENTION_MS`] if nothing else is said.
    pub retire_after_ms: Option<i64>,
    /// Documents that change with it.
    pub documents: Vec<Write>,
}

/// What a publish appends.
pub type Change = (LogEntry, PublishWith);

/// How long files stay that only history needs, in milliseconds: thirty days.
pub const RETENTION_MS: i64 = 30 * 24 * 60 * 60 * 1000;

/// Entries of the log that are read at a time.
const LOG_PAGE: usize = 1024;

/// Earlier states that are remembered.
const MAX_PAST: usize = 4;

/// An earlier state, by its time and the generation that it was made from.
type Past = ((i64, i64), Arc<Snapshot>);

/// A repository in use.
pub struct Repository {
    store: Store,
    id: [u8; 16],
    keys: RepositoryKeys,
    first_head: RefName,
    current: RwLock<Arc<Snapshot>>,
    publishing: Mutex<()>,
    open_packs: Mutex<HashMap<FileId, Arc<Pack>>>,
    /// Generation of the newest checkpoint that this process knows of; 0 for none.
    checkpoint_generation: AtomicI64,
    pub(super) path_filters: RwLock<Arc<PathFilters>>,
    pub(super) path_filters_wanted: AtomicBool,
    /// Earlier states that were asked for last, the newest question first.
    past: Mutex<Vec<Past>>,
}

impl Repository {
    /// Opens a repository by reading its log. `first_head` is the branch that HEAD names until the log says otherwise.
    /// Blocks.
    pub fn open(
        store: &Store,
        account: &AccountId,
        id: [u8; 16],
        first_head: &RefName,
    ) -> Result<Repository, RepositoryError> {
        let keys = store.repository_keys(account, &id)?;
        let empty = Snapshot::new(0, [0; 32], Refs::new(first_head.clone()), Objects::default(), Vec::new(), true);
        let repository = Repository {
            store: store.clone(),
            id,
            keys,
            first_head: first_head.clone(),
            current: RwLock::new(Arc::new(empty)),
            publishing: Mutex::new(()),
            open_packs: Mutex::default(),
            checkpoint_generation: AtomicI64::new(0),
            path_filters: RwLock::default(),
            path_filters_wanted: AtomicBool::new(false),
            past: Mutex::default(),
        };
        let mut state = repository.last_checkpoint()?.unwrap_or_else(|| State::empty(first_head));
        for stored in store.wait(store.catalog().read_log(&id, state.generation))? {
            state.take(store, &repository.keys, &stored)?;
        }
        // Only now: packs that a checkpoint names may have been joined since, and their files be gone.
        *repository.current.write() = Arc::new(repository.materialise(state, None)?);
        Ok(repository)
    }

    /// The state of the checkpoint, if there is one that can be read. Without, the log says the same.
    fn last_checkpoint(&self) -> Result<Option<State>, RepositoryError> {
        let read = checkpoint::row(&self.store, &self.keys).and_then(|row| {
            let Some(row) = row else { return Ok(None) };
            self.know_checkpoint(row.generation);
            Ok(Some(checkpoint::read(&self.store, &self.keys, &row)?))
        });
        let state = match read {
            Ok(Some(state)) => state,
            Ok(None) => return Ok(None),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, "a checkpoint cannot be read; the log is read whole");
                return Ok(None);
            }
        };
        let entry = self.store.wait(self.store.catalog().log_entry(&self.id, state.generation))?;
        if entry.is_none_or(|entry| entry.hash != state.last_hash) {
            return Err(RepositoryError::BrokenChain { generation: state.generation });
        }
        Ok(Some(state))
    }

    /// Generation of the newest checkpoint that this process knows of; 0 for none.
    pub(super) fn checkpoint_generation(&self) -> i64 {
        self.checkpoint_generation.load(Ordering::Relaxed)
    }

    pub(super) fn know_checkpoint(&self, generation: i64) {
        self.checkpoint_generation.fetch_max(generation, Ordering::Relaxed);
    }

    /// The repository's id.
    pub fn id(&self) -> &[u8; 16] {
        &self.id
    }

    /// Its keys.
    pub fn keys(&self) -> &RepositoryKeys {
        &self.keys
    }

    /// The store it lies in.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The newest state that this process knows.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.current.read().clone()
    }

    /// Reads what was appended to the log since the current snapshot. Blocks.
    pub fn catch_up(&self) -> Result<Arc<Snapshot>, RepositoryError> {
        let current = self.snapshot();
        let entries = self.store.wait(self.store.catalog().read_log(&self.id, current.generation))?;
        if entries.is_empty() {
            return Ok(current);
        }
        let mut state = State::of(&current);
        for stored in entries {
            state.take(&self.store, &self.keys, &stored)?;
        }
        let snapshot = Arc::new(self.materialise(state, Some(&current))?);
        *self.current.write() = snapshot.clone();
        Ok(snapshot)
    }

    /// Makes one change. `build` is given the newest snapshot and says what to append, or nothing; it is asked again when
    /// someone else was faster. Gives the snapshot with the change, or the one without if there was none. Blocks.
    pub fn publish<E: From<RepositoryError>>(
        &self,
        build: &mut dyn FnMut(&Snapshot) -> Result<Option<Change>, E>,
    ) -> Result<Arc<Snapshot>, E> {
        let _queue = self.publishing.lock();
        for _ in 0..16 {
            let current = self.snapshot();
            let Some((entry, with)) = build(&current)? else { return Ok(current) };
            let generation = current.generation + 1;
            let previous_hash = current.last_hash;
            let sealed = self
                .store
                .seal_value(&self.keys, &entry_place(&generation.to_be_bytes(), &previous_hash), &entry.encode())
                .map_err(RepositoryError::from)?;
            let hash = entry_hash(&self.id, generation, &previous_hash, &sealed);
            let mut publish_files = Vec::new();
            for pack in &entry.add_packs {
                publish_files.extend([pack.pack.id, pack.index.id]);
                publish_files.extend(served_file(&pack.served));
            }
            publish_files.extend(entry.reserve.iter().filter_map(|(_, served)| served_file(served)));
            let now_ms = self.store.clock().now_ms();
            let append = Append {
                repository: self.id,
                generation,
                previous_hash,
                hash,
                sealed,
                publish_files,
                retire_files: retired_by(&entry, &current),
                retire_after_ms: now_ms + with.retire_after_ms.unwrap_or(RETENTION_MS),
                decisions: with.decisions,
                decided_under: with.decided_under,
                documents: with.documents,
            };
            self.store.faults().reach("publish:before-transaction");
            match self.store.wait(self.store.catalog().append(&append, now_ms)).map_err(RepositoryError::from)? {
                AppendOutcome::Published => {
                    let mut state = State::of(&current);
                    state.apply(&entry, generation, hash);
                    // It is published, whatever comes now: a state that cannot be opened here is read from the log again by
                    // whoever asks next, and whoever made the change hears that it was made.
                    return match self.materialise(state, Some(&current)) {
                        Ok(snapshot) => {
                            let snapshot = Arc::new(snapshot);
                            *self.current.write() = snapshot.clone();
                            Ok(snapshot)
                        }
                        Err(error) => {
                            let error = &error as &dyn std::error::Error;
                            tracing::error!(error, generation, "a published change cannot be opened");
                            Ok(current)
                        }
                    };
                }
                AppendOutcome::Lost { .. } => {
                    self.catch_up()?;
                }
                // Asked anew, whoever builds the change reads them again.
                AppendOutcome::DocumentChanged => {}
                AppendOutcome::PolicyChanged => return Err(RepositoryError::PolicyChanged.into()),
                AppendOutcome::RepositoryGone => return Err(RepositoryError::Gone.into()),
            }
        }
        Err(RepositoryError::Busy.into())
    }

    /// Holds a pack that is about to be published open, so that publishing need not read it back.
    pub fn remember(&self, manifest: &PackManifest, pack: &Arc<Pack>) {
        self.open_packs.lock().insert(manifest.pack.id, pack.clone());
    }

    /// Lets go of a pack that [`Repository::remember`] holds and that is not published after all.
    pub fn forget(&self, manifest: &PackManifest) {
        self.open_packs.lock().remove(&manifest.pack.id);
    }

    /// Writes a served set as a sealed file; `Served::All` needs none.
    pub fn write_served(&self, served: &Served, is_exact: bool) -> Result<ServedFile, RepositoryError> {
        match served {
            Served::All => Ok(ServedFile::All),
            Served::Some(positions) => {
                let mut writer = self.store.create_file(&self.keys, FileKind::Bitmap)?;
                positions.serialize_into(&mut writer)?;
                Ok(ServedFile::Bitmap { file: writer.finish()?, is_exact })
            }
        }
    }

    /// What is served after refs were deleted or rewound, as reserve entries: what only they may have reached is left out.
    /// `external` are the links by which the change itself leans on what is stored.
    pub fn reserve(
        &self,
        snapshot: &Snapshot,
        after: &Refs,
        removed: &[ObjectId],
        external: &[(RawId, ObjectKind)],
    ) -> Result<Vec<([u8; 16], ServedFile)>, RepositoryError> {
        let wants: Vec<Place> = removed.iter().filter_map(|id| snapshot.objects.find(&raw(id))).collect();
        if wants.is_empty() {
            return Ok(Vec::new());
        }
        let graph = snapshot.graph();
        let mut haves: Vec<_> = after.iter().filter_map(|(_, value)| snapshot.commit(&value.id)).collect();
        haves.extend(external.iter().filter_map(|(id, _)| graph.find(id)));
        let filter = ObjectFilter::default();
        let start =
            Start { wants: &wants, haves: &haves, new_edges: &|_| false, old_edges: &|_| false, filter: &filter };
        let mut suspects = select(&snapshot.objects, graph, &start, &mut |_| Ok(()))?.places;
        // What the remaining refs point at, and what the new objects name, stays, with all below it.
        let mut stays: Vec<Place> = external.iter().filter_map(|(id, _)| snapshot.objects.find(id)).collect();
        stays.extend(after.iter().filter_map(|(_, value)| snapshot.objects.find(&raw(&value.id))));
        self.spare(snapshot, &mut suspects, stays)?;
        // An object that came twice lies in two packs, and the walk met one of the places.
        for place in suspects.iter().collect::<Vec<_>>() {
            let id = snapshot.objects.id(place);
            for copy in snapshot.objects.copies(&id) {
                suspects.insert(copy);
            }
        }
        let mut out = Vec::new();
        for (i, manifest) in snapshot.manifests.iter().enumerate() {
            let gone = suspects.of_pack(i as u32);
            if gone.is_empty() {
                continue;
            }
            let left = match snapshot.objects.served(i) {
                Served::All => RoaringBitmap::from_sorted_iter(0..manifest.n_objects).unwrap_or_default() - gone,
                Served::Some(positions) => (**positions).clone() - gone,
            };
            out.push((manifest.pack.id, self.write_served(&Served::Some(Arc::new(left)), false)?));
        }
        Ok(out)
    }

    /// Takes `stays` and what they reach out of the suspects.
    fn spare(&self, snapshot: &Snapshot, suspects: &mut PlaceSet, stays: Vec<Place>) -> io::Result<()> {
        let mut reader = snapshot.objects.reader(16 << 20);
        let mut stack = stays;
        while let Some(place) = stack.pop() {
            if !suspects.remove(place) {
                continue;
            }
            let kind = snapshot.objects.kind(place);
            if kind == ObjectKind::Blob {
                continue;
            }
            let data = reader.read(place)?;
            super::object::for_each_link(kind, &data, |_, id| stack.extend(snapshot.objects.find_stored(&raw(id))))
                .map_err(io::Error::other)?;
        }
        Ok(())
    }

    /// Walks everything that refs reach and makes the served set exact again. Blocks, for seconds on a large repository.
    pub fn settle(&self, actor: &str) -> Result<Arc<Snapshot>, RepositoryError> {
        self.publish(&mut |snapshot| {
            if snapshot.is_exact {
                return Ok(None);
            }
            let mut entry = LogEntry::new(self.store.clock().now_ms(), actor.to_string());
            entry.reserve = self.serve_what_refs_reach(snapshot, &snapshot.refs)?;
            Ok(Some((entry, PublishWith::default())))
        })
    }

    /// What is served of each pack if it is exactly what these refs reach, as reserve entries. They may lead to what is stored and not
    /// served. Blocks, for seconds on a large repository.
    pub fn serve_what_refs_reach(
        &self,
        snapshot: &Snapshot,
        refs: &Refs,
    ) -> Result<Vec<([u8; 16], ServedFile)>, RepositoryError> {
        let served = served_of(snapshot, &reached(snapshot, refs)?);
        let write =
            |(manifest, served): (&PackManifest, Served)| Ok((manifest.pack.id, self.write_served(&served, true)?));
        snapshot.manifests.iter().zip(served).map(write).collect()
    }

    /// Entries of the log before a generation, the newest first, with their generations. Blocks.
    pub fn log_before(&self, before: i64, limit: usize) -> Result<Vec<(i64, LogEntry)>, RepositoryError> {
        let stored = self.store.wait(self.store.catalog().read_log_before(&self.id, before, limit))?;
        let open = |stored: &StoredEntry| Ok((stored.generation, open_entry(&self.store, &self.keys, stored)?));
        stored.iter().map(open).collect()
    }

    /// The repository as it stood at a time, in milliseconds since the Unix epoch: after all entries of the log up to the first later
    /// one. What its refs reached is found by walking. Blocks, for seconds on a large repository.
    pub fn as_of(&self, at_ms: i64) -> Result<Arc<Snapshot>, RepositoryError> {
        let current = self.catch_up()?;
        let key = (at_ms, current.generation);
        if let Some((_, known)) = self.past.lock().iter().find(|(of, _)| *of == key) {
            return Ok(known.clone());
        }
        let mut state = State::empty(&self.first_head);
        'log: loop {
            let page = self.store.wait(self.store.catalog().read_log_page(&self.id, state.generation, LOG_PAGE))?;
            if page.is_empty() {
                break;
            }
            for stored in &page {
                let entry = open_entry(&self.store, &self.keys, stored)?;
                if entry.at_ms > at_ms {
                    break 'log;
                }
                state.take_opened(&entry, stored)?;
            }
        }
        // The packs are those of now: all that was is in them.
        let served = served_of(&current, &reached(&current, &state.refs)?);
        let packs = current.objects.packs().iter().cloned().zip(served).collect();
        let (generation, hash, manifests) = (state.generation, state.last_hash, current.manifests.clone());
        let snapshot = Snapshot::new(generation, hash, state.refs, Objects::new(packs), manifests, true);
        let snapshot = Arc::new(snapshot.after(&current));
        let mut past = self.past.lock();
        past.truncate(MAX_PAST - 1);
        past.insert(0, (key, snapshot.clone()));
        Ok(snapshot)
    }

    fn materialise(&self, state: State, before: Option<&Snapshot>) -> Result<Snapshot, RepositoryError> {
        let mut packs = Vec::with_capacity(state.manifests.len());
        let mut is_exact = true;
        for manifest in &state.manifests {
            let known = before.and_then(|before| {
                let i = before.manifests.iter().position(|other| other.pack.id == manifest.pack.id)?;
                let same = before.manifests[i].served == manifest.served;
                Some((before.objects.packs()[i].clone(), same.then(|| before.objects.served(i).clone())))
            });
            let (pack, served) = match known {
                Some(known) => known,
                None => (self.open_pack(manifest)?, None),
            };
            let served = match (&manifest.served, served) {
                (_, Some(served)) => served,
                (ServedFile::All, None) => Served::All,
                (ServedFile::Bitmap { file, .. }, None) => Served::Some(Arc::new(self.read_bitmap(file)?)),
            };
            is_exact &= !matches!(manifest.served, ServedFile::Bitmap { is_exact: false, .. });
            packs.push((pack, served));
        }
        let objects = Objects::new(packs);
        let snapshot = Snapshot::new(state.generation, state.last_hash, state.refs, objects, state.manifests, is_exact);
        Ok(match before {
            Some(before) => snapshot.after(before),
            None => snapshot,
        })
    }

    fn open_pack(&self, manifest: &PackManifest) -> Result<Arc<Pack>, RepositoryError> {
        if let Some(pack) = self.open_packs.lock().remove(&manifest.pack.id) {
            return Ok(pack);
        }
        let index = PackIndex::parse(self.store.open_file(&self.keys, &manifest.index)?.read_all()?)?;
        Ok(Arc::new(Pack { index, bytes: self.open_entries(&manifest.pack)? }))
    }

    /// Opens the entries of a pack; small ones are read into memory.
    pub(super) fn open_entries(&self, pack: &FileMeta) -> Result<PackBytes, RepositoryError> {
        let file = self.store.open_file(&self.keys, pack)?;
        Ok(if file.len() <= HELD_WHOLE_BYTES {
            PackBytes::Memory(file.read_all()?.into())
        } else {
            PackBytes::Sealed(file)
        })
    }

    fn read_bitmap(&self, file: &FileMeta) -> Result<RoaringBitmap, RepositoryError> {
        let bytes = self.store.open_file(&self.keys, file)?.read_all()?;
        Ok(RoaringBitmap::deserialize_from(&bytes[..])?)
    }

    /// The branch that HEAD names until the log says otherwise.
    pub fn first_head(&self) -> &RefName {
        &self.first_head
    }
}

/// What is served of each pack, if these places are.
fn served_of(snapshot: &Snapshot, places: &PlaceSet) -> Vec<Served> {
    let of_pack = |(i, manifest): (usize, &PackManifest)| {
        let positions = places.of_pack(i as u32);
        match positions.len() == u64::from(manifest.n_objects) {
            true => Served::All,
            false => Served::Some(Arc::new(positions)),
        }
    };
    snapshot.manifests.iter().enumerate().map(of_pack).collect()
}

/// A stored entry, once it has proven to be what was stored.
fn open_entry(store: &Store, keys: &RepositoryKeys, stored: &StoredEntry) -> Result<LogEntry, RepositoryError> {
    let generation = stored.generation;
    if stored.hash != entry_hash(keys.repository(), generation, &stored.previous_hash, &stored.sealed) {
        return Err(RepositoryError::BrokenChain { generation });
    }
    let plain = store
        .open_value(keys, &entry_place(&generation.to_be_bytes(), &stored.previous_hash), &stored.sealed)
        .map_err(|error| RepositoryError::of_value(generation, error))?;
    LogEntry::decode(&plain).map_err(|source| RepositoryError::DamagedEntry { generation, source })
}

/// Everything that refs reach, found by walking.
pub fn reached(snapshot: &Snapshot, refs: &Refs) -> Result<PlaceSet, RepositoryError> {
    let wants: Vec<Place> =
        refs.iter().filter_map(|(_, value)| snapshot.objects.find_stored(&raw(&value.id))).collect();
    let filter = ObjectFilter::default();
    let start = Start { wants: &wants, haves: &[], new_edges: &|_| false, old_edges: &|_| false, filter: &filter };
    Ok(select(&snapshot.objects, snapshot.graph(), &start, &mut |_| Ok(()))?.places)
}

/// What the log says, without anything opened.
#[derive(PartialEq)]
pub(super) struct State {
    pub(super) generation: i64,
    pub(super) last_hash: [u8; 32],
    pub(super) refs: Refs,
    pub(super) manifests: Vec<PackManifest>,
}

impl State {
    /// Before the first entry.
    pub(super) fn empty(head: &RefName) -> State {
        State { generation: 0, last_hash: [0; 32], refs: Refs::new(head.clone()), manifests: Vec::new() }
    }

    fn of(snapshot: &Snapshot) -> State {
        State {
            generation: snapshot.generation,
            last_hash: snapshot.last_hash,
            refs: snapshot.refs.clone(),
            manifests: snapshot.manifests.clone(),
        }
    }

    /// Takes the next stored entry, once it has proven to be that.
    pub(super) fn take(
        &mut self,
        store: &Store,
        keys: &RepositoryKeys,
        stored: &StoredEntry,
    ) -> Result<(), RepositoryError> {
        self.take_opened(&open_entry(store, keys, stored)?, stored)
    }

    /// The same of one that was opened.
    fn take_opened(&mut self, entry: &LogEntry, stored: &StoredEntry) -> Result<(), RepositoryError> {
        let generation = stored.generation;
        if generation != self.generation + 1 || stored.previous_hash != self.last_hash {
            return Err(RepositoryError::BrokenChain { generation });
        }
        self.apply(entry, generation, stored.hash);
        Ok(())
    }

    fn apply(&mut self, entry: &LogEntry, generation: i64, hash: [u8; 32]) {
        self.generation = generation;
        self.last_hash = hash;
        entry.refs.iter().for_each(|change: &RefChange| self.refs.apply(change));
        if let Some(head) = &entry.head {
            self.refs.head = head.clone();
        }
        self.manifests.retain(|manifest| !entry.drop_packs.contains(&manifest.pack.id));
        for (id, served) in &entry.reserve {
            for manifest in self.manifests.iter_mut().filter(|manifest| manifest.pack.id == *id) {
                manifest.served = served.clone();
            }
        }
        self.manifests.extend(entry.add_packs.iter().cloned());
    }
}

fn served_file(served: &ServedFile) -> Option<FileId> {
    match served {
        ServedFile::All => None,
        ServedFile::Bitmap { file, .. } => Some(file.id),
    }
}

/// Files that nothing names any more after the entry.
fn retired_by(entry: &LogEntry, before: &Snapshot) -> Vec<FileId> {
    let mut out = Vec::new();
    for manifest in &before.manifests {
        if entry.drop_packs.contains(&manifest.pack.id) {
            out.extend([manifest.pack.id, manifest.index.id]);
            out.extend(served_file(&manifest.served));
        } else if entry.reserve.iter().any(|(id, _)| *id == manifest.pack.id) {
            out.extend(served_file(&manifest.served));
        }
    }
    out
}

/// Where a sealed log entry belongs.
fn entry_place<'a>(generation: &'a [u8; 8], previous_hash: &'a [u8; 32]) -> [&'a [u8]; 3] {
    [b"log_entry", generation, previous_hash]
}

/// The hash that chains the log; it is over sealed bytes, so that it can be verified without keys.
pub fn entry_hash(repository: &[u8; 16], generation: i64, previous_hash: &[u8; 32], sealed: &[u8]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    let generation = generation.to_be_bytes();
    let parts: [&[u8]; 5] = [b"lockgate v1 log", repository, &generation, previous_hash, sealed];
    for part in parts {
        hasher.update((part.len() as u32).to_be_bytes());
        hasher.update(part);
    }
    hasher.finalize().into()
}
