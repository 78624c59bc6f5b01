//! From a policy folder to policies that can be asked, or to the list of everything that is wrong with it.
//!
//! The folder counts whole: one problem, and nothing of it takes effect. What is checked beyond Cedar's strict validation:
//! each policy has an `@id` that no other has, lies in a layer that may hold it, and names what exists.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, LazyLock, OnceLock};

use cedar_policy::ffi::DetailedError;
use cedar_policy::{
    ActionConstraint, EntityUid, Policy, PolicyId, PolicySet, PrincipalConstraint, ValidationMode, Validator,
};
use cedar_policy_core::ast::AnyId;
use sha2::{Digest, Sha256};

use super::action::{SCHEMA, SPOKEN, action_uid};
use super::attached::AttachedPolicies;
use super::bounds;
use super::decide::{Effect, Layer};
use super::files::PolicyFiles;
use super::index::LayerIndex;
use super::known_names::{self, BadId, KnownNames};
use super::problem::Problem;
use super::shape;
use super::threads::{in_parallel, with_deep_stack};
use crate::names::AccountId;

/// Policies that were checked and can be asked; see [`CompiledPolicies::decide`].
#[derive(Debug, Clone)]
pub struct CompiledPolicies {
    pub(super) layers: Arc<HashMap<Layer, Arc<LayerIndex>>>,
    pub(super) texts: Arc<BTreeMap<String, Arc<PolicyText>>>,
    /// What is attached through IAM's operations, beside the files.
    pub(super) attached: Arc<AttachedPolicies>,
    pub(super) generation: i64,
    content_hash: [u8; 32],
    /// The files as they were parsed, by path, for [`CompiledPolicies::compile_after`].
    parsed: Arc<ParsedFiles>,
    #[cfg(test)]
    pub(super) all: Vec<(Layer, Policy)>,
}

/// One policy as it was written. Only those who may read policies are shown the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyText {
    /// Its `@id`.
    pub id: String,
    /// Whether it permits or forbids.
    pub effect: Effect,
    /// Where it lies.
    pub layer: Layer,
    /// Its `@advice`.
    pub advice: Option<String>,
    /// The file, relative to the policy folder.
    pub file: String,
    /// The line it begins on, counted from 1.
    pub line: usize,
    /// Its text.
    pub text: String,
    /// Its place in its file, see [`PolicyText::place`].
    pub(super) order: usize,
}

impl PolicyText {
    /// Its place among all policies, by file and line: the order in which matches are told. No two policies of one layer share it.
    pub(super) fn place(&self) -> (&str, usize) {
        (&self.file, self.order)
    }
}

/// What may be let pass when a folder is compiled.
#[derive(Debug, Clone, Copy, Default)]
pub struct CompileOptions {
    /// Names that do not exist are warned about and not refused.
    pub allow_unknown: bool,
}

/// The outcome of [`CompiledPolicies::compile`].
#[derive(Debug)]
pub struct Compiled {
    /// The policies, of generation 0 until [`CompiledPolicies::with_generation`] says otherwise.
    pub policies: CompiledPolicies,
    /// What is suspicious and was let pass.
    pub warnings: Vec<Problem>,
}

/// The policy of one session, given when its role was assumed: it can only narrow what the role may do.
#[derive(Debug)]
pub struct SessionPolicy {
    pub(super) index: Arc<LayerIndex>,
    pub(super) texts: BTreeMap<String, PolicyText>,
    pub(super) source: String,
}

impl CompiledPolicies {
    /// Checks and compiles a folder. On failure the list holds everything that is wrong, by file and line.
    pub fn compile(
        files: &PolicyFiles,
        known: &dyn KnownNames,
        options: CompileOptions,
    ) -> Result<Compiled, Vec<Problem>> {
        Self::compile_with(None, files, known, options)
    }

    /// [`CompiledPolicies::compile`], with the same outcome, in less time where `previous` holds some of the files unchanged: those
    /// are not parsed again. Everything is checked again, since names come and go.
    pub fn compile_after(
        previous: &CompiledPolicies,
        files: &PolicyFiles,
        known: &dyn KnownNames,
        options: CompileOptions,
    ) -> Result<Compiled, Vec<Problem>> {
        Self::compile_with(Some(previous), files, known, options)
    }

