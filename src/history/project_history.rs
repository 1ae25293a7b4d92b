//! The history of one project: what its file says, and what this run adds to it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::builder;
use super::estimates::{Estimates, duration};
use super::format::{self, Entry, FileId, Table, Unusable};
use super::merge::{self, Recorded};
use super::place;
use super::sample::{LastOutcome, Sample};
use crate::env::Env;
use crate::event::TestIndex;

/// The durations of a project's tests: what is known, and what this run adds.
#[derive(Debug)]
pub struct History {
    pub(super) root: PathBuf,
    /// `None` when there is no place for a cache.
    pub(super) file: Option<PathBuf>,
    known: Option<Estimates>,
    /// The file that `known` was read from.
    file_id: Option<FileId>,
    /// The rows of the tests that were last asked for together, by their number.
    rows: Vec<Option<u32>>,
    recorded: Recorded,
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
    /// Whether it failed and passed by turns lately: at least three changes in its last 16 runs.
    /// Fewer are what an error and its correction look like.
    pub flaky: bool,
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
    /// The history of the project at `root` (pytest's rootdir), from the cache directory that `env`
    /// names. Never fails.
    #[must_use]
    pub fn open(root: &Path, env: Env) -> (History, Option<Warning>) {
        let root = root.canonicalize().unwrap_or_else(|_| root.to_owned());
        let file = place::cache_dir(env).map(|cache| place::file(&cache, &root));
        let mut history = History {
            root,
            file,
            known: None,
            file_id: None,
            rows: Vec::new(),
            recorded: Recorded::default(),
        };
        let Some(file) = &history.file else {
            return (history, None);
        };
        // Asked before it is opened: if it is replaced in between, the one that is read counts as
        // replaced.
        history.file_id = format::file_id(file).ok();
        let warning = match Table::open(file, history.root.as_os_str().as_encoded_bytes()) {
            Ok(Ok(table)) => {
                history.known = Some(Estimates::new(table));
                None
            }
            Ok(Err(unusable)) => Some(warning(file, &unusable)),
            // The file is not there, or not for us to read.
            Err(_) => None,
        };
        (history, warning)
    }

    /// The nearest folder from `cwd` upwards that has a history: without asking pytest, which
    /// folder is the root.
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
        self.table().map_or(0, Table::runs)
    }

    /// Number of tests known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.table().map_or(0, Table::len)
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn table(&self) -> Option<&Table> {
        self.known.as_ref().map(|known| &known.table)
    }

    /// How long the test will take, all phases. A test that is not known gets the mean of the known
    /// tests of the same function (other parameters), or of the functions of that name in other
    /// modules (it was moved); `None` when there are none.
    #[must_use]
    pub fn estimate(&self, nodeid: &str) -> Option<Duration> {
        let known = self.known.as_ref()?;
        let id = nodeid.as_bytes();
        known.of(id, known.table.find(id, 0))
    }

    /// An [`estimate`](Self::estimate) for each of `ids`; quickest in the order in which they were
    /// collected before.
    pub fn estimates<'a>(
        &mut self,
        ids: impl IntoIterator<Item = &'a str>,
    ) -> Vec<Option<Duration>> {
        self.rows.clear();
        let mut guess = 0;
        let mut estimate = |id: &'a str| {
            let known = self.known.as_ref();
            let row = known.and_then(|known| known.table.find(id.as_bytes(), guess));
            guess = row.map_or(guess, |row| row.saturating_add(1));
            self.rows.push(row);
            known.and_then(|known| known.of(id.as_bytes(), row))
        };
        ids.into_iter().map(&mut estimate).collect()
    }

    /// How long the set-ups of the tests take that were asked for in [`History::estimates`], as far
    /// as they are known.
    #[must_use]
    pub fn setups(&self) -> Vec<Option<Duration>> {
        let entry = |row: &Option<u32>| self.table()?.entry((*row)?);
        self.rows
            .iter()
            .map(|row| entry(row).map(|entry| duration(entry.setup)))
            .collect()
    }

    /// Remembers what a test took, for [`History::save`]; estimates don't change in this run.
    pub fn record(&mut self, nodeid: &str, sample: Sample) {
        let row = self
            .table()
            .and_then(|table| table.find(nodeid.as_bytes(), 0));
        let number = self.recorded.len() as TestIndex;
        self.recorded.push(number, nodeid, row, &sample);
    }

    /// The same for the test that was number `test` in [`History::estimates`].
    pub fn record_numbered(&mut self, test: TestIndex, nodeid: &str, sample: Sample) {
        let row = self.rows.get(test as usize).copied().flatten();
        self.recorded.push(test, nodeid, row, &sample);
    }

    /// Adds what was recorded to the file, as it is by now: runs at the same time lose nothing.
    /// `whole_suite` says that the run would have had every test that exists, so that one it didn't
    /// have may be gone.
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
        let result = place::lock(file).and_then(|lock| self.write(file, &lock, whole_suite));
        match result {
            Err(error) if place::means_no_cache(&error) => Ok(()),
            result => result,
        }
    }

    fn write(&self, file: &Path, lock: &place::Lock, whole_suite: bool) -> std::io::Result<()> {
        let open = self.table();
        let is_unchanged = self.file_id.is_some() && format::file_id(file).ok() == self.file_id;
        if let Some(open) = open.filter(|_| is_unchanged)
            && let Some(rows) = merge::patch(open, &self.recorded, whole_suite)
        {
            let run = merge::next_run(Some(open));
            return place::replace(file, lock, |out| builder::rewrite(open, &rows, run, out));
        }
        // Another run may have replaced the file since `open`.
        let root = self.root.as_os_str().as_encoded_bytes();
        let now = Table::open(file, root).ok().and_then(Result::ok);
        let builder = merge::merge(now.as_ref(), open, &self.recorded, whole_suite);
        let run = merge::next_run(now.as_ref());
        place::replace(file, lock, |out| builder.write(root, run, out))
    }

    /// Everything known, in about the order of collection. Without what was recorded in this run.
    pub fn entries(&self) -> impl Iterator<Item = Known<'_>> {
        self.table().into_iter().flat_map(|table| {
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
        flaky: is_flaky(entry.recent),
    }
}

fn is_flaky(recent: u16) -> bool {
    // 16 outcomes have 15 places between them.
    ((recent ^ recent >> 1) & 0x7fff).count_ones() >= 3
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
