//! When output is written, and what happens when it can't be.

use std::cell::Cell;
use std::io::{self, Write};
use std::rc::Rc;

use rpytest::event::{JunitOptions, RunEvent, RunStart};
use rpytest::report::{ReportError, Reporter, Reporters, Screen, ScreenOptions};

use crate::{Out, end, failed, passed, reporters, start};

const OPTIONS: ScreenOptions = ScreenOptions {
    color: false,
    width: 80,
    terminal: true,
};

#[test]
fn passes_wait_for_a_tick_and_failures_do_not() {
    let out = Out::default();
    let mut all = reporters(&out.screen(80, false));
    all.event(&RunEvent::Started(&start(3, 0)))
        .expect("memory can be written");
    assert_eq!(all.due(), None, "the header has been written");
    let before = out.text();

    all.event(&RunEvent::Finished {
        nodeid: "test_a.py::test_1",
        result: &passed(0),
    })
    .expect("memory can be written");
    assert_eq!(out.text(), before);
    assert!(all.due().is_some());
    all.flush().expect("memory can be written");
    assert!(out.text().ends_with("test_a.py::test_1 PASSED\n"));
    assert_eq!(all.due(), None);

    std::thread::sleep(std::time::Duration::from_millis(70));
    all.event(&RunEvent::Finished {
        nodeid: "test_a.py::test_2",
        result: &failed(1),
    })
    .expect("memory can be written");
    assert!(out.text().ends_with("test_a.py::test_2 FAILED\n"));
}

#[test]
fn many_lines_are_few_writes() {
    struct Counting(Rc<Cell<usize>>);
    impl Write for Counting {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.set(self.0.get() + 1);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let writes = Rc::new(Cell::new(0));
    let screen = Screen::new(Box::new(Counting(writes.clone())), OPTIONS);
    let mut all = reporters(&screen);
    all.event(&RunEvent::Started(&start(60_000, 0)))
        .expect("it can be written");
    for test in 0..60_000 {
        all.event(&RunEvent::Finished {
            nodeid: "test_a.py::test_1",
            result: &passed(test),
        })
        .expect("it can be written");
    }
    all.event(&RunEvent::Ended(&end(1.0)))
        .expect("it can be written");
    // 60,000 lines of 25 bytes in pieces of 64 KiB are 23, and the header and the end.
    assert!((20..30).contains(&writes.get()), "{} writes", writes.get());
}

struct Closed;

impl Write for Closed {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_closed_pipe_does_not_cost_the_junit_file() {
    let directory = tempfile::tempdir().expect("there is room");
    let path = directory.path().join("report.xml");
    let junit = JunitOptions {
        path: path.clone(),
        ..JunitOptions::default()
    };
    let begin = RunStart {
        junit: Some(junit),
        ..start(1, 0)
    };
    let mut all = Reporters::standard(&Screen::new(Box::new(Closed), OPTIONS));
    all.event(&RunEvent::Started(&begin))
        .expect_err("nobody reads");
    all.event(&RunEvent::Finished {
        nodeid: "test_a.py::test_1",
        result: &passed(0),
    })
    .expect("it was said once");
    all.event(&RunEvent::Ended(&end(1.0)))
        .expect("it was said once");
    assert!(path.exists());
}

#[test]
fn a_closed_pipe_is_an_error_once() {
    let mut all = reporters(&Screen::new(Box::new(Closed), OPTIONS));
    let error = all
        .event(&RunEvent::Started(&start(1, 0)))
        .expect_err("nobody reads");
    assert!(error.is_broken_pipe());
    all.event(&RunEvent::Ended(&end(1.0)))
        .expect("it was said once");
}

#[test]
fn a_full_disk_is_an_error_with_a_hint() {
    struct Full;
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut all = reporters(&Screen::new(Box::new(Full), OPTIONS));
    let error: ReportError = all
        .event(&RunEvent::Started(&start(1, 0)))
        .expect_err("there is no room");
    assert!(!error.is_broken_pipe());
    assert_eq!(error.hint(), "check what the output is redirected to");
}

#[test]
fn a_terminal_that_is_not_ready_is_waited_for() {
    struct Slow(Out, u32);
    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.1 += 1;
            match self.1 % 3 {
                0 => self.0.write(&bytes[..1]),
                1 => Err(io::ErrorKind::WouldBlock.into()),
                _ => Err(io::ErrorKind::Interrupted.into()),
            }
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let out = Out::default();
    let mut all = reporters(&Screen::new(Box::new(Slow(out.clone(), 0)), OPTIONS));
    all.event(&RunEvent::Started(&start(1, 0)))
        .expect("it gets ready again");
    assert_eq!(out.text(), "2 workers [1 item]\n\n");
}
