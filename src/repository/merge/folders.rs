//! Where a side has put a file that the other side leaves no place for, and the library does not say so.
//!
//! Into a folder that the other has renamed: Git asks then, as long as `merge.directoryRenames` is not set (`git-merge`, "CONFLICT (file
//! location)"), for whether the new file belongs into the new folder nobody but people knows; the library moves it, or leaves it where it
//! was. And into a folder in whose place the other has put a file.

use std::collections::{BTreeMap, BTreeSet};

use gix_diff::tree::Recorder;
use gix_diff::tree::recorder::Change;
use gix_diff::tree_with_rewrites::{Change as Rewritten, ChangeRef};
use gix_object::{FindExt, TreeRefIter};

use super::{MergeError, Merger, failed};
use crate::names::ObjectId;

/// From where to where.
type Renamed = (Vec<u8>, Vec<u8>);

/// What a side did, without renames.
#[derive(Default)]
struct Changed {
    /// Files that it has and the base has not.
    added: BTreeSet<Vec<u8>>,
    /// Folders that the base has and it has not.
    gone: BTreeSet<Vec<u8>>,
    /// Files that are not as in the base, gone ones included.
    touched: BTreeSet<Vec<u8>>,
}

impl Merger<'_> {
    /// The paths at which one side has put a file into a folder that the other one has renamed, or made a file.
    pub(super) fn without_place(
        &self,
        base: &ObjectId,
        ours: &ObjectId,
        theirs: &ObjectId,
    ) -> Result<BTreeSet<Vec<u8>>, MergeError> {
        let (of_ours, of_theirs) = (self.changed(base, ours)?, self.changed(base, theirs)?);
        let mut out = BTreeSet::new();
        for (puts, renames, side) in [(&of_ours, &of_theirs, theirs), (&of_theirs, &of_ours, ours)] {
            // The folders in question, with what was put into them.
            let mut asked: BTreeMap<&[u8], Vec<&[u8]>> = BTreeMap::new();
            for path in &puts.added {
                for (at, _) in path.iter().enumerate().filter(|(_, byte)| **byte == b'/') {
                    if renames.added.contains(&path[..at]) {
                        out.extend([path.clone(), path[..at].to_vec()]);
                    }
                    if renames.gone.contains(&path[..at]) {
                        asked.entry(&path[..at]).or_default().push(path);
                    }
                }
            }
            if asked.is_empty() {
                continue;
            }
            for (from, to) in self.renamed(base, side)? {
                for (folder, paths) in &asked {
                    let is_below = |path: &[u8]| path.strip_prefix(*folder).is_some_and(|rest| rest.starts_with(b"/"));
                    if is_below(&from) && !is_below(&to) {
                        out.extend(paths.iter().map(|path| path.to_vec()));
                    }
                }
            }
        }
        Ok(out)
    }

    /// The files that both sides have touched; where there is none, those that either has.
    pub(super) fn touched_by_both(
        &self,
        base: &ObjectId,
        ours: &ObjectId,
        theirs: &ObjectId,
    ) -> Result<BTreeSet<Vec<u8>>, MergeError> {
        let (ours, theirs) = (self.changed(base, ours)?.touched, self.changed(base, theirs)?.touched);
        let both: BTreeSet<Vec<u8>> = ours.intersection(&theirs).cloned().collect();
        Ok(if both.is_empty() { ours.union(&theirs).cloned().collect() } else { both })
    }

    fn changed(&self, base: &ObjectId, side: &ObjectId) -> Result<Changed, MergeError> {
        let (mut before, mut after) = (Vec::new(), Vec::new());
        let before = self.tree(base, &mut before)?;
        let after = self.tree(side, &mut after)?;
        let mut recorder = Recorder::default();
        gix_diff::tree(before, after, gix_diff::tree::State::default(), self.objects, &mut recorder)
            .map_err(|error| failed(&error))?;
        let mut changed = Changed::default();
        for record in recorder.records {
            let (Change::Addition { entry_mode, path, .. }
            | Change::Deletion { entry_mode, path, .. }
            | Change::Modification { entry_mode, path, .. }) = &record;
            if !entry_mode.is_tree() {
                changed.touched.insert(path.to_vec());
            }
            match record {
                Change::Addition { entry_mode, path, .. } if !entry_mode.is_tree() => {
                    changed.added.insert(path.into());
                }
                Change::Deletion { entry_mode, path, .. } if entry_mode.is_tree() => {
                    changed.gone.insert(path.into());
                }
                // A file in a folder's place.
                Change::Modification { previous_entry_mode, entry_mode, path, .. }
                    if previous_entry_mode.is_tree() && !entry_mode.is_tree() =>
                {
                    changed.gone.insert(path.to_vec());
                    changed.added.insert(path.into());
                }
                _ => {}
            }
        }
        Ok(changed)
    }

    /// From where to where a side has renamed files.
    fn renamed(&self, base: &ObjectId, side: &ObjectId) -> Result<Vec<Renamed>, MergeError> {
        let (mut before, mut after) = (Vec::new(), Vec::new());
        let before = self.tree(base, &mut before)?;
        let after = self.tree(side, &mut after)?;
        let mut renamed = Vec::new();
        let each = |change: ChangeRef<'_>| {
            let change = change.into_owned();
            if let Rewritten::Rewrite { source_location, location, copy: false, entry_mode, .. } = change
                && !entry_mode.is_tree()
            {
                renamed.push((source_location.into(), location.into()));
            }
            Ok(std::ops::ControlFlow::Continue(()))
        };
        let options = gix_diff::tree_with_rewrites::Options {
            location: Some(gix_diff::tree::recorder::Location::Path),
            rewrites: Some(self.rewrites()),
        };
        gix_diff::tree_with_rewrites(
            before,
            after,
            &mut self.diff_cache(),
            &mut gix_diff::tree::State::default(),
            self.objects,
            each,
            options,
        )
        .map_err(|error| failed(&error))?;
        Ok(renamed)
    }

    fn tree<'b>(&self, id: &ObjectId, buffer: &'b mut Vec<u8>) -> Result<TreeRefIter<'b>, MergeError> {
        self.objects.find_tree_iter(id, buffer).map_err(|error| failed(&error))
    }
}
