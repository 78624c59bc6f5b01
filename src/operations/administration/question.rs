//! What `lockgate policy explain`, `who-can` and `matrix` ask about: principals, actions and resources as people write them.
//!
//! Nothing is decided here, and what is asked about need not exist where a policy can speak of it before it does.

use uuid::Uuid;

use super::{AdminContext, chosen_account, failed};
use crate::identity::Principal;
use crate::names::{AccountId, PrincipalName, RefName, RepositoryName};
use crate::operations::admin::AdminFailure;
use crate::operations::authority::{named_role, named_user, principal_facts, repository_facts, role_facts, user_facts};
use crate::policy::{
    Action, ContextFacts, DecisionRequest, GroupFacts, NamedFacts, NamedKind, PrincipalFacts, RefFacts, RequestFacts,
    ResourceFacts, SessionFacts, Transport,
};

/// Something to ask about, for any principal.
pub(super) struct Question {
    pub(super) action: Action,
    pub(super) resource: ResourceFacts,
    pub(super) context: ContextFacts,
    pub(super) request: RequestFacts,
}

impl Question {
    pub(super) fn of(action: Action, resource: ResourceFacts, context: ContextFacts) -> Question {
        let request = RequestFacts { time_ms: 0, source_ip: None, transport: Transport::Cli, mfa: false };
        Question { action, resource, context, request }
    }

    pub(super) fn parse(
        ctx: &AdminContext<'_>,
        account: Option<&AccountId>,
        action: &str,
        resource: &str,
    ) -> Result<Question, AdminFailure> {
        let action = Action::parse(action).map_err(|error| failed(&error))?;
        let resource = parse_resource(ctx, account, resource)?;
        let context = ContextFacts::least_for(&action);
        let mut question = Question::of(action, resource, context);
        question.request.time_ms = ctx.store.clock().now_ms();
        Ok(question)
    }

    pub(super) fn request<'a>(&'a self, principal: &'a PrincipalFacts) -> DecisionRequest<'a> {
        DecisionRequest {
            id: Uuid::now_v7(),
            principal,
            action: &self.action,
            resource: &self.resource,
            request: &self.request,
            context: &self.context,
            extra_context: None,
            session_policy: None,
        }
    }
}

/// All users of all accounts, by ARN, and all roles, as sessions named `explain`.
pub(super) fn everyone(ctx: &AdminContext<'_>) -> Vec<(String, PrincipalFacts)> {
    let directory = ctx.identity.directory();
    let users = directory.accounts().flat_map(|account| directory.users(&account.id));
    let users = users.map(|user| {
        let principal = Principal::User(crate::identity::UserPrincipal::new(user, None));
        (principal.arn(), principal_facts(&directory, &principal))
    });
    let roles = directory.accounts().flat_map(|account| directory.roles(&account.id));
    let roles = roles.filter_map(|role| {
        let name = PrincipalName::parse("explain").ok()?;
        Some((role.arn(), session_of(role, name)))
    });
    users.chain(roles).collect()
}

fn session_of(role: &crate::identity::Role, name: PrincipalName) -> PrincipalFacts {
    PrincipalFacts::Session(Box::new(SessionFacts {
        role: role_facts(role),
        name,
        source_identity: None,
        original_user: None,
        on_behalf_of: None,
        tags: Default::default(),
    }))
}

/// A user, a role (as its session `explain`), a session or a service, by ARN or as policies write it.
pub(super) fn parse_principal(ctx: &AdminContext<'_>, text: &str) -> Result<PrincipalFacts, AdminFailure> {
    let quoted = |kind: &str| text.strip_prefix(kind)?.strip_prefix("::\"")?.strip_suffix('"');
    if let Some(service) = quoted("Service").filter(|service| !service.is_empty()) {
        return Ok(PrincipalFacts::Service(service.to_owned()));
    }
    let session = match text.splitn(6, ':').collect::<Vec<_>>()[..] {
        ["arn", "aws", "sts", "", account, rest] => rest
            .strip_prefix("assumed-role/")
            .and_then(|rest| rest.split_once('/'))
            .map(|(role, name)| (account, role, name)),
        ["arn", "aws", "iam", "", account, rest] => rest.strip_prefix("role/").map(|role| (account, role, "explain")),
        _ => quoted("Session").and_then(|id| {
            let (account, rest) = id.split_once('/')?;
            rest.split_once('/').map(|(role, name)| (account, role, name))
        }),
    };
    if let Some((account, role, name)) = session {
        let account = AccountId::parse(account).map_err(|error| failed(&error))?;
        let role = PrincipalName::parse(role).map_err(|error| failed(&error))?;
        let name = PrincipalName::parse(name).map_err(|error| failed(&error))?;
        let directory = ctx.identity.directory();
        let found = directory.role(&account, &role).filter(|found| found.name == role).ok_or_else(|| {
            AdminFailure::new(format!("there is no role `{role}` in account {account}; see: lockgate role list"))
        })?;
        return Ok(session_of(found, name));
    }
    let found = everyone(ctx).into_iter().find(|(name, facts)| name == text || facts.entity_id() == text);
    found.map(|(_, facts)| facts).ok_or_else(|| {
        AdminFailure::new(format!(
            "there is no principal `{text}`; write arn:aws:iam::ACCOUNT:user/NAME, arn:aws:iam::ACCOUNT:role/NAME, \
             arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION, or User::, Session:: or Service::\"...\""
        ))
    })
}

