//! SSH certificates: what is ours lets the session in, and nothing else does.

use russh::keys::Certificate;
use russh::keys::ssh_key::certificate::{Builder, CertType};

use super::logins::role_session;
use super::*;

const HOUR_MS: i64 = 3_600_000;

struct Signed {
    host: Setting,
    session: SessionPrincipal,
    certificate: Certificate,
}

async fn signed() -> Signed {
    let host = setting().await;
    let user = host.user("alice").await;
    let role = host.identity.create_role(&host.account, &name("deploy")).await.unwrap();
    let session = SessionPrincipal { expires_ms: NOW_MS + HOUR_MS, ..role_session(&host, &role, &user) };
    let key = some_key().to_openssh().unwrap();
    let made = host.identity.sign_ssh_key(&Principal::Session(Box::new(session.clone())), &key).unwrap();
    assert_eq!(made.expires_ms, session.expires_ms);
    let certificate = Certificate::from_openssh(&made.openssh).unwrap();
    assert_eq!(certificate.public_key(), PublicKey::from_openssh(&key).unwrap().key_data());
    Signed { host, session, certificate }
}

impl Signed {
    fn check(&self, certificate: &Certificate) -> Result<Principal, CertificateRefusal> {
        self.host.identity.authenticate_ssh_certificate(certificate, "git")
    }

    /// A certificate that is right but for what `change` does, signed by the user authority or the host authority.
    fn forged(&self, by_hosts: bool, from: i64, change: impl FnOnce(&mut Builder)) -> Certificate {
        let session = self.certificate.extensions().get("session@lockgate").unwrap();
        self.forged_for(by_hosts, from, |builder| {
            builder.extension("session@lockgate", session.as_str()).unwrap();
            change(builder);
        })
    }

    fn forged_for(&self, by_hosts: bool, from: i64, change: impl FnOnce(&mut Builder)) -> Certificate {
        let right = &self.certificate;
        let seconds = |by: i64| u64::try_from(NOW_MS / 1000 + by).unwrap();
        let mut builder =
            Builder::new(vec![7; 32], right.public_key().clone(), seconds(from), seconds(from + 60)).unwrap();
        change(&mut builder);
        let authorities = &self.host.identity.inner.authorities;
        builder.sign(if by_hosts { &authorities.host } else { &authorities.user }).unwrap()
    }
}

fn for_git(builder: &mut Builder) {
    builder.valid_principal("git").unwrap();
}

// C1 C3
#[tokio::test]
async fn a_certificate_is_its_session() {
    let signed = signed().await;
    let Principal::Session(found) = signed.check(&signed.certificate).unwrap() else { panic!("another principal") };
    // With its policy: what narrows the session narrows it by SSH.
    assert_eq!(*found, signed.session);
    let (arn, access_key_id) = signed.certificate.key_id().split_once(' ').unwrap();
    assert_eq!(arn, "arn:aws:sts::111111111111:assumed-role/deploy/nightly");
    // What the API's credentials of the session are called, so that one command ends both.
    let made = signed.host.identity.issue(&Principal::Session(found.clone())).unwrap();
    assert_eq!(access_key_id, made.access_key_id);
    // Another node, and the same after a restart.
    let again = signed.host.reopened().await;
    assert!(again.authenticate_ssh_certificate(&signed.certificate, "git").is_ok());
    // What it carries opens nothing at the API's door.
    let carried = signed.certificate.extensions().values().next().unwrap();
    assert_eq!(again.temporary_key("ASIAAAAAAAAAAAAAAAAA", carried).unwrap_err(), TokenFailure::Invalid);
    // And a token of the API's is no session of a certificate.
    let token = again.issue(&Principal::Session(Box::new(signed.session.clone()))).unwrap().token;
    assert_eq!(again.open_session("ssh certificate", &token).unwrap_err(), TokenFailure::Invalid);
}

