//! Policies of users, groups and roles: documents of their own, and managed ones that are attached to several. Documents are kept
//! and given back as they came.

use serde::{Deserialize, Serialize};

use super::super::codec::Timestamp;
use super::super::error::ApiError;
use super::super::iam_ids::policy_id;
use super::super::operation::{Call, NotRegistered, Operations};
use super::super::service::Service;
use super::super::sts::{Tag, parse_policy_arn};
use super::asked::{self, asked, of_account, of_policy};
use super::tags::{TagPage, tags, with_more_tags};
use super::users::find_user;
use super::{Done, PageEnd, Paging, check_path, policy_name, principal_name};
use crate::identity::{HeldPolicies, Holder, ManagedPolicy, NameKind, PolicyVersion};
use crate::names::PolicyName;
use crate::operations::authorize::Weight::{Read, Write};
use crate::policy::ResourceFacts;
use crate::policy::{AttachedDocument, AttachedTo};

pub(super) fn register(all: &mut Operations) -> Result<(), NotRegistered> {
    let iam = Service::Iam;
    all.add(
        iam,
        "CreatePolicy",
        "iam:CreatePolicy",
        Write,
        |call, input: &CreatePolicy| asked::with_tags(asked::managed_policy(call, &input.policy_name)?, &input.tags),
        create_policy,
    )?;
    all.add(iam, "GetPolicy", "iam:GetPolicy", Read, of_policy, get_policy)?;
    all.add(iam, "ListPolicies", "iam:ListPolicies", Read, of_account, list_policies)?;
    all.add(iam, "DeletePolicy", "iam:DeletePolicy", Write, of_policy, delete_policy)?;
    all.add(
        iam,
        "TagPolicy",
        "iam:TagPolicy",
        Write,
        |call, input: &TagPolicy| asked::with_tags(of_policy(call, input)?, &input.tags),
        tag_policy,
    )?;
    all.add(
        iam,
        "UntagPolicy",
        "iam:UntagPolicy",
        Write,
        |call, input: &UntagPolicy| asked::without_tags(of_policy(call, input)?, &input.tag_keys),
        untag_policy,
    )?;
    all.add(iam, "ListPolicyTags", "iam:ListPolicyTags", Read, of_policy, list_policy_tags)?;
    all.add(iam, "CreatePolicyVersion", "iam:CreatePolicyVersion", Write, of_policy, create_version)?;
    all.add(iam, "GetPolicyVersion", "iam:GetPolicyVersion", Read, of_policy, get_version)?;
    all.add(iam, "ListPolicyVersions", "iam:ListPolicyVersions", Read, of_policy, list_versions)?;
    all.add(iam, "DeletePolicyVersion", "iam:DeletePolicyVersion", Write, of_policy, delete_version)?;
    all.add(iam, "SetDefaultPolicyVersion", "iam:SetDefaultPolicyVersion", Write, of_policy, set_default)?;
    all.add(iam, "ListEntitiesForPolicy", "iam:ListEntitiesForPolicy", Read, of_policy, list_entities)?;
    all.add(iam, "AttachUserPolicy", "iam:AttachUserPolicy", Write, of_user, attach)?;
    all.add(iam, "AttachGroupPolicy", "iam:AttachGroupPolicy", Write, of_group, attach)?;
    all.add(iam, "AttachRolePolicy", "iam:AttachRolePolicy", Write, of_role, attach)?;
    all.add(iam, "DetachUserPolicy", "iam:DetachUserPolicy", Write, of_user, detach)?;
    all.add(iam, "DetachGroupPolicy", "iam:DetachGroupPolicy", Write, of_group, detach)?;
    all.add(iam, "DetachRolePolicy", "iam:DetachRolePolicy", Write, of_role, detach)?;
    all.add(iam, "ListAttachedUserPolicies", "iam:ListAttachedUserPolicies", Read, of_user, list_attached)?;
    all.add(iam, "ListAttachedGroupPolicies", "iam:ListAttachedGroupPolicies", Read, of_group, list_attached)?;
    all.add(iam, "ListAttachedRolePolicies", "iam:ListAttachedRolePolicies", Read, of_role, list_attached)?;
    all.add(iam, "PutUserPolicy", "iam:PutUserPolicy", Write, of_user, put)?;
    all.add(iam, "PutGroupPolicy", "iam:PutGroupPolicy", Write, of_group, put)?;
    all.add(iam, "PutRolePolicy", "iam:PutRolePolicy", Write, of_role, put)?;
    all.add(iam, "GetUserPolicy", "iam:GetUserPolicy", Read, of_user, get)?;
    all.add(iam, "GetGroupPolicy", "iam:GetGroupPolicy", Read, of_group, get)?;
    all.add(iam, "GetRolePolicy", "iam:GetRolePolicy", Read, of_role, get)?;
    all.add(iam, "ListUserPolicies", "iam:ListUserPolicies", Read, of_user, list)?;
    all.add(iam, "ListGroupPolicies", "iam:ListGroupPolicies", Read, of_group, list)?;
    all.add(iam, "ListRolePolicies", "iam:ListRolePolicies", Read, of_role, list)?;
    all.add(iam, "DeleteUserPolicy", "iam:DeleteUserPolicy", Write, of_user, delete)?;
    all.add(iam, "DeleteGroupPolicy", "iam:DeleteGroupPolicy", Write, of_group, delete)?;
    all.add(iam, "DeleteRolePolicy", "iam:DeleteRolePolicy", Write, of_role, delete)
}

