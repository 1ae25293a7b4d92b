//! Processes that die, wait, and write where they should not.

use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rpytest::shm::records::spill;
use rpytest::shm::{NO_TEST, Outgoing, Segment, Waker, WorkerEnd};
use rustix::event::{PollFd, PollFlags, poll};

use super::common::{Random, Scribbler, child, even, eventfd, heard, memfd, raw, role, segment};

const TEST: u8 = 1;
const BYE: u8 = 2;

/// Sleeps until the bell rings, 20 ms at most.
fn doze(segment: &Segment, bell: &OwnedFd) {
    segment.arm();
    if !segment.has_data() {
        let tick = rustix::event::Timespec {
            tv_sec: 0,
            tv_nsec: 20_000_000,
        };
        let _ = poll(&mut [PollFd::new(bell, PollFlags::IN)], Some(&tick));
    }
    segment.disarm();
    heard(bell);
}

/// The body of a test's record: some are longer than a ring of 2 KiB takes.
fn body(test: u32) -> Vec<u8> {
    let len = if test.is_multiple_of(97) {
        3000
    } else {
        test % 150
    };
    (0..len).map(|at| (test + at) as u8).collect()
}

struct Slot {
    child: Option<Child>,
    incarnation: u16,
    spills: HashMap<u16, OwnedFd>,
}

struct Run {
    segment: Arc<Segment>,
    waker: Waker,
    bell: OwnedFd,
    slots: Vec<Slot>,
    results: Vec<u32>,
    byes: usize,
    records: u64,
}

impl Run {
    fn new(slots: u16, tests: u32) -> Self {
        let segment = segment(&even(slots, tests), 2048);
        let mut run = Self {
            waker: segment.waker(),
            segment,
            bell: eventfd(),
            slots: Vec::new(),
            results: vec![0; tests as usize],
            byes: 0,
            records: 0,
        };
        for slot in 0..slots {
            run.slots.push(Slot {
                child: None,
                incarnation: 0,
                spills: HashMap::new(),
            });
            run.spawn(slot);
        }
        run
    }

    fn spawn(&mut self, slot: u16) {
        let file = memfd();
        let entry = &mut self.slots[usize::from(slot)];
        let role = format!(
            "work {} {slot} {} {} {}",
            self.segment.name(),
            entry.incarnation,
            raw(&self.bell),
            raw(&file)
        );
        entry.spills.insert(entry.incarnation, file);
        entry.child = Some(child("processes::child_works", &role));
    }

    fn drain(&mut self, slot: u16) {
        let mut out = Vec::new();
        let mut reader = self.segment.reader(slot);
        while let Some(head) = reader
            .next(&mut out)
            .expect("nothing is damaged by a death")
        {
            if head.space_waiter {
                self.waker.wake(slot);
            }
            self.records += 1;
            if head.kind == BYE {
                self.byes += 1;
                continue;
            }
            if head.spilled.is_some() {
                let file = &self.slots[usize::from(slot)].spills[&head.incarnation];
                spill::read(file.as_fd(), &head, &mut out).expect("spilled before it was named");
            }
            assert_eq!(out, body(head.test));
            assert_eq!(
                self.segment.claim_of(head.test),
                Some((slot, head.incarnation))
            );
            self.results[head.test as usize] += 1;
        }
    }

    /// Kills the worker of a slot; returns how many tests it took with it.
    fn kill(&mut self, slot: u16) -> usize {
        let entry = &mut self.slots[usize::from(slot)];
        let Some(mut child) = entry.child.take() else {
            return 0;
        };
        child.kill().unwrap();
        child.wait().unwrap();
        let incarnation = entry.incarnation;
        self.drain(slot);
        let lost: Vec<u32> = (0..self.results.len() as u32)
            .filter(|&test| {
                self.segment.claim_of(test) == Some((slot, incarnation))
                    && self.results[test as usize] == 0
            })
            .collect();
        for test in &lost {
            assert!(self.segment.release(*test, slot, incarnation));
        }
        lost.len()
    }

