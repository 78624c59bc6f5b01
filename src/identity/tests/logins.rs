//! Who is let in, how long they stay, and how guessing is slowed down.

use std::time::Instant;

use super::*;
use crate::identity::session::LONGEST_SESSION_SECONDS;
use crate::names::PolicyName;

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
    let session = Principal::Session(Box::new(SessionPrincipal {
        id: uuid::Uuid::from_u128(1),
        account: account.clone(),
        role_id: role.id,
        role: role.name.clone(),
        session_name: name("nightly"),
        source_identity: Some(name("alice")),
        original_user: Some(UserPrincipal::new(&user, None)),
        subject: None,
        chain: Vec::new(),
        on_behalf_of: None,
        tags: Default::default(),
        transitive_tags: Default::default(),
        policy: None,
        mfa: false,
        issued_ms: NOW_MS,
        expires_ms: NOW_MS + 1000,
    }));
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

pub(super) fn role_session(host: &Setting, role: &Role, user: &User) -> SessionPrincipal {
    SessionPrincipal {
        id: uuid::Uuid::from_u128(7),
        account: host.account.clone(),
        role_id: role.id,
        role: role.name.clone(),
        session_name: name("nightly"),
        source_identity: Some(name("alice")),
        original_user: Some(UserPrincipal::new(user, None)),
        subject: Some("https://tokens.example alice".into()),
        chain: Vec::new(),
        on_behalf_of: None,
        tags: [("team".to_string(), "a".to_string())].into(),
        transitive_tags: ["team".to_string()].into(),
        policy: Some("permit (principal, action, resource);".into()),
        mfa: true,
        issued_ms: NOW_MS,
        expires_ms: NOW_MS + 1000,
    }
}

// C3 D8
#[tokio::test]
async fn a_token_opens_with_its_own_key_only_and_until_the_session_ends() {
    let host = setting().await;
    let (identity, account) = (&host.identity, &host.account);
    let user = host.user("alice").await;
    let role = identity.create_role(account, &name("deploy")).await.unwrap();
    let session = role_session(&host, &role, &user);
    let made = identity.issue(&Principal::Session(Box::new(session.clone()))).unwrap();
    assert!(made.access_key_id.starts_with("ASIA") && made.access_key_id.len() == 20);
    let open = || identity.temporary_key(&made.access_key_id, &made.token);
    let key = open().unwrap();
    assert_eq!(key.principal, Principal::Session(Box::new(session.clone())));
    assert_eq!(key.secret.expose_secret(), made.secret.expose_secret());

    // Another's key id, a changed token, a shortened one, something else.
    let other = SessionPrincipal { id: uuid::Uuid::from_u128(10), ..session.clone() };
    let other = identity.issue(&Principal::Session(Box::new(other))).unwrap();
    assert_eq!(identity.temporary_key(&other.access_key_id, &made.token).unwrap_err(), TokenFailure::Invalid);
    for at in [0, 1, 40, made.token.len() / 2, made.token.len() - 2] {
        let mut changed = made.token.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).unwrap();
        assert_eq!(identity.temporary_key(&made.access_key_id, &changed).unwrap_err(), TokenFailure::Invalid);
    }
    for token in ["", "AAAA", &made.token[..40], &"A".repeat(MAX_TOKEN_CHARS + 1)] {
        assert_eq!(identity.temporary_key(&made.access_key_id, token).unwrap_err(), TokenFailure::Invalid);
    }
    let elsewhere = setting().await;
    assert_eq!(elsewhere.identity.temporary_key(&made.access_key_id, &made.token).unwrap_err(), TokenFailure::Invalid);

    host.clock.advance_ms(1000);
    assert_eq!(open().unwrap_err(), TokenFailure::Expired);
    host.clock.advance_ms(-1000);
    // Of a second session, only the first ends when it is revoked.
    let second = SessionPrincipal { id: uuid::Uuid::from_u128(8), ..session.clone() };
    let second = identity.issue(&Principal::Session(Box::new(second))).unwrap();
    identity.revoke_session(&made.access_key_id).await.unwrap();
    assert_eq!(open().unwrap_err(), TokenFailure::Revoked);
    assert!(!identity.is_active(&Principal::Session(Box::new(session.clone()))));
    assert!(identity.temporary_key(&second.access_key_id, &second.token).is_ok());
    // All of the role from before a time; those that begin then count.
    identity.revoke_role_sessions(account, &role.name, NOW_MS + 1).await.unwrap();
    assert_eq!(identity.temporary_key(&second.access_key_id, &second.token).unwrap_err(), TokenFailure::Revoked);
    let later = |issued_ms| SessionPrincipal { id: uuid::Uuid::from_u128(9), issued_ms, ..session.clone() };
    let third = Principal::Session(Box::new(later(NOW_MS + 1)));
    assert!(identity.is_active(&third));
    identity.revoke_user_sessions(account, &name("alice"), NOW_MS + 2).await.unwrap();
    assert!(!identity.is_active(&third));
    assert!(identity.is_active(&Principal::Session(Box::new(later(NOW_MS + 2)))));
}

