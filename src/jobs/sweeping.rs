//! Taking away the files that nobody published, those that are out of use for long enough, and old decisions.

use std::time::Duration;

use crate::store::Store;

/// Sweeps now, and then once an hour, for as long as it is polled. Decisions are kept for `keep_decisions_ms`.
pub async fn sweep_hourly(store: Store, keep_decisions_ms: i64) {
    loop {
        match store.sweep().await {
            Ok(0) => {}
            Ok(n) => tracing::info!(files = n, "swept files that nothing names"),
            Err(error) => tracing::error!(error = &error as &dyn std::error::Error, "sweeping failed"),
        }
        let before_ms = store.clock().now_ms().saturating_sub(keep_decisions_ms);
        match store.catalog().forget_decisions(before_ms).await {
            Ok(0) => {}
            Ok(n) => tracing::info!(decisions = n, "forgot decisions that are old enough"),
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "forgetting old decisions failed");
            }
        }
        tokio::time::sleep(Duration::from_secs(3600)).await;
    }
}
