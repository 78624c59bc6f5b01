//! `git-receive-pack`: a push, from its commands to its report.
//!
//! The pack is taken into quarantine against what this principal may read; each command is checked and decided by itself;
//! what is left is published in one log entry, or, if the push is atomic and anything was refused, nothing is. Between the
//! decisions and the entry nothing may have changed: a new policy generation or a disabled user means deciding again, a
//! moved ref refuses its command (attack checklist B8, B9, B13).

use std::collections::{HashMap, HashSet};
use std::io::{self, BufWriter, Read, Write};
use std::sync::Arc;

use parking_lot::Mutex;

use super::authority::{decide_ref, record_of};
use super::commit_facts::add_commit_facts;
use super::git_pull::{AGENT, advertisement};
use super::lockgate::Lockgate;
use super::written_paths::{PathAuthority, PathRefusal};
use super::{GitMode, OpContext};
use crate::identity::{Directory, RepositoryRecord};
use crate::names::{ObjectId, RefName};
use crate::policy::{ChangeKind, Decision, RefChangeFacts};
use crate::protocol::advertise::{Offer, write_advertisement};
use crate::protocol::pkt_line::PktReader;
use crate::protocol::receive_pack::{Done, PushLimits, PushRequest, RefCommand, RefReport, Report};
use crate::protocol::sideband::SidebandWriter;
use crate::protocol::{PeerError, ProtocolError, Service, Version, write_error};
use crate::repository::handle::{PublishWith, Repository, RepositoryError};
use crate::repository::log::{LogEntry, RefChange};
use crate::repository::object::{ObjectKind, TagView};
use crate::repository::pack::ingest::{IngestError, Progress, ServedObjects};
use crate::repository::pack::oid_hash::{RawId, raw};
use crate::repository::pack::read::{ObjectReader, Place};
use crate::repository::receive::{Quarantine, receive};
use crate::repository::ref_change::Proposed;
use crate::repository::snapshot::Snapshot;
use crate::store::catalog::{DecidedUnder, NewDecision};

/// How a push ended, for the log.
#[derive(Debug, Clone, Copy, Default)]
pub struct Pushed {
    /// Commands that were done.
    pub n_done: usize,
    /// Commands that were refused.
    pub n_refused: usize,
}

