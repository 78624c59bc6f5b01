//! What a tree may hold: one pass over the entries, no allocation unless names collide in the one intricate way.

use gix_hash::oid;

use super::disguise::{self, GITATTRIBUTES, GITIGNORE, GITMODULES, MAILMAP};
use super::message::MessageId;
use crate::repository::object::{EMPTY_NAME, EntryKind, ObjectError, TreeEntry, TreeIter};

/// What the check of one tree tells its caller, as it goes.
pub(super) trait TreeEvents {
    /// This object is the folder's `.gitmodules`.
    fn gitmodules(&mut self, id: &oid);
    /// This object is the folder's `.gitattributes`.
    fn gitattributes(&mut self, id: &oid);
    /// The tree breaks a rule; at most once for each rule and tree.
    fn problem(&mut self, id: MessageId, detail: &'static str);
}

/// Longest name that a tree entry may have, in bytes; Git's `core.maxtreeentrylen`.
const MAX_NAME_BYTES: usize = 4096;

/// Where names that might come again as a folder stand in the tree: offset and length. Kept by the caller, so that its memory
/// is used again.
pub(super) type NameStack = Vec<(usize, usize)>;

/// Checks the raw bytes of a tree.
pub(super) fn check_tree(data: &[u8], stack: &mut NameStack, events: &mut impl TreeEvents) {
    stack.clear();
    let mut broken = Broken::default();
    let mut entries = TreeIter::new(data);
    let mut before: Option<(TreeEntry<'_>, usize)> = None;
    loop {
        let at = entries.offset();
        let entry = match entries.next() {
            None => break,
            Some(Ok(entry)) => entry,
            Some(Err(ObjectError::Tree { rule: EMPTY_NAME, .. })) => {
                broken.set(Rule::EmptyName);
                break;
            }
            Some(Err(_)) => {
                events.problem(MessageId::BadTree, "cannot be parsed as a tree");
                break;
            }
        };
        let name = entry.name;
        let name_at = at + entry.mode_bytes.len() + 1;

        match entry.mode {
            0o100644 | 0o40000 | 0o100755 | 0o120000 | 0o160000 => {}
            mode if is_known_type(mode) => broken.set(Rule::BadMode),
            _ => broken.set(Rule::UnknownMode),
        }
        if entry.mode_bytes[0] == b'0' {
            broken.set(Rule::ZeroPad);
        }
        if entry.oid.first_byte() == 0 && entry.oid.is_null() {
            broken.set(Rule::NullId);
        }
        if name.len() > MAX_NAME_BYTES {
            broken.set(Rule::LargeName);
        }
        let mut classes = 0;
        for b in name {
            classes |= CLASS[usize::from(*b)];
        }
        // Nearly every name stops here: every disguise has a dot in front or one of these characters somewhere.
        if classes != 0 || name[0] == b'.' {
            check_odd_name(&entry, classes, &mut broken, events);
        }
        if let Some((previous, previous_at)) = before {
            match order(data, &previous, previous_at, &entry, stack) {
                Order::Right => {}
                Order::Wrong => broken.set(Rule::Unsorted),
                Order::Same => broken.set(Rule::Duplicate),
            }
        }
        before = Some((entry, name_at));
    }
    if broken.0 != 0 {
        broken.report(events);
    }
}

fn is_known_type(mode: u32) -> bool {
    mode <= 0o177777 && matches!(mode & 0o170000, 0o040000 | 0o100000 | 0o120000 | 0o160000)
}

const SLASH: u8 = 1;
const BACKSLASH: u8 = 2;
const TILDE: u8 = 4;
const NOT_ASCII: u8 = 8;

/// What a byte makes one look for.
const CLASS: [u8; 256] = {
    let mut table = [0; 256];
    table[b'/' as usize] = SLASH;
    table[b'\\' as usize] = BACKSLASH;
    table[b'~' as usize] = TILDE;
    let mut b = 128;
    while b < 256 {
        table[b] = NOT_ASCII;
        b += 1;
    }
    table
};

/// Names with a leading dot, a separator, a `~` or bytes beyond ASCII (attack checklist A6, A7).
#[inline(never)]
fn check_odd_name(entry: &TreeEntry<'_>, classes: u8, broken: &mut Broken, events: &mut impl TreeEvents) {
    let name = entry.name;
    if classes & SLASH != 0 {
        broken.set(Rule::FullPath);
    }
    match name {
        b"." => broken.set(Rule::Dot),
        b".." => broken.set(Rule::DotDot),
        _ => {}
    }
    if disguise::is_dotgit(name) {
        broken.set(Rule::DotGit);
    }
    let is_link = entry.kind() == EntryKind::Link;
    if GITMODULES.is_meant_by(name) {
        if is_link {
            broken.set(Rule::GitmodulesLink);
        } else {
            events.gitmodules(entry.oid);
        }
    }
    if GITATTRIBUTES.is_meant_by(name) {
        if is_link {
            broken.set(Rule::GitattributesLink);
        } else {
            events.gitattributes(entry.oid);
        }
    }
    if is_link && GITIGNORE.is_meant_by(name) {
        broken.set(Rule::GitignoreLink);
    }
    if is_link && MAILMAP.is_meant_by(name) {
        broken.set(Rule::MailmapLink);
    }
    if classes & BACKSLASH != 0 {
        // To Windows, each part is a name.
        for at in memchr::memchr_iter(b'\\', name) {
            let part = &name[at + 1..];
            if disguise::is_ntfs_dotgit(part) {
                broken.set(Rule::DotGit);
            }
            if GITMODULES.is_meant_on_ntfs_by(part) {
                if is_link {
                    broken.set(Rule::GitmodulesLink);
                } else {
                    events.gitmodules(entry.oid);
                }
            }
        }
    }
}

enum Order {
    Right,
    Wrong,
    Same,
}

/// Whether `entry` may follow `previous`. Folders sort as if their names ended in `/`, so that one name can stand twice with others
/// in between: `foo`, `foo.bar`, `foo/`. Files that such a folder could still follow wait on the stack.
#[inline]
fn order(
    data: &[u8],
    previous: &TreeEntry<'_>,
    previous_at: usize,
    entry: &TreeEntry<'_>,
    stack: &mut NameStack,
) -> Order {
    let n_common = previous.name.len().min(entry.name.len());
    match previous.name[..n_common].cmp(&entry.name[..n_common]) {
        std::cmp::Ordering::Less => return Order::Right,
        std::cmp::Ordering::Greater => return Order::Wrong,
        std::cmp::Ordering::Equal => {}
    }
    if previous.name.len() == entry.name.len() {
        return Order::Same;
    }
    let next_byte = |e: &TreeEntry<'_>| e.name.get(n_common).copied().unwrap_or(if e.is_tree() { b'/' } else { 0 });
    let (c1, c2) = (next_byte(previous), next_byte(entry));
    let before_slash = |c: u8| c != 0 && c < b'/';
    if c1 == 0 && before_slash(c2) {
        stack.push((previous_at, previous.name.len()));
    } else if c2 == b'/' && before_slash(c1) {
        while let Some((at, len)) = stack.pop() {
            let Some(rest) = entry.name.strip_prefix(&data[at..at + len]) else {
                continue;
            };
            match rest.first() {
                None => return Order::Same,
                Some(c) if before_slash(*c) => {
                    stack.push((at, len));
                    break;
                }
                Some(_) => {}
            }
        }
    }
    if c1 < c2 { Order::Right } else { Order::Wrong }
}

/// The rules that one tree breaks, each told once.
#[derive(Default)]
struct Broken(u32);

impl Broken {
    #[inline]
    fn set(&mut self, rule: Rule) {
        self.0 |= 1 << rule as u32;
    }

    #[cold]
    fn report(&self, events: &mut impl TreeEvents) {
        for (rule, id, detail) in RULES {
            if self.0 & 1 << *rule as u32 != 0 {
                events.problem(*id, detail);
            }
        }
    }
}

#[derive(Clone, Copy)]
enum Rule {
    NullId,
    FullPath,
    EmptyName,
    Dot,
    DotDot,
    DotGit,
    ZeroPad,
    BadMode,
    UnknownMode,
    Duplicate,
    Unsorted,
    LargeName,
    GitmodulesLink,
    GitattributesLink,
    GitignoreLink,
    MailmapLink,
}

const RULES: &[(Rule, MessageId, &str)] = &[
    (Rule::NullId, MessageId::NullSha1, "contains entries pointing to null sha1"),
    (Rule::FullPath, MessageId::FullPathname, "contains full pathnames"),
    (Rule::EmptyName, MessageId::EmptyName, "contains empty pathname"),
    (Rule::Dot, MessageId::HasDot, "contains '.'"),
    (Rule::DotDot, MessageId::HasDotdot, "contains '..'"),
    (Rule::DotGit, MessageId::HasDotgit, "contains '.git'"),
    (Rule::ZeroPad, MessageId::ZeroPaddedFilemode, "contains zero-padded file modes"),
    (Rule::BadMode, MessageId::BadFilemode, "contains bad file modes"),
    (Rule::UnknownMode, MessageId::BadTree, "contains a file mode that is no file's, link's, folder's or submodule's"),
    (Rule::Duplicate, MessageId::DuplicateEntries, "contains duplicate file entries"),
    (Rule::Unsorted, MessageId::TreeNotSorted, "not properly sorted"),
    (Rule::LargeName, MessageId::LargePathname, "contains excessively large pathname"),
    (Rule::GitmodulesLink, MessageId::GitmodulesSymlink, ".gitmodules is a symbolic link"),
    (Rule::GitattributesLink, MessageId::GitattributesSymlink, ".gitattributes is a symlink"),
    (Rule::GitignoreLink, MessageId::GitignoreSymlink, ".gitignore is a symlink"),
    (Rule::MailmapLink, MessageId::MailmapSymlink, ".mailmap is a symlink"),
];
