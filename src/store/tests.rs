//! Tests of the store as a whole: on a real folder, and as whoever writes the disk would see it.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use base64::Engine;
use proptest::prelude::*;

use super::catalog::{Append, AppendOutcome, CatalogError, DecidedUnder, NewDecision, Record, RecordBatch};
use super::seal::{HEADER_BYTES, Key, SEALED_SEGMENT_BYTES, SEGMENT_BYTES, TAG_BYTES};
use super::*;

const ALICE: [u8; 16] = [0xa1; 16];
const BOB: [u8; 16] = [0xb0; 16];
const START_MS: i64 = 1_700_000_000_000;

/// A store in a folder of its own. Its methods block, so it is driven from the test's thread, outside the runtime.
struct Disk {
    store: Store,
    clock: Clock,
    folder: tempfile::TempDir,
    // Dropped last: writers and connections need it.
    runtime: tokio::runtime::Runtime,
}

impl Disk {
    fn new() -> Disk {
        let folder = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let clock = Clock::manual(START_MS);
        let store = runtime.block_on(Store::open(options(folder.path(), &clock))).unwrap();
        let disk = Disk { store, clock, folder, runtime };
        disk.store.create_account_keys(&account()).unwrap();
        for repository in [ALICE, BOB] {
            disk.store.create_repository_keys(&account(), &repository).unwrap();
            disk.commit(&[record("repository", repository, None, b"")]).unwrap();
        }
        disk
    }

    /// Closes the store and opens it again: nothing is cached.
    fn reopen(self) -> Disk {
        let Disk { store, clock, folder, runtime } = self;
        drop(store);
        let store = runtime.block_on(Store::open(options(folder.path(), &clock))).unwrap();
        Disk { store, clock, folder, runtime }
    }

    fn keys(&self, repository: [u8; 16]) -> RepositoryKeys {
        self.store.repository_keys(&account(), &repository).unwrap()
    }

    fn write(&self, repository: [u8; 16], kind: FileKind, data: &[u8]) -> FileMeta {
        let mut writer = self.store.create_file(&self.keys(repository), kind).unwrap();
        writer.write_all(data).unwrap();
        writer.finish().unwrap()
    }

    fn read(&self, repository: [u8; 16], meta: &FileMeta) -> Result<Vec<u8>, StoreError> {
        Ok(self.store.open_file(&self.keys(repository), meta)?.read_all()?)
    }

    fn commit(&self, puts: &[Record]) -> Result<i64, CatalogError> {
        let batch = RecordBatch { puts: puts.to_vec(), ..RecordBatch::default() };
        self.runtime.block_on(self.store.catalog().commit(&batch))
    }

    fn append(&self, append: &Append) -> Result<AppendOutcome, CatalogError> {
        self.runtime.block_on(self.store.catalog().append(append, self.clock.now_ms()))
    }

    fn sweep(&self) -> usize {
        self.runtime.block_on(self.store.sweep()).unwrap()
    }

    fn health(&self) -> Result<(), StoreError> {
        self.runtime.block_on(self.store.health())
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn blob(&self, meta: &FileMeta) -> PathBuf {
        self.data().join("blobs").join(file::blob_path(&meta.id).as_ref())
    }
}

fn options(folder: &Path, clock: &Clock) -> StoreOptions {
    StoreOptions {
        data_dir: folder.join("data"),
        keys_dir: folder.join("keys"),
        root_keys: RootKeyProviders::default(),
        cache_bytes: 4 << 20,
        clock: clock.clone(),
        faults: Faults::none(),
    }
}

fn account() -> AccountId {
    AccountId::parse("111111111111").unwrap()
}

fn record(kind: &str, id: [u8; 16], name: Option<&str>, body: &[u8]) -> Record {
    Record { kind: kind.into(), id, name: name.map(str::to_string), body: body.to_vec() }
}

/// An entry whose hash is told apart by `mark`; what it says is nothing to the store.
fn entry(repository: [u8; 16], generation: i64, previous_hash: [u8; 32], mark: u8) -> Append {
    Append {
        repository,
        generation,
        previous_hash,
        hash: [mark; 32],
        sealed: vec![mark; 10],
        publish_files: Vec::new(),
        retire_files: Vec::new(),
        retire_after_ms: 0,
        decisions: Vec::new(),
        decided_under: None,
        documents: Vec::new(),
    }
}

/// Bytes that do not repeat from segment to segment.
fn bytes(n: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut out = Vec::with_capacity(n + 8);
    while out.len() < n {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        out.extend_from_slice(&(state ^ state >> 29).to_le_bytes());
    }
    out.truncate(n);
    out
}

fn files_below(folder: &Path) -> BTreeSet<PathBuf> {
    let mut out = BTreeSet::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            out.extend(files_below(&path));
        } else {
            out.insert(path);
        }
    }
    out
}

#[test]
fn files_of_every_size_read_back() {
    let disk = Disk::new();
    let s = SEGMENT_BYTES;
    let part = 8 << 20;
    for n in [0, 1, s - 1, s, s + 1, 2 * s, 16 * s, 16 * s + 1, 17 * s - 1, part - 1, part, part + s + 1, 2 * part + 7]
    {
        let data = bytes(n);
        let meta = disk.write(ALICE, FileKind::Pack, &data);
        assert_eq!((meta.plain_len, meta.kind, meta.epoch), (n as u64, FileKind::Pack, 1));
        assert_eq!(std::fs::metadata(disk.blob(&meta)).unwrap().len(), seal::sealed_len(n as u64), "{n}");
        let file = disk.store.open_file(&disk.keys(ALICE), &meta).unwrap();
        assert_eq!((file.len(), file.is_empty()), (n as u64, n == 0));
        assert!(file.read_all().unwrap() == data, "{n}");
        file.verify().unwrap();
        let mut streamed = Vec::new();
        file.stream(0..n as u64, &mut |piece| streamed.write_all(piece)).unwrap();
        assert!(streamed == data, "{n}");
        let mut byte = [0];
        assert!(matches!(file.read_at(n as u64, &mut byte), Err(FileError::Length { .. })));
        assert!(matches!(file.read_at(u64::MAX, &mut byte), Err(FileError::Length { .. })));
        assert!(file.stream(0..n as u64 + 1, &mut |_| Ok(())).is_err());
    }
}

