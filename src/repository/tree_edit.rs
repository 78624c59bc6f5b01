//! Changing files of a tree by their paths: new trees on top of those that are there. No working tree, and no path that is anything
//! but names in trees.
//!
//! All changes are made at once: what is taken away makes room for what comes.

use std::collections::BTreeMap;

use super::browse::{BrowseError, Browser, Entry, Side, order_of};
use super::fsck::is_dotgit;
use super::new_objects::NewObjects;
use super::object::{EntryKind, ObjectKind};
use crate::names::{ObjectId, escape_for_people};

/// Most folders that lead to a file.
pub const MAX_DEPTH: usize = 100;

/// Most bytes of a folder, as a tree object.
const MAX_FOLDER_BYTES: usize = 6 << 20;

/// What keeps a folder that would be empty.
pub const KEEP: &[u8] = b".gitkeep";

/// Why a tree cannot be changed so.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// A file is to be put where a folder is.
    #[error("`{0}` is a folder")]
    IsFolder(String),
    /// A folder would have to be where a file is.
    #[error("`{0}` is a file, and no folder")]
    IsFile(String),
    /// A link is at the path, and something else is to be written there.
    #[error("`{0}` is a link: delete it first")]
    IsLink(String),
    /// The path leads through a submodule, or is one.
    #[error("`{0}` is a submodule")]
    IsSubmodule(String),
    /// A part of a path is no name that a file can have.
    #[error("`{path}` is no path of a file: {why}")]
    BadPath {
        /// The path, fit for people.
        path: String,
        /// What does not hold.
        why: &'static str,
    },
    /// A folder would have too many or too long names.
    #[error("the folder `{0}` would be longer than {MAX_FOLDER_BYTES} bytes")]
    TooLarge(String),
    /// The trees cannot be read.
    #[error(transparent)]
    Browse(#[from] BrowseError),
}

/// What becomes of a path: a file, link or submodule, or nothing.
pub type PathEdit = Option<Side>;

/// A path as the parts that lead there. `/` at its ends is passed over.
pub fn path_parts(path: &str) -> Result<Vec<&str>, EditError> {
    let bad = |why| EditError::BadPath { path: escape_for_people(path.as_bytes(), 300), why };
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    if parts.len() > MAX_DEPTH {
        return Err(bad("it lies too deep"));
    }
    for part in &parts {
        match *part {
            "" => return Err(bad("a part of it is empty")),
            "." | ".." => return Err(bad("`.` and `..` are no names")),
            part if part.contains('\0') => return Err(bad("it has a NUL")),
            part if part.len() > 255 => return Err(bad("a name has up to 255 bytes")),
            // The same on a system that takes a backslash for a slash.
            part if part.split('\\').any(|part| is_dotgit(part.as_bytes())) => {
                return Err(bad("`.git`, or what some file system takes for it, belongs to Git"));
            }
            _ => {}
        }
    }
    Ok(parts)
}

/// The id of the tree that comes of making `edits`, by their paths, to `root`; the new trees are added to `new`. A folder that
/// becomes empty goes, or gets an empty file `.gitkeep` if `keep_empty`. A path that is taken away and not there is passed over.
pub fn edit_tree(
    browser: &mut Browser<'_>,
    root: Option<&ObjectId>,
    edits: &BTreeMap<Vec<u8>, PathEdit>,
    keep_empty: bool,
    new: &mut NewObjects,
) -> Result<ObjectId, EditError> {
    let mut edits: Vec<(Vec<&[u8]>, PathEdit)> =
        edits.iter().map(|(path, edit)| (path.split(|byte| *byte == b'/').collect(), *edit)).collect();
    // `a-b` lies between `a` and `a/b` as text, and not as paths.
    edits.sort_by(|a, b| a.0.cmp(&b.0));
    let edits: Vec<(&[&[u8]], PathEdit)> = edits.iter().map(|(parts, edit)| (&parts[..], *edit)).collect();
    let mut editor = Editor { browser, keep_empty, new };
    match editor.folder(root, &mut Vec::new(), &edits)? {
        Some(tree) => Ok(tree),
        None => Ok(new.add(ObjectKind::Tree, Vec::new())),
    }
}

struct Editor<'a, 'b> {
    browser: &'a mut Browser<'b>,
    keep_empty: bool,
    new: &'a mut NewObjects,
}

