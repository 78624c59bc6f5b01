//! One object for each message, judged by us and by real Git.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use proptest::prelude::*;

use super::*;
use crate::repository::object::object_id;

/// The empty tree and the empty blob, which the test repository has.
const TREE: &str = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";
const BLOB: &str = "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391";

fn entry(mode: &str, name: &[u8], id: &str) -> Vec<u8> {
    let id = ObjectId::from_hex(id.as_bytes()).unwrap();
    [mode.as_bytes(), b" ", name, b"\0", id.as_slice()].concat()
}

fn file(name: impl AsRef<[u8]>) -> Vec<u8> {
    entry("100644", name.as_ref(), BLOB)
}

fn link(name: &str) -> Vec<u8> {
    entry("120000", name.as_bytes(), BLOB)
}

const IDENT: &str = "A U Thor <a@example.com> 1700000000 +0100";

fn commit(author: &str) -> Vec<u8> {
    format!("tree {TREE}\nauthor {author}\ncommitter {IDENT}\n\nmessage\n").into_bytes()
}

fn tag(after_name: &str) -> Vec<u8> {
    format!("object {TREE}\ntype tree\ntag v1\n{after_name}\n\nmessage\n").into_bytes()
}

fn gitmodules(text: &str) -> (ObjectKind, Vec<u8>) {
    (ObjectKind::Blob, format!("[submodule \"x\"]\n{text}\n").into_bytes())
}

/// How our verdict relates to that of Git.
#[derive(Clone, Copy, PartialEq)]
enum Git {
    /// The same message, and refused if Git refuses.
    Same,
    /// Git names another message or cannot even parse the object, but refuses it as well.
    Refuses,
    /// Only we refuse it.
    Takes,
}

struct Case {
    kind: ObjectKind,
    data: Vec<u8>,
    expected: Vec<MessageId>,
    git: Git,
}

