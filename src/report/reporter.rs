//! What all reporters have in common.

use std::time::Duration;

use super::error::ReportError;
use crate::event::RunEvent;

/// Turns the events of one run into text or files.
pub trait Reporter {
    /// Takes the next event, in the order in which the user should see it.
    ///
    /// # Errors
    ///
    /// What the reporter writes to can't be written.
    fn event(&mut self, event: &RunEvent<'_>) -> Result<(), ReportError>;

    /// Makes everything visible that was held back so far. Cheap when there is nothing.
    ///
    /// # Errors
    ///
    /// What the reporter writes to can't be written.
    fn flush(&mut self) -> Result<(), ReportError> {
        Ok(())
    }

    /// When [`Reporter::flush`] is due at the latest even if no event comes; `None`: nothing is
    /// held back.
    fn due(&self) -> Option<Duration> {
        None
    }
}