#[test]
fn files_read_back_at_every_place() {
    let disk = Disk::new();
    let n = 18 * SEGMENT_BYTES + 321;
    let data = bytes(n);
    let mut writer = disk.store.create_file(&disk.keys(ALICE), FileKind::Pack).unwrap();
    let mut rest = &data[..];
    // Writes of odd sizes, so that segments end within them.
    for size in [1, 7, 65_535, 65_536, 65_537, 100_000, 3].into_iter().cycle() {
        let (now, later) = rest.split_at(size.min(rest.len()));
        assert_eq!(writer.write(now).unwrap(), now.len());
        rest = later;
        if rest.is_empty() {
            break;
        }
    }
    let meta = writer.finish().unwrap();
    let file = disk.store.open_file(&disk.keys(ALICE), &meta).unwrap();
    let edges = prop_oneof![0..n, (0usize..19, 0usize..3).prop_map(|(i, d)| (i * SEGMENT_BYTES + d).saturating_sub(1))];
    proptest!(ProptestConfig::with_cases(200), |(from in edges, len in prop_oneof![0usize..4, 0usize..200_000])| {
        let from = from.min(n);
        let to = (from + len).min(n);
        let mut buffer = vec![0; to - from];
        file.read_at(from as u64, &mut buffer).unwrap();
        prop_assert!(buffer == data[from..to]);
        let mut streamed = Vec::new();
        file.stream(from as u64..to as u64, &mut |piece| streamed.write_all(piece)).unwrap();
        prop_assert!(streamed == data[from..to]);
    });
    // Whoever takes the bytes may stop, and their error comes back.
    let stopped = file.stream(0..n as u64, &mut |_| Err(io::Error::from(io::ErrorKind::BrokenPipe)));
    assert_eq!(stopped.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
}

#[test]
fn many_threads_read_one_file() {
    let disk = Disk::new();
    let data = bytes(40 * SEGMENT_BYTES + 1);
    let meta = disk.write(ALICE, FileKind::Pack, &data);
    let file = disk.store.open_file(&disk.keys(ALICE), &meta).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (file, data) = (file.clone(), &data);
            scope.spawn(move || {
                for i in 0..200 {
                    let from = (thread * 7919 + i * 12_347) % (data.len() - 1000);
                    let mut buffer = [0; 1000];
                    file.read_at(from as u64, &mut buffer).unwrap();
                    assert!(buffer[..] == data[from..from + 1000]);
                }
            });
        }
    });
}

/// Changes the disk under a store that has cached nothing, and expects that the file does not read afterwards, in any way of reading.
fn check_detected(what: &str, disk: Disk, meta: &FileMeta, change: impl FnOnce(&Disk)) -> Disk {
    let disk = disk.reopen();
    let path = disk.blob(meta);
    let before = std::fs::read(&path).unwrap();
    change(&disk);
    let file = disk.store.open_file(&disk.keys(ALICE), meta);
    if let Ok(file) = file {
        assert!(file.verify().is_err(), "{what}: verify");
        assert!(file.read_all().is_err(), "{what}: read_all");
        assert!(file.stream(0..file.len(), &mut |_| Ok(())).is_err(), "{what}: stream");
        let mut whole = vec![0; file.len() as usize];
        assert!(file.read_at(0, &mut whole).is_err(), "{what}: read_at");
    }
    std::fs::write(&path, before).unwrap();
    assert!(disk.read(ALICE, meta).is_ok(), "{what}: put back");
    disk
}

// J1
#[test]
fn tampering_with_files_is_detected() {
    let disk = Disk::new();
    let data = bytes(3 * SEGMENT_BYTES);
    let meta = disk.write(ALICE, FileKind::Pack, &data);
    let same_size = disk.write(ALICE, FileKind::Pack, &bytes(3 * SEGMENT_BYTES));
    let older = disk.write(ALICE, FileKind::Pack, &data);
    let other_kind = disk.write(ALICE, FileKind::Index, &data);
    let foreign = disk.write(BOB, FileKind::Pack, &data);
    let at = |number: usize| HEADER_BYTES + number * SEALED_SEGMENT_BYTES;
    let edit = |disk: &Disk, change: &dyn Fn(&mut Vec<u8>)| {
        let path = disk.blob(&meta);
        let mut sealed = std::fs::read(&path).unwrap();
        change(&mut sealed);
        std::fs::write(&path, sealed).unwrap();
    };

    let mut disk = disk;
    for (what, other) in
        [("file", &same_size), ("older file", &older), ("kind", &other_kind), ("repository's file", &foreign)]
    {
        disk = check_detected(&format!("another {what}"), disk, &meta, |disk| {
            std::fs::copy(disk.blob(other), disk.blob(&meta)).unwrap();
        });
    }
    type Change<'a> = Box<dyn Fn(&mut Vec<u8>) + 'a>;
    let mut changes: Vec<(String, Change<'_>)> = vec![
        (
            "segments swapped".into(),
            Box::new(|sealed| {
                let (first, second) = sealed[at(0)..at(2)].split_at_mut(SEALED_SEGMENT_BYTES);
                first.swap_with_slice(second);
            }),
        ),
        ("a segment cut off".into(), Box::new(|sealed| sealed.truncate(at(2)))),
        ("all segments cut off".into(), Box::new(|sealed| sealed.truncate(at(0)))),
        ("cut within a segment".into(), Box::new(|sealed| sealed.truncate(at(2) + 5))),
        ("emptied".into(), Box::new(Vec::clear)),
        ("a segment taken out".into(), Box::new(|sealed| drop(sealed.drain(at(0)..at(1))))),
        ("a byte appended".into(), Box::new(|sealed| sealed.push(0))),
        ("a segment appended".into(), Box::new(|sealed| sealed.extend_from_within(at(2)..at(3)))),
        ("an empty segment appended".into(), Box::new(|sealed| sealed.extend_from_slice(&[0; TAG_BYTES]))),
        ("a bit of ciphertext".into(), Box::new(|sealed| sealed[at(1) + 1000] ^= 1)),
        ("a bit of a tag".into(), Box::new(|sealed| sealed[at(1) - 1] ^= 0x80)),
        ("the last bit".into(), Box::new(|sealed| *sealed.last_mut().unwrap() ^= 1)),
    ];
    for i in 0..HEADER_BYTES {
        changes.push((format!("header byte {i}"), Box::new(move |sealed| sealed[i] ^= 1)));
    }
    for (what, change) in &changes {
        disk = check_detected(what, disk, &meta, |disk| edit(disk, change));
    }

    // A description that was changed does not open the file either.
    for changed in [
        FileMeta { plain_len: meta.plain_len - 1, ..meta },
        FileMeta { plain_len: 2 * SEGMENT_BYTES as u64, ..meta },
        FileMeta { kind: FileKind::Index, ..meta },
        FileMeta { epoch: 2, ..meta },
        FileMeta { id: older.id, plain_len: 5, ..meta },
    ] {
        assert!(disk.read(ALICE, &changed).is_err());
    }
    assert!(disk.read(BOB, &meta).is_err());
}

