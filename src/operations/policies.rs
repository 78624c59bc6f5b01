//! The active policies, and the generations before: a folder is applied whole or not at all.
//!
//! What is attached through IAM's operations lies in the directory and comes beside the folder's: who decides asks for the
//! policies [`Policies::with`] the directory that the decision is made on.

use std::path::Path;
use std::sync::Arc;

use parking_lot::RwLock;
use serde::{Deserialize, Serialize};

use super::policy_replay::Gate;
use crate::identity::{Directory, HeldPolicies, Identity, RepositoryRecord};
use crate::names::{AccountId, PrincipalName, RepositoryName};
use crate::policy::{
    AttachedDocument, AttachedPolicies, AttachedTo, CompileOptions, Compiled, CompiledPolicies, KnownNames,
    PolicyFiles, Problem, SCHEMA, starter_files,
};
use crate::store::Store;
use crate::store::catalog::{CatalogError, Record, RecordBatch};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The active policies.
#[derive(Clone)]
pub struct Policies {
    active: Arc<RwLock<Active>>,
}

struct Active {
    policies: Arc<CompiledPolicies>,
    /// The directory's, whose documents are attached.
    attached_digest: [u8; 32],
    /// The counter of the newest directory that was seen.
    counter: i64,
}

/// A generation as lists show it.
#[derive(Debug, Clone, Serialize)]
pub struct Generation {
    /// Its number.
    pub number: i64,
    /// The folder's content hash, in hexadecimal.
    pub hash: String,
    /// When it was applied, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// Who applied it.
    pub by: String,
    /// Why, as they said.
    pub reason: Option<String>,
    /// Files in it.
    pub files: usize,
}

/// How a folder is applied.
pub struct ApplyOptions<'a> {
    /// Names that do not exist are warned about and not refused.
    pub allow_unknown: bool,
    /// Refs that do not exist are warned about.
    pub has_ref: &'a HasRef<'a>,
    /// Who applies it.
    pub by: &'a str,
    /// Why, one line.
    pub reason: Option<&'a str>,
    /// What the configuration asks before policies change.
    pub gate: Option<Gate<'a>>,
}

impl<'a> ApplyOptions<'a> {
    /// By `by`, with no reason given, refs not looked up.
    pub fn by(by: &'a str, allow_unknown: bool) -> ApplyOptions<'a> {
        ApplyOptions { allow_unknown, has_ref: ANY_REF, by, reason: None, gate: None }
    }
}

/// What applying a folder came to.
pub enum Applied {
    /// A new generation is active.
    Active {
        /// Its number.
        generation: i64,
        /// What is suspicious and was let pass.
        warnings: Vec<Problem>,
    },
    /// The folder is what is active already.
    Unchanged {
        /// The active number.
        generation: i64,
    },
    /// The folder is not valid; nothing was changed.
    Refused(Vec<Problem>),
    /// The gate holds it up, and why; nothing was changed.
    Held(String),
}

const KIND: &str = "policy";

/// The body of a generation's record.
#[derive(Serialize, Deserialize)]
struct GenerationBody {
    number: i64,
    at_ms: i64,
    by: String,
    #[serde(default)]
    reason: Option<String>,
    files: Vec<u8>,
}

impl Policies {
    /// Loads the active generation; before the first, nothing is allowed to anybody.
    pub fn open(store: &Store, identity: &Identity) -> Result<Policies, Failure> {
        let none = compile(&PolicyFiles::new(), identity, ANY_REF, true).map_err(shown)?.policies;
        let active = Active { policies: Arc::new(none), attached_digest: [0; 32], counter: -1 };
        let policies = Policies { active: Arc::new(RwLock::new(active)) };
        policies.refresh(store, identity)?;
        Ok(policies)
    }

    /// The folder's active policies, with what was attached when policies were asked for last: to read them, not to decide.
    pub fn active(&self) -> Arc<CompiledPolicies> {
        self.active.read().policies.clone()
    }

