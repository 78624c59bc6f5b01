//! Clone, fetch and push with the git and ssh that people have, over both transports and every protocol version.

use std::path::Path;

use crate::support::{Person, TestHost, text};

/// Both sides have the same refs and history, and git finds nothing wrong.
fn assert_same(person: &Person, ours: &Path, theirs: &Path) {
    let list = |folder: &Path| person.git(folder, &["rev-list", "--objects", "--no-object-names", "--all"]);
    let (mut left, mut right): (Vec<String>, Vec<String>) =
        (list(ours).lines().map(String::from).collect(), list(theirs).lines().map(String::from).collect());
    left.sort();
    right.sort();
    assert_eq!(left, right);
    person.git(theirs, &["fsck", "--strict", "--no-dangling"]);
}

#[test]
fn every_protocol_version_over_both_transports() {
    let host = TestHost::start();
    let alice = host.person("alice", &["developers"]);
    host.admin(&["repo", "create", "shop"]);
    let work = host.path("work");
    alice.history(&work);
    let said = alice.git(&work, &["push", &alice.https("shop"), "main", "side", "--tags"]);
    assert!(said.contains("[new branch]"), "{said}");
    for (i, (url, version)) in [
        (alice.https("shop"), "0"),
        (alice.https("shop"), "1"),
        (alice.https("shop"), "2"),
        (alice.ssh("shop"), "0"),
        (alice.ssh("shop"), "1"),
        (alice.ssh("shop"), "2"),
    ]
    .into_iter()
    .enumerate()
    {
        let clone = host.path(&format!("clone{i}"));
        let version = format!("protocol.version={version}");
        alice.git(host.path("").as_path(), &["-c", &version, "clone", "-q", "--mirror", &url, clone.to_str().unwrap()]);
        assert_same(&alice, &work, &clone);
        assert_eq!(alice.git(&clone, &["symbolic-ref", "HEAD"]).trim(), "refs/heads/main");
    }
    // A fetch of something new, with what is there already left out.
    let clone = host.path("clone2");
    std::fs::write(work.join("new"), "new\n").unwrap();
    alice.git(&work, &["add", "."]);
    alice.git(&work, &["commit", "-q", "-m", "new"]);
    alice.git(&work, &["push", "-q", &alice.ssh("shop"), "main"]);
    for version in ["0", "2"] {
        let clone = host.path(&format!("clone{version}"));
        let said = alice.git(&clone, &["-c", &format!("protocol.version={version}"), "fetch", "--progress", "origin"]);
        assert!(said.contains("Total 3 ") || said.contains("Enumerating objects: 3,"), "{said}");
        assert_same(&alice, &work, &clone);
    }
    drop(clone);
    assert!(host.admin(&["fsck"]).contains("shop"), "fsck names what it looked at");
}

#[test]
fn an_empty_repository_can_be_cloned_and_filled() {
    let host = TestHost::start();
    let alice = host.person("alice", &["developers"]);
    host.admin(&["repo", "create", "empty", "--default-branch", "trunk"]);
    for (i, url) in [alice.https("empty"), alice.ssh("empty")].iter().enumerate() {
        let clone = host.path(&format!("clone{i}"));
        alice.git(host.path("").as_path(), &["clone", "-q", url, clone.to_str().unwrap()]);
        assert_eq!(alice.git(&clone, &["symbolic-ref", "HEAD"]).trim(), "refs/heads/trunk");
    }
    let clone = host.path("clone0");
    std::fs::write(clone.join("a"), "a").unwrap();
    alice.git(&clone, &["add", "."]);
    alice.git(&clone, &["commit", "-q", "-m", "first"]);
    alice.git(&clone, &["push", "-q", "origin", "trunk"]);
    alice.git(&host.path("clone1"), &["pull", "-q"]);
    assert!(host.path("clone1/a").exists());
}

/// A change and its revert, over and over: trees that follow each other in turns must not each rely on the other.
#[test]
fn reverted_changes_are_sent_whole() {
    let host = TestHost::start();
    let alice = host.person("alice", &["developers"]);
    host.admin(&["repo", "create", "shop"]);
    let work = host.path("work");
    std::fs::create_dir_all(work.join("folder")).unwrap();
    alice.git(&work, &["init", "-q"]);
    for i in 0..6 {
        std::fs::write(work.join("folder/changes"), format!("{}", i % 2)).unwrap();
        std::fs::write(work.join("folder/stays"), "stays").unwrap();
        alice.git(&work, &["add", "."]);
        alice.git(&work, &["commit", "-q", "-m", &format!("{i}")]);
    }
    // A second branch, so that a clone of one is no clone of everything.
    alice.git(&work, &["push", "-q", &alice.ssh("shop"), "main", "main~1:refs/heads/other"]);
    alice.git(&work, &["checkout", "-q", "-b", "more"]);
    alice.git(&work, &["commit", "-q", "--allow-empty", "-m", "more"]);
    alice.git(&work, &["push", "-q", &alice.ssh("shop"), "more"]);
    let clone = host.path("clone");
    alice.git(
        &host.path(""),
        &["clone", "-q", "--single-branch", "--branch", "main", &alice.https("shop"), clone.to_str().unwrap()],
    );
    alice.git(&clone, &["fsck", "--strict"]);
    assert_eq!(alice.git(&clone, &["rev-list", "--count", "main"]).trim(), "6");
}

