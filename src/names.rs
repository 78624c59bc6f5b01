//! Names that can only be built valid: accounts, repositories, users, refs. Parsed at the door; inside, nobody checks again.
//!
//! A name from outside never becomes a path: files carry server-made ids, names are sealed values in the catalog.

use std::fmt;
use std::sync::Arc;

pub use gix_hash::ObjectId;

/// Why a name was refused; the text is shown to the person who gave it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} `{shown}` is not valid: {rule}")]
pub struct InvalidName {
    what: &'static str,
    /// The name with control characters and bytes that are not UTF-8 escaped, cut to 120 characters.
    shown: String,
    rule: &'static str,
}

impl InvalidName {
    fn new(what: &'static str, name: &[u8], rule: &'static str) -> InvalidName {
        InvalidName { what, shown: escape_for_people(name, 120), rule }
    }
}

/// Text from outside, made safe for a terminal or a log line: control characters and bytes that are not UTF-8 become
/// escapes, and no more than `max_chars` characters are kept.
pub fn escape_for_people(text: &[u8], max_chars: usize) -> String {
    let mut out = String::new();
    let mut n_chars = 0;
    for chunk in text.utf8_chunks() {
        for c in chunk.valid().chars() {
            if n_chars == max_chars {
                out.push('…');
                return out;
            }
            n_chars += 1;
            let bidi =
                matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
            if c.is_control() || bidi {
                out.extend(c.escape_default());
            } else {
                out.push(c);
            }
        }
        for b in chunk.invalid() {
            if n_chars == max_chars {
                out.push('…');
                return out;
            }
            n_chars += 1;
            out.push_str(&format!("\\x{b:02x}"));
        }
    }
    out
}

macro_rules! string_name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);
        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }
        impl std::str::FromStr for $name {
            type Err = InvalidName;
            fn from_str(s: &str) -> Result<Self, InvalidName> {
                Self::parse(s)
            }
        }
    };
}

string_name!(
    /// Twelve digits, as AWS numbers its accounts.
    AccountId
);
string_name!(
    /// A repository's name within its account: `[A-Za-z0-9][A-Za-z0-9._-]{0,99}`, no reserved ending (attack checklist A4).
    RepositoryName
);
string_name!(
    /// The name of a user, group or role within its account: 1 to 64 characters of `[A-Za-z0-9+=,.@_-]`, as in IAM, not beginning with `-` or `.`.
    PrincipalName
);

string_name!(
    /// The name of a policy that is attached through IAM's operations: 1 to 128 characters of `[A-Za-z0-9_+=,.@-]`, as in IAM.
    PolicyName
);

impl PolicyName {
    /// Takes a name of up to 128 characters.
    pub fn parse(s: &str) -> Result<PolicyName, InvalidName> {
        let is_fine = |b: u8| b.is_ascii_alphanumeric() || b"_+=,.@-".contains(&b);
        if (1..=128).contains(&s.len()) && s.bytes().all(is_fine) {
            Ok(PolicyName(s.into()))
        } else {
            Err(InvalidName::new("policy name", s.as_bytes(), "it has 1 to 128 letters, digits and `_+=,.@-`"))
        }
    }

    /// The form under which names are unique.
    pub fn folded(&self) -> String {
        self.0.to_ascii_lowercase()
    }
}

impl AccountId {
    /// Takes exactly twelve ASCII digits.
    pub fn parse(s: &str) -> Result<AccountId, InvalidName> {
        if s.len() == 12 && s.bytes().all(|b| b.is_ascii_digit()) {
            Ok(AccountId(s.into()))
        } else {
            Err(InvalidName::new("account id", s.as_bytes(), "it is twelve digits"))
        }
    }
}

impl RepositoryName {
    /// Takes a name of up to 100 characters; a trailing `.git` is the URL's and not part of it.
    pub fn parse(s: &str) -> Result<RepositoryName, InvalidName> {
        let bad = |rule| Err(InvalidName::new("repository name", s.as_bytes(), rule));
        if s.is_empty() || s.len() > 100 {
            return bad("it has 1 to 100 characters");
        }
        if !s.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-')) {
            return bad("it is made of letters, digits, `.`, `_` and `-`");
        }
        if !s.as_bytes()[0].is_ascii_alphanumeric() {
            return bad("it begins with a letter or a digit");
        }
        let lower = s.to_ascii_lowercase();
        if [".git", ".lock", ".wiki", ".rss", ".atom"].iter().any(|end| lower.ends_with(end)) || lower.ends_with('.') {
            return bad("it may not end in `.git`, `.lock`, `.wiki`, `.rss`, `.atom` or a dot");
        }
        Ok(RepositoryName(s.into()))
    }

    /// The form under which names are unique: what differs only in case is the same name (attack checklist B14).
    pub fn folded(&self) -> String {
        self.0.to_ascii_lowercase()
    }
}

