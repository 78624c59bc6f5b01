//! Ending sessions before their time, devices for one-time codes, identity providers.

use std::collections::{BTreeMap, BTreeSet};

use secrecy::{ExposeSecret, SecretSlice, SecretString};
use uuid::Uuid;

use crate::names::{AccountId, PolicyName, PrincipalName};
use crate::store::catalog::RecordBatch;
use crate::store::seal::random;

use super::Identity;
use super::credential::StoredMfaDevice;
use super::directory::Directory;
use super::edit_principals::{check_account, exists, find_role, find_user, put, unknown};
use super::entries::{MfaDevice, NameKind, OidcProvider};
use super::error::IdentityError;
use super::principal::UserPrincipal;
use super::records::{self, RevokedSession};
use super::session::{LONGEST_SESSION_SECONDS, is_temporary_key_id};
use super::totp;

/// A new device. The seed is not shown again.
#[derive(Debug)]
pub struct NewMfaDevice {
    /// The device.
    pub device: MfaDevice,
    /// The seed in base32, as authenticator apps take it.
    pub seed: SecretString,
}

/// What of an identity provider is to be changed.
#[derive(Debug, Clone)]
pub enum OidcProviderChange {
    /// Takes tokens for this audience, too; it is fine if it does.
    AddClientId(String),
    /// Takes no token for this audience any more; it is fine if it does not.
    RemoveClientId(String),
    /// The fingerprints of certificates, all of them: kept and shown, and nothing is checked with them.
    Thumbprints(Vec<String>),
    /// Tags, all of them.
    Tags(BTreeMap<String, String>),
}

impl OidcProviderChange {
    fn apply(&self, provider: &mut OidcProvider) {
        match self {
            OidcProviderChange::AddClientId(id) => drop(provider.client_ids.insert(id.clone())),
            OidcProviderChange::RemoveClientId(id) => drop(provider.client_ids.remove(id)),
            OidcProviderChange::Thumbprints(all) => provider.thumbprints.clone_from(all),
            OidcProviderChange::Tags(all) => provider.tags.clone_from(all),
        }
    }
}

const MAX_MFA_DEVICES: usize = 8;
const MAX_PROVIDERS: usize = 100;
const MAX_CLIENT_IDS: usize = 100;

impl Identity {
    /// Ends all sessions of a role that began before `before_ms`, on every door.
    pub async fn revoke_role_sessions(
        &self,
        account: &AccountId,
        role: &PrincipalName,
        before_ms: i64,
    ) -> Result<(), IdentityError> {
        self.change(|directory| {
            let mut role = find_role(directory, account, role)?.clone();
            role.sessions_from_ms = role.sessions_from_ms.max(before_ms);
            Ok((put(vec![records::of_role(&role)]), ()))
        })
        .await
    }

    /// Ends all temporary credentials of a user, and all sessions that it began, from before `before_ms`.
    pub async fn revoke_user_sessions(
        &self,
        account: &AccountId,
        user: &PrincipalName,
        before_ms: i64,
    ) -> Result<(), IdentityError> {
        self.change(|directory| {
            let mut user = find_user(directory, account, user)?.clone();
            user.sessions_from_ms = user.sessions_from_ms.max(before_ms);
            Ok((put(vec![records::of_user(&user)]), ()))
        })
        .await
    }

    /// Ends one session by its access key id, `ASIA...`, and every session that began from it, on every door. Nothing is kept of
    /// sessions, so that one that never was is ended just as well.
    pub async fn revoke_session(&self, access_key_id: &str) -> Result<(), IdentityError> {
        if !is_temporary_key_id(access_key_id) {
            let shown = crate::names::escape_for_people(access_key_id.as_bytes(), 40);
            return Err(IdentityError::NotATemporaryKey(shown));
        }
        let now_ms = self.now_ms();
        let expires_ms = now_ms.saturating_add(i64::from(LONGEST_SESSION_SECONDS) * 1000);
        self.change(|directory| {
            let known = directory.revoked_sessions().find(|session| session.access_key_id == access_key_id);
            let id = known.map_or_else(Uuid::now_v7, |session| session.id);
            let session = RevokedSession { id, access_key_id: access_key_id.to_owned(), expires_ms };
            let over = directory.revoked_sessions().filter(|other| other.expires_ms <= now_ms && other.id != id);
            let deletes = over.map(|session| ("revoked-session".to_string(), session.id.into_bytes())).collect();
            let puts = vec![records::of_revoked_session(&session)];
            Ok((RecordBatch { puts, deletes, ..RecordBatch::default() }, ()))
        })
        .await
    }

