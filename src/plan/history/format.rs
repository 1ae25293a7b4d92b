//! The history file: a header, a table sorted by hash, the project root, the node ids.
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
//! Then 48 bytes per [`Entry`], the root, and the node ids end to end. A file is never changed, only replaced.

use std::fs::File;
use std::io;
use std::path::Path;

use memmap2::{Mmap, MmapOptions};

use super::hash::hash;

const MAGIC: [u8; 8] = *b"RPYTDUR\n";
const VERSION: u32 = 1;
const HEADER: usize = 64;
const ENTRY: usize = 48;
/// The CRC is of everything from here on.
const CRC_START: usize = 16;

/// What is known about one test. Durations are means in microseconds, the newer runs weighing more.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Entry {
    /// Of the node id.
    pub hash: u64,
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
    pub last_outcome: u16,
    /// Runs of the whole suite since then.
    pub missed: u16,
}

impl Entry {
    /// Microseconds of all phases.
    pub fn total(&self) -> f32 {
        self.setup + self.call + self.teardown
    }

    fn encode(&self) -> [u8; ENTRY] {
        let mut bytes = [0; ENTRY];
        bytes[..8].copy_from_slice(&self.hash.to_le_bytes());
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
            u32::from(self.last_outcome) | u32::from(self.missed) << 16,
        ];
        for (place, word) in bytes[8..].chunks_exact_mut(4).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    fn decode(bytes: &[u8; ENTRY]) -> Entry {
        let word = |index: usize| read_u32(bytes, 8 + 4 * index);
        Entry {
            hash: read_u64(bytes, 0),
            id_start: word(0),
            id_len: word(1),
            setup: f32::from_bits(word(2)),
            call: f32::from_bits(word(3)),
            teardown: f32::from_bits(word(4)),
            deviation: f32::from_bits(word(5)),
            runs: word(6),
            failures: word(7),
            last_run: word(8),
            last_outcome: word(9) as u16,
            missed: (word(9) >> 16) as u16,
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
pub struct Table<B = Mmap> {
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

impl Table<Mmap> {
    /// Maps the file at `path` and checks it.
    pub fn open(path: &Path, root: &[u8]) -> io::Result<Result<Table, Unusable>> {
        let file = File::open(path)?;
        if file.metadata()?.len() < HEADER as u64 {
            return Ok(Err(Unusable::Damaged("too short")));
        }
        // SAFETY: the mapping is read-only and rpytest never writes to a file after giving it its name, but replaces it, so its
        // bytes don't change and its length doesn't shrink while it is mapped. Another program that does it all the same can
        // cause wrong numbers or SIGBUS, as with any mapped file.
        let map = unsafe { MmapOptions::new().populate().map(&file)? };
        Ok(Table::check(map, root))
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
        let expected = (entries as u64 * ENTRY as u64)
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

    fn root(&self) -> &[u8] {
        &self.bytes.as_ref()[HEADER + self.entries * ENTRY..][..self.root_len]
    }

    fn rows(&self) -> &[[u8; ENTRY]] {
        self.bytes.as_ref()[HEADER..HEADER + self.entries * ENTRY]
            .as_chunks()
            .0
    }

    /// All entries, by ascending hash.
    pub fn entries(&self) -> impl Iterator<Item = Entry> + '_ {
        self.rows().iter().map(Entry::decode)
    }

    /// The node id of one of this table's entries; empty if the file is wrong in spite of its checksum.
    pub fn id(&self, entry: &Entry) -> &[u8] {
        let ids = &self.bytes.as_ref()[HEADER + self.entries * ENTRY + self.root_len..];
        let start = entry.id_start as usize;
        ids.get(start..start + entry.id_len as usize)
            .unwrap_or_default()
    }

    /// The entry of the test with this node id.
    pub fn find(&self, id: &[u8]) -> Option<Entry> {
        let rows = self.rows();
        let wanted = hash(id);
        let first = lower_bound(rows, wanted);
        rows[first..]
            .iter()
            .map(Entry::decode)
            .take_while(|entry| entry.hash == wanted)
            .find(|entry| self.id(entry) == id)
    }
}

/// Index of the first row whose hash is not less than `wanted`.
///
/// Hashes are spread evenly, so the place can be calculated almost exactly; what is left is a search in doubling steps around
/// it. Takes a few memory accesses where bisection would take one per bit of the length.
fn lower_bound(rows: &[[u8; ENTRY]], wanted: u64) -> usize {
    let less = |index: usize| read_u64(&rows[index], 0) < wanted;
    let guess = ((u128::from(wanted) * rows.len() as u128) >> 64) as usize;
    let (mut low, mut high) = (0, rows.len());
    let mut step = 8;
    if guess < rows.len() && less(guess) {
        low = guess + 1;
        while low + step < rows.len() && less(low + step) {
            low += step + 1;
            step *= 2;
        }
        high = rows.len().min(low + step);
    } else {
        high = guess.min(high);
        while high >= step && !less(high - step) {
            high -= step;
            step *= 2;
        }
        low = low.max(high.saturating_sub(step));
    }
    low + rows[low..high].partition_point(|row| read_u64(row, 0) < wanted)
}

/// Builds the bytes of a file.
#[derive(Debug, Default)]
pub struct Builder {
    entries: Vec<Entry>,
    ids: Vec<u8>,
}

impl Builder {
    pub fn with_capacity(entries: usize, ids: usize) -> Builder {
        Builder {
            entries: Vec::with_capacity(entries),
            ids: Vec::with_capacity(ids),
        }
    }

    /// Adds an entry; entries come in the order of their hashes. Ids that would lead over 4 GiB are left out.
    pub fn push(&mut self, mut entry: Entry, id: &[u8]) {
        if let (Ok(start), Ok(len)) = (u32::try_from(self.ids.len()), u32::try_from(id.len())) {
            entry.id_start = start;
            entry.id_len = len;
            self.ids.extend_from_slice(id);
            self.entries.push(entry);
        }
    }

    /// Leaves out the entries that were seen longest ago, so that at most `capacity` are left; those of the latest run stay
    /// however many they are.
    pub fn keep_latest(self, capacity: usize) -> Builder {
        if self.entries.len() <= capacity {
            return self;
        }
        let mut runs: Vec<u32> = self.entries.iter().map(|entry| entry.last_run).collect();
        runs.sort_unstable_by(|left, right| right.cmp(left));
        // The first one too many, and with it all others of its run.
        let (latest, too_old) = (runs[0], runs[capacity]);
        let mut kept = Builder::with_capacity(capacity, self.ids.len());
        for entry in &self.entries {
            if entry.last_run > too_old || entry.last_run == latest {
                kept.push(
                    *entry,
                    &self.ids[entry.id_start as usize..][..entry.id_len as usize],
                );
            }
        }
        kept
    }

    /// The whole file.
    pub fn finish(self, root: &[u8], runs: u32) -> Vec<u8> {
        let length = HEADER + self.entries.len() * ENTRY + root.len() + self.ids.len();
        let mut bytes = Vec::with_capacity(length);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&(length as u64).to_le_bytes());
        bytes.extend_from_slice(&(self.entries.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&(root.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&(self.ids.len() as u64).to_le_bytes());
        bytes.extend_from_slice(&runs.to_le_bytes());
        bytes.resize(HEADER, 0);
        for entry in &self.entries {
            bytes.extend_from_slice(&entry.encode());
        }
        bytes.extend_from_slice(root);
        bytes.extend_from_slice(&self.ids);
        let crc = crc32fast::hash(&bytes[CRC_START..]);
        bytes[12..16].copy_from_slice(&crc.to_le_bytes());
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(entries: u32) -> Table<Vec<u8>> {
        let mut all: Vec<(u64, String)> = (0..entries)
            .map(|number| format!("test_{number}"))
            .map(|id| (hash(id.as_bytes()), id))
            .collect();
        all.sort();
        let mut builder = Builder::default();
        for (number, (hash, id)) in all.iter().enumerate() {
            let entry = Entry {
                hash: *hash,
                runs: number as u32,
                ..Entry::default()
            };
            builder.push(entry, id.as_bytes());
        }
        Table::check(builder.finish(b"/root", 7), b"/root").unwrap()
    }

    #[test]
    fn every_entry_is_found_and_no_other() {
        for entries in [0, 1, 2, 7, 8, 9, 100, 5000] {
            let table = table(entries);
            assert_eq!(table.entries().count(), entries as usize);
            for number in 0..entries {
                let id = format!("test_{number}");
                let entry = table.find(id.as_bytes()).unwrap();
                assert_eq!(table.id(&entry), id.as_bytes());
            }
            for number in entries..entries + 200 {
                assert_eq!(table.find(format!("test_{number}").as_bytes()), None);
            }
        }
    }

    #[test]
    fn the_place_is_found_even_when_hashes_are_not_spread_evenly() {
        let row = |hash: u64| {
            Entry {
                hash,
                ..Entry::default()
            }
            .encode()
        };
        for hashes in [
            (0..300).collect::<Vec<u64>>(),
            (0..300).map(|number| u64::MAX - 300 + number).collect(),
            vec![5; 300],
            (0..300)
                .map(|number| if number < 150 { number } else { number << 50 })
                .collect(),
        ] {
            let rows: Vec<[u8; ENTRY]> = hashes.iter().map(|&hash| row(hash)).collect();
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
        bytes[HEADER + 8..HEADER + 16].fill(0xff);
        let crc = crc32fast::hash(&bytes[CRC_START..]);
        bytes[12..16].copy_from_slice(&crc.to_le_bytes());
        let table = Table::check(bytes, b"/root").unwrap();
        let entry = table.entries().next().unwrap();
        assert_eq!(table.id(&entry), b"");
        assert_eq!(table.find(b"test_0"), None);
    }

    #[test]
    fn the_latest_are_kept() {
        let built = |last_runs: &[u32], capacity| {
            let mut builder = Builder::default();
            for (number, &last_run) in last_runs.iter().enumerate() {
                let entry = Entry {
                    hash: number as u64,
                    last_run,
                    ..Entry::default()
                };
                builder.push(entry, format!("t{number}").as_bytes());
            }
            let bytes = builder.keep_latest(capacity).finish(b"", 9);
            let table = Table::check(bytes, b"").unwrap();
            let ids: Vec<String> = table
                .entries()
                .map(|entry| String::from_utf8_lossy(table.id(&entry)).into_owned())
                .collect();
            ids.join(" ")
        };
        assert_eq!(built(&[3, 1, 2, 3], 4), "t0 t1 t2 t3");
        assert_eq!(built(&[3, 1, 2, 3], 3), "t0 t2 t3");
        assert_eq!(built(&[3, 1, 1, 3], 3), "t0 t3");
        assert_eq!(built(&[3, 3, 3, 1], 2), "t0 t1 t2");
    }
}
