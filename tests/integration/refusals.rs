//! What is refused, with a reason that a person understands, and changes nothing.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::{Person, TestHost, text};

/// Everything that refs show, to prove that a refusal changed nothing.
fn refs(person: &Person, folder: &Path, url: &str) -> String {
    person.git(folder, &["ls-remote", url])
}

// B1 B2 B3
#[test]
fn only_what_refs_reach_is_served_and_refusals_are_alike() {
    let host = TestHost::start();
    let alice = host.person("alice", &["developers"]);
    host.admin(&["repo", "create", "shop"]);
    host.admin(&["repo", "create", "other"]);
    let work = host.path("work");
    alice.history(&work);
    alice.git(&work, &["push", "-q", &alice.https("shop"), "main", "side"]);
    std::fs::write(work.join("secret"), "secret\n").unwrap();
    alice.git(&work, &["checkout", "-q", "-b", "secret"]);
    alice.git(&work, &["add", "."]);
    alice.git(&work, &["commit", "-q", "-m", "secret"]);
    let secret = alice.git(&work, &["rev-parse", "HEAD"]).trim().to_string();
    let blob = alice.git(&work, &["rev-parse", "HEAD:secret"]).trim().to_string();
    let tree = alice.git(&work, &["rev-parse", "HEAD^{tree}"]).trim().to_string();
    alice.git(&work, &["push", "-q", &alice.https("other"), "secret"]);
    alice.git(&work, &["push", "-q", &alice.https("shop"), "secret"]);
    let random = "0123456789012345678901234567890123456789";
    let fetch = |url: &str, version: &str, id: &str| {
        let clone = tempfile::tempdir_in(host.path("")).unwrap();
        alice.git(clone.path(), &["init", "-q"]);
        let version = format!("protocol.version={version}");
        let output = alice.try_git(clone.path(), &["-c", &version, "fetch", url, id]);
        (output.status.success(), text(&output.stderr).replace(id, "ID"))
    };
    for id in [&secret, &blob, &tree] {
        assert!(fetch(&alice.https("shop"), "2", id).0, "a served object is fetched by its id");
    }
    alice.git(&work, &["push", "-q", &alice.https("shop"), ":secret"]);
    for url in [alice.https("shop"), alice.ssh("shop")] {
        for version in ["0", "1", "2"] {
            let (ok, expected) = fetch(&url, version, random);
            assert!(!ok);
            for id in [&secret, &blob, &tree] {
                let (ok, said) = fetch(&url, version, id);
                assert!(!ok, "version {version} served {id}");
                assert_eq!(said, expected, "the refusal tells whether the object exists");
            }
        }
    }
    // What the deleted branch shared with others is served as before.
    let shared = alice.git(&work, &["rev-parse", "main:README"]).trim().to_string();
    assert!(fetch(&alice.https("shop"), "2", &shared).0);
    // And a push that leans on the rest goes through, since it brings it again.
    alice.git(&work, &["push", "-q", &alice.https("shop"), "secret"]);
    assert!(fetch(&alice.https("shop"), "2", &blob).0);
    host.admin(&["fsck"]);
}

// B2
#[test]
fn an_object_that_came_twice_is_gone_with_its_last_ref() {
    let host = TestHost::start();
    let alice = host.person("alice", &["developers"]);
    host.admin(&["repo", "create", "shop"]);
    let main = host.path("main");
    alice.history(&main);
    alice.git(&main, &["push", "-q", &alice.ssh("shop"), "main"]);
    // Two histories that know nothing of each other bring the same file, each in a pack of its own.
    for name in ["one", "two"] {
        let work = host.path(name);
        std::fs::create_dir_all(&work).unwrap();
        alice.git(&work, &["init", "-q"]);
        std::fs::write(work.join("secret"), "secret\n").unwrap();
        alice.git(&work, &["add", "."]);
        alice.git(&work, &["commit", "-q", "-m", name]);
        alice.git(&work, &["push", "-q", &alice.ssh("shop"), &format!("HEAD:refs/heads/{name}")]);
    }
    let blob = alice.git(&host.path("one"), &["rev-parse", "HEAD:secret"]).trim().to_string();
    let fetch = || {
        let clone = tempfile::tempdir_in(host.path("")).unwrap();
        alice.git(clone.path(), &["init", "-q"]);
        alice.try_git(clone.path(), &["fetch", &alice.https("shop"), &blob]).status.success()
    };
    assert!(fetch());
    alice.git(&main, &["push", "-q", &alice.ssh("shop"), ":one", ":two"]);
    assert!(!fetch(), "a copy of the object is served that no ref reaches");
    host.admin(&["fsck"]);
}

