//! Smart HTTP to another server. Certificates are checked against the system's roots. A redirect is followed only within
//! the origin (scheme, host and port) that the administrator named, so that neither credentials nor the request go
//! anywhere else (attack checklist F3).

use std::io::{self, Read};
use std::time::Duration;

use bytes::{Buf, Bytes};
use reqwest::header::{ACCEPT, CONTENT_TYPE, LOCATION};
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url};
use secrecy::{ExposeSecret, SecretString};

use super::ImportError;
use super::address::HttpAddress;
use super::remote::{AGENT, Connection};
use crate::protocol::fetch_client::Dialect;
use crate::repository::handle::Repository;

/// Why HTTP failed. No text has credentials or what the other server's pages say.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The client cannot be made.
    #[error("failed to set up HTTPS")]
    Setup(#[source] reqwest::Error),
    /// No answer.
    #[error("failed to reach `{url}`")]
    Unreachable {
        /// Where.
        url: String,
        /// Why.
        source: reqwest::Error,
    },
    /// Credentials are wanted, or others than were given.
    #[error("`{url}` asks for credentials or refuses those given; give them as https://USER:PASSWORD@HOST/...")]
    Unauthorized {
        /// Where.
        url: String,
    },
    /// There is nothing there, or nothing for this user.
    #[error("there is no repository at `{url}`")]
    NotFound {
        /// Where.
        url: String,
    },
    /// Another answer than success.
    #[error("`{url}` answered with status {status}")]
    Status {
        /// Where.
        url: String,
        /// The status.
        status: u16,
    },
    /// Not Git over smart HTTP.
    #[error("`{url}` does not answer as a Git server does")]
    NotGit {
        /// Where.
        url: String,
    },
    /// A redirect elsewhere.
    #[error("`{url}` redirects to another place, `{target}`, which is not followed; import from there")]
    Redirect {
        /// Where.
        url: String,
        /// Scheme, host and port that the redirect leads to.
        target: String,
    },
    /// Redirects without end.
    #[error("`{url}` redirects too often")]
    TooManyRedirects {
        /// Where.
        url: String,
    },
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest silence: a large repository is counted through before its pack begins.
const STALL_TIMEOUT: Duration = Duration::from_secs(300);
const MAX_REDIRECTS: usize = 5;
const PROTOCOL: &str = "Git-Protocol";
const VERSION_2: &str = "version=2";
const SERVICE: &str = "git-upload-pack";

/// One import's requests to one repository.
pub(super) struct HttpConnection<'a> {
    repository: &'a Repository,
    client: Client,
    /// The repository's URL, as redirects within the origin left it.
    base: Url,
    credentials: Option<&'a (String, SecretString)>,
    response: Response,
    chunk: Bytes,
}

impl<'a> HttpConnection<'a> {
    /// Asks for the advertisement.
    pub(super) fn open(
        repository: &'a Repository,
        address: &'a HttpAddress,
    ) -> Result<HttpConnection<'a>, ImportError> {
        // One provider for the whole process; that it is installed already is as good.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let client = Client::builder()
            .user_agent(AGENT)
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(STALL_TIMEOUT)
            .build()
            .map_err(HttpError::Setup)?;
        let credentials = address.credentials.as_ref();
        let mut base = address.base.clone();
        for _ in 0..=MAX_REDIRECTS {
            let url = below(&base, &format!("info/refs?service={SERVICE}"));
            // Who does not know version 2 answers in version 0.
            let get = client.get(url).header(PROTOCOL, VERSION_2);
            let response = send(repository, authorized(get, credentials), &base)?;
            if response.status().is_redirection() {
                base = redirected(&base, &response)?;
                continue;
            }
            check(&response, &base, "advertisement")?;
            return Ok(HttpConnection { repository, client, base, credentials, response, chunk: Bytes::new() });
        }
        Err(HttpError::TooManyRedirects { url: address.shown.clone() }.into())
    }
}

/// A URL below a repository's.
fn below(base: &Url, rest: &str) -> String {
    format!("{}/{rest}", base.as_str().trim_end_matches('/'))
}

fn authorized(request: RequestBuilder, credentials: Option<&(String, SecretString)>) -> RequestBuilder {
    match credentials {
        Some((user, password)) => request.basic_auth(user, Some(password.expose_secret())),
        None => request,
    }
}

fn send(repository: &Repository, request: RequestBuilder, base: &Url) -> Result<Response, HttpError> {
    repository
        .store()
        .wait(request.send())
        .map_err(|error| HttpError::Unreachable { url: base.to_string(), source: error.without_url() })
}

/// Where a redirect of the advertisement says that the repository is, if that is in the same origin.
fn redirected(base: &Url, response: &Response) -> Result<Url, HttpError> {
    let not_git = || HttpError::NotGit { url: base.to_string() };
    let location = response.headers().get(LOCATION).and_then(|location| location.to_str().ok()).ok_or_else(not_git)?;
    let target = response.url().join(location).map_err(|_| not_git())?;
    if target.origin() != base.origin() || target.username() != "" || target.password().is_some() {
        let origin = target.origin();
        let target = if origin.is_tuple() { origin.ascii_serialization() } else { format!("{}:", target.scheme()) };
        return Err(HttpError::Redirect { url: base.to_string(), target });
    }
    let path = target.path().strip_suffix("/info/refs").ok_or_else(not_git)?.to_string();
    let mut moved = base.clone();
    moved.set_path(&path);
    Ok(moved)
}

fn check(response: &Response, base: &Url, what: &str) -> Result<(), HttpError> {
    let url = base.to_string();
    match response.status() {
        StatusCode::OK => {}
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => return Err(HttpError::Unauthorized { url }),
        StatusCode::NOT_FOUND | StatusCode::GONE => return Err(HttpError::NotFound { url }),
        status => return Err(HttpError::Status { url, status: status.as_u16() }),
    }
    let expected = format!("application/x-{SERVICE}-{what}");
    match response.headers().get(CONTENT_TYPE) {
        Some(kind) if kind.as_bytes() == expected.as_bytes() => Ok(()),
        _ => Err(HttpError::NotGit { url }),
    }
}

impl Connection for HttpConnection<'_> {
    fn send(&mut self, request: Vec<u8>, dialect: Dialect) -> Result<(), ImportError> {
        let mut post = self
            .client
            .post(below(&self.base, SERVICE))
            .header(CONTENT_TYPE, format!("application/x-{SERVICE}-request"))
            .header(ACCEPT, format!("application/x-{SERVICE}-result"))
            .body(request);
        if matches!(dialect, Dialect::V2 { .. }) {
            post = post.header(PROTOCOL, VERSION_2);
        }
        let response = send(self.repository, authorized(post, self.credentials), &self.base)?;
        if response.status().is_redirection() {
            // A request with a body is not sent again elsewhere; the advertisement has settled where it goes.
            return Err(HttpError::Status { url: self.base.to_string(), status: response.status().as_u16() }.into());
        }
        check(&response, &self.base, "result")?;
        self.response = response;
        self.chunk = Bytes::new();
        Ok(())
    }

    fn finish(&mut self) -> Result<(), ImportError> {
        Ok(())
    }
}

impl Read for HttpConnection<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.chunk.is_empty() {
            match self.repository.store().wait(self.response.chunk()) {
                Ok(Some(chunk)) => self.chunk = chunk,
                Ok(None) => return Ok(0),
                Err(error) => return Err(io::Error::other(error.without_url())),
            }
        }
        let n = self.chunk.len().min(out.len());
        self.chunk.copy_to_slice(&mut out[..n]);
        Ok(n)
    }
}
