//! `git-upload-pack` and `git-upload-archive`: what a clone, a fetch and `git archive --remote` ask for.
//!
//! The caller has decided that this principal may read the repository; from here on everything is answered out of one
//! [`Snapshot`], and only what is served exists. A want that is not served is refused with the same words whether or not
//! the object is stored (attack checklist B1, B2).

use std::collections::HashSet;
use std::io::{self, BufWriter, Read, Write};
use std::sync::Arc;

use crate::names::{ObjectId, RefName};
use crate::operations::GitMode;
use crate::protocol::advertise::{AdvertisedRef, Head, Offer, RefAdvertisement, write_advertisement};
use crate::protocol::pkt_line::{PktReader, write_flush};
use crate::protocol::sideband::SidebandWriter;
use crate::protocol::upload_pack::{
    AckOutcome, Command, Deepen, Filter, Limits, Negotiation, NegotiationOutcome, ObjectType, PackRequest, ShallowInfo,
    fetch_response, negotiate_v0, negotiate_v2, v0, v2, write_ls_refs, write_object_info, write_shallow_lines,
};
use crate::protocol::{PeerError, ProtocolError, Service, Version, archive as archive_protocol, write_error};
use crate::repository::archive;
use crate::repository::commit_graph::{Node, NodeSet};
use crate::repository::handle::Repository;
use crate::repository::object::ObjectKind;
use crate::repository::objects::PlaceSet;
use crate::repository::pack::oid_hash::raw;
use crate::repository::pack::read::Place;
use crate::repository::pack::write::{WriteOptions, Written, write_pack};
use crate::repository::shallow::{self, Boundary, Depth};
use crate::repository::snapshot::Snapshot;
use crate::repository::walk::{ObjectFilter, Selection, Start, select};

/// Name and version as clients see them.
pub const AGENT: &str = concat!("lockgate/", env!("CARGO_PKG_VERSION"));

/// Bytes of a refused conversation that are read and thrown away.
const REFUSED_DRAIN_BYTES: u64 = 64 << 20;

/// What a fetch came to, for the log.
#[derive(Debug, Clone, Copy, Default)]
pub struct Served {
    /// The pack, if one was sent.
    pub pack: Option<Written>,
}

/// Why a fetch ended early.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    /// The client asked wrongly; it has been told.
    #[error("the client was refused")]
    Refused(#[from] PeerError),
    /// The connection or the store failed.
    #[error("the fetch broke off")]
    Io(#[from] io::Error),
}

impl From<ProtocolError> for PullError {
    fn from(error: ProtocolError) -> PullError {
        match error {
            ProtocolError::Peer(error) => PullError::Refused(error),
            ProtocolError::Io(error) => PullError::Io(error),
        }
    }
}

/// Brings refs up to date that are made when somebody asks for them; which ones a client asks for, the function that it is given says.
pub type Freshen<'a> = dyn Fn(&dyn Fn(&[u8]) -> bool) + 'a;

/// What is read.
pub struct View<'a> {
    /// The repository.
    pub repository: &'a Repository,
    /// As it stood then, and not as it stands.
    pub past: Option<Arc<Snapshot>>,
    /// Brings refs of the repository as it stands up to date.
    pub freshen: &'a Freshen<'a>,
}

impl View<'_> {
    fn snapshot(&self) -> Arc<Snapshot> {
        self.past.clone().unwrap_or_else(|| self.repository.snapshot())
    }

    /// The state of a conversation in which these refs are asked for.
    fn fresh_snapshot(&self, asks: &dyn Fn(&[u8]) -> bool) -> Arc<Snapshot> {
        if self.past.is_none() {
            (self.freshen)(asks);
        }
        self.snapshot()
    }
}

/// Answers one upload-pack conversation.
pub fn upload_pack(
    view: &View<'_>,
    version: Version,
    mode: GitMode,
    mut input: impl Read,
    output: impl Write,
) -> Result<Served, PullError> {
    let mut out = BufWriter::with_capacity(64 << 10, output);
    let result = converse(view, version, mode, &mut input, &mut out);
    if let Err(PullError::Refused(error)) = &result {
        write_error(&mut out, &error.message())?;
        out.flush()?;
        if mode == GitMode::Stateful {
            // The client may be writing still; closed now, it would show a broken pipe and not the reason.
            io::copy(&mut input.take(REFUSED_DRAIN_BYTES), &mut io::sink())?;
        }
    }
    out.flush()?;
    result
}

