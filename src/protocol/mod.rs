//! The Git wire protocol, versions 0, 1 and 2: pkt-lines, advertisements, upload-pack, receive-pack, upload-archive.
//!
//! Everything here is bytes in, values out, and the other way round. It leans on `names` alone.
//!
//! INVARIANT: this module opens no socket and no file, knows no user and no repository, and asks nobody for a
//! permission. What may be served or changed is decided by whoever calls it; in upload-pack that is by way of
//! [`upload_pack::Negotiation`], whose `have` must answer no for what the reader may not see.
//!
//! A peer is never trusted for a length or a count: each is checked against a limit before memory is spent on it.
//! What a peer did wrong is a [`PeerError`]; that the pipe broke is an `io::Error`; [`ProtocolError`] is either.
//!
//! Reading order: `pkt_line`, `sideband`, `capabilities`, `advertise`, `upload_pack`, `receive_pack`, `archive`.
//! Specifications: Git's `Documentation/gitprotocol-{common,pack,v2,capabilities,http}.adoc`.

mod errors;
mod service;

pub mod advertise;
pub mod archive;
pub mod capabilities;
pub mod fetch_client;
pub mod pkt_line;
pub mod receive_pack;
pub mod sideband;
pub mod upload_pack;

pub use errors::{PeerError, ProtocolError, write_error};
pub use service::{Service, Version};
