//! Which part of a suite a shard runs, when several machines run it together.
//!
//! Each machine decides for itself and nobody compares, so the answer depends on nothing but what
//! all of them have: the collected node ids, and a file of durations if one is named. The order of
//! collection does not matter.
//!
//! A module's tests stay together, because they share its fixtures and imports. Only a module that
//! is clearly heavier (by an eighth) than a shard's fair share is divided: by classes, one that is
//! still too heavy by functions, and that by tests.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::time::Duration;

use super::suite::micros;
use crate::event::TestIndex;
use crate::stable_hash::hash;

/// One of several shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// From 0.
    pub index: u32,
    /// At least 1.
    pub total: u32,
}

/// What the weights of tests are.
#[derive(Clone, Copy, Debug)]
pub enum Balance<'a> {
    /// Nothing is known that all shards know: a group goes where the hash of its name says. A group
    /// stays in its shard when others come or go.
    Hash,
    /// Durations that are the same for all shards, `None` for a test without: by LPT over all
    /// groups.
    Durations(&'a [Option<Duration>]),
}

/// The shard, from 0 to `total` − 1, of each test. `kept` is per test 0, or the number of a group
/// whose tests must run in one worker and so in one shard; empty: there are none.
///
/// # Panics
/// When there are not as many durations as ids.
#[must_use]
pub fn assign<S: AsRef<str>>(ids: &[S], kept: &[u32], balance: Balance, total: u32) -> Vec<u32> {
    let total = total.max(1);
    let weights = match balance {
        Balance::Hash => vec![1; ids.len()],
        Balance::Durations(durations) => {
            assert_eq!(ids.len(), durations.len(), "a duration for each test");
            weights(durations)
        }
    };
    let groups = groups(ids, kept, &weights, total);
    let shards = match balance {
        Balance::Hash => groups.iter().map(|group| by_hash(group, total)).collect(),
        Balance::Durations(_) => by_weight(&groups, total),
    };
    let mut assigned = vec![0; ids.len()];
    for (group, shard) in groups.iter().zip(shards) {
        for &test in &group.tests {
            assigned[test as usize] = shard;
        }
    }
    assigned
}

impl Shard {
    /// Its tests, in collection order.
    #[must_use]
    pub fn tests(self, assigned: &[u32]) -> Vec<TestIndex> {
        let tests = (0..).zip(assigned);
        tests
            .filter(|&(_, &shard)| shard == self.index)
            .map(|(test, _)| test)
            .collect()
    }
}

/// Stands for a set of tests: equal for equal sets, in whatever order.
#[must_use]
pub fn digest<S: AsRef<str>>(ids: &[S]) -> String {
    let sum = ids.iter().fold(0_u64, |sum, id| {
        sum.wrapping_add(hash(id.as_ref().as_bytes()))
    });
    format!("{sum:016x}")
}

/// Tests that stay together.
#[derive(Debug)]
struct Group<'a> {
    /// Common beginning of the ids, up to a name.
    key: &'a str,
    tests: Vec<TestIndex>,
    weight: u64,
}

/// Microseconds; a test without a duration counts as an average one.
fn weights(durations: &[Option<Duration>]) -> Vec<u64> {
    let known: Vec<u64> = durations.iter().flatten().copied().map(micros).collect();
    let assumed = match known.len() {
        0 => 1,
        count => (known.iter().sum::<u64>() / count as u64).max(1),
    };
    durations
        .iter()
        .map(|duration| duration.map_or(assumed, micros))
        .collect()
}

/// How ids are taken apart, one level finer than the one before.
const LEVELS: [fn(&str) -> &str; 4] = [module, class, function, |id| id];