/// Objects with what we have to say of each. Blobs are `.gitmodules` or `.gitattributes`, by their message.
fn cases() -> Vec<Case> {
    use Git::{Refuses, Same, Takes};
    use MessageId::*;
    use ObjectKind::{Blob, Commit, Tag, Tree};
    let mut cases = Vec::new();
    let mut add = |git, expected: &[MessageId], kind, data: Vec<u8>| {
        cases.push(Case { kind, data, expected: expected.to_vec(), git });
    };
    let null = "0".repeat(40);

    // A6
    for name in [
        ".git",
        ".GIT",
        ".gIt",
        "git~1",
        "GIT~1",
        ".git::$INDEX_ALLOCATION",
        ".git ",
        ".git.",
        ".git . .",
        ".g\u{200c}it",
        "\u{feff}.git",
        "a\\.git",
        ".git\\x",
    ] {
        add(Same, &[HasDotgit], Tree, entry("40000", name.as_bytes(), TREE));
    }
    add(Same, &[HasDotgit], Tree, entry("40000", b".git\xff", TREE));
    for name in [".gitx", "git~2", ".gi\u{301}t", "git", "~", "ü", "a\\b", ".gitignore", ".mailmap", "...", "g~1"] {
        add(Same, &[], Tree, file(name));
    }
    add(Same, &[HasDot], Tree, file("."));
    add(Same, &[HasDotdot], Tree, file(".."));
    add(Same, &[FullPathname], Tree, file("a/b"));
    add(Refuses, &[EmptyName], Tree, file(""));
    add(Same, &[NullSha1], Tree, entry("160000", b"x", &null));
    add(Same, &[LargePathname], Tree, file("x".repeat(4097)));
    add(Same, &[], Tree, file("x".repeat(4096)));
    // B6
    add(Same, &[ZeroPaddedFilemode], Tree, entry("040000", b"x", TREE));
    add(Same, &[BadFilemode], Tree, entry("100664", b"x", BLOB));
    add(Same, &[BadFilemode], Tree, entry("100600", b"x", BLOB));
    add(Takes, &[BadTree], Tree, entry("20644", b"x", BLOB));
    add(Takes, &[BadTree], Tree, entry("644", b"x", BLOB));
    add(Same, &[DuplicateEntries], Tree, [file("a"), file("a")].concat());
    add(Same, &[DuplicateEntries], Tree, [file("foo"), file("foo.bar"), entry("40000", b"foo", TREE)].concat());
    let nested = [file("foo"), file("foo.bar"), file("foo.bar.baz"), entry("40000", b"foo.bar", TREE)];
    add(Same, &[DuplicateEntries], Tree, nested.concat());
    add(Same, &[DuplicateEntries], Tree, [nested.concat(), entry("40000", b"foo", TREE)].concat());
    add(Same, &[], Tree, [file("foo"), file("foo.bar"), entry("40000", b"foo.d", TREE), file("foo0")].concat());
    add(Same, &[TreeNotSorted], Tree, [file("b"), file("a")].concat());
    add(Same, &[TreeNotSorted], Tree, [entry("40000", b"a", TREE), file("a.c")].concat());
    add(Same, &[], Tree, [file("a.c"), entry("40000", b"a", TREE), file("a0")].concat());
    add(Refuses, &[BadTree], Tree, file("x")[..20].to_vec());
    add(Refuses, &[BadTree], Tree, entry("10064x", b"x", BLOB));
    // A7
    add(Same, &[GitmodulesSymlink], Tree, link(".gitmodules"));
    add(Same, &[GitmodulesSymlink], Tree, link("gi7eba~1"));
    add(Same, &[GitmodulesSymlink], Tree, link("a\\.gitmodules"));
    add(Same, &[GitattributesSymlink], Tree, link(".gitattributes"));
    add(Same, &[GitignoreSymlink], Tree, link(".gitignore"));
    add(Same, &[MailmapSymlink], Tree, link("mailma~1"));

    add(Same, &[], Commit, commit(IDENT));
    for (message, author) in [
        (MissingNameBeforeEmail, "<a@b> 1 +0000"),
        (MissingEmail, "A 1 +0000"),
        (BadName, "A> <a@b> 1 +0000"),
        (MissingSpaceBeforeEmail, "A<a@b> 1 +0000"),
        (BadEmail, "A <a<b> 1 +0000"),
        (BadEmail, "A <a 1 +0000"),
        (MissingSpaceBeforeDate, "A <a@b>1 +0000"),
        (BadDate, "A <a@b> x +0000"),
        (BadDate, "A <a@b> "),
        (BadDate, "A <a@b> 1x +0000"),
        (ZeroPaddedDate, "A <a@b> 01 +0000"),
        (BadDateOverflow, "A <a@b> 9223372036854775808 +0000"),
        (BadDateOverflow, "A <a@b> 99999999999999999999999999 +0000"),
        (BadTimezone, "A <a@b> 1 0000"),
        (BadTimezone, "A <a@b> 1 +000"),
        (BadTimezone, "A <a@b> 1 +00000"),
    ] {
        add(Same, &[message], Commit, commit(author));
        add(Same, &[message], Tag, tag(&format!("tagger {author}")));
    }
    add(Same, &[], Commit, commit("A <a@b> 0 +0000"));
    add(Same, &[], Commit, commit("A <> 1 -1200"));
    add(Same, &[], Commit, commit("A <a@b> 9223372036854775807 +0000"));
    add(Same, &[NulInCommit], Commit, [commit(IDENT), b"\0".to_vec()].concat());
    let headers = |text: &str| text.replace("TREE", TREE).replace("IDENT", IDENT).into_bytes();
    add(Same, &[MissingAuthor], Commit, headers("tree TREE\ncommitter IDENT\n\nx\n"));
    add(Same, &[MultipleAuthors], Commit, headers("tree TREE\nauthor IDENT\nauthor IDENT\ncommitter IDENT\n\nx\n"));
    add(Same, &[MissingCommitter], Commit, headers("tree TREE\nauthor IDENT\n\nx\n"));
    add(Refuses, &[MissingTree], Commit, headers("author IDENT\ncommitter IDENT\n\nx\n"));
    add(Refuses, &[BadTreeSha1], Commit, headers("tree 123\nauthor IDENT\ncommitter IDENT\n\nx\n"));
    add(Refuses, &[BadParentSha1], Commit, headers("tree TREE\nparent 123\nauthor IDENT\ncommitter IDENT\n\nx\n"));
    add(Same, &[NulInHeader], Commit, headers("tree TREE\nauthor \0IDENT\ncommitter IDENT\n\nx\n"));
    add(Same, &[UnterminatedHeader], Commit, headers("tree TREE\nauthor IDENT\ncommitter IDENT"));
    add(Same, &[], Commit, headers("tree TREE\nauthor IDENT\ncommitter IDENT\n"));
    add(
        Takes,
        &[BadGpgsig],
        Commit,
        headers("tree TREE\nauthor IDENT\ncommitter IDENT\ngpgsig a\n b\ngpgsig c\n\nx\n"),
    );
    add(Takes, &[BadHeaderContinuation], Commit, headers("tree TREE\nauthor IDENT\ncommitter IDENT\n b\n\nx\n"));

    let tagger = format!("tagger {IDENT}");
    add(Same, &[], Tag, tag(&tagger));
    add(Same, &[MissingTaggerEntry], Tag, headers("object TREE\ntype tree\ntag v0\n\nx\n"));
    add(Same, &[BadTagName], Tag, headers("object TREE\ntype tree\ntag a..b\ntagger IDENT\n\nx\n"));
    add(Takes, &[ExtraHeaderEntry], Tag, tag(&format!("{tagger}\nextra header")));
    add(Refuses, &[MissingObject], Tag, headers("type tree\ntag v1\n\nx\n"));
    add(Refuses, &[BadObjectSha1], Tag, headers("object 12\ntype tree\ntag v1\n\nx\n"));
    add(Refuses, &[MissingTypeEntry], Tag, headers("object TREE\ntag v1\ntagger IDENT\n\nx\n"));
    add(Refuses, &[BadType], Tag, headers("object TREE\ntype thing\ntag v1\ntagger IDENT\n\nx\n"));
    add(Refuses, &[MissingTagEntry], Tag, headers("object TREE\ntype tree\ntagger IDENT\n\nx\n"));
    add(Same, &[NulInHeader], Tag, headers("object TREE\ntype tree\ntag v1\ntagger \0IDENT\n\nx\n"));
    add(Same, &[UnterminatedHeader], Tag, headers("object TREE\ntype tree\ntag v1\ntagger IDENT"));

    let mut blob = |git, expected: &[MessageId], (kind, data): (ObjectKind, Vec<u8>)| add(git, expected, kind, data);
    for name in ["..", "../x", "a/..", "a/../b", "..\\\\x", ""] {
        blob(Same, &[GitmodulesName], (Blob, format!("[submodule \"{name}\"]\npath = p\n").into_bytes()));
    }
    for name in ["..x", "a..b", ".", "a/b", "a.b"] {
        blob(Same, &[], (Blob, format!("[submodule \"{name}\"]\npath = p\n").into_bytes()));
    }
    for url in [
        "-uwhat",
        "https://example.com/%0ahost=x",
        "\"https://example.com/\\nx\"",
        "../../..//host/x",
        "http:///x",
        "https::x",
        "https://a/%zz",
    ] {
        blob(Same, &[GitmodulesUrl], gitmodules(&format!("url = {url}")));
    }
    for url in ["https://example.com/x", "../x", "git@host:x", "https://a:1/b/../c", "http::file:///x"] {
        blob(Same, &[], gitmodules(&format!("url = {url}")));
    }
    blob(Same, &[GitmodulesPath], gitmodules("path = -x"));
    blob(Same, &[GitmodulesUpdate], gitmodules("update = !touch x"));
    blob(Same, &[GitmodulesParse], gitmodules("=\n"));
    blob(Takes, &[GitmodulesPath], gitmodules("path = \"x\r\""));
    blob(Takes, &[GitmodulesUrl], gitmodules("url = \"a\\tb\""));
    blob(Same, &[GitattributesLineLength], (Blob, vec![b'#'; 2048]));
    blob(Same, &[], (Blob, [vec![b'#'; 2047], b"\n".to_vec(), vec![b'#'; 2047]].concat()));
    cases
}

