//! The document as it is written: JSON into statements, each element's shape checked, nothing understood yet.

use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::problem::{Problems, Why, shown, why};

/// One statement.
#[derive(Debug)]
pub(super) struct Statement {
    /// Its number and `Sid`, as problems name it.
    pub(super) label: String,
    /// `Sid`, or `statement-N`: the end of the policies' ids.
    pub(super) name: String,
    pub(super) allow: bool,
    pub(super) actions: Names,
    /// None where the statement has neither `Resource` nor `NotResource`.
    pub(super) resources: Option<Names>,
    /// Kind (`AWS`, `Service`, ... or `*`) and value; none where there is no `Principal`.
    pub(super) principals: Option<Vec<(String, String)>>,
    pub(super) conditions: Vec<Condition>,
    /// The statement as JSON, without spaces.
    pub(super) source: String,
}

/// `Action` or `NotAction`, `Resource` or `NotResource`.
#[derive(Debug)]
pub(super) struct Names {
    pub(super) negated: bool,
    pub(super) list: Vec<String>,
}

/// One key of one operator.
#[derive(Debug)]
pub(super) struct Condition {
    pub(super) operator: String,
    pub(super) key: String,
    pub(super) values: Vec<String>,
}

impl Condition {
    /// Whether it asks for something that things of one kind have and things of another have not.
    pub(super) fn is_of_resource(&self) -> bool {
        self.key.to_ascii_lowercase().starts_with("aws:resourcetag/")
    }
}

/// Reads a document; what is wrong with its shape goes into `problems`, and such statements are left out.
pub(super) fn parse(json: &str, problems: &mut Problems) -> Vec<Statement> {
    let document = |problems: &mut Problems, element: &str, said: Why| {
        problems.add("", element, said);
        Vec::new()
    };
    if json.len() > MAX_BYTES {
        let said = why(format!("it is larger than {MAX_BYTES} bytes"), "split it");
        return document(problems, "", said);
    }
    let parsed: Json = match serde_json::from_str(json) {
        Ok(parsed) => parsed,
        Err(failed) => {
            let said = why(format!("it cannot be read: {}", shown(&failed.to_string())), "correct the JSON");
            return document(problems, "", said);
        }
    };
    let Json::Object(members) = parsed else {
        return document(problems, "", why("it is no JSON object", "expected `Version` and `Statement`"));
    };
    let mut version = None;
    let mut statements = None;
    for (key, value) in members {
        match (key.as_str(), value) {
            ("Version", Json::Text(text)) => version = Some(text),
            ("Id", Json::Text(_)) => {}
            ("Statement", Json::Array(list)) => statements = Some(list),
            ("Statement", one @ Json::Object(_)) => statements = Some(vec![one]),
            ("Version" | "Id" | "Statement", _) => {
                problems.add("", &key, why("it is not of the type that IAM asks for", "see IAM's grammar"));
            }
            _ => problems.add("", &key, why("IAM knows no such element", "remove it, or correct its name")),
        }
    }
    match version.as_deref() {
        Some("2012-10-17") => {}
        Some("2008-10-17") | None => problems.add(
            "",
            "Version",
            why(
                "without version 2012-10-17 IAM takes `${...}` for plain text, and the document means something else",
                "write `\"Version\": \"2012-10-17\"` if that is what is meant",
            ),
        ),
        Some(other) => {
            problems.add("", "Version", why(format!("IAM knows no version `{}`", shown(other)), "write `2012-10-17`"));
        }
    }
    let statements = statements.unwrap_or_default();
    if statements.is_empty() {
        problems.add("", "Statement", why("there is no statement", "write at least one"));
    }
    if statements.len() > MAX_STATEMENTS {
        let said = why(format!("there are more than {MAX_STATEMENTS} statements"), "split the document");
        return document(problems, "Statement", said);
    }
    let mut sids = HashSet::new();
    let mut parsed = Vec::new();
    for (at, value) in statements.into_iter().enumerate() {
        if let Some(statement) = statement(at + 1, value, &mut sids, problems) {
            parsed.push(statement);
        }
    }
    parsed
}

