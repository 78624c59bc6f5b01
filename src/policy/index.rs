//! Policies sorted so that a request meets only those that could speak about it.
//!
//! Cedar evaluates each policy that it is given, so a large set costs each decision. A policy's scope says what it needs:
//! an action or group of them, a principal or one of its ancestors, the same for the resource. The three are the key under which
//! it lies. A request looks under each combination of what it is and what it is in, a few dozen look-ups whatever the size of
//! the set. What the scope leaves open lies under [`Place::ANY`].
//!
//! `==` and `in` are told apart by the key, and a type that the scope asks for is compared here, so a policy that is found is one
//! whose scope holds: what is left to evaluate is its conditions.
//!
//! Permits and forbids lie apart: Cedar names only the forbids where one matches, and a record needs both.

use std::collections::HashMap;
use std::sync::Arc;

use cedar_policy::{
    ActionConstraint, Effect, Entities, EntityTypeName, EntityUid, Policy, PrincipalConstraint, ResourceConstraint,
};
use cedar_policy_core::ast::{Expr, SlotEnv};

use super::compile::PolicyText;

/// The policies of one layer.
#[derive(Debug, Default)]
pub(super) struct LayerIndex {
    /// The numbers of the entities that scopes name.
    numbers: HashMap<EntityUid, usize>,
    permits: ByCaller,
    forbids: ByCaller,
}

/// By action and principal, and then by resource.
type ByCaller = HashMap<(Place, Place), HashMap<Place, Vec<Indexed>>>;

/// One of the three parts of a scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Place(usize);

impl Place {
    const ANY: Place = Place(0);

    /// `in` the entity of that number.
    fn within(number: usize) -> Place {
        Place(number * 2 + 1)
    }

    /// `==` the entity of that number.
    fn exactly(number: usize) -> Place {
        Place(number * 2 + 2)
    }
}

/// A policy where it lies.
#[derive(Debug, Clone)]
pub(super) struct Indexed {
    pub(super) policy: Arc<Policy>,
    pub(super) text: Arc<PolicyText>,
    principal_type: Option<EntityTypeName>,
    resource_type: Option<EntityTypeName>,
}

impl Indexed {
    /// What remains to be evaluated once the scope is known to hold; none if nothing does.
    pub(super) fn conditions(&self) -> Option<(&Expr, &SlotEnv)> {
        let policy: &cedar_policy_core::ast::Policy = (*self.policy).as_ref();
        Some((policy.non_scope_constraints()?, policy.env()))
    }
}

/// What a scope asks of the principal or the resource.
enum Asked {
    Nothing,
    In(EntityUid),
    Is(EntityUid),
}

impl LayerIndex {
    /// Adds a policy.
    pub(super) fn add(&mut self, policy: &Arc<Policy>, text: &Arc<PolicyText>) {
        let (principal, principal_type) = match policy.principal_constraint() {
            PrincipalConstraint::Any => (Asked::Nothing, None),
            PrincipalConstraint::Is(kind) => (Asked::Nothing, Some(kind)),
            PrincipalConstraint::In(uid) => (Asked::In(uid), None),
            PrincipalConstraint::IsIn(kind, uid) => (Asked::In(uid), Some(kind)),
            PrincipalConstraint::Eq(uid) => (Asked::Is(uid), None),
        };
        let (resource, resource_type) = match policy.resource_constraint() {
            ResourceConstraint::Any => (Asked::Nothing, None),
            ResourceConstraint::Is(kind) => (Asked::Nothing, Some(kind)),
            ResourceConstraint::In(uid) => (Asked::In(uid), None),
            ResourceConstraint::IsIn(kind, uid) => (Asked::In(uid), Some(kind)),
            ResourceConstraint::Eq(uid) => (Asked::Is(uid), None),
        };
        let (principal, resource) = (self.place(principal), self.place(resource));
        let mut actions: Vec<Place> = match policy.action_constraint() {
            ActionConstraint::Any => vec![Place::ANY],
            ActionConstraint::Eq(uid) => vec![self.place(Asked::Is(uid))],
            ActionConstraint::In(uids) => uids.into_iter().map(|uid| self.place(Asked::In(uid))).collect(),
        };
        actions.sort_unstable();
        actions.dedup();
        let indexed = Indexed { policy: policy.clone(), text: text.clone(), principal_type, resource_type };
        let by_caller = match policy.effect() {
            Effect::Permit => &mut self.permits,
            Effect::Forbid => &mut self.forbids,
        };
        for action in actions {
            let by_resource = by_caller.entry((action, principal)).or_default();
            by_resource.entry(resource).or_default().push(indexed.clone());
        }
    }

