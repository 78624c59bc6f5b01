//! Comments on pull requests and on comparisons of commits: threads at a place, with replies and reactions.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Person, hex, optional_hex};
use crate::names::ObjectId;

/// Longest comment, in characters.
pub const MAX_CONTENT_CHARS: usize = 10_240;
/// Most reactions of one comment.
pub const MAX_REACTIONS: usize = 1000;

/// What is commented on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// The pull request, where it is one.
    pub pull_request: Option<u64>,
    /// The commit before.
    #[serde(with = "optional_hex")]
    pub before: Option<ObjectId>,
    /// The commit after.
    #[serde(with = "hex")]
    pub after: ObjectId,
}

/// Which of two versions of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Version {
    /// The one before.
    Before,
    /// The one after.
    After,
}

impl Version {
    /// In the model's words.
    pub fn as_str(self) -> &'static str {
        match self {
            Version::Before => "BEFORE",
            Version::After => "AFTER",
        }
    }
}

/// A place in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Location {
    /// The file's path.
    pub path: String,
    /// The line, from 1; the whole file without.
    pub line: Option<u64>,
    /// In which version.
    pub version: Version,
}

/// Somebody's reaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reaction {
    /// Whose.
    pub by: Person,
    /// Which, `:thumbsup:`.
    pub short_code: String,
}

/// A comment as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comment {
    /// Server-made; in the order of time.
    pub id: Uuid,
    /// What it is about.
    pub target: Target,
    /// Where, for the first of a thread.
    pub location: Option<Location>,
    /// The file's blob before, where there is a location.
    #[serde(with = "optional_hex")]
    pub before_blob: Option<ObjectId>,
    /// The file's blob after, where there is a location.
    #[serde(with = "optional_hex")]
    pub after_blob: Option<ObjectId>,
    /// The comment that it answers.
    pub in_reply_to: Option<Uuid>,
    /// The first comment of its thread; its own id for that one.
    pub thread: Uuid,
    /// The text, in Markdown; empty once it is deleted.
    pub content: String,
    /// When it was made, in milliseconds since the Unix epoch.
    pub created_ms: i64,
    /// When it was last changed, in milliseconds since the Unix epoch.
    pub changed_ms: i64,
    /// Whose it is.
    pub author: Person,
    /// Whether its content was deleted.
    pub is_deleted: bool,
    /// What the caller gave to tell this call from another.
    pub token: Option<String>,
    /// The reactions, one a person.
    pub reactions: Vec<Reaction>,
}
