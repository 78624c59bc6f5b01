//! What differs between two files, line by line, as `git diff` has it: Myers' algorithm with Git's heuristics, and changes
//! slid to where Git slides them.
//!
//! Pure: knows no object and no store. May not be given more than its caller has bounded; of lines it takes [`MAX_LINES`] a side.

use std::ops::Range;

use gix_diff::blob::{Algorithm, Diff, IndentHeuristic, IndentLevel, InternedInput, Interner};

/// Most lines of a file that are compared: what hostile files cost at worst grows faster than their size.
pub const MAX_LINES: usize = 1 << 19;

/// How far Git looks for a NUL.
const BINARY_LOOK: usize = 8000;

/// Whether Git takes a file for one without lines: there is a NUL among its first 8,000 bytes.
pub fn is_binary(content: &[u8]) -> bool {
    memchr::memchr(0, &content[..content.len().min(BINARY_LOOK)]).is_some()
}

/// A file's lines, each with the newline that ends it, which the last one may lack.
pub fn lines(content: &[u8]) -> Vec<&[u8]> {
    content.split_inclusive(|byte| *byte == b'\n').collect()
}

/// A line without what ends it.
pub fn without_newline(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\n").unwrap_or(line)
}

/// Lines that were replaced by others; either may be none. Counted from 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replaced {
    /// Those before.
    pub before: Range<u32>,
    /// Those after.
    pub after: Range<u32>,
}

/// What became of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It stayed. What is shown of it is how it stands after.
    Context,
    /// It is new.
    Add,
    /// It is gone.
    Delete,
}

/// A line of a [`Hunk`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HunkLine<'a> {
    /// What became of it.
    pub change: Change,
    /// Its number before, from 1; none if it is new.
    pub before: Option<u32>,
    /// Its number after, from 1; none if it is gone.
    pub after: Option<u32>,
    /// The line, with the newline that ends it.
    pub content: &'a [u8],
}

/// Lines that changed, with lines around them that did not. Starts are as in a hunk of `git diff`: from 1, and where there is
/// no line on a side, the line that it comes after, which may be 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hunk<'a> {
    /// First line before.
    pub before_start: u32,
    /// How many lines before.
    pub before_count: u32,
    /// First line after.
    pub after_start: u32,
    /// How many lines after.
    pub after_count: u32,
    /// The lines in order: of a change those that are gone first.
    pub lines: Vec<HunkLine<'a>>,
}

/// The files have more than [`MAX_LINES`] lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("files of more than {MAX_LINES} lines are not compared")]
pub struct TooManyLines;

/// Which lines were replaced by which, in order; with `ignore_whitespace` as `git diff -w` sees lines.
pub fn replaced(before: &[&[u8]], after: &[&[u8]], ignore_whitespace: bool) -> Result<Vec<Replaced>, TooManyLines> {
    if before.len() > MAX_LINES || after.len() > MAX_LINES {
        return Err(TooManyLines);
    }
    Ok(match ignore_whitespace {
        false => compared(before.iter().copied(), after.iter().copied()),
        true => compared(before.iter().map(|line| bare(line)), after.iter().map(|line| bare(line))),
    })
}

/// A line without the bytes that Git calls white.
fn bare(line: &[u8]) -> Vec<u8> {
    line.iter().copied().filter(|byte| !matches!(byte, b' ' | b'\t' | b'\r' | b'\n')).collect()
}

fn compared<T>(before: impl Iterator<Item = T>, after: impl Iterator<Item = T>) -> Vec<Replaced>
where
    T: AsRef<[u8]> + Eq + std::hash::Hash,
{
    let mut input = InternedInput { before: Vec::new(), after: Vec::new(), interner: Interner::new(1024) };
    input.update_before(before);
    input.update_after(after);
    let mut diff = Diff::compute(Algorithm::Myers, &input);
    let indent = |line: &T| IndentLevel::for_ascii_line(line.as_ref().iter().copied(), 8);
    diff.postprocess_with_heuristic(&input, IndentHeuristic::new(|token| indent(&input.interner[token])));
    diff.hunks().map(|hunk| Replaced { before: hunk.before, after: hunk.after }).collect()
}

/// Where a line, counted from 1, stands after a change; none if it was changed or taken away.
pub fn line_after(before: &[u8], after: &[u8], line: usize) -> Result<Option<usize>, TooManyLines> {
    let (before, after) = (lines(before), lines(after));
    let Some(at) = line.checked_sub(1).filter(|at| *at < before.len()) else { return Ok(None) };
    let mut shift = 0;
    for Replaced { before: old, after: new } in replaced(&before, &after, false)? {
        if at < old.start as usize {
            break;
        }
        if at < old.end as usize {
            return Ok(None);
        }
        shift += new.len() as isize - old.len() as isize;
    }
    Ok(usize::try_from(line as isize + shift).ok())
}

