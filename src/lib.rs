//! rpytest: the parallel pytest runner.
//!
//! Data flows one way: CLI → plan → pool → shm → worker → shm → report. The Python extension is
//! built from [`shm`] and [`process`] alone.

pub mod process;
pub mod shm;

#[cfg(feature = "cli")]
pub mod app;
#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "cli")]
pub mod config;
#[cfg(feature = "cli")]
pub mod cpus;
#[cfg(feature = "cli")]
pub mod daemon;
#[cfg(feature = "cli")]
pub mod decode;
#[cfg(feature = "cli")]
pub mod env;
#[cfg(feature = "cli")]
pub mod error;
#[cfg(feature = "cli")]
pub mod event;
#[cfg(feature = "cli")]
pub mod exit;
#[cfg(feature = "cli")]
pub mod history;
#[cfg(feature = "cli")]
pub mod interpreter;
#[cfg(feature = "cli")]
pub mod plan;
#[cfg(feature = "cli")]
pub mod pool;
#[cfg(feature = "cli")]
pub mod report;
#[cfg(feature = "cli")]
pub mod run;
#[cfg(feature = "cli")]
pub mod stable_hash;
#[cfg(feature = "cli")]
pub mod test_list;
#[cfg(feature = "cli")]
pub mod watch;
