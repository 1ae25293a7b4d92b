//! The duration history as a run uses it: open, estimate, record, save.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rpytest::app::history_status::HistoryStatus;
use rpytest::history::{History, LastOutcome, Sample, Warning};
use tempfile::TempDir;

/// A project and a cache directory of its own.
struct Project {
    folder: TempDir,
}

impl Project {
    fn new() -> Project {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("root")).unwrap();
        Project { folder }
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    fn env(&self) -> impl Fn(&str) -> Option<OsString> {
        let cache = self.folder.path().join("cache");
        move |name| (name == "RPYTEST_CACHE_DIR").then(|| cache.clone().into())
    }

    fn open_with_warning(&self) -> (History, Option<Warning>) {
        History::open(&self.root(), &self.env())
    }

    fn open(&self) -> History {
        let (history, warning) = self.open_with_warning();
        assert_eq!(warning, None);
        history
    }

    /// A run with these tests, each of which took so many milliseconds.
    fn run(&self, tests: &[(&str, u64)], whole_suite: bool) {
        let mut history = self.open();
        for &(nodeid, millis) in tests {
            history.record(nodeid, took(millis));
        }
        history.save(whole_suite).unwrap();
    }

    fn millis(&self, nodeid: &str) -> Option<u128> {
        self.open()
            .estimate(nodeid)
            .map(|duration| duration.as_millis())
    }

    fn file(&self) -> PathBuf {
        self.open_with_warning().0.file().unwrap().to_owned()
    }
}

fn took(millis: u64) -> Sample {
    Sample {
        call: Duration::from_millis(millis),
        ..Sample::default()
    }
}

#[test]
fn what_was_recorded_is_known_in_the_next_run() {
    let project = Project::new();
    assert!(project.open().is_empty());
    let mut history = project.open();
    history.record(
        "tests/test_a.py::test_\u{e9}",
        Sample {
            setup: Duration::from_millis(1),
            call: Duration::from_millis(2),
            teardown: Duration::from_millis(4),
            outcome: LastOutcome::Failed,
            rerun: false,
        },
    );
    history.save(true).unwrap();

    let history = project.open();
    assert_eq!((history.len(), history.runs()), (1, 1));
    assert_eq!(
        history.estimate("tests/test_a.py::test_\u{e9}"),
        Some(Duration::from_millis(7))
    );
    let known: Vec<_> = history.entries().collect();
    assert_eq!(known.len(), 1);
    assert_eq!(known[0].nodeid, "tests/test_a.py::test_\u{e9}");
    assert_eq!(known[0].setup, Duration::from_millis(1));
    assert_eq!(known[0].call, Duration::from_millis(2));
    assert_eq!(known[0].teardown, Duration::from_millis(4));
    assert_eq!(
        (known[0].runs, known[0].failures, known[0].last_run),
        (1, 1, 1)
    );
    assert_eq!(known[0].last_outcome, LastOutcome::Failed);
}

#[test]
fn a_run_of_some_tests_leaves_the_others_alone() {
    let project = Project::new();
    project.run(&[("a::1", 10), ("a::2", 20)], true);
    project.run(&[("a::2", 40), ("a::3", 30)], false);
    assert_eq!(project.millis("a::1"), Some(10));
    assert_eq!(project.millis("a::2"), Some(30));
    assert_eq!(project.millis("a::3"), Some(30));
}

#[test]
fn other_parameters_of_a_function_are_a_guide() {
    let project = Project::new();
    project.run(
        &[("a.py::f[1]", 10), ("a.py::f[2]", 30), ("a.py::g", 500)],
        true,
    );
    assert_eq!(project.millis("a.py::f[3]"), Some(20));
    assert_eq!(project.millis("a.py::f"), Some(20));
    assert_eq!(project.millis("a.py::g[new]"), Some(500));
    assert_eq!(project.millis("a.py::h[1]"), None);
    // Moved or renamed with its module.
    assert_eq!(project.millis("b.py::f[1]"), Some(20));
    assert_eq!(project.millis("b.py::h"), None);
}