fn statement(number: usize, value: Json, sids: &mut HashSet<String>, problems: &mut Problems) -> Option<Statement> {
    let n_before = problems.0.len();
    let source = value.to_string();
    let Json::Object(members) = value else {
        problems.add(&number.to_string(), "", why("it is no JSON object", "see IAM's grammar"));
        return None;
    };
    let sid = members.iter().find_map(|(key, value)| match value {
        Json::Text(sid) if key == "Sid" && !sid.is_empty() => Some(sid.clone()),
        _ => None,
    });
    let label = match &sid {
        Some(sid) => format!("{number} (`{}`)", shown(sid)),
        None => number.to_string(),
    };
    if let Some(sid) = &sid {
        if !sid.bytes().all(|b| b.is_ascii_alphanumeric()) || sid.len() > 64 {
            problems.add(&label, "Sid", why("it cannot be part of a policy's id", "write 1 to 64 letters and digits"));
        }
        if !sids.insert(sid.clone()) {
            problems.add(&label, "Sid", why("an earlier statement has the same", "give each its own"));
        }
    }
    let (mut effect, mut actions, mut resources, mut principals) = (None, None, None, None);
    let mut conditions = Vec::new();
    for (key, value) in members {
        let negated = key.starts_with("Not");
        match key.as_str() {
            "Sid" => {
                if !matches!(value, Json::Text(_)) {
                    problems.add(&label, &key, why("it is no text", "write text"));
                }
            }
            "Effect" => match value {
                Json::Text(text) if text == "Allow" => effect = Some(true),
                Json::Text(text) if text == "Deny" => effect = Some(false),
                _ => problems.add(&label, &key, why("it is neither `Allow` nor `Deny`", "write one of them")),
            },
            "Action" | "NotAction" | "Resource" | "NotResource" => {
                let kind = if key.ends_with("Action") { &mut actions } else { &mut resources };
                match names(value) {
                    Some(_) if kind.is_some() => problems.add(
                        &label,
                        &key,
                        why("the statement has both this and its opposite", "keep one of them"),
                    ),
                    Some(list) => *kind = Some(Names { negated, list }),
                    None => problems.add(
                        &label,
                        &key,
                        why(format!("it is no text and no list of 1 to {MAX_VALUES} texts"), "see IAM's grammar"),
                    ),
                }
            }
            "Principal" => match principal(value) {
                Some(list) => principals = Some(list),
                None => problems.add(
                    &label,
                    &key,
                    why("it is neither `\"*\"` nor an object of texts and lists of texts", "see IAM's grammar"),
                ),
            },
            "NotPrincipal" => problems.add(
                &label,
                &key,
                why(
                    "whom it means depends on how AWS counts a session, its role and its account as one",
                    "write `Principal` with a condition on `aws:PrincipalAccount` or `aws:PrincipalArn`",
                ),
            ),
            "Condition" => {
                if let Some(found) = condition_block(&label, value, problems) {
                    conditions = found;
                }
            }
            _ => problems.add(&label, &key, why("IAM knows no such element", "remove it, or correct its name")),
        }
    }
    if effect.is_none() && problems.0.len() == n_before {
        problems.add(&label, "Effect", why("it is missing", "write `Allow` or `Deny`"));
    }
    if actions.is_none() && problems.0.len() == n_before {
        problems.add(&label, "Action", why("it is missing", "write `Action` or `NotAction`"));
    }
    if problems.0.len() > n_before {
        return None;
    }
    Some(Statement {
        label,
        name: sid.unwrap_or_else(|| format!("statement-{number}")),
        allow: effect?,
        actions: actions?,
        resources,
        principals,
        conditions,
        source,
    })
}

/// A text or a list of texts.
fn names(value: Json) -> Option<Vec<String>> {
    match value {
        Json::Text(text) => Some(vec![text]),
        Json::Array(list) if (1..=MAX_VALUES).contains(&list.len()) => {
            list.into_iter().map(|value| if let Json::Text(text) = value { Some(text) } else { None }).collect()
        }
        _ => None,
    }
}

