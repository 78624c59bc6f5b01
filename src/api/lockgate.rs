//! What is Lockgate's own and no service of AWS: SSH certificates, and the keys that sign commits. JSON 1.1, signed for `lockgate`.

use serde::{Deserialize, Serialize};

use super::codec::Timestamp;
use super::error::ApiError;
use super::iam::signing_keys;
use super::operation::{Call, NotRegistered, Operations};
use super::service::Service;
use crate::identity::SigningFailure;
use crate::operations::authorize::Weight;
use crate::policy::ResourceFacts;

/// Adds the operations.
pub fn register(all: &mut Operations) -> Result<(), NotRegistered> {
    all.add(
        Service::Lockgate,
        "SignSshCertificate",
        "lockgate:SignSshCertificate",
        Weight::Write,
        |call, _: &SignInput| Ok(ResourceFacts::Account(call.account().clone())),
        sign_ssh_certificate,
    )?;
    signing_keys::register(all)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SignInput {
    /// One line, as in `id_ed25519.pub`.
    public_key: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct SignOutput {
    /// One line, for `id_ed25519-cert.pub`.
    certificate: String,
    expires_at: Timestamp,
    /// The line for `known_hosts` that trusts this installation's servers.
    known_hosts: String,
}

fn sign_ssh_certificate(call: &Call<'_>, input: SignInput) -> Result<SignOutput, ApiError> {
    let identity = call.host.identity();
    let made = identity.sign_ssh_key(&call.ctx.principal, &input.public_key).map_err(of_failure)?;
    Ok(SignOutput {
        certificate: made.openssh,
        expires_at: Timestamp(made.expires_ms),
        known_hosts: identity.known_hosts_line().map_err(|error| ApiError::internal(&error))?,
    })
}

fn of_failure(failure: SigningFailure) -> ApiError {
    let text = failure.to_string();
    match failure {
        SigningFailure::NotASession | SigningFailure::Over => ApiError::client("AccessDenied", 403, text),
        SigningFailure::Key(error) => error.into(),
        SigningFailure::Make(_) => ApiError::internal(&failure),
    }
}
