//! Who runs which test: claim words and hold words. The way of a worker through the plan is in
//! [`plan_walk`](super::plan_walk).
//!
//! A claim word is the single truth about its test, and nothing else is published through it: its
//! accesses are relaxed. Whatever a worker believes about the plan (ranges it adopted, windows it
//! narrowed) is only a hint where to look.
//!
//! A unit that must not be divided has a hold word besides, with the same values. A worker takes it
//! before its first test of the unit and never gives it back; when the worker is dead, the parent
//! does. So at most one living worker claims tests of the unit, however its tests were divided
//! among the dead.

use crate::shm::sync::Ordering;
use crate::shm::{PlanEntry, Segment, Sharing};

/// The claim of a test that nobody may take yet; no worker's, because there are fewer slots.
const WITHHELD: u32 = u32::MAX;

/// A claim word: 0 is free.
pub(in crate::shm) fn word(slot: u16, incarnation: u16) -> u32 {
    u32::from(incarnation) << 16 | (u32::from(slot) + 1)
}

impl Segment {
    /// Who claimed `test`: slot and incarnation. Nobody has claimed a test that does not exist.
    #[must_use]
    pub fn claim_of(&self, test: u32) -> Option<(u16, u16)> {
        if test >= self.spec().tests {
            return None;
        }
        let word = self.claim_word(test).load(Ordering::Relaxed);
        if word == WITHHELD {
            return None;
        }
        // A test may have scribbled over the words: what names no slot is nobody's claim.
        let slot = (word as u16)
            .checked_sub(1)
            .filter(|&slot| slot < self.spec().slots)?;
        Some((slot, (word >> 16) as u16))
    }

    /// Makes a claim free again; `false` when it was not this worker's.
    ///
    /// Only for a worker that was reaped: one that lives may run the test.
    ///
    /// # Panics
    /// When there is no such test.
    pub fn release(&self, test: u32, slot: u16, incarnation: u16) -> bool {
        self.free(test, word(slot, incarnation))
    }

    /// Gives back the undivided units of a worker that was reaped: another one may go on with them.
    /// To be called after its claims were [released](Self::release).
    pub fn release_units(&self, slot: u16, incarnation: u16) {
        let word = word(slot, incarnation);
        let mut any = false;
        for head in (0..).take(self.plan().entries.len()) {
            if self.unit_head(head) == Some(head) {
                // Release: pairs with the acquire in `hold`; who holds the unit next sees the
                // released claims.
                any |= self
                    .hold_word(head)
                    .compare_exchange(word, 0, Ordering::Release, Ordering::Relaxed)
                    .is_ok();
            }
        }
        if any {
            self.new_epoch();
        }
    }

    /// Keeps all workers from `test` until [`hand_out`](Self::hand_out). To be called before there
    /// are any.
    ///
    /// # Panics
    /// When there is no such test.
    pub fn withhold(&self, test: u32) {
        // Relaxed: workers are started, or told to attach, later.
        self.claim_word(test).store(WITHHELD, Ordering::Relaxed);
    }

    /// Lets workers take `test`; `false` when it was not withheld.
    ///
    /// # Panics
    /// When there is no such test.
    pub fn hand_out(&self, test: u32) -> bool {
        self.free(test, WITHHELD)
    }

    fn free(&self, test: u32, word: u32) -> bool {
        let freed = self
            .claim_word(test)
            .compare_exchange(word, 0, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok();
        if freed {
            self.new_epoch();
        }
        freed
    }

    pub(in crate::shm) fn new_epoch(&self) {
        // Release: pairs with the acquire load in `Walker::pick`; who sees the new epoch sees the
        // free words.
        self.epoch().fetch_add(1, Ordering::Release);
    }

    /// Planned tests that a worker could claim: not withheld, not of a unit that another one holds.
    /// Looks at every claim.
    #[must_use]
    pub fn unclaimed(&self) -> u32 {
        let entries = u32::try_from(self.plan().entries.len()).unwrap_or(u32::MAX);
        self.free_in(0..entries)
    }

    /// Of the [unclaimed](Self::unclaimed) tests the ones that the worker of `slot` could claim.
    ///
    /// # Panics
    /// When there is no such slot.
    #[must_use]
    pub fn unclaimed_for(&self, slot: u16) -> u32 {
        match self.plan().sharing {
            Sharing::Steal | Sharing::Queue => self.unclaimed(),
            Sharing::Own => {
                let (start, len) = self.plan().parts[usize::from(slot)];
                self.free_in(start..start + len)
            }
        }
    }

    fn free_in(&self, range: std::ops::Range<u32>) -> u32 {
        let free = range.filter(|index| self.free_at(*index)).count();
        u32::try_from(free).unwrap_or(u32::MAX)
    }

    /// No worker claims a test from now on; a claim that is being made may still succeed.
    pub fn stop(&self) {
        self.stop_word().store(1, Ordering::Relaxed);
    }

    /// Whether anybody said [`stop`](Self::stop).
    #[must_use]
    pub fn stopped(&self) -> bool {
        self.stop_word().load(Ordering::Relaxed) != 0
    }

    pub(in crate::shm) fn is_free(&self, entry: &PlanEntry) -> bool {
        self.claim_word(entry.test).load(Ordering::Relaxed) == 0
    }

    /// Whether the test of entry `index` can be claimed, as far as one can see.
    pub(in crate::shm) fn free_at(&self, index: u32) -> bool {
        self.is_free(&self.plan().entries[index as usize])
            && self
                .unit_head(index)
                .is_none_or(|head| self.hold_word(head).load(Ordering::Relaxed) == 0)
    }

    /// Takes the unit that begins at `head` for the worker whose claim word is `word`.
    pub(in crate::shm) fn hold(&self, head: u32, word: u32) -> bool {
        let hold = self.hold_word(head);
        // Acquire: pairs with the release in `release_units`.
        hold.load(Ordering::Relaxed) == 0
            && hold
                .compare_exchange(0, word, Ordering::Acquire, Ordering::Relaxed)
                .is_ok()
    }
}
