//! Roles, and who may take them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::super::codec::Timestamp;
use super::super::error::ApiError;
use super::super::iam_ids::role_id;
use super::super::operation::{Call, NotRegistered, Operations};
use super::super::service::Service;
use super::super::sts::Tag;
use super::asked::{self, asked, of_account, of_role};
use super::policies::{check_document, encoded};
use super::tags::{Tags, tags, with_more_tags};
use super::{Done, PageEnd, Paging, check_path, principal_name};
use crate::identity::{Role, RoleChange};
use crate::operations::authorize::Weight::{Read, Write};
use crate::policy::AttachedTo;

/// As in IAM, in seconds.
const SESSION_SECONDS: std::ops::RangeInclusive<u32> = 3600..=43_200;
const MAX_DESCRIPTION: usize = 1000;

pub(super) fn register(all: &mut Operations) -> Result<(), NotRegistered> {
    let iam = Service::Iam;
    all.add(
        iam,
        "CreateRole",
        "iam:CreateRole",
        Write,
        |call, input: &CreateRole| asked::with_tags(of_role(call, input)?, &input.tags),
        create_role,
    )?;
    all.add(iam, "GetRole", "iam:GetRole", Read, of_role, get_role)?;
    all.add(iam, "ListRoles", "iam:ListRoles", Read, of_account, list_roles)?;
    all.add(iam, "UpdateRole", "iam:UpdateRole", Write, of_role, update_role)?;
    all.add(iam, "UpdateRoleDescription", "iam:UpdateRole", Write, of_role, update_description)?;
    all.add(iam, "UpdateAssumeRolePolicy", "iam:UpdateAssumeRolePolicy", Write, of_role, update_trust)?;
    all.add(iam, "DeleteRole", "iam:DeleteRole", Write, of_role, delete_role)?;
    all.add(
        iam,
        "TagRole",
        "iam:TagRole",
        Write,
        |call, input: &TagRole| asked::with_tags(of_role(call, input)?, &input.tags),
        tag_role,
    )?;
    all.add(
        iam,
        "UntagRole",
        "iam:UntagRole",
        Write,
        |call, input: &UntagRole| asked::without_tags(of_role(call, input)?, &input.tag_keys),
        untag_role,
    )?;
    all.add(iam, "ListRoleTags", "iam:ListRoleTags", Read, of_role, list_role_tags)?;
    all.add(iam, "ListInstanceProfilesForRole", "iam:GetRole", Read, of_role, no_instance_profiles)
}

asked!(role: CreateRole, NamedRole, UpdateRole, UpdateDescription, UpdateTrust, TagRole, UntagRole);

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct RoleShape {
    path: &'static str,
    role_name: String,
    role_id: String,
    arn: String,
    create_date: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    assume_role_policy_document: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    max_session_duration: u32,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<Tag>,
}

impl RoleShape {
    /// As lists show it, without tags.
    fn of(role: &Role) -> RoleShape {
        RoleShape {
            path: "/",
            role_name: role.name.to_string(),
            role_id: role_id(role.id),
            arn: role.arn(),
            create_date: Timestamp(role.created_ms),
            assume_role_policy_document: role.trust.as_deref().map(encoded),
            description: role.description.clone(),
            max_session_duration: role.max_session_seconds,
            tags: Vec::new(),
        }
    }

    fn with_tags(role: &Role) -> RoleShape {
        RoleShape { tags: tags(&role.tags), ..RoleShape::of(role) }
    }
}

pub(super) fn find_role(call: &Call<'_>, name: &str) -> Result<Role, ApiError> {
    let name = principal_name("roleName", name)?;
    call.directory
        .role(call.account(), &name)
        .cloned()
        .ok_or_else(|| ApiError::client("NoSuchEntity", 404, format!("The role with name {name} cannot be found.")))
}

fn check_seconds(seconds: Option<u32>) -> Result<Option<u32>, ApiError> {
    match seconds {
        Some(seconds) if !SESSION_SECONDS.contains(&seconds) => Err(ApiError::validation(format!(
            "maxSessionDuration is {seconds}; it lies between {} and {} seconds",
            SESSION_SECONDS.start(),
            SESSION_SECONDS.end()
        ))),
        seconds => Ok(seconds),
    }
}

