//! TLS without a question asked: a private CA in the keys folder and a server certificate under it, for `localhost`,
//! `127.0.0.1`, `::1`, the listening address and the configured host name.
//!
//! `ca.pem` is what clients trust and may be read by all; `ca.key`, `tls.pem` and `tls.key` are the owner's. The server
//! certificate is issued anew when it is near its end or does not name all hosts, at start and once a day while running;
//! the CA stays, so that nobody has to trust anew.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::RwLock;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SanType,
};
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::key_file;
use crate::clock::Clock;

/// The certificate authority and the certificate in use.
pub struct TlsKeys {
    folder: PathBuf,
    hosts: BTreeSet<String>,
    clock: Clock,
    current: RwLock<Arc<CertifiedKey>>,
}

impl TlsKeys {
    /// Opens the keys folder's certificates, making what is missing. `hosts` are names and addresses that the certificate
    /// carries besides the local ones.
    pub fn open(folder: &Path, hosts: &[String], clock: Clock) -> Result<Arc<TlsKeys>, TlsError> {
        let mut all: BTreeSet<String> = ["localhost", "127.0.0.1", "::1"].map(String::from).into();
        all.extend(hosts.iter().cloned());
        let current = RwLock::new(Arc::new(load_or_issue(folder, &all, &clock)?));
        Ok(Arc::new(TlsKeys { folder: folder.to_owned(), hosts: all, clock, current }))
    }

    /// Issues a new server certificate if the present one is near its end; connections made from now on use it.
    pub fn renew(&self) -> Result<(), TlsError> {
        *self.current.write() = Arc::new(load_or_issue(&self.folder, &self.hosts, &self.clock)?);
        Ok(())
    }

    /// The configuration for accepting connections: TLS 1.2 and 1.3, HTTP/2 preferred.
    pub fn server_config(self: &Arc<TlsKeys>) -> Result<Arc<ServerConfig>, TlsError> {
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Rustls)?
            .with_no_client_auth()
            .with_cert_resolver(self.clone());
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

impl fmt::Debug for TlsKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsKeys").field("hosts", &self.hosts).finish_non_exhaustive()
    }
}

impl ResolvesServerCert for TlsKeys {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.read().clone())
    }
}

/// Why there is no certificate to serve with.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file of the keys folder cannot be read or written.
    #[error("failed to open `{path}`")]
    #[allow(missing_docs)]
    File { path: PathBuf, source: io::Error },
    /// A certificate or key cannot be made or understood.
    #[error("failed to issue a certificate from `{path}`")]
    #[allow(missing_docs)]
    Issue { path: PathBuf, source: rcgen::Error },
    /// A file does not hold what its name says.
    #[error("`{path}` is no certificate or key in PEM form")]
    #[allow(missing_docs)]
    Pem { path: PathBuf },
    /// rustls does not take the key.
    #[error("the TLS key is not usable")]
    Rustls(#[source] rustls::Error),
}

/// The one provider of this program.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

const CA_FILE: &str = "ca.pem";
const CA_KEY_FILE: &str = "ca.key";
const SERVER_FILE: &str = "tls.pem";
const SERVER_KEY_FILE: &str = "tls.key";

const DAY_SECONDS: i64 = 86_400;
const CA_DAYS: i64 = 3650;
const SERVER_DAYS: i64 = 397;
/// A server certificate that ends sooner than this is issued anew.
const RENEW_DAYS: i64 = 30;

