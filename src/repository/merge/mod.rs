//! Three-way merges of commits: what `git merge` makes of the same two, in memory. No working tree, no child process, no drivers, no
//! filters; `.gitattributes` are not read.
//!
//! `gix-merge` merges trees and files; what is merged with what (the merge bases, several of them made into one), what counts as a
//! conflict, and how conflicts are settled is decided here.

mod bases;
mod conflicts;
mod folders;
pub mod hunks;
mod objects;

use std::collections::{BTreeMap, BTreeSet};

use bstr::BStr;
use gix_diff::blob::Algorithm;
use gix_merge::blob::builtin_driver::binary::ResolveWith as Binary;
use gix_merge::blob::builtin_driver::text::{Conflict as TextConflict, ConflictStyle, Labels};
use gix_merge::tree::{Outcome, Resolution as Settled, ResolveWith, TreatAsUnresolved};
use gix_object::tree::EntryKind as Kind;

pub use bases::merge_bases;
pub use conflicts::{Conflict, ConflictSide, Operation, SideKind};
use objects::MergeObjects;

use super::browse::{BrowseError, Browser, Side};
use super::commit_graph::Node;
use super::new_objects::NewObjects;
use super::object::{EntryKind, ObjectKind};
use super::pack::oid_hash::raw;
use super::snapshot::Snapshot;
use super::tree_edit::{EditError, path_parts};
use crate::names::{ObjectId, escape_for_people};

/// Most merge bases that are made into one, and most steps of doing so.
const MAX_BASES: usize = 16;

/// How much a merge may read.
#[derive(Debug, Clone, Copy)]
pub struct MergeLimits {
    /// Largest file whose content is merged, in bytes: larger ones are binary, which merge as wholes.
    pub file_bytes: u64,
    /// Most bytes of all blobs that are read.
    pub total_bytes: u64,
    /// Most pairs that are looked at for renames, as Git's `merge.renameLimit`: beyond, only whole files that are the same are
    /// taken for renamed.
    pub rename_limit: usize,
}

impl Default for MergeLimits {
    fn default() -> MergeLimits {
        MergeLimits { file_bytes: 16 << 20, total_bytes: 512 << 20, rename_limit: 7000 }
    }
}

/// What counts as a conflict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ConflictDetail {
    /// A file that both sides changed, each in its way.
    #[default]
    File,
    /// Lines that both sides changed, as in Git.
    Line,
}

/// What becomes of conflicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Settling {
    /// There may be none.
    #[default]
    Nothing,
    /// The source is right.
    Source,
    /// The destination is right.
    Destination,
    /// As the resolutions say.
    ByHand,
}

/// How one conflict is settled by hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolution {
    /// As the merge base has it.
    Base,
    /// As the source has it.
    Source,
    /// As the destination has it.
    Destination,
    /// So.
    Content(Vec<u8>),
    /// Not at all.
    Delete,
}

/// How conflicts are settled by hand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resolutions {
    /// By path; with the mode, if it is another one.
    pub files: BTreeMap<String, (Resolution, Option<u32>)>,
    /// Modes alone.
    pub modes: BTreeMap<String, u32>,
}

/// What is to be merged how.
#[derive(Debug, Clone, Copy, Default)]
pub struct MergeOptions<'a> {
    /// What counts as a conflict.
    pub detail: ConflictDetail,
    /// What becomes of conflicts.
    pub settling: Settling,
    /// For [`Settling::ByHand`].
    pub resolutions: Option<&'a Resolutions>,
    /// Bounds.
    pub limits: MergeLimits,
}

