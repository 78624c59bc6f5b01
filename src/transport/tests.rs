//! Both doors against a host of the tests' own, whose services are the installed `git`'s: real clients, real sockets,
//! free ports.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::https::HttpsServer;
use super::https::router::{self, Route};
use super::ssh::{SshServer, host_key};
use super::tls::TlsKeys;
use super::{Doors, key_file};
use crate::clock::Clock;
use crate::config::Limits;
use crate::identity::Principal;
use crate::operations::{
    AuthFailure, GitHost, GitMode, GitRefusal, GitService, GitSession, GitTransfer, OpContext, RepositoryPath,
    TransferError,
};

const USER: &str = "alice";
const PASSWORD: &str = "canary-secret";

/// A host with one repository, `shop`.
struct GitPrograms {
    repository: PathBuf,
    key: Mutex<Option<String>>,
    n_opened: AtomicUsize,
}

impl GitHost for GitPrograms {
    fn authenticate_git(
        &self,
        user: &str,
        password: &str,
        _request: &crate::operations::GitRequest,
        _source: IpAddr,
    ) -> Result<Principal, AuthFailure> {
        match (user, password) {
            (USER, PASSWORD) => Ok(principal()),
            ("flood", _) => Err(AuthFailure::TooMany { retry_after_seconds: 7 }),
            _ => Err(AuthFailure::Wrong),
        }
    }

    fn authenticate_ssh_key(&self, key: &russh::keys::PublicKey, _user: &str, _source: IpAddr) -> Option<Principal> {
        let known = self.key.lock();
        let known = known.as_deref()?.parse::<russh::keys::PublicKey>().unwrap();
        (known.key_data() == key.key_data()).then(principal)
    }

    fn greeting(&self, principal: &Principal) -> String {
        format!("hello {}", principal_name(principal))
    }

    fn open(&self, _ctx: &OpContext, session: &GitSession) -> Result<Box<dyn GitTransfer>, GitRefusal> {
        self.n_opened.fetch_add(1, Ordering::SeqCst);
        match &session.repository {
            RepositoryPath::OwnAccount(name) if name.as_str() == "shop" => {
                Ok(Box::new(GitProgram { repository: self.repository.clone(), session: session.clone() }))
            }
            RepositoryPath::OwnAccount(name) if name.as_str() == "panics" => panic!("a fault in the inside"),
            RepositoryPath::OwnAccount(name) if name.as_str() == "closed" => {
                Err(GitRefusal::Forbidden("closed on Sundays".into()))
            }
            _ => Err(GitRefusal::NotFound),
        }
    }

    fn health(&self) -> Result<(), String> {
        Ok(())
    }
}

struct GitProgram {
    repository: PathBuf,
    session: GitSession,
}

impl GitTransfer for GitProgram {
    fn run(
        self: Box<Self>,
        mut input: Box<dyn Read + Send>,
        mut output: Box<dyn Write + Send>,
    ) -> Result<(), TransferError> {
        let peer = |error: io::Error| TransferError::Peer(error.into());
        let name = self.session.service.name();
        let mut command = Command::new("git");
        command.arg(name.strip_prefix("git-").unwrap());
        match self.session.mode {
            GitMode::Advertise => {
                command.args(["--stateless-rpc", "--http-backend-info-refs"]);
                if self.session.protocol_version < 2 {
                    let line = format!("# service={name}\n");
                    write!(output, "{:04x}{line}0000", line.len() + 4).map_err(peer)?;
                }
            }
            GitMode::StatelessRpc => drop(command.arg("--stateless-rpc")),
            GitMode::Stateful => {}
        }
        command.env("GIT_PROTOCOL", format!("version={}", self.session.protocol_version));
        let mut child =
            command.arg(&self.repository).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(peer)?;
        let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        std::thread::spawn(move || {
            let mut buffer = vec![0; 32 * 1024];
            while let Ok(n @ 1..) = input.read(&mut buffer) {
                if stdin.write_all(&buffer[..n]).is_err() {
                    return;
                }
            }
        });
        let mut buffer = vec![0; 32 * 1024];
        let copied = loop {
            match stdout.read(&mut buffer) {
                Ok(0) => break Ok(()),
                Ok(n) => {
                    if let Err(error) = output.write_all(&buffer[..n]).and_then(|()| output.flush()) {
                        break Err(error);
                    }
                }
                Err(error) => break Err(error),
            }
        };
        drop(stdout);
        let _ = child.kill();
        let _ = child.wait();
        copied.map_err(peer)
    }
}

