//! Histories of paths, lines and commits, with C git as the judge.

use std::collections::{BTreeMap, HashSet};

use super::super::blame::{Blamed, blame};
use super::super::history::{Version, path_history};
use super::super::path_filters::PathFilters;
use super::super::search::{Wanted, search};
use super::*;

const ALL: (usize, usize) = (0, usize::MAX);

fn versions(pair: &Pair, tip: &str, path: &str, follow: bool) -> Vec<Version> {
    let snapshot = pair.repository().snapshot();
    let without = PathFilters::default();
    let found = path_history(&snapshot, &without, &pair.id_of(tip), path.as_bytes(), follow, ALL).unwrap();
    // Filters change nothing but how long it takes.
    let filters = filters(pair);
    assert_eq!(found, path_history(&snapshot, &filters, &pair.id_of(tip), path.as_bytes(), follow, ALL).unwrap());
    found
}

/// The changed-path filters of all commits.
fn filters(pair: &Pair) -> Arc<PathFilters> {
    while pair.repository().make_path_filters().unwrap() > 0 {}
    let filters = pair.repository().path_filters().unwrap();
    assert_eq!(filters.len(), pair.repository().snapshot().graph().len());
    filters
}

fn loaded(stream: &[u8]) -> (Pair, Vec<&'static str>) {
    let pair = Pair::new();
    git(pair.folder.path(), &["fast-import", "--quiet"], stream);
    let names = pair_branches(&pair);
    pair.push(&names);
    (pair, names)
}

#[test]
fn the_history_of_a_path_is_that_of_git() {
    for seed in 1..=6 {
        let (pair, names) = loaded(&history(seed, 90));
        for name in names {
            for path in ["f0", "f1", "f2", "f3", "d1", "d2/e0", "d1/e1/f0", "d2/e0/f3", "d1/e0/f1", "nope", ""] {
                let mut arguments = vec!["log", "--format=%H", name, "--"];
                arguments.push(if path.is_empty() { "." } else { path });
                let theirs: BTreeSet<String> = pair.git(&arguments).lines().map(str::to_owned).collect();
                let ours = versions(&pair, name, path, false);
                let ids: BTreeSet<String> = ours.iter().map(|version| version.commit.to_string()).collect();
                assert_eq!(ids, theirs, "{seed} {name} {path}");
                assert_eq!(ids.len(), ours.len());
                // Each is what Git finds at the path, and comes after what came of it.
                let mut seen = HashSet::new();
                for (i, version) in ours.iter().enumerate() {
                    let spec = format!("{}:{path}", version.commit);
                    let there = command(pair.folder.path(), &["rev-parse", "-q", "--verify", &spec]).output().unwrap();
                    let entry = version.entry.map_or(String::new(), |side| format!("{}\n", side.id));
                    assert_eq!(text(there.stdout), entry, "{spec}");
                    assert!(version.children.iter().all(|child| seen.contains(child)), "{spec}");
                    assert!(i == 0 || !version.children.is_empty(), "{spec}");
                    seen.insert(version.commit);
                }
                // Pages are pieces of it.
                let snapshot = pair.repository().snapshot();
                let page = path_history(&snapshot, &filters(&pair), &pair.id_of(name), path.as_bytes(), false, (2, 3))
                    .unwrap();
                assert_eq!(page, ours.iter().skip(2).take(3).cloned().collect::<Vec<_>>());
            }
        }
    }
}

