//! Events of this server: what makes them, where they go, and who hears of them.
//!
//! `emit` writes them with the changes that cause them. `routing` takes them out of the outbox and finds the rules that take them;
//! `delivering` tells the targets, which `targets` knows how to reach; `replays` and `schedules` tell what was, and what is due.
//! `settings` keeps buses, rules and the rest.
//!
//! INVARIANT: an event about a repository is told to nobody whose subscriber may not know of the repository at the time of telling
//! (attack checklist K2), and all connections are made through `outbound`, or to what the configuration names.

pub mod deliveries;
pub(super) mod delivering;
pub(super) mod emit;
mod nats;
pub(super) mod replays;
pub mod routing;
pub(super) mod schedules;
pub mod settings;
pub mod targets;
#[cfg(test)]
mod tests;

pub use routing::EventState;

use std::collections::BTreeMap;

use uuid::Uuid;

use super::authority::{decide, repository_facts};
use super::lockgate::Lockgate;
use super::{OpContext, Transport};
use crate::events::bus::Subscriber;
use crate::events::delivery::Delivery;
use crate::identity::{Directory, Principal, SessionPrincipal, UserPrincipal};
use crate::names::{AccountId, PrincipalName};
use crate::policy::{Action, ContextFacts, NamedFacts, NamedKind, ResourceFacts};
use crate::store::documents::Write;
use crate::store::queue::LaneId;

/// How a delivery names a session of a role.
const SESSION_NAME: &str = "lockgate-events";

/// Who is subscribed if this principal sets something up; none for what is no user and no role.
pub fn subscriber_of(principal: &Principal) -> Option<Subscriber> {
    match principal {
        Principal::User(user) => Some(Subscriber::User(user.id)),
        Principal::Session(session) => Some(Subscriber::Role {
            account: session.account.to_string(),
            id: session.role_id,
            name: session.role.to_string(),
        }),
        Principal::Service(_) => None,
    }
}

/// Begins routing, delivering, replaying and keeping schedules, which go on as long as the server does.
pub(super) fn start(host: &Lockgate) {
    tokio::spawn(routing::route_regularly(host.clone()));
    tokio::spawn(delivering::deliver_regularly(host.clone()));
    tokio::spawn(replays::replay_regularly(host.clone()));
    tokio::spawn(schedules::keep_regularly(host.clone()));
}

impl Lockgate {
    /// A write that puts a delivery at the end of its lane.
    pub(super) fn put_delivery(&self, account: &AccountId, lane: LaneId, id: Uuid, delivery: &Delivery) -> Write {
        let body = serde_json::to_vec(delivery).expect("JSON of strings and numbers");
        self.store().put_delivery(account, lane, id, self.store().clock().now_ms(), &body)
    }

    /// Whether somebody may hear now of what happens in a repository: whoever is gone, or may not know of it, may not.
    pub(super) fn may_hear(&self, directory: &Directory, subscriber: &Subscriber, repository: Uuid) -> bool {
        let Some(record) = directory.repository_by_id(repository) else { return false };
        let Some(ctx) = asking_for(directory, subscriber, self.store().clock().now_ms()) else { return false };
        self.may_know(&ctx, &ResourceFacts::Repository(repository_facts(record)))
    }

    /// Whether somebody may put events on a bus of another account; or why not.
    fn may_put_events(
        &self,
        subscriber: &Subscriber,
        account: &AccountId,
        bus: &str,
        (source, detail_type): (&str, &str),
    ) -> Result<(), String> {
        let directory = self.identity().directory();
        let now_ms = self.store().clock().now_ms();
        let ctx = asking_for(&directory, subscriber, now_ms).ok_or("who set the rule up is gone")?;
        let policies = self.policies().with(&directory, self.identity().region());
        let action = Action::put_events();
        let resource = bus_facts(account, bus, Default::default());
        let context = ContextFacts::PutEvent { source: source.to_owned(), detail_type: detail_type.to_owned() };
        match decide(&policies, &directory, &ctx, &action, &resource, &context, now_ms) {
            decision if decision.allowed => Ok(()),
            decision => Err(decision.refusal_line()),
        }
    }
}

/// A bus, as policies see it.
pub fn bus_facts(account: &AccountId, bus: &str, tags: BTreeMap<String, String>) -> ResourceFacts {
    let (account, name) = (account.clone(), vec![bus.to_owned()]);
    ResourceFacts::Named(NamedFacts { kind: NamedKind::EventBus, account, name, tags })
}

/// Somebody who set something up, as who is asked for now; none if he is gone.
fn asking_for(directory: &Directory, subscriber: &Subscriber, now_ms: i64) -> Option<OpContext> {
    let principal = match subscriber {
        Subscriber::User(id) => directory.user_by_id(*id).map(|user| Principal::User(UserPrincipal::new(user, None))),
        Subscriber::Role { account, id, name } => role_session(directory, account, *id, name, now_ms),
    };
    let principal = principal.filter(|principal| directory.is_active(principal, now_ms))?;
    Some(OpContext { principal, request_id: Uuid::now_v7(), source: None, transport: Transport::Api })
}

/// A session of a role for asking what the role may know, and nothing else: it is given to nobody.
fn role_session(directory: &Directory, account: &str, id: Uuid, name: &str, now_ms: i64) -> Option<Principal> {
    let (account, name) = (AccountId::parse(account).ok()?, PrincipalName::parse(name).ok()?);
    let role = directory.role(&account, &name).filter(|role| role.id == id)?;
    Some(Principal::Session(Box::new(SessionPrincipal {
        id: Uuid::now_v7(),
        account,
        role_id: role.id,
        role: name,
        session_name: PrincipalName::parse(SESSION_NAME).ok()?,
        source_identity: None,
        original_user: None,
        subject: None,
        chain: Vec::new(),
        on_behalf_of: None,
        tags: BTreeMap::new(),
        transitive_tags: Default::default(),
        policy: None,
        mfa: false,
        issued_ms: now_ms,
        expires_ms: now_ms + 60_000,
    })))
}
