//! Tokens of OpenID providers: whether one is what it says, and for whom. OpenID Connect Core 1.0, sections 2 and 3.1.3.7, and
//! Discovery 1.0; RFC 7515, 7517, 7519, 8725.
//!
//! Which providers count, and which roles they open, is not decided here. Nothing of a token is believed before its signature is
//! right; a key is used for the algorithms of its own kind and for no others.

mod keys;
mod token;

use std::collections::{BTreeMap, BTreeSet};

pub use keys::{Fetch, ProviderKeys};

/// A provider, as it was registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provider {
    /// `https://` and the host, perhaps a port and a path: what tokens have to say as `iss`.
    pub issuer_url: String,
    /// The audiences that its tokens may be for.
    pub client_ids: BTreeSet<String>,
}

/// What a token says that is right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebIdentityClaims {
    /// `sub`.
    pub subject: String,
    /// The one of `aud` that the provider is registered with.
    pub audience: String,
    /// `azp`.
    pub authorized_party: Option<String>,
    /// When it ends, in seconds since the Unix epoch.
    pub expires: i64,
    /// The other claims that are a text, a number or a yes or no, as text.
    pub claims: BTreeMap<String, String>,
    /// `https://aws.amazon.com/tags`: the tags of the session.
    pub tags: BTreeMap<String, String>,
    /// Those of them that are kept when another role is taken.
    pub transitive_tags: BTreeSet<String>,
    /// `https://aws.amazon.com/source_identity`.
    pub source_identity: Option<String>,
}

/// Why a token does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WebIdentityError {
    /// It is no token of this provider, or is not signed by it.
    #[error("the token is not valid: {0}")]
    Invalid(String),
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
    /// What it says is not what was registered.
    #[error("the token is refused: {0}")]
    Rejected(String),
    /// The provider's keys cannot be had.
    #[error("the provider's keys cannot be fetched: {0}")]
    Communication(String),
}

/// What a token claims to be of, before anything of it is believed: to find the provider that it has to be checked against.
pub fn claimed_issuer(token: &str) -> Result<String, WebIdentityError> {
    let token = token::Token::parse(token)?;
    token.issuer().filter(|issuer| issuer.len() <= 512).map(str::to_owned).ok_or_else(|| invalid("it names no issuer"))
}

fn invalid(why: impl Into<String>) -> WebIdentityError {
    WebIdentityError::Invalid(why.into())
}

impl ProviderKeys {
    /// What the token says, if it is right at `now` (seconds since the Unix epoch).
    pub async fn verify(
        &self,
        provider: &Provider,
        token: &str,
        now: i64,
    ) -> Result<WebIdentityClaims, WebIdentityError> {
        let token = token::Token::parse(token)?;
        // What it claims is looked at before the keys are fetched, so that no token of another makes the server ask anybody; it
        // is believed after.
        token.check_issuer(provider)?;
        let key = self.key(&provider.issuer_url, &token, now).await?;
        token.verify(&key)?;
        token.claims(provider, now)
    }
}

#[cfg(test)]
mod tests;
