//! Keys that sign commits. AWS has no such operations: these are of the service `lockgate`, beside those of IAM because they are
//! about its users.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};

use super::super::codec::Timestamp;
use super::super::error::ApiError;
use super::super::operation::{Call, NotRegistered, Operations};
use super::super::service::Service;
use super::access_keys::find_credential;
use super::asked::{asked, of_user};
use super::users::find_user;
use super::{Done, PageEnd, Paging};
use crate::identity::{Credential, CredentialKind, User};
use crate::operations::authorize::Weight::{Read, Write};
use crate::operations::signing_keys::{NewSigningKey, SigningKeyError};

pub(in super::super) fn register(all: &mut Operations) -> Result<(), NotRegistered> {
    let own = Service::Lockgate;
    all.add(own, "RegisterSigningKey", "lockgate:RegisterSigningKey", Write, of_user, add)?;
    all.add(own, "ListSigningKeys", "lockgate:ListSigningKeys", Read, of_user, list)?;
    all.add(own, "DeleteSigningKey", "lockgate:DeleteSigningKey", Write, of_user, delete)
}

asked!(maybe user: Add, List, Named);

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Shape {
    user_name: String,
    signing_key_id: String,
    fingerprint: String,
    create_date: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    valid_from: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    valid_until: Option<Timestamp>,
}

impl Shape {
    fn of(user: &User, credential: &Credential) -> Option<Shape> {
        let CredentialKind::SigningKey(info) = &credential.kind else { return None };
        Some(Shape {
            user_name: user.name.to_string(),
            signing_key_id: credential.id.clone(),
            fingerprint: info.fingerprint.clone(),
            create_date: Timestamp(credential.created_ms),
            valid_from: info.from_ms.map(Timestamp),
            valid_until: info.until_ms.map(Timestamp),
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Add {
    user_name: Option<String>,
    /// An OpenSSH public key line or an armored OpenPGP public key.
    public_key: String,
    /// A commit that the key has signed, raw, in base64.
    proof: String,
    /// Seconds since 1970.
    valid_from: Option<f64>,
    valid_until: Option<f64>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct One {
    signing_key: Shape,
}

/// The last moment of the year 9999, in seconds since 1970.
const MAX_SECONDS: f64 = 253_402_300_799.0;

fn add(call: &Call<'_>, input: Add) -> Result<One, ApiError> {
    let user = find_user(call, input.user_name.as_deref())?;
    let proof = BASE64_STANDARD.decode(&input.proof).map_err(|_| ApiError::validation("Proof is not base64"))?;
    let time = |name: &str, seconds: Option<f64>| match seconds {
        None => Ok(None),
        #[expect(clippy::cast_possible_truncation, reason = "it lies in a range that has room")]
        Some(seconds) if (0.0..=MAX_SECONDS).contains(&seconds) => Ok(Some((seconds * 1000.0) as i64)),
        Some(_) => Err(ApiError::validation(format!("{name} is no time: seconds since 1970 are expected"))),
    };
    let (from_ms, until_ms) = (time("ValidFrom", input.valid_from)?, time("ValidUntil", input.valid_until)?);
    if from_ms.is_some() && until_ms.is_some() && from_ms >= until_ms {
        return Err(ApiError::validation("ValidUntil has to come after ValidFrom"));
    }
    let new = NewSigningKey { public_key: &input.public_key, from_ms, until_ms };
    let (identity, whose) = (call.host.identity(), (call.account(), &user.name));
    let made = new.register_with_proof(identity, whose, &proof, call.now_ms.div_euclid(1000));
    let made = call.host.store().wait(made).map_err(|error| match error {
        SigningKeyError::Identity(error) => ApiError::from(error),
        error => ApiError::client("InvalidPublicKey", 400, crate::telemetry::with_causes(&error)),
    })?;
    let signing_key = Shape::of(&user, &made).ok_or_else(|| ApiError::validation("it is no signing key"))?;
    Ok(One { signing_key })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct List {
    user_name: Option<String>,
    #[serde(flatten)]
    paging: Paging,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct All {
    signing_keys: Vec<Shape>,
    #[serde(flatten)]
    end: PageEnd,
}

fn list(call: &Call<'_>, input: List) -> Result<All, ApiError> {
    let user = find_user(call, input.user_name.as_deref())?;
    let mut keys: Vec<Shape> = call.directory.credentials(&user).filter_map(|key| Shape::of(&user, key)).collect();
    keys.sort_by(|a, b| a.signing_key_id.cmp(&b.signing_key_id));
    let (signing_keys, end) = input.paging.page(keys.into_iter(), |key| key.signing_key_id.clone())?.split();
    Ok(All { signing_keys, end })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Named {
    user_name: Option<String>,
    signing_key_id: String,
}

fn delete(call: &Call<'_>, input: Named) -> Result<Done, ApiError> {
    let user = find_user(call, input.user_name.as_deref())?;
    let is_signing_key = |kind: &CredentialKind| matches!(kind, CredentialKind::SigningKey(_));
    let found = find_credential(call, &user, &input.signing_key_id, "Signing Key", is_signing_key)?;
    call.wait(call.host.identity().revoke_credential(call.account(), &user.name, &found.id))?;
    Ok(Done {})
}
