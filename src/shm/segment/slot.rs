//! What a worker shows of itself while it runs, for time limits and the status line.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use crate::shm::sync::Ordering;
use crate::shm::{NO_TEST, Segment};

/// What a worker is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Setup of the test.
    Setup,
    /// The test itself.
    Call,
    /// Teardown of the test.
    Teardown,
    /// No test is in flight.
    Idle,
}

impl Phase {
    /// The phase with pytest's order number: 0 setup, 1 call, 2 teardown.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Setup),
            1 => Some(Self::Call),
            2 => Some(Self::Teardown),
            _ => None,
        }
    }

    fn encode(self, test: u32) -> u64 {
        let number: u64 = match self {
            Self::Setup => 1,
            Self::Call => 2,
            Self::Teardown => 3,
            Self::Idle => 0,
        };
        number << 32 | u64::from(test)
    }

    /// Anything that no worker writes is idle: this is for display and time limits only.
    fn decode(word: u64) -> (Self, Option<u32>) {
        let test = word as u32;
        match word >> 32 {
            1 => (Self::Setup, Some(test)),
            2 => (Self::Call, Some(test)),
            3 => (Self::Teardown, Some(test)),
            _ => (Self::Idle, None),
        }
    }
}

/// A look at a worker; only as true as the shared memory it was read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotState {
    /// The test in flight.
    pub current: Option<u32>,
    /// Its phase.
    pub phase: Phase,
    /// When it began: `CLOCK_MONOTONIC`, nanoseconds. Never earlier than `current` began, so time limits err to the long side.
    pub started_ns: u64,
    /// The incarnation to which the slot was given last.
    pub incarnation: u16,
    /// The worker waits for room in its ring.
    pub waiting_for_space: bool,
    /// The worker's own part is exhausted.
    pub stealing: bool,
    /// There is no worker, and none is on its way.
    pub vacant: bool,
}

impl SlotState {
    /// Whether a worker is on its way, or about to take its first test or its next one.
    #[must_use]
    pub fn is_starting(&self) -> bool {
        self.current.is_none() && !self.stealing && !self.vacant
    }
}

/// A slot's state word where no worker is to be expected.
const VACANT: u64 = 4 << 32 | NO_TEST as u64;

impl Segment {
    /// What the worker of `slot` does at the moment.
    ///
    /// # Panics
    /// When there is no such slot.
    #[must_use]
    pub fn slot_state(&self, slot: u16) -> SlotState {
        // Acquire: pairs with the release store in `SlotHandle::begin`; the time is at least as new as the test.
        let word = self.state(slot).load(Ordering::Acquire);
        let (phase, current) = Phase::decode(word);
        // Relaxed: independent facts.
        SlotState {
            current,
            phase,
            started_ns: self.started(slot).load(Ordering::Relaxed),
            incarnation: self.owner(slot).load(Ordering::Relaxed) as u16,
            waiting_for_space: self.want(slot).load(Ordering::Relaxed) != 0,
            stealing: self.stealing(slot).load(Ordering::Relaxed) != 0,
            vacant: word == VACANT,
        }
    }
}

impl Segment {
    /// The worker of `slot` was reaped, or another one is on its way there: no test is in flight.
    ///
    /// # Panics
    /// When there is no such slot.
    pub fn clear_state(&self, slot: u16) {
        // Relaxed: the time does not matter to who sees that there is no test.
        self.state(slot)
            .store(Phase::Idle.encode(NO_TEST), Ordering::Relaxed);
        self.stealing(slot).store(0, Ordering::Relaxed);
    }

    /// The worker of `slot` was reaped and no other is to come: others need not wait for one.
    ///
    /// # Panics
    /// When there is no such slot.
    pub fn vacate(&self, slot: u16) {
        // Relaxed: this is a hint, as all that is said of others' work.
        self.state(slot).store(VACANT, Ordering::Relaxed);
    }
}

/// The part of a worker's end that needs no exclusive access: usable from a signal handler of the interpreter while
/// another call of the same worker waits.
#[derive(Clone, Debug)]
pub struct SlotHandle {
    segment: Arc<Segment>,
    slot: u16,
    /// The entry of the test in flight if it is the first one of a stay in a module, plus 1.
    entering: Arc<AtomicU32>,
}

impl SlotHandle {
    pub(in crate::shm) fn new(segment: Arc<Segment>, slot: u16) -> Self {
        Self {
            segment,
            slot,
            entering: Arc::default(),
        }
    }

    pub(in crate::shm) fn segment(&self) -> &Arc<Segment> {
        &self.segment
    }

    pub(in crate::shm) fn slot(&self) -> u16 {
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
