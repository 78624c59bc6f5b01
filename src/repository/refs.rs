//! The refs of a repository at one generation: names in byte order, and what they point at.

use std::ops::Bound;

use super::log::RefChange;
use crate::names::{ObjectId, RefName};

/// What a ref points at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefValue {
    /// The object.
    pub id: ObjectId,
    /// Where the annotated tag leads, if it is one.
    pub peeled: Option<ObjectId>,
}

/// All refs, and the branch that HEAD names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refs {
    /// Shared between snapshots: a change copies the path to it, not the map.
    values: imbl::OrdMap<RefName, RefValue>,
    /// The branch that HEAD names; it need not exist (an unborn branch).
    pub head: RefName,
}

/// Why a set of changes cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RefConflict {
    /// The ref is not where the client believes it to be.
    #[error("`{name}` has changed meanwhile; fetch first")]
    Moved {
        /// Which ref.
        name: RefName,
    },
    /// `a/b` cannot be beside `a`.
    #[error("`{name}` cannot exist beside `{other}`")]
    FolderAndFile {
        /// The ref that was to be made.
        name: RefName,
        /// The one that is there.
        other: RefName,
    },
}

impl Refs {
    /// No refs.
    pub fn new(head: RefName) -> Refs {
        Refs { values: imbl::OrdMap::new(), head }
    }

    /// What a ref points at.
    pub fn get(&self, name: &RefName) -> Option<&RefValue> {
        self.values.get(name)
    }

    /// All refs in byte order.
    pub fn iter(&self) -> impl Iterator<Item = (&RefName, &RefValue)> {
        self.values.iter()
    }

    /// The refs whose names begin so, such as `refs/pull/`, in byte order.
    pub fn below(&self, prefix: &'static [u8]) -> impl Iterator<Item = (&RefName, &RefValue)> {
        let from = self.values.range::<_, [u8]>((Bound::Included(prefix), Bound::Unbounded));
        from.take_while(move |(name, _)| name.as_bytes().starts_with(prefix))
    }

    /// How many refs there are.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// What HEAD resolves to.
    pub fn head_id(&self) -> Option<ObjectId> {
        self.values.get(&self.head).map(|value| value.id)
    }

    /// Whether `change` can be made: the ref is where it is said to be, and no other ref is in the way.
    pub fn check(&self, change: &RefChange) -> Result<(), RefConflict> {
        let current = self.values.get(&change.name).map(|value| value.id);
        if current != change.old {
            return Err(RefConflict::Moved { name: change.name.clone() });
        }
        if change.new.is_some()
            && current.is_none()
            && let Some(other) = self.in_the_way(&change.name)
        {
            return Err(RefConflict::FolderAndFile { name: change.name.clone(), other });
        }
        Ok(())
    }

    /// Makes a change that was checked.
    pub fn apply(&mut self, change: &RefChange) {
        match change.new {
            Some(id) => {
                self.values.insert(change.name.clone(), RefValue { id, peeled: change.peeled });
            }
            None => {
                self.values.remove(&change.name);
            }
        }
    }

    /// Puts a ref where a stored state has it.
    pub(super) fn insert(&mut self, name: RefName, value: RefValue) {
        self.values.insert(name, value);
    }

    /// A ref that is a folder of `name`, or that `name` would be a folder of.
    fn in_the_way(&self, name: &RefName) -> Option<RefName> {
        let bytes = name.as_bytes();
        for (at, _) in bytes.iter().enumerate().filter(|(_, byte)| **byte == b'/') {
            if let Ok(folder) = RefName::parse(&bytes[..at])
                && self.values.contains_key(&folder)
            {
                return Some(folder);
            }
        }
        let mut below = bytes.to_vec();
        below.push(b'/');
        self.values
            .range::<_, RefName>((Bound::Excluded(name), Bound::Unbounded))
            .map(|(other, _)| other)
            // What sorts between `name` and `name/` shares the prefix, so the run is short in practice.
            .take_while(|other| other.as_bytes().starts_with(bytes))
            .find(|other| other.as_bytes().starts_with(&below))
            .cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> RefName {
        RefName::parse(name.as_bytes()).unwrap()
    }

    fn create(at: &str) -> RefChange {
        RefChange { name: name(at), old: None, new: Some(ObjectId::from([1; 20])), peeled: None }
    }

    #[test]
    fn what_lies_below() {
        let mut refs = Refs::new(name("refs/heads/main"));
        for at in ["refs/heads/z", "refs/pull/1/head", "refs/pull/+/x", "refs/pull-x/y", "refs/pullx/y", "refs/tags/a"]
        {
            refs.apply(&create(at));
        }
        let names: Vec<String> = refs.below(b"refs/pull/").map(|(name, _)| name.to_string()).collect();
        assert_eq!(names, ["refs/pull/+/x", "refs/pull/1/head"]);
        assert_eq!(refs.below(b"refs/notes/").count(), 0);
    }

    // B8
    #[test]
    fn folders_and_files_exclude_each_other() {
        let mut refs = Refs::new(name("refs/heads/main"));
        refs.apply(&create("refs/heads/a"));
        refs.apply(&create("refs/heads/b/c"));
        refs.apply(&create("refs/heads/b-x"));
        let in_the_way = |at: &str| matches!(refs.check(&create(at)), Err(RefConflict::FolderAndFile { .. }));
        assert!(in_the_way("refs/heads/a/x"));
        assert!(in_the_way("refs/heads/a/x/y"));
        assert!(in_the_way("refs/heads/b"));
        assert!(!in_the_way("refs/heads/b/d"));
        assert!(!in_the_way("refs/heads/ab"));
        assert!(matches!(refs.check(&create("refs/heads/a")), Err(RefConflict::Moved { .. })));
    }
}
