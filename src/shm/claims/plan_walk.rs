//! The way of a worker through the plan.
//!
//! **It only ever goes upwards.** Each entry has a rank, its place in the order of collection, and
//! a process claims nothing that does not come after all that it has claimed: what ran before a
//! test in its process came before it in the collection, too, as under pytest-xdist's `load`. That
//! is enforced where a claim is made ([`Walker::take`]), whatever plan and stealing think.
//!
//! Work that lies behind a worker is another's, or it ends its session and is followed by a fresh
//! fork in its slot, which has seen nothing. That one's first test is claimed for it, as those of
//! the first workers are ([`super::first_claims`]), before its predecessor leaves: nobody else
//! takes it meanwhile.

use super::claim::word;
use super::measured_module_setup_costs::ONE;
use super::remaining_work::Rest;
use super::seeker::{FORK_US, Seeker};
use super::steal::Choice;
use crate::shm::sync::Ordering;
use crate::shm::{Segment, Sharing};

/// A worker's way through the plan: positions in `PlanTable::entries`.
#[derive(Debug)]
pub(in crate::shm) struct Walker {
    word: u32,
    slot: u16,
    incarnation: u16,
    /// The entry that was claimed for it before it was started.
    first: Option<u32>,
    /// Rank of the test that it claimed last: it claims nothing that does not come after it.
    floor: Option<u32>,
    /// What is left of the range being walked: of a unit.
    next: u32,
    end: u32,
    /// What is left of its own part.
    own: (u32, u32),
    /// Its place in the queue of what is open to all, an index of `Segment::queue`: what stands
    /// before is claimed, or a unit of another.
    queued: usize,
    /// The same with what stands in units of others.
    joined: usize,
    /// First entry of the undivided unit that it took last.
    held: Option<u32>,
    /// Module of the test that it claimed last.
    module: Option<u32>,
    /// What others may have left, known once this worker has nothing of its own.
    rest: Option<Rest>,
    /// Whether it runs what another was meant to run.
    stealing: bool,
    /// There was work left that was not worth taking over.
    declined: bool,
    /// Since when it has found nothing, ns.
    idle_since: Option<u64>,
    /// The open tests that it has run: what they took, ns, and were planned to take, µs. Light
    /// tests all count the same: how much that is, is known only now.
    took: u64,
    planned: u64,
    /// When it claimed its last test, and what that counts if it was open.
    claimed: (u64, u64),
    /// A fresh fork is to go on in its place: it claims nothing any more.
    succeeded: bool,
    pub(in crate::shm) fork_us: u64,
    /// How many claims had been given back when it last looked for others' work.
    epoch: u32,
}

impl Walker {
    pub fn new(segment: &Segment, slot: u16, incarnation: u16) -> Self {
        let plan = segment.plan();
        let (start, len) = plan.parts[usize::from(slot)];
        let own = match plan.sharing {
            Sharing::Steal | Sharing::Own => (start, start + len),
            Sharing::Queue => (0, 0),
        };
        Self {
            word: word(slot, incarnation),
            slot,
            incarnation,
            first: segment.reserved(slot, incarnation),
            floor: None,
            next: 0,
            end: 0,
            own,
            queued: 0,
            joined: 0,
            held: None,
            module: None,
            rest: None,
            stealing: false,
            declined: false,
            idle_since: None,
            took: 0,
            planned: 0,
            claimed: (0, 0),
            succeeded: false,
            fork_us: FORK_US,
            epoch: 0,
        }
    }

    /// Claims a test; `None` when there is none left to claim, none worth it, or all were told to
    /// stop.
    pub fn claim(&mut self, segment: &Segment) -> Option<u32> {
        self.declined = false;
        if self.succeeded || segment.stopped() {
            return None;
        }
        if let Some(index) = self.first.take() {
            // What stands before it is another's or withheld: an epoch tells when that changes.
            self.walk(segment, index);
            self.next += 1;
            self.held = segment.unit_head(index);
            return Some(self.begin(segment, index));
        }
        loop {
            while self.next < self.end {
                if segment.stopped() {
                    return None;
                }
                let index = self.next;
                self.next += 1;
                if let Some(test) = self.take(segment, index) {
                    self.idle_since = None;
                    return Some(test);
                }
            }
            if let Some(index) = self.next_unit(segment) {
                self.walk(segment, index);
            } else {
                (self.next, self.end) = self.pick(segment)?;
            }
        }
    }

