//! How far modules with expensive fixtures are split: every further worker in a module pays for its set-up again, and a module
//! that stays whole keeps one worker busy while others have nothing to do.
//!
//! Several ways are planned and the best one is taken. Each asks for a time at which all are to be done, and cuts what would
//! take longer; LPT does the rest.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

use super::Tests;
use super::counts;
use super::divide;
use super::doubt::Doubt;
use super::few;
use super::lpt::{self, Assignment};
use super::setups::Costs;
use super::units::{self, Expensive, Pieces, Split, Unit};

/// Times at which all are to be done, in percent of what is least.
const TARGETS: [u64; 15] = [
    800, 560, 400, 280, 200, 165, 150, 140, 130, 120, 115, 110, 107, 104, 100,
];

/// How many pieces a worker gets until then.
const PIECES: [u64; 3] = [1, 2, 4];

/// Which part of the work that further set-ups are counts as time lost: workers share processors, disks and servers.
const SET_UPS_COUNT: u64 = 4;

/// Groups the tests and gives them to `workers`; `add` adds units that are not to be split. Returns the units, and each
/// worker's of them in the order of running.
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
        for found in few::plans(tests, costs, &split, workers, &add) {
            choice.offer(found);
        }
        for split in candidates(split, least) {
            if close(&choice.best.1, least) {
                break;
            }
            choice.offer(plan(&split));
        }
        let targets = TARGETS.iter().map(|percent| least / 100 * percent);
        for counts in counts::find(&choice.doubt, tests, costs, workers, targets) {
            choice.offer(plan(&Split {
                expensive: Expensive::Counts(&counts),
                ..split
            }));
        }
        if !close(&choice.best.1, least) {
            for found in divide::again(tests, costs, &choice.best, workers) {
                choice.offer(found);
            }
        }
    }
    let (units, best) = choice.best;
    let mut parts = best.parts;
    let counts = counts(units.iter());
    for part in &mut parts {
        keep_modules_together(part, &units, &counts);
    }
    (units, parts)
}

/// The best of what was offered.
struct Choice {
    doubt: Doubt,
    price: u64,
    best: (Vec<Unit>, Assignment),
}

impl Choice {
    fn new(tests: &Tests, costs: &Costs, first: (Vec<Unit>, Assignment)) -> Self {
        let doubt = Doubt::new(tests, costs);
        Choice {
            price: doubt.price(&first.0, &first.1),
            doubt,
            best: first,
        }
    }

    fn offer(&mut self, found: (Vec<Unit>, Assignment)) {
        let price = self.doubt.price(&found.0, &found.1);
        if price < self.price {
            self.price = price;
            self.best = found;
        }
    }
}

/// From splitting expensive modules hardly to splitting them as far as they can be.
fn candidates(split: Split<'_>, least: u64) -> impl Iterator<Item = Split<'_>> {
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

/// A time at which nobody can be done earlier, µs: all work divided evenly, or the longest test with its set-up.
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

/// What set-ups add to a plan's price, µs.
pub fn set_ups_count(entering: u64, workers: usize) -> u64 {
    entering / (workers as u64 * SET_UPS_COUNT)
}

/// Moves a part's units of one module next to each other, to where the first of them stood: a module's fixtures are set up once
/// per stay in the module, not once per unit.
///
/// Where they are the whole module they get into collection order, as without any plan. Else, what comes before the first
/// of them runs elsewhere at the same time, and the longest stay first: the light ones are for those who come to help.
fn keep_modules_together(part: &mut [usize], units: &[Unit], counts: &HashMap<u32, usize>) {
    let mut places: HashMap<u32, usize> = HashMap::with_capacity(part.len());
    for (place, &index) in part.iter().enumerate() {
        places.entry(units[index].module).or_insert(place);
    }
    let here = self::counts(part.iter().map(|&index| &units[index]));
    // What needs no set-up comes last: if set-ups take longer, others can take it over.
    let expensive = part.iter().map(|&index| &units[index]);
    let expensive: HashSet<u32> = expensive
        .filter(|unit| unit.enter > 0)
        .map(|unit| unit.module)
        .collect();
    // Stable: LPT's order among units of a divided module.
    part.sort_by_key(|&index| {
        let unit = &units[index];
        let is_divided = here[&unit.module] < counts[&unit.module];
        let first = if is_divided { 0 } else { unit.first };
        let longest = if is_divided { unit.cost } else { 0 };
        (
            !expensive.contains(&unit.module),
            places[&unit.module],
            first,
            Reverse(longest),
        )
    });
}

/// How many of the units are of which module.
fn counts<'a>(units: impl Iterator<Item = &'a Unit>) -> HashMap<u32, usize> {
    let mut counts = HashMap::new();
    for unit in units {
        *counts.entry(unit.module).or_default() += 1;
    }
    counts
}
