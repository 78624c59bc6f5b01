//! What a `.gitmodules` file may say (attack checklist A7), and a reader of Git's configuration format for it.
//!
//! The reader takes what Git's takes and stops where Git's stops; what stood before that is checked, since Git would use it.

use super::message::MessageId;
use crate::names::escape_for_people;

/// Largest file that is read, in bytes.
pub(super) const MAX_BYTES: usize = 4 << 20;

/// Checks a `.gitmodules`, giving each problem to `report`.
pub(super) fn check_gitmodules(data: &[u8], report: &mut impl FnMut(MessageId, String)) {
    let mut say = |id, what: &str, text: &[u8]| {
        report(id, format!("disallowed submodule {what}: {}", escape_for_people(text, 200)))
    };
    let complete = for_each_setting(data, |setting| {
        let Some((section, key)) = split_key(setting.key) else {
            return;
        };
        let Some(name) = section.strip_prefix(b"submodule.") else {
            return;
        };
        if !is_good_name(name) {
            say(MessageId::GitmodulesName, "name", name);
        }
        let Some(value) = setting.value else {
            return;
        };
        match key {
            b"url" if !is_good_url(value) => say(MessageId::GitmodulesUrl, "url", value),
            b"path" if value.starts_with(b"-") || has_control(value) => say(MessageId::GitmodulesPath, "path", value),
            b"update" if value.starts_with(b"!") => say(MessageId::GitmodulesUpdate, "update setting", value),
            _ => {}
        }
    });
    if !complete {
        report(MessageId::GitmodulesParse, "could not parse gitmodules blob".to_owned());
    }
}

/// `submodule.NAME.url` as `submodule.NAME` and `url`; the name may have dots, the key has none.
fn split_key(key: &[u8]) -> Option<(&[u8], &[u8])> {
    let dot = memchr::memrchr(b'.', key)?;
    Some((&key[..dot], &key[dot + 1..]))
}

fn has_control(text: &[u8]) -> bool {
    text.iter().any(u8::is_ascii_control)
}

/// The name becomes a folder under `.git/modules`: no empty one, no `..` between separators of any system (CVE-2018-11235).
fn is_good_name(name: &[u8]) -> bool {
    !name.is_empty() && !has_control(name) && name.split(|b| matches!(b, b'/' | b'\\')).all(|part| part != b"..")
}

/// The rules of Git's `check_submodule_url`, and no control characters (CVE-2018-17456, CVE-2020-5260, CVE-2020-11008).
fn is_good_url(url: &[u8]) -> bool {
    if url.starts_with(b"-") || has_control(url) {
        return false;
    }
    let is_relative = [&b"./"[..], b"../", b".\\", b"..\\"].iter().any(|start| url.starts_with(start));
    if is_relative || url.starts_with(b"git://") {
        // It may be appended to an HTTP URL and decoded there. Climbing out of the path rewrites the host.
        let mut rest = url;
        let mut n_up = 0;
        loop {
            if let Some(after) = rest.strip_prefix(b"../").or_else(|| rest.strip_prefix(b"..\\")) {
                n_up += 1;
                rest = after;
            } else if let Some(after) = rest.strip_prefix(b"./").or_else(|| rest.strip_prefix(b".\\")) {
                rest = after;
            } else {
                break;
            }
        }
        let rewrites_host = n_up > 0 && rest.first().is_some_and(|b| matches!(b, b':' | b'/'));
        return !hides_line_feed(url) && !rewrites_host;
    }
    for scheme in ["http", "https", "ftp", "ftps"] {
        let Some(rest) = url.strip_prefix(scheme.as_bytes()) else {
            continue;
        };
        if let Some(inner) = rest.strip_prefix(b"::") {
            return is_whole_url(inner);
        }
        if rest.starts_with(b"://") {
            return is_whole_url(url);
        }
    }
    true
}

/// Whether `%0a` stands in the text.
fn hides_line_feed(text: &[u8]) -> bool {
    text.windows(3).any(|w| w.eq_ignore_ascii_case(b"%0a"))
}

