//! What the daemon is asked without a run, and says.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::PROTOCOL;

/// A request without data: `status` and `stop` to the daemon.
#[derive(Clone, Debug, Serialize)]
pub struct PlainRequest {
    pub op: &'static str,
    pub protocol: u32,
}

impl PlainRequest {
    pub const STATUS: Self = Self {
        op: "status",
        protocol: PROTOCOL,
    };
    pub const STOP: Self = Self {
        op: "stop",
        protocol: PROTOCOL,
    };
}

/// Answer to `status`.
#[derive(Clone, Debug, Deserialize)]
pub struct DaemonStatus {
    pub pid: i32,
    #[serde(default)]
    pub build: String,
    #[serde(default)]
    pub python: String,
    #[serde(default)]
    pub pytest: String,
    /// Seconds since the epoch.
    #[serde(default)]
    pub started: f64,
    /// Seconds.
    #[serde(default)]
    pub idle_timeout: f64,
    /// The daemon's own, KiB.
    #[serde(default)]
    pub memory_kb: u64,
    /// MiB; 0: unknown.
    #[serde(default)]
    pub memory_limit: u64,
    #[serde(default)]
    pub sessions: Vec<SessionStatus>,
    /// What serves runs with other arguments than sessions were collected for.
    #[serde(default)]
    pub checkpoints: Vec<SessionStatus>,
    #[serde(default)]
    pub preloads: Vec<PreloadStatus>,
    /// Processes that are configured and have collected nothing.
    #[serde(default)]
    pub configured: Vec<PreloadStatus>,
    #[serde(default)]
    pub last_reason: Option<String>,
}

/// One process with installed packages imported, in [`DaemonStatus`].
#[derive(Clone, Debug, Deserialize)]
pub struct PreloadStatus {
    #[serde(default)]
    pub pid: i32,
    #[serde(default)]
    pub cwd: String,
    /// Top-level packages, Python's own not among them.
    #[serde(default)]
    pub packages: Vec<String>,
    /// Modules, Python's own among them.
    #[serde(default)]
    pub modules: u64,
    /// `false` while it is being made.
    #[serde(default)]
    pub ready: bool,
    /// Seconds since the epoch.
    #[serde(default)]
    pub since: f64,
    /// Memory in KiB; what is shared with other processes counts in part.
    #[serde(default)]
    pub memory_kb: u64,
    /// Modules that could not be preloaded, and why: `name` → a clause that begins with a verb.
    #[serde(default)]
    pub left_out: BTreeMap<String, String>,
}

/// One warm session in [`DaemonStatus`].
#[derive(Clone, Debug, Deserialize)]
pub struct SessionStatus {
    #[serde(default)]
    pub pid: i32,
    #[serde(default)]
    pub root: String,
    #[serde(default)]
    pub args: Vec<String>,
    #[serde(default)]
    pub tests: u64,
    /// Seconds since the epoch.
    #[serde(default)]
    pub since: f64,
    #[serde(default)]
    pub runs: u64,
    /// Memory in KiB; what is shared with other processes counts in part.
    #[serde(default)]
    pub memory_kb: u64,
    #[serde(default)]
    pub method: String,
    /// The process that waits for its next run; 0: none.
    #[serde(default)]
    pub standby: i32,
    /// How runs of a part of the tests are served, in words.
    #[serde(default)]
    pub parts: String,
}
