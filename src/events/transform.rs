//! What a target is told of an event: the event, always the same, a part of it, or words made of parts ("Amazon EventBridge input
//! transformation", EventBridge user guide). Pure. What an event says never changes what the words around it are: within quotes it is
//! escaped, outside of them it is a whole JSON value.

use std::collections::BTreeMap;

use serde_json::Value;

/// Most names for parts.
const MAX_PATHS: usize = 100;
/// Longest words, in characters.
const MAX_TEMPLATE_CHARS: usize = 8192;
/// Longest that a target is told, in bytes.
const MAX_OUTPUT_BYTES: usize = 256 << 10;

/// Why there is no input.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TransformError(String);

fn bad(why: impl Into<String>) -> TransformError {
    TransformError(why.into())
}

/// What is known besides the event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleContext {
    /// The rule's ARN.
    pub rule_arn: String,
    /// The rule's name.
    pub rule_name: String,
    /// When the event came, `2026-11-24T08:00:00Z`.
    pub ingestion_time: String,
}

/// What a target is told, ready to be made.
#[derive(Debug, Clone, PartialEq)]
pub struct Transformer(Kind);

#[derive(Debug, Clone, PartialEq)]
enum Kind {
    Event,
    Constant(String),
    Path(Path),
    Template(Vec<Piece>),
}

#[derive(Debug, Clone, PartialEq)]
enum Piece {
    Text(String),
    Part { what: Part, is_quoted: bool },
}

#[derive(Debug, Clone, PartialEq)]
enum Part {
    Path(Path),
    RuleArn,
    RuleName,
    IngestionTime,
    Event,
}

/// Where in an event.
#[derive(Debug, Clone, PartialEq)]
struct Path(Vec<Step>);

#[derive(Debug, Clone, PartialEq)]
enum Step {
    Member(String),
    Element(usize),
}

impl Transformer {
    /// The event as it is.
    pub fn event() -> Result<Transformer, TransformError> {
        Ok(Transformer(Kind::Event))
    }

    /// Always this, which is JSON.
    pub fn constant(text: &str) -> Result<Transformer, TransformError> {
        if text.chars().count() > MAX_TEMPLATE_CHARS {
            return Err(bad(format!("Input has more than {MAX_TEMPLATE_CHARS} characters")));
        }
        match serde_json::from_str::<serde::de::IgnoredAny>(text) {
            Ok(_) => Ok(Transformer(Kind::Constant(text.to_owned()))),
            Err(_) => Err(bad("JSON syntax error in input for target: Input is JSON text; a string stands in quotes")),
        }
    }

    /// A part of the event, `$.detail`.
    pub fn path(path: &str) -> Result<Transformer, TransformError> {
        Ok(Transformer(Kind::Path(Path::parse(path)?)))
    }

    /// Words with `<name>` for parts of the event.
    pub fn template(paths: &BTreeMap<String, String>, template: &str) -> Result<Transformer, TransformError> {
        if paths.len() > MAX_PATHS {
            return Err(bad(format!("InputPathsMap has more than {MAX_PATHS} names")));
        }
        if template.is_empty() || template.chars().count() > MAX_TEMPLATE_CHARS {
            return Err(bad(format!("InputTemplate has 1 to {MAX_TEMPLATE_CHARS} characters")));
        }
        let mut known: BTreeMap<&str, Part> = BTreeMap::from([
            ("aws.events.rule-arn", Part::RuleArn),
            ("aws.events.rule-name", Part::RuleName),
            ("aws.events.event.ingestion-time", Part::IngestionTime),
            ("aws.events.event", Part::Event),
            ("aws.events.event.json", Part::Event),
        ]);
        for (name, path) in paths {
            let is_of_name = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
            if name.is_empty() || name.starts_with("AWS.") || !name.chars().all(is_of_name) {
                let shown = crate::names::escape_for_people(name.as_bytes(), 100);
                return Err(bad(format!("`{shown}` is no name in InputPathsMap: letters, digits, `-` and `_`")));
            }
            known.insert(name, Part::Path(Path::parse(path)?));
        }
        let mut pieces = Vec::new();
        let mut text = String::new();
        let (mut is_quoted, mut is_escaped) = (false, false);
        let mut rest = template;
        while let Some(c) = rest.chars().next() {
            if c == '<'
                && let Some(end) = rest.find('>')
                && rest[1..end].chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
                && end > 1
            {
                let name = &rest[1..end];
                let Some(what) = known.get(name) else {
                    return Err(bad(format!("Invalid InputTemplate: `{name}` is no name of InputPathsMap")));
                };
                pieces.push(Piece::Text(std::mem::take(&mut text)));
                pieces.push(Piece::Part { what: what.clone(), is_quoted });
                rest = &rest[end + 1..];
                is_escaped = false;
                continue;
            }
            text.push(c);
            (is_quoted, is_escaped) = match c {
                '"' if !is_escaped => (!is_quoted, false),
                '\\' if is_quoted => (is_quoted, !is_escaped),
                _ => (is_quoted, false),
            };
            rest = &rest[c.len_utf8()..];
        }
        pieces.push(Piece::Text(text));
        pieces.retain(|piece| !matches!(piece, Piece::Text(text) if text.is_empty()));
        Ok(Transformer(Kind::Template(pieces)))
    }

