//! A run's measurements and the file as it is now make the next file.

use super::Sample;
use super::format::{Builder, Entry, Table};
use super::hash::hash;

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

#[derive(Clone, Copy, Debug)]
struct Update {
    hash: u64,
    id_start: usize,
    id_len: usize,
    sample: Sample,
}

impl Recorded {
    pub fn push(&mut self, id: &[u8], sample: Sample) {
        self.updates.push(Update {
            hash: hash(id),
            id_start: self.ids.len(),
            id_len: id.len(),
            sample,
        });
        self.ids.extend_from_slice(id);
    }

    pub fn is_empty(&self) -> bool {
        self.updates.is_empty()
    }
}

/// The bytes of the file that follows `old`.
pub fn merge(
    old: Option<&Table>,
    recorded: &mut Recorded,
    root: &[u8],
    whole_suite: bool,
) -> Vec<u8> {
    let run = old.map_or(0, Table::runs).saturating_add(1);
    // Stable: samples of one test keep their order.
    recorded.updates.sort_by_key(|update| update.hash);
    let id = |update: &Update| &recorded.ids[update.id_start..update.id_start + update.id_len];

    let expected = old.map_or(0, Table::len).max(recorded.updates.len());
    let mut builder = Builder::with_capacity(expected, recorded.ids.len());
    let mut known = old
        .into_iter()
        .flat_map(|old| old.entries().map(|entry| (entry, old.id(&entry))))
        .peekable();
    // Both sides ascend by hash, so one pass over both is enough.
    for updates in recorded
        .updates
        .chunk_by(|left, right| left.hash == right.hash)
    {
        let hash = updates[0].hash;
        while let Some((entry, name)) = known.next_if(|(entry, _)| entry.hash < hash) {
            push_missed(&mut builder, entry, name, whole_suite);
        }
        // Nearly always one test; more when hashes collide.
        let mut same: Vec<(Entry, &[u8])> = Vec::with_capacity(1);
        while let Some(pair) = known.next_if(|(entry, _)| entry.hash == hash) {
            same.push(pair);
        }
        for update in updates {
            let name = id(update);
            let place = same.iter().position(|&(_, other)| other == name);
            let place = place.unwrap_or_else(|| {
                same.push((
                    Entry {
                        hash,
                        ..Entry::default()
                    },
                    name,
                ));
                same.len() - 1
            });
            same[place].0 = updated(&same[place].0, &update.sample, run);
        }
        for (entry, name) in same {
            if entry.last_run == run {
                builder.push(entry, name);
            } else {
                push_missed(&mut builder, entry, name, whole_suite);
            }
        }
    }
    for (entry, name) in known {
        push_missed(&mut builder, entry, name, whole_suite);
    }
    builder.keep_latest(CAPACITY).finish(root, run)
}

/// Keeps a test that this run didn't have, unless it has been missing for too long.
fn push_missed(builder: &mut Builder, mut entry: Entry, name: &[u8], whole_suite: bool) {
    entry.missed = entry.missed.saturating_add(u16::from(whole_suite));
    if entry.missed < FORGET_AFTER {
        builder.push(entry, name);
    }
}

/// `entry` with one more sample: exponentially weighted means.
fn updated(entry: &Entry, sample: &Sample, run: u32) -> Entry {
    let runs = entry.runs.saturating_add(1);
    let weight = LEAST_WEIGHT.max(1.0 / runs as f32);
    let toward = |mean: f32, new: f32| mean + weight * (new - mean);
    let [setup, call, teardown] = sample.micros();
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
            .saturating_add(u32::from(sample.is_failure())),
        last_run: run,
        last_outcome: sample.outcome as u16,
        missed: 0,
        ..*entry
    }
}

#[cfg(test)]
mod tests {
    use super::super::{LastOutcome, Sample};
    use super::*;
    use std::time::Duration;

    fn sample(millis: u64) -> Sample {
        Sample {
            call: Duration::from_millis(millis),
            ..Sample::default()
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
        let failed = Sample {
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

    #[test]
    fn different_tests_with_one_hash_are_kept_apart() {
        let mut recorded = Recorded::default();
        for (id, millis) in [("a", 1), ("b", 3), ("a", 5)] {
            recorded.push(id.as_bytes(), sample(millis));
        }
        for update in &mut recorded.updates {
            update.hash = 7;
        }
        let bytes = merge(None, &mut recorded, b"/p", true);
        let table = Table::check(bytes, b"/p").unwrap();
        let found: Vec<(Vec<u8>, f32, u32)> = table
            .entries()
            .map(|entry| (table.id(&entry).to_vec(), entry.total(), entry.runs))
            .collect();
        assert_eq!(
            found,
            [(b"a".to_vec(), 3000.0, 2), (b"b".to_vec(), 3000.0, 1)]
        );
    }
}
