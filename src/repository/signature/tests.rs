//! The tools that sign are the judges: what `git`, `ssh-keygen` and `gpg` make is verified, and what they would not verify
//! is not. B6: only the raw bytes count, and two `gpgsig` are refused.

mod hostile;
mod lab;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use russh::keys::signature::Signer as _;
use russh::keys::ssh_key::encoding::Encode as _;
use russh::keys::ssh_key::private::Ed25519Keypair;
use russh::keys::ssh_key::public::{KeyData, SkEd25519};
use russh::keys::ssh_key::sha2::{Digest as _, Sha256};
use russh::keys::ssh_key::{Algorithm, HashAlg, PublicKey, Signature as RawSignature, SshSig};

use self::lab::Lab;
use super::*;

const PAYLOAD: &[u8] = b"object 0123456789012345678901234567890123456789\ntype commit\ntag v1\n\
    tagger Ann Other <ann@example.com> 1600000000 +0000\n\nmessage\n";

/// Later than every signature that is made here with the true time.
const NOW: i64 = 4_000_000_000;
/// 2020-01-01, when keys with a history are made.
const Y2020: i64 = 1_577_836_800;
const DAY: i64 = 86_400;

fn verify(object: &[u8], kind: ObjectKind, key: &SigningKey) -> Result<Verified, SignatureError> {
    signed_parts(object, kind)?.expect("there is a signature").verify(key, NOW)
}

fn verify_tag(object: &[u8], key: &SigningKey) -> Result<Verified, SignatureError> {
    verify(object, ObjectKind::Tag, key)
}

/// `key` verifies the object, no other does, and none does once any byte of what is signed is another.
fn check_holds(object: &[u8], kind: ObjectKind, key: &SigningKey, others: &[&SigningKey]) {
    let signed = signed_parts(object, kind).unwrap().unwrap();
    let verified = signed.verify(key, NOW).unwrap();
    assert_eq!(signed.claimed_keys()[0], verified.key);
    assert!(key.names().contains(&verified.key));
    for other in others {
        assert!(matches!(signed.verify(other, NOW), Err(SignatureError::OtherKey { .. })));
    }
    let payload = signed.payload();
    let same_as_stored = SigningKey::from_bytes(&key.to_bytes()).unwrap();
    assert_eq!(same_as_stored.names(), key.names());
    for at in [0, payload.len() / 2, payload.len() - 1] {
        let mut changed = signed_parts(object, kind).unwrap().unwrap();
        changed.payload.to_mut()[at] ^= 1;
        assert!(matches!(changed.verify(&same_as_stored, NOW), Err(SignatureError::Mismatch { .. })));
    }
}

#[test]
fn what_git_signs_with_ssh_keys_is_verified() {
    let lab = Lab::with_repository();
    lab.git(&["config", "gpg.format", "ssh"]);
    lab.git(&["config", "gpg.ssh.allowedSignersFile", "signers"]);
    let other = lab.ssh_key("other", &["-t", "ed25519"]);
    let kinds: [&[&str]; 5] = [
        &["-t", "ed25519"],
        &["-t", "ecdsa", "-b", "256"],
        &["-t", "ecdsa", "-b", "384"],
        &["-t", "ecdsa", "-b", "521"],
        &["-t", "rsa", "-b", "2048"],
    ];
    for (n, kind) in kinds.into_iter().enumerate() {
        let name = format!("key{n}");
        let key = lab.ssh_key(&name, kind);
        lab.git(&["config", "user.signingKey", lab.path(&name).to_str().unwrap()]);
        let line = String::from_utf8(key.to_bytes()).unwrap();
        std::fs::write(lab.path("signers"), format!("ann@example.com {line}\n")).unwrap();
        for (kind, object) in lab.signed_objects() {
            check_holds(&object, kind, &key, &[&other]);
        }
        lab.git(&["verify-commit", "HEAD"]);
        lab.git(&["verify-tag", "v1"]);
        let listing = lab.run("ssh-keygen", &["-l", "-f", &name], b"");
        assert!(String::from_utf8(listing).unwrap().contains(key.fingerprint().as_str()));
    }
}

