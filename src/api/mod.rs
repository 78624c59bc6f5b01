//! The AWS wire: signed requests in, answers in each service's protocol out.
//!
//! A request is looked at in two steps, so that a stranger's body is not read, but for a short form that may hold a provider's token: [`Api::begin`] finds out from its head whose key
//! is said to have signed, [`Begun::finish`] takes the body, checks the signature and calls the operation. Which service is meant is
//! said by the signature's scope; where there is none, by nothing, and the request is refused.
//!
//! INVARIANT: nothing here touches a record. Operations ask [`crate::operations`] and [`crate::identity`], after policies have been
//! asked.

pub mod codec;
mod codecommit;
mod deliveries;
pub mod error;
mod events;
mod iam;
mod iam_ids;
mod lockgate;
pub mod operation;
pub mod service;
mod sts;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use secrecy::SecretString;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use codec::{Output, Parameters, Protocol, Written, read_json, read_query};
use error::ApiError;
use operation::{Call, Operations};
use service::Service;

use crate::identity::{Principal, TokenFailure};
use crate::operations::last_used::LastUse;
use crate::operations::lockgate::Lockgate;
use crate::operations::{ApiAnswer, ApiCall, ApiHead, ApiService, OpContext, Transport};
use crate::sigv4::{Head, Presented, SignatureError, SigningKeys};

/// All services' operations, behind one address.
pub struct Api {
    host: Lockgate,
    operations: Operations,
    keys: Arc<SigningKeys>,
}

/// Longest body of a request.
const MAX_BODY_BYTES: usize = 1 << 20;

/// Longest body of a request to CodeCommit, which takes files: 7 MB of content as base64, and what belongs to it.
const MAX_FILES_BODY_BYTES: usize = 11 << 20;

/// Longest form that nobody has signed: a token of 20,000 bytes, and what belongs to it.
const MAX_UNSIGNED_BYTES: usize = 32 << 10;

impl Api {
    /// Registers all operations. Fails where one is not declared as it has to be.
    pub fn new(host: Lockgate) -> Result<Api, operation::NotRegistered> {
        let keys = host.signed_passwords().keys().clone();
        Ok(Api { host, operations: operations()?, keys })
    }
}

/// The table of all operations.
pub fn operations() -> Result<Operations, operation::NotRegistered> {
    let mut all = Operations::default();
    sts::register(&mut all)?;
    iam::register(&mut all)?;
    codecommit::register(&mut all)?;
    events::register(&mut all)?;
    lockgate::register(&mut all)?;
    deliveries::register(&mut all)?;
    Ok(all)
}

/// A request whose head has been looked at.
struct Begun {
    api: Arc<Api>,
    head: ApiHead,
    presented: Presented,
    service: Service,
    protocol: Protocol,
    principal: Principal,
    secret: SecretString,
}

/// [`Api`] as a door holds it.
#[derive(Clone)]
pub struct ApiDoor(pub Arc<Api>);

impl ApiService for ApiDoor {
    fn begin(&self, head: ApiHead) -> Result<Box<dyn ApiCall>, ApiAnswer> {
        let presented = match Presented::parse(&view(&head)) {
            Ok(Some(presented)) => presented,
            // A form may be the one call that is not signed.
            Ok(None) if Unsigned::may_be(&head) => return Ok(Box::new(Unsigned { api: self.0.clone(), head })),
            Ok(None) => {
                let error = not_signed();
                return Err(answer(protocol_of(&head, None), Service::Sts, &error, &head.request_id));
            }
            Err(error) => {
                let protocol = protocol_of(&head, None);
                return Err(answer(protocol, Service::Sts, &of_signature(&error, protocol), &head.request_id));
            }
        };
        let Some(service) = Service::of_scope(&presented.service) else {
            let shown = crate::names::escape_for_people(presented.service.as_bytes(), 40);
            let protocol = protocol_of(&head, None);
            let message = format!("the service `{shown}` has no operations here");
            let error = ApiError::client(unknown_operation(protocol), 400, message);
            return Err(answer(protocol, Service::Sts, &error, &head.request_id));
        };
        let protocol = protocol_of(&head, Some(service));
        // The host is signed. What was signed for another server is not for this one, whoever passes it on.
        let host = head.header("host").unwrap_or_default();
        if !self.0.host.signed_passwords().is_own_host(host) {
            let shown = crate::names::escape_for_people(host.as_bytes(), 100);
            let message = format!(
                "the request is signed for `{shown}`, which is no name of this server; its `host_name` may be missing in the configuration"
            );
            let code = for_protocol(protocol, "InvalidSignatureException", "SignatureDoesNotMatch");
            return Err(answer(protocol, service, &ApiError::client(code, 403, message), &head.request_id));
        }
        let refused = |error: &ApiError| answer(protocol, service, error, &head.request_id);
        let found = self.0.key(&presented, protocol).map_err(|error| refused(&error))?;
        let (principal, secret) = found;
        Ok(Box::new(Begun { api: self.0.clone(), head, presented, service, protocol, principal, secret }))
    }
}

