//! Telling others that refs changed. What is to be told is written in the transaction that changes the refs, and is told afterwards,
//! again and again until it is taken or a day has passed: at least once, never lost by a crash.
//!
//! Where to is somebody's word: every connection is made through `outbound`, which refuses addresses inside.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use uuid::Uuid;

use super::lockgate::Lockgate;
use super::reviews::{ReviewFailure, person_of};
use super::{OpContext, repositories::RepositoryFailure};
use crate::config::Webhook;
use crate::identity::RepositoryRecord;
use crate::names::{AccountId, ObjectId};
use crate::outbound::OutboundError;
use crate::repository::log::RefChange;
use crate::review::shelf::{AccountReviews, Kept, Reviews, ShelfError};
use crate::review::text_of;
use crate::review::triggers::{Due, Reference, Trigger, TriggerEvent, Triggers, payload};
use crate::store::documents::DocumentWrite;

/// After so long something that nobody takes is given up.
const GIVE_UP_MS: i64 = 24 * 60 * 60 * 1000;
/// How long is waited after the first failure; twice as long after each more.
const FIRST_WAIT_MS: i64 = 1000;
/// How long is waited at most.
const LONGEST_WAIT_MS: i64 = 60 * 60 * 1000;
/// Most that is told at the same time.
const AT_ONCE: usize = 32;
/// Most bytes of an answer that are read.
const MAX_ANSWER_BYTES: usize = 64 << 10;

/// What came of trying a trigger.
pub type Tried = (String, Result<(), String>);

impl Lockgate {
    /// The triggers of a repository; none of them before they are put. Blocks.
    pub fn triggers(&self, record: &RepositoryRecord) -> Result<Option<Triggers>, ReviewFailure> {
        let repository = self.repository(record)?;
        Ok(Reviews::new(self.store(), repository.keys()).triggers()?.map(|kept| kept.value))
    }

    /// Puts triggers in place of those that there are, and gives the new configuration's id. Blocks.
    pub fn put_triggers(&self, record: &RepositoryRecord, triggers: Vec<Trigger>) -> Result<Uuid, ReviewFailure> {
        let repository = self.repository(record)?;
        let reviews = Reviews::new(self.store(), repository.keys());
        let new = Triggers { id: Uuid::now_v7(), triggers };
        for _ in 0..32 {
            let version = reviews.triggers()?.map_or(0, |kept| kept.version);
            let write = reviews.put_triggers(&Kept { value: new.clone(), version })?;
            if self.store().write_documents(&[write])? {
                return Ok(new.id);
            }
        }
        Err(ReviewFailure::Busy)
    }

    /// Tells each of these triggers of a change of the default branch that did not happen, and says what came of it. Blocks.
    pub fn test_triggers(
        &self,
        ctx: &OpContext,
        record: &RepositoryRecord,
        triggers: Vec<Trigger>,
    ) -> Result<Vec<Tried>, RepositoryFailure> {
        let snapshot = self.repository(record)?.snapshot();
        let commit = snapshot.refs.head_id().map_or_else(|| "0".repeat(40), |id: ObjectId| id.to_string());
        let now_ms = self.store().clock().now_ms();
        let all = Triggers { id: Uuid::now_v7(), triggers };
        let actor = person_of(&ctx.principal).arn;
        let region = self.identity().region();
        let event = TriggerEvent::UpdateReference;
        let reference = Reference { name: text_of(&snapshot.refs.head), commit, event };
        let arn = record.arn(region);
        let tell = all.triggers.iter().map(|trigger| {
            let id = Uuid::now_v7();
            let body = payload(trigger, &all, &[&reference], &arn, region, &actor, id, now_ms).to_string();
            async move {
                let told = self.tell(&trigger.destination, &record.account, id, body).await;
                (trigger.name.clone(), told.map_err(|error| crate::telemetry::with_causes(&error)))
            }
        });
        Ok(self.store().wait(futures::future::join_all(tell)))
    }

