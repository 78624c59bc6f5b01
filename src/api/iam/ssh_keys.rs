//! Public keys for Git over SSH. Their ids are what AWS's users give as SSH user name.

use serde::{Deserialize, Serialize};

use super::super::codec::Timestamp;
use super::super::error::ApiError;
use super::super::operation::{Call, NotRegistered, Operations};
use super::super::service::Service;
use super::access_keys::{find_credential, is_active, status};
use super::asked::{asked, of_user};
use super::users::find_user;
use super::{Done, PageEnd, Paging};
use crate::identity::{Credential, CredentialKind, User};
use crate::operations::authorize::Weight::{Read, Write};

pub(super) fn register(all: &mut Operations) -> Result<(), NotRegistered> {
    let iam = Service::Iam;
    all.add(iam, "UploadSSHPublicKey", "iam:UploadSSHPublicKey", Write, of_user, upload)?;
    all.add(iam, "GetSSHPublicKey", "iam:GetSSHPublicKey", Read, of_user, get)?;
    all.add(iam, "ListSSHPublicKeys", "iam:ListSSHPublicKeys", Read, of_user, list)?;
    all.add(iam, "UpdateSSHPublicKey", "iam:UpdateSSHPublicKey", Write, of_user, update)?;
    all.add(iam, "DeleteSSHPublicKey", "iam:DeleteSSHPublicKey", Write, of_user, delete)
}

asked!(user: Upload);
asked!(maybe user: Named, List);

fn is_ssh_key(kind: &CredentialKind) -> bool {
    matches!(kind, CredentialKind::SshKey { .. })
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Shape {
    user_name: String,
    #[serde(rename = "SSHPublicKeyId")]
    id: String,
    fingerprint: String,
    #[serde(rename = "SSHPublicKeyBody")]
    body: String,
    status: &'static str,
    upload_date: Timestamp,
}

impl Shape {
    fn of(user: &User, credential: &Credential) -> Option<Shape> {
        let CredentialKind::SshKey { fingerprint, openssh, .. } = &credential.kind else { return None };
        Some(Shape {
            user_name: user.name.to_string(),
            id: credential.id.clone(),
            fingerprint: fingerprint.clone(),
            body: openssh.clone(),
            status: status(credential.active),
            upload_date: Timestamp(credential.created_ms),
        })
    }
}

#[derive(Serialize)]
struct One {
    #[serde(rename = "SSHPublicKey")]
    key: Shape,
}

impl One {
    fn of(user: &User, credential: &Credential) -> Result<One, ApiError> {
        let key = Shape::of(user, credential);
        key.map(|key| One { key }).ok_or_else(|| ApiError::client("NoSuchEntity", 404, "it is no SSH public key"))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Upload {
    user_name: String,
    #[serde(rename = "SSHPublicKeyBody")]
    body: String,
}

fn upload(call: &Call<'_>, input: Upload) -> Result<One, ApiError> {
    let user = find_user(call, Some(&input.user_name))?;
    let made = call.wait(call.host.identity().add_ssh_key(call.account(), &user.name, &input.body))?;
    One::of(&user, &made)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Named {
    user_name: Option<String>,
    #[serde(rename = "SSHPublicKeyId")]
    id: String,
    encoding: Option<String>,
    status: Option<String>,
}

impl Named {
    fn find(&self, call: &Call<'_>) -> Result<(User, Credential), ApiError> {
        let user = find_user(call, self.user_name.as_deref())?;
        let found = find_credential(call, &user, &self.id, "Public Key", is_ssh_key)?;
        Ok((user, found))
    }
}

fn get(call: &Call<'_>, input: Named) -> Result<One, ApiError> {
    match input.encoding.as_deref() {
        None | Some("SSH") => {}
        Some(_) => {
            let message = "Encoding: keys are given back as `SSH` only";
            return Err(ApiError::client("UnrecognizedPublicKeyEncoding", 400, message));
        }
    }
    let (user, credential) = input.find(call)?;
    One::of(&user, &credential)
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
struct Listed {
    user_name: String,
    #[serde(rename = "SSHPublicKeyId")]
    id: String,
    status: &'static str,
    upload_date: Timestamp,
}

#[derive(Serialize)]
struct All {
    #[serde(rename = "SSHPublicKeys")]
    keys: Vec<Listed>,
    #[serde(flatten)]
    end: PageEnd,
}

fn list(call: &Call<'_>, input: List) -> Result<All, ApiError> {
    let user = find_user(call, input.user_name.as_deref())?;
    let mut keys: Vec<Shape> = call.directory.credentials(&user).filter_map(|key| Shape::of(&user, key)).collect();
    keys.sort_by(|a, b| a.id.cmp(&b.id));
    let (keys, end) = input.paging.page(keys.into_iter(), |key| key.id.clone())?.split();
    let listed =
        |key: Shape| Listed { user_name: key.user_name, id: key.id, status: key.status, upload_date: key.upload_date };
    Ok(All { keys: keys.into_iter().map(listed).collect(), end })
}

fn update(call: &Call<'_>, input: Named) -> Result<Done, ApiError> {
    let active = is_active(input.status.as_deref().unwrap_or_default())?;
    let (user, credential) = input.find(call)?;
    call.wait(call.host.identity().set_credential_active(call.account(), &user.name, &credential.id, active))?;
    Ok(Done {})
}

fn delete(call: &Call<'_>, input: Named) -> Result<Done, ApiError> {
    let (user, credential) = input.find(call)?;
    call.wait(call.host.identity().revoke_credential(call.account(), &user.name, &credential.id))?;
    Ok(Done {})
}
