//! What all calls that change refs have in common: what they are asked of, and what becomes of their failures.

use super::super::error::ApiError;
use super::super::operation::Call;
use super::{branch_name, named, of_failure};
use crate::names::{RefName, escape_for_people};
use crate::operations::authorize::NotAllowed;
use crate::operations::commits::{ChangeFailure, CommitWords, EditError, MAX_MESSAGE_BYTES};
use crate::operations::ref_changes::Refusal;
use crate::policy::{RefFacts, RepositoryFacts, ResourceFacts};

/// The branch that a call names, in a repository that need not exist.
pub(super) fn of_branch(call: &Call<'_>, repository: &str, branch: Option<&str>) -> Result<RefFacts, ApiError> {
    Ok(RefFacts { repository: facts_of(call, repository)?, name: branch_name(branch)? })
}

/// A ref in a repository that need not exist.
pub(super) fn of_ref(call: &Call<'_>, repository: &str, name: RefName) -> Result<RefFacts, ApiError> {
    Ok(RefFacts { repository: facts_of(call, repository)?, name })
}

fn facts_of(call: &Call<'_>, repository: &str) -> Result<RepositoryFacts, ApiError> {
    match named(call, repository)? {
        ResourceFacts::Repository(repository) => Ok(repository),
        _ => Err(super::does_not_exist(repository)),
    }
}

fn client(code: &str, text: String) -> ApiError {
    ApiError::client(code, 400, text)
}

/// Why a change of a ref was not made, in the model's words.
pub(super) fn of_change(call: &Call<'_>, failure: ChangeFailure) -> ApiError {
    let text = failure.to_string();
    match failure {
        ChangeFailure::Repository(failure) => of_failure(failure),
        ChangeFailure::Refused(refusal) => of_refusal(call, refusal),
        ChangeFailure::NoBranch(_) => client("BranchDoesNotExistException", text),
        ChangeFailure::BranchExists(_) => client("BranchNameExistsException", text),
        ChangeFailure::ParentRequired(_) => client("ParentCommitIdRequiredException", text),
        ChangeFailure::NoCommit(_) => client("CommitDoesNotExistException", text),
        ChangeFailure::Outdated { .. } => client("ParentCommitIdOutdatedException", text),
        ChangeFailure::NoFile(_) => client("FileDoesNotExistException", text),
        ChangeFailure::SameFile(_) => client("SameFileContentException", text),
        ChangeFailure::NoChange => client("NoChangeException", text),
        ChangeFailure::SamePath(_) => client("SamePathRequestException", text),
        ChangeFailure::Keeper(_) => client("RestrictedSourceFileException", text),
        ChangeFailure::PutConflict(_) => client("PutFileEntryConflictException", text),
        ChangeFailure::BadObjects(_) => client("InvalidPathException", text),
        ChangeFailure::Concurrent => client("ConcurrentReferenceUpdateException", text),
        ChangeFailure::Edit(error) => match error {
            EditError::IsFolder(_) => client("FileNameConflictsWithDirectoryNameException", text),
            EditError::IsFile(_) => client("DirectoryNameConflictsWithFileNameException", text),
            EditError::IsSubmodule(_) => client("FilePathConflictsWithSubmodulePathException", text),
            EditError::BadPath { .. } | EditError::IsLink(_) => client("InvalidPathException", text),
            EditError::TooLarge(_) => client("FolderContentSizeLimitExceededException", text),
            EditError::Browse(error) => ApiError::internal(&error),
        },
    }
}

fn of_refusal(call: &Call<'_>, refusal: Refusal) -> ApiError {
    let text = refusal.to_string();
    match refusal {
        Refusal::Denied(decision) => call.denied(&NotAllowed::Refused(decision)),
        Refusal::Path { path, decision, .. } => {
            let denied = call.denied(&NotAllowed::Refused(decision));
            ApiError { message: format!("{} (path `{path}`)", denied.message), ..denied }
        }
        Refusal::Moved(_) => client("ConcurrentReferenceUpdateException", text),
        Refusal::Closed(_) => client("PullRequestAlreadyClosedException", text),
        Refusal::Rules(_) => client("PullRequestApprovalRulesNotSatisfiedException", text),
        // A name that differs in case alone, one that is a folder of another, ...
        Refusal::Invalid(_) | Refusal::Together => client("InvalidBranchNameException", text),
        Refusal::Unavailable(text) => ApiError { code: "InternalFailure".to_owned(), message: text, status: 500 },
    }
}

const MAX_NAME_CHARS: usize = 1024;
const MAX_EMAIL_CHARS: usize = 256;

/// The words that come with a commit, within the model's bounds.
pub(super) fn words(
    name: Option<String>,
    email: Option<String>,
    message: Option<String>,
) -> Result<CommitWords, ApiError> {
    if name.as_ref().is_some_and(|name| name.chars().count() > MAX_NAME_CHARS) {
        let message = format!("a name has up to {MAX_NAME_CHARS} characters");
        return Err(client("NameLengthExceededException", message));
    }
    if let Some(email) = email.as_deref().filter(|email| !email.is_empty())
        && (email.chars().count() > MAX_EMAIL_CHARS
            || email.chars().any(|c| c.is_control() || c.is_whitespace() || "<>".contains(c)))
    {
        let shown = escape_for_people(email.as_bytes(), 100);
        let message =
            format!("`{shown}` is no mail address: up to {MAX_EMAIL_CHARS} characters without blanks or `<>`");
        return Err(client("InvalidEmailException", message));
    }
    if message.as_ref().is_some_and(|message| message.len() > MAX_MESSAGE_BYTES) {
        let message = format!("a commit's message has up to {MAX_MESSAGE_BYTES} bytes");
        return Err(client("CommitMessageLengthExceededException", message));
    }
    Ok(CommitWords { name, email, message })
}
