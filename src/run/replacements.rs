//! Workers that come after the first ones.

use std::collections::{HashSet, VecDeque};

use super::host_link::HostLink;
use super::lanes::Lanes;
use super::test_states::TestStates;
use crate::event::{Replacement, limit_reached};
use crate::plan::Serial;
use crate::pool::Pool;

/// Decides which workers are sent for after the first ones: in place of those that crashed, for
/// tests that were given back, and for tests that run alone.
#[derive(Debug, Default)]
pub(super) struct Replacements {
    /// Workers that have crashed.
    crashes: u32,
    /// What the end of the report says of the first crash that was one too many.
    pub crash_limit: Option<String>,
    /// A crashed worker was not replaced because too many had crashed.
    pub exhausted: bool,
    /// What is still withheld.
    serial: VecDeque<Serial>,
    /// Number of results when workers were last sent for tests that were given back.
    revived_at: Option<usize>,
}

impl Replacements {
    /// `serial`: tests that run alone, after all others.
    pub fn new(serial: Vec<Serial>) -> Self {
        Self {
            serial: serial.into(),
            ..Self::default()
        }
    }

    /// Something new can be run: workers may be sent for it even if there was no result since.
    pub fn revive_again(&mut self) {
        self.revived_at = None;
    }

    /// Sends for a worker in place of one that crashed, if there is something to do for it.
    pub fn replace(&mut self, slot: u16, lanes: &mut Lanes, host: &HostLink<'_>) -> Replacement {
        self.crashes += 1;
        let limit = lanes.pool().max_restarts();
        if !host.is_connected() || lanes.segment.stopped() {
            return Replacement::Ending;
        }
        if lanes.segment.unclaimed_for(slot) == 0 {
            if self.crashes <= limit {
                return Replacement::NothingLeft;
            }
        } else if host.spawn(slot, lanes.reserve(slot, Pool::restart)) {
            return Replacement::Coming;
        } else {
            self.exhausted = true;
        }
        if self.crash_limit.is_some() {
            // It is said once.
            return Replacement::Ending;
        }
        self.crash_limit = Some(format!("xdist: {}", limit_reached(slot, limit)));
        Replacement::Limit(limit)
    }

    /// When all other tests have their results and no worker is left, hands out the next tests that
    /// run alone and sends for a worker. Workers of before have ended, the teardown of their
    /// fixtures included: nothing else runs.
    pub fn begin_serial(
        &mut self,
        tests: &TestStates,
        lanes: &mut Lanes,
        host: &HostLink<'_>,
    ) -> bool {
        let withheld = self.serial.iter().flat_map(|serial| &serial.tests);
        let withheld: HashSet<u32> = withheld.copied().collect();
        if lanes.segment.stopped() || tests.missing().any(|test| !withheld.contains(&test)) {
            return false;
        }
        let Some(serial) = self.serial.pop_front() else {
            return false;
        };
        for test in serial.tests {
            lanes.segment.hand_out(test);
        }
        let is_sent = host.spawn(serial.slot, lanes.reserve(serial.slot, Pool::next));
        if is_sent {
            self.revived_at = None;
        }
        is_sent
    }

    /// When no worker is left, sends for as many as can take up what was given back; not if nothing
    /// came of that the last time. `false`: nobody comes.
    pub fn revive(&mut self, done: usize, lanes: &mut Lanes, host: &HostLink<'_>) -> bool {
        let mut unclaimed = lanes.segment.unclaimed();
        if unclaimed == 0
            || lanes.segment.stopped()
            || self.revived_at == Some(done)
            || self.exhausted
        {
            return false;
        }
        self.revived_at = Some(done);
        for slot in 0..lanes.pool().len() {
            if unclaimed > 0
                && lanes.segment.unclaimed_for(slot) > 0
                && host.spawn(slot, lanes.reserve(slot, Pool::next))
            {
                unclaimed -= 1;
            }
        }
        lanes.pool().any_occupied()
    }
}
