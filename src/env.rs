//! The environment variables that rpytest itself reads; everything else in the environment belongs
//! to pytest and the tests.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

/// The interpreter to use: a path, or a command name to look up in `PATH`. Comes before every other
/// place.
pub const PYTHON: &str = "RPYTEST_PYTHON";
/// Folder for the daemon's socket and log; must be writable by the user alone.
pub const RUNTIME_DIR: &str = "RPYTEST_RUNTIME_DIR";
/// Folder for the duration history, instead of `$XDG_CACHE_HOME/rpytest`.
pub const CACHE_DIR: &str = "RPYTEST_CACHE_DIR";

/// Set: as with `--no-daemon`.
pub const NO_DAEMON: &str = "RPYTEST_NO_DAEMON";
/// Set by `python -m rpytest`: the current directory is importable, as under `python -m pytest`.
pub const CWD_ON_PATH: &str = "RPYTEST_CWD_ON_PATH";
/// Set by `python -W error -m rpytest`: options of that interpreter, which the tests are to run in
/// one with.
pub const PYTHON_OPTIONS: &str = "RPYTEST_PYTHON_OPTIONS";
/// Between two of them.
pub const PYTHON_OPTIONS_SEPARATOR: u8 = 0x1f;
/// Set by `python -m coverage run -m rpytest`: how it measures, and where to. See
/// `process/coverage_run.py`.
pub const COVERAGE: &str = "RPYTEST_COVERAGE";
/// What coverage.py itself sets, or is set for it, to measure processes that are started.
pub const COVERAGE_OF_PROCESSES: [&str; 2] = ["COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG"];

/// A source of environment variables: [`process`], or a made-up one in tests.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// The process's own environment; a variable that is set to nothing counts as not set.
#[must_use]
pub fn process(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// Options of the interpreter that the tests are to run in.
#[must_use]
pub fn python_options() -> Vec<OsString> {
    split_options(&process(PYTHON_OPTIONS).unwrap_or_default())
}

fn split_options(joined: &OsStr) -> Vec<OsString> {
    if joined.is_empty() {
        return Vec::new();
    }
    let parts = joined
        .as_bytes()
        .split(|byte| *byte == PYTHON_OPTIONS_SEPARATOR);
    parts
        .map(|part| OsStr::from_bytes(part).to_owned())
        .collect()
}

/// Whether coverage.py measures this run without pytest-cov: every process has to be started under
/// it.
#[must_use]
pub fn is_measured() -> bool {
    process(COVERAGE).is_some()
        || COVERAGE_OF_PROCESSES
            .iter()
            .any(|name| process(name).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_what_they_were() {
        assert!(split_options(OsStr::new("")).is_empty());
        assert_eq!(split_options(OsStr::new("-O")), ["-O"]);
        assert_eq!(
            split_options(OsStr::new("-W\u{1f}error: a b\u{1f}-X\u{1f}")),
            ["-W", "error: a b", "-X", ""]
        );
    }
}
