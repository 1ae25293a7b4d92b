//! What the host says during a run.

use std::io::{IsTerminal as _, Write as _};
use std::os::fd::OwnedFd;

use rustix::process::Signal;

use super::output::Output;
use super::run::Run;
use crate::daemon::message::{Fixtures, HostEvent, HostRequest};
use crate::daemon::wire::{Packet, WireError, read_announced};
use crate::decode::{self, Stop, StopReason};
use crate::error::Error;
use crate::event::RunEvent;
use crate::pool::{Death, Worker};

impl Run<'_> {
    /// Reads one message, which is there.
    pub(super) fn receive(&mut self) {
        match self.host.receive() {
            Ok(Some(packet)) => {
                if let Err(error) = self.message(packet) {
                    self.broken(&error);
                }
            }
            Ok(None) => self.end_of_file(),
            Err(error) => self.broken(&error),
        }
    }

    /// The host says things that make no sense: it can't be relied on for the rest of the run.
    fn broken(&mut self, error: &WireError) {
        self.output.fail(Error::protocol("host", error.to_string()));
        self.end_of_file();
    }

    fn message(&mut self, packet: Packet) -> Result<(), WireError> {
        let event = packet.parse()?;
        let mut fds = packet.fds.into_iter();
        let mut fd = || {
            let missing = || WireError::Malformed("a message came without its descriptor".into());
            fds.next().ok_or_else(missing)
        };
        match event {
            // The host and its forks have it mapped: nobody needs the name any more.
            HostEvent::Attached { pid } => {
                self.lanes.segment.unlink();
                self.host.said.pid = pid;
            }
            HostEvent::Notice { text, slot } => {
                self.silence.heard_of(slot, &self.lanes);
                self.tell(&RunEvent::Notice(&text));
            }
            HostEvent::Born {
                slot,
                incarnation,
                pid,
            } => {
                let worker = Worker {
                    pid,
                    pidfd: fd()?,
                    spill: fd()?,
                    ended: false,
                };
                self.born(slot, incarnation, worker)?;
            }
            HostEvent::Died(died) => {
                let death = Death {
                    status: died.status,
                    stack: died.stack,
                };
                self.died(died.slot, died.incarnation, &death)?;
            }
            HostEvent::Stack { slot, text } => self.stack(slot, &text),
            HostEvent::Record {
                test,
                len,
                more,
                again,
            } => self.host_record(test, fd()?, len, more, again)?,
            HostEvent::Summary {
                status,
                len,
                properties,
            } => {
                self.closing.add_properties(properties);
                let text = read_announced(fd()?, len)?;
                let text = String::from_utf8(text)
                    .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
                self.host.said.summary = Some((status, text));
            }
            HostEvent::Taken {
                shouldstop,
                shouldfail,
            } => self.taken(shouldstop, shouldfail),
            HostEvent::Debugger { slot, active } => self.debugger(slot, active)?,
            HostEvent::Fixtures(fixtures) => self.fixtures(fixtures),
            HostEvent::Stop(stop) => {
                let why = StopReason::from_number(stop.why).ok_or_else(|| {
                    WireError::Malformed(format!("there is no stop reason {}", stop.why))
                })?;
                self.stop(&Stop {
                    why,
                    status: (stop.status >= 0).then_some(stop.status),
                    text: stop.text,
                    location: stop.location,
                });
            }
            HostEvent::Exit(exit) => {
                for text in [&exit.out, &exit.err] {
                    if !text.is_empty() {
                        self.tell(&RunEvent::Notice(text.trim_end_matches('\n')));
                    }
                }
                if !exit.internal.is_empty() {
                    // As in pytest's own process: what has a result by then counts, the others did
                    // not run.
                    self.drain_all();
                    self.note_running();
                    self.exit_status.worker_stop(&Stop {
                        why: StopReason::InternalError,
                        status: None,
                        text: String::new(),
                        location: String::new(),
                    });
                    self.closing.internal_error.get_or_insert(exit.internal);
                }
                self.host.said.exit_status = Some(exit.status);
                self.host_gave_up();
            }
            HostEvent::Unknown => {}
            HostEvent::Collected(_)
            | HostEvent::Collecting { .. }
            | HostEvent::Dependencies { .. }
            | HostEvent::Shard(_)
            | HostEvent::Replace { .. } => {
                return Err(WireError::Malformed(
                    "it announced a run in the middle of one".into(),
                ));
            }
        }
        Ok(())
    }

    /// Passes on what faulthandler has written about the running test: to standard error as under
    /// pytest, but on a terminal above the status line.
    fn stack(&mut self, slot: u16, text: &str) {
        let running = self.running();
        let about = running.iter().find(|(at, _, _)| *at == slot);
        let whose = match about {
            Some((_, nodeid, elapsed)) => {
                format!(
                    "{nodeid} has been running for {:.1}s",
                    elapsed.as_secs_f64()
                )
            }
            None => "the test that has just ended ran for longer".to_owned(),
        };
        let text = format!(
            "[worker {slot}] {whose} (`faulthandler_timeout`)\n{}",
            text.trim_end()
        );
        if std::io::stdout().is_terminal() {
            self.tell(&RunEvent::Notice(&text));
        } else {
            self.show(Output::flush);
            // Nobody reads it: then nobody misses it.
            let _ = writeln!(std::io::stderr(), "{text}");
        }
    }

    /// The host has set up what all workers share.
    fn fixtures(&mut self, fixtures: Fixtures) {
        self.host.said.shares |= !fixtures.shared.is_empty();
        let mut lines = fixtures.notes;
        if self.options.verbose > 0 {
            if !fixtures.shared.is_empty() {
                let names = fixtures.shared.join(", ");
                lines.push(format!("shared session fixtures: {names}"));
            }
            for (name, why) in &fixtures.own {
                let line = format!("session fixture of each worker: {name} ({why})");
                // It may have been a note.
                if !lines.contains(&line) {
                    lines.push(line);
                }
            }
        }
        if !lines.is_empty() {
            self.tell(&RunEvent::Notice(&lines.join("\n")));
        }
        self.measurements.charged = fixtures.charged.into_iter().collect();
    }

    /// The controller has seen the records that were sent last; its hooks may want the run to end.
    fn taken(&mut self, shouldstop: Option<String>, shouldfail: Option<String>) {
        self.host.said.streaming = false;
        let wanted = [
            (StopReason::ShouldFail, shouldfail),
            (StopReason::ShouldStop, shouldstop),
        ];
        for (why, text) in wanted {
            if let Some(text) = text {
                self.lanes.segment.stop();
                self.exit_status.worker_stop(&Stop {
                    why,
                    status: None,
                    text,
                    location: String::new(),
                });
            }
        }
    }

    /// A debugger in the worker of `slot` asks for the terminal, or gives it back.
    fn debugger(&mut self, slot: u16, active: bool) -> Result<(), WireError> {
        if slot >= self.lanes.pool().len() {
            return Err(WireError::Malformed(format!("there is no slot {slot}")));
        }
        if active {
            // What came before is shown before: nothing is written while it has the terminal.
            self.drain_fully(slot);
        }
        self.show(|output| output.lend_terminal(active.then_some(slot)));
        self.show(Output::flush);
        if active {
            self.host.send(&HostRequest::Debugger { slot }, &[]);
        }
        Ok(())
    }

    fn born(&mut self, slot: u16, incarnation: u16, worker: Worker) -> Result<(), WireError> {
        if !self.lanes.born(slot, incarnation, worker) {
            return Err(WireError::Malformed(format!(
                "a worker was born that nobody asked for: slot {slot}, incarnation {incarnation}"
            )));
        }
        if self.closing.interrupts > 1 {
            self.lanes.pool().signal(slot, Signal::KILL);
        }
        Ok(())
    }

    fn died(&mut self, slot: u16, incarnation: u16, death: &Death) -> Result<(), WireError> {
        if slot >= self.lanes.pool().len()
            || self.lanes.pool().incarnation(slot) != incarnation
            || !self.lanes.pool().is_occupied(slot)
        {
            return Err(WireError::Malformed(format!(
                "a worker died that was not alive: slot {slot}, incarnation {incarnation}"
            )));
        }
        self.bury(slot, Some(death));
        Ok(())
    }

    /// A result that the host has made: that of a lost test, or what a shared fixture's teardown
    /// adds to one.
    fn host_record(
        &mut self,
        test: u32,
        memfd: OwnedFd,
        len: u64,
        more: bool,
        again: bool,
    ) -> Result<(), WireError> {
        let body = read_announced(memfd, len)?;
        if test as usize >= self.test_list.len() {
            return Err(WireError::Malformed(format!("there is no test {test}")));
        }
        let worker = self.lanes.segment.claim_of(test);
        let ran_in = worker.map_or(0, |(slot, _)| slot);
        let slot = self.lost.slot_of(test).unwrap_or(ran_in);
        // Before the question counts as answered: without an answer the test is still lost.
        let result = decode::test(&body, 0, test, slot)
            .map_err(|error| WireError::Malformed(error.to_string()))?;
        let asked = self.lost.answered(test);
        if asked.is_none() {
            self.host.said.late_record = !more;
        }
        let may_run = !self.lanes.segment.stopped() && !self.replacements.exhausted;
        if again && asked.is_some() && may_run {
            // This record is one of its runs, and not its result.
            self.test_states.run_again(test);
            if let Some((slot, incarnation)) = worker {
                self.lanes.segment.release(test, slot, incarnation);
            }
            self.replacements.revive_again();
        } else {
            self.test_states.finish(test);
        }
        if asked.is_some_and(|lost| lost.in_flight) {
            // A crash is the test's last outcome, too.
            self.measurements.measure(&result);
        }
        let incarnation = worker.map_or(0, |(_, incarnation)| incarnation);
        self.record_log
            .push(decode::TEST, 0, test, (slot, incarnation), &body);
        self.result(&result);
        Ok(())
    }

    /// The connection has ended.
    fn end_of_file(&mut self) {
        let surprise = self.host.went_away();
        if let Some(error) = surprise.filter(|_| self.closing.interrupts == 0) {
            self.exit_status.host_died();
            self.output.fail(error);
        }
        self.disconnect();
    }

    /// Nothing more is asked of the host or heard from it; without it, workers are of no use.
    pub(super) fn disconnect(&mut self) {
        self.host.disconnect();
        self.lanes.segment.stop();
        self.lanes.pool().signal_all(Signal::KILL);
    }
}
