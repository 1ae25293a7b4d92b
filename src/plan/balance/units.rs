//! Groups of tests that are planned as one: neighbours of a module stay together, because they
//! share its fixtures and imports.
//!
//! Only a module that is too heavy to be balanced is split: by classes, and a class that is still
//! too heavy by tests. Too heavy is more than a `UNITS_PER_WORKER`th of a worker's fair share.
//! Where its fixtures are expensive the plan tries what pays.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;

use super::module_setup_costs::{Costs, runs};
use crate::event::TestIndex;
use crate::plan::{Grain, Tests};

/// How fine the balance can be: a unit is at most this fraction of a worker's fair share, so that
/// the last unit to be given away can't tip the balance by more than that. Finer means more set-ups
/// of module fixtures; stealing evens out the rest.
const UNITS_PER_WORKER: u64 = 4;

/// The same for units that are open to all, of which each worker has to wait for another's last
/// one. They get smaller as less is left.
const OPEN_PER_WORKER: u64 = 8;

/// Tests that take less than a fork (`FORK_US` of `shm/claims/plan_walk.rs`) are open: who begins
/// one early leaves others behind, which may then need a fork, µs.
const FORK_US: u64 = 15_000;

/// A test must perhaps begin early if it takes as long as so much of what follows it, divided
/// evenly: estimates are wrong sometimes.
const EARLY: u64 = 4;

/// How much finer a module that costs nothing to enter is cut than it need not be cut at all: a
/// worker that has gone on can't come back for what would have fitted better.
const FINER: u64 = 4;

/// A test that takes more than a worker's fair share, divided by this, is given to a worker in any
/// case: how many each has of them makes a difference.
const BIG: u64 = 4;

/// A quarter of that is enough for tests that take so many times the average: there are few of
/// them, and hardly anything in between.
const RARE: u64 = 32;

/// How far modules are split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Split {
    pub workers: u64,
    /// A unit's most cost, µs, unless it is a single test.
    pub limit: u64,
    /// Where entering the module costs something.
    pub expensive: Expensive,
    /// Units to be had if there are as many tests.
    pub wanted: usize,
    /// What is light enough to be open to all, in modules that cost nothing to enter.
    pub open: Option<Open>,
}

/// Tests that are not given to a worker beforehand: whoever has time takes what comes next. Units
/// get smaller towards the end, so that all are done together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Open {
    /// Tests that take less are open in any case, µs.
    light: u64,
    /// The same of those that take less than two average tests, µs.
    average: u64,
    /// What all tests take, µs.
    total: u64,
    /// Into as many pieces what is left is divided.
    pieces: u64,
    /// Modules that take less are not cut, however little is left, µs.
    whole: u64,
}

/// Whether modules are cut that are expensive to enter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expensive {
    /// These modules stay whole.
    Whole,
    Pieces(Pieces),
}

/// How a module that is expensive to enter is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pieces {
    /// When all workers are to be done, µs: no piece takes longer, entering the module included.
    pub target: u64,
    /// How many pieces a worker does until then.
    pub each: u64,
}

impl Pieces {
    /// Most cost of a piece without entering the module, which takes `enter`.
    fn limit(self, enter: u64) -> u64 {
        let most = self.target.saturating_sub(enter).max(1);
        // A piece that takes less than its set-up is worth it only if nothing else is in time.
        (most / self.each).max(enter.min(most))
    }
}

impl Split {
    /// The finest split of modules that cost nothing to enter; the others stay whole.
    pub fn fine(total: u64, workers: usize, wanted: usize) -> Self {
        Split {
            workers: workers as u64,
            limit: total / (workers as u64 * UNITS_PER_WORKER),
            expensive: Expensive::Whole,
            wanted,
            open: None,
        }
    }
}

impl Split {
    /// The same with everything open that is light beside a worker's fair share, if there is enough
    /// of it.
    pub fn open(self, costs: &Costs, grain: Grain) -> Split {
        let total: u64 = costs.own.iter().sum();
        let (pieces, whole) = if grain.is_first {
            // A module's fixtures may be dear, and would be made again.
            let pieces = self.workers * UNITS_PER_WORKER;
            (pieces, total / (2 * pieces))
        } else {
            (self.workers * OPEN_PER_WORKER, 0)
        };
        let open = Open {
            light: grain.light,
            average: total / costs.own.len().max(1) as u64,
            total,
            pieces,
            whole,
        };
        Split {
            open: grain.is_fine.then_some(open),
            ..self
        }
    }
}

