//! Archives of a tree as `git archive` makes them: tar, tar.gz and zip, written while the tree is read.
//!
//! A tar is byte for byte that of `git archive --format=tar`. Whatever a name is, it comes from a tree that passed `fsck`; an entry
//! named `.`, `..`, with a `/` or the like is refused here nevertheless, since unpacking follows names. One object is in memory at a
//! time, besides the trees on the way to it and, for a zip, its directory. The module reads objects through [`ArchiveSource`] and
//! writes to a `Write`; it knows no store, and keeps nothing between archives.
//!
//! Not done: the attributes `export-ignore` and `export-subst`, and conversions of line ends; objects are written as they are.

mod tar;
mod zip;

use std::io::{self, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use gix_hash::oid;

use super::object::{EntryKind, ObjectError, ObjectKind, TreeIter};
use crate::names::{ObjectId, escape_for_people};

/// Where the objects come from.
pub trait ArchiveSource {
    /// Reads an object whole. An error ends the archive.
    fn read(&mut self, id: &oid) -> io::Result<(ObjectKind, Vec<u8>)>;
}

impl<F: FnMut(&oid) -> io::Result<(ObjectKind, Vec<u8>)>> ArchiveSource for F {
    fn read(&mut self, id: &oid) -> io::Result<(ObjectKind, Vec<u8>)> {
        self(id)
    }
}

/// What kind of archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ArchiveFormat {
    /// POSIX pax.
    Tar,
    /// The same, compressed by gzip.
    TarGz,
    /// With UTF-8 names and Unix modes.
    Zip,
}

impl ArchiveFormat {
    /// The format of this name, as `git archive --format` takes them: `tar`, `tar.gz`, `tgz`, `zip`.
    pub fn from_name(name: &str) -> Option<ArchiveFormat> {
        match name {
            "tar" => Some(ArchiveFormat::Tar),
            "tar.gz" | "tgz" => Some(ArchiveFormat::TarGz),
            "zip" => Some(ArchiveFormat::Zip),
            _ => None,
        }
    }
}

/// What to put into an archive.
#[derive(Debug, Clone)]
pub struct ArchiveRequest {
    /// The root folder.
    pub tree: ObjectId,
    /// The commit it is of, for the comment in the archive; none for a bare tree.
    pub commit: Option<ObjectId>,
    /// The commit's time, or now for a bare tree, in seconds since 1970.
    pub mtime: u64,
    /// Put before each name; ends in `/` if it is to be a folder. Empty, or made of plain parts (no `..`, not absolute).
    pub prefix: Vec<u8>,
    /// The paths wanted, relative to the root, without `/` at either end; all of them if empty.
    pub paths: Vec<Vec<u8>>,
}

/// Why an archive could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The caller's prefix leads out of the folder where it is unpacked.
    #[error("prefix `{prefix}` is not a plain relative path")]
    Prefix {
        /// The prefix, escaped.
        prefix: String,
    },
    /// The caller asked for a path that is not there.
    #[error("path `{path}` does not match any file")]
    NoSuchPath {
        /// The path, escaped.
        path: String,
    },
    /// The tree has a name that must not be unpacked, or what no archive can hold.
    #[error("entry `{path}` cannot be archived: {rule}")]
    Entry {
        /// The path, escaped.
        path: String,
        /// What does not hold.
        rule: &'static str,
    },
    /// An object is not what the tree says.
    #[error("object `{id}` is a {found}, not a {wanted}")]
    WrongKind {
        /// The object.
        id: ObjectId,
        /// What it has to be.
        wanted: ObjectKind,
        /// What it is.
        found: ObjectKind,
    },
    /// A tree is damaged.
    #[error("tree `{id}` cannot be read")]
    Tree {
        /// The tree.
        id: ObjectId,
        /// Where and why.
        source: ObjectError,
    },
    /// The source failed.
    #[error("failed to read object `{id}`")]
    Read {
        /// The object.
        id: ObjectId,
        /// Why.
        source: io::Error,
    },
    /// The archive could not be written; mostly the peer has gone.
    #[error("failed to write the archive")]
    Write {
        /// Why.
        source: io::Error,
    },
}

