//! Merges, asked for by people: what would come of one, one that no branch points at, and those that change a branch, with a pull
//! request or without.
//!
//! A merge that changes a branch goes the way of a push (`ref_changes`): what it brings is decided as a change of the destination.

use super::OpContext;
use super::commits::{ChangeFailure, CommitWords, MergeOf, NewObjects, Workplace, command, holder_of, short_name};
use super::lockgate::Lockgate;
use super::repositories::RepositoryFailure;
use super::reviews::follow::Merging;
use super::reviews::{ReviewFailure, Shown};
use crate::identity::RepositoryRecord;
use crate::names::{ObjectId, RefName};
use crate::policy::Action;
use crate::repository::browse::{BrowseError, Browser};
use crate::repository::handle::{Repository, RepositoryError};
use crate::repository::line_diff::is_binary;
use crate::repository::log::RefChange;
pub use crate::repository::merge::hunks::{Lines, MergeHunk};
pub use crate::repository::merge::{
    Conflict, ConflictDetail, ConflictSide, MergeOptions, Operation, Resolution, Resolutions, Settling, SideKind,
};
use crate::repository::merge::{MergeError, Merged, hunks, merge, merge_bases};
use crate::repository::new_objects::commit_bytes;
use crate::repository::object::ObjectKind;
use crate::repository::snapshot::Snapshot;
use crate::review::pull_request::MergeOption;

/// Largest file whose lines are described, in bytes.
const MAX_DESCRIBED_BYTES: u64 = 6 << 20;

/// Why nothing was merged.
#[derive(Debug, thiserror::Error)]
pub enum MergeFailure {
    /// The change was refused, or cannot be made.
    #[error(transparent)]
    Change(#[from] ChangeFailure),
    /// The pull request says no.
    #[error(transparent)]
    Review(#[from] ReviewFailure),
    /// The trees cannot be merged at all.
    #[error(transparent)]
    Merge(#[from] MergeError),
    /// Somebody has to settle conflicts.
    #[error("{0} files are in conflict: settle them by hand")]
    Conflicts(usize),
    /// The destination has commits that the source does not have.
    #[error("the destination is no ancestor of the source: it cannot be moved there")]
    NotFastForward,
    /// There is no such commit.
    #[error("`{0}` is no branch, tag or full commit id of this repository")]
    NoCommit(String),
    /// The target is not where the destination is.
    #[error("`{0}` stands elsewhere than the destination that is merged into")]
    OtherTarget(String),
    /// The source branch stands elsewhere than was said.
    #[error("the source branch stands at {0}, and not at the commit that was named")]
    OtherSource(ObjectId),
    /// There is nothing at the path to be described.
    #[error("there is no file `{0}` in this merge")]
    NoFile(String),
    /// The pull request is of another repository.
    #[error("the pull request is not one of this repository")]
    OtherRepository,
}

impl From<RepositoryError> for MergeFailure {
    fn from(error: RepositoryError) -> MergeFailure {
        ChangeFailure::from(error).into()
    }
}

impl From<RepositoryFailure> for MergeFailure {
    fn from(failure: RepositoryFailure) -> MergeFailure {
        ChangeFailure::from(failure).into()
    }
}

impl From<BrowseError> for MergeFailure {
    fn from(error: BrowseError) -> MergeFailure {
        ChangeFailure::from(error).into()
    }
}

/// What kind of obstacle a [`MergeError`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MergeProblem {
    /// A commit is not there.
    NoCommit,
    /// The commits share no history.
    Unrelated,
    /// Too much content would have to be read.
    TooMuch,
    /// Too many things would have to be compared.
    TooMany,
    /// Somebody has to merge them with Git.
    ByHand,
    /// A resolution cannot be.
    Resolution,
    /// A path is none.
    Path,
    /// It failed here.
    Failed,
}

impl MergeProblem {
    /// Of an error.
    pub fn of(error: &MergeError) -> MergeProblem {
        match error {
            MergeError::NoCommit(_) => MergeProblem::NoCommit,
            MergeError::Unrelated => MergeProblem::Unrelated,
            MergeError::TooMuchContent { .. } => MergeProblem::TooMuch,
            MergeError::TooManyBases => MergeProblem::TooMany,
            MergeError::Unmergeable => MergeProblem::ByHand,
            MergeError::NotInConflict(_) | MergeError::BadResolution { .. } => MergeProblem::Resolution,
            MergeError::Path(_) => MergeProblem::Path,
            MergeError::Browse(_) | MergeError::Failed(_) => MergeProblem::Failed,
        }
    }
}

/// What is merged into what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pair {
    /// The commit that is merged.
    pub source: ObjectId,
    /// The commit that it is merged into.
    pub destination: ObjectId,
    /// Their best merge base.
    pub base: Option<ObjectId>,
}

/// A merge that was made, or found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MergedTo {
    /// The commit.
    pub commit: ObjectId,
    /// Its tree.
    pub tree: ObjectId,
}

