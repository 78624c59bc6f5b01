//! Templates of approval rules, and which repositories have them.

use serde::{Deserialize, Serialize};

use super::super::codec::Timestamp;
use super::super::error::ApiError;
use super::super::operation::{Call, NotRegistered, Operations};
use super::super::service::Service::CodeCommit;
use super::approvals::{rule_content, rule_name};
use super::reviews::of_review;
use super::{Done, find, names_repository, of_repository, page_of};
use crate::operations::authorize::Weight::{Read, Write};
use crate::operations::reviews::templates::TemplateEdit;
use crate::policy::ResourceFacts;
use crate::review::rules::{Template, content_digest};

pub(super) fn register(all: &mut Operations) -> Result<(), NotRegistered> {
    let action = "codecommit:CreateApprovalRuleTemplate";
    all.add(CodeCommit, "CreateApprovalRuleTemplate", action, Write, of_account, create)?;
    let action = "codecommit:GetApprovalRuleTemplate";
    all.add(CodeCommit, "GetApprovalRuleTemplate", action, Read, of_account, get)?;
    let action = "codecommit:ListApprovalRuleTemplates";
    all.add(CodeCommit, "ListApprovalRuleTemplates", action, Read, of_account, list)?;
    let action = "codecommit:UpdateApprovalRuleTemplateName";
    all.add(CodeCommit, "UpdateApprovalRuleTemplateName", action, Write, of_account, rename)?;
    let action = "codecommit:UpdateApprovalRuleTemplateDescription";
    all.add(CodeCommit, "UpdateApprovalRuleTemplateDescription", action, Write, of_account, describe)?;
    let action = "codecommit:UpdateApprovalRuleTemplateContent";
    all.add(CodeCommit, "UpdateApprovalRuleTemplateContent", action, Write, of_account, rewrite)?;
    let action = "codecommit:DeleteApprovalRuleTemplate";
    all.add(CodeCommit, "DeleteApprovalRuleTemplate", action, Write, of_account, delete)?;
    let action = "codecommit:AssociateApprovalRuleTemplateWithRepository";
    all.add(CodeCommit, "AssociateApprovalRuleTemplateWithRepository", action, Write, of_repository, associate)?;
    let action = "codecommit:DisassociateApprovalRuleTemplateFromRepository";
    all.add(CodeCommit, "DisassociateApprovalRuleTemplateFromRepository", action, Write, of_repository, disassociate)?;
    let why = "it is asked of each repository that it names";
    all.add_deciding(CodeCommit, "BatchAssociateApprovalRuleTemplateWithRepositories", why, batch_associate)?;
    all.add_deciding(CodeCommit, "BatchDisassociateApprovalRuleTemplateFromRepositories", why, batch_disassociate)?;
    let action = "codecommit:ListAssociatedApprovalRuleTemplatesForRepository";
    all.add(CodeCommit, "ListAssociatedApprovalRuleTemplatesForRepository", action, Read, of_repository, of_one)?;
    let action = "codecommit:ListRepositoriesForApprovalRuleTemplate";
    all.add(CodeCommit, "ListRepositoriesForApprovalRuleTemplate", action, Read, of_account, repositories)
}

names_repository!(Associate, OfOne);