fn principal() -> Principal {
    Principal::Service(USER.into())
}

fn principal_name(principal: &Principal) -> &str {
    match principal {
        Principal::Service(name) => name,
        _ => "",
    }
}

/// Both doors open, in a folder of their own.
struct Fixture {
    folder: tempfile::TempDir,
    host: Arc<GitPrograms>,
    https: SocketAddr,
    ssh: SocketAddr,
    doors: Doors,
}

impl Fixture {
    async fn start(limits: Limits) -> Fixture {
        let folder = tempfile::tempdir().unwrap();
        let keys = folder.path().join("keys");
        key_file::create_private_folder(&keys).unwrap();
        let repository = folder.path().join("shop.git");
        run(Command::new("git").args(["init", "-q", "--bare", "-b", "main"]).arg(&repository));
        run(git(&repository).args(["config", "http.receivepack", "true"]));
        let host = Arc::new(GitPrograms { repository, key: Mutex::new(None), n_opened: AtomicUsize::new(0) });
        let doors = Doors::new(host.clone(), &limits);
        let listeners =
            [TcpListener::bind("127.0.0.1:0").await.unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap()];
        let [https, ssh] = listeners.each_ref().map(|listener| listener.local_addr().unwrap());
        let tls = TlsKeys::open(&keys, &[], Clock::System).unwrap();
        let host_key = host_key::open(&keys).unwrap();
        host_key::write_known_hosts(&keys, &host_key, &["127.0.0.1".to_owned()].into(), ssh.port()).unwrap();
        let https_server = HttpsServer::new(doors.clone(), tls.server_config().unwrap());
        let ssh_server = SshServer::new(doors.clone(), host_key);
        let [https_listener, ssh_listener] = listeners;
        let (a, b) = (doors.clone(), doors.clone());
        tokio::spawn(async move {
            a.accept(https_listener, move |s, peer, permit| https_server.clone().serve(s, peer, permit)).await;
        });
        tokio::spawn(async move {
            b.accept(ssh_listener, move |s, peer, permit| ssh_server.clone().serve(s, peer, permit)).await;
        });
        Fixture { folder, host, https, ssh, doors }
    }

    fn keys(&self, name: &str) -> PathBuf {
        self.folder.path().join("keys").join(name)
    }

    async fn tls(&self, alpn: &str) -> tokio_rustls::client::TlsStream<TcpStream> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.keys("ca.pem")).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![alpn.into()];
        let stream = TcpStream::connect(self.https).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
    }

    /// Sends bytes, half-closes, and returns all that comes back.
    async fn raw(&self, request: &[u8]) -> String {
        let mut stream = self.tls("http/1.1").await;
        stream.write_all(request).await.unwrap();
        let mut answer = Vec::new();
        let read = tokio::time::timeout(std::time::Duration::from_secs(20), stream.read_to_end(&mut answer));
        // A server that closes without a TLS farewell is an error here, and no matter.
        let _ = read.await.expect("the server neither answers nor closes");
        String::from_utf8_lossy(&answer).into_owned()
    }

    fn ssh_command(&self) -> String {
        format!(
            "ssh -p {} -i {} -o IdentitiesOnly=yes -o IdentityAgent=none -o BatchMode=yes -o UserKnownHostsFile={} -o StrictHostKeyChecking=yes -F none",
            self.ssh.port(),
            self.folder.path().join("id").display(),
            self.keys("known_hosts").display()
        )
    }

    fn make_key(&self) {
        let id = self.folder.path().join("id");
        run(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&id));
        *self.host.key.lock() = Some(std::fs::read_to_string(id.with_extension("pub")).unwrap());
    }

    async fn ssh(&self, arguments: &str) -> Output {
        let line = format!("{} git@127.0.0.1 {arguments}", self.ssh_command());
        output(Command::new("sh").args(["-c", &line])).await
    }

    fn git_url(&self, name: &str) -> String {
        format!("https://{USER}:{PASSWORD}@127.0.0.1:{}/v1/repos/{name}", self.https.port())
    }

    /// `git` as a client of this server.
    fn client(&self, folder: &Path) -> Command {
        let mut command = git(folder);
        command.env("GIT_SSL_CAINFO", self.keys("ca.pem")).env("GIT_SSH_COMMAND", self.ssh_command());
        command
    }

    /// A working copy with a few megabytes that do not compress.
    fn work(&self) -> PathBuf {
        let work = self.folder.path().join("work");
        run(Command::new("git").args(["init", "-q", "-b", "main"]).arg(&work));
        let mut noise = vec![0; 6 << 20];
        getrandom::fill(&mut noise).unwrap();
        std::fs::write(work.join("noise"), noise).unwrap();
        run(git(&work).args(["add", "."]));
        run(git(&work).args(["commit", "-q", "-m", "noise"]));
        work
    }
}

