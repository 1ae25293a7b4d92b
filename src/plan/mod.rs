//! Tests and their durations to an immutable plan: which worker runs what, in which order.
//!
//! Pure: the same tests, durations and number of workers give the same plan. The plan is a starting
//! point, not a promise: workers that are done early take over what others have not begun, so a
//! wrong estimate costs little.
//!
//! [`shard`] chooses the tests of one machine among several, [`balance`] finds the shortest plan,
//! [`dist_modes`] does what the user asks for besides, [`replay`] repeats what an earlier run did,
//! and `priority` puts some tests first. Durations come from [`history`](crate::history).

pub mod balance;
pub mod dist_modes;
mod grain;
mod plan;
mod priority;
pub mod replay;
pub mod shard;
mod suite;

pub use grain::Grain;
pub use plan::{Plan, PlanEntry, Serial, Sharing};
pub use suite::Tests;
