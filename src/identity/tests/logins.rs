//! Who is let in, how long they stay, and how guessing is slowed down.

use std::time::Instant;

use super::*;

// C5: disabled stays disabled, whatever door and whatever credential, also a remembered one.
#[tokio::test]
async fn a_disabled_user_stays_out() {
    let host = setting().await;
    let (identity, account) = (&host.identity, &host.account);
    let admin = name("admin");
    let key = some_key();
    identity.add_ssh_key(account, &admin, &key.to_openssh().unwrap()).await.unwrap();
    let principal = host.admin_login().unwrap();
    assert!(identity.is_active(&principal));

    identity.set_user_disabled(account, &admin, true).await.unwrap();
    for _ in 0..2 {
        assert_eq!(host.admin_login(), Err(LoginFailure::Wrong));
        assert!(identity.authenticate_ssh_key(&key).is_none());
        assert!(identity.access_key(&host.admin.access_key_id).is_none());
        assert!(!identity.is_active(&principal));
    }
    // Other changes of the user do not bring it back.
    identity.add_to_group(account, &name("developers"), &admin).await.unwrap();
    identity.set_user_tags(account, &admin, [("a".into(), "b".into())].into()).await.unwrap();
    identity.create_git_credential(account, &admin).await.unwrap();
    assert!(identity.directory().user(account, &admin).unwrap().disabled);
    assert!(host.reopened().await.authenticate_ssh_key(&key).is_none());

    identity.set_user_disabled(account, &admin, false).await.unwrap();
    assert!(host.admin_login().is_ok());
    assert!(identity.is_active(&principal));
}

// D8
#[tokio::test]
async fn a_revoked_credential_ends_what_it_began() {
    let host = setting().await;
    let principal = host.admin_login().unwrap();
    let Principal::User(user) = &principal else { panic!("not a user") };
    let id = user.credential.clone().unwrap();
    host.identity.revoke_credential(&host.account, &name("admin"), &id).await.unwrap();
    assert!(!host.identity.is_active(&principal));
    assert_eq!(host.admin_login(), Err(LoginFailure::Wrong));
}

// D8
#[tokio::test]
async fn a_session_ends_with_its_time_its_role_or_its_user() {
    let host = setting().await;
    let (identity, account) = (&host.identity, &host.account);
    let user = host.user("alice").await;
    let role = identity.create_role(account, &name("deploy")).await.unwrap();
    assert_eq!(role.arn(), "arn:aws:iam::111111111111:role/deploy");
    let session = Principal::Session(SessionPrincipal {
        account: account.clone(),
        role_id: role.id,
        role: role.name.clone(),
        session_name: name("nightly"),
        source_identity: Some(name("alice")),
        original_user: Some(UserPrincipal::new(&user, None)),
        tags: Default::default(),
        expires_ms: NOW_MS + 1000,
    });
    assert_eq!(session.arn(), "arn:aws:sts::111111111111:assumed-role/deploy/nightly");
    assert_eq!(session.entity_id(), "111111111111/deploy/nightly");
    assert!(identity.is_active(&session));
    identity.set_user_disabled(account, &name("alice"), true).await.unwrap();
    assert!(!identity.is_active(&session));
    identity.set_user_disabled(account, &name("alice"), false).await.unwrap();
    host.clock.advance_ms(999);
    assert!(identity.is_active(&session));
    host.clock.advance_ms(1);
    assert!(!identity.is_active(&session));
    host.clock.advance_ms(-1);
    identity.delete_role(account, &name("deploy")).await.unwrap();
    assert!(!identity.is_active(&session));

    let service = Principal::Service("pipeline.lockgate".into());
    assert!(identity.is_active(&service));
    assert_eq!(service.account().as_str(), "000000000000");
    assert_eq!(service.arn(), "pipeline.lockgate");
}

