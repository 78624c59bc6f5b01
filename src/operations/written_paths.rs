//! Deciding about the paths that a change of a ref writes: `codecommit:WritePath`, asked once for each class of paths that the
//! rules cannot tell apart.
//!
//! What is compared: the ref's old tree with its new one, also where history is rewritten. A ref that is created has no old
//! tree; it is compared with the nearest commit that some ref reaches already, whose paths were decided when they came.
//! Rules that look at the ref are not content with that, or a protected branch could be created on top of what an unprotected
//! one was allowed to hold: for them a created ref is compared with what the default branch has.

use super::OpContext;
use super::authority::{decide_path, principal_facts, repository_facts, session_policy};
use crate::identity::{Directory, RepositoryRecord};
use crate::names::{ObjectId, RefName, escape_for_people};
use crate::policy::{CompiledPolicies, Decision, PathRules};
use crate::repository::changed_paths::{ChangedPathsError, changed_paths};
use crate::repository::pack::oid_hash::RawId;
use crate::repository::ref_change::Proposed;

/// Most paths of one change that are looked at.
const MAX_PATHS: usize = 500_000;

/// Most classes of paths of one change that are decided.
const MAX_CLASSES: usize = 10_000;

/// Why a change may not be made for the paths it writes.
pub enum PathRefusal {
    /// Policies forbid a path.
    Forbidden {
        /// The first path that is forbidden, fit for people.
        path: String,
        /// How many are.
        n_paths: usize,
        /// Why it is.
        decision: Box<Decision>,
    },
    /// The change is larger than what is decided.
    OverLimit(String),
}

/// The rules about paths that one principal meets in one repository.
pub struct PathAuthority<'a> {
    policies: &'a CompiledPolicies,
    directory: &'a Directory,
    ctx: &'a OpContext,
    record: &'a RepositoryRecord,
    rules: PathRules,
}

impl<'a> PathAuthority<'a> {
    /// Gathers the rules.
    pub fn new(
        policies: &'a CompiledPolicies,
        directory: &'a Directory,
        ctx: &'a OpContext,
        record: &'a RepositoryRecord,
    ) -> PathAuthority<'a> {
        let session = session_policy(&ctx.principal);
        let principal = principal_facts(directory, &ctx.principal);
        let rules = policies.path_rules(&principal, &repository_facts(record), session.as_deref());
        PathAuthority { policies, directory, ctx, record, rules }
    }

    /// Whether the change of `name` from `old` to `new`, tags followed, may be made for the paths that it writes. `head` is
    /// where the default branch stands.
    pub fn check(
        &self,
        proposed: &Proposed<'_>,
        name: &RefName,
        old: Option<&ObjectId>,
        new: &ObjectId,
        head: Option<&ObjectId>,
        now_ms: i64,
    ) -> Result<Option<PathRefusal>, ChangedPathsError> {
        if self.rules.is_empty() {
            return Ok(None);
        }
        // Something that is neither commit nor tree writes no path.
        let Some(new_tree) = proposed.tree_of(new) else { return Ok(None) };
        let decide = |base: Option<RawId>, only_about_refs: bool| {
            self.decide(proposed, name, base.as_ref(), &new_tree, only_about_refs, now_ms)
        };
        match old {
            Some(old) => decide(proposed.tree_of(old), false),
            None => {
                if let Some(refusal) = decide(proposed.nearest_served(new), false)? {
                    return Ok(Some(refusal));
                }
                if !self.rules.look_at_refs() {
                    return Ok(None);
                }
                decide(head.and_then(|head| proposed.nearest_shared(new, head)), true)
            }
        }
    }

    /// Decides the paths at which two trees differ. If `only_about_refs`, refusals of rules that do not look at the ref are
    /// passed over.
    fn decide(
        &self,
        proposed: &Proposed<'_>,
        name: &RefName,
        old: Option<&RawId>,
        new: &RawId,
        only_about_refs: bool,
        now_ms: i64,
    ) -> Result<Option<PathRefusal>, ChangedPathsError> {
        let paths = match changed_paths(proposed.objects(), old, Some(new), MAX_PATHS) {
            Ok(paths) => paths,
            Err(ChangedPathsError::Io(error)) => return Err(error.into()),
            Err(over) => return Ok(Some(PathRefusal::OverLimit(format!("{over}; push it in parts")))),
        };
        let classes = self.rules.classes(&paths);
        if classes.len() > MAX_CLASSES {
            let why = format!("its paths are of more than {MAX_CLASSES} kinds for the policies; push it in parts");
            return Ok(Some(PathRefusal::OverLimit(why)));
        }
        let mut refusal: Option<(&[u8], usize, Decision)> = None;
        for (path, n_paths) in classes {
            let decision = decide_path(self.policies, self.directory, self.ctx, self.record, name, path, now_ms);
            let counts = !decision.allowed
                && (!only_about_refs
                    || decision.determining.is_empty()
                    || decision.determining.iter().any(|policy| self.rules.looks_at_ref(&policy.id)));
            match &mut refusal {
                _ if !counts => {}
                Some((_, n_more, _)) => *n_more += n_paths,
                None => refusal = Some((path, n_paths, decision)),
            }
        }
        Ok(refusal.map(|(path, n_paths, decision)| PathRefusal::Forbidden {
            path: escape_for_people(path, 200),
            n_paths,
            decision: Box::new(decision),
        }))
    }
}
