//! Ending transfers while they run: whose caller was disabled, whose session was revoked, whose repository's keys may not be
//! used any more.
//!
//! What is read and written goes through here, and each piece asks whether the directory has changed since the last one. That a
//! session's time runs out does not end what was begun in time.

use std::io::{self, Read, Write};

use crate::identity::{Identity, Principal};
use crate::store::keyring::RepositoryKeys;

/// The caller of one transfer.
pub struct Live<'a> {
    identity: &'a Identity,
    principal: &'a Principal,
    keys: &'a RepositoryKeys,
    /// The directory's counter when the caller was last looked up.
    seen: Option<i64>,
}

/// A reader or writer that fails once its caller may not go on.
pub struct WhileLive<'a, T> {
    live: Live<'a>,
    inner: T,
}

impl<'a> Live<'a> {
    /// A caller that has just been let in to a repository with these keys.
    pub fn new(identity: &'a Identity, principal: &'a Principal, keys: &'a RepositoryKeys) -> Live<'a> {
        Live { identity, principal, keys, seen: None }
    }

    /// `inner`, for as long as the caller may go on.
    pub fn guard<T>(&self, inner: T) -> WhileLive<'a, T> {
        WhileLive { live: Live { seen: self.seen, ..*self }, inner }
    }

    fn check(&mut self) -> io::Result<()> {
        // What small packs hold is in memory: reading it asks no key.
        self.keys.check().map_err(|refusal| io::Error::new(io::ErrorKind::PermissionDenied, refusal))?;
        let directory = self.identity.directory();
        if self.seen == Some(directory.counter()) {
            return Ok(());
        }
        if !directory.is_active(self.principal, BEFORE_ALL_EXPIRY) {
            tracing::info!(principal = %self.principal.arn(), "ended a transfer: its caller was disabled or its session revoked");
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, "the session has ended"));
        }
        self.seen = Some(directory.counter());
        Ok(())
    }
}

impl<T: Read> Read for WhileLive<'_, T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.live.check()?;
        self.inner.read(buffer)
    }
}

impl<T: Write> Write for WhileLive<'_, T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.live.check()?;
        self.inner.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

const BEFORE_ALL_EXPIRY: i64 = i64::MIN;
