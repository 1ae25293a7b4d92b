//! Shared memory: segment, claims, record rings.

mod error;
mod reader;
mod record;
mod segment;
mod slot;
pub mod spill;
mod waker;
mod worker;

pub use error::{Corrupt, PushError, SegmentError};
pub use reader::Reader;
pub use record::{Outgoing, RecordHead, Spill};
pub use segment::{PlanEntry, PlanTable, Segment, SegmentSpec};
pub use slot::{Phase, SlotHandle, SlotState};
pub use waker::Waker;
pub use worker::{Counters, WorkerEnd};

/// The `test` of a record that is about no test, and of a worker that runs none.
pub const NO_TEST: u32 = u32::MAX;
