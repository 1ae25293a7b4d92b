//! Tests and their durations to an immutable plan: which worker runs what, in which order.
//!
//! Pure: the same tests, durations and number of workers give the same plan. The plan is a starting point, not a promise:
//! workers that are done early take over what others have not begun, so a wrong estimate costs little.
//!
//! [`shard`] chooses the tests of one machine among several, [`balance`] finds the shortest plan, [`dist_modes`] does what
//! the user asks for besides, [`replay`] repeats what an earlier run did, and `priority` puts some tests first. Durations
//! come from [`history`](crate::history).

pub mod balance;
pub mod dist_modes;
mod priority;
pub mod replay;
pub mod shard;

use std::time::Duration;

use crate::event::TestIndex;
use balance::setup_costs::Costs;
use balance::units::{Split, Unit};

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

    /// What the tests take that are known, without their set-ups, µs.
    fn calls_us(&self) -> impl Iterator<Item = u64> + Clone {
        let known = self.durations.iter().enumerate();
        known.filter_map(|(test, duration)| {
            let setup = self.setups.get(test).copied().flatten();
            Some(micros(
                duration.as_ref()?.saturating_sub(setup.unwrap_or_default()),
            ))
        })
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

/// How finely durations decide.
///
/// What takes little time takes another time in each run: if that decided what is longest, each run had another plan. So light tests all
/// count the same, and of what others take only the first digits count. How light that is depends on nothing that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grain {
    /// Tests that take less are light, µs.
    light: u64,
    /// There are so many tests for each worker that light ones make up for each other: whoever has time takes them, in the order of
    /// collection.
    is_fine: bool,
    /// Nothing is known of any test: nor whether its module's fixtures are dear.
    is_first: bool,
}

impl Grain {
    /// Tests for each worker from which on there are many.
    const MANY: usize = 16;
    /// Tests for each worker from which on it does not matter in which order tests are run that take about the same.
    const SOME: usize = 5;
    /// Light in any case are tests of less than this for each test that a worker has, µs, as far as [`Self::LIGHT_US`].
    const LIGHT_EACH_US: usize = 400;
    const LIGHT_US: usize = 20_000;
    /// Most that a light test counts, µs.
    const COUNTS_US: u64 = 5_000;

    fn new(tests: &Tests, workers: usize) -> Grain {
        let each = tests.len() / workers.max(1);
        let is_fine = each >= Self::MANY;
        let calls = tests.calls_us();
        let longest = calls.clone().max().unwrap_or(0);
        // What is light beside the longest; a power of two, that the same is light when the longest takes somewhat longer.
        let beside = if longest == 0 {
            0
        } else {
            (1 << longest.ilog2()) / if is_fine { 8 } else { 64 }
        };
        let shortest = calls.min().unwrap_or(0);
        if each >= Self::SOME && longest <= 4 * shortest {
            // Estimates are wrong by a factor of two at times: they don't tell these apart.
            return Grain {
                light: longest + 1,
                is_fine: true,
                is_first: longest == 0,
            };
        }
        let of_each = if is_fine {
            Self::LIGHT_EACH_US
        } else {
            Self::LIGHT_EACH_US / 4
        };
        let light = (each * of_each).clamp(1000, Self::LIGHT_US) as u64;
        Grain {
            light: light.max(beside),
            // In a first run all are the same, however few.
            is_fine: is_fine || longest == 0,
            is_first: longest == 0,
        }
    }

    /// Each test counts, if it takes some time at all.
    fn fine(self) -> Grain {
        Grain {
            light: 1000,
            is_fine: false,
            is_first: self.is_first,
        }
    }

    /// A cost as it decides, µs.
    fn round(self, us: u64) -> u64 {
        if us < self.light {
            return (self.light / 4).min(Self::COUNTS_US);
        }
        self.digits(us)
    }

    /// The first digits of a cost, µs.
    fn digits(self, us: u64) -> u64 {
        let digits = if self.is_fine { 2 } else { 3 };
        let unit = 10_u64.pow((us.max(1).ilog10() + 1).saturating_sub(digits));
        ((us + unit / 2) / unit * unit).max(1)
    }

    /// What entering a module costs as it decides, µs: nothing if it is about as much as a light test takes.
    fn enter(self, us: u64) -> u64 {
        if us < (self.light / 4).clamp(1000, Self::COUNTS_US) {
            0
        } else {
            self.digits(us)
        }
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
    /// Its place in the order in which tests are run, that of the collection: a process runs nothing that does not come after all that
    /// it has run.
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
    entries: Vec<PlanEntry>,
    parts: Vec<(u32, u32)>,
    loads: Vec<u64>,
    sharing: Sharing,
    serial: Vec<Serial>,
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

    /// Lays out `parts` of `units`, each in the order of collection. `order` says which test is at which place of `tests`, if that is not its number.
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
