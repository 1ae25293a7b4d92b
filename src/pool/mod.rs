//! The workers of a run as the CLI sees them: slots, their processes, and what can happen to them.

mod modes;
mod signals;
mod slot;
mod wait;

pub use modes::TerminalModes;
pub use signals::{Received, Signals, stop_self};
pub use slot::{Death, Pool, SlotStatus, Worker};
pub use wait::{Ready, Watched, wait};
