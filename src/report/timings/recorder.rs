//! From the events of a run to a [`Picture`].

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::model::micros;
use super::model::{Attempt, Crash, Ending, Fixture, Forecast, Micros, Picture, Setup, Test};
use crate::event::{
    FixtureSetup, Outcome, Report, RunEnd, RunEvent, RunStart, Slot, TestIndex, TestResult, When,
};

/// A crash that a report without a time of its own is placed at.
type LastCrash = (Slot, f64);

/// Keeps what the picture needs of each event.
#[derive(Debug, Default)]
pub struct Recorder {
    start: RunStart,
    ready: f64,
    forecast: Forecast,
    results: Vec<Kept>,
    /// Place in `results`: what a shared fixture adds to a test comes as a second result.
    places: HashMap<TestIndex, usize>,
    crashes: Vec<(f64, Crash)>,
    fixtures: Vec<Fixture>,
    numbers: HashMap<Fixture, usize>,
}

/// A result before it is known when the run began.
#[derive(Debug)]
struct Kept {
    nodeid: String,
    test: TestIndex,
    slot: Slot,
    reports: Vec<Short>,
    setups: Vec<(usize, f64, f64, bool)>,
    reason: String,
}

/// What is shown of a report.
#[derive(Clone, Copy, Debug)]
struct Short {
    when: When,
    ending: Option<Ending>,
    start: f64,
    duration: f64,
}

impl Recorder {
    #[must_use]
    pub fn new(forecast: Forecast) -> Self {
        Self {
            forecast,
            ..Self::default()
        }
    }

    /// Takes an event at the time `now`, in seconds since the epoch.
    pub fn event(&mut self, event: &RunEvent<'_>, now: f64) {
        match *event {
            RunEvent::Started(start) => {
                self.start = start.clone();
                self.ready = now;
                self.results.reserve(start.tests);
            }
            RunEvent::Finished { nodeid, result } => self.finished(nodeid, result),
            RunEvent::Crashed {
                slot,
                cause,
                test,
                replacement,
            } => {
                let crash = Crash {
                    slot,
                    at: 0,
                    cause: cause.to_owned(),
                    test: test.map(str::to_owned),
                    replacement: Some(replacement),
                };
                self.crashes.push((now, crash));
            }
            RunEvent::Running(_)
            | RunEvent::Terminal { .. }
            | RunEvent::Notice(_)
            | RunEvent::LiveLog { .. }
            | RunEvent::Ended(_) => {}
        }
    }

    fn finished(&mut self, nodeid: &str, result: &TestResult) {
        let crash = self
            .crashes
            .iter()
            .rev()
            .find(|(_, crash)| crash.slot == result.slot && crash.test.as_deref() == Some(nodeid))
            .map(|(at, crash)| (crash.slot, *at));
        let reports = result.reports.iter().map(|report| short(report, crash));
        let setups: Vec<_> = result
            .setups
            .iter()
            .map(|setup| {
                (
                    self.number(setup),
                    setup.start,
                    setup.duration,
                    setup.failed,
                )
            })
            .collect();
        if let Some(&place) = self.places.get(&result.test) {
            let kept = &mut self.results[place];
            kept.reports.extend(reports);
            kept.setups.extend(setups);
            return;
        }
        self.places.insert(result.test, self.results.len());
        let reason = result
            .reports
            .iter()
            .find(|report| !report.reason.is_empty());
        self.results.push(Kept {
            nodeid: nodeid.to_owned(),
            test: result.test,
            slot: result.slot,
            reports: reports.collect(),
            setups,
            reason: reason.map_or_else(String::new, |report| first_line(&report.reason)),
        });
    }

    fn number(&mut self, setup: &FixtureSetup) -> usize {
        let fixture = Fixture {
            name: setup.name.clone(),
            scope: setup.scope.clone(),
            base: setup.base.clone(),
        };
        let fixtures = &mut self.fixtures;
        *self.numbers.entry(fixture).or_insert_with_key(|fixture| {
            fixtures.push(fixture.clone());
            fixtures.len() - 1
        })
    }

    /// The picture of the run that ended with `end`.
    #[must_use]
    pub fn finish(&mut self, end: &RunEnd) -> Picture {
        let zero = end.started;
        let mut tests: Vec<Test> = std::mem::take(&mut self.results)
            .into_iter()
            .map(|kept| kept.test(zero))
            .collect();
        tests.sort_by_key(|test| (test.slot, test.start(), test.test));
        let crashes = self.crashes.drain(..).map(|(at, crash)| Crash {
            at: since(zero, at),
            ..crash
        });
        Picture {
            started: zero,
            total: micros(end.duration),
            ready: since(zero, self.ready),
            workers: self.start.workers,
            method: std::mem::take(&mut self.start.method),
            warm: self.start.warm,
            status: end.status,
            stopped: end.stopped.clone(),
            not_run: end.not_run,
            tests,
            fixtures: std::mem::take(&mut self.fixtures),
            crashes: crashes.collect(),
            forecast: std::mem::take(&mut self.forecast),
        }
    }
}

