//! Points at which a test lets the process die, to prove that what was answered survives and what was not leaves nothing.

use std::sync::Arc;

/// The named point at which to die; none in production.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    crash_at: Option<Arc<str>>,
    #[cfg(test)]
    meanwhile: Option<Meanwhile>,
}

#[cfg(test)]
type Happening = Box<dyn FnOnce() + Send>;

/// What happens in between, once.
#[cfg(test)]
#[derive(Clone)]
struct Meanwhile {
    point: &'static str,
    what: Arc<parking_lot::Mutex<Option<Happening>>>,
}

#[cfg(test)]
impl std::fmt::Debug for Meanwhile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.point)
    }
}

impl Faults {
    /// Nothing ever fails on purpose.
    pub fn none() -> Faults {
        Faults::default()
    }

    /// The process aborts where `point` is reached.
    pub fn crash_at(point: &str) -> Faults {
        let mut faults = Faults::none();
        faults.crash_at = Some(point.into());
        faults
    }

    /// What is given to [`Faults::meanwhile`] happens when `point` is reached next.
    #[cfg(test)]
    pub(crate) fn waiting_at(point: &'static str) -> Faults {
        Faults { meanwhile: Some(Meanwhile { point, what: Arc::default() }), ..Faults::default() }
    }

    /// Sets what happens when the point is reached next.
    #[cfg(test)]
    pub(crate) fn meanwhile(&self, what: impl FnOnce() + Send + 'static) {
        *self.meanwhile.as_ref().unwrap().what.lock() = Some(Box::new(what));
    }

    /// Called at each point.
    pub fn reach(&self, point: &str) {
        #[cfg(test)]
        if let Some(meanwhile) = &self.meanwhile
            && meanwhile.point == point
        {
            let what = meanwhile.what.lock().take();
            if let Some(what) = what {
                what();
            }
        }
        if self.crash_at.as_deref() == Some(point) {
            tracing::warn!(point, "dying on purpose");
            std::process::abort();
        }
    }
}
