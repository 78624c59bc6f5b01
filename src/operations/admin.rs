//! What the administrator's command line asks for, as a typed request that runs alike inside the running server (sent
//! through its socket) and in the command's own process (under the data folder's lock).
//!
//! A new command is a variant here, a file in `cli/`, and its execution in `operations`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use crate::names::{AccountId, PrincipalName, RepositoryName};

/// One command, and the account it is about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AdminRequest {
    /// `--account`; may be left out while there is one account.
    pub account: Option<AccountId>,
    /// What to do.
    pub command: AdminCommand,
}

/// All commands but `serve`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AdminCommand {
    /// `lockgate account ...`
    Account(AccountCommand),
    /// `lockgate user ...`
    User(UserCommand),
    /// `lockgate group ...`
    Group(GroupCommand),
    /// `lockgate role ...`
    Role(RoleCommand),
    /// `lockgate session ...`
    Session(SessionCommand),
    /// `lockgate credential ...`
    Credential(CredentialCommand),
    /// `lockgate repo ...`
    Repo(RepoCommand),
    /// `lockgate policy ...`
    Policy(PolicyCommand),
    /// `lockgate key ...`
    Key(KeyCommand),
    /// `lockgate event ...`
    Event(EventCommand),
    /// `lockgate reflog ...`
    RefLog(RefLogCommand),
    /// `lockgate ssh-authorities`: the public keys that sign certificates.
    SshAuthorities,
    /// `lockgate fsck [REPO]`: the whole server, or one repository.
    Fsck {
        /// The one repository to look at.
        repository: Option<RepositoryName>,
    },
}

impl AdminCommand {
    /// Whether the command may only run while the server does not: ways out of a lock-out, which nobody should be able
    /// to take from a distance.
    pub fn needs_stopped_server(&self) -> bool {
        matches!(
            self,
            AdminCommand::Account(AccountCommand::Recover { .. }) | AdminCommand::Policy(PolicyCommand::Recover)
        )
    }
}

/// `lockgate key ...`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyCommand {
    /// Lists the root key, and the keys of accounts and repositories.
    List,
    /// Makes a new key, and wraps or seals anew what is under the old one.
    Rotate {
        /// Which key.
        key: KeyName,
    },
    /// Lets nobody use a key until it is enabled.
    Disable {
        /// Which key; not the root key.
        key: KeyName,
    },
    /// Undoes `disable`.
    Enable {
        /// Which key; not the root key.
        key: KeyName,
    },
    /// Disables a key, and destroys it when the time has come.
    ScheduleDestruction {
        /// Which key; not the root key.
        key: KeyName,
        /// After how many days.
        after_days: u16,
    },
    /// Undoes `schedule-destruction`; the key stays disabled.
    CancelDestruction {
        /// Which key; not the root key.
        key: KeyName,
    },
}

/// Which key a command is about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyName {
    /// The server's root key.
    Root,
    /// The key of the account that the command is about.
    Account,
    /// The keys of a repository.
    Repository(RepositoryName),
}

/// `lockgate account ...`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AccountCommand {
    /// Makes an account under a free number, or the one given.
    Create {
        /// The account's name, for people.
        name: PrincipalName,
        /// The number wanted.
        id: Option<AccountId>,
    },
    /// Lists all accounts.
    List,
    /// Gives the account's root new credentials; offline, recorded.
    Recover {
        /// Which account.
        id: AccountId,
    },
}

/// `lockgate user ...`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UserCommand {
    /// Makes a user, a member of the groups given.
    Create {
        /// The new user.
        name: PrincipalName,
        /// Groups to join; each must exist.
        groups: Vec<PrincipalName>,
    },
    /// Lists users.
    List,
    /// Takes no credential of the user any more, and cuts live connections.
    Disable {
        /// Which user.
        name: PrincipalName,
    },
    /// Sets the mail addresses that the user's commits carry.
    Address {
        /// Which user.
        name: PrincipalName,
        /// All of them; the ones from before are gone.
        addresses: Vec<String>,
    },
    /// Ends the temporary credentials that the user has, and the sessions of roles that began with them or with its keys.
    RevokeSessions {
        /// Which user.
        name: PrincipalName,
        /// Those from before, in milliseconds since the Unix epoch; all that began until now where left out.
        #[serde(default)]
        before_ms: Option<i64>,
    },
    /// Gives a user another name; refused while a policy names the old or the new one.
    Rename {
        /// The name it has.
        old: PrincipalName,
        /// The name it gets.
        new: PrincipalName,
    },
    /// Undoes `disable`.
    Enable {
        /// Which user.
        name: PrincipalName,
    },
    /// Deletes a user; the name is never given again.
    Delete {
        /// Which user.
        name: PrincipalName,
    },
}

/// `lockgate group ...`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GroupCommand {
    /// Makes a group.
    Create {
        /// The new group.
        name: PrincipalName,
    },
    /// Puts a user into a group.
    AddUser {
        /// The group.
        group: PrincipalName,
        /// The user.
        user: PrincipalName,
    },
    /// Takes a user out of a group.
    RemoveUser {
        /// The group.
        group: PrincipalName,
        /// The user.
        user: PrincipalName,
    },
    /// Gives a group another name; refused while a policy names the old or the new one.
    Rename {
        /// The name it has.
        old: PrincipalName,
        /// The name it gets.
        new: PrincipalName,
    },
    /// Lists groups with their members.
    List,
}