/// Sends `body` to receive-pack as a push that creates `refs/heads/new` at `id`; gives the answer.
fn raw_push(person: &Person, url: &str, id: &str, pack: &[u8]) -> String {
    let line = format!("{} {id} refs/heads/new\0report-status side-band-64k", "0".repeat(40));
    let mut body = format!("{:04x}{line}0000", line.len() + 4).into_bytes();
    body.extend_from_slice(pack);
    let (scheme, rest) = url.split_once("://").unwrap();
    let (credentials, rest) = rest.split_once('@').unwrap();
    let script = r#"
import base64, http.client, os, ssl, sys, urllib.parse
host, path, credentials, ca = sys.argv[1:5]
context = ssl.create_default_context(cafile=ca)
connection = http.client.HTTPSConnection(host, context=context)
connection.request("POST", path + "/git-receive-pack", body=sys.stdin.buffer.read(), headers={
    "Authorization": "Basic " + base64.b64encode(urllib.parse.unquote(credentials).encode()).decode(),
    "Content-Type": "application/x-git-receive-pack-request"})
response = connection.getresponse()
sys.stdout.buffer.write(str(response.status).encode() + b" " + response.read())
"#;
    assert_eq!(scheme, "https");
    let (address, path) = rest.split_once('/').unwrap();
    let ca = person.command("x").get_envs().find(|(key, _)| *key == "GIT_SSL_CAINFO").unwrap().1.unwrap().to_owned();
    let mut python = Command::new("python3")
        .args(["-c", script, address, &format!("/{path}"), credentials])
        .arg(ca)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    python.stdin.take().unwrap().write_all(&body).unwrap();
    text(&python.wait_with_output().unwrap().stdout)
}

// B5 B6 B7
#[test]
fn damaged_and_hostile_packs_are_refused_in_plain_words() {
    let host = TestHost::start();
    let alice = host.person("alice", &["developers"]);
    host.admin(&["repo", "create", "shop"]);
    let work = host.path("work");
    alice.history(&work);
    let url = alice.https("shop");
    alice.git(&work, &["push", "-q", &url, "main~10:refs/heads/main"]);
    let before = refs(&alice, &work, &url);
    let id = alice.git(&work, &["rev-parse", "main"]).trim().to_string();
    let pack_of = |revisions: &str| {
        let mut git = alice
            .command("git")
            .args(["pack-objects", "--revs", "--stdout", "-q"])
            .current_dir(&work)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        git.stdin.take().unwrap().write_all(revisions.as_bytes()).unwrap();
        git.wait_with_output().unwrap().stdout
    };
    let good = pack_of("main\n");
    let mut flipped = good.clone();
    let middle = good.len() / 2;
    flipped[middle] ^= 0xff;
    let mut bad_sum = good.clone();
    *bad_sum.last_mut().unwrap() ^= 1;
    let mut trailing = good.clone();
    trailing.extend_from_slice(b"more");
    let mut huge_count = good.clone();
    huge_count[8..12].copy_from_slice(&u32::MAX.to_be_bytes());
    let mut bomb = b"PACK\0\0\0\x02\0\0\0\x01".to_vec();
    bomb.extend_from_slice(&[0xbf, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]);
    // The tip alone: its tree and parents are missing.
    let lonely = pack_of("main\n^main^@\n");
    for (what, pack, expected) in [
        ("cut off", &good[..good.len() / 2], "cut off"),
        ("flipped", &flipped[..], "pack"),
        ("bad checksum", &bad_sum[..], "checksum"),
        ("trailing garbage", &trailing[..], "follow the end"),
        ("count", &huge_count[..], "too much"),
        ("size", &bomb[..], "too much"),
        ("no pack", b"HELLO, this is not a pack, it is only text"[..].as_ref(), "not a pack"),
        ("missing", &lonely[..], ""),
    ] {
        let said = raw_push(&alice, &url, &id, pack);
        if what == "missing" {
            // Complete against what is there, or refused as incomplete: `main~10` is there, the nine between are not.
            assert!(said.contains("missing"), "{what}: {said}");
        } else {
            assert!(
                said.contains("unpack ") && !said.contains("unpack ok") && said.contains(expected),
                "{what}: {said}"
            );
        }
        assert_eq!(refs(&alice, &work, &url), before, "{what} changed refs");
    }
    let said = raw_push(&alice, &url, &id, &good);
    assert!(said.contains("unpack ok") && said.contains("ok refs/heads/new"), "{said}");
    host.admin(&["fsck"]);
}

