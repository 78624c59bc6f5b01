//! Views against hand-made objects, and against any bytes.

use proptest::prelude::*;

use super::*;

const ID: &str = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";

#[test]
fn a_commit_in_parts() {
    let text = format!(
        "tree {ID}\nparent {ID}\nparent {ID}\nauthor A <a@b> 12 +0000\ncommitter C <c@d> 1700000000 +0100\n\
         encoding latin1\ngpgsig -----BEGIN\n x\n -----END\n\nsubject\n\nbody\n"
    );
    let commit = CommitView::parse(text.as_bytes()).unwrap();
    assert_eq!(commit.tree().to_string(), ID);
    assert_eq!(commit.parents().len(), 2);
    assert_eq!(commit.author(), b"A <a@b> 12 +0000");
    assert_eq!(commit.committer_time(), 1_700_000_000);
    assert_eq!(commit.message(), b"subject\n\nbody\n");
    let headers: Vec<_> = commit.extra_headers().collect();
    assert_eq!(headers, [(&b"encoding"[..], &b"latin1"[..]), (&b"gpgsig"[..], &b"-----BEGIN\n x\n -----END"[..])]);
    let mut links = Vec::new();
    for_each_link(ObjectKind::Commit, text.as_bytes(), |kind, _| links.push(kind)).unwrap();
    assert_eq!(links, [LinkKind::CommitTree, LinkKind::CommitParent, LinkKind::CommitParent]);
}

#[test]
fn a_tag_in_parts() {
    let text = format!("object {ID}\ntype tree\ntag v1\ntagger T <t@t> 77 +0000\n\nfirst\n");
    let tag = TagView::parse(text.as_bytes()).unwrap();
    assert_eq!(
        (tag.kind(), tag.name(), tag.tagger_time(), tag.message()),
        (ObjectKind::Tree, &b"v1"[..], 77, &b"first\n"[..])
    );
    let early = format!("object {ID}\ntype commit\ntag v0\n\nold\n");
    let tag = TagView::parse(early.as_bytes()).unwrap();
    assert_eq!((tag.tagger(), tag.tagger_time(), tag.message()), (&b""[..], 0, &b"old\n"[..]));
}

// B6
#[test]
fn malformed_objects_are_errors() {
    let id = [7u8; 20];
    for (what, start) in [
        ("no mode", &b" a\0"[..]),
        ("bad digit", b"100648 a\0"),
        ("endless mode", b"0000000000100644 a\0"),
        ("no name", b"100644 \0"),
        ("no end", b"100644 a"),
    ] {
        let mut tree = start.to_vec();
        if what != "no end" {
            tree.extend(id);
        }
        let mut entries = TreeIter::new(&tree);
        assert!(entries.next().unwrap().is_err(), "{what}");
        assert!(entries.next().is_none(), "{what}");
    }
    let cut = [b"100644 a\0".as_slice(), &id[..19]].concat();
    assert_eq!(TreeIter::new(&cut).next(), Some(Err(ObjectError::Tree { offset: 0, rule: "its id is cut off" })));
    for commit in ["", "tree 12\n", &format!("tree {ID}"), &format!("tree {ID}\nparent {}\n", &ID[..39])] {
        assert!(CommitView::parse(commit.as_bytes()).is_err(), "{commit:?}");
    }
    for tag in [
        "",
        &format!("object {ID}\n"),
        &format!("object {ID}\ntype thing\ntag x\n"),
        &format!("object {ID}\ntype blob\n"),
    ] {
        assert!(TagView::parse(tag.as_bytes()).is_err(), "{tag:?}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_a_view_panic(data in proptest::collection::vec(any::<u8>(), 0..200)) {
        for kind in [ObjectKind::Commit, ObjectKind::Tree, ObjectKind::Blob, ObjectKind::Tag] {
            let _ = for_each_link(kind, &data, |_, _| ());
        }
    }

    #[test]
    fn no_text_makes_a_view_panic(tail in "[ -~\n]{0,120}") {
        let commit = format!("tree {ID}\n{tail}");
        if let Ok(view) = CommitView::parse(commit.as_bytes()) {
            let _ = (view.parents().count(), view.committer_time(), view.message(), view.extra_headers().count());
        }
        let tag = format!("object {ID}\ntype blob\ntag {tail}");
        let _ = TagView::parse(tag.as_bytes()).map(|view| (view.tagger_time(), view.message().len()));
    }

    #[test]
    fn what_is_written_is_read(entries in proptest::collection::vec((0u32..0o200000, "[^\0]{1,30}", any::<[u8; 20]>()), 0..20)) {
        let mut tree = Vec::new();
        for (mode, name, id) in &entries {
            tree.extend(format!("{mode:o} {name}\0").bytes());
            tree.extend(id);
        }
        let read: Vec<_> = TreeIter::new(&tree)
            .map(|e| e.unwrap())
            .map(|e| (e.mode, String::from_utf8(e.name.to_vec()).unwrap(), <[u8; 20]>::try_from(e.oid.as_bytes()).unwrap()))
            .collect();
        prop_assert_eq!(read, entries);
    }
}
