//! Results as they come in: a line per report, or a letter under `-q`.

use std::time::Duration;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::{ReportError, Reporter, Screen};
use crate::event::{
    Outcome, Replacement, Report, RunEnd, RunEvent, RunStart, RunningTest, Slot, TestResult,
    limit_reached,
};

/// How long a test runs before `-v` names it where there is no status line.
const LONG: Duration = Duration::from_secs(2);

/// Streams results to the terminal in one of the user guide's three forms, by pytest's verbosity.
pub struct Terminal {
    screen: Screen,
    verbosity: i32,
    test_verbosity: i32,
    live_output: bool,
    /// Lines begin with the worker.
    labels: bool,
    tests: usize,
    /// The worker and the test whose live log was shown last, unless something else has been shown
    /// since.
    logged: Option<(Slot, Option<String>)>,
    /// Tests that a line says are running.
    named: Vec<(Slot, String)>,
}

impl Terminal {
    #[must_use]
    pub fn new(screen: Screen) -> Self {
        Self {
            screen,
            verbosity: 0,
            test_verbosity: 0,
            live_output: false,
            labels: false,
            tests: 0,
            logged: None,
            named: Vec::new(),
        }
    }

    fn started(&mut self, start: &RunStart) -> Result<(), ReportError> {
        self.verbosity = start.verbosity;
        self.test_verbosity = start.test_verbosity;
        self.live_output = start.live_output;
        self.labels = start.test_verbosity > 0 || start.each;
        self.tests = start.tests;
        self.screen.lines(&start.header);
        if self.verbosity >= 0 {
            let workers = if start.workers == 1 {
                "worker"
            } else {
                "workers"
            };
            let items = if start.tests == 1 { "item" } else { "items" };
            // pytest-xdist's lines, which scripts look for; on a terminal it, too, shows the second
            // one only.
            if !self.screen.options().terminal {
                self.screen
                    .lines(&format!("created: {0}/{0} {workers}", start.workers));
            }
            self.screen.lines(&format!(
                "{} {workers} [{} {items}]",
                start.workers, start.tests
            ));
            if let Some(how) = start.scheduling.as_deref().filter(|_| self.verbosity > 0) {
                self.screen.lines(&format!("scheduling tests: {how}"));
            }
            if let Some(how) = start.collection.as_deref().filter(|_| self.verbosity > 0) {
                self.screen.lines(&format!("collection: {how}"));
            }
            if let Some(why) = start.why.as_deref().filter(|_| self.verbosity > 0) {
                self.screen
                    .lines(&format!("start method: {} ({why})", start.method));
            }
            if start.method == "bare" && self.verbosity > 0 {
                self.screen
                    .lines("session fixtures: each worker has its own (start method bare)");
            }
            self.screen.newline();
        } else if self.verbosity == -1 && !self.screen.options().terminal {
            // pytest-xdist's line, where there is nobody to see that the run goes on; with `-qq`
            // nothing but results was asked for.
            self.screen.lines("bringing up nodes...");
        }
        self.screen.flush()
    }

    fn finished(&self, nodeid: &str, result: &TestResult) -> Result<(), ReportError> {
        for report in &result.reports {
            if self.test_verbosity < 0 {
                self.letter(report);
            } else if !report.word.is_empty() {
                self.line(nodeid, result.slot, report);
            }
        }
        if self.live_output {
            self.screen.flush()
        } else if result.failed() {
            self.screen.flush_soon()
        } else {
            self.screen.flush_if_full()
        }
    }

    fn letter(&self, report: &Report) {
        if report.letter.is_empty() {
            return;
        }
        let width = report.letter.width();
        if self.screen.column() + width > self.screen.options().width {
            self.screen.newline();
        }
        self.screen.write(&report.letter, &markup(report));
    }

    fn line(&self, nodeid: &str, slot: Slot, report: &Report) {
        self.screen.fresh_line();
        if self.labels {
            self.screen.write(&label(slot), &[]);
        }
        self.screen.write(nodeid, &[]);
        self.screen.write(" ", &[]);
        self.screen.write(&report.word, &markup(report));
        if self.test_verbosity > 0 && !report.reason.is_empty() {
            self.reason(&report.reason);
        }
        self.screen.newline();
    }

    /// pytest shortens the reason to the rest of the line, and under `-vv` never.
    fn reason(&self, reason: &str) {
        let text = if self.test_verbosity > 1 {
            Some(format!(" ({reason})"))
        } else {
            let rest = self
                .screen
                .options()
                .width
                .saturating_sub(self.screen.column());
            trimmed(reason, rest)
        };
        if let Some(text) = text {
            self.screen.write(&text, &[]);
        }
    }

    /// Tells of a crash in pytest-xdist's words; `gw0` is the name of worker 0, as tests have it
    /// from `worker_id`.
    fn crashed(
        &self,
        slot: Slot,
        cause: &str,
        test: Option<&str>,
        replacement: Replacement,
    ) -> Result<(), ReportError> {
        self.screen.fresh_line();
        self.screen.write(&label(slot), &[]);
        self.screen.write("node down", &["red"]);
        self.screen.write(&format!(": {cause}"), &[]);
        if let Some(test) = test {
            self.screen.write(&format!(" while running {test}"), &[]);
        }
        if replacement == Replacement::Ending {
            self.screen.write(" (not replaced)", &[]);
        }
        let next = match replacement {
            Replacement::Coming => format!("replacing crashed worker gw{slot}"),
            Replacement::NothingLeft => {
                format!("replacing crashed worker gw{slot}: not needed, no test is left to start")
            }
            Replacement::Limit(limit) => limit_reached(slot, limit),
            Replacement::Ending => String::new(),
        };
        self.screen.newline();
        self.screen.lines(&next);
        self.screen.flush()
    }

