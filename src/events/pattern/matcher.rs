//! What one value of an event must be.

use std::net::IpAddr;

use serde_json::{Map, Value};

use super::{PatternError, bad};

/// The operators, by their names in patterns.
pub(super) const OPERATORS: [&str; 8] =
    ["prefix", "suffix", "anything-but", "numeric", "cidr", "exists", "equals-ignore-case", "wildcard"];

/// Numbers are told apart within this, on either side of 0.
const MAX_NUMBER: f64 = 5e9;

/// One condition on a value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Matcher {
    /// Exactly this.
    Exact(Value),
    /// A text that is like this.
    Text(TextMatcher),
    /// Anything that is none of these, and like none of those.
    AnythingBut(Vec<Value>, Vec<TextMatcher>),
    /// A number that stands so to each of these.
    Numeric(Vec<(Comparison, f64)>),
    /// An address of this network.
    Cidr(IpAddr, u8),
    /// A leaf that is there, or nothing that is.
    Exists(bool),
}

/// How a text is to be.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum TextMatcher {
    /// It begins so.
    Prefix(String),
    /// It begins so, in whatever case.
    PrefixIgnoringCase(String),
    /// It ends so.
    Suffix(String),
    /// It ends so, in whatever case.
    SuffixIgnoringCase(String),
    /// It is this, in whatever case.
    EqualsIgnoringCase(String),
    /// It is these in this order, with anything between them.
    Wildcard(Vec<String>),
}

/// How a number stands to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Matcher {
    pub(super) fn parse(value: &Value, path: &str) -> Result<Matcher, PatternError> {
        match value {
            Value::Object(operator) => Matcher::of_operator(operator, path),
            Value::Array(_) => Err(bad(format!("a list within a list, at `{path}`"))),
            Value::Number(number) => in_range(number.as_f64(), path).map(|_| Matcher::Exact(value.clone())),
            plain => Ok(Matcher::Exact(plain.clone())),
        }
    }

    fn of_operator(operator: &Map<String, Value>, path: &str) -> Result<Matcher, PatternError> {
        let mut members = operator.iter();
        let (Some((name, value)), None) = (members.next(), members.next()) else {
            return Err(bad(format!("Only one key allowed in match expression, at `{path}`")));
        };
        match name.as_str() {
            "exists" => value
                .as_bool()
                .map(Matcher::Exists)
                .ok_or_else(|| bad(format!("exists match pattern must be either true or false, at `{path}`"))),
            "numeric" => numeric(value, path),
            "cidr" => cidr(value, path),
            "anything-but" => anything_but(value, path),
            name if OPERATORS.contains(&name) => TextMatcher::parse(name, value, path).map(Matcher::Text),
            name => {
                let shown = crate::names::escape_for_people(name.as_bytes(), 100);
                Err(bad(format!("Unrecognized match type {shown}, at `{path}`: one of {}", OPERATORS.join(", "))))
            }
        }
    }

    /// Whether a member of the event, if it is there, is what this says.
    pub(super) fn matches_member(&self, value: Option<&Value>) -> bool {
        match (self, value) {
            (Matcher::Exists(wanted), value) => *wanted == is_leaf(value),
            (_, None) => false,
            (_, Some(Value::Array(elements))) => elements.iter().any(|element| self.matches_member(Some(element))),
            (_, Some(Value::Object(_))) => false,
            (_, Some(value)) => self.matches(value),
        }
    }

    fn matches(&self, value: &Value) -> bool {
        match self {
            Matcher::Exact(exact) => exact == value,
            Matcher::Text(text) => value.as_str().is_some_and(|value| text.matches(value)),
            Matcher::AnythingBut(values, texts) => {
                !values.contains(value)
                    && !value.as_str().is_some_and(|value| texts.iter().any(|text| text.matches(value)))
                    // What says how a text must not be is about texts.
                    && (texts.is_empty() || value.is_string())
            }
            Matcher::Numeric(all) => value
                .as_f64()
                .is_some_and(|number| all.iter().all(|(comparison, with)| comparison.holds(number, *with))),
            Matcher::Cidr(network, bits) => {
                let address = value.as_str().and_then(|text| text.parse::<IpAddr>().ok());
                address.is_some_and(|address| prefix(address, *bits) == prefix(*network, *bits))
            }
            // Asked of members, not of values.
            Matcher::Exists(_) => false,
        }
    }
}

