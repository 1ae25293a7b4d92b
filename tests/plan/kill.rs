//! A history survives the death of the process that writes it, at any moment.

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rpytest::history::{History, Sample};

/// Set in the process that is to be killed: its cache directory.
const VICTIM: &str = "RPYTEST_TEST_VICTIM";
/// Enough for a save to take a while: it is written in several pieces.
const TESTS: u32 = 4000;

fn open(cache: &Path) -> History {
    let env = |name: &str| (name == "RPYTEST_CACHE_DIR").then(|| OsString::from(cache));
    let (history, warning) = History::open(Path::new("/project"), &env);
    assert_eq!(warning, None, "a killed process has left half a file");
    history
}

/// Saves again and again; every other run has one test more, so that both ways of writing are met.
fn write_forever(cache: &Path) -> ! {
    for run in 0.. {
        let mut history = open(cache);
        for test in 0..TESTS + run / 2 {
            let sample = Sample {
                call: Duration::from_millis(1),
                ..Sample::default()
            };
            history.record(&format!("tests/test_module.py::test_{test}"), sample);
        }
        history.save(false).expect("saved");
        println!("saved {}", run + 1);
    }
    unreachable!("the numbers end")
}

#[test]
fn killed_at_any_moment() {
    if let Some(cache) = std::env::var_os(VICTIM) {
        write_forever(Path::new(&cache));
    }
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let mut saved = 0;
    for round in 0..40_u64 {
        let mut victim = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "kill::killed_at_any_moment", "--nocapture"])
            .env(VICTIM, &cache)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(victim.stdout.take().unwrap()).lines();
        // It is certainly at work; then some moment in the cycle of some ten milliseconds.
        let first =
            |line: &Result<String, _>| line.as_ref().is_ok_and(|line| line.contains("saved"));
        assert!(lines.by_ref().any(|line| first(&line)));
        std::thread::sleep(Duration::from_micros(round * 7919 % 30_000));
        victim.kill().unwrap();
        victim.wait().unwrap();
        let more = lines
            .map_while(Result::ok)
            .filter(|line| line.contains("saved"));
        saved += 1 + more.count() as u32;

        let history = open(&cache);
        // Killed between renaming and saying so, it saved once more.
        assert!((saved..=saved + 1).contains(&history.runs()), "{saved}");
        saved = history.runs();
        let known: Vec<_> = history.entries().collect();
        assert!(known.len() >= TESTS as usize);
        assert!(
            known
                .iter()
                .all(|known| known.call == Duration::from_millis(1))
        );
    }
}
