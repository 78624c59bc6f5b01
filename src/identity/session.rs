//! Temporary credentials: an access key id, a secret, and a token that comes with every request.
//!
//! The token holds the session, sealed: nothing is stored when one is given out, and any node can open it. What ends a session
//! early lies in the directory, and is looked at on every request: its role is gone or its sessions are revoked, the user at the
//! beginning of the chain is disabled or gone, the session itself is revoked.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use base64::Engine;
use base64::prelude::BASE64_STANDARD as BASE64;

use crate::names::{AccountId, PrincipalName};

use super::Identity;
use super::password::{ALPHANUMERIC, BASE32, random_text};
use super::principal::{Principal, SessionPrincipal, UserPrincipal};

/// What the holder of a session gets.
#[derive(Debug, Clone)]
pub struct TemporaryCredentials {
    /// `ASIA...`
    pub access_key_id: String,
    /// For signatures.
    pub secret: SecretString,
    /// To be sent with every request.
    pub token: String,
    /// When it ends, in milliseconds since the Unix epoch.
    pub expires_ms: i64,
}

/// A temporary access key for the check of a signature.
#[derive(Debug, Clone)]
pub struct TemporaryKey {
    /// Whom a right signature proves. Nobody has proven anything before.
    pub principal: Principal,
    /// The secret access key.
    pub secret: SecretString,
}

/// Why a temporary key is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenFailure {
    /// The token was not made here, or belongs to another key.
    #[error("the security token is not valid")]
    Invalid,
    /// Its time is over.
    #[error("the security token has expired")]
    Expired,
    /// It was ended before its time.
    #[error("the session has been revoked")]
    Revoked,
}

/// Longest token that is looked at, in characters: longer than any that is made.
pub const MAX_TOKEN_CHARS: usize = 24 << 10;

const PURPOSE: &str = "session";
const VERSION: u8 = 1;

#[derive(Serialize, Deserialize)]
struct Token {
    version: u8,
    key: String,
    secret: String,
    who: Who,
}

#[derive(Serialize, Deserialize)]
struct Carried {
    version: u8,
    who: Who,
}

#[derive(Serialize, Deserialize)]
enum Who {
    Role(Box<RoleSession>),
    User(User),
}

#[derive(Serialize, Deserialize)]
struct User {
    account: String,
    id: u128,
    name: String,
    credential: Option<String>,
    mfa: bool,
    #[serde(default)]
    session: Option<(u128, i64, i64)>,
}

#[derive(Serialize, Deserialize)]
struct RoleSession {
    id: u128,
    account: String,
    role_id: u128,
    role: String,
    name: String,
    source_identity: Option<String>,
    original_user: Option<User>,
    #[serde(default)]
    subject: Option<String>,
    #[serde(default)]
    chain: Vec<u128>,
    on_behalf_of: Option<User>,
    tags: BTreeMap<String, String>,
    transitive: BTreeSet<String>,
    policy: Option<String>,
    mfa: bool,
    issued_ms: i64,
    expires_ms: i64,
}

impl Identity {
    /// Makes credentials for a session. The caller has decided that it may be.
    pub fn issue(&self, principal: &Principal) -> Option<TemporaryCredentials> {
        let (who, expires_ms) = (Who::of(principal)?, principal.expires_ms()?);
        // Follows from the session's id: whoever finds the one can end the other, and nothing is kept for it.
        let access_key_id = principal.session_access_key_id()?;
        let secret = random_text(ALPHANUMERIC, SECRET_CHARS);
        let token = Token { version: VERSION, key: access_key_id.clone(), secret: secret.clone(), who };
        let plain = zeroize::Zeroizing::new(serde_json::to_vec(&token).ok()?);
        let sealed = self.inner.store.seal_token(PURPOSE, &plain);
        // The only trace of which session goes by which key: whoever looks for the one finds the other here.
        tracing::info!(session.arn = principal.arn(), session.access_key_id = access_key_id, "a session began");
        Some(TemporaryCredentials {
            access_key_id,
            secret: SecretString::from(secret),
            token: BASE64.encode(sealed),
            expires_ms,
        })
    }

    /// Opens a token that came with `access_key_id`.
    pub fn temporary_key(&self, access_key_id: &str, token: &str) -> Result<TemporaryKey, TokenFailure> {
        if token.len() > MAX_TOKEN_CHARS {
            return Err(TokenFailure::Invalid);
        }
        let sealed = BASE64.decode(token.trim()).map_err(|_| TokenFailure::Invalid)?;
        let plain = self.inner.store.open_token(PURPOSE, &sealed).ok_or(TokenFailure::Invalid)?;
        let token: Token = serde_json::from_slice(&plain).map_err(|_| TokenFailure::Invalid)?;
        if token.version != VERSION || token.key != access_key_id {
            return Err(TokenFailure::Invalid);
        }
        let secret = SecretString::from(token.secret);
        Ok(TemporaryKey { principal: self.living(token.who)?, secret })
    }

    /// The session alone, sealed for a bearer that proves itself otherwise than by a secret of ours, and when it ends. Another
    /// purpose than that of tokens: neither is taken for the other. None for what does not end by itself.
    pub(super) fn seal_session(&self, purpose: &str, principal: &Principal) -> Option<(String, i64)> {
        let expires_ms = principal.expires_ms()?;
        let carried = Carried { version: VERSION, who: Who::of(principal)? };
        let plain = zeroize::Zeroizing::new(serde_json::to_vec(&carried).ok()?);
        Some((BASE64.encode(self.inner.store.seal_token(purpose, &plain)), expires_ms))
    }

