//! The segment: what it is made of, and that it is what we think.

use std::sync::OnceLock;

use super::layout::{Geometry, MAGIC, NO_TEST, SegmentSpec, header};
#[cfg(not(loom))]
use super::mapping::{self, Mapping};
use super::memory::Memory;
use super::parent_state::SlotBook;
use super::plan_places::{Places, has_tolls};
#[cfg(not(loom))]
use super::plan_table::Sharing;
use super::plan_table::{self, NO_UNIT, PlanTable, checksum, geometry};
#[cfg(not(loom))]
use super::process_event;
#[cfg(not(loom))]
use crate::shm::SegmentError;
use crate::shm::sync::{AtomicU32, AtomicU64, Ordering};

/// The shared memory of one run: claims, plan, and one ring of records per worker.
///
/// The parent makes it, workers open it or inherit it by fork. In each process it holds a private
/// copy of everything that says where things are, so no later change of the shared bytes can lead
/// out of the segment.
pub struct Segment {
    memory: Memory,
    geometry: Geometry,
    plan: PlanTable,
    /// See [`plan_table::heads`].
    heads: Vec<u32>,
    /// See [`plan_table::queue`].
    queue: Vec<u32>,
    /// Whether it costs something to enter some module.
    has_tolls: bool,
    /// Made when it is asked for.
    places: OnceLock<Places>,
    /// Nanoseconds, for how long a test has been running: `CLOCK_MONOTONIC`, except in simulations.
    clock: fn() -> u64,
    private: Vec<SlotBook>,
}

#[cfg(not(loom))]
impl Segment {
    /// Makes a segment with a name of its own, `/rpytest-<pid>-<random>`.
    ///
    /// # Errors
    /// [`SegmentError::Invalid`] for a specification or plan that makes no sense,
    /// [`SegmentError::NoSpace`] when `/dev/shm` is too small, [`SegmentError::Os`]. Nothing is
    /// left behind.
    pub fn create(spec: &SegmentSpec, plan: &PlanTable) -> Result<Self, SegmentError> {
        Self::make(spec, plan, Mapping::create_fresh)
    }

    /// Makes a segment named `name`: a `/` followed by a file name.
    ///
    /// # Errors
    /// As [`create`](Self::create); [`SegmentError::Os`] too when the name is taken.
    pub fn create_named(
        name: &str,
        spec: &SegmentSpec,
        plan: &PlanTable,
    ) -> Result<Self, SegmentError> {
        Self::make(spec, plan, |length| Mapping::create(name, length))
    }

    fn make(
        spec: &SegmentSpec,
        plan: &PlanTable,
        map: impl FnOnce(usize) -> Result<Mapping, SegmentError>,
    ) -> Result<Self, SegmentError> {
        let invalid = |what| SegmentError::Invalid { what };
        let geometry = geometry(spec, plan).map_err(invalid)?;
        let segment = Self::with(Memory::new(map(geometry.length)?), geometry, plan.clone());
        for index in 0..spec.incarnations {
            if let Some(offset) = geometry.event(index) {
                process_event::init(&segment.memory, offset).map_err(invalid)?;
            }
        }
        segment.fill();
        Ok(segment)
    }

    /// Opens the segment named `name` and checks that it is one.
    ///
    /// # Errors
    /// [`SegmentError::Os`] when there is none, [`SegmentError::Foreign`] when it is not of this
    /// build.
    pub fn open(name: &str) -> Result<Self, SegmentError> {
        let memory = Memory::new(Mapping::open(name)?);
        let foreign = |what| SegmentError::Foreign {
            name: name.to_owned(),
            what,
        };
        if memory.len() < header::BYTES {
            return Err(foreign("it is too short"));
        }
        // Acquire: pairs with the release store in `fill`; the rest of the header and the plan are
        // there.
        if memory.word64(header::MAGIC).load(Ordering::Acquire) != MAGIC {
            return Err(foreign("its first bytes are others"));
        }
        let word = |offset| memory.word64(offset).load(Ordering::Relaxed);
        let number = |offset| u32::try_from(word(offset)).map_err(|_| "a number is out of range");
        let read = || {
            let spec = SegmentSpec {
                slots: u16::try_from(word(header::SLOTS))
                    .map_err(|_| "a number is out of range")?,
                tests: number(header::TESTS)?,
                ring_bytes: number(header::RING_BYTES)?,
                incarnations: number(header::INCARNATIONS)?,
            };
            let entries = number(header::ENTRIES)?;
            let laid_out = Geometry::new(&spec, entries)?;
            if word(header::LENGTH) != laid_out.length as u64 || memory.len() != laid_out.length {
                return Err("its length is wrong");
            }
            let sharing = Sharing::from_number(word(header::SHARING))?;
            let plan = plan_table::read(&memory, &laid_out, sharing)?;
            if word(header::CHECKSUM) != u64::from(checksum(&laid_out, &plan)) {
                return Err("its checksum is wrong");
            }
            // The same checks again as when it was made.
            Ok((geometry(&spec, &plan)?, plan))
        };
        let (geometry, plan) = read().map_err(foreign)?;
        Ok(Self::with(memory, geometry, plan))
    }