/// Why there is no merge.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// A commit is not there.
    #[error("there is no commit `{0}`")]
    NoCommit(ObjectId),
    /// The commits share no history.
    #[error("the commits have no common history")]
    Unrelated,
    /// The histories cross too often.
    #[error("the histories have more than {MAX_BASES} merge bases")]
    TooManyBases,
    /// Too much would have to be read.
    #[error("the merge reads more than {limit} bytes")]
    TooMuchContent {
        /// The limit.
        limit: u64,
    },
    /// The library cannot merge them.
    #[error("these cannot be merged here: merge them with Git, and push what comes of it")]
    Unmergeable,
    /// A conflict is settled by hand that is none.
    #[error("`{0}` is not in conflict")]
    NotInConflict(String),
    /// A resolution says what cannot be done.
    #[error("`{path}` cannot be settled so: {why}")]
    BadResolution {
        /// Which.
        path: String,
        /// Why.
        why: &'static str,
    },
    /// A path is none.
    #[error(transparent)]
    Path(#[from] EditError),
    /// The objects cannot be read.
    #[error(transparent)]
    Browse(#[from] BrowseError),
    /// The trees or files cannot be merged.
    #[error("the merge failed: {0}")]
    Failed(String),
}

/// What came of a merge.
#[derive(Debug)]
pub struct Merged {
    /// The merge bases, the best of them first.
    pub bases: Vec<ObjectId>,
    /// The tree, if nothing is left in conflict.
    pub tree: Option<ObjectId>,
    /// Blobs and trees of it that were not there.
    pub objects: NewObjects,
    /// Conflicts, also those that were settled, by path.
    pub conflicts: Vec<Conflict>,
    /// Whether they were settled, all of them.
    pub is_settled: bool,
}

/// Merges `source` into `destination`. Blocks.
pub fn merge(
    snapshot: &Snapshot,
    destination: &ObjectId,
    source: &ObjectId,
    options: &MergeOptions<'_>,
) -> Result<Merged, MergeError> {
    let node = |id: &ObjectId| snapshot.commit(id).ok_or(MergeError::NoCommit(*id));
    let (ours, theirs) = (node(destination)?, node(source)?);
    let graph = snapshot.graph();
    let bases = merge_bases(graph, &[ours], &[theirs]);
    if bases.is_empty() {
        return Err(MergeError::Unrelated);
    }
    let objects = MergeObjects::new(snapshot, options.limits);
    let merger = Merger { snapshot, objects: &objects, limits: options.limits };
    let tree_of = |node: Node| ObjectId::from(*graph.tree(node));
    let made = merger.run(&bases, tree_of(ours), tree_of(theirs), options);
    if objects.is_over() {
        return Err(MergeError::TooMuchContent { limit: options.limits.total_bytes });
    }
    let (tree, conflicts, is_settled) = made?;
    let objects = match &tree {
        Some(tree) => objects.reached_from(tree)?,
        None => NewObjects::default(),
    };
    let bases = bases.into_iter().map(|node| ObjectId::from(*graph.id(node))).collect();
    Ok(Merged { bases, tree, objects, conflicts, is_settled })
}

struct Merger<'a> {
    snapshot: &'a Snapshot,
    objects: &'a MergeObjects<'a>,
    limits: MergeLimits,
}

type Made = (Option<ObjectId>, Vec<Conflict>, bool);

