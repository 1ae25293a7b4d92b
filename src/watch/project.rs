//! The files that a session was made from: whether they have changed, and which tests that
//! concerns.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Deserialize;

/// Inode, size, modification and change time in nanoseconds.
type Stamp = [i128; 4];

/// Two changes of a folder within this time, in nanoseconds, may have the same one: kernels take
/// the time of their last tick, and some file systems know whole seconds only.
const GRAIN: i128 = 2_500_000_000;

/// The `dependencies` message's attachment.
#[derive(Deserialize)]
struct Message {
    /// Path and stamp; an empty one: it was looked for and not there.
    files: Vec<(PathBuf, Vec<i128>)>,
    /// Path, and whether each entry means something: the project's own code has listed it.
    folders: Vec<(PathBuf, bool)>,
    /// Pairs of numbers of files: the first uses the second.
    uses: Vec<(usize, usize)>,
}

/// Everything that is watched.
#[derive(Debug, Default)]
pub struct Project {
    files: BTreeMap<PathBuf, Option<Stamp>>,
    folders: BTreeMap<PathBuf, Folder>,
    /// The files that use a file, by its path.
    users: HashMap<PathBuf, Vec<PathBuf>>,
    /// Suffixes of files that are read; files with others come and go.
    suffixes: HashSet<String>,
}

#[derive(Debug, Default)]
struct Folder {
    every_entry: bool,
    /// When its entries were changed last, as far as that was looked at.
    changed: Option<i128>,
    /// The folder was changed so shortly before it was listed that the next change may leave the
    /// same time.
    is_fresh: bool,
    entries: BTreeSet<String>,
}

impl Project {
    /// Number of files that are there.
    pub fn len(&self) -> usize {
        self.files.values().flatten().count()
    }

    /// Takes what a session has said. With `is_whole` that is everything; otherwise collection has
    /// failed, and what was known before stays.
    pub fn learn(&mut self, json: &[u8], is_whole: bool) -> serde_json::Result<()> {
        let message: Message = serde_json::from_slice(json)?;
        let mut before = std::mem::take(self);
        if !is_whole {
            self.files = std::mem::take(&mut before.files);
            self.users = std::mem::take(&mut before.users);
        }
        for (user, used) in &message.uses {
            if let (Some((user, _)), Some((used, _))) =
                (message.files.get(*user), message.files.get(*used))
            {
                let users = self.users.entry(used.clone()).or_default();
                if !users.contains(user) {
                    users.push(user.clone());
                }
            }
        }
        for (path, stamp) in message.files {
            self.files.insert(path, <Stamp>::try_from(stamp).ok());
        }
        self.suffixes = self
            .files
            .iter()
            .filter(|(_, stamp)| stamp.is_some())
            .filter_map(|(path, _)| Some(path.extension()?.to_str()?.to_owned()))
            .chain(["py".to_owned()])
            .collect();
        for (path, every_entry) in message.folders {
            // Listed before the run: what has come since was not collected.
            let known = before.folders.remove(&path);
            let mut folder = known.unwrap_or_else(|| self.listed(&path, every_entry));
            folder.every_entry = every_entry;
            self.folders.insert(path, folder);
        }
        if !is_whole {
            self.folders.append(&mut before.folders);
        }
        Ok(())
    }

    /// What has changed since this was asked last: files, and new or removed entries of folders.
    pub fn changes(&mut self) -> BTreeSet<PathBuf> {
        let mut changed = BTreeSet::new();
        for (path, known) in &mut self.files {
            let now = stamp(path);
            if now != *known {
                *known = now;
                changed.insert(path.clone());
            }
        }
        let mut moved = Vec::new();
        for (path, folder) in &self.folders {
            if folder.is_fresh || mtime(path) != folder.changed {
                let now = self.listed(path, folder.every_entry);
                let differ = now.entries.symmetric_difference(&folder.entries);
                changed.extend(differ.map(|name| path.join(name)));
                moved.push((path.clone(), now));
            }
        }
        self.folders.extend(moved);
        changed
    }

