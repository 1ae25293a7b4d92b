//! Shared memory between the program and its workers: who runs which test, and what came of it.
//!
//! The parent makes one [`Segment`] per run. Workers take tests from the plan in it by themselves
//! ([`WorkerEnd::claim`]) and write results into a ring of their own ([`WorkerEnd::push`]); the
//! parent reads the rings ([`Reader::next`]). In the steady state neither side makes a system call
//! for it. `docs/design/ring.md` has the layout, the invariants, and why.
//!
//! ```
//! use std::sync::Arc;
//! use rpytest::shm::{Outgoing, PlanEntry, PlanTable, Segment, SegmentSpec, WorkerEnd};
//!
//! let spec = SegmentSpec { slots: 1, tests: 1, ring_bytes: 4096, incarnations: 1 };
//! let entries = vec![PlanEntry::default()];
//! let plan = PlanTable { entries, parts: vec![(0, 1)], ..PlanTable::default() };
//! let segment = Arc::new(Segment::create(&spec, &plan)?);
//!
//! // In a worker process it would be the one that was there before the fork.
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

mod claims;
mod clock;
mod error;
#[cfg(all(test, loom))]
mod model;
pub mod records;
mod segment;
mod slot_handle;
mod sync;
#[cfg(not(loom))]
mod worker;

pub use clock::monotonic_ns;
pub use error::{Corrupt, PushError, SegmentError};
pub use records::reader::Reader;
pub use records::record::{Outgoing, RecordHead, Spill};
#[cfg(not(loom))]
pub use records::space_waker::Waker;
pub use segment::layout::{NO_TEST, SegmentSpec};
pub use segment::plan_table::{PlanEntry, PlanTable, Sharing};
pub use segment::segment::Segment;
pub use segment::slot::{Phase, SlotState};
pub use slot_handle::SlotHandle;
#[cfg(not(loom))]
pub use worker::{Counters, WorkerEnd};
