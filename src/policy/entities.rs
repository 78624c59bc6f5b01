//! Plain facts about who asks and what for, and the Cedar entities they become.
//!
//! An answer is only as good as the entities behind it: an ancestor left out makes `resource in Account::"..."` false and a
//! forbid ineffective. So callers give facts, and the closure is built here and nowhere else: whatever a policy validated at
//! level 2 can reach is supplied.

use std::collections::{BTreeMap, HashSet};
use std::sync::LazyLock;

use cedar_policy::{Entities, EntityId, EntityTypeName, EntityUid, RestrictedExpression};
use cedar_policy_core::ast;
use cedar_policy_core::entities::{self, NoEntitiesSchema, TCComputation};
use cedar_policy_core::extensions::Extensions;
use unicode_normalization::UnicodeNormalization;

use super::named::{NamedFacts, NamedKind};
use crate::names::{AccountId, PrincipalName, RefName, RepositoryName};

/// Tags: keys and values, as set on users, roles, sessions and repositories.
pub type Tags = BTreeMap<String, String>;

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PrincipalFacts {
    /// A user of an account.
    User(UserFacts),
    /// A role that someone has assumed.
    Session(Box<SessionFacts>),
    /// A service of this program, such as `codebuild.amazonaws.com`; it belongs to no account.
    Service(String),
    /// Somebody for whom an OpenID provider vouches; belongs to no account.
    WebIdentity(Box<WebIdentityFacts>),
}

/// What an OpenID provider says of somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebIdentityFacts {
    /// The account in which the provider is registered.
    pub account: AccountId,
    /// The issuer's URL without `https://`.
    pub issuer: String,
    /// `sub`.
    pub subject: String,
    /// The one of `aud` that the provider is registered with.
    pub audience: String,
    /// `azp`.
    pub authorized_party: Option<String>,
    /// The provider's tags.
    pub provider_tags: Tags,
    /// The other claims that are text.
    pub claims: Tags,
}

/// A group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupFacts {
    /// The group's account.
    pub account: AccountId,
    /// The group's name.
    pub name: PrincipalName,
}

/// A user and the groups that the user is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserFacts {
    /// The user's account.
    pub account: AccountId,
    /// The user's name.
    pub name: PrincipalName,
    /// The groups, all of the same account.
    pub groups: Vec<PrincipalName>,
    /// Whether a second factor is enrolled.
    pub mfa_enrolled: bool,
    /// The user's tags.
    pub tags: Tags,
}

/// A role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleFacts {
    /// The role's account.
    pub account: AccountId,
    /// The role's name.
    pub name: PrincipalName,
    /// The role's tags.
    pub tags: Tags,
}

/// A session of a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionFacts {
    /// The role; the session belongs to its account.
    pub role: RoleFacts,
    /// The session's name.
    pub name: PrincipalName,
    /// The source identity set when the first role was assumed.
    pub source_identity: Option<String>,
    /// The user at the start of the chain of roles.
    pub original_user: Option<UserFacts>,
    /// Whom a service acts for.
    pub on_behalf_of: Option<UserFacts>,
    /// The session's tags.
    pub tags: Tags,
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResourceFacts {
    /// An account: its users, policies, and what does not exist yet.
    Account(AccountId),
    /// A repository.
    Repository(RepositoryFacts),
    /// A ref.
    Ref(RefFacts),
    /// A path in a repository's tree.
    Path(PathFacts),
    /// A role.
    Role(RoleFacts),
    /// A user.
    User(UserFacts),
    /// A group.
    Group(GroupFacts),
    /// Anything that is known by its kind and name.
    Named(NamedFacts),
}

/// A repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepositoryFacts {
    /// The account that it belongs to.
    pub account: AccountId,
    /// Its name.
    pub name: RepositoryName,
    /// What `HEAD` names.
    pub default_branch: Option<RefName>,
    /// Its tags.
    pub tags: Tags,
}

/// A ref of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefFacts {
    /// The repository.
    pub repository: RepositoryFacts,
    /// The full name.
    pub name: RefName,
}

