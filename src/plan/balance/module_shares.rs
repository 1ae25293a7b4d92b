//! Dividing modules with expensive fixtures among given workers, so that all are done together.

use std::collections::HashSet;
use std::ops::Range;

use super::lpt::{self, Assignment};
use super::module_setup_costs::{Costs, runs};
use super::units::{self, Unit};
use crate::plan::Tests;

/// Rounds in which work is levelled between workers.
const ROUNDS: usize = 100;

/// Modules of suites with more tests than this are only cut: with many tests that is as good.
const SINGLE: usize = 5000;

/// A module that is expensive to enter.
pub struct Module {
    /// The module's number as counted along the collection.
    pub number: u32,
    pub tests: Range<usize>,
    /// µs without entering it.
    pub work: u64,
    pub enter: u64,
}

pub fn modules(tests: &Tests, costs: &Costs) -> Vec<Module> {
    (0..)
        .zip(runs(tests.modules, 0..tests.len()))
        .filter(|(_, range)| costs.enter[range.start] > 0)
        .map(|(number, range)| Module {
            number,
            work: costs.sum(&range),
            enter: costs.enter[range.start],
            tests: range,
        })
        .collect()
}

/// Leaves the units that are not of these modules; classes in them may still cost something.
pub fn keep_others(units: &mut Vec<Unit>, modules: &[Module]) {
    let numbers: HashSet<u32> = modules.iter().map(|module| module.number).collect();
    units.retain(|unit| !numbers.contains(&unit.module));
}

/// Plans in which each module is divided among the workers that are `inside`: in the order of
/// collection, and put together from single tests. `open` units are for whoever has time.
pub fn plans(
    tests: &Tests,
    costs: &Costs,
    modules: &[Module],
    inside: &[Vec<usize>],
    open: &[Unit],
    workers: usize,
) -> Vec<(Vec<Unit>, Assignment)> {
    let free: u64 = open.iter().map(|unit| unit.cost).sum();
    let shares = level(modules, inside, workers, free);
    let mut plans = vec![deal(tests, costs, modules, inside, &shares, in_order)];
    let few = tests.len() <= SINGLE;
    if few
        && modules
            .iter()
            .all(|module| costs.classes_are_free(&module.tests))
    {
        plans.push(deal(tests, costs, modules, inside, &shares, longest_first));
    }
    let complete = |(pieces, given): (Vec<Unit>, Vec<usize>)| {
        let units: Vec<Unit> = open.iter().copied().chain(pieces).collect();
        let assignment = lpt::complete(&units, workers, &given);
        (units, assignment)
    };
    plans.into_iter().map(complete).collect()
}

/// Per module what each of the workers inside does of it, µs.
fn level(modules: &[Module], inside: &[Vec<usize>], workers: usize, free: u64) -> Vec<Vec<f64>> {
    let mut loads = vec![0.0; workers];
    for (module, inside) in modules.iter().zip(inside) {
        for &worker in inside {
            loads[worker] += module.enter as f64;
        }
    }
    let everybody: Vec<usize> = (0..workers).collect();
    let works = modules.iter().map(|module| module.work as f64);
    let jobs: Vec<(&Vec<usize>, f64)> = inside
        .iter()
        .zip(works)
        .chain([(&everybody, free as f64)])
        .collect();
    let mut shares: Vec<Vec<f64>> = jobs
        .iter()
        .map(|(inside, _)| vec![0.0; inside.len()])
        .collect();
    for _ in 0..ROUNDS {
        for (share, (inside, work)) in shares.iter_mut().zip(&jobs) {
            for (&worker, share) in inside.iter().zip(&*share) {
                loads[worker] -= share;
            }
            fill(inside, &mut loads, share, *work);
        }
    }
    shares.pop();
    shares
}

/// Gives `work` to those who have least, until all of them who get any have the same.
fn fill(inside: &[usize], loads: &mut [f64], share: &mut [f64], work: f64) {
    let mut sorted: Vec<f64> = inside.iter().map(|&worker| loads[worker]).collect();
    sorted.sort_by(f64::total_cmp);
    let (mut sum, mut level) = (work, f64::INFINITY);
    for (count, load) in (1..).zip(sorted) {
        if load >= level {
            break;
        }
        sum += load;
        level = sum / f64::from(count);
    }
    for (&worker, share) in inside.iter().zip(share) {
        *share = (level - loads[worker]).max(0.0);
        loads[worker] += *share;
    }
}

/// Pieces of the modules, and the worker of each.
fn deal(
    tests: &Tests,
    costs: &Costs,
    modules: &[Module],
    inside: &[Vec<usize>],
    shares: &[Vec<f64>],
    divide: fn(&Costs, &Module, &[f64]) -> Vec<usize>,
) -> (Vec<Unit>, Vec<usize>) {
    let (mut pieces, mut given) = (Vec::new(), Vec::new());
    for ((module, inside), share) in modules.iter().zip(inside).zip(shares) {
        let mut first = module.tests.start;
        for piece in divide(costs, module, share).chunk_by(|one, other| one == other) {
            let range = first..first + piece.len();
            first = range.end;
            pieces.push(units::unit(range, module.number, tests, costs));
            given.push(inside[piece[0]]);
        }
    }
    (pieces, given)
}

/// Per test which of the workers inside runs it: neighbours, one worker after the other.
fn in_order(costs: &Costs, module: &Module, share: &[f64]) -> Vec<usize> {
    let (mut worker, mut end) = (0, share[0]);
    let mut before = 0.0;
    let mut of = |test: usize| {
        let own = costs.own[test] as f64;
        while before + own / 2.0 > end && worker + 1 < share.len() {
            worker += 1;
            end += share[worker];
        }
        before += own;
        worker
    };
    module.tests.clone().map(&mut of).collect()
}

/// Per test which of the workers inside runs it: the longest ones first, each to the worker that
/// has most to get.
fn longest_first(costs: &Costs, module: &Module, share: &[f64]) -> Vec<usize> {
    let mut left = share.to_vec();
    let mut sorted: Vec<usize> = module.tests.clone().collect();
    sorted.sort_by_key(|&test| std::cmp::Reverse(costs.own[test]));
    let mut of = vec![0; sorted.len()];
    for test in sorted {
        let most = (0..left.len()).reduce(|most, worker| {
            if left[worker] > left[most] {
                worker
            } else {
                most
            }
        });
        let worker = most.unwrap_or(0);
        left[worker] -= costs.own[test] as f64;
        of[test - module.tests.start] = worker;
    }
    of
}
