//! The directory through its public face, on a store in memory.

use std::net::IpAddr;

use russh::keys::ssh_key::public::{Ed25519PublicKey, KeyData};
use russh::keys::ssh_key::{Mpint, public::RsaPublicKey};
use russh::keys::{PublicKey, ssh_key};
use secrecy::ExposeSecret;

use super::*;
use crate::clock::Clock;
use crate::names::{AccountId, PrincipalName, RefName, RepositoryName};
use crate::store::catalog::Record;
use crate::store::seal::random;

mod logins;
mod ssh_certificates;

const NOW_MS: i64 = 1_700_000_000_000;

struct Setting {
    identity: Identity,
    store: Store,
    clock: Clock,
    account: AccountId,
    admin: AdminCredentials,
}

async fn setting() -> Setting {
    let clock = Clock::manual(NOW_MS);
    let store = Store::in_memory(clock.clone()).await.unwrap();
    let identity = Identity::open(store.clone(), "us-east-1".into()).await.unwrap();
    let account = AccountId::parse("111111111111").unwrap();
    let admin = identity.first_start(&account).await.unwrap().unwrap();
    Setting { identity, store, clock, account, admin }
}

impl Setting {
    async fn user(&self, text: &str) -> User {
        self.identity.create_user(&self.account, &name(text), &[]).await.unwrap()
    }

    /// The refusal's text.
    async fn user_refused(&self, text: &str) -> String {
        self.identity.create_user(&self.account, &name(text), &[]).await.unwrap_err().to_string()
    }

    fn login(&self, user: &str, password: &str, source: &str) -> Result<Principal, LoginFailure> {
        self.identity.authenticate_git(user, password, source.parse::<IpAddr>().unwrap())
    }

    fn admin_login(&self) -> Result<Principal, LoginFailure> {
        self.login(&self.admin.git_user_name, self.admin.git_password.expose_secret(), "192.0.2.1")
    }

    /// What another process that reads the same catalog sees.
    async fn reopened(&self) -> Identity {
        Identity::open(self.store.clone(), "us-east-1".into()).await.unwrap()
    }
}

fn name(text: &str) -> PrincipalName {
    PrincipalName::parse(text).unwrap()
}

fn repository(text: &str) -> RepositoryName {
    RepositoryName::parse(text).unwrap()
}

fn main_branch() -> RefName {
    RefName::branch("main").unwrap()
}

/// A public key of random bytes: nobody has its private key, which no check here asks for.
fn some_key() -> PublicKey {
    PublicKey::from(KeyData::Ed25519(Ed25519PublicKey(random())))
}

fn rsa_key(n_bits: usize) -> String {
    let mut modulus = vec![0xff; n_bits.div_ceil(8)];
    modulus[0] >>= modulus.len() * 8 - n_bits;
    let e = Mpint::from_positive_bytes(&[1, 0, 1]);
    let n = Mpint::from_positive_bytes(&modulus);
    PublicKey::from(KeyData::Rsa(RsaPublicKey::new(e, n).unwrap())).to_openssh().unwrap()
}

#[tokio::test]
async fn the_first_start_happens_once() {
    let host = setting().await;
    let directory = host.identity.directory();
    let groups: Vec<_> = directory.groups(&host.account).map(|group| group.name.to_string()).collect();
    assert_eq!(groups, ["administrators", "developers", "senior-developers"]);
    assert_eq!(directory.groups_of(&host.account, &name("admin")), [name("administrators")]);
    assert!(host.identity.first_start(&host.account).await.unwrap().is_none());

    assert_eq!(host.admin.git_user_name, "admin-at-111111111111");
    let principal = host.admin_login().unwrap();
    assert_eq!(principal.arn(), "arn:aws:iam::111111111111:user/admin");
    assert_eq!(principal.entity_id(), "111111111111/admin");
    assert_eq!(principal.account(), &host.account);

    let key = host.identity.access_key(&host.admin.access_key_id).unwrap();
    assert_eq!(key.secret.expose_secret(), host.admin.secret_access_key.expose_secret());
    assert_eq!(key.principal.entity_id(), principal.entity_id());
    assert_eq!(key.secret.expose_secret().len(), 40);
    assert!(host.admin.access_key_id.starts_with("AKIA") && host.admin.access_key_id.len() == 20);
    assert!(host.identity.access_key("AKIAAAAAAAAAAAAAAAAA").is_none());
}

