//! The file of `--junitxml`: what pytest's `LogXML.pytest_sessionfinish` writes around the test
//! cases.
//!
//! The `<testcase>` elements come ready-made from pytest's own writer in the workers; here they are
//! put in collection order into the frame that pytest writes, byte for byte. Why no library's
//! document model: `docs/design/reports.md`.

use std::borrow::Cow;
use std::fs;
use std::io::{self, BufWriter, Write};
use std::ops::Range;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use quick_xml::Writer;
use quick_xml::events::attributes::Attribute;
use quick_xml::events::{BytesEnd, BytesStart, BytesText, Event};
use quick_xml::name::QName;

use super::{ReportError, Reporter};
use crate::event::{
    JunitCounts, JunitOptions, RunEnd, RunEvent, RunStart, TestIndex, TestResult, When,
};

/// Collects test cases and writes the file when the run ends; does nothing in runs without
/// `--junitxml`.
#[derive(Default)]
pub struct Junit {
    options: Option<JunitOptions>,
    counts: JunitCounts,
    /// All test cases in order of arrival, and where each test's lie.
    cases: String,
    places: Vec<(TestIndex, Range<usize>)>,
}

impl Junit {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn started(&mut self, start: &RunStart) {
        self.options.clone_from(&start.junit);
        if let Some(options) = &self.options {
            add(&mut self.counts, options.collection_counts);
        }
    }

    fn finished(&mut self, result: &TestResult) {
        if self.options.is_none() {
            return;
        }
        add(&mut self.counts, result.junit_counts);
        let from = self.cases.len();
        let earlier = self.of_late_teardown(result);
        match earlier.and_then(|at| Some((at, self.joined(at, &result.junit)?))) {
            Some((at, case)) => {
                self.cases.push_str(&case);
                self.places[at].1 = from..self.cases.len();
            }
            None => {
                if earlier.is_some() {
                    // The record's count is for a test that has passed. Versions of pytest differ
                    // in which of the two they call a double failure.
                    let double = result.junit_counts.double;
                    self.counts.double = (self.counts.double + 1).saturating_sub(2 * double);
                }
                self.cases.push_str(&result.junit);
                self.places.push((result.test, from..self.cases.len()));
            }
        }
    }

    /// Where the test's cases are to which nothing but a teardown is added: that of a shared
    /// fixture, after the last test.
    fn of_late_teardown(&self, result: &TestResult) -> Option<usize> {
        match result.reports.as_slice() {
            [report] if report.when == When::Teardown => {
                let mut places = self.places.iter();
                places.rposition(|(test, _)| *test == result.test)
            }
            _ => None,
        }
    }

    /// The case at a place with what another case of the same test contains; `None`: it has failed,
    /// so the other stands alone.
    fn joined(&self, at: usize, other: &str) -> Option<String> {
        let case = &self.cases[self.places[at].1.clone()];
        if case.contains("<failure") || case.matches("<testcase").count() != 1 {
            return None;
        }
        let more = other.split_once('>')?.1.strip_suffix("</testcase>")?;
        Some(match case.strip_suffix("</testcase>") {
            Some(open) => format!("{open}{more}</testcase>"),
            None => format!("{}>{more}</testcase>", case.strip_suffix("/>")?.trim_end()),
        })
    }

    fn ended(&mut self, end: &RunEnd) -> Result<(), ReportError> {
        let Some(options) = self.options.take() else {
            return Ok(());
        };
        self.places.sort_by_key(|&(test, _)| test);
        let write = || {
            if let Some(directory) = options.path.parent() {
                fs::create_dir_all(directory)?;
            }
            let mut file = BufWriter::new(fs::File::create(&options.path)?);
            self.document(&options, end, &mut file)?;
            file.flush()
        };
        write().map_err(|source| ReportError::Junit {
            path: options.path.clone(),
            source,
        })
    }

