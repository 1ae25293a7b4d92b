//! Results that no pytest has made: nobody is left who could.

use std::time::{SystemTime, UNIX_EPOCH};

use super::lost::Lost;
use crate::event::{JunitCounts, Outcome, Report, TestResult, When};
use crate::report::{Problem, test_case};

/// The result of a test that was lost, when the host can't make one that looks like pytest's: a
/// failure if the test was in its call phase, else an error, as pytest tells them apart. `junit`:
/// with a `<testcase>` element.
pub(super) fn synthetic_result(lost: &Lost, nodeid: &str, junit: bool) -> TestResult {
    let began = SystemTime::now().duration_since(UNIX_EPOCH);
    let (when, problem) = match lost.when {
        "call" => (When::Call, Problem::Failure),
        "teardown" => (When::Teardown, Problem::Error),
        _ => (When::Setup, Problem::Error),
    };
    let (category, letter, word) = match problem {
        Problem::Failure => ("failed", "F", "FAILED"),
        Problem::Error => ("error", "E", "ERROR"),
    };
    let (element, junit_counts) = if junit {
        let counts = JunitCounts {
            failure: u64::from(problem == Problem::Failure),
            error: u64::from(problem == Problem::Error),
            ..JunitCounts::default()
        };
        let element = test_case(nodeid, problem, &lost.message, lost.duration);
        (element, counts)
    } else {
        (String::new(), JunitCounts::default())
    };
    TestResult {
        test: lost.test,
        slot: lost.slot,
        reports: vec![Report {
            when,
            outcome: Outcome::Failed,
            is_failure: true,
            in_summary: true,
            start: began.map_or(0.0, |since| since.as_secs_f64()) - lost.duration,
            duration: lost.duration,
            category: category.into(),
            letter: letter.into(),
            word: word.into(),
            markup: Vec::new(),
            reason: lost.message.clone(),
        }],
        warnings: 0,
        junit: element,
        junit_counts,
        setups: Vec::new(),
    }
}