fn converse(
    view: &View<'_>,
    version: Version,
    mode: GitMode,
    input: impl Read,
    out: &mut impl Write,
) -> Result<Served, PullError> {
    let repository = view.repository;
    // Of version 2 the advertisement names no refs.
    let names_refs = mode != GitMode::StatelessRpc && version != Version::V2;
    let mut snapshot = if names_refs { view.fresh_snapshot(&|_| true) } else { view.snapshot() };
    let stateless = mode != GitMode::Stateful;
    let offer = Offer { agent: AGENT, stateless, filter: true, any_served_want: true, ..Offer::default() };
    if mode != GitMode::StatelessRpc {
        write_advertisement(out, Service::UploadPack, version, stateless, &offer, advertisement(&snapshot, |_| true))?;
        out.flush()?;
    }
    if mode == GitMode::Advertise {
        return Ok(Served::default());
    }
    let mut reader = PktReader::new(input);
    let limits = Limits::default();
    if version != Version::V2 {
        return fetch_v0(repository, &snapshot, &mut reader, out, stateless, &limits);
    }
    let mut served = Served::default();
    while let Some(request) = v2::read_command(&mut reader, &limits)? {
        match request.command {
            Command::LsRefs(request) => {
                snapshot = view.fresh_snapshot(&|name| request.asks_for(name));
                write_ls_refs(out, &request, advertisement(&snapshot, |name| request.asks_for(name)))?;
            }
            Command::ObjectInfo(request) => write_object_info(out, &request, |id| {
                let place = snapshot.objects.find(&raw(id))?;
                Some(snapshot.objects.size(place).into())
            })?,
            Command::Fetch(request) => {
                let settled = settled_for(repository, &snapshot, &request.pack.wants)?;
                let mut fetch = Fetch::new(settled.as_deref().unwrap_or(&snapshot), &request.pack)?;
                if let AckOutcome::SendPack = negotiate_v2(&request, &mut fetch, out)? {
                    let boundary = fetch.boundary()?;
                    let info = fetch.shallow_info(&boundary);
                    let wanted_refs: Vec<(Vec<u8>, ObjectId)> = fetch.wanted_refs.clone();
                    fetch_response::write_sections(out, &request.pack, &info, &wanted_refs)?;
                    served.pack = Some(fetch.send(&boundary, out)?);
                }
            }
        }
        out.flush()?;
    }
    Ok(served)
}

fn fetch_v0(
    repository: &Repository,
    snapshot: &Snapshot,
    reader: &mut PktReader<impl Read>,
    out: &mut impl Write,
    stateless: bool,
    limits: &Limits,
) -> Result<Served, PullError> {
    let Some(request) = v0::read_request(reader, limits)? else { return Ok(Served::default()) };
    let settled = settled_for(repository, snapshot, &request.pack.wants)?;
    let mut fetch = Fetch::new(settled.as_deref().unwrap_or(snapshot), &request.pack)?;
    let boundary = fetch.boundary()?;
    if request.pack.deepens() {
        write_shallow_lines(out, &fetch.shallow_info(&boundary))?;
        write_flush(out)?;
        out.flush()?;
    }
    let outcome = negotiate_v0(reader, out, request.ack_mode, request.no_done, stateless, limits, &mut fetch)?;
    let pack = match outcome {
        NegotiationOutcome::SendPack => Some(fetch.send(&boundary, out)?),
        NegotiationOutcome::AwaitNextRequest | NegotiationOutcome::PeerLeft => None,
    };
    Ok(Served { pack })
}

/// A newer snapshot with an exact served set, if a want is stored, not served, and the set not exact: after a ref was
/// deleted or rewound, what it may have shared with others is looked at when someone asks for it.
fn settled_for(
    repository: &Repository,
    snapshot: &Snapshot,
    wants: &[ObjectId],
) -> Result<Option<Arc<Snapshot>>, PullError> {
    let objects = &snapshot.objects;
    let is_doubtful = |id: &ObjectId| objects.find(&raw(id)).is_none() && objects.find_stored(&raw(id)).is_some();
    if snapshot.is_exact || !wants.iter().any(is_doubtful) {
        return Ok(None);
    }
    Ok(Some(repository.settle("lockgate").map_err(io::Error::other)?))
}

