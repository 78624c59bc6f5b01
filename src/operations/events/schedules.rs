//! Rules that the clock tells. When one is told next is a document that changes with the deliveries: of two servers one tells, and
//! what was due while none ran is told once.

use std::time::Duration;

use serde_json::json;
use uuid::Uuid;

use super::routing::rule_arn;
use crate::events::bus::{NextTime, Rule};
use crate::events::schedule::Schedule;
use crate::events::shelf::{EventShelf, Kept, ShelfError};
use crate::events::{Envelope, Queued};
use crate::names::AccountId;
use crate::operations::lockgate::Lockgate;

/// How long is waited at most: schedules have minutes.
const LONG_MS: i64 = 60_000;

/// Tells what is due by the clock, for as long as it is polled.
pub async fn keep_regularly(host: Lockgate) {
    loop {
        let working = host.clone();
        let next = tokio::task::spawn_blocking(move || working.tell_what_time_has_come()).await;
        let now_ms = host.store().clock().now_ms();
        let wait_ms = match next {
            Ok(Ok(next)) => next.map_or(LONG_MS, |next| next - now_ms).clamp(100, LONG_MS),
            Ok(Err(error)) => {
                super::delivering::failed(&error, "schedules cannot be kept");
                LONG_MS
            }
            Err(_) => return,
        };
        let wait = Duration::from_millis(wait_ms.unsigned_abs());
        let _ = tokio::time::timeout(wait, host.events().settings_changed.notified()).await;
    }
}

impl Lockgate {
    /// Tells the rules whose time has come; gives when the next one's does. Blocks.
    pub(super) fn tell_what_time_has_come(&self) -> Result<Option<i64>, ShelfError> {
        let mut next: Option<i64> = None;
        for account in self.accounts() {
            for rule in &self.rules_of(&account)?.scheduled {
                let at = self.keep_schedule(&account, rule)?;
                next = [next, at].into_iter().flatten().min();
            }
        }
        Ok(next)
    }

    fn keep_schedule(&self, account: &AccountId, rule: &Rule) -> Result<Option<i64>, ShelfError> {
        let text = rule.schedule.clone().unwrap_or_default();
        let Ok(schedule) = Schedule::parse(&text) else {
            tracing::error!(rule = rule.name, "the schedule of a rule cannot be read any more");
            return Ok(None);
        };
        let now_ms = self.store().clock().now_ms();
        let anchor_ms = rule.created_ms;
        let after = |ms: i64| schedule.next_after_ms(ms, anchor_ms);
        let shelf = EventShelf::new(self.store(), account);
        let of = (rule.id, text.clone());
        let kept = shelf.get::<NextTime>(&[&rule.bus, &rule.name])?;
        let Some(next_ms) = after(now_ms) else { return Ok(None) };
        let changed = |version: i64| Kept {
            value: NextTime { bus: rule.bus.clone(), name: rule.name.clone(), of: of.clone(), next_ms },
            version,
        };
        match kept {
            Some(kept) if kept.value.of == of && kept.value.next_ms > now_ms => Ok(Some(kept.value.next_ms)),
            Some(kept) if kept.value.of == of => {
                let (region, id) = (self.identity().region(), Uuid::new_v4());
                let envelope = Envelope {
                    id,
                    detail_type: "Scheduled Event".to_owned(),
                    source: "aws.events".to_owned(),
                    account: account.clone(),
                    time_ms: kept.value.next_ms,
                    region: region.to_owned(),
                    resources: vec![rule_arn(region, account, &rule.bus, &rule.name)],
                    detail: json!({}),
                };
                let queued = Queued {
                    account: account.to_string(),
                    bus: rule.bus.clone(),
                    repository: None,
                    stream: rule.id,
                    at_ms: now_ms,
                    hops: 0,
                    event: envelope.to_json(),
                };
                let write = shelf.put(&changed(kept.version))?;
                self.tell_rule(account, rule, (id, &queued), vec![write])?;
                Ok(Some(next_ms))
            }
            // A rule that is new, or has another schedule, begins now.
            other => {
                let version = other.map_or(0, |kept| kept.version);
                self.store().write_documents(&[shelf.put(&changed(version))?])?;
                Ok(Some(next_ms))
            }
        }
    }
}