    /// What the target is told of this event.
    pub fn apply(&self, event: &Value, context: &RuleContext) -> String {
        match &self.0 {
            Kind::Event => event.to_string(),
            Kind::Constant(text) => text.clone(),
            // A path that leads nowhere leaves nothing, as null.
            Kind::Path(path) => path.of(event).map_or_else(|| "null".to_owned(), Value::to_string),
            Kind::Template(pieces) => {
                let mut out = String::new();
                for piece in pieces {
                    match piece {
                        Piece::Text(text) => out.push_str(text),
                        Piece::Part { what, is_quoted } => {
                            let said = match what {
                                Part::Path(path) => path.of(event).map(|value| written(value, *is_quoted)),
                                Part::RuleArn => Some(written(&context.rule_arn.clone().into(), *is_quoted)),
                                Part::RuleName => Some(written(&context.rule_name.clone().into(), *is_quoted)),
                                Part::IngestionTime => {
                                    Some(written(&context.ingestion_time.clone().into(), *is_quoted))
                                }
                                Part::Event => Some(written(event, *is_quoted)),
                            };
                            match said {
                                Some(said) => out.push_str(&said),
                                None if *is_quoted => {}
                                None => out.push_str("null"),
                            }
                        }
                    }
                    if out.len() > MAX_OUTPUT_BYTES {
                        return format!(
                            r#"{{"error": "what the input transformer makes has more than {MAX_OUTPUT_BYTES} bytes"}}"#
                        );
                    }
                }
                out
            }
        }
    }
}

