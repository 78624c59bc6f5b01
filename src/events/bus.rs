//! Buses, rules with their targets, archives, replays, connections and API destinations: what an account has set up to hear of events.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Most buses of an account.
pub const MAX_BUSES: usize = 100;
/// Most rules of a bus.
pub const MAX_RULES: u64 = 20_000;
/// Most targets of a rule.
pub const MAX_TARGETS: usize = 20;
/// Most archives of an account.
pub const MAX_ARCHIVES: usize = 100;
/// Most connections, and most API destinations, of an account.
pub const MAX_DESTINATIONS: usize = 3000;
/// Most attempts that a target may ask for.
pub const MAX_ATTEMPTS: u32 = 185;
/// Longest that a target may ask to be tried, in seconds.
pub const MAX_AGE_SECONDS: u32 = 86_400;

/// Who set something up, and so who hears what it is told.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subscriber {
    /// A user.
    User(Uuid),
    /// A role, by whichever of its sessions.
    Role {
        /// Its account.
        account: String,
        /// Its id.
        id: Uuid,
        /// Its name.
        name: String,
    },
}

/// A bus.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bus {
    /// Its name.
    pub name: String,
    /// A few words.
    pub description: Option<String>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
    /// When it was made, in milliseconds since the Unix epoch.
    pub created_ms: i64,
    /// When it was changed, in milliseconds since the Unix epoch.
    pub changed_ms: i64,
    /// How many rules it has.
    pub n_rules: u64,
}

/// Which events go to which targets, or when something is told by the clock.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// Its name, unique on its bus.
    pub name: String,
    /// The bus.
    pub bus: String,
    /// Server-made: a rule that was deleted and made again is another one.
    pub id: Uuid,
    /// What it takes, as JSON.
    pub pattern: Option<String>,
    /// When it is told by the clock, `rate(5 minutes)` or `cron(...)`.
    pub schedule: Option<String>,
    /// Whether it is in force.
    pub is_enabled: bool,
    /// A few words.
    pub description: Option<String>,
    /// The role that it was given.
    pub role_arn: Option<String>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
    /// The ARN of who made it.
    pub created_by: String,
    /// When it was made, in milliseconds since the Unix epoch.
    pub created_ms: i64,
    /// The targets, by their ids.
    pub targets: BTreeMap<String, Target>,
}

/// When a rule is told by the clock next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextTime {
    /// The rule's bus.
    pub bus: String,
    /// The rule's name.
    pub name: String,
    /// The rule's id, and its schedule: of another one the time is not.
    pub of: (Uuid, String),
    /// In milliseconds since the Unix epoch.
    pub next_ms: i64,
}

/// What a target is told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Input {
    /// The event.
    #[default]
    Event,
    /// Always the same, JSON.
    Constant(String),
    /// A part of the event, `$.detail`.
    Path(String),
    /// Words made of parts of the event.
    Transformer {
        /// Names for parts.
        paths: BTreeMap<String, String>,
        /// The words, with `<name>` in them.
        template: String,
    },
}

/// Whom a rule tells.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Target {
    /// Its id, unique in its rule.
    pub id: String,
    /// Whom.
    pub arn: String,
    /// The role that was given for it.
    pub role_arn: Option<String>,
    /// What.
    pub input: Input,
    /// Where goes what cannot be delivered.
    pub dead_letter: Option<String>,
    /// Most attempts after the first.
    pub attempts: u32,
    /// How long is tried, in seconds.
    pub age_seconds: u32,
    /// Headers and parameters of a request.
    pub http: Option<HttpParameters>,
    /// The message group of a FIFO queue.
    pub message_group: Option<String>,
    /// Who put it there: an event about a repository reaches it as long as this one may know of the repository.
    pub subscriber: Subscriber,
}

/// What a request to an API destination carries besides.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct HttpParameters {
    /// For each `*` of the destination's URL.
    pub path_parameter_values: Vec<String>,
    /// Headers.
    pub header_parameters: BTreeMap<String, String>,
    /// The query.
    pub query_string_parameters: BTreeMap<String, String>,
}

