//! `lockgate repo import`: fills an empty repository from another one, on this machine (`local`) or reached by URL
//! (`http`, `ssh`), as one change.
//!
//! The source is as untrusted as a pusher: what it gives goes through the same quarantine and the same checks, with three
//! rules relaxed that much old history breaks (`fsck::TOLERATED_IN_OLD_HISTORY`). Refs that are this server's own, or no
//! valid names, are left out and listed. No Git program is started, no configuration of the source is obeyed, and no
//! file outside of it is read (attack checklist A11, F2, F4).
//!
//! Reading order: `address` says what a URL is, `remote` speaks the protocol over a connection from `http` or `ssh`,
//! `local` makes one pack of a folder, `selection` chooses refs. What they give meets in [`import`].

mod address;
mod http;
mod local;
mod progress;
mod remote;
mod selection;
mod ssh;
#[cfg(test)]
mod tests;

use std::io;

pub use address::AddressError;
pub use http::HttpError;
pub use local::LocalError;
pub use ssh::SshError;

use super::admin::ImportSource;
use crate::names::{ObjectId, RefName};
use crate::protocol::fetch_client::FetchError;
use crate::repository::fsck::TOLERATED_IN_OLD_HISTORY;
use crate::repository::handle::{PublishWith, Repository, RepositoryError};
use crate::repository::log::{LogEntry, RefChange};
use crate::repository::object::{ObjectKind, TagView};
use crate::repository::pack::ingest::{IngestError, IngestLimits};
use crate::repository::pack::oid_hash::raw;
use crate::repository::pack::read::{ObjectReader, Place};
use crate::repository::receive::{self, Quarantine};
use crate::repository::refs::Refs;
use crate::store::documents::Write;
use address::Address;
use progress::Reporter;
use selection::{Selection, SourceRefs};

/// What an import did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportReport {
    /// Refs that were made.
    pub n_refs: usize,
    /// Objects that came, those that no ref reaches included.
    pub n_objects: u32,
    /// Refs of the source that were left out: the name, safe to show, and why.
    pub skipped_refs: Vec<(String, String)>,
    /// The branch that HEAD names now.
    pub head: RefName,
}

/// Why an import failed. Nothing of it is left in the repository.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// There is something already that the import could overwrite.
    #[error("the repository is not empty; an import needs an empty one")]
    NotEmpty,
    /// The URL cannot be used.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The folder cannot be used.
    #[error(transparent)]
    Local(#[from] LocalError),
    /// HTTP failed.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// SSH failed.
    #[error(transparent)]
    Ssh(#[from] SshError),
    /// The other server does not answer as it should.
    #[error("failed to fetch from `{source_shown}`")]
    Fetch {
        /// Where from, without credentials.
        source_shown: String,
        /// Why.
        source: FetchError,
    },
    /// The pack is refused or could not be taken.
    #[error("failed to take in the objects of `{source_shown}`")]
    Pack {
        /// Where from, without credentials.
        source_shown: String,
        /// Why.
        source: IngestError,
    },
    /// The folder has objects that name others which it does not have.
    #[error(
        "`{source_shown}` is not complete: {hint}; try again from `git clone --mirror --no-local` of it, which leaves out \
         what no branch or tag needs"
    )]
    Incomplete {
        /// Where from.
        source_shown: String,
        /// What may be the cause.
        hint: &'static str,
        /// What is missing.
        source: IngestError,
    },
    /// Refs whose objects did not come.
    #[error("`{source_shown}` did not give the objects of {names}")]
    MissingRefs {
        /// Where from.
        source_shown: String,
        /// The refs, at most ten of them.
        names: String,
    },
    /// What came cannot be read back.
    #[error("failed to read what was taken in")]
    ReadBack(#[source] io::Error),
    /// The repository could not be changed.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
}

/// On whose behalf something is imported.
pub struct ImportedBy<'a> {
    /// An ARN, or `administrator`.
    pub actor: &'a str,
    /// What others are told of the refs that are made, written together with them.
    pub events: &'a dyn Fn(&[&RefChange]) -> Vec<Write>,
}

