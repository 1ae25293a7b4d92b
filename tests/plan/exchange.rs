//! Histories as text: out of one machine, into another, merged from shards.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use proptest::prelude::*;
use rpytest::history::exchange::{Exported, Shared};
use rpytest::history::{History, LastOutcome, Sample};
use tempfile::TempDir;

/// A cache directory; the project needs no folder.
struct Machine(TempDir);

impl Machine {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn open(&self) -> History {
        let cache = self.0.path().join("cache");
        let env = |name: &str| (name == "RPYTEST_CACHE_DIR").then(|| OsString::from(&cache));
        let root = PathBuf::from("/project").join(self.0.path().file_name().unwrap());
        let (history, warning) = History::open(&root, &env);
        assert_eq!(warning, None);
        history
    }

    fn run(&self, tests: &[(&str, u64)]) {
        let mut history = self.open();
        for &(id, millis) in tests {
            history.record(
                id,
                Sample {
                    call: Duration::from_millis(millis),
                    ..Sample::default()
                },
            );
        }
        history.save(false).unwrap();
    }

    fn millis(&self, id: &str) -> Option<u128> {
        Some(self.open().estimate(id)?.as_millis())
    }
}

#[test]
fn what_goes_out_comes_in_elsewhere() {
    let (one, two) = (Machine::new(), Machine::new());
    one.run(&[("a.py::slow", 2000), ("a.py::\"odd\"[\u{e9}\\]", 3)]);
    one.run(&[("a.py::slow", 1000)]);
    let text = one.open().export().text();
    let imported = two.open().import(Exported::parse(&text).unwrap()).unwrap();
    assert_eq!(imported, Some(2));
    assert_eq!(two.open().export().text(), text);
    assert_eq!(two.millis("a.py::slow"), Some(1500));
    assert_eq!(two.open().runs(), 2);
    let known: Vec<_> = two.open().entries().map(|known| known.runs).collect();
    assert_eq!(known, [2, 1]);
}

#[test]
fn the_format_stays() {
    let machine = Machine::new();
    let mut history = machine.open();
    for outcome in [LastOutcome::Passed, LastOutcome::Failed] {
        history.record(
            "a.py::f",
            Sample {
                setup: Duration::from_micros(20),
                call: Duration::from_micros(1500),
                outcome,
                ..Sample::default()
            },
        );
    }
    history.save(true).unwrap();
    insta::assert_snapshot!(machine.open().export().text(), @r#"
    {"rpytest_history":1,"runs":1}
    {"id":"a.py::f","us":[20.0,1500.0,0.0,0.0],"runs":2,"failures":1,"last":"failed","recent":1}
    "#);
}

#[test]
fn shards_histories_become_that_of_the_whole_run() {
    let base = Machine::new();
    base.run(&[("a.py::f", 10), ("b.py::g", 20)]);
    let text = base.open().export().text();
    let shards = [Machine::new(), Machine::new()];
    for (machine, tests) in shards.iter().zip([
        [("a.py::f", 30), ("a.py::new", 1)],
        [("b.py::g", 60), ("b.py::new", 2)],
    ]) {
        machine
            .open()
            .import(Exported::parse(&text).unwrap())
            .unwrap();
        machine.run(&tests);
    }
    let exported: Vec<Exported> = shards.iter().map(|shard| shard.open().export()).collect();
    for order in [[0, 1], [1, 0]] {
        let whole = Machine::new();
        for index in order {
            whole.open().import(exported[index].clone()).unwrap();
        }
        assert_eq!(whole.open().len(), 4);
        assert_eq!(whole.millis("a.py::f"), Some(20));
        assert_eq!(whole.millis("b.py::g"), Some(40));
        assert_eq!(whole.open().runs(), 2);
    }
}

#[test]
fn what_is_no_history_is_refused_with_its_place() {
    let head = "{\"rpytest_history\":1,\"runs\":1}\n";
    let complaint = |text: &str| Exported::parse(text).unwrap_err().to_string();
    assert_eq!(
        complaint(""),
        "line 1: it does not begin as an exported history"
    );
    assert_eq!(
        complaint("<xml/>"),
        "line 1: it does not begin as an exported history"
    );
    assert_eq!(
        complaint("{\"rpytest_history\":9,\"runs\":1}"),
        "line 1: it is of format 9, not 1"
    );
    assert!(complaint(&format!("{head}{{\"id\":\"a\"")).starts_with("line 2: EOF"));
    let nonsense = "{\"id\":\"a\",\"us\":[1,-1,0,0],\"runs\":1}";
    assert_eq!(
        complaint(&format!("{head}\n{nonsense}")),
        "line 3: a duration without sense"
    );
    assert!(Exported::parse(head).unwrap().is_empty());
}

#[test]
fn a_shared_history_answers_as_the_projects_own_and_is_known_by_its_content() {
    let machine = Machine::new();
    machine.run(&[("a.py::f[1]", 10), ("a.py::f[2]", 30), ("a.py::g", 500)]);
    let text = machine.open().export().text();
    let shared = Shared::parse(&text).unwrap();
    let ids = ["a.py::g", "a.py::f[3]", "a.py::f[2]", "c.py::h"];
    assert_eq!(shared.estimates(ids), machine.open().estimates(ids));
    assert_eq!(shared.digest(), Shared::parse(&text).unwrap().digest());
    let other = text.replace("500000", "500001");
    assert_ne!(shared.digest(), Shared::parse(&other).unwrap().digest());
}

fn histories() -> impl Strategy<Value = String> {
    let line = (0u32..6, 1u32..4, 0u32..3, 0u16..4);
    prop::collection::vec(line, 0..10).prop_map(|lines| {
        let mut text = String::from("{\"rpytest_history\":1,\"runs\":1}\n");
        for (test, runs, us, recent) in lines {
            text += &format!(
                "{{\"id\":\"t{test}\",\"us\":[0,{us},0,0],\"runs\":{runs},\"recent\":{recent}}}\n"
            );
        }
        text
    })
}

/// The lines, in any order.
fn sorted(exported: &Exported) -> Vec<String> {
    let mut lines: Vec<String> = exported.text().lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

proptest! {
    #[test]
    fn merging_knows_no_order_and_no_repetition(
        a in histories(),
        b in histories(),
        c in histories(),
    ) {
        let merged = |texts: &[&String]| {
            let mut merged = Exported::default();
            for text in texts {
                merged.merge(Exported::parse(text).unwrap());
            }
            sorted(&merged)
        };
        let expected = merged(&[&a, &b, &c]);
        prop_assert_eq!(&merged(&[&c, &b, &a]), &expected);
        prop_assert_eq!(&merged(&[&b, &a, &b, &c, &a]), &expected);
    }
}
