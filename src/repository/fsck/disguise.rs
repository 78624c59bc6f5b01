//! Names that some file system takes for `.git`, `.gitmodules` and their like (attack checklist A6): HFS+ drops certain
//! characters and ignores case; NTFS ignores case, trailing dots and spaces, has streams after `:` and short names with `~`.
//! The rules are those of Git's `is_hfs_dot*` and `is_ntfs_dot*`, applied whatever system the name came from.

/// A name with a meaning to Git that a tree must not carry in disguise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DotFile {
    /// The name without its dot, lower case.
    name: &'static [u8],
    /// The first six bytes of the short name that NTFS falls back to, by its hash of the long one.
    hashed_short_name: &'static [u8; 6],
}

/// `.gitmodules`
pub(super) const GITMODULES: DotFile = DotFile { name: b"gitmodules", hashed_short_name: b"gi7eba" };
/// `.gitattributes`
pub(super) const GITATTRIBUTES: DotFile = DotFile { name: b"gitattributes", hashed_short_name: b"gi7d29" };
/// `.gitignore`
pub(super) const GITIGNORE: DotFile = DotFile { name: b"gitignore", hashed_short_name: b"gi250a" };
/// `.mailmap`
pub(super) const MAILMAP: DotFile = DotFile { name: b"mailmap", hashed_short_name: b"maba30" };

impl DotFile {
    /// Whether HFS+ or NTFS takes `name` for this file.
    pub(super) fn is_meant_by(self, name: &[u8]) -> bool {
        is_hfs_dot(name, self.name) || self.is_meant_on_ntfs_by(name)
    }

    /// Whether NTFS does.
    pub(super) fn is_meant_on_ntfs_by(self, name: &[u8]) -> bool {
        if let Some(rest) = name.strip_prefix(b".")
            && let Some(rest) = strip_prefix_ignoring_case(rest, self.name)
        {
            return is_padding(rest, b"");
        }
        // The usual short name: six characters, `~`, 1 to 4.
        if let Some(rest) = strip_prefix_ignoring_case(name, &self.name[..6])
            && let [b'~', b'1'..=b'4', rest @ ..] = rest
        {
            return is_padding(rest, b"");
        }
        // Further twins get the hash, then `~` and a number, eight characters in all.
        if name.len() < 8 {
            return false;
        }
        let (short, rest) = name.split_at(8);
        let Some(tilde) = memchr::memchr(b'~', short) else {
            return false;
        };
        tilde <= 6
            && short[..tilde].eq_ignore_ascii_case(&self.hashed_short_name[..tilde])
            && matches!(short[tilde + 1], b'1'..=b'9')
            && short[tilde + 2..].iter().all(u8::is_ascii_digit)
            && is_padding(rest, b"")
    }
}

/// Whether HFS+ or NTFS takes `name` for `.git`.
pub fn is_dotgit(name: &[u8]) -> bool {
    is_hfs_dot(name, b"git") || is_ntfs_dotgit(name)
}

/// Whether NTFS takes `name`, or its part up to a separator, for `.git`.
pub(super) fn is_ntfs_dotgit(name: &[u8]) -> bool {
    strip_prefix_ignoring_case(name, b".git")
        .or_else(|| strip_prefix_ignoring_case(name, b"git~1"))
        .is_some_and(|rest| is_padding(rest, b"/\\"))
}

/// Whether what follows a name is nothing to NTFS: dots and spaces up to the end, a stream's `:` or one of `separators`.
fn is_padding(rest: &[u8], separators: &[u8]) -> bool {
    rest.iter().find(|b| !matches!(b, b'.' | b' ')).is_none_or(|b| *b == b':' || separators.contains(b))
}

fn strip_prefix_ignoring_case<'a>(text: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    let (start, rest) = text.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}

/// Whether HFS+ takes `name`, or its part up to a `/`, for a dot and `needle`, which is lower-case ASCII. As in Git, a name ends
/// where it stops being UTF-8.
fn is_hfs_dot(name: &[u8], needle: &[u8]) -> bool {
    let text = name.utf8_chunks().next().map_or("", |chunk| chunk.valid());
    let mut chars = text.chars().filter(|c| !is_ignored_by_hfs(*c));
    chars.next() == Some('.')
        && needle.iter().all(|wanted| chars.next().is_some_and(|c| c.to_ascii_lowercase() == char::from(*wanted)))
        && chars.next().is_none_or(|c| matches!(c, '/' | '\u{fffe}' | '\u{ffff}'))
}

fn is_ignored_by_hfs(c: char) -> bool {
    matches!(c, '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{206a}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    // A6
    #[test]
    fn dotgit_in_disguise() {
        for name in [
            ".git",
            ".GIT",
            ".Git",
            "git~1",
            "GIT~1",
            ".git ",
            ".git.",
            ".git. . ",
            ".git::$INDEX_ALLOCATION",
            ".git...:x",
            "git~1.",
            "git~1:",
            ".g\u{200c}it",
            "\u{200d}.git",
            ".git\u{feff}",
            ".gi\u{202e}T",
            ".\u{206a}\u{206f}git",
            ".git\\x",
            ".git/x",
        ] {
            assert!(is_dotgit(name.as_bytes()), "{name:?}");
        }
        for name in [
            ".gitx",
            "git",
            "git~2",
            "git~10",
            ".git x",
            ".gitignore",
            "..git",
            ".gıt",
            ".g\u{301}it",
            "xgit~1",
            ".",
            "",
        ] {
            assert!(!is_dotgit(name.as_bytes()), "{name:?}");
        }
        assert!(!is_dotgit(b".gi\xfft"));
        assert!(is_dotgit(b".git\xff"));
    }

    // A7: the table of Git's own test of NTFS and HFS+ names.
    #[test]
    fn gitmodules_in_disguise() {
        for name in [
            ".gitmodules",
            ".GITMODULES",
            ".gitmodules ",
            ".gitmodules..",
            ".gitmodules:stream",
            ".gitmodules::$DATA",
            "gitmod~1",
            "GITMOD~4",
            "gitmod~2 . ",
            "gi7eba~1",
            "GI7EBA~9",
            "gi7eb~10",
            "GI7EB~11",
            "gi7e~123",
            "gi7~1000",
            "g~100000",
            "~1000000",
            "~9999999 .",
            ".git\u{200c}modules",
            "\u{feff}.gitModules",
        ] {
            assert!(GITMODULES.is_meant_by(name.as_bytes()), "{name:?}");
        }
        for name in [
            ".gitmodulesx",
            ".gitmodules .x",
            "gitmod~0",
            "gitmod~5",
            "gitmod~1x",
            "gi7eba~0",
            "gi7eba~",
            "gi7ebax1",
            "gi7d29~1",
            "GI7EB~1x",
            "~0000000",
            "~123",
            "gitmodules",
            "",
        ] {
            assert!(!GITMODULES.is_meant_by(name.as_bytes()), "{name:?}");
        }
        assert!(GITATTRIBUTES.is_meant_by(b"GITATT~1") && GITATTRIBUTES.is_meant_by(b"gi7d29~2"));
        assert!(GITIGNORE.is_meant_by(b"gitign~3") && GITIGNORE.is_meant_by(b"gi250a~1"));
        assert!(
            MAILMAP.is_meant_by(b"mailma~1") && MAILMAP.is_meant_by(b"MABA30~8") && MAILMAP.is_meant_by(b".MailMap.")
        );
    }
}
