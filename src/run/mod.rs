//! The one loop of a run: records, deaths, signals and time become
//! [`RunEvent`](crate::event::RunEvent)s.
//!
//! A single thread owns all state; nothing in here waits except `Run::wait`, which sleeps on
//! everything at once. `Run` is the dispatcher: `records`, `deaths`, `host_messages`, `signals` and
//! `end` say what it does about each kind of event. The other files are its parts, which know
//! nothing of it: above all `lanes`, where events come from workers.

mod closing;
mod deaths;
mod end;
mod exit_status;
mod host_link;
mod host_messages;
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
