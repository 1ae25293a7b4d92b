//! What set-ups of module and class fixtures cost, as far as a history shows it.
//!
//! pytest has no record of its own about fixtures: the first test that needs one pays for it. So
//! what the first test of a module takes longer to set up than is usual there is what every worker
//! pays that enters the module.

use std::ops::Range;

use crate::plan::suite::micros;
use crate::plan::{Grain, Tests};

/// Less than this part of a worker's fair share is not dear.
const NOT_DEAR: u64 = 50;

/// What further set-ups take counts as time lost, divided by this: workers share processors, disks
/// and servers.
const SET_UPS_COUNT: u64 = 4;

/// Costs of tests without, and of entering their modules and classes, microseconds.
#[derive(Clone, Debug, Default)]
pub struct Costs {
    /// Per test, at least 1: without what belongs to its module, as finely as it decides.
    pub own: Vec<u64>,
    /// The same as it was measured.
    pub real: Vec<u64>,
    /// Per test: what a worker pays to begin with it when it was not in the module before.
    pub enter: Vec<u64>,
    /// The part of it that is the module's.
    pub module: Vec<u64>,
}

impl Costs {
    /// `totals` are the estimates of whole tests.
    pub fn new(tests: &Tests, totals: Vec<u64>, grain: Grain) -> Costs {
        let mut costs = Costs {
            enter: vec![0; totals.len()],
            module: vec![0; totals.len()],
            own: Vec::new(),
            real: totals,
        };
        if !tests.setups.is_empty() {
            costs.enter(tests, grain);
        }
        costs.own = costs.real.iter().map(|&us| grain.round(us)).collect();
        costs
    }

    /// The costs as finely as it is good for so many workers.
    ///
    /// Where set-ups are dear each test counts: their sums say how many workers are to enter a
    /// module. Set-ups that would not be dear if every worker made all of them are nothing but a
    /// part of the tests that make them.
    pub fn of(tests: &Tests, workers: usize) -> (Costs, Grain) {
        let grain = Grain::new(tests, workers);
        let costs = Costs::new(tests, tests.costs(), grain);
        let modules = runs(tests.modules, 0..tests.len());
        let dearest = modules.map(|module| costs.enter[module].iter().copied().max().unwrap_or(0));
        let dear: u64 = dearest.sum();
        if dear == 0 {
            return (costs, grain);
        }
        let share = costs.real.iter().sum::<u64>() / workers.max(1) as u64;
        if dear < share / NOT_DEAR {
            let tests = Tests {
                setups: &[],
                ..*tests
            };
            return (Costs::new(&tests, tests.costs(), grain), grain);
        }
        let grain = grain.fine();
        (Costs::new(tests, tests.costs(), grain), grain)
    }

    /// Finds out what entering modules and classes costs.
    fn enter(&mut self, tests: &Tests, grain: Grain) {
        let setups: Vec<Option<u64>> = tests
            .setups
            .iter()
            .map(|setup| setup.map(|setup| if setup.is_zero() { 0 } else { micros(setup) }))
            .collect();
        for module in runs(tests.modules, 0..tests.len()) {
            let whole = self.take_out(&setups, &module, grain);
            self.enter[module.clone()].fill(whole);
            self.module[module.clone()].fill(whole);
            for class in runs(tests.classes, module.clone()) {
                if class.start != module.start {
                    // The class's fixtures stay with its first test; whoever begins later in it
                    // pays for them, too.
                    let extra = grain.enter(excess(&setups, &class));
                    for later in class.start + 1..class.end {
                        self.enter[later] += extra;
                    }
                }
            }
        }
    }

    /// Takes the module's set-ups out of its tests' costs; returns what they cost once.
    fn take_out(&mut self, setups: &[Option<u64>], module: &Range<usize>, grain: Grain) -> u64 {
        let extra = excess(setups, module);
        let enter = grain.enter(extra);
        if enter == 0 {
            return 0;
        }
        let usual = usual(setups, module);
        for test in module.clone() {
            // Others that began a worker's stay in earlier runs carry most of it as well.
            let over = setups[test].map_or(0, |setup| setup.saturating_sub(usual));
            if test == module.start || over >= extra / 4 * 3 {
                self.real[test] = self.real[test].saturating_sub(over.min(extra)).max(1);
            }
        }
        enter
    }