    fn compile_with(
        previous: Option<&CompiledPolicies>,
        files: &PolicyFiles,
        known: &dyn KnownNames,
        options: CompileOptions,
    ) -> Result<Compiled, Vec<Problem>> {
        let (parsed, mut findings) = with_deep_stack(|| parse_files(files, previous.map(|previous| &*previous.parsed)))
            .map_err(|failed| vec![failed])?;
        for file in parsed.values() {
            file.check_names(known, options, &mut findings);
        }
        findings.sort();
        if !findings.problems.is_empty() {
            return Err(findings.problems);
        }
        let layers = layers_of(&parsed, previous);
        let policies = || parsed.values().flat_map(|file| &file.policies);
        let texts = policies().map(|parsed| (parsed.text.id.clone(), parsed.text.clone())).collect();
        let policies = CompiledPolicies {
            layers: Arc::new(layers),
            texts: Arc::new(texts),
            attached: Arc::default(),
            generation: 0,
            content_hash: files.content_hash(),
            #[cfg(test)]
            all: policies().map(|parsed| (parsed.text.layer.clone(), (*parsed.policy).clone())).collect(),
            parsed: Arc::new(parsed),
        };
        Ok(Compiled { policies, warnings: findings.warnings })
    }

    /// The same policies under the number that decisions will name.
    pub fn with_generation(mut self, generation: i64) -> CompiledPolicies {
        self.generation = generation;
        self
    }

    /// The same policies with others attached.
    pub fn with_attached(&self, attached: Arc<AttachedPolicies>) -> CompiledPolicies {
        CompiledPolicies { attached, ..self.clone() }
    }

    /// What is attached through IAM's operations.
    pub fn attached(&self) -> &Arc<AttachedPolicies> {
        &self.attached
    }

    /// The number that decisions name.
    pub fn generation(&self) -> i64 {
        self.generation
    }

    /// The hash of the files that were compiled, see [`PolicyFiles::content_hash`].
    pub fn content_hash(&self) -> [u8; 32] {
        self.content_hash
    }

    /// All policies of the files, by id.
    pub fn texts(&self) -> impl Iterator<Item = &PolicyText> {
        self.texts.values().map(Arc::as_ref)
    }

    /// The policy of that id, from the files or attached.
    pub fn text(&self, id: &str) -> Option<&PolicyText> {
        self.texts.get(id).map(Arc::as_ref).or_else(|| self.attached.text(id))
    }
}

impl SessionPolicy {
    /// Longest session policy, in bytes.
    pub const MAX_BYTES: usize = 64 << 10;

    /// Checks and compiles the text of a session policy. Policies without an `@id` are called `session-policy-1` and on.
    pub fn compile(source: &str) -> Result<SessionPolicy, Vec<Problem>> {
        let file = "session policy";
        if source.len() > Self::MAX_BYTES {
            let message = format!("it is larger than {} bytes", Self::MAX_BYTES);
            return Err(vec![Problem::of_file(file, message, "say it shorter")]);
        }
        let (policies, findings) = with_deep_stack(|| {
            let mut findings = Findings::default();
            let mut policies = Vec::new();
            parse_file(file, source, &Layer::Session, &mut policies, &mut findings);
            validate(&policies.iter().collect::<Vec<_>>(), &mut findings);
            (policies, findings)
        })
        .map_err(|failed| vec![failed])?;
        if !findings.problems.is_empty() {
            return Err(findings.problems);
        }
        let (mut index, mut texts) = (LayerIndex::default(), BTreeMap::new());
        for parsed in policies {
            index.add(&parsed.policy, &parsed.text);
            if texts.insert(parsed.text.id.clone(), (*parsed.text).clone()).is_some() {
                let message = format!("two policies are called `{}`", parsed.text.id);
                return Err(vec![Problem::of_file(file, message, "each `@id` is used once")]);
            }
        }
        Ok(SessionPolicy { index: Arc::new(index), texts, source: source.to_owned() })
    }

    /// What stands for a text that does not compile.
    pub fn permitting_nothing(source: &str) -> SessionPolicy {
        SessionPolicy { index: Arc::default(), texts: BTreeMap::new(), source: source.to_owned() }
    }

