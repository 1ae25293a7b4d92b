//! What may be left to do: in the parts of all workers and in what is open to all, and who would do
//! it when.

use std::cmp::Reverse;

use super::measured_module_setup_costs::{MOST, ONE};
use super::seeker::{FORK_US, Seeker};
use crate::shm::{Phase, PlanEntry, PlanTable, Segment, Sharing};

/// In windows longer than this only the back is looked at; what lies before it is weighed by prefix
/// sums.
const EXACT: u32 = 1024;

#[derive(Clone, Copy, Debug)]
pub(in crate::shm) struct Running {
    pub place: u32,
    /// µs.
    pub left: u64,
    /// The test takes so much longer than estimated that nobody knows when it ends.
    pub late: bool,
}

/// What one worker has before it; nobody else is on the way there.
#[derive(Debug)]
pub(in crate::shm) struct Queue {
    /// The slot of which it is the part, unless the worker is a guest there.
    pub owner: Option<u16>,
    /// In the order of the plan.
    pub pieces: Vec<Piece>,
    /// Cost of what is unclaimed, µs.
    pub left: u64,
    /// What the worker is running; `None` when there is no worker, or it is about to begin.
    pub running: Option<Running>,
}

impl Queue {
    /// When it is empty if nobody helps, µs from now. Of a worker that does nothing yet it is
    /// assumed that it does nothing for as long again: it may be about to begin, or gone.
    pub fn all(&self, seeker: &Seeker) -> u64 {
        self.left + self.running.map_or(seeker.waited, |running| running.left)
    }
}

/// Neighbours in a unit, all of them free.
#[derive(Clone, Copy, Debug)]
pub(in crate::shm) struct Piece {
    pub start: u32,
    pub end: u32,
    pub cost: u64,
    /// The piece is the whole unit, and nobody has begun it.
    pub whole: bool,
}

/// What is open to all.
#[derive(Clone, Copy, Debug)]
pub(in crate::shm) struct Open {
    /// What is taken next.
    pub first: u32,
    /// Cost of what is unclaimed, µs.
    pub left: u64,
}

/// What may be unclaimed: per part a window, outside of which nothing is free that is not open to
/// all, and one of what is.
#[derive(Debug)]
pub(in crate::shm) struct Rest {
    windows: Vec<(u32, u32)>,
    /// Indices of `Segment::queue`.
    open: (usize, usize),
    /// `sums[i]`: cost of the entries before `i`, without the open ones.
    sums: Vec<u64>,
    /// The same of the open ones, along `Segment::queue`.
    open_sums: Vec<u64>,
    /// The longest entry from each on to the end of its part, without the open ones; one more at
    /// the end.
    longest: Vec<u64>,
    /// How many times as long as estimated set-ups take, per module, in units of [`ONE`]; empty if
    /// none costs anything.
    ratios: Vec<u32>,
}

impl Rest {
    pub fn new(segment: &Segment) -> Self {
        let plan = segment.plan();
        let queue = segment.queue();
        let own = plan
            .entries
            .iter()
            .map(|entry| if entry.open { 0 } else { weight(entry) });
        let open = queue
            .iter()
            .map(|&index| weight(&plan.entries[index as usize]));
        Self {
            windows: plan
                .parts
                .iter()
                .map(|&(start, len)| (start, start + len))
                .collect(),
            open: (0, queue.len()),
            longest: longest(plan),
            sums: prefix_sums(own),
            open_sums: prefix_sums(open),
            ratios: Vec::new(),
        }
    }

    /// Whether a worker must begin with its own units now, before `open` that comes before them in
    /// the collection: they take as long as all that is left takes if it is divided evenly. The
    /// longest is reckoned with twice, as estimates are wrong at times, unless it takes hardly more
    /// than the forks that follow from beginning early.
    pub fn is_due(&mut self, segment: &Segment, slot: u16, open: u32, pace: u64) -> bool {
        let entries = &segment.plan().entries;
        let mut left = self
            .open(segment)
            .map_or(0, |open| open.left * pace / u64::from(ONE));
        for part in 0..self.windows.len() {
            let (low, high) = self.narrow(segment, part);
            left += self.sums[high as usize] - self.sums[low as usize];
        }
        let (low, high) = self.windows[usize::from(slot)];
        let own = self.sums[high as usize] - self.sums[low as usize];
        let longest = self.longest[low as usize];
        let even = left / self.windows.len() as u64;
        own + longest.saturating_sub(4 * FORK_US)
            + weight(&entries[open as usize]) * pace / u64::from(ONE)
            > even
    }

