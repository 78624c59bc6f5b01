//! A policy folder as a value: relative paths and bytes, bounded, hashed, and stored as one piece.
//!
//! Everything of a folder that could have an effect is in the value or is an error; a file is never half taken. Links,
//! devices, and names that are not UTF-8 are refused rather than followed or skipped.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::names::escape_for_people;

/// The files of one policy set: paths relative to the folder, with `/` between their parts, and their bytes.
///
/// At most [`PolicyFiles::MAX_FILES`] files of [`PolicyFiles::MAX_FILE_BYTES`] bytes, [`PolicyFiles::MAX_TOTAL_BYTES`]
/// together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PolicyFiles {
    files: BTreeMap<String, Vec<u8>>,
    total_bytes: usize,
}

/// Why a folder or stored bytes are not a policy set.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// The operating system refused.
    #[error("failed to read `{path}`")]
    Read {
        /// What was being read.
        path: String,
        /// Why it failed.
        source: std::io::Error,
    },
    /// A link, device, socket or pipe.
    #[error("`{path}` is neither a file nor a folder: policies are plain files, links are not followed")]
    NotRegular {
        /// The entry.
        path: String,
    },
    /// A name that is not UTF-8, or is absolute, or climbs out.
    #[error("the name `{path}` cannot be used: names of policy files are relative UTF-8 paths")]
    BadName {
        /// The name, escaped.
        path: String,
    },
    /// A file over the limit.
    #[error("`{path}` is larger than {limit} bytes")]
    FileTooLarge {
        /// The file.
        path: String,
        /// The limit, in bytes.
        limit: usize,
    },
    /// Too many files.
    #[error("the policy folder has more than {limit} files")]
    TooManyFiles {
        /// The limit.
        limit: usize,
    },
    /// Too many bytes together.
    #[error("the policy folder has more than {limit} bytes")]
    TooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// Folders in folders beyond the limit.
    #[error("`{path}` lies too deep: a policy folder has at most {limit} levels")]
    TooDeep {
        /// The folder.
        path: String,
        /// The limit.
        limit: usize,
    },
    /// The same path twice.
    #[error("`{path}` is there twice")]
    Twice {
        /// The path.
        path: String,
    },
    /// Stored bytes that [`PolicyFiles::encode`] did not write.
    #[error("stored policy set is damaged: {what}")]
    Damaged {
        /// What did not fit.
        what: &'static str,
    },
}

impl PolicyFiles {
    /// Most files in one set.
    pub const MAX_FILES: usize = 4096;
    /// Largest file, in bytes.
    pub const MAX_FILE_BYTES: usize = 1 << 20;
    /// Most bytes in one set.
    pub const MAX_TOTAL_BYTES: usize = 64 << 20;
    /// Levels of folders, the top one included.
    const MAX_DEPTH: usize = 8;

    /// An empty set.
    pub fn new() -> PolicyFiles {
        PolicyFiles::default()
    }

    /// Adds a file; `path` is relative, with `/` between its parts. Fails on a bad or repeated path and over the limits.
    pub fn insert(&mut self, path: &str, bytes: Vec<u8>) -> Result<(), FilesError> {
        let fine = !path.is_empty()
            && path.len() <= 1024
            && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
            && !path.chars().any(char::is_control);
        if !fine {
            return Err(FilesError::BadName { path: escape_for_people(path.as_bytes(), 200) });
        }
        if bytes.len() > Self::MAX_FILE_BYTES {
            return Err(FilesError::FileTooLarge { path: path.to_owned(), limit: Self::MAX_FILE_BYTES });
        }
        if self.files.len() >= Self::MAX_FILES {
            return Err(FilesError::TooManyFiles { limit: Self::MAX_FILES });
        }
        if self.total_bytes + bytes.len() > Self::MAX_TOTAL_BYTES {
            return Err(FilesError::TooLarge { limit: Self::MAX_TOTAL_BYTES });
        }
        if self.files.contains_key(path) {
            return Err(FilesError::Twice { path: path.to_owned() });
        }
        self.total_bytes += bytes.len();
        self.files.insert(path.to_owned(), bytes);
        Ok(())
    }

