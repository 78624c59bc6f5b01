//! repository.

pub mod fsck;
pub mod object;
