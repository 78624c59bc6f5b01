//! Approving: states, rules of one pull request, setting them aside.

use uuid::Uuid;

use super::super::OpContext;
use super::super::lockgate::Lockgate;
use super::{ReviewFailure, person_of};
use crate::identity::{Directory, RepositoryRecord};
use crate::review::Person;
use crate::review::pull_request::{Approval, Happening, MAX_APPROVALS, MAX_RULES, Override, PullRequest, RuleEvent};
use crate::review::rules::{ApprovalRule, content_digest};

/// How the approval rules of a revision stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evaluation {
    /// Whether it may be merged: all rules are satisfied, or set aside.
    pub is_approved: bool,
    /// Whether they are set aside.
    pub is_overridden: bool,
    /// Names of those that are satisfied.
    pub satisfied: Vec<String>,
    /// Names of those that are not.
    pub unsatisfied: Vec<String>,
}

impl Evaluation {
    /// Of a revision of a pull request.
    pub fn of(pull_request: &PullRequest, revision: u32, directory: &Directory) -> Evaluation {
        let approvers = active_approvers(pull_request, revision, directory);
        let (satisfied, unsatisfied): (Vec<_>, Vec<_>) =
            pull_request.evaluate(&approvers).into_iter().partition(|(_, is_satisfied)| *is_satisfied);
        let names = |rules: Vec<(&ApprovalRule, bool)>| rules.into_iter().map(|(rule, _)| rule.name.clone()).collect();
        let is_overridden = pull_request.overridden_by(revision).is_some();
        let is_approved = is_overridden || unsatisfied.is_empty();
        Evaluation { is_approved, is_overridden, satisfied: names(satisfied), unsatisfied: names(unsatisfied) }
    }
}

/// Who approves of a revision, without those who are no users any more, or may not act (attack checklist D2).
pub(super) fn active_approvers<'a>(
    pull_request: &'a PullRequest,
    revision: u32,
    directory: &Directory,
) -> Vec<&'a Person> {
    let mut approvers = pull_request.approvers(revision);
    approvers.retain(|person| match person.user {
        Some(id) => directory.user_by_id(id).is_some_and(|user| !user.disabled),
        None => true,
    });
    approvers
}

/// The revision of an id, whichever it is.
fn revision_of(pull_request: &PullRequest, id: &str) -> Result<u32, ReviewFailure> {
    pull_request.revision_of(id).ok_or(ReviewFailure::NoRevision(pull_request.number))
}

/// The revision of an id, if it is the newest of an open pull request.
fn current_revision(pull_request: &PullRequest, id: &str) -> Result<u32, ReviewFailure> {
    let revision = revision_of(pull_request, id)?;
    if !pull_request.is_open {
        return Err(ReviewFailure::Closed(pull_request.number));
    }
    if revision != pull_request.revision {
        return Err(ReviewFailure::OldRevision(pull_request.number));
    }
    Ok(revision)
}

fn rule_event(rule: &ApprovalRule) -> RuleEvent {
    RuleEvent { name: rule.name.clone(), id: rule.id, content: rule.content.clone() }
}

fn still_open(pull_request: &PullRequest) -> Result<(), ReviewFailure> {
    match pull_request.is_open {
        true => Ok(()),
        false => Err(ReviewFailure::Closed(pull_request.number)),
    }
}

impl Lockgate {
    /// Approves of a revision, or takes it back. Blocks.
    pub fn set_approval(
        &self,
        ctx: &OpContext,
        record: &RepositoryRecord,
        number: u64,
        revision_id: &str,
        is_approved: bool,
    ) -> Result<(), ReviewFailure> {
        let by = person_of(&ctx.principal);
        self.change_pull_request(record, number, &by.arn, &mut |pull_request, _| {
            let revision = current_revision(pull_request, revision_id)?;
            if by.is(&pull_request.author) {
                return Err(ReviewFailure::ByAuthor);
            }
            let mine =
                pull_request.approvals.iter_mut().find(|approval| approval.revision == revision && approval.by.is(&by));
            let was_approved = match mine {
                Some(approval) => !std::mem::replace(&mut approval.is_revoked, !is_approved),
                None if !is_approved => false,
                None => {
                    let n_now = pull_request.approvals.iter().filter(|approval| approval.revision == revision).count();
                    if n_now >= MAX_APPROVALS {
                        return Err(ReviewFailure::TooManyApprovals);
                    }
                    // Of earlier revisions the last are kept.
                    if pull_request.approvals.len() >= 5 * MAX_APPROVALS {
                        pull_request.approvals.remove(0);
                    }
                    pull_request.approvals.push(Approval { revision, by: by.clone(), is_revoked: false });
                    false
                }
            };
            let revision_id = pull_request.revision_id();
            let happened = Happening::ApprovalChanged { revision_id, is_approved };
            Ok((Some(happened).filter(|_| was_approved != is_approved).into_iter().collect(), ()))
        })?;
        Ok(())
    }

    /// Who has approved of a revision, or taken it back: ARNs, and whether it is approved. Blocks.
    pub fn approvals(
        &self,
        record: &RepositoryRecord,
        number: u64,
        revision_id: &str,
    ) -> Result<Vec<(String, bool)>, ReviewFailure> {
        let pull_request = self.pull_request(record, number)?.pull_request;
        let revision = revision_of(&pull_request, revision_id)?;
        let of_revision = pull_request.approvals.into_iter().filter(|approval| approval.revision == revision);
        Ok(of_revision.map(|approval| (approval.by.arn, !approval.is_revoked)).collect())
    }

