//! Passwords: how they are made, hashed (argon2id) and checked, and how much work for that is under way at once.

use std::sync::atomic::{AtomicU64, Ordering};

use argon2::{Algorithm, Argon2, Params, Version};
use parking_lot::{Condvar, Mutex};
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;

use crate::store::seal::random;

/// OWASP's choice for argon2id: 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// A password's argon2id hash, with what is needed to compute it again.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct PasswordHash {
    /// Memory in KiB.
    pub(super) memory_kib: u32,
    /// Passes over the memory.
    pub(super) passes: u32,
    /// Lanes.
    pub(super) lanes: u32,
    /// Random, of this hash alone.
    pub(super) salt: [u8; 16],
    /// The hash.
    pub(super) hash: [u8; 32],
}

impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PasswordHash(..)")
    }
}

impl PasswordHash {
    /// Hashes a password under a fresh salt. Blocks for tens of milliseconds.
    pub(super) fn new(password: &SecretString) -> PasswordHash {
        let mut hash = PasswordHash::nobody();
        hash.hash = hash.compute(password.expose_secret()).expect("the parameters are constants that argon2 takes");
        hash
    }

    /// A hash that no password is known for. Checking against it costs what checking a real one costs.
    pub(super) fn nobody() -> PasswordHash {
        PasswordHash { memory_kib: MEMORY_KIB, passes: PASSES, lanes: LANES, salt: random(), hash: random() }
    }

    /// Whether this is the hash of the password. Blocks for tens of milliseconds.
    pub(super) fn is_of(&self, password: &str) -> bool {
        self.compute(password).is_some_and(|hash| hash.ct_eq(&self.hash).into())
    }

    fn compute(&self, password: &str) -> Option<[u8; 32]> {
        let params = Params::new(self.memory_kib, self.passes, self.lanes, Some(32)).ok()?;
        let mut hash = [0; 32];
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(password.as_bytes(), &self.salt, &mut hash)
            .ok()?;
        Some(hash)
    }
}

/// How many hashes may be computed at once (each takes 19 MiB and a core), and how many may wait for that.
pub(super) struct HashSlots {
    state: Mutex<SlotState>,
    freed: Condvar,
    n_taken: AtomicU64,
}

struct SlotState {
    free: usize,
    waiting: usize,
}

/// More would only fill the blocking threads; who comes then is told to come again.
const MAX_WAITING: usize = 128;

impl HashSlots {
    /// As many slots as the machine has cores.
    pub(super) fn new() -> HashSlots {
        let free = std::thread::available_parallelism().map_or(1, usize::from);
        HashSlots {
            state: Mutex::new(SlotState { free, waiting: 0 }),
            freed: Condvar::new(),
            n_taken: AtomicU64::new(0),
        }
    }

    /// Waits for a slot; none where too many wait already.
    pub(super) fn take(&self) -> Option<HashSlot<'_>> {
        let mut state = self.state.lock();
        if state.free == 0 {
            if state.waiting >= MAX_WAITING {
                return None;
            }
            state.waiting += 1;
            while state.free == 0 {
                self.freed.wait(&mut state);
            }
            state.waiting -= 1;
        }
        state.free -= 1;
        self.n_taken.fetch_add(1, Ordering::Relaxed);
        Some(HashSlot { slots: self })
    }

    /// How often a slot was taken.
    pub(super) fn n_taken(&self) -> u64 {
        self.n_taken.load(Ordering::Relaxed)
    }
}

/// A slot in use; given back when dropped.
pub(super) struct HashSlot<'a> {
    slots: &'a HashSlots,
}

impl Drop for HashSlot<'_> {
    fn drop(&mut self) {
        self.slots.state.lock().free += 1;
        self.slots.freed.notify_one();
    }
}

/// Letters and digits.
pub(super) const ALPHANUMERIC: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
/// What AWS's ids are made of.
pub(super) const BASE32: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// A random text, each character of the alphabet as likely as every other.
pub(super) fn random_text(alphabet: &[u8], len: usize) -> String {
    // Bytes from the highest whole multiple on would favour the alphabet's beginning.
    let limit = 256 - 256 % alphabet.len();
    let mut text = String::with_capacity(len);
    while text.len() < len {
        let [byte] = random::<1>();
        if usize::from(byte) < limit {
            text.push(char::from(alphabet[usize::from(byte) % alphabet.len()]));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    // C8
    #[test]
    fn a_hash_knows_its_password_and_prints_nothing() {
        let hash = PasswordHash::new(&SecretString::from("correct"));
        assert!(hash.is_of("correct"));
        assert!(!hash.is_of("Correct") && !hash.is_of(""));
        assert_eq!(format!("{hash:?}"), "PasswordHash(..)");
        assert!(!PasswordHash::nobody().is_of("correct"));
        assert_ne!(hash, PasswordHash::new(&SecretString::from("correct")), "each has its own salt");
    }

    #[test]
    fn random_texts_are_of_the_alphabet() {
        let text = random_text(BASE32, 1000);
        assert_eq!(text.len(), 1000);
        assert!(text.bytes().all(|b| BASE32.contains(&b)));
        assert!(BASE32.iter().all(|b| text.as_bytes().contains(b)));
    }

    #[test]
    fn slots_come_back() {
        let slots = HashSlots::new();
        for _ in 0..1000 {
            assert!(slots.take().is_some());
        }
        assert_eq!(slots.n_taken(), 1000);
    }
}