    /// The files, by path.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.files.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice()))
    }

    /// One file's bytes.
    pub fn file(&self, path: &str) -> Option<&[u8]> {
        self.files.get(path).map(Vec::as_slice)
    }

    /// How many files there are.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether there is no file at all.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Whether there is a file of policies; a schema alone is none.
    pub fn has_policies(&self) -> bool {
        self.files.keys().any(|path| path.ends_with(".cedar"))
    }

    /// Reads the folder `folder`: its `.cedar` and `.cedarschema` files, at any level.
    ///
    /// Entries whose name begins with a dot, other plain files (a README), and a folder `starter` at the top (the
    /// templates in a checkout of this project) are passed over. A folder that does not exist is an error.
    pub fn read_folder(folder: &Path) -> Result<PolicyFiles, FilesError> {
        let mut files = PolicyFiles::new();
        let mut to_read: Vec<(PathBuf, String, usize)> = vec![(folder.to_owned(), String::new(), 1)];
        let mut n_entries = 0usize;
        while let Some((folder, prefix, depth)) = to_read.pop() {
            let read = |source| FilesError::Read { path: folder.display().to_string(), source };
            for entry in fs::read_dir(&folder).map_err(read)? {
                let entry = entry.map_err(read)?;
                n_entries += 1;
                if n_entries > 4 * Self::MAX_FILES {
                    return Err(FilesError::TooManyFiles { limit: Self::MAX_FILES });
                }
                let name = entry.file_name();
                let Some(name) = name.to_str() else {
                    let path = escape_for_people(name.as_encoded_bytes(), 200);
                    return Err(FilesError::BadName { path: format!("{prefix}{path}") });
                };
                if name.starts_with('.') {
                    continue;
                }
                let relative = format!("{prefix}{name}");
                let path = entry.path();
                // Not `metadata`: a link is seen as a link.
                let kind = fs::symlink_metadata(&path)
                    .map_err(|source| FilesError::Read { path: relative.clone(), source })?
                    .file_type();
                if kind.is_dir() {
                    if depth == 1 && name == "starter" {
                        continue;
                    }
                    if depth == Self::MAX_DEPTH {
                        return Err(FilesError::TooDeep { path: relative, limit: Self::MAX_DEPTH });
                    }
                    to_read.push((path, format!("{relative}/"), depth + 1));
                } else if !kind.is_file() {
                    return Err(FilesError::NotRegular { path: relative });
                } else if name.ends_with(".cedar") || name.ends_with(".cedarschema") {
                    let bytes = read_plain_file(&path, &relative)?;
                    files.insert(&relative, bytes)?;
                }
            }
        }
        Ok(files)
    }

    /// SHA-256 over [`PolicyFiles::encode`]: equal exactly where paths and bytes are.
    pub fn content_hash(&self) -> [u8; 32] {
        Sha256::digest(self.encode()).into()
    }

    /// The set as bytes: `LGPF`, a version byte 1, the number of files, then for each file in the order of their paths
    /// the length of its path, the path, the length of its bytes, the bytes. Numbers are four bytes, big-endian.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.total_bytes + 64 * self.files.len() + 16);
        out.extend_from_slice(MAGIC);
        // The limits keep every length well below 2^32.
        let number = |out: &mut Vec<u8>, n: usize| out.extend_from_slice(&(n as u32).to_be_bytes());
        number(&mut out, self.files.len());
        for (path, bytes) in &self.files {
            number(&mut out, path.len());
            out.extend_from_slice(path.as_bytes());
            number(&mut out, bytes.len());
            out.extend_from_slice(bytes);
        }
        out
    }

    /// Reads what [`PolicyFiles::encode`] wrote; anything else is an error.
    pub fn decode(bytes: &[u8]) -> Result<PolicyFiles, FilesError> {
        let damaged = |what| FilesError::Damaged { what };
        let mut rest = bytes.strip_prefix(MAGIC).ok_or(damaged("it does not begin as one"))?;
        let n_files = take_number(&mut rest).ok_or(damaged("it ends early"))?;
        let mut files = PolicyFiles::new();
        let mut last: Option<String> = None;
        for _ in 0..n_files {
            let path = take_piece(&mut rest).ok_or(damaged("it ends early"))?;
            let path = std::str::from_utf8(path).map_err(|_| damaged("a path is not UTF-8"))?;
            if last.as_deref().is_some_and(|last| last >= path) {
                return Err(damaged("its paths are out of order"));
            }
            let content = take_piece(&mut rest).ok_or(damaged("it ends early"))?;
            files.insert(path, content.to_vec())?;
            last = Some(path.to_owned());
        }
        if !rest.is_empty() {
            return Err(damaged("bytes follow its end"));
        }
        Ok(files)
    }
}

/// Opens without following a link and without waiting for a pipe's other end: what was listed as a file may have been
/// replaced since.
fn read_plain_file(path: &Path, relative: &str) -> Result<Vec<u8>, FilesError> {
    let read = |source| FilesError::Read { path: relative.to_owned(), source };
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits() as i32).open(path).map_err(read)?;
    if !file.metadata().map_err(read)?.is_file() {
        return Err(FilesError::NotRegular { path: relative.to_owned() });
    }
    let mut bytes = Vec::new();
    file.take(PolicyFiles::MAX_FILE_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(read)?;
    Ok(bytes)
}

