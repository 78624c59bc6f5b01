//! The headers of commits and tags, line by line, in the order in which Git checks them.
//!
//! Each check stops at the first line that cannot be read, so an object has one finding here, rarely two. What may be tolerated
//! ([`super::TOLERATED_IN_OLD_HISTORY`]) concerns an identity's line only, and the line after it is read all the same.

use super::message::MessageId;
use crate::names::RefName;
use crate::repository::object::{ObjectKind, extra_headers, id_line};

/// A broken rule with what to tell people.
pub(super) type Problem = (MessageId, &'static str);

/// Checks the raw bytes of a commit, giving each problem to `report`.
pub(super) fn check_commit(data: &[u8], report: &mut impl FnMut(Problem)) {
    if let Err(problem) = commit_problem(data, report) {
        report(problem);
    }
}

fn commit_problem(data: &[u8], report: &mut impl FnMut(Problem)) -> Result<(), Problem> {
    check_header_end(data)?;
    if !data.starts_with(b"tree ") {
        return Err((MessageId::MissingTree, "invalid format - expected 'tree' line"));
    }
    let Some((_, mut rest)) = id_line(data, b"tree ") else {
        return Err((MessageId::BadTreeSha1, "invalid 'tree' line format - bad sha1"));
    };
    while rest.starts_with(b"parent ") {
        let Some((_, after)) = id_line(rest, b"parent ") else {
            return Err((MessageId::BadParentSha1, "invalid 'parent' line format - bad sha1"));
        };
        rest = after;
    }
    let mut n_authors = 0;
    while let Some(line) = rest.strip_prefix(b"author ") {
        n_authors += 1;
        rest = check_ident(line, report);
    }
    match n_authors {
        0 => return Err((MessageId::MissingAuthor, "invalid format - expected 'author' line")),
        1 => {}
        _ => return Err((MessageId::MultipleAuthors, "invalid format - multiple 'author' lines")),
    }
    let Some(line) = rest.strip_prefix(b"committer ") else {
        return Err((MessageId::MissingCommitter, "invalid format - expected 'committer' line"));
    };
    rest = check_ident(line, report);
    check_signatures(rest)?;
    if memchr::memchr(0, data).is_some() {
        return Err((MessageId::NulInCommit, "NUL byte in the commit object body"));
    }
    Ok(())
}

/// Checks the raw bytes of a tag, giving each problem to `report`.
pub(super) fn check_tag(data: &[u8], report: &mut impl FnMut(Problem)) {
    if let Err(problem) = tag_problem(data, report) {
        report(problem);
    }
}

fn tag_problem(data: &[u8], report: &mut impl FnMut(Problem)) -> Result<(), Problem> {
    check_header_end(data)?;
    if !data.starts_with(b"object ") {
        return Err((MessageId::MissingObject, "invalid format - expected 'object' line"));
    }
    let Some((_, rest)) = id_line(data, b"object ") else {
        return Err((MessageId::BadObjectSha1, "invalid 'object' line format - bad sha1"));
    };
    let Some(rest) = rest.strip_prefix(b"type ") else {
        return Err((MessageId::MissingTypeEntry, "invalid format - expected 'type' line"));
    };
    let Some((kind, rest)) = split_line(rest) else {
        return Err((MessageId::MissingType, "invalid format - unexpected end after 'type' line"));
    };
    if ObjectKind::from_name(kind).is_none() {
        return Err((MessageId::BadType, "invalid 'type' value"));
    }
    let Some(rest) = rest.strip_prefix(b"tag ") else {
        return Err((MessageId::MissingTagEntry, "invalid format - expected 'tag' line"));
    };
    let Some((name, mut rest)) = split_line(rest) else {
        return Err((MessageId::MissingTag, "invalid format - unexpected end after 'tag' line"));
    };
    if RefName::parse(&[b"refs/tags/", name].concat()).is_err() {
        report((MessageId::BadTagName, "invalid 'tag' name"));
    }
    match rest.strip_prefix(b"tagger ") {
        // Early tags have none.
        None => report((MessageId::MissingTaggerEntry, "invalid format - expected 'tagger' line")),
        Some(line) => rest = check_ident(line, report),
    }
    check_signatures(rest)?;
    if extra_headers(rest).any(|(name, _)| !is_signature(name)) {
        report((MessageId::ExtraHeaderEntry, "invalid format - extra header(s) after 'tagger'"));
    }
    Ok(())
}

/// A header ends in an empty line, or at least in a line feed, and has no NUL. All that comes after leans on it.
fn check_header_end(data: &[u8]) -> Result<(), Problem> {
    let header_end = memchr::memmem::find(data, b"\n\n").unwrap_or(data.len());
    if memchr::memchr(0, &data[..header_end]).is_some() {
        return Err((MessageId::NulInHeader, "unterminated header: NUL in header"));
    }
    if header_end == data.len() && !data.ends_with(b"\n") {
        return Err((MessageId::UnterminatedHeader, "unterminated header"));
    }
    Ok(())
}

/// One signature of each hash, no line before it that continues nothing. Git reads over the second signature of a commit;
/// which of the two is verified then depends on the verifier (attack checklist B6).
fn check_signatures(headers: &[u8]) -> Result<(), Problem> {
    if headers.starts_with(b" ") {
        return Err((MessageId::BadHeaderContinuation, "a continuation line follows no header that can be continued"));
    }
    let (mut n_sha1, mut n_sha256) = (0, 0);
    for (name, _) in extra_headers(headers) {
        match name {
            b"gpgsig" => n_sha1 += 1,
            b"gpgsig-sha256" => n_sha256 += 1,
            _ => {}
        }
    }
    if n_sha1 > 1 || n_sha256 > 1 {
        return Err((MessageId::BadGpgsig, "more than one signature of a kind"));
    }
    Ok(())
}

fn is_signature(name: &[u8]) -> bool {
    matches!(name, b"gpgsig" | b"gpgsig-sha256")
}

fn split_line(data: &[u8]) -> Option<(&[u8], &[u8])> {
    memchr::memchr(b'\n', data).map(|end| (&data[..end], &data[end + 1..]))
}

/// Checks the line `Name <email> seconds zone` at the start of `data` and returns what follows the line.
fn check_ident<'a>(data: &'a [u8], report: &mut impl FnMut(Problem)) -> &'a [u8] {
    // `check_header_end` has seen that each header line ends; a line cut off is its last.
    let (line, rest) = split_line(data).unwrap_or((data, b""));
    if let Err(problem) = ident_problem(line) {
        report(problem);
    }
    rest
}

