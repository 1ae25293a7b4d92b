//! `--inventory-status`: what is known about the durations of a project's tests, as text or JSON.

use std::cmp::Reverse;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use crate::history::{History, Known, LastOutcome};
use crate::plan::{Plan, Tests};

/// For how many workers the time is predicted.
const WORKERS: [usize; 5] = [1, 2, 4, 8, 16];

/// A history, summed up.
#[derive(Clone, Debug, PartialEq)]
pub struct HistoryStatus<'a> {
    root: &'a Path,
    file: Option<&'a Path>,
    runs: u32,
    /// The slowest first.
    tests: Vec<Known<'a>>,
    /// Number of workers and how long they would take.
    predicted: Vec<(usize, Duration)>,
}

impl<'a> HistoryStatus<'a> {
    #[must_use]
    pub fn new(history: &'a History) -> HistoryStatus<'a> {
        let mut tests: Vec<Known> = history.entries().collect();
        // Ids in order stand in for collection order: tests of a module and a class are neighbours.
        tests.sort_unstable_by_key(|test| test.nodeid);
        let predicted = predict(&tests);
        tests.sort_by_key(|test| Reverse(test.total()));
        HistoryStatus {
            root: history.root(),
            file: history.file(),
            runs: history.runs(),
            tests,
            predicted,
        }
    }

    fn total(&self) -> Duration {
        self.tests.iter().map(Known::total).sum()
    }

    /// Number of samples of all tests.
    fn measured(&self) -> u64 {
        self.tests.iter().map(|test| u64::from(test.runs)).sum()
    }

    fn failed(&self) -> usize {
        let failed = |test: &&Known| test.last_outcome == LastOutcome::Failed;
        self.tests.iter().filter(failed).count()
    }

    /// Number of tests that failed and passed by turns lately.
    fn flaky(&self) -> usize {
        self.tests.iter().filter(|test| test.flaky).count()
    }

    /// A text for people; with `verbose` a line per test, the slowest first. Ends in a newline.
    #[must_use]
    pub fn text(&self, verbose: bool) -> String {
        let mut text = format!("project        {}\n", self.root.display());
        if let Some(file) = self.file {
            line(&mut text, "history", &file.display().to_string());
        }
        let Some(longest) = self.tests.first() else {
            text.push_str("no durations are known yet: they are recorded by every run\n");
            return text;
        };
        line(&mut text, "runs", &self.runs.to_string());
        let tests = format!(
            "{} known, measured {} times, {} flaky, {} failed the last time",
            self.tests.len(),
            self.measured(),
            self.flaky(),
            self.failed()
        );
        line(&mut text, "tests", &tests);
        line(&mut text, "total time", &seconds(self.total()));
        let longest = format!("{}  {}", seconds(longest.total()), longest.nodeid);
        line(&mut text, "critical time", &longest);
        let predicted: Vec<String> = self
            .predicted
            .iter()
            .map(|(workers, time)| format!("-n {workers}: {}", seconds(*time)))
            .collect();
        line(&mut text, "predicted", &predicted.join(", "));
        if verbose {
            self.write_tests(&mut text);
        }
        text
    }

    fn write_tests(&self, text: &mut String) {
        text.push_str("\n      mean    spread  runs  last     test\n");
        for test in &self.tests {
            // Writing to a string can't fail.
            let _ = writeln!(
                text,
                "{:>10}  {:>8}  {:>4}  {:<7}  {}",
                seconds(test.total()),
                seconds(test.spread),
                test.runs,
                test.last_outcome.as_str(),
                test.nodeid
            );
        }
    }

    /// One JSON object for programs; `verbose` adds `durations`. Times are in seconds. Ends in a
    /// newline.
    #[must_use]
    pub fn json(&self, verbose: bool) -> String {
        let seconds = |time: Duration| time.as_secs_f64();
        let document = Document {
            root: self.root.to_path_buf(),
            history: self.file.map(Path::to_path_buf),
            runs: self.runs,
            tests: self.tests.len(),
            measured: self.measured(),
            flaky: self.flaky(),
            failed: self.failed(),
            total: seconds(self.total()),
            longest: self.tests.first().map(TestDuration::from),
            predicted: self
                .predicted
                .iter()
                .map(|&(workers, time)| Prediction {
                    workers,
                    seconds: seconds(time),
                })
                .collect(),
            durations: verbose.then(|| self.tests.iter().map(TestDuration::from).collect()),
        };
        // Fails only for a root that is not Unicode, and then says so instead of guessing.
        let mut text = serde_json::to_string_pretty(&document)
            .unwrap_or_else(|error| serde_json::json!({ "error": error.to_string() }).to_string());
        text.push('\n');
        text
    }
}

fn line(text: &mut String, name: &str, value: &str) {
    let _ = writeln!(text, "{name:<13}  {value}");
}

/// A time as pytest writes durations, with a digit more below a tenth of a second, where most tests
/// are.
fn seconds(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds < 0.1 {
        format!("{seconds:.4}s")
    } else {
        format!("{seconds:.2}s")
    }
}

/// `tests` are sorted by node id.
fn predict(tests: &[Known]) -> Vec<(usize, Duration)> {
    let tests = first_payers_first(tests);
    let modules = numbers(&tests, module);
    let classes = numbers(&tests, class);
    let durations: Vec<Option<Duration>> = tests.iter().map(|test| Some(test.total())).collect();
    let setups: Vec<Option<Duration>> = tests.iter().map(|test| Some(test.setup)).collect();
    let planned = Tests::new(&modules, &classes, &durations)
        .and_then(|planned| planned.with_setups(&setups))
        .filter(|tests| !tests.is_empty());
    let Some(planned) = planned else {
        return Vec::new();
    };
    WORKERS
        .iter()
        .map(|&workers| (workers, Plan::new(&planned, workers).makespan()))
        .collect()
}

/// In each module and class the test comes first that takes longest to set up: it pays for the
/// fixtures, and is the first one to be collected, most likely.
fn first_payers_first<'a>(tests: &[Known<'a>]) -> Vec<Known<'a>> {
    let most = |tests: &[Known]| tests.iter().map(|test| Reverse(test.setup)).min();
    let mut ordered = Vec::with_capacity(tests.len());
    for tests in tests.chunk_by(|left, right| module(left.nodeid) == module(right.nodeid)) {
        let classes = tests.chunk_by(|left, right| class(left.nodeid) == class(right.nodeid));
        let mut classes: Vec<Vec<Known>> = classes.map(<[Known]>::to_vec).collect();
        classes.sort_by_key(|class| most(class));
        for class in &mut classes {
            class.sort_by_key(|test| Reverse(test.setup));
        }
        ordered.extend(classes.into_iter().flatten());
    }
    ordered
}

