//! When access keys were used last, and for what. Written every minute and when the server stops, not on the way of a request.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::lockgate::Lockgate;
use crate::store::Store;
use crate::store::catalog::CatalogError;

/// How often uses are written.
const EVERY: Duration = Duration::from_secs(60);

/// Most keys whose use is held.
const MAX_HELD: usize = 1 << 16;

/// One use of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastUse {
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// The service, as signatures name it.
    pub service: String,
    /// The region that the signature was for.
    pub region: String,
}

#[derive(Serialize, Deserialize)]
struct Note {
    service: String,
    region: String,
}

/// The uses of one process that are not written yet.
#[derive(Clone)]
pub struct LastUses {
    store: Store,
    held: Arc<Mutex<HashMap<String, LastUse>>>,
}

impl LastUses {
    /// None yet.
    pub fn new(store: Store) -> LastUses {
        LastUses { store, held: Arc::default() }
    }

    /// Takes a use in.
    pub fn note(&self, key: &str, used: LastUse) {
        let mut held = self.held.lock();
        if held.len() < MAX_HELD || held.contains_key(key) {
            held.insert(key.to_owned(), used);
        }
    }

    /// Writes regularly, for as long as it is polled.
    pub async fn write_regularly(self) {
        loop {
            tokio::time::sleep(EVERY).await;
            if let Err(error) = self.write().await {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, "the last use of access keys could not be recorded");
            }
        }
    }

    /// Writes what is held.
    pub async fn write(&self) -> Result<(), CatalogError> {
        let held = std::mem::take(&mut *self.held.lock());
        for (key, used) in held {
            let note = Note { service: used.service, region: used.region };
            let note = serde_json::to_vec(&note).unwrap_or_default();
            self.store.catalog().advance_mark(&mark(&key), used.at_ms, &note).await?;
        }
        Ok(())
    }

    async fn last(&self, key: &str) -> Result<Option<LastUse>, CatalogError> {
        if let Some(used) = self.held.lock().get(key) {
            return Ok(Some(used.clone()));
        }
        let found = self.store.catalog().mark(&mark(key)).await?;
        Ok(found.map(|(at_ms, note)| {
            let note = serde_json::from_slice(&note).unwrap_or(Note { service: String::new(), region: String::new() });
            LastUse { at_ms, service: note.service, region: note.region }
        }))
    }
}

fn mark(key: &str) -> String {
    format!("last use/{key}")
}

impl Lockgate {
    /// When and for what a key was used last. Blocks.
    pub fn last_use(&self, key: &str) -> Result<Option<LastUse>, CatalogError> {
        self.store().wait(self.last_uses().last(key))
    }
}
