//! One thing that is told to one target, and how that went.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::bus::{HttpParameters, Subscriber};

/// How many attempts are remembered.
pub const REMEMBERED_ATTEMPTS: usize = 10;

/// How one attempt went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// How long it took, in milliseconds.
    pub took_ms: i64,
    /// Why it was not taken; none if it was.
    pub error: Option<String>,
}

/// A delivery as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Delivery {
    /// The id of the event that it is made of.
    pub event: String,
    /// What kind of event, for those who sort by it: its detail type, or `ReferenceChange` of a trigger.
    pub kind: String,
    /// Because of what: the ARN of a rule, or the name of a trigger.
    pub because: String,
    /// The target in its rule; the trigger's name for a trigger.
    pub target: String,
    /// Whom: an ARN or a URL.
    pub destination: String,
    /// What is told.
    pub body: String,
    /// Headers and parameters of a request.
    pub http: Option<HttpParameters>,
    /// The message group of a FIFO queue.
    pub group: String,
    /// The repository that it is about.
    pub repository: Option<Uuid>,
    /// Who has to be allowed to know of it; nobody in particular if it is not said.
    pub subscriber: Option<Subscriber>,
    /// Most attempts after the first.
    pub max_attempts: u32,
    /// How long is tried, in milliseconds.
    pub max_age_ms: i64,
    /// Where it goes if it cannot be delivered.
    pub dead_letter: Option<String>,
    /// When the event happened, in milliseconds since the Unix epoch.
    pub since_ms: i64,
    /// What a queue is told besides.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
    /// How often it was tried.
    pub n_tries: u32,
    /// The last attempts, the newest last.
    pub attempts: Vec<Attempt>,
}

impl Delivery {
    /// Remembers an attempt.
    pub fn add_attempt(&mut self, attempt: Attempt) {
        self.n_tries += 1;
        if self.attempts.len() >= REMEMBERED_ATTEMPTS {
            self.attempts.remove(0);
        }
        self.attempts.push(attempt);
    }
}
