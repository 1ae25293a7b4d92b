//! Units that must not be divided, tests that are withheld, and the other ways to share a plan.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use rpytest::shm::{Phase, PlanTable, Segment, Sharing, WorkerEnd};

use super::common::{self, all_in, nimble, plan, segment, worker};

/// A plan in which some units are kept whole: per slot, per unit, whether, and the costs of its
/// tests.
fn kept(parts: &[Vec<(bool, Vec<u32>)>]) -> PlanTable {
    let costs: Vec<Vec<Vec<u32>>> = parts
        .iter()
        .map(|part| part.iter().map(|(_, unit)| unit.clone()).collect())
        .collect();
    let keep: Vec<bool> = parts.iter().flatten().map(|(keep, _)| *keep).collect();
    let mut table = plan(&costs);
    for entry in &mut table.entries {
        // Units are numbered from 1 as they come.
        entry.keep = keep[entry.unit as usize - 1];
    }
    table
}

fn plans() -> impl Strategy<Value = PlanTable> {
    let unit = (any::<bool>(), prop::collection::vec(0_u32..50, 1..6));
    let parts = prop::collection::vec(prop::collection::vec(unit, 0..6), 1..5);
    parts.prop_map(|parts| kept(&parts))
}

/// Claims until there is nothing left.
fn all(worker: &mut WorkerEnd) -> Vec<u32> {
    std::iter::from_fn(|| worker.claim()).collect()
}

/// Workers that claim, run and die as they are told, and the parent that buries them.
struct Crew {
    segment: Arc<Segment>,
    workers: Vec<(u16, WorkerEnd)>,
    /// Claimed ahead, per slot: what its worker runs next.
    ahead: Vec<Option<u32>>,
    /// Per test, who ran it.
    ran: HashMap<u32, (u16, u16)>,
    dead: HashSet<(u16, u16)>,
    /// Per unit that is kept whole, who has it.
    owners: HashMap<u32, (u16, u16)>,
    events: u32,
}

impl Crew {
    fn new(table: &PlanTable) -> Self {
        let segment = segment(table, 256);
        let slots = table.parts.len() as u16;
        Self {
            workers: (0..slots)
                .map(|slot| (0, nimble(&segment, slot, 0)))
                .collect(),
            segment,
            ahead: vec![None; usize::from(slots)],
            ran: HashMap::new(),
            dead: HashSet::new(),
            owners: HashMap::new(),
            events: slots.into(),
        }
    }

    /// The worker runs what it has claimed and claims the next; `false`: it has nothing left.
    fn step(&mut self, slot: usize) -> bool {
        let (incarnation, worker) = &mut self.workers[slot];
        let who = (slot as u16, *incarnation);
        if let Some(test) = self.ahead[slot].take() {
            assert!(self.ran.insert(test, who).is_none(), "{test} ran twice");
        }
        self.ahead[slot] = worker.claim();
        if worker.is_succeeded() {
            // Its session ends, and what it holds is given back.
            self.dead.insert(who);
            self.segment.release_units(who.0, who.1);
            *incarnation += 1;
            *worker = nimble(&self.segment, who.0, *incarnation);
            return true;
        }
        if let Some(test) = self.ahead[slot] {
            let entry = self.entry(test);
            if entry.keep {
                let owner = self.owners.insert(entry.unit, who);
                assert!(
                    owner.is_none_or(|owner| owner == who || self.dead.contains(&owner)),
                    "unit {} is divided between {owner:?} and {who:?}",
                    entry.unit
                );
            }
        }
        self.ahead[slot].is_some()
    }

    fn entry(&self, test: u32) -> rpytest::shm::PlanEntry {
        let entries = &self.segment.plan().entries;
        *entries.iter().find(|entry| entry.test == test).unwrap()
    }

