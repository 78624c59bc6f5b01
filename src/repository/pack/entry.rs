//! The header of a pack entry: kind and inflated size, then for a delta where its base is (`gitformat-pack`).

use crate::repository::object::ObjectKind;

/// What a pack entry holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// A whole object.
    Whole(ObjectKind),
    /// A delta against the entry that begins this many bytes earlier in the same pack.
    OffsetDelta(u64),
    /// A delta against the object of this id.
    RefDelta([u8; 20]),
}

/// A parsed header and how many bytes it took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryHeader {
    /// What follows.
    pub kind: EntryKind,
    /// Size of the inflated data that follows: the object's, or the delta's.
    pub size: u64,
    /// Length of the header itself in bytes.
    pub len: usize,
}

/// Why a header could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// More bytes are needed.
    #[error("the entry header is cut off")]
    Incomplete,
    /// A size or distance does not fit 63 bits.
    #[error("the entry header has a number that is too large")]
    Overflow,
    /// Types 0 and 5 do not exist.
    #[error("the entry has the unknown type {0}")]
    UnknownKind(u8),
    /// The distance to the base is zero: an entry cannot be its own base.
    #[error("the delta is its own base")]
    SelfBase,
}

/// Longest header that can occur: ten bytes of size, twenty of base id.
pub const MAX_HEADER_LEN: usize = 32;

impl EntryHeader {
    /// Reads a header from the beginning of `bytes`.
    pub fn parse(bytes: &[u8]) -> Result<EntryHeader, HeaderError> {
        let mut at = 0;
        let mut next = || {
            let byte = bytes.get(at).copied().ok_or(HeaderError::Incomplete);
            at += 1;
            byte
        };
        let first = next()?;
        let kind = first >> 4 & 7;
        let mut size = u64::from(first & 15);
        let mut shift = 4;
        let mut byte = first;
        while byte & 0x80 != 0 {
            byte = next()?;
            let part = u64::from(byte & 0x7f);
            if shift > 56 || part << shift >> shift != part {
                return Err(HeaderError::Overflow);
            }
            size |= part << shift;
            shift += 7;
        }
        if size > i64::MAX as u64 {
            return Err(HeaderError::Overflow);
        }
        let kind = match kind {
            1 => EntryKind::Whole(ObjectKind::Commit),
            2 => EntryKind::Whole(ObjectKind::Tree),
            3 => EntryKind::Whole(ObjectKind::Blob),
            4 => EntryKind::Whole(ObjectKind::Tag),
            6 => {
                let mut byte = next()?;
                let mut distance = u64::from(byte & 0x7f);
                while byte & 0x80 != 0 {
                    byte = next()?;
                    if distance >= 1 << 55 {
                        return Err(HeaderError::Overflow);
                    }
                    distance = (distance + 1) << 7 | u64::from(byte & 0x7f);
                }
                if distance == 0 {
                    return Err(HeaderError::SelfBase);
                }
                EntryKind::OffsetDelta(distance)
            }
            7 => {
                let mut base = [0; 20];
                for byte in &mut base {
                    *byte = next()?;
                }
                EntryKind::RefDelta(base)
            }
            other => return Err(HeaderError::UnknownKind(other)),
        };
        Ok(EntryHeader { kind, size, len: at })
    }

    /// Appends the header for `kind` and `size` to `out`.
    pub fn write(kind: &EntryKind, size: u64, out: &mut Vec<u8>) {
        let type_bits = match kind {
            EntryKind::Whole(kind) => *kind as u8,
            EntryKind::OffsetDelta(_) => 6,
            EntryKind::RefDelta(_) => 7,
        };
        let mut byte = type_bits << 4 | (size & 15) as u8;
        let mut rest = size >> 4;
        while rest > 0 {
            out.push(byte | 0x80);
            byte = (rest & 0x7f) as u8;
            rest >>= 7;
        }
        out.push(byte);
        match kind {
            EntryKind::Whole(_) => {}
            EntryKind::RefDelta(base) => out.extend_from_slice(base),
            EntryKind::OffsetDelta(distance) => {
                let mut buf = [0; 10];
                let mut at = buf.len() - 1;
                let mut rest = *distance;
                buf[at] = (rest & 0x7f) as u8;
                rest >>= 7;
                while rest > 0 {
                    rest -= 1;
                    at -= 1;
                    buf[at] = 0x80 | (rest & 0x7f) as u8;
                    rest >>= 7;
                }
                out.extend_from_slice(&buf[at..]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn headers_survive_a_round_trip(size in 0u64..1 << 60, distance in 1u64..1 << 55, base: [u8; 20], which in 0..3u8) {
            let kind = match which {
                0 => EntryKind::Whole(ObjectKind::Tree),
                1 => EntryKind::OffsetDelta(distance),
                _ => EntryKind::RefDelta(base),
            };
            let mut out = Vec::new();
            EntryHeader::write(&kind, size, &mut out);
            prop_assert_eq!(EntryHeader::parse(&out), Ok(EntryHeader { kind, size, len: out.len() }));
            prop_assert_eq!(EntryHeader::parse(&out[..out.len() - 1]), Err(HeaderError::Incomplete));
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes: Vec<u8>) {
            let _ = EntryHeader::parse(&bytes);
        }
    }

    // B5
    #[test]
    fn hostile_headers_are_refused() {
        assert_eq!(EntryHeader::parse(&[0x80]), Err(HeaderError::Incomplete));
        assert_eq!(EntryHeader::parse(&[0x00]), Err(HeaderError::UnknownKind(0)));
        assert_eq!(EntryHeader::parse(&[0x50]), Err(HeaderError::UnknownKind(5)));
        assert_eq!(EntryHeader::parse(&[0xff; 20]), Err(HeaderError::Overflow));
        assert_eq!(EntryHeader::parse(&[0x60, 0]), Err(HeaderError::SelfBase));
    }
}