// A6 A7
#[test]
fn git_folders_in_disguise_are_refused() {
    let host = TestHost::start();
    let alice = host.person("alice", &["developers"]);
    host.admin(&["repo", "create", "shop"]);
    let work = host.path("work");
    alice.history(&work);
    let blob = alice.git(&work, &["rev-parse", "main:README"]).trim().to_string();
    let tree = alice.git(&work, &["rev-parse", "main:src"]).trim().to_string();
    for url in [alice.https("shop"), alice.ssh("shop")] {
        for (mode, name) in [
            ("100644 blob", ".git"),
            ("100644 blob", ".GIT"),
            ("100644 blob", "git~1"),
            ("040000 tree", ".git::$INDEX_ALLOCATION"),
            ("100644 blob", ".git "),
            ("100644 blob", ".git."),
            ("100644 blob", ".g\u{200c}it"),
            ("040000 tree", ".."),
            ("040000 tree", "."),
            ("120000 blob", ".gitmodules"),
        ] {
            let id = if mode.ends_with("tree") { &tree } else { &blob };
            let mut git = alice
                .command("git")
                .args(["hash-object", "-t", "tree", "--literally", "-w", "--stdin"])
                .current_dir(&work)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let mut raw = format!("{} {name}\0", mode.split(' ').next().unwrap().trim_start_matches('0')).into_bytes();
            raw.extend((0..20).map(|i| u8::from_str_radix(&id[i * 2..i * 2 + 2], 16).unwrap()));
            git.stdin.take().unwrap().write_all(&raw).unwrap();
            let bad = text(&git.wait_with_output().unwrap().stdout).trim().to_string();
            let commit = alice.git(&work, &["commit-tree", "-m", "x", &bad]).trim().to_string();
            let said = alice.git_fails(&work, &["push", &url, &format!("{commit}:refs/heads/bad")]);
            assert!(said.contains(&bad) || said.contains("tree"), "{name:?}: {said}");
            assert_eq!(refs(&alice, &work, &url), "", "{name:?}");
        }
    }
}

// B8 B14
#[test]
fn names_that_are_not_for_pushing() {
    let host = TestHost::start();
    let alice = host.person("alice", &["developers"]);
    host.admin(&["repo", "create", "shop"]);
    let work = host.path("work");
    alice.history(&work);
    let url = alice.ssh("shop");
    alice.git(&work, &["push", "-q", &url, "main", "main:refs/heads/topic"]);
    let before = refs(&alice, &work, &url);
    for name in [
        "refs/pull/1/head",
        "refs/internal/x",
        "refs/reviews/x",
        "refs/remotes/origin/x",
        "refs/heads/main/x",
        "refs/heads/Main",
        "refs/heads/TOPIC",
        "refs/heads/-h",
    ] {
        let said = alice.git_fails(&work, &["push", &url, &format!("HEAD:{name}")]);
        assert!(
            said.contains("remote rejected") || said.contains("invalid") || said.contains("not a valid"),
            "{name}: {said}"
        );
        assert_eq!(refs(&alice, &work, &url), before, "{name}");
    }
}

