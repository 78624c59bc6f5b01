//! Policies that are attached to users, groups and roles through IAM's operations, and the trust documents of roles.
//!
//! They are kept as they were given, IAM's JSON or Cedar, and become policies of their account: what is attached to a principal
//! lies in the account's own layer, what a role's trust document permits in its trust layer. In Cedar they are templates:
//! `principal in ?principal` stands for whom they are attached to, in trust documents `resource == ?resource` for the role.
//!
//! INVARIANT: a document that cannot be compiled, because another version stored it, refuses everything to those whom it is
//! about: it may have held a forbid.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use cedar_policy::{EntityUid, Policy, PolicyId, PolicySet, Template};
use cedar_policy_core::evaluator::Evaluator;
use sha2::{Digest, Sha256};

use super::bounds;
use super::compile::{Findings, ParsedPolicy, PolicyText, from_cedar, validate};
use super::decide::{Layer, PolicyMatch, matches};
use super::iam::{IamImport, ImportFor, import_iam};
use super::index::{LayerIndex, ScopeKeys};
use super::problem::Problem;
use super::threads::with_deep_stack;
use crate::names::{AccountId, PrincipalName};

/// Longest document, in bytes.
pub const MAX_DOCUMENT_BYTES: usize = 20 << 10;

/// What a document is attached to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AttachedTo {
    /// A user.
    User(PrincipalName),
    /// A group: it is about the users in it.
    Group(PrincipalName),
    /// A role: it is about the role's sessions.
    Role(PrincipalName),
    /// A role, as the document that says who may assume it.
    Trust(PrincipalName),
}

/// A document and what it is attached to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AttachedDocument {
    /// The account.
    pub account: AccountId,
    /// What it is attached to.
    pub to: AttachedTo,
    /// What policies of it are called, between the account's number and `#`: `user/alice/deploys` for
    /// `111111111111/user/alice/deploys#1`. No two documents have the same.
    pub name: String,
    /// The document, IAM's JSON or Cedar, as it was given.
    pub text: Arc<str>,
}

/// All attached policies, ready to be asked.
#[derive(Debug, Default)]
pub struct AttachedPolicies {
    accounts: HashMap<AccountId, OfAccount>,
    /// By the digest of the document, for the next compilation.
    compiled: HashMap<[u8; 32], Arc<CompiledDocument>>,
    /// Of all documents, see [`AttachedPolicies::fingerprint`].
    fingerprint: Option<String>,
}

#[derive(Debug, Default)]
struct OfAccount {
    /// By the user, group or role that it is attached to.
    own: HashMap<EntityUid, LayerIndex>,
    /// What trust documents forbid, by role.
    trust_forbids: HashMap<EntityUid, LayerIndex>,
    /// What trust documents permit, by role.
    trust: HashMap<EntityUid, LayerIndex>,
    texts: BTreeMap<String, Arc<PolicyText>>,
}

#[derive(Debug)]
struct CompiledDocument {
    subject: EntityUid,
    policies: Vec<ParsedPolicy>,
}

impl AttachedPolicies {
    /// Compiles documents. Those that `previous` holds are not compiled again. Documents that cannot be compiled refuse
    /// everything to those whom they are about, and are logged.
    pub fn compile(
        previous: Option<&AttachedPolicies>,
        documents: impl IntoIterator<Item = AttachedDocument>,
        region: &str,
    ) -> AttachedPolicies {
        let mut all = AttachedPolicies::default();
        for document in documents {
            let digest = document.digest();
            let before = previous.and_then(|previous| previous.compiled.get(&digest)).cloned();
            let compiled = before.unwrap_or_else(|| Arc::new(document.compile_or_refuse(region)));
            let account = all.accounts.entry(document.account.clone()).or_default();
            for parsed in &compiled.policies {
                let by_subject = match (&document.to, &parsed.text.layer) {
                    (AttachedTo::Trust(_), Layer::Trust(_)) => &mut account.trust,
                    (AttachedTo::Trust(_), _) => &mut account.trust_forbids,
                    _ => &mut account.own,
                };
                let index = by_subject.entry(compiled.subject.clone()).or_default();
                index.add(&parsed.policy, &parsed.text);
                account.texts.insert(parsed.text.id.clone(), parsed.text.clone());
            }
            all.compiled.insert(digest, compiled);
        }
        let mut digests: Vec<&[u8; 32]> = all.compiled.keys().collect();
        digests.sort_unstable();
        if !digests.is_empty() {
            let whole = digests.iter().fold(Sha256::new(), |hash, digest| hash.chain_update(digest)).finalize();
            all.fingerprint = Some(whole[..8].iter().map(|byte| format!("{byte:02x}")).collect());
        }
        all
    }

    /// Sixteen hexadecimal digits that are others where other documents are attached, or to something else; none where nothing is.
    pub fn fingerprint(&self) -> Option<&str> {
        self.fingerprint.as_deref()
    }

