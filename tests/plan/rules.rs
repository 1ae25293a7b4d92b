//! Plans by rules: groups stay whole, serial tests come last and alone, orders are what they say,
//! set-ups are counted.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use proptest::prelude::*;
use rpytest::plan::dist_modes::{Order, Rules};
use rpytest::plan::{Plan, Sharing, Tests};

#[derive(Clone, Debug, Default)]
struct Suite {
    modules: Vec<u32>,
    /// Empty: the same as the modules.
    classes: Vec<u32>,
    durations: Vec<Option<Duration>>,
    setups: Vec<Option<Duration>>,
    groups: Vec<u32>,
    serial: Vec<u32>,
}

impl Suite {
    fn tests(&self) -> Tests<'_> {
        Tests::new(&self.modules, self.classes(), &self.durations)
            .and_then(|tests| tests.with_setups(&self.setups))
            .unwrap()
    }

    fn plan(&self, workers: usize, order: Order) -> Plan {
        let rules = Rules {
            workers,
            groups: &self.groups,
            serial: &self.serial,
            order,
            only: None,
        };
        Plan::with(&self.tests(), &rules)
    }

    /// Adds modules of tests that take `call` ms each, the first of which has `setup` ms of set-up
    /// besides.
    fn modules(mut self, count: usize, tests: usize, call: u64, setup: u64) -> Suite {
        for _ in 0..count {
            let module = self.modules.last().map_or(0, |last| last + 1);
            for test in 0..tests {
                let setup = if test == 0 { setup } else { 0 };
                self.modules.push(module);
                self.durations
                    .push(Some(Duration::from_millis(call + setup)));
                self.setups.push(Some(Duration::from_millis(setup)));
            }
        }
        self
    }
}

impl Suite {
    fn classes(&self) -> &[u32] {
        if self.classes.is_empty() {
            &self.modules
        } else {
            &self.classes
        }
    }
}

fn suites() -> impl Strategy<Value = Suite> {
    let duration = prop_oneof![
        1 => Just(None),
        4 => (0u64..50_000).prop_map(|us| Some(Duration::from_micros(us))),
    ];
    let test = (0u32..8, duration, 0u32..6, 0u8..12);
    prop::collection::vec(test, 0..60).prop_map(|tests| {
        let mut suite = Suite::default();
        let (mut module, mut class) = (0, 0);
        for (number, (step, duration, group, serial)) in (0..).zip(tests) {
            module += u32::from(step < 2);
            class += u32::from(step < 4);
            suite.modules.push(module);
            suite.classes.push(class);
            suite.setups.push(duration.map(|duration| duration / 2));
            suite.durations.push(duration);
            suite.groups.push(group);
            if serial == 0 {
                suite.serial.push(number);
            }
        }
        suite
    })
}

fn orders() -> impl Strategy<Value = Order> {
    prop_oneof![Just(Order::Lpt), Just(Order::Queue), Just(Order::Collected)]
}

/// Per part the tests in order.
fn parts(plan: &Plan) -> Vec<Vec<u32>> {
    let part = |&(start, len): &(u32, u32)| {
        let entries = &plan.entries()[start as usize..(start + len) as usize];
        entries.iter().map(|entry| entry.test).collect()
    };
    plan.parts().iter().map(part).collect()
}

/// Stays in modules, over all workers.
fn set_ups(suite: &Suite, plan: &Plan) -> usize {
    let module = |test: u32| suite.modules[test as usize];
    let stays = |part: &Vec<u32>| part.chunk_by(|&a, &b| module(a) == module(b)).count();
    parts(plan).iter().map(stays).sum()
}

