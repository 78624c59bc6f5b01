//! Behaviour of the whole module: layers, errors, the starter policies, what is refused when a folder is compiled.

use std::collections::BTreeSet;

use proptest::prelude::*;
use uuid::Uuid;

use super::decide::Judgement;
use super::*;
use crate::names::{AccountId, PrincipalName, RefName, RepositoryName};

mod attached;
mod cookbook;

const HOME: &str = "111111111111";
const AWAY: &str = "222222222222";

fn account(id: &str) -> AccountId {
    AccountId::parse(id).unwrap()
}

fn name(name: &str) -> PrincipalName {
    PrincipalName::parse(name).unwrap()
}

fn user_facts(owner: &str, user: &str, groups: &[&str]) -> UserFacts {
    UserFacts {
        account: account(owner),
        name: name(user),
        groups: groups.iter().map(|group| name(group)).collect(),
        mfa_enrolled: false,
        tags: Tags::new(),
    }
}

fn user(owner: &str, user: &str, groups: &[&str]) -> PrincipalFacts {
    PrincipalFacts::User(user_facts(owner, user, groups))
}

fn role(owner: &str, role: &str) -> RoleFacts {
    RoleFacts { account: account(owner), name: name(role), tags: Tags::new() }
}

fn session(owner: &str, role_name: &str, original_user: Option<UserFacts>) -> PrincipalFacts {
    PrincipalFacts::Session(Box::new(SessionFacts {
        role: role(owner, role_name),
        name: name("session-1"),
        source_identity: Some("alice".to_owned()),
        original_user,
        on_behalf_of: None,
        tags: Tags::from([("project".to_owned(), "shop".to_owned())]),
    }))
}

fn repository(owner: &str, repository: &str) -> RepositoryFacts {
    RepositoryFacts {
        account: account(owner),
        name: RepositoryName::parse(repository).unwrap(),
        default_branch: Some(RefName::branch("main").unwrap()),
        tags: Tags::from([("project".to_owned(), "shop".to_owned())]),
    }
}

fn a_ref(reference: &str) -> ResourceFacts {
    let name = RefName::parse(reference.as_bytes()).unwrap();
    ResourceFacts::Ref(RefFacts { repository: repository(HOME, "shop"), name })
}

fn request_facts() -> RequestFacts {
    RequestFacts {
        time_ms: 1_700_000_000_000,
        source_ip: Some("::ffff:10.1.2.3".parse().unwrap()),
        transport: Transport::Ssh,
        mfa: false,
    }
}

fn files(list: &[(&str, &str)]) -> PolicyFiles {
    let mut files = PolicyFiles::new();
    for (path, text) in list {
        files.insert(path, text.as_bytes().to_vec()).unwrap();
    }
    files
}

fn compile(list: &[(&str, &str)]) -> CompiledPolicies {
    match CompiledPolicies::compile(&files(list), &EveryName, CompileOptions::default()) {
        Ok(compiled) => compiled.policies.with_generation(7),
        Err(problems) => panic!("{}", problems.iter().map(|p| format!("{p}\n")).collect::<String>()),
    }
}

fn decide(
    policies: &CompiledPolicies,
    principal: &PrincipalFacts,
    action: &str,
    resource: &ResourceFacts,
    context: &ContextFacts,
) -> Decision {
    policies.decide(&DecisionRequest {
        id: Uuid::from_u128(1),
        principal,
        action: &Action::parse(action).unwrap(),
        resource,
        request: &request_facts(),
        context,
        extra_context: None,
        session_policy: None,
    })
}

fn change(kind: ChangeKind) -> ContextFacts {
    ContextFacts::RefChange(RefChangeFacts::of_kind(kind))
}

fn push(policies: &CompiledPolicies, principal: &PrincipalFacts, reference: &str, kind: ChangeKind) -> Decision {
    decide(policies, principal, "codecommit:GitPush", &a_ref(reference), &change(kind))
}

fn starter() -> CompiledPolicies {
    let compiled =
        CompiledPolicies::compile(&starter_files(&account(HOME)), &EveryName, CompileOptions::default()).unwrap();
    assert_eq!(compiled.warnings, []);
    compiled.policies
}

