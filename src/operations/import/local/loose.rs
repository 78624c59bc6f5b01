//! Loose objects: one zlib stream a file, `KIND SIZE NUL DATA`; here they become entries of a pack, piece by piece.
//!
//! What a file is named is not believed: the object's id is computed from its data when it is taken in.

use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;

use super::pack_files::PackFile;
use super::{LocalError, metadata, open_file, shown};
use crate::names::ObjectId;
use crate::repository::object::ObjectKind;
use crate::repository::pack::entry::{EntryHeader, EntryKind};
use crate::repository::pack::oid_hash::{RawId, raw};

/// The loose objects of a repository that are in none of its packs.
pub(super) struct LooseObjects {
    folder: PathBuf,
    /// In reverse order; taken from the end.
    left: Vec<RawId>,
}

impl LooseObjects {
    /// Lists them.
    pub(super) fn list(folder: &Path, packs: &[PackFile], max_objects: u32) -> Result<LooseObjects, LocalError> {
        let folder = folder.join("objects");
        let mut left = Vec::new();
        for first in (0..=255u8).rev() {
            let path = folder.join(format!("{first:02x}"));
            match metadata(&path)? {
                Some(found) if found.is_dir() => {}
                Some(_) => return Err(LocalError::damaged(&path, "it is not a folder")),
                None => continue,
            }
            for entry in path.read_dir().map_err(|source| LocalError::read(&path, source))? {
                let name = entry.map_err(|source| LocalError::read(&path, source))?.file_name();
                // Besides objects there are files that are still being written.
                let hex = format!("{first:02x}{}", name.to_string_lossy());
                let Some(id) = ObjectId::from_hex(hex.as_bytes()).ok().filter(|_| hex.len() == 40) else { continue };
                let id = raw(&id);
                let mut is_packed = false;
                for pack in packs {
                    is_packed = is_packed || pack.contains(&id)?;
                }
                if is_packed {
                    continue;
                }
                if left.len() as u64 == u64::from(max_objects) {
                    let limit = max_objects.into();
                    return Err(LocalError::TooMany { path: shown(&folder), what: "loose objects", limit });
                }
                left.push(id);
            }
        }
        Ok(LooseObjects { folder, left })
    }

    /// How many are left.
    pub(super) fn len(&self) -> usize {
        self.left.len()
    }

    /// Where the next one lies.
    pub(super) fn next_path(&mut self) -> Option<PathBuf> {
        let hex = ObjectId::from(self.left.pop()?).to_string();
        Some(self.folder.join(&hex[..2]).join(&hex[2..]))
    }
}

/// One loose object on its way into a pack.
pub(super) struct LooseEncoder {
    path: PathBuf,
    input: ZlibDecoder<BufReader<std::fs::File>>,
    /// Gone when the object is whole.
    output: Option<ZlibEncoder<Vec<u8>>>,
    left: u64,
}

impl LooseEncoder {
    /// Opens an object and appends its entry's header.
    pub(super) fn open(path: PathBuf, out: &mut Vec<u8>) -> Result<LooseEncoder, LocalError> {
        let mut input = ZlibDecoder::new(BufReader::with_capacity(1 << 16, open_file(&path)?));
        let mut header = Vec::new();
        let mut byte = [0];
        // A kind of six letters, a space, twenty digits.
        while header.len() < 32 {
            input.read_exact(&mut byte).map_err(|source| LocalError::read(&path, source))?;
            if byte[0] == 0 {
                break;
            }
            header.push(byte[0]);
        }
        let (kind, left) = parse(&header).ok_or_else(|| LocalError::damaged(&path, "it is not an object"))?;
        EntryHeader::write(&EntryKind::Whole(kind), left, out);
        let output = Some(ZlibEncoder::new(Vec::new(), Compression::default()));
        Ok(LooseEncoder { path, input, output, left })
    }

    /// Appends the next bytes of the entry, from about `max_bytes` of data; false if it was whole already. Never appends
    /// nothing but then.
    pub(super) fn step(&mut self, out: &mut Vec<u8>, max_bytes: usize) -> Result<bool, LocalError> {
        let Some(mut output) = self.output.take() else { return Ok(false) };
        let failed = |source| LocalError::read(&self.path, source);
        let n =
            io::copy(&mut self.input.by_ref().take(self.left.min(max_bytes as u64)), &mut output).map_err(failed)?;
        self.left -= n;
        if self.left == 0 {
            // There is nothing after the stated size; reading on also checks the stream's own checksum.
            if self.input.read(&mut [0]).map_err(failed)? != 0 {
                return Err(LocalError::damaged(&self.path, "it is larger than it says"));
            }
            out.append(&mut output.finish().map_err(failed)?);
        } else if n == 0 {
            return Err(LocalError::damaged(&self.path, "it is smaller than it says"));
        } else {
            output.flush().map_err(failed)?;
            out.append(output.get_mut());
            self.output = Some(output);
        }
        Ok(true)
    }
}

fn parse(header: &[u8]) -> Option<(ObjectKind, u64)> {
    let space = header.iter().position(|b| *b == b' ')?;
    let (kind, digits) = (ObjectKind::from_name(&header[..space])?, &header[space + 1..]);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) || (digits.len() > 1 && digits[0] == b'0') {
        return None;
    }
    let size: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    i64::try_from(size).ok()?;
    Some((kind, size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_strict() {
        assert_eq!(parse(b"blob 12"), Some((ObjectKind::Blob, 12)));
        assert_eq!(parse(b"tree 0"), Some((ObjectKind::Tree, 0)));
        for bad in ["blob", "blob ", "blob 012", "blob -1", "blob +1", "blob 1 ", "blub 1", "blob 99999999999999999999"]
        {
            assert_eq!(parse(bad.as_bytes()), None, "{bad}");
        }
    }
}
