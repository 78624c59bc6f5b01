//! Things that are known to policies by their kind and name alone: keys, pipelines, buckets and the like.
//!
//! One shape for all of them, so that a service that comes later brings a line of this table and no code of its own.

use cedar_policy::{EntityId, EntityTypeName, EntityUid};

use super::entities::{Closure, Tags, account_uid, encode_for_id, text};
use crate::names::AccountId;

/// A kind of named thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "each is the entity type of its name, which the schema describes")]
pub enum NamedKind {
    ManagedPolicy,
    MfaDevice,
    OidcProvider,
    Key,
    EventBus,
    EventRule,
    EventStore,
    Project,
    ReportGroup,
    Pipeline,
    Stage,
    PipelineAction,
    Application,
    DeploymentGroup,
    DeploymentConfig,
    Instance,
    Secret,
    Parameter,
    Bucket,
    Object,
    LogGroup,
}

/// One named thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedFacts {
    /// What it is.
    pub kind: NamedKind,
    /// The account that it belongs to.
    pub account: AccountId,
    /// Its name, part by part: a stage is `["shop", "Production"]`. As many parts as [`NamedKind::n_parts`] says.
    pub name: Vec<String>,
    /// Its tags; of a kind that has none, empty.
    pub tags: Tags,
}

/// What a kind is in, besides its account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Within {
    Nothing,
    /// What its name without the last part names.
    Kind(NamedKind),
}

/// How AWS writes the kind's ARNs, as far as they can be told from the kind's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ArnShape {
    /// The service, `codebuild`.
    pub(super) service: &'static str,
    /// What stands before the name, `project/`.
    pub(super) prefix: &'static str,
    /// Whether ARNs of this shape name one thing, as its entity id does.
    pub(super) is_exact: bool,
    /// Whether ARNs have a region.
    pub(super) has_region: bool,
}

struct Description {
    kind: NamedKind,
    type_name: &'static str,
    n_parts: usize,
    within: Within,
    has_tags: bool,
    arn: ArnShape,
}

const fn described(
    kind: NamedKind,
    type_name: &'static str,
    n_parts: usize,
    within: Within,
    has_tags: bool,
    arn: (&'static str, &'static str, bool),
) -> Description {
    let (service, prefix, is_exact) = arn;
    let has_region = !matches!(service.as_bytes(), b"iam" | b"s3");
    Description { kind, type_name, n_parts, within, has_tags, arn: ArnShape { service, prefix, is_exact, has_region } }
}

/// In the order of the kinds. ARNs: AWS, Service Authorization Reference. Those of secrets end in random characters, those of
/// parameters leave out a slash, those of log groups come with and without `:*`, those of buckets have no account.
const DESCRIPTIONS: [Description; 21] = {
    use NamedKind::*;
    use Within::{Kind, Nothing};
    [
        described(ManagedPolicy, "ManagedPolicy", 1, Nothing, true, ("iam", "policy/", true)),
        described(MfaDevice, "MfaDevice", 1, Nothing, true, ("iam", "mfa/", true)),
        described(OidcProvider, "OidcProvider", 1, Nothing, true, ("iam", "oidc-provider/", true)),
        described(Key, "Key", 1, Nothing, true, ("kms", "key/", true)),
        described(EventBus, "EventBus", 1, Nothing, true, ("events", "event-bus/", true)),
        described(EventRule, "EventRule", 2, Kind(EventBus), true, ("events", "rule/", false)),
        described(EventStore, "EventStore", 2, Nothing, true, ("events", "", false)),
        described(Project, "Project", 1, Nothing, true, ("codebuild", "project/", true)),
        described(ReportGroup, "ReportGroup", 1, Nothing, true, ("codebuild", "report-group/", true)),
        described(Pipeline, "Pipeline", 1, Nothing, true, ("codepipeline", "", true)),
        described(Stage, "Stage", 2, Kind(Pipeline), false, ("codepipeline", "", true)),
        described(PipelineAction, "PipelineAction", 3, Kind(Stage), false, ("codepipeline", "", true)),
        described(Application, "Application", 1, Nothing, true, ("codedeploy", "application:", true)),
        described(
            DeploymentGroup,
            "DeploymentGroup",
            2,
            Kind(Application),
            true,
            ("codedeploy", "deploymentgroup:", true),
        ),
        described(DeploymentConfig, "DeploymentConfig", 1, Nothing, false, ("codedeploy", "deploymentconfig:", true)),
        described(Instance, "Instance", 1, Nothing, true, ("codedeploy", "instance:", true)),
        described(Secret, "Secret", 1, Nothing, true, ("secretsmanager", "secret:", false)),
        described(Parameter, "Parameter", 1, Nothing, true, ("ssm", "parameter", false)),
        described(Bucket, "Bucket", 1, Nothing, true, ("s3", "", false)),
        described(Object, "Object", 2, Kind(Bucket), true, ("s3", "", false)),
        described(LogGroup, "LogGroup", 1, Nothing, true, ("logs", "log-group:", false)),
    ]
};

