//! What can be done here, one operation a file: authorize, act, record. Every door (SSH, HTTPS, API, command line)
//! enters through this module and none goes round it.
//!
//! The doors see it through two traits: [`GitHost`] for Git over any transport, [`admin::AdminHost`] for the
//! administrator's command line. All their methods block; a door calls them on a thread that may block, inside the
//! Tokio runtime.

use std::fmt;
use std::io::{Read, Write};
use std::net::IpAddr;

use uuid::Uuid;

use crate::identity::Principal;
use crate::names::{AccountId, RepositoryName};

pub mod admin;
pub mod administration;
pub mod authority;
pub mod authorize;
pub mod browsing;
mod commit_facts;
pub mod commits;
pub mod credential_report;
mod decision_log;
pub mod events;
pub mod git_pull;
pub mod git_push;
pub mod import;
mod key_upkeep;
pub mod last_used;
pub mod live;
pub mod lockgate;
pub mod looking_back;
pub mod merging;
pub mod policies;
pub mod policy_replay;
mod policy_watch;
pub mod ref_changes;
pub mod ref_log;
pub mod renaming;
pub mod repositories;
pub mod reviews;
pub mod service_roles;
pub mod sessions;
pub mod signed_passwords;
pub mod signing_keys;
pub mod simulation;
pub mod triggers;
mod written_paths;

#[cfg(test)]
pub(crate) mod tests;

/// Everything the server needs of the inside: Git for its doors, administration for its socket.
pub trait Host: GitHost + admin::AdminHost {
    /// Called once, when both listeners are bound and before the server says that it is ready; here the files that
    /// name the server's address are written (`keys/aws/config`).
    fn listening(&self, listening: &Listening) -> Result<(), String> {
        let _ = listening;
        Ok(())
    }

    /// The certificate by which clients know the server's SSH key; none where there is no authority.
    fn ssh_host_certificate(&self, key: &russh::keys::PublicKey) -> Option<russh::keys::Certificate> {
        let _ = key;
        None
    }

    /// Called once, before the server says that it is ready and inside its runtime; here what runs beside the doors begins.
    fn started(&self) {}

    /// Called once, when the last transfer has ended; here what is still in memory is written. Blocks.
    fn stopping(&self) {}
}

/// Where the server listens, with the real ports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listening {
    /// `https://HOST:PORT`, without a slash at the end.
    pub https_url: String,
    /// `ssh://git@HOST:PORT`, without a slash at the end.
    pub ssh_url: String,
}

/// A Git service; the route or the verb alone chooses it, and the right that is asked for follows from it (attack
/// checklist A3, B11).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GitService {
    /// `git-upload-pack`: clone and fetch. Reads.
    UploadPack,
    /// `git-receive-pack`: push. Writes.
    ReceivePack,
    /// `git-upload-archive`: `git archive --remote`. Reads; SSH only.
    UploadArchive,
}

impl GitService {
    /// The program name that Git gives it, such as `git-upload-pack`.
    pub fn name(self) -> &'static str {
        match self {
            GitService::UploadPack => "git-upload-pack",
            GitService::ReceivePack => "git-receive-pack",
            GitService::UploadArchive => "git-upload-archive",
        }
    }

    /// The service of exactly this program name; no other spelling is taken.
    pub fn from_name(name: &str) -> Option<GitService> {
        [GitService::UploadPack, GitService::ReceivePack, GitService::UploadArchive]
            .into_iter()
            .find(|service| service.name() == name)
    }
}

/// Which repository a URL names.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum RepositoryPath {
    /// `/v1/repos/NAME`: in the account of whoever asks.
    OwnAccount(RepositoryName),
    /// `/ACCOUNT/NAME.git`.
    ByAccount(AccountId, RepositoryName),
    /// One of these as it stood at a time, in milliseconds since the Unix epoch: `NAME@2026-11-01T00:00Z`.
    At(Box<RepositoryPath>, i64),
}

impl fmt::Display for RepositoryPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RepositoryPath::OwnAccount(name) => write!(f, "{name}"),
            RepositoryPath::ByAccount(account, name) => write!(f, "{account}/{name}"),
            RepositoryPath::At(path, at_ms) => {
                write!(f, "{path}@{}", jiff::Timestamp::from_millisecond(*at_ms).unwrap_or_default())
            }
        }
    }
}

/// How the two ends talk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GitMode {
    /// HTTP `GET info/refs`: the advertisement and nothing else; there is no input. The output begins with the
    /// `# service=...` packet where the protocol version asks for it, which the transfer writes.
    Advertise,
    /// HTTP `POST`: one request, one response; the client repeats what both know.
    StatelessRpc,
    /// SSH: advertisement and conversation on one connection.
    Stateful,
}

/// What a signed password may have been signed for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitRequest {
    /// The `Host` header, with the port if it has one.
    pub host: String,
    /// The repository's path as it was asked for, without what Git adds: `/v1/repos/shop`.
    pub path: String,
    /// Whether the request begins a conversation; later ones come with the password of the first.
    pub is_first: bool,
}

/// One Git request as a door understood it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitSession {
    /// What is asked.
    pub service: GitService,
    /// Of which repository.
    pub repository: RepositoryPath,
    /// What the client asked for by `GIT_PROTOCOL` or `Git-Protocol`: 0, 1 or 2.
    pub protocol_version: u8,
    /// How the two ends talk.
    pub mode: GitMode,
}

/// The door a request came through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// Smart HTTP over TLS.
    Https,
    /// SSH.
    Ssh,
    /// The AWS wire protocols over HTTPS.
    Api,
}