/// Groups the tests by modules, and finer where one is too heavy and may be divided.
fn groups<'a, S: AsRef<str>>(
    ids: &'a [S],
    kept: &[u32],
    weights: &[u64],
    total: u32,
) -> Vec<Group<'a>> {
    let sum: u64 = weights.iter().sum();
    // A little more than the fair share is better than fixtures set up twice.
    let limit = sum / u64::from(total) + sum / u64::from(total) / 8;
    let mut done = kept_groups(ids, kept, weights);
    let is_free = |test: &TestIndex| kept.get(*test as usize).is_none_or(|&group| group == 0);
    let mut tests: Vec<TestIndex> = (0..ids.len() as TestIndex).filter(is_free).collect();
    for (level, key) in LEVELS.into_iter().enumerate() {
        let mut by_key: HashMap<&str, Group> = HashMap::new();
        for test in std::mem::take(&mut tests) {
            let key = key(ids[test as usize].as_ref());
            let group = by_key.entry(key).or_insert_with(|| Group {
                key,
                tests: Vec::new(),
                weight: 0,
            });
            group.tests.push(test);
            group.weight += weights[test as usize];
        }
        for (_, group) in by_key {
            // At the last level there is nothing left to divide; a list of one id twice is one
            // test.
            if group.weight > limit && level + 1 < LEVELS.len() {
                tests.extend(group.tests);
            } else {
                done.push(group);
            }
        }
    }
    // The map's order is no order.
    done.sort_by(|left, right| {
        let key = |group: &Group<'a>| (Reverse(group.weight), group.key);
        let first = |group: &Group| {
            group
                .tests
                .iter()
                .map(|&test| ids[test as usize].as_ref())
                .min()
        };
        key(left)
            .cmp(&key(right))
            .then_with(|| first(left).cmp(&first(right)))
    });
    done
}

/// The groups that must not be divided, named by what their tests have in common.
fn kept_groups<'a, S: AsRef<str>>(ids: &'a [S], kept: &[u32], weights: &[u64]) -> Vec<Group<'a>> {
    let mut by_number: HashMap<u32, Group> = HashMap::new();
    for ((test, &number), id) in (0..).zip(kept).zip(ids) {
        if number == 0 {
            continue;
        }
        let id = id.as_ref();
        let group = by_number.entry(number).or_insert_with(|| Group {
            // The class, for one that is a class.
            key: class(id),
            tests: Vec::new(),
            weight: 0,
        });
        if group.key != class(id) {
            // The module, or the first of several: numbers differ between machines, names don't.
            group.key = module(group.key).min(module(id));
        }
        group.tests.push(test);
        group.weight += weights[test as usize];
    }
    by_number.into_values().collect()
}

fn by_hash(group: &Group, total: u32) -> u32 {
    // The upper bits of the product: evenly spread whatever the number of shards.
    ((u128::from(hash(group.key.as_bytes())) * u128::from(total)) >> 64) as u32
}

/// `groups` are sorted, the heaviest first: each to the shard with the least weight, the first
/// among equals.
fn by_weight(groups: &[Group], total: u32) -> Vec<u32> {
    let mut loads = vec![0_u64; total as usize];
    groups
        .iter()
        .map(|group| {
            let shard = (0..loads.len())
                .min_by_key(|&shard| loads[shard])
                .unwrap_or(0);
            loads[shard] += group.weight;
            shard as u32
        })
        .collect()
}

/// `a.py::C::f[x]` → `a.py`.
fn module(id: &str) -> &str {
    id.split_once("::").map_or(id, |(module, _)| module)
}

/// `a.py::C::f[x::y]` → `a.py::C::f`.
fn function(id: &str) -> &str {
    let names = module(id).len();
    id[names..]
        .find('[')
        .map_or(id, |bracket| &id[..names + bracket])
}

/// `a.py::C::f[x::y]` → `a.py::C`; `a.py::f` → `a.py`.
fn class(id: &str) -> &str {
    let function = function(id);
    function
        .rsplit_once("::")
        .map_or(function, |(class, _)| class)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_taken_apart() {
        let parts = |id| LEVELS.map(|level| level(id));
        assert_eq!(
            parts("a.py::C::f[x::y]"),
            ["a.py", "a.py::C", "a.py::C::f", "a.py::C::f[x::y]"]
        );
        assert_eq!(
            parts("[a]/b.py::f"),
            ["[a]/b.py", "[a]/b.py", "[a]/b.py::f", "[a]/b.py::f"]
        );
        assert_eq!(parts("doc.txt"), ["doc.txt"; 4]);
    }

    #[test]
    fn where_a_module_goes_stays_the_same_for_ever() {
        let ids: Vec<String> = (0..12)
            .map(|n| format!("tests/test_{n}.py::test"))
            .collect();
        assert_eq!(
            assign(&ids, &[], Balance::Hash, 4),
            [2, 1, 2, 0, 2, 3, 0, 3, 1, 0, 0, 2],
            "shards of different versions must agree"
        );
        let mut reversed = ids.clone();
        reversed.reverse();
        assert_eq!(digest(&ids), digest(&reversed));
        assert_ne!(digest(&ids), digest(&ids[1..]));
    }
}
