//! What documents become, what is refused and in which words, and that translations decide as IAM documents it.

use std::cell::Cell;
use std::collections::{BTreeSet, HashMap};

use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

use super::actions::{Class, classes_of, is_for};
use super::evaluator::{IamRequest, Verdict, evaluate};
use super::expression::literal;
use super::*;
use crate::names::{RefName, RepositoryName};
use crate::policy::{
    Action, AssumeRoleFacts, ChangeKind, CompileOptions, CompiledPolicies, ContextFacts, DecisionRequest, EveryName,
    GroupFacts, NamedFacts, NamedKind, PathFacts, PolicyFiles, PrincipalFacts, RefChangeFacts, RefFacts,
    RepositoryFacts, RequestFacts, ResourceFacts, RoleFacts, SessionFacts, Tags, Transport, UserFacts,
    WebIdentityFacts,
};

const HOME: &str = "111111111111";
const AWAY: &str = "222222222222";

fn account(id: &str) -> AccountId {
    AccountId::parse(id).unwrap()
}

fn name(name: &str) -> PrincipalName {
    PrincipalName::parse(name).unwrap()
}

fn import(document: &str, principal: ImportFor) -> Result<Vec<TranslatedPolicy>, Vec<IamProblem>> {
    let options = IamImport { account: account(HOME), region: "us-east-1".to_owned(), name: "x".to_owned(), principal };
    import_iam(document, &options)
}

fn folder(layer: &Layer) -> String {
    match layer {
        Layer::Account(account) => format!("{account}/iam.cedar"),
        Layer::Trust(account) => format!("{account}/trust/iam.cedar"),
        other => panic!("{other:?}"),
    }
}

/// Compiles what was translated, with other files besides.
fn compile(policies: &[TranslatedPolicy], besides: &[(&str, &str)]) -> CompiledPolicies {
    let mut texts: HashMap<String, String> = HashMap::new();
    for policy in policies {
        texts.entry(folder(&policy.layer)).or_default().push_str(&policy.text);
    }
    let mut files = PolicyFiles::new();
    for (path, text) in &texts {
        files.insert(path, text.clone().into_bytes()).unwrap();
    }
    for (path, text) in besides {
        files.insert(path, text.as_bytes().to_vec()).unwrap();
    }
    match CompiledPolicies::compile(&files, &EveryName, CompileOptions::default()) {
        Ok(compiled) => compiled.policies,
        Err(problems) => panic!("{}\n{texts:#?}", problems.iter().map(|p| format!("{p}\n")).collect::<String>()),
    }
}

fn document(statements: Value) -> String {
    json!({"Version": "2012-10-17", "Statement": statements}).to_string()
}

/// The translation without the annotations, one policy after the other.
fn translated(statements: Value, principal: ImportFor) -> String {
    let policies = match import(&document(statements), principal) {
        Ok(policies) => policies,
        Err(problems) => panic!("{}", problems.iter().map(|p| format!("{p}\n")).collect::<String>()),
    };
    compile(&policies, &[]);
    let bare = |policy: &TranslatedPolicy| {
        policy.text.lines().filter(|line| !line.starts_with('@')).map(|line| format!("{line}\n")).collect::<String>()
    };
    policies.iter().map(bare).collect()
}

fn refused(statements: Value) -> String {
    refused_document(&document(statements))
}

fn refused_document(document: &str) -> String {
    let problems = import(document, ImportFor::Group(name("dev"))).expect_err(document);
    problems.iter().map(|problem| format!("{problem}\n")).collect()
}

fn dev() -> ImportFor {
    ImportFor::Group(name("dev"))
}

