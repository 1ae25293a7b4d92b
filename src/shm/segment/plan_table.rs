//! The plan in a segment: what it may be, and that it is that.

use std::collections::HashSet;

use super::layout::{ENTRY_BYTES, Geometry, SegmentSpec};
use super::memory::Memory;
use crate::shm::sync::Ordering;

/// One test in the plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlanEntry {
    /// Number of the test.
    pub test: u32,
    /// Estimated duration, µs.
    pub cost_us: u32,
    /// Equal in neighbours that should run in the same worker.
    pub unit: u32,
    /// The same for all tests of a module, if it costs something to enter it.
    pub module: u32,
    /// What a worker pays on top of `cost_us` when it takes over another's unit from here on, µs:
    /// set-ups that the other one would not have to repeat.
    pub enter_us: u32,
    /// The part of `cost_us` that is set-ups of the module, because this worker is to enter it
    /// here, µs.
    pub paid_us: u32,
    /// The unit must not be divided between two workers, the same for all its entries: while one
    /// that lives has any test of it, nobody else takes another.
    pub keep: bool,
    /// Its place in the order in which tests are run: a process runs nothing that does not come
    /// after all that it has run.
    pub rank: u32,
    /// Whoever has time takes it, in the order of ranks; else the worker of the part, as long as
    /// that has time for it.
    pub open: bool,
}

/// How workers share the plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sharing {
    /// Each runs its own part, then what others have not begun.
    #[default]
    Steal,
    /// Each takes the next unit of the whole plan; the parts mean nothing, and all entries are
    /// open.
    Queue,
    /// Each runs its own part and nothing else.
    Own,
}

impl Sharing {
    pub(in crate::shm) fn number(self) -> u64 {
        match self {
            Self::Steal => 0,
            Self::Queue => 1,
            Self::Own => 2,
        }
    }

    pub(in crate::shm) fn from_number(number: u64) -> Result<Self, &'static str> {
        match number {
            0 => Ok(Self::Steal),
            1 => Ok(Self::Queue),
            2 => Ok(Self::Own),
            _ => Err("the plan is shared in an unknown way"),
        }
    }
}

/// Who runs what, in which order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlanTable {
    /// The tests to run, each once.
    pub entries: Vec<PlanEntry>,
    /// Per slot its part of `entries`: first entry, number of entries. The parts follow each other
    /// in order of the slots and cover all entries; a part may be empty.
    pub parts: Vec<(u32, u32)>,
    pub sharing: Sharing,
}

/// Lays a segment out after checking the plan.
pub(in crate::shm) fn geometry(
    spec: &SegmentSpec,
    plan: &PlanTable,
) -> Result<Geometry, &'static str> {
    let entries = u32::try_from(plan.entries.len()).map_err(|_| "the plan has too many entries")?;
    let geometry = Geometry::new(spec, entries)?;
    if plan.parts.len() != usize::from(spec.slots) {
        return Err("the plan must have a part for each slot");
    }
    let mut next = 0;
    for &(start, len) in &plan.parts {
        if start != next || len > entries - next {
            return Err("the parts of the plan must follow each other");
        }
        next += len;
    }
    if next != entries {
        return Err("the parts of the plan must cover it");
    }
    check_units(plan)?;
    let mut seen = vec![false; spec.tests as usize];
    for entry in &plan.entries {
        match seen.get_mut(entry.test as usize) {
            None => return Err("the plan has a test that is not in the inventory"),
            Some(seen) if *seen => return Err("the plan has a test twice"),
            Some(seen) => *seen = true,
        }
    }
    Ok(geometry)
}

/// A unit that is kept whole has one place, in one part.
fn check_units(plan: &PlanTable) -> Result<(), &'static str> {
    let mut kept = HashSet::new();
    for range in units(plan) {
        let unit = &plan.entries[range];
        if unit.iter().any(|entry| entry.keep != unit[0].keep) {
            return Err("the plan keeps a part of a unit");
        }
        if unit.iter().any(|entry| entry.open != unit[0].open) {
            return Err("the plan opens a part of a unit");
        }
        if unit[0].keep && !kept.insert(unit[0].unit) {
            return Err("the plan has a unit that is kept whole in two places");
        }
    }
    Ok(())
}

