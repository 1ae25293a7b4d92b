//! How far modules with expensive fixtures are split: every further worker in a module pays for its
//! set-up again, and a module that stays whole keeps one worker busy while others have nothing to
//! do.
//!
//! Several ways are planned and the best one is taken. Each asks for a time at which all are to be
//! done, and cuts what would take longer; LPT does the rest.

use super::local_search;
use super::lpt::{self, Assignment};
use super::module_setup_costs::Costs;
use super::robustness::Robustness;
use super::units::{self, Expensive, Pieces, Split, Unit};
use crate::plan::Tests;

/// Times at which all are to be done, in percent of what is least.
const TARGETS: [u64; 15] = [
    800, 560, 400, 280, 200, 165, 150, 140, 130, 120, 115, 110, 107, 104, 100,
];

/// How many pieces a worker gets until then.
const PIECES: [u64; 3] = [1, 2, 4];

/// Groups the tests and gives them to `workers`; `add` adds units that are not to be split. Returns
/// the units, and each worker's of them.
pub fn assign(
    tests: &Tests,
    costs: &Costs,
    split: Split,
    workers: usize,
    add: impl Fn(&mut Vec<Unit>),
) -> (Vec<Unit>, Vec<Vec<usize>>) {
    let plan = |split: &Split| {
        let mut units = units::group(tests, costs, split);
        add(&mut units);
        let assignment = lpt::assign(&units, workers);
        (units, assignment)
    };
    let first = plan(&split);
    let mut choice = Choice::new(tests, costs, first);
    let expensive = costs.enter.iter().any(|&enter| enter > 0);
    let least = least(&choice.best.0, &choice.best.1, costs, workers);
    if expensive && !close(&choice.best.1, least) {
        for found in local_search::plans(tests, costs, &split, workers, &add) {
            choice.offer(found);
        }
        for split in candidates(split, least) {
            if close(&choice.best.1, least) {
                break;
            }
            choice.offer(plan(&split));
        }
    }
    let (units, best) = choice.best;
    (units, best.parts)
}

/// The best of what was offered.
struct Choice {
    robustness: Robustness,
    price: u64,
    best: (Vec<Unit>, Assignment),
}

impl Choice {
    fn new(tests: &Tests, costs: &Costs, first: (Vec<Unit>, Assignment)) -> Self {
        let robustness = Robustness::new(tests, costs);
        Choice {
            price: robustness.price(&first.0, &first.1),
            robustness,
            best: first,
        }
    }

    fn offer(&mut self, found: (Vec<Unit>, Assignment)) {
        let price = self.robustness.price(&found.0, &found.1);
        if price < self.price {
            self.price = price;
            self.best = found;
        }
    }
}

/// From splitting expensive modules hardly to splitting them as far as they can be.
fn candidates(split: Split, least: u64) -> impl Iterator<Item = Split> {
    TARGETS.into_iter().flat_map(move |percent| {
        PIECES.into_iter().map(move |each| Split {
            expensive: Expensive::Pieces(Pieces {
                target: least / 100 * percent + least % 100 * percent / 100,
                each,
            }),
            ..split
        })
    })
}

/// A time at which nobody can be done earlier, µs: all work divided evenly, or the longest test
/// with its set-up.
fn least(units: &[Unit], whole: &Assignment, costs: &Costs, workers: usize) -> u64 {
    let even = whole.loads.iter().sum::<u64>().div_ceil(workers as u64);
    let tests = costs.own.iter().zip(&costs.enter);
    let longest = tests.map(|(own, enter)| own + enter).max().unwrap_or(0);
    let kept = units.iter().filter(|unit| unit.keep).map(|unit| unit.cost);
    even.max(longest).max(kept.max().unwrap_or(0)).max(1)
}

/// Whether splitting further can't gain anything that counts.
fn close(best: &Assignment, least: u64) -> bool {
    best.longest() <= least + least / 100
}
