//! The one question, and its answer.
//!
//! A request is judged layer by layer, and the layers' verdicts are put together here and nowhere else:
//!
//! | request | permits needed | forbids heard |
//! |---|---|---|
//! | within an account | the account's own | organization, the account |
//! | across accounts | the caller's own, and the resource's trust | organization, both accounts, the trust |
//! | by a service | the resource's trust | organization, the resource's account, the trust |
//! | `sts:AssumeRole` | as above, and always the trust | as above, and always the trust |
//! | `codecommit:WritePath` | none | as above |
//!
//! What is attached to principals and roles through IAM's operations is heard in the layer of its account, trust documents of
//! roles in the trust layer.
//!
//! With a session policy, that must permit too, and its forbids are heard. A forbid that cannot be evaluated counts as
//! matching, a permit that cannot be evaluated as not; so does a request that fits no action of the schema: it is refused.

use std::fmt;
use std::sync::Arc;

use cedar_policy::{Entities, EntityUid, Request, RequestValidationError};
use cedar_policy_core::ast::{Literal, ValueKind};
use cedar_policy_core::evaluator::Evaluator;
use cedar_policy_core::extensions::Extensions;
use uuid::Uuid;

use super::action::{Action, SPOKEN};
use super::compile::{CompiledPolicies, PolicyText, SessionPolicy};
use super::context::{self, ContextFacts, RequestFacts};
use super::entities::{Closure, PrincipalFacts, ResourceFacts};
use super::index::{Indexed, LayerIndex, ScopeKeys};
use crate::names::AccountId;

/// Where a policy lies, and so whom it binds.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Layer {
    /// `organization/`: forbids that bind everyone.
    Organization,
    /// `ACCOUNT/`: what the account's own principals may do, and what nobody may do to what is the account's.
    Account(AccountId),
    /// `ACCOUNT/trust/`: what principals of other accounts may do to what is the account's.
    Trust(AccountId),
    /// The policy given when a role was assumed.
    Session,
}

/// What a policy does where it matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Effect {
    /// Lets through.
    Permit,
    /// Refuses, whatever else permits.
    Forbid,
}

/// Something to decide.
#[derive(Debug, Clone)]
pub struct DecisionRequest<'a> {
    /// The decision's id, a UUID of version 7 made by the caller.
    pub id: Uuid,
    /// Who asks.
    pub principal: &'a PrincipalFacts,
    /// What for.
    pub action: &'a Action,
    /// To what.
    pub resource: &'a ResourceFacts,
    /// When, from where, by which door.
    pub request: &'a RequestFacts,
    /// What the action's context holds besides.
    pub context: &'a ContextFacts,
    /// Context fields as Cedar JSON that are put over the built ones: for questions asked by hand, `policy explain --context`.
    pub extra_context: Option<&'a serde_json::Value>,
    /// The policy of the principal's session.
    pub session_policy: Option<&'a SessionPolicy>,
}

/// One policy that had a say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyMatch {
    /// Its `@id`.
    pub id: String,
    /// Whether it permits or forbids.
    pub effect: Effect,
    /// Where it lies.
    pub layer: Layer,
    /// What its author wants the refused person to read.
    pub advice: Option<String>,
    /// Whether it could not be evaluated: such a forbid counts as matching, such a permit does not.
    pub errored: bool,
}

/// What one layer said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerVerdict {
    /// The layer.
    pub layer: Layer,
    /// Whether the request needs a permit from it.
    pub permit_needed: bool,
    /// Its policies that matched or could not be evaluated, forbids first, then in the order of files and lines.
    pub matches: Vec<PolicyMatch>,
}

/// The answer.
#[derive(Debug, Clone)]
pub struct Decision {
    /// Whether it may be done.
    pub allowed: bool,
    /// The request's [`DecisionRequest::id`].
    pub id: Uuid,
    /// The generation of the policies that decided.
    pub generation: i64,
    /// The policies that decided: each forbid that matched, or else the permits that let it through; empty where nothing permits.
    pub determining: Vec<PolicyMatch>,
    /// What each layer said.
    pub verdicts: Vec<LayerVerdict>,
    /// One line for people that says why.
    pub reason: String,
    pub(super) asked: Asked,
}

/// What was asked, kept for the record.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) principal: EntityUid,
    pub(super) action: Action,
    pub(super) resource: EntityUid,
    pub(super) time_ms: i64,
    pub(super) session_policy: Option<String>,
    /// What was attached, see [`super::AttachedPolicies::fingerprint`].
    pub(super) attached: Option<String>,
    /// None where the facts make no request of the schema; the decision's reason says why.
    pub(super) question: Option<Arc<Question>>,
}

