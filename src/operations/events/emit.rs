//! What happens to repositories, as events: written in the transaction of the change itself, so that there is an event if and only if
//! there is the change. The shapes are CodeCommit's ("Monitoring CodeCommit events", CodeCommit user guide); what AWS has no
//! event for has the source `lockgate`.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::events::{DEFAULT_BUS, Envelope, Queued};
use crate::identity::RepositoryRecord;
use crate::names::{AccountId, ObjectId, escape_for_people};
use crate::operations::lockgate::Lockgate;
use crate::operations::reviews::follow::Merging;
use crate::repository::log::RefChange;
use crate::review::checks::Check;
use crate::review::comment::Comment;
use crate::review::pull_request::{Event, Happening, PullRequest};
use crate::review::rules::{Template, content_digest};
use crate::review::text_of;
use crate::store::documents::Write;

/// Longest piece of a person's text in an event's words, in bytes.
const MAX_WORDS: usize = 300;

/// What happened to a comment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommentChange {
    /// It was written.
    Created,
    /// It has other words, or none any more.
    Updated,
    /// Somebody reacted.
    Reacted,
}

impl Lockgate {
    /// An event of a service on the account's default bus.
    fn service_event(
        &self,
        account: &AccountId,
        repository: Option<&RepositoryRecord>,
        (source, detail_type): (&str, &str),
        detail: Value,
        now_ms: i64,
    ) -> Write {
        let region = self.identity().region();
        let envelope = Envelope {
            id: Uuid::new_v4(),
            detail_type: detail_type.to_owned(),
            source: source.to_owned(),
            account: account.clone(),
            time_ms: now_ms,
            region: region.to_owned(),
            resources: repository.map(|record| record.arn(region)).into_iter().collect(),
            detail,
        };
        let queued = Queued {
            account: account.to_string(),
            bus: DEFAULT_BUS.to_owned(),
            repository: repository.map(|record| record.id),
            stream: repository.map_or(Uuid::nil(), |record| record.id),
            at_ms: now_ms,
            hops: 0,
            event: envelope.to_json(),
        };
        self.put_queued(envelope.id, &queued)
    }

    /// A write that puts an event on a bus.
    pub(super) fn put_queued(&self, id: Uuid, queued: &Queued) -> Write {
        let body = serde_json::to_vec(queued).expect("JSON of strings and numbers");
        self.store().put_event(id, &body)
    }

    /// What refs did. Branches and tags alone: the other namespaces are no references of CodeCommit's.
    pub(in crate::operations) fn reference_events(
        &self,
        record: &RepositoryRecord,
        actor: &str,
        changes: &[&RefChange],
        merging: Option<(&Merging, Option<ObjectId>)>,
        now_ms: i64,
    ) -> Vec<Write> {
        let mut events = Vec::new();
        for change in changes {
            let full = change.name.as_bytes();
            let (kind, short) = match (full.strip_prefix(b"refs/heads/"), full.strip_prefix(b"refs/tags/")) {
                (Some(short), _) => ("branch", short),
                (_, Some(short)) => ("tag", short),
                _ => continue,
            };
            let mut detail = of_repository(record, actor);
            detail["referenceType"] = kind.into();
            detail["referenceName"] = String::from_utf8_lossy(short).into();
            detail["referenceFullName"] = text_of(&change.name).into();
            detail["event"] = match (change.old, change.new) {
                (None, _) => "referenceCreated",
                (_, None) => "referenceDeleted",
                _ => "referenceUpdated",
            }
            .into();
            if let Some(new) = change.new {
                detail["commitId"] = new.to_string().into();
            }
            if let Some(old) = change.old {
                detail["oldCommitId"] = old.to_string().into();
            }
            if let (Some((merging, base)), Some(old)) = (merging, change.old) {
                detail["sourceCommitId"] = merging.source.to_string().into();
                detail["destinationCommitId"] = old.to_string().into();
                detail["mergeOption"] = merging.option.as_str().into();
                if let Some(base) = base {
                    detail["baseCommitId"] = base.to_string().into();
                }
            }
            let what = ("aws.codecommit", "CodeCommit Repository State Change");
            events.push(self.service_event(&record.account, Some(record), what, detail, now_ms));
        }
        events
    }

    /// What refs did, and what follows from it for pull requests.
    pub(in crate::operations) fn events_of_changes(
        &self,
        record: &RepositoryRecord,
        actor: &str,
        changes: &[&RefChange],
        merging: Option<(&Merging, Option<ObjectId>)>,
        pull_requests: &[(PullRequest, Vec<Event>)],
        now_ms: i64,
    ) -> Vec<Write> {
        let mut writes = self.reference_events(record, actor, changes, merging, now_ms);
        for (pull_request, events) in pull_requests {
            writes.extend(self.events_of_pull_request(record, pull_request, events, now_ms));
        }
        writes
    }

