//! Round trips through an encoder of our own, and bytes that no encoder makes.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::event::{FixtureSetup, JunitCounts, Outcome, Report, TestResult, When};

/// Writes what `docs/design/protocol.md` says.
#[derive(Default)]
struct Encoder(Vec<u8>);

impl Encoder {
    fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    fn count(self, value: usize) -> Self {
        self.bytes(&u32::try_from(value).expect("short lists").to_le_bytes())
    }

    fn f64(self, value: f64) -> Self {
        self.bytes(&value.to_le_bytes())
    }

    fn str(self, text: &str) -> Self {
        self.blob(text.as_bytes())
    }

    fn blob(self, bytes: &[u8]) -> Self {
        let length = u32::try_from(bytes.len()).expect("short strings");
        self.bytes(&length.to_le_bytes()).bytes(bytes)
    }

    fn blobs(self, count: usize) -> Self {
        (0..count).fold(self.count(count), |encoder, _| encoder.blob(b"marshal"))
    }

    fn report(self, report: &Report) -> Self {
        let when = match report.when {
            When::Setup => 0,
            When::Call => 1,
            When::Teardown => 2,
            When::Other => 3,
        };
        let outcome = match report.outcome {
            Outcome::Passed => 0,
            Outcome::Failed => 1,
            Outcome::Skipped => 2,
            Outcome::Other => 3,
        };
        let bits = u8::from(report.is_failure) | u8::from(report.in_summary) << 1;
        self.bytes(&[when, outcome, bits])
            .f64(report.start)
            .f64(report.duration)
            .str(&report.category)
            .str(&report.letter)
            .str(&report.word)
            .str(&report.markup.join(","))
            .str(&report.reason)
            .blob(b"attributes")
    }

    fn junit(self, result: &TestResult) -> Self {
        let counts = result.junit_counts;
        let counts = [
            counts.passed,
            counts.failure,
            counts.error,
            counts.skipped,
            counts.double,
        ];
        counts
            .iter()
            .fold(self.str(&result.junit), |encoder, &count| {
                encoder.count(usize::try_from(count).expect("small"))
            })
    }

    /// Set-ups stand behind it if there are any.
    fn test(result: &TestResult) -> Vec<u8> {
        let encoder = Self::default().count(result.reports.len());
        let encoder = result.reports.iter().fold(encoder, Self::report);
        let encoder = encoder.blobs(result.warnings).junit(result);
        encoder.setups(&result.setups).0
    }

    fn setups(self, setups: &[FixtureSetup]) -> Self {
        if setups.is_empty() {
            return self;
        }
        setups
            .iter()
            .fold(self.count(setups.len()), |encoder, setup| {
                encoder
                    .f64(setup.start)
                    .f64(setup.duration)
                    .bytes(&[setup.failed.into()])
                    .str(&setup.name)
                    .str(&setup.scope)
                    .str(&setup.base)
            })
    }

    fn bye(bye: &Bye) -> Vec<u8> {
        let encoder = Self::default()
            .bytes(&[bye.status])
            .count(bye.properties.len());
        let pairs = bye.properties.iter();
        let encoder = pairs.fold(encoder, |encoder, (name, value)| {
            encoder.str(name).str(value)
        });
        encoder
            .blobs(bye.warnings)
            .blob(if bye.has_output { b"{}" } else { b"" })
            .bytes(&[bye.holds.into()])
            .0
    }

    fn stop(stop: &Stop, why: u8) -> Vec<u8> {
        let status = stop.status.unwrap_or(-1).to_le_bytes();
        Self::default()
            .bytes(&[why])
            .bytes(&status)
            .str(&stop.text)
            .str(&stop.location)
            .0
    }
}

fn any_when() -> impl Strategy<Value = When> {
    prop_oneof![
        Just(When::Setup),
        Just(When::Call),
        Just(When::Teardown),
        Just(When::Other)
    ]
}

fn any_outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        Just(Outcome::Passed),
        Just(Outcome::Failed),
        Just(Outcome::Skipped),
        Just(Outcome::Other)
    ]
}

prop_compose! {
    fn any_report()(
        when in any_when(),
        outcome in any_outcome(),
        (is_failure, in_summary) in any::<(bool, bool)>(),
        (start, duration) in (-1e12..1e12, 0.0..1e6),
        (category, letter, word, reason) in any::<(String, String, String, String)>(),
        markup in vec("[a-zA-Z]+", 0..4),
    ) -> Report {
        Report {
            when, outcome, is_failure, in_summary, start, duration, category, letter, word, markup, reason,
        }
    }
}

prop_compose! {
    fn any_setup()(
        (name, scope, base) in any::<(String, String, String)>(),
        (start, duration) in (-1e12..1e12, 0.0..1e6),
        failed in any::<bool>(),
    ) -> FixtureSetup {
        FixtureSetup { name, scope, base, start, duration, failed }
    }
}

/// The flag that goes with a result's set-ups.
fn flags(result: &TestResult) -> u8 {
    if result.setups.is_empty() { 0 } else { SETUPS }
}

prop_compose! {
    fn any_result()(
        (test, slot) in any::<(u32, u16)>(),
        reports in vec(any_report(), 0..5),
        warnings in 0usize..4,
        junit in any::<String>(),
        [passed, failure, error, skipped, double] in any::<[u16; 5]>(),
        setups in vec(any_setup(), 0..3),
    ) -> TestResult {
        let junit_counts = JunitCounts {
            passed: passed.into(),
            failure: failure.into(),
            error: error.into(),
            skipped: skipped.into(),
            double: double.into(),
        };
        TestResult { test, slot, reports, warnings, junit, junit_counts, setups }
    }
}

