//! A few modules with expensive fixtures on a few workers: who enters what, tried thoroughly.
//!
//! Chunks of equal cost, dealt by LPT, fit badly when there are hardly more modules than workers.
//! Here a plan is, for each module, the set of workers that enter it. How long that takes when its
//! tests are divided as well as can be is known at once: any set of workers has to do what nobody
//! else can. So sets are changed one by one as long as it gets better, from several beginnings.

use super::lpt::Assignment;
use super::module_setup_costs::{self, Costs};
use super::module_shares::{self, Module};
use super::units::{self, Split, Unit};
use crate::plan::Tests;

/// How many steps of the search are made at most, a step being a look at one module in one set of
/// workers: some milliseconds.
const STEPS: usize = 1_000_000;

/// From how many beginnings.
const BEGINNINGS: usize = 12;

/// A set of workers: bits.
type Workers = u32;

struct Search<'a> {
    modules: &'a [Module],
    workers: usize,
    /// What anybody can do without entering anything, µs.
    free: u64,
}

/// Plans in which modules are divided in the best way found: the pieces in the order of collection,
/// and put together from single tests. None when there are too many modules or workers to try much.
pub fn plans(
    tests: &Tests,
    costs: &Costs,
    split: &Split,
    workers: usize,
    add: impl Fn(&mut Vec<Unit>),
) -> Vec<(Vec<Unit>, Assignment)> {
    let modules = module_shares::modules(tests, costs);
    // One descent looks at each module, with each set of workers, in each set of workers, a few
    // times.
    let descent = modules
        .len()
        .pow(2)
        .saturating_mul(1 << (2 * workers.min(16)))
        * 4;
    if modules.is_empty() || descent > STEPS {
        return Vec::new();
    }
    let mut open = units::group(tests, costs, split);
    add(&mut open);
    module_shares::keep_others(&mut open, &modules);
    let search = Search {
        modules: &modules,
        workers,
        free: open.iter().map(|unit| unit.cost).sum(),
    };
    let sets = search.best((STEPS / descent).min(BEGINNINGS));
    let inside: Vec<Vec<usize>> = sets
        .iter()
        .map(|set| {
            (0..workers)
                .filter(|worker| set >> worker & 1 == 1)
                .collect()
        })
        .collect();
    module_shares::plans(tests, costs, &modules, &inside, &open, workers)
}

impl Search<'_> {
    /// The best sets of workers, one per module.
    fn best(&self, beginnings: usize) -> Vec<Workers> {
        let mut state = 0;
        let mut begin = |turn: usize| -> Vec<Workers> {
            let all = (1 << self.workers) - 1;
            let set = |_: &Module| {
                let number = super::random::random(&mut state);
                if turn.is_multiple_of(2) {
                    1 << (number % self.workers as u64)
                } else {
                    (number % all + 1) as Workers
                }
            };
            self.modules.iter().map(set).collect()
        };
        let descents = (0..beginnings.max(1)).map(|turn| self.descend(begin(turn)));
        let best = descents.min_by_key(|(price, _)| *price);
        best.map(|(_, sets)| sets).unwrap_or_default()
    }

    /// Changes one set at a time, always the one with which it gets best.
    fn descend(&self, mut sets: Vec<Workers>) -> (u64, Vec<Workers>) {
        let mut price = self.price(&sets);
        loop {
            let mut step = None;
            for module in 0..sets.len() {
                let before = sets[module];
                for set in (1..1 << self.workers).filter(|&set| set != before) {
                    sets[module] = set;
                    let found = self.price(&sets);
                    if found < price {
                        price = found;
                        step = Some((module, set));
                    }
                }
                sets[module] = before;
            }
            match step {
                Some((module, set)) => sets[module] = set,
                None => return (price, sets),
            }
        }
    }

    /// When all are done, and a part of what further set-ups are, µs.
    fn price(&self, sets: &[Workers]) -> u64 {
        let time = (1..1 << self.workers)
            .map(|some| self.time(sets, some))
            .max();
        let entering: u64 = self
            .modules
            .iter()
            .zip(sets)
            .map(|(module, set)| module.enter * u64::from(set.count_ones()))
            .sum();
        time.unwrap_or(0) + module_setup_costs::set_ups_count(entering, self.workers)
    }

    /// What these workers enter, and what nobody else does, divided evenly.
    fn time(&self, sets: &[Workers], some: Workers) -> u64 {
        let mut sum = 0;
        for (module, set) in self.modules.iter().zip(sets) {
            sum += module.enter * u64::from((set & some).count_ones());
            if set & !some == 0 {
                sum += module.work;
            }
        }
        if some == (1 << self.workers) - 1 {
            sum += self.free;
        }
        sum / u64::from(some.count_ones())
    }
}