    /// That a merge commit was made that no ref names.
    pub(in crate::operations) fn unreferenced_merge_event(
        &self,
        record: &RepositoryRecord,
        actor: &str,
        commit: &ObjectId,
        (source, destination, base): (&ObjectId, &ObjectId, Option<&ObjectId>),
        option: &str,
    ) -> Write {
        let mut detail = of_repository(record, actor);
        detail["event"] = "unreferencedMergeCommitCreated".into();
        detail["commitId"] = commit.to_string().into();
        detail["sourceCommitId"] = source.to_string().into();
        detail["destinationCommitId"] = destination.to_string().into();
        detail["mergeOption"] = option.into();
        if let Some(base) = base {
            detail["baseCommitId"] = base.to_string().into();
        }
        let now_ms = self.store().clock().now_ms();
        let what = ("aws.codecommit", "CodeCommit Repository State Change");
        self.service_event(&record.account, Some(record), what, detail, now_ms)
    }

    /// What happened to a pull request, as it stands after all of it.
    pub(in crate::operations) fn events_of_pull_request(
        &self,
        record: &RepositoryRecord,
        pull_request: &PullRequest,
        events: &[Event],
        now_ms: i64,
    ) -> Vec<Write> {
        let mut writes = Vec::new();
        for event in events {
            let mut detail = json!({
                "pullRequestId": pull_request.number.to_string(),
                "title": pull_request.title,
                "description": pull_request.description.clone().unwrap_or_default(),
                "author": pull_request.author.arn,
                "callerUserArn": event.actor,
                "creationDate": date_words(pull_request.created_ms),
                "lastModifiedDate": date_words(event.at_ms),
                "pullRequestStatus": if pull_request.is_open { "Open" } else { "Closed" },
                "isMerged": if pull_request.merged.is_some() { "True" } else { "False" },
                "repositoryNames": [record.name.as_str()],
                "sourceReference": text_of(&pull_request.source),
                "sourceCommit": pull_request.source_commit.to_string(),
                "destinationReference": text_of(&pull_request.destination),
                "destinationCommit": pull_request.destination_commit.to_string(),
                "revisionId": pull_request.revision_id(),
            });
            let (name, did) = match &event.what {
                Happening::Created { .. } => ("pullRequestCreated", "opened"),
                Happening::StatusChanged { .. } => ("pullRequestStatusChanged", "closed"),
                Happening::SourceUpdated { .. } => ("pullRequestSourceBranchUpdated", "changed the source of"),
                Happening::Merged { merged, .. } => {
                    detail["mergeOption"] = merged.option.as_str().into();
                    ("pullRequestMergeStatusUpdated", "merged")
                }
                Happening::RuleCreated(rule) => {
                    add_rule(&mut detail, &rule.name, rule.id, &rule.content);
                    ("pullRequestApprovalRuleCreated", "added an approval rule to")
                }
                Happening::RuleUpdated(rule) => {
                    add_rule(&mut detail, &rule.name, rule.id, &rule.content);
                    ("pullRequestApprovalRuleUpdated", "changed an approval rule of")
                }
                Happening::RuleDeleted(rule) => {
                    add_rule(&mut detail, &rule.name, rule.id, &rule.content);
                    ("pullRequestApprovalRuleDeleted", "deleted an approval rule of")
                }
                Happening::Overridden { revision_id, is_set } => {
                    detail["revisionId"] = revision_id.as_str().into();
                    detail["overrideStatus"] = if *is_set { "OVERRIDE" } else { "REVOKE" }.into();
                    ("pullRequestApprovalRuleOverridden", "overrode the approval rules of")
                }
                Happening::ApprovalChanged { revision_id, is_approved } => {
                    detail["revisionId"] = revision_id.as_str().into();
                    detail["approvalStatus"] = if *is_approved { "APPROVE" } else { "REVOKE" }.into();
                    ("pullRequestApprovalStateChanged", "changed an approval of")
                }
            };
            detail["event"] = name.into();
            let title = escape_for_people(pull_request.title.as_bytes(), MAX_WORDS);
            let body = format!(
                "{} {did} pull request {} (`{title}`) in the repository {}.",
                event.actor, pull_request.number, record.name
            );
            detail["notificationBody"] = body.into();
            let what = ("aws.codecommit", "CodeCommit Pull Request State Change");
            writes.push(self.service_event(&record.account, Some(record), what, detail, now_ms));
        }
        writes
    }

