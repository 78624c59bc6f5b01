//! Requests of upload-pack in all versions, and of upload-archive: a value or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lockgate::names::ObjectId;
use lockgate::protocol::archive::ArchiveRequest;
use lockgate::protocol::pkt_line::PktReader;
use lockgate::protocol::upload_pack::{Command, Limits, Negotiation, negotiate_v0, negotiate_v2, v0, v2};

/// Has half of all objects.
struct Half;

impl Negotiation for Half {
    fn have(&mut self, oid: &ObjectId) -> bool {
        oid.as_slice()[0] & 1 == 0
    }
    fn ready(&mut self) -> bool {
        true
    }
}

fuzz_target!(|input: &[u8]| {
    let limits = Limits::default();
    let mut out = Vec::new();
    let mut reader = PktReader::new(input);
    if let Ok(Some(request)) = v0::read_request(&mut reader, &limits) {
        let no_done = request.no_done;
        let _ = negotiate_v0(&mut reader, &mut out, request.ack_mode, no_done, false, &limits, &mut Half);
    }
    let mut reader = PktReader::new(input);
    while let Ok(Some(request)) = v2::read_command(&mut reader, &limits) {
        if let Command::Fetch(fetch) = request.command {
            let _ = negotiate_v2(&fetch, &mut Half, &mut out);
        }
    }
    let _ = ArchiveRequest::read(&mut PktReader::new(input));
});
