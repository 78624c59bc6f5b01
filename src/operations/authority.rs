//! The one decision function of every door: facts about who, what and which repository are put before the active
//! policies, and the answer is kept where it has consequences.

use std::num::NonZeroUsize;
use std::sync::{Arc, LazyLock};

use quick_cache::sync::Cache;
use uuid::Uuid;

use super::{OpContext, Transport};
use crate::identity::{Directory, Principal, RepositoryRecord, Role, User, UserPrincipal};
use crate::names::{AccountId, PrincipalName, RefName};
use crate::policy::{
    Action, CompiledPolicies, ContextFacts, Decision, DecisionRequest, PathFacts, PrincipalFacts, RefChangeFacts,
    RefFacts, RepositoryFacts, RequestFacts, ResourceFacts, RoleFacts, SessionFacts, SessionPolicy, UserFacts,
};
use crate::store::catalog::NewDecision;

/// Who asks, as policies see it.
pub fn principal_facts(directory: &Directory, principal: &Principal) -> PrincipalFacts {
    match principal {
        Principal::User(user) => PrincipalFacts::User(asking_user(directory, user)),
        Principal::Session(session) => PrincipalFacts::Session(Box::new(SessionFacts {
            role: match directory.role(&session.account, &session.role) {
                Some(role) => role_facts(role),
                None => named_role(&session.account, &session.role),
            },
            name: session.session_name.clone(),
            source_identity: session.source_identity.as_ref().map(ToString::to_string),
            original_user: session.original_user.as_ref().map(|user| asking_user(directory, user)),
            on_behalf_of: session.on_behalf_of.as_ref().map(|user| asking_user(directory, user)),
            tags: session.tags.clone(),
        })),
        Principal::Service(name) => PrincipalFacts::Service(name.clone()),
    }
}

/// Somebody who asks is a user still; were it not, it would be in no group.
fn asking_user(directory: &Directory, user: &UserPrincipal) -> UserFacts {
    match directory.user(&user.account, &user.name) {
        Some(found) => user_facts(directory, found),
        None => named_user(&user.account, &user.name),
    }
}

/// A user, as policies see it.
pub fn user_facts(directory: &Directory, user: &User) -> UserFacts {
    UserFacts {
        account: user.account.clone(),
        name: user.name.clone(),
        groups: user.groups.clone(),
        mfa_enrolled: directory.has_mfa(user.id),
        tags: user.tags.clone(),
    }
}

/// A role, as policies see it.
pub fn role_facts(role: &Role) -> RoleFacts {
    RoleFacts { account: role.account.clone(), name: role.name.clone(), tags: role.tags.clone() }
}

/// A user of which the name is all that is known.
pub fn named_user(account: &AccountId, name: &PrincipalName) -> UserFacts {
    UserFacts {
        account: account.clone(),
        name: name.clone(),
        groups: Vec::new(),
        mfa_enrolled: false,
        tags: Default::default(),
    }
}

/// A role of which the name is all that is known.
pub fn named_role(account: &AccountId, name: &PrincipalName) -> RoleFacts {
    RoleFacts { account: account.clone(), name: name.clone(), tags: Default::default() }
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

/// The policy that narrows a principal's session. One that cannot be compiled permits nothing.
pub fn session_policy(principal: &Principal) -> Option<Arc<SessionPolicy>> {
    /// Those in use lately: a session asks often.
    static COMPILED: LazyLock<Cache<Arc<str>, Arc<SessionPolicy>>> = LazyLock::new(|| Cache::new(MAX_COMPILED.get()));
    let text = principal.policy()?;
    if let Some(compiled) = COMPILED.get(text) {
        return Some(compiled);
    }
    let compiled = SessionPolicy::compile(text).unwrap_or_else(|problems| {
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        tracing::error!(principal = %principal.arn(), problems = problems.join("; "), "a session's policy cannot be compiled");
        SessionPolicy::permitting_nothing(text)
    });
    let compiled = Arc::new(compiled);
    COMPILED.insert(text.clone(), compiled.clone());
    Some(compiled)
}

const MAX_COMPILED: NonZeroUsize = NonZeroUsize::new(1024).expect("more than none");

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
    action: &Action,
    record: &RepositoryRecord,
    name: &RefName,
    change: RefChangeFacts,
    now_ms: i64,
) -> Decision {
    let resource = ResourceFacts::Ref(RefFacts { repository: repository_facts(record), name: name.clone() });
    let context = ContextFacts::RefChange(change);
    decide(policies, directory, ctx, action, &resource, &context, now_ms)
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

/// Decides anything. Every door comes here.
pub fn decide(
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
        Transport::Api => crate::policy::Transport::Api,
    };
    policies.decide(&DecisionRequest {
        id: Uuid::now_v7(),
        principal: &principal_facts(directory, &ctx.principal),
        action,
        resource,
        request: &RequestFacts { time_ms: now_ms, source_ip: ctx.source, transport, mfa: ctx.principal.mfa() },
        context,
        extra_context: None,
        session_policy: session_policy(&ctx.principal).as_deref(),
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