    fn place(&mut self, asked: Asked) -> Place {
        let mut number = |uid: EntityUid| {
            let next = self.numbers.len();
            *self.numbers.entry(uid).or_insert(next)
        };
        match asked {
            Asked::Nothing => Place::ANY,
            Asked::In(uid) => Place::within(number(uid)),
            Asked::Is(uid) => Place::exactly(number(uid)),
        }
    }

    /// The policies whose scope holds for the request, given to `found`; one that lists several actions may come more than once.
    pub(super) fn candidates<'a>(&'a self, effect: Effect, keys: &ScopeKeys, mut found: impl FnMut(&'a Indexed)) {
        let by_caller = match effect {
            Effect::Permit => &self.permits,
            Effect::Forbid => &self.forbids,
        };
        if by_caller.is_empty() {
            return;
        }
        let resources = self.places(&keys.resource);
        let fits = |asked: &Option<EntityTypeName>, uid: &EntityUid| {
            asked.as_ref().is_none_or(|asked| asked == uid.type_name())
        };
        for by_resource in self.by_resource(by_caller, keys) {
            for place in &resources {
                for indexed in by_resource.get(place).into_iter().flatten() {
                    if fits(&indexed.principal_type, &keys.principal.own)
                        && fits(&indexed.resource_type, &keys.resource.own)
                    {
                        found(indexed);
                    }
                }
            }
        }
    }

    /// The forbids that could speak about a request by what its action and its principal are, whatever its resource.
    pub(super) fn forbids_on_anything<'a>(&'a self, keys: &'a ScopeKeys) -> impl Iterator<Item = &'a Policy> {
        let found = self.by_resource(&self.forbids, keys);
        found.into_iter().flat_map(HashMap::values).flatten().map(|indexed| &*indexed.policy)
    }

    fn by_resource<'a>(&self, by_caller: &'a ByCaller, keys: &ScopeKeys) -> Vec<&'a HashMap<Place, Vec<Indexed>>> {
        let principals = self.places(&keys.principal);
        let mut found = Vec::new();
        for action in self.places(&keys.action) {
            found.extend(principals.iter().filter_map(|principal| by_caller.get(&(action, *principal))));
        }
        found
    }

    /// Where the policies lie that ask nothing of the entity, or what it is or is in. Entities that no scope names have no place.
    fn places(&self, kin: &Kin) -> Vec<Place> {
        let mut places = vec![Place::ANY];
        if let Some(number) = self.numbers.get(&kin.own) {
            places.extend([Place::within(*number), Place::exactly(*number)]);
        }
        places
            .extend(kin.ancestors.iter().filter_map(|uid| self.numbers.get(uid)).map(|number| Place::within(*number)));
        places
    }
}

/// What a request is about, and all that those are in: under these the policies lie that could speak about it.
pub(super) struct ScopeKeys {
    action: Kin,
    principal: Kin,
    resource: Kin,
}

/// An entity and what it is in.
struct Kin {
    own: EntityUid,
    ancestors: Vec<EntityUid>,
}

impl ScopeKeys {
    pub(super) fn new(
        principal: &EntityUid,
        action: &EntityUid,
        resource: &EntityUid,
        entities: &Entities,
    ) -> ScopeKeys {
        let kin = |uid: &EntityUid| {
            let ancestors = entities.ancestors(uid).into_iter().flatten();
            // An entity within itself is there once.
            Kin { own: uid.clone(), ancestors: ancestors.filter(|ancestor| *ancestor != uid).cloned().collect() }
        };
        ScopeKeys { action: kin(action), principal: kin(principal), resource: kin(resource) }
    }

    /// The principal and what it is in.
    pub(super) fn principals(&self) -> impl Iterator<Item = &EntityUid> {
        self.principal.all()
    }

    /// The resource and what it is in.
    pub(super) fn resources(&self) -> impl Iterator<Item = &EntityUid> {
        self.resource.all()
    }
}

