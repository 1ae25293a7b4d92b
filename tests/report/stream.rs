//! The three forms of streamed output.

use rpytest::event::{Outcome, Replacement, Report, RunEnd, RunEvent, RunStart, TestResult, When};
use rpytest::report::{Reporter, Screen, ScreenOptions};

use crate::{Out, end, failed, passed, report, reporters, result, run, skipped, start};

fn some() -> Vec<(&'static str, TestResult)> {
    let xpass = report(When::Call, Outcome::Passed, "xpassed", "X", "XPASS");
    let xfail = report(When::Call, Outcome::Skipped, "xfailed", "x", "XFAIL");
    let error = report(When::Teardown, Outcome::Failed, "error", "E", "ERROR");
    let rerun = report(When::Call, Outcome::Other, "rerun", "R", "RERUN");
    let mut twice = passed(5);
    twice.reports.push(error);
    vec![
        ("test_a.py::test_1", passed(0)),
        ("test_b.py::test_2", passed(1)),
        ("test_a.py::test_3", failed(2)),
        (
            "test_a.py::test_4",
            skipped(3, "not today, as the moon isn't full"),
        ),
        (
            "test_a.py::test_5",
            result(
                4,
                vec![Report {
                    reason: "known".to_owned(),
                    ..xfail
                }],
            ),
        ),
        ("test_a.py::test_6", twice),
        ("test_a.py::test_7", result(6, vec![xpass])),
        (
            "test_a.py::test_8",
            result(
                7,
                vec![Report {
                    markup: vec!["purple".to_owned(), "bold".to_owned()],
                    ..rerun
                }],
            ),
        ),
    ]
}

