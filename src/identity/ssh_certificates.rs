//! The SSH certificate authority: certificates that let a session in by SSH, and those by which this server is known.
//!
//! A user certificate carries its session, sealed, in an extension that is ours; the server keeps nothing of it, and any node
//! can check it. What ends the session early (revocation, a role or a user that is gone) therefore ends the certificate, too: it
//! is looked at anew each time. The sealed session has a purpose of its own, so that it opens nothing at the API's door, and the
//! certificate is worth nothing without the private key that it names: it may be shown to anybody.
//!
//! The two authorities are derived from the catalog's key (`store/FORMAT.md`, "Keys"): nothing of them lies on disk, all nodes
//! have the same, and neither signs what the other does. Certificates are written down in OpenSSH's `PROTOCOL.certkeys`.

use std::collections::BTreeSet;

use russh::keys::ssh_key::certificate::{Builder, CertType};
use russh::keys::ssh_key::private::Ed25519Keypair;
use russh::keys::ssh_key::{self, HashAlg};
use russh::keys::{Certificate, PrivateKey, PublicKey};
use zeroize::Zeroizing;

use super::credential::{CredentialKind, parse_ssh_key};
use super::{Identity, IdentityError, Principal, TokenFailure};
use crate::store::Store;
use crate::store::seal::random;

/// The SSH user name that certificates are for.
pub const SSH_USER_NAME: &str = "git";

const EXTENSION: &str = "session@lockgate";
const PURPOSE: &str = "ssh certificate";
/// Clients' clocks may be behind by this, in seconds.
const USER_SKEW: i64 = 60;
const HOST_SKEW: i64 = 3600;
/// How long this server is known by one certificate, in seconds; it makes a new one each day.
const HOST_SECONDS: i64 = 60 * 86_400;

/// Both authorities' keys.
pub(super) struct Authorities {
    pub(super) user: PrivateKey,
    pub(super) host: PrivateKey,
}

