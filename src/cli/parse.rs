//! Which tokens of the command line are ours, and what they mean.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use clap::{Parser, ValueEnum};

use crate::error::{Error, Result};

/// rpytest's own options; all others are pytest's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Parser)]
#[command(
    name = "rpytest",
    disable_help_flag = true,
    disable_version_flag = true
)]
pub struct Options {
    /// Run without a daemon: nothing is kept warm and nothing stays behind.
    #[arg(long)]
    pub no_daemon: bool,

    /// Run the tests again whenever something that they depend on changes; keys: Enter, `f` for
    /// those that failed, `q`.
    #[arg(long, conflicts_with_all = [
        "daemon_status", "daemon_stop", "inventory_status", "history_export", "history_import",
        "history_merge", "merge_reports"
    ])]
    pub watch: bool,

    /// Show the daemon of this interpreter and the sessions that it keeps, and exit.
    #[arg(long, conflicts_with_all = ["no_daemon", "daemon_stop", "inventory_status"])]
    pub daemon_status: bool,

    /// Stop the daemon of this interpreter and its sessions, and exit.
    #[arg(long, conflicts_with_all = ["no_daemon", "inventory_status"])]
    pub daemon_stop: bool,

    /// Write a picture of the run as one HTML page: who ran what and when, fixtures, idle time, the
    /// plan against what happened.
    ///
    /// FILE is given with `=`, since what follows is pytest's; the default is
    /// `rpytest-timings.html`.
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "rpytest-timings.html")]
    #[arg(conflicts_with_all = [
        "daemon_status", "daemon_stop", "inventory_status", "history_export", "history_import",
        "history_merge", "merge_reports"
    ])]
    pub timings: Option<PathBuf>,

    /// A daemon that this run starts ends after being idle for this long.
    ///
    /// Comes before `idle_timeout` in `[tool.rpytest]`; the default is 900.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    #[arg(conflicts_with_all = ["no_daemon", "daemon_status", "daemon_stop", "inventory_status"])]
    pub daemon_idle_timeout: Option<u32>,

    /// Show what is known about the durations of this project's tests, and exit; with `-v` for
    /// every test.
    #[arg(long, conflicts_with = "no_daemon")]
    pub inventory_status: bool,

    /// How `--inventory-status` shows it.
    #[arg(long, value_enum, value_name = "FORMAT", requires = "inventory_status")]
    pub inventory_format: Option<InventoryFormat>,

    /// Write what is known about the durations of this project's tests to a file (`-` is standard
    /// output), and exit.
    #[arg(long, value_name = "FILE")]
    #[arg(conflicts_with_all = ["no_daemon", "daemon_status", "daemon_stop", "inventory_status"])]
    pub history_export: Option<PathBuf>,

    /// Add the durations in one or more exported files to this project's, and exit.
    #[arg(long, value_name = "FILE ...")]
    #[arg(conflicts_with_all = [
        "no_daemon", "daemon_status", "daemon_stop", "inventory_status", "history_export"
    ])]
    pub history_import: Option<PathBuf>,

    /// Merge exported durations into the file that is named first, and exit.
    #[arg(long, value_name = "OUT IN ...")]
    #[arg(conflicts_with_all = [
        "no_daemon", "daemon_status", "daemon_stop", "inventory_status", "history_export",
        "history_import"
    ])]
    pub history_merge: Option<PathBuf>,

    /// Merge the junit files of shards into the file that is named first, check that none is
    /// missing, and exit. Exported durations among the files are merged, too, into a file beside it
    /// that ends in `.jsonl`.
    #[arg(long, value_name = "OUT IN ...")]
    #[arg(conflicts_with_all = [
        "no_daemon", "daemon_status", "daemon_stop", "inventory_status", "history_export",
        "history_import", "history_merge"
    ])]
    pub merge_reports: Option<PathBuf>,
}

/// How the duration history is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum InventoryFormat {
    /// A table for people.
    #[default]
    Text,
    /// One JSON object.
    Json,
}

