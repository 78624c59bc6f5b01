//! IAM's names and patterns of actions, over the actions of the schema.

use std::collections::{BTreeMap, BTreeSet};

use super::document::Statement;
use super::expression::entity;
use super::problem::{Problems, shown, why};
use super::value::name_matches;
use crate::policy::NamedKind;
use crate::policy::action::{Action, SPOKEN, action_uid};

/// What an action is asked for, and what stands in its context: what IAM knows of the request follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    /// On a repository as a whole.
    Repository,
    /// A change of a ref: IAM knows the repository, and the ref as `codecommit:References`.
    Ref,
    /// A change of a path, on top of that of its ref.
    Path,
    /// On an account, where IAM knows no resource but `*`.
    Account,
    /// On a user.
    User,
    /// On a group.
    Group,
    /// On a role: seeing and changing it.
    Role,
    /// Taking a role.
    AssumeRole,
    /// Taking a role as somebody for whom an OpenID provider vouches.
    AssumeRoleWithWebIdentity,
    /// Handing a role to a service.
    PassRole,
    /// On something that is known by its kind and name.
    Named(NamedKind),
}

impl Class {
    /// The entity type of the resource, for classes that share actions with others.
    pub(super) fn entity_type(self) -> Option<&'static str> {
        match self {
            Class::User => Some("User"),
            Class::Group => Some("Group"),
            Class::Role => Some("Role"),
            _ => None,
        }
    }
}

/// The actions that a statement speaks of.
#[derive(Debug)]
pub(super) struct Selected {
    pub(super) by_class: BTreeMap<Class, BTreeSet<String>>,
    /// Whether each action there will ever be is among them.
    everything: bool,
    /// Services of which each action there will ever be is among them.
    whole_services: BTreeSet<String>,
}

/// The classes of an action, one for each kind of thing that it is asked of; empty for one of a shape that is not known here.
pub(super) fn classes_of(action: &str) -> Vec<Class> {
    match action {
        "sts:AssumeRole" => return vec![Class::AssumeRole],
        "sts:AssumeRoleWithWebIdentity" => return vec![Class::AssumeRoleWithWebIdentity],
        "iam:PassRole" => return vec![Class::PassRole],
        _ => {}
    }
    let Some(known) = SPOKEN.actions.get(action) else { return Vec::new() };
    let kinds = SPOKEN.schema.resources_for_action(&known.uid).into_iter().flatten();
    let class = |kind: &str| match kind {
        "Repository" => Some(Class::Repository),
        "Ref" => Some(Class::Ref),
        "Path" => Some(Class::Path),
        "Account" => Some(Class::Account),
        "User" => Some(Class::User),
        "Group" => Some(Class::Group),
        "Role" => Some(Class::Role),
        kind => NamedKind::of_type(kind).map(Class::Named),
    };
    let classes: Option<Vec<Class>> = kinds.map(|kind| class(kind.basename())).collect();
    classes.unwrap_or_default()
}

/// Whether the schema lets that kind of principal ask for the action.
pub(super) fn is_for(action: &str, principal: &str) -> bool {
    SPOKEN
        .actions
        .get(action)
        .and_then(|known| SPOKEN.schema.principals_for_action(&known.uid))
        .is_some_and(|mut kinds| kinds.any(|kind| kind.basename() == principal))
}

