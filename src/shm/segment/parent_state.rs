//! What the parent knows about a slot without asking the shared memory.

// These are not the atomics of `sync`: they are private to the process, and atomic only because its
// threads share the segment. Relaxed throughout: there is one reader per slot.
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

/// The parent's private book about one slot. Workers have it too, but don't look into it.
#[derive(Debug)]
pub(in crate::shm) struct SlotBook {
    head: AtomicU64,
    event: AtomicU32,
    broken: Mutex<Option<&'static str>>,
}

impl SlotBook {
    /// A fresh slot whose worker waits on `event`.
    pub fn new(event: u32) -> Self {
        Self {
            head: AtomicU64::new(0),
            event: AtomicU32::new(event),
            broken: Mutex::new(None),
        }
    }

    /// Bytes consumed since the start.
    pub fn head(&self) -> u64 {
        self.head.load(Relaxed)
    }

    pub fn advance(&self, head: u64) {
        self.head.store(head, Relaxed);
    }

    /// Number of the event on which the current incarnation waits.
    pub fn event(&self) -> u32 {
        self.event.load(Relaxed)
    }

    pub fn set_event(&self, event: u32) {
        self.event.store(event, Relaxed);
    }

    /// What was wrong with the ring when it was last read.
    pub fn broken(&self) -> Option<&'static str> {
        *self.broken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn close(&self, what: &'static str) {
        *self.broken.lock().unwrap_or_else(PoisonError::into_inner) = Some(what);
    }

    /// Forgets what was wrong; whether there was something.
    pub fn open(&self) -> bool {
        self.broken
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
            .is_some()
    }
}
