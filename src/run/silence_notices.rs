//! The user is told who is waited for when nothing happens any more.

use std::time::{Duration, Instant};

use super::run::Run;
use super::silence::is_stopped;
use crate::event::RunEvent;

/// After this long without anything new the user is told who is waited for.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often a silent process is looked at.
const LOOK: Duration = Duration::from_secs(1);

impl Run<'_> {
    /// Takes note of whether something `happened`; says who is waited for when nothing has for a
    /// while.
    pub(super) fn listen(&mut self, happened: bool) {
        let done = self.test_states.done();
        if happened || done != self.silence.done {
            self.silence.done = done;
            self.silence.since = Instant::now();
            return;
        }
        if self.silence.since.elapsed() < PATIENCE
            || self.silence.looked.elapsed() < LOOK
            || self.output.debugged().is_some()
        {
            return;
        }
        self.silence.looked = Instant::now();
        self.look_at_workers();
        self.look_at_host();
    }

    /// The worker itself has said what it waits for.
    pub(super) fn heard_of(&mut self, slot: u16) {
        if slot < self.lanes.pool().len() {
            let incarnation = self.lanes.pool().incarnation(slot);
            self.silence.workers.insert((slot, incarnation));
        }
    }

    /// So has the host.
    pub(super) fn heard_of_host(&mut self) {
        self.silence.host = true;
    }

    fn look_at_workers(&mut self) {
        for slot in 0..self.lanes.pool().len() {
            let incarnation = self.lanes.pool().incarnation(slot);
            let Some(pid) = self
                .lanes
                .pool()
                .worker(slot)
                .filter(|worker| !worker.ended)
            else {
                continue;
            };
            let pid = pid.pid;
            // The last one's result is there while its worker still ends the session.
            let current = self.lanes.segment().slot_state(slot).current;
            let idle = current.is_none_or(|test| !self.test_states.is_missing(test));
            let text = if is_stopped(pid) {
                format!(
                    "[worker {slot}] is stopped (process {pid})\n\
                     hint: `kill -CONT {pid}` lets it go on; Ctrl-C ends the run"
                )
            } else if idle && self.test_states.unfinished() == 0 {
                format!(
                    "waiting for worker {slot} (process {pid}), which has run its tests and does \
                     not end: it may be in \
                     a session fixture's or a plugin's last steps\nhint: Ctrl-C ends it"
                )
            } else {
                continue;
            };
            if self.silence.workers.insert((slot, incarnation)) {
                self.tell(&RunEvent::Notice(&text));
            }
        }
    }

    fn look_at_host(&mut self) {
        let Some(pid) = self.host.process().filter(|_| !self.silence.host) else {
            return;
        };
        let pid = pid.as_raw_pid();
        let text = if is_stopped(pid) {
            format!(
                "the run's host process is stopped (process {pid})\n\
                 hint: `kill -CONT {pid}` lets it go on; Ctrl-C ends the run"
            )
        } else if self.finishing {
            format!(
                "waiting for the run's host process (process {pid}), which ends what all workers \
                 shared\n\
                 hint: Ctrl-C ends it"
            )
        } else {
            return;
        };
        self.silence.host = true;
        self.tell(&RunEvent::Notice(&text));
    }
}
