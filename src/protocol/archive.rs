//! `git archive --remote`: the arguments a client sends to git-upload-archive, and the framing of the answer.
//! (Git's `builtin/upload-archive.c` and `archive.c`; there is no specification.)
//!
//! The client passes on its own command line, so this is a command line from outside: every option not named here is
//! refused, never passed over (attack checklist A1).

use std::io::{self, Read, Write};

use super::errors::{PeerError, ProtocolError, one_line, shown};
use super::pkt_line::{Packet, PktReader, write_flush, write_line};
use super::sideband::{Sideband, SidebandWriter};

/// Most arguments, as in Git.
const MAX_ARGUMENTS: usize = 64;
/// Most bytes in one argument.
const MAX_ARGUMENT_BYTES: usize = 4096;

/// What a client of git-upload-archive asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ArchiveRequest {
    /// `--list`: the names of the formats, one a line, on band 1.
    List,
    /// An archive, on band 1.
    Archive(Archive),
}

/// An archive to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archive {
    /// How it is packed; tar if the client does not say.
    pub format: ArchiveFormat,
    /// Put before each path; empty, or relative without `.` or `..` as a part.
    pub prefix: Vec<u8>,
    /// What to archive, as the client wrote it: to be resolved among the refs and objects that it may see.
    pub tree_ish: Vec<u8>,
    /// Files and folders to keep, relative to the tree, without a slash at the end; none means all.
    pub paths: Vec<Vec<u8>>,
    /// 0 (store) to 9 (best); `None` leaves it to the server.
    pub level: Option<u8>,
}

/// A kind of archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArchiveFormat {
    /// `tar`.
    Tar,
    /// `tgz` or `tar.gz`.
    TarGz,
    /// `zip`.
    Zip,
}

impl ArchiveFormat {
    /// The formats' names as `git archive --list` shows them.
    pub const NAMES: [&'static str; 4] = ["tar", "tgz", "tar.gz", "zip"];

    fn parse(name: &[u8]) -> Option<ArchiveFormat> {
        match name {
            b"tar" => Some(ArchiveFormat::Tar),
            b"tgz" | b"tar.gz" => Some(ArchiveFormat::TarGz),
            b"zip" => Some(ArchiveFormat::Zip),
            _ => None,
        }
    }
}

impl ArchiveRequest {
    /// Reads `argument X` packets up to the flush and parses them.
    pub fn read(reader: &mut PktReader<impl Read>) -> Result<ArchiveRequest, ProtocolError> {
        let mut arguments = Vec::new();
        loop {
            match reader.next_packet()? {
                Packet::Flush => return Ok(ArchiveRequest::parse(&arguments)?),
                packet => {
                    let Some(argument) = packet.line().and_then(|line| line.strip_prefix(b"argument ")) else {
                        return Err(PeerError::unexpected("`argument` or a flush", packet.as_shown()).into());
                    };
                    if arguments.len() == MAX_ARGUMENTS {
                        return Err(PeerError::TooMany { what: "arguments", max: MAX_ARGUMENTS }.into());
                    }
                    if argument.len() > MAX_ARGUMENT_BYTES {
                        return Err(PeerError::TooLong { what: "an argument", max: MAX_ARGUMENT_BYTES }.into());
                    }
                    arguments.push(argument.to_vec());
                }
            }
        }
    }

