//! Documents: sealed bodies under a key in the clear, in the order of their keys. Pull requests, comments, rules and whatever else
//! people write about a repository or in an account; what a body means is its owner's.
//!
//! A document has a version that each write raises. Whoever writes says which version he has read, and learns that somebody
//! was faster; several documents change together or not at all, alone or with a publish. Keys are made by the server: what
//! a user wrote stands in bodies, and in keys as a keyed digest at most ([`Store::blind`]). Kind, key and version are part of what a body is sealed to, so that no row can be
//! given to another place; an older copy of the same row with its version is not told from the newest.

use sqlx::{Connection, Row, SqliteConnection};

use super::catalog::{Catalog, CatalogError};
use super::keyring::{KeyRefusal, RepositoryKeys};
use super::queue::{self, DeliveryRow, EventRow};
use super::seal::SealError;
use super::{Store, StoreError, ValueError};
use crate::names::AccountId;

/// Whose documents.
#[derive(Clone, Copy)]
pub enum Shelf<'a> {
    /// A repository's, sealed with its row keys: they end with it.
    Repository(&'a RepositoryKeys),
    /// An account's, sealed with the catalog's.
    Account(&'a AccountId),
}

/// A document as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Its key.
    pub key: Vec<u8>,
    /// How often it was written: at least 1.
    pub version: i64,
    /// What it says.
    pub body: Vec<u8>,
}

/// Something that is written together with other things: made by [`Store::put_document`], [`Store::delete_document`],
/// [`Store::put_event`] and [`Store::put_delivery`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// A document changes.
    Document(DocumentRow),
    /// An event waits to be routed.
    Event(EventRow),
    /// A delivery waits to be made.
    Delivery(DeliveryRow),
}

/// A change of one document, sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentRow {
    scope: [u8; 16],
    kind: &'static str,
    key: Vec<u8>,
    /// The version that was read; 0 for a document that is not there.
    expected: i64,
    /// None takes it away.
    sealed: Option<Vec<u8>>,
}

/// Which documents of a kind, by their keys.
#[derive(Debug, Clone, Default)]
pub struct Listing<'a> {
    /// What keys begin with.
    pub prefix: &'a [u8],
    /// The key after which the list goes on (before which, in descending order); from the beginning if there is none.
    pub after: Option<&'a [u8]>,
    /// Largest keys first.
    pub descending: bool,
    /// At most so many.
    pub limit: usize,
}

impl Store {
    fn scope(&self, shelf: Shelf<'_>) -> [u8; 16] {
        match shelf {
            Shelf::Repository(keys) => *keys.repository(),
            Shelf::Account(account) => self.catalog.scope_of_account(account),
        }
    }

    /// What stands in a key for something that somebody else made, such as a name or the id of a commit: a digest that nobody makes
    /// without the catalog's key, so that a disk does not say whether it is there.
    pub fn blind(&self, purpose: &str, parts: &[&[u8]]) -> [u8; 16] {
        self.catalog.blind(purpose, parts)
    }

    /// One document; none if it is not there. Blocks.
    pub fn document(&self, shelf: Shelf<'_>, kind: &'static str, key: &[u8]) -> Result<Option<Document>, StoreError> {
        let found = self.wait(self.catalog.document(&self.scope(shelf), kind, key))?;
        found.map(|(version, sealed)| self.open_document(shelf, kind, key.to_vec(), version, &sealed)).transpose()
    }

    /// Documents of a kind in the order of their keys. Blocks.
    pub fn documents(
        &self,
        shelf: Shelf<'_>,
        kind: &'static str,
        listing: &Listing<'_>,
    ) -> Result<Vec<Document>, StoreError> {
        let rows = self.wait(self.catalog.documents(&self.scope(shelf), kind, listing))?;
        rows.into_iter().map(|(key, version, sealed)| self.open_document(shelf, kind, key, version, &sealed)).collect()
    }

