//! Tests and their durations to an immutable plan.
