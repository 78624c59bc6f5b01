//! What is done in the background, beside the doors: keeping repositories small to look through, and sweeping files that
//! nothing names.
//!
//! A job decides nothing about people and answers nobody. It may be killed at any moment: what it does becomes visible by
//! one publish, or not at all, and is found due again.

mod sweeping;
mod upkeep;

pub use sweeping::sweep_hourly;
pub use upkeep::Upkeep;