/// A request as Cedar takes it, with everything it takes to judge it.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) request: Request,
    pub(super) entities: Entities,
    pub(super) principal: EntityUid,
    pub(super) action: Action,
    pub(super) resource: EntityUid,
    /// The caller's account; a service has none.
    pub(super) caller: Option<AccountId>,
    pub(super) owner: AccountId,
}

impl CompiledPolicies {
    /// Decides. Always answers; what cannot be judged is refused.
    pub fn decide(&self, request: &DecisionRequest<'_>) -> Decision {
        let mut asked = Asked {
            principal: request.principal.uid(),
            action: request.action.clone(),
            resource: request.resource.uid(),
            time_ms: request.request.time_ms,
            session_policy: request.session_policy.map(|policy| policy.source.clone()),
            attached: self.attached.fingerprint().map(str::to_owned),
            question: None,
        };
        match Question::new(request) {
            Ok(question) => {
                let judgement = self.judge(&question, request.session_policy);
                asked.question = Some(Arc::new(question));
                judgement.decision(request.id, self.generation, asked)
            }
            Err(why) => {
                tracing::warn!(action = %request.action, why, "a request could not be judged and was refused");
                Decision {
                    allowed: false,
                    id: request.id,
                    generation: self.generation,
                    determining: Vec::new(),
                    verdicts: Vec::new(),
                    reason: format!("the request cannot be judged: {why}"),
                    asked,
                }
            }
        }
    }

    pub(super) fn judge(&self, question: &Question, session: Option<&SessionPolicy>) -> Judgement {
        let keys = question.scope_keys();
        let evaluator = question.evaluator();
        let mut verdicts: Vec<LayerVerdict> = Vec::new();
        for (layer, permit_needed) in question.layers() {
            let index = self.layers.get(&layer);
            let mut matches = index.map(|index| matches(index, &evaluator, &keys, &layer)).unwrap_or_default();
            let mut attached = self.attached.matches(&layer, &evaluator, &keys);
            if !attached.is_empty() {
                matches.append(&mut attached);
                matches.sort_by_key(|found| found.effect != Effect::Forbid);
            }
            verdicts.push(LayerVerdict { layer, permit_needed, matches });
        }
        if let Some(session) = session {
            let layer = Layer::Session;
            let matches = matches(&session.index, &evaluator, &keys, &layer);
            let permit_needed = !question.action.is_forbid_only();
            verdicts.push(LayerVerdict { layer, permit_needed, matches });
        }
        Judgement::of(verdicts)
    }
}

impl Question {
    pub(super) fn new(request: &DecisionRequest<'_>) -> Result<Question, String> {
        if let Some(over) = request.resource.over_limit() {
            return Err(over);
        }
        let known = SPOKEN.actions.get(request.action.as_str());
        let known = known.ok_or_else(|| format!("`{}` is no action of the schema", request.action))?;
        let mut closure = Closure::default();
        request.principal.collect(&mut closure);
        request.resource.collect(&mut closure);
        let context = context::build(
            request.principal,
            request.action,
            request.resource,
            request.request,
            request.context,
            request.extra_context,
            &mut closure,
        )?;
        // The action's groups are ancestors like any other; the rest of the action hierarchy cannot matter.
        closure.add(known.uid.clone(), known.groups.clone(), vec![], None);
        let entities = closure.finish()?;
        let (principal, resource) = (request.principal.uid(), request.resource.uid());
        let unfit = |failed: RequestValidationError| failed.to_string();
        cedar_policy::validate_scope_variables(&principal, &known.uid, &resource, &SPOKEN.schema).map_err(unfit)?;
        if request.extra_context.is_some() || !context::always_fits(request.action, request.context) {
            context.validate(&SPOKEN.schema, &known.uid).map_err(unfit)?;
        }
        let cedar_request = Request::new(principal.clone(), known.uid.clone(), resource.clone(), context, None)
            .map_err(|failed| failed.to_string())?;
        Ok(Question {
            request: cedar_request,
            entities,
            principal,
            action: request.action.clone(),
            resource,
            caller: request.principal.account().cloned(),
            owner: request.resource.account().clone(),
        })
    }

    /// What evaluates conditions on this question; to be built once and not for each policy.
    fn evaluator(&self) -> Evaluator<'_> {
        let request: &cedar_policy_core::ast::Request = self.request.as_ref();
        Evaluator::new(request.clone(), self.entities.as_ref(), Extensions::all_available())
    }

    pub(super) fn scope_keys(&self) -> ScopeKeys {
        let action = super::action::action_uid(self.action.as_str());
        ScopeKeys::new(&self.principal, &action, &self.resource, &self.entities)
    }

    /// The layers that are heard, and whether each must permit.
    pub(super) fn layers(&self) -> Vec<(Layer, bool)> {
        let permits = !self.action.is_forbid_only();
        let mut layers = vec![(Layer::Organization, false)];
        if let Some(caller) = &self.caller {
            layers.push((Layer::Account(caller.clone()), permits));
        }
        let foreign = self.caller.as_ref() != Some(&self.owner);
        if foreign {
            layers.push((Layer::Account(self.owner.clone()), false));
        }
        if foreign || self.action.always_needs_trust() {
            layers.push((Layer::Trust(self.owner.clone()), permits));
        }
        layers
    }
}

