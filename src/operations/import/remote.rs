//! A repository behind a URL: `https`, `http` or `ssh`. An administrator at the command line asks for it, so addresses are not
//! filtered; other schemes are refused (attack checklist F2), redirects to another origin too (F3). What a URL says of a
//! password is used and never shown (C4).

use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use russh::client;
use russh::keys::{HashAlg, PrivateKeyWithHashAlg, PublicKeyOrCertificate};
use tokio_util::io::SyncIoBridge;

use super::{ImportError, Source};
use crate::names::ObjectId;
use crate::operations::git_pull::AGENT;
use crate::protocol::fetch_client::{
    Greeting, PackReader, RemoteRef, fetch_request, ls_refs_request, read_greeting, read_ls_refs, read_until_pack,
};
use crate::protocol::pkt_line::{PktReader, write_flush};
use crate::protocol::{PeerError, ProtocolError};
use crate::store::Store;

/// How long a remote may be silent.
const SILENCE: Duration = Duration::from_secs(300);

impl From<ProtocolError> for ImportError {
    fn from(error: ProtocolError) -> ImportError {
        ImportError::Source(error.into())
    }
}

impl From<PeerError> for ImportError {
    fn from(error: PeerError) -> ImportError {
        ImportError::Source(error.into())
    }
}

/// Asks the remote for its refs and for everything that the wanted ones reach.
pub(super) fn open<'a>(
    store: &Store,
    url: &str,
    is_wanted: &dyn Fn(&[u8]) -> bool,
    hear: &'a mut dyn FnMut(&str),
) -> Result<Source<'a>, ImportError> {
    let place = Place::parse(url)?;
    match place {
        Place::Http(url) => Http::open(store.clone(), url)?.fetch(is_wanted, hear),
        Place::Ssh { user, host, port, path } => ssh(store, &user, &host, port, &path, is_wanted, hear),
    }
}

/// Where a URL leads.
#[derive(Debug, PartialEq)]
enum Place {
    Http(reqwest::Url),
    Ssh { user: String, host: String, port: u16, path: String },
}

impl Place {
    fn parse(text: &str) -> Result<Place, ImportError> {
        // `host:path`, as scp and git write it; a drive letter or a scheme is none.
        let scp = text.split_once(':').filter(|(host, path)| {
            !host.contains('/') && host.len() > 1 && !path.starts_with(['/', ':']) && !path.is_empty()
        });
        let parsed = match (reqwest::Url::parse(text), scp) {
            (Ok(url), _) if text.contains("://") => url,
            (_, Some((host, path))) => {
                reqwest::Url::parse(&format!("ssh://{host}/{path}")).map_err(|error| bad(text, &error.to_string()))?
            }
            _ => return Err(bad(text, "give a URL (https://, ssh://, http://) or a folder")),
        };
        match parsed.scheme() {
            "https" | "http" => {
                if parsed.host_str().is_none_or(str::is_empty) {
                    return Err(bad(&without_password(&parsed), "it names no host"));
                }
                Ok(Place::Http(parsed))
            }
            "ssh" => {
                let host = parsed.host_str().unwrap_or_default().trim_matches(['[', ']']).to_string();
                let path = parsed.path().to_string();
                let user = if parsed.username().is_empty() { "git" } else { parsed.username() };
                if host.is_empty() || host.starts_with('-') || user.starts_with('-') {
                    return Err(bad(&without_password(&parsed), "it names no host"));
                }
                if path.len() < 2 || path.contains(['\'', '\n', '\0', '\\']) {
                    return Err(bad(&without_password(&parsed), "its path cannot be used"));
                }
                // `host:path` is relative to the home folder, `ssh://host/path` is not.
                let path = if text.contains("://") { path } else { path[1..].to_string() };
                Ok(Place::Ssh { user: user.into(), host, port: parsed.port().unwrap_or(22), path })
            }
            other => {
                Err(bad(&without_password(&parsed), &format!("`{other}` is not supported; use https, ssh or http")))
            }
        }
    }
}

fn bad(url: &str, reason: &str) -> ImportError {
    ImportError::BadUrl { url: crate::names::escape_for_people(url.as_bytes(), 300), reason: reason.to_string() }
}

fn without_password(url: &reqwest::Url) -> String {
    let mut url = url.clone();
    let _ = url.set_password(None);
    url.to_string()
}

/// Everything of HTTP: one client, one base.
struct Http {
    store: Store,
    client: reqwest::Client,
    base: String,
    user: String,
    password: Option<String>,
}

