//! Identity providers whose tokens are taken for roles that trust them.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::super::codec::Timestamp;
use super::super::error::ApiError;
use super::super::operation::{Call, NotRegistered, Operations};
use super::super::service::Service;
use super::super::sts::Tag;
use super::asked::{self, asked, of_account, of_provider};
use super::tags::{TagPage, tags, with_more_tags};
use super::{Done, Paging};
use crate::identity::{OidcProvider, OidcProviderChange};
use crate::names::escape_for_people;
use crate::operations::authorize::Weight::{Read, Write};

pub(super) fn register(all: &mut Operations) -> Result<(), NotRegistered> {
    let iam = Service::Iam;
    all.add(
        iam,
        "CreateOpenIDConnectProvider",
        "iam:CreateOpenIDConnectProvider",
        Write,
        |call, input: &Create| asked::with_tags(asked::provider(call, &issuer_of(&input.url)?), &input.tags),
        create,
    )?;
    all.add(iam, "GetOpenIDConnectProvider", "iam:GetOpenIDConnectProvider", Read, of_provider, get)?;
    all.add(iam, "ListOpenIDConnectProviders", "iam:ListOpenIDConnectProviders", Read, of_account, list)?;
    all.add(iam, "DeleteOpenIDConnectProvider", "iam:DeleteOpenIDConnectProvider", Write, of_provider, delete)?;
    let add = "AddClientIDToOpenIDConnectProvider";
    all.add(iam, add, "iam:AddClientIDToOpenIDConnectProvider", Write, of_provider, add_client_id)?;
    let remove = "RemoveClientIDFromOpenIDConnectProvider";
    all.add(iam, remove, "iam:RemoveClientIDFromOpenIDConnectProvider", Write, of_provider, remove_client_id)?;
    let thumbprints = "UpdateOpenIDConnectProviderThumbprint";
    all.add(iam, thumbprints, "iam:UpdateOpenIDConnectProviderThumbprint", Write, of_provider, set_thumbprints)?;
    all.add(
        iam,
        "TagOpenIDConnectProvider",
        "iam:TagOpenIDConnectProvider",
        Write,
        |call, input: &TagProvider| asked::with_tags(of_provider(call, input)?, &input.tags),
        tag,
    )?;
    all.add(
        iam,
        "UntagOpenIDConnectProvider",
        "iam:UntagOpenIDConnectProvider",
        Write,
        |call, input: &UntagProvider| asked::without_tags(of_provider(call, input)?, &input.tag_keys),
        untag,
    )?;
    all.add(iam, "ListOpenIDConnectProviderTags", "iam:ListOpenIDConnectProviderTags", Read, of_provider, list_tags)
}

asked!(provider: Named, ClientId, Thumbprints, TagProvider, UntagProvider, ListTags);

/// `https://HOST[:PORT][/PATH]` without its beginning and a slash at the end; nothing that a URL could hold besides.
fn issuer_of(url: &str) -> Result<String, ApiError> {
    let fits = |rest: &str| {
        let rest = rest.trim_end_matches('/');
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~/:".contains(&b);
        let host = rest.split('/').next().unwrap_or_default();
        let is_whole = (1..=255).contains(&rest.len())
            && rest.bytes().all(is_plain)
            && host.contains(|c: char| c.is_alphanumeric());
        (is_whole && !rest.contains("//")).then(|| rest.to_owned())
    };
    url.strip_prefix("https://").and_then(fits).ok_or_else(|| {
        let shown = escape_for_people(url.as_bytes(), 200);
        ApiError::client("InvalidInput", 400, format!("Url `{shown}` is not `https://HOST/PATH` without a query"))
    })
}

fn find(call: &Call<'_>, arn: &str) -> Result<OidcProvider, ApiError> {
    let prefix = format!("arn:aws:iam::{}:oidc-provider/", call.account());
    let found = arn.strip_prefix(&prefix).and_then(|issuer| call.directory.oidc_provider(call.account(), issuer));
    found.cloned().ok_or_else(|| {
        let shown = escape_for_people(arn.as_bytes(), 200);
        ApiError::client("NoSuchEntity", 404, format!("OpenIDConnect Provider not found for arn {shown}"))
    })
}

fn check_client_id(id: &str) -> Result<(), ApiError> {
    match (1..=255).contains(&id.chars().count()) {
        true => Ok(()),
        false => Err(ApiError::validation("ClientID: client ids have 1 to 255 characters")),
    }
}

fn check_thumbprints(all: &[String]) -> Result<(), ApiError> {
    let is_one = |print: &String| print.len() == 40 && print.bytes().all(|byte| byte.is_ascii_hexdigit());
    match all.len() <= 5 && all.iter().all(is_one) {
        true => Ok(()),
        false => Err(ApiError::validation("ThumbprintList: there are up to 5, of 40 hexadecimal digits each")),
    }
}

#[derive(Deserialize)]
struct Create {
    #[serde(rename = "Url")]
    url: String,
    #[serde(rename = "ClientIDList", default)]
    client_ids: Vec<String>,
    #[serde(rename = "ThumbprintList", default)]
    thumbprints: Vec<String>,
    #[serde(rename = "Tags", default)]
    tags: Vec<Tag>,
}

#[derive(Serialize)]
struct Created {
    #[serde(rename = "OpenIDConnectProviderArn")]
    arn: String,
    #[serde(rename = "Tags")]
    tags: Vec<Tag>,
}