/// How it is merged, and with what words.
pub struct MergeRequest<'a> {
    /// How.
    pub option: MergeOption,
    /// What becomes of conflicts.
    pub options: MergeOptions<'a>,
    /// Who says what with it.
    pub words: CommitWords,
}

impl MergeRequest<'_> {
    /// Whether somebody settles conflicts by hand.
    fn is_edited(&self) -> bool {
        let given = self.options.resolutions.is_some_and(|given| !given.files.is_empty() || !given.modes.is_empty());
        given && self.options.settling == Settling::ByHand && self.option != MergeOption::FastForwardMerge
    }
}

impl Lockgate {
    fn pair(&self, snapshot: &Snapshot, source: &str, destination: &str) -> Result<Pair, MergeFailure> {
        let browser = Browser::new(snapshot);
        let of = |text: &str| {
            browser.resolve(text).map_err(|error| match error {
                BrowseError::NoCommit(shown) => MergeFailure::NoCommit(shown),
                error => error.into(),
            })
        };
        Ok(pair_of(snapshot, of(source)?, of(destination)?))
    }

    /// The two commits that are to be merged, and their merge base. Blocks.
    pub fn merge_pair(&self, record: &RepositoryRecord, source: &str, destination: &str) -> Result<Pair, MergeFailure> {
        let snapshot = self.repository(record)?.snapshot();
        self.pair(&snapshot, source, destination)
    }