// D1 D7: AWS's own example of protecting a branch.
#[test]
fn what_documents_become() {
    insta::assert_snapshot!(
        "protected_branch",
        translated(
            json!({
                "Effect": "Deny",
                "Action": ["codecommit:GitPush", "codecommit:DeleteBranch", "codecommit:PutFile", "codecommit:Merge*"],
                "Resource": "arn:aws:codecommit:us-east-1:111111111111:shop",
                "Condition": {
                    "StringEqualsIfExists": {"codecommit:References": ["refs/heads/main", "refs/heads/prod"]},
                    "Null": {"codecommit:References": "false"},
                },
            }),
            dev()
        )
    );
    insta::assert_snapshot!(
        "wildcards",
        translated(
            json!([
                {"Effect": "Allow", "Action": "*", "Resource": "*"},
                {"Effect": "Allow", "Action": "codecommit:*", "Resource": "arn:aws:codecommit:*:111111111111:shop"},
                {"Effect": "Allow", "Action": "CodeCommit:gitpull", "Resource": "arn:aws:codecommit:*:111111111111:team-*"},
                {"Effect": "Allow", "Action": ["codecommit:GitP*", "s3:GetObject"], "Resource": "arn:aws:codecommit:*:*:*"},
                {"Effect": "Deny", "NotAction": ["codecommit:*", "iam:*"], "NotResource": "arn:aws:iam::111111111111:role/ok",
                 "Condition": {"BoolIfExists": {"aws:MultiFactorAuthPresent": false}}},
            ]),
            dev()
        )
    );
    insta::assert_snapshot!(
        "user_variables",
        translated(
            json!([
                {"Effect": "Allow", "Action": "codecommit:GitPush", "Resource": "*", "Condition": {
                    "StringLike": {"codecommit:References": ["refs/heads/${aws:username}/*", "refs/heads/50%"]},
                    "NotIpAddress": {"AWS:sourceip": ["10.1.2.3/8", "2001:db8::/32"]},
                    "DateLessThan": {"aws:CurrentTime": "2026-04-01"}}},
            ]),
            ImportFor::User(name("alice"))
        )
    );
    insta::assert_snapshot!(
        "trust",
        translated(
            json!([
                {"Effect": "Allow", "Principal": {"AWS": ["arn:aws:iam::222222222222:root", "111111111111"], "Service": "codebuild.amazonaws.com"},
                 "Action": "sts:AssumeRole", "Condition": {"StringEquals": {"sts:ExternalId": "a"}, "StringNotEquals": {"sts:ExternalId": "b"}}},
                {"Effect": "Deny", "Principal": "*", "Action": "sts:AssumeRole", "Condition": {"StringNotEquals": {"aws:PrincipalAccount": "111111111111"}}},
                {"Effect": "Allow", "Action": "sts:AssumeRoleWithWebIdentity",
                 "Principal": {"Federated": "arn:aws:iam::111111111111:oidc-provider/token.actions.githubusercontent.com"},
                 "Condition": {
                    "StringEquals": {"token.actions.githubusercontent.com:aud": "sts.amazonaws.com"},
                    "StringLike": {"token.actions.githubusercontent.com:sub": "repo:acme/shop:*"}}},
            ]),
            ImportFor::Trust(name("deployer"))
        )
    );
    insta::assert_snapshot!(
        "own_credentials",
        translated(
            json!([
                {"Effect": "Allow", "Action": ["iam:*AccessKey*", "iam:GetUser"], "Resource": "arn:aws:iam::*:user/${aws:username}"},
                {"Effect": "Allow", "Action": "iam:CreateVirtualMFADevice", "Resource": "arn:aws:iam::111111111111:mfa/${aws:username}"},
                {"Effect": "Allow", "Action": "iam:SimulatePrincipalPolicy", "Resource": "arn:aws:iam::111111111111:role/*"},
                {"Effect": "Allow", "Action": "codepipeline:*", "Resource": ["arn:aws:codepipeline:*:111111111111:shop",
                 "arn:aws:codepipeline:*:111111111111:shop/Production/Approve"]},
            ]),
            dev()
        )
    );
}

#[test]
fn a_policy_keeps_its_statement() {
    let document = document(json!([
        {"Sid": "Read", "Effect": "Allow", "Action": "codecommit:Get*", "Resource": "*"},
        {"Effect": "Allow", "Action": "iam:PassRole", "Resource": "arn:aws:iam::111111111111:role/x"},
    ]));
    let policies = import(&document, dev()).unwrap();
    let ids: Vec<&str> = policies.iter().map(|policy| policy.id.as_str()).collect();
    assert_eq!(ids, ["x-Read", "x-statement-2"]);
    let compiled = compile(&policies, &[]);
    assert_eq!(compiled.texts().count(), 2);
    let set: cedar_policy::PolicySet = policies[0].text.parse().unwrap();
    let source = set.policies().next().unwrap().annotation("iam").unwrap().to_owned();
    // What was kept translates again, to the same.
    let again = format!("{{\"Version\":\"2012-10-17\",\"Statement\":{source}}}");
    assert_eq!(import(&again, dev()).unwrap()[0].text, policies[0].text);
}

#[test]
fn refusals() {
    let deny = |extra: Value| {
        let mut statement = json!({"Effect": "Deny", "Action": "codecommit:GitPush", "Resource": "*"});
        for (key, value) in extra.as_object().unwrap() {
            statement[key] = value.clone();
        }
        refused(json!([{"Effect": "Allow", "Action": "*", "Resource": "*"}, statement]))
    };
    let mut said = String::new();
    for extra in [
        json!({"Sid": "Main", "Condition": {"StringLike": {"s3:prefix": "x", "aws:usrname": "y"}}}),
        json!({"Action": "codecommit:GitPsuh"}),
        json!({"Action": "dynamodb:*"}),
        json!({"Action": "git*:x"}),
        json!({"NotAction": "*"}),
        json!({"Resource": "arn:aws:codecommit:*:111111111111:team-*"}),
        json!({"Action": "codecommit:GitPull", "Resource": "arn:aws:codecommit:*:111111111111:team-?"}),
        json!({"Resource": "arn:aws:codecommit:eu-west-1:111111111111:shop"}),
        json!({"Resource": "arn:aws:codecommit:*:1111*:shop"}),
        json!({"Resource": "arn:aws:s3:::bucket"}),
        json!({"Resource": "shop"}),
        json!({"Action": "iam:AddUserToGroup", "Resource": "arn:aws:iam::111111111111:group/d*"}),
        json!({"Condition": {"StringEqualsIgnoreCase": {"aws:username": "Alice"}}}),
        json!({"Condition": {"StringEqual": {"aws:username": "alice"}}}),
        json!({"Condition": {"Bool": {"aws:MultiFactorAuthPresent": "false"}}}),
        json!({"Condition": {"StringLike": {"codecommit:References": "refs/heads/*5"}}}),
        json!({"Condition": {"StringLike": {"codecommit:References": "refs/heads/${aws:username}/*"}}}),
        json!({"Condition": {"StringNotEquals": {"codecommit:References": "${aws:username}"}}}),
        json!({"Condition": {"StringEquals": {"aws:ResourceTag/x": "y"}}}),
        json!({"Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/33"}}}),
        json!({"Condition": {"DateLessThan": {"aws:CurrentTime": "tomorrow"}}}),
        json!({"Condition": {"StringEquals": {"aws:username": "a", "AWS:UserName": "b"}}}),
        json!({"Condition": {"StringEquals": {"aws:username": []}}}),
        json!({"NotPrincipal": {"AWS": HOME}}),
        json!({"Principal": "*"}),
        json!({"Sid": "a b"}),
        json!({"Resources": "*"}),
    ] {
        said.push_str(&deny(extra));
    }
    insta::assert_snapshot!("refusals", said);
}