impl Api {
    /// Whose key it is that is said to have signed.
    fn key(&self, presented: &Presented, protocol: Protocol) -> Result<(Principal, SecretString), ApiError> {
        let identity = self.host.identity();
        let unknown = || {
            let (json, query) = ("UnrecognizedClientException", "InvalidClientTokenId");
            let message = "The security token included in the request is invalid.";
            ApiError::client(for_protocol(protocol, json, query), 403, message)
        };
        match &presented.token {
            Some(token) => match identity.temporary_key(&presented.access_key_id, token) {
                Ok(key) => Ok((key.principal, key.secret)),
                Err(TokenFailure::Expired) => {
                    let message = "The security token included in the request is expired";
                    let code = for_protocol(protocol, "ExpiredTokenException", "ExpiredToken");
                    Err(ApiError::client(code, 403, message))
                }
                Err(TokenFailure::Invalid | TokenFailure::Revoked) => Err(unknown()),
            },
            None => match identity.access_key(&presented.access_key_id) {
                Some(key) => Ok((key.principal, key.secret)),
                None => Err(unknown()),
            },
        }
    }
}

impl ApiCall for Begun {
    fn max_body_bytes(&self) -> usize {
        match self.service {
            Service::CodeCommit => MAX_FILES_BODY_BYTES,
            _ => MAX_BODY_BYTES,
        }
    }

    fn too_long(&self) -> ApiAnswer {
        let message = format!("the request is longer than {} bytes", self.max_body_bytes());
        let error = ApiError::client("RequestEntityTooLarge", 413, message);
        answer(self.protocol, self.service, &error, &self.head.request_id)
    }

    fn finish(self: Box<Self>, body: Vec<u8>) -> ApiAnswer {
        let now_ms = self.api.host.store().clock().now_ms();
        if let Err(error) = self.verify(&body, now_ms) {
            return answer(self.protocol, self.service, &error, &self.head.request_id);
        }
        let answer = match self.run(&body, now_ms) {
            Ok(written) => of_written(written, &self.head.request_id),
            Err(error) => answer(self.protocol, self.service, &error, &self.head.request_id),
        };
        ApiAnswer { is_proven: true, ..answer }
    }
}

/// A form that nobody has signed: of all calls one may come so, and what it brings has to prove itself.
struct Unsigned {
    api: Arc<Api>,
    head: ApiHead,
}

impl Unsigned {
    fn may_be(head: &ApiHead) -> bool {
        let content_type = head.header("content-type").unwrap_or_default();
        head.method == "POST" && head.query.is_none() && content_type.starts_with("application/x-www-form-urlencoded")
    }

    fn run(&self, body: &[u8]) -> Result<Output, ApiError> {
        let value = read_query(body)?;
        if value.get("Action").and_then(|action| action.as_str()) != Some(sts::BY_TOKEN) {
            return Err(not_signed());
        }
        self.api.host.store().keyring().check_root().map_err(|refusal| ApiError::unavailable(&refusal))?;
        let parameters = Parameters { value, protocol: Protocol::Query };
        let input = parameters.read()?;
        Output::of(&sts::assume_role_with_web_identity(&self.api.host, Some(self.head.source), input)?)
    }
}

impl ApiCall for Unsigned {
    fn max_body_bytes(&self) -> usize {
        MAX_UNSIGNED_BYTES
    }

    fn too_long(&self) -> ApiAnswer {
        answer(Protocol::Query, Service::Sts, &not_signed(), &self.head.request_id)
    }

    fn finish(self: Box<Self>, body: Vec<u8>) -> ApiAnswer {
        match self.run(&body) {
            Ok(output) => {
                let request_id = &self.head.request_id;
                let written = Protocol::Query.write(Service::Sts, sts::BY_TOKEN, &output, &request_id.to_string());
                ApiAnswer { is_proven: true, ..of_written(written, request_id) }
            }
            Err(error) => answer(Protocol::Query, Service::Sts, &error, &self.head.request_id),
        }
    }
}

fn not_signed() -> ApiError {
    let message = "the request is not signed: no credentials were sent with it";
    ApiError::client("MissingAuthenticationToken", 403, message)
}

impl Begun {
    /// Whether the client has signed what has come.
    fn verify(&self, body: &[u8], now_ms: i64) -> Result<(), ApiError> {
        let digest = Sha256::digest(body).into();
        let head = view(&self.head);
        let verified = self.presented.verify(&head, &self.secret, &digest, &self.api.keys, now_ms.div_euclid(1000));
        verified.map_err(|error| of_signature(&error, self.protocol))?;
        if self.presented.token.is_none() {
            let used = LastUse {
                at_ms: now_ms,
                service: self.presented.service.clone(),
                region: self.presented.region.clone(),
            };
            self.api.host.last_uses().note(&self.presented.access_key_id, used);
        }
        Ok(())
    }

