//! The workers of a run: their slots, their rings, and what they have claimed.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;

use super::lost::Lost;
use super::stats::Stats;
use super::test_states::TestStates;
use crate::decode::{self, Record};
use crate::error::Error;
use crate::pool::{Pool, Ready, Worker};
use crate::shm::records::spill;
use crate::shm::{Phase, RecordHead, Segment, Sharing, SlotState, Waker, monotonic_ns};

/// Bytes of a body beyond which its memory is given back.
const LARGE: usize = 1 << 20;

/// Turns what workers do into what the run can act on: bytes in rings into records that can be
/// trusted, the end of a process into claims that are free again. What a record or a death means
/// for the run is not known here.
pub(super) struct Lanes {
    /// The claims of tests, and whether workers may take any.
    pub segment: Arc<Segment>,
    pool: Pool,
    lanes: Vec<Lane>,
    waker: Waker,
    bell: OwnedFd,
    /// Of the record that was read last; one buffer for all of them.
    body: Vec<u8>,
    stats: Option<Stats>,
}

/// What is known about the worker in a slot beside its process.
#[derive(Debug, Default)]
struct Lane {
    /// It has finished its session.
    said_bye: bool,
    /// It has files, threads or memory that it gives back only when it is gone.
    holds: bool,
    /// Why nothing more is read from its ring.
    corrupt: Option<String>,
    /// A record whose body lies in a spill file that has not come yet.
    deferred: Option<RecordHead>,
    /// It has waited for room in its ring during this turn.
    wants_room: bool,
}

impl Lane {
    /// Whether its ring is read.
    fn is_open(&self) -> bool {
        self.corrupt.is_none() && self.deferred.is_none()
    }
}

/// What a worker that is gone has left.
pub(super) struct Remains {
    pub incarnation: u16,
    /// It had finished its session.
    pub said_bye: bool,
    /// Why nothing more was read from its ring.
    pub corrupt: Option<String>,
    /// The test that it was running, as far as that has no result.
    pub in_flight: Option<Lost>,
}

/// The method of [`Pool`] that reserves a worker: its incarnation and its event.
pub(super) type Reserve = fn(&mut Pool, u16) -> Option<(u16, u32)>;

impl Lanes {
    /// A lane for each slot of the pool, with its first worker on its way.
    pub fn new(segment: Arc<Segment>, pool: Pool, stats: Option<Stats>) -> Result<Self, Error> {
        let flags = rustix::event::EventfdFlags::CLOEXEC | rustix::event::EventfdFlags::NONBLOCK;
        let bell = rustix::event::eventfd(0, flags)
            .map_err(|errno| Error::os("make an eventfd", errno.into()))?;
        Ok(Self {
            waker: segment.waker(),
            segment,
            lanes: (0..pool.len()).map(|_| Lane::default()).collect(),
            pool,
            bell,
            body: Vec::new(),
            stats,
        })
    }

    /// The processes: to look at, and to send signals to.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// What workers write to when they have written a record while the loop sleeps.
    pub fn bell(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }

    /// The loop is about to sleep, workers are to ring the bell; `true`: there is something to read
    /// already. What was committed before the worker could see `armed` rings no bell.
    pub fn arm(&self) -> bool {
        self.segment.arm();
        self.segment.has_data() && self.lanes.iter().all(Lane::is_open)
    }

    /// The loop has woken up, and this has happened meanwhile.
    pub fn woke(&mut self, ready: &Ready) {
        if let Some(stats) = &mut self.stats {
            stats.wakes += 1;
            stats.bells += u64::from(ready.bell);
        }
        if ready.bell {
            // Its value does not matter: all rings are looked at after every wake-up.
            let _ = rustix::io::read(&self.bell, &mut [0_u8; 8]);
        }
        for &slot in &ready.ended {
            self.pool.ended(slot);
        }
    }

    /// Lines for the user about rings and wake-ups, if they were asked for.
    pub fn notes(&self) -> Vec<String> {
        self.stats.as_ref().map(Stats::notes).unwrap_or_default()
    }

