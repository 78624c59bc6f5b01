//! Deciding one call, and keeping the decision: the way of everything that is neither a push nor a pull.

use std::net::IpAddr;
use std::sync::Arc;

use uuid::Uuid;

use super::OpContext;
use super::authority::{decide, record_of};
use super::lockgate::Lockgate;
use crate::identity::Directory;
use crate::policy::{
    Action, ChangeKind, CompiledPolicies, ContextFacts, Decision, DecisionRequest, PrincipalFacts, RefChangeFacts,
    RefFacts, RequestFacts, ResourceFacts, Transport, WebIdentityFacts,
};

/// A call that may be made.
pub struct Allowed {
    /// Who there is, as of the decision.
    pub directory: Arc<Directory>,
    /// The policies that decided.
    pub policies: Arc<CompiledPolicies>,
    /// The decision.
    pub decision: Box<Decision>,
}

/// Why a call may not be made.
#[derive(Debug, thiserror::Error)]
pub enum NotAllowed {
    /// Policies do not let it through; the decision has been recorded.
    #[error("{}", .0.refusal_line())]
    Refused(Box<Decision>),
    /// The decision could not be recorded, so nothing is done.
    #[error("the decision cannot be recorded")]
    Unavailable(#[source] crate::store::catalog::CatalogError),
}

/// Whether a call only looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// It changes nothing: the decision is kept with others of the last seconds.
    Read,
    /// It changes something: the decision is on disk before it does.
    Write,
}

impl Lockgate {
    /// Decides for somebody who is no principal of this server: a provider's word says who it is. Recorded as all that changes
    /// something. Blocks.
    pub fn authorize_web_identity(
        &self,
        who: WebIdentityFacts,
        source: Option<IpAddr>,
        resource: &ResourceFacts,
        context: &ContextFacts,
    ) -> Result<Allowed, NotAllowed> {
        let directory = self.identity().directory();
        let policies = self.policies().with(&directory, self.identity().region());
        let now_ms = self.store().clock().now_ms();
        let decision = policies.decide(&DecisionRequest {
            id: Uuid::now_v7(),
            principal: &PrincipalFacts::WebIdentity(Box::new(who)),
            action: &Action::assume_role_with_web_identity(),
            resource,
            request: &RequestFacts { time_ms: now_ms, source_ip: source, transport: Transport::Api, mfa: false },
            context,
            extra_context: None,
            session_policy: None,
        });
        self.recorded(directory, policies, decision, now_ms)
    }

    /// Writes a decision down before it has consequences.
    fn recorded(
        &self,
        directory: Arc<Directory>,
        policies: Arc<CompiledPolicies>,
        decision: Decision,
        now_ms: i64,
    ) -> Result<Allowed, NotAllowed> {
        let record = [record_of(&decision)];
        let written = self.store().catalog().record_decisions(&record, now_ms);
        self.store().wait(written).map_err(NotAllowed::Unavailable)?;
        let decision = Box::new(decision);
        match decision.allowed {
            true => Ok(Allowed { directory, policies, decision }),
            false => Err(NotAllowed::Refused(decision)),
        }
    }

    /// Whether `ctx` may know of a repository. Not recorded: it is asked of somebody who was refused, and whose refusal is.
    pub fn may_know(&self, ctx: &OpContext, repository: &ResourceFacts) -> bool {
        let directory = self.identity().directory();
        let policies = self.policies().with(&directory, self.identity().region());
        let now_ms = self.store().clock().now_ms();
        decide(&policies, &directory, ctx, &Action::get_repository(), repository, &ContextFacts::Plain, now_ms).allowed
    }

    /// Whether `ctx` may try to change a ref, whose change is decided when it is known: somebody who could make some change of it, or
    /// may know of the repository, is told what is wrong with a call; anybody else is refused, and the refusal recorded. Blocks.
    pub fn authorize_attempt(
        &self,
        ctx: &OpContext,
        action: &Action,
        on: &RefFacts,
    ) -> Result<Arc<Directory>, NotAllowed> {
        let directory = self.identity().directory();
        let policies = self.policies().with(&directory, self.identity().region());
        let now_ms = self.store().clock().now_ms();
        let context = ContextFacts::RefChange(RefChangeFacts::of_kind(ChangeKind::FastForward));
        let resource = ResourceFacts::Ref(on.clone());
        let decision = decide(&policies, &directory, ctx, action, &resource, &context, now_ms);
        if decision.allowed {
            return Ok(directory);
        }
        let repository = ResourceFacts::Repository(on.repository.clone());
        let plain = ContextFacts::Plain;
        if decide(&policies, &directory, ctx, &Action::get_repository(), &repository, &plain, now_ms).allowed {
            return Ok(directory);
        }
        self.recorded(directory, policies, decision, now_ms).map(|allowed| allowed.directory)
    }

    /// Decides whether `ctx` may do `action` to `resource`, and records the answer. Blocks.
    pub fn authorize(
        &self,
        ctx: &OpContext,
        action: &Action,
        resource: &ResourceFacts,
        context: &ContextFacts,
        weight: Weight,
    ) -> Result<Allowed, NotAllowed> {
        let directory = self.identity().directory();
        let policies = self.policies().with(&directory, self.identity().region());
        let now_ms = self.store().clock().now_ms();
        let decision = decide(&policies, &directory, ctx, action, resource, context, now_ms);
        if decision.allowed && weight == Weight::Read {
            self.decisions().note(decision.clone(), directory.counter(), ctx.source, ctx.transport.as_str(), now_ms);
            return Ok(Allowed { directory, policies, decision: Box::new(decision) });
        }
        self.recorded(directory, policies, decision, now_ms)
    }
}
