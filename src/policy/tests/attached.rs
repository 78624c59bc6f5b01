//! Documents that are attached through IAM's operations.

use std::sync::Arc;

use super::*;

const REGION: &str = "us-east-1";

fn attached(to: AttachedTo, name: &str, text: &str) -> AttachedDocument {
    AttachedDocument { account: account(HOME), to, name: name.to_owned(), text: text.into() }
}

fn with(files: &[(&str, &str)], documents: &[AttachedDocument]) -> CompiledPolicies {
    let attached = AttachedPolicies::compile(None, documents.iter().cloned(), REGION);
    compile(files).with_attached(Arc::new(attached))
}

fn ids(decision: &Decision) -> Vec<&str> {
    decision.determining.iter().map(|found| found.id.as_str()).collect()
}

const PULL: &str = r#"{"Version": "2012-10-17", "Statement": [
    {"Sid": "Pull", "Effect": "Allow", "Action": "codecommit:GitPull", "Resource": "*"}]}"#;
const NO_PUSH: &str = r#"{"Version": "2012-10-17", "Statement": [
    {"Sid": "NoPush", "Effect": "Deny", "Action": "codecommit:GitPush", "Resource": "*"}]}"#;
const PERMIT_PUSH: &str =
    r#"@id("push") permit (principal in ?principal, action == Action::"codecommit:GitPush", resource);"#;