impl Merger<'_> {
    fn run(
        &self,
        bases: &[Node],
        ours: ObjectId,
        theirs: ObjectId,
        options: &MergeOptions<'_>,
    ) -> Result<Made, MergeError> {
        let made = self.try_run(bases, ours, theirs, options);
        if matches!(made, Err(MergeError::Unmergeable)) && options.settling == Settling::Nothing {
            // All that both have touched may be in conflict.
            let base = ObjectId::from(*self.snapshot.graph().tree(bases[0]));
            let paths = self.touched_by_both(&base, &ours, &theirs)?;
            let conflicts =
                conflicts::describe(self.snapshot, &paths, [&base, &theirs, &ours], self.limits.file_bytes)?;
            return Ok((None, conflicts, false));
        }
        made
    }

    fn try_run(
        &self,
        bases: &[Node],
        ours: ObjectId,
        theirs: ObjectId,
        options: &MergeOptions<'_>,
    ) -> Result<Made, MergeError> {
        let mut doubtful = BTreeSet::new();
        let base = self.base_tree(bases, 1, &mut doubtful)?;
        let first_base = ObjectId::from(*self.snapshot.graph().tree(bases[0]));
        if ours == theirs {
            return Ok((Some(ours), Vec::new(), true));
        }
        // Whatever a side does not change is the other's, however that came about; what a doubtful base says is no such thing.
        if doubtful.is_empty() && (ours == base || theirs == base) {
            return Ok((Some(if ours == base { theirs } else { ours }), Vec::new(), true));
        }
        let outcome = self.trees(&base, &ours, &theirs, &Pass::Plain)?;
        let unresolved = TreatAsUnresolved::git();
        let mut paths: BTreeSet<Vec<u8>> = BTreeSet::new();
        let mut merged_files: BTreeSet<Vec<u8>> = BTreeSet::new();
        for conflict in &outcome.conflicts {
            let is_open = conflict.is_unresolved(unresolved);
            let is_of_file = options.detail == ConflictDetail::File && conflict.content_merge().is_some();
            if is_open || is_of_file {
                let (ours, theirs) = conflict.changes_in_resolution();
                paths.insert(ours.location().to_vec());
                paths.insert(theirs.location().to_vec());
            }
            if is_of_file && !is_open {
                merged_files.insert(conflict.ours.location().to_vec());
            }
        }
        // Where the bases themselves are in conflict and the sides do not agree, somebody has to look: what a base made of such says
        // is as good as a guess.
        let mut browser = Browser::new(self.snapshot);
        for path in doubtful {
            if browser.in_tree(&ours, &path)? != browser.in_tree(&theirs, &path)? {
                paths.insert(path);
            }
        }
        paths.extend(self.without_place(&base, &ours, &theirs)?);
        let sides = [&first_base, &theirs, &ours];
        let conflicts = conflicts::describe(self.snapshot, &paths, sides, self.limits.file_bytes)?;
        if paths.is_empty() {
            return Ok((Some(self.write(outcome)?), conflicts, true));
        }
        match options.settling {
            Settling::Nothing => Ok((None, conflicts, false)),
            Settling::Source | Settling::Destination => {
                let tree = self.one_side(options, (&base, &ours, &theirs), &paths)?;
                Ok((Some(tree), conflicts, true))
            }
            Settling::ByHand => {
                let none = Resolutions::default();
                let given = options.resolutions.unwrap_or(&none);
                let settled = self.by_hand(outcome, given, &paths, &merged_files, sides)?;
                let is_settled = settled.is_some();
                Ok((settled, conflicts, is_settled))
            }
        }
    }

    /// The tree where one side is right wherever there is a conflict.
    fn one_side(
        &self,
        options: &MergeOptions<'_>,
        (base, ours, theirs): (&ObjectId, &ObjectId, &ObjectId),
        paths: &BTreeSet<Vec<u8>>,
    ) -> Result<ObjectId, MergeError> {
        // The library can let its own side win: that is the one which is right.
        let (winner, other) = match options.settling {
            Settling::Source => (theirs, ours),
            _ => (ours, theirs),
        };
        let mut outcome = self.trees(base, winner, other, &Pass::FirstWins)?;
        if options.detail == ConflictDetail::File {
            let mut browser = Browser::new(self.snapshot);
            for path in paths {
                let side = browser.in_tree(winner, path)?.map(|entry| Side { mode: entry.mode, id: entry.id });
                put(&mut outcome, path, side)?;
            }
        }
        self.write(outcome)
    }

    /// The tree with conflicts settled as somebody says; none if one is left.
    fn by_hand(
        &self,
        mut outcome: Outcome<'_>,
        given: &Resolutions,
        paths: &BTreeSet<Vec<u8>>,
        merged_files: &BTreeSet<Vec<u8>>,
        [base, theirs, ours]: [&ObjectId; 3],
    ) -> Result<Option<ObjectId>, MergeError> {
        let mut browser = Browser::new(self.snapshot);
        let mut left = paths.clone();
        // What merges line by line needs no hand.
        left.retain(|path| !merged_files.contains(path));
        for (path, (resolution, mode)) in &given.files {
            let key = path_parts(path)?.join("/").into_bytes();
            let shown = || escape_for_people(&key, 300);
            if !paths.contains(&key) {
                return Err(MergeError::NotInConflict(shown()));
            }
            let mut at = |tree: &ObjectId| -> Result<Option<Side>, MergeError> {
                Ok(browser.in_tree(tree, &key)?.map(|entry| Side { mode: entry.mode, id: entry.id }))
            };
            let side = match resolution {
                Resolution::Base => at(base)?,
                Resolution::Source => at(theirs)?,
                Resolution::Destination => at(ours)?,
                Resolution::Delete => None,
                Resolution::Content(content) => {
                    let of_sides = [at(ours)?, at(theirs)?].into_iter().flatten().map(|side| side.mode).next();
                    let id = self.objects.add(ObjectKind::Blob, content);
                    let is_file = |mode: &u32| [0o100000, 0o120000].contains(&(mode & 0o170000));
                    Some(Side { mode: of_sides.filter(is_file).unwrap_or(0o100644), id })
                }
            };
            let side = match (side, mode) {
                (Some(side), Some(mode)) if [0o100000, 0o120000].contains(&(side.mode & 0o170000)) => {
                    Some(Side { mode: *mode, ..side })
                }
                (Some(_), Some(_)) => {
                    let why = "it is no file whose mode could be set";
                    return Err(MergeError::BadResolution { path: shown(), why });
                }
                (side, _) => side,
            };
            put(&mut outcome, &key, side)?;
            left.remove(&key);
        }
        for (path, mode) in &given.modes {
            let key = path_parts(path)?.join("/").into_bytes();
            if !paths.contains(&key) {
                return Err(MergeError::NotInConflict(escape_for_people(&key, 300)));
            }
            let found = outcome.tree.get(parts_of(&key)).map(|entry| entry.oid);
            if let Some(id) = found {
                put(&mut outcome, &key, Some(Side { mode: *mode, id }))?;
            }
        }
        if !left.is_empty() {
            return Ok(None);
        }
        Ok(Some(self.write(outcome)?))
    }

    /// The tree that both sides are compared with: the merge base's, or that of all merge bases merged with each other, the oldest
    /// first, as Git does it. Paths at which they are in conflict with each other are added to `doubtful`.
    fn base_tree(
        &self,
        bases: &[Node],
        depth: usize,
        doubtful: &mut BTreeSet<Vec<u8>>,
    ) -> Result<ObjectId, MergeError> {
        let graph = self.snapshot.graph();
        let tree_of = |node: Node| ObjectId::from(*graph.tree(node));
        if bases.len() > MAX_BASES || depth > MAX_BASES {
            return Err(MergeError::TooManyBases);
        }
        let mut rest = bases.iter().rev().copied();
        let Some(first) = rest.next() else {
            // Bases that have nothing in common have the empty tree in common.
            return Ok(self.objects.add(ObjectKind::Tree, b""));
        };
        let (mut tree, mut tips) = (tree_of(first), vec![first]);
        for next in rest {
            let below = merge_bases(graph, &tips, &[next]);
            let base = self.base_tree(&below, depth + 1, doubtful)?;
            let next_tree = tree_of(next);
            let mut browser = Browser::new(self.snapshot);
            for conflict in &self.trees(&base, &tree, &next_tree, &Pass::Plain)?.conflicts {
                // Lines in conflict are lines of the base as in Git: whoever changes them changes them, whatever they say.
                if conflict.is_unresolved(TreatAsUnresolved::git()) && !is_of_lines_alone(conflict) {
                    for change in [&conflict.ours, &conflict.theirs] {
                        for path in [change.location(), change.source_location()] {
                            doubtful.insert(path.to_vec());
                            // Where a file stands in the place of a folder, the folder's place is in doubt, too.
                            for (at, _) in path.iter().enumerate().filter(|(_, byte)| **byte == b'/') {
                                let folder = &path[..at];
                                let mut is_file = |tree: &ObjectId| -> Result<bool, MergeError> {
                                    // What was made a moment ago may have anything there.
                                    if self.snapshot.objects.find(&raw(tree)).is_none() {
                                        return Ok(true);
                                    }
                                    let entry = browser.in_tree(tree, folder)?;
                                    Ok(entry.is_some_and(|entry| entry.kind() != EntryKind::Tree))
                                };
                                if is_file(&base)? || is_file(&tree)? || is_file(&next_tree)? {
                                    doubtful.insert(folder.to_vec());
                                }
                            }
                        }
                    }
                }
            }
            // The library knows no content for what is no text and was added on both sides; it is in doubt, whatever the base has there.
            // Of bases Git leaves it where it was; the library does not always.
            doubtful.extend(self.without_place(&base, &tree, &next_tree)?);
            let outcome = self
                .trees(&base, &tree, &next_tree, &Pass::Virtual(depth, Binary::Ancestor))
                .or_else(|_| self.trees(&base, &tree, &next_tree, &Pass::Virtual(depth, Binary::Ours)))?;
            tree = self.write(outcome)?;
            tips.push(next);
        }
        Ok(tree)
    }

    /// What counts as renamed.
    fn rewrites(&self) -> gix_diff::Rewrites {
        gix_diff::Rewrites { copies: None, percentage: Some(0.5), limit: self.limits.rename_limit, track_empty: false }
    }

    fn diff_cache(&self) -> gix_diff::blob::Platform {
        gix_diff::blob::Platform::new(
            gix_diff::blob::platform::Options { algorithm: Some(Algorithm::Histogram), ..Default::default() },
            gix_diff::blob::Pipeline::new(
                gix_diff::blob::pipeline::WorktreeRoots::default(),
                filters(),
                Vec::new(),
                gix_diff::blob::pipeline::Options {
                    large_file_threshold_bytes: self.limits.file_bytes,
                    ..Default::default()
                },
            ),
            gix_diff::blob::pipeline::Mode::ToGit,
            attributes(),
        )
    }

    fn write(&self, mut outcome: Outcome<'_>) -> Result<ObjectId, MergeError> {
        outcome.tree.write(|tree| gix_object::Write::write(self.objects, tree)).map_err(|error| failed(&error))
    }

    fn trees(
        &self,
        base: &ObjectId,
        ours: &ObjectId,
        theirs: &ObjectId,
        pass: &Pass,
    ) -> Result<Outcome<'_>, MergeError> {
        let mut options = gix_merge::tree::Options { rewrites: Some(self.rewrites()), ..Default::default() };
        options.blob_merge.text.diff_algorithm = Algorithm::Histogram;
        let labels = match pass {
            Pass::Virtual(..) => ["Temporary merge branch 1", "Temporary merge branch 2", "merged common ancestors"],
            _ => ["destination", "source", "base"],
        };
        match pass {
            Pass::Plain => {}
            Pass::FirstWins => {
                options.tree_conflicts = Some(ResolveWith::Ours);
                options.blob_merge.text.conflict = TextConflict::ResolveWithOurs;
                options.blob_merge.resolve_binary_with = Some(Binary::Ours);
                options.symlink_conflicts = Some(Binary::Ours);
            }
            Pass::Virtual(depth, binary) => {
                let marker_size = u8::try_from(7 + 2 * depth).ok().and_then(std::num::NonZeroU8::new);
                let default = TextConflict::default();
                // Told to fall back on the ancestor, the library does so where nothing is in conflict, too: a mode beside a rename.
                options.blob_merge.is_virtual_ancestor = true;
                options.blob_merge.text.conflict = marker_size
                    .map_or(default, |marker_size| TextConflict::Keep { style: ConflictStyle::Merge, marker_size });
                options.blob_merge.resolve_binary_with = Some(*binary);
                options.symlink_conflicts = Some(Binary::Ancestor);
            }
        }
        let labels =
            Labels { current: Some(labels[0].into()), other: Some(labels[1].into()), ancestor: Some(labels[2].into()) };
        let mut blob_merge = gix_merge::blob::Platform::new(
            gix_merge::blob::Pipeline::new(
                gix_merge::blob::pipeline::WorktreeRoots::default(),
                filters(),
                gix_merge::blob::pipeline::Options { large_file_threshold_bytes: self.limits.file_bytes },
            ),
            gix_merge::blob::pipeline::Mode::ToGit,
            attributes(),
            Vec::new(),
            gix_merge::blob::platform::Options::default(),
        );
        let merge = || {
            gix_merge::tree(
                base,
                ours,
                theirs,
                labels,
                self.objects,
                |blob| Ok(self.objects.add(ObjectKind::Blob, blob)),
                &mut gix_diff::tree::State::default(),
                &mut self.diff_cache(),
                &mut blob_merge,
                options,
            )
        };
        // The library takes some cases for impossible, and panics. Nothing of it is kept then but objects, which stand for themselves.
        let merged = std::panic::catch_unwind(std::panic::AssertUnwindSafe(merge));
        let merged = merged.map_err(|_| MergeError::Unmergeable)?;
        merged.map_err(|error| failed(&error)).and_then(settle_plain)
    }
}