// B14 D1
#[test]
fn starter_matrix() {
    let policies = starter();
    let principals = [
        ("admin", user(HOME, "admin", &["administrators"])),
        ("senior", user(HOME, "sue", &["developers", "senior-developers"])),
        ("developer", user(HOME, "dan", &["developers"])),
        ("reader", user(HOME, "rita", &[])),
        ("session", session(HOME, "deployer", Some(user_facts(HOME, "sue", &["senior-developers"])))),
        ("stranger", user(AWAY, "dan", &["developers", "senior-developers", "administrators"])),
    ];
    let shop = ResourceFacts::Repository(repository(HOME, "shop"));
    let home = ResourceFacts::Account(account(HOME));
    let somebody = ResourceFacts::User(user_facts(HOME, "new", &[]));
    let mut questions: Vec<(String, String, ResourceFacts, ContextFacts)> = Vec::new();
    for (action, resource) in [
        ("codecommit:GetRepository", &shop),
        ("codecommit:GitPull", &shop),
        ("codecommit:ListRepositories", &home),
        ("codecommit:CreateRepository", &shop),
        ("codecommit:DeleteRepository", &shop),
        ("codecommit:UpdateDefaultBranch", &shop),
        ("codecommit:ImportRepository", &shop),
        ("codecommit:CreatePullRequest", &shop),
        ("iam:CreateUser", &somebody),
        ("lockgate:ApplyPolicy", &home),
        ("lockgate:ReadPolicy", &home),
    ] {
        let least = ContextFacts::least_for(&Action::parse(action).unwrap());
        questions.push((action.to_owned(), action.to_owned(), resource.clone(), least));
    }
    let assume = ContextFacts::AssumeRole(AssumeRoleFacts {
        session_name: "x".to_owned(),
        external_id: None,
        source_identity: None,
        source_arn: None,
        session_tags: Tags::new(),
        transitive_tag_keys: BTreeSet::new(),
    });
    let assume_role = "sts:AssumeRole".to_owned();
    questions.push((assume_role.clone(), assume_role, ResourceFacts::Role(role(HOME, "deployer")), assume));
    for reference in [
        "refs/heads/topic",
        "refs/heads/main",
        "refs/heads/production",
        "refs/heads/release/1.0",
        "refs/heads/Main",
        "refs/heads/PRODUCTION",
        "refs/tags/v1.0",
        "refs/tags/nightly",
        "refs/notes/commits",
    ] {
        for kind in [ChangeKind::Create, ChangeKind::FastForward, ChangeKind::Force, ChangeKind::Delete] {
            let words = format!("{} {reference}", kind.as_str());
            questions.push((words, "codecommit:GitPush".to_owned(), a_ref(reference), change(kind)));
        }
    }
    let actions: Vec<Action> = questions.iter().map(|(_, action, ..)| Action::parse(action).unwrap()).collect();
    let request = request_facts();
    let questions: Vec<(String, DecisionRequest<'_>)> = questions
        .iter()
        .zip(&actions)
        .map(|((words, _, resource, context), action)| {
            let request = DecisionRequest {
                id: Uuid::nil(),
                principal: &principals[0].1,
                action,
                resource,
                request: &request,
                context,
                extra_context: None,
                session_policy: None,
            };
            (words.clone(), request)
        })
        .collect();
    let principals: Vec<(String, &PrincipalFacts)> =
        principals.iter().map(|(words, principal)| ((*words).to_owned(), principal)).collect();
    insta::assert_snapshot!("starter_matrix", matrix(&policies, &questions, &principals).text());
}

#[test]
fn a_refusal_names_policy_and_advice() {
    let policies = starter();
    let dan = user(HOME, "dan", &["developers"]);
    let refused = push(&policies, &dan, "refs/heads/production", ChangeKind::FastForward);
    assert_eq!(refused.refusal_line(), "denied by policy production-is-for-seniors");
    assert_eq!(refused.advice(), ["push to another branch and ask a senior developer to bring it to production"]);
    let nobody = user(HOME, "nora", &[]);
    let refused = push(&policies, &nobody, "refs/heads/topic", ChangeKind::Create);
    assert_eq!(refused.refusal_line(), "no policy permits it");
    assert!(refused.determining.is_empty() && refused.advice().is_empty());
}

// D7: a rule about one name is about that name alone.
#[test]
fn twins_of_names_do_not_match() {
    let policies = compile(&[(
        "111111111111/a.cedar",
        r#"
        @id("all") permit (principal, action, resource);
        @id("by-name") forbid (principal, action in Action::"codecommit:ChangeRef", resource is Ref)
        when { resource.name == "refs/heads/release" };
        @id("by-id") forbid (principal, action in Action::"codecommit:ChangeRef", resource == Ref::"111111111111/shop/refs/heads/one");
        @id("below") forbid (principal, action in Action::"codecommit:ChangeRef", resource in Ref::"111111111111/shop/refs/heads/tree");
        @id("like") forbid (principal, action in Action::"codecommit:ChangeRef", resource is Ref)
        when { resource.name like "refs/heads/like/*" };
        @id("user") forbid (principal == User::"111111111111/al", action, resource);
        @id("group") forbid (principal in Group::"111111111111/dev", action, resource);
        "#,
    )]);
    let dan = user(HOME, "dan", &["developers"]);
    for (reference, refused) in [
        ("refs/heads/release", Some("by-name")),
        ("refs/heads/release2", None),
        ("refs/heads/prerelease", None),
        ("refs/heads/x/release", None),
        ("refs/heads/release/x", None),
        ("refs/tags/release", None),
        ("refs/heads/refs/heads/release", None),
        ("refs/heads/one", Some("by-id")),
        ("refs/heads/one/more", None),
        ("refs/heads/someone", None),
        ("refs/heads/tree", Some("below")),
        ("refs/heads/tree/a/b", Some("below")),
        ("refs/heads/tree2", None),
        ("refs/heads/tree2/a", None),
        ("refs/heads/x/tree/a", None),
        ("refs/heads/like/a/b", Some("like")),
        ("refs/heads/like", None),
        ("refs/heads/alike/a", None),
        ("refs/heads/x/refs/heads/like/a", None),
    ] {
        let decision = push(&policies, &dan, reference, ChangeKind::Force);
        let by = decision.determining.first().filter(|_| !decision.allowed).map(|found| found.id.as_str());
        assert_eq!(by, refused, "{reference}");
    }
    for twin in ["al", "all", "hal", "AL"] {
        let decision = push(&policies, &user(HOME, twin, &[]), "refs/heads/x", ChangeKind::Create);
        assert_eq!(decision.allowed, twin != "al", "{twin}");
    }
    for twin in ["dev", "dev2", "xdev", "Dev"] {
        let decision = push(&policies, &user(HOME, "dan", &[twin]), "refs/heads/x", ChangeKind::Create);
        assert_eq!(decision.allowed, twin != "dev", "{twin}");
    }
    // The same names in another account are other entities.
    let away = user(AWAY, "al", &["dev"]);
    assert_eq!(push(&policies, &away, "refs/heads/x", ChangeKind::Create).refusal_line(), "no policy permits it");
}

// D7: overflow is an error that validation cannot see.
#[test]
fn a_policy_that_fails() {
    let failing = "if resource.name == \"refs/heads/x\" then 9223372036854775807 + CONTEXT > 0 else false";
    let failing = failing.replace("CONTEXT", "(if context.change == \"create\" then 1 else 0)");
    let forbid = compile(&[(
        "111111111111/a.cedar",
        &format!(
            "@id(\"all\") permit (principal, action, resource);
             @id(\"fails\") @advice(\"tell an administrator\")
             forbid (principal, action in Action::\"codecommit:ChangeRef\", resource is Ref) when {{ !({failing}) && false }};"
        ),
    )]);
    let dan = user(HOME, "dan", &[]);
    let refused = push(&forbid, &dan, "refs/heads/x", ChangeKind::Create);
    assert!(!refused.allowed);
    assert_eq!(refused.refusal_line(), "denied by policy fails which could not be evaluated");
    assert!(refused.determining[0].errored);
    assert_eq!(refused.advice(), ["tell an administrator"]);
    assert!(push(&forbid, &dan, "refs/heads/y", ChangeKind::Create).allowed);
    assert!(push(&forbid, &dan, "refs/heads/x", ChangeKind::Force).allowed);

    let permit = compile(&[(
        "111111111111/a.cedar",
        &format!(
            "@id(\"fails\") permit (principal, action in Action::\"codecommit:ChangeRef\", resource is Ref) when {{ {failing} || true }};"
        ),
    )]);
    let refused = push(&permit, &dan, "refs/heads/x", ChangeKind::Create);
    assert_eq!(refused.refusal_line(), "no policy permits it");
    assert_eq!(refused.errored().map(|found| found.id.as_str()).collect::<Vec<_>>(), ["fails"]);
    let record = refused.record().unwrap();
    assert!(record.layers.iter().flat_map(|layer| &layer.matches).any(|found| found.errored));
    assert!(push(&permit, &dan, "refs/heads/y", ChangeKind::Create).allowed);
}

/// Every combination of what each layer says, against the rule written down once more.
#[test]
fn layers_truth_table() {
    let pull = "action == Action::\"codecommit:GitPull\"";
    let assume = "action == Action::\"sts:AssumeRole\"";
    for case in 0..(1 << 9) {
        let has = |bit: u32| case & (1 << bit) != 0;
        let [
            caller_permit,
            caller_forbid,
            owner_permit,
            owner_forbid,
            trust_permit,
            trust_forbid,
            organization,
            third_permit,
            third_forbid,
        ] = std::array::from_fn(|bit| has(bit as u32));
        for (action, scope) in [("codecommit:GitPull", pull), ("sts:AssumeRole", assume)] {
            for same in [true, false] {
                let caller = if same { HOME } else { AWAY };
                if same && (owner_permit || owner_forbid) {
                    continue;
                }
                let third = "333333333333";
                let mut list: Vec<(String, String)> = vec![("organization/none.cedar".to_owned(), String::new())];
                let mut add = |on: bool, path: String, effect: &str, who: &str| {
                    if on {
                        let id = path.replace('/', ".");
                        list.push((path, format!("@id(\"{id}\") {effect} (principal{who}, {scope}, resource);")));
                    }
                };
                let named = format!(" in Account::\"{caller}\"");
                add(organization, "organization/f.cedar".to_owned(), "forbid", "");
                add(caller_permit, format!("{caller}/p.cedar"), "permit", "");
                add(caller_forbid, format!("{caller}/f.cedar"), "forbid", "");
                add(owner_permit, format!("{HOME}/op.cedar"), "permit", "");
                add(owner_forbid, format!("{HOME}/of.cedar"), "forbid", "");
                // Within an account only roles may be named in trust.
                let trust_written = !same || action == "sts:AssumeRole";
                add(trust_permit && trust_written, format!("{HOME}/trust/p.cedar"), "permit", &named);
                add(trust_forbid && trust_written, format!("{HOME}/trust/f.cedar"), "forbid", &named);
                add(third_permit, format!("{third}/p.cedar"), "permit", "");
                add(third_forbid, format!("{third}/f.cedar"), "forbid", "");
                let list: Vec<(&str, &str)> = list.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
                // Two tables of 2^9 would compile for minutes: a spread of cases, always with the telling corners.
                let corner = (case as u32).count_ones() <= 2 || case % 7 == 0;
                if !corner {
                    continue;
                }
                let policies = compile(&list);
                let (resource, context) = match action {
                    "sts:AssumeRole" => (
                        ResourceFacts::Role(role(HOME, "deployer")),
                        ContextFacts::AssumeRole(AssumeRoleFacts {
                            session_name: "x".to_owned(),
                            external_id: None,
                            source_identity: None,
                            source_arn: None,
                            session_tags: Tags::new(),
                            transitive_tag_keys: BTreeSet::new(),
                        }),
                    ),
                    _ => (ResourceFacts::Repository(repository(HOME, "shop")), ContextFacts::Plain),
                };
                let decision = decide(&policies, &user(caller, "alice", &[]), action, &resource, &context);
                let needs_trust = !same || action == "sts:AssumeRole";
                let forbidden = organization || caller_forbid || owner_forbid || (needs_trust && trust_forbid);
                let expected = !forbidden && caller_permit && (!needs_trust || trust_permit);
                assert_eq!(decision.allowed, expected, "same {same} {action} {list:?}: {decision:?}");
            }
        }
    }
}

#[test]
fn services_need_trust_alone() {
    let policies = compile(&[(
        "111111111111/trust/a.cedar",
        r#"@id("builds") permit (principal == Service::"codebuild.amazonaws.com", action == Action::"sts:AssumeRole", resource == Role::"111111111111/builder")
           when { context has sourceArn && context.sourceArn == "arn:x" };"#,
    )]);
    let context = |source_arn: Option<&str>| {
        ContextFacts::AssumeRole(AssumeRoleFacts {
            session_name: "build-1".to_owned(),
            external_id: None,
            source_identity: None,
            source_arn: source_arn.map(str::to_owned),
            session_tags: Tags::new(),
            transitive_tag_keys: BTreeSet::new(),
        })
    };
    let builder = ResourceFacts::Role(role(HOME, "builder"));
    let by = |service: &str, context: &ContextFacts| {
        decide(&policies, &PrincipalFacts::Service(service.to_owned()), "sts:AssumeRole", &builder, context).allowed
    };
    assert!(by("codebuild.amazonaws.com", &context(Some("arn:x"))));
    // D6: the confused deputy.
    assert!(!by("codebuild.amazonaws.com", &context(Some("arn:y"))));
    assert!(!by("codebuild.amazonaws.com", &context(None)));
    assert!(!by("codedeploy.amazonaws.com", &context(Some("arn:x"))));
}

#[test]
fn paths_are_only_forbidden() {
    let policies = compile(&[(
        "111111111111/a.cedar",
        r#"@id("infra") forbid (principal, action == Action::"codecommit:WritePath", resource in Path::"111111111111/shop/infra")
           unless { principal in Group::"111111111111/operators" || context.ref in Ref::"111111111111/shop/refs/heads/try" };"#,
    )]);
    let write = |groups: &[&str], on: &str, path: &[u8]| {
        let path = ResourceFacts::Path(PathFacts {
            repository: repository(HOME, "shop"),
            on: RefName::branch(on).unwrap(),
            path: path.to_vec(),
        });
        decide(&policies, &user(HOME, "dan", groups), "codecommit:WritePath", &path, &ContextFacts::WritePath)
    };
    assert!(write(&[], "main", b"src/infra/x").allowed);
    assert!(write(&[], "main", b"infra2").allowed);
    assert!(!write(&[], "main", b"infra").allowed);
    assert!(!write(&[], "main", b"infra/a/b\xff%").allowed);
    assert!(write(&[], "try/1", b"infra/a").allowed);
    assert!(write(&["operators"], "main", b"infra/a").allowed);
    let deep = write(&[], "main", &b"a/".repeat(2000));
    assert!(!deep.allowed && deep.refusal_line() == "the request cannot be judged", "{deep:?}");
}

// D6: a session policy narrows and never widens.
#[test]
fn session_policies_narrow() {
    let policies = compile(&[(
        "111111111111/a.cedar",
        r#"@id("deployers") permit (principal in Role::"111111111111/deployer", action in Action::"codecommit:Read", resource);"#,
    )]);
    let deployer = session(HOME, "deployer", None);
    let ask = |source: Option<&str>, action: &str| {
        let session_policy = source.map(|source| SessionPolicy::compile(source).unwrap());
        let action = Action::parse(action).unwrap();
        let decision = policies.decide(&DecisionRequest {
            id: Uuid::nil(),
            principal: &deployer,
            action: &action,
            resource: &ResourceFacts::Repository(repository(HOME, "shop")),
            request: &request_facts(),
            context: &ContextFacts::Plain,
            extra_context: None,
            session_policy: session_policy.as_ref(),
        });
        let again = decision.record().unwrap().decide_again(&policies).unwrap();
        assert_eq!(again.verdicts, decision.verdicts);
        decision
    };
    assert!(ask(None, "codecommit:GitPull").allowed);
    let all = "permit (principal, action, resource);";
    assert!(ask(Some(all), "codecommit:GitPull").allowed);
    assert!(!ask(Some(all), "codecommit:DeleteRepository").allowed);
    assert!(!ask(Some(""), "codecommit:GitPull").allowed);
    let no_pull = format!("{all} forbid (principal, action == Action::\"codecommit:GitPull\", resource);");
    assert_eq!(ask(Some(&no_pull), "codecommit:GitPull").refusal_line(), "denied by policy session-policy-2");
    assert!(ask(Some(&no_pull), "codecommit:GetFile").allowed);
    assert!(SessionPolicy::compile("permit (principal, action, resource) when { context.nonsense };").is_err());
}

#[test]
fn what_is_wrong_with_files() {
    struct Known;
    impl KnownNames for Known {
        fn has_account(&self, account: &AccountId) -> bool {
            account.as_str() == HOME
        }
        fn has_user(&self, _: &AccountId, _: &PrincipalName) -> bool {
            false
        }
        fn has_group(&self, _: &AccountId, name: &PrincipalName) -> bool {
            name.as_str() == "developers"
        }
        fn has_role(&self, _: &AccountId, _: &PrincipalName) -> bool {
            false
        }
        fn has_repository(&self, _: &AccountId, name: &RepositoryName) -> bool {
            name.as_str() == "shop"
        }
        fn has_ref_at_or_below(&self, _: &AccountId, _: &RepositoryName, name: &[u8]) -> bool {
            name == b"refs/heads/main"
        }
    }
    let a = "111111111111/a.cedar";
    let deep = format!("@id(\"x\") permit (principal, action, resource) when {{ {} }};", "(".repeat(100));
    let chain = format!("@id(\"x\") permit (principal, action, resource) when {{ {}true }};", "true && ".repeat(2000));
    let cases: &[(&str, &str, &[u8])] = &[
        ("no id", a, b"permit (principal, action, resource);"),
        ("bad id", a, b"@id(\"a b\") permit (principal, action, resource);"),
        ("same id", a, b"@id(\"x\") permit (principal, action, resource);\n\n  @id(\"x\") forbid (principal, action, resource);"),
        ("syntax", a, b"// a comment\n@id(\"x\") permit (principal, action resource);"),
        ("unknown attribute", a, b"@id(\"x\")\npermit (principal is User, action, resource)\nwhen { principal.nmae == \"x\" };"),
        ("optional attribute", a, b"@id(\"x\") forbid (principal, action == Action::\"codecommit:GitPush\", resource) when { context.commitCount > 3 };"),
        ("unknown action", a, b"@id(\"x\") permit (principal, action == Action::\"codecommit:GitPsuh\", resource);"),
        ("unknown type", a, b"@id(\"x\") permit (principal, action, resource == Repo::\"111111111111/shop\");"),
        ("wrong type", a, b"@id(\"x\") permit (principal, action, resource is Ref) when { resource.name > 3 };"),
        ("unknown group", a, b"@id(\"x\") permit (principal, action in Action::\"codecommit:Read\", resource)\nwhen { principal in Group::\"111111111111/devlopers\" };"),
        ("unknown account", a, b"@id(\"x\") permit (principal, action, resource in Account::\"999999999999\");"),
        ("unknown repository", a, b"@id(\"x\") permit (principal, action, resource == Repository::\"111111111111/shpo\");"),
        ("malformed id", a, b"@id(\"x\") permit (principal == User::\"alice\", action, resource);"),
        ("template", a, b"@id(\"x\") permit (principal == ?principal, action, resource);"),
        ("permit in organization", "organization/a.cedar", b"@id(\"x\") permit (principal, action, resource);"),
        ("trust in nobody", "111111111111/trust/a.cedar", b"@id(\"x\") permit (principal, action, resource);"),
        ("trust in oneself", "111111111111/trust/a.cedar", b"@id(\"x\") permit (principal in Group::\"111111111111/developers\", action, resource);"),
        ("misplaced", "a.cedar", b"@id(\"x\") permit (principal, action, resource);"),
        ("misplaced deeper", "111111111111/more/a.cedar", b""),
        ("misplaced in trust", "organization/trust/a.cedar", b""),
        ("no account", "11111111111/a.cedar", b""),
        ("not UTF-8", a, b"// \xff"),
        ("two-line advice", a, b"@id(\"x\") @advice(\"a\\nb\") permit (principal, action, resource);"),
        ("nested", a, deep.as_bytes()),
        ("chained", a, chain.as_bytes()),
    ];
    let mut out = String::new();
    for (what, path, text) in cases {
        let mut files = PolicyFiles::new();
        files.insert(path, text.to_vec()).unwrap();
        out.push_str(&format!("{what}\n"));
        match CompiledPolicies::compile(&files, &Known, CompileOptions::default()) {
            Ok(compiled) => {
                out.push_str("  fine\n");
                compiled.warnings.iter().for_each(|warning| out.push_str(&format!("  warning: {warning}\n")));
            }
            Err(problems) => problems.iter().for_each(|problem| out.push_str(&format!("  {problem}\n"))),
        }
    }
    insta::assert_snapshot!("what_is_wrong_with_files", out);

    // Unknown names become warnings where they are allowed; ids that can never be anything stay problems.
    let unknown = "@id(\"x\") permit (principal in Group::\"111111111111/new\", action, resource == Ref::\"111111111111/shop/refs/heads/new\");";
    let allowed = CompileOptions { allow_unknown: true };
    let compiled = CompiledPolicies::compile(&files(&[(a, unknown)]), &Known, allowed).unwrap();
    assert_eq!(compiled.warnings.len(), 2, "{:?}", compiled.warnings);
    let malformed = "@id(\"x\") permit (principal in Group::\"new\", action, resource);";
    assert!(CompiledPolicies::compile(&files(&[(a, malformed)]), &Known, allowed).is_err());
}

/// The policies of the design's sketch are of the kinds that people write; they pass.
#[test]
fn kinds_of_policies_people_write() {
    let own = r#"
        @id("production-is-for-seniors") forbid (principal, action in Action::"codecommit:ChangeRef", resource == Ref::"111111111111/shop/refs/heads/production")
        unless { principal in Group::"111111111111/senior-developers" };
        @id("main-only-by-reviewed-merge") forbid (principal, action in Action::"codecommit:ChangeRef", resource == Ref::"111111111111/shop/refs/heads/main")
        unless { context has pullRequest && context.pullRequest.approvalCount >= 2 && context.checksPassed.contains("build") && !context.pullRequest.isAuthor };
        @id("sessions-tagged-shop-read") permit (principal is Session, action in Action::"codecommit:Read", resource is Repository)
        when { principal.hasTag("project") && resource.hasTag("project") && principal.getTag("project") == resource.getTag("project") };
        @id("developers-push") permit (principal in Group::"111111111111/developers", action in Action::"codecommit:ChangeRef", resource in Account::"111111111111");
        @id("office-hours") forbid (principal, action in Action::"codecommit:ChangeRef", resource)
        when { context.request.time.toTime() > duration("23h") };
        @id("only-from-the-office") forbid (principal, action in Action::"codecommit:ChangeRef", resource)
        when { context.request has sourceIp && !context.request.sourceIp.isInRange(ip("10.0.0.0/8")) && context.request.transport == "ssh" };
        @id("who-was-behind-the-session") forbid (principal is Session, action in Action::"codecommit:ChangeRef", resource)
        unless { principal has originalUser && principal.originalUser.mfaEnrolled };
        @id("no-skipping") forbid (principal, action == Action::"codecommit:GitPush", resource)
        when { context has pushOptions && context.pushOptions.contains("ci.skip;x=\n") };
        "#;
    let policies = compile(&[("111111111111/a.cedar", own)]);
    let dan = user(HOME, "dan", &["developers"]);
    assert!(push(&policies, &dan, "refs/heads/topic", ChangeKind::Create).allowed);
    let reviewed = |n_approvals| {
        let mut facts = RefChangeFacts::of_kind(ChangeKind::FastForward);
        facts.pull_request = Some(PullRequestFacts {
            is_author: false,
            approval_count: n_approvals,
            approvers: vec![user_facts(HOME, "sue", &[])],
            approval_rules_satisfied: BTreeSet::new(),
            path_owners_approved: true,
        });
        facts.checks_passed = BTreeSet::from(["build".to_owned()]);
        let main = a_ref("refs/heads/main");
        decide(&policies, &dan, "codecommit:MergePullRequestBySquash", &main, &ContextFacts::RefChange(facts))
    };
    assert!(reviewed(2).allowed);
    assert_eq!(reviewed(1).refusal_line(), "denied by policy main-only-by-reviewed-merge");
    let shop = ResourceFacts::Repository(repository(HOME, "shop"));
    let builder = session(HOME, "builder", None);
    assert!(decide(&policies, &builder, "codecommit:GitPull", &shop, &ContextFacts::Plain).allowed);
    // B10: an option is one element of a set, whatever bytes it has.
    let mut facts = RefChangeFacts::of_kind(ChangeKind::Create);
    let options = |facts: &mut RefChangeFacts, list: &[&str]| {
        facts.push_options = list.iter().map(|option| (*option).to_owned()).collect();
        let topic = a_ref("refs/heads/topic");
        decide(&policies, &dan, "codecommit:GitPush", &topic, &ContextFacts::RefChange(facts.clone())).allowed
    };
    assert!(!options(&mut facts, &["a", "ci.skip;x=\n"]));
    assert!(options(&mut facts, &["ci.skip", "x=\n", "ci.skip;x="]));
}

#[test]
fn the_closure_fits_the_schema() {
    let policies = starter();
    let principals = [
        user(HOME, "dan", &["developers", "x"]),
        session(HOME, "deployer", Some(user_facts(AWAY, "sue", &["seniors"]))),
        PrincipalFacts::Service("codebuild.amazonaws.com".to_owned()),
    ];
    for principal in &principals {
        let decision = push(&policies, principal, "refs/heads/a/b%/c", ChangeKind::Create);
        // Reading the record checks each entity against the schema.
        let encoded = decision.record().unwrap().encode().unwrap();
        let record = DecisionRecord::decode(&encoded.body, encoded.entities.as_deref()).unwrap();
        let again = record.decide_again(&policies).unwrap();
        assert_eq!(again.verdicts, decision.verdicts);
        assert_eq!(again.record().unwrap().facts, record.facts);
    }
}

#[test]
fn a_request_that_fits_nothing_is_refused() {
    let policies = compile(&[("111111111111/a.cedar", "@id(\"all\") permit (principal, action, resource);")]);
    let dan = user(HOME, "dan", &[]);
    let shop = ResourceFacts::Repository(repository(HOME, "shop"));
    for (action, resource, context) in [
        ("codecommit:GitPush", &shop, change(ChangeKind::Create)),
        ("codecommit:GitPush", &a_ref("refs/heads/x"), ContextFacts::Plain),
        ("codecommit:GitPull", &shop, change(ChangeKind::Create)),
        ("codecommit:WritePath", &shop, ContextFacts::WritePath),
    ] {
        let decision = decide(&policies, &dan, action, resource, &context);
        assert!(!decision.allowed, "{action} {context:?}");
        assert_eq!(decision.refusal_line(), "the request cannot be judged");
        let record = decision.record().unwrap();
        assert!(
            record.facts.is_none() && matches!(record.decide_again(&policies), Err(RecordError::Undecidable { .. }))
        );
    }
}

#[test]
fn explained() {
    let policies = starter();
    let dan = user(HOME, "dan", &["developers"]);
    let record = push(&policies, &dan, "refs/heads/production", ChangeKind::FastForward).record().unwrap();
    let explanation = explain(&record, Some(&policies));
    insta::assert_snapshot!("explained", explanation.text);
    assert!(explanation.json["policies"]["production-is-for-seniors"]["text"].as_str().unwrap().contains("unless"));
    // Who may not read policies sees their names only.
    let without = explain(&record, None);
    assert!(!without.text.contains("unless") && !without.json.to_string().contains("unless"));
    assert!(without.text.contains("production-is-for-seniors forbids"));
}

#[test]
fn what_would_have_to_differ() {
    let rita = user(HOME, "rita", &[]);
    let told = |policies: &CompiledPolicies, reference: &str| {
        let record = push(policies, &rita, reference, ChangeKind::FastForward).record().unwrap();
        assert!(!explain(&record, None).text.contains("would"));
        explain(&record, Some(policies)).text
    };
    let text = told(&starter(), "refs/heads/topic");
    let group = "Group::\"111111111111/developers\"";
    assert!(
        text.contains(&format!(
            "if the principal were in {group}: policy developers-push would permit it (alone enough)"
        )),
        "{text}"
    );
    let text = told(&starter(), "refs/heads/production");
    assert!(text.contains("policy production-is-for-seniors would not forbid it"), "{text}");
    let signed = compile(&[(
        "111111111111/a.cedar",
        "@id(\"p\") permit (principal in Group::\"111111111111/developers\", action, resource);
         @id(\"f\") forbid (principal, action in Action::\"codecommit:ChangeRef\", resource) unless { context.allCommitsSigned };",
    )]);
    let text = told(&signed, "refs/heads/topic");
    let together =
        "if context.allCommitsSigned were true: policy f would not forbid it (enough together with the others)";
    assert!(text.contains(together), "{text}");
}

#[test]
fn what_kept_policies_from_matching() {
    let dan = user(HOME, "dan", &["developers"]);
    let policies = compile(&[(
        "111111111111/a.cedar",
        r#"@id("p") permit (principal, action in Action::"codecommit:ChangeRef", resource)
             when { principal in Group::"111111111111/developers" && context.change == "create" }
             unless { context.request.mfa || resource.kind == "branch" };
           @id("q") permit (principal, action in Action::"codecommit:ChangeRef", resource)
             when { context has commitCount && context.commitCount < 3 };
           @id("r") permit (principal, action in Action::"codecommit:ChangeRef", resource)
             when { context.checksPassed.contains("build") };
           @id("s") permit (principal, action, resource)
             when { context.request has sourceIp && context.request.sourceIp.isInRange(ip("192.0.2.0/24")) };
           @id("t") permit (principal is User, action, resource) when { principal.mfaEnrolled };
           @id("other") permit (principal, action == Action::"codecommit:GitPull", resource) when { false };"#,
    )]);
    let record = push(&policies, &dan, "refs/heads/topic", ChangeKind::Force).record().unwrap();
    let told = explain(&record, Some(&policies));
    for line in [
        "p (permit): `context.change == \"create\"` does not hold",
        "q (permit): `context has commitCount` does not hold",
        "if context.checksPassed held \"build\": policy r would permit it (alone enough)",
        "if context.request.sourceIp were \"192.0.2.0\": policy s would permit it (alone enough)",
        "if principal.mfaEnrolled were true: policy t would permit it (alone enough)",
    ] {
        assert!(told.text.contains(line), "{line}\n{}", told.text);
    }
    assert!(!told.text.contains("other ("), "{}", told.text);
    let record = push(&policies, &dan, "refs/heads/topic", ChangeKind::Create).record().unwrap();
    let told = explain(&record, Some(&policies));
    assert!(told.text.contains("p (permit): `resource.kind == \"branch\"` holds, which it makes"), "{}", told.text);
    // Whoever may not read policies sees none of it.
    assert!(!explain(&record, None).text.contains("did not match"));
    // What a role asks for.
    let trust = compile(&[
        ("111111111111/a.cedar", r#"@id("a") permit (principal, action == Action::"sts:AssumeRole", resource);"#),
        (
            "111111111111/trust/a.cedar",
            r#"@id("t") permit (principal in Account::"111111111111", action == Action::"sts:AssumeRole", resource)
                 when { context has externalId && context.externalId == "blue" };"#,
        ),
    ]);
    let decision = trust.decide(&DecisionRequest {
        id: Uuid::nil(),
        principal: &dan,
        action: &Action::assume_role(),
        resource: &ResourceFacts::Role(role(HOME, "deployer")),
        request: &request_facts(),
        context: &ContextFacts::least_for(&Action::assume_role()),
        extra_context: None,
        session_policy: None,
    });
    let told = explain(&decision.record().unwrap(), Some(&trust));
    let line = "if context.externalId were \"blue\": policy t would permit it (alone enough)";
    assert!(told.text.contains(line), "{}", told.text);
}

// What later services ask about, decided and decided again from its record.
#[test]
fn named_things_are_asked_about() {
    let policies = compile(&[(
        "111111111111/a.cedar",
        r#"@id("p") permit (principal, action == Action::"codepipeline:PutApprovalResult", resource in Stage::"111111111111/shop/Production")
             when { context.approved && !(context has isAuthor && context.isAuthor) };
           @id("k") permit (principal, action in Action::"kms:Use", resource)
             when { context.encryptionContext.hasTag("team") && context.encryptionContext.getTag("team") == "a" };
           @id("s") permit (principal, action in Action::"s3:Read", resource in Object::"111111111111/artifacts/shop");"#,
    )]);
    let named = |kind, name: &[&str]| {
        let name = name.iter().map(|part| (*part).to_owned()).collect();
        ResourceFacts::Named(NamedFacts { kind, account: account(HOME), name, tags: Tags::new() })
    };
    let approval = |is_author| ContextFacts::Approval { approved: true, is_author };
    let key = |team: &str| ContextFacts::KeyUse {
        via_service: None,
        encryption_context: Tags::from([("team".to_owned(), team.to_owned())]),
    };
    let action = named(NamedKind::PipelineAction, &["shop", "Production", "Approve"]);
    let staging = named(NamedKind::PipelineAction, &["shop", "Staging", "Approve"]);
    let (secret_key, object) = (named(NamedKind::Key, &["k1"]), named(NamedKind::Object, &["artifacts", "shop/1.zip"]));
    let other = named(NamedKind::Object, &["artifacts", "shops/1.zip"]);
    for (name, resource, context, allowed) in [
        ("codepipeline:PutApprovalResult", &action, approval(Some(false)), true),
        ("codepipeline:PutApprovalResult", &action, approval(Some(true)), false),
        ("codepipeline:PutApprovalResult", &staging, approval(None), false),
        ("kms:Decrypt", &secret_key, key("a"), true),
        ("kms:Decrypt", &secret_key, key("b"), false),
        ("s3:GetObject", &object, ContextFacts::Plain, true),
        ("s3:GetObject", &other, ContextFacts::Plain, false),
    ] {
        let decision = policies.decide(&DecisionRequest {
            id: Uuid::nil(),
            principal: &user(HOME, "dan", &[]),
            action: &Action::parse(name).unwrap(),
            resource,
            request: &request_facts(),
            context: &context,
            extra_context: None,
            session_policy: None,
        });
        assert_eq!(decision.allowed, allowed, "{name} {context:?}: {}", decision.reason);
        assert!(!decision.verdicts.is_empty(), "{}", decision.reason);
        let again = decision.record().unwrap().decide_again(&policies).unwrap();
        assert_eq!(again.allowed, allowed, "{name}");
    }
}

#[test]
fn context_given_by_hand() {
    let policies = starter();
    let dan = user(HOME, "dan", &["developers"]);
    let ask = |extra: serde_json::Value| {
        policies.decide(&DecisionRequest {
            id: Uuid::nil(),
            principal: &dan,
            action: &Action::git_push(),
            resource: &a_ref("refs/heads/main"),
            request: &request_facts(),
            context: &change(ChangeKind::FastForward),
            extra_context: Some(&extra),
            session_policy: None,
        })
    };
    assert!(ask(serde_json::json!({})).allowed);
    assert!(ask(serde_json::json!({"request": {"sourceIp": {"__extn": {"fn": "ip", "arg": "10.0.0.1"}}}})).allowed);
    let refused = ask(serde_json::json!({"change": "force"}));
    assert_eq!(refused.refusal_line(), "denied by policy protected-branches-only-grow");
    assert!(ask(serde_json::json!({"chnage": "force"})).reason.contains("does not fit"));
}

/// Judges by giving Cedar every policy of a layer, the index left aside.
fn judge_by_everything(policies: &CompiledPolicies, question: &decide::Question) -> Judgement {
    let verdicts = question.layers().into_iter().map(|(layer, permit_needed)| {
        let mut matches = Vec::new();
        for effect in [Effect::Forbid, Effect::Permit] {
            let of_layer = policies.all.iter().filter(|(of, _)| *of == layer).map(|(_, policy)| policy);
            let of_effect = of_layer.filter(|policy| Effect::from(policy.effect()) == effect);
            let set = cedar_policy::PolicySet::from_policies(of_effect.cloned()).unwrap();
            let mut found = decide::evaluate(&set, question);
            found.sort_by_key(|(id, _)| policies.texts[id].order);
            matches.extend(found.into_iter().map(|(id, errored)| PolicyMatch {
                advice: policies.texts[&id].advice.clone(),
                effect,
                layer: layer.clone(),
                errored,
                id,
            }));
        }
        LayerVerdict { layer, permit_needed, matches }
    });
    Judgement::of(verdicts.collect())
}

fn any_policy() -> impl Strategy<Value = String> {
    let principal = prop::sample::select(vec![
        "principal",
        "principal is User",
        "principal == User::\"111111111111/dan\"",
        "principal in Group::\"111111111111/developers\"",
        "principal is User in Group::\"111111111111/seniors\"",
        "principal in Account::\"111111111111\"",
        "principal in Account::\"222222222222\"",
        "principal in Role::\"111111111111/deployer\"",
        "principal is Session in Account::\"111111111111\"",
    ]);
    let action = prop::sample::select(vec![
        "action",
        "action == Action::\"codecommit:GitPush\"",
        "action in Action::\"codecommit:ChangeRef\"",
        "action in [Action::\"codecommit:ChangeRef\", Action::\"codecommit:GitPush\", Action::\"codecommit:Read\"]",
        "action in Action::\"codecommit:Read\"",
    ]);
    let resource = prop::sample::select(vec![
        "resource",
        "resource is Ref",
        "resource == Ref::\"111111111111/shop/refs/heads/main\"",
        "resource in Ref::\"111111111111/shop/refs/heads/release\"",
        "resource is Ref in Repository::\"111111111111/shop\"",
        "resource in Repository::\"111111111111/other\"",
        "resource in Account::\"111111111111\"",
    ]);
    let condition = prop::sample::select(vec![
        "",
        "when { context.request.mfa }",
        "unless { context.request.transport == \"ssh\" }",
        "when { context.request.transport like \"*s*\" }",
        "when { (if context.request.mfa then 0 else 1) + 9223372036854775807 > 0 }",
    ]);
    let effect = prop::sample::select(vec!["permit", "permit", "permit", "forbid"]);
    (effect, principal, action, resource, condition)
        .prop_map(|(effect, principal, action, resource, condition)| {
            format!("{effect} ({principal}, {action}, {resource}) {condition};")
        })
        .prop_filter("applies to something", |text| {
            // A reader's permit on a ref applies to nothing and is refused by validation.
            let on_ref = text.contains("Ref");
            !(on_ref && text.contains("action in Action::\"codecommit:Read\""))
        })
}

fn any_set() -> impl Strategy<Value = CompiledPolicies> {
    prop::collection::vec((any_policy(), 0..3usize), 0..12).prop_filter_map("compiles", |policies| {
        let mut files: [String; 3] = Default::default();
        for (n, (policy, at)) in policies.iter().enumerate() {
            // Conditions on the request only, so the same text is fine in each place but the organization's.
            let at = if policy.starts_with("permit") && *at == 2 { 0 } else { *at };
            files[at].push_str(&format!("@id(\"p{n}\") {policy}\n"));
        }
        let [home, away, organization] = &files;
        let list = [
            ("111111111111/a.cedar", home.as_str()),
            ("222222222222/a.cedar", away),
            ("organization/a.cedar", organization),
        ];
        let compiled = CompiledPolicies::compile(&self::files(&list), &EveryName, CompileOptions::default());
        compiled.ok().map(|compiled| compiled.policies)
    })
}

fn any_principal() -> impl Strategy<Value = PrincipalFacts> {
    prop::sample::select(vec![
        user(HOME, "dan", &["developers"]),
        user(HOME, "sue", &["developers", "seniors"]),
        user(HOME, "rita", &[]),
        user(AWAY, "dan", &["developers"]),
        session(HOME, "deployer", None),
    ])
}

const SESSION_PARTS: [&str; 5] = [
    "permit (principal, action, resource);",
    "permit (principal, action == Action::\"codecommit:GitPush\", resource) when { resource.kind == \"tag\" };",
    "permit (principal, action == Action::\"codecommit:GitPull\", resource) when { true };",
    "forbid (principal, action in Action::\"codecommit:ChangeRef\", resource) when { context.change == \"force\" };",
    "forbid (principal, action, resource) when { principal is User };",
];

const REFS: [&str; 6] = [
    "refs/heads/main",
    "refs/heads/Main",
    "refs/heads/release",
    "refs/heads/release/1.0",
    "refs/heads/topic",
    "refs/tags/v1",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_index_finds_what_evaluating_everything_finds(
        policies in any_set(),
        principal in any_principal(),
        reference in prop::sample::select(REFS.to_vec()),
    ) {
        for kind in [ChangeKind::Create, ChangeKind::Force] {
            let decision = push(&policies, &principal, reference, kind);
            let question = decision.asked.question.as_ref().unwrap();
            let whole = judge_by_everything(&policies, question);
            prop_assert_eq!(decision.allowed, whole.allowed);
            prop_assert_eq!(&decision.verdicts, &whole.verdicts);
            prop_assert_eq!(&decision.determining, &whole.determining);
        }
    }

    // D6: whatever the session's own policy says, it gives nothing, and takes away what it leaves out.
    #[test]
    fn a_session_is_less_than_its_role(
        policies in any_set(),
        principal in any_principal(),
        reference in prop::sample::select(REFS.to_vec()),
        parts in prop::collection::vec(prop::sample::select(SESSION_PARTS.to_vec()), 0..4),
    ) {
        let session = SessionPolicy::compile(&parts.join("\n")).unwrap();
        let ask = |session_policy| policies.decide(&DecisionRequest {
            id: Uuid::nil(),
            principal: &principal,
            action: &Action::git_push(),
            resource: &a_ref(reference),
            request: &request_facts(),
            context: &change(ChangeKind::Force),
            extra_context: None,
            session_policy,
        });
        let (whole, narrowed) = (ask(None), ask(Some(&session)));
        prop_assert!(whole.allowed || !narrowed.allowed);
        let alone = parts.iter().any(|part| part.starts_with("permit") && part.contains("resource);"))
            && !parts.iter().any(|part| part.starts_with("forbid"));
        prop_assert!(!alone || whole.allowed == narrowed.allowed);
        prop_assert!(parts.iter().any(|part| part.starts_with("permit")) || !narrowed.allowed);
    }

    // B9: what was decided for one ref has no part in what is decided for the next.
    #[test]
    fn each_ref_is_decided_for_itself(
        policies in any_set(),
        principal in any_principal(),
        references in prop::collection::vec(prop::sample::select(REFS.to_vec()), 1..8),
    ) {
        let fresh_copy = |reference: &str| push(&policies, &principal, reference, ChangeKind::Force);
        let alone: Vec<_> = references.iter().rev().map(|reference| fresh_copy(reference).verdicts).collect();
        let together: Vec<_> = references.iter().map(|reference| fresh_copy(reference).verdicts).collect();
        let alone: Vec<_> = alone.into_iter().rev().collect();
        prop_assert_eq!(alone, together);
    }

    #[test]
    fn no_text_crashes_the_compiler(text in "[ -~\n]{0,200}") {
        let _ = CompiledPolicies::compile(&files(&[("111111111111/a.cedar", &text)]), &EveryName, CompileOptions::default());
        let _ = SessionPolicy::compile(&text);
    }
}

/// What a decision takes in the store, before it is sealed; `--no-capture` shows it. Like decisions share their entities.
#[test]
fn a_record_is_small() {
    let policies = starter();
    let dan = user(HOME, "dan", &["developers"]);
    let read = policies.decide(&DecisionRequest {
        id: Uuid::nil(),
        principal: &dan,
        action: &Action::git_pull(),
        resource: &ResourceFacts::Repository(repository(HOME, "shop")),
        request: &request_facts(),
        context: &ContextFacts::Plain,
        extra_context: None,
        session_policy: None,
    });
    for (what, decision, most) in [
        ("a read", read, (900, 700)),
        ("a push", push(&policies, &dan, "refs/heads/topic", ChangeKind::FastForward), (900, 1200)),
        ("a refused push", push(&policies, &dan, "refs/heads/production", ChangeKind::Force), (1400, 1200)),
    ] {
        let encoded = decision.record().unwrap().encode().unwrap();
        let size = (encoded.body.len(), encoded.entities.map_or(0, |entities| entities.len()));
        let report = format!("{what}: {} bytes, and {} of entities, which like decisions share\n", size.0, size.1);
        std::io::Write::write_all(&mut std::io::stderr(), report.as_bytes()).unwrap();
        assert!(size.0 <= most.0 && size.1 <= most.1, "{report}");
    }
}

/// Prints what a decision costs; asks for `LOCKGATE_POLICY_SPEED` since time is not a thing to assert.
#[test]
fn speed() {
    if std::env::var_os("LOCKGATE_POLICY_SPEED").is_none() {
        return;
    }
    let (n_accounts, n_policies) = (100, 100);
    let mut files = PolicyFiles::new();
    for owner in 0..n_accounts {
        let mut text = String::from("@id(\"all-OWNER\") permit (principal in Account::\"OWNER\", action, resource);\n");
        for n in 0..n_policies {
            text.push_str(&format!(
                "@id(\"f{n}-OWNER\") forbid (principal, action in Action::\"codecommit:ChangeRef\", resource in Ref::\"OWNER/shop/refs/heads/b{n}\") unless {{ principal in Group::\"OWNER/g{n}\" }};\n"
            ));
        }
        let owner = format!("{:012}", 111_111_111_111u64 + owner);
        files.insert(&format!("{owner}/a.cedar"), text.replace("OWNER", &owner).into_bytes()).unwrap();
    }
    let start = std::time::Instant::now();
    let policies = CompiledPolicies::compile(&files, &EveryName, CompileOptions::default()).unwrap().policies;
    let compiled = start.elapsed();
    let dan = user(HOME, "dan", &["developers"]);
    let mut took: Vec<_> = (0..5000)
        .map(|n| {
            let start = std::time::Instant::now();
            let decision = push(&policies, &dan, &format!("refs/heads/b{}", n % 120), ChangeKind::FastForward);
            assert_eq!(decision.allowed, n % 120 >= 100);
            start.elapsed()
        })
        .collect();
    took.sort();
    let report = format!(
        "{} policies compiled in {compiled:?}; a decision takes {:?}, p99 {:?}\n",
        n_accounts * (n_policies + 1),
        took[took.len() / 2],
        took[took.len() * 99 / 100]
    );
    std::io::Write::write_all(&mut std::io::stderr(), report.as_bytes()).unwrap();
}

/// Policies good, bad and suspicious, as validation sees them; ids are drawn so that some are equal.
fn any_text_to_validate() -> impl Strategy<Value = String> {
    let id = || {
        prop::sample::select(vec!["111111111111/a", "111111111111/b", "222222222222/a", "codecommit:GitPush", "*", ""])
    };
    let scope = |variable: &'static str| {
        let kind = prop::sample::select(vec!["User", "Group", "Account", "Session", "Repository", "Ref", "Nothing"]);
        (0..5usize, kind, id()).prop_map(move |(form, kind, id)| match form {
            0 => variable.to_owned(),
            1 => format!("{variable} == {kind}::\"{id}\""),
            2 => format!("{variable} in {kind}::\"{id}\""),
            3 => format!("{variable} is {kind}"),
            _ => format!("{variable} is {kind} in {kind} :: \"{id}\""),
        })
    };
    let action = prop::sample::select(vec![
        "action",
        "action == Action::\"codecommit:GitPush\"",
        "action == Action::\"codecommit:GitPull\"",
        "action == Action::\"codecommit:GitPsuh\"",
        "action in [Action::\"codecommit:GitPush\", Action::\"codecommit:ChangeRef\"]",
    ]);
    let condition = (0..14usize, id(), id()).prop_map(|(form, a, b)| match form {
        0 => String::new(),
        1 => format!("when {{ User::\"{a}\" == User::\"{b}\" && principal.nothing }}"),
        2 => format!("when {{ if User::\"{a}\" != User::\"{b}\" then 1 else true }}"),
        3 => format!("when {{ Group::\"{a}\" == User::\"{b}\" }}"),
        4 => format!("when {{ principal in [User::\"{a}\", Group::\"{b}\"] }}"),
        5 => format!("unless {{ User::\"{a}\" has name && User::\"{b}\".name == \"x\" }}"),
        6 => format!("unless {{ [User::\"{a}\"].contains(User::\"{b}\") || [User::\"{a}\"].contains(\"{b}\") }}"),
        7 => format!("when {{ action == Action::\"{a}\" }} when {{ context.change == \"{b}\" }}"),
        8 => format!("when {{ Action::\"{a}\" in Action::\"codecommit:ChangeRef\" }}"),
        9 => format!("when {{ User::\"{a}\".hasTag(\"{b}\") && User::\"{b}\".getTag(\"{b}\") == \"{a}\" }}"),
        10 => format!("when {{ context.request.transport like \"{a}\" // \"{b}\n }}"),
        11 => format!("when {{ ip(\"{a}\").isLoopback() || Group::\"{b}\" in Group::\"{a}\" }}"),
        12 => format!("when {{ {{x: User::\"{a}\"}} == {{x: User::\"{b}\"}} }}"),
        _ => format!("when {{ false && User::\"{a}\" in Group::\"{b}\" }}"),
    });
    (scope("principal"), action, scope("resource"), condition).prop_map(|(principal, action, resource, condition)| {
        format!("forbid ({principal}, {action}, {resource}) {condition};")
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// What is said of a folder is what is said of each of its policies alone, where there is nothing to share a verdict with.
    #[test]
    fn a_shape_shares_one_verdict(texts in prop::collection::vec(any_text_to_validate(), 1..24)) {
        let any = CompileOptions { allow_unknown: true };
        let said = |file: &str| {
            match CompiledPolicies::compile(&files(&[("111111111111/a.cedar", file)]), &EveryName, any) {
                Ok(compiled) => (Vec::new(), compiled.warnings),
                Err(problems) => (problems, Vec::new()),
            }
        };
        let line = |n: usize, text: &str| format!("@id(\"p{n}\") {}\n", text.replace('\n', "\r"));
        let together: String = texts.iter().enumerate().map(|(n, text)| line(n, text)).collect();
        let (problems, warnings) = said(&together);
        let (mut problems_alone, mut warnings_alone) = (Vec::new(), Vec::new());
        for (n, text) in texts.iter().enumerate() {
            let alone = said(&format!("{}{}", "\n".repeat(n), line(n, text)));
            problems_alone.extend(alone.0);
            warnings_alone.extend(alone.1);
        }
        if !problems_alone.is_empty() {
            warnings_alone.clear();
        }
        prop_assert_eq!(problems, problems_alone);
        prop_assert_eq!(warnings, warnings_alone);
    }
}

/// Cedar itself says the same of a policy and of the one whose names are others, and they share a shape.
#[test]
fn cedar_judges_a_shape_alike() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let strategy = any_text_to_validate();
    let (schema, _) = cedar_policy::Schema::from_cedarschema_str(SCHEMA).unwrap();
    let validator = cedar_policy::Validator::new(schema);
    let verdict = |text: &str| {
        let set = cedar_policy::PolicySet::from_policies([cedar_policy::Policy::parse(None, text).unwrap()]).unwrap();
        let result = validator.validate_with_level(&set, cedar_policy::ValidationMode::Strict, 2);
        (!result.validation_passed(), result.validation_warnings().next().is_some())
    };
    let mut verdicts: std::collections::HashMap<String, (bool, bool)> = std::collections::HashMap::new();
    for _ in 0..700 {
        let text = strategy.new_tree(&mut runner).unwrap().current();
        let mut renamed = text.clone();
        let ids = ["111111111111/a", "111111111111/b", "222222222222/a", "codecommit:GitPush", "*", ""];
        for (n, id) in ids.iter().enumerate() {
            for kind in ["User", "Group", "Account", "Session", "Repository", "Ref", "Nothing"] {
                for colons in ["::", " :: "] {
                    renamed = renamed.replace(&format!("{kind}{colons}\"{id}\""), &format!("{kind}{colons}\"n{n}\""));
                }
            }
        }
        let shape = shape::of(&text).unwrap();
        assert_eq!(shape::of(&renamed).unwrap(), shape, "{text}\n{renamed}");
        let judged = verdict(&text);
        assert_eq!(verdict(&renamed), judged, "{text}\n{renamed}");
        assert_eq!(*verdicts.entry(shape).or_insert(judged), judged, "{text}");
    }
    for kind in [(true, false), (true, true), (false, true), (false, false)] {
        assert!(verdicts.values().any(|verdict| *verdict == kind), "{kind:?}");
    }
}

/// Parsed files are taken over only where they are the same, and what was found in them is told again.
#[test]
fn compiling_after_is_compiling() {
    let any = CompileOptions::default();
    let permit =
        |id: &str, who: &str| format!("@id(\"{id}\") permit (principal == User::\"{who}\", action, resource);\n");
    let (home, foreign) = (permit("home", "111111111111/dan"), permit("foreign", "222222222222/dan"));
    let states: [Vec<(&str, String)>; 6] = [
        vec![("111111111111/a.cedar", home.clone()), ("222222222222/b.cedar", permit("b", "222222222222/dan"))],
        vec![("000000000000/z.cedar", permit("z", "000000000000/dan")), ("111111111111/a.cedar", home.clone())],
        // The same bytes in another place are another layer's.
        vec![("222222222222/a.cedar", home.clone()), ("111111111111/a.cedar", foreign.clone())],
        vec![("111111111111/a.cedar", home.clone()), ("111111111111/c.cedar", home.clone())],
        vec![("111111111111/a.cedar", home.replace("dan", "sue"))],
        vec![("111111111111/a.cedar", "permit (".to_owned()), ("111111111111/b.cedar", foreign.clone())],
    ];
    let folder = |state: &Vec<(&str, String)>| {
        files(&state.iter().map(|(path, text)| (*path, text.as_str())).collect::<Vec<_>>())
    };
    let told = |outcome: Result<Compiled, Vec<Problem>>| {
        outcome.map(|compiled| (compiled.policies.content_hash(), compiled.policies.texts, compiled.warnings))
    };
    for before in &states {
        let Ok(previous) = CompiledPolicies::compile(&folder(before), &EveryName, any) else { continue };
        for after in &states {
            let outcome = CompiledPolicies::compile_after(&previous.policies, &folder(after), &EveryName, any);
            if let Ok(compiled) = &outcome {
                let dan = user(HOME, "dan", &[]);
                let fresh = CompiledPolicies::compile(&folder(after), &EveryName, any).unwrap().policies;
                let ask =
                    |policies: &CompiledPolicies| push(policies, &dan, "refs/heads/x", ChangeKind::Create).verdicts;
                assert_eq!(ask(&compiled.policies), ask(&fresh));
            }
            assert_eq!(told(outcome), told(CompiledPolicies::compile(&folder(after), &EveryName, any)));
        }
    }
}
