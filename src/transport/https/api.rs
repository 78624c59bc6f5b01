//! The API: one address for all services. The head is looked at first; only who names a key that is known may send a body.

use std::net::IpAddr;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::http::header::CONTENT_LENGTH;
use hyper::http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use tracing::Instrument;
use uuid::Uuid;

use super::response::{self, Body};
use crate::operations::{ApiAnswer, ApiHead};
use crate::transport::activity::Running;
use crate::transport::admission::Permit;
use crate::transport::{Doors, blocking};

/// Answers one call.
pub(super) async fn serve(
    doors: &Doors,
    permit: &Permit,
    source: IpAddr,
    running: Running,
    request: Request<Incoming>,
) -> Response<Body> {
    let request_id = Uuid::now_v7();
    let span = tracing::info_span!("api", %request_id);
    let work = async {
        let Some(api) = doors.api.clone() else {
            return response::plain(StatusCode::NOT_FOUND, "not found");
        };
        let (parts, body) = request.into_parts();
        let mut headers: Vec<(String, Vec<u8>)> =
            parts.headers.iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec())).collect();
        // HTTP/2 says the host in its own place.
        if let Some(authority) = parts.uri.authority().filter(|_| !parts.headers.contains_key("host")) {
            headers.push(("host".to_owned(), authority.as_str().as_bytes().to_vec()));
        }
        let head = ApiHead {
            method: parts.method.as_str().to_owned(),
            path: parts.uri.path().to_owned(),
            query: parts.uri.query().map(str::to_owned),
            headers,
            source,
            request_id,
        };
        let call = match blocking(move || api.begin(head)).await {
            Some(Ok(call)) => call,
            Some(Err(answer)) => return of_answer(answer),
            None => return failed(request_id),
        };
        let max_bytes = call.max_body_bytes();
        let length = parts.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
        if length.is_some_and(|length| length > max_bytes) {
            return of_answer(call.too_long());
        }
        let body = match tokio::time::timeout(doors.idle(), Limited::new(body, max_bytes).collect()).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => return of_answer(call.too_long()),
            Ok(Err(_)) => return response::plain(StatusCode::BAD_REQUEST, "the request ended early"),
            Err(_) => return response::plain(StatusCode::REQUEST_TIMEOUT, "the request did not arrive in time"),
        };
        match blocking(move || call.finish(body.to_vec())).await {
            Some(answer) => {
                if answer.is_proven {
                    permit.authenticated();
                }
                of_answer(answer)
            }
            None => failed(request_id),
        }
    };
    let answer = work.instrument(span).await;
    drop(running);
    answer
}

fn failed(request_id: Uuid) -> Response<Body> {
    response::plain(StatusCode::INTERNAL_SERVER_ERROR, &format!("the server failed, request {request_id}"))
}

fn of_answer(answer: ApiAnswer) -> Response<Body> {
    let body = Full::new(Bytes::from(answer.body)).map_err(|never| match never {}).boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in answer.headers {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(HeaderName::from_static(name), value);
        }
    }
    response.headers_mut().insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    response
}