    /// A write of a document over the version that was read; 0 for one that is not there yet. Refused while the keys may not be
    /// used.
    pub fn put_document(
        &self,
        shelf: Shelf<'_>,
        kind: &'static str,
        key: Vec<u8>,
        expected: i64,
        body: &[u8],
    ) -> Result<Write, StoreError> {
        let version = (expected + 1).to_be_bytes();
        let place = [b"document", kind.as_bytes(), &key, &version];
        let scope = self.scope(shelf);
        let sealed = match shelf {
            Shelf::Repository(keys) => self.seal_value(keys, &place, body)?,
            Shelf::Account(_) => self.catalog.seal_document(&scope, &place, body),
        };
        Ok(Write::Document(DocumentRow { scope, kind, key, expected, sealed: Some(sealed) }))
    }

    /// A write that takes a document away, if it has the version that was read.
    pub fn delete_document(&self, shelf: Shelf<'_>, kind: &'static str, key: Vec<u8>, expected: i64) -> Write {
        Write::Document(DocumentRow { scope: self.scope(shelf), kind, key, expected, sealed: None })
    }

    /// Makes all the writes, or none of them: false if a document has not the version that was read. Blocks.
    pub fn write_documents(&self, writes: &[Write]) -> Result<bool, StoreError> {
        Ok(self.wait(self.catalog.write_documents(writes))?)
    }

    fn open_document(
        &self,
        shelf: Shelf<'_>,
        kind: &'static str,
        key: Vec<u8>,
        version: i64,
        sealed: &[u8],
    ) -> Result<Document, StoreError> {
        let damaged = |source: SealError| StoreError::from(CatalogError::Unauthentic { table: "document", source });
        let version_bytes = version.to_be_bytes();
        let place = [b"document", kind.as_bytes(), &key, &version_bytes];
        let body = match shelf {
            Shelf::Repository(keys) => self.open_value(keys, &place, sealed).map_err(|error| match error {
                ValueError::Refused(refusal) => refused(refusal),
                ValueError::Seal(source) => damaged(source),
            })?,
            Shelf::Account(_) => self.catalog.open_document(&self.scope(shelf), &place, sealed).map_err(damaged)?,
        };
        Ok(Document { key, version, body })
    }
}

fn refused(refusal: KeyRefusal) -> StoreError {
    super::keyring::KeyringError::from(refusal).into()
}

type Row2 = (i64, Vec<u8>);
type Row3 = (Vec<u8>, i64, Vec<u8>);

impl Catalog {
    async fn document(&self, scope: &[u8; 16], kind: &str, key: &[u8]) -> Result<Option<Row2>, CatalogError> {
        let doing = |source| CatalogError::Sql { doing: "reading a document", source };
        let query = sqlx::query("SELECT version, sealed FROM document WHERE scope = $1 AND kind = $2 AND key = $3")
            .bind(&scope[..])
            .bind(kind)
            .bind(key);
        let row = match &self.readers {
            Some(pool) => query.fetch_optional(pool).await.map_err(doing)?,
            None => query.fetch_optional(&mut *self.writer.lock().await).await.map_err(doing)?,
        };
        Ok(row.map(|row| (row.get(0), row.get(1))))
    }

    async fn documents(&self, scope: &[u8; 16], kind: &str, listing: &Listing<'_>) -> Result<Vec<Row3>, CatalogError> {
        let doing = |source| CatalogError::Sql { doing: "reading documents", source };
        // Both bounds are exclusive; keys are not empty.
        let (low, high) = bounds(listing);
        let statement = match listing.descending {
            false => {
                "SELECT key, version, sealed FROM document WHERE scope = $1 AND kind = $2 AND key > $3
                 AND ($4 IS NULL OR key < $4) ORDER BY key LIMIT $5"
            }
            true => {
                "SELECT key, version, sealed FROM document WHERE scope = $1 AND kind = $2 AND key > $3
                 AND ($4 IS NULL OR key < $4) ORDER BY key DESC LIMIT $5"
            }
        };
        let query = sqlx::query(statement)
            .bind(&scope[..])
            .bind(kind)
            .bind(low)
            .bind(high)
            .bind(i64::try_from(listing.limit).unwrap_or(i64::MAX));
        let rows = match &self.readers {
            Some(pool) => query.fetch_all(pool).await.map_err(doing)?,
            None => query.fetch_all(&mut *self.writer.lock().await).await.map_err(doing)?,
        };
        Ok(rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect())
    }

