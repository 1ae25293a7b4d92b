//! What a run teaches later ones.

use std::collections::HashMap;

use crate::event::{TestResult, When};
use crate::history::Sample;

/// Collects how long tests took and which process ran them, for the duration history and for plans
/// that are recorded.
#[derive(Debug)]
pub(super) struct Measurements {
    pub samples: Vec<(u32, Sample)>,
    /// Per slot and process the tests that ran there, in that order.
    pub sequences: Vec<Vec<Vec<u32>>>,
    /// Seconds of a test's set-up that were those of shared fixtures: no other run has to have them
    /// in this test.
    pub charged: HashMap<u32, f64>,
}

impl Measurements {
    pub fn new(slots: u16) -> Self {
        Self {
            samples: Vec::new(),
            sequences: vec![Vec::new(); slots.into()],
            charged: HashMap::new(),
        }
    }

    /// A process has run a test, whatever came of it.
    pub fn ran(&mut self, slot: u16, incarnation: u16, test: u32) {
        let processes = &mut self.sequences[usize::from(slot)];
        if processes.len() <= usize::from(incarnation) {
            processes.resize(usize::from(incarnation) + 1, Vec::new());
        }
        processes[usize::from(incarnation)].push(test);
    }

    /// Whether a process has run any test.
    pub fn has_run_any(&self, slot: u16, incarnation: u16) -> bool {
        let tests = self.sequences[usize::from(slot)].get(usize::from(incarnation));
        tests.is_some_and(|tests| !tests.is_empty())
    }

    /// Takes out of a test's set-up what shared fixtures took in the host: pytest's report has it,
    /// but the worker had no part in it and another run may have it elsewhere.
    pub fn discharge(&mut self, result: &mut TestResult) {
        let Some(shared) = self.charged.remove(&result.test) else {
            return;
        };
        let mut setups = result.reports.iter_mut();
        if let Some(setup) = setups.find(|report| report.when == When::Setup) {
            setup.duration = (setup.duration - shared).max(0.0);
        }
    }

    /// A test has a result of its own.
    pub fn measure(&mut self, result: &TestResult) {
        self.samples.push((result.test, Sample::of(result)));
    }
}
