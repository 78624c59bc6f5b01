//! The keys of providers: fetched where their discovery document says, and kept for a while.
//!
//! However many tokens come, one provider is asked at most once a minute: a token that names a key nobody has makes no flood.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use jsonwebtoken::jwk::Jwk;
use parking_lot::Mutex;
use serde_json::Value;

use super::token::Token;
use super::{WebIdentityError, invalid};
use crate::outbound::OutboundClient;

/// Gets what stands at a URL, at most so many bytes; in words, why not.
pub trait Fetch: Send + Sync {
    /// See [`Fetch`].
    fn get<'a>(
        &'a self,
        url: &'a str,
        max_bytes: usize,
    ) -> Pin<Box<dyn Future<Output = Result<Vec<u8>, String>> + Send + 'a>>;
}

impl Fetch for OutboundClient {
    fn get<'a>(
        &'a self,
        url: &'a str,
        max_bytes: usize,
    ) -> Pin<Box<dyn Future<Output = Result<Vec<u8>, String>> + Send + 'a>> {
        Box::pin(async move { OutboundClient::get(self, url, max_bytes).await.map_err(|error| error.to_string()) })
    }
}

/// The keys of the providers that were asked lately.
#[derive(Clone)]
pub struct ProviderKeys {
    fetch: Arc<dyn Fetch>,
    issuers: Arc<Mutex<HashMap<String, Arc<tokio::sync::Mutex<IssuerKeys>>>>>,
}

#[derive(Default)]
struct IssuerKeys {
    keys: Vec<Jwk>,
    /// When they came, in seconds since the Unix epoch.
    fetched: Option<i64>,
    /// When they were asked for last.
    tried: Option<i64>,
    /// Why the last try failed.
    failure: String,
}

/// Seconds for which keys are used without asking.
const FRESH: i64 = 3600;
/// Seconds for which keys are used if the provider cannot be asked.
const STALE: i64 = 24 * 3600;
/// Seconds between two tries.
const PAUSE: i64 = 60;
const MAX_DOCUMENT_BYTES: usize = 256 << 10;
const MAX_KEYS: usize = 100;
const MAX_ISSUERS: usize = 1000;

impl ProviderKeys {
    /// No keys yet.
    pub fn new(fetch: impl Fetch + 'static) -> ProviderKeys {
        ProviderKeys { fetch: Arc::new(fetch), issuers: Arc::default() }
    }

    /// The one key that may have signed the token.
    pub(super) async fn key(&self, issuer_url: &str, token: &Token<'_>, now: i64) -> Result<Jwk, WebIdentityError> {
        let issuer = self.issuer(issuer_url);
        // Who comes while the keys are fetched waits for them.
        let mut held = issuer.lock().await;
        let age = held.fetched.map(|fetched| now.saturating_sub(fetched));
        let is_fresh = age.is_some_and(|age| age < FRESH);
        if is_fresh && let Some(key) = held.find(token)? {
            return Ok(key);
        }
        if held.tried.is_none_or(|tried| now.saturating_sub(tried) >= PAUSE) {
            held.tried = Some(now);
            match self.fetch_keys(issuer_url).await {
                Ok(keys) => (held.keys, held.fetched, held.failure) = (keys, Some(now), String::new()),
                Err(why) => held.failure = why,
            }
        }
        let is_usable = held.fetched.is_some_and(|fetched| now.saturating_sub(fetched) < STALE);
        if !is_usable {
            return Err(WebIdentityError::Communication(held.failure.clone()));
        }
        held.find(token)?.ok_or_else(|| invalid("the provider has no key that may have signed it"))
    }

    fn issuer(&self, url: &str) -> Arc<tokio::sync::Mutex<IssuerKeys>> {
        let mut issuers = self.issuers.lock();
        if issuers.len() >= MAX_ISSUERS && !issuers.contains_key(url) {
            // Those that are in nobody's hands; who comes back is asked anew.
            issuers.retain(|_, held| Arc::strong_count(held) > 1);
        }
        issuers.entry(url.to_owned()).or_default().clone()
    }

    async fn fetch_keys(&self, issuer_url: &str) -> Result<Vec<Jwk>, String> {
        let discovery = format!("{}/.well-known/openid-configuration", issuer_url.trim_end_matches('/'));
        let object = |bytes: Vec<u8>, url: &str| {
            serde_json::from_slice::<Value>(&bytes).map_err(|_| format!("what stands at `{url}` is no JSON"))
        };
        let document = object(self.fetch.get(&discovery, MAX_DOCUMENT_BYTES).await?, &discovery)?;
        // Discovery 1.0, 4.3: it speaks for the issuer that was asked for.
        if document.get("issuer").and_then(Value::as_str) != Some(issuer_url) {
            return Err(format!("`{discovery}` speaks for another issuer"));
        }
        let keys_url = document.get("jwks_uri").and_then(Value::as_str).filter(|url| url.len() <= 2048);
        let keys_url = keys_url.ok_or_else(|| format!("`{discovery}` names no keys"))?;
        let set = object(self.fetch.get(keys_url, MAX_DOCUMENT_BYTES).await?, keys_url)?;
        let keys = set.get("keys").and_then(Value::as_array).ok_or_else(|| format!("`{keys_url}` has no keys"))?;
        // Kinds of keys that are not known here are passed over.
        Ok(keys.iter().take(MAX_KEYS).filter_map(|key| serde_json::from_value(key.clone()).ok()).collect())
    }
}

impl IssuerKeys {
    fn find(&self, token: &Token<'_>) -> Result<Option<Jwk>, WebIdentityError> {
        let is_named = |key: &&Jwk| token.key_id.is_none() || key.common.key_id == token.key_id;
        let mut fitting = self.keys.iter().filter(is_named).filter(|key| token.fits(key));
        match (fitting.next(), fitting.next()) {
            (found, None) => Ok(found.cloned()),
            (_, Some(_)) => Err(invalid("it does not say which of the provider's keys has signed it")),
        }
    }
}
