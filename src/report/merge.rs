//! Junit files of shards to one file, and whether they are all there and belong together.
//!
//! Test cases are copied as they stand. What every shard reports because every shard collects
//! (skipped and broken modules) is kept once. Numbers are added up, `time` too; the earliest
//! `timestamp` stays.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};
use thiserror::Error;

use super::junit::escaped;

/// Beginning of the names of properties by which shards' reports are held together.
const OURS: &str = "rpytest.shard";

/// Why files can't be merged.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum MergeError {
    #[error("`{file}` is no junit file: {reason}")]
    NoReport { file: String, reason: String },
    #[error("`{file}` says nothing about its shard, other files do")]
    NoShard { file: String },
    #[error("`{first}` and `{second}` are both of shard {shard}")]
    Duplicate {
        first: String,
        second: String,
        shard: u32,
    },
    /// The two files can't be parts of one run.
    #[error("`{first}` and `{second}` don't belong together: {what}")]
    Different {
        first: String,
        second: String,
        what: String,
    },
}

/// One file.
#[derive(Debug)]
pub struct Report {
    file: String,
    text: String,
    suites: Vec<Suite>,
}

/// A `<testsuite>`.
#[derive(Debug, Default)]
struct Suite {
    name: String,
    /// Errors, failures, skipped, tests.
    counts: [u64; 4],
    /// Seconds.
    time: f64,
    timestamp: String,
    hostname: String,
    properties: Vec<(String, String)>,
    cases: Vec<Case>,
}

/// A `<testcase>`, or another element between them.
#[derive(Debug)]
struct Case {
    place: Range<usize>,
    /// Which module could not be collected, and which of the counts it is in.
    collection: Option<(String, usize)>,
}

const COUNTS: [&str; 4] = ["errors", "failures", "skipped", "tests"];
const ERRORS: usize = 0;
const SKIPPED: usize = 2;
const TESTS: usize = 3;

impl Report {
    /// Reads a file's text.
    ///
    /// # Errors
    /// [`MergeError::NoReport`].
    pub fn parse(file: impl Into<String>, text: String) -> Result<Self, MergeError> {
        let file = file.into();
        match suites(&text) {
            Ok(suites) => Ok(Self { file, text, suites }),
            Err(reason) => Err(MergeError::NoReport { file, reason }),
        }
    }