#[tokio::test]
async fn many_users_are_made_together_or_none_is() {
    let host = setting().await;
    let (identity, account) = (&host.identity, &host.account);
    let names: Vec<_> = (0..500).map(|n| name(&format!("user{n}"))).collect();
    identity.create_users(account, &names).await.unwrap();
    let count = || host.identity.directory().users(account).count();
    assert_eq!(count(), 501);
    // One that is there already, in another case; one that is named twice.
    assert!(identity.create_users(account, &[name("new"), name("USER7")]).await.is_err());
    assert!(identity.create_users(account, &[name("twice"), name("twice")]).await.is_err());
    assert_eq!(count(), 501);
    identity.create_user(account, &name("new"), &[]).await.unwrap();
}

#[tokio::test]
async fn everything_is_there_after_a_restart() {
    let host = setting().await;
    let (identity, account) = (&host.identity, &host.account);
    identity.create_user(account, &name("alice"), &[name("Developers")]).await.unwrap();
    let key = some_key();
    identity.add_ssh_key(account, &name("alice"), &key.to_openssh().unwrap()).await.unwrap();
    identity.set_user_addresses(account, &name("alice"), vec!["alice@example.com".into()]).await.unwrap();
    identity.set_user_tags(account, &name("alice"), [("team".into(), "shop".into())].into()).await.unwrap();
    identity.create_role(account, &name("deploy")).await.unwrap();
    let branch = RefName::parse("refs/heads/ü\u{1f980}".as_bytes()).unwrap();
    let made = identity.create_repository(account, &repository("Shop"), &branch).await.unwrap();
    identity.create_group(account, &name("gone")).await.unwrap();
    identity.delete_group(account, &name("gone")).await.unwrap();

    let again = host.reopened().await;
    let (before, after) = (identity.directory(), again.directory());
    assert_eq!(before.counter(), after.counter());
    assert_eq!(before.user(account, &name("alice")), after.user(account, &name("alice")));
    assert_eq!(after.user(account, &name("alice")).unwrap().groups, [name("developers")]);
    assert_eq!(after.role(account, &name("deploy")), before.role(account, &name("deploy")));
    assert_eq!(after.repository(account, &repository("shop")), Some(&made));
    assert_eq!(made.arn("eu-west-1"), "arn:aws:codecommit:eu-west-1:111111111111:Shop");
    assert!(after.is_tombstone(NameKind::Group, account, "GONE"));
    assert_eq!(again.authenticate_ssh_key(&key), identity.authenticate_ssh_key(&key));
    assert!(again.authenticate_ssh_key(&key).is_some());
    assert_eq!(
        again.list_credentials(account, &name("admin")).unwrap(),
        identity.list_credentials(account, &name("admin")).unwrap()
    );
}

#[tokio::test]
async fn another_nodes_change_is_seen_at_refresh_and_planned_around() {
    let host = setting().await;
    let other = host.reopened().await;
    host.user("alice").await;
    assert!(other.directory().user(&host.account, &name("alice")).is_none());
    other.refresh().await.unwrap();
    assert!(other.directory().user(&host.account, &name("alice")).is_some());
    // A view that is behind does not lead to a wrong change: it is refreshed first.
    host.user("bob").await;
    let refused = other.create_user(&host.account, &name("BOB"), &[]).await.unwrap_err();
    assert!(matches!(refused, IdentityError::Exists { .. }), "{refused}");
}