    /// The active policies with what is attached in `directory`, or in a newer one that was asked for before.
    pub fn with(&self, directory: &Directory, region: &str) -> Arc<CompiledPolicies> {
        let is_seen = |active: &Active| {
            active.counter >= directory.counter() || active.attached_digest == directory.attached_digest()
        };
        {
            let active = self.active.read();
            if is_seen(&active) {
                return active.policies.clone();
            }
        }
        let mut active = self.active.write();
        if !is_seen(&active) {
            let attached = AttachedPolicies::compile(Some(active.policies.attached()), attached(directory), region);
            active.policies = Arc::new(active.policies.with_attached(Arc::new(attached)));
            active.attached_digest = directory.attached_digest();
            active.counter = directory.counter();
        }
        active.policies.clone()
    }

    /// [`Policies::with`], and documents more that are attached nowhere; for questions, not to decide.
    pub fn with_more(&self, directory: &Directory, region: &str, more: Vec<AttachedDocument>) -> CompiledPolicies {
        let policies = self.with(directory, region);
        let all = attached(directory).into_iter().chain(more);
        let attached = AttachedPolicies::compile(Some(policies.attached()), all, region);
        policies.with_attached(Arc::new(attached))
    }

    /// Loads the active generation if it is another one than is held.
    pub fn refresh(&self, store: &Store, identity: &Identity) -> Result<(), Failure> {
        let number = store.wait(store.catalog().active_policy())?;
        if number != self.active().generation() {
            let compiled = self.generation(store, identity, number)?;
            self.replace(compiled);
        }
        Ok(())
    }

    /// Makes policies the active ones, unless a later generation became so while these were compiled.
    fn replace(&self, policies: CompiledPolicies) {
        let mut active = self.active.write();
        if policies.generation() > active.policies.generation() {
            active.policies = Arc::new(policies.with_attached(active.policies.attached().clone()));
        }
    }

    /// A generation, compiled. Names in it may be gone meanwhile; that makes it no less what was applied.
    pub fn generation(&self, store: &Store, identity: &Identity, number: i64) -> Result<CompiledPolicies, Failure> {
        let records = store.wait(store.catalog().load(KIND))?;
        for record in &records {
            let body: GenerationBody = serde_json::from_slice(&record.body)?;
            if body.number == number {
                let files = PolicyFiles::decode(&body.files)?;
                let compiled = compile(&files, identity, ANY_REF, true).map_err(shown)?;
                return Ok(compiled.policies.with_generation(number));
            }
        }
        Err(format!("policy generation {number} is not in the catalog").into())
    }

    /// All generations, oldest first.
    pub fn generations(&self, store: &Store) -> Result<Vec<Generation>, Failure> {
        let mut out = Vec::new();
        for record in store.wait(store.catalog().load(KIND))? {
            let body: GenerationBody = serde_json::from_slice(&record.body)?;
            let files = PolicyFiles::decode(&body.files)?;
            let hash = files.content_hash().iter().map(|byte| format!("{byte:02x}")).collect();
            out.push(Generation {
                number: body.number,
                hash,
                at_ms: body.at_ms,
                by: body.by,
                reason: body.reason,
                files: files.len(),
            });
        }
        out.sort_by_key(|generation| generation.number);
        Ok(out)
    }

