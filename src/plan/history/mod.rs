//! How long tests took: one file per project in the cache directory, updated by every run.
//!
//! A history is a help, never a condition: without a cache directory, with a damaged file or one of another version there are
//! just no estimates.

mod builder;
mod format;
mod hash;
mod merge;
mod place;

use std::cell::OnceCell;
use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::env::Env;
use crate::event::{Outcome, Report, TestResult, When};
use format::{Entry, Table, Unusable};
use merge::Recorded;

/// The durations of a project's tests: what is known, and what this run adds.
#[derive(Debug)]
pub struct History {
    root: PathBuf,
    /// `None` when there is no place for a cache.
    file: Option<PathBuf>,
    table: Option<Table>,
    recorded: Recorded,
    /// Sum of the estimates and number of the known tests of a function, by the hash of its id without parameters. Made when
    /// first needed: usually every test is known.
    functions: OnceCell<HashMap<u64, (f64, u32)>>,
}

/// What one run of a test took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    pub setup: Duration,
    pub call: Duration,
    pub teardown: Duration,
    pub outcome: LastOutcome,
}

/// How a test ended the last time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u16)]
pub enum LastOutcome {
    #[default]
    Passed = 0,
    /// Failed in any phase.
    Failed = 1,
    /// Skipped, or failed as expected.
    Skipped = 2,
}

impl LastOutcome {
    /// pytest's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            LastOutcome::Passed => "passed",
            LastOutcome::Failed => "failed",
            LastOutcome::Skipped => "skipped",
        }
    }

    fn from_number(number: u16) -> LastOutcome {
        match number {
            1 => LastOutcome::Failed,
            2 => LastOutcome::Skipped,
            _ => LastOutcome::Passed,
        }
    }
}

impl Sample {
    /// The sample that a result is: per phase the time that its reports cover together. Reports of reruns add up, those of
    /// subtests lie within that of their test.
    #[must_use]
    pub fn of(result: &TestResult) -> Sample {
        let skipped = |report: &Report| report.outcome == Outcome::Skipped;
        let outcome = if result.failed() {
            LastOutcome::Failed
        } else if result.reports.iter().any(skipped) {
            LastOutcome::Skipped
        } else {
            LastOutcome::Passed
        };
        Sample {
            setup: covered(&result.reports, When::Setup),
            call: covered(&result.reports, When::Call),
            teardown: covered(&result.reports, When::Teardown),
            outcome,
        }
    }

    fn micros(&self) -> [f32; 3] {
        [self.setup, self.call, self.teardown].map(|phase| phase.as_secs_f32() * 1e6)
    }
}

/// Length of the union of the intervals of one phase's reports.
fn covered(reports: &[Report], when: When) -> Duration {
    let mut phase = reports.iter().filter(|report| report.when == when);
    let seconds = match (phase.next(), phase.next()) {
        (None, _) => 0.0,
        (Some(only), None) => only.duration,
        _ => {
            let of_phase = reports.iter().filter(|report| report.when == when);
            let mut spans: Vec<(f64, f64)> = of_phase
                .map(|report| (report.start, report.start + report.duration))
                .collect();
            spans.sort_by(|left, right| left.0.total_cmp(&right.0));
            let (mut sum, mut end) = (0.0, f64::NEG_INFINITY);
            for (start, stop) in spans {
                sum += (stop - start.max(end)).max(0.0);
                end = end.max(stop);
            }
            sum
        }
    };
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

/// What is known about one test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known<'a> {
    pub nodeid: &'a str,
    pub setup: Duration,
    pub call: Duration,
    pub teardown: Duration,
    /// Mean absolute deviation of the total.
    pub spread: Duration,
    /// Number of runs measured.
    pub runs: u32,
    /// How many of them failed.
    pub failures: u32,
    pub last_outcome: LastOutcome,
    /// Number of the run that last had the test; compare with [`History::runs`].
    pub last_run: u32,
}

impl Known<'_> {
    /// All phases together.
    #[must_use]
    pub fn total(&self) -> Duration {
        self.setup + self.call + self.teardown
    }
}

/// A history that is there but can't be used; the next [`History::save`] replaces it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    pub file: PathBuf,
    pub reason: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the duration history `{}` is not used: {}",
            self.file.display(),
            self.reason
        )
    }
}

