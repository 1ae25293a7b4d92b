//! The loop of a run with real processes and a real segment, without Python: whatever happens to
//! workers or host, each test ends in one state, and the exit status tells the truth.

mod case;
mod host;
mod rules;
mod worker;

use case::{Case, Outcome, repeat};
use host::Fault;
use rpytest::daemon::message::Junit;

/// The other end of these tests: started by [`Host`], never by itself.
#[test]
#[ignore = "this is the worker process, not a test"]
fn as_worker() {
    if std::env::var_os(worker::SEGMENT).is_some() {
        worker::main();
    }
}

#[test]
fn every_test_is_reported_once() {
    let actions = repeat("pass", 2000);
    let mut case = Case::new(&actions, 3);
    case.options.stats = true;
    let outcome = case.run();
    assert_eq!(outcome.results().len(), 2000);
    assert_eq!(outcome.finished.status, 0);
    assert!(outcome.finished.complete && outcome.finished.error.is_none());
    assert_eq!(outcome.finished.samples.len(), 2000);
    assert_eq!(
        outcome.end.suite_properties,
        [("suite".to_owned(), "one".to_owned())]
    );
    assert!(
        outcome.end.summary.is_none(),
        "nothing to say: {:?}",
        outcome.end
    );
    assert!(outcome.seen.requests("report").is_empty());
    assert!(
        outcome.end.notes[0].starts_with("records: 200"),
        "{:?}",
        outcome.end.notes
    );
    let left = std::path::Path::new("/dev/shm").join(outcome.segment.trim_start_matches('/'));
    assert!(!left.exists());
}

#[test]
fn failures_are_replayed_for_the_summary() {
    let outcome = Case::new(&["pass", "fail", "pass"], 2).run();
    assert_eq!(
        outcome.results(),
        ["0::pass passed", "1::fail failed", "2::pass passed"]
    );
    assert_eq!((outcome.finished.status, outcome.end.not_run), (1, 0));
    assert_eq!(outcome.end.summary.as_deref(), Some("== the summary =="));
    let mut reported = outcome.seen.reported.clone();
    reported.sort_unstable();
    assert_eq!(reported, [0, 1, 2]);
    assert_eq!(outcome.seen.requests("stop")[0]["status"], 1);
}

#[test]
fn large_bodies_come_by_the_spill_file() {
    let actions = repeat("big", 6);
    let mut case = Case::new(&actions, 2);
    case.options.needs_report = true;
    let outcome = case.run();
    assert_eq!(outcome.results().len(), 6);
    assert_eq!(outcome.finished.status, 0);
    let length = outcome.seen.requests("report")[0]["len"].as_u64().unwrap();
    assert!(length > 6 << 20, "{length}");
}

#[test]
fn a_crash_costs_the_test_in_flight_and_nothing_else() {
    for (action, cause) in [
        ("abort", "killed by SIGABRT"),
        ("exit3", "exit status 3"),
        ("exit0", "exit status 0 before the test was finished"),
    ] {
        let mut actions = repeat("pass", 20);
        actions[3] = action;
        let outcome = Case::new(&actions, 1).run();
        assert_eq!(outcome.results().len(), 20, "{action}");
        let failed = format!("3::{action} failed");
        assert_eq!(outcome.results()[3], failed);
        assert_eq!(
            outcome
                .results()
                .iter()
                .filter(|line| line.ends_with("failed"))
                .count(),
            1
        );
        assert_eq!(
            outcome.crashes(),
            [format!(
                "crash of 3::{action}: {cause}, replacement: Coming"
            )]
        );
        assert_eq!(outcome.finished.status, 1);
        let message = outcome.seen.requests("crashed")[0]["message"]
            .as_str()
            .unwrap();
        assert_eq!(
            message,
            format!("worker 'gw0' crashed while running '3::{action}': {cause}")
        );
    }
}

#[test]
fn crashes_beyond_the_limit_make_errors_of_what_is_left() {
    let actions = repeat("abort", 30);
    let mut case = Case::new(&actions, 2);
    case.max_restarts = 3;
    let outcome = case.run();
    let results = outcome.results();
    assert_eq!(results.len(), 30);
    assert!(results.iter().all(|line| line.ends_with("failed")));
    assert_eq!(
        outcome.crashes().len(),
        5,
        "two workers and three replacements"
    );
    assert_eq!(outcome.finished.status, 1);
    let crashed = outcome.seen.requests("crashed");
    let not_run = crashed.iter().filter(|request| {
        request["message"]
            .as_str()
            .unwrap()
            .contains("did not run: more than 3 workers crashed")
    });
    assert_eq!((crashed.len(), not_run.count()), (30, 25));
}

