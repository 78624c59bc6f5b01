//! The client's side of git-upload-pack, versions 0 to 2, as far as a whole clone needs it: read what the other server
//! has, ask for all of it in one request, take the pack out of the sidebands. (gitprotocol-pack, gitprotocol-v2)
//!
//! The other server is as untrusted as any client: lengths and counts are checked before memory is spent, and what it
//! says to people is given out raw, to be escaped by whoever shows it.

use std::io::{self, Read, Write};

use super::errors::{PeerError, ProtocolError, one_line, shown};
use super::pkt_line::{self, Packet, PktReader};
use crate::names::ObjectId;

/// Most refs that an advertisement may have.
pub const MAX_REFS: usize = 1_000_000;
/// Most bytes of the names of all refs together.
const MAX_NAME_BYTES: usize = 256 << 20;
/// Most lines in a list of capabilities, or lines of other sections before the pack.
const MAX_LINES: usize = 10_000;

/// Why a fetch failed.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The other server broke the protocol, or the connection broke.
    #[error("the other server does not follow the Git protocol")]
    Protocol(#[source] ProtocolError),
    /// It refused, in its own words, which are escaped and cut.
    #[error("the other server refused: {0}")]
    Remote(String),
    /// Its history is cut off, and a repository made from it would be broken.
    #[error("the repository there is shallow: its history is cut off")]
    Shallow,
    /// It lacks something without which a clone cannot be made.
    #[error("the other server does not offer {0}")]
    NotOffered(&'static str),
}

impl From<ProtocolError> for FetchError {
    fn from(error: ProtocolError) -> FetchError {
        FetchError::Protocol(error)
    }
}

impl From<PeerError> for FetchError {
    fn from(error: PeerError) -> FetchError {
        FetchError::Protocol(error.into())
    }
}

/// A ref of the other server, as it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteRef {
    /// Its full name, unchecked.
    pub name: Vec<u8>,
    /// What it points at.
    pub id: ObjectId,
}

/// All refs of the other server.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RemoteRefs {
    /// The refs without HEAD, in its order.
    pub refs: Vec<RemoteRef>,
    /// The branch that HEAD names, unchecked, where it says.
    pub head_target: Option<Vec<u8>>,
    /// What HEAD resolves to.
    pub head_id: Option<ObjectId>,
    name_bytes: usize,
    n_lines: usize,
}

impl RemoteRefs {
    fn add(&mut self, name: &[u8], id: ObjectId) -> Result<(), PeerError> {
        // Each ref may have a second line.
        self.n_lines += 1;
        if self.n_lines > 2 * MAX_REFS + 2 {
            return Err(PeerError::TooMany { what: "refs", max: MAX_REFS });
        }
        // The object that a tag leads to is found out from the tag itself.
        if name == b"HEAD" {
            self.head_id = Some(id);
            return Ok(());
        }
        if name.ends_with(b"^{}") {
            return Ok(());
        }
        self.name_bytes += name.len();
        if self.refs.len() == MAX_REFS {
            return Err(PeerError::TooMany { what: "refs", max: MAX_REFS });
        }
        if self.name_bytes > MAX_NAME_BYTES {
            return Err(PeerError::TooLong { what: "the list of refs", max: MAX_NAME_BYTES });
        }
        self.refs.push(RemoteRef { name: name.to_vec(), id });
        Ok(())
    }
}

/// Which words the fetch is made in, settled by the advertisement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Versions 0 and 1.
    V0 {
        /// The server packs data and messages into packets.
        sideband: bool,
        /// Deltas may name their base by its distance.
        ofs_delta: bool,
    },
    /// Version 2.
    V2 {
        /// The server says what HEAD names even if that branch does not exist.
        unborn: bool,
    },
}

/// What the other server began with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advertisement {
    /// How to go on.
    pub dialect: Dialect,
    /// The refs; in version 2 they are to be asked for with [`write_ls_refs`].
    pub refs: Option<RemoteRefs>,
}

