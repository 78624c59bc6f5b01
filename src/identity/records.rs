//! How the directory's entries lie in the catalog: JSON bodies of sealed records, one kind each.
//!
//! The structs here are the stored form and nothing else; a field may be added with a default, none may change its
//! meaning. Names are checked again when they are read. Unique names of records, folded where the thing's name is:
//!
//! | kind | name |
//! |---|---|
//! | `account` | the number |
//! | `user`, `group`, `role`, `managed-policy`, `mfa-device`, `oidc-provider`, `repository` | `ACCOUNT/NAME` |
//! | `revoked-session` | the access key id of the session |
//! | `credential` | `ssh/FINGERPRINT`, `git/USER-NAME`, `access-key/ID` or `signing/FINGERPRINT` |
//! | `tombstone` | `KIND/ACCOUNT/NAME` |

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use base64::prelude::BASE64_STANDARD_NO_PAD as BASE64;
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::names::{AccountId, InvalidName, PolicyName, PrincipalName, RefName, RepositoryName};
use crate::store::catalog::Record;

use super::credential::{Credential, CredentialKind, Secret, SigningKeyInfo, StoredCredential, StoredMfaDevice};
use super::entries::{
    Account, Group, HeldPolicies, ManagedPolicy, MfaDevice, NameKind, OidcProvider, PolicyVersion, RepositoryRecord,
    Role, User,
};
use super::error::IdentityError;
use super::password::PasswordHash;

/// All kinds of records that are identity's.
pub(super) const KINDS: [&str; 11] = [
    "account",
    "user",
    "group",
    "role",
    "managed-policy",
    "mfa-device",
    "oidc-provider",
    "revoked-session",
    "credential",
    "repository",
    "tombstone",
];

/// A record, read.
pub(super) enum Entry {
    Account(Account),
    User(User),
    Group(Group),
    Role(Role),
    ManagedPolicy(ManagedPolicy),
    MfaDevice(StoredMfaDevice),
    OidcProvider(OidcProvider),
    RevokedSession(RevokedSession),
    Repository(RepositoryRecord),
    Credential(StoredCredential),
    Tombstone(Tombstone),
}

/// A session that was ended before its time.
#[derive(Debug, Clone)]
pub(super) struct RevokedSession {
    /// The record's id.
    pub(super) id: Uuid,
    /// The access key id that follows from the session's id.
    pub(super) access_key_id: String,
    /// When the session is over at the latest: from then on the record is not needed.
    pub(super) expires_ms: i64,
}

/// A name that is never given again.
pub(super) struct Tombstone {
    /// `KIND/ACCOUNT/FOLDED-NAME`.
    pub(super) name: String,
    /// The repository that was deleted under it, whose keys are to be destroyed.
    pub(super) deleted_repository: Option<Uuid>,
}

/// The unique name of a tombstone.
pub(super) fn tombstone_name(kind: NameKind, account: &AccountId, name: &str) -> String {
    format!("{kind}/{account}/{}", name.to_ascii_lowercase())
}

/// A record that opened, yet does not say what it should.
pub(super) fn damaged(record: &Record, what: impl ToString) -> IdentityError {
    let id = Uuid::from_bytes(record.id);
    IdentityError::Damaged { kind: record.kind.clone(), id, what: what.to_string() }
}

