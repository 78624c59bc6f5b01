//! Which paths the policies can tell apart, so that a change of a hundred thousand paths is decided a few times.
//!
//! `codecommit:WritePath` is asked of every changed path. What the policies that could speak about it look at is read from
//! the policies themselves: whether the path is one, or lies below one, that they name, and whether its name is like a
//! pattern or equal to a text. Paths for which all these tests come out alike are one class and get one answer. A policy that
//! uses the path in any other way makes each path a class of its own: slower, and as right.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde_json::Value;

use super::action::Action;
use super::compile::{CompiledPolicies, SessionPolicy};
use super::context::{ContextFacts, RequestFacts, Transport};
use super::decide::{DecisionRequest, Question};
use super::entities::{PathFacts, PrincipalFacts, RepositoryFacts, ResourceFacts, encode_for_id};
use crate::names::RefName;

/// What the policies of one generation ask of the paths that one principal writes in one repository.
#[derive(Debug, Clone, Default)]
pub struct PathRules {
    tests: Vec<Test>,
    /// Some policy uses the path in a way that is not understood here.
    is_opaque: bool,
    /// Ids of the policies that look at the ref on which the path is written.
    about_refs: HashSet<String>,
    n_policies: usize,
}

/// Something that a policy asks of a path. Texts are as Cedar sees them, percent-encoded.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Test {
    /// `resource == Path::"..."`, or `resource.name == "..."`.
    Is(String),
    /// `resource in Path::"..."`.
    AtOrBelow(String),
    /// `resource.name like "..."`.
    Like(Vec<Piece>),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Piece {
    Char(char),
    Any,
}

impl CompiledPolicies {
    /// The rules about paths that `principal` writes in `repository`, those of its session among them.
    pub fn path_rules(
        &self,
        principal: &PrincipalFacts,
        repository: &RepositoryFacts,
        session: Option<&SessionPolicy>,
    ) -> PathRules {
        let Ok(on) = RefName::parse(b"refs/heads/main") else { return PathRules::opaque() };
        let resource = ResourceFacts::Path(PathFacts { repository: repository.clone(), on, path: b"x".to_vec() });
        let request = RequestFacts { time_ms: 0, source_ip: None, transport: Transport::Https, mfa: false };
        let question = Question::new(&DecisionRequest {
            id: uuid::Uuid::nil(),
            principal,
            action: &Action::write_path(),
            resource: &resource,
            request: &request,
            context: &ContextFacts::WritePath,
            extra_context: None,
            session_policy: None,
        });
        // What cannot be asked is refused when it is decided; it must not pass for "no rules".
        let Ok(question) = question else { return PathRules::opaque() };
        let keys = question.scope_keys();
        let prefix = format!("{}/{}/", repository.account, repository.name);
        let mut rules = PathRules::default();
        let layers = question.layers();
        let indexes = layers.iter().filter_map(|(layer, _)| self.layers.get(layer)).map(Arc::as_ref);
        let attached = layers.iter().flat_map(|(layer, _)| self.attached.indexes(layer, &keys));
        for index in indexes.chain(attached).chain(session.map(|session| session.index.as_ref())) {
            for policy in index.forbids_on_anything(&keys) {
                rules.n_policies += 1;
                let id: &str = policy.id().as_ref();
                match policy.to_json() {
                    Ok(json) => rules.read(id, &json, &prefix),
                    Err(_) => rules.is_opaque = true,
                }
            }
        }
        let mut seen = HashSet::new();
        rules.tests.retain(|test| seen.insert(test.clone()));
        rules
    }
}

impl PathRules {
    fn opaque() -> PathRules {
        PathRules { is_opaque: true, n_policies: 1, ..PathRules::default() }
    }

    /// Whether nothing can forbid any path.
    pub fn is_empty(&self) -> bool {
        self.n_policies == 0
    }

    /// Whether some policy looks at the ref on which a path is written.
    pub fn look_at_refs(&self) -> bool {
        self.is_opaque || !self.about_refs.is_empty()
    }

    /// Whether the policy of that id does.
    pub fn looks_at_ref(&self, policy: &str) -> bool {
        self.is_opaque || self.about_refs.contains(policy)
    }