/// Templates are the account's.
fn of_account<I>(call: &Call<'_>, _input: &I) -> Result<ResourceFacts, ApiError> {
    Ok(ResourceFacts::Account(call.account().clone()))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TemplateOut {
    approval_rule_template_id: String,
    approval_rule_template_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    approval_rule_template_description: Option<String>,
    approval_rule_template_content: String,
    rule_content_sha256: String,
    last_modified_date: Timestamp,
    creation_date: Timestamp,
    last_modified_user: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct One {
    approval_rule_template: TemplateOut,
}

fn one(template: Template) -> One {
    One {
        approval_rule_template: TemplateOut {
            approval_rule_template_id: template.id.to_string(),
            rule_content_sha256: content_digest(&template.content),
            approval_rule_template_name: template.name,
            approval_rule_template_description: template.description,
            approval_rule_template_content: template.content,
            last_modified_date: Timestamp(template.changed_ms),
            creation_date: Timestamp(template.created_ms),
            last_modified_user: template.changed_by,
        },
    }
}

const MAX_DESCRIPTION_CHARS: usize = 1000;

fn description(given: Option<&str>) -> Result<&str, ApiError> {
    let given = given.unwrap_or_default();
    if given.chars().count() > MAX_DESCRIPTION_CHARS {
        let message = format!("a description has up to {MAX_DESCRIPTION_CHARS} characters");
        return Err(ApiError::client("InvalidApprovalRuleTemplateDescriptionException", 400, message));
    }
    Ok(given)
}

fn template_name(given: &Option<String>) -> Result<&str, ApiError> {
    rule_name(given.as_deref(), "ApprovalRuleTemplate")
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Create {
    approval_rule_template_name: Option<String>,
    approval_rule_template_content: Option<String>,
    approval_rule_template_description: Option<String>,
}

fn create(call: &Call<'_>, input: Create) -> Result<One, ApiError> {
    let name = template_name(&input.approval_rule_template_name)?;
    let content = rule_content(input.approval_rule_template_content.as_deref(), "ApprovalRuleTemplate")?;
    let description = Some(description(input.approval_rule_template_description.as_deref())?);
    let description = description.filter(|text| !text.is_empty());
    call.host.create_template(call.ctx, name, content, description).map(one).map_err(of_review)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Named {
    approval_rule_template_name: Option<String>,
}

fn get(call: &Call<'_>, input: Named) -> Result<One, ApiError> {
    let name = template_name(&input.approval_rule_template_name)?;
    call.host.template(call.account(), name).map(one).map_err(of_review)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct List {
    next_token: Option<String>,
    max_results: Option<i64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Names {
    approval_rule_template_names: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

fn size_of(given: Option<i64>) -> Result<usize, ApiError> {
    super::reviews::page(None, given, 100, 1000).map(|page| page.size)
}

fn list(call: &Call<'_>, input: List) -> Result<Names, ApiError> {
    let size = size_of(input.max_results)?;
    let all = call.host.templates(call.account()).map_err(of_review)?;
    let names = all.into_iter().map(|template| template.name);
    let (approval_rule_template_names, next_token) = page_of(names, input.next_token.as_deref(), size)?;
    Ok(Names { approval_rule_template_names, next_token })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rename {
    old_approval_rule_template_name: Option<String>,
    new_approval_rule_template_name: Option<String>,
}

fn rename(call: &Call<'_>, input: Rename) -> Result<One, ApiError> {
    let old = template_name(&input.old_approval_rule_template_name)?;
    let new = template_name(&input.new_approval_rule_template_name)?;
    call.host.edit_template(call.ctx, old, TemplateEdit::Name(new)).map(one).map_err(of_review)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Describe {
    approval_rule_template_name: Option<String>,
    approval_rule_template_description: Option<String>,
}

fn describe(call: &Call<'_>, input: Describe) -> Result<One, ApiError> {
    let name = template_name(&input.approval_rule_template_name)?;
    let edit = TemplateEdit::Description(description(input.approval_rule_template_description.as_deref())?);
    call.host.edit_template(call.ctx, name, edit).map(one).map_err(of_review)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rewrite {
    approval_rule_template_name: Option<String>,
    new_rule_content: Option<String>,
    existing_rule_content_sha256: Option<String>,
}

fn rewrite(call: &Call<'_>, input: Rewrite) -> Result<One, ApiError> {
    let name = template_name(&input.approval_rule_template_name)?;
    let content = rule_content(input.new_rule_content.as_deref(), "ApprovalRuleTemplate")?;
    let expected = input.existing_rule_content_sha256.as_deref().filter(|digest| !digest.is_empty());
    call.host.edit_template(call.ctx, name, TemplateEdit::Content(content, expected)).map(one).map_err(of_review)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Deleted {
    #[serde(skip_serializing_if = "Option::is_none")]
    approval_rule_template_id: Option<String>,
}

fn delete(call: &Call<'_>, input: Named) -> Result<Deleted, ApiError> {
    let name = template_name(&input.approval_rule_template_name)?;
    let id = call.host.delete_template(call.ctx, name).map_err(of_review)?;
    Ok(Deleted { approval_rule_template_id: id.map(|id| id.to_string()) })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Associate {
    approval_rule_template_name: Option<String>,
    #[serde(default)]
    repository_name: String,
}

fn associate(call: &Call<'_>, input: Associate) -> Result<Done, ApiError> {
    set_association(call, &input, true)
}

fn disassociate(call: &Call<'_>, input: Associate) -> Result<Done, ApiError> {
    set_association(call, &input, false)
}

fn set_association(call: &Call<'_>, input: &Associate, is_to_have: bool) -> Result<Done, ApiError> {
    let record = find(call, &input.repository_name)?;
    let name = template_name(&input.approval_rule_template_name)?;
    call.host.associate_template(call.ctx, name, &record, is_to_have).map_err(of_review)?;
    Ok(Done {})
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Batch {
    approval_rule_template_name: Option<String>,
    #[serde(default)]
    repository_names: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Problem {
    repository_name: String,
    error_code: String,
    error_message: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Associated {
    associated_repository_names: Vec<String>,
    errors: Vec<Problem>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Disassociated {
    disassociated_repository_names: Vec<String>,
    errors: Vec<Problem>,
}

const MAX_NAMES: usize = 100;

/// Does it for each repository for which it is allowed; the others are told one by one, those that are not there in the words of those
/// that may not be known of.
fn batch(
    call: &Call<'_>,
    input: Batch,
    action: &str,
    is_to_have: bool,
) -> Result<(Vec<String>, Vec<Problem>), ApiError> {
    let name = template_name(&input.approval_rule_template_name)?;
    if input.repository_names.is_empty() {
        let message = "at least one repository name is required";
        return Err(ApiError::client("RepositoryNamesRequiredException", 400, message));
    }
    if input.repository_names.len() > MAX_NAMES {
        let message = format!("at most {MAX_NAMES} repository names are taken");
        return Err(ApiError::client("MaximumRepositoryNamesExceededException", 400, message));
    }
    let (mut done, mut problems) = (Vec::new(), Vec::new());
    let mut is_allowed_somewhere = false;
    let mut last_refusal = None;
    for repository_name in input.repository_names {
        let one = || -> Result<(), ApiError> {
            call.also(action, &super::named(call, &repository_name)?)?;
            let record = find(call, &repository_name)?;
            call.host.associate_template(call.ctx, name, &record, is_to_have).map_err(of_review)
        };
        match one() {
            Ok(()) => {
                is_allowed_somewhere = true;
                done.push(repository_name);
            }
            Err(error) => {
                match error.status {
                    403 => last_refusal = Some(error.clone()),
                    _ => is_allowed_somewhere = true,
                }
                problems.push(Problem { repository_name, error_code: error.code, error_message: error.message });
            }
        }
    }
    match last_refusal.filter(|_| !is_allowed_somewhere) {
        Some(refusal) => Err(refusal),
        None => Ok((done, problems)),
    }
}

fn batch_associate(call: &Call<'_>, input: Batch) -> Result<Associated, ApiError> {
    let action = "codecommit:BatchAssociateApprovalRuleTemplateWithRepositories";
    let (associated_repository_names, errors) = batch(call, input, action, true)?;
    Ok(Associated { associated_repository_names, errors })
}

fn batch_disassociate(call: &Call<'_>, input: Batch) -> Result<Disassociated, ApiError> {
    let action = "codecommit:BatchDisassociateApprovalRuleTemplateFromRepositories";
    let (disassociated_repository_names, errors) = batch(call, input, action, false)?;
    Ok(Disassociated { disassociated_repository_names, errors })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OfOne {
    #[serde(default)]
    repository_name: String,
    next_token: Option<String>,
    max_results: Option<i64>,
}

fn of_one(call: &Call<'_>, input: OfOne) -> Result<Names, ApiError> {
    let record = find(call, &input.repository_name)?;
    let size = size_of(input.max_results)?;
    let names = call.host.templates_of(&record).map_err(of_review)?.into_iter().map(|template| template.name);
    let (approval_rule_template_names, next_token) = page_of(names, input.next_token.as_deref(), size)?;
    Ok(Names { approval_rule_template_names, next_token })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Repositories {
    approval_rule_template_name: Option<String>,
    next_token: Option<String>,
    max_results: Option<i64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RepositoryNames {
    repository_names: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

fn repositories(call: &Call<'_>, input: Repositories) -> Result<RepositoryNames, ApiError> {
    let template = call.host.template(call.account(), template_name(&input.approval_rule_template_name)?);
    let template = template.map_err(of_review)?;
    let size = size_of(input.max_results)?;
    let having =
        call.directory.repositories(call.account()).filter(|record| template.repositories.contains(&record.id));
    let known = call.host.known_repositories(call.ctx, &call.directory, having.collect());
    let mut names: Vec<String> = known.into_iter().map(|record| record.name.to_string()).collect();
    names.sort();
    let (repository_names, next_token) = page_of(names.into_iter(), input.next_token.as_deref(), size)?;
    Ok(RepositoryNames { repository_names, next_token })
}
