//! What administrators do: import what lies elsewhere, and check what lies here.

use std::path::Path;

use crate::support::{Person, TestHost, text};

fn refs(person: &Person, folder: &Path, url: &str) -> Vec<String> {
    let shown = person.git(folder, &["ls-remote", url]);
    shown.lines().filter(|line| !line.contains("refs/remotes/")).map(String::from).collect()
}

// A11 F4
#[test]
fn a_local_repository_is_imported_whole() {
    let host = TestHost::start();
    let alice = host.person("alice", &["developers"]);
    let work = host.path("work");
    alice.history(&work);
    // Packed and loose, branches, tags, notes, and things that are not to be taken or run.
    alice.git(&work, &["repack", "-adq"]);
    alice.git(&work, &["commit", "-q", "--allow-empty", "-m", "loose"]);
    alice.git(&work, &["repack", "-q"]);
    alice.git(&work, &["notes", "add", "-m", "a note", "HEAD"]);
    alice.git(&work, &["tag", "-a", "-m", "tag of a tag", "v1.1", "v1.0"]);
    alice.git(&work, &["update-ref", "refs/pull/1/head", "HEAD"]);
    std::fs::write(work.join(".git/hooks/post-update"), "#!/bin/sh\ntouch /tmp/never\n").unwrap();
    let before = host.admin(&["repo", "import", work.to_str().unwrap(), "shop"]);
    assert!(before.contains("HEAD is refs/heads/main") && before.contains("left out refs/pull/1/head"), "{before}");
    let mut expected = refs(&alice, &host.path(""), &format!("file://{}", work.display()));
    expected.retain(|line| !line.contains("refs/pull/"));
    assert_eq!(refs(&alice, &host.path(""), &alice.ssh("shop")), expected);
    let clone = host.path("clone");
    alice.git(&host.path(""), &["clone", "-q", "--mirror", &alice.https("shop"), clone.to_str().unwrap()]);
    alice.git(&clone, &["fsck", "--strict"]);
    host.admin(&["fsck", "shop"]);
    let again = host.try_admin(&["repo", "import", work.to_str().unwrap(), "shop"]);
    assert!(!again.status.success() && text(&again.stderr).contains("not empty"), "{again:?}");
    for bad in ["ext::sh -c true", "file:///etc", "ssh://-oProxyCommand=x/y", "/nothing/here"] {
        assert!(!host.try_admin(&["repo", "import", bad, "other"]).status.success(), "{bad}");
    }
}

#[test]
fn a_remote_repository_is_imported_over_https_and_ssh() {
    let mut host = TestHost::start();
    let alice = host.person("alice", &["developers"]);
    host.admin(&["repo", "create", "shop", "--default-branch", "trunk"]);
    let work = host.path("work");
    alice.history(&work);
    alice.git(&work, &["push", "-q", &alice.https("shop"), "main:refs/heads/trunk", "side", "--tags"]);
    // The server trusts its own certificate, and has a key and a known host, as an administrator's account would.
    host.down();
    let ca = host.path("keys/ca.pem");
    host.up(&[("SSL_CERT_FILE", ca.to_str().unwrap())]);
    let alice = alice.at(&host);
    let ssh = host.path(".ssh");
    std::fs::create_dir_all(&ssh).unwrap();
    std::fs::copy(host.path("keys/known_hosts"), ssh.join("known_hosts")).unwrap();
    std::fs::copy(host.path("home-alice/.ssh/id_ed25519"), ssh.join("id_ed25519")).unwrap();
    let expected = refs(&alice, &work, &alice.https("shop"));
    for (name, url) in [("over-https", alice.https("shop")), ("over-ssh", alice.ssh("shop"))] {
        let said = host.admin(&["repo", "import", &url, name]);
        assert!(said.contains("HEAD is refs/heads/trunk"), "{said}");
        assert_eq!(refs(&alice, &work, &alice.https(name)), expected);
        assert!(!host.log().contains(alice.password()), "the password is in the log");
    }
    let wrong = alice.https("shop").replace(alice.password(), "wrong");
    let output = host.try_admin(&["repo", "import", &wrong, "nothing"]);
    assert!(text(&output.stderr).contains("credentials") && !text(&output.stderr).contains("wrong@"), "{output:?}");
}

// J1 J4
#[test]
fn fsck_names_what_is_damaged() {
    let mut host = TestHost::start();
    let alice = host.person("alice", &["developers"]);
    for name in ["good", "bad"] {
        host.admin(&["repo", "create", name]);
    }
    let work = host.path("work");
    alice.history(&work);
    alice.git(&work, &["push", "-q", &alice.https("good"), "main"]);
    let before = blobs(&host);
    alice.git(&work, &["push", "-q", &alice.https("bad"), "main"]);
    assert_eq!(host.down(), Some(0));
    assert!(host.admin(&["fsck"]).contains("fine"), "it works without a server");
    for (path, bytes) in blobs(&host) {
        if before.iter().any(|(known, _)| *known == path) {
            continue;
        }
        for at in [5, bytes.len() / 2, bytes.len() - 1] {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            std::fs::write(&path, &damaged).unwrap();
            let output = host.try_admin(&["fsck"]);
            assert_eq!(output.status.code(), Some(1), "byte {at} of {}", path.display());
            let said = text(&output.stdout);
            assert!(said.contains("111111111111/bad: ") && said.contains("111111111111/good: fine"), "{said}");
        }
        std::fs::remove_file(&path).unwrap();
        assert_eq!(host.try_admin(&["fsck"]).status.code(), Some(1));
        std::fs::write(&path, &bytes).unwrap();
    }
    host.admin(&["fsck"]);
    // Every damaged file is named, not the first alone.
    let damaged: Vec<_> =
        blobs(&host).into_iter().filter(|(path, _)| !before.iter().any(|(known, _)| known == path)).collect();
    assert_eq!(damaged.len(), 2, "a pack and its index");
    for (path, bytes) in damaged {
        std::fs::write(path, &bytes[..bytes.len() - 1]).unwrap();
    }
    let said = text(&host.try_admin(&["fsck", "bad"]).stdout);
    assert!(said.contains("/bad: pack: ") && said.contains("/bad: index: "), "{said}");
}

fn blobs(host: &TestHost) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let mut out = Vec::new();
    let mut stack = vec![host.path("data/blobs")];
    while let Some(folder) = stack.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                stack.push(path);
            } else {
                let bytes = std::fs::read(&path).unwrap();
                out.push((path, bytes));
            }
        }
    }
    out
}
