//! One record: its header in four words, and how it is checked.
//!
//! | word | bits 0–31 | 32–39 | 40–47 | 48–55 | 56–63 |
//! |---|---|---|---|---|---|
//! | 0 | length of the body | form | kind | flags | tag |
//! | 1 | test | slot (32–47) | | incarnation (48–63) | |
//! | 2 | time of the commit, ns | | | | |
//! | 3 | CRC-32 | attempt (32–47) | | 0 | |
//!
//! The body follows, filled up to whole words. The CRC covers the record's *position* in the stream
//! too: an old record at the same place in the ring, valid in itself, is therefore not taken for a
//! new one.

/// Bytes of a header.
pub(in crate::shm) const HEADER: usize = 32;
/// Words of a header.
pub(in crate::shm) const HEADER_WORDS: usize = HEADER / 8;
/// Bytes of the body of a record whose real body was spilled: offset, length, CRC-32 of it.
pub(in crate::shm) const SPILL_BODY: usize = 20;

const TAG_RECORD: u64 = 0x52;
const TAG_PADDING: u64 = 0x50;
const FORM_INLINE: u8 = 1;
const FORM_SPILLED: u8 = 2;

/// What a reader knows of a record beside its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordHead {
    /// Kind of record; the ring does not interpret it.
    pub kind: u8,
    /// Flags of that kind; the ring does not interpret them.
    pub flags: u8,
    /// Number of the test or [`NO_TEST`](crate::shm::NO_TEST); may be any number, the ring does not
    /// know the inventory.
    pub test: u32,
    /// Which attempt at the test.
    pub attempt: u16,
    /// Slot of the worker that wrote it.
    pub slot: u16,
    /// Incarnation of that worker.
    pub incarnation: u16,
    /// When it was committed: `CLOCK_MONOTONIC`, nanoseconds.
    pub mono_ns: u64,
    /// Where the body is, when it was too large for the ring: see [`spill`](super::spill).
    pub spilled: Option<Spill>,
    /// The worker waits for room and there is enough now: call
    /// [`Waker::wake`](crate::shm::Waker::wake). Said once per wait.
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

/// A record as a worker gives it to [`WorkerEnd::push`](crate::shm::WorkerEnd::push).
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// Kind of record.
    pub kind: u8,
    /// Flags of that kind.
    pub flags: u8,
    /// Number of the test or [`NO_TEST`](crate::shm::NO_TEST).
    pub test: u32,
    /// Which attempt at the test.
    pub attempt: u16,
    /// The body.
    pub body: &'a [u8],
    /// Ring the bell if the parent sleeps, however empty the ring is.
    pub urgent: bool,
}

/// A header as it stands in the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::shm) struct Frame {
    pub len: u32,
    pub spilled: bool,
    pub kind: u8,
    pub flags: u8,
    pub test: u32,
    pub attempt: u16,
    pub slot: u16,
    pub incarnation: u16,
    pub mono_ns: u64,
}

impl Frame {
    /// Header and body in the ring, bytes.
    pub fn total(&self) -> usize {
        total(self.len as usize)
    }

    /// The four words of the header.
    pub fn encode(&self, position: u64, body: &[u8]) -> [u64; HEADER_WORDS] {
        let form = if self.spilled {
            FORM_SPILLED
        } else {
            FORM_INLINE
        };
        let mut words = [
            u64::from(self.len)
                | u64::from(form) << 32
                | u64::from(self.kind) << 40
                | u64::from(self.flags) << 48
                | TAG_RECORD << 56,
            u64::from(self.test) | u64::from(self.slot) << 32 | u64::from(self.incarnation) << 48,
            self.mono_ns,
            u64::from(self.attempt) << 32,
        ];
        words[3] |= u64::from(checksum(&words, position, body));
        words
    }

    /// Takes the header apart; `Err` says what no writer writes. The CRC is not checked yet: see
    /// [`intact`].
    pub fn decode(words: &[u64; HEADER_WORDS]) -> Result<Self, &'static str> {
        if words[0] >> 56 != TAG_RECORD {
            return Err("there is no record where one should be");
        }
        let spilled = match (words[0] >> 32) as u8 {
            FORM_INLINE => false,
            FORM_SPILLED => true,
            _ => return Err("a record has an unknown form"),
        };
        let frame = Self {
            len: words[0] as u32,
            spilled,
            kind: (words[0] >> 40) as u8,
            flags: (words[0] >> 48) as u8,
            test: words[1] as u32,
            slot: (words[1] >> 32) as u16,
            incarnation: (words[1] >> 48) as u16,
            mono_ns: words[2],
            attempt: (words[3] >> 32) as u16,
        };
        if spilled && frame.len as usize != SPILL_BODY {
            return Err("a spilled record has the wrong length");
        }
        Ok(frame)
    }
}

/// Header and body, filled up to whole words, bytes.
pub(in crate::shm) fn total(body: usize) -> usize {
    (HEADER + body).next_multiple_of(8)
}

/// The word that fills the end of the ring when a record does not fit there.
pub(in crate::shm) fn padding(position: u64) -> u64 {
    TAG_PADDING << 56 | (position & (u64::MAX >> 8))
}

/// Whether header and body are what was written at `position`.
pub(in crate::shm) fn intact(words: &[u64; HEADER_WORDS], position: u64, body: &[u8]) -> bool {
    let mut plain = *words;
    plain[3] &= !u64::from(u32::MAX);
    words[3] as u32 == checksum(&plain, position, body)
}

fn checksum(words: &[u64; HEADER_WORDS], position: u64, body: &[u8]) -> u32 {
    let mut bytes = [0_u8; HEADER + 8];
    bytes[..8].copy_from_slice(&position.to_le_bytes());
    for (to, word) in bytes[8..].chunks_exact_mut(8).zip(words) {
        to.copy_from_slice(&word.to_le_bytes());
    }
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&bytes);
    hasher.update(body);
    hasher.finalize()
}

impl Spill {
    pub(in crate::shm) fn encode(&self) -> [u8; SPILL_BODY] {
        let mut bytes = [0; SPILL_BODY];
        bytes[..8].copy_from_slice(&self.offset.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.len.to_le_bytes());
        bytes[16..].copy_from_slice(&self.crc.to_le_bytes());
        bytes
    }

    pub(in crate::shm) fn decode(bytes: &[u8]) -> Option<Self> {
        let (offset, rest) = bytes.split_first_chunk()?;
        let (len, rest) = rest.split_first_chunk()?;
        Some(Self {
            offset: u64::from_le_bytes(*offset),
            len: u64::from_le_bytes(*len),
            crc: u32::from_le_bytes(rest.try_into().ok()?),
        })
    }
}