    fn property(&self, name: &str) -> Option<&str> {
        let mut properties = self.suites.iter().flat_map(|suite| &suite.properties);
        let found = properties.find(|(other, _)| other == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Number and total.
    fn shard(&self) -> Option<(u32, u32)> {
        let (index, total) = self.property(OURS)?.split_once('/')?;
        Some((index.parse().ok()?, total.parse().ok()?))
    }
}

fn suites(text: &str) -> Result<Vec<Suite>, String> {
    let mut reader = Reader::from_str(text);
    let mut suites: Vec<Suite> = Vec::new();
    // Names of the open elements; a suite is the second one, or the first.
    let mut path: Vec<String> = Vec::new();
    let mut case: Option<(usize, Option<(String, usize)>)> = None;
    let mut case_name = String::new();
    loop {
        let before = place(&reader);
        let event = reader.read_event().map_err(|error| error.to_string())?;
        let is_empty = matches!(event, Event::Empty(_));
        match event {
            Event::Start(element) | Event::Empty(element) => {
                let name = element.name().as_ref().to_owned();
                let parent = path.last().map(String::as_str);
                match (parent, name.as_str()) {
                    (None, "testsuites") => {}
                    (None | Some("testsuites"), "testsuite") => suites.push(suite(&element)?),
                    (None, _) => return Err("its outermost element is no test suite".into()),
                    (Some("properties"), "property") if path.len() <= 3 => {
                        let property =
                            (attribute(&element, "name")?, attribute(&element, "value")?);
                        if let Some(suite) = suites.last_mut().filter(|_| case.is_none()) {
                            suite.properties.push(property);
                        }
                    }
                    (Some("testsuite"), "properties") => {}
                    (Some("testsuite"), _) => {
                        case = Some((before, None));
                        case_name = attribute(&element, "name")?;
                    }
                    (Some("testcase"), "skipped" | "error") => {
                        let message = attribute(&element, "message")?;
                        let count = match message.as_str() {
                            "collection skipped" => Some(SKIPPED),
                            "collection failure" => Some(ERRORS),
                            _ => None,
                        };
                        if let (Some((_, collection)), Some(count)) = (&mut case, count) {
                            *collection = Some((case_name.clone(), count));
                        }
                    }
                    _ => {}
                }
                if is_empty {
                    close(&path, place(&reader), &mut case, &mut suites);
                } else {
                    path.push(name);
                }
            }
            Event::End(_) => {
                path.pop();
                close(&path, place(&reader), &mut case, &mut suites);
            }
            Event::Eof if path.is_empty() && !suites.is_empty() => return Ok(suites),
            Event::Eof => return Err("it ends too early".into()),
            _ => {}
        }
    }
}

fn place(reader: &Reader<&[u8]>) -> usize {
    usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX)
}

/// An element below `path` has ended; if it is the open case, keeps it.
fn close(
    path: &[String],
    end: usize,
    case: &mut Option<(usize, Option<(String, usize)>)>,
    suites: &mut [Suite],
) {
    if path.last().is_some_and(|name| name == "testsuite")
        && let (Some((start, collection)), Some(suite)) = (case.take(), suites.last_mut())
    {
        suite.cases.push(Case {
            place: start..end,
            collection,
        });
    }
}

fn suite(element: &BytesStart) -> Result<Suite, String> {
    let mut counts = [0; 4];
    for (count, name) in counts.iter_mut().zip(COUNTS) {
        let text = attribute(element, name)?;
        if !text.is_empty() {
            *count = text
                .parse()
                .map_err(|_| format!("`{name}` is `{text}`, not a number"))?;
        }
    }
    Ok(Suite {
        name: attribute(element, "name")?,
        counts,
        time: attribute(element, "time")?.parse().unwrap_or(0.0),
        timestamp: attribute(element, "timestamp")?,
        hostname: attribute(element, "hostname")?,
        properties: Vec::new(),
        cases: Vec::new(),
    })
}

/// An attribute's value, empty when there is none.
fn attribute(element: &BytesStart, name: &str) -> Result<String, String> {
    let found = element
        .try_get_attribute(name)
        .map_err(|error| error.to_string())?;
    let Some(attribute) = found else {
        return Ok(String::new());
    };
    let value = attribute.normalized_value(quick_xml::XmlVersion::Implicit1_0);
    Ok(value.map_err(|error| error.to_string())?.into_owned())
}

/// Several reports in one.
#[derive(Debug)]
pub struct Merged {
    /// The file.
    pub xml: String,
    /// Errors, failures, skipped, tests.
    pub counts: [u64; 4],
    /// How many shards there should be; `None` when the files are of no shards.
    pub shards: Option<u32>,
    /// Shards of which there is no file.
    pub missing: Vec<u32>,
}

/// Merges reports, in the order of the shards.
///
/// # Errors
/// When they can't be parts of one run.
pub fn merge(mut reports: Vec<Report>) -> Result<Merged, MergeError> {
    let total = check(&reports)?;
    reports.sort_by_key(Report::shard);
    let mut merged: Vec<(Suite, String)> = Vec::new();
    let mut collection = HashSet::new();
    for report in &reports {
        for suite in &report.suites {
            let at = merged
                .iter()
                .position(|(other, _)| other.name == suite.name)
                .unwrap_or_else(|| {
                    let name = suite.name.clone();
                    merged.push((
                        Suite {
                            name,
                            ..Suite::default()
                        },
                        String::new(),
                    ));
                    merged.len() - 1
                });
            let (into, cases) = &mut merged[at];
            add(into, suite);
            for case in &suite.cases {
                // Each shard has collected everything, so each has this one.
                if total.is_some()
                    && let Some((module, count)) = &case.collection
                    && !collection.insert((suite.name.clone(), module.clone()))
                {
                    for count in [*count, TESTS] {
                        into.counts[count] = into.counts[count].saturating_sub(1);
                    }
                    continue;
                }
                cases.push_str(&report.text[case.place.clone()]);
            }
        }
    }
    let mut counts = [0; 4];
    for (suite, _) in &merged {
        for (sum, count) in counts.iter_mut().zip(suite.counts) {
            *sum += count;
        }
    }
    let present: HashSet<u32> = reports
        .iter()
        .filter_map(|report| Some(report.shard()?.0))
        .collect();
    Ok(Merged {
        xml: document(&merged, total),
        counts,
        shards: total,
        missing: (0..total.unwrap_or(0))
            .filter(|index| !present.contains(index))
            .collect(),
    })
}

/// Whether the reports are parts of one run; the number of its shards.
fn check(reports: &[Report]) -> Result<Option<u32>, MergeError> {
    let Some(first) = reports.iter().find(|report| report.shard().is_some()) else {
        return Ok(None);
    };
    let total = first.shard().map_or(1, |(_, total)| total);
    let mut seen: BTreeMap<u32, &str> = BTreeMap::new();
    let different = |one: &Report, two: &Report, what: String| {
        Err(MergeError::Different {
            first: one.file.clone(),
            second: two.file.clone(),
            what,
        })
    };
    // A shard that could not be collected says which one it is and nothing more.
    let complete = |report: &&Report| report.property("rpytest.shard.collection").is_some();
    let model = reports.iter().find(complete);
    for report in reports {
        let Some((index, of)) = report.shard() else {
            return Err(MergeError::NoShard {
                file: report.file.clone(),
            });
        };
        if of != total {
            return different(
                first,
                report,
                format!("one is of {total} shards, one of {of}"),
            );
        }
        if let Some(other) = seen.insert(index, &report.file) {
            return Err(MergeError::Duplicate {
                first: other.to_owned(),
                second: report.file.clone(),
                shard: index,
            });
        }
        let Some(model) = model.filter(|_| complete(&report)) else {
            continue;
        };
        let both = |name| (model.property(name), report.property(name));
        if let (Some(one), Some(two)) = both("rpytest.shard.by")
            && one != two
        {
            let what =
                format!("one was divided {one}, one {two}, so tests may be in none or in both");
            return different(model, report, what);
        }
        let (one, two) = both("rpytest.shard.collection");
        if one != two {
            let what = "the shards collected different tests, so some may be in none".to_owned();
            return different(model, report, what);
        }
    }
    Ok(Some(total))
}

fn add(into: &mut Suite, suite: &Suite) {
    for (sum, count) in into.counts.iter_mut().zip(suite.counts) {
        *sum += count;
    }
    into.time += suite.time;
    if into.timestamp.is_empty()
        || (!suite.timestamp.is_empty() && suite.timestamp < into.timestamp)
    {
        into.timestamp.clone_from(&suite.timestamp);
    }
    if into.hostname.is_empty() {
        into.hostname.clone_from(&suite.hostname);
    }
    for property in &suite.properties {
        if !property.0.starts_with(OURS) && !into.properties.contains(property) {
            into.properties.push(property.clone());
        }
    }
}

fn document(suites: &[(Suite, String)], shards: Option<u32>) -> String {
    let mut xml =
        String::from(r#"<?xml version="1.0" encoding="utf-8"?><testsuites name="pytest tests">"#);
    for (suite, cases) in suites {
        let time = format!("{:.3}", suite.time);
        let counts = suite.counts.map(|count| count.to_string());
        let mut attributes = vec![("name", suite.name.as_str())];
        attributes.extend(COUNTS.into_iter().zip(counts.iter().map(String::as_str)));
        attributes.push(("time", &time));
        attributes.push(("timestamp", &suite.timestamp));
        attributes.push(("hostname", &suite.hostname));
        open(&mut xml, "testsuite", &attributes);
        xml.push('>');
        let shards = shards.map(|shards| (format!("{OURS}s"), shards.to_string()));
        let properties: Vec<_> = shards.iter().chain(&suite.properties).collect();
        if !properties.is_empty() {
            xml.push_str("<properties>");
            for (name, value) in properties {
                open(&mut xml, "property", &[("name", name), ("value", value)]);
                xml.push_str(" />");
            }
            xml.push_str("</properties>");
        }
        xml.push_str(cases);
        xml.push_str("</testsuite>");
    }
    xml.push_str("</testsuites>");
    xml
}

fn open(xml: &mut String, name: &str, attributes: &[(&str, &str)]) {
    xml.push('<');
    xml.push_str(name);
    for (name, value) in attributes {
        xml.push_str(&format!(" {name}=\"{}\"", escaped(value)));
    }
}
