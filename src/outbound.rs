//! Connections that the server makes by itself because somebody outside said where to: to OpenID providers, to webhooks.
//!
//! Only `https` (and `http` where the configuration allows it), no redirects, no proxy, a bound on time and on bytes. Addresses inside
//! (loopback, private, link-local, multicast and the like) are refused unless `[outbound] allow_addresses` has them; names are
//! resolved once and checked then, so that no second answer of the name's server counts.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Client, Method, Url};

use crate::config::Outbound;

/// Why nothing came back.
#[derive(Debug, thiserror::Error)]
pub enum OutboundError {
    /// No connection can be made at all.
    #[error("no connection can be made: this machine may have no certificates of authorities")]
    Setup(#[source] reqwest::Error),
    /// The address may not be connected to.
    #[error("`{url}` may not be connected to: {why}")]
    NotAllowed {
        /// Where to.
        url: String,
        /// Why not.
        why: &'static str,
    },
    /// The connection failed.
    #[error("`{url}` cannot be reached")]
    Unreachable {
        /// Where to.
        url: String,
        /// Why.
        source: reqwest::Error,
    },
    /// The other side answered something else than was asked for.
    #[error("`{url}` answers {status}")]
    Status {
        /// Where to.
        url: String,
        /// The answer's status.
        status: u16,
    },
    /// The answer is longer than it may be.
    #[error("`{url}` answers with more than {max_bytes} bytes")]
    TooLong {
        /// Where to.
        url: String,
        /// How much it may be.
        max_bytes: usize,
    },
}

/// Makes such connections.
#[derive(Clone)]
pub struct OutboundClient {
    /// Made when it is first needed: it takes the machine's certificates, and a machine that has none serves all the same.
    client: Arc<OnceLock<Client>>,
    settings: Arc<Outbound>,
}

impl OutboundClient {
    /// A client that keeps to the configuration.
    pub fn new(settings: &Outbound) -> OutboundClient {
        OutboundClient { client: Arc::default(), settings: Arc::new(settings.clone()) }
    }

    fn client(&self) -> Result<&Client, OutboundError> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        // One provider for the whole process; that it is installed already is as good.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let client = Client::builder()
            .user_agent(concat!("lockgate/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .no_proxy()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            .dns_resolver(Arc::new(Outside(self.settings.clone())))
            .build()
            .map_err(OutboundError::Setup)?;
        Ok(self.client.get_or_init(|| client))
    }

    /// The URL, if it may be connected to; names are looked at when they are resolved.
    fn allowed(&self, url: &str) -> Result<Url, OutboundError> {
        let shown = crate::names::escape_for_people(url.as_bytes(), 200);
        let not_allowed = |why| OutboundError::NotAllowed { url: shown.clone(), why };
        let parsed = Url::parse(url).map_err(|_| not_allowed("it is no URL"))?;
        match parsed.scheme() {
            "https" => {}
            "http" if self.settings.allow_http => {}
            _ => return Err(not_allowed("it is not `https://`")),
        }
        if !parsed.username().is_empty() || parsed.password().is_some() {
            return Err(not_allowed("it carries a user name or password"));
        }
        // A literal address meets no resolver.
        let host = parsed.host_str().unwrap_or_default();
        if let Ok(address) = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>()
            && !is_allowed(&self.settings, address)
        {
            return Err(not_allowed("its address is inside, and `[outbound] allow_addresses` does not have it"));
        }
        Ok(parsed)
    }

    /// Sends a body to `url` by a method. Whatever says 2xx has taken it; at most `max_bytes` of the answer are read, and thrown away.
    pub async fn send(
        &self,
        method: &str,
        url: &str,
        headers: &[(String, String)],
        body: Vec<u8>,
        max_bytes: usize,
    ) -> Result<(), OutboundError> {
        let parsed = self.allowed(url)?;
        let shown = crate::names::escape_for_people(url.as_bytes(), 200);
        let unreachable = |source: reqwest::Error| OutboundError::Unreachable { url: shown.clone(), source };
        let method = Method::from_bytes(method.as_bytes());
        let method = method.map_err(|_| OutboundError::NotAllowed { url: shown.clone(), why: "that is no method" })?;
        let mut request = self.client()?.request(method, parsed).body(body);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let mut response = request.send().await.map_err(unreachable)?;
        if !response.status().is_success() {
            return Err(OutboundError::Status { url: shown, status: response.status().as_u16() });
        }
        let mut n_read = 0;
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            n_read += chunk.len();
            if n_read > max_bytes {
                break;
            }
        }
        Ok(())
    }

