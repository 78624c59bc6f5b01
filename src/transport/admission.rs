//! Who may be connected: a bound on all connections, and narrow ones, per address and in total, on those that have not
//! said who they are (attack checklist B15).
//!
//! A full house of strangers does not lock out friends: at the bound the *oldest* unauthenticated connection is ended
//! and the new one let in. A real client is through its handshake in a fraction of a second; what fills the table is
//! what stalls, and it goes first.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::config::Limits;

/// The table of connections; one for all doors.
#[derive(Debug)]
pub struct Admission {
    per_address: usize,
    unauthenticated: usize,
    connections: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    n_connections: usize,
    /// By age: the first is the oldest.
    strangers: BTreeMap<u64, (IpAddr, CancellationToken)>,
    by_address: HashMap<IpAddr, VecDeque<u64>>,
}

impl Admission {
    /// A table with the bounds of `limits`.
    pub fn new(limits: &Limits) -> Arc<Admission> {
        Arc::new(Admission {
            per_address: limits.unauthenticated_per_address as usize,
            unauthenticated: limits.unauthenticated as usize,
            connections: limits.connections as usize,
            state: Mutex::new(State::default()),
        })
    }

    /// Lets a connection in, or returns none where the house is full of known people. The permit's token ends the
    /// connection; dropping the permit frees its place.
    pub fn admit(self: &Arc<Admission>, address: IpAddr) -> Option<Permit> {
        let address = address.to_canonical();
        let mut state = self.state.lock();
        let of_address = state.by_address.get(&address).map_or(0, VecDeque::len);
        let victim = if of_address >= self.per_address {
            state.by_address.get(&address).and_then(|ids| ids.front()).copied()
        } else if state.strangers.len() >= self.unauthenticated || state.n_connections >= self.connections {
            state.strangers.keys().next().copied()
        } else {
            None
        };
        match victim {
            Some(victim) => {
                if let Some(token) = state.forget_stranger(victim) {
                    token.cancel();
                }
            }
            None if state.n_connections >= self.connections => return None,
            None => {}
        }
        let id = state.next;
        state.next += 1;
        state.n_connections += 1;
        let token = CancellationToken::new();
        state.strangers.insert(id, (address, token.clone()));
        state.by_address.entry(address).or_default().push_back(id);
        Some(Permit { admission: self.clone(), id, known: AtomicBool::new(false), token })
    }
}

impl State {
    fn forget_stranger(&mut self, id: u64) -> Option<CancellationToken> {
        let (address, token) = self.strangers.remove(&id)?;
        if let Some(ids) = self.by_address.get_mut(&address) {
            ids.retain(|other| *other != id);
            if ids.is_empty() {
                self.by_address.remove(&address);
            }
        }
        Some(token)
    }
}

/// A connection's place in the table.
#[derive(Debug)]
pub struct Permit {
    admission: Arc<Admission>,
    id: u64,
    known: AtomicBool,
    token: CancellationToken,
}

impl Permit {
    /// Ends the connection when cancelled, by whoever decides so.
    pub fn token(&self) -> &CancellationToken {
        &self.token
    }

    /// The peer has proven who it is: the connection no longer counts among strangers.
    pub fn authenticated(&self) {
        if !self.known.swap(true, Ordering::AcqRel) {
            self.admission.state.lock().forget_stranger(self.id);
        }
    }

    /// Whether [`Permit::authenticated`] was called.
    pub fn is_authenticated(&self) -> bool {
        self.known.load(Ordering::Acquire)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut state = self.admission.state.lock();
        state.forget_stranger(self.id);
        state.n_connections -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission(per_address: u32, unauthenticated: u32, connections: u32) -> Arc<Admission> {
        Admission::new(&Limits {
            unauthenticated_per_address: per_address,
            unauthenticated,
            connections,
            ..Limits::default()
        })
    }

    // B15
    #[test]
    fn the_oldest_stranger_makes_room() {
        let admission = admission(2, 3, 100);
        let [a, b]: [IpAddr; 2] = ["10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap()];
        let first = admission.admit(a).unwrap();
        let second = admission.admit(a).unwrap();
        let third = admission.admit(a).unwrap();
        assert!(first.token().is_cancelled() && !second.token().is_cancelled());
        let _fourth = admission.admit(b).unwrap();
        let _fifth = admission.admit(b).unwrap();
        assert!(second.token().is_cancelled() && !third.token().is_cancelled());
    }

    #[test]
    fn people_who_are_known_are_not_ended() {
        let admission = admission(1, 1, 2);
        let a = "10.0.0.1".parse().unwrap();
        let first = admission.admit(a).unwrap();
        first.authenticated();
        let second = admission.admit(a).unwrap();
        second.authenticated();
        assert!(admission.admit(a).is_none());
        assert!(!first.token().is_cancelled() && !second.token().is_cancelled());
        drop(first);
        assert!(admission.admit(a).is_some());
        // The same address in its IPv6 clothes is the same address.
        assert_eq!(admission.state.lock().by_address.len(), 0);
    }
}
