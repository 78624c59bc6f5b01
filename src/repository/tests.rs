//! A repository fed with packs that C git made of generated histories, and C git as the judge of what comes out.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use proptest::prelude::*;
use tempfile::TempDir;

use super::handle::{PublishWith, Repository, RepositoryError};
use super::log::{LogEntry, RefChange};
use super::object::object_id;
use super::pack::ingest::IngestLimits;
use super::pack::oid_hash::raw;
use super::pack::read::Place;
use super::pack::write::{WriteOptions, write_pack};
use super::receive::receive;
use super::snapshot::Snapshot;
use super::walk::{ObjectFilter, Start, select};
use crate::clock::Clock;
use crate::names::{AccountId, ObjectId, RefName};
use crate::store::Store;
use crate::store::catalog::{Record, RecordBatch};

mod history;

/// A folder with a repository of C git, and ours beside it.
pub(super) struct Pair {
    folder: TempDir,
    runtime: tokio::runtime::Runtime,
    repository: Option<Arc<Repository>>,
    store: Store,
}

const REPOSITORY: [u8; 16] = [7; 16];

impl Pair {
    fn new() -> Pair {
        let folder = tempfile::tempdir().unwrap();
        git(folder.path(), &["init", "-q", "--bare", "-b", "main", "."], b"");
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        let store = runtime.block_on(Store::in_memory(Clock::manual(1_700_000_000_000))).unwrap();
        let record = Record { kind: "repository".into(), id: REPOSITORY, name: Some("shop".into()), body: Vec::new() };
        let batch = RecordBatch { puts: vec![record], ..RecordBatch::default() };
        store.wait(store.catalog().commit(&batch)).unwrap();
        let account = AccountId::parse("111111111111").unwrap();
        store.create_account_keys(&account).unwrap();
        store.create_repository_keys(&account, &REPOSITORY).unwrap();
        let mut pair = Pair { folder, runtime, repository: None, store };
        pair.reopen();
        pair
    }

    /// The branches of a history in the form of `git fast-import`.
    pub(super) fn imported(history: &[u8]) -> Pair {
        let pair = Pair::new();
        git(pair.folder.path(), &["fast-import", "--quiet", "--done"], history);
        let shown = pair.git(&["for-each-ref", "--format=%(refname)", "refs/heads"]);
        pair.push(&shown.lines().collect::<Vec<_>>());
        pair
    }

    /// Where C git's repository lies.
    pub(super) fn work(&self) -> &Path {
        self.folder.path()
    }

    /// Forgets what is in memory.
    fn reopen(&mut self) {
        let account = AccountId::parse("111111111111").unwrap();
        let first = RefName::branch("main").unwrap();
        self.repository = Some(Arc::new(Repository::open(&self.store, &account, REPOSITORY, &first).unwrap()));
        assert!(self.runtime.metrics().num_workers() > 0);
    }

    pub(super) fn repository(&self) -> &Repository {
        self.repository.as_ref().unwrap()
    }

    fn git(&self, arguments: &[&str]) -> String {
        text(git(self.folder.path(), arguments, b""))
    }

    pub(super) fn id_of(&self, revision: &str) -> ObjectId {
        ObjectId::from_hex(self.git(&["rev-parse", revision]).trim().as_bytes()).unwrap()
    }

