//! After the last worker: pytest's summary, the host's end, the final event.

use std::os::fd::AsFd;

use super::Finished;
use super::host_link::HostState;
use super::output::Output;
use super::run::Run;
use crate::daemon::message::HostRequest;
use crate::error::Error;
use crate::event::{RunEnd, RunEvent};
use crate::exit;

impl Run<'_> {
    /// Gets the summary if there is something that only pytest can say, lets the host end, and
    /// reports the end.
    pub(super) fn finish(mut self) -> Finished {
        self.lanes.segment.unlink();
        self.host.said.finishing = true;
        if self.host.said.exit_status.is_none() {
            if self.has_something_to_say() {
                self.report();
            }
            self.stop_host();
            if self.host.said.late_record && self.host.is_connected() {
                // A shared fixture failed after the run had passed: now there is something to say.
                self.report();
                self.stop_host();
            }
        }
        let end = self.describe();
        self.tell(&RunEvent::Ended(&end));
        self.show(Output::flush);
        let (is_written, error) = self.output.end();
        Finished {
            status: if is_written {
                end.status
            } else {
                exit::INTERNAL_ERROR
            },
            samples: self.measurements.samples,
            error,
            complete: self.test_states.unfinished() == 0 && !self.exit_status.has_lost_its_host(),
            sequences: self.measurements.sequences,
            interrupts: self.closing.interrupts,
        }
    }

    fn has_something_to_say(&self) -> bool {
        self.closing.needs_report || self.exit_status.is_stopped() || self.status() != exit::OK
    }

    fn status(&self) -> i32 {
        self.exit_status.status(self.test_states.done())
    }

    fn report(&mut self) {
        self.host.said.late_record = false;
        let (memfd, len) = match self.record_log.memfd() {
            Ok(file) => file,
            Err(error) => {
                self.output.fail(Error::os("make a file in memory", error));
                return;
            }
        };
        let interrupted = self.exit_status.interrupted();
        let request = HostRequest::Report {
            status: self.status(),
            interrupted: interrupted.map(|(text, _)| text),
            location: interrupted.map_or("", |(_, location)| location),
            stop: (self.exit_status.stop_text()).or(self.replacements.crash_limit.as_deref()),
            duration: self.closing.began.elapsed().as_secs_f64(),
            streamed: self.record_log.streamed(),
            elsewhere: self.closing.elsewhere,
            failures: self.exit_status.failures,
            len,
        };
        if self.host.send(&request, &[memfd.as_fd()]) {
            self.host.said.summary = None;
            self.wait_for(|said| said.summary.is_some());
        }
    }

    /// The host tears shared fixtures down before it goes.
    fn stop_host(&mut self) {
        self.host.said.stopping = true;
        let said = self.host.said.summary.as_ref().map(|(status, _)| *status);
        let status = said.unwrap_or_else(|| self.status());
        self.host.send(&HostRequest::Stop { status }, &[]);
        self.wait_for(|said| said.late_record && said.summary.is_none());
    }

    /// Until `done`, or nothing can come any more.
    fn wait_for(&mut self, done: impl Fn(&HostState) -> bool) {
        let is_done = |said: &HostState| said.exit_status.is_some() || done(said);
        while self.host.is_connected() && !is_done(&self.host.said) {
            self.wait();
        }
    }

    fn describe(&mut self) -> RunEnd {
        let unfinished = self.test_states.unfinished();
        let mut status = self.host.said.exit_status.unwrap_or_else(|| self.status());
        let mut summary = None;
        if let Some((final_status, text)) = self.host.said.summary.take() {
            status = final_status;
            summary = Some(text);
        }
        if unfinished > 0 && status == exit::OK && !self.exit_status.success_was_asked_for() {
            // Whatever the host said: tests without a result are no success.
            status = exit::INTERNAL_ERROR;
        }
        RunEnd {
            duration: self.closing.began.elapsed(),
            started: self.closing.began_epoch,
            status,
            not_run: unfinished,
            running: self
                .closing
                .running
                .iter()
                .filter(|(_, test, _)| self.test_states.is_missing(*test))
                .map(|&(slot, test, elapsed)| {
                    (slot, self.test_list.shown(test).into_owned(), elapsed)
                })
                .collect(),
            stopped: self.exit_status.describe(),
            interrupted: self.exit_status.interrupted().is_some()
                && !self.exit_status.success_was_asked_for(),
            summary,
            suite_properties: std::mem::take(&mut self.closing.properties),
            internal_error: self.closing.internal_error.take(),
            notes: self.lanes.notes(),
        }
    }
}
