//! Branches: where they stand, and which one is the default.

use serde::{Deserialize, Serialize};

use super::super::error::ApiError;
use super::super::operation::{Call, NotRegistered, Operations};
use super::super::service::Service::CodeCommit;
use super::changes::{of_branch, of_change};
use super::content::object_id;
use super::{Done, branch_name, find, names_repository, no_branch, of_failure, of_repository, page_of};
use crate::operations::authorize::Weight::{Read, Write};
use crate::policy::{Action, RefFacts};

pub(super) fn register(all: &mut Operations) -> Result<(), NotRegistered> {
    all.add(CodeCommit, "GetBranch", "codecommit:GetBranch", Read, of_repository, get)?;
    all.add(CodeCommit, "ListBranches", "codecommit:ListBranches", Read, of_repository, list)?;
    all.add_change(CodeCommit, "CreateBranch", "codecommit:CreateBranch", of_created, create)?;
    all.add_change(CodeCommit, "DeleteBranch", "codecommit:DeleteBranch", of_deleted, delete)?;
    let action = "codecommit:UpdateDefaultBranch";
    all.add(CodeCommit, "UpdateDefaultBranch", action, Write, of_repository, update_default)
}

names_repository!(Get, List, UpdateDefault);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Get {
    #[serde(default)]
    repository_name: String,
    branch_name: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Branch {
    branch_name: String,
    commit_id: String,
}

#[derive(Serialize)]
struct One {
    branch: Branch,
}

fn get(call: &Call<'_>, input: Get) -> Result<One, ApiError> {
    let record = find(call, &input.repository_name)?;
    let given = input.branch_name.unwrap_or_default();
    let branch = branch_name(Some(&given))?;
    let tip = call.host.branch_tip(&record, &branch).map_err(of_failure)?;
    let tip = tip.ok_or_else(|| no_branch(&given))?;
    Ok(One { branch: Branch { branch_name: given, commit_id: tip.to_string() } })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct List {
    #[serde(default)]
    repository_name: String,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    branches: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

const PAGE: usize = 1000;

fn list(call: &Call<'_>, input: List) -> Result<Listed, ApiError> {
    let record = find(call, &input.repository_name)?;
    let names = call.host.branch_names(&record).map_err(of_failure)?;
    let (branches, next_token) = page_of(names.into_iter(), input.next_token.as_deref(), PAGE)?;
    Ok(Listed { branches, next_token })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Create {
    #[serde(default)]
    repository_name: String,
    branch_name: Option<String>,
    #[serde(default)]
    commit_id: String,
}

fn of_created(call: &Call<'_>, input: &Create) -> Result<RefFacts, ApiError> {
    of_branch(call, &input.repository_name, input.branch_name.as_deref())
}

fn create(call: &Call<'_>, action: &Action, input: Create) -> Result<Done, ApiError> {
    let record = find(call, &input.repository_name)?;
    let branch = branch_name(input.branch_name.as_deref())?;
    let commit = object_id(&input.commit_id, "Commit")?;
    call.host.create_branch(call.ctx, &record, action, &branch, &commit).map_err(|why| of_change(call, why))?;
    Ok(Done {})
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Delete {
    #[serde(default)]
    repository_name: String,
    branch_name: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Deleted {
    #[serde(skip_serializing_if = "Option::is_none")]
    deleted_branch: Option<Branch>,
}

fn of_deleted(call: &Call<'_>, input: &Delete) -> Result<RefFacts, ApiError> {
    of_branch(call, &input.repository_name, input.branch_name.as_deref())
}

fn delete(call: &Call<'_>, action: &Action, input: Delete) -> Result<Deleted, ApiError> {
    let record = find(call, &input.repository_name)?;
    let given = input.branch_name.unwrap_or_default();
    let branch = branch_name(Some(&given))?;
    if branch == record.default_branch {
        let message = format!("{given} is the default branch: make another one the default first");
        return Err(ApiError::client("DefaultBranchCannotBeDeletedException", 400, message));
    }
    let stood = call.host.delete_branch(call.ctx, &record, action, &branch).map_err(|why| of_change(call, why))?;
    let deleted_branch = stood.map(|tip| Branch { branch_name: given, commit_id: tip.to_string() });
    Ok(Deleted { deleted_branch })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct UpdateDefault {
    #[serde(default)]
    repository_name: String,
    default_branch_name: Option<String>,
}

fn update_default(call: &Call<'_>, input: UpdateDefault) -> Result<Done, ApiError> {
    let record = find(call, &input.repository_name)?;
    let branch = branch_name(input.default_branch_name.as_deref())?;
    let changed = call.host.set_default_branch(&record, &branch, &call.ctx.principal.arn());
    changed.map_err(of_failure)?;
    Ok(Done {})
}