    /// Opens what [`Identity::seal_session`] made for the same purpose, if the session still is one.
    pub(super) fn open_session(&self, purpose: &str, sealed: &str) -> Result<Principal, TokenFailure> {
        if sealed.len() > MAX_TOKEN_CHARS {
            return Err(TokenFailure::Invalid);
        }
        let sealed = BASE64.decode(sealed).map_err(|_| TokenFailure::Invalid)?;
        let plain = self.inner.store.open_token(purpose, &sealed).ok_or(TokenFailure::Invalid)?;
        let carried: Carried = serde_json::from_slice(&plain).map_err(|_| TokenFailure::Invalid)?;
        match carried.version {
            VERSION => self.living(carried.who),
            _ => Err(TokenFailure::Invalid),
        }
    }

    /// Who that is, if nothing has ended the session.
    fn living(&self, who: Who) -> Result<Principal, TokenFailure> {
        let principal = who.principal().ok_or(TokenFailure::Invalid)?;
        let now_ms = self.now_ms();
        match principal.expires_ms() {
            Some(expires_ms) if now_ms < expires_ms => {}
            _ => return Err(TokenFailure::Expired),
        }
        match self.directory().is_active(&principal, now_ms) {
            true => Ok(principal),
            false => Err(TokenFailure::Revoked),
        }
    }
}

impl Who {
    fn of(principal: &Principal) -> Option<Who> {
        match principal {
            Principal::Session(session) => Some(Who::Role(Box::new(RoleSession::of(session)))),
            Principal::User(user) => Some(Who::User(User::of(user))),
            Principal::Service(_) => None,
        }
    }

    fn principal(self) -> Option<Principal> {
        match self {
            Who::User(user) => user.principal().map(Principal::User),
            Who::Role(session) => session.principal().map(|session| Principal::Session(Box::new(session))),
        }
    }
}

impl User {
    fn of(user: &UserPrincipal) -> User {
        User {
            account: user.account.to_string(),
            id: user.id.as_u128(),
            name: user.name.to_string(),
            credential: user.credential.clone(),
            mfa: user.mfa,
            session: user.session.as_ref().map(|session| (session.id.as_u128(), session.issued_ms, session.expires_ms)),
        }
    }

    fn principal(self) -> Option<UserPrincipal> {
        let session = self.session.map(|(id, issued_ms, expires_ms)| super::principal::UserSession {
            id: Uuid::from_u128(id),
            issued_ms,
            expires_ms,
        });
        Some(UserPrincipal {
            account: AccountId::parse(&self.account).ok()?,
            id: Uuid::from_u128(self.id),
            name: PrincipalName::parse(&self.name).ok()?,
            credential: self.credential,
            mfa: self.mfa,
            session,
        })
    }
}

impl RoleSession {
    fn of(session: &SessionPrincipal) -> RoleSession {
        RoleSession {
            id: session.id.as_u128(),
            account: session.account.to_string(),
            role_id: session.role_id.as_u128(),
            role: session.role.to_string(),
            name: session.session_name.to_string(),
            source_identity: session.source_identity.as_ref().map(ToString::to_string),
            original_user: session.original_user.as_ref().map(User::of),
            subject: session.subject.as_ref().map(ToString::to_string),
            chain: session.chain.iter().map(Uuid::as_u128).collect(),
            on_behalf_of: session.on_behalf_of.as_ref().map(User::of),
            tags: session.tags.clone(),
            transitive: session.transitive_tags.clone(),
            policy: session.policy.as_ref().map(ToString::to_string),
            mfa: session.mfa,
            issued_ms: session.issued_ms,
            expires_ms: session.expires_ms,
        }
    }

    fn principal(self) -> Option<SessionPrincipal> {
        let user = |user: Option<User>| match user {
            None => Some(None),
            Some(user) => user.principal().map(Some),
        };
        Some(SessionPrincipal {
            id: Uuid::from_u128(self.id),
            account: AccountId::parse(&self.account).ok()?,
            role_id: Uuid::from_u128(self.role_id),
            role: PrincipalName::parse(&self.role).ok()?,
            session_name: PrincipalName::parse(&self.name).ok()?,
            source_identity: self.source_identity.map(|name| PrincipalName::parse(&name)).transpose().ok()?,
            original_user: user(self.original_user)?,
            subject: self.subject.map(Arc::from),
            chain: self.chain.into_iter().map(Uuid::from_u128).collect(),
            on_behalf_of: user(self.on_behalf_of)?,
            tags: self.tags,
            transitive_tags: self.transitive,
            policy: self.policy.map(Arc::from),
            mfa: self.mfa,
            issued_ms: self.issued_ms,
            expires_ms: self.expires_ms,
        })
    }
}

/// Longest session of any kind, in seconds: temporary credentials of a user's own.
pub const LONGEST_SESSION_SECONDS: u32 = 129_600;

/// As many as long-term ones have.
const SECRET_CHARS: usize = 40;
const KEY_PREFIX: &str = "ASIA";
const KEY_CHARS: usize = 16;

/// The access key id of a session: 80 bits of a hash of its id, of which the other way does not lead back.
pub(super) fn access_key_id_of(session: Uuid) -> String {
    let digest = Sha256::new().chain_update("access key of session").chain_update(session.as_bytes()).finalize();
    let letters = digest.iter().take(KEY_CHARS).map(|byte| char::from(BASE32[usize::from(byte % 32)]));
    KEY_PREFIX.chars().chain(letters).collect()
}

/// Whether a session could have that access key id.
pub(super) fn is_temporary_key_id(text: &str) -> bool {
    let letters = text.strip_prefix(KEY_PREFIX).map(str::as_bytes);
    letters.is_some_and(|letters| letters.len() == KEY_CHARS && letters.iter().all(|byte| BASE32.contains(byte)))
}
