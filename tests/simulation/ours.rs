//! Our own scheduling: the real plan in a real segment, and the real claims of all workers, one
//! after the other by a clock of ours.

use std::cell::Cell;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};
use std::sync::Arc;

use rpytest::plan::{Plan, Tests};
use rpytest::shm::{Phase, PlanTable, Segment, SegmentSpec, WorkerEnd};

use super::suites::{Known, Suite};

/// How often a worker that found nothing worth it asks again, µs.
const ASK_AGAIN: u64 = 10_000;

/// What a fresh fork takes that goes on in a worker's place: the end of a session and the beginning
/// of another, µs.
const FORK: u64 = 15_000;

thread_local! {
    static NOW_US: Cell<u64> = const { Cell::new(0) };
}

/// Runs a suite; microseconds from the first test's beginning to the last one's end.
pub fn makespan(suite: &Suite, known: &Known, workers: usize) -> u64 {
    let tests = Tests::new(&suite.modules, &suite.modules, &known.durations)
        .and_then(|tests| tests.with_setups(&known.setups))
        .expect("lists of one length");
    let plan = Plan::new(&tests, workers);
    let segment = segment(&plan, suite.len());
    segment.reserve_firsts();
    let ends = (0..plan.workers() as u16)
        .map(|slot| WorkerEnd::attach(Arc::clone(&segment), slot, 0, -1, -1))
        .collect::<Result<Vec<_>, _>>()
        .expect("workers");
    let count = ends.len();
    let mut run = Run {
        suite,
        segment,
        workers: ends.into_iter().map(|end| (end, None)).collect(),
        incarnations: vec![0; count],
        events: BinaryHeap::new(),
        ran: HashSet::with_capacity(suite.len()),
    };
    for worker in 0..count {
        run.events.push(Reverse((0, worker, false)));
    }
    run.run()
}

fn segment(plan: &Plan, tests: usize) -> Arc<Segment> {
    let table = PlanTable::from(plan);
    let slots = plan.workers() as u16;
    let spec = SegmentSpec {
        slots,
        tests: tests as u32,
        ring_bytes: 256,
        incarnations: slots.into(),
    };
    let mut segment = Segment::create(&spec, &table).expect("a segment");
    segment.unlink();
    segment.set_clock(|| NOW_US.get() * 1000);
    Arc::new(segment)
}

struct Run<'a> {
    suite: &'a Suite,
    segment: Arc<Segment>,
    incarnations: Vec<u16>,
    /// And the test that each ran last.
    workers: Vec<(WorkerEnd, Option<u32>)>,
    /// When which worker asks for a test, or is through with its set-ups.
    events: BinaryHeap<Reverse<(u64, usize, bool)>>,
    ran: HashSet<u32>,
}

impl Run<'_> {
    fn run(mut self) -> u64 {
        let mut makespan = 0;
        while let Some(Reverse((now, index, is_set_up))) = self.events.pop() {
            NOW_US.set(now);
            let (worker, last) = &mut self.workers[index];
            if is_set_up {
                worker.phase(Phase::Call);
                continue;
            }
            let Some(test) = worker.claim() else {
                worker.idle();
                if worker.is_succeeded() {
                    self.events.push(Reverse((now + FORK, index, false)));
                    self.incarnations[index] += 1;
                    self.workers[index] = (self.fork(index), None);
                    continue;
                }
                if worker.may_ask_again() {
                    self.events.push(Reverse((now + ASK_AGAIN, index, false)));
                }
                continue;
            };
            assert!(self.ran.insert(test), "test {test} ran twice");
            assert!(*last < Some(test), "{test} after {last:?} in one process");
            worker.begin(test);
            let cost = self.suite.cost(*last, test);
            *last = Some(test);
            let set_up = cost - self.suite.own[test as usize];
            if set_up > 0 {
                self.events.push(Reverse((now + set_up, index, true)));
            }
            makespan = makespan.max(now + cost);
            self.events.push(Reverse((now + cost, index, false)));
        }
        assert_eq!(self.ran.len(), self.suite.len(), "tests that did not run");
        makespan
    }

    /// The next process in a slot, which has seen nothing.
    fn fork(&self, index: usize) -> WorkerEnd {
        let (slot, incarnation) = (index as u16, self.incarnations[index]);
        // There is no event for it, and nobody waits.
        self.segment.assign_event(slot, incarnation, u32::MAX);
        WorkerEnd::attach(Arc::clone(&self.segment), slot, incarnation, -1, -1).expect("a worker")
    }
}
