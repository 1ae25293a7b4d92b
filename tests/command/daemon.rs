//! A daemon without Python: the test binary, started again by a script that stands in for the
//! interpreter.
//!
//! It answers every run at once with an `exit`, whose text says which process it was.

use std::io::Write;
use std::os::fd::{FromRawFd, OwnedFd};
use std::path::Path;

use rpytest::daemon::wire::Connection;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use serde_json::{Value, json};

/// The arguments that the interpreter was started with, one a line.
pub const ARGUMENTS: &str = "COMMAND_TEST_ARGUMENTS";
/// How the daemon behaves.
/// With a prefix of what a daemon inherits.
pub const MODE: &str = "PYTHON_COMMAND_TEST_MODE";

/// Serves until it is told to stop, or, without a socket, for one connection.
pub fn main() {
    let arguments = std::env::var(ARGUMENTS).unwrap();
    let arguments: Vec<&str> = arguments.lines().collect();
    let value = |name: &str| {
        let at = arguments.iter().position(|argument| *argument == name)?;
        arguments.get(at + 1).copied()
    };
    let listener = value("--socket").map(|path| listen(Path::new(path)));
    let first: i32 = value("--conn").unwrap().parse().unwrap();
    // SAFETY: the descriptor was handed over for this purpose; nothing else here knows of it.
    let first = unsafe { OwnedFd::from_raw_fd(first) };
    let mut daemon = Daemon {
        mode: std::env::var(MODE).unwrap_or_default(),
        stopping: false,
    };
    daemon.serve(&Connection::new(first));
    while let Some(listener) = listener.as_ref().filter(|_| !daemon.stopping) {
        daemon.serve(&Connection::new(rustix::net::accept(listener).unwrap()));
    }
    if let Some(path) = value("--socket") {
        let _ = std::fs::remove_file(path);
    }
}

fn listen(path: &Path) -> OwnedFd {
    let flags = SocketFlags::CLOEXEC;
    let socket =
        rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
    rustix::net::bind(&socket, &SocketAddrUnix::new(path).unwrap()).unwrap();
    rustix::net::listen(&socket, 16).unwrap();
    socket
}

struct Daemon {
    mode: String,
    stopping: bool,
}

impl Daemon {
    fn serve(&mut self, connection: &Connection) {
        let Ok(Some(packet)) = connection.recv() else {
            return;
        };
        let request: Value = packet.parse().unwrap();
        let pid = std::process::id();
        match (request["op"].as_str().unwrap(), self.mode.as_str()) {
            ("run", "old") => {
                // The build that the command starts in its place is a fitting one.
                let answer = json!({"ev": "replace", "reason": "another build"});
                connection.send(&answer, &[]).unwrap();
            }
            ("run", "silent") => {
                eprintln!("Traceback\nRuntimeError: nothing works here");
                std::process::exit(9);
            }
            ("run", "garbage") => {
                rustix::net::send(connection, b"{]", rustix::net::SendFlags::empty()).unwrap();
            }
            ("run", _) => {
                assert_eq!(
                    packet.fds.len(),
                    4,
                    "the standard streams and the environment"
                );
                std::fs::File::from(packet.fds.into_iter().nth(1).unwrap())
                    .write_all(b"written by the session\n")
                    .unwrap();
                let out = format!("{pid} {}\n", request["argv"]);
                let answer =
                    json!({"ev": "exit", "status": 5, "out": out, "err": "and this\n", "new": 1});
                connection.send(&answer, &[]).unwrap();
                if self.mode == "lingers" {
                    // It has something to clean up.
                    let _ = connection.recv();
                    std::thread::sleep(std::time::Duration::from_millis(300));
                }
            }
            ("status", _) => {
                let status = json!({"pid": pid, "build": request["build"].as_str().unwrap_or("0")});
                connection.send(&status, &[]).unwrap();
            }
            ("stop", "stubborn") => {
                std::thread::sleep(std::time::Duration::from_secs(600));
            }
            ("stop", _) => {
                self.stopping = true;
                connection.send(&json!({"stopped": true}), &[]).unwrap();
            }
            (other, _) => panic!("no such request: {other}"),
        }
    }
}
