//! pytest's options, as resolved by it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

/// `--shard` and what belongs to it.
#[derive(Clone, Debug, Deserialize)]
pub struct Shard {
    /// From 0.
    pub index: u32,
    pub total: u32,
    /// `--shard-history`, absolute.
    #[serde(default)]
    pub history: Option<PathBuf>,
}

/// pytest's resolved options, as far as the CLI needs them.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Options {
    pub workers: u16,
    /// pytest has no terminal reporter (`-p no:terminal`): nothing is printed.
    pub silent: bool,
    pub verbose: i32,
    /// pytest's `verbosity_test_cases`, by default the same.
    pub verbose_tests: i32,
    /// 0: no limit.
    pub maxfail: u32,
    pub junit: Option<Junit>,
    pub capture: String,
    pub color: bool,
    pub max_worker_restart: Option<u32>,
    pub needs_report: bool,
    /// There is a controller: it wants to know of the workers' last words.
    pub controlled: bool,
    /// The controller's hooks get every record while the run goes on.
    pub stream: bool,
    pub no_summary: bool,
    pub no_header: bool,
    pub stats: bool,
    pub testrunuid: String,
    pub rootdir: PathBuf,
    /// Errors while collecting, when the run goes on all the same.
    pub collect_errors: u64,
    pub shard: Option<Shard>,
    /// Every test of the project was collected and selected: one that the history knows and this
    /// run didn't have may be gone.
    pub whole: bool,
    /// `--order`, and `--no-loadscope-reorder`.
    pub order: Order,
    /// `--dist each`: how many times the inventory has the suite; else 0.
    pub copies: u16,
    /// `--replay` and `--record-plan`, absolute.
    pub replay: Option<PathBuf>,
    pub record_plan: Option<PathBuf>,
    /// What collection put into the final line's counts.
    pub counts: BTreeMap<String, usize>,
}

/// In which order tests are given to workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// Longest first.
    #[default]
    Lpt,
    /// Groups as collected, to whoever has time.
    Queue,
    /// As collected, the same in every run.
    Collected,
}

/// `--junitxml` and what belongs to it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Junit {
    pub path: PathBuf,
    pub suite_name: String,
    /// Elements of modules that were skipped or broken while collecting, and their counts: passed,
    /// failure, error, skipped, double failures.
    pub collected: String,
    pub counts: Vec<u64>,
}
