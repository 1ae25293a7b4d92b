//! The order of a plan: LPT assigns, the collection orders; noise decides nothing.

use std::time::Duration;

use proptest::prelude::*;
use rpytest::plan::dist_modes::{Order, Rules};
use rpytest::plan::{Plan, Tests};

/// Tests in modules of up to eight: light ones of up to 7 ms, and sometimes one that takes long.
#[derive(Clone, Debug)]
struct Suite {
    modules: Vec<u32>,
    classes: Vec<u32>,
    /// Microseconds, and whether it is light.
    tests: Vec<(u64, bool)>,
}

fn suites(most: usize) -> impl Strategy<Value = Suite> {
    let test = prop_oneof![
        12 => (100_u64..7_000).prop_map(|us| (us, true)),
        1 => (200_000_u64..3_000_000).prop_map(|us| (us, false)),
    ];
    let module = prop::collection::vec(test, 1..8);
    prop::collection::vec(module, 1..most).prop_map(|modules| {
        let mut suite = Suite {
            modules: Vec::new(),
            classes: Vec::new(),
            tests: Vec::new(),
        };
        for (number, module) in (0..).zip(modules) {
            for (place, test) in (0..).zip(module) {
                suite.modules.push(number);
                suite.classes.push(number * 8 + place / 3);
                suite.tests.push(test);
            }
        }
        suite
    })
}

impl Suite {
    /// What a history says of it if each light test took `factors` of what it usually takes, in
    /// percent.
    fn plan(&self, workers: usize, factors: &[u64]) -> Plan {
        let factors = factors.iter().cycle();
        let durations: Vec<_> = self
            .tests
            .iter()
            .zip(factors)
            .map(|(&(us, is_light), factor)| {
                Some(Duration::from_micros(if is_light {
                    us * factor / 100
                } else {
                    us
                }))
            })
            .collect();
        let tests = Tests::new(&self.modules, &self.classes, &durations).unwrap();
        Plan::new(&tests, workers)
    }
}

proptest! {
    #[test]
    fn every_part_goes_upwards(suite in suites(40), workers in 1_usize..20) {
        let plan = suite.plan(workers, &[100]);
        for &(start, len) in plan.parts() {
            let part = &plan.entries()[start as usize..(start + len) as usize];
            prop_assert!(part.windows(2).all(|pair| pair[0].test < pair[1].test));
            prop_assert!(part.iter().all(|entry| entry.rank == entry.test));
        }
    }

    /// Groups are gathered where the first test of each is; what runs alone comes last, in a
    /// process of its own.
    #[test]
    fn ranks_go_upwards_with_groups(
        suite in suites(20),
        workers in 2_usize..8,
        groups in prop::collection::vec(0_u32..4, 1..40),
        serial in prop::collection::vec(any::<prop::sample::Index>(), 0..3),
        queue in any::<bool>(),
    ) {
        let count = suite.tests.len();
        let groups: Vec<u32> = groups.iter().copied().cycle().take(count).collect();
        let serial: Vec<u32> = serial.iter().map(|index| index.index(count) as u32).collect();
        let durations = vec![None; count];
        let tests = Tests::new(&suite.modules, &suite.classes, &durations).unwrap();
        let order = if queue { Order::Queue } else { Order::Lpt };
        let rules = Rules { workers, groups: &groups, serial: &serial, order, only: None };
        let plan = Plan::with(&tests, &rules);
        for &(start, len) in plan.parts() {
            let part = &plan.entries()[start as usize..(start + len) as usize];
            prop_assert!(part.windows(2).all(|pair| pair[0].rank < pair[1].rank));
            for unit in part.chunk_by(|one, next| one.unit == next.unit) {
                prop_assert!(unit.windows(2).all(|pair| pair[0].test < pair[1].test));
            }
        }
        let mut ranks: Vec<u32> = plan.entries().iter().map(|entry| entry.rank).collect();
        ranks.sort_unstable();
        prop_assert_eq!(ranks, (0..count as u32).collect::<Vec<_>>());
    }

    /// Durations of light tests differ by up to 30% from run to run: the plan does not.
    #[test]
    fn noise_gives_the_same_plan(
        suite in suites(60),
        workers in 1_usize..9,
        one in prop::collection::vec(70_u64..=130, 1..50),
        other in prop::collection::vec(70_u64..=130, 1..50),
    ) {
        // With only a few tests for each worker light ones are what takes less than some
        // milliseconds.
        prop_assume!(suite.tests.len() >= 24 * workers);
        prop_assert_eq!(suite.plan(workers, &one), suite.plan(workers, &other));
    }
}

#[test]
fn a_long_test_that_comes_last_is_begun_first() {
    let count = 41;
    let durations: Vec<_> = (0..count)
        .map(|test| Some(Duration::from_millis(if test == 40 { 1000 } else { 50 })))
        .collect();
    let modules = vec![0; count];
    let tests = Tests::new(&modules, &modules, &durations).unwrap();
    let plan = Plan::new(&tests, 4);
    let part_of_last = plan.parts().iter().find(|&&(start, len)| {
        plan.entries()[start as usize..(start + len) as usize]
            .iter()
            .any(|entry| entry.test == 40)
    });
    let &(start, len) = part_of_last.unwrap();
    let own = plan.entries()[start as usize..(start + len) as usize].iter();
    assert_eq!(
        own.filter(|entry| !entry.open)
            .map(|entry| entry.test)
            .collect::<Vec<_>>(),
        [40]
    );
    assert!(
        plan.makespan() <= Duration::from_millis(1050),
        "{:?}",
        plan.makespan()
    );
}

#[test]
fn a_first_run_is_one_queue_of_units_that_get_smaller() {
    let durations = vec![None; 400];
    let modules: Vec<u32> = (0..400).map(|test| test / 100).collect();
    let tests = Tests::new(&modules, &modules, &durations).unwrap();
    let plan = Plan::new(&tests, 4);
    assert!(plan.entries().iter().all(|entry| entry.open));
    let mut entries: Vec<_> = plan.entries().to_vec();
    entries.sort_by_key(|entry| entry.rank);
    let sizes: Vec<usize> = entries
        .chunk_by(|one, next| one.unit == next.unit)
        .map(<[_]>::len)
        .collect();
    assert!(sizes[0] > 10 && sizes.last() == Some(&1), "{sizes:?}");
    // The last one of a module is what is left of it.
    assert!(
        sizes.windows(2).filter(|pair| pair[1] > pair[0]).count() <= 4,
        "{sizes:?}"
    );
}

#[test]
fn a_group_that_begins_within_a_unit_comes_between_its_tests() {
    let modules = vec![0; 12];
    let durations = vec![None; 12];
    // The group of tests 3 and 9 begins where tests without a group are planned as one.
    let mut groups = vec![0; 12];
    (groups[3], groups[9]) = (1, 1);
    let tests = Tests::new(&modules, &modules, &durations).unwrap();
    let rules = Rules {
        workers: 2,
        groups: &groups,
        serial: &[],
        order: Order::Lpt,
        only: None,
    };
    let plan = Plan::with(&tests, &rules);
    for &(start, len) in plan.parts() {
        let part = &plan.entries()[start as usize..(start + len) as usize];
        assert!(part.windows(2).all(|pair| pair[0].rank < pair[1].rank));
        for pair in part.windows(2).filter(|pair| pair[0].unit == pair[1].unit) {
            assert_eq!(pair[0].keep, pair[1].keep);
        }
    }
    let group = plan.entries().iter().filter(|entry| entry.keep);
    let ranks: Vec<u32> = group.map(|entry| entry.rank).collect();
    assert_eq!(ranks, [3, 4]);
}