/// Reads a record of any of [`KINDS`].
pub(super) fn read(record: &Record) -> Result<Entry, IdentityError> {
    let id = Uuid::from_bytes(record.id);
    let invalid = |error: InvalidName| damaged(record, error);
    let account_id = |text: &str| AccountId::parse(text).map_err(invalid);
    let principal_name = |text: &str| PrincipalName::parse(text).map_err(invalid);
    Ok(match record.kind.as_str() {
        "account" => {
            let body: AccountBody = parse(record)?;
            Entry::Account(Account {
                id: account_id(&body.account)?,
                record_id: id,
                name: principal_name(&body.name)?,
                created_ms: body.created_ms,
            })
        }
        "user" => {
            let body: UserBody = parse(record)?;
            let groups: Result<Vec<_>, _> = body.groups.iter().map(|group| principal_name(group)).collect();
            Entry::User(User {
                id,
                account: account_id(&body.account)?,
                name: principal_name(&body.name)?,
                groups: groups?,
                disabled: body.disabled,
                addresses: body.addresses,
                tags: body.tags,
                policies: body.policies.read().map_err(invalid)?,
                sessions_from_ms: body.sessions_from_ms,
                created_ms: body.created_ms,
            })
        }
        "group" => {
            let body: GroupBody = parse(record)?;
            Entry::Group(Group {
                id,
                account: account_id(&body.account)?,
                name: principal_name(&body.name)?,
                policies: body.policies.read().map_err(invalid)?,
                created_ms: body.created_ms,
            })
        }
        "role" => {
            let body: RoleBody = parse(record)?;
            Entry::Role(Role {
                id,
                account: account_id(&body.account)?,
                name: principal_name(&body.name)?,
                max_session_seconds: body.max_session_seconds,
                description: body.description,
                trust: body.trust.map(Into::into),
                tags: body.tags,
                policies: body.policies.read().map_err(invalid)?,
                sessions_from_ms: body.sessions_from_ms,
                created_ms: body.created_ms,
            })
        }
        "managed-policy" => {
            let body: ManagedPolicyBody = parse(record)?;
            let version = |(number, version): (u32, VersionBody)| {
                let document = version.document.into();
                (number, PolicyVersion { document, created_ms: version.created_ms })
            };
            Entry::ManagedPolicy(ManagedPolicy {
                id,
                account: account_id(&body.account)?,
                name: PolicyName::parse(&body.name).map_err(invalid)?,
                description: body.description,
                versions: body.versions.into_iter().map(version).collect(),
                default_version: body.default_version,
                next_version: body.next_version,
                tags: body.tags,
                created_ms: body.created_ms,
                updated_ms: body.updated_ms,
            })
        }
        "mfa-device" => {
            let body: MfaDeviceBody = parse(record)?;
            let seed = BASE64.decode(&body.seed).map_err(|error| damaged(record, error))?;
            Entry::MfaDevice(StoredMfaDevice {
                public: MfaDevice {
                    id,
                    account: account_id(&body.account)?,
                    name: PolicyName::parse(&body.name).map_err(invalid)?,
                    user: body.user,
                    enabled_ms: body.enabled_ms,
                    created_ms: body.created_ms,
                },
                seed: seed.into(),
                drift: body.drift,
            })
        }
        "oidc-provider" => {
            let body: OidcProviderBody = parse(record)?;
            Entry::OidcProvider(OidcProvider {
                id,
                account: account_id(&body.account)?,
                issuer: body.issuer,
                client_ids: body.client_ids,
                thumbprints: body.thumbprints,
                tags: body.tags,
                created_ms: body.created_ms,
            })
        }
        "revoked-session" => {
            let body: RevokedSessionBody = parse(record)?;
            let access_key_id = record.name.clone().ok_or_else(|| damaged(record, "it has no name"))?;
            Entry::RevokedSession(RevokedSession { id, access_key_id, expires_ms: body.expires_ms })
        }
        "repository" => {
            let body: RepositoryBody = parse(record)?;
            let branch = BASE64.decode(&body.default_branch).map_err(|error| damaged(record, error))?;
            Entry::Repository(RepositoryRecord {
                id,
                account: account_id(&body.account)?,
                name: RepositoryName::parse(&body.name).map_err(invalid)?,
                default_branch: RefName::parse(&branch).map_err(invalid)?,
                description: body.description,
                tags: body.tags,
                created_ms: body.created_ms,
                modified_ms: body.modified_ms.unwrap_or(body.created_ms),
            })
        }
        "credential" => {
            let body: CredentialBody = parse(record)?;
            let (kind, secret) = read_secret(record, body.secret)?;
            let account = account_id(&body.account)?;
            let public = Credential {
                id: body.id,
                account,
                user: body.user,
                kind,
                active: body.active,
                created_ms: body.created_ms,
            };
            Entry::Credential(StoredCredential { record_id: id, public, secret })
        }
        "tombstone" => {
            let body: TombstoneBody = parse(record)?;
            let name = record.name.clone().ok_or_else(|| damaged(record, "it has no name"))?;
            Entry::Tombstone(Tombstone { name, deleted_repository: body.deleted_repository })
        }
        _ => return Err(damaged(record, "its kind is not known")),
    })
}

/// An account's record.
pub(super) fn of_account(account: &Account) -> Record {
    let body =
        AccountBody { account: account.id.to_string(), name: account.name.to_string(), created_ms: account.created_ms };
    record("account", account.record_id, account.id.to_string(), &body)
}