#[tokio::test]
async fn many_changes_at_once_from_two_nodes_all_arrive() {
    let host = setting().await;
    let other = host.reopened().await;
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..8 {
        let identity = if n % 2 == 0 { host.identity.clone() } else { other.clone() };
        let account = host.account.clone();
        // Names in pairs: of each pair one is made.
        tasks.spawn(async move { identity.create_user(&account, &name(&format!("user{}", n / 2)), &[]).await.is_ok() });
    }
    let n_made = tasks.join_all().await.into_iter().filter(|made| *made).count();
    assert_eq!(n_made, 4);
    host.identity.refresh().await.unwrap();
    assert_eq!(host.identity.directory().users(&host.account).count(), 5);
}

// D7: who is made under a name that was used inherits nothing, because there is no such making.
#[tokio::test]
async fn names_of_principals_are_never_given_again() {
    let host = setting().await;
    let (identity, account) = (&host.identity, &host.account);
    host.user("alice").await;
    assert_eq!(host.user_refused("Alice").await, "the user `alice` already exists in account `111111111111`");
    identity.delete_user(account, &name("ALICE")).await.unwrap();
    let directory = identity.directory();
    assert!(directory.user(account, &name("alice")).is_none());
    assert!(directory.is_tombstone(NameKind::User, account, "Alice"));
    let text = host.user_refused("aLICE").await;
    assert!(text.contains("`aLICE` was used before"), "{text}");

    // Kinds have names of their own, accounts too.
    identity.create_group(account, &name("alice")).await.unwrap();
    identity.create_role(account, &name("alice")).await.unwrap();
    let second = identity.create_account("second", None).await.unwrap();
    identity.create_user(&second.id, &name("alice"), &[]).await.unwrap();

    identity.delete_group(account, &name("alice")).await.unwrap();
    identity.delete_role(account, &name("alice")).await.unwrap();
    let group = identity.create_group(account, &name("alice")).await.unwrap_err();
    let role = identity.create_role(account, &name("alice")).await.unwrap_err();
    assert!(matches!(group, IdentityError::Tombstone { kind: NameKind::Group, .. }));
    assert!(matches!(role, IdentityError::Tombstone { kind: NameKind::Role, .. }));
    // It holds after a restart, too.
    let refused = host.reopened().await.create_user(account, &name("alice"), &[]).await.unwrap_err();
    assert!(matches!(refused, IdentityError::Tombstone { .. }));
}

// D7 D8 D9: another name is the same principal, and the old one is nobody's ever again.
#[tokio::test]
async fn a_renamed_principal_stays_itself_and_leaves_its_name_behind() {
    let host = setting().await;
    let (identity, account) = (&host.identity, &host.account);
    let group = identity.create_group(account, &name("builders")).await.unwrap();
    let user = identity.create_user(account, &name("alice"), &[name("builders"), name("developers")]).await.unwrap();
    let key = identity.create_access_key(account, &name("alice")).await.unwrap();
    let before = identity.access_key(&key.id).unwrap().principal;
    assert!(identity.is_active(&before));

    for (old, new, why) in [
        ("alice", "admin", "already exists"),
        ("alice", "ADMIN", "already exists"),
        ("nobody", "somebody", "there is no user `nobody`"),
    ] {
        let refused = identity.rename_user(account, &name(old), &name(new)).await.unwrap_err().to_string();
        assert!(refused.contains(why), "{old} {new}: {refused}");
    }
    // In other letters nothing is freed, and a principal of before is asked about by its new name only.
    identity.rename_user(account, &name("alice"), &name("Alice")).await.unwrap();
    assert!(!identity.is_active(&before) && !identity.directory().is_tombstone(NameKind::User, account, "alice"));
    let renamed = identity.rename_user(account, &name("ALICE"), &name("eve")).await.unwrap();
    assert_eq!(renamed, User { name: name("eve"), ..user.clone() });
    identity.rename_group(account, &name("builders"), &name("masons")).await.unwrap();

    for identity in [identity.clone(), host.reopened().await] {
        let directory = identity.directory();
        let found = directory.user(account, &name("eve")).unwrap();
        assert_eq!((found.id, directory.user(account, &name("alice"))), (user.id, None));
        assert_eq!(found.groups, [name("developers"), name("masons")]);
        assert_eq!(directory.group(account, &name("masons")).unwrap().id, group.id);
        assert!(directory.group(account, &name("builders")).is_none());
        let after = identity.access_key(&key.id).unwrap().principal;
        assert_eq!(after.entity_id(), "111111111111/eve");
        assert!(identity.is_active(&after) && !identity.is_active(&before));
        let user = identity.create_user(account, &name("Alice"), &[]).await.unwrap_err();
        let back = identity.rename_user(account, &name("eve"), &name("alice")).await.unwrap_err();
        let group = identity.create_group(account, &name("builders")).await.unwrap_err();
        let other = identity.rename_group(account, &name("developers"), &name("Builders")).await.unwrap_err();
        for refused in [user, back, group, other] {
            assert!(matches!(refused, IdentityError::Tombstone { .. }), "{refused}");
        }
    }
}