/// Files that are edited line by line on branches that fork and merge, and renamed now and then.
fn edits(seed: u64, n_commits: u64) -> Vec<u8> {
    let mut dice = Dice(seed);
    let mut out = Vec::new();
    let first: Vec<String> = (0..40).map(|i| format!("line {i} as it was")).collect();
    let mut tips: [Option<(u64, String, Vec<String>)>; 3] = [const { None }; 3];
    for mark in 1..=n_commits {
        let branch = dice.roll(3) as usize;
        let from = tips[branch].clone().or_else(|| tips.iter().flatten().next().cloned());
        let (mut head, mut name, mut lines) = (String::new(), "file".to_owned(), first.clone());
        if let Some((parent, at, was)) = from {
            head.push_str(&format!("from :{parent}\n"));
            (name, lines) = (at, was);
            let other = tips[dice.roll(3) as usize].clone().filter(|(other, ..)| *other != parent);
            if let Some((other, _, theirs)) = other.filter(|_| dice.roll(3) == 0) {
                head.push_str(&format!("merge :{other}\n"));
                let middle = (dice.roll(40) as usize).min(lines.len()).min(theirs.len());
                lines = [&lines[..middle], &theirs[middle..]].concat();
                // Of like lines in one file it is anybody's guess which is which, and Git's guess is not ours.
                let mut seen = HashSet::new();
                lines.retain(|line| seen.insert(line.clone()));
            }
        }
        let old_name = name.clone();
        if mark > 1 && dice.roll(10) == 0 {
            name = format!("moved{mark}");
        }
        for i in 0..dice.roll(4) {
            let at = dice.roll(lines.len() as u64 + 1) as usize;
            match dice.roll(3) {
                0 if lines.len() > 30 && at < lines.len() => drop(lines.remove(at)),
                1 if at < lines.len() => lines[at] = format!("line changed in {mark} {i}"),
                _ => lines.insert(at, format!("line of {mark} {i}")),
            }
        }
        let content = lines.iter().map(|line| format!("{line}\n")).collect::<String>();
        let (who, at, message) = (mark % 5, 1_700_000_000 + mark * 60, format!("Change {mark}"));
        let of_commit =
            format!("commit refs/heads/b{branch}\nmark :{mark}\ncommitter A{who} <a@example.com> {at} +0000\n");
        out.extend_from_slice(of_commit.as_bytes());
        out.extend_from_slice(format!("data {}\n{message}\n{head}", message.len()).as_bytes());
        if old_name != name {
            out.extend_from_slice(format!("D {old_name}\n").as_bytes());
        }
        out.extend_from_slice(format!("M 100644 inline {name}\ndata {}\n{content}\n", content.len()).as_bytes());
        tips[branch] = Some((mark, name, lines));
    }
    out
}

/// By the number of a line: the commit, the path and the number there.
fn blamed_by_git(pair: &Pair, tip: &str, path: &str) -> BTreeMap<u32, (String, String, u32)> {
    let shown = pair.git(&["blame", "--line-porcelain", tip, "--", path]);
    let (mut out, mut head) = (BTreeMap::new(), None);
    for line in shown.lines() {
        if let Some(file) = line.strip_prefix("filename ") {
            let (id, original, line): (String, u32, u32) = head.take().unwrap();
            out.insert(line, (id, file.to_owned(), original));
        } else if !line.starts_with('\t') {
            let words: Vec<&str> = line.split(' ').collect();
            if words[0].len() == 40 && words[0].bytes().all(|byte| byte.is_ascii_hexdigit()) {
                head = Some((words[0].to_owned(), words[1].parse().unwrap(), words[2].parse().unwrap()));
            }
        }
    }
    out
}

fn each_line(blamed: &[Blamed]) -> BTreeMap<u32, (String, String, u32)> {
    let line = |blamed: &Blamed, i: u32| {
        let path = String::from_utf8(blamed.path.clone()).unwrap();
        (blamed.line + i, (blamed.commit.to_string(), path, blamed.original_line + i))
    };
    blamed.iter().flat_map(|blamed| (0..blamed.count).map(move |i| line(blamed, i))).collect()
}

