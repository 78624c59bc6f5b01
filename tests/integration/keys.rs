//! Keys at work: rotated while people push and clone, disabled, doomed, and kept by a key service that may be away.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::aws_clients::{StandIn, clients};
use crate::support::{Person, TestHost, run, text};

/// Runs git for a person in a folder of theirs; gives whether it succeeded and what it said.
fn git(person: &Person, folder: &Path, arguments: &[&str]) -> (bool, String) {
    let output = person.command("git").current_dir(folder).args(arguments).output().unwrap();
    (output.status.success(), format!("{}{}", text(&output.stdout), text(&output.stderr)))
}

fn git_ok(person: &Person, folder: &Path, arguments: &[&str]) -> String {
    let (succeeded, said) = git(person, folder, arguments);
    assert!(succeeded, "git {arguments:?}: {said}");
    said
}

/// A working copy of `repository` with one commit, pushed.
fn begin(host: &TestHost, person: &Person, repository: &str) -> std::path::PathBuf {
    host.admin(&["repo", "create", repository]);
    let folder = host.path(&format!("work-{repository}"));
    std::fs::create_dir_all(&folder).unwrap();
    git_ok(person, &folder, &["init", "-q", "-b", "main", "."]);
    git_ok(person, &folder, &["remote", "add", "origin", &person.https(repository)]);
    std::fs::write(folder.join("a"), "a\n".repeat(1000)).unwrap();
    git_ok(person, &folder, &["add", "a"]);
    git_ok(person, &folder, &["commit", "-q", "-m", "first"]);
    git_ok(person, &folder, &["push", "-q", "origin", "main"]);
    folder
}

fn keys(host: &TestHost) -> serde_json::Value {
    serde_json::from_str(&host.admin(&["--output", "json", "key", "list"])).unwrap()
}

fn key<'a>(keys: &'a serde_json::Value, name: &str) -> &'a serde_json::Value {
    keys.as_array().unwrap().iter().find(|key| key["key"] == name).unwrap_or_else(|| panic!("{name} in {keys}"))
}

// J5
#[test]
fn keys_are_rotated_under_people_who_push_and_clone() {
    let host = TestHost::start();
    let alice = host.person("alice", &["developers", "administrators"]);
    let work = begin(&host, &alice, "shop");
    let is_over = AtomicBool::new(false);
    let (n_pushed, n_cloned) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let more = |counter: &AtomicUsize, n: usize| {
        let until = Instant::now() + Duration::from_secs(120);
        let goal = counter.load(Ordering::SeqCst) + n;
        while counter.load(Ordering::SeqCst) < goal {
            assert!(Instant::now() < until, "nobody gets through");
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::SeqCst) {
                let n = n_pushed.load(Ordering::SeqCst);
                std::fs::write(work.join(format!("f{n}")), n.to_string()).unwrap();
                git_ok(&alice, &work, &["add", "."]);
                git_ok(&alice, &work, &["commit", "-q", "-m", "more"]);
                git_ok(&alice, &work, &["push", "-q", "origin", "main"]);
                n_pushed.fetch_add(1, Ordering::SeqCst);
            }
        });
        scope.spawn(|| {
            while !is_over.load(Ordering::SeqCst) {
                let n = n_cloned.load(Ordering::SeqCst);
                let clone = format!("clone-{n}");
                git_ok(&alice, &host.path(""), &["clone", "-q", &alice.ssh("shop"), &clone]);
                git_ok(&alice, &host.path(&clone), &["fsck", "--strict"]);
                n_cloned.fetch_add(1, Ordering::SeqCst);
            }
        });
        // What panics here must end the others, too.
        let rotated = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for key in [&["root"][..], &["account"], &["repo", "shop"], &["account"], &["repo", "shop"], &["root"]] {
                host.admin(&[&["key", "rotate"], key].concat());
                more(&n_pushed, 1);
                more(&n_cloned, 1);
            }
        }));
        is_over.store(true, Ordering::SeqCst);
        rotated.unwrap_or_else(|cause| std::panic::resume_unwind(cause));
    });
    let listed = keys(&host);
    let shop = key(&listed, "repo 111111111111/shop");
    assert_eq!((shop["state"].as_str(), shop["epoch"].as_i64()), (Some("enabled"), Some(3)));
    // The old keys wait for those who may be reading.
    assert_eq!(shop["epochsWithKeys"], serde_json::json!([1, 2, 3]));
    assert_eq!(key(&listed, "account 111111111111")["epoch"], 3);
    host.admin(&["fsck"]);
    let tip = git_ok(&alice, &work, &["rev-parse", "HEAD"]);

    // All the same after a restart.
    let mut host = host;
    assert_eq!(host.down(), Some(0));
    host.up(&[]);
    let alice = alice.at(&host);
    assert!(git_ok(&alice, &host.path(""), &["ls-remote", &alice.https("shop"), "main"]).contains(tip.trim()));
    host.admin(&["fsck"]);
}

