//! Who owns which paths: a `CODEOWNERS` file, as GitHub and GitLab read it.
//!
//! A line is a pattern and the owners of what it matches; the last line that matches counts, and one without owners says that
//! nobody owns the path. Owners are `@NAME` (a user or a group of the repository's account), `@ACCOUNT/NAME`, or a mail address
//! that a user has registered. Sections of GitLab's (`[Name]`) are headings here. Patterns follow gitignore: a `/` in front or
//! in the middle anchors it at the root, one at the end means all below, `*` and `?` stay within a name, `**` does not.

use crate::names::escape_for_people;

/// Where the file is looked for, the first one found counts.
pub const PLACES: [&str; 4] = ["CODEOWNERS", ".github/CODEOWNERS", ".gitlab/CODEOWNERS", "docs/CODEOWNERS"];

/// Largest file that is read, in bytes.
pub const MAX_BYTES: u64 = 1 << 20;
/// Most lines that count.
const MAX_RULES: usize = 10_000;
/// Longest pattern, in bytes; a longer one matches everything, and nobody owns it.
const MAX_PATTERN_BYTES: usize = 1024;

/// Somebody who owns paths.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Owner {
    /// A user or group of the repository's account.
    Name(String),
    /// A user or group of an account.
    Of {
        /// The account.
        account: String,
        /// The name.
        name: String,
    },
    /// The user with that address.
    Address(String),
}

/// A file, understood.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Owners {
    rules: Vec<(Pattern, Vec<Owner>)>,
    /// Lines that mean nothing, fit for people.
    pub problems: Vec<String>,
}

impl Owners {
    /// Reads a file. A line that cannot be understood is a problem, and its paths have an owner that nobody is: nothing is let
    /// through because of a slip.
    pub fn parse(text: &str) -> Owners {
        let mut owners = Owners::default();
        for (i, line) in text.lines().enumerate() {
            let line = without_comment(line).trim();
            if line.is_empty() || (line.starts_with('[') && line.contains(']')) || line.starts_with("^[") {
                continue;
            }
            let words = words_of(line);
            let Some((pattern, names)) = words.split_first() else { continue };
            if owners.rules.len() == MAX_RULES {
                owners.problems.push(format!("line {}: there are more than {MAX_RULES} lines", i + 1));
                owners.rules.push((Pattern::everything(), vec![Owner::Name(String::new())]));
                break;
            }
            let mut of_line = Vec::new();
            for name in names {
                of_line.push(owner_of(name).unwrap_or_else(|| {
                    let shown = escape_for_people(name.as_bytes(), 100);
                    owners.problems.push(format!("line {}: `{shown}` is no owner: @NAME or a mail address", i + 1));
                    Owner::Name(String::new())
                }));
            }
            if pattern.len() > MAX_PATTERN_BYTES {
                owners.problems.push(format!("line {}: a pattern has up to {MAX_PATTERN_BYTES} bytes", i + 1));
                owners.rules.push((Pattern::everything(), vec![Owner::Name(String::new())]));
                continue;
            }
            owners.rules.push((Pattern::parse(pattern), of_line));
        }
        owners
    }

    /// How many lines count.
    pub fn n_rules(&self) -> usize {
        self.rules.len()
    }

    /// Who owns a path; nobody if the list is empty.
    pub fn of(&self, path: &str) -> &[Owner] {
        let rule = self.rules.iter().rev().find(|(pattern, _)| pattern.matches(path));
        rule.map_or(&[], |(_, owners)| owners)
    }
}

/// A `#` begins a comment at the beginning of a line and after a blank.
fn without_comment(line: &str) -> &str {
    if line.trim_start().starts_with('#') {
        return "";
    }
    line.find(" #").or_else(|| line.find("\t#")).map_or(line, |at| &line[..at])
}

