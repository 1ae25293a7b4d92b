//! Who must be woken when, and who need not be: the doorbell.
//!
//! The parent says that it is about to sleep (`arm`), looks once more, then sleeps in `poll`. A
//! worker that has committed a record looks whether the parent sleeps. Each does its store, a
//! fence, then its load, so at least one of the two sees the other's store: a record is either seen
//! by the last look or announced by the bell.

use crate::shm::Segment;
use crate::shm::sync::{Ordering, fence};

impl Segment {
    /// The parent is about to sleep: workers with something urgent ring the bell from now on.
    ///
    /// Look at [`has_data`](Self::has_data) after it, and sleep only when there is none.
    pub fn arm(&self) {
        self.armed().store(1, Ordering::Relaxed);
        // SeqCst: pairs with the fence in `must_ring`.
        fence(Ordering::SeqCst);
    }

    /// The parent is awake: the bell need not be rung.
    pub fn disarm(&self) {
        // Relaxed: a worker that does not see it yet rings once too often.
        self.armed().store(0, Ordering::Relaxed);
    }

    /// Whether some reader would return a record, or an error for the first time.
    #[must_use]
    pub fn has_data(&self) -> bool {
        (0..self.spec().slots).any(|slot| {
            let private = self.private(slot);
            // Relaxed: `Reader::next` loads it again with acquire.
            private.broken().is_none() && self.tail(slot).load(Ordering::Relaxed) != private.head()
        })
    }

    /// Whether a worker that has just committed something of importance must ring.
    pub(in crate::shm) fn must_ring(&self) -> bool {
        // SeqCst: orders the commit (store of `tail`) before the look at `armed`. Pairs with the
        // fence in `arm`.
        fence(Ordering::SeqCst);
        self.armed().load(Ordering::Relaxed) != 0
    }
}
