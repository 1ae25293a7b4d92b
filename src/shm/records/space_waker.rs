//! Wakes workers that wait for room in their rings, from a process that may perish of it.
//!
//! Setting an event locks a mutex that lies in the segment. When its owner was killed, that hangs;
//! when a test has written over it, the C library aborts, or follows pointers that it finds there.
//! Neither may happen to the parent, and a thread would only help against the first. So a small
//! child process does it: forked when a worker first waits (most runs have none), without
//! descriptors, memory of its own or a future. If it is lost, workers still look for room every
//! second.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, socketpair};

use crate::shm::Segment;
use crate::shm::segment::process_event;
use crate::shm::segment::signals_blocked::SignalsBlocked;

/// Wakes the workers of one segment.
#[derive(Debug)]
pub struct Waker {
    segment: Arc<Segment>,
    helper: Mutex<Option<Helper>>,
}

impl Segment {
    /// Makes the waker for workers that wait for room in their rings.
    #[must_use]
    pub fn waker(self: &Arc<Self>) -> Waker {
        Waker::new(self.clone())
    }
}

impl Waker {
    fn new(segment: Arc<Segment>) -> Self {
        Self {
            segment,
            helper: Mutex::new(None),
        }
    }

    /// Wakes the worker to which `slot` was given last, if it waits for room; for every
    /// [`RecordHead::space_waiter`](crate::shm::RecordHead::space_waiter). Never blocks.
    ///
    /// # Panics
    /// When there is no such slot.
    pub fn wake(&self, slot: u16) {
        let event = self.segment.private(slot).event();
        let Some(offset) = self.segment.geometry().event(event) else {
            return;
        };
        let mut helper = self.helper.lock().unwrap_or_else(PoisonError::into_inner);
        let message = (offset as u64).to_ne_bytes();
        // A helper that is stuck has a full socket, one that crashed a closed one: another takes
        // over.
        let sent = helper.as_ref().is_some_and(|helper| helper.send(&message));
        if !sent {
            *helper = Helper::start(&self.segment).ok();
            if let Some(helper) = &*helper {
                helper.send(&message);
            }
        }
    }
}

/// The child process.
#[derive(Debug)]
struct Helper {
    pid: rustix::process::Pid,
    socket: OwnedFd,
}

impl Helper {
    fn start(segment: &Segment) -> Result<Self, Errno> {
        let (ours, theirs) = socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )?;
        let parent = rustix::process::getpid();
        // Signals are blocked around the fork: the handlers that the child inherits write into the
        // parent's pipe.
        let signals = SignalsBlocked::new();
        // SAFETY: other threads of the parent may hold any lock; the child takes none but those in
        // the segment: it makes system calls and sets events, whose only allocations glibc's and
        // musl's `fork` keep usable.
        match unsafe { libc::fork() } {
            -1 => {
                Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::AGAIN))
            }
            0 => {
                let run = std::panic::AssertUnwindSafe(|| serve(segment, &theirs, parent));
                let _ = std::panic::catch_unwind(run);
                // SAFETY: ends the process at once; destructors and exit handlers are the parent's.
                unsafe { libc::_exit(0) }
            }
            pid => {
                drop(signals);
                let pid = rustix::process::Pid::from_raw(pid).ok_or(Errno::SRCH)?;
                Ok(Self { pid, socket: ours })
            }
        }
    }

    /// Whether the helper will get the message.
    fn send(&self, message: &[u8]) -> bool {
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        rustix::net::send(&self.socket, message, flags).is_ok()
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        // The helper may hang in a mutex, so it is not asked to end.
        let _ = rustix::process::kill_process(self.pid, rustix::process::Signal::KILL);
        while matches!(
            rustix::process::waitpid(Some(self.pid), rustix::process::WaitOptions::empty()),
            Err(Errno::INTR)
        ) {}
    }
}

/// The child's life: sets the events whose offsets it is told.
fn serve(segment: &Segment, socket: &OwnedFd, parent: rustix::process::Pid) {
    use rustix::process::{Signal, set_parent_process_death_signal};
    let _ = set_parent_process_death_signal(Some(Signal::KILL));
    // No core file, and no message either: descriptor 2 is closed below.
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    if rustix::process::getppid() != Some(parent) {
        return;
    }
    let own = socket.as_raw_fd() as libc::c_uint;
    for (first, last) in [(0, own.wrapping_sub(1)), (own + 1, libc::c_uint::MAX)] {
        if first <= last && last != own {
            // SAFETY: closes descriptors that nothing in this process uses any more; their owners
            // are never dropped.
            unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
        }
    }
    let mut message = [0_u8; 8];
    loop {
        match rustix::net::recv(socket.as_fd(), &mut message, RecvFlags::empty()) {
            Ok((8, _)) => {
                process_event::set(segment.memory(), u64::from_ne_bytes(message) as usize)
            }
            Err(Errno::INTR) => {}
            Ok(_) | Err(_) => return,
        }
    }
}
