//! The record reader against a ring full of anything.
//!
//! The input says what is pushed, read and overwritten in which order: the first byte of each step
//! chooses, the next ones are its arguments. Overwriting alone would not get past the checksums;
//! real records, damaged, do.
//!
//! `cargo +nightly fuzz run reader`
#![no_main]

#[path = "../../tests/shm/common.rs"]
mod common;

use libfuzzer_sys::fuzz_target;
use common::{Scribbler, even, segment, worker};
use rpytest::shm::{NO_TEST, Outgoing};

const RING: usize = 256;

fuzz_target!(|input: &[u8]| {
    let segment = segment(&even(1, 1), RING as u32);
    let mut writer = worker(&segment, 0);
    let words = Scribbler::new(segment.name());
    let [tail, head, ring] = segment.slot_offsets(0);
    let mut out = Vec::new();
    for step in input.chunks(4) {
        let argument = |at: usize| step.get(at).copied().unwrap_or(0);
        let place = usize::from(argument(1));
        let value = argument(2);
        match argument(0) % 8 {
            0 | 1 => {
                let body = vec![value; place % 40];
                let record = Outgoing {
                    kind: value,
                    flags: 0,
                    test: NO_TEST,
                    attempt: 0,
                    body: &body,
                    urgent: false,
                };
                let _ = writer.try_push(&record);
            }
            2 | 3 => match segment.reader(0).next(&mut out) {
                Ok(_) => assert!(out.len() <= RING / 4),
                Err(_) => {
                    assert!(out.is_empty() && !segment.has_data());
                    segment.assign_event(0, 0, 0);
                }
            },
            4 => words.flip(ring + place % RING, value),
            5 => words.set(
                ring + place * 8 % RING,
                u64::from(value) << (argument(3) % 64),
            ),
            6 => words.set(
                tail,
                words
                    .get(tail)
                    .wrapping_add(u64::from(value) << (place % 64)),
            ),
            _ => words.flip(head + place % 8, value),
        }
    }
});