    /// Claims the test of an entry, if it is free and comes after all that this process has
    /// claimed.
    fn take(&mut self, segment: &Segment, index: u32) -> Option<u32> {
        let entry = &segment.plan().entries[index as usize];
        if self.floor.is_some_and(|floor| entry.rank <= floor) {
            return None;
        }
        let claim = segment.claim_word(entry.test);
        // The load first: a failed compare-exchange takes the cache line away from its owner.
        if claim.load(Ordering::Relaxed) != 0 {
            return None;
        }
        if let Some(head) = segment.unit_head(index)
            && self.held != Some(head)
        {
            if !segment.hold(head, self.word) {
                // Another's: nothing in it is for us.
                while self.next < self.end && segment.unit_head(self.next) == Some(head) {
                    self.next += 1;
                }
                return None;
            }
            self.held = Some(head);
        }
        claim
            .compare_exchange(0, self.word, Ordering::Relaxed, Ordering::Relaxed)
            .ok()?;
        Some(self.begin(segment, index))
    }

    /// The test of an entry that it has claimed.
    fn begin(&mut self, segment: &Segment, index: u32) -> u32 {
        let entry = &segment.plan().entries[index as usize];
        if !segment.queue().is_empty() {
            let now = segment.now_ns();
            let (before, cost) = self.claimed;
            if cost > 0 {
                self.took += now.saturating_sub(before);
                self.planned += cost;
            }
            self.claimed = (
                now,
                if entry.open {
                    u64::from(entry.cost_us.max(1))
                } else {
                    0
                },
            );
        }
        debug_assert!(self.floor.is_none_or(|floor| entry.rank > floor));
        self.floor = Some(entry.rank);
        self.module = Some(entry.module);
        entry.test
    }

    /// Goes on with a unit, from one of its entries on.
    fn walk(&mut self, segment: &Segment, index: u32) {
        let entries = &segment.plan().entries;
        let part = segment.part_of(index);
        let unit = entries[index as usize].unit;
        let rest = &entries[index as usize..part.1 as usize];
        let len = rest.iter().take_while(|entry| entry.unit == unit).count();
        (self.next, self.end) = (index, index + len as u32);
    }

    /// Whether this worker may take the entry, as far as one can see.
    fn is_free(&self, segment: &Segment, index: u32) -> bool {
        let entry = &segment.plan().entries[index as usize];
        let held = segment.unit_head(index);
        self.floor.is_none_or(|floor| entry.rank > floor)
            && (segment.free_at(index)
                || (held.is_some() && held == self.held && segment.is_free(entry)))
    }

    /// Where it goes on: in its own part, or with what is open to all.
    fn next_unit(&mut self, segment: &Segment) -> Option<u32> {
        let plan = segment.plan();
        if plan.sharing == Sharing::Own {
            return self.next_own(segment);
        }
        while self.own.0 < self.own.1
            && (plan.entries[self.own.0 as usize].open || !self.is_free(segment, self.own.0))
        {
            self.own.0 += 1;
        }
        let own = (self.own.0 < self.own.1).then_some(self.own.0);
        let open = self.next_open(segment);
        segment.own_or_open(own, open, |open| self.is_due(segment, open))
    }

    /// What is open to all and comes next: a unit that nobody is in, since its tests share
    /// fixtures; else what another one has not come to.
    fn next_open(&mut self, segment: &Segment) -> Option<u32> {
        let queue = segment.queue();
        let unit = |index: u32| segment.plan().entries[index as usize].unit;
        let mut anothers = None;
        while let Some(&index) = queue.get(self.queued) {
            if self.is_free(segment, index) && anothers != Some(unit(index)) {
                if !self.is_anothers(segment, index) {
                    return Some(index);
                }
                anothers = Some(unit(index));
            }
            self.queued += 1;
        }
        while let Some(&index) = queue.get(self.joined) {
            if self.is_free(segment, index) {
                return Some(index);
            }
            self.joined += 1;
        }
        None
    }

