//! Policies about what a push writes: paths, signatures, authors.

use std::path::Path;

use crate::support::{Person, TestHost, run};

/// A server on which only `platform` writes below `infra`, anywhere, and nobody writes below `ci` on release branches.
fn guarded() -> TestHost {
    let host = TestHost::start();
    host.admin(&["group", "create", "platform"]);
    let policies = r#"
@id("infra-is-platforms")
@advice("changes below infra are platform's: ask them")
forbid (principal, action == Action::"codecommit:WritePath", resource in Path::"111111111111/shop/infra")
unless { principal in Group::"111111111111/platform" };

@id("ci-is-fixed-on-releases")
forbid (principal, action == Action::"codecommit:WritePath", resource)
when { context.ref in Ref::"111111111111/shop/refs/heads/release" && resource.name like "ci/*" };
"#;
    host.admin(&["repo", "create", "shop"]);
    std::fs::write(host.path("policies/111111111111/paths.cedar"), policies).unwrap();
    host.admin(&["policy", "apply"]);
    host
}

fn write(folder: &Path, path: &str, text: &str) {
    let path = folder.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

fn commit(person: &Person, work: &Path, path: &str, text: &str) {
    write(work, path, text);
    person.git(work, &["add", "."]);
    person.git(work, &["commit", "-q", "-m", path]);
}

fn refs(person: &Person, url: &str, folder: &Path) -> String {
    person.git(folder, &["ls-remote", url])
}

// D1: whatever the form of the change, the path decides.
#[test]
fn a_folder_that_only_some_may_write() {
    let host = guarded();
    let alice = host.person("alice", &["developers"]);
    let pat = host.person("pat", &["developers", "platform"]);
    let work = host.path("work");
    alice.history(&work);
    alice.git(&work, &["push", "-q", &alice.https("shop"), "main"]);
    pat.git(&work, &["checkout", "-q", "-b", "infra"]);
    commit(&pat, &work, "infra/main.tf", "one\n");
    pat.git(&work, &["push", "-q", &pat.https("shop"), "infra:main", "infra:side"]);
    let before = refs(&alice, &alice.ssh("shop"), &work);

    let refused = |arguments: &[&str]| {
        let url = alice.ssh("shop");
        let mut all = vec!["push", "-f", &url];
        all.extend(arguments);
        let said = alice.git_fails(&work, &all);
        assert!(said.contains("denied by policy infra-is-platforms"), "{arguments:?}: {said}");
        assert!(said.contains("infra") && said.contains("ask them") && said.contains("decision "), "{said}");
        assert_eq!(refs(&alice, &url, &work), before, "{arguments:?}");
        said
    };
    // Changed, added among others, deleted, become a folder, made executable.
    commit(&alice, &work, "infra/main.tf", "two\n");
    refused(&["HEAD:main"]);
    alice.git(&work, &["reset", "-q", "--hard", "infra~0"]);
    alice.git(&work, &["reset", "-q", "--hard", "HEAD~1"]);
    write(&work, "infra/b", "b\n");
    write(&work, "infra/c", "c\n");
    commit(&alice, &work, "src/x", "x\n");
    let said = refused(&["HEAD:main"]);
    assert!(said.contains("more path"), "{said}");
    alice.git(&work, &["reset", "-q", "--hard", "HEAD~1"]);
    alice.git(&work, &["rm", "-q", "-r", "infra"]);
    alice.git(&work, &["commit", "-q", "-m", "away"]);
    refused(&["HEAD:main"]);
    write(&work, "infra", "now a file\n");
    alice.git(&work, &["add", "."]);
    alice.git(&work, &["commit", "-q", "-m", "a file"]);
    refused(&["HEAD:main"]);
    // Rewound over it, by force; a branch and a tag made of it; one ref of several.
    refused(&["main~1:side"]);
    refused(&["HEAD:refs/heads/new"]);
    refused(&["HEAD:refs/tags/new"]);
    refused(&["--atomic", "HEAD:refs/heads/new", "main:refs/heads/other"]);
    // A decision that can be explained.
    let said = alice.git_fails(&work, &["push", &alice.https("shop"), "HEAD:refs/heads/new"]);
    let decision = said.split("decision ").nth(1).unwrap().split_whitespace().next().unwrap().to_string();
    let told = host.admin(&["policy", "explain", &decision]);
    assert!(told.contains("codecommit:WritePath") && told.contains("infra-is-platforms"), "{told}");

    // What does not write it passes, a branch at what others wrote too.
    alice.git(&work, &["fetch", "-q", &alice.https("shop"), "main"]);
    alice.git(&work, &["reset", "-q", "--hard", "FETCH_HEAD"]);
    alice.git(&work, &["push", "-q", &alice.https("shop"), "HEAD:refs/heads/copy"]);
    commit(&alice, &work, "infrastructure/readme", "not infra\n");
    alice.git(&work, &["push", "-q", &alice.https("shop"), "HEAD:main", "HEAD:refs/heads/copy"]);
    pat.git(&work, &["rm", "-q", "-r", "infra"]);
    pat.git(&work, &["commit", "-q", "-m", "away"]);
    pat.git(&work, &["push", "-q", &pat.ssh("shop"), "HEAD:main"]);
}

// D1: a protected branch is not made on top of an unprotected one.
#[test]
fn rules_about_refs_hold_for_refs_that_are_made() {
    let host = guarded();
    let alice = host.person("alice", &["developers"]);
    let work = host.path("work");
    alice.history(&work);
    alice.git(&work, &["push", "-q", &alice.https("shop"), "main"]);
    commit(&alice, &work, "ci/build.sh", "steps\n");
    alice.git(&work, &["push", "-q", &alice.https("shop"), "HEAD:refs/heads/topic"]);
    let said = alice.git_fails(&work, &["push", &alice.https("shop"), "HEAD:refs/heads/release/1"]);
    assert!(said.contains("ci/build.sh") && said.contains("ci-is-fixed-on-releases"), "{said}");
    // From what the default branch has, it is.
    alice.git(&work, &["push", "-q", &alice.https("shop"), "HEAD~1:refs/heads/release/1"]);
    let said = alice.git_fails(&work, &["push", &alice.https("shop"), "HEAD:refs/heads/release/1"]);
    assert!(said.contains("ci-is-fixed-on-releases"), "{said}");
    alice.git(&work, &["push", "-q", &alice.https("shop"), "HEAD:main"]);
    alice.git(&work, &["push", "-q", &alice.https("shop"), "HEAD:refs/heads/release/2"]);
}

/// A server on which `main` takes signed commits only, by people's own addresses.
fn strict() -> TestHost {
    let host = TestHost::start();
    let policies = r#"
@id("main-is-signed")
@advice("sign your commits, with a key that is registered: lockgate credential signing-key add")
forbid (principal, action in Action::"codecommit:ChangeRef", resource == Ref::"111111111111/shop/refs/heads/main")
unless { context.allCommitsSigned };

@id("known-authors")
@advice("commit under an address that is registered: lockgate user address")
forbid (principal, action in Action::"codecommit:ChangeRef", resource in Ref::"111111111111/shop/refs/heads/checked")
unless { context has allAuthorsRegistered && context.allAuthorsRegistered };
"#;
    host.admin(&["repo", "create", "shop"]);
    std::fs::write(host.path("policies/111111111111/commits.cedar"), policies).unwrap();
    host.admin(&["policy", "apply"]);
    host
}

#[test]
fn only_signed_commits_reach_main() {
    let host = strict();
    let alice = host.person("alice", &["developers"]);
    let bob = host.person("bob", &["developers"]);
    let work = host.path("work");
    std::fs::create_dir_all(&work).unwrap();
    alice.git(&work, &["init", "-q"]);
    let key = host.path("signing");
    run(std::process::Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key));
    let public = host.path("signing.pub");
    let sign = |person: &Person, text: &str| {
        write(&work, "file", text);
        person.git(&work, &["add", "."]);
        let with = format!("user.signingkey={}", public.display());
        person.git(&work, &["-c", "gpg.format=ssh", "-c", &with, "commit", "-q", "-S", "-m", text]);
    };
    let refused = |person: &Person, what: &str| {
        let said = person.git_fails(&work, &["push", &person.https("shop"), what]);
        assert!(said.contains("main-is-signed") && said.contains("sign your commits"), "{said}");
    };
    // Signed, by a key that nobody registered.
    sign(&alice, "one\n");
    refused(&alice, "HEAD:main");
    let added = host.admin(&["credential", "signing-key", "add", "alice", public.to_str().unwrap()]);
    assert!(added.contains("SHA256:"), "{added}");
    // A key is one person's.
    let twice = host.try_admin(&["credential", "signing-key", "add", "bob", public.to_str().unwrap()]);
    assert!(!twice.status.success());
    alice.git(&work, &["push", "-q", &alice.https("shop"), "HEAD:main"]);
    // Who pushes need not be who signed.
    sign(&alice, "two\n");
    bob.git(&work, &["push", "-q", &bob.ssh("shop"), "HEAD:main"]);
    // One unsigned commit below a signed one; pushed elsewhere before, too.
    commit(&bob, &work, "other", "unsigned\n");
    sign(&alice, "three\n");
    refused(&alice, "HEAD:main");
    alice.git(&work, &["push", "-q", &alice.https("shop"), "HEAD:refs/heads/topic"]);
    refused(&alice, "HEAD:main");
    // A signature taken from another commit, and a changed message.
    let raw = alice.git(&work, &["cat-file", "commit", "HEAD"]).replace("three", "other");
    std::fs::write(host.path("forged"), raw).unwrap();
    let forged = alice.git(&work, &["hash-object", "-t", "commit", "-w", host.path("forged").to_str().unwrap()]);
    refused(&alice, &format!("{}:main", forged.trim()));
    // The key is taken back: what it signs counts no more.
    alice.git(&work, &["reset", "-q", "--hard", "HEAD~2"]);
    sign(&alice, "four\n");
    let listed = host.admin(&["--output", "json", "credential", "list", "alice"]);
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    let id = listed.as_array().unwrap().iter().find(|row| row["kind"] == "signing-key").unwrap()["id"].clone();
    host.admin(&["credential", "revoke", "alice", id.as_str().unwrap()]);
    refused(&alice, "HEAD:main");
    // Not before its time, and not after.
    host.admin(&[
        "credential",
        "signing-key",
        "add",
        "alice",
        public.to_str().unwrap(),
        "--until",
        "2020-01-01T00:00:00Z",
    ]);
    refused(&alice, "HEAD:main");
}

