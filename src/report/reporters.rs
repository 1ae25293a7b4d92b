//! Several reporters as one, and which of them there usually are.

use std::time::Duration;

use super::error::ReportError;
use super::junit::Junit;
use super::notices::Notices;
use super::reporter::Reporter;
use super::screen::Screen;
use super::status_line::Progress;
use super::summary::Summary;
use super::terminal::Terminal;
use crate::event::RunEvent;

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

    /// The reporters of a usual run: the junit file (if the run starts with one), lines, status
    /// line, final line.
    #[must_use]
    pub fn standard(screen: &Screen) -> Self {
        let mut all = Self::new();
        all.push(Junit::new());
        all.push(Terminal::new(screen.clone()));
        all.push(Progress::new(screen.clone()));
        all.push(Summary::new(screen.clone()));
        all
    }

    /// The reporters of a run without a terminal reporter: the junit file, and what must be said
    /// all the same.
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

    /// All get it even when one fails, so that a closed pipe doesn't cost the junit file; the first
    /// error is returned.
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
