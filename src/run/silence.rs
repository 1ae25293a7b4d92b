//! Since when nothing has happened in a run, and whether a process stands still.

use std::collections::HashSet;
use std::time::Instant;

/// Since when nothing has happened, and what was said about it.
#[derive(Debug)]
pub(super) struct Silence {
    pub(super) since: Instant,
    pub(super) looked: Instant,
    /// Results, when that was.
    pub(super) done: usize,
    /// Workers that were spoken of: slot and incarnation.
    pub(super) workers: HashSet<(u16, u16)>,
    pub(super) host: bool,
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
