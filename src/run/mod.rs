//! The one loop of a run: records, deaths, signals and time become
//! [`RunEvent`](crate::event::RunEvent)s.
//!
//! A single thread owns all state; nothing in here waits except `Run::wait`, which sleeps on
//! everything at once.

mod closing;
mod deaths;
mod end;
mod exit_status;
mod host_link;
mod host_messages;
mod lane;
mod lanes;
mod lost;
mod measurements;
mod output;
mod record_log;
mod records;
mod replacements;
mod run;
mod setup;
mod signals;
mod silence;
mod stats;
mod synthetic_results;
mod test_states;

pub use run::execute;
pub use setup::{Finished, Setup};
pub use silence::is_stopped;
