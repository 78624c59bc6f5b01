//! `lockgate policy`.

use std::path::Path;
use std::sync::Arc;

use serde_json::json;
use uuid::Uuid;

use super::question::{Question, everyone, parse_principal};
use super::{AdminContext, chosen_account, failed, table, time};
use crate::identity::RepositoryRecord;
use crate::names::{AccountId, RefName, RepositoryName};
use crate::operations::admin::{AdminFailure, AdminReply, PolicyCommand};
use crate::operations::authority::repository_facts;
use crate::operations::policies::{ANY_REF, Applied, ApplyOptions, compile};
use crate::operations::policy_replay::{MAX_TOLD, Replayed, replay};
use crate::policy::{
    Action, ChangeKind, CompiledPolicies, ContextFacts, DecisionRecord, DecisionRequest, PolicyFiles, PolicyText,
    PrincipalFacts, Problem, RefChangeFacts, RefFacts, RepositoryFacts, ResourceFacts, explain, matrix, who_can,
};

pub(super) fn run(
    ctx: &AdminContext<'_>,
    account: Option<&AccountId>,
    command: &PolicyCommand,
) -> Result<AdminReply, AdminFailure> {
    match command {
        PolicyCommand::Check { folder } => {
            let files = read(folder.as_deref().unwrap_or(ctx.policies_dir))?;
            match compile(&files, ctx.identity, &|record, name| has_ref(ctx, record, name), false) {
                Ok(compiled) => {
                    let n = compiled.policies.texts().count();
                    let text = with_problems(format!("{n} policies, valid"), &compiled.warnings);
                    Ok(AdminReply::ok(
                        text,
                        json!({"valid": true, "policies": n, "warnings": shown(&compiled.warnings)}),
                    ))
                }
                Err(problems) => Ok(refused(&problems)),
            }
        }
        PolicyCommand::Apply { folder, allow_unknown, reason, approval } => {
            let reason = reason.as_deref();
            if reason.is_some_and(|reason| reason.len() > 1000 || reason.chars().any(char::is_control)) {
                return Err(AdminFailure::new("the reason is one line of at most 1000 bytes"));
            }
            let files = read(folder.as_deref().unwrap_or(ctx.policies_dir))?;
            let options = ApplyOptions {
                allow_unknown: *allow_unknown,
                has_ref: &|record, name| has_ref(ctx, record, name),
                by: "administrator",
                reason,
                gate: ctx.host.policy_gate(approval.as_deref()),
            };
            let applied = ctx.policies.apply(ctx.store, ctx.identity, &files, &options);
            applied_reply(applied.map_err(|error| failed(&*error))?)
        }
        PolicyCommand::Recover => {
            applied_reply(ctx.policies.recover(ctx.store, ctx.identity).map_err(|error| failed(&*error))?)
        }
        PolicyCommand::Replay { folder, back_ms } => {
            let files = read(folder.as_deref().unwrap_or(ctx.policies_dir))?;
            match compile(&files, ctx.identity, ANY_REF, false) {
                Ok(compiled) => {
                    let active = active(ctx);
                    let new = compiled.policies.with_attached(active.attached().clone());
                    let since_ms = ctx.store.clock().now_ms() - back_ms;
                    let replayed = replay(ctx.store, &active, &new, since_ms).map_err(|error| failed(&error))?;
                    Ok(replayed_reply(&replayed))
                }
                Err(problems) => Ok(refused(&problems)),
            }
        }
        PolicyCommand::Diff { from, to } => {
            let active = ctx.policies.active();
            let stored = |number: i64| {
                ctx.policies.generation(ctx.store, ctx.identity, number).map_err(|error| failed(&*error)).map(Arc::new)
            };
            let old = from.map_or(Ok(active), stored)?;
            let (new, to_name) = match to {
                Some(number) => (stored(*number)?, format!("generation {number}")),
                None => match compile(&read(ctx.policies_dir)?, ctx.identity, ANY_REF, true) {
                    Ok(compiled) => (Arc::new(compiled.policies), "the folder".to_string()),
                    Err(problems) => return Ok(refused(&problems)),
                },
            };
            Ok(diff(&old, &new, &to_name))
        }
        PolicyCommand::Import { document, name, target, write } => {
            super::policy_import::run(ctx, account, document, name, target, *write)
        }
        PolicyCommand::Generations => {
            let active = ctx.policies.active().generation();
            let all = ctx.policies.generations(ctx.store).map_err(|error| failed(&*error))?;
            let rows: Vec<Vec<String>> = all
                .iter()
                .map(|generation| {
                    let mark = if generation.number == active { "active" } else { "" };
                    vec![
                        generation.number.to_string(),
                        generation.hash[..12].to_string(),
                        time(generation.at_ms),
                        generation.by.clone(),
                        generation.files.to_string(),
                        mark.into(),
                        generation.reason.clone().unwrap_or_default(),
                    ]
                })
                .collect();
            let text = table(&["GENERATION", "HASH", "APPLIED", "BY", "FILES", "", "WHY"], &rows);
            Ok(AdminReply::ok(text, json!({"active": active, "generations": all})))
        }
        PolicyCommand::ExplainDecision { decision_id } => {
            let id = Uuid::parse_str(decision_id)
                .map_err(|_| AdminFailure::new(format!("`{decision_id}` is no decision id")))?;
            let body =
                ctx.store.wait(ctx.store.catalog().decision(&id.into_bytes())).map_err(|error| failed(&error))?;
            let body = body.ok_or_else(|| AdminFailure::new(format!("there is no decision `{id}`")))?;
            let record = DecisionRecord::decode(&body.body, body.facts.as_deref()).map_err(|error| failed(&error))?;
            // What is attached is not part of a generation: shown is what is attached now.
            let attached = active(ctx).attached().clone();
            let policies = ctx.policies.generation(ctx.store, ctx.identity, record.generation).ok();
            let policies = policies.map(|policies| policies.with_attached(attached));
            let told = explain(&record, policies.as_ref());
            Ok(AdminReply::ok(told.text.trim_end(), told.json))
        }
        PolicyCommand::ExplainRequest { principal, action, resource, context } => {
            let question = Question::parse(ctx, account, action, resource)?;
            let principal = parse_principal(ctx, principal)?;
            let extra = context.as_object().is_some_and(|fields| !fields.is_empty()).then_some(context);
            let decision =
                active(ctx).decide(&DecisionRequest { extra_context: extra, ..question.request(&principal) });
            let record = decision.record().map_err(|error| failed(&error))?;
            let told = explain(&record, Some(&active(ctx)));
            Ok(AdminReply::ok(told.text.trim_end(), told.json))
        }
        PolicyCommand::WhoCan { action, resource } => {
            let question = Question::parse(ctx, account, action, resource)?;
            let everyone = everyone(ctx);
            let nobody = PrincipalFacts::Service("none".into());
            let facts: Vec<&PrincipalFacts> = everyone.iter().map(|(_, facts)| facts).collect();
            let answers = who_can(&active(ctx), &question.request(&nobody), facts);
            let mut rows = Vec::new();
            for ((name, _), (_, decision)) in everyone.iter().zip(&answers) {
                let answer = if decision.allowed { "yes".to_string() } else { decision.refusal_line() };
                rows.push(vec![name.clone(), answer]);
            }
            let json: Vec<_> = everyone
                .iter()
                .zip(&answers)
                .map(|((name, _), (_, decision))| json!({"principal": name, "allowed": decision.allowed, "reason": decision.reason}))
                .collect();
            Ok(AdminReply::ok(table(&["PRINCIPAL", "MAY"], &rows), json.into()))
        }
        PolicyCommand::Matrix { repository } => {
            let account = chosen_account(ctx, account)?;
            let everyone: Vec<(String, PrincipalFacts)> =
                everyone(ctx).into_iter().filter(|(_, facts)| facts.account() == Some(&account)).collect();
            let directory = ctx.identity.directory();
            let found = match repository {
                Some(name) => Some(directory.repository(&account, name).ok_or_else(|| {
                    AdminFailure::new(format!("there is no repository `{name}` in account {account}"))
                })?),
                None => directory.repositories(&account).next(),
            };
            let repository = match found {
                Some(repository) => repository_facts(repository),
                None => RepositoryFacts {
                    account: account.clone(),
                    name: RepositoryName::parse("example").map_err(|error| failed(&error))?,
                    default_branch: None,
                    tags: Default::default(),
                },
            };
            let mut questions = Vec::new();
            let whole = ResourceFacts::Repository(repository.clone());
            questions.push(("read".to_string(), Question::of(Action::git_pull(), whole, ContextFacts::Plain)));
            for (branch, changes) in [
                (
                    "refs/heads/topic",
                    &[ChangeKind::Create, ChangeKind::FastForward, ChangeKind::Force, ChangeKind::Delete][..],
                ),
                ("refs/heads/main", &[ChangeKind::FastForward, ChangeKind::Force, ChangeKind::Delete]),
                ("refs/heads/production", &[ChangeKind::FastForward, ChangeKind::Force, ChangeKind::Delete]),
                ("refs/tags/v1.0", &[ChangeKind::Create, ChangeKind::Force, ChangeKind::Delete]),
            ] {
                let name = RefName::parse(branch.as_bytes()).map_err(|error| failed(&error))?;
                for change in changes {
                    let resource = ResourceFacts::Ref(RefFacts { repository: repository.clone(), name: name.clone() });
                    let context = ContextFacts::RefChange(RefChangeFacts::of_kind(*change));
                    let words = format!("push {branch} {}", change.as_str());
                    questions.push((words, Question::of(Action::git_push(), resource, context)));
                }
            }
            let now_ms = ctx.store.clock().now_ms();
            questions.iter_mut().for_each(|(_, question)| question.request.time_ms = now_ms);
            let nobody = PrincipalFacts::Service("none".into());
            let requests: Vec<(String, DecisionRequest<'_>)> =
                questions.iter().map(|(words, question)| (words.clone(), question.request(&nobody))).collect();
            let columns: Vec<(String, &PrincipalFacts)> = everyone
                .iter()
                .map(|(arn, facts)| {
                    let name = arn.rsplit('/').next().unwrap_or(arn);
                    // A user and a role may be called alike.
                    let heading = match facts {
                        PrincipalFacts::Session(_) => format!("{name} (role)"),
                        _ => name.to_string(),
                    };
                    (heading, facts)
                })
                .collect();
            let made = matrix(&active(ctx), &requests, &columns);
            let rows: Vec<_> =
                made.rows.iter().map(|(words, cells)| json!({"question": words, "refusals": cells})).collect();
            let text = format!("in repository {}:\n{}", repository.name, made.text().trim_end());
            Ok(AdminReply::ok(
                text,
                json!({"repository": repository.name.as_str(), "principals": made.columns, "rows": rows}),
            ))
        }
    }
}

/// What differs between two sets of policies, by id; where a policy lies and what it says both count.
fn diff(old: &CompiledPolicies, new: &CompiledPolicies, new_name: &str) -> AdminReply {
    let mut ids: Vec<&str> = old.texts().chain(new.texts()).map(|text| text.id.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    let mut lines = Vec::new();
    let mut changes = Vec::new();
    let lines_of = |mark: char, text: &PolicyText| -> Vec<String> {
        text.text.lines().map(|line| format!("  {mark} {line}")).collect()
    };
    for id in ids {
        let (before, after) = (old.text(id), new.text(id));
        let is_same = |a: &PolicyText, b: &PolicyText| a.text == b.text && a.layer == b.layer && a.effect == b.effect;
        let change = match (before, after) {
            (Some(before), Some(after)) if is_same(before, after) => continue,
            (Some(_), Some(_)) => "changed",
            (Some(_), None) => "removed",
            (None, _) => "added",
        };
        let place = after.or(before).map(|text| format!("{}:{}", text.file, text.line)).unwrap_or_default();
        lines.push(format!("{change} {id} ({place})"));
        if before.zip(after).is_some_and(|(before, after)| before.layer != after.layer) {
            lines.push("  it lies in another layer".into());
        }
        lines.extend(before.into_iter().flat_map(|text| lines_of('-', text)));
        lines.extend(after.into_iter().flat_map(|text| lines_of('+', text)));
        changes.push(json!({
            "id": id, "change": change, "before": before.map(|text| &text.text), "after": after.map(|text| &text.text),
        }));
    }
    let summary = match changes.len() {
        0 => format!("{new_name} has the policies of generation {}", old.generation()),
        1 => format!("1 policy differs between generation {} and {new_name}", old.generation()),
        n => format!("{n} policies differ between generation {} and {new_name}", old.generation()),
    };
    lines.push(summary);
    AdminReply::ok(lines.join("\n"), json!({"from": old.generation(), "to": new_name, "changes": changes}))
}

fn read(folder: &Path) -> Result<PolicyFiles, AdminFailure> {
    PolicyFiles::read_folder(folder).map_err(|error| failed(&error))
}

fn shown(problems: &[Problem]) -> Vec<String> {
    problems.iter().map(ToString::to_string).collect()
}

fn with_problems(text: String, problems: &[Problem]) -> String {
    let mut lines = vec![text];
    lines.extend(shown(problems).into_iter().map(|line| format!("warning: {line}")));
    lines.join("\n")
}

fn refused(problems: &[Problem]) -> AdminReply {
    let text = format!("{}\nnothing was changed", shown(problems).join("\n"));
    AdminReply::report_of_failure(text, json!({"valid": false, "problems": shown(problems)}))
}

/// What would flip: who, what, when, by which policy.
fn replayed_reply(replayed: &Replayed) -> AdminReply {
    let word = |allowed: bool| if allowed { "allowed" } else { "refused" };
    let told = replayed.flips.iter().take(MAX_TOLD);
    let rows: Vec<Vec<String>> = told
        .clone()
        .map(|flip| {
            vec![
                time(flip.at_ms),
                flip.principal.clone(),
                flip.action.clone(),
                flip.resource.clone(),
                format!("{} -> {}", word(!flip.would_be_allowed), word(flip.would_be_allowed)),
                flip.count.to_string(),
                flip.why.clone(),
                flip.decision.to_string(),
            ]
        })
        .collect();
    let mut text = format!(
        "{} decisions about {} requests: {} kinds of requests would be answered otherwise",
        replayed.n_decided,
        replayed.n_requests,
        replayed.flips.len()
    );
    if replayed.n_changed_already > 0 {
        text.push_str(&format!("; {} are answered otherwise already", replayed.n_changed_already));
    }
    if !rows.is_empty() {
        let headings = ["LAST ASKED", "WHO", "ACTION", "RESOURCE", "WOULD BE", "TIMES", "WHY", "DECISION"];
        text.push_str(&format!("\n{}", table(&headings, &rows)));
        text.push_str(&format!("\nto apply them where a gate asks for it: --approve {}", replayed.approval()));
    }
    if replayed.n_undecidable > 0 {
        text.push_str(&format!("\n{} cannot be decided again:", replayed.n_undecidable));
        for (id, why) in replayed.undecidable.iter().take(20) {
            text.push_str(&format!("\n  {id}: {why}"));
        }
    }
    let flips: Vec<serde_json::Value> = told
        .map(|flip| {
            json!({
                "decision": flip.decision, "at": flip.at_ms, "principal": flip.principal, "action": flip.action,
                "resource": flip.resource, "wouldBeAllowed": flip.would_be_allowed, "why": flip.why,
                "count": flip.count,
            })
        })
        .collect();
    let undecidable: Vec<serde_json::Value> =
        replayed.undecidable.iter().map(|(id, why)| json!({ "decision": id, "why": why })).collect();
    AdminReply::ok(
        text,
        json!({
            "decisions": replayed.n_decided, "requests": replayed.n_requests, "flips": flips,
            "changedAlready": replayed.n_changed_already, "undecidable": undecidable, "approval": replayed.approval(),
        }),
    )
}

fn applied_reply(applied: Applied) -> Result<AdminReply, AdminFailure> {
    Ok(match applied {
        Applied::Active { generation, warnings } => {
            let text = with_problems(format!("policy generation {generation} is active"), &warnings);
            AdminReply::ok(text, json!({"generation": generation, "warnings": shown(&warnings)}))
        }
        Applied::Unchanged { generation } => {
            let text = format!("nothing to do: policy generation {generation} has the same files");
            AdminReply::ok(text, json!({"generation": generation, "warnings": []}))
        }
        Applied::Refused(problems) => refused(&problems),
        Applied::Held(why) => return Err(AdminFailure::new(why)),
    })
}

/// Whether a repository has that ref, or one below it. A repository that cannot be read is no reason to warn of its refs.
fn has_ref(ctx: &AdminContext<'_>, record: &RepositoryRecord, name: &[u8]) -> bool {
    let Ok(repository) = (ctx.open_repository)(record) else { return true };
    let is_at_or_below = |found: &RefName| {
        found.as_bytes().strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.first() == Some(&b'/'))
    };
    repository.snapshot().refs.iter().any(|(found, _)| is_at_or_below(found))
}

/// The active policies, with what is attached now.
fn active(ctx: &AdminContext<'_>) -> Arc<CompiledPolicies> {
    ctx.policies.with(&ctx.identity.directory(), ctx.region)
}
