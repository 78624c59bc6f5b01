//! SSH to another server, with the keys of the user whom this process runs as: those without a passphrase in `~/.ssh`, and
//! those of an agent. The server's key must stand in `~/.ssh/known_hosts`; nothing is learned and nobody is asked.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use russh::client::{self, AuthResult, Handle};
use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use russh::keys::{Algorithm, PrivateKeyWithHashAlg, PublicKey, PublicKeyOrCertificate, known_hosts, load_secret_key};
use russh::{Channel, ChannelMsg};

use super::ImportError;
use super::address::SshAddress;
use super::progress::Reporter;
use super::remote::Connection;
use crate::names::escape_for_people;
use crate::protocol::fetch_client::Dialect;
use crate::repository::handle::Repository;

/// Why SSH failed.
#[derive(Debug, thiserror::Error)]
pub enum SshError {
    /// No connection, or it broke while it was made.
    #[error("failed to connect to `{host}` port {port}")]
    Connect {
        /// Which host.
        host: String,
        /// Which port.
        port: u16,
        /// Why.
        source: russh::Error,
    },
    /// It took too long.
    #[error("`{host}` does not answer")]
    TimedOut {
        /// Which host.
        host: String,
    },
    /// The server's key is not among the known ones.
    #[error(
        "`{host}` is not a known host: its key is {fingerprint}; compare that with what its administrator says, then add it \
         with `ssh-keyscan -p {port} {host} >> {file}`"
    )]
    UnknownHost {
        /// Which host.
        host: String,
        /// Which port.
        port: u16,
        /// The key's fingerprint.
        fingerprint: String,
        /// Where known hosts stand.
        file: String,
    },
    /// Another key than the known one: someone may be in between.
    #[error(
        "`{host}` shows the key {fingerprint}, which is not the one in line {line} of {file}; someone may be in between"
    )]
    HostKeyChanged {
        /// Which host.
        host: String,
        /// The fingerprint of the key shown.
        fingerprint: String,
        /// Where known hosts stand.
        file: String,
        /// The line that says otherwise.
        line: usize,
    },
    /// The file of known hosts cannot be read.
    #[error("failed to read the known hosts in {file}")]
    KnownHosts {
        /// Which file.
        file: String,
        /// Why.
        source: russh::keys::Error,
    },
    /// No key was accepted.
    #[error(
        "`{user}@{host}` accepts none of the {n_tried} keys that can be used here (those in `{folder}` without a passphrase, and the agent's)"
    )]
    NotAuthenticated {
        /// As whom.
        user: String,
        /// Which host.
        host: String,
        /// How many keys were offered.
        n_tried: usize,
        /// Where keys were looked for.
        folder: String,
    },
    /// git-upload-pack could not be started.
    #[error("`{host}` does not run git-upload-pack: {said}")]
    Refused {
        /// Which host.
        host: String,
        /// What it said, escaped and cut.
        said: String,
    },
    /// The connection broke.
    #[error("the connection to `{host}` broke")]
    Broken {
        /// Which host.
        host: String,
        /// Why.
        source: russh::Error,
    },
}

/// Whose keys and known hosts are used.
#[derive(Debug, Clone)]
pub(super) struct Identity {
    /// Like `~/.ssh`.
    pub folder: PathBuf,
    /// The agent's socket.
    pub agent: Option<PathBuf>,
}

impl Identity {
    /// Those of the user whom this process runs as.
    pub(super) fn of_this_user() -> Identity {
        let home = std::env::home_dir().unwrap_or_else(|| PathBuf::from("/nonexistent"));
        Identity { folder: home.join(".ssh"), agent: std::env::var_os("SSH_AUTH_SOCK").map(PathBuf::from) }
    }

    fn known_hosts(&self) -> PathBuf {
        self.folder.join("known_hosts")
    }
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
const STALL_TIMEOUT: Duration = Duration::from_secs(300);
/// Most keys of an agent that are offered; servers hang up after a few.
const MAX_AGENT_KEYS: usize = 16;
const MAX_STDERR_BYTES: usize = 1000;

/// git-upload-pack on another host.
pub(super) struct SshConnection<'a> {
    repository: &'a Repository,
    reporter: &'a Reporter<'a>,
    host: String,
    channel: Channel<client::Msg>,
    /// Ends the session when it is dropped.
    _session: Handle<Checker>,
    data: VecDeque<Bytes>,
    stderr: Vec<u8>,
    ended: bool,
}

