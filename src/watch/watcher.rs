//! The loop of `--watch`: a run, then waiting for a change or a key.

use std::collections::{BTreeSet, HashSet};
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;

use super::keys::{self, Input, Key};
use super::project::Project;
use super::turn::{Focus, Turn};
use crate::error::{Error, Result};
use crate::exit;
use crate::pool::{Received, Signals, stop_self};

/// How often the files are looked at: what a user takes for at once, for a thousandth of a
/// processor's time.
const TICK: Duration = Duration::from_millis(250);
/// Editors and version control write several files, and some files twice: a run begins when nothing
/// has moved for this long …
const SETTLE: Duration = Duration::from_millis(60);
/// … or after this long all the same.
const SETTLE_LIMIT: Duration = Duration::from_secs(2);
/// Changed files that are named.
const NAMED: usize = 3;

/// What is to be done next.
enum Next {
    All,
    Failed,
    /// These files were changed.
    Changed(BTreeSet<PathBuf>),
    Quit(i32),
}

/// Runs tests by `run`, which takes what comes first and leaves what happened, until the user has
/// enough of it.
///
/// Returns the last run's exit status, or that of an interrupt.
///
/// # Errors
/// Whatever keeps the first run from starting; later ones are shown, and the next change may mend
/// them.
pub fn watch(cwd: &Path, mut run: impl FnMut(&mut Turn) -> Result<i32>) -> Result<i32> {
    let signals = Signals::install().map_err(|error| Error::os("handle signals", error))?;
    let mut watcher = Watcher {
        cwd,
        signals,
        project: Project::default(),
        failed: HashSet::new(),
        status: exit::OK,
        written: None,
    };
    let mut focus = Focus::default();
    let mut is_first = true;
    loop {
        let mut turn = Turn::new(focus);
        match run(&mut turn) {
            Ok(status) => watcher.status = status,
            Err(error) if is_first => return Err(error),
            Err(error) => {
                eprint!("{}", error.render());
                watcher.status = error.exit_code();
            }
        }
        if is_first && turn.dependencies.is_none() && !turn.collected {
            // `--help`, or something that can't be watched: it has said so.
            return Ok(watcher.status);
        }
        is_first = false;
        let next = match watcher.after(turn) {
            Some(next) => next,
            None => watcher.idle(),
        };
        focus = match next {
            Next::Quit(status) => return Ok(status),
            Next::All => watcher.focus(&BTreeSet::new()),
            Next::Failed => Focus {
                only_failed: true,
                ..watcher.focus(&BTreeSet::new())
            },
            Next::Changed(paths) => {
                watcher.announce(&paths);
                watcher.focus(&paths)
            }
        };
    }
}

struct Watcher<'a> {
    cwd: &'a Path,
    /// Signals between runs; a run has its own.
    signals: Signals,
    project: Project,
    /// Node ids of what failed when it ran last.
    failed: HashSet<String>,
    /// The last run's exit status.
    status: i32,
    /// What was changed during the last run, which is why the run after it began; `None`: that had
    /// another reason.
    written: Option<BTreeSet<PathBuf>>,
}

