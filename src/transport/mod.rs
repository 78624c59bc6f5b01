//! The doors: SSH and HTTPS. They find out who is there and what is asked, then pump bytes between a socket and a
//! [`GitTransfer`].
//!
//! Invariant: nothing here knows what a repository holds or what a policy says; a door asks [`GitHost`].
//! Everything a peer chooses has a limit here: connections (`admission`), time (`guarded`, `activity`), memory (`pipe`).

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::Limits;
use crate::operations::{ApiService, GitHost, GitTransfer, TransferError};

pub mod activity;
pub mod admission;
pub mod git_protocol;
pub mod guarded;
pub mod https;
pub mod key_file;
pub mod pipe;
pub mod repository_path;
pub mod ssh;
pub mod tls;

#[cfg(test)]
mod tests;

/// What all doors share.
#[derive(Clone)]
pub struct Doors {
    /// The inside.
    pub host: Arc<dyn GitHost>,
    /// The API; none where there is only Git.
    pub api: Option<Arc<dyn ApiService>>,
    /// Bounds from the configuration.
    pub limits: Arc<Limits>,
    /// The table of connections.
    pub admission: Arc<admission::Admission>,
    /// Cancelled when the server stops: no new connection, no new request; what runs may finish.
    pub stopping: CancellationToken,
    /// Every connection is a task in here.
    pub connections: TaskTracker,
    transfers: Arc<Semaphore>,
}

impl Doors {
    /// Doors to `host`, all open.
    pub fn new(host: Arc<dyn GitHost>, limits: &Limits) -> Doors {
        Doors {
            host,
            api: None,
            admission: admission::Admission::new(limits),
            stopping: CancellationToken::new(),
            connections: TaskTracker::new(),
            transfers: Arc::new(Semaphore::new(limits.transfers as usize)),
            limits: Arc::new(limits.clone()),
        }
    }

    /// The same doors, and one more for the API.
    pub fn with_api(self, api: Arc<dyn ApiService>) -> Doors {
        Doors { api: Some(api), ..self }
    }

    /// Accepts connections until the server stops; `serve` has each until its end.
    pub async fn accept<F, Serving>(&self, listener: TcpListener, serve: F)
    where
        F: Fn(TcpStream, SocketAddr, admission::Permit) -> Serving,
        Serving: Future<Output = ()> + Send + 'static,
    {
        loop {
            let accepted = tokio::select! {
                () = self.stopping.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of descriptors, or a connection that was gone before it was taken: neither ends the server.
                    tracing::warn!(%error, "failed to accept a connection");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    continue;
                }
            };
            let Some(permit) = self.admission.admit(peer.ip()) else {
                tracing::warn!(%peer, "refused a connection, there are too many");
                continue;
            };
            // Git's small packets wait for no acknowledgement; a socket without the option still works.
            let _ = stream.set_nodelay(true);
            self.connections.spawn(serve(stream, peer, permit));
        }
    }

    /// Waits for a transfer's turn; none if it does not come in `queue_seconds`.
    pub(crate) async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        let wait = Duration::from_secs(self.limits.queue_seconds);
        let acquired = tokio::time::timeout(wait, self.transfers.clone().acquire_owned()).await.ok()?;
        Some(acquired.expect("the semaphore is never closed"))
    }

    pub(crate) fn idle(&self) -> Duration {
        Duration::from_secs(self.limits.idle_seconds)
    }

    pub(crate) fn deadline(&self) -> Instant {
        Instant::now() + Duration::from_secs(self.limits.transfer_seconds)
    }
}

/// Runs a transfer to its end on this blocking thread; a panic in it is its own failure and not the server's.
pub(crate) fn run_transfer(
    transfer: Box<dyn GitTransfer>,
    input: Box<dyn io::Read + Send>,
    output: Box<dyn io::Write + Send>,
) -> Result<(), TransferError> {
    let run = std::panic::AssertUnwindSafe(|| transfer.run(input, output));
    std::panic::catch_unwind(run)
        .unwrap_or_else(|_| Err(TransferError::Internal("the transfer broke off by a fault in the server".into())))
}

/// Runs `work` on a thread that may block, in the current span.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let span = tracing::Span::current();
    tokio::task::spawn_blocking(move || span.in_scope(work)).await.ok()
}
