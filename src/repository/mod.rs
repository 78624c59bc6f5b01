//! repository.

pub mod object;
