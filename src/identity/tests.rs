//! The directory as a whole, on a store in memory.

use std::net::IpAddr;

use super::*;
use crate::clock::Clock;
use crate::names::{PrincipalName, RefName, RepositoryName};

fn name(name: &str) -> PrincipalName {
    PrincipalName::parse(name).unwrap()
}

async fn identity() -> (Identity, AccountId, AdminCredentials) {
    let store = Store::in_memory(Clock::manual(1_700_000_000_000)).await.unwrap();
    let identity = Identity::open(store, "us-east-1".into()).await.unwrap();
    let account = AccountId::parse("111111111111").unwrap();
    let admin = identity.first_start(&account).await.unwrap().unwrap();
    assert!(identity.first_start(&account).await.unwrap().is_none());
    (identity, account, admin)
}

const HOME: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ alice";

// C5 C8
#[tokio::test]
async fn git_credentials_open_and_close() {
    let (identity, account, admin) = identity().await;
    let login = |user: &str, password: &str| identity.authenticate_git(user, password, HOME);
    assert_eq!(admin.git_user_name, "admin-at-111111111111");
    for _ in 0..2 {
        let principal = login(&admin.git_user_name, &admin.git_password).unwrap();
        assert_eq!(principal.arn(), "arn:aws:iam::111111111111:user/admin");
    }
    assert_eq!(login(&admin.git_user_name, "wrong"), Err(LoginFailure::Wrong));
    assert_eq!(login("nobody-at-111111111111", "wrong"), Err(LoginFailure::Wrong));
    let principal = login(&admin.git_user_name, &admin.git_password).unwrap();
    identity.set_user_disabled(&account, &name("admin"), true).await.unwrap();
    assert_eq!(login(&admin.git_user_name, &admin.git_password), Err(LoginFailure::Wrong));
    assert!(!identity.is_active(&principal));
    identity.set_user_disabled(&account, &name("admin"), false).await.unwrap();
    let id = identity.directory().credentials(identity.directory().user(&account, &name("admin")).unwrap());
    let git = id.iter().find(|credential| matches!(credential.kind, CredentialKind::Git { .. })).unwrap();
    identity.revoke_credential(&account, &name("admin"), &git.id).await.unwrap();
    assert_eq!(login(&admin.git_user_name, &admin.git_password), Err(LoginFailure::Wrong));
    let again = identity.create_git_credential(&account, &name("admin")).await.unwrap();
    assert_eq!(again.user_name, "admin-at-111111111111-1");
    for _ in 0..25 {
        let _ = login("admin-at-111111111111-1", "wrong");
    }
    assert!(matches!(login(&again.user_name, &again.password), Err(LoginFailure::TooMany { .. })));
}

// C2
#[tokio::test]
async fn one_ssh_key_belongs_to_one_user() {
    let (identity, account, _) = identity().await;
    identity.create_user(&account, &name("alice"), &[name("developers")]).await.unwrap();
    identity.create_user(&account, &name("bob"), &[]).await.unwrap();
    identity.add_ssh_key(&account, &name("alice"), KEY).await.unwrap();
    assert!(identity.add_ssh_key(&account, &name("bob"), KEY).await.is_err());
    let key = russh::keys::PublicKey::from_openssh(KEY).unwrap();
    assert_eq!(identity.authenticate_ssh_key(&key).unwrap().arn(), "arn:aws:iam::111111111111:user/alice");
    identity.delete_user(&account, &name("alice")).await.unwrap();
    assert!(identity.authenticate_ssh_key(&key).is_none());
    identity.add_ssh_key(&account, &name("bob"), KEY).await.unwrap();
    for bad in ["", "nonsense", "-----BEGIN OPENSSH PRIVATE KEY-----", "ssh-ed25519 AAAA x\nssh-ed25519 AAAA y"] {
        assert!(identity.add_ssh_key(&account, &name("bob"), bad).await.is_err(), "{bad}");
    }
}

// D7 D9 B14
#[tokio::test]
async fn names_are_not_given_twice() {
    let (identity, account, _) = identity().await;
    let main = RefName::branch("main").unwrap();
    let repository = |name: &str| RepositoryName::parse(name).unwrap();
    identity.create_user(&account, &name("alice"), &[name("senior-developers")]).await.unwrap();
    assert!(matches!(identity.create_user(&account, &name("Alice"), &[]).await, Err(IdentityError::Exists { .. })));
    identity.delete_user(&account, &name("alice")).await.unwrap();
    for again in ["alice", "ALICE"] {
        let made = identity.create_user(&account, &name(again), &[]).await;
        assert!(matches!(made, Err(IdentityError::Tombstone { .. })));
    }
    assert!(identity.directory().group(&account, &name("senior-developers")).unwrap().members.is_empty());
    let shop = identity.create_repository(&account, &repository("shop"), &main).await.unwrap();
    assert!(identity.create_repository(&account, &repository("SHOP"), &main).await.is_err());
    identity.rename_repository(&account, &repository("shop"), &repository("store")).await.unwrap();
    assert!(identity.create_repository(&account, &repository("shop"), &main).await.is_err());
    assert_eq!(identity.directory().repository(&account, &repository("Store")).unwrap().id, shop.id);
    identity.delete_repository(&account, &repository("store")).await.unwrap();
    assert!(identity.create_repository(&account, &repository("store"), &main).await.is_err());
    identity.create_role(&account, &name("deployer")).await.unwrap();
    identity.delete_role(&account, &name("deployer")).await.unwrap();
    assert!(identity.create_role(&account, &name("Deployer")).await.is_err());
}

#[tokio::test]
async fn groups_and_limits() {
    let (identity, account, _) = identity().await;
    identity.create_user(&account, &name("alice"), &[name("developers")]).await.unwrap();
    assert!(identity.create_user(&account, &name("carol"), &[name("nothing")]).await.is_err());
    assert!(identity.directory().user(&account, &name("carol")).is_none());
    identity.add_to_group(&account, &name("senior-developers"), &name("alice")).await.unwrap();
    let groups = identity.directory().groups_of(&account, &name("alice"));
    assert_eq!(groups.len(), 2);
    identity.remove_from_group(&account, &name("developers"), &name("alice")).await.unwrap();
    assert!(identity.remove_from_group(&account, &name("developers"), &name("alice")).await.is_err());
    for _ in 0..2 {
        identity.create_access_key(&account, &name("alice")).await.unwrap();
    }
    assert!(matches!(
        identity.create_access_key(&account, &name("alice")).await,
        Err(IdentityError::TooMany { .. })
    ));
}
