//! The tests that are to be planned, and what they take.

use std::time::Duration;

use crate::event::TestIndex;

/// What is assumed of a test when nothing is known about any test.
const UNKNOWN_US: u64 = 1000;

/// The tests to plan, one element per test in collection order.
#[derive(Clone, Copy, Debug)]
pub struct Tests<'a> {
    pub(super) modules: &'a [u32],
    pub(super) classes: &'a [u32],
    pub(super) durations: &'a [Option<Duration>],
    /// Empty: nothing is known about set-ups.
    pub(super) setups: &'a [Option<Duration>],
}

impl<'a> Tests<'a> {
    /// In `modules` and `classes` equal numbers in neighbours mean the same module or class;
    /// `durations` are estimates, `None` for a test without history. `None` when the slices differ
    /// in length.
    #[must_use]
    pub fn new(
        modules: &'a [u32],
        classes: &'a [u32],
        durations: &'a [Option<Duration>],
    ) -> Option<Tests<'a>> {
        let fits = modules.len() == classes.len() && modules.len() == durations.len();
        fits.then_some(Tests {
            modules,
            classes,
            durations,
            setups: &[],
        })
    }

    /// Adds how much of each test's duration is its set-up, as far as that is known: modules with
    /// expensive fixtures are then split only where it pays. `None` when the slice has another
    /// length.
    #[must_use]
    pub fn with_setups(self, setups: &'a [Option<Duration>]) -> Option<Tests<'a>> {
        (setups.len() == self.len()).then_some(Tests { setups, ..self })
    }

    /// Number of tests.
    #[must_use]
    pub fn len(&self) -> usize {
        self.modules.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.modules.is_empty()
    }

    pub(super) fn same_module(&self, one: TestIndex, other: TestIndex) -> bool {
        self.modules[one as usize] == self.modules[other as usize]
    }

    /// What the tests take that are known, without their set-ups, µs.
    pub(super) fn calls_us(&self) -> impl Iterator<Item = u64> + Clone {
        let known = self.durations.iter().enumerate();
        known.filter_map(|(test, duration)| {
            let setup = self.setups.get(test).copied().flatten();
            Some(micros(
                duration.as_ref()?.saturating_sub(setup.unwrap_or_default()),
            ))
        })
    }

    /// Microseconds per test, at least 1; a test without history is taken for an average one.
    pub(super) fn costs(&self) -> Vec<u64> {
        let known: Vec<u64> = self
            .durations
            .iter()
            .flatten()
            .map(|&duration| micros(duration))
            .collect();
        let assumed = match known.len() {
            0 => UNKNOWN_US,
            count => (known.iter().sum::<u64>() / count as u64).max(1),
        };
        self.durations
            .iter()
            .map(|duration| duration.map_or(assumed, micros))
            .collect()
    }
}

/// Microseconds, at least 1 and at most a century: sums can't overflow.
pub(super) fn micros(duration: Duration) -> u64 {
    const CENTURY: u128 = 100 * 366 * 24 * 3600 * 1_000_000;
    duration.as_micros().clamp(1, CENTURY) as u64
}
