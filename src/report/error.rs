//! What can go wrong with reports.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// A report that could not be written.
#[derive(Debug, Error)]
pub enum ReportError {
    /// Standard output failed; reported once, later output is dropped.
    #[error("cannot write to standard output: {0}")]
    Output(#[source] io::Error),
    /// The file of `--junitxml` failed.
    #[error("cannot write the junit report `{}`: {source}", path.display())]
    Junit {
        /// The file asked for.
        path: PathBuf,
        source: io::Error,
    },
    /// The file of `--timings` failed.
    #[error("cannot write the timings `{}`: {source}", path.display())]
    Timings {
        /// The file asked for.
        path: PathBuf,
        source: io::Error,
    },
}

impl ReportError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Output(_) => "check what the output is redirected to",
            Self::Junit { .. } => "give `--junitxml` a path in a directory that can be written",
            Self::Timings { .. } => {
                "give `--timings=FILE` a path in a directory that can be written"
            }
        }
    }

    /// The reader of standard output went away, as in `rpytest | head`: the user's choice, nothing
    /// to complain about.
    #[must_use]
    pub fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}
