//! What the ring costs: `cargo bench --bench ring`. Prints nanoseconds; measures nothing against a
//! limit.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use rpytest::shm::{Outgoing, PlanEntry, PlanTable, Segment, SegmentSpec, WorkerEnd};

const ROUNDS: u32 = 1_000_000;

fn segment(slots: u16, tests: u32) -> Arc<Segment> {
    let part = tests / u32::from(slots);
    let plan = PlanTable {
        entries: (0..tests)
            .map(|test| PlanEntry {
                test,
                cost_us: 1,
                unit: test / 5,
                ..PlanEntry::default()
            })
            .collect(),
        parts: (0..u32::from(slots))
            .map(|slot| (slot * part, part))
            .collect(),
        ..PlanTable::default()
    };
    let spec = SegmentSpec {
        slots,
        tests,
        ring_bytes: 1 << 20,
        incarnations: slots.into(),
    };
    Arc::new(Segment::create(&spec, &plan).expect("a segment"))
}

fn attach(segment: &Arc<Segment>, slot: u16) -> WorkerEnd {
    WorkerEnd::attach(segment.clone(), slot, 0, -1, -1).expect("a worker")
}

fn report(what: &str, since: Instant, count: u32) {
    let each = since.elapsed().as_nanos() as f64 / f64::from(count);
    println!("{what:40} {each:8.1} ns");
}

fn main() {
    let segment_of_all = segment(1, ROUNDS);
    let mut worker = attach(&segment_of_all, 0);
    let since = Instant::now();
    while let Some(test) = worker.claim() {
        black_box(test);
    }
    report("claim", since, ROUNDS);

    let shared = segment(2, ROUNDS);
    let since = Instant::now();
    std::thread::scope(|scope| {
        // One part is drained by both: the second worker has nothing to wait for.
        for slot in 0..2 {
            let mut worker = attach(&shared, slot);
            scope.spawn(move || while worker.claim().is_some() {});
        }
    });
    report("claim, two workers", since, ROUNDS);

    let since = Instant::now();
    for test in 0..ROUNDS {
        worker.begin(black_box(test));
        worker.idle();
    }
    report("begin + idle", since, ROUNDS);

    for len in [32, 200, 1000] {
        let body = vec![7; len];
        let mut out = Vec::new();
        let mut reader = segment_of_all.reader(0);
        let since = Instant::now();
        for test in 0..ROUNDS {
            let record = Outgoing {
                kind: 1,
                flags: 0,
                test,
                attempt: 0,
                body: &body,
                urgent: false,
            };
            worker.try_push(&record).expect("no damage");
            black_box(reader.next(&mut out).expect("no damage"));
        }
        report(&format!("push + read, {len} bytes"), since, ROUNDS);
    }
}