    /// The text that was compiled.
    pub fn source(&self) -> &str {
        &self.source
    }
}

#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Findings {
    pub(super) problems: Vec<Problem>,
    warnings: Vec<Problem>,
}

impl Findings {
    fn append(&mut self, mut more: Findings) {
        self.problems.append(&mut more.problems);
        self.warnings.append(&mut more.warnings);
    }

    fn sort(&mut self) {
        for list in [&mut self.problems, &mut self.warnings] {
            list.sort_by(|a, b| (&a.file, a.line, a.column, &a.message).cmp(&(&b.file, b.line, b.column, &b.message)));
            list.dedup();
            list.truncate(MAX_PROBLEMS);
        }
    }
}

/// What parsing one file gave; it depends on the file's path and bytes and on nothing else.
#[derive(Debug)]
struct ParsedFile {
    /// SHA-256 of the file.
    hash: [u8; 32],
    policies: Vec<ParsedPolicy>,
    findings: Findings,
    /// The entities that its policies name, each once.
    literals: Vec<EntityUid>,
    /// Set once Cedar's validation, which looks at a policy and the schema and nothing else, had nothing to say of its policies.
    is_valid: OnceLock<()>,
}

impl ParsedFile {
    fn check_names(&self, known: &dyn KnownNames, options: CompileOptions, findings: &mut Findings) {
        // Most files name only what exists, and name it often.
        if self.literals.iter().any(|uid| known_names::check(uid, known).is_some()) {
            self.policies.iter().for_each(|parsed| parsed.check_names(known, options, findings));
        }
    }
}

type ParsedFiles = BTreeMap<String, Arc<ParsedFile>>;

/// A policy of a file, before it is known to be right.
#[derive(Debug)]
pub(super) struct ParsedPolicy {
    pub(super) policy: Arc<Policy>,
    pub(super) text: Arc<PolicyText>,
    column: usize,
    /// Where it begins in the file, in bytes.
    offset: usize,
    /// The whole file, for positions.
    file_text: Arc<str>,
}

impl ParsedPolicy {
    /// A policy that stands in no file of the folder: the `order`th of `document`; `source` is its text.
    pub(super) fn of_document(
        policy: Policy,
        document: &str,
        order: usize,
        layer: Layer,
        source: String,
    ) -> ParsedPolicy {
        let text = PolicyText {
            id: AsRef::<str>::as_ref(policy.id()).to_owned(),
            effect: policy.effect().into(),
            layer,
            advice: policy.annotation("advice").map(str::to_owned),
            file: document.to_owned(),
            line: 1,
            text: source.clone(),
            order,
        };
        let (policy, text) = (Arc::new(policy), Arc::new(text));
        ParsedPolicy { policy, text, column: 1, offset: 0, file_text: source.into() }
    }

    fn problem(&self, message: impl Into<String>) -> Problem {
        Problem {
            file: self.text.file.clone(),
            line: self.text.line,
            column: self.column,
            policy: Some(self.text.id.clone()),
            message: message.into(),
            expected: None,
        }
    }

    fn check_names(&self, known: &dyn KnownNames, options: CompileOptions, findings: &mut Findings) {
        let mut literals = self.policy.entity_literals();
        literals.sort();
        literals.dedup();
        for uid in literals {
            let problem = |message: String| {
                // Where the literal stands in the policy's own text; the policy's beginning if it is written unusually.
                let written = uid.to_string();
                match self.text.text.find(&written) {
                    Some(at) => Problem::at(&self.text.file, &self.file_text, self.offset + at, message)
                        .in_policy(&self.text.id),
                    None => self.problem(message),
                }
            };
            match known_names::check(&uid, known) {
                None => {}
                Some(BadId::Malformed(shape)) => findings
                    .problems
                    .push(problem(format!("`{uid}` can never be anything")).expecting(format!("expected {shape}"))),
                Some(BadId::Unknown(what)) => {
                    let problem = problem(format!("there is no {what}"));
                    if options.allow_unknown {
                        findings.warnings.push(problem);
                    } else {
                        findings.problems.push(problem.expecting("expected a name that exists"));
                    }
                }
                Some(BadId::UnknownRef(what)) => findings.warnings.push(problem(format!("there is no {what}"))),
            }
        }
    }

