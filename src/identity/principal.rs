//! Who is asking, proven by a credential.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use uuid::Uuid;

use crate::names::{AccountId, PrincipalName};

use super::entries::User;

/// Who is asking. Made by a check of a credential and by nothing else; what it may do is policy's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal {
    /// A user with a credential of its own.
    User(UserPrincipal),
    /// Someone who has assumed a role, for a while.
    Session(SessionPrincipal),
    /// A part of Lockgate that acts for itself, such as `pipeline.lockgate`.
    Service(String),
}

/// A user who has proven to be it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserPrincipal {
    /// The user's account.
    pub account: AccountId,
    /// The user's id, which no other user ever has.
    pub id: Uuid,
    /// The user's name.
    pub name: PrincipalName,
    /// The id of the credential that proved it, such as `APKA...`; none for work without one, such as a command at the
    /// administrator's command line.
    pub credential: Option<String>,
}

impl UserPrincipal {
    /// The user, proven by the credential given.
    pub fn new(user: &User, credential: Option<String>) -> UserPrincipal {
        UserPrincipal { account: user.account.clone(), id: user.id, name: user.name.clone(), credential }
    }
}

/// A session of a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionPrincipal {
    /// The role's account; the session belongs to it.
    pub account: AccountId,
    /// The role's id.
    pub role_id: Uuid,
    /// The role's name.
    pub role: PrincipalName,
    /// The name that the one who assumed the role has given the session.
    pub session_name: PrincipalName,
    /// Who it really is, set at the first assumption and kept through chains.
    pub source_identity: Option<PrincipalName>,
    /// The user at the beginning of the chain; none where a service or another identity provider began it.
    pub original_user: Option<UserPrincipal>,
    /// Session tags.
    pub tags: BTreeMap<String, String>,
    /// When it ends, in milliseconds since the Unix epoch.
    pub expires_ms: i64,
}

impl Principal {
    /// The account it belongs to. Services belong to none and have the number `000000000000`, which no account gets.
    pub fn account(&self) -> &AccountId {
        match self {
            Principal::User(user) => &user.account,
            Principal::Session(session) => &session.account,
            Principal::Service(_) => &SERVICES_ACCOUNT,
        }
    }

    /// `arn:aws:iam::ACCOUNT:user/NAME` or `arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION`; a service's own name.
    pub fn arn(&self) -> String {
        match self {
            Principal::User(user) => format!("arn:aws:iam::{}:user/{}", user.account, user.name),
            Principal::Session(session) => {
                format!("arn:aws:sts::{}:assumed-role/{}/{}", session.account, session.role, session.session_name)
            }
            Principal::Service(name) => name.clone(),
        }
    }

    /// The id in policies: `ACCOUNT/NAME` of `User`, `ACCOUNT/ROLE/SESSION` of `Session`, the name of `Service`.
    /// Names have no slash, so no two are the same.
    pub fn entity_id(&self) -> String {
        match self {
            Principal::User(user) => format!("{}/{}", user.account, user.name),
            Principal::Session(session) => {
                format!("{}/{}/{}", session.account, session.role, session.session_name)
            }
            Principal::Service(name) => name.clone(),
        }
    }

    /// A short name for people: the user's, `ROLE/SESSION`, or the service's.
    pub fn display_name(&self) -> String {
        match self {
            Principal::User(user) => user.name.to_string(),
            Principal::Session(session) => format!("{}/{}", session.role, session.session_name),
            Principal::Service(name) => name.clone(),
        }
    }
}

/// The number that stands for no account.
pub(super) static SERVICES_ACCOUNT: LazyLock<AccountId> =
    LazyLock::new(|| AccountId::parse("000000000000").expect("twelve digits"));
