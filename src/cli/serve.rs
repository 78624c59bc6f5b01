//! `lockgate serve`

use std::process::ExitCode;

use super::output::Output;
use crate::config::Config;
use crate::operations::admin::AdminFailure;
use crate::server::{self, OpenHost};
use crate::telemetry;

pub(super) fn run(config: Config, open: OpenHost, output: &Output) -> ExitCode {
    telemetry::install();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            output.failure(&AdminFailure::from_error(&error));
            return ExitCode::from(1);
        }
    };
    let served = runtime.block_on(server::serve(config, open, |listening| {
        output.line(&format!("lockgate ready https={} ssh={}", listening.https_url, listening.ssh_url));
    }));
    // A transfer that did not end in the time for draining is on a thread that nobody can stop.
    runtime.shutdown_background();
    match served {
        Ok(()) => ExitCode::from(0),
        Err(error) => {
            output.failure(&AdminFailure::from_error(&error));
            ExitCode::from(1)
        }
    }
}