    /// What happened to a comment.
    pub(in crate::operations) fn comment_event(
        &self,
        record: &RepositoryRecord,
        actor: &str,
        comment: &Comment,
        change: CommentChange,
        now_ms: i64,
    ) -> Write {
        let mut detail = of_repository(record, actor);
        detail["commentId"] = comment.id.to_string().into();
        let on_pull_request = comment.target.pull_request;
        let what = match (change, on_pull_request) {
            (CommentChange::Reacted, _) => {
                let codes: Vec<&str> = comment.reactions.iter().map(|reaction| reaction.short_code.as_str()).collect();
                let emojis: Vec<&str> = codes
                    .iter()
                    .filter_map(|code| crate::review::emoji::parse(code).map(|emoji| emoji.emoji))
                    .collect();
                let unicodes: Vec<String> = emojis
                    .iter()
                    .map(|emoji| emoji.chars().map(|c| format!("U+{:X}", u32::from(c))).collect::<Vec<_>>().join(" "))
                    .collect();
                let is_first = codes.len() == 1;
                detail["event"] = if is_first { "commentReactionCreated" } else { "commentReactionUpdated" }.into();
                detail["reactionShortcodes"] = json!(codes);
                detail["reactionEmojis"] = json!(emojis);
                detail["reactionUnicodes"] = json!(unicodes);
                "CodeCommit Comment Reaction Change"
            }
            (change, Some(number)) => {
                detail["pullRequestId"] = number.to_string().into();
                let is_new = change == CommentChange::Created;
                let name = if is_new { "commentOnPullRequestCreated" } else { "commentOnPullRequestUpdated" };
                detail["event"] = name.into();
                "CodeCommit Comment on Pull Request"
            }
            (change, None) => {
                let is_new = change == CommentChange::Created;
                detail["event"] = if is_new { "commentOnCommitCreated" } else { "commentOnCommitUpdated" }.into();
                "CodeCommit Comment on Commit"
            }
        };
        if change != CommentChange::Reacted {
            detail["afterCommitId"] = comment.target.after.to_string().into();
            if let Some(before) = &comment.target.before {
                detail["beforeCommitId"] = before.to_string().into();
            }
            if let Some(answered) = comment.in_reply_to {
                detail["inReplyTo"] = answered.to_string().into();
            }
        }
        let about = match on_pull_request {
            Some(number) => format!("pull request {number}"),
            None => format!("commit {}", comment.target.after),
        };
        detail["notificationBody"] = format!("{actor} commented on {about} in the repository {}.", record.name).into();
        self.service_event(&record.account, Some(record), ("aws.codecommit", what), detail, now_ms)
    }

    /// What is said of a commit by a check.
    pub(in crate::operations) fn check_event(
        &self,
        record: &RepositoryRecord,
        commit: &ObjectId,
        check: &Check,
    ) -> Write {
        let mut detail = of_repository(record, &check.by.arn);
        detail["event"] = "commitStatusUpdated".into();
        detail["commitId"] = commit.to_string().into();
        detail["context"] = check.name.as_str().into();
        detail["state"] = check.state.as_str().into();
        if let Some(description) = &check.description {
            detail["description"] = description.as_str().into();
        }
        if let Some(url) = &check.url {
            detail["targetUrl"] = url.as_str().into();
        }
        let what = ("lockgate", "Lockgate Commit Status Change");
        self.service_event(&record.account, Some(record), what, detail, check.at_ms)
    }

    /// What happened to an approval rule template; with repositories where it was given to them, or taken from them.
    pub(in crate::operations) fn template_event(
        &self,
        account: &AccountId,
        actor: &str,
        template: &Template,
        name: &str,
        repository: Option<&RepositoryRecord>,
        now_ms: i64,
    ) -> Write {
        let mut detail = json!({
            "event": name,
            "approvalRuleTemplateName": template.name,
            "approvalRuleTemplateId": template.id.to_string(),
            "approvalRuleTemplateContentSha256": content_digest(&template.content),
            "callerUserArn": actor,
            "creationDate": date_words(template.created_ms),
            "lastModifiedDate": date_words(template.changed_ms),
            "repositories": {},
        });
        if let Some(record) = repository {
            detail["repositories"][record.name.as_str()] = record.id.to_string().into();
        }
        let shown = escape_for_people(template.name.as_bytes(), MAX_WORDS);
        detail["notificationBody"] = format!("{actor} changed the approval rule template `{shown}`.").into();
        let what = ("aws.codecommit", "CodeCommit Approval Rule Template Change");
        self.service_event(account, repository, what, detail, now_ms)
    }
}

fn of_repository(record: &RepositoryRecord, actor: &str) -> Value {
    json!({
        "repositoryName": record.name.as_str(),
        "repositoryId": record.id.to_string(),
        "callerUserArn": actor,
    })
}

fn add_rule(detail: &mut Value, name: &str, id: Uuid, content: &str) {
    detail["approvalRuleName"] = name.into();
    detail["approvalRuleId"] = id.to_string().into();
    detail["approvalRuleContentSha256"] = content_digest(content).into();
}

/// A time as CodeCommit's events have it in their details: `Tue Nov 24 2026 10:18:42 UTC`.
fn date_words(ms: i64) -> String {
    let time = jiff::Timestamp::from_millisecond(ms).unwrap_or_default();
    time.strftime("%a %b %-d %Y %H:%M:%S UTC").to_string()
}
