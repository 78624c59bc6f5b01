//! The canonical form of a request, which is what is signed.

use super::Head;

/// The canonical request. `body_hash` is 64 hexadecimal digits; `presigned` leaves the signature out of the query.
pub(super) fn request(head: &Head<'_>, signed_headers: &[String], presigned: bool, body_hash: &str) -> String {
    let mut out = String::with_capacity(512);
    out.push_str(head.method);
    out.push('\n');
    out.push_str(&path(head.path));
    out.push('\n');
    out.push_str(&query(head.query.unwrap_or_default(), presigned));
    out.push('\n');
    for name in signed_headers {
        out.push_str(name);
        out.push(':');
        let mut values = head.headers.iter().filter(|(other, _)| other == name).map(|(_, value)| folded(value));
        if let Some(first) = values.next() {
            out.push_str(&first);
        }
        for more in values {
            out.push(',');
            out.push_str(&more);
        }
        out.push('\n');
    }
    out.push('\n');
    out.push_str(&signed_headers.join(";"));
    out.push('\n');
    out.push_str(body_hash);
    out
}

/// A header's value without spaces at its ends and with runs of spaces as one. Bytes that are not UTF-8 are replaced, so that what
/// holds such is never equal to what a client has signed.
fn folded(value: &[u8]) -> String {
    let text = String::from_utf8_lossy(value);
    let mut out = String::with_capacity(text.len());
    for word in text.split([' ', '\t', '\n', '\r']).filter(|word| !word.is_empty()) {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
    out
}

/// The path without dot segments and double slashes, each segment encoded once more than it came: what all services but S3 do.
fn path(path: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            other => segments.push(other),
        }
    }
    let mut out = String::from("/");
    for (n, segment) in segments.iter().enumerate() {
        if n > 0 {
            out.push('/');
        }
        encode(&mut out, segment.as_bytes());
    }
    let ends_with_slash = path.len() > 1 && path.ends_with(['/']) || path.ends_with("/.") || path.ends_with("/..");
    if ends_with_slash && !segments.is_empty() {
        out.push('/');
    }
    out
}

/// The parameters encoded anew and sorted by their encoded names and values.
fn query(query: &str, presigned: bool) -> String {
    let mut pairs: Vec<(String, String)> = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let encoded = |text: &str| {
            let mut out = String::new();
            // What does not decode stays as it is: then it is what the client signed, or nothing.
            // A form's `+` is a space, as whoever reads the parameters takes it: were it a plus here, one could be put for `%2B`.
            let plain = text.replace('+', "%20");
            encode(&mut out, &decode(&plain).unwrap_or_else(|| plain.into_bytes()));
            out
        };
        let (name, value) = (encoded(name), encoded(value));
        if !(presigned && name == "X-Amz-Signature") {
            pairs.push((name, value));
        }
    }
    pairs.sort();
    let pairs: Vec<String> = pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join("&")
}

/// Percent-decoding; a `+` is a plus. None where a `%` is not followed by two digits.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let mut digit = || char::from(bytes.next()?).to_digit(16);
        let (high, low) = (digit()?, digit()?);
        out.push(u8::try_from(high << 4 | low).ok()?);
    }
    Some(out)
}

/// RFC 3986's unreserved characters as they are, all others as `%XX`.
fn encode(out: &mut String, bytes: &[u8]) {
    for byte in bytes {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(*byte)),
            other => {
                out.push('%');
                for digit in [other >> 4, other & 15] {
                    out.push(char::from(b"0123456789ABCDEF"[usize::from(digit)]));
                }
            }
        }
    }
}
