//! Tar as `git archive` writes it: ustar headers, pax records where a value does not fit, blocks of 10 KiB.

use std::io::{self, Write};

use super::{ArchiveRequest, Entry, EntryWriter};
use crate::repository::object::EntryKind;

const RECORD: usize = 512;
const BLOCK: u64 = 20 * RECORD as u64;

/// The largest number of eleven octal digits.
const MAX_OCTAL: u64 = 0o77_777_777_777;

/// Writes one tar.
pub(super) struct TarWriter<W> {
    out: W,
    n_written: u64,
    mtime: u64,
}

impl<W: Write> TarWriter<W> {
    /// Begins with the global header: the commit's id, as a comment.
    pub(super) fn new(out: W, request: &ArchiveRequest) -> io::Result<TarWriter<W>> {
        let mut tar = TarWriter { out, n_written: 0, mtime: request.mtime.min(MAX_OCTAL) };
        let mut records = Vec::new();
        if let Some(commit) = request.commit {
            push_pax(&mut records, "comment", commit.to_string().as_bytes());
        }
        if request.mtime > MAX_OCTAL {
            push_pax(&mut records, "mtime", request.mtime.to_string().as_bytes());
        }
        if !records.is_empty() {
            let header = Header::new(b'g', 0o666, records.len() as u64, tar.mtime).name(b"pax_global_header");
            tar.write_padded(&header.finish())?;
            tar.write_padded(&records)?;
        }
        Ok(tar)
    }

    fn write_padded(&mut self, data: &[u8]) -> io::Result<()> {
        self.out.write_all(data)?;
        let padding = data.len().next_multiple_of(RECORD) - data.len();
        self.out.write_all(&[0; RECORD][..padding])?;
        self.n_written += (data.len() + padding) as u64;
        Ok(())
    }
}

impl<W: Write> EntryWriter for TarWriter<W> {
    type Out = W;

    fn entry(&mut self, entry: &Entry<'_>) -> io::Result<()> {
        // Git's usual umask here is 002.
        let (type_flag, mode) = match entry.kind {
            EntryKind::Tree | EntryKind::Submodule => (b'5', 0o775),
            EntryKind::Link => (b'2', 0o777),
            EntryKind::File if entry.is_executable => (b'0', 0o775),
            EntryKind::File => (b'0', 0o664),
        };
        let size = if entry.kind == EntryKind::File { entry.data.len() as u64 } else { 0 };
        let mut records = Vec::new();
        let mut header = Header::new(type_flag, mode, if size > MAX_OCTAL { 0 } else { size }, self.mtime);
        let path = entry.path;
        header = if path.len() <= NAME_MAX {
            header.name(path)
        } else {
            let split = prefix_len(path);
            let rest = path.len() - split - 1;
            if split > 0 && rest <= NAME_MAX {
                header.prefix(&path[..split]).name(&path[split + 1..])
            } else {
                push_pax(&mut records, "path", path);
                header.name(format!("{}.data", entry.id.to_hex()).as_bytes())
            }
        };
        if entry.kind == EntryKind::Link {
            header = if entry.data.len() <= NAME_MAX {
                header.link(entry.data)
            } else {
                push_pax(&mut records, "linkpath", entry.data);
                header.link(format!("see {}.paxheader", entry.id.to_hex()).as_bytes())
            };
        }
        if size > MAX_OCTAL {
            push_pax(&mut records, "size", size.to_string().as_bytes());
        }
        if !records.is_empty() {
            let name = format!("{}.paxheader", entry.id.to_hex());
            let extended = Header::new(b'x', 0o666, records.len() as u64, self.mtime).name(name.as_bytes());
            self.write_padded(&extended.finish())?;
            self.write_padded(&records)?;
        }
        self.write_padded(&header.finish())?;
        if entry.kind == EntryKind::File {
            self.write_padded(entry.data)?;
        }
        Ok(())
    }

    /// Two empty records, and as many more as fill the block.
    fn finish(mut self) -> io::Result<W> {
        let end = (self.n_written + 2 * RECORD as u64).next_multiple_of(BLOCK);
        while self.n_written < end {
            self.write_padded(&[0; RECORD])?;
        }
        Ok(self.out)
    }
}

/// Longest name and link target in a header, in bytes.
const NAME_MAX: usize = 100;
/// Longest prefix in a header, in bytes.
const PREFIX_MAX: usize = 155;

/// How much of a long path goes into the prefix: up to the last `/` that lets it fit, a `/` at the end not counted.
fn prefix_len(path: &[u8]) -> usize {
    let mut i = path.len();
    if i > 1 && path[i - 1] == b'/' {
        i -= 1;
    }
    memchr::memrchr(b'/', &path[..i.min(PREFIX_MAX)]).unwrap_or(0)
}

/// A pax record, `LENGTH KEY=VALUE` and a line feed; the length counts its own digits.
fn push_pax(records: &mut Vec<u8>, key: &str, value: &[u8]) {
    let without_digits = key.len() + value.len() + 3;
    let mut len = without_digits + 1;
    while without_digits + len.to_string().len() > len {
        len += 1;
    }
    records.extend(format!("{len} {key}=").bytes());
    records.extend(value);
    records.push(b'\n');
}

/// A ustar header.
struct Header([u8; RECORD]);

impl Header {
    fn new(type_flag: u8, mode: u32, size: u64, mtime: u64) -> Header {
        let mut header = Header([0; RECORD]);
        header.put(100, format!("{mode:07o}").as_bytes());
        header.put(108, b"0000000");
        header.put(116, b"0000000");
        header.put(124, format!("{size:011o}").as_bytes());
        header.put(136, format!("{mtime:011o}").as_bytes());
        header.put(156, &[type_flag]);
        header.put(257, b"ustar\x0000");
        header.put(265, b"root");
        header.put(297, b"root");
        header.put(329, b"0000000");
        header.put(337, b"0000000");
        header
    }

    fn name(mut self, name: &[u8]) -> Header {
        self.put(0, name);
        self
    }

    fn link(mut self, target: &[u8]) -> Header {
        self.put(157, target);
        self
    }

    fn prefix(mut self, prefix: &[u8]) -> Header {
        self.put(345, prefix);
        self
    }

    fn put(&mut self, at: usize, text: &[u8]) {
        self.0[at..at + text.len()].copy_from_slice(text);
    }

    /// With the checksum, for which its own field counts as spaces.
    fn finish(mut self) -> [u8; RECORD] {
        self.put(148, b"        ");
        let sum: u32 = self.0.iter().map(|b| u32::from(*b)).sum();
        self.put(148, format!("{sum:07o}\0").as_bytes());
        self.0
    }
}
