//! What stands in the directory: accounts, and in them users, groups, roles and repositories.

use std::collections::BTreeMap;
use std::fmt;

use uuid::Uuid;

use crate::names::{AccountId, PrincipalName, RefName, RepositoryName};

/// A company or team whose things are apart from all others'.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The number that stands in ARNs.
    pub id: AccountId,
    /// Server-made, the id of its record.
    pub record_id: Uuid,
    /// A name for people, unique on this server.
    pub name: PrincipalName,
    /// When it was made, in milliseconds since the Unix epoch.
    pub created_ms: i64,
}

/// A person or machine with credentials of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Server-made; never changes.
    pub id: Uuid,
    /// Where it belongs.
    pub account: AccountId,
    /// The name that ARNs and policies use.
    pub name: PrincipalName,
    /// The groups it is in, sorted.
    pub groups: Vec<PrincipalName>,
    /// Whether no credential of it is taken. Only an administrator changes this (attack checklist C5).
    pub disabled: bool,
    /// Mail addresses that its commits may carry.
    pub addresses: Vec<String>,
    /// Tags, for policies.
    pub tags: BTreeMap<String, String>,
    /// When it was made, in milliseconds since the Unix epoch.
    pub created_ms: i64,
}

impl User {
    /// `arn:aws:iam::ACCOUNT:user/NAME`.
    pub fn arn(&self) -> String {
        format!("arn:aws:iam::{}:user/{}", self.account, self.name)
    }
}

/// A name for several users in policies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Server-made; never changes.
    pub id: Uuid,
    /// Where it belongs.
    pub account: AccountId,
    /// The name that policies use.
    pub name: PrincipalName,
    /// When it was made, in milliseconds since the Unix epoch.
    pub created_ms: i64,
}

/// What principals may become for a while. Who may is said by trust policies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// Server-made; never changes.
    pub id: Uuid,
    /// Where it belongs.
    pub account: AccountId,
    /// The name that ARNs and policies use.
    pub name: PrincipalName,
    /// The longest a session may last.
    pub max_session_seconds: u32,
    /// Tags, for policies.
    pub tags: BTreeMap<String, String>,
    /// When it was made, in milliseconds since the Unix epoch.
    pub created_ms: i64,
}

impl Role {
    /// `arn:aws:iam::ACCOUNT:role/NAME`.
    pub fn arn(&self) -> String {
        format!("arn:aws:iam::{}:role/{}", self.account, self.name)
    }
}

/// A repository as the directory knows it: its name and keys' id. What it holds is `repository`'s.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepositoryRecord {
    /// Server-made; never changes, also not when it is renamed. Its keys, files and log go by it.
    pub id: Uuid,
    /// Where it belongs.
    pub account: AccountId,
    /// The name. Who looked it up may have written it in other case: policies must be asked with this one.
    pub name: RepositoryName,
    /// The branch that `HEAD` names.
    pub default_branch: RefName,
    /// Tags, for policies.
    pub tags: BTreeMap<String, String>,
    /// When it was made, in milliseconds since the Unix epoch.
    pub created_ms: i64,
}

impl RepositoryRecord {
    /// `arn:aws:codecommit:REGION:ACCOUNT:NAME`.
    pub fn arn(&self, region: &str) -> String {
        format!("arn:aws:codecommit:{region}:{}:{}", self.account, self.name)
    }

    /// `ACCOUNT/NAME`, the id in policies.
    pub fn entity_id(&self) -> String {
        format!("{}/{}", self.account, self.name)
    }
}

/// What has a name within an account. Each kind has names of its own: a user and a group may be called alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum NameKind {
    /// Users.
    User,
    /// Groups.
    Group,
    /// Roles.
    Role,
    /// Repositories.
    Repository,
}

impl NameKind {
    /// The word for it, which is the kind of its records, too.
    pub fn as_str(self) -> &'static str {
        match self {
            NameKind::User => "user",
            NameKind::Group => "group",
            NameKind::Role => "role",
            NameKind::Repository => "repository",
        }
    }
}

impl fmt::Display for NameKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
