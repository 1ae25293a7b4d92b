//! Into how many pieces modules with expensive fixtures are best cut, if one can't be sure of the
//! estimates.
//!
//! Which worker gets which piece is left open: all work is divided evenly, and a module takes as
//! long as its set-up and its share of tests. That is quickly worked out for many numbers of
//! pieces.

use super::module_setup_costs::{Costs, set_ups_count};
use super::robustness::{Robustness, SCENARIOS, power, root, weigh};
use super::{module_setup_costs, rebalance};
use crate::plan::Tests;

/// Steps of the search, a step being a look at a module in a scenario: some milliseconds.
const STEPS: usize = 1_000_000;

/// How many of the beginnings are improved.
const BEGINNINGS: usize = 4;

/// By how much set-ups are overestimated to begin with, in percent.
const CAUTION: [u64; 3] = [100, 150, 200];

struct Module {
    work: u64,
    enter: u64,
    longest: u64,
    /// The same per scenario.
    enters: [u64; SCENARIOS],
    longests: [u64; SCENARIOS],
    /// Tests.
    most: u32,
}

struct Search {
    /// All of them; only those that are expensive to enter have tests.
    modules: Vec<Option<Module>>,
    workers: u64,
    /// The work of all.
    work: u64,
}

/// The result of some numbers of pieces.
struct State {
    /// What entering modules takes, as estimated and per scenario.
    entering: u64,
    varied: [u64; SCENARIOS],
    /// Sums of powers of times, per scenario.
    times: [f64; SCENARIOS],
    /// As estimated: the longest time and its module, and the second longest.
    longest: (u64, usize, u64),
}

/// The best numbers found, per module as counted along the collection, from several beginnings:
/// those that are in time for each of `targets`, µs.
pub fn find(
    robustness: &Robustness,
    tests: &Tests,
    costs: &Costs,
    workers: usize,
    targets: impl Iterator<Item = u64>,
) -> Vec<Vec<u32>> {
    let expensive = rebalance::modules(tests, costs);
    let mut modules: Vec<Option<Module>> = Vec::new();
    modules.resize_with(
        module_setup_costs::runs(tests.modules, 0..tests.len()).count(),
        || None,
    );
    for module in &expensive {
        let number = module.number as usize;
        let longest = longest(costs, module);
        let vary = |time, turn| {
            std::array::from_fn(|scenario| robustness.vary(time, number, scenario, turn))
        };
        modules[number] = Some(Module {
            work: module.work,
            enter: module.enter,
            longest,
            enters: vary(module.enter, 0),
            longests: vary(longest, SCENARIOS / 3),
            most: module.tests.len() as u32,
        });
    }
    let search = Search {
        modules,
        workers: workers as u64,
        work: costs.own.iter().sum(),
    };
    let begins = targets.flat_map(|target| CAUTION.map(|percent| search.begin(target, percent)));
    let mut begins: Vec<(u64, Vec<u32>)> = begins
        .map(|counts| (search.price(&search.state(&counts)), counts))
        .collect();
    begins.sort();
    begins.dedup();
    // A round looks at each module four times.
    let mut rounds = STEPS / (4 * expensive.len() * SCENARIOS).max(1);
    let best = begins.into_iter().take(BEGINNINGS);
    let mut found: Vec<_> = best
        .map(|(_, counts)| search.descend(counts, &mut rounds))
        .collect();
    found.dedup();
    found
}

impl Search {
    fn begin(&self, target: u64, percent: u64) -> Vec<u32> {
        let count = |module: &Module| {
            let enter = (module.enter * percent / 100).min(target / 10 * 9);
            let count = module.work.div_ceil((target - enter).max(1));
            count.clamp(1, module.most.into()) as u32
        };
        let count = |module: &Option<Module>| module.as_ref().map_or(1, count);
        self.modules.iter().map(count).collect()
    }

    fn expensive(&self) -> impl Iterator<Item = (usize, &Module)> {
        let modules = self.modules.iter().enumerate();
        modules.filter_map(|(index, module)| Some((index, module.as_ref()?)))
    }

    fn state(&self, counts: &[u32]) -> State {
        let mut state = State {
            entering: 0,
            varied: [0; SCENARIOS],
            times: [0.0; SCENARIOS],
            longest: (0, usize::MAX, 0),
        };
        for (index, module) in self.expensive() {
            let count = counts[index];
            for scenario in 0..SCENARIOS {
                state.varied[scenario] += module.enters[scenario] * u64::from(count);
                state.times[scenario] += power(module.time(count, scenario));
            }
            state.entering += module.enter * u64::from(count);
            let time = module.estimated(count);
            let (first, _, second) = state.longest;
            if time > first {
                state.longest = (time, index, first);
            } else {
                state.longest.2 = second.max(time);
            }
        }
        state
    }

    fn price(&self, state: &State) -> u64 {
        let scenarios = (0..SCENARIOS)
            .map(|scenario| root(state.times[scenario]).max(self.even(state.varied[scenario])));
        weigh(state.longest.0.max(self.even(state.entering)), scenarios)
            + set_ups_count(state.entering, self.workers as usize)
    }

    /// All work divided evenly.
    fn even(&self, entering: u64) -> u64 {
        (self.work + entering) / self.workers
    }

    /// The price if one module was cut into `to` pieces instead of `from`.
    fn changed(&self, state: &State, index: usize, module: &Module, from: u32, to: u32) -> u64 {
        let replace = |sum: u64, enter: u64| sum + enter * u64::from(to) - enter * u64::from(from);
        let scenarios = (0..SCENARIOS).map(|scenario| {
            let times = state.times[scenario] - power(module.time(from, scenario))
                + power(module.time(to, scenario));
            let entering = replace(state.varied[scenario], module.enters[scenario]);
            root(times).max(self.even(entering))
        });
        let (first, of, second) = state.longest;
        let others = if of == index { second } else { first };
        let entering = replace(state.entering, module.enter);
        let time = others.max(module.estimated(to)).max(self.even(entering));
        weigh(time, scenarios) + set_ups_count(entering, self.workers as usize)
    }

    /// Changes one number at a time, always the one with which it gets best.
    fn descend(&self, mut counts: Vec<u32>, rounds: &mut usize) -> Vec<u32> {
        let mut state = self.state(&counts);
        let mut price = self.price(&state);
        while *rounds > 0 {
            *rounds -= 1;
            let mut step = None;
            for (index, module) in self.expensive() {
                let from = counts[index];
                for to in [from.saturating_sub(2), from - 1, from + 1, from + 2] {
                    if !(1..=module.most).contains(&to) {
                        continue;
                    }
                    let found = self.changed(&state, index, module, from, to);
                    if found < price {
                        price = found;
                        step = Some((index, to));
                    }
                }
            }
            let Some((index, to)) = step else { break };
            counts[index] = to;
            state = self.state(&counts);
        }
        counts
    }
}

impl Module {
    /// What one of `count` workers does, after its set-up.
    fn share(&self, count: u32) -> u64 {
        self.work / u64::from(count)
    }

    /// How long it takes if all is as estimated.
    fn estimated(&self, count: u32) -> u64 {
        self.enter + self.share(count).max(self.longest)
    }

    /// How long it takes in a scenario.
    fn time(&self, count: u32, scenario: usize) -> u64 {
        self.enters[scenario] + self.share(count).max(self.longests[scenario])
    }
}

/// What the longest test takes, µs.
fn longest(costs: &Costs, module: &rebalance::Module) -> u64 {
    let own = costs.own[module.tests.clone()].iter().copied();
    own.max().unwrap_or(0)
}
