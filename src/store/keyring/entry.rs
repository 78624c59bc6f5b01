//! What an entry of the keyring holds: keys by epoch, and whether they may be used. `FORMAT.md`, "Keyring", has the bytes.

use zeroize::Zeroizing;

use crate::store::seal::Key;

/// Whether a key may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyState {
    /// It may.
    Enabled,
    /// An administrator has forbidden it, until it is enabled again.
    Disabled,
    /// It may not, and is destroyed at this time, in milliseconds since the Unix epoch, unless that is cancelled.
    Doomed {
        /// When.
        at_ms: i64,
    },
    /// It is gone.
    Destroyed,
}

/// One epoch of a key.
#[derive(Debug, Clone)]
pub struct Epoch {
    /// Ascending from 1.
    pub number: u32,
    /// When it was made, in milliseconds since the Unix epoch; 0 if that is not known.
    pub made_ms: i64,
    /// Since when nothing that lives is sealed under it, in milliseconds since the Unix epoch.
    pub unused_since_ms: Option<i64>,
    /// The key itself: for files, or, of an account, for the entries of its repositories. None once it was destroyed.
    pub key: Option<Key>,
    /// The key for rows of a repository, which outlives that for files: a log is never sealed anew. None where the key itself
    /// seals rows, too; such an epoch cannot be destroyed alone.
    pub row_key: Option<Key>,
}

impl Epoch {
    /// A fresh epoch of a repository.
    pub fn of_repository(number: u32, made_ms: i64) -> Epoch {
        Epoch { row_key: Some(Key::random()), ..Epoch::of_account(number, made_ms) }
    }

    /// A fresh epoch of an account.
    pub fn of_account(number: u32, made_ms: i64) -> Epoch {
        Epoch { number, made_ms, unused_since_ms: None, key: Some(Key::random()), row_key: None }
    }
}

/// An account's or a repository's entry.
#[derive(Debug, Clone)]
pub struct KeyEntry {
    /// Whether its keys may be used.
    pub state: KeyState,
    /// Since when that is so, in milliseconds since the Unix epoch; 0 if that is not known.
    pub since_ms: i64,
    /// Oldest first; empty only when destroyed.
    pub epochs: Vec<Epoch>,
}

const VERSION: u8 = 2;
const HAS_KEY: u8 = 1;
const HAS_ROW_KEY: u8 = 2;
/// Number, two times, flags.
const EPOCH_HEAD_BYTES: usize = 4 + 8 + 8 + 1;
const HEAD_BYTES: usize = 2 + 8 + 8;

impl KeyEntry {
    /// A fresh entry in use.
    pub fn new(epoch: Epoch) -> KeyEntry {
        KeyEntry { state: KeyState::Enabled, since_ms: epoch.made_ms, epochs: vec![epoch] }
    }

    /// The epoch that seals what is new.
    pub fn newest(&self) -> Option<&Epoch> {
        self.epochs.last()
    }

    pub(super) fn encode(&self) -> Zeroizing<Vec<u8>> {
        // Reserved whole: a buffer that grows leaves copies of keys behind.
        let mut out = Zeroizing::new(Vec::with_capacity(HEAD_BYTES + self.epochs.len() * (EPOCH_HEAD_BYTES + 64)));
        let (state, at_ms) = match self.state {
            KeyState::Enabled => (0, 0),
            KeyState::Disabled => (1, 0),
            KeyState::Doomed { at_ms } => (2, at_ms),
            KeyState::Destroyed => (3, 0),
        };
        out.extend_from_slice(&[VERSION, state]);
        out.extend_from_slice(&self.since_ms.to_be_bytes());
        out.extend_from_slice(&at_ms.to_be_bytes());
        for epoch in &self.epochs {
            out.extend_from_slice(&epoch.number.to_be_bytes());
            out.extend_from_slice(&epoch.made_ms.to_be_bytes());
            out.extend_from_slice(&epoch.unused_since_ms.unwrap_or(0).to_be_bytes());
            let flag = |key: &Option<Key>, flag| if key.is_some() { flag } else { 0 };
            out.push(flag(&epoch.key, HAS_KEY) | flag(&epoch.row_key, HAS_ROW_KEY));
            for key in [&epoch.key, &epoch.row_key].into_iter().flatten() {
                out.extend_from_slice(key.dangerous_bytes());
            }
        }
        out
    }

