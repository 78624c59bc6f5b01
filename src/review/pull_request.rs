//! A pull request: what is to be merged into what, who has approved it, and what has happened to it.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::rules::ApprovalRule;
use super::{Person, digest, hex, hex_of, optional_hex, ref_name};
use crate::names::{ObjectId, RefName};

/// Longest title, in characters.
pub const MAX_TITLE_CHARS: usize = 150;
/// Longest description, in characters.
pub const MAX_DESCRIPTION_CHARS: usize = 10_240;
/// Most approvals of one pull request that are kept.
pub const MAX_APPROVALS: usize = 200;
/// Most approval rules of one pull request.
pub const MAX_RULES: usize = 30;

/// How a pull request is, or was, merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum MergeOption {
    /// The destination moves to the source's tip.
    FastForwardMerge,
    /// One commit on top of the destination.
    SquashMerge,
    /// A commit with both as parents.
    ThreeWayMerge,
}

impl MergeOption {
    /// In the model's words.
    pub fn as_str(self) -> &'static str {
        match self {
            MergeOption::FastForwardMerge => "FAST_FORWARD_MERGE",
            MergeOption::SquashMerge => "SQUASH_MERGE",
            MergeOption::ThreeWayMerge => "THREE_WAY_MERGE",
        }
    }
}

/// That a pull request was merged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Merged {
    /// By whom.
    pub by: Person,
    /// The commit that the destination stood at then.
    #[serde(with = "hex")]
    pub commit: ObjectId,
    /// How.
    pub option: MergeOption,
}

/// That somebody approves of a revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// Which revision, counted from 1.
    pub revision: u32,
    /// Who.
    pub by: Person,
    /// Whether it was taken back.
    #[serde(default)]
    pub is_revoked: bool,
}

/// That the rules of a revision are set aside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Override {
    /// Which revision, counted from 1.
    pub revision: u32,
    /// By whom.
    pub by: Person,
}

/// A pull request as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullRequest {
    /// Its number, unique in its account.
    pub number: u64,
    /// Server-made; ids of revisions are made from it.
    pub id: Uuid,
    /// The title.
    pub title: String,
    /// The description.
    pub description: Option<String>,
    /// Who opened it.
    pub author: Person,
    /// When, in milliseconds since the Unix epoch.
    pub created_ms: i64,
    /// When something last happened to it, in milliseconds since the Unix epoch.
    pub active_ms: i64,
    /// Whether it is neither closed nor merged.
    pub is_open: bool,
    /// The branch that is to be merged.
    #[serde(with = "ref_name")]
    pub source: RefName,
    /// The branch that it is to be merged into.
    #[serde(with = "ref_name")]
    pub destination: RefName,
    /// Where the source stood last.
    #[serde(with = "hex")]
    pub source_commit: ObjectId,
    /// Where the destination stood when it was opened, and when it was closed.
    #[serde(with = "hex")]
    pub destination_commit: ObjectId,
    /// The merge base of both, as of then.
    #[serde(with = "optional_hex")]
    pub merge_base: Option<ObjectId>,
    /// Counts the source's changes, from 1.
    pub revision: u32,
    /// That it was merged.
    pub merged: Option<Merged>,
    /// What the caller gave to tell this call from another.
    pub token: Option<String>,
    /// Who moved the source since it was opened, the last one last; of many the last [`MAX_APPROVALS`].
    #[serde(default)]
    pub pushers: Vec<Person>,
    /// The approval rules.
    pub rules: Vec<ApprovalRule>,
    /// Who approves of which revision.
    pub approvals: Vec<Approval>,
    /// Which revision's rules are set aside.
    pub overrides: Vec<Override>,
    /// How many events there are.
    pub n_events: u32,
}

impl PullRequest {
    /// The id of the revision that it is at: 64 hexadecimal digits that nobody guesses from another.
    pub fn revision_id(&self) -> String {
        self.id_of_revision(self.revision)
    }

    fn id_of_revision(&self, revision: u32) -> String {
        hex_of(&digest(&[b"lockgate revision", self.id.as_bytes(), &revision.to_be_bytes()]))
    }

    /// The revision of an id; none if it is none of this pull request's.
    pub fn revision_of(&self, id: &str) -> Option<u32> {
        (1..=self.revision).rev().find(|revision| self.id_of_revision(*revision) == id)
    }

    /// Who approves of a revision, each voice once, the author's never among them.
    pub fn approvers(&self, revision: u32) -> Vec<&Person> {
        let mut voices: Vec<&Person> = Vec::new();
        for approval in self.approvals.iter().filter(|approval| approval.revision == revision && !approval.is_revoked) {
            if !approval.by.is(&self.author) && !voices.iter().any(|voice| voice.is(&approval.by)) {
                voices.push(&approval.by);
            }
        }
        voices
    }

    /// Remembers who moved the source.
    pub fn add_pusher(&mut self, by: Person) {
        self.pushers.retain(|pusher| !pusher.is(&by));
        if self.pushers.len() >= MAX_APPROVALS {
            self.pushers.remove(0);
        }
        self.pushers.push(by);
    }

