//! Who runs which test: claim words, and the walk of a worker through the plan.
//!
//! A claim word is the single truth about its test, and nothing else is published through it: all accesses are relaxed.
//! Whatever a worker believes about the plan (ranges it adopted, windows it narrowed) is only a hint where to look.

use super::sync::Ordering;
use super::{PlanEntry, Segment};

/// Windows longer than this are weighed by prefix sums instead of looking at each claim.
const EXACT: u32 = 4096;

/// A claim word: 0 is free.
fn word(slot: u16, incarnation: u16) -> u32 {
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
        let slot = (word as u16).checked_sub(1)?;
        Some((slot, (word >> 16) as u16))
    }

    /// Makes a claim free again; `false` when it was not this worker's.
    ///
    /// Only for a worker that was reaped: one that lives may run the test.
    ///
    /// # Panics
    /// When there is no such test.
    pub fn release(&self, test: u32, slot: u16, incarnation: u16) -> bool {
        let freed = self
            .claim_word(test)
            .compare_exchange(
                word(slot, incarnation),
                0,
                Ordering::Relaxed,
                Ordering::Relaxed,
            )
            .is_ok();
        if freed {
            // Release: pairs with the acquire load in `Walker::pick`; who sees the new epoch sees the free claim.
            self.epoch().fetch_add(1, Ordering::Release);
        }
        freed
    }

    /// Planned tests that nobody has claimed. Looks at every claim.
    #[must_use]
    pub fn unclaimed(&self) -> u32 {
        let free = self
            .plan()
            .entries
            .iter()
            .filter(|entry| self.is_free(entry));
        u32::try_from(free.count()).unwrap_or(u32::MAX)
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

    fn free_at(&self, index: u32) -> bool {
        self.is_free(&self.plan().entries[index as usize])
    }
}

/// A worker's way through the plan: positions in `PlanTable::entries`.
#[derive(Debug)]
pub(super) struct Walker {
    word: u32,
    /// What is left of the range being walked: the worker's own part first, then ranges of others.
    next: u32,
    end: u32,
    /// What others may have left, known once this worker's own part is exhausted.
    rest: Option<Rest>,
}

/// What may be unclaimed: per part a window, outside of which everything is claimed.
#[derive(Debug)]
struct Rest {
    epoch: u32,
    windows: Vec<(u32, u32)>,
    /// `sums[i]`: cost of the entries before `i`.
    sums: Vec<u64>,
}

impl Walker {
    pub fn new(segment: &Segment, slot: u16, incarnation: u16) -> Self {
        let (start, len) = segment.plan().parts[usize::from(slot)];
        Self {
            word: word(slot, incarnation),
            next: start,
            end: start + len,
            rest: None,
        }
    }

    /// Claims a test; `None` when there is none left to claim, or all were told to stop.
    pub fn claim(&mut self, segment: &Segment) -> Option<u32> {
        loop {
            while self.next < self.end {
                if segment.stopped() {
                    return None;
                }
                let test = segment.plan().entries[self.next as usize].test;
                self.next += 1;
                let claim = segment.claim_word(test);
                // The load first: a failed compare-exchange takes the cache line away from its owner.
                if claim.load(Ordering::Relaxed) == 0
                    && claim
                        .compare_exchange(0, self.word, Ordering::Relaxed, Ordering::Relaxed)
                        .is_ok()
                {
                    return Some(test);
                }
            }
            (self.next, self.end) = self.pick(segment)?;
        }
    }

    /// Whether the worker has left its own part.
    pub fn stealing(&self) -> bool {
        self.rest.is_some()
    }

    /// How many claims had been given back when it last looked for others' work.
    #[cfg(all(test, loom))]
    pub fn epoch(&self) -> u32 {
        self.rest.as_ref().map_or(0, |rest| rest.epoch)
    }

