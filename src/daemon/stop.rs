//! `--daemon-stop`, and what else is said to a daemon that this command does not use: it is asked
//! for its status, asked to end, or killed.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{PidfdFlags, Signal};

use super::launch::readable;
use super::message::{DaemonStatus, PlainRequest};
use super::reach::{exchange_error, reach};
use super::socket_path::Place;
use super::wire::Connection;
use crate::error::{Error, Result};

/// How long a daemon may take to end before it is killed.
const PATIENCE: Duration = Duration::from_secs(5);

/// Part of it after which it is looked whether it is over.
const SLICE: Duration = Duration::from_millis(100);

/// How long it may take to answer before it is taken for dead: a machine that is busy, or waits for
/// its disk, can keep it from that for seconds.
const ANSWER_PATIENCE: Duration = Duration::from_secs(10);

const STOPPING: &str = "stopping it";

/// Ends every daemon of this interpreter; returns what to print.
///
/// # Errors
/// When one can't be ended.
pub fn stop(python: &Path) -> Result<String> {
    let place = Place::new(python)?;
    let mut stopped = 0_usize;
    for socket in place.siblings() {
        stopped += usize::from(end(&socket)?);
        // A daemon removes its own socket; one that was killed could not.
        let _ = std::fs::remove_file(&socket);
    }
    Ok(match stopped {
        0 => format!("no daemon is running for {}\n", python.display()),
        1 => "daemon stopped\n".to_owned(),
        n => format!("{n} daemons stopped\n"),
    })
}

/// Whether what listens at `socket` is a daemon that answers.
pub(super) fn answers(socket: &Path) -> bool {
    matches!(reach(socket), Ok(Some(connection)) if ask(&connection).is_ok())
}

/// Kills what listens at `socket`, without asking first.
pub(super) fn kill(socket: &Path) -> Result<()> {
    if let Some(connection) = reach(socket)?
        && let Some(pidfd) = process_of(&connection)?
    {
        kill_process(&pidfd, socket)?;
    }
    Ok(())
}

/// The process at the other end, unless it is gone.
fn process_of(connection: &Connection) -> Result<Option<OwnedFd>> {
    let peer = rustix::net::sockopt::socket_peercred(connection)
        .map_err(|errno| Error::os("ask for the daemon's process id", errno.into()))?;
    Ok(rustix::process::pidfd_open(peer.pid, PidfdFlags::empty()).ok())
}

fn kill_process(pidfd: &OwnedFd, socket: &Path) -> Result<()> {
    rustix::process::pidfd_send_signal(pidfd, Signal::KILL).or_else(|errno| match errno {
        rustix::io::Errno::SRCH => Ok(()),
        other => Err(Error::os("kill the daemon", other.into())),
    })?;
    match readable(pidfd, PATIENCE) {
        Ok(true) => Ok(()),
        _ => Err(exchange_timeout(socket, STOPPING)),
    }
}

/// Ends the daemon that listens at `socket`: asks, waits, kills. `false` when nobody listens.
pub(super) fn end(socket: &Path) -> Result<bool> {
    let Some(connection) = reach(socket)? else {
        return Ok(false);
    };
    let pidfd = process_of(&connection)?;
    let asked = connection.send(&PlainRequest::STOP, &[]);
    let mut left = PATIENCE;
    let ended = asked.is_ok() && closes(&connection, &mut left);
    let Some(pidfd) = pidfd else {
        return if ended {
            Ok(true)
        } else {
            Err(exchange_timeout(socket, STOPPING))
        };
    };
    if ended && readable(&pidfd, left.max(Duration::from_millis(100))).unwrap_or(false) {
        return Ok(true);
    }
    kill_process(&pidfd, socket)?;
    Ok(true)
}

/// Reads until the connection ends; `false` when it is still open after `left`, of which it takes
/// what it has waited for.
///
/// The waiting is counted: a clock may stand still, or be far ahead (libfaketime in the environment
/// of the command).
fn closes(connection: &Connection, left: &mut Duration) -> bool {
    while !left.is_zero() {
        match readable(connection.as_fd(), SLICE) {
            Ok(true) => match connection.recv() {
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => return true,
            },
            Ok(false) => *left = left.saturating_sub(SLICE),
            Err(_) => return false,
        }
    }
    false
}

pub(super) fn ask(connection: &Connection) -> Result<DaemonStatus> {
    let doing = "asking for its status";
    let failed = |error| exchange_error(doing, None, error);
    connection
        .send(&PlainRequest::STATUS, &[])
        .map_err(failed)?;
    if !readable(connection.as_fd(), ANSWER_PATIENCE).unwrap_or(false) {
        return Err(Error::WentAway {
            who: "daemon",
            doing: doing.into(),
            log: None,
        });
    }
    match connection.recv().map_err(failed)? {
        Some(packet) => packet.parse().map_err(failed),
        None => Err(Error::WentAway {
            who: "daemon",
            doing: doing.into(),
            log: None,
        }),
    }
}

fn exchange_timeout(socket: &Path, doing: &str) -> Error {
    let log: PathBuf = socket.with_extension("log");
    Error::WentAway {
        who: "daemon",
        doing: doing.into(),
        log: Some(log),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_listens_at_a_missing_or_stale_socket() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("d.sock");
        assert!(!end(&path).unwrap());
        let address = rustix::net::SocketAddrUnix::new(&path).unwrap();
        let socket = rustix::net::socket(
            rustix::net::AddressFamily::UNIX,
            rustix::net::SocketType::SEQPACKET,
            None,
        )
        .unwrap();
        rustix::net::bind(&socket, &address).unwrap();
        rustix::net::listen(&socket, 4).unwrap();
        drop(socket);
        assert!(path.exists());
        assert!(!end(&path).unwrap());
    }
}
