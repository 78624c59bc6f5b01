//! Access keys: two a user at most, so that one can be replaced by the other.

use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};

use super::super::codec::Timestamp;
use super::super::error::ApiError;
use super::super::operation::{Call, NotRegistered, Operations};
use super::super::service::Service;
use super::asked::{self, asked, of_user};
use super::users::find_user;
use super::{Done, PageEnd, Paging, principal_name};
use crate::identity::{Credential, CredentialKind, User};
use crate::names::escape_for_people;
use crate::operations::authorize::Weight::{Read, Write};
use crate::policy::ResourceFacts;

pub(super) fn register(all: &mut Operations) -> Result<(), NotRegistered> {
    let iam = Service::Iam;
    all.add(iam, "CreateAccessKey", "iam:CreateAccessKey", Write, of_user, create)?;
    all.add(iam, "ListAccessKeys", "iam:ListAccessKeys", Read, of_user, list)?;
    all.add(iam, "UpdateAccessKey", "iam:UpdateAccessKey", Write, of_user, update)?;
    all.add(iam, "DeleteAccessKey", "iam:DeleteAccessKey", Write, of_user, delete)?;
    all.add(iam, "GetAccessKeyLastUsed", "iam:GetAccessKeyLastUsed", Read, of_keys_user, last_used)
}

asked!(maybe user: MaybeUser, ListKeys, UpdateKey, DeleteKey);

/// The user whose key it is. Of a key that nobody has, a user that is not: who may ask about all users is told that there is none.
fn of_keys_user(call: &Call<'_>, input: &NamedKey) -> Result<ResourceFacts, ApiError> {
    match user_of_key(call, &input.access_key_id) {
        Some(user) => Ok(asked::user(call, &user.name)),
        None => Ok(asked::user(call, &principal_name("userName", NOBODY)?)),
    }
}

fn user_of_key<'a>(call: &'a Call<'_>, id: &str) -> Option<&'a User> {
    let has_it = |user: &&User| call.directory.credentials(user).any(|key| key.id == id && is_access_key(&key.kind));
    call.directory.users(call.account()).find(has_it)
}

const NOBODY: &str = "nobody";

/// `Active` or `Inactive`.
pub(super) fn status(active: bool) -> &'static str {
    if active { "Active" } else { "Inactive" }
}

/// Reads `Active` or `Inactive`.
pub(super) fn is_active(status: &str) -> Result<bool, ApiError> {
    match status {
        "Active" => Ok(true),
        "Inactive" => Ok(false),
        other => {
            let shown = escape_for_people(other.as_bytes(), 40);
            Err(ApiError::validation(format!("Value '{shown}' at 'status' is neither Active nor Inactive")))
        }
    }
}

/// A user's credential of that id, if `is_kind` says that it is of the kind that is asked for.
pub(super) fn find_credential(
    call: &Call<'_>,
    user: &User,
    id: &str,
    what: &str,
    is_kind: fn(&CredentialKind) -> bool,
) -> Result<Credential, ApiError> {
    let found = call.directory.credentials(user).find(|credential| credential.id == id && is_kind(&credential.kind));
    found.cloned().ok_or_else(|| {
        let shown = escape_for_people(id.as_bytes(), 64);
        ApiError::client("NoSuchEntity", 404, format!("The {what} with id {shown} cannot be found."))
    })
}

fn is_access_key(kind: &CredentialKind) -> bool {
    matches!(kind, CredentialKind::AccessKey)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct MaybeUser {
    user_name: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct NewKey {
    access_key: KeyShape,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct KeyShape {
    user_name: String,
    access_key_id: String,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret_access_key: Option<String>,
    create_date: Timestamp,
}

fn create(call: &Call<'_>, input: MaybeUser) -> Result<NewKey, ApiError> {
    let user = find_user(call, input.user_name.as_deref())?;
    let made = call.wait(call.host.identity().create_access_key(call.account(), &user.name))?;
    let access_key = KeyShape {
        user_name: user.name.to_string(),
        access_key_id: made.id,
        status: status(true),
        secret_access_key: Some(made.secret.expose_secret().to_owned()),
        create_date: Timestamp(call.now_ms),
    };
    Ok(NewKey { access_key })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListKeys {
    user_name: Option<String>,
    #[serde(flatten)]
    paging: Paging,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Keys {
    access_key_metadata: Vec<KeyShape>,
    #[serde(flatten)]
    end: PageEnd,
}

fn list(call: &Call<'_>, input: ListKeys) -> Result<Keys, ApiError> {
    let user = find_user(call, input.user_name.as_deref())?;
    let mut keys: Vec<_> = call.directory.credentials(&user).filter(|key| is_access_key(&key.kind)).collect();
    keys.sort_by(|a, b| a.id.cmp(&b.id));
    let (keys, end) = input.paging.page(keys.into_iter(), |key| key.id.clone())?.split();
    let shape = |key: &Credential| KeyShape {
        user_name: user.name.to_string(),
        access_key_id: key.id.clone(),
        status: status(key.active),
        secret_access_key: None,
        create_date: Timestamp(key.created_ms),
    };
    Ok(Keys { access_key_metadata: keys.into_iter().map(shape).collect(), end })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct UpdateKey {
    user_name: Option<String>,
    access_key_id: String,
    status: String,
}

fn update(call: &Call<'_>, input: UpdateKey) -> Result<Done, ApiError> {
    let active = is_active(&input.status)?;
    let user = find_user(call, input.user_name.as_deref())?;
    let key = find_credential(call, &user, &input.access_key_id, "Access Key", is_access_key)?;
    call.wait(call.host.identity().set_credential_active(call.account(), &user.name, &key.id, active))?;
    Ok(Done {})
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DeleteKey {
    user_name: Option<String>,
    access_key_id: String,
}

fn delete(call: &Call<'_>, input: DeleteKey) -> Result<Done, ApiError> {
    let user = find_user(call, input.user_name.as_deref())?;
    let key = find_credential(call, &user, &input.access_key_id, "Access Key", is_access_key)?;
    call.wait(call.host.identity().revoke_credential(call.account(), &user.name, &key.id))?;
    Ok(Done {})
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct NamedKey {
    access_key_id: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct LastUsed {
    user_name: String,
    access_key_last_used: LastUse,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct LastUse {
    #[serde(skip_serializing_if = "Option::is_none")]
    last_used_date: Option<Timestamp>,
    service_name: String,
    region: String,
}

fn last_used(call: &Call<'_>, input: NamedKey) -> Result<LastUsed, ApiError> {
    let Some(user) = user_of_key(call, &input.access_key_id) else {
        let shown = escape_for_people(input.access_key_id.as_bytes(), 32);
        return Err(ApiError::client("AccessDenied", 403, format!("there is no access key {shown} in this account")));
    };
    let found = call.host.last_use(&input.access_key_id).map_err(|error| ApiError::internal(&error))?;
    let access_key_last_used = match found {
        Some(last) => {
            LastUse { last_used_date: Some(Timestamp(last.at_ms)), service_name: last.service, region: last.region }
        }
        None => LastUse { last_used_date: None, service_name: "N/A".to_owned(), region: "N/A".to_owned() },
    };
    Ok(LastUsed { user_name: user.name.to_string(), access_key_last_used })
}
