//! Signatures of commits and tags, SSH and OpenPGP: what is signed, which key claims to have signed it, and whether it did.
//!
//! Three steps, because between them the caller looks keys up: [`signed_parts`] takes an object apart, [`Signed::claimed_keys`]
//! names the keys it says it is signed by, [`Signed::verify`] checks it with one of them. Pure functions of bytes: no I/O, no
//! clock, no directory of users; whose key it is, and from when until when that person stands by it, is the caller's.
//!
//! Stricter than the tools that sign. What they would let pass with a warning, or could read in two ways, is an error here: a
//! signature counts fully or not at all. The bytes that are checked are the object's own, never normalised ones (B6).
//!
//! | refused | why |
//! |---|---|
//! | two `gpgsig` headers, or an unknown header that begins so | tools differ in which they check; git leaves the others unsigned |
//! | anything after the end of the signature | it would be part of the object and signed by nobody |
//! | MD5, SHA-1, RIPEMD, SHA-224; RSA below 2048 bits; DSA | forgeable, or near it |
//! | SSH: a namespace other than `git`, a certificate, a security key that nobody touched | made for something else |
//! | OpenPGP: text-mode signatures, critical subpackets that are not known | not over the raw bytes; not understood |
//! | OpenPGP: a subkey without a valid binding and back signature | anybody could adopt somebody's subkey |
//!
//! Formats: git's `gitformat-signature`, OpenSSH's `PROTOCOL.sshsig`, RFC 9580 (and 4880 for what GnuPG writes).

mod armor;
mod certificate;
mod openpgp;
mod payload;
mod ssh;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;

use crate::names::escape_for_people;
use crate::repository::object::ObjectKind;

use self::armor::Label;

/// Longest commit or tag that is taken apart, in bytes.
pub const MAX_OBJECT_BYTES: usize = 16 << 20;
/// Longest armored signature, in bytes. An RSA one over 8192 bits has about 2 KiB.
pub const MAX_SIGNATURE_BYTES: usize = 32 << 10;
/// Longest text of a public key, in bytes. Large only for OpenPGP keys that many people have certified.
pub const MAX_KEY_BYTES: usize = 128 << 10;

/// The smallest RSA key that is taken, in bits.
const MIN_RSA_BITS: usize = 2048;
/// The largest: checking takes longer with its square, and both readers stop at this size.
const MAX_RSA_BITS: usize = 8192;

/// Why an object counts as unsigned, or a key is not taken. The text is for the person who signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// More bytes than are looked at.
    #[error("the {what} has {n_bytes} bytes; more than {limit_bytes} are not looked at")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// Its size.
        n_bytes: usize,
        /// The most that is read.
        limit_bytes: usize,
    },
    /// The object's headers can be read in two ways, of which only one is signed.
    #[error("the {kind} is signed ambiguously: {rule}")]
    Ambiguous {
        /// What the object is.
        kind: ObjectKind,
        /// What does not hold.
        rule: &'static str,
    },
    /// The signature's encoding.
    #[error("the signature is malformed: {why}")]
    Malformed {
        /// What does not hold.
        why: String,
    },
    /// A signature of a kind, version or algorithm that is not verified here.
    #[error("{what} are not verified here")]
    Unsupported {
        /// The kind, in the plural.
        what: String,
    },
    /// Made by the right key for something else.
    #[error("the signature's namespace is `{namespace}`, not `git`")]
    Namespace {
        /// The namespace it was made in.
        namespace: String,
    },
    /// The hash can be forged.
    #[error("signed with {hash}, which can be forged")]
    WeakHash {
        /// The hash's name.
        hash: String,
    },
    /// A security key answered without its owner.
    #[error("the security key signed without being touched")]
    NotTouched,
    /// The key that was given is not the one the signature names.
    #[error("the signature is not by key `{key}`")]
    OtherKey {
        /// The fingerprint of the key that was given.
        key: KeyName,
    },
    /// The key did not sign these bytes.
    #[error("the signature by key `{key}` does not match the object")]
    Mismatch {
        /// The key or subkey that is said to have signed.
        key: KeyName,
    },
    /// The signature's own time does not fit.
    #[error("the signature {rule}")]
    Time {
        /// What does not hold.
        rule: &'static str,
    },
    /// The key may not have signed then, by what its own certificate says.
    #[error("the key `{key}` {rule}")]
    KeyUnfit {
        /// The key or subkey.
        key: KeyName,
        /// What does not hold.
        rule: &'static str,
    },
    /// No signature by a key of this kind counts.
    #[error("the key is not taken: {why}")]
    WeakKey {
        /// What is wrong with it.
        why: String,
    },
    /// The text is not a public key that can be registered.
    #[error("not a public key for signatures: {why}")]
    NotAKey {
        /// What does not hold.
        why: String,
    },
}

