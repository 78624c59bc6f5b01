//! Who keeps the root key, as the configuration says: a file of the keys folder, or AWS KMS.
//!
//! KMS gets the root key once, to seal it, and seals it under its key and an encryption context that says what it is; the
//! keys folder keeps the ciphertext. At each start, and again before the lease is over, KMS is asked to open it: whoever
//! disables the key there, or takes the right to it away, ends all access here. The actions needed are `kms:Encrypt` and
//! `kms:Decrypt`. Wire: AWS KMS API Reference, 2014-11-01, awsJson 1.1.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures::future::BoxFuture;
use reqwest::Url;
use serde::{Deserialize, Serialize};
use serde_json::json;
use zeroize::Zeroizing;

use crate::aws_client::{AwsClient, AwsClientOptions, AwsCredentials};
use crate::clock::Clock;
use crate::config::{Config, KmsSettings, RootKeyKeeper, aws_environment};
use crate::store::keyring::RootKeyProviders;
use crate::store::keyring::root::{RootKeyError, RootKeyProvider};
use crate::store::seal::Key;

/// The providers that a configuration names; the other ones are read, so that a root key can be moved.
pub fn providers(config: &Config, clock: &Clock) -> RootKeyProviders {
    let kms = Arc::new(AwsKms { settings: config.root_key.kms.clone(), clock: clock.clone() });
    match config.root_key.keeper {
        RootKeyKeeper::File => RootKeyProviders::file_or(kms),
        RootKeyKeeper::AwsKms => RootKeyProviders::with(kms),
    }
}

/// AWS KMS, or a server that speaks its wire.
pub struct AwsKms {
    settings: KmsSettings,
    clock: Clock,
}

const NAME: &str = "aws-kms";
const FILE: &str = "root.kms";
const TIMEOUT: Duration = Duration::from_secs(10);

/// What lies in the keys folder, as JSON: nothing of it is secret.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Kept {
    /// The ARN of the key in KMS.
    key_id: String,
    region: String,
    endpoint: String,
    /// In base64.
    ciphertext: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Encrypted {
    ciphertext_blob: String,
    key_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Decrypted {
    plaintext: Zeroizing<String>,
}

impl AwsKms {
    async fn ask<T: serde::de::DeserializeOwned>(
        &self,
        (endpoint, region): (&Url, &str),
        action: &str,
        body: &serde_json::Value,
    ) -> Result<T, RootKeyError> {
        let unreachable =
            |source: Box<dyn std::error::Error + Send + Sync>| RootKeyError::Unreachable { provider: NAME, source };
        let credentials: AwsCredentials = credentials(&self.settings).map_err(|why| unreachable(why.into()))?;
        let options = AwsClientOptions {
            region: region.to_owned(),
            timeout: TIMEOUT,
            authorities: None,
            allow_plain_loopback: true,
        };
        let client = AwsClient::new(endpoint, options).map_err(|error| unreachable(error.into()))?;
        let target = format!("TrentService.{action}");
        let headers = [("content-type", "application/x-amz-json-1.1"), ("x-amz-target", &*target)];
        let (status, answer) = client
            .call(&credentials, "kms", &headers, body.to_string(), self.clock.now_ms())
            .await
            .map_err(|error| unreachable(error.into()))?;
        let answer = Zeroizing::new(answer);
        match status {
            200 => serde_json::from_str(&answer).map_err(|error| unreachable(error.into())),
            // Throttled, or out of order: the same question may be answered later.
            429 | 500.. => Err(unreachable(format!("{}: {}", client.url(), said(status, &answer)).into())),
            _ if is_passing(&answer) => Err(unreachable(said(status, &answer).into())),
            _ => Err(RootKeyError::Refused { provider: NAME, why: said(status, &answer) }),
        }
    }
}

/// Read at each call: what made them may make fresh ones at any time.
fn credentials(settings: &KmsSettings) -> Result<AwsCredentials, String> {
    aws_credentials(settings.credentials_file.as_deref(), &settings.profile, "root_key.kms_credentials_file")
}

/// What signs requests to a server that speaks AWS's wire: a profile of a file in the form of `~/.aws/credentials`, or without a file
/// the environment. `key` is the configuration's that names the file, for messages.
pub fn aws_credentials(file: Option<&Path>, profile: &str, key: &str) -> Result<AwsCredentials, String> {
    let Some(file) = file else {
        let found = aws_environment().map(|(id, secret, token)| AwsCredentials { id, secret, token });
        return found.ok_or_else(|| {
            format!("there are no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or `{key}`")
        });
    };
    let text = std::fs::read_to_string(file).map(Zeroizing::new);
    let text = text.map_err(|error| format!("`{}` cannot be read: {error}", file.display()))?;
    of_profile(&text, profile).ok_or_else(|| format!("`{}` has no credentials under `[{profile}]`", file.display()))
}

/// The credentials of one section in the form of `~/.aws/credentials`.
fn of_profile(text: &str, profile: &str) -> Option<AwsCredentials> {
    let (mut id, mut secret, mut token) = (None, None, None);
    let mut is_ours = false;
    for line in text.lines().map(str::trim) {
        if let Some(section) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            is_ours = section.trim() == profile;
        } else if let Some((name, value)) = line.split_once('=').filter(|_| is_ours) {
            let value = Some(value.trim()).filter(|value| !value.is_empty()).map(str::to_owned);
            match name.trim() {
                "aws_access_key_id" => id = value,
                "aws_secret_access_key" => secret = value.map(Into::into),
                "aws_session_token" => token = value.map(Into::into),
                _ => {}
            }
        }
    }
    Some(AwsCredentials { id: id?, secret: secret?, token })
}

