//! The text around binary signatures and keys: `-----BEGIN ...-----`, base64, `-----END ...-----`.
//!
//! Lenient about line lengths, which writers choose differently, and about armor headers and checksums, which say nothing
//! (RFC 9580, 6.1 and 6.2). Strict about what is base64 and about what follows the end: nothing.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// What the text says it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Label {
    Ssh,
    PgpSignature,
    /// A signed message, the signature not detached. Git takes it for the start of a signature.
    PgpMessage,
    /// S/MIME's.
    Cms,
    PgpPublicKey,
}

impl Label {
    /// The kinds of signature that git looks for.
    const SIGNATURES: [Label; 4] = [Label::Ssh, Label::PgpSignature, Label::PgpMessage, Label::Cms];

    /// The kind of signature that begins here.
    pub(super) fn of(text: &[u8]) -> Option<Label> {
        let text = text.strip_prefix(b"-----BEGIN ")?;
        Label::SIGNATURES
            .into_iter()
            .find(|label| text.strip_prefix(label.name().as_bytes()).is_some_and(|rest| rest.starts_with(b"-----")))
    }

    fn name(self) -> &'static str {
        match self {
            Label::Ssh => "SSH SIGNATURE",
            Label::PgpSignature => "PGP SIGNATURE",
            Label::PgpMessage => "PGP MESSAGE",
            Label::Cms => "SIGNED MESSAGE",
            Label::PgpPublicKey => "PGP PUBLIC KEY BLOCK",
        }
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The bytes inside an armored text, which is one block with nothing before or after it; else what does not hold.
pub(super) fn decode(text: &[u8], label: Label) -> Result<Vec<u8>, String> {
    let mut lines = text.split(|b| *b == b'\n').map(<[u8]>::trim_ascii_end);
    let edge = |word: &str| format!("-----{word} {label}-----").into_bytes();
    if lines.next() != Some(&edge("BEGIN")) {
        return Err(format!("it does not begin with `-----BEGIN {label}-----` alone on a line"));
    }
    let end = edge("END");
    let is_pgp = label != Label::Ssh;
    let mut base64 = Vec::with_capacity(text.len());
    let mut in_headers = is_pgp;
    let mut n_checksums = 0;
    loop {
        let Some(line) = lines.next() else {
            return Err(format!("it has no line `-----END {label}-----`"));
        };
        if line == end {
            break;
        }
        if in_headers {
            // Headers such as `Version: ...` end at an empty line. Base64 has no colon.
            in_headers = line.contains(&b':');
            if in_headers || line.is_empty() {
                continue;
            }
        }
        if is_pgp && line.len() == 5 && line[0] == b'=' {
            n_checksums += 1;
            continue;
        }
        if n_checksums > 0 {
            return Err("its checksum is not at its end".to_string());
        }
        base64.extend_from_slice(line);
    }
    if lines.any(|line| !line.is_empty()) {
        return Err("something follows its end".to_string());
    }
    STANDARD.decode(&base64).map_err(|_| "it is not base64".to_string())
}
