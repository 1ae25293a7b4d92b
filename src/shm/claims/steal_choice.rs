//! Whether it is worth while to take over a part of what another worker has before it, and which.

use super::remaining_work::{Queue, Rest};
use super::seeker::Seeker;
use crate::shm::{PlanEntry, Segment};

/// What a set-up or a fork costs, divided by this, has to be gained at least: workers share
/// processors, disks and servers.
pub(in crate::shm) const SET_UP_COUNTS: u64 = 4;

/// A worker that considers taking over a part of a queue.
pub(in crate::shm) struct Thief<'a> {
    pub rest: &'a Rest,
    pub segment: &'a Segment,
    pub queue: &'a Queue,
    pub seeker: &'a Seeker,
    /// Others are not done before, µs from now.
    pub floor: u64,
}

impl Thief<'_> {
    fn entry(&self, index: u32) -> &PlanEntry {
        &self.segment.plan().entries[index as usize]
    }

    /// The range to take: the back of the queue from the entry on with which both are done first,
    /// through which the worker then goes upwards. A unit that nobody has begun is divided only if
    /// that costs no set-up. `None`: nothing is worth it.
    pub fn choose(&self) -> Option<(u32, u32)> {
        let end = self.queue.pieces.last()?.end;
        let mut taken = 0;
        let mut best: Option<(u64, bool, u32)> = None;
        let mut offer = |start: u32, taken: u64, is_whole: bool| {
            // Among equals whole units, and of them the larger part.
            if let Some(finished) = self.finished(start, end, taken)
                && best.is_none_or(|(least, whole, _)| {
                    (finished, !is_whole) < (least, !whole)
                        || (finished, is_whole) == (least, whole)
                })
            {
                best = Some((finished, is_whole, start));
            }
        };
        for piece in self.queue.pieces.iter().rev() {
            let entry = self.entry(piece.start);
            if piece.whole && (entry.keep || entry.enter_us > 0 || entry.paid_us > 0) {
                taken += piece.cost;
                offer(piece.start, taken, true);
                continue;
            }
            for index in (piece.start..piece.end).rev() {
                taken += self.rest.weight(self.segment, index);
                offer(index, taken, piece.whole && index == piece.start);
            }
        }
        let (_, _, start) = best?;
        // All of it: what was given back a moment ago would be nobody's, once the unit is held.
        let whole = self.segment.unit_range(start);
        Some((whole.map_or(start, |(first, _)| first), end))
    }

    /// When both are done if entries of this cost are taken over; `None` if set-ups have to be made
    /// again for it, and that does not pay: the other one alone would be done hardly later, or
    /// others are anyway.
    fn finished(&self, start: u32, end: u32, cost: u64) -> Option<u64> {
        let is_behind = !self.seeker.may_run(self.entry(start).rank);
        let enter = self.enter(start) + if is_behind { self.seeker.fork_us } else { 0 };
        let again = self.again(start, end);
        let all = self.queue.all(self.seeker);
        let finished = (cost + enter).max(all - cost + again);
        let pays = match self.queue.running {
            _ if enter + again == 0 => true,
            // The work was this worker's own to do.
            _ if self.queue.owner == Some(self.seeker.slot) => true,
            // Nobody else is there to do it.
            None if !is_behind => true,
            // A worker that is about to begin needs no fork in somebody else's place, which would
            // take as long as its own.
            None => self.is_vacant() && cost + enter < all,
            // A worker that waits for a test that hangs has nothing better to do.
            Some(running) if running.late => cost + enter < all,
            Some(_) => finished.max(self.floor) + (enter + again) / SET_UP_COUNTS < all,
        };
        pays.then_some(finished)
    }

    /// Whether nobody is at the queue, or on the way there.
    fn is_vacant(&self) -> bool {
        let owner = self.queue.owner;
        owner.is_some_and(|slot| self.segment.slot_state(slot).vacant)
    }

    /// What entering the module of an entry costs this worker on top.
    pub fn enter(&self, start: u32) -> u64 {
        let entry = self.entry(start);
        if self.seeker.module == Some(entry.module) && self.seeker.may_run(entry.rank) {
            0
        } else {
            self.rest.toll(self.segment, start, entry.enter_us)
        }
    }

    /// What entering the module costs the other one on top, who would have done so with what is
    /// taken.
    pub fn again(&self, start: u32, end: u32) -> u64 {
        let first = self.entry(start);
        let next = self.segment.plan().entries.get(end as usize);
        let stays =
            |next: &&PlanEntry| next.module == first.module && first.enter_us < next.enter_us;
        let is_theirs = |_: &&PlanEntry| {
            let mut pieces = self.queue.pieces.iter();
            pieces.any(|piece| (piece.start..piece.end).contains(&end))
        };
        next.filter(stays).filter(is_theirs).map_or(0, |next| {
            self.rest
                .toll(self.segment, end, next.enter_us - first.enter_us)
        })
    }
}
