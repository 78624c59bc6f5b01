//! The requests of version 2: a command, capabilities, a delimiter, arguments, a flush. (gitprotocol-v2)

use std::collections::HashSet;
use std::io::Read;

use crate::names::RefName;
use crate::protocol::capabilities::{check_object_format, clean_label};
use crate::protocol::errors::{PeerError, ProtocolError, shown};
use crate::protocol::pkt_line::{Packet, PktReader};
use crate::protocol::receive_pack::check_option;
use crate::protocol::sideband::Sideband;

use super::arguments::{Arguments, parse_oid};
use super::ls_refs::LsRefs;
use super::object_info::ObjectInfo;
use super::{Limits, PackRequest, push_bounded};
use crate::names::ObjectId;

/// Most `server-option` lines in one request.
const MAX_SERVER_OPTIONS: usize = 64;

/// One request of version 2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What is to be done.
    pub command: Command,
    /// The client's name and version, cleaned.
    pub agent: Option<String>,
    /// The client's session id, cleaned.
    pub session_id: Option<String>,
    /// What the user gave with `--server-option`: up to 64 of printable text. They mean nothing to the protocol.
    pub server_options: Vec<String>,
}

/// The commands of version 2 that are offered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Which refs there are.
    LsRefs(LsRefs),
    /// A pack, or a round of negotiation on the way to it.
    Fetch(FetchRequest),
    /// The sizes of objects.
    ObjectInfo(ObjectInfo),
}

/// The arguments of `fetch`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FetchRequest {
    /// The pack that is wanted. It always goes on the large sidebands.
    pub pack: PackRequest,
    /// What the client has, as sent.
    pub haves: Vec<ObjectId>,
    /// The client will say nothing more: send the pack.
    pub done: bool,
    /// Do not send a pack before the client is `done`, however ready.
    pub wait_for_done: bool,
}

/// Reads one request. `None` when the client is through: a flush at once, or the stream's end, as is usual over SSH.
///
/// Over HTTP there is one request in each body; over SSH they follow one another until `None`.
pub fn read_command(reader: &mut PktReader<impl Read>, limits: &Limits) -> Result<Option<Request>, ProtocolError> {
    if reader.at_end()? {
        return Ok(None);
    }
    let mut command: Option<Verb> = None;
    let (mut agent, mut session_id, mut server_options) = (None, None, Vec::new());
    let mut is_first = true;
    let has_arguments = loop {
        let packet = reader.next_packet()?;
        let Some(line) = packet.line() else {
            match packet {
                Packet::Flush if is_first => return Ok(None),
                Packet::Flush => break false,
                Packet::Delim => break true,
                _ => {
                    return Err(PeerError::unexpected("a capability, a delimiter or a flush", packet.as_shown()).into());
                }
            }
        };
        is_first = false;
        if let Some(name) = line.strip_prefix(b"command=") {
            if command.is_some() {
                return Err(PeerError::unexpected("one command", line).into());
            }
            command = Some(match name {
                b"ls-refs" => Verb::LsRefs,
                b"fetch" => Verb::Fetch,
                b"object-info" => Verb::ObjectInfo,
                _ => return Err(PeerError::UnknownCommand { got: shown(name) }.into()),
            });
            continue;
        }
        let (name, value) = match line.iter().position(|b| *b == b'=') {
            Some(at) => (&line[..at], Some(&line[at + 1..])),
            None => (line, None),
        };
        match name {
            b"agent" => agent = value.map(clean_label),
            b"session-id" => session_id = value.map(clean_label),
            b"object-format" => check_object_format(value.unwrap_or_default())?,
            b"server-option" => {
                let option = check_option(value.unwrap_or_default())?.to_string();
                push_bounded(&mut server_options, option, "server options", MAX_SERVER_OPTIONS)?;
            }
            _ => return Err(PeerError::UnknownCapability { got: shown(line) }.into()),
        }
    };
    let Some(verb) = command else {
        return Err(PeerError::UnknownCommand { got: String::new() }.into());
    };
    // Without a delimiter the flush has been read already, and there are no arguments.
    let command = match (verb, has_arguments) {
        (Verb::LsRefs, true) => Command::LsRefs(LsRefs::read(reader)?),
        (Verb::LsRefs, false) => Command::LsRefs(LsRefs::default()),
        (Verb::Fetch, true) => Command::Fetch(FetchRequest::read(reader, limits)?),
        (Verb::Fetch, false) => Command::Fetch(FetchRequest::default()),
        (Verb::ObjectInfo, true) => Command::ObjectInfo(ObjectInfo::read(reader, limits)?),
        (Verb::ObjectInfo, false) => Command::ObjectInfo(ObjectInfo::default()),
    };
    Ok(Some(Request { command, agent, session_id, server_options }))
}

enum Verb {
    LsRefs,
    Fetch,
    ObjectInfo,
}

