//! What a user, group or role of an account may do, asked without doing it: IAM's SimulatePrincipalPolicy.
//!
//! The answer is the active policies' own, by the one decision function, with documents that might be attached put beside what is.
//! Nothing is recorded and nothing changes. Facts that a request would carry and that are not given are the least that it could.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use uuid::Uuid;

use super::authority::{named_role, named_user, repository_facts, role_facts, user_facts};
use super::policies::Policies;
use crate::identity::Directory;
use crate::names::{AccountId, PrincipalName, RefName, RepositoryName, escape_for_people};
use crate::policy::{
    Action, AttachedDocument, AttachedTo, CompiledPolicies, ContextFacts, Decision, DecisionRequest, GroupFacts,
    NamedFacts, NamedKind, PrincipalFacts, RefFacts, RepositoryFacts, RequestFacts, ResourceFacts, SessionFacts,
    Transport, UserFacts,
};

/// Whose rights are asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A user.
    User(PrincipalName),
    /// Somebody who is in this group and in no other.
    Group(PrincipalName),
    /// A session of this role.
    Role(PrincipalName),
}

/// What a request would carry, as far as it was given, by the names of IAM's condition keys.
#[derive(Debug, Clone, Default)]
pub struct Carried {
    /// `aws:SourceIp`.
    pub source_ip: Option<IpAddr>,
    /// `aws:CurrentTime`, in milliseconds since the Unix epoch; now where it is not given.
    pub time_ms: Option<i64>,
    /// `aws:MultiFactorAuthPresent`.
    pub mfa: bool,
    /// `codecommit:References`, of which each request has one.
    pub reference: Option<RefName>,
    /// `sts:ExternalId`.
    pub external_id: Option<String>,
    /// `sts:RoleSessionName`.
    pub session_name: Option<String>,
    /// `iam:PassedToService`.
    pub passed_to: Option<String>,
    /// `aws:RequestTag/KEY`, by key.
    pub request_tags: BTreeMap<String, String>,
    /// `aws:TagKeys`, besides the keys of those.
    pub tag_keys: BTreeSet<String>,
}

/// What is asked about.
pub struct Simulation<'a> {
    /// The account of `source`.
    pub account: &'a AccountId,
    /// Whose rights.
    pub source: &'a Source,
    /// Documents that are put beside what is attached to it, IAM's JSON or Cedar.
    pub documents: &'a [String],
    /// What requests carry.
    pub carried: &'a Carried,
    /// Who there is.
    pub directory: &'a Directory,
    /// The server's region.
    pub region: &'a str,
    /// Now, in milliseconds since the Unix epoch.
    pub now_ms: i64,
}

/// An answer.
pub struct Simulated {
    /// What the policies say.
    pub decision: Decision,
    /// Keys whose values the request would have and that were not given.
    pub missing: Vec<&'static str>,
}

impl Source {
    /// `arn:aws:iam::ACCOUNT:user/NAME`, or of a group or a role; none if it is no such ARN of the account.
    pub fn parse(arn: &str, account: &AccountId) -> Option<Source> {
        let (kind, name) =
            arn.strip_prefix("arn:aws:iam::")?.strip_prefix(account.as_str())?.strip_prefix(':')?.split_once('/')?;
        let name = PrincipalName::parse(name).ok()?;
        match kind {
            "user" => Some(Source::User(name)),
            "group" => Some(Source::Group(name)),
            "role" => Some(Source::Role(name)),
            _ => None,
        }
    }

    /// What documents of it are attached to.
    pub fn attached_to(&self) -> AttachedTo {
        match self {
            Source::User(name) => AttachedTo::User(name.clone()),
            Source::Group(name) => AttachedTo::Group(name.clone()),
            Source::Role(name) => AttachedTo::Role(name.clone()),
        }
    }

