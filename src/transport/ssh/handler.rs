//! One SSH connection: authentication, and what may be asked before a command runs. Everything that is not listed here is
//! refused by russh's defaults or below (attack checklist A2).

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use russh::keys::{Algorithm, Certificate, PublicKey};
use russh::server::{Auth, ChannelOpenHandle, Handler, Msg, PublicKeyOffer, Session, VerifiedPublicKey};
use russh::{Channel, ChannelId, ChannelOpenFailure};
use tokio::sync::Semaphore;

use super::command::Command;
use super::{CHANNEL_QUEUE, exec};
use crate::identity::{Principal, SSH_USER_NAME};
use crate::transport::activity::Activity;
use crate::transport::admission::Permit;
use crate::transport::{Doors, blocking, git_protocol};

/// The state of one connection.
pub(super) struct Connection {
    doors: Doors,
    peer: SocketAddr,
    permit: Arc<Permit>,
    activity: Activity,
    /// Set by a verified signature and by nothing else (attack checklist C1).
    principal: Option<Principal>,
    /// Channels that have not been asked to run anything.
    waiting: HashMap<ChannelId, Waiting>,
    /// One pack at a time comes in; the module's text says why.
    inbound: Arc<Semaphore>,
}

struct Waiting {
    channel: Channel<Msg>,
    protocol_version: u8,
    /// What came before the command; nobody reads the channel's queue yet, so it must never fill.
    n_messages: usize,
}

impl Connection {
    pub(super) fn new(doors: Doors, peer: SocketAddr, permit: Arc<Permit>, activity: Activity) -> Connection {
        let inbound = Arc::new(Semaphore::new(1));
        Connection { doors, peer, permit, activity, principal: None, waiting: HashMap::new(), inbound }
    }

    async fn owner_of(&self, user: &str, key: &PublicKey, algorithm: &Algorithm) -> Option<Principal> {
        if matches!(algorithm, Algorithm::Rsa { hash: None }) || user.len() > MAX_USER_NAME_BYTES {
            return None;
        }
        let (host, source) = (self.doors.host.clone(), self.peer.ip());
        let (key, user) = (key.clone(), user.to_owned());
        blocking(move || host.authenticate_ssh_key(&key, &user, source)).await.flatten()
    }

    /// Counts a message to a channel that runs nothing yet. An error ends the connection: only an attack sends so many.
    fn count(&mut self, channel: ChannelId) -> Result<Option<&mut Waiting>, russh::Error> {
        let Some(waiting) = self.waiting.get_mut(&channel) else {
            return Ok(None);
        };
        waiting.n_messages += 1;
        if waiting.n_messages > CHANNEL_QUEUE / 4 {
            return Err(russh::Error::Disconnect);
        }
        Ok(Some(waiting))
    }

    fn take(&mut self, channel: ChannelId) -> Option<(Command, Channel<Msg>, u8)> {
        let principal = self.principal.clone()?;
        let waiting = self.waiting.remove(&channel)?;
        let command = Command {
            doors: self.doors.clone(),
            principal,
            source: self.peer.ip(),
            inbound: self.inbound.clone(),
            running: self.activity.begin(),
        };
        Some((command, waiting.channel, waiting.protocol_version))
    }

    fn refuse(&mut self, channel: ChannelId, session: &mut Session) -> Result<(), russh::Error> {
        self.count(channel)?;
        session.channel_failure(channel)
    }
}

impl Handler for Connection {
    type Error = russh::Error;

    /// Nothing is decided or kept here. russh does not tell a certificate's key from a key by itself, and any key may have a
    /// certificate: under the name that certificates are for, each is let on to its signature. Nobody learns thereby whose public
    /// key is known here.
    async fn auth_publickey_offered(&mut self, user: &str, offer: PublicKeyOffer<'_>) -> Result<Auth, Self::Error> {
        if user == SSH_USER_NAME && !matches!(offer.algorithm, Algorithm::Rsa { hash: None }) {
            return Ok(Auth::Accept);
        }
        match self.owner_of(user, offer.public_key, offer.algorithm).await {
            Some(_) => Ok(Auth::Accept),
            None => Ok(Auth::reject()),
        }
    }