// J5
#[test]
fn a_disabled_key_stops_access_and_says_so() {
    let mut host = TestHost::start();
    let alice = host.person("alice", &["developers", "administrators"]);
    let work = begin(&host, &alice, "shop");
    begin(&host, &alice, "other");
    git_ok(&alice, &work, &["commit", "-q", "--allow-empty", "-m", "second"]);
    let folder = host.path("");
    let refused = |host: &TestHost, what: &str| {
        let alice = alice.at(host);
        for url in [alice.https("shop"), alice.ssh("shop")] {
            let (succeeded, said) = git(&alice, &folder, &["ls-remote", &url]);
            assert!(!succeeded && said.contains(what), "{said}");
            let (succeeded, said) = git(&alice, &work, &["push", &url, "main"]);
            assert!(!succeeded && said.contains(what), "{said}");
        }
    };
    let goes = |host: &TestHost, name: &str| {
        let alice = alice.at(host);
        git_ok(&alice, &folder, &["ls-remote", &alice.https(name)])
    };
    let before = goes(&host, "shop");

    let said = host.admin(&["key", "disable", "repo", "shop"]);
    assert!(said.contains("the key of repository shop is disabled"), "{said}");
    refused(&host, "the repository's key is disabled; an administrator can enable it");
    goes(&host, "other");
    // Across a restart, and the check names it.
    assert_eq!(host.down(), Some(0));
    host.up(&[]);
    refused(&host, "the repository's key is disabled");
    let checked = host.try_admin(&["fsck"]);
    assert!(!checked.status.success() && text(&checked.stdout).contains("is disabled"), "{}", text(&checked.stdout));
    host.admin(&["key", "enable", "repo", "shop"]);
    assert_eq!(goes(&host, "shop"), before);

    host.admin(&["key", "disable", "account"]);
    refused(&host, "the account's key is disabled; an administrator can enable it");
    let made = host.try_admin(&["repo", "create", "third"]);
    assert!(!made.status.success() && text(&made.stderr).contains("the account's key is disabled"));
    host.admin(&["key", "enable", "account"]);

    let early = host.try_admin(&["key", "schedule-destruction", "repo", "shop", "--after-days", "6"]);
    assert!(!early.status.success() && text(&early.stderr).contains("7 to 30 days"), "{}", text(&early.stderr));
    goes(&host, "shop");
    let said = host.admin(&["key", "schedule-destruction", "repo", "shop", "--after-days", "7"]);
    assert!(said.contains("will be destroyed at") && said.contains("cancel-destruction"), "{said}");
    refused(&host, "the repository's key will be destroyed at");
    let again = host.try_admin(&["key", "enable", "repo", "shop"]);
    assert!(!again.status.success() && text(&again.stderr).contains("cancel that first"), "{}", text(&again.stderr));
    host.admin(&["key", "cancel-destruction", "repo", "shop"]);
    refused(&host, "the repository's key is disabled");
    host.admin(&["key", "enable", "repo", "shop"]);
    assert_eq!(goes(&host, "shop"), before);
    git_ok(&alice.at(&host), &work, &["push", "-q", &alice.at(&host).https("shop"), "main"]);
    let unknown = host.try_admin(&["key", "disable", "repo", "nowhere"]);
    assert!(!unknown.status.success() && text(&unknown.stderr).contains("lockgate repo list"));
}

