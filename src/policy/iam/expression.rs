//! Conditions before they are text: what is known to be true or false is dropped on the way.

use std::fmt;

use cedar_policy::EntityId;

/// A Cedar expression of type `Bool`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Expression {
    True,
    False,
    /// A relation, such as `resource.name == "x"`: no `&&` or `||` outside brackets.
    Test(String),
    Not(Box<Expression>),
    All(Vec<Expression>),
    Any(Vec<Expression>),
}

use Expression::{All, Any, False, Not, Test, True};

impl Expression {
    pub(super) fn test(text: impl Into<String>) -> Expression {
        Test(text.into())
    }

    pub(super) fn not(self) -> Expression {
        match self {
            True => False,
            False => True,
            Not(inner) => *inner,
            other => Not(Box::new(other)),
        }
    }

    /// All of them, in order: what a later one needs to be there, an earlier one has asked.
    pub(super) fn all(parts: impl IntoIterator<Item = Expression>) -> Expression {
        let mut kept = Vec::new();
        for part in parts {
            match part {
                True => {}
                False => return False,
                All(inner) => kept.extend(inner),
                other => kept.push(other),
            }
        }
        match kept.len() {
            0 => True,
            1 => kept.remove(0),
            _ => All(kept),
        }
    }

    pub(super) fn any(parts: impl IntoIterator<Item = Expression>) -> Expression {
        let mut kept = Vec::new();
        for part in parts {
            match part {
                True => return True,
                False => {}
                Any(inner) => kept.extend(inner),
                other => kept.push(other),
            }
        }
        match kept.len() {
            0 => False,
            1 => kept.remove(0),
            _ => Any(kept),
        }
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |f: &mut fmt::Formatter<'_>, parts: &[Expression], operator: &str| {
            for (n, part) in parts.iter().enumerate() {
                if n > 0 {
                    write!(f, " {operator} ")?;
                }
                match part {
                    All(_) | Any(_) => write!(f, "({part})")?,
                    _ => write!(f, "{part}")?,
                }
            }
            Ok(())
        };
        match self {
            True => f.write_str("true"),
            False => f.write_str("false"),
            Test(text) => f.write_str(text),
            Not(inner) => write!(f, "!({inner})"),
            All(parts) => list(f, parts, "&&"),
            Any(parts) => list(f, parts, "||"),
        }
    }
}

/// A string literal, escaped by Cedar's own rules.
pub(super) fn literal(text: &str) -> String {
    format!("\"{}\"", EntityId::new(text).escaped())
}

/// `Kind::"id"`.
pub(super) fn entity(kind: &str, id: &str) -> String {
    format!("{kind}::{}", literal(id))
}