impl<'a> SshConnection<'a> {
    /// Connects, checks the host, logs in, starts git-upload-pack.
    pub(super) fn open(
        repository: &'a Repository,
        address: &SshAddress,
        identity: &Identity,
        reporter: &'a Reporter<'a>,
    ) -> Result<SshConnection<'a>, ImportError> {
        let connecting = async {
            let mut session = connect(address, identity).await?;
            authenticate(&mut session, address, identity).await?;
            let channel = start(&session, address).await?;
            Ok::<_, SshError>((session, channel))
        };
        let timed_out = |_| SshError::TimedOut { host: address.host.clone() };
        let (session, channel) = repository
            .store()
            .wait(async { tokio::time::timeout(CONNECT_TIMEOUT, connecting).await })
            .map_err(timed_out)??;
        Ok(SshConnection {
            repository,
            reporter,
            host: address.host.clone(),
            channel,
            _session: session,
            data: VecDeque::new(),
            stderr: Vec::new(),
            ended: false,
        })
    }

    /// Waits for something to come on the channel.
    fn wait(&mut self) -> io::Result<()> {
        let channel = &mut self.channel;
        let message = self
            .repository
            .store()
            .wait(async { tokio::time::timeout(STALL_TIMEOUT, channel.wait()).await })
            .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, SshError::TimedOut { host: self.host.clone() }))?;
        match message {
            Some(ChannelMsg::Data { data }) => self.data.push_back(data),
            Some(ChannelMsg::ExtendedData { data, .. }) => {
                let room = MAX_STDERR_BYTES.saturating_sub(self.stderr.len());
                self.stderr.extend_from_slice(&data[..data.len().min(room)]);
                self.reporter.remote(&data);
            }
            Some(ChannelMsg::Failure) => {
                let said = "the command was refused".into();
                return Err(io::Error::other(SshError::Refused { host: self.host.clone(), said }));
            }
            Some(ChannelMsg::ExitStatus { exit_status }) if exit_status != 0 => {
                let said = match self.stderr.trim_ascii() {
                    b"" => format!("exit status {exit_status}"),
                    said => escape_for_people(said, 300),
                };
                return Err(io::Error::other(SshError::Refused { host: self.host.clone(), said }));
            }
            // After the last data a server says how its program ended, or just closes.
            Some(ChannelMsg::Close) | None => self.ended = true,
            Some(_) => {}
        }
        Ok(())
    }
}

impl Connection for SshConnection<'_> {
    fn send(&mut self, request: Vec<u8>, _: Dialect) -> Result<(), ImportError> {
        let sent = self.repository.store().wait(self.channel.data_bytes(request));
        sent.map_err(|source| SshError::Broken { host: self.host.clone(), source }.into())
    }

    fn finish(&mut self) -> Result<(), ImportError> {
        let sent = self.repository.store().wait(self.channel.eof());
        sent.map_err(|source| SshError::Broken { host: self.host.clone(), source }.into())
    }
}

impl Read for SshConnection<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.data.front_mut() {
                Some(data) if data.is_empty() => {
                    self.data.pop_front();
                }
                Some(data) => {
                    let n = data.len().min(out.len());
                    data.copy_to_slice(&mut out[..n]);
                    return Ok(n);
                }
                None if self.ended => return Ok(0),
                None => self.wait()?,
            }
        }
    }
}

async fn connect(address: &SshAddress, identity: &Identity) -> Result<Handle<Checker>, SshError> {
    let file = identity.known_hosts();
    let shown = escape_for_people(file.to_string_lossy().as_bytes(), 200);
    let known = known_hosts::known_host_keys_path(&address.host, address.port, &file)
        .map_err(|source| SshError::KnownHosts { file: shown.clone(), source })?;
    let mut config = client::Config {
        window_size: 8 << 20,
        keepalive_interval: Some(Duration::from_secs(30)),
        keepalive_max: 10,
        nodelay: true,
        ..client::Config::default()
    };
    prefer_known(&mut config, &known);
    let checker = Checker { host: address.host.clone(), port: address.port, file: shown, known };
    client::connect(Arc::new(config), (address.host.as_str(), address.port), checker).await.map_err(|error| match error
    {
        CheckError::Refused(error) => error,
        CheckError::Ssh(source) => SshError::Connect { host: address.host.clone(), port: address.port, source },
    })
}