#[test]
fn what_git_signs_with_openpgp_keys_is_verified() {
    let lab = Lab::with_repository();
    lab.gpg_key("other@example.com", "ed25519");
    let other = lab.certificate("other@example.com");
    for (n, algorithm) in ["ed25519", "rsa2048", "nistp256", "nistp384", "nistp521"].into_iter().enumerate() {
        let user_id = format!("ann{n}@example.com");
        let fingerprint = lab.gpg_key(&user_id, algorithm);
        lab.git(&["config", "user.signingKey", &fingerprint]);
        let key = lab.certificate(&user_id);
        assert_eq!(key.fingerprint().as_str(), fingerprint);
        for (kind, object) in lab.signed_objects() {
            check_holds(&object, kind, &key, &[&other]);
        }
        lab.git(&["verify-commit", "HEAD"]);
        lab.git(&["verify-tag", "v1"]);
    }
}

#[test]
fn a_subkey_signs_for_its_certificate() {
    let lab = Lab::with_repository();
    let user_id = "ann@example.com";
    lab.gpg(&["--quick-generate-key", user_id, "ed25519", "cert", "never"], b"");
    assert!(matches!(SigningKey::parse(&lab.certificate_text(user_id)), Err(SignatureError::NotAKey { .. })));
    let primary = lab.fingerprints(user_id).swap_remove(0);
    for (algorithm, usage) in [("cv25519", "encr"), ("ed25519", "sign"), ("rsa2048", "sign")] {
        lab.gpg(&["--quick-add-key", &primary, algorithm, usage, "never"], b"");
    }
    let key = lab.certificate(user_id);
    let fingerprints = lab.fingerprints(user_id);
    let names = key.names();
    for (n, fingerprint) in fingerprints.iter().enumerate() {
        // All but the one that encrypts.
        assert_eq!(names.iter().any(|name| name.as_str() == fingerprint), n != 1);
    }
    for subkey in &fingerprints[2..] {
        lab.git(&["config", "user.signingKey", &format!("{subkey}!")]);
        for (kind, object) in lab.signed_objects() {
            check_holds(&object, kind, &key, &[]);
            assert_eq!(verify(&object, kind, &key).unwrap().key.as_str(), subkey);
        }
    }
}

