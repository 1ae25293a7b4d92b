//! What `[tool.rpytest]` may say, and where it is found.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use serde::de::{self, Deserializer};

use super::workers::Workers;
use crate::error::{Error, Result};

const FILE: &str = "pyproject.toml";

/// How long a daemon waits for the next run, unless told otherwise.
pub const DEFAULT_IDLE_TIMEOUT: Duration = Duration::from_secs(900);

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

/// The settings of the nearest `pyproject.toml` with the table, from `cwd` upwards; the defaults
/// when there is none.
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
        "the keys of `[tool.rpytest]` are `default_workers`, `start_method`, `shard_history`, \
         `idle_timeout`, `preload`, `memory_limit`, `session_fixtures`, `shared_fixtures` and \
         `per_worker_fixtures`"
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
#[path = "tests.rs"]
mod tests;
