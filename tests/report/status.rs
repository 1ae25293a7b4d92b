//! The status line on a terminal that is emulated.

use std::io::{self, Write};
use std::time::Duration;

use indicatif::{InMemoryTerm, ProgressDrawTarget, TermLike};
use rpytest::event::{Replacement, RunEvent, RunStart, RunningTest};
use rpytest::report::{Progress, Reporter, Reporters, Screen, ScreenOptions, Summary, Terminal};

use crate::{end, failed, passed, start};

/// Standard output on the same terminal as the status line; a terminal adds the carriage return to
/// a line break.
struct Onto(InMemoryTerm);

impl Write for Onto {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = std::str::from_utf8(bytes).expect("reports are UTF-8");
        self.0.write_str(&text.replace('\n', "\r\n"))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn on(terminal: &InMemoryTerm, width: usize) -> Reporters {
    let screen = Screen::new(
        Box::new(Onto(terminal.clone())),
        ScreenOptions {
            color: false,
            width,
            terminal: true,
        },
    );
    let target = ProgressDrawTarget::term_like_with_hz(Box::new(terminal.clone()), 15);
    let mut all = Reporters::new();
    all.push(Terminal::new(screen.clone()));
    all.push(Progress::with_target(screen.clone(), target));
    all.push(Summary::new(screen));
    all
}

fn tick(all: &mut Reporters) {
    std::thread::sleep(Duration::from_millis(80));
    all.flush().expect("memory can be written");
}

fn running(slot: u16, nodeid: &str, seconds: u64) -> RunningTest<'_> {
    RunningTest {
        slot,
        nodeid,
        elapsed: Duration::from_secs(seconds),
    }
}

/// With `#` for the times in the status line, which pass while the test runs.
fn without_times(text: &str) -> String {
    let number = |character: char| character.is_ascii_digit() || character == '.';
    let mut out = String::new();
    let mut rest = text;
    while let Some(from) = rest.find(number) {
        let (before, tail) = rest.split_at(from);
        let (found, after) = tail.split_at(tail.find(|c| !number(c)).unwrap_or(tail.len()));
        let is_time = after.starts_with('s') && found.contains('.') && found.len() > 2;
        out.push_str(before);
        out.push_str(if is_time { "#" } else { found });
        rest = after;
    }
    out + rest
}

#[test]
fn stays_below_the_lines_and_leaves_nothing_behind() {
    let terminal = InMemoryTerm::new(20, 70);
    let mut all = on(&terminal, 70);
    all.event(&RunEvent::Started(&start(500, 0)))
        .expect("memory can be written");
    all.event(&RunEvent::Finished {
        nodeid: "test_a.py::test_1",
        result: &passed(0),
    })
    .expect("memory can be written");
    let tests = [
        running(0, "test_a.py::test_2", 3),
        running(1, "test_a.py::test_with_a_long_name", 7),
    ];
    all.event(&RunEvent::Running(&tests))
        .expect("memory can be written");
    tick(&mut all);
    insta::assert_snapshot!(without_times(&terminal.contents()), @r"
    2 workers [500 items]

    test_a.py::test_1 PASSED
    [  1/500] #s · test_a.py::test_with_a_long_name (#s), test_a.py:…
    ");

    all.event(&RunEvent::Finished {
        nodeid: "test_a.py::test_2",
        result: &failed(1),
    })
    .expect("memory can be written");
    all.event(&RunEvent::Running(&[]))
        .expect("memory can be written");
    tick(&mut all);
    insta::assert_snapshot!(without_times(&terminal.contents()), @r"
    2 workers [500 items]

    test_a.py::test_1 PASSED
    test_a.py::test_2 FAILED
    [  2/500] 1 failed · #s
    ");

    all.event(&RunEvent::Crashed {
        slot: 1,
        cause: "SIGKILL",
        test: None,
        replacement: Replacement::Coming,
    })
    .expect("memory");
    all.event(&RunEvent::Ended(&end(1.0)))
        .expect("memory can be written");
    insta::assert_snapshot!(terminal.contents(), @r"
    2 workers [500 items]

    test_a.py::test_1 PASSED
    test_a.py::test_2 FAILED
    [worker 1] node down: SIGKILL
    replacing crashed worker gw1

    ==================== 1 failed, 1 passed in 1.00s =====================
    ");
}

#[test]
fn is_one_line_however_long_the_names() {
    let terminal = InMemoryTerm::new(20, 60);
    let mut all = on(&terminal, 60);
    all.event(&RunEvent::Started(&start(5, 0)))
        .expect("memory can be written");
    let long =
        "tests/größe/test_数字.py::test_数字[数字数字数字数字数字数字数字数字数字数字数字数字]";
    let tests = [running(0, long, 3), running(1, long, 7)];
    all.event(&RunEvent::Running(&tests))
        .expect("memory can be written");
    for _ in 0..3 {
        tick(&mut all);
    }
    insta::assert_snapshot!(without_times(&terminal.contents()), @r"
    2 workers [5 items]

    [0/5] #s · tests/größe/test_数字.py::test_数字[数字数字…
    ");
}

#[test]
fn is_gone_while_somebody_else_has_the_terminal() {
    let terminal = InMemoryTerm::new(20, 70);
    let mut all = on(&terminal, 70);
    let begin = start(5, 0);
    let running = [running(0, "test_a.py::test_2", 3)];
    let mut tell = |event: RunEvent<'_>| {
        all.event(&event).expect("memory can be written");
        tick(&mut all);
        terminal.contents().contains("[0/5]")
    };
    assert!(tell(RunEvent::Started(&begin)));
    assert!(!tell(RunEvent::Terminal { ours: false }));
    assert!(!tell(RunEvent::Running(&running)));
    assert!(tell(RunEvent::Terminal { ours: true }));
    assert!(!tell(RunEvent::Terminal { ours: false }));
    assert!(!tell(RunEvent::Ended(&end(1.0))));
}

#[test]
fn is_silent_under_quiet_and_with_live_output() {
    for begin in [
        start(5, -1),
        RunStart {
            live_output: true,
            ..start(5, 0)
        },
    ] {
        let terminal = InMemoryTerm::new(20, 60);
        let mut all = on(&terminal, 60);
        all.event(&RunEvent::Started(&begin))
            .expect("memory can be written");
        all.event(&RunEvent::Running(&[running(0, "test_a.py::test_2", 3)]))
            .expect("memory can be written");
        tick(&mut all);
        assert!(
            !terminal.contents().contains("[0/5]"),
            "{}",
            terminal.contents()
        );
    }
}