/// Neighbours in collection order that are planned as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unit {
    /// Its first test.
    pub first: TestIndex,
    /// Number of tests, at least 1.
    pub len: u32,
    /// Number of the module as counted along the collection: unlike the inventory's, unique.
    pub module: u32,
    /// Microseconds, entering the module included.
    pub cost: u64,
    /// The part of it that a worker saves that was in the module before.
    pub enter: u64,
    /// Whether the duration of any of its tests is known.
    pub known: bool,
    /// The unit must not be divided, whoever would have the time.
    pub keep: bool,
    /// Whoever has time takes it.
    pub open: bool,
}

impl Unit {
    /// The tests, in collection order.
    pub fn tests(&self) -> Range<TestIndex> {
        self.first..self.first + self.len
    }
}

/// Parts `tests` into units, in collection order.
#[must_use]
pub fn group(tests: &Tests, costs: &Costs, split: &Split) -> Vec<Unit> {
    let mut builder = Builder {
        tests,
        costs,
        split,
        limit: 0,
        module: 0,
        left: split.open.map_or(0, |open| open.total),
        units: Vec::new(),
    };
    for (number, module) in runs(tests.modules, 0..tests.len()).enumerate() {
        builder.module = number as u32;
        builder.add(module);
    }
    let units = builder.units;
    if split.open.is_some() {
        return units;
    }
    let wanted = split.wanted.min(tests.len());
    if units.len() < wanted {
        // The number of pieces is either free or chosen.
        let keeps_expensive = !matches!(split.expensive, Expensive::Pieces(_));
        let whole = |unit: &Unit| keeps_expensive && costs.enter[unit.first as usize] > 0;
        return split_heaviest(units, wanted, tests, costs, whole);
    }
    units
}

struct Builder<'a> {
    tests: &'a Tests<'a>,
    costs: &'a Costs,
    split: &'a Split,
    /// The most that tests of the module may take in one unit, without entering it.
    limit: u64,
    module: u32,
    /// What all tests from here on take, µs.
    left: u64,
    units: Vec<Unit>,
}

impl Builder<'_> {
    fn push(&mut self, range: Range<usize>) {
        if !range.is_empty() {
            self.units
                .push(unit(range, self.module, self.tests, self.costs));
        }
    }

    /// One module, whole if it is light enough, else by classes.
    fn add(&mut self, module: Range<usize>) {
        let enter = self.costs.enter[module.start];
        if enter > 0 {
            self.left = self.left.saturating_sub(self.costs.sum(&module));
        }
        if let Some(open) = self.split.open
            && enter == 0
        {
            return self.add_open(module, open);
        }
        let limit = if enter == 0 {
            Some(self.split.limit)
        } else {
            match self.split.expensive {
                Expensive::Whole => None,
                Expensive::Pieces(pieces) => Some(pieces.limit(enter)),
            }
        };
        let Some(limit) = limit.filter(|&limit| self.costs.sum(&module) > limit) else {
            return self.push(module);
        };
        self.limit = if enter == 0 { limit / FINER } else { limit };
        // Light classes are put together up to the limit: splitting finer than needed only costs
        // set-ups.
        let mut open = module.start..module.start;
        let mut open_cost = 0;
        let classes: Vec<Range<usize>> = runs(self.tests.classes, module).collect();
        for class in classes {
            let cost = self.costs.sum(&class);
            if open_cost + cost > self.limit {
                self.push(open);
                open = class.start..class.start;
                open_cost = 0;
            }
            if cost > self.limit {
                self.add_in_chunks(class.clone(), cost);
                open = class.end..class.end;
            } else {
                open.end = class.end;
                open_cost += cost;
            }
        }
        self.push(open);
    }

    /// A module of which most is open to all.
    fn add_open(&mut self, module: Range<usize>, open: Open) {
        let (mut start, mut cost) = (module.start, 0);
        let all = self.costs.sum(&module);
        let least = if all <= open.whole { all } else { 0 };
        let mut limit = (self.left / open.pieces).max(least);
        for test in module.clone() {
            let own = self.costs.own[test];
            let may_be_late = own * EARLY > (self.left - own) / self.split.workers;
            let share = open.total / self.split.workers;
            let is_big = own * BIG > share || (own * 4 * BIG > share && own > RARE * open.average);
            let is_heavy =
                own >= open.light.max(2 * open.average).max(FORK_US) && (may_be_late || is_big);
            let is_class = test > 0 && self.tests.classes[test - 1] != self.tests.classes[test];
            // Rather between two classes than in the middle of one.
            let most = if is_class { limit / 2 } else { limit };
            if is_heavy || cost + own > most {
                self.push_open(start..test, true);
                (start, cost) = (test, 0);
                limit = (self.left / open.pieces).max(least);
            }
            self.left -= own;
            if is_heavy {
                self.push_open(test..test + 1, false);
                start = test + 1;
            } else {
                cost += own;
            }
        }
        self.push_open(start..module.end, true);
    }

    fn push_open(&mut self, range: Range<usize>, open: bool) {
        self.push(range.clone());
        if !range.is_empty()
            && let Some(unit) = self.units.last_mut()
        {
            unit.open = open;
        }
    }

    /// Chunks of about equal cost, none over the limit unless it is a single test.
    fn add_in_chunks(&mut self, class: Range<usize>, cost: u64) {
        let chunks = cost.div_ceil(self.limit.max(1));
        let target = cost.div_ceil(chunks);
        let mut open = class.start..class.start;
        let mut open_cost = 0;
        for test in class {
            if open_cost + self.costs.own[test] > target {
                self.push(open);
                open = test..test;
                open_cost = 0;
            }
            open.end = test + 1;
            open_cost += self.costs.own[test];
        }
        self.push(open);
    }
}

