//! Slows down who tries passwords: failures fill a bucket for the address they come from and one for the user name
//! they are about, and a full bucket must leak before the next attempt is looked at.
//!
//! A success empties no bucket, or an attacker with one right password could pay for any number of wrong ones. User
//! names that do not exist have buckets like others, or a bucket would tell which do (attack checklist C8). The tables
//! are bounded; where one is full, the entry that is nearest to being forgiven makes room.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::net::IpAddr;

use parking_lot::Mutex;

/// The failures of late.
pub(super) struct LoginGuard {
    addresses: Mutex<Buckets<IpAddr>>,
    /// By a keyed hash of the name, so that long names take no room.
    users: Mutex<Buckets<u64>>,
    name_hash: RandomState,
}

impl LoginGuard {
    /// No failures yet.
    pub(super) fn new() -> LoginGuard {
        LoginGuard {
            // Many people may share an address; few fail for the same user.
            addresses: Mutex::new(Buckets::new(30, 2_000, MAX_ENTRIES)),
            users: Mutex::new(Buckets::new(10, 6_000, MAX_ENTRIES)),
            name_hash: RandomState::new(),
        }
    }

    /// Whether the address may try: `Err` has the milliseconds until it may.
    pub(super) fn check_address(&self, address: IpAddr, now_ms: i64) -> Result<(), i64> {
        self.addresses.lock().check(&block_of(address), now_ms)
    }

    /// Whether someone may try for the user: `Err` has the milliseconds until then.
    pub(super) fn check_user(&self, user: &str, now_ms: i64) -> Result<(), i64> {
        self.users.lock().check(&self.name_hash.hash_one(user), now_ms)
    }

    /// Notes a failure for a name, whose address is not known.
    pub(super) fn failed_user(&self, user: &str, now_ms: i64) {
        self.users.lock().add(self.name_hash.hash_one(user), now_ms);
    }

    /// Counts a failure.
    pub(super) fn failed(&self, address: IpAddr, user: &str, now_ms: i64) {
        self.addresses.lock().add(block_of(address), now_ms);
        self.users.lock().add(self.name_hash.hash_one(user), now_ms);
    }
}

const MAX_ENTRIES: usize = 1 << 16;

/// What one customer of an internet provider has: one IPv4 address, 2^64 IPv6 addresses.
fn block_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) >> 64 << 64).into()),
        v4 => v4,
    }
}

/// Leaky buckets, each kept as the one number that it needs: when it will be empty.
struct Buckets<K> {
    capacity: i64,
    leak_ms: i64,
    max_entries: usize,
    empty_at_ms: HashMap<K, i64>,
}

impl<K: Hash + Eq + Clone> Buckets<K> {
    fn new(capacity: i64, leak_ms: i64, max_entries: usize) -> Buckets<K> {
        Buckets { capacity, leak_ms, max_entries, empty_at_ms: HashMap::new() }
    }

    fn check(&self, key: &K, now_ms: i64) -> Result<(), i64> {
        let Some(empty_at_ms) = self.empty_at_ms.get(key) else { return Ok(()) };
        // Never longer than from full to empty, also where the clock was put back.
        let filled_ms = (empty_at_ms - now_ms).min(self.capacity * self.leak_ms);
        let wait_ms = filled_ms - (self.capacity - 1) * self.leak_ms;
        if wait_ms > 0 { Err(wait_ms) } else { Ok(()) }
    }

    fn add(&mut self, key: K, now_ms: i64) {
        if self.empty_at_ms.len() >= self.max_entries && !self.empty_at_ms.contains_key(&key) {
            self.empty_at_ms.retain(|_, empty_at_ms| *empty_at_ms > now_ms);
            // A failure has cost its hash before it comes here, next to which this search is nothing.
            if self.empty_at_ms.len() >= self.max_entries
                && let Some(nearest) = self.empty_at_ms.iter().min_by_key(|(_, at)| **at).map(|(key, _)| key.clone())
            {
                self.empty_at_ms.remove(&nearest);
            }
        }
        let full_ms = now_ms + self.capacity * self.leak_ms;
        let empty_at_ms = self.empty_at_ms.entry(key).or_insert(now_ms);
        *empty_at_ms = ((*empty_at_ms).max(now_ms) + self.leak_ms).min(full_ms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_bucket_leaks() {
        let mut buckets = Buckets::new(3, 1000, 10);
        for _ in 0..3 {
            assert_eq!(buckets.check(&"a", 0), Ok(()));
            buckets.add("a", 0);
        }
        assert_eq!(buckets.check(&"a", 0), Err(1000));
        assert_eq!(buckets.check(&"b", 0), Ok(()));
        assert_eq!(buckets.check(&"a", 400), Err(600));
        assert_eq!(buckets.check(&"a", 1000), Ok(()));
        buckets.add("a", 1000);
        assert_eq!(buckets.check(&"a", 1000), Err(1000));
        // Failures that were under way at once fill it no further than full.
        for _ in 0..100 {
            buckets.add("a", 1000);
        }
        assert_eq!(buckets.check(&"a", 2000), Ok(()));
        // A clock that was put back does not lock anyone out for longer than a full bucket.
        assert_eq!(buckets.check(&"a", -1_000_000_000), Err(1000));
    }

    #[test]
    fn the_table_is_bounded_and_keeps_the_worst() {
        let mut buckets = Buckets::new(3, 1000, 10);
        for _ in 0..3 {
            buckets.add(-1, 0);
        }
        for key in 0..1000 {
            buckets.add(key, 0);
            assert!(buckets.empty_at_ms.len() <= 10);
        }
        assert!(buckets.check(&-1, 0).is_err());
    }

    #[test]
    fn addresses_of_one_customer_are_one() {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        assert_eq!(block_of(address("2001:db8::1")), block_of(address("2001:db8::ffff:1")));
        assert_ne!(block_of(address("2001:db8::1")), block_of(address("2001:db8:0:1::1")));
        assert_eq!(block_of(address("::ffff:192.0.2.1")), address("192.0.2.1"));
    }
}