/// Reads the advertisement. The `# service=` line, which HTTP may put before it, is passed over.
pub fn read_advertisement<R: Read>(input: &mut PktReader<R>) -> Result<Advertisement, FetchError> {
    let mut line = first_line(input)?;
    if line.starts_with(b"# service=") {
        if line != b"# service=git-upload-pack" {
            return Err(PeerError::unexpected("the service git-upload-pack", &line).into());
        }
        match input.next_packet()? {
            Packet::Flush => line = first_line(input)?,
            other => return Err(PeerError::unexpected("a flush", other.as_shown()).into()),
        }
    }
    match &line[..] {
        b"version 2" => read_capabilities(input),
        b"version 1" => {
            line = first_line(input)?;
            read_refs_v0(input, line)
        }
        _ => read_refs_v0(input, line),
    }
}

/// The next packet's line; a lone flush is the advertisement of an empty repository by old servers.
fn first_line<R: Read>(input: &mut PktReader<R>) -> Result<Vec<u8>, FetchError> {
    match input.next_packet()? {
        Packet::Flush => Ok(Vec::new()),
        packet => text(packet, "a line of the advertisement").map(<[u8]>::to_vec),
    }
}

/// A packet's line; an `ERR` line is what the server says last.
fn text<'a>(packet: Packet<'a>, expected: &'static str) -> Result<&'a [u8], FetchError> {
    let line = packet.line().ok_or_else(|| PeerError::unexpected(expected, packet.as_shown()))?;
    match line.strip_prefix(b"ERR ") {
        Some(message) => Err(FetchError::Remote(one_line(&String::from_utf8_lossy(message)))),
        None => Ok(line),
    }
}

fn read_capabilities<R: Read>(input: &mut PktReader<R>) -> Result<Advertisement, FetchError> {
    let (mut has_ls_refs, mut has_fetch, mut unborn) = (false, false, false);
    for _ in 0..MAX_LINES {
        let packet = input.next_packet()?;
        if packet == Packet::Flush {
            if !has_ls_refs || !has_fetch {
                return Err(FetchError::NotOffered("ls-refs and fetch"));
            }
            return Ok(Advertisement { dialect: Dialect::V2 { unborn }, refs: None });
        }
        let line = text(packet, "a capability")?;
        let (key, value) = match line.iter().position(|b| *b == b'=') {
            Some(at) => (&line[..at], &line[at + 1..]),
            None => (line, &b""[..]),
        };
        match key {
            b"ls-refs" => {
                has_ls_refs = true;
                unborn = value.split(|b| *b == b' ').any(|word| word == b"unborn");
            }
            b"fetch" => has_fetch = true,
            b"object-format" if value != b"sha1" => {
                return Err(PeerError::ObjectFormat { got: shown(value) }.into());
            }
            _ => {}
        }
    }
    Err(PeerError::TooMany { what: "capabilities", max: MAX_LINES }.into())
}

fn read_refs_v0<R: Read>(input: &mut PktReader<R>, first: Vec<u8>) -> Result<Advertisement, FetchError> {
    let mut refs = RemoteRefs::default();
    let (mut sideband, mut ofs_delta) = (false, false);
    if first.is_empty() {
        return Ok(Advertisement { dialect: Dialect::V0 { sideband, ofs_delta }, refs: Some(refs) });
    }
    let nul = first.iter().position(|b| *b == 0);
    let (first, capabilities) = match nul {
        Some(at) => (&first[..at], &first[at + 1..]),
        None => (&first[..], &b""[..]),
    };
    for word in capabilities.split(|b| *b == b' ') {
        if let Some(target) = word.strip_prefix(b"symref=HEAD:") {
            refs.head_target = Some(target.to_vec());
        } else if let Some(format) = word.strip_prefix(b"object-format=")
            && format != b"sha1"
        {
            return Err(PeerError::ObjectFormat { got: shown(format) }.into());
        }
        sideband |= word == b"side-band-64k";
        ofs_delta |= word == b"ofs-delta";
    }
    let (id, name) = parse_ref(first)?;
    if name != b"capabilities^{}" {
        refs.add(name, id)?;
    }
    loop {
        let packet = input.next_packet()?;
        if packet == Packet::Flush {
            return Ok(Advertisement { dialect: Dialect::V0 { sideband, ofs_delta }, refs: Some(refs) });
        }
        let line = text(packet, "a ref")?;
        if line.starts_with(b"shallow ") {
            return Err(FetchError::Shallow);
        }
        let (id, name) = parse_ref(line)?;
        refs.add(name, id)?;
    }
}