#[test]
fn lines_come_from_where_git_says() {
    let mut n_commits = BTreeSet::new();
    for seed in 1..=12 {
        let (pair, names) = loaded(&edits(seed, 60));
        for name in names {
            let path = pair.git(&["ls-tree", "--name-only", name]).lines().next().unwrap().to_owned();
            let snapshot = pair.repository().snapshot();
            let ours = blame(&snapshot, &filters(&pair), &pair.id_of(name), path.as_bytes(), 1 << 20).unwrap();
            assert_eq!(each_line(&ours), blamed_by_git(&pair, name, &path), "{seed} {name} {path}");
            n_commits.extend(ours.into_iter().map(|blamed| blamed.commit));
        }
    }
    assert!(n_commits.len() > 100, "{}", n_commits.len());
}

#[test]
fn a_renamed_file_keeps_its_history() {
    let base: String = (0..50).map(|i| format!("line {i}\n")).collect();
    let commit = |mark: u32, changes: &str| {
        let from = if mark > 1 { format!("from :{}\n", mark - 1) } else { String::new() };
        let at = 1_700_000_000 + mark;
        format!(
            "commit refs/heads/b0\nmark :{mark}\ncommitter A <a@example.com> {at} +0000\ndata 1\nx\n{from}{changes}\n"
        )
    };
    let put = |path: &str, content: &str| format!("M 100644 inline {path}\ndata {}\n{content}\n", content.len());
    let stream = [
        commit(1, &put("a", &base)),
        commit(2, &put("a", &format!("{base}more\n"))),
        commit(3, "R a folder/b\n"),
        commit(4, &format!("D folder/b\n{}", put("c", &format!("first\n{base}more\n")))),
        commit(5, &put("other", "x\n")),
    ]
    .concat();
    let (pair, _) = loaded(stream.as_bytes());
    let ours: Vec<(String, String)> = versions(&pair, "b0", "c", true)
        .into_iter()
        .map(|version| (version.commit.to_string(), String::from_utf8(version.path).unwrap()))
        .collect();
    let theirs: Vec<String> =
        pair.git(&["log", "--follow", "--format=%H", "b0", "--", "c"]).lines().map(str::to_owned).collect();
    assert_eq!(ours.iter().map(|(id, _)| id.clone()).collect::<Vec<_>>(), theirs);
    assert_eq!(ours.iter().map(|(_, path)| path.as_str()).collect::<Vec<_>>(), ["c", "folder/b", "a", "a"]);
    assert_eq!(versions(&pair, "b0", "c", false).len(), 1);
}

#[test]
fn commits_are_found_as_git_finds_them() {
    let (pair, names) = loaded(&edits(77, 80));
    let name = names[0];
    let found = |wanted: &Wanted| {
        let snapshot = pair.repository().snapshot();
        let (mut ids, mut skip) = (BTreeSet::new(), 0);
        loop {
            let page = search(&snapshot, &filters(&pair), &pair.id_of(name), wanted, (skip, 3)).unwrap();
            assert!(page.commits.len() <= 3);
            for commit in page.commits {
                assert!(ids.insert(commit.id.to_string()));
            }
            match page.next {
                Some(next) => skip = next,
                None => return ids,
            }
        }
    };
    let by_git = |arguments: &[&str]| -> BTreeSet<String> {
        pair.git(&[&["log", "--format=%H", name], arguments].concat()).lines().map(str::to_owned).collect()
    };
    let some = |text: &str| Some(text.to_owned());
    let all = Wanted::default();
    assert_eq!(found(&all), by_git(&[]));
    assert_eq!(found(&Wanted { author: some("a3 <A@"), ..all.clone() }), by_git(&["--author=A3 <a@"]));
    assert_eq!(found(&Wanted { committer: some("EXAMPLE"), ..all.clone() }), by_git(&[]));
    assert_eq!(found(&Wanted { message: some("change 1"), ..all.clone() }), by_git(&["--grep=Change 1"]));
    assert_eq!(found(&Wanted { message: some("nothing"), ..all.clone() }), BTreeSet::new());
    let (since, until) = (1_700_000_000 + 20 * 60, 1_700_000_000 + 50 * 60);
    let times = [format!("--since={since}"), format!("--until={until}")];
    let between = Wanted { since: Some(since), until: Some(until), ..all.clone() };
    assert_eq!(found(&between), by_git(&[&times[0], &times[1]]));
    assert!(found(&between).len() > 5);
    let at = Wanted { path: Some(b"file".to_vec()), ..all };
    // All parents are followed here, as with `--full-history`; of merges only those count that are like no parent.
    let merges = by_git(&["--merges"]);
    let plain: BTreeSet<String> = found(&at).difference(&merges).cloned().collect();
    assert_eq!(plain, by_git(&["--full-history", "--no-merges", "--", "file"]));
    assert!(plain.len() > 5);
}

