//! Failed logins are counted by address and by user name; whoever fails too often waits. Right ones neither count nor
//! wipe the count. Tables are bounded: a flood of names forgets the oldest, never the memory.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;

use parking_lot::Mutex;

use crate::clock::Clock;

/// Failures that are forgiven at once.
const BURST: f64 = 20.0;
/// Failures forgiven each second.
const PER_SECOND: f64 = 0.2;
/// Entries kept of each table.
const MAX_ENTRIES: usize = 50_000;

/// Counts failed logins.
pub struct LoginGuard {
    clock: Clock,
    by_address: Mutex<HashMap<IpAddr, Bucket>>,
    by_user: Mutex<HashMap<String, Bucket>>,
}

#[derive(Clone, Copy)]
struct Bucket {
    failures: f64,
    at_ms: i64,
}

impl Bucket {
    fn at(self, now_ms: i64) -> f64 {
        let seconds = (now_ms - self.at_ms).max(0) as f64 / 1000.0;
        (self.failures - seconds * PER_SECOND).max(0.0)
    }
}

impl LoginGuard {
    /// A guard that knows of no failure.
    pub fn new(clock: Clock) -> LoginGuard {
        LoginGuard { clock, by_address: Mutex::default(), by_user: Mutex::default() }
    }

    /// Whether an attempt is looked at; if not, the seconds to wait.
    pub fn admit(&self, address: IpAddr, user: &str) -> Result<(), u32> {
        let now_ms = self.clock.now_ms();
        let failures = level(&self.by_address, &network(address), now_ms).max(level(&self.by_user, user, now_ms));
        if failures < BURST { Ok(()) } else { Err(((failures - BURST + 1.0) / PER_SECOND).ceil() as u32) }
    }

    /// Counts a failure.
    pub fn failed(&self, address: IpAddr, user: &str) {
        let now_ms = self.clock.now_ms();
        add(&self.by_address, network(address), now_ms);
        add(&self.by_user, user.chars().take(128).collect(), now_ms);
    }
}

/// Of IPv6 the first 64 bits count: whoever has one such address has them all.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) >> 64 << 64).into()),
        v4 => v4,
    }
}

fn level<K: Hash + Eq + std::borrow::Borrow<Q>, Q: Hash + Eq + ?Sized>(
    table: &Mutex<HashMap<K, Bucket>>,
    key: &Q,
    now_ms: i64,
) -> f64 {
    table.lock().get(key).map_or(0.0, |bucket| bucket.at(now_ms))
}

fn add<K: Hash + Eq>(table: &Mutex<HashMap<K, Bucket>>, key: K, now_ms: i64) {
    let mut table = table.lock();
    if table.len() >= MAX_ENTRIES {
        table.retain(|_, bucket| bucket.at(now_ms) > 1.0);
        if table.len() >= MAX_ENTRIES {
            table.clear();
        }
    }
    let failures = table.get(&key).map_or(0.0, |bucket| bucket.at(now_ms)) + 1.0;
    table.insert(key, Bucket { failures, at_ms: now_ms });
}

#[cfg(test)]
mod tests {
    use super::*;

    // C8 I6
    #[test]
    fn failures_are_forgiven_with_time_only() {
        let clock = Clock::manual(1_000_000);
        let guard = LoginGuard::new(clock.clone());
        let (home, other): (IpAddr, IpAddr) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        for _ in 0..20 {
            assert_eq!(guard.admit(home, "alice"), Ok(()));
            guard.failed(home, "alice");
        }
        let wait = guard.admit(home, "bob").unwrap_err();
        assert!(guard.admit(other, "alice").is_err(), "the name is guarded from every address");
        assert_eq!(guard.admit(other, "bob"), Ok(()));
        clock.advance_ms(i64::from(wait) * 1000);
        assert_eq!(guard.admit(home, "alice"), Ok(()));
        for i in 0..MAX_ENTRIES + 10 {
            guard.failed(other, &format!("user{i}"));
        }
        assert!(guard.by_user.lock().len() <= MAX_ENTRIES);
    }
}
