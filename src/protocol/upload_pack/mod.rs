//! git-upload-pack: what a client asks for, and how it is found out what it has already.
//!
//! Both versions come down to the same: a request is read ([`v0::read_request`] or [`v2::read_command`]), turned into a
//! [`PackRequest`], the haves go through [`Negotiation`], and a pack is sent on the sidebands.
//!
//! For versions 0 and 1, after the advertisement: read the request; if it deepens, write [`write_shallow_lines`] and a
//! flush; [`negotiate_v0`]; send the pack. For version 2, per command: [`negotiate_v2`]; then
//! [`fetch_response::write_sections`]; send the pack.
//!
//! INVARIANT: nothing here knows which objects exist. The answer to a want or have that is hidden is the same as to one
//! that does not exist, because the caller gives the same (attack checklist B1, B2).

mod arguments;
mod filter;
mod ls_refs;
mod negotiate;

pub mod fetch_response;
pub mod object_info;
pub mod v0;
pub mod v2;

pub use fetch_response::{ShallowInfo, write_shallow_lines};
pub use filter::{Filter, ObjectType};
pub use ls_refs::{LsRefs, write_ls_refs};
pub use negotiate::{AckMode, AckOutcome, Negotiation, NegotiationOutcome, negotiate_v0, negotiate_v2};
pub use object_info::{ObjectInfo, write_object_info};
pub use v2::{Command, FetchRequest};

pub(super) use arguments::parse_oid;

use crate::names::ObjectId;

use super::errors::PeerError;
use super::sideband::Sideband;

/// What a pack is asked to hold; the same for all versions. What the client has is not in it: that went through
/// [`Negotiation::have`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PackRequest {
    /// The objects asked for by id, each once. Whether the client may have them is still to be decided.
    pub wants: Vec<ObjectId>,
    /// Full ref names, or `HEAD`, asked for by name, as sent, each once (version 2).
    /// What they point at is wanted as if it stood in `wants`; the caller looks them up among what the reader may see.
    pub want_refs: Vec<Vec<u8>>,
    /// Deltas may lean on objects that the client has.
    pub thin_pack: bool,
    /// Deltas may name their base by its distance.
    pub ofs_delta: bool,
    /// Annotated tags of objects that are sent are to be sent along.
    pub include_tag: bool,
    /// No progress messages.
    pub no_progress: bool,
    /// How the pack is carried.
    pub sideband: Sideband,
    /// Commits that the client has without their parents.
    pub shallow: Vec<ObjectId>,
    /// Where the client wants history to stop.
    pub deepen: Option<Deepen>,
    /// `Deepen::Depth` counts from the client's own boundary rather than from the wants.
    pub deepen_relative: bool,
    /// What is to be left out.
    pub filter: Option<Filter>,
}

impl PackRequest {
    /// Whether the answer begins with which commits become shallow, which no longer are (versions 0 and 1; version 2
    /// has its own rule in [`fetch_response::write_sections`]).
    pub fn deepens(&self) -> bool {
        self.deepen.is_some()
    }
}

/// Where history stops. The two kinds exclude each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deepen {
    /// So many commits deep, at least 1. `i32::MAX` is how Git says "all of it".
    Depth(u32),
    /// By what history itself says; at least one of the two is given.
    History {
        /// Nothing committed before this time, in seconds since 1970.
        since: Option<u64>,
        /// Nothing that these refs reach; names as sent, full or short, to be looked for among what the reader may see.
        not: Vec<Vec<u8>>,
    },
}

/// How much of each thing one request may have. The defaults are far above what Git's own client sends.
#[derive(Debug, Clone)]
pub struct Limits {
    /// `want` lines. A partial clone asks for missing blobs by the hundred thousand.
    pub wants: usize,
    /// `have` lines in one request (version 2) or one conversation (versions 0 and 1).
    pub haves: usize,
    /// `want-ref` lines.
    pub want_refs: usize,
    /// `shallow` lines.
    pub shallow: usize,
    /// `deepen-not` lines.
    pub deepen_not: usize,
    /// `oid` lines of object-info.
    pub object_infos: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            wants: 1 << 20,
            haves: 1 << 20,
            want_refs: 1 << 16,
            shallow: 1 << 18,
            deepen_not: 1 << 10,
            object_infos: 1 << 16,
        }
    }
}

/// Pushes `item` unless there are `max` already.
fn push_bounded<T>(items: &mut Vec<T>, item: T, what: &'static str, max: usize) -> Result<(), PeerError> {
    if items.len() >= max {
        return Err(PeerError::TooMany { what, max });
    }
    items.push(item);
    Ok(())
}
