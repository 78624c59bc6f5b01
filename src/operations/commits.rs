//! Commits that this server makes for somebody: files put, moved and deleted on a branch, without a working tree.
//!
//! New objects come in as a pushed pack would, and the branch changes as by a push (`ref_changes`): the same checks, the same
//! policies, paths included.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use super::OpContext;
use super::authority::record_of;
use super::git_push::Leaning;
use super::lockgate::Lockgate;
use super::ref_changes::{RefChanges, Refusal};
use super::repositories::RepositoryFailure;
use super::reviews::follow::Merging;
use super::written_paths::{PathAuthority, PathRefusal};
use crate::identity::{Principal, RepositoryRecord};
use crate::names::{ObjectId, RefName, escape_for_people};
use crate::policy::Action;
use crate::protocol::receive_pack::RefCommand;
use crate::repository::browse::{BrowseError, Browser, Side};
use crate::repository::handle::{PublishWith, Repository, RepositoryError};
use crate::repository::log::{LogEntry, RefChange};
use crate::repository::new_objects::commit_bytes;
pub use crate::repository::new_objects::{Author, NewObjects};
use crate::repository::object::{EntryKind, ObjectKind};
use crate::repository::pack::ingest::IngestError;
use crate::repository::receive::{Quarantine, receive};
use crate::repository::ref_change::Proposed;
use crate::repository::snapshot::Snapshot;
pub use crate::repository::tree_edit::EditError;
use crate::repository::tree_edit::{KEEP, PathEdit, edit_tree, path_parts};
use crate::store::documents::Write;

/// Most bytes of a commit's message.
pub const MAX_MESSAGE_BYTES: usize = 256 << 10;

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileMode {
    /// A file.
    Normal,
    /// A file that can be run.
    Executable,
    /// A symbolic link; its bytes are where it leads.
    Symlink,
}

impl FileMode {
    /// The mode in a tree.
    pub fn bits(self) -> u32 {
        match self {
            FileMode::Normal => 0o100644,
            FileMode::Executable => 0o100755,
            FileMode::Symlink => 0o120000,
        }
    }
}

/// What a file that is put holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PutContent {
    /// These bytes.
    Bytes(Vec<u8>),
    /// What the file at a path of the parent holds, which is taken away from there or not.
    From {
        /// The path.
        path: String,
        /// Whether it is taken away.
        is_move: bool,
    },
}

/// A file that is put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Put {
    /// Where.
    pub path: String,
    /// What it is: a file, or as the one that it is copied from.
    pub mode: Option<FileMode>,
    /// What it holds.
    pub content: PutContent,
}

/// Changes of files that make one commit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileEdits {
    /// Files that are put, new or over old ones.
    pub puts: Vec<Put>,
    /// Files that are deleted.
    pub deletes: Vec<String>,
    /// Files of which only the mode changes.
    pub modes: Vec<(String, FileMode)>,
    /// A folder that becomes empty gets a file `.gitkeep`.
    pub keep_empty_folders: bool,
}

/// Who says what with a commit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CommitWords {
    /// The author's name; the caller's if there is none.
    pub name: Option<String>,
    /// The author's address; none is the empty one.
    pub email: Option<String>,
    /// The message; one that says what was done if there is none.
    pub message: Option<String>,
}

/// A file of a commit, as it is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileChange {
    /// Its path.
    pub path: String,
    /// The blob.
    pub blob: ObjectId,
    /// The mode, such as `0o100644`.
    pub mode: u32,
}

/// A commit that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// The commit.
    pub commit: ObjectId,
    /// Its tree.
    pub tree: ObjectId,
    /// Files that were not there.
    pub added: Vec<FileChange>,
    /// Files that were others.
    pub updated: Vec<FileChange>,
    /// Files that are gone.
    pub deleted: Vec<FileChange>,
}

