//! The client's side of upload-pack, as much as an import needs: what the remote has, and all of it as one pack. Sans-I/O:
//! writes requests into byte vectors, reads answers from a reader. Versions 2 and 0 (gitprotocol-v2, gitprotocol-pack).

use std::io::{self, Read};

use super::capabilities::CapabilityList;
use super::errors::{PeerError, ProtocolError};
use super::pkt_line::{Packet, PktReader, write_delim, write_flush, write_line};
use super::upload_pack::parse_oid;
use crate::names::{ObjectId, escape_for_people};

/// A ref of the remote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteRef {
    /// Its name as sent; not yet checked.
    pub name: Vec<u8>,
    /// What it points at.
    pub id: ObjectId,
    /// For HEAD, the branch that it names.
    pub target: Option<Vec<u8>>,
}

/// What the remote said first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Greeting {
    /// Version 2: refs have to be asked for.
    V2,
    /// Version 0 or 1: here they are.
    V0(Vec<RemoteRef>),
}

/// Most refs that are taken.
const MAX_REFS: usize = 2_000_000;

/// Reads what the remote says first; over HTTP a `# service` line may stand before it.
pub fn read_greeting(reader: &mut PktReader<impl Read>) -> Result<Greeting, ProtocolError> {
    let mut refs = Vec::new();
    let mut symrefs: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    let mut is_first = true;
    loop {
        let packet = reader.next_packet()?;
        let Some(line) = packet.line() else {
            if packet != Packet::Flush {
                return Err(PeerError::unexpected("a ref or a flush", packet.as_shown()).into());
            }
            if is_first {
                // The flush behind `# service`.
                is_first = false;
                continue;
            }
            break;
        };
        if line.starts_with(b"# service=") || line == b"version 1" {
            continue;
        }
        if let Some(message) = line.strip_prefix(b"ERR ") {
            return Err(refused(message));
        }
        is_first = false;
        if line == b"version 2" {
            while reader.next_packet()? != Packet::Flush {}
            return Ok(Greeting::V2);
        }
        let (line, list) = match line.iter().position(|byte| *byte == 0) {
            Some(at) => (&line[..at], Some(CapabilityList::parse(&line[at + 1..])?)),
            None => (line, None),
        };
        if let Some(list) = list {
            list.check_object_format()?;
            if let Some(value) = list.value("symref")
                && let Some(at) = value.iter().position(|byte| *byte == b':')
            {
                symrefs.push((value[..at].to_vec(), value[at + 1..].to_vec()));
            }
        }
        let (id, name) = split_ref(line)?;
        if name == b"capabilities^{}" || name.ends_with(b"^{}") {
            continue;
        }
        push(&mut refs, RemoteRef { name: name.to_vec(), id, target: None })?;
    }
    for found in &mut refs {
        found.target = symrefs.iter().find(|(name, _)| *name == found.name).map(|(_, target)| target.clone());
    }
    Ok(Greeting::V0(refs))
}

/// A request of version 2 for all refs.
pub fn ls_refs_request(agent: &str) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    write_line(&mut out, b"command=ls-refs")?;
    write_line(&mut out, format!("agent={agent}").as_bytes())?;
    write_line(&mut out, b"object-format=sha1")?;
    write_delim(&mut out)?;
    write_line(&mut out, b"symrefs")?;
    write_flush(&mut out)?;
    Ok(out)
}

/// Reads the answer to [`ls_refs_request`].
pub fn read_ls_refs(reader: &mut PktReader<impl Read>) -> Result<Vec<RemoteRef>, ProtocolError> {
    let mut refs = Vec::new();
    loop {
        let packet = reader.next_packet()?;
        let Some(line) = packet.line() else {
            if packet == Packet::Flush {
                return Ok(refs);
            }
            return Err(PeerError::unexpected("a ref or a flush", packet.as_shown()).into());
        };
        if let Some(message) = line.strip_prefix(b"ERR ") {
            return Err(refused(message));
        }
        let (id, rest) = split_ref(line)?;
        let mut words = rest.split(|byte| *byte == b' ');
        let name = words.next().unwrap_or_default().to_vec();
        let target = words.find_map(|word| word.strip_prefix(b"symref-target:")).map(<[u8]>::to_vec);
        push(&mut refs, RemoteRef { name, id, target })?;
    }
}

