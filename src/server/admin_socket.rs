//! The administrator's way into a running server: a Unix socket in the data folder that only its owner may open. One
//! request a connection, each message a line of JSON: the client sends an [`AdminRequest`], the server any number of
//! `{"progress": LINE}` and then one `{"reply": ...}` or `{"failure": ...}`.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::operations::Host;
use crate::operations::admin::{AdminFailure, AdminReply, AdminRequest};

/// The socket's name in the data folder.
pub const FILE: &str = "admin.sock";

/// What the server sends.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Message {
    Progress(String),
    Reply(AdminReply),
    Failure(AdminFailure),
}

/// The listening socket; closing it waits for running commands.
#[derive(Debug)]
pub struct AdminSocket {
    path: PathBuf,
    accepting: tokio::task::JoinHandle<()>,
    commands: TaskTracker,
}

/// Begins to listen. The data folder's lock must be held: a socket that is there was left behind and is replaced.
pub fn listen(data: &Path, host: Arc<dyn Host>, stop: CancellationToken) -> io::Result<AdminSocket> {
    let path = data.join(FILE);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let folder = File::open(data)?;
    let listener = UnixListener::bind(short_path(data, &folder))?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
    let commands = TaskTracker::new();
    let accepting = tokio::spawn({
        let commands = commands.clone();
        async move {
            loop {
                let accepted = tokio::select! {
                    () = stop.cancelled() => return,
                    accepted = listener.accept() => accepted,
                };
                let stream = accepted.and_then(|(stream, _)| {
                    let stream = stream.into_std()?;
                    stream.set_nonblocking(false)?;
                    Ok(stream)
                });
                match stream {
                    Ok(stream) => {
                        let host = host.clone();
                        commands.spawn_blocking(move || answer(stream, &*host));
                    }
                    Err(error) => {
                        tracing::warn!(%error, "failed to accept an administrator's connection");
                        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                    }
                }
            }
        }
    });
    Ok(AdminSocket { path, accepting, commands })
}

impl AdminSocket {
    /// Waits for commands that run, then takes the socket away.
    pub async fn close(self) {
        self.accepting.abort();
        let _ = self.accepting.await;
        self.commands.close();
        self.commands.wait().await;
        let _ = fs::remove_file(&self.path);
    }
}

/// Has the running server execute a command; none where no server runs. `progress` takes lines for people.
pub fn ask(
    data: &Path,
    request: &AdminRequest,
    mut progress: impl FnMut(&str),
) -> io::Result<Option<Result<AdminReply, AdminFailure>>> {
    let connected = File::open(data).and_then(|folder| UnixStream::connect(short_path(data, &folder)));
    let mut stream = match connected {
        Ok(stream) => stream,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    send(&mut stream, request)?;
    for line in BufReader::new(stream).lines() {
        match serde_json::from_str(&line?)? {
            Message::Progress(line) => progress(&line),
            Message::Reply(reply) => return Ok(Some(Ok(reply))),
            Message::Failure(failure) => return Ok(Some(Err(failure))),
        }
    }
    Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server ended before it answered"))
}

fn answer(stream: UnixStream, host: &dyn Host) {
    if let Err(error) = try_answer(stream, host) {
        tracing::debug!(%error, "an administrator's connection ended");
    }
}

fn try_answer(mut stream: UnixStream, host: &dyn Host) -> io::Result<()> {
    stream.set_read_timeout(Some(std::time::Duration::from_secs(10)))?;
    stream.set_write_timeout(Some(std::time::Duration::from_secs(10)))?;
    let mut line = String::new();
    io::Read::take(BufReader::new(stream.try_clone()?), MAX_REQUEST_BYTES).read_line(&mut line)?;
    let last = match serde_json::from_str::<AdminRequest>(&line) {
        Err(error) => Message::Failure(AdminFailure {
            message: "the server does not understand the command".into(),
            causes: vec![error.to_string()],
        }),
        Ok(request) if request.command.needs_stopped_server() => {
            Message::Failure(AdminFailure::new("this command runs only while the server is stopped"))
        }
        Ok(request) => {
            let mut stream = &stream;
            // A client that went away does not stop what it began.
            let mut progress = |line: &str| drop(send(&mut stream, &Message::Progress(line.to_owned())));
            match host.administer(request, &mut progress) {
                Ok(reply) => Message::Reply(reply),
                Err(failure) => Message::Failure(failure),
            }
        }
    };
    send(&mut stream, &last)
}

fn send(stream: &mut impl Write, message: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    stream.write_all(&line)
}

/// A socket's path may have no more than 107 bytes, a data folder's more: the way through its descriptor (which must stay
/// open as long as the path is used) is always short.
fn short_path(data: &Path, folder: &File) -> PathBuf {
    let path = data.join(FILE);
    if path.as_os_str().len() <= 100 {
        return path;
    }
    PathBuf::from(format!("/proc/self/fd/{}/{FILE}", folder.as_raw_fd()))
}

const MAX_REQUEST_BYTES: u64 = 1 << 20;
