//! Pull requests and all that belongs to reviewing them: what the doors ask, done. Who may has been decided before, but for what
//! changes a ref, which `ref_changes` decides.

pub mod approvals;
pub mod checks;
pub mod comments;
pub(super) mod facts;
pub(super) mod follow;
pub(super) mod merge_refs;
pub mod templates;
#[cfg(test)]
mod tests;

use uuid::Uuid;

use super::OpContext;
use super::lockgate::Lockgate;
use super::repositories::RepositoryFailure;
use crate::identity::{Directory, IdentityError, Principal, RepositoryRecord};
use crate::names::{AccountId, ObjectId, RefName};
use crate::repository::handle::{PublishWith, Repository, RepositoryError};
use crate::repository::log::{LogEntry, RefChange};
use crate::repository::ref_change::Proposed;
use crate::repository::snapshot::Snapshot;
use crate::review::Person;
use crate::review::pull_request::{Event, Happening, PullRequest};
use crate::review::rules::request_digest;
use crate::review::shelf::{AccountReviews, Given, Kept, Reviews, ShelfError};
use crate::store::StoreError;
use crate::store::documents::Write;

/// How often a change of documents is tried again because somebody else was faster.
const MAX_TRIES: usize = 32;

/// Most open pull requests of one repository.
const MAX_OPEN: usize = 1000;