/// The refs for which `shows` holds, and HEAD.
pub fn advertisement<'a>(
    snapshot: &'a Snapshot,
    shows: impl Fn(&[u8]) -> bool + 'a,
) -> RefAdvertisement<impl Iterator<Item = AdvertisedRef> + 'a> {
    let head = shows(b"HEAD").then(|| Head { target: snapshot.refs.head.clone(), id: snapshot.refs.head_id() });
    let refs = snapshot
        .refs
        .iter()
        // What the server keeps for itself is fetched by who knows its id.
        .filter(move |(name, _)| shows(name.as_bytes()) && !name.as_bytes().starts_with(b"refs/lockgate/"))
        .map(|(name, value)| AdvertisedRef { name: name.clone(), id: value.id, peeled: value.peeled });
    RefAdvertisement { refs, head }
}

/// One fetch, from its request to its pack.
struct Fetch<'a> {
    snapshot: &'a Snapshot,
    request: &'a PackRequest,
    want_ids: Vec<ObjectId>,
    wants: Vec<Place>,
    /// Wanted commits, tags followed.
    want_commits: Vec<Node>,
    wanted_refs: Vec<(Vec<u8>, ObjectId)>,
    /// Where the client's history ends now.
    client_edges: HashSet<Node>,
    common: Vec<Node>,
    is_common: Option<NodeSet>,
    oldest_have: i64,
    has_haves: bool,
}

