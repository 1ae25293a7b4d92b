//! Making, opening, removing segments; what is left behind.

use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use rpytest::shm::{PlanEntry, PlanTable, Segment, SegmentError, SegmentSpec, WorkerEnd};

use super::common::{Scribbler, child, even, leftovers, plan, role, segment, spec};

fn exists(name: &str) -> bool {
    std::path::Path::new("/dev/shm").join(&name[1..]).exists()
}

/// A name of this test process.
fn own_name(what: &str) -> String {
    format!("/rpytest-{}-{what}", std::process::id())
}

#[test]
fn it_is_opened_as_it_was_made_and_its_name_goes_with_its_maker() {
    let table = plan(&[vec![vec![1, 2], vec![3]], vec![], vec![vec![4]]]);
    let made = Segment::create(&spec(&table, 512), &table).unwrap();
    assert!(
        leftovers(std::process::id())
            .iter()
            .any(|name| made.name() == format!("/{name}"))
    );
    let opened = Segment::open(made.name()).unwrap();
    assert_eq!((opened.spec(), opened.plan()), (made.spec(), &table));

    let name = made.name().to_owned();
    opened.unlink();
    drop(opened);
    assert!(exists(&name), "who opened it does not remove it");
    made.unlink();
    assert!(!exists(&name));
    // Somebody else's by now.
    let other = Segment::create_named(&name, &spec(&table, 512), &table).unwrap();
    made.unlink();
    drop(made);
    assert!(exists(&name), "a name is removed once");
    drop(other);
    assert!(!exists(&name));
}

#[test]
fn a_taken_name_is_an_error_and_stays() {
    let table = even(1, 1);
    let name = own_name("taken");
    let first = Segment::create_named(&name, &spec(&table, 256), &table).unwrap();
    let error = Segment::create_named(&name, &spec(&table, 256), &table).unwrap_err();
    assert!(
        matches!(
            &error,
            SegmentError::Os {
                doing: "create",
                ..
            }
        ),
        "{error}"
    );
    assert!(Segment::open(&name).is_ok());
    drop(first);
}

#[test]
fn there_is_none_of_that_name() {
    let error = Segment::open("/rpytest-none").unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("cannot open the shared memory `/rpytest-none`"),
        "{error}"
    );
    for name in ["", "x", "/", "/a/b", "/a\0b"] {
        assert!(
            matches!(Segment::open(name), Err(SegmentError::Invalid { .. })),
            "{name:?}"
        );
    }
}

#[test]
fn what_is_not_a_segment_is_not_opened() {
    let table = even(2, 40);
    // Each word of the header and of the plan matters; the claims, holds and tolls in between do
    // not.
    let clean = Segment::create_named(&own_name("clean"), &spec(&table, 256), &table).unwrap();
    let words = Scribbler::new(clean.name());
    let fixed = (0..9).chain(160..300).chain(304..306);
    let mut refused = 0;
    for at in fixed {
        let before = words.get(at * 8);
        words.set(at * 8, before ^ 0x0100_0000_0001);
        let result = Segment::open(clean.name());
        assert!(
            matches!(result, Err(SegmentError::Foreign { .. })),
            "word {at}: {result:?}"
        );
        refused += 1;
        words.set(at * 8, before);
    }
    assert_eq!(refused, 151);
    assert!(Segment::open(clean.name()).is_ok());

    for (what, bytes) in [("empty", 0), ("short", 100), ("zeros", 100_000)] {
        let name = own_name(what);
        let path = format!("/dev/shm{name}");
        std::fs::write(&path, vec![0; bytes]).unwrap();
        let result = Segment::open(&name);
        std::fs::remove_file(&path).unwrap();
        assert!(result.is_err(), "{what}");
    }
}

