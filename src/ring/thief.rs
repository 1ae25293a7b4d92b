//! Whether it is worth while to take over a part of what another worker has before it, and which.

use std::cmp::Reverse;

use super::steal::Rest;
use super::{PlanEntry, Segment};

/// Which part of a set-up has to be gained at least: workers share processors, disks and servers.
const SET_UP_COUNTS: u64 = 4;

#[derive(Clone, Copy, Debug)]
pub(super) struct Running {
    pub place: u32,
    /// µs.
    pub left: u64,
    /// It takes so much longer than estimated that nobody knows when it ends.
    pub late: bool,
}

/// What one worker has before it; nobody else is on the way there.
#[derive(Debug)]
pub(super) struct Queue {
    /// The slot of which it is the part, unless the worker is a guest there.
    pub owner: Option<u16>,
    /// In the order of the plan.
    pub pieces: Vec<Piece>,
    /// Cost of what is unclaimed, µs.
    pub left: u64,
    /// What the worker is running; `None` when there is no worker, or it is about to begin: nobody is waited for.
    pub running: Option<Running>,
}

impl Queue {
    /// When it is empty if nobody helps, µs from now.
    pub fn all(&self) -> u64 {
        self.left + self.running.map_or(0, |running| running.left)
    }
}

/// Neighbours in a unit, all of them free.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece {
    pub start: u32,
    pub end: u32,
    pub cost: u64,
    /// It is the unit, and nobody has begun it.
    pub whole: bool,
}

/// A worker that considers taking over a part of a queue.
pub(super) struct Thief<'a> {
    pub rest: &'a Rest,
    pub segment: &'a Segment,
    pub queue: &'a Queue,
    /// Of its last test.
    pub module: Option<u32>,
    /// Others are not done before, µs from now.
    pub floor: u64,
}

impl Thief<'_> {
    fn entry(&self, index: u32) -> &PlanEntry {
        &self.segment.plan().entries[index as usize]
    }

    /// The range to take: of the units that nobody has begun the one with which both are done first; when there is none, the
    /// back of the piece that takes longest. `None`: nothing is worth it.
    pub fn choose(&self) -> Option<(u32, u32)> {
        let units = self.queue.pieces.iter().filter(|piece| piece.whole);
        let found = units
            .filter_map(|piece| Some((self.finished(piece.start, piece.end, piece.cost)?, piece)))
            // Among equals the last.
            .min_by_key(|(finished, piece)| (*finished, Reverse(piece.start)));
        if let Some((_, piece)) = found {
            // All of it: what was given back a moment ago would be nobody's, once the unit is held.
            let whole = self.segment.unit_range(piece.start);
            return Some(whole.unwrap_or((piece.start, piece.end)));
        }
        let pieces = self.queue.pieces.iter().filter(|piece| !piece.whole);
        self.divide(pieces.max_by_key(|piece| piece.cost)?)
    }

    /// When both are done if entries of this cost are taken over; `None` if set-ups have to be made again for it, and that does
    /// not pay: the other one alone would be done hardly later, or others are anyway.
    fn finished(&self, start: u32, end: u32, cost: u64) -> Option<u64> {
        let enter = self.enter(start);
        let again = self.again(start, end);
        let all = self.queue.all();
        let finished = (cost + enter).max(all - cost + again);
        let pays = match self.queue.running {
            _ if enter + again == 0 => true,
            // Nobody else is there to do it.
            None => true,
            // Who waits for a test that hangs has nothing better to do.
            Some(running) if running.late => cost + enter < all,
            Some(_) => finished.max(self.floor) + (enter + again) / SET_UP_COUNTS < all,
        };
        pays.then_some(finished)
    }

    /// What entering the module of an entry costs this worker on top.
    pub fn enter(&self, start: u32) -> u64 {
        let entry = self.entry(start);
        if self.module == Some(entry.module) {
            0
        } else {
            self.rest.toll(self.segment, start, entry.enter_us)
        }
    }

    /// What entering the module costs the other one on top, who would have done so with what is taken.
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

    /// The back of a piece, so that both finish it about together.
    fn divide(&self, piece: &Piece) -> Option<(u32, u32)> {
        let mut taken = 0;
        let mut best: Option<(u64, u32)> = None;
        for index in (piece.start..piece.end).rev() {
            taken += self.rest.weight(self.segment, index);
            let Some(finished) = self.finished(index, piece.end, taken) else {
                continue;
            };
            if best.is_none_or(|(least, _)| finished <= least) {
                best = Some((finished, index));
            }
        }
        best.map(|(_, index)| (index, piece.end))
    }
}