// J1
#[test]
fn a_header_changed_after_opening_is_found_by_verify() {
    let disk = Disk::new();
    let meta = disk.write(ALICE, FileKind::Pack, &bytes(10));
    let file = disk.store.open_file(&disk.keys(ALICE), &meta).unwrap();
    let mut sealed = std::fs::read(disk.blob(&meta)).unwrap();
    sealed[20] ^= 1;
    std::fs::write(disk.blob(&meta), sealed).unwrap();
    assert!(matches!(file.verify(), Err(FileError::Digest { .. })));
    std::fs::remove_file(disk.blob(&meta)).unwrap();
    assert!(matches!(file.verify(), Err(FileError::Blob { .. })));
}

// J1
#[test]
fn values_open_only_at_their_place() {
    let disk = Disk::new();
    let (alice, bob) = (disk.keys(ALICE), disk.keys(BOB));
    let sealed = disk.store.seal_value(&alice, &[b"log_entry", b"1"], b"secret").unwrap();
    assert_eq!(disk.store.open_value(&alice, &[b"log_entry", b"1"], &sealed).unwrap(), b"secret");
    assert!(disk.store.open_value(&alice, &[b"log_entry", b"2"], &sealed).is_err());
    assert!(disk.store.open_value(&alice, &[b"log_entr", b"y1"], &sealed).is_err());
    assert!(disk.store.open_value(&bob, &[b"log_entry", b"1"], &sealed).is_err());
    for i in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[i] ^= 1;
        assert!(disk.store.open_value(&alice, &[b"log_entry", b"1"], &changed).is_err(), "byte {i}");
        assert!(disk.store.open_value(&alice, &[b"log_entry", b"1"], &sealed[..i]).is_err(), "cut at {i}");
    }
}

/// Runs SQL on the store's database past the store, as whoever writes the disk can.
fn tamper(disk: &Disk, statements: &[&'static str]) {
    use sqlx::Connection;
    disk.runtime.block_on(async {
        let url = format!("sqlite://{}", disk.data().join("catalog.db").display());
        let mut connection = sqlx::SqliteConnection::connect(&url).await.unwrap();
        for statement in statements {
            sqlx::query(*statement).execute(&mut connection).await.unwrap();
        }
        connection.close().await.unwrap();
    });
}

// J1
#[test]
fn rows_moved_to_anothers_place_do_not_open() {
    let disk = Disk::new();
    disk.commit(&[record("user", ALICE, Some("alice"), b"a"), record("user", BOB, Some("bob"), b"b")]).unwrap();
    let decisions = [decision(ALICE, b"allowed"), decision(BOB, b"denied")];
    let catalog = disk.store.catalog();
    disk.runtime.block_on(catalog.record_decisions(&decisions, START_MS)).unwrap();
    assert_eq!(disk.runtime.block_on(catalog.decision(&BOB)).unwrap().unwrap().body, b"denied");
    assert_eq!(disk.runtime.block_on(catalog.decision(&[9; 16])).unwrap(), None);
    assert_eq!(disk.runtime.block_on(catalog.load("user")).unwrap().len(), 2);
    tamper(
        &disk,
        &[
            "UPDATE decision SET sealed = (SELECT sealed FROM decision WHERE id = x'a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1')",
            "UPDATE record SET sealed = (SELECT sealed FROM record WHERE kind = 'user' AND
             id = x'a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1') WHERE kind = 'user'",
        ],
    );
    let disk = disk.reopen();
    let catalog = disk.store.catalog();
    let unauthentic = |error| matches!(error, CatalogError::Unauthentic { .. });
    assert!(unauthentic(disk.runtime.block_on(catalog.decision(&BOB)).unwrap_err()));
    assert!(unauthentic(disk.runtime.block_on(catalog.load("user")).unwrap_err()));
    tamper(
        &disk,
        &["UPDATE record SET kind = 'group' WHERE kind = 'user' AND id = x'a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1'"],
    );
    assert!(unauthentic(disk.runtime.block_on(catalog.load("group")).unwrap_err()));
}