/// Whether Git can normalise this URL, and finds no line feed in it then.
fn is_whole_url(url: &[u8]) -> bool {
    let Some(colon) = memchr::memmem::find(url, b"://") else {
        return false;
    };
    let (scheme, rest) = (&url[..colon], &url[colon + 3..]);
    let is_scheme = scheme.first().is_some_and(u8::is_ascii_alphabetic)
        && scheme.iter().all(|b| b.is_ascii_alphanumeric() || b"+.-".contains(b));
    let authority_end = rest.iter().position(|b| b"/?#".contains(b)).unwrap_or(rest.len());
    let (authority, path_and_query) = rest.split_at(authority_end);
    let (user, host_and_port) = match memchr::memchr(b'@', authority) {
        Some(at) => (&authority[..at], &authority[at + 1..]),
        None => (&b""[..], authority),
    };
    let is_file = scheme.eq_ignore_ascii_case(b"file");
    is_scheme
        && is_escaped_well(rest)
        && !hides_line_feed(user)
        && !hides_line_feed(path_and_query)
        && is_good_host(host_and_port, is_file)
        && stays_below_root(path_and_query)
}

fn is_good_host(host_and_port: &[u8], is_file: bool) -> bool {
    if host_and_port.is_empty() {
        return is_file;
    }
    // The colon of a port comes after the bracket that ends an IPv6 address.
    let (host, port) = match host_and_port.iter().rposition(|b| matches!(b, b':' | b']')) {
        Some(at) if host_and_port[at] == b':' => (&host_and_port[..at], &host_and_port[at + 1..]),
        _ => (host_and_port, &b""[..]),
    };
    if host.is_empty() && !(is_file && port.is_empty()) {
        return false;
    }
    if !host.iter().all(|b| b.is_ascii_alphanumeric() || b".-_[:]".contains(b)) {
        return false;
    }
    if port.is_empty() {
        return true;
    }
    let digits = &port[port.iter().take_while(|b| **b == b'0').count()..];
    let number = std::str::from_utf8(digits).ok().filter(|d| d.len() <= 5 && d.bytes().all(|b| b.is_ascii_digit()));
    number.and_then(|d| d.parse().ok()).is_some_and(|n: u32| (1..=65535).contains(&n))
}

/// Whether each `%` begins an escape.
fn is_escaped_well(text: &[u8]) -> bool {
    memchr::memchr_iter(b'%', text)
        .all(|at| text.get(at + 1..at + 3).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)))
}

/// Whether no `..`, written plainly or in escapes, leads above the root of the path.
fn stays_below_root(path_and_query: &[u8]) -> bool {
    let end = path_and_query.iter().position(|b| matches!(b, b'?' | b'#')).unwrap_or(path_and_query.len());
    let path = path_and_query[..end].strip_prefix(b"/").unwrap_or(&path_and_query[..end]);
    let mut depth = 0u32;
    for segment in path.split(|b| *b == b'/') {
        if is_dots(segment, 1) {
            continue;
        }
        if !is_dots(segment, 2) {
            depth += 1;
        } else if depth == 0 {
            return false;
        } else {
            depth -= 1;
        }
    }
    true
}

/// Whether a path segment is `n` dots, each written as `.` or `%2e`.
fn is_dots(segment: &[u8], n: usize) -> bool {
    let mut rest = segment;
    for _ in 0..n {
        rest = match rest {
            [b'.', rest @ ..] | [b'%', b'2', b'e' | b'E', rest @ ..] => rest,
            _ => return false,
        };
    }
    rest.is_empty()
}

/// One setting of a configuration file.
struct Setting<'a> {
    /// Section, subsection and key, joined by dots; section and key in lower case.
    key: &'a [u8],
    /// What follows `=`, if there is one.
    value: Option<&'a [u8]>,
}

