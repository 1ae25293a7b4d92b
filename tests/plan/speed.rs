//! How long planning and the duration history take for a large suite; prints, asserts nothing about
//! time.
//!
//! `plan` is with costs of tests alone, `fixtures` with those of modules besides, where several
//! ways to split are tried.
//!
//! `cargo test --release --test plan speed -- --ignored --nocapture`

use std::ffi::OsString;
use std::path::Path;
use std::time::{Duration, Instant};

use rpytest::history::{History, LastOutcome, Sample};
use rpytest::plan::{Plan, Tests};

/// The size of `packaging`'s own suite.
const TESTS: usize = 62_423;
const ROUNDS: usize = 15;

/// Median and least of the times, in milliseconds. Other work on the machine makes the median
/// longer, and hardly the least.
fn median_and_least(mut times: Vec<Duration>) -> [f64; 2] {
    times.sort();
    [times[times.len() / 2], times[0]].map(|time| time.as_secs_f64() * 1e3)
}

fn sample(test: usize) -> Sample {
    Sample {
        setup: Duration::from_micros(20),
        call: Duration::from_micros(50 + (test as u64 * 7919) % 1000),
        teardown: Duration::from_micros(15),
        outcome: LastOutcome::Passed,
        rerun: false,
    }
}

#[test]
#[ignore = "measures"]
fn a_large_suite() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let env = |name: &str| {
        (name == rpytest::env::CACHE_DIR).then(|| OsString::from(folder.path().join("cache")))
    };
    let root = Path::new("/project");
    let ids: Vec<String> = (0..TESTS)
        .map(|test| {
            let module = test / 1500;
            format!("tests/test_module_{module:03}.py::TestSomething::test_parametrized[{test}-some-longer-parameter]")
        })
        .collect();
    let modules: Vec<u32> = (0..TESTS).map(|test| test as u32 / 1500).collect();
    // Every module with a fixture that is worth thinking about.
    let expensive: Vec<Option<Duration>> = (0..TESTS)
        .map(|test| Some(Duration::from_millis(if test % 1500 == 0 { 50 } else { 0 })))
        .collect();
    let mut times: [Vec<Duration>; 7] = Default::default();
    for round in 0..=ROUNDS {
        let mut step = {
            let mut began = Instant::now();
            let mut number = 0;
            let times = &mut times;
            move || {
                if round > 0 {
                    times[number].push(began.elapsed());
                }
                number += 1;
                began = Instant::now();
            }
        };
        let (mut history, warning) = History::open(root, &env);
        assert!(warning.is_none());
        step();
        let durations = history.estimates(ids.iter().map(String::as_str));
        step();
        let tests = Tests::new(&modules, &modules, &durations).expect("lists of one length");
        let plan = Plan::new(&tests, 16);
        assert_eq!(plan.entries().len(), TESTS);
        step();
        let tests = tests.with_setups(&expensive).expect("as many set-ups");
        assert_eq!(Plan::new(&tests, 16).entries().len(), TESTS);
        step();
        // In the order in which 16 workers would end them.
        let part = TESTS.div_ceil(16);
        for index in 0..part {
            for worker in 0..16 {
                let test = worker * part + index;
                if test < TESTS {
                    history.record_numbered(test as u32, &ids[test], sample(test + round));
                }
            }
        }
        step();
        history.save(true).expect("the disk is not full");
        step();
    }
    let names = ["open", "estimates", "plan", "fixtures", "record", "save"];
    let mut sums = [0.0; 2];
    for (name, times) in names.iter().zip(times) {
        let found = median_and_least(times);
        println!("{name:<10} {:8.3} ms, least {:8.3} ms", found[0], found[1]);
        if !["plan", "fixtures"].contains(name) {
            sums = [sums[0] + found[0], sums[1] + found[1]];
        }
    }
    println!(
        "history    {:8.3} ms in all, least {:8.3} ms",
        sums[0], sums[1]
    );
}