/// A whole command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Invocation {
    pub options: Options,
    /// pytest's arguments, as they were given.
    pub pytest: Vec<OsString>,
}

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Run tests; also everything else that pytest does (`--help`, `--collect-only`, …).
    Run,
    /// The same, again and again.
    Watch,
    DaemonStatus,
    DaemonStop,
    Inventory {
        format: InventoryFormat,
        /// A line for every test.
        verbose: bool,
    },
    HistoryExport(PathBuf),
    /// At least one file.
    HistoryImport(Vec<PathBuf>),
    HistoryMerge(Merge),
    MergeReports(Merge),
}

/// Files to be merged into another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merge {
    pub out: PathBuf,
    /// At least one.
    pub from: Vec<PathBuf>,
}

/// One of our flags as it is written on the command line.
struct Flag {
    name: &'static str,
    takes_value: bool,
}

/// What [`split`] looks for. A test holds it equal to [`Options`].
const FLAGS: [Flag; 12] = [
    Flag {
        name: "--watch",
        takes_value: false,
    },
    Flag {
        name: "--no-daemon",
        takes_value: false,
    },
    Flag {
        name: "--daemon-status",
        takes_value: false,
    },
    Flag {
        name: "--daemon-stop",
        takes_value: false,
    },
    Flag {
        name: "--timings",
        // A value comes only after `=`: the next token may be a path of pytest's.
        takes_value: false,
    },
    Flag {
        name: "--daemon-idle-timeout",
        takes_value: true,
    },
    Flag {
        name: "--inventory-status",
        takes_value: false,
    },
    Flag {
        name: "--inventory-format",
        takes_value: true,
    },
    Flag {
        name: "--history-export",
        takes_value: true,
    },
    Flag {
        name: "--history-import",
        takes_value: true,
    },
    Flag {
        name: "--history-merge",
        takes_value: true,
    },
    Flag {
        name: "--merge-reports",
        takes_value: true,
    },
];

/// Parts the tokens after the program's name into ours and pytest's; both keep their order.
///
/// A token is ours when it is exactly one of our long flags, or `--flag=value`, before a lone `--`;
/// where a flag takes a value and has no `=`, the token after it is ours too. Abbreviations are not
/// ours: pytest might know a longer name. A value of one of pytest's options can't be taken by
/// mistake: argparse accepts none that begins with `--`.
#[must_use]
pub fn split(argv: impl IntoIterator<Item = OsString>) -> (Vec<OsString>, Vec<OsString>) {
    let (mut ours, mut pytest) = (Vec::new(), Vec::new());
    let mut argv = argv.into_iter();
    while let Some(token) = argv.next() {
        if token == "--" {
            pytest.push(token);
            pytest.extend(argv);
            break;
        }
        match our_flag(&token) {
            Some((flag, has_value)) => {
                ours.push(token);
                if flag.takes_value && !has_value {
                    ours.extend(argv.next());
                }
            }
            None => pytest.push(token),
        }
    }
    (ours, pytest)
}

/// The flag that `token` is, and whether it brings its value along.
fn our_flag(token: &OsStr) -> Option<(&'static Flag, bool)> {
    let bytes = token.as_encoded_bytes();
    let equals = bytes.iter().position(|&byte| byte == b'=');
    let name = &bytes[..equals.unwrap_or(bytes.len())];
    FLAGS
        .iter()
        .find(|flag| flag.name.as_bytes() == name)
        .map(|flag| (flag, equals.is_some()))
}

/// Understands the tokens after the program's name.
///
/// # Errors
/// [`Error::BadOption`] for a wrong or missing value, and for options that exclude each other.
pub fn parse(argv: impl IntoIterator<Item = OsString>) -> Result<Invocation> {
    let (ours, pytest) = split(argv);
    // clap takes its time to build the parser; the usual command line has nothing for it.
    let options = if ours.is_empty() {
        Options::default()
    } else {
        let program = OsString::from("rpytest");
        Options::try_parse_from(std::iter::once(program).chain(ours))
            .map_err(|error| bad_option(&error))?
    };
    Ok(Invocation { options, pytest })
}