/// Gives each setting of a configuration file to `each`, and says whether the file could be read to its end.
fn for_each_setting(data: &[u8], mut each: impl FnMut(Setting<'_>)) -> bool {
    let mut text = Text { rest: data.strip_prefix(b"\xef\xbb\xbf").unwrap_or(data) };
    let mut key = Vec::new();
    let mut section_len = 0;
    let mut value = Vec::new();
    loop {
        let Some(c) = text.next() else {
            return true;
        };
        match c {
            b' ' | b'\t' | b'\r' | b'\n' => {}
            b'#' | b';' => while text.next().is_some_and(|c| c != b'\n') {},
            b'[' => {
                key.clear();
                if text.read_section(&mut key).is_none() || key.is_empty() {
                    return false;
                }
                key.push(b'.');
                section_len = key.len();
            }
            c if c.is_ascii_alphabetic() => {
                key.truncate(section_len);
                key.push(c.to_ascii_lowercase());
                value.clear();
                let Some(has_value) = text.read_setting(&mut key, &mut value) else {
                    return false;
                };
                each(Setting { key: &key, value: has_value.then_some(&value[..]) });
            }
            _ => return false,
        }
    }
}

/// The characters of a configuration file; a carriage return before a line feed does not count.
struct Text<'a> {
    rest: &'a [u8],
}

impl Text<'_> {
    fn next(&mut self) -> Option<u8> {
        if self.rest.starts_with(b"\r\n") {
            self.rest = &self.rest[1..];
        }
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    /// The end of the file ends its last line, too.
    fn next_or_line_end(&mut self) -> u8 {
        self.next().unwrap_or(b'\n')
    }

    /// What stands between `[`, which has been read, and `]`.
    fn read_section(&mut self, key: &mut Vec<u8>) -> Option<()> {
        loop {
            match self.next()? {
                b']' => return Some(()),
                c if is_key_char(c) || c == b'.' => key.push(c.to_ascii_lowercase()),
                b' ' | b'\t' | b'\r' => break,
                _ => return None,
            }
        }
        let quote = loop {
            match self.next_or_line_end() {
                b' ' | b'\t' | b'\r' => {}
                c => break c,
            }
        };
        if quote != b'"' {
            return None;
        }
        key.push(b'.');
        loop {
            match self.next_or_line_end() {
                b'\n' => return None,
                b'"' => break,
                b'\\' => match self.next_or_line_end() {
                    b'\n' => return None,
                    c => key.push(c),
                },
                c => key.push(c),
            }
        }
        (self.next()? == b']').then_some(())
    }

    /// The rest of a key whose first character has been read, and its value; says whether there is one.
    fn read_setting(&mut self, key: &mut Vec<u8>, value: &mut Vec<u8>) -> Option<bool> {
        let mut c = loop {
            match self.next_or_line_end() {
                c if is_key_char(c) => key.push(c.to_ascii_lowercase()),
                c => break c,
            }
        };
        while matches!(c, b' ' | b'\t') {
            c = self.next_or_line_end();
        }
        match c {
            b'\n' => Some(false),
            b'=' => self.read_value(value).map(|()| true),
            _ => None,
        }
    }

    fn read_value(&mut self, value: &mut Vec<u8>) -> Option<()> {
        let mut quoted = false;
        let mut comment = false;
        // The length without the blanks at the end, which count only if something follows.
        let mut solid = 0;
        loop {
            let c = self.next_or_line_end();
            match c {
                b'\n' if quoted => return None,
                b'\n' => {
                    value.truncate(solid);
                    return Some(());
                }
                _ if comment => continue,
                b' ' | b'\t' | b'\r' if !quoted => {
                    if !value.is_empty() {
                        value.push(c);
                    }
                    continue;
                }
                b';' | b'#' if !quoted => {
                    comment = true;
                    continue;
                }
                b'\\' => match self.next_or_line_end() {
                    b'\n' => {}
                    b't' => value.push(b'\t'),
                    b'b' => value.push(8),
                    b'n' => value.push(b'\n'),
                    c @ (b'\\' | b'"') => value.push(c),
                    _ => return None,
                },
                b'"' => quoted = !quoted,
                c => value.push(c),
            }
            solid = value.len();
        }
    }
}

