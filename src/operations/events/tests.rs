//! What the outbox becomes, without doors.

use std::io::Write;
use std::time::Instant;

use serde_json::json;
use uuid::Uuid;

use super::settings::{NewEvent, NewRule};
use crate::events::bus::{Input, MAX_AGE_SECONDS, MAX_ATTEMPTS, Subscriber, Target};
use crate::identity::{Principal, UserPrincipal};
use crate::names::{AccountId, PrincipalName};
use crate::operations::tests::Inside;
use crate::operations::{OpContext, Transport};

/// Few in CI; with `LOCKGATE_SOAK=1` as many as the figures in `docs/performance.md` are of, which it prints.
fn how_many(few: usize, many: usize) -> usize {
    if std::env::var_os("LOCKGATE_SOAK").is_some() { many } else { few }
}

/// Says a figure to whoever measures.
fn say(figure: std::fmt::Arguments<'_>) {
    std::io::stderr().write_fmt(format_args!("{figure}\n")).unwrap();
}

fn account() -> AccountId {
    AccountId::parse("111111111111").unwrap()
}

fn ctx(inside: &Inside) -> OpContext {
    let directory = inside.host.identity().directory();
    let dan = directory.user(&account(), &PrincipalName::parse("dan").unwrap()).unwrap();
    let principal = Principal::User(UserPrincipal::new(dan, None));
    OpContext { principal, request_id: Uuid::now_v7(), source: None, transport: Transport::Api }
}

fn event(n: usize) -> NewEvent {
    let id = Uuid::new_v4();
    let event = json!({
        "version": "0", "id": id.to_string(), "detail-type": "order", "source": "shop", "account": "111111111111",
        "time": "2026-11-24T08:00:00Z", "region": "us-east-1", "resources": [],
        "detail": {"n": n, "repositoryName": format!("repo-{n}"), "referenceFullName": "refs/heads/main"},
    });
    NewEvent { account: account(), bus: "default".to_owned(), event, id }
}

fn put_rule(inside: &Inside, name: &str, pattern: serde_json::Value) {
    let rule = NewRule {
        name: name.to_owned(),
        bus: "default".to_owned(),
        pattern: Some(pattern.to_string()),
        is_enabled: true,
        ..NewRule::default()
    };
    inside.host.put_event_rule(&ctx(inside), &account(), &rule).unwrap();
    let target = Target {
        id: "t".to_owned(),
        arn: "https://example.com/hook".to_owned(),
        role_arn: None,
        input: Input::Event,
        dead_letter: None,
        attempts: MAX_ATTEMPTS,
        age_seconds: MAX_AGE_SECONDS,
        http: None,
        message_group: None,
        subscriber: Subscriber::User(Uuid::nil()),
    };
    assert!(inside.host.put_event_targets(&ctx(inside), &account(), "default", name, &[target]).unwrap().is_empty());
}

fn route_all(inside: &Inside) {
    while inside.host.route_some().unwrap() > 0 {}
}

#[test]
fn an_archive_is_told_again_whole_and_once() {
    let inside = Inside::new();
    let _inside = inside.runtime.enter();
    let n = how_many(2_500, 1_000_000);
    let orders = r#"{"source": ["shop"]}"#;
    inside.host.create_event_archive(&account(), "kept", "default", (None, Some(orders), 0)).unwrap();
    for first in (0..n).step_by(500) {
        let some: Vec<NewEvent> = (first..n.min(first + 500)).map(event).collect();
        inside.host.put_events(&some).unwrap();
        route_all(&inside);
    }
    let archive = inside.host.event_archive(&account(), "kept").unwrap();
    assert_eq!(inside.host.count_archive(&archive).unwrap().0, n as i64);
    put_rule(&inside, "all", json!({"source": ["shop"]}));
    let replay = ("default", &[][..]);
    inside.host.start_event_replay(&account(), "r", "kept", None, replay, (0, i64::MAX)).unwrap();
    let began = Instant::now();
    inside.host.replay_all(&account()).unwrap();
    let took = began.elapsed();
    let done = inside.host.event_replay(&account(), "r").unwrap();
    assert_eq!((done.state.as_str(), done.n_told), ("COMPLETED", n as u64));
    let mut heard = Vec::new();
    let mut before = None;
    loop {
        let page = inside.host.logged_deliveries(&account(), before, 1000).unwrap();
        let Some(last) = page.last() else { break };
        before = Some(last.n);
        heard.extend(page.iter().map(|logged| logged.delivery.event.clone()));
    }
    assert_eq!(heard.len(), n);
    heard.sort();
    heard.dedup();
    assert_eq!(heard.len(), n);
    if n > 2_500 {
        say(format_args!("{n} archived events told again in {took:?}: {:.0} a second", n as f64 / took.as_secs_f64()));
    }
}

#[test]
fn each_of_many_rules_takes_its_own_event() {
    let inside = Inside::new();
    let _inside = inside.runtime.enter();
    let n = how_many(50, 10_000);
    for i in 0..n {
        let pattern = json!({"source": ["shop"], "detail": {"repositoryName": [format!("repo-{i}")]}});
        put_rule(&inside, &format!("rule-{i}"), pattern);
    }
    inside.host.put_events(&[event(0)]).unwrap();
    let began = Instant::now();
    route_all(&inside);
    let first = began.elapsed();
    let some: Vec<NewEvent> = (0..n.min(5_000)).map(event).collect();
    inside.host.put_events(&some).unwrap();
    let began = Instant::now();
    route_all(&inside);
    let took = began.elapsed();
    let told = inside.host.logged_deliveries(&account(), None, usize::MAX).unwrap();
    assert_eq!(told.len(), some.len() + 1);
    for logged in &told {
        let body: serde_json::Value = serde_json::from_str(&logged.delivery.body).unwrap();
        assert!(logged.delivery.because.ends_with(&format!(":rule/rule-{}", body["detail"]["n"])), "{logged:?}");
    }
    if n > 50 {
        say(format_args!(
            "{n} rules: read and compiled with the first event in {first:?}; {} events in {took:?}",
            some.len()
        ));
    }
}