/// `lockgate role ...`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RoleCommand {
    /// Makes a role.
    Create {
        /// The new role.
        name: PrincipalName,
    },
    /// Lists roles.
    List,
    /// Ends the sessions that the role has.
    RevokeSessions {
        /// Which role.
        name: PrincipalName,
        /// Those from before, in milliseconds since the Unix epoch; all that began until now where left out.
        #[serde(default)]
        before_ms: Option<i64>,
    },
    /// Deletes a role; the name is never given again.
    Delete {
        /// Which role.
        name: PrincipalName,
    },
}

/// `lockgate session ...`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SessionCommand {
    /// Ends one session, and all that began from it.
    Revoke {
        /// `ASIA...`, as whoever holds the session shows it.
        access_key_id: String,
    },
}

/// `lockgate credential ...`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CredentialCommand {
    /// Adds a public key for SSH.
    SshKeyAdd {
        /// Whose key.
        user: PrincipalName,
        /// The text of the public key file, at most 16 KiB; one key in OpenSSH's one-line form is expected.
        public_key: String,
    },
    /// Registers a public key whose signatures on commits are the user's.
    SigningKeyAdd {
        /// Whose key.
        user: PrincipalName,
        /// An OpenSSH public key line or an armored OpenPGP public key.
        public_key: String,
        /// Commits from before count as unsigned, in milliseconds since the Unix epoch.
        from_ms: Option<i64>,
        /// Commits from after count as unsigned, in milliseconds since the Unix epoch.
        until_ms: Option<i64>,
    },
    /// Lists who holds which credentials, how old they are and when they were used last, as CSV.
    Report,
    /// Makes a Git user name and password; shown once.
    GitCreate {
        /// Whose.
        user: PrincipalName,
    },
    /// Makes an access key; its secret is shown once.
    AccessKeyCreate {
        /// Whose.
        user: PrincipalName,
    },
    /// Lists a user's credentials, without secrets.
    List {
        /// Whose.
        user: PrincipalName,
    },
    /// Takes a credential back for good.
    Revoke {
        /// Whose.
        user: PrincipalName,
        /// The credential's id, as `list` shows it.
        id: String,
    },
}

/// `lockgate event`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventCommand {
    /// The log of deliveries.
    Log {
        /// At most so many.
        limit: u32,
    },
    /// One delivery, with its attempts and its body.
    Show {
        /// Its id.
        id: Uuid,
    },
    /// Makes one once more.
    Redeliver {
        /// Its id.
        id: Uuid,
    },
}

/// `lockgate reflog`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RefLogCommand {
    /// Lists changes of refs, the newest first.
    Show {
        /// Of which repository.
        repository: RepositoryName,
        /// Of one ref: a branch, or a full name.
        reference: Option<String>,
        /// At most so many.
        limit: u32,
    },
    /// Leads a ref back to where it stood before a change.
    Undo {
        /// In which repository.
        repository: RepositoryName,
        /// Which ref: a branch, or a full name.
        reference: String,
        /// Which change; its last one if it is not said.
        change: Option<i64>,
    },
}

/// `lockgate repo ...`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RepoCommand {
    /// Makes an empty repository.
    Create {
        /// Its name.
        name: RepositoryName,
        /// The short name of the branch that `HEAD` will name; `main` where left out.
        default_branch: Option<String>,
    },
    /// Lists repositories.
    List,
    /// Renames a repository; refused while a policy names the old or the new name.
    Rename {
        /// The name it has.
        old: RepositoryName,
        /// The name it gets.
        new: RepositoryName,
    },
    /// Points `HEAD` at a branch.
    SetHead {
        /// Which repository.
        name: RepositoryName,
        /// The short name of the branch.
        branch: String,
    },
    /// Deletes a repository and destroys its keys.
    Delete {
        /// Which repository.
        name: RepositoryName,
    },
    /// Makes a repository from another one. Sends progress.
    Import {
        /// Where from.
        source: ImportSource,
        /// The new repository's name.
        name: RepositoryName,
    },
}

/// Where an import reads from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ImportSource {
    /// `https://...`, `ssh://...` or `git://...`; schemes are judged by the import.
    Url(String),
    /// An absolute path to a repository on this machine.
    Path(PathBuf),
}