    /// What the layer asks of its policies.
    pub(super) fn check_layer(&self, findings: &mut Findings) {
        let scope_principal = match self.policy.principal_constraint() {
            PrincipalConstraint::Eq(uid) | PrincipalConstraint::In(uid) | PrincipalConstraint::IsIn(_, uid) => {
                Some(uid)
            }
            PrincipalConstraint::Any | PrincipalConstraint::Is(_) => None,
        };
        match &self.text.layer {
            Layer::Organization if self.text.effect == Effect::Permit => findings.problems.push(
                self.problem("the organization's policies can only forbid")
                    .expecting("write `forbid`, or put the permit into an account's folder"),
            ),
            Layer::Account(account) if self.text.effect == Effect::Permit => {
                if let Some(principal) = scope_principal.filter(|uid| !is_of_account(uid, account)) {
                    findings.warnings.push(
                        self.problem(format!("`{principal}` is not of account `{account}`, so this permits nothing"))
                            .expecting(format!("what others may do stands in `{account}/trust/`")),
                    );
                }
            }
            Layer::Trust(account) => {
                let only_roles = matches!(self.policy.action_constraint(), ActionConstraint::Eq(action)
                    if [action_uid("sts:AssumeRole"), action_uid("sts:AssumeRoleWithWebIdentity")].contains(&action));
                match scope_principal {
                    None => findings.problems.push(
                        self.problem("a trust policy names whom it trusts")
                            .expecting("write `principal == ...` or `principal in ...` in its first line"),
                    ),
                    Some(principal) if is_of_account(&principal, account) && !only_roles => findings.problems.push(
                        self.problem(format!("`{principal}` is of account `{account}` itself")).expecting(format!(
                            "what the account's own people may do stands in `{account}/`, only taking roles needs trust within an account"
                        )),
                    ),
                    Some(_) => {}
                }
            }
            _ => {}
        }
    }
}

fn is_of_account(uid: &EntityUid, account: &AccountId) -> bool {
    let id = uid.id().unescaped();
    id.split('/').next() == Some(account.as_str())
}

/// The index of each layer; a layer of which no file changed keeps the one it had.
fn layers_of(parsed: &ParsedFiles, previous: Option<&CompiledPolicies>) -> HashMap<Layer, Arc<LayerIndex>> {
    let by_layer = |parsed: &ParsedFiles| {
        let mut by_layer: HashMap<Layer, Vec<Arc<ParsedFile>>> = HashMap::new();
        for file in parsed.values() {
            if let Some(first) = file.policies.first() {
                by_layer.entry(first.text.layer.clone()).or_default().push(file.clone());
            }
        }
        by_layer
    };
    let before = previous.map(|previous| by_layer(&previous.parsed)).unwrap_or_default();
    let index_of = |(layer, files): (Layer, Vec<Arc<ParsedFile>>)| {
        // The very same files in the same order: a file that moved was parsed under its new path.
        let unchanged = before.get(&layer).is_some_and(|before| {
            before.len() == files.len() && before.iter().zip(&files).all(|(before, file)| Arc::ptr_eq(before, file))
        });
        let kept = previous.filter(|_| unchanged).and_then(|previous| previous.layers.get(&layer));
        let index = kept.cloned().unwrap_or_else(|| {
            let mut index = LayerIndex::default();
            files.iter().flat_map(|file| &file.policies).for_each(|parsed| index.add(&parsed.policy, &parsed.text));
            Arc::new(index)
        });
        (layer, index)
    };
    by_layer(parsed).into_iter().map(index_of).collect()
}

