//! The arrows between modules point one way: CLI → plan → pool → shm → … → report.
//!
//! Every `use crate::…` and `crate::…` path in `src/` is looked at; a module may name only those
//! that its row allows. A new arrow is a decision: it is made here and in `CONTRIBUTING.md`, not by
//! the way. The files of a folder make no circle, either.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Module and what it may import; `main` is the binary.
const ALLOWED: &[(&str, &[&str])] = &[
    ("main", &["app", "error", "exit"]),
    (
        "app",
        &[
            "cli",
            "config",
            "cpus",
            "daemon",
            "env",
            "error",
            "event",
            "exit",
            "history",
            "interpreter",
            "plan",
            "pool",
            "report",
            "run",
            "shm",
            "test_list",
            "watch",
        ],
    ),
    (
        "run",
        &[
            "daemon",
            "decode",
            "error",
            "event",
            "exit",
            "history",
            "plan",
            "pool",
            "report",
            "shm",
            "test_list",
        ],
    ),
    ("daemon", &["env", "error", "exit"]),
    ("test_list", &["daemon"]),
    ("watch", &["error", "exit", "pool"]),
    ("plan", &["event", "stable_hash"]),
    ("history", &["env", "event", "stable_hash"]),
    ("report", &["event"]),
    ("decode", &["event"]),
    ("cli", &["error", "exit"]),
    ("config", &["error", "exit"]),
    ("interpreter", &["env", "error"]),
    ("error", &["env", "exit"]),
    ("cpus", &[]),
    ("env", &[]),
    ("event", &[]),
    ("exit", &[]),
    ("pool", &[]),
    ("process", &[]),
    ("shm", &[]),
    ("stable_hash", &[]),
];

#[test]
fn modules_import_only_what_they_may() {
    let allowed: BTreeMap<_, BTreeSet<_>> = ALLOWED
        .iter()
        .map(|(module, others)| (*module, others.iter().copied().collect()))
        .collect();
    let mut wrong = Vec::new();
    let mut seen = BTreeSet::new();
    for file in sources() {
        let module = module_of(&file);
        if module == "lib" {
            continue;
        }
        let row = allowed
            .get(module.as_str())
            .unwrap_or_else(|| panic!("`{module}` has no row in tests/architecture.rs"));
        for other in imports(&fs::read_to_string(&file).unwrap()) {
            if other != module && !row.contains(other.as_str()) {
                wrong.push(format!("{}: `{module}` imports `{other}`", file.display()));
            }
            seen.insert((module.clone(), other));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // The search finds what is there: these arrows carry the whole program.
    for (from, to) in [
        ("app", "run"),
        ("run", "pool"),
        ("run", "shm"),
        ("report", "event"),
    ] {
        assert!(
            seen.contains(&(from.into(), to.into())),
            "{from} → {to} was not found"
        );
    }
}

/// No module that runs tests is reachable from `shm` and `process`, which are all that the
/// extension is built from.
#[test]
fn arrows_make_no_circle() {
    let rows: BTreeMap<_, _> = ALLOWED.iter().copied().collect();
    for start in rows.keys() {
        let mut reached = BTreeSet::new();
        let mut open: Vec<&str> = rows[start].to_vec();
        while let Some(next) = open.pop() {
            assert_ne!(next, *start, "`{start}` imports itself in a circle");
            if reached.insert(next) {
                open.extend(rows[next]);
            }
        }
    }
}

fn sources() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![root()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                found.push(path);
            }
        }
    }
    assert!(found.len() > 50, "{} files", found.len());
    found
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The first part of the path below `src/`, without `.rs`.
fn module_of(file: &Path) -> String {
    let first = file
        .strip_prefix(root())
        .unwrap()
        .components()
        .next()
        .unwrap();
    let name = first.as_os_str().to_str().unwrap();
    name.strip_suffix(".rs").unwrap_or(name).to_owned()
}

/// First segments of all `crate::…` and `rpytest::…` paths, those in braces too.
fn imports(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let code: String = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n");
    for start in ["crate::", "rpytest::"] {
        for (at, _) in code.match_indices(start) {
            let rest = &code[at + start.len()..];
            let names: Vec<&str> = match rest.strip_prefix('{') {
                Some(list) => top_level(list),
                None => vec![rest],
            };
            for name in names {
                let word: String = name
                    .trim_start()
                    .chars()
                    .take_while(|c| c.is_ascii_lowercase() || *c == '_')
                    .collect();
                if !word.is_empty() {
                    found.insert(word);
                }
            }
        }
    }
    found
}