/// A request for everything that `wants` reach.
pub fn fetch_request(v2: bool, wants: &[ObjectId], agent: &str) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    if v2 {
        write_line(&mut out, b"command=fetch")?;
        write_line(&mut out, format!("agent={agent}").as_bytes())?;
        write_line(&mut out, b"object-format=sha1")?;
        write_delim(&mut out)?;
        write_line(&mut out, b"ofs-delta")?;
        for want in wants {
            write_line(&mut out, format!("want {want}").as_bytes())?;
        }
        write_line(&mut out, b"done")?;
        write_flush(&mut out)?;
    } else {
        for (i, want) in wants.iter().enumerate() {
            let capabilities = if i == 0 { format!(" side-band-64k ofs-delta agent={agent}") } else { String::new() };
            write_line(&mut out, format!("want {want}{capabilities}").as_bytes())?;
        }
        write_flush(&mut out)?;
        write_line(&mut out, b"done")?;
    }
    Ok(out)
}

/// Reads up to where the pack begins.
pub fn read_until_pack(reader: &mut PktReader<impl Read>, v2: bool) -> Result<(), ProtocolError> {
    loop {
        let packet = reader.next_packet()?;
        match packet.line() {
            Some(b"packfile") if v2 => return Ok(()),
            Some(b"NAK") if !v2 => return Ok(()),
            Some(line) if line.starts_with(b"ERR ") => return Err(refused(&line[4..])),
            Some(line) if !v2 => return Err(PeerError::unexpected("NAK", line).into()),
            None if packet == Packet::Flush => {
                return Err(PeerError::unexpected("the pack", packet.as_shown()).into());
            }
            _ => {}
        }
    }
}

/// The pack out of the side-bands; what the remote says for people goes to `progress`, escaped.
pub struct PackReader<'a, R> {
    reader: PktReader<R>,
    progress: &'a mut dyn FnMut(&str),
    rest: Vec<u8>,
    at: usize,
    ended: bool,
}

impl<'a, R: Read> PackReader<'a, R> {
    /// Over a reader that stands at the first side-band packet.
    pub fn new(reader: PktReader<R>, progress: &'a mut dyn FnMut(&str)) -> Self {
        PackReader { reader, progress, rest: Vec::new(), at: 0, ended: false }
    }
}

impl<R: Read> Read for PackReader<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.rest.len() && !self.ended {
            match self.reader.next_or_end().map_err(io::Error::other)? {
                None | Some(Packet::Flush) => self.ended = true,
                Some(Packet::Data([1, data @ ..])) => {
                    self.rest.clear();
                    self.rest.extend_from_slice(data);
                    self.at = 0;
                }
                Some(Packet::Data([2, text @ ..])) => {
                    for line in text.split(|byte| matches!(byte, b'\n' | b'\r')).filter(|line| !line.is_empty()) {
                        (self.progress)(&format!("remote: {}", escape_for_people(line, 500)));
                    }
                }
                Some(Packet::Data([3, text @ ..])) => {
                    return Err(io::Error::other(format!("the remote failed: {}", escape_for_people(text, 500))));
                }
                Some(_) => return Err(io::Error::other("the remote sent something else than a side-band packet")),
            }
        }
        let n = buffer.len().min(self.rest.len() - self.at);
        buffer[..n].copy_from_slice(&self.rest[self.at..self.at + n]);
        self.at += n;
        Ok(n)
    }
}

fn split_ref(line: &[u8]) -> Result<(ObjectId, &[u8]), ProtocolError> {
    let parsed = line.split_at_checked(40).and_then(|(id, rest)| Some((parse_oid(id)?, rest.strip_prefix(b" ")?)));
    parsed.ok_or_else(|| PeerError::unexpected("an object id and a ref name", line).into())
}

fn push(refs: &mut Vec<RemoteRef>, found: RemoteRef) -> Result<(), ProtocolError> {
    if refs.len() == MAX_REFS {
        return Err(PeerError::TooMany { what: "refs", max: MAX_REFS }.into());
    }
    refs.push(found);
    Ok(())
}

fn refused(message: &[u8]) -> ProtocolError {
    io::Error::other(format!("the remote refused: {}", escape_for_people(message, 500))).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_greetings_are_understood() {
        let one = "1".repeat(40);
        let v0 = format!(
            "001e# service=git-upload-pack\n0000{:04x}{one} HEAD\0symref=HEAD:refs/heads/main\n003d{one} refs/heads/main\n0000",
            4 + 45 + 1 + 27 + 1
        );
        let mut reader = PktReader::new(v0.as_bytes());
        let Greeting::V0(refs) = read_greeting(&mut reader).unwrap() else { panic!() };
        assert_eq!(refs.len(), 2);
        assert_eq!(refs[0].target.as_deref(), Some(&b"refs/heads/main"[..]));
        let v2 = "000eversion 2\n0013ls-refs=unborn\n0000";
        assert_eq!(read_greeting(&mut PktReader::new(v2.as_bytes())).unwrap(), Greeting::V2);
        assert!(read_greeting(&mut PktReader::new(&b"000fERR no such"[..])).is_err());
    }
}