    /// The segment's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.memory.mapping().name()
    }

    /// Removes the name, so that nobody can open the segment any more; who has it keeps it. Only
    /// does something in the process that made it, and only once; dropping the segment does it too.
    pub fn unlink(&self) {
        self.memory.mapping().unlink();
    }

    /// Removes the segments that dead processes of this user left in `/dev/shm`.
    pub fn sweep() {
        mapping::sweep();
    }
}

impl Segment {
    fn with(memory: Memory, geometry: Geometry, plan: PlanTable) -> Self {
        let private = (0..u32::from(geometry.spec.slots))
            .map(SlotBook::new)
            .collect();
        Self {
            heads: plan_table::heads(&plan),
            queue: plan_table::queue(&plan),
            has_tolls: has_tolls(&plan),
            places: OnceLock::new(),
            clock: crate::shm::clock::monotonic_ns,
            memory,
            geometry,
            plan,
            private,
        }
    }

    /// A segment in the memory of a loom model.
    #[cfg(loom)]
    pub(in crate::shm) fn model(spec: &SegmentSpec, plan: &PlanTable) -> Self {
        let geometry = geometry(spec, plan).expect("the model makes sense");
        let segment = Self::with(Memory::zeroed(geometry.length), geometry, plan.clone());
        segment.fill();
        segment
    }

    /// Writes what a fresh segment contains; all other words are 0.
    fn fill(&self) {
        let geometry = &self.geometry;
        let store32 = |offset, value| self.memory.word32(offset).store(value, Ordering::Relaxed);
        let store64 = |offset, value| self.memory.word64(offset).store(value, Ordering::Relaxed);
        for (index, entry) in (0..).zip(&self.plan.entries) {
            let offset = geometry.entry(index);
            for (place, word) in plan_table::words(entry).into_iter().enumerate() {
                store32(offset + 4 * place, word);
            }
        }
        for (slot, (start, len)) in (0..).zip(&self.plan.parts) {
            store32(geometry.part(slot), *start);
            store32(geometry.part(slot) + 4, *len);
            self.state(slot)
                .store(u64::from(NO_TEST), Ordering::Relaxed);
            self.give(slot, 0, u32::from(slot));
        }
        let spec = &geometry.spec;
        store64(header::LENGTH, geometry.length as u64);
        store64(header::SLOTS, spec.slots.into());
        store64(header::TESTS, spec.tests.into());
        store64(header::ENTRIES, geometry.entries.into());
        store64(header::RING_BYTES, spec.ring_bytes.into());
        store64(header::INCARNATIONS, spec.incarnations.into());
        store64(header::SHARING, self.plan.sharing.number());
        store64(header::CHECKSUM, checksum(geometry, &self.plan).into());
        // Release: pairs with the acquire load in `open`.
        self.memory
            .word64(header::MAGIC)
            .store(MAGIC, Ordering::Release);
    }

    /// Gives `slot` to `incarnation`, which waits for room on event number `event`.
    ///
    /// To be called before that incarnation is started, after its predecessor was reaped and its
    /// records were read. Incarnation 0 of each slot has its slot's event from the start. An event
    /// must never be given out twice: one whose waiter was killed is unusable. Without an event (a
    /// number not below [`incarnations`](SegmentSpec::incarnations)) a worker looks for room ten
    /// times per second. Opens the slot again if its ring was [`Corrupt`](crate::shm::Corrupt) or
    /// [closed](Self::close); what was in it is lost.
    ///
    /// # Panics
    /// When there is no such slot.
    pub fn assign_event(&self, slot: u16, incarnation: u16, event: u32) {
        let private = self.private(slot);
        // Relaxed: the next worker does not exist yet.
        self.head(slot).store(private.head(), Ordering::Relaxed);
        if private.open() {
            self.tail(slot).store(private.head(), Ordering::Relaxed);
        }
        self.give(slot, incarnation, event);
    }

    /// Nothing that stands in a slot's ring is worth reading any more, whatever the reader thinks
    /// of it: from now on it says [`Corrupt`](crate::shm::Corrupt) with `what`, until the slot is
    /// given to another incarnation.
    ///
    /// # Panics
    /// When there is no such slot.
    pub fn close(&self, slot: u16, what: &'static str) {
        self.private(slot).close(what);
    }

    fn give(&self, slot: u16, incarnation: u16, event: u32) {
        self.private(slot).set_event(event);
        let owner = u64::from(event) << 32 | u64::from(incarnation);
        self.owner(slot).store(owner, Ordering::Relaxed);
    }

    /// What it was made for.
    #[must_use]
    pub fn spec(&self) -> &SegmentSpec {
        &self.geometry.spec
    }

    /// The plan, as it was when the segment was made or opened.
    #[must_use]
    pub fn plan(&self) -> &PlanTable {
        &self.plan
    }

