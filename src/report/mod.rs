//! Run events to text and files.
//!
//! Reporters are siblings behind [`Reporter`]; none knows another. Those that write to the terminal share a [`Screen`].
//! Why lines are made here and the closing sections by pytest: `docs/design/reports.md`.

mod error;
mod junit;
pub mod merge;
mod notices;
mod progress;
mod screen;
mod status_terminal;
mod style;
mod summary;
mod terminal;
mod test_case;
pub mod timings;

pub use error::ReportError;
pub use junit::Junit;
pub use notices::Notices;
pub use progress::Progress;
pub use screen::{Screen, ScreenOptions, terminal_width};
pub use summary::Summary;
pub use terminal::Terminal;
pub use test_case::{Problem, test_case};
pub use timings::Timings;

use std::time::Duration;

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

    /// When [`Reporter::flush`] is due at the latest even if no event comes; `None`: nothing is held back.
    fn due(&self) -> Option<Duration> {
        None
    }
}

/// Hands every event to several reporters, in their order.
#[derive(Default)]
pub struct Reporters {
    list: Vec<Box<dyn Reporter>>,
}

impl Reporters {
    /// Without any reporter.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The reporters of a usual run: the junit file (if the run starts with one), lines, status line, final line.
    #[must_use]
    pub fn standard(screen: &Screen) -> Self {
        let mut all = Self::new();
        all.push(Junit::new());
        all.push(Terminal::new(screen.clone()));
        all.push(Progress::new(screen.clone()));
        all.push(Summary::new(screen.clone()));
        all
    }

    /// The reporters of a run without a terminal reporter: the junit file, and what must be said all the same.
    #[must_use]
    pub fn silent() -> Self {
        let mut all = Self::new();
        all.push(Junit::new());
        all.push(Notices);
        all
    }

    /// Adds one behind the others.
    pub fn push(&mut self, reporter: impl Reporter + 'static) {
        self.list.push(Box::new(reporter));
    }

    /// All get it even when one fails, so that a closed pipe doesn't cost the junit file; the first error is returned.
    fn each(
        &mut self,
        mut act: impl FnMut(&mut dyn Reporter) -> Result<(), ReportError>,
    ) -> Result<(), ReportError> {
        let mut first = Ok(());
        for reporter in &mut self.list {
            let done = act(reporter.as_mut());
            if first.is_ok() {
                first = done;
            }
        }
        first
    }
}

impl Reporter for Reporters {
    fn event(&mut self, event: &RunEvent<'_>) -> Result<(), ReportError> {
        self.each(|reporter| reporter.event(event))
    }

    fn flush(&mut self) -> Result<(), ReportError> {
        self.each(|reporter| reporter.flush())
    }

    fn due(&self) -> Option<Duration> {
        self.list.iter().filter_map(|reporter| reporter.due()).min()
    }
}
