//! The clock of everything in the segment.

/// `CLOCK_MONOTONIC`, nanoseconds: the clock of [`RecordHead::mono_ns`](super::RecordHead::mono_ns)
/// and [`SlotState::started_ns`](super::SlotState::started_ns), the same in all processes.
#[must_use]
pub fn monotonic_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}
