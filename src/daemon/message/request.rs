//! The request for a run, and which program it comes from.

use std::os::unix::fs::MetadataExt;
use std::sync::LazyLock;

use serde::Serialize;

use super::text::{Environment, SystemText};

/// Version of the messages and records.
pub const PROTOCOL: u32 = 2;
/// Version of rpytest, for people.
pub const BUILD: &str = env!("CARGO_PKG_VERSION");

/// This installed program: its version and the state of its file. A daemon that another one has
/// started is replaced, also when the version has stayed the same.
pub fn build() -> &'static str {
    static ID: LazyLock<String> = LazyLock::new(|| {
        let file = std::env::current_exe().and_then(std::fs::metadata);
        file.map_or_else(
            |_| BUILD.to_owned(),
            |file| {
                let changed = (file.mtime(), file.mtime_nsec(), file.ino(), file.size());
                format!(
                    "{BUILD}+{:x}.{:x}.{:x}.{:x}",
                    changed.0, changed.1, changed.2, changed.3
                )
            },
        )
    });
    &ID
}

/// What the CLI's terminal can do.
#[derive(Clone, Debug, Serialize)]
pub struct Tty {
    pub stdout: bool,
    pub columns: u16,
}

/// The first packet of a run.
#[derive(Clone, Debug, Serialize)]
pub struct RunRequest {
    pub op: &'static str,
    pub protocol: u32,
    pub build: &'static str,
    pub argv: Vec<SystemText>,
    pub cwd: SystemText,
    /// The environment travels beside the message, as a file in memory: the daemon, from whose
    /// memory all runs of all projects are forked, passes it on unread.
    #[serde(skip)]
    pub env: Environment,
    /// [`Environment::key`].
    pub env_key: String,
    /// Which of the descriptors is that file, counted from 0.
    pub env_at: usize,
    pub prog: SystemText,
    pub cwd_on_path: bool,
    pub umask: u32,
    pub affinity: Vec<usize>,
    pub cpus: usize,
    pub default_workers: Option<String>,
    pub tty: Tty,
    pub ci: bool,
    pub start_method: Option<String>,
    /// `--timings`: a role without workers refuses it.
    pub timings: bool,
    /// A session may be forked from a preload.
    pub preload: bool,
    /// MiB.
    pub memory_limit: Option<u32>,
    /// `[tool.rpytest]`'s, as the next two.
    pub session_fixtures: &'static str,
    pub shared_fixtures: Vec<String>,
    pub per_worker_fixtures: Vec<String>,
    /// `--watch`: the session says what it was made from.
    pub watch: bool,
}
