//! Which test a worker begins with: claimed for it before it is started.

use super::claim::word;
use super::measured_module_setup_costs::ONE;
use super::remaining_work::Rest;
use crate::shm::sync::Ordering;
use crate::shm::{Segment, Sharing};

impl Segment {
    /// Claims for each first worker the test that it is to begin with, so that a quick one does not
    /// run a small plan alone while the others are being started. To be called before there are any
    /// workers, and after [`withhold`](Self::withhold).
    ///
    /// These claims are like any others: a worker that dies before it has run its first test leaves
    /// it to be released.
    pub fn reserve_firsts(&self) {
        let plan = self.plan();
        if plan.sharing == Sharing::Own {
            // Nobody else takes from a worker's part.
            return;
        }
        let mut rest = Rest::new(self);
        let begins = |&index: &u32| {
            let at = index as usize;
            at == 0 || plan.entries[at - 1].unit != plan.entries[at].unit
        };
        let mut open = self.queue().iter().copied().filter(begins).peekable();
        for (slot, &(start, len)) in (0..self.spec().slots).zip(&plan.parts) {
            let own = match plan.sharing {
                Sharing::Steal => start..start + len,
                Sharing::Queue | Sharing::Own => 0..0,
            };
            let is_own = |&index: &u32| !plan.entries[index as usize].open && self.free_at(index);
            let own = own.clone().find(is_own);
            while open.next_if(|&index| !self.free_at(index)).is_some() {}
            let next = open.peek().copied();
            let is_due = |open| rest.is_due(self, slot, open, ONE.into());
            if let Some(index) = self.own_or_open(own, next, is_due) {
                self.reserve(index, slot);
            }
        }
    }

    /// Claims an entry for the worker that is to follow, whose claim word is `word`, or what is
    /// left of its unit if that is kept whole; `false`: another one was quicker.
    pub(in crate::shm) fn reserve_for(&self, index: u32, word: u32) -> bool {
        let head = self.unit_head(index);
        if head.is_some_and(|head| !self.hold(head, word)) {
            return false;
        }
        let (start, end) = self.unit_range(index).unwrap_or((index, index + 1));
        let claimed = (start..end).any(|index| {
            let test = self.plan().entries[index as usize].test;
            self.claim_word(test)
                .compare_exchange(0, word, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
        });
        if !claimed && let Some(head) = head {
            // Release: as in `release_units`.
            self.hold_word(head).store(0, Ordering::Release);
            self.new_epoch();
        }
        claimed
    }

    /// The test that a worker has claimed for the one that is to follow it in its slot, if it has.
    #[must_use]
    pub fn reserved_test(&self, slot: u16, incarnation: u16) -> Option<u32> {
        let index = self.reserved(slot, incarnation)?;
        Some(self.plan().entries[index as usize].test)
    }

    fn reserve(&self, index: u32, slot: u16) {
        let word = word(slot, 0);
        let test = self.plan().entries[index as usize].test;
        // Relaxed: workers are started, or told to attach, later.
        self.claim_word(test).store(word, Ordering::Relaxed);
        if let Some(head) = self.unit_head(index) {
            self.hold_word(head).store(word, Ordering::Relaxed);
        }
    }

    /// The entry that was reserved for a worker that has not claimed anything itself.
    pub(in crate::shm) fn reserved(&self, slot: u16, incarnation: u16) -> Option<u32> {
        let word = word(slot, incarnation);
        let entries = &self.plan().entries;
        let is_mine = |&index: &u32| {
            let test = entries[index as usize].test;
            self.claim_word(test).load(Ordering::Relaxed) == word
        };
        (0..).take(entries.len()).find(is_mine)
    }
}
