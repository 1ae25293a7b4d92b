//! The shared memory without Python and without a run: the segment, claims and rings, with
//! processes that are killed.

mod claims;
mod common;
mod order;
mod processes;
mod records;
mod segment;
mod units;