    /// The policy of that id.
    pub fn text(&self, id: &str) -> Option<&PolicyText> {
        let account = AccountId::parse(id.split('/').next()?).ok()?;
        self.accounts.get(&account)?.texts.get(id).map(Arc::as_ref)
    }

    /// All policies.
    pub fn texts(&self) -> impl Iterator<Item = &PolicyText> {
        self.accounts.values().flat_map(|account| account.texts.values().map(Arc::as_ref))
    }

    /// The policies of `layer` that match the question or fail on it.
    pub(super) fn matches(&self, layer: &Layer, evaluator: &Evaluator<'_>, keys: &ScopeKeys) -> Vec<PolicyMatch> {
        self.indexes(layer, keys).flat_map(|index| matches(index, evaluator, keys, layer)).collect()
    }

    /// The policies of `layer` that could speak about a request by whom or what they are attached to.
    pub(super) fn indexes<'a>(&'a self, layer: &Layer, keys: &'a ScopeKeys) -> impl Iterator<Item = &'a LayerIndex> {
        let account = layer.account().and_then(|account| self.accounts.get(account));
        let of_trust = matches!(layer, Layer::Trust(_));
        account.into_iter().flat_map(move |account| {
            let of_resource = if of_trust { &account.trust } else { &account.trust_forbids };
            let by_resource = keys.resources().filter_map(|uid| of_resource.get(uid));
            let by_principal = keys.principals().filter(move |_| !of_trust).filter_map(|uid| account.own.get(uid));
            by_resource.chain(by_principal)
        })
    }
}

impl AttachedDocument {
    /// Says everything that is wrong with the document, or nothing where it may be attached.
    pub fn check(&self, region: &str) -> Result<(), Vec<Problem>> {
        self.compile(region).map(|_| ())
    }

    fn digest(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        let (kind, principal) = self.to.parts();
        let kind = if matches!(self.to, AttachedTo::Trust(_)) { "trust" } else { kind };
        for part in [self.account.as_str(), kind, principal.as_str(), &self.name, &self.text] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        hash.finalize().into()
    }

    fn policy_id(&self, own: &str) -> PolicyId {
        PolicyId::new(format!("{}/{}#{own}", self.account, self.name))
    }

    /// The user, group or role.
    fn subject(&self) -> EntityUid {
        let (kind, name) = self.to.parts();
        super::entities::named_uid(kind, &format!("{}/{name}", self.account))
    }

    fn compile_or_refuse(&self, region: &str) -> CompiledDocument {
        match self.compile(region) {
            Ok(policies) => CompiledDocument { subject: self.subject(), policies },
            Err(problems) => {
                let said: Vec<String> = problems.iter().map(ToString::to_string).collect();
                tracing::error!(
                    account = %self.account,
                    policy = self.name,
                    problems = said.join("; "),
                    "an attached policy cannot be compiled; it refuses everything until it is replaced"
                );
                CompiledDocument { subject: self.subject(), policies: self.refusing().into_iter().collect() }
            }
        }
    }

    /// What stands for a document that cannot be compiled.
    fn refusing(&self) -> Option<ParsedPolicy> {
        let subject = self.subject();
        let scope = match &self.to {
            AttachedTo::Trust(_) => format!("principal, action, resource == {subject}"),
            _ => format!("principal in {subject}, action, resource"),
        };
        let advice = "a policy that is attached here cannot be read by this version: it has to be replaced";
        let text = format!("@advice(\"{advice}\")\nforbid ({scope});");
        let layer = Layer::Account(self.account.clone());
        let policy = Policy::parse(Some(self.policy_id("unreadable")), &text);
        policy.ok().map(|policy| ParsedPolicy::of_document(policy, &self.name, 0, layer, text))
    }

    fn compile(&self, region: &str) -> Result<Vec<ParsedPolicy>, Vec<Problem>> {
        let problem = |message: &str, expected: &str| vec![Problem::of_file(&self.name, message, expected)];
        if self.text.len() > MAX_DOCUMENT_BYTES {
            return Err(problem("the document is larger than 20480 bytes", "say it shorter, or in several"));
        }
        let is_json = self.text.trim_start().starts_with('{');
        let compiled = with_deep_stack(|| {
            let policies = if is_json { self.read_iam(region) } else { self.read_cedar() }?;
            let mut findings = Findings::default();
            policies.iter().for_each(|policy| policy.check_layer(&mut findings));
            validate(&policies.iter().collect::<Vec<_>>(), &mut findings);
            if findings.problems.is_empty() { Ok(policies) } else { Err(findings.problems) }
        });
        let policies = compiled.map_err(|failed| vec![failed])??;
        match policies.is_empty() {
            true => Err(problem("the document holds no policy", "write at least one")),
            false => Ok(policies),
        }
    }