    /// The tests in flight: worker, test and time since its set-up began.
    pub fn in_flight(&self, tests: &TestStates) -> impl Iterator<Item = (u16, u32, Duration)> {
        self.pool.watched().filter_map(|(slot, _)| {
            let state = self.segment.slot_state(slot);
            let test = state.current.filter(|&test| tests.is_missing(test))?;
            Some((slot, test, elapsed(&state)))
        })
    }

    /// Whether every worker has finished its session and said so, and holds nothing: all that it
    /// still does is to go, which takes a while for a large process.
    pub fn have_finished(&self) -> bool {
        (self.lanes.iter().zip(0..)).all(|(lane, slot)| {
            !self.pool.is_occupied(slot) || (lane.said_bye && !lane.holds && lane.is_open())
        })
    }

    /// The next record of a lane; `None`: there is none now. Its worker has written it and had the
    /// right to. Its [body](Self::body) is there until the next one is read. Some reads are a turn,
    /// which [ends](Self::end_turn).
    pub fn read(&mut self, slot: u16) -> Option<(RecordHead, Record)> {
        self.try_read(slot).unwrap_or_else(|what| {
            self.distrust(slot, what);
            None
        })
    }

    fn try_read(&mut self, slot: u16) -> Result<Option<(RecordHead, Record)>, String> {
        let lane = &mut self.lanes[usize::from(slot)];
        if lane.corrupt.is_some() {
            return Ok(None);
        }
        let head = match lane.deferred.take() {
            None => self.segment.reader(slot).next(&mut self.body),
            deferred => Ok(deferred),
        };
        let Some(head) = head.map_err(|corrupt| corrupt.what.to_owned())? else {
            return Ok(None);
        };
        lane.wants_room |= head.space_waiter;
        if head.spilled.is_some() && !self.unspill(slot, &head)? {
            return Ok(None);
        }
        if let Some(stats) = &mut self.stats {
            stats.record(head.mono_ns, monotonic_ns(), self.body.len());
            stats.spilled += u64::from(head.spilled.is_some());
        }
        if head.slot != slot || head.incarnation != self.pool.incarnation(slot) {
            return Err("a record is another worker's".into());
        }
        let record = decode::record(head.kind, head.flags, head.test, slot, &self.body)
            .map_err(|error| error.to_string())?;
        match &record {
            Record::Test(_) if head.test >= self.segment.spec().tests => {
                return Err("a result of a test that does not exist".into());
            }
            Record::Test(_)
                if self.segment.claim_of(head.test) != Some((slot, head.incarnation)) =>
            {
                return Err("a result of a test that was not its own".into());
            }
            Record::Bye(bye) => {
                let lane = &mut self.lanes[usize::from(slot)];
                lane.said_bye = true;
                lane.holds = bye.holds;
            }
            _ => {}
        }
        Ok(Some((head, record)))
    }

    /// The body of the record that was read last.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Another lane has its turn to be read.
    pub fn end_turn(&mut self, slot: u16) {
        // A body with much output is not kept for the next one.
        if self.body.capacity() > LARGE {
            self.body = Vec::new();
        }
        if std::mem::take(&mut self.lanes[usize::from(slot)].wants_room) {
            self.waker.wake(slot);
            if let Some(stats) = &mut self.stats {
                stats.full += 1;
            }
        }
    }

    /// Reads a body from the worker's spill file; `false`: not now.
    fn unspill(&mut self, slot: u16, head: &RecordHead) -> Result<bool, String> {
        let Some(worker) = self.pool.worker(slot) else {
            // The worker was quicker than the message about its birth, which brings the file.
            self.lanes[usize::from(slot)].deferred = Some(*head);
            return Ok(false);
        };
        let read = spill::read(worker.spill.as_fd(), head, &mut self.body);
        // Memory that can't be given back now is given back when the file is closed.
        let _ = spill::release(worker.spill.as_fd(), head);
        read.map_err(|error| format!("the body of a record can't be read ({error})"))?;
        Ok(true)
    }