#[test]
fn projects_have_histories_of_their_own() {
    let project = Project::new();
    project.run(&[("a::1", 10)], true);
    let other = project.folder.path().join("other/root");
    fs::create_dir_all(&other).unwrap();
    let (history, warning) = History::open(&other, &project.env());
    assert!(warning.is_none());
    assert!(history.is_empty());
    // The same project by way of a link is the same project.
    let link = project.folder.path().join("link");
    std::os::unix::fs::symlink(project.root(), &link).unwrap();
    assert_eq!(History::open(&link, &project.env()).0.len(), 1);
}

#[test]
fn the_root_is_found_from_below() {
    let project = Project::new();
    let below = project.root().join("tests/unit");
    fs::create_dir_all(&below).unwrap();
    assert_eq!(History::nearest_root(&below, &project.env()), None);
    project.run(&[("a::1", 10)], true);
    assert_eq!(
        History::nearest_root(&below, &project.env()),
        Some(project.root().canonicalize().unwrap())
    );
}

#[test]
fn two_runs_at_once_lose_nothing() {
    let project = Project::new();
    project.run(&[("shared", 10)], true);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let project = &project;
            scope.spawn(move || {
                for round in 0..10 {
                    project.run(
                        &[(&format!("t{thread}::{round}"), 5), ("shared", 10)],
                        false,
                    );
                }
            });
        }
    });
    let history = project.open();
    assert_eq!((history.len(), history.runs()), (41, 41));
    let shared = history
        .entries()
        .find(|known| known.nodeid == "shared")
        .unwrap();
    assert_eq!(shared.runs, 41);
}

#[test]
fn tests_that_vanished_are_forgotten_after_many_runs_of_the_whole_suite() {
    let project = Project::new();
    project.run(&[("gone", 10), ("stays", 10)], true);
    for _ in 0..30 {
        project.run(&[("stays", 10)], false);
    }
    assert_eq!(
        project.open().len(),
        2,
        "partial runs say nothing about the others"
    );
    for _ in 0..19 {
        project.run(&[("stays", 10)], true);
    }
    assert_eq!(project.open().len(), 2);
    project.run(&[("stays", 10)], true);
    assert_eq!(project.millis("gone"), None);
    assert_eq!(project.millis("stays"), Some(10));
}

#[test]
fn a_test_that_comes_back_in_time_stays() {
    let project = Project::new();
    project.run(&[("now and then", 10), ("stays", 10)], true);
    for _ in 0..3 {
        for _ in 0..19 {
            project.run(&[("stays", 10)], true);
        }
        project.run(&[("now and then", 10), ("stays", 10)], true);
    }
    assert_eq!(project.open().len(), 2);
}

/// Makes the file unusable by `damage`, and expects a warning with `reason`, no estimates and a
/// fresh start.
fn unusable(damage: impl FnOnce(&mut Vec<u8>), reason: &str) {
    let project = Project::new();
    project.run(&[("a::1", 10)], true);
    let file = project.file();
    let mut bytes = fs::read(&file).unwrap();
    damage(&mut bytes);
    fs::write(&file, bytes).unwrap();

    let (mut history, warning) = project.open_with_warning();
    assert_eq!(
        warning.unwrap().to_string(),
        format!(
            "the duration history `{}` is not used: {reason}",
            file.display()
        )
    );
    assert_eq!(history.estimate("a::1"), None);
    history.record("a::2", took(20));
    history.save(false).unwrap();
    assert_eq!(project.millis("a::2"), Some(20));
    assert_eq!(project.millis("a::1"), None);
}

#[test]
fn an_unusable_file_is_named_and_replaced() {
    unusable(
        |bytes| bytes.truncate(100),
        "the file is damaged (its length is wrong)",
    );
    unusable(Vec::clear, "the file is damaged (too short)");
    unusable(
        |bytes| bytes[70] ^= 1,
        "the file is damaged (its checksum is wrong)",
    );
    unusable(
        |bytes| bytes[0] = 0,
        "the file is damaged (not a duration history)",
    );
    unusable(
        |bytes| bytes[8] = 99,
        "it was written by another version of rpytest (format 99)",
    );
}

