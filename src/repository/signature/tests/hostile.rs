//! Objects, signatures and keys changed by hand and at random: what still verifies is what was signed (B6).

use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;

/// Real keys and what they signed, made once: for tests of bytes rather than of tools.
struct Samples {
    /// A key and a signed object of either kind, by SSH and by OpenPGP.
    signed: Vec<(SigningKey, ObjectKind, Vec<u8>)>,
}

static SAMPLES: LazyLock<Samples> = LazyLock::new(|| {
    let lab = Lab::with_repository();
    let mut signed = Vec::new();
    lab.gpg_key("ann@example.com", "ed25519");
    lab.git(&["config", "user.signingKey", "ann@example.com"]);
    let key = lab.certificate("ann@example.com");
    signed.extend(lab.signed_objects().map(|(kind, object)| (key.clone(), kind, object)));
    lab.git(&["config", "gpg.format", "ssh"]);
    let key = lab.ssh_key("key", &["-t", "ed25519"]);
    lab.git(&["config", "user.signingKey", lab.path("key").to_str().unwrap()]);
    signed.extend(lab.signed_objects().map(|(kind, object)| (key.clone(), kind, object)));
    Samples { signed }
});

fn sample_commit() -> (&'static SigningKey, String) {
    let (key, _, object) = SAMPLES.signed.iter().rfind(|sample| sample.1 == ObjectKind::Commit).unwrap();
    (key, String::from_utf8(object.clone()).unwrap())
}

fn sample_tag() -> (&'static SigningKey, String) {
    let (key, _, object) = SAMPLES.signed.iter().rfind(|sample| sample.1 == ObjectKind::Tag).unwrap();
    (key, String::from_utf8(object.clone()).unwrap())
}

