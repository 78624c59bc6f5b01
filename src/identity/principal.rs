//! Who is asking, proven by a credential.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::names::{AccountId, PrincipalName};

/// A user, a role session, or a service of this server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal {
    /// A user with credentials of their own.
    User(UserPrincipal),
    /// Someone who has assumed a role.
    Session(Box<SessionPrincipal>),
    /// A part of this server that acts for itself.
    Service(String),
}

/// A user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserPrincipal {
    /// The user's account.
    pub account: AccountId,
    /// The user's id, which no other user ever had.
    pub id: Uuid,
    /// The user's name.
    pub name: PrincipalName,
}

/// A role session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionPrincipal {
    /// The role's account, which is the session's.
    pub account: AccountId,
    /// The role.
    pub role: PrincipalName,
    /// The role's id.
    pub role_id: Uuid,
    /// What the one who assumed the role called the session.
    pub session_name: PrincipalName,
    /// Who stands behind the session, as its first link said.
    pub source_identity: Option<String>,
    /// The ARN of the user who assumed the role, or the first of a chain.
    pub original_user: Option<String>,
    /// Session tags.
    pub tags: BTreeMap<String, String>,
    /// When the session ends, in milliseconds since the Unix epoch.
    pub expires_ms: i64,
}

impl Principal {
    /// The account that the principal belongs to; a service has none.
    pub fn account(&self) -> Option<&AccountId> {
        match self {
            Principal::User(user) => Some(&user.account),
            Principal::Session(session) => Some(&session.account),
            Principal::Service(_) => None,
        }
    }

    /// The principal's ARN, as AWS writes them.
    pub fn arn(&self) -> String {
        match self {
            Principal::User(user) => format!("arn:aws:iam::{}:user/{}", user.account, user.name),
            Principal::Session(session) => {
                format!("arn:aws:sts::{}:assumed-role/{}/{}", session.account, session.role, session.session_name)
            }
            Principal::Service(name) => name.clone(),
        }
    }
}
