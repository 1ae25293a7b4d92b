//! From events to the data of the page.

use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::event::{
    FixtureSetup, JunitCounts, Outcome, Replacement, Report, RunEnd, RunEvent, RunStart,
    TestResult, When,
};

/// The run begins at this second.
const ZERO: f64 = 1_700_000_000.0;

fn report(when: When, category: &str, start: f64, duration: f64) -> Report {
    let (outcome, is_failure) = match category {
        "failed" | "error" => (Outcome::Failed, true),
        "skipped" | "xfailed" => (Outcome::Skipped, false),
        "rerun" => (Outcome::Other, false),
        _ => (Outcome::Passed, false),
    };
    Report {
        when,
        outcome,
        is_failure,
        in_summary: false,
        start: ZERO + start,
        duration,
        category: category.to_owned(),
        letter: String::new(),
        word: String::new(),
        markup: Vec::new(),
        reason: String::new(),
    }
}

fn result(test: u32, slot: u16, reports: Vec<Report>) -> TestResult {
    TestResult {
        test,
        slot,
        reports,
        warnings: 0,
        junit: String::new(),
        junit_counts: JunitCounts::default(),
        setups: Vec::new(),
    }
}

/// Setup 0.25 s, call as long as it says, teardown 0.25 s.
fn passed(test: u32, slot: u16, start: f64, call: f64) -> TestResult {
    let reports = vec![
        report(When::Setup, "", start, 0.25),
        report(When::Call, "passed", start + 0.25, call),
        report(When::Teardown, "", start + 0.25 + call, 0.25),
    ];
    result(test, slot, reports)
}

fn setup(name: &str, start: f64, duration: f64) -> FixtureSetup {
    FixtureSetup {
        name: name.to_owned(),
        scope: "module".to_owned(),
        base: "test_a.py".to_owned(),
        start: ZERO + start,
        duration,
        failed: false,
    }
}

struct Run {
    recorder: Recorder,
}

impl Run {
    fn new(workers: usize, forecast: Forecast) -> Self {
        let mut recorder = Recorder::new(forecast);
        let start = RunStart {
            workers,
            ..RunStart::default()
        };
        recorder.event(&RunEvent::Started(&start), ZERO + 1.0);
        Self { recorder }
    }

    fn add(mut self, nodeid: &str, result: &TestResult) -> Self {
        let event = RunEvent::Finished { nodeid, result };
        self.recorder.event(&event, ZERO + 100.0);
        self
    }

    fn crash(mut self, slot: u16, at: f64, test: &str) -> Self {
        let event = RunEvent::Crashed {
            slot,
            cause: "signal 11",
            test: Some(test),
            replacement: Replacement::Coming,
        };
        self.recorder.event(&event, ZERO + at);
        self
    }

    fn picture(mut self) -> Picture {
        self.recorder.finish(&RunEnd {
            duration: Duration::from_secs(20),
            started: ZERO,
            ..RunEnd::default()
        })
    }

    fn bottleneck(self) -> Bottleneck {
        Analysis::of(&self.picture()).bottleneck
    }

    fn data(self) -> Value {
        let picture = self.picture();
        let text = json(&picture, &Analysis::of(&picture));
        assert!(!text.contains('<'));
        serde_json::from_str(&text).expect("it is JSON")
    }
}

fn run(workers: usize) -> Run {
    Run::new(workers, Forecast::default())
}

#[test]
fn a_run_becomes_columns() {
    let forecast = Forecast {
        estimates: vec![Some(Duration::from_millis(700)), None, Some(Duration::ZERO)],
        slots: vec![0, 0, 1],
        loads: vec![Duration::from_secs(2), Duration::from_secs(1)],
    };
    let mut first = passed(0, 0, 2.0, 0.5);
    first.setups = vec![setup("db", 2.0, 0.125), setup("tiny", 2.2, 0.000_05)];
    let mut skip = report(When::Setup, "skipped", 5.0, 0.0);
    skip.reason = "not <today>\nnor tomorrow".to_owned();
    let data = Run::new(2, forecast)
        .add("test_a.py::test_1", &first)
        .add("test_a.py::test_3", &result(2, 1, vec![skip]))
        .add("test_a.py::test_2", &passed(1, 1, 3.0, 1.0))
        .data();
    assert_eq!(
        data["tests"],
        json!({
            "shared": [0, 16, 16],
            "rest": ["test_a.py::test_1", "2", "3"],
            "gap": [2_000_000, 3_000_000, 500_000],
            "setup": [250_000, 250_000, 0],
            "call": [500_000, 1_000_000, 0],
            "teardown": [250_000, 250_000, 0],
            "endings": "pps",
            // No history, and one that says that it takes no time.
            "estimate": [700_000, 0, 1],
            "moved": [1, 0],
            "attempts": [],
            "reasons": [[2, "not <today>"]],
        })
    );
    assert_eq!(
        data["lanes"][0],
        json!({
            "tests": 1, "busy": 1_000_000, "setup": 250_000, "call": 500_000, "teardown": 250_000, "fixtures": 125_050,
            "first": 2_000_000, "last": 3_000_000, "moved": 0, "predicted": 2_000_000,
        })
    );
    assert_eq!(data["lanes"][1]["moved"], 1);
    assert_eq!(
        data["fixtures"][1],
        json!({
            "name": "tiny", "scope": "module", "base": "test_a.py",
            "count": 1, "total": 50, "longest": 50, "row": 0, "workers": 1, "failed": 0,
        })
    );
    assert_eq!(
        data["run"],
        json!({
            "started": ZERO, "total": 20_000_000, "ready": 1_000_000, "last": 5_000_000, "workers": 2,
            "method": "", "warm": false, "status": 0, "stopped": null, "notRun": 0,
            "counts": [["passed", 2], ["skipped", 1]],
            "known": 2, "predicted": 2_000_000, "critical": 1, "longest": 1,
            "bottleneck": "last-test", "bottleneckRow": 1, "alone": 2_000_000,
        })
    );
    // What is shorter than a tenth of a millisecond is in the totals only.
    assert_eq!(data["setups"], json!([0, 0, 0, 125_000]));
}