    /// Files that use one of these, directly or not, and these themselves.
    pub fn affected(&self, changed: &BTreeSet<PathBuf>) -> HashSet<PathBuf> {
        let mut found: HashSet<PathBuf> = changed.iter().cloned().collect();
        let mut open: Vec<&Path> = changed.iter().map(PathBuf::as_path).collect();
        while let Some(next) = open.pop() {
            for user in self.users.get(next).into_iter().flatten() {
                if found.insert(user.clone()) {
                    open.push(user);
                }
            }
        }
        found
    }

    fn listed(&self, path: &Path, every_entry: bool) -> Folder {
        // First the time: an entry that comes in between is found the next time.
        let changed = mtime(path);
        let is_fresh = changed.is_some_and(|changed| now() - changed < GRAIN);
        let entries = fs::read_dir(path).into_iter().flatten().flatten();
        let entries = entries
            .filter_map(|entry| {
                let name = entry.file_name().into_string().ok()?;
                let is_meant = !is_noise(&name)
                    && (every_entry
                        || self.has_known_suffix(&name)
                        || entry.file_type().is_ok_and(|kind| !kind.is_file()));
                is_meant.then_some(name)
            })
            .collect();
        Folder {
            every_entry,
            changed,
            is_fresh,
            entries,
        }
    }

    fn has_known_suffix(&self, name: &str) -> bool {
        let suffix = Path::new(name).extension().and_then(|text| text.to_str());
        suffix.is_some_and(|suffix| self.suffixes.contains(suffix))
    }
}

/// Names that come and go while somebody edits, runs or looks.
fn is_noise(name: &str) -> bool {
    name.starts_with('.')
        || name.starts_with('#')
        || name.ends_with('~')
        || name == "__pycache__"
        || name == "4913"
        // pytest's cache in the making.
        || name.starts_with("pytest-cache-files-")
}

fn stamp(path: &Path) -> Option<Stamp> {
    let found = fs::metadata(path).ok()?;
    let nanoseconds = |seconds, rest| i128::from(seconds) * 1_000_000_000 + i128::from(rest);
    Some([
        found.ino().into(),
        found.size().into(),
        nanoseconds(found.mtime(), found.mtime_nsec()),
        nanoseconds(found.ctime(), found.ctime_nsec()),
    ])
}

/// The time as in a [`Stamp`].
fn now() -> i128 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| {
            i128::try_from(since.as_nanos()).unwrap_or(i128::MAX)
        })
}

