//! Where everything lies in the segment: pure arithmetic, done once from numbers that are then kept
//! privately.

/// The `test` of a record that is about no test.
pub const NO_TEST: u32 = u32::MAX;

/// First eight bytes of a segment: `rpytest` and a version of the layout.
pub(in crate::shm) const MAGIC: u64 = u64::from_le_bytes(*b"rpytest\x05");
/// Smallest ring: four of the smallest records that can say everything (see
/// [`Geometry::record_limit`]).
pub(in crate::shm) const MIN_RING: u32 = 256;
/// Largest ring: lengths of records are `u32`.
const MAX_RING: u32 = 1 << 30;
/// Bytes kept for one event (glibc needs 90, musl 90).
pub(in crate::shm) const EVENT_BYTES: usize = 128;
/// Words that different processes write are this far apart: two cache lines, because the prefetcher
/// fetches pairs.
const APART: usize = if cfg!(loom) { 64 } else { 128 };
const SLOT_BYTES: usize = 4 * APART;
/// A plan entry: eight `u32`.
pub(in crate::shm) const ENTRY_BYTES: usize = 32;

/// Size of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentSpec {
    /// Workers at the same time, 1 to 65534.
    pub slots: u16,
    /// Tests in the inventory, whether planned or not: one claim word each.
    pub tests: u32,
    /// Bytes of each slot's ring: a power of two, 256 to 2³⁰.
    pub ring_bytes: u32,
    /// Worker processes that there can be in all, replacements included; at least `slots`.
    pub incarnations: u32,
}

/// Offsets of the header's words, bytes. All but the last three are written once, before anybody
/// else looks.
pub(in crate::shm) mod header {
    pub const MAGIC: usize = 0;
    pub const LENGTH: usize = 8;
    pub const SLOTS: usize = 16;
    pub const TESTS: usize = 24;
    pub const ENTRIES: usize = 32;
    pub const RING_BYTES: usize = 40;
    pub const INCARNATIONS: usize = 48;
    /// CRC-32 of the words around it and of the plan.
    pub const CHECKSUM: usize = 56;
    /// How workers share the plan.
    pub const SHARING: usize = 64;
    /// `u32`: not zero when nobody shall claim any more.
    pub const STOP: usize = 128;
    /// `u32`: not zero while the parent sleeps.
    pub const ARMED: usize = STOP + super::APART;
    /// `u32`: counts the claims that were given back.
    pub const EPOCH: usize = ARMED + super::APART;
    pub const BYTES: usize = EPOCH + super::APART;
}

/// Offsets within a slot's control block, bytes.
mod slot {
    pub const TAIL: usize = 0;
    pub const HEAD: usize = super::APART;
    pub const WANT: usize = 2 * super::APART;
    pub const STATE: usize = 3 * super::APART;
    pub const STARTED: usize = STATE + 8;
    pub const OWNER: usize = STATE + 16;
    pub const STEALING: usize = STATE + 24;
}

/// The layout of one segment, computed from its [`SegmentSpec`]; never read back from shared
/// memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::shm) struct Geometry {
    pub spec: SegmentSpec,
    /// Entries in the plan.
    pub entries: u32,
    claims: usize,
    holds: usize,
    tolls: usize,
    plan: usize,
    parts: usize,
    events: usize,
    slots: usize,
    rings: usize,
    /// Bytes of the whole segment.
    pub length: usize,
}

