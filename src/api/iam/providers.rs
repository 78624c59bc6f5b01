//! Identity providers whose tokens are taken for roles that trust them.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::super::codec::Timestamp;
use super::super::error::ApiError;
use super::super::operation::{Call, NotRegistered, Operations};
use super::super::service::Service;
use super::super::sts::Tag;
use super::Done;
use super::asked::{self, of_account};
use super::users::{tags, with_more_tags};
use crate::identity::OidcProvider;
use crate::names::escape_for_people;
use crate::operations::authorize::Weight::{Read, Write};
use crate::policy::ResourceFacts;

pub(super) fn register(all: &mut Operations) -> Result<(), NotRegistered> {
    let iam = Service::Iam;
    all.add(
        iam,
        "CreateOpenIDConnectProvider",
        "iam:CreateOpenIDConnectProvider",
        Write,
        |call, input: &Create| Ok(asked::provider(call, &issuer_of(&input.url)?)),
        create,
    )?;
    all.add(iam, "GetOpenIDConnectProvider", "iam:GetOpenIDConnectProvider", Read, of_provider, get)?;
    all.add(iam, "ListOpenIDConnectProviders", "iam:ListOpenIDConnectProviders", Read, of_account, list)?;
    all.add(iam, "DeleteOpenIDConnectProvider", "iam:DeleteOpenIDConnectProvider", Write, of_provider, delete)
}

fn of_provider(call: &Call<'_>, input: &Named) -> Result<ResourceFacts, ApiError> {
    let prefix = format!("arn:aws:iam::{}:oidc-provider/", call.account());
    match input.arn.strip_prefix(&prefix).filter(|issuer| (1..=255).contains(&issuer.len())) {
        Some(issuer) => Ok(asked::provider(call, issuer)),
        None => Err(ApiError::validation(format!("OpenIDConnectProviderArn: `{prefix}HOST` is expected"))),
    }
}

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
    if input.client_ids.iter().any(|id| id.is_empty() || id.len() > 255) {
        return Err(ApiError::validation("ClientIDList: client ids have 1 to 255 characters"));
    }
    if input.thumbprints.len() > 5 || input.thumbprints.iter().any(|print| print.len() != 40) {
        return Err(ApiError::validation("ThumbprintList: there are up to 5, of 40 hexadecimal digits each"));
    }
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
