//! IAM's documented rules, straight over the JSON: what translations are held against. Written from the IAM User Guide
//! ("Policy evaluation logic", "IAM JSON policy elements: Condition operators", "Variables and tags") and nothing of ours.

use std::collections::HashMap;

use serde_json::Value;

/// A request as IAM sees it.
#[derive(Debug, Clone)]
pub(super) struct IamRequest {
    pub(super) action: String,
    /// An ARN, or `*` for actions without resources.
    pub(super) resource: String,
    /// Whose principal elements match: the account's number and root, the user, the role, the session; or a service.
    pub(super) principals: Vec<String>,
    /// Condition keys, in lower case before the first `/`. Several values, as `aws:tagkeys` has them, stand one a line.
    pub(super) keys: HashMap<String, String>,
}

/// What a document says: an explicit deny wins, then an allow, then nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Deny,
    Allow,
    Nothing,
}

pub(super) fn evaluate(document: &Value, request: &IamRequest) -> Verdict {
    let statements: Vec<&Value> = match &document["Statement"] {
        Value::Array(list) => list.iter().collect(),
        one => vec![one],
    };
    let mut verdict = Verdict::Nothing;
    for statement in statements {
        if applies(statement, request) {
            match statement["Effect"].as_str().unwrap() {
                "Deny" => return Verdict::Deny,
                _ => verdict = Verdict::Allow,
            }
        }
    }
    verdict
}

fn applies(statement: &Value, request: &IamRequest) -> bool {
    let action = |pattern: &str| {
        let folded = pattern.to_lowercase();
        matches(&pieces(&folded, true, request).unwrap(), &request.action.to_lowercase())
    };
    let resource = |pattern: &str| {
        pattern == "*" || pieces(pattern, true, request).is_some_and(|pieces| matches(&pieces, &request.resource))
    };
    let actions = match statement.get("NotAction") {
        Some(not) => !texts(not).iter().any(|pattern| action(pattern)),
        None => texts(&statement["Action"]).iter().any(|pattern| action(pattern)),
    };
    let resources = match (statement.get("NotResource"), statement.get("Resource")) {
        (Some(not), _) => !texts(not).iter().any(|pattern| resource(pattern)),
        (None, Some(resources)) => texts(resources).iter().any(|pattern| resource(pattern)),
        (None, None) => true,
    };
    let principal = match statement.get("Principal") {
        None => true,
        Some(Value::String(_)) => true,
        Some(kinds) => kinds
            .as_object()
            .unwrap()
            .values()
            .flat_map(texts)
            .any(|named| named == "*" || request.principals.contains(&named)),
    };
    let conditions = statement.get("Condition").is_none_or(|operators| {
        operators.as_object().unwrap().iter().all(|(operator, keys)| {
            keys.as_object().unwrap().iter().all(|(key, values)| condition(operator, key, &texts(values), request))
        })
    });
    actions && resources && principal && conditions
}

fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::Array(list) => list.iter().flat_map(texts).collect(),
        Value::String(text) => vec![text.clone()],
        other => vec![other.to_string()],
    }
}

fn condition(operator: &str, key: &str, values: &[String], request: &IamRequest) -> bool {
    let held = request.keys.get(&fold_key(key));
    if operator == "Null" {
        return held.is_none() == (values[0] == "true");
    }
    let (quantifier, operator) = operator.split_once(':').map_or((None, operator), |(set, rest)| (Some(set), rest));
    let (operator, if_exists) = operator.strip_suffix("IfExists").map_or((operator, false), |rest| (rest, true));
    let negated = operator.contains("Not");
    let Some(held) = held else {
        return match quantifier {
            Some("ForAllValues") => true,
            Some(_) => if_exists,
            None => if_exists || negated,
        };
    };
    let positive = operator.replace("Not", "");
    if let Some(quantifier) = quantifier.filter(|_| key.eq_ignore_ascii_case("aws:tagkeys")) {
        let mut each =
            held.lines().map(|held| values.iter().any(|value| holds(&positive, held, value, request)) != negated);
        return if quantifier == "ForAllValues" { each.all(|fits| fits) } else { each.any(|fits| fits) };
    }
    // Several values are alternatives; a negated operator asks for none of them.
    values.iter().any(|value| holds(&positive, held, value, request)) != negated
}

fn holds(operator: &str, held: &str, value: &str, request: &IamRequest) -> bool {
    let against = |wildcards| pieces(value, wildcards, request).is_some_and(|pieces| matches(&pieces, held));
    let dates = || {
        let date = |text: &str| text.parse::<jiff::Timestamp>().unwrap();
        (date(held), date(value))
    };
    match operator {
        "StringEquals" => against(false),
        "StringLike" => against(true),
        "ArnEquals" | "ArnLike" => {
            let (held, value): (Vec<&str>, Vec<&str>) = (held.splitn(6, ':').collect(), value.splitn(6, ':').collect());
            held.len() == 6
                && value.len() == 6
                && held
                    .iter()
                    .zip(&value)
                    .all(|(held, value)| pieces(value, true, request).is_some_and(|pieces| matches(&pieces, held)))
        }
        "Bool" => held == value,
        "DateEquals" => dates().0 == dates().1,
        "DateLessThan" => dates().0 < dates().1,
        "DateLessThanEquals" => dates().0 <= dates().1,
        "DateGreaterThan" => dates().0 > dates().1,
        "DateGreaterThanEquals" => dates().0 >= dates().1,
        "IpAddress" => {
            let (network, bits) = value.split_once('/').unwrap_or((value, "32"));
            let (held, network): (std::net::IpAddr, std::net::IpAddr) =
                (held.parse().unwrap(), network.parse().unwrap());
            let bits: usize = bits.parse().unwrap();
            let digits = |address: std::net::IpAddr| match address {
                std::net::IpAddr::V4(address) => format!("{:032b}", u32::from(address)),
                std::net::IpAddr::V6(address) => format!("{:0128b}", u128::from(address)),
            };
            held.is_ipv4() == network.is_ipv4() && digits(held)[..bits] == digits(network)[..bits]
        }
        other => panic!("{other}"),
    }
}

fn fold_key(key: &str) -> String {
    match key.split_once('/') {
        Some((prefix, tag)) => format!("{}/{tag}", prefix.to_lowercase()),
        None => key.to_lowercase(),
    }
}

/// Characters, and whether each is a wildcard; none where a variable has no value.
fn pieces(value: &str, wildcards: bool, request: &IamRequest) -> Option<Vec<(char, bool)>> {
    let mut out = Vec::new();
    let mut chars = value.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '$' && chars.peek() == Some(&'{') {
            chars.next();
            let name: String = chars.by_ref().take_while(|c| *c != '}').collect();
            let text = match name.as_str() {
                "*" | "?" | "$" => name.clone(),
                name => request.keys.get(&fold_key(name))?.clone(),
            };
            out.extend(text.chars().map(|c| (c, false)));
        } else {
            out.push((c, wildcards && matches!(c, '*' | '?')));
        }
    }
    Some(out)
}

fn matches(pattern: &[(char, bool)], text: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    // reach[i]: the pattern so far matches the first i characters.
    let mut reach = vec![false; text.len() + 1];
    reach[0] = true;
    for (c, wild) in pattern {
        let mut next = vec![false; text.len() + 1];
        for at in 0..=text.len() {
            next[at] = match (c, wild) {
                ('*', true) => reach[at] || at > 0 && next[at - 1],
                ('?', true) => at > 0 && reach[at - 1],
                (c, _) => at > 0 && reach[at - 1] && text[at - 1] == *c,
            };
        }
        reach = next;
    }
    reach[text.len()]
}
