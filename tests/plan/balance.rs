//! The plan: every test once, in whole units, balanced as LPT promises.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use proptest::prelude::*;
use rpytest::plan::{Plan, Tests};

/// A suite as the inventory describes it.
#[derive(Clone, Debug, Default)]
struct Suite {
    modules: Vec<u32>,
    classes: Vec<u32>,
    durations: Vec<Option<Duration>>,
}

impl Suite {
    fn plan(&self, workers: usize) -> Plan {
        let tests = Tests::new(&self.modules, &self.classes, &self.durations).unwrap();
        Plan::new(&tests, workers)
    }

    /// Adds a module with one class of tests with these durations in milliseconds.
    fn module(mut self, durations: &[Option<u64>]) -> Suite {
        let module = self.modules.last().map_or(0, |last| last + 1);
        for duration in durations {
            self.modules.push(module);
            self.classes.push(module);
            self.durations.push(duration.map(Duration::from_millis));
        }
        self
    }
}

/// Per part the tests in order.
fn parts(plan: &Plan) -> Vec<Vec<u32>> {
    plan.parts()
        .iter()
        .map(|&(start, len)| {
            plan.entries()[start as usize..(start + len) as usize]
                .iter()
                .map(|entry| entry.test)
                .collect()
        })
        .collect()
}

fn suites() -> impl Strategy<Value = Suite> {
    let duration = prop_oneof![
        1 => Just(None),
        4 => (0u64..50_000).prop_map(|us| Some(Duration::from_micros(us))),
        1 => (0u64..20_000_000).prop_map(|us| Some(Duration::from_micros(us))),
    ];
    let class = prop::collection::vec(duration, 1..12);
    let module = prop::collection::vec(class, 1..6);
    prop::collection::vec(module, 0..12).prop_map(|modules| {
        let mut suite = Suite::default();
        let mut class_number = 0;
        for (module_number, module) in modules.into_iter().enumerate() {
            for class in module {
                class_number += 1;
                for duration in class {
                    suite.modules.push(module_number as u32);
                    suite.classes.push(class_number);
                    suite.durations.push(duration);
                }
            }
        }
        suite
    })
}

