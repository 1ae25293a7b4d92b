//! What if estimates are wrong? Tests of a module make up for each other, and whoever has time
//! helps with them. The one set-up of its fixtures does not: when it takes twice as long as
//! expected, all who wait for it are late, and who comes to help has to pay for it as well. So the
//! workers that a long module may need must be in it from the start.
//!
//! A plan is looked at under some scenarios, in each of which every module's set-up takes between
//! half and twice its estimate.

use std::collections::HashMap;
use std::ops::Range;

use super::lpt::Assignment;
use super::module_setup_costs::{Costs, runs, set_ups_count};
use super::random::random;
use super::units::Unit;
use crate::plan::Tests;

/// Scenarios looked at.
const SCENARIOS: usize = 24;

/// How much of a price is the mean of the scenarios, in percent; the rest is what happens if all is
/// as estimated.
const WEIGHT: u64 = 70;

/// How many times as long as estimated set-ups take, per module and scenario.
pub struct Robustness {
    /// Thousandths; empty for modules that cost nothing to enter.
    factors: Vec<Vec<u64>>,
}

impl Robustness {
    pub fn new(tests: &Tests, costs: &Costs) -> Robustness {
        let factors = (0..).zip(runs(tests.modules, 0..tests.len()));
        let factors = factors.map(|(module, range): (u64, Range<usize>)| {
            // A class may cost something where the module does not.
            if costs.enter[range].iter().all(|&enter| enter == 0) {
                return Vec::new();
            }
            // Each of the factors once, in an order that is the module's own.
            let mut state = module;
            let mut places: Vec<usize> = (0..SCENARIOS).collect();
            places.sort_by_cached_key(|_| random(&mut state));
            places.into_iter().map(factor).collect()
        });
        Robustness {
            factors: factors.collect(),
        }
    }

    /// What a time of a module becomes in a scenario.
    fn vary(&self, time: u64, module: usize, scenario: usize) -> u64 {
        let factors = self.factors.get(module);
        let factor = factors.and_then(|factors| factors.get(scenario));
        factor.map_or(time, |factor| time * factor / 1000)
    }

    /// What is to be as little as possible, µs: when all are done, by and large, and a part of what
    /// set-ups take. What needs no set-up is done by whoever has time.
    pub fn price(&self, units: &[Unit], assignment: &Assignment) -> u64 {
        let stays = Stays::new(units, assignment);
        let mut loads = Vec::new();
        let scenarios = (0..SCENARIOS).map(|scenario| {
            let enter = |module: u32, enter| self.vary(enter, module as usize, scenario);
            stays.time(enter, &mut loads)
        });
        weigh(assignment.longest(), scenarios)
            + set_ups_count(assignment.entering, assignment.parts.len())
    }
}

/// Thousandths: evenly from half to twice, by ratio.
fn factor(place: usize) -> u64 {
    let exponent = (2 * place + 1) as f64 / SCENARIOS as f64 - 1.0;
    (1000.0 * exponent.exp2()) as u64
}

/// When all are done if it is as estimated, and in each scenario, to one number.
fn weigh(estimated: u64, scenarios: impl Iterator<Item = u64>) -> u64 {
    let mean = scenarios.sum::<u64>() / SCENARIOS as u64;
    (estimated * (100 - WEIGHT) + mean * WEIGHT) / 100
}

/// A soft maximum of times: the fourth root of the sum of fourth powers. What is not the longest
/// counts as well, since the longest may turn out to be short.
fn root(sum: f64) -> u64 {
    sum.max(0.0).sqrt().sqrt() as u64
}

/// See [`root`].
fn power(time: u64) -> f64 {
    let square = time as f64 * time as f64;
    square * square
}

/// Which workers are in which of the modules that cost something to enter.
struct Stays {
    /// Per worker what it does there, and what it enters: numbers and costs.
    fixed: Vec<(u64, Vec<(u32, u64)>)>,
    /// The workers in each module, by its number.
    inside: Vec<(u32, Vec<usize>)>,
    /// All work.
    total: u64,
}

impl Stays {
    fn new(units: &[Unit], assignment: &Assignment) -> Stays {
        let mut inside: HashMap<u32, Vec<usize>> = HashMap::new();
        let parts = assignment.parts.iter().enumerate();
        let fixed = parts.map(|(worker, part)| {
            let (mut own, mut entered) = (0, Vec::new());
            let units = part.iter().map(|&index| &units[index]);
            for unit in units.filter(|unit| unit.enter > 0) {
                own += unit.cost - unit.enter;
                let of = inside.entry(unit.module).or_default();
                if of.last() != Some(&worker) {
                    of.push(worker);
                    entered.push((unit.module, unit.enter));
                }
            }
            (own, entered)
        });
        let fixed = fixed.collect();
        let mut inside: Vec<_> = inside.into_iter().collect();
        inside.sort_unstable();
        Stays {
            fixed,
            inside,
            total: assignment.loads.iter().sum(),
        }
    }

    /// When all are done, if entering modules takes so long. Those who are in a module help each
    /// other.
    fn time(&self, enter: impl Fn(u32, u64) -> u64, loads: &mut Vec<u64>) -> u64 {
        loads.clear();
        let (mut estimated, mut taken) = (0, 0);
        for (own, entered) in &self.fixed {
            let mut load = *own;
            for &(module, cost) in entered {
                let takes = enter(module, cost);
                estimated += cost;
                taken += takes;
                load += takes;
            }
            loads.push(load);
        }
        let times = self.inside.iter().map(|(_, workers)| {
            let all = workers.iter().map(|&worker| loads[worker]);
            power(all.sum::<u64>() / workers.len() as u64)
        });
        let even = (self.total + taken - estimated) / loads.len().max(1) as u64;
        root(times.sum()).max(even)
    }
}
