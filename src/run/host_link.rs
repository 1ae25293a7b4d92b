//! The connection to the run's host, and what is known of the host itself.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::process::Pid;

use super::output::TICK;
use crate::daemon::message::HostRequest;
use crate::daemon::wire::{Connection, Packet, WireError};
use crate::error::Error;

/// How long killed workers may take to disappear once nobody is left to reap them.
const PATIENCE: Duration = Duration::from_secs(5);

/// Sends requests to the host and remembers what it has said of itself, so that everybody knows
/// whether it is there, what may be asked of it and what its end means.
pub(super) struct HostLink<'a> {
    connection: &'a Connection,
    /// The daemon's log, for error messages.
    log: Option<PathBuf>,
    /// When the connection ended; `None` as long as it holds.
    ended_at: Option<Instant>,
    /// How often nothing has happened since, for as long as a tick.
    quiet_ticks: u32,
    /// Its process id; 0: not known.
    pid: i32,
    /// Its controller has records that it has not looked at yet.
    streaming: bool,
    /// It has fixtures that it finalizes when the last worker has ended.
    shares: bool,
    /// It was told to stop: its end is no surprise.
    stopping: bool,
    /// Its answer to `report`: the exit status and pytest's summary.
    summary: Option<(i32, String)>,
    /// A record came unasked, and no other follows.
    late_record: bool,
    /// It has ended the run by itself, with this status.
    exit_status: Option<i32>,
}

impl<'a> HostLink<'a> {
    /// `log`: the daemon's log, for error messages.
    pub fn new(connection: &'a Connection, log: Option<PathBuf>) -> Self {
        Self {
            connection,
            log,
            ended_at: None,
            quiet_ticks: 0,
            pid: 0,
            streaming: false,
            shares: false,
            stopping: false,
            summary: None,
            late_record: false,
            exit_status: None,
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
    ///
    /// # Errors
    /// The message makes no sense.
    pub fn receive(&self) -> Result<Option<Packet>, WireError> {
        self.connection.recv()
    }

    /// Sends a request; `false`: the host does not get it. Nothing has to be done about that: the
    /// connection's end of file is yet to be read, after whatever the host said last.
    pub fn send(&self, request: &HostRequest<'_>, fds: &[BorrowedFd<'_>]) -> bool {
        self.is_connected() && self.connection.send(request, fds).is_ok()
    }

    /// Asks for a worker process.
    pub fn spawn(&self, slot: u16, incarnation: u16) {
        self.send(&HostRequest::Spawn { slot, incarnation }, &[]);
    }

    /// Nothing more is asked of the host or heard from it.
    pub fn disconnect(&mut self) {
        self.ended_at.get_or_insert_with(Instant::now);
    }

    /// Whether the host may end the connection without anything being wrong.
    pub fn may_leave(&self) -> bool {
        self.stopping || self.exit_status.is_some()
    }

    /// The host has left when it should not have.
    pub fn went_away(&self) -> Error {
        Error::WentAway {
            who: "run's host process",
            doing: "the tests were running".into(),
            log: self.log.clone(),
        }
    }

    /// Nothing has happened for so long. What was waited for without a host is over after enough of
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

    /// The host runs in this process.
    pub fn attached(&mut self, pid: i32) {
        self.pid = pid;
    }

    /// Its process, if that is known to be there: it is as long as the connection.
    pub fn process(&self) -> Option<Pid> {
        let pid = Some(self.pid).filter(|&pid| pid > 0 && self.is_connected());
        pid.and_then(Pid::from_raw)
    }

    /// Whether the controller can be sent records. One message at a time: a slow hook must make
    /// neither this process nor the host wait.
    pub fn takes_records(&self) -> bool {
        self.is_connected() && !self.streaming
    }

    /// Hands `len` bytes of records to the controller.
    pub fn stream(&mut self, memfd: &OwnedFd, len: u64) {
        self.streaming = true;
        self.send(&HostRequest::Reports { len }, &[memfd.as_fd()]);
    }

    /// The controller has looked at them.
    pub fn has_taken_records(&mut self) {
        self.streaming = false;
    }

    /// The host has set up fixtures that all workers share.
    pub fn set_up_shared_fixtures(&mut self) {
        self.shares = true;
    }

    /// Whether fixtures are finalized when the last worker has ended.
    pub fn shares_fixtures(&self) -> bool {
        self.shares
    }

    /// A record came unasked; `more`: another one follows.
    pub fn has_sent_record(&mut self, more: bool) {
        self.late_record = !more;
    }

    /// Whether all records have come that the host sends unasked, and no report has begun since.
    pub fn has_late_record(&self) -> bool {
        self.late_record
    }

    /// A report begins, which has all records that have come by now.
    pub fn begin_report(&mut self) {
        self.late_record = false;
    }

    /// Asks for pytest's summary; `false`: it will not come.
    pub fn ask_for_summary(&mut self, request: &HostRequest<'_>, records: &OwnedFd) -> bool {
        let is_asked = self.send(request, &[records.as_fd()]);
        if is_asked {
            self.summary = None;
        }
        is_asked
    }

    /// The host has answered with an exit status and the summary's text.
    pub fn has_summarized(&mut self, status: i32, text: String) {
        self.summary = Some((status, text));
    }

    /// Its last answer.
    pub fn summary(&self) -> Option<&(i32, String)> {
        self.summary.as_ref()
    }

    /// The same, to keep.
    pub fn take_summary(&mut self) -> Option<(i32, String)> {
        self.summary.take()
    }

    /// Tells the host to end with this exit status. It tears shared fixtures down before it goes.
    pub fn stop(&mut self, status: i32) {
        self.stopping = true;
        self.send(&HostRequest::Stop { status }, &[]);
    }

    /// The host has ended the run by itself.
    pub fn has_exited(&mut self, status: i32) {
        self.exit_status = Some(status);
    }

    /// With which status it did, if it did.
    pub fn exit_status(&self) -> Option<i32> {
        self.exit_status
    }
}
