//! Why a run ends, and the exit status that follows.

use rustix::process::Signal;

use crate::decode::{Stop, StopReason};
use crate::exit;

/// What made the run end before its last test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// As pytest's `KeyboardInterrupt` and what derives from it: Ctrl-C, `pytest.exit`,
    /// `session.shouldstop`.
    Interrupted {
        text: String,
        location: String,
        status: i32,
    },
    /// `-x`, `--maxfail`, `session.shouldfail`.
    Failures { text: String },
    /// An exception escaped from a hook in a worker.
    InternalError,
    /// The control connection ended.
    HostDied,
}

/// Everything that the exit status depends on.
#[derive(Debug, Default)]
pub(super) struct ExitStatus {
    cause: Option<Cause>,
    /// Reports that count as failures, for `--maxfail` too.
    pub failures: u64,
    /// A worker died while it ran no test: something went wrong that no test's result shows.
    pub crash: bool,
    internal_error: bool,
    /// The first status of a worker's session that no test's result explains.
    session: Option<i32>,
}

impl ExitStatus {
    /// `failures`: what pytest's counter for `--maxfail` begins with.
    pub fn new(failures: u64) -> Self {
        Self {
            failures,
            ..Self::default()
        }
    }

    /// Whether tests may be left without a result: the user is told that, and how many.
    pub fn is_stopped(&self) -> bool {
        self.cause.is_some()
    }

    /// A test has called `pytest.exit(…, returncode=0)`: that tests are left without a result is
    /// then no failure.
    pub fn success_was_asked_for(&self) -> bool {
        let asked = matches!(
            self.cause,
            Some(Cause::Interrupted {
                status: exit::OK,
                ..
            })
        );
        asked && !self.internal_error
    }

    /// The first reason counts, but a missing location is filled in, and a dead host overrides
    /// everything.
    fn stop(&mut self, cause: Cause) {
        match (&mut self.cause, &cause) {
            (None, _) | (_, Cause::HostDied) => self.cause = Some(cause),
            (
                Some(Cause::Interrupted {
                    text: known,
                    location: unknown,
                    ..
                }),
                Cause::Interrupted { text, location, .. },
            ) if unknown.is_empty() && known == text => unknown.clone_from(location),
            _ => {}
        }
    }

    /// The user or the system wants the CLI to end.
    pub fn signal(&mut self, signal: Signal) {
        let text = match signal {
            Signal::INT => "KeyboardInterrupt".to_owned(),
            Signal::TERM => "Interrupted: SIGTERM".to_owned(),
            Signal::HUP => "Interrupted: SIGHUP".to_owned(),
            other => format!("Interrupted: signal {}", other.as_raw()),
        };
        self.stop(Cause::Interrupted {
            text,
            location: String::new(),
            status: exit::INTERRUPTED,
        });
    }

    /// Nobody reads the output any more.
    pub fn output_closed(&mut self) {
        let text = "Interrupted: standard output was closed".to_owned();
        self.stop(Cause::Interrupted {
            text,
            location: String::new(),
            status: exit::INTERRUPTED,
        });
    }

    /// A worker wants the run to end.
    pub fn worker_stop(&mut self, stop: &Stop) {
        let interrupted = |text: String| Cause::Interrupted {
            text,
            location: stop.location.clone(),
            // Success can only be asked for by `pytest.exit`.
            status: stop
                .status
                .filter(|&status| status != exit::OK || stop.why == StopReason::Exit)
                .unwrap_or(exit::INTERRUPTED),
        };
        // The texts are those of pytest's `!!!` line: `reprcrash.message` of the exception that
        // pytest itself would see.
        let cause = match stop.why {
            StopReason::KeyboardInterrupt => interrupted("KeyboardInterrupt".to_owned()),
            StopReason::Exit => interrupted(format!("_pytest.outcomes.Exit: {}", stop.text)),
            StopReason::ShouldStop => interrupted(format!("Interrupted: {}", stop.text)),
            StopReason::ShouldFail => Cause::Failures {
                text: stop.text.clone(),
            },
            StopReason::InternalError => Cause::InternalError,
        };
        self.internal_error |= cause == Cause::InternalError;
        self.stop(cause);
    }

    /// `--maxfail` is reached; the text is pytest's.
    pub fn max_failures(&mut self) {
        let text = format!("stopping after {} failures", self.failures);
        self.stop(Cause::Failures { text });
    }

    pub fn host_died(&mut self) {
        self.stop(Cause::HostDied);
    }

    /// The host died before anything else had ended the run, or after that.
    pub fn has_lost_its_host(&self) -> bool {
        self.cause == Some(Cause::HostDied)
    }

    /// A worker's session has ended. The statuses that follow from its own share of the tests say
    /// nothing about the run; any other was chosen by a hook.
    pub fn session_ended(&mut self, status: i32) {
        match status {
            exit::OK | exit::TESTS_FAILED | exit::INTERRUPTED | exit::NO_TESTS_COLLECTED => {}
            exit::INTERNAL_ERROR => self.internal_error = true,
            other => {
                self.session.get_or_insert(other);
            }
        }
    }