fn git(folder: &Path) -> Command {
    let mut command = Command::new("git");
    command.arg("-C").arg(folder).env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_TERMINAL_PROMPT", "0");
    for who in ["AUTHOR", "COMMITTER"] {
        command.env(format!("GIT_{who}_NAME"), "a").env(format!("GIT_{who}_EMAIL"), "a@example.com");
    }
    command
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

async fn output(command: &mut Command) -> Output {
    let mut taken = std::mem::replace(command, Command::new("true"));
    tokio::task::spawn_blocking(move || taken.stdin(Stdio::null()).output().unwrap()).await.unwrap()
}

async fn succeed(command: &mut Command) {
    let output = output(command).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn push_and_clone_over_https() {
    let fixture = Fixture::start(Limits::default()).await;
    let work = fixture.work();
    succeed(fixture.client(&work).args(["push", "-q", &fixture.git_url("shop"), "main"])).await;
    for (copy, version) in [("copy0", "0"), ("copy2", "2")] {
        let protocol = format!("protocol.version={version}");
        let url = fixture.git_url("shop.git");
        succeed(fixture.client(fixture.folder.path()).args(["-c", &protocol, "clone", "-q", &url, copy])).await;
        assert!(fixture.folder.path().join(copy).join("noise").exists());
    }
    let missing = output(fixture.client(&work).args(["ls-remote", &fixture.git_url("none")])).await;
    assert!(String::from_utf8_lossy(&missing.stderr).contains("not found"), "{missing:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn push_and_clone_over_ssh() {
    let fixture = Fixture::start(Limits::default()).await;
    fixture.make_key();
    let work = fixture.work();
    let url = format!("ssh://git@127.0.0.1:{}/v1/repos/shop", fixture.ssh.port());
    succeed(fixture.client(&work).args(["push", "-q", &url, "main"])).await;
    for (copy, version) in [("copy0", "0"), ("copy2", "2")] {
        let protocol = format!("protocol.version={version}");
        succeed(fixture.client(fixture.folder.path()).args(["-c", &protocol, "clone", "-q", &url, copy])).await;
        assert!(fixture.folder.path().join(copy).join("noise").exists());
    }
    let missing = output(fixture.client(&work).args(["ls-remote", &url.replace("shop", "none")])).await;
    assert!(String::from_utf8_lossy(&missing.stderr).contains("lockgate: repository not found"), "{missing:?}");
}

// A2
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ssh_greets_and_runs_nothing_else() {
    let fixture = Fixture::start(Limits::default()).await;
    // C1: a stranger's key.
    assert_eq!(fixture.ssh("").await.status.code(), Some(255));
    fixture.make_key();
    for arguments in ["", "-T"] {
        let greeting =
            output(Command::new("sh").args(["-c", &format!("{} {arguments} git@127.0.0.1", fixture.ssh_command())]))
                .await;
        assert_eq!(greeting.status.code(), Some(0), "{greeting:?}");
        assert_eq!(greeting.stdout, b"hello alice\n");
    }
    // Whoever insists on a terminal is told that there is none; the client ends it there.
    let line = format!("{} -tt git@127.0.0.1", fixture.ssh_command());
    let insisting = output(Command::new("sh").args(["-c", &line])).await;
    assert!(String::from_utf8_lossy(&insisting.stderr).contains("PTY allocation request failed"), "{insisting:?}");
    for command in ["id", "'git-upload-pack /v1/repos/shop; id'", "'sh -c id'", "git-upload-pack"] {
        let refused = fixture.ssh(command).await;
        assert_eq!(refused.status.code(), Some(128), "{refused:?}");
        assert!(refused.stdout.is_empty());
        assert!(refused.stderr.starts_with(b"lockgate: "), "{refused:?}");
    }
    let panicked = fixture.ssh("git-upload-pack /v1/repos/panics").await;
    assert_eq!(panicked.status.code(), Some(128));
    assert!(String::from_utf8_lossy(&panicked.stderr).contains("the server failed"), "{panicked:?}");
    // Subsystems and forwarding are refused.
    let line = format!("{} -s git@127.0.0.1 sftp", fixture.ssh_command());
    assert_ne!(output(Command::new("sh").args(["-c", &line])).await.status.code(), Some(0));
    let line = format!("{} -W 127.0.0.1:1 git@127.0.0.1", fixture.ssh_command());
    assert_ne!(output(Command::new("sh").args(["-c", &line])).await.status.code(), Some(0));
}

/// The route after another one: a new one does not compile until it has its place here, and is tried.
fn route_after(route: Option<&Route>) -> Option<Route> {
    let shop = || RepositoryPath::OwnAccount(crate::names::RepositoryName::parse("shop").unwrap());
    Some(match route {
        None => Route::Health,
        Some(Route::Health) => Route::Ready,
        Some(Route::Ready) => Route::Api,
        Some(Route::Api) => Route::Advertise(GitService::UploadPack, shop()),
        Some(Route::Advertise(GitService::UploadPack, _)) => Route::Advertise(GitService::ReceivePack, shop()),
        Some(Route::Advertise(GitService::ReceivePack | GitService::UploadArchive, _)) => {
            Route::Rpc(GitService::UploadPack, shop())
        }
        Some(Route::Rpc(GitService::UploadPack, _)) => Route::Rpc(GitService::ReceivePack, shop()),
        Some(Route::Rpc(GitService::ReceivePack | GitService::UploadArchive, _)) => return None,
    })
}

// C1 D4: every route, tried by nobody and by strangers; what is not for everybody opens for none of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_route_is_closed_to_nobody_and_to_strangers() {
    let fixture = Fixture::start(Limits::default()).await;
    let credentials = [
        "",
        "Authorization: Basic eDp5\r\n",
        "Authorization: Basic YWxpY2U6\r\n",
        "Authorization: Basic YWxpY2U=\r\n",
        "Authorization: Bearer canary-secret\r\n",
        "Authorization: AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20231114/us-east-1/codecommit/aws4_request, SignedHeaders=host, Signature=00\r\n",
    ];
    let mut n_routes = 0;
    let mut at = None;
    while let Some(route) = route_after(at.as_ref()) {
        n_routes += 1;
        let (method, target, is_open) = match &route {
            Route::Health => ("GET", "/healthz".to_owned(), true),
            Route::Ready => ("GET", "/readyz".to_owned(), true),
            Route::Api => ("POST", "/".to_owned(), false),
            Route::Advertise(service, _) => {
                ("GET", format!("/v1/repos/shop/info/refs?service={}", service.name()), false)
            }
            Route::Rpc(service, _) => ("POST", format!("/v1/repos/shop/{}", service.name()), false),
        };
        let uri: hyper::Uri = target.parse().unwrap();
        let method = hyper::Method::from_bytes(method.as_bytes()).unwrap();
        assert_eq!(router::route(&method, &uri).unwrap(), route);
        for credential in credentials {
            let request = format!(
                "{method} {target} HTTP/1.1\r\nHost: x\r\n{credential}Content-Length: 0\r\nConnection: close\r\n\r\n"
            );
            let answer = fixture.raw(request.as_bytes()).await;
            let status: u16 = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
            if is_open {
                assert_eq!(status, 200, "{request}{answer}");
            } else {
                assert!((400..500).contains(&status), "{request}{answer}");
                assert!(!answer.contains("refs/") && !answer.contains("shop"), "{answer}");
            }
        }
        at = Some(route);
    }
    assert_eq!(n_routes, 7);
    assert_eq!(fixture.host.n_opened.load(Ordering::SeqCst), 0);
}

// I1 I2 B11 C4
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn raw_requests() {
    let fixture = Fixture::start(Limits::default()).await;
    let basic = {
        use base64::Engine;
        base64::engine::general_purpose::STANDARD.encode(format!("{USER}:{PASSWORD}"))
    };
    let auth = format!("Host: x\r\nAuthorization: Basic {basic}\r\n");
    let post = |headers: &str, body: &str| {
        format!("POST /v1/repos/shop/git-upload-pack HTTP/1.1\r\n{auth}{headers}Connection: close\r\n\r\n{body}")
    };
    let get = |target: &str, headers: &str| format!("GET {target} HTTP/1.1\r\n{headers}Connection: close\r\n\r\n");
    let advertise = "/v1/repos/shop/info/refs?service=git-upload-pack";
    let right_type = "Content-Type: application/x-git-upload-pack-request\r\n";
    let corpus = [
        (get("/healthz", "Host: x\r\n"), "200"),
        (get("/readyz", "Host: x\r\n"), "200"),
        (get(advertise, &auth), "200"),
        (get(advertise, "Host: x\r\n"), "401"),
        (get(advertise, "Host: x\r\nAuthorization: Basic eDp5\r\n"), "401"),
        (get(advertise, "Host: x\r\nAuthorization: Basic Zmxvb2Q6eA==\r\n"), "429"),
        (get(advertise, &format!("{auth}Authorization: Basic eDp5\r\n")), "400"),
        (get(advertise, &format!("{auth}Git-Protocol: rm -rf\r\n")), "400"),
        (get("/v1/repos/none/info/refs?service=git-upload-pack", &auth), "404"),
        (get("/v1/repos/closed/info/refs?service=git-upload-pack", &auth), "403"),
        (get("/v1/repos/panics/info/refs?service=git-upload-pack", &auth), "500"),
        (get("/v1/repos/%2e%2e/info/refs?service=git-upload-pack", &auth), "400"),
        (get("/v1/repos/shop/info/refs", &auth), "403"),
        (get("/", &auth), "404"),
        (post("Content-Length: 0\r\n", ""), "415"),
        (post("Content-Type: text/plain\r\nContent-Length: 0\r\n", ""), "415"),
        (post(&format!("{right_type}Content-Encoding: br\r\nContent-Length: 0\r\n"), ""), "415"),
        (post(&format!("{right_type}Content-Length: 99999999999\r\n"), ""), "413"),
        (post(&format!("{right_type}Content-Length: 4\r\n"), "0000"), "200"),
        (post(&format!("{right_type}Transfer-Encoding: chunked\r\n"), "4\r\n0000\r\n0\r\n\r\n"), "200"),
        (post(&format!("{right_type}Content-Length: 4\r\nContent-Length: 5\r\n"), "0000"), "400"),
        (post(&format!("{right_type}Content-Length: +4\r\n"), "0000"), "400"),
        (post(&format!("{right_type}Content-Length: -1\r\n"), "0000"), "400"),
        (post(&format!("{right_type}Transfer-Encoding: chunked, identity\r\n"), "0000"), "400"),
        (post("X: a\r\n b\r\nContent-Length: 0\r\n", ""), "400"),
        (post("X : a\r\nContent-Length: 0\r\n", ""), "400"),
        ("GET /healthz HTTP/1.1\r\nHost: x\r\nX: a\0b\r\n\r\n".into(), "400"),
        ("GET /heal thz HTTP/1.1\r\nHost: x\r\n\r\n".into(), "400"),
        ("NONSENSE\r\n\r\n".into(), "400"),
        (format!("GET /healthz HTTP/1.1\r\nHost: x\r\n{}\r\n", "X: y\r\n".repeat(100)), "431"),
    ];
    for (request, status) in corpus {
        let answer = fixture.raw(request.as_bytes()).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request:?}\n{answer}");
        assert!(!answer.contains(PASSWORD) && !answer.contains(&basic), "{answer}");
    }
    // A compressed body arrives inflated, and one that inflates without end does not.
    let zip = |body: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap()
    };
    let ls_refs = b"0014command=ls-refs\n00010009peel\n0000";
    for (body, wanted) in [(zip(ls_refs), true), (zip(&vec![b'0'; 100 << 20]), false)] {
        let headers = format!(
            "{right_type}Git-Protocol: version=2\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n",
            body.len()
        );
        let mut request = post(&headers, "").into_bytes();
        request.extend(body);
        let answer = fixture.raw(&request).await;
        assert_eq!(answer.contains("\r\n0000\r\n"), wanted, "{answer}");
    }
    let answer = fixture.raw(get(advertise, "Host: x\r\n").as_bytes()).await.to_ascii_lowercase();
    assert!(answer.contains("www-authenticate: basic realm=\"lockgate\""), "{answer}");
    assert!(answer.contains("cache-control: no-cache, max-age=0, must-revalidate"), "{answer}");
    let answer = fixture.raw(get(advertise, "Host: x\r\nAuthorization: Basic Zmxvb2Q6eA==\r\n").as_bytes()).await;
    assert!(answer.to_ascii_lowercase().contains("retry-after: 7"), "{answer}");
}

