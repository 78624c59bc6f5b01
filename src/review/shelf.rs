//! Where reviews lie: which documents there are, and what their keys are made of.
//!
//! Of a repository: `pull.open` and `pull.closed` by number, `pull.event` by number and place, `comment` by id, `comment.at` by what is
//! commented on, `token` by the digest of a call's token, `check` by those of
//! commit and name, `triggers`. Digests are keyed: a disk does not say which commits or names they are of. Of an account: `pull.number` (the last one
//! given), `pull.where` (number to repository), `template` by id, and `template.names`, which counts their changes.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::checks::Check;
use super::comment::{Comment, Target};
use super::pull_request::{Event, PullRequest};
use super::rules::Template;
use super::triggers::Triggers;
use crate::names::{AccountId, ObjectId};
use crate::store::Store;
use crate::store::documents::{Listing, Shelf, Write};
pub use crate::store::kept::{Kept, ShelfError};
use crate::store::kept::{body, read};
use crate::store::keyring::RepositoryKeys;

const OPEN: &str = "pull.open";
const CLOSED: &str = "pull.closed";
const EVENT: &str = "pull.event";
const COMMENT: &str = "comment";
const COMMENT_AT: &str = "comment.at";
const TOKEN: &str = "token";
const CHECK: &str = "check";
const NUMBER: &str = "pull.number";
const WHERE: &str = "pull.where";
const TRIGGERS: &str = "triggers";
const TEMPLATE: &str = "template";
const NAMES: &str = "template.names";

type Result<T> = std::result::Result<T, ShelfError>;

/// What the keys begin with of all comments on a pull request.
pub fn place_of_pull_request(number: u64) -> Vec<u8> {
    [&b"p"[..], &number.to_be_bytes()].concat()
}

/// What a call with a token made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Given {
    /// The digest of what was asked.
    pub request: String,
    /// What was made.
    pub made: String,
}

/// The reviews of one repository. All of it blocks.
#[derive(Clone, Copy)]
pub struct Reviews<'a> {
    store: &'a Store,
    keys: &'a RepositoryKeys,
}

