//! The ref log: every change of every ref, with who made it, when, and by which decision; and the way back to where a ref stood.
//!
//! It is the repository's own log, read; nothing is kept for it besides. What a ref stood at is stored still, also where no ref reaches
//! it any more and nobody is served it.

use uuid::Uuid;

use super::lockgate::Lockgate;
use super::ref_changes::{NAMESPACES, of_shelf};
use super::repositories::RepositoryFailure;
use super::reviews::follow::follows;
use super::{OpContext, Transport};
use crate::identity::{Principal, RepositoryRecord};
use crate::names::{ObjectId, RefName};
use crate::repository::handle::{PublishWith, RepositoryError};
use crate::repository::log::{LogEntry, RefChange};
use crate::repository::pack::oid_hash::raw;
use crate::repository::ref_change::Proposed;
use crate::repository::snapshot::Snapshot;
use crate::review::shelf::Reviews;

/// Log entries that are read at a time.
const PAGE: usize = 256;

/// Who leads a ref back: whoever has the server's command line.
pub(super) const ADMINISTRATOR: &str = "administrator";

/// What a change did to a ref.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeOfRef {
    /// Made it.
    Created,
    /// Led it on to what builds on it.
    Forwarded,
    /// Led it elsewhere.
    Forced,
    /// Took it away.
    Deleted,
}

impl ChangeOfRef {
    /// As people read it.
    pub fn as_str(self) -> &'static str {
        match self {
            ChangeOfRef::Created => "created",
            ChangeOfRef::Forwarded => "forwarded",
            ChangeOfRef::Forced => "forced",
            ChangeOfRef::Deleted => "deleted",
        }
    }
}

/// A change of a ref, as the log has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedChange {
    /// The number of the change in its repository; several refs may have changed by one.
    pub change: i64,
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// Who: an ARN, or `administrator`.
    pub actor: String,
    /// The ref.
    pub name: RefName,
    /// Where it stood.
    pub old: Option<ObjectId>,
    /// Where it stands since.
    pub new: Option<ObjectId>,
    /// What that is.
    pub what: ChangeOfRef,
    /// The decision that let it through; none for what the server did by itself, or an administrator.
    pub decision: Option<Uuid>,
}

/// Why a ref was not led back.
#[derive(Debug, thiserror::Error)]
pub enum UndoFailure {
    /// The repository could not be read or written.
    #[error(transparent)]
    Repository(#[from] RepositoryFailure),
    /// The log has no such change.
    #[error("no change {change} of `{name}` is in the log; see: lockgate reflog")]
    NoChange {
        /// The ref.
        name: RefName,
        /// The number that was named.
        change: i64,
    },
    /// Nothing has ever changed the ref.
    #[error("`{0}` has never been there; see: lockgate reflog")]
    Never(RefName),
    /// It is none that people lead.
    #[error("`{0}` belongs to the server: branches, tags and notes are led back")]
    OfServer(RefName),
    /// The change made the ref.
    #[error("change {change} made `{name}`: before it there was nothing to go back to")]
    Created {
        /// The ref.
        name: RefName,
        /// The change.
        change: i64,
    },
    /// It stands there already.
    #[error("`{name}` stands at {at} already")]
    Same {
        /// The ref.
        name: RefName,
        /// Where.
        at: ObjectId,
    },
    /// Objects are gone.
    #[error("{0} is not stored any more")]
    NotStored(ObjectId),
    /// The name cannot be there beside the others.
    #[error("`{name}` cannot be there: {why}")]
    Name {
        /// The ref.
        name: RefName,
        /// Why.
        why: String,
    },
}

impl From<RepositoryError> for UndoFailure {
    fn from(error: RepositoryError) -> UndoFailure {
        UndoFailure::Repository(error.into())
    }
}

impl Lockgate {
    /// Changes of refs, the newest first: of one ref, or of all but those that the server keeps for itself; at most `limit`. Blocks.
    pub fn ref_log(
        &self,
        record: &RepositoryRecord,
        name: Option<&RefName>,
        limit: usize,
    ) -> Result<Vec<LoggedChange>, RepositoryFailure> {
        let repository = self.repository(record)?;
        let snapshot = repository.snapshot();
        let mut out = Vec::new();
        let mut before = i64::MAX;
        while out.len() < limit {
            let page = repository.log_before(before, PAGE)?;
            let Some((last, _)) = page.last() else { break };
            before = *last;
            for (change, entry) in &page {
                for (i, of_ref) in entry.refs.iter().enumerate().rev() {
                    let is_asked = match name {
                        Some(name) => of_ref.name == *name,
                        None => !of_ref.name.as_bytes().starts_with(b"refs/lockgate/"),
                    };
                    if is_asked && out.len() < limit {
                        out.push(logged(&snapshot, *change, entry, i));
                    }
                }
            }
        }
        Ok(out)
    }

