//! What came of the tests: records, which each worker writes into a ring of its own and the parent
//! reads.
//!
//! `record` has the form of a record, `writer` and `reader` the two ends of a ring, [`spill`]
//! bodies that are too large for one. `doorbell` wakes the parent, `space_waker` the workers that
//! wait for room.

pub(super) mod doorbell;
pub(super) mod reader;
pub(super) mod record;
#[cfg(not(loom))]
pub(super) mod space_waker;
#[cfg(not(loom))]
pub mod spill;
pub(super) mod writer;
