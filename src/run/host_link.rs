//! The connection to the run's host, and what is known of the host itself.

use std::cell::OnceCell;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::process::Pid;

use super::output::TICK;
use crate::daemon::message::HostRequest;
use crate::daemon::wire::{Connection, Packet, WireError};
use crate::error::Error;

/// How long killed workers may take to disappear once nobody is left to reap them.
const PATIENCE: Duration = Duration::from_secs(5);

/// Carries requests to the host as long as it is there, and knows since when it is not.
pub(super) struct HostLink<'a> {
    connection: &'a Connection,
    /// The daemon's log, for error messages.
    log: Option<PathBuf>,
    /// When the connection ended; `None` as long as it holds.
    ended_at: Option<Instant>,
    /// Why a request could not be sent, although the host was there.
    unsent: OnceCell<io::Error>,
    /// How often nothing has happened since, for as long as a tick.
    quiet_ticks: u32,
    /// What it has said of itself.
    pub said: HostState,
}

/// What the host has said of itself, and what it was told.
#[derive(Debug, Default)]
pub(super) struct HostState {
    /// Its process id; 0: not known.
    pub pid: i32,
    /// Session fixtures are shared; it finalizes them when the last worker has ended.
    pub shares: bool,
    /// Its controller has records that it has not looked at yet.
    pub streaming: bool,
    /// All workers have ended: it finalizes what they shared.
    pub finishing: bool,
    /// It was told to stop: its end is no surprise.
    pub stopping: bool,
    /// Its answer to `report`: the exit status and pytest's summary.
    pub summary: Option<(i32, String)>,
    /// A record came unasked, and no other follows.
    pub late_record: bool,
    /// It has ended the run by itself, with this status.
    pub exit_status: Option<i32>,
}

impl<'a> HostLink<'a> {
    /// `log`: the daemon's, for error messages.
    pub fn new(connection: &'a Connection, log: Option<PathBuf>) -> Self {
        Self {
            connection,
            log,
            ended_at: None,
            unsent: OnceCell::new(),
            quiet_ticks: 0,
            said: HostState::default(),
        }
    }

    /// `false` once the connection has ended.
    pub fn is_connected(&self) -> bool {
        self.ended_at.is_none()
    }

    /// What to watch for messages; `None` once the connection has ended.
    pub fn watched(&self) -> Option<BorrowedFd<'a>> {
        self.is_connected().then(|| self.connection.as_fd())
    }

    /// Reads one message, which is there; `None`: the host has closed the connection.
    pub fn receive(&self) -> Result<Option<Packet>, WireError> {
        self.connection.recv()
    }

    /// Sends a request; `false`: the host does not get it. Nothing has to be done about that: the
    /// connection's end of file is yet to be read, after whatever the host said last.
    pub fn send(&self, request: &HostRequest<'_>, fds: &[BorrowedFd<'_>]) -> bool {
        if !self.is_connected() {
            return false;
        }
        let sent = self.connection.send(request, fds);
        if let Err(WireError::Io(error)) = sent {
            self.could_not_send(error);
            return false;
        }
        sent.is_ok()
    }

    /// If the host is still there, it waits for a request that it will never get: no descriptor or
    /// no memory was left for it here. The end of the connection is what both understand.
    fn could_not_send(&self, error: io::Error) {
        let is_gone = [io::ErrorKind::BrokenPipe, io::ErrorKind::ConnectionReset];
        if !is_gone.contains(&error.kind()) {
            self.connection.shut_down();
            let _ = self.unsent.set(error);
        }
    }

    /// Asks for the worker that was reserved in `slot`; `false`: none was.
    pub fn spawn(&self, slot: u16, reserved: Option<u16>) -> bool {
        if let Some(incarnation) = reserved {
            self.send(&HostRequest::Spawn { slot, incarnation }, &[]);
        }
        reserved.is_some()
    }

    /// Nothing more is asked of the host or heard from it.
    pub fn disconnect(&mut self) {
        self.ended_at.get_or_insert_with(Instant::now);
    }

    /// What the user is told if the host has left when it should not have.
    pub fn went_away(&mut self) -> Option<Error> {
        let is_surprise = !self.said.stopping && self.said.exit_status.is_none();
        let unsent = self.unsent.take();
        if let Some(error) = unsent {
            // That the host was told to stop explains nothing: it was not told.
            return Some(Error::os("tell the run's host process what to do", error));
        }
        is_surprise.then(|| Error::WentAway {
            who: "run's host process",
            doing: "the tests were running".into(),
            log: self.log.clone(),
        })
    }

    /// Nothing has happened for so long. What is waited for without a host is over after enough of
    /// that, whatever the clock says: it may stand still (libfaketime).
    pub fn was_quiet_for(&mut self, limit: Duration) {
        self.quiet_ticks += u32::from(!self.is_connected() && limit >= TICK);
    }

    /// Whether killed workers may still disappear by themselves, now that nobody reaps them.
    pub fn is_patient(&self) -> bool {
        let is_recent = |since: Instant| since.elapsed() < PATIENCE;
        u128::from(self.quiet_ticks) * TICK.as_millis() < PATIENCE.as_millis()
            && self.ended_at.is_some_and(is_recent)
    }

    /// Its process, if that is known to be there: it is as long as the connection.
    pub fn process(&self) -> Option<Pid> {
        let pid = Some(self.said.pid).filter(|&pid| pid > 0 && self.is_connected());
        pid.and_then(Pid::from_raw)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (Connection, Connection) {
        let kind = rustix::net::SocketType::SEQPACKET;
        let flags = rustix::net::SocketFlags::CLOEXEC;
        let domain = rustix::net::AddressFamily::UNIX;
        let (one, other) = rustix::net::socketpair(domain, kind, flags, None).unwrap();
        (Connection::new(one), Connection::new(other))
    }

    #[test]
    fn both_sides_see_the_end_if_a_request_can_not_be_sent() {
        let (here, there) = pair();
        let mut host = HostLink::new(&here, None);
        assert!(host.send(&HostRequest::Interrupt, &[]));
        host.could_not_send(io::Error::from_raw_os_error(
            rustix::io::Errno::MFILE.raw_os_error(),
        ));
        host.said.stopping = true;
        assert!(there.recv().unwrap().is_some());
        assert!(there.recv().unwrap().is_none());
        assert!(host.receive().unwrap().is_none());
        let error = host.went_away().unwrap().to_string();
        assert!(error.contains("tell the run's host process"), "{error}");
    }

    #[test]
    fn a_host_that_is_gone_is_no_error_of_ours() {
        let (here, there) = pair();
        let mut host = HostLink::new(&here, None);
        drop(there);
        assert!(!host.send(&HostRequest::Interrupt, &[]));
        let error = host.went_away().unwrap();
        assert!(matches!(error, Error::WentAway { .. }), "{error}");
    }
}
