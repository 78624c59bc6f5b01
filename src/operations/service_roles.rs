//! Services of this server act by roles, as AWS's do: whoever sets one up hands it a role (`iam:PassRole`), the role's own trust
//! policy lets that service take it for that resource, and what is done then is decided as for any session, with the user on
//! whose behalf it is done in it.
//!
//! A service has no rights of its own, and no credential: what it may do is the role's. INVARIANT: nothing here makes a session
//! without a decision about the role's trust, and no session of a service outlives the user it acts for.

use uuid::Uuid;

use super::OpContext;
use super::Transport;
use super::authority::{named_role, role_facts};
use super::authorize::{NotAllowed, Weight};
use super::lockgate::Lockgate;
use super::sessions::{AssumedRole, RoleRequest, SessionError};
use crate::identity::{Principal, UserPrincipal};
use crate::names::{AccountId, PrincipalName};
use crate::policy::{Action, ContextFacts, ResourceFacts};

/// A part of this server that acts by roles, under the name that AWS's has in policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ActingService {
    /// Runs builds.
    CodeBuild,
    /// Runs pipelines.
    CodePipeline,
    /// Deploys.
    CodeDeploy,
    /// Delivers events to targets.
    Events,
}

impl ActingService {
    /// The service principal's name.
    pub fn principal(self) -> &'static str {
        match self {
            ActingService::CodeBuild => "codebuild.amazonaws.com",
            ActingService::CodePipeline => "codepipeline.amazonaws.com",
            ActingService::CodeDeploy => "codedeploy.amazonaws.com",
            ActingService::Events => "events.amazonaws.com",
        }
    }
}

/// A role that was handed to a service; what a project or a pipeline keeps. A role that was deleted and made again is another
/// one, and has to be handed over again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassedRole {
    /// To whom.
    pub service: ActingService,
    /// The role's account.
    pub account: AccountId,
    /// The role's id.
    pub id: Uuid,
    /// The role's name.
    pub name: PrincipalName,
}

/// Why a role is not handed over.
#[derive(Debug, thiserror::Error)]
pub enum PassRoleError {
    /// Policies do not let it through.
    #[error(transparent)]
    NotAllowed(#[from] NotAllowed),
    /// It belongs to another account than what is set up.
    #[error(
        "the role `{role}` is of account {account}: services act by roles of their resource's own account, {owner}"
    )]
    OtherAccount {
        /// The role.
        role: PrincipalName,
        /// Its account.
        account: AccountId,
        /// The account of what is set up.
        owner: AccountId,
    },
    /// There is no such role.
    #[error("there is no role `{0}`")]
    NoRole(PrincipalName),
}

/// What a service is about to do.
#[derive(Debug, Clone)]
pub struct ServiceWork<'a> {
    /// The ARN of the project, pipeline or rule that it does it for; `context.sourceArn` of the role's trust.
    pub source_arn: &'a str,
    /// The session's name, such as the build's id; 2 to 64 characters.
    pub session_name: PrincipalName,
    /// Who set it off; none for a schedule or an event.
    pub set_off_by: Option<&'a Principal>,
    /// How long; an hour where left out, or what the role allows if that is less.
    pub duration_seconds: Option<u32>,
    /// A policy that narrows the session, in IAM's JSON or in Cedar.
    pub policy: Option<String>,
}

impl Lockgate {
    /// Decides whether `ctx` may hand a role to a service that will act for a resource of the account `owner`. Blocks.
    pub fn pass_role(
        &self,
        ctx: &OpContext,
        service: ActingService,
        owner: &AccountId,
        (account, name): (&AccountId, &PrincipalName),
    ) -> Result<PassedRole, PassRoleError> {
        let directory = self.identity().directory();
        let role = directory.role(account, name);
        // A role that does not exist is refused in the words of one that may not be handed over.
        let facts = role.map_or_else(|| named_role(account, name), role_facts);
        let context = ContextFacts::PassRole { passed_to: service.principal().to_owned() };
        let resource = ResourceFacts::Role(facts);
        let allowed = self.authorize(ctx, &Action::pass_role(), &resource, &context, Weight::Write)?;
        if account != owner {
            let (role, account, owner) = (name.clone(), account.clone(), owner.clone());
            return Err(PassRoleError::OtherAccount { role, account, owner });
        }
        // As of the decision: it was made about the role that there was.
        let role = allowed.directory.role(account, name).ok_or_else(|| PassRoleError::NoRole(name.clone()))?;
        Ok(PassedRole { service, account: account.clone(), id: role.id, name: role.name.clone() })
    }

