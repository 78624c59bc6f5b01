//! Points at which a test lets the process die, to prove that what was answered survives and what was not leaves nothing.

use std::sync::Arc;

/// The named point at which to die; none in production.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    crash_at: Option<Arc<str>>,
}

impl Faults {
    /// Nothing ever fails on purpose.
    pub fn none() -> Faults {
        Faults::default()
    }

    /// The process aborts where `point` is reached.
    pub fn crash_at(point: &str) -> Faults {
        Faults { crash_at: Some(point.into()) }
    }

    /// Called at each point.
    pub fn reach(&self, point: &str) {
        if self.crash_at.as_deref() == Some(point) {
            tracing::warn!(point, "dying on purpose");
            std::process::abort();
        }
    }
}
