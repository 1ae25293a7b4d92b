//! The environment variables that rpytest itself reads; everything else in the environment belongs to pytest and the tests.

use std::ffi::OsString;

/// The interpreter to use: a path, or a command name to look up in `PATH`. Comes before every other place.
pub const PYTHON: &str = "RPYTEST_PYTHON";
/// Folder for the daemon's socket and log; must be writable by the user alone.
pub const RUNTIME_DIR: &str = "RPYTEST_RUNTIME_DIR";
/// Folder for the duration history, instead of `$XDG_CACHE_HOME/rpytest`.
pub const CACHE_DIR: &str = "RPYTEST_CACHE_DIR";

/// Set: as with `--no-daemon`.
pub const NO_DAEMON: &str = "RPYTEST_NO_DAEMON";
/// Set by `python -m rpytest`: the current directory is importable, as under `python -m pytest`.
pub const CWD_ON_PATH: &str = "RPYTEST_CWD_ON_PATH";

/// A source of environment variables: [`process`], or a made-up one in tests.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// The process's own environment; a variable that is set to nothing counts as not set.
#[must_use]
pub fn process(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}