fn take_number(rest: &mut &[u8]) -> Option<usize> {
    let (number, after) = rest.split_first_chunk::<4>()?;
    *rest = after;
    Some(u32::from_be_bytes(*number) as usize)
}

fn take_piece<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let n_bytes = take_number(rest)?;
    let (piece, after) = rest.split_at_checked(n_bytes)?;
    *rest = after;
    Some(piece)
}

const MAGIC: &[u8] = b"LGPF\x01";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_back() {
        let mut files = PolicyFiles::new();
        files.insert("111111111111/a.cedar", b"permit".to_vec()).unwrap();
        files.insert("organization/b.cedar", vec![]).unwrap();
        let bytes = files.encode();
        assert_eq!(PolicyFiles::decode(&bytes).unwrap(), files);
        for cut in 0..bytes.len() {
            assert!(PolicyFiles::decode(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        assert!(PolicyFiles::decode(&[bytes.as_slice(), b"x"].concat()).is_err());
    }

    #[test]
    fn the_hash_tells_names_from_bytes() {
        let set = |path: &str, bytes: &[u8]| {
            let mut files = PolicyFiles::new();
            files.insert(path, bytes.to_vec()).unwrap();
            files.content_hash()
        };
        assert_ne!(set("ab", b"c"), set("a", b"bc"));
        assert_eq!(set("ab", b"c"), set("ab", b"c"));
    }

    #[test]
    fn limits() {
        let mut files = PolicyFiles::new();
        assert!(matches!(files.insert("a", vec![0; (1 << 20) + 1]), Err(FilesError::FileTooLarge { .. })));
        for path in ["", "/a", "a//b", "../a", "a/./b", "a\nb"] {
            assert!(matches!(files.insert(path, vec![]), Err(FilesError::BadName { .. })), "{path:?}");
        }
        for n in 0..PolicyFiles::MAX_FILES {
            files.insert(&format!("{n}"), vec![]).unwrap();
        }
        assert!(matches!(files.insert("one-more", vec![]), Err(FilesError::TooManyFiles { .. })));
        let mut files = PolicyFiles::new();
        for n in 0..64 {
            files.insert(&format!("{n}"), vec![0; 1 << 20]).unwrap();
        }
        assert!(matches!(files.insert("one-more", vec![0]), Err(FilesError::TooLarge { .. })));
    }

    #[test]
    fn folders() {
        use std::os::unix::ffi::OsStrExt;
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        fs::create_dir_all(at("111111111111/trust")).unwrap();
        fs::create_dir_all(at("starter/account")).unwrap();
        fs::write(at("starter/account/x.cedar"), "not taken").unwrap();
        fs::write(at("README.md"), "not taken").unwrap();
        fs::write(at(".hidden.cedar"), "not taken").unwrap();
        fs::write(at("111111111111/a.cedar"), "a").unwrap();
        fs::write(at("111111111111/trust/b.cedar"), "b").unwrap();
        let files = PolicyFiles::read_folder(folder.path()).unwrap();
        let paths: Vec<_> = files.iter().map(|(path, _)| path.to_owned()).collect();
        assert_eq!(paths, ["111111111111/a.cedar", "111111111111/trust/b.cedar"]);

        std::os::unix::fs::symlink("/etc/passwd", at("111111111111/link.cedar")).unwrap();
        let refused = PolicyFiles::read_folder(folder.path()).unwrap_err();
        assert!(matches!(&refused, FilesError::NotRegular { path } if path == "111111111111/link.cedar"), "{refused}");
        fs::remove_file(at("111111111111/link.cedar")).unwrap();

        let socket = std::os::unix::net::UnixListener::bind(at("111111111111/s.cedar")).unwrap();
        assert!(matches!(PolicyFiles::read_folder(folder.path()), Err(FilesError::NotRegular { .. })));
        drop(socket);
        fs::remove_file(at("111111111111/s.cedar")).unwrap();

        let name = std::ffi::OsStr::from_bytes(b"\xff.cedar");
        fs::write(folder.path().join(name), "x").unwrap();
        let refused = PolicyFiles::read_folder(folder.path()).unwrap_err();
        assert!(matches!(&refused, FilesError::BadName { path } if path == "\\xff.cedar"), "{refused}");
        assert!(PolicyFiles::read_folder(&at("nowhere")).is_err());
    }
}
