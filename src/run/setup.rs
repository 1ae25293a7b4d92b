//! What a run begins with, and what it leaves.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use crate::daemon::message::Options;
use crate::daemon::wire::Connection;
use crate::error::Error;
use crate::event::RunStart;
use crate::history::Sample;
use crate::plan::Serial;
use crate::pool::Signals;
use crate::report::Reporter;
use crate::shm::Segment;
use crate::test_list::TestList;

/// Everything that a run needs.
pub struct Setup<'a> {
    pub connection: &'a Connection,
    pub segment: Arc<Segment>,
    pub test_list: &'a TestList,
    /// The tests to run.
    pub planned: Vec<u32>,
    /// Those of them that run alone, after all others; they are withheld in the segment.
    pub serial: Vec<Serial>,
    pub options: &'a Options,
    /// Workers; not more than the segment has slots.
    pub slots: u16,
    /// How many crashed workers may be replaced.
    pub max_restarts: u32,
    pub start: RunStart,
    /// When the command was started, for the duration that the user sees.
    pub began: Instant,
    /// The same, seconds since the epoch.
    pub began_epoch: f64,
    pub signals: &'a mut Signals,
    pub reporters: &'a mut dyn Reporter,
    /// Workers measure fixtures.
    pub timings: bool,
    /// The daemon's log, for error messages.
    pub log: Option<PathBuf>,
}

/// What a run has left.
#[derive(Debug)]
pub struct Finished {
    /// Exit status.
    pub status: i32,
    /// What was measured of the tests that have a result of their own, for the duration history.
    pub samples: Vec<(u32, Sample)>,
    /// Something that went wrong outside of the tests, to be shown to the user.
    pub error: Option<Error>,
    /// Every planned test has a result of its own.
    pub complete: bool,
    /// Per slot and process the tests that ran there, in that order; those included that took their
    /// worker with them.
    pub sequences: Vec<Vec<Vec<u32>>>,
    /// How often the user asked for the end.
    pub interrupts: u32,
}