/// Parses `<id> <name>`.
fn parse_ref(line: &[u8]) -> Result<(ObjectId, &[u8]), PeerError> {
    let bad = || PeerError::unexpected("an object id and a ref", line);
    let (hex, rest) = line.split_at_checked(40).ok_or_else(bad)?;
    let name = rest.strip_prefix(b" ").ok_or_else(bad)?;
    if name.is_empty() {
        return Err(bad());
    }
    Ok((ObjectId::from_hex(hex).map_err(|_| bad())?, name))
}

/// Writes the version 2 request for all refs, HEAD and what it names.
pub fn write_ls_refs(out: &mut impl Write, agent: &str, unborn: bool) -> io::Result<()> {
    pkt_line::write_line(out, b"command=ls-refs")?;
    write_v2_head(out, agent)?;
    pkt_line::write_line(out, b"symrefs")?;
    if unborn {
        pkt_line::write_line(out, b"unborn")?;
    }
    pkt_line::write_flush(out)
}

fn write_v2_head(out: &mut impl Write, agent: &str) -> io::Result<()> {
    pkt_line::write_line(out, format!("agent={agent}").as_bytes())?;
    pkt_line::write_line(out, b"object-format=sha1")?;
    pkt_line::write_delim(out)
}

/// Reads the answer to [`write_ls_refs`].
pub fn read_ls_refs<R: Read>(input: &mut PktReader<R>) -> Result<RemoteRefs, FetchError> {
    let mut refs = RemoteRefs::default();
    loop {
        let packet = input.next_packet()?;
        if packet == Packet::Flush {
            return Ok(refs);
        }
        let line = text(packet, "a ref")?;
        let mut words = line.split(|b| *b == b' ');
        let (id, name) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        if name == b"HEAD" {
            refs.head_target = words.clone().find_map(|word| word.strip_prefix(b"symref-target:")).map(<[u8]>::to_vec);
        }
        if id == b"unborn" {
            refs.n_lines += 1;
            if refs.n_lines > MAX_REFS {
                return Err(PeerError::TooMany { what: "refs", max: MAX_REFS }.into());
            }
            continue;
        }
        if name.is_empty() {
            return Err(PeerError::unexpected("an object id and a ref", line).into());
        }
        let id = ObjectId::from_hex(id).ok().filter(|_| id.len() == 40);
        let id = id.ok_or_else(|| PeerError::unexpected("an object id and a ref", line))?;
        refs.add(name, id)?;
    }
}

/// Writes the request for everything that `wants`, which is not empty and names each object once, reach.
pub fn write_fetch(out: &mut impl Write, dialect: Dialect, agent: &str, wants: &[ObjectId]) -> io::Result<()> {
    match dialect {
        Dialect::V0 { sideband, ofs_delta } => {
            for (i, id) in wants.iter().enumerate() {
                let mut line = format!("want {id}");
                if i == 0 {
                    line.push_str(if sideband { " side-band-64k" } else { "" });
                    line.push_str(if ofs_delta { " ofs-delta" } else { "" });
                    line.push_str(&format!(" agent={agent}"));
                }
                pkt_line::write_line(out, line.as_bytes())?;
            }
            pkt_line::write_flush(out)?;
            pkt_line::write_line(out, b"done")
        }
        Dialect::V2 { .. } => {
            pkt_line::write_line(out, b"command=fetch")?;
            write_v2_head(out, agent)?;
            pkt_line::write_line(out, b"ofs-delta")?;
            for id in wants {
                pkt_line::write_line(out, format!("want {id}").as_bytes())?;
            }
            pkt_line::write_line(out, b"done")?;
            pkt_line::write_flush(out)
        }
    }
}