/// `lockgate policy ...`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PolicyCommand {
    /// Validates a folder and changes nothing.
    Check {
        /// An absolute path; the configured policies folder where left out.
        folder: Option<PathBuf>,
    },
    /// Validates a folder and publishes it as a new generation.
    Apply {
        /// An absolute path; the configured policies folder where left out.
        folder: Option<PathBuf>,
        /// Takes names of principals and repositories that do not exist.
        allow_unknown: bool,
        /// Why, for the record.
        #[serde(default)]
        reason: Option<String>,
        /// The approval of what would flip, where the configuration has a gate.
        #[serde(default)]
        approval: Option<String>,
    },
    /// Decides again what was decided, under the policies of a folder, and lists what would flip.
    Replay {
        /// An absolute path; the configured policies folder where left out.
        folder: Option<PathBuf>,
        /// How far back, in milliseconds.
        back_ms: i64,
    },
    /// Tells policies apart, by id: what a folder would change, or what a generation changed.
    Diff {
        /// A generation; the active one where left out.
        from: Option<i64>,
        /// A generation; the configured policies folder where left out.
        to: Option<i64>,
    },
    /// Translates a policy document of IAM's JSON.
    Import {
        /// The document.
        document: String,
        /// What the policies' ids and their file's name begin with.
        name: String,
        /// What the document is attached to.
        target: ImportTarget,
        /// Writes the policies into the configured folder, besides showing them.
        write: bool,
    },
    /// Lists generations.
    Generations,
    /// Makes the starter policies the active ones; offline, recorded.
    Recover,
    /// Explains a recorded decision.
    ExplainDecision {
        /// The decision's id, as `remote:` lines show it.
        decision_id: String,
    },
    /// Decides a request that is made up, and explains it.
    ExplainRequest {
        /// The principal's ARN or Cedar entity id.
        principal: String,
        /// The action, such as `codecommit:GitPush`.
        action: String,
        /// The resource's ARN or Cedar entity id.
        resource: String,
        /// The context, a JSON object; empty where left out.
        context: serde_json::Value,
    },
    /// Lists who may do an action on a resource.
    WhoCan {
        /// The action.
        action: String,
        /// The resource's ARN or Cedar entity id.
        resource: String,
    },
    /// The table of principals and what they may do in a repository.
    Matrix {
        /// The repository; the account's first one where left out.
        repository: Option<RepositoryName>,
    },
}

/// What a policy document is attached to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ImportTarget {
    /// A user.
    User(PrincipalName),
    /// A group.
    Group(PrincipalName),
    /// A role, for what its sessions may do.
    Role(PrincipalName),
    /// A role, for who may take it.
    Trust(PrincipalName),
    /// The account's resources.
    Resource,
}

/// What a command answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AdminReply {
    /// For people; lines without a newline at the end, empty where there is nothing to say.
    pub text: String,
    /// The same for scripts (`--output json`).
    pub json: serde_json::Value,
    /// Whether the exit code is 0. A report of damage or of invalid policies is a reply, not an error, yet exits 1.
    pub succeeded: bool,
}

impl AdminReply {
    /// A reply that exits 0.
    pub fn ok(text: impl Into<String>, json: serde_json::Value) -> AdminReply {
        AdminReply { text: text.into(), json, succeeded: true }
    }

    /// A report that exits 1.
    pub fn report_of_failure(text: impl Into<String>, json: serde_json::Value) -> AdminReply {
        AdminReply { text: text.into(), json, succeeded: false }
    }
}

/// Why a command failed: one line, then its causes, as they are shown on standard error. Exit code 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdminFailure {
    /// What failed.
    pub message: String,
    /// Why, outermost first.
    pub causes: Vec<String>,
}

impl AdminFailure {
    /// A failure without further causes.
    pub fn new(message: impl Into<String>) -> AdminFailure {
        AdminFailure { message: message.into(), causes: Vec::new() }
    }

    /// A failure from an error and the chain of its sources.
    pub fn from_error(error: &dyn std::error::Error) -> AdminFailure {
        let mut causes = Vec::new();
        let mut source = error.source();
        while let Some(cause) = source {
            causes.push(cause.to_string());
            source = cause.source();
        }
        AdminFailure { message: error.to_string(), causes }
    }
}

impl fmt::Display for AdminFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for AdminFailure {}

/// Administration as the socket and the command line see it.
pub trait AdminHost: Send + Sync + 'static {
    /// Runs one command; blocks. `progress` takes lines for people while it runs; whoever calls has the administrator's
    /// rights, which the socket's file mode or the folder's lock has proven.
    fn administer(&self, request: AdminRequest, progress: &mut dyn FnMut(&str)) -> Result<AdminReply, AdminFailure>;
}

/// Names travel as plain text and are checked again on arrival.
macro_rules! travels_as_text {
    ($($name:ty),*) => {$(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                <$name>::from_str(&text).map_err(serde::de::Error::custom)
            }
        }
    )*};
}
travels_as_text!(AccountId, PrincipalName, RepositoryName);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_travel_and_names_are_checked_on_arrival() {
        let request = AdminRequest {
            account: Some(AccountId::parse("111111111111").unwrap()),
            command: AdminCommand::Repo(RepoCommand::Import {
                source: ImportSource::Url("https://example.com/x".into()),
                name: RepositoryName::parse("shop").unwrap(),
            }),
        };
        let line = serde_json::to_string(&request).unwrap();
        assert_eq!(serde_json::from_str::<AdminRequest>(&line).unwrap(), request);
        // A4
        assert!(serde_json::from_str::<AdminRequest>(&line.replace("shop", "../shop")).is_err());
    }
}
