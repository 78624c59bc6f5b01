//! Statements into policies: whom, which actions, which resources, under which conditions.

use std::collections::{BTreeMap, BTreeSet};

use super::actions::{self, Class, Selected};
use super::conditions::{self, Asked};
use super::document::Statement;
use super::expression::{Expression, entity, literal};
use super::problem::{Problems, Why, shown, why};
use super::resources::{Resources, Surroundings};
use super::{IamImport, ImportFor, TranslatedPolicy};
use crate::names::{AccountId, PrincipalName};
use crate::policy::NamedKind;
use crate::policy::bounds;
use crate::policy::decide::Layer;

/// Whom a policy is about.
struct Whom {
    /// `principal == ...`
    scope: String,
    /// The kinds of principals that the scope lets in.
    kinds: &'static [&'static str],
}

pub(super) fn statement(
    statement: &Statement,
    options: &IamImport,
    policies: &mut Vec<TranslatedPolicy>,
    problems: &mut Problems,
) {
    let n_before = problems.0.len();
    let selected = actions::select(statement, problems);
    let principals = principals(statement, options, problems);
    check_resource(statement, options, problems);
    let Some(selected) = selected else { return };
    let mut pieces = Vec::new();
    for whom in &principals {
        pieces.extend(pieces_for(statement, options, &selected, whom, problems));
    }
    if problems.0.len() > n_before {
        return;
    }
    if pieces.is_empty() {
        problems.add(
            &statement.label,
            "",
            why(
                "it can never match here: its actions, resources and conditions never come together",
                "leave the statement out, or correct its resources",
            ),
        );
        return;
    }
    let several = pieces.len() > 1;
    for (at, piece) in pieces.into_iter().enumerate() {
        let id = match several {
            true => format!("{}-{}.{}", options.name, statement.name, at + 1),
            false => format!("{}-{}", options.name, statement.name),
        };
        let text = format!("@id({})\n@iam({})\n{piece}\n", literal(&id), literal(&statement.source));
        if let Err(over) = bounds::check(&text) {
            problems.add(&statement.label, "", why(over.message, "split the statement"));
        }
        let layer = match (&options.principal, statement.allow) {
            (ImportFor::Trust(_) | ImportFor::Resource, true) => Layer::Trust(options.account.clone()),
            _ => Layer::Account(options.account.clone()),
        };
        policies.push(TranslatedPolicy { id, text, layer });
    }
}

/// The policies of a statement for one scope of principals, without their annotations.
fn pieces_for(
    statement: &Statement,
    options: &IamImport,
    selected: &Selected,
    whom: &Whom,
    problems: &mut Problems,
) -> Vec<String> {
    let user_name = match &options.principal {
        ImportFor::User(name) => Some(name.as_str()),
        _ => None,
    };
    let surroundings = Surroundings { region: &options.region, user_name };
    // Classes whose policies read alike become one.
    let mut alike: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    for (class, names) in &selected.by_class {
        let kept: BTreeSet<String> =
            names.iter().filter(|name| whom.kinds.iter().any(|kind| actions::is_for(name, kind))).cloned().collect();
        if kept.is_empty() {
            continue;
        }
        let resources = match resources(statement, options, *class, &surroundings) {
            Ok(resources) => resources,
            Err(said) => {
                let element = match &statement.resources {
                    Some(names) if names.negated => "NotResource",
                    _ => "Resource",
                };
                problems.add(&statement.label, element, said);
                continue;
            }
        };
        if resources.condition == Expression::False {
            continue;
        }
        let asked = Asked { class: *class, kinds: whom.kinds, user_name };
        // An action that is asked of things of several kinds is heard for each; what is said of one kind is not meant for others.
        let is_said_of_all = |resources: &Resources| {
            let kinds = [Class::User, Class::Group, Class::Role].into_iter();
            let mut others = kinds.map(|class| self::resources(statement, options, class, &surroundings));
            others.all(|other| other.is_ok_and(|other| other == *resources))
        };
        let has_several = kept.iter().any(|name| actions::classes_of(name).len() > 1);
        let is_everywhere = has_several
            && !statement.conditions.iter().any(|condition| condition.is_of_resource())
            && is_said_of_all(&resources);
        let guard = match has_several && !is_everywhere {
            true => class.entity_type().map(|kind| Expression::test(format!("resource is {kind}"))),
            false => None,
        };
        let mut parts: Vec<Expression> = guard.into_iter().chain([resources.condition]).collect();
        for condition in &statement.conditions {
            match conditions::translate(condition, &asked) {
                Ok(part) => parts.push(part),
                Err(said) => {
                    let element = format!("Condition.{}.{}", condition.operator, condition.key);
                    problems.add(&statement.label, &element, said);
                }
            }
        }
        let condition = Expression::all(parts);
        if condition != Expression::False {
            let when = if condition == Expression::True { String::new() } else { condition.to_string() };
            alike.entry((resources.scope, when)).or_default().extend(kept);
        }
    }
    let effect = if statement.allow { "permit" } else { "forbid" };
    alike
        .into_iter()
        .map(|((resource, when), names)| {
            let action = selected.scope(&names, whom.kinds, resource.starts_with("resource in Repository::"));
            let when = if when.is_empty() { String::new() } else { format!("\nwhen {{ {when} }}") };
            format!("{effect} ({}, {action}, {resource}){when};", whom.scope)
        })
        .collect()
}