/// The pack that answers [`write_fetch`], as a stream that ends with it. Messages for people go to `message` raw.
pub struct PackStream<R, M> {
    input: PktReader<R>,
    message: M,
    state: State,
    data: Vec<u8>,
    at: usize,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    /// The pack comes in packets on band 1.
    Banded,
    /// The rest of the stream is the pack.
    Raw,
    Ended,
}

impl<R: Read, M: FnMut(&[u8])> PackStream<R, M> {
    /// Reads what stands before the pack.
    pub fn new(mut input: PktReader<R>, dialect: Dialect, message: M) -> Result<PackStream<R, M>, FetchError> {
        let state = match dialect {
            Dialect::V0 { sideband, .. } => {
                match text(input.next_packet()?, "`NAK`")? {
                    b"NAK" => {}
                    line => return Err(PeerError::unexpected("`NAK`", line).into()),
                }
                if sideband { State::Banded } else { State::Raw }
            }
            Dialect::V2 { .. } => {
                skip_to_pack(&mut input)?;
                State::Banded
            }
        };
        Ok(PackStream { input, message, state, data: Vec::new(), at: 0 })
    }

    fn next_data(&mut self) -> Result<(), FetchError> {
        self.data.clear();
        self.at = 0;
        while self.data.is_empty() && self.state == State::Banded {
            match self.input.next_packet()? {
                Packet::Flush | Packet::ResponseEnd => self.state = State::Ended,
                Packet::Data([1, data @ ..]) => self.data.extend_from_slice(data),
                Packet::Data([2, text @ ..]) => (self.message)(text),
                Packet::Data([3, text @ ..]) => {
                    return Err(FetchError::Remote(one_line(&String::from_utf8_lossy(text))));
                }
                packet => {
                    let line = text(packet, "sideband data")?;
                    return Err(PeerError::unexpected("sideband data", line).into());
                }
            }
        }
        Ok(())
    }
}

/// Passes over the sections of a version 2 answer that come before the pack.
fn skip_to_pack<R: Read>(input: &mut PktReader<R>) -> Result<(), FetchError> {
    for _ in 0..MAX_LINES {
        match input.next_packet()? {
            Packet::Delim => {}
            packet => match text(packet, "the pack")? {
                b"packfile" => return Ok(()),
                b"shallow-info" => return Err(FetchError::Shallow),
                _ => {}
            },
        }
    }
    Err(PeerError::TooMany { what: "lines before the pack", max: MAX_LINES }.into())
}

