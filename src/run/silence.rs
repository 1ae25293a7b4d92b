//! Who is waited for when nothing happens any more, and whether a process stands still.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use super::host_link::HostLink;
use super::lanes::Lanes;
use super::test_states::TestStates;

/// After this long without anything new the user is told who is waited for.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often a silent process is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Knows since when nothing has happened, and finds words for it, once for each process.
#[derive(Debug)]
pub(super) struct Silence {
    since: Instant,
    looked: Instant,
    /// Results, when that was.
    done: usize,
    /// Workers that were spoken of: slot and incarnation.
    workers: HashSet<(u16, u16)>,
    host: bool,
}

impl Silence {
    pub fn new() -> Self {
        Self {
            since: Instant::now(),
            looked: Instant::now(),
            done: 0,
            workers: HashSet::new(),
            host: false,
        }
    }

    /// Takes note of whether something `happened`, and of the number of results; `true`: nothing
    /// has for a while, and now is the time to tell the user, as far as that is allowed.
    pub fn is_long(&mut self, happened: bool, done: usize, may_tell: bool) -> bool {
        if happened || done != self.done {
            self.done = done;
            self.since = Instant::now();
            return false;
        }
        if self.since.elapsed() < PATIENCE || self.looked.elapsed() < LOOK || !may_tell {
            return false;
        }
        self.looked = Instant::now();
        true
    }

    /// The worker of a slot has itself said what it waits for; `None`: the host has.
    pub fn heard_of(&mut self, slot: Option<u16>, lanes: &Lanes) {
        match slot {
            Some(slot) if slot < lanes.pool().len() => {
                self.workers.insert((slot, lanes.pool().incarnation(slot)));
            }
            Some(_) => {}
            None => self.host = true,
        }
    }

    /// What there is to say of workers.
    pub fn of_workers(&mut self, lanes: &Lanes, tests: &TestStates) -> Vec<String> {
        let mut notices = Vec::new();
        for slot in 0..lanes.pool().len() {
            let Some(worker) = lanes.pool().worker(slot).filter(|worker| !worker.ended) else {
                continue;
            };
            let pid = worker.pid;
            // The last one's result is there while its worker still ends the session.
            let current = lanes.segment.slot_state(slot).current;
            let idle = current.is_none_or(|test| !tests.is_missing(test));
            let text = if is_stopped(pid) {
                format!(
                    "[worker {slot}] is stopped (process {pid})\n\
                     hint: `kill -CONT {pid}` lets it go on; Ctrl-C ends the run"
                )
            } else if idle && tests.unfinished() == 0 {
                format!(
                    "waiting for worker {slot} (process {pid}), which has run its tests and does \
                     not end: it may be in \
                     a session fixture's or a plugin's last steps\nhint: Ctrl-C ends it"
                )
            } else {
                continue;
            };
            if self.workers.insert((slot, lanes.pool().incarnation(slot))) {
                notices.push(text);
            }
        }
        notices
    }

    /// What there is to say of the host.
    pub fn of_host(&mut self, host: &HostLink<'_>) -> Option<String> {
        let pid = host.process().filter(|_| !self.host)?.as_raw_pid();
        let text = if is_stopped(pid) {
            format!(
                "the run's host process is stopped (process {pid})\n\
                 hint: `kill -CONT {pid}` lets it go on; Ctrl-C ends the run"
            )
        } else if host.said.finishing {
            format!(
                "waiting for the run's host process (process {pid}), which ends what all workers \
                 shared\n\
                 hint: Ctrl-C ends it"
            )
        } else {
            return None;
        };
        self.host = true;
        Some(text)
    }
}

/// Whether a process stands still because of SIGSTOP or the like.
pub fn is_stopped(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name before it, in parentheses, may contain anything.
    let state = stat
        .rsplit_once(')')
        .and_then(|(_, rest)| rest.trim_start().chars().next());
    state == Some('T')
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use rustix::process::{Pid, Signal};

    use super::*;

    #[test]
    fn stopped_processes_are_told_from_others() {
        let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        assert!(!is_stopped(pid));
        rustix::process::kill_process(Pid::from_raw(pid).unwrap(), Signal::STOP).unwrap();
        while !is_stopped(pid) {
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!is_stopped(pid));
    }
}
