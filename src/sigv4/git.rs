//! The signed passwords of `git-remote-codecommit` and of the credential helper of AWS's command line.
//!
//! The user name is an access key id, with `%` and the session token behind it for temporary ones; the password is a time and a
//! signature over the repository's path and the host. What was signed for one repository opens no other; pull and push, and
//! what is sent, are not signed, so each request is decided by itself. The session token is not signed either: it is sealed.

use secrecy::SecretString;
use sha2::{Digest, Sha256};

use super::{SignatureError, SigningKeys, from_hex, hex, is_signature, mismatch, seconds_of, timestamp_of};

/// How old a password may be where a conversation begins.
pub const FIRST_AGE_SECONDS: i64 = 15 * 60;
/// How old it may be where a conversation goes on: a client keeps its password to the end of a long push.
pub const LATER_AGE_SECONDS: i64 = 12 * 60 * 60;
const MAX_SKEW_SECONDS: i64 = 15 * 60;

/// A signed password, and whom it names. Nothing is proven.
#[derive(Clone, PartialEq, Eq)]
pub struct GitPassword {
    /// `AKIA...` or `ASIA...`
    pub access_key_id: String,
    /// The session token.
    pub token: Option<String>,
    /// `yyyymmddThhmmss`, without the `Z` that the password has.
    timestamp: String,
    seconds: i64,
    signature: [u8; 32],
}

impl GitPassword {
    /// Takes a user name and password apart; none where they are of another kind.
    pub fn parse(user: &str, password: &str) -> Option<GitPassword> {
        let (access_key_id, token) = match user.split_once('%') {
            Some((id, token)) => (id, Some(token.to_owned())),
            None => (user, None),
        };
        let is_id = (16..=128).contains(&access_key_id.len())
            && (access_key_id.starts_with("AKIA") || access_key_id.starts_with("ASIA"))
            && access_key_id.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
        if !is_id || !password.is_ascii() || password.len() != 80 {
            return None;
        }
        let (timestamp, signature) = password.split_at(16);
        Some(GitPassword {
            access_key_id: access_key_id.to_owned(),
            token,
            timestamp: timestamp[..15].to_owned(),
            seconds: seconds_of(timestamp)?,
            signature: from_hex(signature)?,
        })
    }

    /// What tells this password for a repository's path from every other.
    pub fn digest(&self, path: &str) -> [u8; 32] {
        let mut hash = Sha256::new();
        for part in [self.access_key_id.as_bytes(), self.timestamp.as_bytes(), &self.signature, path.as_bytes()] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        hash.finalize().into()
    }

    /// Whether `secret` signed `path` for one of the `hosts`, which clients write differently, at most `max_age_seconds` ago.
    pub fn verify(
        &self,
        secret: &SecretString,
        hosts: &[String],
        path: &str,
        region: &str,
        keys: &SigningKeys,
        max_age_seconds: i64,
        now: i64,
    ) -> Result<(), SignatureError> {
        if now > self.seconds + max_age_seconds {
            let (earliest, now) = (timestamp_of(now - max_age_seconds), timestamp_of(now));
            return Err(SignatureError::Expired { signed: self.timestamp.clone(), earliest, now });
        }
        if now < self.seconds - MAX_SKEW_SECONDS {
            let (latest, now) = (timestamp_of(now + MAX_SKEW_SECONDS), timestamp_of(now));
            return Err(SignatureError::Early { signed: self.timestamp.clone(), latest, now });
        }
        let date = &self.timestamp[..8];
        let is_right = keys.with_key(&self.access_key_id, secret, (date, region, "codecommit"), |key| {
            hosts.iter().any(|host| {
                let to_sign = to_sign(host, path, &self.timestamp, region);
                is_signature(key, &to_sign, &self.signature)
            })
        });
        if is_right { Ok(()) } else { Err(mismatch()) }
    }
}

/// The string that is signed, at `yyyymmddThhmmss`.
pub(super) fn to_sign(host: &str, path: &str, timestamp: &str, region: &str) -> String {
    let request = format!("GIT\n{path}\n\nhost:{host}\n\nhost\n");
    let (date, hash) = (&timestamp[..8], hex(&Sha256::digest(request.as_bytes())));
    format!("AWS4-HMAC-SHA256\n{timestamp}\n{date}/{region}/codecommit/aws4_request\n{hash}")
}

/// Says neither token nor signature.
impl std::fmt::Debug for GitPassword {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "GitPassword({} at {})", self.access_key_id, self.timestamp)
    }
}
