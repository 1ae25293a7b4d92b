//! `[tool.rpytest]` in `pyproject.toml`.
//!
//! The file is found as ruff and pytest find theirs: from the current directory upwards, the nearest `pyproject.toml` *that has
//! the table*. One without it (a package inside a larger repository) doesn't end the search. Files are not merged.
//!
//! A file that never mentions rpytest costs one read and a byte search; what is wrong in it is pytest's business.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};

use crate::error::{Error, Result};

const FILE: &str = "pyproject.toml";

/// How long a daemon waits for the next run, unless told otherwise.
pub const DEFAULT_IDLE_TIMEOUT: Duration = Duration::from_secs(900);

/// Most workers that can be asked for, as for `-n`.
const MAX_WORKERS: u32 = 1024;

/// What `[tool.rpytest]` says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Number of workers when neither the command line nor `addopts` has `-n`.
    #[serde(default)]
    pub default_workers: Option<Workers>,
    /// What workers are forked from, instead of the automatic choice.
    #[serde(default)]
    pub start_method: Option<StartMethod>,
    /// An exported history by which shards are balanced; relative to the file's folder.
    #[serde(default)]
    shard_history: Option<PathBuf>,
    /// Who makes session fixtures.
    #[serde(default)]
    pub session_fixtures: SessionFixtures,
    /// Fixtures that are shared whatever their set-up leaves behind.
    #[serde(default)]
    pub shared_fixtures: Vec<String>,
    /// Fixtures that each worker makes for itself.
    #[serde(default)]
    pub per_worker_fixtures: Vec<String>,
    /// Seconds, at least 1.
    #[serde(default, deserialize_with = "seconds")]
    idle_timeout: Option<u32>,
    /// Whether installed packages may be imported before a session asks for them.
    #[serde(default)]
    preload: Option<bool>,
    /// MiB that everything the daemon keeps may take, at least 1.
    #[serde(default, deserialize_with = "mebibytes")]
    pub memory_limit: Option<u32>,
    /// The file that these settings are from.
    #[serde(skip)]
    pub file: Option<PathBuf>,
}

impl Settings {
    /// The exported history by which shards are balanced.
    #[must_use]
    pub fn shard_history(&self) -> Option<PathBuf> {
        let folder = self.file.as_deref().and_then(Path::parent);
        let path = self.shard_history.as_ref()?;
        Some(folder.map_or_else(|| path.clone(), |folder| folder.join(path)))
    }

    /// Whether installed packages may be imported before a session asks for them.
    #[must_use]
    pub fn preload(&self) -> bool {
        self.preload.unwrap_or(true)
    }

    /// How long a daemon waits for the next run before it ends.
    #[must_use]
    pub fn idle_timeout(&self) -> Duration {
        self.idle_timeout.map_or(DEFAULT_IDLE_TIMEOUT, |seconds| {
            Duration::from_secs(seconds.into())
        })
    }
}

/// Who makes session fixtures, unless a fixture is named or known to need something else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SessionFixtures {
    /// One process, before there are workers.
    #[default]
    Shared,
    /// Each worker for itself.
    PerWorker,
}

impl SessionFixtures {
    /// The name in files and messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            SessionFixtures::Shared => "shared",
            SessionFixtures::PerWorker => "per-worker",
        }
    }
}

/// A number of workers, as for `-n`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workers {
    /// One per usable CPU.
    Auto,
    /// One per usable logical CPU.
    Logical,
    Count(u32),
}

impl fmt::Display for Workers {
    /// As `-n` takes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Workers::Auto => f.write_str("auto"),
            Workers::Logical => f.write_str("logical"),
            Workers::Count(count) => count.fmt(f),
        }
    }
}

