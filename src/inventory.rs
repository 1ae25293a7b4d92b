//! The tests of a run, as the session tells them: the `collected` message's attachment.

use std::borrow::Cow;
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;

use crate::daemon::wire::{WireError, parse_json};

/// Node ids and what is next to what. All lists have one entry per test, in pytest's order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Inventory {
    pub ids: Vec<String>,
    /// Equal in neighbours of the same module.
    #[serde(default)]
    pub modules: Vec<u32>,
    /// Equal in neighbours of the same class.
    #[serde(default)]
    pub classes: Vec<u32>,
    /// Per test 0, or the number of the group that must stay in one worker. Empty: there are no groups.
    #[serde(default)]
    pub groups: Vec<u32>,
    /// Tests that run when nothing else runs.
    #[serde(default)]
    pub serial: Vec<u32>,
    /// Where ids are shown from, and what they are relative to, when these are not the same.
    #[serde(skip)]
    pub seen_from: Option<(PathBuf, PathBuf)>,
}

impl Inventory {
    /// Reads the attachment; `tests` is the number that the message announced.
    ///
    /// # Errors
    /// When the text is no inventory or the lists differ in length.
    pub fn parse(json: &[u8], tests: u32) -> Result<Self, WireError> {
        let mut inventory: Self = parse_json(json)?;
        let count = inventory.ids.len();
        if count != tests as usize {
            return Err(WireError::Malformed(format!(
                "{tests} tests were announced, the inventory has {count}"
            )));
        }
        for (name, list) in [
            ("modules", &mut inventory.modules),
            ("classes", &mut inventory.classes),
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
        if !inventory.groups.is_empty() && inventory.groups.len() != count {
            return Err(WireError::Malformed(format!(
                "the inventory has {count} ids and {} groups",
                inventory.groups.len()
            )));
        }
        if let Some(test) = inventory.serial.iter().find(|&&test| test >= tests) {
            return Err(WireError::Malformed(format!(
                "the inventory has {count} ids and no test {test}"
            )));
        }
        Ok(inventory)
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

    /// From now on ids are shown as someone in `folder` would type them: node ids are relative to pytest's `root`.
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
        let inventory = Inventory::parse(json, 2).unwrap();
        assert_eq!(inventory.id(1), "a::y");
        assert_eq!(inventory.id(2), "");
        assert_eq!(inventory.classes, [0, 1]);
        assert!(Inventory::parse(json, 3).is_err());
        assert!(Inventory::parse(br#"{"ids":["a","b"],"modules":[1]}"#, 2).is_err());
        assert!(Inventory::parse(b"[]", 0).is_err());
        assert!(Inventory::parse(br#"{"ids":["a","b"],"groups":[1]}"#, 2).is_err());
        assert!(Inventory::parse(br#"{"ids":["a","b"],"serial":[2]}"#, 2).is_err());
        let bare = Inventory::parse(br#"{"ids":["a","b"]}"#, 2).unwrap();
        assert_eq!(bare.modules, [0, 0]);
    }

    #[test]
    fn ids_are_shown_from_where_the_user_is() {
        let mut inventory =
            Inventory::parse(br#"{"ids":["sub/a.py::x[a::b/c]","b.py::C::y"]}"#, 2).unwrap();
        let mut shown = |folder: &str, root: &str| {
            inventory.see_from(Path::new(folder), Path::new(root));
            [
                inventory.shown(0).into_owned(),
                inventory.shown(1).into_owned(),
            ]
        };
        assert_eq!(shown("/r", "/r"), ["sub/a.py::x[a::b/c]", "b.py::C::y"]);
        assert_eq!(shown("/r/sub", "/r"), ["a.py::x[a::b/c]", "../b.py::C::y"]);
        assert_eq!(
            shown("/r/other/deep", "/r"),
            ["../../sub/a.py::x[a::b/c]", "../../b.py::C::y"]
        );
        assert_eq!(shown("/", "/r"), ["r/sub/a.py::x[a::b/c]", "r/b.py::C::y"]);
        assert_eq!(inventory.id(0), "sub/a.py::x[a::b/c]");
    }
}