proptest! {
    #[test]
    fn every_test_is_planned_once_and_parts_cover_the_plan(
        suite in suites(),
        workers in 0usize..40,
    ) {
        let plan = suite.plan(workers);
        let tests: HashSet<u32> = plan.entries().iter().map(|entry| entry.test).collect();
        prop_assert_eq!(plan.entries().len(), suite.modules.len());
        prop_assert_eq!(tests.len(), suite.modules.len());
        prop_assert!(tests.iter().all(|&test| (test as usize) < suite.modules.len()));
        prop_assert_eq!(plan.workers(), workers.max(1).min(suite.modules.len()));
        let mut next = 0;
        for &(start, len) in plan.parts() {
            prop_assert_eq!(start, next);
            prop_assert!(len > 0, "a worker without work");
            next += len;
        }
        prop_assert_eq!(next as usize, plan.entries().len());
    }

    #[test]
    fn the_same_input_gives_the_same_plan(suite in suites(), workers in 1usize..20) {
        prop_assert_eq!(suite.plan(workers), suite.plan(workers));
    }

    #[test]
    fn units_are_contiguous_in_the_collection_in_the_plan_and_in_a_module(
        suite in suites(),
        workers in 1usize..20,
    ) {
        let plan = suite.plan(workers);
        let mut seen = HashSet::new();
        for &(start, len) in plan.parts() {
            let part = &plan.entries()[start as usize..(start + len) as usize];
            for unit in part.chunk_by(|left, right| left.unit == right.unit) {
                prop_assert!(seen.insert(unit[0].unit), "unit {} is in two places", unit[0].unit);
                prop_assert!(unit.windows(2).all(|pair| pair[1].test == pair[0].test + 1));
                let module = suite.modules[unit[0].test as usize];
                prop_assert!(unit.iter().all(|entry| suite.modules[entry.test as usize] == module));
            }
        }
    }

    #[test]
    fn a_worker_stays_once_in_each_module_and_keeps_its_order(
        suite in suites(),
        workers in 1usize..20,
    ) {
        for part in parts(&suite.plan(workers)) {
            let mut left = HashSet::new();
            let stays = part.chunk_by(|&a, &b| suite.modules[a as usize] == suite.modules[b as usize]);
            for stay in stays {
                let module = suite.modules[stay[0] as usize];
                prop_assert!(left.insert(module));
                prop_assert!(stay.is_sorted());
            }
        }
    }

    #[test]
    fn a_module_that_is_light_enough_is_not_split(suite in suites(), workers in 2usize..20) {
        let plan = suite.plan(workers);
        let cost = |tests: &mut dyn Iterator<Item = u64>| tests.sum::<u64>();
        let total = cost(&mut plan.entries().iter().map(|entry| u64::from(entry.cost_us)));
        let modules: HashSet<u32> = suite.modules.iter().copied().collect();
        // With fewer modules than workers a light one may have to be split after all.
        prop_assume!(modules.len() >= workers);
        for module in modules {
            let entries: Vec<_> = plan
                .entries()
                .iter()
                .filter(|entry| suite.modules[entry.test as usize] == module)
                .collect();
            let weight = cost(&mut entries.iter().map(|entry| u64::from(entry.cost_us)));
            let units: HashSet<u32> = entries.iter().map(|entry| entry.unit).collect();
            // What is open to all gets smaller towards the end.
            let is_open = entries.iter().any(|entry| entry.open);
            if !is_open && weight <= total / (workers as u64 * 4) {
                prop_assert_eq!(units.len(), 1);
            }
        }
    }

    /// Graham 1969, against the true optimum.
    #[test]
    fn the_makespan_is_within_grahams_bound(
        costs in prop::collection::vec(1u64..200, 1..9),
        workers in 2usize..5,
    ) {
        let suite = costs.iter().fold(Suite::default(), |suite, &cost| suite.module(&[Some(cost)]));
        let plan = suite.plan(workers);
        let machines = plan.workers() as f64;
        let best = optimum(&costs, &mut vec![0; plan.workers()]) as f64;
        let bound = (4.0 / 3.0 - 1.0 / (3.0 * machines)) * best;
        let makespan = plan.makespan().as_secs_f64() * 1000.0;
        prop_assert!(makespan <= bound + 1e-6, "{makespan} > {bound}, optimum {best}");
        prop_assert!(makespan >= best - 1e-6, "{makespan} is better than the optimum {best}");
    }

    /// Holds for every list schedule of any size: the average and, on top, the longest.
    #[test]
    fn the_makespan_is_near_the_average(
        costs in prop::collection::vec(1u64..10_000, 1..300),
        workers in 1usize..33,
    ) {
        let suite = costs.iter().fold(Suite::default(), |suite, &cost| suite.module(&[Some(cost)]));
        let plan = suite.plan(workers);
        let machines = plan.workers() as f64;
        // By what decides: light tests all count the same.
        let costs: Vec<f64> = plan.entries().iter().map(|entry| f64::from(entry.cost_us)).collect();
        let average = costs.iter().sum::<f64>() / machines;
        let longest = costs.iter().copied().fold(0.0, f64::max);
        let load = |&(start, len): &(u32, u32)| costs[start as usize..(start + len) as usize].iter().sum::<f64>();
        let makespan = plan.parts().iter().map(load).fold(0.0, f64::max);
        prop_assert!(makespan <= average + (1.0 - 1.0 / machines) * longest + 1e-6);
    }
}

/// Least possible makespan, by trying every assignment.
fn optimum(costs: &[u64], loads: &mut Vec<u64>) -> u64 {
    let Some((&cost, rest)) = costs.split_first() else {
        return loads.iter().copied().max().unwrap_or(0);
    };
    (0..loads.len())
        .map(|machine| {
            loads[machine] += cost;
            let best = optimum(rest, loads);
            loads[machine] -= cost;
            best
        })
        .min()
        .unwrap_or(0)
}

