//! A picture as the JSON that the page reads: columns instead of objects, what ids have in common
//! only once.
//!
//! The page's `data.js` is the other side. A row is a test's place in all columns.

use serde::Serialize;

use super::analysis::{Analysis, Bottleneck, Lane};
use super::model::{Ending, Micros, Picture, Test};
use crate::event::Replacement;

/// Number of this form; the page is part of the same file, other readers look at it.
const FORMAT: u32 = 1;
/// A set-up that takes less is in its fixture's totals only: most fixtures of most tests.
const SHOWN_SETUP: Micros = 100;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    format: u32,
    rpytest: &'static str,
    run: Run<'a>,
    lanes: Vec<LaneRow>,
    tests: Columns,
    fixtures: Vec<FixtureRow<'a>>,
    /// Four numbers each: row, fixture, microseconds from the test's start, length.
    setups: Vec<u64>,
    crashes: Vec<CrashRow<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Run<'a> {
    /// Seconds since the epoch; all other times are microseconds from here.
    started: f64,
    total: Micros,
    ready: Micros,
    last: Micros,
    workers: usize,
    method: &'a str,
    warm: bool,
    status: i32,
    stopped: Option<&'a str>,
    not_run: usize,
    counts: Vec<(&'static str, usize)>,
    /// Tests with a history; without any the rest of the forecast says nothing.
    known: usize,
    predicted: Micros,
    critical: usize,
    longest: Option<usize>,
    bottleneck: &'static str,
    bottleneck_row: Option<usize>,
    alone: Option<Micros>,
}

#[derive(Serialize)]
struct LaneRow {
    tests: usize,
    busy: Micros,
    setup: Micros,
    call: Micros,
    teardown: Micros,
    fixtures: Micros,
    first: Micros,
    last: Micros,
    moved: usize,
    predicted: Micros,
}

#[derive(Serialize)]
struct FixtureRow<'a> {
    name: &'a str,
    scope: &'a str,
    base: &'a str,
    count: usize,
    total: Micros,
    longest: Micros,
    row: usize,
    workers: usize,
    failed: usize,
}

#[derive(Serialize)]
struct CrashRow<'a> {
    slot: u16,
    at: Micros,
    cause: &'a str,
    test: Option<&'a str>,
    replacement: &'static str,
}

/// Start from the test's, setup, call, teardown, letter.
type Go = (Micros, Micros, Micros, Micros, char);

/// The tests, worker by worker: the first `lanes[0].tests` rows are worker 0's.
#[derive(Default, Serialize)]
struct Columns {
    /// How many UTF-16 units an id has in common with the one before, and its rest.
    shared: Vec<usize>,
    rest: Vec<String>,
    /// Start, from the end of the test before on the same worker (from 0 for its first).
    gap: Vec<i64>,
    setup: Vec<Micros>,
    call: Vec<Micros>,
    teardown: Vec<Micros>,
    /// One letter a test.
    endings: String,
    /// 0: no history. Empty: no test has one.
    estimate: Vec<Micros>,
    /// Pairs: row, and the worker that the plan had given it to.
    moved: Vec<usize>,
    /// Tests that ran more than once: row and attempts.
    attempts: Vec<(usize, Vec<Go>)>,
    reasons: Vec<(usize, String)>,
}

/// The JSON text; it contains no `<`, so that it can't end the element of the page that it stands
/// in.
#[must_use]
pub fn json(picture: &Picture, analysis: &Analysis) -> String {
    let (bottleneck, bottleneck_row, alone) = match analysis.bottleneck {
        Bottleneck::Nothing => ("nothing", None, None),
        Bottleneck::Startup => ("startup", None, None),
        Bottleneck::OneWorker => ("one-worker", None, None),
        Bottleneck::LongestTest { row } => ("longest-test", Some(row), None),
        Bottleneck::LastTest { row, alone } => ("last-test", Some(row), Some(alone)),
        Bottleneck::Fixtures => ("fixtures", None, None),
        Bottleneck::Balanced => ("balanced", None, None),
    };
    let known = picture.forecast.known();
    let predicted = analysis.lanes.iter().map(|lane| lane.predicted).max();
    let document = Document {
        format: FORMAT,
        rpytest: env!("CARGO_PKG_VERSION"),
        run: Run {
            started: picture.started,
            total: picture.total,
            ready: picture.ready,
            last: analysis.last,
            workers: picture.workers,
            method: &picture.method,
            warm: picture.warm,
            status: picture.status,
            stopped: picture.stopped.as_deref(),
            not_run: picture.not_run,
            counts: counts(picture),
            known,
            predicted: if known == 0 {
                0
            } else {
                predicted.unwrap_or(0)
            },
            critical: analysis.critical,
            longest: analysis.longest,
            bottleneck,
            bottleneck_row,
            alone,
        },
        lanes: analysis.lanes.iter().map(lane).collect(),
        tests: columns(picture, known > 0),
        fixtures: fixtures(picture, analysis),
        setups: setups(picture),
        crashes: picture
            .crashes
            .iter()
            .map(|crash| CrashRow {
                slot: crash.slot,
                at: crash.at,
                cause: &crash.cause,
                test: crash.test.as_deref(),
                replacement: replacement(crash.replacement),
            })
            .collect(),
    };
    let text = serde_json::to_string(&document);
    // Keys are strings and numbers are finite: nothing that JSON doesn't have.
    text.unwrap_or_default().replace('<', "\\u003c")
}