/// The actions that a statement means; none, with the reasons among `problems`, where that cannot be said.
pub(super) fn select(statement: &Statement, problems: &mut Problems) -> Option<Selected> {
    let n_before = problems.0.len();
    let names = &statement.actions;
    let element = if names.negated { "NotAction" } else { "Action" };
    let all = Action::all();
    let services: BTreeSet<&str> = all.iter().filter_map(|action| action.as_str().split(':').next()).collect();
    let mut named: BTreeSet<&str> = BTreeSet::new();
    let (mut any, mut whole, mut touched) = (false, BTreeSet::new(), BTreeSet::new());
    let mut foreign = None;
    for pattern in &names.list {
        if matches!(pattern.as_str(), "*" | "*:*") {
            any = true;
            continue;
        }
        let Some((service, rest)) = pattern.split_once(':').filter(|(service, _)| !service.contains(['*', '?'])) else {
            let said = why(format!("`{}` is no action", shown(pattern)), "write `service:Name`, or `*` for all");
            problems.add(&statement.label, element, said);
            continue;
        };
        let service = service.to_ascii_lowercase();
        if !services.contains(service.as_str()) {
            foreign = Some(pattern);
            continue;
        }
        touched.insert(service.clone());
        if !rest.is_empty() && rest.bytes().all(|b| b == b'*') {
            whole.insert(service);
            continue;
        }
        let mut found = all.iter().map(Action::as_str).filter(|action| name_matches(pattern, action)).peekable();
        if found.peek().is_none() {
            let hint = match Action::parse(pattern) {
                Err(unknown) => unknown.to_string(),
                Ok(action) => format!("`{action}`"),
            };
            problems.add(
                &statement.label,
                element,
                why(hint, "correct the name, or take it out if nothing of it exists here"),
            );
        }
        named.extend(found);
    }
    if problems.0.len() > n_before {
        return None;
    }
    let mut by_class: BTreeMap<Class, BTreeSet<String>> = BTreeMap::new();
    for action in &all {
        let action = action.as_str();
        let service = action.split(':').next().unwrap_or_default();
        if (any || whole.contains(service) || named.contains(action)) == names.negated {
            continue;
        }
        let classes = classes_of(action);
        if classes.is_empty() {
            let said =
                why(format!("what `{action}` is asked for has no counterpart in IAM"), "write this one in Cedar");
            problems.add(&statement.label, element, said);
            return None;
        }
        for class in classes {
            by_class.entry(class).or_default().insert(action.to_owned());
        }
    }
    if by_class.is_empty() {
        let said = match foreign {
            Some(pattern) => format!("no action here matches `{}`", shown(pattern)),
            None => "no action is left".to_owned(),
        };
        problems.add(&statement.label, element, why(said, "leave the statement out"));
        return None;
    }
    let whole_services = match names.negated {
        false => whole,
        true => services.iter().filter(|s| !any && !touched.contains(**s)).map(|s| (*s).to_owned()).collect(),
    };
    Some(Selected { by_class, everything: any && !names.negated, whole_services })
}

impl Selected {
    /// The scope's `action ...` for some of the selected actions. A group of the schema stands for its actions only where
    /// IAM's pattern covers whatever the group may come to hold. `in_repository`: the resource is in a repository, so
    /// actions on an account cannot be meant. `kinds`: who can be meant.
    pub(super) fn scope(&self, actions: &BTreeSet<String>, kinds: &[&str], in_repository: bool) -> String {
        let cannot_ask = |action: &String| !kinds.iter().any(|kind| is_for(action, kind));
        let people = kinds.iter().any(|kind| matches!(*kind, "User" | "Session"));
        if self.everything
            && people
            && SPOKEN.actions.keys().all(|action| actions.contains(action) || cannot_ask(action))
        {
            return "action".to_owned();
        }
        let mut groups: BTreeMap<String, Vec<&String>> = BTreeMap::new();
        for (name, known) in &SPOKEN.actions {
            for group in &known.groups {
                groups.entry(group.id().unescaped().to_owned()).or_default().push(name);
            }
        }
        let mut left = actions.clone();
        let mut terms = Vec::new();
        for (group, members) in &groups {
            let in_a_repository = |class: &Class| matches!(class, Class::Repository | Class::Ref | Class::Path);
            let harmless = |member: &String| in_repository && !classes_of(member).iter().any(in_a_repository);
            let covered = members.iter().all(|member| actions.contains(*member) || harmless(member));
            let grows_along = self.everything
                || members.iter().all(|member| {
                    let service = member.split(':').next().unwrap_or_default();
                    group.split(':').next() == Some(service) && self.whole_services.contains(service)
                });
            if covered && grows_along && members.iter().any(|member| left.contains(*member)) {
                terms.push(action_uid(group).to_string());
                left.retain(|action| !members.contains(&action));
            }
        }
        let has_group = !terms.is_empty();
        terms.extend(left.iter().map(|action| entity("Action", action)));
        match terms.as_slice() {
            [one] if has_group => format!("action in {one}"),
            [one] => format!("action == {one}"),
            many => format!("action in [{}]", many.join(", ")),
        }
    }
}