    fn read_iam(&self, region: &str) -> Result<Vec<ParsedPolicy>, Vec<Problem>> {
        let principal = match self.to.clone() {
            AttachedTo::User(name) => ImportFor::User(name),
            AttachedTo::Group(name) => ImportFor::Group(name),
            AttachedTo::Role(name) => ImportFor::Role(name),
            AttachedTo::Trust(name) => ImportFor::Trust(name),
        };
        let options =
            IamImport { account: self.account.clone(), region: region.to_owned(), name: "x".to_owned(), principal };
        let problem = |said: String| Problem { expected: None, ..Problem::of_file(&self.name, said, "") };
        let translated = import_iam(&self.text, &options)
            .map_err(|problems| problems.iter().map(|said| problem(said.to_string())).collect::<Vec<_>>())?;
        translated
            .into_iter()
            .enumerate()
            .map(|(n, policy)| {
                let id = policy.id.strip_prefix("x-").unwrap_or(&policy.id);
                let id = self.policy_id(id);
                match Policy::parse(Some(id), &policy.text) {
                    Ok(parsed) => Ok(ParsedPolicy::of_document(parsed, &self.name, n, policy.layer, policy.text)),
                    Err(failed) => Err(vec![problem(failed.to_string())]),
                }
            })
            .collect()
    }

    fn read_cedar(&self) -> Result<Vec<ParsedPolicy>, Vec<Problem>> {
        let text: &str = &self.text;
        if let Err(over) = bounds::check(text) {
            return Err(vec![Problem::at(&self.name, text, over.offset, over.message)]);
        }
        let set: PolicySet = text.parse().map_err(|errors: cedar_policy::ParseErrors| {
            let each =
                errors.iter().map(|error| from_cedar(&self.name, text, &cedar_policy::ffi::DetailedError::from(error)));
            each.collect::<Vec<_>>()
        })?;
        let expected = match self.to {
            AttachedTo::Trust(_) => "write `resource == ?resource`, which stands for the role",
            _ => "write `principal in ?principal`, which stands for whom it is attached to",
        };
        if let Some(policy) = set.policies().next() {
            let at = policy.to_cedar().and_then(|source| text.find(&source)).unwrap_or(0);
            let said = "the policy does not say what it is attached to";
            return Err(vec![Problem::at(&self.name, text, at, said).expecting(expected)]);
        }
        let mut templates: Vec<(usize, &Template)> =
            set.templates().map(|template| (text.find(&template.to_cedar()).unwrap_or(usize::MAX), template)).collect();
        templates.sort_by_key(|(at, _)| *at);
        let mut policies: Vec<ParsedPolicy> = Vec::new();
        for (n, (at, template)) in templates.into_iter().enumerate() {
            let problem =
                |said: String| vec![Problem::at(&self.name, text, at.min(text.len()), said).expecting(expected)];
            let linked = self.link(template).map_err(problem)?;
            let own = template.annotation("id").map_or_else(|| format!("policy-{}", n + 1), str::to_owned);
            let id = self.policy_id(&own);
            if policies.iter().any(|policy| policy.policy.id() == &id) {
                return Err(problem(format!("`@id(\"{own}\")` stands twice in the document")));
            }
            let layer = match self.to {
                AttachedTo::Trust(_) if linked.effect() == cedar_policy::Effect::Permit => {
                    Layer::Trust(self.account.clone())
                }
                _ => Layer::Account(self.account.clone()),
            };
            let source = linked.to_cedar().unwrap_or_default();
            policies.push(ParsedPolicy::of_document(linked.new_id(id), &self.name, n, layer, source));
        }
        Ok(policies)
    }

    /// The template with its slot filled in. By way of JSON, so that it is a policy like any other, with a text of its own.
    fn link(&self, template: &Template) -> Result<Policy, String> {
        let mut json = template.to_json().map_err(|failed| failed.to_string())?;
        let (slot, other) = match self.to {
            AttachedTo::Trust(_) => ("resource", "principal"),
            _ => ("principal", "resource"),
        };
        let subject = self.subject();
        let entity = serde_json::json!({ "type": subject.type_name().to_string(), "id": subject.id().unescaped() });
        let has_slot = |scope: &serde_json::Value| scope.get("slot").is_some() || scope["in"].get("slot").is_some();
        if has_slot(&json[other]) || !has_slot(&json[slot]) {
            return Err("the policy does not say what it is attached to".to_owned());
        }
        if matches!(self.to, AttachedTo::Group(_) | AttachedTo::Role(_)) && json[slot]["op"] == "==" {
            return Err("nobody who asks is a group or a role, they are in it".to_owned());
        }
        // `principal is User in ?principal` has its slot one level below.
        let scope = match json[slot].get("slot") {
            Some(_) => &mut json[slot],
            None => &mut json[slot]["in"],
        };
        if let Some(scope) = scope.as_object_mut() {
            scope.remove("slot");
            scope.insert("entity".to_owned(), entity);
        }
        Policy::from_json(None, json).map_err(|failed| failed.to_string())
    }
}

impl AttachedTo {
    /// The kind of entity, and its name.
    fn parts(&self) -> (&'static str, &PrincipalName) {
        match self {
            AttachedTo::User(name) => ("User", name),
            AttachedTo::Group(name) => ("Group", name),
            AttachedTo::Role(name) | AttachedTo::Trust(name) => ("Role", name),
        }
    }
}
