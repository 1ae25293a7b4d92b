//! When the command was started.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// When the command was started.
pub(super) struct Clock {
    pub(super) began: Instant,
    /// Seconds since the epoch.
    pub(super) epoch: f64,
}

impl Clock {
    pub(super) fn start() -> Self {
        let epoch = SystemTime::now().duration_since(UNIX_EPOCH);
        Self {
            began: Instant::now(),
            epoch: epoch.map_or(0.0, |since| since.as_secs_f64()),
        }
    }
}
