//! Writes the file that [`super::format`] describes.

use std::io::{self, Write};

use super::format::{CRC_START, ENTRY, Entry, HASH, HEADER, Lengths, ROW, Table};
use crate::stable_hash::hash;

/// A file in the making.
#[derive(Debug, Default)]
pub struct Builder {
    entries: Vec<Entry>,
    ids: Vec<u8>,
}

impl Builder {
    /// `ids` is the length of all node ids together.
    pub fn with_capacity(entries: usize, ids: usize) -> Builder {
        Builder {
            entries: Vec::with_capacity(entries),
            ids: Vec::with_capacity(ids),
        }
    }

    /// Adds an entry; no id comes twice. Ids that would lead over 4 GiB are left out.
    pub fn push(&mut self, mut entry: Entry, id: &[u8]) {
        if let (Ok(start), Ok(len)) = (u32::try_from(self.ids.len()), u32::try_from(id.len())) {
            entry.id_start = start;
            entry.id_len = len;
            self.ids.extend_from_slice(id);
            self.entries.push(entry);
        }
    }

    /// Number of entries so far.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// An entry that was pushed, for updating it.
    pub fn entry_mut(&mut self, row: usize) -> Option<&mut Entry> {
        self.entries.get_mut(row)
    }

    /// Leaves out the entries that were seen longest ago, so that at most `capacity` are left;
    /// those of the latest run stay however many they are.
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
                kept.push(*entry, self.id(entry));
            }
        }
        kept
    }

    /// Writes the whole file to `out`, in two pieces: the ids, most of it, are not copied again.
    pub fn write(&self, root: &[u8], runs: u32, out: &mut impl Write) -> io::Result<()> {
        let front_len = HEADER + self.entries.len() * (HASH + ROW + ENTRY) + root.len();
        let mut front = Vec::with_capacity(front_len);
        let lengths = Lengths {
            entries: self.entries.len(),
            root: root.len(),
            ids: self.ids.len(),
        };
        front.extend_from_slice(&lengths.header(runs));
        let mut index: Vec<(u64, u32)> = self
            .entries
            .iter()
            .zip(0..)
            .map(|(entry, row)| (hash(self.id(entry)), row))
            .collect();
        index.sort_unstable();
        for (hash, _) in &index {
            front.extend_from_slice(&hash.to_le_bytes());
        }
        for (_, row) in &index {
            front.extend_from_slice(&row.to_le_bytes());
        }
        for entry in &self.entries {
            front.extend_from_slice(&entry.encode());
        }
        front.extend_from_slice(root);
        let crc = checksum(&[&front[CRC_START..], &self.ids]);
        front[CRC_START - 4..CRC_START].copy_from_slice(&crc);
        out.write_all(&front)?;
        out.write_all(&self.ids)
    }

    fn id(&self, entry: &Entry) -> &[u8] {
        &self.ids[entry.id_start as usize..][..entry.id_len as usize]
    }

    /// The whole file in memory.
    pub fn file(&self, root: &[u8], runs: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.write(root, runs, &mut bytes)
            .expect("memory takes everything");
        bytes
    }
}

/// Writes the file again with other rows: for a run that had only tests that are in it.
pub fn rewrite<B: AsRef<[u8]>>(
    table: &Table<B>,
    rows: &[u8],
    runs: u32,
    out: &mut impl Write,
) -> io::Result<()> {
    let (front, _, back) = table.sections();
    let mut header = table.lengths().header(runs);
    let index = &front[HEADER..];
    let crc = checksum(&[&header[CRC_START..], index, rows, back]);
    header[CRC_START - 4..CRC_START].copy_from_slice(&crc);
    for section in [&header, index, rows, back] {
        out.write_all(section)?;
    }
    Ok(())
}

fn checksum(sections: &[&[u8]]) -> [u8; 4] {
    let mut crc = crc32fast::Hasher::new();
    for section in sections {
        crc.update(section);
    }
    crc.finalize().to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_are_kept() {
        let built = |last_runs: &[u32], capacity| {
            let mut builder = Builder::default();
            for (number, &last_run) in last_runs.iter().enumerate() {
                let entry = Entry {
                    last_run,
                    ..Entry::default()
                };
                builder.push(entry, format!("t{number}").as_bytes());
            }
            let bytes = builder.keep_latest(capacity).file(b"", 9);
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