    /// Itself as a resource; none where there is no such principal.
    pub fn resource(&self, directory: &Directory, account: &AccountId) -> Option<ResourceFacts> {
        Some(match self {
            Source::User(name) => ResourceFacts::User(user_facts(directory, directory.user(account, name)?)),
            Source::Group(name) => {
                let name = directory.group(account, name)?.name.clone();
                ResourceFacts::Group(GroupFacts { account: account.clone(), name })
            }
            Source::Role(name) => ResourceFacts::Role(role_facts(directory.role(account, name)?)),
        })
    }

    fn principal(&self, directory: &Directory, account: &AccountId) -> Option<PrincipalFacts> {
        let somebody = PrincipalName::parse(SIMULATED).ok()?;
        Some(match self {
            Source::User(name) => PrincipalFacts::User(user_facts(directory, directory.user(account, name)?)),
            Source::Group(name) => {
                let groups = vec![directory.group(account, name)?.name.clone()];
                PrincipalFacts::User(UserFacts { groups, ..named_user(account, &somebody) })
            }
            Source::Role(name) => PrincipalFacts::Session(Box::new(SessionFacts {
                role: role_facts(directory.role(account, name)?),
                name: somebody,
                source_identity: None,
                original_user: None,
                on_behalf_of: None,
                tags: Default::default(),
            })),
        })
    }
}

