//! A run to be made, and what came of it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use rpytest::daemon::message::Options;
use rpytest::daemon::wire::Connection;
use rpytest::event::{RunEnd, RunEvent, RunStart, TestResult};
use rpytest::plan::Serial;
use rpytest::pool::{Pool, Signals};
use rpytest::report::{ReportError, Reporter};
use rpytest::run::{Finished, Setup, execute};
use rpytest::shm::{PlanEntry, PlanTable, Segment, SegmentSpec};
use rpytest::test_list::TestList;
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::process::{Signal, getpid, kill_process};

use super::host::{Fault, Host, Seen};

/// Signals are for the whole process, so runs take turns.
static TURN: Mutex<()> = Mutex::new(());

/// Remembers what it is told; a Ctrl-C comes when a test begins whose action is in `interrupts`.
#[derive(Default)]
pub struct Recorder {
    pub lines: Vec<String>,
    pub errors: Vec<TestResult>,
    pub end: Option<RunEnd>,
    pub interrupts: Vec<&'static str>,
    pub sent: usize,
    pub fails: bool,
}

impl Reporter for Recorder {
    fn event(&mut self, event: &RunEvent<'_>) -> Result<(), ReportError> {
        match event {
            RunEvent::Started(start) => self.lines.push(format!("started {}", start.tests)),
            RunEvent::Running(running) => {
                let awaited = self.interrupts.get(self.sent);
                if running
                    .iter()
                    .any(|test| awaited.is_some_and(|name| test.nodeid.ends_with(name)))
                {
                    self.sent += 1;
                    kill_process(getpid(), Signal::INT).unwrap();
                }
            }
            RunEvent::Finished { nodeid, result } => {
                let verdict = if result.failed() { "failed" } else { "passed" };
                self.lines.push(format!("{nodeid} {verdict}"));
                if result.reports[0].category == "error" {
                    self.errors.push((*result).clone());
                }
            }
            RunEvent::Crashed {
                cause,
                test,
                replacement,
                ..
            } => {
                let test = test.unwrap_or("nothing");
                self.lines.push(format!(
                    "crash of {test}: {cause}, replacement: {replacement:?}"
                ));
            }
            RunEvent::LiveLog { nodeid, text, .. } => {
                self.lines.push(format!("log of {nodeid:?}: {text}"));
            }
            RunEvent::Terminal { ours } => self.lines.push(format!("terminal ours: {ours}")),
            RunEvent::Notice(text) => self.lines.push(format!("notice {text}")),
            RunEvent::Ended(end) => self.end = Some((*end).clone()),
        }
        if self.fails {
            return Err(ReportError::Output(std::io::ErrorKind::BrokenPipe.into()));
        }
        Ok(())
    }
}

/// A run to be made.
pub struct Case<'a> {
    /// What the worker does with each test.
    pub actions: &'a [&'a str],
    pub slots: u16,
    pub max_restarts: u32,
    pub options: Options,
    pub fault: Fault,
    pub recorder: Recorder,
    /// Each part is a unit that is kept whole.
    pub keep: bool,
    /// Tests that run alone.
    pub serial: Vec<Serial>,
}

/// A run that was made.
pub struct Outcome {
    pub finished: Finished,
    pub lines: Vec<String>,
    /// Results whose first report is of the category `error`.
    pub errors: Vec<TestResult>,
    pub end: RunEnd,
    pub seen: Seen,
    pub segment: String,
}

impl<'a> Case<'a> {
    pub fn new(actions: &'a [&'a str], slots: u16) -> Self {
        Self {
            actions,
            slots,
            max_restarts: 4,
            options: Options::default(),
            fault: Fault::None,
            recorder: Recorder::default(),
            keep: false,
            serial: Vec::new(),
        }
    }

    pub fn run(mut self) -> Outcome {
        let _turn: MutexGuard<'_, ()> = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let (ours, theirs) = rustix::net::socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )
        .unwrap();
        let connection = Connection::new(ours);
        let host = Host::new(Connection::new(theirs), self.actions, self.fault);
        let host = std::thread::spawn(move || host.run());
        let segment = Arc::new(self.segment());
        for &test in self.serial.iter().flat_map(|serial| &serial.tests) {
            segment.withhold(test);
        }
        let name = segment.name().to_owned();
        let tests = u32::try_from(self.actions.len()).unwrap();
        let ids = (0..)
            .zip(self.actions)
            .map(|(test, action)| format!("{test}::{action}"));
        let test_list = TestList {
            ids: ids.collect(),
            ..TestList::default()
        };
        let finished = execute(Setup {
            connection: &connection,
            segment,
            test_list: &test_list,
            planned: (0..tests).collect(),
            serial: self.serial,
            options: &self.options,
            slots: self.slots,
            max_restarts: self.max_restarts,
            start: RunStart {
                tests: test_list.len(),
                ..RunStart::default()
            },
            began: Instant::now(),
            began_epoch: 1000.0,
            signals: &mut Signals::install().unwrap(),
            reporters: &mut self.recorder,
            timings: false,
            log: None,
        })
        .unwrap();
        drop(connection);
        Outcome {
            finished,
            lines: self.recorder.lines,
            errors: self.recorder.errors,
            end: self.recorder.end.expect("the end was reported"),
            seen: host.join().unwrap(),
            segment: name,
        }
    }

    /// Parts of equal length, in order.
    fn segment(&self) -> Segment {
        let count = u32::try_from(self.actions.len()).unwrap();
        let slots = u32::from(self.slots);
        let bounds: Vec<u32> = (0..=slots).map(|slot| count * slot / slots).collect();
        let plan = PlanTable {
            entries: (0..count)
                .map(|test| PlanEntry {
                    test,
                    rank: test,
                    cost_us: 1000,
                    unit: if self.keep {
                        test * slots / count
                    } else {
                        test
                    },
                    keep: self.keep,
                    ..PlanEntry::default()
                })
                .collect(),
            parts: bounds
                .windows(2)
                .map(|pair| (pair[0], pair[1] - pair[0]))
                .collect(),
            ..PlanTable::default()
        };
        let spec = SegmentSpec {
            slots: self.slots,
            tests: count,
            ring_bytes: 1 << 13,
            incarnations: Pool::incarnations_for(self.slots, self.max_restarts),
        };
        Segment::create(&spec, &plan).unwrap()
    }
}

impl Outcome {
    /// Lines about tests, in the order of the tests.
    pub fn results(&self) -> Vec<&str> {
        let is_result = |line: &&String| line.ends_with(" passed") || line.ends_with(" failed");
        let mut lines: Vec<&str> = self
            .lines
            .iter()
            .filter(is_result)
            .map(String::as_str)
            .collect();
        lines.sort_by_key(|line| line.split("::").next().unwrap().parse::<usize>().unwrap());
        lines
    }

    pub fn crashes(&self) -> Vec<&str> {
        self.lines
            .iter()
            .map(String::as_str)
            .filter(|line| line.starts_with("crash"))
            .collect()
    }
}

/// As many times the same.
pub fn repeat(action: &str, count: usize) -> Vec<&str> {
    vec![action; count]
}
