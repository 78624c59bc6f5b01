//! From the outbox to deliveries: which rules take an event, what each of their targets is told, which archives keep it. Matching is
//! compiled once for all rules of an account and asked after the change is done: no push waits for it.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::Notify;
use uuid::Uuid;

use super::nats::Brokers;
use super::targets::Destination;
use crate::events::bus::{Archive, Bus, Input, Rule, Subscriber, Target};
use crate::events::delivery::Delivery;
use crate::events::pattern::{Pattern, RuleIndex};
use crate::events::shelf::{EventShelf, ShelfError};
use crate::events::transform::{RuleContext, Transformer};
use crate::events::{MAX_HOPS, Queued};
use crate::names::AccountId;
use crate::operations::lockgate::Lockgate;
use crate::store::documents::Write;
use crate::store::queue::{QueuedEvent, Routed};

/// Most events that are routed in one transaction.
const AT_ONCE: usize = 256;
/// How long is waited if nothing waits.
const LONG: std::time::Duration = std::time::Duration::from_secs(60);
/// How long is waited when the store failed.
const AFTER_FAILURE: std::time::Duration = std::time::Duration::from_secs(1);

/// Rules as they were last compiled, and connections to brokers.
#[derive(Default)]
pub struct EventState {
    rules: Mutex<HashMap<AccountId, Arc<AccountRules>>>,
    /// Connections to brokers.
    pub(super) brokers: Brokers,
    /// Woken when rules, schedules or replays were changed.
    pub(super) settings_changed: Notify,
    /// Woken when a replay was begun.
    pub(super) replay_begun: Notify,
}

/// All that an account has set up, compiled.
pub(super) struct AccountRules {
    version: i64,
    buses: HashMap<String, BusRules>,
    /// Rules that the clock tells.
    pub(super) scheduled: Vec<Rule>,
}

/// One bus.
#[derive(Default)]
pub(super) struct BusRules {
    index: RuleIndex<usize>,
    rules: Vec<CompiledRule>,
    archives: RuleIndex<usize>,
    kept: Vec<Archive>,
}

struct CompiledRule {
    name: String,
    arn: String,
    targets: Vec<CompiledTarget>,
}

struct CompiledTarget {
    target: Target,
    destination: Destination,
    transformer: Transformer,
}

/// The ARN of a rule.
pub fn rule_arn(region: &str, account: &AccountId, bus: &str, name: &str) -> String {
    match bus {
        crate::events::DEFAULT_BUS => format!("arn:aws:events:{region}:{account}:rule/{name}"),
        bus => format!("arn:aws:events:{region}:{account}:rule/{bus}/{name}"),
    }
}

/// What a target is told, compiled; or why it cannot be.
pub(super) fn transformer_of(input: &Input) -> Result<Transformer, String> {
    let made = match input {
        Input::Event => Transformer::event(),
        Input::Constant(text) => Transformer::constant(text),
        Input::Path(path) => Transformer::path(path),
        Input::Transformer { paths, template } => Transformer::template(paths, template),
    };
    made.map_err(|error| error.to_string())
}

impl AccountRules {
    fn compile(
        host: &Lockgate,
        account: &AccountId,
        version: i64,
        shelf: &EventShelf<'_>,
    ) -> Result<AccountRules, ShelfError> {
        let region = host.identity().region();
        let mut patterns: HashMap<String, Vec<(usize, Arc<Pattern>)>> = HashMap::new();
        let mut kept_patterns: HashMap<String, Vec<(usize, Arc<Pattern>)>> = HashMap::new();
        let mut buses: HashMap<String, BusRules> = HashMap::new();
        let mut scheduled = Vec::new();
        for kept in shelf.list::<Rule>(&[])? {
            let rule = kept.value;
            if !rule.is_enabled || rule.targets.is_empty() {
                continue;
            }
            if rule.schedule.is_some() {
                scheduled.push(rule.clone());
            }
            let Some(pattern) = rule.pattern.as_deref() else { continue };
            // Checked when it was put; one that an older version took is passed over, and said.
            let Ok(pattern) = Pattern::parse(pattern) else {
                tracing::error!(rule = rule.name, "the pattern of a rule cannot be read any more");
                continue;
            };
            let compiled = compiled_rule(region, account, &rule);
            let bus = buses.entry(rule.bus.clone()).or_default();
            patterns.entry(rule.bus).or_default().push((bus.rules.len(), Arc::new(pattern)));
            bus.rules.push(compiled);
        }
        for kept in shelf.list::<Archive>(&[])? {
            let archive = kept.value;
            let Ok(pattern) = Pattern::parse(archive.pattern.as_deref().unwrap_or(EVERY_EVENT)) else {
                tracing::error!(archive = archive.name, "the pattern of an archive cannot be read any more");
                continue;
            };
            let bus = buses.entry(archive.bus.clone()).or_default();
            kept_patterns.entry(archive.bus.clone()).or_default().push((bus.kept.len(), Arc::new(pattern)));
            bus.kept.push(archive);
        }
        for (name, bus) in &mut buses {
            bus.index = RuleIndex::new(patterns.remove(name).unwrap_or_default());
            bus.archives = RuleIndex::new(kept_patterns.remove(name).unwrap_or_default());
        }
        Ok(AccountRules { version, buses, scheduled })
    }
}