/// Deepest nesting of folders; paths beyond that fit no file system.
const MAX_DEPTH: usize = 2048;

/// Writes the archive that `request` asks for to `out`, and flushes it. After an error what has been written is not an archive.
pub fn write_archive<W: Write>(
    format: ArchiveFormat,
    request: &ArchiveRequest,
    source: &mut impl ArchiveSource,
    out: W,
) -> Result<(), ArchiveError> {
    check_prefix(&request.prefix)?;
    let write_failed = |source| ArchiveError::Write { source };
    match format {
        ArchiveFormat::Tar => {
            let mut out = write_entries(tar::TarWriter::new(out, request).map_err(write_failed)?, request, source)?;
            out.flush().map_err(write_failed)
        }
        ArchiveFormat::TarGz => {
            let gzip = GzEncoder::new(out, Compression::default());
            let gzip = write_entries(tar::TarWriter::new(gzip, request).map_err(write_failed)?, request, source)?;
            gzip.finish().and_then(|mut out| out.flush()).map_err(write_failed)
        }
        ArchiveFormat::Zip => {
            let mut out = write_entries(zip::ZipWriter::new(out, request), request, source)?;
            out.flush().map_err(write_failed)
        }
    }
}

/// An entry on its way into an archive.
struct Entry<'a> {
    id: &'a oid,
    /// With the prefix; folders and submodules end in `/`.
    path: &'a [u8],
    kind: EntryKind,
    is_executable: bool,
    /// A file's bytes or a link's target, else nothing.
    data: &'a [u8],
}

/// One format of archive.
trait EntryWriter {
    type Out;
    fn entry(&mut self, entry: &Entry<'_>) -> io::Result<()>;
    fn finish(self) -> io::Result<Self::Out>;
}

fn write_entries<E: EntryWriter>(
    writer: E,
    request: &ArchiveRequest,
    source: &mut impl ArchiveSource,
) -> Result<E::Out, ArchiveError> {
    let mut walk = Walk {
        writer,
        source,
        wanted: request.paths.iter().map(|path| (path.as_slice(), false)).collect(),
        path: request.prefix.clone(),
        prefix_len: request.prefix.len(),
        folders: Vec::new(),
    };
    if request.prefix.ends_with(b"/") {
        walk.write(&request.tree, EntryKind::Tree, false, &[])?;
    }
    walk.folder(request.tree, 0)?;
    if let Some((path, _)) = walk.wanted.iter().find(|(_, found)| !found) {
        return Err(ArchiveError::NoSuchPath { path: escape_for_people(path, 200) });
    }
    walk.writer.finish().map_err(|source| ArchiveError::Write { source })
}

struct Walk<'r, E, S> {
    writer: E,
    source: &'r mut S,
    /// Each path asked for, and whether it was there.
    wanted: Vec<(&'r [u8], bool)>,
    /// Prefix and path of where the walk is.
    path: Vec<u8>,
    prefix_len: usize,
    /// Folders on the way to a wanted path that are written once something in them is: length of their path, and id.
    folders: Vec<(usize, ObjectId)>,
}

/// Whether a path is asked for.
enum Wanted {
    No,
    /// Something below it may be.
    Below,
    Yes,
}

impl<E: EntryWriter, S: ArchiveSource> Walk<'_, E, S> {
    fn folder(&mut self, id: ObjectId, depth: usize) -> Result<(), ArchiveError> {
        if depth > MAX_DEPTH {
            return Err(self.refuse("its folders are nested too deep"));
        }
        let data = self.read(&id, ObjectKind::Tree)?;
        for entry in TreeIter::new(&data) {
            let entry = entry.map_err(|source| ArchiveError::Tree { id, source })?;
            let path_len = self.path.len();
            self.path.extend_from_slice(entry.name);
            if !is_plain_name(entry.name) {
                return Err(self.refuse("its name is not that of a file"));
            }
            let wanted = self.is_wanted();
            let kind = entry.kind();
            match (kind, wanted) {
                (_, Wanted::No) => {}
                (EntryKind::Tree, wanted) => {
                    self.path.push(b'/');
                    match wanted {
                        Wanted::Yes => {
                            self.write_folders_above()?;
                            self.write(entry.oid, kind, false, &[])?;
                        }
                        _ => self.folders.push((self.path.len(), entry.oid.to_owned())),
                    }
                    self.folder(entry.oid.to_owned(), depth + 1)?;
                    let end = self.path.len();
                    self.folders.retain(|(len, _)| *len < end);
                }
                (_, Wanted::Below) => {}
                (EntryKind::Submodule, Wanted::Yes) => {
                    self.path.push(b'/');
                    self.write_folders_above()?;
                    self.write(entry.oid, kind, false, &[])?;
                }
                (EntryKind::File | EntryKind::Link, Wanted::Yes) => {
                    let blob = self.read(entry.oid, ObjectKind::Blob)?;
                    self.write_folders_above()?;
                    self.write(entry.oid, kind, entry.mode & 0o100 != 0, &blob)?;
                }
            }
            self.path.truncate(path_len);
        }
        Ok(())
    }