    /// What the worker of `slot` writes can't be trusted any more: it is killed, which its death
    /// then explains.
    pub fn distrust(&mut self, slot: u16, what: String) {
        let lane = &mut self.lanes[usize::from(slot)];
        if lane.corrupt.is_none() {
            lane.corrupt = Some(what);
            // What else it has written is not to be taken for its successor's.
            self.segment.close(slot, "the worker wrote nonsense");
            self.pool.signal(slot, Signal::KILL);
        }
    }

    /// The host has forked a worker; `false`: it was not asked for this one.
    pub fn born(&mut self, slot: u16, incarnation: u16, worker: Worker) -> bool {
        let is_ours = self.pool.born(slot, incarnation, worker);
        if is_ours && self.lanes[usize::from(slot)].corrupt.is_some() {
            self.pool.signal(slot, Signal::KILL);
        }
        is_ours
    }

    /// The worker of `slot` is gone, and everything that it had written was read: empties the slot
    /// and gives back what it had claimed and not finished, but for the test that died with it.
    pub fn bury(&mut self, slot: u16, tests: &TestStates) -> Remains {
        let incarnation = self.pool.incarnation(slot);
        let lane = std::mem::take(&mut self.lanes[usize::from(slot)]);
        let in_flight = self.died_with(slot, incarnation, tests);
        self.pool.reaped(slot, incarnation);
        self.segment.clear_state(slot);
        for test in tests.missing() {
            if in_flight.as_ref().is_none_or(|lost| lost.test != test)
                && self.segment.claim_of(test) == Some((slot, incarnation))
            {
                self.segment.release(test, slot, incarnation);
            }
        }
        self.segment.release_units(slot, incarnation);
        Remains {
            incarnation,
            said_bye: lane.said_bye,
            corrupt: lane.corrupt,
            in_flight,
        }
    }

    /// The test that the worker was running, as far as it has no result.
    fn died_with(&self, slot: u16, incarnation: u16, tests: &TestStates) -> Option<Lost> {
        let state = self.segment.slot_state(slot);
        let test = state.current?;
        let own = state.incarnation == incarnation
            && tests.is_missing(test)
            && self.segment.claim_of(test) == Some((slot, incarnation));
        own.then(|| Lost {
            test,
            in_flight: true,
            slot,
            when: match state.phase {
                Phase::Setup => "setup",
                Phase::Teardown => "teardown",
                Phase::Call | Phase::Idle => "call",
            },
            duration: elapsed(&state).as_secs_f64(),
            message: String::new(),
        })
    }

    /// Whether work is left for which another process has to take this one's place, which
    /// `has_run` a test or not.
    pub fn has_more(&self, slot: u16, incarnation: u16, has_run: bool) -> bool {
        match self.segment.plan().sharing {
            // In a fixed sequence another process begins, unless nothing became of this one.
            Sharing::Own => has_run && self.segment.unclaimed_for(slot) > 0,
            Sharing::Steal | Sharing::Queue => incarnation
                .checked_add(1)
                .is_some_and(|next| self.segment.reserved_test(slot, next).is_some()),
        }
    }

    /// Nobody follows the worker: what it had claimed for its successor is anybody's again.
    pub fn give_back(&self, slot: u16, incarnation: u16) {
        let Some(next) = incarnation.checked_add(1) else {
            return;
        };
        if let Some(test) = self.segment.reserved_test(slot, next) {
            self.segment.release(test, slot, next);
            self.segment.release_units(slot, next);
        }
    }

    /// Makes the slot ready for another worker, whose process the pool `reserve`s if there may be
    /// one; its incarnation, for the host.
    pub fn reserve(&mut self, slot: u16, reserve: Reserve) -> Option<u16> {
        let (incarnation, event) = reserve(&mut self.pool, slot)?;
        self.segment.clear_state(slot);
        self.segment.assign_event(slot, incarnation, event);
        Some(incarnation)
    }
}

/// How long a worker has been at its test.
pub(super) fn elapsed(state: &SlotState) -> Duration {
    Duration::from_nanos(monotonic_ns().saturating_sub(state.started_ns))
}
