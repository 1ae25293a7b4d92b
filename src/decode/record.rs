//! The kinds of records.

use super::cursor::{Cursor, DecodeError};
use super::kinds::{BYE, LOG, PLAIN, SETUPS, STOP, TEST};
use crate::event::{FixtureSetup, JunitCounts, Outcome, Report, Slot, TestIndex, TestResult, When};

/// Bytes of a report with empty strings; bounds what a corrupt count can make us allocate.
const MIN_REPORT: usize = 3 + 2 * 8 + 6 * 4;
/// Bytes of a fixture's set-up with empty strings.
const MIN_SETUP: usize = 2 * 8 + 1 + 3 * 4;

/// Any record.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    Test(TestResult),
    Bye(Bye),
    Stop(Stop),
    /// Text for the terminal, at once.
    Log(String),
}

/// A worker has finished its session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bye {
    /// Exit status of the worker's session.
    pub status: u8,
    /// `record_testsuite_property` calls of this worker.
    pub properties: Vec<(String, String)>,
    /// Number of warnings that were recorded after its last test.
    pub warnings: usize,
    /// The worker has something in `config.workeroutput`.
    pub has_output: bool,
    /// Files, threads or memory that it gives back only when it is gone.
    pub holds: bool,
}

/// Why a worker wants the run to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    KeyboardInterrupt,
    /// `pytest.exit()`.
    Exit,
    InternalError,
    /// `session.shouldstop`.
    ShouldStop,
    /// `session.shouldfail`.
    ShouldFail,
}

impl StopReason {
    /// The reason that has this number in records and messages.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::KeyboardInterrupt,
            2 => Self::Exit,
            3 => Self::InternalError,
            4 => Self::ShouldStop,
            5 => Self::ShouldFail,
            _ => return None,
        })
    }
}

/// A worker wants the run to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stop {
    pub why: StopReason,
    /// Exit status asked for; `None`: the usual one for `why`.
    pub status: Option<i32>,
    pub text: String,
    /// `file:line` of the cause; may be empty.
    pub location: String,
}

/// Decodes a record of any kind; `kind`, `flags`, `number` (the test's) and `slot` come from its
/// frame.
///
/// # Errors
///
/// The body doesn't have the documented shape, or the kind is unknown.
pub fn record(
    kind: u8,
    flags: u8,
    number: TestIndex,
    slot: Slot,
    body: &[u8],
) -> Result<Record, DecodeError> {
    match kind {
        TEST => test(body, flags, number, slot).map(Record::Test),
        BYE => bye(body).map(Record::Bye),
        STOP => stop(body).map(Record::Stop),
        LOG => log(body).map(Record::Log),
        _ => Err(DecodeError {
            what: "a known record kind",
            offset: 0,
        }),
    }
}

/// Decodes a TEST record; `flags` says which of its two shapes the body has, and whether set-ups
/// follow.
///
/// # Errors
///
/// The body doesn't have that shape.
pub fn test(
    body: &[u8],
    flags: u8,
    number: TestIndex,
    slot: Slot,
) -> Result<TestResult, DecodeError> {
    let mut cursor = Cursor::new(body);
    let plain = flags & PLAIN != 0;
    let (reports, warnings) = if plain {
        (plain_reports(&mut cursor)?, 0)
    } else {
        (reports(&mut cursor)?, warnings(&mut cursor)?)
    };
    let result = TestResult {
        test: number,
        slot,
        reports,
        warnings,
        junit: cursor.str("the testcase elements")?.to_owned(),
        junit_counts: counters(&mut cursor)?,
        setups: if flags & SETUPS == 0 {
            Vec::new()
        } else {
            setups(&mut cursor)?
        },
    };
    cursor.end()?;
    Ok(result)
}

/// Decodes a BYE record.
///
/// # Errors
///
/// The body doesn't have the documented shape.
pub fn bye(body: &[u8]) -> Result<Bye, DecodeError> {
    let mut cursor = Cursor::new(body);
    let status = cursor.u8("an exit status")?;
    let count = cursor.count("a number of properties")?;
    let mut properties = Vec::new();
    for _ in 0..count {
        let name = cursor.str("a property's name")?.to_owned();
        let value = cursor.str("a property's value")?.to_owned();
        properties.push((name, value));
    }
    let warnings = warnings(&mut cursor)?;
    let has_output = !cursor.blob("the worker's output")?.is_empty();
    let holds = cursor.u8("whether something is held")? != 0;
    cursor.end()?;
    Ok(Bye {
        status,
        properties,
        warnings,
        has_output,
        holds,
    })
}

/// Decodes a STOP record.
///
/// # Errors
///
/// The body doesn't have the documented shape.
pub fn stop(body: &[u8]) -> Result<Stop, DecodeError> {
    let mut cursor = Cursor::new(body);
    let error = cursor.error("a reason to stop");
    let why = StopReason::from_number(cursor.u8("a reason to stop")?).ok_or(error)?;
    let status = cursor.i32("an exit status")?;
    let text = cursor.str("the text of a stop")?.to_owned();
    let location = cursor.str("the location of a stop")?.to_owned();
    cursor.end()?;
    Ok(Stop {
        why,
        status: (status != -1).then_some(status),
        text,
        location,
    })
}

