//! The messages of the control channel as types; `docs/design/protocol.md` describes each.
//!
//! Unknown fields and unknown events are accepted, so that a newer Python side can say more.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

/// Version of the messages and records.
pub const PROTOCOL: u32 = 2;
/// Version of rpytest, for people.
pub const BUILD: &str = env!("CARGO_PKG_VERSION");

/// This installed program: its version and the state of its file. A daemon that another one has started is replaced, also
/// when the version has stayed the same.
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

/// Text from the system (an argument, a path, a variable). Bytes that are no UTF-8 become lone surrogates in the JSON,
/// which is what Python's `surrogateescape` turns back into these bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SystemText(pub OsString);

impl<T: AsRef<OsStr> + ?Sized> From<&T> for SystemText {
    fn from(text: &T) -> Self {
        Self(text.as_ref().to_owned())
    }
}

impl SystemText {
    /// Appends it as a JSON string.
    fn quote(&self, json: &mut String) -> serde_json::Result<()> {
        json.push('"');
        for chunk in self.0.as_bytes().utf8_chunks() {
            let quoted = serde_json::to_string(chunk.valid())?;
            json.push_str(&quoted[1..quoted.len() - 1]);
            for byte in chunk.invalid() {
                let _ = write!(json, "\\udc{byte:02x}");
            }
        }
        json.push('"');
        Ok(())
    }
}

impl Serialize for SystemText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::Error;

        if let Some(text) = self.0.to_str() {
            return serializer.serialize_str(text);
        }
        let mut json = String::new();
        self.quote(&mut json).map_err(S::Error::custom)?;
        RawValue::from_string(json)
            .map_err(S::Error::custom)?
            .serialize(serializer)
    }
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
    pub env: Environment,
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

/// Environment variables as a JSON object.
#[derive(Clone, Debug)]
pub struct Environment(pub BTreeMap<SystemText, SystemText>);

impl Serialize for Environment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::Error;

        let mut json = String::from("{");
        for (name, value) in &self.0 {
            if json.len() > 1 {
                json.push(',');
            }
            name.quote(&mut json).map_err(S::Error::custom)?;
            json.push(':');
            value.quote(&mut json).map_err(S::Error::custom)?;
        }
        json.push('}');
        RawValue::from_string(json)
            .map_err(S::Error::custom)?
            .serialize(serializer)
    }
}

impl Environment {
    /// The variables of this process.
    #[must_use]
    pub fn current() -> Self {
        let text = |(name, value)| (SystemText(name), SystemText(value));
        Self(std::env::vars_os().map(text).collect())
    }

    /// Takes a variable out; `None` when there is none.
    pub fn remove(&mut self, name: &str) -> Option<OsString> {
        self.0.remove(&SystemText::from(name)).map(|value| value.0)
    }
}

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
    pub trunks: Vec<SessionStatus>,
    #[serde(default)]
    pub preloads: Vec<PreloadStatus>,
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
    pub spare: i32,
}

/// What host, session or daemon tell the CLI during a run.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "ev", rename_all = "lowercase")]
pub enum HostEvent {
    Collected(Box<Collected>),
    Exit(Exit),
    Collecting {
        pid: i32,
    },
    Attached,
    Born {
        slot: u16,
        incarnation: u16,
        pid: i32,
    },
    Died(Died),
    Record {
        test: u32,
        len: u64,
        /// Another one follows.
        #[serde(default)]
        more: bool,
        /// A hook wants the test, in which a worker has died, to run once more; the record says so.
        #[serde(default)]
        again: bool,
    },
    Summary {
        status: i32,
        len: u64,
        /// Added to the junit file's properties by the controller's hooks.
        #[serde(default)]
        properties: Vec<(String, String)>,
    },
    /// What the session was made from, as a memfd: with `--watch`.
    Dependencies {
        len: u64,
    },
    /// pytest itself is about to run and asks which of its tests belong to the shard; the inventory comes as a memfd.
    Shard(ShardQuestion),
    /// The controller has looked at the last `reports`; a hook may have set `session.shouldstop` or `session.shouldfail`.
    Taken {
        #[serde(default)]
        shouldstop: Option<String>,
        #[serde(default)]
        shouldfail: Option<String>,
    },
    Replace {
        #[serde(default)]
        reason: String,
    },
    /// Which session fixtures were set up for all workers, and which each has to make for itself.
    Fixtures(Fixtures),
    /// Ctrl-C or `pytest.exit` in a shared fixture.
    Stop(HostStop),
    /// A debugger wants the terminal (and waits for [`HostRequest::Debugger`]), or gives it back.
    Debugger {
        slot: u16,
        active: bool,
    },
    /// An event of a newer Python side.
    #[serde(other)]
    Unknown,
}

/// Everything is collected; the inventory comes as a memfd of `inventory_len` bytes.
#[derive(Clone, Debug, Deserialize)]
pub struct Collected {
    pub options: Options,
    #[serde(default)]
    pub header: String,
    pub tests: u32,
    #[serde(default)]
    pub warm: bool,
    #[serde(default)]
    pub method: String,
    #[serde(default)]
    pub why: Option<String>,
    pub inventory_len: u64,
}

/// Which of the collected tests belong to a shard?
#[derive(Clone, Debug, Deserialize)]
pub struct ShardQuestion {
    pub shard: Shard,
    pub rootdir: PathBuf,
    pub tests: u32,
    pub inventory_len: u64,
}

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

