//! The junit file against the one that pytest wrote for the same tests (`fixtures/capture.py`).

use rpytest::event::{JunitCounts, JunitOptions, RunEvent, RunStart};
use rpytest::report::{Junit, ReportError, Reporter};
use serde::Deserialize;

use crate::{end, passed};

#[derive(Deserialize)]
struct Captured {
    text: String,
    attributes: Attributes,
    properties: Vec<(String, String)>,
    collection: Cases,
    tests: Vec<Cases>,
}

#[derive(Deserialize)]
struct Attributes {
    name: String,
    time: String,
    timestamp: String,
    hostname: String,
}

#[derive(Deserialize)]
struct Cases {
    junit: String,
    /// passed, failure, error, skipped, double
    counts: [u64; 5],
}

impl Cases {
    fn counts(&self) -> JunitCounts {
        let [passed, failure, error, skipped, double] = self.counts;
        JunitCounts {
            passed,
            failure,
            error,
            skipped,
            double,
        }
    }
}

/// What is between `name="` and `"` in the first tag that has it.
fn attribute<'a>(text: &'a str, name: &str) -> &'a str {
    let (_, rest) = text
        .split_once(&format!(" {name}=\""))
        .expect("the attribute is there");
    rest.split_once('"').expect("it is quoted").0
}

fn same_as_pytest(fixture: &str) {
    let captured: Captured = serde_json::from_str(fixture).expect("the fixture is JSON");
    let directory = tempfile::tempdir().expect("there is room");
    let path = directory.path().join("deep/er/report.xml");
    let start = RunStart {
        junit: Some(JunitOptions {
            path: path.clone(),
            suite_name: captured.attributes.name.clone(),
            collection: captured.collection.junit.clone(),
            collection_counts: captured.collection.counts(),
        }),
        ..crate::start(captured.tests.len(), 0)
    };
    let mut junit = Junit::new();
    junit
        .event(&RunEvent::Started(&start))
        .expect("nothing is written yet");
    // Results come in any order.
    for (index, test) in captured.tests.iter().enumerate().rev() {
        let mut result = passed(u32::try_from(index).expect("few tests"));
        result.junit.clone_from(&test.junit);
        result.junit_counts = test.counts();
        junit
            .event(&RunEvent::Finished {
                nodeid: "",
                result: &result,
            })
            .expect("nothing is written yet");
    }
    let mut last = end(captured.attributes.time.parse().expect("seconds"));
    last.started = 1_767_225_600.25;
    last.suite_properties = captured.properties;
    junit
        .event(&RunEvent::Ended(&last))
        .expect("the file can be written");

    let text = std::fs::read_to_string(&path).expect("it was written");
    let stamp = attribute(&text, "timestamp");
    let parsed: jiff::Timestamp = stamp.parse().expect("it is a timestamp");
    assert_eq!(parsed.to_string(), "2026-01-01T00:00:00.25Z");
    assert_eq!(stamp.len(), captured.attributes.timestamp.len(), "{stamp}");
    let host = attribute(&text, "hostname");
    assert!(!host.is_empty());
    let same = text
        .replacen(
            &format!(" timestamp=\"{stamp}\""),
            &format!(" timestamp=\"{}\"", captured.attributes.timestamp),
            1,
        )
        .replacen(
            &format!(" hostname=\"{host}\""),
            &format!(" hostname=\"{}\"", captured.attributes.hostname),
            1,
        );
    assert_eq!(same, captured.text);
}

#[test]
fn xunit1_is_pytests_to_the_byte() {
    same_as_pytest(include_str!("fixtures/junit_xunit1.json"));
}

#[test]
fn xunit2_is_pytests_to_the_byte() {
    same_as_pytest(include_str!("fixtures/junit_xunit2.json"));
}

#[test]
fn a_run_without_tests_is_pytests_to_the_byte() {
    same_as_pytest(include_str!("fixtures/junit_empty.json"));
}

#[test]
fn a_file_that_cannot_be_written_is_an_error_with_a_hint() {
    let directory = tempfile::tempdir().expect("there is room");
    let path = directory.path().to_owned();
    let start = RunStart {
        junit: Some(JunitOptions {
            path: path.clone(),
            ..JunitOptions::default()
        }),
        ..crate::start(0, 0)
    };
    let mut junit = Junit::new();
    junit
        .event(&RunEvent::Started(&start))
        .expect("nothing is written yet");
    let error = junit
        .event(&RunEvent::Ended(&end(0.1)))
        .expect_err("it is a directory");
    assert!(matches!(&error, ReportError::Junit { path: named, .. } if *named == path));
    assert!(error.hint().contains("`--junitxml`"), "{}", error.hint());
}

/// The file of a run with one test, to which a shared fixture's finalizer then adds an error; and
/// pytest's count of double failures.
fn with_late_error(case: &str, double: u64) -> String {
    let directory = tempfile::tempdir().expect("there is room");
    let path = directory.path().join("report.xml");
    let start = RunStart {
        junit: Some(JunitOptions {
            path: path.clone(),
            ..JunitOptions::default()
        }),
        ..crate::start(1, 0)
    };
    let mut first = passed(0);
    case.clone_into(&mut first.junit);
    first.junit_counts.passed = 1;
    let mut late = passed(0);
    late.reports.drain(..2);
    r#"<testcase name="a"><error message="b">c</error></testcase>"#.clone_into(&mut late.junit);
    late.junit_counts = JunitCounts {
        error: 1,
        double,
        ..JunitCounts::default()
    };
    let mut junit = Junit::new();
    let finished = |result| RunEvent::Finished { nodeid: "", result };
    for event in [
        RunEvent::Started(&start),
        finished(&first),
        finished(&late),
        RunEvent::Ended(&end(0.1)),
    ] {
        junit.event(&event).expect("there is room");
    }
    std::fs::read_to_string(path).expect("it was written")
}

#[test]
fn a_late_teardown_error_belongs_into_the_tests_own_element() {
    let error = r#"<error message="b">c</error></testcase>"#;
    for case in [
        r#"<testcase name="a" time="1" />"#,
        r#"<testcase name="a" time="1"></testcase>"#,
    ] {
        let text = with_late_error(case, 1);
        assert!(
            text.contains(&format!(r#"<testcase name="a" time="1">{error}"#)),
            "{text}"
        );
        assert_eq!(attribute(&text, "tests"), "1");
    }
    // After a failure it has one of its own, and which of the two counts is the other way round.
    let failed = r#"<testcase name="a"><failure message="d"></failure></testcase>"#;
    for (double, tests) in [(1, "2"), (0, "1")] {
        let text = with_late_error(failed, double);
        assert!(
            text.contains(&format!(r#"{failed}<testcase name="a">{error}"#)),
            "{text}"
        );
        assert_eq!(attribute(&text, "tests"), tests);
    }
}

#[test]
fn without_the_option_there_is_no_file() {
    let mut junit = Junit::new();
    junit
        .event(&RunEvent::Started(&crate::start(1, 0)))
        .expect("nothing to write");
    junit
        .event(&RunEvent::Finished {
            nodeid: "",
            result: &passed(0),
        })
        .expect("nothing to write");
    junit
        .event(&RunEvent::Ended(&end(0.1)))
        .expect("nothing to write");
}
