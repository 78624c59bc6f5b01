//! What is known of a conflict: the three versions of the file.

use std::collections::BTreeSet;

use super::hunks;
use crate::names::ObjectId;
use crate::repository::browse::{BrowseError, Browser, Entry};
use crate::repository::line_diff;
use crate::repository::object::EntryKind;
use crate::repository::snapshot::Snapshot;

/// What stands at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SideKind {
    /// A file.
    File,
    /// A folder.
    Folder,
    /// A submodule.
    Submodule,
    /// A symbolic link.
    Link,
}

/// What a side did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Added the file.
    Add,
    /// Changed it.
    Modify,
    /// Deleted it.
    Delete,
}

/// One version of a file in conflict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConflictSide {
    /// The mode, such as `0o100644`.
    pub mode: u32,
    /// The object.
    pub id: ObjectId,
    /// How large it is, in bytes; 0 for what is no file.
    pub size: u64,
    /// What it is.
    pub kind: SideKind,
    /// Whether it is no text.
    pub is_binary: bool,
}

/// A file that cannot be merged by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// Its path.
    pub path: Vec<u8>,
    /// As the merge base has it.
    pub base: Option<ConflictSide>,
    /// As the source has it.
    pub source: Option<ConflictSide>,
    /// As the destination has it.
    pub destination: Option<ConflictSide>,
    /// How many places of it are in conflict; 1 where it is so as a whole.
    pub n_conflicts: usize,
}

impl Conflict {
    fn operation(&self, side: &Option<ConflictSide>) -> Option<Operation> {
        match (&self.base, side) {
            (None, Some(_)) => Some(Operation::Add),
            (Some(_), None) => Some(Operation::Delete),
            (Some(base), Some(side)) if base.id != side.id || base.mode != side.mode => Some(Operation::Modify),
            _ => None,
        }
    }

    /// What the source did.
    pub fn source_operation(&self) -> Option<Operation> {
        self.operation(&self.source)
    }

    /// What the destination did.
    pub fn destination_operation(&self) -> Option<Operation> {
        self.operation(&self.destination)
    }

    /// Whether both have it, and not the same.
    pub fn is_of_content(&self) -> bool {
        match (&self.source, &self.destination) {
            (Some(source), Some(destination)) => source.id != destination.id,
            _ => true,
        }
    }

    /// Whether both have it as a file, and disagree about its mode.
    pub fn is_of_mode(&self) -> bool {
        match (&self.source, &self.destination) {
            (Some(source), Some(destination)) => source.kind == destination.kind && source.mode != destination.mode,
            _ => false,
        }
    }

    /// Whether it is one thing here and another there.
    pub fn is_of_kind(&self) -> bool {
        match (&self.source, &self.destination) {
            (Some(source), Some(destination)) => source.kind != destination.kind,
            _ => false,
        }
    }
}

/// Most bytes that are read for one description; files beyond are told as those are that are too large.
const MAX_READ_BYTES: u64 = 256 << 20;

/// What a text says.
type Text = std::sync::Arc<[u8]>;

/// The conflicts at these paths of three trees: the base's, the source's and the destination's.
pub(super) fn describe(
    snapshot: &Snapshot,
    paths: &BTreeSet<Vec<u8>>,
    trees: [&ObjectId; 3],
    max_bytes: u64,
) -> Result<Vec<Conflict>, BrowseError> {
    let mut browser = Browser::new(snapshot);
    let mut out = Vec::new();
    let mut left = MAX_READ_BYTES;
    for path in paths {
        let mut sides = [None, None, None];
        let mut texts: [Option<std::sync::Arc<[u8]>>; 3] = [None, None, None];
        for ((side, text), tree) in sides.iter_mut().zip(&mut texts).zip(trees) {
            let Some(entry) = browser.in_tree(tree, path)? else { continue };
            let (one, content) = side_of(&mut browser, &entry, max_bytes.min(left))?;
            left = left.saturating_sub(content.as_ref().map_or(0, |content| content.len() as u64));
            (*side, *text) = (Some(one), content);
        }
        let [base, source, destination] = sides;
        let n_conflicts = match &texts {
            [base, Some(source), Some(destination)] => {
                let base: &[u8] = base.as_deref().unwrap_or_default();
                // What has too many lines is in conflict as a whole.
                let hunks = hunks::merge_hunks(base, source, destination).unwrap_or_default();
                hunks.iter().filter(|hunk| hunk.is_conflict).count().max(1)
            }
            _ => 1,
        };
        out.push(Conflict { path: path.clone(), base, source, destination, n_conflicts });
    }
    Ok(out)
}

fn side_of(
    browser: &mut Browser<'_>,
    entry: &Entry,
    max_bytes: u64,
) -> Result<(ConflictSide, Option<Text>), BrowseError> {
    let kind = match entry.kind() {
        EntryKind::File => SideKind::File,
        EntryKind::Link => SideKind::Link,
        EntryKind::Tree => SideKind::Folder,
        EntryKind::Submodule => SideKind::Submodule,
    };
    let side = |size, is_binary| ConflictSide { mode: entry.mode, id: entry.id, size, kind, is_binary };
    if !matches!(kind, SideKind::File | SideKind::Link) {
        return Ok((side(0, false), None));
    }
    match browser.blob(&entry.id, max_bytes) {
        Ok(content) => {
            let is_binary = line_diff::is_binary(&content);
            let text = (!is_binary).then(|| content.clone());
            Ok((side(content.len() as u64, is_binary), text))
        }
        Err(BrowseError::TooLarge { size, .. }) => Ok((side(size, true), None)),
        Err(error) => Err(error),
    }
}