/// A value outside of quotes, or as a piece of a string.
fn written(value: &Value, is_quoted: bool) -> String {
    if !is_quoted {
        return value.to_string();
    }
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let quoted = Value::String(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

impl Path {
    fn parse(text: &str) -> Result<Path, TransformError> {
        let shown = crate::names::escape_for_people(text.as_bytes(), 100);
        let wrong = || bad(format!("`{shown}` is no path: $.detail.name, $.list[0], $.detail[\"a.b\"]"));
        let mut rest = text.strip_prefix('$').ok_or_else(wrong)?;
        let mut steps = Vec::new();
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix('.') {
                let end = after.find(['.', '[']).unwrap_or(after.len());
                let name = &after[..end];
                let is_of_name = |c: char| c.is_alphanumeric() || "-_".contains(c);
                if name.is_empty() || !name.chars().all(is_of_name) {
                    return Err(wrong());
                }
                steps.push(Step::Member(name.to_owned()));
                rest = &after[end..];
            } else if let Some(after) = rest.strip_prefix('[') {
                let quote = after.chars().next().filter(|c| matches!(c, '"' | '\''));
                let (step, end) = match quote {
                    Some(quote) => {
                        let end = after[1..].find(quote).ok_or_else(wrong)? + 1;
                        (Step::Member(after[1..end].to_owned()), end + 1)
                    }
                    None => {
                        let end = after.find(']').ok_or_else(wrong)?;
                        (Step::Element(after[..end].parse().map_err(|_| wrong())?), end)
                    }
                };
                rest = after[end..].strip_prefix(']').ok_or_else(wrong)?;
                steps.push(step);
            } else {
                return Err(wrong());
            }
        }
        Ok(Path(steps))
    }

    fn of<'a>(&self, event: &'a Value) -> Option<&'a Value> {
        self.0.iter().try_fold(event, |value, step| match step {
            Step::Member(name) => value.get(name),
            Step::Element(at) => value.get(at),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn context() -> RuleContext {
        RuleContext {
            rule_arn: "arn:aws:events:us-east-1:111111111111:rule/r".to_owned(),
            rule_name: "r".to_owned(),
            ingestion_time: "2026-11-24T08:00:00Z".to_owned(),
        }
    }

    fn template(paths: &[(&str, &str)], template: &str, event: &Value) -> String {
        let paths = paths.iter().map(|(name, path)| ((*name).to_owned(), (*path).to_owned())).collect();
        Transformer::template(&paths, template).unwrap().apply(event, &context())
    }

    #[test]
    fn parts_of_an_event() {
        let event = json!({"detail": {"a-b": [1, {"c": "x"}], "d.e": null}});
        let path = |path: &str| Transformer::path(path).unwrap().apply(&event, &context());
        assert_eq!(path("$"), event.to_string());
        assert_eq!(path("$.detail.a-b[1].c"), "\"x\"");
        assert_eq!(path("$.detail[\"d.e\"]"), "null");
        assert_eq!(path("$['detail'].a-b[0]"), "1");
        assert_eq!(path("$.nothing.at.all"), "null");
        for bad in ["", "detail", "$detail", "$.", "$.a..b", "$.a[x]", "$.a[", "$.a['b]", "$.a b"] {
            assert!(Transformer::path(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn words_of_parts() {
        let event = json!({"detail": {"name": "shop", "n": 7, "list": ["a", "b"]}});
        let paths = [("name", "$.detail.name"), ("n", "$.detail.n"), ("list", "$.detail.list"), ("none", "$.x")];
        let made = |text: &str| template(&paths, text, &event);
        assert_eq!(
            made(r#"{"repo": <name>, "n": <n>, "all": <list>}"#),
            r#"{"repo": "shop", "n": 7, "all": ["a","b"]}"#
        );
        assert_eq!(made(r#""<name> has <n>, <list>, <none>.""#), r#""shop has 7, [\"a\",\"b\"], .""#);
        assert_eq!(made(r#"{"x": <none>}"#), r#"{"x": null}"#);
        assert_eq!(made("\"a <name>\"\n\"b \\\" <n>\""), "\"a shop\"\n\"b \\\" 7\"");
        let rule = made(r#"{"rule": <aws.events.rule-name>, "at": "<aws.events.event.ingestion-time>"}"#);
        assert_eq!(rule, r#"{"rule": "r", "at": "2026-11-24T08:00:00Z"}"#);
        assert_eq!(made(r#"{"e": <aws.events.event.json>}"#), format!(r#"{{"e": {event}}}"#));
        assert!(Transformer::template(&BTreeMap::new(), "\"<name>\"").is_err());
        assert!(Transformer::constant("x").is_err());
    }

    // Whoever writes what an event says, a branch's name or a title, writes no member of what is told.
    #[test]
    fn what_an_event_says_stays_what_it_is() {
        let event = json!({"detail": {"name": "\", \"admin\": true, \"x\": \"\\"}});
        for text in [r#"{"name": "<name>", "admin": false}"#, r#"{"name": <name>, "admin": false}"#] {
            let made: Value = serde_json::from_str(&template(&[("name", "$.detail.name")], text, &event)).unwrap();
            assert_eq!(made, json!({"name": event["detail"]["name"], "admin": false}), "{text}");
        }
    }

    #[test]
    fn what_is_made_is_bounded() {
        let event = json!({"detail": {"text": "x".repeat(200_000)}});
        let made = template(&[("t", "$.detail.text")], &format!("\"{}\"", "<t>".repeat(1000)), &event);
        assert!(made.len() < 200 && made.contains("262144"), "{made}");
    }
}