// D7 D8: a deleted principal has no credential, no group and no live connection left.
#[tokio::test]
async fn deletion_takes_everything_along() {
    let host = setting().await;
    let (identity, account) = (&host.identity, &host.account);
    let user = identity.create_user(account, &name("alice"), &[name("developers")]).await.unwrap();
    let key = some_key();
    identity.add_ssh_key(account, &name("alice"), &key.to_openssh().unwrap()).await.unwrap();
    let git = identity.create_git_credential(account, &name("alice")).await.unwrap();
    let access_key = identity.create_access_key(account, &name("alice")).await.unwrap();
    let principal = identity.authenticate_ssh_key(&key).unwrap();
    assert!(identity.is_active(&principal));

    identity.delete_user(account, &name("alice")).await.unwrap();
    assert!(!identity.is_active(&principal));
    assert!(identity.authenticate_ssh_key(&key).is_none());
    assert!(identity.access_key(&access_key.id).is_none());
    assert_eq!(host.login(&git.user_name, git.password.expose_secret(), "192.0.2.1"), Err(LoginFailure::Wrong));
    assert!(identity.list_credentials(account, &name("alice")).is_err());
    assert_eq!(identity.directory().stored_credentials(user.id).len(), 0);
    assert_eq!(identity.directory().members(account, &name("developers")).count(), 0);
}

#[tokio::test]
async fn groups_are_joined_and_left() {
    let host = setting().await;
    let (identity, account) = (&host.identity, &host.account);
    host.user("alice").await;
    let (alice, group) = (name("alice"), name("senior-developers"));
    identity.add_to_group(account, &name("Senior-Developers"), &alice).await.unwrap();
    identity.add_to_group(account, &group, &alice).await.unwrap();
    identity.add_to_group(account, &name("developers"), &alice).await.unwrap();
    assert_eq!(identity.directory().groups_of(account, &alice), [name("developers"), group.clone()]);
    assert_eq!(identity.directory().members(account, &group).count(), 1);
    identity.remove_from_group(account, &group, &alice).await.unwrap();
    identity.delete_group(account, &name("developers")).await.unwrap();
    assert!(identity.directory().groups_of(account, &alice).is_empty());

    let unknown = identity.add_to_group(account, &name("nobody"), &alice).await.unwrap_err();
    assert_eq!(unknown.to_string(), "there is no group `nobody` in account `111111111111`");
    let unknown = identity.create_user(account, &name("bob"), &[name("nobody")]).await.unwrap_err();
    assert!(matches!(unknown, IdentityError::Unknown { kind: NameKind::Group, .. }));
    assert!(identity.directory().user(account, &name("bob")).is_none());
    let elsewhere = AccountId::parse("222222222222").unwrap();
    let unknown = identity.create_group(&elsewhere, &name("x")).await.unwrap_err();
    assert_eq!(unknown.to_string(), "there is no account `222222222222`");
}

