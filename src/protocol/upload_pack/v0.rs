//! The request of versions 0 and 1: wants with the client's capabilities behind the first, then shallow and filter
//! lines, then a flush. (gitprotocol-pack, "Packfile Negotiation")

use std::io::Read;

use crate::protocol::capabilities::CapabilityList;
use crate::protocol::errors::{PeerError, ProtocolError};
use crate::protocol::pkt_line::{Packet, PktReader};
use crate::protocol::sideband::Sideband;

use super::arguments::{Arguments, parse_oid};
use super::negotiate::AckMode;
use super::{Limits, PackRequest};

/// What a client of version 0 or 1 asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The pack it wants.
    pub pack: PackRequest,
    /// How it wants its haves answered.
    pub ack_mode: AckMode,
    /// It wants the pack as soon as the server is ready, without saying `done`.
    pub no_done: bool,
    /// The client's name and version, cleaned.
    pub agent: Option<String>,
    /// The client's session id, cleaned.
    pub session_id: Option<String>,
}

/// Reads a request. `None` if the client wants nothing: a flush at once, as after `ls-remote`, or the stream's end.
pub fn read_request(reader: &mut PktReader<impl Read>, limits: &Limits) -> Result<Option<Request>, ProtocolError> {
    if reader.at_end()? {
        return Ok(None);
    }
    let mut arguments = Arguments::default();
    let mut capabilities: Option<CapabilityList> = None;
    loop {
        let packet = reader.next_packet()?;
        let Some(line) = packet.line() else {
            if packet == Packet::Flush {
                break;
            }
            return Err(PeerError::unexpected("`want` or a flush", packet.as_shown()).into());
        };
        if arguments.take_shallow(line, limits)? {
            continue;
        }
        if let Some(spec) = line.strip_prefix(b"filter ") {
            if !capabilities.as_ref().is_some_and(|list| list.has("filter")) {
                return Err(PeerError::unexpected("the filter capability before a filter", line).into());
            }
            arguments.filter(spec)?;
            continue;
        }
        let (id, list) = parse_want(line).ok_or_else(|| PeerError::unexpected("`want` and an object id", line))?;
        arguments.want(id, limits)?;
        // The list stands behind the first want. Git's server takes it behind any; no client sends it there.
        if capabilities.is_none() {
            let list = CapabilityList::parse(list)?;
            list.check_object_format()?;
            apply(&list, &mut arguments.request);
            capabilities = Some(list);
        } else if !list.is_empty() {
            return Err(PeerError::unexpected("capabilities behind the first want only", line).into());
        }
    }
    let Some(list) = capabilities else {
        // Shallow lines without a want ask for nothing.
        return Ok(None);
    };
    let ack_mode = if list.has("multi_ack_detailed") {
        AckMode::Detailed
    } else if list.has("multi_ack") {
        AckMode::Multi
    } else {
        AckMode::Single
    };
    Ok(Some(Request {
        pack: arguments.finish()?,
        ack_mode,
        no_done: list.has("no-done"),
        agent: list.agent(),
        session_id: list.session_id(),
    }))
}

/// Parses `want <id>`, and gives what stands behind the id.
fn parse_want(line: &[u8]) -> Option<(crate::names::ObjectId, &[u8])> {
    let (hex, list) = line.strip_prefix(b"want ")?.split_at_checked(40)?;
    if list.is_empty() || list.starts_with(b" ") { Some((parse_oid(hex)?, list)) } else { None }
}

