//! What IAM's operations are asked of: the user, group, role, policy, provider or device that a call names.
//!
//! Resources are AWS's. What does not exist is asked of by its name, so that a call is refused in the same words whether or not it
//! does. Nothing is decided or changed here.

use super::super::error::ApiError;
use super::super::operation::{AskedOf, Call};
use super::super::sts::{Tag, parse_policy_arn};
use super::tags::{MAX_TAGS, with_more_tags};
use super::{policy_name, principal_name, user_name};
use crate::names::{PrincipalName, escape_for_people};
use crate::operations::authority::{named_role, named_user, role_facts, user_facts};
use crate::policy::{ContextFacts, GroupFacts, NamedFacts, NamedKind, ResourceFacts, Tags};

/// A call that names a user, or means the caller.
pub(super) trait OfUser {
    fn asked_user(&self) -> Option<&str>;
}

/// A call that names a group.
pub(super) trait OfGroup {
    fn asked_group(&self) -> &str;
}

/// A call that names a role.
pub(super) trait OfRole {
    fn asked_role(&self) -> &str;
}

/// A call that names a managed policy by its ARN.
pub(super) trait OfPolicy {
    fn asked_policy(&self) -> &str;
}

/// A call that names an identity provider by its ARN.
pub(super) trait OfProvider {
    fn asked_provider(&self) -> &str;
}

/// Says of inputs in which field they name what they are about.
macro_rules! asked {
    (maybe user: $($input:ty),+) => {
        $(impl $crate::api::iam::asked::OfUser for $input {
            fn asked_user(&self) -> Option<&str> {
                self.user_name.as_deref()
            }
        })+
    };
    (user: $($input:ty),+) => {
        $(impl $crate::api::iam::asked::OfUser for $input {
            fn asked_user(&self) -> Option<&str> {
                Some(&self.user_name)
            }
        })+
    };
    (group: $($input:ty),+) => {
        $(impl $crate::api::iam::asked::OfGroup for $input {
            fn asked_group(&self) -> &str {
                &self.group_name
            }
        })+
    };
    (role: $($input:ty),+) => {
        $(impl $crate::api::iam::asked::OfRole for $input {
            fn asked_role(&self) -> &str {
                &self.role_name
            }
        })+
    };
    (provider: $($input:ty),+) => {
        $(impl $crate::api::iam::asked::OfProvider for $input {
            fn asked_provider(&self) -> &str {
                &self.arn
            }
        })+
    };
    (policy: $($input:ty),+) => {
        $(impl $crate::api::iam::asked::OfPolicy for $input {
            fn asked_policy(&self) -> &str {
                &self.policy_arn
            }
        })+
    };
}
pub(super) use asked;

/// A call that gives tags, besides what it is asked of.
pub(super) fn with_tags(resource: ResourceFacts, given: &[Tag]) -> Result<AskedOf, ApiError> {
    let tags = with_more_tags(&Tags::new(), given.to_vec())?;
    Ok(AskedOf { resource, context: ContextFacts::tagging(tags) })
}

/// A call that takes tags away.
pub(super) fn without_tags(resource: ResourceFacts, keys: &[String]) -> Result<AskedOf, ApiError> {
    // What no tag can be called is not there to be taken away either, and need not be looked at.
    if keys.len() > MAX_TAGS || keys.iter().any(|key| !(1..=128).contains(&key.chars().count())) {
        let message = format!("TagKeys: there are up to {MAX_TAGS}, of 1 to 128 characters each");
        return Err(ApiError::validation(message));
    }
    let keys = keys.iter().cloned().collect();
    Ok(AskedOf { resource, context: ContextFacts::Tagging { tags: Tags::new(), keys } })
}

/// The caller's account.
pub(super) fn of_account<I>(call: &Call<'_>, _: &I) -> Result<ResourceFacts, ApiError> {
    Ok(ResourceFacts::Account(call.account().clone()))
}

/// The user that the call names.
pub(super) fn of_user<I: OfUser>(call: &Call<'_>, input: &I) -> Result<ResourceFacts, ApiError> {
    Ok(user(call, &user_name(call, input.asked_user())?))
}