impl FetchRequest {
    /// Reads the arguments up to the flush; the capabilities and the delimiter have been read.
    fn read(reader: &mut PktReader<impl Read>, limits: &Limits) -> Result<FetchRequest, ProtocolError> {
        let mut arguments = Arguments::default();
        let mut seen_refs = HashSet::new();
        let (mut haves, mut done, mut wait_for_done) = (Vec::new(), false, false);
        loop {
            let packet = reader.next_packet()?;
            let Some(line) = packet.line() else {
                if packet == Packet::Flush {
                    break;
                }
                return Err(PeerError::unexpected("a flush after fetch arguments", packet.as_shown()).into());
            };
            match line {
                b"done" => done = true,
                b"wait-for-done" => wait_for_done = true,
                b"thin-pack" => arguments.request.thin_pack = true,
                b"no-progress" => arguments.request.no_progress = true,
                b"include-tag" => arguments.request.include_tag = true,
                b"ofs-delta" => arguments.request.ofs_delta = true,
                b"deepen-relative" => arguments.request.deepen_relative = true,
                b"sideband-all" => return Err(PeerError::NotSupported { what: "sideband-all" }.into()),
                _ => {
                    if let Some(hex) = line.strip_prefix(b"want ") {
                        let id =
                            parse_oid(hex).ok_or_else(|| PeerError::unexpected("`want` and an object id", line))?;
                        arguments.want(id, limits)?;
                    } else if let Some(hex) = line.strip_prefix(b"have ") {
                        let id =
                            parse_oid(hex).ok_or_else(|| PeerError::unexpected("`have` and an object id", line))?;
                        push_bounded(&mut haves, id, "haves", limits.haves)?;
                    } else if let Some(name) = line.strip_prefix(b"want-ref ") {
                        if name.len() > RefName::MAX_BYTES {
                            return Err(PeerError::TooLong { what: "a ref name", max: RefName::MAX_BYTES }.into());
                        }
                        if !seen_refs.insert(name.to_vec()) {
                            return Err(PeerError::DuplicateWantRef { name: shown(name) }.into());
                        }
                        push_bounded(&mut arguments.request.want_refs, name.to_vec(), "want-refs", limits.want_refs)?;
                    } else if let Some(spec) = line.strip_prefix(b"filter ") {
                        arguments.filter(spec)?;
                    } else if !line.starts_with(b"packfile-uris ") && !arguments.take_shallow(line, limits)? {
                        // What `packfile-uris` allows need not be done, so it is passed over.
                        return Err(PeerError::UnknownArgument { got: shown(line) }.into());
                    }
                }
            }
        }
        let mut pack = arguments.finish()?;
        pack.sideband = Sideband::Large;
        Ok(FetchRequest { pack, haves, done, wait_for_done })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::pkt_line::{write_delim, write_flush, write_line};
    use crate::protocol::upload_pack::{Deepen, Filter};
    use proptest::prelude::*;

    const A: &str = "1111111111111111111111111111111111111111";
    const B: &str = "2222222222222222222222222222222222222222";

    /// Lines, with `--` for the delimiter, and the flush behind them.
    fn wire(lines: &[&str]) -> Vec<u8> {
        let mut wire = Vec::new();
        for line in lines {
            match *line {
                "--" => write_delim(&mut wire).unwrap(),
                line => write_line(&mut wire, line.as_bytes()).unwrap(),
            }
        }
        write_flush(&mut wire).unwrap();
        wire
    }

    fn read(lines: &[&str]) -> Result<Option<Request>, ProtocolError> {
        read_command(&mut PktReader::new(&wire(lines)[..]), &Limits::default())
    }

    fn fetch(lines: &[&str]) -> Result<FetchRequest, PeerError> {
        let lines: Vec<&str> = ["command=fetch", "object-format=sha1", "--"].iter().chain(lines).copied().collect();
        match read(&lines) {
            Ok(Some(Request { command: Command::Fetch(request), .. })) => Ok(request),
            Err(ProtocolError::Peer(error)) => Err(error),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn commands_follow_one_another() {
        // As Git 2.47 sends them over SSH.
        let mut input =
            wire(&["command=ls-refs", "agent=git/2.47 x", "object-format=sha1", "--", "peel", "ref-prefix HEAD"]);
        input.extend_from_slice(&wire(&["command=fetch", "server-option=a=b;c", "session-id=1", "--", "done"]));
        input.extend_from_slice(&wire(&["command=object-info", "--", "size"]));
        input.extend_from_slice(&wire(&["command=ls-refs"]));
        input.extend_from_slice(b"0000");
        let mut reader = PktReader::new(&input[..]);
        let mut next = || read_command(&mut reader, &Limits::default()).unwrap();
        let first = next().unwrap();
        assert_eq!(first.agent.as_deref(), Some("git/2.47.x"));
        assert!(matches!(first.command, Command::LsRefs(LsRefs { peel: true, symrefs: false, .. })));
        let second = next().unwrap();
        assert_eq!(second.server_options, ["a=b;c"]);
        assert_eq!(second.session_id.as_deref(), Some("1"));
        assert!(matches!(second.command, Command::Fetch(FetchRequest { done: true, .. })));
        assert!(matches!(next().unwrap().command, Command::ObjectInfo(ObjectInfo { size: true, .. })));
        assert_eq!(next().unwrap().command, Command::LsRefs(LsRefs::default()));
        assert!(next().is_none(), "a flush");
        assert!(next().is_none(), "the end");
    }

    #[test]
    fn fetch_arguments() {
        let request = fetch(&[
            "thin-pack",
            "no-progress",
            "include-tag",
            "ofs-delta",
            &format!("want {A}"),
            &format!("want {A}"),
            "want-ref refs/heads/main",
            &format!("shallow {B}"),
            "deepen 1",
            "deepen-relative",
            "filter combine:blob:none+tree:1",
            "packfile-uris https",
            &format!("have {B}"),
            "wait-for-done",
            "done",
        ]);
        let id = |hex: &str| ObjectId::from_hex(hex.as_bytes()).unwrap();
        let expected = FetchRequest {
            pack: PackRequest {
                wants: vec![id(A)],
                want_refs: vec![b"refs/heads/main".to_vec()],
                thin_pack: true,
                ofs_delta: true,
                include_tag: true,
                no_progress: true,
                sideband: Sideband::Large,
                shallow: vec![id(B)],
                deepen: Some(Deepen::Depth(1)),
                deepen_relative: true,
                filter: Some(Filter::Combine(vec![Filter::BlobNone, Filter::TreeDepth(1)])),
            },
            haves: vec![id(B)],
            done: true,
            wait_for_done: true,
        };
        assert_eq!(request.unwrap(), expected);
    }

    // B5 B10
    #[test]
    fn requests_that_are_refused() {
        for (lines, message) in [
            (&["command=bundle-uri"][..], "invalid command `bundle-uri`"),
            (&["command=ls-refs=x"], "invalid command `ls-refs=x`"),
            (&["command="], "invalid command ``"),
            (&["agent=x"], "invalid command ``"),
            (&["command=fetch", "command=ls-refs"], "protocol error: expected one command, got `command=ls-refs`"),
            (&["fetch"], "unknown capability `fetch`"),
            (&["agentx=1"], "unknown capability `agentx=1`"),
            (&["object-format=sha256"], "unsupported object format `sha256`: this repository uses sha1"),
            (&["server-option=a\nb"], "option refused: it is printable text on one line"),
            (&["command=ls-refs", "--", "x"], "unexpected line: `x`"),
            (&["command=fetch", "--", "x"], "unexpected line: `x`"),
            (&["command=fetch", "--", "want x"], "protocol error: expected `want` and an object id, got `want x`"),
            (&["command=fetch", "--", "sideband-all"], "sideband-all is not supported"),
            (&["command=fetch", "--", "want-ref x", "want-ref x"], "duplicate want-ref `x`"),
            (&["command=fetch", "--", "filter sparse:oid=x"], "filter `sparse:oid` not supported"),
            (&["command=fetch", "--", "deepen -1"], "invalid deepen: `deepen -1`"),
            (
                &["command=fetch", "--", "done", "--"],
                "protocol error: expected a flush after fetch arguments, got `0001`",
            ),
        ] {
            match read(lines) {
                Err(ProtocolError::Peer(error)) => assert_eq!(error.message(), message, "{lines:?}"),
                other => panic!("{lines:?}: {other:?}"),
            }
        }
        let full = wire(&["command=fetch", "--", &format!("want {A}"), "done"]);
        for end in 1..full.len() {
            let result = read_command(&mut PktReader::new(&full[..end]), &Limits::default());
            assert!(matches!(result, Err(ProtocolError::Peer(PeerError::Truncated))), "{end}");
        }
    }

    // B5
    #[test]
    fn counts_are_bounded() {
        let limits = Limits { wants: 1, haves: 1, want_refs: 1, shallow: 1, deepen_not: 1, object_infos: 1 };
        for (first, second) in [
            (format!("want {A}"), format!("want {B}")),
            (format!("have {A}"), format!("have {B}")),
            (format!("shallow {A}"), format!("shallow {B}")),
            ("want-ref a".to_string(), "want-ref b".to_string()),
            ("deepen-not a".to_string(), "deepen-not b".to_string()),
        ] {
            let one = wire(&["command=fetch", "--", &first]);
            assert!(read_command(&mut PktReader::new(&one[..]), &limits).is_ok(), "{first}");
            let two = wire(&["command=fetch", "--", &first, &second]);
            let result = read_command(&mut PktReader::new(&two[..]), &limits);
            assert!(matches!(result, Err(ProtocolError::Peer(PeerError::TooMany { .. }))), "{first}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_request_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let mut wire = wire(&["command=fetch"]);
            wire.truncate(wire.len() - 4);
            wire.extend_from_slice(b"0001");
            write_line(&mut wire, &bytes).unwrap();
            write_flush(&mut wire).unwrap();
            let _ = read_command(&mut PktReader::new(&wire[..]), &Limits::default());
            let _ = read_command(&mut PktReader::new(&bytes[..]), &Limits::default());
        }
    }
}