#[test]
fn unfinished_files_leave_nothing() {
    let disk = Disk::new();
    let before = files_below(&disk.data().join("blobs"));
    for n in [0, 10, 20 << 20] {
        let mut writer = disk.store.create_file(&disk.keys(ALICE), FileKind::Pack).unwrap();
        writer.write_all(&bytes(n)).unwrap();
        drop(writer);
    }
    let unpublished = disk.write(ALICE, FileKind::Pack, &bytes(100));
    let discarded = disk.write(ALICE, FileKind::Pack, &bytes(100));
    disk.store.discard_file(&discarded.id).unwrap();
    assert!(!disk.blob(&discarded).exists());
    disk.clock.advance_ms(INTENT_MS - 1);
    assert_eq!(disk.sweep(), 0);
    assert!(disk.read(ALICE, &unpublished).is_ok());
    disk.clock.advance_ms(1);
    // Three that were dropped, one that was never published; the discarded one is forgotten.
    assert_eq!(disk.sweep(), 4);
    assert_eq!(files_below(&disk.data().join("blobs")), before);
    assert_eq!(disk.sweep(), 0);
}

// J7
#[test]
fn what_a_dead_process_left_of_a_file_is_swept() {
    let disk = Disk::new();
    let id = [0x5e; 16];
    disk.runtime.block_on(disk.store.catalog().intend(&id, &ALICE, START_MS + 5)).unwrap();
    let path = disk.data().join("blobs").join(file::blob_path(&id).as_ref());
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let name = path.file_name().unwrap().to_str().unwrap();
    let beside = |end: &str| path.with_file_name(format!("{name}{end}"));
    for end in ["#1", "#23", "0", "#x"] {
        std::fs::write(beside(end), b"half").unwrap();
    }
    disk.clock.advance_ms(5);
    assert_eq!(disk.sweep(), 1);
    let left = files_below(path.parent().unwrap());
    assert_eq!(left, BTreeSet::from([beside("#x"), beside("0")]));
}

#[test]
fn published_files_stay_and_retired_ones_go_in_time() {
    let disk = Disk::new();
    let meta = disk.write(ALICE, FileKind::Pack, b"pack");
    let publish = Append { publish_files: vec![meta.id], ..entry(ALICE, 1, [0; 32], 1) };
    assert_eq!(disk.append(&publish).unwrap(), AppendOutcome::Published);
    disk.clock.advance_ms(10 * INTENT_MS);
    assert_eq!(disk.sweep(), 0);
    // A publisher that failed after the transaction may want to take its file back: it is the repository's now.
    disk.store.discard_file(&meta.id).unwrap();
    assert_eq!(disk.read(ALICE, &meta).unwrap(), b"pack");
    let unpublished = disk.write(ALICE, FileKind::Pack, b"other");
    disk.store.discard_file(&unpublished.id).unwrap();
    assert!(disk.read(ALICE, &unpublished).is_err());
    let retire = Append {
        retire_files: vec![meta.id],
        retire_after_ms: disk.clock.now_ms() + 1000,
        ..entry(ALICE, 2, [1; 32], 2)
    };
    assert_eq!(disk.append(&retire).unwrap(), AppendOutcome::Published);
    disk.clock.advance_ms(999);
    assert_eq!(disk.sweep(), 0);
    assert_eq!(disk.read(ALICE, &meta).unwrap(), b"pack");
    disk.clock.advance_ms(1);
    assert_eq!(disk.sweep(), 1);
    assert!(!disk.blob(&meta).exists());
}

// J7
#[test]
fn appending_compares_and_swaps() {
    let disk = Disk::new();
    let log = |disk: &Disk, repository: [u8; 16]| {
        let log = disk.runtime.block_on(disk.store.catalog().read_log(&repository, 0)).unwrap();
        log.iter().map(|stored| (stored.generation, stored.previous_hash[0], stored.hash[0])).collect::<Vec<_>>()
    };
    let published = Ok(AppendOutcome::Published);
    let lost = |generation| Ok(AppendOutcome::Lost { generation });
    let cases = [
        ("a gap at the beginning", entry(ALICE, 2, [0; 32], 9), lost(0)),
        ("generation zero", entry(ALICE, 0, [0; 32], 9), lost(0)),
        ("a first entry after something", entry(ALICE, 1, [7; 32], 9), lost(0)),
        ("the first", entry(ALICE, 1, [0; 32], 1), published),
        ("the first again", entry(ALICE, 1, [0; 32], 9), lost(1)),
        ("the second after another", entry(ALICE, 2, [7; 32], 9), lost(1)),
        ("the second", entry(ALICE, 2, [1; 32], 2), published),
        ("a gap", entry(ALICE, 4, [2; 32], 9), lost(2)),
        ("another repository's first", entry(BOB, 1, [0; 32], 3), published),
        ("no repository", entry([7; 16], 1, [0; 32], 9), Ok(AppendOutcome::RepositoryGone)),
    ];
    for (what, append, expected) in cases {
        let outcome: Result<_, ()> = disk.append(&append).map_err(|error| panic!("{what}: {error}"));
        assert_eq!(outcome, expected, "{what}");
    }
    assert_eq!(log(&disk, ALICE), [(1, 0, 1), (2, 1, 2)]);
    let disk = disk.reopen();
    assert_eq!(log(&disk, ALICE), [(1, 0, 1), (2, 1, 2)]);
    let after = disk.runtime.block_on(disk.store.catalog().read_log(&ALICE, 1)).unwrap();
    assert_eq!((after.len(), &after[0].sealed), (1, &vec![2; 10]));

    // A deleted repository takes no more, and forgetting it takes its log and files away.
    let (published, retired) = (disk.write(ALICE, FileKind::Pack, b"x"), disk.write(ALICE, FileKind::Pack, b"y"));
    let of_bob = disk.write(BOB, FileKind::Pack, b"z");
    let with_files = Append { publish_files: vec![published.id, retired.id], ..entry(ALICE, 3, [2; 32], 3) };
    assert_eq!(disk.append(&with_files).unwrap(), AppendOutcome::Published);
    let retiring = Append { retire_files: vec![retired.id], retire_after_ms: i64::MAX, ..entry(ALICE, 4, [3; 32], 4) };
    assert_eq!(disk.append(&retiring).unwrap(), AppendOutcome::Published);
    assert_eq!(
        disk.append(&Append { publish_files: vec![of_bob.id], ..entry(BOB, 2, [3; 32], 4) }).unwrap(),
        AppendOutcome::Published
    );
    assert_eq!(disk.sweep(), 0);
    let batch = RecordBatch {
        deletes: vec![("repository".into(), ALICE)],
        forget_repositories: vec![ALICE],
        ..RecordBatch::default()
    };
    disk.runtime.block_on(disk.store.catalog().commit(&batch)).unwrap();
    assert_eq!(disk.append(&entry(ALICE, 5, [4; 32], 5)).unwrap(), AppendOutcome::RepositoryGone);
    assert_eq!(log(&disk, ALICE), []);
    assert_eq!(log(&disk, BOB), [(1, 0, 3), (2, 3, 4)]);
    assert_eq!(disk.sweep(), 2);
    assert!(!disk.blob(&published).exists() && !disk.blob(&retired).exists() && disk.blob(&of_bob).exists());
}