    /// Makes a device that is nobody's yet.
    pub async fn create_mfa_device(
        &self,
        account: &AccountId,
        name: &PolicyName,
    ) -> Result<NewMfaDevice, IdentityError> {
        let created_ms = self.now_ms();
        let seed = SecretSlice::from(random::<20>().to_vec());
        self.change(|directory| {
            check_account(directory, account)?;
            if directory.mfa_devices(account).any(|device| device.name.folded() == name.folded()) {
                return Err(exists(NameKind::MfaDevice, account, name.as_str()));
            }
            let (id, account, name) = (Uuid::now_v7(), account.clone(), name.clone());
            let public = MfaDevice { id, account, name, user: None, enabled_ms: None, created_ms };
            let stored = StoredMfaDevice { public, seed: seed.clone(), drift: 0 };
            let new = NewMfaDevice { device: stored.public.clone(), seed: base32(stored.seed.expose_secret()).into() };
            Ok((put(vec![records::of_mfa_device(&stored)]), new))
        })
        .await
    }

    /// Makes a device a user's, who shows by two codes that follow each other that it is at hand.
    pub async fn enable_mfa_device(
        &self,
        account: &AccountId,
        user: &PrincipalName,
        serial: &str,
        codes: [&str; 2],
    ) -> Result<(), IdentityError> {
        let now_ms = self.now_ms();
        self.change(|directory| {
            let user = find_user(directory, account, user)?;
            let mut device = find_device(directory, account, serial)?.clone();
            if device.public.user.is_some() {
                return Err(IdentityError::InUse {
                    what: format!("device `{}`", device.public.name),
                    why: "it belongs to a user; deactivate it first",
                });
            }
            if directory.mfa_devices(account).filter(|other| other.user == Some(user.id)).count() >= MAX_MFA_DEVICES {
                let what = "devices for one-time codes";
                return Err(IdentityError::TooMany { user: user.name.clone(), what, limit: MAX_MFA_DEVICES });
            }
            let steps = codes.map(|code| totp::step_of(&device.seed, code, now_ms / 1000, device.drift));
            match steps {
                [Some(first), Some(second)] if second == first + 1 => {}
                _ => return Err(IdentityError::WrongCode),
            }
            device.public.user = Some(user.id);
            device.public.enabled_ms = Some(now_ms);
            Ok((put(vec![records::of_mfa_device(&device)]), ()))
        })
        .await
    }

    /// Takes a device from its user.
    pub async fn deactivate_mfa_device(
        &self,
        account: &AccountId,
        user: &PrincipalName,
        serial: &str,
    ) -> Result<(), IdentityError> {
        self.change(|directory| {
            let user = find_user(directory, account, user)?;
            let mut device = find_device(directory, account, serial)?.clone();
            if device.public.user != Some(user.id) {
                return Err(unknown(NameKind::MfaDevice, account, serial));
            }
            device.public.user = None;
            device.public.enabled_ms = None;
            Ok((put(vec![records::of_mfa_device(&device)]), ()))
        })
        .await
    }

    /// Deletes a device that is nobody's.
    pub async fn delete_mfa_device(&self, account: &AccountId, serial: &str) -> Result<(), IdentityError> {
        self.change(|directory| {
            let device = find_device(directory, account, serial)?;
            if device.public.user.is_some() {
                return Err(IdentityError::InUse {
                    what: format!("device `{}`", device.public.name),
                    why: "it belongs to a user; deactivate it first",
                });
            }
            let deletes = vec![("mfa-device".to_string(), device.public.id.into_bytes())];
            Ok((RecordBatch { deletes, ..RecordBatch::default() }, ()))
        })
        .await
    }

    /// Checks a one-time code of a user's device. Each code is taken once, on whatever node; wrong ones are slowed down.
    pub async fn check_code(&self, user: &UserPrincipal, serial: &str, code: &str) -> Result<(), IdentityError> {
        let guard = self.inner.logins.guard();
        let name = format!("mfa of {}/{}", user.account, user.name);
        let now_ms = self.now_ms();
        if guard.check_user(&name, now_ms).is_err() {
            return Err(IdentityError::WrongCode);
        }
        let directory = self.directory();
        let device = find_device(&directory, &user.account, serial).ok();
        let device = device.filter(|device| device.public.user == Some(user.id));
        let step = device.and_then(|device| {
            totp::step_of(&device.seed, code, now_ms / 1000, device.drift).map(|step| (device, step))
        });
        let Some((device, step)) = step else {
            guard.failed_user(&name, now_ms);
            return Err(IdentityError::WrongCode);
        };
        self.take_code(device, step).await
    }

    /// Finds the clock of a user's device again by two codes that follow each other, shown within a day of now. Codes of before
    /// one that was taken count no more, so that codes that somebody has overheard turn no clock back.
    pub async fn resync_mfa_device(
        &self,
        account: &AccountId,
        user: &PrincipalName,
        serial: &str,
        codes: [&str; 2],
    ) -> Result<(), IdentityError> {
        let now_ms = self.now_ms();
        let found = |directory: &Directory| -> Result<(PrincipalName, StoredMfaDevice), IdentityError> {
            let user = find_user(directory, account, user)?;
            let device = find_device(directory, account, serial)?;
            match device.public.user == Some(user.id) {
                true => Ok((user.name.clone(), device.clone())),
                false => Err(unknown(NameKind::MfaDevice, account, device.public.name.as_str())),
            }
        };
        let (user_name, device) = found(&self.directory())?;
        let guard = self.inner.logins.guard();
        let name = format!("mfa of {account}/{user_name}");
        if guard.check_user(&name, now_ms).is_err() {
            return Err(IdentityError::WrongCode);
        }
        let Some((step, drift)) = totp::resync(&device.seed, codes, now_ms / 1000) else {
            guard.failed_user(&name, now_ms);
            return Err(IdentityError::WrongCode);
        };
        self.take_code(&device, step).await?;
        self.change(|directory| {
            let (_, device) = found(directory)?;
            let device = StoredMfaDevice { drift, ..device };
            Ok((put(vec![records::of_mfa_device(&device)]), ()))
        })
        .await
    }

