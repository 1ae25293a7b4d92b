//! `--timings`: a picture of the run as one HTML page.
//!
//! [`Recorder`] turns events into a [`Picture`] (plain data), [`Analysis`] says what it means, `encode` makes compact JSON of both
//! and `page` puts that into the page, whose parts lie in `page/`. Nothing before `encode` knows that there is a page.

mod analysis;
mod encode;
mod model;
mod page;
mod recorder;

#[cfg(test)]
mod tests;

pub use analysis::{Analysis, Bottleneck, FixtureTotal, Lane};
pub use encode::json;
pub use model::{Attempt, Crash, Ending, Fixture, Forecast, Micros, Picture, Setup, Test};
pub use recorder::Recorder;

use std::path::PathBuf;

use super::{ReportError, Reporter, Screen};
use crate::event::RunEvent;

/// Writes the page when the run ends, whatever its end.
pub struct Timings {
    path: PathBuf,
    recorder: Recorder,
    /// Where to say that it was written; `None`: nowhere.
    screen: Option<Screen>,
    verbosity: i32,
}

impl Timings {
    #[must_use]
    pub fn new(path: PathBuf, forecast: Forecast, screen: Option<Screen>) -> Self {
        Self {
            path,
            recorder: Recorder::new(forecast),
            screen,
            verbosity: 0,
        }
    }

    fn write(&self, picture: &Picture) -> Result<(), ReportError> {
        let text = page::page(&json(picture, &Analysis::of(picture)));
        page::write(&self.path, &text).map_err(|source| ReportError::Timings {
            path: self.path.clone(),
            source,
        })?;
        match &self.screen {
            Some(screen) if self.verbosity >= -1 => {
                screen.fresh_line();
                screen.lines(&format!("timings: {}", self.path.display()));
                screen.flush()
            }
            _ => Ok(()),
        }
    }
}

impl Reporter for Timings {
    fn event(&mut self, event: &RunEvent<'_>) -> Result<(), ReportError> {
        self.recorder.event(event, recorder::now());
        match event {
            RunEvent::Started(start) => self.verbosity = start.verbosity,
            RunEvent::Ended(end) => {
                let picture = self.recorder.finish(end);
                return self.write(&picture);
            }
            _ => {}
        }
        Ok(())
    }
}
