//! `object-info` of version 2: the sizes of objects. (gitprotocol-v2, "object-info")

use std::io::{self, Read, Write};

use crate::names::ObjectId;
use crate::protocol::errors::{PeerError, ProtocolError, shown};
use crate::protocol::pkt_line::{Packet, PktReader, write_data, write_flush};

use super::arguments::parse_oid;
use super::{Limits, push_bounded};

/// The arguments of `object-info`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ObjectInfo {
    /// The objects asked about, in order, at times twice.
    pub oids: Vec<ObjectId>,
    /// Their sizes are asked for.
    pub size: bool,
}

impl ObjectInfo {
    /// Reads the arguments up to the flush; the capabilities and the delimiter have been read.
    pub(super) fn read(reader: &mut PktReader<impl Read>, limits: &Limits) -> Result<ObjectInfo, ProtocolError> {
        let mut request = ObjectInfo::default();
        loop {
            let packet = reader.next_packet()?;
            match packet.line() {
                None if packet == Packet::Flush => return Ok(request),
                None => {
                    return Err(PeerError::unexpected("a flush after object-info arguments", packet.as_shown()).into());
                }
                Some(b"size") => request.size = true,
                Some(line) => {
                    let Some(hex) = line.strip_prefix(b"oid ") else {
                        return Err(PeerError::UnknownArgument { got: shown(line) }.into());
                    };
                    let id = parse_oid(hex).ok_or_else(|| PeerError::unexpected("`oid` and an object id", line))?;
                    push_bounded(&mut request.oids, id, "objects asked about", limits.object_infos)?;
                }
            }
        }
    }
}

/// Writes the answer to `request`. `size_of` gives an object's size in bytes, or `None` for an object that the reader
/// may not see or that does not exist: the two look the same (attack checklist B2).
pub fn write_object_info(
    out: &mut impl Write,
    request: &ObjectInfo,
    mut size_of: impl FnMut(&ObjectId) -> Option<u64>,
) -> io::Result<()> {
    if request.size && !request.oids.is_empty() {
        write_data(out, b"size")?;
    }
    for id in &request.oids {
        let line = match size_of(id) {
            None => format!("{id} "),
            Some(size) if request.size => format!("{id} {size}"),
            Some(_) => id.to_string(),
        };
        write_data(out, line.as_bytes())?;
    }
    write_flush(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        let (one, two) = ("1".repeat(40), "2".repeat(40));
        let wire = format!("0009size\n0031oid {one}\n0031oid {two}\n0000");
        let request = ObjectInfo::read(&mut PktReader::new(wire.as_bytes()), &Limits::default()).unwrap();
        assert!(request.size && request.oids.len() == 2);
        let mut out = Vec::new();
        write_object_info(&mut out, &request, |id| id.to_string().starts_with('1').then_some(42)).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), format!("0008size002f{one} 42002d{two} 0000"));

        let limits = Limits { object_infos: 1, ..Limits::default() };
        assert!(ObjectInfo::read(&mut PktReader::new(wire.as_bytes()), &limits).is_err());
        for wire in ["0008oid 0000", "0008type0000", "0009size\n0001"] {
            assert!(ObjectInfo::read(&mut PktReader::new(wire.as_bytes()), &limits).is_err(), "{wire}");
        }
    }
}
