//! Changes of refs, by whatever door they come: checked, decided one by one, and published in one log entry with all that
//! follows from them.
//!
//! A push, a file put by the API and a merge are the same thing here: commands, and perhaps a pack in quarantine. Between the
//! decisions and the entry nothing may have changed: a new policy generation or a disabled user means deciding again, a moved
//! ref refuses its command (attack checklist B8, B9, B13). Nothing else in this program changes a ref on
//! behalf of somebody who is bound by policies; imports and undoing (`ref_log`) are the administrator's.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::io;

use super::OpContext;
use super::authority::{decide_ref, record_of};
use super::commit_facts::add_commit_facts;
use super::lockgate::Lockgate;
use super::reviews::approvals::Evaluation;
use super::reviews::facts::{checks_passed, pull_request_facts};
use super::reviews::follow::{Merging, follows};
use super::reviews::person_of;
use super::written_paths::{PathAuthority, PathRefusal};
use crate::identity::{Directory, RepositoryRecord};
use crate::names::{ObjectId, RefName, escape_for_people};
use crate::policy::{Action, ChangeKind, Decision, RefChangeFacts};
use crate::protocol::receive_pack::RefCommand;
use crate::repository::handle::{PublishWith, Repository, RepositoryError};
use crate::repository::log::{LogEntry, RefChange};
use crate::repository::object::{ObjectKind, TagView};
use crate::repository::pack::oid_hash::{RawId, raw};
use crate::repository::pack::read::{ObjectReader, Place};
use crate::repository::receive::Quarantine;
use crate::repository::ref_change::Proposed;
use crate::repository::refs::Refs;
use crate::repository::snapshot::Snapshot;
use crate::review::shelf::{Reviews, ShelfError};
use crate::store::catalog::DecidedUnder;

/// Namespaces that somebody may write. What lies elsewhere is the server's own (attack checklist B8).
pub(super) const NAMESPACES: [&[u8]; 3] = [b"refs/heads/", b"refs/tags/", b"refs/notes/"];

/// How often changes are decided anew because the policies or the directory changed before they were published.
const MAX_DECISIONS: usize = 8;

/// Changes of refs that somebody asks for.
pub struct RefChanges<'a> {
    /// The inside.
    pub host: &'a Lockgate,
    /// Who asks.
    pub ctx: &'a OpContext,
    /// The repository, as of the decision that let the caller in.
    pub record: &'a RepositoryRecord,
    /// The repository.
    pub repository: &'a Repository,
    /// What the changes are asked as: `codecommit:GitPush`, `codecommit:PutFile`, ...
    pub action: &'a Action,
    /// The changes, each of another ref.
    pub commands: &'a [RefCommand],
    /// What they bring, if they bring objects.
    pub quarantine: Option<&'a Quarantine>,
    /// All of them or none.
    pub is_atomic: bool,
    /// What a pusher said besides.
    pub push_options: &'a [String],
    /// The pull request that is merged, if one is.
    pub merging: Option<&'a Merging>,
    /// The commit whose checks count: the new tip's own if it is not said. A merge is as good as what it brings.
    pub checks_of: Option<&'a ObjectId>,
}

/// Why a change is not made.
#[derive(Debug, Clone)]
pub enum Refusal {
    /// Policies do not let it through; the decision has been recorded.
    Denied(Box<Decision>),
    /// Policies forbid a path that it writes; the decision has been recorded.
    Path {
        /// The first such path, fit for people.
        path: String,
        /// How many there are.
        n_paths: usize,
        /// Why.
        decision: Box<Decision>,
    },
    /// The ref is not where the change says it is.
    Moved(&'static str),
    /// It is no change that can be made.
    Invalid(String),
    /// The pull request is closed.
    Closed(u64),
    /// Approval rules of the pull request are not satisfied: their names.
    Rules(Vec<String>),
    /// Another change was refused, and all were to be made or none.
    Together,
    /// The repository's keys may not be used, or the server failed.
    Unavailable(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Denied(decision) => f.write_str(&decision.refusal_line()),
            Refusal::Path { path, n_paths, decision } => {
                write!(f, "{}: `{path}`", decision.refusal_line())?;
                match n_paths {
                    0 | 1 => Ok(()),
                    2 => f.write_str(" and 1 more path"),
                    n => write!(f, " and {} more paths", n - 1),
                }
            }
            Refusal::Moved(why) => f.write_str(why),
            Refusal::Invalid(why) | Refusal::Unavailable(why) => f.write_str(why),
            Refusal::Closed(number) => write!(f, "pull request {number} is closed"),
            Refusal::Rules(names) => {
                let names: Vec<String> = names.iter().map(|name| escape_for_people(name.as_bytes(), 100)).collect();
                write!(f, "approval rules are not satisfied: `{}`", names.join("`, `"))
            }
            Refusal::Together => f.write_str("atomic push failure: another ref was refused"),
        }
    }
}