impl<'a> Reviews<'a> {
    /// Those of the repository with these keys.
    pub fn new(store: &'a Store, keys: &'a RepositoryKeys) -> Reviews<'a> {
        Reviews { store, keys }
    }

    fn shelf(&self) -> Shelf<'a> {
        Shelf::Repository(self.keys)
    }

    fn token_key(&self, of: &str, token: &str) -> Vec<u8> {
        self.store.blind("token", &[self.keys.repository(), of.as_bytes(), token.as_bytes()]).to_vec()
    }

    fn commit_key(&self, commit: &ObjectId) -> [u8; 16] {
        self.store.blind("checked commit", &[self.keys.repository(), commit.as_slice()])
    }

    fn check_key(&self, commit: &ObjectId, name: &str) -> Vec<u8> {
        let of_name = self.store.blind("check", &[self.keys.repository(), name.as_bytes()]);
        [self.commit_key(commit), of_name].concat()
    }

    /// What the keys begin with of all comments on the same.
    pub fn place_of(&self, target: &Target) -> Vec<u8> {
        match target.pull_request {
            Some(number) => place_of_pull_request(number),
            None => {
                let before = target.before.map(|id| id.as_slice().to_vec()).unwrap_or_default();
                let parts: [&[u8]; 3] = [self.keys.repository(), &before, target.after.as_slice()];
                [b"c", &self.store.blind("compared commits", &parts)[..]].concat()
            }
        }
    }

    fn one<T: DeserializeOwned>(&self, kind: &'static str, key: &[u8]) -> Result<Option<Kept<T>>> {
        self.store.document(self.shelf(), kind, key)?.map(|document| read(kind, document)).transpose()
    }

    fn list<T: DeserializeOwned>(&self, kind: &'static str, listing: &Listing<'_>) -> Result<Vec<Kept<T>>> {
        let found = self.store.documents(self.shelf(), kind, listing)?;
        found.into_iter().map(|document| read(kind, document)).collect()
    }

    fn put<T: Serialize>(&self, kind: &'static str, key: Vec<u8>, expected: i64, value: &T) -> Result<Write> {
        Ok(self.store.put_document(self.shelf(), kind, key, expected, &body(kind, value)?)?)
    }

    /// A pull request by its number.
    pub fn pull_request(&self, number: u64) -> Result<Option<Kept<PullRequest>>> {
        let key = number.to_be_bytes();
        match self.one(OPEN, &key)? {
            Some(found) => Ok(Some(found)),
            None => self.one(CLOSED, &key),
        }
    }

    /// All that are open, by number.
    pub fn open_pull_requests(&self) -> Result<Vec<Kept<PullRequest>>> {
        self.list(OPEN, &Listing { limit: usize::MAX, ..Listing::default() })
    }

    /// Pull requests with numbers below `before`, the largest first; those that are open, or not.
    pub fn pull_requests(&self, is_open: bool, before: Option<u64>, limit: usize) -> Result<Vec<Kept<PullRequest>>> {
        let before = before.map(u64::to_be_bytes);
        let after = before.as_ref().map(|key| &key[..]);
        let kind = if is_open { OPEN } else { CLOSED };
        self.list(kind, &Listing { after, descending: true, limit, ..Listing::default() })
    }

    /// Writes of a pull request that is new or was read, with what happened to it now. `was_open` is what it was when it was
    /// read.
    pub fn put_pull_request(&self, kept: &Kept<PullRequest>, was_open: bool, events: &[Event]) -> Result<Vec<Write>> {
        let mut pull_request = kept.value.clone();
        let key = pull_request.number.to_be_bytes().to_vec();
        let mut writes = Vec::new();
        for event in events {
            let place = [&key[..], &pull_request.n_events.to_be_bytes()].concat();
            writes.push(self.put(EVENT, place, 0, event)?);
            pull_request.n_events += 1;
            pull_request.active_ms = pull_request.active_ms.max(event.at_ms);
        }
        match (was_open, pull_request.is_open) {
            (true, true) => writes.push(self.put(OPEN, key, kept.version, &pull_request)?),
            (true, false) => {
                writes.push(self.store.delete_document(self.shelf(), OPEN, key.clone(), kept.version));
                writes.push(self.put(CLOSED, key, 0, &pull_request)?);
            }
            (false, _) => writes.push(self.put(CLOSED, key, kept.version, &pull_request)?),
        }
        Ok(writes)
    }

    /// What happened to a pull request from the event at `from` on, in order.
    pub fn events(&self, number: u64, from: u32, limit: usize) -> Result<Vec<Event>> {
        let prefix = number.to_be_bytes();
        let after = from.checked_sub(1).map(|last| [&prefix[..], &last.to_be_bytes()].concat());
        let listing = Listing { prefix: &prefix, after: after.as_deref(), limit, ..Listing::default() };
        Ok(self.list(EVENT, &listing)?.into_iter().map(|kept| kept.value).collect())
    }

    /// A comment.
    pub fn comment(&self, id: Uuid) -> Result<Option<Kept<Comment>>> {
        self.one(COMMENT, id.as_bytes())
    }

    /// Writes of a comment that is new or was read.
    pub fn put_comment(&self, kept: &Kept<Comment>) -> Result<Vec<Write>> {
        let comment = &kept.value;
        let mut writes = vec![self.put(COMMENT, comment.id.as_bytes().to_vec(), kept.version, comment)?];
        if kept.version == 0 {
            let key = [&self.place_of(&comment.target)[..], comment.id.as_bytes()].concat();
            writes.push(self.put(COMMENT_AT, key, 0, &comment.thread)?);
        }
        Ok(writes)
    }

    /// All comments on what has this prefix, the oldest first; at most `limit`.
    pub fn comments(&self, prefix: &[u8], limit: usize) -> Result<Vec<Comment>> {
        let listing = Listing { prefix, limit, ..Listing::default() };
        let mut out = Vec::new();
        for document in self.store.documents(self.shelf(), COMMENT_AT, &listing)? {
            let id = document.key.get(prefix.len()..).and_then(|id| Uuid::from_slice(id).ok());
            if let Some(id) = id
                && let Some(comment) = self.comment(id)?
            {
                out.push(comment.value);
            }
        }
        Ok(out)
    }

    /// What a call with this token made before. `of` tells kinds of calls, and callers, apart.
    pub fn given(&self, of: &str, token: &str) -> Result<Option<Given>> {
        Ok(self.one(TOKEN, &self.token_key(of, token))?.map(|kept| kept.value))
    }

    /// The write by which a call is remembered.
    pub fn put_given(&self, of: &str, token: &str, given: &Given) -> Result<Write> {
        self.put(TOKEN, self.token_key(of, token), 0, given)
    }

    /// The triggers; none before they are first put.
    pub fn triggers(&self) -> Result<Option<Kept<Triggers>>> {
        self.one(TRIGGERS, b"all")
    }

    /// The write of triggers that are new or were read.
    pub fn put_triggers(&self, kept: &Kept<Triggers>) -> Result<Write> {
        self.put(TRIGGERS, b"all".to_vec(), kept.version, &kept.value)
    }

    /// The checks of a commit, by the digests of their names.
    pub fn checks(&self, commit: &ObjectId) -> Result<Vec<Kept<Check>>> {
        self.list(CHECK, &Listing { prefix: &self.commit_key(commit), limit: usize::MAX, ..Listing::default() })
    }

    /// The check of that name.
    pub fn check(&self, commit: &ObjectId, name: &str) -> Result<Option<Kept<Check>>> {
        self.one(CHECK, &self.check_key(commit, name))
    }

    /// The write of a check that is new or was read.
    pub fn put_check(&self, commit: &ObjectId, kept: &Kept<Check>) -> Result<Write> {
        self.put(CHECK, self.check_key(commit, &kept.value.name), kept.version, &kept.value)
    }
}