    /// What a trigger's destination stands for; none if it is nothing that can be told.
    pub fn webhook_of(&self, destination: &str, account: &AccountId) -> Option<Webhook> {
        if destination.starts_with("https://") || destination.starts_with("http://") {
            return Some(Webhook { name: String::new(), url: destination.to_owned(), secret: None });
        }
        let prefix = format!("arn:aws:lockgate:{}:{account}:webhook/", self.identity().region());
        let name = destination.strip_prefix(&prefix)?;
        self.webhooks().iter().find(|webhook| webhook.name == name).cloned()
    }

    async fn tell(&self, destination: &str, account: &AccountId, id: Uuid, body: String) -> Result<(), OutboundError> {
        let Some(webhook) = self.webhook_of(destination, account) else {
            return Err(OutboundError::NotAllowed {
                url: crate::names::escape_for_people(destination.as_bytes(), 200),
                why: "no webhook of the configuration is called that",
            });
        };
        let (id, timestamp) = (id.to_string(), self.store().clock().now_seconds().to_string());
        let mut headers = vec![
            ("content-type", "application/json".to_owned()),
            ("x-lockgate-event", "ReferenceChange".to_owned()),
            ("webhook-id", id.clone()),
            ("webhook-timestamp", timestamp.clone()),
        ];
        if let Some(secret) = &webhook.secret {
            headers.push(("webhook-signature", signature(secret, &[&id, &timestamp, &body])));
        }
        self.outbound().post(&webhook.url, &headers, body.into_bytes(), MAX_ANSWER_BYTES).await
    }

    /// Tells what is due; gives how long nothing is, in milliseconds, as far as is known.
    async fn tell_what_is_due(&self) -> Option<i64> {
        let mut next: Option<i64> = None;
        let accounts: Vec<AccountId> =
            self.identity().directory().accounts().map(|account| account.id.clone()).collect();
        for account in accounts {
            let host = self.clone();
            let of_account = account.clone();
            let read = tokio::task::spawn_blocking(move || AccountReviews::new(host.store(), &of_account).due());
            // What lies wrong in one account keeps the others from nothing.
            let due = match read.await {
                Ok(Ok(due)) => due,
                Ok(Err(error)) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(error, account = %account, "what triggers wait to tell cannot be read");
                    continue;
                }
                Err(_) => continue,
            };
            let now_ms = self.store().clock().now_ms();
            let (now, later): (Vec<_>, Vec<_>) = due.into_iter().partition(|(_, kept)| kept.value.next_ms <= now_ms);
            for (_, kept) in &later {
                next = Some(next.map_or(kept.value.next_ms, |next| next.min(kept.value.next_ms)));
            }
            for some in now.chunks(AT_ONCE) {
                let tell = some.iter().map(|(id, kept)| {
                    let body = kept.value.payload.clone();
                    self.tell(&kept.value.destination, &account, *id, body)
                });
                let told = futures::future::join_all(tell).await;
                for ((id, kept), told) in some.iter().zip(told) {
                    match self.after(&account, *id, kept.clone(), told).await {
                        Ok(again) => next = [next, again].into_iter().flatten().min(),
                        Err(error) => {
                            let error = &error as &dyn std::error::Error;
                            tracing::error!(error, account = %account, "what came of telling a trigger cannot be noted");
                        }
                    }
                }
            }
        }
        next.map(|next| (next - self.store().clock().now_ms()).max(0))
    }

    /// Notes what came of telling; gives when it is tried again.
    async fn after(
        &self,
        account: &AccountId,
        id: Uuid,
        mut kept: Kept<Due>,
        told: Result<(), OutboundError>,
    ) -> Result<Option<i64>, ShelfError> {
        let now_ms = self.store().clock().now_ms();
        let due = &mut kept.value;
        let mut again = None;
        if let Err(error) = told {
            let error = &error as &dyn std::error::Error;
            if now_ms - due.since_ms >= GIVE_UP_MS {
                tracing::error!(error, trigger = due.trigger, n_tries = due.n_tries, "gave up telling a trigger");
            } else {
                tracing::warn!(error, trigger = due.trigger, n_tries = due.n_tries, "a trigger could not be told");
                let wait = FIRST_WAIT_MS.saturating_mul(1 << due.n_tries.min(20)).min(LONGEST_WAIT_MS);
                due.n_tries += 1;
                due.next_ms = now_ms + wait;
                again = Some(due.next_ms);
            }
        }
        let (host, account) = (self.clone(), account.clone());
        let written = tokio::task::spawn_blocking(move || {
            let reviews = AccountReviews::new(host.store(), &account);
            let write = match again {
                Some(_) => reviews.put_due(id, &kept)?,
                None => reviews.delete_due(id, &kept),
            };
            // Another node may have told it, too: once at least.
            Ok(host.store().write_documents(&[write]).map(|_| ())?)
        });
        match written.await {
            Ok(written) => written.map(|()| again),
            Err(_) => Ok(again),
        }
    }
}