/// Ranges of entries of equal neighbours, part after part; the parts were checked.
fn units(plan: &PlanTable) -> impl Iterator<Item = std::ops::Range<usize>> {
    plan.parts.iter().flat_map(|&(start, len)| {
        let mut next = start as usize;
        let part = &plan.entries[next..next + len as usize];
        part.chunk_by(|left, right| left.unit == right.unit)
            .map(move |unit| {
                let first = next;
                next += unit.len();
                first..next
            })
    })
}

/// Per entry the first one of its unit if that is kept whole, else [`NO_UNIT`]. Empty when no unit
/// is.
pub(in crate::shm) fn heads(plan: &PlanTable) -> Vec<u32> {
    if !plan.entries.iter().any(|entry| entry.keep) {
        return Vec::new();
    }
    let mut heads = vec![NO_UNIT; plan.entries.len()];
    for range in units(plan).filter(|range| plan.entries[range.start].keep) {
        let first = range.start as u32;
        heads[range].fill(first);
    }
    heads
}

/// What is open to all, in the order in which it is taken: by the ranks of the units' first
/// entries.
pub(in crate::shm) fn queue(plan: &PlanTable) -> Vec<u32> {
    if plan.sharing == Sharing::Queue {
        return (0..plan.entries.len() as u32).collect();
    }
    let open = units(plan).filter(|range| plan.entries[range.start].open);
    let mut open: Vec<_> = open.collect();
    open.sort_by_key(|range| plan.entries[range.start].rank);
    open.into_iter()
        .flatten()
        .map(|index| index as u32)
        .collect()
}

/// Stands in [`heads`] for an entry whose unit may be divided.
pub(in crate::shm) const NO_UNIT: u32 = u32::MAX;

/// CRC-32 of everything in a segment that never changes.
pub(in crate::shm) fn checksum(geometry: &Geometry, plan: &PlanTable) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    let spec = &geometry.spec;
    hasher.update(&(geometry.length as u64).to_le_bytes());
    hasher.update(&spec.slots.to_le_bytes());
    for number in [
        spec.tests,
        spec.ring_bytes,
        spec.incarnations,
        geometry.entries,
    ] {
        hasher.update(&number.to_le_bytes());
    }
    hasher.update(&plan.sharing.number().to_le_bytes());
    for entry in &plan.entries {
        let mut bytes = [0; ENTRY_BYTES];
        for (bytes, word) in bytes.chunks_exact_mut(4).zip(words(entry)) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        hasher.update(&bytes);
    }
    for (start, len) in &plan.parts {
        hasher.update(&start.to_le_bytes());
        hasher.update(&len.to_le_bytes());
    }
    hasher.finalize()
}

/// An entry as it lies in the segment.
pub(in crate::shm) fn words(entry: &PlanEntry) -> [u32; ENTRY_BYTES / 4] {
    [
        entry.test,
        entry.cost_us,
        entry.unit,
        entry.module,
        entry.enter_us,
        entry.paid_us,
        u32::from(entry.keep) | u32::from(entry.open) << 1,
        entry.rank,
    ]
}

/// Copies the plan out of a segment; little about it is checked yet.
pub(in crate::shm) fn read(
    memory: &Memory,
    geometry: &Geometry,
    sharing: Sharing,
) -> Result<PlanTable, &'static str> {
    let word = |offset| memory.word32(offset).load(Ordering::Relaxed);
    let flags = |offset| match word(offset + 24) {
        flags @ 0..=3 => Ok::<u32, &'static str>(flags),
        _ => Err("a number is out of range"),
    };
    let entry = |index| {
        let offset = geometry.entry(index);
        Ok::<PlanEntry, &'static str>(PlanEntry {
            test: word(offset),
            cost_us: word(offset + 4),
            unit: word(offset + 8),
            module: word(offset + 12),
            enter_us: word(offset + 16),
            paid_us: word(offset + 20),
            keep: flags(offset)? & 1 == 1,
            open: flags(offset)? & 2 == 2,
            rank: word(offset + 28),
        })
    };
    let part = |slot| (word(geometry.part(slot)), word(geometry.part(slot) + 4));
    Ok(PlanTable {
        entries: (0..geometry.entries).map(entry).collect::<Result<_, _>>()?,
        parts: (0..geometry.spec.slots).map(part).collect(),
        sharing,
    })
}