fn resources(
    statement: &Statement,
    options: &IamImport,
    class: Class,
    surroundings: &Surroundings<'_>,
) -> Result<Resources, Why> {
    if let ImportFor::Trust(role) = &options.principal {
        let role = entity("Role", &format!("{}/{role}", options.account));
        let takes_it = matches!(class, Class::AssumeRole | Class::AssumeRoleWithWebIdentity);
        let condition = if takes_it { Expression::True } else { Expression::False };
        return Ok(Resources { scope: format!("resource == {role}"), condition });
    }
    let mut found = match &statement.resources {
        Some(names) => Resources::of(names, class, surroundings)?,
        // `check_resource` has refused a statement without resources.
        None => Resources::any(),
    };
    // What a policy of resources says is said of those that it lies with.
    if options.principal == ImportFor::Resource {
        let account = entity("Account", options.account.as_str());
        let own = Expression::test(format!("resource in {account}"));
        match found.scope.as_str() {
            "resource" => found.scope = own.to_string(),
            _ => found.condition = Expression::all([own, found.condition]),
        }
    }
    Ok(found)
}

fn check_resource(statement: &Statement, options: &IamImport, problems: &mut Problems) {
    match (&options.principal, &statement.resources) {
        (ImportFor::Trust(_), Some(_)) => problems.add(
            &statement.label,
            "Resource",
            why("a role's trust policy is about that role", "take the element out"),
        ),
        (ImportFor::Trust(_), None) | (_, Some(_)) => {}
        (_, None) => {
            problems.add(&statement.label, "Resource", why("it is missing", "write `Resource` or `NotResource`"));
        }
    }
}

fn principals(statement: &Statement, options: &IamImport, problems: &mut Problems) -> Vec<Whom> {
    let own = |kind: &str, name: &PrincipalName| entity(kind, &format!("{}/{name}", options.account));
    let fixed = match &options.principal {
        ImportFor::User(name) => Some(Whom { scope: format!("principal == {}", own("User", name)), kinds: &["User"] }),
        ImportFor::Group(name) => {
            Some(Whom { scope: format!("principal in {}", own("Group", name)), kinds: &["User"] })
        }
        ImportFor::Role(name) => {
            Some(Whom { scope: format!("principal in {}", own("Role", name)), kinds: &["Session"] })
        }
        ImportFor::Trust(_) | ImportFor::Resource => None,
    };
    match (fixed, &statement.principals) {
        (Some(whom), None) => return vec![whom],
        (Some(_), Some(_)) => problems.add(
            &statement.label,
            "Principal",
            why("a policy attached to a user, group or role has none", "import it as a policy of resources"),
        ),
        (None, None) => problems.add(
            &statement.label,
            "Principal",
            why("it is missing", "write it, or say to which user, group or role the policy is attached"),
        ),
        (None, Some(list)) => {
            let mut found: Vec<Whom> = Vec::new();
            for (kind, value) in list {
                match principal(kind, value, statement.allow) {
                    Ok(whom) if found.iter().any(|known| known.scope == whom.scope) => {}
                    Ok(whom) => found.push(whom),
                    Err(said) => problems.add(&statement.label, &format!("Principal.{kind}"), said),
                }
            }
            return found;
        }
    }
    Vec::new()
}

