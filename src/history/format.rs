//! The history file: a header, an index of hashes, an entry for each test, the project root, the
//! node ids.
//!
//! Little endian. Header, 64 bytes:
//!
//! | offset | type | |
//! |---|---|---|
//! | 0 | `[u8; 8]` | magic, `RPYTDUR\n` |
//! | 8 | u32 | version |
//! | 12 | u32 | CRC-32 of everything after it |
//! | 16 | u64 | length of the file |
//! | 24 | u32 | number of entries |
//! | 28 | u32 | length of the project root |
//! | 32 | u64 | length of all node ids |
//! | 40 | u32 | runs recorded |
//! | 44 | | zero |
//!
//! Then the hashes of the node ids (u64) in ascending order, for each hash its row (u32), the rows
//! ([`Entry`], 40 bytes), the root, and the node ids end to end in the order of the rows.
//!
//! Rows are in collection order as far as it is known: a run asks for its tests in that order and
//! finds each right after the one before, without hashing. The index is for the rest. A file is
//! never changed, only replaced.

use std::fs::File;
use std::io;
use std::path::Path;

use memmap2::{Mmap, MmapOptions};
use rustix::fs::{Mode, OFlags};

use crate::stable_hash::hash;

pub(super) const MAGIC: [u8; 8] = *b"RPYTDUR\n";
pub(super) const VERSION: u32 = 2;
pub(super) const HEADER: usize = 64;
pub(super) const HASH: usize = 8;
pub(super) const ROW: usize = 4;
pub(super) const ENTRY: usize = 40;
/// The CRC is of everything from here on.
pub(super) const CRC_START: usize = 16;

/// A file of more bytes was not written by us: it would be one of some million tests.
const LARGEST: u64 = 1 << 30;

/// What is known about one test. Durations are means in microseconds, the newer runs weighing more.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Entry {
    /// Where the node id is among all node ids, and its length in bytes.
    pub id_start: u32,
    pub id_len: u32,
    pub setup: f32,
    pub call: f32,
    pub teardown: f32,
    /// Mean absolute deviation of the total.
    pub deviation: f32,
    pub runs: u32,
    pub failures: u32,
    /// Number of the latest run that had the test.
    pub last_run: u32,
    /// [`super::LastOutcome`] as a number.
    pub last_outcome: u8,
    /// Runs of the whole suite since then.
    pub missed: u8,
    /// The latest outcomes, the last one in bit 0; 1 is failed.
    pub recent: u16,
}

impl Entry {
    /// Microseconds of all phases.
    pub fn total(&self) -> f32 {
        self.setup + self.call + self.teardown
    }

