//! Whether an object from outside is fit to be kept: Git's fsck rules, as strict as `git index-pack --strict`, in own code.
//!
//! [`Fsck`] sees each object of a push once, in any order, and collects a [`Report`]. Trees say which blobs are `.gitmodules` and
//! `.gitattributes`; blobs that came before their tree, or were here already, are asked for in [`Fsck::finish`]. [`message`] has
//! the table of what is refused. The module reads bytes given to it: it does no I/O, decides nothing about who may push what, and
//! does not check that what an object names exists (that is the walk's, with
//! [`for_each_link`](super::object::for_each_link)).
//!
//! To add a message: its line in `message.rs`, its rule in the file of its object kind, its case in `tests.rs`.

mod disguise;
mod gitmodules;
mod header;
mod message;
mod tree;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use gix_hash::oid;

pub use disguise::is_dotgit;
pub use message::{GitSeverity, MessageId, Severity, TOLERATED_IN_OLD_HISTORY};

use super::object::ObjectKind;
use crate::names::ObjectId;

/// Largest `.gitattributes` that Git reads, in bytes.
const GITATTRIBUTES_MAX_BYTES: usize = 100 << 20;

/// Longest line of a `.gitattributes` that Git reads, in bytes, its line feed not counted; one less than its limit.
const GITATTRIBUTES_MAX_LINE: usize = 2047;

/// How many findings a report keeps; of the others it has the number only, so that a hostile push cannot fill the memory.
const MAX_FINDINGS: usize = 100;

/// A rule that an object breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The object.
    pub object: ObjectId,
    /// What it is.
    pub kind: ObjectKind,
    /// Git's name for the rule.
    pub message: MessageId,
    /// What comes of it.
    pub severity: Severity,
    /// For people: safe for a terminal, no more than a few hundred characters.
    pub detail: Cow<'static, str>,
}

/// As shown to the pusher: `tree 1a2b…: contains '.git' (hasDotgit)`, with the whole id.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {} ({})", self.kind, self.object, self.detail, self.message)
    }
}

/// What the checks have found so far.
#[derive(Debug, Default)]
pub struct Report {
    findings: Vec<Finding>,
    n_errors: usize,
    n_unkept: usize,
}

impl Report {
    /// Whether an object was refused.
    pub fn is_refused(&self) -> bool {
        self.n_errors > 0
    }

    /// How many errors there are, those not kept included.
    pub fn n_errors(&self) -> usize {
        self.n_errors
    }

    /// The first hundred findings; once these are full, an error takes the place of a finding that is none.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// How many more there were.
    pub fn n_unkept(&self) -> usize {
        self.n_unkept
    }

    /// The first error, which stands for the reason of a refusal.
    pub fn first_error(&self) -> Option<&Finding> {
        self.findings.iter().find(|finding| finding.severity == Severity::Error)
    }

    #[cold]
    fn add(&mut self, finding: Finding) {
        if finding.severity == Severity::Error {
            self.n_errors += 1;
        }
        if self.findings.len() < MAX_FINDINGS {
            self.findings.push(finding);
            return;
        }
        self.n_unkept += 1;
        if finding.severity == Severity::Error
            && let Some(lesser) = self.findings.iter_mut().find(|kept| kept.severity < Severity::Error)
        {
            *lesser = finding;
        }
    }
}

/// What the caller has of an object that the checks ask for.
#[derive(Debug)]
pub enum Asked<'a> {
    /// Nothing of that id.
    Missing,
    /// An object larger than the caller reads at once.
    TooLarge,
    /// The object.
    Object(ObjectKind, Cow<'a, [u8]>),
}

/// The checks of one push or one repository. One for each thread, [joined](Fsck::absorb) before the end, is fine.
#[derive(Debug, Default)]
pub struct Fsck {
    report: Report,
    gitmodules: SpecialBlobs,
    gitattributes: SpecialBlobs,
    tolerated: &'static [MessageId],
    stack: tree::NameStack,
}

/// Blobs with a special name in some tree.
#[derive(Debug, Default)]
struct SpecialBlobs {
    found: HashSet<ObjectId>,
    done: HashSet<ObjectId>,
}

impl Fsck {
    /// For a push: no grace.
    pub fn new() -> Fsck {
        Fsck::default()
    }

    /// With errors that only warn here; meant for [`TOLERATED_IN_OLD_HISTORY`] at an import. What Git calls fatal is refused
    /// nevertheless.
    pub fn tolerating(tolerated: &'static [MessageId]) -> Fsck {
        Fsck { tolerated, ..Fsck::default() }
    }

    /// Checks an object: `data` are its raw bytes without header, `id` has been computed from them by the caller.
    pub fn check_object(&mut self, id: &oid, kind: ObjectKind, data: &[u8]) {
        match kind {
            ObjectKind::Blob => self.check_blob(id, Some(data)),
            ObjectKind::Tree => {
                let mut stack = std::mem::take(&mut self.stack);
                tree::check_tree(data, &mut stack, &mut TreeSink { fsck: self, tree: id });
                self.stack = stack;
            }
            ObjectKind::Commit => {
                header::check_commit(data, &mut |(message, detail)| self.add(id, kind, message, detail.into()))
            }
            ObjectKind::Tag => {
                header::check_tag(data, &mut |(message, detail)| self.add(id, kind, message, detail.into()))
            }
        }
    }