fn check_description(description: Option<&str>) -> Result<(), ApiError> {
    match description.is_some_and(|text| text.chars().count() > MAX_DESCRIPTION) {
        true => Err(ApiError::validation(format!("description: it has up to {MAX_DESCRIPTION} characters"))),
        false => Ok(()),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CreateRole {
    role_name: String,
    path: Option<String>,
    assume_role_policy_document: String,
    description: Option<String>,
    max_session_duration: Option<u32>,
    permissions_boundary: Option<String>,
    #[serde(default)]
    tags: Vec<Tag>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct OneRole {
    role: RoleShape,
}

fn create_role(call: &Call<'_>, input: CreateRole) -> Result<OneRole, ApiError> {
    check_path(input.path.as_deref())?;
    if input.permissions_boundary.is_some() {
        let message = "PermissionsBoundary: there are none here; forbid in a policy what the role may never do";
        return Err(ApiError::validation(message));
    }
    let name = principal_name("roleName", &input.role_name)?;
    check_description(input.description.as_deref())?;
    check_document(call, AttachedTo::Trust(name.clone()), &input.assume_role_policy_document)?;
    let change = RoleChange {
        max_session_seconds: check_seconds(input.max_session_duration)?,
        description: input.description.filter(|text| !text.is_empty()),
        trust: Some(input.assume_role_policy_document.into()),
        tags: Some(with_more_tags(&BTreeMap::new(), input.tags)?),
    };
    let role = call.wait(call.host.identity().create_role_with(call.account(), &name, change))?;
    Ok(OneRole { role: RoleShape::with_tags(&role) })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct NamedRole {
    role_name: String,
}

fn get_role(call: &Call<'_>, input: NamedRole) -> Result<OneRole, ApiError> {
    Ok(OneRole { role: RoleShape::with_tags(&find_role(call, &input.role_name)?) })
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Roles {
    roles: Vec<RoleShape>,
    #[serde(flatten)]
    end: PageEnd,
}

fn list_roles(call: &Call<'_>, paging: Paging) -> Result<Roles, ApiError> {
    let (roles, end) = paging.page(call.directory.roles(call.account()), |role| role.name.folded())?.split();
    Ok(Roles { roles: roles.into_iter().map(RoleShape::of).collect(), end })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct UpdateRole {
    role_name: String,
    description: Option<String>,
    max_session_duration: Option<u32>,
}

fn update_role(call: &Call<'_>, input: UpdateRole) -> Result<Done, ApiError> {
    let role = find_role(call, &input.role_name)?;
    check_description(input.description.as_deref())?;
    let change = RoleChange {
        max_session_seconds: check_seconds(input.max_session_duration)?,
        description: input.description,
        ..RoleChange::default()
    };
    call.wait(call.host.identity().change_role(call.account(), &role.name, change))?;
    Ok(Done {})
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct UpdateDescription {
    role_name: String,
    description: String,
}

fn update_description(call: &Call<'_>, input: UpdateDescription) -> Result<OneRole, ApiError> {
    let role = find_role(call, &input.role_name)?;
    check_description(Some(&input.description))?;
    let change = RoleChange { description: Some(input.description), ..RoleChange::default() };
    let role = call.wait(call.host.identity().change_role(call.account(), &role.name, change))?;
    Ok(OneRole { role: RoleShape::of(&role) })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct UpdateTrust {
    role_name: String,
    policy_document: String,
}

fn update_trust(call: &Call<'_>, input: UpdateTrust) -> Result<Done, ApiError> {
    let role = find_role(call, &input.role_name)?;
    check_document(call, AttachedTo::Trust(role.name.clone()), &input.policy_document)?;
    let change = RoleChange { trust: Some(input.policy_document.into()), ..RoleChange::default() };
    call.wait(call.host.identity().change_role(call.account(), &role.name, change))?;
    Ok(Done {})
}

/// As in IAM, what a role has is taken away first. Its sessions are over.
fn delete_role(call: &Call<'_>, input: NamedRole) -> Result<Done, ApiError> {
    let role = find_role(call, &input.role_name)?;
    let has = |what: &str| Err(ApiError::conflict(format!("Cannot delete entity, must {what} first.")));
    if !role.policies.inline.is_empty() {
        return has("delete policies");
    }
    if !role.policies.managed.is_empty() {
        return has("detach all policies");
    }
    call.wait(call.host.identity().delete_role(call.account(), &role.name))?;
    Ok(Done {})
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TagRole {
    role_name: String,
    #[serde(default)]
    tags: Vec<Tag>,
}

fn tag_role(call: &Call<'_>, input: TagRole) -> Result<Done, ApiError> {
    let role = find_role(call, &input.role_name)?;
    set_tags(call, &role, with_more_tags(&role.tags, input.tags)?)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct UntagRole {
    role_name: String,
    #[serde(default)]
    tag_keys: Vec<String>,
}

fn untag_role(call: &Call<'_>, input: UntagRole) -> Result<Done, ApiError> {
    let role = find_role(call, &input.role_name)?;
    let mut tags = role.tags.clone();
    tags.retain(|key, _| !input.tag_keys.contains(key));
    set_tags(call, &role, tags)
}

fn set_tags(call: &Call<'_>, role: &Role, tags: BTreeMap<String, String>) -> Result<Done, ApiError> {
    let change = RoleChange { tags: Some(tags), ..RoleChange::default() };
    call.wait(call.host.identity().change_role(call.account(), &role.name, change))?;
    Ok(Done {})
}

fn list_role_tags(call: &Call<'_>, input: NamedRole) -> Result<Tags, ApiError> {
    Ok(Tags::of(&find_role(call, &input.role_name)?.tags))
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct InstanceProfiles {
    instance_profiles: Vec<Done>,
    is_truncated: bool,
}

/// There are no instances, so no role has one. Terraform asks before it deletes a role.
fn no_instance_profiles(call: &Call<'_>, input: NamedRole) -> Result<InstanceProfiles, ApiError> {
    find_role(call, &input.role_name)?;
    Ok(InstanceProfiles { instance_profiles: Vec::new(), is_truncated: false })
}
