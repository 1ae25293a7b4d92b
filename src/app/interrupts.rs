//! Signals before a run has begun.

use std::io;

use super::output::print;
use crate::error::{Error, Result};
use crate::exit;
use crate::pool::{Received, Signals};

pub(super) fn handle_signals() -> Result<Signals> {
    Signals::install().map_err(|error| Error::os("handle signals", error))
}

/// Says that the user did not wait for the tests to be collected; the exit status.
pub(super) fn interrupted() -> i32 {
    let text = "!!! interrupted before the tests were collected !!!\n";
    print(io::stderr().lock(), text);
    exit::INTERRUPTED
}

/// Whether one of the signals means that the user does not want to wait: not that the terminal has
/// another size.
pub(super) fn gives_up(signals: &[Received]) -> bool {
    signals
        .iter()
        .any(|signal| matches!(signal, Received::End(_)))
}

#[cfg(test)]
mod tests {
    use rustix::process::Signal;

    use super::*;

    #[test]
    fn a_resized_terminal_is_no_reason_not_to_wait() {
        assert!(!gives_up(&[]));
        assert!(!gives_up(&[Received::Resize, Received::Suspend]));
        assert!(gives_up(&[Received::Resize, Received::End(Signal::TERM)]));
    }
}