#[test]
fn ssh_signatures_for_something_else_do_not_count() {
    let lab = Lab::new();
    let key = lab.ssh_key("key", &["-t", "ed25519"]);
    assert!(verify_tag(&lab.ssh_tag("key", &["-n", "git"], PAYLOAD), &key).is_ok());
    assert!(verify_tag(&lab.ssh_tag("key", &["-n", "git", "-O", "hashalg=sha256"], PAYLOAD), &key).is_ok());
    let refused = verify_tag(&lab.ssh_tag("key", &["-n", "file"], PAYLOAD), &key).unwrap_err();
    assert_eq!(refused.to_string(), "the signature's namespace is `file`, not `git`");
    let line = String::from_utf8(key.to_bytes()).unwrap();
    for (text, reason) in [
        (format!("{line}\n{line}"), "neither one OpenSSH line"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----".to_string(), "private key"),
        (line.replace("ssh-ed25519 ", "ssh-rsa "), "not a public key"),
        (String::new(), "neither one OpenSSH line"),
    ] {
        let refused = SigningKey::parse(&text).unwrap_err().to_string();
        assert!(refused.contains(reason), "{refused}");
    }
    lab.run("ssh-keygen", &["-q", "-N", "", "-t", "rsa", "-b", "1024", "-f", "small"], b"");
    let small = std::fs::read_to_string(lab.path("small.pub")).unwrap();
    assert!(matches!(SigningKey::parse(&small), Err(SignatureError::WeakKey { .. })));
    assert!(matches!(
        verify_tag(&lab.ssh_tag("small", &["-n", "git"], PAYLOAD), &key),
        Err(SignatureError::WeakKey { .. })
    ));
}

/// A tag signed as a security key would, with these flags.
fn security_key_tag(flags: u8, application: &str) -> (Vec<u8>, KeyData) {
    let pair = Ed25519Keypair::from_seed(&[7; 32]);
    let key = KeyData::SkEd25519(SkEd25519::new(pair.public, application));
    let message = SshSig::signed_data("git", HashAlg::Sha512, PAYLOAD).unwrap();
    let trailer = [&[flags][..], &9u32.to_be_bytes()].concat();
    let challenge = [&Sha256::digest(application)[..], &trailer, &Sha256::digest(&message)].concat();
    let raw: RawSignature = pair.try_sign(&challenge).unwrap();
    let raw = RawSignature::new(Algorithm::SkEd25519, [raw.as_bytes(), &trailer].concat()).unwrap();
    let signature = SshSig::new(key.clone(), "git", HashAlg::Sha512, raw).unwrap();
    (ssh_armored(&signature.encode_vec().unwrap()), key)
}

fn ssh_armored(blob: &[u8]) -> Vec<u8> {
    let base64 = STANDARD.encode(blob);
    [PAYLOAD, format!("-----BEGIN SSH SIGNATURE-----\n{base64}\n-----END SSH SIGNATURE-----\n").as_bytes()].concat()
}

#[test]
fn a_security_key_has_to_be_touched() {
    let (object, key) = security_key_tag(0x01, "ssh:");
    let key = SigningKey::parse(&PublicKey::from(key).to_openssh().unwrap()).unwrap();
    check_holds(&object, ObjectKind::Tag, &key, &[]);
    assert_eq!(verify_tag(&security_key_tag(0x05, "ssh:").0, &key).unwrap().key, key.fingerprint());
    for flags in [0x00, 0x04] {
        assert_eq!(verify_tag(&security_key_tag(flags, "ssh:").0, &key), Err(SignatureError::NotTouched));
    }
    assert!(matches!(verify_tag(&security_key_tag(0x01, "ssh:other").0, &key), Err(SignatureError::OtherKey { .. })));
    let (object, key) = security_key_tag(0x01, "example.com");
    assert!(matches!(signed_parts(&object, ObjectKind::Tag), Err(SignatureError::WeakKey { .. })));
    assert!(SigningKey::parse(&PublicKey::from(key).to_openssh().unwrap()).is_err());
}

#[test]
fn openpgp_signatures_that_can_be_forged_or_read_otherwise_do_not_count() {
    let lab = Lab::new();
    lab.gpg_key("ann@example.com", "rsa2048");
    let key = lab.certificate("ann@example.com");
    for hash in ["SHA256", "SHA384", "SHA512"] {
        assert!(verify_tag(&lab.gpg_tag(&["--digest-algo", hash], PAYLOAD), &key).is_ok());
    }
    for (hash, name) in [("SHA1", "SHA-1"), ("RIPEMD160", "RIPEMD-160"), ("SHA224", "SHA-224")] {
        let refused = verify_tag(&lab.gpg_tag(&["--digest-algo", hash], PAYLOAD), &key).unwrap_err();
        assert_eq!(refused.to_string(), format!("signed with {name}, which can be forged"));
    }
    let refused = |options: &[&str]| verify_tag(&lab.gpg_tag(options, PAYLOAD), &key).unwrap_err().to_string();
    assert_eq!(refused(&["--textmode"]), "OpenPGP text signatures are not verified here");
    let critical = refused(&["--set-notation", "!policy@example.com=strict"]);
    assert!(critical.contains("marked critical"), "{critical}");
    assert!(verify_tag(&lab.gpg_tag(&["--set-notation", "policy@example.com=lax"], PAYLOAD), &key).is_ok());

    for (n, algorithm) in ["dsa2048", "rsa1024"].into_iter().enumerate() {
        let user_id = format!("weak{n}@example.com");
        lab.gpg_key(&user_id, algorithm);
        assert!(matches!(SigningKey::parse(&lab.certificate_text(&user_id)), Err(SignatureError::WeakKey { .. })));
    }
    let private = lab.gpg(&["--armor", "--export-secret-keys", "ann@example.com"], b"");
    let refused = SigningKey::parse(std::str::from_utf8(&private).unwrap()).unwrap_err().to_string();
    assert!(refused.contains("private key"), "{refused}");
    let relabelled = String::from_utf8(private).unwrap().replace("PRIVATE KEY", "PUBLIC KEY");
    let refused = SigningKey::parse(&relabelled).unwrap_err().to_string();
    assert!(refused.contains("private key"), "{refused}");
    let several = String::from_utf8(lab.gpg(&["--armor", "--export"], b"")).unwrap();
    assert!(matches!(SigningKey::parse(&several), Err(SignatureError::NotAKey { .. })));
}

#[test]
fn a_self_signature_with_sha1_binds_nothing() {
    let lab = Lab::new();
    lab.gpg(
        &["--cert-digest-algo", "SHA1", "--quick-generate-key", "old@example.com", "rsa2048", "sign,cert", "never"],
        b"",
    );
    assert!(matches!(SigningKey::parse(&lab.certificate_text("old@example.com")), Err(SignatureError::NotAKey { .. })));
}

#[test]
fn openpgp_signatures_have_their_time() {
    let lab = Lab::new();
    lab.set_gpg_time(Y2020);
    lab.gpg_key("ann@example.com", "ed25519");
    let tag = lab.gpg_tag(&["--default-sig-expire", "10d"], PAYLOAD);
    let key = lab.certificate("ann@example.com");
    let verify_at = |seconds| signed_parts(&tag, ObjectKind::Tag).unwrap().unwrap().verify(&key, seconds);
    assert_eq!(verify_at(Y2020 - 3600), Err(SignatureError::Time { rule: "is from the future" }));
    assert_eq!(verify_at(Y2020 - 60).unwrap().made_at_seconds, Some(Y2020));
    assert!(verify_at(Y2020 + 10 * DAY - 1).is_ok());
    assert_eq!(verify_at(Y2020 + 10 * DAY), Err(SignatureError::Time { rule: "has expired" }));
}

#[test]
fn a_key_signs_until_it_ends() {
    let lab = Lab::new();
    let user_id = "ann@example.com";
    lab.set_gpg_time(Y2020);
    let fingerprint = lab.gpg_key(user_id, "ed25519");
    lab.gpg(&["--quick-add-key", &fingerprint, "ed25519", "sign", "never"], b"");
    let subkey = lab.fingerprints(user_id).swap_remove(1);
    let sign_on = |day: i64, key: &str| {
        lab.set_gpg_time(Y2020 + day * DAY);
        lab.gpg_tag(&["--local-user", &format!("{key}!")], PAYLOAD)
    };
    let early = [sign_on(10, &fingerprint), sign_on(10, &subkey)];
    let late = [sign_on(100, &fingerprint), sign_on(100, &subkey)];
    let unlimited = lab.certificate(user_id);
    lab.set_gpg_time(Y2020 + 20 * DAY);
    lab.gpg(&["--quick-set-expire", &fingerprint, "30d"], b"");
    let limited = lab.certificate(user_id);
    for tag in early.iter().chain(&late) {
        assert!(verify_tag(tag, &unlimited).is_ok());
    }
    for tag in &early {
        assert!(verify_tag(tag, &limited).is_ok());
    }
    let ended = SignatureError::KeyUnfit { key: limited.fingerprint(), rule: "had expired when it signed" };
    for tag in &late {
        assert_eq!(verify_tag(tag, &limited), Err(ended.clone()));
    }
}

/// Revokes a certificate's subkey (or without one, the key) for the reason with this number in gpg's menu.
fn revoke(lab: &Lab, fingerprint: &str, subkey: Option<&str>, reason: &str) {
    let select = subkey.map(|subkey| format!("key {subkey}\n")).unwrap_or_default();
    let confirm = "y\n";
    let script = format!("{select}revkey\n{confirm}{reason}\n\ny\nsave\n");
    lab.gpg(&["--no-tty", "--command-fd", "0", "--edit-key", fingerprint], script.as_bytes());
}

#[test]
fn what_is_revoked_does_not_sign() {
    // The reasons: none, compromised, superseded, no longer used.
    for (reason, from_the_beginning) in [("0", true), ("1", true), ("2", false), ("3", false)] {
        for of_subkey in [true, false] {
            let lab = Lab::new();
            let user_id = "ann@example.com";
            lab.set_gpg_time(Y2020);
            let fingerprint = lab.gpg_key(user_id, "ed25519");
            lab.gpg(&["--quick-add-key", &fingerprint, "ed25519", "sign", "never"], b"");
            let subkey = lab.fingerprints(user_id).swap_remove(1);
            let sign_on = |day: i64, key: &str| {
                lab.set_gpg_time(Y2020 + day * DAY);
                lab.gpg_tag(&["--local-user", &format!("{key}!")], PAYLOAD)
            };
            let before = [sign_on(10, &fingerprint), sign_on(10, &subkey)];
            let after = [sign_on(30, &fingerprint), sign_on(30, &subkey)];
            lab.set_gpg_time(Y2020 + 20 * DAY);
            revoke(&lab, &fingerprint, of_subkey.then_some(&subkey[..]), reason);
            let key = lab.certificate(user_id);
            let rule = if from_the_beginning { "is revoked" } else { "was revoked when it signed" };
            let is_revoked = |tag: &[u8]| match verify_tag(tag, &key) {
                Ok(_) => false,
                Err(SignatureError::KeyUnfit { rule: found, .. }) => found == rule || panic!("{found}"),
                Err(other) => panic!("{other}"),
            };
            assert_eq!(is_revoked(&before[0]), !of_subkey && from_the_beginning);
            assert_eq!(is_revoked(&after[0]), !of_subkey);
            assert_eq!(is_revoked(&before[1]), from_the_beginning);
            assert!(is_revoked(&after[1]));
        }
    }
}

#[test]
fn only_the_primary_key_speaks_for_itself() {
    let lab = Lab::new();
    let user_id = "ann@example.com";
    lab.gpg_key(user_id, "ed25519");
    let mut packets = lab.certificate(user_id).to_bytes();
    let last = packets.len() - 1;
    packets[last] ^= 1;
    assert!(matches!(SigningKey::from_bytes(&packets), Err(SignatureError::NotAKey { .. })));
}

#[test]
fn a_key_whose_user_id_was_withdrawn_signs_no_more() {
    let lab = Lab::new();
    lab.set_gpg_time(Y2020);
    let fingerprint = lab.gpg_key("ann@example.com", "ed25519");
    let sign_on = |day: i64| {
        lab.set_gpg_time(Y2020 + day * DAY);
        lab.gpg_tag(&[], PAYLOAD)
    };
    let (before, after) = (sign_on(10), sign_on(30));
    lab.set_gpg_time(Y2020 + 20 * DAY);
    // GnuPG keeps one; the certificate that is looked at has the withdrawn one only.
    lab.gpg(&["--quick-add-uid", &fingerprint, "new@example.com"], b"");
    lab.gpg(&["--quick-revoke-uid", &fingerprint, "ann@example.com"], b"");
    let packets = lab.gpg(&["--export-filter", "keep-uid=uid =~ ann", "--export", &fingerprint], b"");
    let withdrawn = SigningKey::from_bytes(&packets).unwrap();
    assert!(verify_tag(&before, &withdrawn).is_ok());
    let refused = verify_tag(&after, &withdrawn).unwrap_err().to_string();
    assert!(refused.contains("no identity"), "{refused}");
    let whole = lab.certificate(&fingerprint);
    assert!(verify_tag(&before, &whole).is_ok());
    assert!(verify_tag(&after, &whole).is_ok());
}

#[test]
fn a_version_6_certificate_is_read() {
    // RFC 9580, A.3: the primary key signs, the subkey encrypts.
    let text = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n\
        xioGY4d/4xsAAAAg+U2nu0jWCmHlZ3BqZYfQMxmZu52JGggkLq2EVD34laPCsQYf\n\
        GwoAAABCBYJjh3/jAwsJBwUVCg4IDAIWAAKbAwIeCSIhBssYbE8GCaaX5NUt+mxy\n\
        KwwfHifBilZwj2Ul7Ce62azJBScJAgcCAAAAAK0oIBA+LX0ifsDm185Ecds2v8lw\n\
        gyU2kCcUmKfvBXbAf6rhRYWzuQOwEn7E/aLwIwRaLsdry0+VcallHhSu4RN6HWaE\n\
        QsiPlR4zxP/TP7mhfVEe7XWPxtnMUMtf15OyA51YBM4qBmOHf+MZAAAAIIaTJINn\n\
        +eUBXbki+PSAld2nhJh/LVmFsS+60WyvXkQ1wpsGGBsKAAAALAWCY4d/4wKbDCIh\n\
        BssYbE8GCaaX5NUt+mxyKwwfHifBilZwj2Ul7Ce62azJAAAAAAQBIKbpGG2dWTX8\n\
        j+VjFM21J0hqWlEg+bdiojWnKfA5AQpWUWtnNwDEM0g12vYxoWM8Y81W+bHBw805\n\
        I8kWVkXU6vFOi+HWvv/ira7ofJu16NnoUkhclkUrk0mXubZvyl4GBg==\n\
        -----END PGP PUBLIC KEY BLOCK-----\n";
    let names = SigningKey::parse(text).unwrap().names();
    let names: Vec<&str> = names.iter().map(KeyName::as_str).collect();
    assert_eq!(names, ["CB186C4F0609A697E4D52DFA6C722B0C1F1E27C18A56708F6525EC27BAD9ACC9", "CB186C4F0609A697"]);
}

/// A certificate that takes in another's signing subkey, with a binding of its own but without the subkey's word.
#[test]
fn a_subkey_cannot_be_adopted() {
    use pgp::composed::{Deserializable as _, SignedSecretKey};
    use pgp::packet::{PacketTrait as _, SignatureConfig, Subpacket, SubpacketData};
    use pgp::types::{KeyDetails as _, Password};

    let lab = Lab::new();
    let ann = lab.gpg_key("ann@example.com", "ed25519");
    lab.gpg(&["--quick-add-key", &ann, "ed25519", "sign", "never"], b"");
    let subkey = lab.fingerprints("ann@example.com").swap_remove(1);
    let tag = lab.gpg_tag(&["--local-user", &format!("{subkey}!")], PAYLOAD);
    let mallory = lab.gpg_key("mallory@example.com", "ed25519");

    let load = |name: &str| SignedSecretKey::from_bytes(&lab.gpg(&["--export-secret-keys", name], b"")[..]).unwrap();
    let (ann, mallory_key) = (load(&ann), load(&mallory));
    let stolen = ann.to_public_key().public_subkeys[0].clone();
    let bind = |back_signature: Option<pgp::packet::Signature>| {
        let mut config = SignatureConfig::v4(
            pgp::packet::SignatureType::SubkeyBinding,
            mallory_key.algorithm(),
            pgp::crypto::hash::HashAlgorithm::Sha512,
        );
        let mut flags = pgp::packet::KeyFlags::default();
        flags.set_sign(true);
        let mut parts = vec![
            SubpacketData::SignatureCreationTime(stolen.key.created_at()),
            SubpacketData::KeyFlags(flags),
            SubpacketData::IssuerFingerprint(mallory_key.fingerprint()),
        ];
        parts.extend(back_signature.map(|signature| SubpacketData::EmbeddedSignature(Box::new(signature))));
        config.hashed_subpackets = parts.into_iter().map(|part| Subpacket::regular(part).unwrap()).collect();
        let binding = config
            .sign_subkey_binding(
                &mallory_key.primary_key,
                mallory_key.primary_key.public_key(),
                &Password::empty(),
                &stolen.key,
            )
            .unwrap();
        let mut packets = lab.gpg(&["--export", &mallory], b"");
        stolen.key.to_writer_with_header(&mut packets).unwrap();
        binding.to_writer_with_header(&mut packets).unwrap();
        SigningKey::from_bytes(&packets).unwrap()
    };
    let anns_back_signature = stolen.signatures[0].embedded_signature().cloned();
    assert!(anns_back_signature.is_some());
    assert!(verify_tag(&tag, &lab.certificate("ann@example.com")).is_ok());
    for thief in [bind(None), bind(anns_back_signature)] {
        assert!(!thief.names().iter().any(|name| name.as_str() == subkey));
        assert!(matches!(verify_tag(&tag, &thief), Err(SignatureError::OtherKey { .. })));
    }
}