// J5
#[test]
fn a_key_service_keeps_the_root_key_and_without_it_nothing_opens() {
    let Some(bin) = clients() else { return };
    let service = StandIn::start(&bin);
    let credentials = [("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE"), ("AWS_SECRET_ACCESS_KEY", "secret")];
    let kms = |arguments: &[&str]| -> serde_json::Value {
        let mut aws = Command::new(bin.join("aws"));
        aws.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).envs(credentials);
        aws.args(["--endpoint-url", &service.url, "--region", "us-east-1", "--output", "json", "kms"]).args(arguments);
        let output = aws.output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap_or_default()
    };
    let arn = kms(&["create-key"])["KeyMetadata"]["Arn"].as_str().unwrap().to_owned();
    kms(&["create-alias", "--alias-name", "alias/lockgate", "--target-key-id", &arn]);

    let mut host = TestHost::start();
    let alice = host.person("alice", &["developers", "administrators"]);
    let work = begin(&host, &alice, "shop");
    git_ok(&alice, &work, &["commit", "-q", "--allow-empty", "-m", "second"]);
    assert_eq!(host.down(), Some(0));
    let config = format!(
        "[root_key]\nkeeper = \"aws-kms\"\nkms_key_id = \"alias/lockgate\"\nkms_endpoint = \"{}\"\nlease_seconds = 3\n",
        service.url
    );
    std::fs::write(host.path("lockgate.toml"), config).unwrap();
    host.up(&credentials);
    let asked = |host: &TestHost| {
        let alice = alice.at(host);
        git(&alice, &host.path(""), &["ls-remote", &alice.https("shop")])
    };
    // Until it is moved, the file counts.
    assert!(asked(&host).0);
    assert!(host.admin(&["key", "list"]).contains("lockgate key rotate root"));
    let said = host.admin(&["key", "rotate", "root"]);
    assert!(said.contains("kept by aws-kms instead of file"), "{said}");
    assert!(!host.path("keys/root.key").exists());
    let kept: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(host.path("keys/root.kms")).unwrap()).unwrap();
    assert_eq!(kept["keyId"], arn.as_str());
    let before = asked(&host);
    assert!(before.0);
    assert_eq!(host.down(), Some(0));
    host.up(&credentials);
    assert_eq!(asked(&host), before);

    let becomes = |host: &TestHost, expected: bool| {
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            let (goes, said) = asked(host);
            if goes == expected {
                return said;
            }
            assert!(Instant::now() < until, "{said}\n{}", host.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    // It stands still: closed when the lease is over, open when it answers again.
    service.signal("-STOP");
    becomes(&host, false);
    // The lease may have run out between the two requests of one question, of which Git shows the first one's words alone.
    let (goes, said) = asked(&host);
    assert!(!goes && said.contains("the server's root key has not been confirmed"), "{said}");
    host.await_log("aws-kms could not be asked");
    for url in [alice.at(&host).https("shop"), alice.at(&host).ssh("shop")] {
        let (succeeded, said) = git(&alice.at(&host), &work, &["push", &url, "main"]);
        assert!(!succeeded && said.contains("has not been confirmed"), "{said}");
    }
    service.signal("-CONT");
    // Nothing of the pushes came in, and now they do.
    assert_eq!(becomes(&host, true), before.1);
    git_ok(&alice.at(&host), &work, &["push", "-q", &alice.at(&host).https("shop"), "main"]);
    host.admin(&["fsck"]);

    // It knows the key no more.
    let reset = format!("{}/moto-api/reset", service.url);
    run(Command::new(bin.join("python3")).args([
        "-c",
        "import sys, urllib.request; urllib.request.urlopen(urllib.request.Request(sys.argv[1], method='POST'))",
        &reset,
    ]));
    becomes(&host, false);
    host.await_log("aws-kms refuses the root key");
    assert_eq!(host.down(), Some(0));
    let started = host.try_admin(&["repo", "list"]);
    assert!(!started.status.success());
    assert!(text(&started.stderr).contains("aws-kms"), "{}", text(&started.stderr));
}