    /// Whether the path where the walk is has been asked for, with all below it; notes that it is there.
    fn is_wanted(&mut self) -> Wanted {
        if self.wanted.is_empty() {
            return Wanted::Yes;
        }
        let path = &self.path[self.prefix_len..];
        let mut answer = Wanted::No;
        for (wanted, found) in &mut self.wanted {
            if is_at_or_below(path, wanted) {
                *found = true;
                answer = Wanted::Yes;
            } else if matches!(answer, Wanted::No) && is_at_or_below(wanted, path) {
                answer = Wanted::Below;
            }
        }
        answer
    }

    fn write_folders_above(&mut self) -> Result<(), ArchiveError> {
        for (len, id) in std::mem::take(&mut self.folders) {
            let entry =
                Entry { id: &id, path: &self.path[..len], kind: EntryKind::Tree, is_executable: false, data: &[] };
            self.writer.entry(&entry).map_err(|source| ArchiveError::Write { source })?;
        }
        Ok(())
    }

    fn write(&mut self, id: &oid, kind: EntryKind, is_executable: bool, data: &[u8]) -> Result<(), ArchiveError> {
        if self.path.len() > 0xffff {
            return Err(self.refuse("its path is too long"));
        }
        let entry = Entry { id, path: &self.path, kind, is_executable, data };
        self.writer.entry(&entry).map_err(|source| ArchiveError::Write { source })
    }

    fn read(&mut self, id: &oid, wanted: ObjectKind) -> Result<Vec<u8>, ArchiveError> {
        match self.source.read(id) {
            Ok((found, data)) if found == wanted => Ok(data),
            Ok((found, _)) => Err(ArchiveError::WrongKind { id: id.to_owned(), wanted, found }),
            Err(source) => Err(ArchiveError::Read { id: id.to_owned(), source }),
        }
    }

    fn refuse(&self, rule: &'static str) -> ArchiveError {
        ArchiveError::Entry { path: escape_for_people(&self.path, 200), rule }
    }
}

fn is_at_or_below(path: &[u8], folder: &[u8]) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
}

/// Names that unpack to a file of that name in its folder (attack checklist A8).
fn is_plain_name(name: &[u8]) -> bool {
    !matches!(name, b"" | b"." | b"..") && memchr::memchr(b'/', name).is_none()
}

fn check_prefix(prefix: &[u8]) -> Result<(), ArchiveError> {
    let parts = prefix.strip_suffix(b"/").unwrap_or(prefix);
    let is_plain = prefix.is_empty()
        || parts.split(|b| *b == b'/').all(is_plain_name)
            && !prefix.iter().any(u8::is_ascii_control)
            && prefix.len() <= 1024;
    if is_plain { Ok(()) } else { Err(ArchiveError::Prefix { prefix: escape_for_people(prefix, 200) }) }
}

#[cfg(test)]
mod tests;
