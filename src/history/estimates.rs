//! What a file says about how long a test will take, also when the test itself is not in it.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::time::Duration;

use super::format::{Content, Entry, Table};
use crate::stable_hash::hash;

/// A file that is asked for durations.
#[derive(Debug)]
pub struct Estimates<B = Content> {
    pub table: Table<B>,
    /// Made when first needed: usually every test is known.
    relatives: OnceCell<Relatives>,
}

/// Means of the known tests of a function, by the hash of its id.
#[derive(Debug, Default)]
struct Relatives {
    /// By the id without parameters: `a.py::C::f`.
    functions: HashMap<u64, Mean>,
    /// By the names alone: `C::f`.
    names: HashMap<u64, Mean>,
}

/// Sum and number.
#[derive(Clone, Copy, Debug, Default)]
struct Mean(f64, u32);

impl Mean {
    fn add(&mut self, other: Mean) {
        self.0 += other.0;
        self.1 += other.1;
    }

    fn duration(self) -> Duration {
        duration((self.0 / f64::from(self.1)) as f32)
    }
}

impl<B: AsRef<[u8]>> Estimates<B> {
    pub fn new(table: Table<B>) -> Self {
        Self {
            table,
            relatives: OnceCell::new(),
        }
    }

    /// The test's own mean if it is in `row`; else the mean of the known tests of its function
    /// (other parameters), of functions of this name and class in other modules (it was moved), or
    /// `None`.
    pub fn of(&self, id: &[u8], row: Option<u32>) -> Option<Duration> {
        if let Some(entry) = row.and_then(|row| self.table.entry(row)) {
            return Some(duration(entry.total()));
        }
        if self.table.len() == 0 {
            return None;
        }
        let relatives = self.relatives.get_or_init(|| relatives(&self.table));
        let function = function(id);
        let found = relatives.functions.get(&hash(function));
        let mean = found.or_else(|| relatives.names.get(&hash(names(function)?)));
        mean.map(|mean| mean.duration())
    }
}

fn relatives<B: AsRef<[u8]>>(table: &Table<B>) -> Relatives {
    let mut relatives = Relatives::default();
    let entries: Vec<Entry> = table.entries().collect();
    // Tests of one function are neighbours, as a rule.
    let key = |entry: &Entry| function(table.id(entry));
    for tests in entries.chunk_by(|left, right| key(left) == key(right)) {
        let total = tests.iter().map(|entry| f64::from(entry.total())).sum();
        let mean = Mean(total, tests.len() as u32);
        let function = key(&tests[0]);
        let entry = relatives.functions.entry(hash(function));
        entry.or_default().add(mean);
        if let Some(names) = names(function) {
            relatives.names.entry(hash(names)).or_default().add(mean);
        }
    }
    relatives
}

/// From microseconds; nonsense counts as nothing.
pub fn duration(micros: f32) -> Duration {
    Duration::try_from_secs_f64(f64::from(micros) / 1e6).unwrap_or_default()
}

fn separator(id: &[u8]) -> Option<usize> {
    id.windows(2).position(|pair| pair == b"::")
}

/// The id without its parameters: `a.py::f[1-x]` → `a.py::f`. Brackets in the file's path are not
/// parameters.
fn function(id: &[u8]) -> &[u8] {
    let names = separator(id).unwrap_or(0);
    match id[names..].iter().position(|&byte| byte == b'[') {
        Some(bracket) => &id[..names + bracket],
        None => id,
    }
}

/// What stands behind the file: `a.py::C::f` → `C::f`.
fn names(function: &[u8]) -> Option<&[u8]> {
    Some(&function[separator(function)? + 2..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_what_stands_in_brackets_after_the_file() {
        for (id, expected) in [
            ("a.py::f[1-x]", "a.py::f"),
            ("a.py::C::f[a::b[c]]", "a.py::C::f"),
            ("[odd]/a.py::f[1]", "[odd]/a.py::f"),
            ("[odd]/a.py::f", "[odd]/a.py::f"),
            ("a.py::f", "a.py::f"),
            ("", ""),
        ] {
            assert_eq!(function(id.as_bytes()), expected.as_bytes());
        }
        assert_eq!(names(b"d/a.py::C::f"), Some(&b"C::f"[..]));
        assert_eq!(names(b"doc.txt"), None);
    }
}
