//! Tags, as users, roles, policies and providers have them: how many, of which form, and how they are listed.

use std::collections::BTreeMap;

use serde::Serialize;

use super::super::error::ApiError;
use super::super::sts::{Tag, tags_of};
use super::{PageEnd, Paging};

/// Most tags of one thing.
pub(super) const MAX_TAGS: usize = 50;

/// Tags as lists show them.
pub(super) fn tags(tags: &BTreeMap<String, String>) -> Vec<Tag> {
    tags.iter().map(|(key, value)| Tag { key: key.clone(), value: value.clone() }).collect()
}

/// Tags with `more` put over them.
pub(super) fn with_more_tags(
    tags: &BTreeMap<String, String>,
    more: Vec<Tag>,
) -> Result<BTreeMap<String, String>, ApiError> {
    let mut tags = tags.clone();
    for (key, value) in tags_of(more)? {
        if !(1..=128).contains(&key.chars().count()) || value.chars().count() > 256 || key.starts_with("aws:") {
            let message = "tag keys have 1 to 128 characters and do not begin with `aws:`, values have up to 256";
            return Err(ApiError::client("InvalidInput", 400, message));
        }
        tags.insert(key, value);
    }
    match tags.len() > MAX_TAGS {
        true => Err(ApiError::client("LimitExceeded", 409, format!("there are at most {MAX_TAGS} tags"))),
        false => Ok(tags),
    }
}

/// A part of tags, in the order of their keys.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TagPage {
    tags: Vec<Tag>,
    #[serde(flatten)]
    end: PageEnd,
}

impl TagPage {
    pub(super) fn of(map: &BTreeMap<String, String>, paging: &Paging) -> Result<TagPage, ApiError> {
        let (tags, end) = paging.page(tags(map).into_iter(), |tag| tag.key.clone())?.split();
        Ok(TagPage { tags, end })
    }
}

/// All tags at once, where there are few.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Tags {
    tags: Vec<Tag>,
    is_truncated: bool,
}

impl Tags {
    pub(super) fn of(map: &BTreeMap<String, String>) -> Tags {
        Tags { tags: tags(map), is_truncated: false }
    }
}