/// What lies with an account. All of it blocks.
#[derive(Clone, Copy)]
pub struct AccountReviews<'a> {
    store: &'a Store,
    account: &'a AccountId,
}

impl<'a> AccountReviews<'a> {
    /// Those of an account.
    pub fn new(store: &'a Store, account: &'a AccountId) -> AccountReviews<'a> {
        AccountReviews { store, account }
    }

    fn shelf(&self) -> Shelf<'a> {
        Shelf::Account(self.account)
    }

    /// The next number of a pull request, and the writes that give it to one of a repository.
    pub fn next_number(&self, repository: Uuid) -> Result<(u64, Vec<Write>)> {
        let last = self.store.document(self.shelf(), NUMBER, b"last")?;
        let (last, version) = match last {
            Some(document) => {
                let kept: Kept<u64> = read(NUMBER, document)?;
                (kept.value, kept.version)
            }
            None => (0, 0),
        };
        let number = last + 1;
        let key = number.to_be_bytes().to_vec();
        let writes = vec![
            self.store.put_document(self.shelf(), NUMBER, b"last".to_vec(), version, &body(NUMBER, &number)?)?,
            self.store.put_document(self.shelf(), WHERE, key, 0, &body(WHERE, &repository)?)?,
        ];
        Ok((number, writes))
    }

    /// The id of the repository that a pull request is of.
    pub fn repository_of(&self, number: u64) -> Result<Option<Uuid>> {
        let found = self.store.document(self.shelf(), WHERE, &number.to_be_bytes())?;
        Ok(found.map(|document| read(WHERE, document)).transpose()?.map(|kept: Kept<Uuid>| kept.value))
    }

    /// All templates of approval rules, by name. There are at most a thousand.
    pub fn templates(&self) -> Result<Vec<Kept<Template>>> {
        let found =
            self.store.documents(self.shelf(), TEMPLATE, &Listing { limit: usize::MAX, ..Listing::default() })?;
        let mut all: Vec<Kept<Template>> =
            found.into_iter().map(|document| read(TEMPLATE, document)).collect::<Result<_>>()?;
        all.sort_by(|a, b| a.value.name.cmp(&b.value.name));
        Ok(all)
    }

    /// The write of a template that is new or was read, under its id.
    pub fn put_template(&self, kept: &Kept<Template>) -> Result<Write> {
        let key = kept.value.id.as_bytes().to_vec();
        Ok(self.store.put_document(self.shelf(), TEMPLATE, key, kept.version, &body(TEMPLATE, &kept.value)?)?)
    }

    /// The write that goes with each change of a template's name, the first included: of two who take the same name at once, one
    /// fails. Read before the templates.
    pub fn names_change(&self) -> Result<Write> {
        let version = self.store.document(self.shelf(), NAMES, b"all")?.map_or(0, |document| document.version);
        Ok(self.store.put_document(self.shelf(), NAMES, b"all".to_vec(), version, b"null")?)
    }

    /// The write that takes a template away.
    pub fn delete_template(&self, kept: &Kept<Template>) -> Write {
        self.store.delete_document(self.shelf(), TEMPLATE, kept.value.id.as_bytes().to_vec(), kept.version)
    }
}
