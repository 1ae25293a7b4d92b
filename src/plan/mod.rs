//! Tests and their durations to an immutable plan: which worker runs what, in which order.
//!
//! Pure: the same tests, durations and number of workers give the same plan. The plan is a starting point, not a promise:
//! workers that are done early take over what others have not begun, so a wrong estimate costs little.
//!
//! [`shard`] chooses the tests of one machine among several, [`units`] groups the tests, [`lpt`] gives the groups to workers,
//! `best` chooses how far modules with expensive fixtures are split (`few` and `divide` do it thoroughly, `counts` and `doubt` with
//! caution),
//! [`dist`] is for everything that the user asks for besides;
//! [`history`] is where durations come from and [`inventory`] shows it.

mod best;
mod counts;
pub mod dist;
mod divide;
mod doubt;
mod few;
pub mod history;
pub mod inventory;
pub mod lpt;
mod prefer;
pub mod record;
mod setups;
pub mod shard;
pub mod units;

use std::time::Duration;

use crate::event::TestIndex;
use setups::Costs;
use units::{Split, Unit};

/// What is assumed of a test when nothing is known about any test.
const UNKNOWN_US: u64 = 1000;

/// The tests to plan, one element per test in collection order.
#[derive(Clone, Copy, Debug)]
pub struct Tests<'a> {
    modules: &'a [u32],
    classes: &'a [u32],
    durations: &'a [Option<Duration>],
    /// Empty: nothing is known about set-ups.
    setups: &'a [Option<Duration>],
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
            setups: &[],
        })
    }

    /// Adds how much of each test's duration is its set-up, as far as that is known: modules with expensive fixtures are
    /// then split only where it pays. `None` when the slice has another length.
    #[must_use]
    pub fn with_setups(self, setups: &'a [Option<Duration>]) -> Option<Tests<'a>> {
        (setups.len() == self.len()).then_some(Tests { setups, ..self })
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

    fn same_module(&self, one: TestIndex, other: TestIndex) -> bool {
        self.modules[one as usize] == self.modules[other as usize]
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

/// Reproducible numbers: SplitMix64.
///
/// G. L. Steele, D. Lea, C. H. Flood, "Fast splittable pseudorandom number generators" (2014).
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut word = *state;
    word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ word >> 31
}

/// A test in the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlanEntry {
    pub test: TestIndex,
    /// Estimate in microseconds, at least 1; saturates. With what the worker pays to enter the module, if this is where it does.
    pub cost_us: u32,
    /// Equal in neighbours of a part: they belong together.
    pub unit: u32,
    /// Equal for tests of a module, and for those of a group.
    pub module: u32,
    /// What another worker pays on top to go on from here, microseconds.
    pub enter_us: u32,
    /// The part of the estimate that is for entering the module, microseconds.
    pub paid_us: u32,
    /// The unit must not be divided.
    pub keep: bool,
}

/// How workers share a plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sharing {
    /// Each has its part and then helps others.
    #[default]
    Steal,
    /// All take the next unit of the plan.
    Queue,
    /// Each has its part, and nobody else runs any of it.
    Own,
}

/// Who runs what, in which order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    entries: Vec<PlanEntry>,
    parts: Vec<(u32, u32)>,
    loads: Vec<u64>,
    sharing: Sharing,
    serial: Vec<Serial>,
}

/// Tests that run when nothing else runs, in one worker, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Serial {
    /// The worker; its part has them.
    pub slot: u16,
    pub tests: Vec<TestIndex>,
}

impl Plan {
    /// Plans `tests` for `workers`; 0 counts as 1. Never more parts than tests. A part is empty only where splitting modules
    /// with expensive fixtures would not pay.
    ///
    /// One worker gets the tests in collection order, as without any plan.
    #[must_use]
    pub fn new(tests: &Tests, workers: usize) -> Plan {
        let workers = workers.clamp(1, tests.len().max(1));
        if tests.is_empty() {
            return Plan::default();
        }
        let costs = Costs::new(tests, tests.costs());
        let total = (0..tests.len()).map(|test| costs.own[test]).sum();
        let split = Split::fine(total, workers, workers);
        if workers == 1 {
            let units = units::group(tests, &costs, &split);
            let everything = vec![(0..units.len()).collect()];
            return Plan::lay_out(&everything, &units, &costs, tests, None);
        }
        let (units, parts) = best::assign(tests, &costs, split, workers, |_| {});
        Plan::lay_out(&parts, &units, &costs, tests, None)
    }

    /// Lays out `parts` of `units`. `order` says which test is at which place of `tests`, if that is not its number.
    fn lay_out(
        parts: &[Vec<usize>],
        units: &[Unit],
        costs: &Costs,
        tests: &Tests,
        order: Option<&[TestIndex]>,
    ) -> Plan {
        let clamp = |us: u64| u32::try_from(us).unwrap_or(u32::MAX);
        let mut plan = Plan {
            entries: Vec::with_capacity(costs.own.len()),
            ..Plan::default()
        };
        for part in parts {
            let start = plan.entries.len();
            let mut load = 0;
            let mut previous: Option<TestIndex> = None;
            for &index in part {
                let unit = &units[index];
                for place in unit.tests() {
                    let enter = costs.enter[place as usize];
                    let paid = match previous {
                        Some(before) if tests.same_module(before, place) => {
                            // At most a class is entered.
                            let class = enter - costs.module[place as usize];
                            if before + 1 == place { 0 } else { class }
                        }
                        _ => enter,
                    };
                    let cost = costs.own[place as usize] + paid;
                    load += cost;
                    plan.entries.push(PlanEntry {
                        test: order.map_or(place, |order| order[place as usize]),
                        cost_us: clamp(cost),
                        unit: index as u32,
                        module: unit.module,
                        enter_us: clamp(enter - paid),
                        paid_us: clamp(paid),
                        keep: unit.keep,
                    });
                    previous = Some(place);
                }
            }
            plan.parts
                .push((start as u32, (plan.entries.len() - start) as u32));
            plan.loads.push(load);
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

    /// How the parts are meant.
    #[must_use]
    pub fn sharing(&self) -> Sharing {
        self.sharing
    }

    /// What runs alone, after everything else, one after the other. At the end of its worker's part.
    #[must_use]
    pub fn serial(&self) -> &[Serial] {
        &self.serial
    }

    /// Estimated time of the busiest worker.
    #[must_use]
    pub fn makespan(&self) -> Duration {
        Duration::from_micros(self.longest())
    }

    fn longest(&self) -> u64 {
        self.loads.iter().copied().max().unwrap_or(0)
    }
}
