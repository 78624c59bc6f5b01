//! Git objects as they are: views into the raw bytes of commits, trees and tags, and their ids.
//!
//! Nothing here allocates: reading trees is the hottest loop of the server, so an entry is three slices of the tree it stands
//! in. The views take what Git itself can read; whether an object is fit to be accepted is `fsck`'s question. May not do I/O,
//! and knows neither packs nor stores.
//!
//! Ids are SHA-1. [`ObjectHasher`] detects collision attacks and is for whatever comes in; [`object_id`] does not, and is for
//! objects this server makes itself. Formats: `gitformat-pack`, and `git-hash-object` for the header that is hashed.

mod hash;

use std::fmt;

use gix_hash::oid;

pub use hash::{ObjectHasher, checked_object_id, object_id};

use crate::names::ObjectId;

/// Bytes in an object id.
pub const ID_BYTES: usize = 20;

/// Hexadecimal digits in an object id.
pub const ID_HEX: usize = 2 * ID_BYTES;

/// What an object is; the numbers are those of pack entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum ObjectKind {
    /// A tree, its parents, who made it and why.
    Commit = 1,
    /// A folder: entries with mode, name and id.
    Tree = 2,
    /// A file's bytes, or a link's target.
    Blob = 3,
    /// A named, often signed, pointer to another object.
    Tag = 4,
}

impl ObjectKind {
    /// The kind with this number in a pack entry; deltas are not kinds.
    #[inline]
    pub fn from_pack_type(number: u8) -> Option<ObjectKind> {
        match number {
            1 => Some(ObjectKind::Commit),
            2 => Some(ObjectKind::Tree),
            3 => Some(ObjectKind::Blob),
            4 => Some(ObjectKind::Tag),
            _ => None,
        }
    }

    /// The kind of this name, as in the `type` line of a tag: lower case only.
    pub fn from_name(name: &[u8]) -> Option<ObjectKind> {
        match name {
            b"commit" => Some(ObjectKind::Commit),
            b"tree" => Some(ObjectKind::Tree),
            b"blob" => Some(ObjectKind::Blob),
            b"tag" => Some(ObjectKind::Tag),
            _ => None,
        }
    }

    /// `commit`, `tree`, `blob` or `tag`.
    pub fn name(self) -> &'static str {
        match self {
            ObjectKind::Commit => "commit",
            ObjectKind::Tree => "tree",
            ObjectKind::Blob => "blob",
            ObjectKind::Tag => "tag",
        }
    }
}

impl fmt::Display for ObjectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why bytes are not the object they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ObjectError {
    /// A tree entry cannot be read; the peer sent it so, or the store is damaged.
    #[error("tree is malformed at byte {offset}: {rule}")]
    Tree {
        /// Where the entry begins, in bytes from the start of the tree.
        offset: usize,
        /// What does not hold.
        rule: &'static str,
    },
    /// A commit or tag lacks a line that every reader needs.
    #[error("{kind} is malformed: {rule}")]
    Header {
        /// Which of the two.
        kind: ObjectKind,
        /// What does not hold.
        rule: &'static str,
    },
    /// The bytes were made to share their SHA-1 with other bytes.
    #[error("{kind} is part of a SHA-1 collision attack")]
    Collision {
        /// What the object says it is.
        kind: ObjectKind,
    },
}

/// What a tree entry is, by the type bits of its mode, read as Git reads them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EntryKind {
    /// A folder.
    Tree,
    /// A file, executable or not.
    File,
    /// A symbolic link; the blob is its target.
    Link,
    /// A commit of another repository (a gitlink), which is never followed. Git takes unknown type bits for this, too.
    Submodule,
}

impl EntryKind {
    /// The kind that a mode means.
    #[inline]
    pub fn of_mode(mode: u32) -> EntryKind {
        match mode & 0o170000 {
            0o040000 => EntryKind::Tree,
            0o100000 => EntryKind::File,
            0o120000 => EntryKind::Link,
            _ => EntryKind::Submodule,
        }
    }
}

/// One entry of a tree, borrowed from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TreeEntry<'a> {
    /// The mode as a number, such as `0o100644`.
    pub mode: u32,
    /// The mode as written; old writers padded with zeros.
    pub mode_bytes: &'a [u8],
    /// Any bytes but NUL, not empty.
    pub name: &'a [u8],
    /// The object it names.
    pub oid: &'a oid,
}

