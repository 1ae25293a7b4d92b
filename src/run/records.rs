//! From rings to results.

use std::os::fd::AsFd;
use std::sync::Arc;

use rustix::process::Signal;

use super::run::Run;
use crate::decode::{self, Bye, Record, Stop, StopReason};
use crate::event::{RunEvent, TestResult};
use crate::shm::records::spill;
use crate::shm::{RecordHead, monotonic_ns};

/// Records read from one ring before the next one has its turn.
const TURN: usize = 256;

/// Bytes of a body beyond which its memory is given back.
const LARGE: usize = 1 << 20;

impl Run<'_> {
    /// Reads all rings until they are empty.
    pub(super) fn drain_all(&mut self) {
        loop {
            let mut any = false;
            for slot in 0..self.pool.len() {
                any |= self.drain(slot);
            }
            if !any {
                return;
            }
        }
    }

    /// Reads everything that the worker of `slot` has written so far.
    pub(super) fn drain_fully(&mut self, slot: u16) {
        while self.drain(slot) {}
    }

    /// Reads one turn's records; `true`: there may be more.
    fn drain(&mut self, slot: u16) -> bool {
        let segment = Arc::clone(&self.segment);
        let mut body = std::mem::take(&mut self.body);
        let mut count = 0;
        let mut wants_room = false;
        while count < TURN {
            let lane = &mut self.lanes[usize::from(slot)];
            if lane.corrupt.is_some() {
                break;
            }
            let head = match lane.deferred.take() {
                Some(head) => head,
                None => match segment.reader(slot).next(&mut body) {
                    Ok(Some(head)) => head,
                    Ok(None) => break,
                    Err(corrupt) => {
                        self.corrupt(slot, corrupt.what);
                        break;
                    }
                },
            };
            wants_room |= head.space_waiter;
            if head.spilled.is_some() && !self.unspill(slot, &head, &mut body) {
                break;
            }
            if let Some(stats) = &mut self.stats {
                stats.record(head.mono_ns, monotonic_ns(), body.len());
                stats.spilled += u64::from(head.spilled.is_some());
            }
            self.record(slot, &head, &body);
            count += 1;
        }
        // One with much output is not kept for the next one.
        if body.capacity() > LARGE {
            body = Vec::new();
        }
        self.body = body;
        if wants_room {
            self.waker.wake(slot);
            if let Some(stats) = &mut self.stats {
                stats.full += 1;
            }
        }
        count == TURN
    }

    /// Reads a body from the worker's spill file; `false`: not now, or never.
    fn unspill(&mut self, slot: u16, head: &RecordHead, body: &mut Vec<u8>) -> bool {
        let Some(worker) = self.pool.worker(slot) else {
            // The worker was quicker than the message about its birth, which brings the file.
            self.lanes[usize::from(slot)].deferred = Some(*head);
            return false;
        };
        let read = spill::read(worker.spill.as_fd(), head, body);
        // Memory that can't be given back now is given back when the file is closed.
        let _ = spill::release(worker.spill.as_fd(), head);
        if let Err(error) = read {
            self.corrupt(
                slot,
                &format!("the body of a record can't be read ({error})"),
            );
            return false;
        }
        true
    }

    /// What the worker of `slot` writes can't be trusted any more: it is killed, which its death
    /// then explains.
    pub(super) fn corrupt(&mut self, slot: u16, what: &str) {
        let lane = &mut self.lanes[usize::from(slot)];
        if lane.corrupt.is_none() {
            lane.corrupt = Some(what.to_owned());
            // What else it has written is not to be taken for its successor's.
            self.segment.close(slot, "the worker wrote nonsense");
            self.pool.signal(slot, Signal::KILL);
        }
    }

    fn record(&mut self, slot: u16, head: &RecordHead, body: &[u8]) {
        if head.slot != slot || head.incarnation != self.pool.incarnation(slot) {
            return self.corrupt(slot, "a record is another worker's");
        }
        let record = match decode::record(head.kind, head.flags, head.test, slot, body) {
            Ok(record) => record,
            Err(error) => return self.corrupt(slot, &error.to_string()),
        };
        match record {
            Record::Test(mut result) => {
                if head.test >= self.segment.spec().tests {
                    return self.corrupt(slot, "a result of a test that does not exist");
                }
                if self.segment.claim_of(head.test) != Some((slot, head.incarnation)) {
                    return self.corrupt(slot, "a result of a test that was not its own");
                }
                if !self.test_states.finish(head.test) {
                    return self.corrupt(slot, "a second result of a test");
                }
                self.measurements.ran(slot, head.incarnation, head.test);
                self.keep(slot, head, body);
                self.measurements.discharge(&mut result);
                self.measurements.measure(&result);
                self.result(&result);
            }
            Record::Bye(bye) => {
                if self.options.controlled && bye.warnings == 0 {
                    self.keep(slot, head, body);
                }
                self.warnings(slot, head, body, bye.warnings);
                self.bye(slot, bye);
            }
            Record::Stop(stop) => {
                self.stop(&stop);
                self.note_stopped(slot, head.test);
            }
            Record::Log(text) => {
                let test_list = self.test_list;
                let nodeid =
                    (head.test < self.segment.spec().tests).then(|| test_list.shown(head.test));
                self.tell(&RunEvent::LiveLog {
                    slot,
                    nodeid: nodeid.as_deref(),
                    text: &text,
                });
            }
        }
    }

    /// A test has its result, or the host has added to it.
    pub(super) fn result(&mut self, result: &TestResult) {
        let failures = result
            .reports
            .iter()
            .filter(|report| report.is_failure)
            .count();
        self.exit_status.failures += failures as u64;
        self.closing.needs_report |= failures > 0
            || result.warnings > 0
            || result.reports.iter().any(|report| report.in_summary);
        let test_list = self.test_list;
        self.tell(&RunEvent::Finished {
            nodeid: &test_list.shown(result.test),
            result,
        });
        let limit = u64::from(self.options.maxfail);
        if limit > 0 && failures > 0 && self.exit_status.failures >= limit {
            self.exit_status.max_failures();
            self.segment.stop();
        }
    }

    /// Keeps a record for the summary and the controller.
    fn keep(&mut self, slot: u16, head: &RecordHead, body: &[u8]) {
        let worker = (slot, head.incarnation);
        self.record_log
            .push(head.kind, head.flags, head.test, worker, body);
    }

    /// A record outside of tests matters to the summary for its warnings only.
    fn warnings(&mut self, slot: u16, head: &RecordHead, body: &[u8], count: usize) {
        if count > 0 {
            self.closing.needs_report = true;
            self.keep(slot, head, body);
        }
    }

    fn bye(&mut self, slot: u16, bye: Bye) {
        let lane = &mut self.lanes[usize::from(slot)];
        lane.said_bye = true;
        lane.holds = bye.holds;
        self.exit_status.session_ended(bye.status.into());
        self.closing.add_properties(bye.properties);
    }

    /// A worker, or the host, wants the run to end.
    pub(super) fn stop(&mut self, stop: &Stop) {
        self.segment.stop();
        self.note_running();
        self.exit_status.worker_stop(stop);
        if stop.why == StopReason::InternalError {
            let lines: Vec<String> = stop
                .text
                .lines()
                .map(|line| format!("INTERNALERROR> {line}").trim_end().to_owned())
                .collect();
            self.tell(&RunEvent::Notice(&lines.join("\n")));
            self.closing
                .internal_error
                .get_or_insert_with(|| stop.text.clone());
        }
    }
}