fn parse_files(files: &PolicyFiles, previous: Option<&ParsedFiles>) -> (ParsedFiles, Findings) {
    let each: Vec<(&str, &[u8])> = files.iter().collect();
    let parsed = in_parallel(&each, |(path, bytes)| {
        let hash: [u8; 32] = Sha256::digest(bytes).into();
        let before = previous.and_then(|previous| previous.get(*path)).filter(|before| before.hash == hash);
        before.cloned().unwrap_or_else(|| {
            let (policies, findings) = parse_path(path, bytes);
            let literals: HashSet<EntityUid> =
                policies.iter().flat_map(|parsed| parsed.policy.entity_literals()).collect();
            let (literals, is_valid) = (literals.into_iter().collect(), OnceLock::new());
            Arc::new(ParsedFile { hash, policies, findings, literals, is_valid })
        })
    });
    let mut findings = Findings::default();
    for file in &parsed {
        findings.append(file.findings.clone());
    }
    // In the order of paths, as `files` is.
    check_ids(parsed.iter().flat_map(|file| &file.policies), &mut findings);
    if findings.problems.is_empty() {
        validate_files(&parsed, &mut findings);
    }
    (each.iter().map(|(path, _)| (*path).to_owned()).zip(parsed).collect(), findings)
}

/// The policies of the file at `path`, ordered within it.
fn parse_path(path: &str, bytes: &[u8]) -> (Vec<ParsedPolicy>, Findings) {
    let mut findings = Findings::default();
    let mut policies = Vec::new();
    if path == "lockgate.cedarschema" {
        if bytes != SCHEMA.as_bytes() {
            let message = "this is not the schema that this version speaks, and is not used";
            findings.warnings.push(Problem::of_file(path, message, "remove it, it will be written anew"));
        }
        return (policies, findings);
    }
    let Some(layer) = layer_of(path) else {
        findings.problems.push(Problem::of_file(path, "no policies are expected here", PLACES));
        return (policies, findings);
    };
    match std::str::from_utf8(bytes) {
        Ok(text) => parse_file(path, text, &layer, &mut policies, &mut findings),
        Err(bad) => {
            let valid = String::from_utf8_lossy(&bytes[..bad.valid_up_to()]);
            let problem = Problem::at(path, &valid, valid.len(), "the text is not UTF-8 from here on");
            findings.problems.push(problem);
        }
    }
    (policies, findings)
}

/// The layer that a file's place says; none for a place that says nothing.
fn layer_of(path: &str) -> Option<Layer> {
    let mut parts = path.split('/');
    let (first, second, third) = (parts.next()?, parts.next()?, parts.next());
    if parts.next().is_some() || !path.ends_with(".cedar") {
        return None;
    }
    match (first, second, third) {
        ("organization", _, None) => Some(Layer::Organization),
        (account, _, None) => Some(Layer::Account(AccountId::parse(account).ok()?)),
        (account, "trust", Some(_)) => Some(Layer::Trust(AccountId::parse(account).ok()?)),
        _ => None,
    }
}