impl<'a> Fetch<'a> {
    /// Looks the wants up; what is not served does not exist.
    fn new(snapshot: &'a Snapshot, request: &'a PackRequest) -> Result<Fetch<'a>, PullError> {
        let mut want_ids = request.wants.clone();
        let mut wanted_refs = Vec::new();
        for name in &request.want_refs {
            let unknown = || PeerError::UnknownRef { name: crate::names::escape_for_people(name, 200) };
            let id = if name == b"HEAD" {
                snapshot.refs.head_id()
            } else {
                let name = RefName::parse(name).map_err(|_| unknown())?;
                snapshot.refs.get(&name).map(|value| value.id)
            };
            let id = id.ok_or_else(unknown)?;
            wanted_refs.push((name.clone(), id));
            want_ids.push(id);
        }
        let mut wants = Vec::with_capacity(want_ids.len());
        let mut want_commits = Vec::new();
        for id in &want_ids {
            let place = snapshot.objects.find(&raw(id)).ok_or(PeerError::NotOurRef { id: *id })?;
            wants.push(place);
            if matches!(snapshot.objects.kind(place), ObjectKind::Commit | ObjectKind::Tag)
                && let Some(node) = snapshot.commit(id)
            {
                want_commits.push(node);
            }
        }
        // What the client has and the server does not is no boundary here.
        let client_edges = request.shallow.iter().filter_map(|id| snapshot.commit(id)).collect();
        Ok(Fetch {
            snapshot,
            request,
            want_ids,
            wants,
            want_commits,
            wanted_refs,
            client_edges,
            common: Vec::new(),
            is_common: None,
            oldest_have: i64::MAX,
            has_haves: false,
        })
    }

    fn boundary(&self) -> Result<Boundary, PullError> {
        let depth = match &self.request.deepen {
            None => {
                return Ok(Boundary { edges: self.client_edges.clone(), ..Boundary::default() });
            }
            Some(Deepen::Depth(depth)) if self.request.deepen_relative => Depth::Beyond(*depth),
            Some(Deepen::Depth(depth)) => Depth::Commits(*depth),
            Some(Deepen::History { since, not }) => {
                let mut excluded = Vec::new();
                for name in not {
                    let id = self
                        .resolve(name)
                        .ok_or_else(|| PeerError::UnknownRef { name: crate::names::escape_for_people(name, 200) })?;
                    excluded.extend(self.snapshot.commit(&id));
                }
                let since = since.map(|since| i64::try_from(since).unwrap_or(i64::MAX));
                Depth::History { since, not: excluded }
            }
        };
        shallow::boundary(self.snapshot.graph(), &self.want_commits, &self.client_edges, &depth)
            .map_err(|_| PeerError::NothingSelected.into())
    }

    /// A ref as people abbreviate it: the rules of `git rev-parse` for names.
    fn resolve(&self, name: &[u8]) -> Option<ObjectId> {
        if name == b"HEAD" {
            return self.snapshot.refs.head_id();
        }
        for prefix in ["", "refs/", "refs/tags/", "refs/heads/"] {
            let full = [prefix.as_bytes(), name].concat();
            if let Ok(full) = RefName::parse(&full)
                && let Some(value) = self.snapshot.refs.get(&full)
            {
                return Some(value.id);
            }
        }
        None
    }

    fn shallow_info(&self, boundary: &Boundary) -> ShallowInfo {
        let graph = self.snapshot.graph();
        let ids = |nodes: &[Node]| nodes.iter().map(|node| ObjectId::from(*graph.id(*node))).collect();
        ShallowInfo { shallow: ids(&boundary.shallow), unshallow: ids(&boundary.unshallow) }
    }

    /// Selects and sends the pack.
    fn send(&self, boundary: &Boundary, out: &mut impl Write) -> Result<Written, PullError> {
        let mut out = SidebandWriter::new(out, self.request.sideband);
        match self.write_to(boundary, &mut out) {
            Ok(written) => {
                out.finish()?;
                Ok(written)
            }
            Err(error) => {
                // The reason is the server's; the client learns that it was not its own.
                let _ = out.fatal("the server could not make the pack; its log says why\n");
                Err(error.into())
            }
        }
    }

    fn write_to<W: Write>(&self, boundary: &Boundary, out: &mut SidebandWriter<W>) -> io::Result<Written> {
        let snapshot = self.snapshot;
        let talks = !self.request.no_progress;
        let filter = object_filter(self.request.filter.as_ref());
        let is_whole = filter.is_empty()
            && !self.has_haves
            && self.client_edges.is_empty()
            && boundary.edges.is_empty()
            && snapshot.wants_everything(&self.want_ids);
        if is_whole
            && self.request.ofs_delta
            && let Some((i, trailer)) = snapshot.whole_pack()
        {
            return self.stored_pack(i, trailer, talks, out);
        }
        let selection = if is_whole {
            let places = snapshot.all_served();
            Selection { known: snapshot.objects.place_set(), places }
        } else {
            self.select(boundary, &filter, talks, out)?
        };
        let n = selection.places.len();
        if talks {
            out.message(&format!("Enumerating objects: {n}, done.\n"))?;
        }
        let has = |place: Place| selection.known.contains(place);
        // A partial clone may lack what its commits reach, so nothing leans on that.
        let may_lean = self.request.thin_pack && filter.is_empty() && self.has_haves;
        let options =
            WriteOptions { ofs_delta: self.request.ofs_delta, thin_bases: if may_lean { Some(&has) } else { None } };
        let written = write_pack(&snapshot.objects, &selection.places, &options, out, &mut |_| Ok(()))?;
        if talks {
            out.message(&total(&written))?;
        }
        Ok(written)
    }

    fn select<W: Write>(
        &self,
        boundary: &Boundary,
        filter: &ObjectFilter,
        talks: bool,
        out: &mut SidebandWriter<W>,
    ) -> io::Result<Selection> {
        let snapshot = self.snapshot;
        let graph = snapshot.graph();
        let mut wants = self.wants.clone();
        // The parents of what is shallow no more are sent as if they had been asked for.
        for node in &boundary.unshallow {
            wants.extend(
                graph.parents(*node).iter().filter_map(|parent| snapshot.objects.find_stored(graph.id(*parent))),
            );
        }
        let start = Start {
            wants: &wants,
            haves: &self.common,
            new_edges: &|node| boundary.edges.contains(&node),
            old_edges: &|node| self.client_edges.contains(&node),
            filter,
        };
        let mut shown = 0;
        let mut selection = select(&snapshot.objects, graph, &start, &mut |n| {
            if talks && n >= shown + 50_000 {
                shown = n;
                out.message(&format!("Enumerating objects: {n}\r"))?;
            }
            Ok(())
        })?;
        if self.request.include_tag {
            self.add_tags(&mut selection.places)?;
        }
        Ok(selection)
    }

    /// Adds the annotated tags whose object is sent.
    fn add_tags(&self, places: &mut PlaceSet) -> io::Result<()> {
        let objects = &self.snapshot.objects;
        let mut reader = objects.reader(1 << 20);
        for (_, value) in self.snapshot.refs.iter() {
            let Some(peeled) = value.peeled else { continue };
            if !objects.find(&raw(&peeled)).is_some_and(|place| places.contains(place)) {
                continue;
            }
            let mut id = value.id;
            while let Some(place) = objects.find(&raw(&id)) {
                if objects.kind(place) != ObjectKind::Tag {
                    break;
                }
                places.insert(place);
                let data = reader.read(place)?;
                id = crate::repository::object::TagView::parse(&data).map_err(io::Error::other)?.target();
            }
        }
        Ok(())
    }

    /// Sends a pack as it is stored.
    fn stored_pack<W: Write>(
        &self,
        i: usize,
        trailer: [u8; 20],
        talks: bool,
        out: &mut SidebandWriter<W>,
    ) -> io::Result<Written> {
        let pack = &self.snapshot.objects.packs()[i];
        let n_objects = pack.index.len();
        if talks {
            out.message(&format!("Enumerating objects: {n_objects}, done.\n"))?;
        }
        let mut header = *b"PACK\0\0\0\x02\0\0\0\0";
        header[8..].copy_from_slice(&n_objects.to_be_bytes());
        out.write_all(&header)?;
        pack.bytes.stream(0..pack.index.end(), &mut |part| out.write_all(part))?;
        out.write_all(&trailer)?;
        let n_reused_deltas = self.snapshot.n_deltas(i);
        let written = Written { n_objects, n_reused_deltas, n_recompressed: 0, bytes: pack.index.end() + 32 };
        if talks {
            out.message(&total(&written))?;
        }
        Ok(written)
    }
}

