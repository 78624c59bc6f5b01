//! repository.
