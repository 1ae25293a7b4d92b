//! Shards: every test in exactly one, whatever the machine, the order of collection, or the
//! durations.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use proptest::prelude::*;
use rpytest::plan::shard::{Balance, Shard, assign};

fn ids() -> impl Strategy<Value = Vec<String>> {
    let id = (0u32..30, 0u32..4, 0u32..6, 0u32..8);
    prop::collection::vec(id, 0..300).prop_map(|ids| {
        let ids: HashSet<String> = ids
            .into_iter()
            .map(|(module, class, function, parameter)| match class {
                0 => format!("m{module}.py::f{function}"),
                1 => format!("m{module}.py::f{function}[{parameter}]"),
                _ => format!("m{module}.py::C{class}::f{function}[{parameter}]"),
            })
            .collect();
        let mut ids: Vec<String> = ids.into_iter().collect();
        ids.sort();
        ids
    })
}

/// Made from the id, so that it is the same in any order; some have none.
fn duration(id: &str) -> Option<Duration> {
    let sum = id
        .bytes()
        .fold(7_u64, |sum, byte| sum * 31 % 1_000_003 + u64::from(byte));
    (!sum.is_multiple_of(5)).then(|| Duration::from_micros(sum * sum % 1_000_000))
}

/// About half of the tests in so many groups, across modules; the numbers depend on nothing but the
/// id.
fn kept(ids: &[String], groups: u32) -> Vec<u32> {
    let number = |id: &String| duration(id).map_or(0, |duration| duration.subsec_micros());
    ids.iter()
        .map(|id| number(id) % (2 * groups + 1))
        .map(|number| if number > groups { 0 } else { number })
        .collect()
}

fn durations(ids: &[String]) -> Vec<Option<Duration>> {
    ids.iter().map(|id| duration(id)).collect()
}

fn module(id: &str) -> &str {
    id.split("::").next().unwrap_or_default()
}

proptest! {
    #[test]
    fn shards_are_a_partition(
        ids in ids(),
        total in 1u32..20,
        by_duration: bool,
        groups in 0u32..9,
    ) {
        let kept = kept(&ids, groups);
        let durations = durations(&ids);
        let balance = if by_duration { Balance::Durations(&durations) } else { Balance::Hash };
        let assigned = assign(&ids, &kept, balance, total);
        let mut all: Vec<u32> = (0..total)
            .flat_map(|index| Shard { index, total }.tests(&assigned))
            .collect();
        all.sort_unstable();
        prop_assert_eq!(all, (0..ids.len() as u32).collect::<Vec<_>>());
        let mut shards: HashMap<u32, u32> = HashMap::new();
        for (&group, &shard) in kept.iter().zip(&assigned).filter(|(group, _)| **group > 0) {
            prop_assert_eq!(*shards.entry(group).or_insert(shard), shard, "a group is divided");
        }
    }

    #[test]
    fn the_order_of_collection_does_not_matter(
        (ids, shuffled) in ids().prop_flat_map(|ids| (Just(ids.clone()), Just(ids).prop_shuffle())),
        total in 1u32..20,
        by_duration: bool,
    ) {
        let by_id = |ids: &[String]| -> HashMap<String, u32> {
            let durations = durations(ids);
            let balance = if by_duration { Balance::Durations(&durations) } else { Balance::Hash };
            ids.iter().cloned().zip(assign(ids, &[], balance, total)).collect()
        };
        prop_assert_eq!(by_id(&ids), by_id(&shuffled));
    }

    #[test]
    fn a_module_is_divided_only_if_it_is_heavier_than_a_fair_share(
        ids in ids(),
        total in 1u32..20,
    ) {
        let mut shards: HashMap<&str, HashSet<u32>> = HashMap::new();
        let mut sizes: HashMap<&str, u64> = HashMap::new();
        for (id, shard) in ids.iter().zip(assign(&ids, &[], Balance::Hash, total)) {
            shards.entry(module(id)).or_default().insert(shard);
            *sizes.entry(module(id)).or_default() += 1;
        }
        for (module, shards) in shards {
            let fair = ids.len() as u64 / u64::from(total);
            prop_assert!(shards.len() == 1 || sizes[module] > fair, "{}", module);
        }
    }

    /// Graham's bound: above the fair share by less than the heaviest group, and that is a module
    /// of at most 9/8 of it.
    #[test]
    fn by_durations_no_shard_is_much_heavier_than_its_share(ids in ids(), total in 1u32..8) {
        let known: Vec<Option<Duration>> =
            ids.iter().map(|id| Some(duration(id).unwrap_or(Duration::from_millis(9)))).collect();
        let assigned = assign(&ids, &[], Balance::Durations(&known), total);
        let mut loads = vec![Duration::ZERO; total as usize];
        for (shard, duration) in assigned.iter().zip(&known) {
            loads[*shard as usize] += duration.unwrap();
        }
        let sum: Duration = loads.iter().sum();
        let longest = known.iter().flatten().max().copied().unwrap_or_default();
        let fair = sum / total + Duration::from_micros(ids.len() as u64 + 10);
        let bound = fair + (fair * 9 / 8).max(longest);
        prop_assert!(loads.iter().all(|&load| load <= bound), "{:?} of {:?}", loads, sum);
    }
}

#[test]
fn by_durations_equal_shares_where_modules_allow() {
    let ids: Vec<String> = (0..40).map(|n| format!("m{n}.py::test")).collect();
    let durations: Vec<Option<Duration>> = (0..40)
        .map(|n| Some(Duration::from_millis(if n == 7 { 90 } else { 10 })))
        .collect();
    let assigned = assign(&ids, &[], Balance::Durations(&durations), 4);
    let mut loads = [0; 4];
    for (shard, duration) in assigned.iter().zip(&durations) {
        loads[*shard as usize] += duration.unwrap().as_millis();
    }
    assert_eq!(loads, [120; 4]);
}

#[test]
fn a_module_that_others_join_or_leave_stays_where_it_is() {
    let all: Vec<String> = (0..100).map(|n| format!("m{n}.py::test")).collect();
    let some: Vec<String> = all.iter().skip(1).step_by(3).cloned().collect();
    let before: HashMap<&String, u32> = all
        .iter()
        .zip(assign(&all, &[], Balance::Hash, 5))
        .collect();
    for (id, shard) in some.iter().zip(assign(&some, &[], Balance::Hash, 5)) {
        assert_eq!(before[id], shard);
    }
    let used: HashSet<u32> = before.values().copied().collect();
    assert_eq!(used.len(), 5);
}