impl Negotiation for Fetch<'_> {
    fn have(&mut self, id: &ObjectId) -> bool {
        self.has_haves = true;
        if self.snapshot.objects.find(&raw(id)).is_none() {
            return false;
        }
        if let Some(node) = self.snapshot.commit(id) {
            let graph = self.snapshot.graph();
            self.oldest_have = self.oldest_have.min(graph.time(node));
            self.is_common.get_or_insert_with(|| NodeSet::new(graph)).insert(node);
            self.common.push(node);
        }
        true
    }

    fn ready(&mut self) -> bool {
        match &self.is_common {
            Some(common) => self.snapshot.graph().all_reach(&self.want_commits, common, self.oldest_have),
            None => false,
        }
    }
}

fn total(written: &Written) -> String {
    let Written { n_objects, n_reused_deltas, n_recompressed, .. } = written;
    format!(
        "Total {n_objects} (delta {n_reused_deltas}), reused {} (delta {n_reused_deltas}), pack-reused 0\n",
        n_objects - n_recompressed
    )
}

fn object_filter(filter: Option<&Filter>) -> ObjectFilter {
    let mut out = ObjectFilter::default();
    if let Some(filter) = filter {
        narrow(&mut out, filter);
    }
    out
}

/// Leaves out what `filter` leaves out besides: combining means "left out by any".
fn narrow(out: &mut ObjectFilter, filter: &Filter) {
    let smaller = |old: Option<u64>, new: u64| Some(old.map_or(new, |old| old.min(new)));
    match filter {
        Filter::BlobNone => out.blob_limit = Some(0),
        Filter::BlobLimit(limit) => out.blob_limit = smaller(out.blob_limit, *limit),
        Filter::TreeDepth(depth) => out.tree_depth = smaller(out.tree_depth, *depth),
        Filter::ObjectType(kind) => {
            let kind = match kind {
                ObjectType::Commit => ObjectKind::Commit,
                ObjectType::Tree => ObjectKind::Tree,
                ObjectType::Blob => ObjectKind::Blob,
                ObjectType::Tag => ObjectKind::Tag,
            };
            if out.only.is_some_and(|only| only != kind) {
                out.nothing = true;
            }
            out.only = Some(kind);
        }
        Filter::Combine(filters) => filters.iter().for_each(|filter| narrow(out, filter)),
    }
}