impl History {
    /// The history of the project at `root` (pytest's rootdir), from the cache directory that `env` names. Never fails.
    #[must_use]
    pub fn open(root: &Path, env: Env) -> (History, Option<Warning>) {
        let root = root.canonicalize().unwrap_or_else(|_| root.to_owned());
        let file = place::cache_dir(env).map(|cache| place::file(&cache, &root));
        let (table, warning) = match &file {
            None => (None, None),
            Some(file) => match Table::open(file, root.as_os_str().as_encoded_bytes()) {
                Ok(Ok(table)) => (Some(table), None),
                Ok(Err(unusable)) => (None, Some(warning(file, &unusable))),
                // Not there, or not for us to read.
                Err(_) => (None, None),
            },
        };
        let history = History {
            root,
            file,
            table,
            recorded: Recorded::default(),
            functions: OnceCell::new(),
        };
        (history, warning)
    }

    /// The nearest folder from `cwd` upwards that has a history: without asking pytest, which folder is the root.
    #[must_use]
    pub fn nearest_root(cwd: &Path, env: Env) -> Option<PathBuf> {
        let cwd = cwd.canonicalize().unwrap_or_else(|_| cwd.to_owned());
        let cache = place::cache_dir(env)?;
        cwd.ancestors()
            .find(|folder| place::file(&cache, folder).is_file())
            .map(Path::to_owned)
    }

    /// The project's root, links resolved.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The file, whether it exists or not; `None` without a cache directory.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Number of runs recorded before this one.
    #[must_use]
    pub fn runs(&self) -> u32 {
        self.table.as_ref().map_or(0, Table::runs)
    }

    /// Number of tests known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.as_ref().map_or(0, Table::len)
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How long the test will take, all phases. A test that is not known gets the mean of the known tests of the same function
    /// (other parameters); `None` when there are none.
    #[must_use]
    pub fn estimate(&self, nodeid: &str) -> Option<Duration> {
        let table = self.table.as_ref()?;
        if let Some(entry) = table.find(hash::hash(nodeid.as_bytes())) {
            return Some(duration(entry.total()));
        }
        let functions = self.functions.get_or_init(|| functions(table));
        let (sum, count) = functions.get(&hash::hash(function(nodeid.as_bytes())))?;
        Some(duration((sum / f64::from(*count)) as f32))
    }

    /// Remembers what a test took, for [`History::save`]; estimates don't change in this run.
    pub fn record(&mut self, nodeid: &str, sample: Sample) {
        self.recorded.push(nodeid.as_bytes(), &sample);
    }

    /// Adds what was recorded to the file, as it is by now: runs at the same time lose nothing. `whole_suite` says that the run
    /// would have had every test that exists, so that one it didn't have may be gone.
    ///
    /// Without a usable cache directory nothing is saved, which is no error.
    ///
    /// # Errors
    /// A full disk, or another process that keeps the lock; the file is then as it was.
    pub fn save(self, whole_suite: bool) -> std::io::Result<()> {
        let Some(file) = &self.file else {
            return Ok(());
        };
        if self.recorded.is_empty() {
            return Ok(());
        }
        let root = self.root.as_os_str().as_encoded_bytes();
        let result = place::lock(file).and_then(|lock| {
            // Another run may have replaced the file since `open`.
            let table = Table::open(file, root).ok().and_then(Result::ok);
            let table = table.as_ref();
            let builder = merge::merge(table, &self.recorded, whole_suite);
            place::replace(file, &lock, |out| {
                builder.write(root, merge::next_run(table), out)
            })
        });
        match result {
            Err(error) if place::means_no_cache(&error) => Ok(()),
            result => result,
        }
    }

    /// Everything known, in no order that means anything. Without what was recorded in this run.
    pub fn entries(&self) -> impl Iterator<Item = Known<'_>> {
        self.table.iter().flat_map(|table| {
            table.entries().filter_map(|entry| {
                let nodeid = std::str::from_utf8(table.id(&entry)).ok()?;
                Some(known(nodeid, &entry))
            })
        })
    }
}

fn known<'a>(nodeid: &'a str, entry: &Entry) -> Known<'a> {
    Known {
        nodeid,
        setup: duration(entry.setup),
        call: duration(entry.call),
        teardown: duration(entry.teardown),
        spread: duration(entry.deviation),
        runs: entry.runs,
        failures: entry.failures,
        last_outcome: LastOutcome::from_number(entry.last_outcome),
        last_run: entry.last_run,
    }
}