fn load_or_issue(folder: &Path, hosts: &BTreeSet<String>, clock: &Clock) -> Result<CertifiedKey, TlsError> {
    let now = clock.now_seconds();
    let (ca_pem, ca_key) = match (read(folder, CA_FILE)?, read(folder, CA_KEY_FILE)?) {
        (Some(pem), Some(key)) => (pem, key),
        _ => make_ca(folder, now)?,
    };
    let pair = match (read(folder, SERVER_FILE)?, read(folder, SERVER_KEY_FILE)?) {
        (Some(pem), Some(key)) if serves(&pem, &ca_pem, hosts, now) => (pem, key),
        _ => issue(folder, &ca_pem, &ca_key, hosts, now)?,
    };
    let bad = |name: &str| TlsError::Pem { path: folder.join(name) };
    let leaf = CertificateDer::from_pem_slice(pair.0.as_bytes()).map_err(|_| bad(SERVER_FILE))?;
    let ca = CertificateDer::from_pem_slice(ca_pem.as_bytes()).map_err(|_| bad(CA_FILE))?;
    let key = PrivateKeyDer::from_pem_slice(pair.1.as_bytes()).map_err(|_| bad(SERVER_KEY_FILE))?;
    CertifiedKey::from_der(vec![leaf, ca], key, &provider()).map_err(TlsError::Rustls)
}

fn make_ca(folder: &Path, now: i64) -> Result<(String, String), TlsError> {
    let failed = |source| TlsError::Issue { path: folder.join(CA_FILE), source };
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    params.distinguished_name.push(DnType::CommonName, "Lockgate private CA");
    set_validity(&mut params, now, CA_DAYS);
    let key = KeyPair::generate().map_err(failed)?;
    let certificate = params.self_signed(&key).map_err(failed)?;
    let (pem, key) = (certificate.pem(), key.serialize_pem());
    // The key first: a CA that clients begin to trust and nobody can sign with would be of no use.
    write(folder, CA_KEY_FILE, &key, 0o600)?;
    write(folder, CA_FILE, &pem, 0o644)?;
    Ok((pem, key))
}

fn issue(
    folder: &Path,
    ca_pem: &str,
    ca_key: &str,
    hosts: &BTreeSet<String>,
    now: i64,
) -> Result<(String, String), TlsError> {
    let failed = |source| TlsError::Issue { path: folder.join(CA_FILE), source };
    let ca_key = KeyPair::from_pem(ca_key).map_err(failed)?;
    let issuer = Issuer::from_ca_cert_pem(ca_pem, ca_key).map_err(failed)?;
    let mut params = CertificateParams::default();
    for host in hosts {
        params.subject_alt_names.push(match host.parse::<IpAddr>() {
            Ok(address) => SanType::IpAddress(address),
            Err(_) => SanType::DnsName(host.as_str().try_into().map_err(failed)?),
        });
    }
    params.distinguished_name.push(DnType::CommonName, "Lockgate");
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    set_validity(&mut params, now, SERVER_DAYS);
    let key = KeyPair::generate().map_err(failed)?;
    let certificate = params.signed_by(&key, &issuer).map_err(failed)?;
    let (pem, key) = (certificate.pem(), key.serialize_pem());
    // A certificate beside another one's key would not serve; without a certificate both are made anew at the next start.
    match std::fs::remove_file(folder.join(SERVER_FILE)) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            return Err(TlsError::File { path: folder.join(SERVER_FILE), source });
        }
        _ => {}
    }
    write(folder, SERVER_KEY_FILE, &key, 0o600)?;
    write(folder, SERVER_FILE, &pem, 0o600)?;
    Ok((pem, key))
}

/// Whether the certificate names all hosts, was signed by this CA and stays valid for a while.
fn serves(pem: &str, ca_pem: &str, hosts: &BTreeSet<String>, now: i64) -> bool {
    let ders = [pem, ca_pem].map(|pem| CertificateDer::from_pem_slice(pem.as_bytes()));
    let [Ok(leaf), Ok(ca)] = ders else {
        return false;
    };
    let (Ok((_, leaf)), Ok((_, ca))) =
        (x509_parser::parse_x509_certificate(&leaf), x509_parser::parse_x509_certificate(&ca))
    else {
        return false;
    };
    let names: BTreeSet<String> = match leaf.subject_alternative_name() {
        Ok(Some(names)) => names.value.general_names.iter().filter_map(name_text).collect(),
        _ => return false,
    };
    let ca_key_id = ca.iter_extensions().find_map(|e| match e.parsed_extension() {
        x509_parser::extensions::ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0.to_vec()),
        _ => None,
    });
    let authority = leaf.iter_extensions().find_map(|e| match e.parsed_extension() {
        x509_parser::extensions::ParsedExtension::AuthorityKeyIdentifier(id) => {
            id.key_identifier.as_ref().map(|id| id.0.to_vec())
        }
        _ => None,
    });
    hosts.is_subset(&names)
        && ca_key_id == authority
        && leaf.validity().not_before.timestamp() <= now
        && leaf.validity().not_after.timestamp() > now + RENEW_DAYS * DAY_SECONDS
}