#[test]
fn the_first_run_is_round_robin() {
    let suite = (0..7).fold(Suite::default(), |suite, _| suite.module(&[None]));
    assert_eq!(
        parts(&suite.plan(3)),
        [vec![0, 3, 6], vec![1, 4], vec![2, 5]]
    );
}

#[test]
fn longest_first_to_the_worker_with_the_least_work() {
    // 7 → w0, 6 → w1, 5 → w1 (6 < 7), 4 → w0 (7 < 11), 3 → w0 (11 each: the lower number).
    let suite = [4, 6, 3, 7, 5]
        .into_iter()
        .fold(Suite::default(), |suite, cost| suite.module(&[Some(cost)]));
    let plan = suite.plan(2);
    assert_eq!(parts(&plan), [vec![0, 2, 3], vec![1, 4]]);
    assert_eq!(plan.makespan(), Duration::from_millis(14));
}

#[test]
fn new_tests_are_dealt_round_robin_and_the_known_ones_even_it_out() {
    let suite = Suite::default()
        .module(&[Some(30)])
        .module(&[None])
        .module(&[Some(10)])
        .module(&[None])
        .module(&[Some(20)])
        .module(&[None]);
    // The new ones count as average, 20 ms: loads 40 and 20 before 30 → w1, 20 → w0, 10 → w1.
    assert_eq!(parts(&suite.plan(2)), [vec![1, 4, 5], vec![0, 2, 3]]);
}

#[test]
fn one_worker_runs_in_collection_order() {
    let suite = Suite::default()
        .module(&[Some(1), Some(2)])
        .module(&[None, Some(500)])
        .module(&[Some(9)]);
    assert_eq!(parts(&suite.plan(1)), [vec![0, 1, 2, 3, 4]]);
}

#[test]
fn one_file_uses_all_workers() {
    for (known, tests) in [(None, 100), (Some(3), 100), (None, 4), (Some(3), 4)] {
        let suite = Suite::default().module(&vec![known; tests]);
        let sizes: Vec<usize> = parts(&suite.plan(4)).iter().map(Vec::len).collect();
        let fair = tests / 4;
        assert_eq!(sizes.len(), 4);
        assert!(
            sizes.iter().all(|size| size.abs_diff(fair) <= fair / 4),
            "{sizes:?}"
        );
    }
}

#[test]
fn one_long_test_does_not_leave_workers_without_work() {
    let mut durations = vec![Some(1); 7];
    durations.insert(3, Some(60_000));
    let suite = Suite::default().module(&durations);
    let parts = parts(&suite.plan(4));
    assert_eq!(parts.len(), 4);
    assert!(parts.contains(&vec![3]), "{parts:?}");
}

#[test]
fn a_heavy_module_is_split_between_classes() {
    let mut suite = Suite::default().module(&[Some(10); 12]);
    // Three classes of four tests; beside them enough others that a class of 40 ms is light.
    suite.classes = vec![0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2];
    for _ in 0..130 {
        suite = suite.module(&[Some(10)]);
    }
    let plan = suite.plan(4);
    let mut units: HashMap<u32, Vec<u32>> = HashMap::new();
    for entry in plan.entries().iter().filter(|entry| entry.test < 12) {
        units.entry(entry.unit).or_default().push(entry.test);
    }
    let mut units: Vec<Vec<u32>> = units.into_values().collect();
    units.sort();
    assert_eq!(
        units,
        [vec![0, 1, 2, 3], vec![4, 5, 6, 7], vec![8, 9, 10, 11]]
    );
}

#[test]
fn inputs_of_different_lengths_are_refused() {
    assert!(Tests::new(&[0, 0], &[0], &[None, None]).is_none());
    assert!(Tests::new(&[0, 0], &[0, 0], &[None]).is_none());
}

#[test]
fn absurd_durations_saturate() {
    let suite = Suite::default().module(&[Some(u64::MAX / 2), Some(0), None]);
    let plan = suite.plan(2);
    assert!(plan.entries().iter().all(|entry| entry.cost_us >= 1));
    assert_eq!(
        plan.entries().iter().map(|entry| entry.cost_us).max(),
        Some(u32::MAX)
    );
}