/// Trees that name a blob case.
fn naming_tree(case: &Case) -> Option<Vec<u8>> {
    if case.kind != ObjectKind::Blob {
        return None;
    }
    let name = if case.data.starts_with(b"#") { ".gitattributes" } else { ".gitmodules" };
    Some(entry("100644", name.as_bytes(), &object_id(case.kind, &case.data).to_string()))
}

fn check(case: &Case) -> Vec<MessageId> {
    let id = object_id(case.kind, &case.data);
    let mut found: Vec<Vec<MessageId>> = Vec::new();
    for blob_first in [false, true] {
        let mut fsck = Fsck::new();
        let tree = naming_tree(case);
        if blob_first {
            fsck.check_object(&id, case.kind, &case.data);
        }
        if let Some(tree) = &tree {
            fsck.check_object(&object_id(ObjectKind::Tree, tree), ObjectKind::Tree, tree);
        }
        if !blob_first {
            fsck.check_object(&id, case.kind, &case.data);
        }
        fsck.finish(|_| Ok::<_, Infallible>(Asked::Object(case.kind, Cow::Borrowed(&case.data)))).unwrap();
        assert!(fsck.report().findings().iter().all(|finding| finding.object == id));
        found.push(fsck.into_report().findings().iter().map(|finding| finding.message).collect());
    }
    assert_eq!(found[0], found[1], "the order of objects changes nothing");
    found.remove(0)
}

