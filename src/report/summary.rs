//! The end of a run on the terminal: pytest's own summary where there is one, else its final line.

use std::path::PathBuf;

use super::style::{painted, separator};
use super::{ReportError, Reporter, Screen};
use crate::event::{RunEnd, RunEvent, RunStart, TestResult};

/// Categories in the order of pytest's final line (`_pytest.terminal.KNOWN_TYPES`); others follow.
const KNOWN: [&str; 11] = [
    "failed",
    "passed",
    "skipped",
    "deselected",
    "xfailed",
    "xpassed",
    "warnings",
    "error",
    "subtests passed",
    "subtests failed",
    "subtests skipped",
];

/// Writes what stands below the results.
pub struct Summary {
    screen: Screen,
    counts: Counts,
    verbosity: i32,
    junit: Option<PathBuf>,
}

impl Summary {
    #[must_use]
    pub fn new(screen: Screen) -> Self {
        Self {
            screen,
            counts: Counts::default(),
            verbosity: 0,
            junit: None,
        }
    }

    fn started(&mut self, start: &RunStart) {
        self.verbosity = start.verbosity;
        self.junit = start.junit.as_ref().map(|junit| junit.path.clone());
        self.counts.tests = start.tests;
        self.counts.add("deselected", start.deselected);
        self.counts.add("skipped", start.collection_skips);
    }

    fn ended(&self, end: &RunEnd) -> Result<(), ReportError> {
        self.screen.fresh_line();
        if self.verbosity >= 0 {
            self.screen.newline();
        }
        match &end.summary {
            // pytest begins with the line break that ends its last line of results, which we have
            // written.
            Some(summary) => self.screen.text(summary.trim_start_matches('\n'))?,
            None => self.own(end),
        }
        for note in &end.notes {
            self.screen.lines(note);
        }
        self.screen.flush()
    }

    fn own(&self, end: &RunEnd) {
        let options = self.screen.options();
        if let Some(path) = self.junit.as_ref().filter(|_| self.verbosity >= 0) {
            let title = format!("generated xml file: {}", path.display());
            self.screen.lines(&separator('-', &title, options.width, 0));
        }
        if let Some(reason) = &end.stopped {
            let line = separator('!', reason, options.width, 0);
            self.screen.lines(&painted(&line, &["red"], options.color));
        }
        if self.verbosity >= -1 {
            let width = (self.verbosity >= 0).then_some(options.width);
            self.screen.lines(
                &self
                    .counts
                    .line(end.duration.as_secs_f64(), width, options.color),
            );
        }
    }
}

impl Reporter for Summary {
    fn event(&mut self, event: &RunEvent<'_>) -> Result<(), ReportError> {
        match *event {
            RunEvent::Started(start) => self.started(start),
            RunEvent::Finished { result, .. } => self.counts.result(result),
            RunEvent::Ended(end) => return self.ended(end),
            RunEvent::Running(_)
            | RunEvent::Crashed { .. }
            | RunEvent::LiveLog { .. }
            | RunEvent::Terminal { .. }
            | RunEvent::Notice(_) => {}
        }
        Ok(())
    }
}

/// What pytest keeps in `TerminalReporter.stats`, as numbers.
#[derive(Default)]
struct Counts {
    /// In order of first appearance, each at least 1.
    categories: Vec<(String, usize)>,
    /// Tests that were to run.
    tests: usize,
    /// Tests of which anything was shown.
    reported: usize,
}

impl Counts {
    fn add(&mut self, category: &str, count: usize) {
        if category.is_empty() || count == 0 {
            return;
        }
        match self
            .categories
            .iter_mut()
            .find(|(name, _)| name == category)
        {
            Some((_, total)) => *total += count,
            None => self.categories.push((category.to_owned(), count)),
        }
    }

    fn result(&mut self, result: &TestResult) {
        for report in &result.reports {
            self.add(&report.category, 1);
        }
        self.add("warnings", result.warnings);
        let shown = result
            .reports
            .iter()
            .any(|report| !report.letter.is_empty() || !report.word.is_empty());
        self.reported += usize::from(shown);
    }

