//! How a worker shows what it does, from any thread of its process.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use super::Segment;
use super::segment::layout::NO_TEST;
use super::segment::slot::Phase;
use super::sync::Ordering;

/// The part of a worker's end that needs no exclusive access: usable from a signal handler of the
/// interpreter while another call of the same worker waits.
#[derive(Clone, Debug)]
pub struct SlotHandle {
    segment: Arc<Segment>,
    slot: u16,
    /// The entry of the test in flight if it is the first one of a stay in a module, plus 1.
    entering: Arc<AtomicU32>,
}

impl SlotHandle {
    pub(super) fn new(segment: Arc<Segment>, slot: u16) -> Self {
        Self {
            segment,
            slot,
            entering: Arc::default(),
        }
    }

    pub(super) fn segment(&self) -> &Arc<Segment> {
        &self.segment
    }

    pub(super) fn slot(&self) -> u16 {
        self.slot
    }

    /// `test` is in flight from now on, in setup.
    pub fn begin(&self, test: u32) {
        // Relaxed: only this worker writes it.
        let before = self.segment.state(self.slot).load(Ordering::Relaxed) as u32;
        let entered = self.segment.entered(before, test);
        self.entering
            .store(entered.map_or(0, |place| place + 1), Ordering::Relaxed);
        self.segment
            .started(self.slot)
            .store(self.segment.now_ns(), Ordering::Relaxed);
        // Release: pairs with the acquire load in `Segment::slot_state`.
        self.segment
            .state(self.slot)
            .store(Phase::Setup.encode(test), Ordering::Release);
    }

    /// The test in flight is in `phase` now.
    pub fn phase(&self, phase: Phase) {
        let state = self.segment.state(self.slot);
        // Relaxed: only this worker writes it.
        let test = state.load(Ordering::Relaxed) as u32;
        state.store(phase.encode(test), Ordering::Release);
        if phase == Phase::Call
            && let Some(place) = self.entering.swap(0, Ordering::Relaxed).checked_sub(1)
        {
            let started = self.segment.started(self.slot).load(Ordering::Relaxed);
            let took = self.segment.now_ns().saturating_sub(started);
            self.segment.learn(place, took);
        }
    }

    /// No test is in flight.
    pub fn idle(&self) {
        self.segment
            .state(self.slot)
            .store(Phase::Idle.encode(NO_TEST), Ordering::Release);
    }

    /// Nobody, in no worker, claims a test any more.
    pub fn stop(&self) {
        self.segment.stop();
    }

    /// Whether the parent or any worker said [`stop`](Self::stop).
    #[must_use]
    pub fn stopped(&self) -> bool {
        self.segment.stopped()
    }
}
