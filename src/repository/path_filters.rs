//! Changed-path filters: for each commit the paths that differ from its first parent's, as a Bloom filter, so that the history of one
//! path passes over the commits that did not touch it without reading a tree. The idea is that of Git's commit-graph files
//! (`gitformat-commit-graph`, "Bloom Filter Data"); the form is our own.
//!
//! Derived, and never needed: made in the background some commits at a time, kept as sealed documents, and where a commit has none its
//! trees are read. A filter may say that a path changed where it did not, never the other way round.

use super::commit_graph::{CommitGraph, Node};
use super::handle::{Repository, RepositoryError};
use super::object::{EntryKind, TreeEntry, TreeIter};
use super::pack::oid_hash::{IdMap, RawId, raw};
use super::pack::read::ObjectReader;
use super::snapshot::Snapshot;
use crate::store::documents::{Listing, Shelf};

/// The kind of documents that hold filters.
const KIND: &str = "path-filters";
/// Bits for each path, and how many of them it sets: one path in a hundred is taken for another.
const BITS_PER_PATH: usize = 10;
const N_BITS: u64 = 7;
/// With more paths than this a commit has no filter.
const MAX_PATHS: usize = 512;
/// Stands for the length of a filter that is none.
const NO_FILTER: u16 = u16::MAX;
/// How many commits get filters at a time.
const CHUNK: usize = 8192;
/// So many commits without filters are worth the making.
const WORTH: usize = 256;
/// A history of fewer commits than this is read faster than it is told.
const MIN_COMMITS: usize = 2048;
/// Memory for trees that are read again.
const CACHE_BYTES: u64 = 64 << 20;

/// A path as filters ask for it.
#[derive(Debug, Clone, Copy)]
pub struct PathKey(u64, u64);

