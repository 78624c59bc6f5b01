//! Packs: entries and deltas, the index that lies beside a pack, reading one object, taking a pack in, writing one out.
//!
//! Everything here works on bytes from outside or from a sealed file; sizes are checked against limits before memory is
//! taken. Formats: git's `gitformat-pack` for entries and deltas, `store/FORMAT.md` for the index.

pub mod delta;
pub mod entry;
pub mod index;
pub mod inflate;
pub mod ingest;
pub mod oid_hash;
pub mod read;
pub mod write;
