use std::collections::HashSet;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;

use super::entry::KeyState;
use super::rotation::StateChange;
use super::*;

const START_MS: i64 = 1_700_000_000_000;
const ONE: [u8; 16] = [5; 16];
const TWO: [u8; 16] = [6; 16];

fn account() -> AccountId {
    AccountId::parse("111111111111").unwrap()
}

async fn open_with(folder: &Path, providers: RootKeyProviders, faults: Faults) -> Result<Keyring, KeyringError> {
    Keyring::open(folder, providers, Clock::manual(START_MS), faults).await
}

async fn open(folder: &Path) -> Keyring {
    open_with(folder, RootKeyProviders::default(), Faults::none()).await.unwrap()
}

/// A keyring with an account and two repositories, and the secret of each entry.
async fn filled(folder: &Path, faults: Faults) -> Keyring {
    let keyring = open_with(folder, RootKeyProviders::default(), faults).await.unwrap();
    keyring.create_catalog_key().unwrap();
    keyring.create_account(&account()).unwrap();
    keyring.create_repository(&account(), &ONE).unwrap();
    keyring.create_repository(&account(), &TWO).unwrap();
    keyring
}

/// All secrets that a user of the keyring sees.
fn secrets(keyring: &Keyring) -> Vec<[u8; 32]> {
    let key_of = |repository| keyring.repository(&account(), repository).unwrap();
    let mut out = vec![*keyring.catalog_key().unwrap().dangerous_bytes()];
    for repository in [&ONE, &TWO] {
        let keys = key_of(repository);
        out.push(*keys.current().unwrap().1.dangerous_bytes());
        out.push(*keys.current_for_rows().unwrap().1.dangerous_bytes());
    }
    out
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn file_names(folder: &Path) -> HashSet<String> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

// J5
#[tokio::test]
async fn destroyed_keys_are_gone_and_lost_roots_are_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let keyring = filled(folder.path(), Faults::none()).await;
    let before = secrets(&keyring);
    let again = open(folder.path()).await;
    assert_eq!(secrets(&again), before);
    assert_eq!(again.repositories().unwrap().into_iter().collect::<HashSet<_>>(), [ONE, TWO].into());
    let held = again.repository(&account(), &ONE).unwrap();
    again.destroy_repository(&ONE).unwrap();
    assert!(held.check().is_err());
    assert!(matches!(keyring.repository(&account(), &ONE), Err(KeyringError::Missing { .. })));
    fs::remove_file(folder.path().join("root.key")).unwrap();
    let lost = open_with(folder.path(), RootKeyProviders::default(), Faults::none()).await;
    assert!(matches!(lost, Err(KeyringError::Missing { .. })));
}

// J1
#[tokio::test]
async fn swapped_entries_do_not_open() {
    let folder = tempfile::tempdir().unwrap();
    let keyring = filled(folder.path(), Faults::none()).await;
    let path = |id: &[u8; 16]| folder.path().join("keyring").join(repository_name(id));
    fs::copy(path(&ONE), path(&TWO)).unwrap();
    assert!(matches!(keyring.repository(&account(), &TWO), Err(KeyringError::Damaged { .. })));
}

/// Entries as the first version of the format had them.
#[tokio::test]
async fn entries_of_version_1_are_read_and_rotated() {
    let folder = tempfile::tempdir().unwrap();
    let keyring = filled(folder.path(), Faults::none()).await;
    let (account_key, data_key) = (Key::random(), Key::random());
    let root = keyring.roots.read().keys[0].clone();
    keyring.wrap(&root, &account_name(&account()), CATALOG_PLACE, account_key.dangerous_bytes()).unwrap();
    let mut plain = 1u32.to_be_bytes().to_vec();
    plain.extend_from_slice(data_key.dangerous_bytes());
    keyring.wrap(&account_key, &repository_name(&ONE), CATALOG_PLACE, &plain).unwrap();
    keyring.destroy_repository(&TWO).unwrap();

    let keys = keyring.repository(&account(), &ONE).unwrap();
    assert_eq!(keys.current().unwrap().1.dangerous_bytes(), data_key.dangerous_bytes());
    assert_eq!(keys.current_for_rows().unwrap().1.dangerous_bytes(), data_key.dangerous_bytes());
    keyring.rotate_account(&account(), &[ONE]).unwrap();
    assert_eq!(keyring.rotate_repository(&account(), &ONE).unwrap(), 2);
    let fresh = open(folder.path()).await.repository(&account(), &ONE).unwrap();
    assert_eq!(fresh.of_epoch(1).unwrap().dangerous_bytes(), data_key.dangerous_bytes());
    assert_ne!(fresh.current().unwrap().1.dangerous_bytes(), data_key.dangerous_bytes());
    // Rows of the log are under the first epoch's own key: it stays, however long no file is.
    assert!(keyring.note_epochs_in_use(&account(), &ONE, &[2], 0).unwrap().is_empty());
    assert!(keyring.note_epochs_in_use(&account(), &ONE, &[2], 0).unwrap().is_empty());
    assert!(fresh.for_rows_of(1).unwrap().is_some());
}