/// Why a branch was not changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeFailure {
    /// The repository could not be read.
    #[error(transparent)]
    Repository(#[from] RepositoryFailure),
    /// The change was refused, by policies or because it cannot be made.
    #[error("{0}")]
    Refused(Refusal),
    /// There is no such branch.
    #[error("there is no branch `{0}`")]
    NoBranch(String),
    /// There is such a branch.
    #[error("there is a branch `{0}`")]
    BranchExists(String),
    /// The branch has commits, and the parent is not named.
    #[error("`{0}` has commits: name the one that you build on")]
    ParentRequired(String),
    /// There is no such commit.
    #[error("there is no commit `{0}`")]
    NoCommit(String),
    /// The branch stands elsewhere.
    #[error("`{branch}` stands at {tip}, and not at the commit that you build on")]
    Outdated {
        /// The branch.
        branch: String,
        /// Where it stands.
        tip: ObjectId,
    },
    /// There is no such file.
    #[error("there is no file `{0}`")]
    NoFile(String),
    /// The same file, with the same content and mode, is there.
    #[error("`{0}` is the same already")]
    SameFile(String),
    /// Nothing would change.
    #[error("nothing changes by this commit")]
    NoChange,
    /// A path is named twice.
    #[error("`{0}` is named twice")]
    SamePath(String),
    /// `.gitkeep` is neither copied nor moved.
    #[error("`{0}` stands for an empty folder: it is neither copied nor moved")]
    Keeper(String),
    /// A path is to be a file and a folder.
    #[error("`{0}` would be a file and a folder")]
    PutConflict(String),
    /// The tree cannot be changed so.
    #[error(transparent)]
    Edit(EditError),
    /// The objects were refused.
    #[error("{0}")]
    BadObjects(String),
    /// Somebody else changed the branch in between.
    #[error("the branch was changed meanwhile; try again")]
    Concurrent,
}

impl From<RepositoryError> for ChangeFailure {
    fn from(error: RepositoryError) -> ChangeFailure {
        ChangeFailure::Repository(error.into())
    }
}

impl From<BrowseError> for ChangeFailure {
    fn from(error: BrowseError) -> ChangeFailure {
        RepositoryError::Io(io::Error::other(error)).into()
    }
}

impl From<EditError> for ChangeFailure {
    fn from(error: EditError) -> ChangeFailure {
        match error {
            EditError::Browse(error) => error.into(),
            error => ChangeFailure::Edit(error),
        }
    }
}

impl From<Refusal> for ChangeFailure {
    fn from(refusal: Refusal) -> ChangeFailure {
        match refusal {
            Refusal::Moved(_) => ChangeFailure::Concurrent,
            refusal => ChangeFailure::Refused(refusal),
        }
    }
}

impl CommitWords {
    /// Who made it, when.
    pub fn author(&self, principal: &Principal, now_ms: i64) -> Author {
        let given = |text: &Option<String>| text.clone().filter(|text| !text.trim().is_empty());
        Author {
            name: given(&self.name).unwrap_or_else(|| principal.display_name()),
            email: given(&self.email).unwrap_or_default(),
            seconds: now_ms.div_euclid(1000),
        }
    }

    /// What it says, or else that.
    pub fn message_or(&self, otherwise: impl FnOnce() -> String) -> String {
        self.message.clone().filter(|text| !text.trim().is_empty()).unwrap_or_else(otherwise)
    }
}

/// The name of a branch as people know it.
pub fn short_name(name: &RefName) -> String {
    let name = name.as_bytes();
    escape_for_people(name.strip_prefix(b"refs/heads/").unwrap_or(name), 256)
}

/// The ref of the server's own that keeps a merge which no branch points at.
pub(super) fn holder_of(merge: &ObjectId) -> Result<RefName, RepositoryError> {
    RefName::parse(format!("refs/lockgate/merges/{merge}").as_bytes())
        .map_err(|error| RepositoryError::Io(io::Error::other(error)))
}

/// What a change merges.
pub(super) struct MergeOf {
    /// The commit whose checks count: the one that is merged, unless somebody has edited what comes of it.
    pub(super) checks_of: Option<ObjectId>,
    /// The pull request, if one is.
    pub(super) pull_request: Option<Merging>,
}

