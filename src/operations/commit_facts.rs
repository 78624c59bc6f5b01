//! Facts about the commits that a ref gains: how many, by whom, and whether all of them are signed by people who are known.
//!
//! They cover what the ref gains and not only what is new to the repository: a commit that was pushed to an unprotected branch
//! before is looked at again where it would reach a protected one. A ref that is created gains what the default branch does
//! not have. The commit that the ref would point at is always among those whose signatures count, so that moving a ref back
//! onto an unsigned commit does not pass for signed.
//!
//! Signatures count if they are by a key that an active user of the repository's account, or of the pusher's, has registered,
//! on a commit whose time lies within the key's validity. Anything else counts as unsigned.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;

use super::authority::user_facts;
use crate::identity::Directory;
use crate::names::{AccountId, ObjectId};
use crate::policy::{RefChangeFacts, UserFacts};
use crate::repository::object::{CommitView, ObjectKind};
use crate::repository::pack::oid_hash::{RawId, raw};
use crate::repository::ref_change::Proposed;
use crate::repository::signature::{Signed, SigningKey, signed_parts};

/// Most commits that are read. Beyond, none of them counts as signed, and nothing is known of their authors.
const MAX_COMMITS: usize = 10_000;

/// Most different addresses that are told to policies.
const MAX_ADDRESSES: usize = 1_000;

/// Fills in what is known of the commits between `old` and `new`, both with tags followed. `base` is what a created ref is
/// compared with.
pub fn add_commit_facts(
    facts: &mut RefChangeFacts,
    proposed: &Proposed<'_>,
    directory: &Directory,
    accounts: &[&AccountId],
    new: &ObjectId,
    old_or_base: Option<&ObjectId>,
    now_ms: i64,
) -> io::Result<()> {
    let objects = proposed.objects();
    let is_commit = objects.find_stored(&raw(new)).is_some_and(|place| objects.kind(place) == ObjectKind::Commit);
    if !is_commit {
        return Ok(());
    }
    let gained = proposed.gained(new, old_or_base, MAX_COMMITS);
    facts.commit_count = Some(gained.n_commits);
    let Some(mut commits) = gained.commits else { return Ok(()) };
    let mut reading = Reading {
        directory,
        accounts,
        now_ms,
        keys: HashMap::new(),
        authors: BTreeSet::new(),
        committers: BTreeSet::new(),
        signers: BTreeMap::new(),
        all_registered: true,
        all_signed: true,
    };
    let mut reader = objects.reader(1 << 20);
    // Whose commit the ref points at already is no question of what it gains.
    let tip_is_gained = commits.contains(&raw(new));
    if !tip_is_gained {
        commits.push(raw(new));
    }
    for (i, id) in commits.iter().enumerate() {
        let place = objects.find_stored(id).ok_or_else(|| missing(id))?;
        let data = reader.read_once(place)?;
        reading.signature(data)?;
        if tip_is_gained || i + 1 < commits.len() {
            reading.people(data)?;
        }
    }
    if reading.authors.len() <= MAX_ADDRESSES && reading.committers.len() <= MAX_ADDRESSES {
        facts.authors = Some(reading.authors);
        facts.committers = Some(reading.committers);
    }
    facts.all_authors_registered = Some(reading.all_registered);
    facts.all_commits_signed = reading.all_signed;
    facts.signers = reading.signers.into_values().collect();
    Ok(())
}

/// The addresses, in small letters, of all who wrote or co-wrote the commits between `old` and `new`; none if there are too many of
/// them. Co-authors are those whom a line `Co-authored-by: NAME <ADDRESS>` of the message names.
pub fn written_by(
    proposed: &Proposed<'_>,
    new: &ObjectId,
    old: Option<&ObjectId>,
) -> io::Result<Option<BTreeSet<String>>> {
    let objects = proposed.objects();
    let Some(commits) = proposed.gained(new, old, MAX_COMMITS).commits else { return Ok(None) };
    let mut reader = objects.reader(1 << 20);
    let mut found = BTreeSet::new();
    for id in &commits {
        let place = objects.find_stored(id).ok_or_else(|| missing(id))?;
        let commit = CommitView::parse(reader.read_once(place)?).map_err(io::Error::other)?;
        let co_authors = commit.message().split(|byte| *byte == b'\n').filter_map(co_author);
        for ident in [commit.author(), commit.committer()].into_iter().chain(co_authors) {
            found.insert(address_of(ident).to_ascii_lowercase());
        }
        if found.len() > MAX_COMMITS {
            return Ok(None);
        }
    }
    Ok(Some(found))
}