#[test]
fn a_decision_by_old_policies_publishes_nothing() {
    let disk = Disk::new();
    let with_directory = |generation, directory| Append {
        decided_under: Some(DecidedUnder { generation, directory }),
        decisions: vec![decision([generation as u8; 16], b"allowed")],
        ..entry(ALICE, 1, [0; 32], 1)
    };
    let counter = disk.runtime.block_on(disk.store.catalog().commit_with(&RecordBatch::default(), Some(5))).unwrap();
    let with = |generation| with_directory(generation, counter);
    assert_eq!(disk.runtime.block_on(disk.store.catalog().active_policy()).unwrap(), 5);
    assert_eq!(disk.append(&with(4)).unwrap(), AppendOutcome::PolicyChanged);
    assert_eq!(disk.append(&with(6)).unwrap(), AppendOutcome::PolicyChanged);
    // Nor does one about people who have changed since.
    assert_eq!(disk.append(&with_directory(5, counter - 1)).unwrap(), AppendOutcome::PolicyChanged);
    assert_eq!(disk.runtime.block_on(disk.store.catalog().decision(&[4; 16])).unwrap(), None);
    assert_eq!(disk.append(&with(5)).unwrap(), AppendOutcome::Published);
    assert_eq!(disk.runtime.block_on(disk.store.catalog().decision(&[5; 16])).unwrap().unwrap().body, b"allowed");
}

