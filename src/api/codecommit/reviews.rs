//! What calls about pull requests, approvals and comments have in common.

use super::super::error::ApiError;
use super::super::operation::Call;
use super::of_failure;
use crate::identity::RepositoryRecord;
use crate::names::escape_for_people;
use crate::operations::authority::repository_facts;
use crate::operations::reviews::ReviewFailure;
use crate::policy::ResourceFacts;

/// A call that names a pull request.
pub(super) trait OfPullRequest {
    fn pull_request_id(&self) -> &str;
}

/// Says of inputs that they name their pull request in `pull_request_id`.
macro_rules! names_pull_request {
    ($($input:ty),+) => {
        $(impl $crate::api::codecommit::reviews::OfPullRequest for $input {
            fn pull_request_id(&self) -> &str {
                &self.pull_request_id
            }
        })+
    };
}
pub(super) use names_pull_request;

fn number_of(given: &str) -> Result<u64, ApiError> {
    if given.is_empty() {
        return Err(ApiError::client("PullRequestIdRequiredException", 400, "the id of a pull request is required"));
    }
    let is_number = given.bytes().all(|byte| byte.is_ascii_digit());
    given.parse().ok().filter(|_| is_number).ok_or_else(|| {
        let shown = escape_for_people(given.as_bytes(), 40);
        ApiError::client("InvalidPullRequestIdException", 400, format!("`{shown}` is no id of a pull request"))
    })
}

/// What a caller reads who asks for a pull request that is not there, or that he may not know of.
fn no_pull_request(given: &str) -> ApiError {
    let shown = escape_for_people(given.as_bytes(), 40);
    ApiError::client("PullRequestDoesNotExistException", 400, format!("there is no pull request {shown}"))
}

/// The repository that a pull request is of, and its number.
pub(super) fn found(call: &Call<'_>, given: &str) -> Result<(RepositoryRecord, u64), ApiError> {
    let number = number_of(given)?;
    let found = call.host.repository_of_pull_request(&call.directory, call.account(), number).map_err(of_review)?;
    Ok((found.ok_or_else(|| no_pull_request(given))?, number))
}

/// The repository that the call's pull request is of, and what is said to those who may not know of it.
pub(super) fn of_pull_request<I: OfPullRequest>(
    call: &Call<'_>,
    input: &I,
) -> Result<(ResourceFacts, ApiError), ApiError> {
    let (record, _) = found(call, input.pull_request_id())?;
    Ok((ResourceFacts::Repository(repository_facts(&record)), no_pull_request(input.pull_request_id())))
}

/// Where a list goes on, and how long a page is.
pub(super) struct Page {
    pub(super) from: Option<u64>,
    pub(super) size: usize,
}

/// A page of a list that goes on by number.
pub(super) fn page(token: Option<&str>, size: Option<i64>, default: usize, most: usize) -> Result<Page, ApiError> {
    let from =
        token.filter(|token| !token.is_empty()).map(str::parse).transpose().map_err(|_| {
            ApiError::client("InvalidContinuationTokenException", 400, "the token is none of this list's")
        })?;
    let size = match size {
        None => default,
        Some(size) if (1..=most as i64).contains(&size) => size as usize,
        Some(_) => {
            let message = format!("maxResults is a number between 1 and {most}");
            return Err(ApiError::client("InvalidMaxResultsException", 400, message));
        }
    };
    Ok(Page { from, size })
}

/// What tells a call from a repeated one.
pub(super) fn token_of(given: Option<&str>) -> Result<Option<&str>, ApiError> {
    match given.filter(|token| !token.is_empty()) {
        Some(token) if token.len() > 256 || token.chars().any(char::is_control) => {
            let message = "a token has up to 256 bytes of printable text";
            Err(ApiError::client("InvalidClientRequestTokenException", 400, message))
        }
        token => Ok(token),
    }
}

/// Why a review was not read or changed, in the model's words.
pub(super) fn of_review(failure: ReviewFailure) -> ApiError {
    let text = failure.to_string();
    let code = match failure {
        ReviewFailure::Repository(failure) => return of_failure(failure),
        ReviewFailure::Shelf(error) => return ApiError::internal(&error),
        ReviewFailure::Busy => return ApiError { code: "InternalFailure".to_owned(), message: text, status: 500 },
        ReviewFailure::NoPullRequest(_) => "PullRequestDoesNotExistException",
        ReviewFailure::NoReference(_) => "ReferenceDoesNotExistException",
        ReviewFailure::SameReference => "SourceAndDestinationAreSameException",
        ReviewFailure::TooManyOpen => "MaximumOpenPullRequestsExceededException",
        ReviewFailure::Closed(_) => "PullRequestAlreadyClosedException",
        ReviewFailure::Reopening => "InvalidPullRequestStatusUpdateException",
        ReviewFailure::TokenMismatch => "IdempotencyParameterMismatchException",
        ReviewFailure::NoRevision(_) => "InvalidRevisionIdException",
        ReviewFailure::OldRevision(_) => "RevisionNotCurrentException",
        ReviewFailure::ByAuthor => "PullRequestCannotBeApprovedByAuthorException",
        ReviewFailure::TooManyApprovals => "MaximumNumberOfApprovalsExceededException",
        ReviewFailure::AlreadyOverridden => "OverrideAlreadySetException",
        ReviewFailure::NoRule(_) => "ApprovalRuleDoesNotExistException",
        ReviewFailure::RuleExists(_) => "ApprovalRuleNameAlreadyExistsException",
        ReviewFailure::TooManyRules => "NumberOfRulesExceededException",
        ReviewFailure::OfTemplate(_) => "CannotModifyApprovalRuleFromTemplateException",
        ReviewFailure::ContentChanged => "InvalidRuleContentSha256Exception",
        ReviewFailure::NoTemplate(_) => "ApprovalRuleTemplateDoesNotExistException",
        ReviewFailure::TemplateExists(_) => "ApprovalRuleTemplateNameAlreadyExistsException",
        ReviewFailure::TemplateInUse(_) => "ApprovalRuleTemplateInUseException",
        ReviewFailure::TooManyTemplates(_) => "NumberOfRuleTemplatesExceededException",
        ReviewFailure::NoComment(_) => "CommentDoesNotExistException",
        ReviewFailure::CommentDeleted => "CommentDeletedException",
        ReviewFailure::NotYours => "CommentNotCreatedByCallerException",
        ReviewFailure::NoCommit(_) => "CommitDoesNotExistException",
        ReviewFailure::NoPath(_) => "PathDoesNotExistException",
        ReviewFailure::NoLine { .. } => "InvalidFilePositionException",
        ReviewFailure::TooManyReactions => "ReactionLimitExceededException",
        ReviewFailure::TooManyChecks => "LimitExceededException",
    };
    ApiError::client(code, 400, text)
}
