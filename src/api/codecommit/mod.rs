//! CodeCommit: repositories, branches, and what is in them. Shapes, limits and errors: AWS, API reference of CodeCommit, version 2015-04-13.

mod approvals;
mod branches;
mod changes;
mod checks;
mod comments;
mod content;
mod edits;
mod history;
mod merges;
mod pulls;
mod repositories;
mod reviews;
mod tags;
mod templates;
mod triggers;

use serde::Serialize;

use super::error::ApiError;
use super::operation::{Call, NotRegistered, Operations};
use crate::identity::{IdentityError, RepositoryRecord};
use crate::names::{RefName, RepositoryName, escape_for_people};
use crate::operations::authority::repository_facts;
use crate::operations::repositories::RepositoryFailure;
use crate::policy::{RepositoryFacts, ResourceFacts, Tags};
use crate::store::keyring::{KeyOwner, RefusalReason};

/// Adds the operations.
pub fn register(all: &mut Operations) -> Result<(), NotRegistered> {
    repositories::register(all)?;
    branches::register(all)?;
    content::register(all)?;
    edits::register(all)?;
    pulls::register(all)?;
    approvals::register(all)?;
    templates::register(all)?;
    comments::register(all)?;
    checks::register(all)?;
    merges::register(all)?;
    triggers::register(all)?;
    history::register(all)?;
    tags::register(all)
}

#[derive(Serialize)]
struct Done {}

/// A call that names a repository.
trait OfRepository {
    fn repository_name(&self) -> &str;
}

/// Says of inputs that they name their repository in `repository_name`.
macro_rules! names_repository {
    ($($input:ty),+) => {
        $(impl $crate::api::codecommit::OfRepository for $input {
            fn repository_name(&self) -> &str {
                &self.repository_name
            }
        })+
    };
}
use names_repository;

/// The repository that the call names, which need not exist.
fn of_repository<I: OfRepository>(call: &Call<'_>, input: &I) -> Result<ResourceFacts, ApiError> {
    named(call, input.repository_name())
}

/// A repository, as policies see it.
fn of_record(record: &RepositoryRecord) -> ResourceFacts {
    ResourceFacts::Repository(repository_facts(record))
}

/// What does not exist is asked of by its name, so that a call is refused in the same words whether or not it does.
fn named(call: &Call<'_>, name: &str) -> Result<ResourceFacts, ApiError> {
    let name = repository_name(name)?;
    Ok(ResourceFacts::Repository(match call.directory.repository(call.account(), &name) {
        Some(record) => repository_facts(record),
        None => RepositoryFacts { account: call.account().clone(), name, default_branch: None, tags: Tags::new() },
    }))
}

fn repository_name(name: &str) -> Result<RepositoryName, ApiError> {
    if name.is_empty() {
        return Err(ApiError::client("RepositoryNameRequiredException", 400, "a repository name is required"));
    }
    RepositoryName::parse(name)
        .map_err(|invalid| ApiError::client("InvalidRepositoryNameException", 400, invalid.to_string()))
}

/// The repository, as of the decision.
fn find(call: &Call<'_>, name: &str) -> Result<RepositoryRecord, ApiError> {
    let name = repository_name(name)?;
    call.directory.repository(call.account(), &name).cloned().ok_or_else(|| does_not_exist(name.as_str()))
}

fn does_not_exist(name: &str) -> ApiError {
    ApiError::client("RepositoryDoesNotExistException", 400, format!("{name} does not exist"))
}

/// A branch by its short name.
fn branch_name(name: Option<&str>) -> Result<RefName, ApiError> {
    let Some(name) = name.filter(|name| !name.is_empty()) else {
        return Err(ApiError::client("BranchNameRequiredException", 400, "a branch name is required"));
    };
    let invalid = |why: String| ApiError::client("InvalidBranchNameException", 400, why);
    if name.chars().count() > 256 {
        return Err(invalid("a branch name has up to 256 characters".to_owned()));
    }
    RefName::branch(name).map_err(|bad| invalid(bad.to_string()))
}

fn no_branch(name: &str) -> ApiError {
    let name = escape_for_people(name.as_bytes(), 256);
    ApiError::client("BranchDoesNotExistException", 400, format!("the branch {name} does not exist"))
}

/// A list goes on after the last name of the page before.
fn page_of(
    names: impl Iterator<Item = String>,
    token: Option<&str>,
    size: usize,
) -> Result<(Vec<String>, Option<String>), ApiError> {
    let bad = || ApiError::client("InvalidContinuationTokenException", 400, "the token is none of this list's");
    let after = match token {
        None => None,
        Some(token) => Some(token.strip_prefix("after:").ok_or_else(bad)?.to_owned()),
    };
    let mut rest: Vec<String> = match &after {
        None => names.collect(),
        Some(after) => {
            let mut names = names.skip_while(|name| name != after);
            // One that has gone meanwhile leaves no place to go on from.
            names.next().ok_or_else(bad)?;
            names.collect()
        }
    };
    let has_more = rest.len() > size;
    rest.truncate(size);
    let next = rest.last().filter(|_| has_more).map(|last| format!("after:{last}"));
    Ok((rest, next))
}

fn of_identity(error: IdentityError) -> ApiError {
    of_failure(error.into())
}

fn of_failure(failure: RepositoryFailure) -> ApiError {
    let text = failure.to_string();
    if let Some(refusal) = failure.key_refusal() {
        let code = match (&refusal.owner, &refusal.reason) {
            (KeyOwner::Root, _) => "EncryptionKeyUnavailableException",
            (_, RefusalReason::Destroyed { .. }) => "EncryptionKeyNotFoundException",
            _ => "EncryptionKeyDisabledException",
        };
        return ApiError::client(code, 400, refusal.to_string());
    }
    match failure {
        RepositoryFailure::Identity(IdentityError::Exists { .. } | IdentityError::Tombstone { .. }) => {
            ApiError::client("RepositoryNameExistsException", 400, text)
        }
        RepositoryFailure::Identity(IdentityError::Unknown { .. }) => {
            ApiError::client("RepositoryDoesNotExistException", 400, text)
        }
        RepositoryFailure::Identity(error) => error.into(),
        RepositoryFailure::NoBranch(name) => no_branch(&name.to_string()),
        RepositoryFailure::Repository(error) => ApiError::internal(&error),
        RepositoryFailure::Store(error) => ApiError::internal(&error),
    }
}
