//! Exit statuses: pytest's own, so that scripts and CI cannot tell the difference.

/// Every test passed.
pub const OK: i32 = 0;
/// At least one test failed.
pub const TESTS_FAILED: i32 = 1;
/// Interrupted by the user, or collection had errors.
pub const INTERRUPTED: i32 = 2;
/// Something that should not happen went wrong in the runner.
pub const INTERNAL_ERROR: i32 = 3;
/// The command line, the configuration or the environment cannot be used.
pub const USAGE_ERROR: i32 = 4;
/// No test was collected or selected.
pub const NO_TESTS_COLLECTED: i32 = 5;
/// More warnings than `--max-warnings` allows.
pub const MAX_WARNINGS: i32 = 6;