fn ident_problem(line: &[u8]) -> Result<(), Problem> {
    if line.starts_with(b"<") {
        return Err((MessageId::MissingNameBeforeEmail, "invalid author/committer line - missing name before email"));
    }
    let Some(open) = memchr::memchr2(b'<', b'>', line) else {
        return Err((MessageId::MissingEmail, "invalid author/committer line - missing email"));
    };
    if line[open] == b'>' {
        return Err((MessageId::BadName, "invalid author/committer line - bad name"));
    }
    if !line[..open].ends_with(b" ") {
        return Err((MessageId::MissingSpaceBeforeEmail, "invalid author/committer line - missing space before email"));
    }
    let email = &line[open + 1..];
    let close = match memchr::memchr2(b'<', b'>', email) {
        Some(close) if email[close] == b'>' => close,
        _ => return Err((MessageId::BadEmail, "invalid author/committer line - bad email")),
    };
    let Some(date) = email[close + 1..].strip_prefix(b" ") else {
        return Err((MessageId::MissingSpaceBeforeDate, "invalid author/committer line - missing space before date"));
    };
    let blanks = date.iter().take_while(|b| matches!(b, b' ' | b'\t')).count();
    let date = &date[blanks..];
    let (seconds, zone) = date.split_at(date.iter().take_while(|b| b.is_ascii_digit()).count());
    if seconds.is_empty() {
        return Err((MessageId::BadDate, "invalid author/committer line - bad date"));
    }
    if seconds[0] == b'0' && date.get(1) != Some(&b' ') {
        return Err((MessageId::ZeroPaddedDate, "invalid author/committer line - zero-padded date"));
    }
    // Without leading zeros, more than 19 digits never fit 63 bits, and 19 digits compare as text.
    if seconds.len() > 19 || seconds.len() == 19 && seconds > &b"9223372036854775807"[..] {
        return Err((MessageId::BadDateOverflow, "invalid author/committer line - date causes integer overflow"));
    }
    let Some(zone) = zone.strip_prefix(b" ") else {
        return Err((MessageId::BadDate, "invalid author/committer line - bad date"));
    };
    match zone {
        [b'+' | b'-', digits @ ..] if digits.len() == 4 && digits.iter().all(u8::is_ascii_digit) => Ok(()),
        _ => Err((MessageId::BadTimezone, "invalid author/committer line - bad time zone")),
    }
}
