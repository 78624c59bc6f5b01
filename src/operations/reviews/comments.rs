//! Comments: posted, answered, changed, deleted, reacted to.

use uuid::Uuid;

use super::super::OpContext;
use super::super::browsing::Looked;
use super::super::events::emit::CommentChange;
use super::super::lockgate::Lockgate;
use super::{MAX_TRIES, ReviewFailure, person_of};
use crate::identity::RepositoryRecord;
use crate::names::{ObjectId, escape_for_people};
use crate::repository::browse::Browser;
use crate::repository::line_diff::line_after;
use crate::review::Person;
use crate::review::comment::{Comment, Location, MAX_REACTIONS, Reaction, Target, Version};
use crate::review::rules::request_digest;
use crate::review::shelf::{Given, Kept, place_of_pull_request};
use crate::store::documents::Write;

/// Most comments of one pull request or comparison that are given.
const MAX_COMMENTS: usize = 20_000;

/// Largest file whose lines can be commented on, in bytes.
const MAX_FILE_BYTES: u64 = 64 << 20;

/// A file's id and bytes.
type Stored = (ObjectId, std::sync::Arc<[u8]>);

/// Largest file in which a comment follows its line, in bytes.
const MAX_MOVED_BYTES: u64 = 4 << 20;

/// A comment that is to be.
#[derive(Debug, Clone)]
pub struct NewComment<'a> {
    /// The pull request, where it is about one.
    pub pull_request: Option<u64>,
    /// The commit before.
    pub before: Option<ObjectId>,
    /// The commit after.
    pub after: ObjectId,
    /// Where.
    pub location: Option<Location>,
    /// The text.
    pub content: &'a str,
    /// What tells this call from another.
    pub token: Option<&'a str>,
}

/// All comments of one thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thread {
    /// In the order of time, the first one first.
    pub comments: Vec<Comment>,
}

impl Lockgate {
    /// Posts the first comment of a thread. Blocks.
    pub fn post_comment(
        &self,
        ctx: &OpContext,
        record: &RepositoryRecord,
        new: &NewComment<'_>,
    ) -> Result<Comment, ReviewFailure> {
        let repository = self.repository(record)?;
        for commit in new.before.iter().chain([&new.after]) {
            if self.commit(record, commit)?.is_none() {
                return Err(ReviewFailure::NoCommit(commit.to_string()));
            }
        }
        if let Some(number) = new.pull_request
            && self.reviews(&repository).pull_request(number)?.is_none()
        {
            return Err(ReviewFailure::NoPullRequest(number.to_string()));
        }
        let (before_blob, after_blob) = match &new.location {
            Some(location) => self.place(record, new, location)?,
            None => (None, None),
        };
        let id = Uuid::now_v7();
        let now_ms = self.store().clock().now_ms();
        let target = Target { pull_request: new.pull_request, before: new.before, after: new.after };
        self.keep_comment(
            record,
            new.token,
            Comment {
                id,
                target,
                location: new.location.clone(),
                before_blob,
                after_blob,
                in_reply_to: None,
                thread: id,
                content: new.content.to_owned(),
                created_ms: now_ms,
                changed_ms: now_ms,
                author: person_of(&ctx.principal),
                is_deleted: false,
                token: new.token.map(str::to_owned),
                reactions: Vec::new(),
            },
        )
    }

    /// Answers a comment. Blocks.
    pub fn reply_to_comment(
        &self,
        ctx: &OpContext,
        record: &RepositoryRecord,
        answered: Uuid,
        content: &str,
        token: Option<&str>,
    ) -> Result<Comment, ReviewFailure> {
        let first = self.comment(record, answered)?;
        let now_ms = self.store().clock().now_ms();
        self.keep_comment(
            record,
            token,
            Comment {
                id: Uuid::now_v7(),
                target: first.target,
                location: None,
                before_blob: None,
                after_blob: None,
                in_reply_to: Some(answered),
                thread: first.thread,
                content: content.to_owned(),
                created_ms: now_ms,
                changed_ms: now_ms,
                author: person_of(&ctx.principal),
                is_deleted: false,
                token: token.map(str::to_owned),
                reactions: Vec::new(),
            },
        )
    }

    /// Writes a new comment, or gives the one that the same call has made before.
    fn keep_comment(
        &self,
        record: &RepositoryRecord,
        token: Option<&str>,
        comment: Comment,
    ) -> Result<Comment, ReviewFailure> {
        let repository = self.repository(record)?;
        let reviews = self.reviews(&repository);
        let caller = format!("comment {}", comment.author.arn);
        let location = format!("{:?}", comment.location);
        let answered = comment.in_reply_to.map(|id| id.to_string()).unwrap_or_default();
        let about = reviews.place_of(&comment.target);
        let request = request_digest(&[&about, location.as_bytes(), answered.as_bytes(), comment.content.as_bytes()]);
        for _ in 0..MAX_TRIES {
            let mut writes: Vec<Write> = Vec::new();
            if let Some(token) = token {
                if let Some(given) = reviews.given(&caller, token)? {
                    let id = Uuid::parse_str(&given.made).ok().filter(|_| given.request == request);
                    return self.comment(record, id.ok_or(ReviewFailure::TokenMismatch)?);
                }
                let given = Given { request: request.clone(), made: comment.id.to_string() };
                writes.push(reviews.put_given(&caller, token, &given)?);
            }
            writes.extend(reviews.put_comment(&Kept::new(comment.clone()))?);
            let change = CommentChange::Created;
            writes.push(self.comment_event(record, &comment.author.arn, &comment, change, comment.created_ms));
            if self.store().write_documents(&writes)? {
                return Ok(comment);
            }
        }
        Err(ReviewFailure::Busy)
    }