// D7: what readers of JSON disagree on, and what is too large.
#[test]
fn documents_that_are_refused_whole() {
    let statement = r#"{"Effect":"Allow","Effect":"Deny","Action":"*","Resource":"*"}"#;
    let said = refused_document(&format!("{{\"Version\":\"2012-10-17\",\"Statement\":{statement}}}"));
    assert!(said.contains("`Effect` is given twice"), "{said}");
    let one = r#"{"Effect":"Allow","Action":"*","Resource":"*"}"#;
    for (document, part) in [
        (format!("{{\"Version\":\"2008-10-17\",\"Statement\":{one}}}"), "plain text"),
        (format!("{{\"Statement\":{one}}}"), "plain text"),
        (format!("{{\"Version\":\"2012-10-17\",\"Statement\":[{}]}}", vec![one; 501].join(",")), "more than 500"),
        (format!("{}{{}}", " ".repeat(128 << 10)), "larger than 131072 bytes"),
        ("{\"Version\":\"2012-10-17\"}".to_owned(), "no statement"),
        ("[".repeat(100_000), "cannot be read"),
        ("\u{1b}[31m".to_owned(), "cannot be read"),
    ] {
        let said = refused_document(&document);
        assert!(said.contains(part) && !said.contains('\u{1b}'), "{said}");
    }
}

// D7: nothing in a document gets out of the quotes it is put into.
#[test]
fn hostile_texts_stay_texts() {
    for hostile in [
        "\" || true || \"",
        "\"}; permit (principal, action, resource); //",
        "a\\\"b\\",
        "a\nb\r\t\0",
        "*\\*",
        "${*}${?}${$}{x}",
        "\u{202e}\u{200b}\u{e4}\u{1F600}e\u{301}",
        "'",
    ] {
        let statements = json!([
            {"Effect": "Allow", "Action": "codecommit:GitPull", "Resource": "*", "Condition": {
                "StringEquals": {"aws:username": [hostile, "x"], format!("aws:ResourceTag/{hostile}"): hostile},
                "StringNotLike": {"aws:username": [format!("{hostile}*"), "y"]}}},
            {"Effect": "Deny", "Action": "codecommit:GitPush", "Resource": "*",
             "Condition": {"StringLike": {"codecommit:References": hostile.replace('?', "")}}},
        ]);
        // `${?}` became `${}` above, which is refused.
        let policies = match import(&document(statements), dev()) {
            Ok(policies) => policies,
            Err(_) if hostile.contains("${?}") => continue,
            Err(problems) => panic!("{problems:?}"),
        };
        let compiled = compile(&policies, &[]);
        assert_eq!(compiled.texts().count(), 2, "{hostile:?}");
    }
    // Escaping is undone by Cedar to the same text.
    for text in ["\"", "\\", "*", "\0", "\u{301}a", "'", "\u{7f}", "\u{2028}"] {
        let uid: cedar_policy::EntityUid = format!("User::{}", literal(text)).parse().unwrap();
        assert_eq!(uid.id().unescaped(), text);
    }
}

#[test]
fn each_action_has_a_class() {
    for action in Action::all() {
        assert!(!classes_of(action.as_str()).is_empty(), "{action}");
    }
}

/// A small generator of choices: documents and requests grow from one seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % sides as u64) as usize
    }

    fn pick<T: Clone>(&mut self, list: &[T]) -> T {
        list[self.roll(list.len())].clone()
    }

    fn some<T: Clone>(&mut self, list: &[T]) -> Vec<T> {
        let n = 1 + self.roll(3);
        (0..n).map(|_| self.pick(list)).collect()
    }
}

