//! What happens in a run, as plain data: the one interface between running and reporting.
//!
//! `run` produces [`RunEvent`]s, `report` consumes them; neither knows the other.

use std::time::Duration;

/// Index of a test in the inventory, in pytest's collection order.
pub type TestIndex = u32;
/// Number of a worker slot, from 0; pytest-xdist's `gw0` is slot 0.
pub type Slot = u16;

/// The phase of a test that a report is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    Setup,
    Call,
    Teardown,
    /// A report that a plugin made under a name of its own.
    Other,
}

/// A report's outcome as pytest has it in `report.outcome`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Passed,
    Failed,
    Skipped,
    /// A plugin's own, such as pytest-rerunfailures' `rerun`.
    Other,
}

/// One report of pytest: one phase of one test, or an extra one (subtests, reruns).
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    pub when: When,
    pub outcome: Outcome,
    /// Counts towards exit status 1 and `--maxfail`.
    pub is_failure: bool,
    /// Has text that belongs into pytest's summary.
    pub in_summary: bool,
    /// Seconds since the epoch.
    pub start: f64,
    /// Seconds.
    pub duration: f64,
    /// Key in the final line's counts (`passed`, `failed`, …); empty: not counted.
    pub category: String,
    /// Progress letter under `-q`; empty: none.
    pub letter: String,
    /// Word on the test's line; empty: no line.
    pub word: String,
    /// pytest's names of the colours for `word`; empty: by outcome.
    pub markup: Vec<String>,
    /// Why it was skipped or expected to fail; empty: not said.
    pub reason: String,
}

/// The complete result of one test.
#[derive(Clone, Debug, PartialEq)]
pub struct TestResult {
    pub test: TestIndex,
    pub slot: Slot,
    pub reports: Vec<Report>,
    /// Number of warnings recorded while it ran.
    pub warnings: usize,
    /// pytest's `<testcase>` elements; empty without `--junitxml`.
    pub junit: String,
    pub junit_counts: JunitCounts,
    /// Fixtures that were set up for it, in the order in which they were ready; without `--timings`
    /// only expensive ones of the session.
    pub setups: Vec<FixtureSetup>,
}

/// A fixture that a worker has set up.
#[derive(Clone, Debug, PartialEq)]
pub struct FixtureSetup {
    pub name: String,
    /// `function`, `class`, `module`, `package` or `session`.
    pub scope: String,
    /// Node id of where it is defined; empty: in a plugin or the root's conftest.
    pub base: String,
    /// Seconds since the epoch.
    pub start: f64,
    /// Seconds, without those of other fixtures that were set up meanwhile.
    pub duration: f64,
    /// The set-up raised.
    pub failed: bool,
}

impl TestResult {
    /// Whether any report counts as a failure.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.reports.iter().any(|report| report.is_failure)
    }

    /// Duration of all phases together.
    #[must_use]
    pub fn duration(&self) -> Duration {
        let seconds: f64 = self.reports.iter().map(|report| report.duration).sum();
        Duration::try_from_secs_f64(seconds).unwrap_or_default()
    }
}

/// What pytest's junit writer counted for some tests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JunitCounts {
    pub passed: u64,
    pub failure: u64,
    pub error: u64,
    pub skipped: u64,
    /// Tests that are counted as failure and as error (failed, then failed in teardown).
    pub double: u64,
}

/// An event of the run, in the order in which the user should see it.
#[derive(Clone, Debug)]
pub enum RunEvent<'a> {
    /// Everything is known and workers are about to start.
    Started(&'a RunStart),
    /// A worker took a test; sent for the status line only and may be skipped.
    Running(&'a [RunningTest<'a>]),
    /// A test has its final result.
    Finished {
        nodeid: &'a str,
        result: &'a TestResult,
    },
    /// A worker died. `test` is the node id of the test that it took with it.
    Crashed {
        slot: Slot,
        cause: &'a str,
        test: Option<&'a str>,
        replacement: Replacement,
    },
    /// Live log (`log_cli`) of the test that a worker runs, whole lines; `nodeid` is `None` outside
    /// of tests.
    LiveLog {
        slot: Slot,
        nodeid: Option<&'a str>,
        text: &'a str,
    },
    /// Whether from now on the terminal is ours: not while a debugger has it, nor when interrupted
    /// tests clean up, which may print what they like.
    Terminal { ours: bool },
    /// Something that the user should know, one line or more, printed at once.
    Notice(&'a str),
    /// The run is over; nothing follows.
    Ended(&'a RunEnd),
}

/// Whether another worker comes in place of one that crashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replacement {
    /// Yes: it is being started.
    Coming,
    /// No: every test has been taken.
    NothingLeft,
    /// No: more workers have crashed than `--max-worker-restart` allows, which is this number.
    Limit(u32),
    /// No: the run ends.
    Ending,
}

