//! Model checks with loom: every interleaving, and every reordering that the memory model allows,
//! of the handshakes.
//!
//! loom remembers only the last access to each word when it looks for other schedules, so a thread
//! must not itself have touched, without need, the word that it is to race for: writers are
//! attached before the threads start.
//!
//! `RUSTFLAGS="--cfg loom" cargo test --release --no-default-features --lib shm::model`

use loom::sync::Arc;
use loom::thread;

use super::claims::plan_walk::Walker;
use super::records::record::{Frame, total};
use super::records::writer::{Writer, Written};
use super::{PlanEntry, PlanTable, Segment, SegmentSpec};

const BODY: usize = 24;

fn segment(slots: u16, parts: &[&[u32]]) -> Arc<Segment> {
    model(slots, parts, false)
}

/// With `keep`, each part is one unit that must not be divided.
fn model(slots: u16, parts: &[&[u32]], keep: bool) -> Arc<Segment> {
    let mut plan = PlanTable::default();
    for (number, part) in (0..).zip(parts) {
        plan.parts
            .push((plan.entries.len() as u32, part.len() as u32));
        plan.entries.extend(part.iter().map(|&test| PlanEntry {
            test,
            cost_us: 1,
            unit: if keep { number } else { test },
            keep,
            rank: test,
            ..PlanEntry::default()
        }));
    }
    let spec = SegmentSpec {
        slots,
        tests: plan.entries.len() as u32,
        ring_bytes: 256,
        incarnations: slots.into(),
    };
    Arc::new(Segment::model(&spec, &plan))
}

fn frame(test: u32) -> Frame {
    Frame {
        len: BODY as u32,
        spilled: false,
        kind: 1,
        flags: 0,
        test,
        attempt: 0,
        slot: 0,
        incarnation: 0,
        mono_ns: 0,
    }
}

fn body(test: u32) -> [u8; BODY] {
    [test as u8 + 1; BODY]
}

fn write(segment: &Segment, writer: &mut Writer, test: u32) -> Written {
    writer
        .write(segment, &frame(test), &body(test))
        .expect("nobody damages the model")
}

/// Fills the ring; the number of records in it.
fn fill(segment: &Segment, writer: &mut Writer) -> u32 {
    (0..)
        .find(|&test| write(segment, writer, test) == Written::Full)
        .expect("it is finite")
}

#[test]
fn each_test_is_claimed_once() {
    loom::model(|| {
        let segment = segment(2, &[&[0, 1], &[2]]);
        let walk = |slot| {
            let segment = segment.clone();
            move || {
                let mut walker = Walker::new(&segment, slot, 0);
                std::iter::from_fn(|| walker.claim(&segment)).collect::<Vec<_>>()
            }
        };
        let other = thread::spawn(walk(1));
        let mut claimed = walk(0)();
        claimed.extend(other.join().unwrap());
        claimed.sort_unstable();
        assert_eq!(claimed, [0, 1, 2]);
    });
}

#[test]
fn a_released_claim_is_taken_again_or_still_there() {
    loom::model(|| {
        let segment = segment(2, &[&[0], &[1]]);
        // The worker of slot 0 died with test 0.
        assert_eq!(Walker::new(&segment, 0, 0).claim(&segment), Some(0));
        let walker = {
            let segment = segment.clone();
            thread::spawn(move || {
                let mut walker = Walker::new(&segment, 1, 0);
                let claimed: Vec<_> = std::iter::from_fn(|| walker.claim(&segment)).collect();
                // A worker that knows of something given back must not overlook it.
                assert!(walker.epoch() == 0 || claimed.contains(&0));
                claimed
            })
        };
        assert!(segment.release(0, 0, 0));
        let mut claimed = walker.join().unwrap();
        // The replacement of the dead worker.
        let mut next = Walker::new(&segment, 0, 1);
        claimed.extend(std::iter::from_fn(|| next.claim(&segment)));
        claimed.sort_unstable();
        assert_eq!(claimed, [0, 1]);
    });
}

#[test]
fn a_kept_unit_is_not_divided() {
    loom::model(|| {
        let segment = model(2, &[&[0, 1], &[]], true);
        let walk = |slot| {
            let segment = segment.clone();
            move || {
                let mut walker = Walker::new(&segment, slot, 0);
                std::iter::from_fn(|| walker.claim(&segment)).collect::<Vec<_>>()
            }
        };
        let other = thread::spawn(walk(1));
        let claimed = (walk(0)(), other.join().unwrap());
        assert!(
            claimed == (vec![0, 1], vec![]) || claimed == (vec![], vec![0, 1]),
            "{claimed:?}"
        );
    });
}

#[test]
fn the_rest_of_a_dead_workers_unit_is_run_by_one_other() {
    loom::model(|| {
        let segment = model(2, &[&[0, 1, 2], &[]], true);
        // The worker of slot 0 died in test 0, with 1 claimed ahead.
        let mut dead = Walker::new(&segment, 0, 0);
        assert_eq!(dead.claim(&segment), Some(0));
        assert_eq!(dead.claim(&segment), Some(1));
        let other = {
            let segment = segment.clone();
            thread::spawn(move || {
                let mut walker = Walker::new(&segment, 1, 0);
                std::iter::from_fn(|| walker.claim(&segment)).collect::<Vec<_>>()
            })
        };
        assert!(segment.release(1, 0, 0));
        segment.release_units(0, 0);
        let theirs = other.join().unwrap();
        // The replacement of the dead worker.
        let mut next = Walker::new(&segment, 0, 1);
        let ours: Vec<_> = std::iter::from_fn(|| next.claim(&segment)).collect();
        let claimed = (ours, theirs);
        assert!(
            claimed == (vec![1, 2], vec![]) || claimed == (vec![], vec![1, 2]),
            "{claimed:?}"
        );
    });
}

