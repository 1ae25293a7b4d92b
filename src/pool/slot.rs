//! Worker slots: which process is in which one, and how many may still be started.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::process::Signal;

/// Successors for each slot that are woken when there is room in their rings.
const SUCCESSORS: u32 = 16;

/// A live worker process.
#[derive(Debug)]
pub struct Worker {
    pub pid: i32,
    pub pidfd: OwnedFd,
    /// Bodies that were too large for its ring.
    pub spill: OwnedFd,
    /// The pidfd has said that the process ended; the host has still to reap it.
    pub ended: bool,
}

/// How a reaped worker ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Death {
    /// The status that `waitpid` has returned.
    pub status: i32,
    /// What the crash wrote; may be empty.
    pub stack: String,
}

impl Death {
    /// Whether the worker ended by itself with status 0.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.status == 0
    }

    /// The signal that killed it.
    #[must_use]
    pub fn signal(&self) -> Option<i32> {
        libc::WIFSIGNALED(self.status).then(|| libc::WTERMSIG(self.status))
    }

    /// `killed by SIGSEGV`, or `exit status 3`.
    #[must_use]
    pub fn cause(&self) -> String {
        match self.signal() {
            Some(signal) => match signal_hook::low_level::signal_name(signal) {
                Some(name) => format!("killed by {name}"),
                None => format!("killed by signal {signal}"),
            },
            None => format!("exit status {}", libc::WEXITSTATUS(self.status)),
        }
    }
}

/// Where a slot stands.
#[derive(Debug)]
pub enum SlotStatus {
    /// The host was told to fork a worker.
    Asked,
    Alive(Worker),
    /// No process, and none is coming.
    Empty,
}

/// One slot.
#[derive(Debug)]
struct Slot {
    incarnation: u16,
    status: SlotStatus,
}

/// All slots of a run.
#[derive(Debug)]
pub struct Pool {
    slots: Vec<Slot>,
    /// Worker processes that can be started, in all.
    incarnations: u32,
    started: u32,
    /// Workers that followed another one in its slot.
    successors: u32,
    restarts_left: u32,
    max_restarts: u32,
}

impl Pool {
    /// `count` slots, each with a first worker on its way; `max_restarts` crashed workers are
    /// replaced, `spare` more processes are kept for work that a worker gave back when the others
    /// had left.
    #[must_use]
    pub fn new(count: u16, max_restarts: u32) -> Self {
        let slots = (0..count)
            .map(|_| Slot {
                incarnation: 0,
                status: SlotStatus::Asked,
            })
            .collect();
        let incarnations = Self::incarnations_for(count, max_restarts);
        Self {
            slots,
            incarnations,
            started: count.into(),
            successors: 0,
            restarts_left: max_restarts,
            max_restarts,
        }
    }

    /// Worker processes that there can be in a run: the first ones, their replacements, and for
    /// each slot one that takes up work that was given back and one for the tests that run alone.
    #[must_use]
    pub fn incarnations_for(count: u16, max_restarts: u32) -> u32 {
        // A segment has an event for each; nobody waits for ten thousand restarts.
        let restarts = max_restarts.min(4096);
        3 * u32::from(count) + restarts
    }

    /// For how many workers a segment has events: all that there can be, and those that follow
    /// others in their slots. Of these there may be more, which then wait without an event.
    #[must_use]
    pub fn events_for(count: u16, max_restarts: u32) -> u32 {
        Self::incarnations_for(count, max_restarts) + SUCCESSORS * u32::from(count)
    }

