//! OpenPGP certificates: a primary key, its subkeys, and what the primary key says of them and itself.
//!
//! Everything that a certificate says is itself a signature. They are checked once, when it is read, and become plain
//! statements: from when, until when, for what, revoked when. Only what the primary key signed counts: certifications by others
//! and revocations by designated revokers are passed over. Formats: RFC 9580, 5.2.1 (types), 5.2.3.29 (key flags), 10.1.
//!
//! A statement holds from when it was made until a newer one. GnuPG replaces statements (a new end date takes the old
//! one's place), so for the time before the first that is left, the first one speaks. Revocations for want of the key's safety
//! or without a reason reach back to the beginning; that a key is superseded or retired says nothing of what it signed before.

use pgp::packet::{
    Packet, PacketParser, PublicKey, PublicSubkey, RevocationCode, Signature, SignatureType, SignatureVersion, UserId,
};
use pgp::ser::Serialize as _;
use pgp::types::{EcdsaPublicParams, EddsaLegacyPublicParams, KeyDetails, KeyVersion, PublicParams, Tag};

use super::openpgp::{check_critical, check_hash, expires_at, fingerprint_name, key_id_name, made_at};
use super::{KeyName, SignatureError, check_rsa_bits};

/// A certificate whose primary key counts and in which some key may sign, or might once.
#[derive(Debug, Clone)]
pub struct Certificate {
    packets: Vec<u8>,
    /// The primary key, then the subkeys that have proven to belong to it and to be for signing.
    parts: Vec<Part>,
}

/// One key of a certificate and what is said of it.
#[derive(Debug, Clone)]
pub(super) struct Part {
    key: Key,
    fingerprint: KeyName,
    key_id: KeyName,
    created_at: i64,
    statements: Vec<Statement>,
    revocations: Vec<Revocation>,
}

#[derive(Debug, Clone)]
enum Key {
    Primary(PublicKey),
    Subkey(PublicSubkey),
}

/// A self-signature over a key. Times are seconds since 1970.
#[derive(Debug, Clone, Copy)]
struct Statement {
    made_at: i64,
    /// When the statement itself ends.
    expires_at: Option<i64>,
    /// When the key ends.
    key_expires_at: Option<i64>,
    may_sign: bool,
    /// When the user id under which it was made was revoked.
    withdrawn_at: Option<i64>,
}

#[derive(Debug, Clone, Copy)]
struct Revocation {
    made_at: i64,
    /// Nothing that the key ever signed counts.
    from_the_beginning: bool,
}

/// What the packets that were just read are about.
enum Subject {
    Primary,
    UserId {
        id: UserId,
        statements: Vec<Statement>,
        withdrawals: Vec<i64>,
    },
    Subkey(Box<Part>),
    /// A photo, a key of a kind that cannot be read: its signatures are of no interest.
    Other,
}

