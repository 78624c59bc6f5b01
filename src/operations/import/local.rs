//! A Git repository in a folder of this machine, read file by file: refs, packs, loose objects, as one stream in pack form.
//!
//! No Git program runs and no configuration is obeyed; of `config` only the two settings are looked at that say whether the
//! repository can be read at all. Symbolic links are not followed and `objects/info/alternates` is not read, so that a
//! folder made by someone else cannot lend files of this machine (attack checklist A11, F2).

mod loose;
mod pack_files;
mod refs;

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use sha1::Digest;

use self::loose::{LooseEncoder, LooseObjects};
use self::pack_files::PackFile;
use super::selection::SourceRefs;
use crate::names::escape_for_people;
use crate::repository::pack::ingest::IngestLimits;

/// Why a folder cannot be imported.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// Not a repository.
    #[error("`{path}` is not a Git repository: {reason}")]
    NotARepository {
        /// Which folder.
        path: String,
        /// What is missing.
        reason: &'static str,
    },
    /// A kind of repository that is not read.
    #[error("`{path}` cannot be imported: {reason}")]
    NotSupported {
        /// Which folder.
        path: String,
        /// What it is.
        reason: &'static str,
    },
    /// A file that cannot be read.
    #[error("failed to read `{path}`")]
    Read {
        /// Which file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// A file that is not what it should be.
    #[error("`{path}` is damaged: {reason}")]
    Damaged {
        /// Which file.
        path: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// More of something than is read.
    #[error("`{path}` has too many {what}: at most {limit} are read")]
    TooMany {
        /// Which folder.
        path: String,
        /// What there is too much of.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
}

impl LocalError {
    fn read(path: &Path, source: io::Error) -> LocalError {
        LocalError::Read { path: shown(path), source }
    }

    fn damaged(path: &Path, reason: &'static str) -> LocalError {
        LocalError::Damaged { path: shown(path), reason }
    }
}

fn shown(path: &Path) -> String {
    escape_for_people(path.as_os_str().as_encoded_bytes(), 500)
}

/// Most bytes of the small files that are read whole.
const MAX_CONFIG_BYTES: u64 = 1 << 20;

/// A repository's folder.
pub(super) struct LocalRepository {
    /// The folder with `objects` and `refs` in it.
    folder: PathBuf,
    shown: String,
    has_alternates: bool,
    has_cruft: bool,
}

impl LocalRepository {
    /// Finds the repository at `path`: bare, or a work tree with `.git` in it. Refuses kinds that cannot be imported.
    pub(super) fn open(path: &Path) -> Result<LocalRepository, LocalError> {
        let not_one = |reason| LocalError::NotARepository { path: shown(path), reason };
        let root = path.canonicalize().map_err(|source| LocalError::read(path, source))?;
        let dot_git = root.join(".git");
        let folder = match metadata(&dot_git)? {
            Some(found) if found.is_dir() => dot_git,
            Some(_) => {
                return Err(LocalError::NotSupported {
                    path: shown(path),
                    reason: "its .git is a link: a linked work tree or a submodule; give the folder that it links to",
                });
            }
            None => root,
        };
        for (name, reason) in [("objects", "there is no folder `objects`"), ("refs", "there is no folder `refs`")] {
            if !metadata(&folder.join(name))?.is_some_and(|found| found.is_dir()) {
                return Err(not_one(reason));
            }
        }
        if metadata(&folder.join("HEAD"))?.is_none() {
            return Err(not_one("there is no `HEAD`"));
        }
        let has_alternates = metadata(&folder.join("objects/info/alternates"))?.is_some();
        let mut repository = LocalRepository { folder, shown: shown(path), has_alternates, has_cruft: false };
        repository.refuse_other_kinds()?;
        let files = pack_files::list(&repository.folder)?;
        if files.iter().any(|file| file.is_promisor) {
            return Err(repository.not_supported("it is a partial clone, which leaves objects out"));
        }
        repository.has_cruft = files.iter().any(|file| file.is_cruft);
        Ok(repository)
    }

    fn not_supported(&self, reason: &'static str) -> LocalError {
        LocalError::NotSupported { path: self.shown.clone(), reason }
    }

    fn refuse_other_kinds(&self) -> Result<(), LocalError> {
        if metadata(&self.folder.join("reftable"))?.is_some() {
            return Err(self.not_supported("it keeps its refs in a reftable"));
        }
        if metadata(&self.folder.join("shallow"))?.is_some_and(|found| found.len() > 0) {
            return Err(self.not_supported("it is shallow: its history is cut off"));
        }
        let path = self.folder.join("config");
        if metadata(&path)?.is_none() {
            return Ok(());
        }
        for (key, value) in extensions(&read_small(&path, MAX_CONFIG_BYTES)?) {
            match (key.as_str(), value.as_str()) {
                ("objectformat", "sha1") | ("refstorage", "files") => {}
                ("objectformat", _) => return Err(self.not_supported("its object ids are not SHA-1")),
                ("refstorage", _) => return Err(self.not_supported("it keeps its refs in another way than files")),
                ("partialclone", _) => {
                    return Err(self.not_supported("it is a partial clone, which leaves objects out"));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The folder as the administrator gave it, safe to show.
    pub(super) fn shown(&self) -> &str {
        &self.shown
    }

    /// Whether it borrows objects from elsewhere.
    pub(super) fn has_alternates(&self) -> bool {
        self.has_alternates
    }

    /// Whether it has packs of objects that nothing needed when they were made.
    pub(super) fn has_cruft(&self) -> bool {
        self.has_cruft
    }

    /// Its refs and HEAD.
    pub(super) fn refs(&self) -> Result<SourceRefs, LocalError> {
        refs::read(&self.folder)
    }

    /// All its objects as one pack.
    pub(super) fn pack_stream(&self, with_cruft: bool, limits: &IngestLimits) -> Result<LocalPack, LocalError> {
        let mut packs = Vec::new();
        for file in pack_files::list(&self.folder)? {
            if with_cruft || !file.is_cruft {
                packs.push(PackFile::open(&file.stem)?);
            }
        }
        let loose = LooseObjects::list(&self.folder, &packs, limits.max_objects)?;
        let n_objects = packs.iter().map(|pack| u64::from(pack.n_objects)).sum::<u64>() + loose.len() as u64;
        let too_many =
            |_| LocalError::TooMany { path: self.shown.clone(), what: "objects", limit: limits.max_objects.into() };
        let n_objects = u32::try_from(n_objects).map_err(too_many)?;
        let mut header = b"PACK\0\0\0\x02".to_vec();
        header.extend_from_slice(&n_objects.to_be_bytes());
        Ok(LocalPack {
            packs: packs.into(),
            loose,
            encoder: None,
            buffer: header,
            at: 0,
            hasher: Some(sha1::Sha1::new()),
        })
    }
}

/// What stands at a path itself, links not followed; nothing if there is nothing.
fn metadata(path: &Path) -> Result<Option<Metadata>, LocalError> {
    match path.symlink_metadata() {
        Ok(found) => Ok(Some(found)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(source) => Err(LocalError::read(path, source)),
    }
}

/// Opens a regular file, and neither a link nor a pipe that would keep us waiting.
fn open_file(path: &Path) -> Result<File, LocalError> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits();
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(i32::try_from(flags).expect("open flags are small numbers"))
        .open(path)
        .map_err(|source| LocalError::read(path, source))?;
    let found = file.metadata().map_err(|source| LocalError::read(path, source))?;
    if found.is_file() { Ok(file) } else { Err(LocalError::damaged(path, "it is not a file")) }
}

/// A file's bytes, if they are few.
fn read_small(path: &Path, max_bytes: u64) -> Result<Vec<u8>, LocalError> {
    let mut bytes = Vec::new();
    open_file(path)?.take(max_bytes + 1).read_to_end(&mut bytes).map_err(|source| LocalError::read(path, source))?;
    if bytes.len() as u64 > max_bytes { Err(LocalError::damaged(path, "it is too large")) } else { Ok(bytes) }
}

/// The settings of `[extensions]`, in lower case. Good enough for what Git itself writes there.
fn extensions(config: &[u8]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut in_section = false;
    for line in config.split(|b| *b == b'\n') {
        let line = String::from_utf8_lossy(line.trim_ascii()).to_ascii_lowercase();
        let mut rest = line.as_str();
        if let Some(section) = rest.strip_prefix('[') {
            let Some((name, after)) = section.split_once(']') else { continue };
            in_section = name.trim() == "extensions";
            rest = after.trim();
        }
        if in_section && !rest.is_empty() && !rest.starts_with(['#', ';']) {
            let (key, value) = rest.split_once('=').unwrap_or((rest, ""));
            let value = value.split(['#', ';']).next().unwrap_or_default();
            found.push((key.trim().to_string(), value.trim().trim_matches('"').to_string()));
        }
    }
    found
}

/// All objects of a folder in pack form: the entries of each pack as they are, in one piece, so that the distances to their
/// bases stay true; then the loose objects as entries of their own.
pub(super) struct LocalPack {
    packs: std::collections::VecDeque<PackFile>,
    loose: LooseObjects,
    encoder: Option<LooseEncoder>,
    /// What comes next is `buffer[at..]`.
    buffer: Vec<u8>,
    at: usize,
    /// Over all that was given out; gone once the trailer is.
    hasher: Option<sha1::Sha1>,
}

const CHUNK_BYTES: usize = 256 << 10;

impl LocalPack {
    /// Fills the buffer again; leaves it empty at the end.
    fn refill(&mut self) -> Result<(), LocalError> {
        let Some(hasher) = &mut self.hasher else {
            self.buffer.clear();
            self.at = 0;
            return Ok(());
        };
        hasher.update(&self.buffer);
        self.buffer.clear();
        self.at = 0;
        while self.buffer.is_empty() {
            if let Some(pack) = self.packs.front_mut() {
                if !pack.read_entries(&mut self.buffer, CHUNK_BYTES)? {
                    self.packs.pop_front();
                }
            } else if let Some(encoder) = &mut self.encoder {
                if !encoder.step(&mut self.buffer, CHUNK_BYTES)? {
                    self.encoder = None;
                }
            } else if let Some(path) = self.loose.next_path() {
                self.encoder = Some(LooseEncoder::open(path, &mut self.buffer)?);
            } else if let Some(hasher) = self.hasher.take() {
                self.buffer.extend_from_slice(&hasher.finalize());
            }
        }
        Ok(())
    }
}

impl Read for LocalPack {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.at == self.buffer.len() {
            self.refill().map_err(io::Error::other)?;
        }
        let n = (self.buffer.len() - self.at).min(out.len());
        out[..n].copy_from_slice(&self.buffer[self.at..self.at + n]);
        self.at += n;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_extensions_are_read() {
        let config =
            b"[core]\n\tobjectformat = x\n[Extensions] ; yes\n\tobjectFormat = \"SHA256\" # x\n[a]\nrefstorage=y\n\
            [extensions]refStorage=reftable";
        let expected = [("objectformat", "sha256"), ("refstorage", "reftable")];
        let expected = expected.map(|(key, value)| (key.to_string(), value.to_string()));
        assert_eq!(extensions(config), expected);
    }
}
