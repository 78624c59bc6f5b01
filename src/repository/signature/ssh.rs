//! SSH keys and the signatures that `ssh-keygen -Y sign` makes with them.
//!
//! Format: OpenSSH's `PROTOCOL.sshsig`, and `PROTOCOL.u2f` for security keys. Reading and the arithmetic are the SSH key
//! module's; which keys and algorithms count is decided here.

use russh::keys::ssh_key::encoding::{Decode, Encode};
use russh::keys::ssh_key::public::KeyData;
use russh::keys::ssh_key::{Algorithm, Fingerprint, HashAlg, PublicKey, SshSig};

use crate::names::escape_for_people;

use super::{KeyName, SignatureError, Verified, check_rsa_bits};

/// What commits and tags are signed for; signatures for files, mail or logins have other names here.
const NAMESPACE: &str = "git";

/// `SSH_SK_USER_PRESENCE_REQD`: the owner touched the security key.
const SK_USER_PRESENT: u8 = 0x01;
/// What follows the signature proper of a security key: one octet of flags, four of a counter.
const SK_TRAILER_BYTES: usize = 5;

/// A public key of a kind whose signatures count.
#[derive(Debug, Clone)]
pub struct SshKey {
    key: PublicKey,
    line: String,
    fingerprint: KeyName,
}

impl SshKey {
    /// Reads one line of a `.pub` file; the comment is dropped.
    pub(super) fn parse(line: &str) -> Result<SshKey, SignatureError> {
        if line.lines().count() != 1 {
            return Err(SignatureError::not_a_key("it is neither one OpenSSH line nor an armored OpenPGP key"));
        }
        let key = PublicKey::from_openssh(line).map_err(|error| SignatureError::not_a_key(error.to_string()))?;
        check_key(key.key_data())?;
        let key = PublicKey::from(key.key_data().clone());
        let line = key.to_openssh().map_err(|error| SignatureError::not_a_key(error.to_string()))?;
        let line = line.trim_end().to_string();
        Ok(SshKey { fingerprint: key_name(key.fingerprint(HashAlg::Sha256)), key, line })
    }

    /// `kind base64`, without comment or line feed.
    pub(super) fn line(&self) -> &str {
        &self.line
    }

    pub(super) fn fingerprint(&self) -> &KeyName {
        &self.fingerprint
    }
}

/// A signature that was made for git, by a key and in a way that count.
#[derive(Debug)]
pub(super) struct SshSignature {
    signature: SshSig,
    fingerprint: KeyName,
}

impl SshSignature {
    /// Reads the blob inside the armor.
    pub(super) fn parse(blob: &[u8]) -> Result<SshSignature, SignatureError> {
        let malformed = |error: russh::keys::ssh_key::Error| SignatureError::malformed(error.to_string());
        let signature = SshSig::decode(&mut &blob[..]).map_err(malformed)?;
        // One encoding only: nothing may hide behind the end or in fields of a length that the reader shrugs off.
        if signature.encode_vec().map_err(|error| malformed(error.into()))? != blob {
            return Err(SignatureError::malformed("it is not encoded as OpenSSH would"));
        }
        if signature.version() != SshSig::VERSION {
            return Err(SignatureError::Unsupported {
                what: format!("SSH signatures of version {}", signature.version()),
            });
        }
        if signature.namespace() != NAMESPACE {
            let namespace = escape_for_people(signature.namespace().as_bytes(), 60);
            return Err(SignatureError::Namespace { namespace });
        }
        // Reserved bytes would be signed, but by somebody who means more than is known here.
        if !signature.reserved().is_empty() {
            return Err(SignatureError::Unsupported { what: "SSH signatures with reserved data".to_string() });
        }
        check_key(signature.public_key())?;
        check_algorithm(&signature)?;
        let fingerprint = key_name(signature.public_key().fingerprint(HashAlg::Sha256));
        Ok(SshSignature { signature, fingerprint })
    }

    /// The key that the signature carries.
    pub(super) fn fingerprint(&self) -> &KeyName {
        &self.fingerprint
    }

    pub(super) fn verify(&self, key: &SshKey, payload: &[u8]) -> Result<Verified, SignatureError> {
        if key.key.key_data() != self.signature.public_key() {
            return Err(SignatureError::OtherKey { key: key.fingerprint.clone() });
        }
        key.key
            .verify(NAMESPACE, payload, &self.signature)
            .map_err(|_| SignatureError::Mismatch { key: key.fingerprint.clone() })?;
        Ok(Verified { key: key.fingerprint.clone(), made_at_seconds: None })
    }
}

fn key_name(fingerprint: Fingerprint) -> KeyName {
    KeyName(fingerprint.to_string())
}

/// Whether signatures by this kind of key count.
fn check_key(key: &KeyData) -> Result<(), SignatureError> {
    match key {
        KeyData::Ed25519(_) | KeyData::Ecdsa(_) => Ok(()),
        KeyData::SkEd25519(key) => check_application(key.application()),
        KeyData::SkEcdsaSha2NistP256(key) => check_application(key.application()),
        KeyData::Rsa(key) => {
            let modulus = key.n().as_positive_bytes().unwrap_or_default();
            let n_leading_zeros = modulus.first().map_or(0, |first| first.leading_zeros() as usize);
            check_rsa_bits((modulus.len() * 8).saturating_sub(n_leading_zeros))
        }
        KeyData::Dsa(_) => Err(SignatureError::weak_key("DSA is broken")),
        KeyData::Certificate(_) => Err(SignatureError::weak_key("it is a certificate, which names no one here")),
        other => {
            let kind = escape_for_people(other.algorithm().as_str().as_bytes(), 60);
            Err(SignatureError::weak_key(format!("keys of kind `{kind}` are not known here")))
        }
    }
}

/// A security key signs for many applications, web sites among them; those of SSH begin so.
fn check_application(application: &str) -> Result<(), SignatureError> {
    if application.starts_with("ssh:") {
        return Ok(());
    }
    Err(SignatureError::weak_key("the security key is for something other than SSH"))
}

/// The signature's algorithm is one of its key's, and a good one.
fn check_algorithm(signature: &SshSig) -> Result<(), SignatureError> {
    let algorithm = signature.algorithm();
    let fits = match signature.public_key().algorithm() {
        Algorithm::Rsa { .. } => match algorithm {
            Algorithm::Rsa { hash: Some(_) } => true,
            Algorithm::Rsa { hash: None } => return Err(SignatureError::WeakHash { hash: "SHA-1".to_string() }),
            _ => false,
        },
        of_key => of_key == algorithm,
    };
    if !fits {
        return Err(SignatureError::malformed("its algorithm is not its key's"));
    }
    if matches!(algorithm, Algorithm::SkEd25519 | Algorithm::SkEcdsaSha2NistP256) {
        let bytes = signature.signature_bytes();
        let flags = bytes.len().checked_sub(SK_TRAILER_BYTES).and_then(|at| bytes.get(at)).copied().unwrap_or(0);
        if flags & SK_USER_PRESENT == 0 {
            return Err(SignatureError::NotTouched);
        }
    }
    Ok(())
}
