//! Repositories that were changed are looked at one after another: packs joined, checkpoints written, where that is due.

use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::repository::handle::Repository;

/// The queue of one process.
#[derive(Clone)]
pub struct Upkeep {
    sender: mpsc::UnboundedSender<Arc<Repository>>,
    /// Those that wait: each at most once, however often it changes meanwhile, so that the queue is no longer than the list of
    /// repositories in use.
    waiting: Arc<Mutex<HashSet<[u8; 16]>>>,
}

impl Upkeep {
    /// Starts the worker, which ends with the runtime. One at a time: this is to keep out of the way of the doors.
    pub fn start() -> Upkeep {
        let (sender, mut receiver) = mpsc::unbounded_channel::<Arc<Repository>>();
        let waiting: Arc<Mutex<HashSet<[u8; 16]>>> = Arc::default();
        let still_waiting = waiting.clone();
        tokio::spawn(async move {
            while let Some(repository) = receiver.recv().await {
                still_waiting.lock().remove(repository.id());
                // A job that panics is one repository's trouble, and the next ones are still looked after.
                if let Err(error) = tokio::task::spawn_blocking(move || look_after(&repository)).await {
                    tracing::error!(error = &error as &dyn std::error::Error, "the upkeep of a repository broke off");
                }
            }
        });
        Upkeep { sender, waiting }
    }

    /// Says that a repository was changed, or opened. Costs nothing where nothing is due.
    pub fn look_at(&self, repository: &Arc<Repository>) {
        let is_due =
            repository.is_compaction_due() || repository.is_checkpoint_due() || repository.are_path_filters_due();
        if is_due && self.waiting.lock().insert(*repository.id()) {
            // It fails only when the runtime ends, and whoever opens the repository next asks again.
            let _ = self.sender.send(repository.clone());
        }
    }
}

fn look_after(repository: &Repository) {
    match repository.compact(&|| false) {
        Ok(None) => {}
        Ok(Some(compacted)) => {
            let (packs, objects, size_bytes) = (compacted.n_packs, compacted.n_objects, compacted.bytes);
            tracing::info!(packs, objects, size_bytes, "joined packs");
        }
        Err(error) => tracing::error!(error = &error as &dyn std::error::Error, "joining packs failed"),
    }
    let mut n_filtered = 0;
    while repository.are_path_filters_due() {
        match repository.make_path_filters() {
            Ok(0) => break,
            Ok(n) => n_filtered += n,
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "making changed-path filters failed");
                break;
            }
        }
    }
    if n_filtered > 0 {
        tracing::info!(commits = n_filtered, "made changed-path filters");
    }
    match repository.write_checkpoint() {
        Ok(None) => {}
        Ok(Some(generation)) => tracing::info!(generation, "wrote a checkpoint"),
        Err(error) => tracing::error!(error = &error as &dyn std::error::Error, "writing a checkpoint failed"),
    }
}
