//! Some tests before others, without another distribution.

use std::collections::{HashMap, HashSet};

use super::{Plan, PlanEntry, Sharing};
use crate::event::TestIndex;

impl Plan {
    /// Lets the modules, and in these the units, come first that have a test of the least `rank`;
    /// what has the same rank stays in its order. That is the order of the run then, which each
    /// process keeps to. Estimates of what entering a module costs are not made anew.
    ///
    /// Nothing changes where the order is an instruction: in queues and fixed parts, and for what
    /// runs alone.
    pub fn prefer(&mut self, rank: impl Fn(TestIndex) -> u8) {
        if self.sharing != Sharing::Steal {
            return;
        }
        let serial = self.serial.iter().flat_map(|serial| &serial.tests);
        let alone: HashSet<TestIndex> = serial.copied().collect();
        // Per module, and per unit: the least rank, and where it is in the order so far.
        let mut modules: HashMap<u32, (u8, u32)> = HashMap::new();
        let mut units: HashMap<u32, (u8, u32)> = HashMap::new();
        let free = self
            .entries
            .iter()
            .filter(|entry| !alone.contains(&entry.test));
        for entry in free {
            let found = (rank(entry.test), entry.rank);
            for (group, number) in [(&mut modules, entry.module), (&mut units, entry.unit)] {
                let (least, first) = group.entry(number).or_insert(found);
                (*least, *first) = (found.0.min(*least), found.1.min(*first));
            }
        }
        let key = |entry: &PlanEntry| {
            // A module that is left and entered again would set up its fixtures twice. What runs
            // alone is at the end, and stays there.
            let module = modules
                .get(&entry.module)
                .filter(|_| !alone.contains(&entry.test));
            (module.is_none(), module, units.get(&entry.unit), entry.rank)
        };
        let mut order: Vec<usize> = (0..self.entries.len()).collect();
        order.sort_by_cached_key(|&index| {
            let (last, module, unit, rank) = key(&self.entries[index]);
            (last, module.copied(), unit.copied(), rank)
        });
        for (rank, index) in (0..).zip(order) {
            self.entries[index].rank = rank;
        }
        self.sort_parts();
    }
}

#[cfg(test)]
mod tests {
    use crate::plan::{Plan, Tests};

    fn tests_of(plan: &Plan) -> Vec<Vec<u32>> {
        plan.parts()
            .iter()
            .map(|&(start, len)| {
                plan.entries()[start as usize..][..len as usize]
                    .iter()
                    .map(|entry| entry.test)
                    .collect()
            })
            .collect()
    }

    #[test]
    fn units_of_low_rank_come_first_and_stay_whole() {
        // Three modules of two tests.
        let modules = [0, 0, 1, 1, 2, 2];
        let tests = Tests::new(&modules, &[0; 6], &[None; 6]).unwrap();
        let mut plan = Plan::new(&tests, 1);
        let before = tests_of(&plan);
        plan.prefer(|_| 2);
        assert_eq!(tests_of(&plan), before);
        plan.prefer(|test| match test {
            5 => 0,
            2 => 1,
            _ => 2,
        });
        let order = &tests_of(&plan)[0];
        let at = |test| order.iter().position(|&other| other == test).unwrap();
        assert_eq!(order.len(), 6);
        assert!(at(5) < at(2) && at(2) < at(0), "{order:?}");
        assert!(at(0) < at(1) && at(2) < at(3));
    }

    #[test]
    fn one_worker_takes_them_in_the_order_of_rank() {
        let modules = [0, 1, 2, 3];
        let durations = [900, 20, 30, 10].map(|us| Some(std::time::Duration::from_micros(us)));
        let tests = Tests::new(&modules, &[0; 4], &durations).unwrap();
        let mut plan = Plan::new(&tests, 1);
        plan.prefer(|test| u8::from(test < 2));
        assert_eq!(tests_of(&plan), [[2, 3, 0, 1]]);
    }

    #[test]
    fn parts_keep_their_tests() {
        let modules: Vec<u32> = (0..40).map(|test| test / 4).collect();
        let durations = vec![None; 40];
        let tests = Tests::new(&modules, &modules, &durations).unwrap();
        let mut plan = Plan::new(&tests, 3);
        let sorted = |plan: &Plan| {
            let mut parts = tests_of(plan);
            parts.iter_mut().for_each(|part| part.sort_unstable());
            parts
        };
        let before = sorted(&plan);
        plan.prefer(|test| u8::from(test % 7 != 0));
        assert_eq!(sorted(&plan), before);
    }
}