impl Kin {
    fn all(&self) -> impl Iterator<Item = &EntityUid> {
        [&self.own].into_iter().chain(&self.ancestors)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use cedar_policy::{Entity, PolicyId, PolicySet, Request};

    use super::*;
    use crate::policy::{Layer, decide};

    /// Who or what is in what.
    const PARENTS: [(&str, &[&str]); 8] = [
        (r#"User::"1/dan""#, &[r#"Group::"1/dev""#, r#"Account::"1""#]),
        (r#"Group::"1/dev""#, &[r#"Account::"1""#]),
        (r#"Session::"1/dev/s""#, &[r#"Role::"1/dev""#]),
        (r#"Role::"1/dev""#, &[r#"Account::"1""#]),
        (r#"Ref::"1/r/a/b""#, &[r#"Ref::"1/r/a""#, r#"Repository::"1/r""#]),
        (r#"Ref::"1/r/a""#, &[r#"Repository::"1/r""#]),
        (r#"Repository::"1/r""#, &[r#"Account::"1""#]),
        (r#"Action::"push""#, &[r#"Action::"write""#]),
    ];

    /// A scope's part in each way of writing it: about anything, about a type, and about each of `names`.
    fn parts(variable: &str, names: &[&str]) -> Vec<String> {
        let kinds = ["User", "Session", "Ref", "Account"];
        let mut parts = vec![variable.to_owned()];
        parts.extend(kinds.iter().map(|kind| format!("{variable} is {kind}")));
        for name in names {
            parts.extend([format!("{variable} == {name}"), format!("{variable} in {name}")]);
            parts.extend(kinds[..3].iter().map(|kind| format!("{variable} is {kind} in {name}")));
        }
        parts
    }

    // Every scope of every kind, asked of every kind of request: found are those that Cedar's own authorizer names.
    #[test]
    fn a_policy_is_found_where_its_scope_holds() {
        let parents: BTreeMap<&str, &[&str]> = PARENTS.into_iter().collect();
        let uid = |text: &str| -> EntityUid { text.parse().unwrap() };
        let entity = |(name, parents): (&&str, &&[&str])| {
            Entity::new_no_attrs(uid(name), parents.iter().map(|name| uid(name)).collect())
        };
        let entities = Entities::from_entities(parents.iter().map(entity), None).unwrap();

        let (dan, session, service) = (r#"User::"1/dan""#, r#"Session::"1/dev/s""#, r#"Service::"build""#);
        let callers =
            [dan, session, r#"Group::"1/dev""#, r#"Role::"1/dev""#, r#"Account::"1""#, r#"User::"1/sue""#, service];
        let things = [r#"Ref::"1/r/a/b""#, r#"Ref::"1/r/a""#, r#"Repository::"1/r""#, r#"Account::"1""#, dan];
        let actions = [
            "action",
            r#"action == Action::"push""#,
            r#"action == Action::"write""#,
            r#"action in Action::"push""#,
            r#"action in Action::"write""#,
            r#"action in [Action::"push", Action::"write"]"#,
            r#"action in [Action::"pull"]"#,
            "action in []",
        ];
        let (mut index, mut set) = (LayerIndex::default(), PolicySet::new());
        for principal in parts("principal", &callers) {
            for resource in parts("resource", &things) {
                for action in actions {
                    let order = set.num_of_policies();
                    let id = format!("p{order}");
                    let source = format!("permit ({principal}, {action}, {resource});");
                    let policy = Policy::parse(Some(PolicyId::new(&id)), &source).unwrap();
                    let text = PolicyText {
                        id,
                        effect: decide::Effect::Permit,
                        layer: Layer::Organization,
                        advice: None,
                        file: String::new(),
                        line: 1,
                        text: source,
                        order,
                    };
                    set.add(policy.clone()).unwrap();
                    index.add(&Arc::new(policy), &Arc::new(text));
                }
            }
        }
        let mut n_found = 0;
        for principal in [dan, session, service] {
            for action in [r#"Action::"push""#, r#"Action::"pull""#] {
                for resource in [r#"Ref::"1/r/a/b""#, r#"Ref::"1/r/a""#, r#"Repository::"1/r""#, r#"Account::"1""#] {
                    let (principal, action, resource) = (uid(principal), uid(action), uid(resource));
                    let keys = ScopeKeys::new(&principal, &action, &resource, &entities);
                    let mut found = BTreeSet::new();
                    index.candidates(Effect::Permit, &keys, |indexed| {
                        assert!(indexed.conditions().is_none());
                        found.insert(indexed.text.id.clone());
                    });
                    let context = cedar_policy::Context::empty();
                    let request = Request::new(principal, action, resource, context, None).unwrap();
                    let response = cedar_policy::Authorizer::new().is_authorized(&request, &set, &entities);
                    let named: BTreeSet<String> = response.diagnostics().reason().map(ToString::to_string).collect();
                    assert_eq!(found, named, "{request:?}");
                    n_found += found.len();
                }
            }
        }
        assert!(n_found > 1000, "{n_found} of {}", set.num_of_policies());
    }
}
