//! What a worker without work takes over from others.

use std::cmp::Reverse;

use super::{PlanEntry, Segment};

/// Windows longer than this are weighed by prefix sums instead of looking at each claim.
const EXACT: u32 = 4096;

/// An answer to: what next?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// Entries to walk, from the first to before the last; one of them was free.
    Range(u32, u32),
    /// All that is free would be finished later if it was taken over.
    Later,
    /// Nothing is free.
    Nothing,
}

/// What may be unclaimed: per part a window, outside of which nothing is free.
#[derive(Debug)]
pub(super) struct Rest {
    windows: Vec<(u32, u32)>,
    /// `sums[i]`: cost of the entries before `i`.
    sums: Vec<u64>,
}

impl Rest {
    pub fn new(segment: &Segment) -> Self {
        let plan = segment.plan();
        let mut sum = 0;
        let sums = std::iter::once(0)
            .chain(plan.entries.iter().map(|entry| {
                sum += weight(entry);
                sum
            }))
            .collect();
        Self {
            windows: plan
                .parts
                .iter()
                .map(|&(start, len)| (start, start + len))
                .collect(),
            sums,
        }
    }

    /// A range in the part with most work left; in another one where that does not pay.
    pub fn choose(&mut self, segment: &Segment) -> Choice {
        let mut parts: Vec<(u64, usize)> = Vec::with_capacity(self.windows.len());
        for part in 0..self.windows.len() {
            let (mut low, mut high) = self.windows[part];
            while low < high && !segment.free_at(low) {
                low += 1;
            }
            while low < high && !segment.free_at(high - 1) {
                high -= 1;
            }
            self.windows[part] = (low, high);
            if low < high {
                parts.push((self.left(segment, low, high), part));
            }
        }
        if parts.is_empty() {
            return Choice::Nothing;
        }
        // Stable: among equals the lowest slot.
        parts.sort_by_key(|&(left, _)| Reverse(left));
        let chosen = parts.iter().find_map(|&(left, part)| {
            Part {
                segment,
                slot: part as u16,
                left,
            }
            .choose(self.windows[part])
        });
        chosen.map_or(Choice::Later, |(start, end)| Choice::Range(start, end))
    }

    /// Cost of what is unclaimed in a window.
    fn left(&self, segment: &Segment, low: u32, high: u32) -> u64 {
        if high - low > EXACT {
            return self.sums[high as usize] - self.sums[low as usize];
        }
        let entries = &segment.plan().entries;
        let free = (low..high).filter(|index| segment.free_at(*index));
        free.map(|index| weight(&entries[index as usize])).sum()
    }
}

/// A test of unknown cost still counts.
fn weight(entry: &PlanEntry) -> u64 {
    u64::from(entry.cost_us.max(1))
}

/// A part from which something may be taken over.
struct Part<'a> {
    segment: &'a Segment,
    slot: u16,
    /// Cost of what is unclaimed in it.
    left: u64,
}

impl Part<'_> {
    fn entry(&self, index: u32) -> &PlanEntry {
        &self.segment.plan().entries[index as usize]
    }

    fn same_unit(&self, one: u32, other: u32) -> bool {
        self.entry(one).unit == self.entry(other).unit
    }

    /// The range to take, of a window that begins and ends with free entries: the last unit that nobody has begun; when
    /// there is none, the back of the unit of which most is unclaimed. `None`: nothing is worth it.
    fn choose(&self, (low, high): (u32, u32)) -> Option<(u32, u32)> {
        let (first, len) = self.segment.plan().parts[usize::from(self.slot)];
        let mut most: Option<(u64, u32, u32)> = None;
        let mut end = high;
        while end > low {
            let mut start = end - 1;
            while start > low && self.same_unit(start - 1, end - 1) {
                start -= 1;
            }
            let mut free = 0;
            let mut cost = 0;
            for index in start..end {
                if self.segment.free_at(index) {
                    free += 1;
                    cost += weight(self.entry(index));
                }
            }
            // Undivided units are free as long as nobody has them, even if one who had it died in it.
            let kept = self.entry(start).keep;
            // What the window cuts off was claimed, so a unit that it cuts is begun.
            let cut = (start == low && start > first && self.same_unit(start - 1, start))
                || (end == high && end < first + len && self.same_unit(end, end - 1));
            if free > 0 && (kept || free == end - start && !cut) && self.pays(start, cost) {
                // All of it: what was given back a moment ago would be nobody's, once the unit is held.
                let whole = self.segment.unit_range(start);
                return Some(whole.unwrap_or((start, end)));
            }
            if free > 0 && !kept && most.is_none_or(|(least, ..)| cost > least) {
                most = Some((cost, start, end));
            }
            end = start;
        }
        let (_, start, end) = most?;
        self.divide(start, end)
    }

    /// When entries of this cost would be finished if they are taken over; `None` if that is not earlier than their owner
    /// would be done, by more than the set-ups cost that have to be made again.
    fn finished(&self, cost: u64, enter: u64, running: Option<u64>) -> Option<u64> {
        let ours = cost + enter;
        let Some(running) = running else {
            // Nobody else is there to do it.
            return Some(ours);
        };
        (enter == 0 || ours + enter < self.left + running).then_some(ours)
    }

    /// Whether taking over entries from `start` on, of this cost, pays.
    fn pays(&self, start: u32, cost: u64) -> bool {
        let enter = u64::from(self.entry(start).enter_us);
        enter == 0 || self.finished(cost, enter, self.in_flight()).is_some()
    }

    /// The back of what is free in a unit, so that this worker and the owner finish it about together.
    fn divide(&self, start: u32, end: u32) -> Option<(u32, u32)> {
        let free: Vec<u32> = (start..end)
            .filter(|index| self.segment.free_at(*index))
            .collect();
        if free.is_empty() {
            // Claimed in the meantime: the walk finds nothing there, and asks again.
            return Some((start, end));
        }
        let running = self.in_flight();
        let all = self.left + running.unwrap_or(0);
        let mut taken = 0;
        let mut best: Option<(u64, u32)> = None;
        for &index in free.iter().rev() {
            taken += weight(self.entry(index));
            let enter = u64::from(self.entry(index).enter_us);
            let Some(ours) = self.finished(taken, enter, running) else {
                continue;
            };
            let finished = ours.max(all.saturating_sub(taken));
            if best.is_none_or(|(least, _)| finished <= least) {
                best = Some((finished, index));
            }
        }
        best.map(|(_, index)| (index, end))
    }

    /// What the test that the owner is running will still take, µs; `None` when there is no owner, or it is about to begin:
    /// nobody is waited for.
    ///
    /// A test that takes longer than estimated is assumed to take as long again: who waits for it stops waiting after a
    /// while, whatever the estimate was.
    fn in_flight(&self) -> Option<u64> {
        let state = self.segment.slot_state(self.slot);
        let test = state.current?;
        let (first, len) = self.segment.plan().parts[usize::from(self.slot)];
        let estimate = (first..first + len)
            .map(|index| self.entry(index))
            .find(|entry| entry.test == test)
            .map_or(0, weight);
        let elapsed = self.segment.now_ns().saturating_sub(state.started_ns) / 1000;
        Some(if elapsed < estimate {
            estimate - elapsed
        } else {
            elapsed
        })
    }
}
