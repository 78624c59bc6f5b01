//! Policies tried on the past: recorded decisions decided again under other policies, and which of them would flip. And the gate before
//! a change of policies that lets none through whose flips nobody has approved.
//!
//! Reads the record, and changes nothing. A flip is a request that was answered one way, and that the new policies would answer the
//! other way while the active ones still answer as then: what changed since for another reason is no doing of the new policies.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::lockgate::Lockgate;
use crate::policy::{CompiledPolicies, DecisionRecord, EntityCache, RecordError};
use crate::store::Store;
use crate::store::catalog::{CatalogError, StoredDecision};

/// Most decisions that are read at once.
const PAGE: usize = 5_000;

/// Most flips, and most undecidable ones, that are told one by one.
pub const MAX_TOLD: usize = 1_000;

/// A request that would be answered otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flip {
    /// The recorded decision; the last one of several like it.
    pub decision: Uuid,
    /// When it was asked last, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// Who asked.
    pub principal: String,
    /// What for.
    pub action: String,
    /// Of what.
    pub resource: String,
    /// Whether it would be allowed; it was the other way.
    pub would_be_allowed: bool,
    /// Why, with the policy's id.
    pub why: String,
    /// How many requests.
    pub count: u64,
}

/// What came of a replay.
#[derive(Debug, Default)]
pub struct Replayed {
    /// How many recorded decisions were decided again.
    pub n_decided: u64,
    /// How many requests they stand for.
    pub n_requests: u64,
    /// How many the active policies answer otherwise than they were answered, too.
    pub n_changed_already: u64,
    /// What would flip: by who, what, and which way; the latest first.
    pub flips: Vec<Flip>,
    /// What the record cannot answer: decision and why, at most [`MAX_TOLD`].
    pub undecidable: Vec<(Uuid, String)>,
    /// How many that are.
    pub n_undecidable: u64,
}

/// Why decisions could not be replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The record cannot be read.
    #[error("the recorded decisions cannot be read")]
    Catalog(#[from] CatalogError),
}

impl Replayed {
    /// What an approval of exactly these flips is called: of the same flips always the same, 16 hexadecimal digits.
    pub fn approval(&self) -> String {
        let mut hash = Sha256::new();
        let mut lines: Vec<String> = self
            .flips
            .iter()
            .map(|flip| format!("{}\0{}\0{}\0{}\n", flip.principal, flip.action, flip.resource, flip.would_be_allowed))
            .collect();
        lines.sort();
        lines.iter().for_each(|line| hash.update(line));
        hash.finalize()[..8].iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// One decision, decided again.
enum Again {
    Same,
    ChangedAlready,
    Flip(Flip),
    Undecidable(Uuid, String),
}

fn again(
    stored: &StoredDecision,
    active: &CompiledPolicies,
    new: &CompiledPolicies,
    cache: &mut EntityCache,
) -> (u64, Again) {
    let id = Uuid::from_bytes(stored.id);
    let record = match DecisionRecord::decode(&stored.body, None) {
        Ok(record) => record,
        Err(error) => return (1, Again::Undecidable(id, error.to_string())),
    };
    let decide = |policies: &CompiledPolicies, cache: &mut EntityCache| {
        record.decide_again_with(policies, stored.facts.as_deref(), cache)
    };
    let decided = match decide(new, cache) {
        Ok(decided) => decided,
        Err(RecordError::Undecidable { why, .. }) => return (record.count, Again::Undecidable(id, why)),
        Err(error) => return (record.count, Again::Undecidable(id, error.to_string())),
    };
    if decided.allowed == record.allowed {
        return (record.count, Again::Same);
    }
    match decide(active, cache) {
        Ok(now) if now.allowed == decided.allowed => (record.count, Again::ChangedAlready),
        Ok(_) => {
            let flip = Flip {
                decision: id,
                at_ms: record.last_ms.unwrap_or(record.time_ms),
                principal: record.principal.clone(),
                action: record.action.clone(),
                resource: record.resource.clone(),
                would_be_allowed: decided.allowed,
                why: decided.reason,
                count: record.count,
            };
            (record.count, Again::Flip(flip))
        }
        Err(error) => (record.count, Again::Undecidable(id, error.to_string())),
    }
}

/// Decides again what was decided from `since_ms` on. Blocks.
pub fn replay(
    store: &Store,
    active: &CompiledPolicies,
    new: &CompiledPolicies,
    since_ms: i64,
) -> Result<Replayed, ReplayError> {
    let mut out = Replayed::default();
    let mut flips: BTreeMap<(String, String, String, bool), Flip> = BTreeMap::new();
    let mut after = None;
    let n_threads = std::thread::available_parallelism().map_or(1, usize::from).min(8);
    let mut caches: Vec<EntityCache> = (0..n_threads).map(|_| EntityCache::default()).collect();
    loop {
        let page = store.wait(store.catalog().decisions_since(since_ms, after, PAGE))?;
        let Some((last, _)) = page.last() else { break };
        after = Some(*last);
        let share = page.len().div_ceil(n_threads);
        let decided: Vec<(u64, Again)> = std::thread::scope(|scope| {
            let work: Vec<_> = page
                .chunks(share)
                .zip(&mut caches)
                .map(|(some, cache)| {
                    scope.spawn(move || {
                        some.iter().map(|(_, stored)| again(stored, active, new, cache)).collect::<Vec<_>>()
                    })
                })
                .collect();
            work.into_iter().flat_map(|work| work.join().unwrap_or_default()).collect()
        });
        // A decision that made a thread panic is one that cannot be answered, and so are its neighbours.
        out.n_undecidable += (page.len() - decided.len()) as u64;
        for (count, again) in decided {
            out.n_decided += 1;
            out.n_requests += count;
            match again {
                Again::Same => {}
                Again::ChangedAlready => out.n_changed_already += 1,
                Again::Undecidable(id, why) => {
                    out.n_undecidable += 1;
                    if out.undecidable.len() < MAX_TOLD {
                        out.undecidable.push((id, why));
                    }
                }
                Again::Flip(flip) => {
                    let key =
                        (flip.principal.clone(), flip.action.clone(), flip.resource.clone(), flip.would_be_allowed);
                    match flips.get_mut(&key) {
                        Some(known) => {
                            let count = known.count + flip.count;
                            if flip.at_ms >= known.at_ms {
                                *known = flip;
                            }
                            known.count = count;
                        }
                        None => {
                            flips.insert(key, flip);
                        }
                    }
                }
            }
        }
    }
    out.flips = flips.into_values().collect();
    out.flips.sort_by_key(|flip| std::cmp::Reverse(flip.at_ms));
    Ok(out)
}

/// What the configuration asks before policies change.
#[derive(Debug, Clone, Copy)]
pub struct Gate<'a> {
    /// How far back decisions are tried, in milliseconds.
    pub back_ms: i64,
    /// The approval that was given.
    pub approval: Option<&'a str>,
}

impl Gate<'_> {
    /// Why the new policies are held up; nothing if they are not. Blocks.
    pub fn hold(
        &self,
        store: &Store,
        active: &CompiledPolicies,
        new: &CompiledPolicies,
    ) -> Result<Option<String>, ReplayError> {
        // Of the first policies there is no past.
        if active.generation() == 0 {
            return Ok(None);
        }
        // What is attached through IAM stays what it is, on both sides.
        let new = new.clone().with_attached(active.attached().clone());
        let replayed = replay(store, active, &new, store.clock().now_ms() - self.back_ms)?;
        let approval = replayed.approval();
        if replayed.flips.is_empty() || self.approval == Some(approval.as_str()) {
            return Ok(None);
        }
        let n = replayed.flips.len();
        Ok(Some(format!(
            "{n} kinds of requests of the past would be answered otherwise: look at them with `lockgate policy replay`, and apply with `--approve {approval}`"
        )))
    }
}