fn replacement(replacement: Option<Replacement>) -> &'static str {
    match replacement {
        Some(Replacement::Coming) => "coming",
        Some(Replacement::NothingLeft) => "nothing-left",
        Some(Replacement::Limit(_)) => "limit",
        Some(Replacement::Ending) | None => "ending",
    }
}

fn counts(picture: &Picture) -> Vec<(&'static str, usize)> {
    let count = |ending| {
        let with = picture.tests.iter().filter(|test| test.ending == ending);
        (ending.name(), with.count())
    };
    let all = Ending::ALL.into_iter().map(count);
    all.filter(|&(_, count)| count > 0).collect()
}

fn lane(lane: &Lane) -> LaneRow {
    LaneRow {
        tests: lane.tests,
        busy: lane.busy,
        setup: lane.setup,
        call: lane.call,
        teardown: lane.teardown,
        fixtures: lane.fixtures,
        first: lane.first,
        last: lane.last,
        moved: lane.moved,
        predicted: lane.predicted,
    }
}

fn fixtures<'a>(picture: &'a Picture, analysis: &Analysis) -> Vec<FixtureRow<'a>> {
    let rows = picture.fixtures.iter().zip(&analysis.fixtures);
    rows.map(|(fixture, total)| FixtureRow {
        name: &fixture.name,
        scope: &fixture.scope,
        base: &fixture.base,
        count: total.count,
        total: total.total,
        longest: total.longest,
        row: total.row,
        workers: total.workers,
        failed: total.failed,
    })
    .collect()
}

fn setups(picture: &Picture) -> Vec<u64> {
    let mut flat = Vec::new();
    for (row, test) in picture.tests.iter().enumerate() {
        for setup in &test.setups {
            if setup.length >= SHOWN_SETUP {
                let offset = setup.start.saturating_sub(test.start());
                flat.extend([row as u64, setup.fixture as u64, offset, setup.length]);
            }
        }
    }
    flat
}

fn columns(picture: &Picture, has_history: bool) -> Columns {
    let mut columns = Columns::default();
    let (mut before, mut slot, mut end) = ("", 0, 0);
    for (row, test) in picture.tests.iter().enumerate() {
        if test.slot != slot {
            (slot, end) = (test.slot, 0);
        }
        let (shared, rest) = front_coded(before, &test.nodeid);
        before = &test.nodeid;
        columns.shared.push(shared);
        columns.rest.push(rest.to_owned());
        columns.gap.push(signed(test.start()) - signed(end));
        end = test.end();
        columns.endings.push(test.ending.letter());
        columns.phases(row, test);
        if has_history {
            let estimate = picture.forecast.estimate(test.test);
            columns.estimate.push(estimate.unwrap_or(0));
        }
        let planned = picture.forecast.slot(test.test);
        if let Some(planned) = planned.filter(|&planned| planned != test.slot) {
            columns.moved.extend([row, planned.into()]);
        }
        if !test.reason.is_empty() {
            columns.reasons.push((row, test.reason.clone()));
        }
    }
    columns
}

impl Columns {
    fn phases(&mut self, row: usize, test: &Test) {
        let sum =
            |phase: fn(&super::model::Attempt) -> Micros| test.attempts.iter().map(phase).sum();
        self.setup.push(sum(|attempt| attempt.setup));
        self.call.push(sum(|attempt| attempt.call));
        self.teardown.push(sum(|attempt| attempt.teardown));
        if test.attempts.len() > 1 {
            let start = test.start();
            let attempts = test.attempts.iter().map(|attempt| {
                (
                    attempt.start.saturating_sub(start),
                    attempt.setup,
                    attempt.call,
                    attempt.teardown,
                    attempt.ending.letter(),
                )
            });
            self.attempts.push((row, attempts.collect()));
        }
    }
}

fn signed(time: Micros) -> i64 {
    i64::try_from(time).unwrap_or(i64::MAX / 2)
}

/// How many UTF-16 units `id` has in common with `before`, in whole characters, and what follows
/// them.
fn front_coded<'a>(before: &str, id: &'a str) -> (usize, &'a str) {
    let (mut units, mut bytes) = (0, 0);
    for (left, right) in before.chars().zip(id.chars()) {
        if left != right {
            break;
        }
        units += right.len_utf16();
        bytes += right.len_utf8();
    }
    (units, &id[bytes..])
}

#[cfg(test)]
mod tests {
    use super::front_coded;

    #[test]
    fn what_ids_have_in_common_is_counted_as_javascript_counts() {
        assert_eq!(front_coded("", "a"), (0, "a"));
        assert_eq!(front_coded("a/b::x", "a/b::y"), (5, "y"));
        assert_eq!(front_coded("a", "a"), (1, ""));
        // Both characters begin with the same bytes and the same UTF-16 unit.
        assert_eq!(front_coded("t[😀]", "t[😁]"), (2, "😁]"));
        assert_eq!(front_coded("t[😀a]", "t[😀b]"), (4, "b]"));
    }
}
