//! What a worker without work takes over from others, or has a fresh fork take over.

use super::measured_module_setup_costs::ONE;
use super::remaining_work::{Open, Queue, Rest};
use super::seeker::Seeker;
use super::steal_choice::{SET_UP_COUNTS, Thief};
use crate::shm::Segment;

/// An answer to: what next?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::shm) enum Choice {
    /// Entries to walk, from the first to before the last; one of them was free, and comes after
    /// all that the worker has run.
    Range(u32, u32),
    /// The entry with which a fresh fork in the worker's place had better begin.
    Fork(u32),
    /// All that is free would be finished later if it was taken over.
    Later,
    /// Nothing is free.
    Nothing,
}

impl Rest {
    /// Something for a worker: from whoever would be done last, and from another one where that
    /// does not pay.
    pub fn choose(&mut self, segment: &Segment, seeker: &Seeker) -> Choice {
        let queues = self.queues(segment);
        let open = self.open(segment);
        if queues.is_empty() && open.is_none() {
            return Choice::Nothing;
        }
        let slots = 0..segment.spec().slots;
        let tests = slots.filter_map(|slot| self.running(segment, slot));
        // How long a test takes that is late, nobody knows.
        let tests = tests.filter(|running| !running.late);
        let mut floor = tests.map(|running| running.left).max().unwrap_or(0);
        for queue in &queues {
            let thief = Thief {
                rest: self,
                segment,
                queue,
                seeker,
                floor,
            };
            if let Some((start, end)) = thief.choose() {
                let rank = segment.plan().entries[start as usize].rank;
                return if seeker.may_run(rank) {
                    Choice::Range(start, end)
                } else {
                    Choice::Fork(start)
                };
            }
            floor = floor.max(queue.all(seeker));
        }
        match open {
            Some(open) if self.open_pays(segment, seeker, &open, &queues) => {
                Choice::Fork(open.first)
            }
            _ => Choice::Later,
        }
    }

    /// Whether what is open to all, and lies behind the worker, is done earlier if a fresh fork in
    /// its place helps.
    fn open_pays(&self, segment: &Segment, seeker: &Seeker, open: &Open, queues: &[Queue]) -> bool {
        let entries = &segment.plan().entries;
        let first = &entries[open.first as usize];
        // Workers that will come to it without help, and when each has time for it.
        let others = (0..segment.spec().slots).filter(|&slot| slot != seeker.slot);
        let mut loads: Vec<u64> = others
            .filter_map(|slot| {
                let running = self.running(segment, slot)?;
                let is_before = entries[running.place as usize].rank < first.rank;
                let own = queues.iter().find(|queue| queue.owner == Some(slot));
                let left = if running.late { 0 } else { running.left };
                (is_before && !running.late).then(|| left + own.map_or(0, |queue| queue.left))
            })
            .collect();
        let cost = seeker.fork_us + self.toll(segment, open.first, first.enter_us);
        if loads.is_empty() {
            // Nobody, unless one is about to begin.
            let mut slots = 0..segment.spec().slots;
            let is_coming =
                slots.any(|slot| slot != seeker.slot && segment.slot_state(slot).is_starting());
            return !is_coming && seeker.waited >= cost;
        }
        let left = open.left * seeker.pace / u64::from(ONE);
        let without = level(&mut loads, left);
        loads.push(cost);
        level(&mut loads, left) + cost / SET_UP_COUNTS < without
    }
}

/// When all of `work` is done if it goes to who has least to do, until they have the same.
fn level(loads: &mut [u64], work: u64) -> u64 {
    loads.sort_unstable();
    let mut sum = work;
    let mut level = u64::MAX;
    for (count, &load) in (1..).zip(&*loads) {
        if load >= level {
            break;
        }
        sum += load;
        level = sum.div_ceil(count);
    }
    level
}
