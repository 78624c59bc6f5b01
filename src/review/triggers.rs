//! Triggers of repositories: whom to tell when refs change; and what they are told.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Most triggers of one repository.
pub const MAX_TRIGGERS: usize = 10;
/// Most branches of one trigger.
pub const MAX_BRANCHES: usize = 10;
/// Longest name, in characters.
pub const MAX_NAME_CHARS: usize = 100;
/// Longest data that is passed on, in characters.
pub const MAX_DATA_CHARS: usize = 1000;

/// What makes a trigger fire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum TriggerEvent {
    /// Whatever happens to a ref.
    All,
    /// A ref moves.
    UpdateReference,
    /// A ref is made.
    CreateReference,
    /// A ref is deleted.
    DeleteReference,
}

impl TriggerEvent {
    /// In the model's words.
    pub fn as_str(self) -> &'static str {
        match self {
            TriggerEvent::All => "all",
            TriggerEvent::UpdateReference => "updateReference",
            TriggerEvent::CreateReference => "createReference",
            TriggerEvent::DeleteReference => "deleteReference",
        }
    }

    /// The event of that name.
    pub fn from_name(name: &str) -> Option<TriggerEvent> {
        let all = [
            TriggerEvent::All,
            TriggerEvent::UpdateReference,
            TriggerEvent::CreateReference,
            TriggerEvent::DeleteReference,
        ];
        all.into_iter().find(|event| event.as_str() == name)
    }
}

/// Whom to tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trigger {
    /// Its name, unique in its repository.
    pub name: String,
    /// A URL, or the ARN of a webhook of the configuration.
    pub destination: String,
    /// What is passed on.
    pub custom_data: Option<String>,
    /// Short names of branches; whatever changes if there are none.
    pub branches: Vec<String>,
    /// What makes it fire.
    pub events: Vec<TriggerEvent>,
}

/// The triggers of a repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Triggers {
    /// Another one with each change.
    pub id: Uuid,
    /// The triggers.
    pub triggers: Vec<Trigger>,
}

/// What happened to one ref.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The full name.
    pub name: String,
    /// Where it stands, or stood before it was deleted.
    pub commit: String,
    /// What happened.
    pub event: TriggerEvent,
}

impl Trigger {
    /// Whether the trigger is told of a ref.
    pub fn takes(&self, reference: &Reference) -> bool {
        let event = self.events.iter().any(|event| *event == TriggerEvent::All || *event == reference.event);
        let branch = reference.name.strip_prefix("refs/heads/");
        let is_named = branch.is_some_and(|branch| self.branches.iter().any(|name| name == branch));
        event && (self.branches.is_empty() || is_named)
    }
}

/// What is told: AWS's document of a reference change ("Example: a Lambda function's event", CodeCommit's user guide).
pub fn payload(
    trigger: &Trigger,
    triggers: &Triggers,
    references: &[&Reference],
    repository_arn: &str,
    region: &str,
    actor: &str,
    event_id: Uuid,
    now_ms: i64,
) -> serde_json::Value {
    let time = jiff::Timestamp::from_millisecond(now_ms).unwrap_or_default();
    let reference = |reference: &&Reference| {
        let mut out = serde_json::json!({"commit": reference.commit, "ref": reference.name});
        match reference.event {
            TriggerEvent::CreateReference => out["created"] = true.into(),
            TriggerEvent::DeleteReference => out["deleted"] = true.into(),
            _ => {}
        }
        out
    };
    let references: Vec<serde_json::Value> = references.iter().map(reference).collect();
    let mut record = serde_json::json!({
        "awsRegion": region,
        "codecommit": {"references": references},
        "eventId": event_id.to_string(),
        "eventName": "ReferenceChange",
        "eventPartNumber": 1,
        "eventSource": "aws:codecommit",
        "eventSourceARN": repository_arn,
        "eventTime": time.strftime("%Y-%m-%dT%H:%M:%S.%3f+0000").to_string(),
        "eventTotalParts": 1,
        "eventTriggerConfigId": triggers.id.to_string(),
        "eventTriggerName": trigger.name,
        "eventVersion": "1.0",
        "userIdentityARN": actor,
    });
    if let Some(data) = &trigger.custom_data {
        record["customData"] = data.clone().into();
    }
    serde_json::json!({ "Records": [record] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trigger_takes_what_it_names() {
        let reference = |name: &str, event| Reference { name: name.to_owned(), commit: String::new(), event };
        let trigger = |branches: &[&str], events: &[TriggerEvent]| Trigger {
            name: "t".to_owned(),
            destination: String::new(),
            custom_data: None,
            branches: branches.iter().map(|name| (*name).to_owned()).collect(),
            events: events.to_vec(),
        };
        let main = reference("refs/heads/main", TriggerEvent::UpdateReference);
        assert!(trigger(&[], &[TriggerEvent::All]).takes(&main));
        assert!(trigger(&["main"], &[TriggerEvent::UpdateReference]).takes(&main));
        assert!(!trigger(&["topic"], &[TriggerEvent::All]).takes(&main));
        assert!(!trigger(&[], &[TriggerEvent::DeleteReference, TriggerEvent::CreateReference]).takes(&main));
        let tag = reference("refs/tags/main", TriggerEvent::CreateReference);
        assert!(trigger(&[], &[TriggerEvent::CreateReference]).takes(&tag));
        assert!(!trigger(&["main"], &[TriggerEvent::All]).takes(&tag));
    }
}
