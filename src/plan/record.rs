//! Recorded plans: which worker ran what, in which sequence, as a file that `--replay` runs again.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::event::TestIndex;

/// Version of the format.
const VERSION: u32 = 1;
/// Names shown of many.
const SHOWN: usize = 10;

/// A run's assignment, as it really was. JSON, readable, with node ids: it survives changes of other tests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    version: u32,
    /// Per worker its tests in the order in which it ran them.
    pub workers: Vec<Vec<String>>,
    /// What worker 0 ran after all others had ended.
    #[serde(default)]
    pub serial: Vec<String>,
}

/// What a record means for the tests that were collected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolved {
    /// Per worker: its tests, and those of it that run alone.
    pub parts: Vec<(Vec<TestIndex>, Vec<TestIndex>)>,
    /// Collected tests that the record does not have.
    pub left_out: usize,
}

impl Record {
    #[must_use]
    pub fn new(workers: Vec<Vec<String>>, serial: Vec<String>) -> Record {
        Record {
            version: VERSION,
            workers,
            serial,
        }
    }

    /// Reads a recorded plan; the error says what is wrong with it.
    ///
    /// # Errors
    /// A file that can't be read or is no recorded plan.
    pub fn read(file: &Path) -> Result<Record, String> {
        let failed = |why: String| format!("cannot use the plan `{}`: {why}", file.display());
        let text = std::fs::read_to_string(file).map_err(|error| failed(error.to_string()))?;
        let record: Record =
            serde_json::from_str(&text).map_err(|error| failed(error.to_string()))?;
        if record.version != VERSION {
            return Err(failed(format!(
                "it is of version {}, not {VERSION}",
                record.version
            )));
        }
        if record.workers.is_empty() || record.workers.len() > 1024 {
            return Err(failed(format!("it has {} workers", record.workers.len())));
        }
        Ok(record)
    }

    /// Writes it, by way of a temporary file: a plan that is there is whole.
    ///
    /// # Errors
    /// The operating system's.
    pub fn write(&self, file: &Path) -> std::io::Result<()> {
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        let folder = match file.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        std::fs::create_dir_all(folder)?;
        let mut name = file.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}", std::process::id()));
        let temporary = folder.join(name);
        std::fs::write(&temporary, text)?;
        std::fs::rename(&temporary, file).inspect_err(|_| {
            let _ = std::fs::remove_file(&temporary);
        })
    }

    /// Finds its tests among those that were collected.
    ///
    /// # Errors
    /// Tests that were not collected, or that it names twice: the run can't be what it was.
    pub fn resolve(&self, ids: &[String]) -> Result<Resolved, String> {
        let numbers: HashMap<&str, TestIndex> = ids.iter().map(String::as_str).zip(0..).collect();
        let mut seen = HashSet::new();
        let mut missing = Vec::new();
        let mut find = |names: &[String]| -> Result<Vec<TestIndex>, String> {
            let mut found = Vec::with_capacity(names.len());
            for name in names {
                match numbers.get(name.as_str()) {
                    Some(&number) if seen.insert(number) => found.push(number),
                    Some(_) => return Err(format!("it has `{name}` twice")),
                    None => missing.push(name.clone()),
                }
            }
            Ok(found)
        };
        let mut parts = Vec::with_capacity(self.workers.len());
        for names in &self.workers {
            parts.push((find(names)?, Vec::new()));
        }
        let serial = find(&self.serial)?;
        if let Some(first) = parts.first_mut() {
            first.1 = serial;
        }
        if !missing.is_empty() {
            return Err(not_collected(&missing));
        }
        Ok(Resolved {
            parts,
            left_out: ids.len() - seen.len(),
        })
    }
}

fn not_collected(missing: &[String]) -> String {
    let shown: Vec<String> = missing
        .iter()
        .take(SHOWN)
        .map(|name| format!("`{name}`"))
        .collect();
    let more = match missing.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let were = if missing.len() == 1 { "was" } else { "were" };
    format!(
        "{}{more} {were} not collected\n\
         hint: give the paths and options of the recorded run, in the same version of the project",
        shown.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn it_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("new/plan.json");
        let record = Record::new(
            vec![names(&["a::x", "a::y"]), Vec::new()],
            names(&["a::\"z\""]),
        );
        record.write(&file).unwrap();
        assert_eq!(Record::read(&file), Ok(record));
        std::fs::write(&file, r#"{"version":2,"workers":[["a"]]}"#).unwrap();
        assert!(Record::read(&file).unwrap_err().contains("version 2"));
        std::fs::write(&file, r#"{"version":1,"workers":[]}"#).unwrap();
        assert!(Record::read(&file).unwrap_err().contains("0 workers"));
        std::fs::write(&file, "{").unwrap();
        assert!(Record::read(&file).is_err());
        assert!(Record::read(&folder.path().join("none")).is_err());
    }

    #[test]
    fn tests_are_found_by_name() {
        let record = Record::new(vec![names(&["c", "a"]), names(&["d"])], names(&["b"]));
        let resolved = record.resolve(&names(&["a", "b", "c", "d", "e"])).unwrap();
        assert_eq!(
            resolved.parts,
            [(vec![2, 0], vec![1]), (vec![3], Vec::new())]
        );
        assert_eq!(resolved.left_out, 1);
        let error = record.resolve(&names(&["a", "c", "d"])).unwrap_err();
        assert!(error.starts_with("`b` was not collected"), "{error}");
        let twice = Record::new(vec![names(&["a"]), names(&["a"])], Vec::new());
        assert_eq!(
            twice.resolve(&names(&["a"])).unwrap_err(),
            "it has `a` twice"
        );
    }
}
