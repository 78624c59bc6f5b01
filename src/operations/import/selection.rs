//! Which refs of a source are imported, and which branch HEAD names.

use crate::names::{ObjectId, RefName, escape_for_people};

/// Refs as a source has them, nothing checked.
#[derive(Debug, Default)]
pub(super) struct SourceRefs {
    /// Full names, without HEAD.
    pub refs: Vec<(Vec<u8>, ObjectId)>,
    /// What HEAD names, where that is known.
    pub head_target: Option<Vec<u8>>,
    /// What HEAD resolves to, where that is known.
    pub head_id: Option<ObjectId>,
    /// What was left out already: the name, escaped, and why.
    pub skipped: Vec<(String, String)>,
}

/// What will be imported.
#[derive(Debug)]
pub(super) struct Selection {
    /// The refs to make.
    pub refs: Vec<(RefName, ObjectId)>,
    /// The branch for HEAD; none where the source does not tell.
    pub head: Option<RefName>,
    /// What is left out: the name, escaped, and why.
    pub skipped: Vec<(String, String)>,
}

/// Namespaces that are this server's own; upstream's are ignored (attack checklist F4).
const SERVER_ONLY: [(&[u8], &str); 4] = [
    (b"refs/pull/", "pull requests are made here, not imported"),
    (b"refs/reviews/", "reviews are made here, not imported"),
    (b"refs/internal/", "this part is the server's own"),
    (b"refs/remotes/", "it is the source's note of yet another repository"),
];

impl Selection {
    /// Chooses.
    pub(super) fn of(source: SourceRefs) -> Selection {
        let mut selection = Selection { refs: Vec::new(), head: None, skipped: source.skipped };
        for (name, id) in source.refs {
            let refused = SERVER_ONLY.iter().find(|(prefix, _)| name.starts_with(prefix));
            match (refused, RefName::parse(&name)) {
                (Some((_, reason)), _) => selection.skip(&name, reason),
                (None, Err(error)) => selection.skip(&name, &error.to_string()),
                (None, Ok(_)) if id.is_null() => selection.skip(&name, "it points at nothing"),
                (None, Ok(name)) => selection.refs.push((name, id)),
            }
        }
        let is_branch = |name: &RefName| name.as_bytes().starts_with(b"refs/heads/");
        let named = source.head_target.and_then(|target| RefName::parse(&target).ok()).filter(is_branch);
        selection.head = named.or_else(|| {
            // A server that only says where HEAD is: the branch there, by habit if there are several.
            let id = source.head_id?;
            let mut there: Vec<&RefName> =
                selection.refs.iter().filter(|(name, at)| *at == id && is_branch(name)).map(|(name, _)| name).collect();
            there.sort_by_key(|name| match name.as_bytes() {
                b"refs/heads/main" => 0,
                b"refs/heads/master" => 1,
                _ => 2,
            });
            there.first().map(|name| (*name).clone())
        });
        selection
    }

    fn skip(&mut self, name: &[u8], reason: &str) {
        self.skipped.push((escape_for_people(name, 200), reason.to_string()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(byte: u8) -> ObjectId {
        ObjectId::from([byte; 20])
    }

    // F4
    #[test]
    fn refs_are_chosen_and_the_rest_is_listed() {
        let names: [&[u8]; 9] = [
            b"refs/heads/main",
            b"refs/tags/v1",
            b"refs/notes/commits",
            b"refs/pull/1/head",
            b"refs/reviews/1",
            b"refs/internal/x",
            b"refs/remotes/origin/main",
            b"refs/stash",
            b"refs/heads/-x\x1b",
        ];
        let refs = names.iter().map(|name| (name.to_vec(), id(1))).collect();
        let selection =
            Selection::of(SourceRefs { refs, head_target: Some(b"refs/heads/dev".to_vec()), ..Default::default() });
        let taken: Vec<&[u8]> = selection.refs.iter().map(|(name, _)| name.as_bytes()).collect();
        assert_eq!(taken, &names[..3]);
        let skipped: Vec<&str> = selection.skipped.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(skipped[..4], ["refs/pull/1/head", "refs/reviews/1", "refs/internal/x", "refs/remotes/origin/main"]);
        assert_eq!(skipped[4..], ["refs/stash", "refs/heads/-x\\u{1b}"]);
        assert_eq!(selection.head, Some(RefName::branch("dev").unwrap()));
    }

    #[test]
    fn head_without_a_name_is_found_by_its_id() {
        let refs = || {
            let names = ["refs/tags/a", "refs/heads/a", "refs/heads/master", "refs/heads/z"];
            names.iter().map(|name| (name.as_bytes().to_vec(), id(if name.ends_with('z') { 2 } else { 1 }))).collect()
        };
        let head = |at| Selection::of(SourceRefs { refs: refs(), head_id: Some(at), ..Default::default() }).head;
        assert_eq!(head(id(1)), Some(RefName::branch("master").unwrap()));
        assert_eq!(head(id(2)), Some(RefName::branch("z").unwrap()));
        assert_eq!(head(id(3)), None);
        // HEAD outside of branches is not taken over.
        let odd = SourceRefs { refs: refs(), head_target: Some(b"refs/tags/a".to_vec()), ..Default::default() };
        assert_eq!(Selection::of(odd).head, None);
    }
}
