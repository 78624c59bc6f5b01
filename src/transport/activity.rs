//! Whether a connection is doing something: a count of running requests, and futures that end when there has been none
//! for a while.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

/// The count of one connection; clones share it.
#[derive(Debug, Clone)]
pub struct Activity {
    n_running: Arc<watch::Sender<usize>>,
}

impl Activity {
    /// Nothing runs.
    pub fn new() -> Activity {
        Activity { n_running: Arc::new(watch::Sender::new(0)) }
    }

    /// Something runs until the guard is dropped.
    pub fn begin(&self) -> Running {
        self.n_running.send_modify(|n| *n += 1);
        Running { n_running: self.n_running.clone() }
    }

    /// How many run now.
    pub fn n_running(&self) -> usize {
        *self.n_running.borrow()
    }

    /// Ends when nothing runs.
    pub async fn quiet(&self) {
        // The sender lives in `self`, so that waiting cannot fail.
        let _ = self.n_running.subscribe().wait_for(|n| *n == 0).await;
    }

    /// Ends when nothing has run for `duration` without a break.
    pub async fn idle(&self, duration: Duration) {
        let mut changes = self.n_running.subscribe();
        loop {
            let _ = changes.wait_for(|n| *n == 0).await;
            tokio::select! {
                () = tokio::time::sleep(duration) => return,
                _ = changes.changed() => {}
            }
        }
    }
}

impl Default for Activity {
    fn default() -> Activity {
        Activity::new()
    }
}

/// Something that runs.
#[derive(Debug)]
pub struct Running {
    n_running: Arc<watch::Sender<usize>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.n_running.send_modify(|n| *n -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn quiet_after_the_last() {
        let activity = Activity::new();
        activity.quiet().await;
        let running = activity.begin();
        let waiting = tokio::spawn({
            let activity = activity.clone();
            async move { activity.quiet().await }
        });
        assert_eq!(activity.n_running(), 1);
        drop(running);
        waiting.await.unwrap();
        activity.idle(Duration::from_millis(1)).await;
    }
}