/// Numbers that are equal in neighbours with an equal `key`.
fn numbers<'a>(tests: &[Known<'a>], key: fn(&'a str) -> &'a str) -> Vec<u32> {
    let mut numbers = Vec::with_capacity(tests.len());
    let chunks = tests.chunk_by(|left, right| key(left.nodeid) == key(right.nodeid));
    for (number, chunk) in chunks.enumerate() {
        numbers.extend(std::iter::repeat_n(number as u32, chunk.len()));
    }
    numbers
}

/// `a.py::C::f[x]` → `a.py`.
fn module(nodeid: &str) -> &str {
    nodeid.split_once("::").map_or(nodeid, |(module, _)| module)
}

/// `a.py::C::f[x::y]` → `a.py::C`.
fn class(nodeid: &str) -> &str {
    let module = module(nodeid).len();
    let names = nodeid[module..]
        .find('[')
        .map_or(nodeid, |bracket| &nodeid[..module + bracket]);
    names.rsplit_once("::").map_or(names, |(class, _)| class)
}

#[derive(Serialize)]
struct Document<'a> {
    root: PathBuf,
    history: Option<PathBuf>,
    runs: u32,
    tests: usize,
    measured: u64,
    flaky: usize,
    failed: usize,
    total: f64,
    longest: Option<TestDuration<'a>>,
    predicted: Vec<Prediction>,
    #[serde(skip_serializing_if = "Option::is_none")]
    durations: Option<Vec<TestDuration<'a>>>,
}

#[derive(Serialize)]
struct Prediction {
    workers: usize,
    seconds: f64,
}

#[derive(Serialize)]
struct TestDuration<'a> {
    nodeid: &'a str,
    mean: f64,
    setup: f64,
    call: f64,
    teardown: f64,
    spread: f64,
    runs: u32,
    failures: u32,
    last_outcome: &'static str,
    flaky: bool,
}