impl Geometry {
    /// Lays out a segment; `Err` names what is impossible about it.
    pub fn new(spec: &SegmentSpec, entries: u32) -> Result<Self, &'static str> {
        if spec.slots == 0 || spec.slots == u16::MAX {
            return Err("there must be 1 to 65534 slots");
        }
        if spec.tests == u32::MAX {
            return Err("too many tests");
        }
        if entries > spec.tests {
            return Err("the plan has more entries than there are tests");
        }
        if !spec.ring_bytes.is_power_of_two() || !(MIN_RING..=MAX_RING).contains(&spec.ring_bytes) {
            return Err("a ring must have a power of two of bytes, 256 to 2^30");
        }
        if spec.incarnations < u32::from(spec.slots) {
            return Err("there must be an incarnation for each slot");
        }
        let mut next = header::BYTES;
        let mut place = |count: usize, each: usize| -> Option<usize> {
            let start = next;
            let end = start.checked_add(count.checked_mul(each)?)?;
            next = end.checked_next_multiple_of(APART)?;
            Some(start)
        };
        let slots = usize::from(spec.slots);
        let offsets = (|| {
            Some((
                place(spec.tests as usize, 4)?,
                place(entries as usize, 4)?,
                place(entries as usize, 4)?,
                place(entries as usize, ENTRY_BYTES)?,
                place(slots, 8)?,
                place(spec.incarnations as usize, EVENT_BYTES)?,
                place(slots, SLOT_BYTES)?,
                place(slots, spec.ring_bytes as usize)?,
            ))
        })();
        let (claims, holds, tolls, plan, parts, events, blocks, rings) =
            offsets.ok_or("the segment would be larger than the address space")?;
        if next > isize::MAX as usize {
            return Err("the segment would be larger than the address space");
        }
        Ok(Self {
            spec: *spec,
            entries,
            claims,
            holds,
            tolls,
            plan,
            parts,
            events,
            slots: blocks,
            rings,
            length: next,
        })
    }

    /// Largest record, header included: an eighth of the ring, but at least what a record about a
    /// spilled body takes. A record and the padding before it are then at most half of the smallest
    /// ring, so a drained ring always has room.
    pub fn record_limit(&self) -> usize {
        (self.spec.ring_bytes as usize / 8).max(64)
    }

    /// The claim word (`u32`) of a test.
    pub fn claim(&self, test: u32) -> usize {
        assert!(
            test < self.spec.tests,
            "test {test} is not in the inventory"
        );
        self.claims + test as usize * 4
    }

    /// The hold word (`u32`) of the unit whose first entry this is.
    pub fn hold(&self, index: u32) -> usize {
        assert!(index < self.entries, "entry {index} is not in the plan");
        self.holds + index as usize * 4
    }

    /// The word (`u32`) for what it costs to enter the module whose first entry this is.
    pub fn toll(&self, index: u32) -> usize {
        assert!(index < self.entries, "entry {index} is not in the plan");
        self.tolls + index as usize * 4
    }

    /// A plan entry: eight `u32`.
    pub fn entry(&self, index: u32) -> usize {
        self.plan + index as usize * ENTRY_BYTES
    }

    /// A slot's part of the plan: two `u32`.
    pub fn part(&self, slot: u16) -> usize {
        self.parts + usize::from(slot) * 8
    }

    /// An event; `None` when there is none of that number.
    pub fn event(&self, index: u32) -> Option<usize> {
        (index < self.spec.incarnations).then(|| self.events + index as usize * EVENT_BYTES)
    }

    /// A slot's control block.
    ///
    /// # Panics
    /// When there is no such slot.
    fn block(&self, slot: u16) -> usize {
        assert!(slot < self.spec.slots, "there is no slot {slot}");
        self.slots + usize::from(slot) * SLOT_BYTES
    }

    /// `u64`: bytes the worker committed since the start.
    pub fn tail(&self, slot: u16) -> usize {
        self.block(slot) + slot::TAIL
    }

    /// `u64`: bytes the parent consumed since the start.
    pub fn head(&self, slot: u16) -> usize {
        self.block(slot) + slot::HEAD
    }

    /// `u64`: the head for which a worker waits, or 0.
    pub fn want(&self, slot: u16) -> usize {
        self.block(slot) + slot::WANT
    }

    /// `u64`: phase and number of the test in flight.
    pub fn state(&self, slot: u16) -> usize {
        self.block(slot) + slot::STATE
    }

    /// `u64`: when that test began.
    pub fn started(&self, slot: u16) -> usize {
        self.block(slot) + slot::STARTED
    }

    /// `u64`: incarnation and event to which the slot was given.
    pub fn owner(&self, slot: u16) -> usize {
        self.block(slot) + slot::OWNER
    }

    /// `u32`: not zero once the worker's own part is exhausted.
    pub fn stealing(&self, slot: u16) -> usize {
        self.block(slot) + slot::STEALING
    }

    /// First byte of a slot's ring.
    pub fn ring(&self, slot: u16) -> usize {
        assert!(slot < self.spec.slots, "there is no slot {slot}");
        self.rings + usize::from(slot) * self.spec.ring_bytes as usize
    }
}