impl Http {
    fn open(store: Store, mut url: reqwest::Url) -> Result<Http, ImportError> {
        static PROVIDER: OnceLock<()> = OnceLock::new();
        PROVIDER.get_or_init(|| {
            // Another part of the program may have been first; either is the same provider.
            let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        });
        let origin = url.origin();
        let redirects = reqwest::redirect::Policy::custom(move |attempt| {
            if attempt.url().origin() != origin {
                attempt.error("the remote redirects to another host")
            } else if attempt.previous().len() > 5 {
                attempt.error("the remote redirects in circles")
            } else {
                attempt.follow()
            }
        });
        let (user, password) = (url.username().to_string(), url.password().map(ToString::to_string));
        let _ = url.set_username("");
        let _ = url.set_password(None);
        let client = reqwest::Client::builder()
            .redirect(redirects)
            .connect_timeout(Duration::from_secs(30))
            .read_timeout(SILENCE)
            .user_agent(format!("git/2.47 {AGENT}"))
            .build()
            .map_err(|error| ImportError::Source(error.into()))?;
        let base = url.as_str().trim_end_matches('/').to_string();
        Ok(Http { store, client, base, user, password })
    }

    fn send(&self, request: reqwest::RequestBuilder) -> Result<Body, ImportError> {
        let request = request.header("Git-Protocol", "version=2");
        let request = match &self.password {
            _ if self.user.is_empty() && self.password.is_none() => request,
            password => request.basic_auth(&self.user, password.as_deref()),
        };
        let response =
            self.store.wait(request.send()).map_err(|error| ImportError::Source(error.without_url().into()))?;
        if !response.status().is_success() {
            let reason = match response.status().as_u16() {
                401 | 403 => {
                    "the remote wants other credentials; put them into the URL: https://USER:PASSWORD@HOST/...".into()
                }
                404 => "the remote has no such repository, or not for these credentials".into(),
                status => format!("the remote answered {status}"),
            };
            return Err(bad(&self.base, &reason));
        }
        Ok(Body { store: self.store.clone(), stream: Box::pin(response.bytes_stream()), rest: Bytes::new() })
    }

    fn post(&self, body: Vec<u8>) -> Result<Body, ImportError> {
        let request = self.client.post(format!("{}/git-upload-pack", self.base));
        let request = request.header("Content-Type", "application/x-git-upload-pack-request");
        self.send(request.header("Accept", "application/x-git-upload-pack-result").body(body))
    }

    fn fetch<'a>(
        &self,
        is_wanted: &dyn Fn(&[u8]) -> bool,
        hear: &'a mut dyn FnMut(&str),
    ) -> Result<Source<'a>, ImportError> {
        let url = format!("{}/info/refs?service=git-upload-pack", self.base);
        let greeting = read_greeting(&mut PktReader::new(self.send(self.client.get(url))?))?;
        let (is_v2, refs) = match greeting {
            Greeting::V2 => (true, read_ls_refs(&mut PktReader::new(self.post(ls_refs_request(AGENT)?)?))?),
            Greeting::V0(refs) => (false, refs),
        };
        let (refs, head, wants) = chosen(refs, is_wanted)?;
        let mut reader = PktReader::new(self.post(fetch_request(is_v2, &wants, AGENT)?)?);
        read_until_pack(&mut reader, is_v2)?;
        Ok(Source { refs, head, pack: Box::new(PackReader::new(reader, hear)) })
    }
}

type Chosen = (Vec<(Vec<u8>, ObjectId)>, Option<Vec<u8>>, Vec<ObjectId>);

/// The refs, HEAD's branch, and what to ask for: each object once.
fn chosen(refs: Vec<RemoteRef>, is_wanted: &dyn Fn(&[u8]) -> bool) -> Result<Chosen, ImportError> {
    let head = refs.iter().find(|found| found.name == b"HEAD").and_then(|found| found.target.clone());
    let mut wants: Vec<ObjectId> = refs.iter().filter(|found| is_wanted(&found.name)).map(|found| found.id).collect();
    wants.sort_unstable();
    wants.dedup();
    if wants.is_empty() {
        return Err(ImportError::NothingThere);
    }
    Ok((refs.into_iter().map(|found| (found.name, found.id)).collect(), head, wants))
}

/// A response's body, read from a thread that may block.
struct Body {
    store: Store,
    stream: std::pin::Pin<Box<dyn futures::Stream<Item = reqwest::Result<Bytes>> + Send>>,
    rest: Bytes,
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            match self.store.wait(self.stream.next()) {
                Some(part) => self.rest = part.map_err(|error| io::Error::other(error.without_url()))?,
                None => return Ok(0),
            }
        }
        let n = buffer.len().min(self.rest.len());
        buffer[..n].copy_from_slice(&self.rest.split_to(n));
        Ok(n)
    }
}

/// Knows a host by `~/.ssh/known_hosts`, as ssh does.
struct KnownHosts {
    host: String,
    port: u16,
}

impl client::Handler for KnownHosts {
    type Error = russh::Error;

    async fn check_server_key(&mut self, key: &PublicKeyOrCertificate) -> Result<bool, russh::Error> {
        let PublicKeyOrCertificate::PublicKey { key, .. } = key else { return Ok(false) };
        Ok(russh::keys::check_known_hosts(&self.host, self.port, key).unwrap_or(false))
    }
}

