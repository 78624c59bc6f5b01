//! The lines of a file in a three-way merge: who changed which.

use std::ops::Range;

use gix_diff::blob::{Algorithm, Diff, InternedInput};

/// Whether content is no text for Git: a NUL in its first 8000 bytes.
pub fn is_binary(content: &[u8]) -> bool {
    content[..content.len().min(8000)].contains(&0)
}

/// Some lines of one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lines {
    /// Which, counted from 0.
    pub range: Range<usize>,
    /// Their bytes.
    pub content: Vec<u8>,
}

/// A run of lines in a merge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MergeHunk {
    /// Whether both sides changed it, each in its way.
    pub is_conflict: bool,
    /// As the base has it.
    pub base: Lines,
    /// As the source has it.
    pub source: Lines,
    /// As the destination has it.
    pub destination: Lines,
}

/// The lines that one side or both have changed, in their order. What nobody changed is left out.
pub fn merge_hunks(base: &[u8], source: &[u8], destination: &[u8]) -> Vec<MergeHunk> {
    let (base_lines, source_lines, destination_lines) = (lines(base), lines(source), lines(destination));
    let of_source = changes(base, source);
    let of_destination = changes(base, destination);
    let mut out = Vec::new();
    let (mut i, mut j) = (0, 0);
    // How far each side is ahead of the base.
    let (mut shift_source, mut shift_destination) = (0isize, 0isize);
    while i < of_source.len() || j < of_destination.len() {
        let start = [of_source.get(i), of_destination.get(j)].into_iter().flatten().map(|hunk| hunk.0.start).min();
        let Some(start) = start else { break };
        let mut end = start;
        let (from_i, from_j) = (i, j);
        // Changes that touch belong together, as in Git.
        loop {
            let before = (i, j);
            while i < of_source.len() && of_source[i].0.start <= end {
                end = end.max(of_source[i].0.end);
                i += 1;
            }
            while j < of_destination.len() && of_destination[j].0.start <= end {
                end = end.max(of_destination[j].0.end);
                j += 1;
            }
            if (i, j) == before {
                break;
            }
        }
        let grown = |hunks: &[(Range<usize>, Range<usize>)]| -> isize {
            hunks.iter().map(|(old, new)| new.len() as isize - old.len() as isize).sum()
        };
        let side = |lines: &[&[u8]], shift: isize, grown: isize| -> Lines {
            let from = usize::try_from(start as isize + shift).unwrap_or(0);
            let to = usize::try_from(end as isize + shift + grown).unwrap_or(from).min(lines.len());
            Lines { range: from..to, content: lines.get(from..to).unwrap_or_default().concat() }
        };
        let (grown_source, grown_destination) = (grown(&of_source[from_i..i]), grown(&of_destination[from_j..j]));
        let source = side(&source_lines, shift_source, grown_source);
        let destination = side(&destination_lines, shift_destination, grown_destination);
        let base = side(&base_lines, 0, 0);
        let is_conflict = i > from_i && j > from_j && source.content != destination.content;
        out.push(MergeHunk { is_conflict, base, source, destination });
        shift_source += grown_source;
        shift_destination += grown_destination;
    }
    out
}

/// Where a line, counted from 1, stands after a change; none if it was changed or taken away.
pub fn line_after(before: &[u8], after: &[u8], line: usize) -> Option<usize> {
    let at = line.checked_sub(1)?;
    if at >= lines(before).len() {
        return None;
    }
    let mut shift = 0isize;
    for (old, new) in changes(before, after) {
        if at < old.start {
            break;
        }
        if old.contains(&at) {
            return None;
        }
        shift += new.len() as isize - old.len() as isize;
    }
    usize::try_from(line as isize + shift).ok()
}

fn lines(text: &[u8]) -> Vec<&[u8]> {
    text.split_inclusive(|byte| *byte == b'\n').collect()
}

/// Which lines became which.
fn changes(before: &[u8], after: &[u8]) -> Vec<(Range<usize>, Range<usize>)> {
    let input = InternedInput::new(before, after);
    let mut diff = Diff::compute(Algorithm::Histogram, &input);
    diff.postprocess_lines(&input);
    let range = |range: Range<u32>| range.start as usize..range.end as usize;
    diff.hunks().map(|hunk| (range(hunk.before), range(hunk.after))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_changed_which_lines() {
        let base = b"1\n2\n3\n4\n5\n6\n7\n8\n9\n";
        let source = b"1\ntwo\n3\n4\n5\n6\nseven\n8\n9\nten\n";
        let destination = b"0\n1\n2\n3\n4\n5\n6\nSEVEN\nand more\n8\n9";
        let hunks = merge_hunks(base, source, destination);
        let told: Vec<_> = hunks
            .iter()
            .map(|hunk| {
                let text = |lines: &Lines| String::from_utf8_lossy(&lines.content).into_owned();
                let sides = [&hunk.base, &hunk.source, &hunk.destination];
                (hunk.is_conflict, sides.map(text), sides.map(|lines| lines.range.clone()))
            })
            .collect();
        let of = |texts: [&str; 3]| texts.map(str::to_owned);
        assert_eq!(
            told,
            [
                (false, of(["", "", "0\n"]), [0..0, 0..0, 0..1]),
                (false, of(["2\n", "two\n", "2\n"]), [1..2, 1..2, 2..3]),
                (true, of(["7\n", "seven\n", "SEVEN\nand more\n"]), [6..7, 6..7, 7..9]),
                (true, of(["9\n", "9\nten\n", "9"]), [8..9, 8..10, 10..11]),
            ]
        );
        assert!(merge_hunks(base, base, base).is_empty());
        let both = merge_hunks(b"", b"same\n", b"same\n");
        assert!(both.len() == 1 && !both[0].is_conflict);
    }

    #[test]
    fn where_lines_go() {
        let (before, after) = (b"1\n2\n3\n4\n5\n", b"0\n1\n2\nthree\n5\n6\n");
        let places: Vec<_> = (0..7).map(|line| line_after(before, after, line)).collect();
        assert_eq!(places, [None, Some(2), Some(3), None, None, Some(5), None]);
    }

    #[test]
    fn binary_as_git_has_it() {
        assert!(is_binary(b"a\0b") && !is_binary(b"ab"));
        let mut late = vec![b'x'; 8000];
        late.push(0);
        assert!(!is_binary(&late));
    }
}
