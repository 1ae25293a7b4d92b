//! The state of a run and its one loop.

use std::os::fd::AsFd;
use std::time::Duration;

use super::closing::Closing;
use super::exit_status::ExitStatus;
use super::host_link::HostLink;
use super::lanes::{Lanes, elapsed};
use super::lost::LostTests;
use super::measurements::Measurements;
use super::output::{Output, TICK};
use super::record_log::RecordLog;
use super::replacements::Replacements;
use super::setup::{Finished, Setup};
use super::silence::Silence;
use super::stats::Stats;
use super::test_states::TestStates;
use crate::daemon::message::{HostRequest, Options};
use crate::error::{Error, Result};
use crate::event::RunEvent;
use crate::pool::{Pool, Ready, Signals, Watched, wait};
use crate::test_list::TestList;

/// Longest sleep while only the host is at work.
const SLOW_TICK: Duration = Duration::from_millis(250);

/// Dispatches what happens: it asks the lanes for records, the host for messages and the system for
/// signals and deaths, and tells each part what it has to know of that. No part knows the run.
pub(super) struct Run<'a> {
    pub(super) options: &'a Options,
    pub(super) test_list: &'a TestList,
    signals: &'a mut Signals,
    pub(super) output: Output<'a>,
    pub(super) host: HostLink<'a>,
    pub(super) lanes: Lanes,
    pub(super) test_states: TestStates,
    pub(super) exit_status: ExitStatus,
    pub(super) record_log: RecordLog,
    pub(super) measurements: Measurements,
    pub(super) lost: LostTests,
    pub(super) closing: Closing,
    pub(super) replacements: Replacements,
    pub(super) silence: Silence,
}

/// Runs the tests and reports them.
///
/// # Errors
/// What keeps the run from starting. Everything later is part of the run and ends up in
/// [`Finished`].
pub fn execute(setup: Setup<'_>) -> Result<Finished> {
    let (start, timings) = (setup.start.clone(), setup.timings);
    let mut run = Run::new(setup)?;
    run.tell(&RunEvent::Started(&start));
    run.go(timings);
    run.work();
    Ok(run.finish())
}

impl<'a> Run<'a> {
    fn new(setup: Setup<'a>) -> Result<Self> {
        let stats = setup.options.stats.then(Stats::new);
        let pool = Pool::new(setup.slots, setup.max_restarts);
        Ok(Self {
            options: setup.options,
            test_list: setup.test_list,
            signals: setup.signals,
            output: Output::new(setup.reporters),
            host: HostLink::new(setup.connection, setup.log),
            lanes: Lanes::new(setup.segment, pool, stats)?,
            test_states: TestStates::new(setup.test_list.len(), setup.planned),
            // pytest's own counter for `--maxfail` includes them.
            exit_status: ExitStatus::new(setup.options.collect_errors),
            record_log: RecordLog::default(),
            measurements: Measurements::new(setup.slots),
            lost: LostTests::default(),
            closing: Closing {
                began: setup.began,
                began_epoch: setup.began_epoch,
                elsewhere: setup.start.elsewhere,
                needs_report: setup.options.needs_report,
                interrupts: 0,
                running: Vec::new(),
                internal_error: None,
                properties: setup.start.suite_properties,
            },
            replacements: Replacements::new(setup.serial),
            silence: Silence::new(),
        })
    }

    /// Lets the host fork the first workers.
    fn go(&mut self, timings: bool) {
        for slot in 0..self.lanes.pool().len() {
            self.lanes.segment.assign_event(slot, 0, slot.into());
        }
        let request = HostRequest::Go {
            segment: self.lanes.segment.name(),
            slots: self.lanes.pool().len(),
            timings,
        };
        self.host.send(&request, &[self.lanes.bell()]);
    }

    /// Until every test has its final state and no worker is left.
    fn work(&mut self) {
        loop {
            self.drain_all();
            self.settle();
            self.stream();
            if self.is_over() {
                return;
            }
            self.wait();
        }
    }

    fn is_over(&self) -> bool {
        let is_idle = || !self.lanes.pool().any_occupied() || self.only_exits_are_left();
        self.host.said.exit_status.is_some() || (self.lost.is_empty() && is_idle())
    }

    /// Every test has its result, and all that workers still do is to go, which takes a while for a
    /// large process. The host waits for that when nobody waits for the host. Not with shared
    /// fixtures: their finalizers run after the last worker.
    fn only_exits_are_left(&self) -> bool {
        self.host.is_connected()
            && !self.host.said.shares
            && self.closing.interrupts == 0
            && !self.exit_status.is_stopped()
            && self.test_states.unfinished() == 0
            && self.lanes.have_finished()
    }

