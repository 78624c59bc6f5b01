//! OpenPGP signatures over raw bytes, as `gpg --detach-sign` makes them.
//!
//! Format: RFC 9580, 5.2. Reading packets and the arithmetic are the `pgp` crate's; it judges nothing, so that which hashes and
//! algorithms count, and whether the key might sign, is decided here and in `certificate`.

use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{Packet, PacketParser, Signature, SignatureConfig, SignatureType, SignatureVersion, SubpacketData};
use pgp::types::{Fingerprint, KeyId};

use super::certificate::{Certificate, Part};
use super::{KeyName, SignatureError, Verified};

/// How far a signer's clock may be ahead.
const MAX_CLOCK_SKEW_SECONDS: i64 = 15 * 60;
/// The most names that are taken from a signature; honest ones have one fingerprint and one key id.
const MAX_CLAIMS: usize = 8;

/// A signature over raw bytes, by an algorithm and with a hash that count.
#[derive(Debug)]
pub(super) struct OpenPgpSignature {
    signature: Signature,
    made_at_seconds: i64,
    expires_at_seconds: Option<i64>,
}

impl OpenPgpSignature {
    /// Reads the packet inside the armor.
    pub(super) fn parse(bytes: &[u8]) -> Result<OpenPgpSignature, SignatureError> {
        let mut packets = PacketParser::new(bytes);
        let signature = match (packets.next(), packets.next()) {
            (Some(Ok(Packet::Signature(signature))), None) => signature,
            (None | Some(Err(_)), _) => return Err(SignatureError::malformed("it holds no packet that can be read")),
            _ => return Err(SignatureError::malformed("it holds something other than one signature packet")),
        };
        let Some(config) = signature.config() else {
            let version = u8::from(signature.version());
            return Err(SignatureError::Unsupported { what: format!("OpenPGP signatures of version {version}") });
        };
        match config.version() {
            SignatureVersion::V4 | SignatureVersion::V6 => {}
            version => {
                let version = u8::from(version);
                return Err(SignatureError::Unsupported { what: format!("OpenPGP signatures of version {version}") });
            }
        }
        match config.typ() {
            SignatureType::Binary => {}
            // Text signatures are over text with its line ends made alike: other bytes than the object has.
            SignatureType::Text => {
                return Err(SignatureError::Unsupported { what: "OpenPGP text signatures".to_string() });
            }
            _ => return Err(SignatureError::malformed("it is not a signature over a document")),
        }
        check_hash(config.hash_alg)?;
        check_critical(config).map_err(SignatureError::malformed)?;
        let Some(made_at_seconds) = made_at(&signature) else {
            return Err(SignatureError::malformed("it does not say when it was made"));
        };
        let expires_at_seconds = expires_at(&signature, made_at_seconds);
        Ok(OpenPgpSignature { signature, made_at_seconds, expires_at_seconds })
    }

    /// Fingerprints first, then key ids.
    pub(super) fn claimed_keys(&self) -> Vec<KeyName> {
        let fingerprints = self.signature.issuer_fingerprint().into_iter().map(fingerprint_name);
        let key_ids = self.signature.issuer_key_id().into_iter().map(key_id_name);
        let mut names: Vec<KeyName> = Vec::new();
        for name in fingerprints.chain(key_ids) {
            if names.len() < MAX_CLAIMS && !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    pub(super) fn verify(
        &self,
        certificate: &Certificate,
        payload: &[u8],
        at_seconds: i64,
    ) -> Result<Verified, SignatureError> {
        let mut claimed = certificate.parts().iter().filter(|part| self.names(part)).peekable();
        let Some(first) = claimed.peek() else {
            return Err(SignatureError::OtherKey { key: certificate.fingerprint() });
        };
        let mismatch = SignatureError::Mismatch { key: first.fingerprint() };
        let part = claimed.find(|part| part.verifies(&self.signature, payload)).ok_or(mismatch)?;
        if self.made_at_seconds > at_seconds.saturating_add(MAX_CLOCK_SKEW_SECONDS) {
            return Err(SignatureError::Time { rule: "is from the future" });
        }
        if self.expires_at_seconds.is_some_and(|expires_at| expires_at <= at_seconds) {
            return Err(SignatureError::Time { rule: "has expired" });
        }
        certificate.check_may_sign(part, self.made_at_seconds)?;
        Ok(Verified { key: part.fingerprint(), made_at_seconds: Some(self.made_at_seconds) })
    }

    /// Whether the signature names this key: by fingerprint if it gives any, else by key id.
    fn names(&self, part: &Part) -> bool {
        let fingerprints = self.signature.issuer_fingerprint();
        if fingerprints.is_empty() {
            return self.signature.issuer_key_id().iter().any(|key_id| key_id_name(key_id) == *part.key_id());
        }
        fingerprints.iter().any(|fingerprint| fingerprint_name(fingerprint) == part.fingerprint())
    }
}

pub(super) fn fingerprint_name(fingerprint: &Fingerprint) -> KeyName {
    KeyName(format!("{fingerprint:X}"))
}

pub(super) fn key_id_name(key_id: &KeyId) -> KeyName {
    KeyName(key_id.to_string().to_ascii_uppercase())
}

/// Hashes whose collisions nobody can make, in signatures over documents and over keys.
pub(super) fn check_hash(hash: HashAlgorithm) -> Result<(), SignatureError> {
    let name = match hash {
        HashAlgorithm::Sha256
        | HashAlgorithm::Sha384
        | HashAlgorithm::Sha512
        | HashAlgorithm::Sha3_256
        | HashAlgorithm::Sha3_512 => return Ok(()),
        HashAlgorithm::Md5 => "MD5",
        HashAlgorithm::Sha1 => "SHA-1",
        HashAlgorithm::Ripemd160 => "RIPEMD-160",
        HashAlgorithm::Sha224 => "SHA-224",
        other => {
            let number = u8::from(other);
            return Err(SignatureError::Unsupported { what: format!("OpenPGP signatures with hash {number}") });
        }
    };
    Err(SignatureError::WeakHash { hash: name.to_string() })
}

/// The signer forbids to ignore what is marked critical; all that is known here is acted on, or says nothing about whether
/// the signature holds.
pub(super) fn check_critical(config: &SignatureConfig) -> Result<(), &'static str> {
    let unknown = config.hashed_subpackets().any(|subpacket| {
        let ignored = matches!(
            subpacket.data,
            SubpacketData::Notation(_) | SubpacketData::Experimental(..) | SubpacketData::Other(..)
        );
        subpacket.is_critical && ignored
    });
    if unknown { Err("a part of it that is marked critical is not known here") } else { Ok(()) }
}

/// A signature's creation time in seconds since 1970.
pub(super) fn made_at(signature: &Signature) -> Option<i64> {
    signature.created().map(|created| i64::from(created.as_secs()))
}

/// When a signature ends to hold, if ever; a lifetime of zero is none.
pub(super) fn expires_at(signature: &Signature, made_at_seconds: i64) -> Option<i64> {
    let lifetime = signature.signature_expiration_time()?.as_secs();
    (lifetime > 0).then(|| made_at_seconds + i64::from(lifetime))
}