/// A path in a repository's tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathFacts {
    /// The repository.
    pub repository: RepositoryFacts,
    /// The ref whose tree changes.
    pub on: RefName,
    /// The path's bytes, `/` between its parts, as Git's trees have it.
    pub path: Vec<u8>,
}

impl PrincipalFacts {
    /// The account whose own policies speak about this principal; a service has none.
    pub fn account(&self) -> Option<&AccountId> {
        match self {
            PrincipalFacts::User(user) => Some(&user.account),
            PrincipalFacts::Session(session) => Some(&session.role.account),
            PrincipalFacts::Service(_) | PrincipalFacts::WebIdentity(_) => None,
        }
    }

    /// The entity id as policies write it, such as `User::"111111111111/alice"`.
    pub fn entity_id(&self) -> String {
        self.uid().to_string()
    }

    pub(super) fn uid(&self) -> EntityUid {
        match self {
            PrincipalFacts::User(user) => user.uid(),
            PrincipalFacts::Session(session) => session.uid(),
            PrincipalFacts::Service(name) => uid(&TYPES.service, encode_for_id(name.as_bytes())),
            PrincipalFacts::WebIdentity(identity) => identity.uid(),
        }
    }

    pub(super) fn collect(&self, closure: &mut Closure) {
        match self {
            PrincipalFacts::User(user) => user.collect(closure),
            PrincipalFacts::Session(session) => session.collect(closure),
            PrincipalFacts::Service(_) => closure.add(self.uid(), vec![], vec![], None),
            PrincipalFacts::WebIdentity(identity) => identity.collect(closure),
        }
    }
}

impl WebIdentityFacts {
    fn uid(&self) -> EntityUid {
        let (issuer, subject) = (encode_for_id(self.issuer.as_bytes()), encode_for_id(self.subject.as_bytes()));
        uid(&TYPES.web_identity, format!("{}/{issuer}/{subject}", self.account))
    }

    fn collect(&self, closure: &mut Closure) {
        let provider = NamedFacts {
            kind: NamedKind::OidcProvider,
            account: self.account.clone(),
            name: vec![self.issuer.clone()],
            tags: self.provider_tags.clone(),
        };
        provider.collect(closure);
        let mut attributes =
            vec![("issuer", text(&self.issuer)), ("subject", text(&self.subject)), ("audience", text(&self.audience))];
        if let Some(party) = &self.authorized_party {
            attributes.push(("authorizedParty", text(party)));
        }
        closure.add(self.uid(), vec![provider.uid()], attributes, Some(&self.claims));
    }
}

impl GroupFacts {
    fn uid(&self) -> EntityUid {
        uid(&TYPES.group, format!("{}/{}", self.account, self.name))
    }
}

impl UserFacts {
    pub(super) fn uid(&self) -> EntityUid {
        uid(&TYPES.user, format!("{}/{}", self.account, self.name))
    }

    fn collect(&self, closure: &mut Closure) {
        let account = account_uid(&self.account);
        let mut parents = vec![account.clone()];
        for group in &self.groups {
            let group = uid(&TYPES.group, format!("{}/{group}", self.account));
            closure.add(group.clone(), vec![account.clone()], vec![], None);
            parents.push(group);
        }
        closure.add(account, vec![], vec![], None);
        let attributes = vec![
            ("name", text(self.name.as_str())),
            ("mfaEnrolled", RestrictedExpression::new_bool(self.mfa_enrolled)),
        ];
        closure.add(self.uid(), parents, attributes, Some(&self.tags));
    }
}

impl RoleFacts {
    pub(super) fn uid(&self) -> EntityUid {
        uid(&TYPES.role, format!("{}/{}", self.account, self.name))
    }

    fn collect(&self, closure: &mut Closure) {
        let account = account_uid(&self.account);
        closure.add(account.clone(), vec![], vec![], None);
        closure.add(self.uid(), vec![account], vec![("name", text(self.name.as_str()))], Some(&self.tags));
    }
}

impl SessionFacts {
    fn uid(&self) -> EntityUid {
        uid(&TYPES.session, format!("{}/{}/{}", self.role.account, self.role.name, self.name))
    }

