//! STS: who am I, temporary credentials, roles. Shapes and limits: AWS, API reference of STS, version 2011-06-15.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::codec::Timestamp;
use super::error::ApiError;
use super::iam_ids::{role_id, user_id};
use super::operation::{Call, NotRegistered, Operations};
use super::service::Service;
use crate::identity::{Principal, TemporaryCredentials};
use crate::names::{AccountId, PolicyName, PrincipalName, escape_for_people};
use crate::operations::authorize::Weight;
use crate::operations::lockgate::Lockgate;
use crate::operations::sessions::{AssumedRole, RoleRequest};
use crate::policy::ResourceFacts;
use secrecy::ExposeSecret;

/// Adds the operations.
pub fn register(all: &mut Operations) -> Result<(), NotRegistered> {
    let sts = Service::Sts;
    all.add_deciding(sts, "GetCallerIdentity", "whoever has a valid key may know whose it is", get_caller_identity)?;
    all.add_deciding(sts, "AssumeRole", "asks sts:AssumeRole with the request's context", assume_role)?;
    let by_token = "asks sts:AssumeRoleWithWebIdentity for the one whom the token is about";
    all.add_deciding(sts, BY_TOKEN, by_token, |call, input| {
        assume_role_with_web_identity(call.host, call.ctx.source, input)
    })?;
    all.add_deciding(sts, "GetSessionToken", "asks sts:GetSessionToken of users alone", get_session_token)?;
    all.add_deciding(
        sts,
        "GetAccessKeyInfo",
        "an account's number is no secret to those with a key",
        get_access_key_info,
    )?;
    all.add(
        sts,
        "DecodeAuthorizationMessage",
        "lockgate:ReadDecision",
        Weight::Read,
        |call, _: &DecodeInput| Ok(ResourceFacts::Account(call.account().clone())),
        decode_authorization_message,
    )
}

#[derive(Deserialize)]
struct Nothing {}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct CallerIdentity {
    user_id: String,
    account: String,
    arn: String,
}

