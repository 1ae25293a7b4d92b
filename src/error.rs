//! What can go wrong on the command line: what happened, where, and what to do about it.
//!
//! Messages start in lower case and have no final period, so they read well after `error: `;
//! [`Error::hint`] is the advice after `hint: `. Failures of *tests* are no errors: they are
//! results.

use std::fmt;
use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::exit;

/// Result of everything that ends the command when it fails.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A reason for which the command cannot go on.
#[derive(Debug, Error)]
pub enum Error {
    /// No interpreter at any of the places in `looked`, in the order of looking.
    #[error("no Python interpreter found; looked for{}", Listing(.looked))]
    NoPython { looked: Vec<PathBuf> },

    /// `variable` names an interpreter that is not there or cannot be executed.
    #[error("`{variable}` is `{}`, which is not an executable file", .path.display())]
    PythonNotExecutable {
        variable: &'static str,
        path: PathBuf,
    },

    /// The interpreter could not be started at all, or ended before it answered.
    #[error("Python at `{}` did not start: {reason}", .python.display())]
    PythonFailed { python: PathBuf, reason: String },

    /// pytest cannot be imported by the interpreter.
    #[error("Python at `{}` has no pytest", .python.display())]
    PytestMissing { python: PathBuf },

    /// The `rpytest` package cannot be imported by the interpreter.
    #[error("Python at `{}` has no rpytest package", .python.display())]
    PackageMissing { python: PathBuf },

    /// `what` (Python, pytest, the rpytest package) is there in a version that does not fit.
    #[error("{what} {found} at `{}` does not fit: {needed} is needed", .python.display())]
    WrongVersion {
        what: &'static str,
        python: PathBuf,
        found: String,
        needed: String,
    },

    /// A configuration file is there, but cannot be read: permissions, not UTF-8.
    #[error("cannot read `{}`: {reason}", .path.display())]
    ConfigUnreadable { path: PathBuf, reason: String },

    /// A configuration file does not say what it should. `line` and `column` count from 1.
    #[error("`{}`{}: {reason}", .path.display(), Position(*.line, *.column))]
    ConfigInvalid {
        path: PathBuf,
        line: Option<usize>,
        column: Option<usize>,
        reason: String,
        hint: Option<String>,
    },

    /// An exported duration history that was named can't be read.
    #[error("cannot use the history `{}`: {reason}", .path.display())]
    History { path: PathBuf, reason: String },

    /// The daemon was started and did not become ready. `reason` is the end of what it wrote, if
    /// anything.
    #[error("the daemon could not be started with `{}`: {reason}", .python.display())]
    DaemonStart {
        python: PathBuf,
        reason: String,
        log: Option<PathBuf>,
    },

    /// The daemon or the host of the run closed its connection in the middle of `doing`.
    #[error("the {who} went away while {doing}")]
    WentAway {
        who: &'static str,
        doing: String,
        log: Option<PathBuf>,
    },

    /// The shared memory of a run could not be made or mapped, or holds what it should not.
    #[error("shared memory: {0}")]
    Segment(String),

    /// A system call on a file failed.
    #[error("cannot {doing} `{}`: {source}", .path.display())]
    Io {
        doing: &'static str,
        path: PathBuf,
        source: io::Error,
    },

    /// A system call without a file failed.
    #[error("cannot {doing}: {source}")]
    Os {
        doing: &'static str,
        source: io::Error,
    },

