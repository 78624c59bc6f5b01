//! The paths at which two trees differ: what a change of a ref writes, as policies about paths see it.
//!
//! A path counts as changed if it is a file, link or submodule on one side and another one, or nothing, on the other; the mode
//! counts. Folders are no paths of their own: a folder that comes or goes is all that lies in it. Folders that are the same on
//! both sides are not opened, so that the cost is that of what changed.

use std::cmp::Ordering;
use std::io;

use super::object::{EntryKind, TreeEntry, TreeIter};
use super::objects::Objects;
use super::pack::oid_hash::{RawId, raw};
use super::pack::read::ObjectReader;

/// Why the paths cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum ChangedPathsError {
    /// More paths changed than are looked at.
    #[error("more than {limit} paths change")]
    TooMany {
        /// The limit.
        limit: usize,
    },
    /// A folder lies so deep that its paths are longer than any that is looked at.
    #[error("a path is longer than {limit} bytes")]
    TooLong {
        /// The limit.
        limit: usize,
    },
    /// Reading trees failed.
    #[error("failed to read the trees")]
    Io(#[from] io::Error),
}

/// Longest path that is looked at, in bytes; Git's own limit on most systems.
pub const MAX_PATH_BYTES: usize = 4096;

/// Memory for trees that are read again.
const CACHE_BYTES: u64 = 16 << 20;

/// The paths at which `new` differs from `old`, in tree order; no tree is the empty one. At most `limit` of them.
pub fn changed_paths(
    objects: &Objects,
    old: Option<&RawId>,
    new: Option<&RawId>,
    limit: usize,
) -> Result<Vec<Vec<u8>>, ChangedPathsError> {
    let mut diff = Diff { objects, reader: objects.reader(CACHE_BYTES), limit, found: Vec::new() };
    // Folders that remain to be compared, the next one last, with the path that leads there and ends in `/`.
    let mut stack = vec![(Vec::new(), old.copied(), new.copied())];
    while let Some((path, old, new)) = stack.pop() {
        let mut below = diff.folder(&path, old.as_ref(), new.as_ref())?;
        below.reverse();
        stack.append(&mut below);
    }
    Ok(diff.found)
}

type Pair = (Vec<u8>, Option<RawId>, Option<RawId>);

struct Diff<'a> {
    objects: &'a Objects,
    reader: ObjectReader<'a>,
    limit: usize,
    found: Vec<Vec<u8>>,
}

impl Diff<'_> {
    /// Takes the changed files of a folder, and gives its changed folders.
    fn folder(
        &mut self,
        path: &[u8],
        old: Option<&RawId>,
        new: Option<&RawId>,
    ) -> Result<Vec<Pair>, ChangedPathsError> {
        if old == new {
            return Ok(Vec::new());
        }
        let (old, new) = (self.tree(old)?, self.tree(new)?);
        let mut below = Vec::new();
        let mut olds = entries(&old)?.into_iter().peekable();
        let mut news = entries(&new)?.into_iter().peekable();
        loop {
            let order = match (olds.peek(), news.peek()) {
                (None, None) => break,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(old), Some(new)) => old.name.cmp(new.name),
            };
            let old = if order.is_le() { olds.next() } else { None };
            let new = if order.is_ge() { news.next() } else { None };
            self.entry(path, old, new, &mut below)?;
        }
        Ok(below)
    }

    fn entry(
        &mut self,
        path: &[u8],
        old: Option<TreeEntry<'_>>,
        new: Option<TreeEntry<'_>>,
        below: &mut Vec<Pair>,
    ) -> Result<(), ChangedPathsError> {
        let Some(name) = old.as_ref().or(new.as_ref()).map(|entry| entry.name) else { return Ok(()) };
        let same = |a: &TreeEntry<'_>, b: &TreeEntry<'_>| a.oid == b.oid && a.mode == b.mode;
        if let (Some(old), Some(new)) = (&old, &new)
            && same(old, new)
        {
            return Ok(());
        }
        if path.len() + name.len() > MAX_PATH_BYTES {
            return Err(ChangedPathsError::TooLong { limit: MAX_PATH_BYTES });
        }
        let is_folder = |entry: &TreeEntry<'_>| entry.kind() == EntryKind::Tree;
        let mut full = path.to_vec();
        full.extend_from_slice(name);
        // A file that becomes a folder is a path that goes, and those in the folder come.
        if [&old, &new].into_iter().flatten().any(|entry| !is_folder(entry)) {
            if self.found.len() >= self.limit {
                return Err(ChangedPathsError::TooMany { limit: self.limit });
            }
            self.found.push(full.clone());
        }
        let folder = |entry: Option<TreeEntry<'_>>| entry.filter(is_folder).map(|entry| raw(entry.oid));
        let (old, new) = (folder(old), folder(new));
        if old.is_some() || new.is_some() {
            full.push(b'/');
            below.push((full, old, new));
        }
        Ok(())
    }

    fn tree(&mut self, id: Option<&RawId>) -> io::Result<std::sync::Arc<[u8]>> {
        let Some(id) = id else { return Ok(std::sync::Arc::from(&[][..])) };
        let place = self.objects.find_stored(id).ok_or_else(|| {
            let id = crate::names::ObjectId::from(*id);
            io::Error::new(io::ErrorKind::InvalidData, format!("tree {id} is missing"))
        })?;
        self.reader.read(place)
    }
}

/// A tree's entries by name alone: Git sorts a folder as if its name ended in `/`, so that `a` the file and `a` the folder lie
/// apart.
fn entries(tree: &[u8]) -> io::Result<Vec<TreeEntry<'_>>> {
    let mut entries = TreeIter::new(tree).collect::<Result<Vec<_>, _>>().map_err(io::Error::other)?;
    entries.sort_by(|a, b| a.name.cmp(b.name));
    Ok(entries)
}
