//! What stands before the pack: which commits become shallow, what the wanted refs point at, and in version 2 the names
//! of the sections. (gitprotocol-v2, "fetch", "output"; gitprotocol-pack, "shallow-update")

use std::io::{self, Write};

use crate::names::ObjectId;
use crate::protocol::pkt_line::{write_data, write_delim, write_line};

use super::PackRequest;

/// What changes in the client's boundary of history.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ShallowInfo {
    /// Commits that are sent without their parents.
    pub shallow: Vec<ObjectId>,
    /// Commits that the client has without their parents, and whose parents are sent now.
    pub unshallow: Vec<ObjectId>,
}

/// Writes a line for each commit of `info`. In versions 0 and 1 a client that deepens gets these and a flush packet
/// right after its request, before the negotiation.
pub fn write_shallow_lines(out: &mut impl Write, info: &ShallowInfo) -> io::Result<()> {
    for id in &info.shallow {
        // Git's own server ends these without a line feed.
        write_data(out, format!("shallow {id}").as_bytes())?;
    }
    for id in &info.unshallow {
        write_data(out, format!("unshallow {id}").as_bytes())?;
    }
    Ok(())
}

/// Writes the sections of version 2 that stand before the pack, up to and with `packfile`; the pack follows on the large
/// sidebands, and their end is the end of the answer.
///
/// `info` is written if the client deepens or is shallow, else there is no such section. `wanted_refs` are what the
/// names in `PackRequest::want_refs` point at, by the names as sent: `HEAD` is among them in every clone. Each is one that
/// the reader may see, or the request has been refused.
pub fn write_sections(
    out: &mut impl Write,
    request: &PackRequest,
    info: &ShallowInfo,
    wanted_refs: &[(Vec<u8>, ObjectId)],
) -> io::Result<()> {
    if request.deepens() || !request.shallow.is_empty() {
        write_line(out, b"shallow-info")?;
        write_shallow_lines(out, info)?;
        write_delim(out)?;
    }
    if !wanted_refs.is_empty() {
        write_line(out, b"wanted-refs")?;
        for (name, id) in wanted_refs {
            let mut line = format!("{id} ").into_bytes();
            line.extend_from_slice(name);
            write_line(out, &line)?;
        }
        write_delim(out)?;
    }
    write_line(out, b"packfile")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::upload_pack::Deepen;

    #[test]
    fn sections_before_the_pack() {
        let one = ObjectId::from_hex(&[b'1'; 40]).unwrap();
        let two = ObjectId::from_hex(&[b'2'; 40]).unwrap();
        let text = |request: &PackRequest, info: &ShallowInfo, wanted: &[(Vec<u8>, ObjectId)]| {
            let mut out = Vec::new();
            write_sections(&mut out, request, info, wanted).unwrap();
            String::from_utf8(out).unwrap().replace(&one.to_string(), "1").replace(&two.to_string(), "2")
        };
        let plain = PackRequest::default();
        assert_eq!(text(&plain, &ShallowInfo::default(), &[]), "000dpackfile\n");
        let info = ShallowInfo { shallow: vec![one], unshallow: vec![two] };
        let deepen = PackRequest { deepen: Some(Deepen::Depth(1)), ..PackRequest::default() };
        assert_eq!(
            text(&deepen, &info, &[(b"refs/heads/x".to_vec(), two)]),
            "0011shallow-info\n0034shallow 10036unshallow 20001\
             0010wanted-refs\n003a2 refs/heads/x\n0001000dpackfile\n"
        );
        let shallow = PackRequest { shallow: vec![one], ..PackRequest::default() };
        assert_eq!(text(&shallow, &ShallowInfo::default(), &[]), "0011shallow-info\n0001000dpackfile\n");
    }
}
