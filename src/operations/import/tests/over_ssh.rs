//! Imports over SSH, from a server that lets one key in and runs `git upload-pack`.

use std::sync::Mutex;

use russh::Channel;
use russh::ChannelId;
use russh::keys::ssh_key::LineEnding;
use russh::keys::ssh_key::private::{Ed25519Keypair, KeypairData};
use russh::keys::{PrivateKey, PublicKey};
use russh::server::{self, Auth, ChannelOpenHandle, Msg, Session, VerifiedPublicKey};
use tokio::io::AsyncWriteExt;

use super::*;

struct Server {
    git_dir: PathBuf,
    allowed: PublicKey,
    version: String,
    channel: Option<Channel<Msg>>,
    commands: Arc<Mutex<Vec<String>>>,
}

impl server::Handler for Server {
    type Error = russh::Error;

    async fn auth_publickey(&mut self, user: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, russh::Error> {
        let is_allowed = user == "git" && key.public_key.key_data() == self.allowed.key_data();
        Ok(if is_allowed { Auth::Accept } else { Auth::reject() })
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), russh::Error> {
        self.channel = Some(channel);
        reply.accept().await;
        Ok(())
    }

    async fn env_request(&mut self, _: ChannelId, _: &str, value: &str, _: &mut Session) -> Result<(), russh::Error> {
        self.version = value.to_string();
        Ok(())
    }

    async fn exec_request(&mut self, id: ChannelId, command: &[u8], session: &mut Session) -> Result<(), russh::Error> {
        let command = String::from_utf8_lossy(command).into_owned();
        self.commands.lock().unwrap().push(command.clone());
        session.channel_success(id)?;
        let channel = self.channel.take().unwrap();
        let handle = session.handle();
        let mut git = git_command(&self.git_dir);
        git.env("GIT_PROTOCOL", &self.version).args(["upload-pack", "."]);
        tokio::spawn(async move {
            if command.contains("missing") {
                channel.extended_data_bytes(1, &b"no \x1b[31m such thing\n"[..]).await.unwrap();
                handle.exit_status_request(id, 128).await.unwrap();
                return handle.close(id).await.unwrap();
            }
            let mut git = tokio::process::Command::from(git);
            let mut child = git.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
            let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
            let (mut from, to) = channel.split();
            let into_git = async {
                tokio::io::copy(&mut from.make_reader(), &mut stdin).await.unwrap();
                stdin.shutdown().await.unwrap();
                drop(stdin);
            };
            let out_of_git = async {
                let mut writer = to.make_writer();
                tokio::io::copy(&mut stdout, &mut writer).await.unwrap();
            };
            tokio::join!(into_git, out_of_git);
            let status = child.wait().await.unwrap().code().unwrap();
            handle.exit_status_request(id, status as u32).await.unwrap();
            handle.close(id).await.unwrap();
        });
        Ok(())
    }
}

fn key(seed: u8) -> PrivateKey {
    PrivateKey::new(KeypairData::Ed25519(Ed25519Keypair::from_seed(&[seed; 32])), "").unwrap()
}

/// Serves until the test ends; gives the port and the commands that were run.
async fn serve_ssh(git_dir: PathBuf) -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let commands = Arc::new(Mutex::new(Vec::new()));
    let seen = commands.clone();
    let config = server::Config {
        keys: vec![key(1)],
        auth_rejection_time: std::time::Duration::ZERO,
        auth_rejection_time_initial: Some(std::time::Duration::ZERO),
        ..server::Config::default()
    };
    let config = Arc::new(config);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let server = Server {
                git_dir: git_dir.clone(),
                allowed: key(2).public_key().clone(),
                version: String::new(),
                channel: None,
                commands: seen.clone(),
            };
            if let Ok(session) = server::run_stream(config.clone(), stream, server).await {
                tokio::spawn(async move { session.await.ok() });
            }
        }
    });
    (port, commands)
}

/// A folder like `~/.ssh`.
fn identity(own: u8, host: Option<u8>, port: u16) -> (TempDir, ssh::Identity) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("id_ed25519"), key(own).to_openssh(LineEnding::LF).unwrap().as_bytes()).unwrap();
    if let Some(host) = host {
        let line = format!("[127.0.0.1]:{port} {}\n", key(host).public_key().to_openssh().unwrap());
        std::fs::write(folder.path().join("known_hosts"), line).unwrap();
    }
    let identity = ssh::Identity { folder: folder.path().to_path_buf(), agent: None };
    (folder, identity)
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_comes() {
    let source = Source::rich();
    let (port, commands) = serve_ssh(source.path().join(".git")).await;
    let (_folder, identity) = identity(2, Some(1), port);
    let url = ImportSource::Url(format!("ssh://127.0.0.1:{port}/it%27s here"));
    assert!(import_into(empty_repository().await, url, identity.clone()).await.error().contains("spaces"));
    let url = ImportSource::Url(format!("ssh://127.0.0.1:{port}/it%27s%20here"));
    let outcome = import_into(empty_repository().await, url, identity).await;
    assert_is_rich(&source, &outcome, false);
    assert_eq!(commands.lock().unwrap()[..], [r"git-upload-pack '/it'\''s here'"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_on_either_side_are_refused() {
    let source = Source::rich();
    let (port, commands) = serve_ssh(source.path().join(".git")).await;
    for (own, host, path, expected) in [
        (2, None, "x", "is not a known host: its key is SHA256:"),
        (2, Some(3), "x", "someone may be in between"),
        (3, Some(1), "x", "accepts none of the 1 keys"),
        (2, Some(1), "missing", "no \\u{1b}[31m such thing"),
    ] {
        let (_folder, identity) = identity(own, host, port);
        let url = ImportSource::Url(format!("ssh://git@127.0.0.1:{port}/{path}"));
        let error = import_into(empty_repository().await, url, identity).await.error();
        assert!(error.contains(expected), "{error}");
    }
    assert_eq!(commands.lock().unwrap().len(), 1);
}