/// A session's certificate.
#[derive(Debug, Clone)]
pub struct SshCertificate {
    /// One line as `ssh-keygen -s` writes it to `id_ed25519-cert.pub`.
    pub openssh: String,
    /// When it ends, in milliseconds since the Unix epoch; never after its session.
    pub expires_ms: i64,
}

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum SigningFailure {
    /// Certificates are for what ends by itself.
    #[error("only sessions get an SSH certificate: take a role or temporary credentials, or register the key itself")]
    NotASession,
    /// The session is over, or as good as.
    #[error("the session is over")]
    Over,
    /// The public key is none, or one that is not taken.
    #[error(transparent)]
    Key(#[from] IdentityError),
    /// The certificate could not be made.
    #[error("failed to make the SSH certificate")]
    Make(#[from] ssh_key::Error),
}

/// Why a certificate lets nobody in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CertificateRefusal {
    /// Another authority's, or our own for servers.
    #[error("the certificate is not signed by the user authority of this server")]
    Authority,
    /// It is a server's.
    #[error("the certificate is for servers")]
    NotForUsers,
    /// Its time has not begun or is over.
    #[error("the certificate is not valid at this time")]
    Time,
    /// It is not for the SSH user name that was given.
    #[error("the certificate is not for this SSH user name")]
    UserName,
    /// A condition that is not known here. None is ever set by this server.
    #[error("the certificate has a critical option, and none is known here")]
    CriticalOption,
    /// It was changed.
    #[error("the certificate's signature is wrong")]
    Signature,
    /// It carries no session.
    #[error("the certificate carries no session")]
    NoSession,
    /// Its session is none, or is over.
    #[error(transparent)]
    Session(#[from] TokenFailure),
}

impl Authorities {
    pub(super) fn of(store: &Store) -> Authorities {
        let key = |purpose| {
            let seed = Zeroizing::new(*store.ssh_authority_seed(purpose).dangerous_bytes());
            PrivateKey::from(Ed25519Keypair::from_seed(&seed))
        };
        Authorities { user: key("users"), host: key("hosts") }
    }
}

impl Identity {
    /// Whose signature makes a user certificate.
    pub fn ssh_user_authority(&self) -> &PublicKey {
        self.inner.authorities.user.public_key()
    }

    /// Whose signature makes a server's certificate.
    pub fn ssh_host_authority(&self) -> &PublicKey {
        self.inner.authorities.host.public_key()
    }

    /// The line for `known_hosts` that trusts every server whose certificate the host authority has signed, under any name that
    /// the certificate says.
    pub fn known_hosts_line(&self) -> Result<String, ssh_key::Error> {
        Ok(format!("@cert-authority * {}", self.ssh_host_authority().to_openssh()?))
    }

    /// Signs a public key, one line in OpenSSH's form, for the session that `principal` is. The caller has decided that it may
    /// be.
    pub fn sign_ssh_key(&self, principal: &Principal, public_key: &str) -> Result<SshCertificate, SigningFailure> {
        let CredentialKind::SshKey { openssh, .. } = parse_ssh_key(public_key)? else {
            return Err(SigningFailure::NotASession);
        };
        let key = PublicKey::from_openssh(&openssh)?;
        let (session, expires_ms) = self.seal_session(PURPOSE, principal).ok_or(SigningFailure::NotASession)?;
        let (now, until) = (self.now_ms().div_euclid(1000), expires_ms.div_euclid(1000));
        if until <= now {
            return Err(SigningFailure::Over);
        }
        let mut builder = builder(&key, CertType::User, now - USER_SKEW, until)?;
        // What a server logs of a certificate, and `ssh-keygen -L` shows: whose it is, and by what it is revoked.
        let access_key_id = principal.session_access_key_id().ok_or(SigningFailure::NotASession)?;
        builder.key_id(format!("{} {access_key_id}", principal.arn()))?;
        builder.valid_principal(SSH_USER_NAME)?;
        builder.extension(EXTENSION, session)?;
        let certificate = builder.sign(&self.inner.authorities.user)?;
        Ok(SshCertificate { openssh: certificate.to_openssh()?, expires_ms: until * 1000 })
    }

    /// Whom a certificate proves whose key has signed, for the SSH user name given. Says nothing about whether the peer holds the
    /// key: the caller has verified a signature (attack checklist C1).
    pub fn authenticate_ssh_certificate(
        &self,
        certificate: &Certificate,
        user_name: &str,
    ) -> Result<Principal, CertificateRefusal> {
        let authority = self.ssh_user_authority();
        if certificate.signature_key() != authority.key_data() {
            return Err(CertificateRefusal::Authority);
        }
        if certificate.cert_type() != CertType::User {
            return Err(CertificateRefusal::NotForUsers);
        }
        let now = u64::try_from(self.now_ms().div_euclid(1000)).map_err(|_| CertificateRefusal::Time)?;
        if !(certificate.valid_after()..certificate.valid_before()).contains(&now) {
            return Err(CertificateRefusal::Time);
        }
        // A certificate without names would be for everybody; none is made.
        if user_name != SSH_USER_NAME || !certificate.valid_principals().iter().any(|name| name == user_name) {
            return Err(CertificateRefusal::UserName);
        }
        if !certificate.critical_options().is_empty() {
            return Err(CertificateRefusal::CriticalOption);
        }
        certificate
            .validate_at(now, &[authority.fingerprint(HashAlg::Sha256)])
            .map_err(|_| CertificateRefusal::Signature)?;
        let session = certificate.extensions().get(EXTENSION).ok_or(CertificateRefusal::NoSession)?;
        Ok(self.open_session(PURPOSE, session)?)
    }

    /// The certificate by which clients that trust the host authority know a server under these names and addresses.
    pub fn sign_host_key(&self, key: &PublicKey, names: &BTreeSet<String>) -> Result<Certificate, ssh_key::Error> {
        let now = self.now_ms().div_euclid(1000);
        let mut builder = builder(key, CertType::Host, now - HOST_SKEW, now + HOST_SECONDS)?;
        builder.key_id("lockgate")?;
        for name in names {
            builder.valid_principal(name)?;
        }
        builder.sign(&self.inner.authorities.host)
    }
}

/// A certificate that is valid between two times, in seconds since the Unix epoch.
fn builder(key: &PublicKey, kind: CertType, from: i64, until: i64) -> Result<Builder, ssh_key::Error> {
    let seconds = |time: i64| u64::try_from(time).map_err(|_| ssh_key::Error::Time);
    let mut builder = Builder::new(random::<32>(), key.key_data().clone(), seconds(from)?, seconds(until)?)?;
    builder.serial(u64::from_be_bytes(random()))?;
    builder.cert_type(kind)?;
    Ok(builder)
}
