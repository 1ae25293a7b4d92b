//! Bodies of ring records to plain data: the reading side of `docs/design/protocol.md` §3.
//!
//! Total: any bytes give a value or a [`DecodeError`], never a panic. Blobs are Python's (`marshal`) and are
//! stepped over; only how many there are is kept.

mod cursor;
mod record;

#[cfg(test)]
mod tests;

pub use cursor::DecodeError;
pub use record::{Bye, Note, Record, Stop, StopReason};
pub use record::{bye, log, note, record, stop, test};

/// Record kind: the outcome of one test.
pub const TEST: u8 = 1;
/// Record kind: the worker has finished its session.
pub const BYE: u8 = 2;
/// Record kind: the worker wants the run to end.
pub const STOP: u8 = 3;
/// Record kind: warnings outside of a test.
pub const NOTE: u8 = 4;
/// Record kind: live log of the test that runs, or outside of one.
pub const LOG: u8 = 5;

/// Flag of a TEST record: every phase passed and has nothing to show.
pub const PLAIN: u8 = 1;
/// Flag of a TEST record: fixtures that were set up stand at its end.
pub const SETUPS: u8 = 2;