    /// Hands what is new to the controller, if it wants to see reports while the run goes on.
    fn stream(&mut self) {
        // One message at a time: a slow hook must make neither this process nor the host wait.
        if !self.options.stream || !self.host.is_connected() || self.host.said.streaming {
            return;
        }
        match self.record_log.news() {
            Ok(None) => {}
            Ok(Some((memfd, len))) => {
                self.host.said.streaming = true;
                let request = HostRequest::Reports { len };
                self.host.send(&request, &[memfd.as_fd()]);
            }
            Err(error) => self.output.fail(Error::os("make a file in memory", error)),
        }
    }

    /// Sleeps until something happens, and takes note of it.
    pub(super) fn wait(&mut self) {
        // What has waited long enough is written out: a `limit` of zero would make the loop spin.
        if self.output.due().is_some_and(|due| due.is_zero()) {
            self.show(Output::flush);
        }
        let limit = self.limit();
        let unread = self.lanes.arm();
        let watched = Watched {
            control: self.host.watched(),
            signals: self.signals.as_fd(),
            bell: Some(self.lanes.bell()),
            workers: self.lanes.pool().watched().collect(),
        };
        let ready = wait(&watched, Some(if unread { Duration::ZERO } else { limit }));
        self.lanes.segment.disarm();
        if !unread && ready.as_ref().is_ok_and(Ready::is_nothing) {
            self.host.was_quiet_for(limit);
            self.show(Output::flush);
        }
        let ready = ready.unwrap_or_else(|error| {
            // Out of memory for the list: try again a little later rather than losing the run.
            self.output.fail(Error::os("wait for events", error));
            std::thread::sleep(TICK);
            Ready::default()
        });
        self.lanes.woke(&ready);
        if ready.signals {
            for signal in self.signals.pending() {
                self.signal(signal);
            }
        }
        if ready.control && self.host.is_connected() {
            self.receive();
        }
        self.listen(!ready.is_nothing());
        // The status line's news.
        if self.output.takes_running() {
            let running = self.running();
            self.show(|output| output.tell_running(&running));
        }
    }

    fn limit(&self) -> Duration {
        let tick = if self.lanes.pool().any_occupied() {
            TICK
        } else {
            SLOW_TICK
        };
        self.output.due().map_or(tick, |due| due.min(tick))
    }

    /// The tests in flight: worker, node id as it is shown, and time since its set-up began.
    pub(super) fn running(&self) -> Vec<(u16, String, Duration)> {
        self.lanes
            .in_flight(&self.test_states)
            .map(|(slot, test, elapsed)| (slot, self.test_list.shown(test).into_owned(), elapsed))
            .collect()
    }

    /// The run is interrupted: notes what is running, once.
    pub(super) fn note_running(&mut self) {
        if self.closing.running.is_empty() {
            self.closing.running = self.lanes.in_flight(&self.test_states).collect();
        }
    }

    /// The same for a test that has ended the run: its worker may be gone by now.
    pub(super) fn note_stopped(&mut self, slot: u16, test: u32) {
        let is_noted = self.closing.running.iter().any(|noted| noted.1 == test);
        let segment = &self.lanes.segment;
        if test < segment.spec().tests && self.test_states.is_missing(test) && !is_noted {
            let elapsed = elapsed(&segment.slot_state(slot));
            self.closing.running.push((slot, test, elapsed));
        }
    }

    /// Says who is waited for when nothing has `happened` for a while.
    fn listen(&mut self, happened: bool) {
        let (done, may_tell) = (self.test_states.done(), self.output.debugged().is_none());
        if self.silence.is_long(happened, done, may_tell) {
            let mut notices = self.silence.of_workers(&self.lanes, &self.test_states);
            notices.extend(self.silence.of_host(&self.host));
            for text in notices {
                self.tell(&RunEvent::Notice(&text));
            }
        }
    }

    /// Tells the reporters what has happened.
    pub(super) fn tell(&mut self, event: &RunEvent<'_>) {
        self.show(|output| output.tell(event));
    }

    /// Shows something. A run whose output nobody can read is not worth finishing.
    pub(super) fn show(&mut self, write: impl FnOnce(&mut Output<'a>) -> bool) {
        if !write(&mut self.output) {
            self.exit_status.output_closed();
            self.lanes.segment.stop();
        }
    }
}
