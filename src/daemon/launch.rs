//! Starting the daemon process, and saying why it ended when it did at once.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::fs::MemfdFlags;
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::process::PidfdFlags;

use super::fixed_environment::fixed_variables;
use super::import_path;
use super::message::build;
use super::wire::Connection;
use crate::error::{Error, Result};

/// What the interpreter is told to run.
const PROGRAM: &str = "from rpytest.daemon.daemon import main; main()";
/// The same where the current directory, which `-c` makes importable, is the user's.
const PROGRAM_IN_A_PROJECT: &str = "import sys; sys.path[:1] = [p for p in sys.path[:1] if p]; \
    from rpytest.daemon.daemon import main; main()";
/// A log longer than this many bytes is begun anew by the next daemon.
const LOG_LIMIT: u64 = 1 << 20;
/// Most bytes of the log that an error shows.
const TAIL_LIMIT: u64 = 16 << 10;

/// How a daemon is to be started.
#[derive(Debug)]
pub(super) struct Launch<'a> {
    pub python: &'a Path,
    pub idle: Duration,
    /// Where it listens and logs; `None`: it serves this one connection and ends with it.
    pub files: Option<(&'a Path, &'a Path)>,
    /// Options of the interpreter itself.
    pub options: Vec<OsString>,
    /// The daemon begins in the current directory: coverage.py begins to measure when the
    /// interpreter starts, and finds its configuration and files from there.
    pub is_measured: bool,
}

/// A daemon that this process has started.
#[derive(Debug)]
pub(super) struct Started {
    python: PathBuf,
    child: Child,
    log: File,
    log_path: Option<PathBuf>,
    /// Length of the log before the start.
    log_start: u64,
}

impl Launch<'_> {
    /// Starts the daemon, which gets the other end of the returned connection as its first one.
    pub fn start(&self) -> Result<(Connection, Started)> {
        let (ours, theirs) = rustix::net::socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )
        .map_err(|errno| Error::os("make a socket pair", errno.into()))?;
        let log = self.open_log()?;
        let log_start = log.metadata().map_or(0, |metadata| metadata.len());
        let child = self
            .command(&theirs, &log)
            .and_then(|mut command| command.spawn())
            .map_err(|error| Error::PythonFailed {
                python: self.python.to_owned(),
                reason: error.to_string(),
            })?;
        let started = Started {
            python: self.python.to_owned(),
            child,
            log,
            log_path: self.files.map(|(_, log)| log.to_owned()),
            log_start,
        };
        Ok((Connection::new(ours), started))
    }

    /// The log file, or an anonymous one when nothing may stay behind.
    fn open_log(&self) -> Result<File> {
        let Some((_, path)) = self.files else {
            return rustix::fs::memfd_create("rpytest-log", MemfdFlags::CLOEXEC)
                .map(File::from)
                .map_err(|errno| Error::os("make a file in memory", errno.into()));
        };
        let open = || {
            let mut options = OpenOptions::new();
            options.read(true).append(true).create(true).mode(0o600);
            let file = options.open(path)?;
            if file.metadata()?.len() > LOG_LIMIT {
                file.set_len(0)?;
            }
            Ok(file)
        };
        open().map_err(|error| Error::io("open the daemon's log", path, error))
    }

    fn command(&self, theirs: &OwnedFd, log: &File) -> io::Result<Command> {
        let mut command = Command::new(self.python);
        let program = if self.is_measured {
            PROGRAM_IN_A_PROJECT
        } else {
            PROGRAM
        };
        command
            .args(&self.options)
            .args(["-c", program, "--conn"])
            .arg(theirs.as_raw_fd().to_string());
        command.args(["--build", build()]);
        command.arg("--idle").arg(self.idle.as_secs().to_string());
        match self.files {
            Some((socket, _)) => command.arg("--socket").arg(socket),
            None => command.arg("--once"),
        };
        if self.is_measured {
            // The daemon serves this run alone, and coverage.py reads more variables than are known
            // here.
            if let Some(value) = import_path::of_this_process() {
                command.env(import_path::NAME, value);
            }
        } else {
            // Whatever else is in this process's environment may be a secret, which
            // `/proc/<pid>/environ` and the memory of all processes that the daemon forks would
            // have, those of other projects' runs too.
            command.env_clear().envs(fixed_variables()).current_dir("/");
        }
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log.try_clone()?);
        let kept = theirs.as_raw_fd();
        // SAFETY: between fork and exec the closure makes two system calls, which are
        // async-signal-safe, on a descriptor that `theirs` keeps open in the parent until the spawn
        // is over; it allocates nothing and takes no lock.
        unsafe {
            command.pre_exec(move || {
                // A session of its own: the terminal's Ctrl-C is for the CLI, which passes it on.
                if libc::setsid() == -1 || libc::fcntl(kept, libc::F_SETFD, 0) == -1 {
                    return Err(io::Error::last_os_error());
                }
                Ok(())
            });
        }
        Ok(command)
    }
}