    /// Takes a role that was handed to a service, for what the service is about to do. Blocks.
    pub fn act_by_role(&self, passed: &PassedRole, work: &ServiceWork<'_>) -> Result<AssumedRole, SessionError> {
        let directory = self.identity().directory();
        let gone = || SessionError::Invalid(format!("the role `{}` that was handed over is gone", passed.name));
        if directory.role(&passed.account, &passed.name).is_none_or(|role| role.id != passed.id) {
            return Err(gone());
        }
        let now_ms = self.store().clock().now_ms();
        if work.set_off_by.is_some_and(|by| !directory.is_active(by, now_ms)) {
            return Err(SessionError::NotForThis("the access of the one who set it off has ended"));
        }
        let ctx = OpContext {
            principal: Principal::Service(passed.service.principal().to_owned()),
            request_id: Uuid::now_v7(),
            source: None,
            transport: Transport::Api,
        };
        let request = RoleRequest {
            duration_seconds: work.duration_seconds,
            policy: work.policy.clone(),
            ..RoleRequest::plain(&passed.account, &passed.name, &work.session_name)
        };
        let taken = self.assume_role_as_service(&ctx, &request, work.source_arn, work.set_off_by.and_then(behalf))?;
        if taken.session.role_id != passed.id {
            return Err(gone());
        }
        Ok(taken)
    }
}

