//! Claims: each test exactly once, in a sensible order, whoever asks when.

use std::sync::Arc;

use proptest::prelude::*;
use rpytest::shm::{Segment, Sharing, WorkerEnd};

use super::common::{all_in, even, nimble, plan, segment, worker};

/// Claims until there is nothing left.
fn all(worker: &mut WorkerEnd) -> Vec<u32> {
    std::iter::from_fn(|| worker.claim()).collect()
}

fn costs() -> impl Strategy<Value = Vec<Vec<Vec<u32>>>> {
    let unit = prop::collection::vec(0_u32..50, 1..6);
    prop::collection::vec(prop::collection::vec(unit, 0..8), 1..6)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Any number of workers in any interleaving, some of which die and are replaced.
    #[test]
    fn each_test_is_run_exactly_once(
        parts in costs(),
        schedule in prop::collection::vec((any::<prop::sample::Index>(), 0_u8..20), 0..200),
    ) {
        let table = plan(&parts);
        let segment = segment(&table, 256);
        let slots = parts.len();
        let mut workers: Vec<(u16, WorkerEnd)> =
            (0..slots).map(|slot| (0, nimble(&segment, slot as u16, 0))).collect();
        let mut runs = vec![0; table.entries.len()];
        let mut events = slots as u32;
        for (who, action) in schedule {
            let slot = who.index(slots);
            let (incarnation, worker) = &mut workers[slot];
            let claimed = worker.claim();
            let dies = action == 0 && events < segment.spec().incarnations;
            match claimed {
                // It dies with its test, which the parent gives back.
                Some(test) if dies => {
                    prop_assert_eq!(segment.claim_of(test), Some((slot as u16, *incarnation)));
                    prop_assert!(!segment.release(test, slot as u16, *incarnation + 1));
                    prop_assert!(segment.release(test, slot as u16, *incarnation));
                    prop_assert_eq!(segment.claim_of(test), None);
                    *incarnation += 1;
                    segment.assign_event(slot as u16, *incarnation, events);
                    events += 1;
                    *worker = WorkerEnd::attach(segment.clone(), slot as u16, *incarnation, -1, -1).unwrap();
                    worker.set_fork_cost(0);
                }
                Some(test) => runs[test as usize] += 1,
                None if worker.is_succeeded() => {
                    *incarnation += 1;
                    *worker = nimble(&segment, slot as u16, *incarnation);
                }
                None => prop_assert_eq!(segment.unclaimed(), 0, "`None` means that nothing is left"),
            }
        }
        let left = runs.iter().filter(|count| **count == 0).count();
        // What is claimed for a worker that has not begun is left as well.
        prop_assert!(segment.unclaimed() as usize <= left && left <= segment.unclaimed() as usize + slots);
        for (slot, (incarnation, worker)) in (0..).zip(&mut workers) {
            for test in all_in(&segment, slot, incarnation, worker) {
                runs[test as usize] += 1;
            }
        }
        prop_assert!(runs.iter().all(|count| *count == 1), "{:?}", runs);
    }

    /// The same with the first tests given away beforehand; workers also die before they have run,
    /// or even begun, any.
    #[test]
    fn each_test_is_run_exactly_once_when_the_first_are_reserved(
        parts in costs(),
        keep in any::<bool>(),
        queue in any::<bool>(),
        schedule in prop::collection::vec((any::<prop::sample::Index>(), 0_u8..8), 0..200),
    ) {
        let mut table = plan(&parts);
        for entry in &mut table.entries {
            entry.keep = keep;
        }
        if queue {
            table.sharing = Sharing::Queue;
        }
        let segment = segment(&table, 256);
        segment.reserve_firsts();
        let slots = parts.len();
        let mut workers: Vec<(u16, WorkerEnd)> =
            (0..slots).map(|slot| (0, nimble(&segment, slot as u16, 0))).collect();
        let mut runs = vec![0; table.entries.len()];
        let mut events = slots as u32;
        for (who, action) in schedule {
            let slot = who.index(slots);
            let (incarnation, worker) = &mut workers[slot];
            if action > 1 {
                if let Some(test) = worker.claim() {
                    prop_assert_eq!(segment.claim_of(test), Some((slot as u16, *incarnation)));
                    runs[test as usize] += 1;
                }
            } else if events < segment.spec().incarnations {
                // It dies, perhaps with a test in its hands; the parent gives back what has no
                // result.
                if action == 1 {
                    worker.claim();
                }
                for whose in [*incarnation, *incarnation + 1] {
                    for test in 0..runs.len() as u32 {
                        if runs[test as usize] == 0 && segment.claim_of(test) == Some((slot as u16, whose)) {
                            segment.release(test, slot as u16, whose);
                        }
                    }
                    segment.release_units(slot as u16, whose);
                }
                *incarnation += 1;
                segment.assign_event(slot as u16, *incarnation, events);
                events += 1;
                *worker = WorkerEnd::attach(segment.clone(), slot as u16, *incarnation, -1, -1).unwrap();
                worker.set_fork_cost(0);
            }
        }
        // Units that are kept stay with the living worker that holds them. In a queue what lies
        // behind is for fresh workers.
        for turn in 0..3 {
            for (slot, (incarnation, worker)) in (0..).zip(&mut workers) {
                if turn == 2 && queue {
                    *incarnation += 1;
                    *worker = nimble(&segment, slot, *incarnation);
                }
                for test in all_in(&segment, slot, incarnation, worker) {
                    runs[test as usize] += 1;
                }
            }
        }
        prop_assert!(runs.iter().all(|count| *count == 1), "{:?}", runs);
    }

    #[test]
    fn threads_claim_each_test_once(parts in costs()) {
        let table = plan(&parts);
        let segment = segment(&table, 256);
        let threads: Vec<_> = (0..parts.len() as u16)
            .map(|slot| {
                let mut worker = nimble(&segment, slot, 0);
                let segment = segment.clone();
                std::thread::spawn(move || all_in(&segment, slot, &mut 0, &mut worker))
            })
            .collect();
        let mut claimed: Vec<u32> = threads.into_iter().flat_map(|t| t.join().unwrap()).collect();
        claimed.sort_unstable();
        prop_assert_eq!(claimed, (0..table.entries.len() as u32).collect::<Vec<_>>());
    }
}

