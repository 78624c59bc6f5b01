//! The lines that all versions have in common: wants, the shallow family, the filter.

use std::collections::HashSet;

use crate::names::{ObjectId, RefName};
use crate::protocol::errors::{PeerError, shown};

use super::{Deepen, Filter, Limits, PackRequest, push_bounded};

/// A request while its lines come in.
#[derive(Debug, Default)]
pub(super) struct Arguments {
    pub(super) request: PackRequest,
    seen_wants: HashSet<ObjectId>,
    seen_shallow: HashSet<ObjectId>,
    depth: Option<u32>,
    since: Option<u64>,
    not: Vec<Vec<u8>>,
}

impl Arguments {
    /// Takes a want; one that stands twice counts once.
    pub(super) fn want(&mut self, id: ObjectId, limits: &Limits) -> Result<(), PeerError> {
        if self.seen_wants.insert(id) {
            push_bounded(&mut self.request.wants, id, "wants", limits.wants)?;
        }
        Ok(())
    }

    /// Takes `shallow`, `deepen`, `deepen-since` and `deepen-not` lines; says whether `line` was one.
    pub(super) fn take_shallow(&mut self, line: &[u8], limits: &Limits) -> Result<bool, PeerError> {
        if let Some(id) = line.strip_prefix(b"shallow ") {
            let id = parse_oid(id).ok_or_else(|| PeerError::unexpected("`shallow` and an object id", line))?;
            if self.seen_shallow.insert(id) {
                push_bounded(&mut self.request.shallow, id, "shallow lines", limits.shallow)?;
            }
        } else if let Some(depth) = line.strip_prefix(b"deepen ") {
            let depth = parse_decimal(depth).and_then(|depth| u32::try_from(depth).ok());
            self.depth =
                Some(depth.filter(|depth| *depth > 0).ok_or_else(|| PeerError::InvalidDeepen { got: shown(line) })?);
        } else if let Some(since) = line.strip_prefix(b"deepen-since ") {
            // Git cannot say a time before 1970 here, and keeps the largest number for itself.
            let since = parse_decimal(since).filter(|since| *since <= i64::MAX as u64);
            self.since = Some(since.ok_or_else(|| PeerError::InvalidDeepen { got: shown(line) })?);
        } else if let Some(name) = line.strip_prefix(b"deepen-not ") {
            if name.is_empty() || name.len() > RefName::MAX_BYTES {
                return Err(PeerError::InvalidDeepen { got: shown(line) });
            }
            push_bounded(&mut self.not, name.to_vec(), "deepen-not lines", limits.deepen_not)?;
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    /// Takes the filter-spec behind `filter `.
    pub(super) fn filter(&mut self, spec: &[u8]) -> Result<(), PeerError> {
        if self.request.filter.is_some() {
            return Err(PeerError::InvalidFilter {
                got: shown(spec),
                reason: "multiple filter-specs cannot be combined",
            });
        }
        self.request.filter = Some(Filter::parse(spec)?);
        Ok(())
    }

    /// The request, once all lines are in.
    pub(super) fn finish(mut self) -> Result<PackRequest, PeerError> {
        let by_history = self.since.is_some() || !self.not.is_empty();
        self.request.deepen = match self.depth {
            Some(_) if by_history => return Err(PeerError::DeepenMixed),
            Some(depth) => Some(Deepen::Depth(depth)),
            None if by_history => Some(Deepen::History { since: self.since, not: self.not }),
            None => None,
        };
        Ok(self.request)
    }
}

/// Forty hexadecimal digits and nothing else. The other hash's 64 are not taken: the repository has SHA-1.
pub(in crate::protocol) fn parse_oid(hex: &[u8]) -> Option<ObjectId> {
    if hex.len() == 40 && hex.iter().all(u8::is_ascii_hexdigit) { ObjectId::from_hex(hex).ok() } else { None }
}

/// Decimal digits and nothing else: no sign, no space.
pub(super) fn parse_decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    digits.iter().try_fold(0_u64, |n, digit| n.checked_mul(10)?.checked_add(u64::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deepen(lines: &[&str]) -> Result<Option<Deepen>, PeerError> {
        let mut arguments = Arguments::default();
        for line in lines {
            assert!(arguments.take_shallow(line.as_bytes(), &Limits::default())?, "{line}");
        }
        Ok(arguments.finish()?.deepen)
    }

    #[test]
    fn where_history_stops() {
        assert_eq!(deepen(&[]), Ok(None));
        assert_eq!(deepen(&["deepen 2147483647"]), Ok(Some(Deepen::Depth(2147483647))));
        let not = vec![b"main".to_vec(), b"refs/tags/v1".to_vec()];
        assert_eq!(
            deepen(&["deepen-not main", "deepen-since 1700000000", "deepen-not refs/tags/v1"]),
            Ok(Some(Deepen::History { since: Some(1_700_000_000), not }))
        );
        assert_eq!(deepen(&["deepen 1", "deepen-since 1"]), Err(PeerError::DeepenMixed));
        assert_eq!(deepen(&["deepen-not x", "deepen 1"]), Err(PeerError::DeepenMixed));
    }

    // B5
    #[test]
    fn numbers_that_are_refused() {
        for line in [
            "deepen 0",
            "deepen -1",
            "deepen ",
            "deepen 1x",
            "deepen +1",
            "deepen 4294967296",
            "deepen 99999999999999999999999",
            "deepen-since ",
            "deepen-since -1",
            "deepen-since 18446744073709551615",
            "deepen-since yesterday",
            "deepen-not ",
        ] {
            assert!(matches!(deepen(&[line]), Err(PeerError::InvalidDeepen { .. })), "{line}");
        }
    }

    #[test]
    fn object_ids_have_forty_digits() {
        for hex in [
            "",
            "11",
            &"1".repeat(39),
            &"1".repeat(41),
            &"1".repeat(64),
            &"g".repeat(40),
            &format!("{} ", "1".repeat(39)),
        ] {
            assert_eq!(parse_oid(hex.as_bytes()), None, "{hex}");
        }
        assert!(parse_oid("aB".repeat(20).as_bytes()).is_some());
        let limits = Limits { shallow: 2, ..Limits::default() };
        let mut arguments = Arguments::default();
        for digit in ["1", "2", "2", "1"] {
            arguments.take_shallow(format!("shallow {}", digit.repeat(40)).as_bytes(), &limits).unwrap();
        }
        let third = format!("shallow {}", "3".repeat(40));
        assert!(matches!(arguments.take_shallow(third.as_bytes(), &limits), Err(PeerError::TooMany { .. })));
    }
}