// A6 A7 B6
#[test]
fn each_message_has_an_object() {
    let mut seen = BTreeSet::new();
    for case in cases() {
        let found = check(&case);
        assert_eq!(found, case.expected, "{} {}", case.kind, case.data.escape_ascii());
        seen.extend(found);
    }
    let elsewhere = [
        // Cannot happen: `check_header_end` sees to it that type and tag lines end.
        MessageId::MissingType,
        MessageId::MissingTag,
        // In `special_blobs_that_are_none`.
        MessageId::GitmodulesBlob,
        MessageId::GitmodulesLarge,
        MessageId::GitmodulesMissing,
        MessageId::GitattributesBlob,
        MessageId::GitattributesLarge,
        MessageId::GitattributesMissing,
    ];
    let left: Vec<_> = MessageId::ALL.iter().filter(|id| !seen.contains(id) && !elsewhere.contains(id)).collect();
    assert!(left.is_empty(), "no object shows {left:?}");
}

fn git(at: &Path, args: &[&str], input: &[u8]) -> (bool, String) {
    let mut child = Command::new("git")
        .args(args)
        .current_dir(at)
        .env("HOME", at)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let out = child.wait_with_output().unwrap();
    (out.status.success(), format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr)))
}

/// What `git fsck --strict` says of each object: message, and whether it is an error. Objects that Git cannot read have an error
/// without a message.
fn git_verdicts(cases: &[Case]) -> BTreeMap<String, BTreeSet<(String, bool)>> {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    git(at, &["init", "-q", "."], b"");
    let write = |kind: ObjectKind, data: &[u8]| {
        let (ok, out) = git(at, &["hash-object", "-t", kind.name(), "--literally", "-w", "--stdin"], data);
        assert!(ok, "{out}");
        assert_eq!(out.trim(), object_id(kind, data).to_string());
    };
    write(ObjectKind::Tree, b"");
    write(ObjectKind::Blob, b"");
    for case in cases {
        write(case.kind, &case.data);
        if let Some(tree) = naming_tree(case) {
            write(ObjectKind::Tree, &tree);
        }
    }
    let (_, out) = git(at, &["fsck", "--strict", "--no-dangling"], b"");
    let mut verdicts = BTreeMap::<_, BTreeSet<_>>::new();
    for line in out.lines() {
        let words: Vec<&str> = line.split([' ', ':', ',', '\'']).filter(|word| !word.is_empty()).collect();
        if let ["error" | "warning", "in", _, id, message, ..] = words[..] {
            verdicts.entry(id.to_owned()).or_default().insert((message.to_owned(), words[0] == "error"));
        } else if words.first() == Some(&"error") {
            for id in words.iter().filter(|word| word.len() == 40) {
                verdicts.entry((*id).to_owned()).or_default().insert((String::new(), true));
            }
        }
    }
    verdicts
}

