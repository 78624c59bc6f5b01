//! Groups and their members.

use serde::{Deserialize, Serialize};

use super::super::codec::Timestamp;
use super::super::error::ApiError;
use super::super::iam_ids::group_id;
use super::super::operation::{Call, NotRegistered, Operations};
use super::super::service::Service;
use super::asked::{self, asked, of_account, of_group, of_user};
use super::users::{UserShape, find_user};
use super::{Done, PageEnd, Paging, check_path, principal_name};
use crate::identity::Group;
use crate::operations::authorize::Weight::{Read, Write};
use crate::operations::renaming::rename_group;

pub(super) fn register(all: &mut Operations) -> Result<(), NotRegistered> {
    let iam = Service::Iam;
    all.add(iam, "CreateGroup", "iam:CreateGroup", Write, of_group, create_group)?;
    all.add(iam, "GetGroup", "iam:GetGroup", Read, of_group, get_group)?;
    all.add(iam, "ListGroups", "iam:ListGroups", Read, of_account, list_groups)?;
    all.add(iam, "DeleteGroup", "iam:DeleteGroup", Write, of_group, delete_group)?;
    all.add(iam, "UpdateGroup", "iam:UpdateGroup", Write, of_group, update_group)?;
    all.add(iam, "AddUserToGroup", "iam:AddUserToGroup", Write, of_group, add_user)?;
    all.add(iam, "RemoveUserFromGroup", "iam:RemoveUserFromGroup", Write, of_group, remove_user)?;
    all.add(iam, "ListGroupsForUser", "iam:ListGroupsForUser", Read, of_user, list_groups_for_user)
}

asked!(group: UpdateGroup, CreateGroup, GetGroup, NamedGroup, Membership);
asked!(user: ListGroupsForUser);

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct GroupShape {
    path: &'static str,
    group_name: String,
    group_id: String,
    arn: String,
    create_date: Timestamp,
}

impl GroupShape {
    fn of(group: &Group) -> GroupShape {
        GroupShape {
            path: "/",
            group_name: group.name.to_string(),
            group_id: group_id(group.id),
            arn: format!("arn:aws:iam::{}:group/{}", group.account, group.name),
            create_date: Timestamp(group.created_ms),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CreateGroup {
    group_name: String,
    path: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct OneGroup {
    group: GroupShape,
}

fn create_group(call: &Call<'_>, input: CreateGroup) -> Result<OneGroup, ApiError> {
    check_path(input.path.as_deref())?;
    let name = principal_name("groupName", &input.group_name)?;
    let group = call.wait(call.host.identity().create_group(call.account(), &name))?;
    Ok(OneGroup { group: GroupShape::of(&group) })
}

fn find_group(call: &Call<'_>, name: &str) -> Result<Group, ApiError> {
    let name = principal_name("groupName", name)?;
    call.directory
        .group(call.account(), &name)
        .cloned()
        .ok_or_else(|| ApiError::client("NoSuchEntity", 404, format!("The group with name {name} cannot be found.")))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GetGroup {
    group_name: String,
    #[serde(flatten)]
    paging: Paging,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct GroupAndUsers {
    group: GroupShape,
    users: Vec<UserShape>,
    #[serde(flatten)]
    end: PageEnd,
}

fn get_group(call: &Call<'_>, input: GetGroup) -> Result<GroupAndUsers, ApiError> {
    let group = find_group(call, &input.group_name)?;
    let page = input.paging.page(call.directory.members(call.account(), &group.name), |user| user.name.folded())?;
    let (users, end) = page.split();
    Ok(GroupAndUsers { group: GroupShape::of(&group), users: users.into_iter().map(UserShape::of).collect(), end })
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Groups {
    groups: Vec<GroupShape>,
    #[serde(flatten)]
    end: PageEnd,
}

fn list_groups(call: &Call<'_>, paging: Paging) -> Result<Groups, ApiError> {
    let page = paging.page(call.directory.groups(call.account()), |group| group.name.folded())?;
    let (groups, end) = page.split();
    Ok(Groups { groups: groups.into_iter().map(GroupShape::of).collect(), end })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct NamedGroup {
    group_name: String,
}

/// As in IAM, what a group has is taken away first.
fn delete_group(call: &Call<'_>, input: NamedGroup) -> Result<Done, ApiError> {
    let group = find_group(call, &input.group_name)?;
    let has = |what: &str| Err(ApiError::conflict(format!("Cannot delete entity, must {what} first.")));
    if call.directory.members(call.account(), &group.name).next().is_some() {
        return has("remove users from group");
    }
    if !group.policies.inline.is_empty() {
        return has("delete policies");
    }
    if !group.policies.managed.is_empty() {
        return has("detach all policies");
    }
    call.wait(call.host.identity().delete_group(call.account(), &group.name))?;
    Ok(Done {})
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct UpdateGroup {
    group_name: String,
    new_group_name: Option<String>,
    new_path: Option<String>,
}

/// As in IAM, who gives another name needs the right on both.
fn update_group(call: &Call<'_>, input: UpdateGroup) -> Result<Done, ApiError> {
    check_path(input.new_path.as_deref())?;
    let group = find_group(call, &input.group_name)?;
    let Some(new) = input.new_group_name else { return Ok(Done {}) };
    call.also("iam:UpdateGroup", &asked::group(call, &new)?)?;
    let new = principal_name("newGroupName", &new)?;
    call.wait(rename_group(call.host.identity(), call.host.policies(), call.account(), &group.name, &new))?;
    Ok(Done {})
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Membership {
    group_name: String,
    user_name: String,
}

fn add_user(call: &Call<'_>, input: Membership) -> Result<Done, ApiError> {
    let (group, user) = (find_group(call, &input.group_name)?, find_user(call, Some(&input.user_name))?);
    call.wait(call.host.identity().add_to_group(call.account(), &group.name, &user.name))?;
    Ok(Done {})
}

fn remove_user(call: &Call<'_>, input: Membership) -> Result<Done, ApiError> {
    let (group, user) = (find_group(call, &input.group_name)?, find_user(call, Some(&input.user_name))?);
    call.wait(call.host.identity().remove_from_group(call.account(), &group.name, &user.name))?;
    Ok(Done {})
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListGroupsForUser {
    user_name: String,
    #[serde(flatten)]
    paging: Paging,
}

fn list_groups_for_user(call: &Call<'_>, input: ListGroupsForUser) -> Result<Groups, ApiError> {
    let user = find_user(call, Some(&input.user_name))?;
    let of_user = call.directory.groups(call.account()).filter(|group| user.groups.contains(&group.name));
    let (groups, end) = input.paging.page(of_user, |group| group.name.folded())?.split();
    Ok(Groups { groups: groups.into_iter().map(GroupShape::of).collect(), end })
}