    /// The results could not be shown or written to a file.
    #[error("{message}")]
    Report { message: String, hint: &'static str },

    /// The other side sent what the wire contract does not know.
    #[error("unexpected message from the {who}: {what}")]
    Protocol { who: &'static str, what: String },

    /// An option of ours, or a combination, that cannot be honoured.
    #[error("{message}")]
    BadOption {
        message: String,
        hint: Option<String>,
    },

    /// Something that is a mistake in rpytest itself.
    #[error("internal error: {0}")]
    Internal(String),
}

impl Error {
    /// An [`Error::Io`]: for `map_err(|error| Error::io("open", path, error))`.
    pub fn io(doing: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Error {
        Error::Io {
            doing,
            path: path.into(),
            source,
        }
    }

    /// An [`Error::History`].
    pub fn history(path: impl Into<PathBuf>, reason: impl Into<String>) -> Error {
        Error::History {
            path: path.into(),
            reason: reason.into(),
        }
    }

    /// An [`Error::Os`].
    pub fn os(doing: &'static str, source: io::Error) -> Error {
        Error::Os { doing, source }
    }

    /// An [`Error::Protocol`].
    pub fn protocol(who: &'static str, what: impl Into<String>) -> Error {
        Error::Protocol {
            who,
            what: what.into(),
        }
    }

    /// An [`Error::BadOption`] without a hint.
    pub fn bad_option(message: impl Into<String>) -> Error {
        Error::BadOption {
            message: message.into(),
            hint: None,
        }
    }

    /// What the user can do about it; may have several lines.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Error::NoPython { .. } => Some(format!(
                "activate a virtual environment, or set `{}` to the interpreter that has pytest",
                crate::env::PYTHON
            )),
            Error::PythonNotExecutable { variable, .. } => Some(format!(
                "set `{variable}` to the path of a Python interpreter, or unset it"
            )),
            Error::PythonFailed { python, .. } => Some(format!(
                "see what `{} -c 'import rpytest'` says",
                python.display()
            )),
            Error::PytestMissing { python } => Some(format!(
                "install it: `{} -m pip install pytest`",
                python.display()
            )),
            Error::PackageMissing { .. } => Some(format!(
                "install rpytest into that environment, or set `{}` to the interpreter of the \
                 environment that has it",
                crate::env::PYTHON
            )),
            Error::WrongVersion { what, .. } => Some(format!(
                "install a fitting {what}, or set `{}` to another interpreter",
                crate::env::PYTHON
            )),
            Error::ConfigUnreadable { .. } => {
                Some("pyproject.toml must be a readable file in UTF-8".to_owned())
            }
            Error::ConfigInvalid { hint, .. } | Error::BadOption { hint, .. } => hint.clone(),
            Error::History { .. } => {
                Some("`rpytest --history-export FILE` writes such a file".to_owned())
            }
            Error::DaemonStart { python, log, .. } => Some(format!(
                "see what `{} -c 'import rpytest, pytest'` says{}",
                python.display(),
                match log {
                    Some(log) => format!("; the daemon's log is `{}`", log.display()),
                    None => String::new(),
                }
            )),
            Error::WentAway { log, .. } => {
                let mut hint = "somebody killed it: a test, or the system when memory was short \
                    (see `dmesg`)"
                    .to_owned();
                if let Some(log) = log {
                    hint.push_str(&format!("; its log is `{}`", log.display()));
                }
                Some(hint)
            }
            // The ring's own texts bring their advice along.
            Error::Segment(text) if text.contains("\nhint: ") => None,
            Error::Segment(_) => Some(
                "the run needs a few megabytes of shared memory: see `df /dev/shm` (in a \
                 container, `--shm-size`)"
                    .to_owned(),
            ),
            Error::Protocol { .. } => {
                Some("`rpytest --daemon-stop` ends a daemon of another version".to_owned())
            }
            Error::Internal(_) => {
                Some("this is a bug in rpytest; please report it with the command line".to_owned())
            }
            Error::Report { hint, .. } => Some((*hint).to_owned()),
            Error::Io { .. } | Error::Os { .. } => None,
        }
    }

    /// The exit status of the process, one of [`crate::exit`].
    #[must_use]
    pub fn exit_code(&self) -> i32 {
        match self {
            Error::NoPython { .. }
            | Error::PythonNotExecutable { .. }
            | Error::PytestMissing { .. }
            | Error::PackageMissing { .. }
            | Error::WrongVersion { .. }
            | Error::ConfigUnreadable { .. }
            | Error::ConfigInvalid { .. }
            | Error::History { .. }
            | Error::BadOption { .. } => exit::USAGE_ERROR,
            Error::PythonFailed { .. }
            | Error::DaemonStart { .. }
            | Error::WentAway { .. }
            | Error::Segment(_)
            | Error::Io { .. }
            | Error::Os { .. }
            | Error::Report { .. }
            | Error::Protocol { .. }
            | Error::Internal(_) => exit::INTERNAL_ERROR,
        }
    }

    /// The lines for stderr: `error: …`, then `hint: …` if there is one; each ends in a newline.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = format!("error: {self}\n");
        if let Some(hint) = self.hint() {
            text.push_str("hint: ");
            text.push_str(&hint);
            text.push('\n');
        }
        text
    }
}

/// Paths, each on an indented line of its own.
struct Listing<'a>(&'a [PathBuf]);

impl fmt::Display for Listing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|path| write!(f, "\n  {}", path.display()))
    }
}

/// `, line 3, column 5`, as far as known.
struct Position(Option<usize>, Option<usize>);

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.0 {
            write!(f, ", line {line}")?;
            if let Some(column) = self.1 {
                write!(f, ", column {column}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_every_place_and_says_what_to_do() {
        let error = Error::NoPython {
            looked: vec!["/a/python".into(), "/b/python3".into()],
        };
        assert_eq!(
            error.render(),
            "error: no Python interpreter found; looked for\n  /a/python\n  /b/python3\n\
             hint: activate a virtual environment, or set `RPYTEST_PYTHON` to the interpreter \
             that has pytest\n"
        );
        assert_eq!(error.exit_code(), 4);
    }

    #[test]
    fn position_is_shown_as_far_as_it_is_known() {
        let at = |line, column| {
            Error::ConfigInvalid {
                path: "p.toml".into(),
                line,
                column,
                reason: "bad".into(),
                hint: None,
            }
            .to_string()
        };
        assert_eq!(at(Some(3), Some(5)), "`p.toml`, line 3, column 5: bad");
        assert_eq!(at(Some(3), None), "`p.toml`, line 3: bad");
        assert_eq!(at(None, None), "`p.toml`: bad");
    }

    #[test]
    fn an_error_without_a_hint_is_one_line() {
        let source = io::Error::from_raw_os_error(libc::ENOENT);
        let error = Error::io("open", "/x", source);
        assert_eq!(
            error.render(),
            "error: cannot open `/x`: No such file or directory (os error 2)\n"
        );
        assert_eq!(error.exit_code(), 3);
    }

    #[test]
    fn what_the_user_can_change_is_usage_and_the_rest_is_internal() {
        assert_eq!(
            Error::bad_option("`-f` is not supported").exit_code(),
            exit::USAGE_ERROR
        );
        assert_eq!(
            Error::Segment("full".into()).exit_code(),
            exit::INTERNAL_ERROR
        );
        assert_eq!(
            Error::WentAway {
                who: "host",
                doing: "running tests".into(),
                log: None
            }
            .exit_code(),
            exit::INTERNAL_ERROR
        );
    }
}