/// The unit of these tests.
pub(in crate::plan) fn unit(
    range: Range<usize>,
    module: u32,
    tests: &Tests,
    costs: &Costs,
) -> Unit {
    Unit {
        first: range.start as TestIndex,
        len: range.len() as u32,
        module,
        cost: costs.sum(&range) + costs.enter[range.start],
        enter: costs.enter[range.start],
        known: tests.durations[range].iter().any(Option::is_some),
        keep: false,
        open: false,
    }
}

/// Halves the heaviest units that have more than one test until there are `wanted`: every worker
/// gets something as long as there are tests, even when one long test makes all others look light.
/// `whole` units stay.
fn split_heaviest(
    units: Vec<Unit>,
    wanted: usize,
    tests: &Tests,
    costs: &Costs,
    whole: impl Fn(&Unit) -> bool,
) -> Vec<Unit> {
    let (mut done, divisible): (Vec<Unit>, Vec<Unit>) = units
        .into_iter()
        .partition(|unit| unit.len == 1 || whole(unit));
    let mut heap: BinaryHeap<_> = divisible.into_iter().map(by_cost).collect();
    while done.len() + heap.len() < wanted {
        let Some((_, _, heavy)) = heap.pop() else {
            break;
        };
        let range = heavy.first as usize..(heavy.first + heavy.len) as usize;
        let middle = middle(&range, costs);
        for half in [range.start..middle, middle..range.end] {
            let half = unit(half, heavy.module, tests, costs);
            if half.len == 1 {
                done.push(half);
            } else {
                heap.push(by_cost(half));
            }
        }
    }
    done.extend(heap.into_iter().map(|(_, _, unit)| unit));
    done.sort_unstable_by_key(|unit| unit.first);
    done
}

/// Key of the heap: the heaviest first, among equals the first in collection order.
fn by_cost(unit: Unit) -> (u64, Reverse<TestIndex>, Unit) {
    (unit.cost, Reverse(unit.first), unit)
}

/// Where to cut `range`, at least one test long on both sides, for halves of about equal cost.
fn middle(range: &Range<usize>, costs: &Costs) -> usize {
    let cost = costs.sum(range);
    let last = range.end - 1;
    let mut before = 0;
    for (test, test_cost) in (range.start..last).zip(&costs.own[range.start..last]) {
        before += test_cost;
        if before * 2 >= cost {
            return test + 1;
        }
    }
    last
}