const USERS: &[&str] = &["alice", "bob"];
const REPOSITORIES: &[&str] = &["shop", "shop2", "team-a", "x"];
const REFS: &[&str] = &[
    "refs/heads/main",
    "refs/heads/alice/x",
    "refs/heads/release/1.0",
    "refs/tags/v1",
    "refs/heads/50%",
    "refs/heads/\u{e4}",
];
const TAGS: &[&str] = &["shop", "Shop", "alice", "*"];

fn conditions(dice: &mut Dice, trust: bool) -> Value {
    let mut block = serde_json::Map::new();
    for _ in 0..dice.roll(4) {
        let text = |dice: &mut Dice| {
            let base = dice.pick(&["StringEquals", "StringNotEquals", "StringLike", "StringNotLike"]).to_owned();
            let set = dice.pick(&["", "", "", "ForAnyValue:", "ForAllValues:"]);
            let exists = dice.pick(&["", "", "IfExists"]);
            format!("{set}{base}{exists}")
        };
        let dates = ["2026-01-01T00:00:00Z", "2026-06-01T00:00:00Z", "2026-06-01T02:00:00+02:00"];
        let (operator, key, values) = match dice.roll(if trust { 18 } else { 14 }) {
            0..=2 => (
                text(dice),
                "codecommit:References",
                dice.some(&[
                    "refs/heads/main",
                    "refs/heads/*",
                    "refs/*/*",
                    "refs/heads/50%",
                    "*%",
                    "refs/heads/\u{e4}*",
                    "refs/heads/${aws:username}/*",
                    "*",
                ]),
            ),
            3 => (text(dice), "aws:username", dice.some(&["alice", "a*", "bob", "${aws:PrincipalTag/team}", "${*}"])),
            4 => {
                let operator = dice.pick(&["IpAddress", "NotIpAddress", "IpAddressIfExists", "NotIpAddressIfExists"]);
                (
                    operator.to_owned(),
                    "aws:SourceIp",
                    dice.some(&["10.0.0.0/8", "10.1.2.3/32", "10.1.2.99/24", "2001:db8::/32", "0.0.0.0/0"]),
                )
            }
            5 => {
                let operator = dice.pick(&[
                    "DateLessThan",
                    "DateLessThanEquals",
                    "DateGreaterThan",
                    "DateGreaterThanEquals",
                    "DateEquals",
                    "DateNotEquals",
                ]);
                (operator.to_owned(), "aws:CurrentTime", dice.some(&dates))
            }
            6 => {
                let (operator, value) = dice.pick(&[("Bool", "true"), ("BoolIfExists", "false")]);
                (operator.to_owned(), "aws:MultiFactorAuthPresent", vec![value])
            }
            7 => (text(dice), "aws:PrincipalTag/team", dice.some(&["shop", "s*", "${aws:username}", "${*}", "Shop"])),
            8 => (text(dice), "AWS:ResourceTag/project", dice.some(&["shop", "s*", "${aws:username}", "Shop"])),
            9 => {
                let key = dice.pick(&[
                    "codecommit:References",
                    "aws:username",
                    "aws:SourceIp",
                    "sts:ExternalId",
                    "aws:ResourceTag/project",
                    "iam:PassedToService",
                ]);
                ("Null".to_owned(), key, vec![dice.pick(&["true", "false"])])
            }
            10 => {
                let key = dice.pick(&["aws:PrincipalAccount", "aws:ResourceAccount"]);
                (dice.pick(&["StringEquals", "StringNotEquals"]).to_owned(), key, dice.some(&[HOME, AWAY]))
            }
            11 => {
                let operator = dice.pick(&["ArnEquals", "ArnNotLike", "StringEqualsIfExists"]);
                let arns = ["arn:aws:iam::111111111111:user/alice", "arn:aws:iam::111111111111:role/deployer"];
                (operator.to_owned(), "aws:PrincipalArn", dice.some(&arns))
            }
            // Both kinds of documents draw these.
            12 => (text(dice), "aws:RequestTag/team", dice.some(&["shop", "s*", "Shop"])),
            13 => {
                let operator = dice.pick(&["StringEquals", "StringNotEquals", "StringLike", "StringEqualsIfExists"]);
                let set = dice.pick(&["ForAnyValue:", "ForAllValues:"]);
                let key = (format!("{set}{operator}"), "aws:TagKeys", dice.some(&["team", "project", "Team", "*"]));
                if dice.roll(6) == 0 { ("Null".to_owned(), key.1, vec![dice.pick(&["true", "false"])]) } else { key }
            }
            14 => (text(dice), "sts:ExternalId", dice.some(&["one", "o*", "two"])),
            15 => (text(dice), "issuer.example/x:sub", dice.some(&["repo:acme/shop", "repo:*", "*"])),
            16 => {
                let key = dice.pick(&["issuer.example/x:aud", "issuer.example/x:actor", "other.example:sub"]);
                (text(dice), key, dice.some(&["sts.amazonaws.com", "party", "alice"]))
            }
            _ => (text(dice), "sts:RoleSessionName", dice.some(&["one", "${aws:username}", "alice", "*"])),
        };
        let keys = block.entry(operator).or_insert_with(|| json!({}));
        keys[key] = if values.len() == 1 { json!(values[0]) } else { json!(values) };
    }
    Value::Object(block)
}