    /// By whom the rules of a revision are set aside, if they are.
    pub fn overridden_by(&self, revision: u32) -> Option<&Person> {
        self.overrides.iter().find(|set| set.revision == revision).map(|set| &set.by)
    }

    /// Each rule, and whether these approvers satisfy it.
    pub fn evaluate(&self, approvers: &[&Person]) -> Vec<(&ApprovalRule, bool)> {
        let approvers: Vec<&str> = approvers.iter().map(|person| person.arn.as_str()).collect();
        self.rules
            .iter()
            .map(|rule| (rule, rule.content().is_ok_and(|content| content.is_satisfied(&approvers))))
            .collect()
    }

    /// The ref that follows its source: `refs/pull/N/head`.
    pub fn head_ref(&self) -> RefName {
        pull_ref(self.number, "head")
    }
}

/// The ref of what the merge of a pull request would give: `refs/pull/N/merge`.
pub fn merge_ref(number: u64) -> RefName {
    pull_ref(number, "merge")
}

fn pull_ref(number: u64, which: &str) -> RefName {
    RefName::parse(format!("refs/pull/{number}/{which}").as_bytes()).expect("a number is a part of a ref name")
}

/// Something that happened to a pull request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// By whom: an ARN.
    pub actor: String,
    /// What.
    pub what: Happening,
}

/// What can happen to a pull request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Happening {
    /// It was opened.
    Created {
        /// Where the source stood.
        #[serde(with = "hex")]
        source: ObjectId,
        /// Where the destination stood.
        #[serde(with = "hex")]
        destination: ObjectId,
        /// Their merge base.
        #[serde(with = "optional_hex")]
        base: Option<ObjectId>,
    },
    /// It was closed.
    StatusChanged {
        /// Whether it is open.
        is_open: bool,
    },
    /// The source branch moved.
    SourceUpdated {
        /// From here.
        #[serde(with = "hex")]
        before: ObjectId,
        /// To here.
        #[serde(with = "hex")]
        after: ObjectId,
        /// The merge base with the destination.
        #[serde(with = "optional_hex")]
        base: Option<ObjectId>,
    },
    /// It was merged.
    Merged {
        /// Into this branch.
        #[serde(with = "ref_name")]
        destination: RefName,
        /// How.
        merged: Merged,
    },
    /// An approval rule was made.
    RuleCreated(RuleEvent),
    /// An approval rule was changed.
    RuleUpdated(RuleEvent),
    /// An approval rule was deleted.
    RuleDeleted(RuleEvent),
    /// The approval rules were set aside, or put back.
    Overridden {
        /// Of this revision.
        revision_id: String,
        /// Whether they were set aside.
        is_set: bool,
    },
    /// Somebody approved, or took it back.
    ApprovalChanged {
        /// Of this revision.
        revision_id: String,
        /// Whether it is approved.
        is_approved: bool,
    },
}

/// Which rule something happened to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleEvent {
    /// The rule's name.
    pub name: String,
    /// Its id.
    pub id: Uuid,
    /// What it said.
    pub content: String,
}

impl Happening {
    /// In the model's words.
    pub fn kind(&self) -> &'static str {
        match self {
            Happening::Created { .. } => "PULL_REQUEST_CREATED",
            Happening::StatusChanged { .. } => "PULL_REQUEST_STATUS_CHANGED",
            Happening::SourceUpdated { .. } => "PULL_REQUEST_SOURCE_REFERENCE_UPDATED",
            Happening::Merged { .. } => "PULL_REQUEST_MERGE_STATE_CHANGED",
            Happening::RuleCreated(_) => "PULL_REQUEST_APPROVAL_RULE_CREATED",
            Happening::RuleUpdated(_) => "PULL_REQUEST_APPROVAL_RULE_UPDATED",
            Happening::RuleDeleted(_) => "PULL_REQUEST_APPROVAL_RULE_DELETED",
            Happening::Overridden { .. } => "PULL_REQUEST_APPROVAL_RULE_OVERRIDDEN",
            Happening::ApprovalChanged { .. } => "PULL_REQUEST_APPROVAL_STATE_CHANGED",
        }
    }

    /// All kinds.
    pub const KINDS: [&'static str; 9] = [
        "PULL_REQUEST_CREATED",
        "PULL_REQUEST_STATUS_CHANGED",
        "PULL_REQUEST_SOURCE_REFERENCE_UPDATED",
        "PULL_REQUEST_MERGE_STATE_CHANGED",
        "PULL_REQUEST_APPROVAL_RULE_CREATED",
        "PULL_REQUEST_APPROVAL_RULE_UPDATED",
        "PULL_REQUEST_APPROVAL_RULE_DELETED",
        "PULL_REQUEST_APPROVAL_RULE_OVERRIDDEN",
        "PULL_REQUEST_APPROVAL_STATE_CHANGED",
    ];
}
