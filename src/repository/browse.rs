//! Looking at commits, folders and files of one snapshot, for callers who name them by revision and path.
//!
//! Only what is served is found. Nothing of a name or path reaches a disk: a path is compared with the names in trees, part by part.
//! Every read is bounded before it is made.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use super::object::{CommitView, EntryKind, ObjectError, ObjectKind, TreeIter};
use super::pack::oid_hash::raw;
use super::pack::read::{ObjectReader, Place};
use super::snapshot::Snapshot;
use crate::names::{ObjectId, RefName, escape_for_people};

/// Why something was not shown.
#[derive(Debug, thiserror::Error)]
pub enum BrowseError {
    /// No branch, tag, ref or commit is called that.
    #[error("there is no commit `{0}`")]
    NoCommit(String),
    /// There is no such object, or it is of another kind.
    #[error("there is no {kind} `{id}`")]
    NoObject {
        /// What was asked for.
        kind: ObjectKind,
        /// Its id.
        id: ObjectId,
    },
    /// The object is larger than what is given at once.
    #[error("the {kind} `{id}` has {size} bytes, and at most {limit} are given at once")]
    TooLarge {
        /// What it is.
        kind: ObjectKind,
        /// Its id.
        id: ObjectId,
        /// How large it is, in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// The objects could not be read.
    #[error("failed to read objects")]
    Io(#[from] io::Error),
    /// An object is not what it should be.
    #[error("an object cannot be read")]
    Object(#[from] ObjectError),
}

/// A commit's parts, as text where they are text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// Its id.
    pub id: ObjectId,
    /// The root folder.
    pub tree: ObjectId,
    /// The parents, in their order.
    pub parents: Vec<ObjectId>,
    /// Who wrote it.
    pub author: Signature,
    /// Who committed it.
    pub committer: Signature,
    /// The message, whole.
    pub message: String,
    /// Other headers, such as a signature: a line each, as they stand in the commit.
    pub extra: String,
}

/// Who and when, as a commit has it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Signature {
    /// The name.
    pub name: String,
    /// The mail address.
    pub email: String,
    /// Seconds since 1970 and the zone, such as `1484167798 -0800`.
    pub date: String,
}

impl Signature {
    /// Takes `Name <email> seconds zone` apart, whatever of it is there.
    pub fn parse(line: &[u8]) -> Signature {
        let line = String::from_utf8_lossy(line);
        let Some((name, rest)) = line.split_once('<') else {
            return Signature { name: line.trim().to_owned(), ..Signature::default() };
        };
        // An address may hold anything but the sign that ends it; of several the last one does.
        let (email, date) = rest.rsplit_once('>').unwrap_or((rest, ""));
        Signature { name: name.trim().into(), email: email.trim().into(), date: date.trim().into() }
    }
}

/// What stands at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The name, the last part of its path.
    pub name: Vec<u8>,
    /// The mode, such as `0o100644`.
    pub mode: u32,
    /// The object.
    pub id: ObjectId,
}

impl Entry {
    /// What it is.
    pub fn kind(&self) -> EntryKind {
        EntryKind::of_mode(self.mode)
    }
}

/// One side of a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Side {
    /// The mode, such as `0o100644`.
    pub mode: u32,
    /// The object.
    pub id: ObjectId,
}

/// Something that is not the same in two folders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Its path below the folders; empty for the folders, or files, themselves.
    pub path: Vec<u8>,
    /// What it was; none if it was not there.
    pub before: Option<Side>,
    /// What it is; none if it is gone.
    pub after: Option<Side>,
}

/// By what entries of a tree are in order: folders as if their names ended in `/`.
pub(super) fn order_of(entry: &Entry) -> Vec<u8> {
    let mut order = entry.name.clone();
    if entry.kind() == EntryKind::Tree {
        order.push(b'/');
    }
    order
}

/// Looks at one snapshot.
pub struct Browser<'a> {
    snapshot: &'a Snapshot,
    reader: ObjectReader<'a>,
}

/// Memory for trees that are met again.
const CACHE_BYTES: u64 = 4 << 20;
/// Most bytes of a commit or tree.
const MAX_META_BYTES: u64 = 16 << 20;