    /// What is open to all and free.
    pub fn open(&mut self, segment: &Segment) -> Option<Open> {
        let queue = segment.queue();
        if segment.plan().sharing != Sharing::Steal {
            return None;
        }
        let (low, high) = &mut self.open;
        while low < high && !segment.free_at(queue[*low]) {
            *low += 1;
        }
        while low < high && !segment.free_at(queue[*high - 1]) {
            *high -= 1;
        }
        let (low, high) = self.open;
        // What is claimed out of turn counts as free: it is little, since all take what comes
        // first.
        (low < high).then(|| Open {
            first: queue[low],
            left: self.open_sums[high] - self.open_sums[low],
        })
    }

    /// What is free and some worker's own, by who would do it; the queue that takes longest comes
    /// first, among equals the one of the lowest part.
    pub fn queues(&mut self, segment: &Segment) -> Vec<Queue> {
        self.learn(segment);
        let mut queues = Vec::with_capacity(self.windows.len());
        for part in 0..self.windows.len() {
            let (low, high) = self.narrow(segment, part);
            if low < high {
                self.add_queues(segment, part as u16, &mut queues);
            }
        }
        // Stable.
        queues.sort_by_key(|queue| {
            Reverse(queue.left + queue.running.map_or(0, |running| running.left))
        });
        queues
    }

    /// The window of a part, as narrow as it has become.
    fn narrow(&mut self, segment: &Segment, part: usize) -> (u32, u32) {
        let is_free =
            |index: u32| !segment.plan().entries[index as usize].open && segment.free_at(index);
        let (mut low, mut high) = self.windows[part];
        while low < high && !is_free(low) {
            low += 1;
        }
        while low < high && !is_free(high - 1) {
            high -= 1;
        }
        self.windows[part] = (low, high);
        (low, high)
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

    /// Adds what is free in a part: as queues of its owner, and of those who run on in a unit that
    /// they took over.
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
            if entries[next as usize].open || !segment.free_at(next) {
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
                // Undivided units are free as long as nobody has them, even if one who had it died
                // in it.
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

    /// What another than the part's owner, who claimed the entry before a piece and is still in its
    /// unit, has left of its test.
    fn guest(&self, segment: &Segment, part: u16, before: u32) -> Option<Running> {
        let entries = &segment.plan().entries;
        let (slot, _) = segment.claim_of(entries[before as usize].test)?;
        let running = self.running(segment, slot).filter(|_| slot != part)?;
        let unit = entries[running.place as usize].unit;
        (unit == entries[before as usize].unit).then_some(running)
    }

    /// What a slot runs.
    ///
    /// A test that takes longer than estimated is assumed to take as long again: who waits for it
    /// stops waiting after a while, whatever the estimate was.
    pub fn running(&self, segment: &Segment, slot: u16) -> Option<Running> {
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

/// See [`Rest::longest`].
fn longest(plan: &PlanTable) -> Vec<u64> {
    let mut longest = vec![0; plan.entries.len() + 1];
    for &(start, len) in &plan.parts {
        let mut most = 0;
        for index in (start as usize..(start + len) as usize).rev() {
            let entry = &plan.entries[index];
            if !entry.open {
                most = weight(entry).max(most);
            }
            longest[index] = most;
        }
    }
    longest
}

/// Running totals, from 0 on.
fn prefix_sums(costs: impl Iterator<Item = u64>) -> Vec<u64> {
    let mut sum = 0;
    let sums = costs.map(|cost| {
        sum += cost;
        sum
    });
    std::iter::once(0).chain(sums).collect()
}

/// How many times as long as estimated a test takes that may as well hang.
const LATE: u64 = 3;

/// A set-up that is over its estimate is assumed to take still what it has taken, divided by this.
/// That is less than for tests: who comes to help too early has to wait for the set-up as well.
const SET_UP_LONGER: u64 = 4;

/// A test of unknown cost still counts.
fn weight(entry: &PlanEntry) -> u64 {
    u64::from(entry.cost_us.max(1))
}