    /// The first path of each class, in their order, with the number of paths in the class.
    pub fn classes<'a>(&self, paths: &'a [Vec<u8>]) -> Vec<(&'a [u8], usize)> {
        if self.is_opaque {
            return paths.iter().map(|path| (&path[..], 1)).collect();
        }
        let mut classes: Vec<(&[u8], usize)> = Vec::new();
        let mut known: HashMap<Vec<u64>, usize> = HashMap::new();
        let mut key = vec![0u64; self.tests.len().div_ceil(64)];
        for path in paths {
            let name = encode_for_id(path);
            key.fill(0);
            for (i, test) in self.tests.iter().enumerate() {
                key[i / 64] |= u64::from(test.holds(&name)) << (i % 64);
            }
            match known.get(&key) {
                Some(class) => classes[*class].1 += 1,
                None => {
                    known.insert(key.clone(), classes.len());
                    classes.push((path, 1));
                }
            }
        }
        classes
    }

    fn read(&mut self, id: &str, policy: &Value, prefix: &str) {
        let mut reading = Reading { rules: self, id, prefix };
        let scope = &policy["resource"];
        match scope["op"].as_str() {
            Some("All") => {}
            Some("==") => reading.entity(&scope["entity"], Test::Is),
            Some("in") => reading.entity(&scope["entity"], Test::AtOrBelow),
            Some("is") if scope.get("in").is_none() => {}
            Some("is") => reading.entity(&scope["in"]["entity"], Test::AtOrBelow),
            _ => reading.rules.is_opaque = true,
        }
        for condition in policy["conditions"].as_array().into_iter().flatten() {
            reading.expression(&condition["body"]);
        }
    }
}

/// One policy as it is read, in Cedar's JSON form.
struct Reading<'a> {
    rules: &'a mut PathRules,
    id: &'a str,
    /// What comes before a path's name in its entity id.
    prefix: &'a str,
}

impl Reading<'_> {
    /// A test against an entity: only a path of this repository can tell paths apart.
    fn entity(&mut self, entity: &Value, test: fn(String) -> Test) {
        let entity = entity.get("__entity").unwrap_or(entity);
        match (entity["type"].as_str(), entity["id"].as_str()) {
            (Some("Path"), Some(id)) => {
                self.rules.tests.extend(id.strip_prefix(self.prefix).map(|name| test(name.to_owned())));
            }
            (Some(_), Some(_)) => {}
            _ => self.rules.is_opaque = true,
        }
    }

    fn expression(&mut self, expression: &Value) {
        match expression {
            Value::Object(operators) => {
                for (operator, operands) in operators {
                    self.operator(operator, operands);
                }
            }
            Value::Array(parts) => parts.iter().for_each(|part| self.expression(part)),
            _ => {}
        }
    }

    fn operator(&mut self, operator: &str, operands: &Value) {
        let (left, right) = (&operands["left"], &operands["right"]);
        match operator {
            // A literal: nothing in it is looked at.
            "Value" => {}
            "Var" => {
                // The path itself, in a place that is not one of those below; or the context whole.
                self.rules.is_opaque |= operands == "resource" || operands == "context";
            }
            "like" if is_name(left) => match pattern(&operands["pattern"]) {
                Some(pattern) => self.rules.tests.push(Test::Like(pattern)),
                None => self.rules.is_opaque = true,
            },
            "==" | "!=" if is_name(left) && text(right).is_some() => self.is(right),
            "==" | "!=" if is_name(right) && text(left).is_some() => self.is(left),
            "==" | "!=" if is_resource(left) && literal(right).is_some() => self.literal(right, Test::Is),
            "==" | "!=" if is_resource(right) && literal(left).is_some() => self.literal(left, Test::Is),
            "in" if is_resource(left) && literal(right).is_some() => self.literal(right, Test::AtOrBelow),
            "in" if is_resource(left) && right.get("Set").is_some() => {
                for part in right["Set"].as_array().into_iter().flatten() {
                    match literal(part) {
                        Some(_) => self.literal(part, Test::AtOrBelow),
                        None => self.rules.is_opaque = true,
                    }
                }
            }
            "is" if is_resource(left) => match operands.get("in") {
                None => {}
                Some(place) if literal(place).is_some() => self.literal(place, Test::AtOrBelow),
                Some(_) => self.rules.is_opaque = true,
            },
            "has" if is_resource(left) => {}
            "contains" if is_name(right) && left.get("Set").is_some() => {
                for part in left["Set"].as_array().into_iter().flatten() {
                    match text(part) {
                        Some(_) => self.is(part),
                        None => self.rules.is_opaque = true,
                    }
                }
            }
            "." if left["Var"] == "context" => {
                if operands["attr"] == "ref" {
                    self.rules.about_refs.insert(self.id.to_owned());
                }
            }
            "has" if left["Var"] == "context" => {}
            _ => self.expression(operands),
        }
    }

    fn is(&mut self, value: &Value) {
        self.rules.tests.extend(text(value).map(|text| Test::Is(text.to_owned())));
    }

    fn literal(&mut self, value: &Value, test: fn(String) -> Test) {
        if let Some(entity) = literal(value) {
            self.entity(entity, test);
        }
    }
}

fn is_resource(expression: &Value) -> bool {
    expression["Var"] == "resource"
}

