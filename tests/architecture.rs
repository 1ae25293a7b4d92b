//! The arrows between modules point one way: CLI → plan → pool → shm → … → report.
//!
//! Every `use crate::…` and `crate::…` path in `src/` is looked at; a module may name only those that its row allows. A new arrow is
//! a decision: it is made here and in `CONTRIBUTING.md`, not by the way.

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

/// No module that runs tests is reachable from `shm` and `process`, which are all that the extension is built from.
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
    let text = "use crate::{cpus, run::{self, Setup},\n daemon};\n//! crate::not\nlet x = rpytest::shm::monotonic_ns();";
    let found: Vec<_> = imports(text).into_iter().collect();
    assert_eq!(found, ["cpus", "daemon", "run", "shm"]);
}