impl PathKey {
    /// Of a path without slashes at its ends.
    pub fn of(path: &[u8]) -> PathKey {
        // FNV-1a, then the end of MurmurHash3, twice: stable for what is stored, and nothing depends on who chose the path.
        let mut hash = 0xcbf2_9ce4_8422_2325u64;
        for byte in path {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        let mix = |mut x: u64| {
            x = (x ^ (x >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
            x = (x ^ (x >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
            x ^ (x >> 33)
        };
        PathKey(mix(hash), mix(hash ^ 0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn bits(self, n_bytes: usize) -> impl Iterator<Item = usize> {
        let n = (n_bytes * 8) as u64;
        (0..N_BITS).map(move |i| (self.0.wrapping_add(i.wrapping_mul(self.1)) % n) as usize)
    }
}

/// The filters of commits, as far as they are made.
#[derive(Debug, Clone, Default)]
pub struct PathFilters {
    by_id: IdMap<(u32, u16)>,
    bytes: Vec<u8>,
    n_documents: u32,
    is_loaded: bool,
}

impl PathFilters {
    /// How many commits have been looked at.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether no commit has been looked at.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// Whether it is known that a commit has at a path what its first parent has.
    pub fn is_unchanged(&self, commit: &RawId, path: PathKey) -> bool {
        let Some((at, len)) = self.by_id.get(commit).filter(|(_, len)| *len != NO_FILTER) else { return false };
        let filter = &self.bytes[*at as usize..*at as usize + usize::from(*len)];
        filter.is_empty() || !path.bits(filter.len()).all(|bit| filter[bit / 8] & (1 << (bit % 8)) != 0)
    }

    fn add(&mut self, commit: RawId, filter: Option<&[u8]>) {
        let at = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        let entry = match filter.and_then(|filter| Some((u16::try_from(filter.len()).ok()?, filter))) {
            Some((len, filter)) if at != u32::MAX && len != NO_FILTER => {
                self.bytes.extend_from_slice(filter);
                (at, len)
            }
            _ => (0, NO_FILTER),
        };
        self.by_id.insert(commit, entry);
    }

    /// Takes in a document: an id, the filter's length in two bytes, the filter, and so on. What does not parse is passed over.
    fn take_in(&mut self, mut body: &[u8]) {
        while let Some((id, rest)) = body.split_first_chunk::<20>() {
            let Some((len, rest)) = rest.split_first_chunk::<2>() else { return };
            let len = u16::from_be_bytes(*len);
            let Ok(id) = RawId::try_from(&id[..]) else { return };
            if len == NO_FILTER {
                self.add(id, None);
                body = rest;
                continue;
            }
            let Some((filter, rest)) = rest.split_at_checked(usize::from(len)) else { return };
            self.add(id, Some(filter));
            body = rest;
        }
    }
}

/// The filter of some paths.
fn filter_of(paths: &[PathKey]) -> Vec<u8> {
    let mut filter = vec![0; (paths.len() * BITS_PER_PATH).div_ceil(8)];
    for path in paths {
        for bit in path.bits(filter.len()) {
            filter[bit / 8] |= 1 << (bit % 8);
        }
    }
    filter
}

impl Repository {
    /// Says that the history of a path is asked for; from then on filters are made where they are worth it.
    pub fn wants_path_filters(&self) {
        self.path_filters_wanted.store(true, std::sync::atomic::Ordering::Relaxed);
    }

    /// Whether filters should be made.
    pub fn are_path_filters_due(&self) -> bool {
        let n_commits = self.snapshot().graph_if_built().map_or(0, CommitGraph::len);
        self.path_filters_wanted.load(std::sync::atomic::Ordering::Relaxed)
            && n_commits >= MIN_COMMITS.max(self.path_filters.read().len() + WORTH)
    }

    /// The filters that there are, read from the store at the first question. Blocks.
    pub fn path_filters(&self) -> Result<std::sync::Arc<PathFilters>, RepositoryError> {
        let known = self.path_filters.read().clone();
        if known.is_loaded {
            return Ok(known);
        }
        let mut filters = PathFilters { is_loaded: true, ..PathFilters::default() };
        let shelf = Shelf::Repository(self.keys());
        let mut after: Option<Vec<u8>> = None;
        loop {
            let listing = Listing { prefix: b"", after: after.as_deref(), descending: false, limit: 16 };
            let page = self.store().documents(shelf, KIND, &listing)?;
            let Some(last) = page.last() else { break };
            after = Some(last.key.clone());
            for document in &page {
                filters.take_in(&document.body);
                filters.n_documents += 1;
            }
        }
        let filters = std::sync::Arc::new(filters);
        *self.path_filters.write() = filters.clone();
        Ok(filters)
    }

    /// Makes filters for some of the commits that have none; gives for how many. Blocks, for a second or so.
    pub fn make_path_filters(&self) -> Result<usize, RepositoryError> {
        let snapshot = self.snapshot();
        let (graph, known) = (snapshot.graph(), self.path_filters()?);
        let without = (0..graph.len() as Node).filter(|node| !known.by_id.contains_key(graph.id(*node)));
        let nodes: Vec<Node> = without.take(CHUNK).collect();
        if nodes.is_empty() {
            return Ok(0);
        }
        let mut reader = snapshot.objects.reader(CACHE_BYTES);
        let mut body = Vec::new();
        for node in &nodes {
            let paths = changed_keys(&snapshot, &mut reader, *node).map_err(RepositoryError::Io)?;
            body.extend_from_slice(graph.id(*node).as_ref());
            match paths {
                Some(paths) => {
                    let filter = filter_of(&paths);
                    body.extend_from_slice(&(filter.len() as u16).to_be_bytes());
                    body.extend_from_slice(&filter);
                }
                None => body.extend_from_slice(&NO_FILTER.to_be_bytes()),
            }
        }
        let shelf = Shelf::Repository(self.keys());
        let key = known.n_documents.to_be_bytes().to_vec();
        let write = self.store().put_document(shelf, KIND, key, 0, &body)?;
        if !self.store().write_documents(&[write])? {
            // Somebody else has made them: they are read with the next question.
            *self.path_filters.write() = std::sync::Arc::default();
            return Ok(0);
        }
        let mut filters = PathFilters::clone(&known);
        filters.take_in(&body);
        filters.n_documents += 1;
        *self.path_filters.write() = std::sync::Arc::new(filters);
        Ok(nodes.len())
    }
}

/// The paths at which a commit differs from its first parent, folders included; none if they are too many, or there is no such parent.
fn changed_keys(
    snapshot: &Snapshot,
    reader: &mut ObjectReader<'_>,
    node: Node,
) -> std::io::Result<Option<Vec<PathKey>>> {
    let graph = snapshot.graph();
    let Some(parent) = graph.parents(node).first().filter(|_| !graph.lacks_parents(node)) else { return Ok(None) };
    let mut found = Vec::new();
    let mut pending = vec![(Vec::new(), Some(*graph.tree(*parent)), Some(*graph.tree(node)))];
    while let Some((path, before, after)) = pending.pop() {
        if before == after {
            continue;
        }
        let mut read = |id: Option<RawId>| match id {
            None => Ok(std::sync::Arc::from(&b""[..])),
            Some(id) => match snapshot.objects.find_stored(&id) {
                Some(place) => reader.read(place),
                None => Err(std::io::Error::other("a tree is missing")),
            },
        };
        let (before, after) = (read(before)?, read(after)?);
        let mut is_over = false;
        differing(&before, &after, &mut |was, now| {
            let Some(name) = was.as_ref().or(now.as_ref()).map(|entry| entry.name) else { return };
            let mut below = path.clone();
            if !below.is_empty() {
                below.push(b'/');
            }
            below.extend_from_slice(name);
            found.push(PathKey::of(&below));
            is_over |= found.len() > MAX_PATHS;
            let folder = |entry: Option<TreeEntry<'_>>| {
                entry.filter(|entry| entry.kind() == EntryKind::Tree).map(|entry| raw(entry.oid))
            };
            let (was, now) = (folder(was), folder(now));
            if (was.is_some() || now.is_some()) && !is_over {
                pending.push((below, was, now));
            }
        })?;
        if is_over {
            return Ok(None);
        }
    }
    Ok(Some(found))
}

/// The entries that differ between two trees, which are sorted as Git has them.
fn differing<'a>(
    before: &'a [u8],
    after: &'a [u8],
    each: &mut dyn FnMut(Option<TreeEntry<'a>>, Option<TreeEntry<'a>>),
) -> std::io::Result<()> {
    let mut sides = [TreeIter::new(before), TreeIter::new(after)];
    let mut next = |i: usize| sides[i].next().transpose().map_err(std::io::Error::other);
    let (mut was, mut now) = (next(0)?, next(1)?);
    loop {
        let order = match (&was, &now) {
            (None, None) => return Ok(()),
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some(was), Some(now)) => sort_key(was).cmp(sort_key(now)),
        };
        match order {
            std::cmp::Ordering::Less => {
                each(was.take(), None);
                was = next(0)?;
            }
            std::cmp::Ordering::Greater => {
                each(None, now.take());
                now = next(1)?;
            }
            std::cmp::Ordering::Equal => {
                let is_same =
                    was.as_ref().zip(now.as_ref()).is_some_and(|(was, now)| was.oid == now.oid && was.mode == now.mode);
                if !is_same {
                    each(was.take(), now.take());
                }
                (was, now) = (next(0)?, next(1)?);
            }
        }
    }
}

/// A folder's name sorts as if a slash followed.
fn sort_key<'a>(entry: &TreeEntry<'a>) -> impl Iterator<Item = u8> + use<'a> {
    let slash = (entry.kind() == EntryKind::Tree).then_some(b'/');
    entry.name.iter().copied().chain(slash)
}