// J1 J4
#[test]
fn an_earlier_policy_generation_is_not_made_active_by_hand() {
    let unauthentic = |error| matches!(error, CatalogError::Unauthentic { table: "setting", .. });
    let check_refused = |disk: &Disk| {
        let catalog = disk.store.catalog();
        assert!(unauthentic(disk.runtime.block_on(catalog.active_policy()).unwrap_err()));
        let append =
            Append { decided_under: Some(DecidedUnder { generation: 4, directory: 1 }), ..entry(ALICE, 1, [0; 32], 1) };
        assert!(unauthentic(disk.append(&append).unwrap_err()));
        assert!(disk.runtime.block_on(catalog.read_log(&ALICE, 0)).unwrap().is_empty());
    };
    let disk = Disk::new();
    disk.runtime.block_on(disk.store.catalog().commit_with(&RecordBatch::default(), Some(5))).unwrap();
    let disk = disk.reopen();
    assert_eq!(disk.runtime.block_on(disk.store.catalog().active_policy()).unwrap(), 5);
    tamper(&disk, &["UPDATE setting SET value = 4 WHERE name = 'active_policy'"]);
    check_refused(&disk);
    let disk = disk.reopen();
    check_refused(&disk);
    // Another setting's row, number and all, does not do either.
    tamper(
        &disk,
        &["UPDATE setting SET (value, mac) = (SELECT value, mac FROM setting WHERE name = 'counter')
           WHERE name = 'active_policy'"],
    );
    check_refused(&disk);
    tamper(&disk, &["UPDATE setting SET value = 1 WHERE name = 'counter'"]);
    assert!(unauthentic(disk.commit(&[record("user", ALICE, Some("alice"), b"a")]).unwrap_err()));
    // Settings that were taken away are not made anew as at a first start, when no policy is active yet.
    tamper(&disk, &["DELETE FROM setting"]);
    assert!(disk.runtime.block_on(disk.store.catalog().active_policy()).is_err());
    let Disk { store, clock, folder, runtime } = disk;
    drop(store);
    let again = runtime.block_on(Store::open(options(folder.path(), &clock)));
    assert!(matches!(again, Err(StoreError::Catalog(CatalogError::Sql { .. }))));
}

#[test]
fn a_file_that_cannot_be_deleted_keeps_no_other_from_being_swept() {
    let disk = Disk::new();
    let metas: Vec<FileMeta> = (0..5).map(|_| disk.write(ALICE, FileKind::Pack, b"abandoned")).collect();
    // The first that a sweep meets: a folder under a file's name cannot be unlinked as a file.
    let stuck = metas.iter().min_by_key(|meta| meta.id).unwrap();
    std::fs::remove_file(disk.blob(stuck)).unwrap();
    std::fs::create_dir_all(disk.blob(stuck).join("inside")).unwrap();
    disk.clock.advance_ms(INTENT_MS);
    assert!(matches!(disk.runtime.block_on(disk.store.sweep()), Err(StoreError::File(FileError::Blob { .. }))));
    for meta in metas.iter().filter(|meta| meta.id != stuck.id) {
        assert!(!disk.blob(meta).exists());
    }
    std::fs::remove_dir_all(disk.blob(stuck)).unwrap();
    assert_eq!(disk.sweep(), 1, "it is tried again");
}

// J7
#[test]
fn files_that_may_be_swept_are_not_published() {
    let disk = Disk::new();
    let publish = |meta: &FileMeta| Append {
        publish_files: vec![meta.id],
        decisions: vec![decision([4; 16], b"allowed")],
        ..entry(ALICE, 1, [0; 32], 1)
    };
    let refused = |disk: &Disk, append: &Append| {
        assert!(matches!(disk.append(append), Err(CatalogError::NotIntended)));
        // Nothing of the transaction stays.
        assert!(disk.runtime.block_on(disk.store.catalog().read_log(&ALICE, 0)).unwrap().is_empty());
        assert_eq!(disk.runtime.block_on(disk.store.catalog().decision(&[4; 16])).unwrap(), None);
    };
    let expired = disk.write(ALICE, FileKind::Pack, b"expired");
    disk.clock.advance_ms(INTENT_MS);
    refused(&disk, &publish(&expired));
    // Once a sweep has it on its list, a clock that goes back does not bring it back.
    assert_eq!(disk.runtime.block_on(disk.store.catalog().sweepable(disk.clock.now_ms())).unwrap(), [expired.id]);
    disk.clock.advance_ms(-INTENT_MS);
    refused(&disk, &publish(&expired));
    disk.clock.advance_ms(INTENT_MS);
    assert_eq!(disk.sweep(), 1);
    refused(&disk, &publish(&expired));
    refused(&disk, &publish(&disk.write(BOB, FileKind::Pack, b"foreign")));
    let fresh = disk.write(ALICE, FileKind::Pack, b"fresh");
    // One good and one bad file: the good one stays announced.
    let mixed = Append { publish_files: vec![fresh.id, expired.id], ..publish(&fresh) };
    refused(&disk, &mixed);
    let twice = Append { publish_files: vec![fresh.id, fresh.id], ..publish(&fresh) };
    refused(&disk, &twice);
    assert_eq!(disk.append(&publish(&fresh)).unwrap(), AppendOutcome::Published);
}

// J7
#[test]
fn of_many_publishes_one_wins_each_generation() {
    let disk = Disk::new();
    let mut previous_hash = [0; 32];
    for generation in 1..=3 {
        let outcomes = disk.runtime.block_on(async {
            let tasks: Vec<_> = (0..64)
                .map(|mark| {
                    let catalog = disk.store.catalog().clone();
                    let append = entry(ALICE, generation, previous_hash, (generation as u8 - 1) * 64 + mark + 1);
                    tokio::spawn(async move { (append.hash, catalog.append(&append, START_MS).await.unwrap()) })
                })
                .collect();
            futures::future::join_all(tasks).await
        });
        let outcomes: Vec<_> = outcomes.into_iter().map(Result::unwrap).collect();
        let winners: Vec<_> = outcomes
            .iter()
            .filter(|(_, outcome)| *outcome == AppendOutcome::Published)
            .map(|(hash, _)| *hash)
            .collect();
        assert_eq!(winners.len(), 1);
        let n_lost = outcomes.iter().filter(|(_, outcome)| *outcome == AppendOutcome::Lost { generation }).count();
        assert_eq!(n_lost, 63);
        let log = disk.runtime.block_on(disk.store.catalog().read_log(&ALICE, generation - 1)).unwrap();
        assert_eq!((log.len(), log[0].hash, log[0].previous_hash), (1, winners[0], previous_hash));
        previous_hash = winners[0];
    }
}

#[test]
fn records_are_committed_together_or_not_at_all() {
    let disk = Disk::new();
    let counter = disk.runtime.block_on(disk.store.catalog().counter()).unwrap();
    assert_eq!(disk.commit(&[record("user", ALICE, Some("alice"), b"1")]).unwrap(), counter + 1);
    let taken = disk.commit(&[record("user", [3; 16], None, b"x"), record("user", BOB, Some("alice"), b"2")]);
    assert!(matches!(taken, Err(CatalogError::NameTaken)));
    let stale = RecordBatch {
        puts: vec![record("user", BOB, None, b"2")],
        deletes: vec![("user".into(), ALICE)],
        expect_counter: Some(counter),
        ..RecordBatch::default()
    };
    let commit = |batch: &RecordBatch| disk.runtime.block_on(disk.store.catalog().commit(batch));
    assert!(matches!(commit(&stale), Err(CatalogError::Changed)));
    let users = disk.runtime.block_on(disk.store.catalog().load("user")).unwrap();
    assert_eq!(users, [record("user", ALICE, Some("alice"), b"1")]);
    // A name is unique within its kind only, is free again after a delete, and a batch deletes before it puts.
    disk.commit(&[record("group", ALICE, Some("alice"), b"g")]).unwrap();
    let fresh = RecordBatch {
        puts: vec![record("user", BOB, Some("alice"), b"2")],
        expect_counter: Some(counter + 2),
        ..stale
    };
    assert_eq!(commit(&fresh).unwrap(), counter + 3);
    let users = disk.runtime.block_on(disk.store.catalog().load("user")).unwrap();
    assert_eq!(users, [record("user", BOB, Some("alice"), b"2")]);
}

fn decision(id: [u8; 16], body: &[u8]) -> NewDecision {
    NewDecision { id, body: body.to_vec(), facts: None }
}

#[test]
fn facts_are_stored_once_and_forgotten_with_their_last_decision() {
    let disk = Disk::new();
    let catalog = disk.store.catalog();
    let with = |n: u8, facts: &[u8]| NewDecision { facts: Some(facts.to_vec()), ..decision([n; 16], &[n]) };
    let record =
        |decisions: &[NewDecision], at| disk.runtime.block_on(catalog.record_decisions(decisions, at)).unwrap();
    record(&[with(1, b"alike"), with(2, b"alike"), with(3, b"other"), decision([4; 16], b"none")], 1000);
    record(&[with(5, b"alike")], 2000);
    let count = || disk.runtime.block_on(catalog.count_decisions()).unwrap();
    assert_eq!((count().0, count().1), (5, 2));
    let facts = |n: u8| disk.runtime.block_on(catalog.decision(&[n; 16])).unwrap().map(|found| found.facts);
    assert_eq!(facts(2), Some(Some(b"alike".to_vec())));
    assert_eq!(facts(4), Some(None));
    assert_eq!(disk.runtime.block_on(catalog.forget_decisions(2000)).unwrap(), 4);
    assert_eq!((count().0, count().1), (1, 1));
    assert_eq!(facts(5), Some(Some(b"alike".to_vec())));
    // J1: the facts of another decision do not pass for one's own.
    record(&[with(6, b"mine")], 3000);
    tamper(&disk, &["UPDATE decision SET facts = (SELECT facts FROM decision WHERE at_ms = 2000)"]);
    let disk = disk.reopen();
    assert!(disk.runtime.block_on(disk.store.catalog().decision(&[6; 16])).is_err());
    assert!(disk.runtime.block_on(disk.store.catalog().decision(&[5; 16])).is_ok());
}

#[test]
fn a_catalog_of_the_first_version_goes_on() {
    let disk = Disk::new();
    let record = |disk: &Disk, decisions: &[NewDecision]| {
        disk.runtime.block_on(disk.store.catalog().record_decisions(decisions, START_MS)).unwrap();
    };
    record(&disk, &[decision([1; 16], b"old")]);
    disk.runtime.block_on(disk.store.catalog().downgrade());
    let disk = disk.reopen();
    record(&disk, &[NewDecision { facts: Some(b"facts".to_vec()), ..decision([2; 16], b"new") }]);
    let body =
        |disk: &Disk, n: u8| disk.runtime.block_on(disk.store.catalog().decision(&[n; 16])).unwrap().unwrap().body;
    assert_eq!((body(&disk, 1), body(&disk, 2)), (b"old".to_vec(), b"new".to_vec()));
    let disk = disk.reopen();
    assert_eq!((body(&disk, 1), body(&disk, 2)), (b"old".to_vec(), b"new".to_vec()));
}

/// Forms in which a text might lie on the disk.
fn disguises(text: &str) -> Vec<(&'static str, Vec<u8>)> {
    let base64 = |n: usize| {
        // Base64 of what follows n other bytes, without the characters that depend on the neighbours.
        let padded = [&vec![0; n], text.as_bytes()].concat();
        let encoded = base64::engine::general_purpose::STANDARD_NO_PAD.encode(padded).into_bytes();
        encoded[if n == 0 { 0 } else { n + 1 }..encoded.len() - 2].to_vec()
    };
    let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
    vec![
        ("raw", text.into()),
        ("reversed", text.bytes().rev().collect()),
        ("hex", hex.clone().into()),
        ("upper-case hex", hex.to_uppercase().into()),
        ("UTF-16 LE", text.encode_utf16().flat_map(u16::to_le_bytes).collect()),
        ("UTF-16 BE", text.encode_utf16().flat_map(u16::to_be_bytes).collect()),
        ("base64", base64(0)),
        ("base64 after one byte", base64(1)),
        ("base64 after two bytes", base64(2)),
    ]
}

/// No file below the folder, nor its name, contains one of the texts in any disguise, or the key. Gives the files' names.
fn check_absent(folder: &Path, texts: &[&str], key: &Key) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for file in files_below(folder) {
        let bytes = match std::fs::read(&file) {
            Ok(bytes) => bytes,
            // Closing connections and uploads that are given up take their files away in the background.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => panic!("{}: {error}", file.display()),
        };
        let name = file.strip_prefix(folder).unwrap().to_str().unwrap();
        for text in texts {
            for (disguise, needle) in disguises(text) {
                let found = [name.as_bytes(), &bytes].iter().any(|hay| memchr::memmem::find(hay, &needle).is_some());
                assert!(!found, "`{text}` is in {name} as {disguise}");
            }
        }
        assert!(memchr::memmem::find(&bytes, key.dangerous_bytes()).is_none(), "a data key is in {name}");
        names.insert(name.to_string());
    }
    names
}

