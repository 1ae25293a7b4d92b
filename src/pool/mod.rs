//! The workers of a run as the CLI sees them: slots, their processes, and what can happen to them.

mod signals;
mod slot;
mod watch;

pub use signals::{Received, Signals, stop_self};
pub use slot::{Death, Pool, SlotStatus, Worker};
pub use watch::{Ready, Watched, wait};