impl<'a> From<&Known<'a>> for TestDuration<'a> {
    fn from(test: &Known<'a>) -> Self {
        TestDuration {
            nodeid: test.nodeid,
            mean: test.total().as_secs_f64(),
            setup: test.setup.as_secs_f64(),
            call: test.call.as_secs_f64(),
            teardown: test.teardown.as_secs_f64(),
            spread: test.spread.as_secs_f64(),
            runs: test.runs,
            failures: test.failures,
            last_outcome: test.last_outcome.as_str(),
            flaky: test.flaky,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(nodeid: &str, millis: u64) -> Known<'_> {
        Known {
            nodeid,
            setup: Duration::ZERO,
            call: Duration::from_millis(millis),
            teardown: Duration::ZERO,
            spread: Duration::from_micros(200),
            runs: 3,
            failures: 1,
            last_outcome: LastOutcome::Failed,
            last_run: 4,
            flaky: nodeid.ends_with("1"),
        }
    }

    fn status<'a>(mut tests: Vec<Known<'a>>) -> HistoryStatus<'a> {
        let predicted = predict(&tests);
        tests.sort_by_key(|test| Reverse(test.total()));
        HistoryStatus {
            root: Path::new("/project"),
            file: Some(Path::new("/cache/durations/project-1.bin")),
            runs: 4,
            tests,
            predicted,
        }
    }

    fn example() -> HistoryStatus<'static> {
        let second = Known {
            last_outcome: LastOutcome::Skipped,
            ..known("test_a.py::test_2", 6)
        };
        let third = Known {
            last_outcome: LastOutcome::Passed,
            ..known("test_b.py::test_3[a b]", 1500)
        };
        status(vec![known("test_a.py::test_1", 500), second, third])
    }

    #[test]
    fn the_text_sums_up_and_predicts() {
        insta::assert_snapshot!(example().text(false), @r"
        project        /project
        history        /cache/durations/project-1.bin
        runs           4
        tests          3 known, measured 9 times, 1 flaky, 1 failed the last time
        total time     2.01s
        critical time  1.50s  test_b.py::test_3[a b]
        predicted      -n 1: 2.01s, -n 2: 1.50s, -n 4: 1.50s, -n 8: 1.50s, -n 16: 1.50s
        ");
    }

    #[test]
    fn set_ups_of_modules_are_predicted_once_for_each_worker_that_enters() {
        let ids: Vec<String> = (0..40)
            .map(|test| format!("test_{}.py::test_{:02}", test / 20, test % 20))
            .collect();
        let tests: Vec<Known> = ids
            .iter()
            .map(|id| Known {
                // The first test that was collected is not the first one by name.
                setup: Duration::from_millis(if id.ends_with("_07") { 600 } else { 0 }),
                ..known(id, 20)
            })
            .collect();
        let predicted: Vec<u128> = predict(&tests)
            .into_iter()
            .map(|(_, time)| time.as_millis())
            .collect();
        // 2 × (600 + 20 · 20) ms; with four workers and more, each of them pays 600 ms.
        assert_eq!(predicted[..3], [2000, 1000, 800]);
        assert!(
            predicted[3..].iter().all(|&time| time >= 620),
            "{predicted:?}"
        );
    }

    #[test]
    fn with_verbose_there_is_a_line_per_test_the_slowest_first() {
        let text = example().text(true);
        let (summary, tests) = text.split_once("\n\n").unwrap();
        assert_eq!(format!("{summary}\n"), example().text(false));
        insta::assert_snapshot!(tests, @r"
              mean    spread  runs  last     test
             1.50s   0.0002s     3  passed   test_b.py::test_3[a b]
             0.50s   0.0002s     3  failed   test_a.py::test_1
           0.0060s   0.0002s     3  skipped  test_a.py::test_2
        ");
    }

    #[test]
    fn nothing_known_is_said() {
        insta::assert_snapshot!(status(Vec::new()).text(true), @r"
        project        /project
        history        /cache/durations/project-1.bin
        no durations are known yet: they are recorded by every run
        ");
        let json: serde_json::Value = serde_json::from_str(&status(Vec::new()).json(true)).unwrap();
        assert_eq!(json["tests"], 0);
        assert_eq!(json["longest"], serde_json::Value::Null);
        assert_eq!(json["predicted"], serde_json::json!([]));
        assert_eq!(json["durations"], serde_json::json!([]));
    }

    #[test]
    fn json_says_the_same() {
        let json: serde_json::Value = serde_json::from_str(&example().json(true)).unwrap();
        assert_eq!(json["root"], "/project");
        assert_eq!(json["tests"], 3);
        assert_eq!(json["measured"], 9);
        assert_eq!(json["failed"], 1);
        assert_eq!(json["flaky"], 1);
        assert_eq!(json["total"], 2.006);
        assert_eq!(json["longest"]["nodeid"], "test_b.py::test_3[a b]");
        assert_eq!(
            json["predicted"][1],
            serde_json::json!({ "workers": 2, "seconds": 1.5 })
        );
        assert_eq!(json["durations"].as_array().unwrap().len(), 3);
        assert_eq!(json["durations"][2]["mean"], 0.006);
        assert_eq!(json["durations"][2]["last_outcome"], "skipped");
        let short: serde_json::Value = serde_json::from_str(&example().json(false)).unwrap();
        assert!(short.get("durations").is_none());
    }

    #[test]
    fn ids_are_taken_apart() {
        assert_eq!(module("a.py::C::f[x::y]"), "a.py");
        assert_eq!(class("a.py::C::f[x::y]"), "a.py::C");
        assert_eq!(class("a.py::f[x::y]"), "a.py");
        assert_eq!(class("[a]/b.py::C::D::f"), "[a]/b.py::C::D");
        assert_eq!(class("doc.txt"), "doc.txt");
    }
}
