//! The one decision function of every door: facts about who, what and which repository are put before the active
//! policies, and the answer is kept where it has consequences.

use uuid::Uuid;

use super::{OpContext, Transport};
use crate::identity::{Directory, Principal, RepositoryRecord};
use crate::names::RefName;
use crate::policy::{
    Action, CompiledPolicies, ContextFacts, Decision, DecisionRequest, PathFacts, PrincipalFacts, RefChangeFacts,
    RefFacts, RepositoryFacts, RequestFacts, ResourceFacts, RoleFacts, SessionFacts, UserFacts,
};
use crate::store::catalog::NewDecision;

/// Who asks, as policies see it.
pub fn principal_facts(directory: &Directory, principal: &Principal) -> PrincipalFacts {
    match principal {
        Principal::User(user) => PrincipalFacts::User(UserFacts {
            account: user.account.clone(),
            name: user.name.clone(),
            groups: directory.groups_of(&user.account, &user.name),
            mfa_enrolled: false,
            tags: directory.user(&user.account, &user.name).map(|user| user.tags.clone()).unwrap_or_default(),
        }),
        Principal::Session(session) => PrincipalFacts::Session(Box::new(SessionFacts {
            role: RoleFacts { account: session.account.clone(), name: session.role.clone(), tags: Default::default() },
            name: session.session_name.clone(),
            source_identity: session.source_identity.as_ref().map(ToString::to_string),
            original_user: None,
            on_behalf_of: None,
            tags: session.tags.clone(),
        })),
        Principal::Service(name) => PrincipalFacts::Service(name.clone()),
    }
}

/// A repository, as policies see it.
pub fn repository_facts(record: &RepositoryRecord) -> RepositoryFacts {
    RepositoryFacts {
        account: record.account.clone(),
        name: record.name.clone(),
        default_branch: Some(record.default_branch.clone()),
        tags: record.tags.clone(),
    }
}

/// Decides whether `ctx` may do `action` to a repository as a whole.
pub fn decide_repository(
    policies: &CompiledPolicies,
    directory: &Directory,
    ctx: &OpContext,
    action: &Action,
    record: &RepositoryRecord,
    now_ms: i64,
) -> Decision {
    let resource = ResourceFacts::Repository(repository_facts(record));
    decide(policies, directory, ctx, action, &resource, &ContextFacts::Plain, now_ms)
}

/// Decides one change of one ref. Nothing is remembered from one command to the next (attack checklist B9).
pub fn decide_ref(
    policies: &CompiledPolicies,
    directory: &Directory,
    ctx: &OpContext,
    record: &RepositoryRecord,
    name: &RefName,
    change: RefChangeFacts,
    now_ms: i64,
) -> Decision {
    let resource = ResourceFacts::Ref(RefFacts { repository: repository_facts(record), name: name.clone() });
    let context = ContextFacts::RefChange(change);
    decide(policies, directory, ctx, &Action::git_push(), &resource, &context, now_ms)
}

/// Decides one path that a change of `on` writes, on top of the change itself.
pub fn decide_path(
    policies: &CompiledPolicies,
    directory: &Directory,
    ctx: &OpContext,
    record: &RepositoryRecord,
    on: &RefName,
    path: &[u8],
    now_ms: i64,
) -> Decision {
    let facts = PathFacts { repository: repository_facts(record), on: on.clone(), path: path.to_vec() };
    let resource = ResourceFacts::Path(facts);
    decide(policies, directory, ctx, &Action::write_path(), &resource, &ContextFacts::WritePath, now_ms)
}

fn decide(
    policies: &CompiledPolicies,
    directory: &Directory,
    ctx: &OpContext,
    action: &Action,
    resource: &ResourceFacts,
    context: &ContextFacts,
    now_ms: i64,
) -> Decision {
    let transport = match ctx.transport {
        Transport::Https => crate::policy::Transport::Https,
        Transport::Ssh => crate::policy::Transport::Ssh,
    };
    policies.decide(&DecisionRequest {
        id: Uuid::now_v7(),
        principal: &principal_facts(directory, &ctx.principal),
        action,
        resource,
        request: &RequestFacts { time_ms: now_ms, source_ip: ctx.source, transport, mfa: false },
        context,
        extra_context: None,
        session_policy: None,
    })
}

/// A decision as the catalog keeps it; one that cannot be written down is logged and kept by its id alone.
pub fn record_of(decision: &Decision) -> NewDecision {
    record_counted(decision, 1, 0)
}

/// [`record_of`] that stands for `count` like decisions, the last of them at `last_ms`.
pub fn record_counted(decision: &Decision, count: u64, last_ms: i64) -> NewDecision {
    let encoded = decision.record().and_then(|mut record| {
        record.count = count;
        record.last_ms = (count > 1).then_some(last_ms);
        record.encode()
    });
    let id = decision.id.into_bytes();
    match encoded {
        Ok(encoded) => NewDecision { id, body: encoded.body, facts: encoded.entities },
        Err(error) => {
            tracing::error!(decision.id = %decision.id, error = &error as &dyn std::error::Error, "a decision cannot be recorded");
            NewDecision { id, body: Vec::new(), facts: None }
        }
    }
}