/// The group that the call names.
pub(super) fn of_group<I: OfGroup>(call: &Call<'_>, input: &I) -> Result<ResourceFacts, ApiError> {
    group(call, input.asked_group())
}

/// The role that the call names.
pub(super) fn of_role<I: OfRole>(call: &Call<'_>, input: &I) -> Result<ResourceFacts, ApiError> {
    role(call, input.asked_role())
}

/// The managed policy that the call names.
pub(super) fn of_policy<I: OfPolicy>(call: &Call<'_>, input: &I) -> Result<ResourceFacts, ApiError> {
    let name = parse_policy_arn(input.asked_policy(), call.account())?;
    managed_policy(call, name.as_str())
}

/// The identity provider that the call names.
pub(super) fn of_provider<I: OfProvider>(call: &Call<'_>, input: &I) -> Result<ResourceFacts, ApiError> {
    let prefix = format!("arn:aws:iam::{}:oidc-provider/", call.account());
    match input.asked_provider().strip_prefix(&prefix).filter(|issuer| (1..=255).contains(&issuer.len())) {
        Some(issuer) => Ok(provider(call, issuer)),
        None => Err(ApiError::validation(format!("OpenIDConnectProviderArn: `{prefix}HOST` is expected"))),
    }
}

pub(super) fn user(call: &Call<'_>, name: &PrincipalName) -> ResourceFacts {
    ResourceFacts::User(match call.directory.user(call.account(), name) {
        Some(found) => user_facts(&call.directory, found),
        None => named_user(call.account(), name),
    })
}

pub(super) fn group(call: &Call<'_>, name: &str) -> Result<ResourceFacts, ApiError> {
    let name = principal_name("groupName", name)?;
    let found = call.directory.group(call.account(), &name).map(|group| group.name.clone());
    Ok(ResourceFacts::Group(GroupFacts { account: call.account().clone(), name: found.unwrap_or(name) }))
}

pub(super) fn role(call: &Call<'_>, name: &str) -> Result<ResourceFacts, ApiError> {
    let name = principal_name("roleName", name)?;
    Ok(ResourceFacts::Role(match call.directory.role(call.account(), &name) {
        Some(found) => role_facts(found),
        None => named_role(call.account(), &name),
    }))
}

pub(super) fn managed_policy(call: &Call<'_>, name: &str) -> Result<ResourceFacts, ApiError> {
    let name = policy_name(name)?;
    let found = call.directory.managed_policy(call.account(), &name);
    let tags = found.map(|policy| policy.tags.clone()).unwrap_or_default();
    let name = found.map_or(name.to_string(), |policy| policy.name.to_string());
    Ok(named(call, NamedKind::ManagedPolicy, name, tags))
}

/// The provider of that issuer, given without `https://`.
pub(super) fn provider(call: &Call<'_>, issuer: &str) -> ResourceFacts {
    let found = call.directory.oidc_provider(call.account(), issuer);
    let tags = found.map(|provider| provider.tags.clone()).unwrap_or_default();
    named(call, NamedKind::OidcProvider, issuer.to_owned(), tags)
}

/// The device of that name, or of the serial number that it is part of.
pub(super) fn device(call: &Call<'_>, name: &str) -> Result<ResourceFacts, ApiError> {
    let prefix = format!("arn:aws:iam::{}:mfa/", call.account());
    let name = policy_name(name.strip_prefix(&prefix).unwrap_or(name)).map_err(|_| {
        let shown = escape_for_people(name.as_bytes(), 200);
        ApiError::validation(format!("`{shown}` is no device: `{prefix}NAME` is expected"))
    })?;
    let found = call.directory.mfa_devices(call.account()).find(|device| device.name.folded() == name.folded());
    let name = found.map_or(name.to_string(), |device| device.name.to_string());
    Ok(named(call, NamedKind::MfaDevice, name, Tags::new()))
}

fn named(call: &Call<'_>, kind: NamedKind, name: String, tags: Tags) -> ResourceFacts {
    ResourceFacts::Named(NamedFacts { kind, account: call.account().clone(), name: vec![name], tags })
}
