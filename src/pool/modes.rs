//! The terminal's modes, which a debugger in another process may change and leave so when it dies.

use std::io;

use rustix::process::getpgrp;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetpgrp, tcsetattr};

/// How the terminal on standard input was set at some moment; nothing if it is no terminal.
#[derive(Debug)]
pub struct TerminalModes(Option<Termios>);

impl TerminalModes {
    /// The terminal as it is set now.
    #[must_use]
    pub fn current() -> Self {
        Self(tcgetattr(io::stdin()).ok())
    }

    /// Sets it so again, if it is ours to do: a process in the background would be stopped for
    /// trying.
    pub fn restore(&self) {
        let Some(modes) = &self.0 else { return };
        if tcgetpgrp(io::stdin()).is_ok_and(|group| group == getpgrp()) {
            // A terminal that has gone needs no modes.
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, modes);
        }
    }
}