fn statement(dice: &mut Dice, trust: bool) -> Value {
    let mut statement = json!({"Effect": dice.pick(&["Allow", "Allow", "Deny"])});
    if trust {
        statement["Action"] = json!(dice.pick(&["sts:AssumeRole", "sts:AssumeRoleWithWebIdentity", "sts:*", "*"]));
        statement["Principal"] = match dice.roll(5) {
            0 if statement["Effect"] == "Deny" => json!("*"),
            2 => json!({"Federated": "arn:aws:iam::111111111111:oidc-provider/issuer.example/x"}),
            1 => json!({"Service": "codebuild.amazonaws.com", "AWS": AWAY}),
            _ => json!({"AWS": dice.some(&[
                "arn:aws:iam::111111111111:root", "arn:aws:iam::222222222222:root", "arn:aws:iam::111111111111:user/alice",
                "arn:aws:iam::222222222222:role/deployer", "arn:aws:sts::111111111111:assumed-role/deployer/one",
            ])}),
        };
    } else {
        let actions = dice.some(&[
            "*",
            "codecommit:*",
            "codecommit:Git*",
            "CODECOMMIT:gitpush",
            "codecommit:GitPull",
            "codecommit:?i?P*",
            "codecommit:*Branch",
            "iam:PassRole",
            "iam:*",
            "sts:*",
            "organizations:*",
            "lockgate:*",
            "s3:*",
            "dynamodb:*",
            "iam:*AccessKey*",
            "iam:Tag*",
            "iam:*ag*",
            "iam:Create*",
            "iam:SimulatePrincipalPolicy",
            "codepipeline:*",
            "codepipeline:PutApprovalResult",
            "kms:*",
            "codecommit:WritePath",
            "codecommit:ListRepositories",
            "codecommit:PutFile",
        ]);
        let key = dice.pick(&["Action", "Action", "Action", "NotAction"]);
        statement[key] = if actions.len() == 1 { json!(actions[0]) } else { json!(actions) };
        let resources = dice.some(&[
            "*",
            "*",
            "arn:aws:codecommit:*:111111111111:shop",
            "arn:aws:codecommit:us-east-1:111111111111:*",
            "arn:aws:codecommit:*:*:*",
            "arn:aws:codecommit:*:222222222222:x",
            "arn:aws:codecommit:*:111111111111:team-*",
            "arn:aws:iam::111111111111:role/deployer",
            "arn:aws:iam::*:role/*",
            "arn:aws:iam::111111111111:role/de*",
            "arn:aws:iam::222222222222:*",
            "arn:aws:s3:::b",
            "arn:aws:iam::111111111111:user/alice",
            "arn:aws:iam::*:user/${aws:username}",
            "arn:aws:iam::*:user/a*",
            "arn:aws:iam::111111111111:group/dev",
            "arn:aws:iam::111111111111:mfa/${aws:username}",
            "arn:aws:codepipeline:*:111111111111:shop",
            "arn:aws:codepipeline:*:111111111111:shop/Production/Approve",
            "arn:aws:kms:*:111111111111:key/*",
            "arn:aws:codecommit:*:*:s*p",
        ]);
        let key = dice.pick(&["Resource", "Resource", "Resource", "NotResource"]);
        statement[key] = if resources.len() == 1 { json!(resources[0]) } else { json!(resources) };
    }
    let conditions = conditions(dice, trust);
    if !conditions.as_object().unwrap().is_empty() {
        statement["Condition"] = conditions;
    }
    statement
}

/// A request as both see it.
struct Question {
    principal: PrincipalFacts,
    action: Action,
    resource: ResourceFacts,
    request: RequestFacts,
    context: ContextFacts,
    iam: IamRequest,
}