#[test]
fn what_is_attached_permits_and_forbids_those_whom_it_is_attached_to() {
    let alice = user(HOME, "alice", &["developers"]);
    let bob = user(HOME, "bob", &[]);
    let deployer = session(HOME, "deployer", None);
    let shop = ResourceFacts::Repository(repository(HOME, "shop"));
    let pull = |policies: &CompiledPolicies, who: &PrincipalFacts| {
        decide(policies, who, "codecommit:GitPull", &shop, &ContextFacts::Plain)
    };
    let push = |policies: &CompiledPolicies, who: &PrincipalFacts| {
        push(policies, who, "refs/heads/main", ChangeKind::FastForward)
    };

    let on_alice = with(&[], &[attached(AttachedTo::User(name("alice")), "user/alice/pull", PULL)]);
    assert!(pull(&on_alice, &alice).allowed);
    assert_eq!(ids(&pull(&on_alice, &alice)), ["111111111111/user/alice/pull#Pull"]);
    assert!(!pull(&on_alice, &bob).allowed && !push(&on_alice, &alice).allowed);
    assert!(on_alice.text("111111111111/user/alice/pull#Pull").is_some());

    let on_group = with(&[], &[attached(AttachedTo::Group(name("developers")), "group/developers/push", PERMIT_PUSH)]);
    assert!(push(&on_group, &alice).allowed && !push(&on_group, &bob).allowed && !push(&on_group, &deployer).allowed);
    assert_eq!(ids(&push(&on_group, &alice)), ["111111111111/group/developers/push#push"]);

    let on_role = with(&[], &[attached(AttachedTo::Role(name("deployer")), "role/deployer/push", PERMIT_PUSH)]);
    assert!(push(&on_role, &deployer).allowed && !push(&on_role, &alice).allowed);

    // Beside files, and across what is attached: a forbid wins, wherever it is.
    let file = [("111111111111/all.cedar", r#"@id("all") permit (principal, action, resource);"#)];
    let both = with(&file, &[attached(AttachedTo::User(name("alice")), "user/alice/no", NO_PUSH)]);
    assert!(push(&both, &bob).allowed && pull(&both, &alice).allowed);
    assert_eq!(ids(&push(&both, &alice)), ["111111111111/user/alice/no#NoPush"]);
    let file = [("111111111111/no.cedar", r#"@id("no") forbid (principal, action, resource);"#)];
    let both = with(&file, &[attached(AttachedTo::User(name("alice")), "user/alice/pull", PULL)]);
    assert_eq!(ids(&pull(&both, &alice)), ["no"]);

    // The names of another account's people are other names.
    let stranger = user(AWAY, "alice", &["developers"]);
    assert!(!pull(&on_alice, &stranger).allowed && !push(&on_group, &stranger).allowed);
}

#[test]
fn trust_documents_say_who_assumes_a_role() {
    let trust = r#"{"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"AWS": ["arn:aws:iam::222222222222:root", "arn:aws:iam::111111111111:user/dan"]}, "Action": "sts:AssumeRole"},
        {"Effect": "Deny", "Principal": {"AWS": "arn:aws:iam::222222222222:user/eve"}, "Action": "sts:AssumeRole"}]}"#;
    let may = r#"@id("may") permit (principal, action == Action::"sts:AssumeRole", resource);"#;
    let files = [("111111111111/may.cedar", may), ("222222222222/may.cedar", &may.replace("may\"", "may2\""))];
    let policies = with(&files, &[attached(AttachedTo::Trust(name("deployer")), "role/deployer/trust", trust)]);
    let assume = |who: &PrincipalFacts, role_name: &str| {
        let facts = ContextFacts::AssumeRole(AssumeRoleFacts {
            session_name: "s".to_owned(),
            external_id: None,
            source_identity: None,
            source_arn: None,
            session_tags: Default::default(),
            transitive_tag_keys: Default::default(),
        });
        decide(&policies, who, "sts:AssumeRole", &ResourceFacts::Role(role(HOME, role_name)), &facts)
    };
    assert!(assume(&user(AWAY, "anna", &[]), "deployer").allowed);
    assert!(assume(&user(HOME, "dan", &[]), "deployer").allowed);
    assert!(!assume(&user(HOME, "sue", &[]), "deployer").allowed);
    assert!(!assume(&user(AWAY, "anna", &[]), "other").allowed);
    let eve = assume(&user(AWAY, "eve", &[]), "deployer");
    assert_eq!(ids(&eve), ["111111111111/role/deployer/trust#statement-2"]);

    let cedar = r#"permit (principal in Account::"222222222222", action == Action::"sts:AssumeRole", resource == ?resource)
when { context has externalId && context.externalId == "x" };"#;
    let document = attached(AttachedTo::Trust(name("deployer")), "role/deployer/trust", cedar);
    assert_eq!(document.check(REGION), Ok(()));
}

#[test]
fn documents_that_cannot_be_attached_say_why() {
    let said = |to: AttachedTo, text: &str| {
        let problems = attached(to, "x", text).check(REGION).unwrap_err();
        problems.iter().map(|problem| format!("{problem}\n")).collect::<String>()
    };
    let alice = || AttachedTo::User(name("alice"));
    for (to, text, expected) in [
        (alice(), "", "holds no policy"),
        (alice(), "{}", "Version"),
        (
            alice(),
            r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "codecommit:Nope", "Resource": "*"}]}"#,
            "Nope",
        ),
        (alice(), r#"@id("a") permit (principal, action, resource);"#, "?principal"),
        (alice(), r#"permit (principal == User::"111111111111/bob", action, resource);"#, "?principal"),
        (alice(), r#"permit (principal in ?principal, action, resource == ?resource);"#, "?principal"),
        (alice(), r#"permit (principal in ?principal, action, resource) when { principal.nme == "x" };"#, "nme"),
        (alice(), "permit (principal in ?principal, action, resource)", "x:1:"),
        (AttachedTo::Group(name("g")), "permit (principal == ?principal, action, resource);", "they are in it"),
        (AttachedTo::Trust(name("r")), PERMIT_PUSH, "?resource"),
        (
            AttachedTo::Trust(name("r")),
            r#"permit (principal, action == Action::"sts:AssumeRole", resource == ?resource);"#,
            "names whom it trusts",
        ),
        (
            alice(),
            r#"@id("a") permit (principal in ?principal, action, resource); @id("a") forbid (principal in ?principal, action, resource);"#,
            "twice",
        ),
    ] {
        let said = said(to, text);
        assert!(said.contains(expected), "{text}: {said}");
    }
    let long = format!("{PERMIT_PUSH}{}", " ".repeat(MAX_DOCUMENT_BYTES));
    assert!(said(alice(), &long).contains("larger"));
    for to in [alice(), AttachedTo::Group(name("g")), AttachedTo::Role(name("r"))] {
        assert_eq!(attached(to, "x", PERMIT_PUSH).check(REGION), Ok(()));
    }
    let is = r#"permit (principal is User in ?principal, action == Action::"codecommit:GitPull", resource);"#;
    assert_eq!(attached(AttachedTo::Group(name("g")), "x", is).check(REGION), Ok(()));
}

/// What another version stored and this one cannot read may have been a forbid.
#[test]
fn a_document_that_cannot_be_read_refuses_those_whom_it_is_about() {
    let file = [("111111111111/all.cedar", r#"@id("all") permit (principal, action, resource);"#)];
    let policies = with(&file, &[attached(AttachedTo::User(name("alice")), "user/alice/x", "forbid(principal")]);
    let refused = push(&policies, &user(HOME, "alice", &[]), "refs/heads/main", ChangeKind::Create);
    assert_eq!(ids(&refused), ["111111111111/user/alice/x#unreadable"]);
    assert!(push(&policies, &user(HOME, "bob", &[]), "refs/heads/main", ChangeKind::Create).allowed);
}

#[test]
fn a_second_compilation_is_the_same() {
    let documents = [
        attached(AttachedTo::User(name("alice")), "user/alice/pull", PULL),
        attached(AttachedTo::Trust(name("r")), "role/r/t", ""),
    ];
    let first = AttachedPolicies::compile(None, documents.clone(), REGION);
    let second = AttachedPolicies::compile(Some(&first), documents, REGION);
    let texts = |all: &AttachedPolicies| all.texts().map(|text| text.id.clone()).collect::<BTreeSet<_>>();
    assert_eq!(texts(&first), texts(&second));
    assert_eq!(texts(&first).len(), 2);
}

/// Paths are grouped into classes by what forbids look at; those that are attached are forbids, too.
#[test]
fn attached_forbids_of_paths_are_heard() {
    let text = r#"@id("infra") forbid (principal in ?principal, action == Action::"codecommit:WritePath", resource in Path::"111111111111/shop/infra");"#;
    let policies = with(&[], &[attached(AttachedTo::User(name("alice")), "user/alice/paths", text)]);
    let shop = repository(HOME, "shop");
    assert!(!policies.path_rules(&user(HOME, "alice", &[]), &shop, None).is_empty());
    assert!(policies.path_rules(&user(HOME, "bob", &[]), &shop, None).is_empty());
    // What is attached counts when something is renamed.
    assert_eq!(policies.naming(&|kind, id| kind == "Path" && id.starts_with("111111111111/shop/")).len(), 1);
}
