//! Many patterns asked at once. Each is filed under one exact text that it needs at one path, chosen so that few patterns lie together;
//! an event is asked for its texts at those paths, and only the patterns that lie there, and those that need no exact text, are asked
//! whole.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;

use super::matcher::Matcher;
use super::{Member, Node, Pattern};

/// What is filed under one path, by text.
type ByText = HashMap<String, Vec<u32>>;

/// Patterns, each with what it stands for.
#[derive(Debug)]
pub struct RuleIndex<T> {
    patterns: Vec<(T, Arc<Pattern>)>,
    /// Paths that something is filed under: their members from the outside in, and what lies there by text.
    filed: Vec<(Vec<String>, ByText)>,
    /// Patterns that need no exact text.
    rest: Vec<u32>,
}

impl<T> Default for RuleIndex<T> {
    fn default() -> RuleIndex<T> {
        RuleIndex { patterns: Vec::new(), filed: Vec::new(), rest: Vec::new() }
    }
}

/// A path, and the texts of which one has to stand there.
type Anchor = (Vec<String>, Vec<String>);

impl<T: Copy> RuleIndex<T> {
    /// Files patterns.
    pub fn new(patterns: Vec<(T, Arc<Pattern>)>) -> RuleIndex<T> {
        let anchors: Vec<Vec<Anchor>> = patterns.iter().map(|(_, pattern)| anchors_of(pattern)).collect();
        let mut counts: HashMap<(&[String], &str), usize> = HashMap::new();
        for (path, texts) in anchors.iter().flatten() {
            for text in texts {
                *counts.entry((path, text)).or_default() += 1;
            }
        }
        let mut filed: HashMap<&[String], ByText> = HashMap::new();
        let mut rest = Vec::new();
        for (i, anchors) in anchors.iter().enumerate() {
            let i = u32::try_from(i).expect("patterns are counted in thousands");
            // Where the fewest others lie; of such as many the first, so that equal sets are filed alike.
            let cost =
                |(path, texts): &Anchor| texts.iter().map(|text| counts[&(&path[..], text.as_str())]).sum::<usize>();
            match anchors.iter().min_by_key(|anchor| cost(anchor)) {
                Some((path, texts)) => {
                    for text in texts {
                        filed.entry(path).or_default().entry(text.clone()).or_default().push(i);
                    }
                }
                None => rest.push(i),
            }
        }
        let mut filed: Vec<_> = filed.into_iter().map(|(path, texts)| (path.to_vec(), texts)).collect();
        filed.sort_by(|a, b| a.0.cmp(&b.0));
        RuleIndex { patterns, filed, rest }
    }

    /// Adds what the patterns stand for that take the event, in the order in which they were given.
    pub fn matching(&self, event: &Value, out: &mut Vec<T>) {
        let mut candidates = self.rest.clone();
        for (path, texts) in &self.filed {
            look(event, path, texts, &mut candidates);
        }
        candidates.sort_unstable();
        candidates.dedup();
        for i in candidates {
            let (stands_for, pattern) = &self.patterns[i as usize];
            if pattern.matches(event) {
                out.push(*stands_for);
            }
        }
    }
}

/// Finds the texts at a path, through lists.
fn look(value: &Value, path: &[String], texts: &ByText, out: &mut Vec<u32>) {
    match (value, path) {
        (Value::Array(elements), _) => elements.iter().for_each(|element| look(element, path, texts, out)),
        (Value::Object(object), [name, rest @ ..]) => {
            if let Some(value) = object.get(name) {
                look(value, rest, texts, out);
            }
        }
        (Value::String(text), []) => out.extend(texts.get(text).into_iter().flatten()),
        _ => {}
    }
}

/// The paths at which a pattern needs one of some exact texts. What stands in `$or` is not needed.
fn anchors_of(pattern: &Pattern) -> Vec<Anchor> {
    let mut out = Vec::new();
    gather(&pattern.root, &mut Vec::new(), &mut out);
    out
}

fn gather(node: &Node, path: &mut Vec<String>, out: &mut Vec<Anchor>) {
    for (name, member) in &node.members {
        path.push(name.clone());
        match member {
            Member::Node(node) => gather(node, path, out),
            Member::Leaf(matchers) => {
                let text = |matcher: &Matcher| match matcher {
                    Matcher::Exact(Value::String(text)) => Some(text.clone()),
                    _ => None,
                };
                if let Some(texts) = matchers.iter().map(text).collect() {
                    out.push((path.clone(), texts));
                }
            }
        }
        path.pop();
    }
}