fn question(dice: &mut Dice, trust: bool) -> Question {
    let mut keys: HashMap<String, String> = HashMap::new();
    let tags = |dice: &mut Dice, key: &str| match dice.roll(3) {
        0 => Tags::new(),
        _ => Tags::from([(key.to_owned(), dice.pick(TAGS).to_owned())]),
    };
    // Who.
    let home = if trust { dice.pick(&[HOME, AWAY]) } else { HOME };
    let mut principals = vec![home.to_owned(), format!("arn:aws:iam::{home}:root")];
    let principal = match dice.roll(if trust { 4 } else { 2 }) {
        0 => {
            let user = dice.pick(USERS);
            let tags = tags(dice, "team");
            keys.insert("aws:username".to_owned(), user.to_owned());
            keys.extend(tags.iter().map(|(key, value)| (format!("aws:principaltag/{key}"), value.clone())));
            keys.insert("aws:principalarn".to_owned(), format!("arn:aws:iam::{home}:user/{user}"));
            principals.push(format!("arn:aws:iam::{home}:user/{user}"));
            let (account, groups) = (account(home), vec![name("dev")]);
            PrincipalFacts::User(UserFacts { account, name: name(user), groups, mfa_enrolled: false, tags })
        }
        1 => {
            let session = dice.pick(&["one", "two"]);
            keys.insert("aws:principalarn".to_owned(), format!("arn:aws:iam::{home}:role/deployer"));
            principals.push(format!("arn:aws:iam::{home}:role/deployer"));
            principals.push(format!("arn:aws:sts::{home}:assumed-role/deployer/{session}"));
            PrincipalFacts::Session(Box::new(SessionFacts {
                role: RoleFacts { account: account(home), name: name("deployer"), tags: Tags::new() },
                name: name(session),
                source_identity: None,
                original_user: None,
                on_behalf_of: None,
                tags: Tags::new(),
            }))
        }
        2 => {
            principals = vec!["arn:aws:iam::111111111111:oidc-provider/issuer.example/x".to_owned()];
            let authorized_party = dice.pick(&[None, Some("party")]).map(str::to_owned);
            let audience = "sts.amazonaws.com".to_owned();
            let subject = dice.pick(&["repo:acme/shop", "x"]).to_owned();
            let aud = authorized_party.clone().unwrap_or_else(|| audience.clone());
            keys.insert("issuer.example/x:aud".to_owned(), aud);
            keys.insert("issuer.example/x:sub".to_owned(), subject.clone());
            let mut claims = Tags::new();
            if dice.roll(2) == 0 {
                keys.insert("issuer.example/x:actor".to_owned(), "alice".to_owned());
                claims.insert("actor".to_owned(), "alice".to_owned());
            }
            PrincipalFacts::WebIdentity(Box::new(WebIdentityFacts {
                account: account(HOME),
                issuer: "issuer.example/x".to_owned(),
                subject,
                audience,
                authorized_party,
                provider_tags: Tags::new(),
                claims,
            }))
        }
        _ => {
            principals = vec!["codebuild.amazonaws.com".to_owned()];
            PrincipalFacts::Service("codebuild.amazonaws.com".to_owned())
        }
    };
    if principal.account().is_some() {
        keys.insert("aws:principalaccount".to_owned(), home.to_owned());
    }
    // What.
    let often = [
        "codecommit:GitPush",
        "codecommit:GitPull",
        "sts:AssumeRole",
        "iam:PassRole",
        "codecommit:WritePath",
        "codecommit:GitPush",
        "iam:CreateAccessKey",
        "iam:SimulatePrincipalPolicy",
        "codepipeline:PutApprovalResult",
        "codepipeline:StartPipelineExecution",
        "sts:GetSessionToken",
    ];
    let action = match dice.roll(2) {
        _ if trust => match &principal {
            PrincipalFacts::WebIdentity(_) => Action::assume_role_with_web_identity(),
            _ => Action::assume_role(),
        },
        0 => Action::parse(dice.pick(&often)).unwrap(),
        _ => dice.pick(&Action::all()),
    };
    let kind = principal.entity_id();
    let action = if is_for(action.as_str(), kind.split("::").next().unwrap()) { action } else { Action::git_pull() };
    let owner = if trust { HOME } else { dice.pick(&[HOME, HOME, AWAY]) };
    keys.insert("aws:resourceaccount".to_owned(), owner.to_owned());
    let class = dice.pick(&classes_of(action.as_str()));
    let repository = dice.pick(REPOSITORIES);
    let role = if trust { "deployer" } else { dice.pick(&["deployer", "other"]) };
    // A role that asks for itself is one role, with one set of tags.
    let itself = matches!(principal, PrincipalFacts::Session(_)) && role == "deployer" && owner == home;
    let takes = matches!(class, Class::AssumeRole | Class::AssumeRoleWithWebIdentity);
    let on_a_role = takes || matches!(class, Class::PassRole | Class::Role);
    let resource_tags = if itself && on_a_role { Tags::new() } else { tags(dice, "project") };
    let repository_facts = RepositoryFacts {
        account: account(owner),
        name: RepositoryName::parse(repository).unwrap(),
        default_branch: None,
        tags: resource_tags.clone(),
    };
    let reference = dice.pick(REFS);
    let ref_name = RefName::parse(reference.as_bytes()).unwrap();
    let arn = format!("arn:aws:codecommit:us-east-1:{owner}:{repository}");
    let role_arn = format!("arn:aws:iam::{owner}:role/{role}");
    let role_facts = RoleFacts { account: account(owner), name: name(role), tags: resource_tags.clone() };
    let user = dice.pick(USERS);
    let user_facts = match &principal {
        PrincipalFacts::User(facts) if owner == home && facts.name == name(user) => facts.clone(),
        _ => {
            let (account, name, tags) = (account(owner), name(user), resource_tags.clone());
            UserFacts { account, name, groups: Vec::new(), mfa_enrolled: false, tags }
        }
    };
    let resource_tags = if class == Class::User { user_facts.tags.clone() } else { resource_tags };
    let tagged = match class {
        Class::Account | Class::Group => false,
        Class::Named(kind) => kind.has_tags(),
        _ => true,
    };
    if tagged {
        keys.extend(resource_tags.iter().map(|(key, value)| (format!("aws:resourcetag/{key}"), value.clone())));
    }
    if matches!(class, Class::Ref | Class::Path) {
        keys.insert("codecommit:references".to_owned(), reference.to_owned());
    }
    let mut context = ContextFacts::Plain;
    let (resource, iam_resource) = match class {
        Class::Repository => (ResourceFacts::Repository(repository_facts), arn),
        Class::Ref => {
            context = ContextFacts::RefChange(RefChangeFacts::of_kind(ChangeKind::FastForward));
            (ResourceFacts::Ref(RefFacts { repository: repository_facts, name: ref_name }), arn)
        }
        Class::Path => {
            context = ContextFacts::WritePath;
            let path = b"a/b".to_vec();
            (ResourceFacts::Path(PathFacts { repository: repository_facts, on: ref_name, path }), arn)
        }
        Class::Account => (ResourceFacts::Account(account(owner)), "*".to_owned()),
        Class::User => (ResourceFacts::User(user_facts), format!("arn:aws:iam::{owner}:user/{user}")),
        Class::Group => {
            let group = dice.pick(&["dev", "ops"]);
            let facts = GroupFacts { account: account(owner), name: name(group) };
            (ResourceFacts::Group(facts), format!("arn:aws:iam::{owner}:group/{group}"))
        }
        Class::Role => (ResourceFacts::Role(role_facts), role_arn),
        Class::Named(kind) => {
            context = ContextFacts::least_for(&action);
            named(dice, kind, owner, resource_tags)
        }
        Class::AssumeRole | Class::AssumeRoleWithWebIdentity => {
            let session_name = dice.pick(&["one", "alice"]).to_owned();
            let by_token = class == Class::AssumeRoleWithWebIdentity;
            let external_id = dice.pick(&[None, Some("one"), Some("two")]).map(str::to_owned).filter(|_| !by_token);
            let session_tags = tags(dice, "team");
            keys.extend(session_tags.iter().map(|(key, value)| (format!("aws:requesttag/{key}"), value.clone())));
            insert_tag_keys(&mut keys, session_tags.keys());
            keys.insert("sts:rolesessionname".to_owned(), session_name.clone());
            keys.extend(external_id.iter().map(|id| ("sts:externalid".to_owned(), id.clone())));
            let facts = AssumeRoleFacts {
                session_name,
                external_id,
                source_identity: None,
                source_arn: None,
                session_tags,
                transitive_tag_keys: BTreeSet::new(),
            };
            context = match by_token {
                true => ContextFacts::AssumeRoleWithWebIdentity(facts),
                false => ContextFacts::AssumeRole(facts),
            };
            (ResourceFacts::Role(role_facts), role_arn)
        }
        Class::PassRole => {
            let passed_to = "codebuild.amazonaws.com".to_owned();
            keys.insert("iam:passedtoservice".to_owned(), passed_to.clone());
            context = ContextFacts::PassRole { passed_to };
            (ResourceFacts::Role(role_facts), role_arn)
        }
    };
    if let ContextFacts::Tagging { .. } = ContextFacts::least_for(&action) {
        let given = tags(dice, "team");
        context = match action.as_str().contains("Untag") {
            false => ContextFacts::tagging(given),
            true => ContextFacts::Tagging { tags: Tags::new(), keys: given.into_keys().collect() },
        };
        if let ContextFacts::Tagging { tags, keys: tag_keys } = &context {
            keys.extend(tags.iter().map(|(key, value)| (format!("aws:requesttag/{key}"), value.clone())));
            insert_tag_keys(&mut keys, tag_keys.iter());
        }
    }
    if let status @ ContextFacts::PutStatus { .. } = ContextFacts::least_for(&action) {
        context = status;
    }
    // How.
    let (time_ms, time) = dice.pick(&[
        (1_767_225_600_000, "2026-01-01T00:00:00Z"),
        (1_780_272_000_000, "2026-06-01T00:00:00Z"),
        (1_780_272_000_001, "2026-06-01T00:00:00.001Z"),
    ]);
    keys.insert("aws:currenttime".to_owned(), time.to_owned());
    let source_ip = dice.pick(&[None, Some("10.1.2.3"), Some("192.0.2.1"), Some("2001:db8::1")]);
    keys.extend(source_ip.iter().map(|address| ("aws:sourceip".to_owned(), (*address).to_owned())));
    let mfa = dice.roll(2) == 0;
    // AWS leaves the key out for long-term credentials.
    if mfa || dice.roll(2) == 0 {
        keys.insert("aws:multifactorauthpresent".to_owned(), mfa.to_string());
    }
    let source_ip = source_ip.map(|address| address.parse().unwrap());
    let request = RequestFacts { time_ms, source_ip, transport: Transport::Api, mfa };
    let iam = IamRequest { action: action.as_str().to_owned(), resource: iam_resource, principals, keys };
    Question { principal, action, resource, request, context, iam }
}