fn co_author(line: &[u8]) -> Option<&[u8]> {
    const KEY: &[u8] = b"co-authored-by:";
    let (key, rest) = line.split_at_checked(KEY.len())?;
    key.eq_ignore_ascii_case(KEY).then_some(rest)
}

fn missing(id: &RawId) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("commit {} is missing", ObjectId::from(*id)))
}

struct Reading<'a> {
    directory: &'a Directory,
    accounts: &'a [&'a AccountId],
    now_ms: i64,
    /// Keys by fingerprint; reading one takes longer than checking a signature with it.
    keys: HashMap<String, Option<SigningKey>>,
    authors: BTreeSet<String>,
    committers: BTreeSet<String>,
    signers: BTreeMap<String, UserFacts>,
    all_registered: bool,
    all_signed: bool,
}

impl Reading<'_> {
    fn people(&mut self, data: &[u8]) -> io::Result<()> {
        let commit = CommitView::parse(data).map_err(io::Error::other)?;
        for (ident, set) in [(commit.author(), &mut self.authors), (commit.committer(), &mut self.committers)] {
            let address = address_of(ident);
            self.all_registered &= self.accounts.iter().any(|account| self.directory.has_address(account, &address));
            if set.len() <= MAX_ADDRESSES {
                set.insert(address);
            }
        }
        Ok(())
    }

    fn signature(&mut self, data: &[u8]) -> io::Result<()> {
        let commit = CommitView::parse(data).map_err(io::Error::other)?;
        let time_ms = i64::try_from(commit.committer_time()).unwrap_or(i64::MAX).saturating_mul(1000);
        let signer = match signed_parts(data, ObjectKind::Commit) {
            Ok(Some(signed)) => self.signer(&signed, time_ms),
            // What is signed in a way that is not understood counts as unsigned.
            Ok(None) | Err(_) => None,
        };
        match signer {
            Some(user) => {
                self.signers.entry(format!("{}/{}", user.account, user.name)).or_insert(user);
            }
            None => self.all_signed = false,
        }
        Ok(())
    }

    /// Whose signature it is, if it is one that counts.
    fn signer(&mut self, signed: &Signed<'_>, time_ms: i64) -> Option<UserFacts> {
        let directory = self.directory;
        for name in signed.claimed_keys() {
            for (user, info) in directory.signing_keys(name.as_str()) {
                let is_valid = info.from_ms.is_none_or(|from| time_ms >= from)
                    && info.until_ms.is_none_or(|until| time_ms <= until);
                if !is_valid || !self.accounts.contains(&&user.account) {
                    continue;
                }
                let key = self.keys.entry(info.fingerprint.clone()).or_insert_with(|| {
                    SigningKey::from_bytes(&info.key)
                        .inspect_err(|error| {
                            let error = error as &dyn std::error::Error;
                            tracing::error!(error, fingerprint = info.fingerprint, "a signing key cannot be read");
                        })
                        .ok()
                });
                if key.as_ref().is_some_and(|key| signed.verify(key, self.now_ms / 1000).is_ok()) {
                    return Some(user_facts(directory, user));
                }
            }
        }
        None
    }
}

/// The address in `Name <address> time zone`, as policies see it: percent-encoded where it is not UTF-8.
fn address_of(ident: &[u8]) -> String {
    let from = ident.iter().position(|byte| *byte == b'<').map_or(0, |at| at + 1);
    let len = ident[from..].iter().position(|byte| *byte == b'>').unwrap_or(ident.len() - from);
    crate::policy::encode_for_id(&ident[from..from + len])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_as_git_takes_them() {
        assert_eq!(address_of(b"A U Thor <author@example.com> 1 +0000"), "author@example.com");
        assert_eq!(address_of(b"<> 1 +0000"), "");
        assert_eq!(address_of(b"x <a\xff%@b> 1 +0000"), "a%ff%25@b");
        assert_eq!(address_of(b"no brackets"), "no brackets");
        assert_eq!(address_of(b"open <a@b"), "a@b");
        assert_eq!(co_author(b"Co-Authored-By: A <a@b>").map(address_of).as_deref(), Some("a@b"));
        assert_eq!(co_author(b"Reviewed-by: A <a@b>"), None);
    }
}