fn warning(file: &Path, unusable: &Unusable) -> Warning {
    let reason = match unusable {
        Unusable::Damaged(how) => format!("the file is damaged ({how})"),
        Unusable::OtherVersion(version) => {
            format!("it was written by another version of rpytest (format {version})")
        }
        Unusable::OtherProject => "it belongs to another project".to_owned(),
    };
    Warning {
        file: file.to_owned(),
        reason,
    }
}

/// From microseconds; nonsense counts as nothing.
fn duration(micros: f32) -> Duration {
    Duration::try_from_secs_f64(f64::from(micros) / 1e6).unwrap_or_default()
}

/// The id without its parameters: `a.py::f[1-x]` → `a.py::f`. Brackets in the file's path are not parameters.
fn function(id: &[u8]) -> &[u8] {
    let names = id.windows(2).position(|pair| pair == b"::").unwrap_or(0);
    match id[names..].iter().position(|&byte| byte == b'[') {
        Some(bracket) => &id[..names + bracket],
        None => id,
    }
}

fn functions(table: &Table) -> HashMap<u64, (f64, u32)> {
    let mut functions = HashMap::with_capacity(table.len());
    for entry in table.entries() {
        let total = f64::from(entry.total());
        let (sum, count) = functions
            .entry(hash::hash(function(table.id(&entry))))
            .or_insert((0.0, 0));
        *sum += total;
        *count += 1;
    }
    functions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_what_stands_in_brackets_after_the_file() {
        for (id, expected) in [
            ("a.py::f[1-x]", "a.py::f"),
            ("a.py::C::f[a::b[c]]", "a.py::C::f"),
            ("[odd]/a.py::f[1]", "[odd]/a.py::f"),
            ("[odd]/a.py::f", "[odd]/a.py::f"),
            ("a.py::f", "a.py::f"),
            ("", ""),
        ] {
            assert_eq!(function(id.as_bytes()), expected.as_bytes());
        }
    }

    fn report(when: When, outcome: Outcome, start: f64, duration: f64) -> Report {
        Report {
            when,
            outcome,
            is_failure: outcome == Outcome::Failed,
            in_summary: false,
            start,
            duration,
            category: String::new(),
            letter: String::new(),
            word: String::new(),
            markup: Vec::new(),
            reason: String::new(),
        }
    }

    fn sample(reports: Vec<Report>) -> Sample {
        Sample::of(&TestResult {
            test: 0,
            slot: 0,
            reports,
            warnings: 0,
            junit: String::new(),
            junit_counts: Default::default(),
        })
    }

    #[test]
    fn phases_are_taken_apart() {
        let sample = sample(vec![
            report(When::Setup, Outcome::Passed, 10.0, 1.0),
            report(When::Call, Outcome::Passed, 11.0, 2.0),
            report(When::Teardown, Outcome::Failed, 13.0, 4.0),
        ]);
        let seconds = Duration::from_secs;
        assert_eq!(sample.setup, seconds(1));
        assert_eq!(sample.call, seconds(2));
        assert_eq!(sample.teardown, seconds(4));
        assert_eq!(sample.outcome, LastOutcome::Failed);
    }

    #[test]
    fn reruns_add_up_and_subtests_lie_within() {
        let rerun = sample(vec![
            report(When::Call, Outcome::Other, 10.0, 1.0),
            report(When::Call, Outcome::Passed, 20.0, 2.0),
        ]);
        assert_eq!(rerun.call, Duration::from_secs(3));
        assert_eq!(rerun.outcome, LastOutcome::Passed);
        let subtests = sample(vec![
            report(When::Call, Outcome::Passed, 11.0, 1.0),
            report(When::Call, Outcome::Passed, 12.5, 0.5),
            report(When::Call, Outcome::Passed, 10.0, 4.0),
        ]);
        assert_eq!(subtests.call, Duration::from_secs(4));
    }

    #[test]
    fn a_skip_is_no_failure() {
        let skipped = sample(vec![report(When::Setup, Outcome::Skipped, 1.0, 0.5)]);
        assert_eq!(skipped.outcome, LastOutcome::Skipped);
        assert_eq!(skipped.call, Duration::ZERO);
    }
}
