//! Comments, replies and reactions.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::super::codec::{Entries, Timestamp};
use super::super::error::ApiError;
use super::super::operation::{Call, NotRegistered, Operations};
use super::super::service::Service::CodeCommit;
use super::content::object_id;
use super::reviews::{Page, found, names_pull_request, of_pull_request, of_review, page, token_of};
use super::{Done, find, names_repository, of_repository};
use crate::identity::RepositoryRecord;
use crate::names::{ObjectId, escape_for_people};
use crate::operations::authority::repository_facts;
use crate::operations::authorize::Weight::{Read, Write};
use crate::operations::reviews::comments::{NewComment, Thread};
use crate::operations::reviews::person_of;
use crate::policy::ResourceFacts;
use crate::review::comment::{Comment, Location, MAX_CONTENT_CHARS, Version};
use crate::review::emoji;

pub(super) fn register(all: &mut Operations) -> Result<(), NotRegistered> {
    let action = "codecommit:PostCommentForPullRequest";
    all.add_hidden(CodeCommit, "PostCommentForPullRequest", action, Write, of_pull_request, post_for_pull_request)?;
    let action = "codecommit:PostCommentForComparedCommit";
    all.add(CodeCommit, "PostCommentForComparedCommit", action, Write, of_repository, post_for_commit)?;
    all.add_hidden(CodeCommit, "PostCommentReply", "codecommit:PostCommentReply", Write, of_comment, reply)?;
    all.add_hidden(CodeCommit, "GetComment", "codecommit:GetComment", Read, of_comment, get)?;
    all.add_hidden(CodeCommit, "UpdateComment", "codecommit:UpdateComment", Write, of_comment, update)?;
    let action = "codecommit:DeleteCommentContent";
    all.add_hidden(CodeCommit, "DeleteCommentContent", action, Write, of_comment, delete)?;
    all.add_hidden(CodeCommit, "PutCommentReaction", "codecommit:PutCommentReaction", Write, of_comment, react)?;
    let action = "codecommit:GetCommentReactions";
    all.add_hidden(CodeCommit, "GetCommentReactions", action, Read, of_comment, reactions)?;
    let action = "codecommit:GetCommentsForPullRequest";
    all.add_hidden(CodeCommit, "GetCommentsForPullRequest", action, Read, of_pull_request, of_pull)?;
    let action = "codecommit:GetCommentsForComparedCommit";
    all.add(CodeCommit, "GetCommentsForComparedCommit", action, Read, of_repository, of_comparison)
}

names_repository!(PostForCommit, OfComparison);
names_pull_request!(PostForPullRequest, OfPull);

/// A call that names a comment.
trait OfComment {
    fn comment_id(&self) -> &str;
}

impl OfComment for Reply {
    fn comment_id(&self) -> &str {
        &self.in_reply_to
    }
}

macro_rules! names_comment {
    ($($input:ty),+) => {
        $(impl OfComment for $input {
            fn comment_id(&self) -> &str {
                &self.comment_id
            }
        })+
    };
}
names_comment!(OfOne, Update, React, Reactions);

/// `REPOSITORY:COMMENT`: where it lies is part of its id, and both are server-made.
fn ids_of(given: &str) -> Result<(Uuid, Uuid), ApiError> {
    if given.is_empty() {
        return Err(ApiError::client("CommentIdRequiredException", 400, "the id of a comment is required"));
    }
    let parts = given
        .split_once(':')
        .and_then(|(repository, comment)| Some((Uuid::try_parse(repository).ok()?, Uuid::try_parse(comment).ok()?)));
    parts.ok_or_else(|| {
        let shown = escape_for_people(given.as_bytes(), 100);
        ApiError::client("InvalidCommentIdException", 400, format!("`{shown}` is no id of a comment"))
    })
}

fn no_comment(given: &str) -> ApiError {
    let shown = escape_for_people(given.as_bytes(), 100);
    ApiError::client("CommentDoesNotExistException", 400, format!("there is no comment {shown}"))
}