/// The user for whom a service acts. Not the key or the session that it was set off with: work that takes hours goes on when
/// these end, and ends when the user's access does. A one-time code vouched for the one who gave it.
fn behalf(by: &Principal) -> Option<UserPrincipal> {
    let user = match by {
        Principal::User(user) => Some(user),
        Principal::Session(session) => session.on_behalf_of.as_ref().or(session.original_user.as_ref()),
        Principal::Service(_) => None,
    };
    user.map(|user| UserPrincipal { credential: None, mfa: false, session: None, ..user.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::RoleChange;
    use crate::names::RepositoryName;
    use crate::operations::tests::Inside;
    use crate::operations::{GitHost, GitMode, GitRefusal, GitService, GitSession, RepositoryPath};

    const PROJECT: &str = "arn:aws:codebuild:us-east-1:111111111111:project/shop";

    fn account() -> AccountId {
        AccountId::parse("111111111111").unwrap()
    }

    fn name(name: &str) -> PrincipalName {
        PrincipalName::parse(name).unwrap()
    }

    /// The role `builder`, which the build service may take for one project, and read with as the whole account does, but only for
    /// developers.
    fn prepared() -> Inside {
        let inside = Inside::new();
        let _inside = inside.runtime.enter();
        let trust = format!(
            r#"{{"Version": "2012-10-17", "Statement": [{{"Effect": "Allow", "Principal": {{"Service": "codebuild.amazonaws.com"}},
                "Action": "sts:AssumeRole", "Condition": {{"ArnEquals": {{"aws:SourceArn": "{PROJECT}"}}}}}}]}}"#
        );
        let change = RoleChange { trust: Some(trust.into()), ..RoleChange::default() };
        let identity = inside.host.identity();
        inside.host.store().wait(identity.create_role_with(&account(), &name("builder"), change)).unwrap();
        Inside::apply(
            &inside.host,
            r#"@id("developers-hand-the-builder-to-builds")
            permit (principal in Group::"111111111111/developers", action == Action::"iam:PassRole", resource == Role::"111111111111/builder")
            when { context.passedTo == Service::"codebuild.amazonaws.com" };
            @id("builds-are-for-developers")
            forbid (principal in Role::"111111111111/builder", action in [Action::"codecommit:GetRepository", Action::"codecommit:GitPull"], resource)
            unless { principal has onBehalfOf && principal.onBehalfOf in Group::"111111111111/developers" };"#,
        );
        drop(_inside);
        inside
    }

    fn work<'a>(set_off_by: Option<&'a Principal>) -> ServiceWork<'a> {
        ServiceWork {
            source_arn: PROJECT,
            session_name: name("build-1"),
            set_off_by,
            duration_seconds: None,
            policy: None,
        }
    }

    fn reads(host: &Lockgate, principal: Principal) -> Result<(), GitRefusal> {
        let ctx = OpContext { principal, request_id: Uuid::now_v7(), source: None, transport: Transport::Https };
        let session = GitSession {
            service: GitService::UploadPack,
            repository: RepositoryPath::OwnAccount(RepositoryName::parse("shop").unwrap()),
            protocol_version: 2,
            mode: GitMode::StatelessRpc,
        };
        host.open(&ctx, &session).map(|_| ())
    }

    // D6
    #[test]
    fn a_role_is_handed_over_by_permission_to_the_service_that_is_named() {
        let inside = prepared();
        let _inside = inside.runtime.enter();
        let (host, dan) = (&inside.host, inside.as_dan());
        let (home, builder) = (account(), name("builder"));
        let other = AccountId::parse("222222222222").unwrap();
        let pass = |ctx: &OpContext, service, owner: &AccountId, role: &PrincipalName| {
            host.pass_role(ctx, service, owner, (&home, role))
        };
        let passed = pass(&dan, ActingService::CodeBuild, &home, &builder).unwrap();
        assert_eq!((passed.service, &passed.name), (ActingService::CodeBuild, &builder));
        for service in [ActingService::CodePipeline, ActingService::CodeDeploy, ActingService::Events] {
            let refused = pass(&dan, service, &home, &builder).unwrap_err();
            assert!(matches!(&refused, PassRoleError::NotAllowed(_)), "{refused}");
        }
        // One that is not there is refused as one that may not be handed over.
        let refused = pass(&dan, ActingService::CodeBuild, &home, &name("nope")).unwrap_err();
        assert!(matches!(&refused, PassRoleError::NotAllowed(_)), "{refused}");
        let refused = pass(&dan, ActingService::CodeBuild, &other, &builder).unwrap_err();
        assert!(matches!(&refused, PassRoleError::OtherAccount { .. }), "{refused}");
        let mut eve = dan.clone();
        host.store().wait(host.identity().create_user(&home, &name("eve"), &[])).unwrap();
        let directory = host.identity().directory();
        eve.principal = Principal::User(UserPrincipal::new(directory.user(&home, &name("eve")).unwrap(), None));
        assert!(matches!(
            pass(&eve, ActingService::CodeBuild, &home, &builder),
            Err(PassRoleError::NotAllowed(NotAllowed::Refused(_)))
        ));
    }

    // D6
    #[test]
    fn a_service_acts_by_the_role_for_its_own_resource_and_with_the_user_in_it() {
        let inside = prepared();
        let _inside = inside.runtime.enter();
        let (host, dan) = (&inside.host, inside.as_dan());
        let (home, builder) = (account(), name("builder"));
        let passed = host.pass_role(&dan, ActingService::CodeBuild, &home, (&home, &builder)).unwrap();
        let taken = host.act_by_role(&passed, &work(Some(&dan.principal))).unwrap();
        assert_eq!(taken.session.on_behalf_of.as_ref().map(|user| user.name.as_str()), Some("dan"));
        assert!(taken.session.original_user.is_none() && !taken.session.mfa);
        // The token says the same to every door.
        let token = &taken.credentials.token;
        let key = host.identity().temporary_key(&taken.credentials.access_key_id, token).unwrap();
        assert_eq!(key.principal, Principal::Session(Box::new(taken.session.clone())));
        let acting = key.principal;
        reads(host, acting.clone()).unwrap();

        // Another resource, another service, nobody behind it.
        let other = ServiceWork { source_arn: "arn:aws:codebuild:us-east-1:111111111111:project/x", ..work(None) };
        assert!(matches!(host.act_by_role(&passed, &other), Err(SessionError::NotAllowed(_))));
        let deputy = PassedRole { service: ActingService::CodePipeline, ..passed.clone() };
        assert!(matches!(host.act_by_role(&deputy, &work(None)), Err(SessionError::NotAllowed(_))));
        let alone = host.act_by_role(&passed, &work(None)).unwrap();
        assert!(alone.session.on_behalf_of.is_none());
        assert_eq!(reads(host, Principal::Session(Box::new(alone.session))), Err(GitRefusal::NotFound));
        // A policy of the work narrows it.
        let narrow = ServiceWork {
            policy: Some(r#"permit (principal, action == Action::"codecommit:GetRepository", resource);"#.to_owned()),
            ..work(Some(&dan.principal))
        };
        let narrow = host.act_by_role(&passed, &narrow).unwrap().session;
        let refused = reads(host, Principal::Session(Box::new(narrow)));
        assert!(matches!(refused, Err(GitRefusal::Forbidden(_))));
        // What a service set off, or a session that acts for somebody, goes on with the same user.
        let next = host.act_by_role(&passed, &work(Some(&acting))).unwrap().session;
        assert_eq!(next.on_behalf_of, taken.session.on_behalf_of);

        // With the user's access the service's ends, and nothing new begins.
        host.store().wait(host.identity().set_user_disabled(&home, &name("dan"), true)).unwrap();
        assert!(matches!(reads(host, acting), Err(GitRefusal::Forbidden(said)) if said.contains("has ended")));
        let refused = host.act_by_role(&passed, &work(Some(&dan.principal))).unwrap_err();
        assert!(refused.to_string().contains("has ended"), "{refused}");
        // A role that is gone is not taken, nor one that came after it.
        host.store().wait(host.identity().delete_role(&home, &builder)).unwrap();
        assert!(host.act_by_role(&passed, &work(None)).unwrap_err().to_string().contains("is gone"));
    }
}