    fn collect(&self, closure: &mut Closure) {
        self.role.collect(closure);
        let mut attributes = vec![("sessionName", text(self.name.as_str()))];
        if let Some(source_identity) = &self.source_identity {
            attributes.push(("sourceIdentity", text(source_identity)));
        }
        for (attribute, user) in [("originalUser", &self.original_user), ("onBehalfOf", &self.on_behalf_of)] {
            if let Some(user) = user {
                user.collect(closure);
                attributes.push((attribute, RestrictedExpression::new_entity_uid(user.uid())));
            }
        }
        closure.add(self.uid(), vec![self.role.uid()], attributes, Some(&self.tags));
    }
}

impl ResourceFacts {
    /// The account that the resource belongs to.
    pub fn account(&self) -> &AccountId {
        match self {
            ResourceFacts::Account(account) => account,
            ResourceFacts::Repository(repository) => &repository.account,
            ResourceFacts::Ref(reference) => &reference.repository.account,
            ResourceFacts::Path(path) => &path.repository.account,
            ResourceFacts::Role(role) => &role.account,
            ResourceFacts::User(user) => &user.account,
            ResourceFacts::Group(group) => &group.account,
            ResourceFacts::Named(named) => &named.account,
        }
    }

    /// The entity id as policies write it, such as `Ref::"111111111111/shop/refs/heads/main"`.
    pub fn entity_id(&self) -> String {
        self.uid().to_string()
    }

    pub(super) fn uid(&self) -> EntityUid {
        match self {
            ResourceFacts::Account(account) => account_uid(account),
            ResourceFacts::Repository(repository) => repository.uid(),
            ResourceFacts::Ref(reference) => reference.repository.ref_uid(&reference.name),
            ResourceFacts::Path(path) => path.repository.below(&TYPES.path, &path.path),
            ResourceFacts::Role(role) => role.uid(),
            ResourceFacts::User(user) => user.uid(),
            ResourceFacts::Group(group) => group.uid(),
            ResourceFacts::Named(named) => named.uid(),
        }
    }

    pub(super) fn collect(&self, closure: &mut Closure) {
        match self {
            ResourceFacts::Account(account) => closure.add(account_uid(account), vec![], vec![], None),
            ResourceFacts::Repository(repository) => repository.collect(closure),
            ResourceFacts::Ref(reference) => {
                reference.repository.collect(closure);
                reference.repository.collect_ref(&reference.name, closure);
            }
            ResourceFacts::Path(path) => {
                path.repository.collect(closure);
                path.repository.collect_ref(&path.on, closure);
                let attributes = vec![("name", text(&encode_for_id(&path.path)))];
                let parents = path.repository.parents(&TYPES.path, &path.path);
                closure.add(self.uid(), parents, attributes, None);
            }
            ResourceFacts::Role(role) => role.collect(closure),
            ResourceFacts::User(user) => user.collect(closure),
            ResourceFacts::Group(group) => {
                let account = account_uid(&group.account);
                closure.add(account.clone(), vec![], vec![], None);
                closure.add(group.uid(), vec![account], vec![], None);
            }
            ResourceFacts::Named(named) => named.collect(closure),
        }
    }

    /// Why the facts cannot be decided about, if they cannot: a path so deep that its ancestors alone would fill memory.
    pub(super) fn over_limit(&self) -> Option<String> {
        let named = |what: &str, n_bytes: usize, depth: usize| {
            (n_bytes > MAX_PATH_BYTES || depth > MAX_PATH_DEPTH).then(|| {
                format!(
                    "{what} of {n_bytes} bytes in {depth} folders is over the limits of {MAX_PATH_BYTES} and {MAX_PATH_DEPTH}"
                )
            })
        };
        match self {
            ResourceFacts::Path(path) => {
                let depth = path.path.iter().filter(|byte| **byte == b'/').count();
                named("a path", path.path.len(), depth)
            }
            ResourceFacts::Named(facts) => {
                let depth = facts.name.iter().map(|part| part.matches('/').count()).sum();
                named("a name", facts.name.iter().map(String::len).sum(), depth)
            }
            _ => None,
        }
    }
}

impl RepositoryFacts {
    fn uid(&self) -> EntityUid {
        uid(&TYPES.repository, format!("{}/{}", self.account, self.name))
    }

