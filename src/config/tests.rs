//! What files are found and what they may say.

use super::*;

fn parsed(text: &str) -> Result<Option<Settings>> {
    parse(Path::new("pyproject.toml"), text.as_bytes())
}

fn settings(table: &str) -> Settings {
    parsed(&format!("[tool.rpytest]\n{table}"))
        .unwrap()
        .unwrap()
}

fn complaint(text: &str) -> String {
    let error = parsed(text).unwrap_err();
    assert_eq!(error.exit_code(), crate::exit::USAGE_ERROR);
    assert!(error.hint().is_some());
    error.to_string()
}

#[test]
fn session_fixtures_are_shared_unless_said_otherwise() {
    assert_eq!(settings("").session_fixtures, SessionFixtures::Shared);
    let own = settings(
        "session_fixtures = 'per-worker'\nshared_fixtures = ['a', 'b']\nper_worker_fixtures = \
         ['c']",
    );
    assert_eq!(own.session_fixtures.as_str(), "per-worker");
    assert_eq!(own.shared_fixtures, ["a", "b"]);
    assert_eq!(own.per_worker_fixtures, ["c"]);
    let both = "[tool.rpytest]\nshared_fixtures = ['a', 'b']\nper_worker_fixtures = ['b']";
    assert!(complaint(both).contains("`b` is in `shared_fixtures` and in `per_worker_fixtures`"));
}

#[test]
fn every_key_is_understood() {
    let settings = settings(
        "default_workers = 'auto'\nstart_method = 'bare'\nidle_timeout = 5\nshard_history = \
         'ci/history.jsonl'\npreload = false\nmemory_limit = 300",
    );
    assert_eq!(settings.shard_history(), Some("ci/history.jsonl".into()));
    assert_eq!(settings.default_workers, Some(Workers::Auto));
    assert_eq!(settings.start_method.map(StartMethod::as_str), Some("bare"));
    assert_eq!(settings.idle_timeout(), Duration::from_secs(5));
    assert!(!settings.preload());
    assert_eq!(settings.memory_limit, Some(300));
    assert_eq!(settings.file.as_deref(), Some(Path::new("pyproject.toml")));
}

#[test]
fn workers_are_written_as_for_n() {
    for (value, shown) in [
        ("4", "4"),
        ("'4'", "4"),
        ("0", "0"),
        ("'logical'", "logical"),
    ] {
        let workers = settings(&format!("default_workers = {value}")).default_workers;
        assert_eq!(workers.unwrap().to_string(), shown);
    }
}

#[test]
fn an_empty_table_means_the_defaults() {
    let settings = settings("");
    assert_eq!(settings.default_workers, None);
    assert_eq!(settings.start_method, None);
    assert_eq!(settings.idle_timeout(), DEFAULT_IDLE_TIMEOUT);
}

#[test]
fn all_spellings_of_the_table_are_found() {
    for text in [
        "tool.rpytest.default_workers = 3",
        "[tool]\nrpytest = { default_workers = 3 }",
        "[ tool . \"rpytest\" ]\ndefault_workers = 3",
    ] {
        let settings = parsed(text).unwrap().unwrap();
        assert_eq!(settings.default_workers, Some(Workers::Count(3)), "{text}");
    }
}

#[test]
fn files_without_the_table_are_not_judged() {
    for text in [
        "this is = = no toml",
        "dependencies = ['rpytest'\n= broken",
        "[project]\ndependencies = ['rpytest']",
        "",
    ] {
        assert_eq!(parsed(text).unwrap(), None, "{text}");
    }
    assert_eq!(parse(Path::new("p"), b"\xff\xfe").unwrap(), None);
}

#[test]
fn mistakes_are_named_with_their_place() {
    assert_eq!(
        complaint("# \u{e9}\n[tool.rpytest]\nworkers = 4\n"),
        "`pyproject.toml`, line 3, column 1: unknown field `workers`, expected one of \
         `default_workers`, \
         `start_method`, `shard_history`, `session_fixtures`, `shared_fixtures`, \
         `per_worker_fixtures`, `idle_timeout`, `preload`, `memory_limit`"
    );
    assert_eq!(
        complaint("[tool.rpytest]\ndefault_workers = 'many'"),
        "`pyproject.toml`, line 2, column 19: invalid value: string \"many\", expected \
         `default_workers` to be \
         \"auto\", \"logical\" or a number from 0 to 1024"
    );
    assert_eq!(
        complaint("[tool.rpytest]\ndefault_workers = -1"),
        "`pyproject.toml`, line 2, column 19: invalid value: integer `-1`, expected \
         `default_workers` to be \
         \"auto\", \"logical\" or a number from 0 to 1024"
    );
    assert_eq!(
        complaint("[tool.rpytest]\nidle_timeout = 0"),
        "`pyproject.toml`, line 2, column 16: invalid value: integer `0`, expected `idle_timeout` \
         to be a number \
         of seconds, 1 or more"
    );
    assert_eq!(
        complaint("[tool.rpytest]\nstart_method = 'warm'"),
        "`pyproject.toml`, line 2, column 16: unknown variant `warm`, expected one of \
         `collected`, `imported`, `bare`"
    );
    let text = complaint("[tool.rpytest]\ndefault_workers = \n");
    assert!(
        text.starts_with("`pyproject.toml`, line 2, column 19: "),
        "{text}"
    );
    let text = complaint("[tool]\nrpytest = 3");
    assert!(
        text.starts_with("`pyproject.toml`, line 2, column 11: invalid type"),
        "{text}"
    );
}

#[test]
fn what_is_not_utf8_is_unreadable() {
    let error = parse(Path::new("p.toml"), b"[tool.rpytest]\n# \xff").unwrap_err();
    assert!(matches!(error, Error::ConfigUnreadable { .. }));
    assert_eq!(error.exit_code(), crate::exit::USAGE_ERROR);
}

#[test]
fn the_nearest_file_with_the_table_counts() {
    let root = tempfile::tempdir().unwrap();
    let inner = root.path().join("a/b/c");
    std::fs::create_dir_all(&inner).unwrap();
    let write = |folder: &str, text: &str| {
        std::fs::write(root.path().join(folder).join(FILE), text).unwrap();
    };
    write("", "[tool.rpytest]\ndefault_workers = 1");
    write("a", "[tool.rpytest]\ndefault_workers = 2");
    write("a/b", "[project]\nname = 'without'");
    std::fs::create_dir(inner.join(FILE)).unwrap();
    let settings = load(&inner).unwrap();
    assert_eq!(settings.default_workers, Some(Workers::Count(2)));
    assert_eq!(settings.file, Some(root.path().join("a").join(FILE)));
}
