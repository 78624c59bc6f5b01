//! What a tree has that its counterparts in the parents do not, for pack building: one walk over all of them at once.
//!
//! Works on one folder; the caller goes down into folders with the parents' folders of the same name, and so never opens what
//! a parent shares. May not do I/O, and allocates a few words for each parent.

use super::object::{ObjectError, TreeEntry, TreeIter};
use gix_hash::oid;

/// Calls `each` for every entry of `tree` whose object no parent has under the same name and as the same kind of entry, in
/// tree order. With it come, parent by parent, the objects of that name and kind there, `None` where there is none: what to go
/// down into with a folder, what to take as delta base for a file.
///
/// All trees have to be sorted as `fsck` wants them; if one is not, entries may be given that need not be, never too few. An
/// error is that of a malformed tree.
pub fn new_entries<'a>(
    parents: &[&'a [u8]],
    tree: &'a [u8],
    mut each: impl FnMut(&TreeEntry<'a>, &[Option<&'a oid>]),
) -> Result<(), ObjectError> {
    let mut sides = Vec::with_capacity(parents.len());
    for parent in parents {
        let mut entries = TreeIter::new(parent);
        let next = entries.next().transpose()?;
        sides.push((entries, next));
    }
    let mut same_name = vec![None; parents.len()];
    for entry in TreeIter::new(tree) {
        let entry = entry?;
        let mut is_new = true;
        for ((entries, next), found) in sides.iter_mut().zip(&mut same_name) {
            *found = None;
            while let Some(theirs) = next {
                match order(theirs, &entry) {
                    std::cmp::Ordering::Less => *next = entries.next().transpose()?,
                    std::cmp::Ordering::Equal => {
                        if theirs.kind() == entry.kind() {
                            *found = Some(theirs.oid);
                            is_new &= theirs.oid != entry.oid;
                        }
                        break;
                    }
                    std::cmp::Ordering::Greater => break,
                }
            }
        }
        if is_new {
            each(&entry, &same_name);
        }
    }
    Ok(())
}

/// The order of entries in a tree: by name, where a folder's ends in `/`.
#[inline]
fn order(a: &TreeEntry<'_>, b: &TreeEntry<'_>) -> std::cmp::Ordering {
    let n_common = a.name.len().min(b.name.len());
    let next_byte = |e: &TreeEntry<'_>| e.name.get(n_common).copied().unwrap_or(if e.is_tree() { b'/' } else { 0 });
    a.name[..n_common]
        .cmp(&b.name[..n_common])
        .then_with(|| next_byte(a).cmp(&next_byte(b)))
        .then_with(|| a.name.len().cmp(&b.name.len()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A sorted tree of `name`, or `name/` for a folder, each with one byte that stands for its object.
    fn tree(entries: &[(String, u8)]) -> Vec<u8> {
        let mut entries = entries.to_vec();
        entries.sort();
        entries.dedup_by(|a, b| a.0.trim_end_matches('/') == b.0.trim_end_matches('/'));
        let mut data = Vec::new();
        for (name, id) in entries {
            let mode = if name.ends_with('/') { "40000" } else { "100644" };
            data.extend(format!("{mode} {}\0", name.trim_end_matches('/')).bytes());
            data.extend([id; 20]);
        }
        data
    }

    fn check(parents: &[&[(&str, u8)]], new: &[(&str, u8)], expected: &[(&str, &[Option<u8>])]) {
        let owned =
            |entries: &[(&str, u8)]| tree(&entries.iter().map(|(n, id)| ((*n).to_owned(), *id)).collect::<Vec<_>>());
        let parents: Vec<Vec<u8>> = parents.iter().map(|parent| owned(parent)).collect();
        let parents: Vec<&[u8]> = parents.iter().map(Vec::as_slice).collect();
        let mut found = Vec::new();
        new_entries(&parents, &owned(new), |entry, ids| {
            let ids: Vec<_> = ids.iter().map(|id| id.map(oid::first_byte)).collect();
            found.push((String::from_utf8(entry.name.to_vec()).unwrap(), ids));
        })
        .unwrap();
        let expected: Vec<_> = expected.iter().map(|(name, ids)| ((*name).to_owned(), ids.to_vec())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn what_no_parent_has() {
        check(&[], &[("a", 1)], &[("a", &[])]);
        check(&[&[("a", 1)]], &[("a", 1)], &[]);
        check(&[&[("a", 1)], &[]], &[("a", 2), ("b", 3)], &[("a", &[Some(1), None]), ("b", &[None, None])]);
        check(&[&[("a", 1)], &[("a", 2)]], &[("a", 2)], &[]);
        check(&[&[("a", 1), ("a.c", 1)]], &[("a/", 1), ("a.c", 1)], &[("a", &[None])]);
        check(&[&[("a.c", 5), ("a/", 1), ("z", 9)]], &[("a/", 2), ("z", 9)], &[("a", &[Some(1)])]);
        assert!(new_entries(&[b"1"], b"", |_, _| ()).is_err());
    }

    proptest! {
        #[test]
        fn the_same_as_looking_each_name_up(
            parents in proptest::collection::vec(proptest::collection::vec(("[ab][.a]{0,2}/?", 0u8..3), 0..8), 0..3),
            new in proptest::collection::vec(("[ab][.a]{0,2}/?", 0u8..3), 0..8),
        ) {
            let parents: Vec<Vec<u8>> = parents.iter().map(|parent| tree(parent)).collect();
            let new = tree(&new);
            let parents: Vec<&[u8]> = parents.iter().map(Vec::as_slice).collect();
            let mut expected = Vec::new();
            for entry in TreeIter::new(&new).map(Result::unwrap) {
                let ids: Vec<_> = parents.iter().map(|parent| {
                    TreeIter::new(parent).map(Result::unwrap).find(|e| e.name == entry.name && e.mode == entry.mode).map(|e| e.oid)
                }).collect();
                if !ids.contains(&Some(entry.oid)) {
                    expected.push((entry, ids));
                }
            }
            let mut found = Vec::new();
            new_entries(&parents, &new, |entry, ids| found.push((*entry, ids.to_vec()))).unwrap();
            prop_assert_eq!(found, expected);
        }
    }
}
