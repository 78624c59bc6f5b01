//! What happened to refs, and the way back.

use std::path::PathBuf;

use serde_json::Value;

use crate::support::{Person, TestHost, text};

fn changes(host: &TestHost, arguments: &[&str]) -> Vec<Value> {
    let shown = host.admin(&[&["--output", "json", "reflog"], arguments].concat());
    serde_json::from_str(&shown).unwrap()
}

/// A repository `shop`, the developer alice, and a history with an annotated tag that is not pushed yet.
fn begun() -> (TestHost, Person, PathBuf, String) {
    let host = TestHost::start();
    let alice = host.person("alice", &["developers"]);
    host.admin(&["repo", "create", "shop"]);
    let (work, url) = (host.path("work"), alice.https("shop"));
    alice.history(&work);
    alice.git(&work, &["tag", "-a", "-m", "one", "draft", "main~2"]);
    (host, alice, work, url)
}

// K1: each change has who made it, when, and by which decision
#[test]
fn a_forced_push_and_a_deletion_are_undone() {
    let (host, alice, work, url) = begun();
    let id = |revision: &str| alice.git(&work, &["rev-parse", revision]).trim().to_owned();
    alice.git(&work, &["push", "-q", &url, "main~9:refs/heads/main", "main~5:refs/heads/topic", "draft"]);
    alice.git(&work, &["push", "-q", &url, "main:topic"]);
    alice.git(&work, &["push", "-q", "-f", &url, "main~20:topic"]);
    alice.git(&work, &["push", "-q", &url, ":topic", ":draft"]);
    let refs = |pattern: &str| alice.git(&work, &["ls-remote", &url, pattern]);
    assert_eq!((refs("topic"), refs("draft")), (String::new(), String::new()));

    let of_topic = changes(&host, &["shop", "topic"]);
    let what: Vec<&str> = of_topic.iter().map(|change| change["what"].as_str().unwrap()).collect();
    assert_eq!(what, ["deleted", "forced", "forwarded", "created"]);
    assert_eq!((of_topic[1]["old"].as_str(), of_topic[1]["new"].as_str()), (Some(&*id("main")), Some(&*id("main~20"))));
    for change in &of_topic {
        assert_eq!(change["actor"], "arn:aws:iam::111111111111:user/alice");
        let decision = change["decision"].as_str().unwrap();
        let explained = host.admin(&["policy", "explain", decision]);
        assert!(explained.contains("refs/heads/topic"), "the decision is of this ref: {explained}");
    }
    assert_eq!(changes(&host, &["shop"]).len(), 7);
    assert_eq!(changes(&host, &["shop", "--limit", "2"]).len(), 2);
    let shown = host.admin(&["reflog", "shop", "refs/tags/draft"]);
    assert!(shown.contains("deleted") && shown.contains("user/alice"), "{shown}");

    // What nobody reaches is served to nobody, and comes back whole.
    let other = host.path("other");
    alice.git(&host.path(""), &["init", "-q", other.to_str().unwrap()]);
    let gone = alice.git_fails(&other, &["fetch", "-q", &url, &id("main~3")]);
    assert!(gone.contains("not our ref"), "{gone}");
    let said = host.admin(&["reflog", "shop", "topic", "--undo"]);
    assert!(said.contains(&id("main~20")) && said.contains("it was not there"), "{said}");
    assert!(refs("topic").starts_with(&id("main~20")));
    let forced = of_topic[1]["change"].to_string();
    host.admin(&["reflog", "shop", "topic", "--undo", "--change", &forced]);
    assert!(refs("topic").starts_with(&id("main")));
    host.admin(&["reflog", "shop", "refs/tags/draft", "--undo"]);
    assert!(refs("draft^{}").starts_with(&id("main~2")), "{}", refs("draft^{}"));
    host.admin(&["fsck"]);
    let clone = host.path("clone");
    alice.git(&host.path(""), &["clone", "-q", &url, clone.to_str().unwrap()]);
    alice.git(&clone, &["fsck", "--strict"]);
    assert_eq!(alice.git(&clone, &["rev-parse", "origin/topic"]).trim(), id("main"));
    // Going back is a change like others.
    let newest = &changes(&host, &["shop", "topic"])[0];
    assert_eq!((newest["actor"].as_str(), newest["what"].as_str()), (Some("administrator"), Some("forwarded")));
    assert_eq!(newest["decision"], Value::Null);

    // What cannot be is said, and nothing changes.
    let before = refs("*");
    let created = of_topic[3]["change"].to_string();
    for (arguments, expected) in [
        (&["shop", "nope", "--undo"][..], "has never been there"),
        (&["shop", "topic", "--undo", "--change", "999"], "no change 999 of `refs/heads/topic`"),
        (&["shop", "topic", "--undo", "--change", &created], "nothing to go back to"),
        (&["shop", "topic", "--undo", "--change", &forced], "stands at"),
        (&["shop", "refs/pull/1/head", "--undo"], "belongs to the server"),
        (&["none", "topic"], "there is no repository `none`"),
        (&["shop", "a..b"], "not valid"),
    ] {
        let output = host.try_admin(&[&["reflog"], arguments].concat());
        assert!(!output.status.success() && text(&output.stderr).contains(expected), "{}", text(&output.stderr));
    }
    alice.git(&work, &["push", "-q", &url, ":topic"]);
    alice.git(&work, &["push", "-q", &url, "main:refs/heads/topic/below"]);
    let output = host.try_admin(&["reflog", "shop", "topic", "--undo"]);
    assert!(!output.status.success() && text(&output.stderr).contains("cannot be there"), "{}", text(&output.stderr));
    alice.git(&work, &["push", "-q", &url, ":topic/below"]);
    assert_eq!(
        refs("*"),
        before
            .lines()
            .filter(|line| !line.ends_with("heads/topic"))
            .map(|line| format!("{line}\n"))
            .collect::<String>()
    );
}

