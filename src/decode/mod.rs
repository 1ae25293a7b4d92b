//! Bodies of ring records to plain data: the reading side of `docs/design/protocol.md` §3.
//!
//! Total: any bytes give a value or a [`DecodeError`], never a panic. Blobs are Python's
//! (`marshal`) and are stepped over; only how many there are is kept.

mod cursor;
mod kinds;
mod record;
#[cfg(test)]
mod tests;

pub use cursor::DecodeError;
pub use kinds::{BYE, LOG, PLAIN, SETUPS, STOP, TEST};
pub use record::{Bye, Record, Stop, StopReason};
pub use record::{bye, log, record, stop, test};
