//! What proves that someone is who they say: SSH public keys, Git passwords, access keys.
//!
//! A credential has a public part, [`Credential`], that lists show, and a secret one that stays in this module: a hash
//! where a hash is enough, the secret itself for access keys, whose signatures cannot be checked otherwise.

use russh::keys::ssh_key::public::KeyData;
use russh::keys::{HashAlg, PublicKey};
use secrecy::{SecretSlice, SecretString};
use uuid::Uuid;

use crate::names::{AccountId, escape_for_people};

use super::entries::MfaDevice;
use super::error::IdentityError;
use super::password::{BASE32, PasswordHash, random_text};
use super::principal::Principal;

/// A credential without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// What it is listed and revoked by: `APKA`, `ACCA` or `AKIA` and sixteen characters, as AWS makes them.
    pub id: String,
    /// The account of its user.
    pub account: AccountId,
    /// The user's id.
    pub user: Uuid,
    /// What it is.
    pub kind: CredentialKind,
    /// Whether it is taken; one that is not can be again.
    pub active: bool,
    /// When it was made, in milliseconds since the Unix epoch.
    pub created_ms: i64,
}

/// The kinds of credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CredentialKind {
    /// A public key for SSH. It belongs to one user only, and finds the user by itself.
    SshKey {
        /// `SHA256:...`, as `ssh-keygen -l` prints it.
        fingerprint: String,
        /// The key in OpenSSH's one-line form, without comment.
        openssh: String,
        /// The comment, made safe to print.
        comment: String,
    },
    /// User name and password for Git over HTTPS.
    Git {
        /// Such as `alice-at-111111111111`; no two credentials have the same.
        user_name: String,
    },
    /// An access key for signed requests; the credential's id is the key's.
    AccessKey,
    /// A public key whose signatures on commits are the user's. It opens no door.
    SigningKey(SigningKeyInfo),
}

/// A key that a user signs commits with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningKeyInfo {
    /// What it is listed by: `SHA256:...` for SSH, hexadecimal digits for OpenPGP. No two credentials have the same.
    pub fingerprint: String,
    /// What signatures may name it by, the fingerprint and subkeys among them.
    pub names: Vec<String>,
    /// The key, as `repository::signature` writes it.
    pub key: Vec<u8>,
    /// Commits from before count as unsigned, in milliseconds since the Unix epoch.
    pub from_ms: Option<i64>,
    /// Commits from after count as unsigned, in milliseconds since the Unix epoch.
    pub until_ms: Option<i64>,
}

impl CredentialKind {
    /// The word for it in lists.
    pub fn as_str(&self) -> &'static str {
        match self {
            CredentialKind::SshKey { .. } => "ssh-key",
            CredentialKind::Git { .. } => "git",
            CredentialKind::AccessKey => "access-key",
            CredentialKind::SigningKey(_) => "signing-key",
        }
    }
}

/// A new Git credential. The password is not to be had again.
#[derive(Debug)]
pub struct NewGitCredential {
    /// The credential's id.
    pub id: String,
    /// What Git gives as user name.
    pub user_name: String,
    /// What Git gives as password.
    pub password: SecretString,
}

/// A new access key. The secret is not shown again.
#[derive(Debug)]
pub struct NewAccessKey {
    /// The access key id.
    pub id: String,
    /// The secret access key.
    pub secret: SecretString,
}

/// An access key for the check of a signature.
#[derive(Debug, Clone)]
pub struct AccessKey {
    /// Whom a right signature proves. Nobody has proven anything before.
    pub principal: Principal,
    /// The secret access key.
    pub secret: SecretString,
}

/// A device with its seed, as it is stored.
#[derive(Debug, Clone)]
pub(super) struct StoredMfaDevice {
    pub(super) public: MfaDevice,
    pub(super) seed: SecretSlice<u8>,
    /// By how many steps of 30 seconds its clock is ahead, as it was found when it was resynchronized last.
    pub(super) drift: i64,
}

/// A credential with its secret, as it is stored.
#[derive(Debug, Clone)]
pub(super) struct StoredCredential {
    pub(super) record_id: Uuid,
    pub(super) public: Credential,
    pub(super) secret: Secret,
}

#[derive(Debug, Clone)]
pub(super) enum Secret {
    /// An SSH public key has none here.
    None,
    /// A Git password's.
    Hash(PasswordHash),
    /// An access key's.
    Text(SecretString),
}

/// A fresh credential id: `prefix` and sixteen random characters.
pub(super) fn new_id(prefix: &str) -> String {
    format!("{prefix}{}", random_text(BASE32, 16))
}

/// The fingerprint by which keys are found.
pub(super) fn fingerprint(key: &PublicKey) -> String {
    key.fingerprint(HashAlg::Sha256).to_string()
}

/// The smallest RSA key that is taken, in bits.
const MIN_RSA_BITS: usize = 2048;
/// The largest: checking a signature takes longer with its square.
const MAX_RSA_BITS: usize = 16384;
/// Longest text that is looked at.
const MAX_KEY_TEXT_BYTES: usize = 16 << 10;

/// Reads a public key file: one key, no options, of a kind that is safe.
pub(super) fn parse_ssh_key(text: &str) -> Result<CredentialKind, IdentityError> {
    let text = text.trim();
    let not_a_key = |why: &str| Err(IdentityError::NotAnSshKey(why.to_string()));
    if text.len() > MAX_KEY_TEXT_BYTES {
        return not_a_key("it is longer than 16 KiB");
    }
    if text.contains("PRIVATE KEY") {
        return not_a_key("it is a private key, which should stay where it is; give the `.pub` file");
    }
    if text.lines().count() != 1 {
        return not_a_key("it is not one line");
    }
    let key = PublicKey::from_openssh(text).map_err(|error| IdentityError::NotAnSshKey(error.to_string()))?;
    let refused = |why: String| Err(IdentityError::SshKeyRefused(why));
    match key.key_data() {
        KeyData::Ed25519(_) | KeyData::Ecdsa(_) | KeyData::SkEd25519(_) | KeyData::SkEcdsaSha2NistP256(_) => {}
        KeyData::Rsa(rsa) => {
            let modulus = rsa.n().as_positive_bytes().unwrap_or_default();
            let n_bits = (modulus.len() * 8).saturating_sub(modulus.first().map_or(0, |b| b.leading_zeros() as usize));
            if !(MIN_RSA_BITS..=MAX_RSA_BITS).contains(&n_bits) {
                return refused(format!("RSA keys have {MIN_RSA_BITS} to {MAX_RSA_BITS} bits, this one {n_bits}"));
            }
        }
        KeyData::Dsa(_) => return refused("DSA is broken; make an Ed25519 key".to_string()),
        KeyData::Certificate(_) => return refused("it is a certificate; give the plain key".to_string()),
        other => return refused(format!("keys of kind `{}` are not known here", other.algorithm())),
    }
    let openssh = PublicKey::from(key.key_data().clone())
        .to_openssh()
        .map_err(|error| IdentityError::NotAnSshKey(error.to_string()))?;
    Ok(CredentialKind::SshKey {
        fingerprint: fingerprint(&key),
        openssh: openssh.trim_end().to_string(),
        comment: escape_for_people(key.comment().as_bytes(), 200),
    })
}