    /// Whether the worker of a slot has claimed a test for the next one.
    fn has_successor(&self, slot: u16) -> bool {
        let next = self.slots[usize::from(slot)].incarnation + 1;
        self.segment.reserved_test(slot, next).is_some()
    }

    /// Waits for the end of a worker that has said goodbye.
    fn wait(&mut self, slot: u16) {
        if let Some(mut child) = self.slots[usize::from(slot)].child.take() {
            assert!(child.wait().unwrap().success());
        }
        self.drain(slot);
    }

    fn replace(&mut self, slot: u16, event: u32) {
        let entry = &mut self.slots[usize::from(slot)];
        entry.incarnation += 1;
        self.segment.assign_event(slot, entry.incarnation, event);
        self.spawn(slot);
    }
}

#[test]
fn workers_killed_at_any_time_lose_at_most_the_test_in_flight() {
    let (slots, tests, kills) = (3_u16, 30_000, 30_u32);
    let mut run = Run::new(slots, tests);
    let mut random = Random(1);
    let (mut killed, mut lost) = (0, 0);
    while run.byes < usize::from(slots) {
        for slot in 0..slots {
            run.drain(slot);
        }
        if killed < kills && run.records > u64::from(killed) * 700 {
            let slot = random.below(slots.into()) as u16;
            // Whatever it does at the moment: starting, claiming, writing, waiting for room.
            let done = run.byes;
            std::thread::sleep(std::time::Duration::from_micros(random.below(3000)));
            let with_it = run.kill(slot);
            assert!(with_it <= 1, "{with_it} tests were in flight");
            lost += with_it;
            // If it had finished just now, its replacement says goodbye in its place.
            run.byes = done;
            run.replace(slot, u32::from(slots) + killed);
            killed += 1;
        }
        doze(&run.segment, &run.bell);
    }
    // A worker that ends may have claimed a test for a fresh process in its place: it would have to
    // go down in the collection for it. As in a run, that process is sent.
    let mut sent = 0;
    while let Some(slot) = (0..slots).find(|&slot| run.has_successor(slot)) {
        run.wait(slot);
        run.byes -= 1;
        run.replace(slot, u32::from(slots) + kills + sent);
        sent += 1;
        while run.byes < usize::from(slots) {
            for slot in 0..slots {
                run.drain(slot);
            }
            doze(&run.segment, &run.bell);
        }
    }
    for slot in 0..slots {
        run.wait(slot);
    }
    let wrong: Vec<_> = run
        .results
        .iter()
        .enumerate()
        .filter(|(_, count)| **count != 1)
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
    assert_eq!(run.segment.unclaimed(), 0);
    assert_eq!(killed, kills);
    println!(
        "{killed} killed, {lost} tests were in flight, {sent} fresh workers at the end, {} records",
        run.records
    );
}

/// Not a test but what children do: a worker's life.
#[test]
fn child_works() {
    let Some(role) = role() else { return };
    let number = |at: usize| role[at].parse::<i32>().unwrap();
    let segment = Arc::new(Segment::open(&role[1]).unwrap());
    let (slot, incarnation) = (number(2) as u16, number(3) as u16);
    let mut worker = WorkerEnd::attach(segment, slot, incarnation, number(4), number(5)).unwrap();
    let mut go_on = || true;
    while let Some(test) = worker.claim() {
        worker.begin(test);
        let body = body(test);
        let record = Outgoing {
            kind: TEST,
            flags: 0,
            test,
            attempt: 0,
            body: &body,
            urgent: test.is_multiple_of(50),
        };
        worker.push(&record, &mut go_on).unwrap();
        worker.idle();
    }
    let counted = worker.counters();
    let body = [counted.waits.to_le_bytes(), counted.timeouts.to_le_bytes()].concat();
    let bye = Outgoing {
        kind: BYE,
        flags: 0,
        test: NO_TEST,
        attempt: 0,
        body: &body,
        urgent: true,
    };
    worker.push(&bye, &mut go_on).unwrap();
}