/// Why a review was not read or changed.
#[derive(Debug, thiserror::Error)]
pub enum ReviewFailure {
    /// The repository could not be read or changed.
    #[error(transparent)]
    Repository(#[from] RepositoryFailure),
    /// A document cannot be read.
    #[error(transparent)]
    Shelf(ShelfError),
    /// Others kept being faster.
    #[error("it is being changed too fast; try again")]
    Busy,
    /// There is no such pull request.
    #[error("there is no pull request {0}")]
    NoPullRequest(String),
    /// There is no such ref.
    #[error("there is no branch `{0}`")]
    NoReference(String),
    /// Source and destination are one.
    #[error("source and destination are the same branch")]
    SameReference,
    /// Too many are open.
    #[error("{MAX_OPEN} pull requests are open in this repository: close or merge some of them")]
    TooManyOpen,
    /// The pull request is closed.
    #[error("pull request {0} is closed")]
    Closed(u64),
    /// A closed pull request cannot be opened again.
    #[error("a closed pull request cannot be opened again: open a new one")]
    Reopening,
    /// The same token came with another request.
    #[error("the token was used for another request")]
    TokenMismatch,
    /// The revision is none of this pull request's.
    #[error("that is no revision of pull request {0}")]
    NoRevision(u64),
    /// The revision is not the newest.
    #[error("pull request {0} was changed: look at its newest revision first")]
    OldRevision(u64),
    /// The author does not approve.
    #[error("the author of a pull request does not approve of it")]
    ByAuthor,
    /// Too many approvals.
    #[error("a pull request takes up to {} approvals", crate::review::pull_request::MAX_APPROVALS)]
    TooManyApprovals,
    /// The rules are set aside already.
    #[error("the approval rules of this revision are set aside already")]
    AlreadyOverridden,
    /// There is no such approval rule.
    #[error("there is no approval rule `{0}`")]
    NoRule(String),
    /// There is such a rule.
    #[error("there is an approval rule `{0}`")]
    RuleExists(String),
    /// Too many rules.
    #[error("a pull request has up to {} approval rules", crate::review::pull_request::MAX_RULES)]
    TooManyRules,
    /// The rule was made from a template.
    #[error("the approval rule `{0}` was made from a template")]
    OfTemplate(String),
    /// The content was changed since it was read.
    #[error("the content was changed since it was read")]
    ContentChanged,
    /// There is no such template.
    #[error("there is no approval rule template `{0}`")]
    NoTemplate(String),
    /// There is such a template.
    #[error("there is an approval rule template `{0}`")]
    TemplateExists(String),
    /// Repositories have the template.
    #[error("the approval rule template `{0}` is associated with repositories")]
    TemplateInUse(String),
    /// Too many templates.
    #[error("{0}")]
    TooManyTemplates(String),
    /// There is no such comment.
    #[error("there is no comment `{0}`")]
    NoComment(String),
    /// The comment was deleted.
    #[error("the comment was deleted")]
    CommentDeleted,
    /// Somebody else's comment.
    #[error("only who wrote a comment changes it")]
    NotYours,
    /// There is no such commit.
    #[error("there is no commit `{0}`")]
    NoCommit(String),
    /// There is no such file.
    #[error("there is no file `{0}` in either of the commits")]
    NoPath(String),
    /// The file has fewer lines.
    #[error("`{path}` has no line {line}")]
    NoLine {
        /// The file.
        path: String,
        /// The line that was asked for.
        line: u64,
    },
    /// Too many reactions.
    #[error("a comment takes up to {} reactions", crate::review::comment::MAX_REACTIONS)]
    TooManyReactions,
    /// Too many checks.
    #[error("a commit has up to {} checks", crate::review::checks::MAX_CHECKS)]
    TooManyChecks,
}

impl From<ShelfError> for ReviewFailure {
    fn from(error: ShelfError) -> ReviewFailure {
        match error {
            ShelfError::Store(error) => error.into(),
            error => ReviewFailure::Shelf(error),
        }
    }
}

impl From<StoreError> for ReviewFailure {
    fn from(error: StoreError) -> ReviewFailure {
        // Told as a repository's, so that a key that may not be used is named.
        RepositoryFailure::from(RepositoryError::from(error)).into()
    }
}

impl From<RepositoryError> for ReviewFailure {
    fn from(error: RepositoryError) -> ReviewFailure {
        RepositoryFailure::from(error).into()
    }
}

impl From<IdentityError> for ReviewFailure {
    fn from(error: IdentityError) -> ReviewFailure {
        RepositoryFailure::from(error).into()
    }
}

/// Changes a pull request at a time: says what happened to it, and something for the caller.
type Change<'a, T> = &'a mut dyn FnMut(&mut PullRequest, i64) -> Result<(Vec<Happening>, T), ReviewFailure>;

/// Who asks, as reviews remember it.
pub fn person_of(principal: &Principal) -> Person {
    let (user, subject) = match principal {
        Principal::User(user) => (Some(user.id), None),
        Principal::Session(session) => {
            let user = session.on_behalf_of.as_ref().or(session.original_user.as_ref());
            (user.map(|user| user.id), session.subject.as_ref().map(ToString::to_string))
        }
        Principal::Service(_) => (None, None),
    };
    Person { arn: principal.arn(), user, subject }
}

/// A pull request as it stands now.
#[derive(Debug, Clone)]
pub struct Shown {
    /// What is kept of it, its places brought up to date.
    pub pull_request: PullRequest,
    /// The repository that it is of.
    pub repository: String,
}

/// A pull request that is to be opened.
#[derive(Debug, Clone)]
pub struct NewPullRequest<'a> {
    /// The title.
    pub title: &'a str,
    /// The description.
    pub description: Option<&'a str>,
    /// The branch that is to be merged.
    pub source: &'a RefName,
    /// The branch that it is to be merged into; the default branch if it is not said.
    pub destination: Option<&'a RefName>,
    /// What tells this call from another.
    pub token: Option<&'a str>,
}

/// How a list of pull requests is narrowed.
#[derive(Debug, Clone, Copy, Default)]
pub struct PullRequestFilter<'a> {
    /// Those that are open, or those that are not; both if it is not said.
    pub is_open: Option<bool>,
    /// Those of an author, by the ARN.
    pub author: Option<&'a str>,
    /// Those with smaller numbers.
    pub before: Option<u64>,
    /// At most so many.
    pub limit: usize,
}