    /// How two commits can be merged without anybody's hand. Blocks.
    pub fn merge_options(
        &self,
        record: &RepositoryRecord,
        source: &str,
        destination: &str,
        options: &MergeOptions<'_>,
    ) -> Result<(Pair, Vec<MergeOption>), MergeFailure> {
        let snapshot = self.repository(record)?.snapshot();
        let pair = self.pair(&snapshot, source, destination)?;
        let mut ways = Vec::new();
        if pair.base == Some(pair.destination) {
            ways.push(MergeOption::FastForwardMerge);
        }
        match merge(&snapshot, &pair.destination, &pair.source, options) {
            Ok(merged) if merged.tree.is_some() => ways.extend([MergeOption::SquashMerge, MergeOption::ThreeWayMerge]),
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        Ok((pair, ways))
    }

    /// What is in conflict between two commits, and whether they can be merged so without anybody's hand. Blocks.
    pub fn merge_conflicts(
        &self,
        record: &RepositoryRecord,
        source: &str,
        destination: &str,
        options: &MergeOptions<'_>,
    ) -> Result<(Pair, Merged), MergeFailure> {
        let snapshot = self.repository(record)?.snapshot();
        let pair = self.pair(&snapshot, source, destination)?;
        let merged = merge(&snapshot, &pair.destination, &pair.source, options)?;
        Ok((pair, merged))
    }

    /// The lines of one file in the merge of two commits that either side changed. Blocks.
    pub fn merge_hunks(&self, record: &RepositoryRecord, conflict: &Conflict) -> Result<Vec<MergeHunk>, MergeFailure> {
        let snapshot = self.repository(record)?.snapshot();
        let mut browser = Browser::new(&snapshot);
        let mut text = |side: &Option<ConflictSide>| -> Result<Option<std::sync::Arc<[u8]>>, MergeFailure> {
            let is_text = |side: &&ConflictSide| {
                matches!(side.kind, SideKind::File | SideKind::Link)
                    && !side.is_binary
                    && side.size <= MAX_DESCRIBED_BYTES
            };
            Ok(match side.as_ref().filter(is_text) {
                Some(side) => Some(browser.blob(&side.id, MAX_DESCRIBED_BYTES)?),
                None => None,
            })
        };
        let (base, source, destination) =
            (text(&conflict.base)?, text(&conflict.source)?, text(&conflict.destination)?);
        // What is no text on some side has no lines to compare.
        let sides = [(&conflict.base, &base), (&conflict.source, &source), (&conflict.destination, &destination)];
        if sides.iter().any(|(side, text)| side.is_some() && text.is_none()) {
            return Ok(Vec::new());
        }
        let bytes = |text: &Option<std::sync::Arc<[u8]>>| text.as_deref().unwrap_or_default().to_vec();
        // Nor has what has too many.
        Ok(hunks::merge_hunks(&bytes(&base), &bytes(&source), &bytes(&destination)).unwrap_or_default())
    }

    /// A file of a merge that is not in conflict, as a conflict is told: without any. Blocks.
    pub fn merge_file(&self, record: &RepositoryRecord, pair: &Pair, path: &str) -> Result<Conflict, MergeFailure> {
        let snapshot = self.repository(record)?.snapshot();
        let mut browser = Browser::new(&snapshot);
        let mut side = |commit: Option<&ObjectId>| -> Result<Option<ConflictSide>, MergeFailure> {
            let Some(commit) = commit else { return Ok(None) };
            let Some(entry) = browser.at_path(commit, path.as_bytes())? else { return Ok(None) };
            if entry.mode & 0o170000 != 0o100000 && entry.mode & 0o170000 != 0o120000 {
                return Ok(None);
            }
            let content = browser.blob(&entry.id, MAX_DESCRIBED_BYTES);
            let (size, is_binary) = match content {
                Ok(content) => (content.len() as u64, is_binary(&content)),
                Err(BrowseError::TooLarge { size, .. }) => (size, true),
                Err(error) => return Err(error.into()),
            };
            let kind = if entry.mode & 0o170000 == 0o120000 { SideKind::Link } else { SideKind::File };
            Ok(Some(ConflictSide { mode: entry.mode, id: entry.id, size, kind, is_binary }))
        };
        let base = side(pair.base.as_ref())?;
        let (source, destination) = (side(Some(&pair.source))?, side(Some(&pair.destination))?);
        if base.is_none() && source.is_none() && destination.is_none() {
            return Err(MergeFailure::NoFile(crate::names::escape_for_people(path.as_bytes(), 300)));
        }
        let path = path.trim_matches('/').as_bytes().to_vec();
        Ok(Conflict { path, base, source, destination, n_conflicts: 0 })
    }

    /// The newest commit that merged the source into the destination's history, if one did. Blocks.
    pub fn merge_commit_of(
        &self,
        record: &RepositoryRecord,
        source: &str,
        destination: &str,
    ) -> Result<(Pair, Option<ObjectId>), MergeFailure> {
        let snapshot = self.repository(record)?.snapshot();
        let pair = self.pair(&snapshot, source, destination)?;
        let graph = snapshot.graph();
        let (Some(wanted), Some(tip)) = (snapshot.commit(&pair.source), snapshot.commit(&pair.destination)) else {
            return Ok((pair, None));
        };
        // Down the first parents: the first commit that has the source by another parent has merged it.
        let mut at = Some(tip);
        while let Some(node) = at {
            let parents = graph.parents(node);
            let others = parents.get(1..).unwrap_or_default();
            if others.iter().any(|parent| graph.is_ancestor(wanted, *parent)) {
                return Ok((pair, Some(ObjectId::from(*graph.id(node)))));
            }
            at = parents.first().copied().filter(|parent| graph.is_ancestor(wanted, *parent));
        }
        Ok((pair, None))
    }

    /// Makes the commit of a merge, which no branch points at: it is kept by a ref of the server's own, and fetched by its id. Who may
    /// has been decided, but for the paths: they are as if it were written to `on`. Blocks.
    pub fn create_unreferenced_merge(
        &self,
        ctx: &OpContext,
        record: &RepositoryRecord,
        (source, destination): (&str, &str),
        on: &RefName,
        request: &MergeRequest<'_>,
    ) -> Result<MergedTo, MergeFailure> {
        let repository = self.repository(record)?;
        let snapshot = repository.snapshot();
        let pair = self.pair(&snapshot, source, destination)?;
        let workplace = Workplace { host: self, ctx, record, repository: &repository };
        let (made, objects) =
            self.build(ctx, &snapshot, &pair, request, &|| format!("Merged {source} into {destination}"))?;
        let quarantine = workplace.take_in(&snapshot, &objects)?;
        let change = (&pair.destination, &made.commit);
        workplace.decide_paths(&snapshot, quarantine.as_ref(), on, change)?;
        let change = RefChange { name: holder_of(&made.commit)?, old: None, new: Some(made.commit), peeled: None };
        let (actor, option) = (ctx.principal.arn(), request.option.as_str());
        let of = (&pair.source, &pair.destination, pair.base.as_ref());
        let event = self.unreferenced_merge_event(record, &actor, &made.commit, of, option);
        workplace.keep(vec![change], quarantine, &[event])?;
        Ok(made)
    }

    /// Merges one commit into another and moves a branch to what comes of it. Blocks.
    pub fn merge_branches(
        &self,
        ctx: &OpContext,
        record: &RepositoryRecord,
        action: &Action,
        (source, destination): (&str, &str),
        target: &RefName,
        request: &MergeRequest<'_>,
    ) -> Result<MergedTo, MergeFailure> {
        let repository = self.repository(record)?;
        let snapshot = repository.snapshot();
        let pair = self.pair(&snapshot, source, destination)?;
        let Some(tip) = snapshot.refs.get(target).map(|value| value.id) else {
            return Err(ChangeFailure::NoBranch(short_name(target)).into());
        };
        if tip != pair.destination {
            return Err(MergeFailure::OtherTarget(short_name(target)));
        }
        let words = || format!("Merged {source} into {destination}");
        self.merge_onto(ctx, record, &repository, &snapshot, action, &pair, target, request, None, &words)
    }

    /// Merges a pull request. `named` is the source commit that the caller has looked at. Blocks.
    pub fn merge_pull_request(
        &self,
        ctx: &OpContext,
        record: &RepositoryRecord,
        action: &Action,
        number: u64,
        named: Option<&ObjectId>,
        request: &MergeRequest<'_>,
    ) -> Result<Shown, MergeFailure> {
        let repository = self.repository(record)?;
        let snapshot = repository.snapshot();
        let pull_request = self.pull_request(record, number)?.pull_request;
        if !pull_request.is_open {
            return Err(ReviewFailure::Closed(number).into());
        }
        let stands = |name: &RefName| {
            let value = snapshot.refs.get(name).map(|value| value.id);
            value.ok_or_else(|| ReviewFailure::NoReference(short_name(name)))
        };
        let (source, destination) = (stands(&pull_request.source)?, stands(&pull_request.destination)?);
        if named.is_some_and(|named| *named != source) || pull_request.source_commit != source {
            return Err(MergeFailure::OtherSource(source));
        }
        let pair = pair_of(&snapshot, source, destination);
        let merging = Merging { number, source, option: request.option, is_edited: request.is_edited() };
        let words = || format!("Merge pull request {number}: {}", pull_request.title);
        let target = pull_request.destination.clone();
        self.merge_onto(ctx, record, &repository, &snapshot, action, &pair, &target, request, Some(merging), &words)?;
        Ok(self.pull_request(record, number)?)
    }

    fn merge_onto(
        &self,
        ctx: &OpContext,
        record: &RepositoryRecord,
        repository: &Repository,
        snapshot: &std::sync::Arc<Snapshot>,
        action: &Action,
        pair: &Pair,
        target: &RefName,
        request: &MergeRequest<'_>,
        pull_request: Option<Merging>,
        words: &dyn Fn() -> String,
    ) -> Result<MergedTo, MergeFailure> {
        let workplace = Workplace { host: self, ctx, record, repository };
        let (made, objects) = self.build(ctx, snapshot, pair, request, words)?;
        if made.commit == pair.destination {
            return Err(ChangeFailure::NoChange.into());
        }
        let quarantine = match objects.is_empty() {
            true => None,
            false => workplace.take_in(snapshot, &objects)?,
        };
        let checks_of = (!request.is_edited()).then_some(pair.source);
        let merge = MergeOf { checks_of, pull_request };
        let change = command(target, Some(pair.destination), Some(made.commit));
        workplace.change(action, change, quarantine, Some(&merge))?;
        Ok(made)
    }

    /// The commit that comes of a merge, and the objects that it brings.
    fn build(
        &self,
        ctx: &OpContext,
        snapshot: &Snapshot,
        pair: &Pair,
        request: &MergeRequest<'_>,
        words: &dyn Fn() -> String,
    ) -> Result<(MergedTo, NewObjects), MergeFailure> {
        if request.option == MergeOption::FastForwardMerge {
            if pair.base != Some(pair.destination) {
                return Err(MergeFailure::NotFastForward);
            }
            let tree = Browser::new(snapshot).commit(&pair.source)?.tree;
            return Ok((MergedTo { commit: pair.source, tree }, NewObjects::default()));
        }
        // What the destination has already is not merged once more.
        if pair.base == Some(pair.source) {
            return Err(ChangeFailure::NoChange.into());
        }
        let merged = merge(snapshot, &pair.destination, &pair.source, &request.options)?;
        let Some(tree) = merged.tree else { return Err(MergeFailure::Conflicts(merged.conflicts.len())) };
        let parents = match request.option {
            MergeOption::SquashMerge => vec![pair.destination],
            _ => vec![pair.destination, pair.source],
        };
        let author = request.words.author(&ctx.principal, self.store().clock().now_ms());
        let message = request.words.message_or(words);
        let mut objects = merged.objects;
        let commit = objects.add(ObjectKind::Commit, commit_bytes(&tree, &parents, &author, &message));
        Ok((MergedTo { commit, tree }, objects))
    }
}

fn pair_of(snapshot: &Snapshot, source: ObjectId, destination: ObjectId) -> Pair {
    let base = match (snapshot.commit(&source), snapshot.commit(&destination)) {
        (Some(source), Some(destination)) => {
            merge_bases(snapshot.graph(), &[destination], &[source]).first().map(|node| *snapshot.graph().id(*node))
        }
        _ => None,
    };
    Pair { source, destination, base: base.map(ObjectId::from) }
}