// B8 D1: the past is read by whoever may, and changed by nobody
#[test]
fn a_repository_is_read_as_it_stood() {
    let (host, alice, work, url) = begun();
    let carol = host.person("carol", &["administrators"]);
    let id = |revision: &str| alice.git(&work, &["rev-parse", revision]).trim().to_owned();
    alice.git(&work, &["push", "-q", &url, "main~9:refs/heads/main", "main:refs/heads/topic", "draft"]);
    alice.git(&work, &["push", "-q", "-f", &url, "main~20:topic"]);
    alice.git(&work, &["push", "-q", &url, ":topic", ":draft"]);
    alice.git(&work, &["push", "-q", &url, "main~5:main"]);
    let at = |change: i64| -> String {
        let all = changes(&host, &["shop"]);
        all.iter().find(|logged| logged["change"] == change).unwrap()["at"].as_str().unwrap().to_owned()
    };
    let now = alice.git(&work, &["ls-remote", &url]);
    let first = format!("shop@{}", at(1));
    for (i, door) in [carol.https(&first), carol.ssh(&first)].iter().enumerate() {
        for version in ["0", "2"] {
            let clone = host.path(&format!("past-{i}-{version}"));
            let protocol = format!("protocol.version={version}");
            carol.git(&host.path(""), &["-c", &protocol, "clone", "-q", door, clone.to_str().unwrap()]);
            carol.git(&clone, &["fsck", "--strict"]);
            let there = |revision: &str| carol.git(&clone, &["rev-parse", revision]).trim().to_owned();
            assert_eq!((there("origin/main"), there("origin/topic")), (id("main~9"), id("main")));
            assert_eq!(there("draft^{}"), id("main~2"));
        }
    }
    let archived = carol.git(
        &host.path(""),
        &["archive", "--format=tar", &format!("--remote={}", carol.ssh(&first)), "topic", "-o", "past.tar"],
    );
    assert_eq!(archived, "");
    let second = carol.git(&work, &["ls-remote", &carol.https(&format!("shop@{}", at(2)))]);
    assert!(second.contains(&format!("{}\trefs/heads/topic", id("main~20"))), "{second}");
    // A clone may be made of it still while the present goes on.
    let third = carol.git(&work, &["ls-remote", &carol.https(&format!("shop@{}", at(3)))]);
    assert_eq!(
        third.lines().map(|line| line.split('\t').nth(1).unwrap()).collect::<Vec<_>>(),
        ["HEAD", "refs/heads/main"]
    );

    let refused = alice.git_fails(&work, &["ls-remote", &alice.https(&first)]);
    assert!(refused.contains("no policy permits it"), "{refused}");
    let refused = carol.git_fails(&work, &["push", &carol.https(&first), "main:refs/heads/other"]);
    assert!(refused.contains("what was is only read"), "{refused}");
    let refused = carol.git_fails(&work, &["ls-remote", &carol.https("shop@2020-01-01T00:00Z")]);
    assert!(refused.contains("was not there yet"), "{refused}");
    let refused = carol.git_fails(&work, &["ls-remote", &carol.https("shop@yesterday")]);
    assert!(refused.contains("not found"), "{refused}");
    assert_eq!(alice.git(&work, &["ls-remote", &url]), now);
}