#[test]
fn what_a_test_tries_again_is_one_test_with_attempts() {
    let mut again = vec![
        report(When::Setup, "", 2.0, 0.25),
        report(When::Call, "rerun", 2.25, 0.5),
        report(When::Teardown, "", 2.75, 0.25),
    ];
    again.extend(passed(0, 0, 4.0, 1.0).reports);
    let mut unnamed = again.clone();
    unnamed[1].category.clear();
    for reports in [again, unnamed] {
        one_test_with_attempts(&run(1).add("t", &result(0, 0, reports)).data());
    }
}

fn one_test_with_attempts(data: &Value) {
    assert_eq!(
        data["tests"]["attempts"],
        json!([[
            0,
            [
                [0, 250_000, 500_000, 250_000, "R"],
                [2_000_000, 250_000, 1_000_000, 250_000, "p"]
            ]
        ]])
    );
    assert_eq!(data["tests"]["endings"], "p");
    assert_eq!(data["tests"]["call"], json!([1_500_000]));
    // The pause between them is not time in the test.
    assert_eq!(data["lanes"][0]["busy"], 2_500_000);
    assert_eq!(data["lanes"][0]["last"], 5_500_000);
}

#[test]
fn the_worst_report_says_how_a_test_ended() {
    let ending = |reports: &[(When, &str)]| {
        let reports = reports
            .iter()
            .map(|&(when, category)| report(when, category, 2.0, 0.1));
        run(1)
            .add("t", &result(0, 0, reports.collect()))
            .picture()
            .tests[0]
            .ending
    };
    use When::{Call, Setup, Teardown};
    assert_eq!(
        ending(&[(Setup, ""), (Call, "passed"), (Teardown, "")]),
        Ending::Passed
    );
    assert_eq!(
        ending(&[(Setup, ""), (Call, "failed"), (Teardown, "error")]),
        Ending::Failed
    );
    assert_eq!(
        ending(&[(Setup, ""), (Call, "passed"), (Teardown, "error")]),
        Ending::Error
    );
    assert_eq!(ending(&[(Setup, "error"), (Teardown, "")]), Ending::Error);
    assert_eq!(
        ending(&[(Setup, "skipped"), (Teardown, "")]),
        Ending::Skipped
    );
    assert_eq!(
        ending(&[(Setup, ""), (Call, "xfailed"), (Teardown, "")]),
        Ending::Xfailed
    );
    assert_eq!(
        ending(&[(Setup, ""), (Call, "xpassed"), (Teardown, "")]),
        Ending::Xpassed
    );
    assert_eq!(
        ending(&[(Setup, ""), (Call, "marvellous"), (Teardown, "")]),
        Ending::Passed
    );
    assert_eq!(
        ending(&[(Setup, ""), (Call, "subtests passed"), (Call, "passed")]),
        Ending::Passed
    );
    assert_eq!(ending(&[]), Ending::Other);
}

#[test]
fn a_lost_test_ends_when_its_worker_was_found_dead() {
    let mut lost = report(When::Call, "failed", 0.0, 1.5);
    lost.start = 0.0;
    let picture = run(2)
        .add("first", &passed(0, 1, 2.0, 0.5))
        .crash(1, 6.0, "lost")
        .add("lost", &result(1, 1, vec![lost]))
        .picture();
    let test = &picture.tests[1];
    assert_eq!((test.start(), test.end()), (4_500_000, 6_000_000));
    assert_eq!(picture.crashes[0].at, 6_000_000);
    assert_eq!(picture.crashes[0].replacement, Some(Replacement::Coming));
}

