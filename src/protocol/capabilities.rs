//! The capability list of versions 0 and 1: words separated by spaces, some with `=value`, that a client sends behind
//! its first line. (gitprotocol-capabilities)
//!
//! Agents and session ids are only ever data: cleaned, cut, and never joined into a line with a meaning
//! (attack checklist B10).

use super::errors::{PeerError, shown};

/// Most capabilities in one list.
const MAX_CAPABILITIES: usize = 64;
/// Most bytes in one capability, its value included.
const MAX_CAPABILITY_BYTES: usize = 1024;
/// Most bytes kept of an agent or a session id.
const MAX_LABEL_BYTES: usize = 128;

/// Capabilities as a client sent them, in its order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CapabilityList {
    items: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

impl CapabilityList {
    /// Parses words separated by spaces; more than one space, also in front and behind, are taken as one.
    /// Refuses more than 64 capabilities and any of more than 1024 bytes. Those not known are kept: the protocol asks
    /// clients not to send them, and Git's own server passes them over.
    pub fn parse(list: &[u8]) -> Result<CapabilityList, PeerError> {
        let mut items = Vec::new();
        for word in list.split(|b| matches!(b, b' ' | b'\n' | b'\t')).filter(|word| !word.is_empty()) {
            if items.len() == MAX_CAPABILITIES {
                return Err(PeerError::TooMany { what: "capabilities", max: MAX_CAPABILITIES });
            }
            if word.len() > MAX_CAPABILITY_BYTES {
                return Err(PeerError::TooLong { what: "a capability", max: MAX_CAPABILITY_BYTES });
            }
            items.push(match word.iter().position(|b| *b == b'=') {
                Some(at) => (word[..at].to_vec(), Some(word[at + 1..].to_vec())),
                None => (word.to_vec(), None),
            });
        }
        Ok(CapabilityList { items })
    }

    /// Whether the list has `name`, with a value or without.
    pub fn has(&self, name: &str) -> bool {
        self.items.iter().any(|(key, _)| key == name.as_bytes())
    }

    /// The value of the first `name=value`.
    pub fn value(&self, name: &str) -> Option<&[u8]> {
        self.items.iter().find_map(|(key, value)| if key == name.as_bytes() { value.as_deref() } else { None })
    }

    /// The client's `agent`, cleaned as [`clean_label`] does.
    pub fn agent(&self) -> Option<String> {
        self.value("agent").map(clean_label)
    }

    /// The client's `session-id`, cleaned as [`clean_label`] does.
    pub fn session_id(&self) -> Option<String> {
        self.value("session-id").map(clean_label)
    }

    /// Refuses any object format but SHA-1, which is also what no format means. A format that stands twice is looked
    /// at twice.
    pub fn check_object_format(&self) -> Result<(), PeerError> {
        let formats = self.items.iter().filter(|(key, _)| key == b"object-format");
        for (_, value) in formats {
            check_object_format(value.as_deref().unwrap_or_default())?;
        }
        Ok(())
    }
}

/// Refuses any object format but `sha1`.
pub(super) fn check_object_format(format: &[u8]) -> Result<(), PeerError> {
    if format == b"sha1" { Ok(()) } else { Err(PeerError::ObjectFormat { got: shown(format) }) }
}

/// An agent or session id made fit to stand in a capability, a log line and a record: each byte outside `!` to `~`
/// becomes a dot, as Git does with its own agent, and at most 128 bytes are kept.
pub fn clean_label(label: &[u8]) -> String {
    let kept = label.iter().take(MAX_LABEL_BYTES);
    kept.map(|b| if b.is_ascii_graphic() { char::from(*b) } else { '.' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_git_sends() {
        let list =
            b" report-status-v2 side-band-64k quiet object-format=sha1 agent=git/2.47.1-Linux session-id=20260101-x";
        let list = CapabilityList::parse(list).unwrap();
        assert!(list.has("report-status-v2") && list.has("quiet") && list.has("agent"));
        assert!(!list.has("report-status") && !list.has("side-band"));
        assert_eq!(list.agent().unwrap(), "git/2.47.1-Linux");
        assert_eq!(list.session_id().unwrap(), "20260101-x");
        assert_eq!(list.value("quiet"), None);
        list.check_object_format().unwrap();
        CapabilityList::default().check_object_format().unwrap();
    }

    #[test]
    fn other_hashes_are_refused() {
        for list in
            ["object-format=sha256", "object-format", "object-format=", "object-format=sha1 object-format=sha256"]
        {
            let list = CapabilityList::parse(list.as_bytes()).unwrap();
            assert!(matches!(list.check_object_format(), Err(PeerError::ObjectFormat { .. })), "{list:?}");
        }
        let message = check_object_format(b"sha256").unwrap_err().message();
        assert_eq!(message, "unsupported object format `sha256`: this repository uses sha1");
    }

    // B5
    #[test]
    fn lists_are_bounded() {
        assert!(CapabilityList::parse("a ".repeat(64).as_bytes()).is_ok());
        assert!(matches!(CapabilityList::parse("a ".repeat(65).as_bytes()), Err(PeerError::TooMany { .. })));
        assert!(matches!(CapabilityList::parse("a".repeat(1025).as_bytes()), Err(PeerError::TooLong { .. })));
    }

    // B10
    #[test]
    fn labels_are_cleaned() {
        assert_eq!(clean_label(b"git/2 x\x1b[0m\xff;a=b"), "git/2.x.[0m.;a=b");
        assert_eq!(clean_label(&[b'a'; 500]).len(), 128);
    }
}
