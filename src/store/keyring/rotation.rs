//! How keys change while they are in use: rotation, disabling, destruction.
//!
//! A rotation goes by steps, and after each of them every entry opens: first the new key is kept beside the old one, then
//! what is under the old one is wrapped anew, entry by entry, then the old one goes. One that was broken off is gone
//! through again from its first step that is missing; doing a step twice does no harm.

use std::io;
use std::path::Path;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::entry::{Epoch, KeyEntry, KeyState};
use super::live::KeyOwner;
use super::root::{RootKeyError, RootKeyProvider};
use super::{
    CATALOG, CATALOG_PLACE, Keyring, KeyringError, RootKeyProviders, Roots, refuse_unless_usable, root_failed, shelf,
};
use crate::names::AccountId;
use crate::store::seal::Key;

/// The root keys that lie in the keys folder, and whether a rotation was broken off; none if there is no root key.
pub(super) async fn find_roots(
    keys: &Path,
    providers: &RootKeyProviders,
) -> Result<Option<(Roots, bool)>, KeyringError> {
    let current = only(keys, providers, "")?;
    let next = only(keys, providers, NEXT)?;
    Ok(match (current, next) {
        (None, None) => None,
        (Some((provider, kept)), None) => {
            let key = provider.recover(&kept).await?;
            Some((Roots { keys: vec![key], provider, kept }, false))
        }
        // Between the old one's end and the new one's name.
        (None, Some((provider, kept))) => {
            let key = provider.recover(&kept).await?;
            promote(keys, &*provider).map_err(root_failed)?;
            Some((Roots { keys: vec![key], provider, kept }, false))
        }
        (Some((old_provider, old_kept)), Some((provider, kept))) => {
            let mut roots = vec![provider.recover(&kept).await?];
            match old_provider.recover(&old_kept).await {
                Ok(old) => roots.push(old),
                // It was being overwritten: nothing is under it any more, or going on says what is.
                Err(RootKeyError::Damaged { .. }) => {}
                Err(error) => return Err(error.into()),
            }
            Some((Roots { keys: roots, provider, kept }, true))
        }
    })
}

/// Makes the first root key.
pub(super) async fn make_root(keys: &Path, provider: &Arc<dyn RootKeyProvider>) -> Result<Roots, KeyringError> {
    let (key, kept) = kept_root(&**provider).await?;
    shelf::write_private(&keys.join(provider.file_name()), &kept).map_err(root_failed)?;
    Ok(Roots { keys: vec![key], provider: provider.clone(), kept })
}

/// A fresh root key that its provider keeps, and has given back once: before anything is under it.
async fn kept_root(provider: &dyn RootKeyProvider) -> Result<(Key, Zeroizing<Vec<u8>>), KeyringError> {
    let key = Key::random();
    let kept = provider.keep(&key).await?;
    let back = provider.recover(&kept).await?;
    if back.dangerous_bytes() != key.dangerous_bytes() {
        return Err(RootKeyError::Damaged { file: provider.file_name() }.into());
    }
    Ok((key, kept))
}

/// What stands behind the name of a root key's file until everything is under it.
const NEXT: &str = ".next";

type KeptRoot = (Arc<dyn RootKeyProvider>, Zeroizing<Vec<u8>>);

fn only(keys: &Path, providers: &RootKeyProviders, suffix: &str) -> Result<Option<KeptRoot>, KeyringError> {
    let mut found: Option<KeptRoot> = None;
    for provider in &providers.0 {
        let path = keys.join(format!("{}{suffix}", provider.file_name()));
        let Some(kept) = shelf::read_short(&path).map_err(root_failed)? else { continue };
        match &found {
            Some((other, _)) if other.file_name() != provider.file_name() => {
                return Err(KeyringError::TwoRoots { one: other.file_name(), other: provider.file_name() });
            }
            Some(_) => {}
            None => found = Some((provider.clone(), Zeroizing::new(kept))),
        }
    }
    Ok(found)
}

fn promote(keys: &Path, provider: &dyn RootKeyProvider) -> io::Result<()> {
    let name = provider.file_name();
    std::fs::rename(keys.join(format!("{name}{NEXT}")), keys.join(name))?;
    shelf::sync_folder(keys)
}

impl Keyring {
    /// Makes a new root key, kept by the configured provider, and wraps the keys of the catalog and of all accounts anew. The
    /// old one is destroyed.
    pub async fn rotate_root(&self) -> Result<(), KeyringError> {
        let provider = self.providers.configured().clone();
        let (key, kept) = kept_root(&*provider).await?;
        let _one_at_a_time = self.changing.lock();
        if self.roots.read().keys.len() > 1 {
            self.finish_root_rotation()?;
        }
        if let Some(keys) = &self.keys_dir {
            let next = keys.join(format!("{}{NEXT}", provider.file_name()));
            shelf::replace(&next, &kept).map_err(root_failed)?;
        }
        self.faults.reach("key:next-root-written");
        {
            let mut roots = self.roots.write();
            roots.keys.insert(0, key);
            roots.provider = provider.clone();
            roots.kept = kept;
        }
        self.finish_root_rotation()?;
        self.lease.extend(provider.lease());
        Ok(())
    }

