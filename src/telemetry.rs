//! Logs: one subscriber for the process, to standard error, filtered by `LOCKGATE_LOG` (default `info`).
//!
//! Credentials never reach a log line: what is logged are names, request ids and counts (attack checklist C4).

use tracing_subscriber::EnvFilter;

/// Installs the server's subscriber; a second call changes nothing.
pub fn install() {
    install_with_default("info,russh=warn");
}

/// Installs the subscriber of a command that runs in its own process: only what is wrong, since the command itself says
/// the rest.
pub fn install_quiet() {
    install_with_default("warn,russh=error");
}

fn install_with_default(default: &str) {
    let filter = EnvFilter::try_from_env("LOCKGATE_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).finish();
    // Only fails where one is installed already, as in tests.
    let _ = tracing::subscriber::set_global_default(subscriber);
}

/// An error with its causes, on one line.
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        line.push_str(": ");
        line.push_str(&cause.to_string());
        source = cause.source();
    }
    line
}