    /// Whether an entry stands behind one of its unit that a worker has claimed which may still be
    /// there.
    fn is_anothers(&self, segment: &Segment, index: u32) -> bool {
        let entries = &segment.plan().entries;
        let Some(before) = index.checked_sub(1).map(|index| &entries[index as usize]) else {
            return false;
        };
        before.unit == entries[index as usize].unit
            && segment
                .claim_of(before.test)
                .is_some_and(|(slot, incarnation)| {
                    let state = segment.slot_state(slot);
                    slot != self.slot && state.incarnation == incarnation && !state.vacant
                })
    }

    /// What comes next in a part that is an instruction. Where the ranks of the part go down,
    /// another process begins.
    fn next_own(&mut self, segment: &Segment) -> Option<u32> {
        let entries = &segment.plan().entries;
        while self.own.0 < self.own.1 && !segment.free_at(self.own.0) {
            let held = segment.unit_head(self.own.0);
            if held.is_some() && held == self.held && segment.is_free(&entries[self.own.0 as usize])
            {
                break;
            }
            self.own.0 += 1;
        }
        let next = (self.own.0 < self.own.1).then_some(self.own.0)?;
        let rank = entries[next as usize].rank;
        self.floor.is_none_or(|floor| rank > floor).then_some(next)
    }

    /// How many times as long as planned open tests take, in units of [`ONE`].
    fn pace(&self) -> u64 {
        let took = self.took / 1000;
        // As long as little is known, the pace is as planned.
        let (took, planned) = (took + FORK_US, self.planned + FORK_US);
        (took * u64::from(ONE) / planned).clamp(u64::from(ONE) / 16, u64::from(ONE) * 16)
    }

    /// Whether its own next unit must begin before something that comes before it in the
    /// collection, because all would wait for it else.
    fn is_due(&mut self, segment: &Segment, open: u32) -> bool {
        let (slot, pace) = (self.slot, self.pace());
        let rest = self.rest.get_or_insert_with(|| Rest::new(segment));
        rest.is_due(segment, slot, open, pace)
    }

    /// Whether the worker has left its own part.
    pub fn stealing(&self) -> bool {
        self.stealing
    }

    /// Whether the last claim found work that was not worth taking over at that time.
    pub fn declined(&self) -> bool {
        self.declined
    }

    /// Whether a fresh fork is to go on in its place.
    pub fn succeeded(&self) -> bool {
        self.succeeded
    }

    /// How many claims had been given back when it last looked for others' work.
    #[cfg(all(test, loom))]
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Chooses the next range to walk; it had an unclaimed test when looked at.
    fn pick(&mut self, segment: &Segment) -> Option<(u32, u32)> {
        self.stealing |= segment.plan().sharing != Sharing::Own;
        loop {
            if segment.stopped() {
                return None;
            }
            // Acquire: pairs with the release in `new_epoch`.
            let epoch = segment.epoch().load(Ordering::Acquire);
            if std::mem::replace(&mut self.epoch, epoch) != epoch {
                // Something was given back, perhaps where it has been.
                self.rest = None;
                (self.queued, self.joined) = (0, 0);
                if segment.plan().sharing != Sharing::Queue {
                    self.own.0 = segment.plan().parts[usize::from(self.slot)].0;
                }
                if let Some(index) = self.next_unit(segment) {
                    self.walk(segment, index);
                    return Some((self.next, self.end));
                }
            }
            if segment.plan().sharing != Sharing::Steal {
                return None;
            }
            let now = segment.now_ns();
            let since = *self.idle_since.get_or_insert(now);
            let seeker = Seeker {
                slot: self.slot,
                module: self.module,
                floor: self.floor,
                fork_us: self.fork_us,
                waited: now.saturating_sub(since) / 1000,
                pace: self.pace(),
            };
            let rest = self.rest.get_or_insert_with(|| Rest::new(segment));
            match rest.choose(segment, &seeker) {
                Choice::Range(start, end) => return Some((start, end)),
                Choice::Fork(index) => {
                    let next = self.incarnation.checked_add(1);
                    if next.is_some_and(|next| segment.reserve_for(index, word(self.slot, next))) {
                        self.succeeded = true;
                        return None;
                    }
                    next?;
                }
                Choice::Later => {
                    self.declined = true;
                    return None;
                }
                Choice::Nothing => {
                    // A claim given back during the search counts: `None` is final.
                    if segment.epoch().load(Ordering::Acquire) == epoch {
                        return None;
                    }
                }
            }
        }
    }
}