impl Refusal {
    /// The decision, where policies refused.
    pub fn decision(&self) -> Option<&Decision> {
        match self {
            Refusal::Denied(decision) | Refusal::Path { decision, .. } => Some(decision),
            _ => None,
        }
    }

    /// What the person who is refused reads besides: why, what the policy's author advises, and the decision's id.
    pub fn notes(&self, name: &[u8]) -> Vec<String> {
        let Some(decision) = self.decision() else { return Vec::new() };
        let mut notes = vec![format!("{}: {self}", escape_for_people(name, 300))];
        for advice in decision.advice() {
            notes.push(format!("  {}", escape_for_people(advice.as_bytes(), 500)));
        }
        notes.push(format!("  decision {}", decision.id));
        notes
    }
}

/// What came of changes.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The places of the commands that were done.
    pub done: HashSet<usize>,
    /// Why the others were not, by place.
    pub refusals: HashMap<usize, Refusal>,
}

impl Outcome {
    /// The answer to the command at `i`.
    pub fn of(&self, i: usize) -> Result<(), Refusal> {
        match self.refusals.get(&i) {
            _ if self.done.contains(&i) => Ok(()),
            Some(refusal) => Err(refusal.clone()),
            None => Err(Refusal::Unavailable("the policies kept changing; try again".into())),
        }
    }
}

impl RefChanges<'_> {
    /// Makes the changes that may be made. Blocks.
    pub fn make(&self) -> Outcome {
        let mut changing = Changing { of: self, refusals: HashMap::new() };
        let mut done = HashSet::new();
        for _ in 0..MAX_DECISIONS {
            match changing.try_publish() {
                Ok(published) => {
                    done = published;
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
                    tracing::error!(error = &error as &dyn std::error::Error, "publishing changes of refs failed");
                    changing.refuse_rest(&Refusal::Unavailable(text));
                    break;
                }
            }
        }
        self.show_default_branch(!done.is_empty());
        Outcome { done, refusals: changing.refusals }
    }

    /// A first push may have chosen the default branch, which the directory shows.
    fn show_default_branch(&self, has_changed: bool) {
        let head = self.repository.snapshot().refs.head.clone();
        if has_changed && head != self.record.default_branch {
            let store = self.host.store();
            let shown = self.host.identity().set_default_branch(&self.record.account, &self.record.name, &head);
            if let Err(error) = store.wait(shown) {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, "the directory does not show the new default branch");
            }
        }
    }
}

pub(super) fn of_shelf(error: ShelfError) -> RepositoryError {
    match error {
        ShelfError::Store(error) => error.into(),
        error => RepositoryError::Io(io::Error::other(error)),
    }
}

struct Changing<'a> {
    of: &'a RefChanges<'a>,
    /// Why a command is refused, by its place.
    refusals: HashMap<usize, Refusal>,
}

