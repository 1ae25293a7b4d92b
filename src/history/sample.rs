//! A test's result as the history takes it.

use std::time::Duration;

use crate::event::{Outcome, Report, TestResult, When};

/// What one run of a test took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    pub setup: Duration,
    pub call: Duration,
    pub teardown: Duration,
    pub outcome: LastOutcome,
    /// The test was run more than once, by a plugin such as pytest-rerunfailures.
    pub rerun: bool,
}

/// How a test ended the last time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum LastOutcome {
    #[default]
    Passed = 0,
    /// Failed in any phase.
    Failed = 1,
    /// Skipped, or failed as expected.
    Skipped = 2,
}

impl LastOutcome {
    /// pytest's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            LastOutcome::Passed => "passed",
            LastOutcome::Failed => "failed",
            LastOutcome::Skipped => "skipped",
        }
    }

    pub(super) fn from_word(word: &str) -> LastOutcome {
        match word {
            "failed" => LastOutcome::Failed,
            "skipped" => LastOutcome::Skipped,
            _ => LastOutcome::Passed,
        }
    }

    pub(super) fn from_number(number: u8) -> LastOutcome {
        match number {
            1 => LastOutcome::Failed,
            2 => LastOutcome::Skipped,
            _ => LastOutcome::Passed,
        }
    }
}

impl Sample {
    /// The sample that a result is: per phase the time that its reports cover together. Reports of
    /// reruns add up, those of subtests lie within that of their test.
    ///
    /// Session fixtures that the worker made for it are left out: in another run another test is
    /// the first one of a worker.
    #[must_use]
    pub fn of(result: &TestResult) -> Sample {
        let skipped = |report: &Report| report.outcome == Outcome::Skipped;
        let rerun = |report: &Report| report.category == "rerun";
        let outcome = if result.failed() {
            LastOutcome::Failed
        } else if result.reports.iter().any(skipped) {
            LastOutcome::Skipped
        } else {
            LastOutcome::Passed
        };
        Sample {
            setup: covered(&result.reports, When::Setup).saturating_sub(of_session(result)),
            call: covered(&result.reports, When::Call),
            teardown: covered(&result.reports, When::Teardown),
            outcome,
            rerun: result.reports.iter().any(rerun),
        }
    }

    /// Setup, call, teardown.
    pub(super) fn micros(&self) -> [f32; 3] {
        [self.setup, self.call, self.teardown].map(|phase| phase.as_secs_f32() * 1e6)
    }
}

/// What session fixtures took that were set up while the test was. Shared ones were before there
/// were workers.
fn of_session(result: &TestResult) -> Duration {
    let begin = |report: &Report| (report.when == When::Setup).then_some(report.start);
    let Some(begin) = result.reports.iter().find_map(begin) else {
        return Duration::ZERO;
    };
    let setups = result.setups.iter();
    let seconds = setups
        .filter(|setup| setup.scope == "session" && setup.start >= begin)
        .map(|setup| setup.duration)
        .sum();
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

/// Length of the union of the intervals of one phase's reports.
fn covered(reports: &[Report], when: When) -> Duration {
    let mut phase = reports.iter().filter(|report| report.when == when);
    let seconds = match (phase.next(), phase.next()) {
        (None, _) => 0.0,
        (Some(only), None) => only.duration,
        _ => {
            let of_phase = reports.iter().filter(|report| report.when == when);
            let mut spans: Vec<(f64, f64)> = of_phase
                .map(|report| (report.start, report.start + report.duration))
                .collect();
            spans.sort_by(|left, right| left.0.total_cmp(&right.0));
            let (mut sum, mut end) = (0.0, f64::NEG_INFINITY);
            for (start, stop) in spans {
                sum += (stop - start.max(end)).max(0.0);
                end = end.max(stop);
            }
            sum
        }
    };
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(when: When, outcome: Outcome, start: f64, duration: f64) -> Report {
        Report {
            when,
            outcome,
            is_failure: outcome == Outcome::Failed,
            in_summary: false,
            start,
            duration,
            category: String::new(),
            letter: String::new(),
            word: String::new(),
            markup: Vec::new(),
            reason: String::new(),
        }
    }

    fn sample(reports: Vec<Report>) -> Sample {
        Sample::of(&TestResult {
            test: 0,
            slot: 0,
            reports,
            warnings: 0,
            junit: String::new(),
            junit_counts: Default::default(),
            setups: Vec::new(),
        })
    }

    #[test]
    fn phases_are_taken_apart() {
        let sample = sample(vec![
            report(When::Setup, Outcome::Passed, 10.0, 1.0),
            report(When::Call, Outcome::Passed, 11.0, 2.0),
            report(When::Teardown, Outcome::Failed, 13.0, 4.0),
        ]);
        let seconds = Duration::from_secs;
        assert_eq!(sample.setup, seconds(1));
        assert_eq!(sample.call, seconds(2));
        assert_eq!(sample.teardown, seconds(4));
        assert_eq!(sample.outcome, LastOutcome::Failed);
    }

    #[test]
    fn reruns_add_up_and_subtests_lie_within() {
        let again = Report {
            category: "rerun".to_owned(),
            ..report(When::Call, Outcome::Other, 10.0, 1.0)
        };
        let rerun = sample(vec![again, report(When::Call, Outcome::Passed, 20.0, 2.0)]);
        assert_eq!(rerun.call, Duration::from_secs(3));
        assert_eq!(rerun.outcome, LastOutcome::Passed);
        assert!(rerun.rerun);
        let subtests = sample(vec![
            report(When::Call, Outcome::Passed, 11.0, 1.0),
            report(When::Call, Outcome::Passed, 12.5, 0.5),
            report(When::Call, Outcome::Passed, 10.0, 4.0),
        ]);
        assert_eq!(subtests.call, Duration::from_secs(4));
    }

    #[test]
    fn session_fixtures_are_no_part_of_the_test() {
        let setup = |scope: &str, start, duration| crate::event::FixtureSetup {
            name: "db".to_owned(),
            scope: scope.to_owned(),
            base: String::new(),
            start,
            duration,
            failed: false,
        };
        let sample = Sample::of(&TestResult {
            test: 0,
            slot: 0,
            reports: vec![report(When::Setup, Outcome::Passed, 10.0, 8.0)],
            warnings: 0,
            junit: String::new(),
            junit_counts: Default::default(),
            // The first one was shared; what it took is taken out elsewhere.
            setups: vec![
                setup("session", 3.0, 4.0),
                setup("session", 10.0, 2.0),
                setup("module", 12.0, 5.0),
                setup("session", 17.0, 0.5),
            ],
        });
        assert_eq!(sample.setup, Duration::from_millis(5500));
    }

    #[test]
    fn a_skip_is_no_failure() {
        let skipped = sample(vec![report(When::Setup, Outcome::Skipped, 1.0, 0.5)]);
        assert_eq!(skipped.outcome, LastOutcome::Skipped);
        assert_eq!(skipped.call, Duration::ZERO);
    }
}