/// The hunks with up to `context` lines around changes. Changes whose context would meet are one hunk. None has more than
/// `most_lines` lines (at least 1): one that would have is given as several that follow each other.
pub fn hunks<'a>(
    before: &[&'a [u8]],
    after: &[&'a [u8]],
    context: u32,
    ignore_whitespace: bool,
    most_lines: usize,
) -> Result<Vec<Hunk<'a>>, TooManyLines> {
    let replaced = replaced(before, after, ignore_whitespace)?;
    let mut out = Vec::new();
    for group in replaced.chunk_by(|a, b| b.before.start - a.before.end <= 2 * context) {
        let [first, .., last] = group else {
            let [only] = group else { continue };
            push_hunk(&mut out, before, after, std::slice::from_ref(only), (only, only), context, most_lines);
            continue;
        };
        push_hunk(&mut out, before, after, group, (first, last), context, most_lines);
    }
    Ok(out)
}

fn push_hunk<'a>(
    out: &mut Vec<Hunk<'a>>,
    before: &[&'a [u8]],
    after: &[&'a [u8]],
    group: &[Replaced],
    (first, last): (&Replaced, &Replaced),
    context: u32,
    most_lines: usize,
) {
    let lead = context.min(first.before.start).min(first.after.start);
    let (mut at_before, mut at_after) = (first.before.start - lead, first.after.start - lead);
    let start = (at_before, at_after);
    let mut lines = Vec::new();
    let same = |lines: &mut Vec<HunkLine<'a>>, at_before: &mut u32, at_after: &mut u32, n: u32| {
        for _ in 0..n {
            let content = after[*at_after as usize];
            (*at_before, *at_after) = (*at_before + 1, *at_after + 1);
            lines.push(HunkLine { change: Change::Context, before: Some(*at_before), after: Some(*at_after), content });
        }
    };
    for change in group {
        let n_same = change.before.start - at_before;
        same(&mut lines, &mut at_before, &mut at_after, n_same);
        for at in change.before.clone() {
            let content = before[at as usize];
            lines.push(HunkLine { change: Change::Delete, before: Some(at + 1), after: None, content });
        }
        for at in change.after.clone() {
            let content = after[at as usize];
            lines.push(HunkLine { change: Change::Add, before: None, after: Some(at + 1), content });
        }
        (at_before, at_after) = (change.before.end, change.after.end);
    }
    let left = (before.len() as u32 - last.before.end).min(after.len() as u32 - last.after.end);
    same(&mut lines, &mut at_before, &mut at_after, context.min(left));
    let (mut n_before, mut n_after) = start;
    for piece in lines.chunks(most_lines.max(1)) {
        let before_count = piece.iter().filter(|line| line.before.is_some()).count() as u32;
        let after_count = piece.iter().filter(|line| line.after.is_some()).count() as u32;
        out.push(Hunk {
            before_start: n_before + u32::from(before_count > 0),
            before_count,
            after_start: n_after + u32::from(after_count > 0),
            after_count,
            lines: piece.to_vec(),
        });
        (n_before, n_after) = (n_before + before_count, n_after + after_count);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(before: &[u8], after: &[u8], context: u32, ignore_whitespace: bool) -> Vec<u8> {
        let mut out = Vec::new();
        for hunk in hunks(&lines(before), &lines(after), context, ignore_whitespace, usize::MAX).unwrap() {
            let Hunk { before_start, before_count, after_start, after_count, .. } = hunk;
            let head = format!("@@ -{before_start},{before_count} +{after_start},{after_count} @@\n");
            out.extend_from_slice(head.as_bytes());
            for line in hunk.lines {
                out.push(match line.change {
                    Change::Context => b' ',
                    Change::Add => b'+',
                    Change::Delete => b'-',
                });
                out.extend_from_slice(without_newline(line.content));
                out.push(b'\n');
            }
        }
        out
    }

    /// Git's own, its heads with both counts and without what follows.
    fn by_git(before: &[u8], after: &[u8], context: u32, ignore_whitespace: bool) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a"), before).unwrap();
        std::fs::write(folder.path().join("b"), after).unwrap();
        let mut command = std::process::Command::new("git");
        command.current_dir(folder.path()).env_clear().env("PATH", std::env::var_os("PATH").unwrap());
        command.env("GIT_CONFIG_NOSYSTEM", "1").env("HOME", "/nonexistent");
        command.args(["diff", "--no-index", "--text", &format!("-U{context}")]);
        command.args(ignore_whitespace.then_some("-w")).args(["a", "b"]);
        let output = command.output().unwrap();
        assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
        let mut out = Vec::new();
        let mut is_in_hunk = false;
        for line in lines(&output.stdout) {
            if let Some(head) = line.strip_prefix(b"@@ ") {
                is_in_hunk = true;
                let head = String::from_utf8_lossy(head);
                let sides = head.split(" @@").next().unwrap().split(' ');
                let with_counts =
                    sides.map(|side| if side.contains(',') { side.to_owned() } else { format!("{side},1") });
                out.extend_from_slice(format!("@@ {} @@\n", with_counts.collect::<Vec<_>>().join(" ")).as_bytes());
            } else if is_in_hunk && !line.starts_with(b"\\") {
                out.extend_from_slice(without_newline(line));
                out.push(b'\n');
            }
        }
        out
    }

    fn check(before: &str, after: &str, context: u32, ignore_whitespace: bool) {
        let ours = shown(before.as_bytes(), after.as_bytes(), context, ignore_whitespace);
        let theirs = by_git(before.as_bytes(), after.as_bytes(), context, ignore_whitespace);
        assert_eq!(
            String::from_utf8_lossy(&ours),
            String::from_utf8_lossy(&theirs),
            "{before:?} {after:?} -U{context} {ignore_whitespace}"
        );
    }

    #[test]
    fn edges_are_as_git_has_them() {
        for context in [0, 1, 3] {
            check("", "a\nb\n", context, false);
            check("a\nb\n", "", context, false);
            check("a\nb", "a\nb\n", context, false);
            check("a\nb\n", "a\nb\n", context, false);
            check("1\n2\n3\n4\n5\n6\n7\n8\n", "1\nx\n3\n4\n5\n6\ny\n8\n", context, false);
            check("a \n b\nc\n", "a\nb\t\nd\n", context, true);
            check(
                "f() {\n  a\n}\n\ng() {\n  a\n}\n",
                "f() {\n  a\n}\n\nh() {\n  a\n}\n\ng() {\n  a\n}\n",
                context,
                false,
            );
        }
    }

    /// Takes the lines of one side out of what is shown.
    fn side(shown: &[u8], signs: &[u8]) -> Vec<u8> {
        let of_side = lines(shown).into_iter().filter(|line| signs.contains(&line[0]));
        of_side.flat_map(|line| line[1..].to_vec()).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]
        // Of lines that are nearly all alike Git finds others that stayed, and now and then one more.
        #[test]
        fn hunks_lead_from_one_file_to_the_other(
            before in "([a-c]? ?[a-c]\n){0,24}",
            after in "([a-c]? ?[a-c]\n){0,24}",
            ignore_whitespace: bool,
        ) {
            let ours = shown(before.as_bytes(), after.as_bytes(), 100, ignore_whitespace);
            if !ours.is_empty() {
                prop_assert_eq!(side(&ours, b" +"), after.as_bytes());
                prop_assert!(ignore_whitespace || side(&ours, b" -") == before.as_bytes());
            }
        }

        #[test]
        fn edits_are_shown_as_git_shows_them(
            n_lines in 0usize..60,
            edits in proptest::collection::vec((0usize..60, 0usize..4, 0u8..3), 0..8),
            context in 0u32..5,
            ignore_whitespace: bool,
        ) {
            let before: Vec<String> = (0..n_lines).map(|i| format!("{}line {i}\n", " ".repeat(i % 5))).collect();
            let mut after = before.clone();
            for (at, n, kind) in edits {
                let (from, to) = (at.min(after.len()), (at + n).min(after.len()));
                match kind {
                    0 => drop(after.drain(from..to)),
                    1 => (0..n).for_each(|i| after.insert(from, format!("new {at} {i}\n"))),
                    _ => after[from..to].iter_mut().for_each(|line| line.insert(0, '\t')),
                }
            }
            check(&before.concat(), &after.concat(), context, ignore_whitespace);
        }
    }

    #[test]
    fn a_hunk_that_is_too_long_goes_on_in_the_next() {
        let (before, after) = ("a\nb\nc\n", "x\ny\nz\nc\n");
        let (before, after) = (lines(before.as_bytes()), lines(after.as_bytes()));
        let pieces = hunks(&before, &after, 3, false, 2).unwrap();
        let heads: Vec<_> = pieces
            .iter()
            .map(|hunk| (hunk.before_start, hunk.before_count, hunk.after_start, hunk.after_count))
            .collect();
        assert_eq!(heads, [(1, 2, 0, 0), (2, 0, 1, 2), (3, 1, 3, 2)]);
        let whole = hunks(&before, &after, 3, false, usize::MAX).unwrap();
        assert_eq!(pieces.into_iter().flat_map(|hunk| hunk.lines).collect::<Vec<_>>(), whole[0].lines);
    }

    #[test]
    fn where_lines_go() {
        let (before, after) = (b"1\n2\n3\n4\n5\n", b"0\n1\n2\nthree\n5\n6\n");
        let places: Vec<_> = (0..7).map(|line| line_after(before, after, line).unwrap()).collect();
        assert_eq!(places, [None, Some(2), Some(3), None, None, Some(5), None]);
    }

    #[test]
    fn a_nul_near_the_beginning_makes_a_file_binary() {
        let mut content = vec![b'a'; 9000];
        content[8000] = 0;
        assert!(!is_binary(&content));
        content[7999] = 0;
        assert!(is_binary(&content) && !is_binary(b""));
    }

    #[test]
    fn more_lines_than_are_compared_are_refused() {
        let many = vec![&b"\n"[..]; MAX_LINES + 1];
        assert_eq!(replaced(&many, &[], false), Err(TooManyLines));
    }
}