fn ssh<'a>(
    store: &Store,
    user: &str,
    host: &str,
    port: u16,
    path: &str,
    is_wanted: &dyn Fn(&[u8]) -> bool,
    hear: &'a mut dyn FnMut(&str),
) -> Result<Source<'a>, ImportError> {
    let shown = format!("ssh://{user}@{host}:{port}/{}", path.trim_start_matches('/'));
    let stream = store.wait(async {
        let config = client::Config { inactivity_timeout: Some(SILENCE), ..client::Config::default() };
        let handler = KnownHosts { host: host.to_string(), port };
        let mut session =
            client::connect(Arc::new(config), (host, port), handler).await.map_err(|error| match error {
                russh::Error::UnknownKey => bad(
                    &shown,
                    &format!("the host is not known; add its key to ~/.ssh/known_hosts: ssh-keyscan -p {port} {host}"),
                ),
                other => ImportError::Source(other.into()),
            })?;
        let mut is_in = false;
        for file in key_files() {
            let Ok(key) = russh::keys::load_secret_key(&file, None) else { continue };
            let key = PrivateKeyWithHashAlg::new(Arc::new(key), Some(HashAlg::Sha512));
            if session.authenticate_publickey(user, key).await.is_ok_and(|result| result.success()) {
                is_in = true;
                break;
            }
        }
        if !is_in {
            return Err(bad(&shown, "no key of ~/.ssh (id_ed25519, id_ecdsa) without a passphrase is let in"));
        }
        let failed = |error: russh::Error| ImportError::Source(error.into());
        let channel = session.channel_open_session().await.map_err(failed)?;
        // A server that does not take it speaks an older version, which is understood, too.
        let _ = channel.set_env(false, "GIT_PROTOCOL", "version=2").await;
        channel.exec(true, format!("git-upload-pack '{path}'")).await.map_err(failed)?;
        Ok((session, channel.into_stream()))
    })?;
    let (session, stream) = stream;
    let (input, output) = tokio::io::split(stream);
    let runtime = tokio::runtime::Handle::current();
    let mut output = SyncIoBridge::new_with_handle(output, runtime.clone());
    let mut reader =
        PktReader::new(Conversation { input: SyncIoBridge::new_with_handle(input, runtime), _session: session });
    let (is_v2, refs) = match read_greeting(&mut reader)? {
        Greeting::V2 => {
            output.write_all(&ls_refs_request(AGENT)?)?;
            output.flush()?;
            (true, read_ls_refs(&mut reader)?)
        }
        Greeting::V0(refs) => (false, refs),
    };
    let (refs, head, wants) = chosen(refs, is_wanted)?;
    output.write_all(&fetch_request(is_v2, &wants, AGENT)?)?;
    output.flush()?;
    read_until_pack(&mut reader, is_v2)?;
    if is_v2 {
        // No more commands will come.
        let mut end = Vec::new();
        write_flush(&mut end)?;
        let _ = output.write_all(&end).and_then(|()| output.flush());
    }
    Ok(Source { refs, head, pack: Box::new(PackReader::new(reader, hear)) })
}

/// What the remote says, and the connection that has to live as long.
struct Conversation<R> {
    input: R,
    _session: client::Handle<KnownHosts>,
}

impl<R: Read> Read for Conversation<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.input.read(buffer)
    }
}

fn key_files() -> Vec<PathBuf> {
    let Some(home) = std::env::home_dir() else { return Vec::new() };
    ["id_ed25519", "id_ecdsa"].iter().map(|name| home.join(".ssh").join(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    // A1 F2
    #[test]
    fn urls_that_are_taken_and_not() {
        for url in [
            "file:///etc",
            "ext::sh -c x",
            "fd::3",
            "/path",
            "../x",
            "ssh://-oProxyCommand=x/y",
            "git+ssh://h/p",
            "git://h/p",
            "C:\\x",
            "\\\\host\\share",
            "https://",
            "ssh://host",
            "ssh://host/",
            "ssh://host/a'b",
            "-oProxyCommand=x:y",
            "",
        ] {
            assert!(Place::parse(url).is_err(), "{url}");
        }
        let ssh = |user: &str, port, path: &str| Place::Ssh {
            user: user.into(),
            host: "host".into(),
            port,
            path: path.into(),
        };
        assert_eq!(Place::parse("ssh://host/a/b.git").unwrap(), ssh("git", 22, "/a/b.git"));
        assert_eq!(Place::parse("ssh://me@host:2222/a").unwrap(), ssh("me", 2222, "/a"));
        assert_eq!(Place::parse("me@host:a/b.git").unwrap(), ssh("me", 22, "a/b.git"));
        assert!(matches!(Place::parse("https://u:p@host/x").unwrap(), Place::Http(_)));
        // C4
        let error = Place::parse("ftp://u:hunter2@host/x").unwrap_err().to_string();
        assert!(!error.contains("hunter2"), "{error}");
    }
}
