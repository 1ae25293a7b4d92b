//! A worker that looks for something to do, as those see it who choose for it.

use crate::shm::Segment;

/// What a fresh fork is assumed to cost as long as nobody has measured one, µs: the end of a
/// session and the beginning of another.
pub(in crate::shm) const FORK_US: u64 = 15_000;

/// A worker that looks for something to do.
#[derive(Clone, Copy, Debug)]
pub(in crate::shm) struct Seeker {
    pub slot: u16,
    /// The module of its last test.
    pub module: Option<u32>,
    pub floor: Option<u32>,
    /// What a fresh fork in its place costs, µs.
    pub fork_us: u64,
    /// For how long it has found nothing, µs.
    pub waited: u64,
    /// How many times as long as planned open tests take, in units of
    /// [`ONE`](super::measured_module_setup_costs::ONE).
    pub pace: u64,
}

impl Seeker {
    /// Whether it may run what has this rank; else only a fresh fork may.
    pub fn may_run(&self, rank: u32) -> bool {
        self.floor.is_none_or(|floor| rank > floor)
    }
}

impl Segment {
    /// Where a worker goes on that has the entry `own` before it and may take the one that is
    /// `open` to all: whichever comes first in the collection, unless its own must begin before.
    pub(in crate::shm) fn own_or_open(
        &self,
        own: Option<u32>,
        open: Option<u32>,
        is_due: impl FnOnce(u32) -> bool,
    ) -> Option<u32> {
        let rank = |index: u32| self.plan().entries[index as usize].rank;
        match (own, open) {
            (Some(own), Some(open)) if rank(own) > rank(open) && !is_due(open) => Some(open),
            (own, open) => own.or(open),
        }
    }
}
