//! Suites to be simulated: what their tests take, and what a history would know of it.

use std::time::Duration;

/// Reproducible numbers: SplitMix64.
///
/// G. L. Steele, D. Lea, C. H. Flood, "Fast splittable pseudorandom number generators" (2014).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        // Not the seed itself: the numbers of the next seed would be the same ones, shifted.
        Self(Self(seed).next())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ word >> 31
    }

    /// Evenly from 0 to below 1.
    pub fn even(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn below(&mut self, limit: u32) -> u32 {
        (self.even() * f64::from(limit)) as u32
    }

    /// By Box and Muller (1958).
    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.even()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.even()).cos()
    }
}

/// How long tests take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// 10 ms each.
    Equal,
    /// Median 10 ms, σ 1.
    Lognormal1,
    /// Median 10 ms, σ 2.
    Lognormal2,
    /// From 5 ms on, index 1.2.
    Pareto,
    /// 99% 1 ms, 1% 1 s.
    Bimodal,
    /// 10 ms each, and in the middle one that takes as long as a worker's fair share.
    Giant,
    /// Modules of 1 to 60 tests with fixtures of up to 500 ms; tests as in `Lognormal1`.
    Modules,
}

impl Profile {
    pub const ALL: [Profile; 7] = [
        Profile::Equal,
        Profile::Lognormal1,
        Profile::Lognormal2,
        Profile::Pareto,
        Profile::Bimodal,
        Profile::Giant,
        Profile::Modules,
    ];

    /// Microseconds.
    fn test(self, random: &mut Random) -> u64 {
        let us = match self {
            Profile::Equal | Profile::Giant => 10_000.0,
            Profile::Lognormal1 | Profile::Modules => 10_000.0 * random.normal().exp(),
            Profile::Lognormal2 => 10_000.0 * (2.0 * random.normal()).exp(),
            Profile::Pareto => 5_000.0 * (1.0 - random.even()).powf(-1.0 / 1.2),
            Profile::Bimodal if random.even() < 0.01 => 1_000_000.0,
            Profile::Bimodal => 1_000.0,
        };
        us.clamp(10.0, 600e6) as u64
    }
}

/// A suite as it is, in collection order.
pub struct Suite {
    /// Microseconds of each test without its module's fixtures.
    pub own: Vec<u64>,
    pub modules: Vec<u32>,
    /// Microseconds of each module's fixtures.
    pub fixtures: Vec<u64>,
}

impl Suite {
    pub fn new(profile: Profile, tests: usize, workers: usize, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let mut suite = Self {
            own: (0..tests).map(|_| profile.test(&mut random)).collect(),
            modules: Vec::with_capacity(tests),
            fixtures: Vec::new(),
        };
        if profile == Profile::Giant {
            suite.own[tests / 2] = suite.own.iter().sum::<u64>() / workers as u64;
        }
        while suite.modules.len() < tests {
            let module = suite.fixtures.len() as u32;
            let size = 1 + random.below(60);
            let left = tests - suite.modules.len();
            let size = left.min(size as usize);
            suite.modules.extend(std::iter::repeat_n(module, size));
            let fixture = match profile {
                // A third of the modules has none.
                Profile::Modules if random.below(3) > 0 => {
                    (500_000.0 * random.even().powi(2)) as u64
                }
                _ => 0,
            };
            suite.fixtures.push(fixture);
        }
        suite
    }

    pub fn len(&self) -> usize {
        self.own.len()
    }

    /// Microseconds of `test` in a worker that ran `before` last.
    pub fn cost(&self, before: Option<u32>, test: u32) -> u64 {
        let module = self.modules[test as usize];
        let stays = before.is_some_and(|before| self.modules[before as usize] == module);
        let enter = if stays {
            0
        } else {
            self.fixtures[module as usize]
        };
        self.own[test as usize] + enter
    }

    fn begins_module(&self, test: usize) -> bool {
        test == 0 || self.modules[test - 1] != self.modules[test]
    }
}

/// What a history says of a suite.
pub struct Known {
    pub durations: Vec<Option<Duration>>,
    pub setups: Vec<Option<Duration>>,
}

/// How good a history is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Estimates {
    /// There is none.
    None,
    /// As the last run was, and nothing has changed.
    Exact,
    /// Each is wrong by a factor between ½ and 2.
    Rough,
}

