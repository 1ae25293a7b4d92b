//! Standard input while nothing runs: keys, if it is a terminal, or the end of a pipe.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, fstat};
use rustix::io::Errno;
use rustix::process::getpgrp;
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, isatty, tcgetattr, tcgetpgrp, tcsetattr,
};

use crate::pool::{Signals, TerminalModes};

/// What the keys do.
pub const HELP: &str = concat!(
    "  Enter, a   run all tests, what failed last time first\n",
    "  f          run only the tests that failed\n",
    "  q, Ctrl-D  quit, with the last run's exit status\n",
    "  Ctrl-C     end a run; without one, quit",
);

/// Control-D, when it does not end a line.
const END: u8 = 4;

/// A key that means something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    All,
    Failed,
    Quit,
    Help,
}

fn key(byte: u8) -> Option<Key> {
    match byte {
        b'\r' | b'\n' | b'a' => Some(Key::All),
        b'f' => Some(Key::Failed),
        b'q' | END => Some(Key::Quit),
        b'?' | b'h' => Some(Key::Help),
        _ => None,
    }
}

/// Standard input; a terminal is set back as it was when this is dropped.
pub struct Input {
    kind: Kind,
}

enum Kind {
    /// Keys come one by one, without being shown; the modes that it had.
    Keys(TerminalModes),
    /// A terminal, in the background.
    Background,
    /// A pipe: when its other end is closed, nobody is there any more.
    Pipe,
    /// Nothing to be learned from.
    Other,
}

impl Input {
    /// Looks at standard input as it is now.
    pub fn open() -> Self {
        let stdin = io::stdin();
        let kind = if isatty(&stdin) {
            Self::keys().unwrap_or(Kind::Background)
        } else {
            match fstat(&stdin).map(|found| FileType::from_raw_mode(found.st_mode)) {
                Ok(FileType::Fifo | FileType::Socket) => Kind::Pipe,
                _ => Kind::Other,
            }
        };
        Self { kind }
    }

    fn keys() -> Option<Kind> {
        let stdin = io::stdin();
        if tcgetpgrp(&stdin) != Ok(getpgrp()) {
            // A process in the background would be stopped for trying (SIGTTOU).
            return None;
        }
        let saved = TerminalModes::current();
        let mut modes = tcgetattr(&stdin).ok()?;
        // Signals stay what they are.
        modes.local_modes -= LocalModes::ICANON | LocalModes::ECHO;
        modes.special_codes[SpecialCodeIndex::VMIN] = 1;
        modes.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(&stdin, OptionalActions::Now, &modes).ok()?;
        Some(Kind::Keys(saved))
    }

    /// Whether there is somebody who could press one.
    pub fn has_keys(&self) -> bool {
        matches!(self.kind, Kind::Keys(_))
    }

    /// Waits for a key, a signal or until `limit`; `None`: no key.
    pub fn wait(&mut self, signals: &Signals, limit: Duration) -> io::Result<Option<Key>> {
        let stdin = io::stdin();
        let mut fds = vec![PollFd::new(signals, PollFlags::IN)];
        match self.kind {
            Kind::Keys(_) => fds.push(PollFd::from_borrowed_fd(stdin.as_fd(), PollFlags::IN)),
            // `poll` tells that it is closed without being asked for that.
            Kind::Pipe => fds.push(PollFd::from_borrowed_fd(stdin.as_fd(), PollFlags::empty())),
            Kind::Background | Kind::Other => {}
        }
        let limit = Timespec {
            tv_sec: limit.as_secs().try_into().unwrap_or(1),
            tv_nsec: limit.subsec_nanos().into(),
        };
        match poll(&mut fds, Some(&limit)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let happened = fds.get(1).map_or(PollFlags::empty(), PollFd::revents);
        match self.kind {
            Kind::Keys(_) if !happened.is_empty() => self.read(),
            Kind::Pipe if happened.intersects(PollFlags::HUP | PollFlags::ERR) => {
                Ok(Some(Key::Quit))
            }
            Kind::Background => {
                // The process may have been brought to the foreground.
                if let Some(kind) = Self::keys() {
                    self.kind = kind;
                }
                Ok(None)
            }
            _ => Ok(None),
        }
    }

    /// One byte: what follows may be meant for the time after the next run.
    fn read(&self) -> io::Result<Option<Key>> {
        let mut byte = [0];
        match rustix::io::read(io::stdin(), &mut byte) {
            Ok(0) => Ok(Some(Key::Quit)),
            Ok(_) => Ok(key(byte[0])),
            // Somebody else was quicker, or a signal came.
            Err(Errno::AGAIN | Errno::INTR) => Ok(None),
            // The terminal is gone.
            Err(Errno::IO) => Ok(Some(Key::Quit)),
            Err(errno) => Err(errno.into()),
        }
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        if let Kind::Keys(saved) = &self.kind {
            saved.restore();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_those_of_the_help() {
        assert_eq!(key(b'\n'), Some(Key::All));
        assert_eq!(key(b'a'), Some(Key::All));
        assert_eq!(key(b'f'), Some(Key::Failed));
        assert_eq!(key(b'q'), Some(Key::Quit));
        assert_eq!(key(END), Some(Key::Quit));
        assert_eq!(key(b'?'), Some(Key::Help));
        assert_eq!(key(b'x'), None);
        assert_eq!(key(0x1b), None);
    }
}