impl Lockgate {
    pub(super) fn reviews<'a>(&'a self, repository: &'a Repository) -> Reviews<'a> {
        Reviews::new(self.store(), repository.keys())
    }

    /// The repository that a pull request of an account is of; none if there is no such pull request, or no such repository any
    /// more. Blocks.
    pub fn repository_of_pull_request(
        &self,
        directory: &Directory,
        account: &AccountId,
        number: u64,
    ) -> Result<Option<RepositoryRecord>, ReviewFailure> {
        let Some(id) = AccountReviews::new(self.store(), account).repository_of(number)? else { return Ok(None) };
        Ok(directory.repositories(account).find(|record| record.id == id).cloned())
    }

    /// Opens a pull request. Blocks.
    pub fn create_pull_request(
        &self,
        ctx: &OpContext,
        record: &RepositoryRecord,
        new: &NewPullRequest<'_>,
    ) -> Result<Shown, ReviewFailure> {
        let repository = self.repository(record)?;
        let reviews = self.reviews(&repository);
        let destination = new.destination.unwrap_or(&record.default_branch);
        if destination == new.source {
            return Err(ReviewFailure::SameReference);
        }
        let author = person_of(&ctx.principal);
        let parts = [new.title, new.description.unwrap_or_default()].map(str::as_bytes);
        let request =
            request_digest(&[parts[0], parts[1], record.id.as_bytes(), new.source.as_bytes(), destination.as_bytes()]);
        let caller = format!("pull request {}", author.arn);
        let now_ms = self.store().clock().now_ms();
        for _ in 0..MAX_TRIES {
            if let Some(token) = new.token
                && let Some(given) = reviews.given(&caller, token)?
            {
                let number = given.made.parse().ok().filter(|_| given.request == request);
                let number: u64 = number.ok_or(ReviewFailure::TokenMismatch)?;
                return self.pull_request(record, number);
            }
            if reviews.open_pull_requests()?.len() >= MAX_OPEN {
                return Err(ReviewFailure::TooManyOpen);
            }
            let snapshot = repository.snapshot();
            let stands = |name: &RefName| {
                let value = snapshot.refs.get(name).map(|value| value.id);
                value.ok_or_else(|| ReviewFailure::NoReference(super::commits::short_name(name)))
            };
            let (source_commit, destination_commit) = (stands(new.source)?, stands(destination)?);
            let merge_base = Proposed::new(&snapshot, None).merge_base(&source_commit, &destination_commit);
            let account = AccountReviews::new(self.store(), &record.account);
            let (number, mut writes) = account.next_number(record.id)?;
            let mut pull_request = PullRequest {
                number,
                id: Uuid::now_v7(),
                title: new.title.to_owned(),
                description: new.description.map(str::to_owned),
                author: author.clone(),
                created_ms: now_ms,
                active_ms: now_ms,
                is_open: true,
                source: new.source.clone(),
                destination: destination.clone(),
                source_commit,
                destination_commit,
                merge_base,
                revision: 1,
                merged: None,
                token: new.token.map(str::to_owned),
                rules: Vec::new(),
                approvals: Vec::new(),
                pushers: Vec::new(),
                overrides: Vec::new(),
                n_events: 0,
            };
            let mut events = vec![Event {
                at_ms: now_ms,
                actor: author.arn.clone(),
                what: Happening::Created { source: source_commit, destination: destination_commit, base: merge_base },
            }];
            self.add_rules_of_templates(record, &mut pull_request, &mut events, now_ms)?;
            if let Some(token) = new.token {
                let given = Given { request: request.clone(), made: number.to_string() };
                writes.push(reviews.put_given(&caller, token, &given)?);
            }
            writes.extend(reviews.put_pull_request(&Kept::new(pull_request.clone()), true, &events)?);
            writes.extend(self.events_of_pull_request(record, &pull_request, &events, now_ms));
            let head = RefChange { name: pull_request.head_ref(), old: None, new: Some(source_commit), peeled: None };
            if self.publish_with(&repository, &snapshot, &author.arn, head, writes)? {
                return Ok(Shown { pull_request, repository: record.name.to_string() });
            }
        }
        Err(ReviewFailure::Busy)
    }

