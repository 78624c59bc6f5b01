//! Responses: a plain line for errors, a stream for Git, and the headers that keep caches away (as `git http-backend`
//! sends them).

use std::io;

use bytes::Bytes;
use futures::StreamExt;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use hyper::http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, EXPIRES, PRAGMA, RETRY_AFTER, WWW_AUTHENTICATE};
use hyper::http::{HeaderValue, Response, StatusCode};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::router::RouteError;
use crate::operations::{AuthFailure, GitRefusal};
use crate::transport::activity::Running;
use crate::transport::pipe::Item;

/// What hyper sends.
pub(super) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// One line of text, not to be cached.
pub(super) fn plain(status: StatusCode, line: &str) -> Response<Body> {
    let body = Full::new(Bytes::from(format!("{line}\n"))).map_err(|never| match never {}).boxed_unsync();
    with_headers(status, HeaderValue::from_static("text/plain; charset=utf-8"), body)
}

/// A Git answer of unknown length. The connection counts as busy until the answer is sent or given up.
pub(super) fn stream(content_type: HeaderValue, chunks: mpsc::Receiver<Item>, running: Running) -> Response<Body> {
    let frames = ReceiverStream::new(chunks).map(move |chunk| {
        let _busy = &running;
        chunk.map(Frame::data)
    });
    with_headers(StatusCode::OK, content_type, BodyExt::boxed_unsync(StreamBody::new(frames)))
}

pub(super) fn route_error(error: RouteError) -> Response<Body> {
    let status = match error {
        RouteError::AmbiguousPath | RouteError::Query => StatusCode::BAD_REQUEST,
        RouteError::NotFound => StatusCode::NOT_FOUND,
        RouteError::Method { .. } => StatusCode::METHOD_NOT_ALLOWED,
        RouteError::DumbProtocol => StatusCode::FORBIDDEN,
    };
    let mut response = plain(status, &error.to_string());
    if let RouteError::Method { allow } = error {
        response.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
    }
    response
}

/// 401: who are you?
pub(super) fn unauthorized(line: &str) -> Response<Body> {
    let mut response = plain(StatusCode::UNAUTHORIZED, line);
    response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"Lockgate\""));
    response
}

pub(super) fn auth_failure(failure: AuthFailure) -> Response<Body> {
    match failure {
        AuthFailure::Wrong => unauthorized(&failure.to_string()),
        AuthFailure::TooMany { retry_after_seconds } => {
            retry_later(StatusCode::TOO_MANY_REQUESTS, &failure.to_string(), retry_after_seconds)
        }
        AuthFailure::Unavailable => retry_later(StatusCode::SERVICE_UNAVAILABLE, &failure.to_string(), 10),
    }
}

pub(super) fn refusal(refusal: &GitRefusal) -> Response<Body> {
    match refusal {
        GitRefusal::NotFound => plain(StatusCode::NOT_FOUND, &refusal.to_string()),
        GitRefusal::Forbidden(_) => plain(StatusCode::FORBIDDEN, &refusal.to_string()),
        GitRefusal::Unavailable(_) => retry_later(StatusCode::SERVICE_UNAVAILABLE, &refusal.to_string(), 10),
    }
}

pub(super) fn retry_later(status: StatusCode, line: &str, seconds: u32) -> Response<Body> {
    let mut response = plain(status, line);
    response.headers_mut().insert(RETRY_AFTER, seconds.into());
    response
}

fn with_headers(status: StatusCode, content_type: HeaderValue, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, content_type);
    headers.insert(EXPIRES, HeaderValue::from_static("Fri, 01 Jan 1980 00:00:00 GMT"));
    headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, max-age=0, must-revalidate"));
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    response
}
