//! What a worker shows of itself while it runs, for time limits and the status line.

use super::layout::NO_TEST;
use super::segment::Segment;
use crate::shm::sync::Ordering;

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

    pub(in crate::shm) fn encode(self, test: u32) -> u64 {
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
    /// The phase of that test.
    pub phase: Phase,
    /// When it began: `CLOCK_MONOTONIC`, nanoseconds. Never earlier than `current` began, so time
    /// limits err to the long side.
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
        // Acquire: pairs with the release store in `SlotHandle::begin`; the time is at least as new
        // as the test.
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
