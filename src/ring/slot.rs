//! What a worker shows of itself.
use super::Segment;
use std::sync::Arc;

/// What a worker is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Setup of the test.
    Setup,
    /// The test itself.
    Call,
    /// Teardown of the test.
    Teardown,
    /// No test.
    Idle,
}

/// A look at a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotState {
    /// The test in flight.
    pub current: Option<u32>,
    /// Its phase.
    pub phase: Phase,
    /// When it began: `CLOCK_MONOTONIC`, nanoseconds.
    pub started_ns: u64,
    /// The incarnation to which the slot was given last.
    pub incarnation: u16,
    /// The worker waits for room in its ring.
    pub waiting_for_space: bool,
    /// The worker's own part is exhausted.
    pub stealing: bool,
}

/// The part of a worker's end that needs no exclusive access.
#[derive(Clone, Debug)]
pub struct SlotHandle {
    _segment: Arc<Segment>,
}

impl SlotHandle {
    /// `test` is in flight from now on, in setup.
    pub fn begin(&self, _test: u32) {
        unimplemented!()
    }
    /// The test in flight is in `phase`.
    pub fn phase(&self, _phase: Phase) {
        unimplemented!()
    }
    /// No test is in flight.
    pub fn idle(&self) {
        unimplemented!()
    }
    /// Nobody claims a test any more.
    pub fn stop(&self) {
        unimplemented!()
    }
    /// Whether anybody called `stop`.
    #[must_use]
    pub fn stopped(&self) -> bool {
        unimplemented!()
    }
}