/// What is said when `--max-worker-restart` workers (`limit`) have been replaced and the one of
/// `slot` has crashed, too: pytest-xdist's words.
#[must_use]
pub fn limit_reached(slot: Slot, limit: u32) -> String {
    if limit == 0 {
        format!("worker gw{slot} crashed and worker restarting disabled")
    } else {
        format!("maximum crashed workers reached: {limit}")
    }
}

/// A test in flight.
#[derive(Clone, Copy, Debug)]
pub struct RunningTest<'a> {
    pub slot: Slot,
    pub nodeid: &'a str,
    pub elapsed: Duration,
}

/// What is known before the first test.
#[derive(Clone, Debug, Default)]
pub struct RunStart {
    /// Tests that will run.
    pub tests: usize,
    pub workers: usize,
    /// pytest's own header and collection text, ready to print.
    pub header: String,
    /// pytest's verbosity: −1 for `-q`, 0, 1 for `-v`, …
    pub verbosity: i32,
    /// The same for the lines and letters of tests: `verbosity_test_cases`.
    pub test_verbosity: i32,
    /// The session was reused.
    pub warm: bool,
    /// Start method, and why it is not the default one.
    pub method: String,
    pub why: Option<String>,
    /// Whether tests were collected before, or why they were collected afresh, in words.
    pub collection: Option<String>,
    /// How tests are given to workers, in words.
    pub scheduling: Option<String>,
    pub deselected: usize,
    /// How many of `deselected` are tests that other shards run: pytest doesn't know of them.
    pub elsewhere: usize,
    /// Properties of the junit file's suite that are known from the start.
    pub suite_properties: Vec<(String, String)>,
    /// Modules skipped while collecting; pytest counts them as skipped in its final line.
    pub collection_skips: usize,
    /// `--junitxml`.
    pub junit: Option<JunitOptions>,
    /// Tests write to the terminal themselves (`-s`): no status line.
    pub live_output: bool,
    pub no_summary: bool,
    /// Every worker runs every test: each line says which one it is.
    pub each: bool,
}

/// What `--junitxml` and its ini options say.
#[derive(Clone, Debug, Default)]
pub struct JunitOptions {
    pub path: std::path::PathBuf,
    pub suite_name: String,
    /// `<testcase>` elements of modules skipped while collecting, which stand before all tests.
    pub collection: String,
    pub collection_counts: JunitCounts,
}

/// How the run ended.
#[derive(Clone, Debug, Default)]
pub struct RunEnd {
    pub duration: Duration,
    /// Start of the run, seconds since the epoch.
    pub started: f64,
    /// Exit status of the process.
    pub status: i32,
    /// Planned tests without a result because the run was stopped.
    pub not_run: usize,
    /// Tests of these that were running when the run was stopped, and for how long.
    pub running: Vec<(Slot, String, Duration)>,
    /// Why it was stopped early, if it was.
    pub stopped: Option<String>,
    /// The run was stopped from outside or by a test, and not for the number of failures.
    pub interrupted: bool,
    /// pytest's own summary, final line included; `None` when there is nothing that only pytest can
    /// say.
    pub summary: Option<String>,
    /// `record_testsuite_property` values, without duplicates.
    pub suite_properties: Vec<(String, String)>,
    /// The exception that escaped from a hook, with its traceback.
    pub internal_error: Option<String>,
    /// Notes about the run printed after the summary (`--stats`).
    pub notes: Vec<String>,
}