/// An OpenID provider of the account, `arn:aws:iam::ACCOUNT:oidc-provider/HOST/PATH`.
fn federated(value: &str) -> Result<Whom, Why> {
    let bad = || {
        why(
            format!("`{}` is no OpenID provider that can be here", shown(value)),
            "write `arn:aws:iam::ACCOUNT:oidc-provider/HOST`, without wildcards",
        )
    };
    let (account, name) = value
        .strip_prefix("arn:aws:iam::")
        .and_then(|rest| rest.split_once(":oidc-provider/"))
        .filter(|(_, name)| !name.is_empty() && !name.contains(['*', '?', '$']))
        .ok_or_else(bad)?;
    let account = AccountId::parse(account).map_err(|_| bad())?;
    let uid = NamedKind::OidcProvider.uid(&account, &[name]);
    Ok(Whom { scope: format!("principal in {uid}"), kinds: &["WebIdentity"] })
}

fn principal(kind: &str, value: &str, allow: bool) -> Result<Whom, Why> {
    let bad = || {
        why(
            format!("`{}` is no principal that can be here", shown(value)),
            "write an account's number, or the ARN of a user, role or session, without wildcards",
        )
    };
    match kind {
        "Service" => {
            if value.is_empty() || value.contains(['*', '?', '$']) {
                return Err(bad());
            }
            let id = crate::policy::entities::encode_for_id(value.as_bytes());
            return Ok(Whom { scope: format!("principal == {}", entity("Service", &id)), kinds: &["Service"] });
        }
        "Federated" => return federated(value),
        "AWS" => {}
        _ => return Err(why("principals of this kind do not exist here", "write `AWS`, `Service` or `Federated`")),
    }
    if value == "*" {
        return match allow {
            true => Err(why("a permit names whom it trusts here", "name accounts, users or roles")),
            false => Ok(Whom { scope: "principal".to_owned(), kinds: &["User", "Session", "Service", "WebIdentity"] }),
        };
    }
    let both: &'static [&'static str] = &["User", "Session"];
    let of_account = |account: &AccountId| Whom {
        scope: format!("principal in {}", entity("Account", account.as_str())),
        kinds: both,
    };
    if let Ok(account) = AccountId::parse(value) {
        return Ok(of_account(&account));
    }
    let (rest, sts) = match value.strip_prefix("arn:aws:iam::") {
        Some(rest) => (rest, false),
        None => (value.strip_prefix("arn:aws:sts::").ok_or_else(bad)?, true),
    };
    let (account, name) = rest.split_once(':').ok_or_else(bad)?;
    let account = AccountId::parse(account).map_err(|_| bad())?;
    let parts: Vec<&str> = name.split('/').collect();
    let parsed = |name: &str| PrincipalName::parse(name).map_err(|_| bad());
    Ok(match (sts, parts.as_slice()) {
        (false, ["root"]) => of_account(&account),
        (false, ["user", user]) => {
            let id = format!("{account}/{}", parsed(user)?);
            Whom { scope: format!("principal == {}", entity("User", &id)), kinds: &["User"] }
        }
        (false, ["role", role]) => {
            let id = format!("{account}/{}", parsed(role)?);
            Whom { scope: format!("principal in {}", entity("Role", &id)), kinds: &["Session"] }
        }
        (true, ["assumed-role", role, session]) => {
            let id = format!("{account}/{}/{}", parsed(role)?, parsed(session)?);
            Whom { scope: format!("principal == {}", entity("Session", &id)), kinds: &["Session"] }
        }
        _ => return Err(bad()),
    })
}
