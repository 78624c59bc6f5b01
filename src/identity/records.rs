//! The bodies of identity's records, as JSON inside the sealed rows. Fields are added with a default; none changes its meaning.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub(super) const ACCOUNT: &str = "account";
pub(super) const USER: &str = "user";
pub(super) const GROUP: &str = "group";
pub(super) const ROLE: &str = "role";
pub(super) const CREDENTIAL: &str = "credential";
pub(super) const REPOSITORY: &str = "repository";
pub(super) const TOMBSTONE: &str = "tombstone";

#[derive(Serialize, Deserialize)]
pub(super) struct AccountBody {
    pub id: String,
    pub name: String,
    pub created_ms: i64,
}

#[derive(Serialize, Deserialize)]
pub(super) struct UserBody {
    pub account: String,
    pub name: String,
    pub created_ms: i64,
    #[serde(default)]
    pub disabled: bool,
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct GroupBody {
    pub account: String,
    pub name: String,
    pub created_ms: i64,
    /// User ids.
    #[serde(default)]
    pub members: Vec<String>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct RoleBody {
    pub account: String,
    pub name: String,
    pub created_ms: i64,
    pub max_session_seconds: u32,
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct CredentialBody {
    pub user: String,
    pub key: String,
    pub created_ms: i64,
    pub what: CredentialWhat,
}

#[derive(Serialize, Deserialize)]
pub(super) enum CredentialWhat {
    SshKey { openssh: String, fingerprint: String },
    Git { user_name: String, salt: Vec<u8>, hash: Vec<u8> },
    AccessKey { secret: String },
}

#[derive(Serialize, Deserialize)]
pub(super) struct RepositoryBody {
    pub account: String,
    pub name: String,
    pub default_branch: Vec<u8>,
    pub created_ms: i64,
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct TombstoneBody {
    pub what: String,
    pub account: String,
    pub name: String,
    pub at_ms: i64,
}