/// Where changes are made: one repository, for one caller.
pub(super) struct Workplace<'a> {
    pub(super) host: &'a Lockgate,
    pub(super) ctx: &'a OpContext,
    pub(super) record: &'a RepositoryRecord,
    pub(super) repository: &'a Repository,
}

impl Workplace<'_> {
    /// Takes objects in as if they had been pushed.
    pub(super) fn take_in(
        &self,
        snapshot: &std::sync::Arc<Snapshot>,
        objects: &NewObjects,
    ) -> Result<Option<Quarantine>, ChangeFailure> {
        let pack = objects.to_pack().map_err(RepositoryError::Io)?;
        let leaning = Leaning::new(self.repository, snapshot.clone());
        let taken = receive(
            self.repository.store(),
            self.repository.keys(),
            &leaning,
            &mut &pack[..],
            &self.host.ingest_limits(),
            &[],
            true,
            &mut |_| {},
        );
        taken.map_err(|error| match error {
            IngestError::MissingObject { .. } => ChangeFailure::Concurrent,
            error if error.is_peers_fault() => ChangeFailure::BadObjects(crate::telemetry::with_causes(&error)),
            error => RepositoryError::Io(io::Error::other(error)).into(),
        })
    }

    /// Whether what came in could be written to `on`, which stands at `old`: asked of its paths. What some ref reaches counts as
    /// decided when a branch is made there.
    pub(super) fn decide_paths(
        &self,
        snapshot: &Snapshot,
        quarantine: Option<&Quarantine>,
        on: &RefName,
        (old, new): (&ObjectId, &ObjectId),
    ) -> Result<(), ChangeFailure> {
        let directory = self.host.identity().directory();
        let policies = self.host.policies().with(&directory, self.host.identity().region());
        let paths = PathAuthority::new(&policies, &directory, self.ctx, self.record);
        let proposed = Proposed::new(snapshot, quarantine);
        let now_ms = self.host.store().clock().now_ms();
        let head = snapshot.refs.head_id();
        let checked = paths.check(&proposed, on, Some(old), new, head.as_ref(), now_ms);
        match checked.map_err(|error| RepositoryError::Io(io::Error::other(error)))? {
            None => Ok(()),
            Some(PathRefusal::OverLimit(why)) => Err(ChangeFailure::Refused(Refusal::Invalid(why))),
            Some(PathRefusal::Forbidden { path, n_paths, decision }) => {
                let store = self.host.store();
                store
                    .wait(store.catalog().record_decisions(&[record_of(&decision)], now_ms))
                    .map_err(RepositoryError::from)?;
                Err(ChangeFailure::Refused(Refusal::Path { path, n_paths, decision }))
            }
        }
    }

    /// Keeps what came in by refs of the server's own. Nothing is done if one of them stands elsewhere than it is said to; gives whether
    /// it was done.
    pub(super) fn keep(
        &self,
        changes: Vec<RefChange>,
        quarantine: Option<Quarantine>,
        documents: &[Write],
    ) -> Result<bool, ChangeFailure> {
        let mut is_made = false;
        let tips: Vec<ObjectId> = changes.iter().filter_map(|change| change.new).collect();
        let stands = |snapshot: &Snapshot, name: &RefName| snapshot.refs.get(name).map(|value| value.id);
        let published = self.repository.publish(&mut |snapshot| -> Result<_, RepositoryError> {
            is_made = false;
            if changes.is_empty() || changes.iter().any(|change| stands(snapshot, &change.name) != change.old) {
                return Ok(None);
            }
            let now_ms = self.host.store().clock().now_ms();
            let mut entry = LogEntry::new(now_ms, self.ctx.principal.arn());
            if let Some(quarantine) = &quarantine {
                let served = quarantine.served_by(&tips).map_err(RepositoryError::from)?;
                let mut manifest = quarantine.manifest.clone();
                manifest.served = self.repository.write_served(&served, true)?;
                self.repository.remember(&manifest, &quarantine.pack);
                entry.add_packs.push(manifest);
            }
            entry.refs = changes.clone();
            is_made = true;
            Ok(Some((entry, PublishWith { documents: documents.to_vec(), ..PublishWith::default() })))
        });
        if let Some(quarantine) = quarantine {
            match is_made && published.is_ok() {
                true => quarantine.published(),
                false => self.repository.forget(&quarantine.manifest),
            }
        }
        published?;
        Ok(is_made)
    }

    /// Changes one ref as `action`.
    pub(super) fn change(
        &self,
        action: &Action,
        command: RefCommand,
        quarantine: Option<Quarantine>,
        merge: Option<&MergeOf>,
    ) -> Result<(), ChangeFailure> {
        let changes = RefChanges {
            host: self.host,
            ctx: self.ctx,
            record: self.record,
            repository: self.repository,
            action,
            commands: &[command],
            quarantine: quarantine.as_ref(),
            is_atomic: true,
            push_options: &[],
            merging: merge.and_then(|merge| merge.pull_request.as_ref()),
            checks_of: merge.and_then(|merge| merge.checks_of.as_ref()),
        };
        changes.make().of(0)?;
        if let Some(quarantine) = quarantine {
            quarantine.published();
        }
        Ok(())
    }
}