/// A user's record.
pub(super) fn of_user(user: &User) -> Record {
    let body = UserBody {
        account: user.account.to_string(),
        name: user.name.to_string(),
        groups: user.groups.iter().map(PrincipalName::to_string).collect(),
        disabled: user.disabled,
        addresses: user.addresses.clone(),
        tags: user.tags.clone(),
        policies: PoliciesBody::of(&user.policies),
        sessions_from_ms: user.sessions_from_ms,
        created_ms: user.created_ms,
    };
    record("user", user.id, format!("{}/{}", user.account, user.name.folded()), &body)
}

/// A group's record.
pub(super) fn of_group(group: &Group) -> Record {
    let body = GroupBody {
        account: group.account.to_string(),
        name: group.name.to_string(),
        policies: PoliciesBody::of(&group.policies),
        created_ms: group.created_ms,
    };
    record("group", group.id, format!("{}/{}", group.account, group.name.folded()), &body)
}

/// A role's record.
pub(super) fn of_role(role: &Role) -> Record {
    let body = RoleBody {
        account: role.account.to_string(),
        name: role.name.to_string(),
        max_session_seconds: role.max_session_seconds,
        description: role.description.clone(),
        trust: role.trust.as_ref().map(ToString::to_string),
        tags: role.tags.clone(),
        policies: PoliciesBody::of(&role.policies),
        sessions_from_ms: role.sessions_from_ms,
        created_ms: role.created_ms,
    };
    record("role", role.id, format!("{}/{}", role.account, role.name.folded()), &body)
}

/// A managed policy's record.
pub(super) fn of_managed_policy(policy: &ManagedPolicy) -> Record {
    let version = |(number, version): (&u32, &PolicyVersion)| {
        let body = VersionBody { document: version.document.to_string(), created_ms: version.created_ms };
        (*number, body)
    };
    let body = ManagedPolicyBody {
        account: policy.account.to_string(),
        name: policy.name.to_string(),
        description: policy.description.clone(),
        versions: policy.versions.iter().map(version).collect(),
        default_version: policy.default_version,
        next_version: policy.next_version,
        tags: policy.tags.clone(),
        created_ms: policy.created_ms,
        updated_ms: policy.updated_ms,
    };
    record("managed-policy", policy.id, format!("{}/{}", policy.account, policy.name.folded()), &body)
}

/// A device's record.
pub(super) fn of_mfa_device(device: &StoredMfaDevice) -> Record {
    let public = &device.public;
    let body = MfaDeviceBody {
        account: public.account.to_string(),
        name: public.name.to_string(),
        user: public.user,
        seed: BASE64.encode(device.seed.expose_secret()),
        drift: device.drift,
        enabled_ms: public.enabled_ms,
        created_ms: public.created_ms,
    };
    record("mfa-device", public.id, format!("{}/{}", public.account, public.name.folded()), &body)
}

/// A provider's record.
pub(super) fn of_oidc_provider(provider: &OidcProvider) -> Record {
    let body = OidcProviderBody {
        account: provider.account.to_string(),
        issuer: provider.issuer.clone(),
        client_ids: provider.client_ids.clone(),
        thumbprints: provider.thumbprints.clone(),
        tags: provider.tags.clone(),
        created_ms: provider.created_ms,
    };
    record("oidc-provider", provider.id, format!("{}/{}", provider.account, provider.issuer), &body)
}

/// A revoked session's record.
pub(super) fn of_revoked_session(session: &RevokedSession) -> Record {
    let body = RevokedSessionBody { expires_ms: session.expires_ms };
    record("revoked-session", session.id, session.access_key_id.clone(), &body)
}

/// A repository's record.
pub(super) fn of_repository(repository: &RepositoryRecord) -> Record {
    let body = RepositoryBody {
        account: repository.account.to_string(),
        name: repository.name.to_string(),
        default_branch: BASE64.encode(repository.default_branch.as_bytes()),
        description: repository.description.clone(),
        tags: repository.tags.clone(),
        created_ms: repository.created_ms,
        modified_ms: Some(repository.modified_ms),
    };
    record("repository", repository.id, format!("{}/{}", repository.account, repository.name.folded()), &body)
}

