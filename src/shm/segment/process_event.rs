//! `raw_sync`'s process-shared event, with its traps fenced off.
//!
//! - A peer that is killed inside or while waiting can make the next `set` hang for ever: an event
//!   belongs to one incarnation of a worker and is never used again, and `set` is called in a
//!   process that may hang (see `space_waker`).
//! - A timeout that is not a whole number of seconds returns at once half of the time: waits are
//!   one second.
//! - glibc aborts the process, or follows a pointer, when a mutex contains what was not put there:
//!   again `space_waker`.
//! - A mutex or condition that a test has written over can keep its waiter for ever, too: see
//!   [`Lifeline`].
//!
//! This memory is the one exception to "atomics only" (see `memory`): the C library's own code
//! works on it, and only processes that may perish of it call that, a worker and the waker's
//! helper.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use raw_sync::Timeout;
use raw_sync::events::{Event, EventImpl, EventInit, EventState};

use super::layout::EVENT_BYTES;
use super::memory::Memory;
use super::signals_blocked::SignalsBlocked;

/// Longest time that a worker waits before it looks at memory itself.
const SLICE: Duration = Duration::from_secs(1);
/// Pause instead of a wait that failed: the memory of the event was overwritten.
const PAUSE: Duration = Duration::from_millis(100);

/// Slices after which a wait of one is not going to end.
const HOPELESS: u32 = 10;

/// Prepares the event at `offset`; only its creator does, before anybody else has the segment.
pub(in crate::shm) fn init(memory: &Memory, offset: usize) -> Result<(), &'static str> {
    let place = place(memory, offset);
    // SAFETY: `place` is valid for `EVENT_BYTES`, which is enough (checked in `place`), and not in
    // use yet.
    match unsafe { Event::new(place, true) } {
        Ok(_) => Ok(()),
        Err(_) => Err("the C library refuses a process-shared event"),
    }
}

/// Waits until the event is set, about a second at most; whether it was set. May return early.
pub(in crate::shm) fn wait(memory: &Memory, offset: Option<usize>) -> bool {
    let started = Instant::now();
    let lifeline = Lifeline::new();
    let result = offset
        .and_then(|offset| existing(memory, offset))
        .map(|event| event.wait(Timeout::Val(SLICE)));
    drop(lifeline);
    let woken = matches!(result, Some(Ok(())));
    // A time-out and an error are both `Err`; only the time tells.
    if !woken && started.elapsed() < SLICE / 2 {
        std::thread::sleep(PAUSE);
    }
    woken
}

/// Sets the event. May hang or abort the process, whatever the worker's end did to the memory.
pub(in crate::shm) fn set(memory: &Memory, offset: usize) {
    if let Some(event) = existing(memory, offset) {
        let _ = event.set(EventState::Signaled);
    }
}

/// Aborts the process, a worker, when a wait does not end: the event was overwritten. A crash has a
/// report; a worker that waits for ever has none, and the run would not end.
struct Lifeline {
    over: Arc<(Mutex<bool>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

impl Lifeline {
    fn new() -> Self {
        let over = Arc::new((Mutex::new(false), Condvar::new()));
        let shared = Arc::clone(&over);
        // Signals are for the thread that waits: they end its wait, and Python's handlers run
        // there.
        let blocked = SignalsBlocked::new();
        let thread = std::thread::Builder::new()
            .name("rpytest-lifeline".into())
            .stack_size(64 << 10)
            .spawn(move || watch(&shared));
        drop(blocked);
        Self {
            over,
            // Without a thread the wait is as it would be without this.
            thread: thread.ok(),
        }
    }
}

impl Drop for Lifeline {
    fn drop(&mut self) {
        *self.over.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.over.1.notify_one();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn watch(over: &(Mutex<bool>, Condvar)) {
    // Slices are counted, not time: a process that was stopped for an hour has not waited for an
    // hour.
    for _ in 0..HOPELESS {
        let state = over.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = over.1.wait_timeout_while(state, SLICE, |over| !*over);
        if *waited.unwrap_or_else(PoisonError::into_inner).0 {
            return;
        }
    }
    std::process::abort();
}

fn existing(memory: &Memory, offset: usize) -> Option<Box<dyn EventImpl>> {
    // SAFETY: `place` is valid for `EVENT_BYTES`, and `init` prepared the event there before the
    // segment had readers.
    unsafe { Event::from_existing(place(memory, offset)) }
        .ok()
        .map(|(event, _)| event)
}

fn place(memory: &Memory, offset: usize) -> *mut u8 {
    // Checks the bounds, too.
    let first = memory.words64(offset, EVENT_BYTES / 8).as_ptr();
    let place = first.cast_mut().cast::<u8>();
    assert!(Event::size_of(Some(place)) <= EVENT_BYTES);
    place
}
