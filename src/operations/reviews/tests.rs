//! Approvals and who has a voice.

use crate::identity::{Principal, UserPrincipal};
use crate::names::{PrincipalName, RefName};
use crate::operations::OpContext;
use crate::operations::tests::Inside;
use crate::policy::Action;
use crate::review::rules::Content;

use super::super::commits::{CommitWords, FileEdits, Put, PutContent};
use super::NewPullRequest;

const ONE: &str = r#"{"Version":"2018-11-08","Statements":[{"Type":"Approvers","NumberOfApprovalsNeeded":1}]}"#;

// D2: what somebody approved whose access has ended is not approved.
#[test]
fn whoever_is_disabled_approves_of_nothing_any_more() {
    let inside = Inside::new();
    let _inside = inside.runtime.enter();
    let (host, dan) = (&inside.host, inside.as_dan());
    let identity = host.identity();
    let account = dan.principal.account().clone();
    let eve = PrincipalName::parse("eve").unwrap();
    let made = host.store().wait(identity.create_user(&account, &eve, &[])).unwrap();
    let as_eve = OpContext { principal: Principal::User(UserPrincipal::new(&made, None)), ..dan.clone() };
    let (record, topic) = (inside.shop(), RefName::branch("topic").unwrap());
    let put = Put { path: "a".into(), mode: None, content: PutContent::Bytes(b"a".to_vec()) };
    let edits = FileEdits { puts: vec![put], ..FileEdits::default() };
    let (action, tip) = (Action::parse("codecommit:PutFile").unwrap(), inside.tip("topic"));
    host.commit_files(&dan, &record, &action, &topic, tip.as_ref(), &edits, &CommitWords::default()).unwrap();
    let new = NewPullRequest { title: "t", description: None, source: &topic, destination: None, token: None };
    let pull_request = host.create_pull_request(&dan, &record, &new).unwrap().pull_request;
    let (number, revision) = (pull_request.number, pull_request.revision_id());
    Content::parse(ONE).unwrap();
    host.create_rule(&dan, &record, number, "one", ONE).unwrap();
    let is_approved = || host.evaluate_rules(&record, number, &revision).unwrap().is_approved;
    assert!(!is_approved());
    host.set_approval(&as_eve, &record, number, &revision, true).unwrap();
    assert!(is_approved());
    host.store().wait(identity.set_user_disabled(&account, &eve, true)).unwrap();
    assert!(!is_approved());
    host.store().wait(identity.set_user_disabled(&account, &eve, false)).unwrap();
    assert!(is_approved());
}