    /// Makes a folder the active generation, if it is valid.
    pub fn apply(
        &self,
        store: &Store,
        identity: &Identity,
        files: &PolicyFiles,
        options: &ApplyOptions<'_>,
    ) -> Result<Applied, Failure> {
        let ApplyOptions { allow_unknown, has_ref, by, reason, gate } = *options;
        for _ in 0..8 {
            store.wait(identity.refresh())?;
            self.refresh(store, identity)?;
            let active = self.active();
            if active.generation() > 0 && active.content_hash() == files.content_hash() {
                return Ok(Applied::Unchanged { generation: active.generation() });
            }
            // The names are checked against the directory whose counter the commit expects: one deleted meanwhile is noticed.
            let directory = identity.directory();
            let options = CompileOptions { allow_unknown };
            // Most applies change a file of many.
            let compiled =
                CompiledPolicies::compile_after(&active, files, &Known { directory: &directory, has_ref }, options);
            let Compiled { policies, warnings } = match compiled {
                Ok(compiled) => compiled,
                Err(problems) => return Ok(Applied::Refused(problems)),
            };
            if let Some(gate) = gate
                && let Some(why) = gate.hold(store, &self.with(&directory, identity.region()), &policies)?
            {
                return Ok(Applied::Held(why));
            }
            let number = active.generation() + 1;
            let at_ms = store.clock().now_ms();
            let reason = reason.map(str::to_string);
            let body = GenerationBody { number, at_ms, by: by.to_string(), reason, files: files.encode() };
            let record = Record {
                kind: KIND.into(),
                id: uuid::Uuid::now_v7().into_bytes(),
                name: Some(format!("policy/{number}")),
                body: serde_json::to_vec(&body)?,
            };
            let batch =
                RecordBatch { puts: vec![record], expect_counter: Some(directory.counter()), ..RecordBatch::default() };
            match store.wait(store.catalog().commit_with(&batch, Some(number))) {
                Ok(_) => {
                    self.replace(policies.with_generation(number));
                    store.wait(identity.refresh())?;
                    return Ok(Applied::Active { generation: number, warnings });
                }
                Err(CatalogError::Changed | CatalogError::NameTaken) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err("the directory is being changed too fast; try again".into())
    }

    /// At the first start: a folder without policies gets the starter set, and what is there is applied.
    pub fn first_start(
        &self,
        folder: &Path,
        account: &AccountId,
        store: &Store,
        identity: &Identity,
    ) -> Result<(), Failure> {
        let is_first = self.active().generation() == 0;
        if is_first && (!folder.exists() || !PolicyFiles::read_folder(folder)?.has_policies()) {
            write_files(folder, &starter_files(account))?;
        }
        let schema = folder.join("lockgate.cedarschema");
        if !schema.exists() {
            crate::store::keyring::create_private_folder(folder)?;
            crate::store::keyring::write_private(&schema, SCHEMA.as_bytes())?;
        }
        if !is_first {
            return Ok(());
        }
        match self.apply(store, identity, &PolicyFiles::read_folder(folder)?, &ApplyOptions::by("first start", true))? {
            Applied::Refused(problems) => Err(shown(problems).into()),
            Applied::Held(why) => Err(why.into()),
            Applied::Active { warnings, .. } => {
                for warning in warnings {
                    tracing::warn!("{warning}");
                }
                Ok(())
            }
            Applied::Unchanged { .. } => Ok(()),
        }
    }

    /// The way out of a lock-out: the starter set of every account becomes the active generation. The folder stays as it is.
    pub fn recover(&self, store: &Store, identity: &Identity) -> Result<Applied, Failure> {
        let mut files = PolicyFiles::new();
        for account in identity.directory().accounts() {
            for (path, bytes) in starter_files(&account.id).iter() {
                if files.file(path).is_none() {
                    files.insert(path, bytes.to_vec())?;
                }
            }
        }
        self.apply(store, identity, &files, &ApplyOptions::by("policy recover", true))
    }
}

/// Says whether a repository has a ref of that name or below it; `true` where that cannot be found out.
pub type HasRef<'a> = dyn Fn(&RepositoryRecord, &[u8]) -> bool + 'a;

/// For those who do not look refs up: a policy may speak of a branch that is yet to come.
pub const ANY_REF: &HasRef<'static> = &|_, _| true;

/// Compiles a folder against the names that exist.
pub fn compile(
    files: &PolicyFiles,
    identity: &Identity,
    has_ref: &HasRef<'_>,
    allow_unknown: bool,
) -> Result<Compiled, Vec<Problem>> {
    let directory = identity.directory();
    let known = Known { directory: &directory, has_ref };
    CompiledPolicies::compile(files, &known, CompileOptions { allow_unknown })
}

fn shown(problems: Vec<Problem>) -> String {
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    format!("the policies are not valid:\n{}", lines.join("\n"))
}

/// Writes policy files for people to read and change. Nobody else on the machine needs to.
fn write_files(folder: &Path, files: &PolicyFiles) -> std::io::Result<()> {
    for (path, bytes) in files.iter() {
        let path = folder.join(path);
        if let Some(parent) = path.parent() {
            crate::store::keyring::create_private_folder(parent)?;
        }
        if !path.exists() {
            crate::store::keyring::write_private(&path, bytes)?;
        }
    }
    Ok(())
}

/// Every document that is attached to something.
fn attached(directory: &Directory) -> Vec<AttachedDocument> {
    let mut all = Vec::new();
    for account in directory.accounts() {
        let mut add_held = |held: &HeldPolicies, to: &AttachedTo| {
            all.extend(held_documents(directory, &account.id, held, to));
        };
        for user in directory.users(&account.id) {
            add_held(&user.policies, &AttachedTo::User(user.name.clone()));
        }
        for group in directory.groups(&account.id) {
            add_held(&group.policies, &AttachedTo::Group(group.name.clone()));
        }
        for role in directory.roles(&account.id) {
            add_held(&role.policies, &AttachedTo::Role(role.name.clone()));
        }
        for role in directory.roles(&account.id) {
            if let Some(text) = &role.trust {
                let (to, name) = (AttachedTo::Trust(role.name.clone()), format!("role/{}/trust", role.name));
                all.push(AttachedDocument { account: account.id.clone(), to, name, text: text.clone() });
            }
        }
    }
    all
}

/// The documents that somebody of that kind and name holds, or would hold.
pub(super) fn held_documents(
    directory: &Directory,
    account: &AccountId,
    held: &HeldPolicies,
    to: &AttachedTo,
) -> Vec<AttachedDocument> {
    // INVARIANT: a policy that is attached is not deleted; were it gone, what it forbade must not be forgotten.
    static GONE: &str = "the document is gone";
    let holder = match to {
        AttachedTo::User(name) => format!("user/{name}"),
        AttachedTo::Group(name) => format!("group/{name}"),
        AttachedTo::Role(name) | AttachedTo::Trust(name) => format!("role/{name}"),
    };
    let document = |name: String, text: Arc<str>| AttachedDocument {
        account: account.clone(),
        to: to.clone(),
        name: format!("{holder}/{name}"),
        text,
    };
    let inline = held.inline.iter().map(|(policy, text)| document(policy.to_string(), text.clone()));
    let managed = held.managed.iter().map(|policy| {
        let text = directory.managed_policy(account, policy).and_then(|policy| policy.document());
        document(format!("policy/{policy}"), text.cloned().unwrap_or_else(|| GONE.into()))
    });
    inline.chain(managed).collect()
}

struct Known<'a> {
    directory: &'a Directory,
    has_ref: &'a HasRef<'a>,
}

impl KnownNames for Known<'_> {
    fn has_account(&self, account: &AccountId) -> bool {
        self.directory.account(account).is_some()
    }
    fn has_user(&self, account: &AccountId, name: &PrincipalName) -> bool {
        self.directory.user(account, name).is_some_and(|user| user.name == *name)
    }
    fn has_group(&self, account: &AccountId, name: &PrincipalName) -> bool {
        self.directory.group(account, name).is_some_and(|group| group.name == *name)
    }
    fn has_role(&self, account: &AccountId, name: &PrincipalName) -> bool {
        self.directory.role(account, name).is_some_and(|role| role.name == *name)
    }
    fn has_repository(&self, account: &AccountId, name: &RepositoryName) -> bool {
        self.directory.repository(account, name).is_some_and(|repository| repository.name == *name)
    }
    fn has_ref_at_or_below(&self, account: &AccountId, repository: &RepositoryName, name: &[u8]) -> bool {
        self.directory.repository(account, repository).is_none_or(|record| (self.has_ref)(record, name))
    }
}