    fn has(&self, category: &str) -> bool {
        self.categories.iter().any(|(name, _)| name == category)
    }

    /// `TerminalReporter._determine_main_color`.
    fn main_color(&self) -> &'static str {
        let unknown = self
            .categories
            .iter()
            .any(|(name, _)| !KNOWN.contains(&name.as_str()));
        if self.has("failed") || self.has("error") {
            "red"
        } else if self.has("warnings") || self.has("xpassed") || unknown {
            "yellow"
        } else if self.has("passed") || self.reported != self.tests {
            "green"
        } else {
            "yellow"
        }
    }

    /// Text and colour of each part: `TerminalReporter._build_normal_summary_stats_line`.
    fn parts(&self) -> Vec<(String, &'static str)> {
        let known = KNOWN
            .iter()
            .filter_map(|known| self.categories.iter().find(|(name, _)| name == known));
        let unknown = self
            .categories
            .iter()
            .filter(|(name, _)| !KNOWN.contains(&name.as_str()));
        known
            .chain(unknown)
            .map(|(name, count)| (format!("{count} {}", plural(name, *count)), color_of(name)))
            .collect()
    }

    /// `TerminalReporter.summary_stats`: the final line in `width` columns of `=`, or bare without
    /// a width (`-q`).
    fn line(&self, seconds: f64, width: Option<usize>, color: bool) -> String {
        let main = self.main_color();
        let mut parts = Vec::new();
        let mut hidden = 0;
        let mut paint = |text: &str, names: &[&str]| {
            let painted = painted(text, names, color);
            hidden += painted.len() - text.len();
            painted
        };
        for (text, name) in self.parts() {
            let bold: &[&str] = if name == main { &["bold"] } else { &[] };
            parts.push(paint(&text, &[&[name], bold].concat()));
        }
        if parts.is_empty() {
            parts.push(paint("no tests ran", &["yellow"]));
        }
        let mut text = parts.join(", ");
        text += &paint(&format!(" in {}", duration(seconds)), &[main]);
        let line = match width {
            Some(width) => {
                // The parts have reset the colour: the right half of the separator needs it again.
                let end = painted("", &[main], color);
                let end = end.strip_suffix("\x1b[0m").unwrap_or(&end);
                text += end;
                separator('=', &text, width, hidden + end.len())
            }
            None => text,
        };
        painted(&line, &[main], color)
    }
}

/// `_pytest.terminal.pluralize`: `passed` and its like have no plural, `warnings` is the key for
/// one warning too.
fn plural(name: &str, count: usize) -> String {
    match (name, count) {
        ("warnings", 1) => "warning".to_owned(),
        ("error" | "test", count) if count != 1 => format!("{name}s"),
        _ => name.to_owned(),
    }
}

/// `_pytest.terminal._color_for_type`.
fn color_of(category: &str) -> &'static str {
    match category {
        "failed" | "error" | "subtests failed" => "red",
        "passed" | "subtests passed" => "green",
        _ => "yellow",
    }
}

/// `_pytest.terminal.format_session_duration`: `0.12s`, `75.32s (0:01:15)`, and days as Python's
/// `timedelta` has them.
fn duration(seconds: f64) -> String {
    if seconds < 60.0 {
        return format!("{seconds:.2}s");
    }
    let whole = std::time::Duration::try_from_secs_f64(seconds)
        .unwrap_or_default()
        .as_secs();
    let (days, hours, minutes, rest) = (
        whole / 86400,
        whole / 3600 % 24,
        whole / 60 % 60,
        whole % 60,
    );
    let days = match days {
        0 => String::new(),
        1 => "1 day, ".to_owned(),
        days => format!("{days} days, "),
    };
    format!("{seconds:.2}s ({days}{hours}:{minutes:02}:{rest:02})")
}

#[cfg(test)]
mod tests {
    use super::duration;

    #[test]
    fn durations_are_rounded_but_their_clock_is_not() {
        assert_eq!(duration(59.999), "60.00s");
        assert_eq!(duration(119.999), "120.00s (0:01:59)");
        assert_eq!(
            duration(86400.0 * 3.0 + 1.0),
            "259201.00s (3 days, 0:00:01)"
        );
    }
}