/// Whether a member is there with a value: an object, and a list of nothing, are none.
fn is_leaf(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Object(_)) => false,
        Some(Value::Array(elements)) => elements.iter().any(|element| is_leaf(Some(element))),
        Some(_) => true,
    }
}

fn in_range(number: Option<f64>, path: &str) -> Result<f64, PatternError> {
    number
        .filter(|number| number.abs() <= MAX_NUMBER)
        .ok_or_else(|| bad(format!("Value must be between -5.0E9 and 5.0E9 inclusive, at `{path}`")))
}

fn numeric(value: &Value, path: &str) -> Result<Matcher, PatternError> {
    let wrong =
        || bad(format!("numeric is a list of one or two comparisons, such as [\">\", 0, \"<=\", 5], at `{path}`"));
    let Value::Array(parts) = value else { return Err(wrong()) };
    if !matches!(parts.len(), 2 | 4) {
        return Err(wrong());
    }
    let mut all = Vec::new();
    for pair in parts.chunks(2) {
        let comparison = match pair[0].as_str() {
            Some("=") => Comparison::Equal,
            Some("<") => Comparison::Less,
            Some("<=") => Comparison::LessOrEqual,
            Some(">") => Comparison::Greater,
            Some(">=") => Comparison::GreaterOrEqual,
            _ => return Err(wrong()),
        };
        if !pair[1].is_number() {
            return Err(wrong());
        }
        all.push((comparison, in_range(pair[1].as_f64(), path)?));
    }
    if let [(first, low), (second, high)] = all[..] {
        let is_low = matches!(first, Comparison::Greater | Comparison::GreaterOrEqual);
        let is_high = matches!(second, Comparison::Less | Comparison::LessOrEqual);
        if !is_low || !is_high || low >= high {
            return Err(bad(format!("a range is [\">\" or \">=\", LOW, \"<\" or \"<=\", HIGH], at `{path}`")));
        }
    }
    Ok(Matcher::Numeric(all))
}

impl Comparison {
    fn holds(self, number: f64, with: f64) -> bool {
        match self {
            Comparison::Equal => number == with,
            Comparison::Less => number < with,
            Comparison::LessOrEqual => number <= with,
            Comparison::Greater => number > with,
            Comparison::GreaterOrEqual => number >= with,
        }
    }
}

fn cidr(value: &Value, path: &str) -> Result<Matcher, PatternError> {
    let wrong = || bad(format!("Malformed CIDR, at `{path}`: it is an address, or ADDRESS/BITS"));
    let text = value.as_str().ok_or_else(wrong)?;
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, Some(bits.parse::<u8>().map_err(|_| wrong())?)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().map_err(|_| wrong())?;
    let longest = if address.is_ipv4() { 32 } else { 128 };
    let bits = bits.unwrap_or(longest);
    match bits <= longest {
        true => Ok(Matcher::Cidr(address, bits)),
        false => Err(wrong()),
    }
}

/// The first bits of an address, and whether it is of version 4.
fn prefix(address: IpAddr, bits: u8) -> (bool, u128) {
    let (is_v4, number, width) = match address {
        IpAddr::V4(v4) => (true, u128::from(u32::from(v4)), 32),
        IpAddr::V6(v6) => (false, u128::from(v6), 128),
    };
    (is_v4, number.checked_shr(width - u32::from(bits).min(width)).unwrap_or(0))
}

fn anything_but(value: &Value, path: &str) -> Result<Matcher, PatternError> {
    let wrong = || {
        bad(format!(
            "Inside anything but list, either all values are strings or all are numbers, or it is one of prefix, suffix, equals-ignore-case and wildcard, at `{path}`"
        ))
    };
    match value {
        Value::Array(values) => {
            let is_one_kind = values.iter().all(Value::is_string) || values.iter().all(Value::is_number);
            match values.is_empty() || !is_one_kind {
                true => Err(wrong()),
                false => Ok(Matcher::AnythingBut(values.clone(), Vec::new())),
            }
        }
        Value::String(_) | Value::Number(_) | Value::Bool(_) | Value::Null => {
            Ok(Matcher::AnythingBut(vec![value.clone()], Vec::new()))
        }
        Value::Object(operator) => {
            let mut members = operator.iter();
            let (Some((name, value)), None) = (members.next(), members.next()) else { return Err(wrong()) };
            if !["prefix", "suffix", "equals-ignore-case", "wildcard"].contains(&name.as_str()) {
                return Err(wrong());
            }
            let texts = match value {
                Value::Array(values) if !values.is_empty() => {
                    values.iter().map(|value| TextMatcher::parse(name, value, path)).collect::<Result<_, _>>()?
                }
                value => vec![TextMatcher::parse(name, value, path)?],
            };
            Ok(Matcher::AnythingBut(Vec::new(), texts))
        }
    }
}

