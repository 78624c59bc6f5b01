//! Filter-specs: what a partial clone leaves out. (git-rev-list, `--filter`; gitprotocol-v2, "fetch")

use crate::protocol::errors::{PeerError, shown};

use super::arguments::parse_decimal;

/// Most bytes in a filter-spec.
const MAX_SPEC_BYTES: usize = 4096;
/// Most filters in one `combine:`.
const MAX_FILTERS: usize = 16;
/// How deep `combine:` may stand within `combine:`.
const MAX_NESTING: usize = 4;

/// What is left out of a pack, unless it is wanted by its own id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filter {
    /// `blob:none`: all blobs.
    BlobNone,
    /// `blob:limit=N`: blobs of N bytes or more. 0 is the same as `BlobNone`.
    BlobLimit(u64),
    /// `tree:N`: trees and blobs that are N or more steps away from the root tree, which is 0.
    TreeDepth(u64),
    /// `object:type=T`: everything that is not of this type.
    ObjectType(ObjectType),
    /// `combine:A+B`: what any of these leaves out; at least two, none of them a `Combine`.
    Combine(Vec<Filter>),
}

/// The four types of object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObjectType {
    /// A commit.
    Commit,
    /// A tree.
    Tree,
    /// A blob.
    Blob,
    /// An annotated tag.
    Tag,
}

impl Filter {
    /// Parses a filter-spec. `sparse:oid` is refused, since its answer depends on the contents of a blob that the
    /// client names (attack checklist B2), `sparse:path` as Git refuses it.
    pub fn parse(spec: &[u8]) -> Result<Filter, PeerError> {
        if spec.len() > MAX_SPEC_BYTES {
            return Err(PeerError::TooLong { what: "a filter-spec", max: MAX_SPEC_BYTES });
        }
        let mut filters = Vec::new();
        parse_into(spec, 0, &mut filters)?;
        // Combining is "left out by any", which does not care for nesting.
        match filters.len() {
            1 => Ok(filters.remove(0)),
            _ => Ok(Filter::Combine(filters)),
        }
    }
}

fn parse_into(spec: &[u8], nesting: usize, filters: &mut Vec<Filter>) -> Result<(), PeerError> {
    let bad = |reason| PeerError::InvalidFilter { got: shown(spec), reason };
    if let Some(subs) = spec.strip_prefix(b"combine:") {
        if nesting == MAX_NESTING {
            return Err(bad("combined too deeply"));
        }
        for sub in subs.split(|b| *b == b'+') {
            if sub.is_empty() {
                return Err(bad("a filter-spec is missing after combine"));
            }
            if sub.iter().any(|b| *b <= b' ' || *b >= 0x7f || b"~`!@#$^&*()[]{}\\;'\",<>?".contains(b)) {
                return Err(bad("a character must be escaped in a sub-filter-spec"));
            }
            let sub = percent_decode(sub).ok_or_else(|| bad("a percent sign needs two hexadecimal digits"))?;
            parse_into(&sub, nesting + 1, filters)?;
        }
        return Ok(());
    }
    let filter = if spec == b"blob:none" {
        Filter::BlobNone
    } else if let Some(size) = spec.strip_prefix(b"blob:limit=") {
        Filter::BlobLimit(parse_size(size).ok_or_else(|| bad("expected a size, such as 1m"))?)
    } else if let Some(depth) = spec.strip_prefix(b"tree:") {
        Filter::TreeDepth(parse_size(depth).ok_or_else(|| bad("expected 'tree:<depth>'"))?)
    } else if let Some(name) = spec.strip_prefix(b"object:type=") {
        Filter::ObjectType(match name {
            b"commit" => ObjectType::Commit,
            b"tree" => ObjectType::Tree,
            b"blob" => ObjectType::Blob,
            b"tag" => ObjectType::Tag,
            _ => return Err(bad("not a valid object type")),
        })
    } else if spec.starts_with(b"sparse:oid=") {
        return Err(PeerError::FilterNotSupported { got: "sparse:oid" });
    } else if spec.starts_with(b"sparse:path=") {
        return Err(PeerError::FilterNotSupported { got: "sparse:path" });
    } else {
        return Err(bad("not a known filter"));
    };
    if filters.len() == MAX_FILTERS {
        return Err(PeerError::TooMany { what: "combined filters", max: MAX_FILTERS });
    }
    filters.push(filter);
    Ok(())
}

