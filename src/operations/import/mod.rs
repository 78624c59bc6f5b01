//! `lockgate repo import`: every ref of another repository, with what they reach, in one publish.
//!
//! What comes is checked exactly as a push is (attack checklist F4), but for the blemishes of old history that git's own
//! `fsck` only warns of. Hooks, configuration and alternates of the source are ignored (A11): of a local repository only refs
//! and object files are read, and no `git` runs.

mod local;
mod remote;

use std::io;
use std::path::PathBuf;

use serde_json::json;

use super::admin::ImportSource;
use crate::names::{ObjectId, RefName, escape_for_people};
use crate::repository::fsck::TOLERATED_IN_OLD_HISTORY;
use crate::repository::handle::{PublishWith, Repository, RepositoryError};
use crate::repository::log::{LogEntry, RefChange};
use crate::repository::object::{ObjectKind, TagView};
use crate::repository::pack::ingest::{IngestError, IngestLimits, Progress};
use crate::repository::pack::oid_hash::raw;
use crate::repository::pack::read::{ObjectReader, Place};
use crate::repository::receive::{Quarantine, receive};

/// Why an import failed; nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The repository has refs already.
    #[error("the repository is not empty; import into a new one")]
    NotEmpty,
    /// The source has no ref that can be taken.
    #[error("the source has no refs to import")]
    NothingThere,
    /// The URL cannot be used (attack checklist F2).
    #[error("`{url}` cannot be imported: {reason}")]
    BadUrl {
        /// The URL without its password.
        url: String,
        /// Why.
        reason: String,
    },
    /// The folder is no repository that can be read.
    #[error("`{path}` cannot be imported: {reason}")]
    BadFolder {
        /// The folder.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Reading the source failed.
    #[error("failed to read the source")]
    Source(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The pack was refused.
    #[error("the source's objects were refused")]
    Pack(#[source] IngestError),
    /// A ref's object did not come.
    #[error("`{name}` points at {id}, which the source did not send")]
    MissingTip {
        /// The ref.
        name: RefName,
        /// The object.
        id: ObjectId,
    },
    /// Publishing failed.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
}

impl From<io::Error> for ImportError {
    fn from(error: io::Error) -> ImportError {
        ImportError::Source(error.into())
    }
}

/// What came.
#[derive(Debug)]
pub struct ImportReport {
    n_refs: usize,
    n_objects: u32,
    received_bytes: u64,
    head: RefName,
    skipped: Vec<String>,
}

impl ImportReport {
    /// For people.
    pub fn text(&self) -> String {
        let mut text = format!(
            "imported {} refs and {} objects ({} MiB); HEAD is {}",
            self.n_refs,
            self.n_objects,
            self.received_bytes >> 20,
            self.head
        );
        for (i, name) in self.skipped.iter().enumerate() {
            if i == 20 {
                text.push_str(&format!("\nand {} more", self.skipped.len() - i));
                break;
            }
            text.push_str(&format!("\nleft out {name}"));
        }
        text
    }

    /// For scripts.
    pub fn json(&self) -> serde_json::Value {
        json!({
            "refs": self.n_refs, "objects": self.n_objects, "bytes": self.received_bytes, "head": self.head.to_string(),
            "skipped": self.skipped,
        })
    }
}

/// The refs of a source, and its objects as a pack.
struct Source<'a> {
    refs: Vec<(Vec<u8>, ObjectId)>,
    head: Option<Vec<u8>>,
    pack: Box<dyn io::Read + 'a>,
}

/// Refs that are the server's own here, or another clone's there.
const LEFT_OUT: [&[u8]; 5] = [b"refs/pull/", b"refs/reviews/", b"refs/internal/", b"refs/remotes/", b"refs/stash"];

/// Imports `source` into an empty repository. Blocks.
pub fn import(
    repository: &Repository,
    source: &ImportSource,
    limits: &IngestLimits,
    actor: &str,
    progress: &mut dyn FnMut(&str),
) -> Result<ImportReport, ImportError> {
    if !repository.snapshot().refs.is_empty() {
        return Err(ImportError::NotEmpty);
    }
    let mut remote_lines = Vec::new();
    let mut hear = |line: &str| {
        // The remote's counters come by the thousand; its last word of each second is enough.
        remote_lines.push(line.to_string());
    };
    let is_wanted =
        |name: &[u8]| RefName::parse(name).is_ok() && !LEFT_OUT.iter().any(|prefix| name.starts_with(prefix));
    let mut source = match source {
        ImportSource::Path(path) => local::open(path)?,
        ImportSource::Url(url) => remote::open(repository.store(), url, &is_wanted, &mut hear)?,
    };
    let mut skipped = Vec::new();
    let mut refs: Vec<(RefName, ObjectId)> = Vec::new();
    for (name, id) in &source.refs {
        match RefName::parse(name) {
            Ok(name) if is_wanted(name.as_bytes()) => refs.push((name, *id)),
            Ok(name) => skipped.push(name.to_string()),
            Err(_) if name == b"HEAD" => {}
            Err(error) => skipped.push(format!("{}: {error}", escape_for_people(name, 200))),
        }
    }
    if refs.is_empty() {
        return Err(ImportError::NothingThere);
    }
    let snapshot = repository.snapshot();
    let mut last = std::time::Instant::now();
    let mut tell = |now: Progress| {
        let (words, done, total) = match now {
            Progress::Receiving { done, total } => ("Receiving objects", done, total),
            Progress::Resolving { done, total } => ("Resolving deltas", done, total),
        };
        if done == total || last.elapsed().as_millis() >= 1000 {
            last = std::time::Instant::now();
            progress(&format!("{words}: {}% ({done}/{total})", u64::from(done) * 100 / u64::from(total.max(1))));
        }
    };
    let taken = receive(
        repository.store(),
        repository.keys(),
        &snapshot.objects,
        &mut source.pack,
        limits,
        TOLERATED_IN_OLD_HISTORY,
        false,
        &mut tell,
    );
    let quarantine = taken.map_err(ImportError::Pack)?.ok_or(ImportError::NothingThere)?;
    let mut changes = Vec::with_capacity(refs.len());
    for (name, id) in refs {
        let Some(kind) = quarantine.kind(&id) else { return Err(ImportError::MissingTip { name, id }) };
        if name.as_bytes().starts_with(b"refs/heads/") && kind != ObjectKind::Commit {
            skipped.push(format!("{name}: a branch points at a commit, and {id} is a {kind}"));
            continue;
        }
        let peeled = if kind == ObjectKind::Tag { Some(peel(&quarantine, id)?) } else { None };
        changes.push(RefChange { name, old: None, new: Some(id), peeled });
    }
    let has = |name: &[u8]| changes.iter().any(|change| change.name.as_bytes() == name);
    let head = source.head.as_ref().and_then(|name| RefName::parse(name).ok());
    let head = head.or_else(|| {
        let likely = ["refs/heads/main", "refs/heads/master"].into_iter().find(|name| has(name.as_bytes()));
        likely.and_then(|name| RefName::parse(name.as_bytes()).ok())
    });
    let head = head.unwrap_or_else(|| snapshot.refs.head.clone());
    let tips: Vec<ObjectId> = changes.iter().filter_map(|change| change.new).collect();
    let published = repository.publish(&mut |snapshot| -> Result<_, ImportError> {
        if !snapshot.refs.is_empty() {
            return Err(ImportError::NotEmpty);
        }
        let mut entry = LogEntry::new(repository.store().clock().now_ms(), actor.to_string());
        let mut manifest = quarantine.manifest.clone();
        manifest.served = repository.write_served(&quarantine.served_by(&tips)?, true)?;
        repository.remember(&manifest, &quarantine.pack);
        entry.add_packs.push(manifest);
        entry.refs = changes.clone();
        entry.head = Some(head.clone());
        Ok(Some((entry, PublishWith::default())))
    });
    published?;
    let report = ImportReport {
        n_refs: changes.len(),
        n_objects: quarantine.manifest.n_objects,
        received_bytes: quarantine.received_bytes,
        head,
        skipped,
    };
    quarantine.published();
    Ok(report)
}

/// Follows tags within the pack to what is none.
fn peel(quarantine: &Quarantine, mut id: ObjectId) -> Result<ObjectId, ImportError> {
    let packs = [quarantine.pack.clone()];
    let mut reader = ObjectReader::new(&packs, 1 << 16);
    while let Some(position) = quarantine.pack.index.find(&raw(&id)) {
        if quarantine.pack.index.kind(position) != ObjectKind::Tag {
            break;
        }
        let data = reader.read_once(Place { pack: 0, position })?;
        id = TagView::parse(data).map_err(io::Error::other)?.target();
    }
    Ok(id)
}
