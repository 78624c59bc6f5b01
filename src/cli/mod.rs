//! The command line: parse, run, exit code. One command per file; a new one is a file here, a variant of `Commands`, and
//! its request in `operations::admin`.
//!
//! Exit codes: 0 fine, 1 the operation failed, 2 wrong usage. Results go to standard output, errors to standard error: one
//! line, then its causes.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config::{Config, Overrides};
use crate::names::{AccountId, PrincipalName, RepositoryName};
use crate::operations::admin::{AdminCommand, AdminFailure, AdminRequest};
use crate::server::OpenHost;

mod account;
mod credential;
mod event;
mod fsck;
mod group;
mod key;
pub mod output;
mod policy;
mod reflog;
mod repo;
mod role;
mod run;
mod serve;
mod session;
mod ssh_cert;
mod user;

use output::{Format, Output};

/// Runs one command line; `args` begins with the program's name.
pub fn main(args: impl IntoIterator<Item = OsString>, open: OpenHost) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // clap knows which of its messages are help and belong on standard output, and that those exit 0.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    let output = Output::new(cli.shared.output);
    let command = match cli.command {
        // A client's command: what is configured here is not about it.
        Commands::SshCert(command) => return command.run(&output),
        command => command,
    };
    let config = match Config::load(&cli.shared.overrides()) {
        Ok(config) => config,
        Err(error) => {
            output.failure(&AdminFailure::from_error(&error));
            return ExitCode::from(2);
        }
    };
    let command = match command.request() {
        Ok(Some(command)) => command,
        Ok(None) => return serve::run(config, open, &output),
        Err(failure) => {
            output.failure(&failure);
            return ExitCode::from(1);
        }
    };
    run::run(&config, open, AdminRequest { account: cli.shared.account, command }, &output)
}

/// A self-hosted Git host that seals every repository and lets through only what policy allows.
#[derive(Debug, Parser)]
#[command(name = "lockgate", version, propagate_version = true)]
struct Cli {
    #[command(flatten)]
    shared: Shared,
    #[command(subcommand)]
    command: Commands,
}

/// Flags of all commands.
#[derive(Debug, Args)]
struct Shared {
    /// Folder of the sealed data [default: ./data]
    #[arg(long, global = true, value_name = "DIR", env = "LOCKGATE_DATA")]
    data: Option<PathBuf>,
    /// Folder of the keys [default: ./keys]
    #[arg(long, global = true, value_name = "DIR", env = "LOCKGATE_KEYS")]
    keys: Option<PathBuf>,
    /// Folder of the policies [default: ./policies]
    #[arg(long, global = true, value_name = "DIR", env = "LOCKGATE_POLICIES")]
    policies: Option<PathBuf>,
    /// Where HTTPS listens [default: 127.0.0.1:8443]
    #[arg(long, global = true, value_name = "ADDR", env = "LOCKGATE_HTTPS")]
    https: Option<String>,
    /// Where SSH listens [default: 127.0.0.1:2222]
    #[arg(long, global = true, value_name = "ADDR", env = "LOCKGATE_SSH")]
    ssh: Option<String>,
    /// The first account [default: 111111111111]
    #[arg(long, global = true, value_name = "12DIGITS", env = "LOCKGATE_ACCOUNT_ID")]
    account_id: Option<String>,
    /// Configuration file [default: ./lockgate.toml]
    #[arg(long, global = true, value_name = "FILE", env = "LOCKGATE_CONFIG")]
    config: Option<PathBuf>,
    /// The account that the command is about; may be left out while there is one
    #[arg(long, global = true, value_name = "ID", value_parser = AccountId::parse)]
    account: Option<AccountId>,
    /// How results are printed
    #[arg(long, global = true, value_enum, default_value_t = Format::Text)]
    output: Format,
}

impl Shared {
    fn overrides(&self) -> Overrides {
        Overrides {
            config: self.config.clone(),
            data: self.data.clone(),
            keys: self.keys.clone(),
            policies: self.policies.clone(),
            https: self.https.clone(),
            ssh: self.ssh.clone(),
            account_id: self.account_id.clone(),
        }
    }
}

#[derive(Debug, Subcommand)]
enum Commands {
    /// Run the server
    Serve,
    /// Accounts
    #[command(subcommand)]
    Account(account::Account),
    /// Users of an account
    #[command(subcommand)]
    User(user::User),
    /// Groups of users
    #[command(subcommand)]
    Group(group::Group),
    /// Roles of an account
    #[command(subcommand)]
    Role(role::Role),
    /// Temporary credentials, one by one
    #[command(subcommand)]
    Session(session::Session),
    /// Keys and passwords of users
    #[command(subcommand)]
    Credential(credential::Credential),
    /// Repositories
    #[command(subcommand)]
    Repo(repo::Repo),
    /// Policies: check, apply, explain
    #[command(subcommand)]
    Policy(policy::Policy),
    /// Keys that seal: list, rotate, disable, destroy
    #[command(subcommand)]
    Key(key::Key),
    /// Have an SSH key signed for a session of a role
    SshCert(Box<ssh_cert::SshCert>),
    /// Show the public keys that sign SSH certificates
    SshAuthorities,
    /// What happened to refs, and the way back
    Reflog(reflog::Reflog),
    /// What was told to whom, and telling it once more
    #[command(subcommand)]
    Event(event::Event),
    /// Check keys, files, log chain and objects
    Fsck(fsck::Fsck),
}

