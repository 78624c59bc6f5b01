//! Changes of credentials. A secret leaves here once, in the answer to its making.

use secrecy::SecretString;
use uuid::Uuid;

use crate::names::{AccountId, PrincipalName, escape_for_people};
use crate::store::catalog::{Record, RecordBatch};

use super::Identity;
use super::credential::{
    Credential, CredentialKind, NewAccessKey, NewGitCredential, Secret, SigningKeyInfo, StoredCredential, new_id,
    parse_ssh_key,
};
use super::directory::Directory;
use super::edit_principals::{find_user, put};
use super::entries::User;
use super::error::IdentityError;
use super::password::{ALPHANUMERIC, PasswordHash, random_text};
use super::records;

/// As in IAM: two, so that one can be replaced by the other.
const MAX_ACCESS_KEYS: usize = 2;
const MAX_GIT_CREDENTIALS: usize = 10;
const MAX_SSH_KEYS: usize = 50;
const MAX_SIGNING_KEYS: usize = 50;
/// 262 bits.
const GIT_PASSWORD_CHARS: usize = 44;
/// As many as AWS's have.
const SECRET_ACCESS_KEY_CHARS: usize = 40;

impl Identity {
    /// Adds an SSH public key, given in OpenSSH's one-line form. A key belongs to one user only (attack checklist C2).
    pub async fn add_ssh_key(
        &self,
        account: &AccountId,
        user: &PrincipalName,
        openssh_text: &str,
    ) -> Result<Credential, IdentityError> {
        let kind = parse_ssh_key(openssh_text)?;
        let now_ms = self.now_ms();
        self.change(|directory| {
            let user = find_user(directory, account, user)?;
            if let CredentialKind::SshKey { fingerprint, .. } = &kind
                && directory.ssh_credential_by_fingerprint(fingerprint).is_some()
            {
                return Err(IdentityError::SshKeyTaken);
            }
            check_room(directory, user, &kind, "SSH keys", MAX_SSH_KEYS)?;
            let credential = credential(user, new_id("APKA"), kind.clone(), Secret::None, now_ms);
            Ok((put(vec![records::of_credential(&credential)]), credential.public))
        })
        .await
    }

    /// Registers a key that a user signs commits with. A key is of one user only.
    pub async fn add_signing_key(
        &self,
        account: &AccountId,
        user: &PrincipalName,
        info: SigningKeyInfo,
    ) -> Result<Credential, IdentityError> {
        let now_ms = self.now_ms();
        self.change(|directory| {
            let user = find_user(directory, account, user)?;
            if directory.has_signing_key(&info.fingerprint) {
                return Err(IdentityError::SigningKeyTaken);
            }
            let kind = CredentialKind::SigningKey(info.clone());
            check_room(directory, user, &kind, "signing keys", MAX_SIGNING_KEYS)?;
            let credential = credential(user, new_id("SKSK"), kind, Secret::None, now_ms);
            Ok((put(vec![records::of_credential(&credential)]), credential.public))
        })
        .await
    }

    /// Makes a Git user name and password for a user.
    pub async fn create_git_credential(
        &self,
        account: &AccountId,
        user: &PrincipalName,
    ) -> Result<NewGitCredential, IdentityError> {
        // Who does not exist costs no hash.
        find_user(&self.directory(), account, user)?;
        let (password, hash) = new_git_password().await;
        let now_ms = self.now_ms();
        self.change(|directory| {
            let user = find_user(directory, account, user)?;
            let (new, record) = new_git_credential(directory, user, &password, &hash, now_ms)?;
            Ok((put(vec![record]), new))
        })
        .await
    }

    /// Makes an access key for a user; there are at most two.
    pub async fn create_access_key(
        &self,
        account: &AccountId,
        user: &PrincipalName,
    ) -> Result<NewAccessKey, IdentityError> {
        let now_ms = self.now_ms();
        self.change(|directory| {
            let user = find_user(directory, account, user)?;
            let (new, record) = new_access_key(directory, user, now_ms)?;
            Ok((put(vec![record]), new))
        })
        .await
    }

    /// A user's credentials without secrets, oldest first.
    pub fn list_credentials(
        &self,
        account: &AccountId,
        user: &PrincipalName,
    ) -> Result<Vec<Credential>, IdentityError> {
        let directory = self.directory();
        let user = find_user(&directory, account, user)?;
        Ok(directory.credentials(user).cloned().collect())
    }

    /// Takes a credential no more, or again.
    pub async fn set_credential_active(
        &self,
        account: &AccountId,
        user: &PrincipalName,
        id: &str,
        active: bool,
    ) -> Result<(), IdentityError> {
        self.change(|directory| {
            let mut credential = find_credential(directory, account, user, id)?.clone();
            credential.public.active = active;
            Ok((put(vec![records::of_credential(&credential)]), ()))
        })
        .await
    }

