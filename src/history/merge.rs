//! A run's measurements and the file as it is now make the next file.

use std::collections::HashMap;

use super::builder::Builder;
use super::format::{ENTRY, Entry, Table};
use super::{LastOutcome, Sample};
use crate::event::TestIndex;

/// The least weight of a new sample. The first samples count evenly; from the fourth on the older
/// ones fade, so that the estimate follows a test that has changed within a few runs and is not
/// thrown off by a single outlier.
const LEAST_WEIGHT: f32 = 0.25;
/// Runs of the whole suite in a row without a test after which it is forgotten: it was removed or
/// renamed. Many, because a branch without the test may be checked out for a while.
const FORGET_AFTER: u8 = 20;
/// Tests kept, the latest seen first: ids that change in every run must not fill the disk when
/// nobody ever runs the whole suite.
const CAPACITY: usize = 1_000_000;

/// What a run measured, test after test.
#[derive(Debug, Default)]
pub struct Recorded {
    updates: Vec<Update>,
    /// Ids of tests that the file didn't have, end to end.
    ids: Vec<u8>,
    new: Vec<std::ops::Range<usize>>,
}

/// One sample, small: there are as many as tests.
#[derive(Clone, Copy, Debug)]
struct Update {
    /// The test's number in the collection.
    test: TestIndex,
    place: Place,
    /// Setup, call, teardown.
    micros: [f32; 3],
    outcome: LastOutcome,
    rerun: bool,
}

/// Which test a sample is of.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// In this row of the file that was open during the run.
    Known(u32),
    /// A new one: index in [`Recorded::new`].
    New(u32),
}

impl Recorded {
    /// `row` is the test's in the file that was open during the run.
    pub fn push(&mut self, test: TestIndex, id: &str, row: Option<u32>, sample: &Sample) {
        let place = row.map_or_else(
            || {
                let start = self.ids.len();
                self.ids.extend_from_slice(id.as_bytes());
                self.new.push(start..self.ids.len());
                Place::New(self.new.len() as u32 - 1)
            },
            Place::Known,
        );
        self.updates.push(Update {
            test,
            place,
            micros: sample.micros(),
            outcome: sample.outcome,
            rerun: sample.rerun,
        });
    }

    pub fn is_empty(&self) -> bool {
        self.updates.is_empty()
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.updates.len()
    }

    /// `open` is the file that was open during the run.
    fn id<'a>(&'a self, update: &Update, open: Option<&'a Table>) -> &'a [u8] {
        match update.place {
            Place::Known(row) => open
                .and_then(|open| Some(open.id(&open.entry(row)?)))
                .unwrap_or_default(),
            Place::New(index) => self
                .new
                .get(index as usize)
                .map_or(&[], |range| &self.ids[range.clone()]),
        }
    }
}

/// The rows of the file that follows `open`, when it has the same tests: the usual case, and the
/// quick one.
pub fn patch(open: &Table, recorded: &Recorded, whole_suite: bool) -> Option<Vec<u8>> {
    if !recorded.new.is_empty() {
        return None;
    }
    let run = next_run(Some(open));
    let mut rows = open.sections().1.to_vec();
    let entries: &mut [[u8; ENTRY]] = rows.as_chunks_mut().0;
    for update in &recorded.updates {
        let Place::Known(row) = update.place else {
            return None;
        };
        let row = entries.get_mut(row as usize)?;
        *row = updated(&Entry::decode(row), update, run).encode();
    }
    if whole_suite {
        for row in entries {
            let mut entry = Entry::decode(row);
            if entry.last_run != run {
                entry.missed += 1;
                if entry.missed >= FORGET_AFTER {
                    return None;
                }
                *row = entry.encode();
            }
        }
    }
    Some(rows)
}

/// The file that follows `now`; `open` is the one that was open during the run, `None` when there
/// was none. Rows are in the order of this run's collection, followed by those that it didn't have.
pub fn merge(
    now: Option<&Table>,
    open: Option<&Table>,
    recorded: &Recorded,
    whole_suite: bool,
) -> Builder {
    let run = next_run(now);
    let mut order: Vec<&Update> = recorded.updates.iter().collect();
    order.sort_by_key(|update| update.test);

    let known = now.map_or(0, Table::len);
    let ids = now.map_or(0, |now| now.sections().2.len()) + recorded.ids.len();
    let mut builder = Builder::with_capacity(known.max(order.len()), ids);
    // Where a row of `now` went.
    let mut moved: Vec<Option<usize>> = vec![None; known];
    let mut new: HashMap<&[u8], usize> = HashMap::new();
    let mut guess = 0;
    for update in order {
        let id = recorded.id(update, open);
        let row = now.and_then(|now| now.find(id, guess));
        guess = row.map_or(guess, |row| row.saturating_add(1));
        let place = match row {
            Some(row) => moved[row as usize],
            None => new.get(id).copied(),
        };
        if let Some(entry) = place.and_then(|place| builder.entry_mut(place)) {
            *entry = updated(entry, update, run);
            continue;
        }
        let old = now.zip(row).and_then(|(now, row)| now.entry(row));
        match row {
            Some(row) => moved[row as usize] = Some(builder.len()),
            None => drop(new.insert(id, builder.len())),
        }
        builder.push(updated(&old.unwrap_or_default(), update, run), id);
    }
    for (mut entry, moved) in now.into_iter().flat_map(Table::entries).zip(moved) {
        if moved.is_none() {
            entry.missed = entry.missed.saturating_add(u8::from(whole_suite));
            if entry.missed < FORGET_AFTER {
                builder.push(entry, now.map_or(&[], |now| now.id(&entry)));
            }
        }
    }
    builder.keep_latest(CAPACITY)
}

/// Number of the run after those in `old`.
pub fn next_run(old: Option<&Table>) -> u32 {
    old.map_or(0, Table::runs).saturating_add(1)
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
        last_outcome: update.outcome as u8,
        missed: 0,
        recent: recent(entry.recent, update),
        ..*entry
    }
}

/// The outcomes with one more. A skip says nothing. A test that passed only when it was run again
/// counts as having failed and passed twice: that is what flaky means.
fn recent(recent: u16, update: &Update) -> u16 {
    match update.outcome {
        LastOutcome::Failed => recent << 1 | 1,
        LastOutcome::Passed if update.rerun => recent << 4 | 0b1010,
        LastOutcome::Passed => recent << 1,
        LastOutcome::Skipped => recent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(millis: u16) -> Update {
        Update {
            test: 0,
            place: Place::New(0),
            rerun: false,
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
        let skipped = Update {
            outcome: LastOutcome::Skipped,
            ..sample(1)
        };
        let rerun = Update {
            rerun: true,
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
        assert_eq!(entry.recent, 0b10);
        let entry = updated(&entry, &skipped, 5);
        assert_eq!((entry.last_outcome, entry.recent), (2, 0b10));
        let entry = updated(&entry, &rerun, 6);
        assert_eq!((entry.last_outcome, entry.recent), (0, 0b10_1010));
    }
}
