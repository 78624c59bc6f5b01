//! Where in a commit or tag the signature stands, and what is left to be signed without it.
//!
//! Follows git's own rules to the byte (`parse_signed_commit` and `parse_signature` in its `commit.c` and `gpg-interface.c`),
//! for what one of the two would leave out the other would not verify. Where git's rules leave bytes unsigned that a reader
//! may take for signed, the object is refused instead.

use std::borrow::Cow;

use super::armor::Label;
use super::{ObjectKind, SignatureError};

/// An object in two.
#[derive(Debug)]
pub(super) struct Split<'a> {
    /// The object without its signatures.
    pub(super) payload: Cow<'a, [u8]>,
    /// The armored signature, line feeds included.
    pub(super) text: Cow<'a, [u8]>,
}

/// The header that holds a commit's signature in repositories of SHA-1 ids.
const HEADER: &[u8] = b"gpgsig ";
/// The one in repositories of SHA-256 ids. Each is left out of what the other signs.
const HEADER_SHA256: &[u8] = b"gpgsig-sha256 ";
/// What git takes for a signature of some kind, and leaves out of the payload.
const HEADER_ANY: &[u8] = b"gpgsig";

/// What becomes of the continuation lines that follow a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Header {
    Payload,
    Signature,
    Dropped,
}

/// Takes the `gpgsig` header out of a commit.
pub(super) fn split_commit(object: &[u8]) -> Result<Option<Split<'_>>, SignatureError> {
    let ambiguous = |rule| Err(SignatureError::Ambiguous { kind: ObjectKind::Commit, rule });
    let mut payload = Vec::with_capacity(object.len());
    let mut text = Vec::new();
    let mut within = Header::Payload;
    let (mut n_signatures, mut n_sha256) = (0, 0);
    let mut rest = object;
    while !rest.is_empty() && rest[0] != b'\n' {
        let (line, after) = first_line(rest);
        rest = after;
        let mut content = line;
        if line[0] != b' ' {
            within = if let Some(value) = line.strip_prefix(HEADER) {
                n_signatures += 1;
                content = value;
                Header::Signature
            } else if line.starts_with(HEADER_SHA256) {
                n_sha256 += 1;
                Header::Dropped
            } else if line.starts_with(HEADER_ANY) {
                return ambiguous("a header begins with `gpgsig` and is not known; it would be signed by nobody");
            } else {
                Header::Payload
            };
        } else if within == Header::Signature {
            content = &line[1..];
        }
        match within {
            Header::Payload => payload.extend_from_slice(content),
            Header::Signature => text.extend_from_slice(content),
            Header::Dropped => {}
        }
    }
    if n_signatures > 1 || n_sha256 > 1 {
        return ambiguous("it has several `gpgsig` headers");
    }
    if n_signatures == 0 {
        return Ok(None);
    }
    payload.extend_from_slice(rest);
    Ok(Some(Split { payload: Cow::Owned(payload), text: Cow::Owned(text) }))
}

/// Cuts the signature off a tag: from the last line that begins one to the end.
pub(super) fn split_tag(object: &[u8]) -> Result<Option<Split<'_>>, SignatureError> {
    let mut begin = None;
    let mut offset = 0;
    while offset < object.len() {
        if Label::of(&object[offset..]).is_some() {
            begin = Some(offset);
        }
        offset = object.len() - first_line(&object[offset..]).1.len();
    }
    let Some(begin) = begin else { return Ok(None) };
    let (payload, text) = object.split_at(begin);
    Ok(Some(Split { payload: without_sha256_header(payload)?, text: Cow::Borrowed(text) }))
}

/// A tag's payload without the header that signs it under its SHA-256 id.
fn without_sha256_header(payload: &[u8]) -> Result<Cow<'_, [u8]>, SignatureError> {
    let mut dropped = None;
    let mut offset = 0;
    while offset < payload.len() && payload[offset] != b'\n' {
        let line = first_line(&payload[offset..]).0;
        let end = offset + line.len();
        match &mut dropped {
            Some((_, dropped_end)) if *dropped_end == offset && line[0] == b' ' => *dropped_end = end,
            None if line.starts_with(HEADER_SHA256) => dropped = Some((offset, end)),
            _ if line.starts_with(HEADER_ANY) => {
                let rule = "its header has a `gpgsig` that is not known, or several";
                return Err(SignatureError::Ambiguous { kind: ObjectKind::Tag, rule });
            }
            _ => {}
        }
        offset = end;
    }
    let Some((begin, end)) = dropped else { return Ok(Cow::Borrowed(payload)) };
    Ok(Cow::Owned([&payload[..begin], &payload[end..]].concat()))
}

/// The first line, with its line feed if there is one, and what follows it.
fn first_line(bytes: &[u8]) -> (&[u8], &[u8]) {
    bytes.split_at(memchr::memchr(b'\n', bytes).map_or(bytes.len(), |end| end + 1))
}