    /// What stands at `url`, at most `max_bytes` of it.
    pub async fn get(&self, url: &str, max_bytes: usize) -> Result<Vec<u8>, OutboundError> {
        let parsed = self.allowed(url)?;
        let shown = crate::names::escape_for_people(url.as_bytes(), 200);
        let unreachable = |source: reqwest::Error| OutboundError::Unreachable { url: shown.clone(), source };
        let mut response = self.client()?.get(parsed).send().await.map_err(unreachable)?;
        if response.status() != reqwest::StatusCode::OK {
            return Err(OutboundError::Status { url: shown, status: response.status().as_u16() });
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            if body.len() + chunk.len() > max_bytes {
                return Err(OutboundError::TooLong { url: shown, max_bytes });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

/// Resolves names to addresses outside.
struct Outside(Arc<Outbound>);

impl Resolve for Outside {
    fn resolve(&self, name: Name) -> Resolving {
        let settings = self.0.clone();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed: Vec<SocketAddr> = found.filter(|address| is_allowed(&settings, address.ip())).collect();
            if allowed.is_empty() {
                return Err(format!("`{}` has no address outside", name.as_str()).into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

fn is_allowed(settings: &Outbound, address: IpAddr) -> bool {
    let address = address.to_canonical();
    is_outside(address) || settings.allow_addresses.iter().any(|range| range.contains(address))
}

/// Whether an address belongs to the world and not to this machine or its network. IANA, special-purpose address registries.
fn is_outside(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            !(a == 0
                || v4.is_loopback()
                || v4.is_private()
                || v4.is_link_local()
                || v4.is_documentation()
                // Shared address space, protocol assignments, 6to4 relays, benchmarks, reserved, broadcast.
                || (a == 100 && (64..128).contains(&b))
                || (a == 192 && b == 0 && c == 0)
                || (a == 192 && b == 88 && c == 99)
                || (a == 198 && (18..20).contains(&b))
                || a >= 224)
        }
        IpAddr::V6(v6) => {
            let [first, second, ..] = v6.segments();
            let embedded = [0x64, 0x2002].contains(&first) || v6.segments()[..6] == [0; 6];
            // Only global unicast, and of that nothing that stands for an address of version 4 or is for documents.
            (0x2000..0x4000).contains(&first)
                && !embedded
                && !(first == 0x2001 && (second < 0x200 || second == 0xdb8))
                && !(0x3fff..=0x3fff).contains(&first)
                && v6 != Ipv6Addr::UNSPECIFIED
        }
    }
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const TIMEOUT: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::AddressRange;

    fn client(allow: &[&str]) -> OutboundClient {
        let allow_addresses = allow.iter().map(|range| AddressRange::parse(range).unwrap()).collect();
        OutboundClient::new(&Outbound { allow_addresses, allow_http: true })
    }

    // F1
    #[test]
    fn inside_and_outside() {
        for inside in [
            "127.0.0.1",
            "0.0.0.0",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "192.0.2.1",
            "198.18.0.1",
            "::1",
            "::",
            "fe80::1",
            "fc00::1",
            "fd00:ec2::254",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "2001:db8::1",
            "2001::1",
        ] {
            assert!(!is_outside(inside.parse::<IpAddr>().unwrap().to_canonical()), "{inside}");
        }
        for outside in ["1.1.1.1", "140.82.112.3", "2606:4700::1111", "2a00:1450::1"] {
            assert!(is_outside(outside.parse().unwrap()), "{outside}");
        }
    }

    // F1: neither by name nor by address, however it is written.
    #[tokio::test]
    async fn nothing_inside_is_connected_to() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        for host in [
            "127.0.0.1",
            "localhost",
            "0x7f000001",
            "2130706433",
            "127.1",
            "0177.0.0.1",
            "localhost.",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "0.0.0.0",
        ] {
            let answer = client(&[]).get(&format!("http://{host}:{port}/"), 100).await;
            assert!(answer.is_err(), "{host}");
        }
        let untouched = tokio::time::timeout(Duration::from_millis(1), listener.accept()).await;
        assert!(untouched.is_err());
        for url in ["ftp://example.com/", "file:///etc/passwd", "https://user:pw@example.com/", "x"] {
            assert!(matches!(client(&[]).get(url, 100).await, Err(OutboundError::NotAllowed { .. })), "{url}");
        }
    }

    #[tokio::test]
    async fn answers_are_bounded_and_redirects_not_followed() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let answers = [
            "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello",
            "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nhello world, and more",
            "HTTP/1.1 302 Found\r\nconnection: close\r\nlocation: http://127.0.0.1/\r\ncontent-length: 0\r\n\r\n",
        ];
        tokio::spawn(async move {
            for answer in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut head = vec![0; 4096];
                assert!(stream.read(&mut head).await.unwrap() > 0);
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        let client = client(&["127.0.0.0/8"]);
        let url = format!("http://127.0.0.1:{port}/x");
        assert_eq!(client.get(&url, 10).await.unwrap(), b"hello");
        assert!(matches!(client.get(&url, 10).await, Err(OutboundError::TooLong { max_bytes: 10, .. })));
        assert!(matches!(client.get(&url, 10).await, Err(OutboundError::Status { status: 302, .. })));
    }
}