    /// For a blob whose bytes the caller does not hold at once: larger than any `.gitmodules` may be.
    pub fn check_large_blob(&mut self, id: &oid) {
        self.check_blob(id, None);
    }

    /// Checks the special blobs that have not come by, which `read` is asked for. Afterwards the report is complete. An error is
    /// that of `read`; what was found before it stays.
    pub fn finish<'a, E>(&mut self, mut read: impl FnMut(&oid) -> Result<Asked<'a>, E>) -> Result<(), E> {
        for (is_gitmodules, missing, no_blob) in [
            (true, MessageId::GitmodulesMissing, MessageId::GitmodulesBlob),
            (false, MessageId::GitattributesMissing, MessageId::GitattributesBlob),
        ] {
            let (name, special) =
                if is_gitmodules { (".gitmodules", &self.gitmodules) } else { (".gitattributes", &self.gitattributes) };
            // Sorted, so that the same push gets the same answer.
            let mut pending: Vec<ObjectId> = special.found.difference(&special.done).copied().collect();
            pending.sort_unstable();
            for id in pending {
                match read(&id)? {
                    Asked::Missing => {
                        self.add(&id, ObjectKind::Blob, missing, format!("unable to read {name} blob").into());
                    }
                    Asked::TooLarge => self.check_blob(&id, None),
                    Asked::Object(ObjectKind::Blob, data) => self.check_blob(&id, Some(&data)),
                    Asked::Object(kind, _) => self.add(&id, kind, no_blob, format!("non-blob found at {name}").into()),
                }
                let special = if is_gitmodules { &mut self.gitmodules } else { &mut self.gitattributes };
                special.done.insert(id);
            }
        }
        Ok(())
    }

    /// Takes over what another thread's checks found. Blobs that one saw and the other's trees name are asked for in `finish`.
    pub fn absorb(&mut self, other: Fsck) {
        let n_known = other.report.findings.iter().filter(|finding| finding.severity == Severity::Error).count();
        self.report.n_unkept += other.report.n_unkept;
        self.report.n_errors += other.report.n_errors - n_known;
        for finding in other.report.findings {
            self.report.add(finding);
        }
        for (ours, theirs) in [(&mut self.gitmodules, other.gitmodules), (&mut self.gitattributes, other.gitattributes)]
        {
            ours.found.extend(theirs.found);
            ours.done.extend(theirs.done);
        }
    }

    /// What was found so far.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// What was found.
    pub fn into_report(self) -> Report {
        self.report
    }

    #[inline]
    fn check_blob(&mut self, id: &oid, data: Option<&[u8]>) {
        // Blobs are most of a push, special ones are rare.
        if !self.gitmodules.found.is_empty() || !self.gitattributes.found.is_empty() {
            self.check_special_blob(id, data);
        }
    }

    fn check_special_blob(&mut self, id: &oid, data: Option<&[u8]>) {
        if self.gitmodules.found.contains(id) && self.gitmodules.done.insert(id.to_owned()) {
            match data {
                Some(data) if data.len() <= gitmodules::MAX_BYTES => {
                    gitmodules::check_gitmodules(data, &mut |message, detail| {
                        self.add(id, ObjectKind::Blob, message, detail.into());
                    });
                }
                _ => {
                    self.add(id, ObjectKind::Blob, MessageId::GitmodulesLarge, ".gitmodules too large to parse".into())
                }
            }
        }
        if self.gitattributes.found.contains(id) && self.gitattributes.done.insert(id.to_owned()) {
            match data {
                Some(data) if data.len() <= GITATTRIBUTES_MAX_BYTES => {
                    if has_long_line(data) {
                        let detail = ".gitattributes has too long lines to parse";
                        self.add(id, ObjectKind::Blob, MessageId::GitattributesLineLength, detail.into());
                    }
                }
                _ => {
                    self.add(
                        id,
                        ObjectKind::Blob,
                        MessageId::GitattributesLarge,
                        ".gitattributes too large to parse".into(),
                    );
                }
            }
        }
    }

    #[cold]
    fn add(&mut self, id: &oid, kind: ObjectKind, message: MessageId, detail: Cow<'static, str>) {
        let is_tolerated = self.tolerated.contains(&message) && message.git_severity() < GitSeverity::Fatal;
        let severity = if is_tolerated { message.severity().min(Severity::Warning) } else { message.severity() };
        self.report.add(Finding { object: id.to_owned(), kind, message, severity, detail });
    }
}

/// Whether a line is longer than Git reads.
fn has_long_line(data: &[u8]) -> bool {
    // Lines are found from the back of each window, so that short ones are skipped without being looked at.
    let mut rest = data;
    while rest.len() > GITATTRIBUTES_MAX_LINE {
        match memchr::memrchr(b'\n', &rest[..=GITATTRIBUTES_MAX_LINE]) {
            Some(end) => rest = &rest[end + 1..],
            None => return true,
        }
    }
    false
}

struct TreeSink<'a> {
    fsck: &'a mut Fsck,
    tree: &'a oid,
}

impl tree::TreeEvents for TreeSink<'_> {
    fn gitmodules(&mut self, id: &oid) {
        self.fsck.gitmodules.found.insert(id.to_owned());
    }

    fn gitattributes(&mut self, id: &oid) {
        self.fsck.gitattributes.found.insert(id.to_owned());
    }

    fn problem(&mut self, id: MessageId, detail: &'static str) {
        self.fsck.add(self.tree, ObjectKind::Tree, id, detail.into());
    }
}