    /// How the approval rules of a revision stand. Blocks.
    pub fn evaluate_rules(
        &self,
        record: &RepositoryRecord,
        number: u64,
        revision_id: &str,
    ) -> Result<Evaluation, ReviewFailure> {
        let pull_request = self.pull_request(record, number)?.pull_request;
        let revision = revision_of(&pull_request, revision_id)?;
        if revision != pull_request.revision {
            return Err(ReviewFailure::OldRevision(number));
        }
        Ok(Evaluation::of(&pull_request, revision, &self.identity().directory()))
    }

    /// Sets the approval rules of a revision aside, or puts them back. Blocks.
    pub fn override_rules(
        &self,
        ctx: &OpContext,
        record: &RepositoryRecord,
        number: u64,
        revision_id: &str,
        is_set: bool,
    ) -> Result<(), ReviewFailure> {
        let by = person_of(&ctx.principal);
        self.change_pull_request(record, number, &by.arn, &mut |pull_request, _| {
            let revision = current_revision(pull_request, revision_id)?;
            let was_set = pull_request.overridden_by(revision).is_some();
            if was_set && is_set {
                return Err(ReviewFailure::AlreadyOverridden);
            }
            pull_request.overrides.retain(|set| set.revision != revision);
            if is_set {
                pull_request.overrides.push(Override { revision, by: by.clone() });
            }
            let revision_id = pull_request.revision_id();
            let happened = Happening::Overridden { revision_id, is_set };
            Ok((Some(happened).filter(|_| was_set != is_set).into_iter().collect(), ()))
        })?;
        Ok(())
    }

    /// By whom the approval rules of a revision are set aside, if they are. Blocks.
    pub fn rules_overridden_by(
        &self,
        record: &RepositoryRecord,
        number: u64,
        revision_id: &str,
    ) -> Result<Option<Person>, ReviewFailure> {
        let pull_request = self.pull_request(record, number)?.pull_request;
        let revision = revision_of(&pull_request, revision_id)?;
        Ok(pull_request.overridden_by(revision).cloned())
    }

    /// Gives a pull request one more approval rule, of which the content has been read. Blocks.
    pub fn create_rule(
        &self,
        ctx: &OpContext,
        record: &RepositoryRecord,
        number: u64,
        name: &str,
        content: &str,
    ) -> Result<ApprovalRule, ReviewFailure> {
        let actor = ctx.principal.arn();
        let changed = self.change_pull_request(record, number, &actor, &mut |pull_request, now_ms| {
            still_open(pull_request)?;
            if pull_request.rules.iter().any(|rule| rule.name == name) {
                return Err(ReviewFailure::RuleExists(name.to_owned()));
            }
            if pull_request.rules.len() >= MAX_RULES {
                return Err(ReviewFailure::TooManyRules);
            }
            let rule = ApprovalRule {
                id: Uuid::now_v7(),
                name: name.to_owned(),
                content: content.to_owned(),
                created_ms: now_ms,
                changed_ms: now_ms,
                changed_by: actor.clone(),
                template: None,
            };
            pull_request.rules.push(rule.clone());
            Ok((vec![Happening::RuleCreated(rule_event(&rule))], rule))
        });
        Ok(changed?.1)
    }

    /// Gives an approval rule another content, which has been read; `expected` is the digest of the one that is replaced. Blocks.
    pub fn update_rule(
        &self,
        ctx: &OpContext,
        record: &RepositoryRecord,
        number: u64,
        name: &str,
        content: &str,
        expected: Option<&str>,
    ) -> Result<ApprovalRule, ReviewFailure> {
        let actor = ctx.principal.arn();
        let changed = self.change_pull_request(record, number, &actor, &mut |pull_request, now_ms| {
            still_open(pull_request)?;
            let rule = pull_request.rules.iter_mut().find(|rule| rule.name == name);
            let rule = rule.ok_or_else(|| ReviewFailure::NoRule(name.to_owned()))?;
            if rule.template.is_some() {
                return Err(ReviewFailure::OfTemplate(name.to_owned()));
            }
            if expected.is_some_and(|expected| expected != content_digest(&rule.content)) {
                return Err(ReviewFailure::ContentChanged);
            }
            rule.content = content.to_owned();
            (rule.changed_ms, rule.changed_by) = (now_ms, actor.clone());
            Ok((vec![Happening::RuleUpdated(rule_event(rule))], rule.clone()))
        });
        Ok(changed?.1)
    }

    /// Takes an approval rule away, and gives its id; none if there is no such rule. Blocks.
    pub fn delete_rule(
        &self,
        ctx: &OpContext,
        record: &RepositoryRecord,
        number: u64,
        name: &str,
    ) -> Result<Option<Uuid>, ReviewFailure> {
        let changed = self.change_pull_request(record, number, &ctx.principal.arn(), &mut |pull_request, _| {
            still_open(pull_request)?;
            let Some(at) = pull_request.rules.iter().position(|rule| rule.name == name) else {
                return Ok((Vec::new(), None));
            };
            if pull_request.rules[at].template.is_some() {
                return Err(ReviewFailure::OfTemplate(name.to_owned()));
            }
            let rule = pull_request.rules.remove(at);
            Ok((vec![Happening::RuleDeleted(rule_event(&rule))], Some(rule.id)))
        });
        Ok(changed?.1)
    }
}