#[tokio::test]
async fn accounts_have_numbers_and_names_of_their_own() {
    let host = setting().await;
    let id = |text: &str| Some(AccountId::parse(text).unwrap());
    let identity = &host.identity;
    let second = identity.create_account("second", id("222222222222")).await.unwrap();
    assert_eq!(identity.directory().account(&second.id), Some(&second));
    for (name, number) in [
        ("third", id("222222222222")),
        ("Second", None),
        ("second", id("333333333333")),
        ("services", id("000000000000")),
    ] {
        let refused = identity.create_account(name, number).await.unwrap_err();
        assert!(matches!(refused, IdentityError::AccountTaken(_)), "{refused}");
    }
    assert!(matches!(identity.create_account("a b", None).await.unwrap_err(), IdentityError::Name(_)));
    let third = identity.create_account("third", None).await.unwrap();
    assert_eq!(third.id.as_str().len(), 12);
    assert_eq!(identity.directory().accounts().count(), 3);
    // Its repositories have keys.
    let made = identity.create_repository(&third.id, &repository("shop"), &main_branch()).await.unwrap();
    assert!(host.store.repository_keys(&third.id, made.id.as_bytes()).is_ok());
}

// C2
#[tokio::test]
async fn a_key_belongs_to_one_user() {
    let host = setting().await;
    let (identity, account) = (&host.identity, &host.account);
    host.user("alice").await;
    host.user("bob").await;
    let key = some_key();
    let text = format!("  {} alice@laptop \x1b[31m\n", key.to_openssh().unwrap());
    let credential = identity.add_ssh_key(account, &name("alice"), &text).await.unwrap();
    assert!(credential.id.starts_with("APKA") && credential.id.len() == 20);
    let CredentialKind::SshKey { fingerprint, openssh, comment } = &credential.kind else { panic!("not a key") };
    assert!(fingerprint.starts_with("SHA256:"));
    assert_eq!(comment, "alice@laptop \\u{1b}[31m");
    assert_eq!(openssh, &key.to_openssh().unwrap());

    // Not to another, not with another comment, not in another account, not twice.
    let second = identity.create_account("second", None).await.unwrap();
    identity.create_user(&second.id, &name("alice"), &[]).await.unwrap();
    for (account, user) in [(account, "bob"), (account, "alice"), (&second.id, "alice")] {
        let refused = identity.add_ssh_key(account, &name(user), &format!("{openssh} other")).await.unwrap_err();
        assert!(matches!(refused, IdentityError::SshKeyTaken), "{refused}");
    }
    let Some(Principal::User(user)) = identity.authenticate_ssh_key(&key) else { panic!("the key is not known") };
    assert_eq!((user.name, user.credential), (name("alice"), Some(credential.id.clone())));
    assert!(identity.authenticate_ssh_key(&some_key()).is_none());

    // It is revoked by its user and nobody else, and then proves nobody.
    let refused = identity.revoke_credential(account, &name("bob"), &credential.id).await.unwrap_err();
    assert_eq!(refused.to_string(), format!("user `bob` has no credential `{}`", credential.id));
    identity.revoke_credential(account, &name("alice"), &credential.id).await.unwrap();
    assert!(identity.authenticate_ssh_key(&key).is_none());
    assert!(identity.list_credentials(account, &name("alice")).unwrap().is_empty());
}