impl Transport {
    /// The word for it in records.
    pub fn as_str(self) -> &'static str {
        match self {
            Transport::Https => "https",
            Transport::Ssh => "ssh",
            Transport::Api => "api",
        }
    }
}

/// Who asks, through what, under which request id. Goes first in every operation.
#[derive(Debug, Clone)]
pub struct OpContext {
    /// Who asks.
    pub principal: Principal,
    /// Fresh for each request; stands in logs, decision records and, on errors, in what the client reads.
    pub request_id: Uuid,
    /// The peer's address; none for work that no connection asked for.
    pub source: Option<IpAddr>,
    /// The door.
    pub transport: Transport,
}

/// Why a user name and password were not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuthFailure {
    /// Unknown user, wrong password, disabled: all alike to the outside.
    #[error("the user name or password is wrong")]
    Wrong,
    /// Too many failures from this address or for this user.
    #[error("too many attempts, try again in {retry_after_seconds} seconds")]
    TooMany {
        /// Seconds until the next attempt is looked at.
        retry_after_seconds: u32,
    },
    /// The catalog or the keyring could not be asked; nothing is known about the credential.
    #[error("credentials cannot be checked at the moment")]
    Unavailable,
}

/// Why a Git request was refused before the service began. The texts are shown to the client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GitRefusal {
    /// There is no such repository, or the principal may not know of it.
    #[error("repository not found")]
    NotFound,
    /// The principal may know of it, but not do this.
    #[error("{0}")]
    Forbidden(String),
    /// A part is out of order.
    #[error("{0}")]
    Unavailable(String),
}

/// Why a transfer ended early. What the client should read has been written to it already, as far as it could be.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// The peer broke the protocol or went away.
    #[error("the client ended the transfer early")]
    Peer(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The request was understood and refused.
    #[error("the transfer was refused: {0}")]
    Refused(String),
    /// A part of the server is out of order.
    #[error("the transfer failed")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Git as the doors see it. All methods block.
pub trait GitHost: Send + Sync + 'static {
    /// Checks Git credentials from HTTP Basic, the signed ones among them. `source` is for rate limits and the record.
    fn authenticate_git(
        &self,
        user: &str,
        password: &str,
        request: &GitRequest,
        source: IpAddr,
    ) -> Result<Principal, AuthFailure>;

    /// Whom an SSH key belongs to, for the SSH user name given. Says nothing about whether the peer holds the key:
    /// the caller makes it an identity only after it has verified a signature (attack checklist C1).
    fn authenticate_ssh_key(&self, key: &russh::keys::PublicKey, user_name: &str, source: IpAddr) -> Option<Principal>;

    /// Whom an SSH certificate proves, for the SSH user name given; none where it is not ours, or its session is over. The caller
    /// has verified a signature by the certificate's key.
    fn authenticate_ssh_certificate(
        &self,
        certificate: &russh::keys::Certificate,
        user_name: &str,
        source: IpAddr,
    ) -> Option<Principal> {
        let _ = (certificate, user_name, source);
        None
    }

    /// What `ssh HOST` without a command prints: one or more lines that name the user and the account.
    fn greeting(&self, principal: &Principal) -> String;

    /// Decides whether the repository may be known and the service be used, before any of the body is read.
    fn open(&self, ctx: &OpContext, session: &GitSession) -> Result<Box<dyn GitTransfer>, GitRefusal>;

    /// Asks database, blob store and keyring whether they answer; the text says which does not.
    fn health(&self) -> Result<(), String>;
}

/// The head of a request to the API.
#[derive(Debug, Clone)]
pub struct ApiHead {
    /// `POST`
    pub method: String,
    /// The path, not decoded.
    pub path: String,
    /// What follows the `?`, not decoded.
    pub query: Option<String>,
    /// Names in lower case, in the order in which they came.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The peer's address.
    pub source: IpAddr,
    /// Fresh for each request.
    pub request_id: Uuid,
}

impl ApiHead {
    /// The first header of that name, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(other, _)| other == name);
        found.and_then(|(_, value)| std::str::from_utf8(value).ok())
    }
}

/// An answer of the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiAnswer {
    /// The HTTP status.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// Whether the client has proven who it is.
    pub is_proven: bool,
}

/// The API as a door sees it. All methods block.
pub trait ApiService: Send + Sync + 'static {
    /// Looks at a head: whose key is said to have signed it. Refuses before any of the body is read.
    fn begin(&self, head: ApiHead) -> Result<Box<dyn ApiCall>, ApiAnswer>;
}

/// A request whose head names a key that is known. Nobody has proven anything yet.
pub trait ApiCall: Send {
    /// The longest body that is taken.
    fn max_body_bytes(&self) -> usize;

    /// What the client reads whose body is longer.
    fn too_long(&self) -> ApiAnswer;

    /// Checks the signature over head and body, decides, acts.
    fn finish(self: Box<Self>, body: Vec<u8>) -> ApiAnswer;
}

/// A Git service that was allowed to begin.
pub trait GitTransfer: Send {
    /// Reads requests and writes answers until the service is done; blocks. Errors that the protocol has words for are
    /// written to `output` before this returns. A read that fails with `TimedOut` means that the client stalled, a write
    /// that fails with `BrokenPipe` that it went away; work stops at either.
    fn run(self: Box<Self>, input: Box<dyn Read + Send>, output: Box<dyn Write + Send>) -> Result<(), TransferError>;
}