impl Certificate {
    /// Reads packets without their armor.
    pub(super) fn parse(packets: Vec<u8>) -> Result<Certificate, SignatureError> {
        let mut reader = PacketParser::new(packets.as_slice());
        let primary = match reader.next() {
            Some(Ok(Packet::PublicKey(key))) => key,
            Some(Ok(Packet::SecretKey(_))) => {
                return Err(SignatureError::not_a_key("it is a private key, which should stay where it is"));
            }
            _ => {
                return Err(SignatureError::not_a_key("it does not begin with an OpenPGP public key that can be read"));
            }
        };
        if !matches!(primary.version(), KeyVersion::V4 | KeyVersion::V6) {
            return Err(SignatureError::weak_key("only OpenPGP keys of versions 4 and 6 are"));
        }
        check_key(primary.public_params())?;
        let mut parts = vec![Part::new(Key::Primary(primary.clone()), &primary)];
        let mut subject = Subject::Primary;
        for packet in reader {
            match packet {
                Ok(Packet::Signature(signature)) => match &mut subject {
                    Subject::Primary => parts[0].read_primary_signature(&primary, &signature),
                    Subject::UserId { id, statements, withdrawals } => {
                        read_user_id_signature(&primary, id, &signature, statements, withdrawals);
                    }
                    Subject::Subkey(part) => part.read_subkey_signature(&primary, &signature),
                    Subject::Other => {}
                },
                Ok(Packet::UserId(id)) => {
                    subject.finish(&mut parts);
                    subject = Subject::UserId { id, statements: Vec::new(), withdrawals: Vec::new() };
                }
                Ok(Packet::PublicSubkey(key)) => {
                    subject.finish(&mut parts);
                    subject = match check_key(key.public_params()) {
                        Ok(()) => Subject::Subkey(Box::new(Part::new(Key::Subkey(key.clone()), &key))),
                        Err(_) => Subject::Other,
                    };
                }
                Ok(Packet::PublicKey(_)) => return Err(SignatureError::not_a_key("it holds several keys; give one")),
                Ok(Packet::SecretKey(_) | Packet::SecretSubkey(_)) => {
                    return Err(SignatureError::not_a_key("it is a private key, which should stay where it is"));
                }
                Ok(Packet::UserAttribute(_)) => {
                    subject.finish(&mut parts);
                    subject = Subject::Other;
                }
                // Padding, trust, what is not known: not a key's beginning. A signature that cannot be read is passed over,
                // and so is a key; its signatures then follow another's, where they verify as nothing.
                Ok(_) | Err(_) => {}
            }
        }
        subject.finish(&mut parts);
        parts[0].statements.sort_by_key(|statement| statement.made_at);
        if !parts.iter().any(|part| part.statements.iter().any(|statement| statement.may_sign)) {
            return Err(SignatureError::not_a_key(
                "no key in it is marked for signing by a valid self-signature; those with SHA-1 or MD5 do not count",
            ));
        }
        Ok(Certificate { packets, parts })
    }

    /// The packets that were read.
    pub(super) fn packets(&self) -> &[u8] {
        &self.packets
    }

    /// The primary key's.
    pub(super) fn fingerprint(&self) -> KeyName {
        self.parts[0].fingerprint.clone()
    }

    /// Fingerprints and key ids of the primary key and of the subkeys for signing.
    pub(super) fn names(&self) -> Vec<KeyName> {
        self.parts.iter().flat_map(|part| [part.fingerprint.clone(), part.key_id.clone()]).collect()
    }

    /// The keys that may have signed; which of them was fit to is [`Certificate::check_may_sign`]'s question.
    pub(super) fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Whether `part`, of this certificate, was fit to sign at that time: it and the primary key valid, it for signing.
    pub(super) fn check_may_sign(&self, part: &Part, at_seconds: i64) -> Result<(), SignatureError> {
        let unfit = |part: &Part, rule| SignatureError::KeyUnfit { key: part.fingerprint.clone(), rule };
        let primary = &self.parts[0];
        primary.statement_at(at_seconds).map_err(|rule| unfit(primary, rule))?;
        let statement = part.statement_at(at_seconds).map_err(|rule| unfit(part, rule))?;
        if !statement.may_sign {
            return Err(unfit(part, "is not for signing"));
        }
        Ok(())
    }
}

impl Subject {
    /// Keeps what was read.
    fn finish(&mut self, parts: &mut Vec<Part>) {
        match std::mem::replace(self, Subject::Other) {
            Subject::Primary | Subject::Other => {}
            Subject::UserId { statements, withdrawals, .. } => {
                parts[0].statements.extend(statements.into_iter().map(|statement| {
                    // A user id that was withdrawn may be stated anew.
                    let withdrawn_at = withdrawals.iter().copied().filter(|at| *at >= statement.made_at).min();
                    Statement { withdrawn_at, ..statement }
                }));
            }
            Subject::Subkey(mut part) => {
                part.statements.sort_by_key(|statement| statement.made_at);
                if part.statements.iter().any(|statement| statement.may_sign) {
                    parts.push(*part);
                }
            }
        }
    }
}