/// The layers' verdicts, put together.
pub(super) struct Judgement {
    pub(super) allowed: bool,
    pub(super) determining: Vec<PolicyMatch>,
    pub(super) verdicts: Vec<LayerVerdict>,
    pub(super) reason: String,
}

impl Judgement {
    pub(super) fn of(verdicts: Vec<LayerVerdict>) -> Judgement {
        let forbids: Vec<PolicyMatch> = verdicts
            .iter()
            .flat_map(|verdict| &verdict.matches)
            .filter(|found| found.effect == Effect::Forbid)
            .cloned()
            .collect();
        if !forbids.is_empty() {
            let reason = denied_by(&forbids);
            return Judgement { allowed: false, determining: forbids, verdicts, reason };
        }
        let silent = verdicts.iter().find(|verdict| verdict.permit_needed && !verdict.permits());
        if let Some(silent) = silent {
            let reason = match &silent.layer {
                Layer::Trust(account) => format!("no policy permits it: no trust policy of account {account} does"),
                Layer::Session => "no policy permits it: the session's own policy leaves it out".to_owned(),
                _ => NO_POLICY.to_owned(),
            };
            return Judgement { allowed: false, determining: Vec::new(), verdicts, reason };
        }
        let permits: Vec<PolicyMatch> = verdicts
            .iter()
            .filter(|verdict| verdict.permit_needed)
            .flat_map(|verdict| &verdict.matches)
            .filter(|found| !found.errored)
            .cloned()
            .collect();
        let reason = match permits.first() {
            Some(permit) => format!("permitted by policy {}", permit.id),
            None => "no policy forbids it".to_owned(),
        };
        Judgement { allowed: true, determining: permits, verdicts, reason }
    }

    pub(super) fn decision(self, id: Uuid, generation: i64, asked: Asked) -> Decision {
        let Judgement { allowed, determining, verdicts, reason } = self;
        Decision { allowed, id, generation, determining, verdicts, reason, asked }
    }
}

impl LayerVerdict {
    /// Whether a permit of the layer matched.
    pub fn permits(&self) -> bool {
        self.matches.iter().any(|found| found.effect == Effect::Permit && !found.errored)
    }

    /// Whether a forbid of the layer matched or could not be evaluated.
    pub fn forbids(&self) -> bool {
        self.matches.iter().any(|found| found.effect == Effect::Forbid)
    }
}

impl Decision {
    /// What a refused ref reads in its status: `denied by policy NAME`, or `no policy permits it`. One line, of policy ids and
    /// our own words only.
    pub fn refusal_line(&self) -> String {
        match self.determining.as_slice() {
            [] if self.verdicts.is_empty() => "the request cannot be judged".to_owned(),
            [] => NO_POLICY.to_owned(),
            forbids => denied_by(forbids),
        }
    }

    /// What the refused person is told besides: the advice of each policy that denied, each one line.
    pub fn advice(&self) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        for found in self.determining.iter().filter(|found| found.effect == Effect::Forbid) {
            if let Some(advice) = &found.advice
                && !lines.contains(advice)
            {
                lines.push(advice.clone());
            }
        }
        lines
    }

    /// Who asked what for and to what, as entity ids.
    pub fn asked(&self) -> (String, String, String) {
        (self.asked.principal.to_string(), self.asked.action.to_string(), self.asked.resource.to_string())
    }

    /// The policies that could not be evaluated, permits and forbids.
    pub fn errored(&self) -> impl Iterator<Item = &PolicyMatch> {
        self.verdicts.iter().flat_map(|verdict| &verdict.matches).filter(|found| found.errored)
    }
}

fn denied_by(forbids: &[PolicyMatch]) -> String {
    let mut line = String::new();
    for (n, forbid) in forbids.iter().take(3).enumerate() {
        line.push_str(if n == 0 { "denied by policy " } else { ", policy " });
        line.push_str(&forbid.id);
        if forbid.errored {
            line.push_str(" which could not be evaluated");
        }
    }
    if forbids.len() > 3 {
        line.push_str(&format!(" and {} more", forbids.len() - 3));
    }
    line
}