fn is_key_char(c: u8) -> bool {
    c.is_ascii_alphanumeric() || c == b'-'
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn settings(text: &str) -> (Vec<String>, bool) {
        let mut found = Vec::new();
        let complete = for_each_setting(text.as_bytes(), |s| {
            let value = s.value.map(|v| format!("={}", String::from_utf8_lossy(v))).unwrap_or_default();
            found.push(format!("{}{value}", String::from_utf8_lossy(s.key)));
        });
        (found, complete)
    }

    #[test]
    fn settings_are_read_as_git_reads_them() {
        for (text, expected, complete) in [
            ("[a]\nB = c\n", &["a.b=c"][..], true),
            ("\u{feff}[A \"X.y\"] k=v ; no\r\n", &["a.X.y.k=v"], true),
            ("[a \"q\\\"\\z\"]\nk = \"  x  # y\" z # w\nj", &["a.q\"z.k=  x  # y z", "a.q\"z.j"], true),
            ("[a]\nk = one\\\n two  \n", &["a.k=one two"], true),
            ("[a]\nk = \\t\\n\\b\\\\\\\"\n", &["a.k=\t\n\u{8}\\\""], true),
            ("[submodule.Foo]url=x", &["submodule.foo.url=x"], true),
            ("[a]\nk = v\n!bad\n[b]\nj = w\n", &["a.k=v"], false),
            ("[a]\nk = \"open\n", &[], false),
            ("[a]\nk = \\q\n", &[], false),
            ("[a \"x\"", &[], false),
            ("[]\n", &[], false),
            ("", &[], true),
        ] {
            let (found, whole) = settings(text);
            assert_eq!(
                (&found[..], whole),
                (&expected.iter().map(|e| (*e).to_owned()).collect::<Vec<_>>()[..], complete),
                "{text:?}"
            );
        }
    }

    // A7
    #[test]
    fn urls() {
        for url in [
            "https://example.com/x.git",
            "https://user:p%40ss@example.com:8443/a/../b?x#y",
            "https://[::1]:80/x",
            "http::https://example.com/x",
            "../x.git",
            "./x",
            "../../y",
            "git@example.com:x.git",
            "ssh://-oProxy/x",
            "/srv/x.git",
            "git://example.com/x",
            "file:///srv/x",
            "http::file:///x",
            "https://example.com",
            "https://example.com:/x",
        ] {
            assert!(is_good_url(url.as_bytes()), "{url}");
        }
        for url in [
            "-uwhat",
            "--upload-pack=x",
            "https://example.com/%0ahost=other",
            "https://example.com/\nx",
            "git://example.com/%0Ax",
            "./%0ahost=x/y.git",
            "../../../:example.com/x",
            "..//example.com/x",
            "../../:x",
            "http:///x.git",
            "https://:80/x",
            "https://user@/x",
            "https::example.com/x",
            "http:::/example.com",
            "https://example.com:99999/x",
            "https://example.com:x/x",
            "https://example.com/%zz",
            "https://exa mple.com/",
            "https://example.com/../x",
            "https://example.com/a/%2e%2E/../x",
            "x\ry",
        ] {
            assert!(!is_good_url(url.as_bytes()), "{url}");
        }
    }

    proptest! {
        #[test]
        fn no_file_makes_the_check_panic(text in "(\\[submodule \"[a./\\\\\"-]{0,6}\"\\]\n?|url ?= ?[-:/.%@0-9a-zA-Z]{0,20}\n|[ -~\n\r]{0,8}){0,12}") {
            check_gitmodules(text.as_bytes(), &mut |_, _| ());
        }

        #[test]
        fn no_bytes_make_the_check_panic(data in proptest::collection::vec(any::<u8>(), 0..200)) {
            check_gitmodules(&data, &mut |_, _| ());
        }
    }
}