fn insert_tag_keys<'a>(keys: &mut HashMap<String, String>, tag_keys: impl Iterator<Item = &'a String>) {
    let lines: Vec<&str> = tag_keys.map(String::as_str).collect();
    if !lines.is_empty() {
        keys.insert("aws:tagkeys".to_owned(), lines.join("\n"));
    }
}

/// A thing of that kind, and its ARN.
fn named(dice: &mut Dice, kind: NamedKind, owner: &str, tags: Tags) -> (ResourceFacts, String) {
    let first = match kind {
        NamedKind::MfaDevice => dice.pick(&["alice", "x"]),
        _ => dice.pick(&["shop", "x"]),
    };
    let parts: Vec<String> =
        [first, "Production", "Approve"][..kind.n_parts()].iter().map(ToString::to_string).collect();
    let shape = kind.arn();
    let region = if shape.has_region { "us-east-1" } else { "" };
    let account_part = if shape.service == "s3" { "" } else { owner };
    let arn = format!("arn:aws:{}:{region}:{account_part}:{}{}", shape.service, shape.prefix, parts.join("/"));
    let tags = if kind.has_tags() { tags } else { Tags::new() };
    (ResourceFacts::Named(NamedFacts { kind, account: account(owner), name: parts, tags }), arn)
}