/// Errors with a client's status that say nothing about the key: throttling, a failing dependency, a clock that is off,
/// credentials that are over until fresh ones are there.
const PASSING: [&str; 8] = [
    "ThrottlingException",
    "LimitExceededException",
    "DependencyTimeoutException",
    "KMSInternalException",
    "KeyUnavailableException",
    "RequestExpired",
    "ExpiredTokenException",
    "InvalidSignatureException",
];

fn code_of(answer: &str) -> Option<String> {
    let json: serde_json::Value = serde_json::from_str(answer).ok()?;
    let code = json.get("__type")?.as_str()?;
    Some(code.rsplit('#').next().unwrap_or(code).to_owned())
}

fn is_passing(answer: &str) -> bool {
    code_of(answer).is_some_and(|code| PASSING.contains(&code.as_str()))
}

/// What an answer says of an error, for the log.
fn said(status: u16, answer: &str) -> String {
    let json: serde_json::Value = serde_json::from_str(answer).unwrap_or_default();
    let message = ["message", "Message"].iter().find_map(|name| json.get(name)?.as_str()).unwrap_or_default();
    let text = format!("{} {message} (status {status})", code_of(answer).unwrap_or_default());
    crate::names::escape_for_people(text.trim().as_bytes(), 500)
}

/// Bound to the ciphertext: it opens as nothing else.
fn context() -> serde_json::Value {
    json!({"lockgate": "root key"})
}

impl RootKeyProvider for AwsKms {
    fn name(&self) -> &'static str {
        NAME
    }

    fn file_name(&self) -> &'static str {
        FILE
    }

    fn keep<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Zeroizing<Vec<u8>>, RootKeyError>> {
        Box::pin(async {
            let (endpoint, region) = (self.settings.endpoint.clone(), self.settings.region.clone());
            let plaintext = Zeroizing::new(BASE64_STANDARD.encode(key.dangerous_bytes()));
            let body = json!({"KeyId": self.settings.key_id, "Plaintext": *plaintext, "EncryptionContext": context()});
            let encrypted: Encrypted = self.ask((&endpoint, &region), "Encrypt", &body).await?;
            let endpoint = endpoint.to_string();
            let kept = Kept { key_id: encrypted.key_id, region, endpoint, ciphertext: encrypted.ciphertext_blob };
            let text = serde_json::to_vec_pretty(&kept).map_err(|_| RootKeyError::Damaged { file: FILE })?;
            Ok(Zeroizing::new(text))
        })
    }

    fn recover<'a>(&'a self, kept: &'a [u8]) -> BoxFuture<'a, Result<Key, RootKeyError>> {
        Box::pin(async move {
            let damaged = RootKeyError::Damaged { file: FILE };
            let Ok(kept) = serde_json::from_slice::<Kept>(kept) else { return Err(damaged) };
            let Ok(endpoint) = kept.endpoint.parse::<Url>() else { return Err(damaged) };
            let body = json!({
                "KeyId": kept.key_id, "CiphertextBlob": kept.ciphertext, "EncryptionContext": context(),
            });
            let decrypted: Decrypted = self.ask((&endpoint, &kept.region), "Decrypt", &body).await?;
            let bytes = BASE64_STANDARD.decode(&*decrypted.plaintext).map(Zeroizing::new);
            let key = bytes.ok().and_then(|bytes| Some(Key::from_bytes(bytes.as_slice().try_into().ok()?)));
            key.ok_or(damaged)
        })
    }

    fn lease(&self) -> Option<Duration> {
        Some(self.settings.lease)
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn credentials_are_those_of_the_profile() {
        let text = "# x\n[default]\naws_access_key_id = A\n\n[kms]\naws_access_key_id=B\n aws_secret_access_key = c=d \naws_session_token = t\n[z]\n";
        let found = of_profile(text, "kms").unwrap();
        assert_eq!((found.id.as_str(), found.secret.expose_secret()), ("B", "c=d"));
        assert_eq!(found.token.unwrap().expose_secret(), "t");
        assert!(of_profile(text, "default").is_none() && of_profile(text, "none").is_none());
    }

    #[test]
    fn errors_that_pass_do_not_end_access() {
        let of = |code: &str| format!(r#"{{"__type":"com.amazonaws.kms#{code}","message":"m\u001b"}}"#);
        assert!(is_passing(&of("ThrottlingException")));
        for code in ["DisabledException", "KMSInvalidStateException", "AccessDeniedException", "NotFoundException"] {
            assert!(!is_passing(&of(code)), "{code}");
        }
        assert!(!is_passing("<html>") && !is_passing("{}"));
        assert_eq!(said(400, &of("DisabledException")), "DisabledException m\\u{1b} (status 400)");
        assert_eq!(said(502, "<html>"), "(status 502)");
    }
}
