//! The worker's side.
use super::{Outgoing, Phase, PushError, Segment, SegmentError, SlotHandle};
use std::os::fd::RawFd;
use std::sync::Arc;

/// A worker's end of the segment.
#[derive(Debug)]
pub struct WorkerEnd {
    handle: SlotHandle,
}

/// What a worker counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Tests claimed.
    pub claims: u64,
    /// Ranges taken from other parts.
    pub steals: u64,
    /// Times the bell was rung.
    pub rings: u64,
    /// Times the ring was full.
    pub waits: u64,
}

impl WorkerEnd {
    /// Attaches incarnation `incarnation` of `slot`.
    ///
    /// # Errors
    /// When the slot does not exist or is another incarnation's.
    pub fn attach(
        _segment: Arc<Segment>,
        _slot: u16,
        _incarnation: u16,
        _bell: RawFd,
        _spill: RawFd,
    ) -> Result<Self, SegmentError> {
        unimplemented!()
    }
    /// Takes a test; `None` is final.
    pub fn claim(&mut self) -> Option<u32> {
        unimplemented!()
    }
    /// Writes a record without waiting; `false`: the ring is full.
    ///
    /// # Errors
    /// [`PushError`]
    pub fn try_push(&mut self, _record: &Outgoing<'_>) -> Result<bool, PushError> {
        unimplemented!()
    }
    /// Waits about a second at most for room for `record`.
    pub fn wait_for_space(&mut self, _record: &Outgoing<'_>) {
        unimplemented!()
    }
    /// Writes a record; waits while the ring is full, asking `poll` every second whether to go on.
    ///
    /// # Errors
    /// [`PushError`]
    pub fn push(
        &mut self,
        _record: &Outgoing<'_>,
        _poll: &mut dyn FnMut() -> bool,
    ) -> Result<(), PushError> {
        unimplemented!()
    }
    /// What it counted so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        unimplemented!()
    }
    /// The part that needs no exclusive access.
    #[must_use]
    pub fn handle(&self) -> &SlotHandle {
        &self.handle
    }
    /// `test` is in flight from now on, in setup.
    pub fn begin(&self, test: u32) {
        self.handle.begin(test);
    }
    /// The test in flight is in `phase`.
    pub fn phase(&self, phase: Phase) {
        self.handle.phase(phase);
    }
    /// No test is in flight.
    pub fn idle(&self) {
        self.handle.idle();
    }
    /// Nobody claims a test any more.
    pub fn stop(&self) {
        self.handle.stop();
    }
    /// Whether anybody called `stop`.
    #[must_use]
    pub fn stopped(&self) -> bool {
        self.handle.stopped()
    }
}
