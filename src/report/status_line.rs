//! The status line: how far the run is and what it is doing.

use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use unicode_width::UnicodeWidthChar;

use super::screen::FLUSH_INTERVAL;
use super::status_terminal::{StatusTerminal, columns};
use super::{ReportError, Reporter, Screen};
use crate::event::{RunEvent, RunStart, RunningTest};

/// Redraws per second at most.
const HERTZ: u8 = 15;

/// Keeps a line with counts and the tests in flight below everything else. Only on a terminal, not
/// while tests write to it themselves, and not under `-q`, where letters grow on an unfinished line
/// and are the progress.
pub struct Progress {
    screen: Screen,
    target: Option<ProgressDrawTarget>,
    /// The width is that of the terminal on standard output, which may change.
    resizable: bool,
    line: Option<Line>,
}

struct Line {
    bar: ProgressBar,
    width: usize,
    resizable: bool,
    /// The terminal is somebody else's.
    paused: bool,
    started: Instant,
    tests: usize,
    finished: usize,
    failed: usize,
    /// Tests in flight as last heard of, and when that was.
    running: Vec<(String, Duration)>,
    heard: Instant,
    drawn: Instant,
}

impl Progress {
    /// Draws on standard output if that is a terminal that can move its cursor.
    #[must_use]
    pub fn new(screen: Screen) -> Self {
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let terminal = std::io::stdout().is_terminal() && !dumb;
        let target = terminal.then(|| {
            ProgressDrawTarget::term_like_with_hz(Box::new(StatusTerminal::default()), HERTZ)
        });
        Self {
            screen,
            target,
            resizable: true,
            line: None,
        }
    }

    /// Draws on `target`, wherever that is.
    #[must_use]
    pub fn with_target(screen: Screen, target: ProgressDrawTarget) -> Self {
        Self {
            screen,
            target: Some(target),
            resizable: false,
            line: None,
        }
    }

    fn started(&mut self, start: &RunStart) {
        let Some(target) = self.target.take() else {
            return;
        };
        if start.verbosity < 0 || start.test_verbosity < 0 || start.live_output {
            return;
        }
        let bar = ProgressBar::with_draw_target(None, target);
        bar.set_style(ProgressStyle::with_template("{msg}").expect("the template is a constant"));
        self.screen.set_bar(Some(bar.clone()));
        let now = Instant::now();
        self.line = Some(Line {
            bar,
            width: self.screen.options().width,
            resizable: self.resizable,
            paused: false,
            started: now,
            tests: start.tests,
            finished: 0,
            failed: 0,
            running: Vec::new(),
            heard: now,
            drawn: now,
        });
    }

    fn pause(&mut self, paused: bool) {
        let Some(line) = &mut self.line else { return };
        line.paused = paused;
        if paused {
            self.screen.set_bar(None);
            line.bar.finish_and_clear();
        } else {
            line.bar.reset();
            self.screen.set_bar(Some(line.bar.clone()));
        }
    }

    fn ended(&mut self) {
        self.screen.set_bar(None);
        if let Some(line) = self.line.take() {
            line.bar.finish_and_clear();
        }
    }
}

impl Line {
    fn hear(&mut self, running: &[RunningTest<'_>]) {
        self.heard = Instant::now();
        self.running.clear();
        self.running.extend(
            running
                .iter()
                .map(|test| (test.nodeid.to_owned(), test.elapsed)),
        );
        // The one that takes longest is the one the user wonders about.
        self.running
            .sort_by_key(|&(_, elapsed)| std::cmp::Reverse(elapsed));
    }

    fn draw(&mut self) {
        self.drawn = Instant::now();
        self.bar.set_message(self.text());
    }

    fn text(&self) -> String {
        let digits = self.tests.to_string().len();
        let mut text = format!("[{:>digits$}/{}]", self.finished, self.tests);
        let separator = if self.failed > 0 {
            format!(" {} failed ·", self.failed)
        } else {
            String::new()
        };
        let mut push = |part: std::fmt::Arguments<'_>| {
            text.write_fmt(part)
                .expect("writing to a string can't fail")
        };
        push(format_args!(
            "{separator} {:.1}s",
            self.started.elapsed().as_secs_f64()
        ));
        let since = self.heard.elapsed();
        for (index, (nodeid, elapsed)) in self.running.iter().enumerate() {
            let joint = if index == 0 { " · " } else { ", " };
            push(format_args!(
                "{joint}{nodeid} ({:.1}s)",
                (*elapsed + since).as_secs_f64()
            ));
        }
        let now = columns().filter(|_| self.resizable);
        let width = now.map_or(self.width, |now| now.min(self.width));
        // One column less than there are: a terminal wraps when the last one is used.
        truncated(text, width.saturating_sub(1))
    }
}

impl Reporter for Progress {
    fn event(&mut self, event: &RunEvent<'_>) -> Result<(), ReportError> {
        match *event {
            RunEvent::Started(start) => self.started(start),
            RunEvent::Terminal { ours } => self.pause(!ours),
            RunEvent::Ended(_) => self.ended(),
            _ => {}
        }
        let Some(line) = &mut self.line else {
            return Ok(());
        };
        match *event {
            RunEvent::Running(running) => line.hear(running),
            RunEvent::Finished { result, .. } => {
                line.finished += 1;
                line.failed += usize::from(result.failed());
            }
            _ => {}
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), ReportError> {
        if let Some(line) = self.line.as_mut().filter(|line| !line.paused) {
            line.draw();
        }
        Ok(())
    }

    fn due(&self) -> Option<Duration> {
        self.line
            .as_ref()
            .filter(|line| !line.paused)
            .map(|line| FLUSH_INTERVAL.saturating_sub(line.drawn.elapsed()))
    }
}

/// At most `width` columns of `text`, ending in `…` if it had to be cut.
fn truncated(mut text: String, width: usize) -> String {
    let mut used = 0;
    let mut cut = 0;
    for (offset, character) in text.char_indices() {
        used += character.width().unwrap_or(0);
        if used > width {
            text.truncate(cut);
            text.push('…');
            return text;
        }
        // The last place where there is still room for the ellipsis.
        if used < width {
            cut = offset + character.len_utf8();
        }
    }
    text
}