impl SignatureError {
    fn malformed(why: impl Into<String>) -> SignatureError {
        SignatureError::Malformed { why: why.into() }
    }

    fn weak_key(why: impl Into<String>) -> SignatureError {
        SignatureError::WeakKey { why: why.into() }
    }

    fn not_a_key(why: impl Into<String>) -> SignatureError {
        SignatureError::NotAKey { why: why.into() }
    }
}

/// What a key goes by: `SHA256:` and unpadded base64 for SSH, upper-case hexadecimal for OpenPGP: 40 digits (version 4) or 64
/// (version 6), or 16 where a signature names its key by key id only.
///
/// A fingerprint is of one key. A key id is not: anybody can make a key with the id of another, so whoever finds several keys
/// under one id tries them all.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyName(String);

impl KeyName {
    /// The name as text; never empty, ASCII.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A public key that somebody may register to sign with.
#[derive(Debug, Clone)]
pub enum SigningKey {
    /// One key, as `ssh-keygen` writes it into `.pub` files.
    Ssh(ssh::SshKey),
    /// A certificate: a primary key, its subkeys, and what it says of itself. Boxed, being ten times as large.
    OpenPgp(Box<certificate::Certificate>),
}

impl SigningKey {
    /// Reads what people paste: an OpenSSH public key line or an armored OpenPGP public key.
    ///
    /// # Errors
    /// [`SignatureError::NotAKey`] says what is wrong with it; [`SignatureError::TooLarge`].
    pub fn parse(text: &str) -> Result<SigningKey, SignatureError> {
        check_size("public key", text.len(), MAX_KEY_BYTES)?;
        let text = text.trim();
        if text.contains("PRIVATE KEY") {
            return Err(SignatureError::not_a_key("it is a private key, which should stay where it is"));
        }
        if text.starts_with("-----BEGIN PGP") {
            let packets = armor::decode(text.as_bytes(), Label::PgpPublicKey).map_err(SignatureError::not_a_key)?;
            return SigningKey::from_packets(packets);
        }
        Ok(SigningKey::Ssh(ssh::SshKey::parse(text)?))
    }

    /// Reads what [`SigningKey::to_bytes`] wrote.
    ///
    /// # Errors
    /// As [`SigningKey::parse`]: a key that was taken once may be refused by a later, stricter release.
    pub fn from_bytes(bytes: &[u8]) -> Result<SigningKey, SignatureError> {
        check_size("public key", bytes.len(), MAX_KEY_BYTES)?;
        // Every OpenPGP packet begins with the high bit set (RFC 9580, 4.2), no line of text does.
        if bytes.first().is_some_and(|first| first & 0x80 != 0) {
            return SigningKey::from_packets(bytes.to_vec());
        }
        let line = std::str::from_utf8(bytes).map_err(|_| SignatureError::not_a_key("it is not text"))?;
        Ok(SigningKey::Ssh(ssh::SshKey::parse(line)?))
    }

    fn from_packets(packets: Vec<u8>) -> Result<SigningKey, SignatureError> {
        Ok(SigningKey::OpenPgp(Box::new(certificate::Certificate::parse(packets)?)))
    }

    /// The key for storage: an OpenSSH line without its comment, or the certificate's packets without armor.
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            SigningKey::Ssh(key) => key.line().as_bytes().to_vec(),
            SigningKey::OpenPgp(certificate) => certificate.packets().to_vec(),
        }
    }

    /// The one name this key is known by; of an OpenPGP certificate, its primary key's.
    pub fn fingerprint(&self) -> KeyName {
        match self {
            SigningKey::Ssh(key) => key.fingerprint().clone(),
            SigningKey::OpenPgp(certificate) => certificate.fingerprint(),
        }
    }

    /// Every name by which a signature may claim this key, the fingerprint first: what a directory files the key under.
    ///
    /// Subkeys are listed only if they have proven that they belong to the certificate.
    pub fn names(&self) -> Vec<KeyName> {
        match self {
            SigningKey::Ssh(key) => vec![key.fingerprint().clone()],
            SigningKey::OpenPgp(certificate) => certificate.names(),
        }
    }
}

