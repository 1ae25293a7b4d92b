//! Shared memory between the program and its workers: who runs which test, and what came of it.
//!
//! The parent makes one [`Segment`] per run. Workers take tests from the plan in it by themselves
//! ([`WorkerEnd::claim`]) and write results into a ring of their own ([`WorkerEnd::push`]); the parent reads the rings
//! ([`Reader::next`]). In the steady state neither side makes a system call for it. `docs/design/ring.md` has the
//! layout, the invariants, and why.
//!
//! ```
//! use std::sync::Arc;
//! use rpytest::ring::{Outgoing, PlanEntry, PlanTable, Segment, SegmentSpec, WorkerEnd};
//!
//! let spec = SegmentSpec { slots: 1, tests: 1, ring_bytes: 4096, incarnations: 1 };
//! let plan = PlanTable { entries: vec![PlanEntry::default()], parts: vec![(0, 1)], ..PlanTable::default() };
//! let segment = Arc::new(Segment::create(&spec, &plan)?);
//!
//! // In a worker process it would be `Segment::open(name)`, or the one that was there before the fork.
//! let mut worker = WorkerEnd::attach(segment.clone(), 0, 0, -1, -1)?;
//! let test = worker.claim().expect("there is a test");
//! let record = Outgoing { kind: 1, flags: 0, test, attempt: 0, body: b"passed", urgent: true };
//! worker.push(&record, &mut || true)?;
//! assert_eq!(worker.claim(), None);
//!
//! let mut body = Vec::new();
//! let head = segment.reader(0).next(&mut body)?.expect("there is a record");
//! assert_eq!((head.test, &body[..]), (0, &b"passed"[..]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

// The model has no processes, so what only they need is unused there.
#![cfg_attr(loom, allow(dead_code))]

mod bell;
mod book;
mod claim;
mod error;
#[cfg(not(loom))]
mod event;
mod layout;
#[cfg(not(loom))]
mod mapping;
mod memory;
#[cfg(all(test, loom))]
mod model;
#[cfg(not(loom))]
pub mod pages;
mod plan;
mod reader;
mod record;
mod reserve;
mod segment;
mod slot;
#[cfg(not(loom))]
pub mod spill;
mod steal;
mod sync;
mod thief;
mod toll;
#[cfg(not(loom))]
mod waker;
mod walk;
#[cfg(not(loom))]
mod worker;
mod writer;

pub use error::{Corrupt, PushError, SegmentError};
pub use plan::{PlanEntry, PlanTable, Sharing};
pub use reader::Reader;
pub use record::{Outgoing, RecordHead, Spill};
pub use segment::{Segment, SegmentSpec};
pub use slot::{Phase, SlotHandle, SlotState};
#[cfg(not(loom))]
pub use waker::Waker;
#[cfg(not(loom))]
pub use worker::{Counters, WorkerEnd};

/// The `test` of a record that is about no test.
pub const NO_TEST: u32 = u32::MAX;

/// `CLOCK_MONOTONIC`, nanoseconds: the clock of [`RecordHead::mono_ns`] and [`SlotState::started_ns`], the same in all
/// processes.
#[must_use]
pub fn monotonic_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// Whether descendants of this process become its children when their own parents end: somebody has to end what a killed
/// process has left running.
///
/// # Errors
///
/// The system call's.
#[cfg(not(loom))]
pub fn adopt_orphans(yes: bool) -> std::io::Result<()> {
    // Any process id means yes.
    let own = rustix::process::getpid();
    Ok(rustix::process::set_child_subreaper(yes.then_some(own))?)
}

/// Asks the kernel to kill this process when its parent ends: a worker must not outlive the host that watches it.
///
/// # Errors
///
/// The system call's.
#[cfg(not(loom))]
pub fn die_with_parent() -> std::io::Result<()> {
    Ok(rustix::process::set_parent_process_death_signal(Some(
        rustix::process::Signal::KILL,
    ))?)
}