/// The run ended without workers.
#[derive(Clone, Debug, Deserialize)]
pub struct Exit {
    pub status: i32,
    #[serde(default)]
    pub out: String,
    #[serde(default)]
    pub err: String,
}

/// The session fixtures of a run.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Fixtures {
    /// Names, in the order in which they were set up.
    pub shared: Vec<String>,
    /// Names, and why they are not shared.
    pub own: Vec<(String, String)>,
    /// What was learned in this run.
    pub notes: Vec<String>,
    /// Tests whose reports tell of set-ups of the host's, and how many seconds those took.
    pub charged: Vec<(u32, f64)>,
}

/// The host wants the run to end; the fields are those of a STOP record.
#[derive(Clone, Debug, Deserialize)]
pub struct HostStop {
    pub why: u8,
    pub status: i32,
    #[serde(default)]
    pub text: String,
    #[serde(default)]
    pub location: String,
}

/// A worker was reaped.
#[derive(Clone, Debug, Deserialize)]
pub struct Died {
    pub slot: u16,
    pub incarnation: u16,
    /// As from `waitpid`.
    pub status: i32,
    #[serde(default)]
    pub stack: String,
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
    /// Every test of the project was collected and selected: one that the history knows and this run didn't have may be gone.
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
    /// Elements of modules that were skipped or broken while collecting, and their counts: passed, failure, error, skipped,
    /// double failures.
    pub collected: String,
    pub counts: Vec<u64>,
}

/// What the CLI tells the host during a run.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub enum HostRequest<'a> {
    Go {
        segment: &'a str,
        slots: u16,
        /// Fixtures are measured.
        timings: bool,
    },
    Spawn {
        slot: u16,
        incarnation: u16,
    },
    Crashed {
        test: u32,
        message: &'a str,
        when: &'static str,
        duration: f64,
        slot: u16,
        /// A worker died while it ran; otherwise nobody ran it.
        in_flight: bool,
    },
    /// Records for the controller, as a memfd of `len` bytes.
    Reports {
        len: u64,
    },
    Report {
        status: i32,
        interrupted: Option<&'a str>,
        location: &'a str,
        stop: Option<&'a str>,
        duration: f64,
        /// Bytes at the beginning that the controller has had as `reports`.
        streamed: usize,
        /// Tests that belong to other shards.
        elsewhere: usize,
        /// What plain pytest would have in `session.testsfailed`.
        failures: u64,
        len: u64,
    },
    /// Answer to [`HostEvent::Shard`], with a memfd.
    Shard {
        len: u64,
    },
    Interrupt,
    /// The terminal is the debugger's.
    Debugger {
        slot: u16,
    },
    Stop {
        status: i32,
    },
}

/// The memfd of [`HostRequest::Shard`].
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ShardAnswer<'a> {
    Share {
        /// The tests that belong to the shard, ascending.
        tests: &'a [u32],
        /// A line about it.
        notice: &'a str,
        /// For the junit file's suite.
        properties: &'a [(String, String)],
    },
    /// It can't be told; a usage error.
    Error(String),
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    #[test]
    fn bytes_that_are_no_utf8_become_lone_surrogates() {
        let text = SystemText(OsString::from_vec(b"a\xff\"\xc3\xa4".to_vec()));
        assert_eq!(serde_json::to_string(&text).unwrap(), "\"a\\udcff\\\"ä\"");
        let plain = SystemText(OsString::from("a\"b"));
        assert_eq!(serde_json::to_string(&plain).unwrap(), r#""a\"b""#);
    }

    #[test]
    fn events_accept_more_than_they_know() {
        let born = r#"{"ev":"born","slot":1,"incarnation":2,"pid":3,"colour":"red"}"#;
        assert!(matches!(
            serde_json::from_str(born).unwrap(),
            HostEvent::Born {
                slot: 1,
                incarnation: 2,
                pid: 3
            }
        ));
        let newer = r#"{"ev":"weather","sun":true}"#;
        assert!(matches!(
            serde_json::from_str(newer).unwrap(),
            HostEvent::Unknown
        ));
        assert!(serde_json::from_str::<HostEvent>(r#"{"ev":"born","slot":-1}"#).is_err());
    }

    #[test]
    fn options_have_defaults() {
        let collected: HostEvent = serde_json::from_str(
            r#"{"ev":"collected","options":{"workers":4,"verbose":-1,"max_worker_restart":null},"tests":2,"inventory_len":9}"#,
        )
        .unwrap();
        let HostEvent::Collected(collected) = collected else {
            panic!("{collected:?}")
        };
        assert_eq!(collected.options.workers, 4);
        assert_eq!(collected.options.verbose, -1);
        assert_eq!(collected.options.max_worker_restart, None);
        assert!(!collected.options.whole, "nothing is forgotten unasked");
        assert!(!collected.warm);
    }

    #[test]
    fn requests_look_as_the_protocol_says() {
        let go = HostRequest::Go {
            segment: "/rpytest-1-2",
            slots: 4,
            timings: false,
        };
        assert_eq!(
            serde_json::to_string(&go).unwrap(),
            r#"{"op":"go","segment":"/rpytest-1-2","slots":4,"timings":false}"#
        );
        assert_eq!(
            serde_json::to_string(&HostRequest::Interrupt).unwrap(),
            r#"{"op":"interrupt"}"#
        );
        assert_eq!(
            serde_json::to_string(&PlainRequest::STOP).unwrap(),
            r#"{"op":"stop","protocol":2}"#
        );
    }
}