#[test]
fn a_history_of_another_project_under_this_name_is_not_used() {
    let (project, other) = (Project::new(), Project::new());
    other.run(&[("a::1", 10)], true);
    fs::create_dir_all(project.file().parent().unwrap()).unwrap();
    fs::copy(other.file(), project.file()).unwrap();
    let (history, warning) = project.open_with_warning();
    assert_eq!(warning.unwrap().reason, "it belongs to another project");
    assert!(history.is_empty());
}

#[test]
fn without_a_place_for_a_cache_there_is_just_no_history() {
    let project = Project::new();
    let file = project.folder.path().join("file");
    fs::write(&file, "").unwrap();
    let places: [Option<PathBuf>; 4] = [
        None,
        Some(file),
        Some("/dev/null/cache".into()),
        Some("/proc/no/such".into()),
    ];
    for place in places {
        let env = |name: &str| {
            place
                .clone()
                .filter(|_| name == "RPYTEST_CACHE_DIR")
                .map(OsString::from)
        };
        let (mut history, warning) = History::open(&project.root(), &env);
        assert_eq!(warning, None);
        assert_eq!(history.estimate("a::1"), None);
        history.record("a::1", took(10));
        history.save(true).unwrap();
    }
}

#[test]
fn a_run_without_results_writes_nothing() {
    let project = Project::new();
    project.open().save(true).unwrap();
    assert!(!project.file().exists());
}

#[test]
fn a_leftover_of_a_killed_run_is_no_obstacle() {
    let project = Project::new();
    project.run(&[("a::1", 10)], true);
    let temporary = project.file().with_extension("tmp");
    fs::write(&temporary, "half a file").unwrap();
    project.run(&[("a::1", 30)], true);
    assert_eq!(project.millis("a::1"), Some(20));
    assert!(!temporary.exists());
}

#[test]
fn an_open_history_is_not_disturbed_by_a_later_save() {
    let project = Project::new();
    project.run(&[("a::1", 10)], true);
    let before = project.open();
    project.run(&[("a::1", 30), ("a::2", 5)], true);
    assert_eq!(before.estimate("a::1"), Some(Duration::from_millis(10)));
    assert_eq!(before.len(), 1);
}

#[test]
fn the_cache_directory_is_the_users() {
    let root = Path::new("/no/such/project");
    let file = |variables: &[(&str, &str)]| {
        let env = |name: &str| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| OsString::from(value))
        };
        let file = History::open(root, &env).0.file().map(Path::to_owned);
        file.map(|file| file.parent().unwrap().display().to_string())
    };
    let all = [
        ("RPYTEST_CACHE_DIR", "/r"),
        ("XDG_CACHE_HOME", "/x"),
        ("HOME", "/h"),
    ];
    assert_eq!(file(&all).as_deref(), Some("/r/durations"));
    assert_eq!(file(&all[1..]).as_deref(), Some("/x/rpytest/durations"));
    assert_eq!(
        file(&all[2..]).as_deref(),
        Some("/h/.cache/rpytest/durations")
    );
    assert_eq!(
        file(&[("XDG_CACHE_HOME", "relative"), ("HOME", "/h")]).as_deref(),
        Some("/h/.cache/rpytest/durations")
    );
    assert_eq!(file(&[]), None);
}

#[test]
fn the_status_shows_what_is_known() {
    let project = Project::new();
    project.run(&[("a.py::f", 10), ("a.py::slow", 2000)], true);
    project.run(&[("a.py::f", 30)], false);
    let history = project.open();
    let text = HistoryStatus::new(&history).text(true);
    assert!(
        text.contains("2 known, measured 3 times, 0 flaky, 0 failed the last time"),
        "{text}"
    );
    assert!(text.contains("2.00s  a.py::slow\n"), "{text}");
    let lines: Vec<&str> = text.lines().rev().take(2).collect();
    assert!(
        lines[0].ends_with("a.py::f") && lines[0].contains("0.0200s"),
        "{text}"
    );
    assert!(lines[1].ends_with("a.py::slow"), "{text}");
}