    pub(super) fn ref_uid(&self, name: &RefName) -> EntityUid {
        self.below(&TYPES.reference, name.as_bytes())
    }

    fn below(&self, kind: &EntityTypeName, name: &[u8]) -> EntityUid {
        uid(kind, format!("{}/{}/{}", self.account, self.name, encode_for_id(name)))
    }

    /// The repository, and an entity of the same kind for each folder that `name` lies in. They are named as direct parents,
    /// so they need not be entities of their own.
    fn parents(&self, kind: &EntityTypeName, name: &[u8]) -> Vec<EntityUid> {
        let slashes = name.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
        slashes.map(|at| self.below(kind, &name[..at])).chain([self.uid()]).collect()
    }

    fn collect(&self, closure: &mut Closure) {
        let account = account_uid(&self.account);
        closure.add(account.clone(), vec![], vec![], None);
        let mut attributes = vec![("name", text(self.name.as_str()))];
        if let Some(branch) = &self.default_branch {
            attributes.push(("defaultBranch", text(&encode_for_id(branch.as_bytes()))));
        }
        closure.add(self.uid(), vec![account], attributes, Some(&self.tags));
    }

    fn collect_ref(&self, name: &RefName, closure: &mut Closure) {
        let kind = match name.as_bytes() {
            name if name.starts_with(b"refs/heads/") => "branch",
            name if name.starts_with(b"refs/tags/") => "tag",
            _ => "other",
        };
        let mut attributes = vec![
            ("name", text(&encode_for_id(name.as_bytes()))),
            ("kind", text(kind)),
            ("folded", text(&folded_ref_name(name))),
        ];
        if let Some(user) = user_of_topic(name) {
            attributes.push(("userName", text(&encode_for_id(user))));
        }
        closure.add(self.ref_uid(name), self.parents(&TYPES.reference, name.as_bytes()), attributes, None);
    }
}

/// Entities as they are gathered: what two facts share is there once.
#[derive(Default)]
pub(super) struct Closure {
    entities: Vec<Gathered>,
}

