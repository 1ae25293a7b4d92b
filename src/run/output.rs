//! What the user is shown.

use std::time::{Duration, Instant};

use crate::error::Error;
use crate::event::{RunEvent, RunningTest};
use crate::report::{ReportError, Reporter};

/// Longest sleep while workers run: how often the status line and quiet results appear.
pub(super) const TICK: Duration = Duration::from_millis(33);

/// Passes the events of a run on to the reporters, knows who has the terminal, and keeps what went
/// wrong outside of the tests. What writes to the reporters returns `false` when nobody can read
/// their output: the run is then not worth finishing.
pub(super) struct Output<'a> {
    reporters: &'a mut dyn Reporter,
    /// The first report that could not be written.
    unwritten: Option<ReportError>,
    /// The first thing that went wrong in the run itself.
    error: Option<Error>,
    /// When the status line had its last news.
    last_running: Option<Instant>,
    /// The slot whose worker is in a debugger, which has the terminal.
    debugged: Option<u16>,
}

impl<'a> Output<'a> {
    pub fn new(reporters: &'a mut dyn Reporter) -> Self {
        Self {
            reporters,
            unwritten: None,
            error: None,
            last_running: None,
            debugged: None,
        }
    }

    /// Tells the reporters what has happened.
    #[must_use]
    pub fn tell(&mut self, event: &RunEvent<'_>) -> bool {
        let told = self.reporters.event(event);
        self.is_read(told)
    }

    /// Makes everything visible that the reporters hold back.
    #[must_use]
    pub fn flush(&mut self) -> bool {
        let flushed = self.reporters.flush();
        self.is_read(flushed)
    }

    /// When the reporters want to be flushed; `None`: they hold nothing back.
    pub fn due(&self) -> Option<Duration> {
        self.reporters.due()
    }

    /// Whether the status line gets news now, at most once in a tick.
    pub fn takes_running(&mut self) -> bool {
        let takes = self.last_running.is_none_or(|last| last.elapsed() >= TICK);
        if takes {
            self.last_running = Some(Instant::now());
        }
        takes
    }

    /// Tells the reporters which tests are running: worker, test and time since its set-up began.
    #[must_use]
    pub fn tell_running(&mut self, running: &[(u16, String, Duration)]) -> bool {
        let running: Vec<_> = running
            .iter()
            .map(|(slot, nodeid, elapsed)| RunningTest {
                slot: *slot,
                nodeid,
                elapsed: *elapsed,
            })
            .collect();
        self.tell(&RunEvent::Running(&running))
    }

    /// The debugger in the worker of a slot gets the terminal; `None`: it is ours again.
    #[must_use]
    pub fn lend_terminal(&mut self, debugged: Option<u16>) -> bool {
        self.debugged = debugged;
        let ours = debugged.is_none();
        self.tell(&RunEvent::Terminal { ours })
    }

    /// The slot whose worker is in a debugger, which has the terminal.
    pub fn debugged(&self) -> Option<u16> {
        self.debugged
    }

    /// Something went wrong outside of the tests. The user is told of the first such thing.
    pub fn fail(&mut self, error: Error) {
        self.error.get_or_insert(error);
    }

    /// Whether all reports were written, and what is left to tell the user. A reader who went away
    /// is missing nothing.
    pub fn end(mut self) -> (bool, Option<Error>) {
        let unwritten = self.unwritten.filter(|error| !error.is_broken_pipe());
        if let Some(error) = &unwritten {
            self.error.get_or_insert(Error::Report {
                message: error.to_string(),
                hint: error.hint(),
            });
        }
        (unwritten.is_none(), self.error)
    }

    fn is_read(&mut self, written: Result<(), ReportError>) -> bool {
        let Err(error) = written else { return true };
        let is_read = !matches!(error, ReportError::Output(_));
        self.unwritten.get_or_insert(error);
        is_read
    }
}