impl Changing<'_> {
    /// Checks, decides and publishes what can be. Gives the places of the commands that were done.
    fn try_publish(&mut self) -> Result<HashSet<usize>, RepositoryError> {
        let of = self.of;
        let (quarantine, commands) = (of.quarantine, of.commands);
        let directory = of.host.identity().directory();
        let policies = of.host.policies().with(&directory, of.host.identity().region());
        let mut decisions: HashMap<usize, Decision> = HashMap::new();
        let mut refused_paths = Vec::new();
        let mut done = HashSet::new();
        let paths = PathAuthority::new(&policies, &directory, of.ctx, of.record);
        let repository = of.repository;
        let result = repository.publish(&mut |snapshot| -> Result<_, RepositoryError> {
            done.clear();
            if of.merging.is_some() {
                // What is known of the pull request may have changed since.
                decisions.clear();
            }
            if !of.host.identity().is_active(&of.ctx.principal) {
                self.refuse_rest(&Refusal::Invalid("your access has ended".into()));
                return Ok(None);
            }
            let mut after = snapshot.refs.clone();
            let mut accepted: Vec<(usize, RefChange)> = Vec::new();
            let twins = Twins::of(snapshot, commands);
            // Served when the pack came in is not served now: a ref may have been deleted in between.
            let leans_on_gone =
                quarantine.is_some_and(|pack| pack.external.iter().any(|(id, _)| snapshot.objects.find(id).is_none()));
            // Deletions first, so that `a` may make room for `a/b` in one push.
            let mut order: Vec<usize> = (0..commands.len()).collect();
            order.sort_by_key(|i| commands[*i].new.is_some());
            for i in order {
                if self.refusals.contains_key(&i) {
                    continue;
                }
                let command = &commands[i];
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
                    facts.push_options = of.push_options.to_vec();
                    self.add_commit_facts(&mut facts, &directory, snapshot, quarantine, &change)?;
                    if let Err(refusal) =
                        self.add_review_facts(&mut facts, &directory, snapshot, quarantine, &change)?
                    {
                        self.refusals.insert(i, refusal);
                        continue;
                    }
                    let now_ms = of.host.store().clock().now_ms();
                    let decision =
                        decide_ref(&policies, &directory, of.ctx, of.action, of.record, &change.name, facts, now_ms);
                    slot.insert(decision);
                }
                let decision = &decisions[&i];
                if !decision.allowed {
                    self.refusals.insert(i, Refusal::Denied(Box::new(decision.clone())));
                    continue;
                }
                if let Some(refusal) = self.path_refusal(&paths, snapshot, quarantine, &change)? {
                    refused_paths.extend(refusal.decision().map(record_of));
                    self.refusals.insert(i, refusal);
                    continue;
                }
                after.apply(&change);
                accepted.push((i, change));
            }
            let mut refused: Vec<_> = decisions.values().filter(|decision| !decision.allowed).map(record_of).collect();
            refused.append(&mut refused_paths);
            if !refused.is_empty() {
                let store = of.host.store();
                let written = store.wait(store.catalog().record_decisions(&refused, store.clock().now_ms()));
                written.map_err(RepositoryError::from)?;
                decisions.retain(|_, decision| decision.allowed);
            }
            if of.is_atomic && !self.refusals.is_empty() {
                self.refuse_rest(&Refusal::Together);
                return Ok(None);
            }
            if accepted.is_empty() {
                return Ok(None);
            }
            done = accepted.iter().map(|(i, _)| *i).collect();
            let changes: Vec<&RefChange> = accepted.iter().map(|(_, change)| change).collect();
            let proposed = Proposed::new(snapshot, quarantine);
            let reviews = Reviews::new(of.host.store(), repository.keys());
            let now_ms = of.host.store().clock().now_ms();
            let follows = follows(&reviews, of.ctx, snapshot, &after, &proposed, &changes, of.merging, now_ms);
            let follows = follows.map_err(of_shelf)?;
            let mut documents = follows.documents;
            let actor = person_of(&of.ctx.principal).arn;
            let told = super::triggers::due(of.host, &actor, of.record, &reviews, &changes, now_ms);
            documents.extend(told.map_err(of_shelf)?);
            let merging = of.merging.map(|merging| (merging, follows.merge_base));
            documents.extend(of.host.events_of_changes(
                of.record,
                &actor,
                &changes,
                merging,
                &follows.pull_requests,
                now_ms,
            ));
            follows.refs.iter().for_each(|change| after.apply(change));
            // In the order of the refs that they let through: the log says which decided what.
            let order: Vec<usize> = accepted.iter().map(|(i, _)| *i).collect();
            accepted.extend(follows.refs.into_iter().map(|change| (usize::MAX, change)));
            let mut entry = self.entry(snapshot, &after, quarantine, accepted)?;
            let decided = order.iter().filter_map(|i| decisions.get(i));
            let with = PublishWith {
                decisions: decided.clone().map(record_of).collect(),
                decided_under: Some(DecidedUnder { generation: policies.generation(), directory: directory.counter() }),
                retire_after_ms: None,
                documents,
            };
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
        after: &Refs,
        quarantine: Option<&Quarantine>,
        accepted: Vec<(usize, RefChange)>,
    ) -> Result<LogEntry, RepositoryError> {
        let of = self.of;
        let mut entry = LogEntry::new(of.host.store().clock().now_ms(), of.ctx.principal.arn());
        let external: &[(RawId, ObjectKind)] = quarantine.map_or(&[], |quarantine| &quarantine.external);
        if let Some(quarantine) = quarantine {
            let tips: Vec<ObjectId> = accepted.iter().filter_map(|(_, change)| change.new).collect();
            let served = quarantine.served_by(&tips).map_err(RepositoryError::from)?;
            let mut manifest = quarantine.manifest.clone();
            manifest.served = of.repository.write_served(&served, true)?;
            of.repository.remember(&manifest, &quarantine.pack);
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
            entry.reserve = of.repository.reserve(snapshot, after, &removed, external)?;
        }
        entry.refs = accepted.into_iter().map(|(_, change)| change).collect();
        entry.head = first_branch(snapshot, &entry.refs);
        Ok(entry)
    }

    /// Everything that can be said of a command without policies.
    fn check(
        &self,
        snapshot: &Snapshot,
        after: &Refs,
        quarantine: Option<&Quarantine>,
        command: &RefCommand,
        twins: &Twins,
        leans_on_gone: bool,
    ) -> Result<(RefChange, ChangeKind), Refusal> {
        let invalid = |why: String| Refusal::Invalid(why);
        let name = command.parsed.clone().map_err(|error| invalid(error.to_string()))?;
        if !NAMESPACES.iter().any(|prefix| name.as_bytes().starts_with(prefix)) {
            return Err(invalid("refs outside refs/heads/, refs/tags/ and refs/notes/ belong to the server".into()));
        }
        let current = snapshot.refs.get(&name).map(|value| value.id);
        if command.old.is_none() && command.new.is_none() {
            return Err(Refusal::Moved("there is no such ref to delete"));
        }
        let mut change = RefChange { name: name.clone(), old: current, new: command.new, peeled: None };
        if current != command.old {
            return Err(Refusal::Moved(match (current, command.new) {
                (None, None) => "there is no such ref to delete",
                _ => "the ref has changed meanwhile; fetch first",
            }));
        }
        let Some(new) = command.new else {
            if name == snapshot.refs.head {
                return Err(invalid("it is the default branch; set another one first".into()));
            }
            return Ok((change, ChangeKind::Delete));
        };
        if current.is_none()
            && let Some(other) = twins.of_name(&name)
        {
            return Err(invalid(format!("`{other}` differs only in case or form")));
        }
        after.check(&change).map_err(|error| invalid(error.to_string()))?;
        if leans_on_gone {
            return Err(Refusal::Moved("what it builds on was just deleted; fetch first"));
        }
        let kind = quarantine.and_then(|quarantine| quarantine.kind(&new)).or_else(|| {
            let place = snapshot.objects.find(&raw(&new))?;
            Some(snapshot.objects.kind(place))
        });
        let kind = kind.ok_or_else(|| invalid(format!("object {new} is missing")))?;
        if name.as_bytes().starts_with(b"refs/heads/") && kind != ObjectKind::Commit {
            return Err(invalid(format!("a branch points at a commit, and {new} is a {kind}")));
        }
        if kind == ObjectKind::Tag {
            let peeled = self.peel(snapshot, quarantine, new);
            change.peeled = Some(peeled.ok_or_else(|| invalid(format!("tag {new} leads nowhere")))?);
        }
        let kind = self.kind_of(snapshot, quarantine, &change);
        Ok((change, kind))
    }

    fn kind_of(&self, snapshot: &Snapshot, quarantine: Option<&Quarantine>, change: &RefChange) -> ChangeKind {
        match (change.old, change.new) {
            (None, _) => ChangeKind::Create,
            (Some(_), None) => ChangeKind::Delete,
            (Some(old), Some(new)) if Proposed::new(snapshot, quarantine).descends(&new, &old) => {
                ChangeKind::FastForward
            }
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
        let of = self.of;
        let Some(new) = change.new else { return Ok(()) };
        let new = change.peeled.unwrap_or(new);
        let before = snapshot.refs.get(&change.name).map(|value| value.peeled.unwrap_or(value.id));
        let base = before.or_else(|| snapshot.refs.head_id());
        let proposed = Proposed::new(snapshot, quarantine);
        let mut accounts = vec![&of.record.account];
        accounts.extend(Some(of.ctx.principal.account()).filter(|account| *account != &of.record.account));
        let now_ms = of.host.store().clock().now_ms();
        add_commit_facts(facts, &proposed, directory, &accounts, &new, base.as_ref(), now_ms)?;
        Ok(())
    }

    /// Fills in what is known of the pull request that is merged, and of checks; or says why it cannot be merged.
    fn add_review_facts(
        &self,
        facts: &mut RefChangeFacts,
        directory: &Directory,
        snapshot: &Snapshot,
        quarantine: Option<&Quarantine>,
        change: &RefChange,
    ) -> Result<Result<(), Refusal>, RepositoryError> {
        let of = self.of;
        let reviews = Reviews::new(of.host.store(), of.repository.keys());
        let Some(new) = change.new else { return Ok(Ok(())) };
        let tip = change.peeled.unwrap_or(new);
        facts.checks_passed = checks_passed(&reviews, of.checks_of.unwrap_or(&tip)).map_err(of_shelf)?;
        let Some(merging) = of.merging else { return Ok(Ok(())) };
        let Some(kept) = reviews.pull_request(merging.number).map_err(of_shelf)? else {
            return Ok(Err(Refusal::Closed(merging.number)));
        };
        let pull_request = kept.value;
        if !pull_request.is_open {
            return Ok(Err(Refusal::Closed(merging.number)));
        }
        let source = snapshot.refs.get(&pull_request.source).map(|value| value.id);
        if pull_request.source_commit != merging.source
            || source != Some(merging.source)
            || pull_request.destination != change.name
        {
            return Ok(Err(Refusal::Moved("the source branch has changed meanwhile")));
        }
        let evaluation = Evaluation::of(&pull_request, pull_request.revision, directory);
        if !evaluation.is_approved {
            return Ok(Err(Refusal::Rules(evaluation.unsatisfied)));
        }
        let Some(old) = change.old else { return Ok(Err(Refusal::Moved("the destination branch is gone"))) };
        let proposed = Proposed::new(snapshot, quarantine);
        let tree = proposed.tree_of(&tip);
        let is_edited = merging.is_edited;
        let known = pull_request_facts(
            of.ctx,
            of.record,
            directory,
            snapshot,
            &proposed,
            &pull_request,
            is_edited,
            &old,
            tree.as_ref(),
        );
        facts.pull_request = Some(known?);
        Ok(Ok(()))
    }

    /// Why the change may not be made for the paths that it writes, if it may not.
    fn path_refusal(
        &self,
        paths: &PathAuthority<'_>,
        snapshot: &Snapshot,
        quarantine: Option<&Quarantine>,
        change: &RefChange,
    ) -> Result<Option<Refusal>, RepositoryError> {
        let Some(new) = change.new else { return Ok(None) };
        let peeled = change.peeled.unwrap_or(new);
        let before = snapshot.refs.get(&change.name);
        let old = before.map(|value| value.peeled.unwrap_or(value.id));
        let proposed = Proposed::new(snapshot, quarantine);
        let now_ms = self.of.host.store().clock().now_ms();
        let head = snapshot.refs.head_id();
        let refusal = paths.check(&proposed, &change.name, old.as_ref(), &peeled, head.as_ref(), now_ms);
        let refusal = refusal.map_err(|error| RepositoryError::Io(io::Error::other(error)))?;
        Ok(refusal.map(|refusal| match refusal {
            PathRefusal::OverLimit(why) => Refusal::Invalid(why),
            PathRefusal::Forbidden { path, n_paths, decision } => Refusal::Path { path, n_paths, decision },
        }))
    }

    fn refuse_rest(&mut self, refusal: &Refusal) {
        for i in 0..self.of.commands.len() {
            self.refusals.entry(i).or_insert_with(|| refusal.clone());
        }
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
