//! What is said at the end of a run beside the tests' results.

use std::time::{Duration, Instant};

/// Gathers, while the run goes on, what the host and the reporters are told at its end.
#[derive(Debug)]
pub(super) struct Closing {
    /// When the command was started, for the duration that the user sees.
    pub began: Instant,
    /// The same, seconds since the epoch.
    pub began_epoch: f64,
    /// Tests of other shards.
    pub elsewhere: usize,
    /// There is something that only pytest's summary can say.
    pub needs_report: bool,
    /// Signals to end that have come.
    pub interrupts: u32,
    /// What was running when the run was interrupted: worker, test, time since its set-up began.
    pub running: Vec<(u16, u32, Duration)>,
    /// The first exception that has escaped from a hook.
    pub internal_error: Option<String>,
    /// Properties of the junit file.
    pub properties: Vec<(String, String)>,
}

impl Closing {
    /// Adds properties: each is there once, whoever of the workers has added it.
    pub fn add_properties(&mut self, properties: Vec<(String, String)>) {
        for property in properties {
            if !self.properties.contains(&property) {
                self.properties.push(property);
            }
        }
    }
}