impl TreeEntry<'_> {
    /// What the entry is.
    #[inline]
    pub fn kind(&self) -> EntryKind {
        EntryKind::of_mode(self.mode)
    }

    /// Whether it is a folder.
    #[inline]
    pub fn is_tree(&self) -> bool {
        self.mode & 0o170000 == 0o040000
    }
}

/// The entries of a tree in their order; after an error there is nothing more.
#[derive(Debug, Clone)]
pub struct TreeIter<'a> {
    rest: &'a [u8],
    len: usize,
}

impl<'a> TreeIter<'a> {
    /// Over the raw bytes of a tree, without its header.
    #[inline]
    pub fn new(data: &'a [u8]) -> TreeIter<'a> {
        TreeIter { rest: data, len: data.len() }
    }

    /// Where the next entry begins, in bytes from the start of the tree.
    #[inline]
    pub fn offset(&self) -> usize {
        self.len - self.rest.len()
    }

    #[cold]
    fn fail<T>(&mut self, rule: &'static str) -> Result<T, ObjectError> {
        let offset = self.offset();
        self.rest = &[];
        Err(ObjectError::Tree { offset, rule })
    }

    #[inline]
    fn parse(&mut self) -> Result<TreeEntry<'a>, ObjectError> {
        let data = self.rest;
        // Two modes are nearly all there is; the loop reads the others.
        let (mode, mode_len) = if data.starts_with(b"100644 ") {
            (0o100644, 6)
        } else if data.starts_with(b"40000 ") {
            (0o40000, 5)
        } else {
            match parse_mode(data) {
                Some(found) => found,
                None => return self.fail("its mode is not an octal number and a space"),
            }
        };
        let name_and_rest = &data[mode_len + 1..];
        let Some(name_len) = memchr::memchr(0, name_and_rest) else {
            return self.fail("its name does not end");
        };
        if name_len == 0 {
            return self.fail(EMPTY_NAME);
        }
        let (name, after) = name_and_rest.split_at(name_len);
        let Some((id, rest)) = after[1..].split_at_checked(ID_BYTES) else {
            return self.fail("its id is cut off");
        };
        self.rest = rest;
        Ok(TreeEntry { mode, mode_bytes: &data[..mode_len], name, oid: oid::from_bytes_unchecked(id) })
    }
}

impl<'a> Iterator for TreeIter<'a> {
    type Item = Result<TreeEntry<'a>, ObjectError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() { None } else { Some(self.parse()) }
    }
}

/// The rule of the error for an entry without a name, told apart since `fsck` has a message of its own for it.
pub(crate) const EMPTY_NAME: &str = "its name is empty";

/// The mode at the start of `data` and how many bytes it takes, the space not counted. Up to ten digits, so that no number
/// wraps; what no mode can be is `fsck`'s to say.
fn parse_mode(data: &[u8]) -> Option<(u32, usize)> {
    let mut mode = 0u32;
    for (i, b) in data.iter().take(11).enumerate() {
        match b {
            b'0'..=b'7' if i < 10 => mode = mode << 3 | u32::from(b - b'0'),
            b' ' if i > 0 => return Some((mode, i)),
            _ => return None,
        }
    }
    None
}

/// A commit's parts, as slices of it.
#[derive(Debug, Clone, Copy)]
pub struct CommitView<'a> {
    tree: ObjectId,
    /// The parent lines as they stand: each `parent `, 40 digits, a line feed, all checked.
    parents: &'a [u8],
    author: &'a [u8],
    committer: &'a [u8],
    /// What follows the committer line.
    rest: &'a [u8],
}

const PARENT_LINE: usize = b"parent ".len() + ID_HEX + 1;