/// The signature of a delivery's id, time and body by the Standard Webhooks specification, 1.0.0: HMAC-SHA256 over all of them joined by
/// dots, in base64. A secret `whsec_...` is base64; any other is taken as it is.
fn signature(secret: &str, signed: &[&str; 3]) -> String {
    let decoded = secret.strip_prefix("whsec_").and_then(|rest| BASE64.decode(rest).ok());
    let key = decoded.as_deref().unwrap_or(secret.as_bytes());
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(signed.join(".").as_bytes());
    format!("v1,{}", BASE64.encode(mac.finalize().into_bytes()))
}

/// How long is waited if nothing is known to be due.
const LONG: Duration = Duration::from_secs(60);

/// Tells what is due, for as long as it is polled.
pub(super) async fn tell_regularly(host: Lockgate) {
    loop {
        let wait = match host.tell_what_is_due().await {
            Some(wait_ms) => Duration::from_millis(wait_ms.unsigned_abs()).clamp(Duration::from_millis(100), LONG),
            None => LONG,
        };
        // Woken by whoever changes refs, or by time.
        let _ = tokio::time::timeout(wait, host.something_due().notified()).await;
    }
}

/// What is to be told of changes of refs.
pub(super) fn due(
    host: &Lockgate,
    ctx: &OpContext,
    record: &RepositoryRecord,
    reviews: &Reviews<'_>,
    changes: &[&RefChange],
    now_ms: i64,
) -> Result<Vec<DocumentWrite>, ShelfError> {
    let Some(Kept { value: triggers, .. }) = reviews.triggers()? else { return Ok(Vec::new()) };
    if triggers.triggers.is_empty() {
        return Ok(Vec::new());
    }
    let reference = |change: &&RefChange| {
        let (event, commit) = match (change.old, change.new) {
            (None, new) => (TriggerEvent::CreateReference, new),
            (old, None) => (TriggerEvent::DeleteReference, old),
            (_, new) => (TriggerEvent::UpdateReference, new),
        };
        Reference { name: text_of(&change.name), commit: commit.map(|id| id.to_string()).unwrap_or_default(), event }
    };
    let references: Vec<Reference> = changes.iter().map(reference).collect();
    let region = host.identity().region();
    let actor = person_of(&ctx.principal).arn;
    let account = AccountReviews::new(host.store(), &record.account);
    let mut writes = Vec::new();
    for trigger in &triggers.triggers {
        let taken: Vec<&Reference> = references.iter().filter(|reference| trigger.takes(reference)).collect();
        if taken.is_empty() {
            continue;
        }
        let id = Uuid::now_v7();
        let arn = record.arn(region);
        let body = payload(trigger, &triggers, &taken, &arn, region, &actor, id, now_ms);
        let due = Due {
            trigger: trigger.name.clone(),
            repository: record.id,
            destination: trigger.destination.clone(),
            payload: body.to_string(),
            since_ms: now_ms,
            n_tries: 0,
            next_ms: now_ms,
        };
        writes.push(account.put_due(id, &Kept::new(due))?);
    }
    Ok(writes)
}

#[cfg(test)]
mod tests {
    use super::*;

    // The example of the Standard Webhooks specification's libraries.
    #[test]
    fn deliveries_are_signed() {
        let signed = ["msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", r#"{"test": 2432232314}"#];
        let expected = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!(signature("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", &signed), expected);
        assert_ne!(signature("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", &signed), expected);
    }
}