asked!(policy: NamedPolicy, CreateVersion, NamedVersion, ListVersions, TagPolicy, UntagPolicy);

/// A call about the policies that somebody has; the operation says which of the names it reads.
trait OfWhom {
    fn whom(&self) -> &Whom;
}

impl OfWhom for Attachment {
    fn whom(&self) -> &Whom {
        &self.whom
    }
}

impl OfWhom for ListOf {
    fn whom(&self) -> &Whom {
        &self.whom
    }
}

impl OfWhom for Inline {
    fn whom(&self) -> &Whom {
        &self.whom
    }
}

/// INVARIANT: an operation on users is asked of the user that it changes: with another name besides it is refused, here and by
/// [`Whom::find`].
fn of_user<I: OfWhom>(call: &Call<'_>, input: &I) -> Result<ResourceFacts, ApiError> {
    match (&input.whom().user_name, &input.whom().group_name, &input.whom().role_name) {
        (Some(name), None, None) => Ok(asked::user(call, &principal_name("userName", name)?)),
        _ => Err(ApiError::validation("UserName is expected, and neither GroupName nor RoleName")),
    }
}

fn of_group<I: OfWhom>(call: &Call<'_>, input: &I) -> Result<ResourceFacts, ApiError> {
    match (&input.whom().user_name, &input.whom().group_name, &input.whom().role_name) {
        (None, Some(name), None) => asked::group(call, name),
        _ => Err(ApiError::validation("GroupName is expected, and neither UserName nor RoleName")),
    }
}

fn of_role<I: OfWhom>(call: &Call<'_>, input: &I) -> Result<ResourceFacts, ApiError> {
    match (&input.whom().user_name, &input.whom().group_name, &input.whom().role_name) {
        (None, None, Some(name)) => asked::role(call, name),
        _ => Err(ApiError::validation("RoleName is expected, and neither UserName nor GroupName")),
    }
}

