//! The signed passwords of AWS's Git clients: taken for the hosts that are this server's, for a quarter of an hour where a
//! conversation begins, and to its end by those who have begun one.
//!
//! What a client has signed for another server's name is nothing here: whoever runs that server could pass it on.

use std::collections::BTreeSet;
use std::sync::Arc;

use quick_cache::sync::Cache;
use secrecy::SecretString;

use super::GitRequest;
use super::lockgate::Lockgate;
use crate::identity::Principal;
use crate::sigv4::{FIRST_AGE_SECONDS, GitPassword, LATER_AGE_SECONDS, SignatureError, SigningKeys};

/// Most passwords that are remembered for the rest of their conversations.
const MAX_ADMITTED: usize = 1 << 16;

/// What checking signed passwords takes.
pub struct SignedPasswords {
    region: String,
    own_names: BTreeSet<String>,
    keys: Arc<SigningKeys>,
    /// Digests of passwords that have begun a conversation with a repository.
    admitted: Cache<[u8; 32], ()>,
}

impl SignedPasswords {
    /// For a server of these names, in a region.
    pub fn new(own_names: BTreeSet<String>, region: String) -> SignedPasswords {
        SignedPasswords { region, own_names, keys: Arc::default(), admitted: Cache::new(MAX_ADMITTED) }
    }

    /// The names and addresses under which clients may come.
    pub fn own_names(&self) -> &BTreeSet<String> {
        &self.own_names
    }

    /// Signing keys in use, which the API shares.
    pub fn keys(&self) -> &Arc<SigningKeys> {
        &self.keys
    }

    /// Whether a `Host` header names this server, whatever the port.
    pub fn is_own_host(&self, host: &str) -> bool {
        self.own_names.contains(&without_port(host).to_ascii_lowercase())
    }

    fn check(&self, signed: &GitPassword, secret: &SecretString, request: &GitRequest, now_seconds: i64) -> bool {
        if !self.is_own_host(&request.host) {
            tracing::info!(host = request.host, "refused a password that was signed for another host");
            return false;
        }
        // `git-remote-codecommit` signs the host with its port, the credential helper without.
        let hosts = [request.host.clone(), without_port(&request.host).to_owned()];
        let place = signed.digest(&request.path);
        let goes_on = !request.is_first && self.admitted.get(&place).is_some();
        let max_age_seconds = if goes_on { LATER_AGE_SECONDS } else { FIRST_AGE_SECONDS };
        // A password does not say its region.
        let others = REGIONS.iter().copied().filter(|other| *other != self.region);
        for region in [self.region.as_str()].into_iter().chain(others) {
            match signed.verify(secret, &hosts, &request.path, region, &self.keys, max_age_seconds, now_seconds) {
                Ok(()) => {
                    self.admitted.insert(place, ());
                    return true;
                }
                Err(SignatureError::Mismatch(_)) => {}
                Err(error) => {
                    tracing::info!(%error, key = signed.access_key_id, "refused a signed password");
                    return false;
                }
            }
        }
        false
    }
}

impl Lockgate {
    /// Whom a signed password proves. Wrong ones are not slowed down: a signature cannot be guessed.
    pub(super) fn authenticate_signed(&self, signed: &GitPassword, request: &GitRequest) -> Option<Principal> {
        let (principal, secret) = match &signed.token {
            Some(token) => {
                let key = self.identity().temporary_key(&signed.access_key_id, token).ok()?;
                (key.principal, key.secret)
            }
            None => {
                let key = self.identity().access_key(&signed.access_key_id)?;
                (key.principal, key.secret)
            }
        };
        let now_seconds = self.store().clock().now_seconds();
        self.signed_passwords().check(signed, &secret, request, now_seconds).then_some(principal)
    }
}

/// `example.com` of `example.com:8443`, `::1` of `[::1]:8443`.
fn without_port(host: &str) -> &str {
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split(']').next().unwrap_or_default();
    }
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

/// The regions that AWS's clients know for CodeCommit, and so may sign for.
const REGIONS: &[&str] = &[
    "us-east-1",
    "us-east-2",
    "us-west-1",
    "us-west-2",
    "ca-central-1",
    "sa-east-1",
    "eu-central-1",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "eu-north-1",
    "eu-south-1",
    "ap-east-1",
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-northeast-3",
    "ap-south-1",
    "ap-south-2",
    "ap-southeast-1",
    "ap-southeast-2",
    "ap-southeast-3",
    "af-south-1",
    "il-central-1",
    "me-central-1",
    "me-south-1",
    "us-gov-east-1",
    "us-gov-west-1",
];
