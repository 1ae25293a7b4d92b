//! A worker's end of the segment.

use std::os::fd::{BorrowedFd, RawFd};
use std::sync::Arc;

use super::claims::plan_walk::Walker;
use super::records::record::{self, Frame, SPILL_BODY};
use super::records::spill::SpillFile;
use super::records::writer::{Writer, Written};
use super::segment::process_event;
use super::sync::Ordering;
use super::{Outgoing, Phase, PushError, Segment, SegmentError, SlotHandle};

/// A worker's end of the segment: takes tests, shows what it does, writes records.
#[derive(Debug)]
pub struct WorkerEnd {
    handle: SlotHandle,
    incarnation: u16,
    walker: Walker,
    writer: Writer,
    bell: RawFd,
    spill: SpillFile,
    /// Offset of this incarnation's event.
    event: Option<usize>,
    counters: Counters,
}

/// What a worker counted, for `--stats`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Tests claimed.
    pub claims: u64,
    /// How many of these claims were of other workers' parts of the plan.
    pub steals: u64,
    /// Records written.
    pub records: u64,
    /// Bodies written to the spill file.
    pub spills: u64,
    /// Times the bell was rung.
    pub rings: u64,
    /// Times the ring was full and the worker slept.
    pub waits: u64,
    /// Such sleeps that the parent did not end.
    pub timeouts: u64,
}

impl WorkerEnd {
    /// Attaches incarnation `incarnation` of the worker of `slot`; one attach per incarnation.
    ///
    /// `bell` is the parent's eventfd; `spill` a file of this incarnation alone, empty. They stay
    /// the caller's. Either may be −1: then nobody is woken, and large bodies fail.
    ///
    /// # Errors
    /// [`SegmentError::NoSlot`], [`SegmentError::NotAssigned`] when it was given to another
    /// incarnation, [`SegmentError::Foreign`] when its positions make no sense.
    pub fn attach(
        segment: Arc<Segment>,
        slot: u16,
        incarnation: u16,
        bell: RawFd,
        spill: RawFd,
    ) -> Result<Self, SegmentError> {
        let slots = segment.spec().slots;
        if slot >= slots {
            return Err(SegmentError::NoSlot { slot, slots });
        }
        // Relaxed: written before this process was started, or told to attach.
        let owner = segment.owner(slot).load(Ordering::Relaxed);
        if owner as u16 != incarnation {
            return Err(SegmentError::NotAssigned {
                slot,
                incarnation,
                assigned: owner as u16,
            });
        }
        let writer = Writer::attach(&segment, slot).map_err(|what| SegmentError::Foreign {
            name: segment.name().to_owned(),
            what,
        })?;
        writer.end_wait(&segment);
        segment.stealing(slot).store(0, Ordering::Relaxed);
        let end = Self {
            incarnation,
            walker: Walker::new(&segment, slot, incarnation),
            writer,
            bell,
            spill: SpillFile::new(spill),
            event: segment.geometry().event((owner >> 32) as u32),
            counters: Counters::default(),
            handle: SlotHandle::new(segment, slot),
        };
        end.idle();
        Ok(end)
    }

    /// Takes a test: of the worker's own part of the plan and of what is open to all, then of the
    /// part with most work left, unless the plan is [shared](super::Sharing) otherwise. It always
    /// comes after all that it has taken before.
    ///
    /// `None` is final: there was nothing left to claim in any part, or somebody said
    /// [`stop`](Self::stop), or what is left is for a [fresh worker](Self::is_succeeded). The
    /// exception is work that was [not worth it yet](Self::may_ask_again).
    pub fn claim(&mut self) -> Option<u32> {
        let segment = self.handle.segment();
        let stealing = self.walker.stealing();
        let test = self.walker.claim(segment);
        if self.walker.stealing() {
            if !stealing {
                let shown = segment.stealing(self.handle.slot());
                shown.store(1, Ordering::Relaxed);
            }
            self.counters.steals += u64::from(test.is_some());
        }
        self.counters.claims += u64::from(test.is_some());
        test
    }

    /// Whether the last [`claim`](Self::claim) found work that another worker would finish earlier
    /// by itself. It may ask again a little later, in case that one is held up; nothing is lost if
    /// it does not.
    #[must_use]
    pub fn may_ask_again(&self) -> bool {
        self.walker.declined() && !self.stopped()
    }

    /// Whether a fresh worker is to go on in this one's place, with a test that was claimed for it:
    /// what is left to do lies behind what this process has run.
    #[must_use]
    pub fn is_succeeded(&self) -> bool {
        self.walker.succeeded()
    }

    /// What it costs to put a fresh worker in this one's place, µs, as far as that is known.
    pub fn set_fork_cost(&mut self, us: u64) {
        self.walker.fork_us = us;
    }

