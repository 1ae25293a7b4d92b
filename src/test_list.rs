//! The tests of a run, as the session tells them: the `collected` message's attachment.

use std::borrow::Cow;
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;

use crate::daemon::wire::{WireError, parse_json};

/// Node ids and what is next to what. All lists have one entry per test, in pytest's order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct TestList {
    pub ids: Vec<String>,
    /// Equal in neighbours of the same module.
    #[serde(default)]
    pub modules: Vec<u32>,
    /// Equal in neighbours of the same class.
    #[serde(default)]
    pub classes: Vec<u32>,
    /// Per test 0, or the number of the group that must stay in one worker. Empty: there are no
    /// groups.
    #[serde(default)]
    pub groups: Vec<u32>,
    /// Tests that run when nothing else runs.
    #[serde(default)]
    pub serial: Vec<u32>,
    /// Where ids are shown from, and what they are relative to, when these are not the same.
    #[serde(skip)]
    pub seen_from: Option<(PathBuf, PathBuf)>,
}

impl TestList {
    /// Reads the attachment; `tests` is the number that the message announced.
    ///
    /// # Errors
    /// When the text is not the JSON of a test list, or the lists differ in length.
    pub fn parse(json: &[u8], tests: u32) -> Result<Self, WireError> {
        let mut test_list: Self = parse_json(json)?;
        let count = test_list.ids.len();
        if count != tests as usize {
            return Err(WireError::Malformed(format!(
                "{tests} tests were announced, the inventory has {count}"
            )));
        }
        for (name, list) in [
            ("modules", &mut test_list.modules),
            ("classes", &mut test_list.classes),
        ] {
            if list.is_empty() {
                list.resize(count, 0);
            } else if list.len() != count {
                return Err(WireError::Malformed(format!(
                    "the inventory has {count} ids and {} {name}",
                    list.len()
                )));
            }
        }
        if !test_list.groups.is_empty() && test_list.groups.len() != count {
            return Err(WireError::Malformed(format!(
                "the inventory has {count} ids and {} groups",
                test_list.groups.len()
            )));
        }
        if let Some(test) = test_list.serial.iter().find(|&&test| test >= tests) {
            return Err(WireError::Malformed(format!(
                "the inventory has {count} ids and no test {test}"
            )));
        }
        Ok(test_list)
    }

    /// Number of tests.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Node id of a test; empty for one that does not exist.
    #[must_use]
    pub fn id(&self, test: u32) -> &str {
        self.ids.get(test as usize).map_or("", String::as_str)
    }

    /// From now on ids are shown as someone in `folder` would type them: node ids are relative to
    /// pytest's `root`.
    pub fn see_from(&mut self, folder: &Path, root: &Path) {
        self.seen_from = (folder != root).then(|| (folder.to_owned(), root.to_owned()));
    }

    /// A test as pytest shows it (`Config.cwd_relative_nodeid`).
    #[must_use]
    pub fn shown(&self, test: u32) -> Cow<'_, str> {
        let id = self.id(test);
        let Some((folder, root)) = &self.seen_from else {
            return Cow::Borrowed(id);
        };
        let (file, rest) = id.split_at(id.find("::").unwrap_or(id.len()));
        let path = relative(folder, &root.join(file));
        Cow::Owned(format!("{}{rest}", path.display()))
    }
}

/// The shortest way from a folder to a path, both absolute.
fn relative(folder: &Path, path: &Path) -> PathBuf {
    let common = folder
        .components()
        .zip(path.components())
        .take_while(|(one, other)| one == other)
        .count();
    let up = folder
        .components()
        .skip(common)
        .map(|_| Component::ParentDir);
    let way: PathBuf = up.chain(path.components().skip(common)).collect();
    if way.as_os_str().is_empty() {
        PathBuf::from(".")
    } else {
        way
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_belong_together() {
        let json = br#"{"ids":["a::x","a::y"],"modules":[0,0],"classes":[0,1],"more":[]}"#;
        let test_list = TestList::parse(json, 2).unwrap();
        assert_eq!(test_list.id(1), "a::y");
        assert_eq!(test_list.id(2), "");
        assert_eq!(test_list.classes, [0, 1]);
        assert!(TestList::parse(json, 3).is_err());
        assert!(TestList::parse(br#"{"ids":["a","b"],"modules":[1]}"#, 2).is_err());
        assert!(TestList::parse(b"[]", 0).is_err());
        assert!(TestList::parse(br#"{"ids":["a","b"],"groups":[1]}"#, 2).is_err());
        assert!(TestList::parse(br#"{"ids":["a","b"],"serial":[2]}"#, 2).is_err());
        let bare = TestList::parse(br#"{"ids":["a","b"]}"#, 2).unwrap();
        assert_eq!(bare.modules, [0, 0]);
    }

    #[test]
    fn ids_are_shown_from_where_the_user_is() {
        let mut test_list =
            TestList::parse(br#"{"ids":["sub/a.py::x[a::b/c]","b.py::C::y"]}"#, 2).unwrap();
        let mut shown = |folder: &str, root: &str| {
            test_list.see_from(Path::new(folder), Path::new(root));
            [
                test_list.shown(0).into_owned(),
                test_list.shown(1).into_owned(),
            ]
        };
        assert_eq!(shown("/r", "/r"), ["sub/a.py::x[a::b/c]", "b.py::C::y"]);
        assert_eq!(shown("/r/sub", "/r"), ["a.py::x[a::b/c]", "../b.py::C::y"]);
        assert_eq!(
            shown("/r/other/deep", "/r"),
            ["../../sub/a.py::x[a::b/c]", "../../b.py::C::y"]
        );
        assert_eq!(shown("/", "/r"), ["r/sub/a.py::x[a::b/c]", "r/b.py::C::y"]);
        assert_eq!(test_list.id(0), "sub/a.py::x[a::b/c]");
    }
}
