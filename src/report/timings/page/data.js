"use strict";

// The page's data: what `encode.rs` writes, unpacked into typed arrays. A row is a test; times are microseconds.

const ENDINGS = [
  { letter: "p", name: "passed", mark: "✓" },
  { letter: "F", name: "failed", mark: "▲", bad: true },
  { letter: "E", name: "error", mark: "◆", bad: true },
  { letter: "s", name: "skipped", mark: "–" },
  { letter: "x", name: "xfailed", mark: "○" },
  { letter: "X", name: "xpassed", mark: "●" },
  { letter: "R", name: "rerun", mark: "↻" },
  { letter: "o", name: "other", mark: "□" },
];
const ENDING_OF = new Map(ENDINGS.map((ending, index) => [ending.letter, index]));

/** Numbers by row, of what only few rows have. */
function byRow(pairs) {
  return new Map(pairs);
}

function readData(text) {
  const raw = JSON.parse(text);
  if (raw.format !== 1) throw new Error(`the data has form ${raw.format}, this page reads form 1`);
  const columns = raw.tests;
  const count = columns.rest.length;
  const data = {
    run: raw.run,
    version: raw.rpytest,
    lanes: raw.lanes,
    fixtures: raw.fixtures,
    crashes: raw.crashes,
    count,
    ids: new Array(count),
    lane: new Uint16Array(count),
    /** The rows of lane n: from first[n] to before first[n + 1]. */
    first: new Uint32Array(raw.lanes.length + 1),
    start: new Float64Array(count),
    end: new Float64Array(count),
    length: new Float64Array(count),
    setup: Float64Array.from(columns.setup),
    call: Float64Array.from(columns.call),
    teardown: Float64Array.from(columns.teardown),
    ending: new Uint8Array(count),
    /** 0: without history. */
    estimate: columns.estimate.length ? Float64Array.from(columns.estimate) : new Float64Array(count),
    moved: new Map(),
    attempts: new Map(),
    reasons: byRow(columns.reasons),
    setups: new Map(),
  };
  for (let at = 0; at < columns.moved.length; at += 2) data.moved.set(columns.moved[at], columns.moved[at + 1]);
  for (const [row, tries] of columns.attempts) {
    const read = ([offset, setup, call, teardown, letter]) => ({ offset, setup, call, teardown, ending: ENDING_OF.get(letter) });
    data.attempts.set(row, tries.map(read));
  }
  for (let at = 0; at < raw.setups.length; at += 4) {
    const [row, fixture, offset, length] = raw.setups.slice(at, at + 4);
    if (!data.setups.has(row)) data.setups.set(row, []);
    data.setups.get(row).push({ fixture, offset, length });
  }
  let row = 0;
  let id = "";
  raw.lanes.forEach((lane, number) => {
    data.first[number] = row;
    let end = 0;
    for (const stop = row + lane.tests; row < stop; row++) {
      id = id.slice(0, columns.shared[row]) + columns.rest[row];
      data.ids[row] = id;
      data.lane[row] = number;
      data.ending[row] = ENDING_OF.get(columns.endings[row]);
      data.length[row] = data.setup[row] + data.call[row] + data.teardown[row];
      data.start[row] = end + columns.gap[row];
      const tries = data.attempts.get(row);
      let span = data.length[row];
      if (tries) span = Math.max(...tries.map((one) => one.offset + one.setup + one.call + one.teardown));
      end = data.end[row] = data.start[row] + span;
    }
  });
  data.first[raw.lanes.length] = row;
  return data;
}

/** The goes at a test; usually one. */
function attemptsOf(data, row) {
  return (
    data.attempts.get(row) || [
      { offset: 0, setup: data.setup[row], call: data.call[row], teardown: data.teardown[row], ending: data.ending[row] },
    ]
  );
}

/** The first row of a lane that ends after `time`, or the row after the lane's last. */
function firstEndingAfter(data, lane, time) {
  let low = data.first[lane];
  let high = data.first[lane + 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (data.end[middle] > time) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** The test of a lane at a time, or the nearest one within `reach`; -1: none. */
function rowAt(data, lane, time, reach) {
  const row = firstEndingAfter(data, lane, time);
  let best = -1;
  let distance = reach;
  for (const candidate of [row - 1, row]) {
    if (candidate < data.first[lane] || candidate >= data.first[lane + 1]) continue;
    const away = Math.max(data.start[candidate] - time, time - data.end[candidate], 0);
    if (away <= distance) [best, distance] = [candidate, away];
  }
  return best;
}