/// Decodes a LOG record.
///
/// # Errors
///
/// The body doesn't have the documented shape.
pub fn log(body: &[u8]) -> Result<String, DecodeError> {
    let mut cursor = Cursor::new(body);
    let text = cursor.str("the text of a live log")?.to_owned();
    cursor.end()?;
    Ok(text)
}

/// The three reports that a PLAIN body stands for: pytest shows and counts the call only.
fn plain_reports(cursor: &mut Cursor<'_>) -> Result<Vec<Report>, DecodeError> {
    let start = cursor.f64("a start time")?;
    let setup = cursor.f64("a setup duration")?;
    let call = cursor.f64("a call duration")?;
    let teardown = cursor.f64("a teardown duration")?;
    let silent = |when, start, duration| Report {
        when,
        outcome: Outcome::Passed,
        is_failure: false,
        in_summary: false,
        start,
        duration,
        category: String::new(),
        letter: String::new(),
        word: String::new(),
        markup: Vec::new(),
        reason: String::new(),
    };
    Ok(vec![
        silent(When::Setup, start, setup),
        Report {
            category: "passed".to_owned(),
            letter: ".".to_owned(),
            word: "PASSED".to_owned(),
            ..silent(When::Call, start + setup, call)
        },
        silent(When::Teardown, start + setup + call, teardown),
    ])
}

fn reports(cursor: &mut Cursor<'_>) -> Result<Vec<Report>, DecodeError> {
    let count = cursor.count("a number of reports")?;
    let mut reports = Vec::with_capacity(count.min(cursor.remaining() / MIN_REPORT));
    for _ in 0..count {
        reports.push(report(cursor)?);
    }
    Ok(reports)
}

fn report(cursor: &mut Cursor<'_>) -> Result<Report, DecodeError> {
    let error = cursor.error("a report's phase");
    let when = match cursor.u8("a report's phase")? {
        0 => When::Setup,
        1 => When::Call,
        2 => When::Teardown,
        3 => When::Other,
        _ => return Err(error),
    };
    let error = cursor.error("a report's outcome");
    let outcome = match cursor.u8("a report's outcome")? {
        0 => Outcome::Passed,
        1 => Outcome::Failed,
        2 => Outcome::Skipped,
        3 => Outcome::Other,
        _ => return Err(error),
    };
    let error = cursor.error("a report's bits");
    let bits = cursor.u8("a report's bits")?;
    if bits & !0b11 != 0 {
        return Err(error);
    }
    let report = Report {
        when,
        outcome,
        is_failure: bits & 0b01 != 0,
        in_summary: bits & 0b10 != 0,
        start: cursor.f64("a report's start")?,
        duration: cursor.f64("a report's duration")?,
        category: cursor.str("a report's category")?.to_owned(),
        letter: cursor.str("a report's letter")?.to_owned(),
        word: cursor.str("a report's word")?.to_owned(),
        markup: names(cursor.str("a report's markup")?),
        reason: cursor.str("a report's reason")?.to_owned(),
    };
    cursor.blob("a report's attributes")?;
    Ok(report)
}

fn setups(cursor: &mut Cursor<'_>) -> Result<Vec<FixtureSetup>, DecodeError> {
    let count = cursor.count("a number of fixtures")?;
    let mut setups = Vec::with_capacity(count.min(cursor.remaining() / MIN_SETUP));
    for _ in 0..count {
        let start = cursor.f64("a fixture's start")?;
        let duration = cursor.f64("a fixture's duration")?;
        let error = cursor.error("a fixture's outcome");
        let failed = match cursor.u8("a fixture's outcome")? {
            0 => false,
            1 => true,
            _ => return Err(error),
        };
        setups.push(FixtureSetup {
            name: cursor.str("a fixture's name")?.to_owned(),
            scope: cursor.str("a fixture's scope")?.to_owned(),
            base: cursor.str("a fixture's place")?.to_owned(),
            start,
            duration,
            failed,
        });
    }
    Ok(setups)
}

fn names(markup: &str) -> Vec<String> {
    markup
        .split(',')
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Steps over blobs and says how many there were.
fn warnings(cursor: &mut Cursor<'_>) -> Result<usize, DecodeError> {
    let count = cursor.count("a number of warnings")?;
    for _ in 0..count {
        cursor.blob("a warning")?;
    }
    Ok(count)
}

fn counters(cursor: &mut Cursor<'_>) -> Result<JunitCounts, DecodeError> {
    let mut next = || cursor.u32("the testcase counters").map(u64::from);
    Ok(JunitCounts {
        passed: next()?,
        failure: next()?,
        error: next()?,
        skipped: next()?,
        double: next()?,
    })
}
