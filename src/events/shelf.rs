//! Where an account's buses and rules lie: documents of the account. A rule is found by digests of its bus and of its name, so that a bus
//! is listed by the prefix of its own. `event.version` counts every change, so that whoever routes knows when to read anew.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::bus::{ApiConnection, ApiDestination, Archive, Bus, NextTime, Replay, Rule};
use crate::names::AccountId;
use crate::store::Store;
use crate::store::documents::{Listing, Shelf, Write};
pub use crate::store::kept::{Kept, ShelfError};
use crate::store::kept::{body, read};

const VERSION: &str = "event.version";

type Result<T> = std::result::Result<T, ShelfError>;

/// What is kept for events under a name.
pub trait Named: Serialize + DeserializeOwned {
    /// Its kind of document.
    const KIND: &'static str;
    /// What is unique: the name, and for a rule the bus before it.
    fn names(&self) -> Vec<&str>;
}

macro_rules! named {
    ($($thing:ty = $kind:literal;)*) => {
        $(impl Named for $thing {
            const KIND: &'static str = $kind;
            fn names(&self) -> Vec<&str> {
                vec![&self.name]
            }
        })*
    };
}

named! {
    Bus = "event.bus";
    Archive = "event.archive";
    Replay = "event.replay";
    ApiConnection = "event.connection";
    ApiDestination = "event.destination";
}

impl Named for Rule {
    const KIND: &'static str = "event.rule";
    fn names(&self) -> Vec<&str> {
        vec![&self.bus, &self.name]
    }
}

impl Named for NextTime {
    const KIND: &'static str = "event.schedule";
    fn names(&self) -> Vec<&str> {
        vec![&self.bus, &self.name]
    }
}

/// The events of one account. All of it blocks.
#[derive(Clone, Copy)]
pub struct EventShelf<'a> {
    store: &'a Store,
    account: &'a AccountId,
}

impl<'a> EventShelf<'a> {
    /// Those of an account.
    pub fn new(store: &'a Store, account: &'a AccountId) -> EventShelf<'a> {
        EventShelf { store, account }
    }

    fn shelf(&self) -> Shelf<'a> {
        Shelf::Account(self.account)
    }

    fn key(&self, kind: &'static str, names: &[&str]) -> Vec<u8> {
        let of = |name: &&str| self.store.blind(kind, &[self.account.as_str().as_bytes(), name.as_bytes()]);
        names.iter().flat_map(of).collect()
    }

    /// What has that name; for a rule the bus's and its own.
    pub fn get<T: Named>(&self, names: &[&str]) -> Result<Option<Kept<T>>> {
        let found = self.store.document(self.shelf(), T::KIND, &self.key(T::KIND, names))?;
        found.map(|document| read(T::KIND, document)).transpose()
    }

    /// All of a kind, in the order of their names; of rules those of the bus that is named, or all.
    pub fn list<T: Named>(&self, names: &[&str]) -> Result<Vec<Kept<T>>> {
        let prefix = self.key(T::KIND, names);
        let listing = Listing { prefix: &prefix, limit: usize::MAX, ..Listing::default() };
        let found = self.store.documents(self.shelf(), T::KIND, &listing)?;
        let mut all: Vec<Kept<T>> = found.into_iter().map(|document| read(T::KIND, document)).collect::<Result<_>>()?;
        all.sort_by(|a, b| a.value.names().cmp(&b.value.names()));
        Ok(all)
    }

    /// A write of something over what was read.
    pub fn put<T: Named>(&self, kept: &Kept<T>) -> Result<Write> {
        let key = self.key(T::KIND, &kept.value.names());
        Ok(self.store.put_document(self.shelf(), T::KIND, key, kept.version, &body(T::KIND, &kept.value)?)?)
    }

    /// A write that takes away what was read.
    pub fn delete<T: Named>(&self, kept: &Kept<T>) -> Write {
        self.store.delete_document(self.shelf(), T::KIND, self.key(T::KIND, &kept.value.names()), kept.version)
    }

    /// Counts the changes of all this: another number means that something changed.
    pub fn version(&self) -> Result<i64> {
        Ok(self.store.document(self.shelf(), VERSION, b"all")?.map_or(0, |document| document.version))
    }

    /// A write that counts one more change: of two at the same time one is made.
    pub fn change(&self, version: i64) -> Result<Write> {
        Ok(self.store.put_document(self.shelf(), VERSION, b"all".to_vec(), version, b"null")?)
    }
}