// C8
#[test]
fn absent_and_forbidden_look_alike_and_strangers_stay_outside() {
    let host = TestHost::start();
    let alice = host.person("alice", &["developers"]);
    host.admin(&["repo", "create", "shop"]);
    host.admin(&["account", "create", "partner", "--id", "222222222222"]);
    host.admin(&["--account", "222222222222", "repo", "create", "theirs"]);
    let here = host.path("");
    let base = alice.https("x").replace("/v1/repos/x", "");
    let said = |path: &str| {
        let output = alice.try_git(&here, &["ls-remote", &format!("{base}{path}")]);
        assert!(!output.status.success(), "{path}");
        text(&output.stderr).replace(path, "PATH")
    };
    assert_eq!(said("/222222222222/theirs.git"), said("/222222222222/nothing.git"));
    assert_eq!(said("/222222222222/theirs.git"), said("/333333333333/nothing.git"));
    alice.git(&here, &["ls-remote", &format!("{base}/111111111111/shop.git")]);
    // Nobody, and somebody with the wrong password.
    let host_part = base.split_once('@').unwrap().1;
    for credentials in ["nobody:nothing", "alice-at-111111111111:wrong"] {
        let output = alice.try_git(&here, &["ls-remote", &format!("https://{credentials}@{host_part}/v1/repos/shop")]);
        assert!(!output.status.success());
        assert!(text(&output.stderr).contains("Authentication failed"), "{}", text(&output.stderr));
    }
    // A disabled user is out at once, on both doors.
    host.admin(&["--account", "111111111111", "user", "disable", "alice"]);
    assert!(!alice.try_git(&here, &["ls-remote", &alice.https("shop")]).status.success());
    assert!(!alice.try_git(&here, &["ls-remote", &alice.ssh("shop")]).status.success());
    host.admin(&["--account", "111111111111", "user", "enable", "alice"]);
    alice.git(&here, &["ls-remote", &alice.ssh("shop")]);
}

// D1 D7
#[test]
fn policies_are_changed_checked_and_explained() {
    let host = TestHost::start();
    let alice = host.person("alice", &["developers"]);
    let bob = host.person("bob", &["developers", "senior-developers"]);
    host.admin(&["repo", "create", "shop"]);
    let work = host.path("work");
    alice.history(&work);
    let said = alice.git_fails(&work, &["push", &alice.ssh("shop"), "HEAD:refs/heads/production"]);
    let decision = said.split("decision ").nth(1).unwrap().split_whitespace().next().unwrap().to_string();
    let told = host.admin(&["policy", "explain", &decision]);
    assert!(told.contains("refused") && told.contains("alice") && told.contains("refs/heads/production"), "{told}");
    bob.git(&work, &["push", "-q", &bob.https("shop"), "main"]);
    bob.git(&work, &["push", "-q", &bob.https("shop"), "HEAD:refs/heads/production"]);
    for person in [&alice, &bob] {
        for arguments in [
            vec!["push", "--force", "URL", "HEAD~1:refs/heads/production"],
            vec!["push", "URL", ":refs/heads/production"],
        ] {
            let url = person.ssh("shop");
            let arguments: Vec<&str> =
                arguments.into_iter().map(|word| if word == "URL" { &url[..] } else { word }).collect();
            assert!(person.git_fails(&work, &arguments).contains("denied by policy"));
        }
    }
    // A broken file changes nothing, and says where.
    let file = host.path("policies/111111111111/mine.cedar");
    std::fs::write(&file, "@id(\"mine\")\nforbid (principal, action, resource)\nwhen { principal.nothing };\n")
        .unwrap();
    let output = host.try_admin(&["policy", "apply"]);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stdout) + &text(&output.stderr);
    assert!(said.contains("mine.cedar:"), "{said}");
    alice.git(&work, &["push", "-q", &alice.https("shop"), "HEAD:refs/heads/before"]);
    // A misspelled group is noticed; a good file binds at once.
    std::fs::write(&file, "@id(\"mine\")\nforbid (principal, action in Action::\"codecommit:ChangeRef\", resource)\nunless { principal in Group::\"111111111111/senoir-developers\" };\n").unwrap();
    assert_eq!(host.try_admin(&["policy", "check"]).status.code(), Some(1));
    std::fs::write(&file, "@id(\"mine\")\n@advice(\"ask bob\")\nforbid (principal, action in Action::\"codecommit:ChangeRef\", resource)\nunless { principal in Group::\"111111111111/senior-developers\" };\n").unwrap();
    host.admin(&["policy", "apply"]);
    let said = alice.git_fails(&work, &["push", &alice.https("shop"), "HEAD:refs/heads/after"]);
    assert!(said.contains("denied by policy mine") && said.contains("ask bob"), "{said}");
    bob.git(&work, &["push", "-q", &bob.https("shop"), "HEAD:refs/heads/after"]);
    assert!(host.admin(&["policy", "generations"]).lines().count() >= 2);
    // A ref that is not there may be meant; D7: that it is not is said.
    let on = |name: &str| {
        format!(
            "@id(\"{name}\") forbid (principal, action in Action::\"codecommit:ChangeRef\", resource in Ref::\"111111111111/shop/refs/heads/{name}\");\n"
        )
    };
    std::fs::write(&file, on("producton") + &on("production")).unwrap();
    let said = host.admin(&["policy", "check"]);
    let missing = "warning: 111111111111/mine.cedar:1:91: policy `producton`: there is no ref `refs/heads/producton` in repository `shop`";
    assert!(said.contains(missing) && said.lines().count() == 2, "{said}");
    let said = host.admin(&["policy", "apply"]);
    assert!(said.contains("is active") && said.contains("there is no ref `refs/heads/producton`"), "{said}");
    host.admin(&["repo", "create", "zeta"]);
    assert!(host.admin(&["policy", "matrix", "--repository", "zeta"]).starts_with("in repository zeta:"));
    let refused = host.try_admin(&["policy", "matrix", "--repository", "zebra"]);
    assert!(text(&refused.stderr).contains("there is no repository `zebra`"), "{refused:?}");
}