    /// Parses the arguments of `git archive`. Of an option given twice the last counts: the client puts the format
    /// that it derives from `--output` in front of what its user wrote.
    pub fn parse(arguments: &[Vec<u8>]) -> Result<ArchiveRequest, PeerError> {
        let mut format = ArchiveFormat::Tar;
        let mut prefix = Vec::new();
        let mut level = None;
        let mut list = false;
        let mut words: Vec<&[u8]> = Vec::new();
        let mut options_are_over = false;
        let mut rest = arguments.iter().map(Vec::as_slice);
        while let Some(argument) = rest.next() {
            if argument.contains(&0) {
                return Err(refused(argument, "it holds a NUL"));
            }
            if options_are_over || !argument.starts_with(b"-") || argument == b"-" {
                words.push(argument);
                continue;
            }
            let (name, mut value) = match argument.iter().position(|b| *b == b'=') {
                Some(at) if argument.starts_with(b"--") => (&argument[..at], Some(&argument[at + 1..])),
                _ => (argument, None),
            };
            if matches!(name, b"--format" | b"--prefix") && value.is_none() {
                value = rest.next();
            }
            match (name, value) {
                (b"--", None) => options_are_over = true,
                (b"--format", Some(name)) => {
                    format = ArchiveFormat::parse(name).ok_or_else(|| refused(name, "unknown archive format"))?;
                }
                (b"--prefix", Some(value)) => prefix = checked_prefix(value)?.to_vec(),
                (b"-l" | b"--list", None) => list = true,
                (b"-v" | b"--verbose", None) => {}
                ([b'-', digit @ b'0'..=b'9'], None) => level = Some(digit - b'0'),
                _ => return Err(refused(argument, "this option is not supported by a remote archive")),
            }
        }
        if list {
            return Ok(ArchiveRequest::List);
        }
        let Some((tree_ish, paths)) = words.split_first() else {
            return Err(refused(b"", "must specify tree-ish"));
        };
        if tree_ish.is_empty() || tree_ish.starts_with(b"-") {
            return Err(refused(tree_ish, "not a valid tree-ish"));
        }
        let paths = paths.iter().map(|path| checked_path(path)).collect::<Result<_, _>>()?;
        Ok(ArchiveRequest::Archive(Archive { format, prefix, tree_ish: tree_ish.to_vec(), paths, level }))
    }
}

/// Accepts the request: `ACK`, a flush, and the sidebands on which the archive goes (band 1), messages (2) or the reason
/// why it breaks off (3). Ends with [`SidebandWriter::finish`].
pub fn accept<W: Write>(mut out: W) -> io::Result<SidebandWriter<W>> {
    write_line(&mut out, b"ACK")?;
    write_flush(&mut out)?;
    Ok(SidebandWriter::new(out, Sideband::Large))
}

/// Refuses the request before it is accepted; the client shows `reason`.
pub fn refuse(out: &mut impl Write, reason: &str) -> io::Result<()> {
    write_line(out, format!("NACK {}", one_line(reason)).as_bytes())?;
    write_flush(out)
}

/// A prefix that keeps what is unpacked below the folder where it is unpacked (attack checklist A8).
fn checked_prefix(prefix: &[u8]) -> Result<&[u8], PeerError> {
    let leaves =
        prefix.starts_with(b"/") || prefix.contains(&b'\\') || prefix.split(|b| *b == b'/').any(|part| part == b"..");
    let is_odd =
        prefix.iter().any(|b| *b < 0x20 || *b == 0x7f) || prefix.split(|b| *b == b'/').any(|part| part == b".");
    if leaves || is_odd { Err(refused(prefix, "not a prefix below the current folder")) } else { Ok(prefix) }
}

/// A path of the tree without its slash at the end. Git takes patterns here; only plain paths are taken, so that the
/// work is a look-up.
fn checked_path(path: &[u8]) -> Result<Vec<u8>, PeerError> {
    if path.starts_with(b":") || path.iter().any(|b| b"*?[\\".contains(b)) {
        return Err(refused(path, "only plain paths are supported, no patterns"));
    }
    let path = path.strip_suffix(b"/").unwrap_or(path);
    if path.split(|b| *b == b'/').any(|part| part.is_empty() || part == b"." || part == b"..") {
        return Err(refused(path, "not a path within the tree"));
    }
    Ok(path.to_vec())
}

fn refused(argument: &[u8], reason: &'static str) -> PeerError {
    PeerError::ArchiveArgument { got: shown(argument), reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<ArchiveRequest, PeerError> {
        ArchiveRequest::parse(&arguments.iter().map(|argument| argument.as_bytes().to_vec()).collect::<Vec<_>>())
    }

    fn archive(
        format: ArchiveFormat,
        prefix: &str,
        tree_ish: &str,
        paths: &[&str],
        level: Option<u8>,
    ) -> ArchiveRequest {
        ArchiveRequest::Archive(Archive {
            format,
            prefix: prefix.into(),
            tree_ish: tree_ish.into(),
            paths: paths.iter().map(|path| path.as_bytes().to_vec()).collect(),
            level,
        })
    }

    #[test]
    fn what_is_taken() {
        for (arguments, expected) in [
            (&["HEAD"][..], archive(ArchiveFormat::Tar, "", "HEAD", &[], None)),
            (
                &["--format=zip", "-9", "v1", "src", "docs/"],
                archive(ArchiveFormat::Zip, "", "v1", &["src", "docs"], Some(9)),
            ),
            (
                &["--format=tar", "--format", "tgz", "--prefix=a-1/", "main"],
                archive(ArchiveFormat::TarGz, "a-1/", "main", &[], None),
            ),
            (&["-v", "-0", "--", "main", "-x"], archive(ArchiveFormat::Tar, "", "main", &["-x"], Some(0))),
            (&["--list"], ArchiveRequest::List),
            (&["-l"], ArchiveRequest::List),
        ] {
            assert_eq!(parse(arguments).unwrap(), expected, "{arguments:?}");
        }
    }

    // A1 A8
    #[test]
    fn what_is_refused() {
        for arguments in [
            &[][..],
            &["--format=rar", "HEAD"],
            &["--format"],
            &["--output=/tmp/x", "HEAD"],
            &["-o", "x", "HEAD"],
            &["--exec=touch x", "HEAD"],
            &["--remote=x", "HEAD"],
            &["--add-file=/etc/passwd", "HEAD"],
            &["--worktree-attributes", "HEAD"],
            &["--mtime=now", "HEAD"],
            &["-10", "HEAD"],
            &["--list=x"],
            &["--", "--exec=x"],
            &["--prefix=../x/", "HEAD"],
            &["--prefix=/x/", "HEAD"],
            &["--prefix=a/../../x", "HEAD"],
            &["--prefix=a\n", "HEAD"],
            &["HEAD", "../x"],
            &["HEAD", "*.c"],
            &["HEAD", ":(glob)x"],
            &["HEAD", "a//b"],
            &["HEAD", ""],
            &["HE\0AD"],
            &[""],
        ] {
            assert!(matches!(parse(arguments), Err(PeerError::ArchiveArgument { .. })), "{arguments:?}");
        }
    }

    #[test]
    fn on_the_wire() {
        let mut reader = PktReader::new(&b"001dargument --format=tar.gz\n0012argument HEAD\n0000"[..]);
        let expected = archive(ArchiveFormat::TarGz, "", "HEAD", &[], None);
        assert_eq!(ArchiveRequest::read(&mut reader).unwrap(), expected);
        for wire in [&b"0012argument HEAD\n"[..], b"0012argument HEAD\n0001", b"0009xrgum0000"] {
            assert!(ArchiveRequest::read(&mut PktReader::new(wire)).is_err(), "{wire:?}");
        }
        let many = format!("{}0000", "000eargument x".repeat(65));
        assert!(ArchiveRequest::read(&mut PktReader::new(many.as_bytes())).is_err());

        let mut bands = accept(Vec::new()).unwrap();
        bands.write_all(b"tar").unwrap();
        assert_eq!(bands.finish().unwrap(), b"0008ACK\n00000008\x01tar0000");
        let mut out = Vec::new();
        refuse(&mut out, "no\nsuch").unwrap();
        assert_eq!(out, b"0012NACK no\\nsuch\n0000");
    }
}
