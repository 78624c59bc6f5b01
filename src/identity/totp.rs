//! One-time codes of six digits, as authenticator apps show them. Source: RFC 6238 with SHA-1 and steps of 30 seconds, which is
//! what AWS's virtual devices are.

use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretSlice};
use sha1::Sha1;
use subtle::ConstantTimeEq;

const STEP_SECONDS: i64 = 30;

/// The steps around now whose codes are taken: a phone's clock may be a little off.
const WINDOW: i64 = 1;

/// The step whose code `code` is, near `now_seconds` since the Unix epoch; none where it is the code of none of them. Every code
/// is compared, and in constant time.
pub(super) fn step_of(seed: &SecretSlice<u8>, code: &str, now_seconds: i64) -> Option<i64> {
    let now = now_seconds.div_euclid(STEP_SECONDS);
    let mut found = None;
    for step in now - WINDOW..=now + WINDOW {
        let matches = code_at(seed, step).as_bytes().ct_eq(code.as_bytes());
        if bool::from(matches) {
            found = Some(step);
        }
    }
    found
}

/// The code of a step.
pub(super) fn code_at(seed: &SecretSlice<u8>, step: i64) -> String {
    let mut mac = Hmac::<Sha1>::new_from_slice(seed.expose_secret()).expect("HMAC takes keys of any length");
    mac.update(&step.to_be_bytes());
    let digest: [u8; 20] = mac.finalize().into_bytes().into();
    let at = usize::from(digest[19] & 0xf);
    let number = u32::from_be_bytes([digest[at] & 0x7f, digest[at + 1], digest[at + 2], digest[at + 3]]);
    format!("{:06}", number % 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6238, appendix B, the SHA-1 rows; its codes have eight digits, of which these are the last six.
    #[test]
    fn published_codes() {
        let seed = SecretSlice::from(b"12345678901234567890".to_vec());
        for (seconds, code) in [
            (59, "287082"),
            (1111111109, "081804"),
            (1111111111, "050471"),
            (1234567890, "005924"),
            (2000000000, "279037"),
            (20000000000, "353130"),
        ] {
            assert_eq!(code_at(&seed, seconds / 30), code);
            assert_eq!(step_of(&seed, code, seconds), Some(seconds / 30));
            assert_eq!(step_of(&seed, code, seconds + 30), Some(seconds / 30));
            assert_eq!(step_of(&seed, code, seconds - 30), Some(seconds / 30));
            assert_eq!(step_of(&seed, code, seconds + 61), None);
            assert_eq!(step_of(&seed, &format!("0{code}"), seconds), None);
        }
        assert_eq!(step_of(&seed, "", 59), None);
    }
}