impl Lockgate {
    /// The gate of the configuration; none if it has none.
    pub fn policy_gate<'a>(&self, approval: Option<&'a str>) -> Option<Gate<'a>> {
        self.policy_gate_ms().map(|back_ms| Gate { back_ms, approval })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::time::Instant;

    use super::*;
    use crate::identity::{Principal, UserPrincipal};
    use crate::names::{PrincipalName, RefName};
    use crate::operations::authority::{decide, record_of, repository_facts};
    use crate::operations::tests::Inside;
    use crate::operations::{OpContext, Transport};
    use crate::policy::{Action, ChangeKind, ContextFacts, RefChangeFacts, RefFacts, ResourceFacts};

    // Each kind of request once, with how often it was asked; those that stay as they were, not at all.
    #[test]
    fn what_would_flip() {
        let n = if std::env::var_os("LOCKGATE_SOAK").is_some() { 100_000 } else { 600 };
        let inside = Inside::new();
        let _inside = inside.runtime.enter();
        let host = &inside.host;
        let directory = host.identity().directory();
        let record = inside.shop();
        let dan = directory.user(&record.account, &PrincipalName::parse("dan").unwrap()).unwrap();
        let principal = Principal::User(UserPrincipal::new(dan, None));
        let ctx = OpContext { principal, request_id: Uuid::now_v7(), source: None, transport: Transport::Ssh };
        let active = host.policies().with(&directory, host.identity().region());
        let now_ms = host.store().clock().now_ms();
        let mut records = Vec::new();
        for i in 0..n {
            let name = RefName::parse(format!("refs/heads/b{}", i % 100).as_bytes()).unwrap();
            let resource = ResourceFacts::Ref(RefFacts { repository: repository_facts(&record), name });
            let context = ContextFacts::RefChange(RefChangeFacts::of_kind(ChangeKind::FastForward));
            let at_ms = now_ms + i64::from(i);
            let decision = decide(&active, &directory, &ctx, &Action::git_push(), &resource, &context, at_ms);
            records.push(record_of(&decision));
            if records.len() == 1000 || i + 1 == n {
                let written = host.store().catalog().record_decisions(&records, now_ms);
                host.store().wait(written).unwrap();
                records.clear();
            }
        }
        let since_ms = now_ms;
        let same = replay(host.store(), &active, &active, since_ms).unwrap();
        assert_eq!((same.n_decided, same.flips.len(), same.n_undecidable), (n as u64, 0, 0));
        Inside::apply(
            host,
            r#"@id("not-b7") forbid (principal, action in [Action::"codecommit:ChangeRef"], resource)
            when { resource.name == "refs/heads/b7" };"#,
        );
        let new = host.policies().with(&directory, host.identity().region());
        let began = Instant::now();
        let replayed = replay(host.store(), &active, &new, since_ms).unwrap();
        let took = began.elapsed();
        assert_eq!((replayed.flips.len(), replayed.n_undecidable, replayed.n_changed_already), (1, 0, 0));
        let flip = &replayed.flips[0];
        assert_eq!((flip.count, flip.would_be_allowed), (n as u64 / 100, false));
        assert!(flip.resource.ends_with("refs/heads/b7\"") && flip.why.contains("not-b7"), "{flip:?}");
        // Under policies that answer so already there is nothing to flip.
        let again = replay(host.store(), &new, &new, since_ms).unwrap();
        assert_eq!((again.flips.len(), again.n_changed_already), (0, n as u64 / 100));
        assert_ne!(replayed.approval(), again.approval());
        if n > 600 {
            std::io::stderr().write_fmt(format_args!("{n} decisions decided again in {took:?}\n")).unwrap();
        }
    }
}
