//! One-time codes of six digits, as authenticator apps show them. Source: RFC 6238 with SHA-1 and steps of 30 seconds, which is
//! what AWS's virtual devices are.

use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretSlice};
use sha1::Sha1;
use subtle::ConstantTimeEq;

const STEP_SECONDS: i64 = 30;

/// The steps around now whose codes are taken: a phone's clock may be a little off.
const WINDOW: i64 = 1;

/// The steps around now in which the clock of a device is looked for that is to be found again: a day to either side.
const RESYNC_WINDOW: i64 = 86_400 / STEP_SECONDS;

/// The step whose code `code` is, near `now_seconds` since the Unix epoch as a device tells the time that is ahead by `drift`
/// steps; none where it is the code of none of them. Every code is compared, and in constant time.
pub(super) fn step_of(seed: &SecretSlice<u8>, code: &str, now_seconds: i64, drift: i64) -> Option<i64> {
    let now = now_seconds.div_euclid(STEP_SECONDS).saturating_add(drift);
    let mut found = None;
    for step in now - WINDOW..=now + WINDOW {
        let matches = code_at(seed, step).as_bytes().ct_eq(code.as_bytes());
        if bool::from(matches) {
            found = Some(step);
        }
    }
    found
}

/// The step of the second of two codes that follow each other, and by how many steps the device that shows it now is ahead;
/// none where they do not, or its clock is off by more than a day. Of several such steps it is the one nearest to now.
pub(super) fn resync(seed: &SecretSlice<u8>, codes: [&str; 2], now_seconds: i64) -> Option<(i64, i64)> {
    let now = now_seconds.div_euclid(STEP_SECONDS);
    let matches = |step: i64, code: &str| bool::from(code_at(seed, step).as_bytes().ct_eq(code.as_bytes()));
    let offsets = (0..=RESYNC_WINDOW).flat_map(|by| [by, -by]);
    let mut both = offsets.filter(|by| matches(now + by - 1, codes[0]) & matches(now + by, codes[1]));
    both.next().map(|drift| (now + drift, drift))
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

    #[test]
    fn a_clock_is_found_again_within_a_day() {
        let seed = SecretSlice::from(b"12345678901234567890".to_vec());
        let now = 1_234_567_890 / 30;
        for drift in [0, 1, -1, 20, -2_880, 2_880] {
            let codes = [code_at(&seed, now + drift - 1), code_at(&seed, now + drift)];
            let found = resync(&seed, [&codes[0], &codes[1]], 1_234_567_890);
            assert_eq!(found, Some((now + drift, drift)));
            assert_eq!(resync(&seed, [&codes[1], &codes[0]], 1_234_567_890), None, "in the other order");
            assert_eq!(resync(&seed, [&codes[1], &codes[1]], 1_234_567_890), None, "one code twice");
            let next = code_at(&seed, now + drift + 1);
            assert_eq!(step_of(&seed, &next, 1_234_567_890, drift), Some(now + drift + 1));
        }
        for drift in [-2_881, 2_881] {
            let codes = [code_at(&seed, now + drift - 1), code_at(&seed, now + drift)];
            assert_eq!(resync(&seed, [&codes[0], &codes[1]], 1_234_567_890), None);
        }
        assert_eq!(resync(&seed, ["", ""], 1_234_567_890), None);
    }

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
            assert_eq!(step_of(&seed, code, seconds, 0), Some(seconds / 30));
            assert_eq!(step_of(&seed, code, seconds + 30, 0), Some(seconds / 30));
            assert_eq!(step_of(&seed, code, seconds - 30, 0), Some(seconds / 30));
            assert_eq!(step_of(&seed, code, seconds + 61, 0), None);
            assert_eq!(step_of(&seed, &format!("0{code}"), seconds, 0), None);
        }
        assert_eq!(step_of(&seed, "", 59, 0), None);
    }
}