    /// Wraps anew what is under the root key, and takes the old one away.
    pub(super) fn finish_root_rotation(&self) -> Result<(), KeyringError> {
        let names = self.shelf.names().map_err(|source| KeyringError::Io { name: "keyring".into(), source })?;
        for name in names {
            let roots = self.roots.write();
            if name == CATALOG {
                let bytes = self.unwrap(&roots.keys, CATALOG)?;
                self.wrap(&roots.keys[0], CATALOG, CATALOG_PLACE, &bytes)?;
            } else if let Some(account) = name.strip_prefix("account-").and_then(|id| AccountId::parse(id).ok()) {
                let entry = self.account_entry(&roots, &account)?;
                self.put_account(&roots, &account, &entry)?;
            }
            self.faults.reach("key:entry-rewrapped");
        }
        self.faults.reach("key:root-rewrapped");
        let mut roots = self.roots.write();
        if let Some(keys) = &self.keys_dir {
            for provider in &self.providers.0 {
                shelf::shred(&keys.join(provider.file_name())).map_err(root_failed)?;
            }
            self.faults.reach("key:old-root-destroyed");
            promote(keys, &*roots.provider).map_err(root_failed)?;
        }
        roots.keys.truncate(1);
        Ok(())
    }

    /// Makes a new key of an account and wraps the keys of its repositories anew; the old one is destroyed. `repositories` are
    /// those that the account has: if one of them does not open, the old key stays. Gives the new epoch.
    pub fn rotate_account(&self, account: &AccountId, repositories: &[[u8; 16]]) -> Result<u32, KeyringError> {
        let _one_at_a_time = self.changing.lock();
        let number = {
            let roots = self.roots.write();
            let mut entry = self.account_entry(&roots, account)?;
            refuse_unless_usable(KeyOwner::Account, &entry)?;
            let number = next_number(&entry);
            entry.epochs.push(Epoch::of_account(number, self.clock.now_ms()));
            self.put_account(&roots, account, &entry)?;
            number
        };
        self.faults.reach("key:account-epoch-added");
        for repository in self.repositories()? {
            let roots = self.roots.write();
            let above = self.account_entry(&roots, account)?;
            match self.repository_entry(&above, &repository) {
                Ok(entry) => self.put_repository(&above, &repository, &entry)?,
                // Another account's.
                Err(KeyringError::Damaged { .. }) if !repositories.contains(&repository) => {}
                // Deleted meanwhile.
                Err(KeyringError::Missing { .. }) => {}
                Err(error) => return Err(error),
            }
            self.faults.reach("key:entry-rewrapped");
        }
        self.faults.reach("key:account-rewrapped");
        let roots = self.roots.write();
        let mut entry = self.account_entry(&roots, account)?;
        let n_old = entry.epochs.len().saturating_sub(1);
        entry.epochs.drain(..n_old);
        self.put_account(&roots, account, &entry)?;
        Ok(number)
    }

    /// Begins a new epoch of a repository's keys: what is written from now on is sealed under it. Gives its number.
    pub fn rotate_repository(&self, account: &AccountId, repository: &[u8; 16]) -> Result<u32, KeyringError> {
        self.change_repository(account, repository, |entry, now_ms| {
            refuse_unless_usable(KeyOwner::Repository, entry)?;
            let number = next_number(entry);
            entry.epochs.push(Epoch::of_repository(number, now_ms));
            Ok(number)
        })
    }

    /// Notes which epochs of a repository's keys still have files that live, and since when the others have none. Destroys the keys for
    /// files of those that have had none for `grace_ms`, and gives their numbers.
    pub fn note_epochs_in_use(
        &self,
        account: &AccountId,
        repository: &[u8; 16],
        in_use: &[u32],
        grace_ms: i64,
    ) -> Result<Vec<u32>, KeyringError> {
        self.change_repository(account, repository, |entry, now_ms| {
            let mut destroyed = Vec::new();
            let n_old = entry.epochs.len().saturating_sub(1);
            for epoch in &mut entry.epochs[..n_old] {
                if in_use.contains(&epoch.number) {
                    epoch.unused_since_ms = None;
                    continue;
                }
                let since_ms = *epoch.unused_since_ms.get_or_insert(now_ms);
                // One whose key seals rows of the log, too, stays for these.
                if epoch.key.is_some() && epoch.row_key.is_some() && now_ms.saturating_sub(since_ms) >= grace_ms {
                    epoch.key = None;
                    destroyed.push(epoch.number);
                }
            }
            Ok(destroyed)
        })
    }

    /// Allows or forbids the use of an account's key, or has it destroyed later; or takes that back.
    pub fn change_account_state(&self, account: &AccountId, change: StateChange) -> Result<KeyEntry, KeyringError> {
        let roots = self.roots.write();
        let mut entry = self.account_entry(&roots, account)?;
        change.apply(&mut entry, self.clock.now_ms())?;
        self.put_account(&roots, account, &entry)?;
        self.tell_account(&entry, account)?;
        Ok(entry)
    }

