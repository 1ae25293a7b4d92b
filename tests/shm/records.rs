//! Records: what comes out is what went in, in order, or an error that says what was damaged.

use std::collections::VecDeque;
use std::os::fd::AsFd;
use std::sync::Arc;

use proptest::prelude::*;
use rpytest::shm::records::spill;
use rpytest::shm::{NO_TEST, Outgoing, RecordHead, Segment, WorkerEnd};

use super::common::{Random, Scribbler, even, eventfd, heard, memfd, raw, segment, worker};

fn record(test: u32, body: &[u8]) -> Outgoing<'_> {
    Outgoing {
        kind: test as u8,
        flags: (test >> 8) as u8,
        test,
        attempt: test as u16,
        body,
        urgent: false,
    }
}

/// A ring, its worker, its reader, and what should be in it.
struct Bench {
    segment: Arc<Segment>,
    worker: WorkerEnd,
    spill: std::os::fd::OwnedFd,
    model: VecDeque<(u32, Vec<u8>)>,
    pushed: u32,
}

impl Bench {
    fn new(ring_bytes: u32) -> Self {
        let segment = segment(&even(1, 1), ring_bytes);
        let spill = memfd();
        let worker = WorkerEnd::attach(segment.clone(), 0, 0, -1, raw(&spill)).unwrap();
        Self {
            segment,
            worker,
            spill,
            model: VecDeque::new(),
            pushed: 0,
        }
    }

    /// Whether there was room.
    fn push(&mut self, len: usize) -> bool {
        let mut random = Random(u64::from(self.pushed));
        let body: Vec<u8> = (0..len).map(|_| random.next() as u8).collect();
        let done = self.worker.try_push(&record(self.pushed, &body)).unwrap();
        if done {
            self.model.push_back((self.pushed, body));
            self.pushed += 1;
        }
        done
    }

    fn read(&mut self) -> Result<Option<(RecordHead, Vec<u8>)>, rpytest::shm::Corrupt> {
        let mut out = vec![9; 5];
        let Some(head) = self.segment.reader(0).next(&mut out)? else {
            return Ok(None);
        };
        if head.spilled.is_some() {
            spill::read(self.spill.as_fd(), &head, &mut out).expect("the body was spilled first");
        }
        Ok(Some((head, out)))
    }

