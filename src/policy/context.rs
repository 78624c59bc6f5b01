//! What a request carries besides who, what and which, and the Cedar context that it becomes.

use std::collections::{BTreeSet, HashMap};
use std::mem::{Discriminant, discriminant};
use std::net::IpAddr;
use std::sync::{LazyLock, OnceLock};

use cedar_policy::{Context, RestrictedExpression};
use cedar_policy_core::ast::{Name, RestrictedExpr};

use super::action::{Action, SPOKEN};
use super::entities::{
    Closure, PathFacts, PrincipalFacts, RepositoryFacts, ResourceFacts, Tags, UserFacts, service_uid, tag_set, text,
};
use crate::names::{AccountId, PrincipalName, RefName, RepositoryName};

/// What every request carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestFacts {
    /// When, in milliseconds since the Unix epoch.
    pub time_ms: i64,
    /// From where, if over a network.
    pub source_ip: Option<IpAddr>,
    /// By which door.
    pub transport: Transport,
    /// Whether a second factor was used.
    pub mfa: bool,
}

/// The door that a request came through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// Git over HTTPS.
    Https,
    /// Git over SSH.
    Ssh,
    /// The AWS-wire API.
    Api,
    /// The console's pages.
    Console,
    /// The command line, over the server's own socket.
    Cli,
}

/// The context of a request, by what its action asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContextFacts {
    /// Nothing besides [`RequestFacts`].
    Plain,
    /// A change of one ref.
    RefChange(RefChangeFacts),
    /// A change of one path; the ref stands in [`super::PathFacts`].
    WritePath,
    /// Taking a role.
    AssumeRole(AssumeRoleFacts),
    /// Taking a role as somebody for whom an OpenID provider vouches: without external id and source ARN, which are left out.
    AssumeRoleWithWebIdentity(AssumeRoleFacts),
    /// Storing a role for the service of that name.
    PassRole {
        /// The service, such as `codebuild.amazonaws.com`.
        passed_to: String,
    },
    /// Making something with tags, or changing its tags.
    Tagging {
        /// The tags that are given.
        tags: Tags,
        /// The keys of those that are given, or taken away.
        keys: BTreeSet<String>,
    },
    /// Use of a key.
    KeyUse {
        /// The service that uses it on somebody's behalf.
        via_service: Option<String>,
        /// The encryption context.
        encryption_context: Tags,
    },
    /// Saying how a check of a commit stands.
    PutStatus {
        /// The check, `build`.
        check: String,
        /// How it stands, `SUCCESS`.
        state: String,
    },
    /// Putting one event on a bus.
    PutEvent {
        /// Its source, `aws.codecommit`.
        source: String,
        /// Its detail type.
        detail_type: String,
    },
    /// Giving a rule of events its targets, by their ARNs.
    PutTargets(BTreeSet<String>),
    /// Starting a build.
    StartBuild {
        /// What the call replaces of its project, `buildspecOverride`.
        overrides: BTreeSet<String>,
        /// The commit, branch or tag to build.
        source_version: Option<String>,
    },
    /// Answering a pipeline's question for approval.
    Approval {
        /// Whether the answer is yes.
        approved: bool,
        /// Whether the one who answers wrote what waits, where that is known.
        is_author: Option<bool>,
    },
    /// Listing a bucket, what begins with this.
    ListBucket(String),
}

/// What happens to a ref.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ChangeKind {
    /// It did not exist.
    Create,
    /// The old tip is reachable from the new one.
    FastForward,
    /// The old tip is not reachable from the new one: history is rewritten.
    Force,
    /// It ceases to exist.
    Delete,
}