/// The command that takes `name` from one place to another.
pub(super) fn command(name: &RefName, old: Option<ObjectId>, new: Option<ObjectId>) -> RefCommand {
    RefCommand { name: name.as_bytes().to_vec(), parsed: Ok(name.clone()), old, new }
}

/// Files as they were and will be.
struct Planned {
    edits: BTreeMap<Vec<u8>, PathEdit>,
    before: BTreeMap<Vec<u8>, Side>,
    objects: NewObjects,
}

impl Lockgate {
    /// Commits changes of files on a branch that stands at `parent`, or begins with them. Blocks.
    pub fn commit_files(
        &self,
        ctx: &OpContext,
        record: &RepositoryRecord,
        action: &Action,
        branch: &RefName,
        parent: Option<&ObjectId>,
        edits: &FileEdits,
        words: &CommitWords,
    ) -> Result<Committed, ChangeFailure> {
        let repository = self.repository(record)?;
        let snapshot = repository.snapshot();
        let workplace = Workplace { host: self, ctx, record, repository: &repository };
        let tip = snapshot.refs.get(branch).map(|value| value.id);
        let parent = parent_of(&snapshot, branch, tip, parent)?;
        let mut browser = Browser::new(&snapshot);
        let root = parent.map(|parent| browser.commit(&parent)).transpose()?.map(|commit| commit.tree);
        let mut planned = plan(&mut browser, root.as_ref(), edits)?;
        let (before, edits_made) = (planned.before, planned.edits);
        let tree = edit_tree(&mut browser, root.as_ref(), &edits_made, edits.keep_empty_folders, &mut planned.objects)?;
        if root == Some(tree) {
            return Err(ChangeFailure::NoChange);
        }
        let author = words.author(&ctx.principal, self.store().clock().now_ms());
        let message = words.message_or(|| default_message(&edits_made, &before));
        let parents: Vec<ObjectId> = parent.into_iter().collect();
        let commit = planned.objects.add(ObjectKind::Commit, commit_bytes(&tree, &parents, &author, &message));
        let quarantine = workplace.take_in(&snapshot, &planned.objects)?;
        workplace.change(action, command(branch, tip, Some(commit)), quarantine, None)?;
        Ok(told(commit, tree, &edits_made, &before))
    }

    /// Makes a branch at a commit. Blocks.
    pub fn create_branch(
        &self,
        ctx: &OpContext,
        record: &RepositoryRecord,
        action: &Action,
        branch: &RefName,
        commit: &ObjectId,
    ) -> Result<(), ChangeFailure> {
        let repository = self.repository(record)?;
        let snapshot = repository.snapshot();
        if snapshot.refs.get(branch).is_some() {
            return Err(ChangeFailure::BranchExists(short_name(branch)));
        }
        // A tag's id is no commit's.
        if snapshot.commit(commit).is_none_or(|node| ObjectId::from(*snapshot.graph().id(node)) != *commit) {
            return Err(ChangeFailure::NoCommit(commit.to_string()));
        }
        let workplace = Workplace { host: self, ctx, record, repository: &repository };
        workplace.change(action, command(branch, None, Some(*commit)), None, None)
    }