impl<'a> CommitView<'a> {
    /// Takes the raw bytes of a commit. The tree and parent lines have to be sound; other lines may be missing, and are then
    /// empty, as Git's own reader has it.
    #[inline]
    pub fn parse(data: &'a [u8]) -> Result<CommitView<'a>, ObjectError> {
        let bad = |rule| Err(ObjectError::Header { kind: ObjectKind::Commit, rule });
        let Some((tree, mut rest)) = id_line(data, b"tree ") else {
            return bad("it does not begin with the id of a tree");
        };
        let from_parents = rest;
        while rest.starts_with(b"parent ") {
            let Some((_, after)) = id_line(rest, b"parent ") else {
                return bad("a parent line does not hold an id");
            };
            rest = after;
        }
        let parents = &from_parents[..from_parents.len() - rest.len()];
        let (author, rest) = text_line(rest, b"author ");
        let (committer, rest) = text_line(rest, b"committer ");
        Ok(CommitView { tree, parents, author, committer, rest })
    }

    /// The root folder.
    #[inline]
    pub fn tree(&self) -> ObjectId {
        self.tree
    }

    /// The parents, in their order.
    #[inline]
    pub fn parents(&self) -> impl ExactSizeIterator<Item = ObjectId> + use<'a> {
        self.parents.chunks_exact(PARENT_LINE).map(|line| {
            // INVARIANT: `parse` has read each of these lines as an id.
            ObjectId::from_hex(&line[b"parent ".len()..PARENT_LINE - 1]).expect("the line was parsed before")
        })
    }

    /// The author line without its keyword: `Name <email> seconds zone`; empty if there is none.
    pub fn author(&self) -> &'a [u8] {
        self.author
    }

    /// The committer line without its keyword; empty if there is none.
    pub fn committer(&self) -> &'a [u8] {
        self.committer
    }

    /// When it was committed, in seconds since 1970; 0 where the line says nothing usable, as in Git.
    #[inline]
    pub fn committer_time(&self) -> u64 {
        ident_time(self.committer)
    }

    /// The headers after the committer line (`gpgsig`, `encoding`, ...): name, and value with continuation lines unfolded no
    /// further than they stand in the commit.
    pub fn extra_headers(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        extra_headers(self.rest)
    }

    /// The message: what follows the first empty line.
    pub fn message(&self) -> &'a [u8] {
        body(self.rest)
    }
}

/// A tag's parts, as slices of it.
#[derive(Debug, Clone, Copy)]
pub struct TagView<'a> {
    target: ObjectId,
    kind: ObjectKind,
    name: &'a [u8],
    tagger: &'a [u8],
    rest: &'a [u8],
}

impl<'a> TagView<'a> {
    /// Takes the raw bytes of a tag. Object, type and name have to be there; the tagger may be missing, as in early tags.
    pub fn parse(data: &'a [u8]) -> Result<TagView<'a>, ObjectError> {
        let bad = |rule| Err(ObjectError::Header { kind: ObjectKind::Tag, rule });
        let Some((target, rest)) = id_line(data, b"object ") else {
            return bad("it does not begin with the id of an object");
        };
        let (kind, rest) = text_line(rest, b"type ");
        let Some(kind) = ObjectKind::from_name(kind) else {
            return bad("its type line does not name a type");
        };
        if !rest.starts_with(b"tag ") {
            return bad("it has no name");
        }
        let (name, rest) = text_line(rest, b"tag ");
        let (tagger, rest) = text_line(rest, b"tagger ");
        Ok(TagView { target, kind, name, tagger, rest })
    }

    /// The object it points to.
    pub fn target(&self) -> ObjectId {
        self.target
    }

    /// What the tag says its target is; whether that is so is for the reader of the target to check.
    pub fn kind(&self) -> ObjectKind {
        self.kind
    }

    /// The name in the tag, which need not be that of the ref.
    pub fn name(&self) -> &'a [u8] {
        self.name
    }

    /// The tagger line without its keyword; empty if there is none.
    pub fn tagger(&self) -> &'a [u8] {
        self.tagger
    }

    /// When it was made, in seconds since 1970; 0 where nothing says so.
    pub fn tagger_time(&self) -> u64 {
        ident_time(self.tagger)
    }

    /// The message with its signature, if there is one at its end.
    pub fn message(&self) -> &'a [u8] {
        body(self.rest)
    }
}

/// How one object names another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LinkKind {
    /// A commit's root folder: has to be a tree.
    CommitTree,
    /// A commit's parent: has to be a commit.
    CommitParent,
    /// A folder in a tree: has to be a tree.
    TreeFolder,
    /// A file or a symbolic link in a tree: has to be a blob.
    TreeFile,
    /// A tag's object: has to be what the tag says.
    TagTarget(ObjectKind),
}

