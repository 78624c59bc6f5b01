//! Smart HTTP (gitprotocol-http): find out who asks, whether they may, and only then touch the body.
//!
//! The order matters: a refusal comes before the first poll of the body, so that a client with `Expect: 100-continue`
//! never sends what nobody wants.

// A refusal here is the response itself, and is made once a request.
#![expect(clippy::result_large_err)]

use std::io::{self, Read};
use std::net::IpAddr;

use base64::Engine;
use flate2::read::GzDecoder;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HOST};
use hyper::http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use tokio::sync::mpsc;
use tracing::Instrument;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::response::{self, Body};
use crate::identity::Principal;
use crate::operations::{
    AuthFailure, GitMode, GitRequest, GitService, GitSession, OpContext, RepositoryPath, TransferError, Transport,
};
use crate::transport::activity::Running;
use crate::transport::admission::Permit;
use crate::transport::pipe::{self, Item};
use crate::transport::{Doors, blocking, git_protocol, run_transfer};

/// Answers a Git request. `running` is held until the last byte of the answer is on its way.
pub(super) async fn serve(
    doors: &Doors,
    permit: &Permit,
    source: IpAddr,
    running: Running,
    (service, repository, mode): (GitService, RepositoryPath, GitMode),
    request: Request<Incoming>,
) -> Response<Body> {
    let request_id = Uuid::now_v7();
    let span = tracing::info_span!("git", %request_id, service = service.name(), transport = "https");
    let work = async {
        let principal = authenticate(doors, &request, mode, source).await?;
        permit.authenticated();
        let head = Head::parse(request.headers(), service, mode, doors)?;
        let Some(turn) = doors.turn().await else {
            return Err(response::retry_later(StatusCode::TOO_MANY_REQUESTS, "the server is busy", 30));
        };
        let session = GitSession { service, repository, protocol_version: head.protocol_version, mode };
        let ctx = OpContext { principal, request_id, source: Some(source), transport: Transport::Https };
        let host = doors.host.clone();
        let transfer = match blocking(move || host.open(&ctx, &session)).await {
            Some(Ok(transfer)) => transfer,
            Some(Err(refusal)) => return Err(response::refusal(&refusal)),
            None => return Err(failed(request_id)),
        };

        let (sender, input) = pipe::input(doors.deadline(), doors.idle());
        match mode {
            GitMode::Advertise => drop(sender),
            GitMode::StatelessRpc | GitMode::Stateful => {
                tokio::spawn(pump_in(request.into_body(), sender, head.max_bytes));
            }
        }
        let (output, chunks) = pipe::output(doors.deadline(), doors.idle());
        let failure = output.sender();
        // The task outlives this function: the answer's head goes out now, its body as it comes.
        tokio::spawn(
            async move {
                let ended = blocking(move || {
                    // A decoder reads as soon as it is made, so it is made where reading may block.
                    let input: Box<dyn Read + Send> = match head.gzip {
                        true => Box::new(AtMost { inner: GzDecoder::new(input), left: head.max_bytes }),
                        false => Box::new(input),
                    };
                    run_transfer(transfer, input, Box::new(output))
                })
                .await;
                if let Some(Err(error)) = &ended {
                    tracing::info!(error = error as &dyn std::error::Error, "transfer ended early");
                }
                // A refusal was said in the protocol's own words and ends well for HTTP; anything else must not look whole.
                if !matches!(ended, Some(Ok(()) | Err(TransferError::Refused(_)))) {
                    let _ = failure.send(Err(io::Error::other("the transfer failed"))).await;
                }
                drop(turn);
            }
            .in_current_span(),
        );
        Ok(response::stream(content_type(service, mode), chunks, running))
    };
    work.instrument(span).await.unwrap_or_else(|refused| refused)
}

fn failed(request_id: Uuid) -> Response<Body> {
    let line = format!("the server failed, request {request_id}");
    response::plain(StatusCode::INTERNAL_SERVER_ERROR, &line)
}