#[test]
fn shallow_histories_in_every_form() {
    let host = TestHost::start();
    let alice = host.person("alice", &["developers"]);
    host.admin(&["repo", "create", "shop"]);
    let work = host.path("work");
    alice.history(&work);
    alice.git(&work, &["push", "-q", &alice.ssh("shop"), "main", "side", "--tags"]);
    for (i, (url, version)) in
        [(alice.https("shop"), "2"), (alice.https("shop"), "0"), (alice.ssh("shop"), "2"), (alice.ssh("shop"), "0")]
            .into_iter()
            .enumerate()
    {
        let version = format!("protocol.version={version}");
        let clone = host.path(&format!("shallow{i}"));
        let here = host.path("");
        alice.git(
            &here,
            &["-c", &version, "clone", "-q", "--depth", "1", "--branch", "main", &url, clone.to_str().unwrap()],
        );
        let count = |folder: &Path| alice.git(folder, &["rev-list", "--count", "HEAD"]).trim().to_string();
        assert_eq!(count(&clone), "1");
        alice.git(&clone, &["-c", &version, "fetch", "-q", "--deepen", "2"]);
        let reference = host.path(&format!("reference{i}"));
        alice.git(
            &here,
            &[
                "clone",
                "-q",
                "--depth",
                "3",
                "--branch",
                "main",
                &format!("file://{}", work.display()),
                reference.to_str().unwrap(),
            ],
        );
        assert_eq!(count(&clone), count(&reference));
        alice.git(&clone, &["-c", &version, "fetch", "-q", "--shallow-exclude", "v1.0", "origin", "main"]);
        alice.git(&clone, &["fsck", "--strict"]);
        // A push from a shallow clone, as long as its parents are there.
        std::fs::write(clone.join(format!("from-shallow-{i}")), "x").unwrap();
        alice.git(&clone, &["add", "."]);
        alice.git(&clone, &["commit", "-q", "-m", "from a shallow clone"]);
        alice.git(&clone, &["-c", &version, "push", "-q", "origin", &format!("HEAD:refs/heads/shallow{i}")]);
        alice.git(&clone, &["-c", &version, "fetch", "-q", "--unshallow"]);
        assert_eq!(alice.git(&clone, &["rev-parse", "--is-shallow-repository"]).trim(), "false");
        alice.git(&clone, &["fsck", "--strict"]);
        let since = host.path(&format!("since{i}"));
        alice.git(
            &here,
            &["-c", &version, "clone", "-q", "--shallow-since", "2001-01-01", &url, since.to_str().unwrap()],
        );
        assert_eq!(alice.git(&since, &["rev-parse", "--is-shallow-repository"]).trim(), "false");
    }
}

#[test]
fn partial_clones_fetch_what_they_need_later() {
    let host = TestHost::start();
    let alice = host.person("alice", &["developers"]);
    host.admin(&["repo", "create", "shop"]);
    let work = host.path("work");
    alice.history(&work);
    alice.git(&work, &["push", "-q", &alice.ssh("shop"), "main"]);
    for (i, filter) in
        ["blob:none", "blob:limit=100", "tree:0", "tree:2", "object:type=commit", "combine:blob:none+tree:3"]
            .iter()
            .enumerate()
    {
        let clone = host.path(&format!("partial{i}"));
        let url = if i % 2 == 0 { alice.https("shop") } else { alice.ssh("shop") };
        alice.git(&host.path(""), &["clone", "-q", "--no-checkout", "--filter", filter, &url, clone.to_str().unwrap()]);
        let missing = alice.git(&clone, &["rev-list", "--objects", "--missing=print", "HEAD"]);
        assert!(missing.lines().any(|line| line.starts_with('?')), "{filter} left nothing out");
        alice.git(&clone, &["checkout", "-q", "main"]);
        assert_eq!(std::fs::read(clone.join("README")).unwrap(), std::fs::read(work.join("README")).unwrap());
    }
    let said =
        alice.git_fails(&host.path(""), &["clone", "--filter=sparse:oid=main:x", &alice.https("shop"), "sparse"]);
    assert!(said.contains("sparse"), "{said}");
}

