//! A history as text, for taking it to another machine: JSON, one object a line.
//!
//! ```text
//! {"rpytest_history":1,"runs":12}
//! {"id":"test_a.py::test_1","us":[21.5,830.0,17.0,40.2],"runs":12,"failures":1,"last":"passed",…}
//! ```
//!
//! `us` are means of setup, call and teardown and the mean deviation of their sum, in microseconds;
//! `recent` are the latest outcomes as bits, the last one in bit 0, 1 for failed. Tests are in the
//! order of collection, as far as it is known. Nothing in it depends on the machine or on where the
//! project lies.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::HashMap;
use std::io;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::builder::Builder;
use super::estimates::Estimates;
use super::format::{Entry, Table};
use super::{History, LastOutcome, place};
use crate::stable_hash::hash;

/// Version of the text.
const VERSION: u32 = 1;

/// A line that is not what it should be.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("line {line}: {reason}")]
pub struct Malformed {
    /// From 1.
    pub line: usize,
    pub reason: String,
}

#[derive(Deserialize, Serialize)]
struct Head {
    rpytest_history: u32,
    runs: u32,
}

#[derive(Deserialize, Serialize)]
struct Line<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    us: [f32; 4],
    runs: u32,
    #[serde(default)]
    failures: u32,
    #[serde(default)]
    last: Cow<'a, str>,
    #[serde(default)]
    recent: u16,
}

/// A history that belongs to no machine.
#[derive(Clone, Debug, Default)]
pub struct Exported {
    runs: u32,
    tests: Vec<(String, Entry)>,
}

impl Exported {
    /// Whether a text looks like one, whatever else may be wrong with it.
    #[must_use]
    pub fn is_one(text: &str) -> bool {
        text.starts_with("{\"rpytest_history\"")
    }

    /// Reads the text.
    ///
    /// # Errors
    /// [`Malformed`]: it was written by another version, or is no history.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let at = |number: usize, reason: String| Malformed {
            line: number + 1,
            reason,
        };
        let mut lines = text.lines().enumerate();
        let head = lines.next().map_or("", |(_, line)| line);
        let head: Head = serde_json::from_str(head)
            .map_err(|_| at(0, "it does not begin as an exported history".into()))?;
        if head.rpytest_history != VERSION {
            let reason = format!("it is of format {}, not {VERSION}", head.rpytest_history);
            return Err(at(0, reason));
        }
        let mut exported = Self {
            runs: head.runs,
            tests: Vec::new(),
        };
        for (number, line) in lines.filter(|(_, line)| !line.trim().is_empty()) {
            let line: Line =
                serde_json::from_str(line).map_err(|error| at(number, error.to_string()))?;
            let [setup, call, teardown, deviation] = line.us;
            if line.us.iter().any(|&us| !us.is_finite() || us < 0.0) || line.runs == 0 {
                return Err(at(number, "a duration without sense".into()));
            }
            let entry = Entry {
                setup,
                call,
                teardown,
                deviation,
                runs: line.runs,
                failures: line.failures,
                last_outcome: LastOutcome::from_word(&line.last) as u8,
                recent: line.recent,
                ..Entry::default()
            };
            exported.tests.push((line.id.into_owned(), entry));
        }
        Ok(exported)
    }

    /// The text; the same for the same history.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = Vec::with_capacity(self.tests.len() * 160);
        let head = Head {
            rpytest_history: VERSION,
            runs: self.runs,
        };
        // Writing to memory can't fail, and neither strings nor finite numbers have no JSON.
        let _ = serde_json::to_writer(&mut text, &head);
        text.push(b'\n');
        for (id, entry) in &self.tests {
            let line = Line {
                id: Cow::Borrowed(id),
                us: [entry.setup, entry.call, entry.teardown, entry.deviation],
                runs: entry.runs,
                failures: entry.failures,
                last: LastOutcome::from_number(entry.last_outcome).as_str().into(),
                recent: entry.recent,
            };
            let _ = serde_json::to_writer(&mut text, &line);
            text.push(b'\n');
        }
        String::from_utf8(text).unwrap_or_default()
    }

    /// Adds another history: of each test what was measured more often. Histories of shards that
    /// began with the same one become that of the whole run in any order, and twice the same
    /// changes nothing.
    pub fn merge(&mut self, other: Self) {
        self.runs = self.runs.max(other.runs);
        let mut places: HashMap<String, usize> = HashMap::with_capacity(self.tests.len());
        for (place, (id, _)) in self.tests.iter().enumerate() {
            places.insert(id.clone(), place);
        }
        for (id, entry) in other.tests {
            match places.get(&id) {
                Some(&place) => {
                    let ours = &mut self.tests[place].1;
                    if precedence(ours, &entry) == Ordering::Less {
                        *ours = entry;
                    }
                }
                None => {
                    places.insert(id.clone(), self.tests.len());
                    self.tests.push((id, entry));
                }
            }
        }
    }

    /// Number of tests.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tests.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tests.is_empty()
    }

    fn builder(&self) -> Builder {
        let ids = self.tests.iter().map(|(id, _)| id.len()).sum();
        let mut builder = Builder::with_capacity(self.tests.len(), ids);
        for (id, entry) in &self.tests {
            let entry = Entry {
                last_run: self.runs,
                ..*entry
            };
            builder.push(entry, id.as_bytes());
        }
        builder
    }
}