impl PrincipalName {
    /// Takes a name of up to 64 characters.
    pub fn parse(s: &str) -> Result<PrincipalName, InvalidName> {
        let bad = |rule| Err(InvalidName::new("name", s.as_bytes(), rule));
        if s.is_empty() || s.len() > 64 {
            return bad("it has 1 to 64 characters");
        }
        if !s.bytes().all(|b| b.is_ascii_alphanumeric() || b"+=,.@_-".contains(&b)) {
            return bad("it is made of letters, digits and `+=,.@_-`");
        }
        if matches!(s.as_bytes()[0], b'-' | b'.') {
            return bad("it may not begin with `-` or `.`");
        }
        Ok(PrincipalName(s.into()))
    }

    /// The form under which names are unique: what differs only in case is the same name.
    pub fn folded(&self) -> String {
        self.0.to_ascii_lowercase()
    }
}

/// A full ref name such as `refs/heads/main`, by the rules of `git check-ref-format`; bytes, since Git does not ask for UTF-8.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RefName(Arc<[u8]>);

/// As bytes it sorts and hashes as it does by itself.
impl std::borrow::Borrow<[u8]> for RefName {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl RefName {
    /// Longest ref name that is taken, in bytes.
    pub const MAX_BYTES: usize = 1024;

    /// Takes a full ref name: it begins with `refs/` and follows `git check-ref-format`; besides, no component begins
    /// with `-`, so that it can never be read as an option (attack checklist A1).
    pub fn parse(name: &[u8]) -> Result<RefName, InvalidName> {
        let bad = |rule| Err(InvalidName::new("ref name", name, rule));
        if name.len() > Self::MAX_BYTES {
            return bad("it has at most 1024 bytes");
        }
        if !name.starts_with(b"refs/") {
            return bad("it begins with `refs/`");
        }
        if name.split(|b| *b == b'/').count() < 3 {
            return bad("it has a kind and a name after `refs/`, such as `refs/heads/main`");
        }
        for component in name.split(|b| *b == b'/') {
            if component.is_empty() {
                return bad("no part of it is empty");
            }
            if component[0] == b'.' || component.ends_with(b".lock") {
                return bad("no part of it begins with `.` or ends in `.lock`");
            }
            if component[0] == b'-' {
                return bad("no part of it begins with `-`");
            }
        }
        if name.iter().any(|b| *b < 0x20 || *b == 0x7f || b" ~^:?*[\\".contains(b)) {
            return bad("it has no space, control character or any of `~^:?*[\\`");
        }
        if name.windows(2).any(|w| w == b".." || w == b"@{") {
            return bad("it has no `..` and no `@{`");
        }
        if name.ends_with(b".") {
            return bad("it does not end in a dot");
        }
        Ok(RefName(name.into()))
    }

    /// The branch `refs/heads/BRANCH`.
    pub fn branch(branch: &str) -> Result<RefName, InvalidName> {
        RefName::parse(format!("refs/heads/{branch}").as_bytes())
    }

    /// The whole name's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The name for people: escaped where it is not plain text.
    pub fn for_people(&self) -> String {
        escape_for_people(&self.0, RefName::MAX_BYTES)
    }
}

impl fmt::Display for RefName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.for_people())
    }
}

impl fmt::Debug for RefName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.for_people())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // A1 A4 B14
    #[test]
    fn names_that_are_refused() {
        for name in [
            "",
            "..",
            ".",
            "a/b",
            "-x",
            "a.git",
            "a.GIT",
            "a.lock",
            "x.",
            "a b",
            "a\0",
            "ｒepo",
            "%2e%2e",
            &"a".repeat(101),
        ] {
            assert!(RepositoryName::parse(name).is_err(), "{name:?}");
        }
        for name in ["shop", "a", "0-x_y.z", "gitolite", "CON"] {
            assert!(RepositoryName::parse(name).is_ok(), "{name:?}");
        }
        for name in [
            "refs/heads",
            "HEAD",
            "refs/heads/",
            "refs//heads/x",
            "refs/heads/.x",
            "refs/heads/x.lock",
            "refs/heads/a..b",
            "refs/heads/-h",
            "refs/heads/a@{1}",
            "refs/heads/a b",
            "refs/heads/a.",
            "refs/heads/a\x7f",
            "refs/heads/a\\b",
            "refs/heads/--exec=touch${IFS}x",
            "refs/heads/x^",
        ] {
            assert!(RefName::parse(name.as_bytes()).is_err(), "{name:?}");
        }
        for name in [
            "refs/heads/main",
            "refs/heads/a/b",
            "refs/tags/v1.0",
            "refs/heads/@",
            "refs/heads/ü",
            "refs/notes/commits",
        ] {
            assert!(RefName::parse(name.as_bytes()).is_ok(), "{name:?}");
        }
        assert!(AccountId::parse("11111111111").is_err());
        assert!(AccountId::parse("１11111111111").is_err());
    }

    #[test]
    fn people_see_escapes() {
        assert_eq!(escape_for_people(b"a\x1b[31m\xff\n", 50), "a\\u{1b}[31m\\xff\\n");
        assert_eq!(escape_for_people(b"abcdef", 3), "abc…");
    }
}
