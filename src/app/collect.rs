//! From the request to the collected tests: waiting for the session, on the user's terminal.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::interrupts::interrupted;
use super::output::print;
use super::shard;
use crate::daemon::Link;
use crate::daemon::exchange_error;
use crate::daemon::message::{Collected, HostEvent, HostRequest, RunRequest};
use crate::daemon::wire::{Packet, WireError, memfd_with, read_announced};
use crate::error::{Error, Result};
use crate::exit;
use crate::pool::{Ready, Received, Signals, Watched, stop_self, wait};
use crate::run;
use crate::test_list::TestList;
use crate::watch::Turn;

/// How a request was answered.
pub(super) enum Answer {
    /// The tests are known and a host waits.
    Ready {
        collected: Box<Collected>,
        test_list: TestList,
    },
    /// pytest has said all there is to say; its exit status.
    Ended(i32),
    /// The user has insisted on the end, and nobody is known who could be told.
    GivenUp,
    /// The daemon is of another build.
    Replace,
    /// The daemon went before it said anything: it was about to end.
    Gone,
    /// What listens at the daemon's socket says nothing, not even about itself.
    Mute,
}

/// After this much silence a daemon is asked whether it is there at all. A session that is busy
/// with another run may take long.
const SILENCE: Duration = Duration::from_secs(3);
/// After this long a run that nobody has begun with is a wait for somebody else, and no slow start.
const QUEUED: Duration = Duration::from_secs(30);
/// How long an interrupt waits for the process that collects to introduce itself, which it does
/// before it runs any code of the project: pytest deals with the interrupt then. Who waits for
/// another command's session has no such process.
const INTRODUCTION: Duration = Duration::from_secs(1);

/// The conversation until the tests are known.
struct Waiting<'a> {
    link: &'a mut Link,
    signals: &'a mut Signals,
    /// What shards are balanced by in this project.
    shard_history: Option<&'a Path>,
    /// The process that configures and collects, once it has introduced itself.
    collector: Option<OwnedFd>,
    /// What the session was made from, if it has said so.
    dependencies: Option<Vec<u8>>,
    spoke: bool,
    /// Asked for its status, the daemon has given it.
    answered: bool,
    interrupts: u32,
    /// When the first one came.
    interrupted_at: Option<Instant>,
    /// The collector's process id.
    pid: i32,
    began: Instant,
    /// The user was told what is waited for.
    told: bool,
}

/// Sends the request with this process's standard streams and waits for the answer. Signals go to
/// the process that collects: it may be anything from an import to a debugger.
pub(super) fn collect(
    link: &mut Link,
    request: &RunRequest,
    signals: &mut Signals,
    shard_history: Option<&Path>,
    turn: Option<&mut Turn>,
) -> Result<Answer> {
    let streams = (io::stdin(), io::stdout(), io::stderr());
    let environment = serde_json::to_vec(&request.env)
        .map_err(io::Error::from)
        .and_then(|json| memfd_with("rpytest-environment", &[&json]))
        .map_err(|error| Error::os("make a file in memory", error))?;
    let fds = [
        streams.0.as_fd(),
        streams.1.as_fd(),
        streams.2.as_fd(),
        environment.as_fd(),
    ];
    match link.connection.send(request, &fds) {
        Ok(()) => {}
        // The daemon ends, or was killed, as it is asked: what it said before is still to be read.
        Err(WireError::Io(error))
            if matches!(
                error.kind(),
                io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
            ) => {}
        Err(error) => return Err(exchange_error("the run was asked for", link.log(), error)),
    }
    let mut waiting = Waiting {
        link,
        signals,
        shard_history,
        collector: None,
        dependencies: None,
        spoke: false,
        answered: false,
        interrupts: 0,
        interrupted_at: None,
        pid: 0,
        began: Instant::now(),
        told: false,
    };
    let answer = loop {
        if let Some(answer) = waiting.step()? {
            break answer;
        }
    };
    if let Some(turn) = turn {
        turn.interrupts += waiting.interrupts;
        turn.dependencies = waiting.dependencies.take().or(turn.dependencies.take());
    }
    Ok(answer)
}

