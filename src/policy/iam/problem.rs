//! Why a document was not translated, statement by statement.

use std::fmt;

use crate::names::escape_for_people;

/// One thing in an IAM document that has no exact translation. Its text is a line for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IamProblem {
    /// The statement: its number, counted from 1, and its `Sid` if it has one, such as ``2 (`DenyMain`)``; empty where
    /// the problem is with the whole document.
    pub statement: String,
    /// The element, such as `Condition.StringLike.s3:prefix`.
    pub element: String,
    /// Why it cannot be translated.
    pub why: String,
    /// What to do about it.
    pub advice: String,
}

impl fmt::Display for IamProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.statement.as_str() {
            "" => write!(f, "the document")?,
            statement => write!(f, "statement {statement}")?,
        }
        if !self.element.is_empty() {
            write!(f, ", `{}`", self.element)?;
        }
        write!(f, ": {} ({})", self.why, self.advice)
    }
}

/// A problem before it is known where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Why {
    pub(super) why: String,
    pub(super) advice: String,
}

pub(super) fn why(why: impl Into<String>, advice: impl Into<String>) -> Why {
    Why { why: why.into(), advice: advice.into() }
}

/// Problems as they are found, each told once.
#[derive(Debug, Default)]
pub(super) struct Problems(pub(super) Vec<IamProblem>);

impl Problems {
    pub(super) fn add(&mut self, statement: &str, element: &str, why: Why) {
        let problem =
            IamProblem { statement: statement.to_owned(), element: shown(element), why: why.why, advice: why.advice };
        // A list that nobody reads to its end costs quadratic comparisons.
        if self.0.len() < MAX_PROBLEMS && !self.0.contains(&problem) {
            self.0.push(problem);
        }
    }
}

/// The document's words, made safe for a terminal.
pub(super) fn shown(words: &str) -> String {
    escape_for_people(words.as_bytes(), 160)
}

/// Most problems told of one document.
const MAX_PROBLEMS: usize = 500;