/// Events that are kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Archive {
    /// Its name, unique in its account.
    pub name: String,
    /// Server-made; its events lie under it.
    pub id: Uuid,
    /// The bus whose events it keeps.
    pub bus: String,
    /// A few words.
    pub description: Option<String>,
    /// Which events; all if it is not said.
    pub pattern: Option<String>,
    /// For how many days; 0 for good.
    pub retention_days: u32,
    /// When it was made, in milliseconds since the Unix epoch.
    pub created_ms: i64,
}

/// How a replay stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ReplayState {
    /// It has not begun.
    Starting,
    /// It is under way.
    Running,
    /// It is told to stop.
    Cancelling,
    /// It is done.
    Completed,
    /// It was stopped.
    Cancelled,
    /// It failed.
    Failed,
}

impl ReplayState {
    /// In the model's words.
    pub fn as_str(self) -> &'static str {
        match self {
            ReplayState::Starting => "STARTING",
            ReplayState::Running => "RUNNING",
            ReplayState::Cancelling => "CANCELLING",
            ReplayState::Completed => "COMPLETED",
            ReplayState::Cancelled => "CANCELLED",
            ReplayState::Failed => "FAILED",
        }
    }

    /// Whether nothing more comes of it.
    pub fn is_over(self) -> bool {
        matches!(self, ReplayState::Completed | ReplayState::Cancelled | ReplayState::Failed)
    }
}

/// Archived events, told once more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Replay {
    /// Its name, unique in its account.
    pub name: String,
    /// A few words.
    pub description: Option<String>,
    /// The archive's name.
    pub archive: String,
    /// The archive's id.
    pub archive_id: Uuid,
    /// The bus.
    pub bus: String,
    /// The rules that hear of it, by name; all if none is named.
    pub rules: Vec<String>,
    /// Events from this time on, in milliseconds since the Unix epoch.
    pub from_ms: i64,
    /// Events before this time, in milliseconds since the Unix epoch.
    pub to_ms: i64,
    /// How it stands.
    pub state: ReplayState,
    /// Why, where there is something to say.
    pub reason: Option<String>,
    /// The place in the archive that it has come to.
    pub cursor: i64,
    /// When the last event happened that was told, in milliseconds since the Unix epoch.
    pub last_event_ms: Option<i64>,
    /// How many were told.
    pub n_told: u64,
    /// When it began, in milliseconds since the Unix epoch.
    pub started_ms: i64,
    /// When it ended, in milliseconds since the Unix epoch.
    pub ended_ms: Option<i64>,
}

/// How requests prove who they are from.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Authorization {
    /// A header; called `webhook-signature`, its value is the secret that bodies are signed with.
    ApiKey {
        /// The header.
        name: String,
        /// Its value.
        value: String,
    },
    /// A user name and password.
    Basic {
        /// The user name.
        user: String,
        /// The password.
        password: String,
    },
}

/// How an API destination is spoken to. It holds secrets: never shown, kept sealed.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct ApiConnection {
    /// Its name, unique in its account.
    pub name: String,
    /// Server-made.
    pub id: Uuid,
    /// A few words.
    pub description: Option<String>,
    /// How requests prove who they are from; none after it was taken away.
    pub authorization: Option<Authorization>,
    /// The secret before the last change, which bodies are signed with besides until `previous_until_ms`.
    pub previous_secret: Option<String>,
    /// In milliseconds since the Unix epoch.
    pub previous_until_ms: i64,
    /// What each request carries besides.
    pub http: HttpParameters,
    /// When it was made, in milliseconds since the Unix epoch.
    pub created_ms: i64,
    /// When it was changed, in milliseconds since the Unix epoch.
    pub changed_ms: i64,
    /// When its secrets were changed, in milliseconds since the Unix epoch.
    pub authorized_ms: i64,
}

/// An address that events are sent to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ApiDestination {
    /// Its name, unique in its account.
    pub name: String,
    /// Server-made.
    pub id: Uuid,
    /// A few words.
    pub description: Option<String>,
    /// The name of its connection.
    pub connection: String,
    /// Where to; a `*` stands for a part that targets say.
    pub url: String,
    /// How, `POST`.
    pub method: String,
    /// Most requests in a second.
    pub rate: u32,
    /// When it was made, in milliseconds since the Unix epoch.
    pub created_ms: i64,
    /// When it was changed, in milliseconds since the Unix epoch.
    pub changed_ms: i64,
}