// J5
#[tokio::test]
async fn rotations_change_what_wraps_and_not_what_is_wrapped() {
    let folder = tempfile::tempdir().unwrap();
    let keyring = filled(folder.path(), Faults::none()).await;
    let before = secrets(&keyring);
    let root = fs::read(folder.path().join("root.key")).unwrap();
    let files = || -> Vec<Vec<u8>> {
        let names = ["catalog".to_string(), account_name(&account()), repository_name(&ONE), repository_name(&TWO)];
        names.iter().map(|name| fs::read(folder.path().join("keyring").join(name)).unwrap()).collect()
    };
    let at_first = files();
    keyring.rotate_root().await.unwrap();
    assert_ne!(fs::read(folder.path().join("root.key")).unwrap(), root);
    assert_eq!(secrets(&keyring), before);
    let after_root = files();
    assert!(after_root[0] != at_first[0] && after_root[1] != at_first[1]);
    assert_eq!(after_root[2..], at_first[2..]);

    assert_eq!(keyring.rotate_account(&account(), &[ONE, TWO]).unwrap(), 2);
    assert_eq!(secrets(&keyring), before);
    let after_account = files();
    assert!((1..4).all(|i| after_account[i] != after_root[i]));
    assert_eq!(secrets(&open(folder.path()).await), before);

    // The old wrapping keys open nothing any more: neither the old root, nor an old account entry put back.
    let stale = tempfile::tempdir().unwrap();
    copy_folder(folder.path(), stale.path());
    fs::write(stale.path().join("root.key"), root).unwrap();
    assert!(matches!(open(stale.path()).await.catalog_key(), Err(KeyringError::Damaged { .. })));
    let stale = tempfile::tempdir().unwrap();
    copy_folder(folder.path(), stale.path());
    fs::write(stale.path().join("keyring").join(account_name(&account())), &after_root[1]).unwrap();
    let stale = open(stale.path()).await;
    assert!(matches!(stale.repository(&account(), &ONE), Err(KeyringError::Damaged { .. })));
    // An account's rotation that would leave a repository behind keeps the old key.
    assert!(keyring.rotate_account(&account(), &[ONE, TWO]).is_ok());
    let path = folder.path().join("keyring").join(repository_name(&TWO));
    let good = fs::read(&path).unwrap();
    fs::write(&path, b"damaged").unwrap();
    assert!(matches!(keyring.rotate_account(&account(), &[ONE, TWO]), Err(KeyringError::Damaged { .. })));
    fs::write(&path, good).unwrap();
    assert_eq!(secrets(&open(folder.path()).await), before);
}

