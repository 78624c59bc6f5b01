//! What an import's URL means. `https`, `http`, `ssh` and `USER@HOST:PATH` are taken, nothing else: no local path, no
//! helper program, no option (attack checklist A1, F2). Credentials never stand in a text (C4).

use std::fmt;

use reqwest::Url;
use secrecy::SecretString;

use crate::names::escape_for_people;

/// Why a URL cannot be imported from. Shows nothing of it but its scheme: the rest may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Not a form that is known.
    #[error("this is no URL to import from: {0}")]
    Invalid(&'static str),
    /// A scheme that is not taken.
    #[error("`{scheme}` cannot be imported from; use https://, http://, ssh:// or USER@HOST:PATH")]
    Scheme {
        /// The scheme, escaped and cut.
        scheme: String,
    },
}

/// Where to import from.
#[derive(Debug)]
pub(super) enum Address {
    /// Smart HTTP.
    Http(HttpAddress),
    /// SSH.
    Ssh(SshAddress),
}

/// A repository over HTTP.
pub(super) struct HttpAddress {
    /// The repository's URL without credentials and without a slash at its end.
    pub base: Url,
    /// User name and password from the URL.
    pub credentials: Option<(String, SecretString)>,
    /// The URL for people, without credentials.
    pub shown: String,
}

impl fmt::Debug for HttpAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpAddress").field("shown", &self.shown).finish_non_exhaustive()
    }
}

/// A repository over SSH.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SshAddress {
    /// The user to log in as.
    pub user: String,
    /// Host name or address, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The path as the other side takes it.
    pub path: String,
    /// The URL for people.
    pub shown: String,
}

impl Address {
    /// Parses what stands on the command line.
    pub(super) fn parse(text: &str) -> Result<Address, AddressError> {
        if text.len() > 4096 || text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(AddressError::Invalid("it has spaces or control characters, or is longer than 4096 bytes"));
        }
        let colons = text.find("::").unwrap_or(usize::MAX);
        if let Some(at) = text.find("://").filter(|at| *at < colons) {
            return match text[..at].to_ascii_lowercase().as_str() {
                "https" | "http" => http(text),
                "ssh" => ssh_url(&text[at + 3..]),
                scheme => {
                    Err(AddressError::Scheme { scheme: escape_for_people(format!("{scheme}://").as_bytes(), 40) })
                }
            };
        }
        // `ext::sh -c ...` and its like start programs in Git.
        if colons != usize::MAX && !text.contains("[") {
            return Err(AddressError::Scheme { scheme: escape_for_people(&text.as_bytes()[..colons + 2], 40) });
        }
        scp_like(text)
    }
}

fn http(text: &str) -> Result<Address, AddressError> {
    let mut base = Url::parse(text).map_err(|_| AddressError::Invalid("it does not parse"))?;
    if base.query().is_some() || base.fragment().is_some() {
        return Err(AddressError::Invalid("it has a `?` or a `#`"));
    }
    if base.host_str().is_none_or(str::is_empty) {
        return Err(AddressError::Invalid("it names no host"));
    }
    let password = base.password().map(decode).transpose()?;
    let user = decode(base.username())?;
    let credentials =
        (!user.is_empty() || password.is_some()).then(|| (user, SecretString::from(password.unwrap_or_default())));
    let no_host = |()| AddressError::Invalid("it names no host");
    base.set_username("").map_err(no_host)?;
    base.set_password(None).map_err(no_host)?;
    let path = base.path().trim_end_matches('/').to_string();
    base.set_path(&path);
    let shown = base.to_string();
    Ok(Address::Http(HttpAddress { base, credentials, shown }))
}

/// `[USER@]HOST[:PORT]/PATH`
fn ssh_url(rest: &str) -> Result<Address, AddressError> {
    let (authority, path) = rest.split_once('/').ok_or(AddressError::Invalid("it names no repository"))?;
    let (user, host) = split_user(authority)?;
    let (host, port) = match host.strip_prefix('[') {
        Some(bracketed) => {
            let (host, after) =
                bracketed.split_once(']').ok_or(AddressError::Invalid("its host has no closing bracket"))?;
            (host, after.strip_prefix(':').or(after.is_empty().then_some("")))
        }
        None => match host.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (host, Some("")),
        },
    };
    let port = match port {
        Some("") => Some(22),
        Some(port) if port.bytes().all(|b| b.is_ascii_digit()) => port.parse().ok().filter(|port| *port != 0),
        _ => None,
    };
    let port = port.ok_or(AddressError::Invalid("its port is not a number from 1 to 65535"))?;
    let path = decode(path)?;
    // `ssh://host/~user/x` is below a home folder, as Git has it.
    let path = if path.starts_with('~') { path } else { format!("/{path}") };
    ssh(user, host, port, path)
}

/// `[USER@]HOST:PATH`
fn scp_like(text: &str) -> Result<Address, AddressError> {
    const NOT_ONE: AddressError =
        AddressError::Invalid("it begins with none of https://, http:// and ssh://, and is not USER@HOST:PATH");
    let after_brackets = match text.find('[') {
        Some(open) => open + text[open..].find(']').ok_or(NOT_ONE)?,
        None => 0,
    };
    let colon = after_brackets + text[after_brackets..].find(':').ok_or(NOT_ONE)?;
    let (authority, path) = (&text[..colon], &text[colon + 1..]);
    // A slash or backslash before the colon is a local path; one letter is a Windows drive.
    if authority.contains(['/', '\\']) || authority.len() < 2 {
        return Err(NOT_ONE);
    }
    // A slash forgotten, rather than a host of that name.
    if ["file", "http", "https", "ssh", "git"].contains(&authority.to_ascii_lowercase().as_str()) {
        return Err(NOT_ONE);
    }
    let (user, host) = split_user(authority)?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    ssh(user, host, 22, path.to_string())
}