    /// One test's log goes on below its first lines until something else is shown.
    fn live_log(
        &mut self,
        slot: Slot,
        nodeid: Option<&str>,
        text: &str,
    ) -> Result<(), ReportError> {
        self.screen.fresh_line();
        let about = (slot, nodeid.map(str::to_owned));
        if self.logged.as_ref() != Some(&about) {
            if self.labels || nodeid.is_none() {
                self.screen.write(&label(slot), &[]);
            }
            self.screen
                .write(nodeid.unwrap_or("log outside of tests"), &[]);
            self.screen.newline();
            self.logged = Some(about);
        }
        self.screen.lines(text);
        self.screen.flush()
    }

    /// Where no status line names them, `-v` names tests that take long while they run: one that
    /// hangs has no other line.
    fn running(&mut self, running: &[RunningTest<'_>]) -> Result<(), ReportError> {
        if self.test_verbosity <= 0 || (self.screen.options().terminal && !self.live_output) {
            return Ok(());
        }
        let is_named = |test: &RunningTest<'_>, (slot, nodeid): &(Slot, String)| {
            test.slot == *slot && test.nodeid == nodeid
        };
        self.named
            .retain(|about| running.iter().any(|test| is_named(test, about)));
        for test in running.iter().filter(|test| test.elapsed >= LONG) {
            if self.named.iter().any(|about| is_named(test, about)) {
                continue;
            }
            self.named.push((test.slot, test.nodeid.to_owned()));
            self.screen.fresh_line();
            self.screen.write(&label(test.slot), &[]);
            self.screen.write(test.nodeid, &[]);
            let elapsed = test.elapsed.as_secs_f64();
            self.screen
                .write(&format!(" is running ({elapsed:.1}s)"), &[]);
            self.screen.newline();
            self.screen.flush()?;
        }
        Ok(())
    }

    fn notice(&self, text: &str) -> Result<(), ReportError> {
        self.screen.lines(text);
        self.screen.flush()
    }

    fn ended(&self, end: &RunEnd) -> Result<(), ReportError> {
        self.screen.fresh_line();
        let why = if end.interrupted { "Interrupted: " } else { "" };
        let not_run = end.not_run.saturating_sub(end.running.len());
        if not_run > 0 {
            let tests = if self.tests == 1 { "test" } else { "tests" };
            self.screen.lines(&format!(
                "{why}{not_run} of {} {tests} did not run",
                self.tests
            ));
        }
        for (slot, nodeid, elapsed) in &end.running {
            let label = if self.labels {
                label(*slot)
            } else {
                String::new()
            };
            let elapsed = elapsed.as_secs_f64();
            self.screen
                .lines(&format!("{why}{label}{nodeid} was running ({elapsed:.1}s)"));
        }
        self.screen.flush()
    }
}

impl Reporter for Terminal {
    fn event(&mut self, event: &RunEvent<'_>) -> Result<(), ReportError> {
        if !matches!(
            event,
            RunEvent::LiveLog { .. } | RunEvent::Running(_) | RunEvent::Terminal { .. }
        ) {
            self.logged = None;
        }
        match *event {
            RunEvent::Started(start) => self.started(start),
            RunEvent::Running(running) => self.running(running),
            RunEvent::Terminal { .. } => self.screen.flush(),
            RunEvent::Finished { nodeid, result } => self.finished(nodeid, result),
            RunEvent::Crashed {
                slot,
                cause,
                test,
                replacement,
            } => self.crashed(slot, cause, test, replacement),
            RunEvent::LiveLog { slot, nodeid, text } => self.live_log(slot, nodeid, text),
            RunEvent::Notice(text) => self.notice(text),
            RunEvent::Ended(end) => self.ended(end),
        }
    }

    fn flush(&mut self) -> Result<(), ReportError> {
        self.screen.flush()
    }

    fn due(&self) -> Option<Duration> {
        self.screen.due()
    }
}

fn label(slot: Slot) -> String {
    format!("[worker {slot}] ")
}

/// pytest's colours for a report's word or letter.
fn markup(report: &Report) -> Vec<&str> {
    if !report.markup.is_empty() {
        return report.markup.iter().map(String::as_str).collect();
    }
    match report.outcome {
        // A pass that was expected to fail; the report says it by its category only.
        Outcome::Passed if report.category == "xpassed" => vec!["yellow"],
        Outcome::Passed => vec!["green"],
        Outcome::Failed => vec!["red"],
        Outcome::Skipped => vec!["yellow"],
        Outcome::Other => vec![],
    }
}

/// ` (reason)` in at most `width` columns, ending in `...` if it had to be cut; `None` if not even
/// that fits. Of several lines the first.
fn trimmed(reason: &str, width: usize) -> Option<String> {
    const FRAME: usize = " ()".len();
    const ELLIPSIS: &str = "...";
    let room = width.checked_sub(FRAME)?;
    let reason = reason.lines().next().unwrap_or_default();
    if reason.width() <= room && ELLIPSIS.len() <= room {
        return Some(format!(" ({reason})"));
    }
    let mut left = room.checked_sub(ELLIPSIS.len())?;
    let mut kept = String::new();
    for character in reason.chars() {
        let Some(rest) = left.checked_sub(character.width().unwrap_or(0)) else {
            break;
        };
        left = rest;
        kept.push(character);
    }
    Some(format!(" ({kept}{ELLIPSIS})"))
}