fn decided(policies: &CompiledPolicies, question: &Question) -> bool {
    let decision = policies.decide(&DecisionRequest {
        id: Uuid::nil(),
        principal: &question.principal,
        action: &question.action,
        resource: &question.resource,
        request: &question.request,
        context: &question.context,
        extra_context: None,
        session_policy: None,
    });
    assert_eq!(decision.errored().count(), 0, "{decision:?}");
    assert!(!decision.verdicts.is_empty(), "{}", decision.reason);
    decision.allowed
}

/// Translations decide as the documented rules do.
#[test]
fn translations_decide_as_iam_does() {
    let (allowed, denied, silent, refused) = (Cell::new(0), Cell::new(0), Cell::new(0), Cell::new(0));
    let bump = |cell: &Cell<u32>| cell.set(cell.get() + 1);
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(200));
    let everyone =
        r#"@id("t1") permit (principal in Account::"111111111111", action == Action::"sts:AssumeRole", resource);"#;
    let away = r#"@id("t2") permit (principal in Account::"111111111111", action, resource);"#;
    let both = [("111111111111/trust/t.cedar", everyone), ("222222222222/trust/t.cedar", away)];
    let callers = [
        ("111111111111/c.cedar", r#"@id("c1") permit (principal, action, resource);"#),
        ("222222222222/c.cedar", r#"@id("c2") permit (principal, action, resource);"#),
    ];
    let outcome = runner.run(&any::<u64>(), |seed| {
        let mut dice = Dice(seed);
        let trust = dice.roll(4) == 0;
        let target = match dice.roll(4) {
            _ if trust => ImportFor::Trust(name("deployer")),
            0 => ImportFor::User(name("alice")),
            1 => ImportFor::Role(name("deployer")),
            _ => dev(),
        };
        // Statements that are refused say so on their own; the rest make the document.
        let mut statements = Vec::new();
        for _ in 0..12 {
            let statement = statement(&mut dice, trust);
            match import(&document(json!([statement])), target.clone()) {
                Ok(_) => statements.push(statement),
                Err(_) => bump(&refused),
            }
            if statements.len() == 3 {
                break;
            }
        }
        prop_assume!(!statements.is_empty());
        let iam = json!({"Version": "2012-10-17", "Statement": statements});
        let policies = import(&iam.to_string(), target.clone()).unwrap();
        let compiled = compile(&policies, if trust { &callers } else { &both });
        for _ in 0..24 {
            let question = question(&mut dice, trust);
            let attached = match (&target, &question.principal) {
                (ImportFor::User(user), PrincipalFacts::User(facts)) => facts.name == *user,
                (ImportFor::Group(_), PrincipalFacts::User(_)) | (ImportFor::Role(_), PrincipalFacts::Session(_)) => {
                    true
                }
                (ImportFor::Trust(_), _) => true,
                _ => false,
            };
            let verdict = if attached { evaluate(&iam, &question.iam) } else { Verdict::Nothing };
            // A change of a path is only ever forbidden.
            let asks_no_permit = [Action::write_path(), Action::get_session_token()].contains(&question.action);
            let expected = verdict == Verdict::Allow || asks_no_permit && verdict == Verdict::Nothing;
            bump(match verdict {
                Verdict::Allow => &allowed,
                Verdict::Deny => &denied,
                Verdict::Nothing => &silent,
            });
            let texts: Vec<&str> = policies.iter().map(|policy| policy.text.as_str()).collect();
            prop_assert_eq!(
                decided(&compiled, &question),
                expected,
                "{:?}\n{:#}\n{}\n{:?}",
                question.iam,
                iam,
                texts.join("\n"),
                question.principal
            );
        }
        Ok(())
    });
    if let Err(failed) = outcome {
        panic!("{failed}");
    }
    let counts = [allowed.get(), denied.get(), silent.get(), refused.get()];
    assert!(counts[..3].iter().all(|n| *n > 300), "{counts:?}");
}