    /// Chooses the next range to walk; it had an unclaimed test when looked at.
    fn pick(&mut self, segment: &Segment) -> Option<(u32, u32)> {
        if segment.stopped() {
            return None;
        }
        let rest = self.rest.get_or_insert_with(|| Rest::new(segment));
        loop {
            // Acquire: pairs with the release in `Segment::release`.
            let epoch = segment.epoch().load(Ordering::Acquire);
            if epoch != rest.epoch {
                *rest = Rest {
                    epoch,
                    ..Rest::new(segment)
                };
            }
            if let Some(range) = rest.heaviest(segment) {
                return Some(range);
            }
            // A claim given back during the search counts: `None` is final.
            if segment.epoch().load(Ordering::Acquire) == epoch {
                return None;
            }
        }
    }
}

impl Rest {
    fn new(segment: &Segment) -> Self {
        let plan = segment.plan();
        let mut sum = 0;
        let sums = std::iter::once(0)
            .chain(plan.entries.iter().map(|entry| {
                sum += weight(entry);
                sum
            }))
            .collect();
        Self {
            epoch: 0,
            windows: plan
                .parts
                .iter()
                .map(|&(start, len)| (start, start + len))
                .collect(),
            sums,
        }
    }

    /// A range in the part with most work left.
    fn heaviest(&mut self, segment: &Segment) -> Option<(u32, u32)> {
        let mut best: Option<(u64, usize)> = None;
        for part in 0..self.windows.len() {
            let (mut low, mut high) = self.windows[part];
            while low < high && !segment.free_at(low) {
                low += 1;
            }
            while low < high && !segment.free_at(high - 1) {
                high -= 1;
            }
            self.windows[part] = (low, high);
            if low == high {
                continue;
            }
            let left = self.left(segment, low, high);
            if best.is_none_or(|(most, _)| left > most) {
                best = Some((left, part));
            }
        }
        best.map(|(_, part)| choose(segment, segment.plan().parts[part], self.windows[part]))
    }

    /// Cost of what is unclaimed in a window.
    fn left(&self, segment: &Segment, low: u32, high: u32) -> u64 {
        if high - low > EXACT {
            return self.sums[high as usize] - self.sums[low as usize];
        }
        let entries = &segment.plan().entries[low as usize..high as usize];
        let free = entries.iter().filter(|entry| segment.is_free(entry));
        free.map(weight).sum()
    }
}

/// A test of unknown cost still counts.
fn weight(entry: &PlanEntry) -> u64 {
    u64::from(entry.cost_us.max(1))
}

/// The range to take from a part whose window begins and ends with unclaimed entries: its last unit that nobody has begun;
/// when there is none, the back half of what is unclaimed of the unit with most of that.
fn choose(segment: &Segment, (first, len): (u32, u32), (low, high): (u32, u32)) -> (u32, u32) {
    let unit_at = |index: u32| segment.plan().entries[index as usize].unit;
    let mut most: Option<(u64, u32, u32)> = None;
    let mut end = high;
    while end > low {
        let mut start = end - 1;
        while start > low && unit_at(start - 1) == unit_at(end - 1) {
            start -= 1;
        }
        // What the window cuts off was claimed, so a unit that it cuts is begun.
        let cut = (start == low && start > first && unit_at(start - 1) == unit_at(start))
            || (end == high && end < first + len && unit_at(end) == unit_at(end - 1));
        let mut free = 0;
        let mut cost = 0;
        for index in start..end {
            if segment.free_at(index) {
                free += 1;
                cost += weight(&segment.plan().entries[index as usize]);
            }
        }
        if free == end - start && !cut {
            return (start, end);
        }
        if free > 0 && most.is_none_or(|(least, ..)| cost > least) {
            most = Some((cost, start, end));
        }
        end = start;
    }
    // Claimed in the meantime: the walk finds nothing there, and asks again.
    let Some((_, start, end)) = most else {
        return (low, high);
    };
    let free: Vec<u32> = (start..end)
        .filter(|index| segment.free_at(*index))
        .collect();
    free.get(free.len() / 2)
        .map_or((start, end), |middle| (*middle, end))
}
