//! repository.

pub mod archive;
pub mod fsck;
pub mod object;
pub mod tree_diff;