#[test]
fn archives_are_made_without_a_clone() {
    let host = TestHost::start();
    let alice = host.person("alice", &["developers"]);
    host.admin(&["repo", "create", "shop"]);
    let work = host.path("work");
    alice.history(&work);
    alice.git(&work, &["push", "-q", &alice.ssh("shop"), "main", "--tags"]);
    let here = host.path("");
    for (name, tree) in [("a.tar", "main"), ("b.tar", "v1.0"), ("c.tar", "main:src")] {
        alice.git(&here, &["archive", "--remote", &alice.ssh("shop"), "--prefix=x/", "-o", name, tree]);
        alice.git(&work, &["archive", "--prefix=x/", "-o", here.join(format!("local-{name}")).to_str().unwrap(), tree]);
        let same_names =
            |file: &str| crate::support::run(std::process::Command::new("tar").args(["-tf"]).arg(here.join(file)));
        assert_eq!(same_names(name), same_names(&format!("local-{name}")));
    }
    let said = alice.git_fails(&here, &["archive", "--remote", &alice.ssh("shop"), "nothing"]);
    assert!(said.contains("nothing"), "{said}");
}

#[test]
fn many_refs_at_once_atomic_and_not() {
    let host = TestHost::start();
    let alice = host.person("alice", &["developers"]);
    host.admin(&["repo", "create", "shop"]);
    let work = host.path("work");
    alice.history(&work);
    alice.git(&work, &["remote", "add", "origin", &alice.ssh("shop")]);
    alice.git(&work, &["push", "-q", "origin", "main", "side", "light"]);
    alice.git(&work, &["branch", "feature", "HEAD~3"]);
    // One of two is refused: production belongs to seniors.
    let said = alice.git_fails(&work, &["push", "origin", "feature", "HEAD:refs/heads/production"]);
    assert!(said.contains("[remote rejected] HEAD -> production (denied by policy"), "{said}");
    assert!(said.contains("feature -> feature"), "{said}");
    assert!(said.contains("remote:") && said.contains("decision "), "{said}");
    alice.git(&work, &["branch", "-f", "feature", "HEAD"]);
    let said = alice.git_fails(&work, &["push", "--atomic", "origin", "feature", "HEAD:refs/heads/production"]);
    assert!(said.contains("atomic"), "{said}");
    let refs = alice.git(&work, &["ls-remote", "origin"]);
    let at = |name: &str| refs.lines().find(|line| line.ends_with(name)).map(|line| line[..40].to_string());
    assert_eq!(at("refs/heads/feature").unwrap(), alice.git(&work, &["rev-parse", "HEAD~3"]).trim());
    assert_eq!(at("refs/heads/production"), None);
    // Delete-only, force-with-lease, follow-tags, push options.
    alice.git(&work, &["push", "-q", "origin", ":feature"]);
    alice.git(&work, &["push", "-q", "--follow-tags", "-o", "ci.skip", "origin", "main"]);
    assert!(alice.git(&work, &["ls-remote", "origin"]).contains("refs/tags/v1.0^{}"));
    alice.git(&work, &["checkout", "-q", "side"]);
    alice.git(&work, &["commit", "-q", "--amend", "-m", "side again"]);
    assert!(alice.git_fails(&work, &["push", "origin", "side"]).contains("non-fast-forward"));
    alice.git(&work, &["push", "-q", "--force-with-lease", "origin", "side"]);
    assert!(alice.git_fails(&work, &["push", "origin", ":main"]).contains("default branch"));
}

