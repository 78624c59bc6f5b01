//! `ls-refs` of version 2: which refs there are. (gitprotocol-v2, "ls-refs")

use std::io::{self, Read, Write};

use crate::names::RefName;
use crate::protocol::advertise::{AdvertisedRef, RefAdvertisement};
use crate::protocol::errors::{PeerError, ProtocolError, shown};
use crate::protocol::pkt_line::{Packet, PktReader, write_data, write_flush};

/// From here on prefixes are not looked at, and all refs are shown, as Git does.
const TOO_MANY_PREFIXES: usize = 65536;
/// From here on likewise: what all prefixes may take in memory.
const TOO_MANY_PREFIX_BYTES: usize = 4 << 20;

/// The arguments of `ls-refs`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LsRefs {
    /// Only refs that begin with one of these are asked for; none means all. In the order of their bytes, none of
    /// them the beginning of another, so that each is a range of the ref table and no ref is in two.
    pub prefixes: Vec<Vec<u8>>,
    /// Say what symbolic refs stand for.
    pub symrefs: bool,
    /// Say what tags peel to.
    pub peel: bool,
    /// Show `HEAD` also when its branch is unborn.
    pub unborn: bool,
}

impl LsRefs {
    /// Whether `name`, a full ref name or `HEAD`, is asked for. Takes time in the logarithm of the prefixes' number.
    pub fn asks_for(&self, name: &[u8]) -> bool {
        // No prefix is the beginning of another, so only the last one that does not come after the name can match.
        let n_before = self.prefixes.partition_point(|prefix| prefix.as_slice() <= name);
        self.prefixes.is_empty() || n_before > 0 && name.starts_with(&self.prefixes[n_before - 1])
    }

    /// Reads the arguments up to the flush; the capabilities and the delimiter have been read.
    pub(super) fn read(reader: &mut PktReader<impl Read>) -> Result<LsRefs, ProtocolError> {
        let mut request = LsRefs::default();
        let mut n_prefix_bytes = 0;
        let mut all = false;
        loop {
            let packet = reader.next_packet()?;
            match packet.line() {
                None if packet == Packet::Flush => break,
                None => return Err(PeerError::unexpected("a flush after ls-refs arguments", packet.as_shown()).into()),
                Some(b"peel") => request.peel = true,
                Some(b"symrefs") => request.symrefs = true,
                Some(b"unborn") => request.unborn = true,
                Some(line) => {
                    let Some(prefix) = line.strip_prefix(b"ref-prefix ") else {
                        return Err(PeerError::UnknownArgument { got: shown(line) }.into());
                    };
                    // Cut, it shows too much rather than too little; no ref is this long anyhow.
                    let prefix = &prefix[..prefix.len().min(RefName::MAX_BYTES + 1)];
                    n_prefix_bytes += prefix.len();
                    all |= request.prefixes.len() + 1 >= TOO_MANY_PREFIXES || n_prefix_bytes > TOO_MANY_PREFIX_BYTES;
                    if all {
                        request.prefixes = Vec::new();
                    } else {
                        request.prefixes.push(prefix.to_vec());
                    }
                }
            }
        }
        request.prefixes.sort_unstable();
        // What begins with the prefix kept last stands right behind it.
        request.prefixes.dedup_by(|later, kept| later.starts_with(kept));
        Ok(request)
    }
}

