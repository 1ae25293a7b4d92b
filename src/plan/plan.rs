//! A plan: which worker runs what, in which order.

use std::time::Duration;

use super::Tests;
use super::balance;
use super::balance::module_setup_costs::Costs;
use super::balance::units::{Split, Unit};
use crate::event::TestIndex;

/// A test in the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlanEntry {
    pub test: TestIndex,
    /// Estimate in microseconds, at least 1; saturates. With what the worker pays to enter the
    /// module, if this is where it does.
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
    /// Its place in the order in which tests are run, that of the collection: a process runs
    /// nothing that does not come after all that it has run.
    pub rank: u32,
    /// Whoever has time takes it, in the order of ranks; the part that has it is a forecast.
    pub open: bool,
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
#[derive(Clone, Debug, Default)]
pub struct Plan {
    pub(super) entries: Vec<PlanEntry>,
    pub(super) parts: Vec<(u32, u32)>,
    pub(super) loads: Vec<u64>,
    pub(super) sharing: Sharing,
    pub(super) serial: Vec<Serial>,
}

impl Eq for Plan {}

impl PartialEq for Plan {
    /// How long it takes is a forecast, which decides nothing.
    fn eq(&self, other: &Plan) -> bool {
        self.entries == other.entries
            && self.parts == other.parts
            && self.sharing == other.sharing
            && self.serial == other.serial
    }
}

/// Tests that run when nothing else runs, in one worker, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Serial {
    /// The worker; its part has them.
    pub slot: u16,
    pub tests: Vec<TestIndex>,
}

impl Plan {
    /// Plans `tests` for `workers`; 0 counts as 1. Never more parts than tests. A part is empty
    /// only where splitting modules with expensive fixtures would not pay.
    ///
    /// One worker gets the tests in collection order, as without any plan.
    #[must_use]
    pub fn new(tests: &Tests, workers: usize) -> Plan {
        let workers = workers.clamp(1, tests.len().max(1));
        if tests.is_empty() {
            return Plan::default();
        }
        let (costs, grain) = Costs::of(tests, workers);
        let total = costs.own.iter().sum();
        let split = Split::fine(total, workers, workers);
        let (units, parts) = if workers == 1 {
            let units = balance::units::group(tests, &costs, &split);
            let everything = vec![(0..units.len()).collect()];
            (units, everything)
        } else {
            let split = split.open(&costs, grain);
            balance::fixture_aware::assign(tests, &costs, split, workers, |_| {})
        };
        Plan::lay_out(&parts, &units, &costs, tests, None)
    }

    /// Lays out `parts` of `units`, each in the order of collection. `order` says which test is at
    /// which place of `tests`, if that is not its number.
    pub(super) fn lay_out(
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
            let test_at = |place: TestIndex| order.map_or(place, |order| order[place as usize]);
            let mut part = part.clone();
            part.sort_unstable_by_key(|&index| test_at(units[index].first));
            for &index in &part {
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
                    load += costs.real[place as usize] + paid;
                    let test = test_at(place);
                    plan.entries.push(PlanEntry {
                        test,
                        rank: test,
                        open: unit.open,
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

    /// What runs alone, after everything else, one after the other. At the end of its worker's
    /// part.
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