impl<R: Read, M: FnMut(&[u8])> Read for PackStream<R, M> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.state == State::Raw {
            return self.input.read(out);
        }
        if self.at == self.data.len() {
            self.next_data().map_err(|error| match error {
                FetchError::Protocol(ProtocolError::Io(error)) => error,
                other => io::Error::other(other),
            })?;
        }
        let n = (self.data.len() - self.at).min(out.len());
        out[..n].copy_from_slice(&self.data[self.at..self.at + n]);
        self.at += n;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ID: &str = "1111111111111111111111111111111111111111";

    fn wire(lines: &[&[u8]]) -> Vec<u8> {
        let mut out = Vec::new();
        for line in lines {
            match *line {
                b"0000" => pkt_line::write_flush(&mut out).unwrap(),
                b"0001" => pkt_line::write_delim(&mut out).unwrap(),
                line => pkt_line::write_data(&mut out, line).unwrap(),
            }
        }
        out
    }

    fn advertisement(lines: &[&[u8]]) -> Result<Advertisement, FetchError> {
        read_advertisement(&mut PktReader::new(&wire(lines)[..]))
    }

    #[test]
    fn both_versions_are_understood() {
        let service = b"# service=git-upload-pack\n";
        let v2 = advertisement(&[service, b"0000", b"version 2\n", b"ls-refs=unborn\n", b"fetch=shallow\n", b"0000"]);
        assert_eq!(v2.unwrap(), Advertisement { dialect: Dialect::V2 { unborn: true }, refs: None });

        let first = format!("{ID} HEAD\0side-band-64k ofs-delta symref=HEAD:refs/heads/x object-format=sha1\n");
        let (branch, peeled) = (format!("{ID} refs/heads/x\n"), format!("{ID} refs/tags/t^{{}}\n"));
        let v0 = advertisement(&[first.as_bytes(), branch.as_bytes(), peeled.as_bytes(), b"0000"]).unwrap();
        assert_eq!(v0.dialect, Dialect::V0 { sideband: true, ofs_delta: true });
        let refs = v0.refs.unwrap();
        assert_eq!(refs.refs.len(), 1);
        assert_eq!(refs.head_target.as_deref(), Some(&b"refs/heads/x"[..]));
        assert!(refs.head_id.is_some());

        let zeros = "0".repeat(40);
        let none = advertisement(&[format!("{zeros} capabilities^{{}}\0ofs-delta").as_bytes(), b"0000"]).unwrap();
        assert!(none.refs.unwrap().refs.is_empty());
    }

    // F4
    #[test]
    fn hostile_servers_are_refused() {
        let sha256 = format!("{ID} HEAD\0object-format=sha256");
        let shallow = format!("shallow {ID}");
        let head = format!("{ID} HEAD\0");
        assert!(advertisement(&[sha256.as_bytes(), b"0000"]).is_err());
        assert!(matches!(advertisement(&[head.as_bytes(), shallow.as_bytes(), b"0000"]), Err(FetchError::Shallow)));
        assert!(advertisement(&[b"version 2", b"ls-refs", b"0000"]).is_err());
        assert!(advertisement(&[b"<html>"]).is_err());
        assert!(advertisement(&[b"# service=git-receive-pack", b"0000"]).is_err());
        let refused = advertisement(&[b"ERR no \x1b[31m\n"]).unwrap_err();
        assert_eq!(refused.to_string(), "the other server refused: no \\u{1b}[31m");
        let short = read_ls_refs(&mut PktReader::new(&wire(&[b"1111 refs/heads/x", b"0000"])[..]));
        assert!(short.is_err());
    }

    #[test]
    fn the_pack_comes_out_of_the_bands() {
        let answer = wire(&[b"packfile\n", b"\x02hello\r", b"\x01PA", b"\x01", b"\x01CK", b"0000"]);
        let mut said = Vec::new();
        let mut pack = Vec::new();
        let dialect = Dialect::V2 { unborn: false };
        PackStream::new(PktReader::new(&answer[..]), dialect, |text| said.extend_from_slice(text))
            .unwrap()
            .read_to_end(&mut pack)
            .unwrap();
        assert_eq!((&pack[..], &said[..]), (&b"PACK"[..], &b"hello\r"[..]));

        let cut = wire(&[b"packfile\n", b"\x01PA"]);
        let mut stream = PackStream::new(PktReader::new(&cut[..]), dialect, |_| {}).unwrap();
        assert!(stream.read_to_end(&mut pack).is_err());
        let fatal = wire(&[b"packfile\n", b"\x03it broke"]);
        let mut stream = PackStream::new(PktReader::new(&fatal[..]), dialect, |_| {}).unwrap();
        assert!(stream.read_to_end(&mut pack).unwrap_err().to_string().contains("it broke"));

        let mut raw = wire(&[b"NAK\n"]);
        raw.extend_from_slice(b"PACK");
        pack.clear();
        let dialect = Dialect::V0 { sideband: false, ofs_delta: false };
        let mut stream = PackStream::new(PktReader::new(&raw[..]), dialect, |_| {}).unwrap();
        stream.read_to_end(&mut pack).unwrap();
        assert_eq!(pack, b"PACK");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut packet = Vec::new();
            pkt_line::write_data(&mut packet, &bytes).unwrap();
            let _ = read_advertisement(&mut PktReader::new(&packet[..]));
            let _ = read_ls_refs(&mut PktReader::new(&packet[..]));
        }
    }
}