// B13
#[test]
fn of_concurrent_pushes_to_one_ref_one_wins() {
    let host = TestHost::start();
    let alice = host.person("alice", &["developers"]);
    host.admin(&["repo", "create", "shop"]);
    let work = host.path("work");
    alice.history(&work);
    alice.git(&work, &["push", "-q", &alice.ssh("shop"), "main"]);
    let clones: Vec<_> = (0..8)
        .map(|i| {
            let clone = host.path(&format!("racer{i}"));
            alice.git(&host.path(""), &["clone", "-q", &alice.https("shop"), clone.to_str().unwrap()]);
            std::fs::write(clone.join("racer"), format!("{i}")).unwrap();
            alice.git(&clone, &["add", "."]);
            alice.git(&clone, &["commit", "-q", "-m", &format!("racer {i}")]);
            clone
        })
        .collect();
    let outcomes: Vec<(bool, bool)> = std::thread::scope(|scope| {
        let racers: Vec<_> = clones
            .iter()
            .enumerate()
            .map(|(i, clone)| {
                let alice = &alice;
                scope.spawn(move || {
                    let main = alice.try_git(clone, &["push", "origin", "main"]).status.success();
                    let own = alice.try_git(clone, &["push", "origin", &format!("HEAD:refs/heads/racer{i}")]);
                    (main, own.status.success())
                })
            })
            .collect();
        racers.into_iter().map(|racer| racer.join().unwrap()).collect()
    });
    assert_eq!(outcomes.iter().filter(|(main, _)| *main).count(), 1, "{outcomes:?}");
    assert!(outcomes.iter().all(|(_, own)| *own), "{outcomes:?}");
    host.admin(&["fsck"]);
}

// J7
#[test]
fn a_server_killed_between_any_two_steps_loses_and_invents_nothing() {
    for (point, is_kept) in [
        ("file:after-intent", false),
        ("publish:before-transaction", false),
        ("publish:before-commit", false),
        ("publish:after-commit", true),
    ] {
        let mut host = TestHost::start();
        let alice = host.person("alice", &["developers"]);
        host.admin(&["repo", "create", "shop"]);
        let work = host.path("work");
        alice.history(&work);
        alice.git(&work, &["push", "-q", &alice.https("shop"), "main~5:refs/heads/main"]);
        assert_eq!(host.down(), Some(0));
        host.up(&[("LOCKGATE_CRASH_AT", point)]);
        let alice = host_person(&host, &alice);
        let said = alice.git_fails(&work, &["push", &alice.https("shop"), "main"]);
        host.await_death();
        host.up(&[]);
        let alice = host_person(&host, &alice);
        let refs = alice.git(&work, &["ls-remote", &alice.https("shop"), "refs/heads/main"]);
        let expected = if is_kept { "main" } else { "main~5" };
        assert!(refs.starts_with(alice.git(&work, &["rev-parse", expected]).trim()), "{point}: {refs} {said}");
        host.admin(&["fsck"]);
        alice.git(&work, &["push", "-q", &alice.https("shop"), "main"]);
        let clone = host.path("after");
        alice.git(&host.path(""), &["clone", "-q", &alice.https("shop"), clone.to_str().unwrap()]);
        alice.git(&clone, &["fsck", "--strict"]);
    }
}

// J7: the packs of many pushes are joined, and dying on the way loses and shows nothing.
#[test]
fn joining_packs_survives_death_at_each_step() {
    for point in ["compact:after-files", "compact:before-publish", "compact:after-publish"] {
        let mut host = TestHost::start();
        let alice = host.person("alice", &["developers"]);
        host.admin(&["repo", "create", "shop"]);
        let work = host.path("work");
        alice.history(&work);
        let commits = alice.git(&work, &["rev-list", "--reverse", "--first-parent", "main"]);
        let commits: Vec<&str> = commits.lines().collect();
        assert_eq!(host.down(), Some(0));
        host.up(&[("LOCKGATE_CRASH_AT", point)]);
        let alice = host_person(&host, &alice);
        for commit in &commits[..16] {
            alice.git(&work, &["push", "-q", &alice.https("shop"), &format!("{commit}:refs/heads/main")]);
        }
        // The seventeenth pack is one too many. Its push is answered or not; then the server dies.
        let _ =
            alice.try_git(&work, &["push", "-q", &alice.https("shop"), &format!("{}:refs/heads/main", commits[16])]);
        host.await_death();
        assert_eq!(host.log().matches("dying on purpose").count(), 1, "{point}");

        host.up(&[]);
        let alice = host_person(&host, &alice);
        let refs = alice.git(&work, &["ls-remote", &alice.https("shop"), "refs/heads/main"]);
        assert!(refs.starts_with(commits[16]), "{point}: {refs}");
        if point != "compact:after-publish" {
            host.await_log("joined packs");
        }
        host.admin(&["fsck"]);
        alice.git(&work, &["push", "-q", &alice.https("shop"), "main", "--tags"]);
        let clone = host.path("after");
        alice.git(&host.path(""), &["clone", "-q", &alice.https("shop"), clone.to_str().unwrap()]);
        alice.git(&clone, &["fsck", "--strict"]);
        let list = |folder: &Path| alice.git(folder, &["rev-list", "--objects", "--no-object-names", "main", "v1.0"]);
        let sorted = |list: String| list.lines().map(str::to_string).collect::<std::collections::BTreeSet<_>>();
        assert_eq!(sorted(list(&clone)), sorted(list(&work)));
        assert_eq!(host.down(), Some(0));
    }
}

