//! Recorded plans: which worker ran what, in which sequence, as a file that `--replay` runs again.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::event::TestIndex;

/// Version of the format.
const VERSION: u32 = 1;
/// The version in which several processes may have been the same worker, one after the other.
const WITH_PROCESSES: u32 = 2;
/// Names shown of many.
const SHOWN: usize = 10;

/// A run's assignment, as it really was. JSON, readable, with node ids: it survives changes of
/// other tests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    version: u32,
    /// Per process its tests in the order in which it ran them: one for each worker, then those
    /// that followed in their places.
    pub workers: Vec<Vec<String>>,
    /// Per process which worker it was. Empty: the first was worker 0, the next one worker 1, and
    /// so on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub slots: Vec<u16>,
    /// What worker 0 ran after all others had ended.
    #[serde(default)]
    pub serial: Vec<String>,
}

/// What a record means for the tests that were collected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolved {
    /// Per worker: the tests of each of its processes, and those of it that run alone.
    pub parts: Vec<(Vec<Vec<TestIndex>>, Vec<TestIndex>)>,
    /// Collected tests that the record does not have.
    pub left_out: usize,
}

impl Record {
    /// `workers`: per worker the tests of each of its processes.
    #[must_use]
    pub fn new(workers: Vec<Vec<Vec<String>>>, serial: Vec<String>) -> Record {
        let mut first = Vec::with_capacity(workers.len());
        let mut later = Vec::new();
        for (slot, processes) in (0..).zip(workers) {
            let mut processes = processes.into_iter().filter(|tests| !tests.is_empty());
            first.push((slot, processes.next().unwrap_or_default()));
            later.extend(processes.map(|tests| (slot, tests)));
        }
        let is_one_each = later.is_empty();
        first.append(&mut later);
        let (slots, workers): (Vec<u16>, Vec<_>) = first.into_iter().unzip();
        Record {
            version: if is_one_each { VERSION } else { WITH_PROCESSES },
            workers,
            slots: if is_one_each { Vec::new() } else { slots },
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
        if !(VERSION..=WITH_PROCESSES).contains(&record.version) {
            return Err(failed(format!(
                "it is of version {}, not {VERSION} or {WITH_PROCESSES}",
                record.version
            )));
        }
        if record.workers.is_empty() || record.workers.len() > 65_536 {
            return Err(failed(format!("it has {} workers", record.workers.len())));
        }
        if !record.slots.is_empty() && record.slots.len() != record.workers.len() {
            return Err(failed(
                "it does not say which worker each process was".into(),
            ));
        }
        if record
            .slots
            .iter()
            .any(|&slot| usize::from(slot) >= record.workers.len())
        {
            return Err(failed("it has workers without processes".into()));
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
        let mut parts: Vec<(Vec<Vec<TestIndex>>, _)> = Vec::new();
        for (number, names) in self.workers.iter().enumerate() {
            let slot = self.slots.get(number).map_or(number, |&slot| slot.into());
            if parts.len() <= slot {
                parts.resize_with(slot + 1, Default::default);
            }
            parts[slot].0.push(find(names)?);
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
            vec![vec![names(&["a::x", "a::y"])], Vec::new()],
            names(&["a::\"z\""]),
        );
        record.write(&file).unwrap();
        assert_eq!(Record::read(&file), Ok(record));
        std::fs::write(&file, r#"{"version":3,"workers":[["a"]]}"#).unwrap();
        assert!(Record::read(&file).unwrap_err().contains("version 3"));
        std::fs::write(&file, r#"{"version":1,"workers":[]}"#).unwrap();
        assert!(Record::read(&file).unwrap_err().contains("0 workers"));
        std::fs::write(&file, "{").unwrap();
        assert!(Record::read(&file).is_err());
        assert!(Record::read(&folder.path().join("none")).is_err());
    }

    #[test]
    fn tests_are_found_by_name() {
        let record = Record::new(
            vec![vec![names(&["c", "a"])], vec![names(&["d"])]],
            names(&["b"]),
        );
        let resolved = record.resolve(&names(&["a", "b", "c", "d", "e"])).unwrap();
        assert_eq!(
            resolved.parts,
            [(vec![vec![2, 0]], vec![1]), (vec![vec![3]], Vec::new())]
        );
        assert_eq!(resolved.left_out, 1);
        let error = record.resolve(&names(&["a", "c", "d"])).unwrap_err();
        assert!(error.starts_with("`b` was not collected"), "{error}");
        let twice = Record::new(vec![vec![names(&["a"])], vec![names(&["a"])]], Vec::new());
        assert_eq!(
            twice.resolve(&names(&["a"])).unwrap_err(),
            "it has `a` twice"
        );
    }
    #[test]
    fn processes_that_follow_each_other_are_those_of_one_worker() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("plan.json");
        let first = vec![names(&["c"]), Vec::new(), names(&["a", "b"])];
        let record = Record::new(vec![first, vec![names(&["d"])]], Vec::new());
        assert_eq!(
            record.workers,
            [names(&["c"]), names(&["d"]), names(&["a", "b"])]
        );
        assert_eq!(record.slots, [0, 1, 0]);
        record.write(&file).unwrap();
        let read = Record::read(&file).unwrap();
        assert_eq!(read, record);
        let parts = read.resolve(&names(&["a", "b", "c", "d"])).unwrap().parts;
        assert_eq!(
            parts,
            [(vec![vec![2], vec![0, 1]], vec![]), (vec![vec![3]], vec![])]
        );
        std::fs::write(&file, r#"{"version":2,"workers":[["a"]],"slots":[7]}"#).unwrap();
        assert!(Record::read(&file).is_err());
    }
}