/// Fills `repository`, which has no refs yet, from `source`, as one log entry. `progress` takes lines
/// for people, about one a second while something moves. Blocks; called on a thread that may, inside the Tokio runtime.
pub fn import(
    repository: &Repository,
    source: &ImportSource,
    limits: &IngestLimits,
    by: &ImportedBy<'_>,
    progress: &mut dyn FnMut(&str),
) -> Result<ImportReport, ImportError> {
    import_with(repository, source, limits, by, progress, &ssh::Identity::of_this_user())
}

/// [`import`], with keys and known hosts from a given place.
fn import_with(
    repository: &Repository,
    source: &ImportSource,
    limits: &IngestLimits,
    by: &ImportedBy<'_>,
    progress: &mut dyn FnMut(&str),
    identity: &ssh::Identity,
) -> Result<ImportReport, ImportError> {
    if !repository.catch_up()?.refs.is_empty() {
        return Err(ImportError::NotEmpty);
    }
    let reporter = Reporter::new(repository.store().clock().clone(), progress);
    let taken = match source {
        ImportSource::Path(path) => take_local(repository, path, limits, &reporter)?,
        ImportSource::Url(url) => match Address::parse(url)? {
            Address::Http(address) => {
                let mut connection = http::HttpConnection::open(repository, &address)?;
                remote::take(repository, &mut connection, &address.shown, limits, &reporter)?
            }
            Address::Ssh(address) => {
                let mut connection = ssh::SshConnection::open(repository, &address, identity, &reporter)?;
                remote::take(repository, &mut connection, &address.shown, limits, &reporter)?
            }
        },
    };
    publish(repository, taken, by)
}

/// What came from the source and is in quarantine.
struct Taken {
    source_shown: String,
    selection: Selection,
    quarantine: Option<Quarantine>,
}

fn receive_pack(
    repository: &Repository,
    input: &mut dyn io::Read,
    limits: &IngestLimits,
    reporter: &Reporter<'_>,
) -> Result<Option<Quarantine>, IngestError> {
    receive::receive(
        repository.store(),
        repository.keys(),
        &repository.snapshot().objects,
        input,
        limits,
        TOLERATED_IN_OLD_HISTORY,
        true,
        &mut |progress| reporter.pack(progress),
    )
}

/// Takes a folder's objects in. Packs of objects that nothing needed when they were made ("cruft") are left out at
/// first, since what those objects name may be gone; if something is missing without them, they are tried.
fn take_local(
    repository: &Repository,
    path: &std::path::Path,
    limits: &IngestLimits,
    reporter: &Reporter<'_>,
) -> Result<Taken, ImportError> {
    let folder = local::LocalRepository::open(path)?;
    let source_shown = folder.shown().to_string();
    let mut attempts = vec![false];
    if folder.has_cruft() {
        attempts.push(true);
    }
    let mut failure = None;
    for with_cruft in attempts {
        let selection = Selection::of(folder.refs()?);
        let mut pack = folder.pack_stream(with_cruft, limits)?;
        match receive_pack(repository, &mut pack, limits, reporter) {
            Ok(quarantine) => {
                let taken = Taken { source_shown: source_shown.clone(), selection, quarantine };
                match missing_refs(&taken) {
                    None => return Ok(taken),
                    Some(error) => failure = Some(error),
                }
            }
            Err(source @ (IngestError::MissingObject { .. } | IngestError::MissingBase { .. })) => {
                let hint = if folder.has_alternates() {
                    "it borrows objects from other repositories (`objects/info/alternates`), which is not followed"
                } else {
                    "some of its objects name others that it does not have"
                };
                failure = Some(ImportError::Incomplete { source_shown: source_shown.clone(), hint, source });
            }
            Err(source) => return Err(ImportError::Pack { source_shown, source }),
        }
    }
    Err(failure.expect("there is at least one attempt, and each that does not return leaves its failure"))
}

/// Which of the chosen refs' objects did not come, as an error.
fn missing_refs(taken: &Taken) -> Option<ImportError> {
    let has = |id: &ObjectId| taken.quarantine.as_ref().is_some_and(|quarantine| quarantine.kind(id).is_some());
    let missing: Vec<&RefName> = taken.selection.refs.iter().filter(|(_, id)| !has(id)).map(|(name, _)| name).collect();
    if missing.is_empty() {
        return None;
    }
    let mut names: Vec<String> = missing.iter().take(10).map(|name| format!("`{name}`")).collect();
    if missing.len() > names.len() {
        names.push(format!("{} more", missing.len() - names.len()));
    }
    Some(ImportError::MissingRefs { source_shown: taken.source_shown.clone(), names: names.join(", ") })
}