impl Watcher<'_> {
    fn focus(&self, changed: &BTreeSet<PathBuf>) -> Focus {
        Focus {
            failed: self.failed.clone(),
            affected: self.project.affected(changed),
            only_failed: false,
        }
    }

    /// Takes note of a run; what to do at once, if anything.
    fn after(&mut self, turn: Turn) -> Option<Next> {
        for (id, failed) in turn.results {
            if failed {
                self.failed.insert(id);
            } else {
                self.failed.remove(&id);
            }
        }
        for id in &turn.gone {
            self.failed.remove(id);
        }
        if let Some(json) = &turn.dependencies
            && let Err(error) = self.project.learn(json, turn.collected)
        {
            eprintln!("warning: what the tests depend on could not be understood: {error}");
        }
        let ends = |signal: &Received| matches!(signal, Received::End(signal) if [Signal::TERM, Signal::HUP].contains(signal));
        if turn.interrupts > 1 || self.signals.pending().iter().any(ends) {
            return Some(Next::Quit(exit::INTERRUPTED));
        }
        let changed = self.project.changes();
        let was_written = self.written.take();
        if changed.is_empty() {
            return None;
        }
        if was_written.is_some_and(|before| changed.is_subset(&before)) {
            // The last run began because of the same files: it would go on for ever.
            let names = self.names(&changed);
            println!("not run again: the tests themselves change {names}");
            return None;
        }
        self.written = Some(changed.clone());
        Some(Next::Changed(changed))
    }

    /// Waits for a change, a key or a signal.
    fn idle(&mut self) -> Next {
        let mut input = Input::open();
        let mut line = StatusLine::default();
        loop {
            line.show(&self.status_text(&input));
            match input.wait(&self.signals, TICK) {
                Ok(Some(Key::All)) => return Next::All,
                Ok(Some(Key::Failed)) if self.failed.is_empty() => {
                    line.note("no test has failed");
                }
                Ok(Some(Key::Failed)) => return Next::Failed,
                Ok(Some(Key::Quit)) => return Next::Quit(self.status),
                Ok(Some(Key::Help)) => line.note(keys::HELP),
                Ok(None) => {}
                Err(error) => {
                    line.note(&format!("the terminal can't be read: {error}"));
                    return Next::Quit(self.status);
                }
            }
            for signal in self.signals.pending() {
                match signal {
                    Received::End(Signal::INT) => return Next::Quit(self.status),
                    Received::End(_) => return Next::Quit(exit::INTERRUPTED),
                    Received::Resize => line.forget(),
                    Received::Suspend => {
                        line.erase();
                        drop(input);
                        stop_self();
                        input = Input::open();
                        line.forget();
                    }
                }
            }
            let mut changed = self.project.changes();
            if !changed.is_empty() {
                self.settle(&mut changed);
                return Next::Changed(changed);
            }
        }
    }

    fn settle(&mut self, changed: &mut BTreeSet<PathBuf>) {
        // Counted, as a clock may stand still (libfaketime).
        for _ in 0..SETTLE_LIMIT.as_millis() / SETTLE.as_millis() {
            std::thread::sleep(SETTLE);
            let more = self.project.changes();
            if more.is_empty() {
                return;
            }
            changed.extend(more);
        }
    }

    fn status_text(&self, input: &Input) -> String {
        let count = self.project.len();
        let files = if count == 1 { "file" } else { "files" };
        let failed = match self.failed.len() {
            0 => String::new(),
            count => format!(" ({count})"),
        };
        if input.has_keys() {
            format!("watching {count} {files}; Enter: all, f: failed{failed}, q: quit, ?: help")
        } else {
            format!("watching {count} {files}")
        }
    }

    fn announce(&self, changed: &BTreeSet<PathBuf>) {
        println!("\nchanged: {}", self.names(changed));
    }

    fn names(&self, paths: &BTreeSet<PathBuf>) -> String {
        let shown = |path: &PathBuf| {
            let path = path.strip_prefix(self.cwd).unwrap_or(path);
            path.display().to_string()
        };
        let mut names: Vec<String> = paths.iter().take(NAMED).map(shown).collect();
        if paths.len() > NAMED {
            names.push(format!("and {} more", paths.len() - NAMED));
        }
        names.join(", ")
    }
}

/// The line below everything while nothing runs. Where standard output is no terminal it is printed
/// once.
#[derive(Default)]
struct StatusLine {
    shown: String,
}

impl StatusLine {
    fn show(&mut self, text: &str) {
        if self.shown == text {
            return;
        }
        let mut out = io::stdout().lock();
        // A terminal that is gone needs no status.
        let _ = if out.is_terminal() {
            let width = rustix::termios::tcgetwinsize(&out)
                .map_or(80, |size| usize::from(size.ws_col).max(2));
            let cut: String = text.chars().take(width - 1).collect();
            write!(out, "\r\x1b[K{cut}")
        } else {
            writeln!(out, "{text}")
        };
        let _ = out.flush();
        text.clone_into(&mut self.shown);
    }

    /// Prints something above it.
    fn note(&mut self, text: &str) {
        self.erase();
        println!("{text}");
    }

    fn erase(&mut self) {
        let mut out = io::stdout().lock();
        if !self.shown.is_empty() && out.is_terminal() {
            let _ = write!(out, "\r\x1b[K");
            let _ = out.flush();
        }
        self.shown.clear();
    }

    /// The line may be damaged: draw it again.
    fn forget(&mut self) {
        self.shown.clear();
    }
}

impl Drop for StatusLine {
    fn drop(&mut self) {
        self.erase();
    }
}
