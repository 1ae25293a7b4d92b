//! Workers that end, the tests that they take with them, and those who come in their place.

use rustix::process::Signal;

use super::lanes::Remains;
use super::lost::Lost;
use super::run::Run;
use super::synthetic_results::synthetic_result;
use crate::daemon::message::HostRequest;
use crate::event::RunEvent;
use crate::pool::{Death, Pool};

impl Run<'_> {
    /// The worker of `slot` is gone: reads its last records, settles what it had claimed, and
    /// replaces it if it crashed. `death` is `None` when there is no host any more to say how it
    /// ended.
    pub(super) fn bury(&mut self, slot: u16, death: Option<&Death>) {
        self.drain_fully(slot);
        if self.output.debugged() == Some(slot) {
            self.show(|output| output.lend_terminal(None));
        }
        let remains = self.lanes.bury(slot, &self.test_states);
        let is_regular = remains.said_bye && remains.corrupt.is_none();
        let is_followed = is_regular && self.succeed(slot, remains.incarnation);
        if !is_followed {
            self.lanes.give_back(slot, remains.incarnation);
        }
        if is_regular {
            if let Some(death) = death.filter(|death| !death.is_clean()) {
                let text = format!("[worker {slot}] {} after its last test", death.cause());
                self.tell(&RunEvent::Notice(&text));
            }
        } else if !self.was_interrupted(death) {
            self.crashed(slot, remains, death);
        }
        if !self.lanes.pool().is_occupied(slot) {
            self.lanes.segment.vacate(slot);
        }
    }

    /// A worker has ended its session because what is left lies behind what it has run: sends a
    /// fresh one in its place, which has seen nothing. That is no crash, and counts for no limit.
    fn succeed(&mut self, slot: u16, incarnation: u16) -> bool {
        let has_run = self.measurements.has_run_any(slot, incarnation);
        self.lanes.has_more(slot, incarnation, has_run)
            && self.host.is_connected()
            && !self.lanes.segment.stopped()
            && !self.exit_status.is_stopped()
            && (self.host).spawn(slot, self.lanes.reserve(slot, Pool::succeed))
    }

    /// The interrupt that was sent to all workers ended it: no crash.
    fn was_interrupted(&self, death: Option<&Death>) -> bool {
        let by_interrupt = death.is_some_and(|death| death.signal() == Some(Signal::INT.as_raw()));
        self.closing.interrupts > 1 || (self.closing.interrupts == 1 && by_interrupt)
    }

    fn crashed(&mut self, slot: u16, remains: Remains, death: Option<&Death>) {
        let in_flight = remains.in_flight;
        let cause = match (&remains.corrupt, death) {
            (Some(what), _) => {
                format!("its result ring was overwritten ({what}), so it was killed")
            }
            (None, None) => "the run's host process died".to_owned(),
            (None, Some(death)) if death.is_clean() && in_flight.is_some() => {
                "exit status 0 before the test was finished".to_owned()
            }
            (None, Some(death)) if death.is_clean() => {
                "exit status 0 before its session was finished".to_owned()
            }
            (None, Some(death)) => death.cause(),
        };
        self.closing.needs_report = true;
        if let Some(lost) = &in_flight {
            self.measurements.ran(slot, remains.incarnation, lost.test);
        }
        let replacement = (self.replacements).replace(slot, &mut self.lanes, &self.host);
        let test_list = self.test_list;
        let nodeid = in_flight.as_ref().map(|lost| test_list.shown(lost.test));
        self.tell(&RunEvent::Crashed {
            slot,
            cause: &cause,
            test: nodeid.as_deref(),
            replacement,
        });
        match in_flight {
            // Without a host it is one of all the tests that have no result: `nobody_will_say`.
            Some(lost) if death.is_some() => {
                let id = test_list.id(lost.test);
                let phase = match lost.when {
                    "teardown" => " (in its teardown)",
                    _ => "",
                };
                let message =
                    format!("worker 'gw{slot}' crashed while running '{id}': {cause}{phase}");
                self.lose(Lost { message, ..lost });
            }
            Some(_) => {}
            None => {
                self.exit_status.crash = true;
                if let Some(stack) = death.map(|death| &death.stack).filter(|s| !s.is_empty()) {
                    self.tell(&RunEvent::Notice(stack.trim_end_matches('\n')));
                }
            }
        }
    }

    /// Everything that follows from the present state: requests to the host, fresh workers, tests
    /// that can't run any more.
    pub(super) fn settle(&mut self) {
        if !self.host.is_connected() {
            self.settle_without_host();
        }
        if !self.lanes.pool().any_occupied()
            && !self.exit_status.is_stopped()
            && self.test_states.missing().next().is_some()
        {
            self.nobody_left();
        }
        while let Some(lost) = self.lost.ask() {
            let request = HostRequest::Crashed {
                test: lost.test,
                message: &lost.message,
                when: lost.when,
                duration: lost.duration,
                slot: lost.slot,
                in_flight: lost.in_flight,
            };
            self.host.send(&request, &[]);
        }
    }

    /// The host is to make a report of a test; until then nobody else gives it a result.
    fn lose(&mut self, lost: Lost) {
        self.test_states.ask(lost.test);
        self.lost.push(lost);
    }

    /// All tests that have no result become errors, by name; `message` has their node id and says
    /// why.
    fn lose_missing(&mut self, message: impl Fn(&str) -> String) {
        let missing: Vec<u32> = self.test_states.missing().collect();
        for test in missing {
            let message = message(self.test_list.id(test));
            self.lose(Lost::not_run(test, message));
        }
    }

    /// Workers have left and tests are without a result: somebody else has to run them, or they are
    /// errors, by name.
    fn nobody_left(&mut self) {
        let (tests, lanes) = (&self.test_states, &mut self.lanes);
        if self.replacements.begin_serial(tests, lanes, &self.host)
            || self.replacements.revive(tests.done(), lanes, &self.host)
        {
            return;
        }
        let why = if self.replacements.exhausted {
            format!(
                "more than {} workers crashed (`--max-worker-restart`)",
                self.lanes.pool().max_restarts()
            )
        } else if self.lanes.segment.stopped() {
            "a worker stopped the run without saying why".to_owned()
        } else {
            "all workers ended without running it".to_owned()
        };
        self.lose_missing(|id| format!("'{id}' did not run: {why}"));
    }

    /// Nobody reaps the killed workers or makes reports.
    fn settle_without_host(&mut self) {
        self.drain_all();
        let patient = self.host.is_patient();
        for slot in 0..self.lanes.pool().len() {
            let running = self
                .lanes
                .pool()
                .worker(slot)
                .is_some_and(|worker| !worker.ended);
            // One that the dead host was asked for will never come.
            if self.lanes.pool().is_occupied(slot) && !(running && patient) {
                self.bury(slot, None);
            }
        }
        if self.exit_status.has_lost_its_host() && !self.lanes.pool().any_occupied() {
            self.nobody_will_say();
        }
        self.make_up_lost();
    }

    /// The host is gone and nobody interrupted the run: every test without a result is an error, by
    /// name.
    fn nobody_will_say(&mut self) {
        self.lose_missing(|id| format!("'{id}' has no result: the run's host process died"));
    }

    /// Results of the tests about which the host can't be asked any more.
    fn make_up_lost(&mut self) {
        for lost in self.lost.take() {
            self.test_states.finish(lost.test);
            self.closing.needs_report = true;
            let nodeid = self.test_list.id(lost.test);
            let result = synthetic_result(&lost, nodeid, self.options.junit.is_some());
            self.result(&result);
        }
    }

    /// The host says that it has ended the run by itself, because something went wrong in it.
    pub(super) fn host_gave_up(&mut self) {
        self.drain_all();
        if !self.exit_status.is_stopped() && self.test_states.unfinished() > 0 {
            self.exit_status.host_died();
            self.nobody_will_say();
        }
        // Of a stopped run, too, those that have crashed are told by name.
        self.make_up_lost();
    }
}