fn is_name(expression: &Value) -> bool {
    expression["."]["attr"] == "name" && is_resource(&expression["."]["left"])
}

fn text(expression: &Value) -> Option<&str> {
    expression.get("Value")?.as_str()
}

fn literal(expression: &Value) -> Option<&Value> {
    expression.get("Value")?.get("__entity")
}

fn pattern(pieces: &Value) -> Option<Vec<Piece>> {
    let mut out = Vec::new();
    for piece in pieces.as_array()? {
        match piece.get("Literal") {
            Some(text) => out.extend(text.as_str()?.chars().map(Piece::Char)),
            None if piece == "Wildcard" => out.push(Piece::Any),
            None => return None,
        }
    }
    Some(out)
}

impl Test {
    fn holds(&self, name: &str) -> bool {
        match self {
            Test::Is(text) => name == text,
            Test::AtOrBelow(folder) => {
                name.strip_prefix(folder.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            }
            Test::Like(pieces) => is_like(pieces, name),
        }
    }
}

/// Whether a text is like a pattern, in time proportional to the product of their lengths at worst.
fn is_like(pieces: &[Piece], text: &str) -> bool {
    let mut rest = text.chars();
    let mut at = 0;
    // Where to go on after the last wildcard, taking one more character into it.
    let mut retry: Option<(usize, std::str::Chars<'_>)> = None;
    loop {
        if let Some(Piece::Any) = pieces.get(at) {
            at += 1;
            retry = Some((at, rest.clone()));
            continue;
        }
        let mut ahead = rest.clone();
        match (pieces.get(at), ahead.next()) {
            (None, None) => return true,
            (Some(Piece::Char(wanted)), Some(found)) if *wanted == found => {
                at += 1;
                rest = ahead;
            }
            _ => {
                let Some((from, mut after)) = retry else { return false };
                if after.next().is_none() {
                    return false;
                }
                at = from;
                rest = after.clone();
                retry = Some((from, after));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::policy::{CompileOptions, EveryName, PolicyFiles, Tags, UserFacts};

    fn compile(text: &str) -> CompiledPolicies {
        let mut files = PolicyFiles::new();
        files.insert("111111111111/paths.cedar", text.as_bytes().to_vec()).unwrap();
        CompiledPolicies::compile(&files, &EveryName, CompileOptions::default())
            .unwrap_or_else(|bad| panic!("{bad:?}"))
            .policies
    }

    fn alice() -> PrincipalFacts {
        PrincipalFacts::User(UserFacts {
            account: crate::names::AccountId::parse("111111111111").unwrap(),
            name: crate::names::PrincipalName::parse("alice").unwrap(),
            groups: vec![crate::names::PrincipalName::parse("developers").unwrap()],
            mfa_enrolled: false,
            tags: Tags::new(),
        })
    }

    fn shop() -> RepositoryFacts {
        RepositoryFacts {
            account: crate::names::AccountId::parse("111111111111").unwrap(),
            name: crate::names::RepositoryName::parse("shop").unwrap(),
            default_branch: None,
            tags: Tags::new(),
        }
    }

    fn allowed(policies: &CompiledPolicies, path: &[u8]) -> bool {
        let on = RefName::parse(b"refs/heads/main").unwrap();
        let resource = ResourceFacts::Path(PathFacts { repository: shop(), on, path: path.to_vec() });
        let request = RequestFacts { time_ms: 0, source_ip: None, transport: Transport::Ssh, mfa: false };
        let decision = policies.decide(&DecisionRequest {
            id: uuid::Uuid::nil(),
            principal: &alice(),
            action: &Action::write_path(),
            resource: &resource,
            request: &request,
            context: &ContextFacts::WritePath,
            extra_context: None,
            session_policy: None,
        });
        decision.allowed
    }

    #[test]
    fn rules_that_cannot_speak_are_none() {
        let rules = |text: &str| compile(text).path_rules(&alice(), &shop(), None);
        assert!(rules("").is_empty());
        let push = r#"@id("a") forbid (principal, action == Action::"codecommit:GitPush", resource);"#;
        assert!(rules(push).is_empty());
        let other = r#"@id("a") forbid (principal == User::"111111111111/bob", action == Action::"codecommit:WritePath", resource);"#;
        assert!(rules(other).is_empty());
        let all = r#"@id("a") forbid (principal, action == Action::"codecommit:WritePath", resource)
            unless { context.ref == Ref::"111111111111/shop/refs/heads/x" };"#;
        let found = rules(all);
        assert!(!found.is_empty() && found.looks_at_ref("a") && found.look_at_refs());
        assert_eq!(found.classes(&[b"a".to_vec(), b"b".to_vec()]).len(), 1);
        // What is used in a way that is not understood tells all paths apart.
        let odd = r#"@id("a") forbid (principal, action == Action::"codecommit:WritePath", resource)
            when { [resource].contains(Path::"111111111111/shop/x") };"#;
        assert_eq!(rules(odd).classes(&[b"a".to_vec(), b"b".to_vec()]).len(), 2);
    }

    #[test]
    fn a_hundred_thousand_paths_are_a_few_classes() {
        let mut text = String::new();
        for i in 0..20 {
            let condition = match i % 4 {
                0 => format!("resource in Path::\"111111111111/shop/d{i}\""),
                1 => format!("resource.name like \"*/f{i}*.rs\""),
                2 => format!("[\"d1/f{i}\", \"x\"].contains(resource.name)"),
                _ => format!("resource.name == \"d{i}/f1.rs\" && resource is Path"),
            };
            text.push_str(&format!(
                "@id(\"r{i}\") forbid (principal, action == Action::\"codecommit:WritePath\", resource) when {{ {condition} }};\n"
            ));
        }
        let policies = compile(&text);
        let paths: Vec<Vec<u8>> =
            (0..100_000).map(|i| format!("d{}/e{}/f{i}.rs", i % 40, i % 300).into_bytes()).collect();
        let rules = policies.path_rules(&alice(), &shop(), None);
        let classes = rules.classes(&paths);
        assert!((10..200).contains(&classes.len()), "{}", classes.len());
        assert_eq!(classes.iter().map(|(_, n)| n).sum::<usize>(), paths.len());
    }

    /// Conditions of every form that is understood, over a small alphabet so that they hold now and then.
    fn condition() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            "[ab]{1,2}(/[ab]{1,2})?".prop_map(|p| format!("resource in Path::\"111111111111/shop/{p}\"")),
            "[ab]{1,2}(/[ab]{1,2})?".prop_map(|p| format!("resource == Path::\"111111111111/shop/{p}\"")),
            "[ab]{1,2}"
                .prop_map(|p| format!("resource in [Path::\"111111111111/shop/{p}\", Path::\"111111111111/other/a\"]")),
            "[ab/*]{1,6}".prop_map(|p| format!("resource.name like \"{p}\"")),
            "[ab/]{1,4}".prop_map(|p| format!("resource.name == \"{p}\"")),
            "[ab/]{1,4}".prop_map(|p| format!("[\"a\", \"{p}\"].contains(resource.name)")),
            Just("principal in Group::\"111111111111/developers\"".to_owned()),
            Just("context.request.transport == \"ssh\"".to_owned()),
        ];
        leaf.prop_recursive(3, 8, 2, |inner| {
            prop_oneof![
                (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} && {b})")),
                (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} || {b})")),
                inner.prop_map(|a| format!("!({a})")),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        // D1: what holds for the first of a class holds for each of it.
        #[test]
        fn a_class_has_one_answer(
            conditions in proptest::collection::vec(condition(), 1..4),
            paths in proptest::collection::vec("[ab]{1,2}(/[ab]{1,2}){0,2}", 1..20),
        ) {
            let text: String = conditions.iter().enumerate().map(|(i, condition)| format!(
                "@id(\"p{i}\") forbid (principal, action == Action::\"codecommit:WritePath\", resource) when {{ {condition} }};\n"
            )).collect();
            let policies = compile(&text);
            let rules = policies.path_rules(&alice(), &shop(), None);
            prop_assert!(!rules.is_opaque, "{}", text);
            let paths: Vec<Vec<u8>> = paths.into_iter().map(String::into_bytes).collect();
            let classes = rules.classes(&paths);
            for path in &paths {
                let alone = rules.classes(std::slice::from_ref(path));
                prop_assert_eq!(alone.len(), 1);
                // The class of a path is the one whose first member answers all tests alike.
                let of = classes.iter().find(|(first, _)| rules.classes(&[first.to_vec(), path.clone()]).len() == 1);
                prop_assert_eq!(allowed(&policies, of.unwrap().0), allowed(&policies, path));
            }
        }

        #[test]
        fn patterns_match_as_cedar_matches(pattern in "[ab*]{0,6}", text in "[ab]{0,6}") {
            let pieces: Vec<Piece> =
                pattern.chars().map(|c| if c == '*' { Piece::Any } else { Piece::Char(c) }).collect();
            let regex_like = |pattern: &str, text: &str| -> bool {
                fn go(p: &[u8], t: &[u8]) -> bool {
                    match p.split_first() {
                        None => t.is_empty(),
                        Some((b'*', rest)) => (0..=t.len()).any(|n| go(rest, &t[n..])),
                        Some((c, rest)) => t.first() == Some(c) && go(rest, &t[1..]),
                    }
                }
                go(pattern.as_bytes(), text.as_bytes())
            };
            prop_assert_eq!(is_like(&pieces, &text), regex_like(&pattern, &text));
        }
    }
}