    #[must_use]
    pub fn len(&self) -> u16 {
        u16::try_from(self.slots.len()).unwrap_or(u16::MAX)
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// How many crashed workers may be replaced in all.
    #[must_use]
    pub fn max_restarts(&self) -> u32 {
        self.max_restarts
    }

    #[must_use]
    pub fn incarnation(&self, slot: u16) -> u16 {
        self.slots[usize::from(slot)].incarnation
    }

    #[must_use]
    pub fn status(&self, slot: u16) -> &SlotStatus {
        &self.slots[usize::from(slot)].status
    }

    /// The worker of `slot`, if it is alive or not yet reaped.
    #[must_use]
    pub fn worker(&self, slot: u16) -> Option<&Worker> {
        match self.status(slot) {
            SlotStatus::Alive(worker) => Some(worker),
            _ => None,
        }
    }

    /// Whether `slot` has a worker or will get one.
    #[must_use]
    pub fn is_occupied(&self, slot: u16) -> bool {
        !matches!(self.status(slot), SlotStatus::Empty)
    }

    /// Whether any slot has a worker or will get one.
    #[must_use]
    pub fn any_occupied(&self) -> bool {
        (0..self.len()).any(|slot| self.is_occupied(slot))
    }

    /// Whether any worker process runs.
    #[must_use]
    pub fn any_alive(&self) -> bool {
        (0..self.len()).any(|slot| self.worker(slot).is_some_and(|worker| !worker.ended))
    }

    /// The host has forked the worker it was asked for; `false`: it was not asked for this one.
    pub fn born(&mut self, slot: u16, incarnation: u16, worker: Worker) -> bool {
        match self.slots.get_mut(usize::from(slot)) {
            Some(slot)
                if slot.incarnation == incarnation && matches!(slot.status, SlotStatus::Asked) =>
            {
                slot.status = SlotStatus::Alive(worker);
                true
            }
            _ => false,
        }
    }

    /// The worker's process has ended; it is not watched any more.
    pub fn ended(&mut self, slot: u16) {
        if let SlotStatus::Alive(worker) = &mut self.slots[usize::from(slot)].status {
            worker.ended = true;
        }
    }

    /// The worker was reaped: the slot is empty. `false`: it was no worker of this slot.
    pub fn reaped(&mut self, slot: u16, incarnation: u16) -> bool {
        match self.slots.get_mut(usize::from(slot)) {
            Some(slot)
                if slot.incarnation == incarnation && !matches!(slot.status, SlotStatus::Empty) =>
            {
                slot.status = SlotStatus::Empty;
                true
            }
            _ => false,
        }
    }

    /// Reserves a replacement for a crashed worker: its incarnation and the number of the event it
    /// may wait on. `None`: no more are allowed.
    pub fn restart(&mut self, slot: u16) -> Option<(u16, u32)> {
        self.restarts_left = self.restarts_left.checked_sub(1)?;
        self.next(slot)
    }

    /// Reserves a fresh worker that goes on where the last one of its slot left off in an orderly
    /// way: that is no restart, and there may be any number of them. `None`: as many as a slot can
    /// count.
    pub fn succeed(&mut self, slot: u16) -> Option<(u16, u32)> {
        let event = self.incarnations.checked_add(self.successors)?;
        let slot = &mut self.slots[usize::from(slot)];
        slot.incarnation = slot.incarnation.checked_add(1)?;
        slot.status = SlotStatus::Asked;
        self.successors += 1;
        Some((slot.incarnation, event))
    }

    /// Reserves a fresh worker for a slot whose last one left in an orderly way, when all have.
    /// `None`: too many were started already.
    pub fn next(&mut self, slot: u16) -> Option<(u16, u32)> {
        if self.started >= self.incarnations {
            return None;
        }
        let event = self.started;
        let slot = &mut self.slots[usize::from(slot)];
        slot.incarnation = slot.incarnation.checked_add(1)?;
        slot.status = SlotStatus::Asked;
        self.started += 1;
        Some((slot.incarnation, event))
    }

    /// Slots with a process that is worth watching.
    pub fn watched(&self) -> impl Iterator<Item = (u16, BorrowedFd<'_>)> {
        (0..self.len()).filter_map(|slot| {
            let worker = self.worker(slot).filter(|worker| !worker.ended)?;
            Some((slot, worker.pidfd.as_fd()))
        })
    }

    /// Sends `signal` to every live worker.
    pub fn signal_all(&self, signal: Signal) {
        for (slot, _) in self.watched() {
            self.signal(slot, signal);
        }
    }

    /// Sends `signal` to the worker of `slot`, if it is alive.
    pub fn signal(&self, slot: u16, signal: Signal) {
        if let Some(worker) = self.worker(slot) {
            // A pidfd never means another process; one that has just ended says ESRCH, and then all
            // is well.
            let _ = rustix::process::pidfd_send_signal(&worker.pidfd, signal);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use rustix::process::{Pid, PidfdFlags};

    use super::*;

    fn worker_of(pid: u32) -> Worker {
        let pid = i32::try_from(pid).unwrap();
        let pidfd = rustix::process::pidfd_open(Pid::from_raw(pid).unwrap(), PidfdFlags::empty());
        let spill = rustix::fs::memfd_create("spill", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
        Worker {
            pid,
            pidfd: pidfd.unwrap(),
            spill,
            ended: false,
        }
    }

    #[test]
    fn a_slot_is_asked_for_then_alive_then_empty() {
        let mut pool = Pool::new(2, 1);
        assert!(pool.any_occupied() && !pool.any_alive());
        assert!(
            !pool.born(0, 1, worker_of(std::process::id())),
            "nobody asked for that incarnation"
        );
        assert!(
            !pool.born(9, 0, worker_of(std::process::id())),
            "there is no such slot"
        );
        assert!(pool.born(0, 0, worker_of(std::process::id())));
        assert!(
            !pool.born(0, 0, worker_of(std::process::id())),
            "it is there already"
        );
        assert!(pool.any_alive());
        pool.ended(0);
        assert!(!pool.any_alive() && pool.is_occupied(0));
        assert!(!pool.reaped(0, 1));
        assert!(pool.reaped(0, 0) && !pool.reaped(0, 0));
        assert!(!pool.is_occupied(0) && pool.is_occupied(1));
    }

    #[test]
    fn replacements_are_limited_and_events_never_used_twice() {
        let mut pool = Pool::new(2, 2);
        let mut events = vec![0, 1];
        for slot in [0, 1] {
            let (incarnation, event) = pool.restart(slot).unwrap();
            assert_eq!(incarnation, 1);
            events.push(event);
        }
        assert_eq!(pool.restart(0), None);
        while let Some((_, event)) = pool.next(1) {
            events.push(event);
        }
        let count = Pool::incarnations_for(2, 2);
        assert_eq!(events, (0..count).collect::<Vec<_>>());
        // A worker that follows another one is no replacement, and has an event as well.
        assert_eq!(pool.succeed(0), Some((2, count)));
        assert_eq!(pool.succeed(0), Some((3, count + 1)));
        assert!(count + 1 < Pool::events_for(2, 2));
    }

    #[test]
    fn causes_are_named() {
        let cause = |status| {
            Death {
                status,
                stack: String::new(),
            }
            .cause()
        };
        assert_eq!(cause(11), "killed by SIGSEGV");
        assert_eq!(cause(128 + 11), "killed by SIGSEGV");
        assert_eq!(cause(3 << 8), "exit status 3");
        assert_eq!(cause(0), "exit status 0");
    }

    #[test]
    fn signals_reach_the_worker() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let mut pool = Pool::new(1, 0);
        assert!(pool.born(0, 0, worker_of(child.id())));
        pool.signal_all(Signal::KILL);
        let status = child.wait().unwrap();
        assert_eq!(
            std::os::unix::process::ExitStatusExt::signal(&status),
            Some(9)
        );
        pool.signal_all(Signal::KILL);
    }
}
