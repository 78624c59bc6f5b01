//! Reviewing: pull requests, approval rules, comments, who owns which paths, what checks said. What they are and how they are kept.
//!
//! Nothing here decides who may do something, reads an object or changes a ref: that is `operations`'s. Bodies are JSON that later
//! versions may add members to; what people wrote stands in bodies, never in keys.

pub mod checks;
pub mod comment;
pub mod emoji;
pub mod owners;
pub mod pull_request;
pub mod rules;
pub mod shelf;
pub mod triggers;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::names::RefName;

/// Somebody who did something, as of then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// Who it was: the ARN of a user or of a role's session.
    pub arn: String,
    /// The user's id; of a session, that of the user who began it. None where no user did.
    pub user: Option<Uuid>,
    /// Whom another identity provider vouched for, as `ISSUER SUBJECT`, where no user began the session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
}

impl Person {
    /// Whether both have one voice (attack checklist D2): the same user or the same subject, through whatever roles. Of a session
    /// that neither began, it is the role that speaks: its bearer has chosen the session's name.
    pub fn is(&self, other: &Person) -> bool {
        match (self.origin(), other.origin()) {
            (Some(mine), Some(its)) => mine == its,
            _ => self.without_session() == other.without_session(),
        }
    }

    fn origin(&self) -> Option<(Option<Uuid>, Option<&str>)> {
        match self.user {
            Some(user) => Some((Some(user), None)),
            None => self.subject.as_deref().map(|subject| (None, Some(subject))),
        }
    }

    fn without_session(&self) -> &str {
        match self.arn.rsplit_once('/') {
            Some((role, _)) if self.arn.contains(":assumed-role/") => role,
            _ => &self.arn,
        }
    }
}

/// Object ids as 40 hexadecimal digits.
pub(crate) mod hex {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::names::ObjectId;

    pub fn serialize<S: Serializer>(id: &ObjectId, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(id)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ObjectId, D::Error> {
        let text = String::deserialize(deserializer)?;
        ObjectId::from_hex(text.as_bytes()).map_err(|_| serde::de::Error::custom("it is no object id"))
    }
}

/// [`hex`] of an id that need not be there.
pub(crate) mod optional_hex {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::names::ObjectId;

    pub fn serialize<S: Serializer>(id: &Option<ObjectId>, serializer: S) -> Result<S::Ok, S::Error> {
        match id {
            Some(id) => serializer.collect_str(id),
            None => serializer.serialize_none(),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<ObjectId>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        let parse = |text: String| {
            ObjectId::from_hex(text.as_bytes()).map_err(|_| serde::de::Error::custom("it is no object id"))
        };
        text.map(parse).transpose()
    }
}

/// Ref names as text; those that are none have no place in a review.
pub(crate) mod ref_name {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::names::RefName;

    pub fn serialize<S: Serializer>(name: &RefName, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::text_of(name))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<RefName, D::Error> {
        let text = String::deserialize(deserializer)?;
        RefName::parse(text.as_bytes()).map_err(serde::de::Error::custom)
    }
}

/// A ref's full name as text.
pub fn text_of(name: &RefName) -> String {
    String::from_utf8_lossy(name.as_bytes()).into_owned()
}

/// The first bytes of SHA-256 over parts, each with its length before it: keys of what is found by what it is about.
pub(crate) fn digest(parts: &[&[u8]]) -> [u8; 32] {
    use sha2::{Digest, Sha256};
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex_of(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    // D2
    #[test]
    fn one_voice_whatever_the_role() {
        let person = |arn: &str, user: Option<u128>, subject: Option<&str>| Person {
            arn: arn.to_owned(),
            user: user.map(Uuid::from_u128),
            subject: subject.map(str::to_owned),
        };
        let session = |role: &str, name: &str, user, subject| {
            person(&format!("arn:aws:sts::111111111111:assumed-role/{role}/{name}"), user, subject)
        };
        let alice = person("arn:aws:iam::111111111111:user/alice", Some(1), None);
        assert!(alice.is(&session("reviewer", "bob", Some(1), None)), "a role does not make another one of her");
        assert!(
            !alice.is(&person("arn:aws:iam::111111111111:user/alice", Some(2), None)),
            "a name that was given anew"
        );
        let token = Some("https://tokens.example 42");
        assert!(session("reviewer", "a", None, token).is(&session("admin", "b", None, token)));
        assert!(!session("reviewer", "a", None, token).is(&session(
            "reviewer",
            "a",
            None,
            Some("https://tokens.example 43")
        )));
        // Who takes a role by himself chooses what the session is called.
        assert!(session("reviewer", "a", None, None).is(&session("reviewer", "b", None, None)));
        assert!(!session("reviewer", "a", None, None).is(&session("deployer", "a", None, None)));
    }
}