fn content_type(service: GitService, mode: GitMode) -> HeaderValue {
    HeaderValue::from_static(match (service, mode) {
        (GitService::UploadPack, GitMode::Advertise) => "application/x-git-upload-pack-advertisement",
        (GitService::ReceivePack, GitMode::Advertise) => "application/x-git-receive-pack-advertisement",
        (GitService::ReceivePack, _) => "application/x-git-receive-pack-result",
        (GitService::UploadPack | GitService::UploadArchive, _) => "application/x-git-upload-pack-result",
    })
}

async fn authenticate(
    doors: &Doors,
    request: &Request<Incoming>,
    mode: GitMode,
    source: IpAddr,
) -> Result<Principal, Response<Body>> {
    let headers = request.headers();
    let Some(value) = single(headers, &AUTHORIZATION)? else {
        return Err(response::unauthorized("sign in with Git credentials"));
    };
    let Some((user, password)) = basic(value) else {
        return Err(response::unauthorized("the Authorization header is not understood"));
    };
    let host = doors.host.clone();
    let asked = git_request(request, mode)?;
    match blocking(move || host.authenticate_git(&user, &password, &asked, source)).await {
        Some(Ok(principal)) => Ok(principal),
        Some(Err(failure)) => Err(response::auth_failure(failure)),
        None => Err(response::auth_failure(AuthFailure::Unavailable)),
    }
}

/// What a password may have been signed for.
fn git_request(request: &Request<Incoming>, mode: GitMode) -> Result<GitRequest, Response<Body>> {
    let host = match single(request.headers(), &HOST)? {
        Some(value) => value.to_str().unwrap_or_default().to_owned(),
        None => request.uri().authority().map(ToString::to_string).unwrap_or_default(),
    };
    let path = request.uri().path();
    let ends = ["/info/refs", "/git-upload-pack", "/git-receive-pack"];
    let path = ends.iter().find_map(|end| path.strip_suffix(end)).unwrap_or(path).to_owned();
    Ok(GitRequest { host, path, is_first: mode == GitMode::Advertise })
}

/// User and password of `Basic`, RFC 7617; neither is ever logged (attack checklist C4).
fn basic(value: &HeaderValue) -> Option<(String, Zeroizing<String>)> {
    let value = value.as_bytes();
    let space = value.iter().position(|b| *b == b' ')?;
    if !value[..space].eq_ignore_ascii_case(b"basic") || value.len() > MAX_AUTHORIZATION_BYTES {
        return None;
    }
    let decoded = Zeroizing::new(base64::engine::general_purpose::STANDARD.decode(&value[space + 1..]).ok()?);
    let text = std::str::from_utf8(&decoded).ok()?;
    let (user, password) = text.split_once(':')?;
    Some((user.to_owned(), Zeroizing::new(password.to_owned())))
}

/// What the headers say about the body.
struct Head {
    protocol_version: u8,
    gzip: bool,
    /// Of the body, before and after inflation.
    max_bytes: u64,
}

impl Head {
    fn parse(headers: &HeaderMap, service: GitService, mode: GitMode, doors: &Doors) -> Result<Head, Response<Body>> {
        let bad = |line| Err(response::plain(StatusCode::BAD_REQUEST, line));
        let protocol_version = match single(headers, &HeaderName::from_static("git-protocol"))? {
            None => 0,
            Some(value) => match git_protocol::protocol_version(value.as_bytes()) {
                Some(version) => version,
                None => return bad("the Git-Protocol header is not understood"),
            },
        };
        if mode == GitMode::Advertise {
            return Ok(Head { protocol_version, gzip: false, max_bytes: 0 });
        }
        let wanted = match service {
            GitService::ReceivePack => "application/x-git-receive-pack-request",
            GitService::UploadPack | GitService::UploadArchive => "application/x-git-upload-pack-request",
        };
        if single(headers, &CONTENT_TYPE)?.is_none_or(|value| value.as_bytes() != wanted.as_bytes()) {
            let line = format!("the Content-Type is not {wanted}");
            return Err(response::plain(StatusCode::UNSUPPORTED_MEDIA_TYPE, &line));
        }
        let gzip = match single(headers, &CONTENT_ENCODING)?.map(HeaderValue::as_bytes) {
            None | Some(b"identity") => false,
            Some(b"gzip" | b"x-gzip") => true,
            Some(_) => {
                return Err(response::plain(StatusCode::UNSUPPORTED_MEDIA_TYPE, "the Content-Encoding is not gzip"));
            }
        };
        let limits = &doors.limits;
        let max_bytes = match service {
            GitService::ReceivePack => limits.max_pack_bytes.saturating_add(limits.max_request_bytes),
            GitService::UploadPack | GitService::UploadArchive => limits.max_request_bytes,
        };
        let length = headers.get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()).and_then(|v| v.parse::<u64>().ok());
        if length.is_some_and(|length| length > max_bytes) {
            let line = format!("the request is longer than {max_bytes} bytes");
            return Err(response::plain(StatusCode::PAYLOAD_TOO_LARGE, &line));
        }
        Ok(Head { protocol_version, gzip, max_bytes })
    }
}