/// A credential's record.
pub(super) fn of_credential(credential: &StoredCredential) -> Record {
    let public = &credential.public;
    let (name, secret) = match (&public.kind, &credential.secret) {
        (CredentialKind::SshKey { fingerprint, openssh, comment }, _) => (
            format!("ssh/{fingerprint}"),
            SecretBody::SshKey { fingerprint: fingerprint.clone(), openssh: openssh.clone(), comment: comment.clone() },
        ),
        (CredentialKind::Git { user_name }, secret) => {
            let hash = match secret {
                Secret::Hash(hash) => hash.clone(),
                _ => PasswordHash::nobody(),
            };
            let body = SecretBody::Git {
                user_name: user_name.clone(),
                memory_kib: hash.memory_kib,
                passes: hash.passes,
                lanes: hash.lanes,
                salt: BASE64.encode(hash.salt),
                hash: BASE64.encode(hash.hash),
            };
            (format!("git/{user_name}"), body)
        }
        (CredentialKind::AccessKey, secret) => {
            let secret = match secret {
                Secret::Text(text) => text.expose_secret().to_string(),
                _ => String::new(),
            };
            (format!("access-key/{}", public.id), SecretBody::AccessKey { secret })
        }
        (CredentialKind::SigningKey(info), _) => {
            let body = SecretBody::SigningKey {
                fingerprint: info.fingerprint.clone(),
                names: info.names.clone(),
                key: BASE64.encode(&info.key),
                from_ms: info.from_ms,
                until_ms: info.until_ms,
            };
            (format!("signing/{}", info.fingerprint), body)
        }
    };
    let body = CredentialBody {
        id: public.id.clone(),
        account: public.account.to_string(),
        user: public.user,
        active: public.active,
        created_ms: public.created_ms,
        secret,
    };
    record("credential", credential.record_id, name, &body)
}

/// A tombstone's record.
pub(super) fn of_tombstone(tombstone: &Tombstone, at_ms: i64) -> Record {
    let body = TombstoneBody { deleted_repository: tombstone.deleted_repository, at_ms };
    record("tombstone", Uuid::new_v4(), tombstone.name.clone(), &body)
}

fn record(kind: &str, id: Uuid, name: String, body: &impl Serialize) -> Record {
    let body = serde_json::to_vec(body).expect("structs of texts and numbers become JSON");
    Record { kind: kind.to_string(), id: id.into_bytes(), name: Some(name), body }
}

fn parse<T: DeserializeOwned>(record: &Record) -> Result<T, IdentityError> {
    // The error's text names the place and not the content, which may be secret.
    serde_json::from_slice(&record.body).map_err(|error| {
        let what = format!("{:?} error at line {} column {}", error.classify(), error.line(), error.column());
        damaged(record, what)
    })
}

fn read_secret(record: &Record, body: SecretBody) -> Result<(CredentialKind, Secret), IdentityError> {
    fn bytes<const N: usize>(record: &Record, text: &str) -> Result<[u8; N], IdentityError> {
        let bytes = BASE64.decode(text).ok().and_then(|bytes| bytes.try_into().ok());
        bytes.ok_or_else(|| damaged(record, "a value has the wrong length"))
    }
    Ok(match body {
        SecretBody::SshKey { fingerprint, openssh, comment } => {
            (CredentialKind::SshKey { fingerprint, openssh, comment }, Secret::None)
        }
        SecretBody::Git { user_name, memory_kib, passes, lanes, salt, hash } => {
            let (salt, hash) = (bytes(record, &salt)?, bytes(record, &hash)?);
            let hash = PasswordHash { memory_kib, passes, lanes, salt, hash };
            (CredentialKind::Git { user_name }, Secret::Hash(hash))
        }
        SecretBody::SigningKey { fingerprint, names, key, from_ms, until_ms } => {
            let key = BASE64.decode(key).map_err(|error| damaged(record, error))?;
            let info = SigningKeyInfo { fingerprint, names, key, from_ms, until_ms };
            (CredentialKind::SigningKey(info), Secret::None)
        }
        SecretBody::AccessKey { secret } => (CredentialKind::AccessKey, Secret::Text(SecretString::from(secret))),
    })
}

#[derive(Serialize, Deserialize)]
struct AccountBody {
    account: String,
    name: String,
    created_ms: i64,
}

#[derive(Serialize, Deserialize)]
struct UserBody {
    account: String,
    name: String,
    groups: Vec<String>,
    disabled: bool,
    addresses: Vec<String>,
    tags: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "PoliciesBody::is_empty")]
    policies: PoliciesBody,
    #[serde(default)]
    sessions_from_ms: i64,
    created_ms: i64,
}