impl Part {
    fn new(key: Key, details: &impl KeyDetails) -> Part {
        Part {
            key,
            fingerprint: fingerprint_name(&details.fingerprint()),
            key_id: key_id_name(&details.legacy_key_id()),
            created_at: i64::from(details.created_at().as_secs()),
            statements: Vec::new(),
            revocations: Vec::new(),
        }
    }

    pub(super) fn fingerprint(&self) -> KeyName {
        self.fingerprint.clone()
    }

    pub(super) fn key_id(&self) -> &KeyName {
        &self.key_id
    }

    /// Whether this key made this signature over these bytes; nothing is said about whether it might.
    pub(super) fn verifies(&self, signature: &Signature, payload: &[u8]) -> bool {
        let algorithm = match &self.key {
            Key::Primary(key) => key.algorithm(),
            Key::Subkey(key) => key.algorithm(),
        };
        // How the numbers in a signature are read follows from the algorithm that it names.
        if signature.config().map(|config| config.pub_alg) != Some(algorithm) {
            return false;
        }
        match &self.key {
            Key::Primary(key) => signature.verify(key, payload).is_ok(),
            Key::Subkey(key) => signature.verify(key, payload).is_ok(),
        }
    }

    /// A signature that follows the primary key itself.
    fn read_primary_signature(&mut self, primary: &PublicKey, signature: &Signature) {
        let is_by_primary = || signature.verify_key(primary).is_ok();
        match signature.typ() {
            Some(SignatureType::Key) => {
                if let Some(statement) = Statement::read(signature, self.created_at)
                    && is_by_primary()
                {
                    self.statements.push(statement);
                }
            }
            Some(SignatureType::KeyRevocation) if is_by_primary() => {
                self.revocations.extend(Revocation::read(signature))
            }
            _ => {}
        }
    }

    /// A signature that follows a subkey.
    fn read_subkey_signature(&mut self, primary: &PublicKey, signature: &Signature) {
        let Key::Subkey(key) = &self.key else { return };
        let is_by_primary = || signature.verify_subkey_binding(primary, key).is_ok();
        match signature.typ() {
            Some(SignatureType::SubkeyBinding) => {
                if let Some(statement) = Statement::read(signature, self.created_at)
                    && is_by_primary()
                {
                    // Without the subkey's word anybody could bind somebody's subkey to their own certificate.
                    let may_sign = statement.may_sign && has_back_signature(primary, key, signature);
                    self.statements.push(Statement { may_sign, ..statement });
                }
            }
            Some(SignatureType::SubkeyRevocation) if is_by_primary() => {
                self.revocations.extend(Revocation::read(signature));
            }
            _ => {}
        }
    }

    /// What is said of the key for that time; else the reason why it is not valid.
    fn statement_at(&self, at: i64) -> Result<&Statement, &'static str> {
        if at < self.created_at {
            return Err("was made after the signature");
        }
        if self.revocations.iter().any(|revocation| revocation.from_the_beginning) {
            return Err("is revoked");
        }
        if self.revocations.iter().any(|revocation| revocation.made_at <= at) {
            return Err("was revoked when it signed");
        }
        let holds = |statement: &&Statement| {
            let holds_until = |end: Option<i64>| end.is_none_or(|end| at < end);
            holds_until(statement.expires_at) && holds_until(statement.withdrawn_at)
        };
        let n_made = self.statements.partition_point(|statement| statement.made_at <= at);
        let (made, later) = self.statements.split_at(n_made);
        let statement = made
            .iter()
            .rev()
            .find(holds)
            .or_else(|| if made.is_empty() { later.iter().find(holds) } else { None })
            .ok_or("was bound to no identity by a valid self-signature when it signed")?;
        if statement.key_expires_at.is_some_and(|end| end <= at) {
            return Err("had expired when it signed");
        }
        Ok(statement)
    }
}

