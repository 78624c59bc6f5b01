//! From a credential to a principal.
//!
//! A Git password costs an argon2id hash, tens of milliseconds of a core, and Git asks several times a second. So a
//! pair that was right is remembered, as a keyed digest that means nothing outside this process, until anything in the
//! directory changes. Wrong pairs are never remembered: an attacker can neither fill the memory nor gain from it.

use std::collections::HashMap;
use std::hash::RandomState;
use std::net::IpAddr;

use hmac::{Hmac, KeyInit, Mac};
use parking_lot::Mutex;
use russh::keys::PublicKey;
use sha2::Sha256;
use uuid::Uuid;

use crate::store::seal::Key;

use super::Identity;
use super::credential::{AccessKey, Secret};
use super::login_guard::LoginGuard;
use super::password::{HashSlots, PasswordHash};
use super::principal::Principal;

/// Why a user name and password were not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LoginFailure {
    /// Unknown user, wrong password, disabled: all alike to the outside, in words and in time.
    #[error("the user name or password is wrong")]
    Wrong,
    /// Too many failures from this address or for this user, or too many checks under way.
    #[error("too many attempts, try again in {retry_after_seconds} seconds")]
    TooMany {
        /// Seconds until the next attempt is looked at; at least 1.
        retry_after_seconds: u32,
    },
}

impl Identity {
    /// Checks a Git user name and password. `source` is the peer's address, for the slowing down of guesses. Blocks: call
    /// it on a thread that may.
    pub fn authenticate_git(&self, user: &str, password: &str, source: IpAddr) -> Result<Principal, LoginFailure> {
        let logins = &self.inner.logins;
        logins.guard.check_address(source, self.now_ms()).map_err(too_many)?;
        let digest = logins.digest(user, password);
        let directory = self.directory();
        // Someone else's wrong guesses at a name do not lock out whom we know to be right: this goes first.
        if let Some(credential) = directory.git_credential(user)
            && logins.was_right(directory.counter(), &digest, credential.record_id)
            && let Some(principal) = directory.principal_of(&credential.public)
        {
            return Ok(principal);
        }
        logins.guard.check_user(user, self.now_ms()).map_err(too_many)?;
        let _slot = logins.slots.take().ok_or_else(|| too_many(1000))?;
        // Others may have failed while this one waited, and the directory may have changed.
        let now_ms = self.now_ms();
        logins.guard.check_address(source, now_ms).map_err(too_many)?;
        logins.guard.check_user(user, now_ms).map_err(too_many)?;
        let directory = self.directory();
        let credential = directory.git_credential(user);
        let hash = match credential.map(|credential| &credential.secret) {
            Some(Secret::Hash(hash)) => hash,
            _ => &logins.nobody,
        };
        // INVARIANT: the hash is paid whether the user exists or not, and before anything else is looked at.
        let is_right = hash.is_of(password);
        let principal = credential.filter(|_| is_right).and_then(|credential| {
            let principal = directory.principal_of(&credential.public)?;
            logins.remember(directory.counter(), digest, credential.record_id);
            Some(principal)
        });
        principal.ok_or_else(|| {
            logins.guard.failed(source, user, now_ms);
            LoginFailure::Wrong
        })
    }

    /// Whom an SSH key belongs to; none where nobody, or where the user is disabled. It says nothing about whether the
    /// peer holds the key: that takes a verified signature (attack checklist C1). The principal's `credential` is the
    /// key's id, for clients that give it as SSH user name.
    pub fn authenticate_ssh_key(&self, key: &PublicKey) -> Option<Principal> {
        let directory = self.directory();
        directory.principal_of(&directory.ssh_credential(key)?.public)
    }

    /// An access key's secret, for the check of a signature, and whom that signature proves; none where there is no such
    /// key or its user is disabled.
    pub fn access_key(&self, id: &str) -> Option<AccessKey> {
        let directory = self.directory();
        let credential = directory.access_key_credential(id)?;
        let Secret::Text(secret) = &credential.secret else { return None };
        Some(AccessKey { principal: directory.principal_of(&credential.public)?, secret: secret.clone() })
    }

    /// Whether a principal of a while ago still is one: the user is there and not disabled and the credential not
    /// revoked, the session not over. Asked again when a push is about to be published and in long transfers (attack
    /// checklist D8).
    pub fn is_active(&self, principal: &Principal) -> bool {
        self.directory().is_active(principal, self.now_ms())
    }

    /// How many password hashes were paid for since the start, for metrics.
    pub fn n_password_hashes(&self) -> u64 {
        self.inner.logins.slots.n_taken()
    }
}

/// What checks of passwords need besides the directory.
pub(super) struct Logins {
    guard: LoginGuard,
    slots: HashSlots,
    nobody: PasswordHash,
    digest_key: Key,
    right: Mutex<Right>,
}

/// The pairs that were right under one state of the directory.
struct Right {
    counter: i64,
    credentials: HashMap<[u8; 32], Uuid, RandomState>,
}

/// When it is full it begins anew, which costs a hash for each pair that is still in use.
const MAX_REMEMBERED: usize = 1 << 14;

impl Logins {
    pub(super) fn new() -> Logins {
        Logins {
            guard: LoginGuard::new(),
            slots: HashSlots::new(),
            nobody: PasswordHash::nobody(),
            digest_key: Key::random(),
            right: Mutex::new(Right { counter: -1, credentials: HashMap::new() }),
        }
    }

    /// What slows guesses down.
    pub(super) fn guard(&self) -> &LoginGuard {
        &self.guard
    }

    fn digest(&self, user: &str, password: &str) -> [u8; 32] {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(self.digest_key.dangerous_bytes()).expect("HMAC takes keys of any length");
        mac.update(&(user.len() as u64).to_be_bytes());
        mac.update(user.as_bytes());
        mac.update(password.as_bytes());
        mac.finalize().into_bytes().into()
    }

    fn was_right(&self, counter: i64, digest: &[u8; 32], credential: Uuid) -> bool {
        let right = self.right.lock();
        right.counter == counter && right.credentials.get(digest) == Some(&credential)
    }

    fn remember(&self, counter: i64, digest: [u8; 32], credential: Uuid) {
        let mut right = self.right.lock();
        // A check that began under an older directory must not bring its result into a newer one.
        if right.counter > counter {
            return;
        }
        if right.counter < counter || right.credentials.len() >= MAX_REMEMBERED {
            right.counter = counter;
            right.credentials.clear();
        }
        right.credentials.insert(digest, credential);
    }
}

fn too_many(wait_ms: i64) -> LoginFailure {
    let seconds = u32::try_from((wait_ms + 999) / 1000).unwrap_or(u32::MAX);
    LoginFailure::TooMany { retry_after_seconds: seconds.max(1) }
}
