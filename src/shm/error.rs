//! What can go wrong with the segment, and what to do about it.

use std::io;

/// Making, opening or attaching to a segment failed.
#[derive(Debug, thiserror::Error)]
pub enum SegmentError {
    /// `/dev/shm` cannot hold the segment.
    #[error(
        "no room for {bytes} bytes of shared memory in `/dev/shm` ({source})\n\
         hint: enlarge it (Docker: `--shm-size=256m`) or use fewer workers"
    )]
    NoSpace {
        /// Bytes the segment needs.
        bytes: u64,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The process may not make a file of that size.
    #[error(
        "the limit for the size of files (`ulimit -f`) is below the {bytes} bytes of shared \
         memory that the run needs\n\
         hint: raise it, or use fewer workers"
    )]
    Limit {
        /// Bytes the segment needs.
        bytes: u64,
    },
    /// A system call failed.
    #[error("cannot {doing} the shared memory `{name}`: {source}")]
    Os {
        /// `create`, `open`, …
        doing: &'static str,
        /// Name of the segment.
        name: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The segment is not what this build of rpytest makes.
    #[error(
        "the shared memory `{name}` is not a segment of this build: {what}\n\
         hint: the program and its Python extension must be of the same version; reinstall rpytest"
    )]
    Foreign {
        /// Name of the segment.
        name: String,
        /// The first thing that was wrong.
        what: &'static str,
    },
    /// The caller asked for a segment that cannot be.
    #[error("cannot lay out the shared memory: {what}")]
    Invalid {
        /// The first thing that was wrong.
        what: &'static str,
    },
    /// A worker attached to a slot that the segment does not have.
    #[error("there is no slot {slot}, the shared memory is for {slots}")]
    NoSlot {
        /// The slot.
        slot: u16,
        /// How many there are, from 0.
        slots: u16,
    },
    /// A worker attached to a slot that was given to another incarnation.
    #[error("slot {slot} belongs to incarnation {assigned}, not to {incarnation}")]
    NotAssigned {
        /// The slot.
        slot: u16,
        /// The incarnation that tried.
        incarnation: u16,
        /// The incarnation that has the slot.
        assigned: u16,
    },
}

/// A worker could not write a record.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// `poll` said to give up while the ring was full; nothing was written.
    #[error("interrupted while waiting for room in the ring")]
    Interrupted,
    /// The body is too large for the ring and could not be written to the spill file.
    #[error(
        "cannot write {bytes} bytes of a result to the spill file: {source}\n\
         hint: the machine is short of memory, or the test captured too much output"
    )]
    Spill {
        /// Length of the body.
        bytes: usize,
        /// The kernel's answer.
        source: io::Error,
    },
    /// Something wrote over this worker's positions in the segment.
    #[error(
        "the shared memory of slot {slot} was overwritten: {what}\n\
         hint: a test writes to memory that is not its own"
    )]
    Damaged {
        /// The slot.
        slot: u16,
        /// The first thing that was wrong.
        what: &'static str,
    },
}

/// The reader found bytes that no worker wrote this way.
///
/// The slot is closed from then on: [`Reader::next`](super::Reader::next) keeps returning this
/// error until [`Segment::assign_event`](super::Segment::assign_event) gives the slot to another
/// incarnation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the shared memory of slot {slot} was overwritten: {what}\n\
     hint: a test writes to memory that is not its own"
)]
pub struct Corrupt {
    /// The slot whose ring it is.
    pub slot: u16,
    /// The first thing that was wrong.
    pub what: &'static str,
}