impl<'a> Browser<'a> {
    /// A look at a snapshot.
    pub fn new(snapshot: &'a Snapshot) -> Browser<'a> {
        Browser { snapshot, reader: snapshot.objects.reader(CACHE_BYTES) }
    }

    /// The commit that a branch, a tag, `HEAD`, a full ref name or a full commit id names, in that order; tags are followed.
    pub fn resolve(&self, revision: &str) -> Result<ObjectId, BrowseError> {
        let unknown = || BrowseError::NoCommit(escape_for_people(revision.as_bytes(), 300));
        let refs = &self.snapshot.refs;
        let by_ref = |name: &[u8]| RefName::parse(name).ok().and_then(|name| refs.get(&name)).map(|value| value.id);
        let id = match revision {
            "HEAD" => refs.get(&refs.head).map(|value| value.id),
            _ => ["refs/heads/", "refs/tags/", ""]
                .iter()
                .find_map(|prefix| by_ref(format!("{prefix}{revision}").as_bytes()))
                .or_else(|| ObjectId::from_hex(revision.as_bytes()).ok()),
        };
        let place = self.snapshot.peel(id.ok_or_else(unknown)?).ok_or_else(unknown)?;
        match self.snapshot.objects.kind(place) {
            ObjectKind::Commit => Ok(self.snapshot.id(place)),
            _ => Err(unknown()),
        }
    }

    /// A commit by its id.
    pub fn commit(&mut self, id: &ObjectId) -> Result<Commit, BrowseError> {
        let data = self.object(id, ObjectKind::Commit, MAX_META_BYTES)?;
        let view = CommitView::parse(&data)?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let extra: Vec<String> =
            view.extra_headers().map(|(name, value)| format!("{} {}", text(name), text(value))).collect();
        Ok(Commit {
            id: *id,
            tree: view.tree(),
            parents: view.parents().collect(),
            author: Signature::parse(view.author()),
            committer: Signature::parse(view.committer()),
            message: text(view.message()),
            extra: extra.join("\n"),
        })
    }

    /// What stands at a path of a commit; none if nothing does. `/` at either end is passed over, and the root has an empty path.
    pub fn at_path(&mut self, commit: &ObjectId, path: &[u8]) -> Result<Option<Entry>, BrowseError> {
        let root = self.commit(commit)?.tree;
        self.in_tree(&root, path)
    }

    /// What stands at a path of a tree; none if nothing does.
    pub fn in_tree(&mut self, root: &ObjectId, path: &[u8]) -> Result<Option<Entry>, BrowseError> {
        let mut at = Entry { name: Vec::new(), mode: 0o040000, id: *root };
        for part in parts(path) {
            if at.kind() != EntryKind::Tree {
                return Ok(None);
            }
            let data = self.object(&at.id, ObjectKind::Tree, MAX_META_BYTES)?;
            let mut found = None;
            for entry in TreeIter::new(&data) {
                let entry = entry?;
                if entry.name == part {
                    found = Some(Entry { name: part.to_vec(), mode: entry.mode, id: entry.oid.to_owned() });
                    break;
                }
            }
            match found {
                Some(entry) => at = entry,
                None => return Ok(None),
            }
        }
        Ok(Some(at))
    }

    /// What is in a folder, in Git's order.
    pub fn folder(&mut self, tree: &ObjectId) -> Result<Vec<Entry>, BrowseError> {
        let data = self.object(tree, ObjectKind::Tree, MAX_META_BYTES)?;
        let mut out = Vec::new();
        for entry in TreeIter::new(&data) {
            let entry = entry?;
            out.push(Entry { name: entry.name.to_vec(), mode: entry.mode, id: entry.oid.to_owned() });
        }
        Ok(out)
    }

    /// A file's bytes, at most `limit` of them.
    pub fn blob(&mut self, id: &ObjectId, limit: u64) -> Result<Arc<[u8]>, BrowseError> {
        self.object(id, ObjectKind::Blob, limit)
    }

    /// The files, links and submodules that differ between two folders (or two files), in Git's order of paths; none stands for
    /// nothing there. What is equal is not looked into. `each` says whether to go on. Nesting is not followed by calls within
    /// calls: however deep it is, it takes no stack.
    pub fn differences_of(
        &mut self,
        before: Option<Side>,
        after: Option<Side>,
        each: &mut dyn FnMut(Difference) -> bool,
    ) -> Result<(), BrowseError> {
        // The next one to be looked at is the last one.
        let mut pending = vec![Difference { path: Vec::new(), before, after }];
        while let Some(next) = pending.pop() {
            if next.before == next.after {
                continue;
            }
            let is_folder =
                |side: &Option<Side>| side.is_some_and(|side| EntryKind::of_mode(side.mode) == EntryKind::Tree);
            let (was_folder, now_folder) = (is_folder(&next.before), is_folder(&next.after));
            if !was_folder && !now_folder {
                if !each(next) {
                    return Ok(());
                }
                continue;
            }
            if was_folder != now_folder && next.before.is_some() && next.after.is_some() {
                // One in the other's place, at the paths that were asked for: within folders they are two entries.
                let (was, now) = (Difference { after: None, ..next.clone() }, Difference { before: None, ..next });
                // The file comes first, as its path does.
                pending.extend(if was_folder { [was, now] } else { [now, was] });
                continue;
            }
            let below = |entries: Vec<Entry>| entries.into_iter().map(|entry| (order_of(&entry), entry));
            let mut merged: BTreeMap<Vec<u8>, Difference> = BTreeMap::new();
            let named = |entry: &Entry| {
                let mut path = next.path.clone();
                if !path.is_empty() {
                    path.push(b'/');
                }
                path.extend_from_slice(&entry.name);
                Difference { path, before: None, after: None }
            };
            if let Some(side) = next.before {
                for (order, entry) in below(self.folder(&side.id)?) {
                    let difference = merged.entry(order).or_insert_with(|| named(&entry));
                    difference.before = Some(Side { mode: entry.mode, id: entry.id });
                }
            }
            if let Some(side) = next.after {
                for (order, entry) in below(self.folder(&side.id)?) {
                    let difference = merged.entry(order).or_insert_with(|| named(&entry));
                    difference.after = Some(Side { mode: entry.mode, id: entry.id });
                }
            }
            pending.extend(merged.into_values().rev().filter(|pair| pair.before != pair.after));
        }
        Ok(())
    }

    fn object(&mut self, id: &ObjectId, kind: ObjectKind, limit: u64) -> Result<Arc<[u8]>, BrowseError> {
        let objects = &self.snapshot.objects;
        let found: Option<Place> = objects.find(&raw(id)).filter(|place| objects.kind(*place) == kind);
        let place = found.ok_or(BrowseError::NoObject { kind, id: *id })?;
        let size = u64::from(objects.size(place));
        if size > limit {
            return Err(BrowseError::TooLarge { kind, id: *id, size, limit });
        }
        Ok(self.reader.read(place)?)
    }
}

/// The parts of a path; empty ones at its ends and between are passed over.
fn parts(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|byte| *byte == b'/').filter(|part| !part.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_people_are_taken_apart() {
        let of = |line: &str| {
            let Signature { name, email, date } = Signature::parse(line.as_bytes());
            (name, email, date)
        };
        let text = |parts: [&str; 3]| (parts[0].to_owned(), parts[1].to_owned(), parts[2].to_owned());
        assert_eq!(of("A B <a@b.c> 1484167798 -0800"), text(["A B", "a@b.c", "1484167798 -0800"]));
        assert_eq!(of("A <> 1 +0000"), text(["A", "", "1 +0000"]));
        assert_eq!(of("A <x> y> 1 +0000"), text(["A", "x> y", "1 +0000"]));
        assert_eq!(of("A"), text(["A", "", ""]));
        assert_eq!(of(""), text(["", "", ""]));
        assert_eq!(of("A <a"), text(["A", "a", ""]));
    }

    #[test]
    fn paths_are_parts() {
        let of = |path: &str| {
            parts(path.as_bytes()).map(|part| String::from_utf8_lossy(part).into_owned()).collect::<Vec<_>>()
        };
        assert!(of("/").is_empty() && of("").is_empty());
        assert_eq!(of("/a/b//c/"), ["a", "b", "c"]);
        // No part of a path means anything but itself.
        assert_eq!(of("../a"), ["..", "a"]);
    }
}
