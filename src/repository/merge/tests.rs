//! Merges of generated histories against those of real Git.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};

use super::*;
use crate::repository::tests::Pair;

/// What one step does to a branch.
#[derive(Debug, Clone)]
enum Step {
    /// Changes a line of a file: file, line, text.
    Line(usize, usize, u8),
    /// Puts a new file, or another one over it.
    Put(usize, u8),
    /// Deletes a file.
    Delete(usize),
    /// Renames a file to another name.
    Rename(usize, usize),
    /// Makes a file executable, or not.
    Mode(usize),
    /// Puts a link in place of a file.
    Link(usize, u8),
    /// Puts bytes that are no text.
    Binary(usize, u8),
    /// Points a submodule at a commit.
    Submodule(usize, u8),
    /// Renames a folder.
    Move(usize, usize),
}

/// Folders, and what they are renamed to.
const FOLDERS: [&str; 5] = ["c", "f", "f/g", "z", "f/z"];

/// Names of files; two of them are a folder and a file in its place.
const NAMES: [&str; 11] = ["a", "b", "c/d", "c/e", "c", "f/g/h", "f/g/i", "f/x", "c/new", "f/g/new", "sub"];

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let (file, mark) = (0..NAMES.len() - 1, 0..6u8);
    let step = prop_oneof![
        6 => (file.clone(), 0..12usize, mark.clone()).prop_map(|(file, line, mark)| Step::Line(file, line, mark)),
        2 => (file.clone(), mark.clone()).prop_map(|(file, mark)| Step::Put(file, mark)),
        2 => file.clone().prop_map(Step::Delete),
        3 => (file.clone(), file.clone()).prop_map(|(from, to)| Step::Rename(from, to)),
        1 => file.clone().prop_map(Step::Mode),
        1 => (file.clone(), mark.clone()).prop_map(|(file, mark)| Step::Link(file, mark)),
        1 => (file.clone(), mark.clone()).prop_map(|(file, mark)| Step::Binary(file, mark)),
        1 => (0..3usize, 0..FOLDERS.len()).prop_map(|(from, to)| Step::Move(from, to)),
        1 => (Just(NAMES.len() - 1), mark).prop_map(|(file, mark)| Step::Submodule(file, mark)),
    ];
    prop::collection::vec(step, 1..5)
}