fn create(call: &Call<'_>, input: Create) -> Result<Created, ApiError> {
    let issuer = issuer_of(&input.url)?;
    input.client_ids.iter().try_for_each(|id| check_client_id(id))?;
    check_thumbprints(&input.thumbprints)?;
    let new_tags = with_more_tags(&BTreeMap::new(), input.tags)?;
    let client_ids: BTreeSet<String> = input.client_ids.into_iter().collect();
    let made =
        call.host.identity().create_oidc_provider(call.account(), &issuer, client_ids, input.thumbprints, new_tags);
    let provider = call.wait(made)?;
    Ok(Created { arn: provider.arn(), tags: tags(&provider.tags) })
}

#[derive(Deserialize)]
struct Named {
    #[serde(rename = "OpenIDConnectProviderArn")]
    arn: String,
}

#[derive(Serialize)]
struct Shape {
    #[serde(rename = "Url")]
    url: String,
    #[serde(rename = "ClientIDList")]
    client_ids: Vec<String>,
    #[serde(rename = "ThumbprintList")]
    thumbprints: Vec<String>,
    #[serde(rename = "CreateDate")]
    created: Timestamp,
    #[serde(rename = "Tags")]
    tags: Vec<Tag>,
}

fn get(call: &Call<'_>, input: Named) -> Result<Shape, ApiError> {
    let provider = find(call, &input.arn)?;
    Ok(Shape {
        url: provider.issuer.clone(),
        client_ids: provider.client_ids.iter().cloned().collect(),
        thumbprints: provider.thumbprints.clone(),
        created: Timestamp(provider.created_ms),
        tags: tags(&provider.tags),
    })
}

#[derive(Deserialize)]
struct Nothing {}

#[derive(Serialize)]
struct Listed {
    #[serde(rename = "Arn")]
    arn: String,
}

#[derive(Serialize)]
struct All {
    #[serde(rename = "OpenIDConnectProviderList")]
    providers: Vec<Listed>,
}

fn list(call: &Call<'_>, _: Nothing) -> Result<All, ApiError> {
    let providers = call.directory.oidc_providers(call.account()).map(|provider| Listed { arn: provider.arn() });
    Ok(All { providers: providers.collect() })
}

fn delete(call: &Call<'_>, input: Named) -> Result<Done, ApiError> {
    let provider = find(call, &input.arn)?;
    call.wait(call.host.identity().delete_oidc_provider(call.account(), &provider.issuer))?;
    Ok(Done {})
}

fn change(call: &Call<'_>, provider: &OidcProvider, change: OidcProviderChange) -> Result<Done, ApiError> {
    call.wait(call.host.identity().change_oidc_provider(call.account(), &provider.issuer, change))?;
    Ok(Done {})
}

#[derive(Deserialize)]
struct ClientId {
    #[serde(rename = "OpenIDConnectProviderArn")]
    arn: String,
    #[serde(rename = "ClientID")]
    client_id: String,
}

fn add_client_id(call: &Call<'_>, input: ClientId) -> Result<Done, ApiError> {
    check_client_id(&input.client_id)?;
    change(call, &find(call, &input.arn)?, OidcProviderChange::AddClientId(input.client_id))
}

fn remove_client_id(call: &Call<'_>, input: ClientId) -> Result<Done, ApiError> {
    change(call, &find(call, &input.arn)?, OidcProviderChange::RemoveClientId(input.client_id))
}

#[derive(Deserialize)]
struct Thumbprints {
    #[serde(rename = "OpenIDConnectProviderArn")]
    arn: String,
    #[serde(rename = "ThumbprintList", default)]
    thumbprints: Vec<String>,
}

fn set_thumbprints(call: &Call<'_>, input: Thumbprints) -> Result<Done, ApiError> {
    check_thumbprints(&input.thumbprints)?;
    change(call, &find(call, &input.arn)?, OidcProviderChange::Thumbprints(input.thumbprints))
}

#[derive(Deserialize)]
struct TagProvider {
    #[serde(rename = "OpenIDConnectProviderArn")]
    arn: String,
    #[serde(rename = "Tags", default)]
    tags: Vec<Tag>,
}

fn tag(call: &Call<'_>, input: TagProvider) -> Result<Done, ApiError> {
    let provider = find(call, &input.arn)?;
    let tags = with_more_tags(&provider.tags, input.tags)?;
    change(call, &provider, OidcProviderChange::Tags(tags))
}

#[derive(Deserialize)]
struct UntagProvider {
    #[serde(rename = "OpenIDConnectProviderArn")]
    arn: String,
    #[serde(rename = "TagKeys", default)]
    tag_keys: Vec<String>,
}

fn untag(call: &Call<'_>, input: UntagProvider) -> Result<Done, ApiError> {
    let provider = find(call, &input.arn)?;
    let mut tags = provider.tags.clone();
    tags.retain(|key, _| !input.tag_keys.contains(key));
    change(call, &provider, OidcProviderChange::Tags(tags))
}

#[derive(Deserialize)]
struct ListTags {
    #[serde(rename = "OpenIDConnectProviderArn")]
    arn: String,
    #[serde(flatten)]
    paging: Paging,
}

fn list_tags(call: &Call<'_>, input: ListTags) -> Result<TagPage, ApiError> {
    TagPage::of(&find(call, &input.arn)?.tags, &input.paging)
}
