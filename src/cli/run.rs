//! Runs a request where it belongs: in the running server, or here, under the data folder's lock.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use super::output::Output;
use crate::clock::Clock;
use crate::config::Config;
use crate::operations::admin::{AdminFailure, AdminReply, AdminRequest};
use crate::server::data_lock::{DataLock, LockError};
use crate::server::{OpenHost, admin_socket};
use crate::telemetry;
use crate::transport::key_file;

pub(super) fn run(config: &Config, open: OpenHost, request: AdminRequest, output: &Output) -> ExitCode {
    match try_run(config, open, request, output) {
        Ok(reply) => {
            output.reply(&reply);
            ExitCode::from(if reply.succeeded { 0 } else { 1 })
        }
        Err(failure) => {
            output.failure(&failure);
            ExitCode::from(1)
        }
    }
}

/// How long a command waits for another one that has the folder.
const PATIENCE: Duration = Duration::from_secs(30);

fn try_run(
    config: &Config,
    open: OpenHost,
    request: AdminRequest,
    output: &Output,
) -> Result<AdminReply, AdminFailure> {
    for folder in [&config.data, &config.keys] {
        key_file::create_private_folder(folder).map_err(|error| AdminFailure {
            message: format!("failed to prepare `{}`", folder.display()),
            causes: vec![error.to_string()],
        })?;
    }
    let begin = Instant::now();
    let lock = loop {
        // The lock before the socket: who has it knows that no server runs.
        let held = match DataLock::take(&config.data) {
            Ok(lock) => break lock,
            Err(error @ LockError::InUse { .. }) => error,
            Err(error) => return Err(AdminFailure::from_error(&error)),
        };
        match admin_socket::ask(&config.data, &request, |line| output.progress(line)) {
            Ok(Some(answer)) => return answer,
            // Another command has the folder, or a server that is just starting or stopping.
            Ok(None) if begin.elapsed() < PATIENCE => std::thread::sleep(Duration::from_millis(20)),
            Ok(None) => return Err(AdminFailure::from_error(&held)),
            Err(error) => {
                return Err(AdminFailure {
                    message: "failed to talk to the running server".into(),
                    causes: vec![error.to_string()],
                });
            }
        }
    };
    telemetry::install_quiet();
    let answer = in_process(config.clone(), open, request, *output);
    drop(lock);
    answer
}

fn in_process(
    config: Config,
    open: OpenHost,
    request: AdminRequest,
    output: Output,
) -> Result<AdminReply, AdminFailure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| AdminFailure::from_error(&error))?;
    let run = move || {
        let host = open(&config, Clock::System).map_err(|error| AdminFailure::from_error(&*error))?.host;
        host.administer(request, &mut |line| output.progress(line))
    };
    runtime
        .block_on(runtime.spawn_blocking(run))
        .unwrap_or_else(|_| Err(AdminFailure::new("the command broke off by a fault in the program")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    use crate::cli::output::Format;
    use crate::operations::admin::{AdminCommand, RepoCommand};

    #[test]
    fn without_a_server_a_command_opens_the_folder_itself() {
        let folder = tempfile::tempdir().unwrap();
        let text = format!("data = {:?}\nkeys = {:?}", folder.path().join("data"), folder.path().join("keys"));
        let config = Config::from_toml(Path::new("x"), &text, &Default::default()).unwrap();
        let request = AdminRequest { account: None, command: AdminCommand::Repo(RepoCommand::List) };
        let open: OpenHost = |config, _| {
            // Inside the runtime, where blocking is allowed, and under the lock.
            tokio::runtime::Handle::current().block_on(async {});
            assert!(DataLock::take(&config.data).is_err());
            Err("nothing to open".into())
        };
        let failure = try_run(&config, open, request, &Output::new(Format::Text)).unwrap_err();
        assert_eq!(failure.message, "nothing to open");
        DataLock::take(&config.data).unwrap();
    }
}
