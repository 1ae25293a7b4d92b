//! From rings to results.

use super::run::Run;
use crate::decode::{Record, Stop, StopReason};
use crate::event::{RunEvent, TestResult};
use crate::shm::RecordHead;

/// Records read from one ring before the next one has its turn.
const TURN: usize = 256;

impl Run<'_> {
    /// Reads all rings until they are empty.
    pub(super) fn drain_all(&mut self) {
        loop {
            let mut any = false;
            for slot in 0..self.lanes.pool().len() {
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
        let mut count = 0;
        while count < TURN
            && let Some((head, record)) = self.lanes.read(slot)
        {
            self.record(&head, record);
            count += 1;
        }
        self.lanes.end_turn(slot);
        count == TURN
    }

    fn record(&mut self, head: &RecordHead, record: Record) {
        let slot = head.slot;
        match record {
            Record::Test(mut result) => {
                if !self.test_states.finish(head.test) {
                    let what = "a second result of a test".into();
                    return self.lanes.distrust(slot, what);
                }
                self.measurements.ran(slot, head.incarnation, head.test);
                self.keep(head);
                self.measurements.discharge(&mut result);
                self.measurements.measure(&result);
                self.result(&result);
            }
            Record::Bye(bye) => {
                if self.options.controlled && bye.warnings == 0 {
                    self.keep(head);
                }
                self.warnings(head, bye.warnings);
                self.exit_status.session_ended(bye.status.into());
                self.closing.add_properties(bye.properties);
            }
            Record::Stop(stop) => {
                self.stop(&stop);
                self.note_stopped(slot, head.test);
            }
            Record::Log(text) => {
                let test_list = self.test_list;
                let is_test = head.test < self.lanes.segment.spec().tests;
                let nodeid = is_test.then(|| test_list.shown(head.test));
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
            self.lanes.segment.stop();
        }
    }

    /// Keeps the record that was read last for the summary and the controller.
    fn keep(&mut self, head: &RecordHead) {
        let worker = (head.slot, head.incarnation);
        self.record_log
            .push(head.kind, head.flags, head.test, worker, self.lanes.body());
    }

    /// A record outside of tests matters to the summary for its warnings only.
    fn warnings(&mut self, head: &RecordHead, count: usize) {
        if count > 0 {
            self.closing.needs_report = true;
            self.keep(head);
        }
    }

    /// A worker, or the host, wants the run to end.
    pub(super) fn stop(&mut self, stop: &Stop) {
        self.lanes.segment.stop();
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
