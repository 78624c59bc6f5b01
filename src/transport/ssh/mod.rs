//! Git over SSH: public keys only, fixed commands only, no compression, no forwarding, no terminal.
//!
//! `handler` answers what the client asks of the connection, `exec` parses commands, `command` runs one on its channel.
//!
//! Two traps of russh 0.65 shape this module. `Handle::data` ignores the client's window, so everything is written through
//! window-aware channel writers. And a channel's receive window is refilled before its data is consumed, while the queue
//! to the channel is bounded: one push that is slow to be taken in holds up its whole connection. So each channel is read
//! from the moment it runs until its end, even when nobody wants the data any more, and a connection takes in one pack at a time.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use russh::keys::{Certificate, PrivateKey};
use russh::{MethodKind, MethodSet, Preferred, SshId, compression, server};
use tokio::net::TcpStream;

use super::Doors;
use super::activity::Activity;
use super::admission::Permit;
use super::guarded::Guarded;

mod command;
pub mod exec;
mod handler;
pub mod host_key;

/// The SSH door.
#[derive(Clone)]
pub struct SshServer {
    doors: Doors,
    config: Arc<RwLock<Arc<server::Config>>>,
}

impl SshServer {
    /// A door that proves itself by `host_key`.
    pub fn new(doors: Doors, host_key: PrivateKey) -> SshServer {
        let config = config(&doors, vec![host_key], Vec::new());
        SshServer { doors, config: Arc::new(RwLock::new(Arc::new(config))) }
    }

    /// Shows connections from now on a certificate of the host key besides.
    pub fn present(&self, certificate: Certificate) {
        let keys = self.config.read().keys.clone();
        *self.config.write() = Arc::new(config(&self.doors, keys, vec![certificate]));
    }

    /// Serves one connection to its end.
    pub async fn serve(self, stream: TcpStream, peer: SocketAddr, permit: Permit) {
        let permit = Arc::new(permit);
        let token = permit.token().clone();
        let activity = Activity::new();
        let limits = self.doors.limits.clone();
        let stopping = self.doors.stopping.clone();
        let idle = self.doors.idle();
        let config = self.config.read().clone();
        let guarded = Guarded::new(stream, token.clone(), idle);
        let handler = handler::Connection::new(self.doors, peer, permit.clone(), activity.clone());

        let handshake = tokio::time::sleep(Duration::from_secs(limits.handshake_seconds));
        tokio::pin!(handshake);
        let mut session = tokio::select! {
            started = server::run_stream(config, guarded, handler) => match started {
                Ok(session) => session,
                Err(error) => return tracing::debug!(%peer, %error, "no SSH client"),
            },
            () = &mut handshake => return tracing::debug!(%peer, "no SSH greeting in time"),
        };
        let handle = session.handle();
        let mut handshake_over = false;
        let mut stopped = false;
        loop {
            tokio::select! {
                ended = &mut session => {
                    if let Err(error) = ended {
                        tracing::debug!(%peer, %error, "SSH connection ended");
                    }
                    return;
                }
                () = &mut handshake, if !handshake_over => {
                    handshake_over = true;
                    if !permit.is_authenticated() {
                        token.cancel();
                    }
                }
                () = activity.idle(idle) => token.cancel(),
                () = async { stopping.cancelled().await; activity.quiet().await }, if !stopped => {
                    stopped = true;
                    let bye = handle.disconnect(russh::Disconnect::ByApplication, "the server stops".into(), "".into());
                    // A session that does not take the message is blocked; it is ended from below.
                    if tokio::time::timeout(Duration::from_secs(1), bye).await.is_err() {
                        token.cancel();
                    }
                }
            }
        }
    }
}

fn config(doors: &Doors, keys: Vec<PrivateKey>, certificates: Vec<Certificate>) -> server::Config {
    server::Config {
        server_id: SshId::Standard("SSH-2.0-Lockgate".into()),
        methods: MethodSet::from(&[MethodKind::PublicKey][..]),
        auth_rejection_time: Duration::from_millis(200),
        auth_rejection_time_initial: Some(Duration::ZERO),
        keys,
        certificates,
        window_size: 2 << 20,
        maximum_packet_size: 64 << 10,
        channel_buffer_size: CHANNEL_QUEUE,
        event_buffer_size: 64,
        preferred: Preferred { compression: (&[compression::NONE][..]).into(), ..Preferred::DEFAULT },
        // Enough for an agent full of keys.
        max_auth_attempts: 16,
        inactivity_timeout: Some(doors.idle()),
        keepalive_interval: Some(doors.idle() / 4),
        keepalive_max: 3,
        nodelay: true,
        ..server::Config::default()
    }
}

/// Messages that may wait for a channel.
const CHANNEL_QUEUE: usize = 128;
