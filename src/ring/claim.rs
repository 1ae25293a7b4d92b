//! Who runs which test: claim words, hold words, and the walk of a worker through the plan.
//!
//! A claim word is the single truth about its test, and nothing else is published through it: its accesses are relaxed.
//! Whatever a worker believes about the plan (ranges it adopted, windows it narrowed) is only a hint where to look.
//!
//! A unit that must not be divided has a hold word besides, with the same values. A worker takes it before its first test of
//! the unit and never gives it back; when the worker is dead, the parent does. So at most one living worker claims tests
//! of the unit, however its tests were divided among the dead.

use super::steal::{Choice, Rest};
use super::sync::Ordering;
use super::{PlanEntry, Segment, Sharing};

/// The claim of a test that nobody may take yet; no worker's, because there are fewer slots.
const WITHHELD: u32 = u32::MAX;

/// How long a worker goes on in its own part before it looks again whether others have heavier units.
const LOOK_AGAIN_NS: u64 = 100_000_000;

/// A claim word: 0 is free.
pub(super) fn word(slot: u16, incarnation: u16) -> u32 {
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

    /// Gives back the undivided units of a worker that was reaped: another one may go on with them. To be called after
    /// its claims were [released](Self::release).
    pub fn release_units(&self, slot: u16, incarnation: u16) {
        let word = word(slot, incarnation);
        let mut any = false;
        for head in (0..).take(self.plan().entries.len()) {
            if self.unit_head(head) == Some(head) {
                // Release: pairs with the acquire in `hold`; who holds the unit next sees the released claims.
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

    /// Keeps all workers from `test` until [`hand_out`](Self::hand_out). To be called before there are any.
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

    fn new_epoch(&self) {
        // Release: pairs with the acquire load in `Walker::pick`; who sees the new epoch sees the free words.
        self.epoch().fetch_add(1, Ordering::Release);
    }

    /// Planned tests that a worker could claim: not withheld, not of a unit that another one holds. Looks at every claim.
    #[must_use]
    pub fn unclaimed(&self) -> u32 {
        let entries = u32::try_from(self.plan().entries.len()).unwrap_or(u32::MAX);
        self.free_in(0..entries)
    }

    /// Of these tests the ones that the worker of `slot` could claim.
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

    fn is_free(&self, entry: &PlanEntry) -> bool {
        self.claim_word(entry.test).load(Ordering::Relaxed) == 0
    }

    /// Whether the test of entry `index` can be claimed, as far as one can see.
    pub(super) fn free_at(&self, index: u32) -> bool {
        self.is_free(&self.plan().entries[index as usize])
            && self
                .unit_head(index)
                .is_none_or(|head| self.hold_word(head).load(Ordering::Relaxed) == 0)
    }

    /// Takes the unit that begins at `head` for the worker whose claim word is `word`.
    fn hold(&self, head: u32, word: u32) -> bool {
        let hold = self.hold_word(head);
        // Acquire: pairs with the release in `release_units`.
        hold.load(Ordering::Relaxed) == 0
            && hold
                .compare_exchange(0, word, Ordering::Acquire, Ordering::Relaxed)
                .is_ok()
    }
}

/// A worker's way through the plan: positions in `PlanTable::entries`.
#[derive(Debug)]
pub(super) struct Walker {
    word: u32,
    /// The entry that was claimed for it before it was started.
    first: Option<u32>,
    /// What is left of the range being walked: the worker's own part first, then ranges of others.
    next: u32,
    end: u32,
    /// First entry of the undivided unit that it took last.
    held: Option<u32>,
    /// Module and unit of the test that it claimed last.
    module: Option<u32>,
    unit: Option<u32>,
    /// Where it goes on in its own part after a heavier unit of another's.
    resume: Option<(u32, u32)>,
    /// When it last looked for one, ns.
    looked: u64,
    /// What others may have left, known once this worker's own part is exhausted.
    rest: Option<Rest>,
    /// It has left its own part.
    stealing: bool,
    /// There was work left that was not worth taking over.
    declined: bool,
    /// How many claims had been given back when it last looked for others' work.
    epoch: u32,
}

impl Walker {
    pub fn new(segment: &Segment, slot: u16, incarnation: u16) -> Self {
        let plan = segment.plan();
        let (next, end) = match plan.sharing {
            Sharing::Steal | Sharing::Own => {
                let (start, len) = plan.parts[usize::from(slot)];
                (start, start + len)
            }
            Sharing::Queue => (0, plan.entries.len() as u32),
        };
        Self {
            word: word(slot, incarnation),
            first: segment.reserved(slot, incarnation),
            next,
            end,
            held: None,
            module: None,
            unit: None,
            resume: None,
            looked: 0,
            stealing: false,
            rest: None,
            declined: false,
            epoch: 0,
        }
    }

    /// Claims a test; `None` when there is none left to claim, none worth it, or all were told to stop.
    pub fn claim(&mut self, segment: &Segment) -> Option<u32> {
        self.declined = false;
        if segment.stopped() {
            return None;
        }
        if let Some(index) = self.first.take() {
            // What stands before it is another's or withheld: an epoch tells when that changes.
            self.next = index + 1;
            self.held = segment.unit_head(index);
            let entry = &segment.plan().entries[index as usize];
            self.module = Some(entry.module);
            self.unit = Some(entry.unit);
            return Some(entry.test);
        }
        loop {
            while self.next < self.end {
                if segment.stopped() {
                    return None;
                }
                if let Some(range) = self.heavier(segment) {
                    self.resume = Some((self.next, self.end));
                    (self.next, self.end) = range;
                }
                let index = self.next;
                self.next += 1;
                if let Some(head) = segment.unit_head(index)
                    && self.held != Some(head)
                {
                    if !segment.hold(head, self.word) {
                        // Another's: nothing in it is for us.
                        while self.next < self.end && segment.unit_head(self.next) == Some(head) {
                            self.next += 1;
                        }
                        continue;
                    }
                    self.held = Some(head);
                }
                let entry = &segment.plan().entries[index as usize];
                let test = entry.test;
                let claim = segment.claim_word(test);
                // The load first: a failed compare-exchange takes the cache line away from its owner.
                if claim.load(Ordering::Relaxed) == 0
                    && claim
                        .compare_exchange(0, self.word, Ordering::Relaxed, Ordering::Relaxed)
                        .is_ok()
                {
                    self.module = Some(entry.module);
                    self.unit = Some(entry.unit);
                    return Some(test);
                }
            }
            (self.next, self.end) = match self.resume.take() {
                Some(own) => own,
                None => self.pick(segment)?,
            };
        }
    }

    /// Whether the worker has left its own part.
    pub fn stealing(&self) -> bool {
        self.stealing
    }

    /// Whether the last claim found work that was not worth taking over at that time.
    pub fn declined(&self) -> bool {
        self.declined
    }

    /// How many claims had been given back when it last looked for others' work.
    #[cfg(all(test, loom))]
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Another's unit that is to be done before the next one of the own part: only between two units, and not often.
    fn heavier(&mut self, segment: &Segment) -> Option<(u32, u32)> {
        let next = &segment.plan().entries[self.next as usize];
        if self.stealing
            || self.resume.is_some()
            || self.unit.is_none_or(|unit| unit == next.unit)
            // It would have to come back into a module.
            || next.enter_us > 0
            || segment.plan().sharing != Sharing::Steal
        {
            return None;
        }
        let now = segment.now_ns();
        if now.saturating_sub(self.looked) < LOOK_AGAIN_NS {
            return None;
        }
        self.looked = now;
        let slot = (self.word as u16).checked_sub(1)?;
        let rest = self.rest.get_or_insert_with(|| Rest::new(segment));
        rest.heavier(segment, slot, self.module)
    }

    /// Chooses the next range to walk; it had an unclaimed test when looked at.
    fn pick(&mut self, segment: &Segment) -> Option<(u32, u32)> {
        if segment.stopped() || segment.plan().sharing == Sharing::Own {
            return None;
        }
        self.stealing = true;
        let everything = (0, segment.plan().entries.len() as u32);
        loop {
            // Acquire: pairs with the release in `new_epoch`.
            let epoch = segment.epoch().load(Ordering::Acquire);
            let known = std::mem::replace(&mut self.epoch, epoch) == epoch;
            if segment.plan().sharing == Sharing::Queue {
                return (!known).then_some(everything);
            }
            let rest = self.rest.get_or_insert_with(|| Rest::new(segment));
            if !known {
                *rest = Rest::new(segment);
            }
            match rest.choose(segment, self.module) {
                Choice::Range(start, end) => return Some((start, end)),
                Choice::Later => {
                    self.declined = true;
                    return None;
                }
                Choice::Nothing => {}
            }
            // A claim given back during the search counts: `None` is final.
            if segment.epoch().load(Ordering::Acquire) == epoch {
                return None;
            }
        }
    }
}
