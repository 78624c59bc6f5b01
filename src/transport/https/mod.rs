//! The HTTPS door: TLS, HTTP/1.1 and HTTP/2 through one parser (hyper), Git's smart protocol, and the two health pages.

use std::convert::Infallible;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::http::{Request, Response, StatusCode};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use rustls::ServerConfig;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::activity::Activity;
use super::admission::Permit;
use super::guarded::Guarded;
use super::{Doors, blocking};
use crate::operations::GitMode;

mod api;
mod git;
mod response;
pub mod router;

use response::Body;
use router::Route;

/// The HTTPS door.
#[derive(Clone)]
pub struct HttpsServer {
    doors: Doors,
    tls: TlsAcceptor,
    http: auto::Builder<TokioExecutor>,
}

impl HttpsServer {
    /// A door behind `tls`.
    pub fn new(doors: Doors, tls: Arc<ServerConfig>) -> HttpsServer {
        let mut http = auto::Builder::new(TokioExecutor::new());
        http.http1()
            .timer(TokioTimer::new())
            .header_read_timeout(Duration::from_secs(doors.limits.header_seconds))
            .max_headers(MAX_HEADERS)
            .max_buf_size(MAX_HEADER_BYTES * 4);
        http.http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(32)
            .max_header_list_size(MAX_HEADER_BYTES as u32)
            .initial_stream_window_size(1 << 20)
            .initial_connection_window_size(4 << 20)
            .max_frame_size(64 << 10)
            .max_send_buf_size(1 << 20)
            .keep_alive_interval(doors.idle() / 2)
            .keep_alive_timeout(doors.idle() / 2);
        HttpsServer { doors, tls: TlsAcceptor::from(tls), http }
    }

    /// Serves one connection to its end.
    pub async fn serve(self, stream: TcpStream, peer: SocketAddr, permit: Permit) {
        let idle = self.doors.idle();
        let guarded = Guarded::new(stream, permit.token().clone(), idle);
        let handshake = Duration::from_secs(self.doors.limits.handshake_seconds);
        let tls = match tokio::time::timeout(handshake, self.tls.accept(guarded)).await {
            Ok(Ok(tls)) => tls,
            Ok(Err(error)) => return tracing::debug!(%peer, %error, "no TLS client"),
            Err(_) => return tracing::debug!(%peer, "no TLS handshake in time"),
        };
        let permit = Arc::new(permit);
        let activity = Activity::new();
        let doors = self.doors.clone();
        let service = service_fn(|request| answer(&doors, &permit, &activity, peer.ip().to_canonical(), request));
        let connection = self.http.serve_connection(TokioIo::new(tls), service);
        tokio::pin!(connection);
        let mut stopped = false;
        loop {
            tokio::select! {
                ended = connection.as_mut() => {
                    if let Err(error) = ended {
                        tracing::debug!(%peer, %error, "HTTP connection ended");
                    }
                    return;
                }
                () = self.doors.stopping.cancelled(), if !stopped => {
                    stopped = true;
                    connection.as_mut().graceful_shutdown();
                }
                () = activity.idle(idle) => return,
            }
        }
    }
}

/// One request; never fails, since every failure is a response.
fn answer(
    doors: &Doors,
    permit: &Arc<Permit>,
    activity: &Activity,
    source: IpAddr,
    request: Request<Incoming>,
) -> impl Future<Output = Result<Response<Body>, Infallible>> + use<> {
    let (doors, permit, running) = (doors.clone(), permit.clone(), activity.begin());
    async move {
        let git = match router::route(request.method(), request.uri()) {
            Err(error) => return Ok(response::route_error(error)),
            Ok(Route::Health) => return Ok(response::plain(StatusCode::OK, "ok")),
            Ok(Route::Ready) => {
                let health = blocking(move || doors.host.health()).await;
                return Ok(match health {
                    Some(Ok(())) => response::plain(StatusCode::OK, "ready"),
                    Some(Err(part)) => {
                        tracing::warn!(part, "not ready");
                        response::plain(StatusCode::SERVICE_UNAVAILABLE, "not ready")
                    }
                    None => response::plain(StatusCode::SERVICE_UNAVAILABLE, "not ready"),
                });
            }
            Ok(Route::Api) => return Ok(api::serve(&doors, &permit, source, running, request).await),
            Ok(Route::Advertise(service, repository)) => (service, repository, GitMode::Advertise),
            Ok(Route::Rpc(service, repository)) => (service, repository, GitMode::StatelessRpc),
        };
        Ok(git::serve(&doors, &permit, source, running, git, request).await)
    }
}

const MAX_HEADERS: usize = 64;
const MAX_HEADER_BYTES: usize = 32 * 1024;