/// `arn:aws:codecommit:REGION:ACCOUNT:REPOSITORY`, with `/refs/heads/NAME` behind it for a ref; `arn:aws:iam::ACCOUNT:root` for the
/// account, `arn:aws:iam::ACCOUNT:role/NAME` for a role, and so for users and groups; `KIND::"ID"` as policies write it for whatever has
/// no ARN here. `REPOSITORY[/refs/...]` alone means the chosen account.
fn parse_resource(
    ctx: &AdminContext<'_>,
    account: Option<&AccountId>,
    text: &str,
) -> Result<ResourceFacts, AdminFailure> {
    let bad = || {
        AdminFailure::new(format!(
            "`{text}` is no resource; write arn:aws:codecommit:REGION:ACCOUNT:REPOSITORY[/refs/heads/BRANCH], \
             REPOSITORY[/refs/heads/BRANCH], arn:aws:iam::ACCOUNT:user/NAME, or as policies do, Stage::\"ACCOUNT/PIPELINE/STAGE\""
        ))
    };
    if let Some((kind, id)) = text.split_once("::\"").and_then(|(kind, id)| Some((kind, id.strip_suffix('"')?))) {
        let (account, id) = id.split_once('/').map_or((id, None), |(account, id)| (account, Some(id)));
        let account = AccountId::parse(account).map_err(|_| bad())?;
        return match (kind, id) {
            ("Account", None) => Ok(ResourceFacts::Account(account)),
            ("User" | "Group" | "Role", Some(name)) => principal_resource(ctx, account, kind, name).ok_or_else(bad),
            ("Repository" | "Ref", Some(name)) => in_repository(ctx, account, name),
            (kind, Some(id)) => named(account, kind, id).ok_or_else(bad),
            (_, None) => Err(bad()),
        };
    }
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    let (account, rest) = match parts[..] {
        ["arn", "aws", "codecommit", _, account, rest] => (AccountId::parse(account).map_err(|_| bad())?, rest),
        ["arn", "aws", "iam", "", account, rest] => {
            let account = AccountId::parse(account).map_err(|_| bad())?;
            return match rest.split_once('/') {
                Some(("policy", name)) => named(account, NamedKind::ManagedPolicy.type_name(), name).ok_or_else(bad),
                Some(("user", name)) => principal_resource(ctx, account, "User", name).ok_or_else(bad),
                Some(("group", name)) => principal_resource(ctx, account, "Group", name).ok_or_else(bad),
                Some(("role", name)) => principal_resource(ctx, account, "Role", name).ok_or_else(bad),
                None if rest == "root" => Ok(ResourceFacts::Account(account)),
                _ => Err(bad()),
            };
        }
        [name] => (chosen_account(ctx, account)?, name),
        _ => return Err(bad()),
    };
    in_repository(ctx, account, rest)
}

/// A user, group or role, which need not exist.
fn principal_resource(ctx: &AdminContext<'_>, account: AccountId, kind: &str, name: &str) -> Option<ResourceFacts> {
    let name = PrincipalName::parse(name).ok()?;
    let directory = ctx.identity.directory();
    Some(match kind {
        "User" => ResourceFacts::User(match directory.user(&account, &name) {
            Some(user) => user_facts(&directory, user),
            None => named_user(&account, &name),
        }),
        "Group" => ResourceFacts::Group(GroupFacts { account, name }),
        _ => ResourceFacts::Role(match directory.role(&account, &name) {
            Some(role) => role_facts(role),
            None => named_role(&account, &name),
        }),
    })
}

/// Something that is known by its kind and its id behind the account.
fn named(account: AccountId, kind: &str, id: &str) -> Option<ResourceFacts> {
    let kind = NamedKind::of_type(kind)?;
    let name = kind.name_of_id(id)?;
    Some(ResourceFacts::Named(NamedFacts { kind, account, name, tags: Default::default() }))
}

/// `REPOSITORY` or `REPOSITORY/refs/...`, of a repository that exists.
fn in_repository(ctx: &AdminContext<'_>, account: AccountId, rest: &str) -> Result<ResourceFacts, AdminFailure> {
    let (name, reference) = match rest.split_once('/') {
        Some((name, reference)) => (name, Some(reference)),
        None => (rest, None),
    };
    let name = RepositoryName::parse(name).map_err(|error| failed(&error))?;
    let directory = ctx.identity.directory();
    let repository = match directory.repository(&account, &name) {
        Some(record) => repository_facts(record),
        None => return Err(AdminFailure::new(format!("there is no repository `{name}` in account {account}"))),
    };
    match reference {
        Some(reference) => {
            let name = RefName::parse(reference.as_bytes()).map_err(|error| failed(&error))?;
            Ok(ResourceFacts::Ref(RefFacts { repository, name }))
        }
        None => Ok(ResourceFacts::Repository(repository)),
    }
}