impl Started {
    /// The error for a daemon that closed the connection before it said anything.
    pub fn explain(mut self) -> Error {
        let status = self.wait_a_little();
        let tail = self.tail();
        explain(&self.python, &tail, status, self.log_path)
    }

    /// Whether the process ends within `limit`; reaps it.
    pub fn has_ended(&mut self, limit: Duration) -> bool {
        let pid = rustix::process::Pid::from_child(&self.child);
        if let Ok(pidfd) = rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
            let _ = readable(&pidfd, limit);
        }
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// The connection has ended, so the process is ending; it can't be waited for without a limit,
    /// though.
    fn wait_a_little(&mut self) -> Option<ExitStatus> {
        for _ in 0..1000 {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Some(status);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        None
    }

    /// What the process has written since it was started, or the end of it.
    fn tail(&mut self) -> String {
        let mut read = || {
            let end = self.log.metadata()?.len();
            let start = self.log_start.min(end).max(end.saturating_sub(TAIL_LIMIT));
            self.log.seek(SeekFrom::Start(start))?;
            let mut bytes = Vec::new();
            Read::by_ref(&mut self.log)
                .take(end - start)
                .read_to_end(&mut bytes)?;
            io::Result::Ok(bytes)
        };
        String::from_utf8_lossy(&read().unwrap_or_default())
            .trim_end()
            .to_owned()
    }
}

/// Turns the end of a daemon's output into an error that says what to do.
fn explain(python: &Path, tail: &str, status: Option<ExitStatus>, log: Option<PathBuf>) -> Error {
    let python = python.to_owned();
    let missing = tail.lines().rev().find_map(|line| {
        let name = line.strip_prefix("ModuleNotFoundError: No module named ")?;
        Some(name.trim_matches(|c| c == '\'' || c == '"'))
    });
    match missing {
        Some("rpytest") => return Error::PackageMissing { python },
        Some("pytest" | "_pytest") => return Error::PytestMissing { python },
        _ => {}
    }
    let ended = match status {
        Some(status) => match status.signal() {
            Some(signal) => format!("it was killed by signal {signal}"),
            None => format!("it ended with status {}", status.code().unwrap_or(-1)),
        },
        None => "it closed the connection".to_owned(),
    };
    let reason = if tail.is_empty() {
        ended
    } else {
        format!("{ended}\n{tail}")
    };
    Error::DaemonStart {
        python,
        reason,
        log,
    }
}

/// Whether `fd` has something to read or is at its end, within `limit`.
pub(super) fn readable(fd: impl AsFd, limit: Duration) -> io::Result<bool> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    let limit = Timespec {
        tv_sec: limit.as_secs().try_into().unwrap_or(i64::MAX),
        tv_nsec: limit.subsec_nanos().into(),
    };
    let mut fds = [PollFd::new(&fd, PollFlags::IN)];
    match poll(&mut fds, Some(&limit)) {
        Ok(ready) => Ok(ready > 0),
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A stand-in for an interpreter: a shell script. Another process writes it: were it open for
    /// writing here, a fork of a test in another thread would inherit that, and the script could
    /// not be executed.
    fn interpreter(dir: &Path, script: &str) -> PathBuf {
        let path = dir.join("python");
        let write = r#"printf '#!/bin/sh\n%s\n' "$2" > "$1" && chmod 755 "$1""#;
        let status = Command::new("sh")
            .args(["-c", write, "sh"])
            .arg(&path)
            .arg(script)
            .status();
        assert!(status.unwrap().success());
        path
    }

    fn explained(script: &str, files: bool) -> Error {
        let temp = tempfile::tempdir().unwrap();
        let python = interpreter(temp.path(), script);
        let (socket, log) = (temp.path().join("s.sock"), temp.path().join("s.log"));
        fs::write(&log, "an older daemon wrote this\n").unwrap();
        let launch = Launch {
            python: &python,
            idle: Duration::from_secs(9),
            files: files.then_some((&socket, &log)),
            options: Vec::new(),
            is_measured: false,
        };
        let (connection, started) = launch.start().unwrap();
        assert!(connection.recv().unwrap().is_none());
        started.explain()
    }

    #[test]
    fn end_without_a_word_is_explained_by_the_output() {
        let error = explained("echo 'boom: bad' >&2; exit 3", true);
        let Error::DaemonStart { reason, log, .. } = error else {
            panic!("{error}")
        };
        assert_eq!(reason, "it ended with status 3\nboom: bad");
        assert!(log.is_some());
        let error = explained("kill -9 $$", false);
        let Error::DaemonStart {
            reason, log: None, ..
        } = error
        else {
            panic!("{error}")
        };
        assert_eq!(reason, "it was killed by signal 9");
    }

    #[test]
    fn missing_modules_are_named() {
        let error = explained(
            "echo \"ModuleNotFoundError: No module named 'rpytest'\"",
            true,
        );
        assert!(matches!(error, Error::PackageMissing { .. }), "{error}");
        let error = explained(
            "echo \"ModuleNotFoundError: No module named 'pytest'\"",
            false,
        );
        assert!(matches!(error, Error::PytestMissing { .. }), "{error}");
    }

    #[test]
    fn child_gets_its_end_of_the_connection_and_the_arguments() {
        // `$4` is the descriptor's number; the file it is must be there.
        let script =
            r#"test -S /proc/$$/fd/$4 || exit 1; shift 2; echo "$1 $3 $5 $6 $7 $(pwd)"; exit 7"#;
        let error = explained(script, false);
        let Error::DaemonStart { reason, .. } = error else {
            panic!("{error}")
        };
        assert_eq!(
            reason,
            "it ended with status 7\n--conn --build --idle 9 --once /"
        );
    }

    #[test]
    fn options_of_the_interpreter_come_first() {
        let temp = tempfile::tempdir().unwrap();
        let python = interpreter(temp.path(), r#"echo "$1 $2 $3 $(pwd)"; exit 7"#);
        let launch = Launch {
            python: &python,
            idle: Duration::ZERO,
            files: None,
            options: vec!["-W".into(), "error".into()],
            is_measured: true,
        };
        let (connection, started) = launch.start().unwrap();
        assert!(connection.recv().unwrap().is_none());
        let Error::DaemonStart { reason, .. } = started.explain() else {
            panic!("another error")
        };
        let here = std::env::current_dir().unwrap();
        assert_eq!(
            reason,
            format!("it ended with status 7\n-W error -c {}", here.display())
        );
    }

    #[test]
    fn interpreter_that_is_not_there_is_an_error() {
        let launch = Launch {
            python: Path::new("/no/such/python"),
            idle: Duration::ZERO,
            files: None,
            options: Vec::new(),
            is_measured: false,
        };
        assert!(matches!(launch.start(), Err(Error::PythonFailed { .. })));
    }
}
