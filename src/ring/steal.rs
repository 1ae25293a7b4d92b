//! What a worker without work takes over from others.

use std::cmp::Reverse;

use super::thief::{Piece, Queue, Running, Thief};
use super::toll::{MOST, ONE};
use super::{Phase, PlanEntry, Segment};

/// In windows longer than this only the back is looked at; what lies before it is weighed by prefix sums.
const EXACT: u32 = 1024;

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
    /// How many times as long as estimated set-ups take, per module, in units of [`ONE`]; empty if none costs anything.
    ratios: Vec<u32>,
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
            ratios: Vec::new(),
        }
    }

    /// A range for a worker whose last test was of `module`: from whoever would be done last, and from another one where that
    /// does not pay.
    pub fn choose(&mut self, segment: &Segment, module: Option<u32>) -> Choice {
        let queues = self.queues(segment);
        if queues.is_empty() {
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
                module,
                floor,
            };
            if let Some((start, end)) = thief.choose() {
                return Choice::Range(start, end);
            }
            floor = floor.max(queue.all());
        }
        Choice::Later
    }

    /// A unit that the worker of `slot` had better do before it goes on in its own part: much heavier than its next one, and in
    /// a queue that would take longer than all that it has itself with that unit. The heavy ones come first, wherever they
    /// turn out to be too many.
    pub fn heavier(
        &mut self,
        segment: &Segment,
        slot: u16,
        module: Option<u32>,
    ) -> Option<(u32, u32)> {
        let queues = self.queues(segment);
        let own = queues.iter().find(|queue| queue.owner == Some(slot))?;
        let next = own.pieces.first()?.cost;
        // Its own are in the order that the plan means.
        let mut others = queues.iter().filter(|queue| queue.owner != Some(slot));
        others.find_map(|queue| {
            let thief = Thief {
                rest: self,
                segment,
                queue,
                module,
                floor: 0,
            };
            let pays = |piece: &&Piece| {
                piece.whole
                    && piece.cost > MUCH * next
                    && own.left + piece.cost < queue.all()
                    && thief.enter(piece.start) + thief.again(piece.start, piece.end) == 0
            };
            let heaviest = queue.pieces.iter().filter(pays);
            let piece = heaviest.max_by_key(|piece| piece.cost)?;
            let whole = segment.unit_range(piece.start);
            Some(whole.unwrap_or((piece.start, piece.end)))
        })
    }

    /// What is free, by who would do it; the queue that takes longest comes first, among equals the one of the lowest part.
    fn queues(&mut self, segment: &Segment) -> Vec<Queue> {
        self.learn(segment);
        let mut queues = Vec::with_capacity(self.windows.len());
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
                self.add_queues(segment, part as u16, &mut queues);
            }
        }
        // Stable.
        queues.sort_by_key(|queue| Reverse(queue.all()));
        queues
    }

    /// Looks how long set-ups took, and for how long some are taking already.
    fn learn(&mut self, segment: &Segment) {
        if !segment.has_tolls() {
            return;
        }
        self.ratios = segment.ratios();
        for slot in 0..segment.spec().slots {
            let state = segment.slot_state(slot);
            if state.phase != Phase::Setup {
                continue;
            }
            let Some(place) = state.current.and_then(|test| segment.place_of(test)) else {
                continue;
            };
            let expected = self.expected(segment, slot, place);
            let Some(number) = segment.module_number(place).filter(|_| expected > 0) else {
                continue;
            };
            let elapsed = segment.now_ns().saturating_sub(state.started_ns) / 1000;
            let ratio = elapsed.saturating_mul(ONE.into()) / expected;
            let ratio = ratio.min(MOST.into()) as u32;
            self.ratios[number] = self.ratios[number].max(ratio);
        }
    }

    /// What entering a module costs according to what was learned.
    pub fn toll(&self, segment: &Segment, place: u32, us: u32) -> u64 {
        let number = segment.module_number(place).filter(|_| us > 0);
        let ratio = number.and_then(|number| self.ratios.get(number));
        let ratio = ratio.copied().unwrap_or(ONE);
        u64::from(us) * u64::from(ratio) / u64::from(ONE)
    }

    /// Cost of an entry, for whoever's part it is.
    pub fn weight(&self, segment: &Segment, place: u32) -> u64 {
        let entry = &segment.plan().entries[place as usize];
        if entry.paid_us == 0 {
            return weight(entry);
        }
        let own = entry.cost_us.saturating_sub(entry.paid_us).max(1);
        u64::from(own) + self.toll(segment, place, entry.paid_us)
    }

    /// Adds what is free in a part: as queues of its owner, and of those who run on in a unit that they took over.
    fn add_queues(&self, segment: &Segment, part: u16, queues: &mut Vec<Queue>) {
        let entries = &segment.plan().entries;
        let (low, high) = self.windows[usize::from(part)];
        let (first, len) = segment.plan().parts[usize::from(part)];
        let last = first + len;
        let from = low.max(high.saturating_sub(EXACT));
        let own = queues.len();
        queues.push(Queue {
            owner: Some(part),
            pieces: Vec::new(),
            left: self.sums[from as usize] - self.sums[low as usize],
            running: self
                .running(segment, part)
                .filter(|running| (first..last).contains(&running.place)),
        });
        let same_unit =
            |one: u32, other: u32| entries[one as usize].unit == entries[other as usize].unit;
        let mut next = from;
        while next < high {
            if !segment.free_at(next) {
                next += 1;
                continue;
            }
            let start = next;
            let mut cost = 0;
            while next < high && same_unit(start, next) && segment.free_at(next) {
                cost += self.weight(segment, next);
                next += 1;
            }
            let cut = (start > first && same_unit(start - 1, start))
                || (next < last && same_unit(next, start));
            let piece = Piece {
                start,
                end: next,
                cost,
                // Undivided units are free as long as nobody has them, even if one who had it died in it.
                whole: !cut || entries[start as usize].keep,
            };
            let guest = if start > first && same_unit(start - 1, start) {
                self.guest(segment, part, start - 1)
            } else {
                None
            };
            if let Some(running) = guest {
                queues.push(Queue {
                    owner: None,
                    left: cost,
                    pieces: vec![piece],
                    running: Some(running),
                });
            } else {
                queues[own].left += cost;
                queues[own].pieces.push(piece);
            }
        }
        if queues[own].pieces.is_empty() {
            queues.remove(own);
        }
    }

    /// What another than the part's owner, who claimed the entry before a piece and is still in its unit, has left of its test.
    fn guest(&self, segment: &Segment, part: u16, before: u32) -> Option<Running> {
        let entries = &segment.plan().entries;
        let (slot, _) = segment.claim_of(entries[before as usize].test)?;
        let running = self.running(segment, slot).filter(|_| slot != part)?;
        let unit = entries[running.place as usize].unit;
        (unit == entries[before as usize].unit).then_some(running)
    }

    /// What a slot runs.
    ///
    /// A test that takes longer than estimated is assumed to take as long again: who waits for it stops waiting after a
    /// while, whatever the estimate was.
    fn running(&self, segment: &Segment, slot: u16) -> Option<Running> {
        let state = segment.slot_state(slot);
        let place = segment.place_of(state.current?)?;
        let elapsed = segment.now_ns().saturating_sub(state.started_ns) / 1000;
        let estimate = self.weight(segment, place) + self.entering(segment, slot, place);
        let longer = match self.expected(segment, slot, place) {
            0 => elapsed,
            _ => elapsed / SET_UP_LONGER,
        };
        Some(Running {
            place,
            left: estimate.saturating_sub(elapsed).max(longer),
            late: elapsed >= estimate.saturating_mul(LATE),
        })
    }

    /// What a worker pays on top that begins here with what it took over.
    fn entering(&self, segment: &Segment, slot: u16, place: u32) -> u64 {
        let on_top = self.on_top(segment, slot, place);
        self.toll(segment, place, on_top)
    }

    /// What the worker was to pay in all for entering a module here.
    fn expected(&self, segment: &Segment, slot: u16, place: u32) -> u64 {
        let paid = segment.plan().entries[place as usize].paid_us;
        u64::from(self.on_top(segment, slot, place)) + u64::from(paid)
    }

    fn on_top(&self, segment: &Segment, slot: u16, place: u32) -> u32 {
        let plan = segment.plan();
        let entry = &plan.entries[place as usize];
        let (first, len) = plan.parts[usize::from(slot)];
        if entry.enter_us == 0 || (first..first + len).contains(&place) {
            return 0;
        }
        let before = &plan.entries[place as usize - 1];
        let stays = before.module == entry.module
            && segment
                .claim_of(before.test)
                .is_some_and(|(claimant, _)| claimant == slot);
        if stays { 0 } else { entry.enter_us }
    }
}

/// How many times as long as estimated a test takes that may as well hang.
const LATE: u64 = 3;

/// Which part of the time that it has taken a set-up is assumed to take still that is over its estimate. Less than for tests: who
/// comes to help too early has to wait for it as well.
const SET_UP_LONGER: u64 = 4;

/// How many times as heavy as its own next unit another's must be for a worker to do it first.
const MUCH: u64 = 2;

/// A test of unknown cost still counts.
fn weight(entry: &PlanEntry) -> u64 {
    u64::from(entry.cost_us.max(1))
}