/// What an archive without a pattern keeps.
const EVERY_EVENT: &str = r#"{"version": [{"exists": true}]}"#;

fn compiled_rule(region: &str, account: &AccountId, rule: &Rule) -> CompiledRule {
    let mut targets = Vec::new();
    for target in rule.targets.values() {
        let destination = Destination::parse(&target.arn, region, account);
        match (destination, transformer_of(&target.input)) {
            (Ok(destination), Ok(transformer)) => {
                targets.push(CompiledTarget { target: target.clone(), destination, transformer });
            }
            (Err(why), _) | (_, Err(why)) => {
                tracing::error!(rule = rule.name, target = target.id, why, "a target cannot be told");
            }
        }
    }
    CompiledRule { name: rule.name.clone(), arn: rule_arn(region, account, &rule.bus, &rule.name), targets }
}

/// What comes of events that are routed together.
struct Routing<'a> {
    host: &'a Lockgate,
    now_ms: i64,
    routed: Routed,
    /// Whether a subscriber may hear of a repository, asked once for each of few.
    asked: HashMap<(Subscriber, Uuid), bool>,
}

impl Lockgate {
    /// The rules of an account, compiled anew if something was changed. Blocks.
    pub(super) fn rules_of(&self, account: &AccountId) -> Result<Arc<AccountRules>, ShelfError> {
        let shelf = EventShelf::new(self.store(), account);
        let version = shelf.version()?;
        if let Some(found) = self.events().rules.lock().get(account).filter(|found| found.version == version) {
            return Ok(found.clone());
        }
        let compiled = Arc::new(AccountRules::compile(self, account, version, &shelf)?);
        self.events().rules.lock().insert(account.clone(), compiled.clone());
        Ok(compiled)
    }

    /// Routes some of what waits; gives how many. Blocks.
    pub(super) fn route_some(&self) -> Result<usize, ShelfError> {
        let events = self.store().outbox(AT_ONCE)?;
        if events.is_empty() {
            return Ok(0);
        }
        let n_events = events.len();
        let mut routing = Routing::new(self);
        let mut rules: HashMap<String, Option<Arc<AccountRules>>> = HashMap::new();
        for event in events {
            routing.routed.taken.push(event.seq);
            let Ok(queued) = serde_json::from_slice::<Queued>(&event.body) else {
                tracing::error!(event = %event.id, "an event cannot be read, and is dropped");
                continue;
            };
            let Ok(account) = AccountId::parse(&queued.account) else { continue };
            let of_account = match rules.get(&queued.account) {
                Some(found) => found.clone(),
                None => {
                    let found = Some(self.rules_of(&account)?);
                    rules.insert(queued.account.clone(), found.clone());
                    found
                }
            };
            if let Some(bus) = of_account.as_ref().and_then(|rules| rules.buses.get(&queued.bus)) {
                routing.archive(bus, &event, &queued);
                routing.tell(bus, &account, &event, &queued, &[]);
            }
        }
        // Another server may have taken them: then it tells.
        self.store().route(&routing.routed)?;
        Ok(n_events)
    }

    /// Tells archived events to the rules of a bus, or to those of them that are named, and changes a document with it; false if that was
    /// changed by somebody else. Blocks.
    pub(super) fn route_again(
        &self,
        account: &AccountId,
        bus: &str,
        only: &[String],
        events: &[QueuedEvent],
        (name, write): (&str, Write),
    ) -> Result<bool, ShelfError> {
        let rules = self.rules_of(account)?;
        let mut routing = Routing::new(self);
        if let Some(bus) = rules.buses.get(bus) {
            for event in events {
                let Ok(mut queued) = serde_json::from_slice::<Queued>(&event.body) else { continue };
                queued.event["replay-name"] = name.into();
                routing.tell(bus, account, event, &queued, only);
            }
        }
        routing.routed.writes.push(write);
        Ok(self.store().route(&routing.routed)?)
    }

    /// Tells the targets of a rule whose time has come, and changes the rule with it; false if somebody else was faster. Blocks.
    pub(super) fn tell_rule(
        &self,
        account: &AccountId,
        rule: &Rule,
        (id, queued): (Uuid, &Queued),
        writes: Vec<Write>,
    ) -> Result<bool, ShelfError> {
        let compiled = compiled_rule(self.identity().region(), account, rule);
        let event = QueuedEvent { seq: 0, id, body: Vec::new() };
        let mut routing = Routing::new(self);
        routing.tell_targets(&compiled, account, &event, queued);
        routing.routed.writes.extend(writes);
        Ok(self.store().route(&routing.routed)?)
    }
}