impl Statement {
    /// What the signature says, before it is verified; nothing if it would not count.
    fn read(signature: &Signature, key_created_at: i64) -> Option<Statement> {
        let config = signature.config()?;
        if !matches!(config.version(), SignatureVersion::V4 | SignatureVersion::V6) {
            return None;
        }
        check_hash(config.hash_alg).ok()?;
        check_critical(config).ok()?;
        let made_at = made_at(signature)?;
        let lifetime = signature.key_expiration_time().map_or(0, |lifetime| lifetime.as_secs());
        Some(Statement {
            made_at,
            expires_at: expires_at(signature, made_at),
            key_expires_at: (lifetime > 0).then(|| key_created_at + i64::from(lifetime)),
            may_sign: signature.key_flags().sign(),
            withdrawn_at: None,
        })
    }
}

impl Revocation {
    /// What a verified revocation says. With any hash: whoever forges one takes nothing but validity away.
    fn read(signature: &Signature) -> Option<Revocation> {
        let from_the_beginning = !matches!(
            signature.revocation_reason_code(),
            Some(RevocationCode::KeySuperseded | RevocationCode::KeyRetired)
        );
        Some(Revocation { made_at: made_at(signature)?, from_the_beginning })
    }
}

/// A signature that follows a user id: what it says of the primary key, or that the user id is withdrawn.
fn read_user_id_signature(
    primary: &PublicKey,
    id: &UserId,
    signature: &Signature,
    statements: &mut Vec<Statement>,
    withdrawals: &mut Vec<i64>,
) {
    let is_by_primary = || signature.verify_certification(primary, Tag::UserId, id).is_ok();
    match signature.typ() {
        Some(
            SignatureType::CertGeneric
            | SignatureType::CertPersona
            | SignatureType::CertCasual
            | SignatureType::CertPositive,
        ) => {
            let created_at = i64::from(primary.created_at().as_secs());
            if let Some(statement) = Statement::read(signature, created_at)
                && is_by_primary()
            {
                statements.push(statement);
            }
        }
        Some(SignatureType::CertRevocation) if is_by_primary() => {
            withdrawals.extend(made_at(signature));
        }
        _ => {}
    }
}

/// Whether the subkey says that it belongs to the primary key (RFC 9580, 10.1.5).
fn has_back_signature(primary: &PublicKey, key: &PublicSubkey, binding: &Signature) -> bool {
    let Some(back) = binding.embedded_signature() else { return false };
    let Some(config) = back.config() else { return false };
    check_hash(config.hash_alg).is_ok()
        && check_critical(config).is_ok()
        && back.verify_primary_key_binding(key, primary).is_ok()
}

/// Whether signatures by this kind of key count.
fn check_key(params: &PublicParams) -> Result<(), SignatureError> {
    match params {
        PublicParams::RSA(rsa) => {
            let mut n_and_e = Vec::new();
            let n_bits = match rsa.to_writer(&mut n_and_e) {
                // A number is written as its length in bits, two octets, and its octets.
                Ok(()) if n_and_e.len() > 2 => usize::from(u16::from_be_bytes([n_and_e[0], n_and_e[1]])),
                _ => 0,
            };
            check_rsa_bits(n_bits)
        }
        PublicParams::ECDSA(EcdsaPublicParams::Unsupported { .. })
        | PublicParams::EdDSALegacy(EddsaLegacyPublicParams::Unsupported { .. }) => {
            Err(SignatureError::weak_key("its elliptic curve is not known here"))
        }
        PublicParams::ECDSA(_) | PublicParams::EdDSALegacy(_) | PublicParams::Ed25519(_) | PublicParams::Ed448(_) => {
            Ok(())
        }
        PublicParams::DSA(_) => Err(SignatureError::weak_key("DSA is broken")),
        _ => Err(SignatureError::weak_key("its algorithm does not sign, or is not known here")),
    }
}
