//! LPT, Longest Processing Time first: the heaviest unit goes to the worker with the least total
//! work, then the next.
//!
//! R. L. Graham, "Bounds on Multiprocessing Timing Anomalies" (1969): for independent units the
//! busiest worker then has at most 4/3 − 1/(3·workers) of the least possible time.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use super::units::Unit;

/// Who gets what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Assignment {
    /// Each worker's units, as indices, in the order of running.
    pub parts: Vec<Vec<usize>>,
    /// What they take, µs.
    pub loads: Vec<u64>,
    /// What entering modules takes of it, µs.
    pub entering: u64,
}

impl Assignment {
    /// The busiest worker's load, µs.
    #[must_use]
    pub fn longest(&self) -> u64 {
        self.loads.iter().copied().max().unwrap_or(0)
    }
}

/// Gives `units` to `workers` (at least 1).
///
/// - Units without any history are dealt round-robin in collection order.
/// - Then the others, longest first, each to the worker with the least work so far; one who has
///   entered the unit's module already comes first if that is done no later.
/// - Last, those that are open to all, in the order in which they are taken.
/// - Among equals the first in collection order, and the worker with the lowest number.
#[must_use]
pub fn assign(units: &[Unit], workers: usize) -> Assignment {
    complete(units, workers, &[])
}

/// The same when some units have their workers already: the last ones, as many as there are
/// `given`.
#[must_use]
pub fn complete(units: &[Unit], workers: usize, given: &[usize]) -> Assignment {
    let mut deal = Deal {
        done: Assignment {
            parts: vec![Vec::new(); workers],
            loads: vec![0; workers],
            entering: 0,
        },
        inside: HashMap::new(),
    };
    let open = units.len() - given.len();
    for (index, &worker) in (open..).zip(given) {
        deal.give(index, &units[index], worker);
    }
    let (mut known, unknown): (Vec<usize>, Vec<usize>) =
        (0..open).partition(|&index| units[index].known || units[index].open);
    for (turn, index) in unknown.into_iter().enumerate() {
        deal.give(index, &units[index], turn % workers);
    }
    known.sort_unstable_by_key(|&index| {
        let unit = &units[index];
        (
            unit.open,
            if unit.open {
                Reverse(0)
            } else {
                Reverse(unit.cost)
            },
            index,
        )
    });
    let loads = deal.done.loads.iter().copied().enumerate();
    let mut least: BinaryHeap<_> = loads
        .map(|(worker, load)| Reverse((load, worker)))
        .collect();
    for index in known {
        let unit = &units[index];
        // What was pushed before its worker got more is out of date.
        while let Some(&Reverse((load, worker))) = least.peek()
            && load != deal.done.loads[worker]
        {
            least.pop();
        }
        let Some(&Reverse((load, free))) = least.peek() else {
            continue;
        };
        let home = deal.home(unit);
        let worker = home.filter(|&(done, _)| done <= load + unit.cost);
        let worker = worker.map_or(free, |(_, worker)| worker);
        deal.give(index, unit, worker);
        least.push(Reverse((deal.done.loads[worker], worker)));
    }
    deal.done
}

struct Deal {
    done: Assignment,
    /// For each module that is expensive to enter, the workers that do.
    inside: HashMap<u32, Vec<usize>>,
}

impl Deal {
    fn give(&mut self, index: usize, unit: &Unit, worker: usize) {
        let mut cost = unit.cost;
        if unit.enter > 0 {
            let inside = self.inside.entry(unit.module).or_default();
            if inside.contains(&worker) {
                cost -= unit.enter;
            } else {
                inside.push(worker);
                self.done.entering += unit.enter;
            }
        }
        self.done.loads[worker] += cost;
        self.done.parts[worker].push(index);
    }

    /// The worker in the unit's module that would be done with it first, and when.
    fn home(&self, unit: &Unit) -> Option<(u64, usize)> {
        let inside = self.inside.get(&unit.module).filter(|_| unit.enter > 0)?;
        let done = |&worker: &usize| (self.done.loads[worker] + unit.cost - unit.enter, worker);
        inside.iter().map(done).min()
    }
}