impl Commands {
    /// The request, with everything read that lies on the caller's side; none for `serve`.
    fn request(self) -> Result<Option<AdminCommand>, AdminFailure> {
        Ok(Some(match self {
            Commands::Serve | Commands::SshCert(_) => return Ok(None),
            Commands::SshAuthorities => AdminCommand::SshAuthorities,
            Commands::Account(command) => AdminCommand::Account(command.request()),
            Commands::User(command) => AdminCommand::User(command.request()),
            Commands::Group(command) => AdminCommand::Group(command.request()),
            Commands::Role(command) => AdminCommand::Role(command.request()),
            Commands::Session(command) => AdminCommand::Session(command.request()),
            Commands::Credential(command) => AdminCommand::Credential(command.request()?),
            Commands::Repo(command) => AdminCommand::Repo(command.request()?),
            Commands::Policy(command) => AdminCommand::Policy(command.request()?),
            Commands::Key(command) => AdminCommand::Key(command.request()),
            Commands::Reflog(command) => command.request(),
            Commands::Event(command) => command.request(),
            Commands::Fsck(command) => command.request(),
        }))
    }
}

fn principal(text: &str) -> Result<PrincipalName, crate::names::InvalidName> {
    PrincipalName::parse(text)
}

fn repository(text: &str) -> Result<RepositoryName, crate::names::InvalidName> {
    RepositoryName::parse(text)
}

/// A time as RFC 3339 has it, in milliseconds since the Unix epoch.
fn time(text: &str) -> Result<i64, String> {
    text.parse::<jiff::Timestamp>()
        .map(|time| time.as_millisecond())
        .map_err(|_| "expected a time such as 2026-01-31T00:00:00Z".to_string())
}

/// The path as the server, whose working folder is another, finds it.
fn absolute(path: PathBuf) -> Result<PathBuf, AdminFailure> {
    std::path::absolute(&path).map_err(|error| AdminFailure {
        message: format!("failed to find `{}`", path.display()),
        causes: vec![error.to_string()],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operations::admin::{ImportSource, PolicyCommand, RepoCommand, UserCommand};
    use clap::CommandFactory;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split(' '))
    }

    fn request(line: &str) -> AdminCommand {
        parse(line).unwrap().command.request().unwrap().unwrap()
    }

    #[test]
    fn clap_agrees_with_itself() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_of_the_contract_parses() {
        for line in [
            "serve --data d --keys k --policies p --https 127.0.0.1:0 --ssh 127.0.0.1:0 --account-id 111111111111",
            "account create two --id 222222222222",
            "account list --output json",
            "account recover 222222222222",
            "user create alice --group developers --group administrators",
            "user list --account 111111111111",
            "user disable alice",
            "user enable alice",
            "user rename alice eve",
            "user delete alice",
            "group create g",
            "group add-user g alice",
            "group remove-user g alice",
            "group rename g h",
            "group list",
            "role create r",
            "role list",
            "role revoke-sessions r",
            "role revoke-sessions r --before 2026-01-31T00:00:00Z",
            "user revoke-sessions alice --before 2026-01-31T01:00:00+01:00",
            "session revoke ASIAAAAAAAAAAAAAAAAA",
            "role delete r",
            "credential git create alice",
            "credential access-key create alice",
            "credential list alice",
            "credential revoke alice GIT123",
            "repo create shop --default-branch main",
            "repo list",
            "repo rename shop store",
            "repo set-head shop main",
            "repo delete shop",
            "repo import https://example.com/x.git shop",
            "policy check",
            "policy check dir",
            "policy apply dir --allow-unknown",
            "policy generations",
            "policy recover",
            "policy explain 0190",
            "policy explain --principal a --action b --resource c",
            "policy who-can codecommit:GitPush arn",
            "policy matrix",
            "ssh-authorities",
            "key list",
            "key rotate root",
            "key rotate account --account 111111111111",
            "key rotate repo shop",
            "key disable repo shop",
            "key enable account",
            "key schedule-destruction repo shop --after-days 7",
            "key schedule-destruction --after-days 7 account",
            "key cancel-destruction repo shop",
            "fsck",
            "fsck shop --output json",
        ] {
            let cli = parse(&format!("lockgate {line}")).unwrap_or_else(|error| panic!("{line}: {error}"));
            cli.command.request().unwrap();
        }
    }

    #[test]
    fn wrong_usage_is_refused() {
        for line in [
            "",
            "user",
            "user create",
            "user create ../x",
            "repo create a/b",
            "user list --account 12",
            "role revoke-sessions r --before yesterday",
            "session revoke",
            "policy explain",
            "policy explain x --principal a",
            "policy explain --principal a --action b",
            "policy explain --principal a --action b --resource c --context [",
            "policy explain --principal a --action b --resource c --context 1",
            "key rotate",
            "key disable root",
            "key destroy repo shop",
            "frobnicate",
        ] {
            let error = parse(&format!("lockgate {line}")).map(|_| ()).expect_err(line);
            assert!(error.use_stderr() || line.is_empty() || line == "user", "{line}");
        }
    }

    #[test]
    fn requests_carry_what_the_line_says() {
        assert_eq!(
            request("lockgate user create alice --group g"),
            AdminCommand::User(UserCommand::Create {
                name: PrincipalName::parse("alice").unwrap(),
                groups: vec![PrincipalName::parse("g").unwrap()],
            })
        );
        let AdminCommand::Policy(PolicyCommand::Check { folder: Some(folder) }) = request("lockgate policy check p")
        else {
            panic!("another request");
        };
        assert!(folder.is_absolute());
        let AdminCommand::Repo(RepoCommand::Import { source: ImportSource::Path(path), .. }) =
            request("lockgate repo import ../x shop")
        else {
            panic!("another request");
        };
        assert!(path.is_absolute());
    }
}
