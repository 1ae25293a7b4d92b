//! What a picture says: who worked how long, what the wall time hung on, which fixtures cost most.

use super::model::{Micros, Picture, Test};

/// One worker's share of the run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lane {
    pub tests: usize,
    /// Time in tests: all phases.
    pub busy: Micros,
    pub setup: Micros,
    pub call: Micros,
    pub teardown: Micros,
    /// Fixtures' part of `setup`.
    pub fixtures: Micros,
    /// Start of its first test and end of its last one; both zero without tests.
    pub first: Micros,
    pub last: Micros,
    /// Tests that the plan had given to other workers.
    pub moved: usize,
    /// All that the plan gave to it.
    pub predicted: Micros,
}

/// What the wall time of the tests hung on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bottleneck {
    /// No test has a result.
    Nothing,
    /// Most of the time went before the first test.
    Startup,
    /// One worker: everything adds up.
    OneWorker,
    /// One test takes (nearly) as long as all of them together on all workers.
    LongestTest { row: usize },
    /// At the end the others had nothing left to do while one was in this test.
    LastTest { row: usize, alone: Micros },
    /// Fixtures take more than half of the time in tests.
    Fixtures,
    /// The work was shared evenly.
    Balanced,
}

/// All set-ups of a fixture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FixtureTotal {
    pub count: usize,
    pub total: Micros,
    pub longest: Micros,
    /// Row of the test with the longest one.
    pub row: usize,
    /// Workers that set it up.
    pub workers: usize,
    pub failed: usize,
}

/// Everything that is calculated from a [`Picture`]; a row is an index into [`Picture::tests`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Analysis {
    pub lanes: Vec<Lane>,
    /// Time in tests, all workers together.
    pub busy: Micros,
    /// From when workers were started to the end of the last test.
    pub window: Micros,
    /// End of the last test.
    pub last: Micros,
    /// The worker that ended last: its chain of tests is the critical path.
    pub critical: usize,
    pub longest: Option<usize>,
    pub bottleneck: Bottleneck,
    pub fixtures: Vec<FixtureTotal>,
}

impl Analysis {
    #[must_use]
    pub fn of(picture: &Picture) -> Self {
        let lanes = lanes(picture);
        let busy = lanes.iter().map(|lane| lane.busy).sum();
        let last = lanes.iter().map(|lane| lane.last).max().unwrap_or(0);
        let critical = (0..lanes.len())
            .rev()
            .max_by_key(|&slot| lanes[slot].last)
            .unwrap_or(0);
        let longest = (0..picture.tests.len())
            .rev()
            .max_by_key(|&row| picture.tests[row].length());
        let mut analysis = Self {
            window: last.saturating_sub(picture.ready),
            lanes,
            busy,
            last,
            critical,
            longest,
            bottleneck: Bottleneck::Nothing,
            fixtures: fixtures(picture),
        };
        analysis.bottleneck = analysis.bottleneck(picture);
        analysis
    }

    fn bottleneck(&self, picture: &Picture) -> Bottleneck {
        let Some(longest) = self.longest else {
            return Bottleneck::Nothing;
        };
        let tests = &picture.tests;
        if picture.ready > self.window {
            return Bottleneck::Startup;
        }
        if self.lanes.len() == 1 {
            return Bottleneck::OneWorker;
        }
        if tests[longest].length() * 10 >= self.window * 9 {
            return Bottleneck::LongestTest { row: longest };
        }
        if let Some((row, alone)) = self.last_alone(tests)
            && alone * 10 > self.window
        {
            return Bottleneck::LastTest { row, alone };
        }
        let fixtures: Micros = self.lanes.iter().map(|lane| lane.fixtures).sum();
        if fixtures * 2 > self.busy {
            return Bottleneck::Fixtures;
        }
        Bottleneck::Balanced
    }

    /// The test that took most of the time in which only one worker was left, and that time.
    fn last_alone(&self, tests: &[Test]) -> Option<(usize, Micros)> {
        let others = self.lanes.iter().enumerate();
        let second = others
            .filter(|&(slot, _)| slot != self.critical)
            .map(|(_, lane)| lane.last)
            .max()?;
        let row = (0..tests.len())
            .filter(|&row| usize::from(tests[row].slot) == self.critical)
            .max_by_key(|&row| {
                let start = tests[row].start().max(second);
                tests[row].end().saturating_sub(start)
            })?;
        // Before the others' first tests they were not idle, they had not begun.
        Some((
            row,
            self.last.saturating_sub(second.max(picture_start(tests))),
        ))
    }
}

fn picture_start(tests: &[Test]) -> Micros {
    tests.iter().map(Test::start).min().unwrap_or(0)
}

fn lanes(picture: &Picture) -> Vec<Lane> {
    let used = picture.tests.iter().map(|test| usize::from(test.slot) + 1);
    let count = used.max().unwrap_or(0).max(picture.workers);
    let mut lanes = vec![Lane::default(); count];
    for (lane, load) in lanes.iter_mut().zip(&picture.forecast.loads) {
        lane.predicted = super::model::micros(*load);
    }
    for test in &picture.tests {
        let lane = &mut lanes[usize::from(test.slot)];
        if lane.tests == 0 {
            lane.first = test.start();
        }
        lane.tests += 1;
        lane.busy += test.length();
        for attempt in &test.attempts {
            lane.setup += attempt.setup;
            lane.call += attempt.call;
            lane.teardown += attempt.teardown;
        }
        lane.fixtures += test.setups.iter().map(|setup| setup.length).sum::<Micros>();
        lane.last = lane.last.max(test.end());
        let planned = picture.forecast.slot(test.test);
        lane.moved += usize::from(planned.is_some_and(|slot| slot != test.slot));
    }
    lanes
}

fn fixtures(picture: &Picture) -> Vec<FixtureTotal> {
    let mut totals = vec![FixtureTotal::default(); picture.fixtures.len()];
    // Rows come worker by worker: another worker than the last one is a new one.
    let mut seen = vec![None; totals.len()];
    for (row, test) in picture.tests.iter().enumerate() {
        for setup in &test.setups {
            let total = &mut totals[setup.fixture];
            if total.count == 0 || setup.length > total.longest {
                (total.longest, total.row) = (setup.length, row);
            }
            total.count += 1;
            total.total += setup.length;
            total.failed += usize::from(setup.failed);
            if seen[setup.fixture].replace(test.slot) != Some(test.slot) {
                total.workers += 1;
            }
        }
    }
    totals
}