// C8: unknown, wrong and disabled answer alike and pay the same hash; a right pair pays it once.
#[tokio::test]
async fn every_refusal_costs_one_hash() {
    let host = setting().await;
    let identity = &host.identity;
    let paid = |login: &dyn Fn() -> Result<Principal, LoginFailure>| {
        let before = identity.n_password_hashes();
        let result = login().map(|_| ());
        (result, identity.n_password_hashes() - before)
    };
    let admin = host.admin.git_user_name.as_str();
    assert_eq!(paid(&|| host.login("nobody-at-111111111111", "x", "192.0.2.1")), (Err(LoginFailure::Wrong), 1));
    assert_eq!(paid(&|| host.login("nobody-at-111111111111", "x", "192.0.2.1")), (Err(LoginFailure::Wrong), 1));
    assert_eq!(paid(&|| host.login(admin, "x", "192.0.2.1")), (Err(LoginFailure::Wrong), 1));
    assert_eq!(paid(&|| host.login(admin, "", "192.0.2.1")), (Err(LoginFailure::Wrong), 1));
    assert_eq!(paid(&|| host.admin_login()), (Ok(()), 1));
    assert_eq!(paid(&|| host.admin_login()), (Ok(()), 0));
    // Being right once says nothing about the next password.
    assert_eq!(paid(&|| host.login(admin, "x", "192.0.2.1")), (Err(LoginFailure::Wrong), 1));
    // Anything that changes the directory makes the server look again.
    host.user("alice").await;
    assert_eq!(paid(&|| host.admin_login()), (Ok(()), 1));
    identity.set_user_disabled(&host.account, &name("admin"), true).await.unwrap();
    assert_eq!(paid(&|| host.admin_login()), (Err(LoginFailure::Wrong), 1));
}

// C8: the hash of an unknown user is a real one. The bound is wide: a skipped hash would be a thousand times faster.
#[tokio::test]
async fn unknown_users_take_as_long_as_known_ones() {
    let host = setting().await;
    let fastest = |user: &str| {
        let times = (0..4).map(|_| {
            let begin = Instant::now();
            assert_eq!(host.login(user, "wrong", "192.0.2.1"), Err(LoginFailure::Wrong));
            begin.elapsed()
        });
        times.min().unwrap()
    };
    let (known, unknown) = (fastest(&host.admin.git_user_name), fastest("nobody-at-111111111111"));
    assert!(unknown * 10 > known && known * 10 > unknown, "known {known:?}, unknown {unknown:?}");
}

#[tokio::test]
async fn guessing_at_a_user_is_slowed_down() {
    let host = setting().await;
    let admin = host.admin.git_user_name.clone();
    assert!(host.admin_login().is_ok());
    // From many addresses: the user's bucket fills. An unknown user's does alike.
    for user in [admin.as_str(), "nobody-at-111111111111"] {
        for n in 0..10 {
            assert_eq!(host.login(user, "x", &format!("198.51.100.{n}")), Err(LoginFailure::Wrong), "{user} {n}");
        }
        let before = host.identity.n_password_hashes();
        let refused = host.login(user, "x", "198.51.100.99");
        assert_eq!(refused, Err(LoginFailure::TooMany { retry_after_seconds: 6 }));
        assert_eq!(host.identity.n_password_hashes(), before, "what is refused unseen costs nothing");
    }
    // Whom the server knows to be right works on; others work on anyway.
    assert!(host.admin_login().is_ok());
    let other = host.identity.create_git_credential(&host.account, &name("admin")).await.unwrap();
    assert!(host.login(&other.user_name, other.password.expose_secret(), "192.0.2.2").is_ok());
    // That change made the server forget, and now the user waits until the bucket has leaked.
    assert!(matches!(host.admin_login(), Err(LoginFailure::TooMany { .. })));
    host.clock.advance_ms(6_000);
    assert!(host.admin_login().is_ok());
}

#[tokio::test]
async fn guessing_from_an_address_is_slowed_down_and_a_success_resets_nothing() {
    let host = setting().await;
    for n in 0..30 {
        assert_eq!(host.login(&format!("user{n}"), "x", "192.0.2.1"), Err(LoginFailure::Wrong), "{n}");
        if n % 10 == 0 {
            assert!(host.admin_login().is_ok());
        }
    }
    assert_eq!(host.admin_login(), Err(LoginFailure::TooMany { retry_after_seconds: 2 }));
    let password = host.admin.git_password.expose_secret();
    assert!(host.login(&host.admin.git_user_name, password, "192.0.2.2").is_ok());
    host.clock.advance_ms(2_000);
    assert!(host.admin_login().is_ok());
}
