//! The inside, put together: what the doors call, and the cache of repositories in use.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use secrecy::ExposeSecret;
use uuid::Uuid;

use super::admin::{AdminFailure, AdminHost, AdminReply, AdminRequest, ImportSource};
use super::administration::{self, AdminContext};
use super::authority::{decide_repository, record_of};
use super::decision_log::DecisionLog;
use super::events::EventState;
use super::git_push::{self, PushError};
use super::last_used::{LastUse, LastUses};
use super::live::Live;
use super::policies::Policies;
use super::ref_log::ADMINISTRATOR;
use super::reviews::merge_refs::MergesTried;
use super::signed_passwords::SignedPasswords;
use super::{
    AuthFailure, GitHost, GitMode, GitRefusal, GitRequest, GitService, GitSession, GitTransfer, Host, Listening,
    OpContext, RepositoryPath, TransferError, git_pull, import, key_upkeep, policy_watch,
};
use crate::clock::Clock;
use crate::config::{Config, EventSettings, Webhook};
use crate::identity::{AdminCredentials, Directory, Identity, LoginFailure, Principal, RepositoryRecord};
use crate::jobs::{Upkeep, sweep_hourly};
use crate::names::AccountId;
use crate::oidc::ProviderKeys;
use crate::outbound::OutboundClient;
use crate::policy::{Action, DecisionRecord, explain};
use crate::protocol::Version;
use crate::repository::handle::{Repository, RepositoryError};
use crate::repository::log::RefChange;
use crate::repository::pack::ingest::IngestLimits;
use crate::repository::snapshot::Snapshot;
use crate::sigv4::GitPassword;
use crate::store::faults::Faults;
use crate::store::keyring::{KeyOwner, KeyRefusal};
use crate::store::{Store, StoreOptions};

/// Refs that an import lists as left out before it only counts them.
const SHOWN_SKIPPED_REFS: usize = 20;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// One server's inside.
#[derive(Clone)]
pub struct Lockgate {
    store: Store,
    identity: Identity,
    policies: Policies,
    repositories: Arc<Repositories>,
    upkeep: Upkeep,
    decisions: DecisionLog,
    last_uses: LastUses,
    signed_passwords: Arc<SignedPasswords>,
    provider_keys: ProviderKeys,
    settings: Arc<Settings>,
    listening: Arc<OnceLock<Listening>>,
    outbound: OutboundClient,
    merges_tried: Arc<MergesTried>,
    events: Arc<EventState>,
}

struct Settings {
    watches_policies: bool,
    policies_dir: PathBuf,
    keys_dir: PathBuf,
    region: String,
    ingest: IngestLimits,
    webhooks: Vec<Webhook>,
    events: EventSettings,
    policy_gate_ms: Option<i64>,
}

impl Lockgate {
    /// Opens everything for a configuration, and makes it at the first start. Blocks, inside a runtime.
    pub fn open(config: &Config, clock: Clock) -> Result<Lockgate, Failure> {
        // A test may name the point at which the process dies.
        let faults = match std::env::var("LOCKGATE_CRASH_AT") {
            Ok(point) => Faults::crash_at(&point),
            Err(_) => Faults::none(),
        };
        Lockgate::open_with(config, clock, faults)
    }

