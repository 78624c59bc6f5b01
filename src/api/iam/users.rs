//! Users.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::super::codec::{Blob, Entries, Timestamp};
use super::super::error::ApiError;
use super::super::iam_ids::user_id;
use super::super::operation::{Call, NotRegistered, Operations};
use super::super::service::Service;
use super::super::sts::Tag;
use super::asked::{self, asked, of_account, of_user};
use super::tags::{Tags, tags, with_more_tags};
use super::{Done, PageEnd, Paging, check_path, principal_name, user_name};
use crate::identity::{CredentialKind, User};
use crate::operations::authorize::Weight::{Read, Write};
use crate::operations::renaming::rename_user;

pub(super) fn register(all: &mut Operations) -> Result<(), NotRegistered> {
    let iam = Service::Iam;
    all.add(
        iam,
        "CreateUser",
        "iam:CreateUser",
        Write,
        |call, input: &CreateUser| asked::with_tags(of_user(call, input)?, &input.tags),
        create_user,
    )?;
    all.add(iam, "GetUser", "iam:GetUser", Read, of_user, get_user)?;
    all.add(iam, "ListUsers", "iam:ListUsers", Read, of_account, list_users)?;
    all.add(iam, "DeleteUser", "iam:DeleteUser", Write, of_user, delete_user)?;
    all.add(iam, "UpdateUser", "iam:UpdateUser", Write, of_user, update_user)?;
    all.add(
        iam,
        "TagUser",
        "iam:TagUser",
        Write,
        |call, input: &TagUser| asked::with_tags(of_user(call, input)?, &input.tags),
        tag_user,
    )?;
    all.add(
        iam,
        "UntagUser",
        "iam:UntagUser",
        Write,
        |call, input: &UntagUser| asked::without_tags(of_user(call, input)?, &input.tag_keys),
        untag_user,
    )?;
    all.add(iam, "ListUserTags", "iam:ListUserTags", Read, of_user, list_user_tags)?;
    all.add(iam, "GetAccountSummary", "iam:GetAccountSummary", Read, of_account, get_account_summary)?;
    let generate = "iam:GenerateCredentialReport";
    all.add(iam, "GenerateCredentialReport", generate, Read, of_account, generate_credential_report)?;
    all.add(iam, "GetCredentialReport", "iam:GetCredentialReport", Read, of_account, get_credential_report)
}

asked!(maybe user: MaybeUser);
asked!(user: UpdateUser, CreateUser, NamedUser, TagUser, UntagUser);

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct UserShape {
    path: &'static str,
    user_name: String,
    user_id: String,
    arn: String,
    create_date: Timestamp,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<Tag>,
}

impl UserShape {
    /// As lists show it, without tags.
    pub(super) fn of(user: &User) -> UserShape {
        UserShape {
            path: "/",
            user_name: user.name.to_string(),
            user_id: user_id(user.id),
            arn: user.arn(),
            create_date: Timestamp(user.created_ms),
            tags: Vec::new(),
        }
    }