// I1: the body of a refused request is not the next request, and both lengths never leave the connection open.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_smuggled() {
    let fixture = Fixture::start(Limits { header_seconds: 1, ..Limits::default() }).await;
    let hidden = "GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    for request in [
        format!("POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{hidden}", hidden.len()),
        format!(
            "POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nX{hidden}"
        ),
        format!(
            "POST /nothing HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n{hidden}"
        ),
    ] {
        let closing = request.replacen("Host: x", "Host: x\r\nConnection: close", 1);
        for request in [request, closing] {
            let answer = fixture.raw(request.as_bytes()).await;
            assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{request:?}\n{answer}");
        }
    }
}

// A client that asks first is refused before it sends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_continue_before_the_decision() {
    let fixture = Fixture::start(Limits::default()).await;
    let request = "POST /v1/repos/shop/git-receive-pack HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\nExpect: 100-continue\r\n\r\n";
    let answer = fixture.raw(request.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    assert_eq!(fixture.host.n_opened.load(Ordering::SeqCst), 0);
}

// B15: strangers that stall do not keep a friend out, and are gone after their time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stalled_strangers() {
    let limits =
        Limits { unauthenticated_per_address: 8, handshake_seconds: 3, header_seconds: 3, ..Limits::default() };
    let fixture = Fixture::start(limits).await;
    let mut stalled = Vec::new();
    for _ in 0..40 {
        stalled.push(TcpStream::connect(fixture.https).await.unwrap());
        stalled.push(TcpStream::connect(fixture.ssh).await.unwrap());
    }
    succeed(fixture.client(fixture.folder.path()).args(["ls-remote", &fixture.git_url("shop")])).await;
    for mut stream in stalled {
        let closed = async { while matches!(stream.read(&mut [0; 256]).await, Ok(1..)) {} };
        tokio::time::timeout(std::time::Duration::from_secs(20), closed).await.expect("still open");
    }
    // Headers that never end.
    let answer = fixture.raw(b"GET /healthz HTTP/1.1\r\nHost: x\r\n").await;
    assert!(!answer.contains("200"), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopping_lets_idle_connections_go() {
    let fixture = Fixture::start(Limits::default()).await;
    let mut stream = fixture.tls("http/1.1").await;
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    assert!(stream.read(&mut [0; 1024]).await.unwrap() > 0);
    fixture.doors.stopping.cancel();
    fixture.doors.connections.close();
    let all = fixture.doors.connections.wait();
    tokio::time::timeout(std::time::Duration::from_secs(20), all).await.expect("a connection is left");
    assert!(GitService::from_name("git-lfs-authenticate").is_none());
}
