//! The plan in a segment: what it may be, and that it is that.

use super::SegmentSpec;
use super::layout::Geometry;
use super::memory::Memory;
use super::sync::Ordering;

/// One test in the plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlanEntry {
    /// Number of the test.
    pub test: u32,
    /// Estimated duration, µs.
    pub cost_us: u32,
    /// Equal in neighbours that should run in the same worker.
    pub unit: u32,
}

/// Who runs what, in which order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlanTable {
    /// The tests to run, each once.
    pub entries: Vec<PlanEntry>,
    /// Per slot its part of `entries`: first entry, number of entries. The parts follow each other in order of the slots
    /// and cover all entries; a part may be empty.
    pub parts: Vec<(u32, u32)>,
}

/// Lays a segment out after checking the plan.
pub(super) fn geometry(spec: &SegmentSpec, plan: &PlanTable) -> Result<Geometry, &'static str> {
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

/// CRC-32 of everything in a segment that never changes.
pub(super) fn checksum(geometry: &Geometry, plan: &PlanTable) -> u32 {
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
    for entry in &plan.entries {
        let mut bytes = [0; 12];
        bytes[..4].copy_from_slice(&entry.test.to_le_bytes());
        bytes[4..8].copy_from_slice(&entry.cost_us.to_le_bytes());
        bytes[8..].copy_from_slice(&entry.unit.to_le_bytes());
        hasher.update(&bytes);
    }
    for (start, len) in &plan.parts {
        hasher.update(&start.to_le_bytes());
        hasher.update(&len.to_le_bytes());
    }
    hasher.finalize()
}

/// Copies the plan out of a segment; nothing about it is checked yet.
pub(super) fn read(memory: &Memory, geometry: &Geometry) -> PlanTable {
    let word = |offset| memory.word32(offset).load(Ordering::Relaxed);
    let entry = |index| {
        let offset = geometry.entry(index);
        PlanEntry {
            test: word(offset),
            cost_us: word(offset + 4),
            unit: word(offset + 8),
        }
    };
    let part = |slot| (word(geometry.part(slot)), word(geometry.part(slot) + 4));
    PlanTable {
        entries: (0..geometry.entries).map(entry).collect(),
        parts: (0..geometry.spec.slots).map(part).collect(),
    }
}
