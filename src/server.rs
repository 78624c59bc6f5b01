//! The composition root: takes the data folder for itself, opens the inside, listens, says that it is ready, and stops in
//! order. Nothing below reaches for a global.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::api::{Api, ApiDoor};
use crate::clock::Clock;
use crate::config::Config;
use crate::operations::lockgate::Lockgate;
use crate::operations::{ApiService, Host, Listening};
use crate::transport::https::HttpsServer;
use crate::transport::ssh::{SshServer, host_key};
use crate::transport::tls::{TlsError, TlsKeys};
use crate::transport::{Doors, key_file};

pub mod admin_socket;
pub mod data_lock;

use data_lock::{DataLock, LockError};

/// Opens the inside for a configuration, under the data folder's lock. Called on a thread that may block, within the
/// runtime.
pub type OpenHost = fn(&Config, Clock) -> Result<Inside, Box<dyn std::error::Error + Send + Sync>>;

/// What lies behind the doors.
pub struct Inside {
    /// Git and administration.
    pub host: Arc<dyn Host>,
    /// The API; none where there is only Git.
    pub api: Option<Arc<dyn ApiService>>,
}

/// Opens everything for a configuration.
pub fn open_inside(config: &Config, clock: Clock) -> Result<Inside, Box<dyn std::error::Error + Send + Sync>> {
    let lockgate = Lockgate::open(config, clock)?;
    let api = Api::new(lockgate.clone())?;
    Ok(Inside { host: Arc::new(lockgate), api: Some(Arc::new(ApiDoor(Arc::new(api)))) })
}

/// Runs the server until SIGTERM or SIGINT. `ready` is called once both doors accept.
pub async fn serve(config: Config, open: OpenHost, ready: impl FnOnce(&Listening)) -> Result<(), ServeError> {
    let stop = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate()).map_err(ServeError::Signal)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(ServeError::Signal)?;
    let on_signal = {
        let stop = stop.clone();
        async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            stop.cancel();
        }
    };
    let signals = tokio::spawn(on_signal);
    let served = serve_until(config, open, stop, ready).await;
    signals.abort();
    served
}

