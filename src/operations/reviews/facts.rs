//! What policies learn of a pull request that is to be merged, and of the checks of what is to be.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use super::super::OpContext;
use super::super::authority::user_facts;
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
use crate::review::Person;
use crate::review::checks::CheckState;
use crate::review::owners::{MAX_BYTES, Owner, Owners, PLACES};
use crate::review::pull_request::PullRequest;
use crate::review::shelf::{Reviews, ShelfError};

/// Most paths of one merge of which the owners are looked up. Beyond, they have not approved.
const MAX_PATHS: usize = 100_000;

/// Names of the checks of a commit that passed.
pub fn checks_passed(reviews: &Reviews<'_>, commit: &ObjectId) -> Result<BTreeSet<String>, ShelfError> {
    let checks = reviews.checks(commit)?.into_iter().map(|kept| kept.value);
    Ok(checks.filter(|check| check.state == CheckState::Success).map(|check| check.name).collect())
}

/// What policies learn of a pull request whose merge writes `new_tree` over what stands at the destination.
pub fn pull_request_facts(
    ctx: &OpContext,
    record: &RepositoryRecord,
    directory: &Directory,
    snapshot: &Snapshot,
    proposed: &Proposed<'_>,
    pull_request: &PullRequest,
    destination: &ObjectId,
    new_tree: Option<&RawId>,
) -> io::Result<PullRequestFacts> {
    let approvers: Vec<&Person> = pull_request.approvers(pull_request.revision).collect();
    // Whoever is no user any more, or may not act, has no voice.
    let active = |person: &&Person| match person.user {
        Some(id) => directory.user_by_id(id).is_some_and(|user| !user.disabled),
        None => true,
    };
    let approvers: Vec<&Person> = approvers.into_iter().filter(active).collect();
    let users: Vec<&User> = approvers.iter().filter_map(|person| directory.user_by_id(person.user?)).collect();
    let facts: Vec<UserFacts> = users.iter().map(|user| user_facts(directory, user)).collect();
    let rules = pull_request.evaluate(pull_request.revision);
    let satisfied = rules.into_iter().filter(|(_, is_satisfied)| *is_satisfied).map(|(rule, _)| rule.name.clone());
    Ok(PullRequestFacts {
        is_author: person_of(&ctx.principal).is(&pull_request.author),
        approval_count: approvers.len() as u64,
        approval_rules_satisfied: satisfied.collect(),
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