impl<'a> Routing<'a> {
    fn new(host: &'a Lockgate) -> Routing<'a> {
        let now_ms = host.store().clock().now_ms();
        Routing { host, now_ms, routed: Routed::default(), asked: HashMap::new() }
    }

    fn archive(&mut self, bus: &BusRules, event: &QueuedEvent, queued: &Queued) {
        let mut found = Vec::new();
        bus.archives.matching(&queued.event, &mut found);
        for at in found {
            let archive = bus.kept[at].id.into_bytes();
            self.routed.archived.push((archive, event.clone(), queued.at_ms));
        }
    }

    fn tell(&mut self, bus: &BusRules, account: &AccountId, event: &QueuedEvent, queued: &Queued, only: &[String]) {
        let mut found = Vec::new();
        bus.index.matching(&queued.event, &mut found);
        for at in found {
            let rule = &bus.rules[at];
            if only.is_empty() || only.contains(&rule.name) {
                self.tell_targets(rule, account, event, queued);
            }
        }
    }

    fn tell_targets(&mut self, rule: &CompiledRule, account: &AccountId, event: &QueuedEvent, queued: &Queued) {
        let context = RuleContext {
            rule_arn: rule.arn.clone(),
            rule_name: rule.name.clone(),
            ingestion_time: crate::events::iso_time(queued.at_ms),
        };
        for CompiledTarget { target, destination, transformer } in &rule.targets {
            if let Destination::Bus(to, bus) = destination {
                self.hand_on(rule, target, (to, bus), queued);
                continue;
            }
            let lane = self
                .host
                .store()
                .blind("lane", &[b"rule", rule.arn.as_bytes(), target.id.as_bytes(), queued.stream.as_bytes()]);
            let delivery = Delivery {
                event: event.id.to_string(),
                kind: text(&queued.event, "detail-type"),
                because: rule.arn.clone(),
                target: target.id.clone(),
                destination: target.arn.clone(),
                body: transformer.apply(&queued.event, &context),
                http: target.http.clone(),
                group: target.message_group.clone().unwrap_or_else(|| queued.stream.to_string()),
                repository: queued.repository,
                subscriber: Some(target.subscriber.clone()),
                max_attempts: target.attempts,
                max_age_ms: i64::from(target.age_seconds) * 1000,
                dead_letter: target.dead_letter.clone(),
                since_ms: self.now_ms,
                attributes: Default::default(),
                n_tries: 0,
                attempts: Vec::new(),
            };
            self.routed.writes.push(self.host.put_delivery(account, lane, Uuid::now_v7(), &delivery));
        }
    }

    /// Puts an event on another bus, if who set that up may hear of it, and the bus takes it.
    fn hand_on(&mut self, rule: &CompiledRule, target: &Target, (account, bus): (&AccountId, &str), queued: &Queued) {
        let may_hear = queued.repository.is_none_or(|repository| {
            let host = self.host;
            *self
                .asked
                .entry((target.subscriber.clone(), repository))
                .or_insert_with(|| host.may_hear(&host.identity().directory(), &target.subscriber, repository))
        });
        if !may_hear || queued.hops >= MAX_HOPS {
            tracing::warn!(rule = rule.arn, bus, hops = queued.hops, may_hear, "an event was not handed on to a bus");
            return;
        }
        if let Err(why) = self.host.bus_takes(account, bus, &target.subscriber, queued) {
            tracing::warn!(rule = rule.arn, bus, why, "an event was not handed on to a bus");
            return;
        }
        let handed =
            Queued { account: account.to_string(), bus: bus.to_owned(), hops: queued.hops + 1, ..queued.clone() };
        self.routed.writes.push(self.host.put_queued(Uuid::new_v4(), &handed));
    }
}

fn text(event: &Value, name: &str) -> String {
    event.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
}

impl Lockgate {
    /// Whether a bus takes events that somebody's rule hands on: that of the same account does; another account's, if policies let this
    /// one put events there.
    fn bus_takes(&self, account: &AccountId, bus: &str, by: &Subscriber, queued: &Queued) -> Result<(), String> {
        let shelf = EventShelf::new(self.store(), account);
        let is_default = bus == crate::events::DEFAULT_BUS;
        let found = shelf.get::<Bus>(&[bus]).map_err(|error| crate::telemetry::with_causes(&error))?;
        if found.is_none() && !is_default {
            return Err("there is no such bus".to_owned());
        }
        if account.as_str() == queued.account {
            return Ok(());
        }
        let (source, detail_type) = (text(&queued.event, "source"), text(&queued.event, "detail-type"));
        self.may_put_events(by, account, bus, (&source, &detail_type))
    }
}

/// Routes what waits, for as long as it is polled.
pub async fn route_regularly(host: Lockgate) {
    let mut queued = host.store().queued();
    loop {
        queued.borrow_and_update();
        let routing = host.clone();
        match tokio::task::spawn_blocking(move || routing.route_some()).await {
            Ok(Ok(0)) => {
                let _ = tokio::time::timeout(LONG, queued.changed()).await;
            }
            Ok(Ok(_)) => {}
            Ok(Err(error)) => {
                super::delivering::failed(&error, "events cannot be routed");
                tokio::time::sleep(AFTER_FAILURE).await;
            }
            Err(_) => return,
        }
    }
}
