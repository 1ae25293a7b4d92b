//! `--merge-reports`: files of shards in one, if they belong together.

use rpytest::report::merge::{MergeError, Merged, Report, merge};

/// A file as rpytest writes it.
fn file(shard: &str, properties: &str, counts: [u64; 4], cases: &str) -> Report {
    let [errors, failures, skipped, tests] = counts;
    let text = format!(
        r#"<?xml version="1.0" encoding="utf-8"?><testsuites name="pytest tests"><testsuite name="pytest" errors="{errors}" failures="{failures}" skipped="{skipped}" tests="{tests}" time="1.250" timestamp="2026-01-0{tests}T10:00:00+00:00" hostname="h{tests}"><properties>{shard}{properties}</properties>{cases}</testsuite></testsuites>"#
    );
    Report::parse(format!("{}.xml", counts[3]), text).unwrap()
}

fn property(name: &str, value: &str) -> String {
    format!(r#"<property name="{name}" value="{value}" />"#)
}

fn shard(index: u32, total: u32) -> String {
    [
        property("rpytest.shard", &format!("{index}/{total}")),
        property("rpytest.shard.by", "by hash"),
        property("rpytest.shard.collection", "c0ffee"),
    ]
    .concat()
}

const PASSED: &str = r#"<testcase classname="a" name="f[&lt;&quot;x&#10;]" time="0.1" />"#;
const FAILED: &str = r#"<testcase classname="b" name="g" time="0.2"><properties><property name="own" value="1" /></properties><failure message="a &lt; b">E  &#x1B;]]&gt;</failure></testcase>"#;
const SKIPPED: &str = r#"<testcase classname="" name="c" time="0.000"><skipped type="pytest.skip" message="collection skipped">why</skipped></testcase>"#;

fn merged(reports: Vec<Report>) -> Merged {
    merge(reports).unwrap()
}

#[test]
fn cases_are_copied_numbers_added_and_properties_kept() {
    let own = property("build", "it&amp;s");
    let merged = merged(vec![
        file(&shard(1, 2), &own, [0, 1, 0, 1], FAILED),
        file(&shard(0, 2), &own, [0, 0, 0, 2], PASSED),
    ]);
    assert_eq!(
        merged.xml,
        format!(
            r#"<?xml version="1.0" encoding="utf-8"?><testsuites name="pytest tests"><testsuite name="pytest" errors="0" failures="1" skipped="0" tests="3" time="2.500" timestamp="2026-01-01T10:00:00+00:00" hostname="h2"><properties><property name="rpytest.shards" value="2" />{own}</properties>{PASSED}{FAILED}</testsuite></testsuites>"#
        )
    );
    assert_eq!(merged.counts, [0, 1, 0, 3]);
    assert_eq!((merged.shards, merged.missing), (Some(2), vec![]));
    // What was written can be read.
    let again = Report::parse("again", merged.xml.clone()).unwrap();
    assert_eq!(merge(vec![again]).unwrap().counts, merged.counts);
}

#[test]
fn a_module_that_no_shard_could_collect_is_one_case() {
    let merged = merged(vec![
        file(
            &shard(0, 2),
            "",
            [0, 0, 1, 2],
            &format!("{SKIPPED}{PASSED}"),
        ),
        file(
            &shard(1, 2),
            "",
            [0, 1, 1, 2],
            &format!("{SKIPPED}{FAILED}"),
        ),
    ]);
    assert_eq!(merged.counts, [0, 1, 1, 3]);
    assert_eq!(merged.xml.matches("<testcase").count(), 3);
}

#[test]
fn missing_shards_are_named() {
    let merged = merged(vec![
        file(&shard(3, 5), "", [0, 0, 0, 1], PASSED),
        file(&shard(1, 5), "", [0, 0, 0, 2], ""),
    ]);
    assert_eq!(merged.missing, [0, 2, 4]);
}

#[test]
fn files_without_shards_are_merged_unchecked_and_suites_stay_apart() {
    let text = r#"<testsuite name="other" tests="1" errors="0" failures="0" skipped="0"><testcase name="x"/></testsuite>"#;
    let other = Report::parse("other.xml", text.into()).unwrap();
    let merged = merged(vec![file("", "", [0, 0, 0, 1], PASSED), other]);
    assert_eq!((merged.shards, merged.missing), (None, vec![]));
    assert_eq!(merged.counts, [0, 0, 0, 2]);
    assert_eq!(merged.xml.matches("<testsuite ").count(), 2);
}

#[test]
fn what_does_not_belong_together_is_refused() {
    let one = || file(&shard(0, 2), "", [0, 0, 0, 1], PASSED);
    let refused = |other: Report| merge(vec![one(), other]).unwrap_err();
    assert!(matches!(
        refused(file(&shard(0, 2), "", [0, 0, 0, 2], "")),
        MergeError::Duplicate { shard: 0, .. }
    ));
    assert_eq!(
        refused(file(&shard(1, 3), "", [0, 0, 0, 2], "")).to_string(),
        "`1.xml` and `2.xml` don't belong together: one is of 2 shards, one of 3"
    );
    assert_eq!(
        refused(file("", "", [0, 0, 0, 2], "")).to_string(),
        "`2.xml` says nothing about its shard, other files do"
    );
    let by = shard(1, 2).replace("by hash", "by history 12ab");
    assert_eq!(
        refused(file(&by, "", [0, 0, 0, 2], "")).to_string(),
        "`1.xml` and `2.xml` don't belong together: one was divided by hash, one by history 12ab, \
         so tests may be in none or in both"
    );
    let collection = shard(1, 2).replace("c0ffee", "deed");
    assert_eq!(
        refused(file(&collection, "", [0, 0, 0, 2], "")).to_string(),
        "`1.xml` and `2.xml` don't belong together: the shards collected different tests, so some \
         may be in none"
    );
    // A shard that could not be collected has nothing to compare.
    let broken = file(&property("rpytest.shard", "1/2"), "", [1, 0, 0, 1], "");
    assert!(merge(vec![one(), broken]).unwrap().missing.is_empty());
}

#[test]
fn what_is_no_report_is_refused() {
    let complaint = |text: &str| {
        let error = Report::parse("x.xml", text.into()).unwrap_err();
        error.to_string()
    };
    assert_eq!(complaint(""), "`x.xml` is no junit file: it ends too early");
    assert_eq!(
        complaint("<html></html>"),
        "`x.xml` is no junit file: its outermost element is no test suite"
    );
    assert_eq!(
        complaint(r#"<testsuite tests="many"/>"#),
        "`x.xml` is no junit file: `tests` is `many`, not a number"
    );
    let good = r#"<testsuites><testsuite name="a" tests="1"><testcase name="x"></testcase></testsuite></testsuites>"#;
    assert!(Report::parse("x.xml", good.into()).is_ok());
    for end in 1..good.len() {
        assert!(
            Report::parse("x.xml", good[..end].into()).is_err(),
            "{}",
            &good[..end]
        );
    }
}