/// A tree as files: path, mode, content.
type Files = BTreeMap<String, (&'static str, Vec<u8>)>;

fn text(seed: usize, n_lines: usize) -> Vec<u8> {
    (0..n_lines)
        .flat_map(|line| format!("line {line} of file {seed}, long enough to be told from others\n").into_bytes())
        .collect()
}

fn first_files() -> Files {
    let plain = ["a", "b", "c/d", "c/e", "f/g/h", "f/g/i"];
    // Every second one can be run: a mode is taken away as well as given.
    let mode = |i: usize| if i.is_multiple_of(2) { "100644" } else { "100755" };
    plain.iter().enumerate().map(|(i, name)| ((*name).to_owned(), (mode(i), text(i, 12)))).collect()
}

/// A file takes the place of what it would be a folder of, or lie in.
fn place(files: &mut Files, name: &str, file: (&'static str, Vec<u8>)) {
    let below = format!("{name}/");
    files.retain(|other, _| !other.starts_with(&below) && !name.starts_with(&format!("{other}/")));
    files.insert(name.to_owned(), file);
}

fn apply(files: &mut Files, step: &Step) {
    match step {
        Step::Line(file, line, mark) => {
            if let Some((mode, content)) = files.get_mut(NAMES[*file])
                && mode.starts_with("100")
            {
                let mut lines: Vec<Vec<u8>> =
                    content.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
                let at = *line % (lines.len() + 1);
                let new = format!("changed {mark} at {line}\n").into_bytes();
                match mark % 3 {
                    0 => lines.insert(at, new),
                    1 if at < lines.len() => {
                        lines.remove(at);
                    }
                    _ if at < lines.len() => lines[at] = new,
                    _ => lines.push(new),
                }
                *content = lines.concat();
            }
        }
        Step::Put(file, mark) => place(files, NAMES[*file], ("100644", text(100 + usize::from(*mark), 8))),
        Step::Delete(file) => {
            files.remove(NAMES[*file]);
        }
        Step::Rename(from, to) => {
            if let Some(file) = files.remove(NAMES[*from]) {
                place(files, NAMES[*to], file);
            }
        }
        Step::Mode(file) => {
            if let Some((mode, _)) = files.get_mut(NAMES[*file])
                && mode.starts_with("100")
            {
                *mode = if *mode == "100644" { "100755" } else { "100644" };
            }
        }
        Step::Link(file, mark) => place(files, NAMES[*file], ("120000", format!("to {mark}").into_bytes())),
        Step::Binary(file, mark) => place(files, NAMES[*file], ("100644", vec![0, *mark, 0, 1, 2, 3])),
        Step::Move(from, to) => {
            let (from, to) = (format!("{}/", FOLDERS[*from]), format!("{}/", FOLDERS[*to]));
            let moved: Vec<String> = files.keys().filter(|name| name.starts_with(&from)).cloned().collect();
            // A folder does not go into itself.
            for name in moved.iter().filter(|_| !to.starts_with(&from)) {
                if let Some(file) = files.remove(name) {
                    place(files, &name.replacen(&from, &to, 1), file);
                }
            }
        }
        Step::Submodule(file, mark) => {
            place(files, NAMES[*file], ("160000", format!("{:040x}", u32::from(*mark) + 1).into_bytes()));
        }
    }
}

/// A commit as `git fast-import` takes it.
fn commit(out: &mut Vec<u8>, mark: usize, time: usize, branch: &str, parents: &[usize], files: &Files) {
    out.extend(
        format!("commit refs/heads/{branch}\nmark :{mark}\ncommitter A <a@b> {} +0000\n", 1_700_000_000 + time).bytes(),
    );
    out.extend(b"data 1\nx\n");
    for (i, parent) in parents.iter().enumerate() {
        out.extend(format!("{} :{parent}\n", if i == 0 { "from" } else { "merge" }).bytes());
    }
    out.extend(b"deleteall\n");
    for (name, (mode, content)) in files {
        if *mode == "160000" {
            out.extend(format!("M 160000 {} {name}\n", String::from_utf8_lossy(content)).bytes());
        } else {
            out.extend(format!("M {mode} inline {name}\ndata {}\n", content.len()).bytes());
            out.extend(content);
            out.push(b'\n');
        }
    }
}

/// Two branches; if they cross, each has merged what the other one began with, its own files kept.
fn history(ours: &[Step], theirs: &[Step], crossing: Option<(&[Step], &[Step])>) -> Vec<u8> {
    let mut out = Vec::new();
    let base = first_files();
    commit(&mut out, 1, 1, "base", &[], &base);
    let after = |files: &Files, steps: &[Step]| {
        let mut files = files.clone();
        steps.iter().for_each(|step| apply(&mut files, step));
        files
    };
    let (our_files, their_files) = (after(&base, ours), after(&base, theirs));
    commit(&mut out, 2, 2, "ours", &[1], &our_files);
    commit(&mut out, 3, 3, "theirs", &[1], &their_files);
    if let Some((our_more, their_more)) = crossing {
        // Both merges happen at once: neither is in the other's history.
        commit(&mut out, 4, 4, "ours", &[2, 3], &after(&our_files, our_more));
        commit(&mut out, 5, 5, "theirs", &[3, 2], &after(&their_files, their_more));
    }
    out.extend(b"done\n");
    out
}

/// What Git says: the tree, and the paths in conflict.
fn by_git(pair: &Pair) -> (bool, String, BTreeSet<String>) {
    let output = std::process::Command::new("git")
        .args(["merge-tree", "--write-tree", "--name-only", "--no-messages", "ours", "theirs"])
        .current_dir(pair.work())
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("HOME", pair.work())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let mut lines = text.lines();
    let tree = lines.next().unwrap_or_default().to_owned();
    (output.status.success(), tree, lines.filter(|line| !line.is_empty()).map(str::to_owned).collect())
}

/// What a comparison found.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Found {
    /// The same as in Git: the same tree, or a conflict.
    Same,
    /// Somebody is asked where Git merges.
    Asked,
}

/// What is said to be merged is what Git makes of it; what Git cannot merge is never said to be.
fn compare(ours: &[Step], theirs: &[Step], crossing: Option<(&[Step], &[Step])>) -> Result<Found, TestCaseError> {
    let pair = Pair::imported(&history(ours, theirs, crossing));
    let (is_clean, tree, paths) = by_git(&pair);
    let snapshot = pair.repository().snapshot();
    let line_level = MergeOptions { detail: ConflictDetail::Line, ..MergeOptions::default() };
    let merged = merge(&snapshot, &pair.id_of("ours"), &pair.id_of("theirs"), &line_level);
    let merged = merged.map_err(|error| TestCaseError::fail(format!("{error}")))?;
    match (&merged.tree, is_clean) {
        (Some(ours), true) => prop_assert_eq!(ours.to_string(), tree),
        (Some(ours), false) => prop_assert!(false, "merged to {} where git has conflicts at {:?}", ours, paths),
        (None, true) => return Ok(Found::Asked),
        (None, false) => prop_assert!(!merged.conflicts.is_empty()),
    }
    Ok(Found::Same)
}

/// Compares generated histories, always the same ones but in a soak. Where files and folders change places, or merge bases are in
/// conflict with each other, somebody may be asked whom Git does not ask: seldom.
fn hold(few: u32, most_asked_percent: u32, crosses: bool) {
    let n_cases = crate::repository::tests::cases(few);
    let config = ProptestConfig { cases: n_cases, failure_persistence: None, ..ProptestConfig::default() };
    let mut runner = match n_cases == few {
        true => TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha)),
        false => TestRunner::new(config),
    };
    let n_asked = std::cell::Cell::new(0);
    let ran = runner.run(&(steps(), steps(), steps(), steps()), |(ours, theirs, a, b)| {
        let found = compare(&ours, &theirs, crosses.then_some((&a, &b)))?;
        n_asked.set(n_asked.get() + u32::from(found == Found::Asked));
        Ok(())
    });
    ran.unwrap_or_else(|error| panic!("{error}"));
    assert!(n_asked.get() * 100 <= n_cases * most_asked_percent, "asked in {} of {n_cases}", n_asked.get());
}

