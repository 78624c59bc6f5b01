//! A repository's objects, refs and history: what is in it, what may be served, how packs come in and go out.
//!
//! It knows no user and no socket. What comes from outside is checked here (`fsck`, `pack::ingest`) before anything leans
//! on it; plaintext of objects lives in memory only, files go through `store`'s sealing.

pub mod archive;
pub mod blame;
pub mod browse;
pub mod changed_paths;
pub mod check;
pub mod checkpoint;
pub mod commit_graph;
pub mod compaction;
pub mod fsck;
pub mod handle;
pub mod history;
pub mod inspection;
pub mod line_diff;
pub mod log;
pub mod merge;
pub mod new_objects;
pub mod object;
pub mod objects;
pub mod pack;
pub mod path_filters;
pub mod receive;
pub mod ref_change;
pub mod refs;
pub mod resealing;
pub mod search;
pub mod shallow;
pub mod signature;
pub mod snapshot;
pub mod tree_diff;
pub mod tree_edit;
pub mod walk;

#[cfg(test)]
mod tests;