    pub(super) fn open_with(config: &Config, clock: Clock, faults: Faults) -> Result<Lockgate, Failure> {
        let options = StoreOptions {
            data_dir: config.data.clone(),
            keys_dir: config.keys.clone(),
            root_keys: crate::root_keys::providers(config, &clock),
            cache_bytes: config.limits.cache_bytes,
            clock,
            faults,
        };
        let runtime = tokio::runtime::Handle::current();
        let store = runtime.block_on(Store::open(options))?;
        let identity = store.wait(Identity::open(store.clone(), config.region.clone()))?;
        let ingest = IngestLimits {
            max_pack_bytes: config.limits.max_pack_bytes,
            max_objects: u32::try_from(config.limits.max_pack_objects).unwrap_or(u32::MAX),
            max_object_bytes: config.limits.max_object_bytes,
            ..IngestLimits::default()
        };
        let settings = Settings {
            watches_policies: config.policy_watch,
            policies_dir: config.policies.clone(),
            keys_dir: config.keys.clone(),
            region: config.region.clone(),
            ingest,
            webhooks: config.webhooks.clone(),
            events: config.events.clone(),
            policy_gate_ms: config.policy_gate_ms,
        };
        if let Some(admin) = store.wait(identity.first_start(&config.account_id))? {
            write_admin_json(&settings.keys_dir, &admin)?;
        }
        let policies = Policies::open(&store, &identity)?;
        policies.first_start(&settings.policies_dir, &config.account_id, &store, &identity)?;
        let decisions = DecisionLog::new(store.clone());
        let last_uses = LastUses::new(store.clone());
        let outbound = OutboundClient::new(&config.outbound);
        let host = Lockgate {
            decisions,
            last_uses,
            signed_passwords: Arc::new(SignedPasswords::new(config.own_names(), config.region.clone())),
            provider_keys: ProviderKeys::new(outbound.clone()),
            outbound,
            merges_tried: Arc::default(),
            events: Arc::default(),
            store,
            identity,
            policies,
            repositories: Arc::default(),
            upkeep: Upkeep::start(),
            settings: Arc::new(settings),
            listening: Arc::default(),
        };
        tokio::spawn(sweep_hourly(host.store.clone(), config.keep_decisions_ms));
        tokio::spawn(host.decisions.clone().write_regularly());
        tokio::spawn(host.last_uses.clone().write_regularly());
        Ok(host)
    }

    /// The keys of OpenID providers.
    pub fn provider_keys(&self) -> &ProviderKeys {
        &self.provider_keys
    }

    /// Connections that the server makes by itself.
    pub(super) fn outbound(&self) -> &OutboundClient {
        &self.outbound
    }

    /// Webhooks of the configuration, which triggers may name.
    pub(super) fn webhooks(&self) -> &[Webhook] {
        &self.settings.webhooks
    }

    /// How far back a change of policies is tried before it is applied, in milliseconds; not at all without.
    pub(super) fn policy_gate_ms(&self) -> Option<i64> {
        self.settings.policy_gate_ms
    }

    /// Where events may go, by the configuration.
    pub(super) fn event_settings(&self) -> &EventSettings {
        &self.settings.events
    }

    /// Rules as they were last compiled, and connections to brokers.
    pub(super) fn events(&self) -> &EventState {
        &self.events
    }

    /// What is done in the background.
    pub(super) fn upkeep(&self) -> &Upkeep {
        &self.upkeep
    }

    /// Merges of pull requests that need no other try.
    pub(super) fn merges_tried(&self) -> &MergesTried {
        &self.merges_tried
    }

    /// Where the policy folder lies.
    pub fn policies_dir(&self) -> &Path {
        &self.settings.policies_dir
    }

    /// The store.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Who there is.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// What is allowed.
    pub fn policies(&self) -> &Policies {
        &self.policies
    }

    /// Decisions about reads.
    pub fn decisions(&self) -> &DecisionLog {
        &self.decisions
    }

    /// What checks signed passwords, and knows this server's names.
    pub fn signed_passwords(&self) -> &SignedPasswords {
        &self.signed_passwords
    }

    /// When access keys were used last.
    pub fn last_uses(&self) -> &LastUses {
        &self.last_uses
    }

    /// A recorded decision as JSON, for those of its caller's or its resource's account; none where there is none of theirs.
    /// Blocks.
    pub fn explain_decision(&self, id: Uuid, account: &AccountId) -> Result<Option<String>, Failure> {
        let found = self.store.wait(self.store.catalog().decision(&id.into_bytes()))?;
        let Some(found) = found else { return Ok(None) };
        let record = DecisionRecord::decode(&found.body, found.facts.as_deref())?;
        let Some(facts) = &record.facts else { return Ok(None) };
        let theirs = facts.owner == account.as_str() || facts.caller.as_deref() == Some(account.as_str());
        Ok(theirs.then(|| explain(&record, None).json.to_string()))
    }

    /// What a pushed pack may be at most.
    pub fn ingest_limits(&self) -> IngestLimits {
        self.settings.ingest.clone()
    }

    /// Takes over what other nodes changed: directory and policies.
    pub fn refresh(&self) -> Result<(), Failure> {
        self.store.wait(self.identity.refresh())?;
        self.policies.refresh(&self.store, &self.identity)?;
        Ok(())
    }

    /// The repository of a record, opened at its first use. Refused while its keys may not be used. Blocks.
    pub fn repository(&self, record: &RepositoryRecord) -> Result<Arc<Repository>, RepositoryError> {
        let repository = self.repositories.open(&self.store, record)?;
        repository.keys().check()?;
        self.upkeep.look_at(&repository);
        Ok(repository)
    }