/// Makes the refs, HEAD and the pack part of the repository, in one log entry.
fn publish(repository: &Repository, taken: Taken, by: &ImportedBy<'_>) -> Result<ImportReport, ImportError> {
    if let Some(error) = missing_refs(&taken) {
        return Err(error);
    }
    let Taken { mut selection, quarantine, .. } = taken;
    let mut changes = Vec::with_capacity(selection.refs.len());
    let mut after = Refs::new(repository.first_head().clone());
    for (name, id) in std::mem::take(&mut selection.refs) {
        let quarantine = quarantine.as_ref().expect("each ref's object was found in it above");
        if name.as_bytes().starts_with(b"refs/heads/") && quarantine.kind(&id) != Some(ObjectKind::Commit) {
            selection.skipped.push((name.for_people(), "a branch points at a commit, and this does not".into()));
            continue;
        }
        let peeled = peel(quarantine, &id).map_err(ImportError::ReadBack)?;
        let change = RefChange { name, old: None, new: Some(id), peeled };
        // A valid repository has no such pair; a hostile server may list one (checklist B8).
        if let Err(conflict) = after.check(&change) {
            selection.skipped.push((change.name.for_people(), conflict.to_string()));
            continue;
        }
        after.apply(&change);
        changes.push(change);
    }
    let tips: Vec<ObjectId> = changes.iter().filter_map(|change| change.new).collect();
    // A pack none of whose objects a ref reaches is not kept.
    let quarantine = quarantine.filter(|_| !tips.is_empty());
    let pack = match &quarantine {
        Some(quarantine) => {
            let mut manifest = quarantine.manifest.clone();
            let served = quarantine.served_by(&tips).map_err(ImportError::ReadBack)?;
            manifest.served = repository.write_served(&served, true)?;
            repository.remember(&manifest, &quarantine.pack);
            Some(manifest)
        }
        None => None,
    };
    let head = selection.head.filter(|head| head != repository.first_head());
    let n_refs = changes.len();
    let snapshot = repository.publish::<ImportError>(&mut |current| {
        if !current.refs.is_empty() {
            return Err(ImportError::NotEmpty);
        }
        if changes.is_empty() && head.is_none() {
            return Ok(None);
        }
        let mut entry = LogEntry::new(repository.store().clock().now_ms(), by.actor.to_string());
        entry.refs = changes.clone();
        entry.head = head.clone();
        entry.add_packs.extend(pack.clone());
        let documents = (by.events)(&changes.iter().collect::<Vec<_>>());
        Ok(Some((entry, PublishWith { documents, ..PublishWith::default() })))
    })?;
    let n_objects = quarantine.map_or(0, |quarantine| {
        let n_objects = quarantine.manifest.n_objects;
        quarantine.published();
        n_objects
    });
    Ok(ImportReport { n_refs, n_objects, skipped_refs: selection.skipped, head: snapshot.refs.head.clone() })
}

/// Where an annotated tag leads; nothing for what is none. The chain cannot be a circle: its ids are hashes.
fn peel(quarantine: &Quarantine, id: &ObjectId) -> io::Result<Option<ObjectId>> {
    if quarantine.kind(id) != Some(ObjectKind::Tag) {
        return Ok(None);
    }
    let packs = [quarantine.pack.clone()];
    let mut reader = ObjectReader::new(&packs, 1 << 16);
    let mut at = *id;
    while quarantine.kind(&at) == Some(ObjectKind::Tag) {
        let Some(position) = quarantine.pack.index.find(&raw(&at)) else { break };
        let data = reader.read_once(Place { pack: 0, position })?;
        at = TagView::parse(data).map_err(io::Error::other)?.target();
    }
    Ok(Some(at))
}

/// What another server said, in the form that all sources share.
impl From<crate::protocol::fetch_client::RemoteRefs> for SourceRefs {
    fn from(remote: crate::protocol::fetch_client::RemoteRefs) -> SourceRefs {
        SourceRefs {
            refs: remote.refs.into_iter().map(|found| (found.name, found.id)).collect(),
            head_target: remote.head_target,
            head_id: remote.head_id,
            skipped: Vec::new(),
        }
    }
}