    /// [`Keyring::change_account_state`] for a repository's keys.
    pub fn change_repository_state(
        &self,
        account: &AccountId,
        repository: &[u8; 16],
        change: StateChange,
    ) -> Result<KeyEntry, KeyringError> {
        self.change_repository(account, repository, |entry, now_ms| {
            change.apply(entry, now_ms)?;
            Ok(entry.clone())
        })
    }

    /// Destroys an account's key if its time has come; says whether it did.
    pub fn destroy_account_if_due(&self, account: &AccountId) -> Result<bool, KeyringError> {
        let now_ms = self.clock.now_ms();
        let roots = self.roots.write();
        let entry = self.account_entry(&roots, account)?;
        if !is_due(&entry, now_ms) {
            return Ok(false);
        }
        let destroyed = KeyEntry { state: KeyState::Destroyed, since_ms: now_ms, epochs: Vec::new() };
        self.put_account(&roots, account, &destroyed)?;
        self.tell_account(&destroyed, account)?;
        Ok(true)
    }

    /// Destroys a repository's keys if their time has come; says whether it did.
    pub fn destroy_repository_if_due(&self, account: &AccountId, repository: &[u8; 16]) -> Result<bool, KeyringError> {
        let now_ms = self.clock.now_ms();
        let roots = self.roots.write();
        let above = self.account_entry(&roots, account)?;
        if !is_due(&self.repository_entry(&above, repository)?, now_ms) {
            return Ok(false);
        }
        let destroyed = KeyEntry { state: KeyState::Destroyed, since_ms: now_ms, epochs: Vec::new() };
        self.put_repository(&above, repository, &destroyed)?;
        self.tell(repository, &above, &destroyed);
        Ok(true)
    }

    fn change_repository<T>(
        &self,
        account: &AccountId,
        repository: &[u8; 16],
        change: impl FnOnce(&mut KeyEntry, i64) -> Result<T, KeyringError>,
    ) -> Result<T, KeyringError> {
        let roots = self.roots.write();
        let above = self.account_entry(&roots, account)?;
        refuse_unless_usable(KeyOwner::Account, &above)?;
        let mut entry = self.repository_entry(&above, repository)?;
        let before = entry.encode();
        let answer = change(&mut entry, self.clock.now_ms())?;
        if *entry.encode() != *before {
            self.put_repository(&above, repository, &entry)?;
            self.tell(repository, &above, &entry);
        }
        Ok(answer)
    }

    fn tell_account(&self, above: &KeyEntry, account: &AccountId) -> Result<(), KeyringError> {
        let held: Vec<[u8; 16]> = {
            let all = self.live.lock();
            all.iter().filter(|(_, (owner, _))| owner == account).map(|(repository, _)| *repository).collect()
        };
        for repository in held {
            match self.repository_entry(above, &repository) {
                Ok(entry) => self.tell(&repository, above, &entry),
                // The account's key is gone, and so is what would open it: those who hold it hear of the account.
                Err(KeyringError::Damaged { .. } | KeyringError::Missing { .. }) => {
                    self.tell(&repository, above, above)
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// What becomes of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StateChange {
    /// A disabled key may be used again.
    Enable,
    /// It may not be used until it is enabled.
    Disable,
    /// It may not be used, and is destroyed at this time, in milliseconds since the Unix epoch.
    Doom {
        /// When.
        at_ms: i64,
    },
    /// It is not destroyed after all; it is disabled then, and an administrator who has looked enables it.
    Cancel,
}

impl StateChange {
    fn apply(self, entry: &mut KeyEntry, now_ms: i64) -> Result<(), KeyringError> {
        let refused = |why: &str| Err(KeyringError::State(why.into()));
        let to = match (self, entry.state) {
            (_, KeyState::Destroyed) => return refused("the key was destroyed; nothing brings it back"),
            (StateChange::Enable, KeyState::Doomed { .. }) => {
                return refused("the key is about to be destroyed; cancel that first");
            }
            (StateChange::Disable, KeyState::Doomed { .. }) => {
                return refused("the key cannot be used already: it is about to be destroyed");
            }
            (StateChange::Doom { .. }, KeyState::Doomed { .. }) => {
                return refused("the key is about to be destroyed already; cancel that to choose another time");
            }
            (StateChange::Cancel, KeyState::Enabled | KeyState::Disabled) => {
                return refused("the key is not about to be destroyed");
            }
            (StateChange::Enable, _) => KeyState::Enabled,
            (StateChange::Disable | StateChange::Cancel, _) => KeyState::Disabled,
            (StateChange::Doom { at_ms }, _) => KeyState::Doomed { at_ms },
        };
        if to != entry.state {
            entry.state = to;
            entry.since_ms = now_ms;
        }
        Ok(())
    }
}

fn is_due(entry: &KeyEntry, now_ms: i64) -> bool {
    matches!(entry.state, KeyState::Doomed { at_ms } if at_ms <= now_ms)
}

fn next_number(entry: &KeyEntry) -> u32 {
    entry.newest().map_or(0, |epoch| epoch.number) + 1
}