fn get_caller_identity(call: &Call<'_>, _: Nothing) -> Result<CallerIdentity, ApiError> {
    let principal = &call.ctx.principal;
    let user_id = match principal {
        Principal::User(user) => user_id(user.id),
        Principal::Session(session) => format!("{}:{}", role_id(session.role_id), session.session_name),
        Principal::Service(name) => name.clone(),
    };
    Ok(CallerIdentity { user_id, account: principal.account().to_string(), arn: principal.arn() })
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Credentials {
    access_key_id: String,
    secret_access_key: String,
    session_token: String,
    expiration: Timestamp,
}

impl Credentials {
    pub(super) fn of(made: &TemporaryCredentials) -> Credentials {
        Credentials {
            access_key_id: made.access_key_id.clone(),
            secret_access_key: made.secret.expose_secret().to_owned(),
            session_token: made.token.clone(),
            expiration: Timestamp(made.expires_ms),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AssumeRoleInput {
    role_arn: String,
    role_session_name: String,
    duration_seconds: Option<u32>,
    policy: Option<String>,
    #[serde(default)]
    policy_arns: Vec<PolicyArn>,
    #[serde(default)]
    tags: Vec<Tag>,
    #[serde(default)]
    transitive_tag_keys: Vec<String>,
    external_id: Option<String>,
    serial_number: Option<String>,
    token_code: Option<String>,
    source_identity: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct PolicyArn {
    arn: String,
}

/// A tag as IAM and STS write it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Tag {
    pub(super) key: String,
    pub(super) value: String,
}

/// Tags as a map; a key that is given twice is an error.
pub(super) fn tags_of(tags: Vec<Tag>) -> Result<BTreeMap<String, String>, ApiError> {
    let mut map = BTreeMap::new();
    for tag in tags {
        let shown = escape_for_people(tag.key.as_bytes(), 40);
        if map.insert(tag.key, tag.value).is_some() {
            return Err(ApiError::client("InvalidInput", 400, format!("the tag `{shown}` is given twice")));
        }
    }
    Ok(map)
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct AssumeRoleOutput {
    credentials: Credentials,
    assumed_role_user: AssumedRoleUser,
    packed_policy_size: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_identity: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct AssumedRoleUser {
    assumed_role_id: String,
    arn: String,
}

impl AssumedRoleUser {
    fn of(taken: &AssumedRole) -> AssumedRoleUser {
        AssumedRoleUser {
            assumed_role_id: format!("{}:{}", role_id(taken.role.id), taken.session.session_name),
            arn: Principal::Session(Box::new(taken.session.clone())).arn(),
        }
    }
}

fn assume_role(call: &Call<'_>, input: AssumeRoleInput) -> Result<AssumeRoleOutput, ApiError> {
    let (account, role) = parse_role_arn(&input.role_arn)?;
    let managed = input.policy_arns.iter().map(|policy| parse_policy_arn(&policy.arn, &account));
    let one_time_code = match (input.serial_number, input.token_code) {
        (Some(serial), Some(code)) => Some((serial, code)),
        (None, None) => None,
        _ => return Err(ApiError::validation("SerialNumber and TokenCode come together")),
    };
    let request = RoleRequest {
        managed_policies: managed.collect::<Result<_, _>>()?,
        account,
        role,
        session_name: session_name("roleSessionName", &input.role_session_name)?,
        duration_seconds: input.duration_seconds,
        policy: input.policy,
        tags: tags_of(input.tags)?,
        transitive_tags: input.transitive_tag_keys.into_iter().collect::<BTreeSet<_>>(),
        external_id: input.external_id,
        source_identity: input.source_identity.map(|name| session_name("sourceIdentity", &name)).transpose()?,
        one_time_code,
    };
    let taken = call.host.assume_role(call.ctx, &request);
    let taken = taken.map_err(|error| ApiError::of_session(&call.ctx.principal.arn(), &error))?;
    Ok(AssumeRoleOutput {
        credentials: Credentials::of(&taken.credentials),
        assumed_role_user: AssumedRoleUser::of(&taken),
        packed_policy_size: taken.packed_policy_percent,
        source_identity: taken.session.source_identity.as_ref().map(ToString::to_string),
    })
}

/// The one operation that is not signed: the token says who asks.
pub(super) const BY_TOKEN: &str = "AssumeRoleWithWebIdentity";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct WebIdentityInput {
    role_arn: String,
    role_session_name: String,
    web_identity_token: String,
    provider_id: Option<String>,
    duration_seconds: Option<u32>,
    policy: Option<String>,
    #[serde(default)]
    policy_arns: Vec<PolicyArn>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct WebIdentityOutput {
    credentials: Credentials,
    subject_from_web_identity_token: String,
    assumed_role_user: AssumedRoleUser,
    packed_policy_size: u32,
    provider: String,
    audience: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_identity: Option<String>,
}

/// Whoever calls: the caller counts for nothing, the token for everything.
pub(super) fn assume_role_with_web_identity(
    host: &Lockgate,
    source: Option<IpAddr>,
    input: WebIdentityInput,
) -> Result<WebIdentityOutput, ApiError> {
    if input.provider_id.is_some() {
        return Err(ApiError::validation("ProviderId: tokens of OAuth 2.0 without OpenID Connect are not taken here"));
    }
    let (account, role) = parse_role_arn(&input.role_arn)?;
    let managed = input.policy_arns.iter().map(|policy| parse_policy_arn(&policy.arn, &account));
    let request = RoleRequest {
        managed_policies: managed.collect::<Result<_, _>>()?,
        account,
        role,
        session_name: session_name("roleSessionName", &input.role_session_name)?,
        duration_seconds: input.duration_seconds,
        policy: input.policy,
        tags: BTreeMap::new(),
        transitive_tags: BTreeSet::new(),
        external_id: None,
        source_identity: None,
        one_time_code: None,
    };
    let found = host.assume_role_with_web_identity(source, &request, &input.web_identity_token);
    let found = found.map_err(|error| ApiError::of_session("who comes with the token", &error))?;
    let taken = found.taken;
    Ok(WebIdentityOutput {
        credentials: Credentials::of(&taken.credentials),
        subject_from_web_identity_token: found.subject,
        assumed_role_user: AssumedRoleUser::of(&taken),
        packed_policy_size: taken.packed_policy_percent,
        provider: found.issuer_url,
        audience: found.audience,
        source_identity: taken.session.source_identity.as_ref().map(ToString::to_string),
    })
}

/// `[\w+=,.@-]{2,64}`, as session names and source identities are written. One that begins with a dot or a dash is refused
/// besides: it stands in the ids of entities, where no name begins so.
pub(super) fn session_name(what: &str, name: &str) -> Result<PrincipalName, ApiError> {
    let parsed = PrincipalName::parse(name).ok().filter(|name| name.as_str().len() >= 2);
    parsed.ok_or_else(|| {
        let shown = escape_for_people(name.as_bytes(), 64);
        ApiError::validation(format!(
            "Value '{shown}' at '{what}' is not valid: it has 2 to 64 letters, digits and `_+=,.@-`, and begins with neither dot nor dash"
        ))
    })
}

/// The account and name in `arn:aws:iam::ACCOUNT:role/NAME`.
pub(super) fn parse_role_arn(arn: &str) -> Result<(AccountId, PrincipalName), ApiError> {
    let parse = || {
        let (account, name) = arn.strip_prefix("arn:aws:iam::")?.split_once(":role/")?;
        Some((AccountId::parse(account).ok()?, PrincipalName::parse(name).ok()?))
    };
    parse().ok_or_else(|| {
        let shown = escape_for_people(arn.as_bytes(), 200);
        ApiError::validation(format!("`{shown}` is not the ARN of a role: arn:aws:iam::ACCOUNT:role/NAME"))
    })
}

/// The name in `arn:aws:iam::ACCOUNT:policy/NAME`, which must be of that account.
pub(super) fn parse_policy_arn(arn: &str, account: &AccountId) -> Result<PolicyName, ApiError> {
    let parse = || {
        let (of, name) = arn.strip_prefix("arn:aws:iam::")?.split_once(":policy/")?;
        (of == account.as_str()).then(|| PolicyName::parse(name).ok()).flatten()
    };
    parse().ok_or_else(|| {
        let shown = escape_for_people(arn.as_bytes(), 200);
        let message =
            format!("`{shown}` is not the ARN of a policy of this account: arn:aws:iam::{account}:policy/NAME");
        ApiError::validation(message)
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SessionTokenInput {
    duration_seconds: Option<u32>,
    serial_number: Option<String>,
    token_code: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct SessionTokenOutput {
    credentials: Credentials,
}

fn get_session_token(call: &Call<'_>, input: SessionTokenInput) -> Result<SessionTokenOutput, ApiError> {
    let code = match (input.serial_number, input.token_code) {
        (Some(serial), Some(code)) => Some((serial, code)),
        (None, None) => None,
        _ => return Err(ApiError::validation("SerialNumber and TokenCode come together")),
    };
    let made = call.host.session_token(call.ctx, input.duration_seconds, code.as_ref());
    let made = made.map_err(|error| ApiError::of_session(&call.ctx.principal.arn(), &error))?;
    Ok(SessionTokenOutput { credentials: Credentials::of(&made) })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AccessKeyInfoInput {
    access_key_id: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct AccessKeyInfoOutput {
    account: String,
}

fn get_access_key_info(call: &Call<'_>, input: AccessKeyInfoInput) -> Result<AccessKeyInfoOutput, ApiError> {
    match call.directory.account_of_access_key(&input.access_key_id) {
        Some(account) => Ok(AccessKeyInfoOutput { account: account.to_string() }),
        None => {
            let shown = escape_for_people(input.access_key_id.as_bytes(), 32);
            Err(ApiError::validation(format!("there is no access key `{shown}`; temporary ones are not kept")))
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DecodeInput {
    encoded_message: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct DecodeOutput {
    decoded_message: String,
}

/// The message is the decision's id, as refusals name it.
fn decode_authorization_message(call: &Call<'_>, input: DecodeInput) -> Result<DecodeOutput, ApiError> {
    let id = input.encoded_message.trim();
    let invalid = || {
        let shown = escape_for_people(id.as_bytes(), 64);
        let message = format!("`{shown}` is no decision of this account: take the id that the refusal names");
        ApiError::client("InvalidAuthorizationMessageException", 400, message)
    };
    let id = uuid::Uuid::parse_str(id).map_err(|_| invalid())?;
    let explained = call.host.explain_decision(id, call.account()).map_err(|error| ApiError::internal(&*error))?;
    Ok(DecodeOutput { decoded_message: explained.ok_or_else(invalid)? })
}