// C1 C3
#[tokio::test]
async fn what_is_not_exactly_ours_is_refused() {
    use CertificateRefusal as R;
    let signed = signed().await;
    assert!(signed.check(&signed.forged(false, -30, for_git)).is_ok());
    for (certificate, why) in [
        (signed.forged(true, -30, for_git), R::Authority),
        (
            signed.forged(false, -30, |builder| {
                for_git(builder);
                builder.cert_type(CertType::Host).unwrap();
            }),
            R::NotForUsers,
        ),
        (signed.forged(false, -60, for_git), R::Time),
        (signed.forged(false, 1, for_git), R::Time),
        (signed.forged(false, -30, |builder| assert!(builder.valid_principal("root").is_ok())), R::UserName),
        (signed.forged(false, -30, |builder| assert!(builder.all_principals_valid().is_ok())), R::UserName),
        (
            signed.forged(false, -30, |builder| {
                for_git(builder);
                builder.critical_option("force-command", "true").unwrap();
            }),
            R::CriticalOption,
        ),
        (
            signed.forged_for(false, -30, |builder| {
                for_git(builder);
                builder.extension("session@lockgate", "AAAA").unwrap();
            }),
            R::Session(TokenFailure::Invalid),
        ),
        (signed.forged_for(false, -30, for_git), R::NoSession),
    ] {
        assert_eq!(signed.check(&certificate).unwrap_err(), why);
    }
    for user in ["root", "", "GIT", "git ", "alice"] {
        let refused = signed.host.identity.authenticate_ssh_certificate(&signed.certificate, user);
        assert_eq!(refused.unwrap_err(), R::UserName, "{user}");
    }
    // Another installation's, though all else is alike.
    let elsewhere = super::setting().await;
    let refused = elsewhere.identity.authenticate_ssh_certificate(&signed.certificate, "git");
    assert_eq!(refused.unwrap_err(), R::Authority);
    // A server's own certificate.
    let names = ["localhost".to_owned()].into();
    let hosts = signed.host.identity.sign_host_key(&some_key(), &names).unwrap();
    assert_eq!(signed.check(&hosts).unwrap_err(), R::Authority);
    // No byte may be another.
    let bytes = signed.certificate.to_bytes().unwrap();
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        if let Ok(changed) = Certificate::from_bytes(&changed) {
            assert!(signed.check(&changed).is_err(), "byte {at}");
        }
    }
}

// C3 D8
#[tokio::test]
async fn a_certificate_ends_with_its_session() {
    let signed = signed().await;
    let (host, session) = (&signed.host, &signed.session);
    let refused = || signed.check(&signed.certificate).unwrap_err();
    host.clock.advance_ms(HOUR_MS - 1);
    assert!(signed.check(&signed.certificate).is_ok());
    host.clock.advance_ms(1);
    assert_eq!(refused(), CertificateRefusal::Time);
    host.clock.advance_ms(-HOUR_MS - 61_000);
    assert_eq!(refused(), CertificateRefusal::Time);
    host.clock.advance_ms(61_000);
    assert!(signed.check(&signed.certificate).is_ok());

    let (identity, account) = (&host.identity, &host.account);
    identity.revoke_role_sessions(account, &session.role, NOW_MS + 1).await.unwrap();
    assert_eq!(refused(), CertificateRefusal::Session(TokenFailure::Revoked));

    let signed = self::signed().await;
    signed.host.identity.delete_user(&signed.host.account, &name("alice")).await.unwrap();
    let refused = signed.check(&signed.certificate).unwrap_err();
    assert_eq!(refused, CertificateRefusal::Session(TokenFailure::Revoked));
}

#[tokio::test]
async fn only_sessions_and_only_good_keys_are_signed() {
    let host = setting().await;
    let key = some_key().to_openssh().unwrap();
    let user = UserPrincipal::new(&host.user("alice").await, None);
    let plain = host.identity.sign_ssh_key(&Principal::User(user.clone()), &key).unwrap_err();
    assert!(matches!(plain, SigningFailure::NotASession), "{plain}");
    let session = |expires_ms| {
        let session = UserSession { id: uuid::Uuid::from_u128(3), issued_ms: NOW_MS, expires_ms };
        Principal::User(UserPrincipal { session: Some(session), ..user.clone() })
    };
    let temporary = session(NOW_MS + HOUR_MS);
    let made = host.identity.sign_ssh_key(&temporary, &key).unwrap();
    let certificate = Certificate::from_openssh(&made.openssh).unwrap();
    assert_eq!(host.identity.authenticate_ssh_certificate(&certificate, "git").unwrap(), temporary);
    assert!(matches!(host.identity.sign_ssh_key(&session(NOW_MS), &key).unwrap_err(), SigningFailure::Over));
    for bad in ["", "x", &rsa_key(1024), &made.openssh, &format!("{key}\n{key}")] {
        let refused = host.identity.sign_ssh_key(&temporary, bad).unwrap_err();
        assert!(matches!(refused, SigningFailure::Key(_)), "{bad}: {refused}");
    }
}
