//! A worker's end of the segment.

use std::sync::{Mutex, TryLockError};
use std::time::Duration;

use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use rpytest::shm::{Outgoing, Phase, SlotHandle, WorkerEnd};

use crate::errors::{push_error, segment_error};
use crate::segment::Segment;

/// How often a worker without work looks whether another one is held up.
const ASK_AGAIN: Duration = Duration::from_millis(10);

/// A worker's end of a segment. Its methods may be called from any thread, `claim` and `push` from
/// one at a time.
#[pyclass(frozen, module = "rpytest._native")]
pub(crate) struct Worker {
    end: Mutex<WorkerEnd>,
    handle: SlotHandle,
}

#[pymethods]
impl Worker {
    #[new]
    fn new(
        segment: &Segment,
        slot: u16,
        incarnation: u16,
        bell: i32,
        spill: i32,
    ) -> PyResult<Self> {
        let end = WorkerEnd::attach(segment.segment.clone(), slot, incarnation, bell, spill)
            .map_err(segment_error)?;
        Ok(Self {
            handle: end.handle().clone(),
            end: Mutex::new(end),
        })
    }

    /// Takes a test; −1 when there is none left or the run was stopped.
    fn claim(&self) -> PyResult<i64> {
        Ok(exclusive(&self.end)?.claim().map_or(-1, i64::from))
    }

    /// Called by a worker that has found no test: waits until one is worth taking over, and takes
    /// it; −1 when none is left that could be.
    fn linger(&self, py: Python<'_>) -> PyResult<i64> {
        let mut end = exclusive(&self.end)?;
        // This worker's last test is torn down and recorded: nobody waits for that test any more.
        end.idle();
        loop {
            if let Some(test) = end.claim() {
                return Ok(test.into());
            }
            if !end.may_ask_again() {
                return Ok(-1);
            }
            py.detach(|| std::thread::sleep(ASK_AGAIN));
            py.check_signals()?;
        }
    }

    /// A fresh worker in the place of this one would take so many microseconds to get as far as
    /// this one is.
    fn set_fork_cost(&self, us: u64) -> PyResult<()> {
        exclusive(&self.end)?.set_fork_cost(us);
        Ok(())
    }

    /// The test is in flight from now on, in setup.
    fn begin(&self, test: u32) {
        self.handle.begin(test);
    }

    /// The test in flight is in its setup (0), call (1) or teardown (2).
    fn phase(&self, phase: u8) -> PyResult<()> {
        let phase = Phase::from_number(phase)
            .ok_or_else(|| PyValueError::new_err(format!("there is no phase {phase}")))?;
        self.handle.phase(phase);
        Ok(())
    }

    /// No test is in flight.
    fn idle(&self) {
        self.handle.idle();
    }

    /// Writes a record; waits while the ring is full.
    #[pyo3(signature = (kind, flags, test, body, urgent, attempt=0))]
    #[allow(clippy::too_many_arguments, reason = "in Python they are one record")]
    fn push(
        &self,
        py: Python<'_>,
        kind: u8,
        flags: u8,
        test: u32,
        body: &[u8],
        urgent: bool,
        attempt: u16,
    ) -> PyResult<()> {
        let record = Outgoing {
            kind,
            flags,
            test,
            attempt,
            body,
            urgent,
        };
        let mut end = exclusive(&self.end)?;
        while !end.try_push(&record).map_err(push_error)? {
            let end = &mut *end;
            py.detach(|| end.wait_for_space(&record))
                .map_err(push_error)?;
            // Signal handlers run here, so Ctrl-C ends the wait.
            py.check_signals()?;
        }
        Ok(())
    }

    /// Nobody, in no worker, claims a test any more.
    fn stop(&self) {
        self.handle.stop();
    }

    /// Whether the program or any worker stopped the run.
    fn stopped(&self) -> bool {
        self.handle.stopped()
    }

    /// What it counted so far: claims, steals, records, spills, rings of the bell, waits for room,
    /// waits in vain.
    fn counters(&self) -> PyResult<(u64, u64, u64, u64, u64, u64, u64)> {
        let counted = exclusive(&self.end)?.counters();
        Ok((
            counted.claims,
            counted.steals,
            counted.records,
            counted.spills,
            counted.rings,
            counted.waits,
            counted.timeouts,
        ))
    }
}

/// Never waits for another thread: it may be the one that waits for room with the interpreter's
/// lock released, and a signal handler of this very thread may call back into the worker.
fn exclusive(end: &Mutex<WorkerEnd>) -> PyResult<std::sync::MutexGuard<'_, WorkerEnd>> {
    match end.try_lock() {
        Ok(end) => Ok(end),
        // What a panic left half done is at most an uncommitted record.
        Err(TryLockError::Poisoned(end)) => Ok(end.into_inner()),
        Err(TryLockError::WouldBlock) => Err(PyRuntimeError::new_err(
            "`claim` or `push` was called while another call of the same worker was running",
        )),
    }
}