    /// Whether it makes no difference for the classes of a module where it is cut.
    pub fn classes_are_free(&self, module: &Range<usize>) -> bool {
        self.enter[module.clone()] == self.module[module.clone()]
    }

    /// Own costs of neighbours.
    pub fn sum(&self, range: &Range<usize>) -> u64 {
        self.own[range.clone()].iter().sum()
    }
}

/// By how much the first test's set-up exceeds the usual one; 0 when that is little.
fn excess(setups: &[Option<u64>], range: &Range<usize>) -> u64 {
    let first = setups[range.start].unwrap_or(0);
    let extra = first.saturating_sub(usual(setups, range));
    if range.len() < 2 { 0 } else { extra }
}

/// The lower quartile of the set-ups of the tests after the first: in earlier runs several workers
/// may have entered the module, so more than half of them may have been somebody's first.
fn usual(setups: &[Option<u64>], range: &Range<usize>) -> u64 {
    let mut later: Vec<u64> = setups[range.start + 1..range.end]
        .iter()
        .flatten()
        .copied()
        .collect();
    let quarter = later.len() / 4;
    if later.is_empty() {
        // Nothing to compare with: no claim about fixtures.
        return u64::MAX;
    }
    *later.select_nth_unstable(quarter).1
}

/// Ranges of equal neighbours in `keys[range]`.
pub fn runs(keys: &[u32], range: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    let mut start = range.start;
    keys[range]
        .chunk_by(|left, right| left == right)
        .map(move |run| {
            let begin = start;
            start += run.len();
            begin..start
        })
}

/// What set-ups add to a plan's price, µs.
pub fn set_ups_count(entering: u64, workers: usize) -> u64 {
    entering / (workers as u64 * SET_UPS_COUNT)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn costs(modules: &[u32], classes: &[u32], setups_ms: &[u64]) -> Costs {
        let durations: Vec<_> = setups_ms
            .iter()
            .map(|ms| Some(Duration::from_millis(ms + 10)))
            .collect();
        let setups: Vec<_> = setups_ms
            .iter()
            .map(|&ms| Some(Duration::from_millis(ms)))
            .collect();
        let tests = Tests::new(modules, classes, &durations)
            .and_then(|tests| tests.with_setups(&setups))
            .unwrap();
        Costs::new(&tests, tests.costs(), Grain::new(&tests, 1).fine())
    }

    #[test]
    fn the_first_tests_set_up_tells_what_the_module_costs() {
        let found = costs(&[0, 0, 0, 1, 1], &[0, 0, 0, 1, 1], &[200, 1, 1, 2, 2]);
        assert_eq!(found.enter, [199_000, 199_000, 199_000, 0, 0]);
        assert_eq!(found.own, [11_000, 11_000, 11_000, 12_000, 12_000]);
    }

    #[test]
    fn a_test_that_began_a_stay_before_is_not_slow_by_itself() {
        let found = costs(&[0; 5], &[0; 5], &[200, 0, 0, 150, 0]);
        assert_eq!(found.enter, [200_000; 5]);
        assert_eq!(found.own, [10_000; 5]);
    }

    #[test]
    fn a_module_that_many_workers_have_entered_is_still_dear() {
        let found = costs(&[0; 6], &[0; 6], &[200, 200, 200, 200, 1, 1]);
        assert_eq!(found.enter, [199_000; 6]);
    }

    #[test]
    fn slow_set_ups_of_every_test_are_their_own() {
        let found = costs(&[0; 3], &[0; 3], &[200, 200, 200]);
        assert_eq!(found.enter, [0; 3]);
        assert_eq!(found.own, [210_000; 3]);
        assert_eq!(costs(&[0], &[0], &[200]).enter, [0]);
    }

    #[test]
    fn a_class_is_entered_by_its_first_test_or_at_extra_cost() {
        let found = costs(&[0; 5], &[0, 0, 1, 1, 1], &[50, 0, 30, 0, 0]);
        assert_eq!(found.enter, [50_000, 50_000, 50_000, 80_000, 80_000]);
        assert_eq!(found.own, [10_000, 10_000, 40_000, 10_000, 10_000]);
    }
}
