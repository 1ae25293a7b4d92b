//! A host without Python: a thread that starts worker processes and answers as
//! `docs/design/protocol.md` says.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};

use rpytest::daemon::wire::{Connection, memfd_with, read_announced};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::MemfdFlags;
use rustix::process::{Pid, PidfdFlags};
use serde_json::{Value, json};

use crate::worker;

/// What goes wrong with the host itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    #[default]
    None,
    /// It is gone as soon as this many workers have been born.
    DiesAfterBirths(usize),
    /// Instead of telling of the first birth it ends the run because of an error of its own.
    GivesUp,
    /// It says something senseless instead of telling of the first birth.
    Babbles,
    /// Told to stop, it has another failure to add to test 0.
    FailsAtTheEnd,
}

/// The host's side of a run.
pub struct Host {
    connection: Connection,
    actions: String,
    fault: Fault,
    children: Vec<Running>,
    segment: String,
    bell: Option<OwnedFd>,
    births: usize,
    /// Every request, in order.
    log: Vec<Value>,
    /// Tests of the bodies that came with `report`.
    reported: Vec<u32>,
}

struct Running {
    slot: u64,
    incarnation: u64,
    child: Child,
    pidfd: OwnedFd,
}

/// What the host has seen when it ends.
#[derive(Debug)]
pub struct Seen {
    pub log: Vec<Value>,
    pub reported: Vec<u32>,
}

impl Seen {
    /// The requests of one kind.
    pub fn requests(&self, op: &str) -> Vec<&Value> {
        self.log
            .iter()
            .filter(|request| request["op"] == op)
            .collect()
    }
}

impl Host {
    pub fn new(connection: Connection, actions: &[&str], fault: Fault) -> Self {
        Self {
            connection,
            actions: actions.join(","),
            fault,
            children: Vec::new(),
            segment: String::new(),
            bell: None,
            births: 0,
            log: Vec::new(),
            reported: Vec::new(),
        }
    }

    /// Serves until told to stop or left alone.
    pub fn run(mut self) -> Seen {
        while self.step() {}
        for running in &mut self.children {
            let _ = running.child.kill();
            let _ = running.child.wait();
        }
        Seen {
            log: self.log,
            reported: self.reported,
        }
    }

    fn step(&mut self) -> bool {
        let mut fds = vec![PollFd::new(&self.connection, PollFlags::IN)];
        fds.extend(
            self.children
                .iter()
                .map(|running| PollFd::new(&running.pidfd, PollFlags::IN)),
        );
        rustix::io::retry_on_intr(|| poll(&mut fds, None)).unwrap();
        let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        for at in (0..self.children.len()).rev() {
            if ready[at + 1] {
                self.reap(at);
            }
        }
        !ready[0] || self.request()
    }

    fn reap(&mut self, at: usize) {
        let mut running = self.children.remove(at);
        let status = running.child.wait().unwrap().into_raw();
        let died = json!({"ev": "died", "slot": running.slot, "incarnation": running.incarnation,
            "status": status, "stack": if status == 0 { "" } else { "Fatal Python error" }});
        let _ = self.connection.send(&died, &[]);
    }

    fn request(&mut self) -> bool {
        let Ok(Some(mut packet)) = self.connection.recv() else {
            return false;
        };
        let request: Value = packet.parse().unwrap();
        self.log.push(request.clone());
        match request["op"].as_str().unwrap() {
            "go" => {
                self.segment = request["segment"].as_str().unwrap().to_owned();
                self.bell = packet.fds.pop();
                for slot in 0..request["slots"].as_u64().unwrap() {
                    if !self.spawn(slot, 0) {
                        return false;
                    }
                }
            }
            "spawn" => {
                return self.spawn(
                    request["slot"].as_u64().unwrap(),
                    request["incarnation"].as_u64().unwrap(),
                );
            }
            "crashed" => self.record(&request["test"], worker::full("failed", "crashed")),
            "report" => {
                let length = request["len"].as_u64().unwrap();
                let bodies = read_announced(packet.fds.pop().unwrap(), length).unwrap();
                self.reported = tests_of(&bodies);
                let text = "== the summary ==";
                let memfd = memfd_with("summary", &[text.as_bytes()]).unwrap();
                let answer =
                    json!({"ev": "summary", "status": request["status"], "len": text.len()});
                self.connection.send(&answer, &[memfd.as_fd()]).unwrap();
            }
            "stop" if self.fault == Fault::FailsAtTheEnd => {
                self.fault = Fault::None;
                self.record(&json!(0), worker::full("failed", "finalizer"));
            }
            "stop" => return false,
            "interrupt" => {}
            other => panic!("no such request: {other}"),
        }
        true
    }

    fn record(&self, test: &Value, body: Vec<u8>) {
        let memfd = memfd_with("record", &[&body]).unwrap();
        let answer = json!({"ev": "record", "test": test, "len": body.len()});
        self.connection.send(&answer, &[memfd.as_fd()]).unwrap();
    }

    fn spawn(&mut self, slot: u64, incarnation: u64) -> bool {
        let spill = rustix::fs::memfd_create("spill", MemfdFlags::CLOEXEC).unwrap();
        let bell = self.bell.as_ref().unwrap();
        let kept = [bell.as_raw_fd(), spill.as_raw_fd()];
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", "as_worker", "--ignored", "--nocapture"])
            .stdout(Stdio::null())
            .env(worker::SEGMENT, &self.segment)
            .env(worker::SLOT, slot.to_string())
            .env(worker::INCARNATION, incarnation.to_string())
            .env(worker::BELL, kept[0].to_string())
            .env(worker::SPILL, kept[1].to_string())
            .env(worker::ACTIONS, &self.actions);
        // SAFETY: two async-signal-safe system calls on descriptors that the parent keeps open
        // until the spawn is over.
        unsafe {
            command.pre_exec(move || {
                for fd in kept {
                    if libc::fcntl(fd, libc::F_SETFD, 0) == -1 {
                        return Err(std::io::Error::last_os_error());
                    }
                }
                Ok(())
            });
        }
        let child = command.spawn().unwrap();
        let pid = Pid::from_child(&child);
        let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::empty()).unwrap();
        let born = match self.fault {
            Fault::GivesUp => json!({"ev": "exit", "status": 3, "out": "", "err": "trouble\n"}),
            Fault::Babbles => json!({"ev": "born", "slot": "first"}),
            _ => json!({"ev": "born", "slot": slot, "incarnation": incarnation, "pid": child.id()}),
        };
        let sent = self.connection.send(&born, &[pidfd.as_fd(), spill.as_fd()]);
        self.children.push(Running {
            slot,
            incarnation,
            child,
            pidfd,
        });
        self.births += 1;
        sent.is_ok() && self.fault != Fault::DiesAfterBirths(self.births)
    }
}

fn tests_of(mut bodies: &[u8]) -> Vec<u32> {
    let mut tests = Vec::new();
    while !bodies.is_empty() {
        let number = |at: usize| u32::from_le_bytes(bodies[at..at + 4].try_into().unwrap());
        tests.push(number(0));
        bodies = &bodies[14 + number(10) as usize..];
    }
    tests
}
