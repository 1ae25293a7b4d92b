//! What the command line and the host of a run say to each other.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::options::{Options, Shard};

/// What host, session or daemon tell the CLI during a run.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "ev", rename_all = "lowercase")]
pub enum HostEvent {
    Collected(Box<Collected>),
    Exit(Exit),
    Collecting {
        pid: i32,
    },
    Attached {
        /// The host's.
        #[serde(default)]
        pid: i32,
    },
    /// The worker of a slot, or the host itself, does not end: what it waits for.
    Notice {
        text: String,
        #[serde(default)]
        slot: Option<u16>,
    },
    Born {
        slot: u16,
        incarnation: u16,
        pid: i32,
    },
    Died(Died),
    /// faulthandler has dumped the stacks of a test that runs for longer than
    /// `faulthandler_timeout`.
    Stack {
        slot: u16,
        text: String,
    },
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
    /// pytest itself is about to run and asks which of its tests belong to the shard; the inventory
    /// comes as a memfd.
    Shard(ShardQuestion),
    /// The controller has looked at the last `reports`; a hook may have set `session.shouldstop` or
    /// `session.shouldfail`.
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
    /// Whether tests were collected before, or why they were collected afresh, in words.
    #[serde(default)]
    pub how: Option<String>,
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

/// The run ended without workers.
#[derive(Clone, Debug, Deserialize)]
pub struct Exit {
    pub status: i32,
    #[serde(default)]
    pub out: String,
    #[serde(default)]
    pub err: String,
    /// An exception that escaped from a hook, with its traceback; empty: none did.
    #[serde(default)]
    pub internal: String,
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
    /// The status that `waitpid` has returned.
    pub status: i32,
    #[serde(default)]
    pub stack: String,
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
        streamed: u64,
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
        /// Properties for the junit file's suite.
        properties: &'a [(String, String)],
    },
    /// Which tests belong to the shard can't be told; a usage error.
    Error(String),
}
