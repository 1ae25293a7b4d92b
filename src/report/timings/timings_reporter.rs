//! The reporter that writes the page when the run ends.

use std::path::PathBuf;

use super::analysis::Analysis;
use super::encode::json;
use super::model::{Forecast, Picture};
use super::page;
use super::recorder::{self, Recorder};
use crate::event::RunEvent;
use crate::report::{ReportError, Reporter, Screen};

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