impl NamedKind {
    /// All kinds.
    pub fn all() -> impl Iterator<Item = NamedKind> {
        DESCRIPTIONS.iter().map(|description| description.kind)
    }

    fn description(self) -> &'static Description {
        // INVARIANT: one line for each kind, in their order; a test says so.
        &DESCRIPTIONS[self as usize]
    }

    /// The entity type of the schema.
    pub fn type_name(self) -> &'static str {
        self.description().type_name
    }

    /// The kind of that entity type.
    pub fn of_type(type_name: &str) -> Option<NamedKind> {
        NamedKind::all().find(|kind| kind.type_name() == type_name)
    }

    /// How many parts a name has.
    pub fn n_parts(self) -> usize {
        self.description().n_parts
    }

    /// Whether the kind has tags.
    pub fn has_tags(self) -> bool {
        self.description().has_tags
    }

    /// The name that policies write as this id behind the account; none if no name is written so.
    pub fn name_of_id(self, id: &str) -> Option<Vec<String>> {
        let decoded = |part: &str| String::from_utf8(super::known_names::decode_id_part(part)?).ok();
        self.parts_of_id(id)?.into_iter().map(decoded).collect()
    }

    /// The name in an ARN of that service, given by what stands behind its account; none if the kind has no such ARNs.
    pub fn names_of_arn<'a>(self, service: &str, rest: &'a str) -> Option<Vec<&'a str>> {
        let shape = self.arn();
        let name = rest.strip_prefix(shape.prefix).filter(|_| shape.is_exact && shape.service == service)?;
        let parts: Vec<&str> = match self {
            NamedKind::OidcProvider => vec![name],
            _ => name.split('/').collect(),
        };
        (parts.len() == self.n_parts() && parts.iter().all(|part| !part.is_empty())).then_some(parts)
    }

    pub(super) fn arn(self) -> ArnShape {
        self.description().arn
    }

    /// The entity of that name.
    pub(super) fn uid(self, account: &AccountId, name: &[impl AsRef<str>]) -> EntityUid {
        self.uid_of_id(&format!("{account}/{}", id_of(name)))
    }

    fn uid_of_id(self, id: &str) -> EntityUid {
        // INVARIANT: the types of the table are identifiers; a test makes each.
        let type_name: EntityTypeName = self.type_name().parse().expect("the name of an entity type is an identifier");
        EntityUid::from_type_name_and_id(type_name, EntityId::new(id))
    }

    /// The parts of an id behind its account, as policies write it; none if no name is written so.
    pub(super) fn parts_of_id(self, id: &str) -> Option<Vec<&str>> {
        let parts: Vec<&str> = id.splitn(self.n_parts(), '/').collect();
        (parts.len() == self.n_parts() && parts.iter().all(|part| !part.is_empty())).then_some(parts)
    }
}

/// A name as it stands in an id: `/` is written `%2f` in each part but the last.
fn id_of(name: &[impl AsRef<str>]) -> String {
    let last = name.len().saturating_sub(1);
    let part = |(at, part): (usize, &_)| {
        let encoded = encode_for_id(AsRef::<str>::as_ref(part).as_bytes());
        if at == last { encoded } else { encoded.replace('/', "%2f") }
    };
    name.iter().enumerate().map(|(at, name)| part((at, name))).collect::<Vec<_>>().join("/")
}

impl NamedFacts {
    pub(super) fn uid(&self) -> EntityUid {
        self.kind.uid(&self.account, &self.name)
    }

