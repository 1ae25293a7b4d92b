//! How finely durations decide: what differs in each run must not give each run another plan.

use super::suite::Tests;

/// How finely durations decide.
///
/// What takes little time takes another time in each run: if that decided what is longest, each run
/// had another plan. So light tests all count the same, and of what others take only the first
/// digits count. How light that is depends on nothing that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grain {
    /// Tests that take less are light, µs.
    pub(super) light: u64,
    /// There are so many tests for each worker that light ones make up for each other: whoever has
    /// time takes them, in the order of collection.
    pub(super) is_fine: bool,
    /// Nothing is known of any test: nor whether its module's fixtures are dear.
    pub(super) is_first: bool,
}

impl Grain {
    /// Tests for each worker from which on there are many.
    const MANY: usize = 16;
    /// Tests for each worker from which on it does not matter in which order tests are run that
    /// take about the same.
    const SOME: usize = 5;
    /// Light in any case are tests of less than this for each test that a worker has, µs, as far as
    /// [`Self::LIGHT_US`].
    const LIGHT_EACH_US: usize = 400;
    const LIGHT_US: usize = 20_000;
    /// Most that a light test counts, µs.
    const COUNTS_US: u64 = 5_000;

    pub(super) fn new(tests: &Tests, workers: usize) -> Grain {
        let each = tests.len() / workers.max(1);
        let is_fine = each >= Self::MANY;
        let calls = tests.calls_us();
        let longest = calls.clone().max().unwrap_or(0);
        // What is light beside the longest; a power of two, that the same is light when the longest
        // takes somewhat longer.
        let beside = if longest == 0 {
            0
        } else {
            (1 << longest.ilog2()) / if is_fine { 8 } else { 64 }
        };
        let shortest = calls.min().unwrap_or(0);
        if each >= Self::SOME && longest <= 4 * shortest {
            // Estimates are wrong by a factor of two at times: they don't tell these apart.
            return Grain {
                light: longest + 1,
                is_fine: true,
                is_first: longest == 0,
            };
        }
        let of_each = if is_fine {
            Self::LIGHT_EACH_US
        } else {
            Self::LIGHT_EACH_US / 4
        };
        let light = (each * of_each).clamp(1000, Self::LIGHT_US) as u64;
        Grain {
            light: light.max(beside),
            // In a first run all tests are the same, however few.
            is_fine: is_fine || longest == 0,
            is_first: longest == 0,
        }
    }

    /// Each test counts, if it takes some time at all.
    pub(super) fn fine(self) -> Grain {
        Grain {
            light: 1000,
            is_fine: false,
            is_first: self.is_first,
        }
    }

    /// A cost as it decides, µs.
    pub(super) fn round(self, us: u64) -> u64 {
        if us < self.light {
            return (self.light / 4).min(Self::COUNTS_US);
        }
        self.digits(us)
    }

    /// The first digits of a cost, µs.
    fn digits(self, us: u64) -> u64 {
        let digits = if self.is_fine { 2 } else { 3 };
        let unit = 10_u64.pow((us.max(1).ilog10() + 1).saturating_sub(digits));
        ((us + unit / 2) / unit * unit).max(1)
    }

    /// What entering a module costs as it decides, µs: nothing if it is about as much as a light
    /// test takes.
    pub(super) fn enter(self, us: u64) -> u64 {
        if us < (self.light / 4).clamp(1000, Self::COUNTS_US) {
            0
        } else {
            self.digits(us)
        }
    }
}