/// Answers one `git archive --remote`.
pub fn upload_archive(snapshot: &Snapshot, input: impl Read, output: impl Write) -> Result<(), PullError> {
    let mut out = BufWriter::with_capacity(64 << 10, output);
    let mut reader = PktReader::new(input);
    let request = match archive_protocol::ArchiveRequest::read(&mut reader) {
        Ok(request) => request,
        Err(ProtocolError::Peer(error)) => {
            archive_protocol::refuse(&mut out, &error.message())?;
            out.flush()?;
            return Err(error.into());
        }
        Err(ProtocolError::Io(error)) => return Err(error.into()),
    };
    let request = match request {
        archive_protocol::ArchiveRequest::List => {
            let mut out = archive_protocol::accept(out)?;
            for name in archive_protocol::ArchiveFormat::NAMES {
                out.write_all(format!("{name}\n").as_bytes())?;
            }
            out.finish()?;
            return Ok(());
        }
        archive_protocol::ArchiveRequest::Archive(request) => request,
    };
    let Some((tree, commit, mtime)) = tree_of(snapshot, &request.tree_ish) else {
        let reason =
            format!("not a tree that you may see: {}", crate::names::escape_for_people(&request.tree_ish, 200));
        archive_protocol::refuse(&mut out, &reason)?;
        out.flush()?;
        return Err(PeerError::UnknownRef { name: reason }.into());
    };
    let format = match request.format {
        archive_protocol::ArchiveFormat::Tar => archive::ArchiveFormat::Tar,
        archive_protocol::ArchiveFormat::TarGz => archive::ArchiveFormat::TarGz,
        archive_protocol::ArchiveFormat::Zip => archive::ArchiveFormat::Zip,
    };
    let request = archive::ArchiveRequest { tree, commit, mtime, prefix: request.prefix, paths: request.paths };
    let mut reader = snapshot.objects.reader(16 << 20);
    let mut source = |id: &gix_hash::oid| -> io::Result<(ObjectKind, Vec<u8>)> {
        let place = snapshot.objects.find(&raw(id)).ok_or_else(|| io::Error::other("an object is missing"))?;
        Ok((snapshot.objects.kind(place), reader.read_once(place)?.to_vec()))
    };
    let mut out = archive_protocol::accept(out)?;
    match archive::write_archive(format, &request, &mut source, &mut out) {
        Ok(_) => {
            out.finish()?;
            Ok(())
        }
        Err(error) => {
            let text = format!("{error}\n");
            let _ = out.fatal(&text);
            Err(io::Error::other(error).into())
        }
    }
}

/// The tree that a name, or `NAME:path`, stands for, with its commit and time. As git's `uploadarchive.allowUnreachable`
/// is off by default, ids are taken only as refs' names.
fn tree_of(snapshot: &Snapshot, name: &[u8]) -> Option<(ObjectId, Option<ObjectId>, u64)> {
    let (name, path) = match name.iter().position(|byte| *byte == b':') {
        Some(at) => (&name[..at], Some(&name[at + 1..])),
        None => (name, None),
    };
    let id = if name == b"HEAD" {
        snapshot.refs.head_id()?
    } else {
        ["", "refs/", "refs/tags/", "refs/heads/"].iter().find_map(|prefix| {
            let full = RefName::parse(&[prefix.as_bytes(), name].concat()).ok()?;
            snapshot.refs.get(&full).map(|value| value.id)
        })?
    };
    let place = snapshot.peel(id)?;
    let (mut tree, commit, time) = match snapshot.objects.kind(place) {
        ObjectKind::Commit => {
            let graph = snapshot.graph();
            let node = graph.find(&snapshot.objects.id(place))?;
            (ObjectId::from(*graph.tree(node)), Some(snapshot.id(place)), graph.time(node))
        }
        ObjectKind::Tree => (snapshot.id(place), None, 0),
        ObjectKind::Blob | ObjectKind::Tag => return None,
    };
    let Some(path) = path else { return Some((tree, commit, time.max(0) as u64)) };
    let mut reader = snapshot.objects.reader(1 << 20);
    for part in path.split(|byte| *byte == b'/').filter(|part| !part.is_empty()) {
        let data = reader.read(snapshot.objects.find(&raw(&tree))?).ok()?;
        let entry = crate::repository::object::TreeIter::new(&data).flatten().find(|entry| entry.name == part)?;
        if !entry.is_tree() {
            return None;
        }
        tree = entry.oid.to_owned();
    }
    Some((tree, None, time.max(0) as u64))
}