fn parse_file(path: &str, text: &str, layer: &Layer, policies: &mut Vec<ParsedPolicy>, findings: &mut Findings) {
    if let Err(over) = bounds::check(text) {
        findings.problems.push(Problem::at(path, text, over.offset, over.message));
        return;
    }
    let set: PolicySet = match text.parse() {
        Ok(set) => set,
        Err(errors) => {
            for error in errors.iter() {
                findings.problems.push(from_cedar(path, text, &DetailedError::from(error)));
            }
            return;
        }
    };
    for template in set.templates() {
        let at = text.find(&template.to_cedar()).unwrap_or(0);
        findings.problems.push(
            Problem::at(path, text, at, "templates with `?principal` or `?resource` do not stand in files")
                .expecting("write out whom or what is meant"),
        );
    }
    // Cedar numbers the policies of a text in order: `policy0`, `policy1`, ...
    let mut numbered: Vec<(usize, &Policy)> = set
        .policies()
        .map(|policy| {
            let id: &str = policy.id().as_ref();
            (id.strip_prefix("policy").and_then(|number| number.parse().ok()).unwrap_or(usize::MAX), policy)
        })
        .collect();
    numbered.sort_by_key(|(number, _)| *number);
    let file_text: Arc<str> = text.into();
    let mut from = 0;
    // Lines are counted on from the policy before: a file's beginning is not counted again for each policy.
    let (mut n_lines, mut counted) = (0, 0);
    for (number, policy) in numbered {
        let source = policy.to_cedar().unwrap_or_default();
        let at = text[from..].find(&source).map_or(from, |at| from + at);
        from = (at + source.len()).min(text.len());
        let line_start = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
        let column = text[line_start..at].chars().count() + 1;
        n_lines += text[counted..at].matches('\n').count();
        counted = at;
        let id = match annotation(policy, &ANNOTATIONS.id) {
            Some(id) if is_policy_id(id) => id.to_owned(),
            None if *layer == Layer::Session => format!("session-policy-{}", number + 1),
            Some(_) => {
                findings.problems.push(
                    Problem::at(path, text, at, "the policy's `@id` cannot be used")
                        .expecting("1 to 128 letters, digits, `.`, `_`, `:`, `/` and `-`"),
                );
                continue;
            }
            None => {
                findings.problems.push(
                    Problem::at(path, text, at, "the policy has no `@id`")
                        .expecting("write `@id(\"a-name-for-it\")` before it: it is what refusals name"),
                );
                continue;
            }
        };
        let advice = annotation(policy, &ANNOTATIONS.advice).map(str::to_owned);
        if advice.as_deref().is_some_and(|advice| advice.len() > 1000 || advice.chars().any(char::is_control)) {
            findings.problems.push(
                Problem::at(path, text, at, "the policy's `@advice` cannot be shown")
                    .in_policy(&id)
                    .expecting("one line of at most 1000 bytes"),
            );
        }
        let text = PolicyText {
            effect: policy.effect().into(),
            layer: layer.clone(),
            advice,
            file: path.to_owned(),
            line: n_lines + 1,
            text: source,
            order: policies.len(),
            id,
        };
        let policy = Arc::new(policy.new_id(PolicyId::new(&text.id)));
        let parsed = ParsedPolicy { policy, text: Arc::new(text), column, offset: at, file_text: file_text.clone() };
        parsed.check_layer(findings);
        policies.push(parsed);
    }
}

/// The names of the annotations that are looked at.
struct Annotations {
    id: AnyId,
    advice: AnyId,
}

/// `Policy::annotation` parses the name that it is asked for anew each time, which costs a quarter of parsing the policy.
static ANNOTATIONS: LazyLock<Annotations> = LazyLock::new(|| {
    let named = |name: &str| name.parse().expect("the name of an annotation is an identifier");
    Annotations { id: named("id"), advice: named("advice") }
});

fn annotation<'a>(policy: &'a Policy, name: &AnyId) -> Option<&'a str> {
    let policy: &cedar_policy_core::ast::Policy = policy.as_ref();
    policy.annotation(name).map(AsRef::as_ref)
}

fn check_ids<'a>(policies: impl Iterator<Item = &'a ParsedPolicy>, findings: &mut Findings) {
    let mut first: HashMap<&str, &ParsedPolicy> = HashMap::new();
    for policy in policies {
        if let Some(earlier) = first.insert(&policy.text.id, policy) {
            let (file, line) = (&earlier.text.file, earlier.text.line);
            let problem = policy.problem(format!("its `@id` is also that of the policy at {file}:{line}"));
            findings.problems.push(problem.expecting("expected an `@id` of its own"));
        }
    }
}

/// [`validate`] for the policies of files, those left out of which it had nothing to say before.
fn validate_files(files: &[Arc<ParsedFile>], findings: &mut Findings) {
    let to_ask: Vec<&Arc<ParsedFile>> = files.iter().filter(|file| file.is_valid.get().is_none()).collect();
    let policies: Vec<&ParsedPolicy> = to_ask.iter().flat_map(|file| &file.policies).collect();
    let spoken_of: HashSet<&str> = validate(&policies, findings).into_iter().collect();
    for file in to_ask {
        if !file.policies.iter().any(|parsed| spoken_of.contains(parsed.text.file.as_str())) {
            // It may have been set meanwhile by someone who checks the same files, and to the same.
            let _ = file.is_valid.set(());
        }
    }
}