impl TextMatcher {
    fn parse(name: &str, value: &Value, path: &str) -> Result<TextMatcher, PatternError> {
        let wrong = || bad(format!("{name} match pattern must be a string, at `{path}`"));
        if let ("prefix" | "suffix", Value::Object(operator)) = (name, value) {
            let text = operator.get("equals-ignore-case").filter(|_| operator.len() == 1).and_then(Value::as_str);
            let text = text.filter(|text| !text.is_empty()).ok_or_else(wrong)?.to_lowercase();
            return Ok(match name {
                "prefix" => TextMatcher::PrefixIgnoringCase(text),
                _ => TextMatcher::SuffixIgnoringCase(text),
            });
        }
        let text = value.as_str().ok_or_else(wrong)?;
        if text.is_empty() && name != "equals-ignore-case" {
            return Err(bad(format!("Null prefix/suffix/wildcard not allowed, at `{path}`")));
        }
        Ok(match name {
            "prefix" => TextMatcher::Prefix(text.to_owned()),
            "suffix" => TextMatcher::Suffix(text.to_owned()),
            "equals-ignore-case" => TextMatcher::EqualsIgnoringCase(text.to_lowercase()),
            _ => TextMatcher::Wildcard(pieces(text, path)?),
        })
    }

    /// What the text begins with, where that is known.
    pub(super) fn matches(&self, text: &str) -> bool {
        match self {
            TextMatcher::Prefix(prefix) => text.starts_with(prefix.as_str()),
            TextMatcher::PrefixIgnoringCase(prefix) => text.to_lowercase().starts_with(prefix.as_str()),
            TextMatcher::Suffix(suffix) => text.ends_with(suffix.as_str()),
            TextMatcher::SuffixIgnoringCase(suffix) => text.to_lowercase().ends_with(suffix.as_str()),
            TextMatcher::EqualsIgnoringCase(same) => text.to_lowercase() == *same,
            TextMatcher::Wildcard(pieces) => matches_pieces(pieces, text),
        }
    }
}

/// A wildcard's literal pieces: before the first `*`, between two, behind the last.
fn pieces(text: &str, path: &str) -> Result<Vec<String>, PatternError> {
    let mut pieces = vec![String::new()];
    let mut chars = text.chars();
    let mut was_star = false;
    while let Some(c) = chars.next() {
        match c {
            '*' if was_star => {
                return Err(bad(format!("Consecutive wildcard characters at pos {}, at `{path}`", pieces.len())));
            }
            '*' => pieces.push(String::new()),
            '\\' => match chars.next() {
                Some(escaped @ ('*' | '\\')) => {
                    pieces.last_mut().expect("there is one from the beginning").push(escaped);
                }
                _ => return Err(bad(format!("Invalid escape character, at `{path}`: only \\* and \\\\ are escapes"))),
            },
            c => pieces.last_mut().expect("there is one from the beginning").push(c),
        }
        was_star = c == '*';
    }
    Ok(pieces)
}

/// Each piece is looked for behind the one before: no piece is tried twice, so the work is that of looking through the text.
fn matches_pieces(pieces: &[String], text: &str) -> bool {
    let [first, middle @ .., last] = pieces else { return pieces.first().is_some_and(|only| only == text) };
    let Some(rest) = text.strip_prefix(first.as_str()) else { return false };
    let Some(mut rest) = rest.strip_suffix(last.as_str()) else { return false };
    for piece in middle {
        match rest.find(piece.as_str()) {
            Some(at) => rest = &rest[at + piece.len()..],
            None => return false,
        }
    }
    true
}