    /// Offsets of a slot's positions and of its ring, for tests that damage them.
    #[doc(hidden)]
    #[must_use]
    pub fn slot_offsets(&self, slot: u16) -> [usize; 3] {
        [
            self.geometry.tail(slot),
            self.geometry.head(slot),
            self.geometry.ring(slot),
        ]
    }

    pub(in crate::shm) fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    pub(in crate::shm) fn memory(&self) -> &Memory {
        &self.memory
    }

    pub(in crate::shm) fn private(&self, slot: u16) -> &SlotBook {
        &self.private[usize::from(slot)]
    }

    pub(in crate::shm) fn ring_bytes(&self) -> u64 {
        self.geometry.spec.ring_bytes.into()
    }

    pub(in crate::shm) fn ring_words(&self, slot: u16) -> &[AtomicU64] {
        let count = self.geometry.spec.ring_bytes as usize / 8;
        self.memory.words64(self.geometry.ring(slot), count)
    }

    pub(in crate::shm) fn claim_word(&self, test: u32) -> &AtomicU32 {
        self.memory.word32(self.geometry.claim(test))
    }

    /// The first entry of the unit of entry `index`, if that is kept whole.
    pub(in crate::shm) fn unit_head(&self, index: u32) -> Option<u32> {
        let head = self.heads.get(index as usize).copied();
        head.filter(|&head| head != NO_UNIT)
    }

    /// See [`plan_table::queue`].
    pub(in crate::shm) fn queue(&self) -> &[u32] {
        &self.queue
    }

    /// The part to which entry `index` belongs: its first entry, and the one after its last.
    pub(in crate::shm) fn part_of(&self, index: u32) -> (u32, u32) {
        let parts = &self.plan.parts;
        let after = parts.partition_point(|&(start, len)| start + len <= index);
        parts
            .get(after)
            .map_or((0, 0), |&(start, len)| (start, start + len))
    }

    /// The whole unit of entry `index`, if it is kept whole.
    pub(in crate::shm) fn unit_range(&self, index: u32) -> Option<(u32, u32)> {
        let head = self.unit_head(index)?;
        let end = (head..).find(|&index| self.unit_head(index) != Some(head))?;
        Some((head, end))
    }

    /// The word that says who holds the unit that begins at entry `head`.
    pub(in crate::shm) fn hold_word(&self, head: u32) -> &AtomicU32 {
        self.memory.word32(self.geometry.hold(head))
    }

    /// What was learned about the module whose first entry this is.
    pub(in crate::shm) fn toll_word(&self, first: u32) -> &AtomicU32 {
        self.memory.word32(self.geometry.toll(first))
    }

    pub(in crate::shm) fn has_tolls(&self) -> bool {
        self.has_tolls
    }

    pub(in crate::shm) fn places(&self) -> &Places {
        let tests = self.spec().tests;
        self.places.get_or_init(|| Places::new(&self.plan, tests))
    }

    /// Lets tests be timed by another clock than [`monotonic_ns`](crate::shm::clock::monotonic_ns):
    /// for simulations, in one process.
    pub fn set_clock(&mut self, clock: fn() -> u64) {
        self.clock = clock;
    }

    pub(in crate::shm) fn now_ns(&self) -> u64 {
        (self.clock)()
    }

    pub(in crate::shm) fn stop_word(&self) -> &AtomicU32 {
        self.memory.word32(header::STOP)
    }

    pub(in crate::shm) fn armed(&self) -> &AtomicU32 {
        self.memory.word32(header::ARMED)
    }

    pub(in crate::shm) fn epoch(&self) -> &AtomicU32 {
        self.memory.word32(header::EPOCH)
    }

    pub(in crate::shm) fn tail(&self, slot: u16) -> &AtomicU64 {
        self.memory.word64(self.geometry.tail(slot))
    }

    pub(in crate::shm) fn head(&self, slot: u16) -> &AtomicU64 {
        self.memory.word64(self.geometry.head(slot))
    }

    pub(in crate::shm) fn want(&self, slot: u16) -> &AtomicU64 {
        self.memory.word64(self.geometry.want(slot))
    }

    pub(in crate::shm) fn state(&self, slot: u16) -> &AtomicU64 {
        self.memory.word64(self.geometry.state(slot))
    }

    pub(in crate::shm) fn started(&self, slot: u16) -> &AtomicU64 {
        self.memory.word64(self.geometry.started(slot))
    }

    pub(in crate::shm) fn owner(&self, slot: u16) -> &AtomicU64 {
        self.memory.word64(self.geometry.owner(slot))
    }

    pub(in crate::shm) fn stealing(&self, slot: u16) -> &AtomicU32 {
        self.memory.word32(self.geometry.stealing(slot))
    }
}

impl std::fmt::Debug for Segment {
    /// Without the plan, which may be long.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Segment")
            .field("memory", &self.memory)
            .field("spec", self.spec())
            .finish_non_exhaustive()
    }
}
