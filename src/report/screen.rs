//! The terminal as all reporters share it: one buffer, one status line below it.

use std::cell::RefCell;
use std::io::{self, Write};
use std::rc::Rc;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use unicode_width::UnicodeWidthStr;

use super::error::ReportError;
use super::status_terminal::{self, write_out};
use super::style::paint;

/// Longest time that a line waits in the buffer (a fifteenth of a second: what the eye takes for at
/// once).
pub(super) const FLUSH_INTERVAL: Duration = Duration::from_millis(66);
/// Bytes after which the buffer is written whatever the time: what a pipe holds.
const FULL: usize = 64 * 1024;
/// pytest's floor and fallback for the terminal's width.
const MIN_WIDTH: usize = 40;
const DEFAULT_WIDTH: usize = 80;

/// What is known about standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScreenOptions {
    /// Write colours; pytest's rule has decided (`--color`, `PY_COLORS`, `NO_COLOR`, …).
    pub color: bool,
    /// Columns, as [`terminal_width`] has it.
    pub width: usize,
    /// Standard output is a terminal, and no file or pipe.
    pub terminal: bool,
}

/// Width to write for, as pytest finds it: `COLUMNS`, else the terminal on standard output, else
/// 80; never under 40.
#[must_use]
pub fn terminal_width() -> usize {
    let columns = std::env::var("COLUMNS")
        .ok()
        .and_then(|text| text.trim().parse::<usize>().ok());
    match columns
        .filter(|&columns| columns > 0)
        .or_else(status_terminal::columns)
    {
        Some(width) if width >= MIN_WIDTH => width,
        _ => DEFAULT_WIDTH,
    }
}

/// A handle to the one terminal of a run; clones write to the same.
#[derive(Clone)]
pub struct Screen {
    shared: Rc<RefCell<Shared>>,
    options: ScreenOptions,
}

struct Shared {
    out: Box<dyn Write>,
    buffer: String,
    /// Columns used in the last, unfinished line.
    column: usize,
    bar: Option<ProgressBar>,
    /// Standard output has failed and that was reported.
    broken: bool,
    flushed: Instant,
}

impl Screen {
    /// Writes to `out` in large pieces.
    #[must_use]
    pub fn new(out: Box<dyn Write>, options: ScreenOptions) -> Self {
        let shared = Shared {
            out,
            buffer: String::new(),
            column: 0,
            bar: None,
            broken: false,
            flushed: Instant::now(),
        };
        Self {
            shared: Rc::new(RefCell::new(shared)),
            options,
        }
    }

    /// Writes to standard output.
    #[must_use]
    pub fn stdout(options: ScreenOptions) -> Self {
        Self::new(Box::new(io::stdout()), options)
    }

    /// What it was made with.
    #[must_use]
    pub fn options(&self) -> ScreenOptions {
        self.options
    }

    /// Adds to the current line, coloured by pytest's names; `text` has no line break.
    pub(super) fn write(&self, text: &str, names: &[&str]) {
        let shared = &mut *self.shared.borrow_mut();
        shared.column += text.width();
        paint(&mut shared.buffer, text, names, self.options.color);
    }

    /// Ends the current line.
    pub(super) fn newline(&self) {
        let shared = &mut *self.shared.borrow_mut();
        shared.buffer.push('\n');
        shared.column = 0;
    }

    /// Ends the current line unless nothing is on it.
    pub(super) fn fresh_line(&self) {
        if self.column() > 0 {
            self.newline();
        }
    }

    /// Writes lines as they are, on lines of their own.
    pub(super) fn lines(&self, text: &str) {
        self.fresh_line();
        let shared = &mut *self.shared.borrow_mut();
        shared.buffer.push_str(text);
        if !text.is_empty() && !text.ends_with('\n') {
            shared.buffer.push('\n');
        }
    }

    /// Writes lines as they are, on lines of their own, at once and without a copy: they may be
    /// hundreds of megabytes.
    pub(super) fn text(&self, text: &str) -> Result<(), ReportError> {
        if text.len() < FULL {
            self.lines(text);
            return Ok(());
        }
        self.fresh_line();
        self.flush()?;
        let shared = &mut *self.shared.borrow_mut();
        let out = &mut shared.out;
        let done = match (shared.broken, &shared.bar) {
            (true, _) => Ok(()),
            (false, Some(bar)) => bar.suspend(|| write_out(out.as_mut(), text.as_bytes())),
            (false, None) => write_out(out.as_mut(), text.as_bytes()),
        };
        shared.broken |= done.is_err();
        if !text.ends_with('\n') {
            shared.buffer.push('\n');
        }
        done.map_err(ReportError::Output)
    }

    /// Columns used in the current line.
    pub(super) fn column(&self) -> usize {
        self.shared.borrow().column
    }

    /// Keeps this status line below everything that is written; `None` when it is gone.
    pub(super) fn set_bar(&self, bar: Option<ProgressBar>) {
        self.shared.borrow_mut().bar = bar;
    }

    /// Time until what is in the buffer has to be written; `None`: it is empty.
    pub(super) fn due(&self) -> Option<Duration> {
        let shared = self.shared.borrow();
        (!shared.buffer.is_empty()).then(|| FLUSH_INTERVAL.saturating_sub(shared.flushed.elapsed()))
    }

    /// Writes the buffer out if it has become large.
    pub(super) fn flush_if_full(&self) -> Result<(), ReportError> {
        if self.shared.borrow().buffer.len() < FULL {
            Ok(())
        } else {
            self.flush()
        }
    }

    /// Writes the buffer out at once, or at the next tick if that has just been done: something
    /// that the user waits for is shown immediately, a thousand such things don't cost a thousand
    /// system calls.
    pub(super) fn flush_soon(&self) -> Result<(), ReportError> {
        if self.shared.borrow().flushed.elapsed() < FLUSH_INTERVAL / 4 {
            self.flush_if_full()
        } else {
            self.flush()
        }
    }

    /// Writes the buffer out.
    pub(super) fn flush(&self) -> Result<(), ReportError> {
        let shared = &mut *self.shared.borrow_mut();
        shared.flushed = Instant::now();
        if shared.buffer.is_empty() {
            return Ok(());
        }
        let (out, buffer) = (&mut shared.out, &shared.buffer);
        let done = match (shared.broken, &shared.bar) {
            (true, _) => Ok(()),
            (false, Some(bar)) => bar.suspend(|| write_out(out.as_mut(), buffer.as_bytes())),
            (false, None) => write_out(out.as_mut(), buffer.as_bytes()),
        };
        shared.buffer.clear();
        shared.broken |= done.is_err();
        done.map_err(ReportError::Output)
    }
}