    /// Of these repositories, those that `ctx` may know of. Not recorded one by one: what is asked is the list.
    pub fn known_repositories<'a>(
        &self,
        ctx: &OpContext,
        directory: &Directory,
        records: Vec<&'a RepositoryRecord>,
    ) -> Vec<&'a RepositoryRecord> {
        let policies = self.policies.with(directory, &self.settings.region);
        let now_ms = self.store.clock().now_ms();
        let may_know = |record: &&RepositoryRecord| {
            decide_repository(&policies, directory, ctx, &Action::get_repository(), record, now_ms).allowed
        };
        records.into_iter().filter(may_know).collect()
    }

    /// Where this server is cloned from, over HTTPS and over SSH: what it said when it was ready.
    pub fn urls(&self) -> (String, String) {
        match self.listening.get() {
            Some(listening) => (listening.https_url.clone(), listening.ssh_url.clone()),
            None => ("https://HOST".to_owned(), "ssh://git@HOST".to_owned()),
        }
    }

    /// Lets go of what is held in memory of a repository, as soon as nobody uses it.
    pub fn forget_repository(&self, id: &[u8; 16]) {
        self.repositories.forget(id);
    }

    fn find(&self, ctx: &OpContext, path: &RepositoryPath) -> Option<RepositoryRecord> {
        let directory = self.identity.directory();
        let (account, name) = match path {
            RepositoryPath::OwnAccount(name) => (ctx.principal.account(), name),
            RepositoryPath::ByAccount(account, name) => (account, name),
            RepositoryPath::At(path, _) => return self.find(ctx, path),
        };
        directory.repository(account, name).cloned()
    }
}

impl GitHost for Lockgate {
    fn authenticate_git(
        &self,
        user: &str,
        password: &str,
        request: &GitRequest,
        source: IpAddr,
    ) -> Result<Principal, AuthFailure> {
        if let Some(signed) = GitPassword::parse(user, password) {
            return self.authenticate_signed(&signed, request).ok_or(AuthFailure::Wrong);
        }
        self.identity.authenticate_git(user, password, source).map_err(|failure| match failure {
            LoginFailure::Wrong => AuthFailure::Wrong,
            LoginFailure::TooMany { retry_after_seconds } => AuthFailure::TooMany { retry_after_seconds },
        })
    }

    fn authenticate_ssh_key(
        &self,
        key: &russh::keys::PublicKey,
        user_name: &str,
        _source: IpAddr,
    ) -> Option<Principal> {
        let principal = self.identity.authenticate_ssh_key(key)?;
        // As AWS has it, the user name may be the key's id; then it has to be this key's.
        let is_own_id = matches!(&principal, Principal::User(user) if user.credential.as_deref() == Some(user_name));
        (user_name == "git" || is_own_id).then_some(principal)
    }

    fn authenticate_ssh_certificate(
        &self,
        certificate: &russh::keys::Certificate,
        user_name: &str,
        source: IpAddr,
    ) -> Option<Principal> {
        match self.identity.authenticate_ssh_certificate(certificate, user_name) {
            Ok(principal) => Some(principal),
            Err(refusal) => {
                // The key id is anybody's text until the signature is known to be ours.
                tracing::info!(%source, %refusal, "refused an SSH certificate");
                None
            }
        }
    }

    fn greeting(&self, principal: &Principal) -> String {
        let (name, account) = (principal.display_name(), principal.account());
        let ssh = self.listening.get().map_or("ssh://git@HOST", |listening| &listening.ssh_url);
        format!(
            "Hello {name}, you are known in account {account}.\n\
             There is no shell here. Use git: git clone {ssh}/v1/repos/NAME\n"
        )
    }

