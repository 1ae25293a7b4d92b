//! How long tests took: one file per project in the cache directory, updated by every run.
//!
//! A history is a help, never a condition: without a cache directory, with a damaged file or one of
//! another version there are just no estimates.

mod builder;
mod estimates;
pub mod exchange;
mod format;
mod merge;
mod place;
mod project_history;
mod sample;

pub use project_history::{History, Known, Warning};
pub use sample::{LastOutcome, Sample};
