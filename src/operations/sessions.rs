//! Becoming a role for a while, and temporary credentials of a user's own.
//!
//! Taking a role needs a permit of the caller's account and one of the role's trust policies, whoever asks. What a session
//! brings into the next one: where the chain began, the source identity, and the tags that are marked to be kept.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use uuid::Uuid;

use super::OpContext;
use super::authority::{named_role, role_facts};
use super::authorize::{NotAllowed, Weight};
use super::lockgate::Lockgate;
use crate::identity::{
    IdentityError, LONGEST_SESSION_SECONDS, Principal, Role, SessionPrincipal, TemporaryCredentials, UserPrincipal,
    UserSession,
};
use crate::names::{AccountId, PolicyName, PrincipalName, escape_for_people};
use crate::oidc::{self, WebIdentityError};
use crate::policy::{
    Action, AssumeRoleFacts, ContextFacts, IamImport, ImportFor, ResourceFacts, SessionPolicy, WebIdentityFacts,
    import_iam,
};

/// What is asked for with a role.
#[derive(Debug, Clone)]
pub struct RoleRequest {
    /// The role's account.
    pub account: AccountId,
    /// The role.
    pub role: PrincipalName,
    /// The session's name, 2 to 64 characters.
    pub session_name: PrincipalName,
    /// How long; an hour where left out, or what the role allows if that is less.
    pub duration_seconds: Option<u32>,
    /// A policy that narrows the session, in IAM's JSON or in Cedar.
    pub policy: Option<String>,
    /// Managed policies of the role's account that narrow it, too: the session may do what any of them permits.
    pub managed_policies: Vec<PolicyName>,
    /// Session tags.
    pub tags: BTreeMap<String, String>,
    /// The keys of those that are kept when another role is taken from the session.
    pub transitive_tags: BTreeSet<String>,
    /// What the role's owner has agreed on with the caller.
    pub external_id: Option<String>,
    /// Who it really is.
    pub source_identity: Option<PrincipalName>,
    /// A device and its one-time code.
    pub one_time_code: Option<(String, String)>,
}

/// A role that was taken.
#[derive(Debug)]
pub struct AssumedRole {
    /// What to work with.
    pub credentials: TemporaryCredentials,
    /// The session.
    pub session: SessionPrincipal,
    /// The role.
    pub role: Role,
    /// How much of what a session can carry its policies and tags take, in percent.
    pub packed_policy_percent: u32,
}

/// A role that was taken by a provider's word.
#[derive(Debug)]
pub struct WebAssumedRole {
    /// What was taken.
    pub taken: AssumedRole,
    /// Who vouched, as the token writes it.
    pub issuer_url: String,
    /// For whom.
    pub subject: String,
    /// To whom the token was addressed.
    pub audience: String,
}

/// What a session begins with, besides what was asked for.
struct Begun {
    original_user: Option<UserPrincipal>,
    subject: Option<Arc<str>>,
    on_behalf_of: Option<UserPrincipal>,
    source_identity: Option<PrincipalName>,
    tags: BTreeMap<String, String>,
    transitive_tags: BTreeSet<String>,
    mfa: bool,
    /// The sessions of roles that it is taken through, the first one first.
    chain: Vec<Uuid>,
}