    /// Pushes the state of some refs of C git's repository, as a thin pack against what was pushed; a ref that is gone there
    /// goes here.
    fn push(&self, names: &[&str]) {
        // As the door does when a push leans on what is left out.
        let before = self.repository().settle("test").unwrap();
        let mut revisions = String::new();
        let mut changes = Vec::new();
        for name in names {
            let name = RefName::parse(name.as_bytes()).unwrap();
            let shown = self.git(&["for-each-ref", "--format=%(objectname)", &name.to_string()]);
            let new = (!shown.is_empty()).then(|| ObjectId::from_hex(shown.trim().as_bytes()).unwrap());
            revisions.extend(new.map(|id| format!("{id}\n")));
            let old = before.refs.get(&name).map(|value| value.id);
            if old != new {
                changes.push(RefChange { name, old, new, peeled: None });
            }
        }
        revisions.push_str("--not\n");
        before.refs.iter().for_each(|(_, value)| revisions.push_str(&format!("{}\n", value.id)));
        let arguments = ["pack-objects", "--thin", "--stdout", "--revs", "--delta-base-offset", "-q"];
        let pack = git(self.folder.path(), &arguments, revisions.as_bytes());
        let repository = self.repository();
        let quarantine = receive(
            &self.store,
            repository.keys(),
            &before.objects,
            &mut &pack[..],
            &IngestLimits::default(),
            &[],
            true,
            &mut |_| {},
        )
        .unwrap();
        repository
            .publish::<RepositoryError>(&mut |snapshot| {
                let mut entry = LogEntry::new(0, "test".into());
                let mut after = snapshot.refs.clone();
                changes.iter().for_each(|change| after.apply(change));
                let removed: Vec<ObjectId> = changes
                    .iter()
                    .filter(|change| {
                        let (Some(old), new) = (change.old, change.new) else { return false };
                        new.is_none_or(|new| !self.is_ancestor(&old, &new))
                    })
                    .filter_map(|change| change.old)
                    .collect();
                let external = quarantine.as_ref().map_or(&[][..], |quarantine| &quarantine.external[..]);
                entry.reserve = repository.reserve(snapshot, &after, &removed, external)?;
                if let Some(quarantine) = &quarantine {
                    let tips: Vec<ObjectId> = changes.iter().filter_map(|change| change.new).collect();
                    let mut manifest = quarantine.manifest.clone();
                    manifest.served = repository.write_served(&quarantine.served_by(&tips)?, true)?;
                    entry.add_packs.push(manifest);
                }
                entry.refs.clone_from(&changes);
                Ok(Some((entry, PublishWith::default())))
            })
            .unwrap();
        if let Some(quarantine) = quarantine {
            quarantine.published();
        }
    }

    fn is_ancestor(&self, old: &ObjectId, new: &ObjectId) -> bool {
        let (old, new) = (old.to_string(), new.to_string());
        let arguments = ["merge-base", "--is-ancestor", &old, &new];
        command(self.folder.path(), &arguments).status().unwrap().success()
    }

    /// Every object that refs reach here is served and reads as what its id says, and nothing else is served; `is_exact` says
    /// that what is left out needlessly counts, too. Refs are those of C git.
    fn assert_serves(&self, names: &[&str], is_exact: bool) {
        let snapshot = self.repository().snapshot();
        let mut arguments = vec!["rev-list", "--objects", "--no-object-names"];
        let there: Vec<&str> = names
            .iter()
            .copied()
            .filter(|name| snapshot.refs.get(&RefName::parse(name.as_bytes()).unwrap()).is_some())
            .collect();
        arguments.extend(&there);
        let reachable: BTreeSet<String> = match there.is_empty() {
            true => BTreeSet::new(),
            false => self.git(&arguments).lines().map(str::to_string).collect(),
        };
        let mut served = BTreeSet::new();
        let mut reader = snapshot.objects.reader(1 << 20);
        for place in snapshot.all_served().iter() {
            let id = snapshot.id(place);
            assert_eq!(object_id(reader.kind(place), &reader.read(place).unwrap()), id);
            served.insert(id.to_string());
        }
        if is_exact {
            assert_eq!(served, reachable);
        } else {
            assert!(served.is_subset(&reachable), "{:?}", served.difference(&reachable).collect::<Vec<_>>());
        }
        for name in &there {
            assert!(snapshot.objects.find(&raw(&self.id_of(name))).is_some(), "{name}");
        }
        // A clone of it is a good one, made again in full.
        if is_exact && !there.is_empty() {
            let clone = tempfile::tempdir().unwrap();
            git(clone.path(), &["init", "-q", "--bare", "."], b"");
            let pack = packed(&snapshot, &snapshot.all_served(), None);
            git(clone.path(), &["index-pack", "--strict", "--stdin"], &pack);
        }
    }

    /// Length of the longest chain of deltas.
    fn longest_chain(&self) -> usize {
        use super::pack::index::Storage;
        let snapshot = self.repository().snapshot();
        let mut longest = 0;
        for pack in snapshot.objects.packs() {
            for position in 0..pack.index.len() {
                let (mut at, mut n) = (position, 0);
                while let Storage::Delta(base) = pack.index.storage(at) {
                    (at, n) = (base, n + 1);
                }
                longest = longest.max(n);
            }
        }
        longest
    }
}

