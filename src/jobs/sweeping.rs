//! Taking away the files that nobody published, and those that are out of use for long enough.

use std::time::Duration;

use crate::store::Store;

/// Sweeps now, and then once an hour, for as long as it is polled.
pub async fn sweep_hourly(store: Store) {
    loop {
        match store.sweep().await {
            Ok(0) => {}
            Ok(n) => tracing::info!(files = n, "swept files that nothing names"),
            Err(error) => tracing::error!(error = &error as &dyn std::error::Error, "sweeping failed"),
        }
        tokio::time::sleep(Duration::from_secs(3600)).await;
    }
}
