//! Units that are kept whole and tests that run alone, when workers die.

use super::{Case, repeat};
use rpytest::plan::Serial;

#[test]
fn the_rest_of_a_kept_unit_is_run_when_its_worker_dies() {
    // Three units of eight; two of them lose their worker.
    let mut actions = repeat("pass", 24);
    actions[1] = "abort";
    actions[10] = "exit3";
    let outcome = Case {
        keep: true,
        ..Case::new(&actions, 3)
    }
    .run();
    assert_eq!(outcome.finished.status, 1);
    assert_eq!(outcome.results().len(), 24);
    assert_eq!(outcome.crashes().len(), 2);
    // What ran where: the tests that took their worker with them are in the sequences, once.
    let mut ran: Vec<u32> = outcome.finished.sequences.concat().concat();
    ran.sort_unstable();
    assert_eq!(ran, (0..24).collect::<Vec<_>>());
    // The rest of a unit was not divided: after the crash it follows in one slot, in order.
    for unit in [0..8, 8..16, 16..24] {
        let owners = outcome
            .finished
            .sequences
            .iter()
            .filter(|processes| processes.iter().flatten().any(|test| unit.contains(test)));
        assert!(owners.count() <= 2);
    }
}

#[test]
fn tests_that_run_alone_come_after_all_others_slot_by_slot() {
    let actions = repeat("pass", 20);
    let outcome = Case {
        serial: vec![
            Serial {
                slot: 0,
                tests: vec![8, 9],
            },
            Serial {
                slot: 1,
                tests: vec![19],
            },
        ],
        ..Case::new(&actions, 2)
    }
    .run();
    assert_eq!(outcome.finished.status, 0);
    assert_eq!(outcome.end.not_run, 0);
    let lines: Vec<&String> = outcome
        .lines
        .iter()
        .filter(|line| line.ends_with(" passed"))
        .collect();
    assert_eq!(lines.len(), 20);
    assert_eq!(
        lines[17..],
        ["8::pass passed", "9::pass passed", "19::pass passed"]
    );
}

#[test]
fn tests_that_run_alone_survive_crashes_before_and_in_them() {
    let mut actions = repeat("pass", 12);
    actions[0] = "abort";
    actions[9] = "abort";
    let outcome = Case {
        serial: vec![Serial {
            slot: 0,
            tests: vec![9, 10, 11],
        }],
        ..Case::new(&actions, 2)
    }
    .run();
    assert_eq!(outcome.finished.status, 1);
    assert_eq!(outcome.results().len(), 12);
    assert_eq!(outcome.crashes().len(), 2);
    assert!(outcome.lines.contains(&"11::pass passed".to_owned()));
}

#[test]
fn without_replacements_the_others_still_run_and_then_those_alone() {
    let mut actions = repeat("pass", 12);
    actions[0] = "abort";
    let outcome = Case {
        max_restarts: 0,
        serial: vec![Serial {
            slot: 0,
            tests: vec![11],
        }],
        ..Case::new(&actions, 2)
    }
    .run();
    assert_eq!(outcome.finished.status, 1);
    assert_eq!(outcome.results().len(), 12);
    assert!(outcome.lines.contains(&"11::pass passed".to_owned()));
}

#[test]
fn a_stopped_run_does_not_begin_with_tests_that_run_alone() {
    let actions = ["pass", "fail", "pass", "pass"];
    let mut case = Case {
        serial: vec![Serial {
            slot: 0,
            tests: vec![3],
        }],
        ..Case::new(&actions, 1)
    };
    case.options.maxfail = 1;
    let outcome = case.run();
    assert_eq!(outcome.finished.status, 1);
    assert!(outcome.end.not_run >= 1);
    assert!(!outcome.lines.contains(&"3::pass passed".to_owned()));
}