    /// Deletes a branch, and says where it stood; none if there is no such branch. Blocks.
    pub fn delete_branch(
        &self,
        ctx: &OpContext,
        record: &RepositoryRecord,
        action: &Action,
        branch: &RefName,
    ) -> Result<Option<ObjectId>, ChangeFailure> {
        let repository = self.repository(record)?;
        let Some(tip) = repository.snapshot().refs.get(branch).map(|value| value.id) else { return Ok(None) };
        let workplace = Workplace { host: self, ctx, record, repository: &repository };
        workplace.change(action, command(branch, Some(tip), None), None, None)?;
        Ok(Some(tip))
    }
}

/// The commit that is built on: where the branch stands, and nothing else. A branch that is not there begins with none in an empty
/// repository alone, as in AWS.
fn parent_of(
    snapshot: &Snapshot,
    branch: &RefName,
    tip: Option<ObjectId>,
    given: Option<&ObjectId>,
) -> Result<Option<ObjectId>, ChangeFailure> {
    if let Some(given) = given
        && snapshot.commit(given).is_none_or(|node| ObjectId::from(*snapshot.graph().id(node)) != *given)
    {
        return Err(ChangeFailure::NoCommit(given.to_string()));
    }
    match (tip, given) {
        (None, None) if snapshot.refs.iter().all(|(name, _)| !name.as_bytes().starts_with(b"refs/heads/")) => Ok(None),
        (None, _) => Err(ChangeFailure::NoBranch(short_name(branch))),
        (Some(_), None) => Err(ChangeFailure::ParentRequired(short_name(branch))),
        (Some(tip), Some(given)) if tip == *given => Ok(Some(tip)),
        (Some(tip), Some(_)) => Err(ChangeFailure::Outdated { branch: short_name(branch), tip }),
    }
}

/// What is asked, as changes of paths.
fn plan(browser: &mut Browser<'_>, root: Option<&ObjectId>, asked: &FileEdits) -> Result<Planned, ChangeFailure> {
    let mut planned = Planned { edits: BTreeMap::new(), before: BTreeMap::new(), objects: NewObjects::default() };
    let mut named = BTreeSet::new();
    let mut taken = |path: &str| -> Result<Vec<u8>, ChangeFailure> {
        let path = path_parts(path)?.join("/").into_bytes();
        match named.insert(path.clone()) {
            true => Ok(path),
            false => Err(ChangeFailure::SamePath(escape_for_people(&path, 300))),
        }
    };
    // A file is deleted, and its mode changed, only if it is there.
    for path in &asked.deletes {
        let path = taken(path)?;
        let side = file_at(browser, root, &path)?.ok_or_else(|| no_file(&path))?;
        planned.before.insert(path.clone(), side);
        planned.edits.insert(path, None);
    }
    for (path, mode) in &asked.modes {
        let path = taken(path)?;
        let before = file_at(browser, root, &path)?.ok_or_else(|| no_file(&path))?;
        let after = Side { mode: mode.bits(), id: before.id };
        stays_a_link(&before, &after, &path)?;
        planned.before.insert(path.clone(), before);
        planned.edits.insert(path, Some(after));
    }
    let mut moved = Vec::new();
    for put in &asked.puts {
        let path = taken(&put.path)?;
        let side = match &put.content {
            PutContent::Bytes(bytes) => {
                let id = planned.objects.add(ObjectKind::Blob, &bytes[..]);
                Side { mode: put.mode.unwrap_or(FileMode::Normal).bits(), id }
            }
            PutContent::From { path: from, is_move } => {
                let from = path_parts(from)?.join("/").into_bytes();
                if from.rsplit(|byte| *byte == b'/').next() == Some(KEEP) {
                    return Err(ChangeFailure::Keeper(escape_for_people(&from, 300)));
                }
                let source = file_at(browser, root, &from)?.ok_or_else(|| no_file(&from))?;
                if *is_move {
                    moved.push((from, source));
                }
                Side { mode: put.mode.map_or(source.mode, FileMode::bits), id: source.id }
            }
        };
        if let Some(before) = file_at(browser, root, &path)? {
            stays_a_link(&before, &side, &path)?;
            planned.before.insert(path.clone(), before);
            if before == side && asked.puts.len() == 1 && asked.deletes.is_empty() && asked.modes.is_empty() {
                return Err(ChangeFailure::SameFile(escape_for_people(&path, 300)));
            }
        }
        planned.edits.insert(path, Some(side));
    }
    for (from, source) in moved {
        // Moved and put anew is put.
        planned.edits.entry(from.clone()).or_insert(None);
        planned.before.insert(from, source);
    }
    // `a` and `a/b` cannot both be put. Sorted as paths, one directly follows the other.
    let puts: BTreeSet<Vec<&[u8]>> = planned
        .edits
        .iter()
        .filter(|(_, edit)| edit.is_some())
        .map(|(path, _)| path.split(|byte| *byte == b'/').collect())
        .collect();
    for (above, below) in puts.iter().zip(puts.iter().skip(1)) {
        if below.starts_with(above) {
            return Err(ChangeFailure::PutConflict(escape_for_people(&above.join(&b'/'), 300)));
        }
    }
    Ok(planned)
}

