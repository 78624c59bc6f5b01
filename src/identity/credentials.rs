//! Long-term credentials: SSH keys, Git user names with passwords, access keys. Secrets are in types that do not print.

use std::collections::HashSet;

use hmac::{Hmac, KeyInit, Mac};
use parking_lot::Mutex;
use russh::keys::{Algorithm, HashAlg, PublicKey};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use uuid::Uuid;

use crate::names::{AccountId, PrincipalName};
use crate::store::seal::random;

/// A credential as lists show it; no secret is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// Its id, in AWS's form: `APKA...` for SSH keys, `ACCA...` for Git credentials, `AKIA...` for access keys.
    pub id: String,
    /// What it is.
    pub kind: CredentialKind,
    /// When it was made, in milliseconds since the Unix epoch.
    pub created_ms: i64,
}

/// Sorts of credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CredentialKind {
    /// An SSH public key, by its SHA-256 fingerprint.
    SshKey {
        /// `SHA256:...`
        fingerprint: String,
    },
    /// A user name and password for Git over HTTPS.
    Git {
        /// The user name.
        user_name: String,
    },
    /// An access key for the API.
    AccessKey,
}

/// A Git credential, shown once.
pub struct GitCredential {
    /// Its id.
    pub id: String,
    /// The user name.
    pub user_name: String,
    /// The password.
    pub password: String,
}

/// An access key, shown once.
pub struct NewAccessKey {
    /// Its id.
    pub id: String,
    /// Its secret.
    pub secret: String,
}

/// What the first start leaves for the administrator.
pub struct AdminCredentials {
    /// The first account.
    pub account: AccountId,
    /// The user.
    pub user: PrincipalName,
    /// The access key.
    pub access_key_id: String,
    /// Its secret.
    pub secret_access_key: String,
    /// The user name for Git over HTTPS.
    pub git_user_name: String,
    /// Its password.
    pub git_password: String,
}

/// The SHA-256 fingerprint of a key, as OpenSSH prints it.
pub fn fingerprint(key: &PublicKey) -> String {
    key.fingerprint(HashAlg::Sha256).to_string()
}

/// Reads a line of OpenSSH public key text, and refuses what is too weak.
pub(super) fn parse_ssh_key(text: &str) -> Result<PublicKey, String> {
    let text = text.trim();
    if text.len() > 16 << 10 {
        return Err("it is longer than 16 KiB".into());
    }
    if text.lines().count() != 1 || text.contains("PRIVATE KEY") {
        return Err("give one line of a public key file, such as ~/.ssh/id_ed25519.pub".into());
    }
    let key = PublicKey::from_openssh(text).map_err(|error| error.to_string())?;
    match key.algorithm() {
        Algorithm::Dsa => Err("DSA keys are too weak; make one with: ssh-keygen -t ed25519".into()),
        Algorithm::Rsa { .. } => match key.key_data().rsa() {
            // The modulus, without a leading zero byte.
            Some(rsa) if rsa.n().as_positive_bytes().is_some_and(|modulus| modulus.len() >= 256) => Ok(key),
            _ => Err("RSA keys need at least 2048 bits; or make one with: ssh-keygen -t ed25519".into()),
        },
        _ => Ok(key),
    }
}

/// An id in AWS's form: a prefix and sixteen characters of base 32.
pub(super) fn new_id(prefix: &str) -> String {
    const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let bytes: [u8; 16] = random();
    let rest: String = bytes.iter().map(|byte| char::from(BASE32[usize::from(byte % 32)])).collect();
    format!("{prefix}{rest}")
}

/// A secret of `n` characters that need no quoting in URLs and shells: six random bits each.
pub(super) fn new_secret(n: usize) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    (0..n)
        .map(|_| {
            let [byte]: [u8; 1] = random();
            char::from(ALPHABET[usize::from(byte % 64)])
        })
        .collect()
}

/// An argon2id hash of a password (19 MiB, two passes, one lane: OWASP's recommendation).
#[derive(Clone)]
pub struct PasswordHash {
    pub(super) salt: Vec<u8>,
    pub(super) hash: Vec<u8>,
}

impl PasswordHash {
    /// Hashes a password under a fresh salt.
    pub fn of(password: &str) -> PasswordHash {
        let salt = random::<16>().to_vec();
        let hash = argon2id(password, &salt);
        PasswordHash { salt, hash }
    }

    /// Whether the password is the one that was hashed, in constant time.
    pub fn verify(&self, password: &str) -> bool {
        argon2id(password, &self.salt).ct_eq(&self.hash).into()
    }
}

fn argon2id(password: &str, salt: &[u8]) -> Vec<u8> {
    let params = argon2::Params::new(19_456, 2, 1, Some(32)).expect("the parameters are within argon2's bounds");
    let argon2 = argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params);
    let mut out = vec![0; 32];
    // Longer than any password that is given out; what is cut cannot match.
    let password = &password.as_bytes()[..password.len().min(1024)];
    argon2.hash_password_into(password, salt, &mut out).expect("salt and output are within argon2's bounds");
    out
}

/// Remembers passwords that were right, by a keyed digest, so that the hash is not paid at each request.
pub(super) struct PasswordCache {
    key: [u8; 32],
    known: Mutex<HashSet<[u8; 32]>>,
}

const REMEMBERED_PASSWORDS: usize = 100_000;

impl Default for PasswordCache {
    fn default() -> Self {
        PasswordCache { key: random(), known: Mutex::default() }
    }
}

impl PasswordCache {
    fn digest(&self, user: &str, password: &str) -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("HMAC takes keys of any length");
        mac.update(&(user.len() as u64).to_be_bytes());
        mac.update(user.as_bytes());
        mac.update(password.as_bytes());
        mac.finalize().into_bytes().into()
    }

    pub(super) fn knows(&self, user: &str, password: &str) -> bool {
        self.known.lock().contains(&self.digest(user, password))
    }

    pub(super) fn remember(&self, user: &str, password: &str) {
        let digest = self.digest(user, password);
        let mut known = self.known.lock();
        if known.len() >= REMEMBERED_PASSWORDS {
            known.clear();
        }
        known.insert(digest);
    }

    pub(super) fn forget_all(&self) {
        self.known.lock().clear();
    }
}

/// A new record's id.
pub(super) fn new_uuid() -> Uuid {
    Uuid::now_v7()
}