/// Every shorter body is an error that points into it or at its end, and so is every longer one.
fn only_whole(body: &[u8], decode: impl Fn(&[u8]) -> Option<DecodeError>) {
    assert_eq!(decode(body), None);
    for length in 0..body.len() {
        let error = decode(&body[..length]).expect("it is cut off");
        assert!(error.offset <= length, "{error} of {length} bytes");
    }
    let mut longer = body.to_vec();
    longer.push(0);
    assert_eq!(
        decode(&longer),
        Some(DecodeError {
            what: "the end",
            offset: body.len()
        })
    );
}

proptest! {
    #[test]
    fn full_records_round_trip(result in any_result()) {
        let body = Encoder::test(&result);
        let flags = flags(&result);
        prop_assert_eq!(test(&body, flags, result.test, result.slot), Ok(result));
        only_whole(&body, |body| test(body, flags, 0, 0).err());
    }

    #[test]
    fn plain_records_stand_for_three_reports(
        start in 0.0..1e10, durations in any::<[u16; 3]>(), mut result in any_result(),
    ) {
        let [setup, call, teardown] = durations.map(f64::from);
        result.warnings = 0;
        let body = Encoder::default().f64(start).f64(setup).f64(call).f64(teardown).junit(&result).setups(&result.setups).0;
        let flags = PLAIN | flags(&result);
        let decoded = test(&body, flags, result.test, result.slot).expect("it is well-formed");
        let shown: Vec<_> = decoded.reports.iter().map(|report| report.word.as_str()).collect();
        prop_assert_eq!(shown, ["", "PASSED", ""]);
        let times: Vec<_> = decoded.reports.iter().map(|report| (report.start, report.duration)).collect();
        prop_assert_eq!(times, [(start, setup), (start + setup, call), (start + setup + call, teardown)]);
        prop_assert!(!decoded.failed());
        prop_assert_eq!(&decoded.junit, &result.junit);
        prop_assert_eq!(decoded.junit_counts, result.junit_counts);
        prop_assert_eq!(&decoded.setups, &result.setups);
        only_whole(&body, |body| test(body, flags, 0, 0).err());
    }

    #[test]
    fn byes_round_trip(
        status in any::<u8>(),
        properties in vec(any::<(String, String)>(), 0..4),
        warnings in 0usize..4,
        has_output in any::<bool>(),
        holds in any::<bool>(),
    ) {
        let expected = Bye { status, properties, warnings, has_output, holds };
        let body = Encoder::bye(&expected);
        prop_assert_eq!(bye(&body), Ok(expected));
        only_whole(&body, |body| bye(body).err());
    }

    #[test]
    fn stops_round_trip(
        why in 1u8..=5, status in proptest::option::of(0..256), text in any::<String>(), location in any::<String>(),
    ) {
        let reason = [
            StopReason::KeyboardInterrupt,
            StopReason::Exit,
            StopReason::InternalError,
            StopReason::ShouldStop,
            StopReason::ShouldFail,
        ][usize::from(why) - 1];
        let expected = Stop { why: reason, status, text, location };
        let body = Encoder::stop(&expected, why);
        prop_assert_eq!(stop(&body), Ok(expected));
        only_whole(&body, |body| stop(body).err());
    }

    #[test]
    fn logs_round_trip(text in any::<String>()) {
        let body = Encoder::default().str(&text).0;
        prop_assert_eq!(log(&body), Ok(text));
        only_whole(&body, |body| log(body).err());
    }

    #[test]
    fn random_bytes_never_panic(
        kind in 0u8..7,
        flags in any::<u8>(),
        body in vec(any::<u8>(), 0..300),
    ) {
        if let Err(error) = record(kind, flags, 0, 0, &body) {
            prop_assert!(error.offset <= body.len());
        }
    }

    /// Nearer to what a bug would write than random bytes are.
    #[test]
    fn flipped_bytes_never_panic(
        result in any_result(),
        place in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut body = Encoder::test(&result);
        let place = place.index(body.len());
        body[place] = byte;
        if let Err(error) = test(&body, flags(&result), 0, 0) {
            prop_assert!(error.offset <= body.len());
        }
    }
}

#[test]
fn kinds_are_told_apart() {
    assert_eq!(
        record(LOG, 0, u32::MAX, 0, &[0; 4]),
        Ok(Record::Log(String::new()))
    );
    let error = record(9, 0, 0, 0, &[]).expect_err("there is no such kind");
    assert_eq!(
        error.to_string(),
        "cannot read a known record kind at byte 0 of a worker's record"
    );
}

#[test]
fn a_length_beyond_the_body_is_an_error_and_not_an_allocation() {
    let body = Encoder::default().bytes(&u32::MAX.to_le_bytes()).0;
    assert_eq!(
        test(&body, 0, 0, 0),
        Err(DecodeError {
            what: "a report's phase",
            offset: 4
        })
    );
    let body = Encoder::default()
        .bytes(&[0])
        .count(0)
        .count(1)
        .bytes(&u32::MAX.to_le_bytes())
        .0;
    assert_eq!(
        bye(&body),
        Err(DecodeError {
            what: "a warning",
            offset: 13
        })
    );
}

#[test]
fn text_that_is_not_utf8_is_an_error_where_it_starts() {
    let body = Encoder::default()
        .bytes(&[4, 255, 255, 255, 255])
        .str("why")
        .blob(&[0xff])
        .0;
    assert_eq!(
        stop(&body),
        Err(DecodeError {
            what: "the location of a stop",
            offset: 12
        })
    );
}

#[test]
fn unknown_bits_are_an_error() {
    let body = Encoder::default().count(1).bytes(&[1, 0, 4]).0;
    assert_eq!(
        test(&body, 0, 0, 0),
        Err(DecodeError {
            what: "a report's bits",
            offset: 6
        })
    );
}