#[test]
fn authors_are_people_who_are_known() {
    let host = strict();
    let alice = host.person("alice", &["developers"]);
    let bob = host.person("bob", &["developers"]);
    let work = host.path("work");
    alice.history(&work);
    let url = alice.https("shop");
    let refused = || {
        let said = alice.git_fails(&work, &["push", &url, "HEAD:refs/heads/checked/x"]);
        assert!(said.contains("known-authors"), "{said}");
    };
    refused();
    host.admin(&["user", "address", "alice", "alice@example.com"]);
    alice.git(&work, &["push", "-q", &url, "HEAD:refs/heads/checked/x"]);
    commit(&bob, &work, "bobs", "x\n");
    refused();
    host.admin(&["user", "address", "bob", "old@example.com", "Bob@Example.com"]);
    alice.git(&work, &["push", "-q", &url, "HEAD:refs/heads/checked/x"]);
    // The committer counts as well.
    write(&work, "third", "x\n");
    alice.git(&work, &["add", "."]);
    let mut as_other = alice.command("git");
    as_other.current_dir(&work).args(["commit", "-q", "-m", "x"]).env("GIT_COMMITTER_EMAIL", "eve@example.org");
    run(&mut as_other);
    refused();
    host.admin(&["user", "disable", "bob"]);
    alice.git(&work, &["reset", "-q", "--hard", "HEAD~1"]);
    commit(&bob, &work, "bobs2", "x\n");
    refused();
}