    /// russh has verified the signature over this key and user name.
    async fn auth_publickey(&mut self, user: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, Self::Error> {
        self.principal = self.owner_of(user, key.public_key, key.algorithm).await;
        match self.principal {
            Some(_) => {
                self.permit.authenticated();
                Ok(Auth::Accept)
            }
            None => Ok(Auth::reject()),
        }
    }

    /// russh has verified the signature by the certificate's key over this user name. It has called
    /// [`Handler::auth_publickey_offered`] for the key before, which refuses signatures with SHA-1.
    async fn auth_openssh_certificate(&mut self, user: &str, certificate: &Certificate) -> Result<Auth, Self::Error> {
        if user.len() > MAX_USER_NAME_BYTES {
            return Ok(Auth::reject());
        }
        let (host, source) = (self.doors.host.clone(), self.peer.ip());
        let (certificate, user) = (certificate.clone(), user.to_owned());
        let found = blocking(move || host.authenticate_ssh_certificate(&certificate, &user, source)).await;
        self.principal = found.flatten();
        match self.principal {
            Some(_) => {
                self.permit.authenticated();
                Ok(Auth::Accept)
            }
            None => Ok(Auth::reject()),
        }
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        if self.waiting.len() + self.activity.n_running() >= MAX_CHANNELS || self.doors.stopping.is_cancelled() {
            reply.reject(ChannelOpenFailure::ResourceShortage).await;
            return Ok(());
        }
        self.waiting.insert(channel.id(), Waiting { channel, protocol_version: 0, n_messages: 0 });
        reply.accept().await;
        Ok(())
    }

    async fn channel_close(&mut self, channel: ChannelId, _session: &mut Session) -> Result<(), Self::Error> {
        self.waiting.remove(&channel);
        Ok(())
    }

    async fn channel_eof(&mut self, channel: ChannelId, _session: &mut Session) -> Result<(), Self::Error> {
        self.count(channel).map(drop)
    }

    async fn data(&mut self, channel: ChannelId, _data: &[u8], _session: &mut Session) -> Result<(), Self::Error> {
        self.count(channel).map(drop)
    }

    async fn extended_data(
        &mut self,
        channel: ChannelId,
        _code: u32,
        _data: &[u8],
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.count(channel).map(drop)
    }

    async fn env_request(
        &mut self,
        channel: ChannelId,
        name: &str,
        value: &str,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        let waiting = self.count(channel)?;
        match (waiting, name, git_protocol::protocol_version(value.as_bytes())) {
            (Some(waiting), "GIT_PROTOCOL", Some(version)) => {
                waiting.protocol_version = version;
                session.channel_success(channel)
            }
            _ => session.channel_failure(channel),
        }
    }

    async fn exec_request(
        &mut self,
        channel: ChannelId,
        data: &[u8],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        let Some((command, stream, version)) = self.take(channel) else {
            return self.refuse(channel, session);
        };
        session.channel_success(channel)?;
        match exec::parse(data) {
            Ok(exec) => tokio::spawn(command.git(stream, exec, version)),
            Err(error) => tokio::spawn(command.refuse(stream, error.to_string())),
        };
        Ok(())
    }

    async fn shell_request(&mut self, channel: ChannelId, session: &mut Session) -> Result<(), Self::Error> {
        let Some((command, stream, _)) = self.take(channel) else {
            return self.refuse(channel, session);
        };
        session.channel_success(channel)?;
        tokio::spawn(command.greet(stream));
        Ok(())
    }

    async fn pty_request(
        &mut self,
        channel: ChannelId,
        _term: &str,
        _col_width: u32,
        _row_height: u32,
        _pix_width: u32,
        _pix_height: u32,
        _modes: &[(russh::Pty, u32)],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.refuse(channel, session)
    }

    async fn x11_request(
        &mut self,
        channel: ChannelId,
        _single_connection: bool,
        _protocol: &str,
        _cookie: &str,
        _screen: u32,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.refuse(channel, session)
    }

    async fn subsystem_request(
        &mut self,
        channel: ChannelId,
        _name: &str,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.refuse(channel, session)
    }

    async fn window_change_request(
        &mut self,
        channel: ChannelId,
        _col_width: u32,
        _row_height: u32,
        _pix_width: u32,
        _pix_height: u32,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.count(channel).map(drop)
    }

    async fn agent_request(&mut self, channel: ChannelId, _session: &mut Session) -> Result<bool, Self::Error> {
        self.count(channel)?;
        Ok(false)
    }

    async fn signal(
        &mut self,
        channel: ChannelId,
        _signal: russh::Sig,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.count(channel).map(drop)
    }
}

/// Channels of one connection, running or not.
const MAX_CHANNELS: usize = 16;
const MAX_USER_NAME_BYTES: usize = 256;
