//! Some tests before others, without another distribution.

use super::{Plan, PlanEntry, Sharing};
use crate::event::TestIndex;

impl Plan {
    /// Lets each worker begin with the modules, and in these with the units, that have a test of the least `rank`; what has the same
    /// rank stays in its order. Estimates of what entering a module costs are not made anew.
    ///
    /// Nothing changes where the order is an instruction: in queues and fixed parts, and for what runs alone.
    pub fn prefer(&mut self, rank: impl Fn(TestIndex) -> u8) {
        if self.sharing != Sharing::Steal {
            return;
        }
        let alone: Vec<TestIndex> = self
            .serial
            .iter()
            .flat_map(|serial| serial.tests.iter().copied())
            .collect();
        for &(start, len) in &self.parts {
            let part = &mut self.entries[start as usize..][..len as usize];
            // What runs alone is at the end, and stays there.
            let free = part
                .iter()
                .position(|entry| alone.contains(&entry.test))
                .unwrap_or(part.len());
            let part = &mut part[..free];
            let first = |entries: &[PlanEntry]| entries.iter().map(|entry| rank(entry.test)).min();
            // A module that is left and entered again would set up its fixtures twice.
            let mut modules: Vec<&[PlanEntry]> = part
                .chunk_by(|one, next| one.module == next.module)
                .collect();
            modules.sort_by_key(|module| first(module));
            let mut sorted = Vec::with_capacity(free);
            for module in modules {
                let mut units: Vec<&[PlanEntry]> =
                    module.chunk_by(|one, next| one.unit == next.unit).collect();
                units.sort_by_key(|unit| first(unit));
                sorted.extend(units.into_iter().flatten().copied());
            }
            part.copy_from_slice(&sorted);
        }
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
