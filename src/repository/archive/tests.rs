//! Archives against those of real Git, unpacked and byte by byte.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use super::*;

fn git(at: &Path, args: &[&str]) -> Vec<u8> {
    let out = Command::new("git")
        .args(args)
        .current_dir(at)
        .env("HOME", at)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("TZ", "UTC")
        .envs([("GIT_AUTHOR_NAME", "A"), ("GIT_AUTHOR_EMAIL", "a@b"), ("GIT_AUTHOR_DATE", "1700000001 +0000")])
        .envs([("GIT_COMMITTER_NAME", "C"), ("GIT_COMMITTER_EMAIL", "c@d"), ("GIT_COMMITTER_DATE", "1700000001 +0000")])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(out.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&out.stderr));
    out.stdout
}

fn object(at: &Path, id: &oid) -> io::Result<(ObjectKind, Vec<u8>)> {
    let kind = git(at, &["cat-file", "-t", &id.to_string()]);
    let kind = ObjectKind::from_name(kind.trim_ascii()).unwrap();
    Ok((kind, git(at, &["cat-file", kind.name(), &id.to_string()])))
}

fn id(text: &[u8]) -> ObjectId {
    ObjectId::from_hex(text.trim_ascii()).unwrap()
}

/// A repository with all that is special in an archive, and the request for its only commit.
fn repository() -> (tempfile::TempDir, ArchiveRequest) {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    git(at, &["init", "-q", "."]);
    let long = "d".repeat(90);
    fs::create_dir_all(at.join("a/b").join(&long).join(&long)).unwrap();
    fs::create_dir_all(at.join("n".repeat(120))).unwrap();
    fs::write(at.join("n".repeat(120)).join("deep"), "deep\n").unwrap();
    fs::write(at.join("a/b").join(&long).join("short"), "short\n").unwrap();
    fs::write(at.join("a/b").join(&long).join(&long).join("f".repeat(130)), "long\n").unwrap();
    fs::write(at.join("a/x"), "x\n".repeat(5000)).unwrap();
    fs::write(at.join("a.txt"), "").unwrap();
    fs::write(at.join("exact"), [b'e'; 512]).unwrap();
    fs::write(at.join("größe"), "g\n").unwrap();
    fs::write(at.join("run"), "#!/bin/sh\n").unwrap();
    fs::write(at.join("noise"), (0u32..3000).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect::<Vec<_>>())
        .unwrap();
    std::os::unix::fs::symlink("../outside", at.join("link")).unwrap();
    std::os::unix::fs::symlink("t".repeat(140), at.join("long-link")).unwrap();
    git(at, &["add", "."]);
    git(at, &["update-index", "--chmod=+x", "run"]);
    git(at, &["update-index", "--add", "--cacheinfo", "160000,4b825dc642cb6eb9a060e54bf8d69288fbee4904,sub"]);
    git(at, &["commit", "-qm", "all"]);
    let request = ArchiveRequest {
        tree: id(&git(at, &["rev-parse", "HEAD^{tree}"])),
        commit: Some(id(&git(at, &["rev-parse", "HEAD"]))),
        mtime: 1_700_000_001,
        prefix: Vec::new(),
        paths: Vec::new(),
    };
    (folder, request)
}

fn archive(at: &Path, format: ArchiveFormat, request: &ArchiveRequest) -> Result<Vec<u8>, ArchiveError> {
    let mut out = Vec::new();
    write_archive(format, request, &mut |id: &oid| object(at, id), &mut out).map(|()| out)
}

#[test]
fn a_tar_is_that_of_git() {
    let (folder, mut request) = repository();
    let at = folder.path();
    assert!(archive(at, ArchiveFormat::Tar, &request).unwrap() == git(at, &["archive", "--format=tar", "HEAD"]));
    for prefix in ["p-1.0/", "p", "p/q/"] {
        request.prefix = prefix.into();
        let option = format!("--prefix={prefix}");
        let theirs = git(at, &["archive", "--format=tar", &option, "HEAD"]);
        assert!(archive(at, ArchiveFormat::Tar, &request).unwrap() == theirs, "{prefix}");
    }
    request.prefix.clear();
    for paths in [&["a/x"][..], &["a"], &["a/b", "run"], &["link", "sub"]] {
        request.paths = paths.iter().map(|path| path.as_bytes().to_vec()).collect();
        let theirs = git(at, &[&["archive", "--format=tar", "HEAD"], paths].concat());
        assert!(archive(at, ArchiveFormat::Tar, &request).unwrap() == theirs, "{paths:?}");
    }
    request.paths = vec![b"absent".to_vec()];
    assert!(matches!(archive(at, ArchiveFormat::Tar, &request), Err(ArchiveError::NoSuchPath { .. })));
    request.paths.clear();
    request.commit = None;
    let tree = request.tree.to_string();
    let theirs = git(at, &["archive", "--format=tar", "--mtime=@1700000001", &tree]);
    assert!(archive(at, ArchiveFormat::Tar, &request).unwrap() == theirs, "a bare tree");
}

