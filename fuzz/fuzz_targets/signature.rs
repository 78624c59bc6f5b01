//! Any bytes as a signed commit and tag, as the inside of a signature, and as a public key.
#![no_main]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use libfuzzer_sys::fuzz_target;
use lockgate::repository::object::ObjectKind;
use lockgate::repository::signature::{SigningKey, signed_parts};

const NOW: i64 = 1_800_000_000;

fuzz_target!(|data: &[u8]| {
    // The same bytes as key and signature: the fuzzer finds pairs that fit by itself.
    let key = SigningKey::from_bytes(data).ok();
    if let Some(key) = &key {
        assert!(!key.names().is_empty());
        assert!(SigningKey::from_bytes(&key.to_bytes()).is_ok_and(|again| again.names() == key.names()));
    }
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = SigningKey::parse(text);
    }
    let inside = STANDARD.encode(data);
    let armored = ["SSH", "PGP"].map(|kind| {
        format!("object 0\n\n-----BEGIN {kind} SIGNATURE-----\n\n{inside}\n-----END {kind} SIGNATURE-----\n")
            .into_bytes()
    });
    let objects = [(ObjectKind::Commit, data), (ObjectKind::Tag, data)];
    for (kind, object) in objects.into_iter().chain(armored.iter().map(|tag| (ObjectKind::Tag, tag.as_slice()))) {
        let Ok(Some(signed)) = signed_parts(object, kind) else { continue };
        let _ = signed.claimed_keys();
        if let Some(key) = &key {
            let _ = signed.verify(key, NOW);
        }
    }
});
