//! The segment.
use super::{Reader, SegmentError, SlotState, Waker};
use std::sync::Arc;

/// One test in the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlanEntry {
    /// Number of the test.
    pub test: u32,
    /// Estimated duration, µs.
    pub cost_us: u32,
    /// Equal in neighbours that belong to the same unit.
    pub unit: u32,
}

/// Who runs what, in which order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlanTable {
    /// All tests to run, each once.
    pub entries: Vec<PlanEntry>,
    /// Per slot: first entry and number of entries.
    pub parts: Vec<(u32, u32)>,
}

/// Size of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentSpec {
    /// Workers.
    pub slots: u16,
    /// Tests in the inventory: one claim word each.
    pub tests: u32,
    /// Bytes of each slot's ring: a power of two, 256 at least.
    pub ring_bytes: u32,
    /// Worker processes that there can be in all, replacements included.
    pub incarnations: u32,
}

/// The shared memory of one run.
#[derive(Debug)]
pub struct Segment {
    name: String,
}

impl Segment {
    /// Makes a segment with a fresh name.
    ///
    /// # Errors
    /// [`SegmentError`]
    pub fn create(_spec: &SegmentSpec, _plan: &PlanTable) -> Result<Self, SegmentError> {
        unimplemented!()
    }
    /// Makes a segment named `name`.
    ///
    /// # Errors
    /// [`SegmentError`]
    pub fn create_named(
        _name: &str,
        _spec: &SegmentSpec,
        _plan: &PlanTable,
    ) -> Result<Self, SegmentError> {
        unimplemented!()
    }
    /// Opens the segment named `name`.
    ///
    /// # Errors
    /// [`SegmentError`]
    pub fn open(_name: &str) -> Result<Self, SegmentError> {
        unimplemented!()
    }
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
    /// Removes the name; idempotent.
    pub fn unlink(&self) {
        unimplemented!()
    }
    /// Removes segments of dead processes.
    pub fn sweep() {
        unimplemented!()
    }
    /// Reader of a slot's ring.
    #[must_use]
    pub fn reader(&self, _slot: u16) -> Reader<'_> {
        unimplemented!()
    }
    /// The parent is about to sleep.
    pub fn arm(&self) {
        unimplemented!()
    }
    /// The parent is awake.
    pub fn disarm(&self) {
        unimplemented!()
    }
    /// Whether a reader would find something.
    #[must_use]
    pub fn has_data(&self) -> bool {
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
    /// What the worker of a slot does.
    #[must_use]
    pub fn slot_state(&self, _slot: u16) -> SlotState {
        unimplemented!()
    }
    /// Who claimed a test: slot and incarnation.
    #[must_use]
    pub fn claim_of(&self, _test: u32) -> Option<(u16, u16)> {
        unimplemented!()
    }
    /// Frees a claim of a worker that was reaped; `false`: it was not its claim.
    pub fn release(&self, _test: u32, _slot: u16, _incarnation: u16) -> bool {
        unimplemented!()
    }
    /// Planned tests that nobody claimed.
    #[must_use]
    pub fn unclaimed(&self) -> u32 {
        unimplemented!()
    }
    /// Gives `slot` to `incarnation`, which waits on event `event`; before it is spawned.
    pub fn assign_event(&self, _slot: u16, _incarnation: u16, _event: u32) {
        unimplemented!()
    }
    /// Makes the waker.
    #[must_use]
    pub fn waker(self: &Arc<Self>) -> Waker {
        unimplemented!()
    }
}
