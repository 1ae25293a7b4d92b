//! What it really costs to enter a module: the first worker that is through with its set-ups tells
//! the others.
//!
//! Hints like everything else about costs: whoever decides what to take over decides better, and a
//! word that was scribbled over makes it decide worse.

use crate::shm::Segment;
use crate::shm::sync::Ordering;

/// A set-up that takes as long as estimated.
pub(in crate::shm) const ONE: u32 = 1024;

/// Longer than this is not believed: more than fixtures was in it.
pub(in crate::shm) const MOST: u32 = 8 * ONE;

impl Segment {
    /// The entry of a test that is planned.
    pub(in crate::shm) fn place_of(&self, test: u32) -> Option<u32> {
        self.places().entries.get(test as usize).copied()?
    }

    /// The entry of `test`, if a worker that ran `before` last enters a module with it.
    pub(in crate::shm) fn entered(&self, before: u32, test: u32) -> Option<u32> {
        if !self.has_tolls() {
            return None;
        }
        let place = self.place_of(test)?;
        let entry = &self.plan().entries[place as usize];
        let before = self
            .place_of(before)
            .map(|place| self.plan().entries[place as usize].module);
        let costs = entry.enter_us > 0 || entry.paid_us > 0;
        (costs && before != Some(entry.module)).then_some(place)
    }

    /// The set-ups for entering a module at `place` took so long, ns.
    pub(in crate::shm) fn learn(&self, place: u32, took: u64) {
        let entry = &self.plan().entries[place as usize];
        let expected = u64::from(entry.enter_us) + u64::from(entry.paid_us);
        let ratio = (took / 1000).saturating_mul(ONE.into()) / expected.max(1);
        let ratio = ratio.clamp(1, MOST.into()) as u32;
        let places = self.places();
        let first = places.firsts[places.modules[place as usize] as usize];
        // Relaxed: a hint.
        self.toll_word(first).store(ratio, Ordering::Relaxed);
    }

    /// Per module how many times as long as estimated it takes to enter it, as far as that is
    /// known, in units of [`ONE`]. Empty when it costs nothing to enter any.
    pub(in crate::shm) fn ratios(&self) -> Vec<u32> {
        let ratio = |&first: &u32| match self.toll_word(first).load(Ordering::Relaxed) {
            0 => ONE,
            ratio => ratio.min(MOST),
        };
        self.places().firsts.iter().map(ratio).collect()
    }

    /// The number of the module of an entry, an index of [`ratios`](Self::ratios).
    pub(in crate::shm) fn module_number(&self, place: u32) -> Option<usize> {
        let number = self.places().modules.get(place as usize)?;
        Some(*number as usize)
    }
}