/// Cedar's strict validation, at the level whose entities are always supplied: one policy of each [`shape`], and each policy
/// of a shape that something is said about, so that every message names its own place.
///
/// Returns the files of the policies of which there was something to say, told or not.
pub(super) fn validate<'a>(policies: &[&'a ParsedPolicy], findings: &mut Findings) -> Vec<&'a str> {
    let shapes = in_parallel(policies, |parsed| shape::of(&parsed.text.text));
    let mut first_of_shape: HashMap<&str, usize> = HashMap::new();
    let mut representative: Vec<usize> = Vec::with_capacity(policies.len());
    for (n, shape) in shapes.iter().enumerate() {
        representative.push(shape.as_deref().map_or(n, |shape| *first_of_shape.entry(shape).or_insert(n)));
    }
    let to_ask: Vec<usize> = (0..policies.len()).filter(|n| representative[*n] == *n).collect();
    let said = in_parallel(&to_ask, |n| validate_one(policies[*n]));
    let said: HashMap<usize, Findings> = to_ask.into_iter().zip(said).collect();
    let (mut n_wrong, mut n_suspicious) = (0, 0);
    let mut spoken_of = Vec::new();
    for (n, parsed) in policies.iter().enumerate() {
        let of_shape = &said[&representative[n]];
        let wrong = !of_shape.problems.is_empty();
        // INVARIANT: policies come in the order in which findings are told, so what lies behind the first MAX_PROBLEMS would be
        // cut off. Warnings are not told where there are problems.
        let full = if wrong { n_wrong >= MAX_PROBLEMS } else { n_suspicious >= MAX_PROBLEMS };
        if !wrong && of_shape.warnings.is_empty() {
            continue;
        }
        spoken_of.push(parsed.text.file.as_str());
        if full {
            continue;
        }
        n_wrong += usize::from(wrong);
        n_suspicious += usize::from(!wrong);
        findings.append(if representative[n] == n { of_shape.clone() } else { validate_one(parsed) });
    }
    spoken_of
}

/// What Cedar says of one policy.
fn validate_one(parsed: &ParsedPolicy) -> Findings {
    static VALIDATOR: LazyLock<Validator> = LazyLock::new(|| Validator::new(SPOKEN.schema.clone()));
    let mut findings = Findings::default();
    let set = match PolicySet::from_policies([(*parsed.policy).clone()]) {
        Ok(set) => set,
        Err(failed) => {
            findings.problems.push(parsed.problem(failed.to_string()));
            return findings;
        }
    };
    let place = |detailed: DetailedError| {
        let mut problem = from_cedar(&parsed.text.file, &parsed.file_text, &detailed).in_policy(&parsed.text.id);
        if detailed.source_locations.is_empty() {
            (problem.line, problem.column) = (parsed.text.line, parsed.column);
        }
        problem
    };
    let result = VALIDATOR.validate_with_level(&set, ValidationMode::Strict, LEVEL);
    findings.problems.extend(result.validation_errors().map(|error| place(DetailedError::from(error))));
    findings.warnings.extend(result.validation_warnings().map(|warning| place(DetailedError::from(warning))));
    findings
}

pub(super) fn from_cedar(path: &str, text: &str, error: &DetailedError) -> Problem {
    let offset = error.source_locations.first().map_or(0, |label| label.loc.start);
    let mut message = error.message.clone();
    // Cedar repeats our policy id, which stands before the message already.
    if let Some((before, after)) = message.split_once(", ")
        && before.starts_with("for policy `")
    {
        message = after.to_owned();
    }
    let problem = Problem::at(path, text, offset, crate::names::escape_for_people(message.as_bytes(), 400));
    let label = error.source_locations.first().and_then(|label| label.label.clone());
    match label.or_else(|| error.help.clone()) {
        Some(expected) => problem.expecting(crate::names::escape_for_people(expected.as_bytes(), 300)),
        None => problem,
    }
}

fn is_policy_id(id: &str) -> bool {
    (1..=128).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"._:/-".contains(&b))
}