#[test]
fn a_second_result_of_a_test_is_added_to_the_first() {
    let late = report(When::Teardown, "error", 5.0, 0.5);
    let data = run(1)
        .add("t", &passed(0, 0, 2.0, 0.5))
        .add("t", &result(0, 0, vec![late]))
        .data();
    assert_eq!(data["tests"]["endings"], "E");
    assert_eq!(data["lanes"][0]["tests"], 1);
}

#[test]
fn times_that_make_no_sense_are_zero() {
    let mut odd = passed(0, 0, 2.0, 0.5);
    odd.reports[0].start = f64::NAN;
    odd.reports[1].duration = f64::INFINITY;
    odd.reports[2].duration = -1.0;
    let mut early = passed(1, 0, -5.0, 0.5);
    early.setups = vec![setup("db", -9.0, f64::NAN)];
    let data = run(1).add("odd", &odd).add("early", &early).data();
    assert_eq!(data["tests"]["gap"][0], 0);
    assert_eq!(data["fixtures"][0]["total"], 0);
}

#[test]
fn empty_runs_have_a_picture_too() {
    let data = run(3).data();
    assert_eq!(data["lanes"].as_array().map(Vec::len), Some(3));
    assert_eq!(data["run"]["bottleneck"], "nothing");
    assert_eq!(data["run"]["longest"], Value::Null);
}

#[test]
fn fixtures_are_added_up_by_who_they_are() {
    let with = |test, slot, start, name: &str, duration| {
        let mut result = passed(test, slot, start, 0.5);
        result.setups = vec![setup(name, start, duration)];
        result
    };
    let mut elsewhere = with(3, 1, 5.0, "db", 0.5);
    elsewhere.setups[0].base = "test_b.py".to_owned();
    let picture = run(2)
        .add("a", &with(0, 0, 2.0, "db", 0.125))
        .add("b", &with(1, 0, 3.0, "db", 0.25))
        .add("c", &with(2, 1, 2.0, "db", 0.125))
        .add("d", &elsewhere)
        .picture();
    let totals = Analysis::of(&picture).fixtures;
    assert_eq!(
        totals[0],
        FixtureTotal {
            count: 3,
            total: 500_000,
            longest: 250_000,
            row: 1,
            workers: 2,
            failed: 0,
        }
    );
    assert_eq!((totals[1].count, totals[1].row), (1, 3));
}

#[test]
fn the_bottleneck_is_named() {
    let one = run(1).add("a", &passed(0, 0, 1.0, 3.0));
    assert_eq!(one.bottleneck(), Bottleneck::OneWorker);

    let startup = run(2).add("a", &passed(0, 0, 1.0, 0.25));
    assert_eq!(startup.bottleneck(), Bottleneck::Startup);

    let longest = run(2)
        .add("short", &passed(0, 0, 1.0, 2.0))
        .add("long", &passed(1, 1, 1.0, 9.0));
    assert_eq!(longest.bottleneck(), Bottleneck::LongestTest { row: 1 });

    let last = run(2)
        .add("a", &passed(0, 0, 1.0, 3.5))
        .add("b", &passed(1, 1, 1.0, 3.5))
        .add("late", &passed(2, 1, 5.0, 2.5));
    let expected = Bottleneck::LastTest {
        row: 2,
        alone: 3_000_000,
    };
    assert_eq!(last.bottleneck(), expected);

    let balanced = |share| {
        (0..8).fold(run(2), |run, test| {
            let mut result = passed(test, (test % 2) as u16, 1.0 + f64::from(test / 2), 0.5);
            result.setups = vec![setup("db", 1.0, share)];
            run.add("t", &result)
        })
    };
    assert_eq!(balanced(0.1).bottleneck(), Bottleneck::Balanced);
    assert_eq!(balanced(0.6).bottleneck(), Bottleneck::Fixtures);
}

#[test]
fn ids_are_whole_again_when_unpacked() {
    let ids = [
        "a.py::t[</script>]",
        "a.py::t[😀]",
        "a.py::t[😁\"'&]",
        "a.py::t[😁\"'&]x",
        "ü",
    ];
    let all = (0..).zip(ids).fold(run(1), |run, (test, id)| {
        run.add(id, &passed(test, 0, 2.0 + f64::from(test), 0.1))
    });
    let data = all.data();
    let mut id: Vec<u16> = Vec::new();
    for (row, expected) in ids.iter().enumerate() {
        let shared = data["tests"]["shared"][row].as_u64().expect("a number");
        id.truncate(usize::try_from(shared).expect("small"));
        id.extend(
            data["tests"]["rest"][row]
                .as_str()
                .expect("a text")
                .encode_utf16(),
        );
        assert_eq!(String::from_utf16(&id).expect("whole"), *expected);
    }
}