/// Runs the server until `stop` is cancelled.
pub async fn serve_until(
    config: Config,
    open: OpenHost,
    stop: CancellationToken,
    ready: impl FnOnce(&Listening),
) -> Result<(), ServeError> {
    for folder in [&config.data, &config.keys] {
        key_file::create_private_folder(folder)
            .map_err(|source| ServeError::Folder { path: folder.clone(), source })?;
    }
    let lock = take_lock(&config).await?;
    let https = bind("https", config.https).await?;
    let ssh = bind("ssh", config.ssh).await?;
    let (https_address, ssh_address) = (local("https", &https)?, local("ssh", &ssh)?);

    let hosts = config.own_names();
    let tls = TlsKeys::open(&config.keys, &hosts.iter().cloned().collect::<Vec<_>>(), Clock::System)?;
    let host_key = host_key::open(&config.keys)?;
    host_key::write_known_hosts(&config.keys, &host_key, &hosts, ssh_address.port())?;

    let config = Arc::new(config);
    let opening = config.clone();
    let Inside { host, api } = tokio::task::spawn_blocking(move || open(&opening, Clock::System))
        .await
        .map_err(|error| ServeError::Open(Box::new(error)))?
        .map_err(ServeError::Open)?;

    let listening = Listening {
        https_url: format!("https://{}:{}", url_host(&config, https_address), https_address.port()),
        ssh_url: format!("ssh://git@{}:{}", url_host(&config, ssh_address), ssh_address.port()),
    };
    host.listening(&listening).map_err(ServeError::Listening)?;
    host.started();
    let stopping = host.clone();

    let mut doors = Doors::new(host.clone(), &config.limits);
    if let Some(api) = api {
        doors = doors.with_api(api);
    }
    let https_server = HttpsServer::new(doors.clone(), tls.server_config()?);
    let host_public = host_key.public_key().clone();
    let ssh_server = SshServer::new(doors.clone(), host_key);
    let certify = {
        let (host, ssh_server) = (host.clone(), ssh_server.clone());
        move || {
            if let Some(certificate) = host.ssh_host_certificate(&host_public) {
                ssh_server.present(certificate);
            }
        }
    };
    certify();
    let admin = admin_socket::listen(&config.data, host, stop.clone())
        .map_err(|source| ServeError::Folder { path: config.data.join(admin_socket::FILE), source })?;
    let accepting = [
        tokio::spawn({
            let doors = doors.clone();
            async move {
                doors.accept(https, move |stream, peer, permit| https_server.clone().serve(stream, peer, permit)).await;
            }
        }),
        tokio::spawn({
            let doors = doors.clone();
            async move {
                doors.accept(ssh, move |stream, peer, permit| ssh_server.clone().serve(stream, peer, permit)).await;
            }
        }),
    ];
    let renewing = tokio::spawn(renew_daily(tls, certify));
    let serve_json = ServeJson {
        pid: std::process::id(),
        https_url: &listening.https_url,
        ssh_url: &listening.ssh_url,
        version: env!("CARGO_PKG_VERSION"),
    };
    let path = config.data.join(SERVE_FILE);
    let text = serde_json::to_vec_pretty(&serve_json).expect("plain strings and a number");
    key_file::write(&path, &text, 0o600).map_err(|source| ServeError::Folder { path: path.clone(), source })?;
    tracing::info!(https = listening.https_url, ssh = listening.ssh_url, "ready");
    ready(&listening);

    stop.cancelled().await;
    tracing::info!("stopping");
    doors.stopping.cancel();
    renewing.abort();
    for task in accepting {
        let _ = task.await;
    }
    doors.connections.close();
    let drain = Duration::from_secs(config.limits.drain_seconds);
    if tokio::time::timeout(drain, doors.connections.wait()).await.is_err() {
        tracing::warn!(connections = doors.connections.len(), "transfers were cut off, they took too long to finish");
    }
    admin.close().await;
    if let Err(error) = tokio::task::spawn_blocking(move || stopping.stopping()).await {
        tracing::error!(error = &error as &dyn std::error::Error, "writing what was in memory broke off");
    }
    let _ = std::fs::remove_file(&path);
    drop(lock);
    Ok(())
}

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// A folder or a file in it cannot be made.
    #[error("failed to prepare `{path}`")]
    #[allow(missing_docs)]
    Folder { path: PathBuf, source: io::Error },
    /// Another process has the data folder.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The address is taken, or not ours.
    #[error("failed to listen for {what} at `{address}`")]
    #[allow(missing_docs)]
    Bind { what: &'static str, address: SocketAddr, source: io::Error },
    /// No TLS certificate.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// No SSH host key.
    #[error(transparent)]
    HostKey(#[from] host_key::HostKeyError),
    /// Data, keys or policies do not open.
    #[error("failed to open data, keys and policies")]
    Open(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The files that name the addresses cannot be written.
    #[error("failed to write the addresses for clients: {0}")]
    Listening(String),
    /// The system does not let us wait for signals.
    #[error("failed to wait for signals")]
    Signal(#[source] io::Error),
}

/// `serve.json` (contract, "Starting").
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ServeJson<'a> {
    pid: u32,
    https_url: &'a str,
    ssh_url: &'a str,
    version: &'a str,
}

const SERVE_FILE: &str = "serve.json";

/// Takes the data folder; a command that has it is through in a moment, another server is not.
async fn take_lock(config: &Config) -> Result<DataLock, LockError> {
    for _ in 0..100 {
        match DataLock::take(&config.data) {
            Err(LockError::InUse { .. }) if !config.data.join(admin_socket::FILE).exists() => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            taken_or_not => return taken_or_not,
        }
    }
    DataLock::take(&config.data)
}

async fn bind(what: &'static str, address: SocketAddr) -> Result<TcpListener, ServeError> {
    TcpListener::bind(address).await.map_err(|source| ServeError::Bind { what, address, source })
}

fn local(what: &'static str, listener: &TcpListener) -> Result<SocketAddr, ServeError> {
    let unspecified = SocketAddr::from(([0, 0, 0, 0], 0));
    listener.local_addr().map_err(|source| ServeError::Bind { what, address: unspecified, source })
}

fn url_host(config: &Config, address: SocketAddr) -> String {
    match (&config.host_name, address.ip()) {
        (Some(name), _) => match name.parse::<IpAddr>() {
            Ok(IpAddr::V6(address)) => format!("[{address}]"),
            _ => name.clone(),
        },
        (None, ip) if ip.is_unspecified() => "localhost".to_owned(),
        (None, IpAddr::V6(ip)) => format!("[{ip}]"),
        (None, ip) => ip.to_string(),
    }
}

/// Makes the TLS certificate anew when it is time, and the SSH host key's each day: it is valid for weeks.
async fn renew_daily(tls: Arc<TlsKeys>, certify: impl Fn()) {
    loop {
        tokio::time::sleep(Duration::from_secs(86_400)).await;
        certify();
        let tls = tls.clone();
        if let Ok(Err(error)) = tokio::task::spawn_blocking(move || tls.renew()).await {
            tracing::error!(error = &error as &dyn std::error::Error, "failed to renew the TLS certificate");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    use crate::identity::Principal;
    use crate::names::RepositoryName;
    use crate::operations::admin::{
        AccountCommand, AdminCommand, AdminFailure, AdminHost, AdminReply, AdminRequest, RepoCommand,
    };
    use crate::operations::{AuthFailure, GitHost, GitRefusal, GitRequest, GitSession, GitTransfer, OpContext};

    /// A host that lets nobody in and answers administrators.
    struct Empty;

    impl Host for Empty {}

    impl GitHost for Empty {
        fn authenticate_git(&self, _: &str, _: &str, _: &GitRequest, _: IpAddr) -> Result<Principal, AuthFailure> {
            Err(AuthFailure::Wrong)
        }
        fn authenticate_ssh_key(&self, _: &russh::keys::PublicKey, _: &str, _: IpAddr) -> Option<Principal> {
            None
        }
        fn greeting(&self, _: &Principal) -> String {
            String::new()
        }
        fn open(&self, _: &OpContext, _: &GitSession) -> Result<Box<dyn GitTransfer>, GitRefusal> {
            Err(GitRefusal::NotFound)
        }
        fn health(&self) -> Result<(), String> {
            Ok(())
        }
    }

    impl AdminHost for Empty {
        fn administer(
            &self,
            request: AdminRequest,
            progress: &mut dyn FnMut(&str),
        ) -> Result<AdminReply, AdminFailure> {
            progress("half way");
            match request.command {
                AdminCommand::Repo(RepoCommand::List) => Ok(AdminReply::ok("none", serde_json::json!([]))),
                AdminCommand::Fsck { .. } => Ok(AdminReply::report_of_failure("damage", serde_json::json!({}))),
                _ => Err(AdminFailure { message: "no".into(), causes: vec!["because".into()] }),
            }
        }
    }

    fn open(_: &Config, _: Clock) -> Result<Inside, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Inside { host: Arc::new(Empty), api: None })
    }

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn starts_answers_and_stops() {
        let folder = tempfile::tempdir().unwrap();
        // Longer than a socket's path may be.
        let data = folder.path().join("d".repeat(120));
        let text = format!(
            "data = {:?}\nkeys = {:?}\nhttps = '127.0.0.1:0'\nssh = '127.0.0.1:0'",
            data,
            folder.path().join("keys")
        );
        let config = Config::from_toml(Path::new("x"), &text, &Default::default()).unwrap();
        let stop = CancellationToken::new();
        let (sender, ready) = tokio::sync::oneshot::channel();
        let serving = tokio::spawn({
            let (config, stop) = (config.clone(), stop.clone());
            async move { serve_until(config, open, stop, |listening| drop(sender.send(listening.clone()))).await }
        });
        let listening = ready.await.unwrap();
        let serve: serde_json::Value =
            serde_json::from_slice(&std::fs::read(data.join("serve.json")).unwrap()).unwrap();
        assert_eq!(serve["httpsUrl"], listening.https_url);
        assert_eq!(serve["sshUrl"], listening.ssh_url);
        assert_eq!(serve["pid"], std::process::id());
        assert_eq!(mode(&data.join(admin_socket::FILE)), 0o600);
        assert_eq!(mode(&data), 0o700);

        let asked = tokio::task::spawn_blocking({
            let data = data.clone();
            move || {
                let ask = |command| {
                    let mut lines = Vec::new();
                    let request = AdminRequest { account: None, command };
                    let answer = admin_socket::ask(&data, &request, |line| lines.push(line.to_owned()));
                    (answer.unwrap().unwrap(), lines)
                };
                let (reply, lines) = ask(AdminCommand::Repo(RepoCommand::List));
                assert_eq!(
                    (reply.unwrap().text.as_str(), lines.as_slice()),
                    ("none", ["half way".to_owned()].as_slice())
                );
                assert!(!ask(AdminCommand::Fsck { repository: None }).0.unwrap().succeeded);
                let name = RepositoryName::parse("x").unwrap();
                assert_eq!(ask(AdminCommand::Repo(RepoCommand::Delete { name })).0.unwrap_err().causes, ["because"]);
                let id = crate::names::AccountId::parse("111111111111").unwrap();
                let recover = ask(AdminCommand::Account(AccountCommand::Recover { id })).0.unwrap_err();
                assert!(recover.message.contains("stopped"));
            }
        });
        asked.await.unwrap();

        // A second server does not start.
        let second = serve_until(config, open, stop.clone(), |_| {}).await;
        assert!(matches!(second, Err(ServeError::Lock(LockError::InUse { .. }))));

        stop.cancel();
        serving.await.unwrap().unwrap();
        assert!(!data.join("serve.json").exists() && !data.join(admin_socket::FILE).exists());
        let request = AdminRequest { account: None, command: AdminCommand::Repo(RepoCommand::List) };
        assert!(admin_socket::ask(&data, &request, |_| {}).unwrap().is_none());
    }

    #[test]
    fn urls_name_a_host_that_clients_find() {
        let overrides = Default::default();
        let config = Config::from_toml(Path::new("x"), "https = '0.0.0.0:1'", &overrides).unwrap();
        assert_eq!(url_host(&config, config.https), "localhost");
        let config = Config::from_toml(Path::new("x"), "https = '[::1]:1'", &overrides).unwrap();
        assert_eq!(url_host(&config, config.https), "[::1]");
        let config = Config::from_toml(Path::new("x"), "host_name = 'git.example.com'", &overrides).unwrap();
        assert_eq!(url_host(&config, config.https), "git.example.com");
        assert!(config.own_names().contains("git.example.com"));
    }
}
