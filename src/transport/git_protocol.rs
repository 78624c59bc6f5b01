//! The one value that a client may put into the environment: `GIT_PROTOCOL` over SSH, the `Git-Protocol` header over
//! HTTP (gitprotocol-v2, "Initial Client Request"). It is checked and reduced to a version number; the text goes nowhere.

/// The version asked for, 0 where the text asks for one that does not exist. None if the text does not match
/// `^version=[0-9](:[ -~]{0,64})*$` (attack checklist A2).
pub fn protocol_version(text: &[u8]) -> Option<u8> {
    let mut parts = text.split(|b| *b == b':');
    let first = parts.next()?;
    let version = match first.strip_prefix(b"version=") {
        Some([digit @ b'0'..=b'9']) => digit - b'0',
        _ => return None,
    };
    if !parts.all(|part| part.len() <= 64 && part.iter().all(|b| (b' '..=b'~').contains(b))) {
        return None;
    }
    Some(if version <= 2 { version } else { 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    // A2
    #[test]
    fn only_a_version_is_taken() {
        for (text, version) in [
            ("version=2", 2),
            ("version=1", 1),
            ("version=0", 0),
            ("version=9", 0),
            ("version=2:object-format=sha1", 2),
        ] {
            assert_eq!(protocol_version(text.as_bytes()), Some(version), "{text}");
        }
        for text in [
            "",
            "2",
            "version=",
            "version=22",
            "version=x",
            "Version=2",
            " version=2",
            "version=2 ",
            "version=2\n",
            "version=2:a\0b",
            "version=2:\u{e9}",
            &format!("version=2:{}", "a".repeat(65)),
            "object-format=sha1:version=2",
        ] {
            assert_eq!(protocol_version(text.as_bytes()), None, "{text:?}");
        }
    }
}