fn principal(value: Json) -> Option<Vec<(String, String)>> {
    match value {
        Json::Text(text) if text == "*" => Some(vec![("AWS".to_owned(), text)]),
        Json::Object(members) if !members.is_empty() => {
            let mut list = Vec::new();
            for (kind, value) in members {
                list.extend(names(value)?.into_iter().map(|value| (kind.clone(), value)));
            }
            Some(list)
        }
        _ => None,
    }
}

fn condition_block(label: &str, value: Json, problems: &mut Problems) -> Option<Vec<Condition>> {
    let Json::Object(operators) = value else {
        problems.add(label, "Condition", why("it is no JSON object", "see IAM's grammar"));
        return None;
    };
    let mut conditions = Vec::new();
    for (operator, value) in operators {
        let Json::Object(keys) = value else {
            let element = format!("Condition.{operator}");
            problems.add(label, &element, why("it is no JSON object", "write condition keys and their values"));
            continue;
        };
        // IAM ignores the case of keys, so these are one key given twice.
        let mut folded = HashSet::new();
        for (key, value) in keys {
            let element = format!("Condition.{operator}.{key}");
            if !folded.insert(key.to_ascii_lowercase()) {
                problems.add(label, &element, why("the key is given twice", "join the values into one list"));
            }
            match condition_values(value) {
                Some(values) => conditions.push(Condition { operator: operator.clone(), key, values }),
                None => problems.add(
                    label,
                    &element,
                    why(
                        format!("it has no value, or not 1 to {MAX_VALUES} plain ones"),
                        "write a text or a list of texts",
                    ),
                ),
            }
        }
    }
    Some(conditions)
}

fn condition_values(value: Json) -> Option<Vec<String>> {
    let one = |value: Json| match value {
        Json::Text(text) => Some(text),
        Json::Bool(value) => Some(value.to_string()),
        _ => None,
    };
    match value {
        Json::Array(list) if (1..=MAX_VALUES).contains(&list.len()) => list.into_iter().map(one).collect(),
        Json::Array(_) => None,
        value => one(value).map(|value| vec![value]),
    }
}

/// JSON in which no object has a member twice: readers disagree on which one counts.
#[derive(Debug)]
enum Json {
    Null,
    Bool(bool),
    Number(serde_json::Number),
    Text(String),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |text: &String| serde_json::Value::String(text.clone());
        match self {
            Json::Null => f.write_str("null"),
            Json::Bool(value) => write!(f, "{value}"),
            Json::Number(value) => write!(f, "{value}"),
            Json::Text(value) => write!(f, "{}", text(value)),
            Json::Array(list) => {
                f.write_str("[")?;
                for (n, value) in list.iter().enumerate() {
                    write!(f, "{}{value}", if n > 0 { "," } else { "" })?;
                }
                f.write_str("]")
            }
            Json::Object(members) => {
                f.write_str("{")?;
                for (n, (key, value)) in members.iter().enumerate() {
                    write!(f, "{}{}:{value}", if n > 0 { "," } else { "" }, text(key))?;
                }
                f.write_str("}")
            }
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Json, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_unit<E: Error>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }
    fn visit_bool<E: Error>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }
    fn visit_i64<E: Error>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }
    fn visit_u64<E: Error>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }
    fn visit_f64<E: Error>(self, value: f64) -> Result<Json, E> {
        Ok(serde_json::Number::from_f64(value).map_or(Json::Null, Json::Number))
    }
    fn visit_str<E: Error>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.to_owned()))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Json, A::Error> {
        let mut list = Vec::new();
        while let Some(value) = values.next_element()? {
            list.push(value);
        }
        Ok(Json::Array(list))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut values: A) -> Result<Json, A::Error> {
        let mut members = Vec::new();
        let mut seen = HashSet::new();
        while let Some((key, value)) = values.next_entry::<String, Json>()? {
            if !seen.insert(key.clone()) {
                return Err(A::Error::custom(format!("`{key}` is given twice in one object")));
            }
            members.push((key, value));
        }
        Ok(Json::Object(members))
    }
}

/// Largest document, in bytes.
const MAX_BYTES: usize = 128 << 10;
/// Most statements in a document.
const MAX_STATEMENTS: usize = 500;
/// Most values in one list.
const MAX_VALUES: usize = 1000;
