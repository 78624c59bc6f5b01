//! Event patterns: which events a rule takes. The language of EventBridge ("Creating Amazon EventBridge event patterns", "Comparison
//! operators", EventBridge user guide), whole. Pure: no I/O, and work that is bounded by the pattern and the event.
//!
//! A pattern is an object that mirrors the event. Its members must all match; of the values of a leaf's list one must. Where the event
//! has a list, one of its elements must match, all that a pattern says of one list's elements of the same one.

mod index;
mod matcher;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value};

pub use index::RuleIndex;
use matcher::Matcher;

use crate::json::Once;

/// Longest pattern, in characters.
pub const MAX_PATTERN_CHARS: usize = 4096;
/// How deep objects may lie in each other.
const MAX_DEPTH: usize = 64;
/// Most combinations that `$or` may make.
const MAX_COMBINATIONS: usize = 1000;

/// Why a text is no pattern. The words are those that AWS begins with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Event pattern is not valid. Reason: {0}")]
pub struct PatternError(String);

fn bad(why: impl Into<String>) -> PatternError {
    PatternError(why.into())
}

/// A pattern that can be asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Pattern {
    root: Node,
}

/// What one object of the event must be.
#[derive(Debug, Clone, PartialEq, Default)]
struct Node {
    /// Members, in the order of their names; each must match.
    members: Vec<(String, Member)>,
    /// Of each of these lists one must match.
    either: Vec<Vec<Node>>,
}

/// What one member must be.
#[derive(Debug, Clone, PartialEq)]
enum Member {
    /// An object.
    Node(Node),
    /// One of these.
    Leaf(Vec<Matcher>),
}

impl Pattern {
    /// Reads a pattern.
    pub fn parse(text: &str) -> Result<Pattern, PatternError> {
        if text.chars().count() > MAX_PATTERN_CHARS {
            return Err(bad(format!("it has more than {MAX_PATTERN_CHARS} characters")));
        }
        let value = match serde_json::from_str(text) {
            Ok(Once(value)) => value,
            Err(error) if error.is_data() => return Err(bad("a name stands twice in one object")),
            Err(error) => return Err(bad(format!("it is no JSON: line {}, column {}", error.line(), error.column()))),
        };
        let Value::Object(members) = value else { return Err(bad("Filter is not an object")) };
        let root = Node::parse(&members, "", 0)?;
        if root.members.is_empty() && root.either.is_empty() {
            return Err(bad("Empty objects are not allowed"));
        }
        if root.combinations() > MAX_COMBINATIONS {
            return Err(bad(format!("its `$or` make more than {MAX_COMBINATIONS} combinations")));
        }
        Ok(Pattern { root })
    }

    /// Whether an event is taken.
    pub fn matches(&self, event: &Value) -> bool {
        self.root.matches(Some(event))
    }
}

impl Node {
    fn parse(given: &Map<String, Value>, path: &str, depth: usize) -> Result<Node, PatternError> {
        if depth > MAX_DEPTH {
            return Err(bad(format!("objects lie more than {MAX_DEPTH} deep in each other")));
        }
        let mut node = Node::default();
        for (name, value) in given {
            let here = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            // An object that is not made of a list of objects is a member that is called so.
            if name == "$or"
                && let Value::Array(branches) = value
                && branches.len() >= 2
                && branches.iter().all(|branch| branch.as_object().is_some_and(|branch| !is_operator(branch)))
            {
                let branch = |branch: &Value| Node::parse(branch.as_object().unwrap_or(&Map::new()), path, depth + 1);
                node.either.push(branches.iter().map(branch).collect::<Result<_, _>>()?);
                continue;
            }
            let member = match value {
                Value::Object(members) if members.is_empty() => {
                    return Err(bad(format!("Empty objects are not allowed, at `{here}`")));
                }
                Value::Object(members) => Member::Node(Node::parse(members, &here, depth + 1)?),
                Value::Array(values) if values.is_empty() => {
                    return Err(bad(format!("Empty arrays are not allowed, at `{here}`")));
                }
                Value::Array(values) => {
                    let matcher = |value| Matcher::parse(value, &here);
                    Member::Leaf(values.iter().map(matcher).collect::<Result<_, _>>()?)
                }
                _ => return Err(bad(format!("\"{name}\" must be an object or an array, at `{here}`"))),
            };
            node.members.push((name.clone(), member));
        }
        if node.members.is_empty() && node.either.is_empty() {
            return Err(bad(format!("Empty objects are not allowed, at `{path}`")));
        }
        Ok(node)
    }

    fn combinations(&self) -> usize {
        let of_member = |member: &Member| match member {
            Member::Node(node) => node.combinations(),
            Member::Leaf(_) => 1,
        };
        let members = self.members.iter().map(|(_, member)| of_member(member));
        let either =
            self.either.iter().map(|branches| branches.iter().map(Node::combinations).fold(0, usize::saturating_add));
        members.chain(either).fold(1, usize::saturating_mul)
    }

    /// Whether what stands in the event, if anything does, is what this says.
    fn matches(&self, value: Option<&Value>) -> bool {
        match value {
            // One element has to be all of it.
            Some(Value::Array(elements)) if !elements.is_empty() => {
                elements.iter().any(|element| self.matches(Some(element)))
            }
            Some(Value::Object(object)) => self.matches_object(Some(object)),
            // What is not there, and what is no object, has no members.
            _ => self.matches_object(None),
        }
    }

    fn matches_object(&self, object: Option<&Map<String, Value>>) -> bool {
        let member = |(name, member): &(String, Member)| {
            let value = object.and_then(|object| object.get(name));
            match member {
                Member::Node(node) => node.matches(value),
                Member::Leaf(matchers) => matchers.iter().any(|matcher| matcher.matches_member(value)),
            }
        };
        self.members.iter().all(member)
            && self.either.iter().all(|branches| branches.iter().any(|branch| branch.matches_object(object)))
    }
}

/// Whether an object of a leaf's list is an operator and no part of a `$or`.
fn is_operator(object: &Map<String, Value>) -> bool {
    object.len() == 1 && object.keys().all(|name| matcher::OPERATORS.contains(&name.as_str()))
}
