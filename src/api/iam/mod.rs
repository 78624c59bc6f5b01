//! IAM: users, groups, roles, their credentials and policies. Shapes and limits: AWS, API reference of IAM, version 2010-05-08.
//!
//! Paths are `/` here, and other ones are refused: a name is unique within its account.

mod access_keys;
mod asked;
mod devices;
mod git_credentials;
mod groups;
mod policies;
mod providers;
mod roles;
pub(super) mod signing_keys;
mod simulate;
mod ssh_keys;
mod tags;
mod users;

use serde::{Deserialize, Serialize};

use super::error::ApiError;
use super::operation::{Call, NotRegistered, Operations};
use crate::identity::Principal;
use crate::names::{PolicyName, PrincipalName};

/// Adds the operations.
pub fn register(all: &mut Operations) -> Result<(), NotRegistered> {
    users::register(all)?;
    groups::register(all)?;
    roles::register(all)?;
    policies::register(all)?;
    access_keys::register(all)?;
    git_credentials::register(all)?;
    ssh_keys::register(all)?;
    devices::register(all)?;
    providers::register(all)?;
    simulate::register(all)
}

#[derive(Serialize)]
struct Done {}

/// A name from a request, or the caller's own.
fn user_name(call: &Call<'_>, given: Option<&str>) -> Result<PrincipalName, ApiError> {
    match (given, &call.ctx.principal) {
        (Some(name), _) => principal_name("userName", name),
        (None, Principal::User(user)) => Ok(user.name.clone()),
        (None, _) => Err(ApiError::validation("Must specify userName when calling with non-User credentials")),
    }
}

fn principal_name(what: &str, name: &str) -> Result<PrincipalName, ApiError> {
    PrincipalName::parse(name).map_err(|invalid| ApiError::validation(format!("{what}: {invalid}")))
}

fn policy_name(name: &str) -> Result<PolicyName, ApiError> {
    PolicyName::parse(name).map_err(|invalid| ApiError::validation(format!("policyName: {invalid}")))
}

/// `/` is the only path.
fn check_path(path: Option<&str>) -> Result<(), ApiError> {
    match path {
        None | Some("/") => Ok(()),
        Some(_) => Err(ApiError::validation("Path: names have no path here, leave it out or write `/`")),
    }
}

/// Where a list goes on, and how long it may be.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Paging {
    marker: Option<String>,
    /// A text, since what is flattened into other parameters is not read as a number.
    max_items: Option<String>,
    path_prefix: Option<String>,
}

/// A part of a list.
struct Page<T> {
    items: Vec<T>,
    /// Whether there is more, and where it begins.
    marker: Option<String>,
}

const DEFAULT_ITEMS: u32 = 100;
const MAX_ITEMS: u32 = 1000;

impl Paging {
    /// The part that is asked for of `all`, which come in the order of `key`; keys are unique.
    fn page<T>(&self, all: impl Iterator<Item = T>, key: impl Fn(&T) -> String) -> Result<Page<T>, ApiError> {
        let max_items =
            match &self.max_items {
                None => DEFAULT_ITEMS,
                Some(text) => text.parse().ok().filter(|number| (1..=MAX_ITEMS).contains(number)).ok_or_else(|| {
                    ApiError::validation(format!("maxItems: it is a number between 1 and {MAX_ITEMS}"))
                })?,
            };
        // Nothing lies under another path.
        let is_here = self.path_prefix.as_deref().is_none_or(|prefix| prefix == "/");
        let marker = self.marker.as_deref();
        let mut rest = all.filter(|item| is_here && marker.is_none_or(|marker| key(item).as_str() > marker));
        let items: Vec<T> = rest.by_ref().take(max_items as usize).collect();
        let marker = rest.next().and_then(|_| items.last().map(&key));
        Ok(Page { items, marker })
    }
}

/// `IsTruncated` and `Marker` of a list's answer.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct PageEnd {
    is_truncated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    marker: Option<String>,
}

impl<T> Page<T> {
    fn split(self) -> (Vec<T>, PageEnd) {
        (self.items, PageEnd { is_truncated: self.marker.is_some(), marker: self.marker })
    }
}