/// The same person at the ports that the server has now.
fn host_person(host: &TestHost, person: &Person) -> Person {
    person.at(host)
}

// J2
#[test]
fn nothing_that_was_pushed_is_on_disk_in_the_clear() {
    let mut host = TestHost::start();
    let alice = host.person("alice", &["developers"]);
    host.admin(&["repo", "create", "shop"]);
    let work = host.path("work");
    std::fs::create_dir_all(&work).unwrap();
    alice.git(&work, &["init", "-q"]);
    std::fs::create_dir_all(work.join("canary-folder-9f3a7c41d2b8")).unwrap();
    std::fs::write(
        work.join("canary-folder-9f3a7c41d2b8/canary-file-9f3a7c41d2b8"),
        "canary-content-9f3a7c41d2b8\n".repeat(3),
    )
    .unwrap();
    alice.git(&work, &["add", "."]);
    alice.git(&work, &["commit", "-q", "-m", "canary-message-9f3a7c41d2b8"]);
    alice.git(&work, &["push", "-q", &alice.ssh("shop"), "HEAD:refs/heads/canary-branch-9f3a7c41d2b8"]);
    alice.git_fails(
        &work,
        &["push", "-q", "-o", "canary-option-9f3a7c41d2b8", &alice.ssh("shop"), "HEAD:refs/heads/production"],
    );
    let scan = |host: &TestHost, when: &str| {
        for folder in ["data", "keys", "server.log"] {
            visit(&host.path(folder), &mut |path, bytes| {
                // The mark as it is, in base64 at each of the three alignments, in hexadecimal, and a ref name.
                for canary in [
                    "9f3a7c41d2b8",
                    "OWYzYTdjNDFkMmI4",
                    "lmM2E3YzQxZDJiO",
                    "5ZjNhN2M0MWQyYj",
                    "396633613763343164326238",
                    "refs/heads/production",
                ] {
                    assert!(
                        !bytes.windows(canary.len()).any(|window| window == canary.as_bytes()),
                        "{canary} in {} {when}",
                        path.display()
                    );
                }
            });
        }
    };
    scan(&host, "while running");
    host.kill();
    scan(&host, "after the server was killed");
    host.up(&[]);
    host.down();
    scan(&host, "after it was stopped");
}

fn visit(path: &Path, give: &mut dyn FnMut(&Path, &[u8])) {
    if path.is_dir() {
        for entry in std::fs::read_dir(path).unwrap() {
            visit(&entry.unwrap().path(), give);
        }
    } else if let Ok(bytes) = std::fs::read(path) {
        give(path, &bytes);
    }
}

#[test]
fn ssh_without_a_command_greets() {
    let host = TestHost::start();
    let alice = host.person("alice", &["developers"]);
    let address = host.ssh.strip_prefix("ssh://git@").unwrap().to_string();
    let (name, port) = address.rsplit_once(':').unwrap();
    let key = host.path("home-alice/.ssh/id_ed25519");
    let known = host.path("keys/known_hosts");
    let output = alice
        .command("ssh")
        .args(["-F", "none", "-T", "-p", port, "-o", "IdentitiesOnly=yes", "-o", "StrictHostKeyChecking=yes"])
        .args(["-o", &format!("UserKnownHostsFile={}", known.display()), "-i", key.to_str().unwrap()])
        .arg(format!("git@{name}"))
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    assert!(text(&output.stdout).contains("alice") || text(&output.stderr).contains("alice"), "{output:?}");
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn rsa_and_ecdsa_keys_work_as_well() {
    let host = TestHost::start();
    let alice = host.person("alice", &["developers"]);
    host.admin(&["repo", "create", "shop"]);
    let known = host.path("keys/known_hosts");
    for kind in ["rsa", "ecdsa"] {
        let key = host.path(&format!("key-{kind}"));
        crate::support::run(
            std::process::Command::new("ssh-keygen").args(["-q", "-t", kind, "-N", "", "-f"]).arg(&key),
        );
        host.admin(&["credential", "ssh-key", "add", "alice", &format!("{}.pub", key.display())]);
        let ssh = format!(
            "ssh -F none -i {} -o IdentitiesOnly=yes -o UserKnownHostsFile={} -o StrictHostKeyChecking=yes",
            key.display(),
            known.display()
        );
        let output =
            alice.command("git").env("GIT_SSH_COMMAND", ssh).args(["ls-remote", &alice.ssh("shop")]).output().unwrap();
        assert!(output.status.success(), "{kind}: {}", text(&output.stderr));
    }
}
