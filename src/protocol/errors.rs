//! What a peer can do wrong, in words that may be sent back to it.

use std::io::{self, Write};

use crate::names::{ObjectId, escape_for_people};

use super::pkt_line;

/// The peer broke the protocol or asked for what there is not. Each text may be shown to the peer: it holds nothing
/// but what the peer sent, escaped and cut, and fixed words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PeerError {
    /// The four bytes before a packet are not a length: not hexadecimal, `0003`, or more than 65520.
    #[error("bad line length characters `{shown}`")]
    BadLength {
        /// The four bytes, escaped.
        shown: String,
    },
    /// The stream ended within a packet or before the packet that ends a section.
    #[error("the remote end hung up unexpectedly")]
    Truncated,
    /// More of something than is taken in one request.
    #[error("too many {what}: at most {max} are taken")]
    TooMany {
        /// What there is too much of, in the plural.
        what: &'static str,
        /// The limit.
        max: usize,
    },
    /// A line or value is longer than is taken.
    #[error("{what} is too long: at most {max} bytes are taken")]
    TooLong {
        /// What is too long.
        what: &'static str,
        /// The limit in bytes.
        max: usize,
    },
    /// Something else should have stood here.
    #[error("protocol error: expected {expected}, got `{got}`")]
    Unexpected {
        /// What the protocol has at this place.
        expected: &'static str,
        /// What came, escaped and cut; for a special packet its four digits.
        got: String,
    },
    /// The request begins with no command, or with one that is not offered.
    #[error("invalid command `{got}`")]
    UnknownCommand {
        /// The command asked for, escaped.
        got: String,
    },
    /// The peer names a capability that was not offered to it.
    #[error("unknown capability `{got}`")]
    UnknownCapability {
        /// The capability, escaped.
        got: String,
    },
    /// A command of protocol version 2 does not have this argument.
    #[error("unexpected line: `{got}`")]
    UnknownArgument {
        /// The line, escaped.
        got: String,
    },
    /// The peer works with another hash than SHA-1.
    #[error("unsupported object format `{got}`: this repository uses sha1")]
    ObjectFormat {
        /// The format asked for, escaped.
        got: String,
    },
    /// A known part of the protocol that is not offered here.
    #[error("{what} is not supported")]
    NotSupported {
        /// The part.
        what: &'static str,
    },
    /// A filter-spec that does not parse.
    #[error("invalid filter-spec `{got}`: {reason}")]
    InvalidFilter {
        /// The filter, escaped.
        got: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A filter that Git knows and this server does not serve.
    #[error("filter `{got}` not supported")]
    FilterNotSupported {
        /// The kind of filter.
        got: &'static str,
    },
    /// A `deepen`, `deepen-since` or `deepen-not` line that does not parse.
    #[error("invalid deepen: `{got}`")]
    InvalidDeepen {
        /// The line, escaped.
        got: String,
    },
    /// Depth and history limits exclude each other.
    #[error("deepen and deepen-since (or deepen-not) cannot be used together")]
    DeepenMixed,
    /// The same ref was asked for twice with `want-ref`.
    #[error("duplicate want-ref `{name}`")]
    DuplicateWantRef {
        /// The ref, escaped.
        name: String,
    },
    /// A want that is not served. Whether the object exists makes no difference to the text (attack checklist B2).
    #[error("upload-pack: not our ref {id}")]
    NotOurRef {
        /// The object asked for.
        id: ObjectId,
    },
    /// A shallow fetch whose time or exclusions leave no commit.
    #[error("no commits selected for shallow requests")]
    NothingSelected,
    /// A `want-ref` for a ref that is not there, or not there for this reader: the same text for both.
    #[error("unknown ref {name}")]
    UnknownRef {
        /// The ref, escaped.
        name: String,
    },
    /// A push names one ref in two commands.
    #[error("multiple updates for ref `{name}` not allowed")]
    DuplicateCommand {
        /// The ref, escaped.
        name: String,
    },
    /// A push option or server option outside the limits.
    #[error("option refused: {reason}")]
    PushOption {
        /// The rule that it breaks.
        reason: &'static str,
    },
    /// `git archive --remote` was given an argument that is not taken.
    #[error("archive: `{got}`: {reason}")]
    ArchiveArgument {
        /// The argument, escaped.
        got: String,
        /// Why it is not taken.
        reason: &'static str,
    },
}

impl PeerError {
    /// The error in plain words on one line, fit for an `ERR` packet or sideband 3.
    pub fn message(&self) -> String {
        self.to_string()
    }

    pub(super) fn unexpected(expected: &'static str, got: &[u8]) -> PeerError {
        PeerError::Unexpected { expected, got: shown(got) }
    }
}

/// Reading or writing the protocol failed: by the peer's doing, or because the pipe broke.
#[derive(Debug, thiserror::Error)]
pub enum ProtocolError {
    /// The peer's doing; it can be told.
    #[error(transparent)]
    Peer(#[from] PeerError),
    /// The pipe; there is nobody left to tell.
    #[error("failed to read from or write to the peer")]
    Io(#[from] io::Error),
}

/// Writes `ERR <message>` as one packet, with which Git clients end saying `remote error: <message>`. Line breaks and
/// other control characters in `message` are escaped, and it is cut at 1000 characters.
pub fn write_error(out: &mut impl Write, message: &str) -> io::Result<()> {
    pkt_line::write_data(out, format!("ERR {}", one_line(message)).as_bytes())
}

/// Text as one line of at most 1000 characters, safe for a terminal. A trailing line break is dropped.
pub(super) fn one_line(text: &str) -> String {
    escape_for_people(text.trim_end().as_bytes(), 1000)
}

/// What a peer sent, for an error's text.
pub(super) fn shown(bytes: &[u8]) -> String {
    escape_for_people(bytes, 120)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_line() {
        let mut out = Vec::new();
        write_error(&mut out, "no\nsuch\x1b[31m thing\n").unwrap();
        assert_eq!(out, b"0020ERR no\\nsuch\\u{1b}[31m thing");
        let error = PeerError::unexpected("a flush", b"want\0\xff");
        assert_eq!(error.message(), "protocol error: expected a flush, got `want\\u{0}\\xff`");
    }
}