/// Why there are no temporary credentials.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// Policies do not let it through.
    #[error(transparent)]
    NotAllowed(#[from] NotAllowed),
    /// Something in the request cannot be.
    #[error("{0}")]
    Invalid(String),
    /// The session policy is not one.
    #[error("the session policy is not valid: {0}")]
    BadPolicy(String),
    /// The session's policies and tags are more than a session can carry.
    #[error("the session's policies and tags take {percent}% of what a session can carry")]
    TooLarge {
        /// How much they take.
        percent: u32,
    },
    /// The one-time code is not taken.
    #[error("MultiFactorAuthentication failed with invalid MFA one time pass code.")]
    WrongCode,
    /// A provider's token does not count.
    #[error(transparent)]
    Token(#[from] WebIdentityError),
    /// The directory could not be asked.
    #[error(transparent)]
    Identity(IdentityError),
    /// The caller cannot have temporary credentials of its own.
    #[error("{0}")]
    NotForThis(&'static str),
}

/// Shortest session, in seconds.
const MIN_SECONDS: u32 = 900;
/// Longest session of a role that was taken from a session of another, in seconds.
const MAX_CHAINED_SECONDS: u32 = 3600;
/// Longest temporary credentials of a user's own, in seconds.
const MAX_USER_SECONDS: u32 = LONGEST_SESSION_SECONDS;
/// Most sessions that a chain of roles goes through: each carries the ids of those before.
const MAX_CHAIN: usize = 16;
const DEFAULT_USER_SECONDS: u32 = 43_200;
const DEFAULT_ROLE_SECONDS: u32 = 3600;
const MAX_TAGS: usize = 50;
/// Most bytes of policies, as Cedar, and of tags that a session carries: the token travels with each request.
const MAX_CARRIED_BYTES: usize = 8 << 10;

impl Lockgate {
    /// Takes a role for `ctx`. Blocks.
    pub fn assume_role(&self, ctx: &OpContext, request: &RoleRequest) -> Result<AssumedRole, SessionError> {
        self.assume(ctx, request, None, None)
    }

    /// Takes a role for a service of this server, that acts for the resource `source_arn` and on behalf of a user. Blocks.
    pub(super) fn assume_role_as_service(
        &self,
        ctx: &OpContext,
        request: &RoleRequest,
        source_arn: &str,
        on_behalf_of: Option<UserPrincipal>,
    ) -> Result<AssumedRole, SessionError> {
        self.assume(ctx, request, Some(source_arn), on_behalf_of)
    }

    fn assume(
        &self,
        ctx: &OpContext,
        request: &RoleRequest,
        source_arn: Option<&str>,
        on_behalf_of: Option<UserPrincipal>,
    ) -> Result<AssumedRole, SessionError> {
        let tags = request.all_tags(&ctx.principal)?;
        let source_identity = request.kept_source_identity(&ctx.principal)?;
        let ctx = self.with_code(ctx, request.one_time_code.as_ref())?;
        let directory = self.identity().directory();
        let role = directory.role(&request.account, &request.role).cloned();
        // A role that does not exist is refused in the words of one that may not be taken.
        let facts = match &role {
            Some(role) => role_facts(role),
            None => named_role(&request.account, &request.role),
        };
        let transitive_tags: BTreeSet<String> = match &ctx.principal {
            Principal::Session(from) => from.transitive_tags.union(&request.transitive_tags).cloned().collect(),
            _ => request.transitive_tags.clone(),
        };
        let context = AssumeRoleFacts {
            session_name: request.session_name.to_string(),
            external_id: request.external_id.clone(),
            source_identity: source_identity.as_ref().map(ToString::to_string),
            source_arn: source_arn.map(str::to_owned),
            session_tags: tags.clone(),
            transitive_tag_keys: transitive_tags.clone(),
        };
        let (resource, context) = (ResourceFacts::Role(facts), ContextFacts::AssumeRole(context));
        let allowed = self.authorize(&ctx, &Action::assume_role(), &resource, &context, Weight::Write)?;
        let Some(role) = role.or_else(|| allowed.directory.role(&request.account, &request.role).cloned()) else {
            return Err(SessionError::Invalid(format!("there is no role `{}`", request.role)));
        };
        let (original_user, on_behalf_of) = match &ctx.principal {
            Principal::User(user) => (Some(user.clone()), None),
            // For whom it is done stays, whatever roles are taken on the way: with that user's access it ends.
            Principal::Session(from) => (from.original_user.clone(), from.on_behalf_of.clone()),
            Principal::Service(_) => (None, on_behalf_of),
        };
        // A one-time code vouches for the one who gave it, not for whoever a role is handed on to.
        let chain: Vec<Uuid> = match &ctx.principal {
            Principal::Session(from) => from.chain.iter().copied().chain([from.id]).collect(),
            _ => Vec::new(),
        };
        if chain.len() > MAX_CHAIN {
            return Err(SessionError::Invalid(format!(
                "a chain of roles has at most {MAX_CHAIN} sessions before its last"
            )));
        }
        let mfa = ctx.principal.mfa() && chain.is_empty() || request.one_time_code.is_some();
        let subject = match &ctx.principal {
            Principal::Session(from) => from.subject.clone(),
            _ => None,
        };
        let begun = Begun { original_user, subject, on_behalf_of, source_identity, tags, transitive_tags, mfa, chain };
        self.begin(role, request, begun)
    }

    /// Takes a role for somebody for whom a token vouches. Whatever the request has besides, tags and the source identity are the
    /// token's. Blocks.
    pub fn assume_role_with_web_identity(
        &self,
        source: Option<IpAddr>,
        request: &RoleRequest,
        token: &str,
    ) -> Result<WebAssumedRole, SessionError> {
        let issuer_url = oidc::claimed_issuer(token)?;
        let directory = self.identity().directory();
        // Providers are registered without a slash at the end, whether or not they write one.
        let issuer = issuer_url.strip_prefix("https://").map(|issuer| issuer.trim_end_matches('/'));
        let found = issuer.and_then(|issuer| directory.oidc_provider(&request.account, issuer));
        let Some(registered) = found else {
            let shown = escape_for_people(issuer_url.as_bytes(), 200);
            let message = format!("no OpenID Connect provider of the role's account is called {shown}");
            return Err(SessionError::Token(WebIdentityError::Invalid(message)));
        };
        let provider = oidc::Provider { issuer_url: issuer_url.clone(), client_ids: registered.client_ids.clone() };
        let now = self.store().clock().now_seconds();
        let claims = self.store().wait(self.provider_keys().verify(&provider, token, now))?;
        let rejected = |what: &str| SessionError::Token(WebIdentityError::Rejected(what.to_owned()));
        let source_identity = match &claims.source_identity {
            Some(name) => Some(PrincipalName::parse(name).map_err(|_| rejected("its source identity is no name"))?),
            None => None,
        };
        let request = RoleRequest {
            tags: claims.tags.clone(),
            transitive_tags: claims.transitive_tags.clone(),
            source_identity: source_identity.clone(),
            external_id: None,
            one_time_code: None,
            ..request.clone()
        };
        check_tags(&request.tags, &request.transitive_tags)?;
        let who = WebIdentityFacts {
            account: registered.account.clone(),
            issuer: registered.issuer.clone(),
            subject: claims.subject.clone(),
            audience: claims.audience.clone(),
            authorized_party: claims.authorized_party.clone(),
            provider_tags: registered.tags.clone(),
            claims: claims.claims.clone(),
        };
        let role = directory.role(&request.account, &request.role).cloned();
        let facts = match &role {
            Some(role) => role_facts(role),
            None => named_role(&request.account, &request.role),
        };
        let context = ContextFacts::AssumeRoleWithWebIdentity(AssumeRoleFacts {
            session_name: request.session_name.to_string(),
            external_id: None,
            source_identity: source_identity.as_ref().map(ToString::to_string),
            source_arn: None,
            session_tags: request.tags.clone(),
            transitive_tag_keys: request.transitive_tags.clone(),
        });
        let allowed = self.authorize_web_identity(who, source, &ResourceFacts::Role(facts), &context)?;
        let Some(role) = role.or_else(|| allowed.directory.role(&request.account, &request.role).cloned()) else {
            return Err(SessionError::Invalid(format!("there is no role `{}`", request.role)));
        };
        let begun = Begun {
            original_user: None,
            // As it is registered: a token may write the issuer in more than one way.
            subject: Some(format!("{} {}", registered.issuer, claims.subject).into()),
            on_behalf_of: None,
            source_identity,
            tags: request.tags.clone(),
            transitive_tags: request.transitive_tags.clone(),
            mfa: false,
            chain: Vec::new(),
        };
        let taken = self.begin(role, &request, begun)?;
        tracing::info!(issuer = issuer_url, subject = claims.subject, session = %Principal::Session(Box::new(taken.session.clone())).arn(), "a role was taken by a token");
        Ok(WebAssumedRole { taken, issuer_url, subject: claims.subject, audience: claims.audience })
    }

    /// Makes the session of a role that policies let through.
    fn begin(&self, role: Role, request: &RoleRequest, begun: Begun) -> Result<AssumedRole, SessionError> {
        let seconds = role_seconds(!begun.chain.is_empty(), &role, request.duration_seconds)?;
        let policy = self.session_policy(request, &role)?;
        let n_bytes = policy.as_ref().map_or(0, String::len)
            + begun.tags.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>();
        let percent = u32::try_from(n_bytes * 100 / MAX_CARRIED_BYTES).unwrap_or(u32::MAX);
        if n_bytes > MAX_CARRIED_BYTES {
            return Err(SessionError::TooLarge { percent });
        }
        let issued_ms = self.store().clock().now_ms();
        let session = SessionPrincipal {
            id: Uuid::now_v7(),
            account: role.account.clone(),
            role_id: role.id,
            role: role.name.clone(),
            session_name: request.session_name.clone(),
            source_identity: begun.source_identity,
            original_user: begun.original_user,
            subject: begun.subject,
            chain: begun.chain,
            on_behalf_of: begun.on_behalf_of,
            tags: begun.tags,
            transitive_tags: begun.transitive_tags,
            policy: policy.map(Arc::from),
            mfa: begun.mfa,
            issued_ms,
            expires_ms: issued_ms + i64::from(seconds) * 1000,
        };
        let credentials = self.identity().issue(&Principal::Session(Box::new(session.clone())));
        let credentials = credentials.ok_or(SessionError::NotForThis("services take no credentials this way"))?;
        Ok(AssumedRole { credentials, session, role, packed_policy_percent: percent })
    }

    /// Temporary credentials of a user's own, which may carry that a one-time code was given. Blocks.
    pub fn session_token(
        &self,
        ctx: &OpContext,
        duration_seconds: Option<u32>,
        one_time_code: Option<&(String, String)>,
    ) -> Result<TemporaryCredentials, SessionError> {
        let seconds = duration_seconds.unwrap_or(DEFAULT_USER_SECONDS);
        if !(MIN_SECONDS..=MAX_USER_SECONDS).contains(&seconds) {
            return Err(SessionError::Invalid(format!(
                "DurationSeconds is {seconds}; it lies between {MIN_SECONDS} and {MAX_USER_SECONDS}"
            )));
        }
        let ctx = self.with_code(ctx, one_time_code)?;
        let own_account = ResourceFacts::Account(ctx.principal.account().clone());
        let (action, context) = (Action::get_session_token(), ContextFacts::Plain);
        let long_term = "temporary credentials cannot be had with temporary credentials: use an access key of a user";
        let Principal::User(user) = &ctx.principal else { return Err(SessionError::NotForThis(long_term)) };
        if user.session.is_some() {
            return Err(SessionError::NotForThis(long_term));
        }
        self.authorize(&ctx, &action, &own_account, &context, Weight::Write)?;
        let issued_ms = self.store().clock().now_ms();
        let expires_ms = issued_ms + i64::from(seconds) * 1000;
        let mut user = user.clone();
        user.session = Some(UserSession { id: Uuid::now_v7(), issued_ms, expires_ms });
        self.identity().issue(&Principal::User(user)).ok_or(SessionError::NotForThis(long_term))
    }

    /// The context with the one-time code taken into account; a wrong code ends it.
    fn with_code(&self, ctx: &OpContext, code: Option<&(String, String)>) -> Result<OpContext, SessionError> {
        let mut ctx = ctx.clone();
        let Some((serial, code)) = code else { return Ok(ctx) };
        let Principal::User(user) = &mut ctx.principal else {
            return Err(SessionError::NotForThis("one-time codes are users'; a role's session has no device"));
        };
        match self.store().wait(self.identity().check_code(user, serial, code)) {
            Ok(()) => user.mfa = true,
            Err(IdentityError::WrongCode) => return Err(SessionError::WrongCode),
            Err(error) => return Err(SessionError::Identity(error)),
        }
        Ok(ctx)
    }

    /// The policy of the session in Cedar, compiled once to see that it can be.
    fn session_policy(&self, request: &RoleRequest, role: &Role) -> Result<Option<String>, SessionError> {
        let mut parts = Vec::new();
        if let Some(document) = &request.policy {
            parts.push(self.session_cedar(document, "session", role)?);
        }
        let directory = self.identity().directory();
        for name in &request.managed_policies {
            let policy = directory.managed_policy(&role.account, name).and_then(|policy| policy.document());
            let policy = policy.ok_or_else(|| SessionError::BadPolicy(format!("there is no policy `{name}`")))?;
            parts.push(self.session_cedar(policy, name.as_str(), role)?);
        }
        if parts.is_empty() {
            return Ok(None);
        }
        let text = parts.join("\n");
        match SessionPolicy::compile(&text) {
            Ok(_) => Ok(Some(text)),
            Err(problems) => Err(SessionError::BadPolicy(lines(&problems))),
        }
    }

    fn session_cedar(&self, document: &str, name: &str, role: &Role) -> Result<String, SessionError> {
        if !document.trim_start().starts_with('{') {
            return Ok(document.to_owned());
        }
        // Ids take fewer characters than names of policies.
        let name = name.chars().filter(char::is_ascii_alphanumeric).take(40).collect::<String>();
        let options = IamImport {
            account: role.account.clone(),
            region: self.identity().region().to_owned(),
            name: if name.is_empty() { "session".to_owned() } else { name },
            principal: ImportFor::Role(role.name.clone()),
        };
        let policies = import_iam(document, &options).map_err(|problems| SessionError::BadPolicy(lines(&problems)))?;
        Ok(policies.into_iter().map(|policy| without_source(&policy.text)).collect())
    }
}

fn role_seconds(is_chained: bool, role: &Role, asked: Option<u32>) -> Result<u32, SessionError> {
    let longest = if is_chained { role.max_session_seconds.min(MAX_CHAINED_SECONDS) } else { role.max_session_seconds };
    let seconds = asked.unwrap_or(DEFAULT_ROLE_SECONDS.min(longest));
    if seconds < MIN_SECONDS {
        return Err(SessionError::Invalid(format!("DurationSeconds is {seconds}; it is at least {MIN_SECONDS}")));
    }
    if seconds > longest {
        let why = match is_chained && seconds <= role.max_session_seconds {
            true => "the 1 hour session limit for roles assumed by role chaining",
            false => "the MaxSessionDuration set for this role",
        };
        return Err(SessionError::Invalid(format!("The requested DurationSeconds exceeds {why}.")));
    }
    Ok(seconds)
}

/// A translated policy without the annotation that holds the statement it comes from: a session carries its policy along.
fn without_source(text: &str) -> String {
    text.split_inclusive('\n').filter(|line| !line.starts_with("@iam(")).collect()
}

fn lines(problems: &[impl std::fmt::Display]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

impl RoleRequest {
    /// A role and the session's name, and nothing else.
    pub fn plain(account: &AccountId, role: &PrincipalName, session_name: &PrincipalName) -> RoleRequest {
        RoleRequest {
            account: account.clone(),
            role: role.clone(),
            session_name: session_name.clone(),
            duration_seconds: None,
            policy: None,
            managed_policies: Vec::new(),
            tags: BTreeMap::new(),
            transitive_tags: BTreeSet::new(),
            external_id: None,
            source_identity: None,
            one_time_code: None,
        }
    }

    /// The request's tags and those that are kept from the session it is made from.
    fn all_tags(&self, from: &Principal) -> Result<BTreeMap<String, String>, SessionError> {
        let invalid = |text: String| Err(SessionError::Invalid(text));
        let folded = check_tags(&self.tags, &self.transitive_tags)?;
        let mut tags = self.tags.clone();
        if let Principal::Session(from) = from {
            for key in &from.transitive_tags {
                if folded.contains(&key.to_lowercase()) {
                    let key = escape_for_people(key.as_bytes(), 40);
                    return invalid(format!(
                        "the tag `{key}` is kept from the session that asks and cannot be set anew"
                    ));
                }
                if let Some(value) = from.tags.get(key) {
                    tags.insert(key.clone(), value.clone());
                }
            }
        }
        if tags.len() > MAX_TAGS {
            return invalid(format!("a session has at most {MAX_TAGS} tags"));
        }
        Ok(tags)
    }

    /// Who it really is: once it was said, it stays.
    fn kept_source_identity(&self, from: &Principal) -> Result<Option<PrincipalName>, SessionError> {
        let kept = match from {
            Principal::Session(from) => from.source_identity.as_ref(),
            _ => None,
        };
        match (kept, &self.source_identity) {
            (Some(kept), Some(asked)) if asked != kept => {
                Err(SessionError::Invalid("the source identity of the session that asks cannot be changed".to_owned()))
            }
            (Some(kept), _) => Ok(Some(kept.clone())),
            (None, asked) => Ok(asked.clone()),
        }
    }
}

/// What tags and those that are to be kept may be; gives their keys in lower case.
fn check_tags(
    tags: &BTreeMap<String, String>,
    transitive: &BTreeSet<String>,
) -> Result<BTreeSet<String>, SessionError> {
    let invalid = |text: String| Err(SessionError::Invalid(text));
    let mut folded = BTreeSet::new();
    for (key, value) in tags {
        if key.is_empty() || key.chars().count() > 128 || value.chars().count() > 256 {
            let key = escape_for_people(key.as_bytes(), 40);
            return invalid(format!("the tag `{key}` is not valid: keys have 1 to 128 characters, values up to 256"));
        }
        if !folded.insert(key.to_lowercase()) {
            let key = escape_for_people(key.as_bytes(), 40);
            return invalid(format!("the tag `{key}` is given twice; case does not tell keys apart"));
        }
    }
    if let Some(unknown) = transitive.iter().find(|key| !tags.contains_key(*key)) {
        let key = escape_for_people(unknown.as_bytes(), 40);
        return invalid(format!("the transitive tag key `{key}` is no tag of the session"));
    }
    if tags.len() > MAX_TAGS {
        return invalid(format!("a session has at most {MAX_TAGS} tags"));
    }
    Ok(folded)
}
