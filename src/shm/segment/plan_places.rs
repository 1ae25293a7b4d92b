//! Where each test and each module stands in a plan.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::plan_table::PlanTable;

/// Where each test stands, and which entries are of the same module.
#[derive(Debug, Default)]
pub(in crate::shm) struct Places {
    /// Per test its entry.
    pub entries: Vec<Option<u32>>,
    /// Per entry the number of its module, counted along the plan. Empty when it costs nothing to
    /// enter any.
    pub modules: Vec<u32>,
    /// Per module its first entry.
    pub firsts: Vec<u32>,
}

impl Places {
    pub fn new(plan: &PlanTable, tests: u32) -> Self {
        let mut places = Self {
            entries: vec![None; tests as usize],
            ..Self::default()
        };
        for (index, entry) in (0..).zip(&plan.entries) {
            places.entries[entry.test as usize] = Some(index);
        }
        if has_tolls(plan) {
            let mut numbers = HashMap::new();
            for (index, entry) in (0..).zip(&plan.entries) {
                let number = match numbers.entry(entry.module) {
                    Entry::Occupied(number) => *number.get(),
                    Entry::Vacant(vacant) => {
                        places.firsts.push(index);
                        *vacant.insert(places.firsts.len() as u32 - 1)
                    }
                };
                places.modules.push(number);
            }
        }
        places
    }
}

/// Whether it costs anything to enter any module.
pub(in crate::shm) fn has_tolls(plan: &PlanTable) -> bool {
    let mut entries = plan.entries.iter();
    entries.any(|entry| entry.enter_us > 0 || entry.paid_us > 0)
}