    async fn write_documents(&self, writes: &[Write]) -> Result<bool, CatalogError> {
        let doing = |source| CatalogError::Sql { doing: "writing documents", source };
        let mut writer = self.writer.lock().await;
        let mut tx = writer.begin_with("BEGIN IMMEDIATE").await.map_err(doing)?;
        if !apply(&mut tx, writes).await? {
            return Ok(false);
        }
        self.faults.reach("documents:before-commit");
        tx.commit().await.map_err(doing)?;
        self.faults.reach("documents:after-commit");
        self.announce(writes);
        Ok(true)
    }

    /// Wakes whoever routes and delivers, if something was written for them.
    pub(super) fn announce(&self, writes: &[Write]) {
        if writes.iter().any(|write| !matches!(write, Write::Document(_))) {
            self.queued.send_modify(|count| *count += 1);
        }
    }
}

/// The keys between which a listing looks, neither of them included; no upper one if there is none.
fn bounds(listing: &Listing<'_>) -> (Vec<u8>, Option<Vec<u8>>) {
    // Keys that begin with the prefix are longer than it, or are it: one that is it is no key of a list.
    let mut low = listing.prefix.to_vec();
    let mut high = listing.prefix.to_vec();
    // The first key that does not begin with the prefix any more.
    while high.pop_if(|last| *last == u8::MAX).is_some() {}
    let mut high = high.pop().map(|last| {
        high.push(last + 1);
        high
    });
    if let Some(after) = listing.after {
        match listing.descending {
            false => low = low.max(after.to_vec()),
            true => high = Some(high.map_or(after.to_vec(), |high| high.min(after.to_vec()))),
        }
    }
    (low, high)
}

