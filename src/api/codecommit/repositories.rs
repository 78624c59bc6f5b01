//! Repositories: making, finding, renaming, describing, deleting.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::super::codec::Timestamp;
use super::super::error::ApiError;
use super::super::operation::{Call, NotRegistered, Operations};
use super::super::service::Service::CodeCommit;
use super::{Done, find, named, names_repository, of_failure, of_identity, of_repository, page_of};
use super::{does_not_exist, repository_name, tags};
use crate::identity::{IdentityError, RepositoryRecord};
use crate::names::RefName;
use crate::operations::authority::repository_facts;
use crate::operations::authorize::Weight::{Read, Write};
use crate::operations::renaming::{RenameError, rename_repository};
use crate::policy::{Action, ContextFacts, ResourceFacts};

pub(super) fn register(all: &mut Operations) -> Result<(), NotRegistered> {
    let own_account = |call: &Call<'_>, _: &List| Ok(ResourceFacts::Account(call.account().clone()));
    all.add(CodeCommit, "ListRepositories", "codecommit:ListRepositories", Read, own_account, list)?;
    all.add(CodeCommit, "GetRepository", "codecommit:GetRepository", Read, of_repository, get)?;
    let why = "asks codecommit:BatchGetRepositories of each repository that is named";
    all.add_deciding(CodeCommit, "BatchGetRepositories", why, batch_get)?;
    all.add(CodeCommit, "CreateRepository", "codecommit:CreateRepository", Write, of_repository, create)?;
    all.add(CodeCommit, "DeleteRepository", "codecommit:DeleteRepository", Write, of_repository, delete)?;
    let old = |call: &Call<'_>, input: &Rename| named(call, &input.old_name);
    all.add(CodeCommit, "UpdateRepositoryName", "codecommit:UpdateRepositoryName", Write, old, rename)?;
    let action = "codecommit:UpdateRepositoryDescription";
    all.add(CodeCommit, "UpdateRepositoryDescription", action, Write, of_repository, describe)?;
    let action = "codecommit:UpdateRepositoryEncryptionKey";
    all.add(CodeCommit, "UpdateRepositoryEncryptionKey", action, Write, of_repository, rekey)
}

names_repository!(Named, Create, Describe, Rekey);

/// A repository of which nothing but the name is needed.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Named {
    #[serde(default)]
    repository_name: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    account_id: String,
    repository_id: String,
    repository_name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    repository_description: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    default_branch: Option<String>,
    last_modified_date: Timestamp,
    creation_date: Timestamp,
    clone_url_http: String,
    clone_url_ssh: String,
    #[serde(rename = "Arn")]
    arn: String,
    kms_key_id: String,
}

impl Metadata {
    fn of(call: &Call<'_>, record: &RepositoryRecord) -> Result<Metadata, ApiError> {
        let tip = call.host.branch_tip(record, &record.default_branch).map_err(of_failure)?;
        // It is absent while the branch is: a new repository has none.
        let default_branch = tip.map(|_| short(&record.default_branch));
        let (https_url, ssh_url) = call.host.urls();
        Ok(Metadata {
            account_id: record.account.to_string(),
            repository_id: record.id.to_string(),
            repository_name: record.name.to_string(),
            repository_description: record.description.clone(),
            default_branch,
            last_modified_date: Timestamp(record.modified_ms),
            creation_date: Timestamp(record.created_ms),
            clone_url_http: format!("{https_url}/v1/repos/{}", record.name),
            clone_url_ssh: format!("{ssh_url}/v1/repos/{}", record.name),
            arn: record.arn(call.host.identity().region()),
            kms_key_id: own_key(call, OWN_KEY)?,
        })
    }
}