// J7
#[tokio::test]
async fn a_rotation_broken_off_anywhere_loses_nothing() {
    let points = [
        "key:next-root-written",
        "key:entry-rewrapped",
        "key:root-rewrapped",
        "key:old-root-destroyed",
        "key:account-epoch-added",
        "key:account-rewrapped",
    ];
    for point in points {
        let folder = tempfile::tempdir().unwrap();
        let snapshot = tempfile::tempdir().unwrap();
        let faults = Faults::waiting_at(point);
        let keyring = filled(folder.path(), faults.clone()).await;
        let before = secrets(&keyring);
        let (from, to) = (folder.path().to_owned(), snapshot.path().to_owned());
        faults.meanwhile(move || copy_folder(&from, &to));
        keyring.rotate_root().await.unwrap();
        keyring.rotate_account(&account(), &[ONE, TWO]).unwrap();
        assert!(snapshot.path().join("keyring").exists(), "{point} is never reached");

        // As it lay on the disk at that moment.
        let broken_off = open(snapshot.path()).await;
        assert_eq!(secrets(&broken_off), before, "{point}");
        let left: HashSet<String> = ["root.key", "keyring"].map(String::from).into();
        assert_eq!(file_names(snapshot.path()), left, "{point}");
        broken_off.rotate_account(&account(), &[ONE, TWO]).unwrap();
        assert_eq!(broken_off.account_state(&account()).unwrap().epochs.len(), 1, "{point}");
        broken_off.rotate_root().await.unwrap();
        assert_eq!(secrets(&open(snapshot.path()).await), before, "{point}");
    }
}

#[tokio::test]
async fn two_root_keys_are_one_too_many() {
    let folder = tempfile::tempdir().unwrap();
    filled(folder.path(), Faults::none()).await;
    fs::write(folder.path().join("root.test"), [1; 32]).unwrap();
    let service = Arc::new(Service::default());
    let both = open_with(folder.path(), RootKeyProviders::with(service), Faults::none()).await;
    assert!(matches!(both, Err(KeyringError::TwoRoots { .. })));
}

// J5
#[tokio::test]
async fn a_disabled_key_refuses_those_who_hold_it_already() {
    let folder = tempfile::tempdir().unwrap();
    let keyring = filled(folder.path(), Faults::none()).await;
    let before = secrets(&keyring);
    let (one, two) = (keyring.repository(&account(), &ONE).unwrap(), keyring.repository(&account(), &TWO).unwrap());
    let refused = |keys: &RepositoryKeys| keys.check().unwrap_err().to_string();

    keyring.change_repository_state(&account(), &ONE, StateChange::Disable).unwrap();
    assert_eq!(refused(&one), "the repository's key is disabled; an administrator can enable it");
    assert!(one.current().is_err() && one.current_for_rows().is_err() && one.of_epoch(1).is_err());
    two.check().unwrap();
    let again = open(folder.path()).await;
    assert!(matches!(again.repository(&account(), &ONE), Err(KeyringError::Refused(_))));
    assert!(matches!(again.rotate_repository(&account(), &ONE), Err(KeyringError::Refused(_))));

    keyring.change_account_state(&account(), StateChange::Disable).unwrap();
    assert_eq!(refused(&two), "the account's key is disabled; an administrator can enable it");
    assert!(matches!(keyring.create_repository(&account(), &[7; 16]), Err(KeyringError::Refused(_))));
    assert_eq!(keyring.repositories().unwrap().len(), 2);
    keyring.change_account_state(&account(), StateChange::Enable).unwrap();
    two.check().unwrap();
    assert!(refused(&one).starts_with("the repository's key"));
    keyring.change_repository_state(&account(), &ONE, StateChange::Enable).unwrap();
    one.check().unwrap();
    assert_eq!(secrets(&keyring), before);
}