fn mtime(path: &Path) -> Option<i128> {
    stamp(path).map(|stamp| stamp[2])
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Tree(tempfile::TempDir);

    impl Tree {
        fn new(names: &[&str]) -> Self {
            let tree = Self(tempfile::tempdir().unwrap());
            for name in names {
                tree.write(name, "1");
            }
            tree
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn write(&self, name: &str, text: &str) {
            fs::write(self.path(name), text).unwrap();
        }

        /// A message as Python writes it.
        fn message(&self, files: &[&str], every_entry: bool, uses: &[(usize, usize)]) -> Vec<u8> {
            let files: Vec<_> = files
                .iter()
                .map(|name| {
                    let path = self.path(name);
                    let stamp = stamp(&path).map_or(vec![], |stamp| stamp.to_vec());
                    let stamp: Vec<_> = stamp.iter().map(|&part| part as i64).collect();
                    serde_json::json!([path, stamp])
                })
                .collect();
            let folders = [(self.path(""), every_entry)];
            serde_json::to_vec(&serde_json::json!({
                "files": files,
                "folders": folders,
                "uses": uses,
            }))
            .unwrap()
        }

        fn changes(&self, project: &mut Project) -> Vec<String> {
            let name = |path: PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
            project.changes().into_iter().map(name).collect()
        }
    }

    #[test]
    fn edits_deletions_and_new_files_are_changes_once() {
        let tree = Tree::new(&["test_a.py", "helper.py", "notes.txt"]);
        let mut project = Project::default();
        let files = ["test_a.py", "helper.py", "conftest.py"];
        project
            .learn(&tree.message(&files, false, &[]), true)
            .unwrap();
        assert_eq!(project.len(), 2);
        assert!(tree.changes(&mut project).is_empty());
        tree.write("helper.py", "22");
        assert_eq!(tree.changes(&mut project), ["helper.py"]);
        assert!(tree.changes(&mut project).is_empty());
        tree.write("conftest.py", "");
        assert_eq!(tree.changes(&mut project), ["conftest.py"]);
        fs::remove_file(tree.path("test_a.py")).unwrap();
        tree.write("test_b.py", "");
        assert_eq!(tree.changes(&mut project), ["test_a.py", "test_b.py"]);
        // Nothing that anybody reads.
        for name in ["output.log", ".hidden.py", "test_a.py~", "notes.txt"] {
            tree.write(name, "new");
        }
        fs::create_dir(tree.path("pytest-cache-files-x1")).unwrap();
        assert!(tree.changes(&mut project).is_empty());
        fs::create_dir(tree.path("sub")).unwrap();
        assert_eq!(tree.changes(&mut project), ["sub"]);
    }

    #[test]
    fn a_file_that_comes_in_the_moment_of_a_look_is_found_later() {
        let tree = Tree::new(&["test_a.py"]);
        let folder = fs::File::open(tree.path("")).unwrap();
        // The moment is not past, however long this takes.
        let moment = SystemTime::now() + std::time::Duration::from_secs(3600);
        folder.set_modified(moment).unwrap();
        let mut project = Project::default();
        project
            .learn(&tree.message(&["test_a.py"], false, &[]), true)
            .unwrap();
        tree.write("test_b.py", "");
        // Kernels that know ticks only leave the same time, too.
        folder.set_modified(moment).unwrap();
        assert_eq!(tree.changes(&mut project), ["test_b.py"]);
    }

    #[test]
    fn what_changed_before_it_was_told_is_a_change() {
        let tree = Tree::new(&["test_a.py"]);
        let message = tree.message(&["test_a.py"], false, &[]);
        tree.write("test_a.py", "edited meanwhile");
        let mut project = Project::default();
        project.learn(&message, true).unwrap();
        assert_eq!(tree.changes(&mut project), ["test_a.py"]);
        // A new file during a run, in a folder that is known from the one before.
        tree.write("test_b.py", "");
        let message = tree.message(&["test_a.py"], false, &[]);
        project.learn(&message, true).unwrap();
        assert_eq!(tree.changes(&mut project), ["test_b.py"]);
    }

    #[test]
    fn every_entry_of_a_folder_that_the_project_lists_counts() {
        let tree = Tree::new(&["test_a.py"]);
        let mut project = Project::default();
        project
            .learn(&tree.message(&["test_a.py"], true, &[]), true)
            .unwrap();
        tree.write("case.data", "");
        assert_eq!(tree.changes(&mut project), ["case.data"]);
    }

    #[test]
    fn a_failed_collection_forgets_nothing() {
        let tree = Tree::new(&["test_a.py", "helper.py"]);
        let mut project = Project::default();
        let uses = [(0, 1)];
        project
            .learn(
                &tree.message(&["test_a.py", "helper.py"], false, &uses),
                true,
            )
            .unwrap();
        project
            .learn(&tree.message(&["test_a.py"], false, &[]), false)
            .unwrap();
        tree.write("helper.py", "mended");
        assert_eq!(tree.changes(&mut project), ["helper.py"]);
        let helper = BTreeSet::from([tree.path("helper.py")]);
        assert!(project.affected(&helper).contains(&tree.path("test_a.py")));
    }

    #[test]
    fn users_of_users_are_affected() {
        let tree = Tree::new(&["test_a.py", "middle.py", "low.py", "test_b.py"]);
        let mut project = Project::default();
        let files = ["test_a.py", "middle.py", "low.py", "test_b.py"];
        // With a circle.
        let uses = [(0, 1), (1, 2), (2, 1), (3, 3)];
        project
            .learn(&tree.message(&files, false, &uses), true)
            .unwrap();
        let affected = project.affected(&BTreeSet::from([tree.path("low.py")]));
        let expected = ["low.py", "middle.py", "test_a.py"].map(|name| tree.path(name));
        assert_eq!(affected, HashSet::from(expected));
    }

    #[test]
    fn nonsense_is_an_error() {
        assert!(Project::default().learn(b"[]", true).is_err());
    }
}
