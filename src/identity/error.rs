//! What can go wrong when the directory is read or changed.

use crate::names::{AccountId, InvalidName, PolicyName, PrincipalName};
use crate::store::StoreError;
use crate::store::catalog::CatalogError;

use super::entries::NameKind;

/// Why the directory could not be read or changed. Nothing was changed, unless a variant says so.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// Rows.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// Keys.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A name that no one can have.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// A record opened, but does not say what a record of its kind says: written by a newer version, or a bug.
    #[error("the {kind} record `{id}` is damaged: {what}")]
    Damaged {
        /// The record's kind.
        kind: String,
        /// The record's id.
        id: uuid::Uuid,
        /// What is wrong with it.
        what: String,
    },
    /// There is no such account.
    #[error("there is no account `{0}`")]
    NoAccount(AccountId),
    /// There is already an account of that number or name, or the number is reserved.
    #[error("the account `{0}` already exists or is reserved")]
    AccountTaken(String),
    /// There is nothing of that name in the account.
    #[error("there is no {kind} `{name}` in account `{account}`")]
    Unknown {
        /// What was looked for.
        kind: NameKind,
        /// Its name as given.
        name: String,
        /// Where.
        account: AccountId,
    },
    /// Something in the account has the name; names that differ only in case are the same name.
    #[error("the {kind} `{name}` already exists in account `{account}`")]
    Exists {
        /// What has the name.
        kind: NameKind,
        /// The name that it has.
        name: String,
        /// Where.
        account: AccountId,
    },
    /// Something had the name once: policies may still speak of it, so it is never given again.
    #[error("the {kind} name `{name}` was used before in account `{account}`, and a name is never given again")]
    Tombstone {
        /// What had the name.
        kind: NameKind,
        /// The name as given.
        name: String,
        /// Where.
        account: AccountId,
    },
    /// The user has no credential of that id.
    #[error("user `{user}` has no credential `{id}`")]
    NoCredential {
        /// Whose.
        user: PrincipalName,
        /// The id as given, made safe to print.
        id: String,
    },
    /// The user has as many credentials of the kind as a user may have.
    #[error("`{user}` already has {limit} {what}; remove one first")]
    TooMany {
        /// Whose.
        user: PrincipalName,
        /// Of what.
        what: &'static str,
        /// How many there may be.
        limit: usize,
    },
    /// A policy has as many versions as a policy may have.
    #[error("policy `{policy}` already has {limit} versions; delete one first")]
    TooManyVersions {
        /// Whose.
        policy: PolicyName,
        /// How many there may be.
        limit: usize,
    },
    /// An account has as many things of the kind as an account may have.
    #[error("account `{account}` already has {limit} {what}")]
    Full {
        /// Where.
        account: AccountId,
        /// Of what.
        what: &'static str,
        /// How many there may be.
        limit: usize,
    },
    /// What is in use is not deleted.
    #[error("{what} cannot be deleted: {why}")]
    InUse {
        /// What was to be deleted.
        what: String,
        /// Why it cannot be, and what to do first.
        why: &'static str,
    },
    /// A one-time code that is none of now, or was used. Does not say which.
    #[error("the one-time code is wrong, or was used before; wait for the next one")]
    WrongCode,
    /// The text is not an OpenSSH public key.
    #[error("that is not one SSH public key in OpenSSH's one-line form: {0}")]
    NotAnSshKey(String),
    /// The key is of a kind or size that is not safe, or that would take too long to check.
    #[error("this SSH key is not taken: {0}")]
    SshKeyRefused(String),
    /// One key belongs to one user. Does not say to whom.
    #[error("this SSH key already belongs to a user")]
    SshKeyTaken,
    /// One key signs for one user. Does not say for whom.
    #[error("this signing key already belongs to a user")]
    SigningKeyTaken,
    /// A text that is no access key id of a session.
    #[error("`{0}` is not the access key id of a session: `ASIA` and sixteen letters and digits are expected")]
    NotATemporaryKey(String),
    /// A text that no commit can carry as a mail address.
    #[error("`{0}` is no mail address")]
    NotAnAddress(String),
    /// Others changed the directory all the time.
    #[error("the directory is changing too fast, try again")]
    Busy,
}