/// The parts of a brace list, which may have braces inside.
fn top_level(list: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut depth, mut start) = (0, 0);
    for (at, character) in list.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => {
                parts.push(&list[start..at]);
                return parts;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&list[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts
}

#[test]
fn imports_are_found() {
    let text = "use crate::{cpus, run::{self, Setup},\n daemon};\n//! crate::not\nlet x = \
        rpytest::shm::monotonic_ns();";
    let found: Vec<_> = imports(text).into_iter().collect();
    assert_eq!(found, ["cpus", "daemon", "run", "shm"]);
}

/// A folder of `src/` is a room. What one file or folder of a room imports, directly or through
/// others, never imports it again, so a room can be read from one end to the other. Methods that a
/// file adds to another one's type are not seen: only names are.
#[test]
fn files_of_a_room_make_no_circle() {
    let tree = Tree::read();
    let mut rooms: BTreeMap<Vec<String>, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
    for (file, names) in &tree.names {
        for target in names.iter().filter_map(|name| tree.file_of(name)) {
            let shared = file.iter().zip(&target).take_while(|(a, b)| a == b).count();
            // A file names its own folder's `mod.rs`, or the folder names it: that holds no code.
            if let (Some(from), Some(to)) = (file.get(shared), target.get(shared)) {
                let room = rooms.entry(file[..shared].to_vec()).or_default();
                room.entry(from.clone()).or_default().insert(to.clone());
            }
        }
    }
    let circles: Vec<String> = rooms
        .iter()
        .filter_map(|(room, arrows)| Some((room, circle(arrows)?)))
        .map(|(room, circle)| format!("{}: {}", room.join("::"), circle.join(" → ")))
        .collect();
    assert!(circles.is_empty(), "{}", circles.join("\n"));
    // The search finds what is there.
    let of = |room: &[&str]| &rooms[&room.iter().map(|&part| part.to_owned()).collect::<Vec<_>>()];
    assert!(of(&["crate", "daemon"])["client"].contains("launch"));
    assert!(of(&["crate", "shm"])["claims"].contains("segment"));
    assert!(of(&["crate", "shm", "claims"])["plan_walk"].contains("claim"));
}

/// Who opens a folder reads what is in it, and finds each thing in the file of its name.
#[test]
fn a_mod_file_holds_no_code() {
    let mut wrong = Vec::new();
    for file in sources().iter().filter(|file| file.ends_with("mod.rs")) {
        let text = fs::read_to_string(file).unwrap();
        let code = text
            .lines()
            .filter(|line| !line.trim_start().starts_with(['/', '#']))
            .collect::<Vec<_>>()
            .join("\n");
        for statement in code.split(';').map(str::trim) {
            let words: Vec<&str> = statement.split_whitespace().collect();
            let is_meant = matches!(
                words[..],
                [] | ["mod", _]
                    | ["pub" | "pub(super)", "mod", _]
                    | ["pub" | "pub(super)", "use", ..]
            );
            if !is_meant {
                wrong.push(format!("{}: {statement}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A circle of arrows, if there is any: its first name is its last one, too.
fn circle(arrows: &BTreeMap<String, BTreeSet<String>>) -> Option<Vec<String>> {
    fn search(
        arrows: &BTreeMap<String, BTreeSet<String>>,
        path: &mut Vec<String>,
        done: &mut BTreeSet<String>,
    ) -> Option<Vec<String>> {
        let last = path.last()?.clone();
        for next in arrows.get(&last).into_iter().flatten() {
            if let Some(at) = path.iter().position(|name| name == next) {
                return Some([&path[at..], std::slice::from_ref(next)].concat());
            }
            if done.contains(next) {
                continue;
            }
            path.push(next.clone());
            let found = search(arrows, path, done);
            path.pop();
            if found.is_some() {
                return found;
            }
        }
        done.insert(last);
        None
    }
    let mut done = BTreeSet::new();
    arrows
        .keys()
        .find_map(|start| search(arrows, &mut vec![start.clone()], &mut done))
}

#[test]
fn circles_are_found() {
    let arrows = |text: &str| {
        let mut arrows: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (from, to) in text.split(' ').filter_map(|arrow| arrow.split_once('>')) {
            arrows.entry(from.into()).or_default().insert(to.into());
        }
        arrows
    };
    assert_eq!(circle(&arrows("a>b b>c a>c d>a")), None);
    assert_eq!(circle(&arrows("a>b b>a")).unwrap(), ["a", "b", "a"]);
    assert_eq!(
        circle(&arrows("a>b b>c c>d d>b")).unwrap(),
        ["b", "c", "d", "b"]
    );
}

/// All modules of the crate that are files, and what they name.
struct Tree {
    /// Per file its module, with `crate` in front, and the paths that it names. `mod.rs` files name
    /// nothing: they hold no code.
    names: BTreeMap<Vec<String>, Vec<Vec<String>>>,
    modules: BTreeSet<Vec<String>>,
    /// Per module what its `mod.rs` re-exports, and the paths of that.
    exports: BTreeMap<Vec<String>, BTreeMap<String, Vec<String>>>,
}

impl Tree {
    fn read() -> Tree {
        let mut tree = Tree {
            names: BTreeMap::new(),
            modules: BTreeSet::new(),
            exports: BTreeMap::new(),
        };
        for file in sources() {
            let mut module = vec!["crate".to_owned()];
            let path = file.strip_prefix(root()).unwrap().with_extension("");
            module.extend(path.iter().map(|part| part.to_str().unwrap().to_owned()));
            let last = module.last().unwrap().as_str();
            if ["main", "lib", "tests"].contains(&last) {
                continue;
            }
            let is_folder = last == "mod";
            if is_folder {
                module.pop();
            }
            let code = without_tests(&fs::read_to_string(&file).unwrap());
            let names = paths(&code, &module);
            if is_folder {
                let exports = names
                    .into_iter()
                    .filter_map(|path| Some((path.last()?.clone(), path)))
                    .collect();
                tree.exports.insert(module.clone(), exports);
            } else {
                tree.names.insert(module.clone(), names);
            }
            tree.modules.insert(module);
        }
        tree
    }

    /// The module of the file that defines what the path names; `None` for what is not of this
    /// crate.
    fn file_of(&self, path: &[String]) -> Option<Vec<String>> {
        let mut path = path.to_vec();
        let mut at = 1;
        while at < path.len() {
            if self.modules.contains(&path[..=at]) {
                at += 1;
                continue;
            }
            let exports = self.exports.get(&path[..at]);
            match exports.and_then(|exports| exports.get(&path[at])) {
                Some(target) => {
                    path = [target, &path[at + 1..]].concat();
                    at = 1;
                }
                None => break,
            }
        }
        path.truncate(at);
        self.modules.contains(&path).then_some(path)
    }
}

/// Code without comments, and without the unit tests at its end: these may use anything of their
/// room.
fn without_tests(text: &str) -> String {
    let code: Vec<&str> = text
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default())
        .collect();
    let code = code.join("\n");
    let end = code.find("#[cfg(test)]\nmod tests").unwrap_or(code.len());
    code[..end].to_owned()
}

/// All paths that the code of a module names: those in `use`, and those that begin with `crate` or
/// `super`.
fn paths(code: &str, module: &[String]) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for statement in code.split(';') {
        let start = statement.find("use ").filter(|&at| {
            let before = statement[..at].trim_end();
            statement[..at].ends_with(['\n', ' ', ')']) || before.is_empty()
        });
        match start {
            Some(at) if !statement[at..].contains(['(', '=']) => {
                flatten(&statement[at + 4..], &mut Vec::new(), &mut found);
            }
            _ => {
                for start in ["crate::", "super::"] {
                    for (at, _) in statement.match_indices(start) {
                        let is_inside = statement[..at].ends_with("::");
                        if !is_inside {
                            flatten(word_path(&statement[at..]), &mut Vec::new(), &mut found);
                        }
                    }
                }
            }
        }
    }
    found
        .into_iter()
        .map(|path| absolute(&path, module))
        .collect()
}

/// The path at the beginning of a text.
fn word_path(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':');
    text[..end.unwrap_or(text.len())].trim_end_matches(':')
}

/// The paths of a `use` tree.
fn flatten(tree: &str, prefix: &mut Vec<String>, found: &mut Vec<Vec<String>>) {
    let tree = tree.trim();
    let depth = prefix.len();
    let (names, list) = match tree.split_once('{') {
        Some((names, list)) => (names, Some(list)),
        None => (tree, None),
    };
    for name in names.split("::").map(str::trim) {
        let name = name.split(' ').next().unwrap_or_default();
        if !name.is_empty() && name != "self" && name != "*" {
            prefix.push(name.to_owned());
        }
    }
    match list {
        Some(list) => top_level(list)
            .into_iter()
            .for_each(|part| flatten(part, prefix, found)),
        None => found.push(prefix.clone()),
    }
    prefix.truncate(depth);
}

/// A path from the crate's root on; what begins with another name may be a child of the module.
fn absolute(path: &[String], module: &[String]) -> Vec<String> {
    let ups = path.iter().take_while(|name| *name == "super").count();
    match path.first().map(String::as_str) {
        Some("crate") => path.to_vec(),
        _ => [&module[..module.len().saturating_sub(ups)], &path[ups..]].concat(),
    }
}

#[test]
fn paths_are_found() {
    let module = ["crate", "daemon", "client"].map(str::to_owned);
    let text = "use super::launch::{self, Launch};\npub use crate::{env, error::{Error, Result as \
        R}};\nfn f() -> super::Place { crate::exit::OK }";
    let found: Vec<String> = paths(text, &module)
        .iter()
        .map(|path| path.join("::"))
        .collect();
    let expected = [
        "crate::daemon::launch",
        "crate::daemon::launch::Launch",
        "crate::env",
        "crate::error::Error",
        "crate::error::Result",
        "crate::exit::OK",
        "crate::daemon::Place",
    ];
    assert_eq!(found, expected);
}