/// clap's complaint in our form: its first line, without prefix and with our quotes.
fn bad_option(error: &clap::Error) -> Error {
    let text = error.to_string();
    let mut lines = text.lines();
    let first = lines.next().unwrap_or_default();
    let mut message = first.strip_prefix("error: ").unwrap_or(first).to_owned();
    let details: Vec<&str> = lines
        .take_while(|line| !line.trim().is_empty())
        .map(str::trim)
        .collect();
    if !details.is_empty() {
        message = format!("{message} {}", details.join(" "));
    }
    Error::BadOption {
        message: message.replace('\'', "`"),
        hint: None,
    }
}

impl Invocation {
    /// What is to be done.
    ///
    /// # Errors
    /// [`Error::BadOption`] for arguments that the action has no use for: an option that can't be
    /// honoured is never ignored.
    pub fn action(&self) -> Result<Action> {
        if self.options.daemon_status {
            self.allow("--daemon-status", |_| false)?;
            Ok(Action::DaemonStatus)
        } else if self.options.daemon_stop {
            self.allow("--daemon-stop", |_| false)?;
            Ok(Action::DaemonStop)
        } else if self.options.inventory_status {
            self.allow("--inventory-status", is_verbose)?;
            Ok(Action::Inventory {
                format: self.options.inventory_format.unwrap_or_default(),
                verbose: self.pytest.iter().any(|token| is_verbose(token)),
            })
        } else if let Some(out) = &self.options.history_export {
            self.allow("--history-export", |_| false)?;
            Ok(Action::HistoryExport(out.clone()))
        } else if let Some(first) = &self.options.history_import {
            let mut files = vec![first.clone()];
            files.extend(self.files("--history-import")?);
            Ok(Action::HistoryImport(files))
        } else if let Some(out) = &self.options.history_merge {
            Ok(Action::HistoryMerge(self.merge("--history-merge", out)?))
        } else if let Some(out) = &self.options.merge_reports {
            Ok(Action::MergeReports(self.merge("--merge-reports", out)?))
        } else if self.options.watch {
            Ok(Action::Watch)
        } else {
            Ok(Action::Run)
        }
    }

    fn merge(&self, action: &str, out: &Path) -> Result<Merge> {
        let from = self.files(action)?;
        if from.is_empty() {
            return Err(Error::BadOption {
                message: format!("`{action} {}` has nothing to merge", out.display()),
                hint: Some(format!(
                    "name the file to write, then those to merge: `{action} OUT IN ...`"
                )),
            });
        }
        Ok(Merge {
            out: out.to_owned(),
            from,
        })
    }

    /// The other arguments as files.
    fn files(&self, action: &str) -> Result<Vec<PathBuf>> {
        self.allow(action, |token| !token.as_encoded_bytes().starts_with(b"-"))?;
        Ok(self.pytest.iter().map(PathBuf::from).collect())
    }

    fn allow(&self, action: &str, accepts: impl Fn(&OsStr) -> bool) -> Result<()> {
        match self.pytest.iter().find(|token| !accepts(token)) {
            None => Ok(()),
            Some(token) => Err(Error::BadOption {
                message: format!(
                    "`{action}` runs no tests and has no use for `{}`",
                    token.to_string_lossy()
                ),
                hint: Some(format!(
                    "leave it out, or leave out `{action}` to run tests"
                )),
            }),
        }
    }
}

/// `--verbose`, `-v`, `-vv`, …
fn is_verbose(token: &OsStr) -> bool {
    token == "--verbose"
        || token
            .as_encoded_bytes()
            .strip_prefix(b"-")
            .is_some_and(|rest| !rest.is_empty() && rest.iter().all(|&byte| byte == b'v'))
}

/// Our options as a block of help text, for printing beside pytest's own help.
#[must_use]
pub fn help() -> String {
    use clap::CommandFactory;
    Options::command()
        .help_template("rpytest:\n{options}\n")
        .render_help()
        .to_string()
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