// J5 D9
#[test]
fn deleted_repositories_are_gone_for_good() {
    let host = TestHost::start();
    let alice = host.person("alice", &["developers"]);
    host.admin(&["repo", "create", "shop"]);
    let work = host.path("work");
    alice.history(&work);
    alice.git(&work, &["push", "-q", &alice.ssh("shop"), "main"]);
    let keys = || std::fs::read_dir(host.path("keys/keyring")).unwrap().count();
    let before = keys();
    host.admin(&["repo", "delete", "shop"]);
    assert_eq!(keys(), before - 1, "the repository's key is destroyed");
    assert!(alice.git_fails(&work, &["ls-remote", &alice.ssh("shop")]).contains("not found"));
    assert!(!host.try_admin(&["repo", "create", "shop"]).status.success(), "the name is not given again");
    assert!(!host.try_admin(&["repo", "create", "SHOP"]).status.success());
    assert_eq!(host.try_admin(&["fsck"]).status.code(), Some(0));
}

// D7: a rename is refused while a policy names the old or the new name, however it is written.
#[test]
fn generations_tell_what_changed_and_why() {
    let host = TestHost::start();
    host.admin(&["repo", "create", "shop"]);
    host.admin(&["role", "create", "deployer"]);
    let file = host.path("policies/111111111111/mine.cedar");
    let policy = |extra: &str| {
        format!(
            "@id(\"mine\")\nforbid (principal, action in Action::\"codecommit:ChangeRef\", resource in Repository :: \"111111111111/s\\u{{68}}op\"){extra};\n"
        )
    };
    std::fs::write(&file, policy("")).unwrap();
    let shown = host.admin(&["policy", "diff"]);
    assert!(shown.contains("added mine (111111111111/mine.cedar:1)") && shown.contains("  + forbid"), "{shown}");
    host.admin(&["policy", "apply", "--reason", "the shop is frozen"]);
    std::fs::write(&file, policy("\nwhen { context.change == \"force\" }")).unwrap();
    host.admin(&["policy", "apply"]);
    let all = host.admin(&["policy", "generations"]);
    assert!(all.lines().count() == 4 && all.contains("the shop is frozen"), "{all}");
    let shown = host.admin(&["policy", "diff", "2", "3"]);
    assert!(shown.contains("changed mine") && shown.contains("  + when { context.change"), "{shown}");
    assert!(host.admin(&["policy", "diff"]).contains("the folder has the policies of generation 3"));

    let refused = host.try_admin(&["repo", "rename", "shop", "store"]);
    assert!(!refused.status.success() && text(&refused.stderr).contains("mine"), "{}", text(&refused.stderr));
    std::fs::write(&file, policy("").replace("s\\u{68}op", "store")).unwrap();
    host.admin(&["policy", "apply", "--allow-unknown"]);
    let refused = host.try_admin(&["repo", "rename", "shop", "store"]);
    assert!(!refused.status.success() && text(&refused.stderr).contains("mine"));
    std::fs::remove_file(&file).unwrap();
    host.admin(&["policy", "apply"]);
    host.admin(&["repo", "rename", "shop", "store"]);
}