    /// The worker dies with a claim; in the middle of the test, or before it.
    fn die(&mut self, slot: usize, in_flight: bool) {
        if self.events >= self.segment.spec().incarnations {
            return;
        }
        let (incarnation, worker) = &mut self.workers[slot];
        let who = (slot as u16, *incarnation);
        self.dead.insert(who);
        match self.ahead[slot].take() {
            Some(test) if in_flight => assert!(self.ran.insert(test, who).is_none()),
            Some(test) => assert!(self.segment.release(test, who.0, who.1)),
            None => {}
        }
        // What was claimed for it before it began.
        let begun = |test: u32| self.ran.contains_key(&test);
        if let Some(test) = self
            .segment
            .reserved_test(who.0, who.1)
            .filter(|&test| !begun(test))
        {
            assert!(self.segment.release(test, who.0, who.1));
        }
        self.segment.release_units(who.0, who.1);
        *incarnation += 1;
        self.segment.assign_event(who.0, *incarnation, self.events);
        self.events += 1;
        *worker = WorkerEnd::attach(self.segment.clone(), who.0, *incarnation, -1, -1).unwrap();
        worker.set_fork_cost(0);
    }

    /// Everybody works until nobody finds anything.
    fn finish(&mut self) {
        while (0..self.workers.len())
            .filter(|&slot| self.step(slot))
            .count()
            > 0
        {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// In any interleaving of workers that live and die: each test once, and a kept unit passes
    /// from hand to hand only by death.
    #[test]
    fn kept_units_are_never_divided_between_the_living(
        table in plans(),
        schedule in prop::collection::vec((any::<prop::sample::Index>(), 0_u8..12), 0..200),
    ) {
        let tests = table.entries.len();
        let slots = table.parts.len();
        let mut crew = Crew::new(&table);
        for (who, action) in schedule {
            let slot = who.index(slots);
            match action {
                0 => crew.die(slot, true),
                1 => crew.die(slot, false),
                _ => { crew.step(slot); }
            }
        }
        crew.finish();
        prop_assert_eq!(crew.segment.unclaimed(), 0);
        prop_assert_eq!(crew.ran.len(), tests);
    }

    /// The same without any schedule but the machine's.
    #[test]
    fn threads_do_not_divide_kept_units(table in plans()) {
        let segment = segment(&table, 256);
        let threads: Vec<_> = (0..table.parts.len() as u16)
            .map(|slot| {
                let mut worker = nimble(&segment, slot, 0);
                let segment = segment.clone();
                std::thread::spawn(move || all_in(&segment, slot, &mut 0, &mut worker))
            })
            .collect();
        let claimed: Vec<Vec<u32>> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        let mut owner: HashMap<u32, usize> = HashMap::new();
        for (slot, tests) in claimed.iter().enumerate() {
            for &test in tests {
                let entry = table.entries[test as usize];
                if entry.keep {
                    prop_assert_eq!(*owner.entry(entry.unit).or_insert(slot), slot);
                }
            }
        }
        prop_assert_eq!(claimed.iter().map(Vec::len).sum::<usize>(), table.entries.len());
    }

    /// Nobody runs anything of another's part, whoever dies, and a replacement runs the rest of it,
    /// in order.
    #[test]
    fn own_parts_stay_with_their_slots(
        table in plans(),
        schedule in prop::collection::vec((any::<prop::sample::Index>(), 0_u8..12), 0..100),
    ) {
        let table = PlanTable { sharing: Sharing::Own, ..table };
        let slots = table.parts.len();
        let mut crew = Crew::new(&table);
        for (who, action) in schedule {
            match action {
                0 => crew.die(who.index(slots), true),
                _ => { crew.step(who.index(slots)); }
            }
        }
        for slot in 0..slots {
            let (start, len) = table.parts[slot];
            prop_assert!(crew.segment.unclaimed_for(slot as u16) <= len);
            for entry in &table.entries[start as usize..(start + len) as usize] {
                if let Some(claim) = crew.segment.claim_of(entry.test) {
                    prop_assert_eq!(usize::from(claim.0), slot);
                }
            }
        }
        crew.finish();
        prop_assert_eq!(crew.ran.len(), table.entries.len());
    }

    /// Every worker goes forward only, and units are begun in the order of the plan.
    #[test]
    fn a_queue_keeps_the_order(
        table in plans(),
        schedule in prop::collection::vec(any::<prop::sample::Index>(), 0..200),
    ) {
        let table = PlanTable { sharing: Sharing::Queue, ..table };
        let slots = table.parts.len();
        let segment = segment(&table, 256);
        let mut workers: Vec<WorkerEnd> = (0..slots as u16).map(|slot| worker(&segment, slot)).collect();
        let mut last = vec![None; slots];
        let mut begun = Vec::new();
        let end = (0..slots * (table.entries.len() + 1)).map(|turn| turn % slots);
        for slot in schedule.iter().map(|who| who.index(slots)).chain(end) {
            if let Some(test) = workers[slot].claim() {
                prop_assert!(last[slot] < Some(test), "tests are numbered as they stand in the \
                    plan");
                last[slot] = Some(test);
                let unit = table.entries[test as usize].unit;
                if !begun.contains(&unit) {
                    begun.push(unit);
                }
            }
        }
        prop_assert_eq!(segment.unclaimed(), 0);
        prop_assert!(begun.is_sorted());
    }
}

#[test]
fn a_thief_takes_whole_units_and_leaves_begun_ones() {
    let table = kept(&[
        vec![],
        vec![(true, vec![1; 3]), (true, vec![1; 2]), (true, vec![1; 2])],
    ]);
    let segment = segment(&table, 256);
    let (mut thief, mut owner) = (worker(&segment, 0), worker(&segment, 1));
    assert_eq!(owner.claim(), Some(0));
    assert_eq!(thief.claim(), Some(5));
    assert_eq!(segment.unclaimed(), 2, "what nobody holds");
    assert_eq!((owner.claim(), owner.claim()), (Some(1), Some(2)));
    assert_eq!(owner.claim(), Some(3));
    assert_eq!(thief.claim(), Some(6));
    assert_eq!(thief.claim(), None, "3 and 4 are the owner's");
    assert_eq!(segment.unclaimed(), 0);
    assert_eq!(all(&mut owner), [4]);
}

#[test]
fn the_rest_of_a_dead_workers_unit_goes_to_one_other() {
    let table = kept(&[vec![(true, vec![1; 4])], vec![], vec![]]);
    let segment = segment(&table, 256);
    let mut dead = worker(&segment, 0);
    let (mut one, mut two) = (worker(&segment, 1), worker(&segment, 2));
    assert_eq!((dead.claim(), dead.claim()), (Some(0), Some(1)));
    assert_eq!(one.claim(), None);
    // It died in test 0, with 1 claimed ahead.
    assert!(segment.release(1, 0, 0));
    assert_eq!(two.claim(), None, "the dead one still holds the unit");
    segment.release_units(0, 0);
    assert_eq!(one.claim(), Some(1));
    assert_eq!(two.claim(), None);
    assert_eq!(all(&mut one), [2, 3]);
}

#[test]
fn withheld_tests_are_nobodys_until_they_are_handed_out() {
    let table = plan(&[vec![vec![1], vec![1]], vec![vec![1]]]);
    let segment = segment(&table, 256);
    segment.withhold(1);
    assert_eq!(segment.claim_of(1), None);
    assert_eq!(segment.unclaimed(), 2);
    let (mut one, mut two) = (worker(&segment, 0), worker(&segment, 1));
    assert_eq!(all(&mut two), [2]);
    assert_eq!(all(&mut one), [0]);
    assert!(segment.hand_out(1));
    assert!(!segment.hand_out(1) && !segment.hand_out(0));
    assert_eq!(all(&mut one), [1]);
}

#[test]
fn a_unit_is_taken_over_only_if_its_set_ups_cost_less_than_the_gain() {
    // Four tests of 10 s; elsewhere their set-ups have to be made again.
    let divided = |enter_us: u32| {
        let mut table = plan(&[vec![vec![10_000_000; 5]], vec![]]);
        for entry in &mut table.entries {
            entry.enter_us = enter_us;
        }
        let segment = segment(&table, 256);
        let (mut owner, mut thief) = (worker(&segment, 0), worker(&segment, 1));
        let first = owner.claim().unwrap();
        owner.begin(first);
        let taken = thief.claim();
        (taken, thief.may_ask_again())
    };
    // Of the 50 s that the owner still has, 40 can be taken over.
    assert_eq!(divided(1_000_000), (Some(3), false));
    // 32 s elsewhere and 30 s here: finished 18 s earlier.
    assert_eq!(divided(12_000_000), (Some(3), false));
    // 40 s elsewhere and here: 10 s earlier, for a set-up of 30 s, which counts a quarter.
    assert_eq!(divided(30_000_000), (Some(4), false));
    assert_eq!(divided(33_000_000), (None, true));
}

#[test]
fn nothing_waits_for_ever_behind_a_test_that_takes_longer_than_estimated() {
    let mut table = plan(&[vec![vec![1000; 3]], vec![]]);
    for entry in &mut table.entries {
        entry.enter_us = 20_000;
    }
    let segment = segment(&table, 256);
    let (mut owner, mut thief) = (worker(&segment, 0), worker(&segment, 1));
    let first = owner.claim().unwrap();
    owner.begin(first);
    assert_eq!(thief.claim(), None);
    let mut claimed = None;
    while claimed.is_none() {
        assert!(thief.may_ask_again());
        std::thread::sleep(Duration::from_millis(5));
        claimed = thief.claim();
    }
    assert_ne!(claimed, Some(0));
    segment.stop();
    assert_eq!((thief.claim(), thief.may_ask_again()), (None, false));
}

thread_local! {
    static NOW_MS: Cell<u64> = const { Cell::new(0) };
}

#[test]
fn what_a_set_up_really_takes_is_known_to_all_as_soon_as_one_is_through_with_it() {
    // Ten tests of 100 ms behind a set-up of 200 ms: a second worker is worth it.
    let taken = |took_ms: u64, through: bool| {
        let mut table = plan(&[vec![vec![100_000; 10]], vec![]]);
        for entry in &mut table.entries {
            entry.module = 7;
            entry.enter_us = 200_000;
        }
        table.entries[0].enter_us = 0;
        table.entries[0].cost_us = 300_000;
        table.entries[0].paid_us = 200_000;
        let mut segment = Segment::create(&common::spec(&table, 256), &table).unwrap();
        segment.set_clock(|| NOW_MS.get() * 1_000_000);
        let segment = Arc::new(segment);
        let (mut owner, mut thief) = (worker(&segment, 0), worker(&segment, 1));
        NOW_MS.set(0);
        let first = owner.claim().unwrap();
        owner.begin(first);
        NOW_MS.set(took_ms);
        if through {
            owner.phase(Phase::Call);
        }
        thief.claim()
    };
    // 800 ms of work for both together, and a set-up for the one that comes.
    assert_eq!(taken(200, true), Some(6));
    // A quicker one: more of it is worth taking.
    assert_eq!(taken(20, true), Some(5));
    // 900 ms more before anything is gained: none of it.
    assert_eq!(taken(900, true), None);
    // Who is not through with it after so long shows as much.
    assert_eq!(taken(900, false), None);
}

#[test]
fn what_was_learned_of_set_ups_may_be_written_over() {
    let mut table = plan(&[vec![vec![100; 4]], vec![]]);
    for entry in &mut table.entries {
        entry.enter_us = 50;
    }
    let segment = segment(&table, 256);
    let words = common::Scribbler::new(segment.name());
    // Header, claims and holds: then the tolls.
    let tolls = (512 + 2 * 128) / 8;
    for at in tolls..tolls + 2 {
        words.set(at, u64::MAX);
    }
    let (mut owner, mut thief) = (worker(&segment, 0), worker(&segment, 1));
    let first = owner.claim().unwrap();
    owner.begin(first);
    // It may be wrong about what is worth it, and nothing else.
    let stolen = thief.claim();
    let mut claimed = all(&mut owner);
    claimed.extend(stolen);
    claimed.sort_unstable();
    assert_eq!(claimed, [1, 2, 3]);
}
