//! The signals that the CLI gets, as something to poll.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use rustix::process::Signal;

use super::TerminalModes;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGTSTP, SIGWINCH};
use signal_hook::iterator::backend::SignalDelivery;
use signal_hook::iterator::exfiltrator::SignalOnly;

/// A signal, by what it means for a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// End the run: Ctrl-C, or a polite kill.
    End(Signal),
    /// Ctrl-Z.
    Suspend,
    /// The terminal has another size.
    Resize,
}

/// Handlers for the signals that a run reacts to, in effect until dropped.
#[derive(Debug)]
pub struct Signals {
    delivery: SignalDelivery<UnixStream, SignalOnly>,
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.delivery.get_read().as_fd()
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        self.delivery.handle().close();
    }
}

impl Signals {
    /// Installs the handlers. A signal that the parent process has set to be ignored (`nohup`, `&`
    /// in a script) stays so.
    ///
    /// # Errors
    /// When there is no descriptor left.
    pub fn install() -> io::Result<Self> {
        let wanted = [SIGINT, SIGTERM, SIGHUP, SIGTSTP, SIGWINCH];
        let heeded = wanted
            .into_iter()
            .filter(|&signal| signal == SIGWINCH || !is_ignored(signal));
        // A file that grows beyond the limit (`ulimit -f`) is an error that can be told, as in
        // Python, and not a silent death. SAFETY: no handler is installed, and ignoring this signal
        // has no effect on anything but the result of a write.
        unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
        let (read, write) = UnixStream::pair()?;
        let delivery = SignalDelivery::with_pipe(read, write, SignalOnly, heeded)?;
        Ok(Self { delivery })
    }

    /// The signals that have come since the last call; the same one twice in between counts once.
    pub fn pending(&mut self) -> Vec<Received> {
        self.delivery
            .pending()
            .filter_map(|signal| match signal {
                SIGINT => Some(Received::End(Signal::INT)),
                SIGTERM => Some(Received::End(Signal::TERM)),
                SIGHUP => Some(Received::End(Signal::HUP)),
                SIGTSTP => Some(Received::Suspend),
                SIGWINCH => Some(Received::Resize),
                _ => None,
            })
            .collect()
    }
}

fn is_ignored(signal: i32) -> bool {
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: with a null new action the call only writes the current one to `action`, which is
    // valid for writes; it is read only if the call says that it wrote it.
    unsafe {
        libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) == 0
            && action.assume_init().sa_sigaction == libc::SIG_IGN
    }
}

/// Stops this process as Ctrl-Z does; returns when it is continued.
pub fn stop_self() {
    let modes = TerminalModes::current();
    // SIGSTOP, not SIGTSTP: that one has a handler of ours.
    let _ = rustix::process::kill_process(rustix::process::getpid(), Signal::STOP);
    // The shell has set its own; a debugger's line editor, which was stopped in the middle, relies
    // on what it had set.
    modes.restore();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_become_readable_and_are_taken_once() {
        let mut signals = Signals::install().unwrap();
        assert_eq!(signals.pending(), []);
        rustix::process::kill_process(rustix::process::getpid(), Signal::WINCH).unwrap();
        let mut fds = [rustix::event::PollFd::new(
            &signals,
            rustix::event::PollFlags::IN,
        )];
        rustix::io::retry_on_intr(|| rustix::event::poll(&mut fds, None)).unwrap();
        assert_eq!(signals.pending(), [Received::Resize]);
        assert_eq!(signals.pending(), []);
    }
}