impl Kept {
    fn test(self, zero: f64) -> Test {
        // A setup begins each attempt.
        let mut attempts: Vec<Attempt> = Vec::new();
        let mut from = 0;
        for at in 1..self.reports.len() {
            if self.reports[at].when == When::Setup {
                attempts.push(attempt(&self.reports[from..at], zero));
                from = at;
            }
        }
        for again in &mut attempts {
            // Whatever a plugin calls it.
            if again.ending == Ending::Other {
                again.ending = Ending::Rerun;
            }
        }
        attempts.push(attempt(&self.reports[from..], zero));
        let mut setups: Vec<Setup> = self
            .setups
            .into_iter()
            .map(|(fixture, start, duration, failed)| Setup {
                fixture,
                start: since(zero, start),
                length: length(duration),
                failed,
            })
            .collect();
        setups.sort_by_key(|setup| setup.start);
        Test {
            test: self.test,
            nodeid: self.nodeid,
            slot: self.slot,
            ending: attempts.last().map_or(Ending::Other, |last| last.ending),
            attempts,
            setups,
            reason: self.reason,
        }
    }
}

/// A report without a time (the host makes one for a test that was lost) ends when its worker was
/// found dead.
fn short(report: &Report, crash: Option<LastCrash>) -> Short {
    let start = match crash {
        Some((_, at)) if report.start <= 0.0 => at - report.duration,
        _ => report.start,
    };
    Short {
        when: report.when,
        ending: ending(report),
        start,
        duration: report.duration,
    }
}

/// How a report makes its test end; `None`: not at all.
fn ending(report: &Report) -> Option<Ending> {
    if report.is_failure {
        return Some(match report.when {
            When::Setup | When::Teardown => Ending::Error,
            When::Call | When::Other => Ending::Failed,
        });
    }
    match report.category.as_str() {
        "" => None,
        "passed" => Some(Ending::Passed),
        "skipped" => Some(Ending::Skipped),
        "xfailed" => Some(Ending::Xfailed),
        "xpassed" => Some(Ending::Xpassed),
        "rerun" => Some(Ending::Rerun),
        // Subtests have categories of their own.
        _ => match report.outcome {
            Outcome::Passed => Some(Ending::Passed),
            Outcome::Skipped => Some(Ending::Skipped),
            Outcome::Failed | Outcome::Other => Some(Ending::Other),
        },
    }
}

fn attempt(reports: &[Short], zero: f64) -> Attempt {
    let phase = |when: fn(When) -> bool| covered(reports.iter().filter(|short| when(short.when)));
    let starts = reports.iter().map(|short| short.start);
    let failed = |ending| reports.iter().any(|short| short.ending == Some(ending));
    let ending = if failed(Ending::Failed) {
        Ending::Failed
    } else if failed(Ending::Error) {
        Ending::Error
    } else {
        // Beside the test's own report a subtest's does not count; the test's comes last of the
        // call phase.
        let said = reports.iter().rev().find_map(|short| short.ending);
        said.unwrap_or(Ending::Other)
    };
    Attempt {
        start: since(zero, starts.fold(f64::INFINITY, f64::min)),
        setup: phase(|when| when == When::Setup),
        call: phase(|when| matches!(when, When::Call | When::Other)),
        teardown: phase(|when| when == When::Teardown),
        ending,
    }
}

/// From the first start to the last end: subtests lie within their test.
fn covered<'a>(reports: impl Iterator<Item = &'a Short>) -> Micros {
    let (from, to) = reports.fold((f64::INFINITY, f64::NEG_INFINITY), |(from, to), short| {
        let end = short.start + short.duration;
        (from.min(short.start), to.max(end))
    });
    length(to - from)
}

/// Microseconds from `zero` to `at`; what lies before, or is no number, is zero: a clock may have
/// been set.
fn since(zero: f64, at: f64) -> Micros {
    length(at - zero)
}

fn length(seconds: f64) -> Micros {
    // Rounded, since epoch seconds have a grain of a quarter of a microsecond.
    let whole = Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or_default();
    micros(whole + Duration::from_nanos(500))
}

fn first_line(text: &str) -> String {
    const LONGEST: usize = 300;
    let line = text.lines().next().unwrap_or_default();
    match line.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line.to_owned(),
    }
}

/// Seconds since the epoch.
#[must_use]
pub fn now() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0.0, |since| since.as_secs_f64())
}