    fn run(&self, body: &[u8], now_ms: i64) -> Result<Written, ApiError> {
        let host = &self.api.host;
        host.store().keyring().check_root().map_err(|refusal| ApiError::unavailable(&refusal))?;
        let (name, parameters) = self.parameters(body)?;
        let operation = self.api.operations.get(self.service, &name).ok_or_else(|| {
            let shown = crate::names::escape_for_people(name.as_bytes(), 80);
            let message = format!("the operation `{shown}` of {} is not known here", self.service.signing_name());
            ApiError::client(unknown_operation(self.protocol), 400, message)
        })?;
        let ctx = OpContext {
            principal: self.principal.clone(),
            request_id: self.head.request_id,
            source: Some(self.head.source),
            transport: Transport::Api,
        };
        let mut call = Call { host, ctx: &ctx, directory: host.identity().directory(), now_ms };
        let output = operation.call(&mut call, &parameters).inspect_err(|error| {
            let principal = ctx.principal.arn();
            tracing::info!(operation = name, %principal, code = error.code, "refused a call");
        })?;
        Ok(self.protocol.write(self.service, &name, &output, &self.head.request_id.to_string()))
    }

    /// The operation's name and parameters.
    fn parameters(&self, body: &[u8]) -> Result<(String, Parameters), ApiError> {
        let protocol = self.protocol;
        match protocol {
            Protocol::Json10 | Protocol::Json11 => {
                let target = self.head.header("x-amz-target").unwrap_or_default();
                let prefix = self.service.target_prefix().unwrap_or_default();
                let name = target.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('.'));
                let name = name.ok_or_else(|| {
                    let shown = crate::names::escape_for_people(target.as_bytes(), 80);
                    let message = format!("the target `{shown}` is not one of this service");
                    ApiError::client("UnknownOperationException", 400, message)
                })?;
                Ok((name.to_owned(), Parameters { value: read_json(body)?, protocol }))
            }
            Protocol::Query => {
                // A presigned request has its parameters in the URL.
                let form = match &self.head.query {
                    Some(query) if body.is_empty() => query.as_bytes(),
                    _ => body,
                };
                let value = read_query(form)?;
                let action = value.get("Action").and_then(|action| action.as_str()).map(str::to_owned);
                let action = action
                    .ok_or_else(|| ApiError::client("MissingAction", 400, "the request does not say its `Action`"))?;
                Ok((action, Parameters { value, protocol }))
            }
        }
    }
}

fn view(head: &ApiHead) -> Head<'_> {
    Head { method: &head.method, path: &head.path, query: head.query.as_deref(), headers: &head.headers }
}

/// How the client speaks: by its content type, or else by the service.
fn protocol_of(head: &ApiHead, service: Option<Service>) -> Protocol {
    let content_type = head.header("content-type").unwrap_or_default();
    match service.map(Service::protocol) {
        Some(Protocol::Query) => Protocol::Query,
        _ if content_type.starts_with("application/x-amz-json-1.0") => Protocol::Json10,
        _ if content_type.starts_with("application/x-amz-json-1.1") => Protocol::Json11,
        Some(other) => other,
        None if head.header("x-amz-target").is_some() => Protocol::Json11,
        None => Protocol::Query,
    }
}

fn for_protocol<'a>(protocol: Protocol, json: &'a str, query: &'a str) -> &'a str {
    match protocol {
        Protocol::Json10 | Protocol::Json11 => json,
        Protocol::Query => query,
    }
}

fn unknown_operation(protocol: Protocol) -> &'static str {
    for_protocol(protocol, "UnknownOperationException", "InvalidAction")
}

fn of_signature(error: &SignatureError, protocol: Protocol) -> ApiError {
    let (json, query, status) = match error {
        SignatureError::Incomplete(_) | SignatureError::Algorithm => {
            ("IncompleteSignatureException", "IncompleteSignature", 400)
        }
        SignatureError::Mismatch(_) | SignatureError::Expired { .. } | SignatureError::Early { .. } => {
            ("InvalidSignatureException", "SignatureDoesNotMatch", 403)
        }
    };
    ApiError::client(for_protocol(protocol, json, query), status, error.to_string())
}

fn answer(protocol: Protocol, service: Service, error: &ApiError, request_id: &Uuid) -> ApiAnswer {
    let mut error = error.clone();
    // JSON services name these otherwise than the query protocol.
    if protocol != Protocol::Query {
        let name = match error.code.as_str() {
            "AccessDenied" => Some("AccessDeniedException"),
            "MissingAuthenticationToken" => Some("MissingAuthenticationTokenException"),
            "ValidationError" => Some("ValidationException"),
            _ => None,
        };
        if let Some(name) = name {
            error.code = name.to_owned();
        }
    }
    of_written(protocol.write_error(service, &error, &request_id.to_string()), request_id)
}

fn of_written(written: Written, request_id: &Uuid) -> ApiAnswer {
    let mut headers =
        vec![("content-type", written.content_type.to_owned()), ("x-amzn-requestid", request_id.to_string())];
    headers.extend(written.error_type.map(|code| ("x-amzn-errortype", code)));
    ApiAnswer { status: written.status, headers, body: written.body, is_proven: false }
}