    /// Reads one record and compares it with the model; `Err` when the ring is damaged.
    fn check(&mut self) -> Result<bool, rpytest::shm::Corrupt> {
        let Some((head, body)) = self.read()? else {
            return Ok(false);
        };
        let (test, expected) = self
            .model
            .pop_front()
            .expect("nothing comes out that did not go in");
        assert_eq!(body, expected);
        let fields = (
            head.test,
            head.kind,
            head.flags,
            head.attempt,
            head.slot,
            head.incarnation,
        );
        assert_eq!(
            fields,
            (test, test as u8, (test >> 8) as u8, test as u16, 0, 0)
        );
        Ok(true)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn a_ring_is_a_queue(
        exponent in 8_u32..12,
        steps in prop::collection::vec(prop_oneof![
            3 => (0_usize..40).prop_map(Some),
            1 => (0_usize..600).prop_map(Some),
            3 => Just(None),
        ], 1..200),
    ) {
        let mut bench = Bench::new(1 << exponent);
        for step in steps {
            match step {
                Some(len) => {
                    let empty = bench.model.is_empty();
                    let done = bench.push(len);
                    prop_assert!(done || !empty, "an empty ring has room for every record");
                }
                None => {
                    let expected = !bench.model.is_empty();
                    prop_assert_eq!(bench.segment.has_data(), expected);
                    prop_assert_eq!(bench.check().unwrap(), expected);
                }
            }
        }
        while bench.check().unwrap() {}
        prop_assert!(bench.model.is_empty());
    }

    /// Whatever is changed in the ring or in the positions: records come out as they went in, until
    /// there is an error, which stays.
    #[test]
    fn damage_is_an_error_and_never_a_wrong_record(
        before in prop::collection::vec((0_usize..50, any::<bool>()), 1..40),
        damage in prop::collection::vec((0_usize..300, any::<u8>()), 1..4),
    ) {
        let mut bench = Bench::new(256);
        for (len, read) in before {
            bench.push(len);
            if read {
                bench.check().unwrap();
            }
        }
        let scribbler = Scribbler::new(bench.segment.name());
        let [tail, head, ring] = bench.segment.slot_offsets(0);
        for (at, by) in damage {
            let offset = match at {
                0..256 => ring + at,
                256..264 => tail + (at - 256),
                264..272 => head + (at - 264),
                _ => ring + at % 256,
            };
            scribbler.flip(offset, by);
        }
        let result = loop {
            match bench.check() {
                Ok(true) => {}
                other => break other,
            }
        };
        if let Err(corrupt) = result {
            prop_assert_eq!(corrupt.slot, 0);
            prop_assert!(!bench.segment.has_data(), "a closed slot keeps nobody awake");
            prop_assert_eq!(bench.read().map(|_| ()), Err(corrupt));
        }
    }
}

#[test]
fn every_changed_byte_of_a_record_is_noticed() {
    let body = b"thirteen byte";
    let total = 32 + 16;
    for at in 0..total {
        let mut bench = Bench::new(1024);
        bench.worker.try_push(&record(7, body)).unwrap();
        let [_, _, ring] = bench.segment.slot_offsets(0);
        Scribbler::new(bench.segment.name()).flip(ring + at, 0x10);
        let mut out = Vec::new();
        let result = bench.segment.reader(0).next(&mut out);
        // What fills the last word up is nobody's.
        let matters = at < 32 + body.len();
        assert_eq!(result.is_err(), matters, "byte {at}: {result:?}");
        if matters {
            assert!(out.is_empty(), "nothing of a damaged record is handed out");
        }
    }
}

#[test]
fn an_old_record_is_not_read_twice() {
    let mut bench = Bench::new(256);
    // Four records of 64 bytes: one round.
    for _ in 0..4 {
        assert!(bench.push(32));
        assert!(bench.check().unwrap());
    }
    let [tail, ..] = bench.segment.slot_offsets(0);
    Scribbler::new(bench.segment.name()).set(tail, 256 + 64);
    let corrupt = bench.read().unwrap_err();
    assert_eq!(corrupt.what, "the checksum of a record is wrong");
}

#[test]
fn an_uncommitted_record_does_not_exist_and_is_overwritten_by_the_next_worker() {
    let mut bench = Bench::new(1024);
    assert!(bench.push(20));
    let [tail, ..] = bench.segment.slot_offsets(0);
    let scribbler = Scribbler::new(bench.segment.name());
    let committed = scribbler.get(tail);
    assert!(bench.push(20));
    // As if it had been killed between the last byte and the commit.
    scribbler.set(tail, committed);
    bench.model.pop_back();
    bench.segment.assign_event(0, 1, 1);
    let mut next = WorkerEnd::attach(bench.segment.clone(), 0, 1, -1, -1).unwrap();
    next.push(&record(5, b"of the replacement"), &mut || true)
        .unwrap();
    assert!(bench.check().unwrap());
    let (head, body) = bench.read().unwrap().unwrap();
    assert_eq!(
        (head.test, head.incarnation, &body[..]),
        (5, 1, &b"of the replacement"[..])
    );
    assert!(bench.read().unwrap().is_none());
}

#[test]
fn a_slot_with_a_damaged_ring_serves_the_next_incarnation() {
    let mut bench = Bench::new(256);
    assert!(bench.push(0));
    let [tail, ..] = bench.segment.slot_offsets(0);
    Scribbler::new(bench.segment.name()).set(tail, 12_345);
    bench.read().unwrap_err();
    bench.segment.assign_event(0, 1, 1);
    let mut next = WorkerEnd::attach(bench.segment.clone(), 0, 1, -1, -1).unwrap();
    next.push(&record(3, b"x"), &mut || true).unwrap();
    assert_eq!(bench.read().unwrap().unwrap().0.test, 3);
}

#[test]
fn a_slot_that_its_parent_closed_forgets_what_was_unread() {
    let mut bench = Bench::new(256);
    assert!(bench.push(4) && bench.push(4) && bench.push(4));
    assert!(bench.check().unwrap());
    bench.segment.close(0, "no reason");
    assert_eq!(bench.read().unwrap_err().what, "no reason");
    bench.segment.assign_event(0, 1, 1);
    assert!(bench.read().unwrap().is_none());
    let next = WorkerEnd::attach(bench.segment.clone(), 0, 1, -1, raw(&bench.spill));
    next.unwrap().push(&record(9, b"x"), &mut || true).unwrap();
    let (head, body) = bench.read().unwrap().unwrap();
    assert_eq!((head.test, head.incarnation, &*body), (9, 1, &b"x"[..]));
}

#[test]
fn a_worker_notices_that_its_positions_were_overwritten() {
    let mut bench = Bench::new(256);
    let [_, head, _] = bench.segment.slot_offsets(0);
    Scribbler::new(bench.segment.name()).set(head, 1 << 40);
    let full = (0..10).find_map(|_| bench.worker.try_push(&record(0, &[0; 30])).err());
    assert!(full.is_some_and(|error| error.to_string().contains("slot 0 was overwritten")));
}

#[test]
fn records_say_when_and_by_whom() {
    let mut bench = Bench::new(256);
    let before = rpytest::shm::monotonic_ns();
    bench
        .worker
        .push(&record(NO_TEST, b""), &mut || true)
        .unwrap();
    let (head, body) = bench.read().unwrap().unwrap();
    assert!(body.is_empty() && head.spilled.is_none() && head.test == NO_TEST);
    assert!((before..=rpytest::shm::monotonic_ns()).contains(&head.mono_ns));
}

#[test]
fn a_spilled_body_is_checked_and_its_memory_given_back() {
    let mut bench = Bench::new(256);
    let big = vec![0xab; 1 << 20];
    bench.worker.push(&record(1, &big), &mut || true).unwrap();
    bench.worker.push(&record(2, &big), &mut || true).unwrap();
    let mut out = Vec::new();
    let head = bench.segment.reader(0).next(&mut out).unwrap().unwrap();
    assert!(out.is_empty());
    spill::read(bench.spill.as_fd(), &head, &mut out).unwrap();
    assert!(out == big && spill::verify(&head, &big) && !spill::verify(&head, &big[1..]));

    let blocks = || rustix::fs::fstat(&bench.spill).unwrap().st_blocks;
    let full = blocks();
    spill::release(bench.spill.as_fd(), &head).unwrap();
    assert!(blocks() < full);
    assert!(
        spill::read(bench.spill.as_fd(), &head, &mut out).is_err(),
        "the hole is zeros"
    );

    let second = bench.segment.reader(0).next(&mut out).unwrap().unwrap();
    spill::read(bench.spill.as_fd(), &second, &mut out).unwrap();
    assert_eq!(out, big);
    rustix::fs::ftruncate(&bench.spill, 5).unwrap();
    let error = spill::read(bench.spill.as_fd(), &second, &mut out).unwrap_err();
    assert!(
        error.to_string().contains("shorter than the record says"),
        "{error}"
    );
}

#[test]
fn without_a_spill_file_a_large_body_is_an_error_and_a_small_one_is_not() {
    let segment = segment(&even(1, 1), 4096);
    let mut worker = worker(&segment, 0);
    // An eighth of the ring, header included, is the limit.
    worker
        .push(&record(0, &[1; 512 - 32]), &mut || true)
        .unwrap();
    let error = worker
        .push(&record(0, &[1; 512 - 31]), &mut || true)
        .unwrap_err();
    assert!(error.to_string().contains("481 bytes"), "{error}");
}

#[test]
fn the_bell_rings_only_for_a_sleeper_with_something_urgent_to_hear() {
    let segment = segment(&even(1, 1), 1024);
    let bell = eventfd();
    let mut worker = WorkerEnd::attach(segment.clone(), 0, 0, raw(&bell), -1).unwrap();
    let mut push = |urgent| {
        let record = Outgoing {
            urgent,
            ..record(0, &[0; 32])
        };
        worker.push(&record, &mut || true).unwrap();
        heard(&bell)
    };
    assert_eq!(push(true), 0, "the parent is awake");
    segment.arm();
    assert!(segment.has_data());
    assert_eq!(push(false), 0, "nothing of importance");
    assert_eq!(push(true), 1);
    // 64 bytes each: the ninth is more than half of 1024.
    let rung: Vec<u64> = (0..6).map(|_| push(false)).collect();
    assert_eq!(rung, [0, 0, 0, 0, 0, 1]);
    segment.disarm();
    assert_eq!(push(true), 0);
}

#[test]
fn a_full_ring_interrupts_only_when_asked_and_says_who_waits() {
    let mut bench = Bench::new(256);
    while bench.push(32) {}
    let mut asked = 0;
    let error = bench
        .worker
        .push(&record(99, &[0; 32]), &mut || {
            asked += 1;
            asked < 2
        })
        .unwrap_err();
    assert!(matches!(error, rpytest::shm::PushError::Interrupted));
    assert_eq!((asked, bench.worker.counters().waits), (2, 2));
    assert!(!bench.segment.slot_state(0).waiting_for_space);
    while bench.check().unwrap() {}
    assert!(
        bench.model.is_empty(),
        "what was interrupted was not written"
    );
}

/// The fuzz target's little brother: random writes, reads and damage from fixed seeds.
#[test]
fn a_reader_survives_anything() {
    for seed in 0..300 {
        let mut random = Random(seed);
        let mut bench = Bench::new(256 << random.below(3));
        let scribbler = Scribbler::new(bench.segment.name());
        let size = bench.segment.spec().ring_bytes as usize;
        let [tail, _, ring] = bench.segment.slot_offsets(0);
        let mut out = Vec::new();
        for _ in 0..200 {
            match random.below(10) {
                0..4 => {
                    let body = vec![seed as u8; random.below(100) as usize];
                    let _ = bench.worker.try_push(&record(1, &body));
                }
                4..8 => {
                    let result = bench.segment.reader(0).next(&mut out);
                    assert!(out.len() <= size / 8 || out.len() <= 64);
                    if result.is_err() {
                        assert!(out.is_empty());
                        bench.segment.assign_event(0, 0, 0);
                    }
                }
                8 => scribbler.set(
                    ring + random.below(size as u64 / 8) as usize * 8,
                    random.next(),
                ),
                _ => {
                    let by = (random.below(size as u64 / 4)) & !7;
                    scribbler.set(tail, scribbler.get(tail).wrapping_add(by));
                }
            }
        }
    }
}