/// Where a link is, only a link is written: who puts a file there may take it for the file that it leads to (attack checklist A5).
fn stays_a_link(before: &Side, after: &Side, path: &[u8]) -> Result<(), ChangeFailure> {
    let is_link = |side: &Side| side.mode == FileMode::Symlink.bits();
    match is_link(before) && !is_link(after) {
        true => Err(EditError::IsLink(escape_for_people(path, 300)).into()),
        false => Ok(()),
    }
}

fn no_file(path: &[u8]) -> ChangeFailure {
    ChangeFailure::NoFile(escape_for_people(path, 300))
}

/// The file or link at a path of a tree.
fn file_at(browser: &mut Browser<'_>, root: Option<&ObjectId>, path: &[u8]) -> Result<Option<Side>, ChangeFailure> {
    let Some(root) = root else { return Ok(None) };
    let entry = browser.in_tree(root, path)?;
    let entry = entry.filter(|entry| matches!(entry.kind(), EntryKind::File | EntryKind::Link));
    Ok(entry.map(|entry| Side { mode: entry.mode, id: entry.id }))
}

fn default_message(edits: &BTreeMap<Vec<u8>, PathEdit>, before: &BTreeMap<Vec<u8>, Side>) -> String {
    let words = |path: &Vec<u8>, edit: &PathEdit| {
        let done = match (edit, before.contains_key(path)) {
            (None, _) => "Deleted",
            (Some(_), true) => "Edited",
            (Some(_), false) => "Added",
        };
        format!("{done} {}", String::from_utf8_lossy(path))
    };
    match edits.len() {
        1 => edits.iter().map(|(path, edit)| words(path, edit)).collect(),
        n => {
            let lines: Vec<String> = edits.iter().map(|(path, edit)| words(path, edit)).collect();
            format!("Changed {n} files\n\n{}", lines.join("\n"))
        }
    }
}

fn told(
    commit: ObjectId,
    tree: ObjectId,
    edits: &BTreeMap<Vec<u8>, PathEdit>,
    before: &BTreeMap<Vec<u8>, Side>,
) -> Committed {
    let mut told = Committed { commit, tree, added: Vec::new(), updated: Vec::new(), deleted: Vec::new() };
    for (path, edit) in edits {
        let change = |side: &Side| FileChange {
            path: String::from_utf8_lossy(path).into_owned(),
            blob: side.id,
            mode: side.mode,
        };
        match (before.get(path), edit) {
            (None, Some(side)) => told.added.push(change(side)),
            (Some(before), Some(side)) if before != side => told.updated.push(change(side)),
            (Some(before), None) => told.deleted.push(change(before)),
            _ => {}
        }
    }
    told
}