    pub fn encode(&self) -> [u8; ENTRY] {
        let words = [
            self.id_start,
            self.id_len,
            self.setup.to_bits(),
            self.call.to_bits(),
            self.teardown.to_bits(),
            self.deviation.to_bits(),
            self.runs,
            self.failures,
            self.last_run,
            u32::from(self.last_outcome)
                | u32::from(self.missed) << 8
                | u32::from(self.recent) << 16,
        ];
        let mut bytes = [0; ENTRY];
        for (place, word) in bytes.chunks_exact_mut(4).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    pub fn decode(bytes: &[u8; ENTRY]) -> Entry {
        let word = |index: usize| read_u32(bytes, 4 * index);
        Entry {
            id_start: word(0),
            id_len: word(1),
            setup: f32::from_bits(word(2)),
            call: f32::from_bits(word(3)),
            teardown: f32::from_bits(word(4)),
            deviation: f32::from_bits(word(5)),
            runs: word(6),
            failures: word(7),
            last_run: word(8),
            last_outcome: word(9) as u8,
            missed: (word(9) >> 8) as u8,
            recent: (word(9) >> 16) as u16,
        }
    }
}

fn read_u32(bytes: &[u8], at: usize) -> u32 {
    bytes[at..]
        .first_chunk()
        .map_or(0, |word| u32::from_le_bytes(*word))
}

fn read_u64(bytes: &[u8], at: usize) -> u64 {
    bytes[at..]
        .first_chunk()
        .map_or(0, |word| u64::from_le_bytes(*word))
}

/// A history file that was checked and can be read in place.
#[derive(Debug)]
pub struct Table<B = Content> {
    bytes: B,
    entries: usize,
    root_len: usize,
}

/// Why a file is not used.
#[derive(Debug, PartialEq, Eq)]
pub enum Unusable {
    Damaged(&'static str),
    OtherVersion(u32),
    OtherProject,
}

/// A file that is mapped.
#[derive(Debug)]
pub struct Content {
    bytes: Mmap,
    /// As long as this file is open, no other one can have its [`FileId`].
    _file: File,
}

impl AsRef<[u8]> for Content {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// What tells one file from all others as long as it is open: device and inode.
pub type FileId = (u64, u64);

/// The file that has this name by now.
pub fn file_id(path: &Path) -> io::Result<FileId> {
    use std::os::unix::fs::MetadataExt;

    let metadata = std::fs::metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

impl Table<Content> {
    /// Maps the file at `path` and checks it. Anything may lie there: a pipe that nobody writes to,
    /// a device, a file of any size and content.
    pub fn open(path: &Path, root: &[u8]) -> io::Result<Result<Table, Unusable>> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Ok(Err(Unusable::Damaged("it is not a file")));
        }
        if metadata.len() > LARGEST {
            return Ok(Err(Unusable::Damaged("it is too large")));
        }
        if metadata.len() < HEADER as u64 {
            return Ok(Err(Unusable::Damaged("too short")));
        }
        // SAFETY: the mapping is read-only and rpytest never writes to a file after giving it its
        // name, but replaces it, so its bytes don't change and its length doesn't shrink while it
        // is mapped. Another program that does it all the same can cause wrong numbers or SIGBUS,
        // as with any mapped file.
        let bytes = unsafe { MmapOptions::new().populate().map(&file)? };
        let content = Content { bytes, _file: file };
        Ok(Table::check(content, root))
    }
}

impl<B: AsRef<[u8]>> Table<B> {
    /// Checks everything but the entries' own references, which [`Table::id`] checks.
    pub fn check(bytes: B, root: &[u8]) -> Result<Table<B>, Unusable> {
        let all = bytes.as_ref();
        if all.len() < HEADER {
            return Err(Unusable::Damaged("too short"));
        }
        if all[..8] != MAGIC {
            return Err(Unusable::Damaged("not a duration history"));
        }
        let version = read_u32(all, 8);
        if version != VERSION {
            return Err(Unusable::OtherVersion(version));
        }
        let entries = read_u32(all, 24) as usize;
        let root_len = read_u32(all, 28) as usize;
        let expected = (entries as u64 * (HASH + ROW + ENTRY) as u64)
            .checked_add((HEADER + root_len) as u64)
            .and_then(|length| length.checked_add(read_u64(all, 32)));
        if expected != Some(all.len() as u64) || read_u64(all, 16) != all.len() as u64 {
            return Err(Unusable::Damaged("its length is wrong"));
        }
        if read_u32(all, 12) != crc32fast::hash(&all[CRC_START..]) {
            return Err(Unusable::Damaged("its checksum is wrong"));
        }
        let table = Table {
            bytes,
            entries,
            root_len,
        };
        if table.root() != root {
            return Err(Unusable::OtherProject);
        }
        Ok(table)
    }

    pub fn len(&self) -> usize {
        self.entries
    }

    /// Runs recorded.
    pub fn runs(&self) -> u32 {
        read_u32(self.bytes.as_ref(), 40)
    }

    /// Header and index, rows, root and ids: all together the file. Only header and rows change
    /// while the tests stay the same.
    pub fn sections(&self) -> (&[u8], &[u8], &[u8]) {
        let rows = HEADER + self.entries * (HASH + ROW);
        let (front, rest) = self.bytes.as_ref().split_at(rows);
        let (rows, back) = rest.split_at(self.entries * ENTRY);
        (front, rows, back)
    }

    pub(super) fn lengths(&self) -> Lengths {
        Lengths {
            entries: self.entries,
            root: self.root_len,
            ids: self.ids().len(),
        }
    }

    fn hashes(&self) -> &[[u8; HASH]] {
        self.bytes.as_ref()[HEADER..][..self.entries * HASH]
            .as_chunks()
            .0
    }

    fn rows(&self) -> &[[u8; ENTRY]] {
        self.sections().1.as_chunks().0
    }

    fn root(&self) -> &[u8] {
        &self.sections().2[..self.root_len]
    }

    fn ids(&self) -> &[u8] {
        &self.sections().2[self.root_len..]
    }

    /// All entries, row by row.
    pub fn entries(&self) -> impl Iterator<Item = Entry> + '_ {
        self.rows().iter().map(Entry::decode)
    }

    /// The entry in a row; `None` when there are not so many.
    pub fn entry(&self, row: u32) -> Option<Entry> {
        self.rows().get(row as usize).map(Entry::decode)
    }

    /// The node id of one of this table's entries; empty if the file is wrong in spite of its
    /// checksum.
    pub fn id(&self, entry: &Entry) -> &[u8] {
        let start = entry.id_start as usize;
        self.ids()
            .get(start..start + entry.id_len as usize)
            .unwrap_or_default()
    }