impl Waiting<'_> {
    fn step(&mut self) -> Result<Option<Answer>> {
        let watched = Watched {
            control: Some(self.link.connection.as_fd()),
            signals: self.signals.as_fd(),
            bell: None,
            workers: Vec::new(),
        };
        let doubtful = !self.spoke && !self.answered && !self.link.is_new();
        let patience = match self.interrupted_at {
            Some(at) if self.collector.is_none() => {
                let left = INTRODUCTION.saturating_sub(at.elapsed());
                if left.is_zero() {
                    return Ok(Some(Answer::Ended(interrupted())));
                }
                Some(left)
            }
            _ if doubtful || !self.told => Some(SILENCE),
            _ => None,
        };
        let ready =
            wait(&watched, patience).map_err(|error| Error::os("wait for the daemon", error))?;
        if self.interrupted_at.is_some() && self.collector.is_none() && ready == Ready::default() {
            // The patience is over. The clock need not say so: it may stand still (libfaketime).
            return Ok(Some(Answer::Ended(interrupted())));
        }
        if ready.signals {
            for signal in self.signals.pending() {
                self.signal(signal);
            }
            if self.interrupts > 1 && self.collector.is_none() {
                // Nobody is there to pass the interrupt on to, and the user insists.
                return Ok(Some(Answer::GivenUp));
            }
        }
        if !ready.control && !ready.signals {
            self.explain();
        }
        if !ready.control {
            if doubtful && !ready.signals && self.interrupts == 0 {
                self.answered = self.link.is_alive();
                return Ok((!self.answered).then_some(Answer::Mute));
            }
            return Ok(None);
        }
        let received = self.link.connection.recv();
        match received.map_err(|error| self.failed(error))? {
            Some(packet) => {
                self.spoke = true;
                self.link.spoke();
                self.message(packet)
            }
            None => self.end_of_file().map(Some),
        }
    }

    fn failed(&self, error: WireError) -> Error {
        exchange_error("the tests were collected", self.link.log(), error)
    }

    fn message(&mut self, packet: Packet) -> Result<Option<Answer>> {
        let event = packet.parse().map_err(|error| self.failed(error))?;
        let fd = packet.fds.into_iter().next();
        match event {
            HostEvent::Collecting { pid } => {
                self.collector = fd;
                self.pid = pid;
                if self.interrupts > 0 {
                    self.interrupt(Signal::INT);
                }
                Ok(None)
            }
            HostEvent::Collected(collected) => {
                let test_list = self.test_list(collected.tests, collected.inventory_len, fd)?;
                if self.interrupts > 0 {
                    return Ok(Some(Answer::Ended(exit::INTERRUPTED)));
                }
                Ok(Some(Answer::Ready {
                    collected,
                    test_list,
                }))
            }
            HostEvent::Exit(exit) => {
                print(io::stdout().lock(), &exit.out);
                print(io::stderr().lock(), &exit.err);
                Ok(Some(Answer::Ended(exit.status)))
            }
            HostEvent::Shard(question) => {
                let test_list = self.test_list(question.tests, question.inventory_len, fd)?;
                shard::answer(self.link, &question, self.shard_history, &test_list)
                    .map_err(|error| self.failed(error))?;
                Ok(None)
            }
            HostEvent::Dependencies { len } => {
                let missing = || WireError::Malformed("the dependencies are missing".into());
                let read = fd
                    .ok_or_else(missing)
                    .and_then(|memfd| read_announced(memfd, len));
                self.dependencies = Some(read.map_err(|error| self.failed(error))?);
                Ok(None)
            }
            HostEvent::Replace { .. } => Ok(Some(Answer::Replace)),
            HostEvent::Unknown => Ok(None),
            HostEvent::Attached { .. }
            | HostEvent::Notice { .. }
            | HostEvent::Born { .. }
            | HostEvent::Died(_)
            | HostEvent::Stack { .. }
            | HostEvent::Debugger { .. }
            | HostEvent::Fixtures(_)
            | HostEvent::Stop(_)
            | HostEvent::Record { .. }
            | HostEvent::Summary { .. }
            | HostEvent::Taken { .. } => Err(Error::protocol(
                "session",
                "it spoke of a run that has not begun",
            )),
        }
    }

    fn test_list(&self, tests: u32, len: u64, memfd: Option<OwnedFd>) -> Result<TestList> {
        let missing = || WireError::Malformed("the inventory is missing".into());
        let parsed = memfd
            .ok_or_else(missing)
            .and_then(|memfd| read_announced(memfd, len))
            .and_then(|json| TestList::parse(&json, tests));
        parsed.map_err(|error| self.failed(error))
    }

    fn end_of_file(&mut self) -> Result<Answer> {
        if self.interrupts > 0 {
            // The process did not live to say so.
            print(
                io::stderr().lock(),
                "!!! interrupted while the tests were collected !!!\n",
            );
            return Ok(Answer::Ended(exit::INTERRUPTED));
        }
        if !self.spoke {
            return Ok(Answer::Gone);
        }
        Err(Error::WentAway {
            who: "session's process",
            doing: "the tests were collected".into(),
            log: self.link.log().map(Into::into),
        })
    }

    fn signal(&mut self, signal: Received) {
        match signal {
            Received::Resize => self.forward(Signal::WINCH),
            Received::Suspend => {
                // SIGTSTP would not stop the process: in a session of its own its process group is
                // orphaned.
                self.forward(Signal::STOP);
                stop_self();
                self.forward(Signal::CONT);
            }
            Received::End(signal) => {
                self.interrupts += 1;
                self.interrupted_at.get_or_insert_with(Instant::now);
                if self.collector.is_some() {
                    self.interrupt(signal);
                } else {
                    // A daemon that is gone is noticed by the end of the connection.
                    let _ = self.link.connection.send(&HostRequest::Interrupt, &[]);
                }
            }
        }
    }

    /// Nothing has been heard for a while: says so if that won't change by itself, or nobody else
    /// can.
    fn explain(&mut self) {
        if self.told || self.began.elapsed() < SILENCE {
            return;
        }
        let text = if self.collector.is_some() {
            if !run::is_stopped(self.pid) {
                return;
            }
            let pid = self.pid;
            format!(
                "warning: the process that collects the tests is stopped (process {pid})\n\
                 hint: `kill -CONT {pid}` lets it go on; Ctrl-C ends the run\n"
            )
        } else if self.began.elapsed() > QUEUED {
            "note: waiting for the project's session: another command may be using it (`rpytest \
             --daemon-status`)\n"
                .to_owned()
        } else {
            return;
        };
        self.told = true;
        print(io::stderr().lock(), &text);
    }

    /// Passes a signal on to the process that collects.
    fn interrupt(&self, signal: Signal) {
        self.forward(signal);
        // The process may be stopped, and deals with the signal when it goes on.
        self.forward(Signal::CONT);
    }

    fn forward(&self, signal: Signal) {
        if let Some(collector) = &self.collector {
            // Ended in the meantime: then the connection tells the rest.
            let _ = rustix::process::pidfd_send_signal(collector, signal);
        }
    }
}