#[test]
fn iam_documents_become_policies() {
    let host = TestHost::start();
    let alice = host.person("alice", &["developers"]);
    host.admin(&["repo", "create", "shop"]);
    let document = host.path("deny-main.json");
    let json = r#"{"Version": "2012-10-17", "Statement": [{"Sid": "NoMain", "Effect": "Deny",
        "Action": ["codecommit:GitPush", "codecommit:DeleteBranch", "codecommit:PutFile"],
        "Resource": "arn:aws:codecommit:us-east-1:111111111111:shop",
        "Condition": {"StringEqualsIfExists": {"codecommit:References": ["refs/heads/main"]},
                      "Null": {"codecommit:References": "false"}}}]}"#;
    std::fs::write(&document, json).unwrap();
    let path = document.to_str().unwrap();
    let shown = host.admin(&["policy", "import", path, "--group", "developers"]);
    assert!(shown.contains("// 111111111111/deny-main.cedar") && shown.contains("@id(\"deny-main-NoMain"), "{shown}");
    host.admin(&["policy", "import", path, "--group", "developers", "--write"]);
    assert!(host.path("policies/111111111111/deny-main.cedar").exists());
    // What is there is not written over.
    assert!(!host.try_admin(&["policy", "import", path, "--group", "developers", "--write"]).status.success());
    host.admin(&["policy", "apply"]);
    let work = host.path("work");
    alice.history(&work);
    let said = alice.git_fails(&work, &["push", &alice.https("shop"), "HEAD:main"]);
    assert!(said.contains("denied by policy deny-main-NoMain"), "{said}");
    alice.git(&work, &["push", "-q", &alice.https("shop"), "HEAD:topic"]);
    // What has no exact translation is refused with its reasons, and nobody of that name is told.
    std::fs::write(&document, json.replace("StringEqualsIfExists", "StringEqualsIgnoreCase")).unwrap();
    let refused = host.try_admin(&["policy", "import", path, "--group", "developers"]);
    assert_eq!(refused.status.code(), Some(1));
    let said = text(&refused.stdout) + &text(&refused.stderr);
    assert!(said.contains("NoMain") && said.contains("StringEqualsIgnoreCase"), "{said}");
    assert!(!host.try_admin(&["policy", "import", path, "--group", "nobody"]).status.success());
}

// D7
#[test]
fn a_watched_folder_is_applied_when_it_has_settled_and_is_valid() {
    let mut host = TestHost::start();
    let alice = host.person("alice", &["developers"]);
    host.admin(&["repo", "create", "shop"]);
    let work = host.path("work");
    alice.history(&work);
    let file = host.path("policies/111111111111/frozen.cedar");
    let freeze = "@id(\"frozen\") forbid (principal, action in Action::\"codecommit:ChangeRef\", resource);\n";
    std::fs::write(&file, freeze).unwrap();
    assert_eq!(host.down(), Some(0));
    std::fs::write(host.path("lockgate.toml"), "[policy]\nwatch = true\n").unwrap();
    host.up(&[]);
    let alice = alice.at(&host);
    // What lay there when it started was not applied; what it is changed to is, if it is valid.
    alice.git(&work, &["push", "-q", &alice.https("shop"), "HEAD~1:refs/heads/one"]);
    std::fs::write(&file, freeze.replace("forbid", "forbidden")).unwrap();
    host.await_log("is not valid and was not applied");
    assert!(host.log().contains("frozen.cedar:1"), "{}", host.log());
    alice.git(&work, &["push", "-q", &alice.https("shop"), "HEAD~1:refs/heads/two"]);
    std::fs::write(&file, freeze.replace("frozen", "frozen-now")).unwrap();
    host.await_log("applied the changed policies folder");
    let said = alice.git_fails(&work, &["push", &alice.https("shop"), "HEAD:refs/heads/two"]);
    assert!(said.contains("denied by policy frozen-now"), "{said}");
    assert!(host.admin(&["policy", "generations"]).contains("watched folder"));
}

