//! Imports from real repositories, made with real Git: from folders, over HTTP, over SSH.

mod over_ssh;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use axum::body::Bytes as Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use tempfile::TempDir;

use super::*;
use crate::clock::Clock;
use crate::names::AccountId;
use crate::repository::objects::Served;
use crate::store::Store;
use crate::store::catalog::{Record, RecordBatch};

/// A repository made by Git, and what Git is allowed to know.
struct Source {
    folder: TempDir,
}

impl Source {
    fn new() -> Source {
        let source = Source { folder: tempfile::tempdir().unwrap() };
        source.git(&["init", "-q", "-b", "trunk", "."]);
        source
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn git(&self, arguments: &[&str]) -> String {
        git(self.path(), arguments)
    }

    fn commit(&self, file: &str, text: &str) {
        std::fs::write(self.path().join(file), text).unwrap();
        self.git(&["add", "."]);
        self.git(&["commit", "-q", "-m", file]);
    }

    /// Two packs, loose objects, branches, both kinds of tag, packed and loose refs.
    fn rich() -> Source {
        let source = Source::new();
        for i in 0..20 {
            source.commit("file", &format!("{}{i}", "some line\n".repeat(200)));
        }
        source.git(&["tag", "light"]);
        source.git(&["tag", "-a", "v1", "-m", "one"]);
        source.git(&["tag", "-a", "v1-again", "-m", "tag of a tag", "v1"]);
        source.git(&["repack", "-q", "-d"]);
        source.commit("second", "pack");
        source.git(&["repack", "-q"]);
        source.git(&["pack-refs", "--all"]);
        source.git(&["branch", "topic/x"]);
        source.commit("loose", &"not yet packed ".repeat(50_000));
        source.git(&["update-ref", "refs/notes/x", "HEAD"]);
        source.git(&["update-ref", "refs/pull/1/head", "HEAD"]);
        source.git(&["update-ref", "refs/remotes/origin/main", "HEAD"]);
        source
    }

    /// Each ref that should come, as `name id peeled`.
    fn refs(&self) -> Vec<String> {
        let all = self.git(&["for-each-ref", "--format=%(refname) %(objectname) %(*objectname)"]);
        let kept =
            |line: &&str| ["refs/heads/", "refs/tags/", "refs/notes/"].iter().any(|start| line.starts_with(start));
        all.lines().filter(kept).map(|line| line.trim_end().to_string()).collect()
    }
}

fn git(folder: &Path, arguments: &[&str]) -> String {
    let output = git_command(folder).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn git_command(folder: &Path) -> Command {
    let mut command = Command::new("git");
    command.current_dir(folder).env_clear().env("PATH", std::env::var_os("PATH").unwrap());
    let fixed = [
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("HOME", "/nonexistent"),
        ("GIT_AUTHOR_NAME", "A"),
        ("GIT_AUTHOR_EMAIL", "a@example.com"),
        ("GIT_COMMITTER_NAME", "A"),
        ("GIT_COMMITTER_EMAIL", "a@example.com"),
    ];
    command.envs(fixed);
    command
}

async fn empty_repository() -> Arc<Repository> {
    let store = Store::in_memory(Clock::manual(1_700_000_000_000)).await.unwrap();
    let id = [7; 16];
    let record = Record { kind: "repository".into(), id, name: Some("shop".into()), body: Vec::new() };
    store.catalog().commit(&RecordBatch { puts: vec![record], ..RecordBatch::default() }).await.unwrap();
    let opened = tokio::task::spawn_blocking(move || {
        let account = AccountId::parse("111111111111").unwrap();
        store.create_account_keys(&account).unwrap();
        store.create_repository_keys(&account, &id).unwrap();
        Repository::open(&store, &account, id, &RefName::branch("main").unwrap()).unwrap()
    });
    Arc::new(opened.await.unwrap())
}

struct Outcome {
    repository: Arc<Repository>,
    result: Result<ImportReport, ImportError>,
    lines: Vec<String>,
}

impl Outcome {
    fn refs(&self) -> Vec<String> {
        let snapshot = self.repository.snapshot();
        let line = |(name, value): (&RefName, &crate::repository::refs::RefValue)| {
            let peeled = value.peeled.map(|id| format!(" {id}")).unwrap_or_default();
            format!("{name} {}{peeled}", value.id)
        };
        snapshot.refs.iter().map(line).collect()
    }

    /// The error's text and those of its causes.
    fn error(&self) -> String {
        let mut error: &dyn std::error::Error = self.result.as_ref().unwrap_err();
        let mut text = error.to_string();
        while let Some(source) = error.source() {
            text = format!("{text}: {source}");
            error = source;
        }
        assert!(self.repository.snapshot().refs.is_empty());
        assert!(self.repository.snapshot().manifests.is_empty());
        text
    }
}

async fn import_into(repository: Arc<Repository>, source: ImportSource, identity: ssh::Identity) -> Outcome {
    let doing = tokio::task::spawn_blocking(move || {
        let mut lines = Vec::new();
        let mut progress = |line: &str| lines.push(line.to_string());
        let by = ImportedBy { actor: "arn:x", events: &|_| Vec::new() };
        let result = import_with(&repository, &source, &IngestLimits::default(), &by, &mut progress, &identity);
        Outcome { repository, result, lines }
    });
    doing.await.unwrap()
}

fn nobody() -> ssh::Identity {
    ssh::Identity { folder: PathBuf::from("/nonexistent"), agent: None }
}

async fn import_path(path: &Path) -> Outcome {
    import_into(empty_repository().await, ImportSource::Path(path.to_path_buf()), nobody()).await
}

async fn import_url(url: String) -> Outcome {
    import_into(empty_repository().await, ImportSource::Url(url), nobody()).await
}

fn assert_is_rich(source: &Source, outcome: &Outcome, from_folder: bool) {
    let report = outcome.result.as_ref().unwrap_or_else(|_| panic!("{}", outcome.error()));
    assert_eq!(outcome.refs(), source.refs());
    assert_eq!(report.n_refs, source.refs().len());
    assert_eq!(report.head, RefName::branch("trunk").unwrap());
    let skipped: Vec<&str> = report.skipped_refs.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(skipped, ["refs/pull/1/head", "refs/remotes/origin/main"]);
    let snapshot = outcome.repository.snapshot();
    let reachable = source.git(&["rev-list", "--objects", "--no-object-names", "--branches", "--tags", "--glob=notes"]);
    assert_eq!(snapshot.all_served().len(), reachable.lines().count());
    let stored = source.git(&["cat-file", "--batch-all-objects", "--batch-check"]).lines().count();
    assert!(!from_folder || report.n_objects as usize == stored);
    assert!(outcome.lines.iter().any(|line| line.starts_with("Receiving objects: 100%")), "{:?}", outcome.lines);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_work_tree_and_a_bare_repository() {
    let source = Source::rich();
    assert_is_rich(&source, &import_path(source.path()).await, true);
    assert_is_rich(&source, &import_path(&source.path().join(".git")).await, true);

    source.git(&["gc", "-q", "--prune=now"]);
    let outcome = import_path(source.path()).await;
    assert_is_rich(&source, &outcome, true);
    let snapshot = outcome.repository.snapshot();
    assert!(snapshot.is_exact && snapshot.objects.served(0) == &Served::All);
    // A second import would overwrite.
    let again = import_into(outcome.repository, ImportSource::Path(source.path().into()), nobody()).await;
    assert!(matches!(again.result, Err(ImportError::NotEmpty)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_repository_gives_its_head() {
    let outcome = import_path(Source::new().path()).await;
    let report = outcome.result.unwrap();
    assert_eq!((report.n_refs, report.n_objects), (0, 0));
    assert_eq!(report.head, RefName::branch("trunk").unwrap());
    assert_eq!(outcome.repository.snapshot().refs.head, report.head);
}

// A cruft pack may name what is gone; and may hold what is needed again.
#[tokio::test(flavor = "multi_thread")]
async fn what_no_ref_needs_is_not_served() {
    let source = Source::new();
    source.commit("a", "1");
    source.commit("b", "dropped");
    source.git(&["reset", "-q", "--hard", "HEAD~1"]);
    let loose = import_path(source.path()).await;
    assert_eq!(loose.repository.snapshot().all_served().len(), 3);
    assert_eq!(loose.result.unwrap().n_objects, 6);

    let dropped = source.git(&["rev-parse", "ORIG_HEAD"]).trim().to_string();
    source.git(&["reflog", "expire", "--expire=all", "--all"]);
    source.git(&["gc", "-q", "--cruft", "--prune=never"]);
    let outcome = import_path(source.path()).await;
    assert_eq!(outcome.result.unwrap().n_objects, 3);
    source.git(&["branch", "back", &dropped]);
    let outcome = import_path(source.path()).await;
    assert_eq!(outcome.result.as_ref().unwrap().n_objects, 6, "{:?}", outcome.lines);
    assert_eq!(outcome.repository.snapshot().all_served().len(), 6);
}

// A11, F2
#[tokio::test(flavor = "multi_thread")]
async fn links_and_borrowed_objects_are_not_followed() {
    let secret = Source::rich();
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let marker = here.join("ran");
    git(here, &["clone", "-q", "--shared", "--bare", secret.path().to_str().unwrap(), "shared"]);
    let hook = here.join("shared/hooks/post-checkout");
    std::fs::create_dir_all(hook.parent().unwrap()).unwrap();
    std::fs::write(&hook, format!("#!/bin/sh\ntouch {}", marker.display())).unwrap();
    git(&here.join("shared"), &["config", "core.fsmonitor", &format!("touch {}", marker.display())]);
    let error = import_path(&here.join("shared")).await.error();
    assert!(error.contains("did not give the objects of `refs/heads/topic/x`"), "{error}");
    assert!(!marker.exists());

    // Its own commit on top of borrowed ones.
    git(here, &["clone", "-q", "--shared", secret.path().to_str().unwrap(), "work"]);
    git(&here.join("work"), &["commit", "-q", "--allow-empty", "-m", "mine"]);
    let error = import_path(&here.join("work")).await.error();
    assert!(error.contains("objects/info/alternates"), "{error}");

    let link = |target: &Path, at: &str| std::os::unix::fs::symlink(target, here.join(at)).unwrap();
    git(here, &["init", "-q", "--bare", "linked"]);
    std::fs::remove_dir_all(here.join("linked/objects")).unwrap();
    link(&secret.path().join(".git/objects"), "linked/objects");
    assert!(import_path(&here.join("linked")).await.error().contains("no folder `objects`"));

    git(here, &["init", "-q", "--bare", "ref"]);
    link(&secret.path().join(".git/refs/heads/trunk"), "ref/refs/heads/trunk");
    link(&secret.path().join(".git/refs/heads"), "ref/refs/heads/below");
    let report = import_path(&here.join("ref")).await.result.unwrap();
    assert_eq!((report.n_refs, report.skipped_refs.len()), (0, 2));

    git(here, &["init", "-q", "--bare", "pack"]);
    for ending in ["pack", "idx"] {
        let mut packs = secret.path().join(".git/objects/pack").read_dir().unwrap().map(|entry| entry.unwrap().path());
        let file = packs.find(|path| path.extension().unwrap() == ending).unwrap();
        link(&file, &format!("pack/objects/pack/pack-x.{ending}"));
    }
    assert!(import_path(&here.join("pack")).await.error().contains("failed to read"));

    link(&secret.path().join(".git"), ".git");
    assert!(import_path(here).await.error().contains("its .git is a link"));
}

#[tokio::test(flavor = "multi_thread")]
async fn other_kinds_and_damage_are_named() {
    let source = Source::rich();
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let from = format!("file://{}", source.path().display());
    git(here, &["clone", "-q", "--bare", "--depth=1", &from, "shallow"]);
    source.git(&["config", "uploadpack.allowFilter", "true"]);
    git(here, &["clone", "-q", "--bare", "--filter=blob:none", &from, "partial"]);
    git(here, &["init", "-q", "--bare", "--object-format=sha256", "sha256"]);
    git(here, &["init", "-q", "--bare", "--ref-format=reftable", "reftable"]);
    std::fs::create_dir(here.join("empty")).unwrap();
    git(here, &["clone", "-q", "--mirror", &from, "damaged"]);
    for entry in here.join("damaged/objects/pack").read_dir().unwrap() {
        let path = entry.unwrap().path();
        if path.extension().unwrap() == "pack" {
            let mut bytes = std::fs::read(&path).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            std::fs::remove_file(&path).unwrap();
            std::fs::write(&path, bytes).unwrap();
        }
    }
    for (name, expected) in [
        ("shallow", "its history is cut off"),
        ("partial", "partial clone"),
        ("sha256", "not SHA-1"),
        ("reftable", "reftable"),
        ("empty", "is not a Git repository"),
        ("nothing", "failed to read"),
        ("damaged", "failed to take in the objects"),
    ] {
        let error = import_path(&here.join(name)).await.error();
        assert!(error.contains(expected), "{name}: {error}");
    }

    // An object that a loose one needs is gone.
    source.commit("gone", "gone");
    let id = source.git(&["rev-parse", "HEAD:gone"]);
    std::fs::remove_file(source.path().join(".git/objects").join(&id[..2]).join(id[2..].trim())).unwrap();
    let error = import_path(source.path()).await.error();
    assert!(error.contains("is not complete") && error.contains(id.trim()), "{error}");
}

/// Git over HTTP: what `git http-backend` does, with a user, a version and odd answers on request.
#[derive(Clone)]
struct Upstream {
    git_dir: PathBuf,
    max_version: u8,
}

async fn serve(upstream: Upstream) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = axum::Router::new().fallback(answer).with_state(upstream);
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    format!("{address}")
}

async fn answer(State(upstream): State<Upstream>, request: Request) -> Response {
    use http_body_util::BodyExt;
    let (parts, body) = request.into_parts();
    let header = |name: &str| parts.headers.get(name).map(|value| value.to_str().unwrap().to_string());
    let path = parts.uri.path().to_string();
    let body = body.collect().await.unwrap().to_bytes();
    let see_other = |to: String| (axum::http::StatusCode::FOUND, [("location", to)]).into_response();
    if let Some(rest) = path.strip_prefix("/moved/") {
        return see_other(format!("/repo/{rest}?{}", parts.uri.query().unwrap_or_default()));
    }
    if path.starts_with("/away/") {
        return see_other("http://169.254.169.254/repo/info/refs?token=secret".into());
    }
    if path.starts_with("/file/") {
        return see_other("file:///etc/passwd/info/refs".into());
    }
    if path.starts_with("/round/") {
        return see_other(format!("{path}?{}", parts.uri.query().unwrap_or_default()));
    }
    if path.starts_with("/page/") {
        return axum::response::Html("<h1>secret page").into_response();
    }
    if path.starts_with("/private/") && header("authorization").as_deref() != Some("Basic dTpzQGNyZXQ=") {
        return axum::http::StatusCode::UNAUTHORIZED.into_response();
    }
    if path.starts_with("/none/") {
        return axum::http::StatusCode::NOT_FOUND.into_response();
    }
    let version = if upstream.max_version == 2 { header("git-protocol").unwrap() } else { String::new() };
    let is_advertisement = path.ends_with("/info/refs");
    let git_dir = upstream.git_dir.clone();
    let output = tokio::task::spawn_blocking(move || upload_pack(&git_dir, &version, is_advertisement, body)).await;
    let mut answer = Vec::new();
    if is_advertisement {
        answer.extend_from_slice(b"001e# service=git-upload-pack\n0000");
    }
    answer.extend(output.unwrap());
    let what = if is_advertisement { "advertisement" } else { "result" };
    ([("content-type", format!("application/x-git-upload-pack-{what}"))], answer).into_response()
}

fn upload_pack(git_dir: &Path, version: &str, is_advertisement: bool, input: Body) -> Vec<u8> {
    use std::io::Write;
    let mode = if is_advertisement { "--http-backend-info-refs" } else { "--stateless-rpc" };
    let mut child = git_command(git_dir)
        .env("GIT_PROTOCOL", version)
        .args(["upload-pack", mode, "."])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || {
        let _ = stdin.write_all(&input);
    });
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output.stdout
}

#[tokio::test(flavor = "multi_thread")]
async fn over_http_in_both_versions() {
    let source = Source::rich();
    for max_version in [2, 0] {
        let host = serve(Upstream { git_dir: source.path().join(".git"), max_version }).await;
        for path in ["repo", "moved", "repo/"] {
            assert_is_rich(&source, &import_url(format!("http://{host}/{path}")).await, false);
        }
    }
    let host = serve(Upstream { git_dir: Source::new().path().join(".git"), max_version: 2 }).await;
    assert!(import_url(format!("http://{host}/repo")).await.result.is_err());
    let empty = Source::new();
    let host = serve(Upstream { git_dir: empty.path().join(".git"), max_version: 2 }).await;
    let report = import_url(format!("http://{host}/repo")).await.result.unwrap();
    assert_eq!((report.n_refs, report.head), (0, RefName::branch("trunk").unwrap()));
}

// F3, C4, F6
#[tokio::test(flavor = "multi_thread")]
async fn redirects_elsewhere_and_secrets_stay_out() {
    let source = Source::rich();
    let host = serve(Upstream { git_dir: source.path().join(".git"), max_version: 2 }).await;
    assert_is_rich(&source, &import_url(format!("http://u:s%40cret@{host}/private")).await, false);
    for (url, expected) in [
        (format!("http://u:secret@{host}/private"), "asks for credentials"),
        (format!("http://u:secret@{host}/away"), "redirects to another place, `http://169.254.169.254`"),
        (format!("http://u:secret@{host}/file"), "redirects to another place, `file:`"),
        (format!("http://u:secret@{host}/round"), "redirects too often"),
        (format!("http://u:secret@{host}/page"), "does not answer as a Git server does"),
        (format!("http://u:secret@{host}/none"), "there is no repository"),
        ("http://u:secret@127.0.0.1:1/x".to_string(), "failed to reach"),
    ] {
        let outcome = import_url(url).await;
        let error = outcome.error();
        assert!(error.contains(expected), "{error}");
        let debug = format!("{:?}", outcome.result);
        assert!(!error.contains("secret") && !debug.contains("secret"), "{error} {debug}");
    }
}