fn name_text(name: &x509_parser::extensions::GeneralName<'_>) -> Option<String> {
    match name {
        x509_parser::extensions::GeneralName::DNSName(name) => Some((*name).to_owned()),
        x509_parser::extensions::GeneralName::IPAddress(bytes) => {
            let address = match bytes.len() {
                4 => IpAddr::from(<[u8; 4]>::try_from(*bytes).ok()?),
                _ => IpAddr::from(<[u8; 16]>::try_from(*bytes).ok()?),
            };
            Some(address.to_string())
        }
        _ => None,
    }
}

fn set_validity(params: &mut CertificateParams, now: i64, days: i64) {
    // From the day before, for clients whose clock is behind.
    for (field, seconds) in
        [(&mut params.not_before, now - DAY_SECONDS), (&mut params.not_after, now + days * DAY_SECONDS)]
    {
        let day = jiff::Timestamp::from_second(seconds)
            .expect("the clock is within jiff's range, give or take ten years")
            .to_zoned(jiff::tz::TimeZone::UTC)
            .date();
        *field = rcgen::date_time_ymd(day.year().into(), day.month().unsigned_abs(), day.day().unsigned_abs());
    }
}

fn read(folder: &Path, name: &str) -> Result<Option<String>, TlsError> {
    let path = folder.join(name);
    key_file::read(&path).map_err(|source| TlsError::File { path, source })
}

fn write(folder: &Path, name: &str, contents: &str, mode: u32) -> Result<(), TlsError> {
    let path = folder.join(name);
    key_file::write(&path, contents.as_bytes(), mode).map_err(|source| TlsError::File { path, source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn made_once_then_reused_then_renewed() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
        let clock = Clock::manual(1_800_000_000_000);
        let keys = TlsKeys::open(folder.path(), &[], clock.clone()).unwrap();
        let (ca, server) = (file(CA_FILE), file(SERVER_FILE));
        for (name, mode) in [(CA_FILE, 0o644), (CA_KEY_FILE, 0o600), (SERVER_FILE, 0o600), (SERVER_KEY_FILE, 0o600)] {
            let found = std::fs::metadata(folder.path().join(name)).unwrap().permissions().mode() & 0o777;
            assert_eq!(found, mode, "{name}");
        }
        keys.renew().unwrap();
        TlsKeys::open(folder.path(), &[], clock.clone()).unwrap();
        assert_eq!(file(SERVER_FILE), server);
        // Another name, and later the calendar, ask for a new certificate; the CA stays.
        TlsKeys::open(folder.path(), &["git.example.com".into()], clock.clone()).unwrap();
        let named = file(SERVER_FILE);
        assert_ne!(named, server);
        clock.advance_ms((SERVER_DAYS - RENEW_DAYS + 1) * DAY_SECONDS * 1000);
        keys.renew().unwrap();
        assert_ne!(file(SERVER_FILE), named);
        assert_eq!(file(CA_FILE), ca);
    }

    #[test]
    fn damage_is_said() {
        let folder = tempfile::tempdir().unwrap();
        TlsKeys::open(folder.path(), &[], Clock::System).unwrap();
        std::fs::write(folder.path().join(CA_FILE), "x").unwrap();
        let error = TlsKeys::open(folder.path(), &[], Clock::System).unwrap_err();
        assert!(error.to_string().contains("ca.pem"), "{error}");
    }
}
