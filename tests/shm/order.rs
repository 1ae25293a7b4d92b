//! A process only ever goes upwards: whatever plan, speed, deaths and forks there are, it claims
//! nothing that does not come after all that it has claimed; and nothing is left undone for that.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::Arc;

use proptest::prelude::*;
use rpytest::shm::{PlanTable, Segment, Sharing, WorkerEnd};

use super::common::{self, plan, spec};

thread_local! {
    static NOW_US: Cell<u64> = const { Cell::new(0) };
}

/// Units of up to five tests, some kept whole and some open, dealt to slots; ranks are an order of
/// the units.
fn plans() -> impl Strategy<Value = PlanTable> {
    let unit = (
        0_u8..3,
        prop::collection::vec(1_u32..60_000, 1..6),
        any::<u16>(),
    );
    let parts = prop::collection::vec(prop::collection::vec(unit, 0..8), 1..5);
    (parts, any::<bool>()).prop_map(|(parts, is_sorted)| {
        let costs: Vec<Vec<Vec<u32>>> = parts
            .iter()
            .map(|part| part.iter().map(|(_, costs, _)| costs.clone()).collect())
            .collect();
        let mut table = plan(&costs);
        let units: Vec<_> = parts.iter().flatten().collect();
        for entry in &mut table.entries {
            // Units are numbered from 1 as they come.
            let (kind, _, key) = units[entry.unit as usize - 1];
            entry.keep = *kind == 1;
            entry.open = *kind == 2;
            entry.rank = u32::from(*key);
        }
        // Ranks: by the units' keys, and in a unit as they stand.
        let mut order: Vec<usize> = (0..table.entries.len()).collect();
        order.sort_by_key(|&index| (table.entries[index].rank, index));
        for (rank, index) in (0..).zip(order) {
            table.entries[index].rank = rank;
        }
        if is_sorted {
            for &(start, len) in &table.parts {
                table.entries[start as usize..(start + len) as usize]
                    .sort_by_key(|entry| entry.rank);
            }
        }
        table
    })
}

/// Workers that take a while for each test, die and are followed by others.
struct Crew {
    table: PlanTable,
    segment: Arc<Segment>,
    workers: Vec<(u16, WorkerEnd)>,
    /// Rank of the last claim of each process.
    last: HashMap<(usize, u16), u32>,
    /// Per test how often it was run.
    runs: Vec<u32>,
    /// What each is at.
    at: Vec<Option<u32>>,
}

impl Crew {
    fn new(table: PlanTable) -> Self {
        let mut segment = Segment::create(&spec(&table, 256), &table).unwrap();
        segment.set_clock(|| NOW_US.get() * 1000);
        let segment = Arc::new(segment);
        segment.reserve_firsts();
        let slots = table.parts.len();
        let worker = |slot: usize| WorkerEnd::attach(segment.clone(), slot as u16, 0, -1, -1);
        Self {
            workers: (0..slots).map(|slot| (0, worker(slot).unwrap())).collect(),
            last: HashMap::new(),
            runs: vec![0; table.entries.len()],
            at: vec![None; slots],
            segment,
            table,
        }
    }

    fn rank(&self, test: u32) -> u32 {
        let mut entries = self.table.entries.iter();
        entries.find(|entry| entry.test == test).unwrap().rank
    }

    /// It has run what it was at, and claims the next test; `false`: there is nothing for it now.
    fn step(&mut self, slot: usize) -> bool {
        if let Some(test) = self.at[slot].take() {
            self.runs[test as usize] += 1;
        }
        let (incarnation, worker) = &mut self.workers[slot];
        let process = (slot, *incarnation);
        let Some(test) = worker.claim() else {
            worker.idle();
            assert!(!worker.is_succeeded() || !worker.may_ask_again());
            if worker.is_succeeded() {
                self.follow(slot);
                return true;
            }
            return false;
        };
        worker.begin(test);
        self.at[slot] = Some(test);
        let rank = self.rank(test);
        let before = self.last.insert(process, rank);
        assert!(
            before < Some(rank),
            "{process:?} goes from {before:?} to {rank}"
        );
        true
    }

    /// A fresh process takes the slot.
    fn follow(&mut self, slot: usize) {
        let incarnation = self.workers[slot].0 + 1;
        self.segment
            .assign_event(slot as u16, incarnation, u32::MAX);
        let end = WorkerEnd::attach(self.segment.clone(), slot as u16, incarnation, -1, -1);
        self.workers[slot] = (incarnation, end.unwrap());
    }

