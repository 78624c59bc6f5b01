//! `[events]`: where events may go that only the administrator can say, and how long is remembered that they did.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{ConfigError, is_region};
use crate::names::AccountId;

/// What the configuration says of events.
#[derive(Debug, Clone, PartialEq)]
pub struct EventSettings {
    /// How long the log of deliveries is kept, in milliseconds.
    pub keep_deliveries_ms: i64,
    /// Queues that speak SQS's wire.
    pub queues: Option<QueueSettings>,
    /// Brokers.
    pub nats: Vec<NatsSettings>,
    /// Commands of this machine.
    pub commands: Vec<EventCommand>,
}

/// Queues that speak SQS's wire, `arn:aws:sqs:REGION:ACCOUNT:NAME`.
#[derive(Debug, Clone, PartialEq)]
pub struct QueueSettings {
    /// Where they are.
    pub endpoint: reqwest::Url,
    /// Their region.
    pub region: String,
    /// A file in the form of `~/.aws/credentials`, read at each call; without one, the environment.
    pub credentials_file: Option<PathBuf>,
    /// The profile in that file.
    pub profile: String,
    /// The accounts whose rules may name them.
    pub accounts: Vec<AccountId>,
}

/// A subject of a NATS JetStream, `arn:aws:lockgate:REGION:ACCOUNT:nats/NAME`.
#[derive(Clone, PartialEq)]
pub struct NatsSettings {
    /// The name in its ARN.
    pub name: String,
    /// `nats://HOST:PORT` or `tls://HOST:PORT`.
    pub url: String,
    /// The subject, which a stream takes.
    pub subject: String,
    /// A token or `user:password` from a file.
    pub secret: Option<String>,
    /// The accounts whose rules may name it.
    pub accounts: Vec<AccountId>,
}

impl std::fmt::Debug for NatsSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NatsSettings").field("name", &self.name).field("url", &self.url).finish_non_exhaustive()
    }
}

/// A program of this machine that is told events on its standard input, `arn:aws:lockgate:REGION:ACCOUNT:command/NAME`.
#[derive(Debug, Clone, PartialEq)]
pub struct EventCommand {
    /// The name in its ARN.
    pub name: String,
    /// The program, by its whole path.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// How long it may take.
    pub timeout: Duration,
    /// The accounts whose rules may name it.
    pub accounts: Vec<AccountId>,
}

/// `[events]` as it stands in the file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct FileEvents {
    keep_deliveries_days: u32,
    sqs_endpoint: String,
    sqs_region: String,
    sqs_credentials_file: PathBuf,
    sqs_profile: String,
    sqs_accounts: Vec<String>,
    nats: Vec<FileNats>,
    commands: Vec<FileCommand>,
}

impl Default for FileEvents {
    fn default() -> FileEvents {
        FileEvents {
            keep_deliveries_days: 7,
            sqs_endpoint: String::new(),
            sqs_region: String::new(),
            sqs_credentials_file: PathBuf::new(),
            sqs_profile: "default".to_owned(),
            sqs_accounts: Vec::new(),
            nats: Vec::new(),
            commands: Vec::new(),
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileNats {
    name: String,
    url: String,
    subject: String,
    #[serde(default)]
    secret_file: PathBuf,
    #[serde(default)]
    accounts: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileCommand {
    name: String,
    program: PathBuf,
    #[serde(default)]
    arguments: Vec<String>,
    #[serde(default = "a_minute")]
    timeout_seconds: u32,
    #[serde(default)]
    accounts: Vec<String>,
}

fn a_minute() -> u32 {
    60
}

impl FileEvents {
    /// `first` is the account that things are for if none is said; `region` the server's.
    pub(super) fn check(self, first: &AccountId, region: &str) -> Result<EventSettings, ConfigError> {
        let refused = |key: &str, why: String| ConfigError::Events { key: key.to_owned(), why };
        let accounts = |key: &str, given: &[String]| match given {
            [] => Ok(vec![first.clone()]),
            given => given
                .iter()
                .map(|text| AccountId::parse(text).map_err(|error| refused(key, error.to_string())))
                .collect::<Result<Vec<_>, _>>(),
        };
        let queues = match self.sqs_endpoint.as_str() {
            "" => None,
            text => {
                let endpoint =
                    text.parse().map_err(|_| refused("sqs_endpoint", "is a URL: https://HOST".to_owned()))?;
                let region = if self.sqs_region.is_empty() { region } else { &self.sqs_region };
                if !is_region(region) {
                    return Err(refused("sqs_region", "is made of letters, digits and `-`".to_owned()));
                }
                Some(QueueSettings {
                    endpoint,
                    region: region.to_owned(),
                    credentials_file: Some(self.sqs_credentials_file).filter(|path| !path.as_os_str().is_empty()),
                    profile: self.sqs_profile,
                    accounts: accounts("sqs_accounts", &self.sqs_accounts)?,
                })
            }
        };
        let mut nats = Vec::new();
        for one in self.nats {
            let key = format!("nats `{}`", one.name);
            check_name(&key, &one.name)?;
            if !one.url.starts_with("nats://") && !one.url.starts_with("tls://") {
                return Err(refused(&key, "its url is nats://HOST:PORT or tls://HOST:PORT".to_owned()));
            }
            let is_of_subject = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            if one.subject.is_empty() || !one.subject.chars().all(is_of_subject) {
                return Err(refused(&key, "its subject is made of letters, digits, `-`, `_` and `.`".to_owned()));
            }
            let secret = match one.secret_file.as_os_str().is_empty() {
                true => None,
                false => {
                    let read = std::fs::read_to_string(&one.secret_file);
                    let text = read.map_err(|error| refused(&key, format!("its secret_file cannot be read: {error}")));
                    Some(text?.trim().to_owned())
                }
            };
            let accounts = accounts(&key, &one.accounts)?;
            nats.push(NatsSettings { name: one.name, url: one.url, subject: one.subject, secret, accounts });
        }
        let mut commands = Vec::new();
        for one in self.commands {
            let key = format!("command `{}`", one.name);
            check_name(&key, &one.name)?;
            if !one.program.is_absolute() {
                return Err(refused(&key, "its program is named by its whole path, /usr/local/bin/...".to_owned()));
            }
            if one.timeout_seconds == 0 {
                return Err(refused(&key, "its timeout_seconds is 1 at least".to_owned()));
            }
            commands.push(EventCommand {
                accounts: accounts(&key, &one.accounts)?,
                name: one.name,
                program: one.program,
                arguments: one.arguments,
                timeout: Duration::from_secs(one.timeout_seconds.into()),
            });
        }
        let keep_deliveries_ms = i64::from(self.keep_deliveries_days) * 24 * 60 * 60 * 1000;
        Ok(EventSettings { keep_deliveries_ms, queues, nats, commands })
    }
}

fn check_name(key: &str, name: &str) -> Result<(), ConfigError> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    match !name.is_empty() && name.chars().all(is_name) {
        true => Ok(()),
        false => Err(ConfigError::Events {
            key: key.to_owned(),
            why: "its name is made of letters, digits, `-`, `_` and `.`".to_owned(),
        }),
    }
}