#[test]
fn disguises_are_recognised() {
    let text = "canary-in-test";
    for (n, disguise) in ["base64", "base64 after one byte", "base64 after two bytes"].into_iter().enumerate() {
        let around = format!("{}{text}!?", "#".repeat(n));
        let encoded = base64::engine::general_purpose::STANDARD.encode(around);
        let (_, needle) = disguises(text).into_iter().find(|(name, _)| *name == disguise).unwrap();
        assert!(memchr::memmem::find(encoded.as_bytes(), &needle).is_some(), "{disguise}");
    }
}

// J2
#[test]
fn no_plaintext_reaches_the_disk() {
    let canaries = [
        "canary-record-name",
        "canary-record-body",
        "canary-deleted-body",
        "canary-log-entry",
        "canary-decision",
        "canary-facts",
        "canary-refusal",
        "canary-file-small",
        "canary-file-large",
        "canary-file-dropped",
        "canary-index-file",
    ];
    let [name, body, deleted, log, allowed, shared, refusal, small, large, dropped, index] = canaries;
    let disk = Disk::new();
    disk.commit(&[
        record("user", ALICE, Some(name), body.as_bytes()),
        record("user", BOB, Some("bob"), deleted.as_bytes()),
    ])
    .unwrap();
    disk.commit(&[record("user", BOB, Some("bob"), b"changed")]).unwrap();
    let large: Vec<u8> = large.bytes().cycle().take(9 << 20).collect();
    let metas = [
        disk.write(ALICE, FileKind::Pack, small.as_bytes()),
        disk.write(ALICE, FileKind::Pack, &large),
        disk.write(ALICE, FileKind::Index, index.as_bytes()),
    ];
    let sealed = disk.store.seal_value(&disk.keys(ALICE), &[b"log_entry"], log.as_bytes()).unwrap();
    let append = Append {
        sealed,
        publish_files: metas.iter().map(|meta| meta.id).collect(),
        decisions: vec![NewDecision {
            id: [1; 16],
            body: allowed.as_bytes().to_vec(),
            facts: Some(shared.as_bytes().to_vec()),
        }],
        ..entry(ALICE, 1, [0; 32], 1)
    };
    assert_eq!(disk.append(&append).unwrap(), AppendOutcome::Published);
    let refusals = [decision([2; 16], refusal.as_bytes())];
    disk.runtime.block_on(disk.store.catalog().record_decisions(&refusals, START_MS)).unwrap();
    let mut half = disk.store.create_file(&disk.keys(ALICE), FileKind::Pack).unwrap();
    half.write_all(&dropped.bytes().cycle().take(10 << 20).collect::<Vec<u8>>()).unwrap();

    let key = disk.keys(ALICE).current().unwrap().1.clone();
    let names = check_absent(disk.folder.path(), &canaries, &key);
    // The scan has seen the database with its log, and the half-written file.
    assert!(names.contains("data/catalog.db-wal"));
    assert!(names.iter().any(|name| name.contains('#')));
    drop(half);
    let disk = disk.reopen();
    check_absent(disk.folder.path(), &canaries, &key);
    let Disk { store, folder, runtime, .. } = disk;
    drop(store);
    drop(runtime);
    let names = check_absent(folder.path(), &canaries, &key);
    assert!(names.contains("data/catalog.db"));
}

