//! The command: from the arguments to the exit status.

mod clock;
mod collect;
mod exchange;
mod history;
pub mod history_status;
mod interrupts;
mod job;
mod output;
mod plan_table;
mod planning;
mod run;
mod shard;
mod watching;

pub use run::run;
