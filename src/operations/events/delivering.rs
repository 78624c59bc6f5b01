//! Telling targets what waits for them: lane by lane, in each lane one after another, again and again until it is taken or given up.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use tokio::task::JoinSet;
use uuid::Uuid;

use super::targets::Message;
use crate::events::bus::Subscriber;
use crate::events::delivery::{Attempt, Delivery};
use crate::names::{AccountId, escape_for_people};
use crate::operations::lockgate::Lockgate;
use crate::store::StoreError;
use crate::store::documents::Write;
use crate::store::queue::{DeliveryState, LaneId, StoredDelivery};

/// How long is waited after the first failure; twice as long after each more.
const FIRST_WAIT_MS: i64 = 1000;
/// How long is waited at most.
const LONGEST_WAIT_MS: i64 = 10 * 60 * 1000;
/// Most lanes that are told at the same time.
const AT_ONCE: usize = 32;
/// Most deliveries of a lane that are made before that is written down.
const OF_LANE: usize = 32;
/// How long is waited if nothing is known to be due.
const LONG_MS: i64 = 60_000;
/// How long is waited when the store failed.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// Tells what is due, for as long as it is polled.
pub async fn deliver_regularly(host: Lockgate) {
    let mut queued = host.store().queued();
    let mut running: HashSet<LaneId> = HashSet::new();
    let mut tasks: JoinSet<()> = JoinSet::new();
    let mut lane_of: HashMap<tokio::task::Id, LaneId> = HashMap::new();
    loop {
        queued.borrow_and_update();
        let now_ms = host.store().clock().now_ms();
        let reading = host.clone();
        let limit = AT_ONCE + running.len();
        let read = tokio::task::spawn_blocking(move || reading.store().due_lanes(now_ms, limit)).await;
        let (due, next) = match read {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => {
                failed(&error, "what is to be delivered cannot be read");
                tokio::time::sleep(AFTER_FAILURE).await;
                continue;
            }
            Err(_) => return,
        };
        for lane in due {
            if tasks.len() < AT_ONCE && running.insert(lane) {
                let host = host.clone();
                let task = tasks.spawn(async move { deliver_lane(&host, lane).await });
                lane_of.insert(task.id(), lane);
            }
        }
        let wait_ms = next.map_or(LONG_MS, |next| next - now_ms).clamp(1, LONG_MS);
        tokio::select! {
            Some(done) = tasks.join_next_with_id(), if !tasks.is_empty() => {
                // A task that panicked lets go of its lane as well: what it has not noted is told again.
                let id = done.map_or_else(|failed| failed.id(), |(id, ())| id);
                if let Some(lane) = lane_of.remove(&id) {
                    running.remove(&lane);
                }
            }
            _ = queued.changed() => {}
            () = tokio::time::sleep(Duration::from_millis(wait_ms.unsigned_abs())) => {}
        }
    }
}