    /// The blobs of the file that a location names, which has to be there and have that line.
    fn place(
        &self,
        record: &RepositoryRecord,
        new: &NewComment<'_>,
        location: &Location,
    ) -> Result<(Option<ObjectId>, Option<ObjectId>), ReviewFailure> {
        let mut blobs = [None, None];
        let no_path = || ReviewFailure::NoPath(escape_for_people(location.path.as_bytes(), 300));
        for (blob, commit) in blobs.iter_mut().zip([new.before.as_ref(), Some(&new.after)]) {
            let Some(commit) = commit else { continue };
            let is_asked = (location.version == Version::Before) == (Some(commit) == new.before.as_ref());
            match self.file_at(record, commit, location.path.as_bytes(), MAX_FILE_BYTES)? {
                Looked::Found((entry, content)) => {
                    *blob = Some(entry.id);
                    if let Some(line) = location.line.filter(|_| is_asked) {
                        let n_lines = content.split_inclusive(|byte| *byte == b'\n').count() as u64;
                        if line == 0 || line > n_lines {
                            let path = escape_for_people(location.path.as_bytes(), 300);
                            return Err(ReviewFailure::NoLine { path, line });
                        }
                    }
                }
                Looked::TooLarge | Looked::Nothing => {}
            }
        }
        match blobs {
            [None, None] => Err(no_path()),
            [before, after] => Ok((before, after)),
        }
    }

    /// A comment by its id. Blocks.
    pub fn comment(&self, record: &RepositoryRecord, id: Uuid) -> Result<Comment, ReviewFailure> {
        let repository = self.repository(record)?;
        let kept = self.reviews(&repository).comment(id)?;
        Ok(kept.ok_or_else(|| ReviewFailure::NoComment(id.to_string()))?.value)
    }

    fn change_comment(
        &self,
        record: &RepositoryRecord,
        id: Uuid,
        (actor, what): (&str, CommentChange),
        change: &mut dyn FnMut(&mut Comment) -> Result<(), ReviewFailure>,
    ) -> Result<Comment, ReviewFailure> {
        let repository = self.repository(record)?;
        let reviews = self.reviews(&repository);
        for _ in 0..MAX_TRIES {
            let kept = reviews.comment(id)?;
            let mut kept = kept.ok_or_else(|| ReviewFailure::NoComment(id.to_string()))?;
            if kept.value.is_deleted {
                return Err(ReviewFailure::CommentDeleted);
            }
            change(&mut kept.value)?;
            let mut writes = reviews.put_comment(&kept)?;
            let now_ms = self.store().clock().now_ms();
            writes.push(self.comment_event(record, actor, &kept.value, what, now_ms));
            if self.store().write_documents(&writes)? {
                return Ok(kept.value);
            }
        }
        Err(ReviewFailure::Busy)
    }

    /// Gives a comment of the caller's own another text. Blocks.
    pub fn edit_comment(
        &self,
        ctx: &OpContext,
        record: &RepositoryRecord,
        id: Uuid,
        content: &str,
    ) -> Result<Comment, ReviewFailure> {
        let (by, now_ms) = (person_of(&ctx.principal), self.store().clock().now_ms());
        self.change_comment(record, id, (&by.arn, CommentChange::Updated), &mut |comment| {
            if !comment.author.is(&by) {
                return Err(ReviewFailure::NotYours);
            }
            (comment.content, comment.changed_ms) = (content.to_owned(), now_ms);
            Ok(())
        })
    }

    /// Deletes what a comment says; its thread stays. Blocks.
    pub fn delete_comment(
        &self,
        ctx: &OpContext,
        record: &RepositoryRecord,
        id: Uuid,
    ) -> Result<Comment, ReviewFailure> {
        let now_ms = self.store().clock().now_ms();
        self.change_comment(record, id, (&ctx.principal.arn(), CommentChange::Updated), &mut |comment| {
            comment.content.clear();
            comment.reactions.clear();
            (comment.is_deleted, comment.changed_ms) = (true, now_ms);
            Ok(())
        })
    }