fn packed(snapshot: &Snapshot, places: &super::objects::PlaceSet, bases: Option<&dyn Fn(Place) -> bool>) -> Vec<u8> {
    let mut pack = Vec::new();
    let options = WriteOptions { ofs_delta: true, thin_bases: bases };
    write_pack(&snapshot.objects, places, &options, &mut pack, &mut |_| Ok(())).unwrap();
    pack
}

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("git");
    command.current_dir(folder).args(arguments).env_clear().env("PATH", std::env::var_os("PATH").unwrap());
    command.env("GIT_CONFIG_NOSYSTEM", "1").env("HOME", "/nonexistent").stdin(Stdio::null());
    command
}

fn git(folder: &Path, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut command = command(folder, arguments);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writing = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    writing.join().unwrap().unwrap();
    assert!(output.status.success(), "git {arguments:?}: {}", text(output.stderr));
    output.stdout
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

/// Small numbers that depend on nothing but the seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// A history as `git fast-import` takes it: commits on three branches that fork and merge, folders, moves, changes that are
/// taken back.
fn history(seed: u64, n_commits: u64) -> Vec<u8> {
    let mut dice = Dice(seed);
    let mut out = String::new();
    let mut tips: [Option<u64>; 3] = [None; 3];
    for mark in 1..=n_commits {
        let branch = dice.roll(3) as usize;
        let body = format!("commit {mark}");
        out.push_str(&format!(
            "commit refs/heads/b{branch}\nmark :{mark}\ncommitter A <a@example.com> {} +0000\ndata {}\n{body}\n",
            1_700_000_000 + mark * (1 + dice.roll(3)),
            body.len()
        ));
        let from = tips[branch].or_else(|| tips.iter().flatten().next().copied());
        if let Some(from) = from {
            out.push_str(&format!("from :{from}\n"));
            let other = tips[dice.roll(3) as usize].filter(|other| *other != from);
            if let Some(other) = other.filter(|_| dice.roll(4) == 0) {
                out.push_str(&format!("merge :{other}\n"));
            }
        }
        for _ in 0..1 + dice.roll(3) {
            let (folder, file) = (dice.roll(3), dice.roll(4));
            let path = if folder == 0 { format!("f{file}") } else { format!("d{folder}/e{}/f{file}", dice.roll(2)) };
            if dice.roll(8) == 0 {
                out.push_str(&format!("D {path}\n"));
            } else {
                // Few versions, so that old ones come back.
                let content = format!("{}{}\n", "a line of it\n".repeat(30 + file as usize), dice.roll(12));
                out.push_str(&format!("M 100644 inline {path}\ndata {}\n{content}\n", content.len()));
            }
        }
        tips[branch] = Some(mark);
    }
    out.into_bytes()
}

const BRANCHES: [&str; 3] = ["refs/heads/b0", "refs/heads/b1", "refs/heads/b2"];

/// A clone wants branches and tags. What pull requests reach besides is sent with them where it is little.
#[test]
fn little_that_nobody_asked_for_does_not_cost_the_pack_as_it_is_stored() {
    let pair = Pair::new();
    let make = |name: &str, from: &str, n: usize| {
        let mut tip = from.to_owned();
        for i in 0..n {
            let parent: &[&str] = if tip.is_empty() { &[] } else { &["-p", &tip] };
            let message = format!("{name} {i}");
            let tree = text(git(pair.folder.path(), &["mktree"], b""));
            tip = pair
                .git(
                    &[
                        &["-c", "user.name=A", "-c", "user.email=a@b", "commit-tree", "-m", &message][..],
                        parent,
                        &[tree.trim()],
                    ]
                    .concat(),
                )
                .trim()
                .to_owned();
        }
        pair.git(&["update-ref", name, &tip]);
        pair.push(&[name]);
        ObjectId::from_hex(tip.as_bytes()).unwrap()
    };
    let main = make("refs/heads/main", "", 32);
    let wants = |ids: &[ObjectId]| pair.repository().snapshot().wants_everything(ids);
    assert!(wants(&[main]) && !wants(&[]));
    let of_pull = make("refs/pull/1/head", &main.to_string(), 3);
    assert!(wants(&[main]) && wants(&[main, of_pull]) && !wants(&[of_pull]));
    let side = make("refs/heads/side", &main.to_string(), 1);
    assert!(!wants(&[main]) && wants(&[main, side]));
    make("refs/pull/2/head", &main.to_string(), 5);
    assert!(!wants(&[main, side]), "8 of 41 commits are not little");
}

#[test]
fn a_file_changed_by_many_pushes_stays_in_few_packs_and_short_chains() {
    let mut pair = Pair::new();
    let mut stream = Vec::new();
    let base: String = (0..300).map(|i| format!("line {i} of a file that is changed and changed\n")).collect();
    for i in 1..=120 {
        let content = format!("{base}{i}\n");
        let from = if i > 1 { format!("from :{}\n", i - 1) } else { String::new() };
        stream.extend_from_slice(
            format!(
                "commit refs/heads/all\nmark :{i}\ncommitter A <a@example.com> {} +0000\ndata 1\nx\n{from}\
                 M 100644 inline file\ndata {}\n{content}\n",
                1_700_000_000 + i,
                content.len()
            )
            .as_bytes(),
        );
    }
    git(pair.folder.path(), &["fast-import", "--quiet"], &stream);
    let commits = pair.git(&["rev-list", "--reverse", "all"]);
    let mut n_joined = 0;
    for commit in commits.lines() {
        pair.git(&["update-ref", BRANCHES[0], commit]);
        pair.push(&BRANCHES[..1]);
        n_joined += usize::from(pair.repository().compact(&|| false).unwrap().is_some());
        assert!(pair.repository().snapshot().manifests.len() <= 16);
    }
    // Amortised: once for every dozen pushes or so.
    assert!((5..=20).contains(&n_joined), "{n_joined}");
    assert!((10..=100).contains(&pair.longest_chain()), "{}", pair.longest_chain());
    pair.assert_serves(&BRANCHES[..1], true);
    pair.reopen();
    pair.assert_serves(&BRANCHES[..1], true);
    // 360 objects: the copies that completed thin packs are gone from what was joined.
    let stored: u32 = pair.repository().snapshot().manifests.iter().map(|manifest| manifest.n_objects).sum();
    assert!(stored <= 360 + 2 * 16, "{stored}");
}

// B2
#[test]
fn what_happens_while_packs_are_joined_is_kept() {
    let mut pair = Pair::new();
    git(pair.folder.path(), &["fast-import", "--quiet"], &history(5, 120));
    // Thin packs, one for each commit of a branch, then the others.
    let commits = pair.git(&["rev-list", "--reverse", "--first-parent", "b0"]);
    let tip = pair.id_of("b0").to_string();
    for commit in commits.lines() {
        pair.git(&["update-ref", BRANCHES[0], commit]);
        pair.push(&BRANCHES[..1]);
    }
    assert_eq!(pair.id_of("b0").to_string(), tip);
    pair.push(&BRANCHES[1..2]);
    assert!(pair.repository().is_compaction_due());
    // A push of one branch and the deletion of another come between writing and publishing.
    let between = std::cell::Cell::new(false);
    let compacted = pair.repository().compact(&|| {
        if !between.replace(true) {
            pair.push(&BRANCHES[2..]);
            pair.git(&["update-ref", "-d", BRANCHES[1]]);
            pair.push(&BRANCHES[1..2]);
        }
        false
    });
    assert!(between.get() && compacted.unwrap().is_some());
    assert!(pair.repository().snapshot().manifests.len() < 16);
    assert!(!pair.repository().snapshot().is_exact);
    pair.assert_serves(&BRANCHES, false);
    pair.repository().settle("test").unwrap();
    pair.assert_serves(&BRANCHES, true);
    pair.reopen();
    pair.assert_serves(&BRANCHES, true);

    // Somebody else joins meanwhile: this one gives way and leaves no file.
    for name in ["b0", "b2"] {
        let commits = pair.git(&["rev-list", "--reverse", "--max-count=12", "--first-parent", name]);
        for commit in commits.lines() {
            let branch = format!("refs/heads/b{}", if name == "b0" { 0 } else { 2 });
            pair.git(&["update-ref", &branch, commit]);
            pair.push(&[&branch]);
        }
    }
    let stopped = pair.repository().compact(&|| true).unwrap();
    assert_eq!(stopped, None);
}

// J5
#[test]
fn a_rotation_seals_everything_anew_while_pushes_go_on() {
    let mut pair = Pair::new();
    let account = AccountId::parse("111111111111").unwrap();
    git(pair.folder.path(), &["fast-import", "--quiet"], &history(3, 40));
    let names = pair_branches(&pair);
    pair.push(&names[..1]);
    pair.push(&names);
    // A ref that is gone leaves a served set, a file of its own.
    pair.git(&["update-ref", "-d", names[0]]);
    pair.push(&names);
    pair.repository().settle("test").unwrap();
    let before = pair.repository().snapshot();
    let files = |pair: &Pair| -> Vec<u32> { pair.repository().epochs_in_use().unwrap().into_iter().collect() };
    assert_eq!(files(&pair), [1]);
    let keyring = pair.store.keyring();
    assert_eq!(keyring.rotate_repository(&account, &REPOSITORY).unwrap(), 2);

    // Someone who began before goes on, under the new key; and what is sealed anew is interrupted halfway.
    pair.git(&["branch", "late", names[1]]);
    git(pair.folder.path(), &["fast-import", "--quiet", "--force"], &history(4, 8));
    pair.push(&["refs/heads/late", names[1], names[2]]);
    assert_eq!(files(&pair), [1, 2]);
    let asked = std::cell::Cell::new(0);
    let stopped = pair.repository().reseal(&|| asked.replace(asked.get() + 1) > 0).unwrap();
    assert!(stopped.n_packs < before.manifests.len());
    let done = pair.repository().reseal(&|| false).unwrap();
    assert_eq!(stopped.n_packs + done.n_packs, before.manifests.len());
    assert_eq!(files(&pair), [2]);
    assert_eq!(pair.repository().reseal(&|| false).unwrap(), super::resealing::Resealed::default());
    let all: Vec<&str> = names[1..].iter().copied().chain(["refs/heads/late"]).collect();
    pair.repository().settle("test").unwrap();
    pair.assert_serves(&all, true);
    // What is read, is read from the new files: from the first key nothing is left but what opens the log's rows.
    let (grace, now) = (super::resealing::EPOCH_GRACE_MS, pair.store.clock().clone());
    assert!(keyring.note_epochs_in_use(&account, &REPOSITORY, &[2], grace).unwrap().is_empty());
    now.advance_ms(grace);
    assert_eq!(keyring.note_epochs_in_use(&account, &REPOSITORY, &[2], grace).unwrap(), [1]);
    assert!(pair.repository().store().open_file(pair.repository().keys(), &before.manifests[0].pack).is_err());
    pair.reopen();
    pair.assert_serves(&all, true);
    assert!(pair.runtime.block_on(pair.store.sweep()).unwrap() > 0);
    pair.reopen();
    pair.assert_serves(&all, true);
    let first = RefName::branch("main").unwrap();
    let checked = super::check::check(&pair.store, &account, &REPOSITORY, &first);
    assert!(checked.damage.is_empty(), "{:?}", checked.damage);
}

// J5
#[test]
fn a_disabled_key_stops_what_is_under_way_and_changes_nothing() {
    let mut pair = Pair::new();
    let account = AccountId::parse("111111111111").unwrap();
    git(pair.folder.path(), &["fast-import", "--quiet"], &history(5, 10));
    let names = pair_branches(&pair);
    pair.push(&names);
    let repository = pair.repository.clone().unwrap();
    let before = repository.snapshot();
    let keyring = pair.store.keyring();
    let change = |change| keyring.change_repository_state(&account, &REPOSITORY, change).unwrap();
    change(crate::store::keyring::rotation::StateChange::Disable);
    let refused = repository
        .publish::<RepositoryError>(&mut |_| Ok(Some((LogEntry::new(0, "test".into()), PublishWith::default()))));
    assert!(refused.is_err_and(|error| error.key_refusal().is_some()));
    let file = pair.store.open_file(repository.keys(), &before.manifests[0].pack).map(|_| ());
    assert!(file.unwrap_err().to_string().contains("is disabled"));
    let first = RefName::branch("main").unwrap();
    let opened = Repository::open(&pair.store, &account, REPOSITORY, &first).map(|_| ());
    assert!(opened.is_err_and(|error| error.key_refusal().is_some()));
    change(crate::store::keyring::rotation::StateChange::Enable);
    assert_eq!(repository.catch_up().unwrap().generation, before.generation);
    drop(repository);
    pair.reopen();
    pair.assert_serves(&names, true);
}

#[test]
fn a_checkpoint_says_what_the_log_says() {
    let mut pair = Pair::new();
    git(pair.folder.path(), &["fast-import", "--quiet"], &history(9, 40));
    pair.push(&BRANCHES);
    assert!(!pair.repository().is_checkpoint_due());
    let tip = pair.id_of("b1");
    let names: Vec<RefName> = (0..7).map(|i| RefName::parse(format!("refs/tags/t{i}").as_bytes()).unwrap()).collect();
    let turn = |pair: &Pair, n: usize| {
        for i in 0..n {
            let name = names[i % names.len()].clone();
            pair.repository()
                .publish::<RepositoryError>(&mut |snapshot| {
                    let mut entry = LogEntry::new(0, "test".into());
                    let old = snapshot.refs.get(&name).map(|value| value.id);
                    let new = if old.is_some() { None } else { Some(tip) };
                    entry.refs.push(RefChange { name: name.clone(), old, new, peeled: None });
                    Ok(Some((entry, PublishWith::default())))
                })
                .unwrap();
        }
    };
    turn(&pair, 600);
    assert!(pair.repository().is_checkpoint_due());
    let generation = pair.repository().write_checkpoint().unwrap();
    assert_eq!(generation, Some(601));
    assert_eq!(pair.repository().write_checkpoint().unwrap(), None);
    turn(&pair, 5);
    let shown = |pair: &Pair| -> (i64, [u8; 32], Vec<String>, usize) {
        let snapshot = pair.repository().snapshot();
        let refs = snapshot.refs.iter().map(|(name, value)| format!("{name} {value:?}")).collect();
        (snapshot.generation, snapshot.last_hash, refs, snapshot.manifests.len())
    };
    let before = shown(&pair);
    pair.reopen();
    assert_eq!(shown(&pair), before);
    pair.assert_serves(&BRANCHES, true);
    // The next one takes its place, and the old file goes.
    turn(&pair, 512);
    assert_eq!(pair.repository().write_checkpoint().unwrap(), Some(1118));
    let before = shown(&pair);
    pair.reopen();
    assert_eq!(shown(&pair), before);
    // The log alone says the same.
    let account = AccountId::parse("111111111111").unwrap();
    let first = RefName::branch("main").unwrap();
    let checked = super::check::check(&pair.store, &account, &REPOSITORY, &first);
    assert_eq!(checked.damage, Vec::<String>::new());
    assert_eq!(checked.n_entries as i64, before.0);
}

// What a checkpoint names may be joined and swept before the next one is written.
#[test]
fn a_checkpoint_outlives_the_packs_it_names() {
    let mut pair = Pair::new();
    git(pair.folder.path(), &["fast-import", "--quiet"], &history(11, 60));
    let commits = pair.git(&["rev-list", "--reverse", "--first-parent", "b0"]);
    let commits: Vec<String> = commits.lines().map(str::to_string).collect();
    assert!(commits.len() > 18);
    let push = |pair: &Pair, commit: &str| {
        pair.git(&["update-ref", BRANCHES[0], commit]);
        pair.push(&BRANCHES[..1]);
    };
    commits[..10].iter().for_each(|commit| push(&pair, commit));
    let name = RefName::parse(b"refs/tags/t").unwrap();
    let tip = pair.id_of("b0");
    for _ in 0..super::checkpoint::CHECKPOINT_EVERY {
        pair.repository()
            .publish::<RepositoryError>(&mut |snapshot| {
                let mut entry = LogEntry::new(0, "test".into());
                let old = snapshot.refs.get(&name).map(|value| value.id);
                let new = if old.is_some() { None } else { Some(tip) };
                entry.refs.push(RefChange { name: name.clone(), old, new, peeled: None });
                Ok(Some((entry, PublishWith::default())))
            })
            .unwrap();
    }
    assert!(pair.repository().write_checkpoint().unwrap().is_some());
    commits[10..].iter().for_each(|commit| push(&pair, commit));
    assert!(pair.repository().compact(&|| false).unwrap().is_some());
    pair.store.clock().advance_ms(25 * 60 * 60 * 1000);
    let n_swept = pair.store.wait(pair.store.sweep()).unwrap();
    assert!(n_swept >= 20, "{n_swept}");
    pair.reopen();
    pair.assert_serves(&BRANCHES[..1], true);
    let account = AccountId::parse("111111111111").unwrap();
    let first = RefName::branch("main").unwrap();
    assert_eq!(super::check::check(&pair.store, &account, &REPOSITORY, &first).damage, Vec::<String>::new());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(6), max_shrink_iters: 0, ..ProptestConfig::default() })]

    /// What is sent to someone who has some of a history makes the rest of it whole, for C git, whatever was joined and
    /// whatever is thin.
    #[test]
    fn what_is_sent_completes_what_is_there(seed: u64) {
        let pair = Pair::new();
        let mut dice = Dice(seed);
        git(pair.folder.path(), &["fast-import", "--quiet"], &history(seed, 60));
        let present: Vec<&str> = pair_branches(&pair);
        // The tips come in several pushes, so that objects lie in several packs.
        let all = pair.git(&["rev-list", "--reverse", "--all"]);
        let all: Vec<&str> = all.lines().collect();
        let tips: Vec<(&str, String)> = present.iter().map(|name| (*name, pair.id_of(name).to_string())).collect();
        for _ in 0..24 {
            let commit = all[dice.roll(all.len() as u64) as usize];
            pair.git(&["update-ref", "refs/heads/part", commit]);
            pair.push(&["refs/heads/part"]);
        }
        for (name, tip) in &tips {
            pair.git(&["update-ref", name, tip]);
        }
        pair.git(&["update-ref", "-d", "refs/heads/part"]);
        let mut names = present.clone();
        names.push("refs/heads/part");
        pair.push(&names);
        if dice.roll(2) == 0 {
            pair.repository().compact(&|| false).unwrap();
        }
        pair.repository().settle("test").unwrap();
        pair.assert_serves(&names, true);

        let snapshot = pair.repository().snapshot();
        for _ in 0..4 {
            let wanted: Vec<&str> = (0..1 + dice.roll(3)).map(|_| all[dice.roll(all.len() as u64) as usize]).collect();
            let had: Vec<&str> = (0..dice.roll(4)).map(|_| all[dice.roll(all.len() as u64) as usize]).collect();
            let id = |hex: &&str| ObjectId::from_hex(hex.as_bytes()).unwrap();
            let wants: Vec<Place> = wanted.iter().map(|hex| snapshot.objects.find(&raw(&id(hex))).unwrap()).collect();
            let haves: Vec<_> = had.iter().map(|hex| snapshot.commit(&id(hex)).unwrap()).collect();
            let filter = ObjectFilter::default();
            let start = Start {
                wants: &wants, haves: &haves, new_edges: &|_| false, old_edges: &|_| false, filter: &filter,
            };
            let selection = select(&snapshot.objects, snapshot.graph(), &start, &mut |_| Ok(())).unwrap();
            let bases = |place| selection.known.contains(place);
            let pack = packed(&snapshot, &selection.places, Some(&bases));

            // A client that has exactly the history of `had`.
            let client = tempfile::tempdir().unwrap();
            git(client.path(), &["init", "-q", "--bare", "."], b"");
            if !had.is_empty() {
                let theirs = git(pair.folder.path(), &["pack-objects", "--stdout", "--revs", "-q"],
                    format!("{}\n", had.join("\n")).as_bytes());
                git(client.path(), &["index-pack", "--stdin"], &theirs);
            }
            if !selection.places.is_empty() {
                git(client.path(), &["index-pack", "--fix-thin", "--strict", "--stdin"], &pack);
            }
            let mut arguments = vec!["rev-list", "--objects", "--no-object-names"];
            arguments.extend(&wanted);
            let complete: BTreeSet<String> = text(git(client.path(), &arguments, b"")).lines().map(str::to_string).collect();
            let expected: BTreeSet<String> = pair.git(&arguments).lines().map(str::to_string).collect();
            prop_assert_eq!(complete, expected);

            // And nothing is sent that the client has as part of its commits' trees, or that nobody asked for.
            let mut arguments = vec!["rev-list", "--objects", "--no-object-names"];
            arguments.extend(&wanted);
            arguments.push("--not");
            arguments.extend(&had);
            let needed = pair.git(&arguments).lines().count();
            prop_assert!(selection.places.len() <= expected_at_most(needed), "{} for {needed}", selection.places.len());
        }
    }
}