    /// Gives a Git credential another password, and gives that.
    pub async fn reset_git_password(
        &self,
        account: &AccountId,
        user: &PrincipalName,
        id: &str,
    ) -> Result<NewGitCredential, IdentityError> {
        find_credential(&self.directory(), account, user, id)?;
        let (password, hash) = new_git_password().await;
        self.change(|directory| {
            let mut credential = find_credential(directory, account, user, id)?.clone();
            let CredentialKind::Git { user_name } = &credential.public.kind else {
                let id = escape_for_people(id.as_bytes(), 64);
                return Err(IdentityError::NoCredential { user: user.clone(), id });
            };
            let new = NewGitCredential { id: id.to_string(), user_name: user_name.clone(), password: password.clone() };
            credential.secret = Secret::Hash(hash.clone());
            Ok((put(vec![records::of_credential(&credential)]), new))
        })
        .await
    }

    /// Takes a credential back for good. It must be the user's (attack checklist D5).
    pub async fn revoke_credential(
        &self,
        account: &AccountId,
        user: &PrincipalName,
        id: &str,
    ) -> Result<(), IdentityError> {
        self.change(|directory| {
            let found = find_credential(directory, account, user, id)?;
            let deletes = vec![("credential".to_string(), found.record_id.into_bytes())];
            Ok((RecordBatch { deletes, ..RecordBatch::default() }, ()))
        })
        .await
    }
}

/// The credential of that id, which must be the user's.
fn find_credential<'a>(
    directory: &'a Directory,
    account: &AccountId,
    user: &PrincipalName,
    id: &str,
) -> Result<&'a StoredCredential, IdentityError> {
    let user = find_user(directory, account, user)?;
    let found = directory.stored_credentials(user.id).iter().find(|credential| credential.public.id == id);
    found.map(|found| &**found).ok_or_else(|| IdentityError::NoCredential {
        user: user.name.clone(),
        id: escape_for_people(id.as_bytes(), 64),
    })
}

/// A fresh password and its hash, computed on a thread that may block.
pub(super) async fn new_git_password() -> (SecretString, PasswordHash) {
    let make = || {
        let password = SecretString::from(random_text(ALPHANUMERIC, GIT_PASSWORD_CHARS));
        let hash = PasswordHash::new(&password);
        (password, hash)
    };
    tokio::task::spawn_blocking(make).await.expect("hashing a password does not panic and is not cancelled")
}

/// A Git credential for a user who may not be in the directory yet.
pub(super) fn new_git_credential(
    directory: &Directory,
    user: &User,
    password: &SecretString,
    hash: &PasswordHash,
    now_ms: i64,
) -> Result<(NewGitCredential, Record), IdentityError> {
    let stem = format!("{}-at-{}", user.name, user.account);
    let mut user_name = stem.clone();
    let mut n = 0;
    while directory.git_credential(&user_name).is_some() {
        n += 1;
        user_name = format!("{stem}-{n}");
    }
    let kind = CredentialKind::Git { user_name: user_name.clone() };
    check_room(directory, user, &kind, "Git credentials", MAX_GIT_CREDENTIALS)?;
    let credential = credential(user, new_id("ACCA"), kind, Secret::Hash(hash.clone()), now_ms);
    let new = NewGitCredential { id: credential.public.id.clone(), user_name, password: password.clone() };
    Ok((new, records::of_credential(&credential)))
}

/// An access key for a user who may not be in the directory yet.
pub(super) fn new_access_key(
    directory: &Directory,
    user: &User,
    now_ms: i64,
) -> Result<(NewAccessKey, Record), IdentityError> {
    let kind = CredentialKind::AccessKey;
    check_room(directory, user, &kind, "access keys", MAX_ACCESS_KEYS)?;
    let secret = SecretString::from(random_text(ALPHANUMERIC, SECRET_ACCESS_KEY_CHARS));
    let credential = credential(user, new_id("AKIA"), kind, Secret::Text(secret.clone()), now_ms);
    Ok((NewAccessKey { id: credential.public.id.clone(), secret }, records::of_credential(&credential)))
}

fn check_room(
    directory: &Directory,
    user: &User,
    kind: &CredentialKind,
    what: &'static str,
    limit: usize,
) -> Result<(), IdentityError> {
    let n_alike = directory.credentials(user).filter(|credential| credential.kind.as_str() == kind.as_str()).count();
    if n_alike >= limit {
        return Err(IdentityError::TooMany { user: user.name.clone(), what, limit });
    }
    Ok(())
}

fn credential(user: &User, id: String, kind: CredentialKind, secret: Secret, created_ms: i64) -> StoredCredential {
    let public = Credential { id, account: user.account.clone(), user: user.id, kind, active: true, created_ms };
    StoredCredential { record_id: Uuid::now_v7(), public, secret }
}