impl LinkKind {
    /// What the named object has to be (attack checklist B6: the type of a referenced object is checked).
    #[inline]
    pub fn target_kind(self) -> ObjectKind {
        match self {
            LinkKind::CommitTree | LinkKind::TreeFolder => ObjectKind::Tree,
            LinkKind::CommitParent => ObjectKind::Commit,
            LinkKind::TreeFile => ObjectKind::Blob,
            LinkKind::TagTarget(kind) => kind,
        }
    }
}

/// Calls `link` for each object that this one needs; submodules are other repositories' commits and left out. On an error,
/// what stood before the malformed place has been given already.
#[inline]
pub fn for_each_link(kind: ObjectKind, data: &[u8], mut link: impl FnMut(LinkKind, &oid)) -> Result<(), ObjectError> {
    match kind {
        ObjectKind::Blob => {}
        ObjectKind::Tree => {
            for entry in TreeIter::new(data) {
                let entry = entry?;
                match entry.kind() {
                    EntryKind::Tree => link(LinkKind::TreeFolder, entry.oid),
                    EntryKind::File | EntryKind::Link => link(LinkKind::TreeFile, entry.oid),
                    EntryKind::Submodule => {}
                }
            }
        }
        ObjectKind::Commit => {
            let commit = CommitView::parse(data)?;
            link(LinkKind::CommitTree, &commit.tree);
            for parent in commit.parents() {
                link(LinkKind::CommitParent, &parent);
            }
        }
        ObjectKind::Tag => {
            let tag = TagView::parse(data)?;
            link(LinkKind::TagTarget(tag.kind), &tag.target);
        }
    }
    Ok(())
}

/// The id in a line `KEYWORD` 40 digits, line feed, and what follows the line.
#[inline]
pub(crate) fn id_line<'a>(data: &'a [u8], keyword: &[u8]) -> Option<(ObjectId, &'a [u8])> {
    let rest = data.strip_prefix(keyword)?;
    if rest.len() <= ID_HEX || rest[ID_HEX] != b'\n' {
        return None;
    }
    let id = ObjectId::from_hex(&rest[..ID_HEX]).ok()?;
    Some((id, &rest[ID_HEX + 1..]))
}

/// The text of a line that begins with `keyword`, and what follows it; nothing, and the data itself, if it begins otherwise.
fn text_line<'a>(data: &'a [u8], keyword: &[u8]) -> (&'a [u8], &'a [u8]) {
    let Some(rest) = data.strip_prefix(keyword) else {
        return (&[], data);
    };
    match memchr::memchr(b'\n', rest) {
        Some(end) => (&rest[..end], &rest[end + 1..]),
        None => (rest, &[]),
    }
}

/// The seconds in `Name <email> seconds zone`.
#[inline]
fn ident_time(ident: &[u8]) -> u64 {
    let Some(end) = memchr::memrchr(b'>', ident) else {
        return 0;
    };
    let date = ident[end + 1..].trim_ascii_start();
    let mut seconds = 0u64;
    for b in date.iter().take_while(|b| b.is_ascii_digit()) {
        let Some(next) = seconds.checked_mul(10).and_then(|s| s.checked_add(u64::from(b - b'0'))) else {
            return 0;
        };
        seconds = next;
    }
    seconds
}

/// Headers up to the first empty line; a line that begins with a space continues the one before.
pub(crate) fn extra_headers(data: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut rest = data;
    std::iter::from_fn(move || {
        if rest.is_empty() || rest[0] == b'\n' {
            return None;
        }
        let mut end = 0;
        loop {
            end = memchr::memchr(b'\n', &rest[end..]).map_or(rest.len(), |n| end + n + 1);
            if rest.get(end) != Some(&b' ') {
                break;
            }
        }
        let (header, after) = rest.split_at(end);
        rest = after;
        let header = header.strip_suffix(b"\n").unwrap_or(header);
        let name_len = memchr::memchr2(b' ', b'\n', header).unwrap_or(header.len());
        Some((&header[..name_len], header.get(name_len + 1..).unwrap_or_default()))
    })
}

/// What follows the first empty line of `data`, which begins at the start of a line.
fn body(data: &[u8]) -> &[u8] {
    if let Some(message) = data.strip_prefix(b"\n") {
        return message;
    }
    match memchr::memmem::find(data, b"\n\n") {
        Some(at) => &data[at + 2..],
        None => &[],
    }
}

#[cfg(test)]
mod tests;