fn split_user(authority: &str) -> Result<(&str, &str), AddressError> {
    let (user, host) = authority.rsplit_once('@').unwrap_or(("git", authority));
    if user.contains(':') {
        return Err(AddressError::Invalid("a password in it cannot be used with SSH; use a key"));
    }
    Ok((user, host))
}

fn ssh(user: &str, host: &str, port: u16, path: String) -> Result<Address, AddressError> {
    let plain = |text: &str, more: &[u8]| {
        !text.is_empty()
            && text.len() <= 255
            && !text.starts_with('-')
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || more.contains(&b))
    };
    if !plain(user, b"._-+@") {
        return Err(AddressError::Invalid("its user name is not plain"));
    }
    let is_address = host.parse::<std::net::Ipv6Addr>().is_ok();
    if !is_address && !plain(host, b"._-") {
        return Err(AddressError::Invalid("its host name is not plain"));
    }
    let bare = path.trim_matches('/');
    if bare.is_empty() || path.starts_with('-') || path.chars().any(char::is_control) {
        return Err(AddressError::Invalid("it names no repository"));
    }
    let at = if is_address { format!("[{host}]") } else { host.to_string() };
    let at = if port == 22 { at } else { format!("{at}:{port}") };
    let slash = if path.starts_with('/') { "" } else { "/" };
    let shown = escape_for_people(format!("ssh://{user}@{at}{slash}{path}").as_bytes(), 500);
    Ok(Address::Ssh(SshAddress { user: user.into(), host: host.into(), port, path, shown }))
}

/// Undoes percent-encoding; what is not UTF-8 then is refused.
fn decode(text: &str) -> Result<String, AddressError> {
    const BAD: AddressError = AddressError::Invalid("its percent-encoding is wrong");
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let mut digit = || bytes.next().and_then(|b| char::from(b).to_digit(16)).ok_or(BAD);
        out.push((digit()? << 4 | digit()?) as u8);
    }
    String::from_utf8(out).map_err(|_| BAD)
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    fn ssh_of(text: &str) -> (String, String, u16, String) {
        match Address::parse(text).unwrap() {
            Address::Ssh(ssh) => (ssh.user, ssh.host, ssh.port, ssh.path),
            other => panic!("{other:?}"),
        }
    }

    // F2, A1
    #[test]
    fn other_schemes_paths_and_options_are_refused() {
        for text in [
            "",
            "/path/to/repo",
            "../x",
            "./x:y",
            "repo",
            "file:///etc",
            "FILE:///etc",
            "file:/etc",
            "https:/host/x",
            "ext::sh -c id",
            "ext::sh%20-c%20id",
            "ext::https://x/y",
            "fd::17",
            "git://host/x",
            "git+ssh://host/x",
            "ssh+git://host/x",
            "ftp://host/x",
            "unix:///run/x",
            "C:\\x",
            "C:/x",
            "\\\\host\\share",
            "-oProxyCommand=id:x",
            "ssh://-oProxyCommand=id/x",
            "ssh://-oProxyCommand=id@host/x",
            "-oProxyCommand=id@host:x",
            "host:-oProxyCommand=id",
            "host:",
            "ssh://host",
            "ssh://host/",
            "ssh://host:0/x",
            "ssh://host:99999/x",
            "ssh://host:+22/x",
            "ssh://[::1/x",
            "ssh://u:secret@host/x",
            "ssh://ho%0ast/x",
            "ssh://host/x%0ay",
            "ssh://host/%ff",
            "https://",
            "https://host/x?token=secret",
            "https://host/x#y",
            "https://host/x y",
            "https://host/\u{7}",
        ] {
            let error = Address::parse(text).expect_err(text).to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn ssh_forms() {
        let of = |user: &str, host: &str, port, path: &str| (user.into(), host.into(), port, path.into());
        assert_eq!(ssh_of("git@host.example:a/b.git"), of("git", "host.example", 22, "a/b.git"));
        assert_eq!(ssh_of("host:/srv/x"), of("git", "host", 22, "/srv/x"));
        assert_eq!(ssh_of("u@[::1]:x"), of("u", "::1", 22, "x"));
        assert_eq!(ssh_of("ssh://u@host:2222/v1/repos/a%20b"), of("u", "host", 2222, "/v1/repos/a b"));
        assert_eq!(ssh_of("SSH://[::1]:22/~me/x"), of("git", "::1", 22, "~me/x"));
    }

    // C4
    #[test]
    fn credentials_are_taken_and_never_shown() {
        let Address::Http(address) = Address::parse("https://user:s%40cret@host:8443/v1/repos/shop/").unwrap() else {
            panic!("https is HTTP");
        };
        let (user, password) = address.credentials.as_ref().unwrap();
        assert_eq!((user.as_str(), password.expose_secret()), ("user", "s@cret"));
        assert_eq!(address.shown, "https://host:8443/v1/repos/shop");
        assert!(!format!("{address:?}").contains("cret"));
        let Address::Http(address) = Address::parse("http://127.0.0.1/x").unwrap() else { panic!("http is HTTP") };
        assert!(address.credentials.is_none());
    }
}
