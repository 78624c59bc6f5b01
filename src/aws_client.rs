//! Signed requests to a server that speaks AWS's wire: the command line's to this one, the keyring's to AWS KMS.
//!
//! Where to is said by the administrator, never by somebody outside; for that there is `outbound`. Over TLS, or
//! without it to this machine alone where the caller allows that; no redirects; a bound on time and on bytes.

use std::time::Duration;

use reqwest::{Client, Url};
use secrecy::{ExposeSecret, SecretString};

use crate::sigv4::{Head, signer};

/// What signs requests.
#[derive(Clone)]
pub struct AwsCredentials {
    /// `AKIA...` or `ASIA...`
    pub id: String,
    /// The secret access key.
    pub secret: SecretString,
    /// The session token of temporary credentials.
    pub token: Option<SecretString>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AwsClientError {
    /// The URL leads to nothing that may be asked.
    #[error("`{url}` is no address of a server: https://HOST:PORT")]
    NotAServer {
        /// The URL.
        url: Url,
    },
    /// No connection can be made at all.
    #[error("no connection can be made: this machine may have no certificates of authorities")]
    Setup(#[source] reqwest::Error),
    /// The connection failed.
    #[error("failed to ask `{url}`")]
    Unreachable {
        /// Where.
        url: Url,
        /// Why.
        source: reqwest::Error,
    },
    /// The answer is longer than any that was expected.
    #[error("the answer of `{url}` is too long")]
    TooLong {
        /// Where.
        url: Url,
    },
    /// The time cannot be written.
    #[error("the clock shows no time that can be written")]
    Time(#[source] jiff::Error),
}

/// Longest answer.
const MAX_ANSWER_BYTES: usize = 128 << 10;

/// Where signed requests go.
pub struct AwsClient {
    client: Client,
    url: Url,
    host: String,
    region: String,
}

/// How a client is made.
pub struct AwsClientOptions {
    /// The region of signatures.
    pub region: String,
    /// For a whole call.
    pub timeout: Duration,
    /// The only authorities that are trusted; none for the machine's.
    pub authorities: Option<Vec<reqwest::Certificate>>,
    /// Whether `http://` to a loopback address will do.
    pub allow_plain_loopback: bool,
}

impl AwsClient {
    /// A client of the server at `url`.
    pub fn new(url: &Url, options: AwsClientOptions) -> Result<AwsClient, AwsClientError> {
        let not_a_server = || AwsClientError::NotAServer { url: url.clone() };
        let is_plain_loopback = options.allow_plain_loopback && url.scheme() == "http" && is_loopback(url);
        if url.scheme() != "https" && !is_plain_loopback {
            return Err(not_a_server());
        }
        let host = url.host_str().ok_or_else(not_a_server)?;
        let host = url.port().map_or(host.to_owned(), |port| format!("{host}:{port}"));
        let url = url.join("/").map_err(|_| not_a_server())?;
        // One provider for the whole process; that it is installed already is as good.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let mut client =
            Client::builder().redirect(reqwest::redirect::Policy::none()).timeout(options.timeout).http1_only();
        if let Some(authorities) = options.authorities {
            client = client.tls_certs_only(authorities);
        }
        let client = client.build().map_err(AwsClientError::Setup)?;
        Ok(AwsClient { client, url, host, region: options.region })
    }

    /// Where it asks, for messages.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Signs with the time `now_ms`, in milliseconds since the Unix epoch, and sends; gives the answer's status and text.
    pub async fn call(
        &self,
        credentials: &AwsCredentials,
        service: &str,
        headers: &[(&str, &str)],
        body: String,
        now_ms: i64,
    ) -> Result<(u16, String), AwsClientError> {
        let now = jiff::Timestamp::from_millisecond(now_ms).map_err(AwsClientError::Time)?;
        let now = now.strftime("%Y%m%dT%H%M%SZ").to_string();
        let token = credentials.token.as_ref().map(ExposeSecret::expose_secret);
        let mut all: Vec<(String, Vec<u8>)> =
            vec![("host".into(), self.host.clone().into()), ("x-amz-date".into(), now.clone().into())];
        all.extend(token.map(|token| ("x-amz-security-token".into(), token.into())));
        all.extend(headers.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())));
        let head = Head { method: "POST", path: "/", query: None, headers: &all };
        let key = (credentials.id.as_str(), credentials.secret.expose_secret());
        let authorization = signer::authorization(&head, body.as_bytes(), key, (service, &self.region), &now);
        let mut request = self.client.post(self.url.clone()).header("authorization", authorization).body(body);
        for (name, value) in all.into_iter().filter(|(name, _)| name != "host") {
            request = request.header(name, value);
        }
        let unreachable = |source| AwsClientError::Unreachable { url: self.url.clone(), source };
        let mut response = request.send().await.map_err(unreachable)?;
        let mut answer = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            if answer.len() + chunk.len() > MAX_ANSWER_BYTES {
                return Err(AwsClientError::TooLong { url: self.url.clone() });
            }
            answer.extend_from_slice(&chunk);
        }
        Ok((response.status().as_u16(), String::from_utf8_lossy(&answer).into_owned()))
    }
}

/// Whether the URL names this machine by a literal address, or by the name that never leaves it (RFC 6761, 6.3).
fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(url: &str, allow_plain_loopback: bool) -> Result<AwsClient, AwsClientError> {
        let options = AwsClientOptions {
            region: "us-east-1".into(),
            timeout: Duration::from_secs(1),
            authorities: Some(Vec::new()),
            allow_plain_loopback,
        };
        AwsClient::new(&Url::parse(url).unwrap(), options)
    }

    // F3: a key is never shown to what is not TLS.
    #[test]
    fn servers_are_asked_over_tls() {
        for url in ["http://127.0.0.1:1", "file:///x", "ssh://git@h"] {
            assert!(client(url, false).is_err(), "{url}");
        }
        for url in ["http://10.0.0.1:1", "http://kms.localhost.example", "http://localhost.example"] {
            assert!(client(url, true).is_err(), "{url}");
        }
        client("http://[::1]:5000", true).unwrap();
        let server = client("https://[::1]:8443/x?y", false).unwrap();
        assert_eq!((server.host.as_str(), server.url.as_str()), ("[::1]:8443", "https://[::1]:8443/"));
    }
}