/// Facts about the change of one ref, computed from the objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefChangeFacts {
    /// What happens to the ref.
    pub change: ChangeKind,
    /// How many commits it gains, where that was counted.
    pub commit_count: Option<u64>,
    /// Their authors' addresses, where they were read.
    pub authors: Option<BTreeSet<String>>,
    /// Their committers' addresses, where they were read.
    pub committers: Option<BTreeSet<String>>,
    /// Whether each author and committer carries an address that a user has registered, where they were read.
    pub all_authors_registered: Option<bool>,
    /// Whether each of them, and the commit that the ref points at, carries a signature that was verified.
    pub all_commits_signed: bool,
    /// Who signed.
    pub signers: Vec<UserFacts>,
    /// The pull request that is being merged, if one is.
    pub pull_request: Option<PullRequestFacts>,
    /// Names of the checks that passed for the new tip.
    pub checks_passed: BTreeSet<String>,
    /// Push options, each one element.
    pub push_options: Vec<String>,
}

/// Facts about the pull request being merged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullRequestFacts {
    /// Whether the one who merges wrote it.
    pub is_author: bool,
    /// Approvals that count.
    pub approval_count: u64,
    /// Who gave them.
    pub approvers: Vec<UserFacts>,
    /// Names of the approval rules that are satisfied.
    pub approval_rules_satisfied: BTreeSet<String>,
    /// Whether the owners of each changed path approved.
    pub path_owners_approved: bool,
}

/// Facts about taking a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssumeRoleFacts {
    /// The name that the session will have.
    pub session_name: String,
    /// The external id given.
    pub external_id: Option<String>,
    /// The source identity given.
    pub source_identity: Option<String>,
    /// The resource that a service acts from.
    pub source_arn: Option<String>,
    /// The session tags given, and those that are kept from the session that asks.
    pub session_tags: Tags,
    /// The keys of those that are kept when another role is taken from the session.
    pub transitive_tag_keys: BTreeSet<String>,
}

impl ChangeKind {
    /// The word in `context.change`.
    pub fn as_str(self) -> &'static str {
        match self {
            ChangeKind::Create => "create",
            ChangeKind::FastForward => "fast-forward",
            ChangeKind::Force => "force",
            ChangeKind::Delete => "delete",
        }
    }

    /// The kind named by a word of `context.change`.
    pub fn parse(word: &str) -> Option<ChangeKind> {
        use ChangeKind::*;
        [Create, FastForward, Force, Delete].into_iter().find(|kind| kind.as_str() == word)
    }
}

impl Transport {
    /// The word in `context.request.transport`.
    pub fn as_str(self) -> &'static str {
        match self {
            Transport::Https => "https",
            Transport::Ssh => "ssh",
            Transport::Api => "api",
            Transport::Console => "console",
            Transport::Cli => "cli",
        }
    }
}

impl RefChangeFacts {
    /// A change of that kind about whose commits nothing is known: none counts as signed, reviewed or checked.
    pub fn of_kind(change: ChangeKind) -> RefChangeFacts {
        RefChangeFacts {
            change,
            commit_count: None,
            authors: None,
            committers: None,
            all_authors_registered: None,
            all_commits_signed: false,
            signers: Vec::new(),
            pull_request: None,
            checks_passed: BTreeSet::new(),
            push_options: Vec::new(),
        }
    }
}

impl ContextFacts {
    /// Making something with these tags, or giving it these.
    pub fn tagging(tags: Tags) -> ContextFacts {
        let keys = tags.keys().cloned().collect();
        ContextFacts::Tagging { tags, keys }
    }

    /// The least that the action's context can hold, for questions asked by hand: a fast-forward, a session named `explain`.
    pub fn least_for(action: &Action) -> ContextFacts {
        let fitting = samples().into_iter().map(|(least, _)| least).find(|least| always_fits(action, least));
        match fitting {
            Some(ContextFacts::RefChange(_)) => {
                ContextFacts::RefChange(RefChangeFacts::of_kind(ChangeKind::FastForward))
            }
            Some(ContextFacts::AssumeRole(facts)) => {
                ContextFacts::AssumeRole(AssumeRoleFacts { session_name: "explain".to_owned(), ..facts })
            }
            Some(ContextFacts::AssumeRoleWithWebIdentity(facts)) => {
                ContextFacts::AssumeRoleWithWebIdentity(AssumeRoleFacts { session_name: "explain".to_owned(), ..facts })
            }
            Some(least) => least,
            None => ContextFacts::Plain,
        }
    }
}