/// Why a push ended without a report.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// The client broke the protocol; it has been told.
    #[error("the client was refused")]
    Refused(#[from] PeerError),
    /// The connection or the store failed.
    #[error("the push broke off")]
    Io(#[from] io::Error),
}

impl From<ProtocolError> for PushError {
    fn from(error: ProtocolError) -> PushError {
        match error {
            ProtocolError::Peer(error) => PushError::Refused(error),
            ProtocolError::Io(error) => PushError::Io(error),
        }
    }
}

/// Namespaces that a push may write. What lies elsewhere is the server's own (attack checklist B8).
const NAMESPACES: [&[u8]; 3] = [b"refs/heads/", b"refs/tags/", b"refs/notes/"];

/// Bytes of a refused pack that are read and thrown away, so that the client gets to read the report.
const DRAIN_BYTES: u64 = 1 << 30;
/// How often a push is decided anew because the policies or the directory changed before it was published.
const MAX_DECISIONS: usize = 8;

/// Answers one receive-pack conversation.
pub fn receive_pack(
    host: &Lockgate,
    ctx: &OpContext,
    record: &RepositoryRecord,
    repository: &Repository,
    version: Version,
    mode: GitMode,
    input: impl Read,
    output: impl Write,
) -> Result<Pushed, PushError> {
    let mut out = BufWriter::with_capacity(16 << 10, output);
    let result = converse(host, ctx, record, repository, version, mode, input, &mut out);
    if let Err(PushError::Refused(error)) = &result {
        write_error(&mut out, &error.message())?;
    }
    out.flush()?;
    result
}

fn converse(
    host: &Lockgate,
    ctx: &OpContext,
    record: &RepositoryRecord,
    repository: &Repository,
    version: Version,
    mode: GitMode,
    input: impl Read,
    out: &mut impl Write,
) -> Result<Pushed, PushError> {
    let snapshot = repository.snapshot();
    let stateless = mode != GitMode::Stateful;
    if mode != GitMode::StatelessRpc {
        let offer = Offer { agent: AGENT, stateless, push_options: true, ..Offer::default() };
        write_advertisement(out, Service::ReceivePack, version, stateless, &offer, advertisement(&snapshot, |_| true))?;
        out.flush()?;
    }
    if mode == GitMode::Advertise {
        return Ok(Pushed::default());
    }
    let mut reader = PktReader::new(input);
    let Some(request) = PushRequest::read(&mut reader, &PushLimits::default())? else { return Ok(Pushed::default()) };
    let mut out = SidebandWriter::new(out, request.capabilities.sideband);
    let mut push =
        Push { host, ctx, record, repository, request: &request, refusals: HashMap::new(), notes: Vec::new() };
    let report = push.run(&snapshot, &mut reader, stateless, &mut out)?;
    for note in &push.notes {
        out.message(&format!("{note}\n"))?;
    }
    let n_done = report.refs.iter().filter(|report| report.result.is_ok()).count();
    let n_refused = report.refs.len() - n_done;
    report.write(request.capabilities.report, &mut out)?;
    out.finish()?;
    Ok(Pushed { n_done, n_refused })
}

struct Push<'a> {
    host: &'a Lockgate,
    ctx: &'a OpContext,
    record: &'a RepositoryRecord,
    repository: &'a Repository,
    request: &'a PushRequest,
    /// Why a command is refused, by its place.
    refusals: HashMap<usize, String>,
    /// Lines for the person who pushes.
    notes: Vec<String>,
}