    fn with_tags(user: &User) -> UserShape {
        UserShape { tags: tags(&user.tags), ..UserShape::of(user) }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CreateUser {
    user_name: String,
    path: Option<String>,
    permissions_boundary: Option<String>,
    #[serde(default)]
    tags: Vec<Tag>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct OneUser {
    user: UserShape,
}

fn create_user(call: &Call<'_>, input: CreateUser) -> Result<OneUser, ApiError> {
    check_path(input.path.as_deref())?;
    if input.permissions_boundary.is_some() {
        let message = "PermissionsBoundary: there are none here; forbid in a policy what the user may never do";
        return Err(ApiError::validation(message));
    }
    let name = principal_name("userName", &input.user_name)?;
    let tags = with_more_tags(&BTreeMap::new(), input.tags)?;
    let identity = call.host.identity();
    let user = call.wait(identity.create_tagged_user(call.account(), &name, &[], tags))?;
    Ok(OneUser { user: UserShape::with_tags(&user) })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct MaybeUser {
    user_name: Option<String>,
}

fn get_user(call: &Call<'_>, input: MaybeUser) -> Result<OneUser, ApiError> {
    let user = find_user(call, input.user_name.as_deref())?;
    Ok(OneUser { user: UserShape::with_tags(&user) })
}

/// The user of a request, or the caller's own, as of now.
pub(super) fn find_user(call: &Call<'_>, given: Option<&str>) -> Result<User, ApiError> {
    let name = user_name(call, given)?;
    call.directory
        .user(call.account(), &name)
        .cloned()
        .ok_or_else(|| ApiError::client("NoSuchEntity", 404, format!("The user with name {name} cannot be found.")))
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Users {
    users: Vec<UserShape>,
    #[serde(flatten)]
    end: PageEnd,
}

fn list_users(call: &Call<'_>, paging: Paging) -> Result<Users, ApiError> {
    let page = paging.page(call.directory.users(call.account()), |user| user.name.folded())?;
    let (users, end) = page.split();
    Ok(Users { users: users.into_iter().map(UserShape::of).collect(), end })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct NamedUser {
    user_name: String,
}

/// As in IAM, what a user has is taken away first.
fn delete_user(call: &Call<'_>, input: NamedUser) -> Result<Done, ApiError> {
    let user = find_user(call, Some(&input.user_name))?;
    let has = |what: &str| Err(ApiError::conflict(format!("Cannot delete entity, must {what} first.")));
    for credential in call.directory.credentials(&user) {
        match &credential.kind {
            CredentialKind::AccessKey => return has("delete access keys"),
            CredentialKind::SshKey { .. } => return has("delete SSH public keys"),
            CredentialKind::Git { .. } => return has("delete service specific credentials"),
            CredentialKind::SigningKey(_) => {}
        }
    }
    if !user.groups.is_empty() {
        return has("remove users from group");
    }
    if !user.policies.inline.is_empty() {
        return has("delete policies");
    }
    if !user.policies.managed.is_empty() {
        return has("detach all policies");
    }
    if call.directory.has_mfa(user.id) {
        return has("delete MFA device");
    }
    call.wait(call.host.identity().delete_user(call.account(), &user.name))?;
    Ok(Done {})
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct UpdateUser {
    user_name: String,
    new_user_name: Option<String>,
    new_path: Option<String>,
}

/// As in IAM, who gives another name needs the right on both.
fn update_user(call: &Call<'_>, input: UpdateUser) -> Result<Done, ApiError> {
    check_path(input.new_path.as_deref())?;
    let user = find_user(call, Some(&input.user_name))?;
    let Some(new) = input.new_user_name else { return Ok(Done {}) };
    let new = principal_name("newUserName", &new)?;
    call.also("iam:UpdateUser", &asked::user(call, &new))?;
    call.wait(rename_user(call.host.identity(), call.host.policies(), call.account(), &user.name, &new))?;
    Ok(Done {})
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TagUser {
    user_name: String,
    #[serde(default)]
    tags: Vec<Tag>,
}

fn tag_user(call: &Call<'_>, input: TagUser) -> Result<Done, ApiError> {
    let user = find_user(call, Some(&input.user_name))?;
    let tags = with_more_tags(&user.tags, input.tags)?;
    call.wait(call.host.identity().set_user_tags(call.account(), &user.name, tags))?;
    Ok(Done {})
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct UntagUser {
    user_name: String,
    #[serde(default)]
    tag_keys: Vec<String>,
}

fn untag_user(call: &Call<'_>, input: UntagUser) -> Result<Done, ApiError> {
    let user = find_user(call, Some(&input.user_name))?;
    let mut tags = user.tags.clone();
    tags.retain(|key, _| !input.tag_keys.contains(key));
    call.wait(call.host.identity().set_user_tags(call.account(), &user.name, tags))?;
    Ok(Done {})
}

fn list_user_tags(call: &Call<'_>, input: NamedUser) -> Result<Tags, ApiError> {
    Ok(Tags::of(&find_user(call, Some(&input.user_name))?.tags))
}

#[derive(Deserialize)]
struct Nothing {}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct AccountSummary {
    summary_map: Entries<usize>,
}

fn get_account_summary(call: &Call<'_>, _: Nothing) -> Result<AccountSummary, ApiError> {
    let (directory, account) = (&call.directory, call.account());
    let attached_versions: usize = directory.managed_policies(account).map(|policy| policy.versions.len()).sum();
    let devices = directory.mfa_devices(account);
    let summary_map = BTreeMap::from([
        ("Users", directory.users(account).count()),
        ("Groups", directory.groups(account).count()),
        ("Roles", directory.roles(account).count()),
        ("Policies", directory.managed_policies(account).count()),
        ("PolicyVersionsInUse", attached_versions),
        ("Providers", directory.oidc_providers(account).count()),
        ("MFADevices", directory.mfa_devices(account).count()),
        ("MFADevicesInUse", devices.filter(|device| device.user.is_some()).count()),
        // The account's root has no credentials here.
        ("AccountMFAEnabled", 0),
        ("AccountAccessKeysPresent", 0),
        ("AccountPasswordPresent", 0),
        ("AccessKeysPerUserQuota", 2),
        ("VersionsPerPolicyQuota", crate::identity::MAX_POLICY_VERSIONS),
    ]);
    let summary_map = summary_map.into_iter().map(|(name, number)| (name.to_owned(), number)).collect();
    Ok(AccountSummary { summary_map: Entries(summary_map) })
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ReportState {
    state: &'static str,
    description: &'static str,
}

/// There is nothing to wait for: a report is made when it is asked for.
fn generate_credential_report(_: &Call<'_>, _: Nothing) -> Result<ReportState, ApiError> {
    Ok(ReportState { state: "COMPLETE", description: "a report is made whenever it is asked for" })
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct CredentialReport {
    content: Blob,
    report_format: &'static str,
    generated_time: Timestamp,
}

fn get_credential_report(call: &Call<'_>, _: Nothing) -> Result<CredentialReport, ApiError> {
    let csv = call.host.credential_report(call.account()).map_err(|error| ApiError::internal(&error))?;
    Ok(CredentialReport {
        content: Blob(csv.into_bytes()),
        report_format: "text/csv",
        generated_time: Timestamp(call.now_ms),
    })
}