/// Builds the context; entities that it names go into `closure`. Fails, in words for people, on facts that Cedar cannot hold.
pub(super) fn build(
    principal: &PrincipalFacts,
    action: &Action,
    resource: &ResourceFacts,
    request: &RequestFacts,
    facts: &ContextFacts,
    extra: Option<&serde_json::Value>,
    closure: &mut Closure,
) -> Result<Context, String> {
    let mut pairs = vec![("request", request_record(request)?)];
    match facts {
        ContextFacts::Plain => {}
        ContextFacts::RefChange(change) => change.pairs(&mut pairs, closure)?,
        ContextFacts::WritePath => {
            let ResourceFacts::Path(path) = resource else {
                return Err("a path's context was given for what is no path".to_owned());
            };
            let on = path.repository.ref_uid(&path.on);
            pairs.push(("ref", RestrictedExpression::new_entity_uid(on)));
        }
        ContextFacts::AssumeRole(assume) => assume.pairs(true, &mut pairs, closure),
        ContextFacts::AssumeRoleWithWebIdentity(assume) => assume.pairs(false, &mut pairs, closure),
        ContextFacts::PassRole { passed_to } => {
            PrincipalFacts::Service(passed_to.clone()).collect(closure);
            pairs.push(("passedTo", RestrictedExpression::new_entity_uid(service_uid(passed_to))));
        }
        ContextFacts::Tagging { tags, keys } => {
            pairs.push(("requestTags", tag_set("request", tags, closure)));
            pairs.push(("tagKeys", strings(keys)));
        }
        ContextFacts::KeyUse { via_service, encryption_context } => {
            pairs.extend(via_service.as_ref().map(|service| ("viaService", text(service))));
            pairs.push(("encryptionContext", tag_set("encryptionContext", encryption_context, closure)));
        }
        ContextFacts::PutStatus { check, state } => {
            pairs.push(("check", text(check)));
            pairs.push(("state", text(state)));
        }
        ContextFacts::PutEvent { source, detail_type } => {
            pairs.extend([("source", text(source)), ("detailType", text(detail_type))]);
        }
        ContextFacts::PutTargets(arns) => pairs.push(("targetArns", strings(arns))),
        ContextFacts::StartBuild { overrides, source_version } => {
            pairs.push(("overrides", strings(overrides)));
            pairs.extend(source_version.as_ref().map(|version| ("sourceVersion", text(version))));
        }
        ContextFacts::Approval { approved, is_author } => {
            pairs.push(("approved", RestrictedExpression::new_bool(*approved)));
            pairs.extend(is_author.map(|is_author| ("isAuthor", RestrictedExpression::new_bool(is_author))));
        }
        ContextFacts::ListBucket(prefix) => pairs.push(("prefix", text(prefix))),
    }
    let pairs = pairs.into_iter().map(|(name, value)| (name.to_owned(), value));
    let context = Context::from_pairs(pairs).map_err(|failed| failed.to_string())?;
    let Some(extra) = extra else { return Ok(context) };
    let mut json = context.to_json_value().map_err(|failed| failed.to_string())?;
    overlay(&mut json, extra);
    let uid = SPOKEN.actions.get(action.as_str()).map(|known| &known.uid);
    let uid = uid.ok_or_else(|| format!("`{action}` is no action of the schema"))?;
    Context::from_json_value(json, Some((&SPOKEN.schema, uid)))
        .map_err(|failed| format!("the context given for {} does not fit `{action}`: {failed}", principal.entity_id()))
}