impl Push<'_> {
    fn run<W: Write>(
        &mut self,
        snapshot: &Arc<Snapshot>,
        reader: &mut impl Read,
        stateless: bool,
        out: &mut SidebandWriter<W>,
    ) -> io::Result<Report> {
        let mut quarantine = None;
        if self.request.needs_pack() {
            match self.take_pack(snapshot, reader, stateless, out) {
                Ok(taken) => quarantine = taken,
                Err(IngestError::Receive(error)) => return Err(error),
                Err(error) => {
                    let reason = self.pack_refusal(&error);
                    if error.is_peers_fault() {
                        tracing::info!(repository.name = %self.record.name, reason, "refused a pack");
                    } else {
                        tracing::error!(error = &error as &dyn std::error::Error, "taking a pack in failed");
                    }
                    if !matches!(error, IngestError::Truncated { .. }) {
                        io::copy(&mut reader.take(DRAIN_BYTES), &mut io::sink())?;
                    }
                    let refs = self
                        .request
                        .commands
                        .iter()
                        .map(|command| RefReport { name: command.name.clone(), result: Err("unpacker error".into()) });
                    return Ok(Report { unpack: Err(reason), refs: refs.collect() });
                }
            }
        }
        let mut published = None;
        for _ in 0..MAX_DECISIONS {
            match self.try_publish(quarantine.as_ref()) {
                Ok(done) => {
                    published = Some(done);
                    break;
                }
                Err(RepositoryError::PolicyChanged) => {
                    if let Err(error) = self.host.refresh() {
                        tracing::error!(error = &*error, "the new policies cannot be loaded");
                    }
                }
                Err(error) => {
                    let text = match &error {
                        RepositoryError::Gone | RepositoryError::Busy => error.to_string(),
                        _ => "the server failed; its log says why".to_string(),
                    };
                    tracing::error!(error = &error as &dyn std::error::Error, "publishing a push failed");
                    self.refuse_rest(&text);
                    break;
                }
            }
        }
        let head = self.repository.snapshot().refs.head.clone();
        if published.is_some() && head != self.record.default_branch {
            let store = self.host.store();
            let identity = self.host.identity();
            let shown = identity.set_default_branch(&self.record.account, &self.record.name, &head);
            if let Err(error) = store.wait(shown) {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "the directory does not show the new default branch"
                );
            }
        }
        let done: HashSet<usize> = published.unwrap_or_default();
        if let Some(quarantine) = quarantine
            && !done.is_empty()
        {
            quarantine.published();
        }
        let refs = self.request.commands.iter().enumerate().map(|(i, command)| {
            let result = match self.refusals.get(&i) {
                _ if done.contains(&i) => Ok(Done::default()),
                Some(reason) => Err(reason.clone()),
                None => Err("the policies kept changing; try again".into()),
            };
            RefReport { name: command.name.clone(), result }
        });
        Ok(Report { unpack: Ok(()), refs: refs.collect() })
    }

    fn take_pack<W: Write>(
        &self,
        snapshot: &Arc<Snapshot>,
        reader: &mut impl Read,
        stateless: bool,
        out: &mut SidebandWriter<W>,
    ) -> Result<Option<Quarantine>, IngestError> {
        let served = Leaning { repository: self.repository, snapshot: Mutex::new(snapshot.clone()) };
        let quiet = self.request.capabilities.quiet;
        let mut shown = 0;
        let mut progress = |progress: Progress| {
            // While the pack is coming the client does not read; afterwards it waits.
            if let Progress::Resolving { done, total } = progress
                && total > 0
            {
                let percent = u64::from(done) * 100 / u64::from(total);
                if percent > shown {
                    shown = percent;
                    let end = if done == total { ", done.\n" } else { "\r" };
                    let text = format!("Resolving deltas: {percent:3}% ({done}/{total}){end}");
                    // A client that is gone is noticed when the report is written.
                    let _ = if quiet { out.keep_alive() } else { out.message(&text) };
                }
            }
        };
        receive(
            self.repository.store(),
            self.repository.keys(),
            &served,
            reader,
            &self.host.ingest_limits(),
            &[],
            stateless,
            &mut progress,
        )
    }

    fn pack_refusal(&self, error: &IngestError) -> String {
        if matches!(error, IngestError::MissingObject { .. }) && !self.request.shallow.is_empty() {
            return "shallow update not allowed: fetch the missing history first (git fetch --unshallow)".into();
        }
        if error.is_peers_fault() {
            crate::telemetry::with_causes(error)
        } else {
            "the server could not store the pack; its log says why".into()
        }
    }

    /// Checks, decides and publishes what can be. Gives the places of the commands that were done.
    fn try_publish(&mut self, quarantine: Option<&Quarantine>) -> Result<HashSet<usize>, RepositoryError> {
        let directory = self.host.identity().directory();
        let policies = self.host.policies().with(&directory, self.host.identity().region());
        let mut decisions: HashMap<usize, Decision> = HashMap::new();
        let mut refused_paths = Vec::new();
        let mut done = HashSet::new();
        let paths = PathAuthority::new(&policies, &directory, self.ctx, self.record);
        let repository = self.repository;
        let result = repository.publish(&mut |snapshot| -> Result<_, RepositoryError> {
            done.clear();
            if !self.host.identity().is_active(&self.ctx.principal) {
                self.refuse_rest("your access has ended");
                return Ok(None);
            }
            let mut after = snapshot.refs.clone();
            let mut accepted: Vec<(usize, RefChange)> = Vec::new();
            let twins = Twins::of(snapshot, &self.request.commands);
            // Served when the pack came in is not served now: a ref may have been deleted in between.
            let leans_on_gone =
                quarantine.is_some_and(|pack| pack.external.iter().any(|(id, _)| snapshot.objects.find(id).is_none()));
            // Deletions first, so that `a` may make room for `a/b` in one push.
            let mut order: Vec<usize> = (0..self.request.commands.len()).collect();
            order.sort_by_key(|i| self.request.commands[*i].new.is_some());
            for i in order {
                if self.refusals.contains_key(&i) {
                    continue;
                }
                let command = &self.request.commands[i];
                let checked = self.check(snapshot, &after, quarantine, command, &twins, leans_on_gone);
                let (change, kind) = match checked {
                    Ok(checked) => checked,
                    Err(reason) => {
                        self.refusals.insert(i, reason);
                        continue;
                    }
                };
                if let std::collections::hash_map::Entry::Vacant(slot) = decisions.entry(i) {
                    let mut facts = RefChangeFacts::of_kind(kind);
                    facts.push_options = self.request.push_options.clone();
                    self.add_commit_facts(&mut facts, &directory, snapshot, quarantine, &change)?;
                    let now_ms = self.host.store().clock().now_ms();
                    let decision =
                        decide_ref(&policies, &directory, self.ctx, self.record, &change.name, facts, now_ms);
                    slot.insert(decision);
                }
                let decision = &decisions[&i];
                if !decision.allowed {
                    self.refusals.insert(i, decision.refusal_line());
                    self.note_refusal(&change.name, decision);
                    continue;
                }
                if let Some(refusal) = self.path_refusal(&paths, snapshot, quarantine, &change)? {
                    let reason = self.note_path_refusal(&change.name, refusal, &mut refused_paths);
                    self.refusals.insert(i, reason);
                    continue;
                }
                after.apply(&change);
                accepted.push((i, change));
            }
            let mut refused: Vec<_> = decisions.values().filter(|decision| !decision.allowed).map(record_of).collect();
            refused.append(&mut refused_paths);
            if !refused.is_empty() {
                let store = self.host.store();
                let written = store.wait(store.catalog().record_decisions(&refused, store.clock().now_ms()));
                written.map_err(RepositoryError::from)?;
                decisions.retain(|_, decision| decision.allowed);
            }
            if self.request.capabilities.atomic && !self.refusals.is_empty() {
                self.refuse_rest("atomic push failure: another ref was refused");
                return Ok(None);
            }
            if accepted.is_empty() {
                return Ok(None);
            }
            done = accepted.iter().map(|(i, _)| *i).collect();
            let entry = self.entry(snapshot, &after, quarantine, accepted)?;
            let decided = done.iter().filter_map(|i| decisions.get(i));
            let with = PublishWith {
                decisions: decided.clone().map(record_of).collect(),
                decided_under: Some(DecidedUnder { generation: policies.generation(), directory: directory.counter() }),
                retire_after_ms: None,
            };
            let mut entry = entry;
            entry.decisions = decided.map(|decision| decision.id.into_bytes()).collect();
            Ok(Some((entry, with)))
        });
        if let Some(quarantine) = quarantine
            && (result.is_err() || done.is_empty())
        {
            repository.forget(&quarantine.manifest);
        }
        result.map(|_| done)
    }

    fn entry(
        &self,
        snapshot: &Snapshot,
        after: &crate::repository::refs::Refs,
        quarantine: Option<&Quarantine>,
        accepted: Vec<(usize, RefChange)>,
    ) -> Result<LogEntry, RepositoryError> {
        let mut entry = LogEntry::new(self.host.store().clock().now_ms(), self.ctx.principal.arn());
        let external: &[(RawId, ObjectKind)] = quarantine.map_or(&[], |quarantine| &quarantine.external);
        if let Some(quarantine) = quarantine {
            let tips: Vec<ObjectId> = accepted.iter().filter_map(|(_, change)| change.new).collect();
            let served = quarantine.served_by(&tips).map_err(RepositoryError::from)?;
            let mut manifest = quarantine.manifest.clone();
            manifest.served = self.repository.write_served(&served, true)?;
            self.repository.remember(&manifest, &quarantine.pack);
            entry.add_packs.push(manifest);
        }
        // Tips that no remaining ref can be assumed to reach: deleted ones, and those that were rewound.
        let removed: Vec<ObjectId> = accepted
            .iter()
            .filter(|(_, change)| {
                change.new.is_none() || self.kind_of(snapshot, quarantine, change) == ChangeKind::Force
            })
            .filter_map(|(_, change)| change.old)
            .collect();
        if !removed.is_empty() {
            entry.reserve = self.repository.reserve(snapshot, after, &removed, external)?;
        }
        entry.refs = accepted.into_iter().map(|(_, change)| change).collect();
        entry.head = first_branch(snapshot, &entry.refs);
        Ok(entry)
    }

    /// Everything that can be said of a command without policies.
    fn check(
        &self,
        snapshot: &Snapshot,
        after: &crate::repository::refs::Refs,
        quarantine: Option<&Quarantine>,
        command: &RefCommand,
        twins: &Twins,
        leans_on_gone: bool,
    ) -> Result<(RefChange, ChangeKind), String> {
        let name = command.parsed.clone().map_err(|error| error.to_string())?;
        if !NAMESPACES.iter().any(|prefix| name.as_bytes().starts_with(prefix)) {
            return Err("refs outside refs/heads/, refs/tags/ and refs/notes/ belong to the server".into());
        }
        let current = snapshot.refs.get(&name).map(|value| value.id);
        if command.old.is_none() && command.new.is_none() {
            return Err("there is no such ref to delete".into());
        }
        let mut change = RefChange { name: name.clone(), old: current, new: command.new, peeled: None };
        if current != command.old {
            return Err(match (current, command.new) {
                (None, None) => "there is no such ref to delete".into(),
                _ => "the ref has changed meanwhile; fetch first".into(),
            });
        }
        let Some(new) = command.new else {
            if name == snapshot.refs.head {
                return Err("it is the default branch; set another one first".into());
            }
            return Ok((change, ChangeKind::Delete));
        };
        if current.is_none()
            && let Some(other) = twins.of_name(&name)
        {
            return Err(format!("`{other}` differs only in case or form"));
        }
        after.check(&change).map_err(|error| error.to_string())?;
        if leans_on_gone {
            return Err("what it builds on was just deleted; fetch first".into());
        }
        let kind = quarantine.and_then(|quarantine| quarantine.kind(&new)).or_else(|| {
            let place = snapshot.objects.find(&raw(&new))?;
            Some(snapshot.objects.kind(place))
        });
        let kind = kind.ok_or_else(|| format!("object {new} is missing"))?;
        if name.as_bytes().starts_with(b"refs/heads/") && kind != ObjectKind::Commit {
            return Err(format!("a branch points at a commit, and {new} is a {kind}"));
        }
        if kind == ObjectKind::Tag {
            change.peeled =
                Some(self.peel(snapshot, quarantine, new).ok_or_else(|| format!("tag {new} leads nowhere"))?);
        }
        let kind = self.kind_of(snapshot, quarantine, &change);
        Ok((change, kind))
    }

    fn kind_of(&self, snapshot: &Snapshot, quarantine: Option<&Quarantine>, change: &RefChange) -> ChangeKind {
        match (change.old, change.new) {
            (None, _) => ChangeKind::Create,
            (Some(_), None) => ChangeKind::Delete,
            (Some(old), Some(new)) if descends(snapshot, quarantine, &new, &old) => ChangeKind::FastForward,
            _ => ChangeKind::Force,
        }
    }

    /// Follows tags to what is none, in the quarantine and in the repository.
    fn peel(&self, snapshot: &Snapshot, quarantine: Option<&Quarantine>, mut id: ObjectId) -> Option<ObjectId> {
        for _ in 0..64 {
            let data = if let Some(position) = quarantine.and_then(|quarantine| quarantine.pack.index.find(&raw(&id))) {
                let pack = &quarantine?.pack;
                if pack.index.kind(position) != ObjectKind::Tag {
                    return Some(id);
                }
                let packs = [pack.clone()];
                let place = Place { pack: 0, position };
                ObjectReader::new(&packs, 1 << 16).read_once(place).ok()?.to_vec()
            } else {
                let place = snapshot.objects.find(&raw(&id))?;
                if snapshot.objects.kind(place) != ObjectKind::Tag {
                    return Some(id);
                }
                snapshot.objects.reader(1 << 16).read_once(place).ok()?.to_vec()
            };
            id = TagView::parse(&data).ok()?.target();
        }
        None
    }

    /// Fills in what is known of the commits that the ref gains.
    fn add_commit_facts(
        &self,
        facts: &mut RefChangeFacts,
        directory: &Directory,
        snapshot: &Snapshot,
        quarantine: Option<&Quarantine>,
        change: &RefChange,
    ) -> Result<(), RepositoryError> {
        let Some(new) = change.new else { return Ok(()) };
        let new = change.peeled.unwrap_or(new);
        let before = snapshot.refs.get(&change.name).map(|value| value.peeled.unwrap_or(value.id));
        let base = before.or_else(|| snapshot.refs.head_id());
        let proposed = Proposed::new(snapshot, quarantine);
        let mut accounts = vec![&self.record.account];
        accounts.extend(Some(self.ctx.principal.account()).filter(|account| *account != &self.record.account));
        let now_ms = self.host.store().clock().now_ms();
        add_commit_facts(facts, &proposed, directory, &accounts, &new, base.as_ref(), now_ms)?;
        Ok(())
    }

    /// Why the change may not be made for the paths that it writes, if it may not.
    fn path_refusal(
        &self,
        paths: &PathAuthority<'_>,
        snapshot: &Snapshot,
        quarantine: Option<&Quarantine>,
        change: &RefChange,
    ) -> Result<Option<PathRefusal>, RepositoryError> {
        let Some(new) = change.new else { return Ok(None) };
        let peeled = change.peeled.unwrap_or(new);
        let before = snapshot.refs.get(&change.name);
        let old = before.map(|value| value.peeled.unwrap_or(value.id));
        let proposed = Proposed::new(snapshot, quarantine);
        let now_ms = self.host.store().clock().now_ms();
        let head = snapshot.refs.head_id();
        let refusal = paths.check(&proposed, &change.name, old.as_ref(), &peeled, head.as_ref(), now_ms);
        refusal.map_err(|error| RepositoryError::Io(io::Error::other(error)))
    }

    /// Tells the person which path was refused and why. Gives the reason for the ref's status.
    fn note_path_refusal(&mut self, name: &RefName, refusal: PathRefusal, records: &mut Vec<NewDecision>) -> String {
        match refusal {
            PathRefusal::OverLimit(why) => why,
            PathRefusal::Forbidden { path, n_paths, decision } => {
                let more = match n_paths {
                    0 | 1 => String::new(),
                    2 => " and 1 more path".to_string(),
                    n => format!(" and {} more paths", n - 1),
                };
                let reason = format!("{}: `{path}`{more}", decision.refusal_line());
                self.notes.push(format!("{name}: {reason}"));
                self.note_advice(&decision);
                records.push(record_of(&decision));
                reason
            }
        }
    }

    fn refuse_rest(&mut self, reason: &str) {
        for i in 0..self.request.commands.len() {
            self.refusals.entry(i).or_insert_with(|| reason.to_string());
        }
    }

    fn note_refusal(&mut self, name: &RefName, decision: &Decision) {
        self.notes.push(format!("{name}: {}", decision.refusal_line()));
        self.note_advice(decision);
    }

    fn note_advice(&mut self, decision: &Decision) {
        for advice in decision.advice() {
            self.notes.push(format!("  {}", crate::names::escape_for_people(advice.as_bytes(), 500)));
        }
        self.notes.push(format!("  decision {}", decision.id));
    }
}