// A7 B6: Git is the judge.
#[test]
fn git_agrees() {
    let cases = cases();
    let verdicts = git_verdicts(&cases);
    let mut wrong = Vec::new();
    for case in &cases {
        let id = object_id(case.kind, &case.data).to_string();
        let theirs = verdicts.get(&id).cloned().unwrap_or_default();
        let git_refuses = theirs.iter().any(|(_, is_error)| *is_error);
        let we_refuse = case.expected.iter().any(|id| id.severity() == Severity::Error);
        let named: BTreeSet<_> = theirs.iter().map(|(message, _)| message.as_str()).filter(|m| !m.is_empty()).collect();
        let ours: BTreeSet<_> = case.expected.iter().map(|id| id.name()).collect();
        let agrees = match case.git {
            Git::Same => git_refuses == we_refuse && named == ours,
            Git::Refuses => git_refuses && we_refuse,
            Git::Takes => !git_refuses,
        };
        if !agrees {
            wrong.push(format!("{} {}: ours {ours:?}, git's {theirs:?}", case.kind, case.data.escape_ascii()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

// A7
#[test]
fn special_blobs_that_are_none() {
    let tree = [file(".gitattributes"), file(".gitmodules")].concat();
    let messages = |asked: fn() -> Asked<'static>| {
        let mut fsck = Fsck::new();
        fsck.check_object(&object_id(ObjectKind::Tree, &tree), ObjectKind::Tree, &tree);
        fsck.finish(|_| Ok::<_, Infallible>(asked())).unwrap();
        fsck.into_report().findings().iter().map(|finding| finding.message).collect::<Vec<_>>()
    };
    use MessageId::*;
    assert_eq!(messages(|| Asked::Missing), [GitmodulesMissing, GitattributesMissing]);
    assert_eq!(messages(|| Asked::Object(ObjectKind::Tree, Cow::Borrowed(b""))), [GitmodulesBlob, GitattributesBlob]);
    assert_eq!(messages(|| Asked::TooLarge), [GitmodulesLarge, GitattributesLarge]);
    assert_eq!(messages(|| Asked::Object(ObjectKind::Blob, vec![b'\n'; (4 << 20) + 1].into())), [GitmodulesLarge]);
    assert_eq!(messages(|| Asked::Object(ObjectKind::Blob, Cow::Borrowed(b""))), []);
}

#[test]
fn a_report_for_people() {
    let tree = entry("40000", b".git", TREE);
    let id = object_id(ObjectKind::Tree, &tree);
    let mut fsck = Fsck::new();
    fsck.check_object(&id, ObjectKind::Tree, &tree);
    assert!(fsck.report().is_refused());
    assert_eq!(fsck.report().first_error().unwrap().to_string(), format!("tree {id}: contains '.git' (hasDotgit)"));

    // A pusher cannot make the report, or a terminal, suffer.
    let many = "[submodule \"..\"]\nupdate = \"!\u{7}\"\n".repeat(500);
    let (mut fsck, mut other) = (Fsck::new(), Fsck::new());
    let blob = object_id(ObjectKind::Blob, many.as_bytes());
    let tree = entry("100644", b".gitmodules", &blob.to_string());
    fsck.check_object(&id, ObjectKind::Tree, &tree);
    fsck.check_object(&blob, ObjectKind::Blob, many.as_bytes());
    assert_eq!((fsck.report().n_errors(), fsck.report().findings().len()), (1000, 100));
    assert!(fsck.report().findings().iter().all(|finding| !finding.to_string().contains('\u{7}')));
    other.absorb(fsck);
    assert_eq!((other.report().n_errors(), other.report().n_unkept()), (1000, 900));
    let mut warned = Fsck::new();
    let odd = link(".mailmap");
    (0..100).for_each(|_| warned.check_object(&id, ObjectKind::Tree, &odd));
    assert!(warned.report().first_error().is_none());
    warned.absorb(Fsck { report: std::mem::take(&mut other.report), ..Fsck::new() });
    assert!(warned.report().first_error().is_some());
    other.finish(|_| -> Result<Asked<'static>, Infallible> { panic!("the blob has been seen") }).unwrap();
}

#[test]
fn old_history_may_be_tolerated() {
    let data = commit("A <a@b> 1 +051800");
    let id = object_id(ObjectKind::Commit, &data);
    let mut fsck = Fsck::tolerating(TOLERATED_IN_OLD_HISTORY);
    fsck.check_object(&id, ObjectKind::Commit, &data);
    assert!(!fsck.report().is_refused());
    assert_eq!(fsck.report().findings()[0].severity, Severity::Warning);
}

proptest! {
    #[test]
    fn no_bytes_make_a_check_panic(data in proptest::collection::vec(any::<u8>(), 0..300), name in "[.gGiItT~1\\\\ :\u{200c}é]{1,12}") {
        let id = object_id(ObjectKind::Blob, b"");
        let mut fsck = Fsck::new();
        for kind in [ObjectKind::Commit, ObjectKind::Tree, ObjectKind::Tag] {
            fsck.check_object(&id, kind, &data);
        }
        fsck.check_object(&id, ObjectKind::Tree, &file(name));
        let text = [format!("tree {TREE}\nauthor ").as_bytes(), &data, b"\n"].concat();
        fsck.check_object(&id, ObjectKind::Commit, &text);
    }

    // What the check calls duplicate or unsorted is what comparing all pairs does.
    #[test]
    fn order_is_that_of_all_pairs(entries in proptest::collection::vec(("[ab][.0b]{0,2}", any::<bool>()), 1..7)) {
        let key = |(name, is_tree): &(String, bool)| if *is_tree { format!("{name}/") } else { name.clone() };
        let mut entries = entries;
        entries.sort_by_key(key);
        let has_twins = (0..entries.len()).any(|i| (0..i).any(|j| entries[i].0 == entries[j].0));
        let tree: Vec<u8> = entries.iter().flat_map(|(name, is_tree)| match is_tree {
            true => entry("40000", name.as_bytes(), TREE),
            false => file(name),
        }).collect();
        let mut fsck = Fsck::new();
        fsck.check_object(&object_id(ObjectKind::Tree, &tree), ObjectKind::Tree, &tree);
        prop_assert_eq!(fsck.report().is_refused(), has_twins);
    }
}