#[test]
fn merges_are_those_of_git() {
    hold(24, 5, false);
}

#[test]
fn crossing_merges_are_those_of_git() {
    hold(24, 10, true);
}

// Found by `hold`.
#[test]
fn merges_that_once_were_not_those_of_git() {
    use Step::{Binary, Delete, Line, Mode, Rename};
    let cases: [[&[Step]; 4]; 6] = [
        // The base that both have is, by accident, what one of them has.
        [&[Binary(3, 0)], &[Rename(0, 4)], &[Line(0, 0, 0)], &[Line(2, 0, 0)]],
        [&[Binary(3, 0)], &[Rename(0, 4)], &[Delete(3)], &[Line(0, 0, 0)]],
        // What is no text was added on both sides of the bases.
        [&[Binary(4, 0)], &[Rename(0, 4)], &[Line(0, 0, 0)], &[Line(0, 0, 0)]],
        // The library panics.
        [&[Rename(0, 3)], &[Step::Put(3, 0)], &[Line(0, 0, 0)], &[Binary(4, 0)]],
        // A file in the place of a folder that got another file.
        [&[Step::Link(8, 0)], &[Rename(5, 4)], &[Line(0, 0, 0)], &[Line(0, 0, 0)]],
        // A mode that was taken away beside a rename.
        [&[Mode(3)], &[Rename(3, 7)], &[Line(0, 0, 0)], &[Line(0, 1, 0)]],
    ];
    for [ours, theirs, a, b] in cases {
        assert!(compare(ours, theirs, None).is_ok() && compare(theirs, ours, None).is_ok());
        assert!(compare(ours, theirs, Some((a, b))).is_ok());
    }
}