#[test]
fn what_is_claimed_for_a_successor_is_its_or_was_taken_before() {
    loom::model(|| {
        let segment = segment(2, &[&[0, 1], &[2]]);
        let other = {
            let segment = segment.clone();
            thread::spawn(move || {
                // The worker of slot 1 leaves: test 1 lies behind it.
                segment.reserve_for(1, super::claims::claim::word(1, 1))
            })
        };
        let mut owner = Walker::new(&segment, 0, 0);
        let mut claimed: Vec<_> = (0..2).filter_map(|_| owner.claim(&segment)).collect();
        let reserved = other.join().unwrap();
        assert_eq!(reserved, segment.reserved_test(1, 1) == Some(1));
        let mut next = Walker::new(&segment, 1, 1);
        if reserved {
            assert_eq!(next.claim(&segment), Some(1));
            claimed.push(1);
        }
        claimed.extend(std::iter::from_fn(|| next.claim(&segment)));
        claimed.extend(std::iter::from_fn(|| owner.claim(&segment)));
        claimed.sort_unstable();
        assert_eq!(claimed, [0, 1, 2]);
    });
}

#[test]
fn two_don_t_claim_a_kept_unit_for_their_successors() {
    loom::model(|| {
        let segment = model(3, &[&[0, 1], &[], &[]], true);
        let leave = |slot| {
            let segment = segment.clone();
            move || segment.reserve_for(0, super::claims::claim::word(slot, 1))
        };
        let other = thread::spawn(leave(1));
        let reserved = [leave(2)(), other.join().unwrap()];
        assert_eq!(reserved.iter().filter(|&&reserved| reserved).count(), 1);
        let slot = if reserved[0] { 2 } else { 1 };
        let mut next = Walker::new(&segment, slot, 1);
        let claimed: Vec<_> = std::iter::from_fn(|| next.claim(&segment)).collect();
        assert_eq!(claimed, [0, 1]);
    });
}

#[test]
fn a_record_is_read_whole_while_the_next_is_written() {
    loom::model(|| {
        let segment = segment(1, &[&[0]]);
        let mut writer = Writer::attach(&segment, 0).unwrap();
        let writing = {
            let segment = segment.clone();
            thread::spawn(move || {
                for test in 0..2 {
                    write(&segment, &mut writer, test);
                }
            })
        };
        let mut reader = segment.reader(0);
        let mut out = Vec::new();
        let mut read = 0;
        // Finds nothing, or a record, at any time; never half of one.
        for _ in 0..3 {
            if let Some(head) = reader.next(&mut out).expect("no damage") {
                assert_eq!((head.test, &out[..]), (read, &body(read)[..]));
                read += 1;
            }
        }
        writing.join().unwrap();
    });
}

#[test]
fn freed_space_is_written_again_while_the_rest_is_read() {
    loom::model(|| {
        let segment = segment(1, &[&[0]]);
        let mut writer = Writer::attach(&segment, 0).unwrap();
        let filled = fill(&segment, &mut writer);
        let writing = {
            let segment = segment.clone();
            thread::spawn(move || {
                let mut done = filled;
                for _ in 0..2 {
                    // Overwrites what the reader is freeing.
                    done += u32::from(write(&segment, &mut writer, done) != Written::Full);
                }
                done
            })
        };
        let mut reader = segment.reader(0);
        let mut out = Vec::new();
        let mut read = 0;
        let mut check = |limit: u32| {
            while read < limit
                && let Some(head) = reader.next(&mut out).expect("no damage")
            {
                assert_eq!((head.test, &out[..]), (read, &body(read)[..]));
                read += 1;
            }
            read
        };
        check(2);
        let done = writing.join().unwrap();
        assert_eq!(check(u32::MAX), done);
    });
}

#[test]
fn the_parent_sees_a_record_or_hears_the_bell() {
    loom::model(|| {
        let segment = segment(1, &[&[0]]);
        let mut writer = Writer::attach(&segment, 0).unwrap();
        let worker = {
            let segment = segment.clone();
            thread::spawn(move || {
                write(&segment, &mut writer, 0);
                segment.must_ring()
            })
        };
        segment.arm();
        let seen = segment.has_data();
        let rung = worker.join().unwrap();
        assert!(seen || rung, "the parent would sleep with a record waiting");
    });
}

#[test]
fn a_worker_that_waits_for_room_is_woken() {
    loom::model(|| {
        let segment = segment(1, &[&[0]]);
        let mut writer = Writer::attach(&segment, 0).unwrap();
        fill(&segment, &mut writer);
        let worker = {
            let segment = segment.clone();
            thread::spawn(move || writer.announce_wait(&segment, total(BODY)).unwrap())
        };
        let mut reader = segment.reader(0);
        let mut out = Vec::new();
        let mut woken = false;
        while let Some(head) = reader.next(&mut out).expect("no damage") {
            woken |= head.space_waiter;
        }
        let sleeps = worker.join().unwrap();
        assert!(
            woken || !sleeps,
            "the worker would sleep beside an empty ring"
        );
    });
}
