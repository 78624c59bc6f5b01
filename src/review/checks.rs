//! Statuses of commits: what a build, or somebody outside, says of one commit under one name.

use serde::{Deserialize, Serialize};

use super::Person;

/// Longest name of a check, in characters.
pub const MAX_NAME_CHARS: usize = 200;
/// Longest description, in characters.
pub const MAX_DESCRIPTION_CHARS: usize = 1000;
/// Longest address, in characters.
pub const MAX_URL_CHARS: usize = 2000;
/// Most checks of one commit.
pub const MAX_CHECKS: usize = 200;

/// How a check stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CheckState {
    /// It has not ended.
    Pending,
    /// It passed.
    Success,
    /// It did not pass.
    Failure,
    /// It could not be carried out.
    Error,
}

impl CheckState {
    /// As the API has it.
    pub fn as_str(self) -> &'static str {
        match self {
            CheckState::Pending => "PENDING",
            CheckState::Success => "SUCCESS",
            CheckState::Failure => "FAILURE",
            CheckState::Error => "ERROR",
        }
    }

    /// The state of that name.
    pub fn from_name(name: &str) -> Option<CheckState> {
        let all = [CheckState::Pending, CheckState::Success, CheckState::Failure, CheckState::Error];
        all.into_iter().find(|state| state.as_str() == name)
    }
}

/// What is said of one commit under one name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// The name, `build`.
    pub name: String,
    /// How it stands.
    pub state: CheckState,
    /// A few words for people.
    pub description: Option<String>,
    /// Where more is to be read.
    pub url: Option<String>,
    /// Who said it last.
    pub by: Person,
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: i64,
}