    /// It dies; what it had claimed, for itself or for who was to follow, is given back.
    fn die(&mut self, slot: usize) {
        let incarnation = self.workers[slot].0;
        self.at[slot] = None;
        for next in [incarnation, incarnation + 1] {
            for test in 0..self.runs.len() as u32 {
                let is_its = self.segment.claim_of(test) == Some((slot as u16, next));
                if is_its && self.runs[test as usize] == 0 {
                    assert!(self.segment.release(test, slot as u16, next));
                }
            }
            self.segment.release_units(slot as u16, next);
        }
        self.follow(slot);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn every_process_goes_upwards_and_all_is_done(
        table in plans(),
        sharing in 0_u8..3,
        schedule in prop::collection::vec((any::<prop::sample::Index>(), 0_u8..20, 0_u64..40_000), 0..200),
    ) {
        let sharing = [Sharing::Steal, Sharing::Queue, Sharing::Steal][usize::from(sharing)];
        let table = PlanTable { sharing, ..table };
        let slots = table.parts.len();
        NOW_US.set(0);
        let mut crew = Crew::new(table);
        for (who, action, us) in schedule {
            NOW_US.set(NOW_US.get() + us);
            match action {
                0 => crew.die(who.index(slots)),
                _ => { crew.step(who.index(slots)); }
            }
        }
        // Everybody works until nobody finds anything. Who waits for others looks again later.
        let mut idle = 0;
        while idle < 200 {
            NOW_US.set(NOW_US.get() + 10_000);
            let any = (0..slots).filter(|&slot| crew.step(slot)).count() > 0;
            idle = if any { 0 } else { idle + 1 };
            if sharing == Sharing::Queue && !any && crew.segment.unclaimed() > 0 {
                // When all have left, the parent sends fresh workers.
                crew.follow(0);
            }
        }
        prop_assert_eq!(crew.segment.unclaimed(), 0);
        prop_assert!(crew.runs.iter().all(|&count| count == 1), "{:?}", crew.runs);
    }

    /// The same at the machine's own speed.
    #[test]
    fn threads_go_upwards(table in plans()) {
        let segment = Arc::new(Segment::create(&spec(&table, 256), &table).unwrap());
        segment.reserve_firsts();
        let ranks: HashMap<u32, u32> = table.entries.iter().map(|entry| (entry.test, entry.rank)).collect();
        let threads: Vec<_> = (0..table.parts.len() as u16)
            .map(|slot| {
                let segment = segment.clone();
                std::thread::spawn(move || {
                    let mut processes = Vec::new();
                    for incarnation in 0.. {
                        if incarnation > 0 {
                            segment.assign_event(slot, incarnation, u32::MAX);
                        }
                        let mut worker = WorkerEnd::attach(segment.clone(), slot, incarnation, -1, -1).unwrap();
                        let mut tests = Vec::new();
                        loop {
                            match worker.claim() {
                                Some(test) => tests.push(test),
                                None if worker.may_ask_again() => std::thread::yield_now(),
                                None => break,
                            }
                        }
                        processes.push(tests);
                        if !worker.is_succeeded() {
                            break;
                        }
                    }
                    processes
                })
            })
            .collect();
        let processes: Vec<Vec<u32>> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        for tests in &processes {
            prop_assert!(tests.windows(2).all(|pair| ranks[&pair[0]] < ranks[&pair[1]]));
        }
        let mut all = processes.concat();
        all.sort_unstable();
        prop_assert_eq!(all, (0..table.entries.len() as u32).collect::<Vec<_>>());
    }
}

/// Four tests of a second each; a worker that has run the last one.
fn behind() -> (Arc<Segment>, WorkerEnd, WorkerEnd) {
    let table = plan(&[vec![vec![1_000_000]; 3], vec![vec![1_000_000]]]);
    let mut segment = Segment::create(&spec(&table, 256), &table).unwrap();
    segment.set_clock(|| NOW_US.get() * 1000);
    NOW_US.set(0);
    let segment = Arc::new(segment);
    let (mut owner, mut other) = (common::worker(&segment, 0), common::worker(&segment, 1));
    let first = owner.claim().unwrap();
    owner.begin(first);
    assert_eq!(other.claim(), Some(3));
    (segment, owner, other)
}

#[test]
fn work_that_lies_behind_is_done_by_a_fresh_process() {
    let (segment, mut owner, mut other) = behind();
    assert_eq!(other.claim(), None);
    assert!(other.is_succeeded() && !other.may_ask_again());
    let reserved = segment.reserved_test(1, 1).unwrap();
    assert_eq!(
        reserved, 2,
        "the last one: the owner is on its way to the others"
    );
    assert_eq!(other.claim(), None, "it claims nothing any more");
    // Nobody takes it meanwhile.
    assert_eq!((owner.claim(), owner.claim()), (Some(1), None));
    segment.assign_event(1, 1, u32::MAX);
    let mut next = WorkerEnd::attach(segment.clone(), 1, 1, -1, -1).unwrap();
    assert_eq!((next.claim(), next.claim()), (Some(2), None));
}

#[test]
fn nobody_is_forked_where_that_is_dear() {
    let (segment, _owner, mut other) = behind();
    // Session fixtures that take three seconds.
    other.set_fork_cost(3_000_000);
    assert_eq!(other.claim(), None);
    assert!(!other.is_succeeded() && other.may_ask_again());
    assert_eq!(segment.unclaimed(), 2);
    // The one that it waits for takes twenty times as long as estimated: nobody knows when it ends.
    NOW_US.set(20_000_000);
    assert_eq!(other.claim(), None);
    assert!(other.is_succeeded());
}

#[test]
fn another_sequence_is_another_process() {
    let mut table = plan(&[vec![vec![1]; 5]]);
    table.sharing = Sharing::Own;
    for (entry, rank) in table.entries.iter_mut().zip([0, 1, 0, 0, 1]) {
        entry.rank = rank;
    }
    let segment = common::segment(&table, 256);
    let mut ran = Vec::new();
    for incarnation in 0..3 {
        if incarnation > 0 {
            assert!(segment.unclaimed_for(0) > 0);
            segment.assign_event(0, incarnation, u32::MAX);
        }
        let mut worker = WorkerEnd::attach(segment.clone(), 0, incarnation, -1, -1).unwrap();
        ran.push(std::iter::from_fn(|| worker.claim()).collect::<Vec<_>>());
    }
    assert_eq!(ran, [vec![0, 1], vec![2], vec![3, 4]]);
    assert_eq!(segment.unclaimed(), 0);
}
