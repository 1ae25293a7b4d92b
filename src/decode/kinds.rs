//! What the two first bytes of a record's frame mean.

/// Record kind: the outcome of one test.
pub const TEST: u8 = 1;
/// Record kind: the worker has finished its session.
pub const BYE: u8 = 2;
/// Record kind: the worker wants the run to end.
pub const STOP: u8 = 3;
/// Record kind: live log of the test that runs, or outside of one.
pub const LOG: u8 = 4;

/// Flag of a TEST record: every phase passed and has nothing to show.
pub const PLAIN: u8 = 1;
/// Flag of a TEST record: fixtures that were set up stand at its end.
pub const SETUPS: u8 = 2;