    /// The exit status of the run; `results`: number of tests with a result.
    pub fn status(&self, results: usize) -> i32 {
        if self.internal_error || self.cause == Some(Cause::HostDied) {
            return exit::INTERNAL_ERROR;
        }
        match &self.cause {
            Some(Cause::Interrupted { status, .. }) => *status,
            Some(Cause::Failures { .. }) => exit::TESTS_FAILED,
            _ if self.failures > 0 || self.crash => exit::TESTS_FAILED,
            _ if results == 0 => exit::NO_TESTS_COLLECTED,
            _ => self.session.unwrap_or(exit::OK),
        }
    }

    /// `interrupted` and `location` of the `report` request.
    pub fn interrupted(&self) -> Option<(&str, &str)> {
        match &self.cause {
            Some(Cause::Interrupted { text, location, .. }) => Some((text, location)),
            _ => None,
        }
    }

    /// `stop` of the `report` request.
    pub fn stop_text(&self) -> Option<&str> {
        match &self.cause {
            Some(Cause::Failures { text }) => Some(text),
            _ => None,
        }
    }

    /// For the user: why the run was stopped.
    pub fn describe(&self) -> Option<String> {
        Some(match self.cause.as_ref()? {
            Cause::Interrupted { text, location, .. } if location.is_empty() => text.clone(),
            Cause::Interrupted { text, location, .. } => format!("{text} at {location}"),
            Cause::Failures { text } => text.clone(),
            Cause::InternalError => "internal error in a worker".to_owned(),
            Cause::HostDied => "the run's host process died".to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stop(why: StopReason, status: Option<i32>, text: &str, location: &str) -> Stop {
        Stop {
            why,
            status,
            text: text.into(),
            location: location.into(),
        }
    }

    #[test]
    fn statuses_are_pytests() {
        let status = |change: fn(&mut ExitStatus), results| {
            let mut exit_status = ExitStatus::default();
            change(&mut exit_status);
            exit_status.status(results)
        };
        assert_eq!(status(|_| (), 1), 0);
        assert_eq!(status(|_| (), 0), 5);
        assert_eq!(status(|v| v.failures = 1, 1), 1);
        assert_eq!(status(|v| v.crash = true, 1), 1);
        assert_eq!(status(ExitStatus::max_failures, 1), 1);
        assert_eq!(status(|v| v.signal(Signal::INT), 1), 2);
        assert_eq!(status(|v| v.session_ended(3), 1), 3);
        for natural in [0, 1, 2, 5] {
            let mut exit_status = ExitStatus::default();
            exit_status.session_ended(natural);
            assert_eq!(exit_status.status(1), 0);
        }
        let chosen = |v: &mut ExitStatus| [7, 8].into_iter().for_each(|s| v.session_ended(s));
        assert_eq!(status(chosen, 1), 7);
        assert_eq!(status(chosen, 0), 5);
        assert_eq!(status(ExitStatus::host_died, 1), 3);
        let by = |why, asked| {
            let mut exit_status = ExitStatus {
                failures: 1,
                ..ExitStatus::default()
            };
            exit_status.worker_stop(&stop(why, asked, "t", ""));
            exit_status.status(1)
        };
        assert_eq!(by(StopReason::KeyboardInterrupt, None), 2);
        assert_eq!(by(StopReason::Exit, None), 2);
        assert_eq!(by(StopReason::Exit, Some(7)), 7);
        assert_eq!(by(StopReason::Exit, Some(0)), 0);
        assert_eq!(by(StopReason::ShouldStop, Some(0)), 2);
        assert_eq!(by(StopReason::ShouldStop, None), 2);
        assert_eq!(by(StopReason::ShouldFail, None), 1);
        assert_eq!(by(StopReason::InternalError, None), 3);
    }

    #[test]
    fn first_reason_counts_and_learns_its_location() {
        let mut exit_status = ExitStatus::default();
        exit_status.signal(Signal::INT);
        exit_status.worker_stop(&stop(StopReason::KeyboardInterrupt, None, "", "a.py:3"));
        exit_status.worker_stop(&stop(StopReason::KeyboardInterrupt, None, "", "b.py:4"));
        exit_status.max_failures();
        assert_eq!(
            exit_status.interrupted(),
            Some(("KeyboardInterrupt", "a.py:3"))
        );
        assert_eq!(exit_status.stop_text(), None);
        exit_status.host_died();
        assert_eq!(
            exit_status.describe().unwrap(),
            "the run's host process died"
        );
    }

    #[test]
    fn texts_are_those_of_pytests_line() {
        let mut exit_status = ExitStatus::default();
        exit_status.worker_stop(&stop(StopReason::Exit, None, "enough", ""));
        assert_eq!(
            exit_status.interrupted(),
            Some(("_pytest.outcomes.Exit: enough", ""))
        );
        let mut exit_status = ExitStatus {
            failures: 2,
            ..ExitStatus::default()
        };
        exit_status.max_failures();
        assert_eq!(exit_status.stop_text(), Some("stopping after 2 failures"));
    }
}