fn apply(list: &CapabilityList, request: &mut PackRequest) {
    request.thin_pack = list.has("thin-pack");
    request.ofs_delta = list.has("ofs-delta");
    request.include_tag = list.has("include-tag");
    request.no_progress = list.has("no-progress");
    request.deepen_relative = list.has("deepen-relative");
    request.sideband = if list.has("side-band-64k") {
        Sideband::Large
    } else if list.has("side-band") {
        Sideband::Small
    } else {
        Sideband::None
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::pkt_line::{write_flush, write_line};
    use crate::protocol::upload_pack::{Deepen, Filter};
    use proptest::prelude::*;

    const A: &str = "1111111111111111111111111111111111111111";
    const B: &str = "2222222222222222222222222222222222222222";

    fn read(lines: &[String]) -> Result<Option<Request>, ProtocolError> {
        let mut wire = Vec::new();
        for line in lines {
            write_line(&mut wire, line.as_bytes()).unwrap();
        }
        write_flush(&mut wire).unwrap();
        read_request(&mut PktReader::new(&wire[..]), &Limits { wants: 2, ..Limits::default() })
    }

    #[test]
    fn what_git_sends() {
        let request = read(&[
            format!(
                "want {A} multi_ack_detailed no-done side-band-64k thin-pack include-tag ofs-delta deepen-since \
                 deepen-not filter object-format=sha1 agent=git/2.47"
            ),
            format!("want {B}"),
            format!("want {A}"),
            format!("shallow {B}"),
            "deepen 3".to_string(),
            "filter blob:none".to_string(),
        ]);
        let request = request.unwrap().unwrap();
        assert_eq!(request.ack_mode, AckMode::Detailed);
        assert!(request.no_done);
        assert_eq!(request.agent.as_deref(), Some("git/2.47"));
        let pack = request.pack;
        assert!(pack.thin_pack && pack.include_tag && pack.ofs_delta && !pack.no_progress && pack.deepens());
        assert_eq!(pack.sideband, Sideband::Large);
        assert_eq!((pack.wants.len(), pack.shallow.len()), (2, 1));
        assert_eq!(pack.deepen, Some(Deepen::Depth(3)));
        assert_eq!(pack.filter, Some(Filter::BlobNone));
    }

    #[test]
    fn an_old_client() {
        let request = read(&[format!("want {A}")]).unwrap().unwrap();
        assert_eq!((request.ack_mode, request.pack.sideband), (AckMode::Single, Sideband::None));
        let request = read(&[format!("want {A} multi_ack side-band")]).unwrap().unwrap();
        assert_eq!((request.ack_mode, request.pack.sideband), (AckMode::Multi, Sideband::Small));
    }

    #[test]
    fn nothing_is_wanted() {
        assert!(read(&[]).unwrap().is_none());
        assert!(read_request(&mut PktReader::new(&b""[..]), &Limits::default()).unwrap().is_none());
    }

    // B5
    #[test]
    fn requests_that_are_refused() {
        for lines in [
            vec!["want".to_string()],
            vec![format!("want {A}x")],
            vec![format!("want {}", &A[1..])],
            vec![format!("have {A}")],
            vec![format!("want {A} object-format=sha256")],
            vec![format!("want {A}{}", &A[..24])],
            vec![format!("want {A} side-band"), format!("want {B} side-band-64k")],
            vec![format!("want {A}"), "filter blob:none".to_string()],
            vec![format!("want {A} filter"), "filter sparse:oid=x".to_string()],
            vec![format!("want {A} filter"), "filter tree:0".to_string(), "filter tree:0".to_string()],
            vec![format!("want {A}"), "deepen 0".to_string()],
            vec![format!("want {A}"), "deepen 1".to_string(), "deepen-since 1".to_string()],
            vec![format!("want {A}"), format!("want {B}"), format!("want {}", "3".repeat(40))],
        ] {
            assert!(matches!(read(&lines), Err(ProtocolError::Peer(_))), "{lines:?}");
        }
        for wire in [format!("0032want {A}\n"), format!("0032want {A}\n0001"), format!("0032want {A}")] {
            assert!(read_request(&mut PktReader::new(wire.as_bytes()), &Limits::default()).is_err(), "{wire}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_request_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let mut wire = format!("0033want {A} ").into_bytes();
            write_line(&mut wire, &bytes).unwrap();
            wire.extend_from_slice(b"0000");
            let _ = read_request(&mut PktReader::new(&wire[..]), &Limits::default());
            let _ = read_request(&mut PktReader::new(&bytes[..]), &Limits::default());
        }
    }
}