async fn deliver_lane(host: &Lockgate, lane: LaneId) {
    let reading = host.clone();
    let read = tokio::task::spawn_blocking(move || {
        let head = reading.store().head_of_lane(&lane, OF_LANE)?;
        // Asked at the time of telling, once for each of few: who may not know of the repository any more does not hear of it.
        let directory = reading.identity().directory();
        let mut asked: HashMap<(Subscriber, Uuid), bool> = HashMap::new();
        let mut all = Vec::with_capacity(head.len());
        for stored in head {
            let delivery: Option<Delivery> = serde_json::from_slice(&stored.body).ok();
            let may_hear =
                delivery.as_ref().is_some_and(|delivery| match (&delivery.subscriber, delivery.repository) {
                    (Some(subscriber), Some(repository)) => *asked
                        .entry((subscriber.clone(), repository))
                        .or_insert_with(|| reading.may_hear(&directory, subscriber, repository)),
                    _ => true,
                });
            all.push((stored, delivery, may_hear));
        }
        Ok::<_, StoreError>(all)
    });
    let head = match read.await {
        Ok(Ok(head)) => head,
        Ok(Err(error)) => {
            failed(&error, "a lane of deliveries cannot be read");
            tokio::time::sleep(AFTER_FAILURE).await;
            return;
        }
        Err(_) => return,
    };
    let mut settled: Vec<StoredDelivery> = Vec::new();
    let mut writes: Vec<Write> = Vec::new();
    let mut next_ms = host.store().clock().now_ms();
    for (mut stored, delivery, may_hear) in head {
        let Some(mut delivery) = delivery else {
            tracing::error!(delivery = %stored.id, "a delivery cannot be read, and is given up");
            stored.state = DeliveryState::GivenUp;
            settled.push(stored);
            continue;
        };
        let account = account_of(host, &delivery);
        let began_ms = host.store().clock().now_ms();
        let told = match (may_hear, &account) {
            (true, Some(account)) => host.send(account, &Message::of(stored.id, &delivery)).await,
            (true, None) => Err(GONE.to_owned()),
            (false, _) => Err(MAY_NOT.to_owned()),
        };
        host.store().faults().reach("deliver:after-telling");
        let now_ms = host.store().clock().now_ms();
        let error = told.err();
        delivery.add_attempt(Attempt { at_ms: began_ms, took_ms: now_ms - began_ms, error: error.clone() });
        let Some(error) = error else {
            stored.state = DeliveryState::Made;
            settled.push(remembered(stored, &delivery));
            continue;
        };
        let is_over = !may_hear
            || account.is_none()
            || delivery.n_tries > delivery.max_attempts
            || now_ms - delivery.since_ms >= delivery.max_age_ms;
        let shown = escape_for_people(delivery.because.as_bytes(), 200);
        if !is_over {
            tracing::warn!(error, because = shown, n_tries = delivery.n_tries, "a target could not be told");
            let wait = FIRST_WAIT_MS.saturating_mul(1 << (delivery.n_tries - 1).min(20)).min(LONGEST_WAIT_MS);
            next_ms = now_ms + wait;
            settled.push(remembered(stored, &delivery));
            break;
        }
        tracing::error!(error, because = shown, n_tries = delivery.n_tries, "gave up telling a target");
        // What the subscriber may not hear is told to no dead letter queue of his either.
        if may_hear && let (Some(account), Some(to)) = (&account, delivery.dead_letter.take()) {
            writes.push(dead_letter(host, account, &delivery, to, &error, now_ms));
        }
        stored.state = DeliveryState::GivenUp;
        settled.push(remembered(stored, &delivery));
    }
    let writing = host.clone();
    let written = tokio::task::spawn_blocking(move || writing.store().settle_lane(&lane, &settled, next_ms, &writes));
    match written.await {
        Ok(Ok(_)) | Err(_) => {}
        Ok(Err(error)) => {
            failed(&error, "what came of deliveries cannot be noted; they are made again");
            tokio::time::sleep(AFTER_FAILURE).await;
        }
    }
}

pub(super) fn failed(error: &(dyn std::error::Error + 'static), what: &'static str) {
    tracing::error!(error, "{what}");
}

const GONE: &str = "the account is gone";
const MAY_NOT: &str = "who set it up is gone, or may not know of the repository any more";

fn remembered(stored: StoredDelivery, delivery: &Delivery) -> StoredDelivery {
    StoredDelivery { body: serde_json::to_vec(delivery).expect("JSON of strings and numbers"), ..stored }
}

/// The account that a delivery is of: of its rule, or of its repository for a trigger.
fn account_of(host: &Lockgate, delivery: &Delivery) -> Option<AccountId> {
    let account = delivery.because.split(':').nth(4)?;
    let account = AccountId::parse(account).ok()?;
    host.identity().directory().accounts().any(|known| known.id == account).then_some(account)
}

/// What could not be delivered, for where it goes then. EventBridge user guide, "Using dead-letter queues".
fn dead_letter(
    host: &Lockgate,
    account: &AccountId,
    delivery: &Delivery,
    to: String,
    error: &str,
    now_ms: i64,
) -> Write {
    let attributes = BTreeMap::from([
        ("RULE_ARN".to_owned(), delivery.because.clone()),
        ("TARGET_ARN".to_owned(), delivery.destination.clone()),
        ("ERROR_CODE".to_owned(), "NO_DELIVERY".to_owned()),
        ("ERROR_MESSAGE".to_owned(), escape_for_people(error.as_bytes(), 500)),
        ("RETRY_ATTEMPTS".to_owned(), delivery.n_tries.saturating_sub(1).to_string()),
    ]);
    let lane = host.store().blind("lane", &[b"dead letter", account.as_str().as_bytes(), to.as_bytes()]);
    let delivery = Delivery {
        destination: to,
        http: None,
        dead_letter: None,
        max_attempts: crate::events::bus::MAX_ATTEMPTS,
        max_age_ms: i64::from(crate::events::bus::MAX_AGE_SECONDS) * 1000,
        since_ms: now_ms,
        attributes,
        n_tries: 0,
        attempts: Vec::new(),
        ..delivery.clone()
    };
    host.put_delivery(account, lane, Uuid::now_v7(), &delivery)
}