#[test]
fn default_form() {
    insta::assert_snapshot!(run(&start(8, 0), &some(), &end(1.0), 80, false), @r"
    2 workers [8 items]

    test_a.py::test_1 PASSED
    test_b.py::test_2 PASSED
    test_a.py::test_3 FAILED
    test_a.py::test_4 SKIPPED
    test_a.py::test_5 XFAIL
    test_a.py::test_6 PASSED
    test_a.py::test_6 ERROR
    test_a.py::test_7 XPASS
    test_a.py::test_8 RERUN

    = 1 failed, 3 passed, 1 skipped, 1 xfailed, 1 xpassed, 1 error, 1 rerun in 1.00s =
    ");
}

#[test]
fn verbose_form_names_workers_and_reasons() {
    let mut begin = start(8, 1);
    begin.method = "bare".to_owned();
    begin.why = Some("threads are alive after collection".to_owned());
    insta::assert_snapshot!(run(&begin, &some(), &end(1.0), 66, false), @r"
    2 workers [8 items]
    start method: bare (threads are alive after collection)
    session fixtures: each worker has its own (start method bare)

    [worker 0] test_a.py::test_1 PASSED
    [worker 1] test_b.py::test_2 PASSED
    [worker 0] test_a.py::test_3 FAILED
    [worker 1] test_a.py::test_4 SKIPPED (not today, as the moon i...)
    [worker 0] test_a.py::test_5 XFAIL (known)
    [worker 1] test_a.py::test_6 PASSED
    [worker 1] test_a.py::test_6 ERROR
    [worker 0] test_a.py::test_7 XPASS
    [worker 1] test_a.py::test_8 RERUN

    = 1 failed, 3 passed, 1 skipped, 1 xfailed, 1 xpassed, 1 error, 1 rerun in 1.00s =
    ");
}

#[test]
fn very_verbose_form_keeps_reasons_whole() {
    let text = run(&start(8, 2), &some(), &end(1.0), 40, false);
    assert!(
        text.contains("[worker 1] test_a.py::test_4 SKIPPED (not today, as the moon isn't full)\n"),
        "{text}"
    );
}

#[test]
fn quiet_form_is_letters_wrapped_at_the_width() {
    let results: Vec<_> = (0..90)
        .map(|test| ("test_a.py::test", passed(test)))
        .collect();
    let text = run(&start(90, -1), &results, &end(1.0), 45, false);
    assert_eq!(
        text,
        format!("{0}\n{0}\n90 passed in 1.00s\n", ".".repeat(45))
    );
    insta::assert_snapshot!(run(&start(8, -1), &some(), &end(1.0), 80, false), @r"
    ..Fsx.EXR
    1 failed, 3 passed, 1 skipped, 1 xfailed, 1 xpassed, 1 error, 1 rerun in 1.00s
    ");
    insta::assert_snapshot!(run(&start(8, -2), &some(), &end(1.0), 80, false), @r"
    ..Fsx.EXR
    ");
}

#[test]
fn words_and_letters_have_pytests_colours() {
    let text = run(&start(8, 0), &some(), &end(1.0), 80, true).replace('\x1b', "^");
    insta::assert_snapshot!(text, @r"
    2 workers [8 items]

    test_a.py::test_1 ^[32mPASSED^[0m
    test_b.py::test_2 ^[32mPASSED^[0m
    test_a.py::test_3 ^[31mFAILED^[0m
    test_a.py::test_4 ^[33mSKIPPED^[0m
    test_a.py::test_5 ^[33mXFAIL^[0m
    test_a.py::test_6 ^[32mPASSED^[0m
    test_a.py::test_6 ^[31mERROR^[0m
    test_a.py::test_7 ^[33mXPASS^[0m
    test_a.py::test_8 ^[35m^[1mRERUN^[0m

    ^[31m= ^[31m^[1m1 failed^[0m, ^[32m3 passed^[0m, ^[33m1 skipped^[0m, ^[33m1 xfailed^[0m, ^[33m1 xpassed^[0m, ^[31m^[1m1 error^[0m, ^[33m1 rerun^[0m^[31m in 1.00s^[0m^[31m =^[0m
    ");
    let text = run(&start(8, -1), &some(), &end(1.0), 80, true).replace('\x1b', "^");
    insta::assert_snapshot!(text, @r"
    ^[32m.^[0m^[32m.^[0m^[31mF^[0m^[33ms^[0m^[33mx^[0m^[32m.^[0m^[31mE^[0m^[33mX^[0m^[35m^[1mR^[0m
    ^[31m^[31m^[1m1 failed^[0m, ^[32m3 passed^[0m, ^[33m1 skipped^[0m, ^[33m1 xfailed^[0m, ^[33m1 xpassed^[0m, ^[31m^[1m1 error^[0m, ^[33m1 rerun^[0m^[31m in 1.00s^[0m^[0m
    ");
}

#[test]
fn no_colour_no_escapes() {
    for verbosity in -2..=2 {
        assert!(!run(&start(8, verbosity), &some(), &end(1.0), 80, false).contains('\x1b'));
    }
}

#[test]
fn header_is_pytests_and_counts_are_ours() {
    let begin = RunStart {
        workers: 1,
        header: "=== test session starts ===\nplatform linux\ncollected 1 item".to_owned(),
        why: Some("only shown with -v".to_owned()),
        ..start(1, 0)
    };
    insta::assert_snapshot!(run(&begin, &[("test_a.py::test_1", passed(0))], &end(1.0), 40, false), @r"
    === test session starts ===
    platform linux
    collected 1 item
    1 worker [1 item]

    test_a.py::test_1 PASSED

    ========== 1 passed in 1.00s ===========
    ");
}

#[test]
fn crashes_and_notices_stand_on_lines_of_their_own_at_once() {
    let out = Out::default();
    let mut all = reporters(&out.screen(80, true));
    let begin = start(4, -1);
    let result = passed(0);
    let events = [
        RunEvent::Started(&begin),
        RunEvent::Finished {
            nodeid: "test_a.py::test_1",
            result: &result,
        },
        RunEvent::Crashed {
            slot: 2,
            cause: "SIGSEGV",
            test: Some("test_a.py::test_x"),
            replacement: Replacement::Coming,
        },
        RunEvent::Finished {
            nodeid: "test_a.py::test_1",
            result: &result,
        },
        RunEvent::Crashed {
            slot: 1,
            cause: "exit status 3",
            test: None,
            replacement: Replacement::Limit(3),
        },
        RunEvent::Notice("shutting down"),
    ];
    for event in &events {
        all.event(event).expect("memory can be written");
    }
    insta::assert_snapshot!(out.text().replace('\x1b', "^"), @r"
    ^[32m.^[0m
    [worker 2] ^[31mnode down^[0m: SIGSEGV while running test_a.py::test_x
    replacing crashed worker gw2
    ^[32m.^[0m
    [worker 1] ^[31mnode down^[0m: exit status 3
    maximum crashed workers reached: 3
    shutting down
    ");
}

#[test]
fn a_file_or_pipe_is_told_how_many_workers_were_created() {
    let out = Out::default();
    let options = ScreenOptions {
        color: false,
        width: 80,
        terminal: false,
    };
    let mut all = reporters(&Screen::new(Box::new(out.clone()), options));
    for verbosity in [0, -1, -2] {
        all.event(&RunEvent::Started(&start(1, verbosity)))
            .expect("memory can be written");
    }
    assert_eq!(
        out.text(),
        "created: 2/2 workers\n2 workers [1 item]\n\nbringing up nodes...\n",
        "with `-q` that they are coming, with `-qq` nothing"
    );
}

#[test]
fn what_did_not_run() {
    let said = |interrupted| {
        let out = Out::default();
        let mut all = reporters(&out.screen(80, false));
        let begin = start(3, 0);
        let last = RunEnd {
            not_run: 2,
            interrupted,
            ..end(1.0)
        };
        for event in [RunEvent::Started(&begin), RunEvent::Ended(&last)] {
            all.event(&event).expect("memory can be written");
        }
        out.text().lines().nth(2).map(str::to_owned)
    };
    assert_eq!(said(false).as_deref(), Some("2 of 3 tests did not run"));
    assert_eq!(
        said(true).as_deref(),
        Some("Interrupted: 2 of 3 tests did not run")
    );
}

#[test]
fn what_becomes_of_a_crashed_workers_place() {
    let said = |replacement| {
        let out = Out::default();
        let mut all = reporters(&out.screen(80, false));
        all.event(&RunEvent::Crashed {
            slot: 1,
            cause: "SIGKILL",
            test: None,
            replacement,
        })
        .expect("memory can be written");
        out.text().replace("[worker 1] node down: SIGKILL", "")
    };
    assert_eq!(
        said(Replacement::Coming),
        "\nreplacing crashed worker gw1\n"
    );
    assert_eq!(
        said(Replacement::NothingLeft),
        "\nreplacing crashed worker gw1: not needed, no test is left to start\n"
    );
    assert_eq!(
        said(Replacement::Limit(0)),
        "\nworker gw1 crashed and worker restarting disabled\n"
    );
    assert_eq!(
        said(Replacement::Limit(2)),
        "\nmaximum crashed workers reached: 2\n"
    );
    assert_eq!(said(Replacement::Ending), " (not replaced)\n");
}
