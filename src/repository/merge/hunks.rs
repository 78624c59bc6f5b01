//! The lines of a file in a three-way merge: who changed which.

use std::ops::Range;

use crate::repository::line_diff::{Replaced, TooManyLines, lines, replaced};

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
pub fn merge_hunks(base: &[u8], source: &[u8], destination: &[u8]) -> Result<Vec<MergeHunk>, TooManyLines> {
    let (base_lines, source_lines, destination_lines) = (lines(base), lines(source), lines(destination));
    let of_source = replaced(&base_lines, &source_lines, false)?;
    let of_destination = replaced(&base_lines, &destination_lines, false)?;
    let mut out = Vec::new();
    let (mut i, mut j) = (0, 0);
    // How far each side is ahead of the base.
    let (mut shift_source, mut shift_destination) = (0isize, 0isize);
    while i < of_source.len() || j < of_destination.len() {
        let start = [of_source.get(i), of_destination.get(j)].into_iter().flatten().map(|hunk| hunk.before.start).min();
        let Some(start) = start else { break };
        let mut end = start;
        let (from_i, from_j) = (i, j);
        // Changes that touch belong together, as in Git.
        loop {
            let before = (i, j);
            while i < of_source.len() && of_source[i].before.start <= end {
                end = end.max(of_source[i].before.end);
                i += 1;
            }
            while j < of_destination.len() && of_destination[j].before.start <= end {
                end = end.max(of_destination[j].before.end);
                j += 1;
            }
            if (i, j) == before {
                break;
            }
        }
        let grown = |hunks: &[Replaced]| -> isize {
            hunks.iter().map(|hunk| hunk.after.len() as isize - hunk.before.len() as isize).sum()
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
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_changed_which_lines() {
        let base = b"1\n2\n3\n4\n5\n6\n7\n8\n9\n";
        let source = b"1\ntwo\n3\n4\n5\n6\nseven\n8\n9\nten\n";
        let destination = b"0\n1\n2\n3\n4\n5\n6\nSEVEN\nand more\n8\n9";
        let hunks = merge_hunks(base, source, destination).unwrap();
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
        assert!(merge_hunks(base, base, base).unwrap().is_empty());
        let both = merge_hunks(b"", b"same\n", b"same\n").unwrap();
        assert!(both.len() == 1 && !both[0].is_conflict);
    }
}
