//! What the tests of the shared memory have in common.
#![allow(dead_code, reason = "the fuzz target uses a part")]

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rpytest::shm::{PlanEntry, PlanTable, Segment, SegmentSpec, WorkerEnd};

/// A plan of units: per slot, per unit, the costs of its tests; tests are numbered as they come.
pub fn plan(parts: &[Vec<Vec<u32>>]) -> PlanTable {
    let mut plan = PlanTable::default();
    let mut number = 0;
    for part in parts {
        let start = plan.entries.len() as u32;
        for unit in part {
            number += 1;
            for &cost_us in unit {
                let test = plan.entries.len() as u32;
                plan.entries.push(PlanEntry {
                    test,
                    rank: test,
                    cost_us,
                    unit: number,
                    ..PlanEntry::default()
                });
            }
        }
        plan.parts.push((start, plan.entries.len() as u32 - start));
    }
    plan
}

/// `tests` equal tests in units of their own, divided evenly.
pub fn even(slots: u16, tests: u32) -> PlanTable {
    let slots = u32::from(slots);
    let part = |slot: u32| {
        let len = tests * (slot + 1) / slots - tests * slot / slots;
        vec![vec![1]; len as usize]
    };
    plan(&(0..slots).map(part).collect::<Vec<_>>())
}

pub fn spec(plan: &PlanTable, ring_bytes: u32) -> SegmentSpec {
    let slots = plan.parts.len() as u16;
    SegmentSpec {
        slots,
        tests: plan.entries.len() as u32,
        ring_bytes,
        incarnations: u32::from(slots) + 64,
    }
}

pub fn segment(plan: &PlanTable, ring_bytes: u32) -> Arc<Segment> {
    Arc::new(Segment::create(&spec(plan, ring_bytes), plan).expect("a segment"))
}

/// Worker `slot`, incarnation 0, without descriptors.
pub fn worker(segment: &Arc<Segment>, slot: u16) -> WorkerEnd {
    WorkerEnd::attach(segment.clone(), slot, 0, -1, -1).expect("a worker")
}

/// A worker for which fresh processes cost nothing, so that nothing waits for anybody.
pub fn nimble(segment: &Arc<Segment>, slot: u16, incarnation: u16) -> WorkerEnd {
    if incarnation > 0 {
        // Without an event: it would wait for room ten times a second.
        segment.assign_event(slot, incarnation, u32::MAX);
    }
    let worker = WorkerEnd::attach(segment.clone(), slot, incarnation, -1, -1);
    let mut worker = worker.expect("a worker");
    worker.set_fork_cost(0);
    worker
}

/// Claims until there is nothing left, in as many processes as it takes.
pub fn all_in(
    segment: &Arc<Segment>,
    slot: u16,
    incarnation: &mut u16,
    worker: &mut WorkerEnd,
) -> Vec<u32> {
    let mut tests = Vec::new();
    loop {
        tests.extend(std::iter::from_fn(|| worker.claim()));
        if !worker.is_succeeded() {
            return tests;
        }
        *incarnation += 1;
        *worker = nimble(segment, slot, *incarnation);
    }
}

/// A file like the ones that hosts make for spilled bodies.
pub fn memfd() -> OwnedFd {
    // SAFETY: the name is a C string; the result is checked and owned by nobody else.
    unsafe {
        let fd = libc::memfd_create(c"spill".as_ptr(), 0);
        assert!(fd >= 0);
        OwnedFd::from_raw_fd(fd)
    }
}

pub fn eventfd() -> OwnedFd {
    // SAFETY: the result is checked and owned by nobody else.
    unsafe {
        let fd = libc::eventfd(0, libc::EFD_NONBLOCK);
        assert!(fd >= 0);
        OwnedFd::from_raw_fd(fd)
    }
}

/// What the bell counted since the last look.
pub fn heard(bell: &OwnedFd) -> u64 {
    let mut count = [0; 8];
    match rustix::io::read(bell, &mut count) {
        Ok(_) => u64::from_ne_bytes(count),
        Err(error) => {
            assert_eq!(error, rustix::io::Errno::AGAIN);
            0
        }
    }
}

pub fn raw(fd: &OwnedFd) -> RawFd {
    fd.as_raw_fd()
}

/// Writes over a segment, as a test gone wild would: through a mapping of its own.
pub struct Scribbler {
    base: *mut u8,
    len: usize,
}

// SAFETY: the mapping lives until drop and is only written through atomics.
unsafe impl Send for Scribbler {}

impl Scribbler {
    pub fn new(name: &str) -> Self {
        let path = format!("/dev/shm{name}");
        let file = std::fs::OpenOptions::new()
            .read(true)
            .write(true)
            .open(path)
            .expect("open");
        let len = file.metadata().expect("length").len() as usize;
        // SAFETY: a fresh shared mapping of the whole file; the result is checked.
        let base = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                len,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                file.as_raw_fd(),
                0,
            )
        };
        assert_ne!(base, libc::MAP_FAILED);
        Self {
            base: base.cast(),
            len,
        }
    }

    pub fn words(&self) -> &[AtomicU64] {
        // SAFETY: the mapping is page-aligned, `len` bytes long, lives as long as `self`, and
        // accessed by atomics only.
        unsafe { std::slice::from_raw_parts(self.base.cast(), self.len / 8) }
    }

    pub fn set(&self, offset: usize, word: u64) {
        self.words()[offset / 8].store(word, Ordering::Relaxed);
    }

    pub fn get(&self, offset: usize) -> u64 {
        self.words()[offset / 8].load(Ordering::Relaxed)
    }

    /// Changes one byte, to something else.
    pub fn flip(&self, offset: usize, by: u8) {
        let word = u64::from(by.max(1)) << (offset % 8 * 8);
        self.words()[offset / 8].fetch_xor(word, Ordering::Relaxed);
    }
}

impl Drop for Scribbler {
    fn drop(&mut self) {
        // SAFETY: made in `new`; no reference outlives `self`.
        unsafe { libc::munmap(self.base.cast(), self.len) };
    }
}

/// Starts the test `name` (`module::function`) of this binary in a process of its own, as a child
/// that plays `role`.
///
/// A test binary has threads, and after a fork without exec their locks may be held for ever.
pub fn child(name: &str, role: &str) -> Child {
    Command::new(std::env::current_exe().expect("the test binary"))
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env("RING_ROLE", role)
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("a child")
}

/// The words of the role, when this process is such a child.
pub fn role() -> Option<Vec<String>> {
    let role = std::env::var("RING_ROLE").ok()?;
    Some(role.split(' ').map(str::to_owned).collect())
}

/// A small generator for seeded tests (splitmix64, Steele, Lea and Flood 2014).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

/// Names in `/dev/shm` that this process made.
pub fn leftovers(pid: u32) -> Vec<String> {
    let mine = format!("rpytest-{pid}-");
    let names = std::fs::read_dir("/dev/shm").expect("/dev/shm").flatten();
    names
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.starts_with(&mine))
        .collect()
}
