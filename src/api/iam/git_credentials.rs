//! User names and passwords for Git over HTTPS: IAM calls them service-specific credentials.

use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};

use super::super::codec::Timestamp;
use super::super::error::ApiError;
use super::super::operation::{Call, NotRegistered, Operations};
use super::super::service::Service;
use super::Done;
use super::access_keys::{find_credential, is_active, status};
use super::asked::{asked, of_user};
use super::users::find_user;
use crate::identity::{Credential, CredentialKind, NewGitCredential, User};
use crate::operations::authorize::Weight::{Read, Write};

const SERVICE: &str = "codecommit.amazonaws.com";

pub(super) fn register(all: &mut Operations) -> Result<(), NotRegistered> {
    let iam = Service::Iam;
    let (create_name, reset_name) = ("iam:CreateServiceSpecificCredential", "iam:ResetServiceSpecificCredential");
    all.add(iam, "CreateServiceSpecificCredential", create_name, Write, of_user, create)?;
    let list_name = "iam:ListServiceSpecificCredentials";
    all.add(iam, "ListServiceSpecificCredentials", list_name, Read, of_user, list)?;
    all.add(iam, "ResetServiceSpecificCredential", reset_name, Write, of_user, reset)?;
    let (update_name, delete_name) = ("iam:UpdateServiceSpecificCredential", "iam:DeleteServiceSpecificCredential");
    all.add(iam, "UpdateServiceSpecificCredential", update_name, Write, of_user, update)?;
    all.add(iam, "DeleteServiceSpecificCredential", delete_name, Write, of_user, delete)
}

asked!(user: Create);
asked!(maybe user: List, Named);

fn is_git(kind: &CredentialKind) -> bool {
    matches!(kind, CredentialKind::Git { .. })
}

fn check_service(service: Option<&str>) -> Result<(), ApiError> {
    match service {
        None | Some(SERVICE) => Ok(()),
        Some(_) => {
            let message = format!("ServiceName: such credentials are for `{SERVICE}` only");
            Err(ApiError::client("NotSupportedService", 404, message))
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Shape {
    create_date: Timestamp,
    service_name: &'static str,
    service_user_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_password: Option<String>,
    service_specific_credential_id: String,
    user_name: String,
    status: &'static str,
}

impl Shape {
    fn of(user: &User, credential: &Credential) -> Option<Shape> {
        let CredentialKind::Git { user_name } = &credential.kind else { return None };
        Some(Shape {
            create_date: Timestamp(credential.created_ms),
            service_name: SERVICE,
            service_user_name: user_name.clone(),
            service_password: None,
            service_specific_credential_id: credential.id.clone(),
            user_name: user.name.to_string(),
            status: status(credential.active),
        })
    }

    fn new(user: &User, made: NewGitCredential, created_ms: i64) -> Shape {
        Shape {
            create_date: Timestamp(created_ms),
            service_name: SERVICE,
            service_user_name: made.user_name,
            service_password: Some(made.password.expose_secret().to_owned()),
            service_specific_credential_id: made.id,
            user_name: user.name.to_string(),
            status: status(true),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Create {
    user_name: String,
    service_name: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct One {
    service_specific_credential: Shape,
}

fn create(call: &Call<'_>, input: Create) -> Result<One, ApiError> {
    check_service(Some(&input.service_name))?;
    let user = find_user(call, Some(&input.user_name))?;
    let made = call.wait(call.host.identity().create_git_credential(call.account(), &user.name))?;
    Ok(One { service_specific_credential: Shape::new(&user, made, call.now_ms) })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct List {
    user_name: Option<String>,
    service_name: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct All {
    service_specific_credentials: Vec<Shape>,
    is_truncated: bool,
}

fn list(call: &Call<'_>, input: List) -> Result<All, ApiError> {
    check_service(input.service_name.as_deref())?;
    let user = find_user(call, input.user_name.as_deref())?;
    let shapes = call.directory.credentials(&user).filter_map(|credential| Shape::of(&user, credential)).collect();
    Ok(All { service_specific_credentials: shapes, is_truncated: false })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Named {
    user_name: Option<String>,
    service_specific_credential_id: String,
    status: Option<String>,
}

impl Named {
    fn find(&self, call: &Call<'_>) -> Result<(User, Credential), ApiError> {
        let user = find_user(call, self.user_name.as_deref())?;
        let id = &self.service_specific_credential_id;
        let found = find_credential(call, &user, id, "Service Specific Credential", is_git)?;
        Ok((user, found))
    }
}

fn reset(call: &Call<'_>, input: Named) -> Result<One, ApiError> {
    let (user, credential) = input.find(call)?;
    let made = call.wait(call.host.identity().reset_git_password(call.account(), &user.name, &credential.id))?;
    Ok(One { service_specific_credential: Shape::new(&user, made, credential.created_ms) })
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