    /// Reacts to a comment, in place of what the caller has reacted before; without a reaction that is taken back. Blocks.
    pub fn react(
        &self,
        ctx: &OpContext,
        record: &RepositoryRecord,
        id: Uuid,
        short_code: Option<&str>,
    ) -> Result<(), ReviewFailure> {
        let by = person_of(&ctx.principal);
        self.change_comment(record, id, (&by.arn, CommentChange::Reacted), &mut |comment| {
            comment.reactions.retain(|reaction| !reaction.by.is(&by));
            if let Some(short_code) = short_code {
                if comment.reactions.len() >= MAX_REACTIONS {
                    return Err(ReviewFailure::TooManyReactions);
                }
                comment.reactions.push(Reaction { by: by.clone(), short_code: short_code.to_owned() });
            }
            Ok(())
        })?;
        Ok(())
    }

    /// Whether somebody who reacted is a user still.
    pub fn is_known(&self, person: &Person) -> bool {
        person.user.is_none_or(|id| self.identity().directory().user_by_id(id).is_some())
    }

    /// The threads on a pull request, the oldest first. With commits, those that are about them: also those that were begun on an
    /// earlier revision, if their line is still there, with the line that it is now. Blocks.
    pub fn threads_of_pull_request(
        &self,
        record: &RepositoryRecord,
        number: u64,
        before: Option<&ObjectId>,
        after: Option<&ObjectId>,
    ) -> Result<Vec<Thread>, ReviewFailure> {
        let mut threads = self.threads(record, &place_of_pull_request(number))?;
        if before.is_none() && after.is_none() {
            return Ok(threads);
        }
        let mut shown = Vec::new();
        for mut thread in threads.drain(..) {
            let target = &thread.comments[0].target;
            let is_about = before.is_none_or(|before| target.before.as_ref() == Some(before))
                && after.is_none_or(|after| target.after == *after);
            if is_about {
                shown.push(thread);
            } else if let Some(first) = self.moved(record, &thread.comments[0], before, after)? {
                thread.comments[0] = first;
                shown.push(thread);
            }
        }
        Ok(shown)
    }

    /// The first comment of a thread as it looks between two other commits; none if its line is not there any more.
    fn moved(
        &self,
        record: &RepositoryRecord,
        first: &Comment,
        before: Option<&ObjectId>,
        after: Option<&ObjectId>,
    ) -> Result<Option<Comment>, ReviewFailure> {
        let mut comment = first.clone();
        comment.target.before = before.copied().or(comment.target.before);
        comment.target.after = after.copied().unwrap_or(comment.target.after);
        let Some(location) = &mut comment.location else { return Ok(Some(comment)) };
        let blob_at = |commit: Option<&ObjectId>| -> Result<Option<Stored>, ReviewFailure> {
            let Some(commit) = commit else { return Ok(None) };
            Ok(match self.file_at(record, commit, location.path.as_bytes(), MAX_MOVED_BYTES)? {
                Looked::Found((entry, content)) => Some((entry.id, content)),
                Looked::TooLarge | Looked::Nothing => None,
            })
        };
        let (now_before, now_after) = (blob_at(comment.target.before.as_ref())?, blob_at(Some(&comment.target.after))?);
        let (was, now) = match location.version {
            Version::Before => (first.before_blob, &now_before),
            Version::After => (first.after_blob, &now_after),
        };
        let (Some(was), Some((now_id, now_content))) = (was, now) else { return Ok(None) };
        if let Some(line) = location.line.filter(|_| was != *now_id) {
            let Looked::Found(content) = self.blob(record, &was, MAX_MOVED_BYTES)? else { return Ok(None) };
            let line = usize::try_from(line).unwrap_or(usize::MAX);
            // Of a file with too many lines nobody follows them.
            let Ok(Some(line)) = line_after(&content, now_content, line) else { return Ok(None) };
            location.line = Some(line as u64);
        }
        comment.before_blob = now_before.as_ref().map(|(id, _)| *id);
        comment.after_blob = now_after.as_ref().map(|(id, _)| *id);
        Ok(Some(comment))
    }

    /// The threads on a comparison of two commits, the oldest first. Blocks.
    pub fn threads_of_comparison(
        &self,
        record: &RepositoryRecord,
        before: Option<ObjectId>,
        after: ObjectId,
    ) -> Result<Vec<Thread>, ReviewFailure> {
        let repository = self.repository(record)?;
        let place = self.reviews(&repository).place_of(&Target { pull_request: None, before, after });
        self.threads(record, &place)
    }

    fn threads(&self, record: &RepositoryRecord, prefix: &[u8]) -> Result<Vec<Thread>, ReviewFailure> {
        let repository = self.repository(record)?;
        let mut threads: Vec<Thread> = Vec::new();
        for comment in self.reviews(&repository).comments(prefix, MAX_COMMENTS)? {
            match threads.iter_mut().find(|thread| thread.comments[0].thread == comment.thread) {
                Some(thread) => thread.comments.push(comment),
                None => threads.push(Thread { comments: vec![comment] }),
            }
        }
        Ok(threads)
    }

    /// Whether the commits share a history: comments compare what can be compared. Blocks.
    pub fn has_commit(&self, record: &RepositoryRecord, commit: &ObjectId) -> Result<bool, ReviewFailure> {
        let snapshot = self.repository(record)?.snapshot();
        Ok(Browser::new(&snapshot).commit(commit).is_ok())
    }
}