#[test]
fn specifications_that_make_no_sense_are_refused() {
    let table = even(2, 4);
    let good = spec(&table, 256);
    let bad = |spec: SegmentSpec, table: &PlanTable, what: &str| {
        let error = Segment::create(&spec, table).unwrap_err();
        assert!(error.to_string().contains(what), "{error}");
    };
    bad(
        SegmentSpec {
            ring_bytes: 300,
            ..good
        },
        &table,
        "power of two",
    );
    bad(
        SegmentSpec {
            ring_bytes: 128,
            ..good
        },
        &table,
        "power of two",
    );
    bad(
        SegmentSpec {
            incarnations: 1,
            ..good
        },
        &table,
        "incarnation",
    );
    bad(SegmentSpec { slots: 0, ..good }, &table, "slots");
    bad(
        SegmentSpec { slots: 3, ..good },
        &table,
        "a part for each slot",
    );
    bad(
        SegmentSpec { tests: 3, ..good },
        &table,
        "more entries than",
    );
    bad(
        SegmentSpec {
            tests: u32::MAX,
            ..good
        },
        &table,
        "too many",
    );
    let with = |change: fn(&mut PlanTable)| {
        let mut table = table.clone();
        change(&mut table);
        table
    };
    bad(good, &with(|t| t.parts[1] = (1, 3)), "follow each other");
    bad(good, &with(|t| t.parts[1] = (2, 1)), "cover");
    bad(good, &with(|t| t.parts[1] = (2, 9)), "follow each other");
    bad(good, &with(|t| t.entries[0].test = 3), "twice");
    bad(
        good,
        &with(|t| {
            t.entries[0] = PlanEntry {
                test: 4,
                ..t.entries[0]
            }
        }),
        "inventory",
    );
    let kept_in = |units: [u32; 4], keep: [bool; 4]| {
        let mut table = table.clone();
        for (entry, (unit, keep)) in table.entries.iter_mut().zip(units.into_iter().zip(keep)) {
            (entry.unit, entry.keep) = (unit, keep);
        }
        table
    };
    bad(
        good,
        &kept_in([1, 1, 2, 3], [true, false, false, false]),
        "a part of a unit",
    );
    bad(good, &kept_in([1, 7, 7, 3], [true; 4]), "in two places");
    assert!(Segment::create(&good, &kept_in([1, 1, 2, 2], [true, true, false, false])).is_ok());
}

#[test]
fn too_small_a_dev_shm_is_an_error_at_once() {
    let stat = rustix::fs::statvfs("/dev/shm").unwrap();
    let room = stat.f_blocks * stat.f_frsize;
    // Rings of a gigabyte: more of them than can be there, but few enough to be mapped.
    let slots = room / (1 << 30) + 1;
    let table = even(u16::try_from(slots).expect("a smaller /dev/shm"), 0);
    let spec = SegmentSpec {
        ring_bytes: 1 << 30,
        ..spec(&table, 256)
    };
    let name = own_name("huge");
    let error = Segment::create_named(&name, &spec, &table).unwrap_err();
    assert!(matches!(error, SegmentError::NoSpace { .. }), "{error}");
    assert!(
        error
            .to_string()
            .contains("hint: enlarge it (Docker: `--shm-size"),
        "{error}"
    );
    assert!(!exists(&name));
}

#[test]
fn only_the_assigned_incarnation_attaches() {
    let segment = segment(&even(1, 1), 256);
    let attach = |slot, incarnation| WorkerEnd::attach(segment.clone(), slot, incarnation, -1, -1);
    assert!(matches!(
        attach(1, 0),
        Err(SegmentError::NoSlot { slot: 1, slots: 1 })
    ));
    assert!(attach(0, 0).is_ok());
    segment.assign_event(0, 1, 1);
    let error = attach(0, 0).unwrap_err();
    assert_eq!(
        error.to_string(),
        "slot 0 belongs to incarnation 1, not to 0"
    );
    assert!(attach(0, 1).is_ok());
}

#[test]
fn leftovers_of_the_dead_are_swept_and_those_of_the_living_are_not() {
    let table = even(1, 1);
    let mut maker = child("segment::child_makes_a_segment", "make");
    let pid = maker.id();
    while leftovers(pid).is_empty() {
        assert!(maker.try_wait().unwrap().is_none(), "it made none");
        std::thread::sleep(Duration::from_millis(1));
    }
    let living = segment(&table, 256);
    Segment::sweep();
    assert_eq!(leftovers(pid).len(), 1, "it lives");
    maker.kill().unwrap();
    maker.wait().unwrap();
    // The name says dead, the lock says alive: a process of another pid namespace.
    let held = format!("/rpytest-{pid}-held");
    let elsewhere = Segment::create_named(&held, &spec(&table, 256), &table).unwrap();
    Segment::sweep();
    assert_eq!(leftovers(pid), [held[1..].to_owned()]);
    assert!(exists(living.name()));
    drop(elsewhere);
    assert!(leftovers(pid).is_empty());
}

#[test]
fn a_closed_stdin_leaves_nothing_behind() {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args([
            "--exact",
            "segment::child_makes_a_segment",
            "--nocapture",
            "--test-threads=1",
        ])
        .env("RING_ROLE", "drop");
    // SAFETY: `close` is async-signal-safe.
    unsafe {
        command.pre_exec(|| {
            libc::close(0);
            Ok(())
        });
    }
    let mut dropper = command.spawn().unwrap();
    let pid = dropper.id();
    assert!(dropper.wait().unwrap().success());
    assert!(leftovers(pid).is_empty());
}

/// Not a test but what children do.
#[test]
fn child_makes_a_segment() {
    let Some(role) = role() else { return };
    if role[0] == "drop" {
        // The standard library opens /dev/null in place of a closed descriptor.
        // SAFETY: nothing of this process reads from its stdin.
        unsafe { libc::close(0) };
    }
    let made = segment(&even(1, 1), 256);
    assert!(exists(made.name()));
    if role[0] == "make" {
        std::thread::sleep(Duration::from_secs(600));
    }
}