// J2
#[test]
fn only_the_owner_may_read() {
    let disk = Disk::new();
    disk.write(ALICE, FileKind::Pack, &bytes(10));
    disk.write(ALICE, FileKind::Pack, &bytes(9 << 20));
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let (data, keys) = (disk.data(), disk.folder.path().join("keys"));
    for folder in [&data, &data.join("blobs"), &keys, &keys.join("keyring")] {
        assert_eq!(mode(folder), 0o700, "{}", folder.display());
    }
    let is_blob = |file: &PathBuf| file.starts_with(data.join("blobs"));
    // Blobs are below a folder that nobody else may enter.
    for file in files_below(disk.folder.path()).iter().filter(|file| !is_blob(file)) {
        assert_eq!(mode(file), 0o600, "{}", file.display());
    }
    assert!(files_below(&data).iter().filter(|file| is_blob(file)).count() >= 2);
    // Folders and a database that others could read are closed when the store opens.
    for path in [&data, &keys, &data.join("catalog.db")] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let disk = disk.reopen();
    assert_eq!((mode(&disk.data()), mode(&keys), mode(&data.join("catalog.db"))), (0o700, 0o700, 0o600));
}

// J5
#[test]
fn destroyed_keys_open_nothing() {
    let disk = Disk::new();
    let meta = disk.write(ALICE, FileKind::Pack, b"gone");
    let kept = disk.write(BOB, FileKind::Pack, b"kept");
    let backup = std::fs::read(disk.blob(&meta)).unwrap();
    assert_eq!(disk.store.keyed_repositories().unwrap().len(), 2);
    let entry = |repository: &[u8; 16]| {
        let name = format!("repository-{}", uuid::Uuid::from_bytes(*repository).simple());
        disk.folder.path().join("keys/keyring").join(name)
    };
    let (gone_entry, kept_entry) = (entry(&ALICE), entry(&BOB));
    disk.store.destroy_repository_keys(&ALICE).unwrap();
    disk.store.destroy_repository_keys(&ALICE).unwrap();
    assert!(!gone_entry.exists());
    let disk = disk.reopen();
    // An old backup of the data is put back: still nothing opens, not even with another repository's keys in the place.
    std::fs::write(disk.blob(&meta), backup).unwrap();
    let missing = disk.store.repository_keys(&account(), &ALICE);
    assert!(matches!(missing, Err(StoreError::Keyring(KeyringError::Missing { .. }))));
    std::fs::copy(&kept_entry, &gone_entry).unwrap();
    let damaged = disk.store.repository_keys(&account(), &ALICE);
    assert!(matches!(damaged, Err(StoreError::Keyring(KeyringError::Damaged { .. }))));
    // Keys that are made anew under the same id are other keys.
    disk.store.create_repository_keys(&account(), &ALICE).unwrap();
    assert!(disk.read(ALICE, &meta).is_err());
    assert_eq!(disk.read(BOB, &kept).unwrap(), b"kept");
}

// J5
#[test]
fn lost_keys_are_not_made_anew() {
    let disk = Disk::new();
    let keys = disk.folder.path().join("keys");
    std::fs::remove_file(keys.join("keyring/catalog")).unwrap();
    assert!(matches!(disk.health(), Err(StoreError::Keyring(KeyringError::Missing { .. }))));
    assert!(!keys.join("keyring/catalog").exists());
    let open = || disk.runtime.block_on(Store::open(options(disk.folder.path(), &disk.clock))).err();
    assert!(matches!(open(), Some(StoreError::Keyring(KeyringError::Missing { .. }))));
    assert!(!keys.join("keyring/catalog").exists());
    // Another server's keys, too, open nothing.
    std::fs::rename(&keys, disk.folder.path().join("old")).unwrap();
    assert!(matches!(open(), Some(StoreError::Keyring(KeyringError::Missing { .. }))));
}

#[test]
fn health_fails_when_a_part_is_gone() {
    let disk = Disk::new();
    disk.health().unwrap();
    for part in ["data/blobs", "data/catalog.db", "keys/keyring", "keys/keyring/catalog"] {
        let (path, aside) = (disk.folder.path().join(part), disk.folder.path().join("aside"));
        std::fs::rename(&path, &aside).unwrap();
        assert!(disk.health().is_err(), "{part}");
        std::fs::rename(&aside, &path).unwrap();
        disk.health().unwrap_or_else(|error| panic!("{part} is back: {error}"));
    }
    let memory = disk.runtime.block_on(Store::in_memory(disk.clock.clone())).unwrap();
    disk.runtime.block_on(memory.health()).unwrap();
}
