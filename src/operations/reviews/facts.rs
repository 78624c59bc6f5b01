//! What policies learn of a pull request that is to be merged, and of the checks of what is to be.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use super::super::OpContext;
use super::super::authority::user_facts;
use super::super::commit_facts::written_by;
use super::approvals::active_approvers;
use super::person_of;
use crate::identity::{Directory, RepositoryRecord, User};
use crate::names::{AccountId, ObjectId, PrincipalName};
use crate::policy::{PullRequestFacts, UserFacts};
use crate::repository::browse::Browser;
use crate::repository::changed_paths::{ChangedPathsError, changed_paths};
use crate::repository::object::EntryKind;
use crate::repository::pack::oid_hash::RawId;
use crate::repository::ref_change::Proposed;
use crate::repository::snapshot::Snapshot;
use crate::review::checks::CheckState;
use crate::review::owners::{MAX_BYTES, Owner, Owners, PLACES};
use crate::review::pull_request::PullRequest;
use crate::review::shelf::{Reviews, ShelfError};

/// Most paths of one merge of which the owners are looked up. Beyond, they have not approved.
const MAX_PATHS: usize = 100_000;
/// Most comparisons of a path with a line of the owners' file. Beyond, the owners have not approved.
const MAX_COMPARISONS: usize = 10_000_000;

/// Names of the checks of a commit that passed.
pub fn checks_passed(reviews: &Reviews<'_>, commit: &ObjectId) -> Result<BTreeSet<String>, ShelfError> {
    let checks = reviews.checks(commit)?.into_iter().map(|kept| kept.value);
    Ok(checks.filter(|check| check.state == CheckState::Success).map(|check| check.name).collect())
}

/// What policies learn of a pull request whose merge writes `new_tree` over what stands at the destination. `is_edited` says that
/// somebody settled conflicts by hand. Nobody approves of what is his own (attack checklist D2): not the author of the pull request,
/// nor who moved its source, nor whose commits it brings.
pub fn pull_request_facts(
    ctx: &OpContext,
    record: &RepositoryRecord,
    directory: &Directory,
    snapshot: &Snapshot,
    proposed: &Proposed<'_>,
    pull_request: &PullRequest,
    is_edited: bool,
    destination: &ObjectId,
    new_tree: Option<&RawId>,
) -> io::Result<PullRequestFacts> {
    let mut approvers = active_approvers(pull_request, pull_request.revision, directory);
    let rules = pull_request.evaluate(&approvers);
    let satisfied = rules.into_iter().filter(|(_, is_satisfied)| *is_satisfied).map(|(rule, _)| rule.name.clone());
    let mut satisfied: BTreeSet<String> = satisfied.collect();
    let written_by = match is_edited {
        // What somebody wrote by hand while merging, nobody has looked at.
        true => {
            satisfied.clear();
            None
        }
        false => written_by(proposed, &pull_request.source_commit, Some(destination))?,
    };
    match written_by {
        Some(addresses) => approvers.retain(|person| {
            let is_of_it = |user: &User| user.addresses.iter().any(|own| addresses.contains(&own.to_ascii_lowercase()));
            !pull_request.pushers.iter().any(|pusher| pusher.is(person))
                && !person.user.and_then(|id| directory.user_by_id(id)).is_some_and(is_of_it)
        }),
        // So it is with so many commits that it is not known whose they are.
        None => approvers.clear(),
    }
    let users: Vec<&User> = approvers.iter().filter_map(|person| directory.user_by_id(person.user?)).collect();
    let facts: Vec<UserFacts> = users.iter().map(|user| user_facts(directory, user)).collect();
    Ok(PullRequestFacts {
        is_author: person_of(&ctx.principal).is(&pull_request.author),
        approval_count: approvers.len() as u64,
        approval_rules_satisfied: satisfied,
        path_owners_approved: owners_approved(record, directory, snapshot, proposed, destination, new_tree, &users)?,
        approvers: facts,
    })
}

/// Whether each changed path that somebody owns has an owner among the approvers. The file that says so is the destination's.
fn owners_approved(
    record: &RepositoryRecord,
    directory: &Directory,
    snapshot: &Snapshot,
    proposed: &Proposed<'_>,
    destination: &ObjectId,
    new_tree: Option<&RawId>,
    approvers: &[&User],
) -> io::Result<bool> {
    let Some(owners) = owners_at(snapshot, destination)? else { return Ok(true) };
    let old_tree = proposed.tree_of(destination);
    let paths = match changed_paths(proposed.objects(), old_tree.as_ref(), new_tree, MAX_PATHS) {
        Ok(paths) => paths,
        Err(ChangedPathsError::Io(error)) => return Err(error),
        Err(_) => return Ok(false),
    };
    if paths.len().saturating_mul(owners.n_rules()) > MAX_COMPARISONS {
        return Ok(false);
    }
    let mut known: BTreeMap<&Owner, bool> = BTreeMap::new();
    Ok(paths.iter().all(|path| {
        let of_path = owners.of(&String::from_utf8_lossy(path));
        of_path.is_empty()
            || of_path.iter().any(|owner| {
                *known
                    .entry(owner)
                    .or_insert_with(|| approvers.iter().any(|user| is_owner(record, directory, owner, user)))
            })
    }))
}

/// The owners' file at a commit; none if there is none.
pub fn owners_at(snapshot: &Snapshot, commit: &ObjectId) -> io::Result<Option<Owners>> {
    let mut browser = Browser::new(snapshot);
    for place in PLACES {
        let found = browser.at_path(commit, place.as_bytes()).map_err(io::Error::other)?;
        let Some(entry) = found.filter(|entry| entry.kind() == EntryKind::File) else { continue };
        // One that is too large to be read has lines that nobody can satisfy.
        return Ok(Some(match browser.blob(&entry.id, MAX_BYTES) {
            Ok(text) => Owners::parse(&String::from_utf8_lossy(&text)),
            Err(_) => Owners::parse("* @"),
        }));
    }
    Ok(None)
}

fn is_owner(record: &RepositoryRecord, directory: &Directory, owner: &Owner, user: &User) -> bool {
    let named = |account: &AccountId, name: &str| {
        let Ok(name) = PrincipalName::parse(name) else { return false };
        user.account == *account && (user.name == name || directory.groups_of(account, &user.name).contains(&name))
    };
    match owner {
        Owner::Name(name) => named(&record.account, name),
        Owner::Of { account, name } => AccountId::parse(account).is_ok_and(|account| named(&account, name)),
        Owner::Address(address) => user.addresses.iter().any(|own| own.eq_ignore_ascii_case(address)),
    }
}