    /// The row of a test. `guess` is looked at first: where rows and questions have the same order
    /// it is usually right.
    pub fn find(&self, id: &[u8], guess: u32) -> Option<u32> {
        let is_at = |row: u32| self.entry(row).is_some_and(|entry| self.id(&entry) == id);
        if is_at(guess) {
            return Some(guess);
        }
        let hash = hash(id).to_le_bytes();
        let hashes = self.hashes();
        let first = lower_bound(hashes, u64::from_le_bytes(hash));
        let rows = &self.bytes.as_ref()[HEADER + self.entries * HASH..];
        (first..self.entries)
            .take_while(|&index| hashes[index] == hash)
            .map(|index| read_u32(rows, index * ROW))
            .find(|&row| is_at(row))
    }
}

/// Index of the first hash that is not less than `wanted`.
///
/// Hashes are spread evenly, so the place can be calculated almost exactly; what is left is a
/// search in doubling steps around it. Takes a few memory accesses where bisection would take one
/// per bit of the length.
fn lower_bound(hashes: &[[u8; HASH]], wanted: u64) -> usize {
    let less = |hash: &[u8; HASH]| u64::from_le_bytes(*hash) < wanted;
    let guess = ((u128::from(wanted) * hashes.len() as u128) >> 64) as usize;
    let mut low;
    let mut high = hashes.len();
    let mut step = 8;
    if guess < hashes.len() && less(&hashes[guess]) {
        low = guess + 1;
        while low + step < hashes.len() && less(&hashes[low + step]) {
            low += step + 1;
            step *= 2;
        }
        high = high.min(low + step);
    } else {
        high = high.min(guess);
        while high >= step && !less(&hashes[high - step]) {
            high -= step;
            step *= 2;
        }
        low = high.saturating_sub(step);
    }
    low + hashes[low..high].partition_point(less)
}

/// What the sizes of a file's sections follow from.
#[derive(Clone, Copy, Debug)]
pub struct Lengths {
    pub entries: usize,
    pub root: usize,
    pub ids: usize,
}

impl Lengths {
    /// The header, but for the checksum.
    pub fn header(self, runs: u32) -> [u8; HEADER] {
        let length = HEADER + self.entries * (HASH + ROW + ENTRY) + self.root + self.ids;
        let mut header = [0; HEADER];
        let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &MAGIC);
        put(8, &VERSION.to_le_bytes());
        put(16, &(length as u64).to_le_bytes());
        put(24, &(self.entries as u32).to_le_bytes());
        put(28, &(self.root as u32).to_le_bytes());
        put(32, &(self.ids as u64).to_le_bytes());
        put(40, &runs.to_le_bytes());
        header
    }
}

#[cfg(test)]
mod tests {
    use super::super::builder::Builder;
    use super::*;

    fn table(entries: u32) -> Table<Vec<u8>> {
        let mut builder = Builder::default();
        for number in 0..entries {
            let entry = Entry {
                runs: number,
                ..Entry::default()
            };
            builder.push(entry, format!("test_{number}").as_bytes());
        }
        Table::check(builder.file(b"/root", 7), b"/root").unwrap()
    }

    #[test]
    fn every_entry_is_found_and_no_other() {
        for entries in [0, 1, 2, 7, 8, 9, 100, 5000] {
            let table = table(entries);
            assert_eq!(table.entries().count(), entries as usize);
            for number in 0..entries {
                let id = format!("test_{number}");
                for guess in [number, number + 1, 0, u32::MAX] {
                    assert_eq!(table.find(id.as_bytes(), guess), Some(number));
                }
                assert_eq!(table.id(&table.entry(number).unwrap()), id.as_bytes());
            }
            for number in entries..entries + 200 {
                let id = format!("test_{number}");
                assert_eq!(table.find(id.as_bytes(), number), None);
            }
            assert_eq!(table.entry(entries), None);
        }
    }

    #[test]
    fn the_place_is_found_even_when_hashes_are_not_spread_evenly() {
        for hashes in [
            (0..300).collect::<Vec<u64>>(),
            (0..300).map(|number| u64::MAX - 300 + number).collect(),
            vec![5; 300],
            (0..300)
                .map(|number| if number < 150 { number } else { number << 50 })
                .collect(),
        ] {
            let rows: Vec<[u8; HASH]> = hashes.iter().map(|hash| hash.to_le_bytes()).collect();
            let probes = hashes
                .iter()
                .flat_map(|&hash| [hash.saturating_sub(1), hash, hash.saturating_add(1)]);
            for probe in probes.chain([0, u64::MAX, 1 << 63]) {
                let expected = hashes.partition_point(|&hash| hash < probe);
                assert_eq!(lower_bound(&rows, probe), expected, "{probe} in {hashes:?}");
            }
        }
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let good = table(3).bytes;
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(Table::check(bad, b"/root").is_err(), "bit {bit}");
        }
        for len in 0..good.len() {
            assert!(Table::check(&good[..len], b"/root").is_err(), "{len} bytes");
        }
    }

    #[test]
    fn a_file_with_a_right_checksum_and_wrong_references_does_no_harm() {
        let mut bytes = table(1).bytes;
        bytes[HEADER + HASH..][..ROW + 8].fill(0xff);
        let crc = crc32fast::hash(&bytes[CRC_START..]);
        bytes[CRC_START - 4..CRC_START].copy_from_slice(&crc.to_le_bytes());
        let table = Table::check(bytes, b"/root").unwrap();
        let entry = table.entries().next().unwrap();
        assert_eq!(table.id(&entry), b"");
        assert_eq!(table.find(b"test_0", 0), None);
    }
}
