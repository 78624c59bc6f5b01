//! Events as EventBridge has them: what one says, which rules take it, what their targets are told, and how all of that is kept.
//!
//! Knows no users and asks no policies; who may hear of an event is decided by `operations::events`, which delivers.

pub mod bus;
pub mod delivery;
pub mod pattern;
pub mod schedule;
pub mod shelf;
pub mod transform;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::names::AccountId;

/// The bus that every account has, and that services put their events on.
pub const DEFAULT_BUS: &str = "default";

/// How often an event is handed on from bus to bus.
pub const MAX_HOPS: u8 = 4;

/// An event's outside. EventBridge user guide, "AWS service event metadata".
#[derive(Debug, Clone, PartialEq)]
pub struct Envelope {
    /// Its id.
    pub id: Uuid,
    /// What kind of thing happened, `CodeCommit Repository State Change`.
    pub detail_type: String,
    /// Who says so, `aws.codecommit`.
    pub source: String,
    /// The account that it happened in.
    pub account: AccountId,
    /// When, in milliseconds since the Unix epoch.
    pub time_ms: i64,
    /// The region.
    pub region: String,
    /// ARNs of what it is about.
    pub resources: Vec<String>,
    /// What happened, a JSON object.
    pub detail: Value,
}

impl Envelope {
    /// The event as targets read it.
    pub fn to_json(&self) -> Value {
        json!({
            "version": "0",
            "id": self.id.to_string(),
            "detail-type": self.detail_type,
            "source": self.source,
            "account": self.account.as_str(),
            "time": iso_time(self.time_ms),
            "region": self.region,
            "resources": self.resources,
            "detail": self.detail,
        })
    }
}

/// A time as events have it, to the second: `2026-11-24T08:00:00Z`.
pub fn iso_time(ms: i64) -> String {
    let time = jiff::Timestamp::from_millisecond(ms).unwrap_or_default();
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// An event as it lies in the outbox and in archives.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Queued {
    /// The account whose bus it is on.
    pub account: String,
    /// The bus.
    pub bus: String,
    /// The repository that it is about: who may not know of it does not hear of it.
    pub repository: Option<Uuid>,
    /// Events of one stream reach each target in their order.
    pub stream: Uuid,
    /// When it was put on the bus, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// How often it was handed on from bus to bus.
    #[serde(default)]
    pub hops: u8,
    /// The event.
    pub event: Value,
}
