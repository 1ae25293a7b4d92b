//! Which test each worker begins with: claimed for it before it is started.

use super::claim::word;
use super::sync::Ordering;
use super::{Segment, Sharing};

impl Segment {
    /// Claims for each first worker the test that it is to begin with, so that a quick one does not run a small plan alone while
    /// the others are being started. To be called before there are any workers, and after [`withhold`](Self::withhold).
    ///
    /// These claims are like any others: a worker that dies before it has run its first test leaves it to be released.
    pub fn reserve_firsts(&self) {
        let slots = self.spec().slots;
        match self.plan().sharing {
            Sharing::Steal => {
                for (slot, &(start, len)) in (0..slots).zip(&self.plan().parts) {
                    if let Some(index) = (start..start + len).find(|&index| self.free_at(index)) {
                        self.reserve(index, slot);
                    }
                }
            }
            Sharing::Queue => {
                let entries = &self.plan().entries;
                let begins = |&index: &u32| {
                    let at = index as usize;
                    at == 0 || entries[at - 1].unit != entries[at].unit
                };
                let firsts = (0..).take(entries.len()).filter(begins);
                for (slot, index) in (0..slots).zip(firsts.filter(|&index| self.free_at(index))) {
                    self.reserve(index, slot);
                }
            }
            // Nobody else takes from a worker's part.
            Sharing::Own => {}
        }
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

    /// The entry that was reserved for a worker.
    pub(super) fn reserved(&self, slot: u16, incarnation: u16) -> Option<u32> {
        let word = word(slot, incarnation);
        let entries = &self.plan().entries;
        let is_mine = |&index: &u32| {
            let test = entries[index as usize].test;
            self.claim_word(test).load(Ordering::Relaxed) == word
        };
        if incarnation != 0 {
            return None;
        }
        match self.plan().sharing {
            Sharing::Steal => {
                let (start, len) = self.plan().parts[usize::from(slot)];
                (start..start + len).find(is_mine)
            }
            Sharing::Queue => (0..).take(entries.len()).find(is_mine),
            Sharing::Own => None,
        }
    }
}