/// The branch that HEAD names from the first push on, where that push makes branches and not the one that HEAD names: people
/// push `master` into a repository made for `main`, and then clone it.
fn first_branch(snapshot: &Snapshot, changes: &[RefChange]) -> Option<RefName> {
    let is_branch = |name: &RefName| name.as_bytes().starts_with(b"refs/heads/");
    if snapshot.refs.iter().any(|(name, _)| is_branch(name)) {
        return None;
    }
    let made: Vec<&RefName> = changes.iter().map(|change| &change.name).filter(|name| is_branch(name)).collect();
    let likely = |name: &&&RefName| matches!(name.as_bytes(), b"refs/heads/main" | b"refs/heads/master");
    if made.contains(&&snapshot.refs.head) {
        return None;
    }
    made.iter().find(likely).or(made.first()).map(|name| (*name).clone())
}

/// Whether `new` has `old` in its history. New commits are in the quarantine, the rest in the repository's graph.
fn descends(snapshot: &Snapshot, quarantine: Option<&Quarantine>, new: &ObjectId, old: &ObjectId) -> bool {
    let graph = snapshot.graph();
    let Some(old) = graph.find(&raw(old)) else { return false };
    let mut seen = HashSet::new();
    let mut stack = vec![raw(new)];
    while let Some(id) = stack.pop() {
        if !seen.insert(id) {
            continue;
        }
        if let Some(node) = graph.find(&id) {
            if graph.is_ancestor(old, node) {
                return true;
            }
        } else if let Some(commit) = quarantine.and_then(|quarantine| quarantine.commits.get(&id)) {
            stack.extend_from_slice(&commit.parents);
        }
    }
    false
}