proptest! {
    #[test]
    fn every_test_is_planned_once(suite in suites(), workers in 0usize..9, order in orders()) {
        let plan = suite.plan(workers, order);
        let mut tests: Vec<u32> = parts(&plan).concat();
        tests.sort_unstable();
        prop_assert_eq!(tests, (0..suite.modules.len() as u32).collect::<Vec<_>>());
        prop_assert!(plan.workers() <= workers.max(1));
    }

    #[test]
    fn groups_are_units_that_are_kept_whole(
        suite in suites(),
        workers in 2usize..9,
        order in orders(),
    ) {
        let plan = suite.plan(workers, order);
        prop_assume!(plan.workers() > 1);
        let alone: HashSet<u32> = plan.serial().iter().flat_map(|serial| serial.tests.clone()).collect();
        let mut units: HashMap<u32, (u32, bool)> = HashMap::new();
        let mut part_of: HashMap<u32, usize> = HashMap::new();
        for (number, &(start, len)) in plan.parts().iter().enumerate() {
            for entry in &plan.entries()[start as usize..(start + len) as usize] {
                let group = suite.groups[entry.test as usize];
                if group == 0 || alone.contains(&entry.test) {
                    prop_assert!(!entry.keep);
                    continue;
                }
                prop_assert_eq!(*part_of.entry(group).or_insert(number), number);
                if order != Order::Collected {
                    let unit = *units.entry(group).or_insert((entry.unit, true));
                    prop_assert_eq!(unit, (entry.unit, entry.keep));
                }
            }
        }
    }

    #[test]
    fn serial_tests_are_at_the_end_of_the_first_part_with_their_groups(
        suite in suites(),
        workers in 2usize..9,
        order in orders(),
    ) {
        let plan = suite.plan(workers, order);
        prop_assume!(plan.workers() > 1);
        let groups: HashSet<u32> = suite.serial.iter().map(|&test| suite.groups[test as usize]).filter(|&group| group > 0).collect();
        let expected: Vec<u32> = (0..suite.modules.len() as u32)
            .filter(|test| suite.serial.contains(test) || groups.contains(&suite.groups[*test as usize]))
            .collect();
        let found: Vec<u32> = plan.serial().iter().flat_map(|serial| serial.tests.clone()).collect();
        prop_assert_eq!(&found, &expected);
        prop_assert!(plan.serial().iter().all(|serial| serial.slot == 0));
        prop_assert!(parts(&plan)[0].ends_with(&expected));
    }

    #[test]
    fn collected_is_one_way_through_the_collection(suite in suites(), workers in 1usize..9) {
        let suite = Suite { groups: Vec::new(), serial: Vec::new(), ..suite };
        let plan = suite.plan(workers, Order::Collected);
        prop_assert!(parts(&plan).concat().is_sorted());
        prop_assert_eq!(plan.sharing(), Sharing::Own);
        let other = Suite { durations: vec![None; suite.modules.len()], ..suite.clone() };
        prop_assert_eq!(parts(&plan), parts(&other.plan(workers, Order::Collected)), "durations don't matter");
        let sizes: Vec<usize> = parts(&plan).iter().map(Vec::len).collect();
        let (least, most) = (sizes.iter().min(), sizes.iter().max());
        prop_assert!(most.unwrap_or(&0) - least.unwrap_or(&0) <= 1, "{:?}", sizes);
    }

    #[test]
    fn a_queue_is_in_the_order_of_collection(suite in suites(), workers in 2usize..9) {
        let plan = suite.plan(workers, Order::Queue);
        prop_assume!(plan.workers() > 1);
        prop_assert_eq!(plan.sharing(), Sharing::Queue);
        let alone = plan.serial().iter().map(|serial| serial.tests.len()).sum::<usize>();
        let line = &plan.entries()[..plan.entries().len() - alone];
        let firsts: Vec<u32> = line.chunk_by(|a, b| a.unit == b.unit).map(|unit| unit[0].test).collect();
        prop_assert!(firsts.is_sorted());
    }

    #[test]
    fn some_tests_keep_their_numbers(
        suite in suites(),
        workers in 1usize..9,
        order in orders(),
        every in 1u32..4,
    ) {
        let only: Vec<u32> = (0..suite.modules.len() as u32).filter(|test| test % every == 0).collect();
        let rules = Rules { workers, groups: &suite.groups, serial: &suite.serial, order, only: Some(&only) };
        let plan = Plan::with(&suite.tests(), &rules);
        let mut tests: Vec<u32> = parts(&plan).concat();
        tests.sort_unstable();
        prop_assert_eq!(tests, only.clone());
        prop_assert!(plan.serial().iter().flat_map(|serial| &serial.tests).all(|test| only.contains(test)));
    }

    #[test]
    fn set_ups_are_paid_where_the_plan_enters_a_module(suite in suites(), workers in 1usize..9) {
        let plan = Plan::new(&suite.tests(), workers);
        for &(start, len) in plan.parts() {
            let part = &plan.entries()[start as usize..(start + len) as usize];
            for stay in part.chunk_by(|one, next| one.module == next.module) {
                // All of it by the first test, at most a class's by another that follows on a gap.
                prop_assert_eq!(stay[0].enter_us, 0);
                for pair in stay.windows(2) {
                    prop_assert!(pair[1].paid_us == 0 || pair[0].test + 1 < pair[1].test);
                }
                prop_assert!(stay.iter().all(|entry| entry.paid_us < entry.cost_us));
            }
        }
    }
}