// C2
#[tokio::test]
async fn keys_that_are_refused() {
    let host = setting().await;
    let key = some_key().to_openssh().unwrap();
    let certificate = "ssh-ed25519-cert-v01@openssh.com AAAAIHNzaC1lZDI1NTE5LWNlcnQtdjAxQG9wZW5zc2guY29t";
    let cases = [
        (String::new(), "not one line"),
        (format!("{key}\n{key}"), "not one line"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----".into(), "private key"),
        (format!("command=\"x\" {key}"), "not one SSH public key"),
        (key.replace("ssh-ed25519", "ssh-rsa"), "not one SSH public key"),
        (key[..40].to_string(), "not one SSH public key"),
        (certificate.into(), "not "),
        ("x".repeat(20_000), "longer than 16 KiB"),
        (rsa_key(1024), "2048 to 16384 bits, this one 1024"),
        (rsa_key(2047), "this one 2047"),
        (rsa_key(16385), "this one 16385"),
    ];
    for (text, expected) in cases {
        let refused = host.identity.add_ssh_key(&host.account, &name("admin"), &text).await.unwrap_err().to_string();
        assert!(refused.contains(expected), "{text:.60}: {refused}");
    }
    host.identity.add_ssh_key(&host.account, &name("admin"), &rsa_key(2048)).await.unwrap();
    // OpenSSH's own example of a key file.
    let text = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti foo@bar.com";
    host.identity.add_ssh_key(&host.account, &name("admin"), text).await.unwrap();
    assert!(host.identity.authenticate_ssh_key(&ssh_key::PublicKey::from_openssh(text).unwrap()).is_some());
}

#[tokio::test]
async fn access_keys_and_git_credentials_are_bounded() {
    let host = setting().await;
    let (identity, account) = (&host.identity, &host.account);
    host.user("alice").await;
    let alice = name("alice");
    let first = identity.create_access_key(account, &alice).await.unwrap();
    identity.create_access_key(account, &alice).await.unwrap();
    let refused = identity.create_access_key(account, &alice).await.unwrap_err();
    assert_eq!(refused.to_string(), "`alice` already has 2 access keys; remove one first");
    identity.revoke_credential(account, &alice, &first.id).await.unwrap();
    assert!(identity.access_key(&first.id).is_none());
    identity.create_access_key(account, &alice).await.unwrap();

    let one = identity.create_git_credential(account, &alice).await.unwrap();
    let two = identity.create_git_credential(account, &alice).await.unwrap();
    let three = identity.create_git_credential(account, &alice).await.unwrap();
    assert_eq!(
        [&one.user_name, &two.user_name, &three.user_name],
        ["alice-at-111111111111", "alice-at-111111111111-1", "alice-at-111111111111-2"]
    );
    assert!(one.password.expose_secret().len() >= 32);
    for new in [&one, &two, &three] {
        assert!(host.login(&new.user_name, new.password.expose_secret(), "192.0.2.1").is_ok());
    }
    let crossed = host.login(&one.user_name, two.password.expose_secret(), "192.0.2.1");
    assert_eq!(crossed, Err(LoginFailure::Wrong));
    for _ in 3..10 {
        identity.create_git_credential(account, &alice).await.unwrap();
    }
    let refused = identity.create_git_credential(account, &alice).await.unwrap_err();
    assert!(matches!(refused, IdentityError::TooMany { limit: 10, .. }));
}

// B14 D9
#[tokio::test]
async fn names_of_repositories_are_folded_and_never_given_again() {
    let host = setting().await;
    let (identity, account) = (&host.identity, &host.account);
    let create = async |text: &str| identity.create_repository(account, &repository(text), &main_branch()).await;
    let shop = create("Shop").await.unwrap();
    assert_eq!(shop.entity_id(), "111111111111/Shop");
    assert!(matches!(create("sHOP").await.unwrap_err(), IdentityError::Exists { .. }));
    assert_eq!(identity.directory().repository(account, &repository("SHOP")), Some(&shop));

    let renamed = identity.rename_repository(account, &repository("shop"), &repository("store")).await.unwrap();
    assert_eq!(renamed.id, shop.id);
    let directory = identity.directory();
    assert!(directory.repository(account, &repository("shop")).is_none(), "the old name leads nowhere");
    assert!(directory.is_tombstone(NameKind::Repository, account, "SHOP"));
    assert!(matches!(create("shop").await.unwrap_err(), IdentityError::Tombstone { .. }));
    let back = identity.rename_repository(account, &repository("store"), &repository("shop")).await.unwrap_err();
    assert!(matches!(back, IdentityError::Tombstone { .. }));
    create("docs").await.unwrap();
    let onto = identity.rename_repository(account, &repository("store"), &repository("Docs")).await.unwrap_err();
    assert!(matches!(onto, IdentityError::Exists { .. }));
    let case = identity.rename_repository(account, &repository("store"), &repository("Store")).await.unwrap();
    assert_eq!(case.name.as_str(), "Store");
    assert!(!identity.directory().is_tombstone(NameKind::Repository, account, "store"));

    let branch = RefName::branch("trunk").unwrap();
    let changed = identity.set_default_branch(account, &repository("store"), &branch).await.unwrap();
    assert_eq!(changed.default_branch, branch);

    // Refused creations have left no keys.
    assert_eq!(host.store.keyed_repositories().unwrap().len(), 2);
    identity.delete_repository(account, &repository("store")).await.unwrap();
    assert!(matches!(create("STORE").await.unwrap_err(), IdentityError::Tombstone { .. }));
    assert!(identity.delete_repository(account, &repository("store")).await.is_err());
    assert!(host.store.repository_keys(account, shop.id.as_bytes()).is_err(), "the keys are destroyed");
    assert_eq!(host.store.keyed_repositories().unwrap().len(), 1);
}

// J5: a stop between the deletion and the destruction of the keys is made good at the next start.
#[tokio::test]
async fn keys_that_outlived_their_repository_are_destroyed_at_the_next_start() {
    let host = setting().await;
    let (identity, account) = (&host.identity, &host.account);
    let kept = identity.create_repository(account, &repository("kept"), &main_branch()).await.unwrap();
    let gone = identity.create_repository(account, &repository("gone"), &main_branch()).await.unwrap();
    identity.delete_repository(account, &repository("gone")).await.unwrap();
    host.store.create_repository_keys(account, gone.id.as_bytes()).unwrap();
    host.reopened().await;
    assert!(host.store.repository_keys(account, gone.id.as_bytes()).is_err());
    assert!(host.store.repository_keys(account, kept.id.as_bytes()).is_ok());
}

// C4
#[tokio::test]
async fn secrets_do_not_print() {
    let host = setting().await;
    let directory = host.identity.directory();
    let user = directory.user(&host.account, &name("admin")).unwrap();
    let printed = format!(
        "{:?} {:?} {:?} {:?} {:?} {:?}",
        host.admin,
        host.identity,
        directory,
        directory.stored_credentials(user.id),
        host.identity.access_key(&host.admin.access_key_id),
        host.identity.create_git_credential(&host.account, &name("admin")).await,
    );
    for secret in [&host.admin.secret_access_key, &host.admin.git_password] {
        assert!(!printed.contains(secret.expose_secret()));
    }
    assert!(!printed.contains("salt"), "{printed}");
}

#[tokio::test]
async fn a_damaged_record_is_named_and_its_content_is_not() {
    let host = setting().await;
    let record = Record {
        kind: "credential".into(),
        id: [7; 16],
        name: Some("git/x".into()),
        body: br#"{"id":"ACCA","secret":"canary""#.to_vec(),
    };
    let batch = RecordBatch { puts: vec![record], ..RecordBatch::default() };
    host.store.catalog().commit(&batch).await.unwrap();
    let error = host.identity.refresh().await.unwrap_err().to_string();
    assert!(error.starts_with("the credential record `07070707-"), "{error}");
    assert!(!error.contains("canary"));
}
