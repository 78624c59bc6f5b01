//! Signing keys: four HMACs over the secret, the same for a day, a region and a service. Those in use are kept.

use quick_cache::sync::Cache;
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::mac;

/// Most keys that are kept.
const MAX_KEPT: usize = 4096;

/// Keys in use. Cloning is not needed: one is shared by all requests.
pub struct SigningKeys {
    kept: Cache<[u8; 32], Zeroizing<[u8; 32]>>,
    /// Under which keys are kept: a digest that says nothing without it.
    digest_key: Zeroizing<[u8; 32]>,
}

impl Default for SigningKeys {
    fn default() -> SigningKeys {
        let digest_key = Zeroizing::new(crate::store::seal::random::<32>());
        SigningKeys { kept: Cache::new(MAX_KEPT), digest_key }
    }
}

impl SigningKeys {
    /// Gives `is_right` the signing key of a secret, and keeps the key where it says so: strangers' guesses push nothing out. Kept
    /// by everything that it is made of, the secret included: a key that was replaced is found under no name.
    pub fn with_key(
        &self,
        access_key_id: &str,
        secret: &SecretString,
        (date, region, service): (&str, &str, &str),
        is_right: impl FnOnce(&[u8; 32]) -> bool,
    ) -> bool {
        let mut name = Zeroizing::new(Vec::with_capacity(192));
        for part in [access_key_id, secret.expose_secret(), date, region, service] {
            name.extend_from_slice(&(part.len() as u64).to_be_bytes());
            name.extend_from_slice(part.as_bytes());
        }
        let name = mac(&*self.digest_key, &name);
        if let Some(key) = self.kept.get(&name) {
            return is_right(&key);
        }
        let key = derive(secret, date, region, service);
        let right = is_right(&key);
        if right {
            self.kept.insert(name, key);
        }
        right
    }
}

/// Source: AWS, IAM User Guide, "Create a signed AWS API request", step 4.
pub(super) fn derive(secret: &SecretString, date: &str, region: &str, service: &str) -> Zeroizing<[u8; 32]> {
    let first = Zeroizing::new(format!("AWS4{}", secret.expose_secret()));
    let mut key = Zeroizing::new(mac(first.as_bytes(), date.as_bytes()));
    for part in [region, service, "aws4_request"] {
        key = Zeroizing::new(mac(&*key, part.as_bytes()));
    }
    key
}