impl Known {
    pub fn new(suite: &Suite, estimates: Estimates, seed: u64) -> Self {
        // Other numbers than those of the suite.
        let mut random = Random::new(!seed);
        let mut known = Self {
            durations: Vec::new(),
            setups: Vec::new(),
        };
        for test in 0..suite.len() {
            let factor = match estimates {
                Estimates::Rough => 2_f64.powf(2.0 * random.even() - 1.0),
                Estimates::None | Estimates::Exact => 1.0,
            };
            let setup = if suite.begins_module(test) {
                suite.fixtures[suite.modules[test] as usize]
            } else {
                0
            };
            let of = |us: u64| {
                let us = Duration::from_micros((us as f64 * factor) as u64);
                (estimates != Estimates::None).then_some(us)
            };
            known.durations.push(of(suite.own[test] + setup));
            known.setups.push(of(setup));
        }
        known
    }
}

/// A time, in microseconds, below which no scheduler can finish with so many workers.
pub fn lower_bound(suite: &Suite, workers: usize) -> u64 {
    let longest = (0..suite.len() as u32)
        .map(|test| suite.cost(None, test))
        .max();
    longest
        .unwrap_or(0)
        .max(crowded(suite, workers))
        .max(shared(suite, workers))
        .max(entered(suite, workers))
}

/// For a few modules and workers: the best of all ways to choose who enters what. All that a set of
/// modules takes is done by the workers that enter any of them.
fn entered(suite: &Suite, workers: usize) -> u64 {
    let modules = suite.fixtures.len();
    if modules > 5 || workers > 4 || suite.fixtures.iter().all(|&fixture| fixture == 0) {
        return 0;
    }
    let sets = 1_usize << modules;
    let members = |set: usize| (0..modules).filter(move |module| set >> module & 1 == 1);
    let mut own = vec![0; modules];
    for (test, &module) in suite.modules.iter().enumerate() {
        own[module as usize] += suite.own[test];
    }
    let work: Vec<u64> = (0..sets)
        .map(|set| members(set).map(|module| own[module]).sum())
        .collect();
    let enter: Vec<u64> = (0..sets)
        .map(|set| members(set).map(|module| suite.fixtures[module]).sum())
        .collect();
    let mut least = u64::MAX;
    let mut chosen = vec![0; workers];
    loop {
        let time = |set: usize| {
            let inside = chosen.iter().filter(|&&entered| entered & set > 0);
            let fixtures: u64 = inside.clone().map(|&entered| enter[entered]).sum();
            let count = inside.count() as u64;
            if count == 0 {
                u64::MAX
            } else {
                (work[set] + fixtures).div_ceil(count)
            }
        };
        let times = (1..sets).map(time);
        let fixtures = chosen.iter().map(|&entered| enter[entered]);
        least = least.min(times.chain(fixtures).max().unwrap_or(0));
        // The next way; the order of workers makes no difference.
        let Some(up) = (0..workers).find(|&worker| chosen[worker] + 1 < sets) else {
            return least;
        };
        let next = chosen[up] + 1;
        chosen[..=up].fill(next);
    }
}

/// Of any `k·workers + 1` tests, some worker has `k + 1`, at least the shortest of them.
fn crowded(suite: &Suite, workers: usize) -> u64 {
    let mut sorted = suite.own.clone();
    sorted.sort_unstable_by(|left, right| right.cmp(left));
    (1..)
        .take_while(|k| k * workers < sorted.len())
        .map(|k| sorted[k * workers - k..=k * workers].iter().sum())
        .max()
        .unwrap_or(0)
}

/// All work divided evenly, counting that a module that is too long for one worker is entered by
/// several.
fn shared(suite: &Suite, workers: usize) -> u64 {
    let mut own = vec![0; suite.fixtures.len()];
    for (test, &module) in suite.modules.iter().enumerate() {
        own[module as usize] += suite.own[test];
    }
    let modules: Vec<(u64, u64)> = own
        .into_iter()
        .zip(suite.fixtures.iter().copied())
        .collect();
    let is_possible = |time: u64| {
        let (mut work, mut alone) = (0, 0);
        for &(own, fixture) in &modules {
            if fixture >= time {
                return false;
            }
            let pieces = own.div_ceil(time - fixture).max(1);
            work += own + pieces * fixture;
            // No worker is in time that enters two of these.
            alone += if fixture > time / 2 { pieces } else { 0 };
        }
        work <= time * workers as u64 && alone <= workers as u64
    };
    let (mut low, mut high) = (0, 1);
    while !is_possible(high) {
        low = high;
        high *= 2;
    }
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if is_possible(middle) {
            high = middle;
        } else {
            low = middle;
        }
    }
    high
}
