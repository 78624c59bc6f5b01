//! The schema and the actions it names.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, LazyLock};

use cedar_policy::{EntityId, EntityTypeName, EntityUid, Schema};

/// The schema that this program speaks, as text; the copy in a policy folder is for readers.
pub const SCHEMA: &str = include_str!("../../policies/lockgate.cedarschema");

/// An action of the schema, such as `codecommit:GitPush`. Named as AWS names it; groups such as `codecommit:Read` are
/// not actions.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Action(Arc<str>);

/// A name that is no action of the schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is no action: {hint}")]
pub struct UnknownAction {
    name: String,
    hint: String,
}

macro_rules! actions {
    ($($(#[$doc:meta])* $function:ident = $name:literal;)*) => {
        impl Action {
            $($(#[$doc])* pub fn $function() -> Action { Action($name.into()) })*
        }
        #[cfg(test)]
        const NAMED_ACTIONS: &[&str] = &[$($name),*];
    };
}

actions! {
    /// Knowing of a repository at all; what may not be known of does not exist for the one who asks.
    get_repository = "codecommit:GetRepository";
    /// Fetching and cloning.
    git_pull = "codecommit:GitPull";
    /// Reading a repository as it stood earlier, besides the reading itself.
    read_past = "lockgate:ReadPast";
    /// `git archive --remote`.
    upload_archive = "codecommit:UploadArchive";
    /// Changing one ref by a push.
    git_push = "codecommit:GitPush";
    /// Changing one path; forbids only, on top of a permitted change of the ref.
    write_path = "codecommit:WritePath";
    /// Listing an account's repositories.
    list_repositories = "codecommit:ListRepositories";
    /// Creating a repository, asked for the repository that is to be.
    create_repository = "codecommit:CreateRepository";
    /// Filling a new repository from elsewhere, all refs at once.
    import_repository = "codecommit:ImportRepository";
    /// Deleting a repository.
    delete_repository = "codecommit:DeleteRepository";
    /// Renaming a repository.
    update_repository_name = "codecommit:UpdateRepositoryName";
    /// Changing which branch `HEAD` names.
    update_default_branch = "codecommit:UpdateDefaultBranch";
    /// Putting one event on a bus.
    put_events = "events:PutEvents";
    /// Taking a role.
    assume_role = "sts:AssumeRole";
    /// Taking a role as somebody for whom an OpenID provider vouches.
    assume_role_with_web_identity = "sts:AssumeRoleWithWebIdentity";
    /// Temporary credentials of a user's own; forbids only.
    get_session_token = "sts:GetSessionToken";
    /// Storing a role for a service to use.
    pass_role = "iam:PassRole";
    /// Making a policy set the active one.
    apply_policy = "lockgate:ApplyPolicy";
    /// Reading policies.
    read_policy = "lockgate:ReadPolicy";
    /// Reading decision records.
    read_decision = "lockgate:ReadDecision";
}

impl Action {
    /// The action of that name; fails, with the nearest name, where the schema has none.
    pub fn parse(name: &str) -> Result<Action, UnknownAction> {
        if SPOKEN.actions.contains_key(name) {
            return Ok(Action(name.into()));
        }
        let shown = crate::names::escape_for_people(name.as_bytes(), 100);
        let hint = if SPOKEN.groups.iter().any(|group| group == name) {
            "it is a group of actions, name one of them".to_owned()
        } else {
            let nearest = SPOKEN.actions.keys().max_by(|a, b| {
                strsim::jaro_winkler(a, &shown).total_cmp(&strsim::jaro_winkler(b, &shown)).then_with(|| b.cmp(a))
            });
            match nearest {
                Some(nearest) => format!("the nearest one is `{nearest}`"),
                None => "the schema has none".to_owned(),
            }
        };
        Err(UnknownAction { name: shown, hint })
    }

    /// All actions, sorted by name.
    pub fn all() -> Vec<Action> {
        let mut all: Vec<Action> = SPOKEN.actions.keys().map(|name| Action(name.as_str().into())).collect();
        all.sort();
        all
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The kinds of things that the action is asked of, as entity types: `Repository`.
    pub fn resource_kinds(&self) -> Vec<String> {
        let known = SPOKEN.actions.get(&*self.0);
        let kinds = known.and_then(|known| SPOKEN.schema.resources_for_action(&known.uid)).into_iter().flatten();
        kinds.map(|kind| kind.basename().to_owned()).collect()
    }

    /// Whether the action needs no permit and can only be forbidden.
    pub(super) fn is_forbid_only(&self) -> bool {
        matches!(&*self.0, "codecommit:WritePath" | "sts:GetSessionToken")
    }

    /// Whether the action needs a trust permit even within one account.
    pub(super) fn always_needs_trust(&self) -> bool {
        matches!(&*self.0, "sts:AssumeRole" | "sts:AssumeRoleWithWebIdentity")
    }

    /// Whether the action writes a ref: it is in `codecommit:ChangeRef`.
    pub fn changes_a_ref(&self) -> bool {
        let group = action_uid("codecommit:ChangeRef");
        SPOKEN.actions.get(&*self.0).is_some_and(|known| known.groups.contains(&group))
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

/// One action as Cedar sees it.
pub(super) struct KnownAction {
    pub(super) uid: EntityUid,
    /// The groups that it is in, directly or not.
    pub(super) groups: Vec<EntityUid>,
}

/// The parsed schema and its actions.
pub(super) struct Spoken {
    pub(super) schema: Schema,
    pub(super) actions: HashMap<String, KnownAction>,
    groups: Vec<String>,
}

/// The schema is a constant of the program, so it is parsed once, at first use; a test parses it.
pub(super) static SPOKEN: LazyLock<Spoken> = LazyLock::new(|| {
    // INVARIANT: SCHEMA is part of the program, and `tests::the_schema_parses` holds it valid.
    let (schema, _warnings) = Schema::from_cedarschema_str(SCHEMA).expect("the built-in schema parses");
    let entities = schema.action_entities().expect("the actions of a parsed schema form a hierarchy");
    let groups: Vec<EntityUid> = schema.action_groups().cloned().collect();
    let actions = schema
        .actions()
        .filter(|uid| !groups.contains(uid))
        .map(|uid| {
            let groups = entities.ancestors(uid).into_iter().flatten().cloned().collect();
            (uid.id().unescaped().to_owned(), KnownAction { uid: uid.clone(), groups })
        })
        .collect();
    let groups = groups.iter().map(|uid| uid.id().unescaped().to_owned()).collect();
    Spoken { schema, actions, groups }
});

/// `Action::"name"`.
pub(super) fn action_uid(name: &str) -> EntityUid {
    static ACTION: LazyLock<EntityTypeName> =
        LazyLock::new(|| "Action".parse().expect("`Action` is a valid entity type name"));
    EntityUid::from_type_name_and_id(ACTION.clone(), EntityId::new(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_parses() {
        let (_, warnings) = Schema::from_cedarschema_str(SCHEMA).unwrap();
        assert_eq!(warnings.map(|warning| warning.to_string()).collect::<Vec<_>>(), Vec::<String>::new());
        for name in NAMED_ACTIONS {
            assert!(Action::parse(name).is_ok(), "{name}");
        }
        assert_eq!(
            Action::parse("codecommit:GitPsuh").unwrap_err().to_string(),
            "`codecommit:GitPsuh` is no action: the nearest one is `codecommit:GitPush`"
        );
        assert!(Action::parse("codecommit:Read").unwrap_err().to_string().contains("group"));
    }

    // D1: whatever is asked for a ref changes it and is in the group that protecting policies name.
    #[test]
    fn every_action_on_a_ref_is_in_change_ref() {
        let spoken = &*SPOKEN;
        let mut n_found = 0;
        for action in Action::all() {
            let uid = &spoken.actions[action.as_str()].uid;
            let on_a_ref = spoken
                .schema
                .resources_for_action(uid)
                .is_some_and(|mut types| types.any(|resource| resource.basename() == "Ref"));
            assert_eq!(on_a_ref, action.changes_a_ref(), "{action}");
            n_found += usize::from(on_a_ref);
        }
        assert!(n_found >= 12);
    }

    // The API's operations, each with an action of its name: a call whose action is missing could not be permitted.
    #[test]
    fn each_operation_of_codecommit_is_an_action() {
        let operations: Vec<&str> = CODECOMMIT_OPERATIONS.split_whitespace().collect();
        assert_eq!(operations.len(), 80);
        for operation in operations {
            assert!(Action::parse(&format!("codecommit:{operation}")).is_ok(), "{operation}");
        }
    }

    /// CodeCommit's API of 2015-04-13, from its service model.
    const CODECOMMIT_OPERATIONS: &str = "
        AssociateApprovalRuleTemplateWithRepository BatchAssociateApprovalRuleTemplateWithRepositories
        BatchDescribeMergeConflicts BatchDisassociateApprovalRuleTemplateFromRepositories BatchGetCommits
        BatchGetRepositories CreateApprovalRuleTemplate CreateBranch CreateCommit CreatePullRequest
        CreatePullRequestApprovalRule CreateRepository CreateUnreferencedMergeCommit
        DeleteApprovalRuleTemplate DeleteBranch DeleteCommentContent DeleteFile
        DeletePullRequestApprovalRule DeleteRepository DescribeMergeConflicts DescribePullRequestEvents
        DisassociateApprovalRuleTemplateFromRepository EvaluatePullRequestApprovalRules
        GetApprovalRuleTemplate GetBlob GetBlobDifferences GetBranch GetComment GetCommentReactions
        GetCommentsForComparedCommit GetCommentsForPullRequest GetCommit GetDifferences GetFile GetFolder
        GetMergeCommit GetMergeConflicts GetMergeOptions GetPullRequest GetPullRequestApprovalStates
        GetPullRequestOverrideState GetRepository GetRepositoryTriggers ListApprovalRuleTemplates
        ListAssociatedApprovalRuleTemplatesForRepository ListBranches ListFileCommitHistory ListPullRequests
        ListRepositories ListRepositoriesForApprovalRuleTemplate ListTagsForResource
        MergeBranchesByFastForward MergeBranchesBySquash MergeBranchesByThreeWay
        MergePullRequestByFastForward MergePullRequestBySquash MergePullRequestByThreeWay
        OverridePullRequestApprovalRules PostCommentForComparedCommit PostCommentForPullRequest
        PostCommentReply PutCommentReaction PutFile PutRepositoryTriggers TagResource TestRepositoryTriggers
        UntagResource UpdateApprovalRuleTemplateContent UpdateApprovalRuleTemplateDescription
        UpdateApprovalRuleTemplateName UpdateComment UpdateDefaultBranch
        UpdatePullRequestApprovalRuleContent UpdatePullRequestApprovalState UpdatePullRequestDescription
        UpdatePullRequestStatus UpdatePullRequestTitle UpdateRepositoryDescription
        UpdateRepositoryEncryptionKey UpdateRepositoryName
    ";
}