/// Steps from the request's own entities that a policy may follow: `principal.originalUser.mfaEnrolled` is two.
const LEVEL: u32 = 2;
/// Problems told at once.
const MAX_PROBLEMS: usize = 200;
const PLACES: &str = "policies lie in `organization/NAME.cedar`, `ACCOUNT/NAME.cedar` or `ACCOUNT/trust/NAME.cedar`, ACCOUNT being twelve digits";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::EveryName;

    fn folder(list: &[(&str, &str)]) -> PolicyFiles {
        let mut files = PolicyFiles::new();
        list.iter().for_each(|(path, text)| files.insert(path, text.as_bytes().to_vec()).unwrap());
        files
    }

    fn permit(id: &str, owner: &str, condition: &str) -> String {
        format!("@id(\"{id}\") permit (principal == User::\"{owner}/dan\", action, resource){condition};\n")
    }

    #[test]
    fn an_index_is_kept_while_no_file_of_its_layer_changes() {
        let (home, away) = ("111111111111", "222222222222");
        let (a, b, c) = (permit("a", home, ""), permit("b", home, ""), permit("c", away, ""));
        let path = "111111111111/b.cedar";
        let first = folder(&[("111111111111/a.cedar", &a), (path, &b), ("222222222222/c.cedar", &c)]);
        let any = CompileOptions::default();
        let first = CompiledPolicies::compile(&first, &EveryName, any).unwrap().policies;
        let layer = |owner: &str| Layer::Account(AccountId::parse(owner).unwrap());
        let changed = permit("b", home, " when { context.request.mfa }");
        for (other, other_path) in [(changed.as_str(), path), (&b, "111111111111/a2.cedar"), ("", path)] {
            let next = folder(&[("111111111111/a.cedar", &a), (other_path, other), ("222222222222/c.cedar", &c)]);
            let next = CompiledPolicies::compile_after(&first, &next, &EveryName, any).unwrap().policies;
            let is_kept = |owner: &str| Arc::ptr_eq(&first.layers[&layer(owner)], &next.layers[&layer(owner)]);
            assert!(is_kept(away) && !is_kept(home), "{other_path} {other}");
        }
        let without_home = folder(&[("222222222222/c.cedar", &c)]);
        let next = CompiledPolicies::compile_after(&first, &without_home, &EveryName, any).unwrap().policies;
        assert!(!next.layers.contains_key(&layer(home)) && next.text("a").is_none());
    }

    #[test]
    fn what_validation_warns_of_is_told_at_each_apply() {
        let suspicious = permit("never", "111111111111", " when { principal == User::\"111111111111/x\" && false }");
        let fine = permit("fine", "111111111111", "");
        let files = |more: &str| {
            folder(&[("111111111111/a.cedar", &suspicious), ("111111111111/b.cedar", &format!("{fine}{more}"))])
        };
        let any = CompileOptions::default();
        let mut last = CompiledPolicies::compile(&files(""), &EveryName, any).unwrap();
        assert_eq!(last.warnings.len(), 1, "{:?}", last.warnings);
        assert!(last.policies.parsed["111111111111/b.cedar"].is_valid.get().is_some());
        for more in ["// a\n", "// a\n", ""] {
            let next = CompiledPolicies::compile_after(&last.policies, &files(more), &EveryName, any).unwrap();
            assert_eq!(next.warnings, last.warnings);
            last = next;
        }
    }

    #[test]
    fn names_are_checked_at_each_apply() {
        struct Without(&'static str);
        impl KnownNames for Without {
            fn has_account(&self, _: &AccountId) -> bool {
                true
            }
            fn has_user(&self, _: &AccountId, name: &crate::names::PrincipalName) -> bool {
                name.as_str() != self.0
            }
            fn has_group(&self, _: &AccountId, _: &crate::names::PrincipalName) -> bool {
                true
            }
            fn has_role(&self, _: &AccountId, _: &crate::names::PrincipalName) -> bool {
                true
            }
            fn has_repository(&self, _: &AccountId, _: &crate::names::RepositoryName) -> bool {
                true
            }
            fn has_ref_at_or_below(&self, _: &AccountId, _: &crate::names::RepositoryName, _: &[u8]) -> bool {
                true
            }
        }
        let files = folder(&[("111111111111/a.cedar", &permit("a", "111111111111", ""))]);
        let any = CompileOptions::default();
        let first = CompiledPolicies::compile(&files, &Without("sue"), any).unwrap().policies;
        let problems = CompiledPolicies::compile_after(&first, &files, &Without("dan"), any).unwrap_err();
        assert_eq!(problems.len(), 1);
        assert!(problems[0].message.contains("there is no user `dan`"), "{:?}", problems[0]);
    }
}
