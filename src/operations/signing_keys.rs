//! Registering keys that sign commits: what a key says of itself, and the proof that whoever registers it holds it.
//!
//! A registered key makes other people's commits count as its holder's. So who registers one for itself, over the API, shows a
//! commit signed by it whose message is [`statement`]: otherwise somebody could claim another's public key, and with it the
//! commits. The administrator's command line asks for no proof.

use crate::identity::{Credential, Identity, IdentityError, SigningKeyInfo};
use crate::names::{AccountId, PrincipalName};
use crate::repository::object::ObjectKind;
use crate::repository::signature::{SignatureError, SigningKey, signed_parts};

/// Why a key is not registered.
#[derive(Debug, thiserror::Error)]
pub enum SigningKeyError {
    /// It is no key that can be used.
    #[error(transparent)]
    Key(SignatureError),
    /// The proof is no commit that this key has signed.
    #[error("the proof is no commit that the key has signed")]
    Proof(#[source] SignatureError),
    /// The proof is not signed.
    #[error("the proof is not signed: it is a signed commit, as `git cat-file commit` prints it")]
    Unsigned,
    /// The proof says something else.
    #[error("the proof says something else: its message has to be `{expected}`")]
    OtherStatement {
        /// What it has to say.
        expected: String,
    },
    /// The directory says no.
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

/// A key that is to be registered; the times are from when and until when commits count, in milliseconds since the Unix epoch.
#[derive(Debug, Clone, Copy)]
pub struct NewSigningKey<'a> {
    /// An OpenSSH public key line or an armored OpenPGP public key.
    pub public_key: &'a str,
    /// Commits from before count as unsigned.
    pub from_ms: Option<i64>,
    /// Commits from after count as unsigned.
    pub until_ms: Option<i64>,
}

impl NewSigningKey<'_> {
    /// Registers it for a user, whoever holds it.
    pub async fn register(
        &self,
        identity: &Identity,
        account: &AccountId,
        user: &PrincipalName,
    ) -> Result<Credential, SigningKeyError> {
        let key = SigningKey::parse(self.public_key).map_err(SigningKeyError::Key)?;
        Ok(identity.add_signing_key(account, user, self.info(&key)).await?)
    }

    /// Registers it for a user who holds it: `proof` is a commit signed by it, raw, whose message is [`statement`].
    pub async fn register_with_proof(
        &self,
        identity: &Identity,
        (account, user): (&AccountId, &PrincipalName),
        proof: &[u8],
        now_seconds: i64,
    ) -> Result<Credential, SigningKeyError> {
        let key = SigningKey::parse(self.public_key).map_err(SigningKeyError::Key)?;
        let signed = signed_parts(proof, ObjectKind::Commit).map_err(SigningKeyError::Proof)?;
        let signed = signed.ok_or(SigningKeyError::Unsigned)?;
        signed.verify(&key, now_seconds).map_err(SigningKeyError::Proof)?;
        // Only what is signed counts, and of it the message: the rest of a commit is not about keys.
        let expected = statement(account, user);
        let payload = signed.payload();
        let message = memchr::memmem::find(payload, b"\n\n").map(|at| payload[at..].trim_ascii());
        if message != Some(expected.as_bytes()) {
            return Err(SigningKeyError::OtherStatement { expected });
        }
        Ok(identity.add_signing_key(account, user, self.info(&key)).await?)
    }

    fn info(&self, key: &SigningKey) -> SigningKeyInfo {
        SigningKeyInfo {
            fingerprint: key.fingerprint().to_string(),
            names: key.names().iter().map(ToString::to_string).collect(),
            key: key.to_bytes(),
            from_ms: self.from_ms,
            until_ms: self.until_ms,
        }
    }
}

/// What the proof for a user's key says.
pub fn statement(account: &AccountId, user: &PrincipalName) -> String {
    format!("signing key of arn:aws:iam::{account}:user/{user}")
}
