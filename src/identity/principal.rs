//! Who is asking, proven by a credential.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use uuid::Uuid;

use crate::names::{AccountId, PrincipalName};

use super::entries::User;
use super::session::access_key_id_of;

/// Who is asking. Made by a check of a credential and by nothing else; what it may do is policy's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal {
    /// A user with a credential of its own.
    User(UserPrincipal),
    /// Someone who has assumed a role, for a while.
    Session(Box<SessionPrincipal>),
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
    /// Whether a one-time code was given.
    pub mfa: bool,
    /// The temporary credentials that it works with; none for long-term ones.
    pub session: Option<UserSession>,
}

/// Temporary credentials of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserSession {
    /// Which, for revocation.
    pub id: Uuid,
    /// When they were given out, in milliseconds since the Unix epoch.
    pub issued_ms: i64,
    /// When they end, in milliseconds since the Unix epoch.
    pub expires_ms: i64,
}

impl UserPrincipal {
    /// The user, proven by the credential given.
    pub fn new(user: &User, credential: Option<String>) -> UserPrincipal {
        UserPrincipal {
            account: user.account.clone(),
            id: user.id,
            name: user.name.clone(),
            credential,
            mfa: false,
            session: None,
        }
    }
}

/// A session of a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionPrincipal {
    /// Which session, for revocation.
    pub id: Uuid,
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
    /// Whom another identity provider vouched for at the beginning of the chain, as `ISSUER SUBJECT`; none where none did.
    pub subject: Option<Arc<str>>,
    /// The sessions that the chain went through before, the first one first: with any of them it ends.
    pub chain: Vec<Uuid>,
    /// The user for whom a service acts.
    pub on_behalf_of: Option<UserPrincipal>,
    /// Session tags.
    pub tags: BTreeMap<String, String>,
    /// The keys of those that are kept when another role is assumed from here.
    pub transitive_tags: BTreeSet<String>,
    /// The policy that narrows it, in Cedar.
    pub policy: Option<Arc<str>>,
    /// Whether a one-time code was given when the role was assumed.
    pub mfa: bool,
    /// When it began, in milliseconds since the Unix epoch.
    pub issued_ms: i64,
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

    /// When it ends by itself, in milliseconds since the Unix epoch; none for what does not.
    pub fn expires_ms(&self) -> Option<i64> {
        match self {
            Principal::User(user) => user.session.as_ref().map(|session| session.expires_ms),
            Principal::Session(session) => Some(session.expires_ms),
            Principal::Service(_) => None,
        }
    }

    /// The access key id of a session, by which it is known and revoked; none for what is none.
    pub fn session_access_key_id(&self) -> Option<String> {
        let id = match self {
            Principal::User(user) => user.session.as_ref()?.id,
            Principal::Session(session) => session.id,
            Principal::Service(_) => return None,
        };
        Some(access_key_id_of(id))
    }

    /// Whether a one-time code was given.
    pub fn mfa(&self) -> bool {
        match self {
            Principal::User(user) => user.mfa,
            Principal::Session(session) => session.mfa,
            Principal::Service(_) => false,
        }
    }

    /// The policy that narrows a session, in Cedar.
    pub fn policy(&self) -> Option<&Arc<str>> {
        match self {
            Principal::Session(session) => session.policy.as_ref(),
            Principal::User(_) | Principal::Service(_) => None,
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
