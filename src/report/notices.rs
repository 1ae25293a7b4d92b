//! What the user should know of a run that prints nothing else.

use std::io::{self, Write};

use super::{ReportError, Reporter};
use crate::event::RunEvent;

/// Writes notices, such as internal errors, to standard error: where pytest writes them without a
/// terminal reporter.
#[derive(Debug, Default)]
pub struct Notices;

impl Reporter for Notices {
    fn event(&mut self, event: &RunEvent<'_>) -> Result<(), ReportError> {
        if let RunEvent::Notice(text) = event {
            // Nobody reads it: then nobody misses it.
            let _ = writeln!(io::stderr(), "{text}");
        }
        Ok(())
    }
}