struct Gathered {
    uid: EntityUid,
    parents: Vec<EntityUid>,
    attributes: Vec<(&'static str, RestrictedExpression)>,
    tags: Vec<(String, RestrictedExpression)>,
}

impl Closure {
    pub(super) fn add(
        &mut self,
        uid: EntityUid,
        parents: Vec<EntityUid>,
        attributes: Vec<(&'static str, RestrictedExpression)>,
        tags: Option<&Tags>,
    ) {
        // A handful of entities: a scan beats a map.
        if self.get(&uid).is_some() {
            return;
        }
        let tags = tags.into_iter().flatten().map(|(key, value)| (key.clone(), text(value))).collect();
        self.entities.push(Gathered { uid, parents, attributes, tags });
    }

    fn get(&self, uid: &EntityUid) -> Option<&Gathered> {
        self.entities.iter().find(|known| known.uid == *uid)
    }

    /// The entities, each with all that it is in, or why one could not be built.
    ///
    /// Cedar can find out itself what is in what, in a third of a decision's time; it is the same for our few entities.
    pub(super) fn finish(&self) -> Result<Entities, String> {
        let entity = |gathered: &Gathered| {
            let indirect = self.indirect_ancestors(gathered)?;
            let attributes = gathered.attributes.iter().map(|(name, value)| ((*name).into(), value.as_ref().clone()));
            let tags = gathered.tags.iter().map(|(key, value)| (key.as_str().into(), value.as_ref().clone()));
            let parents = gathered.parents.iter().map(|parent| parent.clone().into()).collect();
            let extensions = Extensions::all_available();
            ast::Entity::new(gathered.uid.clone().into(), attributes, indirect, parents, tags, extensions)
                .map_err(|failed| failed.to_string())
        };
        let entities = self.entities.iter().map(entity).collect::<Result<Vec<_>, String>>()?;
        let closed = TCComputation::AssumeAlreadyComputed;
        entities::Entities::from_entities(entities, None::<&NoEntitiesSchema>, closed, Extensions::all_available())
            .map(Entities::from)
            .map_err(|failed| failed.to_string())
    }

    /// What `gathered` is in by way of its parents, its parents left out.
    fn indirect_ancestors(&self, gathered: &Gathered) -> Result<HashSet<ast::EntityUID>, String> {
        let mut found: HashSet<ast::EntityUID> = HashSet::new();
        let mut to_follow: Vec<&EntityUid> = gathered.parents.iter().collect();
        while let Some(uid) = to_follow.pop() {
            if *uid == gathered.uid {
                return Err(format!("`{uid}` is in itself"));
            }
            for above in self.get(uid).into_iter().flat_map(|known| &known.parents) {
                if !gathered.parents.contains(above) && found.insert(above.clone().into()) {
                    to_follow.push(above);
                }
            }
        }
        Ok(found)
    }
}

/// `bytes` as they stand in entity ids and names: `%`, and bytes that are not UTF-8, become `%` and two lower-case hex
/// digits; everything else stays.
pub fn encode_for_id(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        out.push_str(&chunk.valid().replace('%', "%25"));
        for byte in chunk.invalid() {
            out.push_str(&format!("%{byte:02x}"));
        }
    }
    out
}

/// The name without what makes twins of names: NFKC, lower case, no invisible characters, no dot at the end of a part.
/// Two refs whose folded names are equal look alike to people, or are one file on some disks.
pub fn folded_ref_name(name: &RefName) -> String {
    let invisible = |c: &char| {
        matches!(c, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
            | '\u{e0000}'..='\u{e0fff}')
    };
    let encoded = encode_for_id(name.as_bytes());
    let folded: String = encoded.nfkc().flat_map(char::to_lowercase).nfkc().filter(|c| !invisible(c)).collect();
    let parts: Vec<&str> = folded.split('/').map(|part| part.trim_end_matches('.')).collect();
    parts.join("/")
}

/// The `NAME` of `refs/heads/user/NAME/...`. `refs/heads/user/NAME` itself is nobody's.
fn user_of_topic(name: &RefName) -> Option<&[u8]> {
    let rest = name.as_bytes().strip_prefix(b"refs/heads/user/")?;
    let slash = rest.iter().position(|byte| *byte == b'/')?;
    Some(&rest[..slash])
}

pub(super) fn account_uid(account: &AccountId) -> EntityUid {
    uid(&TYPES.account, account.to_string())
}

pub(super) fn service_uid(service: &str) -> EntityUid {
    uid(&TYPES.service, encode_for_id(service.as_bytes()))
}

/// Puts tags that came with a request into `closure`, under an id that says which they are.
pub(super) fn tag_set(which: &str, tags: &Tags, closure: &mut Closure) -> RestrictedExpression {
    let uid = uid(&TYPES.tag_set, which);
    closure.add(uid.clone(), vec![], vec![], Some(tags));
    RestrictedExpression::new_entity_uid(uid)
}

/// `KIND::"ID"`, for the kinds that policies are attached to.
pub(super) fn named_uid(kind: &str, id: &str) -> EntityUid {
    let kind = match kind {
        "User" => &TYPES.user,
        "Group" => &TYPES.group,
        _ => &TYPES.role,
    };
    uid(kind, id)
}

fn uid(kind: &EntityTypeName, id: impl AsRef<str>) -> EntityUid {
    EntityUid::from_type_name_and_id(kind.clone(), EntityId::new(id))
}

pub(super) fn text(value: &str) -> RestrictedExpression {
    RestrictedExpression::new_string(value.to_owned())
}

struct Types {
    account: EntityTypeName,
    group: EntityTypeName,
    user: EntityTypeName,
    role: EntityTypeName,
    session: EntityTypeName,
    service: EntityTypeName,
    web_identity: EntityTypeName,
    tag_set: EntityTypeName,
    repository: EntityTypeName,
    reference: EntityTypeName,
    path: EntityTypeName,
}

static TYPES: LazyLock<Types> = LazyLock::new(|| {
    let named = |name: &str| name.parse().expect("the name of an entity type is an identifier");
    Types {
        account: named("Account"),
        group: named("Group"),
        user: named("User"),
        role: named("Role"),
        session: named("Session"),
        service: named("Service"),
        web_identity: named("WebIdentity"),
        tag_set: named("TagSet"),
        repository: named("Repository"),
        reference: named("Ref"),
        path: named("Path"),
    }
});

/// Longest path decided about, in bytes; Git's own limit on most systems.
const MAX_PATH_BYTES: usize = 4096;
/// Most folders that a path decided about lies in.
const MAX_PATH_DEPTH: usize = 256;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ids_of_odd_bytes() {
        assert_eq!(encode_for_id(b"refs/heads/a%b\xff\xc3\xa4"), "refs/heads/a%25b%ff\u{e4}");
        // Two different names never get one id.
        assert_ne!(encode_for_id(b"%ff"), encode_for_id(b"\xff"));
    }

