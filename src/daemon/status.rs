//! `--daemon-status`.

use std::fmt::Write as _;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use super::message::{BUILD, DaemonStatus, PreloadStatus, SessionStatus};
use super::reach::reach;
use super::socket_path::Place;
use super::stop::ask;
use crate::error::Result;

/// The text for `--daemon-status`: every daemon of this interpreter.
///
/// # Errors
/// When the runtime directory or a socket belongs to somebody else.
pub fn status(python: &Path) -> Result<String> {
    let place = Place::new(python)?;
    let mut text = String::new();
    for socket in place.siblings() {
        let Some(connection) = reach(&socket)? else {
            continue;
        };
        let current = socket == place.socket;
        match ask(&connection) {
            Ok(status) => text.push_str(&describe(&status, current, now())),
            Err(error) => {
                let _ = writeln!(text, "daemon at {}: no answer ({error})", socket.display());
            }
        }
        let _ = writeln!(text, "  log: {}", socket.with_extension("log").display());
    }
    if text.is_empty() {
        text = format!("no daemon is running for {}\n", python.display());
    }
    Ok(text)
}

fn now() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0.0, |since| since.as_secs_f64())
}

fn describe(status: &DaemonStatus, current: bool, now: f64) -> String {
    let mut text = format!(
        "daemon {} has been running for {} (Python {}, pytest {}, rpytest {}{})\n",
        status.pid,
        age(now - status.started),
        status.python,
        status.pytest,
        status.build,
        if status.build == BUILD {
            ""
        } else {
            ", another build"
        },
    );
    if !current {
        text.push_str(
            "  it was started in another environment (`PYTHON*`, `LD_*`, locale, limits, build)\n",
        );
    }
    let _ = writeln!(text, "  ends when unused for {}", age(status.idle_timeout));
    describe_memory(&mut text, status);
    if status.sessions.is_empty() {
        text.push_str("  no warm session\n");
    }
    for session in &status.sessions {
        describe_session(&mut text, session, now);
    }
    for checkpoint in &status.checkpoints {
        let _ = writeln!(
            text,
            "  kept for other arguments: {}, {} tests, {} MiB{}",
            checkpoint.root,
            checkpoint.tests,
            checkpoint.memory_kb.div_ceil(1024),
            waiting(checkpoint),
        );
        if !checkpoint.parts.is_empty() {
            let _ = writeln!(text, "    a part of them: {}", checkpoint.parts);
        }
    }
    for configured in &status.configured {
        let _ = writeln!(
            text,
            "  configured, to collect other tests: {}, {} MiB, {} old",
            configured.cwd,
            configured.memory_kb.div_ceil(1024),
            age(now - configured.since),
        );
    }
    for preload in &status.preloads {
        describe_preload(&mut text, preload, now);
    }
    if let Some(reason) = &status.last_reason {
        let _ = writeln!(text, "  the last session was not reused: {reason}");
    }
    text
}

fn describe_session(text: &mut String, session: &SessionStatus, now: f64) {
    let args = if session.args.is_empty() {
        String::new()
    } else {
        format!(" with `{}`", session.args.join(" "))
    };
    let _ = writeln!(text, "  session {}: {}{args}", session.pid, session.root);
    let _ = writeln!(
        text,
        "    {} test{}, {} run{}, {} MiB, {} old, start method {}{}",
        session.tests,
        if session.tests == 1 { "" } else { "s" },
        session.runs,
        if session.runs == 1 { "" } else { "s" },
        session.memory_kb.div_ceil(1024),
        age(now - session.since),
        if session.method.is_empty() {
            "unknown"
        } else {
            &session.method
        },
        waiting(session),
    );
}

fn waiting(session: &SessionStatus) -> String {
    if session.standby == 0 {
        return String::new();
    }
    format!(", process {} waits for the next run", session.standby)
}

fn describe_memory(text: &mut String, status: &DaemonStatus) {
    if status.memory_limit == 0 {
        return;
    }
    let sessions = status.sessions.iter().chain(&status.checkpoints);
    let kept = (sessions.map(|session| session.memory_kb))
        .chain(status.preloads.iter().map(|preload| preload.memory_kb))
        .chain(status.configured.iter().map(|process| process.memory_kb))
        .sum::<u64>()
        + status.memory_kb;
    let _ = writeln!(
        text,
        "  {} MiB in use, at most {} are kept",
        kept.div_ceil(1024),
        status.memory_limit
    );
}

/// Names of packages in a line; more are counted.
const SHOWN_PACKAGES: usize = 8;