/// `main` for `refs/heads/main`.
fn short(branch: &RefName) -> String {
    let name = branch.to_string();
    name.strip_prefix("refs/heads/").map_or(name.clone(), str::to_owned)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct List {
    next_token: Option<String>,
    sort_by: Option<String>,
    order: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Pair {
    repository_name: String,
    repository_id: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    repositories: Vec<Pair>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

/// AWS's, too; it takes no wish.
const PAGE: usize = 1000;

/// Those that the caller may know of: a name is a secret as what is behind it.
fn list(call: &Call<'_>, input: List) -> Result<Listed, ApiError> {
    let mut records: Vec<&RepositoryRecord> = call.directory.repositories(call.account()).collect();
    match input.sort_by.as_deref() {
        None | Some("repositoryName") => records.sort_by(|a, b| a.name.as_str().cmp(b.name.as_str())),
        Some("lastModifiedDate") => records.sort_by_key(|record| (record.modified_ms, record.id)),
        Some(_) => {
            let message = "sortBy: it is `repositoryName` or `lastModifiedDate`";
            return Err(ApiError::client("InvalidSortByException", 400, message));
        }
    }
    match input.order.as_deref() {
        None | Some("ascending") => {}
        Some("descending") => records.reverse(),
        Some(_) => {
            let message = "order: it is `ascending` or `descending`";
            return Err(ApiError::client("InvalidOrderException", 400, message));
        }
    }
    let known = call.host.known_repositories(call.ctx, &call.directory, records);
    let by_name: BTreeMap<&str, &RepositoryRecord> =
        known.iter().map(|record| (record.name.as_str(), *record)).collect();
    let names = known.iter().map(|record| record.name.to_string());
    let (names, next_token) = page_of(names, input.next_token.as_deref(), PAGE)?;
    let pair = |name: &String| {
        let record = by_name.get(name.as_str())?;
        Some(Pair { repository_name: name.clone(), repository_id: record.id.to_string() })
    };
    Ok(Listed { repositories: names.iter().filter_map(pair).collect(), next_token })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct One {
    repository_metadata: Metadata,
}

fn get(call: &Call<'_>, input: Named) -> Result<One, ApiError> {
    let record = find(call, &input.repository_name)?;
    Ok(One { repository_metadata: Metadata::of(call, &record)? })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Several {
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
struct Found {
    repositories: Vec<Metadata>,
    repositories_not_found: Vec<String>,
    errors: Vec<Problem>,
}

const MAX_NAMES: usize = 100;

fn batch_get(call: &Call<'_>, input: Several) -> Result<Found, ApiError> {
    if input.repository_names.is_empty() {
        let message = "at least one repository name is required";
        return Err(ApiError::client("RepositoryNamesRequiredException", 400, message));
    }
    if input.repository_names.len() > MAX_NAMES {
        let message = format!("at most {MAX_NAMES} repository names are taken");
        return Err(ApiError::client("MaximumRepositoryNamesExceededException", 400, message));
    }
    let action = Action::parse("codecommit:BatchGetRepositories").map_err(|error| ApiError::internal(&error))?;
    let mut found = Found { repositories: Vec::new(), repositories_not_found: Vec::new(), errors: Vec::new() };
    for name in input.repository_names {
        let resource = named(call, &name)?;
        // Nothing is given of any, where one may not be known of: as AWS does, which refuses the call.
        let allowed = call.host.authorize(call.ctx, &action, &resource, &ContextFacts::Plain, Read);
        let directory = allowed.map_err(|refused| call.denied(&refused))?.directory;
        let Some(record) = directory.repository(call.account(), &repository_name(&name)?) else {
            found.repositories_not_found.push(name);
            continue;
        };
        match Metadata::of(call, record) {
            Ok(metadata) => found.repositories.push(metadata),
            Err(error) => found.errors.push(Problem {
                repository_name: name,
                error_code: error.code,
                error_message: error.message,
            }),
        }
    }
    Ok(found)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Create {
    #[serde(default)]
    repository_name: String,
    repository_description: Option<String>,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    kms_key_id: Option<String>,
}

const MAX_DESCRIPTION_CHARS: usize = 1000;

fn description(text: Option<String>) -> Result<String, ApiError> {
    let text = text.unwrap_or_default();
    if text.chars().count() > MAX_DESCRIPTION_CHARS {
        let message = format!("a description has up to {MAX_DESCRIPTION_CHARS} characters");
        return Err(ApiError::client("InvalidRepositoryDescriptionException", 400, message));
    }
    Ok(text)
}

/// What the key under which an account's repositories have theirs is called in AWS.
const OWN_KEY: &str = "alias/aws/codecommit";

/// The account's key, in each of its spellings; there is no other that could be chosen.
fn own_key(call: &Call<'_>, given: &str) -> Result<String, ApiError> {
    let arn = format!("arn:aws:kms:{}:{}:{OWN_KEY}", call.host.identity().region(), call.account());
    let is_id = |c: char| c.is_ascii_alphanumeric() || ":/_-".contains(c);
    if given == OWN_KEY || given == arn {
        return Ok(arn);
    }
    if given.is_empty() || given.len() > 2048 || !given.chars().all(is_id) {
        let message = "kmsKeyId is an id, an alias or an ARN of a key";
        return Err(ApiError::client("EncryptionKeyInvalidIdException", 400, message));
    }
    let message = format!(
        "there is no key `{given}`: every repository has keys of its own, which lie under the account's, {OWN_KEY}"
    );
    Err(ApiError::client("EncryptionKeyNotFoundException", 400, message))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rekey {
    #[serde(default)]
    repository_name: String,
    kms_key_id: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Rekeyed {
    repository_id: String,
    kms_key_id: String,
    original_kms_key_id: String,
}

/// The repository's keys lie under the account's key before and after: what is asked for is so already, or cannot be.
fn rekey(call: &Call<'_>, input: Rekey) -> Result<Rekeyed, ApiError> {
    let record = find(call, &input.repository_name)?;
    let Some(given) = input.kms_key_id.as_deref().filter(|id| !id.is_empty()) else {
        return Err(ApiError::client("EncryptionKeyRequiredException", 400, "kmsKeyId is required"));
    };
    let arn = own_key(call, given)?;
    // Says whether the key may be used now.
    call.host.branch_names(&record).map_err(of_failure)?;
    Ok(Rekeyed { repository_id: record.id.to_string(), kms_key_id: arn.clone(), original_kms_key_id: arn })
}

fn create(call: &Call<'_>, input: Create) -> Result<One, ApiError> {
    let name = repository_name(&input.repository_name)?;
    let description = description(input.repository_description)?;
    tags::check(&input.tags)?;
    if let Some(id) = input.kms_key_id.as_deref().filter(|id| !id.is_empty()) {
        own_key(call, id)?;
    }
    let main = RefName::branch("main").map_err(|error| ApiError::internal(&error))?;
    let identity = call.host.identity();
    let made = identity.create_repository_with(call.account(), &name, &main, &description, input.tags);
    let record = call.host.store().wait(made).map_err(of_identity)?;
    Ok(One { repository_metadata: Metadata::of(call, &record)? })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Deleted {
    #[serde(skip_serializing_if = "Option::is_none")]
    repository_id: Option<String>,
}

fn delete(call: &Call<'_>, input: Named) -> Result<Deleted, ApiError> {
    let name = repository_name(&input.repository_name)?;
    let Some(record) = call.directory.repository(call.account(), &name).cloned() else {
        // Gone already, which is what was wanted.
        return Ok(Deleted { repository_id: None });
    };
    call.host.delete_repository(&record).map_err(of_failure)?;
    Ok(Deleted { repository_id: Some(record.id.to_string()) })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rename {
    #[serde(default)]
    old_name: String,
    #[serde(default)]
    new_name: String,
}

fn rename(call: &Call<'_>, input: Rename) -> Result<Done, ApiError> {
    let (old, new) = (repository_name(&input.old_name)?, repository_name(&input.new_name)?);
    let record = find(call, &input.old_name)?;
    // Whoever may not give rights by the new name may not have it: policies go by names.
    let mut facts = repository_facts(&record);
    facts.name = new.clone();
    call.also("codecommit:UpdateRepositoryName", &ResourceFacts::Repository(facts))?;
    let host = call.host;
    let renamed = rename_repository(host.identity(), host.policies(), call.account(), &old, &new);
    host.store().wait(renamed).map_err(|error| match error {
        RenameError::Identity(IdentityError::Unknown { .. }) => does_not_exist(old.as_str()),
        RenameError::Identity(error) => of_identity(error),
        named => ApiError::client("OperationNotAllowedException", 400, named.to_string()),
    })?;
    Ok(Done {})
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Describe {
    #[serde(default)]
    repository_name: String,
    repository_description: Option<String>,
}

fn describe(call: &Call<'_>, input: Describe) -> Result<Done, ApiError> {
    let record = find(call, &input.repository_name)?;
    let description = description(input.repository_description)?;
    let changed = call.host.identity().set_repository_description(&record.account, &record.name, &description);
    call.host.store().wait(changed).map_err(of_identity)?;
    Ok(Done {})
}
