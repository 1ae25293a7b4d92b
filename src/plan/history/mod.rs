//! How long tests took: one file per project in the cache directory, updated by every run.
//!
//! A history is a help, never a condition: without a cache directory, with a damaged file or one of another version there are
//! just no estimates.

mod builder;
mod format;
mod hash;
mod merge;
mod place;
mod sample;

use std::cell::OnceCell;
use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::env::Env;
use format::{Entry, Table, Unusable};
use merge::Recorded;
pub use sample::{LastOutcome, Sample};

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

    /// How long the set-up of a known test takes.
    #[must_use]
    pub fn setup(&self, nodeid: &str) -> Option<Duration> {
        let entry = self.table.as_ref()?.find(hash::hash(nodeid.as_bytes()))?;
        Some(duration(entry.setup))
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
}