/// A header that may stand once; two of them are two readings (attack checklist I2).
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a HeaderValue>, Response<Body>> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (_, Some(_)) => Err(response::plain(StatusCode::BAD_REQUEST, &format!("{name} stands more than once"))),
        (value, None) => Ok(value),
    }
}

/// Hands the body to the transfer. When the transfer wants no more, the rest is taken and dropped, within the body's
/// limit: a client that is still sending would otherwise meet a closed connection before it has read why.
async fn pump_in(mut body: Incoming, sender: mpsc::Sender<Item>, max_bytes: u64) {
    let mut left = max_bytes;
    let mut sender = Some(sender);
    loop {
        let frame = match &sender {
            Some(to) => tokio::select! {
                frame = body.frame() => frame,
                () = to.closed() => {
                    sender = None;
                    continue;
                }
            },
            None => match tokio::time::timeout(LINGER, body.frame()).await {
                Ok(frame) => frame,
                Err(_) => return,
            },
        };
        let item = match frame {
            None => return,
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => match left.checked_sub(data.len() as u64) {
                    Some(rest) => {
                        left = rest;
                        Ok(data)
                    }
                    None => Err(too_long(max_bytes)),
                },
                // Trailers; Git sends none.
                Err(_) => continue,
            },
            Some(Err(error)) => Err(io::Error::new(io::ErrorKind::UnexpectedEof, error)),
        };
        let ended = item.is_err();
        if let Some(to) = &sender
            && to.send(item).await.is_err()
        {
            sender = None;
        }
        if ended {
            return;
        }
    }
}

/// How long a client whose data nobody wants may be silent.
const LINGER: std::time::Duration = std::time::Duration::from_secs(10);

/// A reader that fails where it would give more than it may; what inflates without end is an attack (I1).
struct AtMost<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for AtMost<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        match self.left.checked_sub(n as u64) {
            Some(left) => {
                self.left = left;
                Ok(n)
            }
            None => Err(io::Error::new(io::ErrorKind::FileTooLarge, "the request inflates to more than it may")),
        }
    }
}

fn too_long(max_bytes: u64) -> io::Error {
    io::Error::new(io::ErrorKind::FileTooLarge, format!("the request is longer than {max_bytes} bytes"))
}

/// Session tokens make passwords of some kilobytes.
const MAX_AUTHORIZATION_BYTES: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_credentials() {
        let encode = |text: &str| {
            let text = base64::engine::general_purpose::STANDARD.encode(text);
            HeaderValue::from_str(&format!("Basic {text}")).unwrap()
        };
        let (user, password) = basic(&encode("alice:a:b")).unwrap();
        assert_eq!((user.as_str(), password.as_str()), ("alice", "a:b"));
        assert!(basic(&encode("alice")).is_none());
        assert!(basic(&HeaderValue::from_static("Bearer x")).is_none());
        assert!(basic(&HeaderValue::from_static("Basic !")).is_none());
        assert!(basic(&encode(&"a".repeat(20_000))).is_none());
    }

    // I1
    #[test]
    fn inflation_is_bounded() {
        let mut reader = AtMost { inner: io::repeat(0), left: 10 };
        let error = io::copy(&mut reader, &mut io::sink()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
    }
}