/// Settles what is no conflict: content or a mode that only one side changed. The library merges content wherever both sides changed
/// something of a file, be it the mode alone, takes of binary content the side that it was told to take, and lets of two modes beside a
/// rename the executable one win.
fn settle_plain(mut outcome: Outcome<'_>) -> Result<Outcome<'_>, MergeError> {
    let mut settled = Vec::new();
    outcome.conflicts.retain(|conflict| {
        let [Some(base), Some(ours), Some(theirs)] = conflict.entries() else { return true };
        let is_file = |entry: &gix_merge::tree::ConflictIndexEntry| entry.mode.is_blob();
        let (Some(place), true) = (place_of(conflict), [base, ours, theirs].iter().all(is_file)) else { return true };
        let id = match (ours.id == base.id, theirs.id == base.id) {
            (true, _) => Some(theirs.id),
            (_, true) => Some(ours.id),
            _ => Some(ours.id).filter(|id| *id == theirs.id),
        };
        let mode = if ours.mode == base.mode { theirs.mode } else { ours.mode };
        settled.push((place, u32::from(mode.value()), id));
        id.is_none()
    });
    for (path, mode, id) in settled {
        let merged = outcome.tree.get(parts_of(&path)).filter(|entry| entry.mode.is_blob()).map(|entry| entry.oid);
        if let Some(id) = id.or(merged) {
            put(&mut outcome, &path, Some(Side { mode, id }))?;
        }
    }
    Ok(outcome)
}

/// Where a file lies in the end that both sides have, and that either did not move or one of them has moved.
fn place_of(conflict: &gix_merge::tree::Conflict) -> Option<Vec<u8>> {
    let (ours, theirs) = (&conflict.ours, &conflict.theirs);
    if let Ok(Settled::OursModifiedTheirsRenamedAndChangedThenRename { final_location, .. }) = &conflict.resolution {
        let renamed = [ours, theirs].into_iter().find(|change| change.location() != change.source_location())?;
        return Some(final_location.as_ref().map_or(renamed.location(), |place| place.as_ref()).to_vec());
    }
    let is_in_place = [ours, theirs]
        .iter()
        .all(|change| change.location() == change.source_location() && change.location() == ours.location());
    is_in_place.then(|| ours.location().to_vec())
}

/// Whether all that is in conflict is lines of a file that stayed where it was.
fn is_of_lines_alone(conflict: &gix_merge::tree::Conflict) -> bool {
    let is_in_place = |change: &gix_diff::tree_with_rewrites::Change| {
        change.location() == change.source_location() && change.location() == conflict.ours.location()
    };
    let is_of_lines =
        conflict.content_merge().is_some_and(|merge| merge.resolution == gix_merge::blob::Resolution::Conflict);
    let [Some(base), Some(ours), Some(theirs)] = conflict.entries() else { return false };
    is_of_lines
        && [&conflict.ours, &conflict.theirs].into_iter().all(is_in_place)
        && [base, ours, theirs].iter().all(|entry| entry.mode == base.mode && entry.mode.is_blob())
}

/// What a merge of trees is for.
enum Pass {
    /// Conflicts are told.
    Plain,
    /// The first side is right.
    FirstWins,
    /// A base is made of bases, so deep down; conflicts stay in it, but for what is no text: that is this side's.
    Virtual(usize, Binary),
}

fn failed(error: &dyn std::error::Error) -> MergeError {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    MergeError::Failed(text)
}

/// The parts of a path, as the library takes them.
fn parts_of(path: &[u8]) -> impl Iterator<Item = &BStr> {
    path.split(|byte| *byte == b'/').map(BStr::new)
}

/// No filters: files are merged as they are stored.
fn filters() -> gix_filter::Pipeline {
    gix_filter::Pipeline::new(Default::default(), gix_hash::Kind::Sha1, Default::default())
}

/// No attributes: none of a working tree, of a repository or of the machine.
fn attributes() -> gix_worktree::Stack {
    gix_worktree::Stack::new(
        "",
        gix_worktree::stack::State::AttributesStack(gix_worktree::stack::state::Attributes::default()),
        Default::default(),
        Vec::new(),
        Vec::new(),
    )
}

/// Puts a file where it belongs in what is merged, or takes away what is there.
fn put(outcome: &mut Outcome<'_>, path: &[u8], side: Option<Side>) -> Result<(), MergeError> {
    let parts = parts_of(path);
    let done = match side {
        None => outcome.tree.remove(parts),
        Some(side) => {
            let kind = match side.mode & 0o170000 {
                0o040000 => Kind::Tree,
                0o120000 => Kind::Link,
                0o160000 => Kind::Commit,
                _ if side.mode & 0o111 != 0 => Kind::BlobExecutable,
                _ => Kind::Blob,
            };
            outcome.tree.upsert(parts, kind, side.id)
        }
    };
    done.map(|_| ()).map_err(|error| failed(&error))
}

#[cfg(test)]
mod tests;
