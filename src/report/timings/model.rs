//! A run as the picture shows it: plain data, without any form. Times are whole microseconds since
//! the command was started.

use std::time::Duration;

use crate::event::{Replacement, Slot, TestIndex};

/// Microseconds since the command was started, or a length of time.
pub type Micros = u64;

/// What was expected of the run before it began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forecast {
    /// Per test in collection order; `None`: it had no history.
    pub estimates: Vec<Option<Duration>>,
    /// Per test in collection order: the worker that the plan gave it to.
    pub slots: Vec<Slot>,
    /// Per worker: all that the plan gave to it.
    pub loads: Vec<Duration>,
}

impl Forecast {
    /// Number of tests whose duration was known.
    #[must_use]
    pub fn known(&self) -> usize {
        self.estimates.iter().flatten().count()
    }

    pub(super) fn estimate(&self, test: TestIndex) -> Option<Micros> {
        let estimate = self.estimates.get(test as usize).copied().flatten()?;
        // No estimate is zero: in the page's data zero stands for "none".
        Some(micros(estimate).max(1))
    }

    pub(super) fn slot(&self, test: TestIndex) -> Option<Slot> {
        self.slots.get(test as usize).copied()
    }
}

/// Saturating: a century is a length of time that no run has.
pub(super) fn micros(duration: Duration) -> Micros {
    const CENTURY: u128 = 100 * 366 * 24 * 3600 * 1_000_000;
    Micros::try_from(duration.as_micros().min(CENTURY)).unwrap_or(0)
}

/// How a test, or one attempt at it, ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ending {
    #[default]
    Passed,
    Failed,
    /// Failed in setup or teardown.
    Error,
    Skipped,
    Xfailed,
    Xpassed,
    /// An attempt after which the test was run again.
    Rerun,
    /// A plugin's own.
    Other,
}

impl Ending {
    pub const ALL: [Self; 8] = [
        Self::Passed,
        Self::Failed,
        Self::Error,
        Self::Skipped,
        Self::Xfailed,
        Self::Xpassed,
        Self::Rerun,
        Self::Other,
    ];

    /// One letter, as compact as it gets; pytest's where it has one.
    #[must_use]
    pub fn letter(self) -> char {
        match self {
            Self::Passed => 'p',
            Self::Failed => 'F',
            Self::Error => 'E',
            Self::Skipped => 's',
            Self::Xfailed => 'x',
            Self::Xpassed => 'X',
            Self::Rerun => 'R',
            Self::Other => 'o',
        }
    }

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Error => "error",
            Self::Skipped => "skipped",
            Self::Xfailed => "xfailed",
            Self::Xpassed => "xpassed",
            Self::Rerun => "rerun",
            Self::Other => "other",
        }
    }
}

/// One go at a test: setup, call, teardown without a gap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attempt {
    pub start: Micros,
    pub setup: Micros,
    pub call: Micros,
    pub teardown: Micros,
    pub ending: Ending,
}

impl Attempt {
    #[must_use]
    pub fn length(&self) -> Micros {
        self.setup + self.call + self.teardown
    }

    #[must_use]
    pub fn end(&self) -> Micros {
        self.start + self.length()
    }
}

/// A fixture that was set up, as one of [`Picture::fixtures`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setup {
    pub fixture: usize,
    pub start: Micros,
    pub length: Micros,
    pub failed: bool,
}

/// A test that has a result.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Test {
    pub test: TestIndex,
    pub nodeid: String,
    pub slot: Slot,
    pub ending: Ending,
    /// At least one; more when it was run again.
    pub attempts: Vec<Attempt>,
    pub setups: Vec<Setup>,
    /// First line of why it was skipped, failed as expected, or was lost.
    pub reason: String,
}

impl Test {
    #[must_use]
    pub fn start(&self) -> Micros {
        self.attempts.first().map_or(0, |attempt| attempt.start)
    }

    #[must_use]
    pub fn end(&self) -> Micros {
        self.attempts.iter().map(Attempt::end).max().unwrap_or(0)
    }

    /// Time in the test: all attempts, without the pauses between them.
    #[must_use]
    pub fn length(&self) -> Micros {
        self.attempts.iter().map(Attempt::length).sum()
    }
}

/// What tells a fixture from others.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fixture {
    pub name: String,
    pub scope: String,
    /// Node id of where it is defined; empty: a plugin or the root's conftest.
    pub base: String,
}

/// A worker that died.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Crash {
    pub slot: Slot,
    /// When the command line noticed.
    pub at: Micros,
    pub cause: String,
    /// Node id of the test that it took with it.
    pub test: Option<String>,
    /// Whether another process took its place; `None`: not known.
    pub replacement: Option<Replacement>,
}

/// A whole run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Picture {
    /// When the command was started, seconds since the epoch.
    pub started: f64,
    /// Everything, from the command's start to its last line.
    pub total: Micros,
    /// The tests were known and workers about to start.
    pub ready: Micros,
    pub workers: usize,
    /// Start method.
    pub method: String,
    pub warm: bool,
    pub status: i32,
    /// Why it was stopped early, if it was.
    pub stopped: Option<String>,
    pub not_run: usize,
    /// By worker, in the order of running.
    pub tests: Vec<Test>,
    pub fixtures: Vec<Fixture>,
    pub crashes: Vec<Crash>,
    pub forecast: Forecast,
}
