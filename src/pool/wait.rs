//! One sleep for everything that can happen in a run.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// What to sleep on.
#[derive(Debug)]
pub struct Watched<'a> {
    /// The control connection; `None` once it has ended.
    pub control: Option<BorrowedFd<'a>>,
    pub signals: BorrowedFd<'a>,
    /// The eventfd that workers write to.
    pub bell: Option<BorrowedFd<'a>>,
    /// Slots and their live workers.
    pub workers: Vec<(u16, BorrowedFd<'a>)>,
}

/// What happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ready {
    pub control: bool,
    pub signals: bool,
    pub bell: bool,
    /// Slots whose worker has ended.
    pub ended: Vec<u16>,
}

impl Ready {
    /// Whether nothing has happened.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// Sleeps until something happens or `limit` is over; `None`: no limit.
///
/// # Errors
/// What `poll` says, interruptions aside.
pub fn wait(watched: &Watched<'_>, limit: Option<Duration>) -> io::Result<Ready> {
    let fixed = [watched.control, Some(watched.signals), watched.bell];
    let workers = watched.workers.iter().map(|(_, fd)| *fd);
    let mut fds: Vec<PollFd<'_>> = fixed
        .into_iter()
        .flatten()
        .chain(workers)
        .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN))
        .collect();
    let limit = limit.map(|limit| Timespec {
        tv_sec: limit.as_secs().try_into().unwrap_or(i64::MAX),
        tv_nsec: limit.subsec_nanos().into(),
    });
    match poll(&mut fds, limit.as_ref()) {
        Ok(_) => {}
        // A signal: it is in the pipe, which the next call sees.
        Err(Errno::INTR) => return Ok(Ready::default()),
        Err(errno) => return Err(errno.into()),
    }
    let mut answers = fds.iter().map(|fd| !fd.revents().is_empty());
    let mut take = |present: bool| present && answers.next().unwrap_or(false);
    let control = take(watched.control.is_some());
    let signals = take(true);
    let bell = take(watched.bell.is_some());
    let ended = watched
        .workers
        .iter()
        .filter_map(|(slot, _)| take(true).then_some(*slot))
        .collect();
    Ok(Ready {
        control,
        signals,
        bell,
        ended,
    })
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn says_which_of_them() {
        let (a, b) = std::os::unix::net::UnixStream::pair().unwrap();
        let flags = rustix::event::EventfdFlags::empty();
        let quiet = rustix::event::eventfd(0, flags).unwrap();
        let loud = rustix::event::eventfd(1, flags).unwrap();
        let watched = |control| Watched {
            control,
            signals: quiet.as_fd(),
            bell: Some(loud.as_fd()),
            workers: vec![(3, quiet.as_fd()), (5, loud.as_fd())],
        };
        let ready = wait(&watched(Some(a.as_fd())), None).unwrap();
        assert_eq!(
            ready,
            Ready {
                bell: true,
                ended: vec![5],
                ..Ready::default()
            }
        );
        // `drop` would not end the connection: a test beside this one may just have forked, and its
        // process has `b`, too.
        b.shutdown(std::net::Shutdown::Both).unwrap();
        let ready = wait(&watched(Some(a.as_fd())), None).unwrap();
        assert_eq!(
            ready,
            Ready {
                control: true,
                bell: true,
                ended: vec![5],
                ..Ready::default()
            }
        );
        let ready = wait(&watched(None), None).unwrap();
        assert_eq!(
            ready,
            Ready {
                bell: true,
                ended: vec![5],
                ..Ready::default()
            }
        );
        let nothing = Watched {
            control: None,
            signals: quiet.as_fd(),
            bell: None,
            workers: vec![],
        };
        assert_eq!(
            wait(&nothing, Some(Duration::from_millis(1))).unwrap(),
            Ready::default()
        );
    }
}