#[test]
fn a_worker_runs_its_own_part_in_order_then_helps_the_one_with_most_to_do() {
    let table = plan(&[
        vec![vec![5]],                               // test 0
        vec![vec![1; 3], vec![1; 2]],                // 1 2 3, 4 5
        vec![vec![10; 2], vec![10; 2], vec![10; 2]], // 6 7, 8 9, 10 11
    ]);
    let segment = segment(&table, 256);
    let mut helper = nimble(&segment, 0, 0);
    let mut busy = worker(&segment, 2);
    assert_eq!(busy.claim(), Some(6));
    assert!(!segment.slot_state(0).stealing);
    let order: Vec<u32> = (0..3).map_while(|_| helper.claim()).collect();
    // Its own; then the back of the heaviest part, upwards.
    assert_eq!(order, [0, 10, 11]);
    assert!(segment.slot_state(0).stealing);
    // The rest lies behind it: a fresh worker takes the back of what is left of that part.
    assert_eq!(helper.claim(), None);
    assert!(helper.is_succeeded());
    helper = nimble(&segment, 0, 1);
    assert_eq!(helper.claim(), Some(8));
    // The owner finds the unit begun, but nobody waits for it: claims decide.
    assert_eq!(busy.claim(), Some(7));
    assert_eq!(busy.claim(), Some(9));
    // Now only part 1 is left, its back first.
    assert_eq!(all_in(&segment, 0, &mut 1, &mut helper), [4, 5, 2, 3, 1]);
}

#[test]
fn a_quick_worker_leaves_the_others_their_first_tests() {
    for sharing in [Sharing::Steal, Sharing::Queue] {
        let mut table = even(3, 6);
        table.sharing = sharing;
        let segment = segment(&table, 256);
        segment.withhold(0);
        segment.reserve_firsts();
        let mut workers: Vec<WorkerEnd> = (0..3).map(|slot| worker(&segment, slot)).collect();
        // The first one is there long before the others.
        let mut first = all(&mut workers[0]);
        assert_eq!(first.len(), 3, "{first:?}");
        // One dies before it has begun; its test is found by who looks again.
        let (reserved, _) = (0..6)
            .filter_map(|test| Some((test, segment.claim_of(test)?)))
            .find(|(_, claim)| *claim == (1, 0))
            .expect("a test is reserved for worker 1");
        assert!(segment.release(reserved, 1, 0));
        first.extend(all(&mut workers[2]));
        // It lies behind both, or is taken by the one behind which it does not lie.
        assert!(segment.hand_out(0));
        let mut fresh = nimble(&segment, 1, 1);
        first.extend(all_in(&segment, 1, &mut 1, &mut fresh));
        first.sort_unstable();
        assert_eq!(first, [0, 1, 2, 3, 4, 5]);
    }
}