/// The reason why a commit that was changed by hand does not count.
fn refuse_commit(object: &str) -> String {
    match verify(object.as_bytes(), ObjectKind::Commit, sample_commit().0) {
        Ok(verified) => panic!("verified: {verified:?}\n{object}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn unsigned_objects_have_no_signature() {
    let commit = "tree 0\nauthor a\n\ngpgsig -----BEGIN SSH SIGNATURE-----\n";
    for (kind, object) in [
        (ObjectKind::Commit, commit),
        (ObjectKind::Commit, "tree 0\nmergetag object 1\n gpgsig x\n\nbody"),
        (ObjectKind::Commit, "tree 0\ngpgsig-sha256 x\n y\n\nbody"),
        (ObjectKind::Commit, ""),
        (ObjectKind::Tag, "object 0\n\nbody -----BEGIN SSH SIGNATURE-----\n"),
        (ObjectKind::Tag, "object 0\n\n-----BEGIN SSH SIGNATURE\n"),
        (ObjectKind::Tag, ""),
        (ObjectKind::Blob, "gpgsig x\n"),
        (ObjectKind::Tree, "gpgsig x\n"),
    ] {
        assert!(signed_parts(object.as_bytes(), kind).unwrap().is_none(), "{object}");
    }
}

// B6
#[test]
fn a_commit_is_read_in_one_way_only() {
    let (key, commit) = sample_commit();
    let signature: String = {
        let begin = commit.find("gpgsig ").unwrap();
        let end = commit.find(" -----END SSH SIGNATURE-----\n").unwrap() + " -----END SSH SIGNATURE-----\n".len();
        commit[begin..end].to_string()
    };
    let holds = |object: &str| verify(object.as_bytes(), ObjectKind::Commit, key).is_ok();
    assert!(holds(&commit));
    // Git reads the header wherever it stands, and leaves the signature under the other id out.
    assert!(holds(&format!("{signature}{}", commit.replace(&signature, ""))));
    assert!(holds(&commit.replace("gpgsig ", "gpgsig-sha256 one\n two\ngpgsig ")));
    assert!(holds(&commit.replacen("\n\n", "\ngpgsig-sha256 one\n two\n\n", 1)));

    let twice = commit.replace(&signature, &format!("{signature}{signature}"));
    assert_eq!(refuse_commit(&twice), "the commit is signed ambiguously: it has several `gpgsig` headers");
    let twice = commit.replacen("\n\n", "\ngpgsig-sha256 a\ngpgsig-sha256 b\n\n", 1);
    assert!(refuse_commit(&twice).contains("several"));
    for unsigned in ["gpgsig\n", "gpgsigning is fun\n", "gpgsig-sha512 x\n", "gpgsig-sha256\n"] {
        let refused = refuse_commit(&commit.replace("gpgsig ", &format!("{unsigned}gpgsig ")));
        assert!(refused.contains("begins with `gpgsig`"), "{refused}");
    }
    let end = "-----END SSH SIGNATURE-----\n";
    let refused = refuse_commit(&commit.replace(end, &format!("{end} unsigned words\n")));
    assert!(refused.contains("something follows its end"), "{refused}");
    let refused = refuse_commit(&commit.replace("-----BEGIN SSH SIGNATURE", "words\n -----BEGIN SSH SIGNATURE"));
    assert!(refused.contains("begins with `words`"), "{refused}");
    let refused = refuse_commit(&commit.replace("SSH SIGNATURE", "SIGNED MESSAGE"));
    assert_eq!(refused, "signatures of kind `SIGNED MESSAGE` are not verified here");
    assert!(holds(&commit.replace(end, &format!("{end} \n"))));
    for changed in [commit.replace("author", "Author"), format!("{commit} "), commit.replace('\n', "\r\n")] {
        assert_ne!(refuse_commit(&changed), "");
    }
}

#[test]
fn a_tag_is_read_in_one_way_only() {
    let (key, tag) = sample_tag();
    let reason = |object: &str| verify(object.as_bytes(), ObjectKind::Tag, key).map_err(|error| error.to_string());
    assert!(reason(&tag).is_ok());
    assert!(reason(&tag.replacen("\n\n", "\ngpgsig-sha256 one\n two\n\n", 1)).is_ok());
    for unsigned in ["gpgsig x\n", "gpgsig\n", "gpgsig-sha256 a\n b\ngpgsig-sha256 c\n"] {
        let refused = reason(&tag.replacen("\n\n", &format!("\n{unsigned}\n"), 1)).unwrap_err();
        assert!(refused.contains("ambiguously"), "{refused}");
    }
    assert!(reason(&format!("{tag}unsigned words\n")).unwrap_err().contains("something follows its end"));
    assert!(reason(&format!("{tag}\n \r\n")).is_ok());
    // As in git, the last signature counts, and is over all before it.
    let begin = tag.find("-----BEGIN").unwrap();
    assert!(reason(&format!("{tag}{}", &tag[begin..])).unwrap_err().contains("does not match"));
}

#[test]
fn what_is_too_large_is_not_read() {
    let commit = |n_bytes: usize| format!("gpgsig -----BEGIN SSH SIGNATURE-----\n {}\n\n", "A".repeat(n_bytes));
    for (object, what) in [(commit(MAX_SIGNATURE_BYTES), "signature"), (commit(MAX_OBJECT_BYTES), "commit")] {
        match signed_parts(object.as_bytes(), ObjectKind::Commit) {
            Err(SignatureError::TooLarge { what: found, .. }) => assert_eq!(found, what),
            other => panic!("{other:?}"),
        }
    }
    let text = "A".repeat(MAX_KEY_BYTES + 1);
    assert!(matches!(SigningKey::parse(&text), Err(SignatureError::TooLarge { .. })));
    assert!(matches!(SigningKey::from_bytes(text.as_bytes()), Err(SignatureError::TooLarge { .. })));
}

#[test]
fn an_ssh_signature_has_one_encoding() {
    let (key, tag) = sample_tag();
    let begin = tag.find("-----BEGIN").unwrap();
    let base64: String = tag[begin..].lines().filter(|line| !line.starts_with("-----")).collect();
    let blob = STANDARD.decode(base64).unwrap();
    let armored = |blob: &[u8]| {
        let base64 = STANDARD.encode(blob);
        format!("{}-----BEGIN SSH SIGNATURE-----\n{base64}\n-----END SSH SIGNATURE-----\n", &tag[..begin])
    };
    let verify = |blob: &[u8]| verify_tag(armored(blob).as_bytes(), key);
    assert!(verify(&blob).is_ok());
    assert!(verify(&[&blob[..], b"\0"].concat()).is_err());
    assert!(verify(&blob[..blob.len() - 1]).is_err());
    for version in [0, 2] {
        let mut changed = blob.clone();
        changed[9] = version;
        assert!(verify(&changed).is_err());
    }
    // Four bytes of namespace length and `git` are followed by the length of what is reserved.
    let reserved = blob.windows(7).position(|window| window == b"\0\0\0\x03git").unwrap() + 7;
    let changed = [&blob[..reserved], b"\0\0\0\x01!", &blob[reserved + 4..]].concat();
    assert_eq!(verify(&changed).unwrap_err().to_string(), "SSH signatures with reserved data are not verified here");
}

/// One change to some bytes: set, removed, or put in.
fn mutate(bytes: &[u8], at: usize, byte: u8, change: u8) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let at = at % bytes.len();
    match change % 3 {
        0 => bytes[at] = byte,
        1 => drop(bytes.remove(at)),
        _ => bytes.insert(at, byte),
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    // B6
    #[test]
    fn what_verifies_is_what_was_signed(
        n in 0usize..4, changes in prop::collection::vec((any::<usize>(), any::<u8>(), any::<u8>()), 1..4),
    ) {
        let (key, kind, object) = &SAMPLES.signed[n];
        let changed = changes.iter().fold(object.clone(), |object, (at, byte, change)| mutate(&object, *at, *byte, *change));
        if let Ok(Some(signed)) = signed_parts(&changed, *kind)
            && signed.verify(key, NOW).is_ok()
        {
            let original = signed_parts(object, *kind).unwrap().unwrap();
            prop_assert_eq!(signed.payload(), original.payload());
        }
    }

    /// Past the armor, where the base64 would catch nearly everything.
    #[test]
    fn hostile_signature_and_key_bytes_are_errors(
        n in 0usize..4, changes in prop::collection::vec((any::<usize>(), any::<u8>(), any::<u8>()), 1..6),
    ) {
        let change = |bytes: Vec<u8>| changes.iter().fold(bytes, |bytes, (at, byte, how)| mutate(&bytes, *at, *byte, *how));
        let (key, kind, object) = &SAMPLES.signed[n];
        let signed = signed_parts(object, *kind).unwrap().unwrap();
        let text = if *kind == ObjectKind::Tag { object.clone() } else { return Ok(()) };
        let text = &text[signed.payload().len()..];
        let label = Label::of(text).unwrap();
        let blob = change(armor::decode(text, label).unwrap());
        match label {
            Label::Ssh => drop(ssh::SshSignature::parse(&blob).map(|signature| match key {
                SigningKey::Ssh(key) => signature.verify(key, b"other bytes").unwrap_err(),
                SigningKey::OpenPgp(_) => unreachable!("the sample's key is of its kind"),
            })),
            _ => drop(openpgp::OpenPgpSignature::parse(&blob).map(|signature| match key {
                SigningKey::OpenPgp(key) => signature.verify(key, b"other bytes", NOW).unwrap_err(),
                SigningKey::Ssh(_) => unreachable!("the sample's key is of its kind"),
            })),
        }
        if let Ok(changed) = SigningKey::from_bytes(&change(key.to_bytes())) {
            let _ = signed.verify(&changed, NOW);
            prop_assert!(SigningKey::from_bytes(&changed.to_bytes()).is_ok());
        }
    }

    #[test]
    fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ = openpgp::OpenPgpSignature::parse(&bytes);
        let _ = ssh::SshSignature::parse(&bytes);
        let _ = SigningKey::from_bytes(&bytes);
        for kind in [ObjectKind::Commit, ObjectKind::Tag] {
            let _ = signed_parts(&bytes, kind);
        }
    }
}