/// The policies of one layer that match the question or fail on it: forbids first, then in the order of files and lines.
pub(super) fn matches(
    index: &LayerIndex,
    evaluator: &Evaluator<'_>,
    keys: &ScopeKeys,
    layer: &Layer,
) -> Vec<PolicyMatch> {
    let mut matches: Vec<PolicyMatch> = Vec::new();
    let mut candidates: Vec<&Indexed> = Vec::new();
    for effect in [Effect::Forbid, Effect::Permit] {
        index.candidates(effect.into(), keys, |candidate| candidates.push(candidate));
        candidates.sort_unstable_by_key(|candidate| candidate.text.place());
        candidates.dedup_by_key(|candidate| candidate.text.place());
        for candidate in candidates.drain(..) {
            let errored = match holds(candidate, evaluator) {
                Ok(false) => continue,
                Ok(true) => false,
                Err(error) => {
                    tracing::warn!(policy = candidate.text.id, error, "a policy could not be evaluated");
                    true
                }
            };
            matches.push(PolicyMatch {
                id: candidate.text.id.clone(),
                effect,
                layer: layer.clone(),
                advice: candidate.text.advice.clone(),
                errored,
            });
        }
    }
    matches
}

/// The policies of one layer whose scope fits the question, attached ones included, whether or not their conditions hold.
pub(super) fn speaking(policies: &CompiledPolicies, question: &Question, layer: &Layer) -> Vec<Arc<PolicyText>> {
    let keys = question.scope_keys();
    let mut found: Vec<Arc<PolicyText>> = Vec::new();
    let of_files = policies.layers.get(layer).map(Arc::as_ref);
    for index in of_files.into_iter().chain(policies.attached.indexes(layer, &keys)) {
        for effect in [Effect::Permit, Effect::Forbid] {
            index.candidates(effect.into(), &keys, |candidate| found.push(candidate.text.clone()));
        }
    }
    found.sort_unstable_by(|a, b| a.place().cmp(&b.place()));
    found.dedup_by(|a, b| a.id == b.id);
    found
}

/// Whether the conditions of a policy hold whose scope does; in words, why they cannot be evaluated.
fn holds(policy: &Indexed, evaluator: &Evaluator<'_>) -> Result<bool, String> {
    let Some((conditions, slots)) = policy.conditions() else { return Ok(true) };
    let value = evaluator.interpret(conditions, slots).map_err(|failed| failed.to_string())?;
    match value.value_kind() {
        ValueKind::Lit(Literal::Bool(holds)) => Ok(*holds),
        _ => Err("its conditions are no boolean".to_owned()),
    }
}

/// The ids of the policies of `set` that match, with `false`, and that fail, with `true`, as Cedar's own authorizer has it: what
/// [`CompiledPolicies::decide`] is held against.
#[cfg(test)]
pub(super) fn evaluate(set: &cedar_policy::PolicySet, question: &Question) -> Vec<(String, bool)> {
    let response = cedar_policy::Authorizer::new().is_authorized(&question.request, set, &question.entities);
    let diagnostics = response.diagnostics();
    let matching = diagnostics.reason().map(|id| (AsRef::<str>::as_ref(id).to_owned(), false));
    let failing = diagnostics.errors().map(|error| {
        let cedar_policy::AuthorizationError::PolicyEvaluationError(failed) = error;
        (AsRef::<str>::as_ref(failed.policy_id()).to_owned(), true)
    });
    matching.chain(failing).collect()
}

impl Layer {
    /// The account whose policies lie there.
    pub(super) fn account(&self) -> Option<&AccountId> {
        match self {
            Layer::Account(account) | Layer::Trust(account) => Some(account),
            Layer::Organization | Layer::Session => None,
        }
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Layer::Organization => f.write_str("organization"),
            Layer::Account(account) => write!(f, "account {account}"),
            Layer::Trust(account) => write!(f, "trust of account {account}"),
            Layer::Session => f.write_str("session"),
        }
    }
}

impl Effect {
    /// `permit` or `forbid`.
    pub fn as_str(self) -> &'static str {
        match self {
            Effect::Permit => "permit",
            Effect::Forbid => "forbid",
        }
    }
}

impl From<cedar_policy::Effect> for Effect {
    fn from(effect: cedar_policy::Effect) -> Effect {
        match effect {
            cedar_policy::Effect::Permit => Effect::Permit,
            cedar_policy::Effect::Forbid => Effect::Forbid,
        }
    }
}

impl From<Effect> for cedar_policy::Effect {
    fn from(effect: Effect) -> cedar_policy::Effect {
        match effect {
            Effect::Permit => cedar_policy::Effect::Permit,
            Effect::Forbid => cedar_policy::Effect::Forbid,
        }
    }
}

const NO_POLICY: &str = "no policy permits it";