/// Prints what histories of paths cost, of a repository whose path is in `LOCKGATE_HISTORY_REPOSITORY`.
#[test]
#[ignore = "measures, on a repository that has to be named"]
fn what_histories_cost() {
    let path = std::env::var("LOCKGATE_HISTORY_REPOSITORY").expect("the repository is named");
    let mut pair = Pair::new();
    git(pair.folder.path(), &["fetch", "-q", &path, "+HEAD:refs/heads/b0"], b"");
    pair.push(&BRANCHES[..1]);
    pair.reopen();
    let snapshot = pair.repository().snapshot();
    let tip = pair.id_of("b0");
    let mut report = format!("{} commits\n", snapshot.graph().len());
    let begun = std::time::Instant::now();
    let filters = filters(&pair);
    report.push_str(&format!("filters made in {:?}\n", begun.elapsed()));
    pair.reopen();
    let snapshot = pair.repository().snapshot();
    snapshot.graph();
    let begun = std::time::Instant::now();
    let filters =
        pair.repository().path_filters().map(|read| (read.len() == filters.len()).then_some(read)).unwrap().unwrap();
    report.push_str(&format!("filters read in {:?}\n", begun.elapsed()));
    let none = PathFilters::default();
    for path in std::env::var("LOCKGATE_HISTORY_PATHS").unwrap_or_default().split(',') {
        let begun = std::time::Instant::now();
        let ours: BTreeSet<String> = path_history(&snapshot, &filters, &tip, path.as_bytes(), false, ALL)
            .unwrap()
            .into_iter()
            .map(|version| version.commit.to_string())
            .collect();
        let whole = begun.elapsed();
        let begun = std::time::Instant::now();
        path_history(&snapshot, &filters, &tip, path.as_bytes(), true, (0, 100)).unwrap();
        let page = begun.elapsed();
        let begun = std::time::Instant::now();
        path_history(&snapshot, &none, &tip, path.as_bytes(), true, (0, 100)).unwrap();
        let plain = begun.elapsed();
        let begun = std::time::Instant::now();
        let shown = pair.git(&["log", "--format=%H", "b0", "--", path]);
        let by_git = begun.elapsed();
        let theirs: BTreeSet<String> = shown.lines().map(str::to_owned).collect();
        assert_eq!(ours, theirs, "{path}");
        let begun = std::time::Instant::now();
        let blamed = blame(&snapshot, &filters, &tip, path.as_bytes(), 6 << 20);
        let blaming = begun.elapsed();
        let begun = std::time::Instant::now();
        let blamed_by_git = blamed.is_ok().then(|| blamed_by_git(&pair, "b0", path));
        let blaming_by_git = begun.elapsed();
        let n_lines = blamed_by_git.as_ref().map_or(0, BTreeMap::len);
        let n_other = blamed.ok().zip(blamed_by_git).map_or(0, |(ours, theirs)| {
            let ours = each_line(&ours);
            theirs.iter().filter(|(line, from)| ours.get(line) != Some(*from)).count()
        });
        report.push_str(&format!("{path}: the latest 100 without filters {plain:?}\n"));
        report.push_str(&format!(
            "{path}: {} versions in {whole:?}, 100 in {page:?}, git {by_git:?}; blame {blaming:?}, git {blaming_by_git:?}, \
             {n_other} of {n_lines} lines differ\n",
            ours.len()
        ));
    }
    std::io::stderr().write_all(report.as_bytes()).unwrap();
}
