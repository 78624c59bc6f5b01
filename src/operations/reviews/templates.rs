//! Templates of approval rules: an account's, given to repositories, copied into pull requests when these are opened.

use uuid::Uuid;

use super::super::OpContext;
use super::super::lockgate::Lockgate;
use super::{MAX_TRIES, ReviewFailure};
use crate::identity::RepositoryRecord;
use crate::names::AccountId;
use crate::review::pull_request::{Event, Happening, PullRequest, RuleEvent};
use crate::review::rules::{ApprovalRule, Origin, Template, content_digest};
use crate::review::shelf::{AccountReviews, Kept};
use crate::review::text_of;

/// Most templates of an account.
const MAX_TEMPLATES: usize = 1000;

/// Most templates of a repository: so many rules of a pull request may come from templates.
pub const MAX_OF_REPOSITORY: usize = 25;

/// What becomes of a template.
#[derive(Debug, Clone, Copy)]
pub enum TemplateEdit<'a> {
    /// Another name.
    Name(&'a str),
    /// Another description.
    Description(&'a str),
    /// Another content, which has been read; and the digest of the one that is replaced.
    Content(&'a str, Option<&'a str>),
}

impl Lockgate {
    fn account_reviews<'a>(&'a self, account: &'a AccountId) -> AccountReviews<'a> {
        AccountReviews::new(self.store(), account)
    }

    /// All templates of an account, by name. Blocks.
    pub fn templates(&self, account: &AccountId) -> Result<Vec<Template>, ReviewFailure> {
        Ok(self.account_reviews(account).templates()?.into_iter().map(|kept| kept.value).collect())
    }

    fn kept_template(&self, account: &AccountId, name: &str) -> Result<Kept<Template>, ReviewFailure> {
        let found = self.account_reviews(account).templates()?.into_iter().find(|kept| kept.value.name == name);
        found.ok_or_else(|| ReviewFailure::NoTemplate(name.to_owned()))
    }

    /// A template by its name. Blocks.
    pub fn template(&self, account: &AccountId, name: &str) -> Result<Template, ReviewFailure> {
        Ok(self.kept_template(account, name)?.value)
    }

    /// Makes a template, of which the content has been read. Blocks.
    pub fn create_template(
        &self,
        ctx: &OpContext,
        name: &str,
        content: &str,
        description: Option<&str>,
    ) -> Result<Template, ReviewFailure> {
        let account = ctx.principal.account();
        let reviews = self.account_reviews(account);
        for _ in 0..MAX_TRIES {
            let names = reviews.names_change()?;
            let all = reviews.templates()?;
            if all.iter().any(|kept| kept.value.name == name) {
                return Err(ReviewFailure::TemplateExists(name.to_owned()));
            }
            if all.len() >= MAX_TEMPLATES {
                return Err(ReviewFailure::TooManyTemplates(format!(
                    "an account has up to {MAX_TEMPLATES} approval rule templates"
                )));
            }
            let now_ms = self.store().clock().now_ms();
            let template = Template {
                id: Uuid::now_v7(),
                name: name.to_owned(),
                description: description.map(str::to_owned),
                content: content.to_owned(),
                created_ms: now_ms,
                changed_ms: now_ms,
                changed_by: ctx.principal.arn(),
                repositories: Default::default(),
            };
            let write = reviews.put_template(&Kept::new(template.clone()))?;
            let made = "approvalRuleTemplateCreated";
            let event = self.template_event(account, &template.changed_by, &template, made, None, now_ms);
            if self.store().write_documents(&[names, write, event])? {
                return Ok(template);
            }
        }
        Err(ReviewFailure::Busy)
    }

    /// Changes a template. Blocks.
    pub fn edit_template(
        &self,
        ctx: &OpContext,
        name: &str,
        edit: TemplateEdit<'_>,
    ) -> Result<Template, ReviewFailure> {
        let account = ctx.principal.account();
        let reviews = self.account_reviews(account);
        for _ in 0..MAX_TRIES {
            let mut writes = Vec::new();
            if let TemplateEdit::Name(_) = edit {
                writes.push(reviews.names_change()?);
            }
            let mut kept = self.kept_template(account, name)?;
            match edit {
                TemplateEdit::Name(new) => {
                    if new != name && self.kept_template(account, new).is_ok() {
                        return Err(ReviewFailure::TemplateExists(new.to_owned()));
                    }
                    kept.value.name = new.to_owned();
                }
                TemplateEdit::Description(new) => {
                    kept.value.description = Some(new.to_owned()).filter(|text| !text.is_empty());
                }
                TemplateEdit::Content(new, expected) => {
                    if expected.is_some_and(|expected| expected != content_digest(&kept.value.content)) {
                        return Err(ReviewFailure::ContentChanged);
                    }
                    kept.value.content = new.to_owned();
                }
            }
            kept.value.changed_ms = self.store().clock().now_ms();
            kept.value.changed_by = ctx.principal.arn();
            writes.push(reviews.put_template(&kept)?);
            let (template, changed) = (&kept.value, "approvalRuleTemplateUpdated");
            let (by, at_ms) = (&template.changed_by, template.changed_ms);
            writes.push(self.template_event(account, by, template, changed, None, at_ms));
            if self.store().write_documents(&writes)? {
                return Ok(kept.value);
            }
        }
        Err(ReviewFailure::Busy)
    }

    /// Takes a template away, and gives its id; none if there is no such template. Blocks.
    pub fn delete_template(&self, ctx: &OpContext, name: &str) -> Result<Option<Uuid>, ReviewFailure> {
        let account = ctx.principal.account();
        let reviews = self.account_reviews(account);
        for _ in 0..MAX_TRIES {
            let mut kept = match self.kept_template(account, name) {
                Ok(kept) => kept,
                Err(ReviewFailure::NoTemplate(_)) => return Ok(None),
                Err(error) => return Err(error),
            };
            let there = self.present(account, &mut kept.value);
            if there {
                return Err(ReviewFailure::TemplateInUse(name.to_owned()));
            }
            let now_ms = self.store().clock().now_ms();
            let (by, gone) = (ctx.principal.arn(), "approvalRuleTemplateDeleted");
            let event = self.template_event(account, &by, &kept.value, gone, None, now_ms);
            if self.store().write_documents(&[reviews.delete_template(&kept), event])? {
                return Ok(Some(kept.value.id));
            }
        }
        Err(ReviewFailure::Busy)
    }

    /// Forgets repositories that are gone; whether some are left.
    fn present(&self, account: &AccountId, template: &mut Template) -> bool {
        let directory = self.identity().directory();
        template.repositories.retain(|id| directory.repositories(account).any(|record| record.id == *id));
        !template.repositories.is_empty()
    }

    /// Gives a repository a template, or takes it from it; neither if it is so already. Blocks.
    pub fn associate_template(
        &self,
        ctx: &OpContext,
        name: &str,
        record: &RepositoryRecord,
        is_to_have: bool,
    ) -> Result<(), ReviewFailure> {
        let account = ctx.principal.account();
        let reviews = self.account_reviews(account);
        for _ in 0..MAX_TRIES {
            // Of two who give a repository its last template at once, one looks again.
            let names = reviews.names_change()?;
            let mut kept = self.kept_template(account, name)?;
            if kept.value.repositories.contains(&record.id) == is_to_have {
                return Ok(());
            }
            if is_to_have && self.templates_of(record)?.len() >= MAX_OF_REPOSITORY {
                return Err(ReviewFailure::TooManyTemplates(format!(
                    "a repository has up to {MAX_OF_REPOSITORY} approval rule templates"
                )));
            }
            self.present(account, &mut kept.value);
            match is_to_have {
                true => kept.value.repositories.insert(record.id),
                false => kept.value.repositories.remove(&record.id),
            };
            let what = match is_to_have {
                true => "approvalRuleTemplateAssociatedWithRepository",
                false => "approvalRuleTemplateDisassociatedFromRepository",
            };
            let (by, now_ms) = (ctx.principal.arn(), self.store().clock().now_ms());
            let event = self.template_event(account, &by, &kept.value, what, Some(record), now_ms);
            if self.store().write_documents(&[names, reviews.put_template(&kept)?, event])? {
                return Ok(());
            }
        }
        Err(ReviewFailure::Busy)
    }

    /// The templates that a repository has, by name. Blocks.
    pub fn templates_of(&self, record: &RepositoryRecord) -> Result<Vec<Template>, ReviewFailure> {
        let mut all = self.templates(&record.account)?;
        all.retain(|template| template.repositories.contains(&record.id));
        Ok(all)
    }

    /// Copies the rules of the repository's templates into a pull request that is being opened.
    pub(super) fn add_rules_of_templates(
        &self,
        record: &RepositoryRecord,
        pull_request: &mut PullRequest,
        events: &mut Vec<Event>,
        now_ms: i64,
    ) -> Result<(), ReviewFailure> {
        let destination = text_of(&pull_request.destination);
        for template in self.templates_of(record)? {
            let is_for_it = pull_request_content(&template).is_some_and(|content| content.is_for(&destination));
            if !is_for_it {
                continue;
            }
            let rule = ApprovalRule {
                id: Uuid::now_v7(),
                name: template.name.clone(),
                content: template.content.clone(),
                created_ms: now_ms,
                changed_ms: now_ms,
                changed_by: template.changed_by.clone(),
                template: Some(Origin { id: template.id, name: template.name.clone() }),
            };
            let what = RuleEvent { name: rule.name.clone(), id: rule.id, content: rule.content.clone() };
            let actor = pull_request.author.arn.clone();
            events.push(Event { at_ms: now_ms, actor, what: Happening::RuleCreated(what) });
            pull_request.rules.push(rule);
        }
        Ok(())
    }
}

fn pull_request_content(template: &Template) -> Option<crate::review::rules::Content> {
    crate::review::rules::Content::parse(&template.content).ok()
}