    fn open(&self, ctx: &OpContext, session: &GitSession) -> Result<Box<dyn GitTransfer>, GitRefusal> {
        let directory = self.identity.directory();
        let now_ms = self.store.clock().now_ms();
        // A connection may have been opened long ago, and go on asking.
        if !directory.is_active(&ctx.principal, now_ms) {
            return Err(GitRefusal::Forbidden("your access has ended: connect anew".to_owned()));
        }
        let record = self.find(ctx, &session.repository).ok_or(GitRefusal::NotFound)?;
        let policies = self.policies.with(&directory, &self.settings.region);
        let may = |action: &Action| decide_repository(&policies, &directory, ctx, action, &record, now_ms);
        let door = ctx.transport.as_str();
        let note = |decision| self.decisions.note(decision, directory.counter(), ctx.source, door, now_ms);
        let known = may(&Action::get_repository());
        if !known.allowed {
            note(known);
            return Err(GitRefusal::NotFound);
        }
        // Whoever pushes sees refs and leans on objects: pushing takes the right to read.
        let mut asked = vec![Action::git_pull()];
        let at_ms = match &session.repository {
            RepositoryPath::At(_, at_ms) => Some(*at_ms),
            _ => None,
        };
        if let Some(at_ms) = at_ms {
            if session.service == GitService::ReceivePack {
                return Err(GitRefusal::Forbidden("what was is only read: push to the repository itself".to_owned()));
            }
            if at_ms < record.created_ms {
                return Err(GitRefusal::Forbidden("the repository was not there yet".to_owned()));
            }
            asked.push(Action::read_past());
        }
        for action in asked {
            let decision = may(&action);
            if !decision.allowed {
                let written = self.store.wait(self.store.catalog().record_decisions(&[record_of(&decision)], now_ms));
                written.map_err(|error| unavailable("record the refusal", &error))?;
                let advice: String = decision.advice().iter().map(|advice| format!("; {advice}")).collect();
                let line = decision.refusal_line();
                return Err(GitRefusal::Forbidden(format!("{line}{advice} (decision {})", decision.id)));
            }
            note(decision);
        }
        if let Principal::User(user) = &ctx.principal
            && let Some(credential) = &user.credential
        {
            let (service, region) = ("codecommit".to_owned(), self.settings.region.clone());
            self.last_uses.note(credential, LastUse { at_ms: now_ms, service, region });
        }
        let repository = self.repository(&record).map_err(|error| match error.key_refusal() {
            Some(refusal) => of_key(refusal),
            None => unavailable("open the repository", &error),
        })?;
        let past = match at_ms.map(|at_ms| repository.as_of(at_ms)).transpose() {
            Ok(past) => past,
            Err(error) => return Err(unavailable("read the past of the repository", &error)),
        };
        let (host, ctx, session) = (self.clone(), ctx.clone(), session.clone());
        Ok(Box::new(Transfer { host, ctx, session, record, repository, past }))
    }

    fn health(&self) -> Result<(), String> {
        self.store.wait(self.store.health()).map_err(|error| error.to_string())
    }
}