impl<'de> Deserialize<'de> for Workers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct WorkersVisitor;
        impl Visitor<'_> for WorkersVisitor {
            type Value = Workers;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(
                    f,
                    "`default_workers` to be \"auto\", \"logical\" or a number from 0 to {MAX_WORKERS}"
                )
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> std::result::Result<Workers, E> {
                u32::try_from(value)
                    .ok()
                    .filter(|&count| count <= MAX_WORKERS)
                    .map(Workers::Count)
                    .ok_or_else(|| E::invalid_value(de::Unexpected::Signed(value), &self))
            }

            fn visit_str<E: de::Error>(self, value: &str) -> std::result::Result<Workers, E> {
                match value {
                    "auto" => Ok(Workers::Auto),
                    "logical" => Ok(Workers::Logical),
                    _ => value
                        .parse()
                        .ok()
                        .filter(|&count| count <= MAX_WORKERS)
                        .map(Workers::Count)
                        .ok_or_else(|| E::invalid_value(de::Unexpected::Str(value), &self)),
                }
            }
        }
        deserializer.deserialize_any(WorkersVisitor)
    }
}

/// What a worker is forked from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StartMethod {
    /// The collected session.
    Collected,
    /// A session of the run's own, forked from a process with installed packages imported.
    Imported,
    /// The daemon, with nothing but pytest and plugins imported: each worker collects by itself.
    Bare,
}

impl StartMethod {
    /// The name in files and messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            StartMethod::Collected => "collected",
            StartMethod::Imported => "imported",
            StartMethod::Bare => "bare",
        }
    }
}

fn seconds<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Option<u32>, D::Error> {
    natural(
        deserializer,
        &"`idle_timeout` to be a number of seconds, 1 or more",
    )
}

fn mebibytes<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Option<u32>, D::Error> {
    natural(
        deserializer,
        &"`memory_limit` to be a number of MiB, 1 or more",
    )
}

fn natural<'de, D: Deserializer<'de>>(
    deserializer: D,
    expected: &dyn de::Expected,
) -> std::result::Result<Option<u32>, D::Error> {
    let value = i64::deserialize(deserializer)?;
    match u32::try_from(value) {
        Ok(number) if number > 0 => Ok(Some(number)),
        _ => Err(de::Error::invalid_value(
            de::Unexpected::Signed(value),
            expected,
        )),
    }
}

/// The settings of the nearest `pyproject.toml` with the table, from `cwd` upwards; the defaults when there is none.
///
/// # Errors
/// [`Error::ConfigUnreadable`] and [`Error::ConfigInvalid`].
pub fn load(cwd: &Path) -> Result<Settings> {
    for folder in cwd.ancestors() {
        let path = folder.join(FILE);
        if let Some(bytes) = read(&path)?
            && let Some(settings) = parse(&path, &bytes)?
        {
            return Ok(settings);
        }
    }
    Ok(Settings::default())
}

fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    use std::io::ErrorKind::{IsADirectory, NotADirectory, NotFound};
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        // pytest, too, takes only a file for a configuration file.
        Err(error) if matches!(error.kind(), NotFound | NotADirectory | IsADirectory) => Ok(None),
        Err(error) => Err(Error::ConfigUnreadable {
            path: path.to_owned(),
            reason: error.to_string(),
        }),
    }
}

#[derive(Deserialize)]
struct Document {
    tool: Option<Tools>,
}

#[derive(Deserialize)]
struct Tools {
    rpytest: Option<Settings>,
}

/// `None`: the file has no table of ours.
fn parse(path: &Path, bytes: &[u8]) -> Result<Option<Settings>> {
    if !contains(bytes, b"rpytest") {
        return Ok(None);
    }
    let text = std::str::from_utf8(bytes).map_err(|error| Error::ConfigUnreadable {
        path: path.to_owned(),
        reason: error.to_string(),
    })?;
    match toml::from_str::<Document>(text) {
        Ok(document) => {
            let Some(settings) = document.tool.and_then(|tools| tools.rpytest) else {
                return Ok(None);
            };
            contradiction(path, &settings)?;
            Ok(Some(Settings {
                file: Some(path.to_owned()),
                ..settings
            }))
        }
        // rpytest may be mentioned as a dependency only; then the error is no concern of ours.
        Err(_) if !contains(bytes, b"tool.rpytest") && is_no_toml(text) => Ok(None),
        Err(error) => Err(invalid(path, text, &error)),
    }
}