// J5
#[tokio::test]
async fn destruction_waits_can_be_cancelled_and_is_final() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::manual(START_MS);
    let keyring =
        Keyring::open(folder.path(), RootKeyProviders::default(), clock.clone(), Faults::none()).await.unwrap();
    keyring.create_account(&account()).unwrap();
    keyring.create_repository(&account(), &ONE).unwrap();
    keyring.create_repository(&account(), &TWO).unwrap();
    let one = keyring.repository(&account(), &ONE).unwrap();
    let secret = *one.current().unwrap().1.dangerous_bytes();
    let doom = StateChange::Doom { at_ms: START_MS + 1000 };
    let change = |change| keyring.change_repository_state(&account(), &ONE, change);

    assert!(matches!(change(StateChange::Cancel), Err(KeyringError::State(_))));
    change(doom).unwrap();
    assert_eq!(
        one.check().unwrap_err().to_string(),
        "the repository's key will be destroyed at 2023-11-14 22:13 UTC; until then an administrator can cancel that"
    );
    assert!(!keyring.destroy_repository_if_due(&account(), &ONE).unwrap());
    assert!(matches!(change(StateChange::Enable), Err(KeyringError::State(_))));
    // Cancelled in time, it is intact.
    change(StateChange::Cancel).unwrap();
    clock.advance_ms(2000);
    assert!(!keyring.destroy_repository_if_due(&account(), &ONE).unwrap());
    change(StateChange::Enable).unwrap();
    assert_eq!(*one.current().unwrap().1.dangerous_bytes(), secret);

    change(StateChange::Doom { at_ms: START_MS + 3000 }).unwrap();
    clock.advance_ms(1000);
    let path = folder.path().join("keyring").join(repository_name(&ONE));
    let inode = fs::File::open(&path).unwrap();
    assert!(keyring.destroy_repository_if_due(&account(), &ONE).unwrap());
    assert!(!keyring.destroy_repository_if_due(&account(), &ONE).unwrap());
    // What the entry's file held is overwritten, not only unlinked.
    let mut left = Vec::new();
    std::io::Read::read_to_end(&mut &inode, &mut left).unwrap();
    assert!(!left.is_empty() && left.iter().all(|byte| *byte == 0));
    for change in [StateChange::Enable, StateChange::Cancel, StateChange::Disable, doom] {
        assert!(matches!(keyring.change_repository_state(&account(), &ONE, change), Err(KeyringError::State(_))));
    }
    assert_eq!(one.check().unwrap_err().reason, RefusalReason::Destroyed { at_ms: START_MS + 3000 });
    assert_eq!(keyring.repository_state(&account(), &ONE).unwrap().state, KeyState::Destroyed);

    // An account's key takes all of its repositories with it.
    let two = keyring.repository(&account(), &TWO).unwrap();
    keyring.change_account_state(&account(), StateChange::Doom { at_ms: START_MS + 4000 }).unwrap();
    assert!(two.check().is_err());
    clock.advance_ms(1000);
    assert!(keyring.destroy_account_if_due(&account()).unwrap());
    assert_eq!(two.check().unwrap_err().owner, KeyOwner::Account);
    let again = open(folder.path()).await;
    assert!(matches!(again.repository(&account(), &TWO), Err(KeyringError::Refused(refusal))
        if matches!(refusal.reason, RefusalReason::Destroyed { .. })));
    assert!(again.create_account(&account()).is_ok());
    assert!(matches!(again.create_repository(&account(), &[9; 16]), Err(KeyringError::Refused(_))));
}

#[tokio::test]
async fn an_epoch_is_destroyed_when_nothing_has_been_under_it_for_long_enough() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::manual(START_MS);
    let keyring =
        Keyring::open(folder.path(), RootKeyProviders::default(), clock.clone(), Faults::none()).await.unwrap();
    keyring.create_account(&account()).unwrap();
    let keys = keyring.create_repository(&account(), &ONE).unwrap();
    let rows = *keys.current_for_rows().unwrap().1.dangerous_bytes();
    assert_eq!(keyring.rotate_repository(&account(), &ONE).unwrap(), 2);
    // Whoever holds the keys seals under the new one at once.
    assert_eq!(keys.current().unwrap().0, 2);
    assert_eq!(keys.old_epochs().unwrap(), [1]);
    let note = |in_use: &[u32]| keyring.note_epochs_in_use(&account(), &ONE, in_use, 1000).unwrap();
    assert!(note(&[1, 2]).is_empty());
    assert!(note(&[2]).is_empty());
    clock.advance_ms(999);
    // A late one came under it: the waiting begins anew.
    assert!(note(&[1, 2]).is_empty());
    clock.advance_ms(5000);
    assert!(note(&[2]).is_empty());
    clock.advance_ms(1000);
    assert_eq!(note(&[2]), [1]);
    assert!(matches!(keys.of_epoch(1), Err(crate::store::file::FileError::NoSuchEpoch { epoch: 1 })));
    assert!(keys.old_epochs().unwrap().is_empty());
    // Rows of then are still read, and the newest epoch never goes.
    assert_eq!(*keys.for_rows_of(1).unwrap().unwrap().dangerous_bytes(), rows);
    assert!(note(&[]).is_empty());
    clock.advance_ms(1000);
    assert!(note(&[]).is_empty());
    assert_eq!(open(folder.path()).await.repository(&account(), &ONE).unwrap().current().unwrap().0, 2);
}

