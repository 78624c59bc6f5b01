//! What time does to keys: scheduled destructions that are due, rotations that were broken off, old epochs that nothing
//! lies under any more, and the root key that has to be confirmed.

use std::time::Duration;

use super::lockgate::Lockgate;
use crate::identity::RepositoryRecord;
use crate::repository::handle::{Repository, RepositoryError};
use crate::repository::resealing::EPOCH_GRACE_MS;
use crate::store::Store;
use crate::store::keyring::KeyringError;
use crate::store::keyring::entry::KeyState;

/// Looks after all keys now and then once an hour, for as long as it is polled.
pub(super) async fn look_hourly(host: Lockgate) {
    loop {
        let of_pass = host.clone();
        if let Err(error) = tokio::task::spawn_blocking(move || look_after_keys(&of_pass)).await {
            tracing::error!(error = &error as &dyn std::error::Error, "looking after the keys broke off");
        }
        tokio::time::sleep(Duration::from_secs(3600)).await;
    }
}

/// Has the root key confirmed three times within each lease, for as long as it is polled. Nothing to do where it is for good.
pub(super) async fn confirm_root(store: Store) {
    loop {
        let Some(lease) = store.keyring().root_lease() else {
            // It may be moved to a keeper that lends it.
            tokio::time::sleep(Duration::from_secs(60)).await;
            continue;
        };
        tokio::time::sleep(lease / 3).await;
        if let Err(error) = store.keyring().renew_root().await {
            tracing::error!(error = &error as &dyn std::error::Error, "the root key was not confirmed");
        }
    }
}

/// One look at every account and repository. What fails for one is logged, and the others are looked at. Blocks.
pub(super) fn look_after_keys(host: &Lockgate) {
    let directory = host.identity().directory();
    let keyring = host.store().keyring();
    for account in directory.accounts() {
        match keyring.destroy_account_if_due(&account.id) {
            Ok(false) => {}
            Ok(true) => tracing::warn!(account = %account.id, "destroyed the key of an account, as scheduled"),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, account = %account.id, "looking after a key failed");
            }
        }
        for record in directory.repositories(&account.id) {
            if let Err(error) = look_after(host, record) {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, repository.name = %record.name, "looking after a repository's keys failed");
            }
        }
    }
}

fn look_after(host: &Lockgate, record: &RepositoryRecord) -> Result<(), RepositoryError> {
    let of_keyring = |error: KeyringError| RepositoryError::Store(error.into());
    let keyring = host.store().keyring();
    let (account, id) = (&record.account, record.id.as_bytes());
    let above = keyring.account_state(account).map_err(of_keyring)?;
    if above.state == KeyState::Destroyed {
        return Ok(());
    }
    if keyring.destroy_repository_if_due(account, id).map_err(of_keyring)? {
        host.forget_repository(id);
        tracing::warn!(repository.name = %record.name, "destroyed the keys of a repository, as scheduled");
        return Ok(());
    }
    let entry = keyring.repository_state(account, id).map_err(of_keyring)?;
    let n_with_key = entry.epochs.iter().filter(|epoch| epoch.key.is_some()).count();
    if above.state != KeyState::Enabled || entry.state != KeyState::Enabled || n_with_key < 2 {
        return Ok(());
    }
    let repository = host.repository(record)?;
    // What a push that began long ago has brought under an old key begins the waiting anew.
    note_epochs(host.store(), record, &repository)?;
    let resealed = repository.reseal(&|| false)?;
    if resealed.n_packs > 0 {
        let (packs, size_bytes) = (resealed.n_packs, resealed.bytes);
        tracing::info!(repository.name = %record.name, packs, size_bytes, "sealed packs under a new key");
    }
    let destroyed = note_epochs(host.store(), record, &repository)?;
    if !destroyed.is_empty() {
        tracing::info!(repository.name = %record.name, epochs = ?destroyed, "destroyed keys that nothing is under");
    }
    Ok(())
}

/// Tells the keyring which epochs files lie under; gives those whose keys it destroyed. Blocks.
pub(super) fn note_epochs(
    store: &Store,
    record: &RepositoryRecord,
    repository: &Repository,
) -> Result<Vec<u32>, RepositoryError> {
    let in_use: Vec<u32> = repository.epochs_in_use()?.into_iter().collect();
    let noted = store.keyring().note_epochs_in_use(&record.account, record.id.as_bytes(), &in_use, EPOCH_GRACE_MS);
    noted.map_err(|error| RepositoryError::Store(error.into()))
}