    // B14
    #[test]
    fn twins_fold_together() {
        let folded = |name: &str| folded_ref_name(&RefName::parse(name.as_bytes()).unwrap());
        for twin in [
            "refs/heads/Main",
            "refs/heads/MAIN",
            "refs/Heads/main",
            "refs/heads/ｍain",
            "refs/heads/ma\u{200b}in",
            "refs/heads/main\u{fe0f}",
            "refs/heads/mai\u{feff}n",
        ] {
            assert_eq!(folded(twin), "refs/heads/main", "{twin:?}");
        }
        assert_eq!(folded("refs/heads/Release./1.0"), "refs/heads/release/1.0");
        assert_eq!(folded("refs/heads/A\u{308}"), folded("refs/heads/\u{e4}"));
        assert_ne!(folded("refs/heads/main2"), "refs/heads/main");
    }

    #[test]
    fn topics_of_users() {
        for (name, user) in [
            ("refs/heads/user/alice/x", Some("alice")),
            ("refs/heads/user/alice/x/y", Some("alice")),
            ("refs/heads/user/alice", None),
            ("refs/heads/users/alice/x", None),
            ("refs/heads/a/user/alice/x", None),
            ("refs/tags/user/alice/x", None),
        ] {
            let reference = RefName::parse(name.as_bytes()).unwrap();
            assert_eq!(user_of_topic(&reference), user.map(str::as_bytes), "{name}");
        }
    }

    #[test]
    fn a_ref_is_in_each_prefix_of_its_name() {
        let repository = RepositoryFacts {
            account: AccountId::parse("111111111111").unwrap(),
            name: RepositoryName::parse("shop").unwrap(),
            default_branch: None,
            tags: Tags::new(),
        };
        let parents: Vec<_> = repository
            .parents(&TYPES.reference, b"refs/heads/release/1.0")
            .iter()
            .map(|parent| parent.to_string())
            .collect();
        assert_eq!(
            parents,
            [
                "Ref::\"111111111111/shop/refs\"",
                "Ref::\"111111111111/shop/refs/heads\"",
                "Ref::\"111111111111/shop/refs/heads/release\"",
                "Repository::\"111111111111/shop\"",
            ]
        );
    }

    proptest! {
        // Of each entity, whatever is in whatever: what it is in is what Cedar finds out by itself, cycles refused.
        #[test]
        fn the_closure_is_cedars(edges in prop::collection::vec((0..8usize, 0..10usize), 0..16)) {
            let named = |n: usize| uid(&TYPES.group, format!("111111111111/g{n}"));
            let parents = |n: usize| -> Vec<EntityUid> {
                edges.iter().filter(|(from, _)| *from == n).map(|(_, to)| named(*to)).collect()
            };
            // Entities 8 and 9 are named as parents and not supplied.
            let mut closure = Closure::default();
            (0..8).for_each(|n| closure.add(named(n), parents(n), vec![("n", text("x"))], None));
            let entity = |n| cedar_policy::Entity::new_no_attrs(named(n), parents(n).into_iter().collect());
            match (closure.finish(), Entities::from_entities((0..8).map(entity), None)) {
                (Ok(ours), Ok(cedars)) => for n in 0..10 {
                    let of = |entities: &Entities| -> Option<HashSet<EntityUid>> {
                        Some(entities.ancestors(&named(n))?.cloned().collect())
                    };
                    prop_assert_eq!(of(&ours), of(&cedars));
                },
                (ours, cedars) => prop_assert_eq!(ours.is_err(), cedars.is_err()),
            }
        }
    }
}