    /// Writes and commits a record if there is room for it; `false`: the ring is full, nothing was
    /// written.
    ///
    /// A body that is too large for the ring goes to the spill file first.
    ///
    /// # Errors
    /// [`PushError::Spill`] or [`PushError::Damaged`]; nothing was committed.
    pub fn try_push(&mut self, record: &Outgoing<'_>) -> Result<bool, PushError> {
        let slot = self.handle.slot();
        let damaged = |what| PushError::Damaged { slot, what };
        let total = self.total(record);
        let segment = self.handle.segment();
        let spilled = self.spills(record);
        let reference;
        let body = if spilled {
            // The space stays free until we use it, so a body is never spilled twice.
            if !self.writer.fits(segment, total).map_err(damaged)? {
                return Ok(false);
            }
            let spill = self
                .spill
                .append(record.body)
                .map_err(|source| PushError::Spill {
                    bytes: record.body.len(),
                    source,
                })?;
            self.counters.spills += 1;
            reference = spill.encode();
            &reference[..]
        } else {
            record.body
        };
        let frame = Frame {
            len: body.len() as u32,
            spilled,
            kind: record.kind,
            flags: record.flags,
            test: record.test,
            attempt: record.attempt,
            slot,
            incarnation: self.incarnation,
            mono_ns: super::monotonic_ns(),
        };
        match self.writer.write(segment, &frame, body).map_err(damaged)? {
            Written::Full => Ok(false),
            Written::Committed { filling } => {
                self.counters.records += 1;
                if (record.urgent || filling) && segment.must_ring() {
                    self.ring();
                }
                Ok(true)
            }
        }
    }

    /// Waits until there may be room for `record`: until the parent has made room, or a second is
    /// over, or for no reason.
    ///
    /// # Errors
    /// [`PushError::Damaged`].
    pub fn wait_for_space(&mut self, record: &Outgoing<'_>) -> Result<(), PushError> {
        let total = self.total(record);
        let slot = self.handle.slot();
        let damaged = |what| PushError::Damaged { slot, what };
        let segment = self.handle.segment();
        if !self.writer.announce_wait(segment, total).map_err(damaged)? {
            return Ok(());
        }
        self.counters.waits += 1;
        // Even if the parent seems awake: a full ring is worth a system call.
        self.ring();
        let segment = self.handle.segment();
        let woken = process_event::wait(segment.memory(), self.event);
        self.counters.timeouts += u64::from(!woken);
        self.writer.end_wait(segment);
        Ok(())
    }

    /// Writes and commits a record. While the ring is full, waits, and asks `poll` about every
    /// second whether to go on.
    ///
    /// # Errors
    /// [`PushError::Interrupted`] when `poll` said no, else as [`try_push`](Self::try_push).
    /// Nothing was committed.
    pub fn push(
        &mut self,
        record: &Outgoing<'_>,
        poll: &mut dyn FnMut() -> bool,
    ) -> Result<(), PushError> {
        while !self.try_push(record)? {
            self.wait_for_space(record)?;
            if !poll() {
                return Err(PushError::Interrupted);
            }
        }
        Ok(())
    }

    /// What it counted so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// The part that needs no exclusive access.
    #[must_use]
    pub fn handle(&self) -> &SlotHandle {
        &self.handle
    }

    /// `test` is in flight from now on, in setup.
    pub fn begin(&self, test: u32) {
        self.handle.begin(test);
    }

    /// The test in flight is in `phase` now.
    pub fn phase(&self, phase: Phase) {
        self.handle.phase(phase);
    }

    /// No test is in flight.
    pub fn idle(&self) {
        self.handle.idle();
    }

    /// Nobody, in no worker, claims a test any more.
    pub fn stop(&self) {
        self.handle.stop();
    }

    /// Whether the parent or any worker said [`stop`](Self::stop).
    #[must_use]
    pub fn stopped(&self) -> bool {
        self.handle.stopped()
    }

    fn spills(&self, record: &Outgoing<'_>) -> bool {
        record::total(record.body.len()) > self.handle.segment().geometry().record_limit()
    }

    /// Bytes in the ring.
    fn total(&self, record: &Outgoing<'_>) -> usize {
        record::total(if self.spills(record) {
            SPILL_BODY
        } else {
            record.body.len()
        })
    }

    fn ring(&mut self) {
        if self.bell < 0 {
            return;
        }
        self.counters.rings += 1;
        // SAFETY: the descriptor is not negative and used for this call only; if the test has
        // closed it, the call fails.
        let bell = unsafe { BorrowedFd::borrow_raw(self.bell) };
        // A full counter (EAGAIN) has already woken the parent, and nothing better can be done
        // about other errors: the parent looks by itself many times per second.
        let _ = rustix::io::write(bell, &1_u64.to_ne_bytes());
    }
}
