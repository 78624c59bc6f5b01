//! Refs in files: `packed-refs`, one file a ref below `refs`, and `HEAD`.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::{LocalError, metadata, open_file, read_small, shown};
use crate::names::{ObjectId, RefName, escape_for_people};
use crate::operations::import::selection::SourceRefs;
use crate::protocol::fetch_client::MAX_REFS;

/// Most bytes of a ref's file or of a line in `packed-refs`.
const MAX_LINE_BYTES: u64 = 4096;
/// Most folders within each other below `refs`.
const MAX_DEPTH: usize = 64;

/// Reads HEAD and all refs; a loose one counts more than a packed one.
pub(super) fn read(folder: &Path) -> Result<SourceRefs, LocalError> {
    let mut found = Found { refs: BTreeMap::new(), source: SourceRefs::default() };
    found.packed(&folder.join("packed-refs"))?;
    found.loose(&folder.join("refs"), b"refs", 0)?;
    let head = folder.join("HEAD");
    match content(&read_small(&head, MAX_LINE_BYTES)?) {
        Some(Content::Symbolic(target)) => found.source.head_target = Some(target.to_vec()),
        Some(Content::Id(id)) => found.source.head_id = Some(id),
        None => return Err(LocalError::damaged(&head, "it is neither an object id nor names a branch")),
    }
    found.source.refs = found.refs.into_iter().collect();
    Ok(found.source)
}

struct Found {
    refs: BTreeMap<Vec<u8>, ObjectId>,
    source: SourceRefs,
}

enum Content<'a> {
    Id(ObjectId),
    Symbolic(&'a [u8]),
}

fn content(bytes: &[u8]) -> Option<Content<'_>> {
    let line = bytes.trim_ascii_end();
    match line.strip_prefix(b"ref:") {
        Some(target) => Some(Content::Symbolic(target.trim_ascii_start())),
        None => ObjectId::from_hex(line).ok().filter(|_| line.len() == 40).map(Content::Id),
    }
}

impl Found {
    fn add(&mut self, path: &Path, name: Vec<u8>, id: ObjectId) -> Result<(), LocalError> {
        self.refs.insert(name, id);
        if self.refs.len() > MAX_REFS {
            return Err(LocalError::TooMany { path: shown(path), what: "refs", limit: MAX_REFS as u64 });
        }
        Ok(())
    }

    fn skip(&mut self, name: &[u8], reason: &str) {
        self.source.skipped.push((escape_for_people(name, 200), reason.to_string()));
    }

    fn packed(&mut self, path: &Path) -> Result<(), LocalError> {
        if metadata(path)?.is_none() {
            return Ok(());
        }
        let mut input = BufReader::with_capacity(1 << 16, open_file(path)?);
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = input.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut line);
            if read.map_err(|source| LocalError::read(path, source))? == 0 {
                return Ok(());
            }
            let bad = || LocalError::damaged(path, "it has a line that is neither a ref nor a peeled tag");
            let text = line.strip_suffix(b"\n").ok_or_else(bad)?;
            // What a tag leads to is found out from the tag.
            if text.is_empty() || matches!(text[0], b'#' | b'^') {
                continue;
            }
            let (hex, name) = text.split_at_checked(40).ok_or_else(bad)?;
            let id = ObjectId::from_hex(hex).map_err(|_| bad())?;
            let name = name.strip_prefix(b" ").ok_or_else(bad)?;
            self.add(path, name.to_vec(), id)?;
        }
    }

    fn loose(&mut self, folder: &Path, name: &[u8], depth: usize) -> Result<(), LocalError> {
        let failed = |source| LocalError::read(folder, source);
        if depth > MAX_DEPTH {
            self.skip(name, "it lies too deep");
            return Ok(());
        }
        for entry in folder.read_dir().map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let kind = entry.file_type().map_err(failed)?;
            let path = entry.path();
            let mut below = name.to_vec();
            below.push(b'/');
            below.extend_from_slice(entry.file_name().as_bytes());
            if kind.is_dir() {
                self.loose(&path, &below, depth + 1)?;
                continue;
            }
            // A lock is not a ref, and neither is a file that only has to do with one.
            if below.ends_with(b".lock") {
                continue;
            }
            if !kind.is_file() {
                self.refs.remove(&below);
                self.skip(&below, "it is a link or a device, not a file");
                continue;
            }
            let bytes = read_small(&path, MAX_LINE_BYTES)?;
            match content(&bytes) {
                Some(Content::Id(id)) => self.add(&path, below, id)?,
                Some(Content::Symbolic(_)) => {
                    self.refs.remove(&below);
                    self.skip(&below, "it only names another ref");
                }
                // Other programs leave their files among refs; what could be a ref must be read.
                None if RefName::parse(&below).is_err() => self.skip(&below, "it is not a ref"),
                None => return Err(LocalError::damaged(&path, "it is neither an object id nor names a ref")),
            }
        }
        Ok(())
    }
}
