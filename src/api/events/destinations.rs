//! Connections and API destinations: webhooks that an account sets up by itself. A connection whose API key is called
//! `webhook-signature` signs bodies with it (Standard Webhooks), and never sends it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::super::codec::Timestamp;
use super::super::error::ApiError;
use super::super::operation::{Call, NotRegistered, Operations};
use super::super::service::Service::Events;
use super::{Nothing, arn, invalid, name_of, of_account, of_failure, page, store_facts, time};
use crate::events::bus::{ApiConnection, ApiDestination, Authorization, HttpParameters};
use crate::names::escape_for_people;
use crate::operations::authorize::Weight::{Read, Write};
use crate::operations::events::settings::{NewConnection, NewDestination};
use crate::policy::ResourceFacts;

pub(super) fn register(all: &mut Operations) -> Result<(), NotRegistered> {
    all.add(Events, "CreateConnection", "events:CreateConnection", Write, of_connection, create)?;
    all.add(Events, "UpdateConnection", "events:UpdateConnection", Write, of_connection, update)?;
    all.add(Events, "DeauthorizeConnection", "events:DeauthorizeConnection", Write, of_connection, deauthorize)?;
    all.add(Events, "DeleteConnection", "events:DeleteConnection", Write, of_connection, delete)?;
    all.add(Events, "DescribeConnection", "events:DescribeConnection", Read, of_connection, describe)?;
    all.add(Events, "ListConnections", "events:ListConnections", Read, of_account, list)?;
    all.add(Events, "CreateApiDestination", "events:CreateApiDestination", Write, of_api, create_api)?;
    all.add(Events, "UpdateApiDestination", "events:UpdateApiDestination", Write, of_api, update_api)?;
    all.add(Events, "DeleteApiDestination", "events:DeleteApiDestination", Write, of_api, delete_api)?;
    all.add(Events, "DescribeApiDestination", "events:DescribeApiDestination", Read, of_api, describe_api)?;
    all.add(Events, "ListApiDestinations", "events:ListApiDestinations", Read, of_account, list_apis)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ConnectionIn {
    name: Option<String>,
    description: Option<String>,
    authorization_type: Option<String>,
    auth_parameters: Option<AuthIn>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AuthIn {
    basic_auth_parameters: Option<BasicIn>,
    api_key_auth_parameters: Option<ApiKeyIn>,
    invocation_http_parameters: Option<HttpIn>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct BasicIn {
    #[serde(default)]
    username: String,
    #[serde(default)]
    password: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ApiKeyIn {
    #[serde(default)]
    api_key_name: String,
    #[serde(default)]
    api_key_value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HttpIn {
    #[serde(default)]
    header_parameters: Vec<Pair>,
    #[serde(default)]
    query_string_parameters: Vec<Pair>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Pair {
    #[serde(default)]
    key: String,
    #[serde(default)]
    value: String,
}

impl ConnectionIn {
    fn name(&self) -> Result<String, ApiError> {
        name_of("Name", self.name.as_deref(), 64, false)
    }

    /// What is said of the connection, checked.
    fn checked(self) -> Result<NewConnection, ApiError> {
        let mut new = NewConnection { name: self.name()?, description: self.description, ..Default::default() };
        let bad = |why: &str| invalid(format!("Parameter AuthParameters is not valid. Reason: {why}"));
        let Some(parameters) = self.auth_parameters else { return Ok(new) };
        new.authorization = match (
            self.authorization_type.as_deref(),
            parameters.basic_auth_parameters,
            parameters.api_key_auth_parameters,
        ) {
            (Some("BASIC") | None, Some(basic), None) => {
                Some(Authorization::Basic { user: basic.username, password: basic.password })
            }
            (Some("API_KEY") | None, None, Some(key)) => {
                if !is_header(&key.api_key_name) || key.api_key_value.is_empty() {
                    return Err(bad("an API key is the name of a header and a value."));
                }
                Some(Authorization::ApiKey { name: key.api_key_name, value: key.api_key_value })
            }
            (None, None, None) => None,
            _ => return Err(bad("AuthorizationType is API_KEY or BASIC, with the parameters of that type alone.")),
        };
        if let Some(http) = parameters.invocation_http_parameters {
            let of = |pairs: Vec<Pair>| pairs.into_iter().map(|pair| (pair.key, pair.value)).collect();
            let header_parameters: BTreeMap<String, String> = of(http.header_parameters);
            if let Some(name) = header_parameters.keys().find(|name| !is_header(name)) {
                let shown = escape_for_people(name.as_bytes(), 100);
                return Err(bad(&format!("`{shown}` is no name of a header.")));
            }
            let query_string_parameters = of(http.query_string_parameters);
            new.http = Some(HttpParameters { header_parameters, query_string_parameters, ..Default::default() });
        }
        Ok(new)
    }
}

/// RFC 9110, 5.6.2; what decides where a request goes and how long it is, is no one's to set.
fn is_header(name: &str) -> bool {
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    let reserved = ["host", "content-length", "transfer-encoding", "connection"];
    !name.is_empty() && name.chars().all(is_token) && !reserved.contains(&name.to_ascii_lowercase().as_str())
}

fn of_connection(call: &Call<'_>, input: &ConnectionIn) -> Result<ResourceFacts, ApiError> {
    Ok(store_facts(call, "connection", &input.name()?))
}

fn connection_arn(call: &Call<'_>, connection: &ApiConnection) -> String {
    arn(call, &format!("connection/{}/{}", connection.name, connection.id))
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ConnectionState {
    connection_arn: String,
    connection_state: &'static str,
    creation_time: Timestamp,
    last_modified_time: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_authorized_time: Option<Timestamp>,
}

fn state_of(call: &Call<'_>, connection: &ApiConnection) -> ConnectionState {
    ConnectionState {
        connection_arn: connection_arn(call, connection),
        connection_state: state_word(connection),
        creation_time: time(connection.created_ms),
        last_modified_time: time(connection.changed_ms),
        last_authorized_time: Some(time(connection.authorized_ms)),
    }
}

fn state_word(connection: &ApiConnection) -> &'static str {
    if connection.authorization.is_some() { "AUTHORIZED" } else { "DEAUTHORIZED" }
}

fn create(call: &Call<'_>, input: ConnectionIn) -> Result<ConnectionState, ApiError> {
    if input.authorization_type.is_none() || input.auth_parameters.is_none() {
        return Err(invalid("AuthorizationType and AuthParameters are required."));
    }
    let made = call.host.put_event_connection(call.account(), &input.checked()?, true).map_err(of_failure)?;
    Ok(ConnectionState { last_authorized_time: None, ..state_of(call, &made) })
}

fn update(call: &Call<'_>, input: ConnectionIn) -> Result<ConnectionState, ApiError> {
    let made = call.host.put_event_connection(call.account(), &input.checked()?, false).map_err(of_failure)?;
    Ok(state_of(call, &made))
}

fn deauthorize(call: &Call<'_>, input: ConnectionIn) -> Result<ConnectionState, ApiError> {
    let made = call.host.deauthorize_event_connection(call.account(), &input.name()?).map_err(of_failure)?;
    Ok(state_of(call, &made))
}

fn delete(call: &Call<'_>, input: ConnectionIn) -> Result<ConnectionState, ApiError> {
    let gone = call.host.delete_event_connection(call.account(), &input.name()?).map_err(of_failure)?;
    Ok(ConnectionState { connection_state: "DELETING", ..state_of(call, &gone) })
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ConnectionOut {
    #[serde(flatten)]
    state: ConnectionState,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    authorization_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_parameters: Option<AuthOut>,
}

/// Without the secrets.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct AuthOut {
    #[serde(skip_serializing_if = "Option::is_none")]
    basic_auth_parameters: Option<BasicOut>,
    #[serde(skip_serializing_if = "Option::is_none")]
    api_key_auth_parameters: Option<ApiKeyOut>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct BasicOut {
    username: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ApiKeyOut {
    api_key_name: String,
}

fn connection_out(call: &Call<'_>, connection: ApiConnection, with_parameters: bool) -> ConnectionOut {
    let (authorization_type, auth) = match &connection.authorization {
        Some(Authorization::Basic { user, .. }) => {
            let basic = Some(BasicOut { username: user.clone() });
            ("BASIC", Some(AuthOut { basic_auth_parameters: basic, api_key_auth_parameters: None }))
        }
        Some(Authorization::ApiKey { name, .. }) => {
            let key = Some(ApiKeyOut { api_key_name: name.clone() });
            ("API_KEY", Some(AuthOut { basic_auth_parameters: None, api_key_auth_parameters: key }))
        }
        None => ("API_KEY", None),
    };
    ConnectionOut {
        state: state_of(call, &connection),
        name: connection.name,
        description: connection.description.filter(|_| with_parameters),
        authorization_type,
        auth_parameters: auth.filter(|_| with_parameters),
    }
}

fn describe(call: &Call<'_>, input: ConnectionIn) -> Result<ConnectionOut, ApiError> {
    let found = call.host.event_connection(call.account(), &input.name()?).map_err(of_failure)?;
    Ok(connection_out(call, found, true))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct List {
    name_prefix: Option<String>,
    connection_state: Option<String>,
    connection_arn: Option<String>,
    next_token: Option<String>,
    limit: Option<u32>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ListedConnections {
    connections: Vec<ConnectionOut>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

fn list(call: &Call<'_>, input: List) -> Result<ListedConnections, ApiError> {
    let mut all = call.host.event_connections(call.account()).map_err(of_failure)?;
    all.retain(|one| input.connection_state.as_deref().is_none_or(|state| state == state_word(one)));
    let (prefix, token) = (input.name_prefix.as_deref(), input.next_token.as_deref());
    let (all, next_token) = page(all, |one| one.name.clone(), prefix, token, input.limit)?;
    let connections = all.into_iter().map(|one| connection_out(call, one, false)).collect();
    Ok(ListedConnections { connections, next_token })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ApiIn {
    name: Option<String>,
    description: Option<String>,
    connection_arn: Option<String>,
    invocation_endpoint: Option<String>,
    http_method: Option<String>,
    invocation_rate_limit_per_second: Option<u32>,
}

impl ApiIn {
    fn name(&self) -> Result<String, ApiError> {
        name_of("Name", self.name.as_deref(), 64, false)
    }

    fn checked(self, call: &Call<'_>) -> Result<NewDestination, ApiError> {
        let name = self.name()?;
        let connection = match &self.connection_arn {
            None => None,
            Some(given) => {
                let shown = escape_for_people(given.as_bytes(), 200);
                let rest = given.strip_prefix(&arn(call, "connection/")).and_then(|rest| rest.split('/').next());
                Some(rest.map(str::to_owned).ok_or_else(|| {
                    invalid(format!("Parameter ConnectionArn is not valid. Reason: `{shown}` is the ARN of no connection of this account."))
                })?)
            }
        };
        if let Some(url) = &self.invocation_endpoint {
            let is_url = url.starts_with("https://") || url.starts_with("http://");
            // What a target says goes into the path, never into where the secrets of the connection go to.
            let host = url.split('/').nth(2).unwrap_or_default();
            let is_good = is_url && !host.contains('*') && reqwest::Url::parse(&url.replace('*', "x")).is_ok();
            if !is_good || url.len() > 2048 {
                return Err(invalid(
                    "Parameter InvocationEndpoint is not valid. Reason: it is a URL, https://HOST/PATH, with `*` in its path at most.",
                ));
            }
        }
        let methods = ["POST", "GET", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE"];
        if self.http_method.as_deref().is_some_and(|method| !methods.contains(&method)) {
            return Err(invalid(format!(
                "Parameter HttpMethod is not valid. Reason: it is one of {}.",
                methods.join(", ")
            )));
        }
        Ok(NewDestination {
            name,
            description: self.description,
            connection,
            url: self.invocation_endpoint,
            method: self.http_method,
            rate: self.invocation_rate_limit_per_second,
        })
    }
}

fn of_api(call: &Call<'_>, input: &ApiIn) -> Result<ResourceFacts, ApiError> {
    Ok(store_facts(call, "api-destination", &input.name()?))
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ApiState {
    api_destination_arn: String,
    api_destination_state: &'static str,
    creation_time: Timestamp,
    last_modified_time: Timestamp,
}

fn api_state(call: &Call<'_>, api: &ApiDestination) -> ApiState {
    ApiState {
        api_destination_arn: arn(call, &format!("api-destination/{}/{}", api.name, api.id)),
        api_destination_state: "ACTIVE",
        creation_time: time(api.created_ms),
        last_modified_time: time(api.changed_ms),
    }
}

fn create_api(call: &Call<'_>, input: ApiIn) -> Result<ApiState, ApiError> {
    if input.connection_arn.is_none() || input.invocation_endpoint.is_none() || input.http_method.is_none() {
        return Err(invalid("ConnectionArn, InvocationEndpoint and HttpMethod are required."));
    }
    let new = input.checked(call)?;
    Ok(api_state(call, &call.host.put_api_destination(call.account(), &new, true).map_err(of_failure)?))
}

fn update_api(call: &Call<'_>, input: ApiIn) -> Result<ApiState, ApiError> {
    let new = input.checked(call)?;
    Ok(api_state(call, &call.host.put_api_destination(call.account(), &new, false).map_err(of_failure)?))
}

fn delete_api(call: &Call<'_>, input: ApiIn) -> Result<Nothing, ApiError> {
    call.host.delete_api_destination(call.account(), &input.name()?).map_err(of_failure)?;
    Ok(Nothing {})
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ApiOut {
    #[serde(flatten)]
    state: ApiState,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    connection_arn: String,
    invocation_endpoint: String,
    http_method: String,
    invocation_rate_limit_per_second: u32,
}

fn api_out(call: &Call<'_>, api: ApiDestination) -> ApiOut {
    let connection = call.host.event_connection(call.account(), &api.connection);
    ApiOut {
        state: api_state(call, &api),
        name: api.name,
        connection_arn: connection.map(|found| connection_arn(call, &found)).unwrap_or_default(),
        description: api.description,
        invocation_endpoint: api.url,
        http_method: api.method,
        invocation_rate_limit_per_second: api.rate,
    }
}

fn describe_api(call: &Call<'_>, input: ApiIn) -> Result<ApiOut, ApiError> {
    Ok(api_out(call, call.host.api_destination(call.account(), &input.name()?).map_err(of_failure)?))
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ListedApis {
    api_destinations: Vec<ApiOut>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

fn list_apis(call: &Call<'_>, input: List) -> Result<ListedApis, ApiError> {
    let all = call.host.api_destinations(call.account()).map_err(of_failure)?;
    let (prefix, token) = (input.name_prefix.as_deref(), input.next_token.as_deref());
    let (all, next_token) = page(all, |one| one.name.clone(), prefix, token, input.limit)?;
    let mut apis: Vec<ApiOut> = all.into_iter().map(|one| ApiOut { description: None, ..api_out(call, one) }).collect();
    if let Some(connection) = &input.connection_arn {
        apis.retain(|api| api.connection_arn == *connection);
    }
    Ok(ListedApis { api_destinations: apis, next_token })
}