/// Refs whose names differ only in case or Unicode form, which some disks and most eyes take for one (checklist B14).
struct Twins {
    by_fold: HashMap<String, RefName>,
}

impl Twins {
    /// Looks only if something is created.
    fn of(snapshot: &Snapshot, commands: &[RefCommand]) -> Twins {
        let creates = commands.iter().any(|command| command.old.is_none() && command.new.is_some());
        let mut by_fold = HashMap::new();
        if creates {
            let deleted: HashSet<&[u8]> =
                commands.iter().filter(|command| command.new.is_none()).map(|command| &command.name[..]).collect();
            for (name, _) in snapshot.refs.iter().filter(|(name, _)| !deleted.contains(name.as_bytes())) {
                by_fold.insert(crate::policy::folded_ref_name(name), name.clone());
            }
        }
        Twins { by_fold }
    }

    fn of_name(&self, name: &RefName) -> Option<&RefName> {
        self.by_fold.get(&crate::policy::folded_ref_name(name)).filter(|other| *other != name)
    }
}

/// What a push may lean on: what is served to the pusher. If the served set is not exact, a miss of a stored object makes
/// the walk that makes it so.
struct Leaning<'a> {
    repository: &'a Repository,
    snapshot: Mutex<Arc<Snapshot>>,
}

impl Leaning<'_> {
    fn snapshot_for(&self, id: &RawId) -> io::Result<Arc<Snapshot>> {
        let mut snapshot = self.snapshot.lock();
        if !snapshot.is_exact && snapshot.objects.find(id).is_none() && snapshot.objects.find_stored(id).is_some() {
            *snapshot = self.repository.settle("lockgate").map_err(io::Error::other)?;
        }
        Ok(snapshot.clone())
    }
}

impl ServedObjects for Leaning<'_> {
    fn kind(&self, id: &RawId) -> io::Result<Option<ObjectKind>> {
        ServedObjects::kind(&self.snapshot_for(id)?.objects, id)
    }

    fn read(&self, id: &RawId) -> io::Result<Option<(ObjectKind, Vec<u8>)>> {
        self.snapshot_for(id)?.objects.read(id)
    }
}