impl Editor<'_, '_> {
    /// The folder with the edits made; none if nothing is left in it. Calls itself once for each folder of a path, which is at
    /// most [`MAX_DEPTH`] deep.
    fn folder(
        &mut self,
        tree: Option<&ObjectId>,
        at: &mut Vec<u8>,
        edits: &[(&[&[u8]], PathEdit)],
    ) -> Result<Option<ObjectId>, EditError> {
        let entries = match tree {
            Some(tree) => self.browser.folder(tree)?,
            None => Vec::new(),
        };
        let mut entries: BTreeMap<Vec<u8>, Entry> =
            entries.into_iter().map(|entry| (entry.name.clone(), entry)).collect();
        let mut rest = edits;
        while let Some(((parts, _), _)) = rest.split_first() {
            let Some(name) = parts.first().copied() else { break };
            let n = rest.partition_point(|(parts, _)| parts.first().is_some_and(|part| *part <= name));
            let (same, after) = rest.split_at(n);
            rest = after;
            let len = at.len();
            if len > 0 {
                at.push(b'/');
            }
            at.extend_from_slice(name);
            self.entry(&mut entries, name, at, same)?;
            at.truncate(len);
        }
        if entries.is_empty() {
            return Ok(None);
        }
        let mut entries: Vec<Entry> = entries.into_values().collect();
        entries.sort_by_cached_key(order_of);
        let mut data = Vec::new();
        for entry in &entries {
            data.extend_from_slice(format!("{:o} ", entry.mode).as_bytes());
            data.extend_from_slice(&entry.name);
            data.push(0);
            data.extend_from_slice(entry.id.as_slice());
        }
        if data.len() > MAX_FOLDER_BYTES {
            return Err(EditError::TooLarge(escape_for_people(at, 300)));
        }
        Ok(Some(self.new.add(ObjectKind::Tree, data)))
    }

    /// Makes the edits of one name of a folder, and of what lies below it.
    fn entry(
        &mut self,
        entries: &mut BTreeMap<Vec<u8>, Entry>,
        name: &[u8],
        at: &mut Vec<u8>,
        edits: &[(&[&[u8]], PathEdit)],
    ) -> Result<(), EditError> {
        let shown = |at: &[u8]| escape_for_people(at, 300);
        let itself = edits.iter().find(|(parts, _)| parts.len() == 1).map(|(_, edit)| *edit);
        let below: Vec<(&[&[u8]], PathEdit)> =
            edits.iter().filter(|(parts, _)| parts.len() > 1).map(|(parts, edit)| (&parts[1..], *edit)).collect();
        if itself == Some(None) {
            match entries.get(name).map(Entry::kind) {
                Some(EntryKind::Tree) => return Err(EditError::IsFolder(shown(at))),
                Some(EntryKind::Submodule) => return Err(EditError::IsSubmodule(shown(at))),
                _ => entries.remove(name),
            };
        }
        if !below.is_empty() {
            let puts = below.iter().any(|(_, edit)| edit.is_some());
            let folder = match entries.get(name) {
                Some(entry) if entry.kind() == EntryKind::Tree => Some(entry.id),
                Some(entry) if entry.kind() == EntryKind::Submodule => return Err(EditError::IsSubmodule(shown(at))),
                Some(_) if puts => return Err(EditError::IsFile(shown(at))),
                None if puts => None,
                _ => return Ok(()),
            };
            let mut left = self.folder(folder.as_ref(), at, &below)?;
            if left.is_none() && self.keep_empty {
                let kept = self.new.add(ObjectKind::Blob, Vec::new());
                left = Some(self.new.add(ObjectKind::Tree, [b"100644 ", KEEP, b"\0", kept.as_slice()].concat()));
            }
            match left {
                Some(id) => entries.insert(name.to_vec(), Entry { name: name.to_vec(), mode: 0o040000, id }),
                None => entries.remove(name),
            };
        }
        if let Some(Some(side)) = itself {
            match entries.get(name).map(Entry::kind) {
                Some(EntryKind::Tree) => return Err(EditError::IsFolder(shown(at))),
                Some(EntryKind::Submodule) => return Err(EditError::IsSubmodule(shown(at))),
                _ => entries.insert(name.to_vec(), Entry { name: name.to_vec(), mode: side.mode, id: side.id }),
            };
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // B1: no name of a path reaches anything but a tree.
    #[test]
    fn paths_that_are_none() {
        assert_eq!(path_parts("/a/b c/ü.txt/").unwrap(), ["a", "b c", "ü.txt"]);
        for bad in ["", "/", "a//b", "a/../b", ".", "a/.GIT/config", "a\0b", &"x".repeat(256), &"a/".repeat(101)] {
            assert!(matches!(path_parts(bad), Err(EditError::BadPath { .. })), "{bad}");
        }
    }
}