#[test]
fn no_replacement_when_none_is_allowed() {
    let mut case = Case::new(&["abort", "pass", "pass"], 1);
    case.max_restarts = 0;
    let outcome = case.run();
    assert_eq!(outcome.results().len(), 3);
    assert!(outcome.seen.requests("spawn").is_empty());
    assert!(
        outcome
            .results()
            .iter()
            .all(|line| line.ends_with("failed"))
    );
}

#[test]
fn a_ring_that_makes_no_sense_costs_its_worker() {
    // A flood goes on behind the bad record: the worker that comes next must not pay for it.
    for action in ["garbage", "twice", "flood", "unknown"] {
        let mut actions = repeat("pass", 10);
        actions[2] = action;
        let outcome = Case::new(&actions, 1).run();
        assert_eq!(outcome.results().len(), 10, "{action}");
        let crashes = outcome.crashes();
        assert_eq!(crashes.len(), 1, "{crashes:?}");
        assert!(
            crashes[0].contains("its result ring was overwritten"),
            "{crashes:?}"
        );
        assert_eq!(outcome.finished.status, 1);
        assert_eq!(outcome.seen.requests("spawn").len(), 1);
    }
}

#[test]
fn work_that_was_given_back_is_taken_up_or_becomes_an_error() {
    // The first worker leaves in good order without a result; the one sent after it does so, too.
    let outcome = Case::new(&["skip_it", "pass"], 1).run();
    assert_eq!(outcome.results(), ["0::skip_it failed", "1::pass failed"]);
    assert_eq!(outcome.finished.status, 1);
    let message = outcome.seen.requests("crashed")[0]["message"]
        .as_str()
        .unwrap();
    assert_eq!(
        message,
        "'0::skip_it' did not run: all workers ended without running it"
    );
}

#[test]
fn maxfail_stops_and_counts_the_rest() {
    let actions = repeat("fail", 200);
    let mut case = Case::new(&actions, 1);
    case.options.maxfail = 2;
    let outcome = case.run();
    assert_eq!(outcome.finished.status, 1);
    let done = outcome.results().len();
    assert!(done >= 2);
    assert_eq!(outcome.end.not_run, 200 - done);
    assert!(
        outcome.seen.requests("crashed").is_empty(),
        "not run is no error here"
    );
    let stop = outcome.seen.requests("report")[0]["stop"].as_str().unwrap();
    assert_eq!(stop, "stopping after 2 failures");
    assert!(outcome.finished.complete == (outcome.end.not_run == 0));
}

#[test]
fn workers_can_end_the_run() {
    let mut actions = repeat("pass", 10);
    actions[4] = "exit_session";
    let outcome = Case::new(&actions, 1).run();
    assert_eq!((outcome.finished.status, outcome.end.not_run), (7, 5));
    let report = outcome.seen.requests("report")[0];
    assert_eq!(report["interrupted"], "_pytest.outcomes.Exit: enough");

    // `returncode=0`: what was not run was not wanted.
    actions[4] = "exit_well";
    let outcome = Case::new(&actions, 1).run();
    assert_eq!((outcome.finished.status, outcome.end.not_run), (0, 5));
    assert!(!outcome.finished.complete);

    actions[4] = "internal_error";
    let outcome = Case::new(&actions, 1).run();
    assert_eq!((outcome.finished.status, outcome.end.not_run), (3, 6));
    let notice = "notice INTERNALERROR> Traceback\nINTERNALERROR> ValueError: bad hook";
    assert!(
        outcome.lines.iter().any(|line| line == notice),
        "{:?}",
        outcome.lines
    );
}

#[test]
fn a_status_that_a_worker_session_chose_is_not_success() {
    let outcome = Case::new(&["pass", "status7"], 1).run();
    assert_eq!((outcome.finished.status, outcome.end.not_run), (7, 0));
    assert_eq!(outcome.seen.requests("report")[0]["status"], 7);
    let outcome = Case::new(&["fail", "status7"], 1).run();
    assert_eq!(outcome.finished.status, 1);
}

#[test]
fn ctrl_c_lets_workers_finish_their_sessions() {
    let mut case = Case::new(&["pass", "until_interrupt", "pass", "pass"], 1);
    case.recorder.interrupts = vec!["until_interrupt"];
    let outcome = case.run();
    assert_eq!((outcome.finished.status, outcome.end.not_run), (2, 3));
    assert_eq!(outcome.results(), ["0::pass passed"]);
    assert_eq!(outcome.crashes(), [""; 0]);
    let report = outcome.seen.requests("report")[0];
    assert_eq!(
        (&report["interrupted"], &report["location"]),
        (&"KeyboardInterrupt".into(), &"a.py:3".into())
    );
    assert!(outcome.end.summary.is_some());
}