#[derive(Serialize, Deserialize)]
struct GroupBody {
    account: String,
    name: String,
    #[serde(default, skip_serializing_if = "PoliciesBody::is_empty")]
    policies: PoliciesBody,
    created_ms: i64,
}

#[derive(Serialize, Deserialize)]
struct RoleBody {
    account: String,
    name: String,
    max_session_seconds: u32,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    trust: Option<String>,
    tags: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "PoliciesBody::is_empty")]
    policies: PoliciesBody,
    #[serde(default)]
    sessions_from_ms: i64,
    created_ms: i64,
}

#[derive(Default, Serialize, Deserialize)]
struct PoliciesBody {
    managed: Vec<String>,
    inline: BTreeMap<String, String>,
}

impl PoliciesBody {
    fn of(held: &HeldPolicies) -> PoliciesBody {
        PoliciesBody {
            managed: held.managed.iter().map(PolicyName::to_string).collect(),
            inline: held.inline.iter().map(|(name, text)| (name.to_string(), text.to_string())).collect(),
        }
    }

    fn is_empty(&self) -> bool {
        self.managed.is_empty() && self.inline.is_empty()
    }

    fn read(self) -> Result<HeldPolicies, InvalidName> {
        let managed = self.managed.iter().map(|name| PolicyName::parse(name)).collect::<Result<_, _>>()?;
        let inline = self.inline.into_iter().map(|(name, text)| Ok((PolicyName::parse(&name)?, text.into())));
        Ok(HeldPolicies { managed, inline: inline.collect::<Result<_, _>>()? })
    }
}

#[derive(Serialize, Deserialize)]
struct ManagedPolicyBody {
    account: String,
    name: String,
    description: Option<String>,
    versions: BTreeMap<u32, VersionBody>,
    default_version: u32,
    next_version: u32,
    tags: BTreeMap<String, String>,
    created_ms: i64,
    updated_ms: i64,
}

#[derive(Serialize, Deserialize)]
struct VersionBody {
    document: String,
    created_ms: i64,
}

#[derive(Serialize, Deserialize)]
struct RepositoryBody {
    account: String,
    name: String,
    /// Base64, since ref names are bytes.
    default_branch: String,
    /// Older records have none.
    #[serde(default)]
    description: String,
    tags: BTreeMap<String, String>,
    created_ms: i64,
    /// Older records have none.
    #[serde(default)]
    modified_ms: Option<i64>,
}

#[derive(Serialize, Deserialize)]
struct CredentialBody {
    id: String,
    account: String,
    #[serde(with = "uuid_text")]
    user: Uuid,
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    active: bool,
    created_ms: i64,
    secret: SecretBody,
}

fn yes() -> bool {
    true
}

fn is_yes(value: &bool) -> bool {
    *value
}

#[derive(Serialize, Deserialize)]
struct MfaDeviceBody {
    account: String,
    name: String,
    #[serde(with = "optional_uuid_text", default)]
    user: Option<Uuid>,
    seed: String,
    #[serde(default)]
    drift: i64,
    enabled_ms: Option<i64>,
    created_ms: i64,
}

#[derive(Serialize, Deserialize)]
struct OidcProviderBody {
    account: String,
    issuer: String,
    client_ids: BTreeSet<String>,
    thumbprints: Vec<String>,
    tags: BTreeMap<String, String>,
    created_ms: i64,
}

#[derive(Serialize, Deserialize)]
struct RevokedSessionBody {
    expires_ms: i64,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
enum SecretBody {
    SshKey { fingerprint: String, openssh: String, comment: String },
    Git { user_name: String, memory_kib: u32, passes: u32, lanes: u32, salt: String, hash: String },
    AccessKey { secret: String },
    SigningKey { fingerprint: String, names: Vec<String>, key: String, from_ms: Option<i64>, until_ms: Option<i64> },
}

#[derive(Serialize, Deserialize)]
struct TombstoneBody {
    #[serde(with = "optional_uuid_text", default)]
    deleted_repository: Option<Uuid>,
    at_ms: i64,
}

mod uuid_text {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use uuid::Uuid;

    pub(super) fn serialize<S: Serializer>(id: &Uuid, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(id)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Uuid, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

mod optional_uuid_text {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
    use uuid::Uuid;

    pub(super) fn serialize<S: Serializer>(id: &Option<Uuid>, serializer: S) -> Result<S::Ok, S::Error> {
        id.map(|id| id.to_string()).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Uuid>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| text.parse().map_err(D::Error::custom)).transpose()
    }
}
