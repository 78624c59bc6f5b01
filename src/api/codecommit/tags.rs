//! Tags of repositories, by the repository's ARN.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::super::error::ApiError;
use super::super::operation::{Call, NotRegistered, Operations};
use super::super::service::Service::CodeCommit;
use super::{Done, find, named, of_identity};
use crate::names::escape_for_people;
use crate::operations::authorize::Weight::{Read, Write};
use crate::policy::ResourceFacts;

pub(super) fn register(all: &mut Operations) -> Result<(), NotRegistered> {
    all.add(CodeCommit, "TagResource", "codecommit:TagResource", Write, |call, input: &Tag| of(call, &input.arn), tag)?;
    let of_untag = |call: &Call<'_>, input: &Untag| of(call, &input.arn);
    all.add(CodeCommit, "UntagResource", "codecommit:UntagResource", Write, of_untag, untag)?;
    let of_list = |call: &Call<'_>, input: &List| of(call, &input.arn);
    all.add(CodeCommit, "ListTagsForResource", "codecommit:ListTagsForResource", Read, of_list, list)
}

/// The repository of an ARN of the caller's own account and this server's region.
fn of(call: &Call<'_>, arn: &str) -> Result<ResourceFacts, ApiError> {
    named(call, name_of(call, arn)?)
}

fn name_of<'a>(call: &Call<'_>, arn: &'a str) -> Result<&'a str, ApiError> {
    if arn.is_empty() {
        return Err(ApiError::client("ResourceArnRequiredException", 400, "a resource ARN is required"));
    }
    let prefix = format!("arn:aws:codecommit:{}:{}:", call.host.identity().region(), call.account());
    arn.strip_prefix(&prefix).ok_or_else(|| {
        let shown = escape_for_people(arn.as_bytes(), 200);
        let message = format!("`{shown}` is no repository of yours: `{prefix}NAME` is expected");
        ApiError::client("InvalidResourceArnException", 400, message)
    })
}

const MAX_TAGS: usize = 50;

/// Whether these may be a repository's tags.
pub(super) fn check(tags: &BTreeMap<String, String>) -> Result<(), ApiError> {
    if tags.len() > MAX_TAGS {
        let message = format!("a repository has at most {MAX_TAGS} tags");
        return Err(ApiError::client("TooManyTagsException", 400, message));
    }
    for (key, value) in tags {
        if key.is_empty() || key.chars().count() > 128 {
            return Err(ApiError::client("InvalidTagsMapException", 400, "a tag's key has 1 to 128 characters"));
        }
        if value.chars().count() > 256 {
            return Err(ApiError::client("InvalidTagsMapException", 400, "a tag's value has up to 256 characters"));
        }
        if key.to_ascii_lowercase().starts_with("aws:") {
            let message = "keys that begin with `aws:` are AWS's own";
            return Err(ApiError::client("InvalidSystemTagUsageException", 400, message));
        }
    }
    Ok(())
}

#[derive(Deserialize)]
struct Tag {
    #[serde(rename = "resourceArn", default)]
    arn: String,
    tags: Option<BTreeMap<String, String>>,
}

fn tag(call: &Call<'_>, input: Tag) -> Result<Done, ApiError> {
    let record = find(call, name_of(call, &input.arn)?)?;
    let new = input.tags.ok_or_else(|| ApiError::client("TagsMapRequiredException", 400, "tags are required"))?;
    let mut tags = record.tags.clone();
    tags.extend(new);
    check(&tags)?;
    let changed = call.host.identity().set_repository_tags(&record.account, &record.name, tags);
    call.host.store().wait(changed).map_err(of_identity)?;
    Ok(Done {})
}

#[derive(Deserialize)]
struct Untag {
    #[serde(rename = "resourceArn", default)]
    arn: String,
    #[serde(rename = "tagKeys")]
    keys: Option<Vec<String>>,
}

fn untag(call: &Call<'_>, input: Untag) -> Result<Done, ApiError> {
    let record = find(call, name_of(call, &input.arn)?)?;
    let message = "tag keys are required";
    let keys = input.keys.ok_or_else(|| ApiError::client("TagKeysListRequiredException", 400, message))?;
    let mut tags = record.tags.clone();
    tags.retain(|key, _| !keys.contains(key));
    let changed = call.host.identity().set_repository_tags(&record.account, &record.name, tags);
    call.host.store().wait(changed).map_err(of_identity)?;
    Ok(Done {})
}

#[derive(Deserialize)]
struct List {
    #[serde(rename = "resourceArn", default)]
    arn: String,
}

#[derive(Serialize)]
struct Listed {
    tags: BTreeMap<String, String>,
}

/// All at once: there are at most fifty.
fn list(call: &Call<'_>, input: List) -> Result<Listed, ApiError> {
    let record = find(call, name_of(call, &input.arn)?)?;
    Ok(Listed { tags: record.tags })
}