/// A document as IAM gives it back: percent-encoded as RFC 3986 says.
pub(super) fn encoded(document: &str) -> String {
    let mut out = String::with_capacity(document.len() * 2);
    for byte in document.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// Whether a document may be attached: what cannot be said exactly is refused, with every reason.
pub(super) fn check_document(call: &Call<'_>, to: AttachedTo, document: &str) -> Result<(), ApiError> {
    let document =
        AttachedDocument { account: call.account().clone(), to, name: "document".to_owned(), text: document.into() };
    document.check(call.host.identity().region()).map_err(|problems| {
        let problems: Vec<String> = problems.iter().take(5).map(ToString::to_string).collect();
        ApiError::client("MalformedPolicyDocument", 400, problems.join("; "))
    })
}

/// A managed document is about whoever it will be attached to: what it says has to be sayable of all three kinds. It is checked
/// again when it is attached.
fn check_managed(call: &Call<'_>, document: &str) -> Result<(), ApiError> {
    let anyone = principal_name("userName", "anyone")?;
    let for_each = [AttachedTo::Group(anyone.clone()), AttachedTo::Role(anyone.clone()), AttachedTo::User(anyone)];
    let mut refused = None;
    for to in for_each {
        match check_document(call, to, document) {
            Ok(()) => return Ok(()),
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    refused.map_or(Ok(()), Err)
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct PolicyShape {
    policy_name: String,
    policy_id: String,
    arn: String,
    path: &'static str,
    default_version_id: String,
    attachment_count: usize,
    permissions_boundary_usage_count: usize,
    is_attachable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    create_date: Timestamp,
    update_date: Timestamp,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<Tag>,
}

impl PolicyShape {
    fn of(call: &Call<'_>, policy: &ManagedPolicy) -> PolicyShape {
        PolicyShape {
            policy_name: policy.name.to_string(),
            policy_id: policy_id(policy.id),
            arn: policy.arn(),
            path: "/",
            default_version_id: format!("v{}", policy.default_version),
            attachment_count: call.directory.holders(&policy.account, &policy.name).len(),
            permissions_boundary_usage_count: 0,
            is_attachable: true,
            description: policy.description.clone(),
            create_date: Timestamp(policy.created_ms),
            update_date: Timestamp(policy.updated_ms),
            tags: tags(&policy.tags),
        }
    }
}

fn find_policy(call: &Call<'_>, arn: &str) -> Result<ManagedPolicy, ApiError> {
    let name = parse_policy_arn(arn, call.account())?;
    let found = call.directory.managed_policy(call.account(), &name).cloned();
    found.ok_or_else(|| ApiError::client("NoSuchEntity", 404, format!("Policy {arn} was not found.")))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CreatePolicy {
    policy_name: String,
    path: Option<String>,
    policy_document: String,
    description: Option<String>,
    #[serde(default)]
    tags: Vec<Tag>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct OnePolicy {
    policy: PolicyShape,
}

fn create_policy(call: &Call<'_>, input: CreatePolicy) -> Result<OnePolicy, ApiError> {
    check_path(input.path.as_deref())?;
    let name = policy_name(&input.policy_name)?;
    check_managed(call, &input.policy_document)?;
    let tags = with_more_tags(&Default::default(), input.tags)?;
    let description = input.description.as_deref().filter(|text| !text.is_empty());
    let identity = call.host.identity();
    let made = identity.create_managed_policy(call.account(), &name, description, &input.policy_document, tags);
    Ok(OnePolicy { policy: PolicyShape::of(call, &call.wait(made)?) })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct NamedPolicy {
    policy_arn: String,
}

fn get_policy(call: &Call<'_>, input: NamedPolicy) -> Result<OnePolicy, ApiError> {
    Ok(OnePolicy { policy: PolicyShape::of(call, &find_policy(call, &input.policy_arn)?) })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TagPolicy {
    policy_arn: String,
    #[serde(default)]
    tags: Vec<Tag>,
}

fn tag_policy(call: &Call<'_>, input: TagPolicy) -> Result<Done, ApiError> {
    let policy = find_policy(call, &input.policy_arn)?;
    let tags = with_more_tags(&policy.tags, input.tags)?;
    call.wait(call.host.identity().set_policy_tags(call.account(), &policy.name, tags))?;
    Ok(Done {})
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct UntagPolicy {
    policy_arn: String,
    #[serde(default)]
    tag_keys: Vec<String>,
}

fn untag_policy(call: &Call<'_>, input: UntagPolicy) -> Result<Done, ApiError> {
    let policy = find_policy(call, &input.policy_arn)?;
    let mut tags = policy.tags.clone();
    tags.retain(|key, _| !input.tag_keys.contains(key));
    call.wait(call.host.identity().set_policy_tags(call.account(), &policy.name, tags))?;
    Ok(Done {})
}

fn list_policy_tags(call: &Call<'_>, input: ListVersions) -> Result<TagPage, ApiError> {
    TagPage::of(&find_policy(call, &input.policy_arn)?.tags, &input.paging)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListPolicies {
    scope: Option<String>,
    only_attached: Option<bool>,
    #[serde(flatten)]
    paging: Paging,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Policies {
    policies: Vec<PolicyShape>,
    #[serde(flatten)]
    end: PageEnd,
}

fn list_policies(call: &Call<'_>, input: ListPolicies) -> Result<Policies, ApiError> {
    // Nobody's policies but the account's own are here.
    let is_local = input.scope.as_deref() != Some("AWS");
    let only_attached = input.only_attached.unwrap_or(false);
    let all = call.directory.managed_policies(call.account()).filter(|policy| {
        is_local && (!only_attached || !call.directory.holders(&policy.account, &policy.name).is_empty())
    });
    let (policies, end) = input.paging.page(all, |policy| policy.name.folded())?.split();
    Ok(Policies { policies: policies.into_iter().map(|policy| PolicyShape::of(call, policy)).collect(), end })
}

fn delete_policy(call: &Call<'_>, input: NamedPolicy) -> Result<Done, ApiError> {
    let policy = find_policy(call, &input.policy_arn)?;
    if policy.versions.len() > 1 {
        return Err(ApiError::conflict(
            "This policy has more than one version. Before you delete a policy, you must delete the policy's versions. The default version is deleted with the policy.",
        ));
    }
    call.wait(call.host.identity().delete_managed_policy(call.account(), &policy.name))?;
    Ok(Done {})
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct VersionShape {
    #[serde(skip_serializing_if = "Option::is_none")]
    document: Option<String>,
    version_id: String,
    is_default_version: bool,
    create_date: Timestamp,
}

impl VersionShape {
    fn of(policy: &ManagedPolicy, number: u32, version: &PolicyVersion, with_document: bool) -> VersionShape {
        VersionShape {
            document: with_document.then(|| encoded(&version.document)),
            version_id: format!("v{number}"),
            is_default_version: policy.default_version == number,
            create_date: Timestamp(version.created_ms),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct OneVersion {
    policy_version: VersionShape,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CreateVersion {
    policy_arn: String,
    policy_document: String,
    set_as_default: Option<bool>,
}

fn create_version(call: &Call<'_>, input: CreateVersion) -> Result<OneVersion, ApiError> {
    let policy = find_policy(call, &input.policy_arn)?;
    check_managed(call, &input.policy_document)?;
    let default = input.set_as_default.unwrap_or(false);
    if default {
        check_for_holders(call, &policy, &input.policy_document)?;
    }
    let identity = call.host.identity();
    let number =
        call.wait(identity.create_policy_version(call.account(), &policy.name, &input.policy_document, default))?;
    let policy_version = VersionShape {
        document: None,
        version_id: format!("v{number}"),
        is_default_version: default,
        create_date: Timestamp(call.now_ms),
    };
    Ok(OneVersion { policy_version })
}

/// What a version says must be sayable of each of those to whom it is attached.
fn check_for_holders(call: &Call<'_>, policy: &ManagedPolicy, document: &str) -> Result<(), ApiError> {
    for holder in call.directory.holders(&policy.account, &policy.name) {
        check_document(call, attached_to(&holder), document)?;
    }
    Ok(())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct NamedVersion {
    policy_arn: String,
    version_id: String,
}

impl NamedVersion {
    fn number(&self) -> Result<u32, ApiError> {
        let number = self.version_id.strip_prefix('v').and_then(|number| number.parse().ok());
        number.ok_or_else(|| ApiError::validation("versionId: it is `v` and a number"))
    }

    fn find<'p>(&self, policy: &'p ManagedPolicy) -> Result<(u32, &'p PolicyVersion), ApiError> {
        let number = self.number()?;
        let found = policy.versions.get(&number).map(|version| (number, version));
        found.ok_or_else(|| {
            let message = format!("Policy {} version v{number} does not exist.", policy.arn());
            ApiError::client("NoSuchEntity", 404, message)
        })
    }
}

fn get_version(call: &Call<'_>, input: NamedVersion) -> Result<OneVersion, ApiError> {
    let policy = find_policy(call, &input.policy_arn)?;
    let (number, version) = input.find(&policy)?;
    Ok(OneVersion { policy_version: VersionShape::of(&policy, number, version, true) })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListVersions {
    policy_arn: String,
    #[serde(flatten)]
    paging: Paging,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Versions {
    versions: Vec<VersionShape>,
    #[serde(flatten)]
    end: PageEnd,
}

fn list_versions(call: &Call<'_>, input: ListVersions) -> Result<Versions, ApiError> {
    let policy = find_policy(call, &input.policy_arn)?;
    let page = input.paging.page(policy.versions.iter(), |(number, _)| format!("{number:010}"))?;
    let (versions, end) = page.split();
    let shown = versions.into_iter().map(|(number, version)| VersionShape::of(&policy, *number, version, false));
    Ok(Versions { versions: shown.collect(), end })
}

fn delete_version(call: &Call<'_>, input: NamedVersion) -> Result<Done, ApiError> {
    let policy = find_policy(call, &input.policy_arn)?;
    let (number, _) = input.find(&policy)?;
    call.wait(call.host.identity().delete_policy_version(call.account(), &policy.name, number))?;
    Ok(Done {})
}

fn set_default(call: &Call<'_>, input: NamedVersion) -> Result<Done, ApiError> {
    let policy = find_policy(call, &input.policy_arn)?;
    let (number, version) = input.find(&policy)?;
    check_for_holders(call, &policy, &version.document)?;
    call.wait(call.host.identity().set_default_policy_version(call.account(), &policy.name, number))?;
    Ok(Done {})
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct HolderShape {
    #[serde(skip_serializing_if = "Option::is_none")]
    user_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    role_name: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Entities {
    policy_groups: Vec<HolderShape>,
    policy_users: Vec<HolderShape>,
    policy_roles: Vec<HolderShape>,
    is_truncated: bool,
}

fn list_entities(call: &Call<'_>, input: NamedPolicy) -> Result<Entities, ApiError> {
    let policy = find_policy(call, &input.policy_arn)?;
    let holders = call.directory.holders(&policy.account, &policy.name);
    let of = |kind: NameKind| {
        let shape = |holder: &Holder| {
            let name = Some(holder.name.to_string());
            let (mut user_name, mut group_name, mut role_name) = (None, None, None);
            match kind {
                NameKind::User => user_name = name,
                NameKind::Group => group_name = name,
                _ => role_name = name,
            }
            HolderShape { user_name, group_name, role_name }
        };
        holders.iter().filter(|holder| holder.kind == kind).map(shape).collect()
    };
    Ok(Entities {
        policy_groups: of(NameKind::Group),
        policy_users: of(NameKind::User),
        policy_roles: of(NameKind::Role),
        is_truncated: false,
    })
}

/// Whom a call is about: exactly one of the names is there, which one being the operation's own.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Whom {
    user_name: Option<String>,
    group_name: Option<String>,
    role_name: Option<String>,
}

impl Whom {
    fn find(&self, call: &Call<'_>) -> Result<(Holder, HeldPolicies), ApiError> {
        let (account, directory) = (call.account(), &call.directory);
        let missing = |kind: &str, name: &str| {
            ApiError::client("NoSuchEntity", 404, format!("The {kind} with name {name} cannot be found."))
        };
        match (&self.user_name, &self.group_name, &self.role_name) {
            (Some(name), None, None) => {
                let user = find_user(call, Some(name))?;
                Ok((Holder { kind: NameKind::User, name: user.name }, user.policies))
            }
            (None, Some(name), None) => {
                let group = directory.group(account, &principal_name("groupName", name)?);
                let group = group.ok_or_else(|| missing("group", name))?;
                Ok((Holder { kind: NameKind::Group, name: group.name.clone() }, group.policies.clone()))
            }
            (None, None, Some(name)) => {
                let role = directory.role(account, &principal_name("roleName", name)?);
                let role = role.ok_or_else(|| missing("role", name))?;
                Ok((Holder { kind: NameKind::Role, name: role.name.clone() }, role.policies.clone()))
            }
            _ => Err(ApiError::validation("exactly one of UserName, GroupName and RoleName is expected")),
        }
    }
}

fn attached_to(holder: &Holder) -> AttachedTo {
    match holder.kind {
        NameKind::User => AttachedTo::User(holder.name.clone()),
        NameKind::Group => AttachedTo::Group(holder.name.clone()),
        _ => AttachedTo::Role(holder.name.clone()),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Attachment {
    policy_arn: String,
    #[serde(flatten)]
    whom: Whom,
}

fn attach(call: &Call<'_>, input: Attachment) -> Result<Done, ApiError> {
    let (holder, _) = input.whom.find(call)?;
    let policy = find_policy(call, &input.policy_arn)?;
    if let Some(document) = policy.document() {
        check_document(call, attached_to(&holder), document)?;
    }
    call.wait(call.host.identity().attach_policy(call.account(), &holder, &policy.name))?;
    Ok(Done {})
}

fn detach(call: &Call<'_>, input: Attachment) -> Result<Done, ApiError> {
    let (holder, _) = input.whom.find(call)?;
    let policy = find_policy(call, &input.policy_arn)?;
    call.wait(call.host.identity().detach_policy(call.account(), &holder, &policy.name))?;
    Ok(Done {})
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListOf {
    #[serde(flatten)]
    whom: Whom,
    #[serde(flatten)]
    paging: Paging,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct AttachedPolicy {
    policy_name: String,
    policy_arn: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct AttachedPolicies {
    attached_policies: Vec<AttachedPolicy>,
    #[serde(flatten)]
    end: PageEnd,
}

fn list_attached(call: &Call<'_>, input: ListOf) -> Result<AttachedPolicies, ApiError> {
    let (_, held) = input.whom.find(call)?;
    let (names, end) = input.paging.page(held.managed.iter(), |name| name.to_string())?.split();
    let shape = |name: &PolicyName| AttachedPolicy {
        policy_name: name.to_string(),
        policy_arn: format!("arn:aws:iam::{}:policy/{name}", call.account()),
    };
    Ok(AttachedPolicies { attached_policies: names.into_iter().map(shape).collect(), end })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Inline {
    policy_name: String,
    policy_document: Option<String>,
    #[serde(flatten)]
    whom: Whom,
}

fn put(call: &Call<'_>, input: Inline) -> Result<Done, ApiError> {
    let (holder, _) = input.whom.find(call)?;
    let name = policy_name(&input.policy_name)?;
    let document = input.policy_document.ok_or_else(|| ApiError::validation("PolicyDocument is missing"))?;
    check_document(call, attached_to(&holder), &document)?;
    call.wait(call.host.identity().put_inline_policy(call.account(), &holder, &name, &document))?;
    Ok(Done {})
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct InlineShape {
    #[serde(flatten)]
    whom: HolderShape,
    policy_name: String,
    policy_document: String,
}

fn get(call: &Call<'_>, input: Inline) -> Result<InlineShape, ApiError> {
    let (holder, held) = input.whom.find(call)?;
    let name = policy_name(&input.policy_name)?;
    let document = held.inline.get(&name).ok_or_else(|| {
        let message = format!("The {} policy with name {name} cannot be found.", holder.kind);
        ApiError::client("NoSuchEntity", 404, message)
    })?;
    let name_of = |kind: NameKind| (holder.kind == kind).then(|| holder.name.to_string());
    let whom = HolderShape {
        user_name: name_of(NameKind::User),
        group_name: name_of(NameKind::Group),
        role_name: name_of(NameKind::Role),
    };
    Ok(InlineShape { whom, policy_name: name.to_string(), policy_document: encoded(document) })
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct PolicyNames {
    policy_names: Vec<String>,
    #[serde(flatten)]
    end: PageEnd,
}

fn list(call: &Call<'_>, input: ListOf) -> Result<PolicyNames, ApiError> {
    let (_, held) = input.whom.find(call)?;
    let (names, end) = input.paging.page(held.inline.keys(), |name| name.to_string())?.split();
    Ok(PolicyNames { policy_names: names.into_iter().map(ToString::to_string).collect(), end })
}

fn delete(call: &Call<'_>, input: Inline) -> Result<Done, ApiError> {
    let (holder, _) = input.whom.find(call)?;
    let name = policy_name(&input.policy_name)?;
    call.wait(call.host.identity().delete_inline_policy(call.account(), &holder, &name))?;
    Ok(Done {})
}
