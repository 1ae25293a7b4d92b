//! Tests and their durations to an immutable plan: which worker runs what, in which order.
//!
//! Pure: the same tests, durations and number of workers give the same plan. The plan is a starting point, not a promise:
//! workers that are done early steal from the back of the others' parts, so a wrong estimate costs little.
//!
//! [`shard`] chooses the tests of one machine among several, [`units`] groups the tests, [`lpt`] gives the groups to workers;
//! [`history`] is where durations come from and [`inventory`] shows it.

pub mod history;
pub mod inventory;
pub mod lpt;
pub mod shard;
pub mod units;

use std::collections::HashMap;
use std::time::Duration;

use crate::event::TestIndex;
use units::Unit;

/// What is assumed of a test when nothing is known about any test.
const UNKNOWN_US: u64 = 1000;

/// The tests to plan, one element per test in collection order.
#[derive(Clone, Copy, Debug)]
pub struct Tests<'a> {
    modules: &'a [u32],
    classes: &'a [u32],
    durations: &'a [Option<Duration>],
}

impl<'a> Tests<'a> {
    /// In `modules` and `classes` equal numbers in neighbours mean the same module or class; `durations` are estimates, `None`
    /// for a test without history. `None` when the slices differ in length.
    #[must_use]
    pub fn new(
        modules: &'a [u32],
        classes: &'a [u32],
        durations: &'a [Option<Duration>],
    ) -> Option<Tests<'a>> {
        let fits = modules.len() == classes.len() && modules.len() == durations.len();
        fits.then_some(Tests {
            modules,
            classes,
            durations,
        })
    }

    /// Number of tests.
    #[must_use]
    pub fn len(&self) -> usize {
        self.modules.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.modules.is_empty()
    }

    /// Microseconds per test, at least 1; a test without history is taken for an average one.
    fn costs(&self) -> Vec<u64> {
        let known: Vec<u64> = self
            .durations
            .iter()
            .flatten()
            .map(|&duration| micros(duration))
            .collect();
        let assumed = match known.len() {
            0 => UNKNOWN_US,
            count => (known.iter().sum::<u64>() / count as u64).max(1),
        };
        self.durations
            .iter()
            .map(|duration| duration.map_or(assumed, micros))
            .collect()
    }
}

/// Microseconds, at least 1 and at most a century: sums can't overflow.
fn micros(duration: Duration) -> u64 {
    const CENTURY: u128 = 100 * 366 * 24 * 3600 * 1_000_000;
    duration.as_micros().clamp(1, CENTURY) as u64
}

/// A test in the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlanEntry {
    pub test: TestIndex,
    /// Estimate in microseconds, at least 1; saturates.
    pub cost_us: u32,
    /// Equal in neighbours of a part: they belong together.
    pub unit: u32,
}

/// Who runs what, in which order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    entries: Vec<PlanEntry>,
    parts: Vec<(u32, u32)>,
    loads: Vec<u64>,
}

impl Plan {
    /// Plans `tests` for `workers`; 0 counts as 1. Never more parts than tests, and no part is empty.
    ///
    /// One worker gets the tests in collection order, as without any plan.
    #[must_use]
    pub fn new(tests: &Tests, workers: usize) -> Plan {
        let workers = workers.clamp(1, tests.len().max(1));
        if tests.is_empty() {
            return Plan::default();
        }
        let costs = tests.costs();
        let units = units::group(tests, &costs, workers);
        let parts = if workers == 1 {
            vec![(0..units.len()).collect()]
        } else {
            let mut parts = lpt::assign(&units, workers);
            for part in &mut parts {
                keep_modules_together(part, &units);
            }
            parts
        };
        Plan::lay_out(&parts, &units, &costs)
    }

    /// Plans only the tests in `chosen`, which are numbers of `tests`, ascending; the plan has these numbers.
    #[must_use]
    pub fn of(tests: &Tests, chosen: &[TestIndex], workers: usize) -> Plan {
        let pick =
            |list: &[u32]| -> Vec<u32> { chosen.iter().map(|&test| list[test as usize]).collect() };
        let (modules, classes) = (pick(tests.modules), pick(tests.classes));
        let durations: Vec<_> = chosen
            .iter()
            .map(|&test| tests.durations[test as usize])
            .collect();
        let some = Tests {
            modules: &modules,
            classes: &classes,
            durations: &durations,
        };
        let mut plan = Plan::new(&some, workers);
        for entry in &mut plan.entries {
            entry.test = chosen[entry.test as usize];
        }
        plan
    }

    fn lay_out(parts: &[Vec<usize>], units: &[Unit], costs: &[u64]) -> Plan {
        let mut plan = Plan {
            entries: Vec::with_capacity(costs.len()),
            ..Plan::default()
        };
        for part in parts {
            let start = plan.entries.len();
            for &index in part {
                plan.entries
                    .extend(units[index].tests().map(|test| PlanEntry {
                        test,
                        cost_us: u32::try_from(costs[test as usize]).unwrap_or(u32::MAX),
                        unit: index as u32,
                    }));
            }
            let len = plan.entries.len() - start;
            plan.parts.push((start as u32, len as u32));
            plan.loads
                .push(part.iter().map(|&index| units[index].cost).sum());
        }
        plan
    }

    /// All tests, part after part; in a part in the order of running.
    #[must_use]
    pub fn entries(&self) -> &[PlanEntry] {
        &self.entries
    }

    /// Start and length of each worker's part in [`Plan::entries`]; as many as workers are of use.
    #[must_use]
    pub fn parts(&self) -> &[(u32, u32)] {
        &self.parts
    }

    /// Number of workers that the plan has work for.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.parts.len()
    }

    /// Estimated time of the busiest worker.
    #[must_use]
    pub fn makespan(&self) -> Duration {
        Duration::from_micros(self.loads.iter().copied().max().unwrap_or(0))
    }
}

/// Moves a part's units of one module next to each other, in collection order, to where the first of them stood: a module's
/// fixtures are set up once per stay in the module, not once per unit.
fn keep_modules_together(part: &mut [usize], units: &[Unit]) {
    let mut places: HashMap<u32, usize> = HashMap::with_capacity(part.len());
    for (place, &index) in part.iter().enumerate() {
        places.entry(units[index].module).or_insert(place);
    }
    part.sort_unstable_by_key(|&index| (places[&units[index].module], units[index].first));
}
