//! What is wrong with a policy file, and where.

use std::fmt;

/// One thing that is wrong, or suspicious, in a policy file; its text is a line for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file, relative to the policy folder.
    pub file: String,
    /// Line, counted from 1; 0 where the problem is with the whole file.
    pub line: usize,
    /// Column in characters, counted from 1; 0 where the problem is with the whole file.
    pub column: usize,
    /// The `@id` of the policy, where there is one.
    pub policy: Option<String>,
    /// What is wrong.
    pub message: String,
    /// What was expected, or what to write instead.
    pub expected: Option<String>,
}

impl Problem {
    pub(super) fn of_file(file: &str, message: impl Into<String>, expected: &str) -> Problem {
        Problem {
            file: file.to_owned(),
            line: 0,
            column: 0,
            policy: None,
            message: message.into(),
            expected: Some(expected.to_owned()),
        }
    }

    /// A problem at byte `offset` of `text`, the text of `file`.
    pub(super) fn at(file: &str, text: &str, offset: usize, message: impl Into<String>) -> Problem {
        let mut offset = offset.min(text.len());
        while !text.is_char_boundary(offset) {
            offset -= 1;
        }
        let before = &text[..offset];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Problem {
            file: file.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            policy: None,
            message: message.into(),
            expected: None,
        }
    }

    pub(super) fn expecting(mut self, expected: impl Into<String>) -> Problem {
        self.expected = Some(expected.into());
        self
    }

    pub(super) fn in_policy(mut self, policy: &str) -> Problem {
        self.policy = Some(policy.to_owned());
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        write!(f, ": ")?;
        if let Some(policy) = &self.policy {
            write!(f, "policy `{policy}`: ")?;
        }
        write!(f, "{}", self.message)?;
        match &self.expected {
            Some(expected) => write!(f, " ({expected})"),
            None => Ok(()),
        }
    }
}