#[test]
fn a_tar_gz_holds_the_tar() {
    let (folder, request) = repository();
    let packed = archive(folder.path(), ArchiveFormat::TarGz, &request).unwrap();
    let mut tar = Vec::new();
    io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&packed[..]), &mut tar).unwrap();
    assert!(tar == archive(folder.path(), ArchiveFormat::Tar, &request).unwrap());
}

/// What a zip's own directory says of each entry: path, mode, time, and the bytes found through it.
fn read_zip(zip: &[u8]) -> Vec<(String, u32, u32, Vec<u8>)> {
    let u16_at = |at: usize| usize::from(u16::from_le_bytes(zip[at..at + 2].try_into().unwrap()));
    let u32_at = |at: usize| u32::from_le_bytes(zip[at..at + 4].try_into().unwrap());
    let end = memchr::memmem::rfind(zip, b"PK\x05\x06").unwrap();
    assert_eq!(end + 22 + u16_at(end + 20), zip.len());
    let mut at = u32_at(end + 16) as usize;
    let mut entries = Vec::new();
    for _ in 0..u16_at(end + 10) {
        assert_eq!(&zip[at..at + 4], b"PK\x01\x02");
        let (name_len, extra_len) = (u16_at(at + 28), u16_at(at + 30));
        let path = String::from_utf8(zip[at + 46..at + 46 + name_len].to_vec()).unwrap();
        let local = u32_at(at + 42) as usize;
        assert_eq!(&zip[local..local + 4], b"PK\x03\x04");
        assert_eq!(&zip[local + 30..local + 30 + name_len], path.as_bytes());
        let start = local + 30 + name_len + u16_at(local + 28);
        let packed = &zip[start..start + u32_at(at + 20) as usize];
        let mut data = Vec::new();
        match u16_at(at + 10) {
            0 => data.extend(packed),
            _ => drop(io::Read::read_to_end(&mut flate2::read::DeflateDecoder::new(packed), &mut data).unwrap()),
        }
        assert_eq!(data.len(), u32_at(at + 24) as usize);
        let mut crc = flate2::Crc::new();
        crc.update(&data);
        assert_eq!(crc.sum(), u32_at(at + 16));
        entries.push((path, u32_at(at + 38) >> 16, u32_at(at + 12), data));
        at += 46 + name_len + extra_len;
    }
    assert_eq!(at, end);
    entries
}

#[test]
fn a_zip_holds_what_gits_does() {
    let (folder, mut request) = repository();
    request.prefix = b"p/".to_vec();
    let ours = read_zip(&archive(folder.path(), ArchiveFormat::Zip, &request).unwrap());
    let theirs = read_zip(&git(folder.path(), &["archive", "--format=zip", "--prefix=p/", "HEAD"]));
    let plain = |entries: &[(String, u32, u32, Vec<u8>)]| -> Vec<_> {
        entries.iter().map(|(path, _, time, data)| (path.clone(), *time, data.clone())).collect()
    };
    assert!(plain(&ours) == plain(&theirs));
    for (path, mode) in [("p/link", 0o120777), ("p/run", 0o100775), ("p/a.txt", 0o100664), ("p/sub/", 0o040775)] {
        assert_eq!(ours.iter().find(|entry| entry.0 == path).unwrap().1, mode, "{path}");
    }
}

// A8
#[test]
fn names_that_lead_astray_are_refused() {
    let empty = ObjectId::empty_tree(gix_hash::Kind::Sha1);
    let request =
        |prefix: &str| ArchiveRequest { tree: empty, commit: None, mtime: 0, prefix: prefix.into(), paths: Vec::new() };
    for name in ["..", ".", "a/b", "/etc"] {
        let tree = [b"100644 ", name.as_bytes(), b"\0", empty.as_slice()].concat();
        let mut source = |_: &oid| Ok((ObjectKind::Tree, tree.clone()));
        let error = write_archive(ArchiveFormat::Tar, &request(""), &mut source, io::sink()).unwrap_err();
        assert!(matches!(error, ArchiveError::Entry { .. }), "{name}: {error}");
    }
    for prefix in ["/", "/x/", "../", "a/../b", "a//b", "./", "a\nb/"] {
        let mut source = |_: &oid| Ok((ObjectKind::Tree, Vec::new()));
        let error = write_archive(ArchiveFormat::Tar, &request(prefix), &mut source, io::sink()).unwrap_err();
        assert!(matches!(error, ArchiveError::Prefix { .. }), "{prefix}: {error}");
    }
    // B5: a tree cannot hold itself by its hash, but a source may lie.
    let tree = [b"40000 a\0", empty.as_slice()].concat();
    let mut source = |_: &oid| Ok((ObjectKind::Tree, tree.clone()));
    assert!(write_archive(ArchiveFormat::Zip, &request(""), &mut source, io::sink()).is_err());
}