#[test]
fn modules_with_fixtures_stay_whole_when_that_balances_as_well() {
    // Eight modules for four workers: two each.
    let suite = Suite::default().modules(8, 10, 20, 200);
    let plan = suite.plan(4, Order::Lpt);
    assert_eq!(set_ups(&suite, &plan), 8);
    assert_eq!(plan.makespan(), Duration::from_millis(800));
    // Without fixtures they are split for the sake of balance.
    let cheap = Suite::default().modules(5, 10, 20, 0);
    assert!(set_ups(&cheap, &cheap.plan(4, Order::Lpt)) > 5);
}

#[test]
fn a_module_with_fixtures_is_split_where_it_pays() {
    // 200 ms of set-up, 10 s of tests: whole it would take 10.2 s.
    let suite = Suite::default().modules(1, 100, 100, 200);
    let plan = suite.plan(4, Order::Lpt);
    assert_eq!(set_ups(&suite, &plan), 4);
    assert!(plan.makespan() < Duration::from_millis(3200));
    // 10 s of set-up, 200 ms of tests: four times 10 s at once are no gain.
    let suite = Suite::default().modules(1, 10, 20, 10_000);
    let plan = suite.plan(4, Order::Lpt);
    assert_eq!(set_ups(&suite, &plan), 1);
    // The others could still help, if they must.
    assert_eq!(plan.workers(), 4);
    // What it would cost them is in the plan.
    let entered: Vec<u32> = plan.entries().iter().map(|entry| entry.enter_us).collect();
    assert_eq!(entered[0], 0);
    assert!(entered[1..].iter().all(|&enter| enter == 10_000_000));
}

#[test]
fn few_modules_are_divided_so_that_all_are_done_together() {
    // 3 × (300 + 20 × 40) ms for four workers: the fourth enters all three, or two are entered by
    // more than one.
    let suite = Suite::default().modules(3, 20, 40, 300);
    let plan = suite.plan(4, Order::Lpt);
    // (3 · 800 + 6 · 300) / 4 = 1050 is the best with six set-ups, and five don't suffice for less
    // than 1100 ms.
    assert!(
        plan.makespan() <= Duration::from_millis(1100),
        "{:?}",
        plan.makespan()
    );
    assert!(set_ups(&suite, &plan) <= 6);
}

#[test]
fn a_class_may_cost_something_where_its_module_does_not() {
    // Two modules: one is expensive to enter, of the other only the class in the middle, which is
    // cut.
    let mut suite = Suite::default()
        .modules(1, 20, 20, 100)
        .modules(1, 60, 20, 0);
    suite.classes = (0..80)
        .map(|test| {
            if (30..70).contains(&test) {
                2
            } else {
                u32::from(test >= 20)
            }
        })
        .collect();
    suite.durations[30] = Some(Duration::from_millis(320));
    suite.setups[30] = Some(Duration::from_millis(300));
    for workers in 2..20 {
        let plan = suite.plan(workers, Order::Lpt);
        let mut tests: Vec<u32> = parts(&plan).concat();
        tests.sort_unstable();
        assert_eq!(tests, (0..80).collect::<Vec<_>>(), "{workers} workers");
    }
}

#[test]
fn copies_are_for_one_worker_each() {
    let suite = Suite::default().modules(6, 1, 10, 0);
    let plan = Plan::copies(&suite.tests(), 3, &[1, 3, 5]);
    assert_eq!(parts(&plan), [[0, 1], [2, 3], [4, 5]]);
    assert_eq!(plan.sharing(), Sharing::Own);
    let alone: Vec<(u16, Vec<u32>)> = plan
        .serial()
        .iter()
        .map(|serial| (serial.slot, serial.tests.clone()))
        .collect();
    assert_eq!(alone, [(0, vec![1]), (1, vec![3]), (2, vec![5])]);
}

#[test]
fn unknown_groups_are_given_out_by_their_number_of_tests() {
    let mut suite = Suite::default().modules(1, 9, 0, 0);
    suite.durations = vec![None; 9];
    suite.setups = vec![None; 9];
    suite.groups = vec![1, 1, 2, 3, 3, 3, 3, 3, 4];
    let plan = suite.plan(2, Order::Lpt);
    assert_eq!(parts(&plan), [vec![3, 4, 5, 6, 7], vec![0, 1, 2, 8]]);
}