fn unavailable(what: &str, error: &(dyn std::error::Error + 'static)) -> GitRefusal {
    tracing::error!(error, "failed to {what}");
    GitRefusal::Unavailable(format!("the server failed to {what}; its log says why"))
}

/// A key that may not be used is nothing that the client could wait for, unless a service has to be asked.
fn of_key(refusal: &KeyRefusal) -> GitRefusal {
    match refusal.owner {
        KeyOwner::Root => GitRefusal::Unavailable(refusal.to_string()),
        KeyOwner::Account | KeyOwner::Repository => GitRefusal::Forbidden(refusal.to_string()),
    }
}

impl AdminHost for Lockgate {
    fn administer(&self, request: AdminRequest, progress: &mut dyn FnMut(&str)) -> Result<AdminReply, AdminFailure> {
        let limits = self.ingest_limits();
        let import = |repository: &Repository, source: &ImportSource, progress: &mut dyn FnMut(&str)| {
            let record =
                self.identity.directory().repository_by_id(Uuid::from_bytes(*repository.keys().repository())).cloned();
            let now_ms = self.store.clock().now_ms();
            let events = |changes: &[&RefChange]| match &record {
                Some(record) => self.reference_events(record, ADMINISTRATOR, changes, None, now_ms),
                None => Vec::new(),
            };
            let by = import::ImportedBy { actor: ADMINISTRATOR, events: &events };
            let report = import::import(repository, source, &limits, &by, progress)
                .map_err(|error| AdminFailure::from_error(&error))?;
            let mut text =
                format!("imported {} refs and {} objects; HEAD is {}", report.n_refs, report.n_objects, report.head);
            for (name, why) in report.skipped_refs.iter().take(SHOWN_SKIPPED_REFS) {
                text.push_str(&format!("\nleft out {name}: {why}"));
            }
            if report.skipped_refs.len() > SHOWN_SKIPPED_REFS {
                text.push_str(&format!("\nand {} more", report.skipped_refs.len() - SHOWN_SKIPPED_REFS));
            }
            let skipped: Vec<&str> = report.skipped_refs.iter().map(|(name, _)| name.as_str()).collect();
            let json = serde_json::json!({
                "refs": report.n_refs, "objects": report.n_objects, "head": report.head.to_string(), "skipped": skipped,
            });
            Ok((text, json))
        };
        let context = AdminContext {
            host: self,
            store: &self.store,
            identity: &self.identity,
            policies: &self.policies,
            region: &self.settings.region,
            policies_dir: &self.settings.policies_dir,
            open_repository: &|record| self.repository(record),
            forget_repository: &|id| self.forget_repository(id),
            import: &import,
            last_use: &|id| self.last_use(id),
        };
        administration::run(&context, request, progress)
    }
}

impl Host for Lockgate {
    fn ssh_host_certificate(&self, key: &russh::keys::PublicKey) -> Option<russh::keys::Certificate> {
        match self.identity.sign_host_key(key, self.signed_passwords.own_names()) {
            Ok(certificate) => Some(certificate),
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "failed to sign the SSH host key");
                None
            }
        }
    }

    fn started(&self) {
        tokio::spawn(key_upkeep::look_hourly(self.clone()));
        tokio::spawn(key_upkeep::confirm_root(self.store.clone()));
        super::events::start(self);
        if self.settings.watches_policies {
            policy_watch::begin(self.clone());
        }
    }

    fn stopping(&self) {
        if let Err(error) = self.store.wait(self.decisions.write()) {
            tracing::error!(error = &error as &dyn std::error::Error, "decisions about reads could not be recorded");
        }
        if let Err(error) = self.store.wait(self.last_uses.write()) {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, "the last use of access keys could not be recorded");
        }
    }

    fn listening(&self, listening: &Listening) -> Result<(), String> {
        // Called once; a second call would be of the same server.
        let _ = self.listening.set(listening.clone());
        write_aws_files(&self.settings.keys_dir, &self.settings.region, &listening.https_url)
            .map_err(|error| error.to_string())
    }
}

/// A Git service that was allowed to begin.
struct Transfer {
    host: Lockgate,
    ctx: OpContext,
    session: GitSession,
    record: RepositoryRecord,
    repository: Arc<Repository>,
    /// The repository as it stood when it is asked for; else as it stands.
    past: Option<Arc<Snapshot>>,
}

impl GitTransfer for Transfer {
    fn run(self: Box<Self>, input: Box<dyn Read + Send>, output: Box<dyn Write + Send>) -> Result<(), TransferError> {
        let version = match self.session.protocol_version {
            2 => Version::V2,
            1 => Version::V1,
            _ => Version::V0,
        };
        let mode = self.session.mode;
        let live = Live::new(&self.host.identity, &self.ctx.principal, self.repository.keys());
        let input = live.guard(input);
        match self.session.service {
            GitService::UploadPack => {
                let freshen: &git_pull::Freshen<'_> =
                    &|asks| self.host.freshen_merges(&self.record, &self.repository, asks);
                let view = git_pull::View { repository: &self.repository, past: self.past.clone(), freshen };
                git_pull::upload_pack(&view, version, mode, input, live.guard(output))
                    .map(|served| {
                        if let Some(pack) = served.pack {
                            tracing::info!(
                                repository.name = %self.record.name,
                                principal = %self.ctx.principal.arn(),
                                objects = pack.n_objects,
                                size_bytes = pack.bytes,
                                "sent a pack"
                            );
                        }
                    })
                    .map_err(pull_error)
            }
            GitService::UploadArchive if mode == GitMode::Stateful => {
                let snapshot = self.past.clone().unwrap_or_else(|| self.repository.snapshot());
                git_pull::upload_archive(&snapshot, input, live.guard(output)).map_err(pull_error)
            }
            GitService::UploadArchive => Err(TransferError::Refused("archives are made over SSH only".into())),
            // Who pushes is told what became of it: at publishing it is decided anew whether the caller still may.
            GitService::ReceivePack => {
                let pushed = git_push::receive_pack(
                    &self.host,
                    &self.ctx,
                    &self.record,
                    &self.repository,
                    version,
                    mode,
                    input,
                    output,
                );
                self.host.upkeep.look_at(&self.repository);
                match pushed {
                    Ok(pushed) => {
                        if pushed.n_done + pushed.n_refused > 0 {
                            tracing::info!(
                                repository.name = %self.record.name,
                                principal = %self.ctx.principal.arn(),
                                done = pushed.n_done,
                                refused = pushed.n_refused,
                                "answered a push"
                            );
                        }
                        Ok(())
                    }
                    Err(PushError::Refused(error)) => Err(TransferError::Refused(error.message())),
                    Err(PushError::Io(error)) => Err(TransferError::Peer(error.into())),
                }
            }
        }
    }
}

