//! One record.

/// What a reader knows of a record beside its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordHead {
    /// Kind of record, the ring does not interpret it.
    pub kind: u8,
    /// Flags of that kind, the ring does not interpret them.
    pub flags: u8,
    /// Number of the test or [`NO_TEST`](super::NO_TEST).
    pub test: u32,
    /// Which attempt at the test.
    pub attempt: u16,
    /// Slot of the worker that wrote it.
    pub slot: u16,
    /// Incarnation of that worker.
    pub incarnation: u16,
    /// When it was committed: `CLOCK_MONOTONIC`, nanoseconds.
    pub mono_ns: u64,
    /// Where the body is, when it was too large for the ring.
    pub spilled: Option<Spill>,
    /// The worker waits for room and there is enough now: call [`Waker::wake`](super::Waker::wake).
    pub space_waiter: bool,
}

/// Where the body of a record lies in the spill file of its incarnation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spill {
    /// Bytes from the start of the file.
    pub offset: u64,
    /// Bytes.
    pub len: u64,
    /// CRC-32 of these bytes.
    pub crc: u32,
}

/// A record as a worker gives it to [`WorkerEnd::push`](super::WorkerEnd::push).
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// Kind of record.
    pub kind: u8,
    /// Flags of that kind.
    pub flags: u8,
    /// Number of the test or [`NO_TEST`](super::NO_TEST).
    pub test: u32,
    /// Which attempt at the test.
    pub attempt: u16,
    /// The body.
    pub body: &'a [u8],
    /// Ring the bell if the parent sleeps.
    pub urgent: bool,
}