    /// Publishes one change of a ref of the server's own with documents; false if anything was changed since `snapshot`.
    fn publish_with(
        &self,
        repository: &Repository,
        snapshot: &Snapshot,
        actor: &str,
        change: RefChange,
        documents: Vec<Write>,
    ) -> Result<bool, RepositoryError> {
        let mut is_tried = false;
        let mut is_made = false;
        repository.publish(&mut |current| -> Result<_, RepositoryError> {
            // Asked a second time, somebody was faster: the documents are read anew.
            if is_tried || current.generation != snapshot.generation {
                is_made = false;
                return Ok(None);
            }
            (is_tried, is_made) = (true, true);
            let mut entry = LogEntry::new(self.store().clock().now_ms(), actor.to_owned());
            entry.refs = vec![change.clone()];
            Ok(Some((entry, PublishWith { documents: documents.clone(), ..PublishWith::default() })))
        })?;
        Ok(is_made)
    }

    /// A pull request as it stands now. Blocks.
    pub fn pull_request(&self, record: &RepositoryRecord, number: u64) -> Result<Shown, ReviewFailure> {
        let repository = self.repository(record)?;
        let kept = self.reviews(&repository).pull_request(number)?;
        let kept = kept.ok_or_else(|| ReviewFailure::NoPullRequest(number.to_string()))?;
        Ok(self.shown(&repository.snapshot(), record, kept.value))
    }

    fn shown(&self, snapshot: &Snapshot, record: &RepositoryRecord, mut pull_request: PullRequest) -> Shown {
        if pull_request.is_open
            && let Some(tip) = snapshot.refs.get(&pull_request.destination)
        {
            pull_request.destination_commit = tip.id;
            pull_request.merge_base = Proposed::new(snapshot, None).merge_base(&pull_request.source_commit, &tip.id);
        }
        Shown { pull_request, repository: record.name.to_string() }
    }

    /// The numbers of pull requests, newest first. Blocks.
    pub fn pull_request_numbers(
        &self,
        record: &RepositoryRecord,
        filter: &PullRequestFilter<'_>,
    ) -> Result<Vec<u64>, ReviewFailure> {
        let repository = self.repository(record)?;
        let reviews = self.reviews(&repository);
        let mut numbers = Vec::new();
        for is_open in [true, false].into_iter().filter(|is_open| filter.is_open.is_none_or(|asked| asked == *is_open))
        {
            let mut before = filter.before;
            let mut found = 0;
            while found < filter.limit {
                let page = reviews.pull_requests(is_open, before, PAGE)?;
                let Some(last) = page.last() else { break };
                before = Some(last.value.number);
                let of_author =
                    |kept: &&Kept<PullRequest>| filter.author.is_none_or(|author| author == kept.value.author.arn);
                let of_page: Vec<u64> = page.iter().filter(of_author).map(|kept| kept.value.number).collect();
                found += of_page.len();
                numbers.extend(of_page);
                if page.len() < PAGE {
                    break;
                }
            }
        }
        numbers.sort_unstable_by(|a, b| b.cmp(a));
        numbers.truncate(filter.limit);
        Ok(numbers)
    }

    /// What happened to a pull request from the event at `from` on, in order; at most `limit`. Blocks.
    pub fn pull_request_events(
        &self,
        record: &RepositoryRecord,
        number: u64,
        from: u32,
        limit: usize,
    ) -> Result<Vec<Event>, ReviewFailure> {
        let repository = self.repository(record)?;
        Ok(self.reviews(&repository).events(number, from, limit)?)
    }