// C3 D8
#[tokio::test]
async fn a_session_is_revoked_by_its_access_key_id_with_what_began_from_it() {
    let host = setting().await;
    let (identity, account) = (&host.identity, &host.account);
    let user = host.user("alice").await;
    let role = identity.create_role(account, &name("deploy")).await.unwrap();
    let session = role_session(&host, &role, &user);
    let of = |session: &SessionPrincipal| Principal::Session(Box::new(session.clone()));
    let made = identity.issue(&of(&session)).unwrap();
    assert_eq!(Some(&made.access_key_id), of(&session).session_access_key_id().as_ref());
    // A role taken from it, one from that, and one that was taken by itself.
    let second = SessionPrincipal { id: uuid::Uuid::from_u128(8), chain: vec![session.id], ..session.clone() };
    let chain = vec![session.id, second.id];
    let third = SessionPrincipal { id: uuid::Uuid::from_u128(9), chain, ..session.clone() };
    let other = SessionPrincipal { id: uuid::Uuid::from_u128(10), ..session.clone() };
    let token = identity.issue(&of(&third)).unwrap();
    let open = || identity.temporary_key(&token.access_key_id, &token.token).map(|key| key.principal);
    assert_eq!(open().unwrap(), of(&third), "the chain travels in the token");
    // Temporary credentials of a user, and a role that was taken with them.
    let mut user = UserPrincipal::new(&user, None);
    let issued_ms = NOW_MS;
    user.session = Some(UserSession { id: uuid::Uuid::from_u128(11), issued_ms, expires_ms: NOW_MS + 1000 });
    let fourth = SessionPrincipal { original_user: Some(user.clone()), ..other.clone() };
    let own = identity.issue(&Principal::User(user.clone())).unwrap();

    // The middle one: what lies before it stays.
    identity.revoke_session(&of(&second).session_access_key_id().unwrap()).await.unwrap();
    assert!(identity.is_active(&of(&session)) && !identity.is_active(&of(&second)));
    assert_eq!(open().unwrap_err(), TokenFailure::Revoked);
    identity.revoke_session(&made.access_key_id).await.unwrap();
    // Again is fine.
    identity.revoke_session(&made.access_key_id).await.unwrap();
    assert!(!identity.is_active(&of(&session)) && identity.is_active(&of(&other)) && identity.is_active(&of(&fourth)));
    identity.revoke_session(&own.access_key_id).await.unwrap();
    assert!(!identity.is_active(&Principal::User(user)) && !identity.is_active(&of(&fourth)));
    assert!(identity.is_active(&of(&other)));
    // It stays so after a restart, and is forgotten when no session from then can be left.
    assert!(!host.reopened().await.is_active(&of(&session)));
    assert_eq!(identity.directory().revoked_sessions().count(), 3);
    host.clock.advance_ms(i64::from(LONGEST_SESSION_SECONDS) * 1000);
    identity.revoke_session(&of(&other).session_access_key_id().unwrap()).await.unwrap();
    assert_eq!(identity.directory().revoked_sessions().count(), 1);

    for wrong in
        ["", "ASIA", &host.admin.access_key_id, "ASIAaaaaaaaaaaaaaaaa", "ASIAAAAAAAAAAAAAAAAAA", "ASIA\u{1b}[0m"]
    {
        let error = identity.revoke_session(wrong).await.unwrap_err();
        assert!(matches!(error, IdentityError::NotATemporaryKey(_)), "{wrong}: {error}");
        assert!(!error.to_string().contains('\u{1b}'));
    }
}

#[tokio::test]
async fn credentials_that_are_not_active_are_not_taken() {
    let host = setting().await;
    let (identity, account) = (&host.identity, &host.account);
    let Principal::User(admin) = host.admin_login().unwrap() else { panic!("not a user") };
    let id = admin.credential.clone().unwrap();
    identity.set_credential_active(account, &name("admin"), &id, false).await.unwrap();
    assert!(!identity.is_active(&Principal::User(admin.clone())));
    assert_eq!(host.admin_login(), Err(LoginFailure::Wrong));
    identity.set_credential_active(account, &name("admin"), &id, true).await.unwrap();
    assert!(host.admin_login().is_ok());
    let key = host.admin.access_key_id.clone();
    identity.set_credential_active(account, &name("admin"), &key, false).await.unwrap();
    assert!(identity.access_key(&key).is_none());
    // Not somebody else's.
    host.user("alice").await;
    assert!(identity.set_credential_active(account, &name("alice"), &key, true).await.is_err());
    assert!(identity.access_key(&key).is_none());
}

