//! What is known about a worker beside its process.

use crate::shm::RecordHead;

/// What is known about the worker in a slot beside its process.
#[derive(Debug, Default)]
pub(super) struct Lane {
    /// It has finished its session.
    pub(super) said_bye: bool,
    /// It has files, threads or memory that it gives back only when it is gone.
    pub(super) holds: bool,
    /// Why nothing more is read from its ring.
    pub(super) corrupt: Option<String>,
    /// A record whose body lies in a spill file that has not come yet.
    pub(super) deferred: Option<RecordHead>,
    /// Its worker has waited for room in the ring during this turn.
    pub(super) wants_room: bool,
}

impl Lane {
    /// Whether its ring is read.
    pub(super) fn is_open(&self) -> bool {
        self.corrupt.is_none() && self.deferred.is_none()
    }
}