/// A commit or tag and the signature in it, taken apart but not verified.
#[derive(Debug)]
pub struct Signed<'a> {
    payload: Cow<'a, [u8]>,
    signature: Signature,
}

#[derive(Debug)]
enum Signature {
    Ssh(Box<ssh::SshSignature>),
    OpenPgp(Box<openpgp::OpenPgpSignature>),
}

/// A signature that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The key that signed; of an OpenPGP certificate, perhaps a subkey.
    pub key: KeyName,
    /// When it was signed, in seconds since 1970, as the signer says. SSH signatures do not say.
    pub made_at_seconds: Option<i64>,
}

/// Takes the signature out of a commit or tag; `None` if there is none, and for trees and blobs.
///
/// `object` is the raw object without its `kind size` header.
///
/// # Errors
/// Something is there, but cannot be verified: the object counts as unsigned, for the reason in the error.
pub fn signed_parts(object: &[u8], kind: ObjectKind) -> Result<Option<Signed<'_>>, SignatureError> {
    let split = match kind {
        ObjectKind::Commit | ObjectKind::Tag => {
            check_size(kind.name(), object.len(), MAX_OBJECT_BYTES)?;
            if kind == ObjectKind::Commit { payload::split_commit(object)? } else { payload::split_tag(object)? }
        }
        ObjectKind::Tree | ObjectKind::Blob => None,
    };
    let Some(payload::Split { payload, text }) = split else { return Ok(None) };
    check_size("signature", text.len(), MAX_SIGNATURE_BYTES)?;
    let decode = |label| armor::decode(&text, label).map_err(SignatureError::malformed);
    let signature = match Label::of(&text) {
        Some(Label::Ssh) => Signature::Ssh(Box::new(ssh::SshSignature::parse(&decode(Label::Ssh)?)?)),
        Some(Label::PgpSignature) => {
            Signature::OpenPgp(Box::new(openpgp::OpenPgpSignature::parse(&decode(Label::PgpSignature)?)?))
        }
        Some(label) => return Err(SignatureError::Unsupported { what: format!("signatures of kind `{label}`") }),
        None => {
            let first_line = text.split(|b| *b == b'\n').next().unwrap_or_default();
            let shown = escape_for_people(first_line, 60);
            return Err(SignatureError::malformed(format!("it begins with `{shown}`, as none does")));
        }
    };
    Ok(Some(Signed { payload, signature }))
}

impl Signed<'_> {
    /// The bytes that are signed: the object without the signature.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The keys that the signature says it is by, the best name first; a claim, nothing more. May be empty.
    pub fn claimed_keys(&self) -> Vec<KeyName> {
        match &self.signature {
            Signature::Ssh(signature) => vec![signature.fingerprint().clone()],
            Signature::OpenPgp(signature) => signature.claimed_keys(),
        }
    }

    /// Whether `key` signed exactly these bytes, and might.
    ///
    /// `at_seconds`, in seconds since 1970, is the moment for which is asked: when the object was pushed, or now. An OpenPGP
    /// key has to be valid when it signed, by the signature's own word ([`Verified::made_at_seconds`]); who holds an expired
    /// key can backdate, so a caller that minds compares that time with its own.
    ///
    /// # Errors
    /// The first reason found why not.
    pub fn verify(&self, key: &SigningKey, at_seconds: i64) -> Result<Verified, SignatureError> {
        match (&self.signature, key) {
            (Signature::Ssh(signature), SigningKey::Ssh(key)) => signature.verify(key, &self.payload),
            (Signature::OpenPgp(signature), SigningKey::OpenPgp(certificate)) => {
                signature.verify(certificate, &self.payload, at_seconds)
            }
            _ => Err(SignatureError::OtherKey { key: key.fingerprint() }),
        }
    }
}

fn check_size(what: &'static str, n_bytes: usize, limit_bytes: usize) -> Result<(), SignatureError> {
    if n_bytes > limit_bytes {
        return Err(SignatureError::TooLarge { what, n_bytes, limit_bytes });
    }
    Ok(())
}

/// Whether an RSA modulus has as many bits as it should.
fn check_rsa_bits(n_bits: usize) -> Result<(), SignatureError> {
    if (MIN_RSA_BITS..=MAX_RSA_BITS).contains(&n_bits) {
        return Ok(());
    }
    Err(SignatureError::weak_key(format!("RSA keys have {MIN_RSA_BITS} to {MAX_RSA_BITS} bits, this one {n_bits}")))
}
