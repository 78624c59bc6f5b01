//! Checking a stored repository from the ground up: that its keys open, that its log is a chain and readable, that every
//! live file authenticates, that every object is what its id says, and that what refs reach is there and served.
//!
//! It reads past everything that is held in memory. Every file is looked at and each damage named; objects are looked at if the
//! files that lead to them can be read.

use crate::names::{AccountId, ObjectId, RefName};
use crate::store::Store;
use crate::store::file::FileMeta;
use crate::store::keyring::RepositoryKeys;
use crate::telemetry::with_causes;

use super::checkpoint;
use super::handle::{Repository, State, reached};
use super::log::ServedFile;
use super::object::{for_each_link, object_id};
use super::objects::Served;
use super::pack::oid_hash::raw;
use super::pack::read::Place;

/// What was looked at, and what is wrong with it.
#[derive(Debug, Default)]
pub struct Checked {
    /// Log entries.
    pub n_entries: usize,
    /// Sealed files.
    pub n_files: usize,
    /// Objects.
    pub n_objects: usize,
    /// One line for each damage, for people.
    pub damage: Vec<String>,
}

/// Damages that are listed of one repository.
const MAX_LISTED: usize = 100;

/// Checks a repository. Blocks, for minutes on a very large one.
pub fn check(store: &Store, account: &AccountId, id: &[u8; 16], first_head: &RefName) -> Checked {
    let mut out = Checked::default();
    let keys = match store.repository_keys(account, id) {
        Ok(keys) => keys,
        Err(error) => {
            out.add(&error);
            return out;
        }
    };
    // The log first, without opening what it names: then every file is looked at, whatever is wrong with another.
    let mut state = State::empty(first_head);
    let checkpoint = out.checkpoint(store, &keys);
    match store.wait(store.catalog().read_log(id, 0)) {
        Ok(entries) => {
            for entry in entries {
                if let Err(error) = state.take(store, &keys, &entry) {
                    // What comes after cannot be told from forgery.
                    out.add(&error);
                    break;
                }
                out.n_entries += 1;
                if let Some(checkpoint) = checkpoint.as_ref().filter(|other| other.generation == state.generation)
                    && *checkpoint != state
                {
                    out.line(format!("the checkpoint of generation {} says other than the log", state.generation));
                }
            }
            if let Some(checkpoint) = checkpoint.filter(|checkpoint| checkpoint.generation > state.generation) {
                let (last, known) = (state.generation, checkpoint.generation);
                out.line(format!("the log ends at generation {last}, and a checkpoint knows generation {known}"));
            }
        }
        Err(error) => out.add(&error),
    }
    for manifest in &state.manifests {
        let served = match &manifest.served {
            ServedFile::All => None,
            ServedFile::Bitmap { file, .. } => Some(*file),
        };
        let files: [(&str, Option<FileMeta>); 3] =
            [("pack", Some(manifest.pack)), ("index", Some(manifest.index)), ("served set", served)];
        for (what, meta) in files {
            let Some(meta) = meta else { continue };
            out.n_files += 1;
            if let Err(error) = store.open_file(&keys, &meta).and_then(|file| Ok(file.verify()?)) {
                out.add_as(what, &error);
            }
        }
    }
    // Opened anew: what the server holds in memory proves nothing about the disk.
    let repository = match Repository::open(store, account, *id, first_head) {
        Ok(repository) => repository,
        Err(error) => {
            if out.damage.is_empty() {
                out.add(&error);
            }
            return out;
        }
    };
    let snapshot = repository.snapshot();
    let objects = &snapshot.objects;
    let mut reader = objects.reader(64 << 20);
    for (i, pack) in objects.packs().iter().enumerate() {
        let (stated, actual) = (snapshot.manifests[i].n_objects, pack.index.len());
        if stated != actual {
            out.line(format!("a pack has {actual} objects, and the log says {stated}"));
        }
        for position in 0..pack.index.len() {
            out.n_objects += 1;
            let place = Place { pack: i as u32, position };
            let id = ObjectId::from(pack.index.id(position));
            let kind = pack.index.kind(position);
            let data = match reader.read(place) {
                Ok(data) => data,
                Err(error) => {
                    out.line(format!("object {id} cannot be read: {error}"));
                    continue;
                }
            };
            if object_id(kind, &data) != id {
                out.line(format!("object {id} is another one than its id says"));
            }
            if objects.is_served(place) {
                let mut wrong = Vec::new();
                let links = for_each_link(kind, &data, |link, target| {
                    let stated = link.target_kind();
                    match objects.find_stored(&raw(target)).map(|place| objects.kind(place)) {
                        None => wrong.push(format!("object {target} is missing, named by {kind} {id}")),
                        Some(actual) if actual != stated => {
                            wrong
                                .push(format!("object {target} is a {actual}, and {kind} {id} names it as a {stated}"));
                        }
                        Some(_) => {}
                    }
                });
                if let Err(error) = links {
                    out.line(format!("object {id}: {error}"));
                }
                wrong.into_iter().for_each(|line| out.line(line));
            }
        }
    }
    for (name, value) in snapshot.refs.iter() {
        if objects.find(&raw(&value.id)).is_none() {
            out.line(format!("{name} points at {}, which is not served", value.id));
        }
    }
    // What is served is what refs reach.
    if out.damage.is_empty() {
        match reached(&snapshot, &snapshot.refs) {
            Ok(reached) => {
                for (i, pack) in objects.packs().iter().enumerate() {
                    let walked = reached.of_pack(i as u32);
                    let n_beyond = match objects.served(i) {
                        // Of an object in two packs either copy may be the one that the walk met.
                        Served::All => (0..pack.index.len())
                            .filter(|position| !walked.contains(*position))
                            .filter(|position| {
                                objects.find_stored(&pack.index.id(*position))
                                    == Some(Place { pack: i as u32, position: *position })
                            })
                            .count(),
                        Served::Some(served) => (&**served - &walked)
                            .iter()
                            .filter(|position| {
                                objects.find_stored(&pack.index.id(*position))
                                    == Some(Place { pack: i as u32, position: *position })
                            })
                            .count(),
                    };
                    if n_beyond > 0 {
                        out.line(format!("{n_beyond} objects are served that no ref reaches"));
                    }
                    let n_short = walked
                        .iter()
                        .filter(|position| !objects.is_served(Place { pack: i as u32, position: *position }))
                        .count();
                    // After a deletion some are left out until somebody asks; then the set says so itself.
                    if n_short > 0 && snapshot.is_exact {
                        out.line(format!("{n_short} objects that refs reach are not served"));
                    }
                }
            }
            Err(error) => out.add(&error),
        }
    }
    out
}

impl Checked {
    /// The state of the repository's checkpoint, its file looked at like the others.
    fn checkpoint(&mut self, store: &Store, keys: &RepositoryKeys) -> Option<State> {
        let row = match checkpoint::row(store, keys) {
            Ok(row) => row?,
            Err(error) => {
                self.add_as("checkpoint", &error);
                return None;
            }
        };
        self.n_files += 1;
        if let Err(error) = store.open_file(keys, &row.file).and_then(|file| Ok(file.verify()?)) {
            self.add_as("checkpoint", &error);
            return None;
        }
        checkpoint::read(store, keys, &row).map_err(|error| self.add_as("checkpoint", &error)).ok()
    }

    fn line(&mut self, line: String) {
        if self.damage.len() < MAX_LISTED {
            self.damage.push(line);
        } else if self.damage.len() == MAX_LISTED {
            self.damage.push("and more".into());
        }
    }

    fn add_as(&mut self, what: &str, error: &(dyn std::error::Error + 'static)) {
        self.line(format!("{what}: {}", with_causes(error)));
    }

    fn add(&mut self, error: &(dyn std::error::Error + 'static)) {
        self.line(with_causes(error));
    }
}