#[test]
fn a_worker_with_a_full_ring_sleeps_until_it_is_woken() {
    let segment = segment(&even(1, 2000), 2048);
    let (bell, spill, waker) = (eventfd(), memfd(), segment.waker());
    let role = format!("work {} 0 0 {} {}", segment.name(), raw(&bell), raw(&spill));
    let mut child = child("processes::child_works", &role);
    let mut out = Vec::new();
    let (mut woken, mut tests) = (0, 0);
    let goodbye = 'reading: loop {
        // Reads only when the worker can do no more.
        if !segment.slot_state(0).waiting_for_space && child.try_wait().unwrap().is_none() {
            doze(&segment, &bell);
            continue;
        }
        while let Some(head) = segment.reader(0).next(&mut out).unwrap() {
            if head.space_waiter {
                waker.wake(0);
                woken += 1;
            }
            if head.kind == BYE {
                break 'reading out.clone();
            }
            assert_eq!(head.test, tests);
            tests += 1;
        }
    };
    assert!(child.wait().unwrap().success());
    let number = |at: usize| u64::from_le_bytes(goodbye[at..at + 8].try_into().unwrap());
    let (waits, timeouts) = (number(0), number(8));
    assert_eq!(tests, 2000);
    assert!(woken > 0 && waits > 0, "{woken} woken, {waits} waits");
    assert!(
        timeouts < waits,
        "no wake ever arrived: {timeouts} of {waits}"
    );
}

#[test]
fn garbage_in_the_events_does_not_reach_the_parent() {
    let segment = segment(&even(4, 4), 256);
    let words = Scribbler::new(segment.name());
    for seed in 0..40 {
        let mut random = Random(seed);
        for word in words.words() {
            word.store(random.next(), Ordering::Relaxed);
        }
        // Everything that the C library might find there, an owner that is dead or a lock that is
        // taken among it.
        let waker = segment.waker();
        for slot in 0..4 {
            waker.wake(slot);
            waker.wake(slot);
        }
        if seed.is_multiple_of(4) {
            // Gives the helper time to perish, so that the next wake finds it gone.
            std::thread::sleep(std::time::Duration::from_millis(5));
            waker.wake(0);
        }
    }
    assert!(segment.reader(0).next(&mut Vec::new()).is_err());
}

#[test]
fn the_parent_survives_a_writer_gone_wild() {
    let table = even(2, 64);
    let segment = segment(&table, 256);
    let words = Scribbler::new(segment.name());
    let ended = Arc::new(AtomicBool::new(false));
    let wild = {
        let ended = ended.clone();
        let [tail, ..] = segment.slot_offsets(0);
        std::thread::spawn(move || {
            let mut random = Random(3);
            let len = words.words().len() as u64;
            while !ended.load(Ordering::Relaxed) {
                words.set(
                    random.below(len) as usize * 8,
                    random.next() >> random.below(64),
                );
                // Plausible positions lead further in.
                words.set(tail, random.below(64) * 8);
            }
        })
    };
    let waker = segment.waker();
    let (mut errors, mut out) = (0, Vec::new());
    let began = std::time::Instant::now();
    let mut round = 0_u32;
    // The thread that goes wild may come late.
    while round < 20_000 || (errors == 0 && began.elapsed().as_secs() < 300) {
        round = round.wrapping_add(1);
        let slot = (round % 2) as u16;
        match segment.reader(slot).next(&mut out) {
            Ok(head) => assert!(head.is_none(), "a record that nobody wrote: {head:?}"),
            Err(corrupt) => {
                assert_eq!(corrupt.slot, slot);
                errors += 1;
                segment.assign_event(slot, 0, u32::from(slot));
            }
        }
        segment.arm();
        let _ = segment.has_data();
        segment.disarm();
        let _ = (
            segment.slot_state(slot),
            segment.claim_of(round % 64),
            segment.unclaimed(),
        );
        let _ = segment.release(round % 64, slot, 0);
        if round.is_multiple_of(1000) {
            waker.wake(slot);
        }
    }
    ended.store(true, Ordering::Relaxed);
    wild.join().unwrap();
    assert!(errors > 0);
}
