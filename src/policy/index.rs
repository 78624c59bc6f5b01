//! Policies sorted so that a request meets only those that could speak about it.
//!
//! Cedar evaluates each policy that it is given, so a large set costs each decision. A policy's scope says what it needs:
//! an action or group of them, a principal or one of its ancestors, the same for the resource. The three are the key under which
//! it lies. A request looks under each combination of what it is and what it is in, a few dozen look-ups whatever the size of
//! the set. What the scope leaves open lies under `None`.
//!
//! Permits and forbids lie apart: Cedar names only the forbids where one matches, and a record needs both.

use std::collections::HashMap;

use cedar_policy::{
    ActionConstraint, Effect, Entities, EntityUid, Policy, PolicySet, PrincipalConstraint, ResourceConstraint,
};

/// The policies of one layer.
#[derive(Debug, Default)]
pub(super) struct LayerIndex {
    permits: ByAction,
    forbids: ByAction,
}

type ByAction = HashMap<Option<EntityUid>, ByPrincipal>;
type ByPrincipal = HashMap<Option<EntityUid>, ByResource>;
type ByResource = HashMap<Option<EntityUid>, PolicySet>;

impl LayerIndex {
    /// Adds a policy; fails, in words for people, where its id is taken.
    pub(super) fn add(&mut self, policy: &Policy) -> Result<(), String> {
        let by_action = match policy.effect() {
            Effect::Permit => &mut self.permits,
            Effect::Forbid => &mut self.forbids,
        };
        let principal = match policy.principal_constraint() {
            PrincipalConstraint::In(uid) | PrincipalConstraint::Eq(uid) | PrincipalConstraint::IsIn(_, uid) => {
                Some(uid)
            }
            PrincipalConstraint::Any | PrincipalConstraint::Is(_) => None,
        };
        let resource = match policy.resource_constraint() {
            ResourceConstraint::In(uid) | ResourceConstraint::Eq(uid) | ResourceConstraint::IsIn(_, uid) => Some(uid),
            ResourceConstraint::Any | ResourceConstraint::Is(_) => None,
        };
        let mut actions = match policy.action_constraint() {
            ActionConstraint::Any => vec![None],
            ActionConstraint::Eq(uid) => vec![Some(uid)],
            ActionConstraint::In(uids) => uids.into_iter().map(Some).collect(),
        };
        actions.sort();
        actions.dedup();
        for action in actions {
            let by_principal = by_action.entry(action).or_default();
            let by_resource = by_principal.entry(principal.clone()).or_default();
            by_resource
                .entry(resource.clone())
                .or_default()
                .add(policy.clone())
                .map_err(|failed| failed.to_string())?;
        }
        Ok(())
    }

    pub(super) fn candidates<'a>(&'a self, effect: Effect, keys: &'a ScopeKeys) -> impl Iterator<Item = &'a PolicySet> {
        let by_action = match effect {
            Effect::Permit => &self.permits,
            Effect::Forbid => &self.forbids,
        };
        keys.actions
            .iter()
            .filter_map(|action| by_action.get(action))
            .flat_map(|by_principal| keys.principals.iter().filter_map(|principal| by_principal.get(principal)))
            .flat_map(|by_resource| keys.resources.iter().filter_map(|resource| by_resource.get(resource)))
    }
}

impl LayerIndex {
    /// The forbids that could speak about a request by what its action and its principal are, whatever its resource.
    pub(super) fn forbids_on_anything<'a>(&'a self, keys: &'a ScopeKeys) -> impl Iterator<Item = &'a Policy> {
        keys.actions
            .iter()
            .filter_map(|action| self.forbids.get(action))
            .flat_map(|by_principal| keys.principals.iter().filter_map(|principal| by_principal.get(principal)))
            .flat_map(HashMap::values)
            .flat_map(PolicySet::policies)
    }
}

/// Under which keys the policies lie that could speak about a request.
pub(super) struct ScopeKeys {
    actions: Vec<Option<EntityUid>>,
    principals: Vec<Option<EntityUid>>,
    resources: Vec<Option<EntityUid>>,
}

impl ScopeKeys {
    pub(super) fn new(
        principal: &EntityUid,
        action: &EntityUid,
        resource: &EntityUid,
        entities: &Entities,
    ) -> ScopeKeys {
        let keys = |uid: &EntityUid| {
            let ancestors = entities.ancestors(uid).into_iter().flatten();
            [None, Some(uid.clone())].into_iter().chain(ancestors.cloned().map(Some)).collect()
        };
        ScopeKeys { actions: keys(action), principals: keys(principal), resources: keys(resource) }
    }

    /// The principal and what it is in.
    pub(super) fn principals(&self) -> impl Iterator<Item = &EntityUid> {
        self.principals.iter().flatten()
    }

    /// The resource and what it is in.
    pub(super) fn resources(&self) -> impl Iterator<Item = &EntityUid> {
        self.resources.iter().flatten()
    }
}