fn describe_preload(text: &mut String, preload: &PreloadStatus, now: f64) {
    let _ = writeln!(text, "  preload {}: {}", preload.pid, preload.cwd);
    if !preload.ready {
        text.push_str("    being made\n");
        return;
    }
    let mut packages = preload.packages[..preload.packages.len().min(SHOWN_PACKAGES)].join(", ");
    if preload.packages.is_empty() {
        packages.push_str("only modules of Python");
    } else if preload.packages.len() > SHOWN_PACKAGES {
        let _ = write!(
            packages,
            " and {} more",
            preload.packages.len() - SHOWN_PACKAGES
        );
    }
    let _ = writeln!(
        text,
        "    {packages}: {} modules, {} MiB, {} old",
        preload.modules,
        preload.memory_kb.div_ceil(1024),
        age(now - preload.since),
    );
    for (name, reason) in &preload.left_out {
        let _ = writeln!(text, "    without `{name}`, which {reason}");
    }
}

/// A duration in seconds as people say it: `42 s`, `3 min`, `2 h 5 min`.
fn age(seconds: f64) -> String {
    // Clocks may be set back; an age is never negative.
    let seconds = seconds.max(0.0) as u64;
    match (seconds / 3600, seconds / 60 % 60, seconds) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, _) => format!("{minutes} min"),
        (hours, 0, _) => format!("{hours} h"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

#[cfg(test)]
mod tests {
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
    use serde_json::json;

    use super::*;
    use crate::daemon::wire::Connection;

    fn listen(path: &Path) -> std::os::fd::OwnedFd {
        let socket = rustix::net::socket_with(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )
        .unwrap();
        rustix::net::bind(&socket, &SocketAddrUnix::new(path).unwrap()).unwrap();
        rustix::net::listen(&socket, 4).unwrap();
        socket
    }

    #[test]
    fn status_is_asked_for_and_described() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("d.sock");
        let listener = listen(&path);
        let server = std::thread::spawn(move || {
            let connection = Connection::new(rustix::net::accept(&listener).unwrap());
            let request: serde_json::Value = connection.recv().unwrap().unwrap().parse().unwrap();
            assert_eq!(request, json!({"op": "status", "protocol": 2}));
            connection
                .send(
                    &json!({
                        "pid": 7, "build": BUILD, "python": "3.11.7", "pytest": "9.2.0",
                        "started": 100.0, "idle_timeout": 900, "memory_kb": 20000,
                        "memory_limit": 2000, "last_reason": "conftest.py changed",
                        "sessions": [{
                            "pid": 8, "root": "/p", "args": ["-q"], "tests": 500, "since": 940,
                            "runs": 1, "memory_kb": 30001, "method": "collected", "standby": 12,
                        }],
                        "checkpoints": [{
                            "pid": 11, "root": "/p", "tests": 500, "memory_kb": 4000,
                            "parts": "collected afresh",
                        }],
                        "configured": [{
                            "pid": 13, "cwd": "/p", "ready": true, "since": 940, "memory_kb": 2048,
                        }],
                        "preloads": [
                            {
                                "pid": 9, "cwd": "/p", "packages": ["numpy", "pandas"],
                                "modules": 441, "ready": true, "since": 970, "memory_kb": 70000,
                                "left_out": {"grpc": "starts a thread"},
                            },
                            {"pid": 10, "cwd": "/q"},
                        ],
                    }),
                    &[],
                )
                .unwrap();
        });
        let status = ask(&reach(&path).unwrap().unwrap()).unwrap();
        server.join().unwrap();
        assert_eq!(
            describe(&status, true, 1000.0),
            format!(
                "daemon 7 has been running for 15 min (Python 3.11.7, pytest 9.2.0, rpytest \
                 {BUILD})\n  \
                 ends when unused for 15 min\n  124 MiB in use, at most 2000 are kept\n  session \
                 8: /p with `-q`\n    \
                 500 tests, 1 run, 30 MiB, 1 min old, start method collected, process 12 waits \
                 for the next run\n  \
                 kept for other arguments: /p, 500 tests, 4 MiB\n    a part of them: collected \
                 afresh\n  \
                 configured, to collect other tests: /p, 2 MiB, 1 min old\n  \
                 preload 9: /p\n    numpy, pandas: 441 modules, 69 MiB, 30 s old\n    \
                 without `grpc`, which starts a thread\n  preload 10: /q\n    being made\n  \
                 the last session was not reused: conftest.py changed\n"
            )
        );
    }

    #[test]
    fn ages_read_well() {
        let texts = [-1.0, 59.9, 60.0, 3600.0, 7500.0].map(age);
        assert_eq!(texts, ["0 s", "59 s", "1 min", "1 h", "2 h 5 min"]);
    }
}
