//! The final line against pytest's own for the same counts (`fixtures/capture.py`).

use rpytest::event::{Outcome, RunEnd, TestResult, When};
use serde::Deserialize;

use crate::{end, failed, passed, report, result, run, start};

#[derive(Deserialize)]
struct Case {
    counts: Vec<(String, usize)>,
    missing: usize,
    seconds: f64,
    width: usize,
    verbosity: i32,
    color: bool,
    text: String,
}

#[test]
fn final_lines_are_pytests() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("fixtures/final_lines.json"))
        .expect("the fixture is JSON");
    assert!(cases.len() > 50, "the fixture has lost its cases");
    for case in &cases {
        let mut results: Vec<(&str, TestResult)> = Vec::new();
        let mut begin = start(0, case.verbosity);
        for (category, count) in &case.counts {
            for _ in 0..*count {
                match category.as_str() {
                    "deselected" => begin.deselected += 1,
                    "warnings" => results[0].1.warnings += 1,
                    name => {
                        let report = report(When::Call, Outcome::Other, name, "x", "WORD");
                        results.push(("test_a.py::test_1", result(0, vec![report])));
                    }
                }
            }
        }
        begin.tests = results.len() + case.missing;
        let text = run(&begin, &results, &end(case.seconds), case.width, case.color);
        let printed = text.lines().next_back().unwrap_or_default();
        match case.text.strip_suffix('\n') {
            Some(expected) => assert_eq!(printed, expected, "for {:?}", case.counts),
            // Under `-qq` there is none.
            None => assert!(
                text.bytes().all(|byte| matches!(byte, b'x' | b'\n')),
                "{text:?}"
            ),
        }
    }
}

#[test]
fn modules_skipped_while_collecting_count_as_skipped() {
    let mut begin = start(1, -1);
    begin.collection_skips = 2;
    let text = run(
        &begin,
        &[("test_a.py::test_1", passed(0))],
        &end(0.5),
        80,
        false,
    );
    insta::assert_snapshot!(text, @r"
    .
    1 passed, 2 skipped in 0.50s
    ");
}

#[test]
fn pytests_summary_replaces_ours() {
    let summary = "\n=== FAILURES ===\n=== 1 failed in 0.01s ===\n";
    let mut last = RunEnd {
        summary: Some(summary.to_owned()),
        ..end(0.5)
    };
    last.notes = vec!["slowest worker: 0".to_owned()];
    let results = [("test_a.py::test_1", failed(0))];
    insta::assert_snapshot!(run(&start(1, 0), &results, &last, 80, false), @r"
    2 workers [1 item]

    test_a.py::test_1 FAILED

    === FAILURES ===
    === 1 failed in 0.01s ===
    slowest worker: 0
    ");
    insta::assert_snapshot!(run(&start(1, -1), &results, &last, 80, false), @r"
    F
    === FAILURES ===
    === 1 failed in 0.01s ===
    slowest worker: 0
    ");
}

#[test]
fn says_why_it_stopped_and_what_did_not_run() {
    let last = RunEnd {
        not_run: 3,
        stopped: Some("enough".to_owned()),
        ..end(0.5)
    };
    let text = run(
        &start(4, 0),
        &[("test_a.py::test_1", passed(0))],
        &last,
        40,
        false,
    );
    insta::assert_snapshot!(text, @r"
    2 workers [4 items]

    test_a.py::test_1 PASSED
    3 of 4 tests did not run

    !!!!!!!!!!!!!!!! enough !!!!!!!!!!!!!!!!
    ========== 1 passed in 0.50s ===========
    ");
    let results = [("test_a.py::test_1", passed(0))];
    insta::assert_snapshot!(run(&start(4, -1), &results, &last, 40, false), @r"
    .
    3 of 4 tests did not run
    !!!!!!!!!!!!!!!! enough !!!!!!!!!!!!!!!!
    1 passed in 0.50s
    ");
}
