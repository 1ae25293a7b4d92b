//! A worker process without Python: the test binary, started again. What it does with a test is the
//! test's name.

use std::os::fd::RawFd;
use std::process::{abort, exit};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rpytest::shm::{NO_TEST, Outgoing, Phase, Segment, WorkerEnd};

pub const SEGMENT: &str = "RUN_LOOP_SEGMENT";
pub const SLOT: &str = "RUN_LOOP_SLOT";
pub const INCARNATION: &str = "RUN_LOOP_INCARNATION";
pub const BELL: &str = "RUN_LOOP_BELL";
pub const SPILL: &str = "RUN_LOOP_SPILL";
pub const ACTIONS: &str = "RUN_LOOP_ACTIONS";

const TEST: u8 = 1;
const BYE: u8 = 2;
const STOP: u8 = 3;
const PLAIN: u8 = 1;

fn number<T: std::str::FromStr>(name: &str) -> T {
    let value = std::env::var(name).unwrap();
    value.parse().unwrap_or_else(|_| panic!("{name}={value}"))
}

/// Runs as a worker until the end.
pub fn main() -> ! {
    let interrupted = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(signal_hook::consts::SIGINT, Arc::clone(&interrupted)).unwrap();
    let Ok(segment) = Segment::open(&std::env::var(SEGMENT).unwrap()) else {
        // The run was over before this process had started; forked workers inherit the mapping.
        exit(1)
    };
    let segment = Arc::new(segment);
    let (bell, spill): (RawFd, RawFd) = (number(BELL), number(SPILL));
    let end = WorkerEnd::attach(segment, number(SLOT), number(INCARNATION), bell, spill).unwrap();
    let actions = std::env::var(ACTIONS).unwrap();
    let actions: Vec<&str> = actions.split(',').collect();
    Worker { end, interrupted }.run(&actions)
}

struct Worker {
    end: WorkerEnd,
    interrupted: Arc<AtomicBool>,
}

impl Worker {
    fn run(&mut self, actions: &[&str]) -> ! {
        loop {
            let Some(test) = self.end.claim() else {
                if self.end.may_ask_again() && !self.interrupted.load(Ordering::Relaxed) {
                    std::thread::sleep(Duration::from_millis(2));
                    continue;
                }
                break;
            };
            self.end.begin(test);
            self.end.phase(Phase::Call);
            self.act(actions[test as usize], test);
            self.end.idle();
        }
        self.bye(0)
    }

    fn bye(&mut self, status: u8) -> ! {
        self.push(BYE, 0, NO_TEST, &bye(status));
        exit(0)
    }

    fn act(&mut self, action: &str, test: u32) {
        match action {
            "pass" => self.push(TEST, PLAIN, test, &plain()),
            "fail" => self.push(TEST, 0, test, &full("failed", "")),
            "big" => self.push(TEST, 0, test, &full("passed", &"x".repeat(1 << 20))),
            "twice" => {
                self.push(TEST, PLAIN, test, &plain());
                self.push(TEST, PLAIN, test, &plain());
                // Killed for it.
                std::thread::sleep(Duration::from_secs(60));
            }
            "flood" => {
                for _ in 0..4 {
                    self.push(TEST, PLAIN, test, &plain());
                }
                std::thread::sleep(Duration::from_secs(60));
            }
            "unknown" => {
                self.push(TEST, PLAIN, 1 << 20, &plain());
                std::thread::sleep(Duration::from_secs(60));
            }
            "garbage" => {
                self.push(TEST, 0, test, b"\xff\xff\xff");
                std::thread::sleep(Duration::from_secs(60));
            }
            "exit0" => exit(0),
            "exit3" => exit(3),
            "abort" => abort(),
            "until_interrupt" => {
                while !self.interrupted.load(Ordering::Relaxed) {
                    std::thread::sleep(Duration::from_millis(5));
                }
                self.stop(test, 1, -1, "KeyboardInterrupt", "a.py:3");
                self.end.idle();
                self.bye(2)
            }
            "deaf" => std::thread::sleep(Duration::from_secs(60)),
            "exit_session" => {
                self.push(TEST, PLAIN, test, &plain());
                self.stop(test, 2, 7, "enough", "");
            }
            "exit_well" => {
                self.push(TEST, PLAIN, test, &plain());
                self.stop(test, 2, 0, "enough", "");
            }
            "internal_error" => {
                self.stop(test, 3, 3, "Traceback\nValueError: bad hook", "");
                self.end.idle();
                self.bye(3)
            }
            // A hook of its session chooses the status.
            "status7" => {
                self.push(TEST, PLAIN, test, &plain());
                self.end.idle();
                self.bye(7)
            }
            // Leaves in good order, but without a result.
            "skip_it" => {
                self.end.idle();
                self.bye(0)
            }
            other => panic!("no such action: {other}"),
        }
    }

    fn stop(&mut self, test: u32, why: u8, status: i32, text: &str, location: &str) {
        self.end.stop();
        let mut body = vec![why];
        body.extend(status.to_le_bytes());
        string(&mut body, text);
        string(&mut body, location);
        self.push(STOP, 0, test, &body);
    }

    fn push(&mut self, kind: u8, flags: u8, test: u32, body: &[u8]) {
        let record = Outgoing {
            kind,
            flags,
            test,
            attempt: 0,
            body,
            urgent: kind != TEST,
        };
        self.end.push(&record, &mut || true).unwrap();
    }
}

fn string(body: &mut Vec<u8>, text: &str) {
    body.extend(u32::try_from(text.len()).unwrap().to_le_bytes());
    body.extend(text.as_bytes());
}

fn tail(body: &mut Vec<u8>) {
    string(body, "");
    body.extend([0; 20]);
}

/// Body of a PLAIN test.
pub fn plain() -> Vec<u8> {
    let mut body = Vec::new();
    for seconds in [1000.0_f64, 0.25, 0.5, 0.125] {
        body.extend(seconds.to_le_bytes());
    }
    tail(&mut body);
    body
}

/// Body of a test with one report, of the call phase.
pub fn full(outcome: &str, reason: &str) -> Vec<u8> {
    let failed = outcome == "failed";
    let mut body = vec![1, 0, 0, 0, 1, u8::from(failed), if failed { 3 } else { 0 }];
    for seconds in [1000.0_f64, 0.5] {
        body.extend(seconds.to_le_bytes());
    }
    let letter = if failed { "F" } else { "." };
    for text in [outcome, letter, &outcome.to_uppercase(), "", reason] {
        string(&mut body, text);
    }
    string(&mut body, "report");
    body.extend([0; 4]);
    tail(&mut body);
    body
}

fn bye(status: u8) -> Vec<u8> {
    let mut body = vec![status, 1, 0, 0, 0];
    string(&mut body, "suite");
    string(&mut body, "one");
    body.extend([0; 4]);
    string(&mut body, "");
    // It holds nothing.
    body.push(0);
    body
}