fn pull_error(error: git_pull::PullError) -> TransferError {
    match error {
        git_pull::PullError::Refused(error) => TransferError::Refused(error.message()),
        git_pull::PullError::Io(error) => TransferError::Peer(error.into()),
    }
}

/// Repositories in use, the least recently used given up when there are many.
#[derive(Default)]
struct Repositories {
    /// With the turn of their last use.
    open: Mutex<HashMap<[u8; 16], Held>>,
    opening: Mutex<()>,
}

type Held = (Arc<Repository>, u64);

/// How many repositories are held open.
const HELD_REPOSITORIES: usize = 256;

impl Repositories {
    fn open(&self, store: &Store, record: &RepositoryRecord) -> Result<Arc<Repository>, RepositoryError> {
        let id = record.id.into_bytes();
        if let Some(found) = self.touch(&id) {
            return Ok(found);
        }
        // Two who come at once must not read the same log twice and publish past each other.
        let _one_at_a_time = self.opening.lock();
        if let Some(found) = self.touch(&id) {
            return Ok(found);
        }
        let repository = Arc::new(Repository::open(store, &record.account, id, &record.default_branch)?);
        let mut open = self.open.lock();
        let newest = open.values().map(|(_, used)| *used).max().unwrap_or(0) + 1;
        open.insert(id, (repository.clone(), newest));
        if open.len() > HELD_REPOSITORIES {
            // One that is in use stays: a second copy would not see the first one's publishes.
            let idle = open.iter().filter(|(_, (held, _))| Arc::strong_count(held) == 1);
            if let Some(oldest) = idle.min_by_key(|(_, (_, used))| *used).map(|(id, _)| *id) {
                open.remove(&oldest);
            }
        }
        Ok(repository)
    }

    fn touch(&self, id: &[u8; 16]) -> Option<Arc<Repository>> {
        let mut open = self.open.lock();
        let newest = open.values().map(|(_, used)| *used).max().unwrap_or(0) + 1;
        let (repository, used) = open.get_mut(id)?;
        *used = newest;
        Some(repository.clone())
    }

    fn forget(&self, id: &[u8; 16]) {
        self.open.lock().remove(id);
    }
}

/// `admin.json`, written once (contract, "Starting").
fn write_admin_json(keys: &Path, admin: &AdminCredentials) -> std::io::Result<()> {
    let json = serde_json::json!({
        "account": admin.account.as_str(),
        "user": admin.user.as_str(),
        "accessKeyId": admin.access_key_id,
        "secretAccessKey": admin.secret_access_key.expose_secret(),
        "gitUserName": admin.git_user_name,
        "gitPassword": admin.git_password.expose_secret(),
    });
    let text = format!("{json:#}\n");
    crate::store::keyring::write_private(&keys.join("admin.json"), text.as_bytes())
}

/// `aws/config` and `aws/credentials` with the profile `lockgate` (contract, "Starting").
fn write_aws_files(keys: &Path, region: &str, https_url: &str) -> std::io::Result<()> {
    let folder = keys.join("aws");
    crate::store::keyring::create_private_folder(&folder)?;
    let ca = std::path::absolute(keys.join("ca.pem"))?;
    let config = format!(
        "[profile lockgate]\nregion = {region}\noutput = json\nendpoint_url = {https_url}\nca_bundle = {}\n",
        ca.display()
    );
    crate::store::keyring::write_private(&folder.join("config"), config.as_bytes())?;
    let admin = match std::fs::read(keys.join("admin.json")) {
        Ok(text) => serde_json::from_slice::<serde_json::Value>(&text).unwrap_or_default(),
        // The administrator may have taken it away.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if let (Some(id), Some(secret)) = (admin["accessKeyId"].as_str(), admin["secretAccessKey"].as_str()) {
        let text = format!("[lockgate]\naws_access_key_id = {id}\naws_secret_access_key = {secret}\n");
        crate::store::keyring::write_private(&folder.join("credentials"), text.as_bytes())?;
    }
    Ok(())
}