/// Writes the answer to `request` with its flush packet: `HEAD` first, then the refs in the order given. Refs that were
/// not asked for are left out here, so the caller may give more, but not what the reader may not see.
pub fn write_ls_refs<I>(out: &mut impl Write, request: &LsRefs, advertisement: RefAdvertisement<I>) -> io::Result<()>
where
    I: IntoIterator<Item = AdvertisedRef>,
{
    if let Some(head) = advertisement.head.filter(|_| request.asks_for(b"HEAD")) {
        let line = match head.id {
            Some(id) => Some(format!("{id} HEAD")),
            None if request.unborn && request.symrefs => Some("unborn HEAD".to_string()),
            None => None,
        };
        if let Some(line) = line {
            let mut line = line.into_bytes();
            if request.symrefs {
                line.extend_from_slice(b" symref-target:");
                line.extend_from_slice(head.target.as_bytes());
            }
            line.push(b'\n');
            write_data(out, &line)?;
        }
    }
    for item in advertisement.refs {
        if !request.asks_for(item.name.as_bytes()) {
            continue;
        }
        let mut line = format!("{} ", item.id).into_bytes();
        line.extend_from_slice(item.name.as_bytes());
        if let (true, Some(peeled)) = (request.peel, item.peeled) {
            line.extend_from_slice(format!(" peeled:{peeled}").as_bytes());
        }
        line.push(b'\n');
        write_data(out, &line)?;
    }
    write_flush(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::ObjectId;
    use crate::protocol::advertise::Head;
    use crate::protocol::pkt_line::write_line;
    use proptest::prelude::*;

    fn read(lines: &[&str]) -> Result<LsRefs, ProtocolError> {
        let mut wire = Vec::new();
        for line in lines {
            write_line(&mut wire, line.as_bytes()).unwrap();
        }
        write_flush(&mut wire).unwrap();
        LsRefs::read(&mut PktReader::new(&wire[..]))
    }

    #[test]
    fn arguments() {
        let request =
            read(&["peel", "symrefs", "unborn", "ref-prefix refs/tags/", "ref-prefix HEAD", "ref-prefix refs/"]);
        let expected =
            LsRefs { prefixes: vec![b"HEAD".to_vec(), b"refs/".to_vec()], symrefs: true, peel: true, unborn: true };
        assert_eq!(request.unwrap(), expected);
        assert!(read(&["ref-prefix"]).is_err());
        assert!(read(&["peel "]).is_err());
        for wire in [&b"0009peel\n0001"[..], b"0009peel\n", b"0002"] {
            assert!(LsRefs::read(&mut PktReader::new(wire)).is_err());
        }
    }

    // B5
    #[test]
    fn too_many_prefixes_are_none() {
        let lines: Vec<String> = (0..65535).map(|n| format!("ref-prefix refs/heads/{n:05}")).collect();
        let mut lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        assert_eq!(read(&lines).unwrap().prefixes.len(), 65535);
        lines.push("ref-prefix x");
        assert!(read(&lines).unwrap().asks_for(b"refs/notes/y"));
        let long = format!("ref-prefix {}", "a".repeat(2000));
        assert!(read(&vec![&long[..]; 5000]).unwrap().prefixes.is_empty());
    }

    #[test]
    fn answers() {
        let id = ObjectId::from_hex(&[b'1'; 40]).unwrap();
        let peeled = ObjectId::from_hex(&[b'2'; 40]).unwrap();
        let refs = || {
            vec![
                AdvertisedRef { name: RefName::branch("main").unwrap(), id, peeled: None },
                AdvertisedRef { name: RefName::parse(b"refs/tags/v1").unwrap(), id, peeled: Some(peeled) },
            ]
        };
        let answer = |lines: &[&str], id| {
            let head = Some(Head { target: RefName::branch("main").unwrap(), id });
            let mut out = Vec::new();
            write_ls_refs(&mut out, &read(lines).unwrap(), RefAdvertisement { refs: refs(), head }).unwrap();
            String::from_utf8(out).unwrap()
        };
        let one = "1".repeat(40);
        let two = "2".repeat(40);
        // As Git's own upload-pack answers.
        assert_eq!(
            answer(&["peel", "symrefs"], Some(id)),
            format!(
                "0050{one} HEAD symref-target:refs/heads/main\n003d{one} refs/heads/main\n\
                 006a{one} refs/tags/v1 peeled:{two}\n0000"
            )
        );
        assert_eq!(answer(&["ref-prefix refs/tags/"], Some(id)), format!("003a{one} refs/tags/v1\n0000"));
        assert_eq!(answer(&["ref-prefix HEAD"], Some(id)), format!("0032{one} HEAD\n0000"));
        assert_eq!(
            answer(&["symrefs", "unborn", "ref-prefix HEAD"], None),
            "002eunborn HEAD symref-target:refs/heads/main\n0000"
        );
        assert_eq!(answer(&["unborn", "ref-prefix HEAD"], None), "0000");
        assert_eq!(answer(&["symrefs", "ref-prefix HEAD"], None), "0000");
    }

    proptest! {
        #[test]
        fn prefixes_match_as_if_tried_one_by_one(
            prefixes in prop::collection::vec("[ab/]{0,4}", 0..6),
            name in "[ab/]{0,6}",
        ) {
            let lines: Vec<String> = prefixes.iter().map(|prefix| format!("ref-prefix {prefix}")).collect();
            let request = read(&lines.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
            let expected = prefixes.is_empty() || prefixes.iter().any(|prefix| name.starts_with(prefix));
            prop_assert_eq!(request.asks_for(name.as_bytes()), expected);
        }
    }
}
