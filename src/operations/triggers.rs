//! Triggers of repositories: what is to be told is written in the transaction that changes the refs, as a delivery, and told as all
//! deliveries are (`events::delivering`): at least once, never lost by a crash.

use uuid::Uuid;

use super::events::targets::Message;
use super::lockgate::Lockgate;
use super::reviews::{ReviewFailure, person_of};
use super::{OpContext, repositories::RepositoryFailure};
use crate::config::Webhook;
use crate::events::delivery::Delivery;
use crate::identity::RepositoryRecord;
use crate::names::{AccountId, ObjectId};
use crate::repository::log::RefChange;
use crate::review::shelf::{Kept, Reviews, ShelfError};
use crate::review::text_of;
use crate::review::triggers::{Reference, Trigger, TriggerEvent, Triggers, payload};
use crate::store::documents::Write;

/// After so long something that nobody takes is given up.
const GIVE_UP_MS: i64 = 24 * 60 * 60 * 1000;

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
                let message = Message::plain(id, "ReferenceChange", &trigger.destination, body);
                (trigger.name.clone(), self.send(&record.account, &message).await)
            }
        });
        Ok(self.store().wait(futures::future::join_all(tell)))
    }

    /// What a trigger's destination stands for; none if it is nothing that can be told.
    pub fn webhook_of(&self, destination: &str, account: &AccountId) -> Option<Webhook> {
        if destination.starts_with("https://") || destination.starts_with("http://") {
            return Some(Webhook {
                name: String::new(),
                url: destination.to_owned(),
                secret: None,
                previous_secret: None,
            });
        }
        let prefix = format!("arn:aws:lockgate:{}:{account}:webhook/", self.identity().region());
        let name = destination.strip_prefix(&prefix)?;
        self.webhooks().iter().find(|webhook| webhook.name == name).cloned()
    }
}

/// What is to be told of changes of refs.
pub(super) fn due(
    host: &Lockgate,
    actor: &str,
    record: &RepositoryRecord,
    reviews: &Reviews<'_>,
    changes: &[&RefChange],
    now_ms: i64,
) -> Result<Vec<Write>, ShelfError> {
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
    let mut writes = Vec::new();
    for trigger in &triggers.triggers {
        let taken: Vec<&Reference> = references.iter().filter(|reference| trigger.takes(reference)).collect();
        if taken.is_empty() {
            continue;
        }
        let id = Uuid::now_v7();
        let arn = record.arn(region);
        let body = payload(trigger, &triggers, &taken, &arn, region, actor, id, now_ms);
        let lane = host.store().blind("lane", &[b"trigger", record.id.as_bytes(), trigger.name.as_bytes()]);
        let delivery = Delivery {
            event: id.to_string(),
            kind: "ReferenceChange".to_owned(),
            because: format!("{arn}#trigger/{}", trigger.name),
            target: trigger.name.clone(),
            destination: trigger.destination.clone(),
            body: body.to_string(),
            http: None,
            group: record.id.to_string(),
            repository: Some(record.id),
            subscriber: None,
            max_attempts: u32::MAX,
            max_age_ms: GIVE_UP_MS,
            dead_letter: None,
            since_ms: now_ms,
            attributes: Default::default(),
            n_tries: 0,
            attempts: Vec::new(),
        };
        writes.push(host.put_delivery(&record.account, lane, id, &delivery));
    }
    Ok(writes)
}