    fn document(
        &self,
        options: &JunitOptions,
        end: &RunEnd,
        out: &mut impl Write,
    ) -> io::Result<()> {
        let mut counts = self.counts;
        // `LogXML.pytest_internalerror`: a case of its own.
        let internal = end.internal_error.as_deref().map(internal_error);
        counts.error += u64::from(internal.is_some());
        let tests = (counts.passed + counts.failure + counts.skipped + counts.error)
            .saturating_sub(counts.double);
        let host = rustix::system::uname();
        let suite = element(
            "testsuite",
            &[
                ("name", &options.suite_name),
                ("errors", &counts.error.to_string()),
                ("failures", &counts.failure.to_string()),
                ("skipped", &counts.skipped.to_string()),
                ("tests", &tests.to_string()),
                ("time", &format!("{:.3}", end.duration.as_secs_f64())),
                ("timestamp", &timestamp(end.started, TimeZone::system())),
                ("hostname", &host.nodename().to_string_lossy()),
            ],
        );
        let cases = self
            .places
            .iter()
            .map(|(_, place)| &self.cases[place.clone()]);
        let cases = std::iter::once(options.collection.as_str())
            .chain(cases)
            .chain(internal.as_deref())
            .filter(|cases| !cases.is_empty());

        // The writer could make the declaration too; pytest's is a constant and so is this.
        out.write_all(br#"<?xml version="1.0" encoding="utf-8"?>"#)?;
        let mut xml = Writer::new(out);
        xml.config_mut().add_space_before_slash_in_empty_elements = true;
        xml.write_event(Event::Start(element(
            "testsuites",
            &[("name", "pytest tests")],
        )))?;
        if end.suite_properties.is_empty()
            && self.cases.is_empty()
            && options.collection.is_empty()
            && internal.is_none()
        {
            xml.write_event(Event::Empty(suite))?;
        } else {
            xml.write_event(Event::Start(suite))?;
            properties(&mut xml, &end.suite_properties)?;
            for case in cases {
                xml.write_event(Event::Text(BytesText::from_escaped(case)))?;
            }
            xml.write_event(Event::End(BytesEnd::new("testsuite")))?;
        }
        xml.write_event(Event::End(BytesEnd::new("testsuites")))
    }
}

impl Reporter for Junit {
    fn event(&mut self, event: &RunEvent<'_>) -> Result<(), ReportError> {
        match *event {
            RunEvent::Started(start) => self.started(start),
            RunEvent::Finished { result, .. } => self.finished(result),
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

fn internal_error(text: &str) -> String {
    // pytest writes what XML does not allow in its own way (`_pytest.junitxml.bin_xml_escape`); a
    // traceback has colours at most.
    let text: String = text
        .chars()
        .map(|character| match character {
            '&' => "&amp;".to_owned(),
            '<' => "&lt;".to_owned(),
            '>' => "&gt;".to_owned(),
            '\n'
            | '\t'
            | '\r'
            | ' '..='\u{7e}'
            | '\u{80}'..='\u{d7ff}'
            | '\u{e000}'..='\u{fffd}'
            | '\u{10000}'.. => character.to_string(),
            other => format!("#x{:02X}", u32::from(other)),
        })
        .collect();
    format!(
        "<testcase classname=\"pytest\" name=\"internal\" time=\"0.000\"><error \
         message=\"internal error\">{text}</error></testcase>"
    )
}

fn add(total: &mut JunitCounts, more: JunitCounts) {
    total.passed += more.passed;
    total.failure += more.failure;
    total.error += more.error;
    total.skipped += more.skipped;
    total.double += more.double;
}

fn properties<W: Write>(xml: &mut Writer<W>, properties: &[(String, String)]) -> io::Result<()> {
    if properties.is_empty() {
        return Ok(());
    }
    xml.write_event(Event::Start(BytesStart::new("properties")))?;
    for (name, value) in properties {
        xml.write_event(Event::Empty(element(
            "property",
            &[("name", name), ("value", value)],
        )))?;
    }
    xml.write_event(Event::End(BytesEnd::new("properties")))
}

pub(super) fn element<'a>(name: &'a str, attributes: &[(&'a str, &str)]) -> BytesStart<'a> {
    let mut element = BytesStart::new(name);
    for (key, value) in attributes {
        element.push_attribute(Attribute {
            key: QName(key),
            value: escaped(value),
        });
    }
    element
}

/// An attribute's value as Python's `xml.etree.ElementTree` escapes it, so that the file is the
/// same to the byte: other than quick-xml's own functions it leaves `'` alone and keeps line breaks
/// and tabs.
pub(super) fn escaped(value: &str) -> Cow<'_, str> {
    if !value.contains(['&', '<', '>', '"', '\r', '\n', '\t']) {
        return Cow::Borrowed(value);
    }
    let mut out = String::with_capacity(value.len() + 16);
    for character in value.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\r' => out.push_str("&#13;"),
            '\n' => out.push_str("&#10;"),
            '\t' => out.push_str("&#09;"),
            other => out.push(other),
        }
    }
    Cow::Owned(out)
}

/// Python's `datetime.isoformat` of an aware time: microseconds unless they are zero, then the
/// offset.
fn timestamp(seconds: f64, zone: TimeZone) -> String {
    // Whole microseconds, as `datetime.fromtimestamp` makes them.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "it saturates to what jiff refuses"
    )]
    let micros = (seconds * 1e6).round_ties_even() as i64;
    // A clock that can't be read shows as the epoch.
    let (stamp, micros) = Timestamp::from_microsecond(micros)
        .map_or_else(|_| Default::default(), |stamp| (stamp, micros));
    let zoned = stamp.to_zoned_datetime(zone);
    let format = if micros % 1_000_000 == 0 {
        "%Y-%m-%dT%H:%M:%S%:z"
    } else {
        "%Y-%m-%dT%H:%M:%S%.6f%:z"
    };
    zoned.strftime(format).to_string()
}

#[cfg(test)]
mod tests {
    use jiff::tz::{TimeZone, offset};

    use super::{escaped, timestamp};

    #[test]
    fn timestamps_are_pythons_isoformat() {
        let zone = || TimeZone::fixed(offset(-3));
        assert_eq!(
            timestamp(1_767_225_600.5, zone()),
            "2025-12-31T21:00:00.500000-03:00"
        );
        assert_eq!(
            timestamp(1_767_225_600.0, zone()),
            "2025-12-31T21:00:00-03:00"
        );
        assert_eq!(
            timestamp(f64::NAN, TimeZone::UTC),
            "1970-01-01T00:00:00+00:00"
        );
        assert_eq!(
            timestamp(f64::INFINITY, TimeZone::UTC),
            "1970-01-01T00:00:00+00:00"
        );
    }

    #[test]
    fn values_are_escaped_as_elementtree_does() {
        assert_eq!(escaped("it's"), "it's");
        assert_eq!(
            escaped("<a&\"b\">\r\n\t"),
            "&lt;a&amp;&quot;b&quot;&gt;&#13;&#10;&#09;"
        );
    }
}