    /// Leads a ref back to where it stood before one of its changes, the last one if none is named. An administrator's work, which
    /// policies are not asked about; pull requests follow as after a push. Gives the change that this is. Blocks, for seconds on a large
    /// repository.
    pub fn undo_ref_change(
        &self,
        record: &RepositoryRecord,
        name: &RefName,
        change: Option<i64>,
    ) -> Result<RefChange, UndoFailure> {
        if !NAMESPACES.iter().any(|prefix| name.as_bytes().starts_with(prefix)) {
            return Err(UndoFailure::OfServer(name.clone()));
        }
        let repository = self.repository(record).map_err(RepositoryFailure::from)?;
        let all = self.ref_log(record, Some(name), usize::MAX)?;
        let undone = match change {
            Some(number) => all.iter().find(|logged| logged.change == number),
            None => all.first(),
        };
        let undone = undone.ok_or_else(|| match change {
            Some(change) if !all.is_empty() => UndoFailure::NoChange { name: name.clone(), change },
            _ => UndoFailure::Never(name.clone()),
        })?;
        let (number, Some(to)) = (undone.change, undone.old) else {
            return Err(UndoFailure::Created { name: name.clone(), change: undone.change });
        };
        let ctx = OpContext {
            principal: Principal::Service(ADMINISTRATOR.to_owned()),
            request_id: Uuid::now_v7(),
            source: None,
            transport: Transport::Api,
        };
        // What an annotated tag leads to stands beside the change that led there.
        let peeled = self.peeled_of(record, name, &to, number)?;
        let mut made = None;
        repository.publish(&mut |snapshot| -> Result<_, UndoFailure> {
            made = None;
            let old = snapshot.refs.get(name).map(|value| value.id);
            if old == Some(to) {
                return Err(UndoFailure::Same { name: name.clone(), at: to });
            }
            if snapshot.objects.find_stored(&raw(&to)).is_none() {
                return Err(UndoFailure::NotStored(to));
            }
            let change = RefChange { name: name.clone(), old, new: Some(to), peeled };
            let mut after = snapshot.refs.clone();
            after.check(&change).map_err(|error| UndoFailure::Name { name: name.clone(), why: error.to_string() })?;
            after.apply(&change);
            let now_ms = self.store().clock().now_ms();
            let proposed = Proposed::new(snapshot, None);
            let reviews = Reviews::new(self.store(), repository.keys());
            let followed = follows(&reviews, &ctx, snapshot, &after, &proposed, &[&change], None, now_ms);
            let followed = followed.map_err(of_shelf)?;
            let mut documents = followed.documents;
            let told = super::triggers::due(self, ADMINISTRATOR, record, &reviews, &[&change], now_ms);
            documents.extend(told.map_err(of_shelf)?);
            let pulls = &followed.pull_requests;
            documents.extend(self.events_of_changes(record, ADMINISTRATOR, &[&change], None, pulls, now_ms));
            followed.refs.iter().for_each(|change| after.apply(change));
            let mut entry = LogEntry::new(now_ms, ADMINISTRATOR.to_owned());
            entry.reserve = repository.serve_what_refs_reach(snapshot, &after)?;
            entry.refs = std::iter::once(change.clone()).chain(followed.refs).collect();
            made = Some(change);
            Ok(Some((entry, PublishWith { documents, ..PublishWith::default() })))
        })?;
        made.ok_or_else(|| RepositoryError::Busy.into())
    }

    /// What the annotated tag leads to at which a ref stood before a change; none for what is no tag.
    fn peeled_of(
        &self,
        record: &RepositoryRecord,
        name: &RefName,
        at: &ObjectId,
        before: i64,
    ) -> Result<Option<ObjectId>, RepositoryFailure> {
        let repository = self.repository(record)?;
        let mut before = before;
        loop {
            let page = repository.log_before(before, PAGE)?;
            let Some((last, _)) = page.last() else { return Ok(None) };
            before = *last;
            let mut changes = page.iter().flat_map(|(_, entry)| &entry.refs);
            if let Some(change) = changes.find(|change| change.name == *name && change.new.as_ref() == Some(at)) {
                return Ok(change.peeled);
            }
        }
    }
}

fn logged(snapshot: &Snapshot, change: i64, entry: &LogEntry, i: usize) -> LoggedChange {
    let RefChange { name, old, new, .. } = &entry.refs[i];
    let graph = snapshot.graph();
    let what = match (old, new) {
        (None, _) => ChangeOfRef::Created,
        (_, None) => ChangeOfRef::Deleted,
        (Some(old), Some(new)) => match (graph.find(&raw(old)), graph.find(&raw(new))) {
            (Some(old), Some(new)) if graph.is_ancestor(old, new) => ChangeOfRef::Forwarded,
            _ => ChangeOfRef::Forced,
        },
    };
    LoggedChange {
        change,
        at_ms: entry.at_ms,
        actor: entry.actor.clone(),
        name: name.clone(),
        old: *old,
        new: *new,
        what,
        decision: entry.decisions.get(i).map(|id| Uuid::from_bytes(*id)),
    }
}
