//! Reporters seen from outside: events in, text and files out.

mod final_line;
mod junit;
mod merge;
mod screen;
mod status;
mod stream;

use std::cell::RefCell;
use std::io::{self, Write};
use std::rc::Rc;
use std::time::Duration;

use rpytest::event::{JunitCounts, Outcome, Report, RunEnd, RunEvent, RunStart, TestResult, When};
use rpytest::report::{Reporter, Reporters, Screen, ScreenOptions, Summary, Terminal};

/// Standard output that can be looked at.
#[derive(Clone, Default)]
pub struct Out(Rc<RefCell<Vec<u8>>>);

impl Out {
    pub fn text(&self) -> String {
        String::from_utf8(self.0.borrow().clone()).expect("reports are UTF-8")
    }

    pub fn screen(&self, width: usize, color: bool) -> Screen {
        Screen::new(
            Box::new(self.clone()),
            ScreenOptions {
                color,
                width,
                terminal: true,
            },
        )
    }
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Lines and final line, without status line and junit file.
pub fn reporters(screen: &Screen) -> Reporters {
    let mut all = Reporters::new();
    all.push(Terminal::new(screen.clone()));
    all.push(Summary::new(screen.clone()));
    all
}

pub fn start(tests: usize, verbosity: i32) -> RunStart {
    RunStart {
        tests,
        workers: 2,
        verbosity,
        test_verbosity: verbosity,
        ..RunStart::default()
    }
}

pub fn end(seconds: f64) -> RunEnd {
    RunEnd {
        duration: Duration::from_secs_f64(seconds),
        ..RunEnd::default()
    }
}

pub fn report(when: When, outcome: Outcome, category: &str, letter: &str, word: &str) -> Report {
    Report {
        when,
        outcome,
        is_failure: outcome == Outcome::Failed,
        in_summary: outcome == Outcome::Failed,
        start: 0.0,
        duration: 0.25,
        category: category.to_owned(),
        letter: letter.to_owned(),
        word: word.to_owned(),
        markup: Vec::new(),
        reason: String::new(),
    }
}

pub fn result(test: u32, reports: Vec<Report>) -> TestResult {
    TestResult {
        test,
        slot: u16::try_from(test % 2).expect("0 or 1"),
        reports,
        warnings: 0,
        junit: String::new(),
        junit_counts: JunitCounts::default(),
        setups: Vec::new(),
    }
}

pub fn passed(test: u32) -> TestResult {
    let silent = |when| report(when, Outcome::Passed, "", "", "");
    let call = report(When::Call, Outcome::Passed, "passed", ".", "PASSED");
    result(
        test,
        vec![silent(When::Setup), call, silent(When::Teardown)],
    )
}

pub fn failed(test: u32) -> TestResult {
    result(
        test,
        vec![report(When::Call, Outcome::Failed, "failed", "F", "FAILED")],
    )
}

pub fn skipped(test: u32, reason: &str) -> TestResult {
    let skip = report(When::Setup, Outcome::Skipped, "skipped", "s", "SKIPPED");
    result(
        test,
        vec![Report {
            reason: reason.to_owned(),
            ..skip
        }],
    )
}

/// Sends a whole run and gives back what was printed.
pub fn run(
    start: &RunStart,
    results: &[(&str, TestResult)],
    end: &RunEnd,
    width: usize,
    color: bool,
) -> String {
    let out = Out::default();
    let mut all = reporters(&out.screen(width, color));
    all.event(&RunEvent::Started(start))
        .expect("memory can be written");
    for (nodeid, result) in results {
        all.event(&RunEvent::Finished { nodeid, result })
            .expect("memory can be written");
    }
    all.event(&RunEvent::Ended(end))
        .expect("memory can be written");
    out.text()
}