impl Simulation<'_> {
    /// The policies with the documents put beside; what is wrong with one that cannot be attached.
    pub fn policies(&self, policies: &Policies) -> Result<CompiledPolicies, String> {
        let more = self.documents.iter().enumerate().map(|(at, text)| AttachedDocument {
            account: self.account.clone(),
            to: self.source.attached_to(),
            name: format!("{SIMULATED}/{}", at + 1),
            text: text.as_str().into(),
        });
        let more: Vec<AttachedDocument> = more.collect();
        for document in &more {
            document
                .check(self.region)
                .map_err(|problems| problems.iter().take(5).map(ToString::to_string).collect::<Vec<_>>().join("; "))?;
        }
        Ok(policies.with_more(self.directory, self.region, more))
    }

    /// Decides one action on one resource, an ARN or `*`, which is a thing that no policy names. In words, why it cannot be asked.
    pub fn decide(&self, policies: &CompiledPolicies, action: &Action, resource: &str) -> Result<Simulated, String> {
        let principal = self.source.principal(self.directory, self.account).ok_or("there is no such principal")?;
        let mut missing = Vec::new();
        let facts = self.resource(action, resource, &mut missing)?;
        let mut context = ContextFacts::least_for(action);
        match &mut context {
            ContextFacts::AssumeRole(assume) => {
                assume.external_id.clone_from(&self.carried.external_id);
                if let Some(name) = &self.carried.session_name {
                    assume.session_name.clone_from(name);
                }
            }
            ContextFacts::Tagging { tags, keys } => {
                tags.clone_from(&self.carried.request_tags);
                *keys = tags.keys().chain(&self.carried.tag_keys).cloned().collect();
            }
            ContextFacts::PassRole { passed_to } => match &self.carried.passed_to {
                Some(service) => passed_to.clone_from(service),
                None => missing.push("iam:PassedToService"),
            },
            ContextFacts::WritePath => {
                return Err(format!("`{action}` is asked of paths, which have no ARN: ask `policy explain`"));
            }
            _ => {}
        }
        let decision = policies.decide(&DecisionRequest {
            id: Uuid::now_v7(),
            principal: &principal,
            action,
            resource: &facts,
            request: &RequestFacts {
                time_ms: self.carried.time_ms.unwrap_or(self.now_ms),
                source_ip: self.carried.source_ip,
                transport: Transport::Api,
                mfa: self.carried.mfa,
            },
            context: &context,
            extra_context: None,
            session_policy: None,
        });
        // The facts fit no request of the schema: a user that takes a role by a token, and the like.
        if decision.verdicts.is_empty() {
            return Err(format!("`{action}` cannot be asked by such a principal of such a resource"));
        }
        Ok(Simulated { decision, missing })
    }

    /// The thing that an ARN names, of the kind that the action is asked of.
    fn resource(&self, action: &Action, arn: &str, missing: &mut Vec<&'static str>) -> Result<ResourceFacts, String> {
        let kinds = action.resource_kinds();
        let shown = || escape_for_people(arn.as_bytes(), 200);
        if arn == "*" {
            let kind = kinds.first().ok_or("the action is asked of nothing")?;
            return self
                .of_kind(kind, self.account, &[SIMULATED; 3], missing)
                .ok_or_else(|| "name the resource".to_owned());
        }
        let unfit = || format!("`{}` is nothing that `{action}` is asked of", shown());
        let parts: Vec<&str> = arn.splitn(6, ':').collect();
        let ["arn", "aws", service, _, account, rest] = parts[..] else {
            return Err(format!("`{}` is neither an ARN nor `*`", shown()));
        };
        let account = AccountId::parse(account).map_err(|_| format!("`{}` names no account", shown()))?;
        for kind in &kinds {
            let names: Option<Vec<&str>> = match (service, kind.as_str()) {
                ("codecommit", "Repository" | "Ref") => Some(vec![rest]),
                ("iam", "User") => rest.strip_prefix("user/").map(|name| vec![name]),
                ("iam", "Group") => rest.strip_prefix("group/").map(|name| vec![name]),
                ("iam", "Role") => rest.strip_prefix("role/").map(|name| vec![name]),
                ("iam", "Account") if rest == "root" => Some(Vec::new()),
                (service, kind) => NamedKind::of_type(kind).and_then(|kind| kind.names_of_arn(service, rest)),
            };
            if let Some(names) = names {
                return self.of_kind(kind, &account, &names, missing).ok_or_else(unfit);
            }
        }
        Err(unfit())
    }

    fn of_kind(
        &self,
        kind: &str,
        account: &AccountId,
        names: &[&str],
        missing: &mut Vec<&'static str>,
    ) -> Option<ResourceFacts> {
        let name = names.first().copied().unwrap_or_default();
        let principal = || PrincipalName::parse(name).ok();
        let repository = || {
            let name = RepositoryName::parse(name).ok()?;
            let unknown = || RepositoryFacts {
                account: account.clone(),
                name: name.clone(),
                default_branch: None,
                tags: Default::default(),
            };
            Some(self.directory.repository(account, &name).map_or_else(unknown, repository_facts))
        };
        Some(match kind {
            "Account" => ResourceFacts::Account(account.clone()),
            "Repository" => ResourceFacts::Repository(repository()?),
            "Ref" => {
                let name = match &self.carried.reference {
                    Some(name) => name.clone(),
                    None => {
                        missing.push("codecommit:References");
                        RefName::branch(SIMULATED).ok()?
                    }
                };
                ResourceFacts::Ref(RefFacts { repository: repository()?, name })
            }
            "User" => {
                let name = principal()?;
                let found = self.directory.user(account, &name).map(|user| user_facts(self.directory, user));
                ResourceFacts::User(found.unwrap_or_else(|| named_user(account, &name)))
            }
            "Group" => ResourceFacts::Group(GroupFacts { account: account.clone(), name: principal()? }),
            "Role" => {
                let name = principal()?;
                let found = self.directory.role(account, &name).map(role_facts);
                ResourceFacts::Role(found.unwrap_or_else(|| named_role(account, &name)))
            }
            kind => {
                let kind = NamedKind::of_type(kind)?;
                let name = names.iter().take(kind.n_parts()).map(ToString::to_string).collect();
                ResourceFacts::Named(NamedFacts { kind, account: account.clone(), name, tags: Default::default() })
            }
        })
    }
}

/// What a thing or somebody is called whom no policy names.
const SIMULATED: &str = "simulated";
