//! Logs: one subscriber for the process, to standard error, filtered by `LOCKGATE_LOG` (default `info`).
//!
//! Credentials never reach a log line: what is logged are names, request ids and counts (attack checklist C4).

use tracing_subscriber::EnvFilter;

/// Installs the subscriber; a second call changes nothing.
pub fn install() {
    let filter = EnvFilter::try_from_env("LOCKGATE_LOG").unwrap_or_else(|_| EnvFilter::new("info,russh=warn"));
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).finish();
    // Only fails where one is installed already, as in tests.
    let _ = tracing::subscriber::set_global_default(subscriber);
}