/// Makes the writes within a transaction; false, and the transaction is to be given up, if somebody was faster.
pub(super) async fn apply(tx: &mut SqliteConnection, writes: &[Write]) -> Result<bool, CatalogError> {
    let doing = |source| CatalogError::Sql { doing: "writing documents", source };
    let (mut events, mut deliveries) = (Vec::new(), Vec::new());
    for write in writes {
        let write = match write {
            Write::Document(write) => write,
            Write::Event(event) => {
                events.push(event);
                continue;
            }
            Write::Delivery(delivery) => {
                deliveries.push(delivery);
                continue;
            }
        };
        let statement = match (&write.sealed, write.expected) {
            (Some(_), 0) => {
                "INSERT INTO document (scope, kind, key, version, sealed) VALUES ($1, $2, $3, $4 + 1, $5)
                 ON CONFLICT (scope, kind, key) DO NOTHING"
            }
            (Some(_), _) => {
                "UPDATE document SET version = $4 + 1, sealed = $5
                 WHERE scope = $1 AND kind = $2 AND key = $3 AND version = $4"
            }
            (None, _) => "DELETE FROM document WHERE scope = $1 AND kind = $2 AND key = $3 AND version = $4",
        };
        let mut query =
            sqlx::query(statement).bind(&write.scope[..]).bind(write.kind).bind(&write.key).bind(write.expected);
        if let Some(sealed) = &write.sealed {
            query = query.bind(sealed);
        }
        if query.execute(&mut *tx).await.map_err(doing)?.rows_affected() != 1 {
            return Ok(false);
        }
    }
    queue::insert_events(tx, &events).await?;
    queue::insert_deliveries(tx, &deliveries).await?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    const KIND: &str = "note";

    fn listed(prefix: &[u8], after: Option<&[u8]>, descending: bool, store: &Store, shelf: Shelf<'_>) -> Vec<Vec<u8>> {
        let listing = Listing { prefix, after, descending, limit: 10 };
        store.documents(shelf, KIND, &listing).unwrap().into_iter().map(|document| document.key).collect()
    }

    #[test]
    fn documents_change_by_version_and_together() {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let store = runtime.block_on(Store::in_memory(Clock::System)).unwrap();
        let account = AccountId::parse("111111111111").unwrap();
        store.create_account_keys(&account).unwrap();
        let keys = store.create_repository_keys(&account, &[7; 16]).unwrap();
        for shelf in [Shelf::Repository(&keys), Shelf::Account(&account)] {
            let put = |key: &[u8], expected, body: &str| {
                store.put_document(shelf, KIND, key.to_vec(), expected, body.as_bytes()).unwrap()
            };
            let body = |key: &[u8]| store.document(shelf, KIND, key).unwrap().map(|document| document.body);
            assert!(store.write_documents(&[put(b"a", 0, "one"), put(b"b", 0, "two")]).unwrap());
            // Somebody was faster with one of them: neither changes.
            assert!(!store.write_documents(&[put(b"b", 1, "three"), put(b"a", 0, "four")]).unwrap());
            assert_eq!(body(b"b").unwrap(), b"two");
            assert!(store.write_documents(&[put(b"b", 1, "three")]).unwrap());
            let b = store.document(shelf, KIND, b"b").unwrap().unwrap();
            assert_eq!((b.version, &b.body[..]), (2, &b"three"[..]));
            assert!(!store.write_documents(&[store.delete_document(shelf, KIND, b"b".to_vec(), 1)]).unwrap());
            assert!(store.write_documents(&[store.delete_document(shelf, KIND, b"b".to_vec(), 2)]).unwrap());
            assert_eq!(body(b"b"), None);
            assert!(store.document(shelf, "other", b"a").unwrap().is_none());

            let keys: [&[u8]; 4] = [b"p\xff1", b"p\xff2", b"p\xff3", b"q"];
            let writes: Vec<_> = keys.iter().map(|key| put(key, 0, "x")).collect();
            assert!(store.write_documents(&writes).unwrap());
            assert_eq!(listed(b"p\xff", None, false, &store, shelf), &keys[..3]);
            assert_eq!(listed(b"p\xff", Some(b"p\xff1"), false, &store, shelf), &keys[1..3]);
            assert_eq!(listed(b"p\xff", Some(b"p\xff2"), true, &store, shelf), [b"p\xff1"]);
            assert_eq!(listed(b"\xff", None, false, &store, shelf), [b""; 0]);
            assert_eq!(listed(b"", None, true, &store, shelf).len(), 5);
        }
    }

    // J: a row that was moved, or given another version, does not open.
    #[test]
    fn a_row_opens_in_its_place_alone() {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let store = runtime.block_on(Store::in_memory(Clock::System)).unwrap();
        let account = AccountId::parse("111111111111").unwrap();
        store.create_account_keys(&account).unwrap();
        let keys = store.create_repository_keys(&account, &[7; 16]).unwrap();
        for shelf in [Shelf::Repository(&keys), Shelf::Account(&account)] {
            let put = store.put_document(shelf, KIND, b"a".to_vec(), 0, b"text").unwrap();
            let changes: [fn(&mut DocumentRow); 3] =
                [|put| put.key = b"z".to_vec(), |put| put.kind = "other", |put| put.expected = 4];
            for change in changes {
                let Write::Document(mut moved) = put.clone() else { unreachable!() };
                change(&mut moved);
                if moved.expected == 4 {
                    let others: Vec<_> = (0..4)
                        .map(|version| store.put_document(shelf, KIND, b"a".to_vec(), version, b"").unwrap())
                        .collect();
                    others.iter().for_each(|put| assert!(store.write_documents(std::slice::from_ref(put)).unwrap()));
                }
                assert!(store.write_documents(&[Write::Document(moved.clone())]).unwrap());
                assert!(store.document(shelf, moved.kind, &moved.key).is_err());
            }
        }
    }
}