/// Whether every context built from facts of this kind, whatever they are, is of the type that the action declares.
///
/// Checking a context costs more than judging by it, and for one kind of facts [`build`] gives each field always the same type: facts differ
/// in values, which types do not see, and in which optional fields are there. A declared record has each field by itself, so if
/// the context with all optional fields fits and the one without any does, each one between fits. Those two are tried, once for
/// each action. What is not known to fit is to be checked.
pub(super) fn always_fits(action: &Action, facts: &ContextFacts) -> bool {
    type Kinds = OnceLock<Vec<Discriminant<ContextFacts>>>;
    static FITTING: LazyLock<HashMap<String, Kinds>> =
        LazyLock::new(|| SPOKEN.actions.keys().map(|name| (name.clone(), OnceLock::new())).collect());
    let fitting = || {
        let kinds = samples().into_iter().filter(|(least, most)| {
            let same_kind = discriminant(least) == discriminant(most);
            same_kind && sample_fits(action, least, None) && sample_fits(action, most, Some([127, 0, 0, 1].into()))
        });
        kinds.map(|(least, _)| discriminant(&least)).collect()
    };
    // An action is tried when it is first asked: a server asks a few of many.
    FITTING.get(action.as_str()).is_some_and(|kinds| kinds.get_or_init(fitting).contains(&discriminant(facts)))
}

/// The context of the action with each field that it can have, as Cedar JSON: what stands in it says only of which type it is.
pub(super) fn fullest(action: &Action) -> Option<serde_json::Value> {
    let (_, most) = samples().into_iter().find(|(least, _)| always_fits(action, least))?;
    sample(action, &most, Some([127, 0, 0, 1].into())).ok()?.to_json_value().ok()
}

fn sample_fits(action: &Action, facts: &ContextFacts, source_ip: Option<IpAddr>) -> bool {
    let Some(known) = SPOKEN.actions.get(action.as_str()) else { return false };
    sample(action, facts, source_ip).is_ok_and(|context| context.validate(&SPOKEN.schema, &known.uid).is_ok())
}

fn sample(action: &Action, facts: &ContextFacts, source_ip: Option<IpAddr>) -> Result<Context, String> {
    let on = RefName::parse(b"refs/heads/x").map_err(|bad| bad.to_string())?;
    let name = RepositoryName::parse("x").map_err(|bad| bad.to_string())?;
    let repository = RepositoryFacts { account: sample_user().account, name, default_branch: None, tags: Tags::new() };
    // Only a path's context looks at the resource, and asks for a path.
    let resource = ResourceFacts::Path(PathFacts { repository, on, path: b"x".to_vec() });
    let principal = PrincipalFacts::User(sample_user());
    let request = RequestFacts { time_ms: 0, source_ip, transport: Transport::Cli, mfa: false };
    build(&principal, action, &resource, &request, facts, None, &mut Closure::default())
}

/// Of each kind the facts with the fewest fields, and those with all of them and something in each set. A field that is new must
/// be given here, or this does not compile; a kind that is not here is checked each time.
fn samples() -> Vec<(ContextFacts, ContextFacts)> {
    let words = || BTreeSet::from(["x".to_owned()]);
    let passed = || ContextFacts::PassRole { passed_to: "x".to_owned() };
    let full_change = RefChangeFacts {
        change: ChangeKind::Create,
        commit_count: Some(1),
        authors: Some(words()),
        committers: Some(words()),
        all_authors_registered: Some(true),
        all_commits_signed: true,
        signers: vec![sample_user()],
        pull_request: Some(PullRequestFacts {
            is_author: true,
            approval_count: 1,
            approvers: vec![sample_user()],
            approval_rules_satisfied: words(),
            path_owners_approved: true,
        }),
        checks_passed: words(),
        push_options: vec!["x".to_owned()],
    };
    let assume = |given: Option<String>, keys: BTreeSet<String>| AssumeRoleFacts {
        session_name: "x".to_owned(),
        external_id: given.clone(),
        source_identity: given.clone(),
        source_arn: given,
        session_tags: keys.iter().map(|key| (key.clone(), key.clone())).collect(),
        transitive_tag_keys: keys,
    };
    let (no_assume, full_assume) = (assume(None, BTreeSet::new()), assume(Some("x".to_owned()), words()));
    let one = || Some("x".to_owned());
    let tags = || Tags::from([("x".to_owned(), "y".to_owned())]);
    let tagging = |tags, keys| ContextFacts::Tagging { tags, keys };
    let key = |via_service, encryption_context| ContextFacts::KeyUse { via_service, encryption_context };
    let event = || ContextFacts::PutEvent { source: "x".to_owned(), detail_type: "x".to_owned() };
    let status = || ContextFacts::PutStatus { check: "x".to_owned(), state: "x".to_owned() };
    let build = |overrides, source_version| ContextFacts::StartBuild { overrides, source_version };
    let approval = |is_author| ContextFacts::Approval { approved: true, is_author };
    vec![
        (ContextFacts::Plain, ContextFacts::Plain),
        (ContextFacts::RefChange(RefChangeFacts::of_kind(ChangeKind::Create)), ContextFacts::RefChange(full_change)),
        (ContextFacts::WritePath, ContextFacts::WritePath),
        (ContextFacts::AssumeRole(no_assume.clone()), ContextFacts::AssumeRole(full_assume.clone())),
        (ContextFacts::AssumeRoleWithWebIdentity(no_assume), ContextFacts::AssumeRoleWithWebIdentity(full_assume)),
        (passed(), passed()),
        (tagging(Tags::new(), BTreeSet::new()), tagging(tags(), words())),
        (key(None, Tags::new()), key(one(), tags())),
        (status(), status()),
        (event(), event()),
        (ContextFacts::PutTargets(BTreeSet::new()), ContextFacts::PutTargets(words())),
        (build(BTreeSet::new(), None), build(words(), one())),
        (approval(None), approval(Some(true))),
        (ContextFacts::ListBucket(String::new()), ContextFacts::ListBucket(String::new())),
    ]
}

