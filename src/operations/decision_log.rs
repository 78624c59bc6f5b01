//! Decisions about reading: kept without a disk flush on the way of the one who reads.
//!
//! Like decisions become one record with a count: the same answer to the same principal about the same thing, under the same
//! policies and directory, by the same door from the same address. They are gathered in memory and written together, every few
//! seconds and when the server stops; what a crash can lose is the last seconds of reads, never a refused or accepted change.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::authority::record_counted;
use crate::policy::Decision;
use crate::store::Store;
use crate::store::catalog::CatalogError;

/// How often what was gathered is written.
const EVERY: Duration = Duration::from_secs(5);

/// Most unlike decisions that are held: whoever brings one more waits for the disk.
const MAX_HELD: usize = 4096;

/// What makes two decisions alike.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Likeness {
    principal: String,
    action: String,
    resource: String,
    is_allowed: bool,
    generation: i64,
    directory: i64,
    source: Option<IpAddr>,
    door: &'static str,
}

struct Gathered {
    decision: Decision,
    count: u64,
    last_ms: i64,
}

/// The gathered decisions of one process.
#[derive(Clone)]
pub struct DecisionLog {
    store: Store,
    held: Arc<Mutex<HashMap<Likeness, Gathered>>>,
}

impl DecisionLog {
    /// An empty one.
    pub fn new(store: Store) -> DecisionLog {
        DecisionLog { store, held: Arc::default() }
    }

    /// Writes every few seconds, for as long as it is polled.
    pub async fn write_regularly(self) {
        loop {
            tokio::time::sleep(EVERY).await;
            if let Err(error) = self.write().await {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "decisions about reads could not be recorded"
                );
            }
        }
    }

    /// Takes a decision in. Blocks only where too many are held.
    pub fn note(&self, decision: Decision, directory: i64, source: Option<IpAddr>, door: &'static str, now_ms: i64) {
        let (principal, action, resource) = decision.asked();
        let likeness = Likeness {
            principal,
            action,
            resource,
            is_allowed: decision.allowed,
            generation: decision.generation,
            directory,
            source,
            door,
        };
        let is_full = {
            let mut held = self.held.lock();
            let gathered = held.entry(likeness).or_insert(Gathered { decision, count: 0, last_ms: now_ms });
            gathered.count += 1;
            gathered.last_ms = gathered.last_ms.max(now_ms);
            held.len() >= MAX_HELD
        };
        if is_full && let Err(error) = self.store.wait(self.write()) {
            tracing::error!(error = &error as &dyn std::error::Error, "decisions about reads could not be recorded");
        }
    }

    /// Writes what was gathered.
    pub async fn write(&self) -> Result<(), CatalogError> {
        let gathered = std::mem::take(&mut *self.held.lock());
        if gathered.is_empty() {
            return Ok(());
        }
        let records: Vec<_> = gathered
            .into_values()
            .map(|gathered| record_counted(&gathered.decision, gathered.count, gathered.last_ms))
            .collect();
        self.store.catalog().record_decisions(&records, self.store.clock().now_ms()).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::names::AccountId;
    use crate::policy::{
        Action, CompileOptions, CompiledPolicies, ContextFacts, DecisionRecord, DecisionRequest, EveryName,
        PolicyFiles, PrincipalFacts, RequestFacts, ResourceFacts, Tags, Transport, UserFacts,
    };

    fn decision(policies: &CompiledPolicies, user: &str, time_ms: i64) -> Decision {
        let account = AccountId::parse("111111111111").unwrap();
        let name = crate::names::PrincipalName::parse(user).unwrap();
        policies.decide(&DecisionRequest {
            id: uuid::Uuid::now_v7(),
            principal: &PrincipalFacts::User(UserFacts {
                account: account.clone(),
                name,
                groups: Vec::new(),
                mfa_enrolled: false,
                tags: Tags::new(),
            }),
            action: &Action::list_repositories(),
            resource: &ResourceFacts::Account(account),
            request: &RequestFacts { time_ms, source_ip: None, transport: Transport::Ssh, mfa: false },
            context: &ContextFacts::Plain,
            extra_context: None,
            session_policy: None,
        })
    }

    // Many reads, one record each likeness, and nothing on disk before it is written.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn like_decisions_are_one_record() {
        let policies =
            CompiledPolicies::compile(&PolicyFiles::new(), &EveryName, CompileOptions::default()).unwrap().policies;
        let store = Store::in_memory(Clock::manual(5_000)).await.unwrap();
        let log = DecisionLog::new(store.clone());
        let first = decision(&policies, "alice", 1);
        let id = first.id.into_bytes();
        log.note(first, 1, None, "ssh", 1);
        for time_ms in 2..=1000 {
            log.note(decision(&policies, "alice", time_ms), 1, None, "ssh", time_ms);
        }
        log.note(decision(&policies, "bob", 7), 1, None, "ssh", 7);
        log.note(decision(&policies, "alice", 8), 1, None, "https", 8);
        // The directory changed: alice may be in other groups.
        log.note(decision(&policies, "alice", 9), 2, None, "ssh", 9);
        assert_eq!(store.catalog().count_decisions().await.unwrap().0, 0);
        log.write().await.unwrap();
        let (n_decisions, n_facts, n_bytes) = store.catalog().count_decisions().await.unwrap();
        assert_eq!((n_decisions, n_facts), (4, 2));
        assert!(n_bytes / n_decisions < 1500, "{n_bytes}");
        let stored = store.catalog().decision(&id).await.unwrap().unwrap();
        let record = DecisionRecord::decode(&stored.body, stored.facts.as_deref()).unwrap();
        assert_eq!((record.count, record.time_ms, record.last_ms), (1000, 1, Some(1000)));
        // It can be decided again.
        assert!(!record.decide_again(&policies).unwrap().allowed);
        log.write().await.unwrap();
        assert_eq!(store.catalog().count_decisions().await.unwrap().0, 4);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_is_held_is_bounded() {
        let policies =
            CompiledPolicies::compile(&PolicyFiles::new(), &EveryName, CompileOptions::default()).unwrap().policies;
        let store = Store::in_memory(Clock::manual(5_000)).await.unwrap();
        let log = DecisionLog::new(store.clone());
        let noting = log.clone();
        tokio::task::spawn_blocking(move || {
            for i in 0..MAX_HELD + 10 {
                noting.note(decision(&policies, &format!("user-{i}"), 1), 1, None, "ssh", 1);
            }
        })
        .await
        .unwrap();
        assert!(log.held.lock().len() < 20);
        assert_eq!(store.catalog().count_decisions().await.unwrap().0, MAX_HELD as i64);
    }
}