// D7 D9: what a forbid names cannot be had again by somebody it does not mean, in whatever case it is written.
#[test]
fn names_that_forbids_speak_of_are_not_given_again() {
    let host = TestHost::start();
    host.admin(&["user", "create", "alice"]);
    host.admin(&["role", "create", "deployer"]);
    host.admin(&["repo", "create", "shop"]);
    let text_of = |n: usize| {
        format!(
            "@id(\"n{n}\") forbid (principal == User::\"111111111111/alice\", action, resource);\n\
             @id(\"r{n}\") forbid (principal in Role::\"111111111111/deployer\", action, resource);\n\
             @id(\"s{n}\") forbid (principal, action in Action::\"codecommit:ChangeRef\", resource in Repository::\"111111111111/shop\");\n"
        )
    };
    std::fs::write(host.path("policies/111111111111/named.cedar"), text_of(1)).unwrap();
    host.admin(&["policy", "apply"]);
    let refused = |arguments: &[&str], what: &str| {
        let output = host.try_admin(arguments);
        let said = text(&output.stderr);
        assert!(!output.status.success() && said.contains(what), "{arguments:?}: {said}");
    };
    refused(&["repo", "rename", "shop", "store"], "s1");
    // Whoever deletes is told who spoke of it.
    assert!(host.admin(&["user", "delete", "alice"]).contains("still named by: n1"));
    assert!(host.admin(&["role", "delete", "deployer"]).contains("still named by: r1"));
    host.admin(&["repo", "delete", "shop"]);
    for name in ["alice", "Alice", "ALICE"] {
        refused(&["user", "create", name], "never given again");
    }
    refused(&["role", "create", "Deployer"], "never given again");
    refused(&["repo", "create", "Shop"], "never given again");
    host.admin(&["repo", "create", "store"]);
    refused(&["repo", "rename", "store", "shop"], "");
    // The set that names what is gone is no longer one that would be taken.
    std::fs::write(host.path("policies/111111111111/named.cedar"), text_of(2)).unwrap();
    let output = host.try_admin(&["policy", "apply"]);
    let said = text(&output.stdout) + &text(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    for gone in ["there is no user `alice`", "there is no role `deployer`", "there is no repository `shop`"] {
        assert!(said.contains(gone), "{said}");
    }
}

/// What `policy explain`, `who-can` and `matrix` say of roles and their sessions.
#[test]
fn questions_about_roles_are_answered() {
    let host = TestHost::start();
    host.admin(&["repo", "create", "shop"]);
    host.admin(&["user", "create", "dan", "--group", "developers"]);
    host.admin(&["role", "create", "dan"]);
    let policies = host.path("policies/111111111111/dan.cedar");
    let rules = r#"@id("dan-pulls") permit (principal in Role::"111111111111/dan", action in Action::"codecommit:Read", resource);
@id("dan-may") permit (principal == User::"111111111111/dan", action == Action::"sts:AssumeRole", resource);"#;
    std::fs::write(policies, rules).unwrap();
    let trust = host.path("policies/111111111111/trust/dan.cedar");
    let rules = r#"@id("dan-is-trusted") permit (principal == User::"111111111111/dan", action == Action::"sts:AssumeRole", resource == Role::"111111111111/dan")
when { context has externalId && context.externalId == "x" };"#;
    std::fs::write(trust, rules).unwrap();
    host.admin(&["policy", "apply"]);

    let explain = |principal: &str, action: &str, resource: &str, context: &str| {
        let mut arguments = vec!["policy", "explain", "--principal", principal, "--action", action];
        arguments.extend(["--resource", resource, "--context", context]);
        host.admin(&arguments)
    };
    for principal in [
        "arn:aws:iam::111111111111:role/dan",
        "arn:aws:sts::111111111111:assumed-role/dan/x",
        r#"Session::"111111111111/dan/x""#,
    ] {
        let pull = explain(principal, "codecommit:GitPull", "shop", "{}");
        assert!(pull.contains("answer     allowed") && pull.contains("dan-pulls permits"), "{pull}");
        let push = explain(principal, "codecommit:GitPush", "shop/refs/heads/main", "{}");
        assert!(push.contains("refused: no policy permits it"), "{push}");
    }
    // Single facts that would do, each tried: a group for the user, none for the role, which is in no group.
    let push = explain("arn:aws:iam::111111111111:user/dan", "codecommit:GitPush", "shop/refs/heads/production", "{}");
    let group = r#"if the principal were in Group::"111111111111/senior-developers": policy production-is-for-seniors would not forbid it (alone enough)"#;
    assert!(push.contains(group), "{push}");
    let push = explain("arn:aws:iam::111111111111:role/dan", "codecommit:GitPush", "shop/refs/heads/main", "{}");
    assert!(!push.contains("were in Group"), "{push}");

    let role = "arn:aws:iam::111111111111:role/dan";
    let dan = "arn:aws:iam::111111111111:user/dan";
    let refused = explain(dan, "sts:AssumeRole", role, "{}");
    assert!(refused.contains("no trust policy of account 111111111111 does"), "{refused}");
    let allowed = explain(dan, "sts:AssumeRole", role, r#"{"externalId": "x"}"#);
    assert!(allowed.contains("allowed"), "{allowed}");

    let json = host.admin(&["--output", "json", "policy", "who-can", "codecommit:GitPull", "shop"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let may =
        |arn: &str| json.as_array().unwrap().iter().find(|row| row["principal"] == arn).unwrap()["allowed"].clone();
    assert_eq!((may(dan), may(role)), (true.into(), true.into()));
    let matrix = host.admin(&["policy", "matrix"]);
    assert!(matrix.lines().nth(1).is_some_and(|line| line.contains("dan ") && line.contains("dan (role)")), "{matrix}");

    for wrong in ["arn:aws:iam::111111111111:role/nope", r#"Service::"""#, "arn:aws:iam::1:role/x", "nobody"] {
        let said = host.try_admin(&[
            "policy",
            "explain",
            "--principal",
            wrong,
            "--action",
            "codecommit:GitPull",
            "--resource",
            "shop",
        ]);
        assert_eq!(said.status.code(), Some(1), "{wrong}");
        assert!(
            text(&said.stderr).contains("there is no") || text(&said.stderr).contains("twelve digits"),
            "{}",
            text(&said.stderr)
        );
    }
}

// A change of policies is tried on what was decided; with a gate it waits until somebody has approved of exactly what would flip.
#[test]
fn policies_are_tried_on_the_past_before_they_are_applied() {
    let mut host = TestHost::start();
    let alice = host.person("alice", &["developers"]);
    host.admin(&["repo", "create", "shop"]);
    let work = host.path("work");
    alice.history(&work);
    alice.git(&work, &["push", &alice.https("shop"), "main:refs/heads/topic"]);
    let replay = |host: &TestHost| -> serde_json::Value {
        serde_json::from_str(&host.admin(&["--output", "json", "policy", "replay", "--since", "1d"])).unwrap()
    };
    let same = replay(&host);
    assert!(same["decisions"].as_u64().unwrap() > 0, "{same}");
    assert_eq!(
        (same["flips"].as_array().unwrap().len(), same["undecidable"].as_array().unwrap().len()),
        (0, 0),
        "{same}"
    );
    let policy = r#"@id("no-topic") forbid (principal == User::"111111111111/alice", action in [Action::"codecommit:ChangeRef"], resource)
when { resource.name == "refs/heads/topic" };"#;
    std::fs::write(host.path("policies/111111111111/topic.cedar"), policy).unwrap();
    let told = replay(&host);
    let flips = told["flips"].as_array().unwrap();
    assert_eq!(flips.len(), 1, "{told}");
    assert_eq!(flips[0]["principal"], r#"User::"111111111111/alice""#);
    assert_eq!((&flips[0]["action"], &flips[0]["wouldBeAllowed"]), (&"codecommit:GitPush".into(), &false.into()));
    assert!(flips[0]["why"].as_str().unwrap().contains("no-topic"), "{told}");

    host.down();
    std::fs::write(host.path("lockgate.toml"), "[policy]\ngate_days = 1\n").unwrap();
    host.up(&[]);
    let alice = alice.at(&host);
    let approval = told["approval"].as_str().unwrap();
    for arguments in [&["policy", "apply"][..], &["policy", "apply", "--approve", "0123456789abcdef"]] {
        let held = host.try_admin(arguments);
        assert!(!held.status.success() && text(&held.stderr).contains(&format!("--approve {approval}")));
    }
    // Nothing has changed.
    alice.git(&work, &["commit", "--allow-empty", "-m", "more"]);
    alice.git(&work, &["push", &alice.https("shop"), "HEAD:refs/heads/topic"]);
    host.admin(&["policy", "apply", "--approve", approval]);
    alice.git(&work, &["commit", "--allow-empty", "-m", "still more"]);
    alice.git_fails(&work, &["push", &alice.https("shop"), "HEAD:refs/heads/topic"]);
    // What was refused since is answered the same by what is active.
    assert_eq!(replay(&host)["flips"].as_array().unwrap().len(), 0);
}