/// A service that keeps the root key by a mask, and may refuse it or be away.
#[derive(Default)]
struct Service {
    refuses: AtomicBool,
    is_away: AtomicBool,
}

const SERVICE: &str = "test";

impl RootKeyProvider for Service {
    fn name(&self) -> &'static str {
        SERVICE
    }

    fn file_name(&self) -> &'static str {
        "root.test"
    }

    fn keep<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Zeroizing<Vec<u8>>, RootKeyError>> {
        let kept = key.dangerous_bytes().iter().map(|byte| byte ^ 0x55).collect();
        Box::pin(async { Ok(Zeroizing::new(kept)) })
    }

    fn recover<'a>(&'a self, kept: &'a [u8]) -> BoxFuture<'a, Result<Key, RootKeyError>> {
        Box::pin(async {
            if self.refuses.load(Ordering::Relaxed) {
                return Err(RootKeyError::Refused { provider: SERVICE, why: "DisabledException".into() });
            }
            if self.is_away.load(Ordering::Relaxed) {
                return Err(RootKeyError::Unreachable { provider: SERVICE, source: "no route".into() });
            }
            let bytes: Vec<u8> = kept.iter().map(|byte| byte ^ 0x55).collect();
            bytes.as_slice().try_into().map(Key::from_bytes).map_err(|_| RootKeyError::Damaged { file: "root.test" })
        })
    }

    fn lease(&self) -> Option<Duration> {
        Some(Duration::from_secs(60))
    }
}

// J5
#[tokio::test]
async fn a_root_key_that_is_not_given_again_ends_all_access() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::manual(START_MS);
    let service = Arc::new(Service::default());
    // Moved from a file to the service.
    let before = secrets(&filled(folder.path(), Faults::none()).await);
    let providers = RootKeyProviders::with(service.clone());
    let keyring = Keyring::open(folder.path(), providers.clone(), clock.clone(), Faults::none()).await.unwrap();
    assert_eq!(keyring.root_providers(), ("file", SERVICE));
    assert_eq!(keyring.root_lease(), None);
    keyring.rotate_root().await.unwrap();
    assert_eq!(keyring.root_providers(), (SERVICE, SERVICE));
    assert_eq!(file_names(folder.path()), ["root.test", "keyring"].map(String::from).into());
    assert_eq!(secrets(&keyring), before);
    let keys = keyring.repository(&account(), &ONE).unwrap();

    // Away: it goes on until the lease is over, and again when the service is back.
    service.is_away.store(true, Ordering::Relaxed);
    assert!(keyring.renew_root().await.is_err());
    clock.advance_ms(59_999);
    keys.check().unwrap();
    clock.advance_ms(1);
    let refusal = keys.check().unwrap_err();
    assert_eq!(refusal.owner, KeyOwner::Root);
    assert!(matches!(&refusal.reason, RefusalReason::NotConfirmed { trouble } if trouble.contains("no route")));
    assert!(keyring.repository(&account(), &ONE).is_err() && keyring.check_root().is_err());
    assert!(Keyring::open(folder.path(), providers.clone(), clock.clone(), Faults::none()).await.is_err());
    service.is_away.store(false, Ordering::Relaxed);
    keyring.renew_root().await.unwrap();
    keys.check().unwrap();
    // Refused: at once.
    service.refuses.store(true, Ordering::Relaxed);
    assert!(keyring.renew_root().await.is_err());
    assert!(keys.check().is_err());
    service.refuses.store(false, Ordering::Relaxed);
    keyring.renew_root().await.unwrap();
    // Nothing was changed by any of it, and the way back to a file is the same.
    assert_eq!(secrets(&keyring), before);
    drop(keyring);
    let back = open_with(folder.path(), RootKeyProviders::file_or(service), Faults::none()).await.unwrap();
    back.rotate_root().await.unwrap();
    assert_eq!(secrets(&open(folder.path()).await), before);
}