/// Asks for a kind of host key that is known of this host, where one is; the server may have several.
fn prefer_known(config: &mut client::Config, known: &[(usize, PublicKey)]) {
    let is_known = |algorithm: &Algorithm| {
        known.iter().any(|(_, key)| match (key.algorithm(), algorithm) {
            (Algorithm::Rsa { .. }, Algorithm::Rsa { .. }) => true,
            (one, other) => one == *other,
        })
    };
    let mut algorithms = config.preferred.key.to_vec();
    algorithms.sort_by_key(|algorithm| !is_known(algorithm));
    config.preferred.key = algorithms.into();
}

async fn authenticate(
    session: &mut Handle<Checker>,
    address: &SshAddress,
    identity: &Identity,
) -> Result<(), SshError> {
    let failed = |source| SshError::Connect { host: address.host.clone(), port: address.port, source };
    let rsa_hash = session.best_supported_rsa_hash().await.map_err(failed)?.flatten();
    let mut n_tried = 0;
    for name in ["id_ed25519", "id_ecdsa", "id_rsa"] {
        // A key that is not there, cannot be read or has a passphrase is not one that can be used here.
        let Ok(key) = load_secret_key(identity.folder.join(name), None) else { continue };
        n_tried += 1;
        let key = PrivateKeyWithHashAlg::new(Arc::new(key), rsa_hash);
        let result = session.authenticate_publickey(&address.user, key).await.map_err(failed)?;
        if matches!(result, AuthResult::Success) {
            return Ok(());
        }
    }
    if let Some(socket) = &identity.agent
        && let Ok(mut agent) = AgentClient::connect_uds(socket).await
    {
        for offered in agent.request_identities().await.unwrap_or_default().into_iter().take(MAX_AGENT_KEYS) {
            let AgentIdentity::PublicKey { key, .. } = offered else { continue };
            n_tried += 1;
            let hash = matches!(key.algorithm(), Algorithm::Rsa { .. }).then_some(rsa_hash).flatten();
            let result = session.authenticate_publickey_with(&address.user, key, hash, &mut agent).await;
            if matches!(result, Ok(AuthResult::Success)) {
                return Ok(());
            }
        }
    }
    Err(SshError::NotAuthenticated {
        user: address.user.clone(),
        host: address.host.clone(),
        n_tried,
        folder: escape_for_people(identity.folder.to_string_lossy().as_bytes(), 200),
    })
}

async fn start(session: &Handle<Checker>, address: &SshAddress) -> Result<Channel<client::Msg>, SshError> {
    let failed = |source| SshError::Broken { host: address.host.clone(), source };
    let channel = session.channel_open_session().await.map_err(failed)?;
    // A server that does not take it speaks version 0.
    channel.set_env(false, "GIT_PROTOCOL", "version=2").await.map_err(failed)?;
    channel.exec(true, command(&address.path)).await.map_err(failed)?;
    Ok(channel)
}

/// The command line, quoted for a shell as Git does it.
fn command(path: &str) -> String {
    let mut out = String::from("git-upload-pack '");
    for c in path.chars() {
        match c {
            '\'' | '!' => {
                out.push_str("'\\");
                out.push(c);
                out.push('\'');
            }
            c => out.push(c),
        }
    }
    out.push('\'');
    out
}

/// Compares the server's key with the known ones.
struct Checker {
    host: String,
    port: u16,
    file: String,
    known: Vec<(usize, PublicKey)>,
}

/// What ends the handshake.
#[derive(Debug)]
enum CheckError {
    Refused(SshError),
    Ssh(russh::Error),
}

impl From<russh::Error> for CheckError {
    fn from(error: russh::Error) -> CheckError {
        CheckError::Ssh(error)
    }
}

impl client::Handler for Checker {
    type Error = CheckError;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, CheckError> {
        let key = shown.public_key();
        if self.known.iter().any(|(_, known)| known.key_data() == key.key_data()) {
            return Ok(true);
        }
        let fingerprint = key.fingerprint(russh::keys::HashAlg::Sha256).to_string();
        let (host, file) = (self.host.clone(), self.file.clone());
        Err(CheckError::Refused(match self.known.first() {
            Some((line, _)) => SshError::HostKeyChanged { host, fingerprint, file, line: *line },
            None => SshError::UnknownHost { host, port: self.port, fingerprint, file },
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // A1
    #[test]
    fn the_path_is_one_word() {
        assert_eq!(command("/a b"), "git-upload-pack '/a b'");
        assert_eq!(command("x'; id; '!"), r"git-upload-pack 'x'\''; id; '\'''\!''");
    }
}