#[test]
fn one_big_unit_is_halved() {
    let table = plan(&[vec![], vec![vec![1; 9]]]);
    let segment = segment(&table, 256);
    let mut owner = worker(&segment, 1);
    let mut helper = worker(&segment, 0);
    assert_eq!(owner.claim(), Some(0));
    // Eight are left: 5 to 8 are the back half.
    assert_eq!(helper.claim(), Some(5));
    assert_eq!(owner.claim(), Some(1));
    assert_eq!(
        (6..9).map(|_| helper.claim().unwrap()).collect::<Vec<_>>(),
        [6, 7, 8]
    );
    // Then 2, 3, 4: the larger half of three, which lies behind.
    helper.set_fork_cost(0);
    assert_eq!(helper.claim(), None);
    assert_eq!(segment.reserved_test(0, 1), Some(3));
    let mut next = nimble(&segment, 0, 1);
    assert_eq!((next.claim(), next.claim()), (Some(3), Some(4)));
}

#[test]
fn a_plan_of_unknown_costs_and_many_tests_is_shared() {
    // More than the window that is weighed claim by claim.
    let table = plan(&[vec![vec![0]], vec![vec![0]; 1500], vec![vec![0]; 3000]]);
    let segment = segment(&table, 256);
    let mut helper = nimble(&segment, 0, 0);
    assert_eq!(helper.claim(), Some(0));
    let first = helper.claim().unwrap();
    assert!(
        (1501..=4500).contains(&first),
        "{first}: from the back of the longest part"
    );
    let mut rest = all_in(&segment, 0, &mut 0, &mut helper);
    rest.push(first);
    rest.sort_unstable();
    assert_eq!(rest, (1..4501).collect::<Vec<_>>());
    assert_eq!(segment.unclaimed(), 0);
}

#[test]
fn nobody_claims_after_stop() {
    let segment = segment(&even(2, 10), 256);
    let (mut one, mut two) = (worker(&segment, 0), worker(&segment, 1));
    assert_eq!(one.claim(), Some(0));
    assert!(!segment.stopped() && !two.stopped());
    one.stop();
    assert!(segment.stopped() && two.stopped());
    assert_eq!((one.claim(), two.claim()), (None, None));
    assert_eq!(segment.unclaimed(), 9);
}

#[test]
fn a_claim_given_back_is_found_by_a_worker_that_has_looked_everywhere() {
    let segment: Arc<Segment> = segment(&even(2, 4), 256);
    let mut dead = worker(&segment, 0);
    assert_eq!(dead.claim(), Some(0));
    let (mut other, mut incarnation) = (nimble(&segment, 1, 0), 0);
    assert_eq!(all_in(&segment, 1, &mut incarnation, &mut other).len(), 3);
    assert!(segment.release(0, 0, 0));
    assert_eq!(segment.unclaimed(), 1);
    assert_eq!(all_in(&segment, 1, &mut incarnation, &mut other), [0]);
    assert_eq!(segment.claim_of(0), Some((1, incarnation)));
    assert_eq!(segment.claim_of(segment.spec().tests), None);
}

#[test]
fn a_worker_shows_its_test_and_phase() {
    use rpytest::shm::Phase;
    let segment = segment(&even(1, 3), 256);
    let worker = worker(&segment, 0);
    assert_eq!(
        (segment.slot_state(0).current, segment.slot_state(0).phase),
        (None, Phase::Idle)
    );
    let before = rpytest::shm::monotonic_ns();
    worker.begin(2);
    let state = segment.slot_state(0);
    assert_eq!(
        (state.current, state.phase, state.incarnation),
        (Some(2), Phase::Setup, 0)
    );
    assert!((before..=rpytest::shm::monotonic_ns()).contains(&state.started_ns));
    worker.phase(Phase::Teardown);
    assert_eq!(segment.slot_state(0).phase, Phase::Teardown);
    assert_eq!(segment.slot_state(0).current, Some(2));
    worker.idle();
    assert_eq!(segment.slot_state(0).current, None);
}