    pub(super) fn collect(&self, closure: &mut Closure) {
        let account = account_uid(&self.account);
        let mut parents = vec![account.clone()];
        let (mut kind, mut name) = (self.kind, self.name.as_slice());
        if kind == NamedKind::Object {
            let key = name.last().map_or("", String::as_str);
            let bucket = name.first().map_or("", String::as_str);
            let folders = key.match_indices('/').map(|(at, _)| &key[..at]).filter(|folder| !folder.is_empty());
            parents.extend(folders.map(|folder| kind.uid(&self.account, &[bucket, folder])));
        }
        // What it is in is named here as a whole, so those need not be entities with parents of their own.
        while let Within::Kind(above) = kind.description().within {
            name = &name[..name.len().saturating_sub(1)];
            kind = above;
            let uid = kind.uid(&self.account, name);
            closure.add(uid.clone(), vec![account.clone()], vec![("name", text(&id_of(name)))], None);
            parents.push(uid);
        }
        closure.add(account, vec![], vec![], None);
        let tags = self.kind.has_tags().then_some(&self.tags);
        closure.add(self.uid(), parents, vec![("name", text(&id_of(&self.name)))], tags);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::action::SPOKEN;

    #[test]
    fn the_table_is_the_schemas() {
        for (at, description) in DESCRIPTIONS.iter().enumerate() {
            assert_eq!(description.kind as usize, at);
            assert_eq!(format!("{:?}", description.kind), description.type_name);
            assert_eq!(NamedKind::of_type(description.type_name), Some(description.kind));
            let uid = description.kind.uid(&AccountId::parse("111111111111").unwrap(), &["a", "b", "c"]);
            assert!(SPOKEN.schema.entity_types().any(|known| known == uid.type_name()), "{uid}");
        }
        // Each type that an action is asked of and that has a shape of its own elsewhere, or a line here.
        let others = ["Account", "Group", "Path", "Ref", "Repository", "Role", "User"];
        for action in SPOKEN.actions.values() {
            for kind in SPOKEN.schema.resources_for_action(&action.uid).unwrap() {
                assert!(others.contains(&kind.basename()) || NamedKind::of_type(kind.basename()).is_some(), "{kind}");
            }
        }
    }

    #[test]
    fn ids_of_odd_names() {
        let account = AccountId::parse("111111111111").unwrap();
        let id = |kind: NamedKind, name: &[&str]| kind.uid(&account, name).to_string();
        assert_eq!(id(NamedKind::Stage, &["a/b", "c/%"]), "Stage::\"111111111111/a%2fb/c/%25\"");
        // Two different names never get one id.
        assert_ne!(id(NamedKind::Stage, &["a/b", "c"]), id(NamedKind::Stage, &["a", "b/c"]));
        assert_ne!(id(NamedKind::Stage, &["a%2fb", "c"]), id(NamedKind::Stage, &["a/b", "c"]));
        assert_eq!(NamedKind::Stage.parts_of_id("a%2fb/c"), Some(vec!["a%2fb", "c"]));
        assert_eq!(NamedKind::Stage.parts_of_id("a"), None);
        assert_eq!(NamedKind::Object.parts_of_id("b/k/l"), Some(vec!["b", "k/l"]));
        assert_eq!(NamedKind::Key.parts_of_id(""), None);
    }

    #[test]
    fn what_things_are_in() {
        let mut closure = Closure::default();
        let facts = |kind, name: &[&str]| NamedFacts {
            kind,
            account: AccountId::parse("111111111111").unwrap(),
            name: name.iter().map(|part| (*part).to_owned()).collect(),
            tags: Tags::new(),
        };
        let action = facts(NamedKind::PipelineAction, &["shop", "Production", "Approve"]);
        action.collect(&mut closure);
        let object = facts(NamedKind::Object, &["artifacts", "shop/1/out.zip"]);
        object.collect(&mut closure);
        let entities = closure.finish().unwrap();
        let within = |facts: &NamedFacts| {
            let mut all: Vec<String> = entities.ancestors(&facts.uid()).unwrap().map(ToString::to_string).collect();
            all.sort();
            all
        };
        assert_eq!(
            within(&action),
            ["Account::\"111111111111\"", "Pipeline::\"111111111111/shop\"", "Stage::\"111111111111/shop/Production\""]
        );
        assert_eq!(
            within(&object),
            [
                "Account::\"111111111111\"",
                "Bucket::\"111111111111/artifacts\"",
                "Object::\"111111111111/artifacts/shop\"",
                "Object::\"111111111111/artifacts/shop/1\"",
            ]
        );
    }
}