    /// Each code is taken once, and none from before one that was taken.
    async fn take_code(&self, device: &StoredMfaDevice, step: i64) -> Result<(), IdentityError> {
        let mark = format!("one-time code/{}", device.public.id);
        match self.inner.store.catalog().advance_mark(&mark, step, b"").await? {
            true => Ok(()),
            false => Err(IdentityError::WrongCode),
        }
    }

    /// Makes an identity provider known.
    pub async fn create_oidc_provider(
        &self,
        account: &AccountId,
        issuer: &str,
        client_ids: BTreeSet<String>,
        thumbprints: Vec<String>,
        tags: BTreeMap<String, String>,
    ) -> Result<OidcProvider, IdentityError> {
        let created_ms = self.now_ms();
        if client_ids.len() > MAX_CLIENT_IDS {
            return Err(IdentityError::Full { account: account.clone(), what: "client ids", limit: MAX_CLIENT_IDS });
        }
        self.change(|directory| {
            check_account(directory, account)?;
            if directory.oidc_provider(account, issuer).is_some() {
                return Err(exists(NameKind::OidcProvider, account, issuer));
            }
            if directory.oidc_providers(account).count() >= MAX_PROVIDERS {
                let what = "identity providers";
                return Err(IdentityError::Full { account: account.clone(), what, limit: MAX_PROVIDERS });
            }
            let provider = OidcProvider {
                id: Uuid::now_v7(),
                account: account.clone(),
                issuer: issuer.to_string(),
                client_ids: client_ids.clone(),
                thumbprints: thumbprints.clone(),
                tags: tags.clone(),
                created_ms,
            };
            Ok((put(vec![records::of_oidc_provider(&provider)]), provider))
        })
        .await
    }

    /// Changes the audiences, thumbprints or tags of an identity provider.
    pub async fn change_oidc_provider(
        &self,
        account: &AccountId,
        issuer: &str,
        change: OidcProviderChange,
    ) -> Result<(), IdentityError> {
        self.change(|directory| {
            let provider = directory.oidc_provider(account, issuer);
            let mut provider = provider.ok_or_else(|| unknown(NameKind::OidcProvider, account, issuer))?.clone();
            change.apply(&mut provider);
            if provider.client_ids.len() > MAX_CLIENT_IDS {
                return Err(IdentityError::Full {
                    account: account.clone(),
                    what: "client ids",
                    limit: MAX_CLIENT_IDS,
                });
            }
            Ok((put(vec![records::of_oidc_provider(&provider)]), ()))
        })
        .await
    }

    /// Forgets an identity provider; it is fine if there is none.
    pub async fn delete_oidc_provider(&self, account: &AccountId, issuer: &str) -> Result<(), IdentityError> {
        self.change(|directory| {
            let provider = directory.oidc_provider(account, issuer);
            let deletes =
                provider.map(|provider| ("oidc-provider".to_string(), provider.id.into_bytes())).into_iter().collect();
            Ok((RecordBatch { deletes, ..RecordBatch::default() }, ()))
        })
        .await
    }
}

fn find_device<'a>(
    directory: &'a Directory,
    account: &AccountId,
    serial: &str,
) -> Result<&'a StoredMfaDevice, IdentityError> {
    let found = directory.stored_mfa_devices(account).find(|device| device.public.serial() == serial);
    found.ok_or_else(|| unknown(NameKind::MfaDevice, account, &crate::names::escape_for_people(serial.as_bytes(), 128)))
}

/// RFC 4648, without padding: the seed's 20 bytes make 32 characters.
fn base32(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(5) * 8);
    for chunk in bytes.chunks(5) {
        let mut block = [0; 8];
        block[3..3 + chunk.len()].copy_from_slice(chunk);
        let number = u64::from_be_bytes(block);
        for at in 0..(chunk.len() * 8).div_ceil(5) {
            text.push(char::from(super::password::BASE32[(number >> (35 - 5 * at) & 31) as usize]));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4648, section 10.
    #[test]
    fn published_base32() {
        for (plain, text) in [("", ""), ("f", "MY"), ("fo", "MZXQ"), ("foo", "MZXW6"), ("foob", "MZXW6YQ")] {
            assert_eq!(base32(plain.as_bytes()), text);
        }
        assert_eq!(base32(b"fooba"), "MZXW6YTB");
        assert_eq!(base32(b"foobar"), "MZXW6YTBOI");
    }
}
