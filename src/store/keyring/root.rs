//! Where the root key comes from. A provider keeps it in some form in one file of the keys folder, and gives it back from
//! there: as it is ([`RootKeyFile`]), or sealed by a service that has to be asked.
//!
//! A service may take a key back: what it gave is good for a lease, and has to be asked for again before the lease is over.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use parking_lot::Mutex;
use zeroize::Zeroizing;

use super::live::{KeyOwner, KeyRefusal, RefusalReason};
use crate::clock::Clock;
use crate::store::seal::Key;

/// Why a provider did not give the root key.
#[derive(Debug, thiserror::Error)]
pub enum RootKeyError {
    /// It was asked and said no: the key was disabled or taken away there, or its user has no right to it.
    #[error("{provider} refuses the root key: {why}")]
    Refused {
        /// The provider's name.
        provider: &'static str,
        /// What it says.
        why: String,
    },
    /// It could not be asked.
    #[error("{provider} could not be asked for the root key")]
    Unreachable {
        /// The provider's name.
        provider: &'static str,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// What lies in the keys folder is not what the provider wrote there.
    #[error("the file `{file}` in the keys folder is damaged")]
    Damaged {
        /// The file.
        file: &'static str,
    },
}

/// Keeps root keys and gives them back.
pub trait RootKeyProvider: Send + Sync {
    /// What people call it, such as `aws-kms`.
    fn name(&self) -> &'static str;

    /// The file of the keys folder in which it keeps what [`RootKeyProvider::keep`] made; no two providers share one.
    fn file_name(&self) -> &'static str;

    /// What is to be kept, so that [`RootKeyProvider::recover`] gives the key back.
    fn keep<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Zeroizing<Vec<u8>>, RootKeyError>>;

    /// The key, from what was kept.
    fn recover<'a>(&'a self, kept: &'a [u8]) -> BoxFuture<'a, Result<Key, RootKeyError>>;

    /// How long a key may be used after it was given; none is for good.
    fn lease(&self) -> Option<Duration>;
}

/// The root key as a file of 32 bytes. It protects as much as its folder does.
pub struct RootKeyFile;

impl RootKeyFile {
    const FILE: &str = "root.key";
}

impl RootKeyProvider for RootKeyFile {
    fn name(&self) -> &'static str {
        "file"
    }

    fn file_name(&self) -> &'static str {
        RootKeyFile::FILE
    }

    fn keep<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Zeroizing<Vec<u8>>, RootKeyError>> {
        let bytes = Zeroizing::new(key.dangerous_bytes().to_vec());
        Box::pin(async { Ok(bytes) })
    }

    fn recover<'a>(&'a self, kept: &'a [u8]) -> BoxFuture<'a, Result<Key, RootKeyError>> {
        let key = kept.try_into().map(Key::from_bytes);
        Box::pin(async { key.map_err(|_| RootKeyError::Damaged { file: RootKeyFile::FILE }) })
    }

    fn lease(&self) -> Option<Duration> {
        None
    }
}

/// Until when the root key may be used.
pub(super) struct Lease {
    clock: Clock,
    /// Milliseconds since the Unix epoch.
    until_ms: AtomicI64,
    /// What the provider said last, where it did not give the key.
    trouble: Mutex<String>,
}

impl Lease {
    /// A lease that has just been given.
    pub(super) fn begin(clock: Clock, of: Option<Duration>) -> Lease {
        let lease = Lease { clock, until_ms: AtomicI64::new(0), trouble: Mutex::default() };
        lease.extend(of);
        lease
    }

    pub(super) fn extend(&self, of: Option<Duration>) {
        let until_ms = match of {
            None => i64::MAX,
            Some(of) => self.clock.now_ms().saturating_add(i64::try_from(of.as_millis()).unwrap_or(i64::MAX)),
        };
        self.trouble.lock().clear();
        self.until_ms.store(until_ms, Ordering::Relaxed);
    }

    /// Notes that the key was not given again; where it was refused, it is over at once.
    pub(super) fn note(&self, error: &RootKeyError) {
        *self.trouble.lock() = crate::telemetry::with_causes(error);
        if !matches!(error, RootKeyError::Unreachable { .. }) {
            self.until_ms.store(i64::MIN, Ordering::Relaxed);
        }
    }

    pub(super) fn check(&self) -> Result<(), KeyRefusal> {
        if self.clock.now_ms() < self.until_ms.load(Ordering::Relaxed) {
            return Ok(());
        }
        let reason = RefusalReason::NotConfirmed { trouble: self.trouble.lock().clone() };
        Err(KeyRefusal { owner: KeyOwner::Root, reason })
    }
}