/// A pair of branches that both change one file, in other lines and in the same line.
fn two_changes() -> Pair {
    let steps = |line, mark| [Step::Line(0, line, mark), Step::Line(1, 5, mark)];
    Pair::imported(&history(&steps(1, 2), &steps(10, 5), None))
}

#[test]
fn conflicts_are_settled_as_asked() {
    let pair = two_changes();
    let snapshot = pair.repository().snapshot();
    let (ours, theirs) = (pair.id_of("ours"), pair.id_of("theirs"));
    let run = |options: &MergeOptions<'_>| merge(&snapshot, &ours, &theirs, options).unwrap();
    let paths = |merged: &Merged| -> Vec<String> {
        merged.conflicts.iter().map(|conflict| String::from_utf8_lossy(&conflict.path).into_owned()).collect()
    };
    let file_level = run(&MergeOptions::default());
    assert_eq!((file_level.tree, paths(&file_level)), (None, vec!["a".to_owned(), "b".to_owned()]));
    let line = MergeOptions { detail: ConflictDetail::Line, ..MergeOptions::default() };
    let line_level = run(&line);
    assert_eq!((line_level.tree, paths(&line_level)), (None, vec!["b".to_owned()]));
    assert_eq!(line_level.conflicts[0].n_conflicts, 1);
    let content = |merged: &Merged, path: &str| -> Vec<u8> {
        // The new tree is read as it would be stored.
        let tree = merged.tree.unwrap();
        let id = match merged.objects.get(&tree) {
            Some((_, data)) => {
                let mut entries = crate::repository::object::TreeIter::new(data).map(Result::unwrap);
                entries.find(|entry| entry.name == path.as_bytes()).unwrap().oid.to_owned()
            }
            None => Browser::new(&snapshot).in_tree(&tree, path.as_bytes()).unwrap().unwrap().id,
        };
        match merged.objects.get(&id) {
            Some((_, data)) => data.to_vec(),
            None => Browser::new(&snapshot).blob(&id, 1 << 20).unwrap().to_vec(),
        }
    };
    let at = |commit: &ObjectId, path: &str| {
        let mut browser = Browser::new(&snapshot);
        let id = browser.at_path(commit, path.as_bytes()).unwrap().unwrap().id;
        browser.blob(&id, 1 << 20).unwrap().to_vec()
    };
    for (settling, winner) in [(Settling::Source, &theirs), (Settling::Destination, &ours)] {
        let whole = run(&MergeOptions { settling, ..MergeOptions::default() });
        assert_eq!((content(&whole, "a"), content(&whole, "b")), (at(winner, "a"), at(winner, "b")));
        let lines = run(&MergeOptions { settling, ..line });
        assert_eq!(content(&lines, "b"), at(winner, "b"));
        assert_ne!(content(&lines, "a"), at(winner, "a"));
    }
    let mut by_hand = Resolutions::default();
    by_hand.files.insert("b".to_owned(), (Resolution::Content(b"so\n".to_vec()), Some(0o100755)));
    let options = MergeOptions { settling: Settling::ByHand, resolutions: Some(&by_hand), ..line };
    let settled = run(&options);
    assert_eq!(content(&settled, "b"), b"so\n");
    let none = Resolutions::default();
    let unsettled = run(&MergeOptions { resolutions: Some(&none), ..options });
    assert_eq!(unsettled.tree, None);
    let mut other = by_hand.clone();
    other.files.insert("c/d".to_owned(), (Resolution::Delete, None));
    let error = merge(&snapshot, &ours, &theirs, &MergeOptions { resolutions: Some(&other), ..options }).unwrap_err();
    assert_eq!(error.to_string(), "`c/d` is not in conflict");
}

#[test]
fn what_is_read_is_bounded() {
    let pair = two_changes();
    let snapshot = pair.repository().snapshot();
    let limits = MergeLimits { total_bytes: 1000, ..MergeLimits::default() };
    let options = MergeOptions { limits, ..MergeOptions::default() };
    let error = merge(&snapshot, &pair.id_of("ours"), &pair.id_of("theirs"), &options).unwrap_err();
    assert!(matches!(error, MergeError::TooMuchContent { limit: 1000 }), "{error}");
}