fn sample_user() -> UserFacts {
    UserFacts {
        account: AccountId::parse("111111111111").expect("twelve digits are an account"),
        name: PrincipalName::parse("x").expect("a letter is a name"),
        groups: Vec::new(),
        mfa_enrolled: false,
        tags: Tags::new(),
    }
}

impl RefChangeFacts {
    fn pairs(
        &self,
        pairs: &mut Vec<(&'static str, RestrictedExpression)>,
        closure: &mut Closure,
    ) -> Result<(), String> {
        pairs.push(("change", text(self.change.as_str())));
        if let Some(n_commits) = self.commit_count {
            pairs.push(("commitCount", long(n_commits)));
        }
        if let Some(authors) = &self.authors {
            pairs.push(("authors", strings(authors)));
        }
        if let Some(committers) = &self.committers {
            pairs.push(("committers", strings(committers)));
        }
        if let Some(all_registered) = self.all_authors_registered {
            pairs.push(("allAuthorsRegistered", RestrictedExpression::new_bool(all_registered)));
        }
        pairs.push(("allCommitsSigned", RestrictedExpression::new_bool(self.all_commits_signed)));
        pairs.push(("signers", users(&self.signers, closure)));
        if let Some(pull_request) = &self.pull_request {
            let record = [
                ("isAuthor", RestrictedExpression::new_bool(pull_request.is_author)),
                ("approvalCount", long(pull_request.approval_count)),
                ("approvers", users(&pull_request.approvers, closure)),
                ("approvalRulesSatisfied", strings(&pull_request.approval_rules_satisfied)),
                ("pathOwnersApproved", RestrictedExpression::new_bool(pull_request.path_owners_approved)),
            ];
            pairs.push(("pullRequest", record_of(record)?));
        }
        pairs.push(("checksPassed", strings(&self.checks_passed)));
        if !self.push_options.is_empty() {
            pairs.push(("pushOptions", strings(&self.push_options)));
        }
        Ok(())
    }
}

impl AssumeRoleFacts {
    /// `of_account`: the one who asks is of an account or a service, which say more.
    fn pairs(&self, of_account: bool, pairs: &mut Vec<(&'static str, RestrictedExpression)>, closure: &mut Closure) {
        pairs.push(("sessionName", text(&self.session_name)));
        let optional = [
            ("externalId", of_account, &self.external_id),
            ("sourceIdentity", true, &self.source_identity),
            ("sourceArn", of_account, &self.source_arn),
        ];
        let optional = optional.into_iter().filter(|(_, is_known, _)| *is_known);
        pairs.extend(optional.filter_map(|(name, _, value)| Some((name, text(value.as_ref()?)))));
        pairs.push(("sessionTagKeys", strings(self.session_tags.keys())));
        pairs.push(("sessionTags", tag_set("session", &self.session_tags, closure)));
        pairs.push(("transitiveTagKeys", strings(&self.transitive_tag_keys)));
    }
}

fn request_record(request: &RequestFacts) -> Result<RestrictedExpression, String> {
    let time = jiff::Timestamp::from_millisecond(request.time_ms).map_err(|failed| failed.to_string())?;
    let time = time.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string();
    let mut pairs = vec![
        ("time", extension_value(&CONSTRUCTORS.datetime, &time)),
        ("transport", text(request.transport.as_str())),
        ("mfa", RestrictedExpression::new_bool(request.mfa)),
    ];
    if let Some(address) = request.source_ip {
        // A v4 address that arrived in v6 clothes is the v4 address that policies name.
        pairs.push(("sourceIp", extension_value(&CONSTRUCTORS.ip, &address.to_canonical().to_string())));
    }
    record_of(pairs)
}

/// The names of the functions that make values of Cedar's extension types.
struct Constructors {
    datetime: Name,
    ip: Name,
}

/// `RestrictedExpression::new_ip` and its like parse their constant name anew each time, which is half of a decision.
static CONSTRUCTORS: LazyLock<Constructors> = LazyLock::new(|| {
    let named = |name: &str| name.parse().expect("the name of a function is an identifier");
    Constructors { datetime: named("datetime"), ip: named("ip") }
});

fn extension_value(constructor: &Name, argument: &str) -> RestrictedExpression {
    RestrictedExpr::call_extension_fn(constructor.clone(), [RestrictedExpr::val(argument)]).into()
}

fn record_of(
    pairs: impl IntoIterator<Item = (&'static str, RestrictedExpression)>,
) -> Result<RestrictedExpression, String> {
    RestrictedExpression::new_record(pairs.into_iter().map(|(name, value)| (name.to_owned(), value)))
        .map_err(|failed| failed.to_string())
}

fn strings<'a>(values: impl IntoIterator<Item = &'a String>) -> RestrictedExpression {
    RestrictedExpression::new_set(values.into_iter().map(|value| text(value)))
}

fn users(users: &[UserFacts], closure: &mut Closure) -> RestrictedExpression {
    RestrictedExpression::new_set(users.iter().map(|user| {
        PrincipalFacts::User(user.clone()).collect(closure);
        RestrictedExpression::new_entity_uid(user.uid())
    }))
}

fn long(value: u64) -> RestrictedExpression {
    RestrictedExpression::new_long(i64::try_from(value).unwrap_or(i64::MAX))
}

/// Puts each field of `extra` over `base`, records field by field.
fn overlay(base: &mut serde_json::Value, extra: &serde_json::Value) {
    match (base, extra) {
        // An extension value such as `{"__extn": ...}` is one value.
        (serde_json::Value::Object(base), serde_json::Value::Object(extra))
            if !base.contains_key("__extn") && !extra.contains_key("__extn") =>
        {
            for (name, value) in extra {
                overlay(base.entry(name.clone()).or_insert(serde_json::Value::Null), value);
            }
        }
        (base, extra) => *base = extra.clone(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_words() -> impl Strategy<Value = BTreeSet<String>> {
        prop::collection::btree_set(any::<String>(), 0..3)
    }

    fn any_users() -> impl Strategy<Value = Vec<UserFacts>> {
        prop::collection::vec("[a-z]{1,8}", 0..3).prop_map(|names| {
            let user = |name: &String| UserFacts { name: PrincipalName::parse(name).unwrap(), ..sample_user() };
            names.iter().map(user).collect()
        })
    }

    fn any_facts() -> impl Strategy<Value = ContextFacts> {
        let pull_request =
            (any::<bool>(), any::<u64>(), any_users(), any_words()).prop_map(|(yes, n, users, words)| {
                PullRequestFacts {
                    is_author: yes,
                    approval_count: n,
                    approvers: users,
                    approval_rules_satisfied: words,
                    path_owners_approved: !yes,
                }
            });
        let optional_words = || prop::option::of(any_words());
        let commits = (any::<Option<u64>>(), optional_words(), optional_words(), any::<Option<bool>>());
        let reviews = (any::<bool>(), any_users(), prop::option::of(pull_request), any_words());
        let change = (commits, reviews, prop::collection::vec(any::<String>(), 0..3));
        let change = change.prop_map(|(commits, reviews, push_options)| {
            let (commit_count, authors, committers, all_authors_registered) = commits;
            let (all_commits_signed, signers, pull_request, checks_passed) = reviews;
            ContextFacts::RefChange(RefChangeFacts {
                change: ChangeKind::Force,
                commit_count,
                authors,
                committers,
                all_authors_registered,
                all_commits_signed,
                signers,
                pull_request,
                checks_passed,
                push_options,
            })
        });
        let assume = (any::<String>(), any::<[Option<String>; 3]>(), any_words());
        let assume =
            assume.prop_map(|(session_name, [external_id, source_identity, source_arn], transitive_tag_keys)| {
                AssumeRoleFacts {
                    session_name,
                    external_id,
                    source_identity,
                    source_arn,
                    session_tags: transitive_tag_keys.iter().map(|key| (key.clone(), key.clone())).collect(),
                    transitive_tag_keys,
                }
            });
        let assume = (assume, any::<bool>()).prop_map(|(facts, by_token)| match by_token {
            true => ContextFacts::AssumeRoleWithWebIdentity(facts),
            false => ContextFacts::AssumeRole(facts),
        });
        let passed = any::<String>().prop_map(|passed_to| ContextFacts::PassRole { passed_to });
        let key = (any::<Option<String>>(), any_words()).prop_map(|(via_service, words)| ContextFacts::KeyUse {
            via_service,
            encryption_context: words.into_iter().map(|word| (word.clone(), word)).collect(),
        });
        let tagging = any_words().prop_map(|keys| ContextFacts::Tagging {
            tags: keys.iter().map(|key| (key.clone(), key.clone())).collect(),
            keys,
        });
        let event =
            any::<[String; 2]>().prop_map(|[source, detail_type]| ContextFacts::PutEvent { source, detail_type });
        let status = any::<[String; 2]>().prop_map(|[check, state]| ContextFacts::PutStatus { check, state });
        let build = (any_words(), any::<Option<String>>())
            .prop_map(|(overrides, source_version)| ContextFacts::StartBuild { overrides, source_version });
        let approval = any::<(bool, Option<bool>)>()
            .prop_map(|(approved, is_author)| ContextFacts::Approval { approved, is_author });
        let later = prop_oneof![
            key,
            status,
            tagging,
            event,
            any_words().prop_map(ContextFacts::PutTargets),
            build,
            approval,
            any::<String>().prop_map(ContextFacts::ListBucket),
        ];
        let plain = prop_oneof![Just(ContextFacts::Plain), Just(ContextFacts::WritePath)];
        prop_oneof![change, assume, passed, later, plain]
    }

    proptest! {
        // Those that are not checked would have passed the check, and none that fails it goes unchecked.
        #[test]
        fn what_always_fits_does_fit(facts in any_facts(), source_ip in any::<Option<IpAddr>>()) {
            for action in Action::all() {
                let (unchecked, fits) = (always_fits(&action, &facts), sample_fits(&action, &facts, source_ip));
                prop_assert!(fits || !unchecked, "{}", action);
                // What fits and is checked all the same: another kind's facts, some of which would not fit.
                let by_token = action == Action::assume_role_with_web_identity();
                prop_assert!(unchecked || !fits || by_token, "{}", action);
            }
        }
    }

    #[test]
    fn each_action_fits_its_own_kind() {
        for action in Action::all() {
            let n_fitting = samples().iter().filter(|(least, _)| always_fits(&action, least)).count();
            // Those who come with a token say less than others who take a role.
            assert_eq!(n_fitting, if action == Action::assume_role() { 2 } else { 1 }, "{action}");
        }
    }
}