// C7
#[tokio::test]
async fn one_time_codes_are_taken_once() {
    let host = setting().await;
    let (identity, account) = (&host.identity, &host.account);
    let user = host.user("alice").await;
    let alice = UserPrincipal::new(&user, None);
    let made = identity.create_mfa_device(account, &PolicyName::parse("phone").unwrap()).await.unwrap();
    let serial = made.device.serial();
    assert_eq!(serial, "arn:aws:iam::111111111111:mfa/phone");
    let seed = secrecy::SecretSlice::from(base32_of(made.seed.expose_secret()));
    let step = NOW_MS / 30_000;
    let code = |step| super::super::totp::code_at(&seed, step);
    let enable = |first: i64, second: i64| [code(first), code(second)];
    let [first, second] = enable(step, step);
    let refused = identity.enable_mfa_device(account, &name("alice"), &serial, [&first, &second]).await;
    assert!(matches!(refused, Err(IdentityError::WrongCode)));
    let [first, second] = enable(step - 1, step);
    identity.enable_mfa_device(account, &name("alice"), &serial, [&first, &second]).await.unwrap();
    assert!(identity.directory().has_mfa(user.id));

    // A hundred at once: one is the first.
    let first = code(step);
    let all = futures::future::join_all((0..100).map(|_| identity.check_code(&alice, &serial, &first))).await;
    assert_eq!(all.iter().filter(|checked| checked.is_ok()).count(), 1);
    assert!(matches!(identity.check_code(&alice, &serial, &code(step)).await, Err(IdentityError::WrongCode)));
    assert!(matches!(identity.check_code(&alice, &serial, &code(step - 1)).await, Err(IdentityError::WrongCode)));
    identity.check_code(&alice, &serial, &code(step + 1)).await.unwrap();
    // Somebody else's device is none.
    let bob = UserPrincipal::new(&host.user("bob").await, None);
    host.clock.advance_ms(60_000);
    assert!(matches!(identity.check_code(&bob, &serial, &code(step + 2)).await, Err(IdentityError::WrongCode)));
    identity.check_code(&alice, &serial, &code(step + 2)).await.unwrap();
    // A clock that is off is found again, and kept; codes that were taken, or lie before them, turn nothing back.
    let resync = async |whose: &str, first: i64, second: i64| {
        let codes = [code(first), code(second)];
        identity.resync_mfa_device(account, &name(whose), &serial, [&codes[0], &codes[1]]).await
    };
    for (first, second) in [(step + 1, step + 2), (step + 101, step + 100), (step + 100, step + 100)] {
        assert!(matches!(resync("alice", first, second).await, Err(IdentityError::WrongCode)), "{first} {second}");
    }
    assert!(matches!(resync("bob", step + 100, step + 101).await, Err(IdentityError::Unknown { .. })));
    assert!(identity.check_code(&alice, &serial, &code(step + 102)).await.is_err());
    resync("alice", step + 100, step + 101).await.unwrap();
    assert!(matches!(resync("alice", step + 100, step + 101).await, Err(IdentityError::WrongCode)));
    assert!(identity.check_code(&alice, &serial, &code(step + 101)).await.is_err());
    host.reopened().await.check_code(&alice, &serial, &code(step + 102)).await.unwrap();
    // Guesses are slowed down: after many, the right one is not taken either.
    for guess in 0..50 {
        let _ = identity.check_code(&alice, &serial, &format!("{guess:06}")).await;
    }
    assert!(identity.check_code(&alice, &serial, &code(step + 103)).await.is_err());
    assert!(resync("alice", step + 103, step + 104).await.is_err());
    identity.deactivate_mfa_device(account, &name("alice"), &serial).await.unwrap();
    assert!(!identity.directory().has_mfa(user.id));
    identity.delete_mfa_device(account, &serial).await.unwrap();
}

fn base32_of(text: &str) -> Vec<u8> {
    let bits = text.bytes().flat_map(|c| {
        let value = super::super::password::BASE32.iter().position(|b| *b == c).unwrap();
        (0..5).rev().map(move |bit| value >> bit & 1)
    });
    let bits: Vec<usize> = bits.collect();
    bits.chunks_exact(8).map(|byte| byte.iter().fold(0, |byte, bit| byte << 1 | *bit as u8)).collect()
}