/// The words of a line; a backslash before a blank keeps it within a word.
fn words_of(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' if chars.peek().is_some_and(|next| *next == ' ') => {
                words.last_mut().map(|word| word.push(' ')).unwrap_or(())
            }
            c if c.is_whitespace() => words.push(String::new()),
            c => words.last_mut().map(|word| word.push(c)).unwrap_or(()),
        }
        if c == '\\' && chars.peek().is_some_and(|next| *next == ' ') {
            chars.next();
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

fn owner_of(word: &str) -> Option<Owner> {
    if let Some(name) = word.strip_prefix('@') {
        return match name.split_once('/') {
            Some((account, name)) if !account.is_empty() && !name.is_empty() => {
                Some(Owner::Of { account: account.to_owned(), name: name.to_owned() })
            }
            Some(_) => None,
            None if name.is_empty() => None,
            None => Some(Owner::Name(name.to_owned())),
        };
    }
    let (local, domain) = word.split_once('@')?;
    (!local.is_empty() && !domain.is_empty()).then(|| Owner::Address(word.to_owned()))
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Pattern {
    /// Names that lead there; `**` stands for any number of them.
    parts: Vec<String>,
    /// All that is below counts, too: always but for a pattern that ends in `/*`.
    takes_below: bool,
    /// The path itself counts: not where the pattern ends in `/`.
    takes_itself: bool,
}

impl Pattern {
    fn everything() -> Pattern {
        Pattern { parts: vec!["**".to_owned()], takes_below: true, takes_itself: true }
    }

    fn parse(text: &str) -> Pattern {
        let is_folder = text.ends_with('/');
        let trimmed = text.trim_end_matches('/');
        let is_anchored = trimmed.contains('/');
        let mut parts: Vec<String> = trimmed.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect();
        if !is_anchored {
            parts.insert(0, "**".to_owned());
        }
        // `docs/*` is what lies in docs and not below; `*` alone is everything.
        let takes_below = !(is_anchored && parts.last().is_some_and(|last| last == "*"));
        Pattern { parts, takes_below, takes_itself: !is_folder }
    }

    fn matches(&self, path: &str) -> bool {
        let names: Vec<&str> = path.split('/').collect();
        // Which of the first `n` names the parts up to `i` match, row by row: no pattern takes long.
        let mut reached = vec![false; names.len() + 1];
        reached[0] = true;
        for part in &self.parts {
            let mut next = vec![false; names.len() + 1];
            if part == "**" {
                let mut any = false;
                for (n, was) in reached.iter().enumerate() {
                    any |= *was;
                    next[n] = any;
                }
            } else {
                for n in 0..names.len() {
                    next[n + 1] = reached[n] && super::rules::is_like(part, names[n]);
                }
            }
            reached = next;
        }
        let itself = self.takes_itself && reached[names.len()];
        let below = self.takes_below && reached[1..names.len()].iter().any(|reached| *reached);
        itself || below
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(owners: &Owners, path: &str) -> Vec<String> {
        let name = |owner: &Owner| match owner {
            Owner::Name(name) => name.clone(),
            Owner::Of { account, name } => format!("{account}/{name}"),
            Owner::Address(address) => address.clone(),
        };
        owners.of(path).iter().map(name).collect()
    }

    #[test]
    fn the_last_line_that_matches_counts() {
        let owners = Owners::parse(
            "# who reviews\n*  @all\n*.js @js @ACME/web # trailing\n/build/ ops@example.com\ndocs/* @docs\napps/ @apps\n\
             /apps/github\n**/logs @logs\n/a\\ b @blank\n[Section]\n/deep/**/x @x\n",
        );
        assert_eq!(owners.problems, Vec::<String>::new());
        for (path, expected) in [
            ("README", vec!["all"]),
            ("src/a.js", vec!["js", "ACME/web"]),
            ("build/x/y", vec!["ops@example.com"]),
            ("src/build/x", vec!["all"]),
            ("docs/a", vec!["docs"]),
            ("docs/a/b", vec!["all"]),
            ("x/docs/a", vec!["all"]),
            ("apps/a", vec!["apps"]),
            ("x/apps/a", vec!["apps"]),
            ("apps", vec!["all"]),
            ("apps/github/a", vec![]),
            ("x/y/logs/a", vec!["logs"]),
            ("logs", vec!["logs"]),
            ("a b/c", vec!["blank"]),
            ("deep/x", vec!["x"]),
            ("deep/1/2/x/y", vec!["x"]),
        ] {
            assert_eq!(names(&owners, path), expected, "{path}");
        }
    }

    // I5: patterns that take others for ever (CVE-2026-58421)
    #[test]
    fn no_pattern_takes_long() {
        let stars = "*a".repeat(500);
        let folders = "**/a/".repeat(200);
        let owners = Owners::parse(&format!("{stars}b @x\n/{folders}b @x\n{} @x\n", "x".repeat(1025)));
        assert_eq!(owners.problems.len(), 1);
        let deep = "a/".repeat(2000);
        let start = std::time::Instant::now();
        for path in ["a".repeat(4096), format!("{deep}c"), format!("{}c", "a".repeat(255))] {
            assert_eq!(names(&owners, &path), [""], "the line that is too long owns all");
            assert!(!owners.rules[0].0.matches(&path) && !owners.rules[1].0.matches(&path));
        }
        assert!(start.elapsed() < std::time::Duration::from_secs(5), "{:?}", start.elapsed());
    }

    // D1: a slip closes.
    #[test]
    fn what_is_not_understood_belongs_to_nobody_who_is() {
        let owners = Owners::parse("*.rs alice\n*.c @\n");
        assert_eq!(owners.problems.len(), 2);
        assert_eq!(names(&owners, "a.rs"), [""]);
        assert_eq!(names(&owners, "a.c"), [""]);
    }
}