/// The repository that a comment is in, and its id there.
fn comment_at(call: &Call<'_>, given: &str) -> Result<(RepositoryRecord, Uuid), ApiError> {
    let (repository, comment) = ids_of(given)?;
    let record = call.directory.repositories(call.account()).find(|record| record.id == repository).cloned();
    Ok((record.ok_or_else(|| no_comment(given))?, comment))
}

fn of_comment<I: OfComment>(call: &Call<'_>, input: &I) -> Result<(ResourceFacts, ApiError), ApiError> {
    let (record, _) = comment_at(call, input.comment_id())?;
    Ok((ResourceFacts::Repository(repository_facts(&record)), no_comment(input.comment_id())))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CommentOut {
    comment_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    in_reply_to: Option<String>,
    creation_date: Timestamp,
    last_modified_date: Timestamp,
    author_arn: String,
    deleted: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_request_token: Option<String>,
    caller_reactions: Vec<String>,
    reaction_counts: Entries<usize>,
}

fn comment_out(call: &Call<'_>, record: &RepositoryRecord, comment: Comment) -> CommentOut {
    let me = person_of(&call.ctx.principal);
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for reaction in &comment.reactions {
        *counts.entry(reaction.short_code.clone()).or_default() += 1;
    }
    let id = |id: Uuid| format!("{}:{id}", record.id);
    let mine = comment.reactions.iter().filter(|reaction| reaction.by.is(&me));
    CommentOut {
        comment_id: id(comment.id),
        in_reply_to: comment.in_reply_to.map(id),
        creation_date: Timestamp(comment.created_ms),
        last_modified_date: Timestamp(comment.changed_ms),
        deleted: comment.is_deleted,
        client_request_token: comment.token,
        caller_reactions: mine.map(|reaction| reaction.short_code.clone()).collect(),
        reaction_counts: Entries(counts),
        content: Some(comment.content).filter(|_| !comment.is_deleted),
        author_arn: comment.author.arn,
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LocationIn {
    file_path: Option<String>,
    file_position: Option<i64>,
    relative_file_version: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LocationOut {
    file_path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    file_position: Option<u64>,
    relative_file_version: &'static str,
}

fn location_of(given: Option<LocationIn>) -> Result<Option<Location>, ApiError> {
    let Some(given) = given else { return Ok(None) };
    let Some(path) = given.file_path.filter(|path| !path.is_empty()) else {
        if given.file_position.is_some() {
            return Err(ApiError::client(
                "PathRequiredException",
                400,
                "a position is in a file: its path is required",
            ));
        }
        return Ok(None);
    };
    super::content::path(Some(&path))?;
    let version = match given.relative_file_version.as_deref() {
        None | Some("" | "AFTER") => Version::After,
        Some("BEFORE") => Version::Before,
        Some(other) => {
            let shown = escape_for_people(other.as_bytes(), 40);
            let message = format!("`{shown}` is no version of a file: BEFORE or AFTER");
            return Err(ApiError::client("InvalidRelativeFileVersionEnumException", 400, message));
        }
    };
    let line = match given.file_position {
        None => None,
        Some(position) => match u64::try_from(position) {
            Ok(line) if line > 0 => Some(line),
            _ => {
                return Err(ApiError::client("InvalidFilePositionException", 400, "lines are counted from 1"));
            }
        },
    };
    Ok(Some(Location { path: path.trim_matches('/').to_owned(), line, version }))
}

fn content_of(given: Option<&str>) -> Result<&str, ApiError> {
    match given {
        None => Err(ApiError::client("CommentContentRequiredException", 400, "a comment says something")),
        Some(text) if text.trim().is_empty() => {
            Err(ApiError::client("CommentContentRequiredException", 400, "a comment says something"))
        }
        Some(text) if text.chars().count() > MAX_CONTENT_CHARS => {
            let message = format!("a comment has up to {MAX_CONTENT_CHARS} characters");
            Err(ApiError::client("CommentContentSizeLimitExceededException", 400, message))
        }
        Some(text) => Ok(text),
    }
}

/// What a comment is about, in the model's shape: a member of answers and of lists.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Place {
    repository_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pull_request_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    before_commit_id: Option<String>,
    after_commit_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    before_blob_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after_blob_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    location: Option<LocationOut>,
}

fn place_of(record: &RepositoryRecord, comment: &Comment) -> Place {
    let hex = |id: Option<ObjectId>| id.map(|id| id.to_string());
    Place {
        repository_name: record.name.to_string(),
        pull_request_id: comment.target.pull_request.map(|number| number.to_string()),
        before_commit_id: hex(comment.target.before),
        after_commit_id: comment.target.after.to_string(),
        before_blob_id: hex(comment.before_blob),
        after_blob_id: hex(comment.after_blob),
        location: comment.location.as_ref().map(|location| LocationOut {
            file_path: location.path.clone(),
            file_position: location.line,
            relative_file_version: location.version.as_str(),
        }),
    }
}

#[derive(Serialize)]
struct Posted {
    #[serde(flatten)]
    place: Place,
    comment: CommentOut,
}

fn posted(call: &Call<'_>, record: &RepositoryRecord, comment: Comment) -> Posted {
    Posted { place: place_of(record, &comment), comment: comment_out(call, record, comment) }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PostForPullRequest {
    #[serde(default)]
    pull_request_id: String,
    #[serde(default)]
    repository_name: String,
    #[serde(default)]
    before_commit_id: String,
    #[serde(default)]
    after_commit_id: String,
    location: Option<LocationIn>,
    content: Option<String>,
    client_request_token: Option<String>,
}

fn post_for_pull_request(call: &Call<'_>, input: PostForPullRequest) -> Result<Posted, ApiError> {
    let (record, number) = found(call, &input.pull_request_id)?;
    of_its_repository(&record, &input.repository_name)?;
    let new = NewComment {
        pull_request: Some(number),
        before: Some(object_id(&input.before_commit_id, "Commit")?),
        after: object_id(&input.after_commit_id, "Commit")?,
        location: location_of(input.location)?,
        content: content_of(input.content.as_deref())?,
        token: token_of(input.client_request_token.as_deref())?,
    };
    let comment = call.host.post_comment(call.ctx, &record, &new).map_err(of_review)?;
    Ok(posted(call, &record, comment))
}

fn of_its_repository(record: &RepositoryRecord, given: &str) -> Result<(), ApiError> {
    if super::repository_name(given)? != record.name {
        let shown = escape_for_people(given.as_bytes(), 100);
        let message = format!("the pull request is not one of `{shown}`");
        return Err(ApiError::client("RepositoryNotAssociatedWithPullRequestException", 400, message));
    }
    Ok(())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PostForCommit {
    #[serde(default)]
    repository_name: String,
    before_commit_id: Option<String>,
    #[serde(default)]
    after_commit_id: String,
    location: Option<LocationIn>,
    content: Option<String>,
    client_request_token: Option<String>,
}

fn optional_id(given: Option<&str>) -> Result<Option<ObjectId>, ApiError> {
    given.filter(|id| !id.is_empty()).map(|id| object_id(id, "Commit")).transpose()
}

fn post_for_commit(call: &Call<'_>, input: PostForCommit) -> Result<Posted, ApiError> {
    let record = find(call, &input.repository_name)?;
    let before = optional_id(input.before_commit_id.as_deref())?;
    let after = object_id(&input.after_commit_id, "Commit")?;
    if before == Some(after) {
        let message = "before and after are the same commit";
        return Err(ApiError::client("BeforeCommitIdAndAfterCommitIdAreSameException", 400, message));
    }
    let new = NewComment {
        pull_request: None,
        before,
        after,
        location: location_of(input.location)?,
        content: content_of(input.content.as_deref())?,
        token: token_of(input.client_request_token.as_deref())?,
    };
    let comment = call.host.post_comment(call.ctx, &record, &new).map_err(of_review)?;
    Ok(posted(call, &record, comment))
}

#[derive(Serialize)]
struct One {
    comment: CommentOut,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reply {
    #[serde(default)]
    in_reply_to: String,
    content: Option<String>,
    client_request_token: Option<String>,
}

fn reply(call: &Call<'_>, input: Reply) -> Result<One, ApiError> {
    let (record, answered) = comment_at(call, &input.in_reply_to)?;
    let content = content_of(input.content.as_deref())?;
    let token = token_of(input.client_request_token.as_deref())?;
    let comment = call.host.reply_to_comment(call.ctx, &record, answered, content, token).map_err(of_review)?;
    Ok(One { comment: comment_out(call, &record, comment) })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OfOne {
    #[serde(default)]
    comment_id: String,
}

fn get(call: &Call<'_>, input: OfOne) -> Result<One, ApiError> {
    let (record, id) = comment_at(call, &input.comment_id)?;
    let comment = call.host.comment(&record, id).map_err(of_review)?;
    if comment.is_deleted {
        return Err(ApiError::client("CommentDeletedException", 400, "the comment was deleted"));
    }
    Ok(One { comment: comment_out(call, &record, comment) })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Update {
    #[serde(default)]
    comment_id: String,
    content: Option<String>,
}

fn update(call: &Call<'_>, input: Update) -> Result<One, ApiError> {
    let (record, id) = comment_at(call, &input.comment_id)?;
    let content = content_of(input.content.as_deref())?;
    let comment = call.host.edit_comment(call.ctx, &record, id, content).map_err(of_review)?;
    Ok(One { comment: comment_out(call, &record, comment) })
}

fn delete(call: &Call<'_>, input: OfOne) -> Result<One, ApiError> {
    let (record, id) = comment_at(call, &input.comment_id)?;
    let comment = call.host.delete_comment(call.ctx, &record, id).map_err(of_review)?;
    Ok(One { comment: comment_out(call, &record, comment) })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct React {
    #[serde(default)]
    comment_id: String,
    reaction_value: Option<String>,
}

fn react(call: &Call<'_>, input: React) -> Result<Done, ApiError> {
    let (record, id) = comment_at(call, &input.comment_id)?;
    let value = input.reaction_value.as_deref().map(str::trim).unwrap_or_default();
    let reaction = match value {
        "" | "none" => None,
        value => Some(emoji::parse(value).ok_or_else(|| {
            let known: Vec<&str> = emoji::ALL.iter().map(|one| one.short_code).collect();
            let shown = escape_for_people(value.as_bytes(), 40);
            let message = format!("`{shown}` is no reaction: {}", known.join(" "));
            ApiError::client("InvalidReactionValueException", 400, message)
        })?),
    };
    call.host.react(call.ctx, &record, id, reaction.map(|one| one.short_code)).map_err(of_review)?;
    Ok(Done {})
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reactions {
    #[serde(default)]
    comment_id: String,
    reaction_user_arn: Option<String>,
    next_token: Option<String>,
    max_results: Option<i64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ReactionFormats {
    emoji: &'static str,
    short_code: &'static str,
    unicode: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ReactionOut {
    reaction: ReactionFormats,
    reaction_users: Vec<String>,
    reactions_from_deleted_users_count: usize,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ReactionsOut {
    reactions_for_comment: Vec<ReactionOut>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

fn reactions(call: &Call<'_>, input: Reactions) -> Result<ReactionsOut, ApiError> {
    let (record, id) = comment_at(call, &input.comment_id)?;
    let user = input.reaction_user_arn.as_deref().filter(|arn| !arn.is_empty());
    if user.is_some_and(|arn| !arn.starts_with("arn:")) {
        return Err(ApiError::client("InvalidReactionUserArnException", 400, "reactionUserArn is no ARN"));
    }
    let Page { from, size } = page(input.next_token.as_deref(), input.max_results, 1000, 1000)?;
    let from = usize::try_from(from.unwrap_or(0)).unwrap_or(usize::MAX);
    let comment = call.host.comment(&record, id).map_err(of_review)?;
    if comment.is_deleted {
        return Err(ApiError::client("CommentDeletedException", 400, "the comment was deleted"));
    }
    let mut all = Vec::new();
    for one in emoji::ALL {
        let of_one = comment.reactions.iter().filter(|reaction| {
            reaction.short_code == one.short_code && user.is_none_or(|user| user == reaction.by.arn)
        });
        let (known, gone): (Vec<_>, Vec<_>) = of_one.partition(|reaction| call.host.is_known(&reaction.by));
        if known.is_empty() && gone.is_empty() {
            continue;
        }
        all.push(ReactionOut {
            reaction: ReactionFormats { emoji: one.emoji, short_code: one.short_code, unicode: one.unicode },
            reaction_users: known.into_iter().map(|reaction| reaction.by.arn.clone()).collect(),
            reactions_from_deleted_users_count: gone.len(),
        });
    }
    let has_more = all.len() > from.saturating_add(size);
    let next_token = has_more.then(|| (from + size).to_string());
    Ok(ReactionsOut { reactions_for_comment: all.into_iter().skip(from).take(size).collect(), next_token })
}

#[derive(Serialize)]
struct ThreadOut {
    #[serde(flatten)]
    place: Place,
    comments: Vec<CommentOut>,
}

fn thread_out(call: &Call<'_>, record: &RepositoryRecord, thread: Thread) -> ThreadOut {
    let place = place_of(record, &thread.comments[0]);
    ThreadOut {
        place,
        comments: thread.comments.into_iter().map(|comment| comment_out(call, record, comment)).collect(),
    }
}

/// The threads of one page; they are listed in the order of time, and new ones come at the end.
fn threads_page(
    threads: Vec<Thread>,
    token: Option<&str>,
    size: Option<i64>,
) -> Result<(Vec<Thread>, Option<String>), ApiError> {
    let Page { from, size } = page(token, size, 100, 500)?;
    let from = usize::try_from(from.unwrap_or(0)).unwrap_or(usize::MAX);
    let next_token = (threads.len() > from.saturating_add(size)).then(|| (from + size).to_string());
    Ok((threads.into_iter().skip(from).take(size).collect(), next_token))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OfPull {
    #[serde(default)]
    pull_request_id: String,
    repository_name: Option<String>,
    before_commit_id: Option<String>,
    after_commit_id: Option<String>,
    next_token: Option<String>,
    max_results: Option<i64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OfPullOut {
    comments_for_pull_request_data: Vec<ThreadOut>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

fn of_pull(call: &Call<'_>, input: OfPull) -> Result<OfPullOut, ApiError> {
    let (record, number) = found(call, &input.pull_request_id)?;
    if let Some(name) = input.repository_name.as_deref().filter(|name| !name.is_empty()) {
        of_its_repository(&record, name)?;
    }
    let before = optional_id(input.before_commit_id.as_deref())?;
    let after = optional_id(input.after_commit_id.as_deref())?;
    let threads = call.host.threads_of_pull_request(&record, number, before.as_ref(), after.as_ref());
    let (threads, next_token) =
        threads_page(threads.map_err(of_review)?, input.next_token.as_deref(), input.max_results)?;
    let out = threads.into_iter().map(|thread| thread_out(call, &record, thread)).collect();
    Ok(OfPullOut { comments_for_pull_request_data: out, next_token })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OfComparison {
    #[serde(default)]
    repository_name: String,
    before_commit_id: Option<String>,
    #[serde(default)]
    after_commit_id: String,
    next_token: Option<String>,
    max_results: Option<i64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OfComparisonOut {
    comments_for_compared_commit_data: Vec<ThreadOut>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

fn of_comparison(call: &Call<'_>, input: OfComparison) -> Result<OfComparisonOut, ApiError> {
    let record = find(call, &input.repository_name)?;
    let before = optional_id(input.before_commit_id.as_deref())?;
    let after = object_id(&input.after_commit_id, "Commit")?;
    for commit in before.iter().chain([&after]) {
        if !call.host.has_commit(&record, commit).map_err(of_review)? {
            return Err(ApiError::client("CommitDoesNotExistException", 400, format!("there is no commit {commit}")));
        }
    }
    let threads = call.host.threads_of_comparison(&record, before, after).map_err(of_review)?;
    let (threads, next_token) = threads_page(threads, input.next_token.as_deref(), input.max_results)?;
    let out = threads.into_iter().map(|thread| thread_out(call, &record, thread)).collect();
    Ok(OfComparisonOut { comments_for_compared_commit_data: out, next_token })
}
