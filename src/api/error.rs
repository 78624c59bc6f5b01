//! What a client reads when a call fails: a code that its SDK knows, a status, and a text for people.

use crate::identity::IdentityError;
use crate::oidc::WebIdentityError;
use crate::operations::authorize::NotAllowed;
use crate::operations::renaming::RenameError;
use crate::operations::sessions::SessionError;

/// A failed call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct ApiError {
    /// The name of the error in the service's model, such as `NoSuchEntity`.
    pub code: String,
    /// For people.
    pub message: String,
    /// The HTTP status.
    pub status: u16,
}

impl ApiError {
    /// An error that the client can mend.
    pub fn client(code: &str, status: u16, message: impl Into<String>) -> ApiError {
        ApiError { code: code.to_owned(), message: message.into(), status }
    }

    /// What is out of order here. The server's log says more.
    pub fn internal(error: &(dyn std::error::Error + 'static)) -> ApiError {
        tracing::error!(error, "a call failed");
        let message = "the server failed; its log says why";
        ApiError { code: "InternalFailure".to_owned(), message: message.to_owned(), status: 500 }
    }

    /// The root key is not confirmed: nothing is read or written until it is.
    pub fn unavailable(refusal: &crate::store::keyring::KeyRefusal) -> ApiError {
        ApiError { code: "ServiceUnavailable".to_owned(), message: refusal.to_string(), status: 503 }
    }

    /// A parameter that cannot be.
    pub fn validation(message: impl Into<String>) -> ApiError {
        ApiError::client("ValidationError", 400, message)
    }

    /// Something in the way that the client has to take away first.
    pub fn conflict(message: impl Into<String>) -> ApiError {
        ApiError::client("DeleteConflict", 409, message)
    }

    /// Policies refuse: in AWS's words, and with what they leave out.
    pub fn access_denied(who: &str, refused: &NotAllowed) -> ApiError {
        let decision = match refused {
            NotAllowed::Refused(decision) => decision,
            NotAllowed::Unavailable(error) => return ApiError::internal(error),
        };
        let (_, action, resource) = decision.asked();
        let resource = arn_of(&resource);
        let advice: String = decision.advice().iter().map(|advice| format!("; {advice}")).collect();
        let why = decision.refusal_line();
        let message = format!(
            "User: {who} is not authorized to perform: {action} on resource: {resource} because {why}{advice} (decision {})",
            decision.id
        );
        ApiError::client("AccessDenied", 403, message)
    }
}

impl From<IdentityError> for ApiError {
    fn from(error: IdentityError) -> ApiError {
        use IdentityError as E;
        let text = error.to_string();
        match &error {
            E::Catalog(_) | E::Store(_) | E::Damaged { .. } => ApiError::internal(&error),
            E::Busy => ApiError::client("ConcurrentModification", 409, text),
            E::Name(_) | E::NotAnAddress(_) | E::NotATemporaryKey(_) => ApiError::validation(text),
            E::NoAccount(_) | E::Unknown { .. } | E::NoCredential { .. } => ApiError::client("NoSuchEntity", 404, text),
            E::AccountTaken(_) | E::Exists { .. } | E::Tombstone { .. } => {
                ApiError::client("EntityAlreadyExists", 409, text)
            }
            E::TooMany { .. } | E::TooManyVersions { .. } | E::Full { .. } => {
                ApiError::client("LimitExceeded", 409, text)
            }
            E::InUse { .. } => ApiError::conflict(text),
            E::WrongCode => ApiError::client("InvalidAuthenticationCode", 403, text),
            E::NotAnSshKey(_) | E::SshKeyRefused(_) => ApiError::client("InvalidPublicKey", 400, text),
            E::SshKeyTaken | E::SigningKeyTaken => ApiError::client("DuplicateSSHPublicKey", 400, text),
        }
    }
}

impl ApiError {
    /// A session that could not be had.
    pub fn of_session(who: &str, error: &SessionError) -> ApiError {
        let text = error.to_string();
        match error {
            SessionError::NotAllowed(refused) => ApiError::access_denied(who, refused),
            SessionError::Invalid(_) => ApiError::validation(text),
            SessionError::BadPolicy(_) => ApiError::client("MalformedPolicyDocument", 400, text),
            SessionError::TooLarge { .. } => ApiError::client("PackedPolicyTooLarge", 400, text),
            SessionError::WrongCode | SessionError::NotForThis(_) => ApiError::client("AccessDenied", 403, text),
            SessionError::Token(WebIdentityError::Invalid(_)) => ApiError::client("InvalidIdentityToken", 400, text),
            SessionError::Token(WebIdentityError::Expired) => ApiError::client("ExpiredTokenException", 400, text),
            SessionError::Token(WebIdentityError::Rejected(_)) => ApiError::client("IDPRejectedClaim", 403, text),
            SessionError::Token(WebIdentityError::Communication(_)) => {
                ApiError::client("IDPCommunicationError", 400, text)
            }
            SessionError::Identity(error) => ApiError::internal(error),
        }
    }
}

impl From<RenameError> for ApiError {
    fn from(error: RenameError) -> ApiError {
        match error {
            RenameError::Named { .. } | RenameError::NamedRepository { .. } => {
                ApiError::client("EntityTemporarilyUnmodifiable", 409, error.to_string())
            }
            RenameError::Identity(error) => error.into(),
        }
    }
}

/// An entity of policies as an ARN; those that have none stay as they are.
fn arn_of(entity: &str) -> String {
    let parts = entity.split_once("::").and_then(|(kind, id)| Some((kind, id.strip_prefix('"')?.strip_suffix('"')?)));
    match parts {
        Some(("Account", account)) => format!("arn:aws:iam::{account}:root"),
        Some((kind, id)) => {
            let kind = match kind {
                "User" => "user",
                "Group" => "group",
                "Role" => "role",
                "ManagedPolicy" => "policy",
                "MfaDevice" => "mfa",
                "OidcProvider" => "oidc-provider",
                _ => return entity.to_owned(),
            };
            match id.split_once('/') {
                Some((account, name)) => format!("arn:aws:iam::{account}:{kind}/{name}"),
                None => entity.to_owned(),
            }
        }
        None => entity.to_owned(),
    }
}