/// A number with `k`, `m` or `g` behind it, as in Git's configuration.
fn parse_size(text: &[u8]) -> Option<u64> {
    let (digits, unit) = match text.last()? {
        b'k' | b'K' => (&text[..text.len() - 1], 1 << 10),
        b'm' | b'M' => (&text[..text.len() - 1], 1 << 20),
        b'g' | b'G' => (&text[..text.len() - 1], 1 << 30),
        _ => (text, 1),
    };
    parse_decimal(digits)?.checked_mul(unit)
}

fn percent_decode(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first == b'%' {
            let (digits, after) = rest.split_first_chunk::<2>()?;
            let digit = |b: u8| char::from(b).to_digit(16);
            out.push((digit(digits[0])? * 16 + digit(digits[1])?) as u8);
            rest = after;
        } else {
            out.push(*first);
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn filters_that_are_served() {
        use Filter::*;
        for (spec, expected) in [
            ("blob:none", BlobNone),
            ("blob:limit=0", BlobLimit(0)),
            ("blob:limit=1k", BlobLimit(1024)),
            ("blob:limit=2M", BlobLimit(2 << 20)),
            ("blob:limit=3g", BlobLimit(3 << 30)),
            ("tree:0", TreeDepth(0)),
            ("tree:7", TreeDepth(7)),
            ("object:type=tag", ObjectType(super::ObjectType::Tag)),
            ("combine:blob:none+tree:3", Combine(vec![BlobNone, TreeDepth(3)])),
            ("combine:blob%3anone+tree%3A3", Combine(vec![BlobNone, TreeDepth(3)])),
            ("combine:tree:1", TreeDepth(1)),
            ("combine:combine%3Ablob:none%2Btree:2+blob:limit=5", Combine(vec![BlobNone, TreeDepth(2), BlobLimit(5)])),
        ] {
            assert_eq!(Filter::parse(spec.as_bytes()), Ok(expected), "{spec}");
        }
    }

    // B2 B5
    #[test]
    fn filters_that_are_refused() {
        let error = Filter::parse(b"sparse:oid=HEAD:.gitignore").unwrap_err();
        assert_eq!(error.message(), "filter `sparse:oid` not supported");
        assert_eq!(
            Filter::parse(b"combine:tree:1+sparse:path=x"),
            Err(PeerError::FilterNotSupported { got: "sparse:path" })
        );
        for spec in [
            "",
            "blob",
            "blob:none ",
            "blob:limit=",
            "blob:limit=k",
            "blob:limit=-1",
            "blob:limit=1t",
            "blob:limit=18446744073709551616",
            "blob:limit=18446744073709551615k",
            "tree:",
            "tree:x",
            "object:type=",
            "object:type=Blob",
            "combine:",
            "combine:blob:none+",
            "combine:+blob:none",
            "combine:blob:none%",
            "combine:blob:none%2",
            "combine:blob:none%zz",
            "combine:blob none",
            "combine:a(b)",
            "auto",
        ] {
            assert!(matches!(Filter::parse(spec.as_bytes()), Err(PeerError::InvalidFilter { .. })), "{spec}");
        }
        let deep = format!("{}blob:none", "combine:".repeat(5));
        assert!(matches!(Filter::parse(deep.as_bytes()), Err(PeerError::InvalidFilter { .. })));
        let many = format!("combine:{}", ["tree:1"; 17].join("+"));
        assert!(matches!(Filter::parse(many.as_bytes()), Err(PeerError::TooMany { .. })));
        assert!(matches!(Filter::parse(&[b'a'; 5000]), Err(PeerError::TooLong { .. })));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_filter_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = Filter::parse(&bytes);
            let mut spec = b"combine:".to_vec();
            spec.extend_from_slice(&bytes);
            let _ = Filter::parse(&spec);
        }
    }
}