/// Which of two entries of a test is kept: the greater one. More runs first; the rest only makes it
/// a choice that does not depend on the order.
fn precedence(left: &Entry, right: &Entry) -> Ordering {
    let key = |entry: &Entry| {
        let times = [entry.setup, entry.call, entry.teardown, entry.deviation].map(f32::to_bits);
        (
            entry.runs,
            entry.failures,
            entry.recent,
            entry.last_outcome,
            times,
        )
    };
    key(left).cmp(&key(right))
}

impl History {
    /// Everything that is known.
    #[must_use]
    pub fn export(&self) -> Exported {
        exported(self.table())
    }

    /// Merges `imported` into the file as it is by now. `None`: there is no place for a cache.
    ///
    /// # Errors
    /// When the file can't be written; it is then as it was.
    pub fn import(self, imported: Exported) -> io::Result<Option<usize>> {
        let Some(file) = self.file.clone() else {
            return Ok(None);
        };
        let lock = place::lock(&file)?;
        let root = self.root.as_os_str().as_encoded_bytes();
        let known = Table::open(&file, root).ok().and_then(Result::ok);
        let mut merged = exported(known.as_ref());
        merged.merge(imported);
        place::replace(&file, &lock, |out| {
            merged.builder().write(root, merged.runs, out)
        })?;
        Ok(Some(merged.len()))
    }
}

fn exported(table: Option<&Table>) -> Exported {
    let Some(table) = table else {
        return Exported::default();
    };
    let id = |entry: &Entry| String::from_utf8(table.id(entry).to_vec()).ok();
    Exported {
        runs: table.runs(),
        tests: table
            .entries()
            .filter_map(|entry| Some((id(&entry)?, entry)))
            .collect(),
    }
}

/// An exported history that several runs share to divide a suite between them.
#[derive(Debug)]
pub struct Shared {
    digest: String,
    estimates: Estimates<Vec<u8>>,
}

impl Shared {
    /// Reads a file's content.
    ///
    /// # Errors
    /// As [`Exported::parse`].
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let mut merged = Exported::default();
        // A test that is in it twice is one test.
        merged.merge(Exported::parse(text)?);
        let file = merged.builder().file(b"", merged.runs);
        let table = Table::check(file, b"").map_err(|_| Malformed {
            line: 1,
            reason: "it is too large".into(),
        })?;
        Ok(Self {
            digest: format!("{:016x}", hash(text.as_bytes())),
            estimates: Estimates::new(table),
        })
    }

    /// Stands for the content: equal for equal files.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// As [`History::estimates`].
    pub fn estimates<'a>(&self, ids: impl IntoIterator<Item = &'a str>) -> Vec<Option<Duration>> {
        let mut guess = 0;
        let mut estimate = |id: &'a str| {
            let row = self.estimates.table.find(id.as_bytes(), guess);
            guess = row.map_or(guess, |row| row.saturating_add(1));
            self.estimates.of(id.as_bytes(), row)
        };
        ids.into_iter().map(&mut estimate).collect()
    }
}
