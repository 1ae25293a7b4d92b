//! A run's measurements and the file as it is now make the next file.

use super::builder::Builder;
use super::format::{Entry, Table};
use super::hash::hash;
use super::{LastOutcome, Sample};

/// The least weight of a new sample. The first samples count evenly; from the fourth on the older ones fade, so that the estimate
/// follows a test that has changed within a few runs and is not thrown off by a single outlier.
const LEAST_WEIGHT: f32 = 0.25;
/// Runs of the whole suite in a row without a test after which it is forgotten: it was removed or renamed. Many, because a
/// branch without the test may be checked out for a while.
const FORGET_AFTER: u16 = 20;
/// Tests kept, the latest seen first: ids that change in every run must not fill the disk when nobody ever runs the whole suite.
const CAPACITY: usize = 1_000_000;

/// What a run measured, test after test.
#[derive(Debug, Default)]
pub struct Recorded {
    /// All node ids end to end: one allocation instead of one per test.
    ids: Vec<u8>,
    updates: Vec<Update>,
}

/// One sample, small: there are as many as tests.
#[derive(Clone, Copy, Debug)]
struct Update {
    hash: u64,
    id_start: usize,
    id_len: usize,
    /// Setup, call, teardown.
    micros: [f32; 3],
    outcome: LastOutcome,
}

impl Recorded {
    pub fn push(&mut self, id: &[u8], sample: &Sample) {
        self.updates.push(Update {
            hash: hash(id),
            id_start: self.ids.len(),
            id_len: id.len(),
            micros: sample.micros(),
            outcome: sample.outcome,
        });
        self.ids.extend_from_slice(id);
    }

    pub fn is_empty(&self) -> bool {
        self.updates.is_empty()
    }

    fn id(&self, update: &Update) -> &[u8] {
        &self.ids[update.id_start..update.id_start + update.id_len]
    }
}

/// The file that follows `old`.
pub fn merge(old: Option<&Table>, recorded: &Recorded, whole_suite: bool) -> Builder {
    let run = next_run(old);
    // Indices are quicker to sort than the updates; being unique, they also keep the samples of one test in order.
    let mut order: Vec<(u64, usize)> = recorded
        .updates
        .iter()
        .enumerate()
        .map(|(index, update)| (update.hash, index))
        .collect();
    order.sort_unstable();

    let expected = old.map_or(0, Table::len).max(order.len());
    let mut builder = Builder::with_capacity(expected, recorded.ids.len());
    let mut known = old
        .into_iter()
        .flat_map(|old| old.entries().map(|entry| (entry, old.id(&entry))))
        .peekable();
    // Both sides ascend by hash, so one pass over both is enough.
    for samples in order.chunk_by(|left, right| left.0 == right.0) {
        let (hash, first) = samples[0];
        while let Some((entry, id)) = known.next_if(|(entry, _)| entry.hash < hash) {
            push_missed(&mut builder, entry, id, whole_suite);
        }
        let (mut entry, id) = known
            .next_if(|(entry, _)| entry.hash == hash)
            .unwrap_or_else(|| {
                let new = Entry {
                    hash,
                    ..Entry::default()
                };
                (new, recorded.id(&recorded.updates[first]))
            });
        for &(_, index) in samples {
            entry = updated(&entry, &recorded.updates[index], run);
        }
        builder.push(entry, id);
    }
    for (entry, id) in known {
        push_missed(&mut builder, entry, id, whole_suite);
    }
    builder.keep_latest(CAPACITY)
}

/// Number of the run after those in `old`.
pub fn next_run(old: Option<&Table>) -> u32 {
    old.map_or(0, Table::runs).saturating_add(1)
}

/// Keeps a test that this run didn't have, unless it has been missing for too long.
fn push_missed(builder: &mut Builder, mut entry: Entry, id: &[u8], whole_suite: bool) {
    entry.missed = entry.missed.saturating_add(u16::from(whole_suite));
    if entry.missed < FORGET_AFTER {
        builder.push(entry, id);
    }
}

/// `entry` with one more sample: exponentially weighted means.
fn updated(entry: &Entry, update: &Update, run: u32) -> Entry {
    let runs = entry.runs.saturating_add(1);
    let weight = LEAST_WEIGHT.max(1.0 / runs as f32);
    let toward = |mean: f32, new: f32| mean + weight * (new - mean);
    let [setup, call, teardown] = update.micros;
    let deviation = if entry.runs == 0 {
        0.0
    } else {
        toward(
            entry.deviation,
            (setup + call + teardown - entry.total()).abs(),
        )
    };
    Entry {
        setup: toward(entry.setup, setup),
        call: toward(entry.call, call),
        teardown: toward(entry.teardown, teardown),
        deviation,
        runs,
        failures: entry
            .failures
            .saturating_add(u32::from(update.outcome == LastOutcome::Failed)),
        last_run: run,
        last_outcome: update.outcome as u16,
        missed: 0,
        ..*entry
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(millis: u16) -> Update {
        Update {
            hash: 0,
            id_start: 0,
            id_len: 0,
            micros: [0.0, f32::from(millis) * 1000.0, 0.0],
            outcome: LastOutcome::Passed,
        }
    }

    #[test]
    fn the_first_samples_count_evenly_and_then_the_newer_ones_more() {
        let mut entry = Entry::default();
        let mut means = Vec::new();
        for millis in [100, 200, 300, 200, 600] {
            entry = updated(&entry, &sample(millis), 1);
            means.push(entry.total() / 1000.0);
        }
        assert_eq!(means, [100.0, 150.0, 200.0, 200.0, 300.0]);
        assert_eq!(entry.runs, 5);
    }

    #[test]
    fn the_spread_is_that_of_the_samples_around_the_mean() {
        let mut entry = updated(&Entry::default(), &sample(100), 1);
        assert_eq!(entry.deviation, 0.0);
        entry = updated(&entry, &sample(200), 2);
        assert_eq!(entry.deviation, 50_000.0);
        for run in 3..60 {
            entry = updated(&entry, &sample(150), run);
        }
        assert!(entry.deviation < 1.0, "{}", entry.deviation);
    }

    #[test]
    fn failures_and_the_last_outcome_are_kept() {
        let failed = Update {
            outcome: LastOutcome::Failed,
            ..sample(1)
        };
        let entry = updated(&Entry::default(), &failed, 3);
        assert_eq!(
            (entry.failures, entry.last_outcome, entry.last_run),
            (1, 1, 3)
        );
        let entry = updated(&entry, &sample(1), 4);
        assert_eq!(
            (entry.failures, entry.last_outcome, entry.last_run),
            (1, 0, 4)
        );
    }
}