    /// Changes a pull request: `change` says what happened, or why it cannot be. Blocks.
    pub(super) fn change_pull_request<T>(
        &self,
        record: &RepositoryRecord,
        number: u64,
        actor: &str,
        change: Change<'_, T>,
    ) -> Result<(Shown, T), ReviewFailure> {
        let repository = self.repository(record)?;
        let reviews = self.reviews(&repository);
        for _ in 0..MAX_TRIES {
            let kept = reviews.pull_request(number)?;
            let mut kept = kept.ok_or_else(|| ReviewFailure::NoPullRequest(number.to_string()))?;
            let was_open = kept.value.is_open;
            let now_ms = self.store().clock().now_ms();
            let (happened, told) = change(&mut kept.value, now_ms)?;
            kept.value.active_ms = now_ms;
            let events: Vec<Event> =
                happened.into_iter().map(|what| Event { at_ms: now_ms, actor: actor.to_owned(), what }).collect();
            let mut writes = reviews.put_pull_request(&kept, was_open, &events)?;
            writes.extend(self.events_of_pull_request(record, &kept.value, &events, now_ms));
            if self.store().write_documents(&writes)? {
                return Ok((self.shown(&repository.snapshot(), record, kept.value), told));
            }
        }
        Err(ReviewFailure::Busy)
    }

    /// Gives a pull request another title. Blocks.
    pub fn retitle_pull_request(
        &self,
        ctx: &OpContext,
        record: &RepositoryRecord,
        number: u64,
        title: &str,
    ) -> Result<Shown, ReviewFailure> {
        self.edit(ctx, record, number, &|pull_request| pull_request.title = title.to_owned())
    }

    /// Gives a pull request another description. Blocks.
    pub fn describe_pull_request(
        &self,
        ctx: &OpContext,
        record: &RepositoryRecord,
        number: u64,
        description: &str,
    ) -> Result<Shown, ReviewFailure> {
        let description = Some(description.to_owned()).filter(|text| !text.is_empty());
        self.edit(ctx, record, number, &|pull_request| pull_request.description = description.clone())
    }

    fn edit(
        &self,
        ctx: &OpContext,
        record: &RepositoryRecord,
        number: u64,
        edit: &dyn Fn(&mut PullRequest),
    ) -> Result<Shown, ReviewFailure> {
        let changed = self.change_pull_request(record, number, &ctx.principal.arn(), &mut |pull_request, _| {
            if !pull_request.is_open {
                return Err(ReviewFailure::Closed(number));
            }
            edit(pull_request);
            Ok((Vec::new(), ()))
        });
        Ok(changed?.0)
    }

    /// Closes a pull request, or leaves it as it is. Blocks.
    pub fn set_pull_request_open(
        &self,
        ctx: &OpContext,
        record: &RepositoryRecord,
        number: u64,
        is_open: bool,
    ) -> Result<Shown, ReviewFailure> {
        let tip_of = self.repository(record)?.snapshot();
        let changed = self.change_pull_request(record, number, &ctx.principal.arn(), &mut |pull_request, _| match (
            pull_request.is_open,
            is_open,
        ) {
            (false, true) => Err(ReviewFailure::Reopening),
            (true, false) => {
                if let Some(tip) = tip_of.refs.get(&pull_request.destination) {
                    pull_request.destination_commit = tip.id;
                    pull_request.merge_base =
                        Proposed::new(&tip_of, None).merge_base(&pull_request.source_commit, &tip.id);
                }
                pull_request.is_open = false;
                Ok((vec![Happening::StatusChanged { is_open: false }], ()))
            }
            _ => Ok((Vec::new(), ())),
        });
        Ok(changed?.0)
    }

    /// Where a ref stands, by its full name. Blocks.
    pub fn ref_tip(&self, record: &RepositoryRecord, name: &RefName) -> Result<Option<ObjectId>, ReviewFailure> {
        Ok(self.repository(record)?.snapshot().refs.get(name).map(|value| value.id))
    }
}

/// How many pull requests are read at once.
const PAGE: usize = 200;