/// A fixture can't be both.
fn contradiction(path: &Path, settings: &Settings) -> Result<()> {
    let both =
        (settings.shared_fixtures.iter()).find(|name| settings.per_worker_fixtures.contains(name));
    match both {
        None => Ok(()),
        Some(name) => Err(Error::ConfigInvalid {
            path: path.to_owned(),
            line: None,
            column: None,
            reason: format!("`{name}` is in `shared_fixtures` and in `per_worker_fixtures`"),
            hint: Some("leave it in one of them".to_owned()),
        }),
    }
}

fn is_no_toml(text: &str) -> bool {
    text.parse::<toml::Table>().is_err()
}

fn invalid(path: &Path, text: &str, error: &toml::de::Error) -> Error {
    let (line, column) = error.span().map(|span| position(text, span.start)).unzip();
    let hint = if is_no_toml(text) {
        "the file is not valid TOML"
    } else {
        "the keys of `[tool.rpytest]` are `default_workers`, `start_method`, `shard_history`, `idle_timeout`, `preload`, `memory_limit`, `session_fixtures`, `shared_fixtures` and `per_worker_fixtures`"
    };
    Error::ConfigInvalid {
        path: path.to_owned(),
        line,
        column,
        reason: error.message().trim().replace('\n', "; "),
        hint: Some(hint.to_owned()),
    }
}

/// Line and column of the byte at `offset`, from 1; columns count characters.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = String::from_utf8_lossy(&text.as_bytes()[..offset.min(text.len())]);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = before.matches('\n').count() + 1;
    (line, before[line_start..].chars().count() + 1)
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack
        .windows(needle.len())
        .any(|window| window == needle)
}

#[cfg(test)]
mod tests {
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
            "session_fixtures = 'per-worker'\nshared_fixtures = ['a', 'b']\nper_worker_fixtures = ['c']",
        );
        assert_eq!(own.session_fixtures.as_str(), "per-worker");
        assert_eq!(own.shared_fixtures, ["a", "b"]);
        assert_eq!(own.per_worker_fixtures, ["c"]);
        let both = "[tool.rpytest]\nshared_fixtures = ['a', 'b']\nper_worker_fixtures = ['b']";
        assert!(
            complaint(both).contains("`b` is in `shared_fixtures` and in `per_worker_fixtures`")
        );
    }

    #[test]
    fn every_key_is_understood() {
        let settings = settings(
            "default_workers = 'auto'\nstart_method = 'bare'\nidle_timeout = 5\nshard_history = 'ci/history.jsonl'\npreload = false\nmemory_limit = 300",
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
            "`pyproject.toml`, line 3, column 1: unknown field `workers`, expected one of `default_workers`, \
             `start_method`, `shard_history`, `session_fixtures`, `shared_fixtures`, `per_worker_fixtures`, `idle_timeout`, `preload`, `memory_limit`"
        );
        assert_eq!(
            complaint("[tool.rpytest]\ndefault_workers = 'many'"),
            "`pyproject.toml`, line 2, column 19: invalid value: string \"many\", expected `default_workers` to be \
             \"auto\", \"logical\" or a number from 0 to 1024"
        );
        assert_eq!(
            complaint("[tool.rpytest]\ndefault_workers = -1"),
            "`pyproject.toml`, line 2, column 19: invalid value: integer `-1`, expected `default_workers` to be \
             \"auto\", \"logical\" or a number from 0 to 1024"
        );
        assert_eq!(
            complaint("[tool.rpytest]\nidle_timeout = 0"),
            "`pyproject.toml`, line 2, column 16: invalid value: integer `0`, expected `idle_timeout` to be a number \
             of seconds, 1 or more"
        );
        assert_eq!(
            complaint("[tool.rpytest]\nstart_method = 'warm'"),
            "`pyproject.toml`, line 2, column 16: unknown variant `warm`, expected one of `collected`, `imported`, `bare`"
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
}