    /// Reads an entry back; none if the bytes are no entry.
    pub(super) fn decode(bytes: &[u8]) -> Option<KeyEntry> {
        let (head, mut rest) = bytes.split_first_chunk::<HEAD_BYTES>()?;
        if head[0] != VERSION {
            return None;
        }
        let time = |at: usize| Some(i64::from_be_bytes(*head.get(at..)?.first_chunk()?));
        let state = match head[1] {
            0 => KeyState::Enabled,
            1 => KeyState::Disabled,
            2 => KeyState::Doomed { at_ms: time(10)? },
            3 => KeyState::Destroyed,
            _ => return None,
        };
        let mut epochs = Vec::new();
        while !rest.is_empty() {
            let (head, after) = rest.split_first_chunk::<EPOCH_HEAD_BYTES>()?;
            rest = after;
            let flags = head[20];
            let mut key = |flag: u8| -> Option<Option<Key>> {
                if flags & flag == 0 {
                    return Some(None);
                }
                let (key, after) = rest.split_first_chunk::<32>()?;
                rest = after;
                Some(Some(Key::from_bytes(key)))
            };
            let (key, row_key) = (key(HAS_KEY)?, key(HAS_ROW_KEY)?);
            let unused_ms = i64::from_be_bytes(*head[12..].first_chunk()?);
            epochs.push(Epoch {
                number: u32::from_be_bytes(*head.first_chunk()?),
                made_ms: i64::from_be_bytes(*head[4..].first_chunk()?),
                unused_since_ms: (unused_ms != 0).then_some(unused_ms),
                key,
                row_key,
            });
        }
        if is_disordered(&epochs) || (epochs.is_empty() && state != KeyState::Destroyed) {
            return None;
        }
        Some(KeyEntry { state, since_ms: time(2)?, epochs })
    }

    /// An entry as version 1 had it: one key of an account, or epochs and keys of a repository.
    pub(super) fn decode_version_1(bytes: &[u8], is_repository: bool) -> Option<KeyEntry> {
        let epoch = |number, key: &[u8; 32]| Epoch {
            number,
            made_ms: 0,
            unused_since_ms: None,
            key: Some(Key::from_bytes(key)),
            row_key: None,
        };
        let epochs: Vec<Epoch> = match is_repository {
            false => vec![epoch(1, bytes.try_into().ok()?)],
            true if bytes.is_empty() || !bytes.len().is_multiple_of(36) => return None,
            true => bytes
                .chunks_exact(36)
                .map(|part| {
                    let (number, key) = part.split_at(4);
                    Some(epoch(u32::from_be_bytes(*number.first_chunk()?), key.first_chunk()?))
                })
                .collect::<Option<_>>()?,
        };
        Some(KeyEntry { state: KeyState::Enabled, since_ms: 0, epochs })
    }
}

/// Epochs ascend, and one that has neither key was never written.
fn is_disordered(epochs: &[Epoch]) -> bool {
    epochs.windows(2).any(|pair| pair[0].number >= pair[1].number)
        || epochs.iter().any(|epoch| epoch.key.is_none() && epoch.row_key.is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entry() -> KeyEntry {
        let mut old = Epoch::of_repository(1, 17);
        old.key = None;
        old.unused_since_ms = Some(23);
        KeyEntry {
            state: KeyState::Doomed { at_ms: 99 },
            since_ms: 42,
            epochs: vec![old, Epoch::of_account(2, 18), Epoch::of_repository(3, 19)],
        }
    }

    #[test]
    fn what_was_written_is_read() {
        let entry = entry();
        let bytes = entry.encode();
        let read = KeyEntry::decode(&bytes).unwrap();
        assert_eq!((read.state, read.since_ms, read.epochs.len()), (entry.state, 42, 3));
        assert_eq!(read.encode(), bytes);
        assert!(read.epochs[0].key.is_none());
        assert_eq!(read.epochs[0].unused_since_ms, Some(23));
        let secret = |epoch: &Epoch| *epoch.key.as_ref().unwrap().dangerous_bytes();
        assert_eq!(secret(&read.epochs[2]), secret(&entry.epochs[2]));
    }

    proptest! {
        #[test]
        fn other_bytes_are_refused_without_panic(cut in 0usize..1000, at in 0usize..1000, to: u8) {
            let mut bytes = entry().encode().to_vec();
            let n = bytes.len();
            if let Some(read) = KeyEntry::decode(&bytes[..cut % n]) {
                // Cut between two epochs: that the entry is whole, its tag says.
                prop_assert!(read.epochs.len() < 3);
            }
            bytes[at % n] = to;
            let _ = KeyEntry::decode(&bytes);
        }
    }
}
