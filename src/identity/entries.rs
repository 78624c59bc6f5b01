//! What stands in the directory: accounts, and in them users, groups, roles and repositories.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use uuid::Uuid;

use crate::names::{AccountId, PolicyName, PrincipalName, RefName, RepositoryName};

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
    /// What is attached to it through IAM's operations.
    pub policies: HeldPolicies,
    /// Its temporary credentials and role sessions from before are over, in milliseconds since the Unix epoch.
    pub sessions_from_ms: i64,
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
    /// What is attached to it through IAM's operations.
    pub policies: HeldPolicies,
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
    /// A line for people.
    pub description: Option<String>,
    /// The document that says who may assume it, as it was given; without one the files' trust policies say it alone.
    pub trust: Option<Arc<str>>,
    /// Tags, for policies.
    pub tags: BTreeMap<String, String>,
    /// What is attached to it through IAM's operations.
    pub policies: HeldPolicies,
    /// Sessions from before are over, in milliseconds since the Unix epoch.
    pub sessions_from_ms: i64,
    /// When it was made, in milliseconds since the Unix epoch.
    pub created_ms: i64,
}

impl Role {
    /// `arn:aws:iam::ACCOUNT:role/NAME`.
    pub fn arn(&self) -> String {
        format!("arn:aws:iam::{}:role/{}", self.account, self.name)
    }
}

/// A maker of one-time codes that belongs to a user, or to nobody yet. Its seed is not shown again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MfaDevice {
    /// Server-made; never changes.
    pub id: Uuid,
    /// Where it belongs.
    pub account: AccountId,
    /// The name that its serial number uses.
    pub name: PolicyName,
    /// Whose it is.
    pub user: Option<Uuid>,
    /// When it became that user's, in milliseconds since the Unix epoch.
    pub enabled_ms: Option<i64>,
    /// When it was made, in milliseconds since the Unix epoch.
    pub created_ms: i64,
}

impl MfaDevice {
    /// `arn:aws:iam::ACCOUNT:mfa/NAME`.
    pub fn serial(&self) -> String {
        format!("arn:aws:iam::{}:mfa/{}", self.account, self.name)
    }
}

/// A provider of identities whose tokens are taken for roles that trust it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OidcProvider {
    /// Server-made; never changes.
    pub id: Uuid,
    /// Where it belongs.
    pub account: AccountId,
    /// The issuer without `https://`, as it stands in ARNs: `token.actions.githubusercontent.com`.
    pub issuer: String,
    /// The audiences that tokens may be for.
    pub client_ids: BTreeSet<String>,
    /// Certificates' thumbprints, as they were given: kept for clients, not looked at, since certificates are verified.
    pub thumbprints: Vec<String>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
    /// When it was made, in milliseconds since the Unix epoch.
    pub created_ms: i64,
}

impl OidcProvider {
    /// `arn:aws:iam::ACCOUNT:oidc-provider/ISSUER`.
    pub fn arn(&self) -> String {
        format!("arn:aws:iam::{}:oidc-provider/{}", self.account, self.issuer)
    }
}

/// What is attached to a user, group or role through IAM's operations.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeldPolicies {
    /// Managed policies of the same account, by name.
    pub managed: BTreeSet<PolicyName>,
    /// Documents of its own, as they were given.
    pub inline: BTreeMap<PolicyName, Arc<str>>,
}

impl HeldPolicies {
    /// Whether nothing is attached.
    pub fn is_empty(&self) -> bool {
        self.managed.is_empty() && self.inline.is_empty()
    }
}

/// A policy that can be attached to several users, groups and roles of its account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManagedPolicy {
    /// Server-made; never changes.
    pub id: Uuid,
    /// Where it belongs.
    pub account: AccountId,
    /// The name that its ARN uses.
    pub name: PolicyName,
    /// A line for people.
    pub description: Option<String>,
    /// Its versions, by number; at least the default one.
    pub versions: BTreeMap<u32, PolicyVersion>,
    /// The version that counts.
    pub default_version: u32,
    /// The number that the next version gets.
    pub next_version: u32,
    /// Tags.
    pub tags: BTreeMap<String, String>,
    /// When it was made, in milliseconds since the Unix epoch.
    pub created_ms: i64,
    /// When it was changed last, in milliseconds since the Unix epoch.
    pub updated_ms: i64,
}

/// One version of a managed policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyVersion {
    /// The document, as it was given.
    pub document: Arc<str>,
    /// When it was made, in milliseconds since the Unix epoch.
    pub created_ms: i64,
}

impl ManagedPolicy {
    /// `arn:aws:iam::ACCOUNT:policy/NAME`.
    pub fn arn(&self) -> String {
        format!("arn:aws:iam::{}:policy/{}", self.account, self.name)
    }

    /// The document that counts.
    pub fn document(&self) -> Option<&Arc<str>> {
        self.versions.get(&self.default_version).map(|version| &version.document)
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
    /// What it is for, in its owner's words; empty for none.
    pub description: String,
    /// Tags, for policies.
    pub tags: BTreeMap<String, String>,
    /// When it was made, in milliseconds since the Unix epoch.
    pub created_ms: i64,
    /// When its name, description, default branch or tags were changed last, in milliseconds since the Unix epoch.
    pub modified_ms: i64,
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
    /// Devices for one-time codes. Their names may be given again.
    MfaDevice,
    /// Identity providers.
    OidcProvider,
    /// Managed policies. Their names may be given again: nothing but those to whom they are attached speaks of them.
    Policy,
}

impl NameKind {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            NameKind::User => "user",
            NameKind::Group => "group",
            NameKind::Role => "role",
            NameKind::Repository => "repository",
            NameKind::Policy => "policy",
            NameKind::MfaDevice => "device",
            NameKind::OidcProvider => "identity provider",
        }
    }
}

impl fmt::Display for NameKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