#[test]
fn changed_paths_are_those_of_git_diff() {
    use super::changed_paths::{ChangedPathsError, changed_paths};
    let pair = Pair::new();
    git(pair.folder.path(), &["fast-import", "--quiet"], &history(21, 80));
    // A file that becomes a folder, a folder that becomes a file, a mode, a link, a submodule.
    let odd = "commit refs/heads/b0\nmark :900\ncommitter A <a@example.com> 1900000000 +0000\ndata 3\nodd\n\
               from refs/heads/b0^0\nD d1\nM 100644 inline d1\ndata 2\nx\n\nD f1\nM 100755 inline f1/in/it\ndata 2\ny\n\n\
               M 120000 inline link\ndata 2\nd1\nM 160000 1111111111111111111111111111111111111111 sub\n\
               M 100644 inline a.b\ndata 2\nz\n\nM 100644 inline a/c\ndata 2\nz\n\n\
               M 100644 inline a0\ndata 2\nz\n\n";
    git(pair.folder.path(), &["fast-import", "--quiet"], odd.as_bytes());
    pair.push(&BRANCHES);
    let snapshot = pair.repository().snapshot();
    let mut commits: Vec<String> = pair.git(&["rev-list", "--all"]).lines().step_by(5).map(str::to_string).collect();
    commits.push(pair.id_of("b0").to_string());
    commits.push(pair.id_of("b0~1").to_string());
    let mut n_found = 0;
    for old in &commits {
        for new in &commits {
            let tree = |commit: &str| raw(&pair.id_of(&format!("{commit}^{{tree}}")));
            let ours: BTreeSet<String> = changed_paths(&snapshot.objects, Some(&tree(old)), Some(&tree(new)), 1000)
                .unwrap()
                .into_iter()
                .map(text)
                .collect();
            let theirs = pair.git(&["diff-tree", "-r", "--no-renames", "--name-only", old, new]);
            let theirs: BTreeSet<String> = theirs.lines().map(str::to_string).collect();
            assert_eq!(ours, theirs, "{old} {new}");
            n_found += ours.len();
        }
    }
    assert!(n_found > 500, "{n_found}");
    let tip = raw(&pair.id_of("b0^{tree}"));
    let all = changed_paths(&snapshot.objects, None, Some(&tip), 1000).unwrap();
    assert_eq!(all.len(), pair.git(&["ls-tree", "-r", "b0"]).lines().count());
    assert_eq!(changed_paths(&snapshot.objects, Some(&tip), None, 1000).unwrap(), all);
    let error = changed_paths(&snapshot.objects, None, Some(&tip), all.len() - 1).unwrap_err();
    assert!(matches!(error, ChangedPathsError::TooMany { .. }));
}

/// An object that comes back after it was gone is sent again where C git's walk happens to know that the client has it.
fn expected_at_most(needed: usize) -> usize {
    needed + needed / 2 + 8
}

fn pair_branches(pair: &Pair) -> Vec<&'static str> {
    let shown = pair.git(&["for-each-ref", "--format=%(refname)"]);
    BRANCHES.into_iter().filter(|name| shown.lines().any(|line| line == *name)).collect()
}

/// More cases where somebody asks for them.
pub(super) fn cases(few: u32) -> u32 {
    std::env::var("LOCKGATE_SOAK").map_or(few, |_| few * 50)
}