#[test]
fn a_second_ctrl_c_kills() {
    let mut case = Case::new(&["pass", "deaf", "pass"], 1);
    case.recorder.interrupts = vec!["deaf", "deaf"];
    let outcome = case.run();
    assert_eq!((outcome.finished.status, outcome.end.not_run), (2, 2));
    assert_eq!(outcome.crashes(), [""; 0]);
    assert_eq!(outcome.seen.requests("report").len(), 1);
}

/// Whether every test that is not among `passed` is an error, by name, for the file of `--junitxml`
/// too.
fn assert_errors_but_for(outcome: &Outcome, passed: usize) {
    let results = outcome.results();
    let failed = results.iter().filter(|line| line.ends_with(" failed"));
    assert_eq!(failed.count(), results.len() - passed, "{results:?}");
    assert_eq!(outcome.errors.len(), results.len() - passed);
    for result in &outcome.errors {
        let report = &result.reports[0];
        let shown = (&*report.category, &*report.letter, &*report.word);
        assert_eq!(shown, ("error", "E", "ERROR"));
        assert!(
            report
                .reason
                .ends_with("has no result: the run's host process died"),
            "{}",
            report.reason
        );
        let classname = format!("<testcase classname=\"{}\" name=", result.test);
        assert!(result.junit.starts_with(&classname), "{}", result.junit);
        assert_eq!(result.junit_counts.error, 1);
    }
}

#[test]
fn a_dead_host_makes_errors_of_what_has_no_result() {
    let mut case = Case::new(&["deaf", "deaf", "pass"], 2);
    case.fault = Fault::DiesAfterBirths(2);
    case.options.junit = Some(Junit::default());
    let outcome = case.run();
    assert_eq!((outcome.finished.status, outcome.end.not_run), (3, 0));
    assert_eq!(outcome.results().len(), 3);
    let passed = outcome.results().contains(&"2::pass passed");
    assert_errors_but_for(&outcome, usize::from(passed));
    assert!(
        !outcome.finished.complete,
        "these results are not their own"
    );
    assert_eq!(
        outcome.end.stopped.as_deref(),
        Some("the run's host process died")
    );
    let error = outcome.finished.error.unwrap().to_string();
    assert!(error.contains("host process"), "{error}");
}

#[test]
fn a_host_that_gives_up_makes_errors_of_what_has_no_result() {
    let mut case = Case::new(&["deaf", "deaf"], 1);
    case.fault = Fault::GivesUp;
    case.options.junit = Some(Junit::default());
    let outcome = case.run();
    assert_eq!((outcome.finished.status, outcome.end.not_run), (3, 0));
    assert_errors_but_for(&outcome, 0);
    assert!(outcome.lines.iter().any(|line| line == "notice trouble"));
}

#[test]
fn a_babbling_host_is_not_listened_to() {
    let mut case = Case::new(&["deaf"], 1);
    case.fault = Fault::Babbles;
    let outcome = case.run();
    assert_eq!((outcome.finished.status, outcome.end.not_run), (3, 0));
    assert_eq!(outcome.results(), ["0::deaf failed"]);
    assert_eq!(outcome.errors[0].junit, "", "no file was asked for");
    let error = outcome.finished.error.unwrap().to_string();
    assert!(
        error.starts_with("unexpected message from the host"),
        "{error}"
    );
}

#[test]
fn a_failure_after_the_last_test_counts() {
    let mut case = Case::new(&["pass", "pass"], 1);
    case.fault = Fault::FailsAtTheEnd;
    let outcome = case.run();
    assert_eq!(outcome.finished.status, 1);
    assert_eq!(
        outcome.results(),
        ["0::pass passed", "0::pass failed", "1::pass passed"]
    );
    assert_eq!(outcome.end.summary.as_deref(), Some("== the summary =="));
    assert_eq!(outcome.seen.requests("stop").len(), 2);
}

#[test]
fn output_that_nobody_reads_stops_the_run() {
    let actions = repeat("pass", 300);
    let mut case = Case::new(&actions, 1);
    case.recorder.fails = true;
    let outcome = case.run();
    assert_eq!(outcome.finished.status, 2);
    assert!(
        outcome.finished.error.is_none(),
        "a closed pipe is no error"
    );
    assert!(outcome.end.stopped.is_some());
}
